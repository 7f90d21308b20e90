/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Payloads are windows into a table of random text, of which there is an upper-case twin. So a
 * message is a number, checking it is memcmp(), and nothing that was said need be kept.
 *
 * The table consists of pairs of bytes: two ASCII characters, or one character of two bytes whose
 * first is the same in upper case. Windows begin at a pair and end anywhere, so that payloads end
 * in the middle of characters, too: in framing raw the next message completes them or does not, and
 * either way the answer is what the table says.
 */
#include "endure.h"

#include <string.h>

enum {
	PLACES = 65536,
	TABLE = PLACES + SCRIPT_MESSAGE_MAX,
	LEAD = 0xc3, /* of the letters from U+00C0 to U+00FF */
};

static uint8_t plain[TABLE], upper[TABLE];

uint64_t script_hash(uint64_t a, uint64_t b)
{
	struct random random = {.state = a * UINT64_C(0xd6e8feb86659fd93) ^ b};

	return random_next(&random);
}

void script_prepare(uint64_t seed)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789 .,abcdefghijklmnopq";
	struct random random = {.state = seed};

	for (size_t i = 0; i < TABLE; i += 2) {
		uint8_t second = (uint8_t)(0xa0 + random_below(&random, 0x1f)); /* à to þ */

		if (random_below(&random, 4) == 0 && second != 0xb7) { /* not the division sign */
			plain[i] = upper[i] = LEAD;
			plain[i + 1] = second;
			upper[i + 1] = (uint8_t)(second - 0x20);
			continue;
		}
		for (size_t j = i; j < i + 2; j++) {
			plain[j] = (uint8_t)letters[random_below(&random, sizeof(letters) - 1)];
			upper[j] = plain[j] >= 'a' && plain[j] <= 'z' ? (uint8_t)(plain[j] - 32)
								      : plain[j];
		}
	}
}

size_t script_words(uint64_t seed, char *text, size_t most)
{
	size_t len = script_hash(seed, 1) % (most + 1), place = script_hash(seed, 2) % PLACES;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = plain[place + i];

		text[i] = (char)(byte < 0x80 ? byte : '-');
	}
	return len;
}

/* Has the cursor stand at the beginning of this message. */
static void stand_at(const struct script *script, struct cursor *cursor, uint64_t number)
{
	uint64_t hash = script_hash(script->seed, number);
	uint32_t span = script->most - script->least + 1;

	cursor->number = number;
	cursor->at = 0;
	cursor->place = (uint32_t)(hash % PLACES) & ~1U;
	hash >>= 16;
	if (number == 0)
		span = MIN(span, (uint32_t)SCRIPT_FIRST_MAX);
	else if (hash % 4 == 0) /* short ones have more seams */
		span = MIN(span, 64U);
	cursor->len = script->least + (uint32_t)((hash >> 2) % span);
	if (number == 0) /* whole characters, so that it is answered in any framing */
		cursor->len += cursor->len % 2;
}

void script_begin(const struct script *script, struct cursor *ret_cursor)
{
	ret_cursor->bytes = 0;
	stand_at(script, ret_cursor, 0);
}

static uint32_t head_size(const struct script *script)
{
	return script->framing == FRAMING_LENGTH ? FRAME_HEADER : 0;
}

uint32_t script_frame_size(const struct script *script, const struct cursor *cursor)
{
	return head_size(script) + cursor->len + (script->framing == FRAMING_LINE ? 1 : 0);
}

/* What stands at the cursor, up to the next seam; header is memory for that part. */
static struct bytes part_at(const struct script *script, const struct cursor *cursor, bool answer,
			    uint8_t header[static FRAME_HEADER])
{
	uint8_t *table = answer && script->upper ? upper : plain;
	uint32_t head = head_size(script);

	if (cursor->at < head) {
		frame_header(header, cursor->len);
		return (struct bytes){.data = header + cursor->at, .len = head - cursor->at};
	}
	if (cursor->at < head + cursor->len)
		return (struct bytes){.data = table + cursor->place + cursor->at - head,
				      .len = head + cursor->len - cursor->at};
	header[0] = '\n';
	return (struct bytes){.data = header, .len = 1};
}

/* Moves over n bytes that do not go beyond this message; says whether that was its last. */
static bool step(const struct script *script, struct cursor *cursor, size_t n)
{
	cursor->at += (uint32_t)n;
	cursor->bytes += n;
	if (cursor->at < script_frame_size(script, cursor))
		return false;
	stand_at(script, cursor, cursor->number + 1);
	return true;
}

void script_pass(const struct script *script, struct cursor *cursor, size_t n)
{
	while (n > 0) {
		size_t some = MIN(n, (size_t)script_frame_size(script, cursor) - cursor->at);

		(void)step(script, cursor, some); /* the next round looks where it stands */
		n -= some;
	}
}

size_t script_fill(const struct script *script, struct cursor cursor, uint64_t limit, uint32_t hold,
		   uint8_t *out, size_t size)
{
	uint8_t header[FRAME_HEADER];
	size_t len = 0;

	while (len < size && (cursor.number < limit || cursor.at < hold)) {
		struct bytes part = part_at(script, &cursor, false, header);
		size_t n = MIN(part.len, size - len);

		if (cursor.number == limit)
			n = MIN(n, (size_t)hold - cursor.at);
		memcpy(out + len, part.data, n);
		len += n;
		if (step(script, &cursor, n) &&
		    (script->framing == FRAMING_RAW || cursor.number > limit))
			break;
	}
	return len;
}

size_t script_hear(const struct script *script, struct cursor *cursor, const uint8_t *data,
		   size_t len)
{
	uint8_t header[FRAME_HEADER] = {0};
	size_t done = 0;

	while (done < len) {
		struct bytes part = part_at(script, cursor, true, header);
		size_t n = MIN(part.len, len - done), same = 0;

		if (memcmp(data + done, part.data, n) != 0) {
			while (data[done + same] == part.data[same])
				same++;
			return done + same;
		}
		(void)step(script, cursor, n); /* as above */
		done += n;
	}
	return done;
}

bool script_hangs(const struct script *script, const struct cursor *said)
{
	struct cursor before = {0};

	if (script->framing != FRAMING_RAW || said->bytes == 0)
		return false;
	if (said->at > 0)
		return plain[said->place + said->at - 1] == LEAD;
	stand_at(script, &before, said->number - 1);
	return plain[before.place + before.len - 1] == LEAD;
}
