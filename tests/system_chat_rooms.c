/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rooms as logs: what everybody gets, from which number on, and what is kept. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness_chat.h"

static const char *const listeners[] = {"chat", "line"};

/* ---- what every op replies ---- */

static void ask_everything(const struct server *server, const char *listener, const char *room)
{
	CHATTER anna = {0};

	chatter_open(&anna, server, listener, "tcp:");
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'nick':'anna','user':null,'server':'retortd','version':'*',"
		    "'limits':{'max_message':1048576,'max_text':1047552,'max_topic':1024,"
		    "'max_rooms':256,'rate':0,'burst':0},"
		    "'transforms':['echo','upper','lower','reverse']}");
	expect_json(chatter_ask(&anna, "{'op':'transform','with':['upper','reverse'],"
				       "'text':'stra\xc3\x9f\x65'}"),
		    "{'ok':true,'text':'ESSARTS'}");
	expect_json(chatter_ask(&anna, "{'op':'transform','with':[],'text':'x'}"),
		    "{'ok':true,'text':'x'}");
	expect_json(chatter_ask(&anna, "{'op':'join','room':'%s'}", room),
		    "{'ok':true,'room':'%s','seq':0,'oldest':1,'members':1,'topic':''}", room);
	expect_json(chatter_ask(&anna, "{'op':'say','room':'%s','text':'hi'}", room),
		    "{'ok':true,'room':'%s','seq':1,'time':'<time>'}", room);
	expect_json(chatter_ask(&anna, "{'op':'history','room':'%s'}", room),
		    "{'ok':true,'room':'%s','oldest':1,'seq':1,'messages':["
		    "{'seq':1,'time':'<time>','from':'anna','text':'hi'}]}",
		    room);
	expect_json(chatter_ask(&anna, "{'op':'topic','room':'%s','text':'T'}", room),
		    "{'ok':true,'...':1}");
	expect_json(chatter_ask(&anna, "{'op':'who','room':'%s'}", room),
		    "{'ok':true,'room':'%s','members':[{'nick':'anna','user':null,"
		    "'since':'<time>'}]}",
		    room);
	expect_json(chatter_ask(&anna, "{'op':'who'}"),
		    "{'ok':true,'members':[{'nick':'anna','user':null,'since':'<time>'}]}");
	expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'%s','seq':1,'members':1,'topic':'T'}]}", room);
	expect_json(chatter_ask(&anna, "{'op':'ping','text':'\xe2\x9c\x93'}"),
		    "{'ok':true,'text':'\xe2\x9c\x93'}");
	expect_json(chatter_ask(&anna, "{'op':'ping'}"), "{'ok':true}");
	expect_json(chatter_ask(&anna, "{'op':'topic','room':'%s','text':''}", room),
		    "{'ok':true,'...':1}");
	expect_json(chatter_ask(&anna, "{'op':'leave','room':'%s'}", room),
		    "{'ok':true,'room':'%s'}", room);
	expect_message(&anna, room, 1, "hi");
	expect_event(&anna, "{'event':'topic','room':'%s','nick':'anna','text':'T'}", room);
	expect_event(&anna, "{'event':'topic','room':'%s','nick':'anna','text':''}", room);
	expect_no_event(&anna);
}

START_TEST(every_op_replies)
{
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
		chat_start(&server, "", "rooms: ();");
		ask_everything(&server, listeners[i], "ops");
		server_stop(&server);
	}
}
END_TEST

/* ---- everybody gets everything, once and in order ---- */

enum { SPEAKERS = 8, EACH = 150, ALL = SPEAKERS * EACH, PIPELINED = 25 };

/* The next message event; joins and leaves in between are dropped. */
static json_t *next_message(struct chatter *chatter)
{
	for (;;) {
		json_t *event = chatter_event(chatter);

		if (strcmp(member_string(event, "event"), "message") == 0)
			return event;
		json_decref(event);
	}
}

/* What is received is numbered from 1 on, and each speaker's own texts come in their order. */
static void expect_all(struct chatter *chatter, char texts[][32])
{
	unsigned next[SPEAKERS] = {0};

	for (json_int_t seq = 1; seq <= ALL; seq++) {
		json_t *event = next_message(chatter);
		const char *text = member_string(event, "text");
		unsigned long speaker, n;
		char *end;

		ck_assert_int_eq(member_integer(event, "seq"), seq);
		speaker = strtoul(text, &end, 10);
		ck_assert_int_eq(*end, '-');
		n = strtoul(end + 1, NULL, 10);
		ck_assert_uint_lt(speaker, SPEAKERS);
		ck_assert_uint_eq(n, next[speaker]);
		next[speaker]++;
		if (!texts[seq][0])
			(void)snprintf(texts[seq], 32, "%s", text);
		ck_assert_str_eq(texts[seq], text);
		json_decref(event);
	}
}

