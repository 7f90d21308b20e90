/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame.h"

#include <endian.h>
#include <errno.h>

#include "text.h"
#include "util.h"

/*
 * The header is parsed and written digit by digit here, since this runs once a message: strtol()
 * and snprintf() would cost more than all the rest of a short message.
 */

static const char *const framing_names[] = {
	[FRAMING_RAW] = "raw",
	[FRAMING_LINE] = "line",
	[FRAMING_LENGTH] = "length",
};

int framing_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(framing_names); i++)
		if (strcmp(name, framing_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

const char *framing_name(enum framing framing)
{
	return framing_names[framing];
}

/* Says that the first looked_at bytes hold no whole message; size is the whole frame's, if known.
 */
static enum frame_cut more(size_t looked_at, size_t size, size_t *scanned, struct frame *ret_frame)
{
	*scanned = looked_at;
	ret_frame->size = size;
	return FRAME_MORE;
}

static enum frame_cut too_long(uint64_t length, struct frame *ret_frame)
{
	ret_frame->length = length;
	return FRAME_TOO_LONG;
}

static enum frame_cut cut_raw(const struct frame_rules *rules, struct bytes input, bool ended,
			      size_t *scanned, struct frame *ret_frame)
{
	size_t len = MIN(input.len, rules->max_message);

	*scanned = 0;
	/* At the end of input nothing follows that could complete the last character. */
	if (rules->whole_characters && (len < input.len || !ended)) {
		size_t held = text_cut_suffix(input.data, len);

		if (held < len)
			len -= held;
		else if (len < rules->max_message)
			return more(input.len, 0, scanned, ret_frame);
		/* else no message can hold this character: it goes in pieces */
	}
	*ret_frame = (struct frame){.size = len, .body = {input.data, len}, .length = len};
	return FRAME_MESSAGE;
}

/* A line that has no LF in this window. */
static enum frame_cut cut_unfinished_line(const struct frame_rules *rules, struct bytes input,
					  bool ended, size_t *scanned, struct frame *ret_frame)
{
	size_t len = input.len;

	/* Until its LF is due, a CR at the end may belong to the line's end. */
	if (!ended && input.data[len - 1] == '\r')
		len--;
	if (len > rules->max_message)
		return too_long(len, ret_frame);
	if (!ended)
		return more(input.len, 0, scanned, ret_frame);
	*ret_frame = (struct frame){.size = len, .body = input, .bare = true, .length = len};
	return FRAME_MESSAGE;
}

static enum frame_cut cut_line(const struct frame_rules *rules, struct bytes input, bool ended,
			       size_t *scanned, struct frame *ret_frame)
{
	size_t looked_at = MIN(*scanned, input.len), len;
	const uint8_t *end = memchr(input.data + looked_at, '\n', input.len - looked_at);
	bool crlf;

	*scanned = 0;
	if (!end)
		return cut_unfinished_line(rules, input, ended, scanned, ret_frame);

	len = (size_t)(end - input.data);
	crlf = len > 0 && input.data[len - 1] == '\r';
	len -= crlf;
	if (len > rules->max_message)
		return too_long(len, ret_frame);
	*ret_frame = (struct frame){
		.size = len + crlf + 1,
		.body = {input.data, len},
		.crlf = crlf,
		.length = len,
	};
	return FRAME_MESSAGE;
}

/*
 * Reads a whole header whose digits begin at first, digit by digit. Returns whether it is well
 * formed, with *ret_length set.
 */
static bool header_read(const uint8_t *header, unsigned first, uint64_t *ret_length)
{
	uint64_t length = 0;
	unsigned i = first, digit;

	while (i < FRAME_HEADER && (digit = (unsigned)header[i] - '0') <= 9) {
		length = length * 10 + digit;
		i++;
	}
	if (i == first)
		return false;
	while (i < FRAME_HEADER && header[i] == ' ')
		i++;
	if (i < FRAME_HEADER)
		return false;
	*ret_length = length;
	return true;
}

/* The value of up to eight digits, the first in the lowest byte that is not 0; in three steps. */
static inline uint64_t join_digits(uint64_t digits)
{
	static const uint64_t every_fourth = UINT64_C(0x000000FF000000FF);

	digits = digits * 10 + (digits >> 8);
	return ((digits & every_fourth) * (100 + (UINT64_C(1000000) << 32)) +
		(digits >> 16 & every_fourth) * (1 + (UINT64_C(10000) << 32))) >>
	       32;
}

/*
 * Reads the headers that nearly all messages have, of one to seven digits, as one word. Returns
 * false for all others, malformed or not.
 */
static inline bool header_read_short(const uint8_t *header, uint64_t *ret_length, bool *ret_plain)
{
	static const uint64_t every_byte = UINT64_C(0x0101010101010101);
	uint64_t word, digits, no_digit;
	uint16_t rest;
	unsigned bits;

	memcpy(&word, header, sizeof(word));
	memcpy(&rest, header + sizeof(word), sizeof(rest));
	word = le64toh(word);
	digits = word ^ every_byte * '0';
	/* The top bit of each byte that is no digit: above 9 in its low seven bits, or above 127.
	 */
	no_digit = ((digits & every_byte * 0x7F) + every_byte * (0x7F - 9)) | digits;
	no_digit &= every_byte * 0x80;
	bits = no_digit ? (unsigned)__builtin_ctzll(no_digit) & ~7u : 0;
	if (bits == 0 || (word ^ every_byte * ' ') >> bits != 0 || rest != (' ' << 8 | ' '))
		return false;
	*ret_length = join_digits(digits << (64 - bits));
	*ret_plain = bits == 8 || (uint8_t)digits != 0;
	return true;
}

/* Says whether these len bytes, fewer than FRAME_HEADER, can begin a header. */
static bool header_may_begin(const uint8_t *header, size_t len)
{
	const size_t first = header[0] == '-';
	size_t i = first;

	while (i < len && header[i] >= '0' && header[i] <= '9')
		i++;
	if (i == first && i < len)
		return false;
	while (i < len && header[i] == ' ')
		i++;
	return i == len;
}

/* An input shorter than a header. */
static enum frame_cut cut_partial_header(struct bytes input, bool ended, size_t *scanned,
					 struct frame *ret_frame)
{
	if (!header_may_begin(input.data, input.len))
		return FRAME_MALFORMED;
	return ended ? FRAME_CUT_SHORT : more(input.len, 0, scanned, ret_frame);
}

/* An input that begins with '-'. */
static enum frame_cut cut_error(struct bytes input, struct frame *ret_frame)
{
	uint64_t length, there;

	if (!header_read(input.data, 1, &length))
		return FRAME_MALFORMED;
	there = MIN(input.len - FRAME_HEADER, length);
	*ret_frame = (struct frame){
		.size = FRAME_HEADER + (size_t)there,
		.body = {input.data + FRAME_HEADER, (size_t)there},
		.length = length,
	};
	return FRAME_ERROR;
}

static void set_message(struct bytes input, uint64_t length, bool plain, struct frame *ret_frame)
{
	*ret_frame = (struct frame){
		.size = FRAME_HEADER + (size_t)length,
		.body = {input.data + FRAME_HEADER, (size_t)length},
		.plain = plain,
		.length = length,
	};
}

static enum frame_cut cut_length(const struct frame_rules *rules, struct bytes input, bool ended,
				 size_t *scanned, struct frame *ret_frame)
{
	uint64_t length;

	*scanned = 0;
	if (input.len < FRAME_HEADER)
		return cut_partial_header(input, ended, scanned, ret_frame);
	if (input.data[0] == '-')
		return cut_error(input, ret_frame);
	if (!header_read(input.data, 0, &length))
		return FRAME_MALFORMED;
	if (length > rules->max_message || length > SIZE_MAX - FRAME_HEADER)
		return too_long(length, ret_frame);
	if (length > input.len - FRAME_HEADER) {
		ret_frame->length = length;
		return ended ? FRAME_CUT_SHORT
			     : more(FRAME_HEADER, FRAME_HEADER + (size_t)length, scanned,
				    ret_frame);
	}
	set_message(input, length, false, ret_frame);
	return FRAME_MESSAGE;
}

/* Any outcome; apart from frame_cut(), so that the usual one costs no more than it must. */
static __attribute__((noinline)) enum frame_cut cut_any(const struct frame_rules *rules,
							struct bytes input, bool ended,
							size_t *scanned, struct frame *ret_frame)
{
	if (input.len == 0)
		return more(0, 0, scanned, ret_frame);

	switch (rules->framing) {
	case FRAMING_RAW:
		return cut_raw(rules, input, ended, scanned, ret_frame);
	case FRAMING_LINE:
		return cut_line(rules, input, ended, scanned, ret_frame);
	case FRAMING_LENGTH:
		return cut_length(rules, input, ended, scanned, ret_frame);
	}
	__builtin_unreachable();
}

enum frame_cut frame_cut(const struct frame_rules *rules, struct bytes input, bool ended,
			 size_t *scanned, struct frame *ret_frame)
{
	uint64_t length;
	bool plain;

	if (rules->framing == FRAMING_LENGTH && input.len >= FRAME_HEADER &&
	    header_read_short(input.data, &length, &plain) && length <= rules->max_message &&
	    length <= input.len - FRAME_HEADER) {
		*scanned = 0;
		set_message(input, length, plain, ret_frame);
		return FRAME_MESSAGE;
	}
	return cut_any(rules, input, ended, scanned, ret_frame);
}

/* Writes len, left-aligned, into the n_places bytes at places, and spaces behind it. */
static inline void write_number(uint8_t *places, size_t n_places, uint64_t len)
{
	size_t digits = 1;

	for (uint64_t power = 10; len >= power; power *= 10)
		digits++;
	memset(places, ' ', n_places);
	while (digits-- > 0) {
		places[digits] = (uint8_t)('0' + len % 10);
		len /= 10;
	}
}

void frame_header(uint8_t header[static FRAME_HEADER], uint64_t len)
{
	write_number(header, FRAME_HEADER, len);
}

int frame_append(struct buffer *buffer, enum framing framing, enum line_end end, const void *data,
		 size_t len)
{
	uint8_t *to;
	int r;

	if (len > SIZE_MAX - FRAME_ENVELOPE_MAX)
		return -ENOMEM;
	r = buffer_reserve(buffer, len + FRAME_ENVELOPE_MAX);
	if (r < 0)
		return r;

	to = buffer->data + buffer->len;
	if (framing == FRAMING_LENGTH) {
		frame_header(to, len);
		to += FRAME_HEADER;
	}
	if (len > 0)
		memcpy(to, data, len);
	to += len;
	if (framing == FRAMING_LINE) {
		if (end == LINE_END_CRLF)
			*to++ = '\r';
		*to++ = '\n';
	}
	buffer->len = (size_t)(to - buffer->data);
	return 0;
}

int frame_append_error(struct buffer *buffer, enum framing framing, const char *reason)
{
	static const char prefix[] = "error: ";
	const size_t before = buffer->len;
	uint8_t header[FRAME_HEADER] = {'-'};
	int r = 0;

	switch (framing) {
	case FRAMING_RAW:
		return 0;
	case FRAMING_LINE:
		r = buffer_append(buffer, prefix, sizeof(prefix) - 1);
		break;
	case FRAMING_LENGTH:
		write_number(header + 1, FRAME_HEADER - 1, strlen(reason));
		r = buffer_append(buffer, header, sizeof(header));
		break;
	}
	if (r == 0)
		r = buffer_append(buffer, reason, strlen(reason));
	if (r == 0 && framing == FRAMING_LINE)
		r = buffer_append(buffer, "\n", 1);
	if (r < 0)
		buffer->len = before;
	return r;
}
