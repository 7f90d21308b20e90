/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * retort say, tail, transform and the commands of administrators against servers that the tests
 * play themselves, word for word: they lose connections, refuse, and wait as no daemon could be
 * made to at will. They speak as retort-protocol(7) has it.
 */

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"

#define TIME "2026-11-22T15:04:05.678Z"

/* ---- the server's part ---- */

struct script {
	char address[64];
	int listener;
	int fd;		 /* the connection at hand */
	json_t *request; /* the last one */
	const char *limits;
};

static struct script script;

/* What hello tells of limits. */
#define LIMITS(message, rate)                                                               \
	"\"max_message\":" message ",\"max_text\":1000,\"max_topic\":100,\"max_rooms\":10," \
	"\"rate\":" rate ",\"burst\":" rate

/* With these limits; NULL: the usual ones. */
static void script_start(const char *limits)
{
	script = (struct script){.fd = -1, .limits = limits ?: LIMITS("100000", "0")};
	script.listener = listen_anywhere(script.address);
}

static void script_end(void)
{
	json_decref(script.request);
	script.request = NULL;
	closep(&script.fd);
	closep(&script.listener);
	script.fd = script.listener = -1;
}

/* Takes the next request, which must be of this op. */
static void expect(const char *op)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	json_t *name;

	ck_assert(!recv_frame(script.fd, &text));
	json_decref(script.request);
	script.request = json_loadb((const char *)text.data, text.len, 0, NULL);
	ck_assert_msg(json_is_object(script.request), "%.*s", (int)text.len, text.data);
	name = json_object_get(script.request, "op");
	ck_assert_str_eq(json_string_value(name), op);
}

static const char *member(const char *name)
{
	const char *value = json_string_value(json_object_get(script.request, name));

	ck_assert_msg(value != NULL, "the request has no %s", name);
	return value;
}

static void say_json(const char *format, ...) PRINTF(1, 2);

static void say_json(const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	ck_assert_int_ge(len, 0);
	send_frame(script.fd, text, (size_t)len);
}

/* Answers request with these members. */
static void answer_to(const json_t *request, const char *members)
{
	char *id = json_dumps(json_object_get(request, "id"), JSON_ENCODE_ANY);

	ck_assert_ptr_nonnull(id);
	say_json("{\"id\":%s,%s}", id, members);
	free(id);
}

static void answer(const char *members)
{
	answer_to(script.request, members);
}

static void refuse(const char *token)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "\"ok\":false,\"error\":\"%s\",\"message\":\"because of %s\"", token, token);
	answer(text);
}

static void answer_seq(const json_t *request, unsigned seq)
{
	char text[128];

	(void)snprintf(text, sizeof(text),
		       "\"ok\":true,\"room\":\"ops\",\"seq\":%u,\"time\":\"" TIME "\"", seq);
	answer_to(request, text);
}

/* Takes the next connection, and answers its hello. */
static void meet(void)
{
	char text[512];

	closep(&script.fd);
	script.fd = accept_one(script.listener);
	expect("hello");
	(void)snprintf(text, sizeof(text),
		       "\"ok\":true,\"nick\":\"guest1\",\"user\":null,\"server\":\"retortd\","
		       "\"version\":\"9\",\"limits\":{%s},\"transforms\":[\"upper\"]",
		       script.limits);
	answer(text);
}

static void let_join(void)
{
	expect("join");
	ck_assert_str_eq(member("room"), "ops");
	answer("\"ok\":true,\"room\":\"ops\",\"seq\":0,\"oldest\":1,\"members\":1,\"topic\":\"\"");
}

static void event_message(unsigned seq, const char *text)
{
	say_json("{\"event\":\"message\",\"room\":\"ops\",\"seq\":%u,\"time\":\"" TIME "\","
		 "\"from\":\"anna\",\"text\":\"%s\"}",
		 seq, text);
}

/* ---- the client's part ---- */

static void start(struct run *run, const char *input, const char *const *arguments)
{
	const struct run_setup setup = {
		.input = input,
		.input_len = input ? strlen(input) : 0,
		.address = script.address,
	};

	run_start(run, &setup, arguments);
}

static void finish(struct run *run, int status, const char *error)
{
	run_end(run);
	ck_assert_msg(run->status == status, "status %d, not %d; it says: %s", run->status, status,
		      run->error);
	if (*error)
		ck_assert_msg(strstr(run->error, error), "\"%s\" is not in: %s", error, run->error);
	else
		ck_assert_str_eq(run->error, "");
}

