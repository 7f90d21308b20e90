/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the server's frames mean: replies to what was asked, and events. */

#include "retort_state.h"

/*
 * Takes what one frame says: moves cursors, and puts events for the program. What breaks the
 * protocol, or ends the connection otherwise, has ended it on return. Returns 0, or -ENOMEM with
 * nothing taken.
 */
int receive_frame(struct retort *retort, struct bytes body);
