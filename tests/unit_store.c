/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store: what it keeps, what it refuses to open, and that it leaves that alone. */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "database_schema.h"
#include "harness.h"
#include "room_keys.h"
#include "store.h"

static const size_t page_size = 4096; /* of the database */

/* ---- helpers ---- */

/* Each test is alone in a directory of its own. */
static void enter_directory(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/store-XXXXXX", getenv("RETORT_TEST_DIRECTORY"));
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
}

static void add(Suite *suite, const TTest *test)
{
	TCase *tcase = tcase_create(test->name);

	tcase_set_timeout(tcase, 4.0 * harness_patience() / 1000);
	tcase_add_checked_fixture(tcase, enter_directory, NULL);
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

static struct store *open_store(const char *directory)
{
	char problem[STORE_PROBLEM_MAX] = "?";
	struct store *store = NULL;

	ck_assert_msg(store_open(directory, &store, problem) == 0, "%s", problem);
	return store;
}

static void begin(struct store *store)
{
	ck_assert_msg(store_begin(store) == 0, "%s", store_problem(store));
}

static void commit(struct store *store)
{
	ck_assert_msg(store_commit(store) == 0, "%s", store_problem(store));
}

static uint64_t add_room(struct store *store, const char *name, const char *folded)
{
	uint64_t id = 0;

	ck_assert_msg(store_add_room(store, name, folded, &id) == 0, "%s", store_problem(store));
	return id;
}

/* A store with a room, and an open transaction. */
static struct store *open_with_room(const char *directory, uint64_t *ret_room)
{
	struct store *store = open_store(directory);

	begin(store);
	*ret_room = add_room(store, "Ops", "ops");
	return store;
}

/* Appends a message that is made of its number; with a key when there is one. */
static int append(struct store *store, uint64_t room, uint64_t seq, const char *sender,
		  const char *key)
{
	char text[32];
	const struct chat_message message = {
		.seq = seq,
		.time = 1000 * seq,
		.from = "anna",
		.user = seq % 2 ? "anna" : NULL,
		.unit = seq % 3 ? NULL : "cron.service",
		.text = text,
		.text_len = (size_t)sprintf(text, "text %ju", (uintmax_t)seq),
	};

	return store_append(store, room, &message, sender, key);
}

static void append_range(struct store *store, uint64_t room, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++)
		ck_assert_int_eq(append(store, room, seq, "anna", NULL), 0);
}

static int expect_next(const struct chat_message *message, void *data)
{
	uint64_t *next = data;
	char text[32];

	(void)sprintf(text, "text %ju", (uintmax_t)*next);
	ck_assert_uint_eq(message->seq, *next);
	ck_assert_uint_eq(message->time, 1000 * *next);
	ck_assert_str_eq(message->from, "anna");
	ck_assert_pstr_eq(message->user, *next % 2 ? "anna" : NULL);
	ck_assert_pstr_eq(message->unit, *next % 3 ? NULL : "cron.service");
	assert_bytes(message->text, message->text_len + 1, text, strlen(text) + 1, "text");
	++*next;
	return 0;
}

/* What is there of first to last is from expected_first to expected_last. */
static void expect_range(struct store *store, uint64_t room, uint64_t first, uint64_t last,
			 uint64_t expected_first, uint64_t expected_last)
{
	uint64_t next = expected_first;

	ck_assert_int_eq(store_read(store, room, first, last, expect_next, &next), 0);
	ck_assert_uint_eq(next, expected_last + 1);
}

static uint64_t find_key(struct store *store, uint64_t room, const char *sender, const char *key,
			 uint64_t after)
{
	uint64_t seq = 12345, time = 0;

	ck_assert_int_eq(store_find_key(store, room, sender, key, after, &seq, &time), 0);
	if (seq > 0)
		ck_assert_uint_eq(time, 1000 * seq);
	return seq;
}

/* One room as text: "ID NAME OLDEST-NEWEST TOPIC;" */
static int describe_room(const struct store_room *room, void *data)
{
	char *text = data;

	(void)sprintf(text + strlen(text), "%ju %s %ju-%ju %s;", (uintmax_t)room->id, room->name,
		      (uintmax_t)room->oldest, (uintmax_t)room->newest, room->topic);
	return 0;
}

static void expect_rooms(struct store *store, const char *expected)
{
	char text[512] = "";

	ck_assert_int_eq(store_rooms(store, describe_room, text), 0);
	ck_assert_str_eq(text, expected);
}

static struct buffer read_file(const char *path)
{
	struct buffer content = {0};
	FILE *file = fopen(path, "re");
	uint8_t part[4096];
	size_t n;

	ck_assert_ptr_nonnull(file);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		ck_assert_int_eq(buffer_append(&content, part, n), 0);
	ck_assert_int_eq(fclose(file), 0);
	return content;
}

