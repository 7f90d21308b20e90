/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client's connection over a socket pair with a small buffer. */

#include <poll.h>
#include <sys/socket.h>

#include "harness.h"
#include "link.h"

enum {
	MESSAGE = 1000,
	QUEUED = 64 * 1024, /* bytes that are kept unsent */
	MOST = 4 * QUEUED,  /* bytes of memory for them */
	TAKEN = 3000,	    /* bytes that the server takes at a time */
	MESSAGES = 2000,
};

static void make_pair(struct link *link, int *ret_server)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	/* The kernel makes it as large as it must be. */
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
	*link = (struct link){
		.fd = fds[0],
		.transport = TRANSPORT_UNIX,
		.rules = {.framing = FRAMING_LINE, .max_message = LINK_MESSAGE_MAX},
	};
	*ret_server = fds[1];
}

/* Byte n of all that is sent. */
static uint8_t value_of(size_t n)
{
	return n % (MESSAGE + 1) == MESSAGE ? '\n' : (uint8_t)('a' + n * 7 / MESSAGE % 26);
}

static void fill(struct link *link, size_t *sent)
{
	uint8_t message[MESSAGE];

	while (link_unsent(link) < QUEUED && *sent < MESSAGES) {
		for (size_t i = 0; i < MESSAGE; i++)
			message[i] = value_of(*sent * (MESSAGE + 1) + i);
		ck_assert_int_eq(link_send(link, message, MESSAGE), 0);
		++*sent;
	}
}

static void take(int server, size_t *received)
{
	uint8_t data[TAKEN];
	ssize_t n = recv(server, data, sizeof(data), 0);

	ck_assert_int_gt(n, 0);
	for (ssize_t i = 0; i < n; i++, ++*received)
		if (data[i] != value_of(*received))
			ck_abort_msg("byte %zu is another one", *received);
}

/* However long there is always something unsent, what has gone takes no memory. */
START_TEST(a_queue_that_is_never_empty_does_not_grow)
{
	size_t sent = 0, received = 0;
	struct link link;
	int server;

	make_pair(&link, &server);
	while (received < (size_t)MESSAGES * (MESSAGE + 1)) {
		fill(&link, &sent);
		ck_assert_int_eq(link_io(&link, POLLOUT), 0);
		if (sent < MESSAGES)
			ck_assert_uint_gt(link_unsent(&link), 0);
		take(server, &received);
		ck_assert_uint_le(link.out.size, MOST);
	}
	ck_assert_uint_eq(link_unsent(&link), 0);
	ck_assert_uint_eq(link_events(&link), POLLIN);
	link_done(&link);
	closep(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit_link");

	harness_add(suite, a_queue_that_is_never_empty_does_not_grow);
	return harness_main(suite);
}
