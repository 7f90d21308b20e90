/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Clients of the classic kinds, which know nothing of retort: tutorial scripts of Python, in
 * tests/naive beside this file, and nc.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void start(struct server *server)
{
	server_start_config(server, "%s",
			    "timeouts: { drain = \"1s\"; }; listeners: ("
			    "{ name = \"raw\"; framing = \"raw\"; transforms = [ \"upper\" ]; "
			    "listen = \"tcp://127.0.0.1:0\"; },"
			    "{ name = \"line\"; framing = \"line\"; transforms = [ \"reverse\" ]; "
			    "listen = [ \"tcp://127.0.0.1:0\", \"unix:line\" ]; },"
			    "{ name = \"length\"; transforms = [ \"upper\" ]; "
			    "listen = [ \"tcp://127.0.0.1:0\", \"udp://127.0.0.1:0\" ]; });");
}

/* The directory of the Python clients: beside the source of this test. */
static const char *script(const char *name)
{
	static char path[PATH_MAX];
	const char *here = strrchr(__FILE__, '/');

	(void)snprintf(path, sizeof path, "%.*s/naive/%s", here ? (int)(here - __FILE__) : 1,
		       here ? __FILE__ : ".", name);
	ck_assert_msg(access(path, R_OK) == 0, "%s: run the tests from the project's folder", path);
	return path;
}

static void become(char *const *arguments, const char *in, const char *out, pid_t parent)
{
	int in_fd = open(in, O_RDONLY | O_CLOEXEC);
	int out_fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (in_fd < 0 || out_fd < 0 || dup2(in_fd, STDIN_FILENO) < 0 ||
	    dup2(out_fd, STDOUT_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    getppid() != parent)
		_exit(126);
	(void)execvp(arguments[0], arguments);
	_exit(127);
}

/* Runs a client on input to its end; returns what it printed. */
static char *run(struct server *server, const char *input, ...)
{
	char in[SERVER_PATH_MAX + 8], out[SERVER_PATH_MAX + 8], *arguments[16] = {NULL};
	pid_t parent = getpid(), pid;
	struct pollfd polled;
	va_list list;
	size_t n = 0;
	int status;

	va_start(list, input);
	do {
		arguments[n] = va_arg(list, char *);
	} while (arguments[n++]);
	va_end(list);
	(void)sprintf(in, "%s/in", server->directory);
	(void)sprintf(out, "%s/out", server->directory);
	file_write(in, input, strlen(input));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become(arguments, in, out, parent);
	polled = (struct pollfd){pidfd_open(pid, 0), POLLIN, 0};
	ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "%s does not end", arguments[0]);
	(void)close(polled.fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ends with %#x",
		      arguments[0], status);
	return file_read(out);
}

static const char *port(const struct server *server, const char *listener, const char *scheme,
			char text[static 16])
{
	(void)sprintf(text, "%u", server_port(server, listener, scheme));
	return text;
}

START_TEST(python_recv_1024)
{
	CLEANUP(freep) char *answer = NULL;
	struct server server;
	char number[16];

	start(&server);
	answer = run(&server, "", "python3", script("recv1024.py"), "127.0.0.1",
		     port(&server, "raw", NULL, number), "hello, world!", "stra\xc3\x9f\x65", "x",
		     "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", (char *)NULL);
	ck_assert_str_eq(answer, "HELLO, WORLD!\nSTRASSE\nX\n"
				 "\xd0\x9f\xd0\xa0\xd0\x98\xd0\x92\xd0\x95\xd0\xa2\n");
	server_stop(&server);
}
END_TEST

START_TEST(python_recv_loop)
{
	CLEANUP(freep) char *answer = NULL, *local = NULL;
	char number[16], input[20000] = "", want[20000] = "";
	struct server server;

	for (int i = 0; i < 1000; i++) {
		(void)sprintf(input + strlen(input), "%04d\r\n", i);
		(void)sprintf(want + strlen(want), "%d%d%d%d\r\n", i % 10, i / 10 % 10,
			      i / 100 % 10, i / 1000);
	}
	start(&server);
	answer = run(&server, input, "python3", script("recv_loop.py"), "127.0.0.1",
		     port(&server, "line", "tcp:", number), (char *)NULL);
	ck_assert_str_eq(answer, want);
	local = run(&server, "abc\nunfinished", "python3", script("recv_loop.py"),
		    server_address(&server, "line", "unix:") + strlen("unix:"), (char *)NULL);
	ck_assert_str_eq(local, "cba\ndehsinifnu\n");
	server_stop(&server);
}
END_TEST

START_TEST(python_sixteen_bytes)
{
	CLEANUP(freep) char *answer = NULL;
	struct server server;
	char number[16];

	start(&server);
	answer = run(&server, "", "python3", script("sixteen.py"), "127.0.0.1",
		     port(&server, "length", "tcp:", number), "hello, world!", "", "a",
		     "more than sixteen bytes in one message, and then some", "stra\xc3\x9f\x65",
		     (char *)NULL);
	ck_assert_str_eq(answer, "HELLO, WORLD!\n\nA\n"
				 "MORE THAN SIXTEEN BYTES IN ONE MESSAGE, AND THEN SOME\n"
				 "STRASSE\n");
	server_stop(&server);
}
END_TEST

START_TEST(nc)
{
	CLEANUP(freep) char *half_close = NULL, *raw = NULL, *patient = NULL, *local = NULL;
	struct server server;
	char number[16];

	start(&server);
	half_close = run(&server, "one\ntwo\nthree", "nc", "-N", "127.0.0.1",
			 port(&server, "line", "tcp:", number), (char *)NULL);
	ck_assert_str_eq(half_close, "eno\nowt\neerht\n");
	/* -q waits after the end of its input, and then leaves without a word. */
	patient = run(&server, "one\ntwo\n", "nc", "-q", "1", "127.0.0.1", number, (char *)NULL);
	ck_assert_str_eq(patient, "eno\nowt\n");
	local = run(&server, "one\n", "nc", "-N", "-U",
		    server_address(&server, "line", "unix:") + strlen("unix:"), (char *)NULL);
	ck_assert_str_eq(local, "eno\n");
	raw = run(&server, "hello, world!", "nc", "-N", "127.0.0.1",
		  port(&server, "raw", NULL, number), (char *)NULL);
	ck_assert_str_eq(raw, "HELLO, WORLD!");
	server_stop(&server);
}
END_TEST

START_TEST(nc_over_udp)
{
	CLEANUP(freep) char *answer = NULL;
	struct server server;
	char number[16];

	start(&server);
	answer = run(&server, "hello", "nc", "-u", "-w", "1", "127.0.0.1",
		     port(&server, "length", "udp:", number), (char *)NULL);
	ck_assert_str_eq(answer, "HELLO");
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_naive");

	harness_add(suite, python_recv_1024);
	harness_add(suite, python_recv_loop);
	harness_add(suite, python_sixteen_bytes);
	harness_add(suite, nc);
	harness_add(suite, nc_over_udp);
	return harness_main(suite);
}
