/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The chat service, as its worker sees it: messages become requests of the connection's dialect,
 * and go to the hub; replies come back, and become messages. What needs no room (a transform, a
 * ping, a request that is wrong) is answered here.
 *
 * For the worker's thread.
 */

#include "audience.h"
#include "peer_state.h"
#include "session.h"

extern const struct service session_chat;

/* What the worker does with the hub's letters. */
void session_chat_named(struct audiences *audiences, struct naming *naming);
void session_chat_reply(struct audiences *audiences, struct job *job);
void session_chat_dismissed(struct dismissal *dismissal);
void session_chat_placed(struct audiences *audiences, struct chat *chat);

/*
 * Sends what all of them have got since the last time, in one call for each, and goes on with what
 * they had to wait for.
 */
void session_chat_flush(struct audiences *audiences);

/*
 * The connection is no more: says so to the hub, after which LETTER_FORGOTTEN is to be awaited.
 * Returns false when the hub has never heard of it.
 */
bool session_chat_gone(struct audiences *audiences, struct chat *chat);

/* Makes what the service keeps of a connection, before its worker has it; NULL without memory. */
struct chat *session_chat_new(struct peer *peer);

/* Its connection is one of these peers now. */
void session_chat_attach(struct chat *chat, struct peers *peers);

/* Whether the hub is bringing something out of a log; chat may be NULL. */
bool session_chat_is_fetching(const struct chat *chat);

/* Frees what the worker keeps of a connection that the hub has forgotten. NULL is nothing. */
void session_chat_free(struct chat *chat);
