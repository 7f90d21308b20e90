/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What outlives the process: the logs of durable rooms, their topics, who has spoken here, bans
 * and mutes; an SQLite database in the state directory (WAL, synchronous=FULL). For one thread,
 * the hub's. It does not log: it says what is wrong in words.
 *
 * Writing is done between store_begin() and store_commit(), by which all of it is on stable
 * storage, or, when anything fails, none of it.
 */

#include <stdbool.h>

#include "chat.h"

struct store;

enum { STORE_PROBLEM_MAX = 512 };

/*
 * Opens the database in directory, which is made when it is missing (mode 0700), or makes it; takes
 * a lock on it that ends with the process. An older schema is brought up to date, in a transaction.
 * Returns 0 with *ret_store, or with what is wrong, and what can be done about it, in problem:
 * -EBUSY when another process has it (which one, where known), -EPROTO when a newer version made
 * it, -EBADMSG when it is corrupt or no database (it is left as it is), -EACCES, -EROFS, -ENOSPC,
 * -ENOMEM, ….
 */
int store_open(const char *directory, struct store **ret_store,
	       char problem[static STORE_PROBLEM_MAX]);

/* NULL is nothing. */
void store_close(struct store *store);

/*
 * Everything below returns 0, or a negative errno: -ENOSPC, -EROFS, -EIO, -ENOMEM, -EBADMSG for a
 * corrupt file. store_problem() then says it in words, until the next call.
 */
const char *store_problem(const struct store *store);

/* A failure within a transaction undoes all of it: what is left to do then is store_rollback(). */
int store_begin(struct store *store);
int store_commit(struct store *store);
void store_rollback(struct store *store);

/* Whether the file can be written: writes something, and commits it. Not within a transaction. */
int store_probe(struct store *store);

/* What it has on disk, and what has been committed since it was opened. */
struct store_figures {
	uint64_t database_bytes, wal_bytes;
	uint64_t messages; /* appended */
	uint64_t commits, failed_commits;
	uint64_t last_commit; /* milliseconds since 1970; 0: there was none */
	uint64_t commit_microseconds,
		longest_commit_microseconds; /* all together, and the slowest */
};
void store_figures(const struct store *store, struct store_figures *ret_figures);

/* Rooms */

struct store_room {
	uint64_t id;		 /* of the store's own */
	const char *name;	 /* as it is shown */
	const char *topic;	 /* "" is none */
	uint64_t oldest, newest; /* numbers that the log holds; newest is oldest - 1 when none */
};

/* Calls each for every room; what it returns, when not 0, ends the walk and is returned. */
int store_rooms(struct store *store, int (*each)(const struct store_room *room, void *data),
		void *data);

/* Writes. folded is what the name is compared by (name_fold()). */
int store_add_room(struct store *store, const char *name, const char *folded, uint64_t *ret_id);
int store_set_topic(struct store *store, uint64_t room, const char *topic);
int store_remove_room(struct store *store, uint64_t room); /* and all of its log */

/* The log of a room */

/*
 * Writes message, whose seq is one more than the room's newest. sender tells senders apart; with a
 * key, that is remembered for CHAT_KEYS_KEPT messages; NULL is none.
 */
int store_append(struct store *store, uint64_t room, const struct chat_message *message,
		 const char *sender, const char *key);

/*
 * Looks for what sender said in room with this key among the messages after seq after, those
 * written in the open transaction included. Sets *ret_seq to 0 when there is none.
 */
int store_find_key(struct store *store, uint64_t room, const char *sender, const char *key,
		   uint64_t after, uint64_t *ret_seq, uint64_t *ret_time);

/*
 * Calls each for the messages from first to last, oldest first, until it returns something else
 * than 0, which is returned.
 */
int store_read(struct store *store, uint64_t room, uint64_t first, uint64_t last,
	       int (*each)(const struct chat_message *message, void *data), void *data);

/*
 * Writes: removes messages from the room's oldest on, those up to seq upto or older than time
 * before (milliseconds since 1970; 0: of no age), steps of them at the most, and keys that are too
 * old to be known. Sets *ret_oldest to the oldest number there is now, and *ret_more when there is
 * more to remove.
 */
int store_trim(struct store *store, uint64_t room, uint64_t upto, uint64_t before, unsigned steps,
	       uint64_t *ret_oldest, bool *ret_more);

/* Known users: those who have spoken here */

int store_add_user(struct store *store, const char *user); /* writes; once more is nothing */
int store_users(struct store *store, int (*each)(const char *user, void *data), void *data);

/* Sanctions */

struct store_sanction {
	const char *kind;   /* "ban", "mute" */
	const char *what;   /* "user", "nick", "address" */
	const char *target; /* in the form in which it is compared */
	uint64_t until;	    /* milliseconds since 1970; 0: for ever */
	const char *by, *reason;
};

/* Write. One of the same kind, what and target is replaced; removing none is nothing. */
int store_add_sanction(struct store *store, const struct store_sanction *sanction);
int store_remove_sanction(struct store *store, const char *kind, const char *what,
			  const char *target);
int store_sanctions(struct store *store,
		    int (*each)(const struct store_sanction *sanction, void *data), void *data);