/* ---- say ---- */

START_TEST(test_say_ends_when_acknowledged)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("say", "ops", "one", "a \"b\" \\ \n\xff"));
	meet();
	let_join();
	expect("say");
	ck_assert_str_eq(member("text"), "one");
	ck_assert_str_eq(member("room"), "ops");
	answer_seq(script.request, 1);
	expect("say");
	ck_assert_str_eq(member("text"), "a \"b\" \\ \n\xef\xbf\xbd");
	answer_seq(script.request, 2);
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_to_one_person)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("say", "@anna", "hello"));
	meet();
	expect("say"); /* there is nothing to join */
	ck_assert_str_eq(member("room"), "@anna");
	answer_seq(script.request, 1);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_lines)
{
	static const char *const lines[] = {"one", "", "three", " four\t", "", "end"};
	struct run run;

	script_start(NULL);
	start(&run, "one\r\n\nthree\n four\t\n\nend", WORDS("--json", "say", "ops"));
	meet();
	let_join();
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		expect("say");
		ck_assert_str_eq(member("text"), lines[i]);
		answer_seq(script.request, (unsigned)i + 1);
	}
	finish(&run, 0, "");
	ck_assert_ptr_eq(strstr(run.out, "{\"room\":\"ops\",\"seq\":1,\"time\":\"" TIME "\"}\n"),
			 run.out);
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_nul)
{
	static const char input[] = "a\0b\n\0\n";
	const struct run_setup setup = {.input = input, .input_len = sizeof(input) - 1};
	struct run run;

	script_start(NULL);
	run_start(&run, &setup, WORDS("-c", script.address, "say", "ops"));
	meet();
	let_join();
	expect("say");
	ck_assert_str_eq(member("text"), "a\xef\xbf\xbd"
					 "b");
	answer_seq(script.request, 1);
	expect("say");
	ck_assert_str_eq(member("text"), "\xef\xbf\xbd");
	answer_seq(script.request, 2);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_window)
{
	enum { LINES = 200, WINDOW = 64 };
	json_t *requests[LINES];
	char input[LINES * 8] = "";
	struct run run;

	for (int i = 0; i < LINES; i++)
		(void)sprintf(input + strlen(input), "%d\n", i);
	script_start(NULL);
	start(&run, input, WORDS("say", "ops"));
	meet();
	let_join();
	for (int i = 0; i < LINES; i++) {
		expect("say");
		ck_assert_int_eq(strtol(member("text"), NULL, 10), i);
		requests[i] = json_incref(script.request);
		/* So many come before the first is answered, and no more. */
		if (i < WINDOW - 1)
			continue;
		expect_silence(script.fd);
		answer_seq(requests[i - WINDOW + 1], (unsigned)(i - WINDOW + 2));
	}
	for (int i = LINES - WINDOW + 1; i < LINES; i++)
		answer_seq(requests[i], (unsigned)i + 1);
	for (int i = 0; i < LINES; i++)
		json_decref(requests[i]);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_again_after_a_lost_connection)
{
	char key[128];
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("say", "-v", "ops", "one", "two"));
	meet();
	let_join();
	expect("say");
	answer_seq(script.request, 1);
	expect("say");
	ck_assert_uint_lt(strlen(member("key")), sizeof(key));
	(void)strcpy(key, member("key"));

	/* It was said, but the reply is lost. */
	meet();
	ck_assert_str_eq(member("nick"), "guest1");
	expect("join");
	answer("\"ok\":true,\"room\":\"ops\",\"seq\":2,\"oldest\":1,\"members\":1,\"topic\":\"\"");
	expect("say");
	ck_assert_str_eq(member("text"), "two");
	ck_assert_str_eq(member("key"), key);
	answer("\"ok\":true,\"room\":\"ops\",\"seq\":2,\"time\":\"" TIME "\",\"duplicate\":true");
	finish(&run, 0, "number 2, said before the connection was lost");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_slower)
{
	struct run run;

	script_start(NULL);
	start(&run, "one\ntwo\nthree\n", WORDS("say", "ops"));
	meet();
	let_join();
	for (int i = 0; i < 3; i++) {
		expect("say");
		answer("\"ok\":false,\"error\":\"slow_down\",\"message\":\"too fast\","
		       "\"retry_after\":0.02");
	}
	/* Then one by one, in their order. */
	expect("say");
	ck_assert_str_eq(member("text"), "one");
	expect_silence(script.fd);
	answer_seq(script.request, 1);
	expect("say");
	ck_assert_str_eq(member("text"), "two");
	/* A server that ends takes nothing more; the next one does. */
	refuse("shutting_down");
	meet();
	let_join();
	expect("say");
	ck_assert_str_eq(member("text"), "two");
	answer_seq(script.request, 2);
	expect("say");
	ck_assert_str_eq(member("text"), "three");
	answer_seq(script.request, 3);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_one_by_one_where_they_are_counted)
{
	struct run run;

	script_start(LIMITS("100000", "5"));
	start(&run, "one\ntwo\n", WORDS("say", "ops"));
	meet();
	let_join();
	expect("say");
	expect_silence(script.fd);
	answer_seq(script.request, 1);
	expect("say");
	ck_assert_str_eq(member("text"), "two");
	answer_seq(script.request, 2);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_too_long)
{
	static char input[2048];
	struct run run;

	memset(input, 'x', 1001);
	(void)strcpy(input + 1001, "\nfits\nalso too long to the server\nlast\n");
	script_start(NULL);
	start(&run, input, WORDS("say", "ops"));
	meet();
	let_join();
	expect("say");
	ck_assert_str_eq(member("text"), "fits");
	answer_seq(script.request, 1);
	expect("say");
	refuse("too_long");
	expect("say");
	ck_assert_str_eq(member("text"), "last");
	answer_seq(script.request, 2);
	finish(&run, 1, "line 1: too_long: it has 1001 bytes, and the server takes 1000");
	ck_assert_ptr_nonnull(strstr(run.error, "line 3: too_long: because of too_long"));
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_too_long_as_json)
{
	static char input[2048];
	struct run run;

	/* Within max_text, but each becomes six bytes. */
	memset(input, '\x01', 900);
	script_start(LIMITS("5000", "0"));
	start(&run, input, WORDS("say", "ops"));
	meet();
	let_join();
	finish(&run, 1, "line 1: too_long: it becomes 5402 bytes of JSON");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_refused)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("say", "ops", "one", "two", "three"));
	meet();
	let_join();
	expect("say");
	answer_seq(script.request, 1);
	expect("say");
	refuse("storage");
	finish(&run, 1, "text 2: storage: because of storage");
	ck_assert_ptr_nonnull(strstr(run.error, "1 of 3 were acknowledged"));
	run_done(&run);

	start(&run, NULL, WORDS("say", "ops", "one"));
	meet();
	expect("join");
	refuse("not_allowed");
	finish(&run, 1, "not_allowed: because of not_allowed");
	run_done(&run);

	/* A server of a later version. */
	start(&run, NULL, WORDS("say", "ops", "one"));
	meet();
	expect("join");
	refuse("too_early");
	finish(&run, 1, "retort: too_early: because of too_early");
	run_done(&run);
	start(&run, NULL, WORDS("say", "ops", "one"));
	meet();
	let_join();
	expect("say");
	refuse("too_early");
	finish(&run, 1, "retort: too_early: because of too_early");
	run_done(&run);

	/* What others send is no danger to the terminal. */
	start(&run, NULL, WORDS("say", "ops", "one"));
	meet();
	expect("join");
	answer("\"ok\":false,\"error\":\"bad_name\",\"message\":\"a\\u001b]b\\u202e\"");
	finish(&run, 1, "bad_name: a^[]b\\u{202E}");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_room_lost)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("say", "ops", "one"));
	meet();
	let_join();
	expect("say");
	meet();
	expect("join");
	refuse("not_allowed");
	finish(&run, 1, "not_allowed");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_say_gives_up)
{
	struct run run;

	/* Silence. */
	script_start(NULL);
	start(&run, NULL, WORDS("say", "--timeout", run_timeout(), "ops", "one"));
	meet();
	let_join();
	expect("say");
	finish(&run, 75, "timed out");
	run_done(&run);

	/* Nobody there any more. */
	start(&run, NULL, WORDS("say", "--timeout", run_timeout(), "ops", "one"));
	meet();
	let_join();
	expect("say");
	script_end();
	finish(&run, 69, "127.0.0.1");
	run_done(&run);
}
END_TEST

