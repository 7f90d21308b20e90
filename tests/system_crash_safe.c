/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A daemon with crash_safe that is killed under load, again and again: whoever is between messages
 * goes on, byte for byte, and whoever is not is closed. $RETORT_TEST_ROUNDS is how often.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness_survivor.h"

enum {
	STILL = 10, /* clients that do nothing while the daemon is killed */
	BUSY = 14,
	ALL = STILL + BUSY,
	STORED_MAX = 16, /* that the manager has to keep at a time */
};

static const struct part {
	enum survivor_kind kind;
	bool on_unix;
	const char *nick, *room;
} parts[ALL] = {
	{SURVIVOR_RAW, false, "", ""},
	{SURVIVOR_RAW, true, "", ""},
	{SURVIVOR_LINE, false, "", ""},
	{SURVIVOR_LENGTH, false, "", ""},
	{SURVIVOR_LENGTH, true, "", ""},
	{SURVIVOR_CHAT, false, "dora", "quiet"},
	{SURVIVOR_CHAT, false, "emil", "quiet"},
	{SURVIVOR_TALK, false, "fritz", "quiet"},
	{SURVIVOR_TALK, false, "gerda", "quiet"},
	{SURVIVOR_CHAT, true, "", "quiet"}, /* the system says who it is */
	/* the busy */
	{SURVIVOR_RAW, false, "", ""},
	{SURVIVOR_RAW, true, "", ""},
	{SURVIVOR_LINE, false, "", ""},
	{SURVIVOR_LINE, true, "", ""},
	{SURVIVOR_LENGTH, false, "", ""},
	{SURVIVOR_LENGTH, false, "", ""},
	{SURVIVOR_LENGTH, true, "", ""},
	{SURVIVOR_LENGTH, true, "", ""},
	{SURVIVOR_CHAT, false, "anna", "ops"},
	{SURVIVOR_CHAT, false, "ben", "ops"},
	{SURVIVOR_CHAT, false, "carl", "ops"},
	{SURVIVOR_CHAT, false, "lena", "ops"}, /* listens only */
	{SURVIVOR_TALK, false, "toni", "ops"},
	{SURVIVOR_TALK, false, "uta", "ops"},
};

struct torture {
	struct manager manager;
	struct random random;
	struct survivor all[ALL];
	bool ending[ALL]; /* it has said that nothing follows */
	bool reads[ALL];
	struct survivor_log ops, quiet;
	size_t lost, kept; /* of the busy, in all */
};

static bool is_transform(unsigned i)
{
	return parts[i].kind < SURVIVOR_CHAT;
}

static void enter(struct torture *torture, unsigned i)
{
	survivor_enter(&torture->all[i], &torture->manager, parts[i].kind, parts[i].on_unix,
		       parts[i].nick, parts[i].room, -1);
	ck_assert_msg(!torture->all[i].lost, "%u is not let in", i);
	torture->ending[i] = false;
}

/* ---- the load ---- */

/* One client does something, whatever it is; none waits. */
static void act(struct torture *torture)
{
	unsigned i = STILL + (unsigned)random_below(&torture->random, BUSY);
	struct survivor *one = &torture->all[i];

	if (torture->reads[i])
		survivor_receive(one);
	if (one->lost || torture->ending[i])
		return;
	if (!is_transform(i)) {
		if (strcmp(one->nick, "lena") != 0)
			survivor_say(one);
		return;
	}
	if (one->rest.len > 0) {
		survivor_send_rest(one);
		return;
	}
	if (!torture->reads[i])
		survivor_send(one, 20000, 0);
	for (size_t n = random_below(&torture->random, 4); n > 0; n--)
		survivor_send(one, random_below(&torture->random, 2000) + 1, 0);
	if (random_below(&torture->random, 2) == 0)
		survivor_send(one, random_below(&torture->random, 5000) + 1,
			      random_below(&torture->random, 3000));
	if (random_below(&torture->random, 60) == 0 && one->rest.len == 0 && one->output.len == 0) {
		shut_down(one->fd);
		torture->ending[i] = true;
	}
}

/* Every busy client is answered once, so that the turns of those who are still are long over. */
static void warm_up(struct torture *torture)
{
	for (unsigned i = STILL; i < ALL; i++)
		if (!torture->ending[i])
			survivor_assert_serves(&torture->all[i]);
}

