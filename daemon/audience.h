/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The members of rooms that are connected to one worker. A member's seat holds a cursor into the
 * room's log: the number of the last message it has been sent. While it keeps up, it gets what the
 * hub broadcasts; one that waits to be read by its client is behind, gets nothing for a while, and
 * is then served from the log until it has caught up with the broadcasts again.
 *
 * For the worker's thread.
 */

#include "chat_mail.h"

/* All rooms of one worker. */
struct audiences {
	struct audience *slots; /* by the room's slot; owned */
	size_t n;
	struct list touched;   /* of struct chat: those who have got something since */
	struct ledger *ledger; /* NULL: there is none */
};

void audiences_init(struct audiences *audiences);
void audiences_done(struct audiences *audiences);

/* Gives a seat, or takes it away. */
void audiences_seat(struct audiences *audiences, const struct seating *seating);

/*
 * Queues a broadcast for all whom it concerns. at_once says that nothing else is to come in this
 * turn: whoever has got nothing else is sent it, and what does not go is queued.
 */
void audiences_broadcast(struct audiences *audiences, const struct broadcast *broadcast,
			 bool at_once);

/*
 * Readies chat->fetch for a seat that is behind. Returns false when there is none, or when a fetch
 * is under way.
 */
bool audiences_wants_fetch(const struct audiences *audiences, struct chat *chat);

/* Queues what chat->fetch brought. */
void audiences_fetched(struct audiences *audiences, struct chat *chat);

/* Calls each for every seat of a connection, with the room's number and the seat's cursor. */
void audiences_each_seat(const struct audiences *audiences, const struct chat *chat,
			 void (*each)(uint64_t room, uint64_t cursor, void *data), void *data);

/* Takes away all seats of a connection that is no more. */
void audiences_leave(struct audiences *audiences, struct chat *chat);

/* Has the connection flushed at the end of the turn. */
void audiences_touch(struct audiences *audiences, struct chat *chat);

/* Queues a packet for one connection, and marks it as touched. Dooms it when out of memory. */
void audiences_queue(struct audiences *audiences, struct chat *chat, struct packet *packet);
