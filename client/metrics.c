/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "reply.h"
#include "text.h"
#include "util.h"

enum type { GAUGE, COUNTER, SUMMARY };

/* How large the unit is in which the daemon counts: metrics are in whole seconds and bytes. */
enum scale { WHOLE, MILLI, MICRO };

/* What is told of something, as a member of an object of the reply. */
struct metric {
	const char *member;
	const char *name, *help;
	const char *unit; /* NULL: none, or of a counter, whose name does not end with it */
	enum type type;
	enum scale scale;
};

static const struct metric of_daemon[] = {
	{"started", "retort_start_time_seconds", "When the daemon started, since 1970.", "seconds",
	 GAUGE, MILLI},
	{"uptime", "retort_uptime_seconds", "How long the daemon has been running.", "seconds",
	 GAUGE, WHOLE},
	{"clients", "retort_clients", "Clients that are connected.", NULL, GAUGE, WHOLE},
	{"rooms", "retort_rooms", "Rooms that there are.", NULL, GAUGE, WHOLE},
	{"people", "retort_people", "Users and guests that are connected.", NULL, GAUGE, WHOLE},
	{"messages", "retort_messages_total", "Messages that came.", NULL, COUNTER, WHOLE},
	{"bytes_in", "retort_received_bytes_total", "Bytes that came.", NULL, COUNTER, WHOLE},
	{"bytes_out", "retort_sent_bytes_total", "Bytes that were sent.", NULL, COUNTER, WHOLE},
	{"accepted", "retort_accepted_clients_total", "Clients that were accepted.", NULL, COUNTER,
	 WHOLE},
};

static const struct metric of_listener[] = {
	{"clients", "retort_listener_clients", "Clients that are connected to a listener.", NULL,
	 GAUGE, WHOLE},
	{"messages", "retort_listener_messages_total", "Messages that came to a listener.", NULL,
	 COUNTER, WHOLE},
	{"bytes_in", "retort_listener_received_bytes_total", "Bytes that came to a listener.", NULL,
	 COUNTER, WHOLE},
	{"bytes_out", "retort_listener_sent_bytes_total", "Bytes that a listener has sent.", NULL,
	 COUNTER, WHOLE},
	{"accepted", "retort_listener_accepted_clients_total",
	 "Clients that a listener has accepted.", NULL, COUNTER, WHOLE},
};

static const struct metric of_worker[] = {
	{"connections", "retort_worker_connections", "Connections that a worker serves.", NULL,
	 GAUGE, WHOLE},
	{"datagram_sockets", "retort_worker_datagram_sockets",
	 "Datagram sockets that a worker serves.", NULL, GAUGE, WHOLE},
};

static const struct metric of_storage[] = {
	{"database_bytes", "retort_storage_database_bytes",
	 "Size of the database that holds the logs of rooms.", "bytes", GAUGE, WHOLE},
	{"wal_bytes", "retort_storage_wal_bytes", "Size of the database's write-ahead log.",
	 "bytes", GAUGE, WHOLE},
	{"messages", "retort_storage_messages_total", "Messages that were written to the logs.",
	 NULL, COUNTER, WHOLE},
	{"failed_commits", "retort_storage_failed_commits_total", "Commits that failed.", NULL,
	 COUNTER, WHOLE},
	{"last_commit", "retort_storage_last_commit_timestamp_seconds",
	 "When something was committed last, since 1970.", "seconds", GAUGE, MILLI},
};

static const struct metric commit_time = {
	NULL, "retort_storage_commit_seconds", "How long commits took.", "seconds", SUMMARY, MICRO};
static const struct metric longest_commit = {"max",
					     "retort_storage_longest_commit_seconds",
					     "How long the slowest commit took since the start.",
					     "seconds",
					     GAUGE,
					     MICRO};

static const struct metric of_restart[] = {
	{"at", "retort_restart_timestamp_seconds",
	 "When this process took over from another, since 1970.", "seconds", GAUGE, MILLI},
	{"carried", "retort_restart_carried_clients",
	 "Clients that were carried over when this process took over from another.", NULL, GAUGE,
	 WHOLE},
	{"lost", "retort_restart_lost_clients",
	 "Clients that were lost when this process took over from another.", NULL, GAUGE, WHOLE},
};
static const struct metric crashed = {
	NULL,
	"retort_restart_after_crash",
	"Whether the process from which this one took over did not end in order.",
	NULL,
	GAUGE,
	WHOLE};

static const struct metric build = {
	NULL, "retort_build_info", "The version of the daemon, as a label.", NULL, GAUGE, WHOLE};
static const struct metric listening = {NULL,
					"retort_listener_info",
					"The service of a listener and an address that it listens "
					"on, as labels.",
					NULL,
					GAUGE,
					WHOLE};
static const struct metric refusals = {NULL,
				       "retort_refusals_total",
				       "What was refused, or ended out of order, by reason.",
				       NULL,
				       COUNTER,
				       WHOLE};
