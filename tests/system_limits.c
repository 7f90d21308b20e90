/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Limits and timeouts: what is refused, with which words, and that it is counted; that nobody
 * else notices; and that a client which does not read costs no more than it may.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptors.h"
#include "harness.h"

/* A client that is served: a round trip through framing length. */
static void assert_served(int fd)
{
	send_frame(fd, "ping", 4);
	expect_frame(fd, "ping", 4);
}

START_TEST(max_clients)
{
	CLEANUP(closep) int one = -1, two = -1, three = -1, four = -1, line = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "max_clients = 3; timeouts: { drain = \"300ms\"; }; listeners: ("
			    "{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; },"
			    "{ name = \"line\"; framing = \"line\"; listen = \"unix:l\"; },"
			    "{ name = \"raw\"; framing = \"raw\"; listen = \"tcp://127.0.0.1:0\"; "
			    "});");
	one = client(&server, "length", NULL);
	two = client(&server, "length", NULL);
	line = client(&server, "line", NULL);
	assert_served(one);
	assert_served(two);
	send_text(line, "x\n");
	expect_text(line, "x\n");

	three = client(&server, "length", NULL);
	expect_error_frame(three, "client");
	hang_up(&three);
	three = client(&server, "line", NULL);
	expect_error_line(three, "client");
	hang_up(&three);
	three = client(&server, "raw", NULL);
	expect_end(three);
	hang_up(&three);
	ck_assert_uint_eq(server_wait_counter(&server, "length", "refused by max_clients", 1), 1);
	ck_assert_uint_eq(server_counter(&server, "line", "refused by max_clients"), 1);
	ck_assert_uint_eq(server_counter(&server, "raw", "refused by max_clients"), 1);
	assert_served(one);

	/* Whoever leaves makes room. */
	hang_up(&two);
	(void)server_wait_counter(&server, "length", "clients gone", 1);
	four = client(&server, "length", NULL);
	assert_served(four);
	server_stop(&server);
}
END_TEST

START_TEST(max_clients_of_a_listener)
{
	CLEANUP(closep) int one = -1, two = -1, other = -1, talker = -1, late = -1;
	struct server server;

	server_start_config(
		&server, "%s",
		"timeouts: { drain = \"300ms\"; }; listeners: ("
		"{ name = \"small\"; max_clients = 1; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"chat\"; max_clients = 1; service = \"chat\"; listen = \"unix:c\"; },"
		"{ name = \"large\"; listen = \"tcp://127.0.0.1:0\"; });");
	one = client(&server, "small", NULL);
	assert_served(one);
	two = client(&server, "small", NULL);
	expect_error_frame(two, "client");
	other = client(&server, "large", NULL);
	assert_served(other);
	ck_assert_uint_eq(server_wait_counter(&server, "small", "refused by max_clients", 1), 1);

	/* Which in chat is no closing event, as that would be for good. */
	talker = client(&server, "chat", NULL);
	late = client(&server, "chat", NULL);
	expect_error_frame(late, "client");
	server_stop(&server);
}
END_TEST

/* Connects to port from a loopback address of our choice. */
static int client_from(const char *source, unsigned port)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval deadline = {.tv_sec = harness_patience() / 1000};

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(inet_pton(AF_INET, source, &from.sin_addr), 1);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

START_TEST(max_clients_per_address)
{
	static const char name[] = "refused by max_clients_per_address";
	CLEANUP(closep) int one = -1, two = -1, three = -1, other = -1, local = -1;
	struct server server;
	unsigned port;

	server_start_config(&server, "%s",
			    "max_clients_per_address = 2; timeouts: { drain = \"300ms\"; }; "
			    "listeners: ("
			    "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; },"
			    "{ name = \"u\"; listen = \"unix:u\"; });");
	port = server_port(&server, "a", NULL);
	one = client_from("127.0.0.1", port);
	two = client_from("127.0.0.1", port);
	assert_served(one);
	assert_served(two);
	three = client_from("127.0.0.1", port);
	expect_error_frame(three, "address");
	other = client_from("127.0.0.2", port);
	assert_served(other);
	ck_assert_uint_eq(server_wait_counter(&server, "a", name, 1), 1);

	hang_up(&three);
	hang_up(&one);
	(void)server_wait_counter(&server, "a", "clients gone", 1);
	three = client_from("127.0.0.1", port);
	assert_served(three);
	local = client(&server, "u", NULL);
	assert_served(local);
	server_stop(&server);
}
END_TEST

/* ---- clients that do not read ---- */

enum { SILENT = 8, LOAD = 24 << 20 };

