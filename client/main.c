/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The client: reads the options in front of the command's name, finds the command in the table, and
 * leaves the rest to it. A new command is one line here.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "bench.h"
#include "chat_main.h"
#include "command.h"
#include "convert.h"
#include "moderate.h"
#include "ping.h"
#include "rooms.h"
#include "say.h"
#include "status.h"
#include "suggest.h"
#include "tail.h"
#include "topic.h"

/* clang-format off */
const struct command *const command_table[] = {
	&command_ask,
	&command_transform,
	&command_chat,
	&command_say,
	&command_tail,
	&command_rooms,
	&command_who,
	&command_topic,
	&command_ping,
	&command_bench,
	&command_status,
	&command_clients,
	&command_kick,
	&command_ban,
	&command_unban,
	&command_mute,
	&command_unmute,
	&command_reload,
	&command_health,
	NULL,
};
/* clang-format on */

static const struct command *command_find(const char *name)
{
	for (const struct command *const *each = command_table; *each; each++)
		if (strcmp((*each)->name, name) == 0)
			return *each;
	return NULL;
}

static int unknown_command(const struct common *common, const char *name)
{
	const struct command *nearest = NULL;
	size_t distance, least = 3; /* more than two slips are no slip */

	for (const struct command *const *each = command_table; *each; each++) {
		distance = suggest_distance(name, (*each)->name);
		if (distance < least && distance < strlen((*each)->name)) {
			least = distance;
			nearest = *each;
		}
	}
	complain_text("there is no command ", name, strlen(name));
	if (nearest)
		complain("did you mean '%s'?", nearest->name);
	return usage_error(common, NULL);
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = {COMMON_LONG};
	struct common common = {.timeout_ms = 5000};
	int option, status;

	argv[0] = program_invocation_short_name;
	/* "+": what follows the command's name is the command's. */
	while ((option = getopt_long(argc, argv, "+" COMMON_SHORT, options, NULL)) >= 0) {
		status = common_option(&common, option);
		if (status != STATUS_GO_ON)
			return status;
	}
	if (optind == argc)
		return usage_error(&common, "which command?");

	argc -= optind;
	argv += optind;
	common.command = command_find(argv[0]);
	if (!common.command)
		return unknown_command(&common, argv[0]);

	argv[0] = program_invocation_short_name; /* which getopt_long() puts before its messages */
	optind = 0; /* getopt_long() begins anew, with the command's options */
	return common.command->run(&common, argc, argv);
}

/*
 * Where standard input, output or error is closed, the first socket would get its number, and what
 * is printed would go to the server. /dev/null takes the place, opened for the other direction, so
 * that reading or writing there still fails.
 */
static int fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free number is this one. */
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return -errno;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	int status;

	/* When nobody reads our output any more we end as other tools do, whoever started us. */
	(void)signal(SIGPIPE, SIG_DFL);

	if (fill_standard_fds() < 0) {
		complain("cannot open /dev/null: %m");
		return STATUS_SYSTEM;
	}
	status = run(argc, argv);
	if ((fflush(stdout) == EOF || ferror(stdout)) && status == STATUS_DONE) {
		complain("cannot write to standard output: %m");
		return STATUS_SYSTEM;
	}
	return status;
}
