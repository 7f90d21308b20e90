/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What administrators do: kicks, bans and mutes, the control socket, rates and reloads. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_chat.h"

enum { NOBODY = 65534 };

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	harness_skip("only root can connect as somebody else");
	return false;
}

/* Waits for a line of the log that says who did what. */
static void expect_deed(struct server *server, const char *deed)
{
	char text[256];

	(void)snprintf(text, sizeof text, "%s %s", chat_me(), deed);
	free(server_wait_log(server, text));
}

/* A guest who comes is closed again because of this. */
static void expect_banned(const struct server *server, const char *nick, const char *reason)
{
	CHATTER guest = {0};

	chatter_open(&guest, server, "chat", "tcp:");
	if (nick)
		chatter_send(&guest, "{'op':'hello','nick':'%s'}", nick);
	expect_closing(&guest, reason, false);
}

/* ---- who may ---- */

START_TEST(others_may_not)
{
	static const char *const requests[] = {
		"{'op':'stats'}",
		"{'op':'clients'}",
		"{'op':'health'}",
		"{'op':'reload'}",
		"{'op':'kick','nick':'anna'}",
		"{'op':'kick','client':1}",
		"{'op':'ban','nick':'anna'}",
		"{'op':'ban','address':'127.0.0.0/8'}",
		"{'op':'unban','nick':'anna'}",
		"{'op':'mute','user':'root'}",
		"{'op':'unmute','user':'root'}",
	};
	CHATTER guest = {0}, anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_open(&guest, &server, "chat", "tcp:");
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect_error(&guest, "not_allowed", "%s", requests[i]);
	if (is_root()) {
		CHATTER nobody = {0}, control = {0};

		chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
			expect_error(&nobody, "not_allowed", "%s", requests[i]);
		ck_assert_int_eq(seteuid(NOBODY), 0);
		chatter_open_control(&control, &server, FRAMING_LENGTH);
		ck_assert_int_eq(seteuid(0), 0);
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
			expect_error(&control, "not_allowed", "%s", requests[i]);
	}
	expect_no_event(&anna);
	server_stop(&server);
}
END_TEST

/* Administrators are named by user, or by group; the control socket takes root always. */
START_TEST(who_is_an_administrator)
{
	CHATTER nobody = {0}, daemon = {0}, root = {0}, control = {0};
	struct server server;

	if (!is_root())
		return;
	chat_start(&server, "", "admins = [ \"nobody\", \"@daemon\" ];");
	chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
	chatter_open_as(&daemon, &server, "chat", 2, 1);
	chatter_open(&root, &server, "chat", "unix:");
	expect_ok(&nobody, "{'op':'stats'}");
	expect_ok(&daemon, "{'op':'stats'}");
	expect_error(&root, "not_allowed", "{'op':'stats'}");
	chatter_open_control(&control, &server, FRAMING_LENGTH);
	expect_ok(&control, "{'op':'stats'}");
	server_stop(&server);
}
END_TEST

/* ---- kicks ---- */

START_TEST(kick_by_nick)
{
	CHATTER me = {0}, anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_enter(&anna, &server, "Anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_json(chatter_ask(&me, "{'op':'kick','nick':'anna','reason':'too loud'}"),
		    "{'ok':true,'kicked':1}");
	json_decref(chatter_event(&anna));
	expect_closing(&anna, "too loud", false);
	expect_event(&ben, "{'event':'leave','room':'ops','nick':'Anna','reason':'*'}");
	expect_deed(&server, "kicked \"anna\": too loud");
	expect_error(&me, "no_such_nick", "{'op':'kick','nick':'anna'}");
	expect_error(&me, "no_such_nick", "{'op':'kick','user':'daemon'}");
	expect_error(&me, "bad_request", "{'op':'kick'}");
	expect_error(&me, "bad_request", "{'op':'kick','nick':'a','user':'b'}");
	/* It may come back. */
	chatter_leave(&anna, &me, "Anna");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_json(chatter_ask(&me, "{'op':'kick','nick':'ANNA'}"), "{'ok':true,'kicked':1}");
	expect_closing(&anna, "kicked", false);
	expect_deed(&server, "kicked \"ANNA\"");
	server_stop(&server);
}
END_TEST

