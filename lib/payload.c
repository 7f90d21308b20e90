/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An RFC 8259 parser that writes while it reads. What is open is a stack with one bit for each
 * bracket, so that no depth of nesting costs more than the message itself does; what may come next
 * is one of a few states. The message is checked for UTF-8 first, and read only as far as it is
 * valid.
 */

#include "payload.h"

#include <stdio.h>
#include <unistr.h>

#include "text.h"
#include "util.h"

enum expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END, /* after [ */
	EXPECT_NAME,	     /* after a comma in an object */
	EXPECT_NAME_OR_END,  /* after { */
	EXPECT_COMMA_OR_END, /* after a value in brackets */
	EXPECT_NOTHING,	     /* after the outermost value */
};

enum { END = -1 }; /* instead of a byte, where the message ends */

struct rewriter {
	const struct pipeline *pipeline;
	struct scratch *scratch;
	struct payload_scratch *memory;
	const uint8_t *data;
	size_t len;   /* of the message */
	size_t valid; /* of the UTF-8 at its front */
	size_t position;
	size_t depth; /* brackets that are open */
	enum expect expect;
	struct buffer *out;
	struct payload_error error;
};

void payload_scratch_done(struct payload_scratch *scratch)
{
	buffer_done(&scratch->nesting);
	buffer_done(&scratch->string);
}

static int fail(struct rewriter *rewriter, size_t position, const char *reason)
{
	if (position == rewriter->valid)
		reason = position < rewriter->len ? "invalid UTF-8" : "unexpected end";
	rewriter->error = (struct payload_error){position, reason};
	return -EBADMSG;
}

static int peek(const struct rewriter *rewriter, size_t position)
{
	return position < rewriter->valid ? rewriter->data[position] : END;
}

static int copy(struct rewriter *rewriter, size_t from, size_t to)
{
	return buffer_append(rewriter->out, rewriter->data + from, to - from);
}

/* Copies the byte at the position, and passes it. */
static int copy_byte(struct rewriter *rewriter)
{
	rewriter->position++;
	return copy(rewriter, rewriter->position - 1, rewriter->position);
}

/* Strings. */

/* How many bytes at the front of text stand in a string as they are. */
static size_t literal_prefix(const uint8_t *text, size_t len)
{
	static const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		uint64_t word, quotes, backslashes;

		memcpy(&word, text + i, sizeof(word));
		quotes = word ^ ones * '"';
		backslashes = word ^ ones * '\\';
		if ((((word - ones * ' ') & ~word) | ((quotes - ones) & ~quotes) |
		     ((backslashes - ones) & ~backslashes)) &
		    ones * 0x80)
			break;
	}
	while (i < len && text[i] >= ' ' && text[i] != '"' && text[i] != '\\')
		i++;
	return i;
}

static int append_escape(struct buffer *out, uint8_t byte)
{
	static const char short_forms[' '] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	static const char digits[] = "0123456789abcdef";
	char escape[] = {'\\', (char)byte, '0', '0', digits[byte >> 4], digits[byte & 15]};

	if (byte >= ' ')
		return buffer_append(out, escape, 2);
	escape[1] = short_forms[byte];
	if (escape[1])
		return buffer_append(out, escape, 2);
	escape[1] = 'u';
	return buffer_append(out, escape, sizeof(escape));
}

