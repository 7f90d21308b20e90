/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SIGHUP and SIGUSR1: a configuration that changes under those who are connected, and the summary.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* A round trip through framing line. */
static void assert_answer(int fd, const char *request, const char *answer)
{
	send_text(fd, request);
	expect_text(fd, answer);
}

static void reload(struct server *server)
{
	server_signal(server, SIGHUP);
	server_wait_notify(server, "RELOADING=1");
	server_wait_notify(server, "READY=1");
	server_read_listening(server);
}

START_TEST(a_good_configuration_is_taken)
{
	CLEANUP(closep) int old = -1, young = -1, dropped = -1;
	char address[SERVER_PATH_MAX + 32];
	struct server server;

	server_start_config(&server, "%s",
			    "workers = 2; listeners: ("
			    "{ name = \"a\"; framing = \"line\"; listen = \"unix:a\"; "
			    "transforms = [ \"upper\" ]; },"
			    "{ name = \"gone\"; framing = \"line\"; listen = \"unix:gone\"; });");
	old = client(&server, "a", NULL);
	dropped = client(&server, "gone", NULL);
	assert_answer(old, "abc\n", "ABC\n");
	assert_answer(dropped, "abc\n", "abc\n");
	(void)strcpy(address, server_address(&server, "gone", NULL));

	server_write_config(&server, "%s",
			    "workers = 2; max_message = 1000; listeners: ("
			    "{ name = \"a\"; framing = \"line\"; listen = \"unix:a\"; "
			    "transforms = [ \"reverse\" ]; },"
			    "{ name = \"new\"; listen = [ \"tcp://127.0.0.1:0\", "
			    "\"udp://127.0.0.1:0\" ]; });");
	reload(&server);
	young = client(&server, "a", NULL);
	assert_answer(young, "abc\n", "cba\n");
	/* Whoever was connected stays so, and has the new settings. */
	assert_answer(old, "abc\n", "cba\n");
	server_assert_serves(&server, "new", FRAMING_LENGTH);
	ck_assert_int_lt(try_connect_to(address), 0);
	server_stop(&server);
}
END_TEST

START_TEST(a_bad_configuration_is_not)
{
	static const char *const bad[] = {
		"listeners: (",
		"listeners: ({ name = \"a\"; framing = \"line\"; "
		"listen = \"unix:a\"; "
		"transforms = [ \"upside\" ]; });",
		/* Well written, but one of its sockets cannot be had. */
		"listeners: ({ name = \"a\"; framing = \"line\"; "
		"listen = \"unix:a\"; },"
		"{ name = \"b\"; listen = \"unix:missing/b\"; });",
	};
	CLEANUP(closep) int fd = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; framing "
			    "= \"line\"; listen = \"unix:a\"; "
			    "transforms = [ \"upper\" ]; });");
	fd = client(&server, "a", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(closep) int young = -1;
		char *said;

		server_write_config(&server, "%s", bad[i]);
		reload(&server);
		said = server_wait_log(&server, i < 2 ? "retortd.conf:1: " : "missing/b");
		free(said);
		assert_answer(fd, "abc\n", "ABC\n");
		young = client(&server, "a", NULL);
		assert_answer(young, "abc\n", "ABC\n");
	}
	/* And a good one after it is. */
	server_write_config(&server, "%s",
			    "listeners: ({ name = \"a\"; framing "
			    "= \"line\"; listen = \"unix:a\"; "
			    "});");
	reload(&server);
	assert_answer(fd, "abc\n", "abc\n");
	server_stop(&server);
}
END_TEST

/* What only a restart changes is said with its line, and all of it in one run. */
START_TEST(what_takes_a_restart)
{
	static const char listener[] = "listeners: ({ name = \"a\"; framing = \"line\"; "
				       "listen = \"unix:a\"; });";
	CLEANUP(closep) int fd = -1;
	struct server server;

	server_start_config(&server, "workers = 2; %s", listener);
	fd = client(&server, "a", NULL);
	server_write_config(&server, "max_message = 1000;\nworkers = 3;\ncrash_safe = true;\n%s",
			    listener);
	reload(&server);
	free(server_wait_log(&server, "retortd.conf:2: workers: another number of them takes "
				      "'systemctl restart retortd'"));
	free(server_wait_log(&server, "retortd.conf:3: crash_safe: another value of it takes "
				      "'systemctl restart retortd'"));
	server_write_config(&server, "%s", listener);
	reload(&server);
	free(server_wait_log(&server, "retortd.conf: workers: another number of them"));
	assert_answer(fd, "abc\n", "abc\n");
	server_stop(&server);
}
END_TEST

