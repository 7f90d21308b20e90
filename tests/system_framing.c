/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every framing with every pipeline over every transport, against the real daemon: messages cut
 * anywhere and glued in any way. The daemon has one worker here, so that a round trip on a second
 * connection tells that everything sent before it has been read: pieces stay pieces.
 */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "harness.h"
#include "text.h"

static const char *const pipelines[] = {"",	   "echo",	    "upper",	    "lower",
					"reverse", "upper,reverse", "reverse,lower"};
static const enum framing framings[] = {FRAMING_RAW, FRAMING_LINE, FRAMING_LENGTH};

/* None has an LF in it or a CR at its end, so that all framings can carry them. */
static const struct {
	const char *text;
	size_t len;
} samples[] = {
#define SAMPLE(text)                   \
	{                              \
		text, sizeof(text) - 1 \
	}
	SAMPLE("hello, world!"),
	SAMPLE(""),
	SAMPLE("x"),
	SAMPLE("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80"),
	SAMPLE("stra\xc3\x9f\x65 \xc5\x89 \xce\x90"),
	SAMPLE("e\xcc\x81t\x65\xcc\x81"),
	SAMPLE("\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 "
	       "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7"),
	SAMPLE("a\xff\xc3(\xe2\x82z\x80"),
	SAMPLE("nul\0 and\ttab and\rreturn."),
	SAMPLE("-5        looks like a header"),
#undef SAMPLE
};

static struct pipeline parse(const char *names)
{
	struct pipeline pipeline = {0};

	if (*names)
		ck_assert_int_eq(pipeline_parse(&pipeline, names, NULL), 0);
	return pipeline;
}

/* Starts a daemon that has every framing with every pipeline: "line-0" is line, pipelines[0]. */
static void start_all(struct server *server)
{
	char config[16384] = "workers = 1; listeners: (", *end = config + strlen(config);
	const char *separator = "";

	for (size_t f = 0; f < ARRAY_SIZE(framings); f++)
		for (size_t p = 0; p < ARRAY_SIZE(pipelines); p++) {
			const char *name = framing_name(framings[f]);
			char list[128] = "";

			for (const char *c = pipelines[p]; *c; c++) {
				char one[8] = {*c};

				strcat(list, *c == ',' ? "\", \"" : one);
			}
			end += sprintf(end,
				       "%s{ name = \"%s-%zu\"; framing = \"%s\"; listen = [ "
				       "\"tcp://127.0.0.1:0\", \"unix:%s-%zu.sock\"%s ]; "
				       "transforms = [ %s%s%s ]; }",
				       separator, name, p, name, name, p,
				       f == 0 ? ", \"udp://127.0.0.1:0\"" : "", *list ? "\"" : "",
				       list, *list ? "\"" : "");
			separator = ",";
		}
	strcpy(end, ");");
	server_start_config(server, "%s", config);
}

/* Waits until the daemon has read everything that was sent on other connections before. */
static void settle(int fd)
{
	send_text(fd, "!\n");
	expect_text(fd, "!\n");
}

/* A connection that the worker has, not only the kernel's queue: one character has come back. */
static int accepted_client(const struct server *server, const char *listener, const char *scheme)
{
	int fd = client(server, listener, scheme);

	send_text(fd, "1");
	expect_text(fd, "1");
	return fd;
}

/* All samples in a row, and what is to come back. */
static void make_dialogue(enum framing framing, const struct pipeline *pipeline,
			  struct buffer *requests, struct buffer *answers)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		CLEANUP(buffer_done) struct buffer answer = {0};

		transformed(pipeline, samples[i].text, samples[i].len, &answer);
		wrap(requests, framing, samples[i].text, samples[i].len);
		wrap(answers, framing, answer.data, answer.len);
	}
}

/* Framing raw: each read is a message, so each sample goes alone and is awaited. */
static void converse_raw(int fd, const struct pipeline *pipeline)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		CLEANUP(buffer_done) struct buffer answer = {0};

		/* What may be held back for its rest has tests of its own. */
		if (text_cut_suffix((const uint8_t *)samples[i].text, samples[i].len) > 0)
			continue;
		transformed(pipeline, samples[i].text, samples[i].len, &answer);
		send_all(fd, samples[i].text, samples[i].len);
		expect_bytes(fd, answer.data, answer.len);
	}
	shut_down(fd);
	expect_end(fd);
}

