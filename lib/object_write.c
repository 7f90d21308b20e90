/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes JSON objects by hand, since one is written for each message that is said: runs of what
 * needs no escape are copied as they are, and room for all of it is usually made once. What cannot
 * be written is remembered and told at the end, when the buffer becomes what it was.
 */

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistr.h>

#include "object.h"
#include "text.h"
#include "util.h"

enum {
	USUAL = 384,	 /* bytes of an object beside its text: room to begin with */
	DIGITS_MAX = 20, /* of a number of 64 bits */
};

struct writer {
	struct buffer *buffer;
	size_t before; /* bytes of the buffer that are not ours */
	bool failed;
};

static struct writer writer_begin(struct buffer *buffer, size_t text_len)
{
	struct writer writer = {.buffer = buffer, .before = buffer->len};

	writer.failed = text_len > SIZE_MAX - USUAL || buffer_reserve(buffer, text_len + USUAL) < 0;
	return writer;
}

static int writer_end(struct writer *writer)
{
	if (!writer->failed)
		return 0;
	writer->buffer->len = writer->before;
	return -ENOMEM;
}

static inline void put(struct writer *writer, const void *data, size_t len)
{
	struct buffer *buffer = writer->buffer;

	if (buffer->size - buffer->len < len && buffer_reserve(buffer, len) < 0) {
		writer->failed = true;
		return;
	}
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

#define PUT(writer, literal) put(writer, literal, sizeof(literal) - 1)

static void put_plain(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static void put_number(struct writer *writer, uint64_t number)
{
	char digits[DIGITS_MAX];
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	put(writer, digits + first, sizeof(digits) - first);
}

/* Strings. */

/*
 * How many bytes at the front of text, which is valid UTF-8, can be copied: up to what has to be
 * escaped, or begins as what has to be: U+0080 to U+00BF, and U+2000 to U+2FFF.
 */
static inline size_t plain_prefix(const uint8_t *text, size_t len)
{
	static const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t word, quotes, backslashes, deletes, c2, e2, stops;

		memcpy(&word, text + i, sizeof(word));
		word = le64toh(word);
		quotes = word ^ ones * '"';
		backslashes = word ^ ones * '\\';
		deletes = word ^ ones * 0x7F;
		c2 = word ^ ones * 0xC2;
		e2 = word ^ ones * 0xE2;
		stops = ((word - ones * ' ') & ~word) | ((quotes - ones) & ~quotes) |
			((backslashes - ones) & ~backslashes) | ((deletes - ones) & ~deletes) |
			((c2 - ones) & ~c2) | ((e2 - ones) & ~e2);
		stops &= ones * 0x80;
		if (stops)
			return i + (size_t)__builtin_ctzll(stops) / 8;
	}
	while (i < len && text[i] >= ' ' && text[i] != '"' && text[i] != '\\' && text[i] != 0x7F &&
	       text[i] != 0xC2 && text[i] != 0xE2)
		i++;
	return i;
}

static void put_escape(struct writer *writer, ucs4_t character)
{
	static const char short_forms[' '] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	static const char digits[] = "0123456789abcdef";
	char escape[] = {'\\',
			 'u',
			 digits[character >> 12 & 15],
			 digits[character >> 8 & 15],
			 digits[character >> 4 & 15],
			 digits[character & 15]};

	if (character == '"' || character == '\\')
		escape[1] = (char)character;
	else if (character < ' ' && short_forms[character])
		escape[1] = short_forms[character];
	put(writer, escape, escape[1] == 'u' ? sizeof(escape) : 2);
}

/* Writes text that is valid UTF-8. */
static void put_valid(struct writer *writer, const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t plain = plain_prefix(text + i, len - i);
		ucs4_t character;
		int size;

		put(writer, text + i, plain);
		i += plain;
		if (i == len)
			break;
		size = u8_mbtoucr(&character, text + i, len - i);
		if (size <= 0)
			break; /* cannot be: it is valid */
		if (character < 0xA0 || character == 0x2028 || character == 0x2029)
			put_escape(writer, character);
		else
			put(writer, text + i, (size_t)size);
		i += (size_t)size;
	}
}