START_TEST(kick_by_user)
{
	CHATTER me = {0}, one = {0}, two = {0}, guest = {0};
	struct server server;

	if (!is_root())
		return;
	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_open_as(&one, &server, "chat", NOBODY, NOBODY);
	chatter_open_as(&two, &server, "line", NOBODY, NOBODY);
	expect_ok(&one, "{'op':'hello','nick':'alias'}");
	expect_ok(&two, "{'op':'join','room':'ops'}");
	chatter_enter(&guest, &server, "guest", "ops");
	expect_json(chatter_ask(&me, "{'op':'kick','user':'nobody','reason':'both'}"),
		    "{'ok':true,'kicked':2}");
	expect_closing(&one, "both", false);
	expect_event(&two, "{'event':'join','room':'ops','nick':'guest'}");
	expect_closing(&two, "both", false);
	expect_event(&guest, "{'event':'leave','room':'ops','nick':'alias','reason':'*'}");
	expect_no_event(&guest);
	expect_deed(&server, "kicked user nobody: both");
	server_stop(&server);
}
END_TEST

/* The number of the connection with this nick. */
static json_int_t client_number(struct chatter *admin, const char *nick)
{
	json_t *reply = chatter_ask(admin, "{'op':'clients'}"), *one;
	json_int_t number = -1;
	size_t i;

	json_array_foreach(json_object_get(reply, "clients"), i, one)
		if (json_is_string(json_object_get(one, "nick")) &&
		    strcmp(member_string(one, "nick"), nick) == 0)
			number = member_integer(one, "client");
	json_decref(reply);
	ck_assert_int_ge(number, 0);
	return number;
}

