/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include <stdio.h>

#include "database.h"
#include "room_keys.h"
#include "util.h"

/* A message's place in its table: the room's id, and the number in it. See database_schema.c. */
enum { SEQ_BITS = 40 };
static const uint64_t seq_max = (UINT64_C(1) << SEQ_BITS) - 1;

enum statement {
	LIST_ROOMS,
	ADD_ROOM,
	SET_TOPIC,
	REMOVE_ROOM,
	APPEND,
	READ,
	OLDEST,
	NEWEST,
	REMOVE_MESSAGES,
	SET_TRIMMED,
	APPEND_KEY,
	READ_KEYS,
	COMPARE_KEY,
	NTH_KEY,
	REMOVE_KEYS,
	ADD_USER,
	LIST_USERS,
	ADD_SANCTION,
	REMOVE_SANCTION,
	LIST_SANCTIONS,
};
enum { STATEMENTS = LIST_SANCTIONS + 1 };

static const char *const statements[STATEMENTS] = {
	[LIST_ROOMS] = "SELECT id, name, topic, trimmed,"
		       " (SELECT max(place) FROM messages"
		       "  WHERE place BETWEEN id << 40 AND (id + 1 << 40) - 1) & (1 << 40) - 1"
		       " FROM rooms",
	/* The lowest id that is free. */
	[ADD_ROOM] = "INSERT INTO rooms (id, name, folded, topic) SELECT min(id) + 1, ?1, ?2, ''"
		     " FROM (SELECT 0 AS id UNION ALL SELECT id FROM rooms)"
		     " WHERE id + 1 NOT IN (SELECT id FROM rooms)",
	[SET_TOPIC] = "UPDATE rooms SET topic = ?2 WHERE id = ?1",
	[REMOVE_ROOM] = "DELETE FROM rooms WHERE id = ?1",

	[APPEND] = "INSERT INTO messages (place, time, nick, user, unit, text)"
		   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[READ] = "SELECT place, time, nick, user, unit, text FROM messages"
		 " WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
	[OLDEST] = "SELECT place, time FROM messages WHERE place BETWEEN ?1 AND ?2"
		   " ORDER BY place LIMIT ?3",
	[NEWEST] = "SELECT coalesce((SELECT max(place) FROM messages"
		   "  WHERE place BETWEEN ?1 AND ?2) - ?1, trimmed) FROM rooms WHERE id = ?3",
	[REMOVE_MESSAGES] = "DELETE FROM messages WHERE place BETWEEN ?1 AND ?2",
	[SET_TRIMMED] = "UPDATE rooms SET trimmed = ?2 WHERE id = ?1",

	[APPEND_KEY] = "INSERT INTO keys (place, time, sender, key) VALUES (?1, ?2, ?3, ?4)",
	[READ_KEYS] = "SELECT place, sender, key FROM keys WHERE place BETWEEN ?1 AND ?2"
		      " ORDER BY place",
	[COMPARE_KEY] = "SELECT time FROM keys WHERE place = ?1 AND sender = ?2 AND key = ?3",
	[NTH_KEY] = "SELECT place FROM keys WHERE place BETWEEN ?1 AND ?2"
		    " ORDER BY place LIMIT 1 OFFSET ?3",
	[REMOVE_KEYS] = "DELETE FROM keys WHERE place BETWEEN ?1 AND ?2",

	[ADD_USER] = "INSERT OR IGNORE INTO users (name) VALUES (?1)",
	[LIST_USERS] = "SELECT name FROM users",

	[ADD_SANCTION] = "INSERT OR REPLACE INTO sanctions"
			 " (kind, what, target, until, author, reason)"
			 " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[REMOVE_SANCTION] = "DELETE FROM sanctions WHERE kind = ?1 AND what = ?2 AND target = ?3",
	[LIST_SANCTIONS] = "SELECT kind, what, target, until, author, reason FROM sanctions",
};

struct store {
	struct database database;
	struct room_keys_table keys;
	bool removed;	   /* a room, in the open transaction; keys does not know it any longer */
	uint64_t appended; /* messages in the open transaction */
	uint64_t messages; /* that were committed */
};

