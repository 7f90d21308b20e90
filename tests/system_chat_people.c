/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who is who, who is where, and what is said to one alone. */

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_chat.h"

enum {
	NOBODY = 65534,
	STRANGER = 54321, /* a user that no system has */
};

/* Other users' connections can only be made by root. */
static bool can_be_others(void)
{
	if (geteuid() == 0)
		return true;
	harness_skip("only root can connect as somebody else");
	return false;
}

static const char *name_of(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	ck_assert_ptr_nonnull(user);
	return user->pw_name;
}

/* ---- who one is ---- */

/* It is this user, and has the nick before it has said so; NULL: it is a guest. */
static void expect_to_be(struct chatter *chatter, const char *nick, const char *user)
{
	json_t *want = user ? json_string(user) : json_null();
	CLEANUP(freep) char *text = json_dumps(want, JSON_ENCODE_ANY);

	if (user) {
		expect_ok(chatter, "{'op':'join','room':'%s'}", nick);
		expect_json(chatter_ask(chatter, "{'op':'who','room':'%s'}", nick),
			    "{'ok':true,'room':'%s','members':[{'nick':'%s','user':%s,'since':'<"
			    "time>'}]}",
			    nick, nick, text);
	}
	expect_json(chatter_ask(chatter, "{'op':'hello','nick':'%s'}", nick),
		    "{'ok':true,'nick':'%s','user':%s,'...':1}", nick, text);
	json_decref(want);
}

START_TEST(identity_from_the_kernel)
{
	static const char *const listeners[] = {"chat", "line"};
	struct server server;

	if (!can_be_others())
		return;
	for (size_t l = 0; l < ARRAY_SIZE(listeners); l++) {
		CHATTER me = {0}, nobody = {0}, stranger = {0}, guest = {0};
		json_t *reply;

		chat_start(&server, "", "%s", "");
		chatter_open(&me, &server, listeners[l], "unix:");
		chatter_open_as(&nobody, &server, listeners[l], NOBODY, NOBODY);
		chatter_open_as(&stranger, &server, listeners[l], STRANGER, STRANGER);
		chatter_open(&guest, &server, listeners[l], "tcp:");
		expect_to_be(&me, chat_me(), chat_me());
		expect_to_be(&nobody, name_of(NOBODY), name_of(NOBODY));
		expect_to_be(&stranger, "54321", "54321");
		expect_ok(&guest, "{'op':'join','room':'guests'}");
		reply = chatter_ask(&guest, "{'op':'who','room':'guests'}");
		ck_assert_int_eq(
			strncmp(member_string(json_array_get(json_object_get(reply, "members"), 0),
					      "nick"),
				"guest-", 6),
			0);
		expect_json(reply, "{'ok':true,'room':'guests','members':[{'nick':'*','user':null,'"
				   "since':'<time>'}]}");
		expect_to_be(&guest, "somebody", NULL);
		expect_ok(&nobody, "{'op':'hello','nick':'xy','user':'%s'}", name_of(NOBODY));
		expect_error(&nobody, "auth_failed", "{'op':'hello','nick':'xy','user':'%s'}",
			     chat_me());
		expect_error(&nobody, "auth_failed",
			     "{'op':'hello','nick':'xy','user':'%s','password':'x'}",
			     name_of(NOBODY));
		expect_error(&guest, "auth_failed", "{'op':'hello','nick':'xy','user':'%s'}",
			     chat_me());
		expect_error(&guest, "auth_failed",
			     "{'op':'hello','nick':'xy','user':'','password':''}");
		server_stop(&server);
	}
}
END_TEST

/* Messages and lists tell users from guests. */
START_TEST(users_are_shown)
{
	CHATTER me = {0}, guest = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	expect_ok(&me, "{'op':'hello','nick':'Chief'}");
	expect_ok(&me, "{'op':'join','room':'ops'}");
	chatter_enter(&guest, &server, "anna", "ops");
	chatter_say(&me, "ops", 1, "of a user");
	chatter_say(&guest, "ops", 2, "of a guest");
	expect_event(&guest,
		     "{'event':'message','room':'ops','seq':1,'time':'<time>','from':'Chief',"
		     "'user':'%s','text':'of a user'}",
		     chat_me());
	expect_event(&guest, "{'event':'message','room':'ops','seq':2,'time':'<time>',"
			     "'from':'anna','text':'of a guest'}");
	expect_json(chatter_ask(&guest, "{'op':'history','room':'ops'}"),
		    "{'ok':true,'room':'ops','oldest':1,'seq':2,'messages':["
		    "{'seq':1,'time':'<time>','from':'Chief','user':'%s','text':'of a user'},"
		    "{'seq':2,'time':'<time>','from':'anna','text':'of a guest'}]}",
		    chat_me());
	expect_json(chatter_ask(&guest, "{'op':'who','room':'ops'}"),
		    "{'ok':true,'room':'ops','members':["
		    "{'nick':'Chief','user':'%s','since':'<time>'},"
		    "{'nick':'anna','user':null,'since':'<time>'}]}",
		    chat_me());
	server_stop(&server);
}
END_TEST