static void speak_at_once(struct server *server, const char *room)
{
	static char texts[ALL + 1][32];
	struct chatter speakers[SPEAKERS];
	CHATTER listener = {0}, late = {0};

	memset(texts, 0, sizeof texts);
	chatter_open(&listener, server, "line", "unix:");
	expect_ok(&listener, "{'op':'join','room':'%s'}", room);
	for (unsigned i = 0; i < SPEAKERS; i++) {
		chatter_open(&speakers[i], server, listeners[i % 2], i % 3 ? "tcp:" : "unix:");
		expect_ok(&speakers[i], "{'op':'join','room':'%s'}", room);
	}
	for (unsigned n = 0; n < EACH; n += PIPELINED)
		for (unsigned i = 0; i < SPEAKERS; i++) {
			for (unsigned k = 0; k < PIPELINED; k++)
				chatter_add(&speakers[i], "{'op':'say','room':'%s','text':'%u-%u'}",
					    room, i, n + k);
			chatter_flush(&speakers[i]);
		}
	expect_all(&listener, texts);
	for (unsigned i = 0; i < SPEAKERS; i++) {
		for (unsigned n = 0; n < EACH; n++) {
			json_t *reply = chatter_reply(&speakers[i]);
			json_int_t seq = member_integer(reply, "seq");
			char text[32];

			(void)snprintf(text, sizeof text, "%u-%u", i, n);
			ck_assert(seq >= 1 && seq <= ALL);
			ck_assert_str_eq(texts[seq], text);
			json_decref(reply);
		}
		expect_all(&speakers[i], texts);
	}
	chatter_open(&late, server, "chat", "tcp:");
	expect_ok(&late, "{'op':'join','room':'%s','since':0}", room);
	expect_all(&late, texts);
	expect_no_event(&late);
	for (unsigned i = 0; i < SPEAKERS; i++)
		chatter_done(&speakers[i]);
}

START_TEST(eight_speakers_at_once)
{
	struct server server;

	chat_start(&server, "workers = 2;", "rooms: ( { name = \"memory\"; durable = false; } );");
	speak_at_once(&server, "disk");
	speak_at_once(&server, "memory");
	server_stop(&server);
}
END_TEST

/* ---- where one comes in ---- */

static void say_many(struct chatter *chatter, const char *room, int first, int last)
{
	for (int i = first; i <= last; i++)
		chatter_add(chatter, "{'op':'say','room':'%s','text':'m%d'}", room, i);
	chatter_flush(chatter);
	for (int i = first; i <= last; i++)
		expect_json(chatter_reply(chatter),
			    "{'ok':true,'room':'%s','seq':%d,'time':'<time>'}", room, i);
}

static void expect_many(struct chatter *chatter, const char *room, int first, int last)
{
	for (int i = first; i <= last; i++) {
		char text[16];

		(void)snprintf(text, sizeof text, "m%d", i);
		expect_message(chatter, room, i, text);
	}
}

START_TEST(join_since)
{
	/* -1: without. */
	static const json_int_t cases[] = {-1, 0, 1, 10, 19, 20, 21, 30, 1000, INT64_MAX};
	static const char *const rooms[] = {"disk", "memory"};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t r = 0; r < ARRAY_SIZE(rooms); r++) {
		expect_ok(&anna, "{'op':'join','room':'%s'}", rooms[r]);
		say_many(&anna, rooms[r], 1, 20);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			const int newest = 20 + (int)i;
			int first = newest + 1;
			char since[64] = "", text[16];
			CHATTER ben = {0};

			if (cases[i] >= 0) {
				first = (int)MIN(cases[i], (json_int_t)newest) + 1;
				(void)snprintf(since, sizeof since,
					       ",'since':%" JSON_INTEGER_FORMAT, cases[i]);
			}
			chatter_open(&ben, &server, "chat", "tcp:");
			expect_json(
				chatter_ask(&ben, "{'op':'join','room':'%s'%s}", rooms[r], since),
				"{'ok':true,'room':'%s','seq':%d,'oldest':1,'members':2,"
				"'topic':''}",
				rooms[r], newest);
			/* What is new follows what was said before, without a seam. */
			(void)snprintf(text, sizeof text, "m%d", newest + 1);
			chatter_say(&anna, rooms[r], newest + 1, text);
			expect_many(&ben, rooms[r], first, newest + 1);
			expect_no_event(&ben);
			expect_ok(&ben, "{'op':'leave','room':'%s'}", rooms[r]);
		}
	}
	server_stop(&server);
}
END_TEST

