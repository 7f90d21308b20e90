/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who a connection belongs to, and which names are taken for whose. root is the one user that every
 * system has.
 */

#include <arpa/inet.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#include "harness.h"
#include "identity.h"
#include "looks.h"
#include "resolver.h"
#include "users.h"

/* ---- looks ---- */

static bool alike(const char *one, const char *other)
{
	CLEANUP(looks_done) struct looks a = {0}, b = {0};
	bool result;

	ck_assert_int_eq(looks_of(one, &a), 0);
	ck_assert_int_eq(looks_of(other, &b), 0);
	result = looks_alike(&a, &b);
	ck_assert_int_eq(result, looks_alike(&b, &a));
	return result;
}

START_TEST(test_looks)
{
	static const char *const same[][2] = {
		{"anna", "anna"},
		{"anna", "ANNA"},
		{"cop", "\u0441\u043e\u0440"}, /* Cyrillic */
		{"cop", "\u0421\u041e\u0420"},
		{"COP", "\u0441\u043e\u0440"},
		{"bob", "\u0412\u041e\u0412"},	      /* which is no B but in upper case */
		{"kate", "\u039a\u0391\u03a4\u0395"}, /* Greek */
		{"root", "\uff52\uff4f\uff4f\uff54"},
		{"root", "\U0001d411\U0001d428\U0001d428\U0001d42d"},
		{"Ian", "lan"},
		{"lan", "1AN"},
		{"modern", "modem"},
		{"modern", "MODEM"},
		/* UTS #39 takes 0 for O, and O is o in another letter case. */
		{"root", "r00t"},
	};
	static const char *const different[][2] = {
		{"anna", "hanna"},
		{"anna", "\u0430\u043d\u043d\u0430"}, /* it has a small capital H */
		{"root", "roto"},
		{"user2", "user3"},
		{"a", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		ck_assert_msg(alike(same[i][0], same[i][1]), "%s, %s", same[i][0], same[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(different); i++)
		ck_assert_msg(!alike(different[i][0], different[i][1]), "%s, %s", different[i][0],
			      different[i][1]);
}
END_TEST

/* One code point may look like many. */
START_TEST(test_looks_of_long_names)
{
	CLEANUP(looks_done) struct looks looks = {0};
	char name[200 * 3 + 1] = "";

	for (int i = 0; i < 200; i++)
		strcat(name, "\ufdfa");
	ck_assert_int_eq(looks_of(name, &looks), 0);
	ck_assert_uint_gt(strlen(looks.written), 2 * sizeof(name));
	ck_assert(alike(name, name));
}
END_TEST

/* ---- identity ---- */

static void expect_ourselves(const struct identity *identity)
{
	gid_t groups[1024];
	int n = getgroups(ARRAY_SIZE(groups), groups);
	bool primary = false;

	ck_assert(identity->proven);
	ck_assert_uint_eq(identity->uid, geteuid());
	ck_assert_uint_eq(identity->n_groups, (size_t)n + 1);
	for (size_t i = 0; i < identity->n_groups; i++) {
		bool found = identity->groups[i] == getegid();

		primary |= found;
		for (int g = 0; g < n; g++)
			found |= identity->groups[i] == groups[g];
		ck_assert_msg(found, "group %u", identity->groups[i]);
	}
	ck_assert(primary);
}

START_TEST(test_unix_socket)
{
	CLEANUP(identity_done) struct identity identity = {0};
	CLEANUP(freep) char *unit = NULL;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(identity_get(fds[0], &identity), 0);
	expect_ourselves(&identity);

	/* What runs the tests may be a service, or not. */
	if (sd_pid_get_unit(getpid(), &unit) < 0 || !strstr(unit, ".service") ||
	    strncmp(unit, "user@", 5) == 0)
		ck_assert_ptr_null(identity.unit);
	else
		ck_assert_str_eq(identity.unit, unit);
	closep(&fds[0]);
	closep(&fds[1]);
}
END_TEST

/* As root the groups can be chosen, many of them too. */
START_TEST(test_groups)
{
	enum { MANY = 500 };
	CLEANUP(identity_done) struct identity identity = {0};
	gid_t groups[MANY];
	int fds[2];

	for (unsigned i = 0; i < MANY; i++)
		groups[i] = 70000 + i;
	if (setgroups(MANY, groups) < 0) {
		harness_skip("groups cannot be set here");
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	/* They are those of when it was connected. */
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(identity_get(fds[0], &identity), 0);
	ck_assert_int_eq(setgroups(MANY, groups), 0);
	expect_ourselves(&identity);
	closep(&fds[0]);
	closep(&fds[1]);
}
END_TEST

START_TEST(test_other_sockets_prove_nothing)
{
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct identity identity = {.proven = true};
	int none[2];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(identity_get(fd, &identity), 0);
	ck_assert(!identity.proven);
	ck_assert_ptr_null(identity.groups);
	ck_assert_ptr_null(identity.unit);
	identity_done(&identity);

	/* What is no socket, or closed. */
	ck_assert_int_eq(pipe(none), 0);
	identity.proven = true;
	ck_assert_int_eq(identity_get(none[0], &identity), 0);
	ck_assert(!identity.proven);
	closep(&none[0]);
	closep(&none[1]);
	identity.proven = true;
	ck_assert_int_eq(identity_get(none[0], &identity), 0);
	ck_assert(!identity.proven);
}
END_TEST

/* ---- users ---- */

enum { ANSWER = 7 };

static struct mailbox mailbox = {.fd = -1};

static struct users *new_users(void)
{
	struct users *users;

	ck_assert_int_eq(mailbox_init(&mailbox), 0);
	ck_assert_int_eq(users_new(&mailbox, ANSWER, &users), 0);
	return users;
}

static void free_users(struct users *users)
{
	users_free(users);
	mailbox_done(&mailbox);
}

/* Waits for the answer that is lacked, and takes all that come before it. */
static bool settle(struct users *users)
{
	struct list waiter, ready = LIST_INIT(ready);

	if (!users_lacks(users))
		return false;
	list_init(&waiter);
	users_wait(users, &waiter);
	while (list_empty(&ready)) {
		struct pollfd polled = {.fd = mailbox.fd, .events = POLLIN};
		struct letter *letter, *next;

		ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
		for (letter = mailbox_collect(&mailbox); letter; letter = next) {
			next = letter->next;
			ck_assert_uint_eq(letter->kind, ANSWER);
			users_answered(users, CONTAINER_OF(letter, struct question, letter),
				       &ready);
		}
	}
	ck_assert_ptr_eq(ready.next, &waiter);
	list_remove(&waiter);
	users_begin(users);
	return true;
}

static const char *name_of(struct users *users, uid_t uid)
{
	const char *name;

	do
		name = users_name(users, uid);
	while (settle(users));
	return name;
}

static const char *find(struct users *users, const char *name)
{
	const char *user;

	do
		user = users_find(users, name);
	while (settle(users));
	return user;
}

static bool matches(struct users *users, const char *user, const struct identity *identity,
		    char *const *admins, size_t n)
{
	bool result;

	do
		result = users_match(users, user, identity, admins, n);
	while (settle(users));
	return result;
}

static void resembles(struct users *users, const char *nick, const char *expected)
{
	const char *user;

	do
		user = users_resemble(users, nick);
	while (settle(users));

	if (expected)
		ck_assert_msg(user && strcmp(user, expected) == 0, "%s is taken for %s", nick,
			      user ? user : "nobody");
	else
		ck_assert_msg(!user, "%s is taken for %s", nick, user);
}

START_TEST(test_names)
{
	struct users *users = new_users();

	for (int round = 0; round < 2; round++) {
		ck_assert_str_eq(name_of(users, 0), "root");
		ck_assert_str_eq(name_of(users, 3999999999), "3999999999");
		users_forget(users);
	}
	free_users(users);
	users_free(NULL);
}
END_TEST

START_TEST(test_find)
{
	struct users *users = new_users();

	for (int round = 0; round < 2; round++) {
		ck_assert_str_eq(find(users, "root"), "root");
		ck_assert_str_eq(find(users, "RooT"), "root");
		ck_assert_str_eq(find(users, "\uff32OOT"), "root");
		ck_assert_ptr_null(find(users, "r00t"));
		ck_assert_ptr_null(find(users, "nobody-has-this"));
		users_forget(users);
	}
	free_users(users);
}
END_TEST

START_TEST(test_resemble_user_of_system)
{
	static const char *const nicks[] = {
		"root",
		"Root",
		"ROOT",
		"r\u043e\u043et",
		"\uff52\uff4f\uff4f\uff54",
		"\U0001d42b\U0001d428\U0001d428\U0001d42d",
		"r00t",
		"R0ot",
	};
	struct users *users = new_users();

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(nicks); i++)
			resembles(users, nicks[i], "root");
		resembles(users, "nobody-has-this", NULL);
		resembles(users, "roto", NULL);
		users_forget(users);
	}
	free_users(users);
}
END_TEST

static void write_passwd(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fprintf(file, "root:x:0:0::/:/bin/sh\n%s", text), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* What the system says is remembered, its "no" as well, until it is to be forgotten. */
START_TEST(test_listed_and_remembered)
{
	struct users *users;
	CLEANUP(closep) int fd = -1;
	char path[128];

	(void)snprintf(path, sizeof(path), "%.100s/passwd-XXXXXX", getenv("RETORT_TEST_DIRECTORY"));
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	write_passwd(path, "zzcop:x:70001:70001::/:/bin/sh\nZz.Bob:x:70002:70002::/:/bin/sh\n");
	if (!harness_private_mounts() || mount(path, "/etc/passwd", NULL, MS_BIND, NULL) < 0) {
		harness_skip("nothing can be mounted here");
		return;
	}
	users = new_users(); /* whose threads see what this one does */
	resembles(users, "zzc0p", "zzcop");
	resembles(users, "ZZ\u0421\u041e\u0420", "zzcop");
	resembles(users, "zz.b0b", "Zz.Bob");
	resembles(users, "zzmary", NULL);
	ck_assert_str_eq(find(users, "zz.bob"), "Zz.Bob");
	ck_assert_str_eq(name_of(users, 70001), "zzcop");
	ck_assert_str_eq(name_of(users, 70003), "70003");

	write_passwd(path, "zzmary:x:70003:70003::/:/bin/sh\n");
	ck_assert_str_eq(find(users, "zz.bob"), "Zz.Bob");
	resembles(users, "zzc0p", "zzcop");
	resembles(users, "zzmary", NULL);
	ck_assert_str_eq(name_of(users, 70001), "zzcop");
	ck_assert_str_eq(name_of(users, 70003), "70003");

	users_forget(users);
	ck_assert_ptr_null(find(users, "zz.bob"));
	resembles(users, "zzc0p", NULL);
	resembles(users, "zzmary", "zzmary");
	ck_assert_str_eq(name_of(users, 70001), "70001");
	ck_assert_str_eq(name_of(users, 70003), "zzmary");
	free_users(users);
}
END_TEST

START_TEST(test_those_who_have_spoken)
{
	struct users *users = new_users();

	resembles(users, "zz-bob", NULL);
	ck_assert_ptr_null(find(users, "zz-bob"));
	ck_assert_int_eq(users_add(users, "ZZ-Bob"), 0);
	ck_assert_int_eq(users_add(users, "ZZ-Bob"), 0);
	resembles(users, "zz-bob", "ZZ-Bob");
	resembles(users, "ZZ-BOB", "ZZ-Bob");
	resembles(users, "zz-b0b", "ZZ-Bob");
	resembles(users, "zz-bobo", NULL);
	ck_assert_str_eq(find(users, "zz-bob"), "ZZ-Bob");
	ck_assert_ptr_null(find(users, "zz-b0b"));

	/* Cyrillic letters that are Latin ones only to the eye. */
	ck_assert_int_eq(users_add(users, "zzcop"), 0);
	resembles(users, "\u0396\u0396COP", "zzcop");
	ck_assert_int_eq(users_add(users, "\u0441\u043e\u0440\u0441\u043e\u0440"), 0);
	resembles(users, "COPCOP", "\u0441\u043e\u0440\u0441\u043e\u0440");

	/* A name that is no nick, by the nick that is made of it. */
	ck_assert_int_eq(users_add(users, "DOMAIN\\Zz Anna"), 0);
	resembles(users, "domain_zz_anna", "DOMAIN\\Zz Anna");
	ck_assert_int_eq(users_add(users, "\xff\xfezz"), 0);
	resembles(users, "__zz", "\xff\xfezz");

	/* What the system said is forgotten, and no more. */
	users_forget(users);
	resembles(users, "zz-bob", "ZZ-Bob");
	free_users(users);
}
END_TEST

/* More names than are remembered: some are asked for again, and none is mistaken. */
START_TEST(test_flood)
{
	struct users *users = new_users();
	char nick[32];

	ck_assert_int_eq(users_add(users, "zz-flood-7777"), 0);
	for (int i = 0; i < 10000; i++) {
		(void)sprintf(nick, "zz-flood-%d", i);
		resembles(users, nick, i == 7777 ? "zz-flood-7777" : NULL);
		if (i % 1000 == 0)
			resembles(users, "root", "root");
	}
	ck_assert_str_eq(name_of(users, 0), "root");
	free_users(users);
}
END_TEST

/* A name service that cannot be asked has not said that there is no such user. */
START_TEST(test_nobody_can_say)
{
	struct users *users = new_users();
	struct rlimit usual, none;

	/* Nothing but this may be asked before, or modules that need no descriptor are loaded. */
	ck_assert_str_eq(name_of(users, 0), "root");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none = usual;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	errno = 0;
	if (!getpwnam("root") && errno == EMFILE) {
		ck_assert_str_eq(name_of(users, 0), "root");
		resembles(users, "zz-unknown", "");
		ck_assert_ptr_null(find(users, "zz-unknown"));
		users_forget(users);
		ck_assert_ptr_null(name_of(users, 0));
	} else {
		harness_skip("users can be asked for without a descriptor here");
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
	users_forget(users); /* that nobody could say is known for a moment */
	resembles(users, "zz-unknown", NULL);
	free_users(users);
}
END_TEST

START_TEST(test_match)
{
	char *admins[] = {"root", "@root", "zz-anna", "@zz-no-such-group"};
	gid_t groups[] = {4000000, 0}, other[] = {4000000};
	struct identity in_root = {.proven = true, .uid = 1, .groups = groups, .n_groups = 2};
	struct identity in_other = {.proven = true, .uid = 1, .groups = other, .n_groups = 1};
	struct identity guest = {.groups = groups, .n_groups = 2};
	struct users *users = new_users();

	for (int round = 0; round < 2; round++) {
		ck_assert(matches(users, "root", &in_other, admins, 4));
		ck_assert(matches(users, "zz-anna", &in_other, admins, 4));
		ck_assert(matches(users, "zz-bob", &in_root, admins, 4));
		ck_assert(!matches(users, "zz-bob", &in_other, admins, 4));
		ck_assert(!matches(users, "Root", &in_other, admins, 4));
		ck_assert(!matches(users, "@root", &in_other, admins, 4));
		ck_assert(!matches(users, NULL, &guest, admins, 4));
		ck_assert(!matches(users, NULL, NULL, admins, 4));
		ck_assert(matches(users, "root", NULL, admins, 4));
		ck_assert(!matches(users, "zz-bob", &in_root, admins, 1));
		ck_assert(!matches(users, "root", &in_root, NULL, 0));
		users_forget(users);
	}
	free_users(users);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("users");

	harness_add(suite, test_looks);
	harness_add(suite, test_looks_of_long_names);
	harness_add(suite, test_unix_socket);
	harness_add(suite, test_groups);
	harness_add(suite, test_other_sockets_prove_nothing);
	harness_add(suite, test_names);
	harness_add(suite, test_find);
	harness_add(suite, test_resemble_user_of_system);
	harness_add(suite, test_listed_and_remembered);
	harness_add(suite, test_those_who_have_spoken);
	harness_add(suite, test_flood);
	harness_add(suite, test_nobody_can_say);
	harness_add(suite, test_match);
	return harness_main(suite);
}