static uint64_t place_of(uint64_t room, uint64_t seq)
{
	return room << SEQ_BITS | MIN(seq, seq_max);
}

/* Binds the places of these numbers as the first two things that a statement wants. */
static void bind_range(struct database *database, enum statement statement, uint64_t room,
		       uint64_t first, uint64_t last)
{
	database_bind_number(database, statement, 1, place_of(room, first));
	database_bind_number(database, statement, 2, place_of(room, last));
}

/* The number of the message whose place stands in the first column. */
static uint64_t seq_of(struct database *database, enum statement statement)
{
	return database_number(database, statement, 0) & seq_max;
}

int store_open(const char *directory, struct store **ret_store,
	       char problem[static STORE_PROBLEM_MAX])
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store) {
		(void)snprintf(problem, STORE_PROBLEM_MAX, "out of memory");
		return -ENOMEM;
	}
	room_keys_init(&store->keys);
	r = database_open(&store->database, directory, statements, STATEMENTS);
	if (r < 0) {
		(void)snprintf(problem, STORE_PROBLEM_MAX, "%s", store_problem(store));
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	database_close(&store->database);
	room_keys_done(&store->keys);
	free(store);
}

const char *store_problem(const struct store *store)
{
	return store->database.problem;
}

int store_begin(struct store *store)
{
	store->removed = false;
	store->appended = 0;
	return database_begin(&store->database);
}

int store_commit(struct store *store)
{
	int r = database_commit(&store->database);

	if (r == 0)
		store->messages += store->appended;
	store->appended = 0;
	return r;
}

void store_rollback(struct store *store)
{
	database_rollback(&store->database);
	/* What was read while the room was gone lacks what is there again. */
	if (store->removed)
		room_keys_done(&store->keys);
	store->removed = false;
}

int store_probe(struct store *store)
{
	return database_probe(&store->database);
}

void store_figures(const struct store *store, struct store_figures *ret_figures)
{
	const struct database_commits *commits = &store->database.commits;

	*ret_figures = (struct store_figures){
		.messages = store->messages,
		.commits = commits->done,
		.failed_commits = commits->failed,
		.last_commit = commits->last,
		.commit_microseconds = commits->microseconds,
		.longest_commit_microseconds = commits->longest,
	};
	database_size(&store->database, &ret_figures->database_bytes, &ret_figures->wal_bytes);
}

/* ---- rooms ---- */

int store_rooms(struct store *store, int (*each)(const struct store_room *room, void *data),
		void *data)
{
	struct database *database = &store->database;
	int r;

	while ((r = database_next(database, LIST_ROOMS)) > 0) {
		uint64_t trimmed = database_number(database, LIST_ROOMS, 3);
		uint64_t newest = MAX(trimmed, database_number(database, LIST_ROOMS, 4));
		const struct store_room room = {
			.id = database_number(database, LIST_ROOMS, 0),
			.name = database_text(database, LIST_ROOMS, 1),
			.topic = database_text(database, LIST_ROOMS, 2),
			.oldest = trimmed + 1,
			.newest = newest,
		};

		r = database_complete(database);
		if (r == 0)
			r = each(&room, data);
		if (r != 0)
			return database_leave(database, LIST_ROOMS, r);
	}
	return r;
}

int store_add_room(struct store *store, const char *name, const char *folded, uint64_t *ret_id)
{
	struct database *database = &store->database;
	int r;

	database_bind_text(database, ADD_ROOM, 1, name);
	database_bind_text(database, ADD_ROOM, 2, folded);
	r = database_run(database, ADD_ROOM);
	if (r < 0)
		return r;
	*ret_id = database_last_id(database);
	return 0;
}

int store_set_topic(struct store *store, uint64_t room, const char *topic)
{
	struct database *database = &store->database;

	database_bind_number(database, SET_TOPIC, 1, room);
	database_bind_text(database, SET_TOPIC, 2, topic);
	return database_run(database, SET_TOPIC);
}

