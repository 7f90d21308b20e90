/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transforms: what the protocol promises, by table; that the fast ways give what the plain way
 * gives, on everything random; and that a steady stream of messages allocates nothing.
 */

#include <check.h>
#include <locale.h>

#include "reference_transform.h"
#include "transform.h"
#include "util.h"

enum { LONGEST = 300 };

/* Under a sanitizer malloc() is the sanitizer's, and allocations are not counted. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_COUNT
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NO_COUNT
#endif

#ifndef NO_COUNT
/* glibc's own, which the functions below stand in front of. */
extern void *libc_malloc(size_t size) __asm__("__libc_malloc");
extern void *libc_calloc(size_t nmemb, size_t size) __asm__("__libc_calloc");
extern void *libc_realloc(void *ptr, size_t size) __asm__("__libc_realloc");

static unsigned long allocations;

void *malloc(size_t size)
{
	allocations++;
	return libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
	allocations++;
	return libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
	allocations++;
	return libc_realloc(ptr, size);
}
#endif

#define TEXT(literal)                                     \
	{                                                 \
		(uint8_t *)(literal), sizeof(literal) - 1 \
	}

/* A generator of random numbers that gives the same ones everywhere. */
static uint32_t random_next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Applies the pipeline of this name to a copy of input, and leaves what comes out in result. */
static void apply(const char *name, struct bytes input, struct buffer *result)
{
	struct scratch scratch = {0};
	struct pipeline pipeline = {0};
	struct bytes message = {malloc(input.len + 1), input.len};
	uint8_t *data = message.data;

	ck_assert_int_eq(pipeline_parse(&pipeline, name, NULL), 0);
	memcpy(data, input.data, input.len);
	ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &message), 0);
	ck_assert_msg((message.data == data) == (message.len == input.len),
		      "%s: in place if and only if the length stays", name);
	result->len = 0;
	ck_assert_int_eq(buffer_append(result, message.data, message.len), 0);
	scratch_done(&scratch);
	free(data);
}

static void check_bytes(const char *what, struct bytes input, const struct buffer *is,
			struct bytes expected)
{
	if (is->len == expected.len &&
	    (is->len == 0 || memcmp(is->data, expected.data, is->len) == 0))
		return;
	ck_abort_msg("%s of '%.*s' is '%.*s', not '%.*s'", what, (int)input.len, input.data,
		     (int)is->len, is->data, (int)expected.len, expected.data);
}

/* Check's own assertions each write a mark to a file, too slow for millions. */
static void require(bool condition)
{
	if (!condition)
		ck_abort();
}

/* Compares all transforms of input, which is overwritten, with the reference. */
static void check_reference(struct scratch *scratch, struct bytes input)
{
	uint8_t copy[LONGEST + 8];

	require(input.len <= LONGEST);
	memcpy(copy, input.data, input.len);
	for (enum transform transform = 0; transform <= TRANSFORM_REVERSE; transform++) {
		struct pipeline pipeline = {.n_steps = 1, .steps = {transform}};
		struct buffer expected = {0};
		struct bytes message = input;

		memcpy(input.data, copy, input.len);
		reference_transform(transform, copy, input.len, &expected);
		require(pipeline_apply(&pipeline, scratch, &message) == 0);
		check_bytes(transform_name(transform), (struct bytes){copy, input.len},
			    &(struct buffer){.data = message.data, .len = message.len},
			    (struct bytes){expected.data, expected.len});
		buffer_done(&expected);
	}
}

START_TEST(test_names)
{
	for (enum transform transform = 0; transform <= TRANSFORM_REVERSE; transform++)
		ck_assert_int_eq(transform_from_name(transform_name(transform)), transform);
	ck_assert_str_eq(transform_name(TRANSFORM_ECHO), "echo");
	ck_assert_str_eq(transform_name(TRANSFORM_UPPER), "upper");
	ck_assert_str_eq(transform_name(TRANSFORM_LOWER), "lower");
	ck_assert_str_eq(transform_name(TRANSFORM_REVERSE), "reverse");
	ck_assert_int_eq(transform_from_name(""), -EINVAL);
	ck_assert_int_eq(transform_from_name("Upper"), -EINVAL);
	ck_assert_int_eq(transform_from_name("uppe"), -EINVAL);
	ck_assert_int_eq(transform_from_name("upper "), -EINVAL);
	ck_assert_int_eq(transform_from_name("upper,lower"), -EINVAL);
}
END_TEST

