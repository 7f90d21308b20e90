/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <limits.h>
#include <search.h>
#include <stdio.h>
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
 * Direct rooms: the two who may be in it are what it is found by
 */

struct side {
	const char *user;
	struct person *person;
	char key[LOGIN_NAME_MAX + 2]; /* what the side is compared by */
};

static struct side side_of(struct person *person, const char *user)
{
	struct side side = {.user = person ? person->user : user, .person = person};

	if (side.user)
		(void)snprintf(side.key, sizeof(side.key), "@%s", side.user);
	else
		(void)snprintf(side.key, sizeof(side.key), "%p", (void *)person);
	return side;
}

/* What those on the other side call this one. */
static char *side_name(const struct side *side)
{
	char *nick = NULL, *name;
	int r;

	if (side->user)
		nick = name_from_user(side->user);
	else if (side->person)
		nick = strdup(side->person->nick);
	if (!nick)
		return NULL;
	r = asprintf(&name, "@%s", nick);
	free(nick);
	return r < 0 ? NULL : name;
}

/* Makes room the direct room of two sides. Returns 0 or -ENOMEM. */
static int make_direct(struct room *room, const struct side sides[static ENCODING_SIDES])
{
	room->direct = true;
	for (unsigned i = 0; i < ENCODING_SIDES; i++) {
		room->names[i] = side_name(&sides[1 - i]);
		room->guests[i] = sides[i].user ? NULL : sides[i].person;
		if (room->guests[i])
			room->guests[i]->talks++;
		room->users[i] = sides[i].user ? strdup(sides[i].user) : NULL;
		if (!room->names[i] || (sides[i].user && !room->users[i]))
			return -ENOMEM;
		if (!sides[i].user)
			room->durable = false;
	}
	return 0;
}

struct room *room_direct(struct hub *hub, struct person *self, struct person *other,
			 const char *other_user, bool make)
{
	return room_direct_of(hub, (struct person *[]){self, other},
			      (const char *[]){NULL, other_user}, make);
}

struct room *room_direct_of(struct hub *hub, struct person *const people[static ENCODING_SIDES],
			    const char *const users[static ENCODING_SIDES], bool make)
{
	struct side sides[ENCODING_SIDES] = {side_of(people[0], users[0]),
					     side_of(people[1], users[1])};
	char folded[2 * sizeof(sides[0].key) + 2];
	struct room *room;

	if (strcmp(sides[0].key, sides[1].key) > 0) {
		struct side first = sides[1];

		sides[1] = sides[0];
		sides[0] = first;
	}
	/* No room that people name has a tab in its name. */
	(void)snprintf(folded, sizeof(folded), "%s\t%s", sides[0].key, sides[1].key);
	room = room_find(hub, folded);
	if (room || !make)
		return room;
	room = room_new(hub, NULL, folded);
	if (room && make_direct(room, sides) < 0) {
		room_free(hub, room);
		return NULL;
	}
	return room;
}

unsigned room_side(const struct room *room, const struct person *person)
{
	if (!room->direct)
		return 0;
	if (person->user)
		return !room->users[0] || strcmp(room->users[0], person->user) != 0;
	return room->guests[0] != person;
}

int room_rename_direct(struct room *room, const struct person *person)
{
	for (unsigned i = 0; i < ENCODING_SIDES; i++) {
		char *name;

		if (room->guests[i] != person)
			continue;
		if (asprintf(&name, "@%s", person->nick) < 0)
			return -ENOMEM;
		free(room->names[1 - i]);
		room->names[1 - i] = name;
	}
	return 0;
}

const char *room_name(const struct room *room, unsigned side)
{
	return room->direct ? room->names[side] : room->name;
}

/*
 * From the store and the configuration
 */

/* A direct room's name holds the names of two users. */
static struct room *load_direct(struct hub *hub, const char *name)
{
	struct side sides[ENCODING_SIDES] = {0};
	const char *tab = strchr(name, '\t');
	char *first = tab && tab[1] == '@' ? strndup(name + 1, (size_t)(tab - name) - 1) : NULL;
	struct room *room = NULL;

	if (first) {
		sides[0] = side_of(NULL, first);
		sides[1] = side_of(NULL, tab + 2);
		room = room_new(hub, NULL, name);
	}
	if (room && make_direct(room, sides) < 0) {
		room_free(hub, room);
		room = NULL;
	}
	free(first);
	return room;
}