/* Sends until the socket takes no more, and still none after others were served. */
static size_t send_until_stuck(int fd, const uint8_t *data, size_t len, int other)
{
	unsigned stuck = 0;
	size_t sent = 0;

	while (sent < len && stuck < 50) {
		ssize_t n = send(fd, data + sent, MIN(len - sent, (size_t)100000),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		ck_assert_msg(n >= 0 || errno == EAGAIN, "send: %m");
		if (n > 0) {
			sent += (size_t)n;
			stuck = 0;
		} else {
			assert_served(other);
			stuck++;
		}
	}
	return sent;
}

/* Reads while it sends the rest: all the answers have to be there and right. */
static void read_all(int fd, const uint8_t *data, size_t len, size_t sent)
{
	CLEANUP(buffer_done) struct buffer got = {0};

	exchange(fd, data + sent, len - sent, 0, NULL, true, 0, &got);
	assert_bytes(got.data, got.len, data, len, "what waited");
}

static void check_pending(const char *listener, enum framing framing, size_t message)
{
	CLEANUP(buffer_done) struct buffer load = {0};
	CLEANUP(freep) uint8_t *text = malloc(message);
	CLEANUP(closep) int other = -1;
	const int clients = (int)harness_rounds(SILENT, 2);
	size_t sent[SILENT], before, after;
	int fds[SILENT];
	struct server server;

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; load.len < LOAD; i++) {
		memset(text, (int)('a' + i % 26), message);
		wrap(&load, framing, text, message);
	}
	server_start_config(
		&server, "%s",
		"workers = 1; max_pending = \"64K\"; max_message = \"64K\"; listeners: ("
		"{ name = \"other\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"raw\"; framing = \"raw\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"line\"; framing = \"line\"; listen = \"unix:line\"; },"
		"{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; });");
	other = client(&server, "other", NULL);
	for (int i = 0; i < clients; i++)
		fds[i] = client(&server, listener, NULL);
	/* One that has sent and read all, so that the worker's own memory is grown. */
	{
		CLEANUP(closep) int first = client(&server, listener, NULL);

		read_all(first, load.data, load.len, 0);
	}
	assert_served(other);
	before = server_rss(&server);
	for (int i = 0; i < clients; i++)
		sent[i] = send_until_stuck(fds[i], load.data, load.len, other);
	after = server_rss(&server);
	if (!harness_slow()) /* sanitizers have memory of their own */
		ck_assert_msg(after < before + (size_t)clients * 3 * 65536 + (1 << 20),
			      "%zu bytes more for %d clients", after - before, clients);
	for (int i = 0; i < clients; i++) {
		ck_assert_msg(sent[i] < load.len, "client %d sent all %zu bytes", i, sent[i]);
		read_all(fds[i], load.data, load.len, sent[i]);
		(void)close(fds[i]);
	}
	server_stop(&server);
}

START_TEST(max_pending_short_frames)
{
	check_pending("length", FRAMING_LENGTH, 100);
}
END_TEST

START_TEST(max_pending_long_frames)
{
	check_pending("length", FRAMING_LENGTH, 65536);
}
END_TEST

START_TEST(max_pending_lines)
{
	check_pending("line", FRAMING_LINE, 1000);
}
END_TEST

START_TEST(max_pending_raw)
{
	check_pending("raw", FRAMING_RAW, 10000);
}
END_TEST

/* A waiting daemon must sleep: neither a full socket nor unread input may make it spin. */
START_TEST(waiting_costs_no_cpu)
{
	enum { STRETCH = 500, LITTLE = 10 /* milliseconds; a checker's own threads take some */ };
	CLEANUP(buffer_done) struct buffer load = {0};
	CLEANUP(closep) int other = -1, fd = -1, half = -1;
	uint64_t deadline, before;
	struct server server;
	char text[1000];

	memset(text, 'x', sizeof text);
	while (load.len < LOAD)
		wrap(&load, FRAMING_LENGTH, text, sizeof text);
	server_start_config(&server, "%s",
			    "workers = 1; max_pending = \"64K\"; max_message = \"64K\"; listeners: "
			    "({ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });");
	other = client(&server, "a", NULL);
	fd = client(&server, "a", NULL);
	half = client(&server, "a", NULL);
	(void)send_until_stuck(fd, load.data, load.len, other);
	(void)send_until_stuck(half, load.data, load.len, other);
	shut_down(half);
	assert_served(other);
	/* One that spins never has such a stretch; one that is done with these and sleeps has. */
	deadline = harness_now() + (uint64_t)harness_patience();
	do {
		ck_assert_msg(harness_now() < deadline, "it never sleeps");
		before = server_cpu(&server);
		(void)poll(NULL, 0, STRETCH); /* nothing comes of it but time */
	} while (server_cpu(&server) > before + LITTLE);
	hang_up(&fd);
	hang_up(&half);
	server_stop(&server);
}
END_TEST