/* Runs statements on a database by itself; returns the last integer that it says. */
static int64_t sql(const char *path, const char *text)
{
	sqlite3_stmt *statement;
	int64_t number = 0;
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	while (*text) {
		ck_assert_msg(sqlite3_prepare_v2(db, text, -1, &statement, &text) == SQLITE_OK,
			      "%s", sqlite3_errmsg(db));
		while (sqlite3_step(statement) == SQLITE_ROW)
			number = sqlite3_column_int64(statement, 0);
		ck_assert_msg(sqlite3_finalize(statement) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	}
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	return number;
}

/* ---- what it keeps ---- */

START_TEST(test_rooms)
{
	struct store *store = open_store("rooms");
	uint64_t id;

	expect_rooms(store, "");
	begin(store);
	ck_assert_uint_eq(add_room(store, "Ops", "ops"), 1);
	ck_assert_uint_eq(add_room(store, "Bücher", "bücher"), 2);
	ck_assert_uint_eq(add_room(store, "lobby", "lobby"), 3);
	ck_assert_int_eq(store_set_topic(store, 2, "what to read"), 0);
	append_range(store, 2, 1, 5);
	commit(store);
	expect_rooms(store, "1 Ops 1-0 ;2 Bücher 1-5 what to read;3 lobby 1-0 ;");

	/* The log goes with its room, and the next room begins with none. */
	begin(store);
	ck_assert_int_eq(store_remove_room(store, 2), 0);
	ck_assert_uint_eq(add_room(store, "next", "next"), 2);
	commit(store);
	expect_range(store, 2, 0, UINT64_MAX, 1, 0);
	store_close(store);

	store = open_store("rooms");
	expect_rooms(store, "1 Ops 1-0 ;2 next 1-0 ;3 lobby 1-0 ;");
	begin(store);
	ck_assert_int_eq(store_add_room(store, "OPS", "ops", &id), -EEXIST);
	store_rollback(store);
	store_close(store);
}
END_TEST

START_TEST(test_log)
{
	static char large[1 << 20];
	struct chat_message message = {.seq = 11, .time = UINT64_C(1) << 50, .from = "Łukasz"};
	uint64_t ops, other;
	struct store *store = open_with_room("log", &ops);

	other = add_room(store, "other", "other");
	append_range(store, ops, 1, 10);
	append_range(store, other, 1, 3);
	commit(store);
	expect_range(store, ops, 0, UINT64_MAX, 1, 10);
	expect_range(store, ops, 4, 6, 4, 6);
	expect_range(store, ops, 9, 12, 9, 10);
	expect_range(store, ops, 11, 20, 11, 10);
	expect_range(store, ops, 6, 4, 6, 5);
	expect_range(store, other, 0, UINT64_MAX, 1, 3);
	expect_range(store, other + 1, 0, UINT64_MAX, 1, 0);

	memset(large, 'x', sizeof(large));
	begin(store);
	message.text = "";
	ck_assert_int_eq(store_append(store, ops, &message, "anna", NULL), 0);
	message.seq = 12;
	message.text = large;
	message.text_len = sizeof(large);
	ck_assert_int_eq(store_append(store, ops, &message, "anna", NULL), 0);
	commit(store);
	store_close(store);

	store = open_store("log");
	expect_rooms(store, "1 Ops 1-12 ;2 other 1-3 ;");
	expect_range(store, ops, 1, 10, 1, 10);
	store_close(store);
	ck_assert_int_eq(sql("log/rooms.db", "SELECT sum(length(text)) FROM messages"
					     " WHERE nick = 'Łukasz'"),
			 sizeof(large));
}
END_TEST

static int stop_at_3(const struct chat_message *message, void *data)
{
	++*(int *)data;
	return message->seq == 3 ? 77 : 0;
}

START_TEST(test_reading_ends_when_told)
{
	uint64_t room;
	struct store *store = open_with_room("stop", &room);
	int calls = 0;

	append_range(store, room, 1, 10);
	ck_assert_int_eq(store_read(store, room, 1, 10, stop_at_3, &calls), 77);
	ck_assert_int_eq(calls, 3);
	commit(store); /* as nothing is being read any longer */
	expect_range(store, room, 1, 10, 1, 10);
	store_close(store);
}
END_TEST

START_TEST(test_rollback)
{
	uint64_t room;
	struct store *store = open_with_room("rollback", &room);

	append_range(store, room, 1, 2);
	commit(store);
	begin(store);
	append_range(store, room, 3, 5);
	ck_assert_int_eq(store_add_user(store, "anna"), 0);
	store_rollback(store);
	expect_range(store, room, 1, 9, 1, 2);
	store_rollback(store); /* nothing to undo */

	/* After a failure nothing of the transaction comes to be, whatever the caller does. */
	begin(store);
	append_range(store, room, 3, 4);
	ck_assert_int_eq(append(store, room, 4, "anna", NULL), -EEXIST);
	ck_assert_ptr_nonnull(strstr(store_problem(store), "rollback/rooms.db: "));
	ck_assert_int_eq(append(store, room, 5, "anna", NULL), -EEXIST);
	ck_assert_int_eq(store_commit(store), -EEXIST);
	store_rollback(store);
	expect_range(store, room, 1, 9, 1, 2);
	begin(store);
	append_range(store, room, 3, 4);
	commit(store);
	expect_range(store, room, 1, 9, 1, 4);
	store_close(store);
}
END_TEST

/* ---- keys ---- */

START_TEST(test_keys)
{
	uint64_t ops, other;
	struct store *store = open_with_room("keys", &ops);

	other = add_room(store, "other", "other");
	ck_assert_uint_eq(find_key(store, ops, "anna", "k", 0), 0);
	ck_assert_int_eq(append(store, ops, 1, "anna", "k"), 0);
	ck_assert_uint_eq(find_key(store, ops, "anna", "k", 0), 1); /* of the open transaction */
	ck_assert_int_eq(append(store, ops, 2, "bert", "k"), 0);
	ck_assert_int_eq(append(store, ops, 3, "anna", "l"), 0);
	ck_assert_int_eq(append(store, other, 1, "anna", "m"), 0);
	commit(store);
	for (int again = 0; again < 2; again++) {
		ck_assert_uint_eq(find_key(store, ops, "anna", "k", 0), 1);
		ck_assert_uint_eq(find_key(store, ops, "bert", "k", 0), 2);
		ck_assert_uint_eq(find_key(store, ops, "anna", "l", 0), 3);
		ck_assert_uint_eq(find_key(store, other, "anna", "m", 0), 1);
		ck_assert_uint_eq(find_key(store, ops, "anna", "m", 0), 0);
		ck_assert_uint_eq(find_key(store, other, "anna", "k", 0), 0);
		ck_assert_uint_eq(find_key(store, ops, "ann", "ak", 0), 0);
		ck_assert_uint_eq(find_key(store, ops, "anna", "k", 1), 0);
		ck_assert_uint_eq(find_key(store, ops, "bert", "k", 1), 2);
		store_close(store);
		store = open_store("keys");
	}
	/* What was asked about later messages only is known of earlier ones, too. */
	ck_assert_uint_eq(find_key(store, ops, "anna", "k", 2), 0);
	ck_assert_uint_eq(find_key(store, ops, "anna", "k", 0), 1);
	store_close(store);
}
END_TEST

START_TEST(test_keys_rolled_back)
{
	uint64_t room;
	struct store *store = open_with_room("keys-back", &room);

	ck_assert_int_eq(append(store, room, 1, "anna", "a"), 0);
	commit(store);
	ck_assert_uint_eq(find_key(store, room, "anna", "a", 0), 1);
	begin(store);
	ck_assert_int_eq(append(store, room, 2, "anna", "b"), 0);
	ck_assert_int_eq(append(store, room, 3, "anna", "c"), 0);
	ck_assert_uint_eq(find_key(store, room, "anna", "b", 0), 2);
	store_rollback(store);
	ck_assert_uint_eq(find_key(store, room, "anna", "b", 0), 0);
	begin(store);
	ck_assert_int_eq(append(store, room, 2, "anna", "c"), 0);
	commit(store);
	ck_assert_uint_eq(find_key(store, room, "anna", "b", 0), 0);
	ck_assert_uint_eq(find_key(store, room, "anna", "c", 0), 2);
	ck_assert_uint_eq(find_key(store, room, "anna", "a", 0), 1);

	/* Another room takes the place of one that goes. */
	begin(store);
	ck_assert_int_eq(store_remove_room(store, room), 0);
	ck_assert_uint_eq(add_room(store, "new", "new"), room);
	ck_assert_uint_eq(find_key(store, room, "anna", "a", 0), 0);
	store_rollback(store);
	ck_assert_uint_eq(find_key(store, room, "anna", "a", 0), 1);
	store_close(store);
}
END_TEST

/* Many keys, all found, and none of those that are not there. */
START_TEST(test_many_keys)
{
	enum { N = 12000 };
	char key[32];
	uint64_t room;
	struct store *store = open_with_room("many-keys", &room);

	ck_assert_uint_eq(find_key(store, room, "anna", "1", 0), 0);
	for (uint64_t seq = 1; seq <= N; seq++) {
		(void)sprintf(key, "%ju", (uintmax_t)seq);
		ck_assert_int_eq(append(store, room, seq, "anna", key), 0);
	}
	commit(store);
	for (int again = 0; again < 2; again++) {
		for (uint64_t seq = 1; seq <= N + 10; seq += 7) {
			bool known = seq > N - CHAT_KEYS_KEPT && seq <= N;

			(void)sprintf(key, "%ju", (uintmax_t)seq);
			ck_assert_uint_eq(find_key(store, room, "anna", key, N - CHAT_KEYS_KEPT),
					  known ? seq : 0);
			ck_assert_uint_eq(find_key(store, room, "bert", key, N - CHAT_KEYS_KEPT),
					  0);
		}
		store_close(store);
		store = open_store("many-keys");
	}
	store_close(store);
}
END_TEST

/* The indexes of all rooms together stay within their bound, and the last ones are held. */
START_TEST(test_memory_of_keys)
{
	enum { ROOMS = 150 }; /* some 20 more than there is memory for */
	struct room_keys_table table;
	char key[32];

	room_keys_init(&table);
	for (uint64_t room = 1; room <= ROOMS; room++)
		ck_assert_ptr_nonnull(room_keys_add(&table, room, 0));
	for (uint64_t room = 1; room <= ROOMS; room++) {
		struct room_keys *keys = room_keys_find(&table, room);

		if (!keys)
			continue;
		for (uint64_t seq = 1; seq <= CHAT_KEYS_KEPT; seq++) {
			(void)sprintf(key, "%ju", (uintmax_t)seq);
			if (room_keys_reserve(&table, keys) < 0 || table.memory > ROOM_KEYS_MEMORY)
				ck_abort_msg("%zu bytes", table.memory);
			keys_add(&keys->keys, "anna", key, seq);
		}
		ck_assert_ptr_eq(room_keys_find(&table, room), keys);
	}
	ck_assert_uint_gt(table.memory, ROOM_KEYS_MEMORY / 2);
	ck_assert_ptr_null(room_keys_find(&table, 1));
	room_keys_done(&table);
	ck_assert_uint_eq(table.memory, 0);
}
END_TEST

/* ---- trimming ---- */

static void trim(struct store *store, uint64_t room, uint64_t upto, uint64_t before, unsigned steps,
		 uint64_t expected_oldest, bool expected_more)
{
	uint64_t oldest = 0;
	bool more = !expected_more;

	ck_assert_msg(store_trim(store, room, upto, before, steps, &oldest, &more) == 0, "%s",
		      store_problem(store));
	ck_assert_uint_eq(oldest, expected_oldest);
	ck_assert(more == expected_more);
}

START_TEST(test_trim)
{
	uint64_t room, other;
	struct store *store = open_with_room("trim", &room);

	other = add_room(store, "other", "other");
	append_range(store, room, 1, 20);
	append_range(store, other, 1, 20);
	commit(store);

	begin(store);
	trim(store, room, 0, 0, 5, 1, false);
	trim(store, room, 7, 0, 5, 6, true);
	trim(store, room, 7, 0, 5, 8, false);
	trim(store, room, 7, 0, 5, 8, false);
	trim(store, room, 9, 0, 2, 10, false);	    /* exactly so many */
	trim(store, room, 0, 12000, 5, 12, false);  /* by age */
	trim(store, room, 12, 15000, 5, 15, false); /* by either */
	expect_range(store, room, 0, 99, 15, 20);
	store_rollback(store);
	expect_range(store, room, 0, 99, 1, 20);

	begin(store);
	trim(store, room, 100, 0, 100, 21, false);
	trim(store, room, 100, 0, 100, 21, false);
	trim(store, other, 19, 0, 100, 20, false);
	commit(store);
	expect_rooms(store, "1 Ops 21-20 ;2 other 20-20 ;");
	store_close(store);

	store = open_store("trim");
	expect_rooms(store, "1 Ops 21-20 ;2 other 20-20 ;");
	begin(store);
	append_range(store, room, 21, 22);
	trim(store, room, 21, 0, 100, 22, false);
	commit(store);
	expect_rooms(store, "1 Ops 22-22 ;2 other 20-20 ;");
	store_close(store);
}
END_TEST

/* Keys outlive their messages, and go when they are too old to be known. */
START_TEST(test_trim_keys)
{
	enum { N = CHAT_KEYS_KEPT + 100 };
	uint64_t room;
	struct store *store = open_with_room("trim-keys", &room);

	for (uint64_t seq = 1; seq <= 200; seq++)
		ck_assert_int_eq(append(store, room, seq, "anna", seq % 2 ? "odd" : "even"), 0);
	append_range(store, room, 201, N);
	for (uint64_t oldest = 1; oldest + 1000 < N; oldest += 1000)
		trim(store, room, N, 0, 1000, oldest + 1000, true);
	trim(store, room, N, 0, 1000, N + 1, false);
	ck_assert_uint_eq(find_key(store, room, "anna", "odd", N - CHAT_KEYS_KEPT), 199);
	commit(store);
	store_close(store);
	ck_assert_int_eq(sql("trim-keys/rooms.db", "SELECT min(place & 0xffffff) FROM keys"), 101);
	ck_assert_int_eq(sql("trim-keys/rooms.db", "SELECT count(*) FROM keys"), 100);

	store = open_store("trim-keys");
	expect_rooms(store, "1 Ops 10101-10100 ;");
	ck_assert_uint_eq(find_key(store, room, "anna", "odd", N - CHAT_KEYS_KEPT), 199);
	begin(store);
	append_range(store, room, N + 1, N + 10);
	trim(store, room, 0, 0, 3, N + 1, true); /* 10 keys in steps of 3 */
	trim(store, room, 0, 0, 3, N + 1, true);
	trim(store, room, 0, 0, 3, N + 1, true);
	trim(store, room, 0, 0, 3, N + 1, false);
	commit(store);
	store_close(store);
	ck_assert_int_eq(sql("trim-keys/rooms.db", "SELECT count(*) FROM keys"), 90);
}
END_TEST

/* ---- users and sanctions ---- */

static int add_line(const char *user, void *data)
{
	(void)strcat(strcat(data, user), ";");
	return 0;
}

START_TEST(test_users)
{
	struct store *store = open_store("users");
	char text[64] = "";

	begin(store);
	ck_assert_int_eq(store_add_user(store, "bert"), 0);
	ck_assert_int_eq(store_add_user(store, "anna"), 0);
	ck_assert_int_eq(store_add_user(store, "bert"), 0);
	commit(store);
	store_close(store);
	store = open_store("users");
	ck_assert_int_eq(store_users(store, add_line, text), 0);
	ck_assert_str_eq(text, "anna;bert;");
	store_close(store);
}
END_TEST

static int describe_sanction(const struct store_sanction *sanction, void *data)
{
	char *text = data;

	(void)sprintf(text + strlen(text), "%s %s %s %ju %s %s;", sanction->kind, sanction->what,
		      sanction->target, (uintmax_t)sanction->until, sanction->by, sanction->reason);
	return 0;
}

START_TEST(test_sanctions)
{
	struct store_sanction sanction = {"ban", "user", "carl", 0, "anna", "noise"};
	struct store *store = open_store("sanctions");
	char text[256] = "";

	begin(store);
	ck_assert_int_eq(store_add_sanction(store, &sanction), 0);
	sanction.kind = "mute";
	ck_assert_int_eq(store_add_sanction(store, &sanction), 0);
	sanction.until = 99;
	sanction.reason = "";
	ck_assert_int_eq(store_add_sanction(store, &sanction), 0);
	sanction.what = "nick";
	ck_assert_int_eq(store_add_sanction(store, &sanction), 0);
	ck_assert_int_eq(store_remove_sanction(store, "mute", "nick", "carl"), 0);
	ck_assert_int_eq(store_remove_sanction(store, "mute", "nick", "carl"), 0);
	commit(store);
	store_close(store);
	store = open_store("sanctions");
	ck_assert_int_eq(store_sanctions(store, describe_sanction, text), 0);
	ck_assert_str_eq(text, "ban user carl 0 anna noise;mute user carl 99 anna ;");
	store_close(store);
}
END_TEST

/* ---- opening ---- */

static void expect_mode(const char *path, mode_t mode)
{
	struct stat status;

	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_mode & 07777, mode);
}

