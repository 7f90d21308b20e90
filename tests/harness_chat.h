/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A client of the chat service for the black-box tests. JSON is written with ' in place of ", in
 * requests as in what is expected of their replies; so no text here has an apostrophe. Like the
 * harness, everything fails the running test when something does not go as asked.
 */

#include <jansson.h>

#include "harness.h"

/* A connection, from its client's side. */
struct chatter {
	int fd; /* owned; -1: none */
	enum framing framing;
	bool ended; /* the server has ended its side */
	struct buffer input, output;
	json_t *replies, *events; /* that have come and nobody has taken */
	json_int_t asked, answered;
};

/* Declares one, which is to be zero-initialised, and ends with its scope. */
#define CHATTER CLEANUP(chatter_done) struct chatter

/* ---- the daemon ---- */

/*
 * Starts a daemon whose administrator is who runs the test, with these settings of its own, a
 * printf text: listeners "chat" (length), "line" and "talk" (text dialect), each on a Unix socket
 * and on TCP; settings stands behind them, chat is what is in the group "chat".
 */
void chat_start(struct server *server, const char *settings, const char *chat, ...) PRINTF(3, 4);

/* That configuration, for a daemon that is started otherwise; malloc()ed. */
char *chat_config(const char *settings, const char *chat, ...) PRINTF(2, 3);

/* Writes that configuration anew and has it reloaded, and waits until it is in effect. */
void chat_reload(struct server *server, const char *settings, const char *chat, ...) PRINTF(3, 4);

/* Ends the daemon by a signal and starts it again over the same state. */
void chat_restart(struct server *server, int signal);

/* The name of the user who runs the test. */
const char *chat_me(void);

/* ---- the client ---- */

/* Connects; scheme as in server_address(). */
void chatter_open(struct chatter *chatter, const struct server *server, const char *listener,
		  const char *scheme);

/* Connects over the listener's Unix socket as this user and group; for root only. */
void chatter_open_as(struct chatter *chatter, const struct server *server, const char *listener,
		     uid_t uid, gid_t gid);

/* The same for a plain descriptor. */
int connect_as(const char *address, uid_t uid, gid_t gid);

/* Connects to the control socket. */
void chatter_open_control(struct chatter *chatter, const struct server *server,
			  enum framing framing);

/* A guest of this name over TCP who has said hello, and joined room unless that is NULL. */
void chatter_enter(struct chatter *chatter, const struct server *server, const char *nick,
		   const char *room);

void chatter_done(struct chatter *chatter);

/* Waits until the daemon knows that the client is gone: until watcher is alone under that nick. */
void chatter_leave(struct chatter *chatter, struct chatter *watcher, const char *nick);

/* Sends a message as it is, in its envelope. */
void chatter_send_raw(struct chatter *chatter, const void *data, size_t len);

/* Puts a request, a JSON object, behind those that are not sent yet; gives it an id. */
void chatter_add(struct chatter *chatter, const char *request, ...) PRINTF(2, 3);
void chatter_flush(struct chatter *chatter);

/* The same and sends it. */
void chatter_send(struct chatter *chatter, const char *request, ...) PRINTF(2, 3);

/* Waits until something has come, which replies and events hold then, or the end. */
void chatter_receive(struct chatter *chatter);

/* The next reply; new. chatter_reply() also holds it to be that of the next request, without id. */
json_t *chatter_next_reply(struct chatter *chatter);
json_t *chatter_reply(struct chatter *chatter);

/* The next event; new. */
json_t *chatter_event(struct chatter *chatter);

/* Sends a request and waits for its reply; new, and without its id. */
json_t *chatter_ask(struct chatter *chatter, const char *request, ...) PRINTF(2, 3);

/* The same; the reply must be ok, or be this error and say something about it. */
void expect_ok(struct chatter *chatter, const char *request, ...) PRINTF(2, 3);
void expect_error(struct chatter *chatter, const char *error, const char *request, ...)
	PRINTF(3, 4);
/* Likewise for the next reply, whatever its id. */
void expect_refusal(struct chatter *chatter, const char *error);

/*
 * Compares have, which is given away, with what is wanted, a printf text. A wanted "*" is anything,
 * "<time>" a time as the protocol writes it; a member "..." stands for any further ones. A unit is
 * only compared where one is wanted, since the tests may run as part of a service.
 */
void expect_json(json_t *have, const char *want, ...) PRINTF(2, 3);

/* The next event. */
void expect_event(struct chatter *chatter, const char *want, ...) PRINTF(2, 3);

/* The next event is this message. */
void expect_message(struct chatter *chatter, const char *room, json_int_t seq, const char *text);

/* Drops the events of all that the hub has done by now. */
void drop_events(struct chatter *chatter);

/* No event has come of what the hub has done by now. */
void expect_no_event(struct chatter *chatter);

/* An event "closing" that says why, then the end. */
void expect_closing(struct chatter *chatter, const char *reason, bool reconnect);

/* Says text in room, and asserts its number. */
void chatter_say(struct chatter *chatter, const char *room, json_int_t seq, const char *text);

/* A member of an object, which must be there. */
json_int_t member_integer(const json_t *object, const char *name);
const char *member_string(const json_t *object, const char *name);
