/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every step first does, in one pass and in place, what is right if the message is ASCII, and finds
 * out on the way whether it was. Only if it was not, the stretches that are not ASCII go through
 * libunistring; the rest is done already. Nothing takes more than linear time.
 *
 * A byte that is part of no valid UTF-8 ends the text before it: no context (of a final sigma, of a
 * grapheme cluster) reaches across it.
 */

#include "transform.h"

#include <unicase.h>
#include <unictype.h>
#include <unigbrk.h>
#include <unistr.h>

#include "text.h"
#include "util.h"

/* The most that full case mapping makes of UTF-8: two bytes of U+0390 become six. */
enum { CASE_GROWTH = 3 };

static const char *const transform_names[TRANSFORM_COUNT] = {
	[TRANSFORM_ECHO] = "echo",
	[TRANSFORM_UPPER] = "upper",
	[TRANSFORM_LOWER] = "lower",
	[TRANSFORM_REVERSE] = "reverse",
};

static int transform_from_text(const char *text, size_t len)
{
	for (int i = 0; i < TRANSFORM_COUNT; i++)
		if (strlen(transform_names[i]) == len && memcmp(transform_names[i], text, len) == 0)
			return i;
	return -EINVAL;
}

int transform_from_name(const char *name)
{
	return transform_from_text(name, strlen(name));
}

const char *transform_name(enum transform transform)
{
	return transform_names[transform];
}

bool pipeline_is_identity(const struct pipeline *pipeline)
{
	for (unsigned i = 0; i < pipeline->n_steps; i++)
		if (pipeline->steps[i] != TRANSFORM_ECHO)
			return false;
	return true;
}

int pipeline_parse(struct pipeline *pipeline, const char *text, const char **ret_bad)
{
	struct pipeline parsed = *pipeline;

	for (;; text++) {
		size_t len = strcspn(text, ",");
		int transform = transform_from_text(text, len);

		if (transform < 0) {
			if (ret_bad)
				*ret_bad = text;
			return transform;
		}
		if (parsed.n_steps == PIPELINE_MAX)
			return -E2BIG;
		parsed.steps[parsed.n_steps++] = (enum transform)transform;
		text += len;
		if (*text == '\0')
			break;
	}
	*pipeline = parsed;
	return 0;
}

void scratch_done(struct scratch *scratch)
{
	scratch_trim(scratch, 0);
}

void scratch_trim(struct scratch *scratch, size_t keep)
{
	struct buffer *buffers[] = {&scratch->result, &scratch->other, &scratch->breaks};

	for (size_t i = 0; i < ARRAY_SIZE(buffers); i++)
		if (buffers[i]->size > keep)
			buffer_done(buffers[i]);
}

/*
 * ASCII. Loads and stores overlap at the end of a message rather than fall back to single bytes:
 * most messages are short, and there the tail is most of the work.
 */

typedef int8_t lanes __attribute__((vector_size(16)));
typedef uint8_t byte_lanes __attribute__((vector_size(16)));
typedef uint16_t pair_lanes __attribute__((vector_size(16)));
typedef uint64_t word_lanes __attribute__((vector_size(16)));

static const uint64_t every_byte = UINT64_C(0x0101010101010101);
static const uint64_t high_bits = UINT64_C(0x8080808080808080);

static inline lanes load_lanes(const uint8_t *data)
{
	lanes x;

	memcpy(&x, data, sizeof(x));
	return x;
}

static inline void store_lanes(uint8_t *data, lanes x)
{
	memcpy(data, &x, sizeof(x));
}