START_TEST(kick_by_number)
{
	CHATTER me = {0}, anna = {0}, ben = {0};
	struct server server;
	json_int_t number;

	chat_start(&server, "workers = 2;", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	number = client_number(&me, "anna");
	expect_json(chatter_ask(&me,
				"{'op':'kick','client':%" JSON_INTEGER_FORMAT
				",'reason':'that one'}",
				number),
		    "{'ok':true,'kicked':1}");
	json_decref(chatter_event(&anna));
	expect_closing(&anna, "that one", false);
	expect_event(&ben, "{'event':'leave','room':'ops','nick':'anna','...':1}");
	expect_error(&me, "no_such_nick", "{'op':'kick','client':%" JSON_INTEGER_FORMAT "}",
		     number);
	expect_error(&me, "no_such_nick", "{'op':'kick','client':9223372036854775807}");
	expect_error(&me, "bad_request", "{'op':'kick','client':-1}");
	expect_no_event(&ben);
	server_stop(&server);
}
END_TEST

START_TEST(kick_from_a_room)
{
	CHATTER me = {0}, anna = {0}, ben = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_enter(&ben, &server, "ben", "ops");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_ok(&anna, "{'op':'join','room':'other'}");
	expect_event(&ben, "{'event':'join','room':'ops','nick':'anna'}");
	expect_json(chatter_ask(&me, "{'op':'kick','nick':'anna','room':'OPS','reason':'off "
				     "topic'}"),
		    "{'ok':true,'kicked':1}");
	for (int i = 0; i < 2; i++) {
		json_t *event = chatter_event(i ? &anna : &ben);

		ck_assert_ptr_nonnull(strstr(member_string(event, "reason"), "off topic"));
		expect_json(event, "{'event':'leave','room':'ops','nick':'anna','reason':'*'}");
	}
	expect_error(&anna, "not_member", "{'op':'say','room':'ops','text':'x'}");
	chatter_say(&anna, "other", 1, "still here");
	expect_error(&me, "not_member", "{'op':'kick','nick':'anna','room':'ops'}");
	expect_error(&me, "no_such_room", "{'op':'kick','nick':'anna','room':'nowhere'}");
	expect_ok(&anna, "{'op':'join','room':'ops'}");
	expect_event(&ben, "{'event':'join','room':'ops','nick':'anna'}");
	expect_deed(&server, "kicked \"anna\"");
	server_stop(&server);
}
END_TEST

/* ---- bans ---- */

START_TEST(ban_by_nick)
{
	CHATTER me = {0}, anna = {0}, watcher = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_enter(&watcher, &server, "watcher", "ops");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_event(&watcher, "{'event':'join','room':'ops','nick':'anna'}");
	expect_json(chatter_ask(&me, "{'op':'ban','nick':'ANNA','reason':'spam'}"),
		    "{'ok':true,'kicked':1}");
	expect_closing(&anna, "spam", false);
	expect_event(&watcher, "{'event':'leave','room':'ops','nick':'anna','reason':'*'}");
	expect_deed(&server, "banned \"ANNA\": spam");
	expect_banned(&server, "Anna", "banned");
	expect_json(chatter_ask(&me, "{'op':'stats'}"),
		    "{'ok':true,'bans':[{'nick':'anna','until':null,'by':'%s','reason':'spam'}],"
		    "'mutes':[],'...':1}",
		    chat_me());
	expect_no_event(&watcher);
	expect_ok(&me, "{'op':'unban','nick':'anna'}");
	expect_deed(&server, "unbanned \"anna\"");
	expect_error(&me, "no_such_nick", "{'op':'unban','nick':'anna'}");
	expect_error(&me, "no_such_nick", "{'op':'unban','user':'anna'}");
	chatter_leave(&anna, &me, "anna");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_error(&me, "bad_request", "{'op':'ban'}");
	expect_error(&me, "bad_name", "{'op':'ban','address':'127.0.0.1/33'}");
	expect_error(&me, "bad_name", "{'op':'ban','address':'localhost'}");
	expect_error(&me, "bad_request", "{'op':'ban','nick':'x','duration':0}");
	server_stop(&server);
}
END_TEST

START_TEST(ban_by_network)
{
	static const char *const networks[] = {"127.0.0.0/8", "127.0.0.1", "0.0.0.0/0",
					       "::ffff:127.0.0.1"};
	CHATTER me = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
		CHATTER anna = {0}, ben = {0}, carla = {0};

		chatter_enter(&anna, &server, "anna", NULL);
		chatter_enter(&ben, &server, "ben", NULL);
		expect_json(
			chatter_ask(&me, "{'op':'ban','address':'%s','reason':'net'}", networks[i]),
			"{'ok':true,'kicked':2}");
		expect_closing(&anna, "net", false);
		expect_closing(&ben, "net", false);
		expect_banned(&server, NULL, "net");
		/* Who comes over the Unix socket has no address. */
		chatter_open(&carla, &server, "chat", "unix:");
		expect_ok(&carla, "{'op':'rooms'}");
		expect_ok(&me, "{'op':'unban','address':'%s'}", networks[i]);
		chatter_leave(&anna, &me, "anna");
		chatter_leave(&ben, &me, "ben");
		chatter_enter(&anna, &server, "anna", NULL);
		chatter_leave(&anna, &me, "anna");
	}
	expect_deed(&server, "banned address 127.0.0.0/8: net");
	expect_json(chatter_ask(&me, "{'op':'ban','address':'fd00::/8'}"),
		    "{'ok':true,'kicked':0}");
	expect_json(chatter_ask(&me, "{'op':'ban','address':'10.0.0.0/8'}"),
		    "{'ok':true,'kicked':0}");
	server_stop(&server);
}
END_TEST

