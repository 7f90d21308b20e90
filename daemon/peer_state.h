/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a connection is. Everything stands in struct peer, and nothing of it on a stack: its state,
 * what it sent of an unfinished message, what it is owed. A peer belongs to the thread whose loop
 * it is in.
 *
 * Below are the moves of that state that receiving and every other part of a connection's life
 * share. Only peer_doom() and peer_about() are for others than peer.c and peer_receive.c.
 */

#include <stdbool.h>

#include "ledger.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "mailbox.h"
#include "peer_name.h"
#include "session.h"
#include "stream.h"

enum peer_state {
	PEER_SERVING,	/* messages come and are answered */
	PEER_FLUSHING,	/* no message is taken any more; what is owed is sent */
	PEER_LINGERING, /* all is sent and the peer knows it; its end is awaited */
	PEER_DOOMED,	/* over; reaped at the end of the loop's turn */
};

/* What peers of one thread share; owned by the thread. */
struct peers {
	struct loop *loop;
	struct workspace workspace;
	struct list all;	     /* every peer that is not doomed */
	struct list doomed;	     /* to be reaped */
	struct audiences *audiences; /* of the chat service */
	struct letters *to_hub; /* what sessions have to say to the hub after the loop's turn */
	struct ledger *ledger;	/* NULL: connections need not outlive a process that is killed */
	bool suspended;		/* nothing is received, and no message is taken up: see worker.h */
};

struct listener;

struct peer {
	struct letter letter; /* carries the peer from thread to thread */
	struct watch watch;
	struct timer timer;
	struct list link; /* in peers->all or peers->doomed */
	struct peers *peers;
	struct listener *listener; /* for its owner alone */
	struct session session;
	/* What a packet for a thousand peers needs of each lies together. */
	struct stream stream;
	enum peer_state state : 8;
	uint8_t events;	       /* what the loop watches for */
	bool input_ended : 1;  /* the peer has said that nothing follows */
	bool owes_reading : 1; /* so much waits for it that it is not read from */
	bool admitted : 1;     /* counted as a client; for its owner alone */
	bool finishing : 1;    /* it ends as soon as bytes_in has come to last_byte */
	bool kept : 1;	       /* the last process served it: it is not opened but goes on */
	bool orphan : 1;       /* kept, and its listener is gone: it ends when it has begun */
	struct peer_name name;
	uint64_t active; /* when a byte last moved */
	uint64_t bytes_in, bytes_out, messages;
	struct buffer input; /* what a turn left: an unfinished message, or all that waits */
	size_t scanned;	     /* bytes of it that hold no end of a message */
	uint64_t id;	     /* RETORT_CLIENT: never used again */
	uint64_t since;	     /* when the unfinished message, or our closing, began; 0: neither */
	uint64_t last_byte;  /* of the input, when finishing: what had come by then */
	const char *reason;  /* why the connection ends, statically; NULL while it does not */
};

/*
 * Says to the ledger that the connection is in the middle of something: before its bytes are taken
 * or given, or its place in a log moves. decide(), or peer_note(), says what follows.
 */
static inline void peer_note_busy(struct peer *peer)
{
	struct ledger *ledger = peer->peers->ledger;

	if (ledger)
		ledger_set_idle(ledger, peer->letter.entry, false);
}

/* Says to the ledger whether the connection is between messages. */
static inline void peer_note(struct peer *peer)
{
	struct ledger *ledger = peer->peers->ledger;

	if (ledger)
		ledger_set_idle(ledger, peer->letter.entry,
				peer->state == PEER_SERVING && !peer->input_ended &&
					!peer->finishing && peer->input.len == 0 &&
					peer->stream.pending == 0 && peer->session.waiting == 0 &&
					!peer->session.later && !peer->session.unplaced);
}

/* Ends the connection at once. reason is static. */
void peer_doom(struct peer *peer, const char *reason);

/* Likewise, for a negative errno, which is counted and, for want of memory, logged. */
void peer_fail(struct peer *peer, int error);

/* The one setter of peer->state. */
void peer_set_state(struct peer *peer, enum peer_state state);

/* Whom an entry of the log is about, with strings of the peer's; text is for its name. */
void peer_about(const struct peer *peer, char text[static PEER_NAME_MAX],
		struct log_about *ret_about);

/* Logs that a client is being cut off, and remembers why. reason is static. */
void peer_complain(struct peer *peer, enum log_kind kind, const char *reason);

/* Sends the turn's answers. With eager, also tries when older bytes wait. */
void peer_send_answers(struct peer *peer, bool eager);

/* Stops taking messages: the peer is told reason (unless NULL) behind all that it is owed. */
void peer_refuse_more(struct peer *peer, const char *reason);