START_TEST(impersonation)
{
	static const char *const lookalikes[] = {
		"root",
		"ROOT",
		"Root",
		"r0ot",
		"rO0t",
		"r\xd0\xbe\xd0\xbet",				    /* Cyrillic o */
		"\xef\xbd\x92\xef\xbd\x8f\xef\xbd\x8f\xef\xbd\x94", /* full width */
		"ro\xd5\x85t",					    /* Armenian */
		"nobody",
		"NoBody",
		"n0body",
		"n\xd0\xbe\x62\xd0\xbe\x64y",
		"\xd1\x95\xd1\x83\xd1\x95", /* sys, all Cyrillic */
	};
	static const char *const anna[] = {
		"anna",
		"ANNA",
		"aNNa",
		"\xc3\x81nna",
	};
	CHATTER guest = {0}, first = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&first, &server, "anna", "ops");
	chatter_enter(&guest, &server, "mallory", "ops");
	for (size_t i = 0; i < ARRAY_SIZE(lookalikes); i++) {
		json_t *reply = chatter_ask(&guest, "{'op':'hello','nick':'%s'}", lookalikes[i]);
		const char *error = json_string_value(json_object_get(reply, "error"));

		/* Letters of two scripts are no name at all. */
		ck_assert_msg(error && (strcmp(error, "not_allowed") == 0 ||
					strcmp(error, "bad_name") == 0),
			      "%s was taken", lookalikes[i]);
		json_decref(reply);
	}
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'root'}");
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'ROOT'}");
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'r0ot'}");
	for (size_t i = 0; i < 3; i++)
		expect_error(&guest, "nick_in_use", "{'op':'hello','nick':'%s'}", anna[i]);
	expect_ok(&guest, "{'op':'hello','nick':'%s'}", anna[3]);
	/* Nobody has heard of those who it was not. */
	expect_event(&first, "{'event':'join','room':'ops','nick':'mallory'}");
	expect_event(&first, "{'event':'leave','room':'ops','nick':'mallory','reason':'*'}");
	expect_event(&first, "{'event':'join','room':'ops','nick':'%s'}", anna[3]);
	expect_no_event(&first);
	/* A nick is free again when who had it has another one, or has gone. */
	expect_ok(&first, "{'op':'hello','nick':'berta'}");
	expect_ok(&guest, "{'op':'hello','nick':'ANNA'}");
	chatter_leave(&first, &guest, "berta");
	expect_ok(&guest, "{'op':'hello','nick':'Berta'}");
	server_stop(&server);
}
END_TEST

/* Whoever has spoken here once is known for ever, also when the system knows no such user. */
START_TEST(those_who_have_spoken_are_known)
{
	CHATTER stranger = {0}, guest = {0};
	struct server server;

	if (!can_be_others())
		return;
	chat_start(&server, "", "rooms: ( { name = \"memory\"; durable = false; } );");
	chatter_enter(&guest, &server, "54321", NULL); /* nobody's yet */
	expect_ok(&guest, "{'op':'hello','nick':'anna'}");
	chatter_open_as(&stranger, &server, "chat", STRANGER, STRANGER);
	expect_ok(&stranger, "{'op':'join','room':'ops'}");
	chatter_say(&stranger, "ops", 1, "once");
	expect_ok(&stranger, "{'op':'hello','nick':'somebody'}");
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'54321'}");
	chatter_leave(&stranger, &guest, "somebody");
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'54321'}");
	chatter_done(&guest);
	chat_restart(&server, SIGKILL);
	chatter_open(&guest, &server, "chat", "tcp:");
	expect_error(&guest, "not_allowed", "{'op':'hello','nick':'54321'}");
	server_stop(&server);
}
END_TEST

