/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A conversation: the connection, the rooms, and what of both is on the screen. All parts of
 * "retort chat" work on it; here is what they share: when a message is shown, and the prompt.
 *
 * Messages of the current room and to a single person are shown at once, those of other rooms when
 * one goes there. Those that were missed are held until it is known how many there are. Where
 * nobody types everything is shown at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat_kept.h"
#include "chat_rooms.h"
#include "chat_screen.h"
#include "list.h"
#include "retort.h"

struct talk {
	struct retort *retort; /* borrowed, as is screen */
	struct screen *screen;
	bool typing;	/* a person types: see above */
	bool json;	/* messages are shown as JSON, and nothing else is */
	bool quiet;	/* who comes and goes is not shown */
	uint64_t lines; /* of history that a room begins with */

	struct rooms rooms;
	struct list requests; /* unanswered ones; see chat_request.h */
	size_t joins;	      /* of them, steps into rooms */
	char *held_back;      /* a line that is to be said again at once_more; owned */
	uint64_t once_more;   /* on the clock of clock_now() */
	char *nick;	      /* as it was told last; owned */
	bool refused;	      /* something was not done as asked */
	bool quit;

	bool lost;	    /* the connection */
	bool waits;	    /* and it was told how long it takes until the next try */
	bool taken;	    /* it stands, but the nick is taken, and that was told */
	bool back;	    /* it is there again, and what was missed comes */
	struct kept missed; /* held meanwhile */
	size_t n_missed;    /* of them, by others */
	uint64_t settled, settled_at_last; /* when they are shown, on the clock of clock_now() */
};

/* Makes it empty, with no connection and no screen yet. */
void talk_init(struct talk *talk);
void talk_done(struct talk *talk);

/* Handles a message that has just come. */
void talk_message(struct talk *talk, const char *room, const struct retort_message *message,
		  bool mine);

/* Makes of a message what is shown; borrows its strings. */
struct said talk_said(const struct talk *talk, const char *room,
		      const struct retort_message *message, bool mine);

/* Shows a message now, whatever room it is of. */
void talk_show(struct talk *talk, const struct said *said);

/* Shows what came in a room meanwhile, and counts it as seen. */
void talk_show_kept(struct talk *talk, struct room *room);

/* Looks at a room from now on, and shows what came there meanwhile. */
void talk_switch(struct talk *talk, struct room *room);

/* The room that lines are said in is gone; tells so when another one is looked at now. */
void talk_remove(struct talk *talk, struct room *room);

/* Tells what we are called when that is something else now; the first time it is no news. */
void talk_nick(struct talk *talk);

/* The connection was lost; it is back; it is time to show what was missed. */
void talk_lost(struct talk *talk);
void talk_back(struct talk *talk);
void talk_settle(struct talk *talk);

/* When to call talk_settle(), on the clock of clock_now(). */
uint64_t talk_deadline(const struct talk *talk);

/* Renews the prompt; to be called before each wait. */
void talk_prompt(struct talk *talk);
