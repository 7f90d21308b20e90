/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * retort ask: messages to a transform listener, and its answers.
 *
 * Two ways of talking. Where messages have bounds (framing line and length, and UDP), sending and
 * receiving go on side by side, every answer is counted, and memory is bounded however much goes
 * through. Over raw nothing says where an answer ends: the words of the command line are sent one
 * by one, each answer ending with a short silence; standard input is sent as it comes, and what
 * comes back is copied until the server closes.
 */

#include "ask.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "link.h"
#include "output.h"
#include "source.h"
#include "target.h"

enum {
	UNSENT_MAX = 256 * 1024, /* no more is read from the source while this much is queued */
	QUIET_MS = 50,		 /* raw: a silence of this length ends an answer */
	LAST_LINE_MS = 100,	 /* how long the end may take to come behind an "error: " line */
	CLOSE_MS = 1000,	 /* how long a server that owes nothing may take to close */
};

struct ask {
	const struct common *common;
	struct target target;
	struct link link;
	struct source source;
	struct output output;
	int framing;
	bool whole;
	bool nul;

	uint64_t sent;
	uint64_t answered;
	bool source_done;  /* every message was queued */
	bool line_held;	   /* an "error: " line waits for what comes behind it */
	bool meets_chat;   /* what answers is the chat listener, and nobody said so */
	uint64_t progress; /* when bytes last moved, or nothing was owed */
};

static bool is_datagram(const struct ask *ask)
{
	return ask->target.transport == TRANSPORT_UDP;
}

static bool is_raw(const struct ask *ask)
{
	return !is_datagram(ask) && ask->framing == FRAMING_RAW;
}

static int lost(const struct ask *ask, int error)
{
	if (ask->sent > 0 && (error == -ECONNRESET || error == -EPIPE)) {
		complain("%s: the connection was lost", ask->target.name);
		return STATUS_NO_CONNECTION;
	}
	return target_failed(&ask->target, error);
}

static int output_failed(int error)
{
	if (error == -ENOMEM)
		return out_of_memory();
	complain("cannot write to standard output: %s", strerrordesc_np(-error));
	return STATUS_SYSTEM;
}

static int timed_out(const struct ask *ask)
{
	const char *hint = "";

	if (is_datagram(ask))
		hint = "; datagrams get lost, and one whose answer would be longer is not answered";
	else if (ask->answered == 0)
		hint = "; its framing may be another one, see -f";
	complain("%s: no answer within %.10g seconds%s", ask->target.name,
		 (double)ask->common->timeout_ms / 1000, hint);
	return STATUS_TIMED_OUT;
}

/* Who gives no address gets to the chat listener, which knows no such messages. */
static void note_chat(struct ask *ask, struct bytes answer)
{
	static const char refusal[] = "{\"ok\":false,";

	if (ask->target.implied && ask->answered == 1 && answer.len >= strlen(refusal))
		ask->meets_chat = memcmp(answer.data, refusal, strlen(refusal)) == 0;
}

static void explain_chat(const struct ask *ask)
{
	if (ask->meets_chat && !ask->common->quiet)
		complain("%s is the chat listener; say with -c where another one is, such as -c "
			 "tcp://localhost:7007, or see 'retort transform --help'",
			 ask->target.name);
}

/* The server has closed; says whether it still owed something. */
static int ended(const struct ask *ask)
{
	if (ask->link.send_failed) {
		complain("%s: the connection was lost", ask->target.name);
		return STATUS_NO_CONNECTION;
	}
	if (ask->source_done && ask->answered >= ask->sent)
		return STATUS_DONE;
	complain("%s: closed the connection after %llu of %llu answers", ask->target.name,
		 (unsigned long long)ask->answered, (unsigned long long)ask->sent);
	return STATUS_PROTOCOL;
}

/* Prints all that has come. STATUS_GO_ON means that more must come. */
static int take_answers(struct ask *ask)
{
	struct message message;
	int r;

	ask->line_held = false;
	for (;;) {
		switch (link_next(&ask->link, &message)) {
		case LINK_NOTHING:
			return STATUS_GO_ON;
		case LINK_LINE_HELD:
			ask->line_held = true;
			return STATUS_GO_ON;
		case LINK_MESSAGE:
			if (is_datagram(ask) && ask->answered == ask->sent)
				break; /* it came twice */
			ask->answered++;
			note_chat(ask, message.body);
			r = output_message(&ask->output, &message);
			if (r < 0)
				return output_failed(r);
			break;
		case LINK_REFUSED:
			(void)output_flush(&ask->output); /* the reason matters more now */
			complain_text("the server says: ", message.body.data, message.body.len);
			return STATUS_REFUSED;
		case LINK_MALFORMED:
			(void)output_flush(&ask->output);
			complain("%s: %s", ask->target.name, message.problem);
			return STATUS_PROTOCOL;
		case LINK_ENDED:
			return ended(ask);
		}
	}
}

