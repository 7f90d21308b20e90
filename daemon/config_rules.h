/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keys of one listener may not say together, each being right for itself. */

#include "config_value.h"

#define RULES_LISTEN_EXAMPLE "\"tcp://localhost:7007\""

/*
 * Checks a listener that was read from group. greeting is where the greeting stands that it has
 * when it says none itself. What is wrong goes to the problems. Returns 0 or -ENOMEM.
 */
int config_check_listener(const struct reading *reading, const config_setting_t *group,
			  const struct listener_config *listener, struct place greeting);
