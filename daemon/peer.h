/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One connection's life. Everything that a connection is stands in struct peer, and nothing of it
 * on a stack: its state, what it sent of an unfinished message, what it is owed. A peer belongs to
 * the thread whose loop it is in, from peer_start() until that thread has reaped it.
 *
 * A turn is: receive once, cut, handle, send once, decide; or, when the socket takes bytes again,
 * send. Turns are bounded by the workspace's input.
 */

#include <stdbool.h>

#include "list.h"
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
 * Starts to serve a connection in the calling thread's peers. The caller has set id, name,
 * listener, worker, session and stream of a zeroed peer, and reason when the client is to be told
 * that, and no more. Whatever fails dooms the peer.
 */
void peer_start(struct peer *peer, struct peers *peers);

/*
 * Ends the connection in order: no message is taken any more, reason is said behind what is owed,
 * all of it is sent, and the peer's end awaited, no longer than timeouts.drain altogether. reason
 * is static. A connection that is ending already is left alone.
 */
void peer_end(struct peer *peer, const char *reason);

/*
 * Likewise, for a reason that need not outlive the call; kind, which is static, says it to the log.
 * With reconnect, the client is told to come back.
 */
void peer_dismiss(struct peer *peer, const char *kind, const char *reason, bool reconnect);

/*
 * Ends the connection as peer_end() does, but not before what the peer had sent by now is answered;
 * all of it no longer than timeouts.drain.
 */
void peer_finish(struct peer *peer, const char *reason);

/*
 * Puts what others have to say to a peer behind what it is owed; peer_flush() sends it. One that
 * is not served any more gets nothing. Returns 0 or -ENOMEM.
 */
int peer_queue(struct peer *peer, struct packet *packet);

/*
 * Likewise, but sends the packet at once when nothing waits before it. Returns whether
 * peer_flush() is due.
 */
bool peer_send(struct peer *peer, struct packet *packet);

/* Sends what was queued, in one call, and decides what follows. */
void peer_flush(struct peer *peer);

/* Goes on with the messages of a peer whose session put them off (SESSION_LATER). */
void peer_resume(struct peer *peer);

/* What the thread's loop calls when a peer's timer is due. */
void peer_expired(struct timer *timer);

/* Has other settings from now on; they outlive the peer. */
void peer_set_settings(struct peer *peer, const struct settings *settings);

/* Ends the connection at once. reason is static. */
void peer_doom(struct peer *peer, const char *reason);

/* Closes the socket and frees what a doomed peer owns, but not the peer. */
void peer_done(struct peer *peer);
