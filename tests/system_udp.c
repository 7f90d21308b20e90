/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams: every size, many at once, and the rules by which retortd is neither an amplifier nor
 * half of a loop. What is not answered is proved by what comes after it: one socket's datagrams
 * are handled in order.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

enum { LARGEST = 65507 };

static void expect_datagram(int fd, const void *data, size_t len)
{
	static uint8_t received[LARGEST + 1];
	ssize_t n = recv(fd, received, sizeof received, 0);

	ck_assert_msg(n >= 0, "waiting for a datagram of %zu bytes: %m", len);
	assert_bytes(received, (size_t)n, data, len, "datagram");
}

static void send_datagram(int fd, const void *data, size_t len)
{
	ck_assert_msg(send(fd, data, len, 0) == (ssize_t)len, "sending %zu bytes: %m", len);
}

static void assert_answers(int fd)
{
	send_datagram(fd, "42", 2);
	expect_datagram(fd, "42", 2);
}

static struct sockaddr_in inet_address(const char *address, unsigned port)
{
	struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	ck_assert_int_eq(inet_pton(AF_INET, address, &inet.sin_addr), 1);
	return inet;
}

/* A socket at this end that is connected to the other. */
static int datagram_socket(struct sockaddr_in from, struct sockaddr_in to)
{
	const struct timeval deadline = {.tv_sec = harness_patience() / 1000};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline), 0);
	ck_assert_msg(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind: %m");
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

START_TEST(every_size)
{
	static const size_t sizes[] = {0,    1,	   2,	  63,	 64,	65,    1471,   1472,
				       1473, 9000, 16384, 32768, 65000, 65506, LARGEST};
	static uint8_t text[LARGEST], want[LARGEST];
	CLEANUP(closep) int echo = -1, upper = -1, six = -1;
	struct server server;

	for (size_t i = 0; i < sizeof text; i++) {
		text[i] = (uint8_t)('a' + i % 26);
		want[i] = (uint8_t)('A' + i % 26);
	}
	server_start_config(&server, "%s",
			    "listeners: ("
			    "{ name = \"echo\"; listen = \"udp://127.0.0.1:0\"; },"
			    "{ name = \"six\"; listen = \"udp://[::1]:0\"; },"
			    "{ name = \"upper\"; listen = \"udp://127.0.0.1:0\"; "
			    "transforms = [ \"upper\" ]; });");
	echo = client(&server, "echo", NULL);
	upper = client(&server, "upper", NULL);
	six = client(&server, "six", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		send_datagram(echo, text, sizes[i]);
		expect_datagram(echo, text, sizes[i]);
		send_datagram(six, text, sizes[i]);
		expect_datagram(six, text, sizes[i]);
		send_datagram(upper, text, sizes[i]);
		expect_datagram(upper, want, sizes[i]);
	}
	ck_assert_uint_ge(server_wait_counter(&server, "echo", "messages", ARRAY_SIZE(sizes)),
			  ARRAY_SIZE(sizes));
	server_stop(&server);
}
END_TEST

START_TEST(batches)
{
	enum { WINDOW = 64, SOCKETS = 4 };
	const int rounds = (int)harness_rounds(200, 40);
	int fds[SOCKETS];
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"reverse\"; "
			    "listen = \"udp://127.0.0.1:0\"; "
			    "transforms = [ \"reverse\" ]; });");
	for (int s = 0; s < SOCKETS; s++)
		fds[s] = client(&server, "reverse", NULL);
	for (int round = 0; round < rounds; round++)
		for (int half = 0; half < 2; half++)
			for (int i = 0; i < WINDOW * SOCKETS; i++) {
				char text[32], turned[32];
				size_t len = (size_t)sprintf(text, "%d of round %d", i, round);

				for (size_t j = 0; j < len; j++)
					turned[len - 1 - j] = text[j];
				if (half)
					expect_datagram(fds[i % SOCKETS], turned, len);
				else
					send_datagram(fds[i % SOCKETS], text, len);
			}
	for (int s = 0; s < SOCKETS; s++)
		(void)close(fds[s]);
	server_stop(&server);
}
END_TEST

START_TEST(no_amplifier)
{
	static const char grows[] = "\xc5\x89", shrinks[] = "\xe2\x84\xaa";
	CLEANUP(closep) int upper = -1, lower = -1, json = -1, small = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ("
			    "{ name = \"upper\"; listen = \"udp://127.0.0.1:0\"; "
			    "transforms = [ \"upper\" ]; },"
			    "{ name = \"lower\"; listen = \"udp://127.0.0.1:0\"; "
			    "transforms = [ \"lower\" ]; },"
			    "{ name = \"json\"; listen = \"udp://127.0.0.1:0\"; "
			    "payload = \"json\"; },"
			    "{ name = \"small\"; listen = \"udp://127.0.0.1:0\"; "
			    "max_message = 100; });");
	upper = client(&server, "upper", NULL);
	send_datagram(upper, grows, 2);
	send_datagram(upper, "x", 1);
	expect_datagram(upper, "X", 1);
	expect_silence(upper);
	ck_assert_uint_eq(
		server_counter(&server, "upper", "datagrams whose answer would be longer"), 1);

	lower = client(&server, "lower", NULL);
	send_datagram(lower, shrinks, 3);
	expect_datagram(lower, "k", 1);

	/* The answer to what is not JSON is longer. */
	json = client(&server, "json", NULL);
	send_datagram(json, "{", 1);
	send_datagram(json, " 1 ", 3);
	expect_datagram(json, "1", 1);
	expect_silence(json);

	small = client(&server, "small", NULL);
	{
		uint8_t text[101] = {0};

		send_datagram(small, text, sizeof text);
		send_datagram(small, text, sizeof text - 1);
		expect_datagram(small, text, sizeof text - 1);
		expect_silence(small);
	}
	ck_assert_uint_eq(server_counter(&server, "small", "datagrams longer than max_message"), 1);
	server_stop(&server);
}
END_TEST

