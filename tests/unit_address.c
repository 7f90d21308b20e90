/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses: what is taken, what is refused with which words, and what comes out again. */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "util.h"

/* Writes prefix, n times c, and suffix. */
static void repeat(char *text, const char *prefix, char c, size_t n, const char *suffix)
{
	(void)sprintf(text, "%s%*s%s", prefix, (int)n, "", suffix);
	memset(text + strlen(prefix), c, n);
}

static const struct {
	const char *text;
	enum transport transport;
	const char *host, *port, *path;
	const char *formatted; /* NULL: as text */
} good[] = {
	{"tcp://localhost:9090", TRANSPORT_TCP, "localhost", "9090", NULL, NULL},
	{"tcp://127.0.0.1:1", TRANSPORT_TCP, "127.0.0.1", "1", NULL, NULL},
	{"tcp://[::1]:65535", TRANSPORT_TCP, "::1", "65535", NULL, NULL},
	{"tcp://[fe80::1%eth0]:7", TRANSPORT_TCP, "fe80::1%eth0", "7", NULL, NULL},
	{"tcp://[::ffff:1.2.3.4]:7", TRANSPORT_TCP, "::ffff:1.2.3.4", "7", NULL, NULL},
	{"tcp://*:0", TRANSPORT_TCP, "*", "0", NULL, NULL},
	{"udp://*:7007", TRANSPORT_UDP, "*", "7007", NULL, NULL},
	{"udp://a-b_c.example.:00080", TRANSPORT_UDP, "a-b_c.example.", "80", NULL,
	 "udp://a-b_c.example.:80"},
	{"unix:chat.sock", TRANSPORT_UNIX, NULL, NULL, "chat.sock", NULL},
	{"unix:/run/x y:1", TRANSPORT_UNIX, NULL, NULL, "/run/x y:1", NULL},
	{"unix:///run/x", TRANSPORT_UNIX, NULL, NULL, "///run/x", NULL},
	{"unix:@name/of/it/", TRANSPORT_UNIX, NULL, NULL, "@name/of/it/", NULL},
	{"unix:ж", TRANSPORT_UNIX, NULL, NULL, "ж", NULL},
};

START_TEST(takes_what_is_right)
{
	const char *problem = NULL;
	char text[ADDRESS_TEXT_MAX];
	struct address address;

	ck_assert_int_eq(address_parse(good[_i].text, &address, &problem), 0);
	ck_assert_ptr_null(problem);
	ck_assert_int_eq(address.transport, good[_i].transport);
	ck_assert_pstr_eq(address.host, good[_i].host);
	ck_assert_pstr_eq(address.port, good[_i].port);
	ck_assert_pstr_eq(address.path, good[_i].path);
	ck_assert_str_eq(address_format(&address, text),
			 good[_i].formatted ? good[_i].formatted : good[_i].text);
	address_done(&address);
	ck_assert_ptr_null(address.host);
	address_done(&address);
}
END_TEST

