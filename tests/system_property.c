/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The property that holds the whole together: any pipeline over any framing gives, for random
 * input in random pieces, exactly what the pure transform gives. $RETORT_TEST_SEED repeats a run.
 */

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "text.h"

enum { PIPELINES = 12, MAX_MESSAGE = 100000 };

static const char *const fragments[] = {
	"a",
	"Z",
	"0",
	" ",
	"hello",
	"\t",
	"\r",
	"\xc3\x9f",
	"\xc5\x89",
	"\xce\x90",
	"\xce\xa3",
	"\xcf\x83",
	"e\xcc\x81",
	"\xcc\x88",
	"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
	"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
	"\xf0\x9f\x87\xa9",
	"\xf0\x9f\x87\xaa",
	"\xe2\x80\x8d",
	"\xea\xb0\x81",
	"\xe1\x84\x80",
	"\xff",
	"\xc3",
	"\xe2\x82",
	"\x80",
	"\xed\xa0\x80",
	"\xf4\x90\x80\x80",
	"\xef\xac\x83",
	"\xc4\xb0",
	"\xc4\xb1",
	"-5        ",
	"\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7",
};

struct listener {
	enum framing framing;
	struct pipeline pipeline;
	char name[16];
	char transforms[160]; /* as a configuration lists them */
};

static void choose_listener(struct random *random, unsigned number, struct listener *ret_listener)
{
	struct listener listener = {.framing = (enum framing)random_below(random, 3)};
	size_t n = random_below(random, 5);

	(void)sprintf(listener.name, "l%u", number);
	for (size_t i = 0; i < n; i++) {
		enum transform step = (enum transform)random_below(random, TRANSFORM_COUNT);

		listener.pipeline.steps[listener.pipeline.n_steps++] = step;
		(void)sprintf(listener.transforms + strlen(listener.transforms), "%s\"%s\"",
			      i ? ", " : "", transform_name(step));
	}
	*ret_listener = listener;
}

/* Most messages are short; a few are long, up to the limit. */
static size_t choose_length(struct random *random)
{
	switch (random_below(random, 40)) {
	case 0:
		return random_below(random, MAX_MESSAGE - 64);
	case 1 ... 5:
		return random_below(random, 5000);
	case 6 ... 9:
		return 0;
	default:
		return random_below(random, 200);
	}
}

static void make_message(struct random *random, enum framing framing, struct buffer *message)
{
	size_t want = choose_length(random);
	bool ascii = random_below(random, 3) == 0;

	message->len = 0;
	while (message->len < want) {
		uint8_t byte = (uint8_t)random_next(random);

		if (ascii)
			byte = (uint8_t)(' ' + byte % 95);
		else if (random_below(random, 4)) {
			const char *text = fragments[random_below(random, ARRAY_SIZE(fragments))];

			ck_assert_int_eq(buffer_append(message, text, strlen(text)), 0);
			continue;
		}
		if (byte != '\n' || framing != FRAMING_LINE)
			ck_assert_int_eq(buffer_append(message, &byte, 1), 0);
	}
	/* A CR there would be the line's. */
	if (framing == FRAMING_LINE && message->len > 0 && message->data[message->len - 1] == '\r')
		message->data[message->len - 1] = 'r';
}

static void append(struct buffer *buffer, const void *data, size_t len)
{
	if (len > 0)
		ck_assert_int_eq(buffer_append(buffer, data, len), 0);
}

/* Replaces the LF at the end by CR LF. */
static void make_crlf(struct buffer *wire)
{
	wire->len--;
	append(wire, "\r\n", 2);
}

static void make_dialogue(struct random *random, const struct listener *listener,
			  struct buffer *requests, struct buffer *answers)
{
	size_t n = 1 + random_below(random, 60);

	for (size_t i = 0; i < n; i++) {
		bool crlf = listener->framing == FRAMING_LINE && random_below(random, 4) == 0;
		CLEANUP(buffer_done) struct buffer message = {0}, answer = {0};

		make_message(random, listener->framing, &message);
		transformed(&listener->pipeline, message.data, message.len, &answer);
		wrap(requests, listener->framing, message.data, message.len);
		wrap(answers, listener->framing, answer.data, answer.len);
		if (crlf) {
			make_crlf(requests);
			make_crlf(answers);
		}
	}
}

/* Framing line or length: pieces of any length, glued or cut as it happens. */
static void converse(struct random *random, const struct listener *listener, int fd)
{
	static const size_t pieces[] = {0, 1, 3, 11, 200, 5000, 70000};
	size_t piece = pieces[random_below(random, ARRAY_SIZE(pieces))];
	CLEANUP(buffer_done) struct buffer requests = {0}, answers = {0}, got = {0};

	make_dialogue(random, listener, &requests, &answers);
	if (piece > 0 && requests.len / piece > 20000)
		piece = 200;
	exchange(fd, requests.data, requests.len, piece, random, true, 0, &got);
	assert_bytes(got.data, got.len, answers.data, answers.len, listener->transforms);
}

