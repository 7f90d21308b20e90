/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client's ping and bench, and how it finds a server that has several addresses. */

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"
#include "link.h"

static struct server server;

static void start(void)
{
	server_start_config(
		&server, "%s",
		"timeouts: { drain = \"1s\"; }; listeners: ("
		"{ name = \"raw\"; framing = \"raw\"; transforms = [ \"upper\" ]; "
		"listen = [ \"tcp://127.0.0.1:0\", \"unix:raw\" ]; },"
		"{ name = \"line\"; framing = \"line\"; transforms = [ \"reverse\" ]; "
		"listen = [ \"tcp://127.0.0.1:0\", \"unix:line\" ]; },"
		"{ name = \"length\"; transforms = [ \"upper\", \"reverse\" ]; listen = "
		"[ \"tcp://127.0.0.1:0\", \"unix:length\", \"udp://127.0.0.1:0\" ]; },"
		"{ name = \"json\"; payload = \"json\"; transforms = [ \"lower\" ]; "
		"listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"chat\"; service = \"chat\"; listen = \"unix:chat\"; },"
		"{ name = \"chatline\"; service = \"chat\"; framing = \"line\"; "
		"listen = \"unix:chatline\"; },"
		"{ name = \"greet\"; greeting = \"welcome\"; listen = \"tcp://127.0.0.1:0\"; },"
		"{ name = \"small\"; max_message = 10; listen = \"tcp://127.0.0.1:0\"; });");
}

/* A listener, how to reach it, and what it does. */
static const struct way {
	const char *listener, *scheme, *framing, *transforms;
} ways[] = {
	{"raw", "tcp", "raw", "upper"},
	{"raw", "unix", "raw", "upper"},
	{"line", "tcp", "line", "reverse"},
	{"line", "unix", "line", "reverse"},
	{"length", "tcp", "length", "upper,reverse"},
	{"length", "unix", "length", "upper,reverse"},
	{"length", "udp", "length", "upper,reverse"},
	{"json", "tcp", "length", "lower"},
};

static const char *at(const char *listener, const char *scheme)
{
	return server_address(&server, listener, scheme);
}

/* The next line of JSON; *text then stands behind it. NULL at the end. */
static json_t *next_object(char **text)
{
	char *line = *text, *end = strchr(line, '\n');
	json_error_t error;
	json_t *object;

	if (!*line)
		return NULL;
	ck_assert_ptr_nonnull(end);
	*end = 0;
	*text = end + 1;
	object = json_loads(line, 0, &error);
	ck_assert_msg(json_is_object(object), "%s: %s", error.text, line);
	return object;
}

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	ck_assert_msg(json_is_number(value), "no number %s", key);
	return json_number_value(value);
}

/* ---- ping ---- */

START_TEST(test_ping)
{
	static const char *const chats[] = {"chat", "chatline"};
	struct run run;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		run_expect(&run, NULL,
			   WORDS("-c", at(ways[i].listener, ways[i].scheme), "ping", "-n", "3",
				 "-i", "0", "-f", ways[i].framing),
			   0);
		ck_assert_msg(strstr(run.out, "64 bytes from ") &&
				      strstr(run.out, " seq=3 time=") &&
				      strstr(run.out, "3 sent, 3 received, 0% lost") &&
				      strstr(run.out, "min/avg/max/mdev"),
			      "%s", run.out);
		run_done(&run);
	}
	/* Chat, which has to be found out, and has a shortest message. */
	for (size_t i = 0; i < ARRAY_SIZE(chats); i++) {
		run_expect(&run, NULL,
			   WORDS("-c", at(chats[i], "unix"), "ping", "-n", "3", "-i", "0", "-f",
				 i == 0 ? "length" : "line", "-s", "80"),
			   0);
		ck_assert_msg(strstr(run.out, " seq=3 time=") &&
				      strstr(run.out, "3 sent, 3 received, 0% lost"),
			      "%s", run.out);
		run_done(&run);
	}
	run_expect(&run, NULL,
		   WORDS("-c", at("chat", "unix"), "ping", "-n", "2", "-i", "0", "-s", "0"), 0);
	run_done(&run);

	/* Too short to be numbered, and empty. */
	run_expect(&run, NULL,
		   WORDS("-c", at("length", "udp"), "ping", "-n", "2", "-i", "0", "-s", "1"), 0);
	run_done(&run);
	run_expect(&run, NULL,
		   WORDS("-c", at("length", "tcp"), "ping", "-n", "2", "-i", "0", "-s", "0"), 0);
	run_done(&run);
	run_expect_error(NULL, WORDS("-c", at("raw", "tcp"), "ping", "-f", "raw", "-s", "0"), 64,
			 "empty");
	run_expect_error(NULL, WORDS("-c", at("small", "tcp"), "ping"), 1, "limit");
	server_stop(&server);
}
END_TEST

