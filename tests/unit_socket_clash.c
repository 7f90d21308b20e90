/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which addresses two services cannot have at the same time. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "harness_config.h"
#include "socket_clash.h"

/* A service with one listener. */
struct service {
	struct config *config;
	struct socket_units units;
};

static void service_done(struct service *service)
{
	socket_units_done(&service->units);
	config_free(service->config);
}

static struct service make(const char *name, const char *listen)
{
	const struct socket_units_setup setup = {
		.service = name, .prefix = "", .at = "", .target = "", .directory = name};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct service service = {0};
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "\nlisteners: ( { name = \"of-%s\"; listen = [ %s ]; } );", name, listen);
	service.config = config_right(text);
	ck_assert_int_eq(socket_units_make(service.config, &setup, &service.units, &problems), 0);
	ck_assert_uint_eq(problems.n, 0);
	return service;
}

static const struct {
	const char *one, *other;
	size_t n; /* clashes */
} pairs[] = {
	{"\"tcp://127.0.0.1:1\"", "\"tcp://127.0.0.1:1\"", 1},
	{"\"tcp://127.0.0.1:1\"", "\"tcp://127.0.0.1:2\"", 0},
	{"\"tcp://127.0.0.1:1\"", "\"tcp://127.0.0.2:1\"", 0},
	{"\"tcp://127.0.0.1:1\"", "\"udp://127.0.0.1:1\"", 0},
	{"\"udp://[::1]:1\"", "\"udp://[::1]:1\"", 1},
	{"\"tcp://*:1\"", "\"tcp://*:1\"", 1},
	{"\"tcp://*:1\"", "\"tcp://127.0.0.1:1\"", 1},
	{"\"tcp://*:1\"", "\"tcp://[::1]:1\"", 1},
	{"\"tcp://*:1\"", "\"tcp://0.0.0.0:1\"", 1},
	{"\"tcp://*:1\"", "\"tcp://[::]:1\"", 1},
	{"\"tcp://0.0.0.0:1\"", "\"tcp://127.0.0.1:1\"", 1},
	{"\"tcp://0.0.0.0:1\"", "\"tcp://[::]:1\"", 0},
	{"\"tcp://0.0.0.0:1\"", "\"tcp://[::1]:1\"", 0},
	{"\"tcp://[::]:1\"", "\"tcp://[::1]:1\"", 1},
	{"\"tcp://[::]:1\"", "\"tcp://127.0.0.1:1\"", 0},
	{"\"unix:/a\"", "\"unix:/a\"", 1},
	{"\"unix:@a\"", "\"unix:@a\"", 1},
	{"\"unix:/a\"", "\"unix:/b\"", 0},
	{"\"unix:/a\"", "\"unix:@a\"", 0},
	/* Each has a directory of its own. */
	{"\"unix:a\"", "\"unix:a\"", 0},
	{"\"unix:a\"", "\"unix:a\", \"tcp://127.0.0.1:1\"", 0},
	{"\"unix:/a\", \"tcp://127.0.0.1:1\"", "\"tcp://*:1\", \"unix:/b\", \"unix:/a\"", 2},
};

START_TEST(finds_what_cannot_be)
{
	CLEANUP(service_done) struct service one = make("one", pairs[_i].one);
	CLEANUP(service_done) struct service other = make("other", pairs[_i].other);
	const struct claims first = {&one.units, "one"}, second = {&other.units, "other"};
	CLEANUP(config_problems_done) struct config_problems problems = {0};

	ck_assert_int_eq(socket_clashes_find(&second, &first, 1, &problems), 0);
	ck_assert_uint_eq(problems.n, pairs[_i].n);
	ck_assert_int_eq(socket_clashes_find(&first, &second, 1, &problems), 0);
	ck_assert_uint_eq(problems.n, 2 * pairs[_i].n);
}
END_TEST

START_TEST(says_it)
{
	CLEANUP(service_done) struct service one = make("one", "\"tcp://127.0.0.1:1\"");
	CLEANUP(service_done) struct service two = make("two", "\"tcp://*:1\"");
	CLEANUP(service_done) struct service three = make("three", "\"tcp://0.0.0.0:1\"");
	const struct claims all[] = {
		{&one.units, "one"}, {&two.units, "two"}, {&three.units, "three"}};
	CLEANUP(config_problems_done) struct config_problems problems = {0};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		ck_assert_int_eq(socket_clashes_find(&all[i], all, i, &problems), 0);
	ck_assert_int_eq(buffer_append(&problems.text, "", 1), 0);
	ck_assert_str_eq(
		(const char *)problems.text.data,
		"f:2: listener \"of-two\": two cannot have tcp://*:1 while one has "
		"tcp://127.0.0.1:1, for its listener \"of-one\"; give one of them another "
		"address, or run only one at a time\n"
		"f:2: listener \"of-three\": three cannot have tcp://0.0.0.0:1 while one has "
		"tcp://127.0.0.1:1, for its listener \"of-one\"; give one of them another "
		"address, or run only one at a time\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socket_clash");
	TCase *loop = tcase_create("pairs");

	tcase_add_loop_test(loop, finds_what_cannot_be, 0, ARRAY_SIZE(pairs));
	suite_add_tcase(suite, loop);
	harness_add(suite, says_it);
	return harness_main(suite);
}
