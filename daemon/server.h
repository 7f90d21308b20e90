/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon as a whole, seen from its main thread: it opens the listeners, starts the workers,
 * obeys signals and the service manager, and takes everything down again in order.
 */

#include "config.h"

/*
 * Makes the configuration anew for a reload; problems tell what is wrong. Returns as
 * config_load() does.
 */
typedef int config_loader(struct config **ret_config, struct config_problems *problems);

/* What of the command line is no configuration, so that no reload changes it. None owned. */
struct server_options {
	const char *state_directory; /* NULL: there is none */
	const char *control;	     /* path of the control socket; NULL: there is none */
	bool control_required;	     /* it was asked for: without it, the daemon does not start */
};

/*
 * Serves config, which it takes over, until it is asked to stop. Returns an exit status of
 * sysexits.h, 0 when stopped in order; what went wrong has been logged.
 */
int server_run(struct config *config, config_loader *load, const struct server_options *options);
