/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opens the sockets that listeners listen on, and explains why one cannot be opened. */

#include <sys/types.h>

#include "address.h"

/* What a Unix socket's file is to look like. */
struct bind_file {
	mode_t mode;
	uid_t uid; /* (uid_t)-1: as it was made */
	gid_t gid; /* (gid_t)-1: likewise */
};

/*
 * The file that bind_open() has made, to be told from what others put in its place: while the
 * socket is open, no other file can have its number. Zero-initialised there is none.
 */
struct bind_made {
	dev_t device;
	ino_t inode;
	uid_t uid;
	gid_t gid;
};

/*
 * Opens a non-blocking socket bound to endpoint. A Unix socket's file that nobody listens on any
 * more is replaced. Returns 0 or a negative errno; -EAFNOSUPPORT and -EADDRNOTAVAIL also when the
 * host does not have the address's family. Nobody can connect before bind_listen(), so dressing the
 * file before it lets nobody in with the wrong permissions.
 */
int bind_open(const struct endpoint *endpoint, int *ret_fd, struct bind_made *ret_made);

/*
 * Gives the file that was made for endpoint its owner and permissions; for what has no file does
 * nothing. Returns 0, -ENOENT when the file is not there any more, or another negative errno.
 */
int bind_dress(const struct endpoint *endpoint, const struct bind_made *made,
	       const struct bind_file *file);

/* Lets peers connect; for datagrams does nothing. Returns 0 or a negative errno. */
int bind_listen(const struct endpoint *endpoint, int fd);

/* Sets what bind_open() sets on a socket that somebody else has opened. */
int bind_adopt(const struct endpoint *endpoint, int fd);

/*
 * Removes the file that was made for endpoint, and no other; for what has no file does nothing. To
 * be called before the socket is closed.
 */
void bind_remove(const struct endpoint *endpoint, const struct bind_made *made);

/* Whether this process may open sockets of the internet at all, of whatever version. */
bool bind_has_network(void);

enum { BIND_EXPLANATION_MAX = 512 };

/*
 * Says in a sentence why bind_open() or bind_listen() failed with error and what can be done.
 * Returns the exit status of sysexits.h that fits: EX_UNAVAILABLE, EX_NOPERM or EX_OSERR.
 */
int bind_explain(const struct endpoint *endpoint, int error,
		 char text[static BIND_EXPLANATION_MAX]);
