/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What administrators do to others: retort kick, ban, unban, mute and unmute. Each is one request
 * with a target, made of the command line here.
 */

#include "moderate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chat.h"
#include "control.h"
#include "moment.h"
#include "quantity.h"
#include "reply.h"
#include "sanction_list.h"
#include "words.h"

enum { OPTION_CLIENT = OPTION_COMMAND, OPTION_USER, OPTION_ADDRESS, OPTION_ROOM, OPTION_DURATION };

struct moderate {
	struct common *common;
	const char *control;
	struct retort_request request;
	char *reason; /* owned */
	bool listed;  /* there is no target: those in force are to be listed */
};

/* Bans are long, and in seconds. */
static int duration_parse(const struct common *common, const char *text, uint64_t *ret_seconds)
{
	uint64_t milliseconds, seconds;

	if (quantity_parse_time(text, &milliseconds) < 0)
		milliseconds = 0;
	seconds = milliseconds / 1000 + (milliseconds % 1000 > 0);
	if (seconds == 0 || seconds > CHAT_DURATION_MAX)
		return usage_error(common,
				   "--duration takes seconds, or a time like 10min, 2h or 90d, "
				   "not \"%s\"",
				   text);
	*ret_seconds = seconds;
	return STATUS_GO_ON;
}

static int take_option(struct moderate *moderate, int option)
{
	struct retort_request *request = &moderate->request;

	switch (option) {
	case OPTION_CLIENT:
		request->has |= RETORT_HAS_CLIENT;
		return number_parse(moderate->common, "--client", optarg, 0, INT64_MAX,
				    &request->client);
	case OPTION_USER:
		request->user = optarg;
		return STATUS_GO_ON;
	case OPTION_ADDRESS:
		request->address = optarg;
		return STATUS_GO_ON;
	case OPTION_ROOM:
		request->room = optarg;
		return STATUS_GO_ON;
	case OPTION_DURATION:
		request->has |= RETORT_HAS_DURATION;
		return duration_parse(moderate->common, optarg, &request->duration);
	default:
		return control_option(moderate->common, option, &moderate->control);
	}
}

/* Takes the target, unless an option was it, and the reason from the words that are left. */
static int take_words(struct moderate *moderate, char *words[])
{
	struct retort_request *request = &moderate->request;
	const int options = (request->user != NULL) + (request->address != NULL) +
			    ((request->has & RETORT_HAS_CLIENT) != 0);

	if (options > 1)
		return usage_error(moderate->common, "one target at a time");
	if (options == 0) {
		if (!*words)
			return STATUS_GO_ON;
		request->nick = *words++;
	}
	if (!*words)
		return STATUS_GO_ON;
	if (request->op == RETORT_OP_UNBAN || request->op == RETORT_OP_UNMUTE)
		return usage_error(moderate->common, "it takes no reason");
	moderate->reason = words_join(words);
	request->reason = moderate->reason;
	return moderate->reason ? STATUS_GO_ON : out_of_memory();
}

static bool has_target(const struct retort_request *request)
{
	return request->nick || request->user || request->address ||
	       (request->has & RETORT_HAS_CLIENT);
}

static int parse(struct moderate *moderate, const struct option *options, int argc, char *argv[])
{
	const struct retort_request *request = &moderate->request;
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_SHORT, options, NULL)) >= 0) {
		status = take_option(moderate, option);
		if (status != STATUS_GO_ON)
			return status;
	}
	status = take_words(moderate, argv + optind);
	if (status != STATUS_GO_ON || has_target(request))
		return status;
	moderate->listed = request->op == RETORT_OP_BAN || request->op == RETORT_OP_MUTE;
	if (moderate->listed && !(request->has & RETORT_HAS_DURATION))
		return STATUS_GO_ON;
	return usage_error(moderate->common, "whom?");
}

/* Says what was done, to whom, until when, and how many connections that ended. */
static void tell(const struct moderate *moderate, const char *done, const json_t *reply)
{
	const struct retort_request *request = &moderate->request;
	const char *who = request->nick ?: request->user ?: request->address;
	const json_t *kicked = json_object_get(reply, "kicked");
	char until[MOMENT_TEXT_MAX];

	(void)fputs(done, stdout);
	if (who)
		(void)printf(" %s", who);
	else
		(void)printf(" client %" PRIu64, request->client);
	if (request->room)
		(void)printf(" from %s", request->room);
	if (request->has & RETORT_HAS_DURATION)
		(void)printf(" until %s",
			     moment_format(moment_now() + request->duration * 1000, until));
	if (kicked)
		(void)printf(", %" JSON_INTEGER_FORMAT " connection%s", json_integer_value(kicked),
			     json_integer_value(kicked) == 1 ? "" : "s");
	(void)putchar('\n');
}

static int list(const struct moderate *moderate)
{
	const struct retort_request request = {.op = RETORT_OP_STATS};
	const bool bans = moderate->request.op == RETORT_OP_BAN;
	json_t *stats;
	int status;

	status = control_ask(moderate->common, moderate->control, &request, &stats);
	if (status != STATUS_GO_ON)
		return status;
	status = sanction_list_print(json_object_get(stats, bans ? "bans" : "mutes"),
				     bans ? "BANNED" : "MUTED", moderate->common->json);
	json_decref(stats);
	return status;
}

static int act(const struct moderate *moderate, const char *done)
{
	json_t *reply;
	int status;

	status = control_ask(moderate->common, moderate->control, &moderate->request, &reply);
	if (status != STATUS_GO_ON)
		return status;
	if (moderate->common->json)
		return reply_print_object(reply);
	if (!moderate->common->quiet)
		tell(moderate, done, reply);
	json_decref(reply);
	return status;
}