START_TEST(every_framing_pipeline_and_transport)
{
	static const char *const schemes[] = {"tcp:", "unix:"};
	struct server server;

	start_all(&server);
	for (size_t f = 0; f < ARRAY_SIZE(framings); f++)
		for (size_t p = 0; p < ARRAY_SIZE(pipelines); p++)
			for (size_t s = 0; s < ARRAY_SIZE(schemes); s++) {
				struct pipeline pipeline = parse(pipelines[p]);
				CLEANUP(buffer_done) struct buffer requests = {0};
				CLEANUP(buffer_done) struct buffer answers = {0};
				CLEANUP(buffer_done) struct buffer received = {0};
				CLEANUP(closep) int fd = -1;
				char name[32];

				(void)sprintf(name, "%s-%zu", framing_name(framings[f]), p);
				fd = client(&server, name, schemes[s]);
				if (framings[f] == FRAMING_RAW) {
					converse_raw(fd, &pipeline);
					continue;
				}
				make_dialogue(framings[f], &pipeline, &requests, &answers);
				exchange(fd, requests.data, requests.len, 0, NULL, true, 0,
					 &received);
				assert_bytes(received.data, received.len, answers.data, answers.len,
					     name);
			}
	server_stop(&server);
}
END_TEST

START_TEST(every_pipeline_over_udp)
{
	struct server server;

	start_all(&server);
	for (size_t p = 0; p < ARRAY_SIZE(pipelines); p++) {
		struct pipeline pipeline = parse(pipelines[p]);
		CLEANUP(closep) int fd = -1;
		char name[32];

		(void)sprintf(name, "raw-%zu", p);
		fd = client(&server, name, "udp:");
		for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
			CLEANUP(buffer_done) struct buffer answer = {0};
			uint8_t received[1024];
			ssize_t n;

			transformed(&pipeline, samples[i].text, samples[i].len, &answer);
			if (answer.len > samples[i].len)
				continue; /* would amplify */
			ck_assert_int_ge(send(fd, samples[i].text, samples[i].len, 0), 0);
			n = recv(fd, received, sizeof received, 0);
			ck_assert_msg(n >= 0, "sample %zu over udp: %m", i);
			assert_bytes(received, (size_t)n, answer.data, answer.len, name);
		}
	}
	server_stop(&server);
}
END_TEST

/* Splits the dialogue of the samples in two at every place, and also sends it byte by byte. */
START_TEST(every_split)
{
	static const char *const schemes[] = {"tcp:", "unix:"};
	struct server server;

	start_all(&server);
	for (size_t f = 1; f < ARRAY_SIZE(framings); f++) {
		for (size_t s = 0; s < ARRAY_SIZE(schemes); s++) {
			size_t p = ARRAY_SIZE(pipelines) - 2;
			struct pipeline pipeline = parse(pipelines[p]);
			CLEANUP(buffer_done) struct buffer requests = {0};
			CLEANUP(buffer_done) struct buffer answers = {0};
			CLEANUP(closep) int fd = -1, other = client(&server, "line-0", schemes[s]);
			char name[32];

			(void)sprintf(name, "%s-%zu", framing_name(framings[f]), p);
			make_dialogue(framings[f], &pipeline, &requests, &answers);
			fd = client(&server, name, schemes[s]);
			for (size_t at = 0; at <= requests.len; at++) {
				send_all(fd, requests.data, at);
				settle(other);
				send_all(fd, requests.data + at, requests.len - at);
				expect_bytes(fd, answers.data, answers.len);
			}
			for (size_t i = 0; i < requests.len; i++) {
				send_all(fd, requests.data + i, 1);
				settle(other);
			}
			expect_bytes(fd, answers.data, answers.len);
			shut_down(fd);
			expect_end(fd);
		}
	}
	server_stop(&server);
}
END_TEST