START_TEST(test_say_waits_for_its_input)
{
	struct run_setup setup = {0};
	struct run run;
	int input[2];

	ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
	script_start(NULL);
	setup.in = input[0];
	run_start(&run, &setup,
		  WORDS("-c", script.address, "--timeout", run_timeout(), "say", "ops"));
	closep(&input[0]);
	meet();
	let_join();
	/* A server that is away while there is nothing to say is no failure. */
	meet();
	expect("join");
	answer("\"ok\":true,\"room\":\"ops\",\"seq\":0,\"oldest\":1,\"members\":1,\"topic\":\"\"");
	/* Longer than its time-out. */
	(void)poll(NULL, 0, (int)strtol(run_timeout(), NULL, 10) * 1000 + 100);
	ck_assert_int_eq(write(input[1], "now\n", 4), 4);
	expect("say");
	ck_assert_str_eq(member("text"), "now");
	answer_seq(script.request, 1);
	closep(&input[1]);
	finish(&run, 0, "");
	run_done(&run);
	script_end();
}
END_TEST

/* ---- transform ---- */

START_TEST(test_transform)
{
	struct run run;

	script_start(NULL);
	start(&run, "one\ntwo\n", WORDS("transform", "-t", "upper,reverse"));
	meet();
	expect("transform");
	ck_assert_str_eq(member("text"), "one");
	ck_assert_str_eq(
		json_string_value(json_array_get(json_object_get(script.request, "with"), 0)),
		"upper");
	ck_assert_uint_eq(json_array_size(json_object_get(script.request, "with")), 2);
	answer("\"ok\":true,\"text\":\"ENO\"");

	/* What was not answered is asked again. */
	expect("transform");
	meet();
	expect("transform");
	ck_assert_str_eq(member("text"), "two");
	answer("\"ok\":true,\"text\":\"OWT\"");
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "ENO\nOWT\n");
	run_done(&run);

	start(&run, NULL, WORDS("transform", "-t", "sideways", "x"));
	meet();
	expect("transform");
	refuse("bad_request");
	finish(&run, 1, "bad_request");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_transform_keeps_order)
{
	struct run run;

	script_start(NULL);
	start(&run, "one\ntwo\n", WORDS("--json", "transform", "-t", "upper"));
	meet();
	expect("transform");
	answer("\"ok\":false,\"error\":\"slow_down\",\"message\":\"too fast\",\"retry_after\":0");
	expect("transform");
	answer("\"ok\":true,\"text\":\"TWO\"");
	for (int i = 0; i < 2; i++) {
		expect("transform");
		answer(i == 0 ? "\"ok\":true,\"text\":\"ONE\"" : "\"ok\":true,\"text\":\"TWO\"");
	}
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "{\"text\":\"ONE\"}\n{\"text\":\"TWO\"}\n");
	run_done(&run);
	script_end();
}
END_TEST