static void settle(int fd)
{
	send_text(fd, "!\n");
	expect_text(fd, "!\n");
}

/* Framing raw: each piece is a message, but for a character that it cuts. */
static void converse_raw(struct random *random, const struct listener *listener, int fd, int other)
{
	bool whole = !pipeline_is_identity(&listener->pipeline);
	CLEANUP(buffer_done) struct buffer held = {0}, answers = {0}, got = {0};
	size_t n = 1 + random_below(random, 100);

	for (size_t i = 0; i < n; i++) {
		CLEANUP(buffer_done) struct buffer message = {0};
		size_t cut, len;

		/* The first piece is "1", alone, so that the worker has the connection. */
		if (i == 0) {
			send_text(fd, "1");
			expect_text(fd, "1");
		}
		make_message(random, FRAMING_RAW, &message);
		len = MIN(message.len, 1 + random_below(random, 3000));
		send_all(fd, message.data, len);
		settle(other);
		append(&held, message.data, len);
		cut = whole && held.len > 0 ? text_cut_suffix(held.data, held.len) : 0;
		transformed(&listener->pipeline, held.data, held.len - cut, &answers);
		buffer_consume(&held, held.len - cut);
		/* So that neither side fills the socket's buffers. */
		got.len = 0;
		ck_assert_int_eq(buffer_reserve(&got, answers.len + 1), 0);
		recv_exactly(fd, got.data, answers.len);
		assert_bytes(got.data, answers.len, answers.data, answers.len,
			     listener->transforms);
		answers.len = 0;
	}
	transformed(&listener->pipeline, held.data, held.len, &answers);
	shut_down(fd);
	got.len = 0;
	recv_to_end(fd, &got);
	assert_bytes(got.data, got.len, answers.data, answers.len, listener->transforms);
}

START_TEST(as_the_pure_transform)
{
	const size_t rounds = harness_rounds(120, 36);
	struct listener listeners[PIPELINES];
	CLEANUP(closep) int other = -1;
	struct random random;
	struct server server;
	char config[8192], *end = config;

	random_init_run(&random, "as_the_pure_transform");
	end += sprintf(end,
		       "workers = 1; max_message = %d; "
		       "listeners: ({ name = \"settle\"; "
		       "framing = \"line\"; listen = \"tcp://127.0.0.1:0\"; }",
		       MAX_MESSAGE);
	for (unsigned i = 0; i < PIPELINES; i++) {
		choose_listener(&random, i, &listeners[i]);
		end += sprintf(end,
			       ", { name = \"%s\"; framing = \"%s\"; transforms = [ %s ]; "
			       "listen = [ \"tcp://127.0.0.1:0\", \"unix:%s\" ]; }",
			       listeners[i].name, framing_name(listeners[i].framing),
			       listeners[i].transforms, listeners[i].name);
	}
	strcpy(end, ");");
	server_start_config(&server, "%s", config);
	other = client(&server, "settle", NULL);
	for (size_t i = 0; i < rounds; i++) {
		const struct listener *listener = &listeners[i % PIPELINES];
		const char *scheme = random_below(&random, 2) ? "tcp:" : "unix:";
		CLEANUP(closep) int fd = client(&server, listener->name, scheme);

		if (listener->framing == FRAMING_RAW)
			converse_raw(&random, listener, fd, other);
		else
			converse(&random, listener, fd);
	}
	server_stop(&server);
}
END_TEST

/* Many conversations at once, so that connections' turns interleave; no two may be confused. */
START_TEST(many_at_once)
{
	enum { CLIENTS = 100 };
	const size_t rounds = harness_rounds(60, 10);
	struct pipeline upper = {1, {TRANSFORM_UPPER}};
	int fds[CLIENTS];
	struct random random;
	struct server server;

	random_init_run(&random, "many_at_once");
	server_start_config(&server, "%s",
			    "workers = 3; listeners: ({ name = "
			    "\"upper\"; transforms = [ \"upper\" "
			    "]; listen = \"tcp://127.0.0.1:0\"; });");
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client(&server, "upper", NULL);
	for (size_t round = 0; round < rounds; round++) {
		struct buffer want[CLIENTS] = {0};

		for (int i = 0; i < CLIENTS; i++) {
			CLEANUP(buffer_done) struct buffer answer = {0};
			char text[64];
			int len = sprintf(text, "client %d says %llx", i,
					  (unsigned long long)random_next(&random));

			transformed(&upper, text, (size_t)len, &answer);
			wrap(&want[i], FRAMING_LENGTH, answer.data, answer.len);
			send_frame(fds[i], text, (size_t)len);
		}
		for (int i = 0; i < CLIENTS; i++) {
			expect_bytes(fds[i], want[i].data, want[i].len);
			buffer_done(&want[i]);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		(void)close(fds[i]);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_property");

	harness_add(suite, as_the_pure_transform);
	harness_add(suite, many_at_once);
	return harness_main(suite);
}