START_TEST(test_files)
{
	struct store *store;

	(void)umask(0);
	store = open_store("made/of/parts");
	begin(store);
	(void)add_room(store, "ops", "ops");
	commit(store);
	expect_mode("made", 0700);
	expect_mode("made/of/parts", 0700);
	expect_mode("made/of/parts/lock", 0600);
	expect_mode("made/of/parts/rooms.db", 0600);
	expect_mode("made/of/parts/rooms.db-wal", 0600);
	store_close(store);
	ck_assert_int_ne(access("made/of/parts/rooms.db-wal", F_OK), 0);
	ck_assert_int_ne(access("made/of/parts/rooms.db.new", F_OK), 0);
}
END_TEST

/* Opening directory fails so; the problem has these words, and the file stays as it is. */
static void expect_refusal(const char *directory, int error, const char *words)
{
	char problem[STORE_PROBLEM_MAX] = "", path[128];
	struct buffer before = {0}, after = {0};
	struct store *store = NULL;
	struct stat status;
	bool is_file;

	(void)sprintf(path, "%s/rooms.db", directory);
	is_file = stat(path, &status) == 0 && S_ISREG(status.st_mode);
	if (is_file)
		before = read_file(path);
	ck_assert_msg(store_open(directory, &store, problem) == error, "not %i: \"%s\"", error,
		      problem);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(problem, words), "%s", problem);
	ck_assert_msg(strstr(problem, directory), "%s", problem);
	if (is_file) {
		after = read_file(path);
		assert_bytes(after.data, after.len, before.data, before.len, "the file");
	}
	buffer_done(&before);
	buffer_done(&after);
}

