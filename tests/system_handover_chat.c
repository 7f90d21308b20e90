/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A restart under people who talk: rooms, who is in them and who they are go over, everybody gets
 * every message once and in order, and nobody leaves or joins because of it.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "harness_chat.h"
#include "harness_handover.h"

static const char two_rooms[] =
	"rooms: ( { name = \"ops\"; }, { name = \"memory\"; durable = false; "
	"topic = \"while it lasts\"; } );";

static const char *const both_rooms[] = {"ops", "memory"};

/* Starts the daemon of chat_start(), in these groups of the configuration, under a manager. */
static void start(struct manager *manager, const char *settings, const char *chat)
{
	CLEANUP(freep) char *config = chat_config(settings, "%s", chat);

	manager_init(manager);
	manager_start(manager, "%s", config);
}

/* ---- what everybody sees ---- */

START_TEST(members_notice_nothing)
{
	CHATTER anna = {0}, ben = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "ops");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	expect_ok(&ben, "{'op':'join','room':'memory'}");
	drop_events(&anna);
	drop_events(&ben);
	for (json_int_t seq = 1; seq <= 3; seq++) {
		manager_restart(&manager);
		for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++) {
			chatter_say(&ben, both_rooms[i], seq, "hello");
			expect_message(&anna, both_rooms[i], seq, "hello");
			expect_message(&ben, both_rooms[i], seq, "hello");
		}
		expect_no_event(&anna);
		expect_no_event(&ben);
	}
	manager_stop(&manager);
}
END_TEST

/* The answers to questions, which must be the same before and after. */
static json_t *look_around(struct chatter *chatter)
{
	static const char *const questions[] = {
		"{'op':'who'}",
		"{'op':'who','room':'ops'}",
		"{'op':'who','room':'memory'}",
		"{'op':'rooms'}",
		"{'op':'history','room':'ops'}",
		"{'op':'history','room':'memory'}",
		"{'op':'history','room':'memory','after':3,'limit':4}",
		"{'op':'join','room':'ops'}",
		"{'op':'join','room':'memory'}",
	};
	json_t *answers = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		json_t *answer = chatter_ask(chatter, "%s", questions[i]);

		ck_assert_int_eq(json_array_append_new(answers, answer), 0);
	}
	return answers;
}

static void expect_same(json_t *before, json_t *after)
{
	for (size_t i = 0; i < json_array_size(before); i++)
		if (!json_equal(json_array_get(before, i), json_array_get(after, i)))
			ck_abort_msg("%.1500s\ninstead of\n%.1500s",
				     json_dumps(json_array_get(after, i), JSON_COMPACT),
				     json_dumps(json_array_get(before, i), JSON_COMPACT));
	json_decref(before);
	json_decref(after);
}

START_TEST(everything_looks_the_same)
{
	CHATTER anna = {0}, ben = {0}, me = {0}, nameless = {0}, again = {0};
	struct chatter *const all[] = {&anna, &ben, &me, &nameless, &again};
	json_t *seen[ARRAY_SIZE(all)];
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "\xc3\x84nna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "memory");
	chatter_open(&me, &manager.server, "chat", "unix:");
	expect_ok(&me, "{'op':'hello','nick':'Chief'}");
	expect_ok(&me, "{'op':'join','room':'ops'}");
	chatter_open(&again, &manager.server, "line", "unix:"); /* the same user */
	expect_ok(&again, "{'op':'join','room':'memory'}");
	chatter_open(&nameless, &manager.server, "line", "tcp:"); /* a name the server made */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t r = 0; r < ARRAY_SIZE(both_rooms); r++) {
			expect_ok(all[i], "{'op':'join','room':'%s'}", both_rooms[r]);
			expect_ok(all[i], "{'op':'say','room':'%s','text':'by %zu'}", both_rooms[r],
				  i);
		}
	expect_ok(&anna, "{'op':'topic','room':'ops','text':'of \xc3\x84nna'}");
	expect_ok(&ben, "{'op':'topic','room':'memory','text':'of ben'}");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		seen[i] = look_around(all[i]);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		drop_events(all[i]);
	manager_restart(&manager);
	manager_restart(&manager);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		expect_same(seen[i], look_around(all[i]));
		expect_no_event(all[i]);
	}
	manager_stop(&manager);
}
END_TEST

/* Who stands where among the members of both rooms, and among all people. */
static json_t *line_up(struct chatter *chatter)
{
	json_t *all = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++)
		ck_assert_int_eq(
			json_array_append_new(all, chatter_ask(chatter, "{'op':'who','room':'%s'}",
							       both_rooms[i])),
			0);
	ck_assert_int_eq(json_array_append_new(all, chatter_ask(chatter, "{'op':'who'}")), 0);
	return all;
}

