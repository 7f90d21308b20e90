/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Members who do not read, and logs that do not keep everything: what a thousand stalled members
 * cost, what they get when they read again while talk goes on, and what retention does meanwhile.
 */

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "harness_chat.h"

enum {
	WINDOW = 64, /* messages of a speaker that wait for their acknowledgement */
};
#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

static const char config_rooms[] = "rooms: ( { name = \"memory\"; durable = false; } );";

/* ---- talking ---- */

/* Says n messages of len bytes, which begin with their numbers; from is that of the first. */
static void talk(struct chatter *speaker, const char *room, json_int_t from, json_int_t n, int len)
{
	for (json_int_t next = from; next < from + n;) {
		json_int_t last = MIN(next + WINDOW, from + n);

		for (json_int_t seq = next; seq < last; seq++)
			chatter_add(speaker,
				    "{'op':'say','room':'%s','text':'%-*" JSON_INTEGER_FORMAT "'}",
				    room, len, seq);
		chatter_flush(speaker);
		for (; next < last; next++) {
			json_t *reply = chatter_reply(speaker);

			REQUIRE(member_integer(reply, "seq") == next);
			json_decref(reply);
		}
	}
}

/* The next message that comes, other events aside; asserts its number and its text. */
static void hear(struct chatter *chatter, json_int_t seq)
{
	json_t *event = chatter_event(chatter);

	while (strcmp(member_string(event, "event"), "message") != 0) {
		REQUIRE_MSG(strcmp(member_string(event, "event"), "gap") != 0, "a gap before %d",
			    (int)seq);
		json_decref(event);
		event = chatter_event(chatter);
	}
	REQUIRE_MSG(member_integer(event, "seq") == seq,
		    "%" JSON_INTEGER_FORMAT " instead of %" JSON_INTEGER_FORMAT,
		    member_integer(event, "seq"), seq);
	REQUIRE(strtoll(member_string(event, "text"), NULL, 10) == seq);
	json_decref(event);
}

/* ---- many who do not read ---- */

/*
 * They join, in these words, and read no more than the reply. Over Unix sockets: what the kernel
 * holds for a thousand that have stalled on the loopback device is most of what it has for all TCP
 * of the machine, and then it drops segments of everybody, in other tests as well.
 */
static void stall(const struct server *server, int *fds, size_t n, const char *join)
{
	for (size_t i = 0; i < n; i++) {
		CLEANUP(buffer_done) struct buffer reply = {0};

		fds[i] = client(server, "chat", "unix:");
		send_frame(fds[i], join, strlen(join));
		REQUIRE(!recv_frame(fds[i], &reply));
		REQUIRE(memmem(reply.data, reply.len, "\"ok\":true", 9));
	}
}

/* One who has stalled reads. */
static void wake(struct chatter *chatter, int *fd)
{
	*chatter = (struct chatter){.fd = STEAL_FD(*fd),
				    .framing = FRAMING_LENGTH,
				    .replies = json_array(),
				    .events = json_array()};
}

/* The daemon has no more than this much memory more than it had before. */
static void assert_grown(const struct server *server, size_t before, size_t most)
{
	size_t now = server_rss(server);

	(void)printf("%zu KiB of memory more\n", (now - MIN(now, before)) / KIB);
	if (!harness_slow()) /* a checker's own memory grows as well */
		ck_assert_uint_lt(now, before + most);
}

static size_t many(void)
{
	size_t wish = harness_rounds(1000, 100);

	return MIN(wish, harness_raise_files(wish + 100) - 100);
}

/*
 * Many stall in a busy room. The others get everything, the daemon does not grow by what they
 * miss, and some who read again get all of it while talk goes on.
 */
static void stalled_in(const char *room)
{
	const json_int_t messages = (json_int_t)harness_rounds(20000, 3000);
	enum { WOKEN = 4, LENGTH = 300, MORE = 10 /* that are said while a hundred are read */ };
	size_t n = many(), before, log;
	CLEANUP(freep) int *fds = calloc(n, sizeof *fds);
	CHATTER speaker, reader;
	struct chatter woken[WOKEN];
	struct server server;
	json_int_t said = messages;
	char join[64];

	chat_start(&server, "max_pending = \"64K\";", "history: { max_messages = 0; }; %s",
		   config_rooms);
	chatter_enter(&speaker, &server, "speaker", room);
	chatter_enter(&reader, &server, "reader", room);
	(void)snprintf(join, sizeof join, "{\"op\":\"join\",\"room\":\"%s\"}", room);
	stall(&server, fds, n, join);
	before = server_rss(&server);

	for (json_int_t seq = 1; seq <= messages; seq += WINDOW) {
		json_int_t last = MIN(seq + WINDOW - 1, messages);

		talk(&speaker, room, seq, last - seq + 1, LENGTH);
		(void)json_array_clear(speaker.events);
		for (json_int_t i = seq; i <= last; i++)
			hear(&reader, i); /* soon, and not when the others have read */
	}
	/* The log of a room in memory is memory, too. */
	log = strcmp(room, "memory") == 0 ? (size_t)messages * (LENGTH + 300) : 0;
	assert_grown(&server, before, 24 * MIB + log);

	for (size_t i = 0; i < WOKEN; i++)
		wake(&woken[i], &fds[i * n / WOKEN]);
	for (json_int_t seq = 1; seq <= said; seq++) {
		for (size_t i = 0; i < WOKEN; i++)
			hear(&woken[i], seq);
		if (seq % 100 > 0 || seq > messages)
			continue;
		talk(&speaker, room, said + 1, MORE, LENGTH);
		(void)json_array_clear(speaker.events);
		said += MORE;
	}
	for (size_t i = 0; i < WOKEN; i++)
		expect_no_event(&woken[i]);
	for (size_t i = 0; i < WOKEN; i++)
		chatter_done(&woken[i]);
	for (size_t i = 0; i < n; i++)
		closep(&fds[i]);
	server_stop(&server);
}

