/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The cutter on any input: it stays within its window, always gets on, and what it says does not
 * depend on how the input comes in pieces. The first two bytes choose the rules.
 */

#include <stdint.h>

#include "frame.h"
#include "fuzz.h"
#include "util.h"

enum { RULES = 2 };

/* What a whole input gave. */
struct outcome {
	struct buffer payload; /* of all messages, one after the other */
	struct buffer ends;    /* of framing line and length: where each message ended */
	enum frame_cut last;
};

static void outcome_add(struct outcome *outcome, const struct frame *frame)
{
	require(buffer_append(&outcome->payload, frame->body.data, frame->body.len) == 0);
	require(buffer_append(&outcome->ends, &outcome->payload.len, sizeof(size_t)) == 0);
	require(buffer_append(&outcome->ends, &frame->crlf, sizeof(frame->crlf)) == 0);
	require(buffer_append(&outcome->ends, &frame->bare, sizeof(frame->bare)) == 0);
}

/* Gives input to the cutter, step bytes at a time. */
static struct outcome cut_all(const struct frame_rules *rules, struct bytes input, size_t step)
{
	struct outcome outcome = {.last = FRAME_MORE};
	size_t there = 0, scanned = 0;

	while (outcome.last == FRAME_MORE) {
		struct frame frame = {0};
		bool ended = there == input.len;

		outcome.last = frame_cut(rules, (struct bytes){input.data, there}, ended, &scanned,
					 &frame);
		require(outcome.last == FRAME_MORE ? scanned <= there : scanned == 0);
		if (outcome.last == FRAME_MORE) {
			if (ended) {
				require(there == 0); /* nothing is forgotten */
				break;
			}
			there += MIN(step, input.len - there);
		}
		if (outcome.last == FRAME_MESSAGE) {
			require(frame.size > 0 && frame.size <= there);
			require(frame.body.len <= rules->max_message);
			outcome_add(&outcome, &frame);
			input.data += frame.size;
			input.len -= frame.size;
			there -= frame.size;
			outcome.last = FRAME_MORE;
		}
	}
	return outcome;
}

static bool buffer_equal(const struct buffer *a, const struct buffer *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t limits[] = {1, 2, 3, 4, 8, 64, 1000, UINT64_MAX};
	struct frame_rules rules;
	struct outcome whole, pieces;
	struct bytes input;

	if (size < RULES)
		return 0;
	rules = (struct frame_rules){
		.framing = data[0] % 3,
		.max_message = limits[data[1] % ARRAY_SIZE(limits)],
		.whole_characters = data[0] & 0x80,
	};
	/* The cutter does not write, whatever the type of its window. */
	input = (struct bytes){(uint8_t *)data + RULES, size - RULES};

	whole = cut_all(&rules, input, SIZE_MAX);
	pieces = cut_all(&rules, input, 1);
	require(whole.last == pieces.last);
	require(buffer_equal(&whole.payload, &pieces.payload));
	if (rules.framing == FRAMING_RAW)
		require(whole.payload.len == input.len);
	else
		require(buffer_equal(&whole.ends, &pieces.ends));

	buffer_done(&whole.payload);
	buffer_done(&whole.ends);
	buffer_done(&pieces.payload);
	buffer_done(&pieces.ends);
	return 0;
}
