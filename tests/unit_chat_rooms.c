/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the interactive client keeps of rooms: who is there, what is unread, and the prompt. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_rooms.h"
#include "util.h"

static void assert_prompt(const struct rooms *rooms, bool connected, const char *want)
{
	CLEANUP(buffer_done) struct buffer prompt = {0};

	ck_assert_int_eq(rooms_prompt(rooms, connected, &prompt), 0);
	ck_assert_int_eq(buffer_append(&prompt, "", 1), 0);
	ck_assert_str_eq((const char *)prompt.data, want);
}

START_TEST(the_prompt_says_where_one_is)
{
	struct rooms rooms = {0};
	struct room *web;

	assert_prompt(&rooms, true, "[-] ");
	ck_assert_ptr_nonnull(rooms_add(&rooms, "ops"));
	ck_assert_ptr_nonnull(rooms_add(&rooms, "build"));
	web = rooms_add(&rooms, "web");
	assert_prompt(&rooms, true, "[ops] ");
	assert_prompt(&rooms, false, "[ops, not connected] ");
	rooms.all[1]->unread = 3;
	web->unread = 1;
	web->mentioned = true;
	assert_prompt(&rooms, true, "[ops | build 3, web 1!] ");
	rooms.current = web;
	assert_prompt(&rooms, true, "[web | build 3] ");
	ck_assert_ptr_nonnull(rooms.current = rooms_add(&rooms, "\033[2J")); /* a bad server's */
	assert_prompt(&rooms, false, "[^[[2J, not connected | build 3, web 1!] ");
	rooms_done(&rooms);
}
END_TEST

START_TEST(rooms_are_found_in_any_letter_case)
{
	struct rooms rooms = {0};
	struct room *room = rooms_add(&rooms, "Stra\303\237e");

	ck_assert_ptr_eq(rooms_find(&rooms, "STRASSE"), room);
	ck_assert_ptr_eq(rooms_add(&rooms, "strasse"), room);
	ck_assert_uint_eq(rooms.n, 1);
	ck_assert_ptr_null(rooms_find(&rooms, "stras"));
	rooms_done(&rooms);
}
END_TEST

START_TEST(the_neighbour_is_looked_at_when_a_room_goes)
{
	struct rooms rooms = {0};
	struct room *a = rooms_add(&rooms, "a"), *b = rooms_add(&rooms, "b"),
		    *c = rooms_add(&rooms, "c");

	rooms_remove(&rooms, b);
	ck_assert_ptr_eq(rooms.current, a);
	rooms_remove(&rooms, a);
	ck_assert_ptr_eq(rooms.current, c);
	rooms_remove(&rooms, c);
	ck_assert_ptr_null(rooms.current);
	rooms_done(&rooms);
}
END_TEST

START_TEST(the_last_who_spoke_comes_first)
{
	struct rooms rooms = {0};
	struct room *room = rooms_add(&rooms, "ops");
	char nick[32];

	room_meet(room, "anna");
	room_meet(room, "bert");
	room_meet(room, "anna");
	ck_assert_uint_eq(room->n_nicks, 2);
	ck_assert_str_eq(room->nicks[0], "anna");
	ck_assert_str_eq(room->nicks[1], "bert");
	room_part(room, "anna");
	room_part(room, "nobody");
	ck_assert_uint_eq(room->n_nicks, 1);
	for (int i = 0; i < 2 * ROOM_NICKS; i++) {
		(void)snprintf(nick, sizeof(nick), "nick%d", i);
		room_meet(room, nick);
	}
	ck_assert_uint_eq(room->n_nicks, ROOM_NICKS);
	ck_assert_str_eq(room->nicks[0], nick);
	for (int i = 0; i < 2 * ROOMS_KNOWN; i++) {
		(void)snprintf(nick, sizeof(nick), "room%d", i / 2);
		rooms_know(&rooms, nick);
	}
	ck_assert_uint_eq(rooms.n_known, ROOMS_KNOWN);
	rooms_done(&rooms);
}
END_TEST

START_TEST(a_mention_is_a_word)
{
	ck_assert(nick_mentioned("bert", "bert"));
	ck_assert(nick_mentioned("bert", "hey Bert, look"));
	ck_assert(nick_mentioned("Bert", "(BERT)"));
	ck_assert(nick_mentioned("bert", "albert and bert's cat"));
	ck_assert(nick_mentioned("j\303\274rgen", "J\303\234RGEN!"));
	ck_assert(!nick_mentioned("bert", "albert"));
	ck_assert(!nick_mentioned("bert", "bertha"));
	ck_assert(!nick_mentioned("bert", "bert\303\274 bert2 _bert"));
	ck_assert(!nick_mentioned("", "anything"));
}
END_TEST

static void count(void *data, const struct said *said)
{
	size_t *n = data;

	ck_assert_uint_eq(said->text_len, strlen(said->text));
	(*n)++;
}

static void expect_next(void *data, const struct said *said)
{
	uint64_t *next = data;

	ck_assert_uint_eq(said->seq, (*next)++);
	ck_assert_str_eq(said->room, "ops");
	ck_assert_str_eq(said->from, "anna");
	ck_assert_str_eq(said->text, "text");
	ck_assert_ptr_null(said->user);
}

START_TEST(what_is_kept_is_bounded)
{
	static char large[KEPT_BYTES / 4 + 1];
	struct said said = {
		.room = "ops", .from = "anna", .user = "anna", .text = "text", .text_len = 4};
	struct kept kept;
	uint64_t next = KEPT_MESSAGES + 1;
	size_t n = 0;

	kept_init(&kept);
	for (said.seq = 1; said.seq <= UINT64_C(2) * KEPT_MESSAGES; said.seq++)
		ck_assert_int_eq(kept_add(&kept, &said), 0);
	ck_assert_uint_eq(kept.n, KEPT_MESSAGES);
	kept_show(&kept, expect_next, &next);
	ck_assert_uint_eq(next, UINT64_C(2) * KEPT_MESSAGES + 1);
	ck_assert_uint_eq(kept.n, 0);
	ck_assert_uint_eq(kept.bytes, 0);

	memset(large, 'x', sizeof(large) - 1);
	said.text = large;
	said.text_len = sizeof(large) - 1;
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(kept_add(&kept, &said), 0);
	ck_assert_uint_le(kept.bytes, KEPT_BYTES);
	kept_show(&kept, count, &n);
	ck_assert_uint_eq(n, 3);
	kept_done(&kept);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chat_rooms");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, the_prompt_says_where_one_is);
	tcase_add_test(tcase, rooms_are_found_in_any_letter_case);
	tcase_add_test(tcase, the_neighbour_is_looked_at_when_a_room_goes);
	tcase_add_test(tcase, the_last_who_spoke_comes_first);
	tcase_add_test(tcase, a_mention_is_a_word);
	tcase_add_test(tcase, what_is_kept_is_bounded);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
