/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where to connect to: from the command line or the environment down to socket addresses. */

#include <stdbool.h>

#include "address.h"
#include "command.h"

struct target {
	enum transport transport;
	bool implied;		     /* nobody gave an address: it is the usual socket */
	bool control;		     /* it is the control socket */
	bool relative;		     /* it is looked for in the runtime directories */
	const char *instance;	     /* name of the retortd that is meant, or NULL; not owned */
	char name[ADDRESS_TEXT_MAX]; /* as given, for a person */
	char *address;		     /* in full, as retort_new() takes it; owned */
	struct endpoint *endpoints;  /* to be tried in this order; owned */
	size_t n_endpoints;
};

/*
 * Finds and resolves the address. Complains and returns the status to exit with, or STATUS_GO_ON
 * with *ret_target set, which target_done() frees.
 */
int target_find(const struct common *common, struct target *ret_target);

/* The same, but does not resolve it: there are no endpoints. */
int target_name(const struct common *common, struct target *ret_target);

/*
 * The same for what is asked through the control socket: path, as given by --control, or the
 * address of -c, which then is a chat listener's, or, when both are NULL, the usual control socket.
 */
int target_name_control(const struct common *common, const char *path, struct target *ret_target);

void target_done(struct target *target);

/*
 * Complains that connecting to the target failed with this negative errno, or that the connection
 * was lost with it, and returns the status to exit with.
 */
int target_failed(const struct target *target, int error);
