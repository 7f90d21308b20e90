/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Peers that are broken or mean: malformed headers of every kind, endless lines, floods of silent
 * connections, resets in every phase, garbage. After each the daemon serves as before, holds no
 * descriptor more, and stops in order.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

/*
 * A listener of each framing, with limits and times that tests can reach; message is how long one
 * may take to come.
 */
static void start_with(struct server *server, const char *message, size_t *ret_fds)
{
	server_start_config(
		server,
		"workers = 2; max_message = \"64K\"; max_pending = \"64K\"; "
		"timeouts: { message = \"%s\"; drain = \"1s\"; }; listeners: ("
		"{ name = \"length\"; listen = [ \"tcp://127.0.0.1:0\", \"udp://127.0.0.1:0\" ]; "
		"transforms = [ \"upper\" ]; },"
		"{ name = \"line\"; framing = \"line\"; listen = [ \"tcp://127.0.0.1:0\", "
		"\"unix:line\" ]; transforms = [ \"reverse\" ]; },"
		"{ name = \"raw\"; framing = \"raw\"; listen = [ \"tcp://127.0.0.1:0\", "
		"\"unix:raw\" ]; transforms = [ \"upper\", \"reverse\" ]; },"
		"{ name = \"json\"; payload = \"json\"; listen = [ \"tcp://127.0.0.1:0\", "
		"\"unix:json\" ]; transforms = [ \"lower\" ]; });",
		message);
	server_assert_serves(server, "length", FRAMING_LENGTH);
	(void)server_wait_counter(server, "length", "clients gone", 1);
	*ret_fds = server_fds(server);
}

static void start(struct server *server, size_t *ret_fds)
{
	start_with(server, "10min", ret_fds);
}

/* It is as it was before the attack. */
static void assert_unharmed(struct server *server, size_t fds)
{
	server_assert_serves(server, "length", FRAMING_LENGTH);
	server_assert_serves(server, "line", FRAMING_LINE);
	server_wait_fds(server, fds);
	server_stop(server);
}

/* ---- headers ---- */

/* Whether these places hold digits, at least one, and then nothing but spaces. */
static bool is_number(const uint8_t *places, size_t n)
{
	size_t i = 0;

	while (i < n && places[i] >= '0' && places[i] <= '9')
		i++;
	if (i == 0)
		return false;
	while (i < n && places[i] == ' ')
		i++;
	return i == n;
}

static void try_header(const struct server *server, const uint8_t header[static FRAME_HEADER])
{
	CLEANUP(closep) int fd = client(server, "length", "tcp:");
	char digits[FRAME_HEADER + 1] = "";
	unsigned long long len;

	memcpy(digits, header, FRAME_HEADER);
	len = strtoull(digits, NULL, 10);
	send_all(fd, header, FRAME_HEADER);
	if (header[0] == '-' && is_number(header + 1, FRAME_HEADER - 1)) {
		expect_end(fd); /* an error frame of the client: nothing is said to it */
	} else if (!is_number(header, FRAME_HEADER)) {
		expect_error_frame(fd, "bad frame header");
	} else if (len > 65536) {
		expect_error_frame(fd, "65536");
	} else {
		CLEANUP(buffer_done) struct buffer payload = {0};

		ck_assert_int_eq(buffer_reserve(&payload, len + 1), 0);
		memset(payload.data, 'A', len);
		send_all(fd, payload.data, len);
		expect_frame(fd, payload.data, len);
	}
}

/* Every byte in each of the ten places, in headers that are short and as long as can be. */
START_TEST(all_bytes_in_all_places)
{
	static const char *const models[] = {"7         ", "0000000042", "-3        "};
	const unsigned step = (unsigned)harness_rounds(1, 7);
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t m = 0; m < ARRAY_SIZE(models); m++)
		for (size_t place = 0; place < FRAME_HEADER; place++)
			for (unsigned byte = 0; byte < 256; byte += step) {
				uint8_t header[FRAME_HEADER];

				memcpy(header, models[m], FRAME_HEADER);
				header[place] = (uint8_t)byte;
				try_header(&server, header);
			}
	ck_assert_uint_gt(server_counter(&server, "length", "bad frame headers"), 0);
	ck_assert_uint_gt(server_counter(&server, "length", "error frames from clients"), 0);
	assert_unharmed(&server, fds);
}
END_TEST