static void check_round(struct torture *torture, size_t round)
{
	for (unsigned i = 0; i < ALL; i++) {
		struct survivor *one = &torture->all[i];

		if (torture->ending[i]) {
			survivor_await_end(one, -1);
			continue;
		}
		if (i < STILL)
			ck_assert_msg(survivor_is_served(one), "%u is closed in round %zu", i,
				      round);
		else
			*(survivor_is_served(one) ? &torture->kept : &torture->lost) += 1;
	}
	survivors_settle(&torture->manager, torture->all, ALL, "ops", &torture->ops);
	survivors_settle(&torture->manager, torture->all, ALL, "quiet", &torture->quiet);
	ck_assert_uint_le(manager_count(&torture->manager, NULL), STORED_MAX);
	for (unsigned i = 0; i < STILL; i++)
		ck_assert_msg(torture->all[i].told == 0, "%s was told of somebody", parts[i].nick);
	for (unsigned i = STILL; i < ALL; i++)
		if (torture->all[i].lost)
			enter(torture, i);
}

static void one_round(struct torture *torture, size_t round)
{
	for (unsigned i = STILL; i < ALL; i++)
		torture->reads[i] = random_below(&torture->random, 8) > 0;
	for (size_t n = 1 + random_below(&torture->random, 150); n > 0; n--)
		act(torture);
	if (round % 10 == 9)
		manager_restart(&torture->manager); /* in order, in between */
	else
		manager_crash(&torture->manager);
	check_round(torture, round);
	warm_up(torture);
}

START_TEST(killed_under_load)
{
	struct torture *torture = calloc(1, sizeof *torture);
	size_t n = survivor_rounds(harness_rounds(100, 10)), fds;

	ck_assert_ptr_nonnull(torture);
	random_init_run(&torture->random, "killed_under_load");
	survivor_start(&torture->manager,
		       "crash_safe = true; workers = 2; timeouts: { drain = \"2s\"; };", "");
	for (unsigned i = 0; i < ALL; i++)
		enter(torture, i);
	survivors_settle(&torture->manager, torture->all, ALL, "quiet", &torture->quiet);
	for (unsigned i = 0; i < STILL; i++)
		torture->all[i].told = 0;
	warm_up(torture);
	manager_crash(&torture->manager);
	check_round(torture, 0);
	warm_up(torture);
	fds = server_fds(&torture->manager.server);
	for (size_t round = 0; round < n; round++)
		one_round(torture, round);
	server_wait_fds(&torture->manager.server, fds + 4);
	printf("%zu busy ones went on, %zu did not\n", torture->kept, torture->lost);
	for (unsigned i = 0; i < ALL; i++)
		survivor_done(&torture->all[i]);
	survivor_log_done(&torture->ops);
	survivor_log_done(&torture->quiet);
	manager_stop(&torture->manager);
	free(torture);
}
END_TEST

/* ---- one thing after the other ---- */

START_TEST(names_and_rooms_go_on)
{
	CHATTER anna = {0}, chief = {0}, again = {0};
	struct survivor cleo = {0}, lost = {0};
	struct manager manager = {0};
	uint64_t before;

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	chatter_open(&anna, &manager.server, "chat", "tcp:");
	expect_ok(&anna, "{'op':'hello','nick':'\xc3\x84nna'}");
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	expect_ok(&anna, "{'op':'join','room':'quiet'}");
	expect_ok(&anna, "{'op':'join','room':'new'}");
	chatter_open(&chief, &manager.server, "chat", "unix:");
	expect_ok(&chief, "{'op':'hello','nick':'Chief'}");
	expect_ok(&chief, "{'op':'join','room':'ops'}");
	chatter_open(&again, &manager.server, "chat", "unix:"); /* the same user */
	expect_ok(&again, "{'op':'join','room':'new'}");
	survivor_enter(&cleo, &manager, SURVIVOR_TALK, false, "cleo", "ops", -1);
	survivor_enter(&lost, &manager, SURVIVOR_LENGTH, false, "", "", -1);
	survivor_enter(&lost, &manager, SURVIVOR_CHAT, false, "lars", "ops", -1);
	drop_events(&anna);
	drop_events(&chief);
	before = server_counter(&manager.server, "chat", "bytes in");
	send_all(lost.fd, "10        {\"op\"", 15); /* and no more */
	(void)server_wait_counter(&manager.server, "chat", "bytes in", before + 15);
	for (unsigned i = 0; i < 3; i++)
		survivors_crash(&manager);
	expect_gone(lost.fd);
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'lars','reason':"
			    "'connection lost'}");
	expect_no_event(&anna);
	expect_event(&chief, "{'event':'leave','room':'ops','nick':'lars','reason':"
			     "'connection lost'}");
	expect_json(chatter_ask(&anna, "{'op':'who','room':'new'}"),
		    "{'ok':true,'room':'new','members':["
		    "{'nick':'\xc3\x84nna','user':null,'since':'<time>'},"
		    "{'nick':'Chief','user':'%s','since':'<time>'}]}",
		    chat_me());
	expect_json(chatter_ask(&chief, "{'op':'hello','nick':'Chief'}"),
		    "{'ok':true,'nick':'Chief','user':'%s','...':0}", chat_me());
	/* Plain text is said where it was. */
	survivor_say(&cleo);
	expect_event(&anna, "{'event':'message','room':'ops','seq':1,'time':'<time>',"
			    "'from':'cleo','text':'#cleo:1'}");
	expect_error(&anna, "nick_in_use", "{'op':'hello','nick':'cleo'}");
	survivor_done(&cleo);
	survivor_done(&lost);
	manager_stop(&manager);
}
END_TEST