/* ---- tail ---- */

/* A log of 1 to 600, of which 101 and later are kept, and one a minute since the epoch. */
static void answer_history(void)
{
	static const char head[] = "\"ok\":true,\"oldest\":101,\"seq\":600,\"messages\":[";
	enum { OLDEST = 101, NEWEST = 600 };
	const json_t *after = json_object_get(script.request, "after");
	const unsigned limit =
		(unsigned)json_integer_value(json_object_get(script.request, "limit"));
	unsigned first = after ? (unsigned)json_integer_value(after) + 1 : NEWEST + 1 - limit;
	CLEANUP(buffer_done) struct buffer text = {0};
	char each[160];

	first = MAX(first, (unsigned)OLDEST);
	ck_assert_int_eq(buffer_append(&text, head, strlen(head)), 0);
	for (unsigned seq = first; seq <= NEWEST && seq < first + limit; seq++) {
		(void)snprintf(each, sizeof(each),
			       "%s{\"seq\":%u,\"time\":\"1970-01-01T%02u:%02u:00.000Z\","
			       "\"from\":\"anna\",\"text\":\"%u\"}",
			       seq > first ? "," : "", seq, seq / 60, seq % 60, seq);
		ck_assert_int_eq(buffer_append(&text, each, strlen(each)), 0);
	}
	ck_assert_int_eq(buffer_append(&text, "]", 2), 0);
	ck_assert_uint_lt(text.len, 65536);
	answer((const char *)text.data);
}

