/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command line and the configuration, as a person meets them: what is printed, and how it ends.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "config.h"
#include "harness.h"

/* Runs retortd with these arguments to its end. */
static void run(struct server *server, int exit_status, const char *const *arguments)
{
	server_init(server);
	server_run(server, &(struct server_setup){.arguments = arguments}, exit_status);
}
#define RUN(server, exit_status, ...) \
	run(server, exit_status, (const char *const[]){__VA_ARGS__, NULL})

static void assert_says(const char *path, const char *text)
{
	CLEANUP(freep) char *contents = file_read(path);

	ck_assert_msg(strstr(contents, text) != NULL, "\"%s\" does not say \"%s\"", contents, text);
}

START_TEST(version_and_help)
{
	static const char *const versions[] = {"-V", "--version"};
	static const char *const helps[] = {"-h", "--help"};
	static const char *const options[] = {
		"--config",  "--test",	  "--print-config", "--listen",	 "--framing", "--transform",
		"--service", "--dialect", "--state-dir",    "--control", "--verbose", "--version"};
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		RUN(&server, 0, versions[i]);
		assert_says(server.output, RETORT_VERSION);
		server_done(&server);
	}
	for (size_t i = 0; i < ARRAY_SIZE(helps); i++) {
		RUN(&server, 0, helps[i]);
		for (size_t j = 0; j < ARRAY_SIZE(options); j++)
			assert_says(server.output, options[j]);
		server_done(&server);
	}
}
END_TEST

START_TEST(bad_command_lines)
{
	static const char *const lines[][5] = {
		{"--unknown"},
		{"-l"},
		{"argument"},
		{"--framing", "line"},
		{"--transform", "upper"},
		{"--service", "chat"},
		{"--dialect", "text"},
		{"--state-dir", ""},
		{"--state-dir=a", "--state-dir=b"},
		{"--state-dir"},
		{"--control", ""},
		{"--control=a", "--control=b"},
		{"-l", "tcp://127.0.0.1:0", "--framing", "square"},
		{"-l", "tcp://127.0.0.1:0", "--transform", "upside"},
		{"-l", "unix:x", "--service", "chats"},
		{"-l", "unix:x", "--service=chat", "--framing=raw"},
		{"-l", "unix:x", "--service=chat", "--dialect=text"},
		{"-l", "unix:x", "--service=chat", "--transform=upper"},
		{"-l", "unix:x", "--dialect=object"},
		{"-l", "udp://127.0.0.1:0", "--service=chat"},
		{"-l", "tcp://127.0.0.1:99999"},
		{"-l", "nonsense"},
		{"-l", "unix:x", "-c", "file"},
	};
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		CLEANUP(freep) char *log = NULL;

		run(&server, EX_USAGE, lines[i]);
		log = file_read(server.log);
		ck_assert_msg(*log, "nothing said about command line %zu", i);
		server_done(&server);
	}
}
END_TEST

START_TEST(test_of_a_good_file)
{
	struct server server;

	server_init(&server);
	server_run(&server,
		   &(struct server_setup){
			   .config = "listeners: ({ name = \"alpha\"; framing = \"line\"; "
				     "listen = [ \"tcp://127.0.0.1:7\", \"unix:a\" ]; },"
				     "{ name = \"beta\"; listen = \"udp://[::1]:9\"; "
				     "transforms = [ \"reverse\" ]; });",
			   .arguments = (const char *const[]){"-t", NULL}},
		   0);
	assert_says(server.output, "alpha");
	assert_says(server.output, "tcp://127.0.0.1:7");
	assert_says(server.output, "unix:a");
	assert_says(server.output, "beta");
	assert_says(server.output, "udp://[::1]:9");
	assert_says(server.output, "reverse");
	server_done(&server);

	server_init(&server);
	server_run(&server,
		   &(struct server_setup){
			   .config = "listeners: ({ name = \"gamma\"; service = \"chat\"; "
				     "dialect = \"text\"; framing = \"line\"; "
				     "listen = \"unix:g\"; });"
				     "chat: { rooms: ({ name = \"ops\"; durable = false; }); };",
			   .arguments = (const char *const[]){"--test", NULL}},
		   0);
	assert_says(server.output, "gamma: unix:g; framing line; chat in dialect text\n");
	assert_says(server.output, "room ops: in memory");
	server_done(&server);
}
END_TEST

