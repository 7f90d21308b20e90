/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A log that is a ring in memory: history.h's functions for a room that is not durable. A message
 * is one block of memory. One with a key leaves a stump of itself behind when it is dropped, which
 * stays until CHAT_KEYS_KEPT messages have come after it.
 */

#include <stdbool.h>

#include "chat.h"
#include "record.h"

struct history_memory;

/* 0: no limit. NULL when out of memory. */
struct history_memory *history_memory_new(uint64_t max_messages, uint64_t max_bytes);
void history_memory_free(struct history_memory *memory);

uint64_t history_memory_oldest(const struct history_memory *memory);
uint64_t history_memory_newest(const struct history_memory *memory);

int history_memory_append(struct history_memory *memory, struct chat_message *message,
			  const char *sender, const char *key);
void history_memory_find_key(const struct history_memory *memory, const char *sender,
			     const char *key, uint64_t *ret_seq, uint64_t *ret_time);
int history_memory_read(const struct history_memory *memory, uint64_t first, uint64_t last,
			int (*each)(const struct chat_message *message, void *data), void *data);

/* Writes all of it down, and makes one of that; NULL when out of memory or when it is none. */
void history_memory_put(const struct history_memory *memory, struct record *record);
struct history_memory *history_memory_get(struct record_reader *reader, uint64_t max_messages,
					  uint64_t max_bytes);

/* Whether the oldest message is one too many, or older than time before. */
bool history_memory_exceeds(const struct history_memory *memory, uint64_t max_messages,
			    uint64_t before);

/* Drops messages for which that is so, steps of them at the most. */
void history_memory_trim(struct history_memory *memory, uint64_t max_messages, uint64_t before,
			 unsigned steps);

void history_memory_limit(struct history_memory *memory, uint64_t max_messages);
