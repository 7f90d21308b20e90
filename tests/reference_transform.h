/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The transforms said in the plainest way: no fast way, nothing in place, libunistring on every
 * run of valid UTF-8. What lib/transform.c does must be the same.
 */

#include <unicase.h>
#include <unictype.h>
#include <unigbrk.h>
#include <unistr.h>

#include "transform.h"
#include "util.h"

static void reference_require(bool condition)
{
	if (!condition)
		abort();
}

/*
 * Unicode's condition Final_Sigma for the character at position i of a run: after a cased letter
 * and not before one, with only case-ignorable characters between.
 */
static bool reference_final(const ucs4_t *run, size_t len, size_t i)
{
	size_t before = i, after = i + 1;

	while (before > 0 && !uc_is_property_cased(run[before - 1]) &&
	       uc_is_property_case_ignorable(run[before - 1]))
		before--;
	while (after < len && !uc_is_property_cased(run[after]) &&
	       uc_is_property_case_ignorable(run[after]))
		after++;
	return before > 0 && uc_is_property_cased(run[before - 1]) &&
	       !(after < len && uc_is_property_cased(run[after]));
}

static void reference_map(enum transform transform, const uint8_t *run, size_t len,
			  struct buffer *result)
{
	size_t n = 0;
	CLEANUP(freep) ucs4_t *characters = u8_to_u32(run, len, NULL, &n);

	reference_require(characters);
	for (size_t i = 0; i < n; i++) {
		ucs4_t c = characters[i], mapped[8];
		uint8_t utf8[32];
		size_t n_mapped = ARRAY_SIZE(mapped), size = sizeof(utf8);

		if (transform == TRANSFORM_LOWER && c == 0x3A3 && reference_final(characters, n, i))
			c = 0x3C2;
		reference_require((transform == TRANSFORM_UPPER
					   ? u32_toupper(&c, 1, "", NULL, mapped, &n_mapped)
					   : u32_tolower(&c, 1, "", NULL, mapped, &n_mapped)) ==
				  mapped);
		reference_require(u32_to_u8(mapped, n_mapped, utf8, &size) == utf8);
		reference_require(buffer_append(result, utf8, size) == 0);
	}
}

/* Writes the clusters of a run so that they end at end; returns where they begin. */
static uint8_t *reference_reverse(const uint8_t *run, size_t len, uint8_t *end)
{
	CLEANUP(freep) char *breaks = calloc(len, 1);

	reference_require(breaks);
	u8_grapheme_breaks(run, len, breaks);
	for (size_t start = 0, next; start < len; start = next) {
		for (next = start + 1; next < len && !breaks[next];)
			next++;
		end -= next - start;
		memcpy(end, run + start, next - start);
	}
	return end;
}

/* Puts into result, which must be empty, what transform makes of data. */
static void reference_transform(enum transform transform, const uint8_t *data, size_t len,
				struct buffer *result)
{
	uint8_t *front;

	reference_require(buffer_reserve(result, len + 1) == 0);
	front = result->data + len;
	for (size_t i = 0, n; i < len; i += n) {
		const uint8_t *bad = u8_check(data + i, len - i);
		bool valid = bad != data + i;

		n = !valid ? 1 : bad ? (size_t)(bad - data) - i : len - i;
		if (transform == TRANSFORM_REVERSE && valid)
			front = reference_reverse(data + i, n, front);
		else if (transform == TRANSFORM_REVERSE)
			*--front = data[i];
		else if (transform == TRANSFORM_ECHO || !valid)
			reference_require(buffer_append(result, data + i, n) == 0);
		else
			reference_map(transform, data + i, n, result);
	}
	if (transform == TRANSFORM_REVERSE)
		result->len = len;
}