/* A user cannot be called like another user either, but may like himself. */
START_TEST(users_keep_to_their_names)
{
	CHATTER nobody = {0}, me = {0};
	struct server server;

	if (!can_be_others())
		return;
	chat_start(&server, "", "%s", "");
	chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
	expect_error(&nobody, "not_allowed", "{'op':'hello','nick':'root'}");
	expect_error(&nobody, "not_allowed", "{'op':'hello','nick':'Daemon'}");
	expect_ok(&nobody, "{'op':'hello','nick':'NoBody'}");
	expect_ok(&nobody, "{'op':'hello','nick':'other'}");
	expect_ok(&nobody, "{'op':'hello','nick':'nobody'}");
	chatter_open(&me, &server, "chat", "unix:");
	expect_error(&me, "nick_in_use", "{'op':'hello','nick':'nobody'}");
	server_stop(&server);
}
END_TEST

/* ---- who is where ---- */

START_TEST(joins_and_leaves)
{
	CHATTER anna = {0}, ben = {0}, carla = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'ben'}");
	expect_ok(&ben, "{'op':'leave','room':'ops'}");
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'ben'}");
	expect_ok(&ben, "{'op':'join','room':'ops'}");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'ben'}");
	chatter_enter(&carla, &server, "carla", "ops");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'carla'}");
	expect_event(&ben, "{'event':'join','room':'ops','nick':'carla'}");
	/* One who loses the connection leaves all rooms. */
	chatter_done(&carla);
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'carla'}");
	expect_event(&ben, "{'event':'leave','room':'ops','nick':'carla'}");
	/* What one hears of a room ends with leaving it. */
	expect_ok(&anna, "{'op':'leave','room':'ops'}");
	expect_event(&ben, "{'event':'leave','room':'ops','nick':'anna'}");
	chatter_say(&ben, "ops", 1, "alone");
	expect_message(&ben, "ops", 1, "alone");
	expect_no_event(&anna);
	server_stop(&server);
}
END_TEST

START_TEST(two_connections_are_one_member)
{
	CHATTER anna = {0}, one = {0}, two = {0};
	struct server server;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_open(&one, &server, "chat", "unix:");
	chatter_open(&two, &server, "line", "unix:");
	expect_json(chatter_ask(&one, "{'op':'join','room':'ops'}"),
		    "{'ok':true,'members':2,'...':1}");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'%s'}", chat_me());
	expect_json(chatter_ask(&two, "{'op':'join','room':'ops'}"),
		    "{'ok':true,'members':2,'...':1}");
	expect_no_event(&anna);
	expect_no_event(&one);
	expect_json(chatter_ask(&anna, "{'op':'who','room':'ops'}"),
		    "{'ok':true,'room':'ops','members':["
		    "{'nick':'anna','user':null,'since':'<time>'},"
		    "{'nick':'%s','user':'%s','since':'<time>'}]}",
		    chat_me(), chat_me());
	expect_json(chatter_ask(&anna, "{'op':'who'}"),
		    "{'ok':true,'members':["
		    "{'nick':'anna','user':null,'since':'<time>'},"
		    "{'nick':'%s','user':'%s','since':'<time>'}]}",
		    chat_me(), chat_me());
	chatter_say(&anna, "ops", 1, "to both");
	chatter_say(&one, "ops", 2, "of one");
	chatter_say(&two, "ops", 3, "of the other");
	for (int i = 0; i < 2; i++) {
		expect_message(i ? &one : &two, "ops", 1, "to both");
		expect_message(i ? &one : &two, "ops", 2, "of one");
		expect_message(i ? &one : &two, "ops", 3, "of the other");
	}
	/* A new name is that of both. */
	expect_ok(&one, "{'op':'hello','nick':'chief'}");
	expect_json(chatter_ask(&two, "{'op':'who'}"),
		    "{'ok':true,'members':['*',{'nick':'chief','...':1}]}");
	for (int i = 1; i <= 3; i++)
		expect_message(&anna, "ops", i, "*");
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'%s','reason':'*'}", chat_me());
	expect_event(&anna, "{'event':'join','room':'ops','nick':'chief'}");
	/* The first to leave is not missed, by whichever way. */
	expect_ok(&one, "{'op':'leave','room':'ops'}");
	expect_no_event(&anna);
	expect_error(&one, "not_member", "{'op':'say','room':'ops','text':'x'}");
	chatter_say(&two, "ops", 4, "still here");
	expect_message(&anna, "ops", 4, "still here");
	expect_ok(&one, "{'op':'join','room':'ops'}");
	chatter_done(&two);
	chatter_say(&one, "ops", 5, "and still");
	expect_message(&anna, "ops", 5, "and still");
	expect_ok(&one, "{'op':'leave','room':'ops'}");
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'chief'}");
	expect_no_event(&anna);
	server_stop(&server);
}
END_TEST

/* ---- rooms for members ---- */

