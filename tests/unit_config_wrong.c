/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configurations that are wrong: what is said of each mistake, and on which line. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "harness_config.h"
#include "util.h"

#define LISTENER(text) "listeners: ( { name = \"a\"; listen = \"unix:a\"; " text " } );"
#define SYNTAX                                                                               \
	"syntax error: look here and above for a missing quotation mark, bracket, \"=\" or " \
	"comma between two elements, and for a comma behind the last element\n"

static const struct {
	const char *text, *problems;
} wrong[] = {
	{"\nworkers = -1;", "f:2: workers is -1; it must be from 0 to 1024\n"},
	{"workers = 1025;", "f:1: workers is 1025; it must be from 0 to 1024\n"},
	/* libconfig would cut these to 32 bits, and find nothing wrong. */
	{"workers = 4294967296;", "f:1: workers is 4294967296; it must be from 0 to 1024\n"},
	{"workers = 0x100000001;", "f:1: workers is 4294967297; it must be from 0 to 1024\n"},
	{"workers = 18446744073709551617;",
	 "f:1: workers is 9223372036854775807; it must be from 0 to 1024\n"},
	{"workers = 0x00000000000000010000000000000000000001;",
	 "f:1: workers is 9223372036854775807; it must be from 0 to 1024\n"},
	{"workers = \"4\";",
	 "f:1: workers needs a whole number, not a string; write, say, workers = 4;\n"},
	{"workers = 1.5;", "f:1: workers needs a whole number, not a number with a fraction; "
			   "write, say, workers = 4;\n"},
	{"max_clients = true;", "f:1: max_clients needs a whole number, not a boolean; write, say, "
				"max_clients = 10000;\n"},
	{"max_clients = 1000000001;",
	 "f:1: max_clients is 1000000001; it must be from 0 to 1000000000\n"},
	{"max_message = 0;", "f:1: max_message is 0; it must be from 1 to 1G\n"},
	{"max_message = -1;", "f:1: max_message is -1; it must be from 1 to 1G\n"},
	{"max_message = \"2G\";", "f:1: max_message is 2G; it must be from 1 to 1G\n"},
	{"max_message = \"99999999999G\";",
	 "f:1: max_message is 99999999999G; it must be from 1 to 1G\n"},
	{"max_message = [ 1 ];",
	 "f:1: max_message needs a size, not an array [ ]; write, say, max_message = \"1M\";\n"},
	{"max_pending = \"4 M\";", "f:1: max_pending is \"4 M\", which is no size; write bytes, or "
				   "a number with K, M or G, say "
				   "\"4M\"\n"},
	{"log_level = 3;",
	 "f:1: log_level needs a string, not a whole number; write, say, log_level = "
	 "\"notice\";\n"},
	{"log_level = \"inf\";", "f:1: log_level \"inf\" is unknown; did you mean \"info\"?\n"},
	{"log_level = \"loud\";", "f:1: log_level \"loud\" is unknown; known are err, warning, "
				  "notice, info, debug\n"},
	{"greeting = 1;",
	 "f:1: greeting needs a string, not a whole number; write, say, greeting = \"hello\";\n"},
	{"greeting = \"ab\xff\";",
	 "f:1: greeting is not UTF-8 at byte 2; save the file as UTF-8\n"},
	{"greeting = \"\\x00\";", "f:1: a string cannot hold the byte \\x00; leave it out\n"},
	{"timeouts = 5;", "f:1: timeouts needs a group { }, not a whole number; write, say, "
			  "timeouts = { idle = \"5min\"; "
			  "};\n"},
	{"timeouts: {\nidle = \"5m\"; };", "f:2: timeouts.idle is \"5m\", which is no time; write "
					   "seconds, or a number with ms, s, min, h or "
					   "d, say \"5min\"\n"},
	{"timeouts: { idle = -1; };",
	 "f:1: timeouts.idle is -1; it must be from 0 (never) to 365250d (1000 years)\n"},
	{"timeouts: { idle = 1e400; };",
	 "f:1: timeouts.idle is inf; it must be from 0 (never) to 365250d (1000 years)\n"},
	{"timeouts: { drain = true; };",
	 "f:1: timeouts.drain needs a time, not a boolean; write, say, drain = \"5s\";\n"},
	{"timeouts: { x = 1; };",
	 "f:1: the key \"x\" is unknown; known are idle, message, handshake, drain\n"},
	{"max_mesage = 1;",
	 "f:1: the key \"max_mesage\" is unknown; did you mean \"max_message\"?\n"},
	{"tls: { };",
	 "f:1: the key \"tls\" is unknown; known are workers, log_level, max_clients, crash_safe, "
	 "max_clients_per_address, "
	 "max_message, max_pending, greeting, timeouts, listeners, chat\n"},
	{"listeners = 1;", "f:1: listeners needs a list of groups, not a whole number; write, say, "
			   "listeners = ( { listen = "
			   "\"tcp://localhost:7007\"; } );\n"},
	{"listeners = (\n);", "f:1: there are 0 listeners; write 1 to 4096, or leave \"listeners\" "
			      "out to have the built-in "
			      "ones\n"},
	{"listeners = ( \"a\"\n);", "f:1: listeners needs a list of groups, not a string; write, "
				    "say, listeners = ( { listen = "
				    "\"tcp://localhost:7007\"; } );\n"},
	{"listeners: (\n{ name = \"x\"; } );",
	 "f:2: listener \"x\" has no address; write, say, listen = \"tcp://localhost:7007\";\n"},
	{"listeners: ( {\nlisten = [ ]; } );", "f:2: listener \"listener-1\" has no address; "
					       "write, say, listen = \"tcp://localhost:7007\";\n"},
	{"listeners: ( { listen = 5; } );", "f:1: listen needs an address or an array of them, not "
					    "a whole number; write, say, listen = "
					    "\"tcp://localhost:7007\";\n"},
	/* The last element's line is its own, not that of the bracket. */
	{"listeners: ( { listen = [ \"unix:a\",\n\"tls://a:1\"\n\n]; } );",
	 "f:2: the address \"tls://a:1\" is wrong: this version has no TLS; use tcp://HOST:PORT\n"},
	{"listeners: ( { listen = \"unix:a\"; name = \"a b\"; } );",
	 "f:1: the name \"a b\" will not do; write 1 to 64 letters, digits, -, _ and .\n"},
	{"listeners: ( { listen = \"unix:a\"; name = 5; } );",
	 "f:1: name needs a string, not a whole number; write, say, name = \"echo\";\n"},
	{"listeners: ( { listen = \"unix:a\"; name = \"a\"; },\n{ listen = \"unix:b\";\nname = "
	 "\"a\"; } );",
	 "f:3: a listener of the name \"a\" is already at f:1; give each a name of its own\n"},
	{LISTENER("framing = \"lines\";"),
	 "f:1: framing \"lines\" is unknown; did you mean \"line\"?\n"},
	{LISTENER("framing = \"x\";"),
	 "f:1: framing \"x\" is unknown; known are raw, line, length\n"},
	{LISTENER("service = \"ftp\";"),
	 "f:1: service \"ftp\" is unknown; known are transform, chat\n"},
	{LISTENER("payload = \"xml\";"), "f:1: payload \"xml\" is unknown; known are text, json\n"},
	{LISTENER("transforms = \"upper\";"), "f:1: transforms needs an array of names, not a "
					      "string; write, say, transforms = [ \"upper\" ];\n"},
	{LISTENER("transforms = [ \"echo\",\n\"rot13\"\n];"),
	 "f:2: transforms \"rot13\" is unknown; known are echo, upper, lower, reverse\n"},
	{LISTENER("transforms = [ 1 ];"), "f:1: transforms needs a string, not a whole number; "
					  "write, say, transforms = [ \"upper\" ];\n"},
	{LISTENER("transforms = "
		  "[\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\","
		  "\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\","
		  "\"echo\"];"),
	 "f:1: transforms has 17 steps; it may have up to 16\n"},
	{LISTENER("framing = \"raw\";\npayload = \"json\";"),
	 "f:2: payload \"json\" needs to know where a message ends, which framing \"raw\" does not "
	 "say; "
	 "write framing = \"line\" or \"length\"\n"},
	{LISTENER("framing = \"line\";\ngreeting = \"a\\r\";"),
	 "f:2: the greeting of listener \"a\" holds a line end, but is one line in framing "
	 "\"line\"; leave "
	 "it out\n"},
	{"greeting = \"abc\"; max_message = 2;\n" LISTENER(""),
	 "f:1: the greeting of listener \"a\" has 3 bytes, more than its max_message, 2; shorten "
	 "it, or "
	 "raise max_message\n"},
	{LISTENER("mode = \"0888\";"), "f:1: mode is \"0888\", which are no permissions; write "
				       "them in octal, from \"0000\" to \"0777\", "
				       "say \"0660\"\n"},
	{LISTENER("mode = 01777;"), "f:1: mode is \"1777\", which are no permissions; write them "
				    "in octal, from \"0000\" to \"0777\", "
				    "say \"0660\"\n"},
	{LISTENER("mode = 0x1B0;"), "f:1: mode needs permissions in octal, not a whole number; "
				    "write, say, mode = \"0660\";\n"},
	{LISTENER("user = \"no such user\";"),
	 "f:1: user \"no such user\" does not exist on this system; create it, or name another\n"},
	{LISTENER("group = -1;"),
	 "f:1: group \"-1\" does not exist on this system; create it, or name another\n"},
	{LISTENER("user = 4294967295;"),
	 "f:1: user \"4294967295\" does not exist on this system; create it, or name another\n"},
	{LISTENER("group = [ ];"),
	 "f:1: group needs a name or a number, not an array [ ]; write, say, group = \"adm\";\n"},
	{"listeners: ( { listen = \"tcp://a:1\"; name = \"x\"; mode = 0600;\nuser = 0; } );",
	 "f:1: mode is for Unix sockets, and listener \"x\" has none; remove it, or add an "
	 "address, say "
	 "\"unix:x.sock\"\n"
	 "f:2: user is for Unix sockets, and listener \"x\" has none; remove it, or add an "
	 "address, say "
	 "\"unix:x.sock\"\n"},
	/* Nothing that a terminal would obey. */
	{"greeting = \"\\x1b[2J\"; max_pending = \"\\x1b[2J\";",
	 "f:1: max_pending is \"^[[2J\", which is no size; write bytes, or a number with K, M or "
	 "G, say "
	 "\"4M\"\n"},
	{"workers = 1;\nworkers = 2;",
	 "f:2: duplicate setting name: a key stands twice in one group; remove one of them\n"},
	{"a = [ 1,\n\"x\" ];", "f:2: mismatched element type in array: the elements of an array [ "
			       "] have one type, such as all "
			       "strings; write them so\n"},
	{"workers = 1;\nlisteners: (\n", "f:2: " SYNTAX},
	{"listeners: (\n}", "f:2: " SYNTAX},
	{"))))", "f:1: " SYNTAX},
	{"\n\"x\"", "f:2: a string cannot stand here; is a \"=\" or a comma missing before it?\n"},
	{"\ngreeting = \"\\n\";",
	 "f:2: the greeting of listener \"reverse\" holds a line end, but is one line in framing "
	 "\"line\"; leave it out\n"
	 "f:2: the greeting of listener \"talk\" holds a line end, but is one line in framing "
	 "\"line\"; leave it out\n"},
	{"a = 1, \"x\"",
	 "f:1: a string cannot stand here; is a \"=\" or a comma missing before it?\n"},
	{"\ngreeting = \"x;\n\n",
	 "f:2: the string that begins here has no end; add a quotation mark\n"},
	{"workers = -1;\n/* x;\n\n", "f:2: the comment that begins here has no end; add */\n"
				     "f:1: workers is -1; it must be from 0 to 1024\n"},
	{"@include \"/nonexistent\"\nworkers = -1;",
	 "f:1: cannot include \"/nonexistent\": there is no such file; a relative name starts at "
	 "this file's "
	 "directory\n"
	 "f:2: workers is -1; it must be from 0 to 1024\n"},
	{"@include \"/\"", "f:1: cannot include \"/\": Is a directory\n"},
	{"@include \"/dev/null\"",
	 "f:1: cannot include \"/dev/null\": it is no regular file; name one that is\n"},
	{"a @include \"/dev/null\"", "f:1: an @ begins nothing here; write @include \"FILE\" on a "
				     "line of its own\nf:1: " SYNTAX},
};

