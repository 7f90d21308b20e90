/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A name service that does not answer: whoever needs to know something from it waits, for a while,
 * and nobody else does.
 */

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness_chat.h"

static const char says_stuck[] = "the name service does not answer";

/* What the preloaded library goes by. */
struct names {
	_Atomic int holds, held;
	char key[64];
	_Atomic int still;
};

static struct names *names;

/* Starts a daemon whose name service can be held. Returns false where that cannot be. */
static bool start(struct server *server, const char *chat)
{
	char preload[PATH_MAX], path[PATH_MAX], config[1024], variables[2][PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", preload, sizeof preload - 32);
	int fd;

	if (harness_slow()) {
		harness_skip("a checker has these calls of its own");
		return false;
	}
	ck_assert_int_gt(len, 0);
	preload[len] = 0;
	(void)strcpy(strrchr(preload, '/'), "/preload_names.so");
	*server = (struct server){.notify = -1};
	server_init(server);
	(void)snprintf(path, sizeof path, "%s/names", server->directory);
	file_write(path, &(struct names){0}, sizeof *names);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	names = mmap(NULL, sizeof *names, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(names != MAP_FAILED);
	(void)close(fd); /* the mapping stays */
	(void)snprintf(variables[0], sizeof variables[0], "RETORT_TEST_NAMES=%s", path);
	(void)snprintf(variables[1], sizeof variables[1], "LD_PRELOAD=%s", preload);
	(void)snprintf(config, sizeof config,
		       "timeouts: { drain = \"100ms\"; }; listeners: ( { name = \"chat\"; "
		       "service = \"chat\"; listen = [ \"unix:chat.sock\", "
		       "\"tcp://127.0.0.1:0\" ]; } ); chat: { %s };",
		       chat);
	server_start(server, &(struct server_setup){.config = config,
						    .environment = (const char *const[]){
							    variables[0], variables[1],
							    "WATCHDOG_USEC=8000000", NULL}});
	return true;
}

/* From now on, what is asked for key is not answered, and who waits for it does so patiently. */
static void hold(const char *key)
{
	(void)snprintf(names->key, sizeof names->key, "%s", key);
	names->still = 1;
	names->holds = 1;
}

static void lose_patience(void)
{
	names->still = 0;
}

static void hold_number(unsigned number)
{
	char key[16];

	(void)snprintf(key, sizeof key, "%u", number);
	hold(key);
}

static void await_held(void)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (names->held == 0)
		harness_pause(deadline, "the name service to be asked");
}

static void release(void)
{
	names->holds = 0;
}

/* Everybody else goes on. */
static void assert_talk(struct chatter *anna, struct chatter *bob, json_int_t seq)
{
	chatter_say(anna, "ops", seq, "how is it?");
	expect_message(bob, "ops", seq, "how is it?");
}

static void enter_two(struct server *server, struct chatter *anna, struct chatter *bob)
{
	chatter_enter(anna, server, "anna", "ops");
	chatter_enter(bob, server, "bob", "ops");
	drop_events(anna);
}

static json_t *reply_with_nick(struct chatter *chatter, const char *nick)
{
	json_t *reply = chatter_reply(chatter);

	ck_assert_str_eq(member_string(reply, "nick"), nick);
	return reply;
}

/* ---- while it does not answer ---- */

START_TEST(who_is_not_known_waits_alone)
{
	CHATTER anna = {0}, bob = {0}, me = {0};
	struct server server;

	if (!start(&server, ""))
		return;
	enter_two(&server, &anna, &bob);
	hold_number(geteuid());
	chatter_open(&me, &server, "chat", "unix:");
	chatter_add(&me, "{'op':'join','room':'ops'}");
	chatter_add(&me, "{'op':'say','room':'ops','text':'it is me'}");
	chatter_add(&me, "{'op':'hello','nick':'%s'}", chat_me());
	chatter_flush(&me);
	await_held();
	for (int i = 1; i <= 3; i++)
		assert_talk(&anna, &bob, i);
	expect_no_event(&bob);
	release();

	/* It is done in its order, by its name. */
	json_decref(chatter_reply(&me));
	json_decref(chatter_reply(&me));
	json_decref(reply_with_nick(&me, chat_me()));
	expect_event(&bob, "{'event':'join','room':'ops','nick':'%s'}", chat_me());
	expect_message(&bob, "ops", 4, "it is me");
	server_stop(&server);
}
END_TEST

START_TEST(who_is_gone_has_been_heard)
{
	CHATTER anna = {0}, bob = {0}, me = {0};
	struct server server;
	json_t *event;

	if (!start(&server, ""))
		return;
	enter_two(&server, &anna, &bob);
	hold_number(geteuid());
	chatter_open(&me, &server, "chat", "unix:");
	chatter_add(&me, "{'op':'join','room':'ops'}");
	chatter_add(&me, "{'op':'say','room':'ops','text':'and off'}");
	chatter_flush(&me);
	await_held();
	chatter_done(&me);
	assert_talk(&anna, &bob, 1);
	release();
	event = chatter_event(&bob);
	expect_json(event, "{'event':'join','room':'ops','nick':'%s'}", chat_me());
	expect_message(&bob, "ops", 2, "and off");
	expect_event(&bob, "{'event':'leave','room':'ops','nick':'%s','...':1}", chat_me());
	server_stop(&server);
}
END_TEST

START_TEST(a_new_nick_waits_alone)
{
	CHATTER anna = {0}, bob = {0}, cleo = {0};
	struct server server;

	if (!start(&server, ""))
		return;
	enter_two(&server, &anna, &bob);
	chatter_open(&cleo, &server, "chat", "tcp:");
	expect_ok(&cleo, "{'op':'join','room':'ops'}");
	drop_events(&anna);
	drop_events(&bob);
	hold("cleo");
	chatter_add(&cleo, "{'op':'hello','nick':'cleo'}");
	chatter_add(&cleo, "{'op':'say','room':'ops','text':'cleo now'}");
	chatter_flush(&cleo);
	await_held();
	assert_talk(&anna, &bob, 1);
	expect_no_event(&bob);
	release();
	expect_message(&cleo, "ops", 1, "how is it?");
	json_decref(chatter_reply(&cleo));
	json_decref(chatter_reply(&cleo));
	expect_event(&bob, "{'event':'leave','room':'ops','...':1}");
	expect_event(&bob, "{'event':'join','room':'ops','nick':'cleo'}");
	expect_message(&bob, "ops", 2, "cleo now");
	server_stop(&server);
}
END_TEST

/* What was put aside and is run again is one message, as chat.rate counts. */
START_TEST(what_waits_counts_once)
{
	CHATTER anna = {0};
	struct server server;

	if (!start(&server, "rate: { messages = 1; burst = 1; };"))
		return;
	chatter_enter(&anna, &server, "anna", NULL);
	expect_ok(&anna, "{'op':'say','room':'@%s','text':'x'}", chat_me());
	server_stop(&server);
}
END_TEST

/* ---- when it does not answer in time ---- */

START_TEST(after_a_while_nobody_waits)
{
	CHATTER anna = {0}, bob = {0}, me = {0}, cleo = {0}, control = {0};
	struct server server;
	char chat[128];
	json_t *reply;

	(void)snprintf(chat, sizeof chat, "admins = [ \"%s\" ];", chat_me());
	if (!start(&server, chat))
		return;
	enter_two(&server, &anna, &bob);
	chatter_open_control(&control, &server, FRAMING_LENGTH);
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':true,'problems':[]}");
	hold("*");
	/* What was known is forgotten, and yet it is in effect at once for all who are here. */
	server_signal(&server, SIGHUP);
	chatter_open(&me, &server, "chat", "unix:");
	chatter_send(&me, "{'op':'join','room':'ops'}");
	await_held();
	assert_talk(&anna, &bob, 1);

	/* It cannot be found out who that is, so it is a guest. */
	lose_patience();
	expect_json(chatter_reply(&me), "{'ok':true,'room':'ops','...':1}");
	reply = chatter_event(&bob);
	ck_assert_int_eq(strncmp(member_string(reply, "nick"), "guest-", 6), 0);
	json_decref(reply);
	free(server_wait_log(&server, says_stuck));
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':false,'problems':['the name service does not "
		    "answer']}");
	ck_assert_uint_eq(server_count_log(&server, "have not turned"), 0);
	(void)server_has_notified(&server, "WATCHDOG=1");
	server_wait_notify(&server, "WATCHDOG=1");

	/* Nobody gets a name that cannot be asked for, and nobody waits for that. */
	chatter_open(&cleo, &server, "chat", "tcp:");
	expect_error(&cleo, "not_allowed", "{'op':'hello','nick':'cleo'}");
	expect_ok(&cleo, "{'op':'join','room':'ops'}");
	chatter_say(&anna, "ops", 2, "x");

	release();
	free(server_wait_log(&server, "the name service answers again"));
	expect_ok(&cleo, "{'op':'hello','nick':'cleo'}");
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':true,'problems':[]}");
	server_stop(&server);
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_waits_alone)
{
	CHATTER anna = {0}, bob = {0}, me = {0};
	const struct group *group = getgrgid(getegid());
	char chat[128];
	struct server server;

	if (!group) {
		harness_skip("the group of this process has no name");
		return;
	}
	(void)snprintf(chat, sizeof chat,
		       "admins = [ ]; rooms: ( { name = \"own\"; members = [ \"@%s\" ]; } );",
		       group->gr_name);
	if (!start(&server, chat))
		return;
	enter_two(&server, &anna, &bob);
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'join','room':'own'}");
	expect_error(&anna, "not_allowed", "{'op':'join','room':'own'}");
	hold(group->gr_name);
	server_signal(&server, SIGHUP);
	await_held();
	assert_talk(&anna, &bob, 1);
	chatter_say(&me, "own", 1, "still here");
	ck_assert_uint_eq(server_count_log(&server, "reloaded"), 0);
	release();
	free(server_wait_log(&server, "reloaded"));
	drop_events(&me);
	chatter_say(&me, "own", 2, "still here");
	server_stop(&server);
}
END_TEST