/* Members stand in the order in which they came, which is another one in each room. */
START_TEST(members_keep_their_order)
{
	enum { GUESTS = 12 };
	struct chatter guests[GUESTS] = {{0}};
	CHATTER me = {0}, again = {0}, late = {0};
	struct manager manager;
	json_t *seen;

	start(&manager, "workers = 2;", two_rooms);
	for (int i = 0; i < GUESTS; i++)
		chatter_open(&guests[i], &manager.server, "chat", "tcp:");
	chatter_open(&again, &manager.server, "chat", "unix:");
	chatter_open(&me, &manager.server, "chat", "unix:"); /* the same user */
	for (int i = 0; i < GUESTS; i++) {
		expect_ok(&guests[i * 5 % GUESTS], "{'op':'join','room':'ops'}");
		expect_ok(&guests[i * 7 % GUESTS], "{'op':'join','room':'memory'}");
		if (i == 3)
			expect_ok(&me, "{'op':'join','room':'ops'}");
		if (i == 6)
			expect_ok(&again, "{'op':'join','room':'memory'}");
	}
	/* Who comes again is the last; by one more connection nobody comes. */
	expect_ok(&guests[5], "{'op':'leave','room':'ops'}");
	expect_ok(&guests[5], "{'op':'join','room':'ops'}");
	expect_ok(&again, "{'op':'join','room':'ops'}");
	expect_ok(&me, "{'op':'leave','room':'ops'}");
	seen = line_up(&guests[1]);
	manager_restart(&manager);
	expect_same(seen, line_up(&guests[1]));

	chatter_enter(&late, &manager.server, "late", "ops");
	expect_ok(&guests[2], "{'op':'leave','room':'ops'}");
	expect_ok(&guests[2], "{'op':'join','room':'ops'}");
	seen = line_up(&late);
	ck_assert_str_eq(
		member_string(
			json_array_get(json_object_get(json_array_get(seen, 0), "members"), GUESTS),
			"nick"),
		"late");
	manager_restart(&manager);
	manager_restart(&manager);
	expect_same(seen, line_up(&late));
	for (int i = 0; i < GUESTS; i++)
		chatter_done(&guests[i]);
	manager_stop(&manager);
}
END_TEST

/* What was left before the restart is not entered again, nor what nobody joined. */
START_TEST(who_has_left_stays_away)
{
	CHATTER anna = {0}, ben = {0}, gone = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "ops");
	chatter_enter(&gone, &manager.server, "gone", "ops");
	expect_ok(&ben, "{'op':'leave','room':'ops'}");
	chatter_leave(&gone, &anna, "gone");
	drop_events(&anna);
	drop_events(&ben);
	manager_restart(&manager);
	chatter_say(&anna, "ops", 1, "alone");
	expect_error(&ben, "not_member", "{'op':'say','room':'ops','text':'x'}");
	expect_no_event(&ben);
	expect_json(chatter_ask(&anna, "{'op':'who','room':'ops'}"),
		    "{'ok':true,'room':'ops','members':[{'nick':'anna','user':null,"
		    "'since':'<time>'}]}");
	manager_stop(&manager);
}
END_TEST

/* One who goes between two daemons leaves, once, when the next finds out. */
START_TEST(who_goes_meanwhile_leaves)
{
	CHATTER anna = {0}, ben = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "ops");
	drop_events(&anna);
	manager_hand_over(&manager);
	chatter_done(&ben);
	manager_resume(&manager);
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'ben','...':1}");
	expect_no_event(&anna);
	chatter_enter(&ben, &manager.server, "ben", "ops");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'ben'}");
	manager_stop(&manager);
}
END_TEST

/* ---- names ---- */

START_TEST(nicks_stay_taken)
{
	CHATTER anna = {0}, nameless = {0}, other = {0};
	struct manager manager;
	json_t *reply;
	char nick[64];

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_open(&nameless, &manager.server, "chat", "tcp:");
	expect_ok(&nameless, "{'op':'join','room':'memory'}");
	reply = chatter_ask(&nameless, "{'op':'who','room':'memory'}");
	(void)snprintf(nick, sizeof nick, "%s",
		       member_string(json_array_get(json_object_get(reply, "members"), 0), "nick"));
	json_decref(reply);
	manager_restart(&manager);
	chatter_open(&other, &manager.server, "chat", "tcp:");
	expect_error(&other, "nick_in_use", "{'op':'hello','nick':'Anna'}");
	expect_error(&other, "nick_in_use", "{'op':'hello','nick':'%s'}", nick);
	reply = chatter_ask(&other, "{'op':'who'}");
	ck_assert_uint_eq(json_array_size(json_object_get(reply, "members")), 3);
	json_decref(reply);
	/* And who has a name may still change it. */
	expect_ok(&anna, "{'op':'hello','nick':'berta'}");
	expect_ok(&other, "{'op':'hello','nick':'anna'}");
	manager_stop(&manager);
}
END_TEST

