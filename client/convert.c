/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Has a chat listener transform words or lines: retort transform. */

#include "convert.h"

#include <stdio.h>
#include <string.h>

#include "chat.h"
#include "feed.h"
#include "output.h"

struct convert {
	struct common *common;
	struct connection connection;
	struct source source;
	struct feed feed;
	struct output output;

	char *names; /* what was given, cut at its commas; owned */
	const char *with[CHAT_WITH_MAX + 1];
};

static int answered(struct feed *feed, const struct retort_reply *reply)
{
	struct convert *convert = feed->data;
	const struct message message = {.body = {(uint8_t *)reply->text, reply->text_len}};
	int r = output_message(&convert->output, &message);

	if (r == -ENOMEM)
		return out_of_memory();
	if (r < 0) {
		complain("cannot write to standard output: %s", strerrordesc_np(-r));
		return STATUS_SYSTEM;
	}
	return STATUS_GO_ON;
}

static int take_names(struct convert *convert, const char *names)
{
	size_t n = 0;
	char *rest;

	free(convert->names);
	rest = convert->names = strdup(names);
	if (!convert->names)
		return out_of_memory();
	while (rest && n < CHAT_WITH_MAX)
		convert->with[n++] = strsep(&rest, ",");
	convert->with[n] = NULL;
	if (rest)
		return usage_error(convert->common, "at most %d transforms", CHAT_WITH_MAX);
	return STATUS_GO_ON;
}

static int parse(struct convert *convert, int argc, char *argv[])
{
	static const struct option options[] = {
		{"transform", required_argument, NULL, 't'},
		COMMON_LONG,
	};
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "t:", options, NULL)) >= 0) {
		status = option == 't' ? take_names(convert, optarg)
				       : common_option(convert->common, option);
		if (status != STATUS_GO_ON)
			return status;
	}
	if (!convert->names)
		return usage_error(convert->common, "which transforms? Say it with -t");
	convert->source = (struct source){
		.texts = argv + optind,
		.n_texts = (size_t)(argc - optind),
		.fd = optind < argc ? -1 : STDIN_FILENO,
		.cut = SOURCE_SEPARATED,
		.separator = '\n',
	};
	convert->output = (struct output){
		.json = convert->common->json,
		.terminal = isatty(STDOUT_FILENO),
		.separator = '\n',
	};
	return STATUS_GO_ON;
}

static int talk(struct convert *convert)
{
	int status = connection_connect(&convert->connection);

	if (status != STATUS_GO_ON)
		return status;
	convert->feed = (struct feed){
		.connection = &convert->connection,
		.source = &convert->source,
		.request = {.op = RETORT_OP_TRANSFORM, .with = convert->with},
		.answer = answered,
		.data = convert,
	};
	status = feed_run(&convert->feed);
	feed_done(&convert->feed);
	return status;
}

static int convert_run(struct common *common, int argc, char *argv[])
{
	struct convert convert = {.common = common};
	int status = parse(&convert, argc, argv);

	if (status == STATUS_GO_ON)
		status = connection_new(common, &convert.connection);
	if (status == STATUS_GO_ON) {
		status = talk(&convert);
		connection_done(&convert.connection);
	}
	output_done(&convert.output);
	source_done(&convert.source);
	free(convert.names);
	return status;
}

const struct command command_transform = {
	.name = "transform",
	.arguments = "[OPTION...] -t TRANSFORM,... [TEXT...]",
	.summary = "have a chat listener transform text",
	.help = "Has a chat listener transform each TEXT, or without any each line of standard\n"
		"input as it comes, and prints the results, a line each and in order.\n"
		"\n"
		"  -t, --transform NAMES  echo, upper, lower or reverse, or several of them, one\n"
		"                         after the other and separated by commas\n"
		"\n"
		"What is not UTF-8 becomes U+FFFD. With --json a result is {\"text\":\"...\"}.\n"
		"\n"
		"Examples:\n"
		"  retort transform -t upper,reverse 'hello, world!'\n"
		"  retort transform -t lower < names\n"
		"\n",
	.run = convert_run,
};