START_TEST(test_ping_keeps_time)
{
	struct run run;
	uint64_t begin;

	start();
	begin = harness_now();
	run_expect(&run, NULL,
		   WORDS("-c", at("length", "tcp"), "ping", "-q", "-n", "4", "-i", "50ms"), 0);
	ck_assert_uint_ge(harness_now() - begin, 150);
	ck_assert_ptr_null(strstr(run.out, "seq="));
	run_done(&run);
	server_stop(&server);
}
END_TEST

/* The greeting is no answer. */
START_TEST(test_ping_greeting)
{
	struct run run;

	start();
	run_expect(&run, NULL, WORDS("-c", at("greet", "tcp"), "ping", "-n", "2", "-i", "0"), 0);
	ck_assert_msg(strstr(run.out, "64 bytes") && !strstr(run.out, "7 bytes"), "%s", run.out);
	run_done(&run);
	server_stop(&server);
}
END_TEST

START_TEST(test_ping_json)
{
	struct run run;
	json_t *object;
	char *text;

	start();
	run_expect(&run, NULL,
		   WORDS("--json", "-c", at("length", "udp"), "ping", "-n", "2", "-i", "0"), 0);
	text = run.out;
	for (int i = 1; i <= 2; i++) {
		object = next_object(&text);
		ck_assert_double_eq(number(object, "seq"), i);
		ck_assert_double_eq(number(object, "bytes"), 64);
		ck_assert_double_gt(number(object, "time_ms"), 0);
		json_decref(object);
	}
	object = next_object(&text);
	ck_assert_double_eq(number(object, "sent"), 2);
	ck_assert_double_eq(number(object, "received"), 2);
	ck_assert_double_eq(number(object, "loss_percent"), 0);
	ck_assert_double_le(number(object, "min_ms"), number(object, "avg_ms"));
	ck_assert_double_le(number(object, "avg_ms"), number(object, "max_ms"));
	json_decref(object);
	ck_assert_str_eq(text, "");
	run_done(&run);
	server_stop(&server);
}
END_TEST

START_TEST(test_ping_nothing_back)
{
	char address[64];
	int fd = bind_datagrams(address); /* takes what comes, and says nothing */
	struct run run;

	run_expect(&run, NULL,
		   WORDS("-c", address, "--timeout", "50ms", "ping", "-n", "2", "-i", "1ms"), 75);
	ck_assert_ptr_nonnull(strstr(run.out, "2 sent, 0 received, 100% lost"));
	ck_assert_ptr_nonnull(strstr(run.out, "no answer to seq=2"));
	run_done(&run);
	closep(&fd);
}
END_TEST

/* Of three datagrams the second is lost, and the third answered twice. */
START_TEST(test_ping_loss)
{
	char address[64], message[128];
	CLEANUP(closep) int fd = bind_datagrams(address);
	struct sockaddr_storage peer;
	struct run run;

	run_start(
		&run, NULL,
		WORDS("-c", address, "--timeout", run_timeout(), "ping", "-n", "3", "-i", "10ms"));
	for (int i = 1; i <= 3; i++) {
		socklen_t len = sizeof(peer);
		ssize_t n =
			recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&peer, &len);

		ck_assert_int_eq(n, 64);
		for (int times = i == 2 ? 0 : i == 3 ? 2 : 1; times > 0; times--)
			ck_assert_int_eq(sendto(fd, message, 64, 0, (struct sockaddr *)&peer, len),
					 64);
	}
	run_end(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_msg(strstr(run.out, "3 sent, 2 received, 33.3% lost") &&
			      strstr(run.out, "no answer to seq=2") &&
			      strstr(run.out, "seq=3 time"),
		      "%s", run.out);
	run_done(&run);
}
END_TEST