/* Asserts that these are the members of a room, or all people, in this order. */
static void expect_members(struct chatter *chatter, const char *room, const char *nicks)
{
	json_t *answer = room ? chatter_ask(chatter, "{'op':'who','room':'%s'}", room)
			      : chatter_ask(chatter, "{'op':'who'}");
	json_t *member;
	char have[256] = "";
	size_t i;

	json_array_foreach(json_object_get(answer, "members"), i, member) {
		ck_assert_uint_lt(strlen(have), sizeof have / 2);
		(void)sprintf(have + strlen(have), "%s%s", i > 0 ? " " : "",
			      member_string(member, "nick"));
	}
	ck_assert_str_eq(have, nicks);
	json_decref(answer);
}

START_TEST(members_keep_their_order)
{
	static const char *const nicks[] = {"anna", "ben", "carl", "dora", "emil"};
	struct chatter guests[ARRAY_SIZE(nicks)] = {{0}};
	CHATTER early = {0}, late = {0};
	struct manager manager = {0};

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	chatter_enter(&early, &manager.server, "early", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(nicks); i++) {
		/* The last gets what this one leaves in the ledger. */
		if (i + 1 == ARRAY_SIZE(nicks))
			chatter_leave(&early, &guests[0], "early");
		chatter_enter(&guests[i], &manager.server, nicks[i], i == 3 ? NULL : "ops");
	}
	for (size_t i = ARRAY_SIZE(nicks); i-- > 0;)
		expect_ok(&guests[i], "{'op':'join','room':'quiet'}");
	expect_ok(&guests[3], "{'op':'join','room':'ops'}");
	expect_ok(&guests[0], "{'op':'leave','room':'ops'}");
	expect_ok(&guests[0], "{'op':'join','room':'ops'}");
	expect_members(&guests[1], "ops", "ben carl emil dora anna");
	survivors_crash(&manager);
	expect_members(&guests[2], "ops", "ben carl emil dora anna");
	expect_members(&guests[2], "quiet", "emil dora carl ben anna");
	expect_members(&guests[2], NULL, "anna ben carl dora emil");

	/* And so after a restart in order, with who has come since. */
	chatter_enter(&late, &manager.server, "late", "ops");
	expect_ok(&guests[1], "{'op':'leave','room':'ops'}");
	expect_ok(&guests[1], "{'op':'join','room':'ops'}");
	expect_members(&late, "ops", "carl emil dora anna late ben");
	manager_restart(&manager);
	expect_members(&late, "ops", "carl emil dora anna late ben");
	expect_members(&late, "quiet", "emil dora carl ben anna");
	survivors_crash(&manager);
	expect_members(&late, "ops", "carl emil dora anna late ben");
	expect_members(&late, "quiet", "emil dora carl ben anna");
	for (size_t i = 0; i < ARRAY_SIZE(nicks); i++)
		chatter_done(&guests[i]);
	manager_stop(&manager);
}
END_TEST