static int run(struct common *common, enum retort_op op, const struct option *options,
	       const char *done, int argc, char *argv[])
{
	struct moderate moderate = {.common = common, .request.op = op};
	int status = parse(&moderate, options, argc, argv);

	if (status == STATUS_GO_ON)
		status = moderate.listed ? list(&moderate) : act(&moderate, done);
	free(moderate.reason);
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

static int kick_run(struct common *common, int argc, char *argv[])
{
	static const struct option options[] = {
		{"client", required_argument, NULL, OPTION_CLIENT},
		{"user", required_argument, NULL, OPTION_USER},
		{"room", required_argument, NULL, OPTION_ROOM},
		CONTROL_LONG,
		COMMON_LONG,
	};

	return run(common, RETORT_OP_KICK, options, "kicked", argc, argv);
}

static int impose(struct common *common, enum retort_op op, const char *done, int argc,
		  char *argv[])
{
	static const struct option options[] = {
		{"user", required_argument, NULL, OPTION_USER},
		{"address", required_argument, NULL, OPTION_ADDRESS},
		{"duration", required_argument, NULL, OPTION_DURATION},
		CONTROL_LONG,
		COMMON_LONG,
	};

	return run(common, op, options, done, argc, argv);
}

static int lift(struct common *common, enum retort_op op, const char *done, int argc, char *argv[])
{
	static const struct option options[] = {
		{"user", required_argument, NULL, OPTION_USER},
		{"address", required_argument, NULL, OPTION_ADDRESS},
		CONTROL_LONG,
		COMMON_LONG,
	};

	return run(common, op, options, done, argc, argv);
}

static int ban_run(struct common *common, int argc, char *argv[])
{
	return impose(common, RETORT_OP_BAN, "banned", argc, argv);
}

static int mute_run(struct common *common, int argc, char *argv[])
{
	return impose(common, RETORT_OP_MUTE, "muted", argc, argv);
}

static int unban_run(struct common *common, int argc, char *argv[])
{
	return lift(common, RETORT_OP_UNBAN, "unbanned", argc, argv);
}

static int unmute_run(struct common *common, int argc, char *argv[])
{
	return lift(common, RETORT_OP_UNMUTE, "unmuted", argc, argv);
}

#define TARGETS_HELP                                                                 \
	"      --user USER       a user of this system, under whatever nick\n"       \
	"      --address ADDRESS where they connect from: 10.0.0.1, or a network,\n" \
	"                        fd00::/8\n"
#define DURATION_HELP                                                              \
	"      --duration TIME   for so long: seconds, or a time like 10min, 2h\n" \
	"                        or 90d; otherwise until it is taken back\n"

const struct command command_kick = {
	.name = "kick",
	.arguments = "[OPTION...] NICK|--client N|--user USER [REASON...]",
	.summary = "end somebody's connections, or take them out of a room",
	.help = "Ends the connections of NICK, after telling the REASON. For administrators.\n"
		"\n"
		"      --client N      this connection only, by its number in 'retort clients'\n"
		"      --user USER     a user of this system, under whatever nick\n"
		"      --room ROOM     take them out of the room only\n" CONTROL_HELP "\n"
		"Examples:\n"
		"  retort kick spammer\n"
		"  retort kick --client 17 --room lobby wrong room\n"
		"\n",
	.run = kick_run,
};

const struct command command_ban = {
	.name = "ban",
	.arguments = "[OPTION...] [NICK|--user USER|--address ADDRESS [REASON...]]",
	.summary = "keep somebody out, or list who is kept out",
	.help = "Ends the connections of NICK, and lets them in no more; bans outlive restarts.\n"
		"Without a target it lists the bans. For administrators.\n"
		"\n" TARGETS_HELP DURATION_HELP CONTROL_HELP "\n"
		"Examples:\n"
		"  retort ban spammer --duration 2h calm down\n"
		"  retort ban --address 203.0.113.0/24\n"
		"  retort ban\n"
		"\n",
	.run = ban_run,
};

const struct command command_unban = {
	.name = "unban",
	.arguments = "[OPTION...] NICK|--user USER|--address ADDRESS",
	.summary = "take a ban back",
	.help = "Lets somebody in again. For administrators.\n"
		"\n" TARGETS_HELP CONTROL_HELP "\n"
		"Examples:\n"
		"  retort unban spammer\n"
		"  retort unban --address 203.0.113.0/24\n"
		"\n",
	.run = unban_run,
};

const struct command command_mute = {
	.name = "mute",
	.arguments = "[OPTION...] [NICK|--user USER|--address ADDRESS [REASON...]]",
	.summary = "let somebody say nothing, or list who may not",
	.help = "Lets NICK listen, but say nothing; mutes outlive restarts. Without a target it\n"
		"lists the mutes. For administrators.\n"
		"\n" TARGETS_HELP DURATION_HELP CONTROL_HELP "\n"
		"Examples:\n"
		"  retort mute chatterbox --duration 10min\n"
		"  retort mute --json\n"
		"\n",
	.run = mute_run,
};

const struct command command_unmute = {
	.name = "unmute",
	.arguments = "[OPTION...] NICK|--user USER|--address ADDRESS",
	.summary = "take a mute back",
	.help = "Lets somebody speak again. For administrators.\n"
		"\n" TARGETS_HELP CONTROL_HELP "\n"
		"Example:\n"
		"  retort unmute chatterbox\n"
		"\n",
	.run = unmute_run,
};
