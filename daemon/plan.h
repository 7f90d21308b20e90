/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The first half of a reload: everything is opened before anything is changed. What is to become of
 * each listener is written down; listeners_apply() does it. For the main thread.
 */

#include "listener.h"

struct config_problems;

/* What a reload does with one listener. */
struct step {
	struct list link;
	struct listener *listener;	      /* owned while fresh */
	const struct listener_config *config; /* of the new configuration */
	bool fresh;			      /* the listener is new */
	bool moved;			      /* its addresses have changed */
	struct list opened;		      /* sockets that it gets; owned */
};

/* All that a reload is going to change; everything that can fail has been done. */
struct plan {
	struct generation *generation; /* borrowed */
	struct list steps;	       /* owned */
};

/*
 * Opens what generation asks for beyond what is open, and changes nothing. all are all listeners
 * there are; new ones are for n_threads. Returns 0, or an exit status of sysexits.h after
 * everything that is wrong has been logged or, where it takes more than a reload, is in problems.
 * plan_done() is due in both cases.
 */
int plan_make(const struct list *all, unsigned n_threads, struct generation *generation,
	      struct plan *ret_plan, struct config_problems *problems);

/* Frees a plan, and closes what it opened unless it was applied. */
void plan_done(struct plan *plan);
