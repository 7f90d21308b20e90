/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The client's command line and retort ask, against the real daemon and against servers that
 * misbehave, which the tests play themselves.
 */

#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"

static struct server server;

static void start(void)
{
	server_start_config(
		&server, "%s",
		"timeouts: { drain = \"1s\"; }; listeners: ("
		"{ name = \"raw\"; framing = \"raw\"; transforms = [ \"upper\" ]; "
		"listen = [ \"tcp://127.0.0.1:0\", \"unix:raw\" ]; },"
		"{ name = \"line\"; framing = \"line\"; transforms = [ \"reverse\" ]; "
		"listen = [ \"tcp://127.0.0.1:0\", \"unix:line\" ]; },"
		"{ name = \"length\"; transforms = [ \"upper\" ]; listen = "
		"[ \"tcp://127.0.0.1:0\", \"unix:chat.sock\", \"udp://127.0.0.1:0\" ]; },"
		"{ name = \"echo\"; listen = [ \"tcp://127.0.0.1:0\", \"unix:echo\" ]; },"
		"{ name = \"echoline\"; framing = \"line\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"echoraw\"; framing = \"raw\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"greet\"; greeting = \"welcome\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"small\"; max_message = 10; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"smallline\"; framing = \"line\"; max_message = 10; "
		"listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"private\"; listen = \"unix:private\"; mode = \"0600\"; });");
}

static const char *at(const char *listener, const char *scheme)
{
	return server_address(&server, listener, scheme);
}

/* ---- the command line ---- */

START_TEST(test_help_and_version)
{
	struct run run;

	run_expect(&run, NULL, WORDS("--help"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, "bench"));
	run_done(&run);
	run_expect(&run, NULL, WORDS("ask", "--help"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, "\n\nExamples:\n"));
	ck_assert_ptr_null(strstr(run.out, "\n\n\n"));
	run_done(&run);
	run_expect(&run, NULL, WORDS("ping", "-h"), 0);
	run_done(&run);
	run_expect(&run, NULL, WORDS("bench", "-h"), 0);
	run_done(&run);
	run_expect_out(NULL, WORDS("-V"), "retort " RETORT_VERSION "\n");
	run_expect_out(NULL, WORDS("ask", "--version"), "retort " RETORT_VERSION "\n");
}
END_TEST

START_TEST(test_usage_errors)
{
	run_expect_error(NULL, WORDS("-v"), 64, "which command");
	run_expect_error(NULL, WORDS("aks"), 64, "did you mean 'ask'");
	run_expect_error(NULL, WORDS("pingg"), 64, "did you mean 'ping'");
	run_expect_error(NULL, WORDS("telepathy\x1b[1m"), 64, "no command telepathy^[[1m");
	run_expect_error(NULL, WORDS("--bad", "ask"), 64, "--bad");
	run_expect_error(NULL, WORDS("ask", "--bad"), 64, "retort ask --help");
	run_expect_error(NULL, WORDS("ask", "--framing", "x", "y"), 64, "raw, line or length");
	run_expect_error(NULL, WORDS("ask", "--timeout", "0", "y"), 64, "--timeout");
	run_expect_error(NULL, WORDS("ask", "--timeout", "ten", "y"), 64, "--timeout");
	run_expect_error(NULL, WORDS("ask", "--whole", "y"), 64, "--whole");
	run_expect_error(NULL, WORDS("ask", "--whole", "-0"), 64, "--null");
	run_expect_error(NULL, WORDS("-c", "nonsense", "ask", "y"), 64, "transport");
	run_expect_error(NULL, WORDS("-c", "tcp://localhost", "ask", "y"), 64, "port");
	run_expect_error(NULL, WORDS("ping", "-n", "-1"), 64, "--count");
	run_expect_error(NULL, WORDS("ping", "-n", "0"), 64, "--count");
	run_expect_error(NULL, WORDS("ping", "-i", "x"), 64, "--interval");
	run_expect_error(NULL, WORDS("ping", "-s", "2T"), 64, "--size");
	run_expect_error(NULL, WORDS("ping", "localhost"), 64, "no argument");
	run_expect_error(NULL, WORDS("bench", "-C", "0"), 64, "--clients");
	run_expect_error(NULL, WORDS("bench", "-P", "99999999"), 64, "--in-flight");
	run_expect_error(NULL, WORDS("bench", "--verify", "-t", "upper,x"), 64, "\"x\"");
	run_expect_error(NULL, WORDS("bench", "-t", "upper"), 64, "--verify");
}
END_TEST

