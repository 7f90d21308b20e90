/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include "util.h"

/*
 * Who is where. A person is a member of a room as long as one of their connections is in it; only
 * the first to come and the last to go are told of.
 */

struct presence *presence_find(const struct client *client, const struct room *room)
{
	struct presence *presence;

	LIST_FOR_EACH(presence, &client->presences, struct presence, link)
		if (presence->room == room)
			return presence;
	return NULL;
}

static void post_seating(struct hub *hub, const struct presence *presence, bool sits,
			 uint64_t cursor)
{
	struct chat *chat = presence->client->chat;
	struct seating *seating = malloc(sizeof(*seating));

	if (!seating) {
		client_dismiss(hub, presence->client, "out of memory", "out of memory");
		return;
	}
	*seating = (struct seating){
		.chat = chat,
		.room = presence->room->number,
		.slot = presence->room->slot,
		.sits = sits,
		.side = presence->side,
		.order = presence->membership->order,
		.cursor = cursor,
		.newest = presence->room->visible,
		.stored = presence->room->durable ? presence->room->stored : 0,
	};
	hub_post(hub, chat->worker, &seating->letter, LETTER_SEATING);
}

static void count_seat(const struct presence *presence, bool sits)
{
	const struct chat *chat = presence->client->chat;
	unsigned encoding = encoding_of(chat->dialect, chat->framing, presence->side);
	uint32_t change = sits ? 1 : -1u;

	presence->room->seats[chat->worker * ENCODINGS + encoding] += change;
	presence->room->wanted[encoding] += change;
}

static struct membership *find_membership(const struct person *person, const struct room *room)
{
	struct membership *membership;

	LIST_FOR_EACH(membership, &person->memberships, struct membership, in_person)
		if (membership->room == room)
			return membership;
	return NULL;
}

/* Somebody is a member from now on. */
static struct membership *become_member(struct person *person, struct room *room, uint64_t since,
					uint64_t order)
{
	struct membership *membership = calloc(1, sizeof(*membership));

	if (!membership)
		return NULL;
	membership->person = person;
	membership->room = room;
	membership->since = since;
	membership->order = order;
	list_append(&person->memberships, &membership->in_person);
	list_append(&room->members, &membership->in_room);
	room->n_members++;
	return membership;
}

static void tell_join(struct hub *hub, const struct person *person, struct room *room)
{
	struct chat_event event = {.kind = CHAT_EVENT_JOIN, .nick = person->nick};

	if (room_tells_presence(hub, room))
		room_broadcast(hub, room, &event);
}

/*
 * Gives a connection a seat; of a person who is a new member, order is where they stood among the
 * others, and 0 that they have just come: then these hear of it.
 */
static struct presence *add_presence(struct hub *hub, struct client *client, struct room *room,
				     uint64_t cursor, uint64_t since, uint64_t order)
{
	struct membership *membership = find_membership(client->person, room);
	struct presence *presence = calloc(1, sizeof(*presence));

	/* Who is where is written down by how the store knows a room, so it has to. */
	if (client->chat->entry && room->durable && room->stored == 0)
		(void)room_ready_history(hub, room); /* else the connection is not kept */
	if (presence && !membership) {
		membership = become_member(client->person, room, since,
					   order > 0 ? order : hub->last_order + 1);
		if (membership)
			hub->last_order = MAX(hub->last_order, membership->order);
		if (membership && order == 0)
			tell_join(hub, client->person, room);
	}
	if (!presence || !membership) {
		free(presence);
		return NULL;
	}
	membership->n++;
	presence->client = client;
	presence->room = room;
	presence->membership = membership;
	presence->side = (uint8_t)room_side(room, client->person);
	list_append(&client->presences, &presence->link);
	if (!room->direct)
		client->n_rooms++;
	count_seat(presence, true);
	post_seating(hub, presence, true, cursor);
	client_log(client, LOG_JOINED, room_name(room, presence->side), NULL, "joined");
	return presence;
}