START_TEST(joining_again_changes_nothing)
{
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "Ops");
	say_many(&anna, "Ops", 1, 3);
	expect_many(&anna, "Ops", 1, 3);
	/* The same room in another letter case; its name is the one it was made with. */
	expect_json(chatter_ask(&anna, "{'op':'join','room':'oPS','since':0}"),
		    "{'ok':true,'room':'Ops','seq':3,'oldest':1,'members':1,'topic':''}");
	expect_no_event(&anna);
	expect_json(chatter_ask(&anna, "{'op':'say','room':'OPS','text':'m4'}"),
		    "{'ok':true,'room':'*','seq':4,'time':'<time>'}");
	expect_message(&anna, "Ops", 4, "m4");
	expect_ok(&anna, "{'op':'leave','room':'ops'}");
	expect_error(&anna, "not_member", "{'op':'leave','room':'Ops'}");
	/* Having left, it is owed nothing until it comes back, and then what it asks for. */
	expect_no_event(&anna);
	expect_ok(&anna, "{'op':'join','room':'ops','since':2}");
	expect_many(&anna, "Ops", 3, 4);
	server_stop(&server);
}
END_TEST

/* ---- history ---- */

START_TEST(history_windows)
{
	static const struct {
		const char *members;
		int first, last; /* none when last < first */
	} cases[] = {
		{"", 1151, 1200},
		{",'limit':3", 1198, 1200},
		{",'limit':1000", 201, 1200},
		{",'before':11", 1, 10},
		{",'before':101", 51, 100},
		{",'before':101,'limit':1", 100, 100},
		{",'before':1", 1, 0},
		{",'before':0", 1, 0},
		{",'before':9999", 1151, 1200},
		{",'after':0", 1, 50},
		{",'after':0,'limit':2", 1, 2},
		{",'after':1198", 1199, 1200},
		{",'after':1200", 1, 0},
		{",'after':9223372036854775807", 1, 0},
		{",'after':10,'before':14", 11, 13},
		{",'after':10,'before':14,'limit':2", 11, 12},
		{",'after':10,'before':11", 1, 0},
		{",'after':14,'before':10", 1, 0},
	};
	static const char *const rooms[] = {"disk", "memory"};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t r = 0; r < ARRAY_SIZE(rooms); r++) {
		expect_ok(&anna, "{'op':'join','room':'%s'}", rooms[r]);
		expect_json(chatter_ask(&anna, "{'op':'history','room':'%s'}", rooms[r]),
			    "{'ok':true,'room':'%s','oldest':1,'seq':0,'messages':[]}", rooms[r]);
		say_many(&anna, rooms[r], 1, 1200);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			json_t *reply = chatter_ask(&anna, "{'op':'history','room':'%s'%s}",
						    rooms[r], cases[i].members);
			json_t *messages = json_object_get(reply, "messages"), *one;
			size_t at;

			ck_assert_int_eq(member_integer(reply, "oldest"), 1);
			ck_assert_int_eq(member_integer(reply, "seq"), 1200);
			ck_assert_msg(json_array_size(messages) ==
					      (size_t)(cases[i].last - cases[i].first + 1),
				      "%zu messages for %s", json_array_size(messages),
				      cases[i].members);
			json_array_foreach(messages, at, one) {
				ck_assert_int_eq(member_integer(one, "seq"),
						 cases[i].first + (int)at);
			}
			json_decref(reply);
		}
	}
	expect_error(&anna, "bad_request", "{'op':'history','room':'disk','limit':0}");
	expect_error(&anna, "bad_request", "{'op':'history','room':'disk','limit':1001}");
	expect_error(&anna, "bad_request", "{'op':'history','room':'disk','before':-1}");
	/* One need not be in the room. */
	expect_ok(&anna, "{'op':'leave','room':'disk'}");
	expect_ok(&anna, "{'op':'history','room':'disk','limit':1}");
	server_stop(&server);
}
END_TEST

