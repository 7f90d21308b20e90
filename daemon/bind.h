/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opens the sockets that listeners listen on, and explains why one cannot be opened. */

#include <sys/types.h>

#include "address.h"

/* What a Unix socket's file looks like. */
struct bind_file {
	mode_t mode;
	uid_t uid; /* (uid_t)-1: the process's own */
	gid_t gid; /* (gid_t)-1: likewise */
};

/*
 * Opens a non-blocking socket bound to endpoint, listening if it is a stream. A Unix socket's file
 * that nobody listens on any more is replaced. Returns 0 or a negative errno; -EAFNOSUPPORT and
 * -EADDRNOTAVAIL also when the host does not have the address's family.
 */
int bind_open(const struct endpoint *endpoint, const struct bind_file *file, int *ret_fd);

/* Sets what bind_open() sets on a socket that somebody else has opened. */
int bind_adopt(const struct endpoint *endpoint, int fd);

/* Removes the file of a Unix socket that bind_open() made; for the other kinds does nothing. */
void bind_remove(const struct endpoint *endpoint);

enum { BIND_EXPLANATION_MAX = 512 };

/*
 * Says in a sentence why bind_open() failed with error and what can be done. Returns the exit
 * status of sysexits.h that fits: EX_UNAVAILABLE, EX_NOPERM or EX_OSERR.
 */
int bind_explain(const struct endpoint *endpoint, int error,
		 char text[static BIND_EXPLANATION_MAX]);
