/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether tool_endure, by which others are judged, finds nothing where there is nothing to be
 * found, and finds each fault that there is.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"

/* A running tool_endure. */
struct tool {
	pid_t pid;
	int in, out; /* owned */
	json_t *report;
};

static struct server server;

static void start(void)
{
	server_start_config(
		&server, "%s",
		"max_pending = \"64K\"; timeouts: { drain = \"1s\"; }; "
		"listeners: ({ name = \"length\"; transforms = [ \"upper\" ]; "
		"listen = [ \"unix:length\", \"udp://127.0.0.1:0\", \"tcp://127.0.0.1:0\" ]; }, "
		"{ name = \"line\"; framing = \"line\"; listen = \"unix:line\"; }, "
		"{ name = \"raw\"; framing = \"raw\"; transforms = [ \"upper\" ]; "
		"listen = \"unix:raw\"; }, "
		"{ name = \"chat\"; service = \"chat\"; "
		"listen = [ \"unix:chat\", \"tcp://127.0.0.1:0\" ]; });");
}

/* ---- the tool ---- */

static void tool_start(struct tool *tool, const char *const *arguments)
{
	char path[PATH_MAX], *words[40] = {path};
	int in[2], out[2];
	pid_t parent = getpid();
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 16);

	ck_assert_int_gt(len, 0);
	path[len] = 0;
	(void)strcpy(strrchr(path, '/'), "/tool_endure");
	for (size_t i = 1; *arguments; i++) {
		ck_assert_uint_lt(i, ARRAY_SIZE(words) - 1);
		words[i] = (char *)*arguments++;
	}
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	tool->pid = fork();
	ck_assert_int_ge(tool->pid, 0);
	if (tool->pid == 0) {
		if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0 ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(126);
		(void)execv(path, words);
		_exit(127);
	}
	closep(&in[0]);
	closep(&out[1]);
	tool->in = in[1];
	tool->out = out[0];
	tool->report = NULL;
}

/* Reads what it prints, up to a line's end or to the end of all. */
static void read_output(const struct tool *tool, bool line, struct buffer *ret_output)
{
	struct pollfd polled = {.fd = tool->out, .events = POLLIN};
	ssize_t n;

	do {
		ck_assert_int_eq(buffer_reserve(ret_output, 4096), 0);
		ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "tool_endure is silent");
		n = read(tool->out, ret_output->data + ret_output->len, line ? 1 : 4095);
		ck_assert_int_ge(n, 0);
		ret_output->len += (size_t)n;
	} while (n > 0 && !(line && ret_output->data[ret_output->len - 1] == '\n'));
	ret_output->data[ret_output->len] = 0;
}

static void tool_wait_ready(const struct tool *tool)
{
	struct buffer output = {0};

	read_output(tool, true, &output);
	ck_assert_str_eq((const char *)output.data, "ready\n");
	buffer_done(&output);
}

/* Has it come to its end, and reads its report. */
static void tool_end(struct tool *tool, int exit_status)
{
	struct buffer output = {0};
	json_error_t error;
	int status;

	closep(&tool->in);
	read_output(tool, false, &output);
	ck_assert_int_eq(waitpid(tool->pid, &status, 0), tool->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == exit_status,
		      "it ended with %x: %.1500s", (unsigned)status, (const char *)output.data);
	tool->report = json_loads((const char *)output.data, 0, &error);
	ck_assert_msg(json_is_object(tool->report), "%s: %s", error.text,
		      (const char *)output.data);
	ck_assert_int_eq(json_is_true(json_object_get(tool->report, "clean")), exit_status == 0);
	buffer_done(&output);
	closep(&tool->out);
}

static json_int_t count(const json_t *tally, const char *what)
{
	const json_t *value = json_object_get(tally, what);

	ck_assert_msg(json_is_integer(value), "no number %s", what);
	return json_integer_value(value);
}