int store_remove_room(struct store *store, uint64_t room)
{
	struct database *database = &store->database;
	int r;

	bind_range(database, REMOVE_MESSAGES, room, 0, seq_max);
	bind_range(database, REMOVE_KEYS, room, 0, seq_max);
	database_bind_number(database, REMOVE_ROOM, 1, room);
	r = database_run(database, REMOVE_MESSAGES);
	if (r == 0)
		r = database_run(database, REMOVE_KEYS);
	if (r == 0)
		r = database_run(database, REMOVE_ROOM);
	room_keys_remove(&store->keys, room);
	store->removed = true;
	return r;
}

/* ---- logs ---- */

/* Messages up to seq upto are known by their keys no longer. */
static void forget_keys(struct room_keys *known, uint64_t upto)
{
	known->after = MAX(known->after, upto);
	keys_expire(&known->keys, upto);
}

static int append_key(struct store *store, uint64_t room, const struct chat_message *message,
		      const char *sender, const char *key)
{
	struct room_keys *known = room_keys_find(&store->keys, room);
	struct database *database = &store->database;
	int r;

	database_bind_number(database, APPEND_KEY, 1, place_of(room, message->seq));
	database_bind_number(database, APPEND_KEY, 2, message->time);
	database_bind_text(database, APPEND_KEY, 3, sender);
	database_bind_text(database, APPEND_KEY, 4, key);
	r = database_run(database, APPEND_KEY);
	/* An index that is not there is made when it is needed, of what is in the table by then. */
	if (r < 0 || !known)
		return r;
	if (message->seq > CHAT_KEYS_KEPT + 1)
		forget_keys(known, message->seq - CHAT_KEYS_KEPT - 1);
	r = room_keys_reserve(&store->keys, known);
	if (r < 0)
		return database_fail(database, r);
	keys_add(&known->keys, sender, key, message->seq);
	return 0;
}

int store_append(struct store *store, uint64_t room, const struct chat_message *message,
		 const char *sender, const char *key)
{
	struct database *database = &store->database;
	int r;

	if (message->seq > seq_max)
		return database_fail(database, -EOVERFLOW);
	database_bind_number(database, APPEND, 1, place_of(room, message->seq));
	database_bind_number(database, APPEND, 2, message->time);
	database_bind_text(database, APPEND, 3, message->from);
	database_bind_text(database, APPEND, 4, message->user);
	database_bind_text(database, APPEND, 5, message->unit);
	database_bind_bytes(database, APPEND, 6, message->text, message->text_len);
	r = database_run(database, APPEND);
	if (r == 0)
		store->appended++;
	return r < 0 || !key ? r : append_key(store, room, message, sender, key);
}

/* Fills the index of a room with the keys of the messages after seq after. */
static int read_keys(struct store *store, struct room_keys *known)
{
	struct database *database = &store->database;
	int r;

	bind_range(database, READ_KEYS, known->room, known->after + 1, seq_max);
	while ((r = database_next(database, READ_KEYS)) > 0) {
		const char *sender = database_text(database, READ_KEYS, 1);
		const char *key = database_text(database, READ_KEYS, 2);

		r = database_complete(database);
		if (r == 0 && (r = room_keys_reserve(&store->keys, known)) < 0)
			r = database_fail(database, r);
		if (r < 0)
			return database_leave(database, READ_KEYS, r);
		keys_add(&known->keys, sender, key, seq_of(database, READ_KEYS));
	}
	return r;
}

/* Returns the index of room, with the keys of the messages after seq after. */
static int know_keys(struct store *store, uint64_t room, uint64_t after,
		     struct room_keys **ret_known)
{
	struct room_keys *known = room_keys_find(&store->keys, room);
	int r;

	if (known && known->after <= after) {
		forget_keys(known, after);
		*ret_known = known;
		return 0;
	}
	room_keys_remove(&store->keys, room);
	known = room_keys_add(&store->keys, room, after);
	if (!known)
		return database_fail(&store->database, -ENOMEM);
	r = read_keys(store, known);
	if (r < 0)
		room_keys_remove(&store->keys, room);
	else
		*ret_known = known;
	return r;
}