/* All that is wrong is said in one run, each with its line. */
START_TEST(every_error_at_once)
{
	static const char config[] = "worker = 3;\n"
				     "max_message = \"lots\";\n"
				     "max_pending = -1;\n"
				     "timeouts: { idle = \"soon\"; };\n"
				     "listeners: (\n"
				     "  { name = \"a\"; listen = \"tcp://127.0.0.1:1\"; },\n"
				     "  { name = \"a\"; listen = \"tcp://127.0.0.1:2\"; },\n"
				     "  { name = \"b\"; listen = \"tcp://127.0.0.1:1\"; },\n"
				     "  { name = \"c\"; listen = \"tcp://127.0.0.1\"; },\n"
				     "  { name = \"d\"; listen = 5; },\n"
				     "  { name = \"e\"; listen = \"unix:e\"; framing = \"x\"; },\n"
				     "  { name = \"f\"; listen = \"unix:f\"; "
				     "transforms = [ \"upside\" ]; },\n"
				     "  { name = \"g\"; listen = \"unix:g\"; colour = 1; },\n"
				     "  { name = \"h\"; },\n"
				     "  { name = \"i\"; listen = \"unix:i\"; framing = \"raw\"; "
				     "payload = \"json\"; },\n"
				     "  { name = \"j\"; listen = \"unix:j\"; service = \"chat\"; "
				     "framing = \"raw\"; },\n"
				     "  { name = \"k\"; listen = \"unix:k\"; service = \"chat\"; "
				     "framing = \"line\"; }\n"
				     ");\n"
				     "chat: {\n"
				     "  guests = 1;\n"
				     "  rooms: ( { name = \"ops\"; },\n"
				     "    { name = \"OPS\"; } );\n"
				     "};\n";
	static const unsigned wrong[] = {1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 22};
	static const unsigned right[] = {5, 6, 17, 18, 19, 21, 23};
	struct server server;
	char place[SERVER_PATH_MAX + 16];

	server_init(&server);
	server_run(&server, &(struct server_setup){.config = config}, EX_CONFIG);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		(void)sprintf(place, "%s:%u: ", server.config, wrong[i]);
		assert_says(server.log, place);
	}
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		(void)sprintf(place, "%s:%u: ", server.config, right[i]);
		ck_assert_msg(!server_count_log(&server, place), "%s is right", place);
	}
	server_done(&server);
}
END_TEST

START_TEST(bad_files)
{
	static const char *const configs[] = {
		"listeners: (",
		"listeners = 3;",
		"workers = 1; workers = 2;",
		"workers = 100000;",
		"workers = \"two\";",
		"max_message = 0;",
		"listeners: ({ name = \"\"; listen = \"unix:x\"; });",
		"listeners: ({ name = \"a b\"; listen = \"unix:x\"; });",
		"listeners: ({ name = \"a\"; listen = []; });",
		"listeners: ({ name = \"a\"; listen = \"\"; });",
		"listeners: ({ name = \"a\"; listen = \"http://localhost:1\"; });",
		"@include \"missing.conf\"",
		"chat: { guests = \"yes\"; };",
		"chat: { rooms: ({ name = \"a b\"; }); };",
		"chat: { admins = [ \"\" ]; };",
		"tls: { key = \"x\"; };",
		"listeners: ({ listen = \"unix:x\"; service = \"chat\"; payload = \"json\"; });",
		"listeners: ({ listen = \"udp://localhost:9\"; service = \"chat\"; });",
		"listeners: ({ listen = \"unix:x\"; dialect = \"text\"; });",
		"max_message = 2047;",
		"greeting = \"\xff\";",
	};
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		server_init(&server);
		server_run(&server,
			   &(struct server_setup){.config = configs[i],
						  .arguments = (const char *const[]){"-t", NULL}},
			   EX_CONFIG);
		if (strstr(configs[i], "@include") == NULL)
			assert_says(server.log, "retortd.conf:1: ");
		server_done(&server);
	}
	RUN(&server, EX_CONFIG, "-c", "/nonexistent/retortd.conf");
	assert_says(server.log, "/nonexistent/retortd.conf");
	server_done(&server);
	RUN(&server, EX_CONFIG, "-c", "/");
	server_done(&server);
}
END_TEST

static char *printed(const char *config, const char *const *arguments)
{
	struct server server;
	char *text;

	server_init(&server);
	server_run(&server, &(struct server_setup){.config = config, .arguments = arguments}, 0);
	text = file_read(server.output);
	server_done(&server);
	return text;
}

