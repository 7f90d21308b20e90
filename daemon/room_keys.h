/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The indexes of keys of the rooms in which somebody lately spoke with one. Together they take up
 * to ROOM_KEYS_MEMORY bytes, and the one that was used longest ago goes first: each can be made
 * anew from what is in the store.
 */

#include "keys.h"
#include "list.h"

enum { ROOM_KEYS_MEMORY = 64 << 20 }; /* that of a room takes up to 512 KiB */

struct room_keys {
	struct keys keys;
	uint64_t room;
	uint64_t after; /* it has the keys of all messages after this one */
	struct list link;
};

/* room_keys_init() makes it empty, and room_keys_done() does so again. */
struct room_keys_table {
	struct room_keys **rooms; /* by their ids; NULL: none */
	size_t n_rooms;
	struct list used; /* all of them, the one used last at the end */
	size_t memory;	  /* bytes that they take */
};

void room_keys_init(struct room_keys_table *table);
void room_keys_done(struct room_keys_table *table);

/* Returns the index of room, or NULL; it then is the one that was used last. */
struct room_keys *room_keys_find(struct room_keys_table *table, uint64_t room);

/* Adds an empty one for a room that has none. NULL when out of memory. */
struct room_keys *room_keys_add(struct room_keys_table *table, uint64_t room, uint64_t after);

/* keys_reserve() for the one that was used last; others may have to go for it. */
int room_keys_reserve(struct room_keys_table *table, struct room_keys *room);

/* Drops that of room, if there is one. */
void room_keys_remove(struct room_keys_table *table, uint64_t room);
