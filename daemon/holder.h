/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who holds an address that cannot be bound, as far as this process may know. */

#include <stdbool.h>
#include <sys/types.h>

#include "address.h"

enum { HOLDER_MAX = 96 };

/*
 * Writes the holder of a bound TCP, UDP or Unix address, as "pid 42 (nginx)"; in words when a Unix
 * socket's holder is too busy to tell. Returns 0, or -ENOENT when it cannot be found out, with text
 * untouched. Looks through /proc: slow.
 */
int holder_find(const struct endpoint *endpoint, char text[static HOLDER_MAX]);

/*
 * Whether a process has a socket open that is bound to exactly this address; of streams, one that
 * listens; of the IPv6 wildcard, one that takes IPv4 as well or not, as the endpoint says, unless
 * this process may not look into the other's sockets. Nobody is disturbed by it.
 */
bool holder_is(pid_t pid, const struct endpoint *endpoint);
