/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration of chat: what each key does, and what is said of each mistake. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "harness_config.h"
#include "util.h"

START_TEST(has_defaults)
{
	static const char *const texts[] = {"", "chat: { };",
					    "chat: { rate: { }; history: { }; };"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config *config = config_right(texts[i]);
		const struct chat_config *chat = &config->chat;

		ck_assert(chat->guests);
		ck_assert(chat->create_rooms);
		ck_assert_uint_eq(chat->n_admins, 1);
		ck_assert_str_eq(chat->admins[0], "root");
		ck_assert_uint_eq(chat->max_messages, 100000);
		ck_assert_uint_eq(chat->max_age, 0);
		ck_assert_uint_eq(chat->rate, 0);
		ck_assert_uint_eq(chat->burst, 0);
		ck_assert_uint_eq(chat->max_rooms, 4096);
		ck_assert_uint_eq(chat->max_rooms_per_client, 256);
		ck_assert_uint_eq(chat->max_requests, 256);
		ck_assert_uint_eq(chat->max_presence, 1000);
		ck_assert_uint_eq(chat->max_topic, 1024);
		ck_assert_uint_eq(chat->max_memory, 16777216);
		ck_assert_uint_eq(chat->n_rooms, 1);
		ck_assert_str_eq(chat->rooms->name, "lobby");
		ck_assert(chat->rooms->durable);
		ck_assert_uint_eq(chat->rooms->n_members, 0);
		ck_assert_uint_eq(chat->rooms->pipeline.n_steps, 0);
		config_free(config);
	}
}
END_TEST

START_TEST(takes_every_key)
{
	struct config *config = config_right(
		"chat: { rooms: ( { name = \"a\"; } ); guests = false; create_rooms = false;\n"
		"admins = [ \"anna\", \"@wheel\" ]; history: { max_messages = 5;\n"
		"max_age = \"90d\"; }; rate: { messages = 2; burst = 9; }; max_rooms = 7;\n"
		"max_rooms_per_client = 6; max_presence = 9; max_requests = 4; "
		"max_topic = \"2K\";\n"
		"max_memory = 3; };");
	const struct chat_config *chat = &config->chat;

	ck_assert(!chat->guests);
	ck_assert(!chat->create_rooms);
	ck_assert_uint_eq(chat->n_admins, 2);
	ck_assert_str_eq(chat->admins[0], "anna");
	ck_assert_str_eq(chat->admins[1], "@wheel");
	ck_assert_uint_eq(chat->max_messages, 5);
	ck_assert_uint_eq(chat->max_age, UINT64_C(90) * 86400 * 1000);
	ck_assert_uint_eq(chat->rate, 2);
	ck_assert_uint_eq(chat->burst, 9);
	ck_assert_uint_eq(chat->max_rooms, 7);
	ck_assert_uint_eq(chat->max_rooms_per_client, 6);
	ck_assert_uint_eq(chat->max_requests, 4);
	ck_assert_uint_eq(chat->max_presence, 9);
	ck_assert_uint_eq(chat->max_topic, 2048);
	ck_assert_uint_eq(chat->max_memory, 3);
	ck_assert_uint_eq(chat->n_rooms, 1);
	config_free(config);
}
END_TEST

START_TEST(takes_every_key_of_a_room)
{
	struct config *config = config_right(
		"chat: { rooms: ( { members = ( \"anna\", \"@staff\" ); durable = false;\n"
		"transforms = [ \"upper\", \"reverse\" ]; topic = \"t\"; name = \"Ops\"; },\n"
		"{ name = \"e\xcc\x81té\"; topic = \"\"; members = [ ]; durable = true; },\n"
		"{ name = \"третья\"; } ); };");
	const struct room_config *room = config->chat.rooms;

	ck_assert_uint_eq(config->chat.n_rooms, 3);
	ck_assert_str_eq(room[0].name, "Ops");
	ck_assert_str_eq(room[0].topic, "t");
	ck_assert(!room[0].durable);
	ck_assert_uint_eq(room[0].pipeline.n_steps, 2);
	ck_assert_int_eq(room[0].pipeline.steps[1], TRANSFORM_REVERSE);
	ck_assert_uint_eq(room[0].n_members, 2);
	ck_assert_str_eq(room[0].members[0], "anna");
	ck_assert_str_eq(room[0].members[1], "@staff");
	ck_assert_str_eq(room[1].name, "été"); /* NFC */
	ck_assert_str_eq(room[1].topic, "");
	ck_assert(room[1].durable);
	ck_assert_uint_eq(room[1].n_members, 0);
	ck_assert_str_eq(room[2].name, "третья");
	ck_assert_ptr_null(room[2].topic);
	ck_assert(room[2].durable);
	config_free(config);
}
END_TEST