/* What is malformed is told as soon as it shows; what came before is answered. */
START_TEST(malformed_after_good_frames)
{
	static const char *const bad[] = {"x",		 "+5        ", " 5        ", "5 5       ",
					  "5\t        ", "-         ", "--5       ", "5.        ",
					  "          ",	 "0x5       ", "99999999999"};
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(closep) int fd = client(&server, "length", "tcp:");

		send_text(fd, "2         ab0         ");
		send_text(fd, bad[i]);
		shut_down(fd);
		expect_frame(fd, "AB", 2);
		expect_frame(fd, "", 0);
		if (strcmp(bad[i], "99999999999") == 0)
			expect_error_frame(fd, "9999999999");
		else
			expect_error_frame(fd, "bad frame header");
	}
	assert_unharmed(&server, fds);
}
END_TEST

START_TEST(frames_cut_short)
{
	static const char frame[] = "5         hello";
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t cut = 1; cut < sizeof frame - 1; cut++) {
		CLEANUP(closep) int fd = client(&server, "length", "tcp:");

		send_text(fd, "2         ab");
		send_all(fd, frame, cut);
		shut_down(fd);
		expect_frame(fd, "AB", 2);
		expect_end(fd);
	}
	ck_assert_uint_eq(
		server_wait_counter(&server, "length", "messages cut short", sizeof frame - 2),
		sizeof frame - 2);
	ck_assert_uint_ge(server_count_log(&server, "middle of a frame"), 1);
	assert_unharmed(&server, fds);
}
END_TEST

START_TEST(error_frames_from_the_client)
{
	static const char *const errors[] = {"-0        ", "-9        not so fu",
					     "-9        not so fun", "-999999999",
					     "-3        abc3         abc"};
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		CLEANUP(closep) int fd = client(&server, "length", "tcp:");

		send_text(fd, "2         ab");
		send_text(fd, errors[i]);
		expect_frame(fd, "AB", 2);
		expect_gone(fd);
	}
	ck_assert_uint_eq(server_wait_counter(&server, "length", "error frames from clients",
					      ARRAY_SIZE(errors)),
			  ARRAY_SIZE(errors));
	ck_assert_uint_ge(server_count_log(&server, "error frame"), 1);
	assert_unharmed(&server, fds);
}
END_TEST

/* ---- too much ---- */

/*
 * Sends without end until the daemon hangs up, which it does after timeouts.drain at the latest; it
 * must not hold what it gets meanwhile.
 */
static void flood(struct server *server, const char *listener, const char *begin)
{
	static char noise[65536];
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	size_t before = server_rss(server);
	CLEANUP(closep) int fd = client(server, listener, NULL);

	memset(noise, 'n', sizeof noise);
	send_text(fd, begin);
	while (send(fd, noise, sizeof noise, MSG_NOSIGNAL) > 0)
		ck_assert_msg(harness_now() < deadline, "it takes bytes without end");
	if (!harness_slow())
		ck_assert_uint_lt(server_rss(server), before + (2 << 20));
}

START_TEST(endless_messages)
{
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (int i = 0; i < 2; i++) {
		flood(&server, "line", "");
		flood(&server, "length", "9999999999");
		flood(&server, "length", "65537     ");
		flood(&server, "length", "x");
	}
	ck_assert_uint_eq(server_counter(&server, "line", "messages longer than max_message"), 2);
	ck_assert_uint_eq(server_counter(&server, "length", "messages longer than max_message"), 4);
	assert_unharmed(&server, fds);
}
END_TEST

/* As many as the limit of open files allows say nothing, while one is served. */
START_TEST(thousands_of_silent_connections)
{
	size_t files = harness_raise_files(harness_rounds(10200, 1200)), n = files - 100;
	CLEANUP(freep) int *fds = calloc(n, sizeof *fds);
	CLEANUP(closep) int served = -1;
	struct server server;
	size_t baseline;

	ck_assert_ptr_nonnull(fds);
	start(&server, &baseline);
	served = client(&server, "length", NULL);
	for (size_t i = 0; i < n; i++) {
		fds[i] = client(&server, i % 2 ? "length" : "line", "tcp:");
		if (i % 3 == 0)
			send_text(fds[i], "5"); /* begins something, at least */
		if (i % 100 == 0) {
			send_text(served, "2         ab");
			expect_frame(served, "AB", 2);
		}
	}
	(void)server_wait_counter(&server, "length", "clients accepted", n / 2 + 1);
	for (int i = 0; i < 1000; i++) {
		send_text(served, "2         ab");
		expect_frame(served, "AB", 2);
	}
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	hang_up(&served);
	assert_unharmed(&server, baseline);
}
END_TEST

