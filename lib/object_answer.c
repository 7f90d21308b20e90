/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads what a server sends, for clients: a tree of jansson's, whose strings the answer borrows. A
 * reply does not say what it replies to, so that its members are taken by name and type; what is of
 * another type than we know under this name belongs to an op whose reply is read as JSON.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "object.h"
#include "util.h"

/* What an answer borrows from. */
struct memory {
	json_t *root;
	char *id, *json;
	struct chat_limits limits;
	const char **transforms;
	struct chat_member *members;
	struct chat_room *rooms;
	struct chat_message *messages;
};

static void memory_free(struct memory *memory)
{
	if (!memory)
		return;
	json_decref(memory->root);
	free(memory->id);
	free(memory->json);
	free(memory->transforms);
	free(memory->members);
	free(memory->rooms);
	free(memory->messages);
	free(memory);
}

static void memory_freep(struct memory **memory)
{
	memory_free(*memory);
}

void object_answer_done(struct object_answer *answer)
{
	memory_free(answer->memory);
	*answer = (struct object_answer){0};
}

/* Each returns whether the value is of this type, and takes it. */

static bool take_string(const json_t *value, const char **ret_string)
{
	if (!json_is_string(value))
		return false;
	*ret_string = json_string_value(value);
	return true;
}

static bool take_text(const json_t *value, const char **ret_text, size_t *ret_len)
{
	if (!take_string(value, ret_text))
		return false;
	*ret_len = json_string_length(value);
	return true;
}

static bool take_number(const json_t *value, uint64_t *ret_number)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_number = (uint64_t)json_integer_value(value);
	return true;
}

static bool take_bool(const json_t *value, bool *ret_bool)
{
	if (!json_is_boolean(value))
		return false;
	*ret_bool = json_is_true(value);
	return true;
}

static bool take_time(const json_t *value, uint64_t *ret_time)
{
	return json_is_string(value) && chat_time_parse(json_string_value(value), ret_time) == 0;
}

/* Of a string that may be null or left out. */
static bool take_optional(const json_t *value, const char **ret_string)
{
	return !value || json_is_null(value) || take_string(value, ret_string);
}

static bool take_seconds(const json_t *value, uint64_t *ret_ms)
{
	double seconds = json_number_value(value);

	if (!json_is_number(value) || seconds < 0 || seconds > (double)CHAT_DURATION_MAX)
		return false;
	*ret_ms = (uint64_t)(seconds * 1000 + 0.5);
	return true;
}

/* Lists. Each reads one element; what is no such element makes the whole answer a bad one. */

static bool read_member(const json_t *from, struct chat_member *to)
{
	return take_string(json_object_get(from, "nick"), &to->nick) &&
	       take_optional(json_object_get(from, "user"), &to->user) &&
	       take_optional(json_object_get(from, "unit"), &to->unit) &&
	       take_time(json_object_get(from, "since"), &to->since);
}

static bool read_room(const json_t *from, struct chat_room *to)
{
	return take_string(json_object_get(from, "room"), &to->room) &&
	       take_number(json_object_get(from, "seq"), &to->seq) &&
	       take_number(json_object_get(from, "members"), &to->members) &&
	       take_optional(json_object_get(from, "topic"), &to->topic);
}

static bool read_message(const json_t *from, struct chat_message *to)
{
	return take_number(json_object_get(from, "seq"), &to->seq) &&
	       take_time(json_object_get(from, "time"), &to->time) &&
	       take_string(json_object_get(from, "from"), &to->from) &&
	       take_text(json_object_get(from, "text"), &to->text, &to->text_len) &&
	       take_optional(json_object_get(from, "user"), &to->user) &&
	       take_optional(json_object_get(from, "unit"), &to->unit);
}

/*
 * Defines read_LISTs(), which makes an array of TYPE of a list of JSON with read_LIST(). Each
 * returns 0, -EBADMSG or -ENOMEM, with *ret_array to be freed even then.
 */
