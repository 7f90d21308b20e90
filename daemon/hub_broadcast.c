/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include "packet.h"
#include "util.h"

enum {
	PIECE_BYTES = 128 * 1024, /* of messages that are delivered in one packet, about */
	KEPT_BYTES = 1 << 20,	  /* of memory of a piece that is used again */
};

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