START_TEST(test_parse)
{
	struct pipeline pipeline = {0};
	const char *bad = NULL;

	ck_assert_int_eq(pipeline_parse(&pipeline, "upper", &bad), 0);
	ck_assert_int_eq(pipeline_parse(&pipeline, "reverse,echo", NULL), 0);
	ck_assert_ptr_null(bad);
	ck_assert_uint_eq(pipeline.n_steps, 3);
	ck_assert_int_eq(pipeline.steps[0], TRANSFORM_UPPER);
	ck_assert_int_eq(pipeline.steps[1], TRANSFORM_REVERSE);
	ck_assert_int_eq(pipeline.steps[2], TRANSFORM_ECHO);
}
END_TEST

START_TEST(test_parse_errors)
{
	static const struct {
		const char *text;
		size_t bad; /* where the bad name begins */
	} cases[] = {
		{"", 0},
		{",", 0},
		{"upper,", 6},
		{",upper", 0},
		{"upper,,lower", 6},
		{"upper,shout", 6},
		{"upper ", 0},
		{"upper, lower", 6},
		{"lower,UPPER", 6},
		{"echo;echo", 0},
	};
	struct pipeline pipeline = {.n_steps = 1, .steps = {TRANSFORM_LOWER}}, before = pipeline;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *bad = NULL;

		ck_assert_int_eq(pipeline_parse(&pipeline, cases[i].text, &bad), -EINVAL);
		ck_assert_ptr_eq(bad, cases[i].text + cases[i].bad);
		ck_assert_int_eq(pipeline_parse(&pipeline, cases[i].text, NULL), -EINVAL);
		ck_assert_mem_eq(&pipeline, &before, sizeof(before));
	}
}
END_TEST

START_TEST(test_parse_too_many)
{
	struct pipeline pipeline = {0}, full;

	for (int i = 0; i < PIPELINE_MAX / 2; i++)
		ck_assert_int_eq(pipeline_parse(&pipeline, "upper,lower", NULL), 0);
	ck_assert_uint_eq(pipeline.n_steps, PIPELINE_MAX);
	full = pipeline;
	ck_assert_int_eq(pipeline_parse(&pipeline, "echo", NULL), -E2BIG);
	ck_assert_mem_eq(&pipeline, &full, sizeof(full));
}
END_TEST

START_TEST(test_identity)
{
	struct pipeline pipeline = {0};

	ck_assert(pipeline_is_identity(&pipeline));
	ck_assert_int_eq(pipeline_parse(&pipeline, "echo,echo", NULL), 0);
	ck_assert(pipeline_is_identity(&pipeline));
	ck_assert_int_eq(pipeline_parse(&pipeline, "lower", NULL), 0);
	ck_assert(!pipeline_is_identity(&pipeline));
}
END_TEST

