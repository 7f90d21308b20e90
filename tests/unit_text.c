/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* UTF-8: where it is valid, where it is cut, and how it is shown to a terminal. */

#include <check.h>
#include <stdio.h>

#include "text.h"
#include "util.h"

/* How long the sequence is that first begins, by the table of RFC 3629; 0 for none. */
static size_t sequence_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		return 2;
	if (first >= 0xE0 && first <= 0xEF)
		return 3;
	return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

static bool may_follow(uint8_t first, size_t position, uint8_t byte)
{
	uint8_t least = 0x80, most = 0xBF;

	if (position == 1) {
		least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : least;
		most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : most;
	}
	return byte >= least && byte <= most;
}

/* How many bytes of a sequence are at the front of data; *ret_whole says whether they are all. */
static size_t sequence_prefix(const uint8_t *data, size_t len, bool *ret_whole)
{
	size_t want = sequence_length(data[0]), have = 1;

	*ret_whole = false;
	if (want == 0)
		return 0;
	while (have < want && have < len) {
		if (!may_follow(data[0], have, data[have]))
			return 0;
		have++;
	}
	*ret_whole = have == want;
	return have;
}

static size_t expected_valid(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		bool whole;
		size_t n = sequence_prefix(data + i, len - i, &whole);

		if (!whole)
			break;
		i += n;
	}
	return i;
}

static size_t expected_cut(const uint8_t *data, size_t len)
{
	for (size_t n = MIN(len, (size_t)3); n > 0; n--) {
		bool whole;

		if (sequence_prefix(data + len - n, n, &whole) == n && !whole)
			return n;
	}
	return 0;
}

static void check_bytes(const uint8_t *data, size_t len)
{
	size_t ascii = 0;

	while (ascii < len && data[ascii] < 0x80)
		ascii++;
	/* Check's own assertions are too slow for millions. */
	if (text_ascii_prefix(data, len) != ascii ||
	    text_valid_prefix(data, len) != expected_valid(data, len) ||
	    text_cut_suffix(data, len) != expected_cut(data, len))
		ck_abort_msg("%zu bytes that end in %02x %02x %02x %02x", len,
			     len > 3 ? data[len - 4] : 0, len > 2 ? data[len - 3] : 0,
			     len > 1 ? data[len - 2] : 0, len > 0 ? data[len - 1] : 0);
}

/* All sequences of up to three bytes, and those of four at every border of the table. */
START_TEST(test_all_short)
{
	static const uint8_t borders[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
					  0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
					  0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFE, 0xFF};
	size_t n = ARRAY_SIZE(borders);

	check_bytes(NULL, 0);
	for (unsigned i = 0; i < 1 << 24; i++) {
		uint8_t data[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		check_bytes(data, 3);
		if (i < 1 << 16)
			check_bytes(data + 1, 2);
		if (i < 1 << 8)
			check_bytes(data + 2, 1);
	}
	for (size_t i = 0; i < n * n * n * n; i++)
		check_bytes((uint8_t[]){borders[i / n / n / n], borders[i / n / n % n],
					borders[i / n % n], borders[i % n]},
			    4);
}
END_TEST

START_TEST(test_lengths)
{
	static const char *const strange[] = {"\x80", "\xFF", "é", "\xE2\x82", "漢", "👍", "\xC3"};
	uint8_t memory[16 + 160];

	for (size_t align = 0; align < 16; align++) {
		for (size_t len = 0; len <= 150; len++) {
			memset(memory, 'x', sizeof(memory));
			check_bytes(memory + align, len);
			for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
				size_t size = strlen(strange[i]);

				for (size_t at = 0; at + size <= len; at++) {
					memset(memory, 'x', sizeof(memory));
					memcpy(memory + align + at, strange[i], size);
					check_bytes(memory + align, len);
				}
			}
		}
	}
}
END_TEST

START_TEST(test_cut_everywhere)
{
	static const uint8_t text[] = "aé漢👍z";
	static const size_t cut[] = {0, 0, 1, 0, 1, 2, 0, 1, 2, 3, 0, 0};

	for (size_t len = 0; len < ARRAY_SIZE(cut); len++)
		ck_assert_uint_eq(text_cut_suffix(text, len), cut[len]);
}
END_TEST