START_TEST(ban_by_user)
{
	CHATTER me = {0}, one = {0}, two = {0};
	struct server server;

	if (!is_root())
		return;
	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_open_as(&one, &server, "chat", NOBODY, NOBODY);
	chatter_open_as(&two, &server, "line", NOBODY, NOBODY);
	expect_ok(&one, "{'op':'hello','nick':'alias'}");
	expect_ok(&two, "{'op':'ping'}");
	expect_json(chatter_ask(&me, "{'op':'ban','user':'nobody','reason':'enough'}"),
		    "{'ok':true,'kicked':2}");
	expect_closing(&one, "enough", false);
	expect_closing(&two, "enough", false);
	chatter_done(&one);
	chatter_open_as(&one, &server, "chat", NOBODY, NOBODY);
	expect_closing(&one, "enough", false);
	/* Nobody can lock the administrators out. */
	expect_json(chatter_ask(&me, "{'op':'ban','user':'root'}"), "{'ok':true,'kicked':0}");
	chatter_done(&two);
	chatter_open(&two, &server, "chat", "unix:");
	expect_ok(&two, "{'op':'rooms'}");
	expect_ok(&me, "{'op':'unban','user':'nobody'}");
	chatter_done(&one);
	chatter_open_as(&one, &server, "chat", NOBODY, NOBODY);
	expect_ok(&one, "{'op':'rooms'}");
	server_stop(&server);
}
END_TEST

/* Waits until a guest of this name is let in. */
static void wait_unbanned(const struct server *server, const char *nick)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	bool closed;

	do {
		CHATTER guest = {0};

		chatter_open(&guest, server, "chat", "tcp:");
		chatter_send(&guest, "{'op':'hello','nick':'%s'}", nick);
		shut_down(guest.fd);
		while (!guest.ended)
			chatter_receive(&guest);
		/* Or somebody of that name has not quite gone yet. */
		closed = json_array_size(guest.events) > 0 || json_array_size(guest.replies) == 0 ||
			 !json_is_true(json_object_get(json_array_get(guest.replies, 0), "ok"));
		harness_pause(deadline, "a ban to be over");
	} while (closed);
}

START_TEST(bans_end)
{
	CHATTER me = {0};
	struct server server;
	uint64_t begun;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'ban','nick':'anna','duration':1000}");
	expect_json(chatter_ask(&me, "{'op':'stats'}"),
		    "{'ok':true,'bans':[{'nick':'anna','until':'<time>','by':'*','reason':''}],"
		    "'...':1}");
	expect_banned(&server, "anna", "banned");
	/* One that is given again replaces the first. */
	begun = harness_now();
	expect_ok(&me, "{'op':'ban','nick':'anna','duration':1}");
	wait_unbanned(&server, "anna");
	ck_assert_uint_ge(harness_now() - begun, 990);
	expect_json(chatter_ask(&me, "{'op':'stats'}"), "{'ok':true,'bans':[],'...':1}");
	server_stop(&server);
}
END_TEST

START_TEST(sanctions_over_a_restart)
{
	CHATTER me = {0}, anna = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'ban','nick':'mallory','reason':'one'}");
	expect_ok(&me, "{'op':'ban','nick':'short','duration':1}");
	expect_ok(&me, "{'op':'ban','address':'10.1.2.3/8','duration':1000,'reason':'two'}");
	expect_ok(&me, "{'op':'mute','nick':'anna','reason':'three'}");
	for (int i = 0; i < 2; i++) {
		chatter_done(&me);
		chat_restart(&server, i ? SIGTERM : SIGKILL);
		chatter_open(&me, &server, "chat", "unix:");
		expect_banned(&server, "mallory", "banned");
		chatter_enter(&anna, &server, "anna", "ops");
		expect_error(&anna, "muted", "{'op':'say','room':'ops','text':'x'}");
		chatter_done(&anna);
	}
	wait_unbanned(&server, "short");
	expect_json(chatter_ask(&me, "{'op':'stats'}"),
		    "{'ok':true,'mutes':[{'nick':'anna','until':null,'by':'%s','reason':'three'}],"
		    "'bans':['*','*'],'...':1}",
		    chat_me());
	expect_ok(&me, "{'op':'unban','nick':'mallory'}");
	expect_ok(&me, "{'op':'unmute','nick':'anna'}");
	chatter_done(&me);
	chat_restart(&server, SIGKILL);
	chatter_open(&me, &server, "chat", "unix:");
	expect_json(chatter_ask(&me, "{'op':'stats'}"),
		    "{'ok':true,'mutes':[],'bans':[{'address':'10.0.0.0/8','until':'<time>',"
		    "'by':'%s','reason':'two'}],'...':1}",
		    chat_me());
	server_stop(&server);
}
END_TEST