START_TEST(many_stall_in_a_durable_room)
{
	stalled_in("disk");
}
END_TEST

START_TEST(many_stall_in_a_room_in_memory)
{
	stalled_in("memory");
}
END_TEST

/* Those who ask for the whole log and do not read it cost no more. */
START_TEST(many_stall_with_the_whole_log_to_come)
{
	const json_int_t messages = (json_int_t)harness_rounds(5000, 1000);
	size_t n = many(), before;
	CLEANUP(freep) int *fds = calloc(n, sizeof *fds);
	CHATTER speaker, woken;
	struct server server;

	chat_start(&server, "max_pending = \"64K\";", "history: { max_messages = 0; };");
	chatter_enter(&speaker, &server, "speaker", "disk");
	talk(&speaker, "disk", 1, messages, 1000);
	(void)json_array_clear(speaker.events);
	before = server_rss(&server);
	stall(&server, fds, n, "{\"op\":\"join\",\"room\":\"disk\",\"since\":0}");
	talk(&speaker, "disk", messages + 1, 10, 1000);
	assert_grown(&server, before, n * 192 * KIB);
	wake(&woken, &fds[n / 2]);
	for (json_int_t seq = 1; seq <= messages + 10; seq++)
		hear(&woken, seq);
	for (size_t i = 0; i < n; i++)
		closep(&fds[i]);
	server_stop(&server);
}
END_TEST

/* ---- retention ---- */

static json_int_t oldest_in(struct chatter *chatter, const char *room)
{
	json_t *reply = chatter_ask(chatter, "{'op':'history','room':'%s','limit':1}", room);
	json_int_t oldest = member_integer(reply, "oldest");

	json_decref(reply);
	return oldest;
}

static void await_oldest(struct chatter *chatter, const char *room, json_int_t oldest)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (oldest_in(chatter, room) < oldest)
		harness_pause(deadline, "the log to be shortened");
	ck_assert_int_eq(oldest_in(chatter, room), oldest);
}

/* Hears messages and gaps up to last; every number comes once, in the one or the other. */
static json_int_t hear_or_miss(struct chatter *chatter, json_int_t last)
{
	json_int_t next = 1, missed = 0;

	while (next <= last) {
		json_t *event = chatter_event(chatter);
		const char *kind = member_string(event, "event");

		if (strcmp(kind, "message") == 0) {
			REQUIRE(member_integer(event, "seq") == next);
			next++;
		} else if (strcmp(kind, "gap") == 0) {
			REQUIRE(member_integer(event, "first") == next);
			missed += member_integer(event, "last") + 1 - next;
			next = member_integer(event, "last") + 1;
		}
		json_decref(event);
	}
	return missed;
}

/* One round: everybody says WINDOW messages at once; notes which number belongs to whom. */
static void say_all_at_once(struct chatter *speakers, size_t n, const char *room, bool *used,
			    json_int_t total)
{
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < WINDOW; k++)
			chatter_add(&speakers[i], "{'op':'say','room':'%s','text':'%0300d'}", room,
				    k);
		chatter_flush(&speakers[i]);
	}
	for (size_t i = 0; i < n; i++) {
		json_int_t before = 0;

		for (int k = 0; k < WINDOW; k++) {
			json_t *reply = chatter_reply(&speakers[i]);
			json_int_t seq = member_integer(reply, "seq");

			REQUIRE(seq > before && seq <= total);
			REQUIRE_MSG(!used[seq], "%d twice", (int)seq);
			used[seq] = true;
			before = seq;
			json_decref(reply);
		}
		(void)json_array_clear(speakers[i].events);
	}
}