START_TEST(test_second_process)
{
	struct store *store = open_store("locked");
	char words[32];

	(void)sprintf(words, "(pid %i)", getpid());
	expect_refusal("locked", -EBUSY, words);
	store_close(store);
	store = open_store("locked");
	store_close(store);

	file_write("locked/lock", "no number", 9);
	store = open_store("locked");
	file_write("locked/lock", "no number", 9);
	expect_refusal("locked", -EBUSY, "by another process");
	store_close(store);
}
END_TEST

/* The schema of the first version, as it was. */
static const char version_1[] =
	"PRAGMA application_id = 1381265266;"
	"CREATE TABLE rooms (id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),"
	" name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,"
	" trimmed INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE messages (place INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
	" nick TEXT NOT NULL, user TEXT, unit TEXT, text TEXT NOT NULL);"
	"CREATE TABLE users (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE sanctions (kind TEXT, what TEXT, target TEXT, until INTEGER NOT NULL,"
	" author TEXT NOT NULL, reason TEXT NOT NULL,"
	" PRIMARY KEY (kind, what, target)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;"
	"INSERT INTO rooms VALUES (1, 'Ops', 'ops', 'old', 0);"
	"INSERT INTO messages VALUES ((1 << 40) + 1, 1000, 'anna', 'anna', NULL, 'text 1');"
	"INSERT INTO messages VALUES ((1 << 40) + 2, 2000, 'anna', NULL, NULL, 'text 2');";

