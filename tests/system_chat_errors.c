/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Requests that cannot be obeyed: each gets its error, and the connection lives. And how much may
 * be asked for at once, and of what size.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness_chat.h"

static const char *const listeners[] = {"chat", "line"};

/* ---- what is no request ---- */

/* Sends bytes and asserts the error of the reply, which has this id; NULL: none. */
static void expect_raw(struct chatter *chatter, const void *data, size_t len, const char *error,
		       const char *id)
{
	json_t *reply;
	const char *have;

	chatter_send_raw(chatter, data, len);
	reply = chatter_next_reply(chatter);
	have = json_string_value(json_object_get(reply, "error"));
	ck_assert_msg(have && strcmp(have, error) == 0, "%s instead of %s to %.*s",
		      json_dumps(reply, JSON_COMPACT), error, (int)MIN(len, (size_t)80),
		      (const char *)data);
	if (id) {
		ck_assert_str_eq(member_string(reply, "id"), id);
		(void)json_object_del(reply, "id");
	}
	expect_json(reply, "{'ok':false,'error':'*','message':'*'}");
	expect_json(chatter_ask(chatter, "{'op':'ping'}"), "{'ok':true}");
}

static const struct {
	const char *message, *error;
} wrong[] = {
	{"", "bad_json"},
	{" ", "bad_json"},
	{"x", "bad_json"},
	{"{", "bad_json"},
	{"{}}", "bad_json"},
	{"{\"op\":\"ping\"", "bad_json"},
	{"{\"op\":\"ping\",}", "bad_json"},
	{"{\"op\":\"ping\"} {}", "bad_json"},
	{"{'op':'ping'}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\x01\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\\ud800\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\\q\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\xff\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\xc0\x80\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\xed\xa0\x80\"}", "bad_json"},
	{"{\"op\":\"ping\",\"text\":\"\xe2\x82\"}", "bad_json"},
	{"{\"op\":\"p\xff\"}", "bad_json"},
	{"\xef\xbb\xbf{\"op\":\"ping\"}", "bad_json"},
	{"{\"op\":\"ping\",\"id\":01}", "bad_json"},
	{"{\"op\":\"ping\",\"x\":tru}", "bad_json"},
	{"null", "bad_request"},
	{"1", "bad_request"},
	{"\"ping\"", "bad_request"},
	{"[]", "bad_request"},
	{"[{\"op\":\"ping\"}]", "bad_request"},
	{"{}", "bad_request"},
	{"{\"OP\":\"ping\"}", "bad_request"},
	{"{\"op\":null}", "bad_request"},
	{"{\"op\":1}", "bad_request"},
	{"{\"op\":[\"ping\"]}", "bad_request"},
	{"{\"op\":\"pi\\u0000ng\"}", "bad_request"},
	{"{\"op\":\"\"}", "unknown_op"},
	{"{\"op\":\"PING\"}", "unknown_op"},
	{"{\"op\":\"ping \"}", "unknown_op"},
	{"{\"op\":\"\\u202e\xf0\x9f\x92\xa9\"}", "unknown_op"},
	{"{\"op\":\"message\"}", "unknown_op"},
	{"{\"op\":\"ping\",\"id\":{}}", "bad_request"},
	{"{\"op\":\"ping\",\"id\":[1]}", "bad_request"},
	{"{\"op\":\"ping\",\"id\":1.5}", "bad_request"},
	{"{\"op\":\"ping\",\"id\":true}", "bad_request"},
	{"{\"op\":\"ping\",\"text\":7}", "bad_request"},
	{"{\"op\":\"ping\",\"text\":\"a\\u0000b\"}", "bad_request"},
	{"{\"op\":\"join\"}", "bad_request"},
	{"{\"op\":\"join\",\"room\":7}", "bad_request"},
	{"{\"op\":\"join\",\"room\":[\"a\"]}", "bad_request"},
	{"{\"op\":\"join\",\"room\":\"a\",\"since\":\"1\"}", "bad_request"},
	{"{\"op\":\"join\",\"room\":\"a\",\"since\":-1}", "bad_request"},
	{"{\"op\":\"join\",\"room\":\"a\",\"since\":1.5}", "bad_request"},
	{"{\"op\":\"join\",\"room\":\"a\",\"since\":9223372036854775808}", "bad_request"},
	{"{\"op\":\"join\",\"room\":\"a\",\"since\":1e400}", "bad_request"},
	{"{\"op\":\"leave\"}", "bad_request"},
	{"{\"op\":\"say\",\"room\":\"lobby\"}", "bad_request"},
	{"{\"op\":\"say\",\"text\":\"x\"}", "bad_request"},
	{"{\"op\":\"say\",\"room\":\"lobby\",\"text\":{}}", "bad_request"},
	{"{\"op\":\"say\",\"room\":\"lobby\",\"text\":\"\\u0000\"}", "bad_request"},
	{"{\"op\":\"say\",\"room\":\"lobby\",\"text\":\"x\",\"key\":1}", "bad_request"},
	{"{\"op\":\"history\",\"room\":\"lobby\",\"limit\":true}", "bad_request"},
	{"{\"op\":\"history\",\"room\":\"lobby\",\"after\":[]}", "bad_request"},
	{"{\"op\":\"topic\",\"room\":\"lobby\"}", "bad_request"},
	{"{\"op\":\"hello\",\"nick\":null}", "bad_request"},
	{"{\"op\":\"who\",\"room\":1}", "bad_request"},
	{"{\"op\":\"transform\",\"text\":\"x\"}", "bad_request"},
	{"{\"op\":\"transform\",\"with\":[\"upper\"]}", "bad_request"},
	{"{\"op\":\"transform\",\"with\":\"upper\",\"text\":\"x\"}", "bad_request"},
	{"{\"op\":\"transform\",\"with\":[1],\"text\":\"x\"}", "bad_request"},
	{"{\"op\":\"transform\",\"with\":[\"rot13\"],\"text\":\"x\"}", "bad_request"},
	{"{\"op\":\"transform\",\"with\":[\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\","
	 "\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\",\"echo\","
	 "\"echo\",\"echo\"],\"text\":\"x\"}",
	 "bad_request"},
};