/* A reply holds about 1 MiB of texts: of many long ones, the newest, or the oldest. */
START_TEST(history_of_long_texts)
{
	CLEANUP(freep) char *text = malloc(400001);
	CHATTER anna = {0};
	struct server server;

	memset(text, 'x', 400000);
	text[400000] = 0;
	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	for (int i = 1; i <= 8; i++)
		chatter_say(&anna, "ops", i, text);
	for (int i = 0; i < 2; i++) {
		json_t *reply = chatter_ask(&anna, "{'op':'history','room':'ops'%s}",
					    i == 0 ? "" : ",'after':2");
		json_t *messages = json_object_get(reply, "messages");
		size_t n = json_array_size(messages);
		json_int_t first = member_integer(json_array_get(messages, 0), "seq");

		ck_assert(n >= 2 && n <= 4);
		ck_assert_int_eq(first, i == 0 ? 9 - (json_int_t)n : 3);
		json_decref(reply);
	}
	server_stop(&server);
}
END_TEST

/* ---- what is not kept any more ---- */

static json_int_t oldest_of(struct chatter *chatter, const char *room)
{
	json_t *reply = chatter_ask(chatter, "{'op':'history','room':'%s','limit':1}", room);
	json_int_t oldest = member_integer(reply, "oldest");

	json_decref(reply);
	return oldest;
}

START_TEST(gap_when_joining)
{
	static const char *const rooms[] = {"disk", "memory"};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "",
		   "history: { max_messages = 10; }; "
		   "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t r = 0; r < ARRAY_SIZE(rooms); r++) {
		uint64_t deadline = harness_now() + (uint64_t)harness_patience();
		CHATTER ben = {0}, carla = {0}, dora = {0};

		expect_ok(&anna, "{'op':'join','room':'%s'}", rooms[r]);
		say_many(&anna, rooms[r], 1, 50);
		while (oldest_of(&anna, rooms[r]) != 41)
			harness_pause(deadline, "the log to be shortened to its limit");
		chatter_enter(&ben, &server, "ben", NULL);
		expect_json(chatter_ask(&ben, "{'op':'join','room':'%s','since':5}", rooms[r]),
			    "{'ok':true,'room':'%s','seq':50,'oldest':41,'members':2,'topic':''}",
			    rooms[r]);
		expect_event(&ben, "{'event':'gap','room':'%s','first':6,'last':40}", rooms[r]);
		expect_many(&ben, rooms[r], 41, 50);
		/* From the oldest on, and from the one before it, nothing is missing. */
		chatter_enter(&carla, &server, "carla", NULL);
		expect_ok(&carla, "{'op':'join','room':'%s','since':0}", rooms[r]);
		expect_many(&carla, rooms[r], 41, 50);
		chatter_enter(&dora, &server, "dora", NULL);
		expect_ok(&dora, "{'op':'join','room':'%s','since':40}", rooms[r]);
		expect_many(&dora, rooms[r], 41, 50);
		for (int i = 0; i < 2; i++)
			expect_event(&ben, "{'event':'join','room':'%s','nick':'%s'}", rooms[r],
				     i == 0 ? "carla" : "dora");
		expect_no_event(&ben);
		expect_json(chatter_ask(&ben, "{'op':'history','room':'%s','after':3,'limit':2}",
					rooms[r]),
			    "{'ok':true,'room':'%s','oldest':41,'seq':50,'messages':["
			    "{'seq':41,'text':'m41','...':1},{'seq':42,'text':'m42','...':1}]}",
			    rooms[r]);
		chatter_leave(&ben, &anna, "ben");
		chatter_leave(&carla, &anna, "carla");
		chatter_leave(&dora, &anna, "dora");
	}
	server_stop(&server);
}
END_TEST

