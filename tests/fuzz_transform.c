/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any pipeline on any bytes: what comes out is what the plain reference gives, where the contract
 * says. The first byte chooses the steps, two bits each, the second how many. What is said of text
 * holds for it too: what is valid, and that nothing a terminal obeys is shown to it.
 */

#include <stdint.h>

#include "fuzz.h"
#include "reference_transform.h"
#include "text.h"

enum { CHOICES = 2, STEPS_MAX = 4 };

/* A copy exactly as large as its content, so that a sanitizer sees what goes past its end. */
static uint8_t *duplicate(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	require(copy);
	return memcpy(copy, data, size);
}

static struct buffer expect(const struct pipeline *pipeline, const uint8_t *data, size_t size)
{
	struct buffer text = {0};

	require(buffer_append(&text, data, size) == 0);
	for (unsigned i = 0; i < pipeline->n_steps; i++) {
		struct buffer next = {0};

		reference_transform(pipeline->steps[i], text.data, text.len, &next);
		buffer_done(&text);
		text = next;
	}
	return text;
}

static void check_pipeline(const struct pipeline *pipeline, const uint8_t *data, size_t size)
{
	struct buffer expected = expect(pipeline, data, size);
	struct scratch scratch = {0};

	/* Twice, since the second time finds memory that is used. */
	for (int round = 0; round < 2; round++) {
		CLEANUP(freep) uint8_t *copy = duplicate(data, size);
		struct bytes message = {copy, size};

		require(pipeline_apply(pipeline, &scratch, &message) == 0);
		require(message.len == expected.len);
		require(message.len == 0 || memcmp(message.data, expected.data, message.len) == 0);
		require((message.data == copy) == (message.len == size));
		if (pipeline_is_identity(pipeline))
			require(!scratch.result.data && !scratch.breaks.data);
		scratch_trim(&scratch, 64);
	}
	scratch_done(&scratch);
	buffer_done(&expected);
}

static void check_text(const uint8_t *data, size_t size)
{
	CLEANUP(freep) uint8_t *copy = duplicate(data, size);
	const uint8_t *bad = size > 0 ? u8_check(copy, size) : NULL;
	size_t ascii = text_ascii_prefix(copy, size), cut = text_cut_suffix(copy, size);
	struct buffer safe = {0};

	require(text_valid_prefix(copy, size) == (bad ? (size_t)(bad - copy) : size));
	require(ascii <= size);
	for (size_t i = 0; i < ascii; i++)
		require(copy[i] < 0x80);
	require(ascii == size || copy[ascii] >= 0x80);
	require(cut <= 3 && cut <= size);
	require(cut == 0 || u8_check(copy + size - cut, cut) == copy + size - cut);

	require(text_append_safe(&safe, copy, size) == 0);
	require(text_valid_prefix(safe.data, safe.len) == safe.len);
	for (size_t i = 0; i < safe.len; i++) {
		require(safe.data[i] == '\t' || (safe.data[i] >= ' ' && safe.data[i] != 0x7F));
		require(i == 0 || safe.data[i - 1] != 0xC2 || safe.data[i] >= 0xA0);
	}
	buffer_done(&safe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pipeline pipeline = {0};

	if (size < CHOICES)
		return 0;
	pipeline.n_steps = data[1] % (STEPS_MAX + 1);
	for (unsigned i = 0; i < pipeline.n_steps; i++)
		pipeline.steps[i] = (enum transform)(data[0] >> 2 * i & 3);
	check_pipeline(&pipeline, data + CHOICES, size - CHOICES);
	check_text(data + CHOICES, size - CHOICES);
	return 0;
}
