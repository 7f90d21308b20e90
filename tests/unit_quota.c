/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The count of clients for each address, against an array. */

#include <string.h>

#include "harness.h"
#include "quota.h"

enum { KEYS = 40 };

/* Some keys differ in their first byte only, some in their last, as addresses do. */
static const uint8_t *key(size_t i, uint8_t memory[static QUOTA_KEY])
{
	memset(memory, i % 3 ? 0xff : 0, QUOTA_KEY);
	memory[i % 2 ? 0 : QUOTA_KEY - 1] = (uint8_t)(i / 2);
	memory[QUOTA_KEY / 2] = (uint8_t)(i % 6);
	return memory;
}

START_TEST(test_limit)
{
	static const uint8_t a[QUOTA_KEY] = {1}, b[QUOTA_KEY] = {[QUOTA_KEY - 1] = 1};
	struct quota quota = {0};

	ck_assert_int_eq(quota_take(&quota, a, 2), 0);
	ck_assert_int_eq(quota_take(&quota, a, 2), 0);
	ck_assert_int_eq(quota_take(&quota, a, 2), QUOTA_EXHAUSTED);
	ck_assert_int_eq(quota_take(&quota, b, 2), 0);
	/* What was refused is not counted. */
	quota_give(&quota, a);
	ck_assert_int_eq(quota_take(&quota, a, 2), 0);
	/* The limit may change at any time, to less than there are. */
	ck_assert_int_eq(quota_take(&quota, a, 1), QUOTA_EXHAUSTED);
	ck_assert_int_eq(quota_take(&quota, a, 0), 0);
	ck_assert_int_eq(quota_take(&quota, a, 3), QUOTA_EXHAUSTED);
	ck_assert_int_eq(quota_take(&quota, b, 2), 0);
	ck_assert_int_eq(quota_take(&quota, b, 2), QUOTA_EXHAUSTED);
	quota_done(&quota);
	ck_assert_int_eq(quota_take(&quota, a, 1), 0);
	quota_give(&quota, a);
	ck_assert_ptr_null(quota.root);
	quota_done(&quota);
	quota_done(&quota);
}
END_TEST

START_TEST(test_against_array)
{
	uint64_t counts[KEYS] = {0};
	uint8_t memory[QUOTA_KEY];
	struct quota quota = {0};
	struct random random;
	size_t n_exhausted = 0;

	random_init(&random, 4);
	for (int round = 0; round < 20000; round++) {
		size_t i = random_below(&random, KEYS);
		uint64_t limit = random_below(&random, 8);
		bool exhausted = limit > 0 && counts[i] >= limit;
		int r;

		if (random_below(&random, 5) < 2) {
			if (counts[i] == 0)
				continue;
			quota_give(&quota, key(i, memory));
			counts[i]--;
			continue;
		}
		/* The key is the caller's, and gone when the call is over. */
		r = quota_take(&quota, key(i, memory), limit);
		memset(memory, 0xaa, sizeof(memory));
		ck_assert_int_eq(r, exhausted ? QUOTA_EXHAUSTED : 0);
		counts[i] += !exhausted;
		n_exhausted += exhausted;
	}
	ck_assert_uint_gt(n_exhausted, 1000);

	/* All that was counted can be given back, and then nothing is kept. */
	for (size_t i = 0; i < KEYS; i++)
		for (; counts[i] > 0; counts[i]--)
			quota_give(&quota, key(i, memory));
	ck_assert_ptr_null(quota.root);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quota");

	harness_add(suite, test_limit);
	harness_add(suite, test_against_array);
	return harness_main(suite);
}
