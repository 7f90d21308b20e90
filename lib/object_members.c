/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two readers of one thing. The fast one proves while it reads that it has JSON before it, and
 * leaves everything unusual to the other: escapes, nested values, long numbers, faults. That one
 * has the message made compact by lib/payload.c, which takes JSON only and says exactly what is
 * wrong with the rest; what is left to do then needs no further checks, and no bounds.
 */

#include "object_members.h"

#include <endian.h>
#include <unistr.h>

#include "text.h"
#include "util.h"

enum {
	NAME_BYTES = 8,	   /* no name of a member is longer */
	SHORT_DIGITS = 15, /* so many make no number that is too large */
};

/* Names are compared as words. */
static const struct name {
	union {
		char text[NAME_BYTES + 1];
		uint64_t word;
	};
	size_t len;
} names[MEMBERS] = {
	[MEMBER_OP] = {{"op"}, 2},
	[MEMBER_ID] = {{"id"}, 2},
	[MEMBER_ROOM] = {{"room"}, 4},
	[MEMBER_TEXT] = {{"text"}, 4},
	[MEMBER_KEY] = {{"key"}, 3},
	[MEMBER_NICK] = {{"nick"}, 4},
	[MEMBER_USER] = {{"user"}, 4},
	[MEMBER_PASSWORD] = {{"password"}, 8},
	[MEMBER_ADDRESS] = {{"address"}, 7},
	[MEMBER_REASON] = {{"reason"}, 6},
	[MEMBER_SINCE] = {{"since"}, 5},
	[MEMBER_BEFORE] = {{"before"}, 6},
	[MEMBER_AFTER] = {{"after"}, 5},
	[MEMBER_LIMIT] = {{"limit"}, 5},
	[MEMBER_DURATION] = {{"duration"}, 8},
	[MEMBER_CLIENT] = {{"client"}, 6},
	[MEMBER_WITH] = {{"with"}, 4},
};

const char *object_member_name(enum object_member member)
{
	return names[member].text;
}

/* Returns where the value of this member goes, or NULL when nobody asks for it. */
static struct object_value *value_of(struct object_members *members, const char *name, size_t len)
{
	uint64_t word = 0;

	if (len > NAME_BYTES)
		return NULL;
	memcpy(&word, name, len);
	for (size_t i = 0; i < MEMBERS; i++)
		if (names[i].word == word && names[i].len == len) {
			members->seen |= 1u << i;
			return &members->values[i];
		}
	return NULL;
}

/* The fast way: a cursor over bytes of which nothing is known. */

struct cursor {
	const uint8_t *at, *end;
};

/*
 * How many bytes at the front of text stand in a string as they are; *ret_high has its top bits set
 * only when there may be some that are not ASCII.
 */
static inline size_t literal_prefix(const uint8_t *text, size_t len, uint64_t *ret_high)
{
	static const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	*ret_high = 0;
	for (; len - i >= 8; i += 8) {
		uint64_t word, quotes, backslashes, stops;

		memcpy(&word, text + i, sizeof(word));
		*ret_high |= word;
		word = le64toh(word);
		quotes = word ^ ones * '"';
		backslashes = word ^ ones * '\\';
		stops = (((word - ones * ' ') & ~word) | ((quotes - ones) & ~quotes) |
			 ((backslashes - ones) & ~backslashes)) &
			ones * 0x80;
		if (stops)
			return i + (size_t)__builtin_ctzll(stops) / 8;
	}
	for (; i < len && text[i] >= ' ' && text[i] != '"' && text[i] != '\\'; i++)
		*ret_high |= text[i];
	return i;
}

static inline bool take_string(struct cursor *cursor, const char **ret_text, size_t *ret_len)
{
	static const uint64_t top_bits = UINT64_C(0x8080808080808080);
	const uint8_t *text = cursor->at + 1;
	uint64_t high;
	size_t len;

	if (cursor->at == cursor->end || *cursor->at != '"')
		return false;
	len = literal_prefix(text, (size_t)(cursor->end - text), &high);
	if (text + len == cursor->end || text[len] != '"')
		return false;
	if ((high & top_bits) && text_valid_prefix(text, len) < len)
		return false;
	cursor->at = text + len + 1;
	*ret_text = (const char *)text;
	*ret_len = len;
	return true;
}