/* One who does not read is told of every number: by its message, or by one gap that has it. */
static void overtake(struct server *server, const char *room, int messages)
{
	CLEANUP(freep) char *text = malloc(8001);
	CHATTER slow = {0}, speaker = {0};
	json_int_t next = 1, gaps = 0;

	memset(text, 'x', 8000);
	text[8000] = 0;
	chatter_enter(&speaker, server, "speaker", room);
	chatter_enter(&slow, server, "slow", room);
	for (int i = 1; i <= messages; i++) {
		chatter_add(&speaker, "{'op':'say','room':'%s','text':'%s'}", room, text);
		if (i % 50 > 0)
			continue;
		chatter_flush(&speaker);
		for (int k = 0; k < 50; k++)
			json_decref(chatter_reply(&speaker));
		(void)json_array_clear(speaker.events);
	}
	while (next <= messages) {
		json_t *event = chatter_event(&slow);

		if (strcmp(member_string(event, "event"), "gap") == 0) {
			ck_assert_int_eq(member_integer(event, "first"), next);
			ck_assert_int_ge(member_integer(event, "last"), next);
			next = member_integer(event, "last") + 1;
			gaps++;
		} else if (strcmp(member_string(event, "event"), "message") == 0) {
			ck_assert_int_eq(member_integer(event, "seq"), next++);
		}
		json_decref(event);
	}
	ck_assert_int_ge(gaps, 1);
	/* It has caught up and is live again. */
	chatter_say(&speaker, room, messages + 1, "live");
	expect_message(&slow, room, messages + 1, "live");
	expect_no_event(&slow);
}

START_TEST(gap_when_overtaken)
{
	struct server server;

	chat_start(&server, "max_pending = \"64K\";",
		   "history: { max_messages = 100; }; "
		   "rooms: ( { name = \"memory\"; durable = false; } );");
	overtake(&server, "memory", 3000);
	overtake(&server, "disk", 3000);
	server_stop(&server);
}
END_TEST

/* Where nothing is dropped from the log, a slow member misses nothing. */
START_TEST(slow_member_misses_nothing)
{
	enum { MESSAGES = 2000 };
	CLEANUP(freep) char *text = malloc(8001);
	CHATTER slow = {0}, speaker = {0};
	struct server server;

	memset(text, 'x', 8000);
	text[8000] = 0;
	chat_start(&server, "max_pending = \"64K\";", "%s", "");
	chatter_enter(&slow, &server, "slow", "ops");
	chatter_enter(&speaker, &server, "speaker", "ops");
	expect_event(&slow, "{'event':'join','room':'ops','nick':'speaker'}");
	for (int i = 1; i <= MESSAGES; i++) {
		chatter_send(&speaker, "{'op':'say','room':'ops','text':'%s'}", text);
		if (i % 50 == 0)
			for (int k = 0; k < 50; k++)
				json_decref(chatter_reply(&speaker));
	}
	for (int i = 1; i <= MESSAGES; i++)
		expect_message(&slow, "ops", i, text);
	chatter_say(&speaker, "ops", MESSAGES + 1, "live");
	expect_message(&slow, "ops", MESSAGES + 1, "live");
	expect_no_event(&slow);
	server_stop(&server);
}
END_TEST

/* ---- keys ---- */

#define KEYED(room, key) "{'op':'say','room':'" room "','text':'once','key':'" key "'}"

static void expect_first(struct chatter *chatter, const char *request, int seq, char time[32])
{
	json_t *reply = chatter_ask(chatter, "%s", request);

	(void)snprintf(time, 32, "%s", member_string(reply, "time"));
	expect_json(reply, "{'ok':true,'room':'*','seq':%d,'time':'<time>'}", seq);
}

static void expect_duplicate(struct chatter *chatter, const char *request, int seq,
			     const char *time)
{
	expect_json(chatter_ask(chatter, "%s", request),
		    "{'ok':true,'room':'*','seq':%d,'time':'%s','duplicate':true}", seq, time);
}

