/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* retort bench: puts load on a transform listener, and reports what it bore. */

#include "bench.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "load.h"
#include "quantity.h"

enum {
	CLIENTS_MAX = 1000000,
	IN_FLIGHT_MAX = 65536,
	SIZE_MAX_STREAM = 256 * 1024 * 1024,
	SIZE_MAX_DATAGRAM = 65507,
	ROUND_MAX = 1024 * 1024 * 1024, /* bytes in flight of one client */
	BAR = 40,			/* characters of the longest bar of the histogram */
};

struct bench {
	struct common *common;
	struct target target;
	struct load_setup load;
	struct load_result result;
	const char *transforms; /* as given */
	int framing;
	uint64_t n_clients, in_flight, size;
};

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

static void print_text(const struct bench *bench)
{
	const struct load_result *result = &bench->result;
	const double elapsed = seconds(result->elapsed_ns);

	printf("%" PRIu64 " messages in %.2f s: %.0f messages/s, %.2f MB/s%s\n", result->messages,
	       elapsed, (double)result->messages / elapsed, (double)result->bytes / 1e6 / elapsed,
	       bench->load.workload.verify ? ", every answer verified" : "");
	if (bench->load.workload.datagrams)
		printf("datagrams lost: %" PRIu64 ", late or doubled: %" PRIu64 "\n", result->lost,
		       result->late);
	printf("latency");
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		printf("  %s ", percentiles[i].name);
		print_duration(histogram_percentile(&result->latency, percentiles[i].percent));
	}
	printf("  max ");
	print_duration(result->latency.most);
	printf("\n");
	if (bench->common->quiet)
		return;
	if (result->latency.n > 0)
		print_histogram(&result->latency);
	printf("\nown CPU time: %.2f s user, %.2f s system, %.0f%% of one CPU\n",
	       seconds(result->user_ns), seconds(result->system_ns),
	       100 * seconds(result->user_ns + result->system_ns) / elapsed);
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

/* Out of memory, members are missing: json_dumpf() fails then, or they are left out. */
static int print_json(const struct bench *bench)
{
	const struct load_result *result = &bench->result;
	const double elapsed = seconds(result->elapsed_ns);
	json_t *object;
	int r;

	object = json_pack(
		"{s:s, s:s?, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:I, s:I, s:b, "
		"s:s?, "
		"s:o, s:o, s:f, s:f}",
		"address", bench->target.name, "framing",
		bench->load.workload.datagrams ? NULL : framing_name(bench->load.workload.framing),
		"clients", (json_int_t)bench->n_clients, "in_flight", (json_int_t)bench->in_flight,
		"size", (json_int_t)bench->size, "connect_s", seconds(result->connect_ns),
		"warmup_s", (double)bench->load.warmup_ms / 1000, "duration_s", elapsed, "messages",
		(json_int_t)result->messages, "messages_per_s", (double)result->messages / elapsed,
		"bytes", (json_int_t)result->bytes, "mb_per_s",
		(double)result->bytes / 1e6 / elapsed, "lost", (json_int_t)result->lost, "late",
		(json_int_t)result->late, "verified", (int)bench->load.workload.verify,
		"transforms", bench->transforms, "latency_us", json_latency(&result->latency),
		"histogram_us", json_histogram(&result->latency), "cpu_user_s",
		seconds(result->user_ns), "cpu_system_s", seconds(result->system_ns));
	if (!object)
		return out_of_memory();
	r = json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	json_decref(object);
	(void)putchar('\n');
	return r < 0 && !ferror(stdout) ? out_of_memory() : STATUS_DONE;
}

/* ---- Command line ---- */

static const char help[] =
	"Puts load on a transform listener: so many clients, each with so many messages on their\n"
	"way, send the next message as soon as an answer is there. Reports messages a second,\n"
	"megabytes (of 1,000,000 bytes of payload, counted one way) a second, and how long\n"
	"answers took. One thread does it all.\n"
	"\n"
	"  -C, --clients COUNT        connections (50)\n"
	"  -P, --in-flight COUNT      messages on their way for each (1)\n"
	"  -s, --size SIZE            bytes in a message (64)\n"
	"  -d, --duration SECONDS     how long to measure (5)\n"
	"      --warmup SECONDS       how long to run before, uncounted (500ms)\n"
	"      --verify               send messages that differ, with text of many scripts, and\n"
	"                             compare each answer with what it must be\n"
	"  -t, --transform NAME,...   what the listener does, for --verify (echo): echo, upper,\n"
	"                             lower, reverse\n"
	"  -f, --framing FRAMING      the listener's: length (the usual), line or raw; over\n"
	"                             UDP it has no meaning\n"
	"  -q, --quiet                no histogram\n"
	"\n"
	"Over UDP a datagram without an answer within a second, or --timeout when that is less,\n"
	"counts as lost, and another takes its place. In framing raw, where answers have no\n"
	"bounds, bytes are counted, and messages are ASCII. At the end every message must be\n"
	"answered: 75 is the exit status when one is not, 76 when an answer is wrong.\n"
	"\n"
	"Examples:\n"
	"  retort -c tcp://localhost:7007 bench\n"
	"  retort -c tcp://localhost:7007 bench -C 1000 -P 16 -d 10\n"
	"  retort -c tcp://localhost:33333 bench -f line --verify -t reverse\n"
	"  retort -c udp://localhost:7007 bench -C 1 -P 64 --json\n"
	"\n";

