/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon has done so far, for the log. */

#include "chat_mail.h"
#include "listeners.h"

/* What has been counted since the start, over all listeners, also those that are gone. */
void report_totals(const struct listeners *listeners, struct totals *ret_totals);

/*
 * Appends the figures of the whole daemon and of each listener, as members of a JSON object, each
 * followed by a comma. Returns 0 or -ENOMEM.
 */
int report_stats(const struct listeners *listeners, struct buffer *json);

/*
 * Writes a summary of clients, rooms and counters to the log: a line of sums, and one a listener.
 */
void report_log(const struct listeners *listeners, const struct hub_figures *figures);
