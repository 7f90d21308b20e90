/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service manager passes us: the sockets that it has opened, and what the last process has
   left with it: sd_listen_fds(3). */

#include <stdbool.h>
#include <stddef.h>

#include "address.h"
#include "handover.h"

struct inherited_socket {
	int fd;			  /* owned until taken; then -1 */
	char *name;		  /* its FileDescriptorName=; owned */
	const char *listener;	  /* by its name, of which this is a part: whose it is */
	bool own;		  /* the last process has opened it, and not the manager */
	bool wanted;		  /* likewise, and the configuration asks for it: see listeners.c */
	struct endpoint endpoint; /* where it is bound */
};

/* Empty with -1 for the descriptors of stored, and zero for the rest. */
struct inherited {
	struct inherited_socket *sockets;
	size_t n;
	struct handover_stored stored; /* for handover_take(), unless there is nothing */
};

/*
 * Takes the sockets over from the environment, which is cleaned of them. What is no listening
 * stream socket or datagram socket of a family we serve is closed with a warning that names it.
 * Returns 0 or a negative errno.
 */
int inherit(struct inherited *ret_inherited);

/*
 * Whether a socket that was opened elsewhere serves an endpoint of this listener: the same kind of
 * socket, bound to the same address. Where any port will do, the one that the listener had does.
 */
bool inherited_serves(const struct inherited_socket *socket, const char *listener,
		      const struct endpoint *endpoint);

/*
 * Whether one of the sockets of this name, taken or not, is bound where an address of the
 * configuration says. When that cannot be known, yes.
 */
bool inherited_is_at(const struct inherited *inherited, const char *name,
		     const struct address *address);

/* Whether the service manager has opened the Unix socket at this path, and nobody has taken it. */
bool inherited_has_path(const struct inherited *inherited, const char *path);

/* Closes a socket of the last process's own, and has the manager drop it, which takes a while. */
void inherited_drop(struct inherited_socket *socket);

/* Closes that socket without a word, if there is one: it was to be taken, and cannot be now. */
void inherited_drop_path(struct inherited *inherited, const char *path);

/*
 * Closes what nobody has taken, and frees the rest. Each is logged, with a warning unless it is the
 * last process's own.
 */
void inherited_done(struct inherited *inherited);