START_TEST(test_older_schema)
{
	struct store *store;

	ck_assert_int_eq(mkdir("v0", 0700), 0);
	(void)sql("v0/rooms.db", "PRAGMA application_id = 1381265266;");
	store = open_store("v0");
	begin(store);
	ck_assert_int_eq(append(store, add_room(store, "ops", "ops"), 1, "anna", "k"), 0);
	commit(store);
	store_close(store);

	ck_assert_int_eq(mkdir("v1", 0700), 0);
	(void)sql("v1/rooms.db", version_1);
	for (int again = 0; again < 2; again++) {
		store = open_store("v1");
		expect_rooms(store, "1 Ops 1-2 old;");
		expect_range(store, 1, 0, 9, 1, 2);
		ck_assert_uint_eq(find_key(store, 1, "anna", "k", 0), 0);
		begin(store);
		ck_assert_int_eq(append(store, 1, 3, "anna", "k"), 0);
		ck_assert_uint_eq(find_key(store, 1, "anna", "k", 0), 3);
		store_rollback(store);
		store_close(store);
	}
	ck_assert_int_eq(sql("v1/rooms.db", "PRAGMA user_version"), database_schema_version());
}
END_TEST

START_TEST(test_newer_schema)
{
	char text[64];

	store_close(open_store("newer"));
	(void)sprintf(text, "PRAGMA user_version = %i", database_schema_version() + 1);
	(void)sql("newer/rooms.db", text);
	expect_refusal("newer", -EPROTO, "newer version");
	(void)sql("newer/rooms.db", "PRAGMA user_version = -1");
	expect_refusal("newer", -EPROTO, "newer version");
}
END_TEST