/* Answers whatever tail asks of the log until it ends, and asserts what it prints. */
static void tail_prints(const char *const *arguments, unsigned first, unsigned last,
			const char *error)
{
	CLEANUP(buffer_done) struct buffer want = {0};
	char line[64];
	struct run run;

	script_start(NULL);
	start(&run, NULL, arguments);
	meet();
	/* It closes the connection when it has got what it wants. */
	for (;;) {
		char byte;

		if (recv(script.fd, &byte, 1, MSG_PEEK) <= 0)
			break;
		expect("history");
		answer_history();
	}
	finish(&run, 0, error);
	for (unsigned seq = first; seq <= last; seq++) {
		(void)snprintf(line, sizeof(line), "1970-01-01 %02u:%02u:00 anna: %u\n", seq / 60,
			       seq % 60, seq);
		ck_assert_int_eq(buffer_append(&want, line, strlen(line)), 0);
	}
	assert_bytes(run.out, run.out_len, want.data, want.len, "what tail prints");
	run_done(&run);
	script_end();
}

START_TEST(test_tail_begins_where_it_is_told)
{
	tail_prints(WORDS("tail", "ops"), 591, 600, "");
	tail_prints(WORDS("tail", "ops", "-n", "3"), 598, 600, "");
	tail_prints(WORDS("tail", "ops", "-n", "0"), 1, 0, "");
	tail_prints(WORDS("tail", "ops", "-n", "300"), 301, 600, "");
	tail_prints(WORDS("tail", "ops", "-n", "9999"), 101, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "597"), 598, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "597", "-n", "1"), 600, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "100"), 101, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "50"), 101, 600,
		    "messages 51 to 100 are kept no longer");
	tail_prints(WORDS("-q", "tail", "ops", "--since", "50"), 101, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "700"), 1, 0, "number 600");
	tail_prints(WORDS("tail", "ops", "--since", "1970-01-01T05:00:00Z"), 300, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "1970-01-01T05:00:00.001Z"), 301, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "1970-01-01 00:00"), 101, 600, "");
	tail_prints(WORDS("tail", "ops", "--since", "1d"), 1, 0, "");
}
END_TEST

START_TEST(test_tail_of_no_room)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("tail", "ops"));
	meet();
	expect("history");
	refuse("no_such_room");
	finish(&run, 1, "no_such_room");
	run_done(&run);
	script_end();
}
END_TEST

/* Lets tail -f begin after number 600. */
static void let_follow(void)
{
	meet();
	expect("history");
	answer_history();
	expect("join");
	ck_assert_int_eq(json_integer_value(json_object_get(script.request, "since")), 600);
	answer("\"ok\":true,\"room\":\"ops\",\"seq\":600,\"oldest\":1,\"members\":1,"
	       "\"topic\":\"\"");
}

/* Takes the connection away, and lets the client join again after what it has seen. */
static void lose_connection(unsigned seen, const char *reply)
{
	meet();
	expect("join");
	ck_assert_int_eq(json_integer_value(json_object_get(script.request, "since")), seen);
	answer(reply);
}

#define JOINED	"\"ok\":true,\"room\":\"ops\",\"seq\":700,\"oldest\":1,\"members\":1,\"topic\":\"\""
#define REFUSED "\"ok\":false,\"error\":\"not_allowed\",\"message\":\"members only\""