static void put_string(struct writer *writer, const char *string, size_t len)
{
	static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
	const uint8_t *text = (const uint8_t *)string;

	PUT(writer, "\"");
	while (len > 0) {
		size_t valid = text_valid_prefix(text, len);

		put_valid(writer, text, valid);
		text += valid;
		len -= valid;
		if (len > 0) {
			PUT(writer, replacement);
			text++;
			len--;
		}
	}
	PUT(writer, "\"");
}

int object_append_string(struct buffer *buffer, const char *text, size_t len)
{
	struct writer writer = {.buffer = buffer, .before = buffer->len};

	put_string(&writer, text, len);
	return writer_end(&writer);
}

/* Members. Each but the first of an object has a comma before it, which stands in its name. */

#define PUT_STRING(writer, name, string)                    \
	do {                                                \
		PUT(writer, name);                          \
		put_string(writer, string, strlen(string)); \
	} while (0)

#define PUT_NUMBER(writer, name, number)    \
	do {                                \
		PUT(writer, name);          \
		put_number(writer, number); \
	} while (0)

/* Members that are left out when there is nothing to say. */
#define PUT_GIVEN(writer, name, string)                   \
	do {                                              \
		if (string)                               \
			PUT_STRING(writer, name, string); \
	} while (0)

#define PUT_OR_NULL(writer, name, string)                 \
	do {                                              \
		if (string)                               \
			PUT_STRING(writer, name, string); \
		else                                      \
			PUT(writer, name "null");         \
	} while (0)

static void put_time(struct writer *writer, uint64_t time)
{
	char text[CHAT_TIME_SIZE];

	PUT(writer, "\"");
	put_plain(writer, chat_time_format(time, text));
	PUT(writer, "\"");
}

/* The members of a message, from seq on. */
static void put_message(struct writer *writer, const struct chat_message *message)
{
	PUT_NUMBER(writer, "\"seq\":", message->seq);
	PUT(writer, ",\"time\":");
	put_time(writer, message->time);
	PUT_STRING(writer, ",\"from\":", message->from);
	PUT(writer, ",\"text\":");
	put_string(writer, message->text, message->text_len);
	PUT_GIVEN(writer, ",\"user\":", message->user);
	PUT_GIVEN(writer, ",\"unit\":", message->unit);
}

/* Requests. */

static void put_with(struct writer *writer, const struct chat_request *request)
{
	PUT(writer, ",\"with\":[");
	for (size_t i = 0; i < request->n_with; i++) {
		if (i > 0)
			PUT(writer, ",");
		put_string(writer, request->with[i], strlen(request->with[i]));
	}
	PUT(writer, "]");
}

static void put_request_numbers(struct writer *writer, const struct chat_request *request)
{
	if (request->has & CHAT_HAS_CLIENT)
		PUT_NUMBER(writer, ",\"client\":", request->client);
	if (request->has & CHAT_HAS_SINCE)
		PUT_NUMBER(writer, ",\"since\":", request->since);
	if (request->has & CHAT_HAS_BEFORE)
		PUT_NUMBER(writer, ",\"before\":", request->before);
	if (request->has & CHAT_HAS_AFTER)
		PUT_NUMBER(writer, ",\"after\":", request->after);
	if (request->has & CHAT_HAS_LIMIT)
		PUT_NUMBER(writer, ",\"limit\":", request->limit);
	if (request->has & CHAT_HAS_DURATION)
		PUT_NUMBER(writer, ",\"duration\":", request->duration);
}

int object_write_request(struct buffer *buffer, const struct chat_request *request)
{
	struct writer writer = writer_begin(buffer, request->text_len);

	PUT(&writer, "{\"op\":\"");
	put_plain(&writer, chat_op_name(request->op));
	PUT(&writer, "\"");
	if (request->id) {
		PUT(&writer, ",\"id\":");
		put_plain(&writer, request->id);
	}
	PUT_GIVEN(&writer, ",\"room\":", request->room);
	if (request->op == CHAT_TRANSFORM)
		put_with(&writer, request);
	if (request->text) {
		PUT(&writer, ",\"text\":");
		put_string(&writer, request->text, request->text_len);
	}
	PUT_GIVEN(&writer, ",\"key\":", request->key);
	PUT_GIVEN(&writer, ",\"nick\":", request->nick);
	PUT_GIVEN(&writer, ",\"user\":", request->user);
	PUT_GIVEN(&writer, ",\"password\":", request->password);
	PUT_GIVEN(&writer, ",\"address\":", request->address);
	put_request_numbers(&writer, request);
	PUT_GIVEN(&writer, ",\"reason\":", request->reason);
	PUT(&writer, "}");
	return writer_end(&writer);
}

