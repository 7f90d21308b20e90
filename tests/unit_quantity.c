/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sizes and times: what is taken, what is refused, and that what is written reads the same. */

#include <check.h>

#include "quantity.h"
#include "util.h"

static const uint64_t untouched = 4711;

struct example {
	const char *text;
	int result;
	uint64_t value;
};

static const struct example sizes[] = {
	{"0", 0, 0},
	{"1", 0, 1},
	{"007", 0, 7},
	{"64K", 0, 65536},
	{"64KB", 0, 65536},
	{"64KiB", 0, 65536},
	{"1M", 0, 1 << 20},
	{"3GiB", 0, UINT64_C(3) << 30},
	{"9223372036854775807", 0, INT64_MAX},
	{"9223372036854775808", -ERANGE, 0},
	{"8589934591G", 0, UINT64_C(8589934591) << 30},
	{"8589934592G", -ERANGE, 0},
	{"18446744073709551615", -ERANGE, 0},
	{"18446744073709551616", -ERANGE, 0},
	{"99999999999999999999999999999999999999", -ERANGE, 0},
	{"99999999999999999999999999999999999999x", -EINVAL, 0},
	{"", -EINVAL, 0},
	{"K", -EINVAL, 0},
	{"-1", -EINVAL, 0},
	{"+1", -EINVAL, 0},
	{" 1", -EINVAL, 0},
	{"1 ", -EINVAL, 0},
	{"1 K", -EINVAL, 0},
	{"1k", -EINVAL, 0},
	{"1B", -EINVAL, 0},
	{"1T", -EINVAL, 0},
	{"1Ki", -EINVAL, 0},
	{"1KBB", -EINVAL, 0},
	{"1KK", -EINVAL, 0},
	{"1.5M", -EINVAL, 0},
	{"0x10", -EINVAL, 0},
};

static const struct example times[] = {
	{"0", 0, 0},
	{"0s", 0, 0},
	{"0.000", 0, 0},
	{"10", 0, 10000},
	{"10s", 0, 10000},
	{"500ms", 0, 500},
	{"5min", 0, 300000},
	{"2h", 0, 7200000},
	{"90d", 0, UINT64_C(7776000000)},
	{"1.5", 0, 1500},
	{"0.25s", 0, 250},
	{"0.5min", 0, 30000},
	{"0.001s", 0, 1},
	{"0.0001s", 0, 1},
	{"0.1ms", 0, 1},
	{"1.0000000000s", 0, 1000},
	{"0.0000000000001d", 0, 1},
	{"0.9999999999d", 0, 86400000},
	{"365250d", 0, UINT64_C(31557600000000)},
	{"365250.1d", -ERANGE, 0},
	{"365251d", -ERANGE, 0},
	{"31557600000", 0, UINT64_C(31557600000000)},
	{"31557600001", -ERANGE, 0},
	{"99999999999999999999ms", -ERANGE, 0},
	{"99999999999999999999y", -EINVAL, 0},
	{"", -EINVAL, 0},
	{"s", -EINVAL, 0},
	{".5s", -EINVAL, 0},
	{"1.", -EINVAL, 0},
	{"1.s", -EINVAL, 0},
	{"1.2.3", -EINVAL, 0},
	{"1,5s", -EINVAL, 0},
	{"-1s", -EINVAL, 0},
	{" 1s", -EINVAL, 0},
	{"1 s", -EINVAL, 0},
	{"1S", -EINVAL, 0},
	{"1m", -EINVAL, 0},
	{"1sec", -EINVAL, 0},
	{"never", -EINVAL, 0},
};

static void check_example(const struct example *example, int (*parse)(const char *, uint64_t *))
{
	uint64_t value = untouched;

	ck_assert_msg(parse(example->text, &value) == example->result, "\"%s\"", example->text);
	ck_assert_msg(value == (example->result == 0 ? example->value : untouched),
		      "\"%s\" gives %llu", example->text, (unsigned long long)value);
}

START_TEST(test_parse_size)
{
	check_example(&sizes[_i], quantity_parse_size);
}
END_TEST

START_TEST(test_parse_time)
{
	check_example(&times[_i], quantity_parse_time);
}
END_TEST

START_TEST(test_format)
{
	static const struct {
		uint64_t number;
		const char *size, *time;
	} examples[] = {
		{0, "0", "0"},
		{1, "1", "1ms"},
		{1000, "1000", "1s"},
		{1024, "1K", "1024ms"},
		{1500, "1500", "1500ms"},
		{1 << 20, "1M", "1048576ms"},
		{300000, "300000", "5min"},
		{7200000, "7200000", "2h"},
		{86400000, "84375K", "1d"},
		{UINT64_C(5) << 30, "5G", "5368709120ms"},
		{UINT64_MAX, "18446744073709551615", "18446744073709551615ms"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		char text[QUANTITY_MAX];

		quantity_format_size(text, examples[i].number);
		ck_assert_str_eq(text, examples[i].size);
		quantity_format_time(text, examples[i].number);
		ck_assert_str_eq(text, examples[i].time);
	}
}
END_TEST

static void check_round_trip(uint64_t number)
{
	char text[QUANTITY_MAX];
	uint64_t again;

	quantity_format_size(text, number);
	ck_assert_int_eq(quantity_parse_size(text, &again), 0);
	ck_assert_uint_eq(again, number);
	quantity_format_time(text, number % 1000000);
	ck_assert_int_eq(quantity_parse_time(text, &again), 0);
	ck_assert_uint_eq(again, number % 1000000);
}

START_TEST(test_round_trip)
{
	for (uint64_t number = 0; number < 20000; number++) {
		check_round_trip(number);
		check_round_trip(number << 10);
	}
	for (unsigned bit = 0; bit < 63; bit++) {
		check_round_trip(UINT64_C(1) << bit);
		check_round_trip((UINT64_C(1) << bit) - 1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quantity");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tests, test_parse_size, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(tests, test_parse_time, 0, ARRAY_SIZE(times));
	tcase_add_test(tests, test_format);
	tcase_add_test(tests, test_round_trip);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