int store_find_key(struct store *store, uint64_t room, const char *sender, const char *key,
		   uint64_t after, uint64_t *ret_seq, uint64_t *ret_time)
{
	struct database *database = &store->database;
	struct keys_search search;
	struct room_keys *known = NULL;
	uint64_t seq;
	int r = know_keys(store, room, after, &known);

	if (r < 0)
		return r;
	search = keys_search(&known->keys, sender, key);
	while (keys_next(&known->keys, &search, &seq)) {
		database_bind_number(database, COMPARE_KEY, 1, place_of(room, seq));
		database_bind_text(database, COMPARE_KEY, 2, sender);
		database_bind_text(database, COMPARE_KEY, 3, key);
		r = database_next(database, COMPARE_KEY);
		if (r < 0)
			return r;
		if (r == 0)
			continue; /* another of this hash, or one that was not committed */
		*ret_seq = seq;
		*ret_time = database_number(database, COMPARE_KEY, 0);
		return database_leave(database, COMPARE_KEY, 0);
	}
	*ret_seq = 0;
	return 0;
}

int store_read(struct store *store, uint64_t room, uint64_t first, uint64_t last,
	       int (*each)(const struct chat_message *message, void *data), void *data)
{
	struct database *database = &store->database;
	int r;

	bind_range(database, READ, room, first, last);
	while ((r = database_next(database, READ)) > 0) {
		const struct chat_message message = {
			.seq = seq_of(database, READ),
			.time = database_number(database, READ, 1),
			.from = database_text(database, READ, 2),
			.user = database_text_or_null(database, READ, 3),
			.unit = database_text_or_null(database, READ, 4),
			.text = database_text(database, READ, 5),
			.text_len = database_text_len(database, READ, 5),
		};

		r = database_complete(database);
		if (r == 0)
			r = each(&message, data);
		if (r != 0)
			return database_leave(database, READ, r);
	}
	return r;
}

/* The number of the newest message that there ever was. */
static int find_newest(struct database *database, uint64_t room, uint64_t *ret_newest)
{
	int r;

	bind_range(database, NEWEST, room, 0, seq_max);
	database_bind_number(database, NEWEST, 3, room);
	r = database_next(database, NEWEST);
	if (r < 0)
		return r;
	*ret_newest = r > 0 ? database_number(database, NEWEST, 0) : 0;
	return database_leave(database, NEWEST, 0);
}

/* What is removed of a log: from its oldest message to the one before end. */
struct trimming {
	uint64_t upto, before, steps;
	uint64_t first, end; /* 0: there is none */
	bool more;
};

static int find_removable(struct database *database, uint64_t room, struct trimming *trimming)
{
	uint64_t n = 0;
	int r;

	bind_range(database, OLDEST, room, 0, seq_max);
	database_bind_number(database, OLDEST, 3, trimming->steps + 1);
	while ((r = database_next(database, OLDEST)) > 0) {
		uint64_t seq = seq_of(database, OLDEST);

		if (n == 0)
			trimming->first = trimming->end = seq;
		if (seq > trimming->upto &&
		    database_number(database, OLDEST, 1) >= trimming->before)
			return database_leave(database, OLDEST, 0);
		if (n++ == trimming->steps) {
			trimming->more = true;
			return database_leave(database, OLDEST, 0);
		}
		trimming->end = seq + 1;
	}
	return r;
}

static int trim_messages(struct database *database, uint64_t room, struct trimming *trimming)
{
	int r = find_removable(database, room, trimming);

	if (r < 0 || trimming->end == trimming->first)
		return r;
	bind_range(database, REMOVE_MESSAGES, room, 0, trimming->end - 1);
	r = database_run(database, REMOVE_MESSAGES);
	database_bind_number(database, SET_TRIMMED, 1, room);
	database_bind_number(database, SET_TRIMMED, 2, trimming->end - 1);
	return r < 0 ? r : database_run(database, SET_TRIMMED);
}

