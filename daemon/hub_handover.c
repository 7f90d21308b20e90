/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <search.h>
#include <string.h>

#include "log.h"
#include "util.h"

/*
 * From one process to the next: who is here, where, since when, and all of rooms that the store
 * does not hold. What is said in durable rooms, bans and mutes are in the store already.
 */

/*
 * Writing down
 */

static void put_person(const struct person *person, struct record *record)
{
	record_put_text(record, person->nick);
	record_put_text(record, person->user);
	record_put(record, person->since);
	record_put(record, person->has_spoken);
}

static void put_people(struct hub *hub)
{
	struct person *person;
	uint64_t n = 0;

	LIST_FOR_EACH(person, &hub->people, struct person, link)
		person->place = ++n;
	record_put(&hub->record, n);
	LIST_FOR_EACH(person, &hub->people, struct person, link)
		put_person(person, &hub->record);
}

/* Whether the store does not know all that there is to know of a room. */
static bool is_worth_it(const struct room *room)
{
	return room->n_members > 0 || (!room->durable && (room->history || *room->topic));
}

static bool has_log_in_memory(const struct room *room)
{
	return room->history && !history_is_durable(room->history);
}

/* The place of the guest whose a side of a direct room is, or 0. */
static uint64_t guest_of(const struct room *room, unsigned side)
{
	return room->guests[side] ? room->guests[side]->place : 0;
}

/* Which of two guests comes first is by chance, and not so what is written. */
static void put_sides(const struct room *room, struct record *record)
{
	const unsigned first = guest_of(room, 0) > guest_of(room, 1);

	record_put(record, room->direct);
	for (unsigned i = 0; i < ENCODING_SIDES; i++) {
		record_put_text(record, room->users[i ^ first]);
		record_put(record, guest_of(room, i ^ first));
	}
}

static void put_room(const struct room *room, struct record *record)
{
	const char *given = room->config ? room->config->topic : NULL;

	record_put(record, room->number);
	record_put(record, room->durable);
	record_put(record, room->n_members);
	record_put_text(record, room->name);
	/* A direct room is found by its sides; its own name has no meaning for others. */
	record_put_text(record, room->direct ? "" : room->folded);
	/* One that the configuration gave is its own affair, and others are in the store. */
	record_put_text(record, room->durable || (given && strcmp(given, room->topic) == 0)
					? ""
					: room->topic);
	put_sides(room, record);
	record_put(record, has_log_in_memory(room));
	if (has_log_in_memory(room))
		history_put(room->history, record);
}

static void put_rooms(struct hub *hub)
{
	struct room *room;
	uint64_t n = 0;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		n += is_worth_it(room);
	record_put(&hub->record, n);
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (is_worth_it(room))
			put_room(room, &hub->record);
}

static void put_client(const struct client *client, struct record *record)
{
	const struct presence *presence;
	uint64_t n = 0;

	record_put(record, client->chat->id);
	record_put(record, client->since);
	record_put(record, (uint64_t)client->tokens);
	record_put(record, client->tokens_time);
	record_put_text(record, client->end);
	record_put(record, client->dismissed);
	LIST_FOR_EACH(presence, &client->presences, struct presence, link)
		n++;
	record_put(record, n);
	LIST_FOR_EACH(presence, &client->presences, struct presence, link) {
		record_put(record, presence->room->number);
		record_put(record, presence->membership->since);
		record_put(record, presence->membership->order);
	}
}

/* Those of one person, and then 0, which no connection has for a number. */
static void put_clients_of(const struct person *person, struct record *record)
{
	const struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link)
		put_client(client, record);
	record_put(record, 0);
}

static void put_clients(struct hub *hub)
{
	struct person *person;

	LIST_FOR_EACH(person, &hub->people, struct person, link)
		put_clients_of(person, &hub->record);
}

/* Frees a connection that the next process goes on with. */
static void release_client(struct client *client)
{
	struct presence *presence;

	LIST_FOR_EACH(presence, &client->presences, struct presence, link)
		free(presence);
	client->chat->client = NULL;
	free(client->end);
	free(client);
}

static void release_person(struct hub *hub, struct person *person)
{
	struct membership *membership;
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link)
		release_client(client);
	LIST_FOR_EACH(membership, &person->memberships, struct membership, in_person)
		free(membership);
	person_free(hub, person);
}

static void keep_node(void *node)
{
	(void)node; /* what it refers to is freed elsewhere */
}

void hub_write_down(struct hub *hub)
{
	struct person *person;

	put_people(hub);
	put_rooms(hub);
	put_clients(hub);
	tdestroy(STEAL(hub->clients_by_id), keep_node);
	hub_clear_rooms(hub);
	LIST_FOR_EACH(person, &hub->people, struct person, link)
		release_person(hub, person);
}

/*
 * Taking up
 */

struct past_room {
	uint64_t number; /* in the last process */
	struct room *room;
};

/* Somebody was in a room by a connection that has not come. */
struct absence {
	struct person *person;
	struct room *room;
};