START_TEST(what_is_no_request)
{
	static const char nul[] = "{\"op\":\"ping\"}\0", inside[] = "{\"op\":\"pi\0ng\"}";
	struct server server;

	chat_start(&server, "", "%s", "");
	for (size_t l = 0; l < ARRAY_SIZE(listeners); l++) {
		CHATTER anna = {0};

		chatter_open(&anna, &server, listeners[l], "tcp:");
		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
			expect_raw(&anna, wrong[i].message, strlen(wrong[i].message),
				   wrong[i].error, NULL);
		expect_raw(&anna, nul, sizeof nul - 1, "bad_json", NULL);
		expect_raw(&anna, inside, sizeof inside - 1, "bad_json", NULL);
	}
	server_stop(&server);
}
END_TEST

/* An error has the request's id wherever that can be made out. */
START_TEST(errors_have_the_id)
{
	static const struct {
		const char *message, *error;
	} cases[] = {
		{"{\"id\":\"x\",\"op\":\"nothing\"}", "unknown_op"},
		{"{\"op\":\"join\",\"id\":\"x\"}", "bad_request"},
		{"{\"id\":\"x\"}", "bad_request"},
		{"{\"op\":7,\"id\":\"x\"}", "bad_request"},
		{"{\"op\":\"join\",\"room\":\"a b\",\"id\":\"x\"}", "bad_name"},
		{"{\"op\":\"leave\",\"room\":\"ab\",\"id\":\"x\"}", "no_such_room"},
		{"{\"op\":\"kick\",\"nick\":\"ab\",\"id\":\"x\"}", "not_allowed"},
	};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_raw(&anna, cases[i].message, strlen(cases[i].message), cases[i].error, "x");
	server_stop(&server);
}
END_TEST

