/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The library against the real daemon, which is killed and started again under it: what is said is
 * said once and in order, and heard once and in order.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "retort.h"

enum { IN_FLIGHT = 64 };

static const char config[] =
	"listeners: ({ name = \"chat\"; service = \"chat\"; framing = \"length\"; "
	"listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; });";

static void start(struct server *server)
{
	server_start(server, &(struct server_setup){.config = config});
}

static struct retort *client_of(const struct server *server, const char *nick)
{
	char address[SERVER_PATH_MAX + 32];
	struct retort *retort;

	(void)snprintf(address, sizeof(address), "unix:%s/chat.sock", server->directory);
	ck_assert_int_eq(retort_new(address, &retort, NULL), 0);
	ck_assert_int_eq(retort_set_nick(retort, nick), 0);
	return retort;
}

/* Says numbers, one after the other, with many in flight. */
struct talker {
	struct retort *retort;
	unsigned said, answered, wanted;
};

static void talk(struct talker *talker)
{
	struct retort_event event;

	while (talker->said < talker->wanted && retort_pending(talker->retort) < IN_FLIGHT) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%u", ++talker->said);
		ck_assert_int_eq(retort_submit(talker->retort,
					       &(struct retort_request){.op = RETORT_OP_SAY,
									.room = "ops",
									.text = text},
					       NULL),
				 0);
	}
	while (retort_next(talker->retort, 0, &event) == 1) {
		if (event.kind != RETORT_REPLY)
			continue;
		ck_assert_msg(event.reply->status == 0, "%d: %s", event.reply->status,
			      event.reply->message);
		ck_assert_uint_eq(event.reply->seq, ++talker->answered);
	}
}

/* Hears each number once. */
struct hearer {
	struct retort *retort;
	unsigned heard, resumed;
};

static void hear(struct hearer *hearer)
{
	struct retort_event event;

	while (retort_next(hearer->retort, 0, &event) == 1) {
		hearer->resumed += event.kind == RETORT_RESUMED;
		ck_assert_int_ne(event.kind, RETORT_GAP);
		ck_assert_int_ne(event.kind, RETORT_ROOM_LOST);
		ck_assert_int_ne(event.kind, RETORT_RESTARTED);
		if (event.kind != RETORT_MESSAGE)
			continue;
		ck_assert_uint_eq(event.message->seq, ++hearer->heard);
		ck_assert_uint_eq(strtoul(event.message->text, NULL, 10), hearer->heard);
	}
}

/* Waits until one of them has something to do. */
static void wait_for_both(struct retort *one, struct retort *other)
{
	struct pollfd fds[] = {
		{retort_fd(one), retort_events(one), 0},
		{retort_fd(other), retort_events(other), 0},
	};
	const int first = retort_timeout(one), second = retort_timeout(other);
	const int least = first < 0 || (second >= 0 && second < first) ? second : first;

	ck_assert_int_ge(poll(fds, 2, least < 0 || least > 100 ? 100 : least), 0);
}

static void kill_and_restart(struct server *server)
{
	server_signal(server, SIGKILL);
	(void)server_wait_end(server);
	start(server);
}

/* Talks and hears until so many are heard and answered. */
static void go_on_until(struct talker *talker, struct hearer *hearer, unsigned wanted)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (hearer->heard < wanted || talker->answered < wanted) {
		wait_for_both(talker->retort, hearer->retort);
		talk(talker);
		hear(hearer);
		ck_assert_msg(harness_now() < deadline, "%u heard, %u answered of %u; %s / %s",
			      hearer->heard, talker->answered, wanted,
			      retort_problem(talker->retort), retort_problem(hearer->retort));
	}
}

