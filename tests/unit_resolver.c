/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A name service that does not answer: passwd(5) is a FIFO here, which nobody opens but the
 * resolver.
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "resolver.h"
#include "users.h"

enum { ANSWER = 7, ANNA = 70001 };

static const char users_file[] = "/etc/passwd";

/* One users, and what it asks. */
struct fixture {
	struct users *users;
	struct mailbox mailbox;
	struct list waiter, ready;
	char path[128]; /* of the FIFO */
};

/* How many resolvers there are: a checker may have threads of its own. */
static size_t count_resolvers(void)
{
	DIR *directory = opendir("/proc/self/task");
	struct dirent *entry;
	size_t n = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory))) {
		char path[64], name[32] = "";
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* "." and "..", and one that is gone by now */
		n += fgets(name, sizeof(name), file) && strcmp(name, "resolver\n") == 0;
		(void)fclose(file);
	}
	(void)closedir(directory);
	return n;
}

static bool put_in_place(const char *path)
{
	return mount(path, users_file, NULL, MS_BIND, NULL) == 0;
}

/* Returns false where no file can be put into the place of another. */
static bool setup(struct fixture *fixture)
{
	*fixture = (struct fixture){.mailbox.fd = -1};
	list_init(&fixture->waiter);
	list_init(&fixture->ready);
	(void)snprintf(fixture->path, sizeof(fixture->path), "%.100s/fifo-%d",
		       getenv("RETORT_TEST_DIRECTORY"), getpid());
	ck_assert_int_eq(mkfifo(fixture->path, 0600), 0);
	if (!harness_private_mounts() || !put_in_place(fixture->path)) {
		harness_skip("nothing can be mounted here");
		return false;
	}
	ck_assert_int_eq(mailbox_init(&fixture->mailbox), 0);
	ck_assert_int_eq(users_new(&fixture->mailbox, ANSWER, &fixture->users), 0);
	return true;
}

static void await_resolvers(size_t n)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (count_resolvers() != n)
		harness_pause(deadline, "resolvers to come or go");
}

static void teardown(struct fixture *fixture)
{
	users_free(fixture->users);
	mailbox_done(&fixture->mailbox);
	await_resolvers(0);
}

