/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library and servers that refuse, are silent, talk nonsense or too much. */

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "harness_retort.h"

START_TEST(test_nick_in_use)
{
	struct play play;

	play_begin(&play);
	ck_assert_int_eq(retort_set_nick(play.retort, "anna"), 0);
	retort_set_patience(play.retort, -1, -1);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	play_refuse(&play, "nick_in_use");
	play_take_failure(&play, -EKEYREJECTED);
	ck_assert_str_eq(retort_token(play.retort), "nick_in_use");
	ck_assert_str_eq(retort_problem(play.retort), "no, nick_in_use");
	ck_assert_int_eq(
		retort_submit(play.retort, &(struct retort_request){.op = RETORT_OP_WHO}, NULL),
		-EKEYREJECTED);
	/* With another one it goes on. */
	ck_assert_int_eq(retort_set_nick(play.retort, "otto"), 0);
	retort_reconnect(play.retort);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	ck_assert_str_eq(play.request->nick, "otto");
	play_put(&play, REPLY_OK ",\"nick\":\"otto\",\"user\":null}");
	play_take(&play, RETORT_CONNECTED);
	play_end(&play);
}
END_TEST

/* A server that is silent: connecting fails in time, and so does a request. */
START_TEST(test_silence)
{
	const struct retort_event *event;
	uint64_t before, first, second;
	struct play play;

	play_begin(&play);
	retort_set_timeout(play.retort, SOON);
	before = harness_now();
	ck_assert_int_eq(retort_connect(play.retort, -1), -ETIMEDOUT);
	ck_assert_uint_ge(harness_now() - before, SOON);
	ck_assert_str_eq(retort_problem(play.retort), "no answer came in time");
	play_take_failure(&play, -ETIMEDOUT);

	retort_set_timeout(play.retort, harness_patience());
	retort_reconnect(play.retort);
	closep(&play.listener);
	play_listen(&play);
	play_connect(&play, "a");
	retort_set_timeout(play.retort, SOON);
	first = play_ask_say(&play, "ops", "x");
	second = play_ask_say(&play, "ops", "y");
	play_take_reply(&play, first, -ETIMEDOUT);
	event = play_take(&play, RETORT_DISCONNECTED);
	ck_assert_int_eq(event->status, -ETIMEDOUT);
	ck_assert_int_ge(event->retry, 0);
	/* The next one did not have its chance yet. */
	retort_set_timeout(play.retort, harness_patience());
	play_come_back(&play, "a");
	play_get(&play, CHAT_SAY);
	ck_assert_str_eq(play.request->text, "y");
	play_put(&play, REPLY_OK ",\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\"}");
	play_take(&play, RETORT_RESUMED);
	play_take_reply(&play, second, 0);
	play_end(&play);
}
END_TEST

/* What is no protocol ends it all, once it was seen. */
START_TEST(test_garbage)
{
	static const struct {
		const char *bytes, *problem;
	} garbage[] = {
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "no frame"},
		{"5         hello", "neither a reply nor an event"},
		{"2         {}", "neither a reply nor an event"},
		{"11        {\"ok\":true]", "neither a reply nor an event"},
		{"11        {\"ok\":true}", NULL},
		{"20        {\"id\":777,\"ok\":true}", "not asked"},
		{"99999999  {", "longer than the limit of 16777216"},
		{"-4        \x1b[1m", "^[[1m"},
		{"-0        ", "does not say why"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		const bool error = garbage[i].bytes[0] == '-';
		struct play play;

		if (!garbage[i].problem)
			continue; /* a reply without an id is one */
		play_begin(&play);
		retort_set_patience(play.retort, error ? 0 : -1, -1);
		play_serve(&play);
		play_get(&play, CHAT_HELLO);
		send_text(play.fd, garbage[i].bytes);
		play_take_failure(&play, error ? -ECONNABORTED : -EPROTO);
		ck_assert_msg(strstr(retort_problem(play.retort), garbage[i].problem), "%s",
			      retort_problem(play.retort));
		play_end(&play);
	}
}
END_TEST

START_TEST(test_unasked_reply)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_put(&play, "{\"ok\":true}");
	play_take_failure(&play, -EPROTO);
	play_end(&play);
}
END_TEST