START_TEST(keys_within_a_connection)
{
	char first[32], other[32], same[32];
	CHATTER anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_first(&anna, KEYED("ops", "k"), 1, first);
	expect_duplicate(&anna, KEYED("ops", "k"), 1, first);
	expect_duplicate(&anna, KEYED("OPS", "k"), 1, first);
	/* Somebody else's is no duplicate, nor is one in another room, nor another key. */
	expect_first(&ben, KEYED("ops", "k"), 2, other);
	expect_first(&anna, KEYED("memory", "k"), 1, same);
	expect_duplicate(&anna, KEYED("memory", "k"), 1, same);
	expect_first(&anna, KEYED("ops", "K"), 3, other);
	expect_duplicate(&anna, KEYED("ops", "k"), 1, first);
	/* In one piece: the second of them finds the first before it is committed. */
	for (int i = 0; i < 3; i++)
		chatter_add(&anna, KEYED("ops", "piece"));
	chatter_flush(&anna);
	expect_json(chatter_reply(&anna), "{'ok':true,'room':'ops','seq':4,'time':'<time>'}");
	for (int i = 0; i < 2; i++)
		expect_json(chatter_reply(&anna), "{'ok':true,'room':'ops','seq':4,"
						  "'time':'<time>','duplicate':true}");
	for (int i = 1; i <= 4; i++)
		expect_message(&ben, "ops", i, "once");
	expect_no_event(&ben);
	expect_error(&anna, "bad_request", KEYED("ops", ""));
	expect_error(&anna, "bad_request",
		     KEYED("ops", "0123456789012345678901234567890123456789"
				  "0123456789012345678901234"));
	expect_ok(&anna, KEYED("ops", "0123456789012345678901234567890123456789"
				      "012345678901234567890123"));
	server_stop(&server);
}
END_TEST

START_TEST(keys_over_reconnects_and_restarts)
{
	char guest[32], user[32], other[32];
	CHATTER anna = {0}, me = {0}, watcher = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&watcher, &server, "chat", "tcp:");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_first(&anna, KEYED("ops", "k"), 1, guest);
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'join','room':'ops'}");
	expect_first(&me, KEYED("ops", "k"), 2, user);

	chatter_leave(&anna, &watcher, "anna");
	chatter_done(&me);
	chatter_enter(&anna, &server, "anna", "ops");
	expect_duplicate(&anna, KEYED("ops", "k"), 1, guest);
	/* A user is the same whatever the nick. */
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'hello','nick':'me-too'}");
	expect_ok(&me, "{'op':'join','room':'ops'}");
	expect_duplicate(&me, KEYED("ops", "k"), 2, user);

	for (int i = 0; i < 2; i++) {
		chatter_done(&anna);
		chatter_done(&me);
		chat_restart(&server, i == 0 ? SIGTERM : SIGKILL);
		chatter_enter(&anna, &server, "anna", "ops");
		expect_duplicate(&anna, KEYED("ops", "k"), 1, guest);
		chatter_open(&me, &server, "chat", "unix:");
		expect_ok(&me, "{'op':'join','room':'ops'}");
		expect_duplicate(&me, KEYED("ops", "k"), 2, user);
	}
	/* Another guest is another sender, and so is one whose nick is the user's own key. */
	expect_ok(&anna, "{'op':'hello','nick':'berta'}");
	expect_first(&anna, KEYED("ops", "k"), 3, other);
	server_stop(&server);
}
END_TEST

START_TEST(keys_are_known_for_ten_thousand_messages)
{
	enum { KEPT = 10000, BATCH = 100 };
	static const char *const rooms[] = {"memory", "disk"};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t r = 0; r < ARRAY_SIZE(rooms); r++) {
		char request[128], time[32];

		(void)snprintf(request, sizeof request,
			       "{'op':'say','room':'%s','text':'once','key':'k'}", rooms[r]);
		expect_ok(&anna, "{'op':'join','room':'%s'}", rooms[r]);
		expect_first(&anna, request, 1, time);
		/* The last 10,000 messages are now 1 to 10,000. */
		say_many(&anna, rooms[r], 2, BATCH);
		for (int i = BATCH + 1; i < KEPT; i += BATCH)
			say_many(&anna, rooms[r], i, i + BATCH - 1);
		(void)json_array_clear(anna.events);
		expect_duplicate(&anna, request, 1, time);
		say_many(&anna, rooms[r], KEPT + 1, KEPT + 2);
		expect_first(&anna, request, KEPT + 3, time);
		expect_ok(&anna, "{'op':'leave','room':'%s'}", rooms[r]);
	}
	server_stop(&server);
}
END_TEST

/* ---- topics and transforms ---- */

