/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The text dialect as a person at nc meets it, and together with those who speak objects. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_chat.h"

/* The next line, without its LF; in a buffer that the next call uses again. */
static const char *next_line(int fd)
{
	static char line[65536];
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof line);
		recv_exactly(fd, &line[len], 1);
	} while (line[len++] != '\n');
	line[len - 1] = 0;
	return line;
}

static void expect_line(int fd, const char *want)
{
	ck_assert_str_eq(next_line(fd), want);
}

/* A line that begins and ends so; what is between is a time, or words for a person. */
static void expect_line_like(int fd, const char *begin, const char *end)
{
	const char *line = next_line(fd);
	size_t len = strlen(line);

	ck_assert_msg(len >= strlen(begin) + strlen(end) &&
			      strncmp(line, begin, strlen(begin)) == 0 &&
			      strcmp(line + len - strlen(end), end) == 0,
		      "\"%s\" instead of \"%s…%s\"", line, begin, end);
}

/* Whatever is said here, it is an error. */
static void expect_complaint(int fd, const char *request)
{
	send_text(fd, request);
	expect_line_like(fd, "! ", "");
}

/* Nothing has come of what the hub has done by now. */
static void expect_quiet(int fd)
{
	send_text(fd, "/leave nowhere-at-all\n");
	expect_line_like(fd, "! ", "\"nowhere-at-all\"");
}

/* Connects, is greeted, and takes a nick. */
static int enter(const struct server *server, const char *nick, const char *room)
{
	int fd = client(server, "talk", "tcp:");
	char text[128];

	expect_line_like(fd, "* you are guest-", "; /help lists what you can do");
	(void)snprintf(text, sizeof text, "/nick %s\n", nick);
	send_text(fd, text);
	(void)snprintf(text, sizeof text, "* you are %s now", nick);
	expect_line(fd, text);
	if (room) {
		(void)snprintf(text, sizeof text, "/join %s\n", room);
		send_text(fd, text);
		(void)snprintf(text, sizeof text, "* you are in %s, ", room);
		expect_line_like(fd, text, "");
	}
	return fd;
}

START_TEST(a_talk)
{
	CLEANUP(closep) int anna = -1, ben = -1, me = -1;
	struct server server;
	char text[128];

	chat_start(&server, "", "rooms: ();");
	anna = enter(&server, "anna", NULL);
	expect_complaint(anna, "said nowhere\n");
	send_text(anna, "/join ops\n");
	expect_line(anna, "* you are in ops, 1 member");
	ben = enter(&server, "ben", NULL);
	send_text(ben, "/join OPS\n");
	expect_line(ben, "* you are in ops, 2 members");
	expect_line(anna, "* ben joined ops");
	send_text(anna, "hello ben\n\n  \nhow are you?\r\n");
	expect_line(ben, "[ops] anna: hello ben");
	expect_line(ben, "[ops] anna: how are you?");
	send_text(ben, "//help is a command\n");
	expect_line(anna, "[ops] ben: /help is a command");
	/* What one says oneself does not come back. */
	expect_quiet(anna);
	expect_quiet(ben);
	send_text(anna, "/topic all and sundry\n");
	expect_line(ben, "* anna set the topic of ops: all and sundry");
	expect_line(anna, "* anna set the topic of ops: all and sundry");
	send_text(ben, "/topic\n");
	expect_line(ben, "* the topic of ops is: all and sundry");
	send_text(ben, "/rooms\n");
	expect_line(ben, "* ops, 2 members; topic: all and sundry");
	send_text(ben, "/who\n");
	expect_line_like(ben, "* anna, guest, since ", "Z");
	expect_line_like(ben, "* ben, guest, since ", "Z");
	send_text(ben, "/history 2\n");
	expect_line_like(ben, "", " [ops] anna: how are you?");
	expect_line_like(ben, "", " [ops] ben: /help is a command");
	send_text(ben, "/nick Benno\n");
	expect_line(anna, "* ben left ops (is called Benno now)");
	expect_line(anna, "* Benno joined ops");
	me = client(&server, "talk", "unix:");
	(void)snprintf(text, sizeof text, "* you are %s; /help lists what you can do", chat_me());
	expect_line(me, text);
	send_text(me, "/leave ops\n");
	expect_line_like(me, "! ", "");
	send_text(anna, "/leave\n");
	expect_line(anna, "* you left ops");
	expect_complaint(anna, "in no room\n");
	expect_complaint(anna, "/history\n");
	server_stop(&server);
}
END_TEST