START_TEST(test_safe)
{
#define CASE(in, out)                   \
	{                               \
		in, out, sizeof(in) - 1 \
	}
	static const struct {
		const char *text, *safe;
		size_t len;
	} cases[] = {
		CASE("", ""),
		CASE("hello, world!", "hello, world!"),
		CASE("a\tb", "a\tb"),
		CASE("\x1B[31mred\a", "^[[31mred^G"),
		CASE("\0\r\n\x1F\x7F", "^@^M^J^_^?"),
		CASE("привет, 漢字 👍🏽", "привет, 漢字 👍🏽"),
		CASE("👩‍👩‍👧‍👦 🇩🇪 cafe\u0301",
		     "👩‍👩‍👧‍👦 🇩🇪 cafe\u0301"),
		CASE("\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0", "\\u{0080}\\u{009B}\\u{009F}\xC2\xA0"),
		CASE("\u202A\u202C\u202B\u202C", "\\u{202A}\\u{202C}\\u{202B}\\u{202C}"),
		CASE("\u202D\u202C\u202E\u202C", "\\u{202D}\\u{202C}\\u{202E}\\u{202C}"),
		CASE("\u2066\u2069\u2067\u2069\u2068\u2069",
		     "\\u{2066}\\u{2069}\\u{2067}\\u{2069}\\u{2068}\\u{2069}"),
		CASE("\u2027\u2028\u2029\u202F", "\u2027\\u{2028}\\u{2029}\u202F"),
		CASE("\U000E0001\U000E0067\U000E007F", "\\u{E0001}\\u{E0067}\\u{E007F}"),
		CASE("\U000E0100", "\U000E0100"),
		CASE("\xFF\xC3(\xE2\x82\xED\xA0\x80", "\\xFF\\xC3(\\xE2\\x82\\xED\\xA0\\x80"),
		CASE("\xC2", "\\xC2"),
		CASE("\xC1\x9B", "\\xC1\\x9B"), /* an overlong escape */
#define MARKS4 "\u0301\u0302\u0303\u0304"
		CASE("a" MARKS4 MARKS4 "b", "a" MARKS4 MARKS4 "b"),
		CASE("a" MARKS4 MARKS4 "\u0305" MARKS4 "b", "a" MARKS4 MARKS4 "…b"),
		CASE("a" MARKS4 "b" MARKS4 MARKS4, "a" MARKS4 "b" MARKS4 MARKS4),
		CASE("a" MARKS4 "\u200D" MARKS4 "\u200D" MARKS4 "é" MARKS4,
		     "a" MARKS4 "\u200D" MARKS4 "\u200D…é" MARKS4),
		CASE(MARKS4 MARKS4 MARKS4 "\n" MARKS4 MARKS4, MARKS4 MARKS4 "…^J" MARKS4 MARKS4),
		CASE(MARKS4 MARKS4 "\xFF" MARKS4, MARKS4 MARKS4 "\\xFF" MARKS4),
	};
#undef CASE

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer buffer = {0};

		ck_assert_int_eq(buffer_append(&buffer, ">", 1), 0);
		ck_assert_int_eq(text_append_safe(&buffer, cases[i].text, cases[i].len), 0);
		ck_assert_int_eq(buffer_append(&buffer, "", 1), 0);
		ck_assert_str_eq((char *)buffer.data + 1, cases[i].safe);
		buffer_done(&buffer);
	}
}
END_TEST

/* Of all characters, none that a terminal obeys comes through, and all others do. */
START_TEST(test_safe_every_character)
{
	struct buffer buffer = {0};

	for (unsigned c = 0x80; c < 0x110000; c++) {
		bool hidden = c < 0xA0 || (c >= 0x2028 && c <= 0x202E) ||
			      (c >= 0x2066 && c <= 0x2069) || (c >= 0xE0000 && c <= 0xE007F);
		uint8_t utf8[4] = {(uint8_t)(0xF0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 0x3F)),
				   (uint8_t)(0x80 | (c >> 6 & 0x3F)), (uint8_t)(0x80 | (c & 0x3F))};
		size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		uint8_t *start = utf8 + 4 - size;
		char name[16];

		if (c >= 0xD800 && c <= 0xDFFF)
			continue;
		if (size == 2)
			start[0] = (uint8_t)(0xC0 | c >> 6);
		if (size == 3)
			start[0] = (uint8_t)(0xE0 | c >> 12);
		(void)snprintf(name, sizeof(name), "\\u{%04X}", c);
		buffer.len = 0;
		if (text_append_safe(&buffer, start, size) < 0)
			ck_abort_msg("out of memory");
		if (hidden ? buffer.len != strlen(name) ||
				     memcmp(buffer.data, name, buffer.len) != 0
			   : buffer.len != size || memcmp(buffer.data, start, size) != 0)
			ck_abort_msg("U+%04X", c);
	}
	buffer_done(&buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_all_short);
	tcase_add_test(tests, test_lengths);
	tcase_add_test(tests, test_cut_everywhere);
	tcase_add_test(tests, test_safe);
	tcase_add_test(tests, test_safe_every_character);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
