/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The object dialect on any message: both ways to read a request find the same, jansson agrees on
 * what is JSON and on what its strings say, and a request comes back from what is written of it.
 * The same bytes are then read as a server's answer, and written again as a reply and an event.
 */

#include <jansson.h>
#include <stdint.h>

#include "fuzz.h"
#include "object.h"
#include "object_members.h"
#include "util.h"

static bool same_text(const char *one, const char *other)
{
	return !one == !other && (!one || strcmp(one, other) == 0);
}

/* Both ways to find the members. */

static void require_same_value(const struct object_value *one, const struct object_value *other)
{
	require(one->kind == other->kind && one->len == other->len);
	require(one->len == 0 || memcmp(one->text, other->text, one->len) == 0);
	require(one->kind != VALUE_NUMBER || one->number == other->number);
}

static void check_ways(struct bytes message)
{
	struct object_members fast, parsed;
	struct payload_error error;
	struct buffer memory = {0};

	if (!object_members_scan(message, &fast))
		return;
	require(object_members_parse(message, &memory, &parsed, &error) == PARSED_OBJECT);
	require(fast.seen == parsed.seen);
	for (int i = 0; i < MEMBERS; i++)
		if (object_members_has(&fast, (enum object_member)i))
			require_same_value(&fast.values[i], &parsed.values[i]);
	buffer_done(&memory);
}

/* What jansson thinks of it. */

static void check_string(const json_t *object, const char *name, const char *text)
{
	require(!text || same_text(json_string_value(json_object_get(object, name)), text));
}

static void check_number(const json_t *object, const char *name, bool has, uint64_t number)
{
	const json_t *value = json_object_get(object, name);

	require(!has || (json_is_integer(value) && (uint64_t)json_integer_value(value) == number));
}

static void check_members(const json_t *object, const struct chat_request *request)
{
	const json_t *with = json_object_get(object, "with");

	check_string(object, "room", request->room);
	check_string(object, "text", request->text);
	check_string(object, "key", request->key);
	check_string(object, "nick", request->nick);
	check_string(object, "user", request->user);
	check_string(object, "password", request->password);
	check_string(object, "address", request->address);
	check_string(object, "reason", request->reason);
	check_number(object, "since", request->has & CHAT_HAS_SINCE, request->since);
	check_number(object, "before", request->has & CHAT_HAS_BEFORE, request->before);
	check_number(object, "after", request->has & CHAT_HAS_AFTER, request->after);
	check_number(object, "limit", request->has & CHAT_HAS_LIMIT, request->limit);
	check_number(object, "duration", request->has & CHAT_HAS_DURATION, request->duration);
	check_number(object, "client", request->has & CHAT_HAS_CLIENT, request->client);
	if (request->op == CHAT_TRANSFORM && !request->error)
		require(json_array_size(with) == request->n_with);
	for (size_t i = 0; i < request->n_with; i++)
		require(same_text(json_string_value(json_array_get(with, i)), request->with[i]));
}

static void check_jansson(struct bytes message, const struct chat_request *request)
{
	json_error_t error;
	json_t *value = NULL, *id;

	/* To jansson a zero byte after the value is the end; it is never JSON. */
	if (!memchr(message.data, '\0', message.len))
		value = json_loadb((const char *)message.data, message.len,
				   JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (!value) /* jansson has limits of its own */
		return;
	require(request->error != CHAT_BAD_JSON);
	require(json_is_object(value) || request->error == CHAT_BAD_REQUEST);
	check_members(value, request);
	if (request->op != (enum chat_op)CHAT_OPS)
		check_string(value, "op", chat_op_name(request->op));
	if (request->id) {
		id = json_loads(request->id, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
		require(json_equal(id, json_object_get(value, "id")));
		json_decref(id);
	}
	json_decref(value);
}

/* What is written. */

static void require_clean(const struct buffer *written)
{
	for (size_t i = 0; i < written->len; i++)
		require(written->data[i] >= ' ' && written->data[i] != 0x7F);
}

static void check_written(const struct chat_request *request)
{
	struct buffer once = {0}, twice = {0};
	struct chat_request *again;

	require(object_write_request(&once, request) == 0);
	require_clean(&once);
	require(object_read_request((struct bytes){once.data, once.len}, &again) == 0);
	require(again->error == CHAT_OK && again->op == request->op);
	require(same_text(again->text, request->text) && again->text_len == request->text_len);
	require(same_text(again->id, request->id) && again->has == request->has);
	require(object_write_request(&twice, again) == 0);
	require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	free(again);
	buffer_done(&once);
	buffer_done(&twice);
}

/* Any request gets a reply, and that is one which clients understand. */
static void check_reply(const struct chat_request *request)
{
	const struct chat_reply reply = {
		.op = request->op,
		.id = request->id,
		.error = request->error,
		.message = request->complaint,
		.room = request->room,
		.text = request->text,
		.text_len = request->text_len,
	};
	struct object_answer answer;
	struct buffer written = {0};
	int r;

	require(object_write_reply(&written, &reply) == 0);
	require_clean(&written);
	r = object_read_answer((struct bytes){written.data, written.len}, &answer);
	/* An id may be a number that only we echo, or hold a NUL. */
	require(r == 0 || (r == -EBADMSG && request->id));
	if (r == 0) {
		require(!answer.is_event && answer.reply.error == request->error);
		require(same_text(answer.reply.message, request->complaint));
		object_answer_done(&answer);
	}
	buffer_done(&written);
}

static void check_answer(struct bytes message)
{
	struct object_answer answer, again;
	struct buffer written = {0};

	if (object_read_answer(message, &answer) < 0)
		return;
	if (answer.is_event) {
		require(object_write_event(&written, &answer.event) == 0);
		require_clean(&written);
		require(object_read_answer((struct bytes){written.data, written.len}, &again) == 0);
		require(again.is_event && again.event.kind == answer.event.kind);
		require(same_text(again.event.message.text, answer.event.message.text));
		require(again.event.message.time == answer.event.message.time);
		object_answer_done(&again);
	}
	object_answer_done(&answer);
	buffer_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Nobody writes to a message, whatever the type of its window. */
	const struct bytes message = {(uint8_t *)data, size};
	struct chat_request *request;

	check_ways(message);
	require(object_read_request(message, &request) == 0);
	require(!request->error == !request->complaint);
	check_jansson(message, request);
	if (!request->error)
		check_written(request);
	check_reply(request);
	free(request);
	check_answer(message);
	return 0;
}
