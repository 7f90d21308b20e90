/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection as a record, for the next process: what it is, what it has sent of an unfinished
 * message, and what it is owed. Its descriptor goes another way.
 */

#include "peer_state.h"
#include "record.h"

/* What of a peer is the listener's, to be looked up in the configuration as it is now. */
struct peer_origin {
	char *listener; /* its name; owned */
	enum service_kind service;
	char *reason; /* why the connection ends, NULL while it does not; owned */
};
void peer_origin_done(struct peer_origin *origin);

/* Writes down a peer that its worker has given back as it is. */
void peer_put(const struct peer *peer, struct record *record);

/*
 * Makes a peer that goes on with the connection, which is fd. The caller sets its listener, worker,
 * reason, and the session's service, settings and counters. Returns NULL, with fd left alone, when
 * that cannot be.
 */
struct peer *peer_get(struct record_reader *reader, int fd, struct peer_origin *ret_origin);

/* Closes the connection of a peer that no worker has, and frees what it owns, but not the peer. */
void peer_release(struct peer *peer);

/* Likewise, with the peer. NULL is nothing. */
void peer_free(struct peer *peer);
