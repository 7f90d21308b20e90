/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How far words are from each other. */

#include <check.h>
#include <string.h>

#include "harness.h"
#include "suggest.h"

START_TEST(test_distances)
{
	static const struct {
		const char *one, *other;
		size_t distance;
	} examples[] = {
		{"", "", 0},
		{"ask", "ask", 0},
		{"", "ask", 3},
		{"ask", "aks", 1},    /* swapped */
		{"ping", "pingg", 1}, /* inserted */
		{"ping", "pig", 1},   /* left out */
		{"ping", "pong", 1},  /* replaced */
		{"listen", "silent", 4},
		{"abc", "xyz", 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		ck_assert_uint_eq(suggest_distance(examples[i].one, examples[i].other),
				  examples[i].distance);
		ck_assert_uint_eq(suggest_distance(examples[i].other, examples[i].one),
				  examples[i].distance);
	}
}
END_TEST

/* Words beyond the bound are as far apart as can be, however alike. */
START_TEST(test_long_words)
{
	char word[66], other[66];

	memset(word, 'a', sizeof(word));
	memset(other, 'a', sizeof(other));
	word[64] = other[63] = '\0';
	ck_assert_uint_eq(suggest_distance(word, other), 1);
	word[64] = 'a';
	word[65] = '\0';
	ck_assert_uint_eq(suggest_distance(word, other), 65);
	ck_assert_uint_eq(suggest_distance(other, word), 65);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("suggest");

	harness_add(suite, test_distances);
	harness_add(suite, test_long_words);
	return harness_main(suite);
}