START_TEST(printed_configuration_loads_to_the_same)
{
	static const char *const configs[] = {
		"",
		"workers = 3; log_level = \"warning\"; max_clients = 77; crash_safe = true; "
		"max_clients_per_address = 5; max_message = \"3K\"; "
		"max_pending = 12345; greeting = \"say \\\"hi\\\" \\\\ \xc3\xbc\\n\\t.\"; "
		"timeouts: { idle = \"90s\"; message = \"1500ms\"; handshake = \"1min\"; "
		"drain = 0; };"
		"listeners: ({ name = \"one\"; listen = [ \"tcp://*:7\", \"tcp://[::1]:8\", "
		"\"udp://localhost:9\", \"unix:@abstract\" ]; framing = \"line\"; "
		"payload = \"json\"; transforms = [ \"upper\", \"reverse\" ]; "
		"max_message = 100; max_pending = \"1M\"; max_clients = 4; "
		"max_clients_per_address = 2; greeting = \"own\"; "
		"timeouts: { idle = \"2d\"; message = \"250ms\"; }; },"
		"{ name = \"two\"; listen = \"unix:/tmp/two.sock\"; framing = \"raw\"; });",
		"listeners: ({ name = \"one\"; listen = \"unix:one\"; service = \"chat\"; "
		"max_message = \"2K\"; }, { listen = \"tcp://*:0\"; service = \"chat\"; dialect = "
		"\"text\"; framing = \"line\"; greeting = \"hi\"; }); "
		"chat: { guests = false; create_rooms = false; admins = [ \"anna\", \"@adm\" ]; "
		"history: { max_messages = 9; max_age = \"2d\"; }; rate: { messages = 3; }; "
		"max_rooms = 8; max_rooms_per_client = 7; max_presence = 5; max_requests = 6; "
		"max_topic = \"2K\"; "
		"max_memory = \"3M\"; rooms: ({ name = \"ops\"; topic = \"say \\\"hi\\\"\"; "
		"transforms "
		"= [ \"upper\" ]; durable = false; members = [ \"anna\" ]; }, { name = "
		"\"\xc3\xbc\"; }); };",
	};
	static const char *const print[] = {"--print-config", NULL};
	static const char *const listen[] = {"--print-config", "-l",   "tcp://127.0.0.1:0",
					     "--framing",      "line", "--transform",
					     "upper,reverse",  "-l",   "unix:x",
					     "--service",      "chat", NULL};

	for (size_t i = 0; i <= ARRAY_SIZE(configs); i++) {
		bool file = i < ARRAY_SIZE(configs);
		CLEANUP(freep)
		char *first = printed(file ? configs[i] : NULL, file ? print : listen);
		CLEANUP(freep) char *second = printed(first, print);

		ck_assert_str_eq(first, second);
		ck_assert_ptr_nonnull(strstr(first, "max_message"));
	}
}
END_TEST

/* Without any file it serves what conf/retortd.conf says. */
START_TEST(built_in_configuration)
{
	CLEANUP(freep) char *text = NULL;

	if (access(CONFIG_DEFAULT_FILE, F_OK) == 0) {
		harness_skip(CONFIG_DEFAULT_FILE " exists, and is what would be served");
		return;
	}
	text = printed(NULL, (const char *const[]){"--print-config", NULL});
	ck_assert_ptr_nonnull(strstr(text, "tcp://localhost:9090"));
	ck_assert_ptr_nonnull(strstr(text, "tcp://localhost:33333"));
	ck_assert_ptr_nonnull(strstr(text, "udp://localhost:7007"));
	ck_assert_ptr_nonnull(strstr(text, "unix:chat.sock"));
	ck_assert_ptr_nonnull(strstr(text, "tcp://localhost:1243"));
	ck_assert_ptr_nonnull(strstr(text, "tcp://localhost:1244"));
	ck_assert_ptr_nonnull(strstr(text, "name = \"lobby\""));
}
END_TEST

/* Makes a /etc of this test alone; false where that cannot be done. */
static bool private_etc(void)
{
	if (harness_private_mounts() && mount("tmpfs", "/etc", "tmpfs", 0, NULL) == 0 &&
	    mkdir("/etc/retort", 0755) == 0)
		return true;
	harness_skip("no /etc of its own");
	return false;
}

/* A default file that cannot be read is not the same as none. */
START_TEST(unreadable_default_file)
{
	struct server server;

	if (!private_etc())
		return;
	ck_assert_int_eq(symlink(CONFIG_DEFAULT_FILE, CONFIG_DEFAULT_FILE), 0);
	RUN(&server, EX_CONFIG, "-t");
	assert_says(server.log, CONFIG_DEFAULT_FILE);
	server_done(&server);
	ck_assert_int_eq(unlink(CONFIG_DEFAULT_FILE), 0);
	RUN(&server, 0, "-t");
	server_done(&server);
	ck_assert_int_eq(rmdir("/etc/retort"), 0);
	file_write("/etc/retort", "", 0);
	RUN(&server, 0, "-t");
	server_done(&server);
}
END_TEST