struct presence *presence_add(struct hub *hub, struct client *client, struct room *room,
			      uint64_t cursor)
{
	if (room->piece)
		hub_commit(hub); /* that is not for the new member */
	return add_presence(hub, client, room, cursor, hub->now, 0);
}

struct presence *presence_restore(struct hub *hub, struct client *client, struct room *room,
				  uint64_t cursor, uint64_t since, uint64_t order)
{
	return add_presence(hub, client, room, cursor, since, MAX(order, UINT64_C(1)));
}

static int compare_order(const void *a, const void *b)
{
	return COMPARE((*(struct membership *const *)a)->order,
		       (*(struct membership *const *)b)->order);
}

static void sort_members(struct room *room)
{
	struct membership **members = calloc(room->n_members + 1, sizeof(*members)), *membership;
	size_t n = 0;

	if (!members)
		return; /* they are all there */
	LIST_FOR_EACH(membership, &room->members, struct membership, in_room)
		members[n++] = membership;
	qsort(members, n, sizeof(*members), compare_order);
	for (size_t i = 0; i < n; i++) {
		list_remove(&members[i]->in_room);
		list_append(&room->members, &members[i]->in_room);
	}
	free(members);
}

void hub_sort_members(struct hub *hub)
{
	struct room *room;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room->n_members > 1)
			sort_members(room);
}

/* Somebody is no member any more; the others are told, unless they have been. */
static void cease_member(struct hub *hub, struct membership *membership, const char *reason,
			 bool told)
{
	struct room *room = membership->room;
	struct chat_event event = {
		.kind = CHAT_EVENT_LEAVE, .nick = membership->person->nick, .reason = reason};
	bool tells = !told && room_tells_presence(hub, room);

	list_remove(&membership->in_person);
	list_remove(&membership->in_room);
	free(membership);
	room->n_members--;
	if (tells)
		room_broadcast(hub, room, &event);
}

/* Whether a room is no longer needed: nothing is in it, or it was between guests who are gone. */
static bool is_over(const struct room *room)
{
	if (room->direct && (room->guests[0] || room->guests[1]))
		return room->n_members == 0;
	return room_is_empty(room);
}

static void remove_presence(struct hub *hub, struct presence *presence, const char *reason,
			    bool told)
{
	struct membership *membership = presence->membership;
	struct client *client = presence->client;
	struct room *room = presence->room;

	if (room->piece)
		hub_commit(hub); /* that is still for the member */
	count_seat(presence, false);
	client_log(client, LOG_LEFT, room_name(room, presence->side), reason, "left");
	if (!client->gone)
		post_seating(hub, presence, false, 0);
	list_remove(&presence->link);
	if (!room->direct)
		client->n_rooms--;
	if (client->recent == presence)
		client->recent = NULL;
	free(presence);
	if (--membership->n == 0)
		cease_member(hub, membership, reason, told);
	if (is_over(room))
		room_free(hub, room);
}

void presence_remove(struct hub *hub, struct presence *presence, const char *reason)
{
	remove_presence(hub, presence, reason, false);
}

static void expel(struct hub *hub, struct room *room, struct person *person, bool told)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		struct presence *presence = presence_find(client, room);

		if (presence)
			remove_presence(hub, presence, NULL, told);
	}
}

void room_expel(struct hub *hub, struct room *room, struct person *person, const char *reason)
{
	struct chat_event event = {
		.kind = CHAT_EVENT_LEAVE, .nick = person->nick, .reason = reason};

	hub_commit(hub);
	room_broadcast(hub, room, &event); /* as long as it gets this, too */
	expel(hub, room, person, true);
}

void room_end(struct hub *hub, struct room *room)
{
	uint64_t n = room->n_members;

	if (n == 0)
		room_free(hub, room);
	for (; n > 0; n--)
		expel(hub, room,
		      CONTAINER_OF(room->members.next, struct membership, in_room)->person, false);
}

void person_end_talks(struct hub *hub, const struct person *person)
{
	struct room *room;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		if (person->talks == 0)
			return;
		if (room->guests[0] == person || room->guests[1] == person)
			room_end(hub, room);
	}
}
