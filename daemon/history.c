/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include "history_memory.h"
#include "util.h"

enum {
	TRIM_STEPS = 256,   /* messages that go in one step */
	KEYS_SPARED = 1024, /* messages that may come before old keys are worth a step */
};

/* How far a durable log reaches. */
struct reach {
	uint64_t oldest, newest;
	uint64_t oldest_time; /* 0: not known, so it may be of any age */
	uint64_t keys_upto;   /* up to which message there are no keys */
};

struct history {
	struct history_memory *memory; /* owned; NULL: it is durable, and all below is */
	struct store *store;
	uint64_t room;
	struct reach committed, written; /* written: with what the open transaction does */
};

/* Takes memory over; NULL is out of memory. */
static struct history *of_memory(struct history_memory *memory)
{
	struct history *history = memory ? calloc(1, sizeof(*history)) : NULL;

	if (history)
		history->memory = memory;
	else
		history_memory_free(memory);
	return history;
}

struct history *history_new_memory(uint64_t max_messages, uint64_t max_bytes)
{
	return of_memory(history_memory_new(max_messages, max_bytes));
}

void history_put(const struct history *history, struct record *record)
{
	history_memory_put(history->memory, record);
}

struct history *history_get(struct record_reader *reader, uint64_t max_messages, uint64_t max_bytes)
{
	return of_memory(history_memory_get(reader, max_messages, max_bytes));
}

static int take_time(const struct chat_message *message, void *data)
{
	*(uint64_t *)data = message->time;
	return 0;
}

/* Looks how old the oldest message is. */
static void look_at_oldest(struct history *history)
{
	struct reach *reach = &history->written;

	/* If it cannot be read, whoever trims will find out. */
	reach->oldest_time = 0;
	if (reach->oldest <= reach->newest)
		(void)store_read(history->store, history->room, reach->oldest, reach->oldest,
				 take_time, &reach->oldest_time);
}

struct history *history_new_durable(struct store *store, const struct store_room *room)
{
	struct history *history = calloc(1, sizeof(*history));

	if (!history)
		return NULL;
	*history = (struct history){
		.store = store,
		.room = room->id,
		.written = {.oldest = room->oldest, .newest = room->newest},
	};
	look_at_oldest(history);
	history->committed = history->written;
	return history;
}

void history_free(struct history *history)
{
	if (history)
		history_memory_free(history->memory);
	free(history);
}

bool history_is_durable(const struct history *history)
{
	return !history->memory;
}

uint64_t history_oldest(const struct history *history)
{
	/* What is removed and what is added in an open transaction can both not be read. */
	return history->memory ? history_memory_oldest(history->memory)
			       : MIN(history->written.oldest, history->committed.newest + 1);
}

uint64_t history_newest(const struct history *history)
{
	return history->memory ? history_memory_newest(history->memory) : history->committed.newest;
}

int history_append(struct history *history, struct chat_message *message, const char *sender,
		   const char *key)
{
	struct reach *reach = &history->written;
	int r;

	if (history->memory)
		return history_memory_append(history->memory, message, sender, key);
	message->seq = reach->newest + 1;
	r = store_append(history->store, history->room, message, sender, key);
	if (r < 0)
		return r;
	if (reach->oldest > reach->newest)
		reach->oldest_time = message->time;
	reach->newest++;
	return 0;
}

void history_committed(struct history *history)
{
	history->committed = history->written;
}

void history_undone(struct history *history)
{
	history->written = history->committed;
}

/* The number up to which keys are not known. */
static uint64_t keys_unknown(uint64_t newest)
{
	return newest > CHAT_KEYS_KEPT ? newest - CHAT_KEYS_KEPT : 0;
}

int history_find_key(struct history *history, const char *sender, const char *key,
		     uint64_t *ret_seq, uint64_t *ret_time)
{
	if (!history->memory)
		return store_find_key(history->store, history->room, sender, key,
				      keys_unknown(history->written.newest), ret_seq, ret_time);
	history_memory_find_key(history->memory, sender, key, ret_seq, ret_time);
	return 0;
}

int history_read(struct history *history, uint64_t first, uint64_t last,
		 int (*each)(const struct chat_message *message, void *data), void *data)
{
	if (history->memory)
		return history_memory_read(history->memory, first, last, each, data);
	first = MAX(first, history_oldest(history));
	last = MIN(last, history_newest(history));
	return first > last ? 0
			    : store_read(history->store, history->room, first, last, each, data);
}

static uint64_t before_of(uint64_t max_age, uint64_t now)
{
	return max_age > 0 && now > max_age ? now - max_age : 0;
}

static int trim_durable(struct history *history, uint64_t upto, uint64_t before, bool *ret_more)
{
	struct reach *reach = &history->written;
	uint64_t keys_upto = keys_unknown(reach->newest);
	int r = store_trim(history->store, history->room, upto, before, TRIM_STEPS, &reach->oldest,
			   ret_more);

	if (r < 0)
		return r;
	if (!*ret_more)
		reach->keys_upto = keys_upto;
	look_at_oldest(history);
	return 0;
}

int history_trim(struct history *history, uint64_t max_messages, uint64_t max_age, uint64_t now,
		 bool *ret_more)
{
	uint64_t before = before_of(max_age, now), newest = history->committed.newest;

	if (!history->memory)
		return trim_durable(
			history,
			max_messages > 0 && newest > max_messages ? newest - max_messages : 0,
			before, ret_more);
	history_memory_trim(history->memory, max_messages, before, TRIM_STEPS);
	*ret_more = history_memory_exceeds(history->memory, max_messages, before);
	return 0;
}

bool history_wants_trim(const struct history *history, uint64_t max_messages, uint64_t max_age,
			uint64_t now)
{
	const struct reach *reach = &history->committed;
	uint64_t before = before_of(max_age, now);

	if (history->memory)
		return history_memory_exceeds(history->memory, max_messages, before);
	if (keys_unknown(reach->newest) > reach->keys_upto + KEYS_SPARED)
		return true;
	if (reach->oldest > reach->newest)
		return false;
	return (max_messages > 0 && reach->newest + 1 - reach->oldest > max_messages) ||
	       reach->oldest_time < before;
}

void history_limit(struct history *history, uint64_t max_messages)
{
	if (history->memory)
		history_memory_limit(history->memory, max_messages);
}
