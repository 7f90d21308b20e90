/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which instances there are, by the files that lie beside retortd.conf, and what each has. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harness.h"
#include "instances.h"

static char etc[256], memory[256], file[300];

/* Makes both directories, empty. */
static void set_up(void)
{
	const char *directory = getenv("RETORT_TEST_DIRECTORY");

	(void)snprintf(etc, sizeof(etc), "%s/etc", directory);
	(void)snprintf(memory, sizeof(memory), "%s/memory", directory);
	(void)snprintf(file, sizeof(file), "%s/retortd.conf", etc);
	directory_remove(etc);
	directory_remove(memory);
	ck_assert_int_eq(mkdir(etc, 0700), 0);
	ck_assert_int_eq(mkdir(memory, 0700), 0);
}

static void touch(const char *directory, const char *name)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	file_write(path, "", 0);
}

/* Asserts which there are, by what their names end with, separated by a space. */
static void expect(const char *where, const char *names, size_t n_problems)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(instances_done) struct instances instances = {0};
	char text[1024] = "";

	ck_assert_int_eq(instances_find(file, where, &instances, &problems), 0);
	ck_assert_uint_ge(instances.n, 1);
	ck_assert(!instance_is_named(&instances.all[0]));
	for (size_t i = 1; i < instances.n; i++) {
		ck_assert(instance_is_named(&instances.all[i]));
		(void)strcat(text, i == 1 ? "" : " ");
		(void)strcat(text, instances.all[i].at);
	}
	ck_assert_str_eq(text, names);
	ck_assert_uint_eq(problems.n, n_problems);
}

START_TEST(have_names_and_places)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(instances_done) struct instances instances = {0};
	const struct instance *one;
	char path[600];

	set_up();
	touch(etc, "retortd@b-1_x.conf");
	ck_assert_int_eq(instances_find(file, NULL, &instances, &problems), 0);
	ck_assert_uint_eq(instances.n, 2);

	one = &instances.all[0];
	ck_assert_str_eq(one->at, "");
	ck_assert_str_eq(one->file, file);
	ck_assert_str_eq(one->service, "retortd");
	ck_assert_str_eq(one->target, "retortd-sockets.target");
	ck_assert_str_eq(one->directory, "/run/retort");
	ck_assert_str_eq(one->control, "/run/retort/control.sock");

	one = &instances.all[1];
	(void)snprintf(path, sizeof(path), "%s/retortd@b-1_x.conf", etc);
	ck_assert_str_eq(one->at, "@b-1_x");
	ck_assert_str_eq(one->file, path);
	ck_assert_str_eq(one->service, "retortd@b-1_x");
	ck_assert_str_eq(one->target, "retortd-sockets@b-1_x.target");
	ck_assert_str_eq(one->directory, "/run/retort-b-1_x");
	ck_assert_str_eq(one->control, "/run/retort-b-1_x/control.sock");
}
END_TEST

START_TEST(are_found_in_order)
{
	set_up();
	expect(NULL, "", 0);
	touch(etc, "retortd@c.conf");
	touch(etc, "retortd@a.conf");
	touch(memory, "retortd@b.conf");
	touch(memory, "retortd@a.conf");
	touch(memory, "retortd.conf");
	touch(memory, "units@d");
	expect(NULL, "@a @c", 0);
	expect(memory, "@a @b @c", 0);
	directory_remove(etc);
	expect(memory, "@a @b", 0);
	expect("/nowhere", "", 0);
}
END_TEST

START_TEST(are_not_taken_for_others)
{
	char name[128] = "retortd@";

	set_up();
	/* What retortd.conf takes in, copies and what editors and packagers leave. */
	touch(etc, "rooms.conf");
	touch(etc, "retortd-a.conf");
	touch(etc, "retortd@a.conf~");
	touch(etc, "retortd@a.conf.dpkg-new");
	touch(etc, ".retortd@a.conf.swp");
	touch(etc, "xretortd@a.conf");
	touch(etc, "retortd@conf");
	touch(etc, "retortd@");
	expect(memory, "", 0);
	/* What can be meant for nothing else is spoken of. */
	touch(etc, "retortd@.conf");
	touch(etc, "retortd@a b.conf");
	touch(etc, "retortd@a@b.conf");
	touch(etc, "retortd@a.b.conf");
	touch(etc, "retortd@\xc3\xa4.conf");
	expect(memory, "", 5);
	memset(name + 8, 'x', INSTANCE_NAME_MAX + 1);
	(void)strcpy(name + 8 + INSTANCE_NAME_MAX + 1, ".conf");
	touch(etc, name);
	expect(memory, "", 6);
}
END_TEST

START_TEST(are_not_endless)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(instances_done) struct instances instances = {0};
	char name[64];

	set_up();
	for (int i = 0; i < INSTANCES_MAX + 1; i++) {
		(void)snprintf(name, sizeof(name), "retortd@%d.conf", i);
		touch(etc, name);
	}
	ck_assert_int_eq(instances_find(file, NULL, &instances, &problems), 0);
	ck_assert_uint_eq(instances.n, INSTANCES_MAX + 1);
	ck_assert_uint_eq(problems.n, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instances");

	harness_add(suite, have_names_and_places);
	harness_add(suite, are_found_in_order);
	harness_add(suite, are_not_taken_for_others);
	harness_add(suite, are_not_endless);
	return harness_main(suite);
}
