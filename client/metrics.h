/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The figures of a daemon as metrics for Prometheus and those who read the same: in its text format
 * 0.0.4 and OpenMetrics 1.0 at once. They differ in one thing: by Prometheus the "_total" of a
 * counter belongs to its name, by OpenMetrics to its value only. Here it is as Prometheus has it,
 * whose reader of OpenMetrics takes that as well.
 */

#include <jansson.h>

/*
 * Prints a reply to "stats" so. What an older daemon does not tell is left out. Returns
 * STATUS_GO_ON, or complains and returns the status to exit with.
 */
int metrics_print(const json_t *stats);
