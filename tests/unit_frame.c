/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Framing, with the input cut in every way. Each window is given to the cutter in memory of its
 * own size, so that the sanitizers see a read past its end.
 */

#include <check.h>
#include <stdio.h>

#include "frame.h"
#include "util.h"

/* What came out of a whole input: its messages, each as "[payload]" with a mark of its end. */
struct story {
	struct buffer text;
	enum frame_cut last; /* what the last cut said */
};

static void story_add(struct story *story, const void *data, size_t len)
{
	ck_assert_int_eq(buffer_append(&story->text, data, len), 0);
}

static void story_add_frame(struct story *story, const struct frame *frame)
{
	story_add(story, "[", 1);
	story_add(story, frame->body.data, frame->body.len);
	story_add(story, frame->bare ? "]." : frame->crlf ? "]r" : "]n", 2);
}

/*
 * Feeds input in pieces that end at the given splits, the way a connection does: what is unfinished
 * is kept and continued, in a new place. Stops at the first outcome that is no message.
 */
static struct story tell(const struct frame_rules *rules, const uint8_t *input, size_t len,
			 const size_t *splits, size_t n_splits)
{
	struct story story = {.last = FRAME_MORE};
	size_t begin = 0, scanned = 0;

	for (size_t i = 0; i <= n_splits; i++) {
		size_t end = i < n_splits ? splits[i] : len;
		bool ended = i == n_splits;

		for (;;) {
			struct bytes window = {malloc(end - begin + !(end - begin)), end - begin};
			struct frame frame = {0};

			ck_assert_ptr_nonnull(window.data);
			memcpy(window.data, input + begin, window.len);
			ck_assert_uint_le(scanned, window.len);
			story.last = frame_cut(rules, window, ended, &scanned, &frame);
			if (story.last == FRAME_MESSAGE)
				story_add_frame(&story, &frame);
			if (story.last != FRAME_MORE)
				ck_assert_uint_eq(scanned, 0);
			free(window.data);
			if (story.last != FRAME_MESSAGE)
				break;
			ck_assert_uint_gt(frame.size, 0);
			ck_assert_uint_le(frame.size, window.len);
			begin += frame.size;
		}
		if (story.last != FRAME_MORE)
			break;
	}
	return story;
}

static void expect(const struct frame_rules *rules, const char *input, size_t len,
		   const size_t *splits, size_t n_splits, const char *messages, enum frame_cut last)
{
	struct story story = tell(rules, (const uint8_t *)input, len, splits, n_splits);

	story_add(&story, "", 1);
	ck_assert_str_eq((char *)story.text.data, messages);
	ck_assert_int_eq(story.last, last);
	buffer_done(&story.text);
}

/* Input, given in one piece, in every two and every three pieces, and byte by byte. */
static void expect_always(const struct frame_rules *rules, const char *input, size_t len,
			  const char *messages, enum frame_cut last)
{
	size_t each[64];

	ck_assert_uint_le(len, ARRAY_SIZE(each));
	expect(rules, input, len, NULL, 0, messages, last);
	for (size_t a = 0; a <= len; a++)
		for (size_t b = a; b <= len; b++)
			expect(rules, input, len, (size_t[]){a, b}, 2, messages, last);
	for (size_t i = 0; i < len; i++)
		each[i] = i + 1;
	expect(rules, input, len, each, len, messages, last);
}
#define EXPECT(rules, input, messages, last) \
	expect_always(rules, input, sizeof(input) - 1, messages, last)

static const struct frame_rules line8 = {.framing = FRAMING_LINE, .max_message = 8};
static const struct frame_rules length8 = {.framing = FRAMING_LENGTH, .max_message = 8};

START_TEST(test_names)
{
	for (int i = FRAMING_RAW; i <= FRAMING_LENGTH; i++)
		ck_assert_int_eq(framing_from_name(framing_name((enum framing)i)), i);
	ck_assert_int_eq(framing_from_name(""), -EINVAL);
	ck_assert_int_eq(framing_from_name("Raw"), -EINVAL);
	ck_assert_int_eq(framing_from_name("lines"), -EINVAL);
}
END_TEST