/* An id comes back as it came, to the byte, with local replies and with those of the hub. */
START_TEST(ids_come_back)
{
	static const char *const ids[] = {
		"0",
		"-1",
		"9223372036854775807",
		"123456789012345678901234567890",
		"\"\"",
		"\"a\\\"b\\\\\"",
		"\"\xe2\x9c\x93\"",
	};
	static const char *const ops[] = {"\"op\":\"ping\"", "\"op\":\"rooms\""};
	CLEANUP(closep) int fd = -1;
	struct server server;

	chat_start(&server, "", "rooms: ();");
	fd = client(&server, "line", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(ids) * ARRAY_SIZE(ops); i++) {
		const char *id = ids[i / ARRAY_SIZE(ops)];
		bool rooms = i % ARRAY_SIZE(ops) == 1;
		char text[128];

		(void)snprintf(text, sizeof text, "{%s,\"id\":%s}\n", ops[i % ARRAY_SIZE(ops)], id);
		send_text(fd, text);
		(void)snprintf(text, sizeof text, "{\"id\":%s,\"ok\":true%s}\n", id,
			       rooms ? ",\"rooms\":[]" : "");
		expect_text(fd, text);
	}
	server_stop(&server);
}
END_TEST

START_TEST(unknown_members_are_ignored)
{
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&anna, &server, "chat", "tcp:");
	expect_json(chatter_ask(&anna, "{'op':'ping','text':'x','since':'?','room':{},"
				       "'new':[{'a':[1e999,null]}],'':''}"),
		    "{'ok':true,'text':'x'}");
	expect_json(chatter_ask(&anna, "{'op':'join','room':'ops','text':7,'nick':[]}"),
		    "{'ok':true,'room':'ops','...':1}");
	expect_ok(&anna, "{'op':'say','room':'ops','text':'x','extra':true}");
	server_stop(&server);
}
END_TEST

/* Each opens deeper than any parser should recurse. */
START_TEST(deep_nesting)
{
	enum { DEPTH = 10000 };
	struct server server;

	chat_start(&server, "", "%s", "");
	for (size_t l = 0; l < ARRAY_SIZE(listeners); l++) {
		CLEANUP(buffer_done) struct buffer text = {0};
		CHATTER anna = {0};

		chatter_open(&anna, &server, listeners[l], "tcp:");
		for (int i = 0; i < DEPTH; i++)
			ck_assert_int_eq(buffer_append(&text, "[", 1), 0);
		expect_raw(&anna, text.data, text.len, "bad_json", NULL);
		for (int i = 0; i < DEPTH; i++)
			ck_assert_int_eq(buffer_append(&text, "]", 1), 0);
		/* Whatever it is called, it is refused, and answered. */
		chatter_send_raw(&anna, text.data, text.len);
		expect_json(chatter_next_reply(&anna),
			    "{'ok':false,'error':'*','message':'*','...':1}");
		text.len = 0;
		for (int i = 0; i < DEPTH; i++)
			ck_assert_int_eq(buffer_append(&text, "{\"op\":", 6), 0);
		expect_raw(&anna, text.data, text.len, "bad_json", NULL);
		expect_ok(&anna, "{'op':'rooms'}");
	}
	server_stop(&server);
}
END_TEST

START_TEST(enormous_numbers)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	static const char start[] = "{\"op\":\"join\",\"room\":\"lobby\",\"since\":";
	char digits[100000];
	CHATTER anna = {0};
	struct server server;

	memset(digits, '9', sizeof digits);
	chat_start(&server, "", "%s", "");
	chatter_open(&anna, &server, "chat", "tcp:");
	ck_assert_int_eq(buffer_append(&text, start, strlen(start)), 0);
	ck_assert_int_eq(buffer_append(&text, digits, sizeof digits), 0);
	ck_assert_int_eq(buffer_append(&text, "}", 1), 0);
	expect_raw(&anna, text.data, text.len, "bad_request", NULL);
	expect_error(&anna, "bad_request", "{'op':'join','room':'lobby','since':1e308}");
	expect_error(&anna, "bad_request", "{'op':'join','room':'lobby','since':-1e-400}");
	expect_error(&anna, "bad_request",
		     "{'op':'history','room':'lobby','limit':18446744073709551617}");
	expect_ok(&anna, "{'op':'join','room':'lobby','since':9223372036854775807}");
	server_stop(&server);
}
END_TEST

/* ---- names ---- */