static json_int_t count_all(const struct tool *tool, const char *what)
{
	return count(json_object_get(tool->report, "all"), what);
}

/* ---- against a daemon ---- */

START_TEST(test_clean)
{
	struct tool tool;
	json_t *kinds;
	char clients[16], think[16];

	start();
	(void)snprintf(clients, sizeof(clients), "%zu", harness_rounds(400, 200));
	(void)snprintf(think, sizeof(think), "%zu", harness_rounds(100, 500));
	tool_start(&tool, WORDS("--seconds", "100", "--clients", clients, "--think", think,
				"--hold", "200", "--stall", "200", "--rooms", "4", "--length",
				server_address(&server, "length", "tcp"), "--unix",
				server_address(&server, "length", "unix"), "--udp",
				server_address(&server, "length", "udp"), "--line",
				server_address(&server, "line", NULL), "--raw",
				server_address(&server, "raw", NULL), "--chat",
				server_address(&server, "chat", "tcp")));
	tool_wait_ready(&tool);
	(void)server_wait_counter(&server, "length", "messages", harness_rounds(10000, 2000));
	(void)server_wait_counter(&server, "chat", "messages", harness_rounds(200, 100));
	tool_end(&tool, 0);
	ck_assert_int_ge(count_all(&tool, "messages"), (json_int_t)harness_rounds(10000, 2000));
	ck_assert_int_gt(count_all(&tool, "said"), 0);
	kinds = json_object_get(tool.report, "kinds");
	for (void *at = json_object_iter(kinds); at; at = json_object_iter_next(kinds, at)) {
		const json_t *tally = json_object_iter_value(at);

		ck_assert_msg(count(tally, "messages") >= count(tally, "clients"),
			      "not everybody of kind %s was answered", json_object_iter_key(at));
	}
	ck_assert_uint_eq(json_object_size(kinds), 11);
	json_decref(tool.report);
	server_stop(&server);
}
END_TEST

/* Everybody is dropped when the daemon dies, and comes back to the next one. */
START_TEST(test_killed)
{
	static const char *const kinds[] = {"idle", "ping", "pipeline",	 "flood",  "raw",
					    "unix", "room", "mid-frame", "stalled"};
	static const char mix[] = "idle=10,ping=10,pipeline=10,flood=1,raw=10,unix=10,room=10,"
				  "mid-frame=10,stalled=10,half-close=5,churn=5";
	CLEANUP(freep) char *config = NULL;
	struct tool tool;

	start();
	tool_start(&tool,
		   WORDS("--seconds", "100", "--think", "50", "--stall", "100", "--rooms", "2",
			 "--mix", mix, "--length", server_address(&server, "length", "unix"),
			 "--unix", server_address(&server, "length", "unix"), "--line",
			 server_address(&server, "line", NULL), "--raw",
			 server_address(&server, "raw", NULL), "--chat",
			 server_address(&server, "chat", "unix")));
	tool_wait_ready(&tool);
	server_signal(&server, SIGKILL);
	ck_assert_int_eq(WTERMSIG(server_wait_end(&server)), SIGKILL);
	config = file_read(server.config);
	server_spawn(&server, &(struct server_setup){.config = config});
	server_wait_notify(&server, "READY=1");
	(void)server_wait_counter(&server, "length", "clients accepted", 40);
	(void)server_wait_counter(&server, "chat", "clients accepted", 10);
	tool_end(&tool, 1);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const json_t *tally =
			json_object_get(json_object_get(tool.report, "kinds"), kinds[i]);

		ck_assert_msg(count(tally, "dropped") >= count(tally, "clients"),
			      "only %d dropped of kind %s", (int)count(tally, "dropped"), kinds[i]);
	}
	json_decref(tool.report);
	server_stop(&server);
}
END_TEST

