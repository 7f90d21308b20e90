/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rooms that a client is in or is about to be in, and how far it has seen each: this makes a
 * message come once, whatever connections come and go.
 */

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

struct cursor {
	struct list link;
	char *room;	/* as the server writes it, once it has; owned */
	char *folded;	/* what it is compared by; owned */
	bool unasked;	/* of direct messages that came by themselves */
	bool joined;	/* the server has said so, on this connection or an earlier one */
	bool evicted;	/* it said that we left, and nothing of the room since then */
	bool known;	/* seq says something */
	bool heard;	/* and the server itself has told it */
	uint64_t seq;	/* the last number seen; 0: from the oldest kept */
	uint64_t join;	/* cookie of the last join that is not answered; 0: none */
	uint64_t leave; /* likewise */
};

/* The cursor of this room, in any spelling; NULL when there is none. */
struct cursor *cursor_find(const struct list *cursors, const char *room);

/* Adds a cursor that knows nothing. Returns NULL when out of memory. */
struct cursor *cursor_add(struct list *cursors, const char *room);
void cursor_free(struct cursor *cursor);

/* Remembers the server's spelling; without memory for it, the old one does. */
void cursor_spell(struct cursor *cursor, const char *room);

/*
 * Between a leave that is not answered and the join after it, what comes belongs to the time before
 * and is for nobody.
 */
static inline bool cursor_is_deaf(const struct cursor *cursor)
{
	return cursor->leave != 0 && cursor->join > cursor->leave;
}

enum cursor_pass {
	CURSOR_NEW,  /* to be delivered; the cursor is not moved yet */
	CURSOR_OLD,  /* seen before, or for nobody */
	CURSOR_JUMP, /* numbers between are missing */
};

/* What a message with this number is to the cursor. */
enum cursor_pass cursor_look(const struct cursor *cursor, uint64_t seq);

/* Moves the cursor to this number. */
void cursor_move(struct cursor *cursor, uint64_t seq);
