/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history_memory.h"

#include <string.h>

#include "keys.h"
#include "util.h"

enum { SLOTS_MIN = 64 };

/* Numbers are below it, as they are in the store. */
#define NUMBERS (UINT64_C(1) << 40)

struct entry {
	struct chat_message message; /* its strings are behind those of the key */
	size_t size;		     /* of the block, until it is cut to a stump */
	size_t key;		     /* where it begins in strings, behind its sender; 0: none */
	char strings[];
};

/*
 * Numbers are in this order: 0 < first <= oldest <= newest + 1. From first on there may be stumps,
 * from oldest on there are messages.
 */
struct history_memory {
	struct entry **slots; /* number n is at n % size; NULL: neither message nor stump */
	size_t size;	      /* a power of two, or 0 */
	uint64_t first, oldest, newest;
	uint64_t max_messages, max_bytes, bytes; /* bytes of memory of the messages */
	struct keys keys;
};

static struct entry **slot_of(const struct history_memory *memory, uint64_t seq)
{
	return &memory->slots[seq & (memory->size - 1)];
}

struct history_memory *history_memory_new(uint64_t max_messages, uint64_t max_bytes)
{
	struct history_memory *memory = malloc(sizeof(*memory));

	if (memory)
		*memory = (struct history_memory){.first = 1,
						  .oldest = 1,
						  .max_messages = max_messages,
						  .max_bytes = max_bytes};
	return memory;
}

void history_memory_free(struct history_memory *memory)
{
	if (!memory)
		return;
	for (uint64_t seq = memory->first; seq <= memory->newest; seq++)
		free(*slot_of(memory, seq));
	free(memory->slots);
	keys_done(&memory->keys);
	free(memory);
}

uint64_t history_memory_oldest(const struct history_memory *memory)
{
	return memory->oldest;
}

uint64_t history_memory_newest(const struct history_memory *memory)
{
	return memory->newest;
}

/* ---- one message ---- */

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Copies a string to *end and moves that behind it. */
static char *put(char **end, const char *text, size_t len)
{
	char *copy = *end;

	if (!text)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*end += len + 1;
	return copy;
}

static char *put_string(char **end, const char *text)
{
	return put(end, text, text ? strlen(text) : 0);
}

static struct entry *entry_new(const struct chat_message *message, const char *sender,
			       const char *key)
{
	size_t strings = size_of(message->from) + size_of(message->user) + size_of(message->unit) +
			 message->text_len + 1 + (key ? size_of(sender) + size_of(key) : 0);
	struct entry *entry = malloc(sizeof(*entry) + strings);
	char *end;

	if (!entry)
		return NULL;
	*entry = (struct entry){.message = *message, .size = sizeof(*entry) + strings};
	end = entry->strings;
	if (key) {
		entry->key = size_of(sender);
		(void)put_string(&end, sender);
		(void)put_string(&end, key);
	}
	entry->message.from = put_string(&end, message->from);
	entry->message.user = put_string(&end, message->user);
	entry->message.unit = put_string(&end, message->unit);
	entry->message.text = put(&end, message->text, message->text_len);
	return entry;
}

/* Cuts off the message; its number, time and key stay. */
static struct entry *entry_cut(struct entry *entry)
{
	size_t strings = entry->key + size_of(entry->strings + entry->key);
	struct entry *stump = realloc(entry, sizeof(*entry) + strings);

	return stump ? stump : entry;
}

/* ---- what goes ---- */

/* Up to which number keys are known no longer. */
static uint64_t keys_upto(const struct history_memory *memory)
{
	return memory->newest > CHAT_KEYS_KEPT ? memory->newest - CHAT_KEYS_KEPT : 0;
}

static void drop_oldest(struct history_memory *memory)
{
	struct entry **slot = slot_of(memory, memory->oldest);

	memory->bytes -= (*slot)->size;
	if ((*slot)->key > 0 && memory->oldest > keys_upto(memory)) {
		*slot = entry_cut(*slot);
	} else {
		free(*slot);
		*slot = NULL;
	}
	memory->oldest++;
}

static void drop_stumps(struct history_memory *memory)
{
	for (; memory->first < memory->oldest; memory->first++) {
		struct entry **slot = slot_of(memory, memory->first);

		if (*slot && memory->first > keys_upto(memory))
			break;
		free(*slot);
		*slot = NULL;
	}
}

static uint64_t count(const struct history_memory *memory)
{
	return memory->newest + 1 - memory->oldest;
}

/* Drops what the limits do not allow; the newest message they always do. */
static void keep_limits(struct history_memory *memory)
{
	while (count(memory) > 1 &&
	       ((memory->max_messages > 0 && count(memory) > memory->max_messages) ||
		(memory->max_bytes > 0 && memory->bytes > memory->max_bytes)))
		drop_oldest(memory);
	drop_stumps(memory);
}

/* ---- the log ---- */

/* Makes room in the ring for one more number. */
static int reserve(struct history_memory *memory)
{
	struct history_memory bigger = {.size = 0};

	if (memory->newest + 1 - memory->first < memory->size)
		return 0;
	bigger.size = MAX(2 * memory->size, (size_t)SLOTS_MIN);
	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint64_t seq = memory->first; seq <= memory->newest; seq++)
		*slot_of(&bigger, seq) = *slot_of(memory, seq);
	free(memory->slots);
	memory->slots = bigger.slots;
	memory->size = bigger.size;
	return 0;
}