/* ---- mutes ---- */

START_TEST(mutes)
{
	static const char *const targets[] = {"'nick':'anna'", "'address':'127.0.0.1'",
					      "'address':'127.0.0.0/8'"};
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	CHATTER me = {0}, anna = {0};
	struct server server;
	json_int_t seq = 0;
	bool muted = true;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'join','room':'ops'}");
	chatter_enter(&anna, &server, "anna", "ops");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		expect_json(chatter_ask(&me, "{'op':'mute',%s,'reason':'hush'}", targets[i]),
			    "{'ok':true}");
		expect_error(&anna, "muted", "{'op':'say','room':'ops','text':'x'}");
		/* It hears everything. */
		chatter_say(&me, "ops", ++seq, "listen");
		expect_message(&anna, "ops", seq, "listen");
		expect_json(chatter_ask(&me, "{'op':'unmute',%s}", targets[i]), "{'ok':true}");
		expect_error(&me, "no_such_nick", "{'op':'unmute',%s}", targets[i]);
		chatter_say(&anna, "ops", ++seq, "thanks");
		expect_message(&anna, "ops", seq, "thanks");
	}
	expect_deed(&server, "muted \"anna\": hush");
	expect_deed(&server, "unmuted \"anna\"");
	expect_deed(&server, "muted address 127.0.0.1: hush");
	expect_ok(&me, "{'op':'mute','nick':'anna','duration':1}");
	while (muted) {
		json_t *reply = chatter_ask(&anna, "{'op':'say','room':'ops','text':'now'}");

		muted = json_is_false(json_object_get(reply, "ok"));
		if (muted)
			expect_json(reply, "{'ok':false,'error':'muted','message':'*'}");
		else
			expect_json(reply, "{'ok':true,'seq':%d,'...':1}", (int)seq + 1);
		harness_pause(deadline, "a mute to be over");
	}
	server_stop(&server);
}
END_TEST

/* ---- the control socket ---- */

