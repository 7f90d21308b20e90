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
	struct peer *peer;
	uint64_t room;
	uint64_t cursor;
	size_t place; /* in the audience */
	uint32_t slot;
	uint8_t encoding;
	bool behind;
};

/* Those who have a seat in one room. */
struct audience {
	struct seat **seats;
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
		free(audiences->slots[i].seats);
	free(audiences->slots);
}

static void touch(struct audiences *audiences, struct chat *chat)
{
	if (list_empty(&chat->touched))
		list_append(&audiences->touched, &chat->touched);
}

void audiences_queue(struct audiences *audiences, struct chat *chat, struct packet *packet)
{
	if (peer_queue(chat->peer, packet) < 0)
		peer_doom(chat->peer, "out of memory");
	touch(audiences, chat);
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

static void set_behind(struct seat *seat, bool behind)
{
	if (seat->behind == behind)
		return;
	seat->behind = behind;
	if (behind)
		seat->chat->behind++;
	else
		seat->chat->behind--;
	seat->peer->session.behind = seat->chat->behind > 0;
}

static void remove_seat(struct audiences *audiences, struct seat *seat)
{
	struct audience *audience = &audiences->slots[seat->slot];
	struct seat *last = audience->seats[--audience->n];

	audience->seats[seat->place] = last;
	last->place = seat->place;
	if (audience->n == 0) {
		free(audience->seats);
		*audience = (struct audience){0};
	}
	set_behind(seat, false);
	list_remove(&seat->link);
	free(seat);
}

static int add_seat(struct audiences *audiences, const struct seating *seating)
{
	struct audience *audience = audience_at(audiences, seating->slot);
	struct chat *chat = seating->chat;
	struct seat *seat;

	if (!audience)
		return -ENOMEM;
	if (audience->n == audience->size) {
		size_t size = MAX(2 * audience->size, (size_t)4);
		struct seat **seats = reallocarray(audience->seats, size, sizeof(struct seat *));

		if (!seats)
			return -ENOMEM;
		audience->seats = seats;
		audience->size = size;
	}
	seat = malloc(sizeof(*seat));
	if (!seat)
		return -ENOMEM;
	*seat = (struct seat){
		.chat = chat,
		.peer = chat->peer,
		.room = seating->room,
		.cursor = seating->cursor,
		.place = audience->n,
		.slot = seating->slot,
		.encoding = (uint8_t)encoding_of(chat->dialect, chat->peer->session.framing,
						 seating->side),
	};
	audience->seats[audience->n++] = seat;
	list_append(&chat->seats, &seat->link);
	set_behind(seat, seating->cursor < seating->newest);
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
	touch(audiences, chat);
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
	return peer->stream.pending >= peer->session.settings->max_pending ||
	       peer->stream.n >= PACKETS_MAX;
}

static void deliver(struct audiences *audiences, struct seat *seat,
		    const struct broadcast *broadcast)
{
	struct packet *packet = broadcast->packets[seat->encoding];

	if (seat->behind || (broadcast->last > 0 && broadcast->last <= seat->cursor))
		return;
	if (!packet || is_full(seat->peer) ||
	    (broadcast->first > 0 && broadcast->first != seat->cursor + 1)) {
		set_behind(seat, true);
		touch(audiences, seat->chat);
		return;
	}
	if (broadcast->last > 0)
		seat->cursor = broadcast->last;
	if (broadcast->speaker == seat->chat)
		return;
	audiences_queue(audiences, seat->chat, packet);
}

void audiences_broadcast(struct audiences *audiences, const struct broadcast *broadcast)
{
	struct audience *audience = audience_at(audiences, broadcast->slot);

	if (!audience)
		return; /* nobody could be seated either */
	for (size_t i = 0; i < audience->n; i++) {
		/* One after the other they lie anywhere in memory. */
		if (i + 4 < audience->n)
			__builtin_prefetch(&audience->seats[i + 4]->peer->stream);
		deliver(audiences, audience->seats[i], broadcast);
	}
}

/*
 * Catching up
 */

bool audiences_wants_fetch(struct chat *chat)
{
	struct seat *seat;

	if (chat->fetching)
		return false;
	LIST_FOR_EACH(seat, &chat->seats, struct seat, link) {
		if (!seat->behind)
			continue;
		/* Next time, it is another one's turn. */
		list_remove(&seat->link);
		list_append(&chat->seats, &seat->link);
		chat->fetch =
			(struct fetch){.chat = chat, .room = seat->room, .cursor = seat->cursor};
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
	if (seat && fetch->packet) {
		seat->cursor = fetch->cursor;
		if (fetch->packet->len > 0)
			audiences_queue(audiences, chat, fetch->packet);
		if (fetch->caught_up)
			set_behind(seat, false);
	}
	packet_unref(fetch->packet);
	fetch->packet = NULL;
	touch(audiences, chat);
}
