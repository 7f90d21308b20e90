/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the service manager is told of listeners, to the letter; and what it is not told, and why.
 */

#include <check.h>
#include <netdb.h>
#include <nss.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "socket_units.h"

/* The units of a configuration file of this text. */
struct made {
	struct socket_units units;
	struct config_problems problems;
};

static struct made make_of(const char *text, const struct socket_units_setup *setup)
{
	struct made made = {0};
	struct config *config = NULL;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/f", getenv("RETORT_TEST_DIRECTORY"));
	file_write(path, text, strlen(text));
	/* As in the generator: no name is looked up elsewhere. */
	ck_assert_int_eq(__nss_configure_lookup("hosts", "files"), 0);
	ck_assert_int_eq(config_salvage(path, &config, &made.problems), 0);
	ck_assert_int_eq(socket_units_make(config, setup, &made.units, &made.problems), 0);
	config_free(config);
	return made;
}

static struct made make(const char *text, const char *source)
{
	const struct socket_units_setup setup = {.service = "retortd",
						 .prefix = "retortd-",
						 .at = "",
						 .target = "retortd-sockets.target",
						 .directory = "/run/retort",
						 .source = source};

	return make_of(text, &setup);
}

static void made_done(struct made *made)
{
	socket_units_done(&made->units);
	config_problems_done(&made->problems);
}

/* The text of a unit's [Socket] section, behind FileDescriptorName=. */
static const char *sockets_of(const struct made *made, size_t i)
{
	const char *text = strstr(made->units.units[i].text, "FileDescriptorName=");

	ck_assert_ptr_nonnull(text);
	return strchr(text, '\n') + 1;
}

static void expect_problem(const struct made *made, const char *words)
{
	ck_assert_msg(memmem(made->problems.text.data ?: (void *)"", made->problems.text.len, words,
			     strlen(words)),
		      "'%.*s' does not say '%s'", (int)made->problems.text.len,
		      (const char *)made->problems.text.data, words);
}

#define END "Backlog=4096\nReusePort=no\n"

START_TEST(is_whole)
{
	CLEANUP(made_done)
	struct made made =
		make("listeners: ( { name = \"a-B_1.c\"; listen = \"tcp://127.0.0.1:80\"; } );",
		     "/etc/100%.conf");
	CLEANUP(freep) char *drop_in = NULL;

	ck_assert_uint_eq(made.problems.n, 0);
	ck_assert_uint_eq(made.units.n, 1);
	ck_assert_str_eq(made.units.units[0].name, "retortd-a-B_1.c.socket");
	ck_assert_str_eq(made.units.units[0].text,
			 "# Made by retortd-generator(8) of /etc/100%.conf: do not edit this, but "
			 "that.\n"
			 "\n"
			 "[Unit]\n"
			 "Description=Listener \"a-B_1.c\" of retortd\n"
			 "Documentation=man:retortd-generator(8) man:retortd.conf(5)\n"
			 "SourcePath=/etc/100%%.conf\n"
			 "StopPropagatedFrom=retortd-sockets.target\n"
			 "\n"
			 "[Socket]\n"
			 "Service=retortd.service\n"
			 "FileDescriptorName=a-B_1.c\n"
			 "ListenStream=127.0.0.1:80\n" END);
	ck_assert_int_eq(socket_units_drop_in(&made.units, &drop_in), 0);
	ck_assert_str_eq(drop_in, "# Made by retortd-generator(8).\n\n[Service]\n"
				  "Sockets=retortd-a-B_1.c.socket\n");
}
END_TEST

START_TEST(is_of_an_instance)
{
	const struct socket_units_setup setup = {.service = "retortd@x-y_z",
						 .prefix = "retortd-",
						 .at = "@x-y_z",
						 .target = "retortd-sockets@x-y_z.target",
						 .directory = "/run/retort-x-y_z",
						 .source = "/etc/retortd@x-y_z.conf"};
	CLEANUP(made_done)
	struct made made = make_of("listeners: ( { name = \"a\"; listen = [ \"tcp://*:80\", "
				   "\"unix:a.sock\", \"tcp://[::]:81\" ]; } );",
				   &setup);
	CLEANUP(freep) char *drop_in = NULL;

	ck_assert_uint_eq(made.problems.n, 0);
	ck_assert_uint_eq(made.units.n, 2);
	ck_assert_str_eq(made.units.units[0].name, "retortd-a@x-y_z.socket");
	ck_assert_str_eq(made.units.units[0].text,
			 "# Made by retortd-generator(8) of /etc/retortd@x-y_z.conf: do not edit "
			 "this, but that.\n"
			 "\n"
			 "[Unit]\n"
			 "Description=Listener \"a\" of retortd@x-y_z\n"
			 "Documentation=man:retortd-generator(8) man:retortd.conf(5)\n"
			 "SourcePath=/etc/retortd@x-y_z.conf\n"
			 "StopPropagatedFrom=retortd-sockets@x-y_z.target\n"
			 "\n"
			 "[Socket]\n"
			 "Service=retortd@x-y_z.service\n"
			 "FileDescriptorName=a\n"
			 "ListenStream=[::]:80\n"
			 "ListenStream=/run/retort-x-y_z/a.sock\n"
			 "BindIPv6Only=both\nSocketMode=0666\n" END);
	ck_assert_str_eq(made.units.units[1].name, "retortd-a:ipv6@x-y_z.socket");
	ck_assert_int_eq(socket_units_drop_in(&made.units, &drop_in), 0);
	ck_assert_str_eq(drop_in, "# Made by retortd-generator(8).\n\n[Service]\n"
				  "Sockets=retortd-a@x-y_z.socket\n"
				  "Sockets=retortd-a:ipv6@x-y_z.socket\n");
}
END_TEST