START_TEST(test_table)
{
	static const struct {
		const char *pipeline;
		struct bytes input, output;
	} cases[] = {
		{"echo", TEXT(""), TEXT("")},
		{"echo", TEXT("a\xFF\0b"), TEXT("a\xFF\0b")},
		{"upper", TEXT(""), TEXT("")},
		{"upper", TEXT("hello, world!"), TEXT("HELLO, WORLD!")},
		{"upper", TEXT("@`[{az\0AZ\x7F"), TEXT("@`[{AZ\0AZ\x7F")},
		{"upper", TEXT("straße"), TEXT("STRASSE")},
		{"upper", TEXT("привет"), TEXT("ПРИВЕТ")},
		{"upper", TEXT("ŉ"), TEXT("ʼN")},
		{"upper", TEXT("ΐ"), TEXT("\u0399\u0308\u0301")},
		{"upper", TEXT("eﬃcient"), TEXT("EFFICIENT")},
		{"upper", TEXT("ǆ ı ÿ"), TEXT("Ǆ I Ÿ")},
		{"upper", TEXT("όσος"), TEXT("ΌΣΟΣ")},
		{"upper", TEXT("漢字 👍🏽"), TEXT("漢字 👍🏽")},
		{"upper", TEXT("\xC3straße\xFF\xE2\x82z"), TEXT("\xC3STRASSE\xFF\xE2\x82Z")},
		{"lower", TEXT("Hello, WORLD!"), TEXT("hello, world!")},
		{"lower", TEXT("@`[{az\0AZ\x7F"), TEXT("@`[{az\0az\x7F")},
		{"lower", TEXT("ПРИВЕТ"), TEXT("привет")},
		{"lower", TEXT("İ I"), TEXT("i\u0307 i")},
		{"lower", TEXT("Ⱥ"), TEXT("ⱥ")},
		{"lower", TEXT("ὈΔΥΣΣΕΎΣ, ΣΑΣ."), TEXT("ὀδυσσεύς, σας.")},
		{"lower", TEXT("ΑΣ'Α Σ"), TEXT("ασ'α σ")},
		{"lower", TEXT("Α'Σ Α.Σ: Σ'Α"), TEXT("α'ς α.ς: σ'α")},
		{"lower", TEXT("ΑΣΣ ΑΣ\u0301 ΑΣ\u0301Α"), TEXT("ασς ας\u0301 ασ\u0301α")},
		{"reverse", TEXT("\r\r\n\n\r\r\r\n\n"), TEXT("\n\r\n\r\r\n\r\n\r")},
		{"lower", TEXT("BΣ b\u0301Σ"), TEXT("bς b\u0301ς")},
		{"lower", TEXT("ΑΣ\xFFΑ"), TEXT("ας\xFFα")},
		{"lower", TEXT("Α\xFFΣ"), TEXT("α\xFFσ")},
		{"reverse", TEXT("hello, world!"), TEXT("!dlrow ,olleh")},
		{"reverse", TEXT("a\0b"), TEXT("b\0a")},
		{"reverse", TEXT("привет"), TEXT("тевирп")},
		{"reverse", TEXT("one\r\ntwo\n\rthree\r\n"), TEXT("\r\neerht\r\nowt\r\neno")},
		{"reverse", TEXT("\r\r\n\n"), TEXT("\n\r\n\r")},
		{"reverse", TEXT("é\r\nü"), TEXT("ü\r\né")},
		{"reverse", TEXT("cafe\u0301!"), TEXT("!e\u0301fac")},
		{"reverse", TEXT("\u0301a"), TEXT("a\u0301")},
		{"reverse", TEXT("🇩🇪🇫🇷🇮🇹"), TEXT("🇮🇹🇫🇷🇩🇪")},
		{"reverse", TEXT("🇩🇪🇫"), TEXT("🇫🇩🇪")},
		{"reverse", TEXT("a\u200D👧"), TEXT("👧a\u200D")},
		{"reverse", TEXT("\u0600ab"), TEXT("b\u0600a")},
		{"reverse", TEXT("\xFF\xFE"), TEXT("\xFE\xFF")},
		{"reverse", TEXT("\xE2\x82"), TEXT("\x82\xE2")},
		{"reverse", TEXT("é\xFF\u0301z"), TEXT("z\u0301\xFFé")},
		{"upper,reverse", TEXT("straße"), TEXT("ESSARTS")},
		{"reverse,upper", TEXT("straße"), TEXT("ESSARTS")},
		{"upper,lower,reverse", TEXT("ŉ"), TEXT("nʼ")},
		{"upper,lower", TEXT("ΐ"), TEXT("\u03B9\u0308\u0301")},
		{"lower,upper,lower,upper", TEXT("İß"), TEXT("I\u0307SS")},
		{"upper,lower", TEXT("ſŉ ﬀ"), TEXT("sʼn ff")}, /* back to the same length */
	};
	struct buffer result = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		apply(cases[i].pipeline, cases[i].input, &result);
		check_bytes(cases[i].pipeline, cases[i].input, &result, cases[i].output);
	}
	buffer_done(&result);
}
END_TEST