START_TEST(names_of_every_illegal_kind)
{
	static const char *const names[] = {
		"",
		" ",
		"a b",
		" a",
		"a ",
		"a/b",
		"#ops",
		"a@b",
		"a:b",
		"a,b",
		"\\n",
		"a\\tb",
		"a\\u001bb",
		"a\\u007f",
		"a\\u0085",
		"a\\u00a0b",
		"\xf0\x9f\x98\x80",		     /* an emoji */
		"a\xe2\x80\x8b\x62",		     /* zero width space */
		"a\xe2\x80\x8d\x62",		     /* zero width joiner */
		"\xe2\x80\xae\x61\x62\x63",	     /* right-to-left override */
		"\xef\xbb\xbf\x61",		     /* byte order mark */
		"\xcc\x81\x61",			     /* an accent on nothing */
		"-\xcc\x81",			     /* an accent on a dash */
		"\xd0\xb0nna",			     /* Cyrillic and Latin */
		"\xce\xb1nna",			     /* Greek and Latin */
		"\xe2\x85\xa7",			     /* a Roman number */
		"\xef\xbf\xbd",			     /* the replacement character */
		"\xee\x80\x80",			     /* for private use */
		"a\xcd\x8f\x62",		     /* an invisible joiner */
		"abcdefghijabcdefghijabcdefghijabc", /* 33 characters */
	};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		expect_error(&anna, "bad_name", "{'op':'hello','nick':'%s'}", names[i]);
		expect_error(&anna, "bad_name", "{'op':'join','room':'%s'}", names[i]);
		expect_error(&anna, "bad_name", "{'op':'say','room':'@%s','text':'x'}", names[i]);
		expect_error(&anna, "bad_name", "{'op':'join','room':'@%s'}", names[i]);
		expect_error(&anna, "bad_name", "{'op':'history','room':'%s'}", names[i]);
	}
	expect_error(&anna, "bad_name", "{'op':'hello','nick':'@anna'}");
	expect_error(&anna, "bad_name", "{'op':'join','room':'@@anna'}");
	expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'lobby','...':1}]}");
	server_stop(&server);
}
END_TEST

START_TEST(names_that_are_legal)
{
	static const char *const names[] = {
		"a",
		"7",
		"-._",
		"abcdefghijabcdefghijabcdefghijab",
		"\xc3\xa5sa",				  /* åsa */
		"\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0",	  /* анна */
		"\xe6\x97\xa5\xe6\x9c\xac\xe3\x81\xae-1", /* 日本の-1 */
	};
	CHATTER anna = {0};
	struct server server;

	chat_start(&server, "", "rooms: ();");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		expect_json(chatter_ask(&anna, "{'op':'join','room':'%s'}", names[i]),
			    "{'ok':true,'room':'%s','seq':0,'oldest':1,'members':1,'topic':''}",
			    names[i]);
		expect_json(chatter_ask(&anna, "{'op':'hello','nick':'%s'}", names[i]),
			    "{'ok':true,'nick':'%s','user':null,'...':1}", names[i]);
	}
	/* a + ring is å, and Å is å. */
	expect_json(chatter_ask(&anna, "{'op':'who','room':'A\xcc\x8aSA'}"), "{'ok':true,'...':1}");
	expect_json(chatter_ask(&anna, "{'op':'join','room':'A\xcc\x8aSA'}"),
		    "{'ok':true,'room':'\xc3\xa5sa','members':1,'...':1}");
	server_stop(&server);
}
END_TEST

/* ---- each other token ---- */

