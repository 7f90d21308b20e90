/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library against a scripted server: what is asked, what is told, and how it is waited for. */

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harness_retort.h"

START_TEST(test_hello)
{
	const struct retort_reply *reply;
	struct play play;

	play_begin(&play);
	ck_assert_int_eq(retort_set_nick(play.retort, "anna"), 0);
	ck_assert_int_eq(retort_set_login(play.retort, "anna", "secret"), 0);
	ck_assert(!retort_connected(play.retort));
	ck_assert_ptr_null(retort_nick(play.retort));
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	ck_assert_str_eq(play.request->nick, "anna");
	ck_assert_str_eq(play.request->user, "anna");
	ck_assert_str_eq(play.request->password, "secret");
	play_put(&play,
		 REPLY_OK ",\"nick\":\"Anna\",\"user\":\"anna\",\"server\":\"s\",\"version\":\"v\","
			  "\"limits\":{\"max_message\":1000,\"max_text\":900,\"max_topic\":80,"
			  "\"max_rooms\":7,\"rate\":6,\"burst\":5},\"transforms\":[\"upper\"]}");
	reply = play_take(&play, RETORT_CONNECTED)->reply;
	ck_assert_str_eq(reply->nick, "Anna");
	ck_assert_str_eq(reply->user, "anna");
	ck_assert_str_eq(reply->server, "s");
	ck_assert_str_eq(reply->version, "v");
	ck_assert_uint_eq(reply->limits->max_text, 900);
	ck_assert_uint_eq(reply->limits->max_rooms, 7);
	ck_assert_str_eq(reply->transforms[0], "upper");
	ck_assert_ptr_null(reply->transforms[1]);
	ck_assert(retort_connected(play.retort));
	ck_assert_str_eq(retort_nick(play.retort), "Anna");
	ck_assert_str_eq(retort_user(play.retort), "anna");
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* Nobody wished for a nick: when one is taken, another does, but not without end. */
START_TEST(test_guesses)
{
	char nicks[4][64];
	struct play play;

	play_begin_guest(&play);
	play_serve(&play);
	for (int i = 0; i < 4; i++) {
		play_get(&play, CHAT_HELLO);
		(void)snprintf(nicks[i], sizeof(nicks[i]), "%s", play.request->nick);
		play_refuse(&play, "nick_in_use");
	}
	play_take_failure(&play, -EKEYREJECTED);
	ck_assert_str_ne(nicks[0], nicks[1]);
	ck_assert_str_ne(nicks[1], nicks[2]);
	play_end(&play);
}
END_TEST

START_TEST(test_no_hello)
{
	struct play play;

	play_begin(&play);
	retort_set_hello(play.retort, false);
	play_serve(&play);
	ck_assert_ptr_null(play_take(&play, RETORT_CONNECTED)->reply);
	play_ask(&play, (struct retort_request){.op = RETORT_OP_STATS});
	play_get(&play, CHAT_STATS);
	play_put(&play, REPLY_OK ",\"uptime\":7,\"bans\":[{\"user\":\"x\"}]}");
	ck_assert_ptr_nonnull(strstr(play_take(&play, RETORT_REPLY)->reply->json, "\"bans\":[{"));
	play_end(&play);
}
END_TEST

/* What every kind of event looks like to the program, and who is meant. */
START_TEST(test_events)
{
	const struct retort_event *event;
	struct play play;

	play_begin(&play);
	play_connect(&play, "anna");
	play_join(&play, "ops", 4);
	play_put(&play, "{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"anna\"}");
	play_put(&play,
		 "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"bob\",\"reason\":\"why\"}");
	play_put(&play, "{\"event\":\"topic\",\"room\":\"ops\",\"nick\":\"bob\",\"text\":\"new\"}");
	play_put(&play, "{\"event\":\"of a later version\",\"room\":7}");
	play_put(&play, "{\"event\":\"message\",\"room\":\"ops\",\"seq\":5,\"time\":"
			"\"2026-11-22T15:04:05.678Z\",\"from\":\"anna\",\"user\":\"a\",\"unit\":"
			"\"b.service\",\"text\":\"\\u001b\"}");
	play_put(&play, "{\"event\":\"gap\",\"room\":\"ops\",\n\"first\":6,\"last\":9}");
	play_say(&play, "ops", 10);
	play_put(&play, "{\"event\":\"join\",\"room\":\"strange\",\"nick\":\"bob\"}");
	play_say(&play, "strange", 1);

	event = play_take(&play, RETORT_JOIN);
	ck_assert(event->mine);
	ck_assert_str_eq(event->room, "ops");
	ck_assert_str_eq(event->nick, "anna");
	event = play_take(&play, RETORT_LEAVE);
	ck_assert(!event->mine);
	ck_assert_str_eq(event->text, "why");
	event = play_take(&play, RETORT_TOPIC);
	ck_assert_str_eq(event->text, "new");
	event = play_take(&play, RETORT_MESSAGE);
	ck_assert(!event->mine); /* but a user's, and this is a guest */
	ck_assert_str_eq(event->message->user, "a");
	ck_assert_str_eq(event->message->unit, "b.service");
	ck_assert_str_eq(event->message->text, "\x1b");
	event = play_take(&play, RETORT_GAP);
	ck_assert_uint_eq(event->first, 6);
	ck_assert_uint_eq(event->last, 9);
	ck_assert_str_eq(event->json,
			 "{\"event\":\"gap\",\"room\":\"ops\", \"first\":6,\"last\":9}");
	play_take_message(&play, "ops", 10);
	ck_assert_uint_eq(play_seen(&play, "OPS"), 10);
	play_take_nothing(&play);
	play_end(&play);
}
END_TEST

/* Each kind of reply that has a list. */
START_TEST(test_lists)
{
	const struct retort_reply *reply;
	struct play play;

	play_begin(&play);
	play_connect(&play, "anna");
	play_ask(&play, (struct retort_request){.op = RETORT_OP_WHO});
	play_get(&play, CHAT_WHO);
	play_put(&play, REPLY_OK
		 ",\"members\":[{\"nick\":\"a\",\"user\":null,\"since\":\"2026-11-22T15:04:05."
		 "678Z\"},{\"nick\":\"b\",\"user\":\"c\",\"since\":\"2026-11-22T15:04:05."
		 "679Z\"}]}");
	reply = play_take(&play, RETORT_REPLY)->reply;
	ck_assert_int_eq(reply->op, RETORT_OP_WHO);
	ck_assert_uint_eq(reply->members_len, 2);
	ck_assert_ptr_null(reply->members[0].user);
	ck_assert_str_eq(reply->members[1].user, "c");
	ck_assert_uint_eq(reply->members[1].since - reply->members[0].since, 1);

	play_ask(&play, (struct retort_request){.op = RETORT_OP_ROOMS});
	play_get(&play, CHAT_ROOMS);
	play_put(&play, REPLY_OK
		 ",\"rooms\":[{\"room\":\"ops\",\"seq\":7,\"members\":3,\"topic\":\"t\"}]}");
	reply = play_take(&play, RETORT_REPLY)->reply;
	ck_assert_uint_eq(reply->rooms_len, 1);
	ck_assert_str_eq(reply->rooms[0].room, "ops");
	ck_assert_str_eq(reply->rooms[0].topic, "t");
	ck_assert_uint_eq(reply->rooms[0].seq * 10 + reply->rooms[0].members, 73);

	play_ask(&play, (struct retort_request){.op = RETORT_OP_HISTORY,
						.has = RETORT_HAS_LIMIT,
						.room = "ops",
						.limit = 2});
	play_get(&play, CHAT_HISTORY);
	ck_assert_uint_eq(play.request->limit, 2);
	play_put(&play, REPLY_OK
		 ",\"messages\":[{\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\",\"from\":"
		 "\"a\",\"text\":\"x\"},{\"seq\":2,\"time\":\"2026-11-22T15:04:05.678Z\","
		 "\"from\":\"b\",\"text\":\"yz\"}],\"oldest\":1,\"seq\":2}");
	reply = play_take(&play, RETORT_REPLY)->reply;
	ck_assert_uint_eq(reply->messages_len, 2);
	ck_assert_str_eq(reply->messages[1].text, "yz");
	ck_assert_uint_eq(reply->messages[1].text_len, 2);
	ck_assert_str_eq(reply->room, "ops");

	play_ask(&play,
		 (struct retort_request){.op = RETORT_OP_TRANSFORM,
					 .text = "x",
					 .with = (const char *const[]){"upper", "reverse", NULL}});
	play_get(&play, CHAT_TRANSFORM);
	ck_assert_uint_eq(play.request->n_with, 2);
	ck_assert_str_eq(play.request->with[1], "reverse");
	play_put(&play, REPLY_OK ",\"text\":\"X\"}");
	ck_assert_str_eq(play_take(&play, RETORT_REPLY)->reply->text, "X");
	play_end(&play);
}
END_TEST

/* All that a server says after hello, in two pieces. */
static void play_split(size_t split, size_t *ret_len)
{
	struct buffer all = {0};
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	cookie = play_ask_join(&play, "ops");
	play_put(&play, REPLY_OK ",\"nick\":\"a\",\"user\":null}");
	play_get(&play, CHAT_JOIN);
	{
		static const char *const texts[] = {
			"{\"id\":2,\"ok\":true,\"room\":\"ops\",\"seq\":6,\"oldest\":1,\"members\":"
			"1,\"topic\":\"\"}",
			"{\"event\":\"message\",\"room\":\"ops\",\"seq\":7,\"time\":\"2026-11-"
			"22T15:04:05.678Z\",\"from\":\"bob\",\"text\":\"number 7\"}",
			"{\"event\":\"gap\",\"room\":\"ops\",\"first\":8,\"last\":8}",
			"{\"event\":\"message\",\"room\":\"ops\",\"seq\":9,\"time\":\"2026-11-"
			"22T15:04:05.678Z\",\"from\":\"bob\",\"text\":\"number 9\"}",
		};

		for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
			wrap(&all, FRAMING_LENGTH, texts[i], strlen(texts[i]));
	}
	play_take(&play, RETORT_CONNECTED);
	send_all(play.fd, all.data, split);
	ck_assert_int_eq(retort_process(play.retort), 0);
	ck_assert_int_eq(retort_process(play.retort), 0);
	send_all(play.fd, all.data + split, all.len - split);
	play_take_reply(&play, cookie, 0);
	play_take_message(&play, "ops", 7);
	play_take(&play, RETORT_GAP);
	play_take_message(&play, "ops", 9);
	play_take_nothing(&play);
	*ret_len = all.len;
	buffer_done(&all);
	play_end(&play);
}

START_TEST(test_splits)
{
	size_t len = 1;

	for (size_t split = 0; split <= len; split++)
		play_split(split, &len);
}
END_TEST

START_TEST(test_other_nick)
{
	struct play play;
	uint64_t cookie;

	play_begin(&play);
	play_connect(&play, "guest-1");
	cookie = play_ask(&play, (struct retort_request){.op = RETORT_OP_HELLO, .nick = "anna"});
	play_get(&play, CHAT_HELLO);
	play_put(&play, REPLY_OK ",\"nick\":\"Anna\",\"user\":null}");
	play_take_reply(&play, cookie, 0);
	ck_assert_str_eq(retort_nick(play.retort), "Anna");
	play_lose_and_notice(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	ck_assert_str_eq(play.request->nick, "anna");
	play_end(&play);
}
END_TEST

/* Deadlines of one call do not end the connection; its late reply is for nobody. */
START_TEST(test_call_deadline)
{
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	ck_assert_int_eq(retort_say(play.retort, "ops", "x", SOON, NULL), -ETIMEDOUT);
	ck_assert(retort_connected(play.retort));
	play_get(&play, CHAT_SAY);
	play_put(&play, REPLY_OK ",\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\"}");
	play_say(&play, "@bob", 1);
	play_take_message(&play, "@bob", 1);
	ck_assert_uint_eq(retort_pending(play.retort), 0);
	ck_assert_int_eq(retort_connect(play.retort, 0), 0);
	play_end(&play);
}
END_TEST

START_TEST(test_requests)
{
	const struct retort_request impossible[] = {
		{.op = RETORT_OP_SAY, .room = "x"},
		{.op = RETORT_OP_SAY, .text = "x"},
		{.op = RETORT_OP_SAY, .room = "x", .text = "y", .key = ""},
		{.op = RETORT_OP_SAY,
		 .room = "x",
		 .text = "y",
		 .key = "12345678901234567890123456789012345678901234567890123456789012345"},
		{.op = RETORT_OP_JOIN},
		{.op = (enum retort_op)CHAT_OPS},
		{.op = RETORT_OP_TRANSFORM,
		 .text = "x",
		 .with = (const char *const[18]){"1", "2", "3", "4", "5", "6", "7", "8", "9", "10",
						 "11", "12", "13", "14", "15", "16", "17"}},
	};
	const struct retort_request fine = {.op = RETORT_OP_WHO};
	struct play play;

	play_begin(&play);
	for (size_t i = 0; i < ARRAY_SIZE(impossible); i++)
		ck_assert_int_eq(retort_submit(play.retort, &impossible[i], NULL), -EINVAL);
	for (size_t i = 0; i < RETORT_REQUESTS_MAX; i++)
		ck_assert_int_eq(retort_submit(play.retort, &fine, NULL), 0);
	ck_assert_int_eq(retort_submit(play.retort, &fine, NULL), -EAGAIN);
	/* They wait for the connection, and go when it stands. */
	play_connect(&play, "a");
	for (size_t i = 0; i < RETORT_REQUESTS_MAX; i++)
		play_get(&play, CHAT_WHO);
	play_end(&play);
}
END_TEST

START_TEST(test_refusals)
{
	const struct retort_reply *reply;
	struct play play;

	play_begin(&play);
	play_connect(&play, "a");
	play_ask_say(&play, "ops", "x");
	play_get(&play, CHAT_SAY);
	play_put(&play, "{\"id\":$ID,\"ok\":false,\"error\":\"slow_down\",\"message\":\"wait\","
			"\"retry_after\":1.5}");
	reply = play_take(&play, RETORT_REPLY)->reply;
	ck_assert_int_eq(reply->status, RETORT_SLOW_DOWN);
	ck_assert_str_eq(reply->token, "slow_down");
	ck_assert_str_eq(reply->message, "wait");
	ck_assert_uint_eq(reply->retry_after, 1500);
	/* One that nobody had heard of yet. */
	play_ask_say(&play, "ops", "x");
	play_get(&play, CHAT_SAY);
	play_refuse(&play, "too_early");
	reply = play_take(&play, RETORT_REPLY)->reply;
	ck_assert_int_eq(reply->status, RETORT_OTHER_REFUSAL);
	ck_assert_str_eq(reply->token, "too_early");
	ck_assert_str_eq(reply->message, "no, too_early");
	/* A join that is refused leaves nothing behind. */
	play_ask_join(&play, "ops");
	play_get(&play, CHAT_JOIN);
	play_refuse(&play, "bad_name");
	play_take(&play, RETORT_REPLY);
	play_lose_and_notice(&play);
	play_come_back(&play, "a");
	play_take(&play, RETORT_RESUMED);
	play_end(&play);
}
END_TEST

START_TEST(test_addresses)
{
	static const struct {
		const char *address;
		int error;
	} wrong[] = {
		{"localhost:7", -EINVAL},
		{"udp://localhost:7", -EINVAL},
		{"tcp://localhost:0", -EHOSTUNREACH},
		{"tcp://no-such-host.invalid:7", -EHOSTUNREACH},
		{"tls://localhost:7", -EINVAL},
	};
	struct retort *retort = NULL;
	struct play play;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *problem = NULL;

		ck_assert_int_eq(retort_new(wrong[i].address, &retort, &problem), wrong[i].error);
		ck_assert_ptr_nonnull(problem);
		ck_assert_ptr_null(retort);
	}
	retort_free(NULL);

	/* A socket that is not there, nobody behind one, and then somebody. */
	play_begin(&play);
	closep(&play.listener);
	ck_assert_int_eq(retort_connect(play.retort, -1), -ECONNREFUSED);
	directory_remove(play.directory);
	ck_assert_int_eq(retort_connect(play.retort, -1), -ENOENT);
	ck_assert_str_eq(retort_problem(play.retort), "there is no such socket");
	ck_assert_int_eq(mkdir(play.directory, 0700), 0);
	play_take(&play, RETORT_DISCONNECTED);
	play_take_failure(&play, -ENOENT);
	play_listen(&play);
	retort_reconnect(play.retort);
	play_connect(&play, "a");
	play_end(&play);
}
END_TEST

/* $RETORT_ADDRESS, and the places of a relative path in their order. */
START_TEST(test_places)
{
	char directories[96];
	struct play play;

	play_begin(&play);
	retort_free(play.retort);
	ck_assert_int_eq(setenv("RETORT_ADDRESS", play.address, 1), 0);
	ck_assert_int_eq(retort_new(NULL, &play.retort, NULL), 0);
	ck_assert_int_eq(retort_set_nick(play.retort, "a"), 0);
	play_connect(&play, "a");
	retort_free(play.retort);

	/* The first of several. */
	(void)snprintf(directories, sizeof(directories), "%s:/nonexistent", play.directory);
	ck_assert_int_eq(setenv("RUNTIME_DIRECTORY", directories, 1), 0);
	ck_assert_int_eq(retort_new("unix:sock", &play.retort, NULL), 0);
	ck_assert_int_eq(retort_set_nick(play.retort, "a"), 0);
	play_connect(&play, "a");
	retort_free(play.retort);
	ck_assert_int_eq(unsetenv("RUNTIME_DIRECTORY"), 0);

	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", play.directory, 1), 0);
	(void)strcat(play.directory, "/retort");
	ck_assert_int_eq(mkdir(play.directory, 0700), 0);
	closep(&play.listener);
	play_listen(&play);
	ck_assert_int_eq(retort_new("unix:sock", &play.retort, NULL), 0);
	ck_assert_int_eq(retort_set_nick(play.retort, "a"), 0);
	play_connect(&play, "a");
	play.directory[strlen(play.directory) - strlen("/retort")] = '\0';
	play_end(&play);
}
END_TEST

/* A guest over TCP, with nobody at the first of two addresses; it comes back as who it was. */
START_TEST(test_tcp)
{
	struct play play;
	char *nick;

	play_begin_guest(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	nick = strdup(play.request->nick);
	ck_assert_int_eq(strncmp(nick, "guest-", 6), 0);
	play_put(&play, REPLY_OK ",\"nick\":\"%s\",\"user\":null}", nick);
	play_take(&play, RETORT_CONNECTED);
	play_join(&play, "ops", 0);
	play_say(&play, "ops", 1);
	play_take_message(&play, "ops", 1);
	play_lose_and_notice(&play);
	play_serve(&play);
	play_get(&play, CHAT_HELLO);
	ck_assert_str_eq(play.request->nick, nick);
	play_put(&play, REPLY_OK ",\"nick\":\"%s\",\"user\":null}", nick);
	play_get_join(&play, "ops", 1, 1);
	play_take(&play, RETORT_RESUMED);
	free(nick);
	play_end(&play);
}
END_TEST

/* On a Unix socket one is known, and a nick that nobody wished for is not asked for. */
START_TEST(test_known)
{
	const struct passwd *entry = getpwuid(geteuid());
	struct play play;

	if (!entry) {
		harness_skip("this user has no name");
		return;
	}
	play_begin(&play);
	ck_assert_int_eq(retort_set_nick(play.retort, NULL), 0);
	play_serve(&play);
	ck_assert_ptr_null(play_take(&play, RETORT_CONNECTED)->reply);
	ck_assert_str_eq(retort_user(play.retort), entry->pw_name);
	ck_assert_ptr_nonnull(retort_nick(play.retort));
	play_join(&play, "ops", 0);
	/* Whatever nick it had, it is of the same user; and not of a guest with the nick. */
	play_put(&play,
		 "{\"event\":\"message\",\"room\":\"ops\",\"seq\":1,\"time\":\"2026-11-22T15:04:05."
		 "678Z\",\"from\":\"other\",\"user\":\"%s\",\"text\":\"x\"}",
		 entry->pw_name);
	ck_assert(play_take(&play, RETORT_MESSAGE)->mine);
	play_put(&play,
		 "{\"event\":\"message\",\"room\":\"ops\",\"seq\":2,\"time\":\"2026-11-22T15:04:05."
		 "678Z\",\"from\":\"%s\",\"text\":\"x\"}",
		 entry->pw_name);
	ck_assert(!play_take(&play, RETORT_MESSAGE)->mine);
	play_end(&play);
}
END_TEST

/* A program's own loop needs nothing but what the library says to wait for. */
START_TEST(test_own_loop)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	bool connected = false, answered = false;
	struct play play;

	play_begin(&play);
	play_ask_say(&play, "ops", "x");
	while (!answered) {
		struct pollfd fds[] = {
			{retort_fd(play.retort), retort_events(play.retort), 0},
			{play.fd < 0 ? play.listener : play.fd, POLLIN, 0},
		};

		ck_assert_int_ge(poll(fds, 2, retort_timeout(play.retort)), 0);
		ck_assert_uint_lt(harness_now(), deadline);
		while (retort_next(play.retort, 0, &play.event) == 1) {
			connected |= play.event.kind == RETORT_CONNECTED;
			answered |= play.event.kind == RETORT_REPLY;
		}
		if (!fds[1].revents)
			continue;
		if (play.fd < 0) {
			play.fd = accept4(play.listener, NULL, NULL, SOCK_CLOEXEC);
			continue;
		}
		play_get(&play, connected ? CHAT_SAY : CHAT_HELLO);
		if (connected)
			play_put(&play,
				 REPLY_OK ",\"seq\":1,\"time\":\"2026-11-22T15:04:05.678Z\"}");
		else
			play_put(&play, REPLY_OK ",\"nick\":\"a\",\"user\":null}");
	}
	ck_assert(connected);
	play_end(&play);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retort");

	harness_add(suite, test_hello);
	harness_add(suite, test_guesses);
	harness_add(suite, test_no_hello);
	harness_add(suite, test_events);
	harness_add(suite, test_lists);
	harness_add(suite, test_splits);
	harness_add(suite, test_other_nick);
	harness_add(suite, test_call_deadline);
	harness_add(suite, test_requests);
	harness_add(suite, test_refusals);
	harness_add(suite, test_addresses);
	harness_add(suite, test_places);
	harness_add(suite, test_tcp);
	harness_add(suite, test_known);
	harness_add(suite, test_own_loop);
	return harness_main(suite);
}