START_TEST(takes_the_keys_of_a_listener)
{
	struct config *config = config_right(
		"greeting = \"hi\"; max_message = 1000; chat: { max_requests = 9; };\n"
		"listeners: ( { listen = \"unix:a\"; service = \"chat\"; max_message = 2048; },\n"
		"{ listen = \"unix:b\"; service = \"chat\"; framing = \"line\";\n"
		"dialect = \"text\"; max_message = \"3K\"; },\n"
		"{ listen = \"unix:c\"; service = \"chat\"; framing = \"line\";\n"
		"dialect = \"object\"; greeting = \"\"; max_message = \"3K\"; },\n"
		"{ listen = \"unix:d\"; service = \"transform\"; } );");
	const struct listener_config *listeners = config->listeners;

	ck_assert_int_eq(listeners[0].settings.service, SERVICE_CHAT);
	ck_assert_int_eq(listeners[0].settings.dialect, DIALECT_OBJECT);
	ck_assert_int_eq(listeners[0].settings.framing, FRAMING_LENGTH);
	ck_assert_uint_eq(listeners[0].settings.max_requests, 9);
	ck_assert_int_eq(listeners[1].settings.service, SERVICE_CHAT);
	ck_assert_int_eq(listeners[1].settings.dialect, DIALECT_TEXT);
	ck_assert_int_eq(listeners[2].settings.dialect, DIALECT_OBJECT);
	ck_assert_int_eq(listeners[3].settings.service, SERVICE_TRANSFORM);
	/* No JSON object, so not for those who wait for nothing else. */
	ck_assert_str_eq(listeners[0].settings.greeting, "");
	ck_assert_str_eq(listeners[1].settings.greeting, "hi");
	ck_assert_str_eq(listeners[2].settings.greeting, "");
	ck_assert_str_eq(listeners[3].settings.greeting, "hi");
	config_free(config);
}
END_TEST

START_TEST(allows_as_much_at_once_as_in_a_second)
{
	static const char *const texts[] = {
		"chat: { rate: { messages = 7; }; };",
		"chat: { rate: { burst = 0; messages = 7; }; };",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config *config = config_right(texts[i]);

		ck_assert_uint_eq(config->chat.rate, 7);
		ck_assert_uint_eq(config->chat.burst, 7);
		config_free(config);
	}
}
END_TEST

START_TEST(has_the_rooms_of_the_built_in_configuration)
{
	static const struct config_listen listen = {.address = "unix:x", .service = "chat"};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config =
		config_right("listeners: ( { listen = \"unix:a\"; } ); chat: { guests = false; };");

	ck_assert_uint_eq(config->n_listeners, 1);
	ck_assert_uint_eq(config->chat.n_rooms, 1);
	ck_assert_str_eq(config->chat.rooms->name, "lobby");
	config_free(config);

	config = config_right("chat: { rooms: ( ); };");
	ck_assert_uint_eq(config->n_listeners, 5);
	ck_assert_uint_eq(config->chat.n_rooms, 0);
	config_free(config);

	ck_assert_int_eq(config_load_listen(&listen, 1, &config, &problems), 0);
	ck_assert_int_eq(config->listeners->settings.service, SERVICE_CHAT);
	ck_assert_uint_eq(config->chat.n_rooms, 1);
	config_free(config);
}
END_TEST

#define LISTENER(text) \
	"listeners: ( { name = \"a\"; listen = \"unix:a\"; service = \"chat\";\n" text " } );"
#define CHAT(text) "chat: {\n" text " };"
#define ROOM(text) "chat: { rooms: (\n{ " text " } ); };"
#define ROOMS(...) "chat: { rooms: (\n" __VA_ARGS__ " ); };"

