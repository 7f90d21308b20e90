/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "room_keys.h"

#include <string.h>

void room_keys_init(struct room_keys_table *table)
{
	*table = (struct room_keys_table){.rooms = NULL};
	list_init(&table->used);
}

static size_t memory_of(const struct room_keys *room)
{
	return sizeof(*room) + keys_memory(&room->keys);
}

static void drop(struct room_keys_table *table, struct room_keys *room)
{
	table->memory -= memory_of(room);
	table->rooms[room->room] = NULL;
	list_remove(&room->link);
	keys_done(&room->keys);
	free(room);
}

void room_keys_done(struct room_keys_table *table)
{
	struct room_keys *room;

	LIST_FOR_EACH(room, &table->used, struct room_keys, link)
		drop(table, room);
	free(table->rooms);
	room_keys_init(table);
}

struct room_keys *room_keys_find(struct room_keys_table *table, uint64_t room)
{
	struct room_keys *found = room < table->n_rooms ? table->rooms[room] : NULL;

	if (found) {
		list_remove(&found->link);
		list_append(&table->used, &found->link);
	}
	return found;
}

/* Makes the table reach to room. Ids are the lowest that are free, so it is not much too long. */
static int reach(struct room_keys_table *table, uint64_t room)
{
	size_t n = MAX(2 * table->n_rooms, (size_t)room + 1);
	struct room_keys **rooms;

	if (room < table->n_rooms)
		return 0;
	rooms = reallocarray(table->rooms, n, sizeof(*rooms));
	if (!rooms)
		return -ENOMEM;
	memset(rooms + table->n_rooms, 0, (n - table->n_rooms) * sizeof(*rooms));
	table->rooms = rooms;
	table->n_rooms = n;
	return 0;
}

struct room_keys *room_keys_add(struct room_keys_table *table, uint64_t room, uint64_t after)
{
	struct room_keys *added;

	if (reach(table, room) < 0)
		return NULL;
	added = calloc(1, sizeof(*added));
	if (!added)
		return NULL;
	*added = (struct room_keys){.room = room, .after = after};
	list_append(&table->used, &added->link);
	table->rooms[room] = added;
	table->memory += memory_of(added);
	return added;
}

int room_keys_reserve(struct room_keys_table *table, struct room_keys *room)
{
	size_t before = memory_of(room);
	int r = keys_reserve(&room->keys);
	struct room_keys *other;

	table->memory += memory_of(room) - before;
	if (table->memory <= ROOM_KEYS_MEMORY)
		return r;
	LIST_FOR_EACH(other, &table->used, struct room_keys, link) {
		if (table->memory <= ROOM_KEYS_MEMORY || other == room)
			break;
		drop(table, other);
	}
	return r;
}

void room_keys_remove(struct room_keys_table *table, uint64_t room)
{
	if (room < table->n_rooms && table->rooms[room])
		drop(table, table->rooms[room]);
}
