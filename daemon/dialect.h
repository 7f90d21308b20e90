/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What bytes the chat service speaks: a dialect makes requests of messages, and messages of replies
 * and events. A room knows nothing of dialects, and a dialect nothing of rooms; another dialect is
 * another file with another table of these functions, and a line in dialects[].
 */

#include "bytes.h"
#include "chat.h"
#include "frame.h"

/* Messages to be sent, each in its envelope. */
struct dialect_out {
	struct buffer *buffer;
	enum framing framing;
};

/* Puts one message behind those that are there. Returns 0 or -ENOMEM. */
int dialect_put(struct dialect_out *out, const void *data, size_t len);

/*
 * The same for a message that is written to out->buffer itself: what is appended between the two is
 * the message. dialect_end() takes what dialect_begin() gave, and r, the outcome of the writing; it
 * returns 0, or the negative errno that r is, or -ENOMEM, with the buffer as it was at the
 * beginning.
 */
int dialect_begin(struct dialect_out *out, size_t *ret_begin);
int dialect_end(struct dialect_out *out, size_t begin, int r);

/* What a dialect remembers of one connection. Zero-initialised at its beginning. */
struct dialect_state {
	char *room;	/* where plain text is said; owned; NULL: nowhere */
	char *previous; /* while joins are not answered: where it is said if none works; owned */
	unsigned joins; /* that are not answered yet */
	bool quits;	/* the client has said that it goes */
};

void dialect_state_done(struct dialect_state *state);

struct dialect {
	const char *name; /* in the configuration */
	bool hides_own;	  /* a client is not sent what it has said itself */
	/* Greets somebody who is now called nick. Returns 0 or -ENOMEM. */
	int (*welcome)(struct dialect_state *state, const char *nick, struct dialect_out *out);
	/*
	 * Makes a request of one message. What the dialect answers by itself is put into out, and
	 * *ret_request is NULL. What cannot be obeyed is a request with an error. Returns 0 with
	 * *ret_request, to be freed by free(), or -ENOMEM.
	 */
	int (*request)(struct dialect_state *state, struct bytes message, struct dialect_out *out,
		       struct chat_request **ret_request);
	/* Writes the reply to a request that this dialect made. Returns 0 or -ENOMEM. */
	int (*reply)(struct dialect_state *state, const struct chat_request *request,
		     const struct chat_reply *reply, struct dialect_out *out);
	/* Writes an event, the same for everybody. Returns 0 or -ENOMEM. */
	int (*event)(const struct chat_event *event, struct dialect_out *out);
};

enum dialect_id { DIALECT_OBJECT, DIALECT_TEXT };
enum { DIALECTS = DIALECT_TEXT + 1 };

extern const struct dialect *const dialects[DIALECTS];
extern const struct dialect dialect_object, dialect_text;

/* Returns the enum dialect_id of this name, or -EINVAL. */
int dialect_from_name(const char *name);
