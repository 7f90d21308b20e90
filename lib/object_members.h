/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The members of a request's object that mean something, found in its JSON text. What they have to
 * be is not decided here. Of a member that is there twice, the last counts. For lib/object.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "chat.h"
#include "payload.h"

enum object_member {
	MEMBER_OP,
	MEMBER_ID,
	MEMBER_ROOM,
	MEMBER_TEXT,
	MEMBER_KEY,
	MEMBER_NICK,
	MEMBER_USER,
	MEMBER_PASSWORD,
	MEMBER_ADDRESS,
	MEMBER_REASON,
	MEMBER_SINCE,
	MEMBER_BEFORE,
	MEMBER_AFTER,
	MEMBER_LIMIT,
	MEMBER_DURATION,
	MEMBER_CLIENT,
	MEMBER_WITH,
};
enum { MEMBERS = MEMBER_WITH + 1 };

const char *object_member_name(enum object_member member);

enum value_kind {
	VALUE_STRING,
	VALUE_NUMBER,  /* a whole number from 0 to INT64_MAX */
	VALUE_INTEGER, /* any other whole number */
	VALUE_STRINGS, /* MEMBER_WITH: a list of up to CHAT_WITH_MAX strings */
	VALUE_OTHER,
};

struct object_value {
	enum value_kind kind;
	uint64_t number; /* of VALUE_NUMBER */
	const char
		*text; /* what a string says, or a whole number as it is written; no NUL ends it */
	size_t len;
};

struct object_members {
	unsigned seen;				 /* a bit for each member that is there */
	struct object_value values[MEMBERS];	 /* of those that are there; the rest is not set */
	struct object_value with[CHAT_WITH_MAX]; /* of VALUE_STRINGS */
	size_t n_with;
};

static inline bool object_members_has(const struct object_members *members,
				      enum object_member member)
{
	return members->seen >> member & 1;
}

/*
 * The fast way, for what nearly all requests are: an object of strings without escapes and of short
 * numbers. Texts are borrowed from message. Returns false for everything else, be it JSON or not;
 * *ret_members is undefined then.
 */
bool object_members_scan(struct bytes message, struct object_members *ret_members);

/* What object_members_parse() found. */
enum parsed {
	PARSED_OBJECT = 1,
	PARSED_NO_OBJECT, /* JSON, but no object */
	PARSED_NO_JSON,
};

/*
 * The way for everything. Texts lie in memory, an empty buffer, for as long as that is left alone.
 * Returns PARSED_OBJECT with *ret_members, PARSED_NO_JSON with *ret_error, PARSED_NO_OBJECT, or
 * -ENOMEM.
 */
int object_members_parse(struct bytes message, struct buffer *memory,
			 struct object_members *ret_members, struct payload_error *ret_error);
