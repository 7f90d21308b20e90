/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon as a whole, seen from its main thread: it opens the listeners, starts the workers,
 * obeys signals and the service manager, and takes everything down again in order.
 */

#include "config.h"

/*
 * Makes a configuration, at start and at every reload; problems tell what is wrong. Returns as
 * config_load() does.
 */
struct config_source {
	int (*load)(const void *from, struct config **ret_config, struct config_problems *problems);
	const void *from;
};

/*
 * Serves config, which it takes over, until it is asked to stop. Returns an exit status of
 * sysexits.h, 0 when stopped in order; what went wrong has been logged.
 */
int server_run(struct config *config, const struct config_source *source);