/* One listener, and what its unit says of its sockets. */
static const struct {
	const char *listener, *sockets;
} listeners[] = {
	{"listen = [ \"tcp://127.0.0.1:1\", \"udp://127.0.0.1:1\" ];",
	 "ListenStream=127.0.0.1:1\nListenDatagram=127.0.0.1:1\n"},
	{"listen = \"tcp://*:80\";", "ListenStream=[::]:80\nBindIPv6Only=both\n"},
	{"listen = \"tcp://0.0.0.0:80\";", "ListenStream=0.0.0.0:80\n"},
	{"listen = [ \"tcp://0.0.0.0:80\", \"tcp://[::]:80\" ];",
	 "ListenStream=0.0.0.0:80\nListenStream=[::]:80\nBindIPv6Only=ipv6-only\n"},
	{"listen = \"tcp://[::1]:80\";", "ListenStream=[::1]:80\nBindIPv6Only=ipv6-only\n"},
	{"listen = [ \"udp://*:80\", \"udp://[::1]:81\" ];",
	 "ListenDatagram=[::]:80\nListenDatagram=[::1]:81\nBindIPv6Only=both\nReceiveBuffer=4M\n"},
	/* The host may not have these yet. */
	{"listen = \"tcp://192.0.2.1:80\";", "ListenStream=192.0.2.1:80\nFreeBind=yes\n"},
	{"listen = \"tcp://[2001:db8::1]:80\";",
	 "ListenStream=[2001:db8::1]:80\nBindIPv6Only=ipv6-only\nFreeBind=yes\n"},
	{"listen = \"tcp://[fe80::1%lo]:80\";",
	 "ListenStream=[fe80::1]:80%%lo\nBindIPv6Only=ipv6-only\nFreeBind=yes\n"},
	{"listen = \"unix:chat.sock\";", "ListenStream=/run/retort/chat.sock\nSocketMode=0666\n"},
	{"listen = \"unix:/srv/a b%d.sock\"; mode = \"0600\"; user = \"root\"; group = 0;",
	 "ListenStream=/srv/a b%%d.sock\nSocketMode=0600\nSocketUser=root\nSocketGroup=0\n"},
	{"listen = [ \"unix:/a\", \"tcp://127.0.0.1:1\" ]; mode = \"0660\";",
	 "ListenStream=/a\nListenStream=127.0.0.1:1\nSocketMode=0660\n"},
	{"listen = \"unix:@x%\";", "ListenStream=@x%%\n"},
};

START_TEST(tells_what_the_daemon_would_open)
{
	CLEANUP(freep) char *text = NULL, *expected = NULL;
	struct made made;

	ck_assert_int_gt(
		asprintf(&text, "listeners: ( { name = \"a\"; %s } );", listeners[_i].listener), 0);
	ck_assert_int_gt(asprintf(&expected, "%s" END, listeners[_i].sockets), 0);
	made = make(text, NULL);
	ck_assert_msg(made.problems.n == 0, "%.*s", (int)made.problems.text.len,
		      (const char *)made.problems.text.data);
	ck_assert_uint_eq(made.units.n, 1);
	ck_assert_str_eq(sockets_of(&made, 0), expected);
	ck_assert_ptr_null(strstr(made.units.units[0].text, "SourcePath="));
	made_done(&made);
}
END_TEST

/* One unit cannot have both kinds of wildcard. */
START_TEST(gives_the_ipv6_wildcard_a_unit_of_its_own)
{
	CLEANUP(made_done)
	struct made made = make("listeners: ( { name = \"a\"; listen = [ \"tcp://*:80\", "
				"\"tcp://[::]:81\", \"tcp://[::1]:82\" ]; } );",
				NULL);

	ck_assert_uint_eq(made.units.n, 2);
	ck_assert_str_eq(made.units.units[0].name, "retortd-a.socket");
	ck_assert_str_eq(sockets_of(&made, 0), "ListenStream=[::]:80\nListenStream=[::1]:82\n"
					       "BindIPv6Only=both\n" END);
	ck_assert_str_eq(made.units.units[1].name, "retortd-a:ipv6.socket");
	ck_assert_str_eq(sockets_of(&made, 1),
			 "ListenStream=[::]:81\nBindIPv6Only=ipv6-only\n" END);
}
END_TEST

