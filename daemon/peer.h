/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One connection's life, from peer_start() until its thread has reaped it.
 *
 * A turn is: receive once, cut, handle, send once, decide; or, when the socket takes bytes again,
 * send. Turns are bounded by the workspace's input.
 */

#include "peer_state.h"

/*
 * Starts to serve a connection in the calling thread's peers. The caller has set id, name,
 * listener, worker, session and stream of a zeroed peer, and reason when the client is to be told
 * that, and no more. One that the last process served is as peer_get() has made it: it goes on.
 * Whatever fails dooms the peer.
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

/* Goes on with what was received and not taken up, as the thread's peers were suspended. */
void peer_go_on(struct peer *peer);

/* Goes on with the messages of a peer whose session put them off (SESSION_LATER). */
void peer_resume(struct peer *peer);

/* What the thread's loop calls when a peer's timer is due. */
void peer_expired(struct timer *timer);

/* Has other settings from now on; they outlive the peer. */
void peer_set_settings(struct peer *peer, const struct settings *settings);

/* Ends a doomed peer's connection even where the service manager has a copy of its descriptor. */
void peer_shut_down(struct peer *peer);

/* Takes a peer out of its thread's peers as it is, so that it can be given to another thread. */
void peer_take_out(struct peer *peer);

/* Closes the socket and frees what a peer owns that is taken out or doomed, but not the peer. */
void peer_done(struct peer *peer);