/* Messages go on while the configuration changes under them; none is lost or answered twice. */
START_TEST(reload_under_load)
{
	CLEANUP(buffer_done) struct buffer load = {0}, got = {0};
	const int rounds = (int)harness_rounds(30, 5);
	struct server server;
	char text[64];

	for (int i = 0; i < 2000; i++)
		wrap(&load, FRAMING_LENGTH, text, (size_t)sprintf(text, "message %d", i));
	server_start_config(&server, "%s",
			    "workers = 2; listeners: ({ name = \"a\"; "
			    "listen = \"tcp://127.0.0.1:0\"; });");
	for (int round = 0; round < rounds; round++) {
		CLEANUP(closep) int one = client(&server, "a", NULL);
		CLEANUP(closep) int two = client(&server, "a", NULL);

		server_write_config(&server,
				    "workers = 2; greeting = \"\"; max_clients = %d; "
				    "timeouts: { idle = %d; }; listeners: ({ name = \"a\"; "
				    "listen = \"tcp://127.0.0.1:0\"; }%s);",
				    100 + round, 60 + round,
				    round % 2 ? ", { name = \"b\"; listen = \"unix:b\"; }" : "");
		send_all(two, load.data, load.len / 2);
		server_signal(&server, SIGHUP);
		exchange(one, load.data, load.len, 700, NULL, true, 0, &got);
		assert_bytes(got.data, got.len, load.data, load.len, "first");
		exchange(two, load.data + load.len / 2, load.len - load.len / 2, 0, NULL, true, 0,
			 &got);
		assert_bytes(got.data, got.len, load.data, load.len, "second");
		/* Notifications have to be read: too many unread ones would block the daemon. */
		server_wait_notify(&server, "READY=1");
	}
	server_stop(&server);
}
END_TEST

/* Good and bad ones in turn, with listeners and rooms that come and go; clients stay. */
START_TEST(many_reloads_leak_nothing)
{
	enum { WARM = 100 }; /* after which memory is what it stays */
	const int rounds = (int)harness_rounds(1000, 100);
	CLEANUP(closep) int fd = -1;
	struct server server;
	size_t fds = 0, memory = 0;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; framing = \"line\"; listen = "
			    "\"unix:a\"; });");
	fd = client(&server, "a", NULL);
	for (int round = 0; round < rounds; round++) {
		server_write_config(&server,
				    "max_clients = %d; listeners: ({ name = \"a\"; framing = "
				    "\"%s\"; listen = \"unix:a\"; }%s); chat: { rooms: ({ name = "
				    "\"room%d\"; }); };",
				    100 + round, round % 2 ? "lime" : "line",
				    round % 4 ? ", { name = \"b\"; listen = \"unix:b\"; }" : "",
				    round % 8);
		reload(&server);
		if (round == WARM) {
			fds = server_fds(&server);
			memory = server_rss(&server);
		}
	}
	assert_answer(fd, "abc\n", "abc\n");
	if (!harness_slow()) {
		ck_assert_uint_le(server_fds(&server), fds + 2);
		ck_assert_uint_le(server_rss(&server), memory + (1 << 20));
	}
	server_stop(&server);
}
END_TEST

/* The command line's listeners have no file; there is nothing to be read anew. */
START_TEST(reload_without_a_file)
{
	CLEANUP(closep) int fd = -1;
	struct server server;

	server_init(&server);
	server_start(&server,
		     &(struct server_setup){.arguments = (const char *const[]){
						    "-l", "unix:a", "--framing", "line", NULL}});
	fd = client(&server, "listen-1", NULL);
	reload(&server);
	assert_answer(fd, "abc\n", "abc\n");
	hang_up(&fd);
	server_stop(&server);
}
END_TEST

START_TEST(summary)
{
	CLEANUP(closep) int one = -1, two = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ("
			    "{ name = \"a\"; framing = \"line\"; listen = \"unix:a\"; },"
			    "{ name = \"b\"; listen = \"tcp://127.0.0.1:0\"; });");
	one = client(&server, "a", NULL);
	two = client(&server, "b", NULL);
	for (int i = 0; i < 5; i++)
		assert_answer(one, "abc\n", "abc\n");
	assert_answer(two, "3         abc", "3         abc");
	ck_assert_uint_eq(server_counter(&server, "a", "messages"), 5);
	ck_assert_uint_eq(server_counter(&server, "a", "bytes in"), 20);
	/* Counted once it is sent, and the client may have it by then. */
	ck_assert_uint_eq(server_wait_counter(&server, "a", "bytes out", 20), 20);
	ck_assert_uint_eq(server_counter(&server, "a", "clients now"), 1);
	ck_assert_uint_eq(server_counter(&server, "b", "messages"), 1);
	ck_assert_uint_eq(server_counter(&server, "b", "bytes in"), 13);
	ck_assert_uint_eq(server_counter(&server, NULL, "messages"), 6);
	ck_assert_uint_eq(server_counter(&server, NULL, "clients now"), 2);
	hang_up(&one);
	ck_assert_uint_eq(server_wait_counter(&server, "a", "clients gone", 1), 1);
	ck_assert_uint_eq(server_counter(&server, "a", "clients now"), 0);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_reload");

	harness_add(suite, a_good_configuration_is_taken);
	harness_add(suite, a_bad_configuration_is_not);
	harness_add(suite, what_takes_a_restart);
	harness_add(suite, reload_under_load);
	harness_add(suite, many_reloads_leak_nothing);
	harness_add(suite, reload_without_a_file);
	harness_add(suite, summary);
	return harness_main(suite);
}