static int unsendable(const struct ask *ask, const char *why)
{
	return usage_error(ask->common, "message %llu %s", (unsigned long long)ask->sent + 1, why);
}

static int send_one(struct ask *ask, struct bytes message)
{
	int r;

	if (!is_datagram(ask) && ask->framing == FRAMING_LINE && message.len > 0 &&
	    memchr(message.data, '\n', message.len))
		return unsendable(ask, "has a newline in it, which would end it in framing line");
	r = link_send(&ask->link, message.data, message.len);
	if (r == -EMSGSIZE && !is_datagram(ask))
		return unsendable(ask, "is longer than a frame can be");
	if (r < 0)
		return target_failed(&ask->target, r);
	if (ask->sent == ask->answered)
		ask->progress = clock_now(); /* from now on something is owed */
	ask->sent++;
	return STATUS_GO_ON;
}

/* Over UDP one message is on its way at a time: so the answers keep their order. */
static bool may_send(const struct ask *ask)
{
	if (is_datagram(ask))
		return ask->sent == ask->answered;
	return link_unsent(&ask->link) < UNSENT_MAX;
}

static int queue_messages(struct ask *ask)
{
	struct bytes message;
	int status;

	while (!ask->source_done && may_send(ask)) {
		switch (source_next(&ask->source, &message)) {
		case SOURCE_WAIT:
			return STATUS_GO_ON;
		case SOURCE_MESSAGE:
			status = send_one(ask, message);
			if (status != STATUS_GO_ON)
				return status;
			break;
		case SOURCE_END:
			ask->source_done = true;
			break;
		}
	}
	return STATUS_GO_ON;
}

static int read_source(struct ask *ask)
{
	int r = source_read(&ask->source);

	if (r == -ENOMEM)
		return out_of_memory();
	if (r == -EMSGSIZE)
		return unsendable(ask, "is longer than 1 GiB");
	if (r < 0) {
		complain("cannot read standard input: %s", strerrordesc_np(-r));
		return STATUS_SYSTEM;
	}
	return STATUS_GO_ON;
}

/* Moves bytes once anything can move, or sets *ret_idle when nothing could until the deadline. */
static int wait_once(struct ask *ask, bool read_more, uint64_t deadline, bool *ret_idle)
{
	struct pollfd fds[] = {
		{.fd = ask->link.fd, .events = link_events(&ask->link)},
		{.fd = read_more ? ask->source.fd : -1, .events = POLLIN},
	};
	int n, r;

	r = output_flush(&ask->output);
	if (r < 0)
		return output_failed(r);
	/* When the server has closed and nothing is unsent, its hang-up is no news. */
	if (!fds[0].events)
		fds[0].fd = -1;
	n = poll(fds, ARRAY_SIZE(fds), clock_wait_ms(deadline));
	if (n < 0 && errno != EINTR)
		return target_failed(&ask->target, -errno);
	*ret_idle = n == 0;
	if (n <= 0)
		return STATUS_GO_ON;
	if (fds[0].revents) {
		r = link_io(&ask->link, fds[0].revents);
		if (r < 0)
			return lost(ask, r);
		ask->progress = clock_now();
	}
	return fds[1].revents ? read_source(ask) : STATUS_GO_ON;
}

static bool owes_nothing(const struct ask *ask)
{
	return ask->source_done && ask->answered >= ask->sent && link_unsent(&ask->link) == 0;
}

static uint64_t deadline_of(const struct ask *ask)
{
	const uint64_t timeout = ask->common->timeout_ms * NSEC_PER_MSEC;

	if (ask->line_held && ask->source_done && ask->answered + 1 == ask->sent)
		return ask->progress + MIN(timeout, LAST_LINE_MS * NSEC_PER_MSEC);
	if (owes_nothing(ask))
		return ask->progress + MIN(timeout, CLOSE_MS * NSEC_PER_MSEC);
	if (ask->sent > ask->answered || link_unsent(&ask->link) > 0)
		return ask->progress + timeout;
	return DEADLINE_NONE; /* it is standard input's turn */
}