/* ---- the end ---- */

static void end_while_held(bool waits)
{
	CLEANUP(freep) char *log = NULL;
	CHATTER anna = {0}, bob = {0}, me = {0};
	struct server server;

	if (!start(&server, ""))
		return;
	enter_two(&server, &anna, &bob);
	hold("*");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_send(&me, "{'op':'join','room':'ops'}");
	await_held();
	if (!waits) {
		chatter_done(&me);
		assert_talk(&anna, &bob, 1);
	}
	/* Neither the question nor the patience of those who wait is waited for. */
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	ck_assert_int_eq(names->held, 1);
	log = file_read(server.log);
	ck_assert_ptr_null(strstr(strstr(log, "stopping"), says_stuck));
	server_done(&server);
}

START_TEST(the_end_waits_for_nothing)
{
	end_while_held(true);
}
END_TEST

START_TEST(the_end_waits_for_nobody)
{
	end_while_held(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_names");

	harness_add(suite, who_is_not_known_waits_alone);
	harness_add(suite, who_is_gone_has_been_heard);
	harness_add(suite, a_new_nick_waits_alone);
	harness_add(suite, what_waits_counts_once);
	harness_add(suite, after_a_while_nobody_waits);
	harness_add(suite, reload_waits_alone);
	harness_add(suite, the_end_waits_for_nothing);
	harness_add(suite, the_end_waits_for_nobody);
	return harness_main(suite);
}
