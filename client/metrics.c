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
static const struct metric refused_requests = {
	NULL,
	"retort_refused_requests_total",
	"Requests of the chat service that were refused, by the error of the reply.",
	NULL,
	COUNTER,
	WHOLE};
static const struct metric listener_refused_requests = {
	NULL,
	"retort_listener_refused_requests_total",
	"Requests of the chat service that a listener has refused, by the error of the reply.",
	NULL,
	COUNTER,
	WHOLE};
static const struct metric sanctions = {
	NULL, "retort_sanctions", "Bans and mutes that are in force.", NULL, GAUGE, WHOLE};

/* ---- one line ---- */

/* What is being printed. */
struct writer {
	const struct metric *metric; /* the last one; NULL: none yet */
	bool failed;		     /* memory was out */
};

struct label {
	const char *name;
	const char *value; /* NULL: there is no such label */
};

enum { LABELS_MAX = 3 };

static const struct label no_labels[LABELS_MAX] = {0};

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

static void print_label(struct writer *writer, const struct label *label)
{
	CLEANUP(buffer_done) struct buffer safe = {0};

	writer->failed |= text_append_safe(&safe, label->value, strlen(label->value)) < 0;
	(void)printf("%s=\"", label->name);
	for (size_t i = 0; i < safe.len; i++) {
		const char c = (char)safe.data[i];

		if (c == '"' || c == '\\')
			(void)putchar('\\');
		(void)putchar(c);
	}
	(void)putchar('"');
}

static void print_labels(struct writer *writer, const struct label labels[static LABELS_MAX])
{
	char before = '{';

	for (unsigned i = 0; i < LABELS_MAX; i++) {
		if (!labels[i].value)
			continue;
		(void)putchar(before);
		print_label(writer, &labels[i]);
		before = ',';
	}
	if (before == ',')
		(void)putchar('}');
}

static void print_value(uint64_t value, enum scale scale)
{
	static const unsigned divisors[] = {[WHOLE] = 1, [MILLI] = 1000, [MICRO] = 1000000};
	static const int digits[] = {[WHOLE] = 0, [MILLI] = 3, [MICRO] = 6};

	(void)printf("%" PRIu64, value / divisors[scale]);
	if (digits[scale] > 0)
		(void)printf(".%0*" PRIu64, digits[scale], value % divisors[scale]);
	(void)putchar('\n');
}

/* Prints a value; those of one metric come one after the other. */
static void print_sample(struct writer *writer, const struct metric *metric,
			 const struct label labels[static LABELS_MAX], uint64_t value)
{
	if (writer->metric != metric)
		print_head(metric);
	writer->metric = metric;
	(void)fputs(metric->name, stdout);
	print_labels(writer, labels);
	(void)putchar(' ');
	print_value(value, metric->scale);
}

/* Prints what an object has as the metric's member, if it has it. */
static void print_member(struct writer *writer, const struct metric *metric,
			 const struct label labels[static LABELS_MAX], const json_t *object)
{
	if (json_is_integer(json_object_get(object, metric->member)))
		print_sample(writer, metric, labels, reply_number(object, metric->member));
}

/* ---- of the daemon ---- */

static void print_members(struct writer *writer, const struct metric *metrics, size_t n,
			  const json_t *object)
{
	for (size_t i = 0; i < n; i++)
		print_member(writer, &metrics[i], no_labels, object);
}

static void print_build(struct writer *writer, const json_t *stats)
{
	const struct label labels[LABELS_MAX] = {{"version", reply_string(stats, "version")}};

	print_sample(writer, &build, labels, 1);
}

static void print_storage(struct writer *writer, const json_t *storage)
{
	const json_t *took = json_object_get(storage, "commit_microseconds");

	print_members(writer, of_storage, ARRAY_SIZE(of_storage), storage);
	if (!json_is_object(took))
		return;
	print_head(&commit_time);
	(void)printf("%s_count ", commit_time.name);
	print_value(reply_number(storage, "commits"), WHOLE);
	(void)printf("%s_sum ", commit_time.name);
	print_value(reply_number(took, "total"), commit_time.scale);
	print_member(writer, &longest_commit, no_labels, took);
}

static void print_restart(struct writer *writer, const json_t *restart)
{
	if (!json_is_object(restart))
		return;
	print_members(writer, of_restart, ARRAY_SIZE(of_restart), restart);
	print_sample(writer, &crashed, no_labels, json_is_true(json_object_get(restart, "crash")));
}

/* Prints a value for each reason there is, also of those that never were: a rate needs both. */
static void print_reasons(struct writer *writer, const struct metric *metric, const char *listener,
			  const json_t *refused, const json_t *reasons)
{
	const char *reason;
	json_t *words;

	json_object_foreach((json_t *)reasons, reason, words) {
		const struct label labels[LABELS_MAX] = {{"listener", listener},
							 {"reason", reason}};

		print_sample(writer, metric, labels,
			     reply_number(refused, json_string_value(words) ?: ""));
	}
}

