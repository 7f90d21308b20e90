/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A datagram socket: every datagram is a message, answered to its sender, in batches. It keeps no
 * state of its senders. What retort-protocol(7) forbids to answer is counted and dropped.
 */

#include <stdbool.h>

#include "list.h"
#include "loop.h"
#include "mailbox.h"
#include "ports.h"
#include "session.h"

struct datagram_batch;
struct listening;

/* What the datagram sockets of one thread share; owned by the thread. */
struct datagrams {
	struct loop *loop;
	struct workspace *workspace;
	struct datagram_batch *batch; /* owned */
	struct list all;
};

struct datagram {
	struct letter letter; /* carries the socket to its worker and back */
	struct letter stop;   /* asks for it back, perhaps while letter is on its way yet */
	bool asked_back;      /* stop was posted; for its owner alone */
	struct watch watch;
	struct list link;
	struct datagrams *datagrams;
	struct listening *listening; /* for its owner alone */
	struct session session;
	const struct ports *ports;
	int fd; /* owned by the listener, which closes it when the socket came back */
};

/* Returns 0 or -ENOMEM. loop and workspace are borrowed. */
int datagrams_init(struct datagrams *datagrams, struct loop *loop, struct workspace *workspace);

/*
 * Starts to serve the socket in the calling thread. The caller has set the other members of a
 * zeroed datagram. Returns 0 or a negative errno; datagram_stop() is due in both cases.
 */
int datagram_start(struct datagram *datagram, struct datagrams *datagrams);

/* Stops serving it. */
void datagram_stop(struct datagram *datagram);

/* Frees what is shared; every socket was stopped before. */
void datagrams_done(struct datagrams *datagrams);
