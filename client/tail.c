/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints what was said in a room, and what is being said: retort tail.
 *
 * All of it is about one number, that of the last message behind us: it is found from what was
 * asked for, then what comes after it is read page by page, or, to follow, delivered by the server
 * since we join the room after that number. So there is no seam between what was and what is.
 */

#include "tail.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "chat.h"
#include "clock.h"
#include "connection.h"
#include "moment.h"
#include "reply.h"
#include "text.h"

enum { PAGE = 250 }; /* messages asked for at a time */

struct tail {
	struct common *common;
	struct connection connection;
	const char *room;
	uint64_t count; /* messages at the end, when has_count */
	uint64_t since; /* a number, or a time when by_time; when has_since */
	bool has_count, has_since, by_time;
	bool follow;
	bool lost; /* the connection; that was said */
	struct buffer line;
};

/* ---- What is printed ---- */

static int print_line(struct tail *tail, const struct retort_message *message)
{
	struct buffer *line = &tail->line;
	char time[MOMENT_TEXT_MAX];

	(void)moment_format(message->time, time);
	line->len = 0;
	if (buffer_append(line, time, strlen(time)) < 0 || buffer_append(line, " ", 1) < 0 ||
	    text_append_safe(line, message->from, strlen(message->from)) < 0 ||
	    buffer_append(line, ": ", 2) < 0 ||
	    text_append_safe(line, message->text, message->text_len) < 0 ||
	    buffer_append(line, "\n", 1) < 0)
		return out_of_memory();
	(void)fwrite(line->data, 1, line->len, stdout); /* the end of the program sees a failure */
	return STATUS_GO_ON;
}

/* What came from the server, but in ASCII. */
static int print_event(const struct retort_event *event)
{
	return reply_print_object(json_loadb(event->json, event->json_len, 0, NULL));
}

static int tell_gap(const struct tail *tail, uint64_t first, uint64_t last)
{
	if (tail->common->json)
		return reply_print_object(json_pack("{ss,ss,sI,sI}", "event", "gap", "room",
						    tail->room, "first", (json_int_t)first, "last",
						    (json_int_t)last));
	if (!tail->common->quiet)
		complain("messages %" PRIu64 " to %" PRIu64 " are kept no longer", first, last);
	return STATUS_GO_ON;
}

/* The messages of a reply, as events. */
static int print_page(struct tail *tail, const struct retort_reply *reply)
{
	json_t *object = NULL, *message;
	size_t i;
	int status = STATUS_GO_ON;

	if (!tail->common->json) {
		for (i = 0; i < reply->messages_len && status == STATUS_GO_ON; i++)
			status = print_line(tail, &reply->messages[i]);
		return status;
	}
	status = reply_object(reply, &object);
	if (status != STATUS_GO_ON)
		return status;
	json_array_foreach(json_object_get(object, "messages"), i, message) {
		json_t *event = json_pack("{ss,ss}", "event", "message", "room", tail->room);

		if (!event || json_object_update(event, message) < 0) {
			json_decref(event);
			status = out_of_memory();
			break;
		}
		status = reply_print_object(event);
		if (status != STATUS_GO_ON)
			break;
	}
	json_decref(object);
	return status;
}

/* ---- Where to begin ---- */

static int ask_history(struct tail *tail, uint64_t after, uint64_t limit,
		       const struct retort_reply **ret_reply)
{
	const struct retort_request request = {
		.op = RETORT_OP_HISTORY,
		.has = RETORT_HAS_AFTER | RETORT_HAS_LIMIT,
		.room = tail->room,
		.after = after,
		.limit = limit,
	};

	return connection_call(&tail->connection, &request, ret_reply);
}

/* Finds the last number that was said before time; the log is in order, so by halves. */
static int find_time(struct tail *tail, uint64_t time, uint64_t oldest, uint64_t newest,
		     uint64_t *ret_before)
{
	uint64_t low = oldest, high = newest + 1; /* the first at or after time is in low … high */

	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;
		const struct retort_reply *reply;
		int status = ask_history(tail, middle - 1, 1, &reply);

		if (status != STATUS_GO_ON)
			return status;
		if (reply->messages_len == 0 || reply->messages[0].time >= time)
			high = middle;
		else
			low = MAX(middle, reply->messages[0].seq) + 1; /* some may have gone */
	}
	*ret_before = low - 1;
	return STATUS_GO_ON;
}

