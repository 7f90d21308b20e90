/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker: a thread with a loop of its own, which owns its connections and datagram sockets
 * entirely. It is spoken to by letters, and answers by letters; a connection and a datagram socket
 * are their own letters, which go to the worker when they begin and come back when they are over.
 */

#include <pthread.h>

#include "datagram.h"
#include "mailbox.h"
#include "peer.h"

enum letter_kind {
	/* to a worker */
	LETTER_PEER,	      /* a struct peer: serve it */
	LETTER_DATAGRAM,      /* a struct datagram: serve it */
	LETTER_DATAGRAM_STOP, /* a struct datagram that it serves: give it back */
	LETTER_UPDATE,	      /* take the listeners' settings anew; comes back */
	LETTER_DRAIN,	      /* end every connection in order */
	LETTER_QUIT,	      /* give everything back and end */
	/* from a worker */
	LETTER_PEER_GONE,
	LETTER_DATAGRAM_GONE,
	LETTER_UPDATED,
	LETTER_FAILED, /* the worker cannot go on */
};

struct worker;

/*
 * Starts a worker that answers to manager. Returns 0 with *ret_worker or a negative errno.
 */
int worker_start(struct mailbox *manager, struct worker **ret_worker);

/* Posts a letter that is a peer or a datagram. */
void worker_post(struct worker *worker, struct letter *letter, enum letter_kind kind);

/*
 * Posts an order without a letter of its own: UPDATE, DRAIN or QUIT. DRAIN and QUIT are posted
 * once at the most, UPDATE again only after its LETTER_UPDATED.
 */
void worker_order(struct worker *worker, enum letter_kind kind);

/* Waits for the thread after LETTER_QUIT. */
void worker_join(struct worker *worker);

/*
 * Frees a worker that was joined, and with it the letters of its orders: all that it posted must
 * have been collected before.
 */
void worker_free(struct worker *worker);
