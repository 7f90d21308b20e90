/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A machine that stands still for a while: when it goes on, whatever has come meanwhile is read
 * before anybody is said to be late. Threads are held by a signal.
 */

#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "harness_hub.h"
#include "worker.h"

enum { PATIENCE = 2000 /* milliseconds that a worker has to answer */ };

/* A thread that can be held. */
struct thread {
	const char *name;
	int signal;
	int held[2], released[2]; /* pipes: a byte when it is */
};

static struct thread hub = {.name = "hub", .signal = SIGUSR1};
static struct thread worker = {.name = "worker", .signal = SIGUSR2};

static void stand_still(int signal)
{
	struct thread *thread = signal == hub.signal ? &hub : &worker;
	char byte;

	(void)!write(thread->held[1], "", 1);
	(void)!read(thread->released[0], &byte, 1);
}

static void take_byte(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	char byte;

	ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
	ck_assert_int_eq(read(fd, &byte, 1), 1);
}

/* Returns the number of the thread of this name. */
static pid_t find_thread(const char *name)
{
	DIR *directory = opendir("/proc/self/task");
	struct dirent *entry;
	pid_t found = 0;

	ck_assert_ptr_nonnull(directory);
	while (found == 0 && (entry = readdir(directory))) {
		CLEANUP(freep) char *comm = NULL;
		char path[64];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", entry->d_name);
		comm = file_read(path);
		if (strcspn(comm, "\n") == strlen(name) && strncmp(comm, name, strlen(name)) == 0)
			found = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	(void)closedir(directory);
	return found;
}

/* Waits for the thread as well: it gives itself its name. */
static void hold(struct thread *thread)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	pid_t number;

	while ((number = find_thread(thread->name)) == 0)
		harness_pause(deadline, thread->name);
	ck_assert_int_eq(tgkill(getpid(), number, thread->signal), 0);
	take_byte(thread->held[0]);
}

static void let_go(struct thread *thread)
{
	ck_assert_int_eq(write(thread->released[1], "", 1), 1);
}

static void make_holdable(struct thread *thread)
{
	const struct sigaction action = {.sa_handler = stand_still};

	ck_assert_int_eq(pipe(thread->held), 0);
	ck_assert_int_eq(pipe(thread->released), 0);
	ck_assert_int_eq(sigaction(thread->signal, &action, NULL), 0);
}

/* Waits until a letter lies in a mailbox whose reader is held. */
static void await_letter(const struct mailbox *mailbox)
{
	struct pollfd polled = {.fd = mailbox->fd, .events = POLLIN};

	ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
}

static void start(struct hub_stage *stage)
{
	const struct passwd *me = getpwuid(geteuid());
	char config[256];

	make_holdable(&hub);
	make_holdable(&worker);
	(void)snprintf(config, sizeof config,
		       "workers = 1; listeners: ( { name = \"chat\"; service = \"chat\"; "
		       "listen = \"unix:chat\"; } ); chat: { admins = [ \"%s\" ]; };",
		       me ? me->pw_name : "");
	hub_stage_start(stage, config, NULL);
}

static json_t *receive_reply(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	static char text[65536];
	json_t *reply = NULL;
	size_t len = 0;

	while (!reply) {
		ssize_t n;

		ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
		n = recv(fd, text + len, sizeof text - len, 0);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
		if (len > FRAME_HEADER)
			reply = json_loadb(text + FRAME_HEADER, len - FRAME_HEADER, 0, NULL);
	}
	return reply;
}

/* The worker answers in time, and the hub does not come to read that. */
START_TEST(test_answer_that_has_come)
{
	struct hub_stage stage;
	const struct mailbox *of_worker;
	uint64_t until;
	json_t *reply;
	int fd;

	start(&stage);
	of_worker = worker_mailbox(stage.crew.members[0].worker);
	fd = hub_stage_connect(&stage, 0, true, 0);
	send_frame(fd, "{\"op\":\"who\"}", 12);
	json_decref(receive_reply(fd));

	/* Asked, and answered, while the hub stands still. */
	hold(&hub);
	send_frame(fd, "{\"op\":\"clients\"}", 16);
	await_letter(hub_mailbox(stage.hub));
	hold(&worker);
	let_go(&hub);
	await_letter(of_worker);
	hold(&hub);
	let_go(&worker);
	await_letter(hub_mailbox(stage.hub));
	until = harness_now() + PATIENCE + 100;
	while (harness_now() < until)
		harness_pause(until + (uint64_t)harness_patience(), "time to pass");
	let_go(&hub);

	reply = receive_reply(fd);
	ck_assert_msg(json_is_true(json_object_get(reply, "ok")), "%s",
		      json_dumps(reply, JSON_COMPACT));
	json_decref(reply);
	(void)close(fd);
	hub_stage_stop(&stage);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hub_late");

	harness_add(suite, test_answer_that_has_come);
	return harness_main(suite);
}