START_TEST(test_clusters)
{
	static const struct bytes clusters[] = {
		TEXT("a"),
		TEXT("é"),
		TEXT("e\u0301\u0323"),
		TEXT("👩‍👩‍👧‍👦"),
		TEXT("👩🏽‍🚀"),
		TEXT("👍🏽"),
		TEXT("❤️‍🔥"),
		TEXT("1️⃣"),
		TEXT("🇩🇪"),
		TEXT("🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F"),
		TEXT("\u1100\u1161\u11A8"),
		TEXT("\uAC00\u11A8"),
		TEXT("नि"),
		TEXT("กำ"),
		TEXT("\r\n"),
		TEXT("\n"),
		TEXT("\xFF"),
		TEXT("\xC3"),
	};
	uint8_t forth[256], back[256];
	struct buffer result = {0};

	for (size_t i = 0; i < ARRAY_SIZE(clusters); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(clusters); j++) {
			struct bytes a = clusters[i], b = clusters[j];
			size_t len = a.len + 1 + b.len + b.len;

			mempcpy(mempcpy(mempcpy(mempcpy(forth, a.data, a.len), "-", 1), b.data,
					b.len),
				b.data, b.len);
			mempcpy(mempcpy(mempcpy(mempcpy(back, b.data, b.len), b.data, b.len), "-",
					1),
				a.data, a.len);
			apply("reverse", (struct bytes){forth, len}, &result);
			check_bytes("reverse", (struct bytes){forth, len}, &result,
				    (struct bytes){back, len});
			apply("reverse,reverse", (struct bytes){forth, len}, &result);
			check_bytes("reverse twice", (struct bytes){forth, len}, &result,
				    (struct bytes){forth, len});
		}
	}
	buffer_done(&result);
}
END_TEST

/* Every length at every alignment, and not a byte outside the message. */
START_TEST(test_lengths)
{
	static const uint8_t alphabet[] = "\r\n\r\n@AZ[`az{ \x7Fmixed";
	uint8_t memory[16 + LONGEST + 16];
	struct scratch scratch = {0};
	uint32_t random = 1;

	for (size_t len = 0; len <= LONGEST; len++) {
		for (size_t align = 0; align < 16; align++) {
			memset(memory, 'q', sizeof(memory));
			for (size_t i = 0; i < len; i++)
				memory[align + i] =
					alphabet[random_next(&random) % (sizeof(alphabet) - 1)];
			check_reference(&scratch, (struct bytes){memory + align, len});
			for (size_t i = 0; i < align; i++)
				require(memory[i] == 'q');
			for (size_t i = align + len; i < sizeof(memory); i++)
				require(memory[i] == 'q');
		}
	}
	ck_assert_ptr_null(scratch.result.data); /* ASCII needs no memory */
	ck_assert_ptr_null(scratch.breaks.data);
	scratch_done(&scratch);
}
END_TEST

/* One byte or character of every kind at every place in ASCII. */
START_TEST(test_positions)
{
	static const struct bytes strange[] = {
		TEXT("\x80"),	  TEXT("\xFF"),		TEXT("\xC3"), TEXT("\xE2\x82"),
		TEXT("\xC0\x80"), TEXT("\xED\xA0\x80"), TEXT("é"),    TEXT("ß"),
		TEXT("Σ"),	  TEXT("\u0301"),	TEXT("👍"),    TEXT("\u200D"),
		TEXT("\u0600"),	  TEXT("\r\n"),
	};
	struct scratch scratch = {0};
	uint8_t memory[80];

	for (size_t len = 0; len <= 70; len++) {
		for (size_t at = 0; at <= len; at++) {
			for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
				memset(memory, 'm', len + strange[i].len);
				memcpy(memory + at, strange[i].data, strange[i].len);
				check_reference(&scratch,
						(struct bytes){memory, len + strange[i].len});
			}
		}
	}
	scratch_done(&scratch);
}
END_TEST

/* Texts out of pieces that have to do with each other. */
START_TEST(test_random_texts)
{
	static const char *const pieces[] = {
		"a", "Z",      " ",	 "\r",	   "\n",     "'",      "Σ",    "σ",	 "ß",
		"ŉ", "İ",      "\u0301", "\u0345", "\u200D", "\u200C", "👩",    "👧",	 "🏽",
		"❤", "\uFE0F", "🇩",	 "🇪",	   "\u1100", "\u1161", "가",   "\u11A8", "\u0600",
		"ि", "\xFF",   "\xE2",	 "\x82",   "\u00AD", "Привет", "word",
	};
	struct scratch scratch = {0};
	uint8_t memory[LONGEST];
	uint32_t random = 2;

	for (int round = 0; round < 30000; round++) {
		size_t n = 1 + random_next(&random) % 14, len = 0;

		for (size_t i = 0; i < n; i++) {
			const char *piece = pieces[random_next(&random) % ARRAY_SIZE(pieces)];

			memcpy(memory + len, piece, strlen(piece));
			len += strlen(piece);
		}
		check_reference(&scratch, (struct bytes){memory, len});
	}
	scratch_done(&scratch);
}
END_TEST

