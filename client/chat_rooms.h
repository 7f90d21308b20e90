/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rooms that we are in, as a person at the screen sees them: which one is looked at, what came
 * in the others meanwhile, and who speaks there. Knows neither the server nor the screen.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"
#include "chat_kept.h"

enum {
	ROOM_NICKS = 500,   /* whom we know of in a room, the last who spoke first */
	ROOMS_KNOWN = 1000, /* of which rooms we know, for their completion */
};

struct room {
	char *name; /* as the server calls it */
	char *folded;
	char **nicks;
	size_t n_nicks;
	size_t unread;	/* messages of others since it was looked at */
	bool mentioned; /* one of them speaks of us */
	struct kept kept;
};

struct rooms {
	struct room **all; /* in the order of joining; owned */
	size_t n;
	struct room *current; /* NULL: none */
	char **known;	      /* names of rooms, ours or not; owned */
	size_t n_known;
};

void rooms_done(struct rooms *rooms);

/* Finds a room by its name, in any letter case; NULL when there is none. */
struct room *rooms_find(const struct rooms *rooms, const char *name);

/* Finds or adds a room; the first one becomes current. NULL when out of memory. */
struct room *rooms_add(struct rooms *rooms, const char *name);

/* Takes a room away; when it was current, its neighbour is. */
void rooms_remove(struct rooms *rooms, struct room *room);

/* Notes that there is a room of this name. */
void rooms_know(struct rooms *rooms, const char *name);

/* Appends the prompt: "[ops] ", or "[ops | build 3, web 1!] " with what is unread elsewhere. */
int rooms_prompt(const struct rooms *rooms, bool connected, struct buffer *prompt);

/* Notes that somebody is there, or has just spoken; or is there no more. */
void room_meet(struct room *room, const char *nick);
void room_part(struct room *room, const char *nick);

/* Says whether text has the nick in it as a word, in any letter case. */
bool nick_mentioned(const char *nick, const char *text);