/* Prints how many requests were refused, by each error of which that is told. */
static void print_refused_requests(struct writer *writer, const struct metric *metric,
				   const char *listener, const json_t *errors)
{
	const char *error;
	json_t *n;

	json_object_foreach((json_t *)errors, error, n) {
		const struct label labels[LABELS_MAX] = {{"listener", listener}, {"reason", error}};

		print_sample(writer, metric, labels, reply_number(errors, error));
	}
}

static void print_sanctions(struct writer *writer, const json_t *stats)
{
	static const char *const members[] = {"bans", "mutes"}, *const kinds[] = {"ban", "mute"};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *list = json_object_get(stats, members[i]);
		const struct label labels[LABELS_MAX] = {{"kind", kinds[i]}};

		if (json_is_array(list))
			print_sample(writer, &sanctions, labels, json_array_size(list));
	}
}

/* ---- of each listener, and of each worker ---- */

/* Adds the numbers of one object to those of another, if both are some. Returns 0 or -1. */
static int add_numbers(json_t *sums, const json_t *numbers)
{
	const char *name;
	json_t *number;

	json_object_foreach((json_t *)numbers, name, number) {
		const uint64_t sum = reply_number(sums, name) + reply_number(numbers, name);

		if (json_is_object(sums) && json_is_integer(number) &&
		    json_object_set_new(sums, name, json_integer((json_int_t)sum)) < 0)
			return -1;
	}
	return 0;
}

/* Adds what is told of a listener to what was told of one of the same name. Returns 0 or -1. */
static int merge_listener(json_t *one, const json_t *other)
{
	static const char *const counts[] = {"refused", "refused_requests"};
	const json_t *addresses = json_object_get(other, "addresses");
	int r = add_numbers(one, other);

	for (size_t i = 0; i < ARRAY_SIZE(counts) && r == 0; i++)
		r = add_numbers(json_object_get(one, counts[i]), json_object_get(other, counts[i]));
	/* Only one of them listens. */
	if (r == 0 && json_is_object(one) && json_array_size(addresses) > 0)
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

static void print_addresses(struct writer *writer, const json_t *listeners)
{
	const char *name;
	json_t *listener, *address;
	size_t i;

	json_object_foreach((json_t *)listeners, name, listener) {
		json_array_foreach(json_object_get(listener, "addresses"), i, address) {
			const struct label labels[LABELS_MAX] = {
				{"listener", name},
				{"service", reply_string(listener, "service")},
				{"address", json_string_value(address) ?: ""}};

			print_sample(writer, &listening, labels, 1);
		}
	}
}

static void print_of_listeners(struct writer *writer, const struct metric *metric,
			       const json_t *listeners)
{
	const char *name;
	json_t *listener;

	json_object_foreach((json_t *)listeners, name, listener) {
		const struct label labels[LABELS_MAX] = {{"listener", name}};

		print_member(writer, metric, labels, listener);
	}
}

static void print_listeners(struct writer *writer, const json_t *stats)
{
	json_t *listeners = merge_listeners(json_object_get(stats, "listeners"));
	const char *name;
	json_t *listener;

	writer->failed |= !listeners;
	print_addresses(writer, listeners);
	for (size_t i = 0; i < ARRAY_SIZE(of_listener); i++)
		print_of_listeners(writer, &of_listener[i], listeners);
	json_object_foreach(listeners, name, listener) {
		print_reasons(writer, &listener_refusals, name,
			      json_object_get(listener, "refused"),
			      json_object_get(stats, "reasons"));
	}
	json_object_foreach(listeners, name, listener) {
		print_refused_requests(writer, &listener_refused_requests, name,
				       json_object_get(listener, "refused_requests"));
	}
	json_decref(listeners);
}

static void print_of_workers(struct writer *writer, const struct metric *metric,
			     const json_t *workers)
{
	json_t *worker;
	size_t i;

	json_array_foreach(workers, i, worker) {
		char number[24];
		const struct label labels[LABELS_MAX] = {{"worker", number}};

		(void)snprintf(number, sizeof(number), "%zu", i + 1);
		print_member(writer, metric, labels, worker);
	}
}

int metrics_print(const json_t *stats)
{
	struct writer writer = {0};

	print_build(&writer, stats);
	print_members(&writer, of_daemon, ARRAY_SIZE(of_daemon), stats);
	print_restart(&writer, json_object_get(stats, "restart"));
	print_storage(&writer, json_object_get(stats, "storage"));
	print_reasons(&writer, &refusals, NULL, json_object_get(stats, "refused"),
		      json_object_get(stats, "reasons"));
	print_refused_requests(&writer, &refused_requests, NULL,
			       json_object_get(stats, "refused_requests"));
	print_sanctions(&writer, stats);
	print_listeners(&writer, stats);
	for (size_t i = 0; i < ARRAY_SIZE(of_worker); i++)
		print_of_workers(&writer, &of_worker[i], json_object_get(stats, "workers"));
	if (writer.failed)
		return out_of_memory();
	(void)puts("# EOF");
	return STATUS_GO_ON;
}