/* Framing line and length, and UDP. */
static int converse(struct ask *ask)
{
	for (;;) {
		bool read_more, idle = false;
		int status;

		status = take_answers(ask);
		if (status == STATUS_GO_ON)
			status = queue_messages(ask);
		if (status != STATUS_GO_ON)
			return status;

		if (owes_nothing(ask) && is_datagram(ask))
			return STATUS_DONE;
		/* Then the server closes, after whatever it says unasked, such as a greeting. */
		if (owes_nothing(ask))
			link_shut(&ask->link);

		read_more = !ask->source_done && ask->source.fd >= 0 && may_send(ask);
		status = wait_once(ask, read_more, deadline_of(ask), &idle);
		if (status != STATUS_GO_ON)
			return status;
		if (idle && ask->line_held && ask->source_done && ask->answered + 1 == ask->sent)
			link_accept_line(&ask->link);
		else if (idle && owes_nothing(ask))
			return STATUS_DONE; /* it has nothing to say, but does not close */
		else if (idle)
			return timed_out(ask);
	}
}

/* Raw: sends one message and gathers what comes until a silence. */
static int raw_round(struct ask *ask, struct buffer *answer)
{
	bool idle = false;

	answer->len = 0;
	while (!ask->link.ended) {
		const bool quiet_ends = answer->len > 0 && link_unsent(&ask->link) == 0;
		const uint64_t wait = quiet_ends ? QUIET_MS : ask->common->timeout_ms;
		struct message message;
		int status;

		status = wait_once(ask, false, ask->progress + wait * NSEC_PER_MSEC, &idle);
		if (status != STATUS_GO_ON)
			return status;
		if (idle && quiet_ends)
			return STATUS_GO_ON;
		if (idle)
			return timed_out(ask);
		while (link_next(&ask->link, &message) == LINK_MESSAGE)
			if (buffer_append(answer, message.body.data, message.body.len) < 0)
				return out_of_memory();
	}
	return answer->len > 0 ? STATUS_GO_ON : ended(ask);
}

static int converse_raw(struct ask *ask)
{
	CLEANUP(buffer_done) struct buffer answer = {0};
	struct bytes text;
	int status, r;

	while (source_next(&ask->source, &text) == SOURCE_MESSAGE) {
		if (text.len == 0)
			return unsendable(ask, "is empty, which framing raw cannot say");
		ask->progress = clock_now();
		status = send_one(ask, text);
		if (status == STATUS_GO_ON)
			status = raw_round(ask, &answer);
		if (status != STATUS_GO_ON)
			return status;
		ask->answered++;
		r = output_message(&ask->output,
				   &(struct message){.body = {answer.data, answer.len}});
		if (r < 0)
			return output_failed(r);
	}
	return STATUS_DONE;
}

/* Raw: standard input to the server, and the server to standard output, until it closes. */
static int copy_raw(struct ask *ask)
{
	ask->progress = clock_now();
	for (;;) {
		struct message message;
		uint64_t deadline = DEADLINE_NONE;
		bool idle = false;
		int status, r;

		while (link_next(&ask->link, &message) == LINK_MESSAGE) {
			ask->answered += message.body.len;
			r = output_message(&ask->output, &message);
			if (r < 0)
				return output_failed(r);
		}
		if (ask->link.ended)
			break;
		status = queue_messages(ask);
		if (status != STATUS_GO_ON)
			return status;
		if (ask->source_done && link_unsent(&ask->link) == 0)
			link_shut(&ask->link);
		if (ask->source_done || link_unsent(&ask->link) > 0)
			deadline = ask->progress + ask->common->timeout_ms * NSEC_PER_MSEC;
		status = wait_once(ask, !ask->source_done && may_send(ask), deadline, &idle);
		if (status != STATUS_GO_ON)
			return status;
		if (idle)
			return timed_out(ask);
	}
	if (ask->link.send_failed || link_unsent(&ask->link) > 0 || !ask->source_done) {
		complain("%s: closed the connection before everything was sent", ask->target.name);
		return STATUS_PROTOCOL;
	}
	if (ask->sent > 0 && ask->answered == 0) {
		complain("%s: closed the connection without an answer", ask->target.name);
		return STATUS_PROTOCOL;
	}
	return STATUS_DONE;
}

static int talk(struct ask *ask)
{
	int r;

	r = link_open(&ask->link, ask->target.endpoints, ask->target.n_endpoints,
		      (enum framing)ask->framing, ask->common->timeout_ms);
	if (r < 0)
		return target_failed(&ask->target, r);
	if (ask->common->verbose) {
		char name[ADDRESS_TEXT_MAX];

		complain("connected to %s", endpoint_format(&ask->link.peer, name));
	}
	if (!is_raw(ask))
		return converse(ask);
	return ask->source.fd < 0 ? converse_raw(ask) : copy_raw(ask);
}

