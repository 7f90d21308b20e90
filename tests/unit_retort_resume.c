/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library over connections that are lost: everything comes once, and is said once. */

#include <string.h>

#include "harness_retort.h"

/* The connection is lost in the middle of a message, and nothing is missed or seen twice. */
START_TEST(test_resume)
{
	const struct retort_event *event;
	struct play play;

	play_begin(&play);
	play_connect(&play, "anna");
	play_join(&play, "ops", 4);
	play_join(&play, "dev", 0);
	play_say(&play, "ops", 5);
	play_say(&play, "ops", 6);
	play_take_message(&play, "ops", 5);
	send_text(play.fd, "120       {\"event\":\"message\",\"room\":\"ops\",\"se");
	play_lose(&play);
	/* What had come is delivered, though the connection is gone. */
	play_take_message(&play, "ops", 6);
	event = play_take(&play, RETORT_DISCONNECTED);
	ck_assert_int_eq(event->status, -ECONNRESET);
	ck_assert_int_ge(event->retry, 0);
	ck_assert(!retort_connected(play.retort));

	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	ck_assert_str_eq(play.request->nick, "anna");
	play_put(&play, REPLY_OK ",\"nick\":\"anna\",\"user\":null}");
	play_get_join(&play, "ops", 6, 8);
	play_say(&play, "ops", 6);
	play_say(&play, "ops", 7);
	play_get_join(&play, "dev", 0, 1);
	play_say(&play, "dev", 1);
	play_say(&play, "ops", 8);
	play_take_message(&play, "ops", 7);
	ck_assert_str_eq(play_take(&play, RETORT_RESUMED)->reply->nick, "anna");
	play_take_message(&play, "dev", 1);
	play_take_message(&play, "ops", 8);
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* Lost at every byte of a message; each is seen once. */
START_TEST(test_resume_at_every_byte)
{
	static const char text[] = "{\"event\":\"message\",\"room\":\"ops\",\"seq\":1,\"time\":"
				   "\"2026-11-22T15:04:05.678Z\",\"from\":\"bob\",\"text\":"
				   "\"number 1\"}";
	struct buffer frame = {0};

	wrap(&frame, FRAMING_LENGTH, text, strlen(text));
	for (size_t cut = 0; cut <= frame.len; cut += cut < 30 || cut > 140 ? 1 : 7) {
		const bool whole = cut == frame.len;
		struct play play;

		play_begin(&play);
		play_connect(&play, "a");
		play_join(&play, "ops", 0);
		send_all(play.fd, frame.data, cut);
		play_lose(&play);
		if (whole)
			play_take_message(&play, "ops", 1);
		play_take(&play, RETORT_DISCONNECTED);
		play_come_back(&play, "a");
		play_get_join(&play, "ops", whole, 2);
		if (!whole)
			play_say(&play, "ops", 1);
		play_say(&play, "ops", 2);
		play_take(&play, RETORT_RESUMED);
		if (!whole)
			play_take_message(&play, "ops", 1);
		play_take_message(&play, "ops", 2);
		play_end(&play);
	}
	buffer_done(&frame);
}
END_TEST

/* What is not answered is said again, in order and with the keys it had. */
START_TEST(test_keys)
{
	char keys[3][CHAT_KEY_MAX + 1];
	uint64_t cookies[3];
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 0);
	cookies[0] = play_ask_say(&play, "ops", "0");
	cookies[1] = play_ask(
		&play, (struct retort_request){
			       .op = RETORT_OP_SAY, .room = "ops", .text = "1", .key = "mine"});
	cookies[2] = play_ask_say(&play, "ops", "2");
	ck_assert_uint_eq(retort_pending(play.retort), 3);
	for (int i = 0; i < 3; i++) {
		play_get(&play, CHAT_SAY);
		ck_assert_int_eq(play.request->text[0], '0' + i);
		strcpy(keys[i], play.request->key);
		if (i == 0)
			play_put(&play,
				 REPLY_OK ",\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\"}");
	}
	ck_assert_str_eq(keys[1], "mine");
	ck_assert_str_ne(keys[0], keys[2]);
	play_lose(&play);
	ck_assert_uint_eq(play_take_reply(&play, cookies[0], 0)->seq, 1);
	play_take(&play, RETORT_DISCONNECTED);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 0, 2);
	for (int i = 1; i < 3; i++) {
		play_get(&play, CHAT_SAY);
		ck_assert_int_eq(play.request->text[0], '0' + i);
		ck_assert_str_eq(play.request->key, keys[i]);
		play_put(&play, REPLY_OK ",\"seq\":%d,\"time\":\"2026-11-22T15:04:05.678Z\"%s}",
			 i + 1, i == 1 ? ",\"duplicate\":true" : "");
	}
	play_take(&play, RETORT_RESUMED);
	ck_assert(play_take_reply(&play, cookies[1], 0)->duplicate);
	ck_assert(!play_take_reply(&play, cookies[2], 0)->duplicate);
	ck_assert_uint_eq(retort_pending(play.retort), 0);
	play_end(&play);
}
END_TEST