START_TEST(an_administrator_stays_one)
{
	CHATTER me = {0}, anna = {0}, ben = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_open(&me, &manager.server, "chat", "unix:");
	expect_ok(&me, "{'op':'hello','nick':'chief'}");
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "ops");
	manager_restart(&manager);
	expect_error(&anna, "not_allowed", "{'op':'kick','nick':'ben'}");
	expect_json(chatter_ask(&me, "{'op':'kick','nick':'anna','reason':'enough'}"),
		    "{'ok':true,'kicked':1}");
	drop_events(&ben);
	expect_event(&anna, "{'event':'join','room':'ops','nick':'ben'}");
	while (json_array_size(anna.events) > 1)
		json_decref(chatter_event(&anna));
	expect_gone(anna.fd);
	chatter_say(&ben, "ops", 1, "still here");
	manager_stop(&manager);
}
END_TEST

/* ---- what was said ---- */

START_TEST(rooms_in_memory_keep_their_log)
{
	enum { MESSAGES = 1200 };
	CHATTER anna = {0}, late = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "memory");
	for (int i = 1; i <= MESSAGES; i++)
		chatter_add(&anna, "{'op':'say','room':'memory','text':'m%d'}", i);
	chatter_flush(&anna);
	for (int i = 1; i <= MESSAGES; i++)
		json_decref(chatter_reply(&anna));
	manager_restart(&manager);
	chatter_enter(&late, &manager.server, "late", NULL);
	expect_ok(&late, "{'op':'join','room':'memory','since':0}");
	for (int i = 1; i <= MESSAGES; i++) {
		char text[16];

		(void)snprintf(text, sizeof text, "m%d", i);
		expect_message(&late, "memory", i, text);
		expect_message(&anna, "memory", i, text);
	}
	chatter_say(&late, "memory", MESSAGES + 1, "more");
	expect_event(&anna, "{'event':'join','room':'memory','nick':'late'}");
	expect_message(&anna, "memory", MESSAGES + 1, "more");
	manager_stop(&manager);
}
END_TEST

/* A room which nobody is in, and which only memory knows. */
START_TEST(a_room_without_members)
{
	CHATTER anna = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "memory");
	chatter_say(&anna, "memory", 1, "remember");
	expect_ok(&anna, "{'op':'topic','room':'memory','text':'mine'}");
	expect_ok(&anna, "{'op':'leave','room':'memory'}");
	manager_restart(&manager);
	expect_json(chatter_ask(&anna, "{'op':'history','room':'memory'}"),
		    "{'ok':true,'room':'memory','oldest':1,'seq':1,'messages':["
		    "{'seq':1,'time':'<time>','from':'anna','text':'remember'}]}");
	expect_json(chatter_ask(&anna, "{'op':'join','room':'memory'}"),
		    "{'ok':true,'topic':'mine','seq':1,'...':1}");
	manager_stop(&manager);
}
END_TEST

/* A client that has lost the answer asks again, with the same key. */
START_TEST(keys_are_known_again)
{
	CHATTER anna = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++) {
		chatter_say(&anna, both_rooms[i], 1, "first");
		expect_json(chatter_ask(&anna, "{'op':'say','room':'%s','text':'once','key':'k1'}",
					both_rooms[i]),
			    "{'ok':true,'room':'%s','seq':2,'time':'<time>'}", both_rooms[i]);
	}
	manager_restart(&manager);
	manager_restart(&manager);
	for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++) {
		expect_json(chatter_ask(&anna, "{'op':'say','room':'%s','text':'once','key':'k1'}",
					both_rooms[i]),
			    "{'ok':true,'seq':2,'duplicate':true,'...':1}");
		chatter_say(&anna, both_rooms[i], 3, "next");
	}
	manager_stop(&manager);
}
END_TEST