START_TEST(every_token)
{
	CHATTER anna = {0}, ben = {0}, muted = {0};
	struct server server;

	chat_start(&server, "", "max_rooms_per_client = 2;");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_open(&ben, &server, "line", "tcp:");
	expect_error(&ben, "nick_in_use", "{'op':'hello','nick':'ANNA'}");
	expect_error(&ben, "not_allowed", "{'op':'hello','nick':'%s'}", chat_me());
	expect_error(&ben, "auth_failed", "{'op':'hello','nick':'ben','user':'%s'}", chat_me());
	expect_error(&ben, "auth_failed", "{'op':'hello','nick':'ben','user':'x','password':'y'}");
	expect_error(&ben, "no_such_room", "{'op':'leave','room':'nowhere'}");
	expect_error(&ben, "no_such_room", "{'op':'say','room':'nowhere','text':'x'}");
	expect_error(&ben, "no_such_room", "{'op':'history','room':'nowhere'}");
	expect_error(&ben, "no_such_room", "{'op':'topic','room':'nowhere','text':'x'}");
	expect_error(&ben, "no_such_room", "{'op':'who','room':'nowhere'}");
	expect_error(&ben, "no_such_room", "{'op':'history','room':'@anna'}");
	expect_error(&ben, "no_such_nick", "{'op':'say','room':'@nobody-of-this-name','text':'x'}");
	expect_error(&ben, "no_such_nick", "{'op':'join','room':'@nobody-of-this-name'}");
	expect_error(&ben, "not_member", "{'op':'say','room':'ops','text':'x'}");
	expect_error(&ben, "not_member", "{'op':'leave','room':'ops'}");
	expect_error(&ben, "not_member", "{'op':'topic','room':'ops','text':'x'}");
	expect_ok(&ben, "{'op':'join','room':'b'}");
	expect_ok(&ben, "{'op':'join','room':'c'}");
	expect_error(&ben, "too_many_rooms", "{'op':'join','room':'d'}");
	expect_error(&ben, "too_many_rooms", "{'op':'join','room':'ops'}");
	expect_error(&anna, "too_long", "{'op':'topic','room':'ops','text':'%01025d'}", 0);
	/* Nothing of all this was heard by anybody. */
	expect_no_event(&anna);
	expect_json(chatter_ask(&ben, "{'op':'who','room':'b'}"),
		    "{'ok':true,'room':'b','members':[{'nick':'guest-2','...':1}]}");
	expect_error(&ben, "bad_request", "{'op':'hello'}");

	chatter_open(&muted, &server, "chat", "unix:");
	expect_ok(&muted, "{'op':'mute','nick':'anna','reason':'noise'}");
	expect_error(&anna, "muted", "{'op':'say','room':'ops','text':'x'}");
	expect_error(&anna, "muted", "{'op':'say','room':'@guest-2','text':'x'}");
	expect_error(&anna, "muted", "{'op':'topic','room':'ops','text':'x'}");
	server_stop(&server);
}
END_TEST

START_TEST(guests_may_be_kept_out)
{
	static const char *const requests[] = {
		"{'op':'hello','nick':'anna'}",
		"{'op':'join','room':'lobby'}",
		"{'op':'say','room':'lobby','text':'x'}",
		"{'op':'history','room':'lobby'}",
		"{'op':'who'}",
		"{'op':'rooms'}",
		"{'op':'leave','room':'lobby'}",
		"{'op':'topic','room':'lobby','text':'x'}",
	};
	CHATTER guest = {0}, me = {0};
	struct server server;

	chat_start(&server, "", "guests = false;");
	chatter_open(&guest, &server, "chat", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect_error(&guest, "auth_required", "%s", requests[i]);
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'join','room':'lobby'}");
	server_stop(&server);
}
END_TEST

START_TEST(rooms_are_made_only_where_allowed)
{
	CHATTER anna = {0}, admin = {0};
	struct server server;

	chat_start(&server, "", "create_rooms = false; rooms: ( { name = \"lobby\"; } );");
	chatter_enter(&anna, &server, "anna", "lobby");
	expect_error(&anna, "no_such_room", "{'op':'join','room':'other'}");
	chatter_open(&admin, &server, "chat", "unix:");
	expect_ok(&admin, "{'op':'join','room':'other'}");
	expect_ok(&anna, "{'op':'join','room':'OTHER'}");
	server_stop(&server);
}
END_TEST

/* ---- how much ---- */