START_TEST(test_tail_follows)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("tail", "-f", "ops", "-n", "0"));
	let_follow();
	event_message(601, "one\\u001b[2J\\n\\u202etwo");
	lose_connection(601, JOINED);
	event_message(602, "missed");
	say_json("{\"event\":\"gap\",\"room\":\"ops\",\"first\":603,\"last\":610}");
	event_message(611, "new");
	say_json("{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"bert\"}");
	lose_connection(611, REFUSED);
	finish(&run, 1, "not_allowed: members only");
	ck_assert_str_eq(run.out, "2026-11-22 15:04:05 anna: one^[[2J^J\\u{202E}two\n"
				  "2026-11-22 15:04:05 anna: missed\n"
				  "2026-11-22 15:04:05 anna: new\n");
	ck_assert_ptr_nonnull(strstr(run.error, "messages 603 to 610 are kept no longer\n"));
	ck_assert_ptr_nonnull(strstr(run.error, "the connection was lost; trying again"));
	ck_assert_ptr_nonnull(strstr(run.error, "connected again\n"));
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_tail_follows_as_json)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("-q", "tail", "-f", "ops", "-n", "0", "--json"));
	let_follow();
	event_message(601, "\\u001b\\u009bé");
	lose_connection(601, JOINED);
	say_json("{\"event\":\"gap\",\"room\":\"ops\",\"first\":602,\"last\":610}");
	lose_connection(610, REFUSED);
	finish(&run, 1, "not_allowed: members only");
	ck_assert_str_eq(run.out,
			 "{\"event\":\"message\",\"room\":\"ops\",\"seq\":601,\"time\":\"" TIME
			 "\",\"from\":\"anna\",\"text\":\"\\u001B\\u009B\\u00E9\"}\n"
			 "{\"event\":\"gap\",\"room\":\"ops\",\"first\":602,\"last\":610}\n");
	ck_assert_ptr_null(strstr(run.error, "trying"));
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_tail_ends_with_its_reader)
{
	struct run_setup setup = {.sigpipe_ignored = true};
	struct run run;
	char line[128];
	int output[2];

	ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
	script_start(NULL);
	setup.out = output[1];
	run_start(&run, &setup, WORDS("-c", script.address, "tail", "-f", "ops", "-n", "0"));
	closep(&output[1]);
	let_follow();
	event_message(601, "one");
	/* It comes at once, and nothing has to come for it to notice that nobody reads any more. */
	ck_assert_int_gt(read(output[0], line, sizeof(line)), 0);
	closep(&output[0]);
	finish(&run, 128 + SIGPIPE, "");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_tail_is_taken_out)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("tail", "-f", "ops", "-n", "0"));
	let_follow();
	say_json(
		"{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"guest1\",\"reason\":\"kicked\"}");
	finish(&run, 1, "not_member: kicked");
	run_done(&run);

	/* Another connection of the same user took another nick. */
	start(&run, NULL, WORDS("tail", "-f", "ops", "-n", "0"));
	let_follow();
	say_json("{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"guest1\",\"reason\":\"x\"}");
	say_json("{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"guest2\"}");
	event_message(601, "still there");
	say_json("{\"event\":\"closing\",\"reason\":\"enough\",\"reconnect\":false}");
	finish(&run, 1, "closed the connection: enough");
	ck_assert_ptr_nonnull(strstr(run.out, "still there"));
	run_done(&run);
	script_end();
}
END_TEST

static void throw_out(void)
{
	say_json("{\"event\":\"closing\",\"reason\":\"too loud\",\"reconnect\":false}");
}

#define THROWN_OUT "retort: the server closed the connection: too loud\n"

/* Whoever was kicked or banned does not come back by itself, and says why. */
START_TEST(test_thrown_out)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("tail", "-f", "ops", "-n", "0"));
	let_follow();
	throw_out();
	finish(&run, 1, THROWN_OUT);
	ck_assert_str_eq(run.error, THROWN_OUT);
	run_done(&run);

	start(&run, NULL, WORDS("say", "ops", "one", "two"));
	meet();
	let_join();
	expect("say");
	answer_seq(script.request, 1);
	expect("say");
	throw_out();
	closep(&script.fd);
	finish(&run, 1, THROWN_OUT);
	ck_assert_str_eq(run.error, THROWN_OUT "retort: 1 of 2 were acknowledged\n");
	run_done(&run);
	script_end();
}
END_TEST

/* ---- administrators' ---- */

/* The number, as text, that is sent as a member of a request. */
static int number_member(const char *name)
{
	const json_t *value = json_object_get(script.request, name);

	return json_is_integer(value) ? (int)json_integer_value(value) : -1;
}