/* A byte now and then from each of many: they time out one by one, and block nobody. */
START_TEST(slow_senders)
{
	enum { SLOW = 50 };
	CLEANUP(closep) int served = -1;
	int fds[SLOW], gone = 0;
	struct server server;
	size_t sent = 0;

	server_start_config(&server, "%s",
			    "workers = 1; timeouts: { message = \"1s\"; drain = \"10min\"; }; "
			    "listeners: ({ name = \"length\"; listen = \"tcp://127.0.0.1:0\"; });");
	served = client(&server, "length", NULL);
	for (int i = 0; i < SLOW; i++) {
		fds[i] = client(&server, "length", NULL);
		send_text(fds[i], "1000000   ");
	}
	while (gone < SLOW) {
		struct pollfd polled = {fds[gone], POLLIN, 0};

		send_text(served, "2         ab");
		expect_frame(served, "ab", 2);
		for (int i = gone; i < SLOW; i++)
			(void)send(fds[i], "x", 1, MSG_NOSIGNAL); /* may be gone by now */
		ck_assert_uint_lt(++sent, 900000);
		if (poll(&polled, 1, 20) == 1) {
			expect_error_frame(fds[gone], "timed out");
			(void)close(fds[gone++]);
		}
	}
	ck_assert_uint_eq(server_counter(&server, "length", "messages timed out"), SLOW);
	hang_up(&served);
	server_stop(&server);
}
END_TEST

/*
 * Many who read a byte at a time: everybody gets everything, and one who is quick is served. Each
 * leaves a message unfinished until it has its turn, which is no matter here.
 */
START_TEST(slow_readers)
{
	enum { SLOW = 20 };
	CLEANUP(buffer_done) struct buffer load = {0};
	size_t sent[SLOW] = {0};
	struct server server;
	int fds[SLOW];
	size_t baseline;
	char text[500];

	memset(text, 'X', sizeof text);
	while (load.len < (2 << 20))
		wrap(&load, FRAMING_LENGTH, text, sizeof text);
	start_with(&server, "0", &baseline);
	for (int i = 0; i < SLOW; i++) {
		fds[i] = client(&server, "length", "tcp:");
	}
	for (int round = 0; round < 300; round++)
		for (int i = 0; i < SLOW; i++) {
			size_t left = load.len - sent[i];
			ssize_t n = send(fds[i], load.data + sent[i], MIN(left, (size_t)7000),
					 MSG_DONTWAIT | MSG_NOSIGNAL);

			sent[i] += n > 0 ? (size_t)n : 0;
		}
	server_assert_serves(&server, "length", FRAMING_LENGTH);
	for (int i = 0; i < SLOW; i++) {
		CLEANUP(buffer_done) struct buffer got = {0};

		for (int j = 0; j < 2000; j++)
			expect_bytes(fds[i], load.data + j, 1);
		exchange(fds[i], load.data + sent[i], load.len - sent[i], 0, NULL, true, 0, &got);
		assert_bytes(got.data, got.len, load.data + 2000, load.len - 2000, "slow reader");
		(void)close(fds[i]);
	}
	assert_unharmed(&server, baseline);
}
END_TEST

/* ---- resets ---- */

/* More than the sockets hold, so that answers wait in the daemon. */
static void send_without_reading(int fd)
{
	CLEANUP(buffer_done) struct buffer load = {0};
	char text[1000];
	ssize_t n;

	memset(text, 'z', sizeof text);
	while (load.len < (16 << 20))
		wrap(&load, FRAMING_LENGTH, text, sizeof text);
	for (size_t sent = 0; sent < load.len; sent += (size_t)n) {
		struct pollfd polled = {fd, POLLOUT, 0};

		if (poll(&polled, 1, 50) == 0)
			break;
		n = send(fd, load.data + sent, load.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		ck_assert_msg(n > 0, "send: %m");
	}
}

START_TEST(resets_in_every_phase)
{
	static const char *const phases[] = {
		"",    "5",	      "5         ", "5         hel", "5         hello",
		"bad", "60000     x", "-3        a"};
	const size_t rounds = harness_rounds(20, 5);
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
			int at_once = client(&server, "length", "tcp:");
			int later = client(&server, "length", "tcp:");

			send_text(at_once, phases[i]);
			reset_close(at_once);
			send_text(later, "2         ab");
			send_text(later, phases[i]);
			expect_frame(later, "AB", 2);
			reset_close(later);
		}
	for (size_t round = 0; round < MIN(rounds, (size_t)4); round++) {
		int unread = client(&server, "length", "tcp:");
		int closed = client(&server, "length", "tcp:");
		int refused = client(&server, "length", "tcp:");

		send_without_reading(unread);
		reset_close(unread);
		send_without_reading(closed);
		shut_down(closed);
		reset_close(closed);
		/* The reason waits to be read, and the daemon for the end. */
		send_text(refused, "nonsense");
		server_assert_serves(&server, "length", FRAMING_LENGTH);
		reset_close(refused);
	}
	assert_unharmed(&server, fds);
}
END_TEST

