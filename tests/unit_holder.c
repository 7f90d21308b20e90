/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who holds an address, in words that are safe to be shown whatever the holder calls itself. */

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "harness.h"
#include "holder.h"

/* Listens on any port of the loopback device; returns the socket. */
static int hold(int family, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = {.transport = TRANSPORT_TCP, .len = sizeof(endpoint.socket)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const bool is_v4 = family == AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			      is_v4 ? sizeof(v4) : sizeof(v6)),
			 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&endpoint.socket, &endpoint.len), 0);
	*ret_endpoint = endpoint;
	return fd;
}

static void assert_held(const struct endpoint *endpoint, const char *name)
{
	char text[HOLDER_MAX], expected[HOLDER_MAX];

	(void)snprintf(expected, sizeof(expected), "pid %i (%s)", getpid(), name);
	ck_assert_int_eq(holder_find(endpoint, text), 0);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_names)
{
	static const char *const names[][2] = {
		{"plain (one)", "plain (one)"},
		{"\033[31mred\a", "^[[31mred^G"},
		{"\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd",
		 "\\xFF\\xFE\\xFD\\xFF\\xFE\\xFD\\xFF\\xFE\\xFD\\xFF\\xFE\\xFD\\xFF\\xFE\\xFD"},
	};
	struct endpoint v4, v6;
	int fds[] = {hold(AF_INET, &v4), hold(AF_INET6, &v6)};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(prctl(PR_SET_NAME, names[i][0]), 0);
		assert_held(&v4, names[i][1]);
		assert_held(&v6, names[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}
END_TEST

START_TEST(test_nobody)
{
	struct endpoint endpoint;
	char text[HOLDER_MAX] = "untouched";
	int fd = hold(AF_INET, &endpoint);

	(void)close(fd);
	ck_assert_int_eq(holder_find(&endpoint, text), -ENOENT);
	ck_assert_str_eq(text, "untouched");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("holder");

	harness_add(suite, test_names);
	harness_add(suite, test_nobody);
	return harness_main(suite);
}
