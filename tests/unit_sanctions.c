/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bans and mutes: whom they hit and how long, in memory and over a restart. */

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "harness.h"
#include "sanctions.h"

static struct sanctions *new_sanctions(struct store *store)
{
	struct sanctions *sanctions = NULL;

	ck_assert_int_eq(sanctions_new(store, &sanctions), 0);
	ck_assert_ptr_nonnull(sanctions);
	return sanctions;
}

static int add_until(struct sanctions *sanctions, enum sanction_kind kind, enum sanction_what what,
		     const char *target, uint64_t until, const char *reason)
{
	char *copy = strdup(target), *by = strdup("root"), *why = strdup(reason);
	int r = sanctions_add(sanctions, &(struct sanction){.kind = kind,
							    .what = what,
							    .target = copy,
							    .until = until,
							    .by = by,
							    .reason = why});

	/* What was given is the caller's. */
	free(copy);
	free(by);
	free(why);
	return r;
}

static void add(struct sanctions *sanctions, enum sanction_kind kind, enum sanction_what what,
		const char *target)
{
	ck_assert_int_eq(add_until(sanctions, kind, what, target, 0, ""), 0);
}

/* Returns the target of what hits them at the time now; "" when nothing does. */
static const char *hits_at(struct sanctions *sanctions, enum sanction_kind kind, const char *user,
			   const char *nick, const char *address, uint64_t now)
{
	struct in6_addr ip;
	struct sanctions_subject subject = {.user = user, .nick = nick};
	const struct sanction *sanction;
	char text[64];

	if (address) {
		(void)snprintf(text, sizeof(text), "%s%s",
			       strchr(address, ':') ? "" : "::ffff:", address);
		ck_assert_int_eq(inet_pton(AF_INET6, text, &ip), 1);
		subject.ip = &ip;
	}
	sanction = sanctions_find(sanctions, kind, &subject, now);
	if (!sanction)
		return "";
	ck_assert_int_eq(sanction->kind, kind);
	ck_assert_str_eq(sanction->by, "root");
	return sanction->target;
}

#define BANS(sanctions, user, nick, address) \
	hits_at(sanctions, SANCTION_BAN, user, nick, address, 1000)

/* All that is in force at the time now, as text. */
static void write_one(const struct sanction *sanction, void *data)
{
	FILE *file = data;

	(void)fprintf(file, "%d %d %s %ju %s %s\n", sanction->kind, sanction->what,
		      sanction->target, (uintmax_t)sanction->until, sanction->by, sanction->reason);
}

static void expect_all(struct sanctions *sanctions, uint64_t now, const char *expected)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(file);
	sanctions_each(sanctions, now, write_one, file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_users_and_nicks)
{
	struct sanctions *sanctions = new_sanctions(NULL);

	ck_assert_str_eq(BANS(sanctions, "anna", "anna", NULL), "");
	add(sanctions, SANCTION_BAN, SANCTION_USER, "Anna");
	add(sanctions, SANCTION_BAN, SANCTION_NICK, "Stra\u00dfe");
	add(sanctions, SANCTION_BAN, SANCTION_USER, "DOMAIN\\Peter P");
	ck_assert_str_eq(BANS(sanctions, "anna", "x", NULL), "anna");
	ck_assert_str_eq(BANS(sanctions, "ANNA", "x", NULL), "anna");
	ck_assert_str_eq(BANS(sanctions, NULL, "anna", NULL), "");
	ck_assert_str_eq(BANS(sanctions, "anna2", "anna", NULL), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "STRASSE", NULL), "strasse");
	ck_assert_str_eq(BANS(sanctions, "strasse", "x", NULL), "");
	ck_assert_str_eq(BANS(sanctions, "domain\\peter p", "x", NULL), "domain\\peter p");
	ck_assert_str_eq(BANS(sanctions, "anna", "strasse", NULL), "anna");
	/* A ban is no mute. */
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna", "strasse", NULL, 1), "");

	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_MUTE, SANCTION_USER, "anna"),
			 -ENOENT);
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_NICK, "anna"), -ENOENT);
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_USER, "aNNa"), 0);
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_USER, "anna"), -ENOENT);
	ck_assert_str_eq(BANS(sanctions, "anna", "x", NULL), "");
	ck_assert_str_eq(BANS(sanctions, "anna", "strasse", NULL), "strasse");
	sanctions_free(sanctions);
	sanctions_free(NULL);
}
END_TEST

