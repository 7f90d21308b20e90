/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From the text of a configuration file to libconfig's tree of settings. */

#include <libconfig.h>

#include "config_problem.h"
#include "config_source.h"

enum tree_outcome {
	TREE_PARSED = 1,
	TREE_BROKEN, /* there is no tree, as a problem says */
};

/*
 * Parses source into tree, which the caller inits before and destroys after. The settings have the
 * lines of source, for source_place(). Returns an outcome or -ENOMEM.
 */
int tree_parse(const struct source *source, config_t *tree, struct config_problems *problems);