START_TEST(test_jump)
{
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	cookie = play_ask(&play, (struct retort_request){.op = RETORT_OP_WHO});
	play_get(&play, CHAT_WHO);
	play_say(&play, "ops", 5);
	play_say(&play, "ops", 7);
	play_take_message(&play, "ops", 5);
	play_take_reply(&play, cookie, -EPROTO);
	play_take_failure(&play, -EPROTO);
	ck_assert_str_eq(retort_problem(play.retort),
			 "in ops the message after number 5 has number 7");
	play_end(&play);
}
END_TEST

START_TEST(test_max_message)
{
	struct play play;

	play_begin(&play);
	retort_set_max_message(play.retort, 100);
	play_connect(&play, "a");
	play_join(&play, "@b", 0);
	play_say(&play, "@b", 1);
	play_take_failure(&play, -EPROTO);
	play_end(&play);
}
END_TEST

/* What the server would close for is not sent; what it closes for nonetheless not for ever. */
START_TEST(test_poison)
{
	char text[128];
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	play_put(&play, REPLY_OK
		 ",\"nick\":\"a\",\"user\":null,\"limits\":{\"max_message\":100,\"max_text\":"
		 "90,\"max_topic\":80,\"max_rooms\":7,\"rate\":6,\"burst\":5}}");
	play_take(&play, RETORT_CONNECTED);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	cookie = play_ask_say(&play, "ops", text);
	ck_assert_str_eq(play_take_reply(&play, cookie, RETORT_TOO_LONG)->token, "too_long");

	cookie = play_ask_say(&play, "ops", "x");
	for (int i = 0; i < 3; i++) {
		play_get(&play, CHAT_SAY);
		send_text(play.fd, "-7        I choke");
		if (i < 2) {
			ck_assert_str_eq(play_take(&play, RETORT_DISCONNECTED)->text, "I choke");
			play_come_back(&play, "a");
			play_take(&play, RETORT_RESUMED);
		}
	}
	ck_assert_str_eq(play_take_reply(&play, cookie, -ECONNABORTED)->message, "I choke");
	play_end(&play);
}
END_TEST

/* Events that nobody takes are not read without end. */
START_TEST(test_backlog)
{
	static const char event[] =
		"1014      {\"event\":\"join\",\"room\":\"ops\",\"nick\":\"bob\"}";
	struct play play;
	size_t sent = 0, taken = 0;
	char frame[1024];
	ssize_t n;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 0);
	memset(frame, ' ', sizeof(frame));
	memcpy(frame, event, strlen(event));
	while (retort_events(play.retort) & POLLIN) {
		n = send(play.fd, frame, sizeof(frame), MSG_DONTWAIT);
		sent += n > 0;
		ck_assert(n == sizeof(frame) || (n < 0 && errno == EAGAIN));
		ck_assert_int_eq(retort_process(play.retort), 0);
	}
	ck_assert_uint_ge(sent, 200);
	ck_assert_uint_le(sent, 2000);
	ck_assert_int_eq(retort_timeout(play.retort), 0);
	while (taken < sent) {
		play_take(&play, RETORT_JOIN);
		taken++;
	}
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* While a call waits, much more is kept, but not without end either. */
START_TEST(test_call_backlog)
{
	static const char event[] =
		"1048566   {\"event\":\"join\",\"room\":\"ops\",\"nick\":\"bob\"}";
	struct play play;
	static char frame[1024 * 1024];
	pid_t child;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 0);
	memset(frame, ' ', sizeof(frame));
	memcpy(frame, event, strlen(event));
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		for (int i = 0; i < 100; i++)
			if (send(play.fd, frame, sizeof(frame), MSG_NOSIGNAL) < 0)
				break;
		_exit(0);
	}
	ck_assert_int_eq(retort_say(play.retort, "ops", "x", harness_patience(), NULL), -ENOBUFS);
	play_take(&play, RETORT_JOIN);
	play_end(&play);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retort_faults");

	harness_add(suite, test_nick_in_use);
	harness_add(suite, test_silence);
	harness_add(suite, test_garbage);
	harness_add(suite, test_unasked_reply);
	harness_add(suite, test_jump);
	harness_add(suite, test_max_message);
	harness_add(suite, test_poison);
	harness_add(suite, test_backlog);
	harness_add(suite, test_call_backlog);
	return harness_main(suite);
}