START_TEST(test_addresses)
{
	struct sanctions *sanctions = new_sanctions(NULL);

	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "192.0.2.1");
	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.1.2.3/8");
	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.9.0.0/21");
	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "2001:DB8:0:0::1");
	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "fd00::/8");
	add(sanctions, SANCTION_MUTE, SANCTION_ADDRESS, "0.0.0.0/0");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "192.0.2.1"), "192.0.2.1");
	ck_assert_str_eq(BANS(sanctions, "u", "x", "192.0.2.1"), "192.0.2.1");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "192.0.2.2"), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.255.255.255"), "10.0.0.0/8");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.0.0.0"), "10.0.0.0/8");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.9.7.255"), "10.9.0.0/21");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.9.8.0"), "10.0.0.0/8");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "11.0.0.0"), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "2001:db8::1"), "2001:db8::1");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "2001:db8::2"), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "fdff::1"), "fd00::/8");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "fe00::1"), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "a00::"), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", NULL), "");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, NULL, "x", "8.8.8.8", 1), "0.0.0.0/0");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, NULL, "x", "::1", 1), "");

	/* IPv4 in whichever way it is written. */
	ck_assert_int_eq(
		sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "::ffff:192.0.2.1"), 0);
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "192.0.2.1"), "");
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.0.0.0"),
			 -ENOENT);
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.9.1.1/21"),
			 0);
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.9.7.255"), "10.0.0.0/8");
	sanctions_free(sanctions);
}
END_TEST

/* Every length, at its edges: the address below the network, its first, its last, the one above. */
START_TEST(test_every_length)
{
	for (unsigned bits = 1; bits <= 32; bits++) {
		struct sanctions *sanctions = new_sanctions(NULL);
		uint32_t size = bits == 0 ? 0 : UINT32_C(1) << (32 - bits);
		uint32_t first = UINT32_C(0xa5a5a5a5) & ~(size - 1);
		const uint32_t addresses[] = {first - 1, first, first + (size - 1), first + size};
		char text[32], address[INET_ADDRSTRLEN];

		(void)snprintf(text, sizeof(text), "165.165.165.165/%u", bits);
		add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, text);
		for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
			struct in_addr ip = {htonl(addresses[i])};
			bool in = (addresses[i] & ~(size - 1)) == first;

			ck_assert_ptr_nonnull(inet_ntop(AF_INET, &ip, address, sizeof(address)));
			ck_assert_int_eq(*BANS(sanctions, NULL, "x", address) != '\0', in);
		}
		sanctions_free(sanctions);
	}
}
END_TEST

START_TEST(test_what_is_no_target)
{
	static const struct {
		enum sanction_what what;
		const char *target;
	} wrong[] = {
		{SANCTION_USER, ""},
		{SANCTION_NICK, ""},
		{SANCTION_NICK, "a b"},
		{SANCTION_NICK, "r\u043e\u043et"},
		{SANCTION_NICK, "0123456789012345678901234567890123"},
		{SANCTION_ADDRESS, ""},
		{SANCTION_ADDRESS, "anna"},
		{SANCTION_ADDRESS, "localhost"},
		{SANCTION_ADDRESS, "10.0.0"},
		{SANCTION_ADDRESS, "10.0.0.256"},
		{SANCTION_ADDRESS, "10.0.0.0/"},
		{SANCTION_ADDRESS, "10.0.0.0/33"},
		{SANCTION_ADDRESS, "10.0.0.0/-1"},
		{SANCTION_ADDRESS, "10.0.0.0/+8"},
		{SANCTION_ADDRESS, "10.0.0.0/ 8"},
		{SANCTION_ADDRESS, "10.0.0.0/8 "},
		{SANCTION_ADDRESS, "10.0.0.0/8/8"},
		{SANCTION_ADDRESS, "10.0.0.0/255.0.0.0"},
		{SANCTION_ADDRESS, "10.0.0.0/4294967304"},
		{SANCTION_ADDRESS, "/8"},
		{SANCTION_ADDRESS, "::/129"},
		{SANCTION_ADDRESS, "[::1]"},
		{SANCTION_ADDRESS, "fe80::1%lo"},
		{SANCTION_ADDRESS, "0123:0123:0123:0123:0123:0123:0123:0123:0123:0123:0123"},
	};
	struct sanctions *sanctions = new_sanctions(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_msg(add_until(sanctions, SANCTION_BAN, wrong[i].what, wrong[i].target, 0,
					"") == -EINVAL,
			      "%s", wrong[i].target);
		ck_assert_msg(
			sanctions_remove(sanctions, SANCTION_BAN, wrong[i].what, wrong[i].target) ==
				(wrong[i].what == SANCTION_ADDRESS ? -EINVAL : -ENOENT),
			"%s", wrong[i].target);
	}
	expect_all(sanctions, 1, "");
	sanctions_free(sanctions);
}
END_TEST

