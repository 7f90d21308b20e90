/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the generator remembers from one run to the next, until the machine is switched off: of
 * every instance the last configuration that was right, as instances_find() looks for it, and the
 * name of every socket unit that there has been. The service manager forgets a unit's file when it
 * is generated no more, and then closes its sockets, but goes on taking the unit for active.
 */

#include "config.h"
#include "instances.h"
#include "socket_units.h"

/* Names of units. Zero-initialised there are none. */
struct unit_names {
	char **names; /* owned */
	size_t n;
};

/*
 * Loads the configuration that was kept last. Returns 0 with a new *ret_config, -ENOENT when there
 * is none, or another negative errno.
 */
int generated_load(const char *directory, const struct instance *instance,
		   struct config **ret_config);

/* Keeps a configuration, in a directory that is made when it is missing. Returns 0 or an errno. */
int generated_keep(const char *directory, const struct instance *instance,
		   const struct config *config);

/*
 * Adds the names of these units to those that are remembered, and gives those of the others: of
 * units that are no more, and of which no other file is known to the service manager. Returns 0 or
 * -ENOMEM; what cannot be read or written is not remembered.
 */
int generated_remember(const char *directory, const struct instance *instance,
		       const struct socket_units *units, struct unit_names *ret_gone);

void unit_names_done(struct unit_names *names);