/* Time is what is measured here: a daemon that stands still for a while is silent for as long. */
START_TEST(test_silence)
{
	enum { STILL = 300 };
	uint64_t begin, still;
	struct tool tool;
	double longest;

	start();
	begin = harness_now();
	tool_start(&tool, WORDS("--seconds", "100", "--think", "10", "--mix", "ping=20", "--length",
				server_address(&server, "length", "unix")));
	tool_wait_ready(&tool);
	server_signal(&server, SIGSTOP);
	still = harness_now();
	(void)poll(NULL, 0, STILL); /* when it is shorter, the result is as well */
	still = harness_now() - still;
	server_signal(&server, SIGCONT);
	tool_end(&tool, 0);
	longest =
		json_real_value(json_object_get(json_object_get(tool.report, "all"), "longest_ms"));
	/* The first to say something then did so after up to 15 ms, or later on a busy machine. */
	ck_assert_double_ge(longest, (double)still / 2);
	ck_assert_double_le(longest, (double)(harness_now() - begin));
	json_decref(tool.report);
	server_stop(&server);
}
END_TEST

/* ---- against a server that has faults ---- */

/* A server in a process of its own. */
struct faulty {
	pid_t pid;
	int told[2]; /* owned */
};

/* Has serve, which does not return, serve a socket with this fault, and tell when that is over. */
static void faulty_start(struct faulty *faulty, void (*serve)(int fd, int fault, int tell), int fd,
			 int fault)
{
	const pid_t parent = getpid();

	ck_assert_int_eq(pipe2(faulty->told, O_CLOEXEC), 0);
	faulty->pid = fork();
	ck_assert_int_ge(faulty->pid, 0);
	if (faulty->pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
			serve(fd, fault, faulty->told[1]);
		_exit(1);
	}
}

static void faulty_wait(const struct faulty *faulty)
{
	char byte;

	ck_assert_int_eq(read(faulty->told[0], &byte, 1), 1);
}