/* Many speak where little is kept: numbers stay whole, and nobody is kept waiting. */
static void retain_in(struct server *server, const char *room)
{
	enum { SPEAKERS = 16, KEPT = 200 };
	const size_t rounds = 15; /* more than a socket holds */
	const json_int_t total = (json_int_t)rounds * SPEAKERS * WINDOW;
	CLEANUP(freep) bool *used = calloc((size_t)total + 1, sizeof *used);
	struct chatter speakers[SPEAKERS];
	CHATTER slow, late;
	uint64_t longest = 0;
	int fd;
	char join[64];

	(void)snprintf(join, sizeof join, "{\"op\":\"join\",\"room\":\"%s\"}", room);
	chatter_open(&speakers[0], server, "chat", "tcp:");
	expect_ok(&speakers[0], "{'op':'join','room':'%s'}", room);
	stall(server, &fd, 1, join);
	for (size_t i = 1; i < SPEAKERS; i++) {
		chatter_open(&speakers[i], server, i % 2 ? "chat" : "line",
			     i % 3 ? "tcp:" : "unix:");
		expect_ok(&speakers[i], "{'op':'join','room':'%s'}", room);
	}
	for (size_t i = 0; i < rounds; i++) {
		uint64_t start = harness_now();

		say_all_at_once(speakers, SPEAKERS, room, used, total);
		longest = MAX(longest, harness_now() - start);
	}
	(void)printf("%s: %d messages, the longest round took %d ms\n", room, (int)total,
		     (int)longest);
	await_oldest(&speakers[0], room, total - KEPT + 1);
	wake(&slow, &fd);
	ck_assert_int_gt(hear_or_miss(&slow, total), 0);
	expect_no_event(&slow);
	chatter_open(&late, server, "chat", "tcp:");
	expect_ok(&late, "{'op':'join','room':'%s','since':1}", room);
	expect_event(&late, "{'event':'gap','room':'%s','first':2,'last':%d}", room,
		     (int)(total - KEPT));
	for (json_int_t seq = total - KEPT + 1; seq <= total; seq++)
		json_decref(chatter_event(&late));
	expect_no_event(&late);
	for (size_t i = 0; i < SPEAKERS; i++)
		chatter_done(&speakers[i]);
}

/* The file must not hold what the log no longer does. */
static void assert_stored(const struct server *server, int messages)
{
	char path[SERVER_PATH_MAX + 32];
	sqlite3_stmt *statement;
	sqlite3 *db;

	(void)snprintf(path, sizeof path, "%s/state/rooms.db", server->directory);
	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ck_assert_int_eq(
		sqlite3_prepare_v2(db, "SELECT count(*) FROM messages", -1, &statement, NULL),
		SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	ck_assert_int_eq(sqlite3_column_int(statement, 0), messages);
	(void)sqlite3_finalize(statement); /* it has said all */
	(void)sqlite3_close(db);	   /* nothing was written */
}

START_TEST(retention_under_load)
{
	struct server server;

	chat_start(&server, "max_pending = \"64K\";", "history: { max_messages = 200; }; %s",
		   config_rooms);
	retain_in(&server, "memory");
	retain_in(&server, "disk");
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	assert_stored(&server, 200);
	server_done(&server);
}
END_TEST

START_TEST(messages_grow_old)
{
	static const char *const rooms[] = {"disk", "memory"};
	struct server server;
	CHATTER anna, ben;
	uint64_t begun;

	chat_start(&server, "", "history: { max_age = \"700ms\"; }; %s", config_rooms);
	chatter_open(&anna, &server, "chat", "unix:");
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		const char *room = rooms[i];

		expect_ok(&anna, "{'op':'join','room':'%s'}", room);
		talk(&anna, room, 1, 1000, 10);
		await_oldest(&anna, room, 1001);
		expect_json(chatter_ask(&anna, "{'op':'history','room':'%s'}", room),
			    "{'ok':true,'room':'%s','seq':1000,'oldest':1001,'messages':[]}", room);
		/* What is new is kept for a while, and numbers go on. */
		begun = harness_now();
		chatter_say(&anna, room, 1001, "new");
		await_oldest(&anna, room, 1002);
		ck_assert_uint_ge(harness_now() - begun, 690);
		chatter_enter(&ben, &server, i == 0 ? "ben" : "ben-2", NULL);
		expect_ok(&ben, "{'op':'join','room':'%s','since':10}", room);
		expect_event(&ben, "{'event':'gap','room':'%s','first':11,'last':1001}", room);
		expect_no_event(&ben);
		chatter_done(&ben);
	}
	chatter_done(&anna);
	chat_restart(&server, SIGTERM);
	chatter_open(&anna, &server, "chat", "unix:");
	expect_json(chatter_ask(&anna, "{'op':'join','room':'disk','since':0}"),
		    "{'ok':true,'seq':1001,'oldest':1002,'...':1}");
	chatter_say(&anna, "disk", 1002, "on");
	expect_message(&anna, "disk", 1002, "on");
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_slow");

	harness_add(suite, many_stall_in_a_durable_room);
	harness_add(suite, many_stall_in_a_room_in_memory);
	harness_add(suite, many_stall_with_the_whole_log_to_come);
	harness_add(suite, retention_under_load);
	harness_add(suite, messages_grow_old);
	return harness_main(suite);
}