static const struct {
	const char *text;
	const char *problem; /* a part of it */
} bad[] = {
	{"", "it is empty; write tcp://HOST:PORT"},
	{"tls://localhost:1", "this version has no TLS"},
	{"localhost:9090", "the transport is missing; write tcp://HOST:PORT"},
	{"9090", "the transport is missing"},
	{"http://localhost:80", "the transport is unknown"},
	{"TCP://localhost:80", "the transport is unknown"},
	{"tcp:localhost:80", "two slashes are missing; write tcp://"},
	{"udp:/localhost:80", "two slashes are missing; write udp://"},
	{"/run/x.sock", "write a Unix socket as unix:PATH"},
	{"@x", "write a Unix socket as unix:PATH or unix:@NAME"},
	{"unix", "the transport is missing"},
	{"tcp://", "the host is missing"},
	{"tcp://:80", "the host is missing"},
	{"tcp://localhost", "the port is missing"},
	{"tcp://[::1]", "the port is missing"},
	{"tcp://[::1]80", "the port is missing"},
	{"tcp://localhost:", "the port is not a number"},
	{"tcp://localhost:http", "the port is not a number"},
	{"tcp://localhost:80/", "the port is not a number"},
	{"tcp://localhost: 80", "the port is not a number"},
	{"tcp://localhost:-1", "the port is not a number"},
	{"tcp://localhost:65536", "the port is not a number"},
	{"tcp://localhost:000080", "the port is not a number"},
	{"tcp://localhost:99999999999999999999", "the port is not a number"},
	{"tcp://::1:80", "an IPv6 address stands in brackets"},
	{"tcp://::1", "an IPv6 address stands in brackets"},
	{"tcp://[::1", "the bracket is not closed"},
	{"tcp://[]:80", "not an IPv6 address"},
	{"tcp://[127.0.0.1]:80", "not an IPv6 address"},
	{"tcp://[::1%]:80", "not an interface"},
	{"tcp://[::1%a/b]:80", "not an interface"},
	{"tcp://[::1%a\n]:80", "not an interface"},
	{"tcp://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0]:1",
	 "not an IPv6 address"},
	{"tcp://a b:80", "a character that no host has"},
	{"tcp://user@a:80", "a character that no host has"},
	{"tcp://\xff:80", "a character that no host has"},
	{"tcp://**:80", "a character that no host has"},
	{"unix:", "the path is missing"},
	{"unix:@", "the path is missing"},
	{"unix://x.sock", "no slashes of its own"},
	{"unix:/run/", "the path is a directory's"},
	{"unix:a\nb", "the path has a control character"},
};

START_TEST(refuses_what_is_wrong)
{
	struct address address = {.path = (char *)bad};
	const char *problem = NULL;

	ck_assert_int_eq(address_parse(bad[_i].text, &address, &problem), -EINVAL);
	ck_assert_msg(strstr(problem, bad[_i].problem), "\"%s\": %s", bad[_i].text, problem);
	ck_assert_ptr_eq(address.path, (char *)bad);
}
END_TEST

START_TEST(knows_the_longest)
{
	char text[512], formatted[ADDRESS_TEXT_MAX];
	const char *problem = NULL;
	struct address address;

	repeat(text, "tcp://", 'a', 253, ":65535");
	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_str_eq(address_format(&address, formatted), text);
	address_done(&address);

	repeat(text, "tcp://", 'a', 254, ":65535");
	ck_assert_int_eq(address_parse(text, &address, &problem), -EINVAL);
	ck_assert_ptr_nonnull(strstr(problem, "253"));

	repeat(text, "unix:/", 'a', 106, "");
	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_str_eq(address_format(&address, formatted), text);
	address_done(&address);

	repeat(text, "unix:/", 'a', 107, "");
	ck_assert_int_eq(address_parse(text, &address, &problem), -EINVAL);
	ck_assert_ptr_nonnull(strstr(problem, "107"));

	repeat(text, "unix:@", 'a', 108, "");
	ck_assert_int_eq(address_parse(text, &address, &problem), -EINVAL);
}
END_TEST

/* Resolves text, which must be parseable; returns what address_resolve() returns. */
static int resolve(const char *text, bool listening, const char *directory,
		   struct endpoint **ret_endpoints, size_t *ret_n)
{
	const char *problem = NULL;
	struct address address;
	int r;

	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	r = address_resolve(&address, listening, directory, ret_endpoints, ret_n, &problem);
	ck_assert((r < 0) == (problem != NULL));
	address_done(&address);
	return r;
}

