/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"

enum { LINE_BYTES = 900 };

static uint64_t sum(const struct listener *listener, enum counter counter)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < listener->n_threads; i++)
		n += counters_get(&listener->counters[i], counter);
	return n;
}

void totals_read(const struct list *listeners, struct totals *ret_totals)
{
	struct totals totals = {0};
	struct listener *listener;

	LIST_FOR_EACH(listener, listeners, struct listener, link)
		for (unsigned i = 0; i < COUNTER_COUNT; i++)
			totals.values[i] += sum(listener, (enum counter)i);
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

void report_log(const struct door *door)
{
	struct listener *listener;
	struct totals totals;
	char line[LINE_BYTES];

	totals_read(door->listeners, &totals);
	describe(totals.values, line);
	log_write(LOG_SUMMARY, NULL, "summary: clients now: %" PRIu64 "%s", door->clients, line);
	describe_workers(door->crew, line);
	log_write(LOG_SUMMARY, NULL, "summary: sockets of each worker:%s", line);
	LIST_FOR_EACH(listener, door->listeners, struct listener, link) {
		struct log_about about = {.listener = listener->name};
		uint64_t values[COUNTER_COUNT];

		for (unsigned i = 0; i < COUNTER_COUNT; i++)
			values[i] = sum(listener, (enum counter)i);
		describe(values, line);
		log_write(LOG_SUMMARY, &about, "summary: clients now: %" PRIu64 "%s",
			  listener->clients, line);
	}
}