/* What is taken up; in order of places and numbers. */
struct past {
	struct hub *hub;
	struct record_reader reader;
	const struct hub_past *from;
	struct person **people;
	size_t n_people;
	struct past_room *rooms;
	size_t n_rooms;
	struct absence *absences;
	size_t n_absences;
};

/* Makes an array for as many things as the record says come now, as far as there can be as many. */
static void *get_array(struct past *past, size_t size, uint64_t *ret_n)
{
	void *array;

	*ret_n = record_get_below(&past->reader, past->reader.rest.len + 1);
	array = calloc(*ret_n + 1, size);
	if (!array) {
		past->reader.failed = true;
		*ret_n = 0;
	}
	return array;
}

static struct person *person_at(struct past *past, uint64_t place)
{
	if (place > 0 && place <= past->n_people)
		return past->people[place - 1];
	past->reader.failed |= place > 0;
	return NULL;
}

static void get_people(struct past *past)
{
	uint64_t n;

	past->people = get_array(past, sizeof(*past->people), &n);
	for (; past->n_people < n && !past->reader.failed; past->n_people++) {
		char *nick = record_get_text(&past->reader), *user = record_get_text(&past->reader);
		struct person *person = person_restore(past->hub, nick, user);

		if (!person) {
			past->reader.failed = true;
			return;
		}
		person->since = record_get(&past->reader);
		person->has_spoken = record_get(&past->reader);
		past->people[past->n_people] = person;
	}
}

/* Finds or makes the room that a record is of. */
static struct room *get_same_room(struct past *past, const char *name, const char *folded)
{
	CLEANUP(freep) char *first = NULL;
	CLEANUP(freep) char *second = NULL;
	struct person *guests[ENCODING_SIDES];
	bool direct = record_get(&past->reader);
	struct room *room;

	first = record_get_text(&past->reader);
	guests[0] = person_at(past, record_get(&past->reader));
	second = record_get_text(&past->reader);
	guests[1] = person_at(past, record_get(&past->reader));
	if (past->reader.failed || !folded)
		return NULL;
	if (!direct) {
		room = name ? room_find(past->hub, folded) : NULL;
		return room || !name ? room : room_new(past->hub, name, folded);
	}
	if ((!first && !guests[0]) || (!second && !guests[1]))
		return NULL;
	return room_direct_of(past->hub, guests, (const char *[]){first, second}, true);
}

/*
 * Gives a room the log that it had. As at a reload, it stays where it is as long as somebody is
 * there; else it is where the configuration wants it.
 */
static int set_log(struct hub *hub, struct room *room, bool durable, bool has_members,
		   struct history *history)
{
	int r = 0;

	if (durable && has_members && !room->durable && hub->store)
		r = room_keep_log(hub, room, true);
	if (!history || (room->durable && !has_members)) {
		history_free(history);
		return r;
	}
	history_free(room->history);
	room->history = history;
	room->durable = false;
	room->visible = history_newest(history);
	return r;
}

static struct history *get_log(struct past *past, bool direct)
{
	const struct chat_config *config = &past->hub->config->chat;
	struct history *history;

	if (!record_get(&past->reader))
		return NULL;
	history = history_get(&past->reader, config->max_messages,
			      room_max_memory(past->hub, direct));
	past->reader.failed |= !history;
	return history;
}

static struct room *get_room(struct past *past, uint64_t *ret_number)
{
	CLEANUP(freep) char *name = NULL;
	CLEANUP(freep) char *folded = NULL;
	CLEANUP(freep) char *topic = NULL;
	struct history *history;
	bool durable, has_members;
	struct room *room;

	*ret_number = record_get(&past->reader);
	durable = record_get(&past->reader);
	has_members = record_get(&past->reader) > 0;
	name = record_get_text(&past->reader);
	folded = record_get_text(&past->reader);
	topic = record_get_text(&past->reader);
	room = get_same_room(past, name, folded);
	history = get_log(past, room && room->direct);
	if (!room || past->reader.failed ||
	    set_log(past->hub, room, durable, has_members, STEAL(history)) < 0) {
		history_free(history);
		past->reader.failed = true;
		return NULL;
	}
	if (topic && *topic) {
		free(room->topic);
		room->topic = STEAL(topic);
	}
	return room;
}

static void get_rooms(struct past *past)
{
	uint64_t n;

	past->rooms = get_array(past, sizeof(*past->rooms), &n);
	for (; past->n_rooms < n && !past->reader.failed; past->n_rooms++) {
		struct past_room *each = &past->rooms[past->n_rooms];

		each->room = get_room(past, &each->number);
		if (!each->room)
			return;
	}
}

static int compare_number(const void *a, const void *b)
{
	return COMPARE(((const struct past_room *)a)->number,
		       ((const struct past_room *)b)->number);
}

/* The numbers of rooms ascend, as they do in the hub's list. */
static struct room *room_numbered(const struct past *past, uint64_t number)
{
	const struct past_room wanted = {.number = number};
	const struct past_room *found =
		bsearch(&wanted, past->rooms, past->n_rooms, sizeof(*past->rooms), compare_number);

	return found ? found->room : NULL;
}

