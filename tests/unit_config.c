/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configurations that are right: what each key does, what is included and built in, and that what
 * is printed loads to the same.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "config_builtin.h"
#include "harness.h"
#include "harness_config.h"
#include "util.h"

static char *print(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(config_print(config, out), 0);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

/* Goes where a test may write. */
static void enter_directory(void)
{
	const char *directory = getenv("RETORT_TEST_DIRECTORY");

	ck_assert_ptr_nonnull(directory);
	ck_assert_int_eq(chdir(directory), 0);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void assert_defaults(const struct settings *settings)
{
	ck_assert_int_eq(settings->framing, FRAMING_LENGTH);
	ck_assert_int_eq(settings->service, SERVICE_TRANSFORM);
	ck_assert_int_eq(settings->dialect, DIALECT_OBJECT);
	ck_assert_int_eq(settings->payload, PAYLOAD_TEXT);
	ck_assert_uint_eq(settings->pipeline.n_steps, 0);
	ck_assert_uint_eq(settings->max_requests, 256);
	ck_assert_uint_eq(settings->max_message, 1048576);
	ck_assert_uint_eq(settings->max_pending, 4194304);
	ck_assert_uint_eq(settings->max_clients, 0);
	ck_assert_uint_eq(settings->max_clients_per_address, 0);
	ck_assert_str_eq(settings->greeting, "");
	ck_assert_uint_eq(settings->timeouts.idle, 0);
	ck_assert_uint_eq(settings->timeouts.message, 10000);
	ck_assert_uint_eq(settings->timeouts.handshake, 10000);
	ck_assert_uint_eq(settings->timeouts.drain, 5000);
}

START_TEST(has_defaults)
{
	struct config *config = config_right("listeners: ( { listen = \"unix:a\"; } );");

	ck_assert_uint_eq(config->workers, 0);
	ck_assert_int_eq(config->log_level, LOG_INFO);
	ck_assert_uint_eq(config->max_clients, 0);
	ck_assert(!config->crash_safe);
	assert_defaults(&config->defaults);
	ck_assert_uint_eq(config->n_listeners, 1);
	assert_defaults(&config->listeners->settings);
	ck_assert_str_eq(config->listeners->name, "listener-1");
	ck_assert_uint_eq(config->listeners->mode, 0666);
	ck_assert_ptr_null(config->listeners->user);
	ck_assert_ptr_null(config->listeners->group);
	ck_assert_str_eq(config->listeners->file, "f");
	ck_assert_uint_eq(config->listeners->line, 1);
	config_free(config);
}
END_TEST

START_TEST(takes_every_key_of_the_file)
{
	struct config *config =
		config_right("timeouts: { idle = 0.25; message = \"1.5min\"; handshake = 7;\n"
			     "drain = \"500ms\"; }; workers = 0x10, max_clients = 9L\n"
			     "max_message = \"64K\"; max_pending = 0x200000000;\n"
			     "max_clients_per_address = 3; greeting = \"a\\x41\" \"\\t\";"
			     "log_level = \"warning\"; crash_safe = true;");
	const struct settings *settings = &config->defaults;

	ck_assert_uint_eq(config->workers, 16);
	ck_assert_int_eq(config->log_level, LOG_WARNING);
	ck_assert(config->crash_safe);
	ck_assert_uint_eq(config->max_clients, 9);
	ck_assert_uint_eq(settings->max_clients, 0);
	ck_assert_uint_eq(settings->max_clients_per_address, 3);
	ck_assert_uint_eq(settings->max_message, 65536);
	ck_assert_uint_eq(settings->max_pending, UINT64_C(0x200000000));
	ck_assert_uint_eq(settings->timeouts.idle, 250);
	ck_assert_uint_eq(settings->timeouts.message, 90000);
	ck_assert_uint_eq(settings->timeouts.handshake, 7000);
	ck_assert_uint_eq(settings->timeouts.drain, 500);
	ck_assert_str_eq(settings->greeting, "aA\t");
	config_free(config);
}
END_TEST

START_TEST(takes_every_level_of_the_log)
{
	static const char *const names[] = {"err", "warning", "notice", "info", "debug"};
	static const int levels[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[64];
		struct config *config;

		(void)snprintf(text, sizeof(text), "log_level = \"%s\";", names[i]);
		config = config_right(text);
		ck_assert_int_eq(config->log_level, levels[i]);
		ck_assert_str_eq(config_log_level_name(levels[i]), names[i]);
		config_free(config);
	}
}
END_TEST

START_TEST(takes_every_key_of_a_listener)
{
	struct config *config = config_right(
		"listeners: ( { listen = ( \"unix:x\", \"udp://*:7\" ); framing = \"line\";\n"
		"service = \"transform\"; transforms = [ \"upper\", \"reverse\" ];\n"
		"payload = \"json\"; max_clients = 1; max_clients_per_address = 2;\n"
		"max_message = 3; max_pending = \"4K\"; greeting = \"hi\";\n"
		"timeouts: { drain = 6; }; mode = 0640; user = 0; group = \"root\"; name = \"n\"; "
		"},\n"
		"{ listen = \"unix:y\"; mode = \"777\"; user = \"root\"; group = \"12345\"; } );\n"
		"max_message = \"2M\"; timeouts: { idle = 1; };");
	const struct listener_config *listener = config_find(config, "n");
	const struct settings *settings = &listener->settings;

	ck_assert_uint_eq(listener->n_addresses, 2);
	ck_assert_str_eq(listener->addresses[0].path, "x");
	ck_assert_int_eq(listener->addresses[1].transport, TRANSPORT_UDP);
	ck_assert_int_eq(settings->framing, FRAMING_LINE);
	ck_assert_int_eq(settings->payload, PAYLOAD_JSON);
	ck_assert_uint_eq(settings->pipeline.n_steps, 2);
	ck_assert_int_eq(settings->pipeline.steps[0], TRANSFORM_UPPER);
	ck_assert_int_eq(settings->pipeline.steps[1], TRANSFORM_REVERSE);
	ck_assert_uint_eq(settings->max_clients, 1);
	ck_assert_uint_eq(settings->max_clients_per_address, 2);
	ck_assert_uint_eq(settings->max_message, 3);
	ck_assert_uint_eq(settings->max_pending, 4096);
	ck_assert_str_eq(settings->greeting, "hi");
	ck_assert_uint_eq(settings->timeouts.idle, 1000);
	ck_assert_uint_eq(settings->timeouts.message, 10000);
	ck_assert_uint_eq(settings->timeouts.drain, 6000);
	ck_assert_uint_eq(listener->mode, 0640);
	ck_assert_str_eq(listener->user, "0");
	ck_assert_str_eq(listener->group, "root");

	listener = config_find(config, "listener-2");
	ck_assert_uint_eq(listener->line, 6);
	ck_assert_uint_eq(listener->settings.max_message, 2097152);
	ck_assert_uint_eq(listener->mode, 0777);
	ck_assert_str_eq(listener->user, "root");
	ck_assert_str_eq(listener->group, "12345");
	ck_assert_ptr_null(config_find(config, "N"));
	config_free(config);
}
END_TEST

START_TEST(takes_the_ends_of_ranges)
{
	static const char *const texts[] = {
		"workers = 1024;",
		"max_clients = 1000000000; max_clients_per_address = 1000000000;",
		"max_message = 1; max_pending = 1; listeners: ( { listen = \"unix:a\"; } );",
		"max_message = \"1G\"; max_pending = \"16G\";",
		"timeouts: { idle = \"365250d\"; message = 31557600000; drain = 0.0; };",
		"workers = 1; # no end of line",
		"workers = 1;\r\nmax_clients = 2;\r\n",
		"/* a comment\n * @include \"none\" */ workers = 1; // \"\n",
		"listeners: ( { listen = \"unix:a\"; greeting = \"a\n@include\"; } );",
		"max_message = \"2K\";",
		"chat: { history: { max_messages = 1000000000; max_age = \"365250d\"; }; };",
		"chat: { rate: { messages = 1000000; burst = 1; }; max_rooms = 1000000; };",
		"chat: { max_requests = 65536; max_topic = \"64K\"; max_memory = \"16G\"; };",
		"chat: { max_rooms_per_client = 1; };",
		"chat: { max_rooms = 1; max_rooms_per_client = 1000000; };",
		"chat: { max_requests = 1; max_topic = 64; max_memory = 1; };",
		"chat: { rate: { burst = 0; messages = 0; }; rooms = ( ); };",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		config_free(config_right(texts[i]));
}
END_TEST

START_TEST(includes_beside_the_including_file)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *said = NULL;
	struct config *config = NULL;

	enter_directory();
	ck_assert_int_eq(mkdir("d", 0700), 0);
	ck_assert_int_eq(mkdir("d/e", 0700), 0);
	write_text("d/main.conf", "workers = 3;\n@include \"e/empty\"\nlisteners: (\n"
				  "@include \"e/one.conf\"\n,\n { listen = \"unix:b\"; }\n);");
	write_text("d/e/empty", "");
	write_text("d/e/one.conf", "{ listen = \"unix:a\";\n  @include \"two.conf\"\n}");
	write_text("d/e/two.conf", "framing = \"line\"; # no line end");
	ck_assert_int_eq(config_load("d/main.conf", &config, &problems), 0);
	ck_assert_uint_eq(config->n_listeners, 2);
	ck_assert_int_eq(config->listeners[0].settings.framing, FRAMING_LINE);
	ck_assert_str_eq(config->listeners[0].file, "d/e/one.conf");
	ck_assert_uint_eq(config->listeners[0].line, 1);
	ck_assert_str_eq(config->listeners[1].file, "d/main.conf");
	ck_assert_uint_eq(config->listeners[1].line, 6);
	config_free(config);
	config = NULL;

	write_text("d/e/one.conf",
		   "{\n@include \"two.conf\" listen = 1;\n@include \"../main.conf\"\n x = 1; }");
	write_text("d/e/two.conf", "\nframing = \"lin\";\n\n");
	ck_assert_int_eq(config_load("d/main.conf", &config, &problems), -EINVAL);
	said = config_said(&problems);
	ck_assert_str_eq(
		said,
		"d/e/one.conf:3: cannot include \"d/e/../main.conf\": it includes itself; remove "
		"this "
		"line\n"
		"d/e/two.conf:2: framing \"lin\" is unknown; did you mean \"line\"?\n"
		"d/e/one.conf:2: listen needs an address or an array of them, not a whole number; "
		"write, say, listen = \"tcp://localhost:7007\";\n"
		"d/e/one.conf:4: the key \"x\" is unknown; known are name, listen, framing, "
		"service, dialect, "
		"transforms, payload, max_clients, max_clients_per_address, max_message, "
		"max_pending, "
		"greeting, timeouts, mode, user, group\n");
}
END_TEST

/* The sample is built in, whole, and is what a file has that does not name listeners. */
START_TEST(has_the_sample_built_in)
{
	struct config *builtin = NULL, *empty = config_right(""),
		      *other = config_right("max_message = \"7K\";");
	CLEANUP(freep) char *printed = NULL, *of_empty = print(empty);

	ck_assert_int_eq(config_load_builtin(&builtin), 0);
	printed = print(builtin);
	ck_assert_str_eq(printed, of_empty);
	assert_defaults(&builtin->defaults);
	ck_assert_uint_eq(builtin->n_listeners, 5);
	ck_assert_str_eq(builtin->listeners[0].name, "upper");
	ck_assert_int_eq(builtin->listeners[0].settings.framing, FRAMING_RAW);
	ck_assert_int_eq(builtin->listeners[1].settings.framing, FRAMING_LINE);
	ck_assert_uint_eq(builtin->listeners[2].n_addresses, 2);
	assert_defaults(&builtin->listeners[2].settings);
	ck_assert_ptr_null(builtin->listeners[0].file);
	ck_assert_uint_eq(other->listeners[2].settings.max_message, 7168);
	ck_assert_uint_eq(builtin->chat.n_rooms, 1);
	ck_assert_str_eq(builtin->chat.rooms->name, "lobby");
	ck_assert_ptr_nonnull(builtin->chat.rooms->topic);
	config_free(builtin);
	config_free(empty);
	config_free(other);
}
END_TEST

/* Every key that the file or a listener can have is in the sample. */
START_TEST(tells_of_every_key_in_the_sample)
{
	static const char *const keys[] = {"workers = ",
					   "max_clients = ",
					   "max_clients_per_address = ",
					   "max_message = ",
					   "max_pending = ",
					   "greeting = ",
					   "idle = ",
					   "message = ",
					   "handshake = ",
					   "drain = ",
					   "listeners:",
					   "\n#name = ",
					   "\n#listen = ",
					   "\n#framing = ",
					   "\n#service = ",
					   "\n#transforms = ",
					   "\n#payload = ",
					   "\n#max_clients = ",
					   "\n#mode = ",
					   "\n#user = ",
					   " group = ",
					   "\n#dialect = ",
					   "\nchat:",
					   "guests = ",
					   "create_rooms = ",
					   "admins = ",
					   "history: {",
					   "max_messages = ",
					   "max_age = ",
					   "rate: {",
					   "messages = ",
					   "burst = ",
					   "max_rooms = ",
					   "max_rooms_per_client = ",
					   "max_presence = ",
					   "max_requests = ",
					   "max_topic = ",
					   "max_memory = ",
					   "rooms:",
					   "#topic = ",
					   "\t#name = ",
					   "\t#transforms = ",
					   "#durable = ",
					   "#members = "};
	size_t len;
	const char *text = config_builtin_text(&len);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert_msg(memmem(text, len, keys[i], strlen(keys[i])), "%s", keys[i]);
}
END_TEST

START_TEST(prints_what_loads_to_the_same)
{
	static const char *const texts[] = {
		"",
		"workers = 7; max_clients = 8; max_clients_per_address = 9; max_message = 1025;\n"
		"max_pending = \"3M\"; greeting = \"\\\"\\\\\\n\\t\\r\\x01\\x7fж\"; timeouts: { "
		"idle = 1;\n"
		"message = \"1ms\"; handshake = 0; drain = \"2d\"; };\n"
		"listeners: ( { listen = [ \"tcp://[::1]:1\", \"unix:a\\\"b\\\\\" ]; framing = "
		"\"raw\";\n"
		"transforms = [ \"upper\", \"lower\" ]; mode = 0600; user = \"root\"; group = 7; "
		"},\n"
		"{ listen = \"tcp://*:0\"; payload = \"json\"; greeting = \"\"; max_clients = 3; } "
		");",
		"greeting = \"hello\"; listeners: ( { listen = \"unix:c\"; service = \"chat\"; },\n"
		"{ listen = \"unix:t\"; service = \"chat\"; dialect = \"text\"; framing = "
		"\"line\"; },\n"
		"{ listen = \"unix:u\"; service = \"chat\"; framing = \"line\"; mode = 0600; } );\n"
		"chat: { guests = false; create_rooms = false; admins = [ ]; history: {\n"
		"max_messages = 7; max_age = \"90d\"; }; rate: { messages = 3; };\n"
		"max_rooms = 5; max_rooms_per_client = 4; max_requests = 3; max_topic = 100;\n"
		"max_memory = 2049; rooms: ( { name = \"a\"; topic = \"\\\"\\n\"; }, { name = "
		"\"комната\"; transforms = [ \"upper\", \"reverse\" ]; durable = false;\n"
		"members = [ \"a\\\"b\", \"@c\" ]; } ); };",
		"chat: { rooms: ( ); };",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config *config = config_right(texts[i]), *again;
		CLEANUP(freep) char *first = print(config), *second = NULL;

		again = config_right(first);
		second = print(again);
		ck_assert_str_eq(first, second);
		ck_assert_uint_eq(again->workers, config->workers);
		ck_assert_str_eq(again->defaults.greeting, config->defaults.greeting);
		ck_assert_uint_eq(again->defaults.timeouts.drain, config->defaults.timeouts.drain);
		ck_assert_uint_eq(again->listeners[0].mode, config->listeners[0].mode);
		config_free(config);
		config_free(again);
	}
}
END_TEST

START_TEST(says_when_it_cannot_be_written)
{
	struct config *config = config_right("");
	FILE *full = fopen("/dev/full", "we");

	ck_assert_ptr_nonnull(full);
	ck_assert_int_eq(config_print(config, full), -EIO);
	ck_assert_int_eq(config_summarise(config, full), -EIO);
	(void)fclose(full); /* fails as well */
	config_free(config);
}
END_TEST

START_TEST(summarises)
{
	struct config *config = NULL;
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_int_eq(config_load_builtin(&config), 0);
	ck_assert_int_eq(config_summarise(config, out), 0);
	(void)fclose(out);
	ck_assert_str_eq(text,
			 "upper: tcp://localhost:9090; framing raw; transform upper; payload text\n"
			 "reverse: tcp://localhost:33333; framing line; transform reverse; payload "
			 "text\n"
			 "echo: tcp://localhost:7007, udp://localhost:7007; framing length; "
			 "transform echo; payload text\n"
			 "chat: unix:chat.sock, tcp://localhost:1243; framing length; chat in "
			 "dialect object\n"
			 "talk: tcp://localhost:1244; framing line; chat in dialect text\n"
			 "room lobby: durable; transform echo; for all\n");
	config_free(config);
}
END_TEST

START_TEST(takes_listeners_of_the_command_line)
{
	static const struct config_listen listens[] = {
		{.address = "tcp://*:0"},
		{"unix:x", .framing = "line", .transforms = "upper,reverse",
		 .service = "transform"},
	};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *text = NULL;
	struct config *config = NULL;

	ck_assert_int_eq(config_load_listen(listens, ARRAY_SIZE(listens), &config, &problems), 0);
	ck_assert_uint_eq(config->n_listeners, 2);
	ck_assert_str_eq(config->listeners[0].name, "listen-1");
	assert_defaults(&config->listeners[0].settings);
	ck_assert_str_eq(config->listeners[1].name, "listen-2");
	ck_assert_str_eq(config->listeners[1].addresses->path, "x");
	ck_assert_int_eq(config->listeners[1].settings.framing, FRAMING_LINE);
	ck_assert_uint_eq(config->listeners[1].settings.pipeline.n_steps, 2);
	text = print(config);
	config_free(config_right(text));
	config_free(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");

	harness_add(suite, has_defaults);
	harness_add(suite, takes_every_key_of_the_file);
	harness_add(suite, takes_every_level_of_the_log);
	harness_add(suite, takes_every_key_of_a_listener);
	harness_add(suite, takes_the_ends_of_ranges);
	harness_add(suite, includes_beside_the_including_file);
	harness_add(suite, has_the_sample_built_in);
	harness_add(suite, tells_of_every_key_in_the_sample);
	harness_add(suite, prints_what_loads_to_the_same);
	harness_add(suite, says_when_it_cannot_be_written);
	harness_add(suite, summarises);
	harness_add(suite, takes_listeners_of_the_command_line);
	return harness_main(suite);
}
