/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "text.h"
#include "util.h"

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

/* Adds how many requests were refused, by each error there is: a rate needs a beginning. */
static int add_refusals(json_t *object, const struct totals *totals)
{
	json_t *errors = json_object();
	int r = 0;

	for (unsigned i = CHAT_OK + 1; i < CHAT_ERRORS; i++)
		r |= json_object_set_new(errors, chat_error_token((enum chat_error)i),
					 json_integer((json_int_t)totals->refusals[i]));
	return r | json_object_set_new(object, "refused_requests", errors);
}

/* A path may be of any bytes, and JSON is not. */
static json_t *describe_address(const struct endpoint *endpoint)
{
	CLEANUP(buffer_done) struct buffer safe = {0};
	char text[ADDRESS_TEXT_MAX];

	(void)endpoint_format(endpoint, text);
	if (text_append_safe(&safe, text, strlen(text)) < 0)
		return NULL;
	return json_stringn((const char *)safe.data, safe.len);
}

static json_t *describe_addresses(const struct listener *listener)
{
	json_t *list = json_array();
	struct listening *listening;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link) {
		/* Its worker has still to give it back, but it listens no more. */
		if (listening->datagram && listening->datagram->asked_back)
			continue;
		if (json_array_append_new(list, describe_address(&listening->endpoint)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Adds what was counted of a listener. Only where people talk are there requests. */
static int add_sums(json_t *object, const struct listener *listener)
{
	struct totals totals = {0};
	int r;

	totals_add(&totals, listener->counters, listener->n_threads);
	r = add_counts(object, &totals);
	if (listener->config->settings.service != SERVICE_TRANSFORM)
		r |= add_refusals(object, &totals);
	return r;
}

static json_t *describe_listener(const struct listener *listener)
{
	static const char *const services[] = {[SERVICE_TRANSFORM] = "transform",
					       [SERVICE_CHAT] = "chat",
					       [SERVICE_CONTROL] = "control"};
	json_t *object =
		json_pack("{s:s, s:s, s:o, s:I, s:I}", "name", listener->name, "service",
			  services[listener->config->settings.service], "addresses",
			  describe_addresses(listener), "clients", (json_int_t)listener->clients,
			  "messages_per_second", (json_int_t)listener->rate);

	if (object && add_sums(object, listener) != 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *describe_listeners(const struct listeners *listeners)
{
	json_t *list = json_array();
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		if (json_array_append_new(list, describe_listener(listener)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static uint64_t count_datagram_sockets(const struct listener *listener, unsigned worker)
{
	struct listening *listening;
	uint64_t n = 0;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		n += listening->datagram && listening->worker == worker;
	return n;
}

static json_t *describe_workers(const struct listeners *listeners)
{
	const struct crew *crew = listeners->crew;
	json_t *list = json_array();
	struct listener *listener;

	for (unsigned i = 0; i < crew->n; i++) {
		uint64_t datagrams = 0;
		json_t *one;

		LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
			datagrams += count_datagram_sockets(listener, i);
		one = json_pack("{s:I, s:I}", "connections",
				(json_int_t)(crew->members[i].load - datagrams), "datagram_sockets",
				(json_int_t)datagrams);
		if (json_array_append_new(list, one) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *describe_restart(const struct report_restart *restart)
{
	if (restart->at == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:b}", "at", (json_int_t)restart->at, "carried",
			 (json_int_t)restart->carried, "lost", (json_int_t)restart->lost, "crash",
			 restart->crash);
}

/* Says under a word for a program what each thing that is refused is called in "refused". */
static json_t *describe_reasons(void)
{
	json_t *reasons = json_object();

	for (unsigned i = COUNTER_GONE + 1; i < COUNTER_COUNT; i++)
		if (json_object_set_new(reasons, counter_token((enum counter)i),
					json_string(counter_name((enum counter)i))) < 0) {
			json_decref(reasons);
			return NULL;
		}
	return reasons;
}

/* Returns everything as text, malloc()ed, or NULL. */
static char *describe_daemon(const struct report_daemon *daemon, const struct listeners *listeners)
{
	struct totals totals;
	char *text = NULL;
	json_t *all = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "version", RETORT_VERSION,
		"started", (json_int_t)daemon->started, "uptime", (json_int_t)daemon->uptime,
		"messages_per_second", (json_int_t)daemon->rate, "clients",
		(json_int_t)listeners->door->clients, "restart", describe_restart(daemon->restart),
		"reasons", describe_reasons(), "listeners", describe_listeners(listeners),
		"workers", describe_workers(listeners));

	report_totals(listeners, &totals);
	if (all && add_counts(all, &totals) == 0 && add_refusals(all, &totals) == 0)
		text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

int report_stats(const struct report_daemon *daemon, const struct listeners *listeners,
		 struct buffer *json)
{
	CLEANUP(freep) char *text = describe_daemon(daemon, listeners);

	if (!text)
		return -ENOMEM;
	text[strlen(text) - 1] = ',';
	return buffer_append(json, text + 1, strlen(text) - 1);
}

void report_rates(struct listeners *listeners, unsigned seconds)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link) {
		struct totals totals = {0};

		totals_add(&totals, listener->counters, listener->n_threads);
		listener->rate = (totals.values[COUNTER_MESSAGES] - listener->reported) / seconds;
		listener->reported = totals.values[COUNTER_MESSAGES];
	}
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

/* Says what requests were refused with, where any were. */
static void log_refusals(const struct log_about *about, const uint64_t refusals[static CHAT_ERRORS])
{
	char line[LINE_BYTES] = "";
	size_t used = 0;

	for (unsigned i = CHAT_OK + 1; i < CHAT_ERRORS && used < LINE_BYTES; i++)
		if (refusals[i] > 0)
			used += (size_t)snprintf(line + used, LINE_BYTES - used, "%s %s: %" PRIu64,
						 used > 0 ? "," : "",
						 chat_error_token((enum chat_error)i), refusals[i]);
	if (used > 0)
		log_write(LOG_SUMMARY, about, "summary: requests refused:%s", line);
}

/* How the connections and datagram sockets are spread. */
static void describe_loads(const struct crew *crew, char line[static LINE_BYTES])
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
	log_refusals(NULL, totals.refusals);
	log_write(LOG_SUMMARY, NULL, "summary: rooms: %" PRIu64 ", people: %" PRIu64,
		  atomic_load_explicit(&figures->rooms, memory_order_relaxed),
		  atomic_load_explicit(&figures->people, memory_order_relaxed));
	describe_loads(listeners->crew, line);
	log_write(LOG_SUMMARY, NULL, "summary: sockets of each worker:%s", line);
	LIST_FOR_EACH(listener, &listeners->all, struct listener, link) {
		struct log_about about = {.listener = listener->name};

		totals = (struct totals){0};
		totals_add(&totals, listener->counters, listener->n_threads);
		describe(totals.values, line);
		log_write(LOG_SUMMARY, &about, "summary: clients now: %" PRIu64 "%s",
			  listener->clients, line);
		log_refusals(&about, totals.refusals);
	}
}