static inline uint64_t load_word(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

static inline void store_word(uint8_t *data, uint64_t word)
{
	memcpy(data, &word, sizeof(word));
}

static inline uint32_t load_half(const uint8_t *data)
{
	uint32_t half;

	memcpy(&half, data, sizeof(half));
	return half;
}

static inline void store_half(uint8_t *data, uint32_t half)
{
	memcpy(data, &half, sizeof(half));
}

/* The bits of both halves. */
static inline uint64_t fold_lanes(word_lanes x)
{
	return x[0] | x[1];
}

/*
 * Changes the case of the letters first to first + 25. These are shifted to the top of the signed
 * range, where one comparison finds them; bytes that are not ASCII never come there.
 */
static inline lanes flip_lanes(lanes x, char first)
{
	byte_lanes shifted = (byte_lanes)x + (uint8_t)(INT8_MAX - (first + 25));

	return x ^ (((lanes)shifted > INT8_MAX - 26) & 0x20);
}

static inline uint64_t flip_word(uint64_t word, char first)
{
	uint64_t low = word & ~high_bits;
	uint64_t from = low + every_byte * (uint64_t)(0x80 - first);
	uint64_t past = low + every_byte * (uint64_t)(0x80 - (first + 26));

	return word ^ ((from & ~past & ~word & high_bits) >> 2);
}

/*
 * Twice as wide, where the processor can: known only when the program runs, so that one binary
 * serves all. What does not fill whole vectors is left to the functions below.
 */
#ifdef __x86_64__

#define WIDE __attribute__((target("avx2")))

typedef int8_t wide_lanes __attribute__((vector_size(32)));
typedef uint8_t wide_byte_lanes __attribute__((vector_size(32)));
typedef uint64_t wide_word_lanes __attribute__((vector_size(32)));

static inline bool has_wide(void)
{
	return __builtin_cpu_supports("avx2");
}

/* Changes the case of the first bytes of data; returns of how many. Adds to *seen their bits. */
static WIDE size_t flip_wide(uint8_t *data, size_t len, char first, uint64_t *seen)
{
	const uint8_t shift = (uint8_t)(INT8_MAX - (first + 25));
	wide_lanes all = {0};
	wide_word_lanes words;
	size_t i;

	for (i = 0; len - i >= sizeof(wide_lanes); i += sizeof(wide_lanes)) {
		wide_lanes x;

		memcpy(&x, data + i, sizeof(x));
		all |= x;
		x ^= ((wide_lanes)((wide_byte_lanes)x + shift) > INT8_MAX - 26) & 0x20;
		memcpy(data + i, &x, sizeof(x));
	}
	words = (wide_word_lanes)all;
	*seen |= words[0] | words[1] | words[2] | words[3];
	return i;
}

#else

static inline bool has_wide(void)
{
	return false;
}

static size_t flip_wide(uint8_t *data, size_t len, char first, uint64_t *seen)
{
	(void)data;
	(void)len;
	(void)first;
	(void)seen;
	return 0;
}

#endif

enum { WIDE_FROM = 256 }; /* bytes from which the wide way is worth its call */

/* As flip_case(), for fewer bytes than one vector. */
static inline bool flip_short(uint8_t *data, size_t len, char first)
{
	uint64_t head = 0, tail = 0;

	if (len >= 8) {
		head = load_word(data);
		tail = load_word(data + len - 8);
		store_word(data, flip_word(head, first));
		store_word(data + len - 8, flip_word(tail, first));
	} else if (len >= 4) {
		head = load_half(data);
		tail = load_half(data + len - 4);
		store_half(data, (uint32_t)flip_word(head, first));
		store_half(data + len - 4, (uint32_t)flip_word(tail, first));
	} else {
		for (size_t i = 0; i < len; i++) {
			head |= data[i];
			data[i] = (uint8_t)flip_word(data[i], first);
		}
	}
	return !((head | tail) & high_bits);
}

/* Changes the case of all ASCII letters first to first + 25. Says whether data is all ASCII. */
static inline bool flip_case(uint8_t *data, size_t len, char first)
{
	uint64_t wide = 0;
	lanes seen, tail;
	size_t i;

	if (len >= WIDE_FROM && has_wide()) {
		size_t done = flip_wide(data, len, first, &wide);

		data += done;
		len -= done;
	}
	if (len < sizeof(lanes))
		return flip_short(data, len, first) && !(wide & high_bits);

	seen = tail = load_lanes(data + len - sizeof(lanes));
	for (i = 0; len - i >= sizeof(lanes); i += sizeof(lanes)) {
		lanes x = load_lanes(data + i);

		seen |= x;
		store_lanes(data + i, flip_lanes(x, first));
	}
	if (i < len)
		store_lanes(data + len - sizeof(lanes), flip_lanes(tail, first));
	return !((fold_lanes((word_lanes)seen) | wide) & high_bits);
}

/* What reversing bytes came across. */
struct seen {
	uint64_t high; /* a high bit is set: not ASCII */
	uint64_t cr;   /* not 0: a carriage return */
};

/* Not 0 when one of the bytes of word is a carriage return. */
static inline uint64_t find_cr(uint64_t word)
{
	word ^= every_byte * '\r';
	return (word - every_byte) & ~word & high_bits;
}

/* In three steps that a machine without a general shuffle of bytes does well. */
static inline lanes reverse_lanes(lanes x)
{
	pair_lanes pairs = (pair_lanes)x;
	word_lanes words;

	pairs = pairs << 8 | pairs >> 8;
	words = (word_lanes)__builtin_shufflevector(pairs, pairs, 3, 2, 1, 0, 7, 6, 5, 4);
	return (lanes)__builtin_shufflevector(words, words, 1, 0);
}

/* As reverse_bytes(), for fewer bytes than one vector. */
static inline struct seen reverse_short(uint8_t *data, size_t len)
{
	uint64_t head = 0, tail = 0;
	uint8_t *end = data + len;

	if (len >= 8) {
		head = load_word(data);
		tail = load_word(end - 8);
		store_word(data, __builtin_bswap64(tail));
		store_word(end - 8, __builtin_bswap64(head));
	} else if (len >= 4) {
		head = load_half(data);
		tail = load_half(end - 4);
		store_half(data, __builtin_bswap32((uint32_t)tail));
		store_half(end - 4, __builtin_bswap32((uint32_t)head));
	} else if (len > 0) {
		head = (uint64_t)(data[0] | data[len / 2] << 8);
		tail = end[-1];
		data[0] = (uint8_t)tail;
		end[-1] = (uint8_t)head;
	}
	return (struct seen){head | tail, find_cr(head) | find_cr(tail)};
}

#ifdef __x86_64__

/*
 * Exchanges the first bytes of data with the last, turned around, and returns how many at each end.
 * Adds to *seen what it came across.
 */
static WIDE size_t reverse_wide(uint8_t *data, size_t len, struct seen *seen)
{
	wide_lanes all = {0}, crs = {0};
	wide_word_lanes high, cr;
	uint8_t *head = data, *tail = data + len;

	while (tail - head >= 2 * (ptrdiff_t)sizeof(wide_lanes)) {
		wide_lanes a, b;

		tail -= sizeof(b);
		memcpy(&a, head, sizeof(a));
		memcpy(&b, tail, sizeof(b));
		all |= a | b;
		crs |= (a == '\r') | (b == '\r');
		a = __builtin_shufflevector(a, a, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,
					    19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,
					    4, 3, 2, 1, 0);
		b = __builtin_shufflevector(b, b, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,
					    19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,
					    4, 3, 2, 1, 0);
		memcpy(head, &b, sizeof(b));
		memcpy(tail, &a, sizeof(a));
		head += sizeof(a);
	}
	high = (wide_word_lanes)all;
	cr = (wide_word_lanes)crs;
	seen->high |= high[0] | high[1] | high[2] | high[3];
	seen->cr |= cr[0] | cr[1] | cr[2] | cr[3];
	return (size_t)(head - data);
}

#else

static size_t reverse_wide(uint8_t *data, size_t len, struct seen *seen)
{
	(void)data;
	(void)len;
	(void)seen;
	return 0;
}

#endif

/* Turns the order of all bytes around. */
static inline struct seen reverse_bytes(uint8_t *data, size_t len)
{
	word_lanes seen = {0}, crs = {0};
	uint8_t *end = data + len;
	struct seen rest = {0}, wide = {0};

	if (len >= WIDE_FROM && has_wide()) {
		size_t done = reverse_wide(data, len, &wide);

		data += done;
		end -= done;
	}

	while (end - data >= (ptrdiff_t)sizeof(lanes)) {
		lanes head = load_lanes(data), tail = load_lanes(end - sizeof(lanes));

		seen |= (word_lanes)(head | tail);
		crs |= (word_lanes)(head == '\r') | (word_lanes)(tail == '\r');
		store_lanes(data, reverse_lanes(tail));
		store_lanes(end - sizeof(lanes), reverse_lanes(head));
		data += sizeof(lanes);
		end -= sizeof(lanes);
	}
	if (end > data)
		rest = reverse_short(data, (size_t)(end - data));
	return (struct seen){(fold_lanes(seen) | rest.high | wide.high) & high_bits,
			     fold_lanes(crs) | rest.cr | wide.cr};
}

/* Each LF CR of a reversed text was CR LF, one grapheme cluster, and is so again. */
static void restore_line_ends(uint8_t *data, size_t len)
{
	uint8_t *from = data, *end = data + len, *p;

	for (; (p = memchr(from, '\r', (size_t)(end - from))); from = p + 1) {
		if (p > from && p[-1] == '\n') {
			p[-1] = '\r';
			*p = '\n';
		}
	}
}

/* What is not ASCII. */

static size_t non_ascii_prefix(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && data[i] >= 0x80)
		i++;
	return i;
}