START_TEST(topics)
{
	CHATTER anna = {0}, ben = {0};
	struct server server;
	char text[1026];

	memset(text, 't', sizeof text - 1);
	text[1025] = 0;
	chat_start(&server, "", "rooms: ( { name = \"lobby\"; topic = \"first\"; } );");
	chatter_enter(&anna, &server, "anna", NULL);
	expect_json(chatter_ask(&anna, "{'op':'join','room':'lobby'}"),
		    "{'ok':true,'room':'lobby','seq':0,'oldest':1,'members':1,'topic':'first'}");
	chatter_enter(&ben, &server, "ben", "lobby");
	expect_ok(&anna, "{'op':'topic','room':'lobby','text':'second'}");
	expect_event(&ben, "{'event':'topic','room':'lobby','nick':'anna','text':'second'}");
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	expect_ok(&anna, "{'op':'topic','room':'ops','text':'of ops'}");
	expect_error(&anna, "too_long", "{'op':'topic','room':'lobby','text':'%s'}", text);
	expect_ok(&anna, "{'op':'topic','room':'lobby','text':'%s'}", text + 1);
	expect_error(&ben, "not_member", "{'op':'topic','room':'ops','text':'x'}");
	expect_error(&ben, "no_such_room", "{'op':'topic','room':'nowhere','text':'x'}");
	/* A topic is kept over a restart, and stands above the configuration's. */
	chatter_done(&anna);
	chatter_done(&ben);
	chat_restart(&server, SIGKILL);
	chatter_enter(&anna, &server, "anna", NULL);
	expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'lobby','seq':0,'members':0,'topic':'%s'},"
		    "{'room':'ops','seq':0,'members':0,'topic':'of ops'}]}",
		    text + 1);
	server_stop(&server);
}
END_TEST

START_TEST(transforms_of_a_room)
{
	char time[32];
	CHATTER anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "",
		   "rooms: ( { name = \"loud\"; transforms = [ \"reverse\", \"upper\" ]; } );");
	chatter_enter(&anna, &server, "anna", "loud");
	chatter_enter(&ben, &server, "ben", "loud");
	expect_first(&anna, "{'op':'say','room':'loud','text':'stra\xc3\x9f\x65','key':'k'}", 1,
		     time);
	expect_duplicate(&anna, "{'op':'say','room':'loud','text':'x','key':'k'}", 1, time);
	expect_message(&ben, "loud", 1, "ESSARTS");
	expect_json(chatter_ask(&ben, "{'op':'history','room':'loud'}"),
		    "{'ok':true,'room':'loud','oldest':1,'seq':1,'messages':["
		    "{'seq':1,'time':'%s','from':'anna','text':'ESSARTS'}]}",
		    time);
	server_stop(&server);
}
END_TEST

/* ---- over a restart ---- */

START_TEST(durable_and_not)
{
	json_t *before, *after;
	CHATTER anna = {0}, reader = {0};
	struct server server;

	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	say_many(&anna, "ops", 1, 100);
	say_many(&anna, "memory", 1, 10);
	before = chatter_ask(&anna, "{'op':'history','room':'ops','limit':1000}");
	for (int i = 0; i < 2; i++) {
		chatter_done(&anna);
		chat_restart(&server, i == 0 ? SIGKILL : SIGTERM);
		chatter_enter(&anna, &server, "anna", NULL);
		after = chatter_ask(&anna, "{'op':'history','room':'ops','limit':1000}");
		ck_assert(json_equal(before, after));
		json_decref(after);
		expect_json(chatter_ask(&anna, "{'op':'history','room':'memory'}"),
			    "{'ok':true,'room':'memory','oldest':1,'seq':0,'messages':[]}");
	}
	json_decref(before);
	/* Numbers go on where they were, and a reader resumes. */
	chatter_enter(&reader, &server, "reader", NULL);
	expect_ok(&reader, "{'op':'join','room':'ops','since':98}");
	expect_many(&reader, "ops", 99, 100);
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	say_many(&anna, "ops", 101, 102);
	expect_event(&reader, "{'event':'join','room':'ops','nick':'anna'}");
	expect_many(&reader, "ops", 101, 102);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_rooms");

	harness_add(suite, every_op_replies);
	harness_add(suite, eight_speakers_at_once);
	harness_add(suite, join_since);
	harness_add(suite, joining_again_changes_nothing);
	harness_add(suite, history_windows);
	harness_add(suite, history_of_long_texts);
	harness_add(suite, gap_when_joining);
	harness_add(suite, gap_when_overtaken);
	harness_add(suite, slow_member_misses_nothing);
	harness_add(suite, keys_within_a_connection);
	harness_add(suite, keys_over_reconnects_and_restarts);
	harness_add(suite, keys_are_known_for_ten_thousand_messages);
	harness_add(suite, topics);
	harness_add(suite, transforms_of_a_room);
	harness_add(suite, durable_and_not);
	return harness_main(suite);
}
