/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Descriptors that a service manager keeps, which is played here by a thread behind
 * $NOTIFY_SOCKET. The process is killed, so to speak, by taking what the manager has.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "harness.h"
#include "vault.h"

enum { STORE_MAX = 512, NAME_MAX_ = 64, FILES = 64 };

/* ---- the manager ---- */

static struct keeper {
	int socket;
	pthread_t thread;
	pthread_mutex_t lock;
	bool refuses; /* stores nothing */
	struct {
		char name[NAME_MAX_];
		int fd; /* owned */
	} stored[STORE_MAX];
	size_t n, most; /* how many there are, and were at a time */
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remove_stored(const char *name)
{
	for (size_t i = keeper.n; i-- > 0;)
		if (strcmp(keeper.stored[i].name, name) == 0) {
			(void)close(keeper.stored[i].fd);
			keeper.stored[i] = keeper.stored[--keeper.n];
		}
}

/* Returns whether fd is kept. */
static bool handle(const char *text, int fd)
{
	const char *name = strstr(text, "FDNAME=");
	char named[NAME_MAX_] = "";

	if (name)
		(void)snprintf(named, sizeof named, "%.*s", (int)strcspn(name + 7, "\n"), name + 7);
	if (strstr(text, "FDSTOREREMOVE=1")) {
		remove_stored(named);
		return false;
	}
	if (!strstr(text, "FDSTORE=1") || fd < 0 || keeper.refuses || keeper.n == STORE_MAX)
		return false;
	(void)snprintf(keeper.stored[keeper.n].name, NAME_MAX_, "%s", named);
	keeper.stored[keeper.n++].fd = fd;
	keeper.most = MAX(keeper.most, keeper.n);
	return true;
}

static void *keep(void *argument)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[4096];

	for (;;) {
		struct iovec part = {text, sizeof text - 1};
		struct msghdr message = {.msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = &control,
					 .msg_controllen = sizeof control};
		ssize_t len = recvmsg(keeper.socket, &message, MSG_CMSG_CLOEXEC);
		int fd = -1;

		if (len < 0)
			return argument;
		text[len] = 0;
		for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one;
		     one = CMSG_NXTHDR(&message, one))
			if (one->cmsg_type == SCM_RIGHTS)
				memcpy(&fd, CMSG_DATA(one), sizeof fd);
		(void)pthread_mutex_lock(&keeper.lock);
		if (!handle(text, fd) && fd >= 0)
			(void)close(fd);
		(void)pthread_mutex_unlock(&keeper.lock);
	}
}