START_TEST(ten_thousand_joins)
{
	enum { JOINS = 10000, BATCH = 500, MOST = 256 };
	CHATTER anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "", "rooms: ();");
	chatter_open(&anna, &server, "chat", "tcp:");
	for (int i = 0; i < JOINS; i += BATCH) {
		for (int k = i; k < i + BATCH; k++)
			chatter_add(&anna, "{'op':'join','room':'r%d'}", k);
		chatter_flush(&anna);
		for (int k = i; k < i + BATCH; k++)
			expect_json(chatter_reply(&anna),
				    k < MOST ? "{'ok':true,'...':1}"
					     : "{'ok':false,'error':'too_many_rooms',"
					       "'message':'*'}");
	}
	expect_ok(&anna, "{'op':'leave','room':'r0'}");
	expect_ok(&anna, "{'op':'join','room':'another'}");
	expect_error(&anna, "too_many_rooms", "{'op':'join','room':'r0'}");
	/* Somebody else is not hindered. */
	chatter_enter(&ben, &server, "ben", "r0");
	expect_ok(&ben, "{'op':'join','room':'r1'}");
	/* Rooms that nobody is in any more, and where nothing was said, are no more. */
	chatter_leave(&anna, &ben, "guest-1");
	expect_json(chatter_ask(&ben, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'r1','...':1},{'room':'r0','...':1}]}");
	server_stop(&server);
}
END_TEST

START_TEST(rooms_in_all)
{
	CHATTER anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "", "max_rooms = 3; rooms: ( { name = \"lobby\"; } );");
	chatter_enter(&anna, &server, "anna", "a");
	chatter_enter(&ben, &server, "ben", "b");
	expect_error(&ben, "too_many_rooms", "{'op':'join','room':'c'}");
	expect_error(&ben, "too_many_rooms", "{'op':'say','room':'@anna','text':'x'}");
	expect_ok(&ben, "{'op':'join','room':'lobby'}");
	expect_ok(&anna, "{'op':'leave','room':'a'}");
	expect_ok(&ben, "{'op':'join','room':'c'}");
	server_stop(&server);
}
END_TEST

START_TEST(thousand_requests_in_one_piece)
{
	enum { EACH = 1000 };
	struct server server;

	chat_start(&server, "", "rooms: ();");
	for (size_t l = 0; l < ARRAY_SIZE(listeners); l++) {
		CHATTER anna = {0};

		chatter_open(&anna, &server, listeners[l], l ? "tcp:" : "unix:");
		expect_ok(&anna, "{'op':'join','room':'ops'}");
		for (int i = 0; i < EACH; i++) {
			chatter_add(&anna, "{'op':'ping','text':'p%d'}", i);
			chatter_add(&anna, "{'op':'say','room':'ops','text':'s%d'}", i);
			chatter_add(&anna, "{'op':'join','room':'r%d'}", i % 200);
			chatter_add(&anna, "{'op':'nothing'}");
		}
		chatter_flush(&anna);
		for (int i = 0; i < EACH; i++) {
			expect_json(chatter_reply(&anna), "{'ok':true,'text':'p%d'}", i);
			expect_json(chatter_reply(&anna),
				    "{'ok':true,'room':'ops','seq':%d,'time':'<time>'}",
				    (int)l * EACH + i + 1);
			expect_json(chatter_reply(&anna), "{'ok':true,'room':'r%d','...':1}",
				    i % 200);
			expect_json(chatter_reply(&anna),
				    "{'ok':false,'error':'unknown_op','message':'*'}");
		}
	}
	server_stop(&server);
}
END_TEST

/* Whoever has nothing more to say gets all replies, and then the end. */
START_TEST(half_close_gets_all_replies)
{
	enum { EACH = 1000 };
	struct server server;

	chat_start(&server, "", "max_requests = 16;");
	for (size_t l = 0; l < ARRAY_SIZE(listeners); l++) {
		CHATTER anna = {0};
		int messages = 0;

		chatter_open(&anna, &server, listeners[l], "tcp:");
		chatter_add(&anna, "{'op':'join','room':'ops'}");
		for (int i = 0; i < EACH; i++)
			chatter_add(&anna, "{'op':'say','room':'ops','text':'s%d'}", i);
		chatter_flush(&anna);
		shut_down(anna.fd);
		expect_json(chatter_reply(&anna), "{'ok':true,'...':1}");
		for (int i = 0; i < EACH; i++)
			expect_json(chatter_reply(&anna),
				    "{'ok':true,'room':'ops','seq':%d,'time':'<time>'}",
				    (int)l * EACH + i + 1);
		/* Deliveries went out with them. */
		while (messages < EACH) {
			expect_message(&anna, "ops", (int)l * EACH + messages + 1, "*");
			messages++;
		}
		expect_end(anna.fd);
	}
	server_stop(&server);
}
END_TEST

