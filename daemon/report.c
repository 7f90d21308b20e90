/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"

enum { LINE_BYTES = 900 };

void report_totals(const struct listeners *listeners, struct totals *ret_totals)
{
	struct totals totals = listeners->forgotten;
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		totals_add(&totals, listener->counters, listener->n_threads);
	*ret_totals = totals;
}

/* Traffic always, refusals only where there were any. */
static void describe(const uint64_t values[static COUNTER_COUNT], char line[static LINE_BYTES])
{
	size_t used = 0;

	for (unsigned i = 0; i < COUNTER_COUNT && used < LINE_BYTES; i++) {
		if (values[i] == 0 && i > COUNTER_BYTES_OUT)
			continue;
		used += (size_t)snprintf(line + used, LINE_BYTES - used, ", %s: %" PRIu64,
					 counter_name((enum counter)i), values[i]);
	}
}

/* How the connections and datagram sockets are spread. */
static void describe_workers(const struct crew *crew, char line[static LINE_BYTES])
{
	size_t used = 0;

	for (unsigned i = 0; i < crew->n && used < LINE_BYTES; i++)
		used += (size_t)snprintf(line + used, LINE_BYTES - used, " %" PRIu64,
					 crew->members[i].load);
}

void report_log(const struct listeners *listeners)
{
	struct listener *listener;
	struct totals totals;
	char line[LINE_BYTES];

	report_totals(listeners, &totals);
	describe(totals.values, line);
	log_write(LOG_SUMMARY, NULL, "summary: clients now: %" PRIu64 "%s",
		  listeners->door->clients, line);
	describe_workers(listeners->crew, line);
	log_write(LOG_SUMMARY, NULL, "summary: sockets of each worker:%s", line);
	LIST_FOR_EACH(listener, &listeners->all, struct listener, link) {
		struct log_about about = {.listener = listener->name};

		totals = (struct totals){0};
		totals_add(&totals, listener->counters, listener->n_threads);
		describe(totals.values, line);
		log_write(LOG_SUMMARY, &about, "summary: clients now: %" PRIu64 "%s",
			  listener->clients, line);
	}
}
