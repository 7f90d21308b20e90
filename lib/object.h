/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The object dialect of the chat service: requests, replies and events as JSON objects (RFC 8259),
 * read and written, for the daemon's side and for the client's. Pure; framing is not its business.
 * What is written is compact, on one line, and without a control character.
 */

#include "bytes.h"
#include "chat.h"

/*
 * Reads a request. One that is no JSON, no object, of an unknown op, or has a member of a wrong
 * type, out of range, or missing, is a request with an error: CHAT_BAD_JSON, CHAT_UNKNOWN_OP,
 * CHAT_BAD_REQUEST. Names are taken as they come: whether they are legal is not decided here.
 * Members that the op does not have are ignored, whatever they hold; of one that is there twice the
 * last counts. Returns 0 with a new *ret_request, for the caller to free(), or -ENOMEM.
 */
int object_read_request(struct bytes message, struct chat_request **ret_request);

/* Append one object to buffer. Return 0, or -ENOMEM with the buffer as it was. */
int object_write_request(struct buffer *buffer, const struct chat_request *request);
int object_write_reply(struct buffer *buffer, const struct chat_reply *reply);
int object_write_event(struct buffer *buffer, const struct chat_event *event);

/* Appends text as a JSON string, quotes and all; invalid UTF-8 becomes U+FFFD. 0 or -ENOMEM. */
int object_append_string(struct buffer *buffer, const char *text, size_t len);

/*
 * What a client gets: a reply or an event, in one object that owns its memory. A reply does not say
 * what it replies to: its op is CHAT_OPS, and what members it has is seen from what is set. An
 * error that is not known is CHAT_ERRORS; limits that are not said are 0. When it has any that
 * struct chat_reply has no place for, as those to administrators have, json holds all of its
 * members beyond id and ok.
 */
struct object_answer {
	bool is_event;
	union {
		struct chat_reply reply;
		struct chat_event event;
	};
	void *memory; /* what the strings and arrays lie in */
};

/*
 * Reads what a server sends. Returns 0 with *ret_answer; -EBADMSG for what is neither a reply nor
 * an event that is known, or has no such types; or -ENOMEM. An event that is not known is -ENOMSG,
 * to be ignored.
 */
int object_read_answer(struct bytes message, struct object_answer *ret_answer);
void object_answer_done(struct object_answer *answer);