static void faulty_stop(struct faulty *faulty)
{
	ck_assert_int_eq(kill(faulty->pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(faulty->pid, NULL, 0), faulty->pid);
	closep(&faulty->told[0]);
	closep(&faulty->told[1]);
}

/* One of this, and nothing of the others; "": nothing of any. */
static void assert_counted(const struct tool *tool, const char *what)
{
	static const char *const counters[] = {"wrong", "dropped", "unanswered", "refused"};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		ck_assert_int_eq(count_all(tool, counters[i]), strcmp(counters[i], what) == 0);
}

enum {
	HONEST = 200, /* bytes of a connection that it answers as it should */
	PIECE = 1024,
};

enum fault { FAULT_LIES, FAULT_ENDS, FAULT_IS_MUTE, FAULT_SAYS_TWICE };

/* What becomes of a piece that was received; returns how much of it is to be answered. */
static ssize_t spoil(enum fault fault, int fd, char *piece, ssize_t len)
{
	switch (fault) {
	case FAULT_LIES:
		piece[len - 1] ^= 1;
		return len;
	case FAULT_ENDS:
		(void)shutdown(fd, SHUT_WR); /* a failure fails the test */
		return 0;
	case FAULT_IS_MUTE:
		return 0;
	case FAULT_SAYS_TWICE:
		memcpy(piece + len, piece, (size_t)len);
		return 2 * len;
	}
	return len;
}

/* Echoes; from its second connection on, the first being a question, with a fault in it. */
static void serve(int listener, int fault, int tell)
{
	for (unsigned i = 0;; i++) {
		CLEANUP(closep) int fd = accept(listener, NULL, NULL);
		char piece[2 * PIECE];
		ssize_t n, done = 0;
		bool spoilt = i != 1;

		while ((n = recv(fd, piece, PIECE, 0)) > 0) {
			bool now = !spoilt && (done += n) > HONEST;

			if (now)
				n = spoil((enum fault)fault, fd, piece, n);
			(void)send(fd, piece, (size_t)n, MSG_NOSIGNAL); /* as above */
			if (now)
				(void)write(tell, "!", 1);
			spoilt |= now && fault != FAULT_IS_MUTE;
		}
	}
}

static const struct {
	enum fault fault;
	const char *counted;
} faults[] = {
	{FAULT_LIES, "wrong"},
	{FAULT_ENDS, "dropped"},
	{FAULT_IS_MUTE, "unanswered"},
	{FAULT_SAYS_TWICE, "wrong"},
};

START_TEST(test_fault)
{
	char address[64];
	CLEANUP(closep) int listener = listen_anywhere(address);
	const char *patience;
	struct tool tool;
	struct faulty faulty;

	faulty_start(&faulty, serve, listener, (int)faults[_i].fault);
	/* Only who gets no answer makes use of patience. */
	patience = faults[_i].fault == FAULT_IS_MUTE ? "1" : "30";
	tool_start(&tool, WORDS("--seconds", "100", "--patience", patience, "--think", "2", "--mix",
				"ping=1", "--length", address));
	tool_wait_ready(&tool);
	faulty_wait(&faulty);
	tool_end(&tool, 1);
	assert_counted(&tool, faults[_i].counted);
	json_decref(tool.report);
	faulty_stop(&faulty);
}
END_TEST

/* ---- datagrams ---- */

enum datagram_fault { DATAGRAM_LATE, DATAGRAM_LOST, DATAGRAM_FALSE };

/* Echoes; the fourth datagram, the first being a question, with a fault. Tells when that is over.
 */
static void serve_datagrams(int fd, int fault, int tell)
{
	enum { SPOILT = 3, OVER = 10 };
	struct sockaddr_in sender;
	char datagram[2][PIECE];
	ssize_t len[2];

	for (unsigned i = 0;; i++) {
		unsigned held = i == SPOILT + 1 && fault == DATAGRAM_LATE ? 2 : 1;
		char *here = datagram[held - 1];
		socklen_t size = sizeof(sender);

		len[held - 1] = recvfrom(fd, here, PIECE, 0, (struct sockaddr *)&sender, &size);
		if (i == SPOILT && fault == DATAGRAM_FALSE)
			here[0] ^= 1;
		if (i == SPOILT && fault != DATAGRAM_FALSE)
			continue;
		for (unsigned j = 0; j < held; j++)
			(void)sendto(fd, datagram[j], (size_t)len[j], 0, (struct sockaddr *)&sender,
				     size); /* as above */
		if (i == OVER)
			(void)write(tell, "!", 1);
	}
}

/* One that is late is not lost, however late it is; one that is lost is lost. */
START_TEST(test_datagrams)
{
	static const char *const counted[] = {
		[DATAGRAM_LATE] = "", [DATAGRAM_LOST] = "dropped", [DATAGRAM_FALSE] = "wrong"};
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(here);
	char address[64];
	struct tool tool;
	struct faulty faulty;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&here, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&here, &len), 0);
	(void)snprintf(address, sizeof(address), "udp://127.0.0.1:%u", ntohs(here.sin_port));
	faulty_start(&faulty, serve_datagrams, fd, _i);
	tool_start(&tool,
		   WORDS("--seconds", "100", "--think", "2", "--mix", "udp=1", "--udp", address));
	tool_wait_ready(&tool);
	faulty_wait(&faulty);
	tool_end(&tool, *counted[_i] ? 1 : 0);
	assert_counted(&tool, counted[_i]);
	if (_i != DATAGRAM_FALSE)
		ck_assert_int_gt(count_all(&tool, "resends"), 0);
	json_decref(tool.report);
	faulty_stop(&faulty);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endure");
	TCase *tests = tcase_create("faults");

	harness_add(suite, test_clean);
	harness_add(suite, test_killed);
	harness_add(suite, test_silence);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, test_fault, 0, ARRAY_SIZE(faults));
	tcase_add_loop_test(tests, test_datagrams, DATAGRAM_LATE, DATAGRAM_FALSE + 1);
	suite_add_tcase(suite, tests);
	return harness_main(suite);
}
