/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Makes requests of objects: what members each op has, of what types and within what bounds, and
 * what is said when they are otherwise. How the members are found in the text is the business of
 * lib/object_members.c.
 */

#include "object.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "object_members.h"
#include "suggest.h"
#include "text.h"
#include "util.h"

enum {
	COMPLAINT_MAX = 256,
	SHOWN_MAX = 32, /* bytes of an unknown op that a complaint repeats */
};

#define BIT(member) (1u << MEMBER_##member)

/* What members an op has. Others are ignored. */
static const struct rule {
	unsigned needs;	 /* all of these */
	unsigned one_of; /* exactly one of these */
	unsigned takes;	 /* any of these */
} rules[CHAT_OPS] = {
	[CHAT_HELLO] = {.needs = BIT(NICK), .takes = BIT(USER) | BIT(PASSWORD)},
	[CHAT_TRANSFORM] = {.needs = BIT(WITH) | BIT(TEXT)},
	[CHAT_JOIN] = {.needs = BIT(ROOM), .takes = BIT(SINCE)},
	[CHAT_LEAVE] = {.needs = BIT(ROOM)},
	[CHAT_SAY] = {.needs = BIT(ROOM) | BIT(TEXT), .takes = BIT(KEY)},
	[CHAT_HISTORY] = {.needs = BIT(ROOM), .takes = BIT(BEFORE) | BIT(AFTER) | BIT(LIMIT)},
	[CHAT_TOPIC] = {.needs = BIT(ROOM) | BIT(TEXT)},
	[CHAT_WHO] = {.takes = BIT(ROOM)},
	[CHAT_PING] = {.takes = BIT(TEXT)},
	[CHAT_KICK] = {.one_of = BIT(NICK) | BIT(USER) | BIT(CLIENT),
		       .takes = BIT(ROOM) | BIT(REASON)},
	[CHAT_BAN] = {.one_of = BIT(NICK) | BIT(USER) | BIT(ADDRESS),
		      .takes = BIT(DURATION) | BIT(REASON)},
	[CHAT_UNBAN] = {.one_of = BIT(NICK) | BIT(USER) | BIT(ADDRESS)},
	[CHAT_MUTE] = {.one_of = BIT(NICK) | BIT(USER) | BIT(ADDRESS),
		       .takes = BIT(DURATION) | BIT(REASON)},
	[CHAT_UNMUTE] = {.one_of = BIT(NICK) | BIT(USER) | BIT(ADDRESS)},
};

/* Where a member goes, and of numbers, within what bounds. */
static const struct field {
	size_t offset; /* in struct chat_request */
	enum value_kind kind;
	unsigned has;
	uint64_t least, most;
} fields[MEMBERS] = {
#define STRING(member)                                                       \
	{                                                                    \
		offsetof(struct chat_request, member), VALUE_STRING, 0, 0, 0 \
	}
#define NUMBER(member, has, ...)                                                      \
	{                                                                             \
		offsetof(struct chat_request, member), VALUE_NUMBER, has, __VA_ARGS__ \
	}
	[MEMBER_ROOM] = STRING(room),
	[MEMBER_TEXT] = STRING(text),
	[MEMBER_KEY] = STRING(key),
	[MEMBER_NICK] = STRING(nick),
	[MEMBER_USER] = STRING(user),
	[MEMBER_PASSWORD] = STRING(password),
	[MEMBER_ADDRESS] = STRING(address),
	[MEMBER_REASON] = STRING(reason),
	[MEMBER_SINCE] = NUMBER(since, CHAT_HAS_SINCE, 0, INT64_MAX),
	[MEMBER_BEFORE] = NUMBER(before, CHAT_HAS_BEFORE, 0, INT64_MAX),
	[MEMBER_AFTER] = NUMBER(after, CHAT_HAS_AFTER, 0, INT64_MAX),
	[MEMBER_LIMIT] = NUMBER(limit, CHAT_HAS_LIMIT, 1, CHAT_HISTORY_MAX),
	[MEMBER_DURATION] = NUMBER(duration, CHAT_HAS_DURATION, 1, CHAT_DURATION_MAX),
	[MEMBER_CLIENT] = NUMBER(client, CHAT_HAS_CLIENT, 0, INT64_MAX),
#undef STRING
#undef NUMBER
	[MEMBER_WITH] = {.kind = VALUE_STRINGS},
};

/* A request on its way. */
struct reading {
	enum chat_op op; /* CHAT_OPS: not known */
	enum chat_error error;
	unsigned used; /* members that the op has and that are there */
	bool has_id;
	char complaint[COMPLAINT_MAX]; /* of an error */
	struct object_members members;
};

/* Says what is wrong, unless something was before. */
static PRINTF(3, 4) void complain(struct reading *reading, enum chat_error error,
				  const char *format, ...)
{
	va_list arguments;

	if (reading->error)
		return;
	reading->error = error;
	va_start(arguments, format);
	(void)vsnprintf(reading->complaint, sizeof(reading->complaint), format, arguments);
	va_end(arguments);
}

