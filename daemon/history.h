/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log of one room, wherever it is kept: in the store, or, of a room that is not durable, in
 * memory as a ring. Another place to keep logs would stand behind these functions. For the hub.
 */

#include "record.h"
#include "store.h"

struct history;

/* The log of a durable room that the store holds; store outlives it. NULL when out of memory. */
struct history *history_new_durable(struct store *store, const struct store_room *room);

/*
 * An empty log in memory that holds up to max_messages messages, which take up to max_bytes of
 * memory (each 0: no limit); the newest is held in any case. NULL when out of memory.
 */
struct history *history_new_memory(uint64_t max_messages, uint64_t max_bytes);

void history_free(struct history *history);

bool history_is_durable(const struct history *history);

/*
 * Numbers that can be read: what was appended and not committed yet is not among them. newest is
 * oldest - 1 when the log holds none.
 */
uint64_t history_oldest(const struct history *history);
uint64_t history_newest(const struct history *history);

/*
 * Appends a message and gives it the next number, message->seq. One of a durable room is readable
 * after history_committed(), once the store's transaction, which the caller has begun, is
 * committed, and gone after history_undone(). Returns 0 or a negative errno; nothing is appended
 * then, and of the store's transaction nothing will remain.
 */
int history_append(struct history *history, struct chat_message *message, const char *sender,
		   const char *key);
void history_committed(struct history *history);
void history_undone(struct history *history);

/*
 * Looks for what sender said here with this key within the last CHAT_KEYS_KEPT messages, those
 * appended and not committed yet included; *ret_seq is 0 when there is none.
 */
int history_find_key(struct history *history, const char *sender, const char *key,
		     uint64_t *ret_seq, uint64_t *ret_time);

/* Calls each for the readable messages from first to last, as store_read() does. */
int history_read(struct history *history, uint64_t first, uint64_t last,
		 int (*each)(const struct chat_message *message, void *data), void *data);

/*
 * Removes what is more than max_messages or older than max_age (milliseconds; each 0: no limit) at
 * the time now, in a small step: a durable one writes, in the caller's transaction. Sets
 * *ret_more when there is more to remove.
 */
int history_trim(struct history *history, uint64_t max_messages, uint64_t max_age, uint64_t now,
		 bool *ret_more);

/* Writes down all that a log in memory holds, and makes one of it; NULL when that cannot be. */
void history_put(const struct history *history, struct record *record);
struct history *history_get(struct record_reader *reader, uint64_t max_messages,
			    uint64_t max_bytes);

/* Whether there is anything that history_trim() would remove. */
bool history_wants_trim(const struct history *history, uint64_t max_messages, uint64_t max_age,
			uint64_t now);

/* Takes the number of messages that a log in memory holds from now on; the oldest go. */
void history_limit(struct history *history, uint64_t max_messages);