START_TEST(says_what_is_wrong)
{
	config_wrong(wrong[_i].text, strlen(wrong[_i].text), wrong[_i].problems);
}
END_TEST

static const struct {
	const char *first, *second;
	bool clash;
} pairs[] = {
	{"tcp://localhost:1", "tcp://localhost:1", true},
	{"tcp://localhost:1", "tcp://LocalHost.:01", true},
	{"tcp://localhost:1", "tcp://127.0.0.1:1", true},
	{"tcp://localhost:1", "udp://localhost:1", false},
	{"tcp://localhost:1", "tcp://localhost:2", false},
	{"tcp://localhost:0", "tcp://localhost:0", false},
	{"tcp://a:1", "tcp://b:1", false},
	{"tcp://*:1", "tcp://a:1", true},
	{"tcp://*:1", "tcp://[::1]:1", true},
	{"tcp://*:1", "tcp://127.0.0.2:1", true},
	{"tcp://0.0.0.0:1", "tcp://127.0.0.2:1", true},
	{"tcp://0.0.0.0:1", "tcp://[::1]:1", false},
	{"tcp://0.0.0.0:1", "tcp://[::]:1", false},
	{"tcp://[::]:1", "tcp://[::1]:1", true},
	{"tcp://[::1]:1", "tcp://[0:0::0001]:1", true},
	{"tcp://[::1]:1", "tcp://[::2]:1", false},
	{"unix:a", "unix:./a", true},
	{"unix:a", "unix:/the/directory/a", true},
	{"unix:/a/b", "unix:/a//./b", true},
	{"unix:/a/.b", "unix:/a/b", false},
	{"unix:a", "unix:@a", false},
	{"unix:@a", "unix:@./a", false},
};

