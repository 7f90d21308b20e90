/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon has done so far, for the log. */

#include "door.h"

/* What has been counted over all listeners. */
struct totals {
	uint64_t values[COUNTER_COUNT];
};

void totals_read(const struct list *listeners, struct totals *ret_totals);

/* Writes a summary of clients and counters to the log: a line of sums, and one a listener. */
void report_log(const struct door *door);
