/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the generator remembers from one run to the next. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "generated.h"
#include "harness.h"

static char directory[256];
static const struct instance plain = {.at = (char[]){""}}, named = {.at = (char[]){"@a"}};

static void set_up(void)
{
	(void)snprintf(directory, sizeof(directory), "%s/memory", getenv("RETORT_TEST_DIRECTORY"));
}

START_TEST(keeps_a_configuration)
{
	struct config *config = NULL, *again = NULL;
	char *text = NULL, *again_text = NULL;
	struct stat status;
	size_t len;
	FILE *out;

	set_up();
	directory_remove(directory);
	ck_assert_int_eq(generated_load(directory, &plain, &again), -ENOENT);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(config_load_builtin(&config), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(generated_keep(directory, &plain, config), 0);
	ck_assert_int_eq(stat(directory, &status), 0);
	ck_assert_int_eq(status.st_mode & 07777, 0700);
	ck_assert_int_eq(generated_load(directory, &plain, &again), 0);

	out = open_memstream(&text, &len);
	ck_assert_int_eq(config_print(config, out), 0);
	(void)fclose(out);
	out = open_memstream(&again_text, &len);
	ck_assert_int_eq(config_print(again, out), 0);
	(void)fclose(out);
	ck_assert_str_eq(again_text, text);
	free(text);
	free(again_text);
	config_free(config);
	config_free(again);
}
END_TEST

/* Remembers an instance's units, and asserts which are gone then: names separated by a space. */
static void remember_of(const struct instance *instance, const char *units, const char *gone)
{
	struct socket_unit all[4] = {0};
	struct socket_units given = {.units = all};
	struct unit_names names = {0};
	char *copy = strdup(units), *rest = NULL, text[256] = "";

	for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
		all[given.n++].name = name;
	ck_assert_int_eq(generated_remember(directory, instance, &given, &names), 0);
	for (size_t i = 0; i < names.n; i++) {
		if (i > 0)
			(void)strcat(text, " ");
		(void)strcat(text, names.names[i]);
	}
	ck_assert_str_eq(text, gone);
	unit_names_done(&names);
	free(copy);
}

static void remember(const char *units, const char *gone)
{
	remember_of(&plain, units, gone);
}

START_TEST(remembers_units_that_are_gone)
{
	set_up();
	directory_remove(directory);
	remember("a.socket b.socket", "");
	remember("a.socket b.socket", "");
	remember("c.socket", "a.socket b.socket");
	remember("b.socket", "c.socket a.socket");
	remember("", "b.socket c.socket a.socket");
	remember("a.socket b.socket c.socket", "");
	/* That one is somebody else's, and not gone. */
	remember("systemd-journald.socket", "a.socket b.socket c.socket");
	remember("", "a.socket b.socket c.socket");
}
END_TEST

START_TEST(keeps_instances_apart)
{
	struct config *config = NULL;

	set_up();
	directory_remove(directory);
	ck_assert_int_eq(config_load_builtin(&config), 0);
	ck_assert_int_eq(generated_keep(directory, &named, config), 0);
	config_free(config);
	ck_assert_int_eq(generated_load(directory, &plain, &config), -ENOENT);
	ck_assert_int_eq(generated_load(directory, &named, &config), 0);
	config_free(config);
	remember("a.socket", "");
	remember_of(&named, "a@a.socket", "");
	remember("b.socket", "a.socket");
	remember_of(&named, "b@a.socket", "a@a.socket");
}
END_TEST

START_TEST(does_without_a_place)
{
	struct config *config = NULL;

	(void)snprintf(directory, sizeof(directory), "/dev/null/memory");
	remember("a.socket", "");
	remember("b.socket", "");
	ck_assert_int_eq(config_load_builtin(&config), 0);
	ck_assert_int_eq(generated_keep(directory, &plain, config), -ENOTDIR);
	config_free(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("generated");

	harness_add(suite, keeps_a_configuration);
	harness_add(suite, remembers_units_that_are_gone);
	harness_add(suite, keeps_instances_apart);
	harness_add(suite, does_without_a_place);
	return harness_main(suite);
}