/* Everything that has come is answered before a daemon that is told to stop says so. */
START_TEST(stopping)
{
	enum { EACH = 300 };
	CHATTER anna = {0}, idle = {0};
	CLEANUP(closep) int text = -1;
	CLEANUP(buffer_done) struct buffer rest = {0};
	struct server server;
	int said = 0;

	chat_start(&server, "timeouts: { drain = \"10s\"; };", "%s", "");
	chatter_enter(&idle, &server, "idle", "ops");
	chatter_enter(&anna, &server, "anna", "ops");
	text = client(&server, "talk", "tcp:");
	expect_event(&idle, "{'event':'join','room':'ops','nick':'anna'}");
	for (int i = 1; i <= EACH; i++)
		chatter_add(&anna, "{'op':'say','room':'ops','text':'m%d'}", i);
	chatter_flush(&anna);
	expect_json(chatter_reply(&anna), "{'ok':true,'seq':1,'...':1}");
	server_signal(&server, SIGTERM);
	while (!anna.ended)
		chatter_receive(&anna);
	for (int i = 2; json_array_size(anna.replies) > 0; i++)
		expect_json(chatter_reply(&anna), "{'ok':true,'seq':%d,'...':1}", i);
	while (json_array_size(anna.events) > 1)
		expect_message(&anna, "ops", ++said, "*");
	ck_assert_int_eq(anna.answered, anna.asked);
	ck_assert_int_eq(said, EACH);
	expect_closing(&anna, "shutting down", true);
	/* One who waits for nothing may be sent away at once, and comes back for the rest. */
	while (!idle.ended)
		chatter_receive(&idle);
	ck_assert_uint_ge(json_array_size(idle.events), 1);
	while (json_array_size(idle.events) > 1)
		json_decref(chatter_event(&idle));
	expect_closing(&idle, "shutting down", true);
	recv_to_end(text, &rest);
	ck_assert_ptr_nonnull(memmem(rest.data, rest.len, "* closing: shutting down\n", 25));
	hang_up(&text);
	chatter_done(&anna);
	chatter_done(&idle);
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

/* ---- sizes ---- */

START_TEST(long_texts)
{
	enum { MOST = 8192 - 1024 };
	CHATTER anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "max_message = \"8K\";", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'limits':{'max_message':8192,'max_text':7168,'...':1},'...':1}");
	expect_error(&anna, "too_long", "{'op':'say','room':'ops','text':'%0*d'}", MOST + 1, 0);
	expect_ok(&anna, "{'op':'say','room':'ops','text':'%0*d'}", MOST, 0);
	expect_json(chatter_event(&ben),
		    "{'event':'message','room':'ops','seq':1,'time':'<time>','from':'anna',"
		    "'text':'%0*d'}",
		    MOST, 0);
	/* A frame beyond the limit ends the connection, with a reason. */
	chatter_send(&anna, "{'op':'say','room':'ops','text':'%09000d'}", 0);
	ck_assert_int_ge(anna.fd, 0);
	{
		CLEANUP(buffer_done) struct buffer rest = {0};

		recv_to_end(anna.fd, &rest);
		ck_assert_ptr_nonnull(
			memmem(rest.data, rest.len, "longer than the limit of 8192", 29));
	}
	expect_event(&ben, "{'event':'leave','room':'ops','nick':'anna'}");
	expect_no_event(&ben);
	server_stop(&server);
}
END_TEST

/* ---- a full disk ---- */

/* Fills a small file system to its last byte, or gives its room back. */
static void fill(const char *directory, bool full)
{
	char path[SERVER_PATH_MAX + 32];
	char block[4096] = "";
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/state/filler", directory);
	if (!full) {
		ck_assert_int_eq(remove(path), 0);
		return;
	}
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	while (fwrite(block, 1, sizeof block, file) == sizeof block && fflush(file) == 0)
		;
	(void)fclose(file); /* it has failed already, as it should */
}

