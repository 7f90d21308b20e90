/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who a connection belongs to, as far as its transport proves it: for a Unix socket the user and
 * groups that the kernel vouches for (SO_PEERCRED, SO_PEERGROUPS; unix(7)) and the system service
 * that the peer is part of. Nothing here looks up a name: that may take long, and is for users.h.
 */

#include <stdbool.h>
#include <sys/types.h>

struct identity {
	bool proven; /* else all below is nothing */
	uid_t uid;
	gid_t *groups; /* with the primary one; owned */
	size_t n_groups;
	char *unit; /* "NAME.service", when the peer is a systemd service; NULL: none; owned */
};

/* Asks the kernel who is connected to fd. Returns 0 or -ENOMEM. From any thread. */
int identity_get(int fd, struct identity *ret_identity);
void identity_done(struct identity *identity);
