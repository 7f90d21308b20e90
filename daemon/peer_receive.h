/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The receiving half of a peer's turn: bytes come, messages are cut and handled, answers are sent,
 * and what is left is kept for the next turn. For peer.c alone.
 */

#include "peer_state.h"

/*
 * Receives once; what has come, and waited before it, is handled, or thrown away when the peer is
 * not served any more. With eager, answers are sent even when older bytes wait.
 */
void peer_take_input(struct peer *peer, bool eager);

/* Forgets what waits in the peer's own buffer. */
void peer_drop_input(struct peer *peer);

/* Handles what waits in the peer's own buffer and, behind it, more; keeps what is left. */
void peer_handle_kept(struct peer *peer, struct bytes more, bool eager);