/* Two objects do not make the same keys. */
START_TEST(test_keys_differ)
{
	char keys[2][CHAT_KEY_MAX + 1];

	for (int i = 0; i < 2; i++) {
		struct play play;

		play_begin(&play);
		play_connect(&play, "a");
		play_ask_say(&play, "ops", "x");
		play_get(&play, CHAT_SAY);
		strcpy(keys[i], play.request->key);
		play_end(&play);
	}
	ck_assert_str_ne(keys[0], keys[1]);
}
END_TEST

START_TEST(test_not_repeated)
{
	uint64_t sent, unsent, harmless;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	sent = play_ask(&play,
			(struct retort_request){.op = RETORT_OP_TOPIC, .room = "x", .text = "y"});
	harmless = play_ask(&play, (struct retort_request){.op = RETORT_OP_WHO});
	play_get(&play, CHAT_TOPIC);
	play_get(&play, CHAT_WHO);
	play_lose(&play);
	play_take_reply(&play, sent, -ECONNRESET);
	play_take(&play, RETORT_DISCONNECTED);
	unsent = play_ask(&play, (struct retort_request){.op = RETORT_OP_KICK, .nick = "bob"});
	play_come_back(&play, "a");
	play_get(&play, CHAT_WHO);
	play_put(&play, REPLY_OK ",\"members\":[]}");
	play_get(&play, CHAT_KICK);
	play_put(&play, REPLY_OK ",\"kicked\":1}");
	play_take(&play, RETORT_RESUMED);
	play_take_reply(&play, harmless, 0);
	play_take_reply(&play, unsent, 0);
	play_end(&play);
}
END_TEST

/* A join that was not answered is asked again, after what was seen of the room by then. */
START_TEST(test_join_again)
{
	uint64_t fresh, since;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	fresh = play_ask_join(&play, "new");
	since = play_ask_join_since(&play, "Old", 5);
	play_get(&play, CHAT_JOIN);
	play_get(&play, CHAT_JOIN);
	play_say(&play, "old", 6);
	play_say(&play, "old", 7);
	play_lose(&play);
	play_take_message(&play, "old", 6);
	play_take_message(&play, "old", 7);
	play_take(&play, RETORT_DISCONNECTED);
	play_come_back(&play, "a");
	play_get_join(&play, "new", -1, 3);
	play_get_join(&play, "Old", 7, 7);
	play_take(&play, RETORT_RESUMED);
	ck_assert_uint_eq(play_take_reply(&play, fresh, 0)->seq, 3);
	play_take_reply(&play, since, 0);
	ck_assert_uint_eq(play_seen(&play, "NEW"), 3);
	ck_assert_uint_eq(play_seen(&play, "old"), 7);
	play_end(&play);
}
END_TEST

/* A room that was left is not joined again; messages between leaving and joining are nobody's. */
START_TEST(test_leave_and_join)
{
	uint64_t left, joined, unused;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	play_join(&play, "dev", 0);
	left = play_ask_leave(&play, "ops");
	joined = play_ask_join_since(&play, "ops", 1);
	play_get(&play, CHAT_LEAVE);
	play_say(&play, "ops", 5);
	play_put(&play, REPLY_OK "}");
	play_get_join(&play, "ops", 1, 5);
	play_say(&play, "ops", 2);
	play_take_reply(&play, left, 0);
	play_take_reply(&play, joined, 0);
	play_take_message(&play, "ops", 2);

	left = play_ask_leave(&play, "Dev");
	play_get(&play, CHAT_LEAVE);
	play_put(&play, REPLY_OK "}");
	play_take_reply(&play, left, 0);
	ck_assert_int_eq(retort_seen(play.retort, "dev", &unused), -ENOENT);
	play_say(&play, "dev", 1);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 2, 5);
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