#define DEFINE_LIST(list, type)                                                          \
	static int read_##list##s(const json_t *from, type **ret_array, size_t *ret_len) \
	{                                                                                \
		const size_t len = json_array_size(from);                                \
		type *array = calloc(MAX(len, (size_t)1), sizeof(*array));               \
                                                                                         \
		if (!array)                                                              \
			return -ENOMEM;                                                  \
		*ret_array = array;                                                      \
		*ret_len = len;                                                          \
		for (size_t i = 0; i < len; i++)                                         \
			if (!read_##list(json_array_get(from, i), &array[i]))            \
				return -EBADMSG;                                         \
		return 0;                                                                \
	}

DEFINE_LIST(member, struct chat_member)
DEFINE_LIST(room, struct chat_room)
DEFINE_LIST(message, struct chat_message)

static int read_transforms(const json_t *from, struct memory *memory)
{
	const size_t len = json_array_size(from);

	memory->transforms = calloc(len + 1, sizeof(*memory->transforms));
	if (!memory->transforms)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		if (!take_string(json_array_get(from, i), &memory->transforms[i]))
			return -EBADMSG;
	return 0;
}

/* Servers have not always told all of them, and will tell more. */
static bool read_limits(const json_t *from, struct chat_limits *to)
{
	const struct {
		const char *name;
		uint64_t *place;
	} limits[] = {
		{"max_message", &to->max_message},
		{"max_text", &to->max_text},
		{"max_topic", &to->max_topic},
		{"max_rooms", &to->max_rooms},
		{"rate", &to->rate},
		{"burst", &to->burst},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const json_t *value = json_object_get(from, limits[i].name);

		if (value && !take_number(value, limits[i].place))
			return false;
	}
	return true;
}

/* Replies. */

/* A member of a reply that is a list or an object. Returns 1 when it is none of those we know. */
static int read_composite(struct chat_reply *reply, struct memory *memory, const char *name,
			  const json_t *value)
{
	int r = 1;

	if (json_is_array(value) && strcmp(name, "members") == 0) {
		r = read_members(value, &memory->members, &reply->members_len);
		reply->members = memory->members;
	} else if (json_is_array(value) && strcmp(name, "rooms") == 0) {
		r = read_rooms(value, &memory->rooms, &reply->rooms_len);
		reply->rooms = memory->rooms;
	} else if (json_is_array(value) && strcmp(name, "messages") == 0) {
		r = read_messages(value, &memory->messages, &reply->messages_len);
		reply->messages = memory->messages;
	} else if (json_is_array(value) && strcmp(name, "transforms") == 0) {
		r = read_transforms(value, memory);
		reply->transforms = memory->transforms;
	} else if (json_is_object(value) && strcmp(name, "limits") == 0) {
		r = read_limits(value, &memory->limits) ? 0 : -EBADMSG;
		reply->limits = &memory->limits;
	}
	return r;
}

/* A member of a reply that is neither. Returns whether it is one that we know. */
static bool read_scalar(struct chat_reply *reply, const char *name, const json_t *value)
{
	const struct {
		const char *name, **place;
	} strings[] = {
		{"nick", &reply->nick},	      {"user", &reply->user}, {"server", &reply->server},
		{"version", &reply->version}, {"room", &reply->room}, {"topic", &reply->topic},
	};
	const struct {
		const char *name;
		uint64_t *place;
	} numbers[] = {
		{"seq", &reply->seq},
		{"oldest", &reply->oldest},
		{"members", &reply->n_members},
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (strcmp(name, strings[i].name) == 0)
			return take_optional(value, strings[i].place);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (strcmp(name, numbers[i].name) == 0)
			return take_number(value, numbers[i].place);
	if (strcmp(name, "text") == 0)
		return take_text(value, &reply->text, &reply->text_len);
	if (strcmp(name, "time") == 0)
		return take_time(value, &reply->time);
	return strcmp(name, "duplicate") == 0 && take_bool(value, &reply->duplicate);
}

/* Writes the members of an object as JSON text, without its brackets. */
static char *members_as_json(const json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT);

	if (text) {
		size_t len = strlen(text);

		memmove(text, text + 1, len - 2);
		text[len - 2] = '\0';
	}
	return text;
}

static int read_result(struct chat_reply *reply, struct memory *memory)
{
	bool known = true;
	const char *name;
	json_t *value;

	(void)json_object_del(memory->root, "ok"); /* it is there, and was looked at */
	json_object_foreach(memory->root, name, value) {
		int r;

		if (read_scalar(reply, name, value))
			continue;
		r = read_composite(reply, memory, name, value);
		if (r < 0)
			return r;
		known = known && r == 0;
	}
	if (known)
		return 0;
	memory->json = members_as_json(memory->root);
	reply->json = memory->json;
	return memory->json ? 0 : -ENOMEM;
}

static int read_error(struct chat_reply *reply, const json_t *root)
{
	const json_t *retry_after = json_object_get(root, "retry_after");
	int error;

	if (!take_string(json_object_get(root, "error"), &reply->token) ||
	    !take_string(json_object_get(root, "message"), &reply->message))
		return -EBADMSG;
	error = chat_error_from_token(reply->token);
	reply->error = error < 0 ? (enum chat_error)CHAT_ERRORS : (enum chat_error)error;
	if (retry_after && !take_seconds(retry_after, &reply->retry_after))
		return -EBADMSG;
	return 0;
}

/* Takes the id out of the object, as JSON text. */
static int read_id(struct memory *memory, const char **ret_id)
{
	json_t *id = json_object_get(memory->root, "id");

	if (!id)
		return 0;
	if (json_is_string(id)) {
		struct buffer text = {0};
		int r = object_append_string(&text, json_string_value(id), json_string_length(id));

		if (r == 0)
			r = buffer_append(&text, "", 1);
		memory->id = (char *)text.data;
		if (r < 0)
			return r;
	} else if (json_is_integer(id)) {
		memory->id = json_dumps(id, JSON_ENCODE_ANY);
	} else {
		return -EBADMSG;
	}
	if (!memory->id)
		return -ENOMEM;
	*ret_id = memory->id;
	(void)json_object_del(memory->root, "id"); /* it is there */
	return 0;
}

static int read_reply(struct chat_reply *reply, struct memory *memory)
{
	bool ok;
	int r;

	*reply = (struct chat_reply){.op = (enum chat_op)CHAT_OPS};
	if (!take_bool(json_object_get(memory->root, "ok"), &ok))
		return -EBADMSG;
	r = read_id(memory, &reply->id);
	if (r < 0)
		return r;
	return ok ? read_result(reply, memory) : read_error(reply, memory->root);
}

/* Events. */

static int kind_from_name(const char *name)
{
	for (int kind = 0; kind < CHAT_EVENTS; kind++)
		if (strcmp(chat_event_name((enum chat_event_kind)kind), name) == 0)
			return kind;
	return -ENOMSG;
}

/* The members that an event of this kind has. */
static bool read_event_members(struct chat_event *event, const json_t *root)
{
	const json_t *nick = json_object_get(root, "nick"), *text = json_object_get(root, "text"),
		     *reason = json_object_get(root, "reason");

	switch (event->kind) {
	case CHAT_EVENT_MESSAGE:
		return read_message(root, &event->message);
	case CHAT_EVENT_JOIN:
	case CHAT_EVENT_LEAVE:
		return take_string(nick, &event->nick) && take_optional(reason, &event->reason);
	case CHAT_EVENT_TOPIC:
		return take_string(nick, &event->nick) && take_string(text, &event->text);
	case CHAT_EVENT_GAP:
		return take_number(json_object_get(root, "first"), &event->first) &&
		       take_number(json_object_get(root, "last"), &event->last);
	case CHAT_EVENT_CLOSING:
		return take_optional(reason, &event->reason) &&
		       take_bool(json_object_get(root, "reconnect"), &event->reconnect);
	}
	return false;
}

static int read_event(struct chat_event *event, const json_t *root, const json_t *name)
{
	int kind = json_is_string(name) ? kind_from_name(json_string_value(name)) : -EBADMSG;

	if (kind < 0)
		return kind;
	*event = (struct chat_event){.kind = (enum chat_event_kind)kind};
	if (event->kind != CHAT_EVENT_CLOSING &&
	    !take_string(json_object_get(root, "room"), &event->room))
		return -EBADMSG;
	return read_event_members(event, root) ? 0 : -EBADMSG;
}

int object_read_answer(struct bytes message, struct object_answer *ret_answer)
{
	CLEANUP(memory_freep) struct memory *memory = calloc(1, sizeof(*memory));
	struct object_answer answer = {0};
	json_error_t error;
	const json_t *event;
	int r;

	if (!memory)
		return -ENOMEM;
	memory->root = json_loadb((const char *)message.data, message.len, 0, &error);
	if (!memory->root)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	event = json_object_get(memory->root, "event");
	answer.is_event = event != NULL;
	r = event ? read_event(&answer.event, memory->root, event)
		  : read_reply(&answer.reply, memory);
	if (r < 0)
		return r;
	answer.memory = STEAL(memory);
	*ret_answer = answer;
	return 0;
}
