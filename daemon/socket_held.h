/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a socket is open already, as far as that is seen from outside of who holds it. */

#include <stdbool.h>

#include "config.h"

/* Whether a Unix socket is bound to this path, as /proc/net/unix has it. */
bool socket_is_bound(const char *path);

/*
 * Whether somebody, whoever it is, holds the socket of an endpoint; of one that is a file, whether
 * it has the permissions and owner that listener asks for. When in doubt, yes. Nobody is disturbed:
 * for a moment the address is bound, but nothing listens there.
 */
bool socket_is_held(const struct endpoint *endpoint, const struct listener_config *listener);