START_TEST(no_answer_to_reflectors)
{
	static const unsigned reflectors[] = {7,   13,	17,  19,   37,	 53,   69,
					      123, 161, 389, 1900, 5353, 11211};
	CLEANUP(closep) int asker = -1;
	struct server server;
	struct sockaddr_in to;

	if (!harness_private_network()) {
		harness_skip("no network namespace of our own, so no low source ports");
		return;
	}
	server_start_config(&server, "%s",
			    "workers = 1; listeners: ("
			    "{ name = \"echo\"; listen = \"udp://127.0.0.1:0\"; });");
	asker = client(&server, "echo", NULL);
	to = inet_address("127.0.0.1", server_port(&server, "echo", NULL));
	for (size_t i = 0; i < ARRAY_SIZE(reflectors); i++) {
		CLEANUP(closep)
		int near = datagram_socket(inet_address("127.0.0.1", reflectors[i] + 1000), to);
		CLEANUP(closep)
		int fd = datagram_socket(inet_address("127.0.0.1", reflectors[i]), to);

		send_datagram(fd, "x", 1);
		assert_answers(near);
		expect_silence(fd);
	}
	assert_answers(asker);
	ck_assert_uint_eq(server_counter(&server, "echo", "datagrams from a reflector's port"),
			  ARRAY_SIZE(reflectors));
	ck_assert_uint_ge(server_count_log(&server, "not answered"), 1);
	server_stop(&server);
}
END_TEST

START_TEST(no_answer_to_its_own_ports)
{
	CLEANUP(closep) int one = -1, two = -1, asker = -1;
	struct server server;
	unsigned a, b;

	server_start_config(&server, "%s",
			    "listeners: ("
			    "{ name = \"a\"; listen = \"udp://127.0.0.1:0\"; },"
			    "{ name = \"b\"; listen = \"udp://127.0.0.1:0\"; });");
	a = server_port(&server, "a", NULL);
	b = server_port(&server, "b", NULL);
	asker = client(&server, "a", NULL);
	/* The same port at another address; and the port of another listener. */
	one = datagram_socket(inet_address("127.0.0.2", a), inet_address("127.0.0.1", a));
	two = datagram_socket(inet_address("127.0.0.2", b), inet_address("127.0.0.1", a));
	send_datagram(one, "x", 1);
	send_datagram(two, "x", 1);
	assert_answers(asker);
	expect_silence(one);
	expect_silence(two);
	server_stop(&server);
}
END_TEST

/* A reload that closes one of two sockets on a port leaves the other one guarded. */
START_TEST(no_answer_to_its_own_port_after_a_reload)
{
	CLEANUP(closep) int forged = -1, asker = -1;
	struct server server;
	unsigned port;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; listen = \"udp://127.0.0.1:0\"; });");
	port = server_port(&server, "a", NULL);
	asker = client(&server, "a", NULL);
	server_write_config(&server,
			    "listeners: ({ name = \"a\"; listen = [ \"udp://127.0.0.1:%u\", "
			    "\"udp://127.0.0.3:%u\" ]; });",
			    port, port);
	server_signal(&server, SIGHUP);
	free(server_wait_log(&server, "configuration reloaded"));
	server_write_config(
		&server, "listeners: ({ name = \"a\"; listen = \"udp://127.0.0.1:%u\"; });", port);
	server_signal(&server, SIGHUP);
	free(server_wait_log(&server, "configuration reloaded"));
	forged = datagram_socket(inet_address("127.0.0.2", port), inet_address("127.0.0.1", port));
	send_datagram(forged, "x", 1);
	assert_answers(asker);
	expect_silence(forged);
	server_stop(&server);
}
END_TEST

/* Sends a datagram that says to come from another; needs CAP_NET_RAW. */
static bool forge(struct sockaddr_in from, struct sockaddr_in to, const char *text)
{
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[64];
	} packet = {0};
	size_t len = sizeof packet.ip + sizeof packet.udp + strlen(text);

	if (fd < 0)
		return false;
	packet.ip = (struct iphdr){.version = 4,
				   .ihl = 5,
				   .ttl = 64,
				   .protocol = IPPROTO_UDP,
				   .tot_len = htons((uint16_t)len),
				   .saddr = from.sin_addr.s_addr,
				   .daddr = to.sin_addr.s_addr};
	packet.udp.source = from.sin_port;
	packet.udp.dest = to.sin_port;
	packet.udp.len = htons((uint16_t)(sizeof packet.udp + strlen(text)));
	(void)strncpy(packet.text, text, sizeof packet.text - 1);
	return sendto(fd, &packet, len, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)len;
}

