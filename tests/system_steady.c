/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a message costs once everything is warm, counted and not timed: one receiving and one
 * sending call a turn, however many messages it has, and no allocation.
 */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const char config[] = "workers = 1; listeners: ("
			     "{ name = \"raw\"; framing = \"raw\"; "
			     "listen = [ \"tcp://127.0.0.1:0\", \"unix:raw\" ]; },"
			     "{ name = \"line\"; framing = \"line\"; transforms = [ \"upper\" ]; "
			     "listen = [ \"tcp://127.0.0.1:0\", \"unix:line\" ]; },"
			     "{ name = \"length\"; transforms = [ \"reverse\" ]; "
			     "listen = [ \"tcp://127.0.0.1:0\", \"unix:length\" ]; },"
			     "{ name = \"json\"; payload = \"json\"; transforms = [ \"upper\" ]; "
			     "listen = [ \"tcp://127.0.0.1:0\", \"unix:json\" ]; });";

static const struct {
	const char *listener;
	const char *text;
} kinds[] = {
	{"raw", "hello, world!"},
	{"line", "hello, world!"},
	{"length", "hello, world!"},
	{"json", "{\"text\":\"hello, world!\"}"},
	{"line", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
	{"line", "stra\xc3\x9f\x65 \xc5\x89"},
	{"length", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 e\xcc\x81"},
};

/* One turn of n messages: sent in one piece, answered in one piece. */
static void turn(int fd, const char *listener, const char *text, unsigned n, size_t *answer)
{
	enum framing framing = strcmp(listener, "json") == 0
				       ? FRAMING_LENGTH
				       : (enum framing)framing_from_name(listener);
	CLEANUP(buffer_done) struct buffer wire = {0};
	uint8_t received[8192];

	for (unsigned i = 0; i < n; i++)
		wrap(&wire, framing, text, strlen(text));
	send_all(fd, wire.data, wire.len);
	if (*answer == 0) {
		/* How long the answer is shows the first time, when nothing else is under way. */
		shut_down(fd);
		wire.len = 0;
		recv_to_end(fd, &wire);
		*answer = wire.len;
	} else {
		recv_exactly(fd, received, *answer);
	}
}

/* ---- allocations ---- */

START_TEST(no_allocation_a_message)
{
	char preload[PATH_MAX], path[SERVER_PATH_MAX + 16], variable[SERVER_PATH_MAX + 64];
	char preload_variable[PATH_MAX + 16];
	CLEANUP(closep) int unfinished = -1;
	uint64_t counted, deadline;
	const uint64_t *count;
	struct server server;
	ssize_t len;
	int fd;

	if (harness_slow()) {
		harness_skip("a checker has an allocator of its own");
		return;
	}
	len = readlink("/proc/self/exe", preload, sizeof preload - 32);
	ck_assert_int_gt(len, 0);
	preload[len] = 0;
	(void)strcpy(strrchr(preload, '/'), "/preload_alloc.so");
	server_init(&server);
	(void)sprintf(path, "%s/allocations", server.directory);
	file_write(path, "\0\0\0\0\0\0\0", 8);
	(void)sprintf(variable, "RETORT_TEST_ALLOCATIONS=%s", path);
	(void)sprintf(preload_variable, "LD_PRELOAD=%s", preload);
	server_start(&server, &(struct server_setup){.config = config,
						     .environment = (const char *const[]){
							     variable, preload_variable, NULL}});
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	count = mmap(NULL, sizeof *count, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(count, MAP_FAILED);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned n = 1; n <= (kinds[k].listener[0] == 'r' ? 1 : 16); n += 15) {
			CLEANUP(closep) int first = client(&server, kinds[k].listener, "tcp:");
			CLEANUP(closep) int tcp = client(&server, kinds[k].listener, "tcp:");
			CLEANUP(closep) int local = client(&server, kinds[k].listener, "unix:");
			size_t answer = 0;
			uint64_t before;

			turn(first, kinds[k].listener, kinds[k].text, n, &answer);
			hang_up(&first);
			for (int i = 0; i < 10; i++) {
				turn(tcp, kinds[k].listener, kinds[k].text, n, &answer);
				turn(local, kinds[k].listener, kinds[k].text, n, &answer);
			}
			before = *(const volatile uint64_t *)count;
			for (int i = 0; i < 1000; i++) {
				turn(tcp, kinds[k].listener, kinds[k].text, n, &answer);
				turn(local, kinds[k].listener, kinds[k].text, n, &answer);
			}
			ck_assert_msg(*(const volatile uint64_t *)count == before,
				      "%s, %u messages of \"%s\" a turn: %llu allocations in 2000 "
				      "turns",
				      kinds[k].listener, n, kinds[k].text,
				      (unsigned long long)(*count - before));
		}
	/* It does count: what is unfinished has to be kept. */
	counted = *(const volatile uint64_t *)count;
	unfinished = client(&server, "length", "tcp:");
	send_text(unfinished, "60000     hello");
	deadline = harness_now() + (uint64_t)harness_patience();
	while (*(const volatile uint64_t *)count == counted)
		harness_pause(deadline, "an allocation");
	(void)munmap((void *)count, sizeof *count);
	(void)close(fd);
	hang_up(&unfinished);
	server_stop(&server);
}
END_TEST

/* ---- system calls ---- */

/* Starts strace on the daemon; returns its pid, or 0 when it cannot trace here. */
static pid_t trace(struct server *server, const char *output, const char *messages)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	pid_t parent = getpid(), pid = fork();
	char number[16];

	ck_assert_int_ge(pid, 0);
	(void)sprintf(number, "%d", (int)server->pid);
	file_write(messages, "", 0);
	if (pid == 0) {
		int fd = open(messages, O_WRONLY | O_APPEND | O_CLOEXEC);

		if (dup2(fd, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		    getppid() != parent)
			_exit(EXIT_FAILURE);
		(void)execlp("strace", "strace", "-f", "-o", output, "-p", number, NULL);
		_exit(EXIT_FAILURE);
	}
	for (;;) {
		CLEANUP(freep) char *text = file_read(messages);

		if (strstr(text, "attached"))
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		harness_pause(deadline, "strace");
	}
}

/*
 * Counts calls in what strace wrote; not those of the daemon's first thread, which carries no
 * messages, and has business of its own at any time.
 */
static unsigned count_calls(const struct server *server, const char *text, const char *name)
{
	unsigned n = 0;

	for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
		const char *line = at;

		while (line > text && line[-1] != '\n')
			line--;
		n += at > line && at[-1] == ' ' && at[strlen(name)] == '(' &&
		     strtol(line, NULL, 10) != server->pid;
	}
	return n;
}

static void count_turns(const char *listener, const char *scheme, const char *text, unsigned n)
{
	enum { TURNS = 200 };
	static const char *const receiving[] = {"recvfrom", "recvmsg", "read", "readv"};
	static const char *const sending[] = {"sendto", "sendmsg", "write", "writev"};
	static const char *const none[] = {
		"epoll_ctl",  "clock_gettime", "futex",		  "brk",   "mmap",
		"getsockopt", "setsockopt",    "timerfd_settime", "ioctl", "fcntl"};
	char output[SERVER_PATH_MAX + 16], messages[SERVER_PATH_MAX + 16];
	CLEANUP(closep) int first = -1, fd = -1;
	CLEANUP(freep) char *calls = NULL;
	unsigned received = 0, sent = 0;
	struct server server;
	size_t answer = 0;
	uint64_t deadline;
	pid_t tracer;

	server_init(&server);
	(void)sprintf(output, "%s/calls", server.directory);
	(void)sprintf(messages, "%s/strace", server.directory);
	server_start(&server, &(struct server_setup){.config = config, .without_wrapper = true});
	first = client(&server, listener, scheme);
	fd = client(&server, listener, scheme);
	turn(first, listener, text, n, &answer);
	for (int i = 0; i < 10; i++)
		turn(fd, listener, text, n, &answer);
	/* Its departure is not to be among what is counted. */
	hang_up(&first);
	deadline = harness_now() + (uint64_t)harness_patience();
	while (server_counter(&server, listener, "clients now") != 1)
		harness_pause(deadline, "the first client to be gone");
	tracer = trace(&server, output, messages);
	if (!tracer) {
		harness_skip("strace cannot attach here");
		server_stop(&server);
		return;
	}
	for (int i = 0; i < TURNS; i++)
		turn(fd, listener, text, n, &answer);
	ck_assert_int_eq(kill(tracer, SIGINT), 0);
	ck_assert_int_eq(waitpid(tracer, NULL, 0), tracer);
	calls = file_read(output);
	for (size_t i = 0; i < ARRAY_SIZE(receiving); i++)
		received += count_calls(&server, calls, receiving[i]);
	for (size_t i = 0; i < ARRAY_SIZE(sending); i++)
		sent += count_calls(&server, calls, sending[i]);
	ck_assert_msg(received == TURNS, "%u receiving calls in %d turns", received, TURNS);
	ck_assert_msg(sent == TURNS, "%u sending calls in %d turns", sent, TURNS);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		ck_assert_msg(count_calls(&server, calls, none[i]) < TURNS / 20,
			      "%u calls of %s in %d turns", count_calls(&server, calls, none[i]),
			      none[i], TURNS);
	server_stop(&server);
}

START_TEST(two_calls_a_turn)
{
	if (harness_slow()) {
		harness_skip("a checker makes calls of its own");
		return;
	}
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned n = 1; n <= (kinds[k].listener[0] == 'r' ? 1 : 16); n += 15)
			count_turns(kinds[k].listener, k % 2 ? "tcp:" : "unix:", kinds[k].text, n);
}
END_TEST

/* An idle connection owns no memory of the daemon's beyond its own small state. */
START_TEST(idle_connections_are_small)
{
	enum { CLIENTS = 5000, MOST = 400 /* bytes each */ };
	size_t n = harness_raise_files(CLIENTS + 100) - 100, before, after;
	CLEANUP(freep) int *fds = calloc(n, sizeof *fds);
	struct server server;

	ck_assert_ptr_nonnull(fds);
	if (harness_slow()) {
		harness_skip("a checker has memory of its own");
		return;
	}
	server_start_config(&server, "%s", config);
	server_assert_serves(&server, "length", FRAMING_LENGTH);
	before = server_rss(&server);
	for (size_t i = 0; i < n; i++) {
		fds[i] = client(&server, "length", "tcp:");
		send_text(fds[i], "2         ab");
		expect_text(fds[i], "2         ba");
	}
	after = server_rss(&server);
	ck_assert_msg(after <= before + n * MOST + 65536, "%zu bytes for %zu idle connections",
		      after - before, n);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_steady");

	harness_add(suite, no_allocation_a_message);
	harness_add(suite, two_calls_a_turn);
	harness_add(suite, idle_connections_are_small);
	return harness_main(suite);
}