static const struct {
	const char *text;
	bool listening;
	const char *formatted; /* of the only endpoint */
} resolved[] = {
	{"tcp://127.0.0.1:80", true, "tcp://127.0.0.1:80"},
	{"udp://127.0.0.1:80", false, "udp://127.0.0.1:80"},
	{"tcp://[::1]:80", true, "tcp://[::1]:80"},
	{"tcp://[::]:80", true, "tcp://[::]:80"},
	{"tcp://[::ffff:127.0.0.1]:80", false, "tcp://127.0.0.1:80"},
	{"tcp://0.0.0.0:0", true, "tcp://0.0.0.0:0"},
	{"unix:/run/a", true, "unix:/run/a"},
	{"unix:a/b", false, "unix:/the/directory/a/b"},
	{"unix:@a", true, "unix:@a"},
};

START_TEST(resolves_what_needs_no_name)
{
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	char text[ADDRESS_TEXT_MAX];
	size_t n = 0;

	ck_assert_int_eq(resolve(resolved[_i].text, resolved[_i].listening, "/the/directory",
				 &endpoints, &n),
			 0);
	ck_assert_uint_eq(n, 1);
	ck_assert(!endpoints->dual_stack);
	ck_assert_str_eq(endpoint_format(endpoints, text), resolved[_i].formatted);
}
END_TEST

