/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "clock.h"

enum { BAR = 40 }; /* characters of the longest bar of the histogram */

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NSEC_PER_SEC;
}

static double microseconds(uint64_t ns)
{
	return (double)ns / 1000;
}

/* ---- Report ---- */

static const struct percentile {
	double percent;
	const char *name;
	const char *key;
} percentiles[] = {
	{50, "p50", "p50"},
	{90, "p90", "p90"},
	{99, "p99", "p99"},
	{99.9, "p99.9", "p999"},
};

/* The bounds of the histogram's rows: 1, 2, 5, 10, … microseconds, each as long as ten times. */
static uint64_t next_bound(uint64_t bound)
{
	uint64_t power = 1000;

	while (power * 10 <= bound)
		power *= 10;
	if (bound < 1000)
		return 1000;
	return bound < 2 * power ? 2 * power : bound < 5 * power ? 5 * power : 10 * power;
}

static void print_duration(uint64_t ns)
{
	if (ns < NSEC_PER_MSEC)
		printf("%6.4g us", microseconds(ns));
	else if (ns < NSEC_PER_SEC)
		printf("%6.4g ms", microseconds(ns) / 1000);
	else
		printf("%6.4g s ", seconds(ns));
}

static void print_histogram(const struct histogram *latency)
{
	uint64_t from, to, most = 1;

	for (from = 0; from <= latency->most; from = to) {
		to = next_bound(from);
		most = MAX(most, histogram_between(latency, from, to));
	}
	printf("\n");
	for (from = 0; from <= latency->most; from = to) {
		uint64_t n;

		to = next_bound(from);
		if (to <= latency->least)
			continue;
		n = histogram_between(latency, from, to);
		printf("  ");
		print_duration(from);
		printf(" to ");
		print_duration(to);
		printf(" %6.2f%% ", 100 * (double)n / (double)latency->n);
		for (uint64_t i = 0; i < (n * BAR + most - 1) / most; i++)
			(void)putchar('#');
		(void)putchar('\n');
	}
}

/* Members beside the speaker. */
static size_t members(const struct load_setup *setup)
{
	return setup->n_clients - 1;
}

static const char *verified(const struct load_setup *setup)
{
	if (!setup->workload.verify)
		return "";
	return setup->kind == LOAD_ANSWERS ? ", every answer verified"
					   : ", every delivery verified";
}

static void print_rates(const struct load_setup *setup, const struct load_result *result)
{
	const double elapsed = seconds(result->elapsed_ns);

	printf("%" PRIu64 " messages in %.2f s: %.0f messages/s, ", result->messages, elapsed,
	       (double)result->messages / elapsed);
	if (setup->kind == LOAD_FANOUT)
		printf("%.0f deliveries/s, ", (double)result->deliveries / elapsed);
	printf("%.2f MB/s%s\n", (double)result->bytes / 1e6 / elapsed, verified(setup));
	if (setup->kind == LOAD_FANOUT)
		printf("each went to %zu members and back to its speaker\n", members(setup));
	if (setup->workload.datagrams)
		printf("datagrams lost: %" PRIu64 ", late or doubled: %" PRIu64 "\n", result->lost,
		       result->late);
}

void load_report_text(const struct load_setup *setup, const struct load_result *result)
{
	print_rates(setup, result);
	printf("latency");
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		printf("  %s ", percentiles[i].name);
		print_duration(histogram_percentile(&result->latency, percentiles[i].percent));
	}
	printf("  max ");
	print_duration(result->latency.most);
	printf("\n");
	if (setup->common->quiet)
		return;
	if (result->latency.n > 0)
		print_histogram(&result->latency);
	printf("\nown CPU time: %.2f s user, %.2f s system, %.0f%% of one CPU\n",
	       seconds(result->user_ns), seconds(result->system_ns),
	       100 * seconds(result->user_ns + result->system_ns) / seconds(result->elapsed_ns));
}

static json_t *json_latency(const struct histogram *latency)
{
	json_t *object =
		json_pack("{s:f, s:f}", "min", microseconds(latency->n ? latency->least : 0),
			  "mean", histogram_mean(latency) / 1000);

	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++)
		(void)json_object_set_new(object, percentiles[i].key,
					  json_real(microseconds(histogram_percentile(
						  latency, percentiles[i].percent))));
	(void)json_object_set_new(object, "max", json_real(microseconds(latency->most)));
	return object;
}

static json_t *json_histogram(const struct histogram *latency)
{
	json_t *array = json_array();
	uint64_t from, to;

	for (from = 0; from <= latency->most && latency->n > 0; from = to) {
		to = next_bound(from);
		if (to > latency->least)
			(void)json_array_append_new(
				array, json_pack("{s:f, s:f, s:I}", "from", microseconds(from),
						 "to", microseconds(to), "count",
						 (json_int_t)histogram_between(latency, from, to)));
	}
	return array;
}

/* What only the chat service has. Returns 0, or -1 when out of memory. */
static int add_chat(json_t *object, const struct load_setup *setup,
		    const struct load_result *result)
{
	const double deliveries = (double)result->deliveries;
	json_t *chat =
		json_pack("{s:s, s:I, s:f, s:f}", "room", setup->room, "deliveries",
			  (json_int_t)result->deliveries, "deliveries_per_s",
			  deliveries / seconds(result->elapsed_ns), "bytes_per_delivery",
			  result->deliveries > 0 ? (double)result->frames / deliveries : 0.0);
	int r = chat ? json_object_update(object, chat) : -1;

	if (r == 0 && setup->kind == LOAD_FANOUT)
		r = json_object_set_new(object, "members",
					json_integer((json_int_t)members(setup)));
	json_decref(chat);
	return r;
}

/* Out of memory, members are missing: json_dumpf() fails then, or they are left out. */
int load_report_json(const struct load_setup *setup, const struct load_result *result,
		     const char *transforms)
{
	const struct workload_setup *workload = &setup->workload;
	const double elapsed = seconds(result->elapsed_ns);
	json_t *object;
	int r = 0;

	object = json_pack(
		"{s:s, s:s?, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:I, s:I, s:b, "
		"s:s?, "
		"s:o, s:o, s:f, s:f}",
		"address", setup->target->name, "framing",
		workload->datagrams ? NULL : framing_name(workload->framing), "clients",
		(json_int_t)setup->n_clients, "in_flight", (json_int_t)workload->in_flight, "size",
		(json_int_t)workload->size, "connect_s", seconds(result->connect_ns), "warmup_s",
		(double)setup->warmup_ms / 1000, "duration_s", elapsed, "messages",
		(json_int_t)result->messages, "messages_per_s", (double)result->messages / elapsed,
		"bytes", (json_int_t)result->bytes, "mb_per_s",
		(double)result->bytes / 1e6 / elapsed, "lost", (json_int_t)result->lost, "late",
		(json_int_t)result->late, "verified", (int)workload->verify, "transforms",
		transforms, "latency_us", json_latency(&result->latency), "histogram_us",
		json_histogram(&result->latency), "cpu_user_s", seconds(result->user_ns),
		"cpu_system_s", seconds(result->system_ns));
	if (object && setup->kind != LOAD_ANSWERS)
		r = add_chat(object, setup, result);
	if (!object || r < 0) {
		json_decref(object);
		return out_of_memory();
	}
	r = json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	json_decref(object);
	(void)putchar('\n');
	return r < 0 && !ferror(stdout) ? out_of_memory() : STATUS_DONE;
}