START_TEST(resolves_as_the_daemon_does)
{
	CLEANUP(made_done)
	struct made made =
		make("listeners: ( { name = \"a\"; listen = \"tcp://localhost:80\"; } );", NULL);
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	struct address address;
	const char *problem;
	size_t n, lines = 0;

	ck_assert_int_eq(address_parse("tcp://localhost:80", &address, &problem), 0);
	ck_assert_int_eq(address_resolve(&address, true, NULL, &endpoints, &n, &problem), 0);
	ck_assert_uint_eq(made.units.n, 1);
	for (const char *line = sockets_of(&made, 0); *line; line = strchr(line, '\n') + 1)
		lines += strncmp(line, "ListenStream=", strlen("ListenStream=")) == 0;
	ck_assert_uint_eq(lines, n);
	address_done(&address);
}
END_TEST

/* Each has a good listener beside a bad one, or an address beside a bad one; and what is said. */
static const struct {
	const char *text, *problem;
	size_t n; /* units */
} bad[] = {
	{"{ name = \"a\"; listen = \"tcp://no.such.host.invalid:80\"; }",
	 "f:1: listener \"a\": the service manager cannot open tcp://no.such.host.invalid:80: "
	 "there is no network yet",
	 0},
	{"{ name = \"a\"; listen = [ \"tcp://no.such.host.invalid:80\", \"unix:a\" ]; }",
	 "cannot open tcp://no.such", 1},
	{"{ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; }", "it opens no port that is yet to be",
	 0},
	{"{ name = \"a\"; listen = \"unix:/a \"; }", "a line cannot end with a space", 0},
	{"{ name = \"a\"; listen = \"unix:/a\\\\\"; }", "a line cannot end with a space or", 0},
	{"{ name = \"a\"; listen = \"unix:/\\xff\"; }", "nothing but UTF-8", 0},
	{"{ name = \"a\"; listen = \"unix:/a\"; framing = \"x\"; }, "
	 "{ name = \"b\"; listen = \"unix:/b\"; }",
	 "f:1: framing \"x\" is unknown", 1},
	/* What is wrong about its permissions must not open it to others. */
	{"{ name = \"a\"; listen = \"unix:/a\"; mode = \"9\"; }", "f:1: mode", 0},
	{"{ name = \"a\"; listen = \"unix:/a\"; user = \"no/user\"; }", "no/user", 0},
	{"{ name = \"a\"; listen = \"unix:/a\"; }, { name = \"a\"; listen = \"unix:/b\"; }",
	 "a listener of the name \"a\" is already", 1},
	{"{ name = \"a\"; listen = \"unix:/a\"; }, { name = \"b\"; listen = [ \"unix:/a\", "
	 "\"unix:/b\" ]; }",
	 "listener \"b\": the service manager cannot open unix:/a: another listener has it", 2},
};

START_TEST(keeps_what_it_can)
{
	CLEANUP(freep) char *text = NULL;
	struct made made;

	ck_assert_int_gt(asprintf(&text, "listeners: ( %s );", bad[_i].text), 0);
	made = make(text, NULL);
	expect_problem(&made, bad[_i].problem);
	ck_assert_uint_eq(made.units.n, bad[_i].n);
	made_done(&made);
}
END_TEST

START_TEST(makes_nothing_of_nonsense)
{
	CLEANUP(made_done) struct made made = make("listeners: ( { name = ", NULL);

	expect_problem(&made, "syntax error");
	ck_assert_uint_eq(made.units.n, 0);
}
END_TEST

START_TEST(keeps_the_listeners_of_a_file_that_is_wrong_elsewhere)
{
	CLEANUP(made_done) struct made made = make("workers = -1;", NULL);

	expect_problem(&made, "workers is -1");
	ck_assert_uint_eq(made.units.n, 5); /* those that are built in */
	ck_assert_str_eq(made.units.units[0].name, "retortd-upper.socket");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socket_units");
	TCase *tables = tcase_create("tables");

	harness_add(suite, is_whole);
	harness_add(suite, is_of_an_instance);
	tcase_add_loop_test(tables, tells_what_the_daemon_would_open, 0, ARRAY_SIZE(listeners));
	tcase_add_loop_test(tables, keeps_what_it_can, 0, ARRAY_SIZE(bad));
	suite_add_tcase(suite, tables);
	harness_add(suite, gives_the_ipv6_wildcard_a_unit_of_its_own);
	harness_add(suite, resolves_as_the_daemon_does);
	harness_add(suite, makes_nothing_of_nonsense);
	harness_add(suite, keeps_the_listeners_of_a_file_that_is_wrong_elsewhere);
	return harness_main(suite);
}