static const struct metric listener_refusals = {
	NULL,
	"retort_listener_refusals_total",
	"What a listener has refused, or ended out of order, by reason.",
	NULL,
	COUNTER,
	WHOLE};
static const struct metric sanctions = {
	NULL, "retort_sanctions", "Bans and mutes that are in force.", NULL, GAUGE, WHOLE};

/* ---- one line ---- */

struct label {
	const char *name;
	const char *value; /* NULL: there is no such label */
};

enum { LABELS_MAX = 3 };

/* All that is told at the head of a metric. */
static void print_head(const struct metric *metric)
{
	static const char *const types[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [SUMMARY] = "summary"};

	(void)printf("# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
		     types[metric->type]);
	if (metric->unit)
		(void)printf("# UNIT %s %s\n", metric->name, metric->unit);
}

/* Returns 0 or -ENOMEM. */
static int print_label(const struct label *label, bool first)
{
	CLEANUP(buffer_done) struct buffer safe = {0};

	if (text_append_safe(&safe, label->value, strlen(label->value)) < 0)
		return -ENOMEM;
	(void)printf("%c%s=\"", first ? '{' : ',', label->name);
	for (size_t i = 0; i < safe.len; i++) {
		const char c = (char)safe.data[i];

		if (c == '"' || c == '\\')
			(void)putchar('\\');
		(void)putchar(c);
	}
	(void)putchar('"');
	return 0;
}

static void print_value(uint64_t value, enum scale scale)
{
	static const unsigned divisors[] = {[WHOLE] = 1, [MILLI] = 1000, [MICRO] = 1000000};
	static const int digits[] = {[WHOLE] = 0, [MILLI] = 3, [MICRO] = 6};

	(void)printf("%" PRIu64, value / divisors[scale]);
	if (digits[scale] > 0)
		(void)printf(".%0*" PRIu64, digits[scale], value % divisors[scale]);
}

/* Returns 0 or -ENOMEM. */
static int print_sample(const struct metric *metric, const char *suffix,
			const struct label labels[static LABELS_MAX], uint64_t value)
{
	bool first = true;

	(void)printf("%s%s", metric->name, suffix);
	for (unsigned i = 0; i < LABELS_MAX; i++) {
		if (!labels[i].value)
			continue;
		if (print_label(&labels[i], first) < 0)
			return -ENOMEM;
		first = false;
	}
	if (!first)
		(void)putchar('}');
	(void)putchar(' ');
	print_value(value, metric->scale);
	(void)putchar('\n');
	return 0;
}

static const struct label no_labels[LABELS_MAX] = {0};

/* ---- of the daemon ---- */

/* Prints a metric of one object, if it has that member; NULL has none. */
static void print_member(const struct metric *metric, const json_t *object)
{
	if (!json_is_integer(json_object_get(object, metric->member)))
		return;
	print_head(metric);
	(void)print_sample(metric, "", no_labels, reply_number(object, metric->member));
}

static void print_members(const struct metric *metrics, size_t n, const json_t *object)
{
	for (size_t i = 0; i < n; i++)
		print_member(&metrics[i], object);
}

static int print_build(const json_t *stats)
{
	const struct label labels[LABELS_MAX] = {{"version", reply_string(stats, "version")}};

	print_head(&build);
	return print_sample(&build, "", labels, 1);
}

static void print_storage(const json_t *storage)
{
	const json_t *took = json_object_get(storage, "commit_microseconds");

	print_members(of_storage, ARRAY_SIZE(of_storage), storage);
	if (!json_is_object(took))
		return;
	print_head(&commit_time);
	(void)printf("%s_count %" PRIu64 "\n", commit_time.name, reply_number(storage, "commits"));
	(void)print_sample(&commit_time, "_sum", no_labels, reply_number(took, "total"));
	print_member(&longest_commit, took);
}

static void print_restart(const json_t *restart)
{
	if (!json_is_object(restart))
		return;
	print_members(of_restart, ARRAY_SIZE(of_restart), restart);
	print_head(&crashed);
	(void)print_sample(&crashed, "", no_labels,
			   json_is_true(json_object_get(restart, "crash")));
}

