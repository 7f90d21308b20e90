/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The growing buffer. */

#include <check.h>

#include "bytes.h"
#include "util.h"

START_TEST(test_empty)
{
	struct buffer buffer = {0};

	ck_assert_int_eq(buffer_append(&buffer, NULL, 0), 0);
	ck_assert_int_eq(buffer_reserve(&buffer, 0), 0);
	buffer_consume(&buffer, 0);
	ck_assert_uint_eq(buffer.len, 0);
	ck_assert_ptr_null(buffer.data);
	buffer_done(&buffer);
	buffer_done(&buffer);
}
END_TEST

START_TEST(test_append_and_consume)
{
	struct buffer buffer = {0};

	for (int i = 0; i < 1000; i++) {
		uint8_t byte = (uint8_t)i;

		ck_assert_int_eq(buffer_append(&buffer, &byte, 1), 0);
		ck_assert_uint_le(buffer.len, buffer.size);
	}
	buffer_consume(&buffer, 300);
	ck_assert_uint_eq(buffer.len, 700);
	for (size_t i = 0; i < buffer.len; i++)
		ck_assert_uint_eq(buffer.data[i], (uint8_t)(i + 300));
	buffer_consume(&buffer, 700);
	ck_assert_uint_eq(buffer.len, 0);
	ck_assert_int_eq(buffer_append(&buffer, "again", 5), 0);
	ck_assert_mem_eq(buffer.data, "again", 5);
	buffer_done(&buffer);
	ck_assert_ptr_null(buffer.data);
	ck_assert_uint_eq(buffer.size, 0);
}
END_TEST

START_TEST(test_reserve_keeps_its_promise)
{
	struct buffer buffer = {0};

	for (size_t more = 1; more < 100000; more = more * 3 + 1) {
		ck_assert_int_eq(buffer_reserve(&buffer, more), 0);
		ck_assert_uint_ge(buffer.size - buffer.len, more);
		memset(buffer.data + buffer.len, 'x', more);
		buffer.len += more / 2;
	}
	buffer_done(&buffer);
}
END_TEST

/* Appending byte by byte moves the bytes a logarithmic number of times. */
START_TEST(test_growth_is_geometric)
{
	struct buffer buffer = {0};
	size_t n_sizes = 0, size = 0;

	for (int i = 0; i < 100000; i++) {
		ck_assert_int_eq(buffer_append(&buffer, "x", 1), 0);
		n_sizes += buffer.size != size;
		size = buffer.size;
	}
	ck_assert_uint_lt(n_sizes, 30);
	buffer_done(&buffer);
}
END_TEST

START_TEST(test_too_much)
{
	struct buffer buffer = {0};
	struct buffer before;

	ck_assert_int_eq(buffer_append(&buffer, "abc", 3), 0);
	before = buffer;
	ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX - 2), -ENOMEM);
	ck_assert_int_eq(buffer_reserve(&buffer, PTRDIFF_MAX), -ENOMEM);
	ck_assert_mem_eq(&buffer, &before, sizeof(buffer));
	ck_assert_mem_eq(buffer.data, "abc", 3);
	buffer_done(&buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_empty);
	tcase_add_test(tests, test_append_and_consume);
	tcase_add_test(tests, test_reserve_keeps_its_promise);
	tcase_add_test(tests, test_growth_is_geometric);
	tcase_add_test(tests, test_too_much);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