/*
 * What comes in one piece is done in its order, and said where it was to be said, or nowhere: what
 * was meant for a room that could not be joined is not for the one before.
 */
START_TEST(pipelined)
{
	CLEANUP(closep) int anna = -1, quick = -1;
	CLEANUP(buffer_done) struct buffer rest = {0};
	struct server server;

	chat_start(&server, "", "rooms: ();");
	anna = enter(&server, "anna", "x");
	send_text(anna, "/join y\n");
	expect_line(anna, "* you are in y, 1 member");
	quick = client(&server, "talk", "tcp:");
	send_text(quick,
		  "/nick quick\n/join x\nhello\n/join y\nin y\n/join a b\nneither here nor there\n"
		  "/join x\nback in x\n/msg anna psst");
	shut_down(quick);
	recv_to_end(quick, &rest);
	ck_assert_int_eq(buffer_append(&rest, "", 1), 0);
	expect_line(anna, "* quick joined x");
	expect_line(anna, "[x] quick: hello");
	expect_line(anna, "* quick joined y");
	expect_line(anna, "[y] quick: in y");
	expect_line(anna, "[x] quick: back in x");
	expect_line(anna, "[@quick] quick: psst");
	expect_line(anna, "* quick left x");
	expect_line(anna, "* quick left y");
	/* It got its answers, up to the last, though it had ended its side. */
	ck_assert_ptr_nonnull(strstr((char *)rest.data, "* you are quick now\n"
							"* you are in x, 2 members\n"
							"* you are in y, 2 members\n! "));
	server_stop(&server);
}
END_TEST

START_TEST(thousand_lines_in_one_piece)
{
	enum { LINES = 1000 };
	CLEANUP(buffer_done) struct buffer lines = {0};
	CLEANUP(closep) int anna = -1, ben = -1;
	struct server server;
	char text[64];

	chat_start(&server, "", "max_requests = 16;");
	anna = enter(&server, "anna", "ops");
	ben = enter(&server, "ben", "ops");
	for (int i = 0; i < LINES; i++) {
		(void)snprintf(text, sizeof text, "line %d\n", i);
		ck_assert_int_eq(buffer_append(&lines, text, strlen(text)), 0);
	}
	send_all(ben, lines.data, lines.len);
	shut_down(ben);
	expect_end(ben); /* it is told nothing of what it says */
	expect_line(anna, "* ben joined ops");
	for (int i = 0; i < LINES; i++) {
		(void)snprintf(text, sizeof text, "[ops] ben: line %d", i);
		expect_line(anna, text);
	}
	expect_line(anna, "* ben left ops");
	server_stop(&server);
}
END_TEST