/* A sequence that a read cuts waits for its rest; whole characters before it do not. */
START_TEST(raw_keeps_characters_whole)
{
	static const char text[] = "a\xd0\x9f\xe2\x82\xac\xf0\x9f\x98\x80z";
	/* Where each character of text ends. */
	static const size_t ends[] = {1, 3, 6, 10, 11};
	struct pipeline reverse = parse("reverse");
	CLEANUP(closep) int other = -1;
	struct server server;

	start_all(&server);
	other = client(&server, "line-0", "tcp:");
	for (size_t at = 1; at < sizeof text - 1; at++) {
		CLEANUP(closep) int fd = accepted_client(&server, "raw-4", "tcp:");
		CLEANUP(buffer_done) struct buffer answer = {0}, received = {0};
		size_t whole = 0;

		for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
			if (ends[i] <= at)
				whole = ends[i];
		transformed(&reverse, text, whole, &answer);
		transformed(&reverse, text + whole, sizeof text - 1 - whole, &answer);
		send_all(fd, text, at);
		settle(other);
		send_text(fd, text + at);
		shut_down(fd);
		recv_to_end(fd, &received);
		assert_bytes(received.data, received.len, answer.data, answer.len, "raw");
	}
	server_stop(&server);
}
END_TEST

START_TEST(raw_answers_a_cut_character_at_the_end)
{
	struct server server;

	start_all(&server);
	for (size_t p = 0; p < ARRAY_SIZE(pipelines); p++) {
		CLEANUP(closep) int fd = -1;
		char name[32];

		(void)sprintf(name, "raw-%zu", p);
		fd = accepted_client(&server, name, "tcp:");
		send_text(fd, "2");
		expect_text(fd, "2");
		send_text(fd, "\xe2\x82");
		shut_down(fd);
		if (strstr(pipelines[p], "reverse"))
			expect_text(fd, "\x82\xe2");
		else
			expect_text(fd, "\xe2\x82");
		expect_end(fd);
	}
	server_stop(&server);
}
END_TEST

START_TEST(line_ends)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{"a\r\nb\nc\r\n\r\n\nd\n", "A\r\nB\nC\r\n\r\n\nD\n"},
		{"a\rb\n", "A\rB\n"},
		{"a\r\r\n", "A\r\r\n"},
		{"\r\n", "\r\n"},
		{"\n", "\n"},
		{"", ""},
		{"unfinished", "UNFINISHED\n"},
		{"one\r\ntwo", "ONE\r\nTWO\n"},
		{"one\n", "ONE\n"},
		{"stra\xc3\x9f\x65\r\nx\nstra\xc3\x9f\x65", "STRASSE\r\nX\nSTRASSE\n"},
		{"unfinished \xd0", "UNFINISHED \xd0\n"},
	};
	CLEANUP(closep) int other = -1;
	struct server server;

	start_all(&server);
	other = client(&server, "line-0", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t at = 0; at <= strlen(cases[i].request); at++) {
			CLEANUP(closep) int fd = client(&server, "line-2", "tcp:");
			CLEANUP(buffer_done) struct buffer received = {0};

			send_all(fd, cases[i].request, at);
			settle(other);
			send_text(fd, cases[i].request + at);
			shut_down(fd);
			recv_to_end(fd, &received);
			assert_bytes(received.data, received.len, cases[i].answer,
				     strlen(cases[i].answer), cases[i].request);
		}
	server_stop(&server);
}
END_TEST

START_TEST(headers_in_every_allowed_form)
{
	CLEANUP(closep) int fd = -1;
	struct server server;

	start_all(&server);
	fd = client(&server, "length-2", NULL);
	send_text(fd, "0000000003abc"
		      "3         def"
		      "000       "
		      "03        ghi"
		      "0         ");
	expect_text(fd, "3         ABC"
			"3         DEF"
			"0         "
			"3         GHI"
			"0         ");
	server_stop(&server);
}
END_TEST

enum { LIMIT = 100000 };

static void start_limited(struct server *server)
{
	server_start_config(server,
			    "workers = 1; max_message = %d; listeners: ("
			    "{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; "
			    "transforms = [ \"upper\" ]; },"
			    "{ name = \"line\"; framing = \"line\"; "
			    "listen = \"tcp://127.0.0.1:0\"; transforms = [ \"upper\" ]; });",
			    LIMIT);
}

