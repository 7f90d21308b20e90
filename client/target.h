/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where to connect to: from the command line or the environment down to socket addresses. */

#include <stdbool.h>

#include "address.h"
#include "command.h"

struct target {
	enum transport transport;
	bool implied;		     /* nobody gave an address: it is the usual socket */
	char name[ADDRESS_TEXT_MAX]; /* as given, for a person */
	struct endpoint *endpoints;  /* to be tried in this order; owned */
	size_t n_endpoints;
};

/*
 * Finds and resolves the address. Complains and returns the status to exit with, or STATUS_GO_ON
 * with *ret_target set, which target_done() frees.
 */
int target_find(const struct common *common, struct target *ret_target);

void target_done(struct target *target);

/*
 * Complains that connecting to the target failed with this negative errno, or that the connection
 * was lost with it, and returns the status to exit with.
 */
int target_failed(const struct target *target, int error);