START_TEST(test_killed)
{
	const unsigned rounds = (unsigned)harness_rounds(8, 3), step = 150;
	struct talker talker = {0};
	struct hearer hearer = {0};
	struct server server = {0};

	start(&server);
	talker.retort = client_of(&server, NULL);
	hearer.retort = client_of(&server, "hearer");
	ck_assert_int_eq(retort_join_since(hearer.retort, "ops", 0, harness_patience()), 0);
	ck_assert_int_eq(retort_join(talker.retort, "ops", harness_patience()), 0);
	for (unsigned round = 1; round <= rounds; round++) {
		talker.wanted = round * step;
		go_on_until(&talker, &hearer, talker.wanted);
		/* In the middle of what is in flight. */
		talker.wanted += step;
		talk(&talker);
		ck_assert_uint_gt(retort_pending(talker.retort), 0);
		kill_and_restart(&server);
	}
	go_on_until(&talker, &hearer, talker.wanted);
	ck_assert_uint_eq(hearer.resumed, rounds);
	retort_free(talker.retort);
	retort_free(hearer.retort);
	server_stop(&server);
}
END_TEST

/* A guest comes back as whom it was, for otherwise its keys would be another's. */
START_TEST(test_guest_comes_back)
{
	struct server server = {0};
	struct retort_event event;
	struct retort *retort;
	char nick[128];

	start(&server);
	ck_assert_int_eq(retort_new(server_address(&server, "chat", "tcp:"), &retort, NULL), 0);
	ck_assert_int_eq(retort_connect(retort, harness_patience()), 0);
	ck_assert_ptr_null(retort_user(retort));
	(void)snprintf(nick, sizeof(nick), "%s", retort_nick(retort));
	/* The server sees this connection only later than the next one, or not at all. */
	ck_assert_int_eq(retort_join(retort, "ops", harness_patience()), 0);
	ck_assert_int_eq(shutdown(retort_fd(retort), SHUT_RDWR), 0);
	do
		ck_assert_int_eq(retort_next(retort, harness_patience(), &event), 1);
	while (event.kind != RETORT_RESUMED);
	ck_assert_str_eq(retort_nick(retort), nick);
	ck_assert_int_eq(retort_say(retort, "ops", "x", harness_patience(), NULL), 0);
	retort_free(retort);
	server_stop(&server);
}
END_TEST

/* Everything the convenient calls do, and what they refuse. */
START_TEST(test_calls)
{
	const int wait = harness_patience();
	const struct retort_reply *reply;
	struct server server = {0};
	struct retort *retort;
	uint64_t seq = 0;

	start(&server);
	retort = client_of(&server, "anna");
	ck_assert_int_eq(retort_connect(retort, wait), 0);
	ck_assert_str_eq(retort_nick(retort), "anna");
	ck_assert_int_eq(retort_say(retort, "ops", "x", wait, NULL), RETORT_NO_SUCH_ROOM);
	ck_assert_str_eq(retort_token(retort), "no_such_room");
	ck_assert_int_eq(retort_join(retort, "Ops", wait), 0);
	ck_assert_int_eq(retort_say(retort, "ops", "x", wait, &seq), 0);
	ck_assert_uint_eq(seq, 1);
	ck_assert_int_eq(retort_leave(retort, "OPS", wait), 0);
	ck_assert_int_eq(retort_say(retort, "ops", "x", wait, NULL), RETORT_NOT_MEMBER);
	ck_assert_int_eq(
		retort_call(retort,
			    &(struct retort_request){.op = RETORT_OP_HISTORY, .room = "ops"}, wait,
			    &reply),
		0);
	ck_assert_uint_eq(reply->messages_len, 1);
	ck_assert_str_eq(reply->messages[0].text, "x");
	ck_assert_str_eq(reply->messages[0].from, "anna");
	ck_assert_int_eq(
		retort_call(retort,
			    &(struct retort_request){
				    .op = RETORT_OP_TRANSFORM,
				    .text = "x\xc3\xa9",
				    .with = (const char *const[]){"upper", "reverse", NULL}},
			    wait, &reply),
		0);
	ck_assert_str_eq(reply->text, "\xc3\x89X");
	ck_assert_int_eq(
		retort_call(retort, &(struct retort_request){.op = RETORT_OP_ROOMS}, wait, &reply),
		0);
	ck_assert_uint_ge(reply->rooms_len, 1);
	retort_free(retort);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_retort");

	harness_add(suite, test_killed);
	harness_add(suite, test_guest_comes_back);
	harness_add(suite, test_calls);
	return harness_main(suite);
}