START_TEST(finds_clashing_addresses)
{
	char text[256], expected[512];

	setenv("RUNTIME_DIRECTORY", "/the/directory", 1);
	for (int swap = 0; swap < 2; swap++) {
		const char *first = swap ? pairs[_i].second : pairs[_i].first;
		const char *second = swap ? pairs[_i].first : pairs[_i].second;

		(void)snprintf(text, sizeof(text),
			       "listeners: ( { listen = \"%s\"; },\n { listen = \"%s\"; } );",
			       first, second);
		/* A port is printed without the zeros before it. */
		(void)snprintf(expected, sizeof(expected),
			       "f:2: %s of listener \"listener-2\" is taken by %s of listener "
			       "\"listener-1\" (f:1); give each an address of its own\n",
			       strstr(second, ":01") ? "tcp://LocalHost.:1" : second,
			       strstr(first, ":01") ? "tcp://LocalHost.:1" : first);
		if (pairs[_i].clash)
			config_wrong(text, strlen(text), expected);
		else
			config_free(config_right(text));
	}
}
END_TEST

START_TEST(finds_everything_in_one_run)
{
	static const char text[] = "worker = 3;\n"
				   "max_message = \"lots\";\n"
				   "timeouts: { idle = \"soon\"; };\n"
				   "listeners: (\n"
				   "  { name = \"a\"; listen = \"tcp://127.0.0.1:1\"; },\n"
				   "  { name = \"a\"; listen = [ \"tcp://127.0.0.1:2\",\n"
				   "      \"tcp://127.0.0.1:1\" ]; },\n"
				   "  { name = \"b\"; colour = 1; },\n"
				   "  7\n"
				   ");\n";
	static const unsigned lines[] = {1, 2, 3, 6, 8, 8, 9, 7};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *said = NULL;
	struct config *config = NULL;
	const char *at;

	ck_assert_int_eq(config_load_text("f", text, strlen(text), &config, &problems), -EINVAL);
	ck_assert_uint_eq(problems.n, ARRAY_SIZE(lines));
	said = config_said(&problems);
	at = said;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char place[32];

		(void)sprintf(place, "f:%u: ", lines[i]);
		ck_assert_msg(strncmp(at, place, strlen(place)) == 0, "%s%s", place, at);
		at = strchr(at, '\n') + 1;
	}
	ck_assert_str_eq(at, "");
}
END_TEST