static void ask_control(const struct server *server, enum framing framing)
{
	CHATTER control = {0}, anna = {0};
	json_t *reply, *clients;

	chatter_enter(&anna, server, "anna", "ops");
	chatter_say(&anna, "ops", 1, "x");
	chatter_open_control(&control, server, framing);
	expect_json(chatter_ask(&control, "{'op':'ping','text':'x'}"), "{'ok':true,'text':'x'}");
	expect_json(chatter_ask(&control, "{'op':'transform','with':['upper'],'text':'x'}"),
		    "{'ok':true,'text':'X'}");
	expect_json(chatter_ask(&control, "{'op':'health'}"),
		    "{'ok':true,'healthy':true,'problems':[]}");
	reply = chatter_ask(&control, "{'op':'stats'}");
	ck_assert_int_ge(member_integer(reply, "messages"), 3);
	ck_assert_int_ge(member_integer(reply, "bytes_in"), 100);
	ck_assert_int_ge(member_integer(reply, "bytes_out"), 100);
	ck_assert_int_ge(member_integer(reply, "uptime"), 0);
	expect_json(reply,
		    "{'ok':true,'uptime':'*','version':'*','clients':2,'rooms':2,'messages':'*',"
		    "'bytes_in':'*','bytes_out':'*','messages_per_second':'*','bans':[],'mutes':[],"
		    "'listeners':["
		    "{'name':'chat','service':'chat','clients':1,'messages':3,'...':1},"
		    "{'name':'line','service':'chat','clients':0,'messages':0,'...':1},"
		    "{'name':'talk','service':'chat','clients':0,'messages':0,'...':1},'*'],"
		    "'...':1}");
	reply = chatter_ask(&control, "{'op':'clients'}");
	clients = json_object_get(reply, "clients");
	for (size_t i = 0; i < json_array_size(clients); i++) {
		json_t *one = json_array_get(clients, i);

		if (strcmp(member_string(one, "listener"), "chat") != 0)
			continue;
		ck_assert_int_ge(member_integer(one, "bytes_in"), 100);
		ck_assert_ptr_nonnull(strstr(member_string(one, "peer"), "127.0.0.1"));
		expect_json(json_incref(one),
			    "{'client':'*','listener':'chat','peer':'*','nick':'anna','user':null,"
			    "'rooms':['ops'],'since':'<time>','bytes_in':'*','bytes_out':'*',"
			    "'messages':3,'...':1}");
	}
	expect_json(reply, "{'ok':true,'clients':'*'}");
	/* It has no rooms. */
	expect_error(&control, "not_allowed", "{'op':'join','room':'ops'}");
	expect_error(&control, "not_allowed", "{'op':'say','room':'ops','text':'x'}");
	expect_error(&control, "unknown_op", "{'op':'nothing'}");
	chatter_send_raw(&control, "{]", 2);
	expect_refusal(&control, "bad_json");
	expect_json(chatter_ask(&control, "{'op':'kick','nick':'anna','reason':'by control'}"),
		    "{'ok':true,'kicked':1}");
	json_decref(chatter_event(&anna));
	expect_closing(&anna, "by control", false);
}

START_TEST(control_socket)
{
	static const enum framing framings[] = {FRAMING_LENGTH, FRAMING_LINE};
	struct server server;

	for (size_t i = 0; i < ARRAY_SIZE(framings); i++) {
		chat_start(&server, "", "%s", "");
		ask_control(&server, framings[i]);
		server_stop(&server);
	}
}
END_TEST

/* Whoever administers is not somebody who is here. */
START_TEST(control_is_not_seen)
{
	CHATTER control = {0}, guest = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open_control(&control, &server, FRAMING_LENGTH);
	expect_ok(&control, "{'op':'stats'}");
	chatter_enter(&guest, &server, "anna", NULL);
	expect_json(chatter_ask(&guest, "{'op':'who'}"),
		    "{'ok':true,'members':[{'nick':'anna','user':null,'since':'<time>'}]}");
	server_stop(&server);
}
END_TEST

START_TEST(reload_by_control)
{
	CHATTER control = {0}, admin = {0};
	struct server server;
	json_t *reply;

	chat_start(&server, "", "%s", "");
	chatter_open_control(&control, &server, FRAMING_LENGTH);
	chatter_open(&admin, &server, "chat", "unix:");
	expect_error(&admin, "not_allowed", "{'op':'reload'}");
	expect_error(&admin, "not_allowed", "{'op':'health'}");
	expect_json(chatter_ask(&control, "{'op':'reload'}"), "{'ok':true}");
	server_write_config(&server, "chat: { guests = 7; };\n");
	reply = chatter_ask(&control, "{'op':'reload'}");
	ck_assert_ptr_nonnull(strstr(member_string(reply, "message"), "guests"));
	expect_json(reply, "{'ok':false,'error':'not_reloaded','message':'*'}");
	expect_ok(&admin, "{'op':'rooms'}");
	server_stop(&server);
}
END_TEST

/* ---- how much one may say ---- */

enum { RATE = 2, BURST = 5 }; /* messages a second, and at once */

