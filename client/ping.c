/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * retort ping: round trips through a listener of either service, as ping(8) prints them.
 *
 * Each message carries its number in a way that no transform changes: decimal digits that read the
 * same from both ends, in quotes, so that it is a JSON string as well. Over a stream answers come
 * in order; over UDP one may be lost, late or doubled, and the number tells which it is. A chat
 * listener understands no such message, and says so: then it begins anew in its words.
 */

#include "ping.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "clock.h"
#include "link.h"
#include "ping_chat.h"
#include "target.h"

enum {
	PENDING_MAX = 8192, /* messages whose answers are remembered as due */
	DIGITS = 16,	    /* of a number, at each end */
	NUMBERED_SIZE = 2 * DIGITS + 2,
	JSON_FLAGS = JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9),
};

enum pending_state { PENDING_NOT, PENDING_DUE, PENDING_LOST };

/* One message whose answer has not come. */
struct pending {
	enum pending_state state;
	uint64_t sent_at;
};

struct ping {
	const struct common *common;
	struct target target;
	struct link link;
	char name[ADDRESS_TEXT_MAX]; /* whom we are connected to */
	int signals;		     /* signalfd(2) of SIGINT and SIGTERM; owned */
	int framing;
	uint64_t count; /* 0: until interrupted */
	uint64_t interval_ms;
	uint64_t size;
	char *payload;
	bool chat;	       /* it is a chat listener that answers */
	struct buffer request; /* to which this is the payload; owned */

	struct pending *pending; /* by number modulo PENDING_MAX; owned, as is payload */
	uint64_t sent;		 /* the newest number; the first is 1 */
	uint64_t oldest;	 /* no lower number is pending */
	uint64_t received;
	uint64_t next_at; /* when the next is to be sent */
	size_t partial;	  /* raw: bytes of an answer so far */
	bool interrupted;
	double least, most, total, squares; /* of round trips, in ms */
};

static struct pending *pending_of(const struct ping *ping, uint64_t number)
{
	return &ping->pending[number % PENDING_MAX];
}

/* Prints an object on a line of its own, and frees it. */
static int print_json(json_t *object)
{
	int r;

	if (!object)
		return out_of_memory();
	r = json_dumpf(object, stdout, JSON_FLAGS);
	json_decref(object);
	(void)putchar('\n');
	return r < 0 && !ferror(stdout) ? out_of_memory() : STATUS_GO_ON;
}

static void payload_write(struct ping *ping, uint64_t number)
{
	if (ping->size < NUMBERED_SIZE)
		return;
	for (unsigned i = DIGITS; i > 0; i--, number /= 10)
		ping->payload[i] = ping->payload[ping->size - 1 - i] = (char)('0' + number % 10);
}