START_TEST(test_kick_and_ban)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("-c", script.address, "kick", "anna", "too", "loud"));
	meet();
	expect("kick");
	ck_assert_str_eq(member("nick"), "anna");
	ck_assert_str_eq(member("reason"), "too loud");
	answer("\"ok\":true,\"kicked\":2");
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "kicked anna, 2 connections\n");
	run_done(&run);

	start(&run, NULL,
	      WORDS("-c", script.address, "kick", "--client", "17", "--room", "ops", "--json"));
	meet();
	expect("kick");
	ck_assert_int_eq(number_member("client"), 17);
	ck_assert_str_eq(member("room"), "ops");
	ck_assert_ptr_null(json_object_get(script.request, "nick"));
	ck_assert_ptr_null(json_object_get(script.request, "reason"));
	answer("\"ok\":true,\"kicked\":1");
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "{\"kicked\":1}\n");
	run_done(&run);

	start(&run, NULL,
	      WORDS("-q", "-c", script.address, "ban", "--address", "10.0.0.0/8", "--duration",
		    "10min", "spam"));
	meet();
	expect("ban");
	ck_assert_str_eq(member("address"), "10.0.0.0/8");
	ck_assert_str_eq(member("reason"), "spam");
	ck_assert_int_eq(number_member("duration"), 600);
	answer("\"ok\":true,\"kicked\":0");
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "");
	run_done(&run);

	start(&run, NULL, WORDS("-c", script.address, "unmute", "--user", "anna"));
	meet();
	expect("unmute");
	ck_assert_str_eq(member("user"), "anna");
	refuse("not_allowed");
	finish(&run, 77, "not_allowed");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_lists_of_bans)
{
	static const char stats[] =
		"\"ok\":true,\"bans\":[{\"nick\":\"x\",\"until\":null,\"by\":\"root\","
		"\"reason\":\"a\\tb\"}],\"mutes\":[{\"address\":\"10.0.0.0/8\",\"until\":\"" TIME
		"\",\"by\":\"anna\",\"reason\":\"\"}]";
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("-c", script.address, "ban"));
	meet();
	expect("stats");
	answer(stats);
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "x\tnick\tfor ever\troot\ta b\n");
	run_done(&run);

	start(&run, NULL, WORDS("-c", script.address, "mute"));
	meet();
	expect("stats");
	answer(stats);
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "10.0.0.0/8\taddress\t2026-11-22 15:04:05\tanna\t\n");
	run_done(&run);

	start(&run, NULL, WORDS("-c", script.address, "ban", "--json"));
	meet();
	expect("stats");
	answer(stats);
	finish(&run, 0, "");
	ck_assert_str_eq(run.out,
			 "{\"nick\":\"x\",\"until\":null,\"by\":\"root\",\"reason\":\"a\\tb\"}\n");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_clients_are_in_order)
{
	static const char clients[] = "\"ok\":true,\"clients\":[{\"client\":10},{\"client\":9},{"
				      "\"client\":2},{\"client\":30}]";
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("-c", script.address, "clients", "--json"));
	meet();
	expect("clients");
	answer(clients);
	finish(&run, 0, "");
	ck_assert_str_eq(run.out,
			 "{\"client\":2}\n{\"client\":9}\n{\"client\":10}\n{\"client\":30}\n");
	run_done(&run);

	start(&run, NULL, WORDS("-c", script.address, "clients"));
	meet();
	expect("clients");
	answer(clients);
	finish(&run, 0, "");
	ck_assert_int_eq(strncmp(run.out, "2\t", 2), 0);
	ck_assert_ptr_nonnull(strstr(strstr(run.out, "\n9\t"), "\n30\t"));
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_health_and_reload)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("-c", script.address, "health"));
	meet();
	expect("health");
	answer("\"ok\":true,\"healthy\":false,\"problems\":[\"disk \\u001b full\",\"late\"]");
	finish(&run, 1, "");
	ck_assert_str_eq(run.out, "disk ^[ full\nlate\n");
	run_done(&run);

	start(&run, NULL, WORDS("-q", "-c", script.address, "health"));
	meet();
	expect("health");
	answer("\"ok\":true,\"healthy\":true,\"problems\":[]");
	finish(&run, 0, "");
	ck_assert_str_eq(run.out, "");
	run_done(&run);

	start(&run, NULL, WORDS("-c", script.address, "reload"));
	meet();
	expect("reload");
	refuse("not_reloaded");
	finish(&run, 1, "not_reloaded: because of not_reloaded");
	run_done(&run);
	script_end();
}
END_TEST

