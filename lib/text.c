/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Looks at UTF-8 and says where it ends. What is valid is libunistring's decision; this file adds
 * the fast way over ASCII, which is most of what goes over a wire, eight bytes at a time.
 */

#include "text.h"

#include <stdio.h>
#include <unictype.h>
#include <unistr.h>

#include "util.h"

static const uint64_t high_bits = UINT64_C(0x8080808080808080);

enum { MARKS_MAX = 8 }; /* combining marks on one character that a terminal is trusted with */

static uint64_t load_word(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

size_t text_ascii_prefix(const uint8_t *data, size_t len)
{
	size_t i = 0;

	for (; len - i >= 32; i += 32)
		if ((load_word(data + i) | load_word(data + i + 8) | load_word(data + i + 16) |
		     load_word(data + i + 24)) &
		    high_bits)
			break;
	for (; len - i >= 8; i += 8)
		if (load_word(data + i) & high_bits)
			break;
	while (i < len && data[i] < 0x80)
		i++;
	return i;
}

size_t text_valid_prefix(const uint8_t *data, size_t len)
{
	size_t ascii = text_ascii_prefix(data, len);
	const uint8_t *bad;

	if (ascii == len)
		return len;
	bad = u8_check(data + ascii, len - ascii);
	return bad ? (size_t)(bad - data) : len;
}

size_t text_cut_suffix(const uint8_t *data, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		uint8_t first = data[len - n];
		ucs4_t character;

		/* Past F4 no sequence begins, but libunistring waits for its end. */
		if (first < 0x80 || first > 0xF4)
			return 0;
		if (first >= 0xC0)
			return u8_mbtoucr(&character, data + len - n, n) == -2 ? n : 0;
	}
	return 0;
}

/* Says whether a terminal would obey the character, or show what follows it differently. */
static bool changes_what_follows(ucs4_t c)
{
	return (c >= 0x80 && c <= 0x9F) ||     /* C1 */
	       (c >= 0x2028 && c <= 0x202E) || /* separators, embeddings, overrides */
	       (c >= 0x2066 && c <= 0x2069) || /* isolates */
	       (c >= 0xE0000 && c <= 0xE007F); /* tags */
}

/* How many bytes at the front of text are ASCII that a terminal just shows. */
static size_t plain_prefix(const uint8_t *text, size_t len)
{
	size_t i = 0;

	while (i < len && ((text[i] >= ' ' && text[i] < 0x7F) || text[i] == '\t'))
		i++;
	return i;
}

/*
 * Appends one character that lies at text and takes size bytes. *marks is how many combining marks
 * came since the last base character; format characters neither count nor end such a run, so that
 * nobody builds towers with joiners between the marks.
 */
static int append_character(struct buffer *buffer, const uint8_t *text, size_t size, ucs4_t c,
			    size_t *marks)
{
	static const char ellipsis[] = "\xE2\x80\xA6";
	char escaped[sizeof("\\u{FFFFFFFF}")];

	if (c < ' ' || c == 0x7F || changes_what_follows(c)) {
		*marks = 0;
		if (c < 0x80)
			(void)snprintf(escaped, sizeof(escaped), "^%c", (char)(c ^ 0x40));
		else
			(void)snprintf(escaped, sizeof(escaped), "\\u{%04X}", (unsigned)c);
		return buffer_append(buffer, escaped, strlen(escaped));
	}

	if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M)) {
		if (++*marks > MARKS_MAX)
			return *marks == MARKS_MAX + 1
				       ? buffer_append(buffer, ellipsis, strlen(ellipsis))
				       : 0;
	} else if (!uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cf)) {
		*marks = 0;
	}
	return buffer_append(buffer, text, size);
}

static int append_bad_byte(struct buffer *buffer, uint8_t byte)
{
	char escaped[sizeof("\\xXX")];

	(void)snprintf(escaped, sizeof(escaped), "\\x%02X", byte);
	return buffer_append(buffer, escaped, strlen(escaped));
}

int text_append_safe(struct buffer *buffer, const void *text, size_t len)
{
	const uint8_t *data = text;
	size_t before = buffer->len, marks = 0;
	int r = 0;

	for (size_t i = 0; i < len && r >= 0;) {
		size_t plain = plain_prefix(data + i, len - i);
		ucs4_t character;
		int size;

		if (plain > 0) {
			marks = 0;
			r = buffer_append(buffer, data + i, plain);
			i += plain;
			continue;
		}

		size = u8_mbtoucr(&character, data + i, len - i);
		if (size > 0) {
			r = append_character(buffer, data + i, (size_t)size, character, &marks);
			i += (size_t)size;
		} else {
			marks = 0;
			r = append_bad_byte(buffer, data[i]);
			i++;
		}
	}
	if (r < 0)
		buffer->len = before;
	return r;
}