static const struct {
	const char *text, *problems;
} wrong[] = {
	/* Listeners */
	{LISTENER("framing = \"raw\";"),
	 "f:2: service \"chat\" needs to know where a message ends, which framing \"raw\" does not "
	 "say; choose framing \"line\" or \"length\"\n"},
	{LISTENER("\ndialect = \"text\";"),
	 "f:3: dialect \"text\" is spoken in lines, and listener \"a\" has framing \"length\"; "
	 "choose framing \"line\"\n"},
	{LISTENER("dialect = \"text\";\nframing = \"raw\";"),
	 "f:3: dialect \"text\" is spoken in lines, and listener \"a\" has framing \"raw\"; choose "
	 "framing \"line\"\n"},
	{LISTENER("dialect = \"txt\";"),
	 "f:2: dialect \"txt\" is unknown; did you mean \"text\"?\n"},
	{LISTENER("dialect = \"irc\";"),
	 "f:2: dialect \"irc\" is unknown; known are object, text\n"},
	{LISTENER("dialect = 1;"), "f:2: dialect needs a string, not a whole number; write, say, "
				   "dialect = \"text\";\n"},
	{LISTENER("payload = \"json\";\ntransforms = [ \"upper\" ];"),
	 "f:2: payload is for service \"transform\", and listener \"a\" has service \"chat\"; "
	 "remove it, since the dialect says what a message is\n"
	 "f:3: transforms is for service \"transform\", and listener \"a\" has service \"chat\"; "
	 "remove it, or write it in a room\n"},
	{LISTENER("payload = \"text\";"),
	 "f:2: payload is for service \"transform\", and listener \"a\" has service \"chat\"; "
	 "remove it, since the dialect says what a message is\n"},
	{"listeners: ( { name = \"a\"; listen = \"unix:a\";\ndialect = \"object\"; } );",
	 "f:2: dialect is for service \"chat\", and listener \"a\" has service \"transform\"; "
	 "remove it, or choose service \"chat\"\n"},
	{LISTENER("max_message = 2047;"),
	 "f:2: max_message of listener \"a\" is 2047, too little for service \"chat\"; it must be "
	 "at least 2048\n"},
	{"\nmax_message = 99;\n" LISTENER(""),
	 "f:2: max_message of listener \"a\" is 99, too little for service \"chat\"; it must be at "
	 "least 2048\n"},
	{"\n\nmax_message = \"1K\";",
	 "f:3: max_message of listener \"chat\" is 1024, too little for service \"chat\"; it must "
	 "be at least 2048\n"
	 "f:3: max_message of listener \"talk\" is 1024, too little for service \"chat\"; it must "
	 "be at least 2048\n"},
	{LISTENER("greeting = \"hello\";"),
	 "f:2: the greeting of listener \"a\" is no JSON object, as every message in dialect "
	 "\"object\" is; leave it out\n"},
	{LISTENER("dialect = \"text\"; framing = \"line\";\ngreeting = \"a\\nb\";"),
	 "f:3: the greeting of listener \"a\" holds a line end, but is one line in framing "
	 "\"line\"; leave it out\n"},
	{"listeners: ( { service = \"chat\"; listen = [ \"tcp://a:1\",\n\"udp://a:1\",\n"
	 "\"udp://b:1\" ]; } );",
	 "f:2: service \"chat\" needs a connection, which udp://a:1 has not; write tcp://HOST:PORT "
	 "or unix:PATH\n"
	 "f:3: service \"chat\" needs a connection, which udp://b:1 has not; write tcp://HOST:PORT "
	 "or unix:PATH\n"},
	{"listeners: ( { service = \"chat\"; listen = [ \"nonsense\",\n\"udp://b:1\" ]; } );",
	 "f:1: the address \"nonsense\" is wrong: the transport is missing; write "
	 "tcp://HOST:PORT, udp://HOST:PORT or unix:PATH\n"
	 "f:2: service \"chat\" needs a connection, which udp://b:1 has not; write tcp://HOST:PORT "
	 "or unix:PATH\n"},

	/* The group */
	{"chat = 1;", "f:1: chat needs a group { }, not a whole number; write, say, chat = { "
		      "create_rooms = true; };\n"},
	{CHAT("guest = true;"), "f:2: the key \"guest\" is unknown; did you mean \"guests\"?\n"},
	{CHAT("x = 1;"),
	 "f:2: the key \"x\" is unknown; known are guests, create_rooms, admins, history, rate, "
	 "max_rooms, max_rooms_per_client, max_presence, max_requests, max_topic, max_memory, "
	 "rooms\n"},
	{CHAT("guests = 1;"), "f:2: chat.guests needs true or false, not a whole number; write, "
			      "say, guests = true;\n"},
	{CHAT("create_rooms = \"no\";"), "f:2: chat.create_rooms needs true or false, not a "
					 "string; write, say, create_rooms = true;\n"},
	{CHAT("admins = \"root\";"),
	 "f:2: chat.admins needs an array of names of users and \"@GROUP\"s, not a string; write, "
	 "say, admins = [ \"root\", \"@wheel\" ];\n"},
	{CHAT("admins = [ \"root\",\n\"\",\n\"@\" ];"),
	 "f:3: admins holds \"\", which names nobody; write a user's name, or \"@GROUP\"\n"
	 "f:4: admins holds \"@\", which names nobody; write a user's name, or \"@GROUP\"\n"},
	{CHAT("admins = [ 0 ];"), "f:2: chat.admins needs a string, not a whole number; write, "
				  "say, admins = [ \"root\", \"@wheel\" ];\n"},
	{CHAT("history = 5;"), "f:2: chat.history needs a group { }, not a whole number; write, "
			       "say, history = { max_messages = 100000; };\n"},
	{CHAT("history: { max = 5; };"),
	 "f:2: the key \"max\" is unknown; known are max_messages, max_age\n"},
	{CHAT("history: { max_messages = -1; };"),
	 "f:2: history.max_messages is -1; it must be from 0 to 1000000000\n"},
	{CHAT("history: {\nmax_age = \"3w\"; };"),
	 "f:3: history.max_age is \"3w\", which is no time; write seconds, or a number with ms, s, "
	 "min, h or d, say \"90d\"\n"},
	{CHAT("rate = 5;"), "f:2: chat.rate needs a group { }, not a whole number; write, say, "
			    "rate = { messages = 5; };\n"},
	{CHAT("rate: { messages = 1000001; };"),
	 "f:2: rate.messages is 1000001; it must be from 0 to 1000000\n"},
	{CHAT("rate: { messages = 1; burst = -1; };"),
	 "f:2: rate.burst is -1; it must be from 0 to 1000000\n"},
	{CHAT("rate: {\nburst = 5; };"), "f:3: rate.burst limits nothing without rate.messages; "
					 "write, say, messages = 5; or remove burst\n"},
	{CHAT("max_rooms = 0;"), "f:2: chat.max_rooms is 0; it must be from 1 to 1000000\n"},
	{CHAT("max_rooms_per_client = 1000001;"),
	 "f:2: chat.max_rooms_per_client is 1000001; it must be from 1 to 1000000\n"},
	{CHAT("max_requests = 65537;"),
	 "f:2: chat.max_requests is 65537; it must be from 1 to 65536\n"},
	{CHAT("max_presence = 1000001;"),
	 "f:2: chat.max_presence is 1000001; it must be from 0 to 1000000\n"},
	{CHAT("max_topic = 63;"), "f:2: chat.max_topic is 63; it must be from 64 to 64K\n"},
	{CHAT("max_topic = \"1X\";"),
	 "f:2: chat.max_topic is \"1X\", which is no size; write bytes, or a number with K, M or "
	 "G, say \"1K\"\n"},
	{CHAT("max_memory = \"17G\";"), "f:2: chat.max_memory is 17G; it must be from 1 to 16G\n"},

	/* Rooms */
	{CHAT("rooms = [ ];"), "f:2: chat.rooms needs a list of groups, not an array [ ]; write, "
			       "say, rooms = ( { name = \"lobby\"; } );\n"},
	{ROOMS("\"lobby\""), "f:2: chat.rooms needs a list of groups, not a string; write, say, "
			     "rooms = ( { name = \"lobby\"; } );\n"},
	{ROOM("topic = \"x\";"), "f:2: a room has no name; write, say, name = \"lobby\";\n"},
	{ROOM("name = 1;"),
	 "f:2: name needs a string, not a whole number; write, say, name = \"lobby\";\n"},
	{ROOM("name = \"\";"),
	 "f:2: the room's name \"\" will not do: a name has at least one character\n"},
	{ROOM("name = \"a b\";"), "f:2: the room's name \"a b\" will not do: a name has only "
				  "letters, digits, \"-\", \"_\" and \".\"\n"},
	{ROOM("name = \"@anna\";"), "f:2: the room's name \"@anna\" will not do: a name has only "
				    "letters, digits, \"-\", \"_\" and \".\"\n"},
	{ROOM("name = \"lоbby\";"), "f:2: the room's name \"lоbby\" will not do: the letters of a "
				    "name are of one script\n"},
	{ROOM("name = \"abcdefghijklmnopqrstuvwxyzabcdefg\";"),
	 "f:2: the room's name \"abcdefghijklmnopqrstuvwxyzabcdefg\" will not do: a name has at "
	 "most 32 characters\n"},
	{ROOMS("{ name = \"ops\"; },\n{ name = \"dev\"; },\n{ durable = true;\nname = \"OPS\"; }"),
	 "f:5: a room of the name \"OPS\", in whatever letter case, is already at f:2; give each a "
	 "name of its own\n"},
	{ROOM("name = \"a\"; colour = 1;"), "f:2: the key \"colour\" is unknown; known are name, "
					    "topic, transforms, durable, members\n"},
	{ROOM("name = \"a\"; topic = 5;"), "f:2: topic needs a string, not a whole number; write, "
					   "say, topic = \"all and sundry\";\n"},
	{ROOM("name = \"a\"; topic = \"a\xff\";"),
	 "f:2: topic is not UTF-8 at byte 1; save the file as UTF-8\n"},
	/* The limit counts wherever it stands. */
	{"chat: { rooms: ( { name = \"a\"; topic = \"1234567890123456789012345678901234567890123456"
	 "7890123456789012345\"; } ); max_topic = 64; };",
	 "f:1: topic has 65 bytes, more than chat.max_topic, 64; shorten it, or raise "
	 "chat.max_topic\n"},
	{"chat: { rooms: ( { name = \"a\"; }, { name = \"b\"; } ); max_rooms = 1; };",
	 "f:1: rooms has 2 of them; it may have up to 1, which is chat.max_rooms\n"},
	{ROOM("name = \"a\"; transforms = [ \"rot13\" ];"),
	 "f:2: transforms \"rot13\" is unknown; known are echo, upper, lower, reverse\n"},
	{ROOM("name = \"a\"; durable = 0;"), "f:2: durable needs true or false, not a whole "
					     "number; write, say, durable = false;\n"},
	{ROOM("name = \"a\"; members = [ \"\" ];"),
	 "f:2: members holds \"\", which names nobody; write a user's name, or \"@GROUP\"\n"},
	{ROOM("name = \"a\"; members = true;"),
	 "f:2: members needs an array of names of users and \"@GROUP\"s, not a boolean; write, "
	 "say, members = [ \"anna\", \"@staff\" ];\n"},
	/* All of it in one run. */
	{"chat: { guests = 1;\nrooms: (\n{ name = \"a b\"; durable = 1;\n},\n7 );\nmax_rooms = 0; "
	 "};\nlisteners: ( { listen = \"unix:a\"; service = \"chat\"; framing = \"raw\"; } );",
	 "f:1: chat.guests needs true or false, not a whole number; write, say, guests = true;\n"
	 "f:6: chat.max_rooms is 0; it must be from 1 to 1000000\n"
	 "f:3: the room's name \"a b\" will not do: a name has only letters, digits, \"-\", \"_\" "
	 "and \".\"\n"
	 "f:3: durable needs true or false, not a whole number; write, say, durable = false;\n"
	 "f:5: chat.rooms needs a list of groups, not a whole number; write, say, rooms = ( { name "
	 "= \"lobby\"; } );\n"
	 "f:7: service \"chat\" needs to know where a message ends, which framing \"raw\" does not "
	 "say; choose framing \"line\" or \"length\"\n"},
};