static void start_keeper(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[100];
	int n;

	n = snprintf(address.sun_path, sizeof address.sun_path, "%cretort-test-vault-%d", 0,
		     getpid());
	(void)snprintf(name, sizeof name, "@retort-test-vault-%d", getpid());
	keeper.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(keeper.socket, 0);
	ck_assert_int_eq(bind(keeper.socket, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
			 0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	ck_assert_int_eq(pthread_create(&keeper.thread, NULL, keep, NULL), 0);
}

/* Waits until the manager has done all that it was told. */
static void sync_keeper(void)
{
	ck_assert_int_ge(sd_notify_barrier(false, UINT64_MAX), 0);
}

static void refuse(bool refuses)
{
	sync_keeper();
	(void)pthread_mutex_lock(&keeper.lock);
	keeper.refuses = refuses;
	(void)pthread_mutex_unlock(&keeper.lock);
}

static size_t count_stored(void)
{
	size_t n;

	sync_keeper();
	(void)pthread_mutex_lock(&keeper.lock);
	n = keeper.n;
	(void)pthread_mutex_unlock(&keeper.lock);
	return n;
}

/* What the next process would get. */
static struct handover_stored pass_stored(void)
{
	struct handover_stored stored = {.state = -1, .ledger = -1};

	sync_keeper();
	(void)pthread_mutex_lock(&keeper.lock);
	stored.safe = calloc(keeper.n + 1, sizeof *stored.safe);
	ck_assert_ptr_nonnull(stored.safe);
	for (size_t i = 0; i < keeper.n; i++) {
		int fd = fcntl(keeper.stored[i].fd, F_DUPFD_CLOEXEC, 0);

		ck_assert_int_ge(fd, 0);
		if (strcmp(keeper.stored[i].name, HANDOVER_LEDGER) == 0)
			stored.ledger = fd;
		else
			stored.safe[stored.n_safe++] =
				(struct handover_pair){fd, strdup(keeper.stored[i].name)};
	}
	(void)pthread_mutex_unlock(&keeper.lock);
	return stored;
}

/* ---- connections ---- */

static int files[FILES]; /* as many as can be told from each other */

static void open_files(void)
{
	for (size_t i = 0; i < FILES; i++) {
		files[i] = memfd_create("file", MFD_CLOEXEC);
		ck_assert_int_ge(files[i], 0);
	}
}

static bool is_same(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_ino == b.st_ino;
}

static struct vault *make_vault(size_t n)
{
	struct ledger *ledger;
	struct vault *vault;

	start_keeper();
	open_files();
	ck_assert_int_eq(ledger_new(n, &ledger), 0);
	ck_assert_int_eq(vault_new(ledger, &vault), 0);
	return vault;
}

/* A connection of this number comes, and is idle. Each has one of the files. */
static uint32_t come(struct vault *vault, uint64_t id)
{
	uint32_t entry = ledger_take_entry(vault_ledger(vault), id);

	ck_assert_uint_gt(entry, 0);
	vault_keep(vault, entry, files[id % FILES]);
	ledger_set_idle(vault_ledger(vault), entry, true);
	return entry;
}

/* Takes what remains, in which there are these connections and, lost, this many. */
static void expect_remains(const uint64_t *ids, size_t n, uint64_t n_lost)
{
	struct handover_stored stored = pass_stored();
	struct vault_remains remains;
	size_t found = 0;

	ck_assert_int_eq(vault_take(&stored, &remains), 0);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 1; j < remains.ledger->unused_entry; j++) {
			if (remains.ledger->entries[j].id != ids[i])
				continue;
			ck_assert_msg(remains.fds[j] >= 0, "%lu is lost", (unsigned long)ids[i]);
			ck_assert(is_same(remains.fds[j], files[ids[i] % FILES]));
			found++;
		}
	ck_assert_uint_eq(found, n);
	for (size_t j = 1; j < remains.ledger->unused_entry; j++)
		found -= remains.fds[j] >= 0;
	ck_assert_uint_eq(found, 0);
	ck_assert_uint_eq(remains.n_lost, n_lost);
	vault_remains_done(&remains);
	handover_stored_done(&stored);
}

/* Those of numbers from first on. */
static void expect_range(uint64_t first, size_t n, uint64_t n_lost)
{
	uint64_t *ids = calloc(n + 1, sizeof *ids);

	ck_assert_ptr_nonnull(ids);
	for (size_t i = 0; i < n; i++)
		ids[i] = first + i;
	expect_remains(ids, n, n_lost);
	free(ids);
}

/* ---- tests ---- */

START_TEST(the_idle_go_on)
{
	struct vault *vault = make_vault(20);
	struct ledger *ledger = vault_ledger(vault);
	uint32_t entries[8];

	for (uint64_t i = 0; i < 8; i++)
		entries[i] = come(vault, i + 1);
	ledger_set_idle(ledger, entries[1], false);
	ledger_give_up(&ledger->entries[entries[3]]);
	ledger->entries[entries[5]].elsewhere = true;
	vault_forget(vault, entries[7]);
	expect_remains((uint64_t[]){1, 3, 5, 7}, 4, 3);
	vault_free(vault);
	ck_assert_uint_eq(count_stored(), 0);
	vault_free(NULL);
}
END_TEST

START_TEST(nothing_remains_of_an_orderly_end)
{
	struct vault *vault = make_vault(5);
	struct vault_remains remains;
	struct handover_stored stored;

	(void)come(vault, 1);
	ck_assert_uint_gt(count_stored(), 0);
	vault_free(vault);
	stored = pass_stored();
	ck_assert_int_eq(vault_take(&stored, &remains), -ENOENT);
	ck_assert_uint_eq(remains.n_lost, 0);
	vault_remains_done(&remains);
	handover_stored_done(&stored);
}
END_TEST

/* The copy of one that is over is not that of the next which has the same entry. */
START_TEST(entries_are_used_again)
{
	struct vault *vault = make_vault(1);
	uint32_t entry = come(vault, 1);

	vault_forget(vault, entry);
	ck_assert_uint_eq(come(vault, 2), entry);
	vault_forget(vault, entry);
	ck_assert_uint_eq(come(vault, 3), entry);
	expect_remains((uint64_t[]){3}, 1, 0);
	vault_free(vault);
}
END_TEST

START_TEST(pairs_fill_up)
{
	enum { N = 5000 };
	struct vault *vault = make_vault(N);

	for (uint64_t i = 1; i <= N; i++)
		(void)come(vault, i);
	ck_assert_uint_le(count_stored(), 20);
	expect_range(1, N, 0);
	vault_free(vault);
	ck_assert_uint_eq(count_stored(), 0);
}
END_TEST

/* Counts the descriptors that are queued, which it takes. */
static size_t count_copies(void)
{
	struct handover_stored stored = pass_stored();
	struct handover_message message;
	uint8_t labels[16 * HANDOVER_FDS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < stored.n_safe; i++)
		while (handover_receive(stored.safe[i].fd, &message, labels, sizeof labels) > 0) {
			n += message.n;
			for (size_t j = 0; j < message.n; j++)
				(void)close(message.fds[j]);
		}
	handover_stored_done(&stored);
	return n;
}

START_TEST(churn_leaves_little_behind)
{
	enum { LIVE = 100, N = 20000 };
	struct vault *vault = make_vault(LIVE + 1);
	uint32_t entries[LIVE];

	for (uint64_t i = 0; i < LIVE; i++)
		entries[i] = come(vault, i + 1);
	for (uint64_t i = LIVE; i < N; i++) {
		vault_forget(vault, entries[i % LIVE]);
		entries[i % LIVE] = come(vault, i + 1);
	}
	ck_assert_uint_le(count_stored(), 16);
	ck_assert_uint_le(keeper.most, 32);
	expect_range(N - LIVE + 1, LIVE, 0);
	for (uint64_t i = 0; i < LIVE; i++)
		vault_forget(vault, entries[i]);
	vault_free(vault);
}
END_TEST

START_TEST(copies_are_bounded)
{
	struct vault *vault = make_vault(10);
	uint32_t still = come(vault, 1);

	for (uint64_t i = 2; i < 7000; i++)
		vault_forget(vault, come(vault, i));
	ck_assert_uint_le(count_copies(), 1100);
	vault_forget(vault, still);
	vault_free(vault);
}
END_TEST

/* Closed already by their worker, and nobody has said so yet. */
START_TEST(closed_ones_harm_nobody)
{
	enum { N = 1000 };
	struct vault *vault = make_vault(N + 10);
	struct ledger *ledger = vault_ledger(vault);
	uint32_t closed[2];

	for (uint64_t i = 1; i <= N; i++) {
		if (i == 300 || i == 301) {
			int fd = memfd_create("closed", MFD_CLOEXEC);

			closed[i - 300] = ledger_take_entry(ledger, 100000 + i);
			vault_keep(vault, closed[i - 300], fd);
			ledger_set_idle(ledger, closed[i - 300], false);
			(void)close(fd);
		}
		(void)come(vault, i);
	}
	/* Enough come and go that all is begun anew. */
	for (uint64_t i = N + 1; i < UINT64_C(5) * N; i++)
		vault_forget(vault, come(vault, i));
	expect_range(1, N, 2);
	vault_free(vault);
}
END_TEST

START_TEST(the_manager_may_refuse)
{
	struct vault *vault = make_vault(2000);
	uint64_t id = 0;

	for (; id < 100; id++)
		(void)come(vault, id + 1);
	refuse(true);
	for (; id < 700; id++)
		(void)come(vault, id + 1); /* into pairs that are not kept */
	refuse(false);
	for (; id < 1000; id++)
		(void)come(vault, id + 1);
	sync_keeper();
	/* What it has is worth what it says: nobody goes on by a wrong descriptor. */
	{
		struct handover_stored stored = pass_stored();
		struct vault_remains remains;
		size_t n = 0;

		ck_assert_int_eq(vault_take(&stored, &remains), 0);
		for (size_t i = 1; i < remains.ledger->unused_entry; i++) {
			if (remains.fds[i] < 0)
				continue;
			n++;
			ck_assert(is_same(remains.fds[i],
					  files[remains.ledger->entries[i].id % FILES]));
		}
		ck_assert_uint_ge(n, 250);
		ck_assert_uint_eq(remains.n_lost, 1000 - n);
		vault_remains_done(&remains);
		handover_stored_done(&stored);
	}
	vault_free(vault);
}
END_TEST

/* The kernel bounds how many descriptors of a user are queued, by the limit of open files. */
START_TEST(the_kernel_bounds_what_is_queued)
{
	enum { LIMIT = 1000, LIVE = 700, N = 5000 };
	struct rlimit limit = {LIMIT, LIMIT};
	struct vault *vault;
	uint32_t entries[LIVE];

	if (geteuid() == 0 && setresuid(64321, 64321, 64321) < 0) {
		harness_skip("cannot become another user, and this one may do everything");
		return;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	vault = make_vault(LIVE + 1);
	for (uint64_t i = 0; i < LIVE; i++)
		entries[i] = come(vault, i + 1);
	for (uint64_t i = LIVE; i < N; i++) {
		vault_forget(vault, entries[i % LIVE]);
		entries[i % LIVE] = come(vault, i + 1);
	}
	expect_range(N - LIVE + 1, LIVE, 0);
	vault_free(vault);
}
END_TEST

START_TEST(a_damaged_ledger_closes_all)
{
	struct vault *vault = make_vault(10);
	struct handover_stored stored;
	struct vault_remains remains;
	int both[2];
	uint32_t entry;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
	entry = ledger_take_entry(vault_ledger(vault), 1);
	vault_keep(vault, entry, both[0]);
	ledger_set_idle(vault_ledger(vault), entry, true);
	(void)come(vault, 2);
	(void)close(both[0]);
	vault_ledger(vault)->header->version++;
	stored = pass_stored();
	ck_assert_int_eq(vault_take(&stored, &remains), -EPROTO);
	ck_assert_uint_eq(remains.n_lost, 2);
	expect_end(both[1]);
	vault_remains_done(&remains);
	handover_stored_done(&stored);
	ck_assert_uint_eq(count_stored(), 0);
	vault_free(vault);
	(void)close(both[1]);
}
END_TEST

START_TEST(without_its_ledger_all_is_closed)
{
	struct vault *vault = make_vault(10);
	struct handover_stored stored;
	struct vault_remains remains;

	(void)come(vault, 1);
	stored = pass_stored();
	hang_up(&stored.ledger);
	ck_assert_int_eq(vault_take(&stored, &remains), -ENOENT);
	ck_assert_ptr_null(remains.ledger);
	vault_remains_done(&remains);
	handover_stored_done(&stored);
	ck_assert_uint_eq(count_copies(), 0);
	vault_free(vault);
}
END_TEST

START_TEST(entry_0_is_nothing)
{
	struct vault *vault = make_vault(1);

	(void)come(vault, 1);
	ck_assert_uint_eq(ledger_take_entry(vault_ledger(vault), 2), 0);
	vault_keep(vault, 0, files[0]);
	vault_forget(vault, 0);
	expect_range(1, 1, 0);
	vault_free(vault);
}
END_TEST

/* Memory is only made of what was used, however many there might be; also by who reads it. */
START_TEST(few_of_many_cost_little)
{
	struct vault *vault = make_vault((size_t)1 << 20);
	struct stat status;

	(void)come(vault, 1);
	(void)ledger_take_seat(vault_ledger(vault), 1, 1, 1, 1);
	expect_range(1, 1, 0);
	ck_assert_int_eq(fstat(vault_ledger(vault)->fd, &status), 0);
	ck_assert_int_le(status.st_blocks, 64 * 1024 / 512);
	vault_free(vault);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vault");

	harness_add(suite, few_of_many_cost_little);

	harness_add(suite, the_idle_go_on);
	harness_add(suite, nothing_remains_of_an_orderly_end);
	harness_add(suite, entries_are_used_again);
	harness_add(suite, pairs_fill_up);
	harness_add(suite, churn_leaves_little_behind);
	harness_add(suite, copies_are_bounded);
	harness_add(suite, closed_ones_harm_nobody);
	harness_add(suite, the_manager_may_refuse);
	harness_add(suite, the_kernel_bounds_what_is_queued);
	harness_add(suite, a_damaged_ledger_closes_all);
	harness_add(suite, without_its_ledger_all_is_closed);
	harness_add(suite, entry_0_is_nothing);
	return harness_main(suite);
}