START_TEST(what_ends_with_the_process_is_closed)
{
	struct survivor in_memory = {0}, other = {0};
	CHATTER judge = {0};
	struct manager manager = {0};

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	survivor_enter(&in_memory, &manager, SURVIVOR_CHAT, false, "anna", "memory", -1);
	survivor_enter(&other, &manager, SURVIVOR_CHAT, false, "ben", "memory", -1);
	survivor_ask(&other, "{'op':'leave','room':'memory'}");
	survivor_await(&other, -1);
	survivor_assert_serves(&in_memory);
	survivor_assert_serves(&other);
	survivors_crash(&manager);
	ck_assert(!survivor_is_served(&in_memory));
	survivor_assert_serves(&other);
	/* The name is free again. */
	chatter_open(&judge, &manager.server, "chat", "tcp:");
	expect_ok(&judge, "{'op':'hello','nick':'anna'}");
	survivor_done(&in_memory);
	survivor_done(&other);
	manager_stop(&manager);
}
END_TEST

/* A member that was behind when the daemon was killed is told the rest out of the log. */
START_TEST(whoever_is_behind_catches_up)
{
	struct survivor ben = {0};
	struct survivor_log log = {0};
	struct manager manager = {0};
	CHATTER anna = {0};
	enum { N = 300 };

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	survivor_enter(&ben, &manager, SURVIVOR_CHAT, false, "ben", "ops", -1);
	chatter_enter(&anna, &manager.server, "anna", NULL);
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	for (unsigned i = 1; i <= N; i++)
		expect_ok(&anna, "{'op':'say','room':'ops','text':'#anna:%u'}", i);
	survivors_crash(&manager);
	survivors_settle(&manager, &ben, 1, "ops", &log);
	ck_assert_uint_eq(log.n, N + 1);
	ck_assert_uint_eq(ben.seen, N + 1);
	survivor_log_done(&log);
	survivor_done(&ben);
	manager_stop(&manager);
}
END_TEST

/* What is closed here is closed for its client at once, whoever has a copy. */
START_TEST(an_end_is_an_end)
{
	struct survivor one = {0}, kicked = {0};
	struct manager manager = {0};
	CHATTER chief = {0};

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	for (unsigned on_unix = 0; on_unix < 2; on_unix++) {
		survivor_enter(&one, &manager, SURVIVOR_LENGTH, on_unix, "", "", -1);
		survivor_send(&one, 10, 0);
		shut_down(one.fd);
		survivor_await(&one, -1);
		survivor_await_end(&one, -1);
		survivor_enter(&one, &manager, SURVIVOR_LENGTH, on_unix, "", "", -1);
		send_text(one.fd, "no header");
		send_text(one.fd, "!");
		expect_error_frame(one.fd, "bad frame header");
	}
	survivor_enter(&one, &manager, SURVIVOR_TALK, false, "toni", "", -1);
	send_text(one.fd, "/quit\n");
	expect_end(one.fd);
	survivor_enter(&kicked, &manager, SURVIVOR_CHAT, false, "karl", "", -1);
	chatter_open(&chief, &manager.server, "chat", "unix:");
	expect_ok(&chief, "{'op':'kick','nick':'karl'}");
	expect_gone(kicked.fd);
	survivor_done(&one);
	survivor_done(&kicked);
	manager_stop(&manager);
}
END_TEST

static void reconfigure(struct manager *manager, bool safe)
{
	CLEANUP(freep)
	char *config = survivor_config(
		manager, safe ? "crash_safe = true; workers = 1;" : "workers = 1;", "");

	server_write_config(&manager->server, "%s", config);
}