/*
 * Appends the case-mapped text of a stretch to result, which has room for CASE_GROWTH times its
 * length. libunistring allocates nothing where the memory it is given suffices.
 */
static int map_stretch(enum transform transform, struct bytes stretch, struct buffer *result)
{
	while (stretch.len > 0) {
		size_t valid = text_valid_prefix(stretch.data, stretch.len);
		size_t size = result->size - result->len;
		uint8_t *to = result->data + result->len, *mapped;

		if (valid == 0) {
			valid = size = 1;
			*to = *stretch.data;
		} else {
			mapped = transform == TRANSFORM_UPPER
					 ? u8_toupper(stretch.data, valid, "", NULL, to, &size)
					 : u8_tolower(stretch.data, valid, "", NULL, to, &size);
			if (mapped != to) {
				free(mapped);
				return -ENOMEM;
			}
		}
		result->len += size;
		stretch.data += valid;
		stretch.len -= valid;
	}
	return 0;
}

/*
 * Lowers every capital sigma in place, as its neighbours want it: it is a final one after a cased
 * letter and not before one, case-ignorable characters left aside. No other character looks around
 * itself, so that the rest needs no context. libunistring would do this too, but does not know that
 * an apostrophe is case-ignorable.
 */
static void lower_sigmas(uint8_t *data, size_t len)
{
	uint8_t *final = NULL; /* a sigma that is final unless a cased letter follows */
	bool after_cased = false;

	for (size_t i = 0, size; i < len; i += size) {
		ucs4_t c = 0;
		int n = u8_mbtoucr(&c, data + i, len - i);
		bool cased = n > 0 && uc_is_property_cased(c);

		size = n > 0 ? (size_t)n : 1;
		if (n > 0 && !cased && uc_is_property_case_ignorable(c))
			continue;
		if (final && cased)
			memcpy(final, "σ", 2);
		final = NULL;
		if (n > 0 && c == 0x3A3) {
			memcpy(data + i, after_cased ? "ς" : "σ", 2);
			final = after_cased ? data + i : NULL;
		}
		after_cased = cased;
	}
}

