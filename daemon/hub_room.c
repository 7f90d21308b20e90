/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <search.h>
#include <string.h>

#include "names.h"
#include "util.h"

enum { DIRECT_MEMORY = 64 << 10 }; /* bytes of the log of a direct room in memory */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct room *)a)->folded, ((const struct room *)b)->folded);
}

struct room *room_find(struct hub *hub, const char *folded)
{
	struct room wanted = {.folded = (char *)folded};
	struct room **node = tfind(&wanted, &hub->rooms_by_name, compare);

	return node ? *node : NULL;
}

/*
 * Life
 */

/* Gives a number that no room has; those of rooms that are no more are used again. */
static uint32_t take_slot(struct hub *hub)
{
	return hub->n_free_slots > 0 ? hub->free_slots[--hub->n_free_slots] : hub->slots++;
}

static void give_slot(struct hub *hub, uint32_t slot)
{
	if (hub->n_free_slots == hub->free_slots_size) {
		size_t size = MAX(2 * hub->free_slots_size, (size_t)16);
		uint32_t *slots = reallocarray(hub->free_slots, size, sizeof(*slots));

		if (!slots)
			return; /* it is never used again, and that is all */
		hub->free_slots = slots;
		hub->free_slots_size = size;
	}
	hub->free_slots[hub->n_free_slots++] = slot;
}

static void room_destroy(struct room *room)
{
	for (unsigned side = 0; side < ENCODING_SIDES; side++) {
		free(room->names[side]);
		free(room->users[side]);
	}
	history_free(room->history);
	free(room->seats);
	free(room->topic);
	free(room->name);
	free(room->folded);
	free(room);
}

void room_free(struct hub *hub, struct room *room)
{
	(void)tdelete(room, &hub->rooms_by_name, compare);
	list_remove(&room->link);
	for (unsigned side = 0; side < ENCODING_SIDES; side++)
		if (room->guests[side])
			room->guests[side]->talks--;
	give_slot(hub, room->slot);
	atomic_fetch_sub_explicit(&hub->figures.rooms, 1, memory_order_relaxed);
	room_destroy(room);
}

void hub_clear_rooms(struct hub *hub)
{
	struct room *room;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		room_free(hub, room);
}

void hub_free_rooms(struct hub *hub)
{
	hub_clear_rooms(hub);
	free(hub->free_slots);
}

struct room *room_new(struct hub *hub, const char *name, const char *folded)
{
	struct room *room = calloc(1, sizeof(*room));

	if (!room)
		return NULL;
	list_init(&room->members);
	room->name = name ? strdup(name) : NULL;
	room->folded = strdup(folded);
	room->topic = strdup("");
	room->seats = calloc(hub->n_workers, sizeof(*room->seats) * ENCODINGS);
	room->durable = hub->store;
	if ((name && !room->name) || !room->folded || !room->topic || !room->seats ||
	    !tsearch(room, &hub->rooms_by_name, compare)) {
		room_destroy(room);
		return NULL;
	}
	room->number = ++hub->last_room;
	room->slot = take_slot(hub);
	list_append(&hub->rooms, &room->link);
	atomic_fetch_add_explicit(&hub->figures.rooms, 1, memory_order_relaxed);
	return room;
}

bool room_is_empty(const struct room *room)
{
	return room->n_members == 0 && !room->history && !room->config && !*room->topic;
}

bool room_is_over(const struct room *room)
{
	return room->n_members == 0 && !room->config && !*room->topic && room->durable &&
	       room->stored > 0 && room->history && !room->piece &&
	       history_newest(room->history) >= 1 &&
	       history_oldest(room->history) > history_newest(room->history);
}

uint64_t room_oldest(const struct room *room)
{
	return room->history ? history_oldest(room->history) : 1;
}

uint64_t room_max_memory(const struct hub *hub, bool direct)
{
	uint64_t most = hub->config->chat.max_memory;

	/* Guests make as many direct rooms as they like. */
	return direct ? MIN(most, (uint64_t)DIRECT_MEMORY) : most;
}