static int compare_id(const void *a, const void *b)
{
	return COMPARE((*(struct chat *const *)a)->id, (*(struct chat *const *)b)->id);
}

void hub_sort_chats(const struct hub_past *past)
{
	qsort(past->chats, past->n_chats, sizeof(struct chat *), compare_id);
}

static struct chat *chat_numbered(const struct past *past, uint64_t id)
{
	struct chat wanted = {.id = id}, *key = &wanted;
	struct chat **found = bsearch(&key, past->from->chats, past->from->n_chats,
				      sizeof(struct chat *), compare_id);

	return found ? *found : NULL;
}

/* Up to which message somebody had been sent what was said. */
static uint64_t cursor_of(const struct chat *chat, uint64_t number, const struct room *room)
{
	for (size_t i = 0; i < chat->n_places; i++)
		if (chat->places[i].room == number)
			return MIN(chat->places[i].cursor, room->visible);
	return room->visible;
}

/* Notes that somebody may have to leave a room. */
static void note_absence(struct past *past, struct person *person, struct room *room)
{
	struct absence *absences =
		reallocarray(past->absences, past->n_absences + 1, sizeof(*past->absences));

	if (!absences)
		return; /* nobody hears of it */
	past->absences = absences;
	past->absences[past->n_absences++] = (struct absence){person, room};
}

static void get_presence(struct past *past, struct client *client, struct person *person)
{
	uint64_t number = record_get(&past->reader), since = record_get(&past->reader);
	uint64_t order = record_get(&past->reader);
	struct room *room = room_numbered(past, number);

	if (!room || past->reader.failed || (client && presence_find(client, room)))
		past->reader.failed = true;
	else if (!client)
		note_absence(past, person, room);
	else if (!presence_restore(past->hub, client, room, cursor_of(client->chat, number, room),
				   since, order))
		client_dismiss(past->hub, client, "out of memory", "out of memory");
}

static void get_client(struct past *past, struct person *person, uint64_t id)
{
	struct record_reader *reader = &past->reader;
	struct chat *chat = chat_numbered(past, id);
	struct client *client = NULL;
	struct client was = {.since = record_get(reader)};
	uint64_t n;

	was.tokens = (double)MIN(record_get(reader), (uint64_t)CONFIG_RATE_MAX);
	was.tokens_time = record_get(reader);
	was.end = record_get_text(reader);
	was.dismissed = record_get(reader);
	if (chat && !chat->client && !reader->failed)
		client = client_new(past->hub, chat, person);
	if (client) {
		client_note_nick(past->hub, client, false);
		client->since = was.since;
		client->tokens = was.tokens;
		client->tokens_time = was.tokens_time;
		client->end = STEAL(was.end);
		client->dismissed = was.dismissed;
	}
	free(was.end);
	for (n = record_get(reader); n > 0 && !reader->failed; n--)
		get_presence(past, client, person);
}

static void get_clients(struct past *past)
{
	for (size_t i = 0; i < past->n_people; i++) {
		uint64_t id;

		while ((id = record_get(&past->reader)) > 0)
			get_client(past, past->people[i], id);
	}
}

/* Tells the others who is no longer where they were. */
static void tell_absences(struct past *past)
{
	for (size_t i = 0; i < past->n_absences; i++) {
		struct person *person = past->absences[i].person;
		struct room *room = past->absences[i].room;
		struct chat_event event = {.kind = CHAT_EVENT_LEAVE,
					   .nick = person->nick,
					   .reason = "the listener is gone"};
		struct membership *membership;
		bool is_there = false;

		LIST_FOR_EACH(membership, &person->memberships, struct membership, in_person)
			is_there |= membership->room == room;
		if (!is_there && room_tells_presence(past->hub, room))
			room_broadcast(past->hub, room, &event);
	}
}

/* Forgets who and what is not needed any more. */
static void clear_up(struct hub *hub)
{
	struct person *person;
	struct room *room;

	LIST_FOR_EACH(person, &hub->people, struct person, link)
		if (list_empty(&person->clients)) {
			person_end_talks(hub, person);
			person_free(hub, person);
		}
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room_is_empty(room))
			room_free(hub, room);
}

void hub_take_up(struct hub *hub, const struct hub_past *from)
{
	struct past past = {.hub = hub, .reader.rest = from->record, .from = from};

	get_people(&past);
	get_rooms(&past);
	get_clients(&past);
	if (past.reader.failed)
		log_write(LOG_FAULT, NULL,
			  "not all that the last process knew of people and rooms can be taken up");
	hub_sort_members(hub);
	tell_absences(&past);
	for (size_t i = 0; i < from->n_chats; i++) {
		struct chat *chat = from->chats[i];

		free(STEAL(chat->places));
		chat->n_places = 0;
		chat->open.kind = HUB_OPEN;
		if (!chat->client)
			hub_deal_with(hub, chat, &chat->open);
		else
			client_placed(hub, chat);
	}
	clear_up(hub);
	hub_set_limits(hub);
	hub_review(hub);
	free(past.people);
	free(past.rooms);
	free(past.absences);
}