START_TEST(says_why_a_file_cannot_be_read)
{
	static const struct {
		const char *file;
		int r;
		const char *problem;
	} files[] = {
		{"none", -ENOENT,
		 "none: there is no such file; create it, or name another one with --config\n"},
		{"/", -EISDIR, "/: this is a directory; name a file in it\n"},
		{"loop", -ELOOP, "loop: it cannot be read: Too many levels of symbolic links\n"},
	};
	const char *directory = getenv("RETORT_TEST_DIRECTORY");

	ck_assert_ptr_nonnull(directory);
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(config_problems_done) struct config_problems problems = {0};
		CLEANUP(freep) char *said = NULL;
		struct config *config = NULL;

		ck_assert_int_eq(config_load(files[i].file, &config, &problems), files[i].r);
		said = config_said(&problems);
		ck_assert_str_eq(said, files[i].problem);
	}
}
END_TEST

START_TEST(survives_large_nonsense)
{
	enum { SIZE = 5000000 };
	CLEANUP(freep) char *text = malloc(SIZE);
	char *end = text;

	ck_assert_ptr_nonnull(text);
	memset(text, '{', SIZE);
	config_wrong(text, 1000000, "f:1: more than 32 brackets are open here; close some\n");
	config_wrong(text, SIZE, "f: it is too long; a configuration has at most 4 MiB\n");
	text[2] = '\0';
	text[1] = '\n';
	config_wrong(text, SIZE, "f:2: it is no text: here is a byte that is 0\n");
	memset(text, ' ', SIZE);
	for (int i = 0; i < 2000; i++)
		end += sprintf(end, "a%d=1;\n", i);
	config_wrong(text, (size_t)(end - text),
		     "f:1001: more than 1000 keys are in one group; is a bracket "
		     "missing?\n");
}
END_TEST