int room_ready_history(struct hub *hub, struct room *room)
{
	const struct chat_config *config = &hub->config->chat;
	struct store_room stored;
	int r = 0;

	if (room->history)
		return 0;
	if (!room->durable) {
		room->history = history_new_memory(config->max_messages,
						   room_max_memory(hub, room->direct));
		return room->history ? 0 : -ENOMEM;
	}
	if (room->stored == 0) {
		/* In a transaction of its own: it stays when what is said there fails. */
		hub_commit(hub);
		r = hub_begin(hub);
		if (r == 0)
			r = store_add_room(hub->store, room->name ? room->name : room->folded,
					   room->folded, &room->stored);
		if (r == 0)
			r = store_commit(hub->store);
		if (r < 0) {
			store_rollback(hub->store);
			room->stored = 0;
		}
		hub->writing = false;
		hub_note_storage(hub, r);
		if (r < 0)
			return r;
	}
	stored = (struct store_room){.id = room->stored, .name = "", .topic = "", .oldest = 1};
	room->history = history_new_durable(hub->store, &stored);
	return room->history ? 0 : -ENOMEM;
}

/*
 * From the store and the configuration
 */

static int load_room(const struct store_room *stored, void *data)
{
	struct hub *hub = data;
	char *folded = NULL, *topic = strdup(stored->topic);
	struct room *room = NULL;

	if (stored->name[0] == '@')
		room = room_load_direct(hub, stored->name);
	else if ((folded = name_fold(stored->name)))
		room = room_new(hub, stored->name, folded);
	free(folded);
	if (!room || !topic) {
		free(topic);
		return -ENOMEM;
	}
	free(room->topic);
	room->topic = topic;
	room->stored = stored->id;
	room->visible = stored->newest;
	room->history = history_new_durable(hub->store, stored);
	return room->history ? 0 : -ENOMEM;
}

int hub_load_rooms(struct hub *hub)
{
	return hub->store ? store_rooms(hub->store, load_room, hub) : 0;
}

struct search {
	struct hub *hub;
	struct room *room;
};

static int find_log(const struct store_room *stored, void *data)
{
	struct search *search = data;

	if (stored->id != search->room->stored)
		return 0;
	search->room->visible = stored->newest;
	search->room->history = history_new_durable(search->hub->store, stored);
	return search->room->history ? 1 : -ENOMEM;
}

int room_keep_log(struct hub *hub, struct room *room, bool durable)
{
	int r;

	history_free(room->history);
	room->history = NULL;
	room->visible = 0;
	room->durable = durable;
	if (!durable || room->stored == 0)
		return 0;
	r = store_rooms(hub->store, find_log, &(struct search){hub, room});
	return MIN(r, 0);
}

static int configure_room(struct hub *hub, const struct room_config *config)
{
	char *folded = name_fold(config->name);
	struct room *room = folded ? room_find(hub, folded) : NULL;
	bool durable = config->durable && hub->store;
	int r = 0;

	if (folded && !room)
		room = room_new(hub, config->name, folded);
	free(folded);
	if (!room)
		return -ENOMEM;
	room->config = config;
	/* As long as somebody is there, its log stays where it is. */
	if (room->durable != durable && (!room->history || room->n_members == 0))
		r = room_keep_log(hub, room, durable);
	if (!*room->topic && config->topic) {
		char *topic = strdup(config->topic);

		if (!topic)
			return -ENOMEM;
		free(room->topic);
		room->topic = topic;
	}
	return r;
}

int hub_configure_rooms(struct hub *hub)
{
	const struct chat_config *config = &hub->config->chat;
	struct room *room;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		/* Until people set another one, the topic is the configuration's, as it is now. */
		if (room->config && room->config->topic &&
		    strcmp(room->topic, room->config->topic) == 0)
			room->topic[0] = '\0';
		room->config = NULL;
		if (room->history)
			history_limit(room->history, config->max_messages);
	}
	for (size_t i = 0; i < config->n_rooms; i++) {
		int r = configure_room(hub, &config->rooms[i]);

		if (r < 0)
			return r;
	}
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room_is_empty(room))
			room_free(hub, room);
	return 0;
}

bool room_tells_presence(const struct hub *hub, const struct room *room)
{
	uint64_t limit = hub->config->chat.max_presence;

	return !room->direct && (limit == 0 || room->n_members <= limit);
}

bool room_admits(struct hub *hub, const struct room *room, const struct client *client)
{
	if (!room->config || room->config->n_members == 0 || client->is_admin)
		return true;
	return users_match(hub->users, client->person->user, &client->chat->identity,
			   room->config->members, room->config->n_members);
}
