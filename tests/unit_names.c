/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which names are legal, which are the same, and what becomes of names of the system. */

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "names.h"

static void accepts(const char *text, size_t len, const char *expected)
{
	CLEANUP(freep) char *name = NULL;
	const char *reason = NULL;
	int r = name_make(text, len, &name, &reason);

	ck_assert_msg(r == 0, "\"%s\" is refused: %s", text, reason);
	ck_assert_str_eq(name, expected);
	ck_assert_ptr_null(reason);
}

static void refuses(const char *text, size_t len, const char *why)
{
	char *name = NULL;
	const char *reason = NULL;

	ck_assert_msg(name_make(text, len, &name, &reason) == -EINVAL, "\"%s\" is accepted", text);
	ck_assert_ptr_null(name);
	ck_assert_msg(reason && strstr(reason, why), "\"%s\" is refused because %s", text, reason);
}

#define ACCEPTS(text)	   accepts(text, sizeof(text) - 1, text)
#define REFUSES(text, why) refuses(text, sizeof(text) - 1, why)

START_TEST(test_one_script)
{
	ACCEPTS("anna");
	ACCEPTS("Anna_1-2.3");
	ACCEPTS("Straße");
	ACCEPTS("Анна");
	ACCEPTS("Ἄννα");
	ACCEPTS("אנה");
	ACCEPTS("آنا");
	ACCEPTS("अन्ना");
	ACCEPTS("แอนนา");
	ACCEPTS("안나");
	ACCEPTS("安娜");
}
END_TEST

/* The single-script rule of UTS #39, which has ways of writing that mix scripts. */
START_TEST(test_scripts_that_go_together)
{
	ACCEPTS("山田さん");
	ACCEPTS("サラリーマン");
	ACCEPTS("食べるラーメン");
	ACCEPTS("金민수");
	ACCEPTS("中文ㄅㄆ");
	ACCEPTS("ㄅ中ㄆ文");
	REFUSES("さ안", "one script");
	REFUSES("안山さ", "one script");
	REFUSES("さ山안", "one script");
	REFUSES("ㄅさ", "one script");
	REFUSES("安娜anna", "one script");
}
END_TEST

START_TEST(test_mixed_scripts)
{
	REFUSES("r\u043e\u043et", "one script");
	REFUSES("\u0430nna", "one script");
	REFUSES("ann\u0430", "one script");
	REFUSES("\u03b1\u0430", "one script");
	/* All of it looks Latin, but it is of one script: what it looks like is not for here. */
	ACCEPTS("\u0441\u043e\u0440");
}
END_TEST

START_TEST(test_common_characters_have_no_script)
{
	ACCEPTS("анна-1_2.3");
	ACCEPTS("anna\u0661\u0662");
	ACCEPTS("12345");
	ACCEPTS("1");
	ACCEPTS("-._");
	ACCEPTS("ラーメン");
	ACCEPTS("x\u0301\u0302");
}
END_TEST

START_TEST(test_nfc)
{
	accepts("e\u0301", 3, "\u00e9");
	accepts("A\u030angstro\u0308m", 12, "\u00c5ngstr\u00f6m");
	accepts("\u212b", 3, "\u00c5");
	accepts("\u1100\u1161\u11a8", 9, "\uac01");
	accepts("a\u0323\u0302", 5, "\u1ead");
	accepts("a\u0302\u0323", 5, "\u1ead");
}
END_TEST

/* Characters are counted after they have been composed, and bytes do not count. */
START_TEST(test_length)
{
	static const char *const characters[] = {
		"a",	      "\u00e9", "e\u0301",	     "\u1f82", "\u03b1\u0313\u0300\u0345",
		"\U00010400", "\uac01", "\u1100\u1161\u11a8"};

	for (size_t i = 0; i < ARRAY_SIZE(characters); i++) {
		CLEANUP(freep) char *name = NULL;
		char text[1024] = "";
		const char *reason;
		size_t len;

		for (int n = 0; n < NAME_CHARACTERS_MAX; n++)
			strcat(text, characters[i]);
		len = strlen(text);
		ck_assert_msg(name_make(text, len, &name, &reason) == 0, "%s: %s", text, reason);
		strcat(text, characters[i]);
		refuses(text, strlen(text), "32 characters");
	}
	REFUSES("", "one character");
}
END_TEST

/* Nothing of a length that only an enemy sends is brought to NFC. */
START_TEST(test_much_too_long)
{
	enum { LONG = 1 << 20 };
	CLEANUP(freep) char *text = malloc(LONG);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < LONG; i += 2)
		memcpy(text + i, "\u0301", 2);
	text[0] = text[1] = 'a';
	refuses(text, LONG, "32 characters");
}
END_TEST

START_TEST(test_other_characters)
{
	REFUSES("anna b", "only letters");
	REFUSES("@anna", "only letters");
	REFUSES("a\0b", "only letters");
	REFUSES("\0", "only letters");
	REFUSES("anna\n", "only letters");
	REFUSES("\033[31m", "only letters");
	REFUSES("\x7f", "only letters");
	REFUSES("\xc2\x85", "only letters");
	REFUSES("a/b", "only letters");
	REFUSES("\"anna\"", "only letters");
	REFUSES("\U0001f600", "only letters");
	REFUSES("a\U0001f468\u200d\U0001f469", "only letters");
	REFUSES("a\u00b2", "only letters");
	REFUSES("\u2167", "only letters");
	REFUSES("a\u00a0b", "only letters");
	REFUSES("a\u20dd", "only letters");
	REFUSES("\ufffd", "only letters");
	REFUSES("\ue000", "only letters");
	REFUSES("\u0378", "only letters");
}
END_TEST

