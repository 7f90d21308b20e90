/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the chat service of retort-protocol(7) speaks of, whatever bytes a dialect makes of it:
 * requests, replies, events, and the tokens of errors. Strings are UTF-8, end in NUL and hold none;
 * NULL is "not given". Pure data.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chat_op {
	CHAT_HELLO,
	CHAT_TRANSFORM,
	CHAT_JOIN,
	CHAT_LEAVE,
	CHAT_SAY,
	CHAT_HISTORY,
	CHAT_TOPIC,
	CHAT_WHO,
	CHAT_ROOMS,
	CHAT_PING,
	/* for administrators */
	CHAT_STATS,
	CHAT_CLIENTS,
	CHAT_KICK,
	CHAT_BAN,
	CHAT_UNBAN,
	CHAT_MUTE,
	CHAT_UNMUTE,
	/* for administrators, on the control socket only */
	CHAT_RELOAD,
	CHAT_HEALTH,
};
enum { CHAT_OPS = CHAT_HEALTH + 1 };

enum chat_error {
	CHAT_OK,
	CHAT_BAD_JSON,
	CHAT_BAD_REQUEST,
	CHAT_UNKNOWN_OP,
	CHAT_BAD_NAME,
	CHAT_NICK_IN_USE,
	CHAT_NO_SUCH_ROOM,
	CHAT_NO_SUCH_NICK,
	CHAT_NOT_MEMBER,
	CHAT_NOT_ALLOWED,
	CHAT_AUTH_FAILED,
	CHAT_AUTH_REQUIRED,
	CHAT_TOO_LONG,
	CHAT_TOO_MANY_ROOMS,
	CHAT_SLOW_DOWN,
	CHAT_STORAGE,
	CHAT_MUTED,
	CHAT_SHUTTING_DOWN,
	CHAT_NOT_RELOADED, /* the configuration is wrong; the old one is in effect */
};
enum { CHAT_ERRORS = CHAT_NOT_RELOADED + 1 };

/* As they are on the wire: "say", "no_such_room"; CHAT_OK has none. */
const char *chat_op_name(enum chat_op op);
const char *chat_error_token(enum chat_error error);

/* Return the enum value of this name, or -EINVAL. */
int chat_op_from_name(const char *name, size_t len);
int chat_error_from_token(const char *token);

enum {
	CHAT_KEY_MAX = 64,	   /* bytes of a key, 1 or more */
	CHAT_KEYS_KEPT = 10000,	   /* messages of a room within which a key is known again */
	CHAT_HISTORY_MAX = 1000,   /* messages that one history reply holds */
	CHAT_HISTORY_DEFAULT = 50, /* likewise, when the request does not say */
	CHAT_WITH_MAX = 16,	   /* transforms in one request */
	CHAT_ENVELOPE = 1024, /* bytes that any dialect puts around a message's text, at the most */
};

/* Seconds of a ban or mute that ends, 1 or more: a hundred years. */
#define CHAT_DURATION_MAX UINT64_C(3155760000)

/* Members that a request has beyond its strings. */
enum {
	CHAT_HAS_SINCE = 1 << 0,
	CHAT_HAS_BEFORE = 1 << 1,
	CHAT_HAS_AFTER = 1 << 2,
	CHAT_HAS_LIMIT = 1 << 3,
	CHAT_HAS_DURATION = 1 << 4,
	CHAT_HAS_CLIENT = 1 << 5,
};

/*
 * One request, in one piece of memory of malloc(), strings and all: free() is enough. One that
 * cannot be obeyed has an error, and of all else only op and id, as far as they could be made out;
 * op is CHAT_OPS otherwise.
 */
struct chat_request {
	enum chat_op op;
	enum chat_error error;
	const char *complaint; /* of an error, for a person */
	unsigned has;	       /* CHAT_HAS_… */
	const char *id;	       /* as JSON text, to be echoed */
	const char *room, *text, *key, *nick, *user, *password, *address, *reason;
	size_t text_len;
	uint64_t since, before, after, limit;
	uint64_t duration; /* seconds; of a ban or mute */
	uint64_t client;   /* a client's number */
	const char *with[CHAT_WITH_MAX];
	size_t n_with;
};

/* A message as it stands in a room's log. */
struct chat_message {
	uint64_t seq;
	uint64_t time;	  /* milliseconds since 1970, UTC */
	const char *from; /* the nick */
	const char *user; /* NULL: a guest */
	const char *unit; /* NULL: not a systemd service */
	const char *text;
	size_t text_len;
};

struct chat_member {
	const char *nick, *user, *unit;
	uint64_t since; /* milliseconds since 1970 */
};

struct chat_room {
	const char *room, *topic;
	uint64_t seq, members;
};

struct chat_limits {
	uint64_t max_message, max_text, max_topic, max_rooms; /* bytes; rooms of one client */
	uint64_t rate, burst;				      /* messages a second; 0: no limit */
};

/* One reply. What stands below error is set as op has it; nothing is owned. */
struct chat_reply {
	enum chat_op op;
	const char *id;
	enum chat_error error;
	const char *token;    /* of an error that was read, as it came; else NULL */
	const char *message;  /* of an error, for a person */
	uint64_t retry_after; /* milliseconds; of CHAT_SLOW_DOWN */

	const char *nick, *user, *server, *version; /* hello */
	const struct chat_limits *limits;
	const char *const *transforms; /* NULL at the end */

	const char *room, *topic, *text; /* text_len bytes of text */
	size_t text_len;
	uint64_t seq, oldest, n_members;
	uint64_t time;
	bool duplicate;

	const struct chat_member *members; /* who; members_len of them */
	const struct chat_room *rooms;
	const struct chat_message *messages; /* history */
	size_t members_len, rooms_len, messages_len;

	/* stats, clients, health: further members of the reply, as JSON text: "name":value,… */
	const char *json;
};

enum chat_event_kind {
	CHAT_EVENT_MESSAGE,
	CHAT_EVENT_JOIN,
	CHAT_EVENT_LEAVE,
	CHAT_EVENT_TOPIC,
	CHAT_EVENT_GAP,
	CHAT_EVENT_CLOSING,
};
enum { CHAT_EVENTS = CHAT_EVENT_CLOSING + 1 };

const char *chat_event_name(enum chat_event_kind kind);

/* One event; nothing is owned. */
struct chat_event {
	enum chat_event_kind kind;
	const char *room;
	struct chat_message message; /* of CHAT_EVENT_MESSAGE */
	const char *nick;	     /* join, leave, topic */
	const char *text;	     /* topic */
	const char *reason;	     /* leave, closing; may be NULL */
	uint64_t first, last;	     /* gap */
	bool reconnect;		     /* closing */
};

enum { CHAT_TIME_SIZE = 32 };

/* Writes milliseconds since 1970 as RFC 3339 has it: 2026-11-22T15:04:05.678Z. Returns text. */
const char *chat_time_format(uint64_t time, char text[static CHAT_TIME_SIZE]);

/* Reads what chat_time_format() wrote, and any time of RFC 3339. Returns 0 or -EINVAL. */
int chat_time_parse(const char *text, uint64_t *ret_time);