/* Maps what flip_case() left over, into memory that is not the text's own. */
static __attribute__((noinline)) int map_case(enum transform transform, struct scratch *scratch,
					      struct bytes *text)
{
	struct buffer *result = &scratch->result;
	size_t room;
	int r;

	if (text->data == result->data) {
		struct buffer swap = scratch->result;

		scratch->result = scratch->other;
		scratch->other = swap;
	}
	result->len = 0;
	if (__builtin_mul_overflow(text->len, (size_t)CASE_GROWTH, &room))
		return -ENOMEM;
	r = buffer_reserve(result, room);
	if (r < 0)
		return r;

	if (transform == TRANSFORM_LOWER && memmem(text->data, text->len, "Σ", 2))
		lower_sigmas(text->data, text->len);
	for (size_t i = 0; i < text->len;) {
		struct bytes rest = {text->data + i, text->len - i};
		size_t ascii = text_ascii_prefix(rest.data, rest.len);

		memcpy(result->data + result->len, rest.data, ascii);
		result->len += ascii;
		rest.data += ascii;
		rest.len = non_ascii_prefix(rest.data, rest.len - ascii);
		r = map_stretch(transform, rest, result);
		if (r < 0)
			return r;
		i += ascii + rest.len;
	}
	*text = (struct bytes){result->data, result->len};
	return 0;
}