/* Appends text as the inside of a JSON string. */
static int append_escaped(struct buffer *out, const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t literal = literal_prefix(text + i, len - i);
		int r = buffer_append(out, text + i, literal);

		if (r < 0)
			return r;
		i += literal;
		if (i == len)
			break;
		r = append_escape(out, text[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reads the four digits of a \u escape. */
static int read_unit(struct rewriter *rewriter, size_t position, ucs4_t *ret_unit)
{
	ucs4_t unit = 0;

	for (size_t i = position; i < position + 4; i++) {
		int c = peek(rewriter, i);

		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else if (c >= 'A' && c <= 'F')
			c -= 'A' - 10;
		else
			return fail(rewriter, i, "bad \\u escape");
		unit = unit << 4 | (ucs4_t)c;
	}
	*ret_unit = unit;
	return 0;
}

/* Reads a \u escape, or the two of them that make a surrogate pair, and passes it. */
static int read_character(struct rewriter *rewriter, ucs4_t *ret_character)
{
	size_t position = rewriter->position;
	ucs4_t unit, low = 0;
	int r;

	r = read_unit(rewriter, position + 2, &unit);
	if (r < 0)
		return r;
	rewriter->position += 6;
	if (unit < 0xD800 || unit > 0xDFFF) {
		*ret_character = unit;
		return 0;
	}

	if (unit < 0xDC00 && peek(rewriter, position + 6) == '\\' &&
	    peek(rewriter, position + 7) == 'u') {
		r = read_unit(rewriter, position + 8, &low);
		if (r < 0)
			return r;
	}
	if (low < 0xDC00 || low > 0xDFFF)
		return fail(rewriter, position, "unpaired surrogate");
	rewriter->position += 6;
	*ret_character = 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
	return 0;
}

/* Reads the escape at the position, passes it, and appends what it stands for to text. */
static int read_escape(struct rewriter *rewriter, struct buffer *text)
{
	static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	int c = peek(rewriter, rewriter->position + 1);
	const char *escape;
	uint8_t utf8[4];
	ucs4_t character = 0;
	int r;

	if (c == 'u') {
		r = read_character(rewriter, &character);
		if (r < 0)
			return r;
		return buffer_append(text, utf8, (size_t)u8_uctomb(utf8, character, sizeof(utf8)));
	}

	escape = c == END ? NULL : memchr(escapes, c, sizeof(escapes) - 1);
	if (!escape)
		return fail(rewriter, rewriter->position + 1, "bad escape");
	rewriter->position += 2;
	return buffer_append(text, &meanings[escape - escapes], 1);
}

/* Reads the string at the position, passes it, and leaves what it says in the memory's string. */
static int read_string(struct rewriter *rewriter)
{
	struct buffer *text = &rewriter->memory->string;
	size_t literal;
	int c, r;

	text->len = 0;
	rewriter->position++;
	for (;;) {
		literal = literal_prefix(rewriter->data + rewriter->position,
					 rewriter->valid - rewriter->position);
		r = buffer_append(text, rewriter->data + rewriter->position, literal);
		if (r < 0)
			return r;
		rewriter->position += literal;

		c = peek(rewriter, rewriter->position);
		if (c == '"')
			break;
		if (c != '\\')
			return fail(rewriter, rewriter->position, "control character in a string");
		r = read_escape(rewriter, text);
		if (r < 0)
			return r;
	}
	rewriter->position++;
	return 0;
}

static int rewrite_name(struct rewriter *rewriter)
{
	size_t start = rewriter->position;
	int r;

	r = read_string(rewriter);
	if (r < 0)
		return r;
	return copy(rewriter, start, rewriter->position);
}

static int rewrite_string(struct rewriter *rewriter)
{
	struct buffer *out = rewriter->out;
	struct bytes text;
	int r;

	r = read_string(rewriter);
	if (r < 0)
		return r;
	text = (struct bytes){rewriter->memory->string.data, rewriter->memory->string.len};
	r = pipeline_apply(rewriter->pipeline, rewriter->scratch, &text);
	if (r < 0)
		return r;

	r = buffer_append(out, "\"", 1);
	if (r < 0)
		return r;
	r = append_escaped(out, text.data, text.len);
	if (r < 0)
		return r;
	return buffer_append(out, "\"", 1);
}

/* Other scalars. */

/* Passes one digit or more. */
static int read_digits(struct rewriter *rewriter)
{
	size_t start = rewriter->position;
	int c = peek(rewriter, rewriter->position);

	while (c >= '0' && c <= '9')
		c = peek(rewriter, ++rewriter->position);
	return rewriter->position > start ? 0 : fail(rewriter, start, "bad number");
}

static int rewrite_number(struct rewriter *rewriter)
{
	size_t start = rewriter->position, digits;
	int c, r;

	if (peek(rewriter, rewriter->position) == '-')
		rewriter->position++;
	digits = rewriter->position;
	r = read_digits(rewriter);
	if (r < 0)
		return r;
	if (rewriter->data[digits] == '0' && rewriter->position > digits + 1)
		return fail(rewriter, digits + 1, "bad number");

	if (peek(rewriter, rewriter->position) == '.') {
		rewriter->position++;
		r = read_digits(rewriter);
		if (r < 0)
			return r;
	}

	c = peek(rewriter, rewriter->position);
	if (c == 'e' || c == 'E') {
		c = peek(rewriter, ++rewriter->position);
		if (c == '+' || c == '-')
			rewriter->position++;
		r = read_digits(rewriter);
		if (r < 0)
			return r;
	}
	return copy(rewriter, start, rewriter->position);
}

static int rewrite_word(struct rewriter *rewriter, const char *word)
{
	size_t start = rewriter->position;

	for (; *word; word++, rewriter->position++)
		if (peek(rewriter, rewriter->position) != *word)
			return fail(rewriter, rewriter->position, "expected a value");
	return copy(rewriter, start, rewriter->position);
}

/* Structure. */

static bool in_object(const struct rewriter *rewriter)
{
	size_t last = rewriter->depth - 1;

	return rewriter->memory->nesting.data[last / 8] >> last % 8 & 1;
}

static int open_bracket(struct rewriter *rewriter, bool object)
{
	struct buffer *nesting = &rewriter->memory->nesting;
	size_t byte = rewriter->depth / 8;
	uint8_t bit = (uint8_t)(1 << rewriter->depth % 8);
	int r;

	if (byte == nesting->len) {
		r = buffer_append(nesting, &(uint8_t){0}, 1);
		if (r < 0)
			return r;
	}
	if (object)
		nesting->data[byte] |= bit;
	else
		nesting->data[byte] &= (uint8_t)~bit;
	rewriter->depth++;
	rewriter->expect = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
	return copy_byte(rewriter);
}

static void value_ended(struct rewriter *rewriter)
{
	rewriter->expect = rewriter->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static int close_bracket(struct rewriter *rewriter)
{
	rewriter->depth--;
	value_ended(rewriter);
	return copy_byte(rewriter);
}

static int rewrite_value(struct rewriter *rewriter, int c)
{
	if (c == '{' || c == '[')
		return open_bracket(rewriter, c == '{');

	value_ended(rewriter);
	switch (c) {
	case '"':
		return rewrite_string(rewriter);
	case 't':
		return rewrite_word(rewriter, "true");
	case 'f':
		return rewrite_word(rewriter, "false");
	case 'n':
		return rewrite_word(rewriter, "null");
	case '-':
	case '0' ... '9':
		return rewrite_number(rewriter);
	default:
		return fail(rewriter, rewriter->position, "expected a value");
	}
}

static int skip_space(struct rewriter *rewriter)
{
	int c = peek(rewriter, rewriter->position);

	while (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		c = peek(rewriter, ++rewriter->position);
	return c;
}

static int rewrite_member(struct rewriter *rewriter, int c)
{
	int r;

	if (c != '"')
		return fail(rewriter, rewriter->position, "expected a member's name");
	r = rewrite_name(rewriter);
	if (r < 0)
		return r;
	if (skip_space(rewriter) != ':')
		return fail(rewriter, rewriter->position, "expected a colon");
	rewriter->expect = EXPECT_VALUE;
	return copy_byte(rewriter);
}

static int rewrite_separator(struct rewriter *rewriter, int c)
{
	bool object = in_object(rewriter);

	if (c == (object ? '}' : ']'))
		return close_bracket(rewriter);
	if (c != ',')
		return fail(rewriter, rewriter->position,
			    object ? "expected a comma or }" : "expected a comma or ]");
	rewriter->expect = object ? EXPECT_NAME : EXPECT_VALUE;
	return copy_byte(rewriter);
}

/* Takes the next token, which begins with c. */
static int rewrite_token(struct rewriter *rewriter, int c)
{
	switch (rewriter->expect) {
	case EXPECT_VALUE_OR_END:
		if (c == ']')
			return close_bracket(rewriter);
		return rewrite_value(rewriter, c);
	case EXPECT_VALUE:
		return rewrite_value(rewriter, c);
	case EXPECT_NAME_OR_END:
		if (c == '}')
			return close_bracket(rewriter);
		return rewrite_member(rewriter, c);
	case EXPECT_NAME:
		return rewrite_member(rewriter, c);
	case EXPECT_COMMA_OR_END:
		return rewrite_separator(rewriter, c);
	case EXPECT_NOTHING:
		break;
	}
	return fail(rewriter, rewriter->position, "expected nothing more");
}

int payload_json(const struct pipeline *pipeline, struct scratch *scratch,
		 struct payload_scratch *memory, struct bytes message, struct buffer *out,
		 struct payload_error *ret_error)
{
	struct rewriter rewriter = {
		.pipeline = pipeline,
		.scratch = scratch,
		.memory = memory,
		.data = message.data,
		.len = message.len,
		.valid = text_valid_prefix(message.data, message.len),
		.expect = EXPECT_VALUE,
		.out = out,
	};
	size_t before = out->len;

	memory->nesting.len = 0;
	for (;;) {
		int c = skip_space(&rewriter);
		int r;

		if (rewriter.expect == EXPECT_NOTHING && rewriter.position == message.len)
			return 0;
		r = rewrite_token(&rewriter, c);
		if (r < 0) {
			out->len = before;
			if (r == -EBADMSG)
				*ret_error = rewriter.error;
			return r;
		}
	}
}

int payload_json_error(struct buffer *out, const struct payload_error *error)
{
	static const char head[] = "{\"error\":\"bad_json\",\"message\":\"";
	char tail[sizeof(" at byte \"}") + 20];
	size_t before = out->len;
	int r;

	(void)snprintf(tail, sizeof(tail), " at byte %zu\"}", error->position);
	r = buffer_append(out, head, strlen(head));
	if (r >= 0)
		r = append_escaped(out, (const uint8_t *)error->reason, strlen(error->reason));
	if (r >= 0)
		r = buffer_append(out, tail, strlen(tail));
	if (r < 0)
		out->len = before;
	return r;
}
