/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* retort bench: puts load on a listener, transform or chat, and reports what it bore. */

#include "bench.h"

#include <string.h>

#include "load.h"
#include "load_report.h"
#include "quantity.h"

enum {
	CLIENTS_MAX = 1000000,
	IN_FLIGHT_MAX = 65536,
	SIZE_MAX_STREAM = 256 * 1024 * 1024,
	SIZE_MAX_DATAGRAM = 65507,
	ROUND_MAX = 1024 * 1024 * 1024, /* bytes in flight of one client */
};

struct bench {
	struct common *common;
	struct target target;
	struct load_setup load;
	struct load_result result;
	const char *transforms; /* as given */
	int framing;
	uint64_t n_clients, n_rooms, in_flight, size;
};

static const char help[] =
	"Puts load on a listener: so many clients, each with so many messages on their way, send\n"
	"the next message as soon as an answer is there. Reports messages a second, megabytes (of\n"
	"1,000,000 bytes of payload, counted one way) a second, and how long answers took. One\n"
	"thread does it all.\n"
	"\n"
	"  -C, --clients COUNT        connections (50)\n"
	"  -P, --in-flight COUNT      messages on their way for each (1)\n"
	"  -s, --size SIZE            bytes in a message (64)\n"
	"  -d, --duration SECONDS     how long to measure (5)\n"
	"      --warmup SECONDS       how long to run before, uncounted (500ms)\n"
	"      --verify               send messages that differ, with text of many scripts, and\n"
	"                             compare what comes back with what it must be\n"
	"  -t, --transform NAME,...   what the listener does, for --verify (echo): echo, upper,\n"
	"                             lower, reverse\n"
	"  -f, --framing FRAMING      the listener's: length (the usual), line or raw; over\n"
	"                             UDP it has no meaning\n"
	"      --fanout ROOM          load a chat listener: one client says, and -C members of\n"
	"                             the room hear it\n"
	"      --say ROOM             load a chat listener: each client says, and waits for the\n"
	"                             replies\n"
	"      --rooms COUNT          with --say: spread the clients over ROOM-1 to ROOM-COUNT\n"
	"      --bare                 with --fanout: for a server to compare with, that sends\n"
	"                             what it gets to every connection, as it is\n"
	"  -q, --quiet                no histogram\n"
	"\n"
	"Over UDP a datagram without an answer within a second, or --timeout when that is less,\n"
	"counts as lost, and another takes its place. In framing raw, where answers have no\n"
	"bounds, bytes are counted, and messages are ASCII. At the end every message must be\n"
	"answered: 75 is the exit status when one is not, 76 when an answer is wrong.\n"
	"\n"
	"With --fanout, the next message is said when an earlier one has come to all members\n"
	"and to its speaker, a member too, and is acknowledged; that is the latency. Every copy\n"
	"counts as a delivery. Chat listeners are spoken to in the object dialect and framing\n"
	"length.\n"
	"\n"
	"Examples:\n"
	"  retort -c tcp://localhost:7007 bench\n"
	"  retort -c tcp://localhost:7007 bench -C 1000 -P 16 -d 10\n"
	"  retort -c tcp://localhost:33333 bench -f line --verify -t reverse\n"
	"  retort -c udp://localhost:7007 bench -C 1 -P 64 --json\n"
	"  retort -c tcp://localhost:1243 bench --fanout lobby -C 100 -P 16 -s 128\n"
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

static int parse_chat(struct bench *bench, enum load_kind kind, const char *room)
{
	if (bench->load.kind != LOAD_ANSWERS)
		return usage_error(bench->common, "one of --fanout and --say can be given, once");
	if (!*room || strlen(room) > LOAD_ROOM_MAX)
		return usage_error(bench->common, "a room's name has 1 to %d bytes", LOAD_ROOM_MAX);
	bench->load.kind = kind;
	bench->load.room = room;
	return STATUS_GO_ON;
}

enum {
	OPTION_WARMUP = OPTION_COMMAND,
	OPTION_VERIFY,
	OPTION_FANOUT,
	OPTION_SAY,
	OPTION_ROOMS,
	OPTION_BARE,
};

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
	case OPTION_FANOUT:
		return parse_chat(bench, LOAD_FANOUT, optarg);
	case OPTION_SAY:
		return parse_chat(bench, LOAD_SAY, optarg);
	case OPTION_ROOMS:
		return number_parse(common, "--rooms", optarg, 1, CLIENTS_MAX, &bench->n_rooms);
	case OPTION_BARE:
		bench->load.bare = true;
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
		{"fanout", required_argument, NULL, OPTION_FANOUT},
		{"say", required_argument, NULL, OPTION_SAY},
		{"rooms", required_argument, NULL, OPTION_ROOMS},
		{"bare", no_argument, NULL, OPTION_BARE},
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

static int check_chat(const struct bench *bench)
{
	const struct workload_setup *workload = &bench->load.workload;
	const struct common *common = bench->common;

	if (workload->datagrams || workload->framing != FRAMING_LENGTH)
		return usage_error(common, "--fanout and --say are for framing length");
	if (bench->transforms)
		return usage_error(common, "--fanout and --say know nothing of --transform");
	if (workload->size == 0)
		return usage_error(common, "there are no empty messages in a room");
	if (workload->verify && workload->size < LOAD_TEXT_EDGE)
		return usage_error(common, "messages of a room can be verified from -s %d on",
				   LOAD_TEXT_EDGE);
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
	if (bench->load.kind != LOAD_SAY && bench->n_rooms > 1)
		return usage_error(common, "--rooms has a meaning with --say only");
	if (bench->load.kind != LOAD_FANOUT && bench->load.bare)
		return usage_error(common, "--bare has a meaning with --fanout only");
	if (bench->load.kind != LOAD_ANSWERS)
		return check_chat(bench);
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
	/* The speaker comes on top of the members. */
	bench->load.n_clients = bench->n_clients + (bench->load.kind == LOAD_FANOUT);
	bench->load.n_rooms = bench->n_rooms;
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
		return load_report_json(&bench->load, &bench->result, bench->transforms);
	load_report_text(&bench->load, &bench->result);
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
	bench->n_rooms = 1;
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
	.summary = "put load on a listener and measure it",
	.help = help,
	.run = bench_run,
};