START_TEST(says_what_is_wrong)
{
	config_wrong(wrong[_i].text, strlen(wrong[_i].text), wrong[_i].problems);
}
END_TEST

/* Writes a list of n texts, each with its number in the middle. */
static char *many(const char *before, const char *left, int n, const char *right,
		  const char *behind)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	(void)fputs(before, out);
	for (int i = 0; i < n; i++)
		(void)fprintf(out, "%s%s%d%s", i > 0 ? "," : "", left, i, right);
	(void)fputs(behind, out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

START_TEST(bounds_what_a_file_may_name)
{
	static const char admins[] = "chat: { admins = [";
	static const char rooms[] = "chat: { max_rooms = 5000; rooms = (";
	CLEANUP(freep) char *users = many(admins, "\"u", 1000, "\"", "]; };");
	CLEANUP(freep) char *too_many_users = many(admins, "\"u", 1001, "\"", "]; };");
	CLEANUP(freep) char *most = many(rooms, "{ name = \"r", 4096, "\"; }", "); };");
	CLEANUP(freep) char *too_many = many(rooms, "{ name = \"r", 4097, "\"; }", "); };");

	config_free(config_right(users));
	config_wrong(too_many_users, strlen(too_many_users),
		     "f:1: admins has 1001 names; it may have up to 1000, so write a \"@GROUP\"\n");
	config_free(config_right(most));
	config_wrong(too_many, strlen(too_many),
		     "f:1: rooms has 4097 of them; it may have up to 4096\n");
}
END_TEST

START_TEST(takes_options)
{
	static const struct config_listen listens[] = {
		{"unix:a", .service = "chat"},
		{"unix:b", .service = "chat", .framing = "line", .dialect = "text"},
		{"unix:c", .service = "chat", .framing = "line", .dialect = "object"},
	};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config = NULL;

	ck_assert_int_eq(config_load_listen(listens, ARRAY_SIZE(listens), &config, &problems), 0);
	ck_assert_int_eq(config->listeners[0].settings.service, SERVICE_CHAT);
	ck_assert_int_eq(config->listeners[0].settings.dialect, DIALECT_OBJECT);
	ck_assert_int_eq(config->listeners[1].settings.service, SERVICE_CHAT);
	ck_assert_int_eq(config->listeners[1].settings.dialect, DIALECT_TEXT);
	ck_assert_int_eq(config->listeners[2].settings.dialect, DIALECT_OBJECT);
	config_free(config);
}
END_TEST

START_TEST(says_which_option_is_wrong)
{
	static const struct config_listen listens[] = {
		{"unix:a", .service = "chat", .framing = "raw"},
		{"unix:b", .service = "chat", .dialect = "text"},
		{"udp://a:1", .service = "chat", .transforms = "upper"},
		{"unix:d", .dialect = "text"},
		{"unix:e", .service = "chat", .dialect = "texts"},
	};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *said = NULL;
	struct config *config = NULL;

	ck_assert_int_eq(config_load_listen(listens, ARRAY_SIZE(listens), &config, &problems),
			 -EINVAL);
	ck_assert_ptr_null(config);
	said = config_said(&problems);
	ck_assert_str_eq(
		said,
		"--framing: service \"chat\" needs to know where a message ends, which framing "
		"\"raw\" does not say; choose framing \"line\" or \"length\"\n"
		"--dialect: dialect \"text\" is spoken in lines, and listener \"listen-2\" has "
		"framing \"length\"; choose framing \"line\"\n"
		"--transform: transforms is for service \"transform\", and listener \"listen-3\" "
		"has service \"chat\"; remove it, or write it in a room\n"
		"--listen: service \"chat\" needs a connection, which udp://a:1 has not; write "
		"tcp://HOST:PORT or unix:PATH\n"
		"--dialect: dialect is for service \"chat\", and listener \"listen-4\" has service "
		"\"transform\"; remove it, or choose service \"chat\"\n"
		"--dialect: the dialect \"texts\" is unknown; did you mean \"text\"?\n");
}
END_TEST

START_TEST(summarises_rooms)
{
	static const char text[] =
		"listeners: ( { name = \"c\"; listen = \"unix:c\"; service = \"chat\"; } );\n"
		"chat: { rooms: ( { name = \"a\"; transforms = [ \"upper\", \"reverse\" ];\n"
		"durable = false; members = [ \"anna\", \"@staff\" ]; }, { name = \"b\"; } ); };";
	struct config *config = config_right(text);
	CLEANUP(freep) char *said = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&said, &len);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(config_summarise(config, out), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_str_eq(said, "c: unix:c; framing length; chat in dialect object\n"
			       "room a: in memory; transform upper, reverse; for \"anna\", "
			       "\"@staff\"\n"
			       "room b: durable; transform echo; for all\n");
	config_free(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_chat");
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, says_what_is_wrong, 0, ARRAY_SIZE(wrong));
	suite_add_tcase(suite, tables);
	harness_add(suite, has_defaults);
	harness_add(suite, takes_every_key);
	harness_add(suite, takes_every_key_of_a_room);
	harness_add(suite, takes_the_keys_of_a_listener);
	harness_add(suite, allows_as_much_at_once_as_in_a_second);
	harness_add(suite, has_the_rooms_of_the_built_in_configuration);
	harness_add(suite, bounds_what_a_file_may_name);
	harness_add(suite, takes_options);
	harness_add(suite, says_which_option_is_wrong);
	harness_add(suite, summarises_rooms);
	return harness_main(suite);
}
