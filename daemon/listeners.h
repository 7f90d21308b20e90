/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All listeners of the daemon: opened, served, changed by a reload, and closed. For the main
 * thread.
 */

#include "crew.h"
#include "door.h"
#include "listener.h"
#include "plan.h"
#include "ports.h"

struct listeners {
	struct list all;    /* of struct listener, also those that are gone but not yet forgotten */
	struct crew *crew;  /* borrowed */
	struct door *door;  /* borrowed */
	struct ports ports; /* on which datagrams are answered */
	struct totals forgotten; /* what listeners have done that are no more */
};

/*
 * Opens every listener of the first configuration. Returns 0 or an exit status of sysexits.h; all
 * that is wrong has been logged. Nothing is served yet.
 */
int listeners_open(struct listeners *listeners, struct generation *generation,
		   struct inherited *inherited);

/*
 * Likewise for the control socket, which no configuration names and no reload changes; config
 * outlives it.
 */
int listeners_open_control(struct listeners *listeners, struct generation *generation,
			   const struct listener_config *config, struct inherited *inherited);

/*
 * Returns a listener without sockets, of a name that is not served any more, for connections that
 * are to end; one for all of a name and service. It goes with the last of them. NULL when out of
 * memory.
 */
struct listener *listeners_stand_in(struct listeners *listeners, struct generation *generation,
				    const char *name, enum service_kind service,
				    enum dialect_id dialect);

/*
 * Starts to serve the datagram sockets that are open. Before connections of the last process are
 * taken up: whoever sends to a stream waits, and what is sent here may be lost when that takes
 * long. Returns 0 or a negative errno.
 */
int listeners_begin_with_datagrams(struct listeners *listeners);

/* Starts to serve what is open, and says so. Returns 0 or a negative errno. */
int listeners_serve(struct listeners *listeners);

/* Plans how to come to generation, as plan_make() does. */
int listeners_plan(struct listeners *listeners, struct generation *generation,
		   struct plan *ret_plan, struct config_problems *problems);

/*
 * Does what was planned: afterwards generation is what is served to new clients, and what it does
 * not name is gone. The workers have still to be told.
 */
void listeners_apply(struct listeners *listeners, struct plan *plan);

/* Stops listening everywhere. */
void listeners_close(struct listeners *listeners);

/* Takes back what a worker has given back. */
void listeners_peer_gone(struct listeners *listeners, struct peer *peer);
void listeners_datagram_gone(struct listeners *listeners, struct datagram *datagram);

/* Frees all of them. No worker runs any more. */
void listeners_done(struct listeners *listeners);
