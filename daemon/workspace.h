/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The memory that a thread lends to whichever connection has its turn, so that a connection owns
 * none between turns. Nothing in it outlives the turn but its capacity.
 */

#include "answers.h"
#include "payload.h"
#include "transform.h"

struct workspace {
	struct bytes input; /* what a turn receives into; owned */
	struct answers answers;
	struct scratch scratch;
	struct payload_scratch payload_scratch;
	struct buffer json; /* one JSON answer */
};

/* Returns 0 or -ENOMEM. input is how many bytes one turn may receive. */
int workspace_init(struct workspace *workspace, size_t input);

/* Accepts a half-built or zero-initialised workspace. */
void workspace_done(struct workspace *workspace);

/* Readies the workspace for the next turn, and gives the memory of very long messages back. */
void workspace_clear(struct workspace *workspace);