/*
 * Two daemons, at the usual port of one machine each, that a forged datagram points at each other:
 * the first one that gets it says nothing, so the second never hears of it.
 */
START_TEST(two_daemons_fall_silent)
{
	struct sockaddr_in at_one, at_two;
	CLEANUP(closep) int ask_one = -1, ask_two = -1;
	struct server one, two;

	if (!harness_private_network()) {
		harness_skip("no network namespace of our own, so no forged datagrams");
		return;
	}
	server_start_config(&one, "%s",
			    "listeners: ({ name = \"echo\"; "
			    "listen = \"udp://127.0.0.1:7007\"; "
			    "});");
	server_start_config(&two, "%s",
			    "listeners: ({ name = \"echo\"; "
			    "listen = \"udp://127.0.0.2:7007\"; "
			    "});");
	at_one = inet_address("127.0.0.1", 7007);
	at_two = inet_address("127.0.0.2", 7007);
	if (!forge(at_two, at_one, "loop") || !forge(at_one, at_two, "loop")) {
		harness_skip("no raw sockets, so no forged datagrams");
	} else {
		ask_one = client(&one, "echo", NULL);
		ask_two = client(&two, "echo", NULL);
		for (int i = 0; i < 10; i++) {
			assert_answers(ask_one);
			assert_answers(ask_two);
		}
		/* Ten questions and the forged one; an answer to it would be one more. */
		ck_assert_uint_eq(server_counter(&one, "echo", "messages"), 11);
		ck_assert_uint_eq(server_counter(&two, "echo", "messages"), 11);
		ck_assert_uint_eq(server_counter(&one, "echo", "datagrams from a reflector's port"),
				  1);
	}
	server_stop(&one);
	server_stop(&two);
}
END_TEST

/* An answer leaves from the address that was asked, also where the socket has them all. */
START_TEST(answers_from_the_address_asked)
{
	CLEANUP(closep) int four = -1, far = -1, six = -1;
	char address[64];
	struct server server;
	unsigned port;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"any\"; "
			    "listen = \"udp://*:0\"; });");
	port = server_port(&server, "any", NULL);
	(void)sprintf(address, "udp://127.0.0.1:%u", port);
	four = connect_to(address);
	assert_answers(four);
	(void)sprintf(address, "udp://127.0.0.2:%u", port);
	far = connect_to(address);
	assert_answers(far);
	(void)sprintf(address, "udp://[::1]:%u", port);
	six = connect_to(address);
	assert_answers(six);
	server_stop(&server);
}
END_TEST

/* An answer that nobody waits for makes the kernel report an error, which must not stay. */
START_TEST(askers_that_are_gone)
{
	CLEANUP(closep) int asker = -1;
	struct server server;
	uint64_t before;

	server_start_config(&server, "%s",
			    "workers = 1; listeners: ("
			    "{ name = \"echo\"; listen = \"udp://127.0.0.1:0\"; });");
	asker = client(&server, "echo", NULL);
	for (int i = 0; i < 100; i++) {
		CLEANUP(closep) int gone = client(&server, "echo", NULL);

		send_datagram(gone, "x", 1);
		hang_up(&gone);
		assert_answers(asker);
	}
	before = server_cpu(&server);
	for (int i = 0; i < 100; i++)
		assert_answers(asker);
	ck_assert_uint_lt(server_cpu(&server) - before, 2000);
	server_stop(&server);
}
END_TEST

/* Started and stopped before the workers have looked at their sockets; and behind a reload. */
START_TEST(stopped_at_once)
{
	const size_t rounds = harness_rounds(30, 8);

	for (size_t i = 0; i < rounds; i++) {
		struct server server;

		server_start_config(&server, "%s",
				    "workers = 3; listeners: ("
				    "{ name = \"a\"; listen = [ \"udp://127.0.0.1:0\", "
				    "\"udp://127.0.0.2:0\", \"udp://127.0.0.3:0\" ]; },"
				    "{ name = \"b\"; listen = \"udp://127.0.0.1:0\"; });");
		if (i % 2) {
			server_write_config(&server, "%s",
					    "workers = 3; listeners: ({ name = \"c\"; "
					    "listen = \"udp://127.0.0.1:0\"; });");
			server_signal(&server, SIGHUP);
		}
		server_stop(&server);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_udp");

	harness_add(suite, every_size);
	harness_add(suite, batches);
	harness_add(suite, no_amplifier);
	harness_add(suite, no_answer_to_reflectors);
	harness_add(suite, no_answer_to_its_own_ports);
	harness_add(suite, no_answer_to_its_own_port_after_a_reload);
	harness_add(suite, two_daemons_fall_silent);
	harness_add(suite, answers_from_the_address_asked);
	harness_add(suite, askers_that_are_gone);
	harness_add(suite, stopped_at_once);
	return harness_main(suite);
}