/* One is in the room until leaving is answered, so that what is said before is said in it. */
START_TEST(test_leave_again)
{
	uint64_t said, left;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	said = play_ask_say(&play, "ops", "x");
	left = play_ask_leave(&play, "ops");
	play_get(&play, CHAT_SAY);
	play_get(&play, CHAT_LEAVE);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 4, 4);
	play_get(&play, CHAT_SAY);
	play_put(&play, REPLY_OK ",\"seq\":5,\"time\":\"2026-11-22T15:04:05.678Z\"}");
	play_get(&play, CHAT_LEAVE);
	play_refuse(&play, "not_member");
	play_take(&play, RETORT_RESUMED);
	play_take_reply(&play, said, 0);
	play_take_reply(&play, left, 0);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

/* Kicked out of one room, and another is not to be joined any more. */
START_TEST(test_rooms_lost)
{
	const struct retort_event *event;
	uint64_t unused;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	play_join(&play, "dev", 0);
	play_put(&play,
		 "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"a\",\"reason\":\"kicked\"}");
	ck_assert(play_take(&play, RETORT_LEAVE)->mine);
	ck_assert_int_eq(retort_seen(play.retort, "ops", &unused), -ENOENT);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get(&play, CHAT_JOIN);
	ck_assert_str_eq(play.request->room, "dev");
	play_refuse(&play, "not_allowed");
	event = play_take(&play, RETORT_ROOM_LOST);
	ck_assert_str_eq(event->room, "dev");
	ck_assert_int_eq(event->status, RETORT_NOT_ALLOWED);
	ck_assert_str_eq(event->token, "not_allowed");
	ck_assert_str_eq(event->text, "no, not_allowed");
	play_take(&play, RETORT_RESUMED);
	ck_assert_int_eq(retort_seen(play.retort, "dev", &unused), -ENOENT);
	play_end(&play);
}
END_TEST

/* Another connection of the same user took another nick: that is no way out. */
START_TEST(test_renamed)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	play_put(&play, "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"a\",\"reason\":\"x\"}");
	play_put(&play, "{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"b\"}");
	play_say(&play, "ops", 5);
	ck_assert(play_take(&play, RETORT_LEAVE)->mine);
	ck_assert_uint_ge(play_seen(&play, "ops"), 4);
	ck_assert(play_take(&play, RETORT_JOIN)->mine);
	ck_assert_str_eq(retort_nick(play.retort), "b");
	play_take_message(&play, "ops", 5);
	play_lose_and_notice(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	play_put(&play, REPLY_OK ",\"nick\":\"b\",\"user\":null}");
	play_get_join(&play, "ops", 5, 5);
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

/* The same, with the new nick a moment behind. */
START_TEST(test_renamed_in_two_pieces)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	play_join(&play, "dev", 6);
	for (int i = 0; i < 2; i++)
		play_put(&play,
			 "{\"event\":\"leave\",\"room\":\"%s\",\"nick\":\"a\",\"reason\":\"x\"}",
			 i == 0 ? "ops" : "dev");
	play_take_nothing(&play);
	play_put(&play, "{\"event\":\"join\",\"room\":\"dev\",\"nick\":\"b\"}");
	ck_assert_str_eq(play_take(&play, RETORT_LEAVE)->room, "dev");
	ck_assert_uint_eq(play_seen(&play, "dev"), 6);
	ck_assert_str_eq(play_take(&play, RETORT_JOIN)->nick, "b");

	/* What is not followed by it by and by is one, and so is what the connection ends behind.
	 */
	ck_assert_str_eq(play_take(&play, RETORT_LEAVE)->room, "ops");
	play_put(&play, "{\"event\":\"leave\",\"room\":\"dev\",\"nick\":\"b\",\"reason\":\"x\"}");
	play_lose(&play);
	ck_assert_str_eq(play_take(&play, RETORT_LEAVE)->room, "dev");
	play_take(&play, RETORT_DISCONNECTED);
	play_end(&play);
}
END_TEST

/* Who was made to leave may come again. */
START_TEST(test_evicted_joins)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 4);
	play_put(&play, "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"a\",\"reason\":\"x\"}");
	play_take(&play, RETORT_LEAVE);
	play_join(&play, "ops", 7);
	play_say(&play, "ops", 8);
	play_take_message(&play, "ops", 8);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 8, 8);
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