static bool payload_read(struct bytes body, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (body.len < NUMBERED_SIZE)
		return false;
	for (unsigned i = 1; i <= DIGITS; i++) {
		if (body.data[i] < '0' || body.data[i] > '9')
			return false;
		number = number * 10 + (body.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

static int payload_make(struct ping *ping)
{
	ping->payload = malloc(ping->size + 1);
	ping->pending = calloc(PENDING_MAX, sizeof(*ping->pending));
	if (!ping->payload || !ping->pending)
		return out_of_memory();
	memset(ping->payload, '-', ping->size);
	if (ping->size >= 2)
		ping->payload[0] = ping->payload[ping->size - 1] = '"';
	return STATUS_GO_ON;
}

static void forget_settled(struct ping *ping)
{
	while (ping->oldest <= ping->sent && pending_of(ping, ping->oldest)->state == PENDING_NOT)
		ping->oldest++;
}

static int report_answer(struct ping *ping, uint64_t number, size_t len, double ms, bool late)
{
	if (ping->common->quiet)
		return STATUS_GO_ON;
	if (ping->common->json)
		return print_json(json_pack("{s:I, s:I, s:f, s:b}", "seq", (json_int_t)number,
					    "bytes", (json_int_t)len, "time_ms", ms, "late", late));
	printf("%zu bytes from %s: seq=%" PRIu64 " time=%.3f ms%s\n", len, ping->name, number, ms,
	       late ? " (late)" : "");
	return STATUS_GO_ON;
}

static int report_lost(const struct ping *ping, uint64_t number)
{
	if (ping->common->quiet)
		return STATUS_GO_ON;
	if (ping->common->json)
		return print_json(json_pack("{s:I, s:b}", "seq", (json_int_t)number, "lost", 1));
	printf("no answer to seq=%" PRIu64 " within %.10g s\n", number,
	       (double)ping->common->timeout_ms / 1000);
	return STATUS_GO_ON;
}

static bool is_pending(const struct ping *ping, uint64_t number)
{
	return number >= ping->oldest && number <= ping->sent &&
	       pending_of(ping, number)->state != PENDING_NOT;
}

/*
 * The number of what this answers: what it says; or the oldest pending, when messages are too short
 * to say it. Something that says nothing and has another length, such as a greeting, is no answer.
 */
static bool number_of(const struct ping *ping, struct bytes body, uint64_t *ret_number)
{
	uint64_t number = ping->oldest;

	if (ping->size >= NUMBERED_SIZE && body.data && !payload_read(body, &number) &&
	    body.len != ping->size)
		return false;
	if (!is_pending(ping, number))
		return false;
	*ret_number = number;
	return true;
}

/* The answer to this number has come. */
static int answered(struct ping *ping, uint64_t number, size_t len)
{
	struct pending *pending = pending_of(ping, number);
	bool late;
	double ms;

	ms = (double)(clock_now() - pending->sent_at) / (double)NSEC_PER_MSEC;
	late = pending->state == PENDING_LOST;
	pending->state = PENDING_NOT;
	forget_settled(ping);

	ping->least = ping->received == 0 ? ms : fmin(ping->least, ms);
	ping->most = fmax(ping->most, ms);
	ping->total += ms;
	ping->squares += ms * ms;
	ping->received++;
	return report_answer(ping, number, len, ms, late);
}

/* What was sent so far was no request: it does not count. */
static void begin_anew(struct ping *ping)
{
	for (; ping->oldest <= ping->sent; ping->oldest++)
		pending_of(ping, ping->oldest)->state = PENDING_NOT;
	ping->chat = true;
	ping->sent = 0;
	ping->oldest = 1;
	ping->next_at = clock_now();
}

static int take_answer(struct ping *ping, struct bytes body)
{
	CLEANUP(buffer_done) struct buffer reason = {0};
	uint64_t number = 0;

	switch (body.data ? ping_chat_read(body, &number, &reason) : PING_CHAT_NOT) {
	case PING_CHAT_CLOSING:
		complain_text("the server closed the connection: ", reason.data, reason.len);
		return STATUS_REFUSED;
	case PING_CHAT_OTHER:
		if (!ping->chat)
			begin_anew(ping);
		return STATUS_GO_ON;
	case PING_CHAT_ANSWER:
		if (is_pending(ping, number))
			return answered(ping, number, body.len);
		break;
	case PING_CHAT_NOT:
		if (!ping->chat && number_of(ping, body, &number))
			return answered(ping, number, body.len);
		break;
	}
	if (ping->common->verbose)
		complain("%s: an answer to nothing that was asked", ping->name);
	return STATUS_GO_ON;
}

static int closed(const struct ping *ping)
{
	complain("%s: closed the connection", ping->name);
	return STATUS_NO_CONNECTION;
}

/* Raw: an answer is as long as its question, since no transform changes its length. */
static int take_raw(struct ping *ping, const struct message *message)
{
	ping->partial += message->body.len;
	while (ping->partial >= ping->size) {
		int status = take_answer(ping, (struct bytes){NULL, ping->size});

		if (status != STATUS_GO_ON)
			return status;
		ping->partial -= ping->size;
	}
	return STATUS_GO_ON;
}

static int take_answers(struct ping *ping)
{
	const bool raw = ping->framing == FRAMING_RAW && ping->target.transport != TRANSPORT_UDP;
	struct message message;
	int status = STATUS_GO_ON;

	while (status == STATUS_GO_ON) {
		switch (link_next(&ping->link, &message)) {
		case LINK_NOTHING:
		case LINK_LINE_HELD: /* no ping has an answer that begins so */
			return STATUS_GO_ON;
		case LINK_MESSAGE:
			status = raw ? take_raw(ping, &message) : take_answer(ping, message.body);
			break;
		case LINK_REFUSED:
			complain_text("the server says: ", message.body.data, message.body.len);
			return STATUS_REFUSED;
		case LINK_MALFORMED:
			complain("%s: %s", ping->name, message.problem);
			return STATUS_PROTOCOL;
		case LINK_ENDED:
			return closed(ping);
		}
	}
	return status;
}

static bool all_sent(const struct ping *ping)
{
	return ping->count > 0 && ping->sent == ping->count;
}

static bool may_send(const struct ping *ping)
{
	return !all_sent(ping) && !(link_events(&ping->link) & POLLOUT) &&
	       ping->sent + 1 - ping->oldest < PENDING_MAX;
}

static int send_one(struct ping *ping, uint64_t now)
{
	int r;

	if (ping->chat) {
		r = ping_chat_write(&ping->request, ping->sent + 1, ping->size);
		if (r == 0)
			r = link_send(&ping->link, ping->request.data, ping->request.len);
	} else {
		payload_write(ping, ping->sent + 1);
		r = link_send(&ping->link, ping->payload, ping->size);
	}
	if (r == 0)
		r = link_io(&ping->link, POLLOUT);
	if (r < 0)
		return target_failed(&ping->target, r);
	ping->sent++;
	*pending_of(ping, ping->sent) = (struct pending){PENDING_DUE, now};
	/* Keeps the beat; after a pause, such as a stop of the process, it begins anew. */
	ping->next_at += ping->interval_ms * NSEC_PER_MSEC;
	if (ping->next_at < now)
		ping->next_at = now + ping->interval_ms * NSEC_PER_MSEC;
	return STATUS_GO_ON;
}

/* Gives up on answers that are overdue. *ret_due is when the next one will be. */
static int expire(struct ping *ping, uint64_t now, uint64_t *ret_due)
{
	const uint64_t timeout = ping->common->timeout_ms * NSEC_PER_MSEC;
	uint64_t number = ping->oldest;
	int status;

	for (; number <= ping->sent; number++) {
		struct pending *pending = pending_of(ping, number);

		if (pending->state != PENDING_DUE)
			continue;
		if (pending->sent_at + timeout > now) {
			*ret_due = pending->sent_at + timeout;
			return STATUS_GO_ON;
		}
		pending->state = PENDING_LOST;
		status = report_lost(ping, number);
		if (status != STATUS_GO_ON)
			return status;
	}
	/* Those who were given up on make room when the memory of them fills up. */
	while (ping->sent + 2 - ping->oldest >= PENDING_MAX)
		pending_of(ping, ping->oldest++)->state = PENDING_NOT;
	*ret_due = DEADLINE_NONE;
	return STATUS_GO_ON;
}

static int wait_once(struct ping *ping, uint64_t deadline)
{
	struct pollfd fds[] = {
		{.fd = ping->link.fd, .events = link_events(&ping->link)},
		{.fd = ping->signals, .events = POLLIN},
	};
	int r;

	(void)fflush(stdout); /* a failure shows in ferror() */
	if (ferror(stdout)) {
		complain("cannot write to standard output: %m");
		return STATUS_SYSTEM;
	}
	if (poll(fds, ARRAY_SIZE(fds), clock_wait_ms(deadline)) < 0 && errno != EINTR)
		return target_failed(&ping->target, -errno);
	ping->interrupted = fds[1].revents != 0;
	if (!fds[0].revents)
		return STATUS_GO_ON;
	r = link_io(&ping->link, fds[0].revents);
	return r < 0 ? target_failed(&ping->target, r) : STATUS_GO_ON;
}

/* With no interval the next one is sent when the answer to the one before is there. */
static bool is_time(const struct ping *ping, uint64_t now)
{
	if (ping->interval_ms == 0)
		return ping->sent == 0 || pending_of(ping, ping->sent)->state != PENDING_DUE;
	return now >= ping->next_at;
}

static int ping_loop(struct ping *ping)
{
	int status = STATUS_GO_ON;

	ping->next_at = clock_now();
	while (status == STATUS_GO_ON && !ping->interrupted) {
		uint64_t now = clock_now(), due = DEADLINE_NONE;

		status = expire(ping, now, &due);
		if (status == STATUS_GO_ON && may_send(ping) && is_time(ping, now)) {
			status = send_one(ping, now);
			continue;
		}
		if (status != STATUS_GO_ON)
			break;
		if (all_sent(ping) && due == DEADLINE_NONE)
			return STATUS_DONE;
		if (may_send(ping) && ping->interval_ms > 0)
			due = MIN(due, ping->next_at);
		status = wait_once(ping, due);
		if (status == STATUS_GO_ON)
			status = take_answers(ping);
	}
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

static int summary(const struct ping *ping)
{
	const double n = (double)ping->received;
	const double mean = n > 0 ? ping->total / n : 0;
	const double deviation = n > 0 ? sqrt(fmax(ping->squares / n - mean * mean, 0)) : 0;
	/* Those on their way when we were interrupted are neither answered nor lost. */
	uint64_t sent = ping->sent;
	double loss;

	for (uint64_t number = ping->oldest; number <= ping->sent && ping->interrupted; number++)
		sent -= pending_of(ping, number)->state == PENDING_DUE;
	loss = sent > 0 ? 100 * (double)(sent - ping->received) / (double)sent : 0;

	if (ping->common->json)
		return print_json(json_pack(
			"{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "address", ping->name,
			"sent", (json_int_t)sent, "received", (json_int_t)ping->received, "lost",
			(json_int_t)(sent - ping->received), "loss_percent", loss, "min_ms",
			ping->least, "avg_ms", mean, "max_ms", ping->most, "mdev_ms", deviation));
	printf("\n--- %s ---\n%" PRIu64 " sent, %" PRIu64 " received, %.3g%% lost\n", ping->name,
	       sent, ping->received, loss);
	if (n > 0)
		printf("round trip min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", ping->least, mean,
		       ping->most, deviation);
	return STATUS_GO_ON;
}

static int watch_signals(struct ping *ping)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	ping->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ping->signals < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		complain("cannot watch signals: %m");
		return STATUS_SYSTEM;
	}
	return STATUS_GO_ON;
}

static int ping_target(struct ping *ping)
{
	int r, status;

	r = link_open(&ping->link, ping->target.endpoints, ping->target.n_endpoints,
		      (enum framing)ping->framing, ping->common->timeout_ms);
	if (r < 0)
		return target_failed(&ping->target, r);
	(void)endpoint_format(&ping->link.peer, ping->name);
	if (!ping->common->json)
		printf("PING %s, %" PRIu64 " bytes of payload\n", ping->name, ping->size);

	status = watch_signals(ping);
	if (status != STATUS_GO_ON)
		return status;
	status = ping_loop(ping);
	if (summary(ping) != STATUS_GO_ON)
		return STATUS_SYSTEM;
	if (status == STATUS_DONE && ping->sent > 0 && ping->received == 0)
		return STATUS_TIMED_OUT;
	return status;
}

static const char help[] =
	"Sends a message, waits for its answer, and prints how long that took, again and again\n"
	"until interrupted. Works with any transform, and with a chat listener. Exits with 75\n"
	"when nothing came back.\n"
	"\n"
	"  -n, --count COUNT       stop after so many messages\n"
	"  -i, --interval SECONDS  wait so long between messages (1); 0: send the next as soon as\n"
	"                          the answer is there\n"
	"  -s, --size SIZE         bytes in a message (64)\n"
	"  -f, --framing FRAMING   the listener's: length (the usual), line or raw; over UDP it\n"
	"                          has no meaning\n"
	"  -q, --quiet             only the summary\n"
	"\n"
	"An answer that takes longer than --timeout counts as lost; when it comes all the same,\n"
	"it is shown as late.\n"
	"\n"
	"Examples:\n"
	"  retort ping\n"
	"  retort -c tcp://localhost:7007 ping -n 3\n"
	"  retort -c udp://localhost:7007 ping -i 200ms --timeout 1\n"
	"  retort -c unix:echo.sock ping -q -n 10000 -i 0 --json\n"
	"\n";

static int parse(struct ping *ping, struct common *common, int argc, char *argv[])
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'n'},
		{"interval", required_argument, NULL, 'i'},
		{"size", required_argument, NULL, 's'},
		{"framing", required_argument, NULL, 'f'},
		COMMON_LONG,
	};
	int option, status = STATUS_GO_ON;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "n:i:s:f:", options, NULL)) >= 0) {
		switch (option) {
		case 'n':
			status = number_parse(common, "--count", optarg, 1, UINT32_MAX,
					      &ping->count);
			break;
		case 'i':
			status = time_parse(common, "--interval", optarg, 0, &ping->interval_ms);
			break;
		case 's':
			status = size_parse(common, "--size", optarg, 0, LINK_MESSAGE_MAX,
					    &ping->size);
			break;
		case 'f':
			status = framing_parse(common, optarg, &ping->framing);
			break;
		default:
			status = common_option(common, option);
		}
		if (status != STATUS_GO_ON)
			return status;
	}
	if (optind < argc)
		return usage_error(common, "ping takes no argument like \"%s\"", argv[optind]);
	return STATUS_GO_ON;
}

static int ping_run(struct common *common, int argc, char *argv[])
{
	struct ping ping = {
		.common = common,
		.link.fd = -1,
		.signals = -1,
		.framing = FRAMING_LENGTH,
		.interval_ms = 1000,
		.size = 64,
		.oldest = 1,
	};
	int status;

	status = parse(&ping, common, argc, argv);
	if (status == STATUS_GO_ON)
		status = target_find(common, &ping.target);
	if (status == STATUS_GO_ON && ping.size == 0 && ping.framing == FRAMING_RAW &&
	    ping.target.transport != TRANSPORT_UDP)
		status = usage_error(common, "framing raw has no empty messages");
	if (status == STATUS_GO_ON)
		status = payload_make(&ping);
	if (status == STATUS_GO_ON)
		status = ping_target(&ping);
	closep(&ping.signals);
	link_done(&ping.link);
	target_done(&ping.target);
	buffer_done(&ping.request);
	free(ping.payload);
	free(ping.pending);
	return status;
}

const struct command command_ping = {
	.name = "ping",
	.arguments = "[OPTION...]",
	.summary = "measure round trips, as ping(8) does",
	.help = help,
	.run = ping_run,
};