/*
 * Takes the replies to so many requests that were sent in one piece: some were too much. Returns
 * how many were not; *ret_wait gets what the last one that was too much is told to wait, in
 * milliseconds from *ret_told on.
 */
static unsigned take_rated(struct chatter *chatter, unsigned requests, double *ret_wait,
			   uint64_t *ret_told)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < requests; i++) {
		json_t *reply = chatter_reply(chatter);
		double wait = json_number_value(json_object_get(reply, "retry_after"));

		if (json_is_true(json_object_get(reply, "ok"))) {
			taken++;
			json_decref(reply);
			continue;
		}
		ck_assert_msg(wait > 0 && wait <= 1.0 / RATE + 0.01, "retry after %f", wait);
		expect_json(reply, "{'ok':false,'error':'slow_down','message':'*',"
				   "'retry_after':'*'}");
		*ret_wait = wait * 1000;
		*ret_told = harness_now();
	}
	ck_assert_uint_lt(taken, requests);
	return taken;
}

/* Time passes while this is asked, however little: what may be said then is allowed for. */
static unsigned rated_since(uint64_t begun)
{
	return BURST + (unsigned)((harness_now() - begun) * RATE / 1000) + 1;
}

START_TEST(rate)
{
	enum { REQUESTS = 200 }; /* for whose answers nobody waits until all of them are allowed */
	CHATTER anna = {0}, ben = {0};
	struct server server;
	unsigned said, changed;
	uint64_t begun, told = 0;
	double wait = 0;

	chat_start(&server, "", "rate: { messages = %d; burst = %d; };", RATE, BURST);
	begun = harness_now();
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'limits':{'rate':%d,'burst':%d,'...':1},'...':1}", RATE, BURST);
	for (int i = 0; i < REQUESTS; i++)
		chatter_add(&anna, "{'op':'say','room':'ops','text':'m'}");
	chatter_flush(&anna);
	said = take_rated(&anna, REQUESTS, &wait, &told);
	ck_assert_uint_ge(said, BURST);
	ck_assert_uint_le(said, rated_since(begun));
	for (int i = 0; i < REQUESTS; i++)
		chatter_add(&anna, "{'op':'topic','room':'ops','text':'%d'}", i);
	chatter_flush(&anna);
	changed = take_rated(&anna, REQUESTS, &wait, &told);
	ck_assert_uint_le(said + changed, rated_since(begun));
	/* Others are not hindered, nor is she in what is not said. */
	chatter_say(&ben, "ops", (json_int_t)said + 1, "mine");
	expect_ok(&anna, "{'op':'history','room':'ops'}");
	/* Waiting as told helps. */
	while ((double)(harness_now() - told) < wait + 50)
		harness_pause(told + 5000 + (uint64_t)harness_patience(), "time to pass");
	chatter_say(&anna, "ops", (json_int_t)said + 2, "after a while");
	free(server_wait_log(&server, "chat.rate"));
	server_stop(&server);
}
END_TEST

/* ---- reloads ---- */