/* Replies. */

static void put_error(struct writer *writer, const struct chat_reply *reply)
{
	PUT(writer, "\"ok\":false,\"error\":\"");
	put_plain(writer, chat_error_token(reply->error));
	PUT(writer, "\"");
	PUT_STRING(writer, ",\"message\":", reply->message ? reply->message : "");
	if (reply->error == CHAT_SLOW_DOWN) {
		const uint64_t ms = reply->retry_after % 1000;
		const char fraction[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
					 (char)('0' + ms % 10)};

		PUT_NUMBER(writer, ",\"retry_after\":", reply->retry_after / 1000);
		if (ms > 0)
			put(writer, fraction, sizeof(fraction));
	}
}

static void put_limits(struct writer *writer, const struct chat_limits *limits)
{
	PUT_NUMBER(writer, ",\"limits\":{\"max_message\":", limits->max_message);
	PUT_NUMBER(writer, ",\"max_text\":", limits->max_text);
	PUT_NUMBER(writer, ",\"max_topic\":", limits->max_topic);
	PUT_NUMBER(writer, ",\"max_rooms\":", limits->max_rooms);
	PUT_NUMBER(writer, ",\"rate\":", limits->rate);
	PUT_NUMBER(writer, ",\"burst\":", limits->burst);
	PUT(writer, "}");
}

static void put_hello(struct writer *writer, const struct chat_reply *reply)
{
	PUT_OR_NULL(writer, ",\"nick\":", reply->nick);
	PUT_OR_NULL(writer, ",\"user\":", reply->user);
	PUT_GIVEN(writer, ",\"server\":", reply->server);
	PUT_GIVEN(writer, ",\"version\":", reply->version);
	if (reply->limits)
		put_limits(writer, reply->limits);
	if (!reply->transforms)
		return;
	PUT(writer, ",\"transforms\":[");
	for (const char *const *name = reply->transforms; *name; name++) {
		if (name != reply->transforms)
			PUT(writer, ",");
		put_string(writer, *name, strlen(*name));
	}
	PUT(writer, "]");
}

static void put_members(struct writer *writer, const struct chat_reply *reply)
{
	PUT(writer, ",\"members\":[");
	for (size_t i = 0; i < reply->members_len; i++) {
		const struct chat_member *member = &reply->members[i];

		if (i > 0)
			PUT(writer, ",");
		PUT_STRING(writer, "{\"nick\":", member->nick);
		PUT_OR_NULL(writer, ",\"user\":", member->user);
		PUT_GIVEN(writer, ",\"unit\":", member->unit);
		PUT(writer, ",\"since\":");
		put_time(writer, member->since);
		PUT(writer, "}");
	}
	PUT(writer, "]");
}

static void put_rooms(struct writer *writer, const struct chat_reply *reply)
{
	PUT(writer, ",\"rooms\":[");
	for (size_t i = 0; i < reply->rooms_len; i++) {
		const struct chat_room *room = &reply->rooms[i];

		if (i > 0)
			PUT(writer, ",");
		PUT_STRING(writer, "{\"room\":", room->room);
		PUT_NUMBER(writer, ",\"seq\":", room->seq);
		PUT_NUMBER(writer, ",\"members\":", room->members);
		PUT_STRING(writer, ",\"topic\":", room->topic ? room->topic : "");
		PUT(writer, "}");
	}
	PUT(writer, "]");
}