START_TEST(test_broken_servers)
{
	struct run run;

	script_start(NULL);
	start(&run, NULL, WORDS("rooms"));
	meet();
	expect("rooms");
	send_text(script.fd, "9         no object");
	finish(&run, 76, "127.0.0.1");
	run_done(&run);

	start(&run, NULL, WORDS("who", "--timeout", run_timeout()));
	meet();
	expect("who");
	finish(&run, 75, "timed out");
	run_done(&run);

	start(&run, NULL, WORDS("rooms"));
	closep(&script.fd);
	script.fd = accept_one(script.listener);
	send_text(script.fd, "-8        go away\x1b");
	finish(&run, 1, "go away^[");
	run_done(&run);

	/* Numbers that cannot be, in a room that cannot be. */
	start(&run, NULL, WORDS("tail", "-f", "ops\x1b", "-n", "0"));
	let_follow();
	for (int seq = 601; seq <= 603; seq += 2)
		say_json(
			"{\"event\":\"message\",\"room\":\"ops\\u001b\",\"seq\":%d,\"time\":\"" TIME
			"\",\"from\":\"b\",\"text\":\"\"}",
			seq);
	finish(&run, 76, "in ops^[ the message after number 601 has number 603");
	run_done(&run);
	script_end();
}
END_TEST

/* ---- usage ---- */

START_TEST(test_usage)
{
	const struct {
		const char *const *arguments;
		const char *error;
	} wrong[] = {
		{WORDS("say"), "in which room"},
		{WORDS("tail"), "one room"},
		{WORDS("tail", "a", "b"), "one room"},
		{WORDS("tail", "a", "-n", "x"), "--lines"},
		{WORDS("tail", "a", "--since", "x"), "--since"},
		{WORDS("tail", "a", "--since", "99999999999999999999"), "--since"},
		{WORDS("rooms", "a"), "no argument"},
		{WORDS("who", "a", "b"), "one room"},
		{WORDS("topic"), "which room"},
		{WORDS("transform", "x"), "-t"},
		{WORDS("transform", "-t", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "x"), "16"},
		{WORDS("kick"), "whom"},
		{WORDS("kick", "--client", "x"), "--client"},
		{WORDS("kick", "--client", "1", "--user", "x"), "one target"},
		{WORDS("ban", "--duration", "1h"), "whom"},
		{WORDS("ban", "x", "--duration", "0"), "--duration"},
		{WORDS("ban", "x", "--duration", "soon"), "--duration"},
		{WORDS("unban"), "whom"},
		{WORDS("unban", "x", "reason"), "no reason"},
		{WORDS("status", "x"), "no argument"},
		{WORDS("-c", "unix:x", "status", "--control", "y"), "exclude"},
		{WORDS("-c", "udp://127.0.0.1:1", "rooms"), "stream"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		run_expect_error(NULL, wrong[i].arguments, 64, wrong[i].error);
}
END_TEST

START_TEST(test_nobody_there)
{
	const struct run_setup setup = {.directory = "/nonexistent"};
	struct run run;

	script_start(NULL);
	script_end();
	run_expect_error(NULL, WORDS("-c", script.address, "say", "ops", "x"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", script.address, "tail", "-f", "ops"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", script.address, "status"), 69, "refused");
	run_expect_error(NULL, WORDS("-c", "tcp://nobody.invalid:1", "who"), 68, "nobody.invalid");
	run_expect_error(NULL, WORDS("health", "--control", "nonexistent"), 69, "no such socket");
	if (access("/run/retort/control.sock", F_OK) == 0)
		return;
	run_start(&run, &setup, WORDS("status"));
	finish(&run, 69, "systemctl start retortd");
	run_done(&run);
	run_start(&run, &setup, WORDS("chat"));
	finish(&run, 69, "-c tcp://localhost:1243");
	run_done(&run);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_say_ends_when_acknowledged,
		test_say_to_one_person,
		test_say_lines,
		test_say_nul,
		test_say_window,
		test_say_again_after_a_lost_connection,
		test_say_slower,
		test_say_one_by_one_where_they_are_counted,
		test_say_too_long,
		test_say_too_long_as_json,
		test_say_refused,
		test_say_room_lost,
		test_say_gives_up,
		test_say_waits_for_its_input,
		test_transform,
		test_transform_keeps_order,
		test_tail_begins_where_it_is_told,
		test_tail_of_no_room,
		test_tail_follows,
		test_tail_follows_as_json,
		test_tail_ends_with_its_reader,
		test_tail_is_taken_out,
		test_thrown_out,
		test_kick_and_ban,
		test_lists_of_bans,
		test_clients_are_in_order,
		test_health_and_reload,
		test_broken_servers,
		test_usage,
		test_nobody_there,
	};
	Suite *suite = suite_create("client_say");

	(void)setenv("TZ", "UTC0", 1); /* the client's, for what it prints */
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		harness_add(suite, tests[i]);
	return harness_main(suite);
}