START_TEST(it_is_switched_on_and_off)
{
	struct survivor one = {0}, member = {0};
	struct survivor_log log = {0};
	struct manager manager = {0};

	survivor_start(&manager, "workers = 1;", "");
	survivor_enter(&one, &manager, SURVIVOR_LENGTH, false, "", "", -1);
	survivor_enter(&member, &manager, SURVIVOR_TALK, false, "mia", "ops", -1);
	/* On, by a restart in order, which takes along whoever is there. */
	reconfigure(&manager, true);
	manager_restart(&manager);
	survivor_assert_serves(&one);
	survivor_assert_serves(&member);
	for (unsigned i = 0; i < 2; i++) {
		survivors_settle(&manager, &member, 1, "ops", &log);
		survivor_assert_serves(&one);
		survivors_crash(&manager);
		manager_restart(&manager);
		survivor_assert_serves(&one);
		survivors_crash(&manager);
		survivors_settle(&manager, &member, 1, "ops", &log);
	}
	/* Off, by a crash: this time all go on, but next time nobody does. */
	survivor_assert_serves(&one);
	survivor_assert_serves(&member);
	reconfigure(&manager, false);
	survivors_crash(&manager);
	survivor_assert_serves(&one);
	survivors_settle(&manager, &member, 1, "ops", &log);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	manager_restart(&manager);
	survivor_assert_serves(&one);
	survivors_settle(&manager, &member, 1, "ops", &log);
	survivors_crash(&manager);
	ck_assert(!survivor_is_served(&one));
	ck_assert(!survivor_is_served(&member));
	survivor_log_done(&log);
	survivor_done(&one);
	survivor_done(&member);
	manager_stop(&manager);
}
END_TEST

START_TEST(nobody_keeps_descriptors)
{
	struct survivor one = {0};
	struct manager manager = {0};

	survivor_prepare(&manager);
	manager.store_max = 0;
	survivor_run(&manager, "crash_safe = true; workers = 1;", "");
	ck_assert_uint_eq(server_count_log(&manager.server, "crash_safe has no effect"), 1);
	survivor_enter(&one, &manager, SURVIVOR_LENGTH, false, "", "", -1);
	survivor_assert_serves(&one);
	survivors_crash(&manager);
	ck_assert(!survivor_is_served(&one));
	survivor_enter(&one, &manager, SURVIVOR_LENGTH, false, "", "", -1);
	survivor_assert_serves(&one);
	survivor_done(&one);
	manager_stop(&manager);
}
END_TEST

/* A manager that refuses to store is found out only when it is too late; nothing else goes wrong.
 */
START_TEST(the_manager_refuses)
{
	struct survivor one = {0};
	struct manager manager = {0};

	survivor_prepare(&manager);
	manager.refuses = true;
	survivor_run(&manager, "crash_safe = true; workers = 1;", "");
	for (unsigned i = 0; i < 500; i++) {
		survivor_enter(&one, &manager, SURVIVOR_LENGTH, false, "", "", -1);
		survivor_assert_serves(&one);
		manager_pump(&manager);
	}
	survivors_crash(&manager);
	ck_assert(!survivor_is_served(&one));
	survivor_done(&one);
	manager_stop(&manager);
}
END_TEST

START_TEST(churn_leaves_nothing_behind)
{
	struct survivor still[4] = {0}, one = {0};
	struct manager manager = {0};
	size_t n = harness_rounds(20000, 2000), fds, most = 0;

	survivor_start(&manager, "crash_safe = true; workers = 1;", "");
	for (size_t i = 0; i < ARRAY_SIZE(still); i++) {
		survivor_enter(&still[i], &manager, SURVIVOR_LENGTH, i % 2, "", "", -1);
		survivor_assert_serves(&still[i]);
	}
	fds = server_fds(&manager.server);
	for (size_t i = 0; i < n; i++) {
		survivor_enter(&one, &manager, i % 8 ? SURVIVOR_LENGTH : SURVIVOR_CHAT, i % 2, "",
			       "", -1);
		if (i % 4 == 0)
			(void)survivor_is_served(&one);
		survivor_done(&one);
		if (i % 16)
			continue;
		manager_pump(&manager);
		most = MAX(most, manager_count(&manager, NULL));
	}
	ck_assert_uint_le(most, STORED_MAX);
	server_wait_fds(&manager.server, fds + 4);
	survivors_crash(&manager);
	ck_assert_uint_le(manager_count(&manager, NULL), STORED_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(still); i++) {
		survivor_assert_serves(&still[i]);
		survivor_done(&still[i]);
	}
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash_safe");

	harness_add(suite, names_and_rooms_go_on);
	harness_add(suite, members_keep_their_order);
	harness_add(suite, what_ends_with_the_process_is_closed);
	harness_add(suite, whoever_is_behind_catches_up);
	harness_add(suite, an_end_is_an_end);
	harness_add(suite, it_is_switched_on_and_off);
	harness_add(suite, nobody_keeps_descriptors);
	harness_add(suite, the_manager_refuses);
	harness_add(suite, churn_leaves_nothing_behind);
	survivor_add(suite, killed_under_load);
	return harness_main(suite);
}
