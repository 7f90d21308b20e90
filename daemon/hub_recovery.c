/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <string.h>

#include "util.h"

/*
 * From a process that was killed: there is no record of people and rooms, but what the ledger says
 * of each connection, and what the store holds.
 */

/* A room as the store knows it. */
struct stored_room {
	uint64_t stored;
	struct room *room;
};

struct stored_rooms {
	struct stored_room *rooms; /* in the order of their numbers; owned */
	size_t n;
};

static int compare_stored(const void *a, const void *b)
{
	return COMPARE(((const struct stored_room *)a)->stored,
		       ((const struct stored_room *)b)->stored);
}

/* Without memory there are none, and nobody is in any. */
static struct stored_rooms list_rooms(struct hub *hub)
{
	struct stored_rooms list = {.n = 0};
	struct room *room;
	size_t n = 0;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		n++;
	list.rooms = calloc(n + 1, sizeof(*list.rooms));
	if (!list.rooms)
		return list;
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room->durable && room->stored > 0)
			list.rooms[list.n++] = (struct stored_room){room->stored, room};
	qsort(list.rooms, list.n, sizeof(*list.rooms), compare_stored);
	return list;
}

static struct room *find_room(const struct stored_rooms *list, uint64_t stored)
{
	const struct stored_room wanted = {.stored = stored};
	const struct stored_room *found = list->n == 0 ? NULL
						       : bsearch(&wanted, list->rooms, list->n,
								 sizeof(wanted), compare_stored);

	return found ? found->room : NULL;
}

/*
 * Finds or makes whoever a connection is, by the names that they had: nobody has to ask the name
 * service. Returns NULL for nobody.
 */
static struct person *get_person(struct hub *hub, const struct chat *chat)
{
	struct person *person = chat->user_was ? person_find_user(hub, chat->user_was) : NULL;
	char *nick, *user;

	if (person || !chat->nick_was || chat->identity.proven != (chat->user_was != NULL))
		return person;
	nick = strdup(chat->nick_was);
	user = chat->user_was ? strdup(chat->user_was) : NULL;
	if (!nick || (chat->user_was && !user)) {
		free(nick);
		free(user);
		return NULL;
	}
	person = person_restore(hub, nick, user);
	if (person)
		person->since = hub->now;
	return person;
}

static void recover_chat(struct hub *hub, struct chat *chat, const struct stored_rooms *rooms)
{
	struct person *person = get_person(hub, chat);
	struct client *client = person ? client_new(hub, chat, person) : NULL;

	if (!client) {
		chat->open.kind = HUB_OPEN;
		hub_deal_with(hub, chat, &chat->open);
		return;
	}
	client_note_nick(hub, client, false);
	for (size_t i = 0; i < chat->n_places; i++) {
		const struct chat_place *place = &chat->places[i];
		struct room *room = find_room(rooms, place->room);

		if (!room || !presence_restore(hub, client, room, MIN(place->cursor, room->visible),
					       hub->now, place->order))
			client_dismiss(hub, client, "its room is gone", "its room is gone");
	}
	client_placed(hub, chat);
}

/* Tells a room who was there by a connection that was lost, and by no other. */
static void tell_absence(struct hub *hub, const struct chat_absence *absence, struct room *room)
{
	struct chat_event event = {
		.kind = CHAT_EVENT_LEAVE, .nick = absence->nick, .reason = "connection lost"};
	struct membership *membership;

	if (!room || !room_tells_presence(hub, room))
		return;
	LIST_FOR_EACH(membership, &room->members, struct membership, in_room)
		if (strcmp(membership->person->nick, absence->nick) == 0)
			return;
	room_broadcast(hub, room, &event);
}

void hub_recover(struct hub *hub, const struct hub_past *past)
{
	struct stored_rooms rooms = list_rooms(hub);

	for (size_t i = 0; i < past->n_chats; i++) {
		struct chat *chat = past->chats[i];

		recover_chat(hub, chat, &rooms);
		free(STEAL(chat->places));
		free(STEAL(chat->nick_was));
		free(STEAL(chat->user_was));
		chat->n_places = 0;
	}
	hub_sort_members(hub);
	for (size_t i = 0; i < past->n_absences; i++)
		tell_absence(hub, &past->absences[i], find_room(&rooms, past->absences[i].room));
	free(rooms.rooms);
	hub_review(hub);
}
