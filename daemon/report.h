/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon has done so far, for the log. */

#include "chat_mail.h"
#include "listeners.h"

/* What became of the clients when this process took over from another. */
struct report_restart {
	uint64_t at;	  /* milliseconds since 1970; 0: this process followed none */
	uint64_t carried; /* connections taken over */
	uint64_t lost;	  /* that could not be */
	bool crash;	  /* the last process did not end in order */
};

/* What the listeners do not know. */
struct report_daemon {
	uint64_t started; /* milliseconds since 1970 */
	uint64_t uptime;  /* seconds */
	uint64_t rate;	  /* messages a second */
	const struct report_restart *restart;
};

/* What has been counted since the start, over all listeners, also those that are gone. */
void report_totals(const struct listeners *listeners, struct totals *ret_totals);

/* Has each listener know its messages a second since the last call, which was seconds ago. */
void report_rates(struct listeners *listeners, unsigned seconds);

/*
 * Appends the figures of the whole daemon, of each listener and of each worker, as members of a
 * JSON object, each followed by a comma. Returns 0 or -ENOMEM.
 */
int report_stats(const struct report_daemon *daemon, const struct listeners *listeners,
		 struct buffer *json);

/*
 * Writes a summary of clients, rooms and counters to the log: a line of sums, and one a listener.
 */
void report_log(const struct listeners *listeners, const struct hub_figures *figures);