/* A database with some hundred pages, of which each table has some. */
static void fill(const char *directory)
{
	static char large[100000];
	struct chat_message message = {.text = large, .text_len = sizeof(large), .from = "anna"};
	uint64_t room;
	struct store *store = open_with_room(directory, &room);

	memset(large, 'x', sizeof(large));
	append_range(store, room, 1, 1000);
	message.seq = 1001;
	ck_assert_int_eq(store_append(store, room, &message, "anna", "key"), 0);
	commit(store);
	store_close(store);
}

START_TEST(test_foreign_files)
{
	static const char text[] = "These are my notes. They are not a database, and they are long "
				   "enough that a header would have its place in them, surely.\n";

	ck_assert_int_eq(mkdir("foreign", 0700), 0);
	file_write("foreign/rooms.db", text, sizeof(text));
	expect_refusal("foreign", -EBADMSG, "move it away");
	file_write("foreign/rooms.db", text, 10);
	expect_refusal("foreign", -EBADMSG, "move it away");
	file_write("foreign/rooms.db", "", 0);
	expect_refusal("foreign", -EBADMSG, "move it away");
	(void)unlink("foreign/rooms.db");
	(void)sql("foreign/rooms.db", "CREATE TABLE notes (note); PRAGMA user_version = 1");
	expect_refusal("foreign", -EBADMSG, "move it away");
	(void)unlink("foreign/rooms.db");
	ck_assert_int_eq(mkfifo("foreign/rooms.db", 0600), 0);
	expect_refusal("foreign", -EBADMSG, "move it away");
	(void)unlink("foreign/rooms.db");
	ck_assert_int_eq(mkdir("foreign/rooms.db", 0700), 0);
	expect_refusal("foreign", -EBADMSG, "move it away");

	/* Once that is done, it begins anew. */
	ck_assert_int_eq(rename("foreign/rooms.db", "foreign/old"), 0);
	store_close(open_store("foreign"));
	expect_refusal("foreign/lock", -ENOTDIR, "foreign/lock");
}
END_TEST