/* What follows the number is the caller's to look at: no fraction and no exponent is taken. */
static inline bool take_number(struct cursor *cursor, struct object_value *value)
{
	const uint8_t *start = cursor->at;
	uint64_t number = 0;
	size_t len;

	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
		number = number * 10 + (*cursor->at++ - '0');
	len = (size_t)(cursor->at - start);
	if (len == 0 || len > SHORT_DIGITS || (*start == '0' && len > 1))
		return false;
	*value = (struct object_value){VALUE_NUMBER, number, (const char *)start, len};
	return true;
}

static inline bool take_value(struct cursor *cursor, struct object_value *value)
{
	if (cursor->at == cursor->end || *cursor->at != '"')
		return take_number(cursor, value);
	value->kind = VALUE_STRING;
	return take_string(cursor, &value->text, &value->len);
}

static inline void take_space(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
					    *cursor->at == '\n' || *cursor->at == '\r'))
		cursor->at++;
}

/* Takes the byte and the space around it. */
static inline bool take_byte(struct cursor *cursor, uint8_t byte)
{
	take_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != byte)
		return false;
	cursor->at++;
	take_space(cursor);
	return true;
}

static inline bool take_member(struct cursor *cursor, struct object_members *members)
{
	struct object_value ignored, *value;
	const char *name;
	size_t len;

	if (!take_string(cursor, &name, &len) || !take_byte(cursor, ':'))
		return false;
	value = value_of(members, name, len);
	return take_value(cursor, value ? value : &ignored);
}

bool object_members_scan(struct bytes message, struct object_members *ret_members)
{
	struct cursor cursor = {message.data, message.data + message.len};

	ret_members->seen = 0;
	if (!take_byte(&cursor, '{'))
		return false;
	do {
		if (!take_member(&cursor, ret_members))
			return false;
	} while (take_byte(&cursor, ','));
	return take_byte(&cursor, '}') && cursor.at == cursor.end;
}

/*
 * The way for everything: over compact JSON that is known to be valid, so that each value ends
 * before the text does. Strings are unescaped where they lie.
 */

static unsigned hex_digit(uint8_t digit)
{
	return digit <= '9' ? digit - (unsigned)'0' : (digit | 0x20u) - 'a' + 10;
}

static ucs4_t read_unit(const uint8_t *digits)
{
	return hex_digit(digits[0]) << 12 | hex_digit(digits[1]) << 8 | hex_digit(digits[2]) << 4 |
	       hex_digit(digits[3]);
}

/* Writes what the \u escape at *at, or the pair of them, stands for, and passes it. */
static uint8_t *unescape_character(uint8_t **at, uint8_t *to)
{
	enum { ESCAPE = 6, UTF8_MAX = 4 };
	ucs4_t character = read_unit(*at + 2);

	*at += ESCAPE;
	if (character >= 0xD800 && character <= 0xDFFF) {
		character = 0x10000 + ((character & 0x3FF) << 10 | (read_unit(*at + 2) & 0x3FF));
		*at += ESCAPE;
	}
	return to + u8_uctomb(to, character, UTF8_MAX);
}

/* Unescapes the string that begins at *at where it lies, and passes it. */
static void read_string(uint8_t **at, const char **ret_text, size_t *ret_len)
{
	static const char escapes[] = "bfnrt", meanings[] = "\b\f\n\r\t";
	uint8_t *from = *at + 1, *to = from, *start = from;

	while (*from != '"') {
		if (*from != '\\') {
			*to++ = *from++;
		} else if (from[1] == 'u') {
			to = unescape_character(&from, to);
		} else {
			const char *escape = memchr(escapes, from[1], sizeof(escapes) - 1);

			*to++ = escape ? (uint8_t)meanings[escape - escapes] : from[1];
			from += 2;
		}
	}
	*at = from + 1;
	*ret_text = (const char *)start;
	*ret_len = (size_t)(to - start);
}