static __attribute__((noinline)) int step_case(enum transform transform, struct scratch *scratch,
					       struct bytes *text)
{
	bool ascii = transform == TRANSFORM_UPPER ? flip_case(text->data, text->len, 'a')
						  : flip_case(text->data, text->len, 'A');

	return ascii ? 0 : map_case(transform, scratch, text);
}

/*
 * Marks in breaks each byte at which a grapheme cluster begins with 1, others with 0. Between two
 * ASCII characters there is always a break, but for CR LF; so libunistring sees only what is not
 * ASCII, and the one ASCII character at each side that may belong to it.
 */
static void mark_breaks(const uint8_t *data, size_t len, char *breaks)
{
	memset(breaks, 1, len);
	for (const uint8_t *p = data; (p = memchr(p, '\n', len - (size_t)(p - data))); p++)
		if (p > data && p[-1] == '\r')
			breaks[p - data] = 0;

	for (size_t start = 0;;) {
		size_t end;

		start += text_ascii_prefix(data + start, len - start);
		if (start == len)
			return;
		end = start + non_ascii_prefix(data + start, len - start);

		for (size_t from = start; from < end;) {
			size_t to = from + text_valid_prefix(data + from, end - from);
			size_t first = from == start && from > 0 ? from - 1 : from;
			size_t last = to == end && to < len ? to + 1 : to;
			char before = breaks[first];

			if (to == from) { /* a byte that stands for itself */
				from++;
				continue;
			}
			u8_grapheme_breaks(data + first, last - first, breaks + first);
			breaks[first] = before;
			from = to;
		}
		start = end;
	}
}

static __attribute__((noinline)) int step_reverse(struct scratch *scratch, struct bytes *text)
{
	uint8_t *data = text->data;
	size_t len = text->len;
	struct seen seen;
	char *breaks;
	int r;

	seen = reverse_bytes(data, len);
	if (!seen.high) {
		if (seen.cr)
			restore_line_ends(data, len);
		return 0;
	}
	(void)reverse_bytes(data, len); /* not ASCII, as known now: back to the start */

	scratch->breaks.len = 0;
	r = buffer_reserve(&scratch->breaks, len);
	if (r < 0)
		return r;
	breaks = (char *)scratch->breaks.data;
	mark_breaks(data, len, breaks);

	/* Each cluster turned around in itself, then all: the clusters come out whole. */
	for (size_t start = 0, end; start < len; start = end) {
		for (end = start + 1; end < len && !breaks[end];)
			end++;
		if (end - start > 1)
			(void)reverse_bytes(data + start, end - start);
	}
	(void)reverse_bytes(data, len);
	return 0;
}

static __attribute__((noinline)) int apply_steps(const struct pipeline *pipeline,
						 struct scratch *scratch, struct bytes *message)
{
	struct bytes text = {message->data, message->len};

	for (unsigned i = 0; i < pipeline->n_steps; i++) {
		enum transform transform = pipeline->steps[i];
		int r = 0;

		if (transform == TRANSFORM_REVERSE)
			r = step_reverse(scratch, &text);
		else if (transform != TRANSFORM_ECHO)
			r = step_case(transform, scratch, &text);
		if (r < 0)
			return r;
	}

	if (text.data != message->data && text.len == message->len)
		memcpy(message->data, text.data, text.len);
	else
		*message = text;
	return 0;
}

int pipeline_apply(const struct pipeline *pipeline, struct scratch *scratch, struct bytes *message)
{
	if (message->len == 0 || pipeline->n_steps == 0 ||
	    (pipeline->n_steps == 1 && pipeline->steps[0] == TRANSFORM_ECHO))
		return 0;
	return apply_steps(pipeline, scratch, message);
}
