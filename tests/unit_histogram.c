/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The histogram of the load generator, held against the sorted values themselves. */

#include "histogram.h"

#include <check.h>
#include <math.h>

#include "util.h"

enum { N = 20000 };

static struct histogram histogram;
static uint64_t values[N];
static uint64_t state = 88172645463325252U;

static uint64_t random_value(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int compare(const void *one, const void *other)
{
	const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

static void check_percentiles(size_t n)
{
	static const double percents[] = {0,  0.01, 1,	10,   25,    50,     75,
					  90, 95,   99, 99.9, 99.99, 99.999, 100};

	qsort(values, n, sizeof(values[0]), compare);
	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		size_t rank = (size_t)ceil(percents[i] / 100 * (double)n);
		uint64_t exact = values[rank > 0 ? rank - 1 : 0];
		uint64_t got = histogram_percentile(&histogram, percents[i]);
		double error = fabs((double)got - (double)exact);

		ck_assert_msg(error <= (double)exact / 256, "p%g of %zu: %llu, not %llu",
			      percents[i], n, (unsigned long long)got, (unsigned long long)exact);
	}
	ck_assert_uint_eq(histogram_percentile(&histogram, 100), values[n - 1]);
	ck_assert_uint_eq(histogram.least, values[0]);
	ck_assert_uint_eq(histogram.most, values[n - 1]);
	ck_assert_uint_eq(histogram.n, n);
}

START_TEST(test_empty)
{
	ck_assert_uint_eq(histogram_percentile(&histogram, 50), 0);
	ck_assert_double_eq(histogram_mean(&histogram), 0);
	ck_assert_uint_eq(histogram_between(&histogram, 0, UINT64_MAX), 0);
}
END_TEST

START_TEST(test_one_value)
{
	histogram_add(&histogram, 123456789, 3);
	ck_assert_uint_eq(histogram.n, 3);
	ck_assert_uint_eq(histogram_percentile(&histogram, 0), 123456789);
	ck_assert_uint_eq(histogram_percentile(&histogram, 50), 123456789);
	ck_assert_uint_eq(histogram_percentile(&histogram, 100), 123456789);
	ck_assert_double_eq(histogram_mean(&histogram), 123456789);
}
END_TEST

/* Buckets are in the order of their values, without a gap, over all powers of two. */
START_TEST(test_buckets)
{
	ck_assert_uint_eq(histogram_bucket(0), 0);
	for (uint64_t value = 1; value < 5000; value++) {
		unsigned step = histogram_bucket(value) - histogram_bucket(value - 1);

		ck_assert_uint_le(step, 1);
		if (value < 256)
			ck_assert_uint_eq(histogram_bucket(value), value);
	}
	for (unsigned bit = 8; bit < 64; bit++) {
		uint64_t power = UINT64_C(1) << bit;

		ck_assert_uint_eq(histogram_bucket(power), histogram_bucket(power - 1) + 1);
	}
	ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

/* Values of every magnitude; sizes that make ranks fall on and between whole numbers. */
START_TEST(test_percentiles_of_all_magnitudes)
{
	static const size_t sizes[] = {1, 2, 3, 9, 10, 100, 999, 1000, N};
	size_t n = sizes[_i];

	for (size_t i = 0; i < n; i++) {
		values[i] = random_value() >> (random_value() % 64);
		histogram_add(&histogram, values[i], 1);
	}
	check_percentiles(n);
}
END_TEST

/* What latencies look like: most near each other, a few far away. */
START_TEST(test_percentiles_of_a_long_tail)
{
	for (size_t i = 0; i < N; i++) {
		values[i] = 50000 + random_value() % 20000;
		if (i % 500 == 0)
			values[i] *= 1 + random_value() % 1000;
		histogram_add(&histogram, values[i], 1);
	}
	check_percentiles(N);
}
END_TEST

START_TEST(test_times)
{
	double total = 0;

	for (size_t i = 0; i < N; i += 4) {
		values[i] = random_value() >> 40;
		values[i + 1] = values[i + 2] = values[i + 3] = values[i];
		histogram_add(&histogram, values[i], 4);
		total += 4 * (double)values[i];
	}
	check_percentiles(N);
	ck_assert_double_eq_tol(histogram_mean(&histogram), total / N, 1e-6);
}
END_TEST

START_TEST(test_between)
{
	for (uint64_t value = 0; value < 1024; value++)
		histogram_add(&histogram, value, 1);
	ck_assert_uint_eq(histogram_between(&histogram, 0, 1), 1);
	ck_assert_uint_eq(histogram_between(&histogram, 10, 20), 10);
	ck_assert_uint_eq(histogram_between(&histogram, 256, 512), 256);
	ck_assert_uint_eq(histogram_between(&histogram, 0, UINT64_MAX), 1024);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("histogram");
	TCase *tests = tcase_create("histogram");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_empty);
	tcase_add_test(tests, test_one_value);
	tcase_add_test(tests, test_buckets);
	tcase_add_loop_test(tests, test_percentiles_of_all_magnitudes, 0, 9);
	tcase_add_test(tests, test_percentiles_of_a_long_tail);
	tcase_add_test(tests, test_times);
	tcase_add_test(tests, test_between);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
