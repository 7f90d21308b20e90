/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rows and columns on a terminal and in a pipe. */

#include "table.h"

#include <check.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

static const struct table_column columns[] = {{"ROOM", false}, {"N", true}, {"TOPIC", false}};

/* What table_print() writes to standard output. */
static const char *printed(const struct table *table)
{
	static char text[4096];
	CLEANUP(closep) int file = memfd_create("out", MFD_CLOEXEC);
	CLEANUP(closep) int saved = dup(STDOUT_FILENO);
	ssize_t n;

	ck_assert_int_ge(file, 0);
	ck_assert_int_ge(saved, 0);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(file, STDOUT_FILENO), 0);
	table_print(table);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
	n = pread(file, text, sizeof(text) - 1, 0);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

static void fill(struct table *table, bool terminal)
{
	*table = (struct table){
		.columns = columns, .n_columns = ARRAY_SIZE(columns), .terminal = terminal};
	ck_assert_int_eq(table_add(table, "lobby"), 0);
	ck_assert_int_eq(table_add_number(table, 12345), 0);
	ck_assert_int_eq(table_add(table, "a\ttab\x1b[1m"), 0);
	ck_assert_int_eq(table_add(table, "日本"), 0);
	ck_assert_int_eq(table_add_number(table, 0), 0);
	ck_assert_int_eq(table_add(table, NULL), 0);
}

START_TEST(test_terminal)
{
	struct table table;

	fill(&table, true);
	/* A character of Han takes two places. */
	ck_assert_str_eq(printed(&table), "ROOM       N  TOPIC\n"
					  "lobby  12345  a tab^[[1m\n"
					  "日本       0  \n");
	table_done(&table);
}
END_TEST

START_TEST(test_pipe)
{
	struct table table;

	fill(&table, false);
	ck_assert_str_eq(printed(&table), "lobby\t12345\ta tab^[[1m\n日本\t0\t\n");
	table_done(&table);
}
END_TEST

START_TEST(test_nothing)
{
	struct table table = {
		.columns = columns, .n_columns = ARRAY_SIZE(columns), .terminal = true};

	ck_assert_str_eq(printed(&table), "");
	table_done(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("table");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_terminal);
	tcase_add_test(tests, test_pipe);
	tcase_add_test(tests, test_nothing);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