/* The room's log is another one: everything in it is new. */
START_TEST(test_log_began_anew)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 40);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 40, 2);
	play_say(&play, "ops", 3);
	play_get(&play, CHAT_LEAVE);
	play_put(&play, REPLY_OK "}");
	play_get_join(&play, "ops", 0, 3);
	for (unsigned seq = 1; seq <= 3; seq++)
		play_say(&play, "ops", seq);
	ck_assert_str_eq(play_take(&play, RETORT_RESTARTED)->room, "ops");
	play_take(&play, RETORT_RESUMED);
	for (unsigned seq = 1; seq <= 3; seq++)
		play_take_message(&play, "ops", seq);
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* A connection that is lost while joining anew does not forget to. */
START_TEST(test_log_began_anew_twice)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_join(&play, "ops", 40);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 40, 2);
	play_get(&play, CHAT_LEAVE);
	play_put(&play, REPLY_OK "}");
	play_get(&play, CHAT_JOIN);
	play_lose(&play);
	play_take(&play, RETORT_RESTARTED);
	play_take(&play, RETORT_RESUMED);
	play_take(&play, RETORT_DISCONNECTED);
	play_come_back(&play, "a");
	play_get_join(&play, "ops", 0, 1);
	play_say(&play, "ops", 1);
	play_take(&play, RETORT_RESUMED);
	play_take_message(&play, "ops", 1);
	play_end(&play);
}
END_TEST

