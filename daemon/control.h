/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control socket: a listener that is always there, whatever the configuration says, and on
 * which administrators are answered.
 */

#include "config.h"

#define CONTROL_NAME "(control)" /* of the listener; no other can have it */

/*
 * Makes its configuration, with what config has for all listeners. path is borrowed. Returns 0 or
 * -ENOMEM.
 */
int control_configure(struct listener_config *ret_control, const char *path,
		      const struct config *config);
void control_done(struct listener_config *control);

/* Whether somebody answers on the socket at path. */
bool control_is_served(const char *path);