/* Says short texts until one is refused; returns how many were not. */
static int say_until_full(struct chatter *chatter, const char *directory, int said)
{
	for (;;) {
		json_t *reply =
			chatter_ask(chatter, "{'op':'say','room':'ops','text':'m%d','key':'%d'}",
				    said + 1, said + 1);
		bool ok = json_is_true(json_object_get(reply, "ok"));

		if (!ok) {
			expect_json(reply, "{'ok':false,'error':'storage','message':'*'}");
			return said;
		}
		ck_assert_int_eq(member_integer(reply, "seq"), ++said);
		json_decref(reply);
		ck_assert_int_lt(said, 20000);
		fill(directory, false);
		fill(directory, true);
	}
}

START_TEST(full_disk)
{
	CHATTER anna = {0}, ben = {0}, control = {0};
	struct server server = {0};
	char path[SERVER_PATH_MAX + 32];
	uint64_t deadline;
	int said;

	if (!harness_private_mounts()) {
		harness_skip("no mounts of one's own here");
		return;
	}
	server_init(&server);
	(void)snprintf(path, sizeof path, "%s/state", server.directory);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_msg(mount("none", path, "tmpfs", 0, "size=1m") == 0, "mount: %m");
	server_start(&server,
		     &(struct server_setup){
			     .config =
				     "listeners: ( { name = \"chat\"; service = \"chat\"; "
				     "listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; } );"
				     "chat: { rooms: ( { name = \"memory\"; "
				     "durable = false; } ); };"});
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	chatter_open_control(&control, &server, FRAMING_LENGTH);
	chatter_say(&anna, "ops", 1, "m1");
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':true,'problems':[]}");

	fill(server.directory, true);
	said = say_until_full(&anna, server.directory, 1);
	expect_error(&anna, "storage", "{'op':'say','room':'ops','text':'no','key':'no'}");
	expect_error(&anna, "storage", "{'op':'topic','room':'ops','text':'%0900d'}", 0);
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':false,'problems':['*']}");
	free(server_wait_log(&server, "cannot be written"));
	/* What is not on the disk is not hindered, and nobody has heard what was refused. */
	expect_ok(&anna, "{'op':'join','room':'memory'}");
	chatter_say(&anna, "memory", 1, "here");
	expect_json(chatter_ask(&anna, "{'op':'history','room':'ops','limit':1}"),
		    "{'ok':true,'seq':%d,'...':1}", said);
	for (int i = 1; i <= said; i++)
		expect_message(&ben, "ops", i, "*");
	expect_no_event(&ben);

	/* It works again by itself, and the number that was not used is. */
	fill(server.directory, false);
	chatter_say(&anna, "ops", said + 1, "again");
	expect_message(&ben, "ops", said + 1, "again");
	expect_ok(&anna, "{'op':'say','room':'ops','text':'no','key':'no'}");
	expect_message(&ben, "ops", said + 2, "no");
	free(server_wait_log(&server, "can be written again"));
	deadline = harness_now() + (uint64_t)harness_patience();
	for (bool healthy = false; !healthy;) {
		json_t *reply = chatter_ask(&control, "{'op':'health'}");

		healthy = json_is_true(json_object_get(reply, "healthy"));
		json_decref(reply);
		harness_pause(deadline, "health");
	}
	chatter_done(&anna);
	chatter_done(&ben);
	chatter_done(&control);
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	ck_assert_int_eq(umount(path), 0);
	server_done(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_errors");

	harness_add(suite, what_is_no_request);
	harness_add(suite, errors_have_the_id);
	harness_add(suite, ids_come_back);
	harness_add(suite, unknown_members_are_ignored);
	harness_add(suite, deep_nesting);
	harness_add(suite, enormous_numbers);
	harness_add(suite, names_of_every_illegal_kind);
	harness_add(suite, names_that_are_legal);
	harness_add(suite, every_token);
	harness_add(suite, guests_may_be_kept_out);
	harness_add(suite, rooms_are_made_only_where_allowed);
	harness_add(suite, ten_thousand_joins);
	harness_add(suite, rooms_in_all);
	harness_add(suite, thousand_requests_in_one_piece);
	harness_add(suite, half_close_gets_all_replies);
	harness_add(suite, stopping);
	harness_add(suite, long_texts);
	harness_add(suite, full_disk);
	return harness_main(suite);
}