/* Prints a sample for each reason there is, also of those that never were: a rate needs both. */
static int print_reasons(const struct metric *metric, const char *listener, const json_t *refused,
			 const json_t *reasons)
{
	const char *reason;
	json_t *words;

	json_object_foreach((json_t *)reasons, reason, words) {
		const struct label labels[LABELS_MAX] = {{"listener", listener},
							 {"reason", reason}};
		const char *name = json_string_value(words) ?: "";

		if (print_sample(metric, "", labels, reply_number(refused, name)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int print_refusals(const json_t *stats)
{
	const json_t *reasons = json_object_get(stats, "reasons");

	if (json_object_size(reasons) == 0)
		return 0;
	print_head(&refusals);
	return print_reasons(&refusals, NULL, json_object_get(stats, "refused"), reasons);
}

static int print_sanctions(const json_t *stats)
{
	static const char *const members[] = {"bans", "mutes"}, *const kinds[] = {"ban", "mute"};

	print_head(&sanctions);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct label labels[LABELS_MAX] = {{"kind", kinds[i]}};

		if (print_sample(&sanctions, "", labels,
				 json_array_size(json_object_get(stats, members[i]))) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- of each listener, and of each worker ---- */

/* Adds the numbers of one object to those of another. Returns 0 or -1. */
static int add_numbers(json_t *sums, const json_t *numbers)
{
	const char *name;
	json_t *number;

	json_object_foreach((json_t *)numbers, name, number) {
		const uint64_t sum = reply_number(sums, name) + reply_number(numbers, name);

		if (json_is_integer(number) &&
		    json_object_set_new(sums, name, json_integer((json_int_t)sum)) < 0)
			return -1;
	}
	return 0;
}

/* Adds what is told of a listener to what was told of one of the same name. Returns 0 or -1. */
static int merge_listener(json_t *one, const json_t *other)
{
	const json_t *addresses = json_object_get(other, "addresses");
	int r = add_numbers(one, other);

	if (r == 0)
		r = add_numbers(json_object_get(one, "refused"), json_object_get(other, "refused"));
	/* Only one of them listens. */
	if (r == 0 && json_array_size(addresses) > 0)
		r = json_object_set(one, "addresses", (json_t *)addresses);
	return r;
}

/*
 * Returns the listeners, each as what is told under its name; NULL when out of memory. One that a
 * reload has removed may still have clients while another has its name, and no two values may have
 * the same labels.
 */
static json_t *merge_listeners(const json_t *listeners)
{
	json_t *merged = json_object(), *listener;
	size_t i;

	json_array_foreach(listeners, i, listener) {
		const char *name = reply_string(listener, "name");
		json_t *other = json_object_get(merged, name);
		int r = other ? merge_listener(other, listener)
			      : json_object_set_new(merged, name, json_deep_copy(listener));

		if (r < 0) {
			json_decref(merged);
			return NULL;
		}
	}
	return merged;
}

static int print_addresses(const json_t *listeners)
{
	const char *name;
	json_t *listener, *address;
	size_t i;

	print_head(&listening);
	json_object_foreach((json_t *)listeners, name, listener)
		json_array_foreach(json_object_get(listener, "addresses"), i, address) {
			const struct label labels[LABELS_MAX] = {
				{"listener", name},
				{"service", reply_string(listener, "service")},
				{"address", json_string_value(address) ?: ""}};

			if (print_sample(&listening, "", labels, 1) < 0)
				return -ENOMEM;
		}
	return 0;
}

static int print_of_listeners(const struct metric *metric, const json_t *listeners)
{
	const char *name;
	json_t *listener;

	print_head(metric);
	json_object_foreach((json_t *)listeners, name, listener) {
		const struct label labels[LABELS_MAX] = {{"listener", name}};

		if (print_sample(metric, "", labels, reply_number(listener, metric->member)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int print_refusals_of_listeners(const json_t *listeners, const json_t *reasons)
{
	const char *name;
	json_t *listener;
	int r = 0;

	if (json_object_size(reasons) > 0)
		print_head(&listener_refusals);
	json_object_foreach((json_t *)listeners, name, listener)
		if (r == 0)
			r = print_reasons(&listener_refusals, name,
					  json_object_get(listener, "refused"), reasons);
	return r;
}

static int print_listeners(const json_t *stats)
{
	json_t *listeners = merge_listeners(json_object_get(stats, "listeners"));
	int r = listeners ? print_addresses(listeners) : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(of_listener) && r == 0; i++)
		r = print_of_listeners(&of_listener[i], listeners);
	if (r == 0)
		r = print_refusals_of_listeners(listeners, json_object_get(stats, "reasons"));
	json_decref(listeners);
	return r;
}

static int print_of_workers(const struct metric *metric, const json_t *workers)
{
	json_t *worker;
	size_t i;

	if (json_array_size(workers) == 0)
		return 0;
	print_head(metric);
	json_array_foreach(workers, i, worker) {
		char number[24];
		const struct label labels[LABELS_MAX] = {{"worker", number}};

		(void)snprintf(number, sizeof(number), "%zu", i + 1);
		if (print_sample(metric, "", labels, reply_number(worker, metric->member)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int metrics_print(const json_t *stats)
{
	int r = print_build(stats);

	print_members(of_daemon, ARRAY_SIZE(of_daemon), stats);
	print_restart(json_object_get(stats, "restart"));
	print_storage(json_object_get(stats, "storage"));
	if (r == 0)
		r = print_refusals(stats);
	if (r == 0)
		r = print_sanctions(stats);
	if (r == 0)
		r = print_listeners(stats);
	for (size_t i = 0; i < ARRAY_SIZE(of_worker) && r == 0; i++)
		r = print_of_workers(&of_worker[i], json_object_get(stats, "workers"));
	if (r < 0)
		return out_of_memory();
	(void)puts("# EOF");
	return STATUS_GO_ON;
}