/* Waits until the resolver opens the FIFO, and lets it: as this is no file, there is nobody. */
static void let_in(const struct fixture *fixture)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	int fd;

	while ((fd = open(fixture->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
		harness_pause(deadline, "the name service to be asked");
	closep(&fd);
}

/* What is asked from now on is answered, by a file with this user of Anna's number. */
static void mend(struct fixture *fixture, const char *name)
{
	char path[160];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s-%s", fixture->path, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fprintf(file, "%s:x:%d:70001::/:/bin/sh\n", name, ANNA), 0);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(umount2(users_file, MNT_DETACH), 0);
	ck_assert(put_in_place(path));
}

static void wait_for_name(struct fixture *fixture)
{
	users_begin(fixture->users);
	ck_assert_ptr_null(users_name(fixture->users, ANNA));
	ck_assert(users_lacks(fixture->users));
	users_wait(fixture->users, &fixture->waiter);
}

/* Takes one answer. */
static void take_answer(struct fixture *fixture)
{
	struct letter *letter = NULL;

	while (!letter) {
		struct pollfd polled = {.fd = fixture->mailbox.fd, .events = POLLIN};

		ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
		letter = mailbox_collect(&fixture->mailbox);
	}
	ck_assert_ptr_null(letter->next);
	ck_assert_uint_eq(letter->kind, ANSWER);
	users_answered(fixture->users, CONTAINER_OF(letter, struct question, letter),
		       &fixture->ready);
}

static void expect_name(struct fixture *fixture, const char *name)
{
	users_begin(fixture->users);
	ck_assert_pstr_eq(users_name(fixture->users, ANNA), name);
	ck_assert(!users_lacks(fixture->users));
}

/* It is left with all that it has, and frees that when it is answered. */
START_TEST(test_left_alone)
{
	struct fixture fixture;
	uint64_t deadline;

	if (!setup(&fixture))
		return;
	wait_for_name(&fixture);
	ck_assert_str_eq(users_resemble(fixture.users, "zz-listed"), "");
	ck_assert_ptr_null(users_name(fixture.users, 70002)); /* which is queued */
	await_resolvers(2);
	users_free(fixture.users);
	mailbox_done(&fixture.mailbox);
	ck_assert_uint_eq(count_resolvers(), 2);
	/* Each opens it, at some time. */
	deadline = harness_now() + (uint64_t)harness_patience();
	while (count_resolvers() > 0) {
		int fd = open(fixture.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		closep(&fd);
		harness_pause(deadline, "resolvers to end");
	}
}
END_TEST

/* It has answered, and nobody has read that. */
START_TEST(test_answer_is_not_read)
{
	struct fixture fixture;
	struct pollfd polled = {.events = POLLIN};

	if (!setup(&fixture))
		return;
	mend(&fixture, "zzanna");
	wait_for_name(&fixture);
	polled.fd = fixture.mailbox.fd;
	ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
	teardown(&fixture);
}
END_TEST

START_TEST(test_nobody_waits_for_long)
{
	struct list second, more = LIST_INIT(more);
	struct fixture fixture;
	uint64_t deadline;

	if (!setup(&fixture))
		return;
	list_init(&second);
	wait_for_name(&fixture);
	users_wait(fixture.users, &second);
	ck_assert(!users_are_stuck(fixture.users));
	users_release(fixture.users, &more);
	ck_assert_ptr_eq(more.next, &fixture.waiter);
	list_remove(&fixture.waiter);
	list_remove(&second);
	ck_assert(list_empty(&more));
	wait_for_name(&fixture);
	users_wait(fixture.users, &second);

	deadline = harness_now() + (uint64_t)harness_patience();
	while (!users_are_stuck(fixture.users)) {
		users_check(fixture.users, &fixture.ready);
		harness_pause(deadline, "it to be too long");
	}
	ck_assert_ptr_eq(fixture.ready.next, &fixture.waiter);
	ck_assert_ptr_eq(fixture.ready.previous, &second);
	expect_name(&fixture, NULL);
	ck_assert_str_eq(users_resemble(fixture.users, "zz-bob"), "");
	ck_assert(!users_lacks(fixture.users));

	/* What it says at last counts. */
	let_in(&fixture);
	mend(&fixture, "zzbob");
	take_answer(&fixture);
	ck_assert(!users_are_stuck(fixture.users));
	expect_name(&fixture, "70001");
	users_forget(fixture.users);
	wait_for_name(&fixture);
	take_answer(&fixture);
	expect_name(&fixture, "zzbob");
	teardown(&fixture);
}
END_TEST

/* What was asked before all was to be forgotten is asked once more. */
START_TEST(test_asked_anew)
{
	struct fixture fixture;

	if (!setup(&fixture))
		return;
	wait_for_name(&fixture);
	users_forget(fixture.users);
	let_in(&fixture);
	mend(&fixture, "zzbob");
	take_answer(&fixture);
	ck_assert(list_empty(&fixture.ready));
	take_answer(&fixture);
	ck_assert_ptr_eq(fixture.ready.next, &fixture.waiter);
	expect_name(&fixture, "zzbob");
	teardown(&fixture);
}
END_TEST

/* Whoever makes do with what is known asks nothing. */
START_TEST(test_make_do)
{
	struct fixture fixture;

	if (!setup(&fixture))
		return;
	mend(&fixture, "zzanna");
	ck_assert(!users_make_do(fixture.users, true));
	expect_name(&fixture, NULL);
	ck_assert(users_make_do(fixture.users, false));
	wait_for_name(&fixture);
	take_answer(&fixture);
	(void)users_make_do(fixture.users, true);
	expect_name(&fixture, "zzanna");
	teardown(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resolver");

	harness_add(suite, test_left_alone);
	harness_add(suite, test_answer_is_not_read);
	harness_add(suite, test_nobody_waits_for_long);
	harness_add(suite, test_asked_anew);
	harness_add(suite, test_make_do);
	return harness_main(suite);
}