/* ---- time ---- */

/* Whether a client is served that may be closed by now. */
static bool is_served(int fd)
{
	static const char ping[] = "4         ping";
	enum { LENGTH = sizeof ping - 1 };
	char back[LENGTH];

	return send(fd, ping, LENGTH, MSG_NOSIGNAL) == LENGTH &&
	       recv(fd, back, LENGTH, MSG_WAITALL) == LENGTH && memcmp(back, ping, LENGTH) == 0;
}

/*
 * Has one client, which is there since begun at the earliest, keep talking until another, which is
 * silent, is closed. Returns false when it made a pause that is idleness as well.
 */
static bool talk_until_closed(int busy, int silent, uint64_t begun, uint64_t limit)
{
	struct pollfd polled = {.fd = silent, .events = POLLIN};
	bool closed;

	do {
		uint64_t last = begun;
		bool served;

		closed = poll(&polled, 1, 20) == 1;
		begun = harness_now();
		served = is_served(busy);
		if (harness_now() - last >= limit)
			return false;
		ck_assert_msg(served, "closed while it was talking");
	} while (!closed);
	return true;
}

/* Returns false when it went too slowly to be told. */
static bool check_idle(unsigned limit)
{
	CLEANUP(closep) int idle = -1, busy = -1, line = -1;
	struct server server;
	uint64_t begun;
	bool in_time;

	server_start_config(&server,
			    "timeouts: { idle = \"%ums\"; drain = \"300ms\"; }; listeners: ("
			    "{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; },"
			    "{ name = \"line\"; framing = \"line\"; listen = \"unix:l\"; },"
			    "{ name = \"patient\"; timeouts: { idle = 0; }; "
			    "listen = \"tcp://127.0.0.1:0\"; });",
			    limit);
	line = client(&server, "line", NULL);
	idle = client(&server, "length", NULL);
	begun = harness_now();
	busy = client(&server, "length", NULL);
	in_time = talk_until_closed(busy, idle, begun, limit);
	if (in_time) {
		expect_gone(idle);
		expect_gone(line);
		expect_gone(busy);
		ck_assert_uint_eq(server_wait_counter(&server, "length", "closed for idleness", 2),
				  2);
		server_assert_serves(&server, "patient", FRAMING_LENGTH);
	}
	server_stop(&server);
	return in_time;
}

START_TEST(idle_clients_are_closed)
{
	unsigned limit = 500; /* milliseconds */

	while (!check_idle(limit))
		limit *= 2;
}
END_TEST

START_TEST(unfinished_messages_time_out)
{
	static const char *const begun[] = {"5", "5         ", "5         abcd", "60000     abcd"};
	CLEANUP(closep) int served = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "timeouts: { message = \"200ms\"; drain = \"300ms\"; }; listeners: ("
			    "{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; });");
	served = client(&server, "length", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(begun); i++) {
		CLEANUP(closep) int fd = client(&server, "length", NULL);

		send_text(fd, "2         ok");
		send_text(fd, begun[i]);
		expect_frame(fd, "ok", 2);
		expect_error_frame(fd, "timed out");
	}
	ck_assert_uint_eq(server_wait_counter(&server, "length", "messages timed out", 4), 4);
	/* Between messages there is no hurry. */
	assert_served(served);
	server_stop(&server);
}
END_TEST