static void check_string(struct reading *reading, enum object_member member)
{
	const struct object_value *value = &reading->members.values[member];
	const char *name = object_member_name(member);

	if (value->kind != VALUE_STRING)
		complain(reading, CHAT_BAD_REQUEST, "\"%s\" has to be a string", name);
	else if (value->len > 0 && memchr(value->text, '\0', value->len))
		complain(reading, CHAT_BAD_REQUEST, "\"%s\" holds a NUL", name);
	else if (member == MEMBER_KEY && (value->len < 1 || value->len > CHAT_KEY_MAX))
		complain(reading, CHAT_BAD_REQUEST, "\"%s\" has to be 1 to %d bytes long", name,
			 CHAT_KEY_MAX);
}

static void check_number(struct reading *reading, enum object_member member)
{
	const struct object_value *value = &reading->members.values[member];
	const struct field *field = &fields[member];

	if (value->kind != VALUE_NUMBER || value->number < field->least ||
	    value->number > field->most)
		complain(reading, CHAT_BAD_REQUEST,
			 "\"%s\" has to be a whole number from %llu to %llu",
			 object_member_name(member), (unsigned long long)field->least,
			 (unsigned long long)field->most);
}

static void check_strings(struct reading *reading, enum object_member member)
{
	const struct object_members *members = &reading->members;

	if (members->values[member].kind != VALUE_STRINGS) {
		complain(reading, CHAT_BAD_REQUEST, "\"%s\" has to be a list of at most %d strings",
			 object_member_name(member), CHAT_WITH_MAX);
		return;
	}
	for (size_t i = 0; i < members->n_with; i++)
		if (members->with[i].len > 0 &&
		    memchr(members->with[i].text, '\0', members->with[i].len))
			complain(reading, CHAT_BAD_REQUEST, "\"%s\" holds a NUL",
				 object_member_name(member));
}

static void check_member(struct reading *reading, enum object_member member)
{
	switch (fields[member].kind) {
	case VALUE_STRING:
		check_string(reading, member);
		break;
	case VALUE_NUMBER:
		check_number(reading, member);
		break;
	default:
		check_strings(reading, member);
	}
}

/* Says of which members there has to be one. */
static void complain_choice(struct reading *reading, unsigned one_of)
{
	char choice[COMPLAINT_MAX / 2] = "";
	size_t len = 0;

	for (unsigned left = one_of; left; left &= left - 1) {
		const char *between = left == one_of ? "" : left & (left - 1) ? ", " : " and ";

		len += (size_t)snprintf(
			choice + len, sizeof(choice) - len, "%s\"%s\"", between,
			object_member_name((enum object_member)__builtin_ctz(left)));
	}
	complain(reading, CHAT_BAD_REQUEST, "\"%s\" needs one, and only one, of %s",
		 chat_op_name(reading->op), choice);
}

/* Holds the members against the op's rule. */
static void check_members(struct reading *reading)
{
	const struct rule *rule = &rules[reading->op];
	const unsigned seen = reading->members.seen, missing = rule->needs & ~seen;

	if (missing) {
		complain(reading, CHAT_BAD_REQUEST, "\"%s\" needs a member \"%s\"",
			 chat_op_name(reading->op),
			 object_member_name((enum object_member)__builtin_ctz(missing)));
		return;
	}
	if (rule->one_of && __builtin_popcount(rule->one_of & seen) != 1) {
		complain_choice(reading, rule->one_of);
		return;
	}
	reading->used = (rule->needs | rule->one_of | rule->takes) & seen;
	for (unsigned left = reading->used; left; left &= left - 1)
		check_member(reading, (enum object_member)__builtin_ctz(left));
}

static void complain_op(struct reading *reading, const struct object_value *value)
{
	size_t shown = MIN(value->len, (size_t)SHOWN_MAX), closest = 3;
	char name[SHOWN_MAX + 1];
	const char *meant = NULL;

	shown -= text_cut_suffix((const uint8_t *)value->text, shown);
	memcpy(name, value->text, shown);
	name[shown] = '\0';
	/* Other letters than half of the name are another word. */
	for (int op = 0; op < CHAT_OPS; op++) {
		const char *other = chat_op_name((enum chat_op)op);
		size_t distance = suggest_distance(name, other);

		if (distance < closest && 2 * distance <= strlen(other)) {
			closest = distance;
			meant = other;
		}
	}
	if (meant)
		complain(reading, CHAT_UNKNOWN_OP, "there is no op \"%s\"; did you mean \"%s\"?",
			 name, meant);
	else
		complain(reading, CHAT_UNKNOWN_OP, "there is no op \"%s%s\"", name,
			 shown < value->len ? "…" : "");
}