/* The number after which to begin, of a log that holds from oldest to newest. */
static int find_start(struct tail *tail, uint64_t oldest, uint64_t newest, uint64_t *ret_after)
{
	const uint64_t kept = oldest > 0 ? oldest - 1 : 0;
	uint64_t after = kept;
	int status;

	if (tail->has_since && tail->by_time) {
		status = find_time(tail, tail->since, MAX(oldest, UINT64_C(1)), newest, &after);
		if (status != STATUS_GO_ON)
			return status;
	} else if (tail->has_since) {
		after = MIN(tail->since, newest);
		if (tail->since > newest && !tail->common->quiet)
			complain("the last message of %s is number %" PRIu64, tail->room, newest);
	}
	if (tail->has_count && newest > tail->count)
		after = MAX(after, newest - tail->count);
	*ret_after = after;
	return STATUS_GO_ON;
}

/* ---- What was ---- */

static int print_history(struct tail *tail, uint64_t after, uint64_t newest)
{
	while (after < newest) {
		const struct retort_reply *reply;
		uint64_t first;
		int status;

		status = ask_history(tail, after, MIN(newest - after, (uint64_t)PAGE), &reply);
		if (status != STATUS_GO_ON)
			return status;
		first = reply->messages_len > 0 ? reply->messages[0].seq : newest + 1;
		if (first > after + 1)
			status = tell_gap(tail, after + 1, first - 1);
		if (status == STATUS_GO_ON)
			status = print_page(tail, reply);
		if (status != STATUS_GO_ON || reply->messages_len == 0)
			return status;
		after = reply->messages[reply->messages_len - 1].seq;
	}
	return STATUS_GO_ON;
}

/* ---- What is ---- */

static int take_event(struct tail *tail, const struct retort_event *event)
{
	const bool tells = !tail->common->quiet;
	uint64_t seen;

	switch (event->kind) {
	case RETORT_MESSAGE:
		return tail->common->json ? print_event(event) : print_line(tail, event->message);
	case RETORT_GAP:
		return tell_gap(tail, event->first, event->last);
	case RETORT_LEAVE:
		/* Who has another nick now is still there. */
		if (!event->mine || retort_seen(tail->connection.retort, event->room, &seen) == 0)
			return STATUS_GO_ON;
		return refused("", "not_member", event->text ?: "somebody took us out of the room");
	case RETORT_DISCONNECTED:
		if (tells && !tail->lost && event->retry >= 0) /* each try ends so */
			complain_text("the connection was lost; trying again: ", event->text ?: "",
				      strlen(event->text ?: ""));
		tail->lost = true;
		return STATUS_GO_ON;
	case RETORT_RESUMED:
		tail->lost = false;
		if (tells)
			complain("connected again");
		return STATUS_GO_ON;
	case RETORT_RESTARTED:
		if (tells)
			complain("the log of %s began anew", tail->room);
		return STATUS_GO_ON;
	case RETORT_ROOM_LOST:
		return refused("", event->token ?: "not_member", event->text);
	default:
		return STATUS_GO_ON;
	}
}

/* Waits for the server, and for the end of whoever reads what is printed. */
static int wait_once(struct tail *tail)
{
	struct retort *retort = tail->connection.retort;
	struct pollfd fds[] = {
		{.fd = retort_fd(retort), .events = retort_events(retort)},
		{.fd = STDOUT_FILENO},
	};

	if (fflush(stdout) == EOF)
		return STATUS_DONE; /* the end of the program says why */
	if (poll(fds, ARRAY_SIZE(fds), retort_timeout(retort)) < 0 && errno != EINTR)
		return connection_failed(&tail->connection, -errno);
	if (fds[1].revents & POLLERR)
		(void)raise(SIGPIPE); /* as the next line would */
	return fds[1].revents & (POLLERR | POLLNVAL) ? STATUS_DONE : STATUS_GO_ON;
}

static int follow(struct tail *tail, uint64_t after)
{
	struct retort *retort = tail->connection.retort;
	struct retort_event event;
	int status = STATUS_GO_ON, r;

	r = retort_join_since(retort, tail->room, after, (int)tail->common->timeout_ms);
	if (r != 0)
		return connection_failed(&tail->connection, r);
	while (status == STATUS_GO_ON) {
		r = retort_next(retort, 0, &event);
		if (r > 0)
			status = take_event(tail, &event);
		else if (r == 0)
			status = wait_once(tail);
		else
			status = connection_failed(&tail->connection, r);
	}
	return status;
}