static int parse_transforms(struct bench *bench, const char *text)
{
	const char *bad = text;

	bench->transforms = text;
	bench->load.workload.pipeline = (struct pipeline){0};
	if (pipeline_parse(&bench->load.workload.pipeline, text, &bad) < 0)
		return usage_error(bench->common,
				   "--transform takes up to %d of echo, upper, lower and reverse, "
				   "with commas between them; \"%s\" is not one",
				   PIPELINE_MAX, bad);
	return STATUS_GO_ON;
}

enum { OPTION_WARMUP = OPTION_COMMAND, OPTION_VERIFY };

static int parse_option(struct bench *bench, int option)
{
	struct common *common = bench->common;

	switch (option) {
	case 'C':
		return number_parse(common, "--clients", optarg, 1, CLIENTS_MAX, &bench->n_clients);
	case 'P':
		return number_parse(common, "--in-flight", optarg, 1, IN_FLIGHT_MAX,
				    &bench->in_flight);
	case 's':
		return size_parse(common, "--size", optarg, 0, SIZE_MAX_STREAM, &bench->size);
	case 'd':
		return time_parse(common, "--duration", optarg, 1, &bench->load.duration_ms);
	case 't':
		return parse_transforms(bench, optarg);
	case 'f':
		return framing_parse(common, optarg, &bench->framing);
	case OPTION_WARMUP:
		return time_parse(common, "--warmup", optarg, 0, &bench->load.warmup_ms);
	case OPTION_VERIFY:
		bench->load.workload.verify = true;
		return STATUS_GO_ON;
	default:
		return common_option(common, option);
	}
}

static int parse(struct bench *bench, int argc, char *argv[])
{
	static const struct option options[] = {
		{"clients", required_argument, NULL, 'C'},
		{"in-flight", required_argument, NULL, 'P'},
		{"size", required_argument, NULL, 's'},
		{"duration", required_argument, NULL, 'd'},
		{"warmup", required_argument, NULL, OPTION_WARMUP},
		{"verify", no_argument, NULL, OPTION_VERIFY},
		{"transform", required_argument, NULL, 't'},
		{"framing", required_argument, NULL, 'f'},
		COMMON_LONG,
	};
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "C:P:s:d:t:f:", options, NULL)) >=
	       0) {
		status = parse_option(bench, option);
		if (status != STATUS_GO_ON)
			return status;
	}
	if (optind < argc)
		return usage_error(bench->common, "bench takes no argument like \"%s\"",
				   argv[optind]);
	if (bench->transforms && !bench->load.workload.verify)
		return usage_error(bench->common, "--transform has a meaning with --verify only");
	return STATUS_GO_ON;
}

/* Refuses what cannot be measured so. */
static int check(const struct bench *bench)
{
	const struct workload_setup *workload = &bench->load.workload;
	const struct common *common = bench->common;

	if (workload->datagrams && workload->size > SIZE_MAX_DATAGRAM)
		return usage_error(common, "a datagram holds at most %d bytes", SIZE_MAX_DATAGRAM);
	if (workload->size * workload->in_flight > ROUND_MAX)
		return usage_error(common, "so many messages of that size do not fit into memory");
	if (workload->datagrams || workload->framing != FRAMING_RAW)
		return STATUS_GO_ON;
	if (workload->size == 0)
		return usage_error(common, "framing raw has no empty messages");
	for (unsigned i = 0; i < workload->pipeline.n_steps && workload->verify; i++)
		if (workload->pipeline.steps[i] == TRANSFORM_REVERSE && workload->in_flight > 1)
			return usage_error(common, "framing raw does not keep several messages in "
						   "flight apart, so reverse can be verified with "
						   "-P 1 only");
	return STATUS_GO_ON;
}

static int measure(struct bench *bench)
{
	int status;

	bench->load.target = &bench->target;
	bench->load.n_clients = bench->n_clients;
	bench->load.workload.in_flight = bench->in_flight;
	bench->load.workload.size = bench->size;
	bench->load.workload.framing = (enum framing)bench->framing;
	bench->load.workload.datagrams = bench->target.transport == TRANSPORT_UDP;
	status = check(bench);
	if (status == STATUS_GO_ON)
		status = load_run(&bench->load, &bench->result);
	if (status != STATUS_GO_ON)
		return status;
	if (bench->common->json)
		return print_json(bench);
	print_text(bench);
	return STATUS_DONE;
}

static int bench_run(struct common *common, int argc, char *argv[])
{
	struct bench *bench = calloc(1, sizeof(*bench)); /* large, for the histogram's sake */
	int status;

	if (!bench)
		return out_of_memory();
	bench->common = common;
	bench->framing = FRAMING_LENGTH;
	bench->n_clients = 50;
	bench->in_flight = 1;
	bench->size = 64;
	bench->load.common = common;
	bench->load.warmup_ms = 500;
	bench->load.duration_ms = 5000;

	status = parse(bench, argc, argv);
	if (status == STATUS_GO_ON)
		status = target_find(common, &bench->target);
	if (status == STATUS_GO_ON)
		status = measure(bench);
	target_done(&bench->target);
	free(bench);
	return status;
}

const struct command command_bench = {
	.name = "bench",
	.arguments = "[OPTION...]",
	.summary = "put load on a transform listener and measure it",
	.help = help,
	.run = bench_run,
};