static int load_room(const struct store_room *stored, void *data)
{
	struct hub *hub = data;
	char *folded = NULL, *topic = strdup(stored->topic);
	struct room *room = NULL;

	if (stored->name[0] == '@')
		room = load_direct(hub, stored->name);
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

/*
 * Broadcasts
 */

static struct dialect_out output(struct buffer *buffer, unsigned encoding)
{
	return (struct dialect_out){buffer,
				    (enum framing)(encoding / ENCODING_SIDES % ENCODING_FRAMINGS)};
}

/* Writes an event in one encoding. */
static int write_event(const struct room *room, struct chat_event *event, unsigned encoding,
		       struct buffer *buffer)
{
	struct dialect_out out = output(buffer, encoding);

	event->room = room_name(room, encoding % ENCODING_SIDES);
	return dialects[encoding / ENCODING_SIDES / ENCODING_FRAMINGS]->event(event, &out);
}

/* Whether anybody in the room is connected to this worker. */
static bool is_wanted_by(const struct room *room, unsigned worker)
{
	for (unsigned i = 0; i < ENCODINGS; i++)
		if (room->seats[worker * ENCODINGS + i] > 0)
			return true;
	return false;
}

/*
 * Posts what was written in each encoding to all workers that have members. One that gets none for
 * want of memory misses numbers, by which its members will know that they are behind.
 */
static void post(struct hub *hub, const struct room *room, const struct piece *piece)
{
	struct packet *packets[ENCODINGS] = {0};

	for (unsigned i = 0; i < ENCODINGS; i++)
		if (piece->written[i].len > 0 && !(piece->failed & 1u << i))
			packets[i] = packet_of(&piece->written[i]);
	for (unsigned worker = 0; worker < hub->n_workers; worker++) {
		struct broadcast *broadcast;

		if (!is_wanted_by(room, worker))
			continue;
		broadcast = malloc(sizeof(*broadcast));
		if (!broadcast)
			continue;
		*broadcast = (struct broadcast){.slot = room->slot,
						.first = piece->first,
						.last = piece->last,
						.speaker = piece->speaker};
		for (unsigned i = 0; i < ENCODINGS; i++)
			broadcast->packets[i] = packets[i] ? packet_ref(packets[i]) : NULL;
		hub_post(hub, worker, &broadcast->letter, LETTER_BROADCAST);
	}
	for (unsigned i = 0; i < ENCODINGS; i++)
		packet_unref(packets[i]);
}

void room_broadcast(struct hub *hub, struct room *room, struct chat_event *event)
{
	struct piece piece = {.room = room};

	for (unsigned i = 0; i < ENCODINGS; i++)
		if (room->wanted[i] > 0 && write_event(room, event, i, &piece.written[i]) < 0)
			piece.failed |= 1u << i; /* those miss it */
	post(hub, room, &piece);
	for (unsigned i = 0; i < ENCODINGS; i++)
		buffer_done(&piece.written[i]);
}

/*
 * Messages
 */

enum {
	PIECE_BYTES = 128 * 1024, /* of messages that are delivered in one packet, about */
	KEPT_BYTES = 1 << 20,	  /* of memory of a piece that is used again */
};

static struct piece *new_piece(struct hub *hub, struct room *room, const struct chat *speaker)
{
	struct piece *piece;

	if (!list_empty(&hub->spare_pieces)) {
		piece = CONTAINER_OF(hub->spare_pieces.next, struct piece, link);
		list_remove(&piece->link);
	} else {
		piece = calloc(1, sizeof(*piece));
		if (!piece)
			return NULL;
		list_init(&piece->link);
	}
	piece->room = room;
	piece->speaker = speaker;
	piece->first = piece->last = 0;
	piece->failed = 0;
	list_append(&hub->pieces, &piece->link);
	room->piece = piece;
	return piece;
}

static bool is_long(const struct piece *piece)
{
	for (unsigned i = 0; i < ENCODINGS; i++)
		if (piece->written[i].len >= PIECE_BYTES)
			return true;
	return false;
}

int room_stage(struct hub *hub, struct room *room, const struct chat_message *message,
	       const struct chat *speaker)
{
	struct chat_event event = {.kind = CHAT_EVENT_MESSAGE, .message = *message};
	struct piece *piece = room->piece;

	/* A message that could not be staged must not be skipped over. */
	if (!piece || piece->speaker != speaker || piece->last + 1 != message->seq ||
	    is_long(piece))
		piece = new_piece(hub, room, speaker);
	if (!piece)
		return -ENOMEM;
	for (unsigned i = 0; i < ENCODINGS; i++)
		if (room->wanted[i] > 0 && write_event(room, &event, i, &piece->written[i]) < 0)
			piece->failed |= 1u << i; /* those are behind then */
	if (piece->first == 0)
		piece->first = message->seq;
	piece->last = message->seq;
	return 0;
}

void piece_drop(struct hub *hub, struct piece *piece)
{
	for (unsigned i = 0; i < ENCODINGS; i++) {
		piece->written[i].len = 0;
		if (piece->written[i].size > KEPT_BYTES)
			buffer_done(&piece->written[i]);
	}
	if (piece->room->piece == piece)
		piece->room->piece = NULL;
	list_remove(&piece->link);
	list_append(&hub->spare_pieces, &piece->link);
}

void piece_deliver(struct hub *hub, struct piece *piece)
{
	piece->room->visible = piece->last;
	post(hub, piece->room, piece);
	piece_drop(hub, piece);
}