static void check_op(struct reading *reading)
{
	const struct object_value *value = &reading->members.values[MEMBER_OP];
	int op;

	if (!object_members_has(&reading->members, MEMBER_OP)) {
		complain(reading, CHAT_BAD_REQUEST, "a request needs a member \"op\"");
		return;
	}
	check_string(reading, MEMBER_OP);
	if (reading->error)
		return;
	op = chat_op_from_name(value->text, value->len);
	if (op >= 0)
		reading->op = (enum chat_op)op;
	else
		complain_op(reading, value);
}

static void check_id(struct reading *reading)
{
	if (!object_members_has(&reading->members, MEMBER_ID))
		return;
	reading->has_id = reading->members.values[MEMBER_ID].kind <= VALUE_INTEGER;
	if (!reading->has_id)
		complain(reading, CHAT_BAD_REQUEST, "\"id\" has to be a string or a whole number");
}

/* Copies a string to *at, with a NUL behind it, and passes it. */
static const char *put_string(char **at, const char *text, size_t len)
{
	char *start = *at;

	memcpy(start, text, len);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

static void put_member(struct chat_request *request, const struct object_members *members,
		       enum object_member member, char **at)
{
	const struct object_value *value = &members->values[member];
	const struct field *field = &fields[member];
	void *place = (char *)request + field->offset;

	if (field->kind == VALUE_STRING) {
		*(const char **)place = put_string(at, value->text, value->len);
		if (member == MEMBER_TEXT)
			request->text_len = value->len;
	} else if (field->kind == VALUE_NUMBER) {
		*(uint64_t *)place = value->number;
		request->has |= field->has;
	} else {
		for (size_t i = 0; i < members->n_with; i++)
			request->with[i] =
				put_string(at, members->with[i].text, members->with[i].len);
		request->n_with = members->n_with;
	}
}

/*
 * Makes the request, with id as JSON text. size is that of the message: no string in it is longer
 * than what stands for it there, with the quotes that make room for its NUL.
 */
static int make_request(const struct reading *reading, size_t size, const char *id, size_t id_len,
			struct chat_request **ret_request)
{
	const size_t complaint_len = reading->error ? strlen(reading->complaint) : 0;
	struct chat_request *request =
		malloc(sizeof(*request) + size + id_len + 1 + complaint_len + 1);
	char *at;

	if (!request)
		return -ENOMEM;
	*request = (struct chat_request){.op = reading->op, .error = reading->error};
	at = (char *)(request + 1);
	if (reading->has_id)
		request->id = put_string(&at, id, id_len);
	if (reading->error)
		request->complaint = put_string(&at, reading->complaint, complaint_len);
	else
		for (unsigned left = reading->used; left; left &= left - 1)
			put_member(request, &reading->members,
				   (enum object_member)__builtin_ctz(left), &at);
	*ret_request = request;
	return 0;
}

/* A string's id has to be written as JSON again. */
static int make_request_of_string_id(const struct reading *reading, size_t size,
				     struct chat_request **ret_request)
{
	const struct object_value *value = &reading->members.values[MEMBER_ID];
	CLEANUP(buffer_done) struct buffer id = {0};
	int r;

	r = object_append_string(&id, value->text, value->len);
	if (r < 0)
		return r;
	return make_request(reading, size, (const char *)id.data, id.len, ret_request);
}

/* Reads the members the slow way. Returns what object_members_parse() does. */
static int parse_members(struct reading *reading, struct bytes message, struct buffer *memory)
{
	struct payload_error error;
	int parsed = object_members_parse(message, memory, &reading->members, &error);

	if (parsed == PARSED_NO_OBJECT)
		complain(reading, CHAT_BAD_REQUEST, "a request has to be an object");
	else if (parsed == PARSED_NO_JSON)
		complain(reading, CHAT_BAD_JSON, "%s at byte %zu", error.reason, error.position);
	return parsed;
}

int object_read_request(struct bytes message, struct chat_request **ret_request)
{
	CLEANUP(buffer_done) struct buffer memory = {0};
	const struct object_value *id;
	struct reading reading;
	int parsed = PARSED_OBJECT;

	reading.op = (enum chat_op)CHAT_OPS;
	reading.error = CHAT_OK;
	reading.used = 0;
	reading.has_id = false;
	if (!object_members_scan(message, &reading.members))
		parsed = parse_members(&reading, message, &memory);
	if (parsed < 0)
		return parsed;
	if (parsed == PARSED_OBJECT) {
		check_op(&reading);
		check_id(&reading);
		if (!reading.error)
			check_members(&reading);
	}

	id = &reading.members.values[MEMBER_ID];
	if (reading.has_id && id->kind == VALUE_STRING)
		return make_request_of_string_id(&reading, message.len, ret_request);
	if (reading.has_id)
		return make_request(&reading, message.len, id->text, id->len, ret_request);
	return make_request(&reading, message.len, "", 0, ret_request);
}