static void skip_string(uint8_t **at)
{
	uint8_t *p = *at + 1;

	while (*p != '"')
		p += *p == '\\' ? 2 : 1;
	*at = p + 1;
}

/* Passes a list or an object and all that is in it. */
static void skip_brackets(uint8_t **at)
{
	size_t depth = 0;

	do {
		if (**at == '"') {
			skip_string(at);
			continue;
		}
		if (**at == '[' || **at == '{')
			depth++;
		else if (**at == ']' || **at == '}')
			depth--;
		++*at;
	} while (depth > 0);
}

/* Passes a number, true, false or null. */
static void skip_word(uint8_t **at)
{
	while (**at != ',' && **at != ']' && **at != '}')
		++*at;
}

static void skip_value(uint8_t **at)
{
	if (**at == '"')
		skip_string(at);
	else if (**at == '[' || **at == '{')
		skip_brackets(at);
	else
		skip_word(at);
}

/* Says what kind of value a number, true, false or null is. */
static void classify_word(struct object_value *value)
{
	const bool negative = value->len > 0 && value->text[0] == '-';
	bool large = false;

	value->kind = VALUE_OTHER;
	value->number = 0;
	for (size_t i = negative; i < value->len; i++) {
		const unsigned digit = (unsigned)value->text[i] - '0';

		if (digit > 9)
			return;
		large = large || __builtin_mul_overflow(value->number, 10, &value->number) ||
			__builtin_add_overflow(value->number, digit, &value->number);
	}
	large = large || value->number > INT64_MAX;
	value->kind = negative || large ? VALUE_INTEGER : VALUE_NUMBER;
}

/* Reads a list of strings and passes it; other lists are just passed. */
static enum value_kind read_strings(uint8_t **at, struct object_members *members)
{
	enum value_kind kind = VALUE_STRINGS;

	members->n_with = 0;
	++*at;
	while (**at != ']') {
		if (**at == ',') {
			++*at;
		} else if (**at == '"' && members->n_with < CHAT_WITH_MAX) {
			struct object_value *value = &members->with[members->n_with++];

			value->kind = VALUE_STRING;
			read_string(at, &value->text, &value->len);
		} else {
			kind = VALUE_OTHER;
			skip_value(at);
		}
	}
	++*at;
	return kind;
}

static void read_value(uint8_t **at, struct object_members *members, struct object_value *value)
{
	const uint8_t *start = *at;

	if (*start == '"') {
		value->kind = VALUE_STRING;
		read_string(at, &value->text, &value->len);
	} else if (*start == '[' && value == &members->values[MEMBER_WITH]) {
		value->kind = read_strings(at, members);
	} else if (*start == '[' || *start == '{') {
		value->kind = VALUE_OTHER;
		skip_brackets(at);
	} else {
		skip_word(at);
		value->text = (const char *)start;
		value->len = (size_t)(*at - start);
		classify_word(value);
	}
}

static void read_members(uint8_t *at, struct object_members *members)
{
	members->seen = 0;
	for (at++; *at != '}'; at += *at == ',') {
		struct object_value *value;
		const char *name;
		size_t len;

		read_string(&at, &name, &len);
		at++; /* the colon */
		value = value_of(members, name, len);
		if (value)
			read_value(&at, members, value);
		else
			skip_value(&at);
	}
}

int object_members_parse(struct bytes message, struct buffer *memory,
			 struct object_members *ret_members, struct payload_error *ret_error)
{
	static const struct pipeline as_it_is = {0};
	struct payload_scratch payload_scratch = {0};
	struct scratch scratch = {0};
	int r;

	r = payload_json(&as_it_is, &scratch, &payload_scratch, message, memory, ret_error);
	payload_scratch_done(&payload_scratch);
	scratch_done(&scratch);
	if (r < 0)
		return r == -EBADMSG ? PARSED_NO_JSON : r;
	if (memory->data[0] != '{')
		return PARSED_NO_OBJECT;
	read_members(memory->data, ret_members);
	return PARSED_OBJECT;
}
