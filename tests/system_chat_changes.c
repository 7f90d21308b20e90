/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What changes under those who are there: rights that a reload takes away, names that belong to
 * somebody else after all, and talks of guests who go.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_chat.h"

enum { NOBODY = 65534, STRANGER = 54321 /* no user of the system has it */ };

START_TEST(a_reload_takes_rights_away)
{
	struct server server;
	CHATTER anna;
	CHATTER root;

	chat_start(&server, "", "admins = [ \"%s\" ];", chat_me());
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_open(&root, &server, "chat", "unix:");
	expect_ok(&root, "{'op':'join','room':'ops'}");
	expect_event(&anna, "{'event':'join','room':'ops','...':1}");
	expect_ok(&root, "{'op':'stats'}");
	chat_reload(&server, "",
		    "admins = [ \"root-of-another\" ];"
		    "rooms: ( { name = \"ops\"; members = [ \"%s\" ]; } );",
		    chat_me());
	expect_error(&root, "not_allowed", "{'op':'stats'}");
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'anna',"
			    "'reason':'the room is for its members'}");
	expect_event(&root, "{'event':'leave','room':'ops','nick':'anna',"
			    "'reason':'the room is for its members'}");
	expect_error(&anna, "not_member", "{'op':'say','room':'ops','text':'still there'}");
	expect_error(&anna, "not_allowed", "{'op':'join','room':'ops'}");
	chatter_say(&root, "ops", 1, "among us");
	expect_no_event(&anna);
	chat_reload(&server, "", "guests = false;");
	expect_closing(&anna, "guests are let in no longer", false);
	expect_ok(&root, "{'op':'ping'}");
	server_stop(&server);
}
END_TEST

START_TEST(a_reload_says_how_long_a_text_may_be)
{
	struct server server;
	CHATTER anna;

	chat_start(&server, "max_message = \"8K\";", "%s", "");
	chatter_enter(&anna, &server, "anna", "ops");
	expect_error(&anna, "too_long", "{'op':'say','room':'ops','text':'%07500d'}", 0);
	chat_reload(&server, "max_message = \"16K\";", "%s", "");
	expect_ok(&anna, "{'op':'say','room':'ops','text':'%07500d'}", 0);
	expect_json(chatter_ask(&anna, "{'op':'hello','nick':'anna'}"),
		    "{'ok':true,'limits':{'max_message':16384,'max_text':15360,'...':1},'...':1}");
	server_stop(&server);
}
END_TEST

START_TEST(a_room_keeps_its_log_whatever_a_reload_says)
{
	static const char kept[] = "rooms: ( { name = \"ops\"; durable = true; } );";
	static const char not_kept[] = "rooms: ( { name = \"ops\"; durable = false; } );";
	struct server server;

	chat_start(&server, "", kept);
	{
		CHATTER anna;

		chatter_enter(&anna, &server, "anna", "ops");
		chatter_say(&anna, "ops", 1, "one");
		chatter_say(&anna, "ops", 2, "two");
		/* Not under somebody who is there. */
		chat_reload(&server, "", not_kept);
		chatter_say(&anna, "ops", 3, "three");
		expect_ok(&anna, "{'op':'leave','room':'ops'}");
	}
	chat_reload(&server, "", not_kept);
	chat_reload(&server, "", kept);
	{
		CHATTER anna;

		chatter_enter(&anna, &server, "anna2", "ops");
		chatter_say(&anna, "ops", 4, "four");
	}
	chat_restart(&server, SIGTERM);
	{
		CHATTER anna;

		chatter_enter(&anna, &server, "anna3", NULL);
		expect_ok(&anna, "{'op':'join','room':'ops','since':0}");
		expect_message(&anna, "ops", 1, "one");
		expect_message(&anna, "ops", 2, "two");
		expect_message(&anna, "ops", 3, "three");
		expect_message(&anna, "ops", 4, "four");
	}
	server_stop(&server);
}
END_TEST

START_TEST(a_full_room_does_not_tell_who_comes_and_goes)
{
	struct server server;
	CHATTER anna;
	CHATTER ben;

	chat_start(&server, "", "max_presence = 2;");
	chatter_enter(&anna, &server, "anna", "ops");
	chatter_enter(&ben, &server, "ben", "ops");
	expect_event(&anna, "{'event':'join','room':'ops','nick':'ben'}");
	{
		CHATTER carl;

		chatter_enter(&carl, &server, "carl", "ops");
		expect_no_event(&anna);
		expect_ok(&carl, "{'op':'hello','nick':'karl'}");
		chatter_say(&carl, "ops", 1, "hello");
		expect_message(&anna, "ops", 1, "hello");
		expect_ok(&carl, "{'op':'leave','room':'ops'}");
	}
	/* There are two again. */
	expect_no_event(&anna);
	expect_ok(&ben, "{'op':'leave','room':'ops'}");
	expect_event(&anna, "{'event':'leave','room':'ops','nick':'ben'}");
	server_stop(&server);
}
END_TEST

