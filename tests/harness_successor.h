/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's main thread within the fuzz target's own process, as far as it takes up what another
 * one has left and leaves that to the next: real workers and a real hub, but listeners without
 * sockets and no service manager. Whatever fails aborts the process.
 */

#include "server_state.h"

/*
 * Begins with an input: there is a successor, which has nothing to serve yet, for this
 * configuration, a text that is the same each time.
 */
void successor_begin(const char *config);

/*
 * Makes a connection that does not block, the client's end first: a pair of Unix sockets, which
 * proves who the client is, or one over TCP, which does not.
 */
void successor_connect(int ends[static 2], bool proven);

/* How much of what the last one has left was taken up. */
enum successor_taken {
	SUCCESSOR_NOTHING, /* it was refused: the connections are closed, and that is all */
	SUCCESSOR_PART,	   /* some connections, or some of what was known of people, are lost */
	SUCCESSOR_ALL,
};

/*
 * Takes up what was stored, which is used up: all of it, when fuzz_expect() has said so. Hands it
 * over from one to the next, which each take all of it, until what they leave is the same bytes, as
 * nothing is to be said any more; and serves until the connections are over, of which these are the
 * clients' ends: they are read from to their end, and closed. As many descriptors are open then as
 * at the beginning.
 */
enum successor_taken successor_inherit(struct handover_stored *stored, int *clients, size_t n);