/* A byte now and then does not put the end off. */
START_TEST(trickling_does_not_extend_the_time)
{
	CLEANUP(closep) int fd = -1;
	struct server server;
	struct pollfd polled;
	size_t sent = 0;

	server_start_config(&server, "%s",
			    "timeouts: { message = \"300ms\"; drain = \"10min\"; }; listeners: ("
			    "{ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; });");
	fd = client(&server, "length", NULL);
	send_text(fd, "100000    ");
	polled = (struct pollfd){.fd = fd, .events = POLLIN};
	while (poll(&polled, 1, 10) == 0) {
		send_text(fd, "x");
		ck_assert_uint_lt(++sent, 100000);
	}
	expect_error_frame(fd, "timed out");
	hang_up(&fd);
	server_stop(&server);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(no_descriptors_left)
{
	enum { CLIENTS = 200, FILES = 80 };
	int fds[CLIENTS], served, waiting;
	struct server server;
	char *said;

	server_init(&server);
	server_start(&server,
		     &(struct server_setup){
			     .config = "workers = 1; max_clients = 1000; listeners: ("
				       "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });",
			     .max_files = FILES,
			     .without_wrapper = true});
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client(&server, "a", NULL);
		send_frame(fds[i], "ping", 4);
	}
	said = server_wait_log(&server, "not accepting for now: ");
	ck_assert_ptr_nonnull(strstr(said, "LimitNOFILE="));
	free(said);
	/* The first ones are connected, and notice nothing. */
	served = (int)server_counter(&server, "a", "clients accepted");
	ck_assert_int_gt(served, FILES / 2);
	ck_assert_int_lt(served, FILES);
	for (int i = 0; i < served; i++)
		expect_frame(fds[i], "ping", 4);
	for (int i = 0; i < served; i++)
		assert_served(fds[i]);
	expect_silence(fds[served]);
	ck_assert_uint_eq(server_count_log(&server, "not accepting"), 1);

	/* Each that leaves lets another in, with nothing else to be done. */
	for (waiting = served; waiting < CLIENTS; waiting++) {
		(void)close(fds[waiting - served]);
		expect_frame(fds[waiting], "ping", 4);
	}
	for (int i = CLIENTS - served; i < CLIENTS; i++) {
		assert_served(fds[i]);
		(void)close(fds[i]);
	}
	server_assert_serves(&server, "a", FRAMING_LENGTH);
	said = server_wait_log(&server, "accepting again");
	free(said);
	server_stop(&server);
}
END_TEST

/* ---- the end ---- */