START_TEST(test_marks_stand_on_letters)
{
	REFUSES("\u0301", "on a letter");
	REFUSES("\u0301a", "on a letter");
	REFUSES("a-\u0301", "on a letter");
	REFUSES("1\u0301", "on a letter");
	REFUSES("_\u0301\u0302", "on a letter");
}
END_TEST

START_TEST(test_invisible_characters)
{
	REFUSES("an\u200bna", "invisible");
	REFUSES("an\u200dna", "invisible");
	REFUSES("an\u00adna", "invisible");
	REFUSES("\u202eanna", "invisible");
	REFUSES("\u2066anna", "invisible");
	REFUSES("\ufeffanna", "invisible");
	REFUSES("anna\ufe0f", "invisible");
	REFUSES("anna\u034f", "invisible");
	REFUSES("\u3164", "invisible");
	REFUSES("a\U000e0061", "invisible");
}
END_TEST

START_TEST(test_not_utf8)
{
	REFUSES("\xff", "UTF-8");
	REFUSES("ann\xc3", "UTF-8");
	REFUSES("\xed\xa0\x80", "UTF-8");
	REFUSES("\xc0\xaf", "UTF-8");
	REFUSES("\xf4\x90\x80\x80", "UTF-8");
}
END_TEST

static void folds(const char *name, const char *expected)
{
	CLEANUP(freep) char *folded = name_fold(name), *again = name_fold(expected);

	ck_assert_str_eq(folded, expected);
	ck_assert_str_eq(again, expected);
}

START_TEST(test_fold)
{
	folds("", "");
	folds("Anna-1_B.c", "anna-1_b.c");
	folds("@[`{Z", "@[`{z");
	folds("STRASSE", "strasse");
	folds("Straße", "strasse");
	folds("ÅSE", "åse");
	folds("ΣΊΣΥΦΟΣ", "σίσυφοσ");
	folds("Σίσυφος", "σίσυφοσ");
	folds("АННА", "анна");
	folds("\uff32\uff2f\uff2f\uff34", "root");
	folds("\U0001d411oo\U0001d42d", "root");
	folds("\u0130", "i\u0307");
	folds("\xff"
	      "A",
	      "\xff"
	      "A");
}
END_TEST

/* What is stored by its folded form is found by it again. */
START_TEST(test_folding_twice_changes_nothing)
{
	for (unsigned c = 0x80; c < 0x30000; c++) {
		CLEANUP(freep) char *once = NULL, *twice = NULL;
		char text[8] = "x";

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (c < 0x800)
			(void)sprintf(text, "x%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
		else if (c < 0x10000)
			(void)sprintf(text, "x%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f),
				      0x80 | (c & 0x3f));
		else
			(void)sprintf(text, "x%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 0x3f),
				      0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
		once = name_fold(text);
		twice = name_fold(once);
		ck_assert_msg(strcmp(once, twice) == 0, "U+%04X: %s, %s", c, once, twice);
	}
}
END_TEST

START_TEST(test_from_user)
{
	static const struct {
		const char *user, *name;
	} cases[] = {
		{"root", "root"},
		{"systemd-timesync", "systemd-timesync"},
		{"DOMAIN\\Anna B", "DOMAIN_Anna_B"},
		{"anna@example.org", "anna_example.org"},
		{"machine$", "machine_"},
		{"", "_"},
		{"\xff\xfe"
		 "anna\xc3",
		 "__anna_"},
		{"e\u0301", "\u00e9"},
		{"a\u043eb", "a_b"},
		{"\u0301a", "_a"},
		{"a \u0301b", "a__b"},
		{"a\u200bb", "a_b"},
		{"0123456789012345678901234567890123456789", "01234567890123456789012345678901"},
		{"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
		 "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
		 "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9xyz",
		 "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
		 "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
		 "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) char *name = name_from_user(cases[i].user);

		ck_assert_str_eq(name, cases[i].name);
	}
}
END_TEST

/* Whatever a name of the system holds, a legal name is made of it. */
START_TEST(test_from_any_user)
{
	static const char *const pieces[] = {
		"a", "Z",    "\u0430", "\u00e9", "\u0301", "\xff",   "\xe2\x82",  "-",
		" ", "\033", "\u3042", "\u5c71", "\uac01", "\u200d", "\U0001f600"};
	struct random random;

	random_init(&random, 7);
	for (int round = 0; round < 3000; round++) {
		CLEANUP(freep) char *name = NULL;
		char user[256] = "";

		for (size_t n = random_below(&random, 45); n > 0; n--)
			strcat(user, pieces[random_below(&random, ARRAY_SIZE(pieces))]);
		name = name_from_user(user);
		accepts(name, strlen(name), name);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");

	harness_add(suite, test_one_script);
	harness_add(suite, test_scripts_that_go_together);
	harness_add(suite, test_mixed_scripts);
	harness_add(suite, test_common_characters_have_no_script);
	harness_add(suite, test_nfc);
	harness_add(suite, test_length);
	harness_add(suite, test_much_too_long);
	harness_add(suite, test_other_characters);
	harness_add(suite, test_marks_stand_on_letters);
	harness_add(suite, test_invisible_characters);
	harness_add(suite, test_not_utf8);
	harness_add(suite, test_fold);
	harness_add(suite, test_folding_twice_changes_nothing);
	harness_add(suite, test_from_user);
	harness_add(suite, test_from_any_user);
	return harness_main(suite);
}