START_TEST(a_message_of_exactly_the_limit)
{
	static const char *const ends[] = {"\n", "\r\n", ""};
	static char text[LIMIT], want[LIMIT];
	struct server server;

	memset(text, 'a', sizeof text);
	memset(want, 'A', sizeof want);
	start_limited(&server);
	{
		CLEANUP(closep) int fd = client(&server, "length", NULL);
		CLEANUP(buffer_done) struct buffer request = {0}, answer = {0}, got = {0};

		for (int i = 0; i < 3; i++) {
			wrap(&request, FRAMING_LENGTH, text, LIMIT);
			wrap(&answer, FRAMING_LENGTH, want, LIMIT);
		}
		exchange(fd, request.data, request.len, 0, NULL, true, 0, &got);
		assert_bytes(got.data, got.len, answer.data, answer.len, "frames");
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		CLEANUP(closep) int fd = client(&server, "line", NULL);
		CLEANUP(buffer_done) struct buffer request = {0}, answer = {0}, got = {0};

		ck_assert_int_eq(buffer_append(&request, text, LIMIT), 0);
		ck_assert_int_eq(buffer_append(&request, ends[i], strlen(ends[i])), 0);
		ck_assert_int_eq(buffer_append(&answer, want, LIMIT), 0);
		ck_assert_int_eq(buffer_append(&answer, *ends[i] ? ends[i] : "\n",
					       *ends[i] ? strlen(ends[i]) : 1),
				 0);
		exchange(fd, request.data, request.len, 0, NULL, true, 0, &got);
		assert_bytes(got.data, got.len, answer.data, answer.len, "line");
	}
	server_stop(&server);
}
END_TEST

START_TEST(a_message_one_byte_too_long)
{
	static char text[LIMIT + 2];
	CLEANUP(closep) int frame = -1, line = -1, before = -1;
	char *said;
	struct server server;

	memset(text, 'a', sizeof text);
	start_limited(&server);

	frame = client(&server, "length", NULL);
	send_text(frame, "2         ok100001    ");
	expect_frame(frame, "OK", 2);
	{
		CLEANUP(buffer_done) struct buffer reason = {0};

		ck_assert(recv_frame(frame, &reason));
		reason.data[reason.len] = 0;
		ck_assert_ptr_nonnull(strstr((char *)reason.data, "100001"));
		ck_assert_ptr_nonnull(strstr((char *)reason.data, "100000"));
		expect_end(frame);
	}

	line = client(&server, "line", NULL);
	text[LIMIT + 1] = '\n';
	send_all(line, text, LIMIT + 2);
	expect_error_line(line, "100000");

	/* What came whole before is answered. */
	before = client(&server, "line", NULL);
	send_text(before, "first\n");
	send_all(before, text, LIMIT + 1);
	expect_text(before, "FIRST\n");
	expect_error_line(before, "100000");

	said = server_wait_log(&server, "max_message");
	free(said);
	server_stop(&server);
}
END_TEST

/* Everything that is owed comes, however much, to a client that has shut down its side. */
START_TEST(half_close_gets_everything)
{
	static const char *const names[] = {"raw-1",  "raw-2",	  "line-1",   "line-2",
					    "line-5", "length-1", "length-2", "length-5"};
	const size_t total = harness_rounds(3000000, 600000);
	struct random random;
	struct server server;

	random_init_run(&random, "half_close_gets_everything");
	start_all(&server);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		enum framing framing =
			(enum framing)framing_from_name(strndupa(names[i], strcspn(names[i], "-")));
		struct pipeline pipeline =
			parse(pipelines[strtoul(strchr(names[i], '-') + 1, NULL, 10)]);
		CLEANUP(closep) int fd = client(&server, names[i], i % 2 ? "tcp:" : "unix:");
		CLEANUP(buffer_done) struct buffer requests = {0}, answers = {0}, got = {0};

		while (requests.len < total) {
			CLEANUP(buffer_done) struct buffer answer = {0};
			size_t len = random_below(&random, 20000);
			CLEANUP(freep) char *text = malloc(len + 1);

			for (size_t j = 0; j < len; j++)
				text[j] = (char)('a' + random_below(&random, 26));
			transformed(&pipeline, text, len, &answer);
			wrap(&requests, framing, text, len);
			wrap(&answers, framing, answer.data, answer.len);
		}
		exchange(fd, requests.data, requests.len, 0, NULL, true, 0, &got);
		assert_bytes(got.data, got.len, answers.data, answers.len, names[i]);
	}
	server_stop(&server);
}
END_TEST

