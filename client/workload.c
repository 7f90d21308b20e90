/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workload.h"

#include <errno.h>

#include "util.h"

enum {
	VERIFY_MESSAGES = 256,		 /* different messages in a round, to begin with */
	VERIFY_BYTES = 16 * 1024 * 1024, /* of a round, unless more are in flight */
};

/* Pieces of text that keep their length in every transform, or become shorter. */
static const char *const pieces[] = {
	"a",
	"b",
	"Z",
	"q",
	"7",
	"0",
	" ",
	"-",
	"ж",
	"Я",
	"ю",
	"é",
	"Ö",
	"ß",
	"λ",
	"日",
	"e\xcc\x81",
	"🙂",
	"👩‍👩‍👧",
	"🇩🇪",
};

void workload_done(struct workload *workload)
{
	buffer_done(&workload->messages.bytes);
	buffer_done(&workload->answers.bytes);
	free(workload->messages.begin);
	free(workload->answers.begin);
	*workload = (struct workload){0};
}

/* Any generator does; this one is splitmix64. The same workload is made every time. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Fills len bytes with text of every kind, or of ASCII only. */
static void write_varied(uint8_t *to, size_t len, bool ascii, uint64_t *random)
{
	while (len > 0) {
		const char *piece = pieces[random_next(random) % ARRAY_SIZE(pieces)];
		const size_t piece_len = strlen(piece);

		if (piece_len > len || (ascii && piece_len > 1)) {
			*to++ = (uint8_t)('a' + random_next(random) % 26);
			len--;
			continue;
		}
		memcpy(to, piece, piece_len);
		to += piece_len;
		len -= piece_len;
	}
}

void workload_text(uint8_t *to, size_t len, uint64_t seed)
{
	write_varied(to, len, false, &seed);
}

static void write_number(uint8_t *message, size_t size, size_t digits, size_t number)
{
	for (size_t i = digits; i > 0; i--, number /= 10)
		message[i] = message[size - 1 - i] = (uint8_t)('0' + number % 10);
}

bool workload_number(const struct workload *workload, const uint8_t *answer, size_t len,
		     size_t *ret_number)
{
	size_t number = 0;

	if (workload->digits == 0 || len < 2 * workload->digits + 2)
		return false;
	for (size_t i = 1; i <= workload->digits; i++) {
		if (answer[i] < '0' || answer[i] > '9')
			return false;
		number = number * 10 + (answer[i] - '0');
	}
	if (number >= workload->n)
		return false;
	*ret_number = number;
	return true;
}

static int append(struct workload_side *side, size_t i, const struct workload_setup *setup,
		  const void *data, size_t len)
{
	side->begin[i] = side->bytes.len;
	if (setup->datagrams)
		return buffer_append(&side->bytes, data, len);
	return frame_append(&side->bytes, setup->framing, LINE_END_LF, data, len);
}

/* Lays the round out a second time behind itself. */
static int repeat(struct workload_side *side, size_t n)
{
	const size_t len = side->bytes.len;
	int r = buffer_reserve(&side->bytes, len);

	if (r < 0)
		return r;
	side->begin[n] = len;
	if (len > 0)
		memcpy(side->bytes.data + len, side->bytes.data, len);
	side->bytes.len = 2 * len;
	return 0;
}

static void write_message(const struct workload *workload, const struct workload_setup *setup,
			  size_t number, uint8_t *message, uint64_t *random)
{
	const size_t size = setup->size;
	const size_t edge = size >= 2 ? 1 + workload->digits : 0;

	memset(message, 'x', size);
	/* Over raw a read may cut a message or glue it to others: only ASCII bears that. */
	if (setup->verify)
		write_varied(message + edge, size - 2 * edge,
			     setup->framing == FRAMING_RAW && !setup->datagrams, random);
	if (edge > 0)
		message[0] = message[size - 1] = '"';
	write_number(message, size, workload->digits, number);
}

static int fill(struct workload *workload, const struct workload_setup *setup, uint8_t *message)
{
	CLEANUP(scratch_done) struct scratch scratch = {0};
	struct bytes answer = {message, setup->size};
	uint64_t random = 1;
	int r = 0;

	for (size_t i = 0; i < workload->n && r == 0; i++) {
		write_message(workload, setup, i, message, &random);
		r = append(&workload->messages, i, setup, message, setup->size);
		if (r < 0 || !setup->verify)
			continue;
		answer = (struct bytes){message, setup->size};
		r = pipeline_apply(&setup->pipeline, &scratch, &answer);
		if (r == 0)
			r = append(&workload->answers, i, setup, answer.data, answer.len);
	}
	if (r == 0)
		r = repeat(&workload->messages, workload->n);
	if (r == 0 && setup->verify)
		r = repeat(&workload->answers, workload->n);
	return r;
}

/* How many decimal digits number the messages of a round; 0 when there is no room for them. */
static size_t digits_of(const struct workload_setup *setup, size_t n)
{
	size_t digits = 1;

	for (size_t bound = 10; bound < n; bound *= 10)
		digits++;
	return setup->datagrams && setup->size >= 2 * digits + 2 ? digits : 0;
}

int workload_make(const struct workload_setup *setup, struct workload *ret_workload)
{
	struct workload workload = {.n = setup->in_flight};
	CLEANUP(freep) uint8_t *message = malloc(setup->size + 1);
	int r = -ENOMEM;

	if (setup->verify)
		workload.n = MAX(workload.n, MIN((size_t)VERIFY_MESSAGES,
						 1 + VERIFY_BYTES / (setup->size + 1)));
	/* A datagram's number is free again when its answer is there or given up. */
	if (setup->datagrams)
		workload.n = MAX(setup->in_flight, 16U);
	workload.digits = digits_of(setup, workload.n);
	workload.messages.begin = calloc(workload.n + 1, sizeof(size_t));
	workload.answers.begin = calloc(workload.n + 1, sizeof(size_t));
	if (message && workload.messages.begin && workload.answers.begin)
		r = fill(&workload, setup, message);
	if (r < 0) {
		workload_done(&workload);
		return r;
	}
	*ret_workload = workload;
	return 0;
}