START_TEST(test_random_bytes)
{
	struct scratch scratch = {0};
	uint8_t memory[LONGEST];
	uint32_t random = 3;

	for (int round = 0; round < 10000; round++) {
		size_t len = random_next(&random) % LONGEST;

		for (size_t i = 0; i < len; i++)
			memory[i] = (uint8_t)(random_next(&random) >> 8);
		check_reference(&scratch, (struct bytes){memory, len});
	}
	scratch_done(&scratch);
}
END_TEST

/* Every character: as the reference says, never more than three times as long, idempotent. */
START_TEST(test_every_character)
{
	static const struct pipeline pipelines[] = {
		{.n_steps = 1, .steps = {TRANSFORM_UPPER}},
		{.n_steps = 1, .steps = {TRANSFORM_LOWER}},
	};
	struct scratch scratch = {0};
	uint8_t memory[6] = "-";

	for (ucs4_t c = 0; c < 0x110000; c++) {
		int n = u8_uctomb(memory + 1, c, 4);

		if (n < 0) /* a surrogate */
			continue;
		memory[1 + n] = '-';
		check_reference(&scratch, (struct bytes){memory, (size_t)n + 2});
		for (size_t i = 0; i < ARRAY_SIZE(pipelines); i++) {
			uint8_t once[64], data[4];
			struct bytes message = {data, (size_t)u8_uctomb(data, c, 4)};
			size_t len;

			require(pipeline_apply(&pipelines[i], &scratch, &message) == 0);
			require(message.len <= (size_t)n * 3);
			len = message.len;
			memcpy(once, message.data, len);
			require(pipeline_apply(&pipelines[i], &scratch, &message) == 0);
			require(message.len == len && memcmp(message.data, once, len) == 0);
		}
	}
	scratch_done(&scratch);
}
END_TEST

START_TEST(test_pipelines)
{
	static const char text[] = "Straße ŉ ΐ İ ſ Σ\u0301 👩‍👧 ﬃ \xFF Ⱥ\r\nz";
	struct scratch scratch = {0};
	uint32_t random = 4;

	for (int round = 0; round < 5000; round++) {
		struct pipeline pipeline = {.n_steps = random_next(&random) % (PIPELINE_MAX + 1)};
		uint8_t data[sizeof(text) - 1];
		struct bytes message = {data, sizeof(data)};
		struct buffer expected = {0};

		memcpy(data, text, sizeof(data));
		ck_assert_int_eq(buffer_append(&expected, text, sizeof(data)), 0);
		for (unsigned i = 0; i < pipeline.n_steps; i++) {
			struct buffer next = {0};

			pipeline.steps[i] = random_next(&random) % TRANSFORM_COUNT;
			reference_transform(pipeline.steps[i], expected.data, expected.len, &next);
			buffer_done(&expected);
			expected = next;
		}
		ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &message), 0);
		ck_assert_uint_eq(message.len, expected.len);
		ck_assert_mem_eq(message.data, expected.data, expected.len);
		ck_assert((message.data == data) == (message.len == sizeof(data)));
		buffer_done(&expected);
	}
	scratch_done(&scratch);
}
END_TEST

START_TEST(test_scratch_trim)
{
	struct pipeline pipeline = {.n_steps = 2, .steps = {TRANSFORM_UPPER, TRANSFORM_REVERSE}};
	struct scratch scratch = {0};
	uint8_t data[] = "straße";
	struct bytes message = {data, sizeof(data) - 1};

	ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &message), 0);
	ck_assert_ptr_nonnull(scratch.result.data);
	scratch_trim(&scratch, scratch.result.size);
	ck_assert_ptr_nonnull(scratch.result.data);
	scratch_trim(&scratch, scratch.result.size - 1);
	ck_assert_ptr_null(scratch.result.data);
	scratch_done(&scratch);
	scratch_done(&scratch);
	message = (struct bytes){data, sizeof(data) - 1};
	ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &message), 0);
	scratch_done(&scratch);
}
END_TEST