START_TEST(resolves_a_name_to_each_address_once)
{
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	size_t n = 0;

	ck_assert_int_eq(resolve("tcp://localhost:1234", true, NULL, &endpoints, &n), 0);
	ck_assert_uint_ge(n, 1);
	for (size_t i = 0; i < n; i++) {
		char text[2][ADDRESS_TEXT_MAX];

		endpoint_format(&endpoints[i], text[0]);
		ck_assert(strcmp(text[0], "tcp://127.0.0.1:1234") == 0 ||
			  strcmp(text[0], "tcp://[::1]:1234") == 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(endpoint_format(&endpoints[j], text[1]), text[0]);
	}
}
END_TEST

START_TEST(resolves_the_wildcard)
{
	CLEANUP(freep) struct endpoint *listening = NULL, *connecting = NULL;
	char text[ADDRESS_TEXT_MAX];
	size_t n = 0;

	ck_assert_int_eq(resolve("udp://*:99", true, NULL, &listening, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(listening->transport, TRANSPORT_UDP);
	if (listening->dual_stack) {
		ck_assert_int_eq(listening->socket.ss_family, AF_INET6);
		ck_assert_str_eq(endpoint_format(listening, text), "udp://*:99");
	} else {
		ck_assert_str_eq(endpoint_format(listening, text), "udp://0.0.0.0:99");
	}

	ck_assert_int_eq(resolve("tcp://*:99", false, NULL, &connecting, &n), 0);
	for (size_t i = 0; i < n; i++) {
		endpoint_format(&connecting[i], text);
		ck_assert(strcmp(text, "tcp://127.0.0.1:99") == 0 ||
			  strcmp(text, "tcp://[::1]:99") == 0);
	}
}
END_TEST

static const struct {
	const char *a, *b;
	bool equal;
	uint16_t port; /* of a */
} pairs[] = {
	{"tcp://127.0.0.1:80", "tcp://127.0.0.1:80", true, 80},
	{"tcp://127.0.0.1:80", "udp://127.0.0.1:80", false, 80},
	{"tcp://127.0.0.1:513", "tcp://127.0.0.1:514", false, 513},
	{"tcp://127.0.0.1:80", "tcp://127.0.0.2:80", false, 80},
	{"udp://[::1]:65535", "udp://[0::1]:65535", true, 65535},
	{"udp://[::1]:7", "udp://[::2]:7", false, 7},
	{"udp://[::1]:7", "udp://[::1]:8", false, 7},
	{"tcp://[::]:7", "tcp://0.0.0.0:7", false, 7},
	{"unix:a", "unix:a", true, 0},
	{"unix:a", "unix:ab", false, 0},
	{"unix:@a", "unix:a", false, 0},
};

START_TEST(compares_endpoints)
{
	CLEANUP(freep) struct endpoint *a = NULL, *b = NULL;
	size_t n;

	ck_assert_int_eq(resolve(pairs[_i].a, true, "/the/directory", &a, &n), 0);
	ck_assert_int_eq(resolve(pairs[_i].b, true, "/the/directory", &b, &n), 0);
	/* Neither is part of an address. */
	if (a->socket.ss_family == AF_INET)
		((struct sockaddr_in *)&a->socket)->sin_zero[0] = 1;
	else if (a->socket.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->socket)->sin6_flowinfo = 1;
	ck_assert_int_eq(endpoint_equal(a, b), pairs[_i].equal);
	ck_assert_int_eq(endpoint_equal(b, a), pairs[_i].equal);
	ck_assert_uint_eq(endpoint_port(a), pairs[_i].port);
}
END_TEST

START_TEST(refuses_to_resolve)
{
	struct endpoint *endpoints = NULL;
	char directory[128];
	size_t n = 0;

	/* RFC 6761: no resolver knows a name in .invalid; this one is not even a name. */
	ck_assert_int_eq(resolve("tcp://a..invalid:1", false, NULL, &endpoints, &n), -EHOSTUNREACH);
	ck_assert_int_eq(resolve("tcp://127.0.0.1:0", false, NULL, &endpoints, &n), -EHOSTUNREACH);
	repeat(directory, "/", 'd', 100, "");
	ck_assert_int_eq(resolve("unix:123456", true, directory, &endpoints, &n), -ENAMETOOLONG);
	ck_assert_ptr_null(endpoints);
	ck_assert_int_eq(resolve("unix:12345", true, directory, &endpoints, &n), 0);
	ck_assert_uint_eq(n, 1);
	free(endpoints);
}
END_TEST

START_TEST(formats_any_unix_name)
{
	struct endpoint endpoint = {.transport = TRANSPORT_UNIX};
	struct sockaddr_un *un = (struct sockaddr_un *)&endpoint.socket;
	char text[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX];

	un->sun_family = AF_UNIX;
	endpoint.len = sizeof(sa_family_t);
	ck_assert_str_eq(endpoint_format(&endpoint, text), "unix:");

	memcpy(un->sun_path, "\0a\0b\033", 5);
	endpoint.len = offsetof(struct sockaddr_un, sun_path) + 5;
	ck_assert_str_eq(endpoint_format(&endpoint, text), "unix:@a?b?");

	/* Linux takes a path that fills all of sun_path, without a NUL. */
	memset(un->sun_path, 'x', sizeof(un->sun_path));
	endpoint.len = sizeof(*un);
	repeat(expected, "unix:", 'x', sizeof(un->sun_path), "");
	ck_assert_str_eq(endpoint_format(&endpoint, text), expected);
}
END_TEST

START_TEST(finds_the_runtime_directory)
{
	char *directory;

	setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
	directory = runtime_directory();
	ck_assert_str_eq(directory, "/run/a");
	free(directory);

	setenv("RUNTIME_DIRECTORY", "", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	directory = runtime_directory();
	ck_assert_str_eq(directory, geteuid() == 0 ? "/run/retort" : "/run/user/7/retort");
	free(directory);

	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("XDG_RUNTIME_DIR");
	errno = 0;
	directory = runtime_directory();
	if (geteuid() == 0) {
		ck_assert_str_eq(directory, "/run/retort");
	} else {
		ck_assert_ptr_null(directory);
		ck_assert_int_eq(errno, ENOENT);
	}
	free(directory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, takes_what_is_right, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tcase, refuses_what_is_wrong, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, knows_the_longest);
	tcase_add_loop_test(tcase, resolves_what_needs_no_name, 0, ARRAY_SIZE(resolved));
	tcase_add_test(tcase, resolves_a_name_to_each_address_once);
	tcase_add_test(tcase, resolves_the_wildcard);
	tcase_add_loop_test(tcase, compares_endpoints, 0, ARRAY_SIZE(pairs));
	tcase_add_test(tcase, refuses_to_resolve);
	tcase_add_test(tcase, formats_any_unix_name);
	tcase_add_test(tcase, finds_the_runtime_directory);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