START_TEST(test_foreign_tables)
{
	(void)mkdir("tables", 0700);
	(void)sql("tables/rooms.db",
		  "PRAGMA application_id = 1381265266; CREATE TABLE messages (a, b);");
	expect_refusal("tables", -EBADMSG, "already exists");
	(void)sql("tables/rooms.db", "PRAGMA journal_mode = WAL; PRAGMA user_version = 2");
	expect_refusal("tables", -EBADMSG, "no such table");
}
END_TEST

START_TEST(test_corrupt_files)
{
	struct buffer whole;

	fill("corrupt");
	whole = read_file("corrupt/rooms.db");
	ck_assert_uint_gt(whole.len, 40 * page_size);

	file_write("corrupt/rooms.db", whole.data, whole.len - page_size);
	expect_refusal("corrupt", -EBADMSG, "corrupt/rooms.db-wal away");
	file_write("corrupt/rooms.db", whole.data, page_size);
	expect_refusal("corrupt", -EBADMSG, "corrupt/rooms.db-wal away");
	for (size_t page = 0; page < 10; page++) {
		struct buffer bad = {0};

		ck_assert_int_eq(buffer_append(&bad, whole.data, whole.len), 0);
		memset(bad.data + page * page_size + (page > 0 ? 0 : 100), 0xa5, 500);
		file_write("corrupt/rooms.db", bad.data, bad.len);
		expect_refusal("corrupt", -EBADMSG, "corrupt/rooms.db-wal away");
		buffer_done(&bad);
	}
	/* Of what is in the header beside the words that say whose it is. */
	for (size_t at = 16; at < 24; at++) {
		struct buffer bad = {0};

		ck_assert_int_eq(buffer_append(&bad, whole.data, whole.len), 0);
		bad.data[at] ^= 0x5a;
		file_write("corrupt/rooms.db", bad.data, bad.len);
		if (at != 18 && at != 20) /* the version to write with, bytes kept free */
			expect_refusal("corrupt", -EBADMSG, "corrupt/rooms.db");
		buffer_done(&bad);
	}
	file_write("corrupt/rooms.db", whole.data, whole.len);
	store_close(open_store("corrupt"));
	buffer_done(&whole);
}
END_TEST

/* A corrupt file does not become another by what is in the log of writes beside it. */
START_TEST(test_corrupt_with_log_of_writes)
{
	struct buffer whole, log;
	struct store *store;

	fill("with-log");
	store = open_store("with-log");
	begin(store);
	ck_assert_int_eq(store_set_topic(store, 1, "later"), 0);
	commit(store);
	whole = read_file("with-log/rooms.db");
	log = read_file("with-log/rooms.db-wal");
	ck_assert_uint_gt(log.len, page_size);
	store_close(store);

	memset(whole.data + 4 * page_size, 0xa5, page_size);
	file_write("with-log/rooms.db", whole.data, whole.len);
	file_write("with-log/rooms.db-wal", log.data, log.len);
	expect_refusal("with-log", -EBADMSG, "with-log/rooms.db-wal away");
	ck_assert_int_eq(access("with-log/rooms.db-wal", F_OK), 0);

	/* And a new one does not take it over. */
	ck_assert_int_eq(unlink("with-log/rooms.db"), 0);
	expect_refusal("with-log", -EBADMSG, "with-log/rooms.db-wal is there");
	ck_assert_int_eq(unlink("with-log/rooms.db-wal"), 0);
	store = open_store("with-log");
	expect_rooms(store, "");
	store_close(store);
	buffer_done(&whole);
	buffer_done(&log);
}
END_TEST