START_TEST(direct_talks)
{
	CHATTER anna = {0}, ben = {0}, me = {0};
	struct manager manager;
	char mine[64];

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", NULL);
	chatter_enter(&ben, &manager.server, "Ben", NULL);
	chatter_open(&me, &manager.server, "chat", "unix:");
	expect_ok(&me, "{'op':'hello','nick':'chief'}");
	(void)snprintf(mine, sizeof mine, "@%s", chat_me()); /* a user is found by that */
	chatter_say(&anna, "@ben", 1, "psst");
	chatter_say(&me, "@ben", 1, "mine");
	expect_message(&ben, "@anna", 1, "psst");
	expect_message(&ben, mine, 1, "mine");
	expect_message(&anna, "@Ben", 1, "psst");
	expect_message(&me, "@Ben", 1, "mine");
	manager_restart(&manager);
	expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':['*','*',"
		    "{'room':'@Ben','seq':1,'members':2,'topic':''}]}");
	chatter_say(&ben, "@anna", 2, "what");
	chatter_say(&ben, mine, 2, "yes");
	expect_message(&anna, "@Ben", 2, "what");
	expect_message(&me, "@Ben", 2, "yes");
	expect_json(chatter_ask(&anna, "{'op':'history','room':'@ben'}"),
		    "{'ok':true,'room':'@Ben','oldest':1,'seq':2,'messages':["
		    "{'seq':1,'time':'<time>','from':'anna','text':'psst'},"
		    "{'seq':2,'time':'<time>','from':'Ben','text':'what'}]}");
	expect_error(&me, "no_such_room", "{'op':'history','room':'@anna'}");
	expect_no_event(&anna);
	/* And it still ends with a guest. */
	chatter_leave(&anna, &ben, "anna");
	expect_error(&ben, "no_such_nick", "{'op':'say','room':'@anna','text':'x'}");
	manager_stop(&manager);
}
END_TEST

/* ---- what holds people back ---- */

START_TEST(mutes)
{
	CHATTER me = {0}, anna = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_open(&me, &manager.server, "chat", "unix:");
	chatter_enter(&anna, &manager.server, "anna", "ops");
	expect_ok(&me, "{'op':'mute','nick':'anna','reason':'hush'}");
	manager_restart(&manager);
	expect_error(&anna, "muted", "{'op':'say','room':'ops','text':'x'}");
	expect_ok(&me, "{'op':'unmute','nick':'anna'}");
	manager_restart(&manager);
	chatter_say(&anna, "ops", 1, "thanks");
	manager_stop(&manager);
}
END_TEST

/* One message a second comes back, and not all hundred with every daemon. */
START_TEST(rates)
{
	enum { BURST = 100 };
	CHATTER anna = {0};
	struct manager manager;
	uint64_t begun;
	unsigned said = 0;

	start(&manager, "", "rate: { messages = 1; burst = 100; };");
	begun = harness_now();
	chatter_enter(&anna, &manager.server, "anna", "ops");
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < BURST; i++)
			chatter_add(&anna, "{'op':'say','room':'ops','text':'m'}");
		chatter_flush(&anna);
		for (int i = 0; i < BURST; i++) {
			json_t *reply = chatter_reply(&anna);

			said += json_is_true(json_object_get(reply, "ok"));
			json_decref(reply);
		}
		ck_assert_uint_ge(said, BURST);
		ck_assert_uint_le(said, BURST + (harness_now() - begun) / 1000 + 1);
		manager_restart(&manager);
	}
	manager_stop(&manager);
}
END_TEST

/* ---- the text dialect ---- */

static void expect_line(int fd, const char *begin)
{
	char line[4096];
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof line);
		recv_exactly(fd, &line[len], 1);
	} while (line[len++] != '\n');
	line[len - 1] = 0;
	ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "\"%s\" instead of \"%s…\"", line,
		      begin);
}

START_TEST(people_at_a_terminal)
{
	CLEANUP(closep) int anna = -1, ben = -1;
	struct manager manager;

	start(&manager, "", two_rooms);
	anna = client(&manager.server, "talk", "tcp:");
	expect_line(anna, "* you are guest-");
	send_text(anna, "/nick anna\n/join ops\n/join memory\n/join ops\n");
	expect_line(anna, "* you are anna now");
	expect_line(anna, "* you are in ops");
	expect_line(anna, "* you are in memory");
	expect_line(anna, "* you are in ops");
	ben = client(&manager.server, "talk", "unix:");
	expect_line(ben, "* you are ");
	send_text(ben, "/join memory\n/join ops\nhello\n");
	expect_line(ben, "* you are in memory");
	expect_line(ben, "* you are in ops");
	expect_line(anna, "* ");
	expect_line(anna, "* ");
	expect_line(anna, "[ops] ");
	/* Half a line, in the room that is the current one. */
	send_text(anna, "half a li");
	send_text(ben, "/join memory\n");
	expect_line(ben, "* you are in memory");
	manager_restart(&manager);
	send_text(anna, "ne\n");
	expect_line(ben, "[ops] anna: half a line");
	send_text(ben, "in memory\n");
	expect_line(anna, "[memory] ");
	manager_restart(&manager);
	send_text(anna, "/who memory\n/topic\n/history 1\n");
	expect_line(anna, "* anna, guest, since ");
	manager_stop(&manager);
}
END_TEST