/* Removes up to steps keys of messages up to upto. */
static int trim_keys(struct database *database, uint64_t room, uint64_t upto, uint64_t steps,
		     bool *ret_more)
{
	int r;

	bind_range(database, NTH_KEY, room, 0, upto);
	database_bind_number(database, NTH_KEY, 3, steps);
	r = database_next(database, NTH_KEY);
	if (r < 0)
		return r;
	if (r > 0) {
		*ret_more = true;
		upto = seq_of(database, NTH_KEY) - 1;
		(void)database_leave(database, NTH_KEY, 0);
	}
	bind_range(database, REMOVE_KEYS, room, 0, upto);
	return database_run(database, REMOVE_KEYS);
}

int store_trim(struct store *store, uint64_t room, uint64_t upto, uint64_t before, unsigned steps,
	       uint64_t *ret_oldest, bool *ret_more)
{
	struct trimming trimming = {.upto = upto, .before = before, .steps = steps};
	struct database *database = &store->database;
	uint64_t newest = 0;
	int r = trim_messages(database, room, &trimming);

	if (r == 0)
		r = find_newest(database, room, &newest);
	if (r == 0 && newest > CHAT_KEYS_KEPT)
		r = trim_keys(database, room, newest - CHAT_KEYS_KEPT, steps, &trimming.more);
	if (r < 0)
		return r;
	*ret_oldest = trimming.end > 0 ? trimming.end : newest + 1;
	*ret_more = trimming.more;
	return 0;
}

/* ---- users and sanctions ---- */

int store_add_user(struct store *store, const char *user)
{
	struct database *database = &store->database;

	database_bind_text(database, ADD_USER, 1, user);
	return database_run(database, ADD_USER);
}

int store_users(struct store *store, int (*each)(const char *user, void *data), void *data)
{
	struct database *database = &store->database;
	int r;

	while ((r = database_next(database, LIST_USERS)) > 0) {
		const char *user = database_text(database, LIST_USERS, 0);

		r = database_complete(database);
		if (r == 0)
			r = each(user, data);
		if (r != 0)
			return database_leave(database, LIST_USERS, r);
	}
	return r;
}

int store_add_sanction(struct store *store, const struct store_sanction *sanction)
{
	struct database *database = &store->database;

	database_bind_text(database, ADD_SANCTION, 1, sanction->kind);
	database_bind_text(database, ADD_SANCTION, 2, sanction->what);
	database_bind_text(database, ADD_SANCTION, 3, sanction->target);
	database_bind_number(database, ADD_SANCTION, 4, sanction->until);
	database_bind_text(database, ADD_SANCTION, 5, sanction->by);
	database_bind_text(database, ADD_SANCTION, 6, sanction->reason);
	return database_run(database, ADD_SANCTION);
}

int store_remove_sanction(struct store *store, const char *kind, const char *what,
			  const char *target)
{
	struct database *database = &store->database;

	database_bind_text(database, REMOVE_SANCTION, 1, kind);
	database_bind_text(database, REMOVE_SANCTION, 2, what);
	database_bind_text(database, REMOVE_SANCTION, 3, target);
	return database_run(database, REMOVE_SANCTION);
}

int store_sanctions(struct store *store,
		    int (*each)(const struct store_sanction *sanction, void *data), void *data)
{
	struct database *database = &store->database;
	int r;

	while ((r = database_next(database, LIST_SANCTIONS)) > 0) {
		const struct store_sanction sanction = {
			.kind = database_text(database, LIST_SANCTIONS, 0),
			.what = database_text(database, LIST_SANCTIONS, 1),
			.target = database_text(database, LIST_SANCTIONS, 2),
			.until = database_number(database, LIST_SANCTIONS, 3),
			.by = database_text(database, LIST_SANCTIONS, 4),
			.reason = database_text(database, LIST_SANCTIONS, 5),
		};

		r = database_complete(database);
		if (r == 0)
			r = each(&sanction, data);
		if (r != 0)
			return database_leave(database, LIST_SANCTIONS, r);
	}
	return r;
}
