/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of a listener's Unix sockets when its settings change. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "harness.h"
#include "listener.h"

static const char *path_of(const struct listening *listening)
{
	return ((const struct sockaddr_un *)&listening->endpoint.socket)->sun_path;
}

static void assert_file(const struct listening *listening, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat status;

	ck_assert_int_eq(stat(path_of(listening), &status), 0);
	ck_assert_int_eq(status.st_mode & 07777, mode);
	ck_assert_uint_eq(status.st_uid, uid);
	ck_assert_uint_eq(status.st_gid, gid);
}

/* Opens a listener with all its sockets; there are no others. */
static struct listener *open_listener(struct generation *generation, struct listener_config *config)
{
	struct inherited none = {0};
	struct list others;
	struct listener *listener = listener_new(generation, config, 1);

	list_init(&others);
	ck_assert_ptr_nonnull(listener);
	ck_assert_int_eq(listener_open(listener, config, &none, &others, &listener->sockets), 0);
	return listener;
}

static struct listening *first(struct listener *listener)
{
	return CONTAINER_OF(listener->sockets.next, struct listening, link);
}

static struct listening *second(struct listener *listener)
{
	return CONTAINER_OF(listener->sockets.next->next, struct listening, link);
}

START_TEST(test_dress)
{
	struct address addresses[] = {{.transport = TRANSPORT_UNIX, .path = "@"},
				      {.transport = TRANSPORT_UNIX, .path = "@"}};
	struct listener_config config = {
		.name = "a", .addresses = addresses, .n_addresses = 2, .mode = 0600};
	struct generation generation = {NULL, 1};
	struct listener *listener;
	char one[128], two[128];

	(void)snprintf(one, sizeof(one), "%s/one", getenv("RETORT_TEST_DIRECTORY"));
	(void)snprintf(two, sizeof(two), "%s/two", getenv("RETORT_TEST_DIRECTORY"));
	addresses[0].path = one;
	addresses[1].path = two;
	listener = open_listener(&generation, &config);
	assert_file(first(listener), 0600, geteuid(), getegid());

	/* What is not wanted any more, or not ours, stays as it is. */
	config.mode = 0660;
	second(listener)->wanted = false;
	ck_assert_int_eq(listener_dress(listener, &config), 0);
	assert_file(first(listener), 0660, geteuid(), getegid());
	assert_file(second(listener), 0600, geteuid(), getegid());
	second(listener)->wanted = true;
	second(listener)->inherited = true;
	ck_assert_int_eq(listener_dress(listener, &config), 0);
	assert_file(second(listener), 0600, geteuid(), getegid());
	second(listener)->inherited = false;

	config.user = "65533";
	config.group = "65532";
	if (geteuid() == 0) {
		ck_assert_int_eq(listener_dress(listener, &config), 0);
		assert_file(first(listener), 0660, 65533, 65532);
		assert_file(second(listener), 0660, 65533, 65532);
	} else {
		ck_assert_int_eq(listener_dress(listener, &config), EX_NOPERM);
	}

	/* One that fails does not keep the other from it. */
	config.user = config.group = NULL;
	config.mode = 0666;
	ck_assert_int_eq(unlink(one), 0);
	ck_assert_int_eq(listener_dress(listener, &config), EX_OSERR);
	assert_file(second(listener), 0666, geteuid(), getegid());

	config.user = "no such user";
	ck_assert_int_eq(listener_dress(listener, &config), EX_CONFIG);
	listener_free(listener);
	ck_assert_int_ne(access(two, F_OK), 0);
	ck_assert_uint_eq(generation.references, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listener");

	harness_add(suite, test_dress);
	return harness_main(suite);
}