static void put_history(struct writer *writer, const struct chat_reply *reply)
{
	PUT(writer, ",\"messages\":[");
	for (size_t i = 0; i < reply->messages_len; i++) {
		if (i > 0)
			PUT(writer, ",");
		PUT(writer, "{");
		put_message(writer, &reply->messages[i]);
		PUT(writer, "}");
	}
	PUT_NUMBER(writer, "],\"oldest\":", reply->oldest);
	PUT_NUMBER(writer, ",\"seq\":", reply->seq);
}

/* What an op's reply has beyond the room. */
static void put_result(struct writer *writer, const struct chat_reply *reply)
{
	switch (reply->op) {
	case CHAT_HELLO:
		put_hello(writer, reply);
		break;
	case CHAT_TRANSFORM:
	case CHAT_PING:
		if (!reply->text)
			break;
		PUT(writer, ",\"text\":");
		put_string(writer, reply->text, reply->text_len);
		break;
	case CHAT_JOIN:
		PUT_NUMBER(writer, ",\"seq\":", reply->seq);
		PUT_NUMBER(writer, ",\"oldest\":", reply->oldest);
		PUT_NUMBER(writer, ",\"members\":", reply->n_members);
		PUT_STRING(writer, ",\"topic\":", reply->topic ? reply->topic : "");
		break;
	case CHAT_SAY:
		PUT_NUMBER(writer, ",\"seq\":", reply->seq);
		PUT(writer, ",\"time\":");
		put_time(writer, reply->time);
		if (reply->duplicate)
			PUT(writer, ",\"duplicate\":true");
		break;
	case CHAT_HISTORY:
		put_history(writer, reply);
		break;
	case CHAT_WHO:
		put_members(writer, reply);
		break;
	case CHAT_ROOMS:
		put_rooms(writer, reply);
		break;
	default:
		break;
	}
}

int object_write_reply(struct buffer *buffer, const struct chat_reply *reply)
{
	struct writer writer = writer_begin(buffer, reply->text ? reply->text_len : 0);

	PUT(&writer, "{");
	if (reply->id) {
		PUT(&writer, "\"id\":");
		put_plain(&writer, reply->id);
		PUT(&writer, ",");
	}
	if (reply->error) {
		put_error(&writer, reply);
	} else {
		PUT(&writer, "\"ok\":true");
		PUT_GIVEN(&writer, ",\"room\":", reply->room);
		put_result(&writer, reply);
		if (reply->json && *reply->json) {
			PUT(&writer, ",");
			put_plain(&writer, reply->json);
		}
	}
	PUT(&writer, "}");
	return writer_end(&writer);
}

/* Events. */

int object_write_event(struct buffer *buffer, const struct chat_event *event)
{
	const bool message = event->kind == CHAT_EVENT_MESSAGE;
	struct writer writer = writer_begin(buffer, message ? event->message.text_len : 0);

	PUT(&writer, "{\"event\":\"");
	put_plain(&writer, chat_event_name(event->kind));
	PUT(&writer, "\"");
	if (event->kind != CHAT_EVENT_CLOSING)
		PUT_STRING(&writer, ",\"room\":", event->room);
	switch (event->kind) {
	case CHAT_EVENT_MESSAGE:
		PUT(&writer, ",");
		put_message(&writer, &event->message);
		break;
	case CHAT_EVENT_JOIN:
	case CHAT_EVENT_LEAVE:
		PUT_STRING(&writer, ",\"nick\":", event->nick);
		PUT_GIVEN(&writer, ",\"reason\":", event->reason);
		break;
	case CHAT_EVENT_TOPIC:
		PUT_STRING(&writer, ",\"nick\":", event->nick);
		PUT_STRING(&writer, ",\"text\":", event->text);
		break;
	case CHAT_EVENT_GAP:
		PUT_NUMBER(&writer, ",\"first\":", event->first);
		PUT_NUMBER(&writer, ",\"last\":", event->last);
		break;
	case CHAT_EVENT_CLOSING:
		PUT_STRING(&writer, ",\"reason\":", event->reason ? event->reason : "");
		PUT(&writer, ",\"reconnect\":");
		put_plain(&writer, event->reconnect ? "true" : "false");
		break;
	}
	PUT(&writer, "}");
	return writer_end(&writer);
}