/* Direct messages need no joining, but are resumed. */
START_TEST(test_direct)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_say(&play, "@bob", 3);
	play_say(&play, "@Bob", 3);
	play_say(&play, "@bob", 5);
	play_take_message(&play, "@bob", 3);
	play_take_message(&play, "@bob", 5);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_get(&play, CHAT_JOIN);
	ck_assert_str_eq(play.request->room, "@bob");
	ck_assert_uint_eq(play.request->since, 5);
	play_refuse(&play, "no_such_nick");
	play_take(&play, RETORT_RESUMED);
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* The old connection still has the nick for a while. */
START_TEST(test_ghost)
{
	const struct retort_event *event;
	struct play play;

	play_begin(&play);
	ck_assert_int_eq(retort_set_nick(play.retort, "anna"), 0);
	play_connect(&play, "anna");
	play_lose_and_notice(&play);
	play_serve(&play);
	for (int i = 0; i < 2; i++) {
		play_get(&play, CHAT_HELLO);
		ck_assert_str_eq(play.request->nick, "anna");
		play_refuse(&play, "nick_in_use");
		event = play_take(&play, RETORT_WAITING);
		ck_assert_int_eq(event->status, RETORT_NICK_IN_USE);
		ck_assert_int_ge(event->retry, 0);
	}
	play_get(&play, CHAT_HELLO);
	play_put(&play, REPLY_OK ",\"nick\":\"anna\",\"user\":null}");
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

/* A server that will be there again: what it refused meanwhile is asked again. */
START_TEST(test_shutting_down)
{
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_connect(&play, "a");
	cookie = play_ask_say(&play, "ops", "x");
	play_get(&play, CHAT_SAY);
	play_refuse(&play, "shutting_down");
	ck_assert_int_eq(play_take(&play, RETORT_DISCONNECTED)->status, RETORT_SHUTTING_DOWN);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	play_refuse(&play, "shutting_down");
	play_take(&play, RETORT_DISCONNECTED);
	play_come_back(&play, "a");
	play_get(&play, CHAT_SAY);
	play_put(&play, REPLY_OK ",\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\"}");
	play_take(&play, RETORT_RESUMED);
	play_take_reply(&play, cookie, 0);
	play_end(&play);
}
END_TEST

START_TEST(test_closing)
{
	const struct retort_event *event;
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_connect(&play, "a");
	play_put(&play, "{\"event\":\"closing\",\"reason\":\"restart\",\"reconnect\":true}");
	event = play_take(&play, RETORT_CLOSING);
	ck_assert(event->reconnect);
	ck_assert_str_eq(event->text, "restart");
	event = play_take(&play, RETORT_DISCONNECTED);
	ck_assert_int_eq(event->retry, 0);
	ck_assert_str_eq(event->text, "restart");
	play_come_back(&play, "a");
	play_take(&play, RETORT_RESUMED);

	/* What is owed is waited for, and nothing new is asked of it. */
	cookie = play_ask(&play, (struct retort_request){.op = RETORT_OP_PING});
	play_get(&play, CHAT_PING);
	play_put(&play, "{\"event\":\"closing\",\"reason\":\"stop\",\"reconnect\":true}");
	play_take(&play, RETORT_CLOSING);
	play_ask(&play, (struct retort_request){.op = RETORT_OP_WHO});
	play_put(&play, REPLY_OK ",\"text\":\"\"}");
	play_take_reply(&play, cookie, 0);
	ck_assert_int_eq(shutdown(play.fd, SHUT_WR), 0);
	event = play_take(&play, RETORT_DISCONNECTED);
	ck_assert_str_eq(event->text, "stop");
	expect_end(play.fd);
	play_come_back(&play, "a");
	play_get(&play, CHAT_WHO);
	play_end(&play);
}
END_TEST

/* Who was thrown out stays out, until somebody wishes otherwise. */
START_TEST(test_closing_for_good)
{
	const struct retort_event *event;
	struct play play;
	uint64_t pings[2];

	play_begin(&play);
	play_connect(&play, "a");
	play_put(&play, "{\"event\":\"closing\",\"reason\":\"too loud\",\"reconnect\":false}");
	event = play_take(&play, RETORT_CLOSING);
	ck_assert(!event->reconnect);
	play_take_failure(&play, -ECONNABORTED);
	ck_assert_str_eq(retort_problem(play.retort), "too loud");
	expect_end(play.fd);

	retort_reconnect(play.retort);
	play_come_back(&play, "a");
	play_take(&play, RETORT_RESUMED);

	/* What is owed may still come; the rest never will. */
	for (int i = 0; i < 2; i++) {
		pings[i] = play_ask(&play, (struct retort_request){.op = RETORT_OP_PING});
		play_get(&play, CHAT_PING);
		if (i == 0)
			play_put(&play, REPLY_OK ",\"text\":\"\"}");
	}
	play_put(&play, "{\"event\":\"closing\",\"reason\":\"\",\"reconnect\":false}");
	play_take_reply(&play, pings[0], 0);
	play_take(&play, RETORT_CLOSING);
	ck_assert_int_eq(shutdown(play.fd, SHUT_WR), 0);
	play_take_reply(&play, pings[1], -ECONNABORTED);
	play_take_failure(&play, -ECONNABORTED);
	play_end(&play);
}
END_TEST

/* It is tried for as long as was said, and then not any more. */
START_TEST(test_patience)
{
	uint64_t before;
	struct play play;
	int r;

	play_begin(&play);
	closep(&play.listener);
	retort_set_patience(play.retort, 3 * SOON, 0);
	before = harness_now();
	do {
		const int status = play_take(&play, RETORT_DISCONNECTED)->status;

		ck_assert_int_eq(status, -ECONNREFUSED);
	} while (play.event.retry >= 0);
	ck_assert_uint_ge(harness_now() - before, UINT64_C(3) * SOON);
	r = retort_next(play.retort, -1, &play.event);
	ck_assert_int_eq(r, -ECONNREFUSED);

	/* One try after a connection was lost. */
	play_listen(&play);
	retort_reconnect(play.retort);
	play_connect(&play, "a");
	closep(&play.listener);
	play_lose_and_notice(&play);
	play_take_failure(&play, -ECONNREFUSED);
	play_end(&play);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retort_resume");

	harness_add(suite, test_resume);
	harness_add(suite, test_resume_at_every_byte);
	harness_add(suite, test_keys);
	harness_add(suite, test_keys_differ);
	harness_add(suite, test_not_repeated);
	harness_add(suite, test_join_again);
	harness_add(suite, test_leave_and_join);
	harness_add(suite, test_leave_again);
	harness_add(suite, test_rooms_lost);
	harness_add(suite, test_renamed);
	harness_add(suite, test_renamed_in_two_pieces);
	harness_add(suite, test_evicted_joins);
	harness_add(suite, test_log_began_anew);
	harness_add(suite, test_log_began_anew_twice);
	harness_add(suite, test_direct);
	harness_add(suite, test_ghost);
	harness_add(suite, test_shutting_down);
	harness_add(suite, test_closing);
	harness_add(suite, test_closing_for_good);
	harness_add(suite, test_patience);
	return harness_main(suite);
}
