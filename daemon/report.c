/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

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

/* Adds what was counted: traffic under its name, what was refused only where there was any. */
static int add_counts(json_t *object, const struct totals *totals)
{
	const uint64_t *values = totals->values;
	json_t *others = json_object();
	int r = json_object_update_new(object,
				       json_pack("{s:I, s:I, s:I, s:I}", "messages",
						 (json_int_t)values[COUNTER_MESSAGES], "bytes_in",
						 (json_int_t)values[COUNTER_BYTES_IN], "bytes_out",
						 (json_int_t)values[COUNTER_BYTES_OUT], "accepted",
						 (json_int_t)values[COUNTER_ACCEPTED]));

	for (unsigned i = COUNTER_GONE + 1; i < COUNTER_COUNT; i++)
		if (values[i] > 0)
			r |= json_object_set_new(others, counter_name((enum counter)i),
						 json_integer((json_int_t)values[i]));
	return r | json_object_set_new(object, "refused", others);
}

static json_t *describe_listener(const struct listener *listener)
{
	static const char *const services[] = {[SERVICE_TRANSFORM] = "transform",
					       [SERVICE_CHAT] = "chat",
					       [SERVICE_CONTROL] = "control"};
	struct totals totals = {0};
	json_t *object = json_pack("{s:s, s:s, s:I}", "name", listener->name, "service",
				   services[listener->config->settings.service], "clients",
				   (json_int_t)listener->clients);

	totals_add(&totals, listener->counters, listener->n_threads);
	if (object && add_counts(object, &totals) != 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

int report_stats(const struct listeners *listeners, struct buffer *json)
{
	json_t *all = json_pack("{s:s, s:I}", "version", RETORT_VERSION, "clients",
				(json_int_t)listeners->door->clients);
	json_t *list = json_array();
	struct listener *listener;
	struct totals totals;
	char *text = NULL;
	int r;

	report_totals(listeners, &totals);
	r = add_counts(all, &totals);
	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		r |= json_array_append_new(list, describe_listener(listener));
	r |= json_object_set_new(all, "listeners", list);
	if (r == 0)
		text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	r = -ENOMEM;
	if (text) {
		text[strlen(text) - 1] = ',';
		r = buffer_append(json, text + 1, strlen(text) - 1);
	}
	free(text);
	return r;
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

void report_log(const struct listeners *listeners, const struct hub_figures *figures)
{
	struct listener *listener;
	struct totals totals;
	char line[LINE_BYTES];

	report_totals(listeners, &totals);
	describe(totals.values, line);
	log_write(LOG_SUMMARY, NULL, "summary: clients now: %" PRIu64 "%s",
		  listeners->door->clients, line);
	log_write(LOG_SUMMARY, NULL, "summary: rooms: %" PRIu64 ", people: %" PRIu64,
		  atomic_load_explicit(&figures->rooms, memory_order_relaxed),
		  atomic_load_explicit(&figures->people, memory_order_relaxed));
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
