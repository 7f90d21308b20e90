/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The door: connections are accepted, counted against the limits, and given to a worker, or told
 * why not. When the process has no file descriptor left for another client, the door is shut and
 * the kernel lets the others wait; it opens by itself when somebody leaves. For the main thread.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "crew.h"
#include "listener.h"
#include "peer.h"
#include "vault.h"

struct door {
	sd_event *event;	     /* borrowed */
	struct crew *crew;	     /* borrowed */
	struct list *listeners;	     /* borrowed */
	const struct config *config; /* as it is now; borrowed */
	struct vault *vault;	     /* keeps connections should this process be killed; or NULL */
	sd_event_source *timer;	     /* a while after the door was shut or opened; owned */
	uint64_t last_client;	     /* the number given last */
	uint64_t clients;	     /* admitted */
	uint64_t connections;	     /* with those who are only told why they are refused */
	uint64_t capacity;	     /* connections that the open-files limit allows */
	uint64_t reserve; /* descriptors for all that is neither connection nor listener */
	bool shut;
	bool told; /* that it is shut */
};

/* Starts to accept on a stream socket. Returns 0 or a negative errno. */
int door_watch(struct door *door, struct listening *listening);

/*
 * Opens the door, once, when everything else is open: finds out how many connections the
 * open-files limit allows. Returns 0 or a negative errno.
 */
int door_open(struct door *door);

/* The listeners have other sockets now, so that another number of connections is allowed. */
void door_adjust(struct door *door);

/*
 * Counts the descriptors that are neither connection nor listener; before there are connections, as
 * looking at thousands takes its time.
 */
void door_count(struct door *door);

/*
 * Readies a connection of the last process for a worker, whatever the limits are now: the peer has
 * its listener. crew_post_gathered() is due then. Returns false when out of memory.
 */
bool door_take_up(struct door *door, struct peer *peer);

/* Takes a peer back that is over, and frees it. */
void door_gone(struct door *door, struct peer *peer);

/* Stops accepting for good. */
void door_close(struct door *door);