START_TEST(test_options_on_either_side)
{
	start();
	run_expect_out(NULL, WORDS("-c", at("length", "tcp"), "ask", "a"), "A\n");
	run_expect_out(NULL, WORDS("ask", "a", "-c", at("length", "tcp")), "A\n");
	run_expect_out(NULL, WORDS("-c", at("length", "tcp"), "ask", "a", "--json", "b"),
		       "{\"text\":\"A\"}\n{\"text\":\"B\"}\n");
	run_expect_out(NULL, WORDS("-c", at("length", "tcp"), "--json", "ask", "--", "--json"),
		       "{\"text\":\"--JSON\"}\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_where_the_server_is)
{
	struct run_setup setup = {0};
	struct run run;

	start();
	setup.address = at("length", "tcp");
	run_start(&run, &setup, WORDS("ask", "from the environment"));
	run_end(&run);
	ck_assert_str_eq(run.out, "FROM THE ENVIRONMENT\n");
	run_done(&run);

	/* An option goes before the environment. */
	run_start(&run, &setup, WORDS("-c", at("echo", "tcp"), "ask", "a"));
	run_end(&run);
	ck_assert_str_eq(run.out, "a\n");
	run_done(&run);

	setup = (struct run_setup){.directory = server.directory};
	run_start(&run, &setup, WORDS("ask", "the usual socket"));
	run_end(&run);
	ck_assert_str_eq(run.out, "THE USUAL SOCKET\n");
	run_done(&run);
	run_start(&run, &setup, WORDS("-c", "unix:echo", "ask", "a relative path"));
	run_end(&run);
	ck_assert_str_eq(run.out, "a relative path\n");
	run_done(&run);
	server_stop(&server);
}
END_TEST

START_TEST(test_nobody_there)
{
	const struct run_setup setup = {.directory = "/nonexistent"};
	struct run run;
	char address[64];
	int fd = refuse_anywhere(SOCK_STREAM, address);

	run_expect_error(NULL, WORDS("-c", address, "ask", "a"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", address, "ping"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", address, "bench"), 69, "refused");
	closep(&fd);
	fd = refuse_anywhere(SOCK_DGRAM, address);
	run_expect_error(NULL, WORDS("-c", address, "ask", "a"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", address, "ping", "-n", "2"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", address, "bench"), 69, "refused");
	closep(&fd);
	run_expect_error(NULL, WORDS("-c", "unix:/nonexistent/socket", "ask", "a"), 69,
			 "no such socket");
	run_expect_error(NULL, WORDS("-c", "tcp://nobody.invalid:7007", "ask", "a"), 68,
			 "nobody.invalid");

	/* Without an address, how to give one is the answer. */
	if (access("/run/retort/chat.sock", F_OK) < 0) {
		run_start(&run, &setup, WORDS("ask", "a"));
		run_end(&run);
		ck_assert_int_eq(run.status, 69);
		ck_assert_ptr_nonnull(strstr(run.error, "-c tcp://"));
		run_done(&run);
	}
}
END_TEST

START_TEST(test_not_permitted)
{
	struct run_setup setup = {.user = 65534};
	struct run run;

	if (geteuid() != 0) {
		harness_skip("only root can become somebody else");
		return;
	}
	start();
	run_start(&run, &setup, WORDS("-c", at("private", "unix"), "ask", "a"));
	run_end(&run);
	if (run.status == 127)
		harness_skip("the client cannot be run by somebody else from where it is");
	else
		ck_assert_msg(run.status == 77, "status %d: %s", run.status, run.error);
	run_done(&run);
	server_stop(&server);
}
END_TEST

/* ---- ask ---- */

START_TEST(test_texts)
{
	static const char *const schemes[] = {"tcp", "unix"};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		run_expect_out(NULL,
			       WORDS("-c", at("length", schemes[i]), "ask", "one", "", "straße"),
			       "ONE\n\nSTRASSE\n");
		run_expect_out(NULL,
			       WORDS("-c", at("line", schemes[i]), "ask", "-f", "line", "one", "",
				     "привет"),
			       "eno\n\nтевирп\n");
		run_expect_out(
			NULL,
			WORDS("-c", at("raw", schemes[i]), "ask", "-f", "raw", "one", "straße"),
			"ONE\nSTRASSE\n");
	}
	run_expect_out(NULL, WORDS("-c", at("length", "udp"), "ask", "one", "", "two"),
		       "ONE\n\nTWO\n");
	run_expect_out(NULL, WORDS("-c", at("length", "tcp"), "ask", "two\nlines"), "TWO\nLINES\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_standard_input)
{
	start();
	run_expect_out("a\n\nb", WORDS("-c", at("length", "tcp"), "ask"), "A\n\nB\n");
	run_expect_out("", WORDS("-c", at("length", "tcp"), "ask"), "");
	run_expect_out("a\n\nb", WORDS("-c", at("length", "udp"), "ask"), "A\n\nB\n");
	run_expect_out("ab\ncd\r\nef", WORDS("-c", at("line", "tcp"), "ask", "-f", "line"),
		       "ba\ndc\r\nfe\n");
	run_expect_out("any\nthing", WORDS("-c", at("raw", "tcp"), "ask", "-f", "raw"),
		       "ANY\nTHING");
	run_expect_out("", WORDS("-c", at("raw", "tcp"), "ask", "-f", "raw"), "");
	run_expect_out("a\nb\n", WORDS("-c", at("length", "tcp"), "ask", "--whole"), "A\nB\n");
	run_expect_out("a", WORDS("-c", at("length", "tcp"), "ask", "-w"), "A");
	run_expect_out("", WORDS("-c", at("length", "tcp"), "ask", "-w", "--json"),
		       "{\"text\":\"\"}\n");
	run_expect_out("a\nb\n", WORDS("-c", at("length", "udp"), "ask", "-w"), "A\nB\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_null)
{
	const struct run_setup setup = {.input = "a\nb\0c", .input_len = 5};
	struct run run;

	start();
	run_start(&run, &setup, WORDS("-c", at("length", "tcp"), "ask", "-0"));
	run_end(&run);
	ck_assert_int_eq(run.status, 0);
	assert_bytes(run.out, run.out_len, "A\nB\0C\0", 6, "answers");
	run_done(&run);
	run_expect_error("a", WORDS("-c", at("raw", "tcp"), "ask", "-0", "-f", "raw"), 64,
			 "--null");
	server_stop(&server);
}
END_TEST

START_TEST(test_what_cannot_be_sent)
{
	start();
	run_expect_error(NULL, WORDS("-c", at("line", "tcp"), "ask", "-f", "line", "a\nb"), 64,
			 "newline");
	run_expect_error("a\nb", WORDS("-c", at("line", "tcp"), "ask", "-f", "line", "-w"), 64,
			 "newline");
	run_expect_error(NULL, WORDS("-c", at("raw", "tcp"), "ask", "-f", "raw", ""), 64, "empty");
	server_stop(&server);
}
END_TEST

START_TEST(test_datagram_too_long)
{
	char *text = malloc(65509);

	start();
	memset(text, 'a', 65508);
	text[65508] = 0;
	run_expect_error(text, WORDS("-c", at("length", "udp"), "ask"), 64, "65507");
	free(text);
	server_stop(&server);
}
END_TEST

START_TEST(test_json)
{
	/* A byte that is not UTF-8, NUL, a quote, an escape sequence, an override, a letter. */
	static const uint8_t input[] = {0xff, 0,    '"',  0x1b, '[',  '1',
					'm',  0xe2, 0x80, 0xae, 0xd0, 0xbf};
	uint8_t text[sizeof(input) + 2] = {0xef, 0xbf, 0xbd};
	const struct run_setup setup = {.input = input, .input_len = sizeof(input)};
	struct run run;
	json_t *object;

	memcpy(text + 3, input + 1, sizeof(input) - 1);
	start();
	run_start(&run, &setup, WORDS("-c", at("echo", "tcp"), "ask", "--json"));
	run_end(&run);
	ck_assert_int_eq(run.status, 0);
	for (size_t i = 0; i + 1 < run.out_len; i++)
		ck_assert_msg(run.out[i] >= ' ' && run.out[i] < 127, "%s", run.out);
	object = json_loads(run.out, JSON_ALLOW_NUL, NULL);
	ck_assert_ptr_nonnull(object);
	assert_bytes(json_string_value(json_object_get(object, "text")),
		     json_string_length(json_object_get(object, "text")), text, sizeof(text),
		     "text");
	ck_assert_str_eq(json_string_value(json_object_get(object, "bytes")), "/wAiG1sxbeKArtC/");
	json_decref(object);
	run_done(&run);

	/* Bytes are there only where text cannot tell everything. */
	/* DEL is no control character to JSON, but is one to a terminal. */
	run_expect_out(NULL, WORDS("-c", at("echo", "tcp"), "--json", "ask", "\x7f"),
		       "{\"text\":\"\\u007f\"}\n");
	run_expect_out(NULL, WORDS("-c", at("raw", "tcp"), "--json", "ask", "-f", "raw", "a", "b"),
		       "{\"text\":\"A\"}\n{\"text\":\"B\"}\n");
	server_stop(&server);
}
END_TEST

/* Answers come while standard input stays open, as a program that uses us as its partner needs. */
START_TEST(test_conversation)
{
	static const char *const framings[] = {"length", "line", "raw"};
	static const char *const listeners[] = {"length", "echoline", "raw"};
	int in[2], out[2];
	struct run run;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(framings); i++) {
		bool upper = strcmp(framings[i], "line") != 0;
		struct run_setup setup;
		char line[3] = "";

		ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
		ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
		setup = (struct run_setup){.in = in[0], .out = out[1]};
		run_start(&run, &setup,
			  WORDS("-c", at(listeners[i], "tcp"), "ask", "-f", framings[i]));
		closep(&in[0]);
		closep(&out[1]);
		for (int c = 'a'; c <= 'z'; c++) {
			struct pollfd polled = {.fd = out[0], .events = POLLIN};
			char answer[] = {(char)(upper ? c - 'a' + 'A' : c), '\n', 0};

			ck_assert_int_eq(write(in[1], (char[]){(char)c, '\n'}, 2), 2);
			ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
			ck_assert_int_eq(read(out[0], line, 2), 2);
			ck_assert_str_eq(line, answer);
		}
		closep(&in[1]);
		run_end(&run);
		ck_assert_msg(run.status == 0, "%s", run.error);
		closep(&out[0]);
		run_done(&run);
	}
	server_stop(&server);
}
END_TEST

enum { LINE = 100 };

static void write_whole(int fd, const char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, data + done, len - done);

		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
}

static char *make_lines(size_t lines)
{
	char *text = malloc(lines * LINE + 1);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < lines; i++)
		(void)sprintf(text + i * (size_t)LINE, "%0*zu\n", LINE - 1, i);
	return text;
}

/* Much more than all buffers on the way hold: both ways at once, in little memory. */
START_TEST(test_streaming)
{
	static const char *const listeners[] = {"echo", "echoline", "echoraw"};
	static const char *const framings[] = {"length", "line", "raw"};
	const size_t lines = harness_rounds(500000, 50000);
	CLEANUP(closep) int in = memfd_create("lines", MFD_CLOEXEC);
	const struct run_setup setup = {.in = in};
	char *text = make_lines(lines);
	struct run run;

	start();
	write_whole(in, text, lines * LINE);
	free(text);
	for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
		/* The child's memory counts from its fork on, so ours must be little then. */
		(void)malloc_trim(0);
		ck_assert_int_eq(lseek(in, 0, SEEK_SET), 0);
		run_start(&run, &setup,
			  WORDS("-c", at(listeners[i], "tcp"), "ask", "-f", framings[i]));
		run_end(&run);
		ck_assert_msg(run.status == 0, "%s", run.error);
		text = make_lines(lines);
		assert_bytes(run.out, run.out_len, text, lines * LINE, framings[i]);
		free(text);
		if (!harness_slow())
			ck_assert_uint_lt(run.most_memory, (uintmax_t)20 * 1024 * 1024);
		run_done(&run);
	}
	server_stop(&server);
}
END_TEST

START_TEST(test_greeting)
{
	start();
	run_expect_out(NULL, WORDS("-c", at("greet", "tcp"), "ask", "a", "b"), "welcome\na\nb\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_refused)
{
	struct run run;
	char *text = malloc(3000001);

	start();
	run_expect(&run, NULL, WORDS("-c", at("small", "tcp"), "ask", "short", "much too long"), 1);
	ck_assert_str_eq(run.out, "short\n");
	ck_assert_ptr_nonnull(strstr(run.error, "limit of 10 bytes"));
	run_done(&run);
	run_expect(&run, "short\nmuch too long\nshort\n",
		   WORDS("-c", at("smallline", "tcp"), "ask", "-f", "line"), 1);
	ck_assert_str_eq(run.out, "short\n");
	ck_assert_ptr_nonnull(strstr(run.error, "limit of 10 bytes"));
	run_done(&run);

	/* The reason is not lost when far more is being sent than the server reads. */
	memset(text, 'a', 3000000);
	text[3000000] = 0;
	run_expect_error(text, WORDS("-c", at("small", "tcp"), "ask"), 1, "limit of 10 bytes");
	free(text);
	server_stop(&server);
}
END_TEST

/* What a server echoes is an answer, even when it looks like an error. */
START_TEST(test_answer_like_an_error)
{
	start();
	run_expect_out("error: a\nb\nerror: c\n",
		       WORDS("-c", at("echoline", "tcp"), "ask", "-f", "line"),
		       "error: a\nb\nerror: c\n");
	run_expect_out(NULL, WORDS("-c", at("echo", "tcp"), "ask", "error: a"), "error: a\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_terminal)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), side;
	char shown[256] = "";
	struct run_setup setup = {0};
	struct run run;
	size_t len = 0;

	start();
	ck_assert_int_ge(terminal, 0);
	ck_assert_int_eq(grantpt(terminal) | unlockpt(terminal), 0);
	side = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(side, 0);
	setup.out = side;
	run_start(&run, &setup, WORDS("-c", at("echo", "tcp"), "ask", "a\x1b]0;x\a\nb"));
	run_end(&run);
	closep(&side);
	while (len < sizeof(shown) - 1) {
		ssize_t n = read(terminal, shown + len, sizeof(shown) - 1 - len);

		if (n <= 0)
			break; /* EIO: the other side is closed */
		len += (size_t)n;
	}
	ck_assert_str_eq(shown, "a^[]0;x^G\r\nb\r\n");
	closep(&terminal);
	run_done(&run);
	server_stop(&server);
}
END_TEST

START_TEST(test_nobody_reads)
{
	int out[2];
	struct run_setup setup = {0};
	struct run run;

	start();
	for (int ignored = 0; ignored < 2; ignored++) {
		ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
		closep(&out[0]);
		setup = (struct run_setup){.out = out[1], .sigpipe_ignored = ignored};
		run_start(&run, &setup, WORDS("-c", at("echo", "tcp"), "ask", "a"));
		run_end(&run);
		ck_assert_int_eq(run.status, 128 + SIGPIPE);
		ck_assert_str_eq(run.error, "");
		closep(&out[1]);
		run_done(&run);
	}
	setup = (struct run_setup){.out = open("/dev/full", O_WRONLY | O_CLOEXEC)};
	run_start(&run, &setup, WORDS("-c", at("echo", "tcp"), "ask", "a"));
	run_end(&run);
	ck_assert_int_eq(run.status, 71);
	ck_assert_ptr_nonnull(strstr(run.error, "No space left"));
	closep(&setup.out);
	run_done(&run);
	server_stop(&server);
}
END_TEST

/* ---- servers that misbehave ---- */

START_TEST(test_silence)
{
	char address[64];
	CLEANUP(closep) int stream = listen_anywhere(address);

	run_expect_error(NULL, WORDS("-c", address, "--timeout", "100ms", "ask", "a"), 75,
			 "its framing may be another one");
	run_expect_error(NULL, WORDS("-c", address, "--timeout", "100ms", "ask", "-f", "raw", "a"),
			 75, "no answer");
	run_expect_error("a", WORDS("-c", address, "--timeout", "100ms", "ask", "-f", "raw"), 75,
			 "no answer");
	run_expect_error(NULL, WORDS("-c", address, "--timeout", "100ms", "bench", "-C", "9"), 75,
			 "no answer");
	closep(&stream);
	stream = bind_datagrams(address);
	run_expect_error(NULL, WORDS("-c", address, "--timeout", "100ms", "ask", "a"), 75,
			 "no answer");
	run_expect_error(NULL, WORDS("-c", address, "--timeout", "100ms", "bench"), 75,
			 "no answer");
}
END_TEST

/* A server that answers the first connection with these bytes, and then closes it. */
static void expect_against(const char *answer, const char *const *rest, int status,
			   const char *error)
{
	const char *arguments[16] = {"-c"};
	char address[64], message[64];
	CLEANUP(closep) int listener = listen_anywhere(address);
	CLEANUP(closep) int fd = -1;
	struct run run;

	arguments[1] = address;
	for (size_t i = 2; *rest; i++)
		arguments[i] = *rest++;
	run_start(&run, NULL, arguments);
	fd = accept_one(listener);
	ck_assert_int_gt(recv(fd, message, sizeof(message), 0), 0);
	send_text(fd, answer);
	shut_down(fd);
	run_end(&run);
	ck_assert_msg(run.status == status && strstr(run.error, error), "status %d: %s", run.status,
		      run.error);
	run_done(&run);
}

START_TEST(test_broken_protocol)
{
	expect_against("HTTP/1.1 400 Bad Request\r\n", WORDS("ask", "a"), 76, "no frame");
	expect_against("", WORDS("ask", "a"), 76, "closed");
	expect_against("5         ab", WORDS("ask", "a"), 76, "middle");
	expect_against("5   ", WORDS("ask", "a"), 76, "middle");
	expect_against("9999999999", WORDS("ask", "a"), 76, "longer");
	expect_against("1         a", WORDS("ask", "a", "b"), 76, "1 of 2");
	expect_against("-9        no \x1b[1m!!", WORDS("ask", "a"), 1, "no ^[[1m!!");
	expect_against("-99       cut", WORDS("ask", "a"), 1, "cut");
	expect_against("error: no\n", WORDS("ask", "-f", "line", "a"), 1, "says: no");
	expect_against("error: no\nindeed\n", WORDS("ask", "-f", "line", "a", "b"), 0, "");
	expect_against("", WORDS("ask", "-f", "line", "a"), 76, "closed");
	expect_against("", WORDS("ask", "-f", "raw", "a"), 76, "closed");
	expect_against("HTTP/1.1 400 Bad Request\r\n", WORDS("ping"), 76, "no frame");
	expect_against("-2        no", WORDS("ping"), 1, "says: no");
	expect_against("", WORDS("ping", "-f", "line"), 69, "closed");
}
END_TEST

START_TEST(test_connection_lost)
{
	char address[64], message[64];
	CLEANUP(closep) int listener = listen_anywhere(address);
	struct run run;
	int fd;

	run_start(&run, NULL, WORDS("-c", address, "ask", "a"));
	fd = accept_one(listener);
	ck_assert_int_gt(recv(fd, message, sizeof(message), 0), 0);
	reset_close(fd);
	run_end(&run);
	ck_assert_msg(run.status == 69 && strstr(run.error, "lost"), "status %d: %s", run.status,
		      run.error);
	run_done(&run);
}
END_TEST

/* A server that has given its answers but does not close keeps nobody waiting for long. */
START_TEST(test_server_stays)
{
	char address[64], message[64];
	CLEANUP(closep) int listener = listen_anywhere(address);
	CLEANUP(closep) int fd = -1;
	struct run run;

	run_start(&run, NULL, WORDS("-c", address, "--timeout", run_timeout(), "ask", "a"));
	fd = accept_one(listener);
	ck_assert_int_gt(recv(fd, message, sizeof(message), 0), 0);
	send_text(fd, "1         b");
	run_end(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, "b\n");
	run_done(&run);
}
END_TEST

/* What is printed or read never goes through a socket that got a standard number. */
START_TEST(test_closed_standard_fds)
{
	static const int input[] = {0, -1}, output[] = {1, -1}, all[] = {0, 1, 2, -1};
	struct run run;

	start();
	run_start(&run, &(struct run_setup){.closed = input},
		  WORDS("-c", at("length", "tcp"), "ask", "a"));
	run_end(&run);
	ck_assert_msg(run.status == 0 && strcmp(run.out, "A\n") == 0, "status %d: %s%s", run.status,
		      run.out, run.error);
	run_done(&run);
	run_start(&run, &(struct run_setup){.closed = input},
		  WORDS("-c", at("length", "tcp"), "ask"));
	run_end(&run);
	ck_assert_msg(run.status == 71 && strstr(run.error, "standard input: Bad file descriptor"),
		      "status %d: %s", run.status, run.error);
	run_done(&run);
	run_start(&run, &(struct run_setup){.closed = output},
		  WORDS("-c", at("length", "tcp"), "ping", "-n", "2", "-i", "10ms"));
	run_end(&run);
	ck_assert_msg(run.status == 71 && strstr(run.error, "cannot write to standard output"),
		      "status %d: %s", run.status, run.error);
	run_done(&run);
	run_start(&run, &(struct run_setup){.closed = all},
		  WORDS("-c", at("echoraw", "tcp"), "ask", "--framing", "raw", "a"));
	run_end(&run);
	ck_assert_int_eq(run.status, 71);
	run_done(&run);
	ck_assert_uint_eq(server_counter(&server, "length", "bad frame headers"), 0);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client");

	harness_add(suite, test_help_and_version);
	harness_add(suite, test_usage_errors);
	harness_add(suite, test_options_on_either_side);
	harness_add(suite, test_where_the_server_is);
	harness_add(suite, test_nobody_there);
	harness_add(suite, test_not_permitted);
	harness_add(suite, test_texts);
	harness_add(suite, test_standard_input);
	harness_add(suite, test_null);
	harness_add(suite, test_what_cannot_be_sent);
	harness_add(suite, test_datagram_too_long);
	harness_add(suite, test_json);
	harness_add(suite, test_conversation);
	harness_add(suite, test_streaming);
	harness_add(suite, test_greeting);
	harness_add(suite, test_refused);
	harness_add(suite, test_answer_like_an_error);
	harness_add(suite, test_terminal);
	harness_add(suite, test_nobody_reads);
	harness_add(suite, test_silence);
	harness_add(suite, test_broken_protocol);
	harness_add(suite, test_connection_lost);
	harness_add(suite, test_server_stays);
	harness_add(suite, test_closed_standard_fds);
	return harness_main(suite);
}
