/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keys of one listener may not say together, each being right for itself. */

#include "config_clash.h"
#include "config_keys.h"

#define RULES_LISTEN_EXAMPLE "\"tcp://localhost:7007\""

/*
 * Checks a listener that was read from group, with a claim for each of its addresses, and takes
 * from it what its service has no use for. What is wrong goes to the problems. Returns 0 or
 * -ENOMEM.
 */
int config_check_listener(const struct reader *reader, const config_setting_t *group,
			  struct listener_config *listener, const struct claim *claims);

/* Where a listener's keys stand; nowhere, when nothing says them. */
struct rules_places {
	struct place framing, dialect, transforms, payload, max_message;
};

/*
 * Checks what a listener says against its service, with a claim for each of its addresses. What is
 * wrong goes to the problems. Returns 0 or -ENOMEM.
 */
int config_check_service(const struct listener_config *listener, const struct rules_places *places,
			 const struct claim *claims, struct config_problems *problems);
