/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All workers of the daemon, and who has the least to do. For the main thread. */

#include "worker.h"

struct crew_member {
	struct worker *worker;
	uint64_t load; /* connections and datagram sockets it has been given and has not given back
			*/
	struct letters gathered; /* to be posted together */
};

/* Zero-initialised there are none. */
struct crew {
	struct crew_member *members;
	unsigned n;
	unsigned next; /* where the search for the least busy one begins */
};

/* Starts n workers as worker_start() does. Returns 0 or a negative errno, and then none runs. */
int crew_start(struct crew *crew, unsigned n, struct mailbox *manager, struct mailbox *hub,
	       struct ledger *ledger);

/* Returns the number of the worker that has the least to do, and counts one thing more for it. */
unsigned crew_choose(struct crew *crew);

/* Keeps a letter for a chosen worker until all that were kept are posted: thousands wake it once.
 */
void crew_gather(struct crew *crew, unsigned worker, struct letter *letter, enum letter_kind kind);
void crew_post_gathered(struct crew *crew);

/* Posts a peer or a datagram to a chosen worker. */
void crew_post(struct crew *crew, unsigned worker, struct letter *letter, enum letter_kind kind);

/* Notes that a worker has given something back. */
void crew_gave_back(struct crew *crew, unsigned worker);

/* Posts an order to all; see worker_order(). */
void crew_order(struct crew *crew, enum letter_kind kind);

/* Waits for all to end after LETTER_QUIT. What they have posted can be collected then. */
void crew_join(struct crew *crew);

/* Frees all, once they have been joined and what they have posted has been read. */
void crew_done(struct crew *crew);