/* Appends a message as number newest + 1, whatever the limits. Returns 0 or -ENOMEM. */
static int append(struct history_memory *memory, const struct chat_message *message,
		  const char *sender, const char *key)
{
	struct entry *entry;
	int r = reserve(memory);

	if (r == 0 && key) {
		keys_expire(&memory->keys, keys_upto(memory));
		r = keys_reserve(&memory->keys);
	}
	if (r < 0)
		return r;
	entry = entry_new(message, sender, key);
	if (!entry)
		return -ENOMEM;
	entry->message.seq = ++memory->newest;
	*slot_of(memory, memory->newest) = entry;
	memory->bytes += entry->size;
	if (key)
		keys_add(&memory->keys, sender, key, memory->newest);
	return 0;
}

int history_memory_append(struct history_memory *memory, struct chat_message *message,
			  const char *sender, const char *key)
{
	int r = append(memory, message, sender, key);

	if (r < 0)
		return r;
	message->seq = memory->newest;
	keep_limits(memory);
	return 0;
}

void history_memory_find_key(const struct history_memory *memory, const char *sender,
			     const char *key, uint64_t *ret_seq, uint64_t *ret_time)
{
	struct keys_search search = keys_search(&memory->keys, sender, key);
	uint64_t seq;

	while (keys_next(&memory->keys, &search, &seq) && seq > keys_upto(memory)) {
		const struct entry *entry = *slot_of(memory, seq);

		if (strcmp(entry->strings, sender) == 0 &&
		    strcmp(entry->strings + entry->key, key) == 0) {
			*ret_seq = seq;
			*ret_time = entry->message.time;
			return;
		}
	}
	*ret_seq = 0;
}

int history_memory_read(const struct history_memory *memory, uint64_t first, uint64_t last,
			int (*each)(const struct chat_message *message, void *data), void *data)
{
	int r = 0;

	for (uint64_t seq = MAX(first, memory->oldest); seq <= MIN(last, memory->newest) && r == 0;
	     seq++)
		r = each(&(*slot_of(memory, seq))->message, data);
	return r;
}

bool history_memory_exceeds(const struct history_memory *memory, uint64_t max_messages,
			    uint64_t before)
{
	if (count(memory) == 0)
		return false;
	return (max_messages > 0 && count(memory) > max_messages) ||
	       (*slot_of(memory, memory->oldest))->message.time < before;
}

void history_memory_trim(struct history_memory *memory, uint64_t max_messages, uint64_t before,
			 unsigned steps)
{
	for (; steps > 0 && history_memory_exceeds(memory, max_messages, before); steps--)
		drop_oldest(memory);
	drop_stumps(memory);
}

void history_memory_limit(struct history_memory *memory, uint64_t max_messages)
{
	memory->max_messages = max_messages;
	keep_limits(memory);
}

/* ---- for the next process ---- */

/* A stump has its number, time and key alone; its other strings are gone. */
static void put_entry(const struct entry *entry, bool is_stump, struct record *record)
{
	const struct chat_message *message = &entry->message;

	record_put(record, message->time);
	record_put_text(record, entry->key > 0 ? entry->strings : NULL);
	record_put_text(record, entry->key > 0 ? entry->strings + entry->key : NULL);
	record_put_text(record, is_stump ? "" : message->from);
	record_put_text(record, is_stump ? NULL : message->user);
	record_put_text(record, is_stump ? NULL : message->unit);
	record_put_bytes(record, is_stump ? "" : message->text, is_stump ? 0 : message->text_len);
}

void history_memory_put(const struct history_memory *memory, struct record *record)
{
	record_put(record, memory->first);
	record_put(record, memory->oldest);
	record_put(record, memory->newest);
	for (uint64_t seq = memory->first; seq <= memory->newest; seq++) {
		const struct entry *entry = *slot_of(memory, seq);

		record_put(record, entry != NULL);
		if (entry)
			put_entry(entry, seq < memory->oldest, record);
	}
}

static int get_entry(struct history_memory *memory, struct record_reader *reader)
{
	struct chat_message message = {.time = record_get(reader)};
	CLEANUP(freep) char *sender = record_get_text(reader), *key = record_get_text(reader);
	CLEANUP(freep) char *from = record_get_text(reader), *user = record_get_text(reader);
	CLEANUP(freep) char *unit = record_get_text(reader);
	struct bytes text = record_get_bytes(reader);

	if (reader->failed || !from || !sender != !key)
		return -EBADMSG;
	message.from = from;
	message.user = user;
	message.unit = unit;
	message.text = (const char *)text.data;
	message.text_len = text.len;
	return append(memory, &message, sender, key);
}

struct history_memory *history_memory_get(struct record_reader *reader, uint64_t max_messages,
					  uint64_t max_bytes)
{
	struct history_memory *memory = history_memory_new(max_messages, max_bytes);
	uint64_t first = record_get(reader), oldest = record_get(reader);
	uint64_t newest = record_get(reader);
	int r = 0;

	if (!memory || first == 0 || first > oldest || oldest > newest + 1 || newest >= NUMBERS) {
		history_memory_free(memory);
		return NULL;
	}
	memory->first = memory->oldest = first;
	memory->newest = first - 1;
	while (memory->newest < newest && r == 0 && !reader->failed) {
		if (record_get(reader))
			r = get_entry(memory, reader);
		else if (memory->newest + 1 < oldest && (r = reserve(memory)) == 0)
			*slot_of(memory, ++memory->newest) = NULL;
		else
			r = -EBADMSG;
	}
	if (r < 0 || reader->failed) {
		history_memory_free(memory);
		return NULL;
	}
	while (memory->oldest < oldest) {
		if (*slot_of(memory, memory->oldest))
			drop_oldest(memory);
		else
			memory->oldest++;
	}
	keep_limits(memory);
	return memory;
}