START_TEST(test_empty)
{
	struct pipeline pipeline = {.n_steps = 1, .steps = {TRANSFORM_UPPER}};
	struct bytes none = {NULL, 0};
	struct scratch scratch = {0};

	ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &none), 0);
	ck_assert_ptr_null(none.data);
	scratch_done(&scratch);
}
END_TEST

/* What would take minutes if anything took quadratic time. */
START_TEST(test_linear)
{
	static const char *const units[] = {
		"\u200D",   "🇩",     "\u0301", "Σ",	   "Σ\u0301", "ΐ",     "\xFF",	 "\xC3",
		"\xF0\x9F", "a\xFF", "aΣ",     "\xE2\x80", "\r\n",    "\r\né", "\u0600", "👩\u200D",
	};
	enum { SIZE = 1 << 20 };
	CLEANUP(freep) uint8_t *data = malloc(SIZE);
	struct scratch scratch = {0};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t unit = strlen(units[i]), len = SIZE / unit * unit;

		for (enum transform transform = 0; transform <= TRANSFORM_REVERSE; transform++) {
			struct pipeline pipeline = {.n_steps = 1, .steps = {transform}};
			struct bytes message = {data, len};

			for (size_t at = 0; at < len; at += unit)
				memcpy(data + at, units[i], unit);
			ck_assert_int_eq(pipeline_apply(&pipeline, &scratch, &message), 0);
		}
	}
	scratch_done(&scratch);
}
END_TEST

START_TEST(test_locale)
{
	struct buffer result = {0};

	/* Where the Turkish locale is not there, this tests what the other tests do. */
	(void)setlocale(LC_ALL, "tr_TR.UTF-8");
	apply("upper", (struct bytes)TEXT("istanbul é"), &result);
	check_bytes("upper", (struct bytes)TEXT("istanbul é"), &result,
		    (struct bytes)TEXT("ISTANBUL É"));
	apply("lower", (struct bytes)TEXT("ISTANBUL É"), &result);
	check_bytes("lower", (struct bytes)TEXT("ISTANBUL É"), &result,
		    (struct bytes)TEXT("istanbul é"));
	buffer_done(&result);
}
END_TEST

#ifndef NO_COUNT
START_TEST(test_steady)
{
	static const struct bytes texts[] = {
		TEXT("hello, world!"),	 TEXT("straße"),    TEXT("ΐΐΐΐΐΐΐΐΐΐ"), TEXT("ΑΣ"),
		TEXT("👩‍👧\r\n"), TEXT("\xFFé\xFF"), TEXT(""),
	};
	struct pipeline pipeline = {0};
	struct scratch scratch = {0};
	unsigned long before;
	uint8_t data[64];

	ck_assert_int_eq(pipeline_parse(&pipeline, "upper,reverse,lower,echo,upper", NULL), 0);
	for (int round = 0; round < 100; round++) {
		int failed = 0;

		before = allocations;
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
			struct bytes message = {data, texts[i].len};

			memcpy(data, texts[i].data, texts[i].len);
			failed |= pipeline_apply(&pipeline, &scratch, &message);
		}
		if (allocations == 0) /* valgrind's malloc() stands in front of ours */
			break;
		if (round > 0)
			ck_assert_uint_eq(allocations, before);
		ck_assert_int_eq(failed, 0);
	}
	scratch_done(&scratch);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("transform");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_names);
	tcase_add_test(tests, test_parse);
	tcase_add_test(tests, test_parse_errors);
	tcase_add_test(tests, test_parse_too_many);
	tcase_add_test(tests, test_identity);
	tcase_add_test(tests, test_empty);
	tcase_add_test(tests, test_table);
	tcase_add_test(tests, test_clusters);
	tcase_add_test(tests, test_lengths);
	tcase_add_test(tests, test_positions);
	tcase_add_test(tests, test_random_texts);
	tcase_add_test(tests, test_random_bytes);
	tcase_add_test(tests, test_every_character);
	tcase_add_test(tests, test_pipelines);
	tcase_add_test(tests, test_scratch_trim);
	tcase_add_test(tests, test_linear);
	tcase_add_test(tests, test_locale);
#ifndef NO_COUNT
	tcase_add_test(tests, test_steady);
#endif
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
