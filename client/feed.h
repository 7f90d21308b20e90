/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many requests of one kind, one for each line of the input: retort say, and retort transform. The
 * feed has several on their way, keeps their order, waits when the server says that they come too
 * fast, and goes on over lost connections as long as it gets on.
 *
 * A line that is too long for the server is complained about, and the others go on; any other
 * refusal ends it all. A NUL, which no text can hold, becomes U+FFFD, as what is not UTF-8 does.
 */

#include "connection.h"
#include "source.h"

enum { FEED_WINDOW = 64 }; /* requests on their way, at the most */

struct feed_line {
	uint64_t number; /* from 1 */
	uint64_t cookie; /* of its request; 0: not on its way */
	bool done;	 /* answered, but one before it is not */
	uint64_t offset; /* bytes of input up to its end */
	char *text;	 /* without the line's end; owned */
	size_t len;
};

struct feed {
	/* What the caller sets. */
	struct connection *connection; /* connected; borrowed */
	struct source *source;	       /* borrowed */
	struct retort_request request; /* of every line, but for its text */
	/* It is said in a room: what holds for messages holds, and it must not be said twice. */
	bool says;
	/* Takes the answer to a line; returns STATUS_GO_ON or the status to exit with. */
	int (*answer)(struct feed *feed, const struct retort_reply *reply);
	void (*progress)(struct feed *feed); /* called often; NULL: nobody wants to know */
	void *data;			     /* the caller's */

	/* What the caller may read. */
	uint64_t taken;	   /* lines of the input */
	uint64_t answered; /* of them */
	uint64_t offset;   /* bytes of input up to the first that is not answered */

	/* The rest is the feed's own, and zero at first. */
	uint64_t taken_offset;
	bool refused;			     /* a line was too long */
	struct feed_line lines[FEED_WINDOW]; /* a ring: those not answered */
	size_t first, n_lines;
	size_t bytes;		     /* of their texts */
	bool alone;		     /* one at a time, since the server counts them */
	bool drains;		     /* some are to be sent again, once nothing is on its way */
	uint64_t not_before;	     /* when, in nanoseconds */
	uint64_t moved;		     /* when it got on, or began to wait for something */
	int lost;		     /* what ended the connection; 0: it stands */
	struct retort_limits limits; /* 0: not known */
};

/* Runs to the end. Complains, and returns the status to exit with. */
int feed_run(struct feed *feed);

/* Frees what is left. */
void feed_done(struct feed *feed);