START_TEST(test_durations)
{
	struct sanctions *sanctions = new_sanctions(NULL);

	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_USER, "anna", 5000, "loud"),
			 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_NICK, "bob", 7000, ""), 0);
	ck_assert_int_eq(
		add_until(sanctions, SANCTION_MUTE, SANCTION_ADDRESS, "10.0.0.1", 6000, ""), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_ADDRESS, "10.0.0.0/8", 0, ""),
			 0);
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna", "bob", "10.0.0.1", 4999),
			 "anna");
	/* What is over makes room for what is not. */
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna", "bob", "10.0.0.1", 5000), "bob");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna", "x", "10.0.0.1", 5999),
			 "10.0.0.1");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna", "x", "10.0.0.1", 6000),
			 "10.0.0.0/8");
	expect_all(sanctions, 4999,
		   "1 0 anna 5000 root loud\n1 1 bob 7000 root \n1 2 10.0.0.1 6000 root \n"
		   "1 2 10.0.0.0/8 0 root \n");
	expect_all(sanctions, 6000, "1 1 bob 7000 root \n1 2 10.0.0.0/8 0 root \n");
	expect_all(sanctions, UINT64_MAX, "1 2 10.0.0.0/8 0 root \n");
	sanctions_free(sanctions);
}
END_TEST

/* One replaces another of the same kind and target, however that is written. */
START_TEST(test_replacement)
{
	struct sanctions *sanctions = new_sanctions(NULL);

	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "Anna", 5000, "a"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_NICK, "anna", 6000, "b"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_USER, "anna", 7000, "c"), 0);
	ck_assert_int_eq(
		add_until(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.1.0.0/8", 8000, "d"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "ANNA", 9000, "e"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.2.0.0/8", 0, "f"),
			 0);
	expect_all(sanctions, 1000,
		   "0 1 anna 9000 root e\n1 1 anna 6000 root b\n0 0 anna 7000 root c\n"
		   "0 2 10.0.0.0/8 0 root f\n");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_BAN, NULL, "anna", NULL, 8999), "anna");
	/* A longer one may be replaced by a shorter one, and one that is over by one that is not.
	 */
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "anna", 5000, ""), 0);
	ck_assert_str_eq(hits_at(sanctions, SANCTION_BAN, NULL, "anna", NULL, 8000), "");
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "anna", 9000, ""), 0);
	ck_assert_str_eq(hits_at(sanctions, SANCTION_BAN, NULL, "anna", NULL, 8000), "anna");
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.0.0.0/8"),
			 0);
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.0.0.1"), "");
	sanctions_free(sanctions);
}
END_TEST

/* ---- with a store ---- */

static struct store *open_store(void)
{
	char problem[STORE_PROBLEM_MAX] = "";
	struct store *store = NULL;
	int r = store_open("store", &store, problem);

	ck_assert_msg(r == 0, "%s", problem);
	return store;
}