START_TEST(test_line_splits)
{
	EXPECT(&line8, "", "", FRAME_MORE);
	EXPECT(&line8, "one\ntwo\r\n\n\r\nlast", "[one]n[two]r[]n[]r[last].", FRAME_MORE);
	EXPECT(&line8, "a\rb\n\r\r\n", "[a\rb]n[\r]r", FRAME_MORE);
	/* At the end of input a CR ends no line: it is payload. */
	EXPECT(&line8, "one\r", "[one\r].", FRAME_MORE);
	EXPECT(&line8, "\r", "[\r].", FRAME_MORE);
	EXPECT(&line8, "one\n", "[one]n", FRAME_MORE);
}
END_TEST

START_TEST(test_line_limit)
{
	EXPECT(&line8, "12345678\n12345678\r\n", "[12345678]n[12345678]r", FRAME_MORE);
	EXPECT(&line8, "12345678", "[12345678].", FRAME_MORE);
	EXPECT(&line8, "1234567\r", "[1234567\r].", FRAME_MORE);
	EXPECT(&line8, "x\n123456789\n", "[x]n", FRAME_TOO_LONG);
	EXPECT(&line8, "x\n123456789\r\n", "[x]n", FRAME_TOO_LONG);
	EXPECT(&line8, "12345678\r", "", FRAME_TOO_LONG);
	EXPECT(&line8, "12345678\r\r\n", "", FRAME_TOO_LONG);
	EXPECT(&line8, "12345678\rx", "", FRAME_TOO_LONG);
	EXPECT(&line8, "123456789", "", FRAME_TOO_LONG);
}
END_TEST

/* Cuts once. */
static enum frame_cut cut(const struct frame_rules *rules, const char *input, bool ended,
			  size_t *scanned, struct frame *ret_frame)
{
	return frame_cut(rules, (struct bytes){(uint8_t *)input, strlen(input)}, ended, scanned,
			 ret_frame);
}