START_TEST(test_ping_interrupted)
{
	CLEANUP(buffer_done) struct buffer said = {0};
	struct run_setup setup = {0};
	struct run run;
	int out[2];
	ssize_t n;

	start();
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	setup.out = out[1];
	run_start(&run, &setup, WORDS("-c", at("length", "tcp"), "ping", "-i", "10ms"));
	closep(&out[1]);
	do {
		ck_assert_int_eq(buffer_reserve(&said, 4096), 0);
		n = read(out[0], said.data + said.len, 4096);
		ck_assert_int_ge(n, 0);
		said.len += (size_t)n;
		if (memmem(said.data, said.len, "seq=2", 5))
			(void)kill(run.pid, SIGINT); /* more than once does no harm */
	} while (n > 0);
	closep(&out[0]);
	run_end(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_msg(memmem(said.data, said.len, " 0% lost", 8), "%.*s", (int)said.len, said.data);
	run_done(&run);
	server_stop(&server);
}
END_TEST

/* ---- bench ---- */

START_TEST(test_bench_verify)
{
	static const char *const shapes[][3] = {{"1", "1", "64"},
						{"20", "16", "1000"},
						{"3", "2", "0"},
						{"2", "3", "50K"},
						{"200", "1", "7"}};
	struct run run;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		for (size_t j = 0; j < ARRAY_SIZE(shapes); j++) {
			bool empty = strcmp(shapes[j][2], "0") == 0;

			if (empty && (strcmp(ways[i].framing, "raw") == 0 ||
				      strcmp(ways[i].listener, "json") == 0))
				continue;
			run_expect(&run, NULL,
				   WORDS("-c", at(ways[i].listener, ways[i].scheme), "bench", "-q",
					 "-d", "50ms", "--warmup", "0", "--verify", "-f",
					 ways[i].framing, "-t", ways[i].transforms, "-C",
					 shapes[j][0], "-P", shapes[j][1], "-s", shapes[j][2]),
				   0);
			ck_assert_ptr_nonnull(strstr(run.out, "every answer verified"));
			run_done(&run);
		}
	server_stop(&server);
}
END_TEST

START_TEST(test_bench_json)
{
	static const char *const order[] = {"min", "p50", "p90", "p99", "p999", "max"};
	struct run run;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		double messages, counted = 0, before = 0;
		json_t *object, *row;
		size_t index;
		char *text;

		run_expect(&run, NULL,
			   WORDS("-c", at(ways[i].listener, ways[i].scheme), "bench", "--json",
				 "-d", "100ms", "--warmup", "10ms", "-C", "5", "-P", "3", "-f",
				 ways[i].framing),
			   0);
		text = run.out;
		object = next_object(&text);
		messages = number(object, "messages");
		ck_assert_double_gt(messages, 0);
		ck_assert_double_eq(number(object, "bytes"), 64 * messages);
		ck_assert_double_ge(number(object, "duration_s"), 0.1);
		ck_assert_double_eq(number(object, "lost"), 0);
		ck_assert_double_ge(number(object, "cpu_user_s"), 0);
		ck_assert_double_eq_tol(number(object, "messages_per_s"),
					messages / number(object, "duration_s"), 1);
		for (size_t j = 0; j < ARRAY_SIZE(order); j++) {
			double value = number(json_object_get(object, "latency_us"), order[j]);

			ck_assert_double_ge(value, before);
			before = value;
		}
		json_array_foreach(json_object_get(object, "histogram_us"), index, row)
			counted += number(row, "count");
		ck_assert_double_eq(counted, messages);
		json_decref(object);
		ck_assert_str_eq(text, "");
		run_done(&run);
	}
	server_stop(&server);
}
END_TEST

START_TEST(test_bench_text)
{
	struct run run;

	start();
	run_expect(&run, NULL,
		   WORDS("-c", at("length", "tcp"), "bench", "-d", "50ms", "--warmup", "0"), 0);
	ck_assert_msg(strstr(run.out, " messages/s") && strstr(run.out, "p99.9") &&
			      strstr(run.out, "###") && strstr(run.out, "own CPU time"),
		      "%s", run.out);
	run_done(&run);
	server_stop(&server);
}
END_TEST

START_TEST(test_bench_finds_wrong_answers)
{
	start();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		run_expect_error(NULL,
				 WORDS("-c", at(ways[i].listener, ways[i].scheme), "bench", "-d",
				       "10s", "--verify", "-f", ways[i].framing, "-t", "echo"),
				 76, "not what the transforms make");
	server_stop(&server);
}
END_TEST

START_TEST(test_bench_refused)
{
	start();
	run_expect_error(NULL, WORDS("-c", at("small", "tcp"), "bench"), 1, "limit of 10 bytes");
	run_expect_error(NULL, WORDS("-c", at("small", "tcp"), "bench", "--verify"), 1,
			 "limit of 10 bytes");
	run_expect_error(NULL, WORDS("-c", at("greet", "tcp"), "bench"), 76, "greet");
	run_expect_error(NULL,
			 WORDS("-c", at("line", "tcp"), "bench", "-f", "raw", "--verify", "-t",
			       "reverse", "-P", "2"),
			 64, "-P 1");
	run_expect_error(NULL, WORDS("-c", at("length", "udp"), "bench", "-s", "65508"), 64,
			 "65507");
	run_expect_error(NULL, WORDS("-c", at("length", "tcp"), "bench", "-C", "1000000"), 71,
			 "open files");
	server_stop(&server);
}
END_TEST

START_TEST(test_bench_many_clients)
{
	struct run run;

	if (harness_raise_files(1100) < 1100) {
		harness_skip("too few open files are allowed");
		return;
	}
	start();
	run_expect(&run, NULL,
		   WORDS("-c", at("length", "unix"), "bench", "-q", "-C", "1000", "-P", "16", "-d",
			 "200ms", "--warmup", "0", "--verify", "-t", "upper,reverse"),
		   0);
	run_done(&run);
	server_stop(&server);
}
END_TEST

