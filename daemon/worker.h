/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker: a thread with a loop of its own, which owns its connections and datagram sockets
 * entirely. It is spoken to by letters, of the main thread and of the hub, and answers by letters;
 * a connection and a datagram socket are their own letters, which go to the worker when they begin
 * and come back when they are over.
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
	LETTER_ECHO,	      /* say that it turns; comes back */
	LETTER_DRAIN,	      /* end every connection in order */
	LETTER_SUSPEND,	      /* take no more in; comes back when all that was taken is answered */
	LETTER_QUIT,	      /* give everything back and end */
	/* to a worker, from the hub; see chat_mail.h */
	LETTER_NAMED,	  /* a struct naming; kept */
	LETTER_REPLY,	  /* a struct job */
	LETTER_SEATING,	  /* a struct seating; freed */
	LETTER_BROADCAST, /* a struct broadcast; freed */
	LETTER_FETCHED,	  /* a struct fetch */
	LETTER_DISMISSAL, /* a struct dismissal; freed */
	LETTER_SURVEY,	  /* a struct survey; comes back */
	LETTER_PLACED,	  /* a struct chat: it has its name and its seats */
	LETTER_FORGOTTEN, /* a struct chat: the hub speaks of it no more */
	LETTER_LET_GO,	  /* the hub says nothing more: give every connection back as it is */
	/* from a worker */
	LETTER_PEER_GONE,
	LETTER_PEER_KEPT, /* a struct peer, for the next process */
	LETTER_DATAGRAM_GONE,
	LETTER_UPDATED,
	LETTER_SUSPENDED,
	LETTER_ECHOED, /* also from the hub */
	LETTER_FAILED, /* the worker cannot go on */
	/* from the hub */
	LETTER_ERRAND,	 /* a struct errand; comes back by errand_done() */
	LETTER_HUB_KEPT, /* see hub_hand_over() */
};

struct worker;

/*
 * Starts a worker that answers to manager, whose chat is with hub, and which keeps the ledger,
 * unless that is NULL. Returns 0 with *ret_worker or a negative errno.
 */
int worker_start(struct mailbox *manager, struct mailbox *hub, struct ledger *ledger,
		 struct worker **ret_worker);

/* Where the hub's letters go. */
struct mailbox *worker_mailbox(struct worker *worker);

/* Posts a letter that is a peer or a datagram. */
void worker_post(struct worker *worker, struct letter *letter, enum letter_kind kind);

/*
 * Posts an order without a letter of its own: UPDATE, ECHO, DRAIN, SUSPEND, LET_GO or QUIT. UPDATE
 * and ECHO are posted again only when the last one has come back, the others once at the most.
 *
 * A worker that is suspended reads letters and does nothing else: what the hub says still reaches
 * the connections. DRAIN has it go on; LET_GO is of use only then, and nothing but QUIT after it.
 */
void worker_order(struct worker *worker, enum letter_kind kind);

/* Waits for the thread after LETTER_QUIT. */
void worker_join(struct worker *worker);

/*
 * Frees a worker that was joined, and with it the letters of its orders: all that it posted must
 * have been collected before.
 */
void worker_free(struct worker *worker);
