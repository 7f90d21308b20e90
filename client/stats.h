/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

/*
 * Prints a reply to "stats" for a person. What an older daemon does not tell is left out. Returns
 * STATUS_GO_ON, or complains and returns the status to exit with.
 */
int stats_print(const json_t *stats);
