/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the state and the control socket are, by the command line and the environment. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "paths.h"
#include "util.h"

/* Sets a variable; NULL is none. */
static void set(const char *name, const char *value)
{
	ck_assert_int_eq(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static const struct {
	const char *state_directory, *option, *xdg_state_home, *home;
	const char *expected; /* NULL: ENOENT */
} states[] = {
	{"/var/lib/retort", "/o", "/x", "/h", "/var/lib/retort"},
	{"/var/lib/a:/var/lib/b", NULL, NULL, NULL, "/var/lib/a"},
	{NULL, "/o", "/x", "/h", "/o"},
	{"", "o", "/x", "/h", "o"},
	{":/b", "/o", NULL, NULL, "/o"},
	{NULL, NULL, "/x", "/h", "/x/retort"},
	{NULL, NULL, "x", "/h", "/h/.local/state/retort"},
	{NULL, NULL, "", "/h", "/h/.local/state/retort"},
	{NULL, NULL, NULL, "/h", "/h/.local/state/retort"},
	{NULL, NULL, NULL, "", NULL},
	{NULL, NULL, "x", "h", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

START_TEST(finds_the_state_directory)
{
	CLEANUP(freep) char *path = NULL;

	set("STATE_DIRECTORY", states[_i].state_directory);
	set("XDG_STATE_HOME", states[_i].xdg_state_home);
	set("HOME", states[_i].home);
	errno = 0;
	path = paths_state_directory(states[_i].option);
	if (states[_i].expected) {
		ck_assert_ptr_nonnull(path);
		ck_assert_str_eq(path, states[_i].expected);
	} else {
		ck_assert_ptr_null(path);
		ck_assert_int_eq(errno, ENOENT);
	}
}
END_TEST

START_TEST(finds_the_control_socket)
{
	CLEANUP(freep) char *of_option = NULL, *of_runtime = NULL, *of_session = NULL, *none;

	set("RUNTIME_DIRECTORY", "/run/a:/run/b");
	of_option = paths_control("c.sock");
	ck_assert_str_eq(of_option, "c.sock");
	of_runtime = paths_control(NULL);
	ck_assert_str_eq(of_runtime, "/run/a/control.sock");

	set("RUNTIME_DIRECTORY", NULL);
	set("XDG_RUNTIME_DIR", "/run/user/7");
	of_session = paths_control(NULL);
	ck_assert_str_eq(of_session, geteuid() == 0 ? "/run/retort/control.sock"
						    : "/run/user/7/retort/control.sock");
	set("XDG_RUNTIME_DIR", NULL);
	errno = 0;
	none = paths_control(NULL);
	if (geteuid() == 0) {
		ck_assert_ptr_nonnull(none);
		ck_assert_str_eq(none, "/run/retort/control.sock");
	} else {
		ck_assert_ptr_null(none);
		ck_assert_int_eq(errno, ENOENT);
	}
}
END_TEST

START_TEST(makes_the_runtime_directory)
{
	const char *directory = getenv("RETORT_TEST_DIRECTORY");
	CLEANUP(freep) char *first = NULL, *second = NULL;
	struct stat status;

	ck_assert_ptr_nonnull(directory);
	ck_assert_int_eq(chdir(directory), 0);
	set("RUNTIME_DIRECTORY", "made");
	(void)umask(0077);
	first = paths_make_runtime_directory();
	ck_assert_str_eq(first, "made");
	ck_assert_int_eq(stat("made", &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0755);

	/* One that is there stays as it is. */
	ck_assert_int_eq(chmod("made", 0700), 0);
	second = paths_make_runtime_directory();
	ck_assert_str_eq(second, "made");
	ck_assert_int_eq(stat("made", &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("paths");
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, finds_the_state_directory, 0, ARRAY_SIZE(states));
	suite_add_tcase(suite, tables);
	harness_add(suite, finds_the_control_socket);
	harness_add(suite, makes_the_runtime_directory);
	return harness_main(suite);
}