/* Whether there is a room of this name, as chatter sees it. */
static bool is_there(struct chatter *chatter, const char *name)
{
	json_t *reply = chatter_ask(chatter, "{'op':'rooms'}"), *room;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(reply, "rooms"), i, room)
		found |= strcmp(json_string_value(json_object_get(room, "room")), name) == 0;
	json_decref(reply);
	return found;
}

START_TEST(a_room_goes_when_all_in_it_is_too_old)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	struct server server;
	CHATTER anna;

	chat_start(&server, "", "%s", "history: { max_age = \"50ms\"; };");
	chatter_enter(&anna, &server, "anna", "old");
	expect_ok(&anna, "{'op':'join','room':'named'}");
	chatter_say(&anna, "old", 1, "one");
	expect_ok(&anna, "{'op':'say','room':'named','text':'two'}");
	expect_ok(&anna, "{'op':'topic','room':'named','text':'stays'}");
	expect_ok(&anna, "{'op':'leave','room':'old'}");
	expect_ok(&anna, "{'op':'leave','room':'named'}");
	while (is_there(&anna, "old"))
		harness_pause(deadline, "the room to go");
	ck_assert(is_there(&anna, "named"));
	drop_events(&anna);
	expect_ok(&anna, "{'op':'join','room':'old'}");
	chatter_say(&anna, "old", 1, "anew");
	server_stop(&server);
}
END_TEST

START_TEST(a_user_gets_the_name_that_a_guest_took_before)
{
	struct server server;
	CHATTER guest;
	CHATTER user;

	if (geteuid() != 0)
		return; /* nobody else can be another user */
	chat_start(&server, "", "%s", "");
	chatter_enter(&guest, &server, "54321", "ops");
	chatter_open_as(&user, &server, "chat", STRANGER, STRANGER);
	expect_json(chatter_ask(&user, "{'op':'who'}"),
		    "{'ok':true,'members':[{'nick':'guest-1','user':null,'since':'<time>'},"
		    "{'nick':'54321','user':'54321','since':'<time>'}]}");
	expect_event(&guest, "{'event':'leave','room':'ops','nick':'54321','reason':'*'}");
	expect_event(&guest, "{'event':'join','room':'ops','nick':'guest-1'}");
	server_stop(&server);
}
END_TEST

START_TEST(a_talk_goes_by_the_name_that_its_guest_has)
{
	struct server server;
	CHATTER anna;
	CHATTER ben;
	CHATTER other;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", NULL);
	chatter_enter(&ben, &server, "ben", NULL);
	expect_ok(&ben, "{'op':'say','room':'@anna','text':'one'}");
	expect_event(&anna, "{'event':'message','room':'@ben','from':'ben','text':'one','...':1}");
	expect_ok(&ben, "{'op':'hello','nick':'eve'}");
	chatter_enter(&other, &server, "ben", NULL);
	expect_ok(&ben, "{'op':'say','room':'@anna','text':'two'}");
	expect_event(&anna, "{'event':'message','room':'@eve','from':'eve','text':'two','...':1}");
	expect_ok(&other, "{'op':'say','room':'@anna','text':'new'}");
	expect_event(&anna, "{'event':'message','room':'@ben','seq':1,'from':'ben',"
			    "'text':'new','...':1}");
	server_stop(&server);
}
END_TEST

/* Guests come and go, so that one has the memory of another; none has another's talk. */
START_TEST(a_talk_that_a_guest_has_left_ends_with_the_guest)
{
	struct server server;
	CHATTER anna;

	chat_start(&server, "", "%s", "");
	chatter_enter(&anna, &server, "anna", NULL);
	for (int i = 0; i < 20; i++) {
		CHATTER guest;

		chatter_enter(&guest, &server, "ben", NULL);
		expect_error(&guest, "no_such_room", "{'op':'history','room':'@anna'}");
		expect_ok(&guest, "{'op':'say','room':'@anna','text':'between us'}");
		expect_ok(&guest, "{'op':'leave','room':'@anna'}");
		expect_event(&anna, "{'event':'message','room':'@ben','seq':1,'...':1}");
		chatter_leave(&guest, &anna, "ben");
		expect_json(chatter_ask(&anna, "{'op':'rooms'}"),
			    "{'ok':true,'rooms':[{'room':'lobby','...':1}]}");
	}
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_chat_changes");

	harness_add(suite, a_reload_takes_rights_away);
	harness_add(suite, a_reload_says_how_long_a_text_may_be);
	harness_add(suite, a_room_keeps_its_log_whatever_a_reload_says);
	harness_add(suite, a_full_room_does_not_tell_who_comes_and_goes);
	harness_add(suite, a_room_goes_when_all_in_it_is_too_old);
	harness_add(suite, a_user_gets_the_name_that_a_guest_took_before);
	harness_add(suite, a_talk_goes_by_the_name_that_its_guest_has);
	harness_add(suite, a_talk_that_a_guest_has_left_ends_with_the_guest);
	return harness_main(suite);
}
