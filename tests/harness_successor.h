/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's main thread within the test's own process, as far as it takes up what another one
 * has left and leaves that to the next: real workers and a real hub, but listeners without sockets
 * and no service manager. For tests that need thousands of them. Whatever fails aborts the process.
 */

#include "server_state.h"

struct successor {
	const char *config; /* borrowed */
	struct server server;
	unsigned echoes; /* that have come */
};

/* Readies one, which has nothing to serve yet, for this configuration, a text. */
void successor_start(struct successor *successor, const char *config);

/* Ends it, and all that it serves. */
void successor_stop(struct successor *successor);

/* How much of what the last one has left was taken up. */
enum successor_taken {
	SUCCESSOR_NOTHING, /* it was refused: the connections are closed, and that is all */
	SUCCESSOR_PART,	   /* some connections, or some of what was known of people, are lost */
	SUCCESSOR_ALL,
};

/*
 * Takes up what was stored, which is used up; hands it over from one to the next, which each take
 * all of it, until what they leave is the same bytes, as nothing is to be said any more; and serves
 * until the connections are over, of which these are the clients' ends: they are read from to their
 * end, and closed. The successor is ready for something else then.
 */
enum successor_taken successor_inherit(struct successor *successor, struct handover_stored *stored,
				       int *clients, size_t n);

/*
 * Makes a connection that does not block, the client's end first: a pair of Unix sockets, which
 * proves who the client is, or one over TCP, which does not.
 */
void successor_connect(int ends[static 2], bool proven);

/*
 * How many descriptors are open. Whoever asks the name service may have one for a while longer, so
 * it waits until there are as many as expected; 0: as there are.
 */
size_t successor_count_files(size_t expected);