START_TEST(reload_while_people_talk)
{
	enum { ROUNDS = 6, EACH = 50 };
	CHATTER anna = {0}, ben = {0}, me = {0};
	struct server server;
	int seq = 0;

	chat_start(&server, "", "rooms: ( { name = \"ops\"; } );");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	chatter_open(&me, &server, "chat", "unix:");
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < EACH; i++)
			chatter_add(&anna, "{'op':'say','room':'ops','text':'m%d'}", seq + i + 1);
		chatter_flush(&anna);
		if (round % 2)
			chat_reload(&server, "", "rooms: ( { name = \"ops\"; } );");
		else
			chat_reload(&server, "",
				    "admins = [ \"somebody\" ]; max_topic = 64; "
				    "rooms: ( { name = \"new\"; topic = \"%s\"; },"
				    "{ name = \"ops\"; transforms = [ \"upper\" ]; } );",
				    round ? "U" : "T");
		for (int i = 0; i < EACH; i++)
			expect_json(chatter_reply(&anna), "{'ok':true,'seq':%d,'...':1}", ++seq);
		chatter_say(&anna, "ops", ++seq, "end");
		for (int i = seq - EACH; i < seq; i++)
			expect_message(&ben, "ops", i, "*");
		expect_message(&ben, "ops", seq, round % 2 ? "end" : "END");
		if (round % 2) {
			expect_ok(&me, "{'op':'stats'}");
			expect_ok(&anna, "{'op':'topic','room':'ops','text':'%0100d'}", 0);
			expect_error(&anna, "no_such_room", "{'op':'who','room':'new'}");
		} else {
			expect_error(&me, "not_allowed", "{'op':'stats'}");
			expect_error(&anna, "too_long",
				     "{'op':'topic','room':'ops','text':'%0100d'}", 0);
			expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
				    "{'ok':true,'rooms':[{'room':'ops','...':1},"
				    "{'room':'new','seq':0,'members':0,'topic':'%s'}]}",
				    round ? "U" : "T");
		}
		if (round % 2)
			expect_event(&ben, "{'event':'topic','room':'ops','...':1}");
	}
	server_stop(&server);
}
END_TEST

START_TEST(reload_changes_limits)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	json_int_t oldest = 1;
	CHATTER anna = {0}, other = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	for (int i = 1; i <= 30; i++)
		chatter_say(&anna, "ops", i, "x");
	chat_reload(&server, "",
		    "history: { max_messages = 10; }; rate: { messages = 1; burst = 2; }; "
		    "max_rooms_per_client = 1; create_rooms = false;");
	while (oldest != 21) {
		json_t *reply = chatter_ask(&anna, "{'op':'history','room':'ops','limit':1}");

		oldest = member_integer(reply, "oldest");
		json_decref(reply);
		harness_pause(deadline, "the log to be shortened");
	}
	expect_error(&anna, "too_many_rooms", "{'op':'join','room':'lobby'}");
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'limits':{'rate':1,'burst':2,'max_rooms':1,'...':1},'...':1}");
	for (int i = 0; i < 4; i++)
		chatter_add(&anna, "{'op':'say','room':'ops','text':'m'}");
	chatter_flush(&anna);
	for (int i = 0; i < 2; i++)
		expect_json(chatter_reply(&anna), "{'ok':true,'...':1}");
	for (int i = 0; i < 2; i++)
		expect_json(chatter_reply(&anna), "{'ok':false,'error':'slow_down','...':1}");
	chatter_enter(&other, &server, "other", NULL);
	expect_error(&other, "no_such_room", "{'op':'join','room':'made'}");
	/* Guests are let in no longer, and those who are here have to go. */
	drop_events(&anna);
	chat_reload(&server, "", "guests = false;");
	expect_closing(&anna, "guests", false);
	chatter_done(&anna);
	chatter_open(&anna, &server, "chat", "tcp:");
	expect_error(&anna, "auth_required", "{'op':'say','room':'ops','text':'x'}");
	chat_reload(&server, "", "%s", "");
	expect_ok(&anna, "{'op':'hello','nick':'anna'}");
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_admin");

	harness_add(suite, others_may_not);
	harness_add(suite, who_is_an_administrator);
	harness_add(suite, kick_by_nick);
	harness_add(suite, kick_by_user);
	harness_add(suite, kick_by_number);
	harness_add(suite, kick_from_a_room);
	harness_add(suite, ban_by_nick);
	harness_add(suite, ban_by_network);
	harness_add(suite, ban_by_user);
	harness_add(suite, bans_end);
	harness_add(suite, sanctions_over_a_restart);
	harness_add(suite, mutes);
	harness_add(suite, control_socket);
	harness_add(suite, control_is_not_seen);
	harness_add(suite, reload_by_control);
	harness_add(suite, rate);
	harness_add(suite, reload_while_people_talk);
	harness_add(suite, reload_changes_limits);
	return harness_main(suite);
}