/* Resets between accept and the first byte, as fast as they come. */
START_TEST(resets_after_connect)
{
	const size_t rounds = harness_rounds(3000, 500);
	struct server server;
	size_t fds;

	start(&server, &fds);
	for (size_t i = 0; i < rounds; i++)
		reset_close(client(&server, i % 2 ? "length" : "raw", "tcp:"));
	assert_unharmed(&server, fds);
}
END_TEST

START_TEST(resets_while_draining)
{
	enum { CLIENTS = 8 };
	struct server server;
	int clients[CLIENTS];
	size_t fds;

	start(&server, &fds);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client(&server, "length", "tcp:");
		if (i % 2)
			send_without_reading(clients[i]);
	}
	server_signal(&server, SIGTERM);
	server_wait_notify(&server, "STOPPING=1");
	for (int i = 0; i < CLIENTS; i++)
		reset_close(clients[i]);
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

/* ---- garbage ---- */

/* Sends random bytes, reads whatever comes, and ends in one way or another. */
static void babble(struct random *random, const struct server *server, const char *listener,
		   const char *scheme)
{
	static const char *const starts[] = {"",	   "100       ", "{\"a\":[", "-",
					     "0         ", "9999999999", "\n",	     "\r"};
	CLEANUP(closep) int fd = client(server, listener, scheme);
	const char *start = starts[random_below(random, ARRAY_SIZE(starts))];
	size_t n = random_below(random, 60);

	(void)send(fd, start, strlen(start), MSG_NOSIGNAL);
	while (n-- > 0) {
		uint8_t noise[3000], sink[8192];
		size_t len = random_below(random, sizeof noise);
		uint8_t mask = random_below(random, 2) ? 0xff : 0x3f;

		for (size_t i = 0; i < len; i++)
			noise[i] = (uint8_t)random_next(random) & mask;
		/* The daemon may hang up at any time. */
		(void)send(fd, noise, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)recv(fd, sink, sizeof sink, MSG_DONTWAIT);
	}
	switch (random_below(random, 3)) {
	case 0:
		reset_close(STEAL_FD(fd));
		break;
	case 1:
		if (shutdown(fd, SHUT_WR) == 0)
			expect_gone(fd);
		break;
	default:
		break;
	}
}

START_TEST(garbage_for_every_listener)
{
	static const char *const listeners[] = {"length", "line", "raw", "json"};
	const size_t rounds = harness_rounds(800, 100);
	struct random random;
	struct server server;
	size_t fds;

	random_init_run(&random, "garbage_for_every_listener");
	start(&server, &fds);
	for (size_t i = 0; i < rounds; i++) {
		const char *listener = listeners[i % ARRAY_SIZE(listeners)];
		bool local = *listener != 'l' || listener[1] == 'i';

		babble(&random, &server, listener, local && i % 8 < 4 ? "unix:" : "tcp:");
	}
	{
		CLEANUP(closep) int fd = client(&server, "length", "udp:");

		for (size_t i = 0; i < rounds; i++) {
			uint8_t noise[2000];
			size_t len = random_below(&random, sizeof noise);

			for (size_t j = 0; j < len; j++)
				noise[j] = (uint8_t)random_next(&random);
			(void)send(fd, noise, len, 0); /* may be lost, as datagrams may */
			while (recv(fd, noise, sizeof noise, MSG_DONTWAIT) > 0)
				;
		}
	}
	assert_unharmed(&server, fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_stream");

	harness_add(suite, all_bytes_in_all_places);
	harness_add(suite, malformed_after_good_frames);
	harness_add(suite, frames_cut_short);
	harness_add(suite, error_frames_from_the_client);
	harness_add(suite, endless_messages);
	harness_add(suite, thousands_of_silent_connections);
	harness_add(suite, slow_senders);
	harness_add(suite, slow_readers);
	harness_add(suite, resets_in_every_phase);
	harness_add(suite, resets_after_connect);
	harness_add(suite, resets_while_draining);
	harness_add(suite, garbage_for_every_listener);
	return harness_main(suite);
}