static int talk(struct tail *tail)
{
	const struct retort_request request = {
		.op = RETORT_OP_HISTORY, .has = RETORT_HAS_LIMIT, .room = tail->room, .limit = 1};
	struct retort *retort = tail->connection.retort;
	const struct retort_reply *reply;
	uint64_t newest, after;
	int status, r;

	status = connection_connect(&tail->connection);
	if (status != STATUS_GO_ON)
		return status;
	r = retort_call(retort, &request, (int)tail->common->timeout_ms, &reply);
	if (r == RETORT_NO_SUCH_ROOM && tail->follow)
		return follow(tail, 0); /* it may be who waits for messages that comes first */
	if (r != 0)
		return connection_failed(&tail->connection, r);
	newest = reply->seq;
	status = find_start(tail, reply->oldest, newest, &after);
	if (status != STATUS_GO_ON)
		return status;
	return tail->follow ? follow(tail, after) : print_history(tail, after, newest);
}

/* ---- The command line ---- */

static int take_since(struct tail *tail, const char *text)
{
	tail->has_since = true;
	tail->by_time = text[strspn(text, "0123456789")] != '\0';
	if (!tail->by_time)
		return number_parse(tail->common, "--since", text, 0, INT64_MAX, &tail->since);
	if (moment_parse(text, moment_now(), &tail->since) == 0)
		return STATUS_GO_ON;
	return usage_error(tail->common,
			   "--since takes the number of a message, a time like 2026-11-22 15:04 or "
			   "2026-11-22T15:04:05Z, or how long ago, like 10min or 2h, not \"%s\"",
			   text);
}

static int parse(struct tail *tail, int argc, char *argv[])
{
	enum { OPTION_SINCE = OPTION_COMMAND };
	static const struct option options[] = {
		{"lines", required_argument, NULL, 'n'},
		{"since", required_argument, NULL, OPTION_SINCE},
		{"follow", no_argument, NULL, 'f'},
		COMMON_LONG,
	};
	int option, status = STATUS_GO_ON;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "n:f", options, NULL)) >= 0) {
		switch (option) {
		case 'n':
			tail->has_count = true;
			status = number_parse(tail->common, "--lines", optarg, 0, INT64_MAX,
					      &tail->count);
			break;
		case 'f':
			tail->follow = true;
			break;
		case OPTION_SINCE:
			status = take_since(tail, optarg);
			break;
		default:
			status = common_option(tail->common, option);
		}
		if (status != STATUS_GO_ON)
			return status;
	}
	if (argc - optind != 1)
		return usage_error(tail->common, "one room");
	tail->room = argv[optind];
	if (!tail->has_since && !tail->has_count) {
		tail->has_count = true;
		tail->count = 10;
	}
	return STATUS_GO_ON;
}

static int tail_run(struct common *common, int argc, char *argv[])
{
	struct tail tail = {.common = common};
	int status = parse(&tail, argc, argv);

	if (status == STATUS_GO_ON)
		status = connection_new(common, &tail.connection);
	if (status != STATUS_GO_ON)
		return status;
	status = talk(&tail);
	connection_done(&tail.connection);
	buffer_done(&tail.line);
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

const struct command command_tail = {
	.name = "tail",
	.arguments = "[OPTION...] ROOM",
	.summary = "print what was said in a room, and follow it",
	.help = "Prints the last messages of ROOM, a line each, with the local time and who said\n"
		"it. Control characters are shown, not obeyed.\n"
		"\n"
		"  -n, --lines N          so many at the end (10; with --since, all)\n"
		"      --since SEQ|TIME   what came after the message of this number, or since a\n"
		"                         time: 2026-11-22 15:04, 15:04, 2026-11-22T15:04:05Z, or "
		"so\n"
		"                         long ago: 10min, 2h, 3d\n"
		"  -f, --follow           then join the room and print what is said, until "
		"interrupted\n"
		"\n"
		"When the connection is lost -f comes back, through restarts of the server too, "
		"and\n"
		"goes on with the next message. With --json each line is the event as the server\n"
		"sends it.\n"
		"\n"
		"Examples:\n"
		"  retort tail lobby\n"
		"  retort tail builds -f -n 0 | grep --line-buffered FAILED\n"
		"  retort tail builds --since 2h --json | jq -r .text\n"
		"\n",
	.run = tail_run,
};