START_TEST(rooms_for_members)
{
	static const char *const closed[] = {"crew", "staff"};
	static const char *const requests[] = {
		"'op':'join'",
		"'op':'join','since':0",
		"'op':'history'",
		"'op':'who'",
	};
	CHATTER guest = {0}, nobody = {0}, daemon = {0};
	struct server server;

	if (!can_be_others())
		return;
	chat_start(&server, "",
		   "rooms: ( { name = \"crew\"; members = [ \"%s\" ]; },"
		   "{ name = \"staff\"; members = [ \"@%s\" ]; }, { name = \"all\"; } );",
		   name_of(NOBODY), getgrgid(1)->gr_name);
	chatter_open(&guest, &server, "chat", "tcp:");
	chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
	chatter_open_as(&daemon, &server, "chat", 2, 1); /* with that group by the kernel's word */
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(closed); k++) {
			char request[128];

			(void)snprintf(request, sizeof request, "{%s,'room':'%s'}", requests[i],
				       closed[k]);
			expect_error(&guest, "not_allowed", "%s", request);
			if (k == 0) {
				expect_error(&daemon, "not_allowed", "%s", request);
				expect_ok(&nobody, "%s", request);
			} else {
				expect_error(&nobody, "not_allowed", "%s", request);
				expect_ok(&daemon, "%s", request);
			}
		}
	}
	expect_json(chatter_ask(&guest, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'all','...':1}]}");
	expect_json(chatter_ask(&nobody, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'crew','...':1},{'room':'all','...':1}]}");
	expect_json(chatter_ask(&daemon, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'staff','...':1},{'room':'all','...':1}]}");
	chatter_say(&nobody, "crew", 1, "among us");
	expect_message(&nobody, "crew", 1, "among us");
	expect_no_event(&guest);
	expect_no_event(&daemon);
	/* To be called like a member does not make one. */
	expect_error(&guest, "nick_in_use", "{'op':'hello','nick':'%s'}", name_of(NOBODY));
	expect_error(&guest, "not_member", "{'op':'say','room':'crew','text':'x'}");
	server_stop(&server);
}
END_TEST

/* ---- to one alone ---- */

START_TEST(direct_between_guests)
{
	CHATTER anna = {0}, ben = {0}, carla = {0};
	struct server server;

	chat_start(&server, "", "rooms: ();");
	chatter_enter(&anna, &server, "anna", NULL);
	chatter_enter(&ben, &server, "Ben", NULL);
	chatter_enter(&carla, &server, "carla", NULL);
	expect_error(&carla, "no_such_room", "{'op':'history','room':'@ben'}");
	chatter_say(&anna, "@ben", 1, "psst");
	expect_message(&ben, "@anna", 1, "psst");
	chatter_say(&ben, "@anna", 2, "what");
	for (int i = 1; i <= 2; i++)
		expect_message(&anna, "@Ben", i, i == 1 ? "psst" : "what");
	expect_message(&ben, "@anna", 2, "what");
	expect_json(chatter_ask(&ben, "{'op':'history','room':'@ANNA'}"),
		    "{'ok':true,'room':'@anna','oldest':1,'seq':2,'messages':["
		    "{'seq':1,'time':'<time>','from':'anna','text':'psst'},"
		    "{'seq':2,'time':'<time>','from':'Ben','text':'what'}]}");
	expect_json(chatter_ask(&ben, "{'op':'rooms'}"),
		    "{'ok':true,'rooms':[{'room':'@anna','seq':2,'members':2,'topic':''}]}");
	/* Others have no part in it, whatever they call it. */
	expect_json(chatter_ask(&carla, "{'op':'rooms'}"), "{'ok':true,'rooms':[]}");
	expect_error(&carla, "no_such_room", "{'op':'history','room':'@ben'}");
	chatter_say(&carla, "@ben", 1, "another talk");
	expect_message(&ben, "@carla", 1, "another talk");
	expect_message(&carla, "@Ben", 1, "another talk");
	expect_no_event(&anna);
	expect_no_event(&carla);
	/* To oneself, once. */
	chatter_say(&carla, "@carla", 1, "note");
	expect_message(&carla, "@carla", 1, "note");
	expect_no_event(&carla);
	/* When a guest is gone, so is the talk; the next of that name is another. */
	chatter_leave(&anna, &ben, "anna");
	expect_error(&ben, "no_such_nick", "{'op':'say','room':'@anna','text':'x'}");
	chatter_enter(&anna, &server, "anna", NULL);
	expect_error(&anna, "no_such_room", "{'op':'history','room':'@ben'}");
	chatter_say(&ben, "@anna", 1, "anew");
	expect_message(&anna, "@Ben", 1, "anew");
	server_stop(&server);
}
END_TEST

