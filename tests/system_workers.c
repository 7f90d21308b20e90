/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections spread evenly over workers, also after some have gone, and each stays where it is. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { WORKERS = 4, EACH = 10, CLIENTS = WORKERS * EACH };

/* Reads how many sockets each worker has from a summary. */
static void read_spread(struct server *server, unsigned ret_spread[static WORKERS])
{
	static const char label[] = "sockets of each worker:";
	char *line, *numbers;

	server_signal(server, SIGUSR1);
	line = server_wait_log(server, label);
	numbers = strstr(line, label) + strlen(label);
	for (unsigned i = 0; i < WORKERS; i++)
		ret_spread[i] = (unsigned)strtoul(numbers, &numbers, 10);
	ck_assert_str_eq(numbers, "");
	free(line);
}

/* Waits until the workers have so many sockets altogether. */
static void wait_for(struct server *server, unsigned total, unsigned ret_spread[static WORKERS])
{
	unsigned sum;

	do {
		read_spread(server, ret_spread);
		sum = 0;
		for (unsigned i = 0; i < WORKERS; i++)
			sum += ret_spread[i];
	} while (sum != total);
}

static void connect_some(const struct server *server, int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fds[i] = client(server, "a", NULL);
		send_frame(fds[i], "ping", 4);
		expect_frame(fds[i], "ping", 4);
	}
}

START_TEST(clients_spread_evenly)
{
	unsigned spread[WORKERS];
	struct server server;
	int fds[CLIENTS];

	server_start_config(&server,
			    "workers = %i; listeners: ("
			    "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });",
			    WORKERS);
	connect_some(&server, fds, CLIENTS);
	wait_for(&server, CLIENTS, spread);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_uint_eq(spread[i], EACH);

	/* They came in turn, so these are all of one worker: new ones go there. */
	for (unsigned i = 0; i < CLIENTS; i += WORKERS)
		hang_up(&fds[i]);
	wait_for(&server, CLIENTS - EACH, spread);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert(spread[i] == 0 || spread[i] == EACH);
	for (unsigned i = 0; i < CLIENTS; i += WORKERS)
		connect_some(&server, &fds[i], 1);
	wait_for(&server, CLIENTS, spread);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_uint_eq(spread[i], EACH);

	for (unsigned i = 0; i < CLIENTS; i++) {
		send_frame(fds[i], "still there", 11);
		expect_frame(fds[i], "still there", 11);
		hang_up(&fds[i]);
	}
	server_stop(&server);
}
END_TEST

START_TEST(datagram_sockets_spread_too)
{
	unsigned spread[WORKERS];
	struct server server;

	server_start_config(&server,
			    "workers = %i; listeners: ({ name = \"a\"; listen = [ "
			    "\"udp://127.0.0.1:0\", \"udp://127.0.0.2:0\", "
			    "\"udp://127.0.0.3:0\", \"udp://127.0.0.4:0\" ]; });",
			    WORKERS);
	wait_for(&server, WORKERS, spread);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_uint_eq(spread[i], 1);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_workers");

	harness_add(suite, clients_spread_evenly);
	harness_add(suite, datagram_sockets_spread_too);
	return harness_main(suite);
}