/* ---- requests in flight ---- */

START_TEST(pipelined_requests)
{
	enum { REQUESTS = 400 };
	const int rounds = (int)harness_rounds(8, 2);
	CHATTER anna = {0}, ben = {0};
	struct manager manager;
	json_int_t seq = 0, heard = 0;

	start(&manager, "", two_rooms);
	chatter_enter(&ben, &manager.server, "ben", "ops");
	chatter_enter(&anna, &manager.server, "anna", "ops");
	drop_events(&ben);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < REQUESTS; i++)
			if (i % 20 == 7)
				chatter_add(&anna, "{'op':'history','room':'ops','limit':1}");
			else
				chatter_add(&anna, "{'op':'say','room':'ops','text':'x'}");
		chatter_flush(&anna);
		manager_restart(&manager);
		for (int i = 0; i < REQUESTS; i++) {
			json_t *reply = chatter_reply(&anna);

			/* A look into the log shows the latest, which is the one before. */
			seq += i % 20 == 7 ? 0 : 1;
			ck_assert_int_eq(member_integer(reply, "seq"), seq);
			json_decref(reply);
		}
		while (heard < seq)
			expect_message(&ben, "ops", ++heard, "x");
	}
	expect_no_event(&ben);
	manager_stop(&manager);
}
END_TEST

/* Whatever changes who is where, with the restart in between. */
START_TEST(comings_and_goings_in_flight)
{
	const int rounds = (int)harness_rounds(10, 3);
	CHATTER anna = {0}, ben = {0};
	struct manager manager;
	char nick[32] = "anna";

	start(&manager, "", two_rooms);
	chatter_enter(&ben, &manager.server, "ben", "ops");
	chatter_enter(&anna, &manager.server, "anna", NULL);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < 50; i++) {
			chatter_add(&anna, "{'op':'join','room':'ops'}");
			chatter_add(&anna, "{'op':'hello','nick':'anna%d'}", i);
			chatter_add(&anna, "{'op':'leave','room':'ops'}");
		}
		chatter_flush(&anna);
		manager_restart(&manager);
		for (int i = 0; i < 150; i++)
			expect_json(chatter_reply(&anna), "{'ok':true,'...':1}");
		for (int i = 0; i < 50; i++) {
			expect_event(&ben, "{'event':'join','room':'ops','nick':'%s'}", nick);
			expect_event(&ben, "{'event':'leave','room':'ops','nick':'%s','...':1}",
				     nick);
			(void)snprintf(nick, sizeof nick, "anna%d", i);
			expect_event(&ben, "{'event':'join','room':'ops','nick':'%s'}", nick);
			expect_event(&ben, "{'event':'leave','room':'ops','nick':'%s'}", nick);
		}
		expect_no_event(&ben);
	}
	manager_stop(&manager);
}
END_TEST

/* It says what it has to say, ends its side, and wants the answers. */
START_TEST(a_half_closed_speaker)
{
	CHATTER anna = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	for (int i = 0; i < 300; i++)
		chatter_add(&anna, "{'op':'say','room':'ops','text':'last words'}");
	chatter_flush(&anna);
	shut_down(anna.fd);
	manager_restart(&manager);
	for (int i = 1; i <= 300; i++)
		expect_json(chatter_reply(&anna), "{'ok':true,'seq':%d,'...':1}", i);
	while (!anna.ended)
		chatter_receive(&anna);
	manager_stop(&manager);
}
END_TEST

/* ---- who reads slowly ---- */

/*
 * Megabytes that a member has not read, in both kinds of rooms, before and after restarts. Over a
 * Unix socket: TCP probes a window that was shut for long less and less often.
 */
