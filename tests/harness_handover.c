/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_handover.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MESSAGES_AT_ONCE = 60, LONGEST = 9000 };

const char *const handover_schemes[] = {"tcp:", "unix:", NULL};

static const char *const names[] = {"length", "line", "raw"};

/* ---- the service ---- */

char *handover_listeners(const struct manager *manager)
{
	char *text = strdup("listeners: (");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(freep) char *before = text;

		ck_assert_int_ge(asprintf(&text,
					  "%s%s{ name = \"%s\"; framing = \"%s\"; "
					  "transforms = [ \"upper\" ]; listen = [ \"%s\", \"%s\" "
					  "]; }",
					  before, i ? ", " : "", names[i], names[i],
					  manager->sockets[2 * i].address,
					  manager->sockets[2 * i + 1].address),
				 0);
	}
	{
		CLEANUP(freep) char *before = text;

		ck_assert_int_ge(asprintf(&text, "%s);", before), 0);
	}
	return text;
}

void handover_start(struct manager *manager, const char *settings)
{
	CLEANUP(freep) char *listeners = NULL;

	manager_init(manager);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		(void)snprintf(path, sizeof path, "unix:%s.sock", names[i]);
		(void)manager_listen(manager, names[i], "tcp://127.0.0.1:0");
		(void)manager_listen(manager, names[i], path);
	}
	listeners = handover_listeners(manager);
	manager_start(manager, "%s %s", settings, listeners);
}

uint64_t handover_read(struct manager *manager, const char *listener)
{
	return server_counter(&manager->server, listener, "bytes in");
}

void handover_wait_read(struct manager *manager, const char *listener, uint64_t before, uint64_t n)
{
	(void)server_wait_counter(&manager->server, listener, "bytes in", before + n);
}

void handover_wait_clients(struct manager *manager, uint64_t n)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (server_counter(&manager->server, NULL, "clients now") != n)
		harness_pause(deadline, "so many clients");
}

void handover_ask(int fd)
{
	send_frame(fd, "ping", 4);
	expect_frame(fd, "PING", 4);
}

/* ---- load ---- */

/* What one round sends, which is also what is answered: upper-casing changes nothing of it. */
static void make_round(struct buffer *round, enum framing framing, struct random *random,
		       size_t first)
{
	static char text[LONGEST];

	round->len = 0;
	memset(text, '=', sizeof text);
	for (size_t i = 0; i < MESSAGES_AT_ONCE; i++) {
		size_t len = 24 + random_below(random, i % 7 ? 100 : LONGEST - 24);

		(void)snprintf(text, 24, "MESSAGE %-15zu", first + i);
		text[23] = '=';
		wrap(round, framing, text, len);
	}
}

static void run_load(const char *address, enum framing framing, int stop)
{
	CLEANUP(buffer_done) struct buffer round = {0}, got = {0};
	CLEANUP(closep) int fd = connect_to(address);
	struct pollfd polled = {.fd = stop, .events = POLLIN};
	struct random random;
	size_t sent = 0;
	bool last;

	random_init(&random, (uint64_t)getpid());
	do {
		last = poll(&polled, 1, 0) == 1;
		make_round(&round, framing, &random, sent);
		exchange(fd, round.data, round.len, 0, NULL, last, round.len, &got);
		assert_bytes(got.data, got.len, round.data, round.len, "answers under load");
		sent += MESSAGES_AT_ONCE;
	} while (!last);
}

/* Many connections one after the other, each of which says one thing, in either way to end. */
static void run_short_load(const char *address, int stop)
{
	struct pollfd polled = {.fd = stop, .events = POLLIN};

	for (unsigned n = 0; poll(&polled, 1, 0) == 0; n++) {
		CLEANUP(closep) int fd = connect_to(address);

		handover_ask(fd);
		if (n % 2)
			continue;
		shut_down(fd);
		expect_end(fd);
	}
}

bool load_fork(struct load *load, int *ret_stop)
{
	pid_t parent = getpid();
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	load->stop = ends[1];
	load->pid = fork();
	ck_assert_int_ge(load->pid, 0);
	if (load->pid > 0) {
		(void)close(ends[0]);
		return false;
	}
	(void)close(ends[1]);
	ck_assert(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent);
	*ret_stop = ends[0];
	return true;
}

void load_start(struct load *load, const char *address, enum framing framing)
{
	int stop;

	if (!load_fork(load, &stop))
		return;
	run_load(address, framing, stop);
	_exit(EXIT_SUCCESS);
}

void load_start_short(struct load *load, const char *address)
{
	int stop;

	if (!load_fork(load, &stop))
		return;
	run_short_load(address, stop);
	_exit(EXIT_SUCCESS);
}

void load_stop(struct load *load)
{
	CLEANUP(closep) int end = pidfd_open(load->pid, 0);
	struct pollfd polled = {.fd = end, .events = POLLIN};
	int status;

	/* One that knows by itself when to end may be gone. */
	ck_assert(write(load->stop, "", 1) == 1 || errno == EPIPE);
	closep(&load->stop);
	ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "a client is stuck");
	ck_assert_int_eq(waitpid(load->pid, &status, 0), load->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a client failed");
}
