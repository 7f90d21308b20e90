/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets that somebody holds, and those that nobody does, or not as is wished. */

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bind.h"
#include "harness.h"
#include "socket_held.h"

static struct endpoint endpoint_of(const char *text)
{
	struct endpoint *endpoints, endpoint;
	struct address address = {0};
	const char *problem;
	size_t n;

	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_int_eq(address_resolve(&address, true, getenv("RETORT_TEST_DIRECTORY"),
					 &endpoints, &n, &problem),
			 0);
	endpoint = endpoints[0];
	free(endpoints);
	address_done(&address);
	return endpoint;
}

/* Opens endpoint, and learns which port it has got. */
static int open_endpoint(struct endpoint *endpoint)
{
	struct bind_made made;
	int fd;

	ck_assert_int_eq(bind_open(endpoint, &fd, &made), 0);
	ck_assert_int_eq(bind_listen(endpoint, fd), 0);
	endpoint->len = sizeof(endpoint->socket);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&endpoint->socket, &endpoint->len), 0);
	return fd;
}

static const struct {
	const char *address, *other;
} addresses[] = {
	{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"},
	{"udp://127.0.0.1:0", "udp://127.0.0.2:0"},
	{"tcp://*:0", "tcp://0.0.0.0:0"},
	{"tcp://[::1]:0", "tcp://*:0"},
	{"tcp://*:0", "tcp://[::]:0"},
	{"tcp://[::]:0", "tcp://*:0"},
	{"udp://*:0", "udp://[::]:0"},
	{"udp://[::]:0", "udp://*:0"},
};

START_TEST(sees_who_holds_an_address)
{
	const struct listener_config listener = {.mode = 0666};
	struct endpoint endpoint = endpoint_of(addresses[_i].address), other;
	int fd = open_endpoint(&endpoint);

	/* One that the first takes in, or that is otherwise near it, is another all the same. */
	other = endpoint_of(addresses[_i].other);
	((struct sockaddr_in *)&other.socket)->sin_port = htons(endpoint_port(&endpoint));

	ck_assert(socket_is_held(getpid(), &endpoint, &listener));
	ck_assert(!socket_is_held(getppid(), &endpoint, &listener));
	ck_assert(!socket_is_held(getpid(), &other, &listener));
	closep(&fd);
	ck_assert(!socket_is_held(getpid(), &endpoint, &listener));
}
END_TEST

START_TEST(sees_the_abstract_namespace)
{
	const struct listener_config listener = {.mode = 0666};
	struct endpoint endpoint = endpoint_of("unix:@retort-unit-socket-held");
	struct endpoint other = endpoint_of("unix:@retort-unit-socket");
	int fd = open_endpoint(&endpoint);

	ck_assert(socket_is_held(getpid(), &endpoint, &listener));
	ck_assert(!socket_is_held(getpid(), &other, &listener));
	closep(&fd);
}
END_TEST

START_TEST(sees_how_a_file_is)
{
	char uid[16], gid[16];
	const struct listener_config right = {.mode = 0640, .user = uid, .group = gid},
				     other_mode = {.mode = 0666},
				     other_user = {.mode = 0640, .user = "4242"},
				     other_group = {.mode = 0640, .group = "4242"},
				     no_user = {.mode = 0640, .user = "no such user"};
	struct endpoint endpoint = endpoint_of("unix:held");
	const char *path = ((const struct sockaddr_un *)&endpoint.socket)->sun_path;
	int fd;

	(void)snprintf(uid, sizeof(uid), "%u", geteuid());
	(void)snprintf(gid, sizeof(gid), "%u", getegid());
	ck_assert(!socket_is_held(getpid(), &endpoint, &right));
	fd = open_endpoint(&endpoint);
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_assert(socket_is_held(getpid(), &endpoint, &right));
	ck_assert(socket_is_held(getpid(), &endpoint, &no_user)); /* when in doubt */
	ck_assert(!socket_is_held(getpid(), &endpoint, &other_mode));
	ck_assert(!socket_is_held(getpid(), &endpoint, &other_user));
	ck_assert(!socket_is_held(getpid(), &endpoint, &other_group));
	/* The file alone is not enough. */
	closep(&fd);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert(!socket_is_held(getpid(), &endpoint, &right));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socket_held");
	TCase *loop = tcase_create("addresses");

	tcase_add_loop_test(loop, sees_who_holds_an_address, 0, ARRAY_SIZE(addresses));
	suite_add_tcase(suite, loop);
	harness_add(suite, sees_the_abstract_namespace);
	harness_add(suite, sees_how_a_file_is);
	return harness_main(suite);
}