/* Whatever a client had sent when the daemon is told to stop is answered. */
START_TEST(stopping_answers_what_has_come)
{
	enum { MESSAGES = 20000, CLIENTS = 20 };
	CLEANUP(buffer_done) struct buffer load = {0}, got = {0};
	CLEANUP(closep) int fd = -1;
	int fds[CLIENTS];
	struct server server;
	size_t sent = 0;

	for (int i = 0; i < MESSAGES; i++)
		wrap(&load, FRAMING_LENGTH, "0123456789", 10);
	server_start_config(&server, "%s",
			    "workers = 1; max_pending = \"4K\"; timeouts: { drain = \"10min\"; }; "
			    "listeners: ({ name = \"u\"; listen = \"unix:u\"; });");
	fd = client(&server, "u", NULL);
	/* As much as the sockets take of one that does not read: it is told to read first. */
	while (sent < load.len) {
		ssize_t n = send(fd, load.data + sent, load.len - sent, MSG_DONTWAIT);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client(&server, "u", NULL);
		send_frame(fds[i], "last words", 10);
	}
	(void)server_wait_counter(&server, "u", "clients accepted", CLIENTS + 1);
	server_signal(&server, SIGTERM);
	server_wait_notify(&server, "STOPPING=1");
	for (int i = 0; i < CLIENTS; i++) {
		expect_frame(fds[i], "last words", 10);
		expect_error_frame(fds[i], "shutting down");
		hang_up(&fds[i]);
	}
	recv_to_end(fd, &got);
	sent -= sent % 20;
	ck_assert_uint_ge(got.len, sent);
	assert_bytes(got.data, sent, load.data, sent, "what had come");
	ck_assert_ptr_nonnull(memmem(got.data + sent, got.len - sent, "shutting down", 13));
	hang_up(&fd);
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

/* Descriptors that ran out without any limit of ours come back without anybody leaving. */
START_TEST(descriptors_come_back)
{
	struct rlimit limit, before;
	struct server server;
	int fd;

	server_start_config(&server, "%s",
			    "workers = 1; listeners: ("
			    "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });");
	ck_assert_int_eq(prlimit(server.pid, RLIMIT_NOFILE, NULL, &before), 0);
	limit = (struct rlimit){server_fds(&server), before.rlim_max};
	ck_assert_int_eq(prlimit(server.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	fd = client(&server, "a", NULL);
	free(server_wait_log(&server, "not accepting for now: "));
	ck_assert_int_eq(prlimit(server.pid, RLIMIT_NOFILE, &before, NULL), 0);
	assert_served(fd);
	free(server_wait_log(&server, "accepting again"));
	hang_up(&fd);
	server_stop(&server);
}
END_TEST

/* A table that grows while several threads use it has whoever needs more wait for each time. */
START_TEST(the_table_of_descriptors_is_there_at_once)
{
	struct server server;
	struct rlimit limit;

	server_init(&server);
	server_start(&server,
		     &(struct server_setup){.config = "listeners: ({ name = \"a\"; listen = "
						      "\"tcp://127.0.0.1:0\"; });",
					    .without_wrapper = true});
	ck_assert_int_eq(prlimit(server.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
	ck_assert_uint_ge(server_fd_table(&server), MIN(limit.rlim_cur, DESCRIPTORS_AT_ONCE));
	server_stop(&server);
}
END_TEST

START_TEST(too_few_descriptors_to_start)
{
	struct server server;

	server_init(&server);
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"a\"; listen = "
						    "\"tcp://127.0.0.1:0\"; });",
					  .max_files = 8,
					  .without_wrapper = true},
		   71);
	server_done(&server);
}
END_TEST

START_TEST(stopping_gives_what_is_owed)
{
	CLEANUP(buffer_done) struct buffer load = {0}, got = {0};
	CLEANUP(closep) int fd = -1, idle = -1, other = -1;
	struct server server;
	char text[1000];

	memset(text, 'x', sizeof text);
	/* More than the sockets hold, less than max_pending more. */
	while (load.len < (3 << 20))
		wrap(&load, FRAMING_LENGTH, text, sizeof text);
	server_start_config(&server, "%s",
			    "workers = 1; timeouts: { drain = \"10min\"; }; listeners: ("
			    "{ name = \"u\"; listen = \"unix:u\"; });");
	fd = client(&server, "u", NULL);
	idle = client(&server, "u", NULL);
	other = client(&server, "u", NULL);
	send_all(fd, load.data, load.len);
	assert_served(other);
	(void)server_wait_counter(&server, "u", "bytes in", load.len);
	server_signal(&server, SIGTERM);
	server_wait_notify(&server, "STOPPING=1");
	/* Those who are owed nothing are told at once. */
	expect_gone(idle);
	expect_gone(other);
	hang_up(&idle);
	hang_up(&other);
	recv_to_end(fd, &got);
	ck_assert_uint_ge(got.len, load.len);
	assert_bytes(got.data, load.len, load.data, load.len, "drained");
	hang_up(&fd);
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

/* Sends more than the sockets hold, and reads none of the answers. */
static int stuck_client(struct server *server)
{
	CLEANUP(buffer_done) struct buffer load = {0};
	CLEANUP(closep) int other = client(server, "a", NULL);
	char text[1000];
	int fd = client(server, "a", NULL);

	memset(text, 'x', sizeof text);
	while (load.len < LOAD)
		wrap(&load, FRAMING_LENGTH, text, sizeof text);
	(void)send_until_stuck(fd, load.data, load.len, other);
	return fd;
}

START_TEST(draining_ends)
{
	CLEANUP(closep) int stuck = -1, silent = -1;
	struct server server;
	uint64_t begun;

	server_start_config(&server, "%s",
			    "timeouts: { drain = \"300ms\"; }; listeners: ("
			    "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });");
	stuck = stuck_client(&server);
	silent = client(&server, "a", NULL);
	assert_served(silent);
	begun = harness_now();
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	ck_assert_uint_ge(harness_now() - begun, 250);
	server_done(&server);
}
END_TEST

START_TEST(a_second_signal_ends_at_once)
{
	CLEANUP(closep) int stuck = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "timeouts: { drain = \"10min\"; }; listeners: ("
			    "{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });");
	stuck = stuck_client(&server);
	server_signal(&server, SIGTERM);
	server_wait_notify(&server, "STOPPING=1");
	server_signal(&server, SIGINT);
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

START_TEST(interrupt_stops_in_order)
{
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; listen "
			    "= \"unix:a\"; });");
	server_assert_serves(&server, "a", FRAMING_LENGTH);
	server_signal(&server, SIGINT);
	server_wait_notify(&server, "STOPPING=1");
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_limits");

	harness_add(suite, max_clients);
	harness_add(suite, max_clients_of_a_listener);
	harness_add(suite, max_clients_per_address);
	harness_add(suite, max_pending_short_frames);
	harness_add(suite, max_pending_long_frames);
	harness_add(suite, max_pending_lines);
	harness_add(suite, max_pending_raw);
	harness_add(suite, waiting_costs_no_cpu);
	harness_add(suite, idle_clients_are_closed);
	harness_add(suite, unfinished_messages_time_out);
	harness_add(suite, trickling_does_not_extend_the_time);
	harness_add(suite, no_descriptors_left);
	harness_add(suite, descriptors_come_back);
	harness_add(suite, the_table_of_descriptors_is_there_at_once);
	harness_add(suite, too_few_descriptors_to_start);
	harness_add(suite, stopping_answers_what_has_come);
	harness_add(suite, stopping_gives_what_is_owed);
	harness_add(suite, draining_ends);
	harness_add(suite, a_second_signal_ends_at_once);
	harness_add(suite, interrupt_stops_in_order);
	return harness_main(suite);
}
