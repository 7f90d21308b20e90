/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a conversation looks: what others wrote, made harmless, with time, colours and days; and
 * notices of our own. Written above the line that is being typed, if there is one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "chat_kept.h"
#include "chat_line.h"
#include "util.h"

struct screen {
	struct line *line; /* what is typed at the bottom; NULL: nothing */
	bool color;
	bool many_colors; /* 256, not 8 */
	bool bell;	  /* for mentions */
	bool no_notices;
	bool rooms;    /* each message says in which room it is */
	int year, day; /* of the last message; day of the year */
	struct buffer text;
};

/* Finds out what standard output can show. Messages of today need no day. */
void screen_init(struct screen *screen, struct line *line);
void screen_done(struct screen *screen);

/* Shows a message; one to or from a single person when its room begins with "@". */
void screen_said(struct screen *screen, const struct said *said);

/* Shows a line of our own, "-- …"; whatever it is made of is made harmless. */
void screen_notice(struct screen *screen, const char *format, ...) PRINTF(2, 3);

/* The same of something that went wrong: on standard error where nobody types. */
void screen_warn(struct screen *screen, const char *format, ...) PRINTF(2, 3);

/* Rings the bell, if it was asked for. */
void screen_ring(struct screen *screen);

/* Hands on what was written; the typed line is back. Returns 0 or -errno. */
int screen_flush(struct screen *screen);