static void check_behind(const char *room)
{
	const int messages = (int)harness_rounds(12000, 3000);
	CHATTER slow = {0}, anna = {0};
	struct manager manager;

	start(&manager, "max_pending = \"64K\";", two_rooms);
	chatter_open(&slow, &manager.server, "chat", "unix:");
	expect_ok(&slow, "{'op':'join','room':'%s'}", room);
	chatter_enter(&anna, &manager.server, "anna", room);
	for (int i = 1; i <= messages; i++) {
		chatter_add(&anna, "{'op':'say','room':'%s','text':'%-1000d'}", room, i);
		if (i % 100 == 0) {
			chatter_flush(&anna);
			for (int j = 1; j <= 100; j++)
				json_decref(chatter_reply(&anna));
			(void)json_array_clear(anna.events);
		}
		if (i % (messages / 3) == 0)
			manager_restart(&manager);
	}
	expect_event(&slow, "{'event':'join','room':'%s','nick':'anna'}", room);
	for (int i = 1; i <= messages; i++) {
		json_t *event = chatter_event(&slow);

		REQUIRE(member_integer(event, "seq") == i);
		REQUIRE(strtol(member_string(event, "text"), NULL, 10) == i);
		json_decref(event);
		if (i == messages / 2)
			manager_restart(&manager);
	}
	expect_no_event(&slow);
	manager_stop(&manager);
}

START_TEST(a_member_that_is_behind)
{
	for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++)
		check_behind(both_rooms[i]);
}
END_TEST

/* ---- under load ---- */

enum { SPEAKERS = 3, HEARERS = 3 };

/* Says n, n + 1, … in room until it is told to stop; each is acknowledged with a higher number. */
static void speak(const struct server *server, const char *room, size_t who, int stop)
{
	struct pollfd polled = {.fd = stop, .events = POLLIN};
	CHATTER speaker = {0};
	json_int_t last = 0;
	char nick[32];

	(void)snprintf(nick, sizeof nick, "speaker%zu", who);
	chatter_enter(&speaker, server, nick, room);
	for (int n = 0; poll(&polled, 1, 0) == 0; n += 20) {
		for (int i = n; i < n + 20; i++)
			chatter_add(&speaker, "{'op':'say','room':'%s','text':'%d'}", room, i);
		chatter_flush(&speaker);
		for (int i = n; i < n + 20; i++) {
			json_t *reply = chatter_reply(&speaker);

			REQUIRE(json_is_true(json_object_get(reply, "ok")));
			REQUIRE(member_integer(reply, "seq") > last);
			last = member_integer(reply, "seq");
			json_decref(reply);
		}
		(void)json_array_clear(speaker.events);
	}
}

/* Hears every number once and in order, and of each speaker all that it says, up to "end". */
static void hear(const struct server *server, const char *room)
{
	int next[SPEAKERS] = {0};
	CHATTER hearer = {0};
	json_int_t seq = 0;
	bool ended = false;

	chatter_open(&hearer, server, "chat", "tcp:");
	expect_ok(&hearer, "{'op':'join','room':'%s','since':0}", room);
	while (!ended) {
		json_t *event = chatter_event(&hearer);

		if (strcmp(member_string(event, "event"), "message") == 0) {
			const char *text = member_string(event, "text");
			const char *from = member_string(event, "from");

			REQUIRE_MSG(member_integer(event, "seq") == ++seq, "%d instead of %d",
				    (int)member_integer(event, "seq"), (int)seq);
			ended = strcmp(text, "end") == 0;
			if (!ended)
				REQUIRE(strtol(text, NULL, 10) ==
					next[from[strlen("speaker")] - '0']++);
		} else {
			REQUIRE_MSG(strcmp(member_string(event, "event"), "gap") != 0, "a gap");
		}
		json_decref(event);
	}
}

static json_int_t newest(struct chatter *chatter, const char *room)
{
	json_t *reply = chatter_ask(chatter, "{'op':'history','room':'%s','limit':1}", room);
	json_int_t seq = member_integer(reply, "seq");

	json_decref(reply);
	return seq;
}

/* A talk that goes on through many restarts. */
static void check_talk(const char *room)
{
	const int restarts = (int)harness_rounds(20, 4);
	struct load speakers[SPEAKERS], hearers[HEARERS];
	CHATTER watcher = {0};
	struct manager manager;
	json_int_t seq = 0;
	int stop;

	start(&manager, "workers = 2;", two_rooms);
	chatter_enter(&watcher, &manager.server, "watcher", NULL);
	for (size_t i = 0; i < HEARERS; i++)
		if (load_fork(&hearers[i], &stop)) {
			hear(&manager.server, room);
			_exit(EXIT_SUCCESS);
		}
	for (size_t i = 0; i < SPEAKERS; i++)
		if (load_fork(&speakers[i], &stop)) {
			speak(&manager.server, room, i, stop);
			_exit(EXIT_SUCCESS);
		}
	for (int i = 0; i < restarts; i++) {
		uint64_t deadline = harness_now() + (uint64_t)harness_patience();
		json_int_t least = seq + 100;

		while ((seq = newest(&watcher, room)) < least)
			harness_pause(deadline, "the talk to go on");
		manager_restart(&manager);
	}
	for (size_t i = 0; i < SPEAKERS; i++)
		load_stop(&speakers[i]);
	expect_ok(&watcher, "{'op':'join','room':'%s'}", room);
	expect_ok(&watcher, "{'op':'say','room':'%s','text':'end'}", room);
	for (size_t i = 0; i < HEARERS; i++)
		load_stop(&hearers[i]);
	manager_stop(&manager);
}

