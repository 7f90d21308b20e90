/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audience.h"

#include "peer.h"
#include "util.h"

/*
 * A member that lets so many packets wait is behind, however short they are: what waits for a
 * thousand such members costs next to nothing, as the packets themselves are shared.
 */
enum { PACKETS_MAX = 512 };

struct seat {
	struct list link; /* in chat->seats */
	struct chat *chat;
	uint64_t room;
	size_t place; /* in the audience */
	uint32_t slot;
};

/* What a broadcast needs of a seat. All of an audience lie in a row: a thousand are soon read. */
struct place {
	struct peer *peer;
	struct seat *seat;
	uint64_t cursor;
	uint8_t encoding;
	bool behind;
	uint32_t safe; /* the seat in the ledger; 0: none */
};

/* Those who have a seat in one room. */
struct audience {
	struct place *places;
	size_t n, size;
};

void audiences_init(struct audiences *audiences)
{
	*audiences = (struct audiences){0};
	list_init(&audiences->touched);
}

void audiences_done(struct audiences *audiences)
{
	for (size_t i = 0; i < audiences->n; i++)
		free(audiences->slots[i].places);
	free(audiences->slots);
}

void audiences_touch(struct audiences *audiences, struct chat *chat)
{
	if (chat->peer->session.touched)
		return;
	chat->peer->session.touched = true;
	list_append(&audiences->touched, &chat->touched);
}

void audiences_queue(struct audiences *audiences, struct chat *chat, struct packet *packet)
{
	if (peer_queue(chat->peer, packet) < 0)
		peer_doom(chat->peer, "out of memory");
	audiences_touch(audiences, chat);
}

/*
 * Seats
 */

static struct audience *audience_at(struct audiences *audiences, uint32_t slot)
{
	if (slot >= audiences->n) {
		size_t n = MAX((size_t)slot + 1, 2 * audiences->n);
		struct audience *slots = reallocarray(audiences->slots, n, sizeof(*slots));

		if (!slots)
			return NULL;
		for (size_t i = audiences->n; i < n; i++)
			slots[i] = (struct audience){0};
		audiences->slots = slots;
		audiences->n = n;
	}
	return &audiences->slots[slot];
}

static struct seat *find_seat(struct chat *chat, uint64_t room)
{
	struct seat *seat;

	LIST_FOR_EACH(seat, &chat->seats, struct seat, link)
		if (seat->room == room)
			return seat;
	return NULL;
}

static struct place *place_of(const struct audiences *audiences, const struct seat *seat)
{
	return &audiences->slots[seat->slot].places[seat->place];
}

static void set_behind(struct place *place, bool behind)
{
	struct chat *chat = place->seat->chat;

	if (place->behind == behind)
		return;
	place->behind = behind;
	if (behind)
		chat->behind++;
	else
		chat->behind--;
	place->peer->session.behind = chat->behind > 0;
}

/* Writes a seat into the ledger; one that cannot be there has the connection end with the process.
 */
static uint32_t make_safe(const struct audiences *audiences, const struct seating *seating)
{
	struct chat *chat = seating->chat;
	uint32_t safe = 0;

	if (!chat->entry)
		return 0;
	if (seating->stored > 0)
		safe = ledger_take_seat(audiences->ledger, chat->id, seating->stored,
					seating->cursor, seating->order);
	if (safe == 0)
		atomic_store_explicit(&chat->entry->elsewhere, ++chat->unsafe > 0,
				      memory_order_relaxed);
	return safe;
}

static void make_unsafe(const struct audiences *audiences, const struct place *place)
{
	struct chat *chat = place->seat->chat;

	if (!chat->entry)
		return;
	if (place->safe == 0)
		atomic_store_explicit(&chat->entry->elsewhere, --chat->unsafe > 0,
				      memory_order_relaxed);
	ledger_give_seat(audiences->ledger, place->safe);
}

/* A seat has been sent all up to cursor, or is about to be: the ledger knows it for busy until
   then. */
static void set_cursor(const struct audiences *audiences, struct place *place, uint64_t cursor)
{
	place->cursor = cursor;
	if (place->safe == 0)
		return;
	peer_note_busy(place->peer);
	atomic_store_explicit(&audiences->ledger->seats[place->safe].cursor, cursor,
			      memory_order_relaxed);
}

static void remove_seat(struct audiences *audiences, struct seat *seat)
{
	struct audience *audience = &audiences->slots[seat->slot];
	struct place *place = place_of(audiences, seat);

	make_unsafe(audiences, place);
	set_behind(place, false);
	*place = audience->places[--audience->n];
	place->seat->place = seat->place;
	if (audience->n == 0) {
		free(audience->places);
		*audience = (struct audience){0};
	}
	list_remove(&seat->link);
	free(seat);
}

