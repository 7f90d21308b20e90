/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From the text of a configuration file to a configuration. */

#include "config_problem.h"
#include "config_source.h"

/*
 * Fills config, which is new, with what source says; early as config_load_early() has it. What is
 * wrong goes to problems; of config only the listeners that are not marked as wrong are then good
 * for anything. Returns 0 or -ENOMEM.
 */
int config_read_source(const struct source *source, bool early, struct config *config,
		       struct config_problems *problems);

/* Adds the rooms of the built-in configuration. Returns 0 or -ENOMEM. */
int config_read_builtin_rooms(struct config *config, struct config_problems *problems);