/* What a process that was killed has left behind is taken over. */
START_TEST(test_left_behind)
{
	uint64_t room;
	struct store *store = open_with_room("killed", &room);
	struct buffer file, log;

	append_range(store, room, 1, 10);
	commit(store);
	begin(store);
	append_range(store, room, 11, 15);
	file = read_file("killed/rooms.db");
	log = read_file("killed/rooms.db-wal");
	ck_assert_int_eq(mkdir("heir", 0700), 0);
	file_write("heir/rooms.db", file.data, file.len);
	file_write("heir/rooms.db-wal", log.data, log.len);
	file_write("heir/rooms.db.new", "a part", 6);
	store_rollback(store);
	store_close(store);

	store = open_store("heir");
	expect_rooms(store, "1 Ops 1-10 ;");
	expect_range(store, room, 0, 99, 1, 10);
	store_close(store);
	buffer_done(&file);
	buffer_done(&log);

	ck_assert_int_eq(mkdir("early", 0700), 0);
	file_write("early/rooms.db.new", "a part", 6);
	store_close(open_store("early"));
}
END_TEST

START_TEST(test_not_permitted)
{
	if (geteuid() == 0) {
		ck_assert_int_eq(mkdir("closed", 0700), 0);
		if (!harness_private_mounts()) {
			harness_skip("no mounts of its own");
		} else {
			ck_assert_int_eq(mount("none", "closed", "tmpfs", MS_RDONLY, NULL), 0);
			expect_refusal("closed", -EROFS, "closed/lock");
			ck_assert_int_eq(umount("closed"), 0);
		}
		return;
	}
	ck_assert_int_eq(mkdir("closed", 0500), 0);
	expect_refusal("closed", -EACCES, "closed/lock");
}
END_TEST

/* What administrators are told: what came to be, and not what was taken back. */
START_TEST(test_figures)
{
	struct store_figures figures, before;
	struct stat status;
	struct store *store;
	uint64_t room;

	store = open_with_room("state", &room);
	store_figures(store, &figures);
	ck_assert_uint_eq(figures.commits, 0);
	ck_assert_uint_eq(figures.last_commit, 0);
	append_range(store, room, 1, 3);
	commit(store);
	begin(store);
	append_range(store, room, 4, 9);
	store_rollback(store);
	ck_assert_int_eq(store_probe(store), 0);
	store_figures(store, &figures);
	ck_assert_uint_eq(figures.messages, 3);
	ck_assert_uint_eq(figures.commits, 1);
	ck_assert_uint_eq(figures.failed_commits, 0);
	ck_assert_uint_gt(figures.last_commit, UINT64_C(1600000000000));
	ck_assert_uint_gt(figures.commit_microseconds, 0);
	ck_assert_uint_eq(figures.longest_commit_microseconds, figures.commit_microseconds);

	/* One that fails has written nothing. */
	before = figures;
	begin(store);
	append_range(store, room, 4, 4);
	ck_assert_int_eq(append(store, room, 4, "anna", NULL), -EEXIST);
	ck_assert_int_eq(store_commit(store), -EEXIST);
	store_rollback(store);
	begin(store);
	append_range(store, room, 4, 5);
	commit(store);
	store_figures(store, &figures);
	ck_assert_uint_eq(figures.messages, 5);
	ck_assert_uint_eq(figures.commits, 2);
	ck_assert_uint_eq(figures.failed_commits, 1);
	ck_assert_uint_ge(figures.last_commit, before.last_commit);
	ck_assert_uint_gt(figures.commit_microseconds, before.commit_microseconds);
	ck_assert_uint_ge(figures.longest_commit_microseconds, before.longest_commit_microseconds);
	ck_assert_uint_lt(figures.longest_commit_microseconds, figures.commit_microseconds);

	ck_assert_int_eq(stat("state/rooms.db", &status), 0);
	ck_assert_uint_eq(figures.database_bytes, status.st_size);
	ck_assert_int_eq(stat("state/rooms.db-wal", &status), 0);
	ck_assert_uint_gt(figures.wal_bytes, 0);
	ck_assert_uint_eq(figures.wal_bytes, status.st_size);
	store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");

	add(suite, test_rooms);
	add(suite, test_log);
	add(suite, test_reading_ends_when_told);
	add(suite, test_rollback);
	add(suite, test_keys);
	add(suite, test_keys_rolled_back);
	add(suite, test_many_keys);
	add(suite, test_memory_of_keys);
	add(suite, test_trim);
	add(suite, test_trim_keys);
	add(suite, test_users);
	add(suite, test_sanctions);
	add(suite, test_files);
	add(suite, test_second_process);
	add(suite, test_older_schema);
	add(suite, test_newer_schema);
	add(suite, test_foreign_files);
	add(suite, test_foreign_tables);
	add(suite, test_corrupt_files);
	add(suite, test_corrupt_with_log_of_writes);
	add(suite, test_left_behind);
	add(suite, test_not_permitted);
	add(suite, test_figures);
	return harness_main(suite);
}