static int add_seat(struct audiences *audiences, const struct seating *seating)
{
	struct audience *audience = audience_at(audiences, seating->slot);
	struct chat *chat = seating->chat;
	struct place *place;
	struct seat *seat;

	if (!audience)
		return -ENOMEM;
	if (audience->n == audience->size) {
		size_t size = MAX(2 * audience->size, (size_t)4);
		struct place *places = reallocarray(audience->places, size, sizeof(*places));

		if (!places)
			return -ENOMEM;
		audience->places = places;
		audience->size = size;
	}
	seat = malloc(sizeof(*seat));
	if (!seat)
		return -ENOMEM;
	*seat = (struct seat){
		.chat = chat, .room = seating->room, .place = audience->n, .slot = seating->slot};
	list_append(&chat->seats, &seat->link);
	place = &audience->places[audience->n++];
	*place = (struct place){
		.peer = chat->peer,
		.seat = seat,
		.cursor = seating->cursor,
		.encoding = (uint8_t)encoding_of(chat->dialect, chat->peer->session.framing,
						 seating->side),
		.safe = make_safe(audiences, seating),
	};
	set_behind(place, seating->cursor < seating->newest);
	return 0;
}

void audiences_seat(struct audiences *audiences, const struct seating *seating)
{
	struct chat *chat = seating->chat;
	struct seat *seat = find_seat(chat, seating->room);

	if (!seating->sits) {
		if (seat)
			remove_seat(audiences, seat);
		return;
	}
	if (add_seat(audiences, seating) < 0)
		peer_doom(chat->peer, "out of memory");
	audiences_touch(audiences, chat);
}

void audiences_each_seat(const struct audiences *audiences, const struct chat *chat,
			 void (*each)(uint64_t room, uint64_t cursor, void *data), void *data)
{
	struct seat *seat;

	LIST_FOR_EACH(seat, &chat->seats, struct seat, link)
		each(seat->room, place_of(audiences, seat)->cursor, data);
}

void audiences_leave(struct audiences *audiences, struct chat *chat)
{
	struct seat *seat;

	LIST_FOR_EACH(seat, &chat->seats, struct seat, link)
		remove_seat(audiences, seat);
}

/*
 * Broadcasts
 */

/* Whether so much waits for a client that it is to read first. */
static bool is_full(const struct peer *peer)
{
	return peer->stream.n > 0 && (peer->stream.pending >= peer->session.settings->max_pending ||
				      peer->stream.n >= PACKETS_MAX);
}

/*
 * Whether a seat takes a broadcast. Messages have numbers, and come in their order or, when that
 * cannot be now, later out of the log. What has none is for whoever does not let too much wait.
 */
static bool takes(struct audiences *audiences, struct place *place,
		  const struct broadcast *broadcast)
{
	bool can = broadcast->packets[place->encoding] && !is_full(place->peer);

	if (broadcast->last == 0)
		return can;
	if (place->behind || broadcast->last <= place->cursor)
		return false;
	if (!can || broadcast->first != place->cursor + 1) {
		set_behind(place, true);
		audiences_touch(audiences, place->seat->chat);
		return false;
	}
	set_cursor(audiences, place, broadcast->last);
	return true;
}

static void deliver(struct audiences *audiences, struct place *place,
		    const struct broadcast *broadcast, bool at_once)
{
	struct packet *packet = broadcast->packets[place->encoding];

	if (!takes(audiences, place, broadcast))
		return;
	if (broadcast->speaker && broadcast->speaker == place->seat->chat) {
		peer_note(place->peer);
		return;
	}
	if (!at_once || place->peer->session.touched)
		audiences_queue(audiences, place->seat->chat, packet);
	else if (peer_send(place->peer, packet))
		audiences_touch(audiences, place->seat->chat);
}

void audiences_broadcast(struct audiences *audiences, const struct broadcast *broadcast,
			 bool at_once)
{
	struct audience *audience = audience_at(audiences, broadcast->slot);

	if (!audience)
		return; /* nobody could be seated either */
	for (size_t i = 0; i < audience->n; i++) {
		/* One after the other they lie anywhere in memory. */
		if (i + 4 < audience->n)
			__builtin_prefetch(&audience->places[i + 4].peer->stream);
		deliver(audiences, &audience->places[i], broadcast, at_once);
	}
}

/*
 * Catching up
 */

bool audiences_wants_fetch(const struct audiences *audiences, struct chat *chat)
{
	struct seat *seat;

	if (chat->fetching)
		return false;
	LIST_FOR_EACH(seat, &chat->seats, struct seat, link) {
		const struct place *place = place_of(audiences, seat);

		if (!place->behind)
			continue;
		/* Next time, it is another one's turn. */
		list_remove(&seat->link);
		list_append(&chat->seats, &seat->link);
		chat->fetch = (struct fetch){.chat = chat,
					     .room = seat->room,
					     .most = chat->peer->session.settings->max_pending,
					     .cursor = place->cursor,
					     .after = place->cursor};
		chat->fetching = true;
		return true;
	}
	return false;
}

void audiences_fetched(struct audiences *audiences, struct chat *chat)
{
	struct fetch *fetch = &chat->fetch;
	struct seat *seat = find_seat(chat, fetch->room);

	chat->fetching = false;
	/* It may have left meanwhile, and come back with another cursor. */
	if (seat && fetch->packet && place_of(audiences, seat)->cursor == fetch->after) {
		set_cursor(audiences, place_of(audiences, seat), fetch->cursor);
		if (fetch->packet->len > 0)
			audiences_queue(audiences, chat, fetch->packet);
		if (fetch->caught_up)
			set_behind(place_of(audiences, seat), false);
	}
	packet_unref(fetch->packet);
	fetch->packet = NULL;
	audiences_touch(audiences, chat);
}
