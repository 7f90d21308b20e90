/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration files that are garbage: whatever they hold, -t ends with 0 or EX_CONFIG, and says
 * what is wrong; never by a signal, never without a word.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "harness.h"

static const char good[] =
	"# a comment\n"
	"workers = 2; max_clients = 100; max_clients_per_address = 10;\n"
	"max_message = \"64K\"; max_pending = \"1M\"; greeting = \"hello \\\"there\\\"\";\n"
	"timeouts: { idle = \"90s\"; message = \"10s\"; handshake = 10; drain = \"500ms\"; };\n"
	"listeners: (\n"
	"  { name = \"one\"; listen = [ \"tcp://*:7007\", \"unix:@x\" ]; framing = \"line\";\n"
	"    transforms = [ \"upper\", \"reverse\" ]; payload = \"json\"; mode = \"0660\"; },\n"
	"  { name = \"two\"; listen = \"udp://[::1]:9\"; max_message = 100;\n"
	"    timeouts: { idle = 0; }; },\n"
	"  { name = \"three\"; listen = \"unix:c\"; service = \"chat\"; dialect = \"text\";\n"
	"    framing = \"line\"; max_message = \"2K\"; }\n"
	");\n"
	"chat: { guests = false; create_rooms = true; admins = [ \"root\", \"@adm\" ];\n"
	"  history: { max_messages = 10; max_age = \"1d\"; }; rate: { messages = 5; burst = 9; };\n"
	"  max_rooms = 9; max_rooms_per_client = 8; max_requests = 7; max_topic = \"1K\";\n"
	"  max_memory = \"1M\"; rooms: ( { name = \"ops\"; topic = \"t\"; transforms = [ "
	"\"upper\" ];\n"
	"  durable = false; members = [ \"anna\" ]; }, { name = \"dev\"; } ); };\n";

/* Returns the exit status of retortd -t on a file of these bytes. */
static int test_file(struct server *server, const void *data, size_t len)
{
	static const char *arguments[] = {"-t", "-c", NULL, NULL};
	CLEANUP(freep) char *log = NULL;
	int status;

	arguments[2] = server->config;
	file_write(server->config, data, len);
	server_spawn(server, &(struct server_setup){.arguments = arguments});
	status = server_wait_end(server);
	hang_up(&server->notify);
	ck_assert_msg(WIFEXITED(status), "signal %d on: %.*s", WTERMSIG(status), (int)len,
		      (const char *)data);
	ck_assert_msg(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EX_CONFIG,
		      "exit status %d on: %.*s", WEXITSTATUS(status), (int)len, (const char *)data);
	log = file_read(server->log);
	ck_assert_msg(WEXITSTATUS(status) == 0 || *log, "nothing said about: %.*s", (int)len,
		      (const char *)data);
	return WEXITSTATUS(status);
}

START_TEST(every_prefix_of_a_good_file)
{
	const size_t step = harness_rounds(5, 60);
	struct server server;

	server_init(&server);
	ck_assert_int_eq(test_file(&server, good, strlen(good)), 0);
	for (size_t len = 0; len < strlen(good); len += step)
		(void)test_file(&server, good, len);
	server_done(&server);
}
END_TEST

START_TEST(good_files_with_wrong_bytes)
{
	const size_t rounds = harness_rounds(200, 20);
	struct random random;
	struct server server;

	random_init_run(&random, "good_files_with_wrong_bytes");
	server_init(&server);
	for (size_t i = 0; i < rounds; i++) {
		char text[sizeof good];
		size_t n = 1 + random_below(&random, 5);

		memcpy(text, good, sizeof good);
		while (n-- > 0)
			text[random_below(&random, sizeof text - 1)] = (char)random_next(&random);
		(void)test_file(&server, text, sizeof text - 1);
	}
	server_done(&server);
}
END_TEST

START_TEST(random_bytes)
{
	const size_t rounds = harness_rounds(100, 20);
	struct random random;
	struct server server;

	random_init_run(&random, "random_bytes");
	server_init(&server);
	for (size_t i = 0; i < rounds; i++) {
		char text[2000];
		size_t len = random_below(&random, sizeof text);

		for (size_t j = 0; j < len; j++)
			text[j] = (char)(random_next(&random) & (i % 2 ? 0xff : 0x7f));
		(void)test_file(&server, text, len);
	}
	server_done(&server);
}
END_TEST

/* Odd but whole files: what they nest, include and repeat without measure. */
START_TEST(without_measure)
{
	static char deep[400000], wide[600000];
	char *end = deep, include[SERVER_PATH_MAX + 32];
	struct server server;

	server_init(&server);
	for (int i = 0; i < 20000; i++)
		end += sprintf(end, "a: { ");
	ck_assert_int_eq(test_file(&server, deep, strlen(deep)), EX_CONFIG);
	memset(deep, '(', 20000);
	memcpy(deep, "listeners: ", 11);
	ck_assert_int_eq(test_file(&server, deep, 20000), EX_CONFIG);

	end = wide + sprintf(wide, "listeners: (");
	for (int i = 0; i < 5000; i++)
		end += sprintf(end, "%s{ name = \"l%d\"; listen = \"tcp://127.0.0.1:%d\"; }",
			       i ? ", " : "", i, 1000 + i);
	(void)sprintf(end, ");");
	ck_assert_int_eq(test_file(&server, wide, strlen(wide)), EX_CONFIG);

	end = wide + sprintf(wide, "chat: { max_rooms = 9000; rooms: (");
	for (int i = 0; i < 9000; i++)
		end += sprintf(end, "%s{ name = \"r%d\"; members = [ \"a\" ]; }", i ? ", " : "", i);
	(void)sprintf(end, "); };");
	ck_assert_int_eq(test_file(&server, wide, strlen(wide)), EX_CONFIG);

	/* A file that includes itself. */
	(void)sprintf(include, "@include \"%s\"\n", server.config);
	ck_assert_int_eq(test_file(&server, include, strlen(include)), EX_CONFIG);
	server_done(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile_config");

	harness_add(suite, every_prefix_of_a_good_file);
	harness_add(suite, good_files_with_wrong_bytes);
	harness_add(suite, random_bytes);
	harness_add(suite, without_measure);
	return harness_main(suite);
}