START_TEST(a_talk_in_a_durable_room)
{
	check_talk("ops");
}
END_TEST

START_TEST(a_talk_in_memory)
{
	check_talk("memory");
}
END_TEST

/* ---- other ends ---- */

/* An order to stop is none to restart: everybody is told. */
START_TEST(a_stop_tells_everybody)
{
	CHATTER anna = {0};
	struct manager manager;

	start(&manager, "timeouts: { drain = \"60s\"; };", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	manager_restart(&manager);
	server_signal(&manager.server, SIGINT);
	expect_closing(&anna, "", true);
	chatter_done(&anna);
	server_assert_ended(&manager.server, 0);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_STATE), 0);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_CLIENTS), 0);
	manager_resume(&manager);
	manager_stop(&manager);
}
END_TEST

/* What was acknowledged before a restart is there after a crash that follows it. */
START_TEST(a_crash_after_a_restart)
{
	CHATTER anna = {0}, late = {0};
	struct manager manager;

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_say(&anna, "ops", 1, "before");
	manager_restart(&manager);
	chatter_say(&anna, "ops", 2, "after");
	manager_crash(&manager);
	chatter_enter(&late, &manager.server, "anna", "ops");
	expect_json(chatter_ask(&late, "{'op':'history','room':'ops'}"),
		    "{'ok':true,'room':'ops','oldest':1,'seq':2,'messages':['*','*']}");
	expect_gone(anna.fd);
	manager_stop(&manager);
}
END_TEST

/* Told to end before it is ready, or before it has taken anything up. */
START_TEST(members_of_a_daemon_that_is_never_ready)
{
	const unsigned rounds = (unsigned)harness_rounds(40, 8);
	CHATTER anna = {0}, ben = {0};
	struct manager manager;

	start(&manager, "workers = 2;", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "memory");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	expect_ok(&ben, "{'op':'join','room':'ops'}");
	drop_events(&anna);
	drop_events(&ben);
	for (unsigned round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++)
			chatter_send(&anna, "{'op':'say','room':'%s','text':'%u'}", both_rooms[i],
				     round);
		manager_hand_over(&manager);
		manager_spawn(&manager);
		(void)usleep(round * 400); /* a moment that is as good as any other */
		server_signal(&manager.server, SIGTERM);
		(void)server_wait_end(&manager.server);
		manager_pump(&manager);
		manager_resume(&manager);
		for (size_t i = 0; i < ARRAY_SIZE(both_rooms); i++) {
			json_t *event = chatter_event(&ben);

			expect_json(chatter_reply(&anna),
				    "{'ok':true,'room':'%s','seq':%u,'...':1}", both_rooms[i],
				    round);
			ck_assert_int_eq(member_integer(event, "seq"), round);
			json_decref(event);
		}
		expect_no_event(&ben);
		(void)json_array_clear(anna.events);
	}
	manager_stop(&manager);
}
END_TEST

/* ---- in the middle of everything ---- */

enum { PASSERS = 12 };

/* Some have joined by now, and others are about to. */
static void let_in(struct manager *manager, int fds[static PASSERS])
{
	for (unsigned i = 0; i < PASSERS; i++) {
		fds[i] = client(&manager->server, "line", handover_schemes[i % 2]);
		send_text(fds[i], "{\"op\":\"join\",\"room\":\"ops\"}\n");
		if (i % 3)
			expect_text(fds[i], "{\"ok\":true");
	}
}

/* Broken off, as by a network; over a Unix socket the end of a connection is always this. */
static void break_off(const int *fds, unsigned n)
{
	const struct linger at_once = {.l_onoff = 1};

	for (unsigned i = 0; i < n; i++) {
		(void)setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		(void)close(fds[i]);
	}
}

/* The next message, whoever comes and goes before it. */
static void expect_said(struct chatter *chatter, json_int_t seq)
{
	json_t *event = chatter_event(chatter);

	while (strcmp(member_string(event, "event"), "message") != 0) {
		json_decref(event);
		event = chatter_event(chatter);
	}
	ck_assert_int_eq(member_integer(event, "seq"), seq);
	json_decref(event);
}

