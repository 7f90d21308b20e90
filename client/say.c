/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Says words or lines in a room: retort say. */

#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "clock.h"
#include "feed.h"
#include "reply.h"

enum { PROGRESS_MS = 100 };

struct say {
	struct common *common;
	struct connection connection;
	struct source source;
	struct feed feed;
	const char *room;

	uint64_t size;	/* bytes of input, for the progress line */
	uint64_t shown; /* when that was last written; 0: never */
};

static int answered(struct feed *feed, const struct retort_reply *reply)
{
	const struct say *say = feed->data;

	if (say->common->json)
		return reply_print(reply);
	if (say->common->verbose)
		complain("%s: number %" PRIu64 "%s", say->room, reply->seq,
			 reply->duplicate ? ", said before the connection was lost" : "");
	return STATUS_GO_ON;
}

/* The cursor stays in front, so that a complaint takes its place. */
static void write_progress(const struct say *say)
{
	const uint64_t offset = MIN(say->feed.offset, say->size);

	(void)fprintf(stderr, "%s: %" PRIu64 " said, %u %%\x1b[K\r", say->room, say->feed.answered,
		      say->size > 0 ? (unsigned)(offset * 100 / say->size) : 100);
}

static void progress(struct feed *feed)
{
	struct say *say = feed->data;
	const uint64_t now = clock_now();

	if (say->shown + PROGRESS_MS * NSEC_PER_MSEC > now)
		return;
	say->shown = now;
	write_progress(say);
}

/* A pipe has no end to come near to, and a person has to be there to see it. */
static void prepare_progress(struct say *say)
{
	struct stat status;
	off_t at;

	if (say->source.fd < 0 || say->common->quiet || !isatty(STDERR_FILENO) ||
	    fstat(say->source.fd, &status) < 0 || !S_ISREG(status.st_mode))
		return;
	at = lseek(say->source.fd, 0, SEEK_CUR);
	if (at < 0 || at > status.st_size)
		return;
	say->size = (uint64_t)(status.st_size - at);
	say->feed.progress = progress;
}

static int talk(struct say *say)
{
	int status, r;

	status = connection_connect(&say->connection);
	if (status != STATUS_GO_ON)
		return status;
	if (say->room[0] != '@') {
		r = retort_join(say->connection.retort, say->room, (int)say->common->timeout_ms);
		if (r != 0)
			return connection_failed(&say->connection, r);
	}
	say->feed = (struct feed){
		.connection = &say->connection,
		.source = &say->source,
		.request = {.op = RETORT_OP_SAY, .room = say->room},
		.says = true,
		.answer = answered,
		.data = say,
	};
	prepare_progress(say);
	status = feed_run(&say->feed);
	if (say->shown > 0) {
		write_progress(say);
		(void)fputc('\n', stderr);
	}
	feed_done(&say->feed);
	return status;
}

static int say_run(struct common *common, int argc, char *argv[])
{
	struct say say = {.common = common};
	int status;

	status = common_options(common, argc, argv);
	if (status != STATUS_GO_ON)
		return status;
	if (optind == argc)
		return usage_error(common, "in which room?");
	say.room = argv[optind++];
	say.source = (struct source){
		.texts = argv + optind,
		.n_texts = (size_t)(argc - optind),
		.fd = optind < argc ? -1 : STDIN_FILENO,
		.cut = SOURCE_SEPARATED,
		.separator = '\n',
	};

	status = connection_new(common, &say.connection);
	if (status != STATUS_GO_ON)
		return status;
	status = talk(&say);
	source_done(&say.source);
	connection_done(&say.connection);
	return status;
}

const struct command command_say = {
	.name = "say",
	.arguments = "[OPTION...] ROOM [TEXT...]",
	.summary = "say something in a room",
	.help = "Joins ROOM and says each TEXT, or without any each line of standard input as it\n"
		"comes, empty ones too; ROOM may be @NICK, for one person. Exits with 0 only when\n"
		"the server has acknowledged every one. It comes back when the connection is "
		"lost,\n"
		"and says nothing twice; what a server in the middle of a restart or with a limit\n"
		"of messages a second does not take yet is said again. It gives up when for the\n"
		"time of --timeout nothing more is acknowledged.\n"
		"\n"
		"A line that is longer than the server takes is complained about; the others are\n"
		"said, and the exit status is 1. What is not UTF-8 becomes U+FFFD.\n"
		"\n"
		"With --json each reply is printed, with the number of the message. When standard\n"
		"input is a file and standard error a terminal, a line there shows how far it is.\n"
		"\n"
		"Examples:\n"
		"  retort say lobby 'hello, world!'\n"
		"  make 2>&1 | retort say builds\n"
		"  retort say @anna 'the build is done'\n"
		"\n",
	.run = say_run,
};