/* Those who speak in different dialects understand each other. */
START_TEST(all_dialects_in_one_room)
{
	CLEANUP(closep) int anna = -1, again = -1;
	CHATTER ben = {0}, carla = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	anna = enter(&server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	chatter_open(&carla, &server, "line", "tcp:");
	expect_ok(&carla, "{'op':'hello','nick':'carla'}");
	expect_ok(&carla, "{'op':'join','room':'ops'}");
	expect_event(&ben, "{'event':'join','room':'ops','nick':'carla'}");
	for (json_int_t seq = 1; seq <= 9;) {
		char text[64];

		(void)snprintf(text, sizeof text, "of anna %" JSON_INTEGER_FORMAT "\n", seq);
		send_text(anna, text);
		text[strlen(text) - 1] = 0;
		expect_message(&ben, "ops", seq, text);
		expect_message(&carla, "ops", seq++, text);
		chatter_say(&ben, "ops", seq, "of ben");
		expect_message(&ben, "ops", seq, "of ben");
		expect_message(&carla, "ops", seq++, "of ben");
		chatter_say(&carla, "ops", seq, "of carla");
		expect_message(&ben, "ops", seq, "of carla");
		expect_message(&carla, "ops", seq++, "of carla");
	}
	expect_line(anna, "* ben joined ops");
	expect_line(anna, "* carla joined ops");
	for (int i = 1; i <= 3; i++) {
		expect_line(anna, "[ops] ben: of ben");
		expect_line(anna, "[ops] carla: of carla");
	}
	expect_quiet(anna);
	/* The same numbers, whoever counts. */
	again = enter(&server, "again", NULL);
	send_text(again, "/join ops\n/history 3\n");
	expect_line(again, "* you are in ops, 4 members");
	expect_line_like(again, "", " [ops] anna: of anna 7");
	expect_line_like(again, "", " [ops] ben: of ben");
	expect_line_like(again, "", " [ops] carla: of carla");
	server_stop(&server);
}
END_TEST

/* Two connections of one user: what one of them says, the other one is told. */
START_TEST(own_messages_reach_the_other_connection)
{
	CLEANUP(closep) int one = -1, two = -1;
	struct server server;
	char text[128];

	chat_start(&server, "", "%s", "");
	one = client(&server, "talk", "unix:");
	two = client(&server, "talk", "unix:");
	(void)next_line(one);
	(void)next_line(two);
	send_text(one, "/join ops\n");
	expect_line(one, "* you are in ops, 1 member");
	send_text(two, "/join ops\n");
	expect_line(two, "* you are in ops, 1 member");
	send_text(one, "hello\n");
	(void)snprintf(text, sizeof text, "[ops] %s: hello", chat_me());
	expect_line(two, text);
	expect_quiet(one);
	server_stop(&server);
}
END_TEST

/* Nothing that others say can do anything to a terminal. */
START_TEST(control_characters_are_shown)
{
	static const struct {
		const char *said, *shown;
	} cases[] = {
		{"\\u001b[31mred", "^[[31mred"},
		{"a\\tb\\u0007c", NULL},
		{"\\u007f", "^?"},
		{"\\u009b31m", NULL},
		{"x\\ry", NULL},
		{"\\u202eabc", NULL},
		{"gr\xc3\xbc\xc3\x9f dich \xe2\x9c\x93", "gr\xc3\xbc\xc3\x9f dich \xe2\x9c\x93"},
	};
	CLEANUP(closep) int anna = -1;
	CHATTER ben = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	anna = enter(&server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_line(anna, "* ben joined ops");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *line;

		expect_ok(&ben, "{'op':'say','room':'ops','text':'%s'}", cases[i].said);
		line = next_line(anna);
		ck_assert_int_eq(strncmp(line, "[ops] ben: ", 11), 0);
		if (cases[i].shown)
			ck_assert_str_eq(line + 11, cases[i].shown);
		for (const char *c = line; *c; c++)
			ck_assert_msg(((unsigned char)*c >= ' ' && *c != 0x7f) || *c == '\t',
				      "byte %#x", *c);
		ck_assert_ptr_null(strstr(line, "\xc2\x9b"));
	}
	/* Several lines are several lines, of which nobody is taken for another one's. */
	expect_ok(&ben, "{'op':'say','room':'ops','text':'one\\n[ops] root: two\\r\\nthree'}");
	expect_line(anna, "[ops] ben: one");
	expect_line(anna, "[ops] ben: [ops] root: two");
	expect_line(anna, "[ops] ben: three");
	expect_ok(&ben, "{'op':'topic','room':'ops','text':'a\\u001bb\\nc'}");
	expect_line_like(anna, "* ben set the topic of ops: a^[b", "c");
	expect_quiet(anna);
	server_stop(&server);
}
END_TEST

START_TEST(errors)
{
	static const char *const requests[] = {
		"/\n",
		"/nothing\n",
		"/JOIN ops\n",
		"/join\n",
		"/join a b\n",
		"/join \xff\n",
		"/nick\n",
		"/nick root\n",
		"/nick R0OT\n",
		"/nick a/b\n",
		"/msg\n",
		"/msg anna\n",
		"/msg nobody-of-this-name hello\n",
		"/leave nowhere\n",
		"/history 0\n",
		"/history x\n",
		"/history 1001\n",
		"/topic x\n",
		"/who nowhere\n",
		"\xff\xfe\n",
		"nowhere\n",
	};
	static const char nul[] = "a\0b\n";
	CLEANUP(closep) int anna = -1;
	struct server server;

	chat_start(&server, "", "%s", "");
	anna = enter(&server, "anna", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect_complaint(anna, requests[i]);
	send_all(anna, nul, sizeof nul - 1);
	expect_line_like(anna, "! ", "");
	expect_quiet(anna);
	send_text(anna, "/help\n");
	for (int i = 0; i < 11; i++)
		expect_line_like(anna, "* /", "");
	expect_quiet(anna);
	server_stop(&server);
}
END_TEST

START_TEST(quit)
{
	CLEANUP(closep) int anna = -1, ben = -1;
	struct server server;

	chat_start(&server, "", "%s", "");
	anna = enter(&server, "anna", "ops");
	ben = enter(&server, "ben", "ops");
	expect_line(anna, "* ben joined ops");
	send_text(ben, "bye\n/quit\nnot said any more\n");
	expect_end(ben);
	expect_line(anna, "[ops] ben: bye");
	expect_line(anna, "* ben left ops");
	expect_quiet(anna);
	server_stop(&server);
}
END_TEST

START_TEST(told_why_it_is_closed)
{
	CLEANUP(closep) int anna = -1, long_line = -1;
	CHATTER me = {0};
	static char line[9000];
	struct server server;

	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = '\n';
	chat_start(&server, "max_message = 4096;", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	anna = enter(&server, "anna", "ops");
	expect_ok(&me, "{'op':'kick','nick':'anna','reason':'be\\u001bgone'}");
	expect_line_like(anna, "* closing: ", "be^[gone");
	expect_end(anna);
	long_line = enter(&server, "long", "ops");
	send_all(long_line, line, sizeof line);
	expect_error_line(long_line, "4096");
	server_stop(&server);
}
END_TEST

/* One who comes over the network and is banned, and one who does not wait for anything. */
START_TEST(banned_and_gone)
{
	CLEANUP(closep) int anna = -1, ben = -1;
	CHATTER me = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	for (int i = 0; i < 50; i++) {
		ben = client(&server, "talk", "tcp:");
		if (i % 2)
			reset_close(ben);
		else
			(void)close(ben);
	}
	ben = enter(&server, "ben", "ops");
	expect_ok(&me, "{'op':'ban','address':'127.0.0.1','reason':'net'}");
	expect_line_like(ben, "* closing: ", "net");
	expect_end(ben);
	anna = client(&server, "talk", "tcp:");
	expect_line_like(anna, "* closing: ", "net");
	expect_end(anna);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_text");

	harness_add(suite, a_talk);
	harness_add(suite, pipelined);
	harness_add(suite, thousand_lines_in_one_piece);
	harness_add(suite, all_dialects_in_one_room);
	harness_add(suite, own_messages_reach_the_other_connection);
	harness_add(suite, control_characters_are_shown);
	harness_add(suite, errors);
	harness_add(suite, quit);
	harness_add(suite, told_why_it_is_closed);
	harness_add(suite, banned_and_gone);
	return harness_main(suite);
}