/* The client sends all it has and only then begins to read: both buffers are full meanwhile. */
START_TEST(half_close_before_reading)
{
	CLEANUP(buffer_done) struct buffer requests = {0}, got = {0};
	CLEANUP(closep) int fd = -1;
	struct server server;
	char line[100];

	memset(line, 'q', sizeof line);
	while (requests.len < 3000000)
		wrap(&requests, FRAMING_LINE, line, sizeof line);
	start_all(&server);
	fd = client(&server, "line-1", "unix:");
	send_all(fd, requests.data, requests.len);
	shut_down(fd);
	recv_to_end(fd, &got);
	assert_bytes(got.data, got.len, requests.data, requests.len, "late reader");
	server_stop(&server);
}
END_TEST

START_TEST(greeting)
{
	struct server server;

	server_start_config(
		&server, "%s",
		"greeting = \"gr\xc3\xbc\xc3\x9f dich\"; "
		"listeners: ("
		"{ name = \"raw\"; framing = \"raw\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"line\"; framing = \"line\"; listen = \"unix:line.sock\"; },"
		"{ name = \"length\"; framing = \"length\"; listen = \"tcp://127.0.0.1:0\"; "
		"transforms = [ \"upper\" ]; },"
		"{ name = \"own\"; framing = \"line\"; greeting = \"own\"; "
		"listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"none\"; framing = \"line\"; greeting = \"\"; "
		"listen = \"tcp://127.0.0.1:0\"; });");
	{
		CLEANUP(closep) int raw = client(&server, "raw", NULL);
		CLEANUP(closep) int line = client(&server, "line", NULL);
		CLEANUP(closep) int length = client(&server, "length", NULL);
		CLEANUP(closep) int own = client(&server, "own", NULL);
		CLEANUP(closep) int none = client(&server, "none", NULL);

		expect_text(raw, "gr\xc3\xbc\xc3\x9f dich");
		expect_text(line, "gr\xc3\xbc\xc3\x9f dich\n");
		expect_text(length, "11        gr\xc3\xbc\xc3\x9f dich");
		expect_text(own, "own\n");
		send_text(none, "x\n");
		expect_text(none, "x\n");
		send_text(line, "after\n");
		expect_text(line, "after\n");
	}
	server_stop(&server);
}
END_TEST

START_TEST(json_payload)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{"{\"b\": \"x\", \"a\": [1.50, \"stra\xc3\x9f\x65\", null, true]}",
		 "{\"b\":\"X\",\"a\":[1.50,\"STRASSE\",null,true]}"},
		{"\"\\u00e9\"", "\"\xc3\x89\""},
		{" 12345678901234567890 ", "12345678901234567890"},
		{"[]", "[]"},
	};
	CLEANUP(buffer_done) struct buffer answer = {0};
	CLEANUP(closep) int line = -1, length = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ("
			    "{ name = \"line\"; framing = \"line\"; payload = \"json\"; "
			    "listen = \"tcp://127.0.0.1:0\"; transforms = [ \"upper\" ]; },"
			    "{ name = \"length\"; framing = \"length\"; payload = \"json\"; "
			    "listen = \"tcp://127.0.0.1:0\"; transforms = [ \"upper\" ]; });");
	line = client(&server, "line", NULL);
	length = client(&server, "length", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		send_text(line, cases[i].request);
		send_text(line, "\r\n");
		expect_text(line, cases[i].answer);
		expect_text(line, "\r\n");
		send_frame(length, cases[i].request, strlen(cases[i].request));
		expect_frame(length, cases[i].answer, strlen(cases[i].answer));
		/* What is wrong is answered, and the connection stays. */
		send_frame(length, "[1,", 3);
		ck_assert(!recv_frame(length, &answer));
		answer.data[answer.len] = 0;
		ck_assert_ptr_nonnull(strstr((char *)answer.data, "{\"error\":\"bad_json\","));
		ck_assert_ptr_nonnull(strstr((char *)answer.data, " at byte "));
	}
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_framing");

	harness_add(suite, every_framing_pipeline_and_transport);
	harness_add(suite, every_pipeline_over_udp);
	harness_add(suite, every_split);
	harness_add(suite, raw_keeps_characters_whole);
	harness_add(suite, raw_answers_a_cut_character_at_the_end);
	harness_add(suite, line_ends);
	harness_add(suite, headers_in_every_allowed_form);
	harness_add(suite, a_message_of_exactly_the_limit);
	harness_add(suite, a_message_one_byte_too_long);
	harness_add(suite, half_close_gets_everything);
	harness_add(suite, half_close_before_reading);
	harness_add(suite, greeting);
	harness_add(suite, json_payload);
	return harness_main(suite);
}