/* A default file that has gone does not make a reload change to what is built in. */
START_TEST(vanished_default_file)
{
	static const char config[] =
		"listeners: ({ name = \"a\"; listen = \"unix:a\"; framing = \"line\"; });"
		"timeouts: { drain = 0; };";
	struct server server;

	if (!private_etc())
		return;
	file_write(CONFIG_DEFAULT_FILE, config, strlen(config));
	server_init(&server);
	server_start(&server, &(struct server_setup){0});
	ck_assert_int_eq(unlink(CONFIG_DEFAULT_FILE), 0);
	server_signal(&server, SIGHUP);
	free(server_wait_log(&server, CONFIG_DEFAULT_FILE));
	free(server_wait_log(&server, "configuration not reloaded"));
	server_assert_serves(&server, "a", FRAMING_LINE);
	server_stop(&server);
}
END_TEST

/* What was asked for and could not be printed is a failure. */
START_TEST(nowhere_to_print)
{
	static const char *const options[] = {"--help", "--version", "--test", "--print-config"};
	static const char script[] = "#!/bin/sh\nexec \"$@\" >/dev/full\n";
	char path[SERVER_PATH_MAX + 16];
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		server_init(&server);
		(void)sprintf(path, "%s/full", server.directory);
		file_write(path, script, strlen(script));
		ck_assert_int_eq(chmod(path, 0700), 0);
		ck_assert_int_eq(setenv("RETORTD_WRAPPER", path, 1), 0);
		server_run(
			&server,
			&(struct server_setup){.arguments = (const char *const[]){options[i], "-l",
										  "unix:a", NULL}},
			EX_OSERR);
		assert_says(server.log, "No space left on device");
		server_done(&server);
	}
}
END_TEST

START_TEST(listeners_of_the_command_line)
{
	CLEANUP(closep) int one = -1, two = -1, three = -1;
	struct server server;

	server_init(&server);
	server_start(&server,
		     &(struct server_setup){.arguments = (const char *const[]){
						    "-l", "tcp://127.0.0.1:0", "--framing", "line",
						    "--transform", "upper,reverse",
						    "--listen=unix:two.sock", "--framing=raw", "-l",
						    "tcp://[::1]:0", "--transform=lower", NULL}});
	one = client(&server, "listen-1", "tcp:");
	send_text(one, "abc\n");
	expect_text(one, "CBA\n");
	two = client(&server, "listen-2", "unix:");
	send_text(two, "abc");
	expect_text(two, "abc");
	three = client(&server, "listen-3", "tcp:");
	send_frame(three, "ABC", 3);
	expect_frame(three, "abc", 3);
	hang_up(&one);
	hang_up(&two);
	hang_up(&three);
	server_stop(&server);
}
END_TEST

START_TEST(included_files)
{
	static const char included[] = "framing = \"line\";\ntransforms = [ \"upper\" ];\n";
	CLEANUP(closep) int fd = -1;
	char path[SERVER_PATH_MAX + 16];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/common.inc", server.directory);
	file_write(path, included, strlen(included));
	server_start(&server, &(struct server_setup){.config = "listeners: ({\nname = \"a\";\n"
							       "listen = \"unix:a\";\n"
							       "@include \"common.inc\"\n});"});
	fd = client(&server, "a", NULL);
	send_text(fd, "abc\n");
	expect_text(fd, "ABC\n");
	server_stop(&server);
}
END_TEST

/* Payloads are in no log, however verbose. */
START_TEST(verbose)
{
	CLEANUP(closep) int fd = -1;
	struct server server;
	char *said;

	server_init(&server);
	server_start(&server, &(struct server_setup){.arguments = (const char *const[]){
							     "-v", "-l", "tcp://127.0.0.1:0",
							     "--framing", "line", NULL}});
	fd = client(&server, "listen-1", NULL);
	send_text(fd, "xyzzy\n");
	expect_text(fd, "xyzzy\n");
	hang_up(&fd);
	said = server_wait_log(&server, "tcp://127.0.0.1:");
	free(said);
	(void)server_wait_counter(&server, "listen-1", "clients gone", 1);
	ck_assert_uint_eq(server_count_log(&server, "xyzzy"), 0);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_config");

	harness_add(suite, version_and_help);
	harness_add(suite, bad_command_lines);
	harness_add(suite, test_of_a_good_file);
	harness_add(suite, every_error_at_once);
	harness_add(suite, bad_files);
	harness_add(suite, printed_configuration_loads_to_the_same);
	harness_add(suite, built_in_configuration);
	harness_add(suite, unreadable_default_file);
	harness_add(suite, vanished_default_file);
	harness_add(suite, nowhere_to_print);
	harness_add(suite, listeners_of_the_command_line);
	harness_add(suite, included_files);
	harness_add(suite, verbose);
	return harness_main(suite);
}