/*
 * Clients break off, a reload is under way, and administrators ask for this and that: those who
 * stay are answered all the same, once, and the daemon ends.
 */
START_TEST(in_the_middle_of_everything)
{
	static const char *const asked[] = {"{'op':'reload'}", "{'op':'clients'}",
					    "{'op':'health'}", "{'op':'stats'}",
					    "{'op':'kick','client':5}"};
	const unsigned rounds = (unsigned)harness_rounds(40, 8);
	CHATTER anna = {0}, ben = {0}, control = {0};
	struct manager manager;

	start(&manager, "workers = 3;", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	chatter_enter(&ben, &manager.server, "ben", "ops");
	chatter_open_control(&control, &manager.server, FRAMING_LINE);
	for (unsigned round = 1; round <= rounds; round++) {
		int fds[PASSERS];

		let_in(&manager, fds);
		chatter_send(&anna, "{'op':'say','room':'ops','text':'x'}");
		chatter_send(&control, "%s", asked[round % ARRAY_SIZE(asked)]);
		server_signal(&manager.server, round % 2 ? SIGHUP : SIGUSR1);
		break_off(fds, PASSERS / 2);
		(void)usleep(round * 75); /* a moment that is as good as any other */
		server_signal(&manager.server, SIGTERM);
		break_off(fds + PASSERS / 2, PASSERS / 2);
		server_assert_ended(&manager.server, 0);
		manager_pump(&manager);
		manager_resume(&manager);
		expect_json(chatter_reply(&anna), "{'ok':true,'room':'ops','seq':%u,'...':1}",
			    round);
		expect_said(&anna, round);
		expect_said(&ben, round);
		json_decref(chatter_next_reply(&control));
	}
	manager_stop(&manager);
}
END_TEST

/* How long a text may be is what the next configuration says, for those who are there as well. */
START_TEST(another_max_message)
{
	CHATTER anna = {0};
	struct manager manager;
	CLEANUP(freep) char *config = chat_config("max_message = \"16K\";", "%s", two_rooms);

	start(&manager, "max_message = \"8K\";", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	expect_error(&anna, "too_long", "{'op':'say','room':'ops','text':'%07500d'}", 0);
	manager_restart_with(&manager, "%s", config);
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'limits':{'max_message':16384,'max_text':15360,'...':1},'...':1}");
	expect_ok(&anna, "{'op':'say','room':'ops','text':'%07500d'}", 0);
	manager_stop(&manager);
}
END_TEST

/* A room that the next configuration wants differently, or not at all. */
START_TEST(rooms_of_another_configuration)
{
	CHATTER anna = {0};
	struct manager manager;
	CLEANUP(freep)
	char *config = chat_config(
		"", "%s", "rooms: ( { name = \"ops\"; topic = \"new\"; durable = false; } );");

	start(&manager, "", two_rooms);
	chatter_enter(&anna, &manager.server, "anna", "ops");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	chatter_say(&anna, "ops", 1, "x");
	chatter_say(&anna, "memory", 1, "x");
	drop_events(&anna);
	manager_restart_with(&manager, "%s", config);
	expect_ok(&anna, "{'op':'ping'}");
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	expect_ok(&anna, "{'op':'say','room':'ops','text':'y'}");
	expect_ok(&anna, "{'op':'rooms'}");
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_handover_chat");

	harness_add(suite, members_notice_nothing);
	harness_add(suite, everything_looks_the_same);
	harness_add(suite, members_keep_their_order);
	harness_add(suite, who_has_left_stays_away);
	harness_add(suite, who_goes_meanwhile_leaves);
	harness_add(suite, nicks_stay_taken);
	harness_add(suite, an_administrator_stays_one);
	harness_add(suite, rooms_in_memory_keep_their_log);
	harness_add(suite, a_room_without_members);
	harness_add(suite, keys_are_known_again);
	harness_add(suite, direct_talks);
	harness_add(suite, mutes);
	harness_add(suite, rates);
	harness_add(suite, people_at_a_terminal);
	harness_add(suite, pipelined_requests);
	harness_add(suite, comings_and_goings_in_flight);
	harness_add(suite, a_half_closed_speaker);
	harness_add(suite, a_member_that_is_behind);
	harness_add(suite, a_talk_in_a_durable_room);
	harness_add(suite, a_talk_in_memory);
	harness_add(suite, a_stop_tells_everybody);
	harness_add(suite, a_crash_after_a_restart);
	harness_add(suite, members_of_a_daemon_that_is_never_ready);
	harness_add(suite, in_the_middle_of_everything);
	harness_add(suite, another_max_message);
	harness_add(suite, rooms_of_another_configuration);
	return harness_main(suite);
}
