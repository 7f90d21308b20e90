/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clients of a daemon that is killed under them. Each knows what it is owed: whatever comes must go
 * on where the last byte was, and a client that is closed is lost, which its test may allow or not.
 * The service has one listener for each kind of client, whose sockets are the manager's.
 */

#include "harness_chat.h"
#include "harness_manager.h"

enum survivor_kind {
	SURVIVOR_RAW, /* of listeners that upper-case, by their framing */
	SURVIVOR_LINE,
	SURVIVOR_LENGTH,
	SURVIVOR_CHAT, /* object dialect, framing length */
	SURVIVOR_TALK, /* text dialect */
	SURVIVOR_KINDS
};

enum { SURVIVOR_TOKEN = 48 };

/* What was said in a room, as its log has it: the authority. Number n stands at n - 1. */
struct survivor_log {
	char (*tokens)[SURVIVOR_TOKEN];
	size_t n;
};

struct survivor {
	enum survivor_kind kind;
	bool on_unix;
	int fd;		      /* owned; -1: none */
	bool lost;	      /* the daemon has closed it */
	bool careless;	      /* whatever comes is right */
	struct buffer input;  /* that is not taken apart yet */
	struct buffer output; /* that the socket did not take yet */
	uint64_t sent;	      /* messages so far */
	/* Of a transform: */
	struct buffer owed; /* the bytes that are to come */
	struct buffer rest; /* of a message of which a part is sent; what it is owed is in owed */
	/* Of chat: */
	char nick[40], room[40];
	unsigned asked, answered, refused;
	unsigned may_be_refused; /* as many of its requests may be */
	uint64_t seq;		 /* up to here all that was said has been held against the log */
	uint64_t seen;		 /* the number that has come last; not known in the text dialect */
	uint64_t told;		 /* of others, the judge aside, and of what is no message */
	char (*got)[SURVIVOR_TOKEN]; /* what has come since seq; owned */
	size_t n_got, got_size;
};

/*
 * Starts a service under a manager, with listeners for all kinds, rooms "ops" and "quiet", durable,
 * and "memory", not durable; settings stands before all that, and chat within its group.
 */
void survivor_start(struct manager *manager, const char *settings, const char *chat);

/* Its two halves: the manager with its sockets, and the service. */
void survivor_prepare(struct manager *manager);
void survivor_run(struct manager *manager, const char *settings, const char *chat);

/* The configuration that it writes; malloc()ed. */
char *survivor_config(const struct manager *manager, const char *settings, const char *chat);

/* All that wait end early when the connection or the daemon, whose pidfd is end, is at its end. */

/* Connects anew. One of chat is called nick, unless that is "", and is in room, likewise. */
void survivor_enter(struct survivor *survivor, const struct manager *manager,
		    enum survivor_kind kind, bool on_unix, const char *nick, const char *room,
		    int end);
void survivor_done(struct survivor *survivor);

/* Sends a message of len bytes, without waiting for its answer; keep bytes of it not yet. */
void survivor_send(struct survivor *survivor, size_t len, size_t keep);
/* Sends what was kept. */
void survivor_send_rest(struct survivor *survivor);
/* Says something that nobody has said before in the client's room. */
void survivor_say(struct survivor *survivor);
/* Sends a request or a line, which is to be answered by one reply, or line. */
void survivor_ask(struct survivor *survivor, const char *request);
/* Receives what is there, and holds it to be what is owed. */
void survivor_receive(struct survivor *survivor);
/* Waits until nothing is owed any more. */
void survivor_await(struct survivor *survivor, int end);
/* Waits until n messages have come that are not held against the log yet. */
void survivor_await_got(struct survivor *survivor, size_t n, int end);

/* Waits until it has been told n times of others. */
void survivor_await_told(struct survivor *survivor, uint64_t n, int end);
/* Whatever comes from now on is right. */
void survivor_expect_anything(struct survivor *survivor);
/* Waits until it is lost. */
void survivor_await_end(struct survivor *survivor, int end);

bool survivor_is_owed(const struct survivor *survivor);

/*
 * Sends what was kept and one more message, and waits until all is answered. Returns whether that
 * is so; else it is lost, which a client may hear of a while after the daemon has closed it.
 */
bool survivor_is_served(struct survivor *survivor);
/* Asserts that. */
void survivor_assert_serves(struct survivor *survivor);

/*
 * Kills the daemon, which has one worker, when whatever its clients have seen is over for it as
 * well, and starts the next one.
 */
void survivors_crash(struct manager *manager);

/*
 * Says a last message in room, waits until all survivors who are there have it, and holds what they
 * got against the log: everything once and in order, in the text dialect perhaps without their own.
 * log becomes the room's.
 */
void survivors_settle(const struct manager *manager, struct survivor *survivors, size_t n,
		      const char *room, struct survivor_log *log);
void survivor_log_done(struct survivor_log *log);

/* How often a test kills the daemon: $RETORT_TEST_ROUNDS, or as usual. */
size_t survivor_rounds(size_t usual);

/* Adds such a test to suite, with time for as many rounds. */
void survivor_add(Suite *suite, const TTest *test);