START_TEST(test_line_is_refused_without_its_end)
{
	struct frame frame = {0};
	size_t scanned = 0;

	ck_assert_int_eq(cut(&line8, "12345678", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(scanned, 8);
	ck_assert_uint_eq(frame.size, 0);
	ck_assert_int_eq(cut(&line8, "12345678\r", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(scanned, 9);
	ck_assert_int_eq(cut(&line8, "12345678\rx", false, &scanned, &frame), FRAME_TOO_LONG);
	ck_assert_uint_eq(scanned, 0);
	ck_assert_uint_eq(frame.length, 10);
	ck_assert_int_eq(cut(&line8, "123456789", false, &scanned, &frame), FRAME_TOO_LONG);
	ck_assert_uint_eq(frame.length, 9);
}
END_TEST

START_TEST(test_line_is_scanned_once)
{
	struct frame frame = {0};
	size_t scanned = 2;

	/* The LF lies in what is said to be looked at, so it must not be found. */
	ck_assert_int_eq(cut(&line8, "a\nbc", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(scanned, 4);
	ck_assert_int_eq(cut(&line8, "abcd\n", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(scanned, 0);
	ck_assert_uint_eq(frame.size, 5);
	ck_assert_uint_eq(frame.body.len, 4);
}
END_TEST

START_TEST(test_length_splits)
{
	EXPECT(&length8, "", "", FRAME_MORE);
	EXPECT(&length8, "3         abc0         00000002  de", "[abc]n[]n[de]n", FRAME_MORE);
	EXPECT(&length8, "00000000082      ", "", FRAME_CUT_SHORT);
	EXPECT(&length8, "00000000088 bytes.", "[8 bytes.]n", FRAME_MORE);
	EXPECT(&length8, "1         a3         ab", "[a]n", FRAME_CUT_SHORT);
	EXPECT(&length8, "1         a3         ", "[a]n", FRAME_CUT_SHORT);
	EXPECT(&length8, "1         a3", "[a]n", FRAME_CUT_SHORT);
	EXPECT(&length8, "1         a-", "[a]n", FRAME_CUT_SHORT);
	EXPECT(&length8, "1         a-2        no", "[a]n", FRAME_ERROR);
	EXPECT(&length8, "1         a-0        ", "[a]n", FRAME_ERROR);
	EXPECT(&length8, "1         a9         ", "[a]n", FRAME_TOO_LONG);
	EXPECT(&length8, "1         aoops", "[a]n", FRAME_MALFORMED);
}
END_TEST

START_TEST(test_length_of_what_is_to_come)
{
	static const struct frame_rules rules = {.framing = FRAMING_LENGTH, .max_message = 1000};
	struct frame frame = {0};
	size_t scanned = 0;

	ck_assert_int_eq(cut(&rules, "1000     ", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(frame.size, 0);
	ck_assert_int_eq(cut(&rules, "1000      ", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(frame.size, 1010);
	ck_assert_int_eq(cut(&rules, "1001      ", false, &scanned, &frame), FRAME_TOO_LONG);
	ck_assert_uint_eq(frame.length, 1001);
	ck_assert_int_eq(cut(&rules, "9999999999", false, &scanned, &frame), FRAME_TOO_LONG);
	ck_assert_uint_eq(frame.length, FRAME_LENGTH_MAX);
	/* An error is known by its header, however much of its reason is there. */
	ck_assert_int_eq(cut(&rules, "-999999999bad", false, &scanned, &frame), FRAME_ERROR);
	ck_assert_uint_eq(frame.length, 999999999);
	ck_assert_uint_eq(frame.body.len, 3);
	ck_assert_mem_eq(frame.body.data, "bad", 3);
	ck_assert_int_eq(cut(&rules, "-3        badmore", false, &scanned, &frame), FRAME_ERROR);
	ck_assert_uint_eq(frame.size, 13);
	ck_assert_uint_eq(frame.body.len, 3);
}
END_TEST

/* The grammar of a header, said once more and in another way: "-"? digits+ spaces*. */
static bool header_possible(const char *header, size_t len)
{
	char text[FRAME_HEADER + 1] = {0};
	size_t digits, spaces;

	memcpy(text, header, len);
	if (memchr(text, '\0', len))
		return false;
	header = text + (text[0] == '-');
	digits = strspn(header, "0123456789");
	spaces = strspn(header + digits, " ");
	return header[digits + spaces] == '\0' && (digits > 0 || header[0] == '\0');
}

/* Every value in every place, behind every beginning that is long enough for it. */
START_TEST(test_header_values)
{
	static const struct frame_rules rules = {
		.framing = FRAMING_LENGTH,
		.max_message = FRAME_LENGTH_MAX,
	};
	static const char *const headers[] = {
		"5         ", "1234567890", "-5        ", "-123456789", "12345     ", "0000000001",
	};

	for (size_t h = 0; h < ARRAY_SIZE(headers); h++)
		for (size_t place = 0; place < FRAME_HEADER; place++)
			for (int value = 0; value < 256; value++) {
				char header[FRAME_HEADER + 1] = {0};
				struct frame frame = {0};
				enum frame_cut expected;

				memcpy(header, headers[h], FRAME_HEADER);
				header[place] = (char)value;
				if (!header_possible(header, FRAME_HEADER))
					expected = FRAME_MALFORMED;
				else if (header[0] == '-')
					expected = FRAME_ERROR;
				else
					expected = strtoull(header, NULL, 10) == 0 ? FRAME_MESSAGE
										   : FRAME_MORE;
				for (size_t len = 1; len <= FRAME_HEADER; len++) {
					struct bytes window = {(uint8_t *)header, len};
					size_t scanned = 0;
					enum frame_cut got =
						frame_cut(&rules, window, false, &scanned, &frame);

					if (len == FRAME_HEADER)
						ck_assert_int_eq(got, expected);
					else
						ck_assert_int_eq(got, header_possible(header, len)
									      ? FRAME_MORE
									      : FRAME_MALFORMED);
				}
			}
}
END_TEST

START_TEST(test_header_numbers)
{
	static const struct frame_rules rules = {
		.framing = FRAMING_LENGTH,
		.max_message = FRAME_LENGTH_MAX,
	};
	uint64_t power = 1;

	for (int digits = 0; digits <= FRAME_HEADER; digits++, power *= 10)
		for (int off = -1; off <= 1; off++) {
			uint64_t len = power + (uint64_t)(int64_t)off;
			char expected[FRAME_HEADER + 8];
			uint8_t header[FRAME_HEADER];
			struct frame frame = {0};
			size_t scanned = 0;

			if (len == 0 || len > FRAME_LENGTH_MAX)
				continue;
			frame_header(header, len);
			(void)snprintf(expected, sizeof(expected), "%-10llu",
				       (unsigned long long)len);
			ck_assert_mem_eq(header, expected, FRAME_HEADER);
			ck_assert_int_eq(frame_cut(&rules, (struct bytes){header, FRAME_HEADER},
						   false, &scanned, &frame),
					 FRAME_MORE);
			ck_assert_uint_eq(frame.size, len + FRAME_HEADER);
		}
}
END_TEST

START_TEST(test_raw)
{
	static const struct frame_rules rules = {.framing = FRAMING_RAW, .max_message = 8};
	struct frame frame = {0};
	size_t scanned = 0;

	ck_assert_int_eq(cut(&rules, "", false, &scanned, &frame), FRAME_MORE);
	ck_assert_int_eq(cut(&rules, "", true, &scanned, &frame), FRAME_MORE);
	ck_assert_int_eq(cut(&rules, "12345678", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 8);
	ck_assert_int_eq(cut(&rules, "123456789", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 8);
	ck_assert_uint_eq(frame.body.len, 8);
	ck_assert_int_eq(cut(&rules, "a\xe2\x82", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 3);
}
END_TEST

START_TEST(test_raw_whole_characters)
{
	static const struct frame_rules rules = {
		.framing = FRAMING_RAW,
		.max_message = 4,
		.whole_characters = true,
	};
	struct frame frame = {0};
	size_t scanned = 0;

	/* Held back until the rest comes, or the end. */
	ck_assert_int_eq(cut(&rules, "a\xe2\x82", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 1);
	ck_assert_int_eq(cut(&rules, "\xe2\x82", false, &scanned, &frame), FRAME_MORE);
	ck_assert_uint_eq(frame.size, 0);
	ck_assert_int_eq(cut(&rules, "\xe2\x82\xac", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 3);
	ck_assert_int_eq(cut(&rules, "\xe2\x82", true, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 2);
	/* Bytes that begin nothing are not held back. */
	ck_assert_int_eq(cut(&rules, "\x82\x82", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 2);
	/* The limit cuts between characters too, even at the end of input. */
	ck_assert_int_eq(cut(&rules, "ab\xe2\x82\xac", false, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 2);
	ck_assert_int_eq(cut(&rules, "ab\xe2\x82\xac", true, &scanned, &frame), FRAME_MESSAGE);
	ck_assert_uint_eq(frame.size, 2);
}
END_TEST

START_TEST(test_raw_character_larger_than_a_message)
{
	for (uint64_t max = 1; max <= 4; max++) {
		struct frame_rules rules = {
			.framing = FRAMING_RAW,
			.max_message = max,
			.whole_characters = true,
		};
		static const char input[] = "\xf0\x9f\x98\x80\xf0\x9f\x98\x80";
		size_t len = sizeof(input) - 1;

		for (size_t split = 0; split <= len; split++) {
			struct story story = tell(&rules, (const uint8_t *)input, len, &split, 1);
			size_t n = 0;

			ck_assert_int_eq(story.last, FRAME_MORE);
			for (size_t i = 0; i < story.text.len; i++)
				n += story.text.data[i] >= 0x80;
			ck_assert_uint_eq(n, len);
			if (max == 4)
				ck_assert_mem_eq(story.text.data,
						 "[\xf0\x9f\x98\x80]n[\xf0\x9f\x98\x80]n",
						 story.text.len);
			buffer_done(&story.text);
		}
	}
}
END_TEST

START_TEST(test_append_error)
{
	struct buffer buffer = {0};

	ck_assert_int_eq(frame_append_error(&buffer, FRAMING_LENGTH, "bad frame header"), 0);
	ck_assert_int_eq(frame_append_error(&buffer, FRAMING_LINE, "timed out"), 0);
	ck_assert_int_eq(frame_append_error(&buffer, FRAMING_RAW, "timed out"), 0);
	ck_assert_int_eq(buffer_append(&buffer, "", 1), 0);
	ck_assert_str_eq((char *)buffer.data, "-16       bad frame headererror: timed out\n");
	buffer_done(&buffer);
}
END_TEST

/* splitmix64: small, and the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Random messages in their envelopes, cut in random pieces, come back as they were. */
START_TEST(test_round_trip)
{
	static const enum framing framings[] = {FRAMING_LINE, FRAMING_LENGTH};
	uint64_t seed = (uint64_t)_i;

	for (int round = 0; round < 200; round++) {
		struct frame_rules rules = {
			.framing = framings[round % 2],
			.max_message = 64,
		};
		enum line_end end = random_next(&seed) % 2 ? LINE_END_LF : LINE_END_CRLF;
		struct buffer wire = {0}, expected = {0};
		size_t splits[16], n_splits = random_next(&seed) % (ARRAY_SIZE(splits) + 1);
		struct story story;

		for (uint64_t n = random_next(&seed) % 6; n > 0; n--) {
			char message[64];
			size_t len = random_next(&seed) % (sizeof(message) + 1);

			for (size_t i = 0; i < len; i++)
				do
					message[i] = (char)random_next(&seed);
				while (rules.framing == FRAMING_LINE &&
				       (message[i] == '\n' || message[i] == '\r'));
			ck_assert_int_eq(
				frame_append(&wire, rules.framing, end, len ? message : NULL, len),
				0);
			ck_assert_int_eq(buffer_append(&expected, "[", 1), 0);
			ck_assert_int_eq(buffer_append(&expected, message, len), 0);
			ck_assert_int_eq(
				buffer_append(&expected,
					      rules.framing == FRAMING_LINE && end == LINE_END_CRLF
						      ? "]r"
						      : "]n",
					      2),
				0);
		}
		for (size_t i = 0, at = 0; i < n_splits; i++)
			splits[i] = at += random_next(&seed) % (wire.len - at + 1);

		story = tell(&rules, wire.data ? wire.data : (const uint8_t *)"", wire.len, splits,
			     n_splits);
		ck_assert_int_eq(story.last, FRAME_MORE);
		ck_assert_uint_eq(story.text.len, expected.len);
		if (expected.len > 0)
			ck_assert_mem_eq(story.text.data, expected.data, expected.len);
		buffer_done(&story.text);
		buffer_done(&wire);
		buffer_done(&expected);
	}
}
END_TEST

static Suite *frame_suite(void)
{
	Suite *suite = suite_create("frame");
	TCase *line = tcase_create("line"), *length = tcase_create("length"),
	      *raw = tcase_create("raw"), *all = tcase_create("all");

	tcase_add_test(line, test_line_splits);
	tcase_add_test(line, test_line_limit);
	tcase_add_test(line, test_line_is_refused_without_its_end);
	tcase_add_test(line, test_line_is_scanned_once);
	tcase_add_test(length, test_length_splits);
	tcase_add_test(length, test_length_of_what_is_to_come);
	tcase_add_test(length, test_header_values);
	tcase_add_test(length, test_header_numbers);
	tcase_add_test(raw, test_raw);
	tcase_add_test(raw, test_raw_whole_characters);
	tcase_add_test(raw, test_raw_character_larger_than_a_message);
	tcase_add_test(all, test_names);
	tcase_add_test(all, test_append_error);
	tcase_add_loop_test(all, test_round_trip, 1, 6);
	suite_add_tcase(suite, line);
	suite_add_tcase(suite, length);
	suite_add_tcase(suite, raw);
	suite_add_tcase(suite, all);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(frame_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