/*
 * Every tenth datagram is lost, but none of those that ask whether anybody is there, which come
 * first. The load goes on, and counts them.
 */
START_TEST(test_bench_loss)
{
	char address[64], message[128];
	CLEANUP(closep) int fd = bind_datagrams(address), end = -1;
	struct pollfd polled[2];
	unsigned received = 0;
	struct run run;
	json_t *object;
	char *text;

	run_start(&run, NULL,
		  WORDS("-c", address, "--json", "--timeout", harness_slow() ? "4s" : "1s", "bench",
			"--verify", "-d", harness_slow() ? "8s" : "2s", "--warmup", "0", "-C", "2",
			"-P", "3"));
	end = pidfd_open(run.pid, 0);
	polled[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	polled[1] = (struct pollfd){.fd = end, .events = POLLIN};
	while (poll(polled, 2, harness_patience()) > 0 && !polled[1].revents) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, message, sizeof(message), MSG_DONTWAIT,
				     (struct sockaddr *)&peer, &len);

		if (n > 0 && received++ % 10 != 5)
			(void)sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
	run_end(&run);
	ck_assert_msg(run.status == 0, "%s", run.error);
	text = run.out;
	object = next_object(&text);
	ck_assert_double_gt(number(object, "lost"), 0);
	ck_assert_double_gt(number(object, "messages"), number(object, "lost"));
	json_decref(object);
	run_done(&run);
}
END_TEST

/* ---- several addresses ---- */

static void endpoints_of(const char *text, struct endpoint *ret_endpoint)
{
	CLEANUP(address_done) struct address address = {0};
	struct endpoint *endpoints;
	const char *problem;
	size_t n;

	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_int_eq(address_resolve(&address, false, NULL, &endpoints, &n, &problem), 0);
	*ret_endpoint = endpoints[0];
	free(endpoints);
}

/* Sends a message and takes its answer. */
static int round_trip(struct link *link)
{
	struct message message;
	int r = link_send(link, "a", 1);

	while (r == 0 && link_next(link, &message) != LINK_MESSAGE) {
		struct pollfd fd = {.fd = link->fd, .events = link_events(link)};

		ck_assert_int_eq(poll(&fd, 1, harness_patience()), 1);
		r = link_io(link, fd.revents);
	}
	return r;
}

START_TEST(test_next_endpoint)
{
	static const char *const schemes[] = {"tcp", "udp"};
	struct endpoint endpoints[2];
	struct link link;
	char address[64];

	start();
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		CLEANUP(closep)
		int fd = refuse_anywhere(i == 0 ? SOCK_STREAM : SOCK_DGRAM, address);

		ck_assert_int_ge(fd, 0);
		endpoints_of(address, &endpoints[0]);
		endpoints_of(at("length", schemes[i]), &endpoints[1]);
		ck_assert_int_eq(link_open(&link, endpoints, 2, FRAMING_LENGTH, 5000), 0);
		ck_assert_int_eq(round_trip(&link), 0);
		link_done(&link);
	}
	server_stop(&server);
}
END_TEST

START_TEST(test_no_endpoint)
{
	struct endpoint endpoints[2];
	struct link link;
	char address[64];
	CLEANUP(closep) int fd = refuse_anywhere(SOCK_STREAM, address);

	ck_assert_int_ge(fd, 0);
	endpoints_of(address, &endpoints[0]);
	endpoints_of("unix:/nonexistent/socket", &endpoints[1]);
	/* What is refused tells more than what does not exist. */
	ck_assert_int_eq(link_open(&link, endpoints, 2, FRAMING_LENGTH, 5000), -ECONNREFUSED);
	ck_assert_int_eq(link_open(&link, endpoints + 1, 1, FRAMING_LENGTH, 5000), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load");

	harness_add(suite, test_ping);
	harness_add(suite, test_ping_keeps_time);
	harness_add(suite, test_ping_greeting);
	harness_add(suite, test_ping_json);
	harness_add(suite, test_ping_nothing_back);
	harness_add(suite, test_ping_loss);
	harness_add(suite, test_ping_interrupted);
	harness_add(suite, test_bench_verify);
	harness_add(suite, test_bench_json);
	harness_add(suite, test_bench_text);
	harness_add(suite, test_bench_finds_wrong_answers);
	harness_add(suite, test_bench_refused);
	harness_add(suite, test_bench_many_clients);
	harness_add(suite, test_bench_loss);
	harness_add(suite, test_next_endpoint);
	harness_add(suite, test_no_endpoint);
	return harness_main(suite);
}
