/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Points in time as people write and read them. */

#include "moment.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "util.h"

#define DAY UINT64_C(86400000)

/* 2026-11-22 15:04:05.678 UTC, a Sunday. */
static const uint64_t now = UINT64_C(1795359845678);

static void use_zone(const char *zone)
{
	ck_assert_int_eq(setenv("TZ", zone, 1), 0);
	tzset();
}

START_TEST(test_format)
{
	char text[MOMENT_TEXT_MAX];

	use_zone("UTC0");
	ck_assert_str_eq(moment_format(now, text), "2026-11-22 15:04:05");
	ck_assert_str_eq(moment_format(0, text), "1970-01-01 00:00:00");
	use_zone("XXX-5:30");
	ck_assert_str_eq(moment_format(now, text), "2026-11-22 20:34:05");
	/* No year of that kind can be written, but it harms nobody. */
	ck_assert_ptr_eq(moment_format(UINT64_MAX, text), text);
}
END_TEST

static const struct {
	const char *text;
	uint64_t time;
} right[] = {
	{"2026-11-22T15:04:05.678Z", 1795359845678},
	{"2026-11-22T16:04:05+01:00", 1795359845000},
	/* in local time, here an hour ahead */
	{"2026-11-22 16:04:05", 1795359845000},
	{"2026-11-22 16:04", 1795359840000},
	{"2026-11-22", 1795302000000},
	{"16:04:05", 1795359845000},
	{"16:04", 1795359840000},
	{"00:00", 1795302000000},
	{"16:05", 1795359900000 - DAY}, /* that of today is still to come */
	{"10min", 1795359845678 - 600000},
	{"10min ago", 1795359845678 - 600000},
	{"1.5h", 1795359845678 - 5400000},
	{"2d", 1795359845678 - 2 * DAY},
	{"500ms", 1795359845178},
	{"900d ago", 1795359845678 - 900 * DAY},
	{"90000d", 0},
};

START_TEST(test_parse)
{
	uint64_t time = 1;

	use_zone("XXX-1");
	ck_assert_msg(moment_parse(right[_i].text, now, &time) == 0, "%s", right[_i].text);
	ck_assert_msg(time == right[_i].time, "%s: %llu, not %llu", right[_i].text,
		      (unsigned long long)time, (unsigned long long)right[_i].time);
}
END_TEST

static const char *const wrong[] = {
	"",
	" ago",
	"ago",
	"10",
	"10 ago",
	"yesterday",
	"10parsecs",
	"-5min",
	"2026-13-01",
	"2026-11-22x",
	"15:04:05x",
	"25:00",
	"2026-11-22 15",
	"min",
	"1969-01-01",
	"10min ago ago",
};

START_TEST(test_parse_wrong)
{
	uint64_t time = 1;

	use_zone("UTC0");
	ck_assert_msg(moment_parse(wrong[_i], now, &time) == -EINVAL, "%s", wrong[_i]);
	ck_assert_uint_eq(time, 1);
}
END_TEST

START_TEST(test_summer_time)
{
	uint64_t time;

	/* An hour that a clock shows belongs to the time that held then, not now. */
	use_zone("XXX-1YYY,M3.5.0,M10.5.0/3");
	ck_assert_int_eq(moment_parse("2026-07-01 12:00", now, &time), 0);
	ck_assert_uint_eq(time, UINT64_C(1782900000000));
	ck_assert_int_eq(moment_parse("2026-12-01 12:00", now, &time), 0);
	ck_assert_uint_eq(time, UINT64_C(1796122800000));
}
END_TEST

START_TEST(test_span)
{
	char text[SPAN_TEXT_MAX];

	ck_assert_str_eq(span_format(0, text), "0s");
	ck_assert_str_eq(span_format(59999, text), "59s");
	ck_assert_str_eq(span_format(60000, text), "1min 0s");
	ck_assert_str_eq(span_format(UINT64_C(3600000) * 5 + 120000, text), "5h 2min");
	ck_assert_str_eq(span_format(DAY * 3 + UINT64_C(3600000) * 4, text), "3d 4h");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("moment");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_format);
	tcase_add_loop_test(tests, test_parse, 0, (int)ARRAY_SIZE(right));
	tcase_add_loop_test(tests, test_parse_wrong, 0, (int)ARRAY_SIZE(wrong));
	tcase_add_test(tests, test_summer_time);
	tcase_add_test(tests, test_span);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