START_TEST(ends_a_long_tale)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *text = malloc(100000), *said = NULL;
	struct config *config = NULL;
	char *end = stpcpy(text, "listeners: (\n");

	for (int i = 0; i < 2000; i++)
		end += sprintf(end, "%d,\n", i);
	end = stpcpy(end, "1);");
	ck_assert_int_eq(config_load_text("f", text, (size_t)(end - text), &config, &problems),
			 -EINVAL);
	ck_assert_uint_eq(problems.n, 2001);
	said = config_said(&problems);
	ck_assert_ptr_nonnull(strstr(said, "\nf:1002: and more is wrong\n"));
	ck_assert_ptr_null(strstr(said, "f:1003:"));
}
END_TEST

START_TEST(says_which_option_is_wrong)
{
	static const struct config_listen listens[] = {
		{"localhost:1", .framing = "lines", .transforms = "upper,revers",
		 .service = "chatt", .dialect = "texts"},
		{.address = "tcp://a:1"},
		{.address = "tcp://A:1",
		 .transforms = "echo,echo,echo,echo,echo,echo,echo,echo,echo,echo,echo,echo,echo,"
			       "echo,echo,"
			       "echo,echo"},
		{.address = "tcp://b:1", .transforms = ""},
	};
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config = NULL;
	CLEANUP(freep) char *said = NULL;

	ck_assert_int_eq(config_load_listen(listens, ARRAY_SIZE(listens), &config, &problems),
			 -EINVAL);
	ck_assert_ptr_null(config);
	said = config_said(&problems);
	ck_assert_str_eq(
		said,
		"--listen: the address \"localhost:1\" is wrong: the transport is missing; write "
		"tcp://HOST:PORT, udp://HOST:PORT or unix:PATH\n"
		"--framing: the framing \"lines\" is unknown; did you mean \"line\"?\n"
		"--transform: the transform \"revers\" is unknown; did you mean \"reverse\"?\n"
		"--service: the service \"chatt\" is unknown; did you mean \"chat\"?\n"
		"--dialect: the dialect \"texts\" is unknown; did you mean \"text\"?\n"
		"--dialect: dialect is for service \"chat\", and listener \"listen-1\" has service "
		"\"transform\"; remove it, or choose service \"chat\"\n"
		"--transform: it has more than 16 steps; leave some out\n"
		"--transform: the transform \"\" is unknown; known are echo, upper, lower, "
		"reverse\n"
		"--listen: tcp://A:1 of listener \"listen-3\" is taken by tcp://a:1 of listener "
		"\"listen-2\"; give each an address of its own\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_wrong");
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, says_what_is_wrong, 0, ARRAY_SIZE(wrong));
	tcase_add_loop_test(tables, finds_clashing_addresses, 0, ARRAY_SIZE(pairs));
	suite_add_tcase(suite, tables);
	harness_add(suite, finds_everything_in_one_run);
	harness_add(suite, says_why_a_file_cannot_be_read);
	harness_add(suite, survives_large_nonsense);
	harness_add(suite, ends_a_long_tale);
	harness_add(suite, says_which_option_is_wrong);
	return harness_main(suite);
}