static const char help[] =
	"Sends each TEXT, or without any each line of standard input, as one message to a\n"
	"transform listener, and prints the answers, a line each and in order. Standard input\n"
	"of any size goes through in little memory, and answers are printed as they come.\n"
	"\n"
	"  -f, --framing FRAMING  the listener's: length (the usual), line or raw; over UDP it\n"
	"                         has no meaning, a datagram is a message\n"
	"  -0, --null             messages on standard input end with NUL, and so do the answers\n"
	"  -w, --whole            all of standard input is one message, and the answer is printed\n"
	"                         with nothing behind it\n"
	"\n"
	"In framing raw nothing tells where an answer ends. Each TEXT is sent when the answer to\n"
	"the one before is there, which a silence of 50 ms ends. Standard input is sent as it\n"
	"comes, and all that comes back is printed as it is, until the server closes; so -0 has\n"
	"no meaning there. In framing line a message cannot have a newline in it.\n"
	"\n"
	"On a terminal, control characters in answers are shown, not obeyed. With --json an\n"
	"answer is {\"text\":\"...\"}, and when it is not UTF-8 it has \"bytes\" too, in base64.\n"
	"\n"
	"Examples:\n"
	"  retort -c tcp://localhost:7007 ask 'hello, world!'\n"
	"  retort -c tcp://localhost:33333 ask --framing line one two three\n"
	"  retort -c tcp://localhost:9090 ask --framing raw < poem > POEM\n"
	"  find . -print0 | retort -c udp://localhost:7007 ask -0\n"
	"  retort -c unix:/run/retort/echo.sock ask --whole --json < letter\n"
	"\n";

/* Takes the command line; STATUS_GO_ON when there is something to do. */
static int parse(struct ask *ask, struct common *common, int argc, char *argv[])
{
	static const struct option options[] = {
		{"framing", required_argument, NULL, 'f'},
		{"null", no_argument, NULL, '0'},
		{"whole", no_argument, NULL, 'w'},
		COMMON_LONG,
	};
	int option, status = STATUS_GO_ON;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "f:0w", options, NULL)) >= 0) {
		switch (option) {
		case 'f':
			status = framing_parse(common, optarg, &ask->framing);
			break;
		case '0':
			ask->nul = true;
			break;
		case 'w':
			ask->whole = true;
			break;
		default:
			status = common_option(common, option);
		}
		if (status != STATUS_GO_ON)
			return status;
	}
	ask->source.texts = argv + optind;
	ask->source.n_texts = (size_t)(argc - optind);
	if (ask->whole && ask->source.n_texts > 0)
		return usage_error(common, "--whole is for standard input, not for a TEXT");
	if (ask->whole && ask->nul)
		return usage_error(common, "--whole and --null exclude each other");
	return STATUS_GO_ON;
}

/* Says how messages are read and written, now that framing and transport are known. */
static int prepare(struct ask *ask)
{
	const bool from_input = ask->source.n_texts == 0;

	if (is_raw(ask) && from_input && ask->nul)
		return usage_error(ask->common, "--null has no meaning for standard input in "
						"framing raw, which has no messages");
	ask->source.fd = from_input ? STDIN_FILENO : -1;
	ask->source.separator = ask->nul ? '\0' : '\n';
	ask->source.cut = ask->whole ? SOURCE_WHOLE : SOURCE_SEPARATED;
	if (is_raw(ask) && from_input)
		ask->source.cut = SOURCE_PIECES;

	ask->output = (struct output){
		.json = ask->common->json,
		.terminal = isatty(STDOUT_FILENO),
		.bare = ask->whole || ask->source.cut == SOURCE_PIECES,
		.separator = ask->source.separator,
	};
	return STATUS_GO_ON;
}

static int ask_run(struct common *common, int argc, char *argv[])
{
	struct ask ask = {.common = common, .link.fd = -1, .framing = FRAMING_LENGTH};
	int status;

	status = parse(&ask, common, argc, argv);
	if (status == STATUS_GO_ON)
		status = target_find(common, &ask.target);
	if (status == STATUS_GO_ON)
		status = prepare(&ask);
	if (status == STATUS_GO_ON)
		status = talk(&ask);
	output_done(&ask.output);
	explain_chat(&ask);
	source_done(&ask.source);
	link_done(&ask.link);
	target_done(&ask.target);
	return status;
}

const struct command command_ask = {
	.name = "ask",
	.arguments = "[OPTION...] [TEXT...]",
	.summary = "send messages to a transform listener and print the answers",
	.help = help,
	.run = ask_run,
};
