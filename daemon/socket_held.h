/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a process has the sockets open that a listener is to have. */

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"

/*
 * Whether a process has the socket of this endpoint of a listener open; of one that is a file,
 * whether it has the permissions and owner that the listener asks for, too. Nobody is disturbed by
 * it.
 */
bool socket_is_held(pid_t pid, const struct endpoint *endpoint,
		    const struct listener_config *listener);