START_TEST(direct_reaches_all_connections_of_both)
{
	CHATTER one = {0}, two = {0}, other = {0}, another = {0}, guest = {0};
	struct server server;

	if (!can_be_others())
		return;
	chat_start(&server, "", "rooms: ();");
	chatter_open(&one, &server, "chat", "unix:");
	chatter_open(&two, &server, "line", "unix:");
	chatter_open_as(&other, &server, "chat", NOBODY, NOBODY);
	chatter_open_as(&another, &server, "line", NOBODY, NOBODY);
	chatter_enter(&guest, &server, "guest", NULL);
	/* By the nick that somebody has now, and by the user's name. */
	expect_ok(&other, "{'op':'hello','nick':'alias'}");
	chatter_say(&one, "@alias", 1, "hello");
	chatter_say(&two, "@nobody", 2, "hello again");
	chatter_say(&another, "@root", 3, "yes");
	for (int i = 1; i <= 3; i++) {
		expect_message(&one, "@nobody", i, "*");
		expect_message(&two, "@nobody", i, "*");
		expect_message(&other, "@root", i, "*");
		expect_message(&another, "@root", i, "*");
	}
	expect_no_event(&one);
	expect_no_event(&two);
	expect_no_event(&other);
	expect_no_event(&another);
	expect_no_event(&guest);
	expect_json(chatter_ask(&guest, "{'op':'rooms'}"), "{'ok':true,'rooms':[]}");
	/* A guest and a user. */
	chatter_say(&guest, "@alias", 1, "me too");
	expect_message(&other, "@guest", 1, "me too");
	expect_message(&another, "@guest", 1, "me too");
	expect_message(&guest, "@nobody", 1, "me too");
	expect_no_event(&one);
	server_stop(&server);
}
END_TEST

START_TEST(direct_waits_for_who_is_away)
{
	CHATTER me = {0}, nobody = {0}, guest = {0};
	struct server server;

	if (!can_be_others())
		return;
	chat_start(&server, "", "%s", "");
	chatter_open(&me, &server, "chat", "unix:");
	chatter_say(&me, "@nobody", 1, "when you come");
	chatter_say(&me, "@NOBODY", 2, "read this");
	expect_message(&me, "@nobody", 1, "when you come");
	expect_message(&me, "@nobody", 2, "read this");
	for (int i = 0; i < 2; i++) {
		chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
		expect_json(chatter_ask(&nobody, "{'op':'join','room':'@root','since':0}"),
			    "{'ok':true,'room':'@root','seq':2,'oldest':1,'members':'*',"
			    "'topic':''}");
		expect_message(&nobody, "@root", 1, "when you come");
		expect_message(&nobody, "@root", 2, "read this");
		expect_no_event(&nobody);
		chatter_open(&guest, &server, "chat", "tcp:");
		expect_error(&guest, "no_such_room", "{'op':'history','room':'@root'}");
		chatter_done(&guest);
		chatter_done(&nobody);
		if (i > 0)
			break;
		chatter_done(&me);
		chat_restart(&server, SIGKILL);
	}
	/* Whoever was away gets on with it, after the number that was read. */
	chatter_open(&me, &server, "chat", "unix:");
	chatter_say(&me, "@nobody", 3, "news");
	chatter_open_as(&nobody, &server, "chat", NOBODY, NOBODY);
	expect_ok(&nobody, "{'op':'join','room':'@root','since':2}");
	expect_message(&nobody, "@root", 3, "news");
	chatter_say(&nobody, "@root", 4, "thanks");
	expect_message(&me, "@nobody", 3, "news");
	expect_message(&me, "@nobody", 4, "thanks");
	expect_json(chatter_ask(&me, "{'op':'history','room':'@nobody','after':2}"),
		    "{'ok':true,'room':'@nobody','oldest':1,'seq':4,'messages':["
		    "{'seq':3,'text':'news','user':'root','...':1},"
		    "{'seq':4,'text':'thanks','user':'nobody','...':1}]}");
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_people");

	harness_add(suite, identity_from_the_kernel);
	harness_add(suite, users_are_shown);
	harness_add(suite, impersonation);
	harness_add(suite, those_who_have_spoken_are_known);
	harness_add(suite, users_keep_to_their_names);
	harness_add(suite, joins_and_leaves);
	harness_add(suite, two_connections_are_one_member);
	harness_add(suite, rooms_for_members);
	harness_add(suite, direct_between_guests);
	harness_add(suite, direct_reaches_all_connections_of_both);
	harness_add(suite, direct_waits_for_who_is_away);
	return harness_main(suite);
}