/* Every test has a directory of its own. */
static void in_directory(char path[static 32])
{
	const char *parent = getenv("RETORT_TEST_DIRECTORY");

	ck_assert_ptr_nonnull(parent);
	ck_assert_int_eq(chdir(parent), 0);
	strcpy(path, "sanctions-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
}

static int count_one(const struct store_sanction *sanction, void *data)
{
	(void)sanction;
	++*(int *)data;
	return 0;
}

static int stored(struct store *store)
{
	int n = 0;

	ck_assert_int_eq(store_sanctions(store, count_one, &n), 0);
	return n;
}

static void restart(struct store **store, struct sanctions **sanctions)
{
	sanctions_free(*sanctions);
	store_close(*store);
	*store = open_store();
	*sanctions = new_sanctions(*store);
}

START_TEST(test_restart)
{
	struct sanctions *sanctions;
	struct store *store;
	char path[32];

	in_directory(path);
	store = open_store();
	sanctions = new_sanctions(store);
	ck_assert_int_eq(
		add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "Stra\u00dfe", 5000, "why"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_USER, "Anna B", 0, ""), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.1.1.1/8", 0, ""),
			 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "fd00::1", 0, ""), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "bob", 6000, "x"), 0);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "bob", 7000, "y"), 0);
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "fd00::1"), 0);
	ck_assert_int_eq(stored(store), 4);

	restart(&store, &sanctions);
	ck_assert_str_eq(BANS(sanctions, NULL, "strasse", NULL), "strasse");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_BAN, NULL, "STRASSE", NULL, 5000), "");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_BAN, NULL, "bob", NULL, 6999), "bob");
	ck_assert_str_eq(hits_at(sanctions, SANCTION_MUTE, "anna b", "x", NULL, 1), "anna b");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.3.4.5"), "10.0.0.0/8");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "fd00::1"), "");

	/* Those that are over go when something is written. */
	ck_assert_int_eq(stored(store), 4);
	ck_assert_int_eq(add_until(sanctions, SANCTION_MUTE, SANCTION_NICK, "eve", 9000, ""), 0);
	ck_assert_int_eq(stored(store), 4);
	ck_assert_int_eq(*hits_at(sanctions, SANCTION_MUTE, NULL, "eve", NULL, 9000), '\0');
	ck_assert_int_eq(sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.0.0.0/8"),
			 0);
	ck_assert_int_eq(stored(store), 1);

	restart(&store, &sanctions);
	expect_all(sanctions, 1, "1 0 anna b 0 root \n");
	sanctions_free(sanctions);
	store_close(store);
	ck_assert_int_eq(chdir(".."), 0);
	directory_remove(path);
}
END_TEST

/* What the store refuses has not happened. */
START_TEST(test_full_disk)
{
	static const char before[] = "0 2 10.0.0.0/8 0 root \n0 1 anna 5000 root a\n";
	CLEANUP(freep) char *long_reason = malloc(1 << 20);
	struct sanctions *sanctions;
	struct rlimit usual, none;
	struct store *store;
	char path[32];
	int added, replaced, removed;

	ck_assert_ptr_nonnull(long_reason);
	memset(long_reason, 'x', (1 << 20) - 1);
	long_reason[(1 << 20) - 1] = '\0';
	in_directory(path);
	store = open_store();
	sanctions = new_sanctions(store);
	add(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.0.0.0/8");
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "anna", 5000, "a"), 0);

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &usual), 0);
	none = usual;
	none.rlim_cur = 512;
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	(void)setrlimit(RLIMIT_FSIZE, &none);
	/* Check writes files too, so nothing is asserted meanwhile. */
	added = add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "bob", 0, long_reason);
	replaced = add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "anna", 0, long_reason);
	removed = sanctions_remove(sanctions, SANCTION_BAN, SANCTION_ADDRESS, "10.0.0.0/8");
	(void)setrlimit(RLIMIT_FSIZE, &usual);
	ck_assert_int_lt(added, 0);
	ck_assert_int_lt(replaced, 0);
	ck_assert_int_lt(removed, 0);
	ck_assert_str_eq(BANS(sanctions, NULL, "bob", NULL), "");
	ck_assert_str_eq(BANS(sanctions, NULL, "x", "10.0.0.1"), "10.0.0.0/8");
	expect_all(sanctions, 1, before);

	restart(&store, &sanctions);
	expect_all(sanctions, 1, before);
	ck_assert_int_eq(add_until(sanctions, SANCTION_BAN, SANCTION_NICK, "bob", 0, ""), 0);
	ck_assert_str_eq(BANS(sanctions, NULL, "bob", NULL), "bob");
	sanctions_free(sanctions);
	store_close(store);
	ck_assert_int_eq(chdir(".."), 0);
	directory_remove(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sanctions");

	harness_add(suite, test_users_and_nicks);
	harness_add(suite, test_addresses);
	harness_add(suite, test_every_length);
	harness_add(suite, test_what_is_no_target);
	harness_add(suite, test_durations);
	harness_add(suite, test_replacement);
	harness_add(suite, test_restart);
	harness_add(suite, test_full_disk);
	return harness_main(suite);
}
