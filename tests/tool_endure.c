/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * tool_endure: thousands of clients that know every byte they must get. It is made to be left
 * running while something is done to the daemon (a restart, a reload, a handover), and says
 * afterwards whether anybody noticed.
 *
 *   tool_endure --seconds MAX [--length ADDR] [--line ADDR] [--raw ADDR] [--unix ADDR]
 *               [--chat ADDR] [--udp ADDR] [--clients N] [--mix KIND=N,...] [--seed N]
 *               [--think MS] [--hold MS] [--stall MS] [--rooms N] [--speakers N] [--patience S]
 *
 * It connects all clients, prints the line "ready" when each has had its first answer, and keeps
 * them busy until it reads a line or the end of standard input, gets SIGTERM or SIGINT, or MAX
 * seconds have passed; a standard input that cannot be waited for, as /dev/null, is none. Then
 * nothing new is said, everybody gets --patience seconds (30) for what is still owed, and a JSON
 * object says how it went. Exit status: 0 nothing was dropped or wrong, 1 something was, 2 it could
 * not begin. The first faults are told on standard error as they happen.
 *
 * Addresses are those of retort(1). The listeners of --length, --unix (both framing length),
 * --line, --raw and --udp echo or upper-case; which of them is asked first. --chat is framing
 * length, dialect object. A kind without an address is left out. The kinds:
 *
 *   idle        says something about every ten times --think
 *   ping        one message in flight, then a pause of about --think (1000 ms)
 *   pipeline    16 to 64 messages of up to 3,000 bytes at once, then a pause; frames or lines
 *   flood       the same without any pause: it takes all CPU time that it gets
 *   raw         framing raw, 1 to 4 writes at a time, cut in the middle of characters as well
 *   mid-frame   some messages and a part of one, whose rest follows after up to --hold (7000 ms,
 *               which has to be less than the listener's timeouts.message); frames or lines
 *   stalled     much at a time (up to 1 MB), and nothing read for up to --stall (6000 ms)
 *   half-close  a pipeline, then the end of its side; reads slowly up to the server's end
 *   unix        as ping, over --unix
 *   room        a member of one of --rooms (20); the first --speakers (2) of each room say
 *               something about every --think
 *   churn       connects, is answered once, closes, and comes again
 *   udp         one datagram at a time; without an answer for 60 s it is lost
 *
 * --mix says how many of each there are. Without it, --clients (9000) are shared out so that
 * retortd and this program together use about a third of two CPUs:
 *
 *   idle=3150,ping=1800,pipeline=360,raw=540,mid-frame=810,stalled=90,half-close=270,unix=540,
 *   room=1080,churn=270,udp=90
 *
 * More datagrams might not find room in the server's socket while nobody reads it.
 *
 * Of each kind and of all together is counted: clients; dropped (ends, resets and errors that
 * nobody asked for, and datagrams lost); wrong (answers that are not what they have to be);
 * unanswered (clients that had not got everything when patience ended); refused (connects that
 * failed or took 60 s); left (members who heard that one of them had left); messages; and
 * longest_ms, the longest time that a client waited for its next byte while the server had
 * something to answer: from its send, or the last byte before, or connect(); in a room from when
 * the first member or the speaker knew of a message. "silences" has how many of all waits were
 * shorter than so many ms, "longest" the ten longest and when they ended; both begin with "ready".
 * These times contain what this program itself is late, which is own_longest_turn_ms at the most.
 * A client that was dropped or told something wrong comes back, and goes on from the beginning.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "endure.h"

enum {
	EXIT_USAGE = 2,
	STARTING_MAX = 256, /* connections that have not yet been answered, while it begins */
	EVENTS = 256,
	LOOK = 20, /* milliseconds between two looks whether all is over */
	DEFAULT_CLIENTS = 9000,
	CLIENTS_MAX = 100000,
};

/* The shares of the default mix, in thousandths. */
static const unsigned shares[KINDS] = {
	[KIND_IDLE] = 350, [KIND_PING] = 200,	 [KIND_PIPELINE] = 40, [KIND_FLOOD] = 0,
	[KIND_RAW] = 60,   [KIND_MIDFRAME] = 90, [KIND_STALLED] = 10,  [KIND_HALFCLOSE] = 30,
	[KIND_UNIX] = 60,  [KIND_ROOM] = 120,	 [KIND_CHURN] = 30,    [KIND_UDP] = 10,
};

struct settings {
	const char *addresses[WAYS];
	bool mixed;
	unsigned mix[KINDS];
	unsigned clients, seconds, patience;
};

/* ---- the command line ---- */

static bool parse_number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < least || value > most)
		return false;
	*ret = (unsigned)value;
	return true;
}

static bool parse_mix(char *text, unsigned mix[static KINDS])
{
	char *rest = NULL;

	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(word, '=');
		size_t kind = 0;

		if (!value)
			return false;
		*value++ = 0;
		while (kind < KINDS && strcmp(word, kind_name((enum kind)kind)) != 0)
			kind++;
		if (kind == KINDS || !parse_number(value, 0, CLIENTS_MAX, &mix[kind]))
			return false;
	}
	return true;
}

/* What an option with a number sets; NULL: it is none. */
static unsigned *number_of(int option, struct settings *settings, struct load *load)
{
	switch (option) {
	case 'c':
		return &settings->clients;
	case 's':
		return &settings->seconds;
	case 'p':
		return &settings->patience;
	case 't':
		return &load->think;
	case 'h':
		return &load->hold;
	case 'w':
		return &load->stall;
	case 'r':
		return &load->n_rooms;
	case 'k':
		return &load->n_speakers;
	default:
		return NULL;
	}
}

static bool parse_options(int argc, char **argv, struct settings *settings, struct load *load)
{
	static const struct option options[] = {
		{"length", required_argument, NULL, WAY_LENGTH},
		{"line", required_argument, NULL, WAY_LINE},
		{"raw", required_argument, NULL, WAY_RAW},
		{"unix", required_argument, NULL, WAY_UNIX},
		{"chat", required_argument, NULL, WAY_CHAT},
		{"udp", required_argument, NULL, WAY_UDP},
		{"mix", required_argument, NULL, 'm'},
		{"clients", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"patience", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 'S'},
		{"think", required_argument, NULL, 't'},
		{"hold", required_argument, NULL, 'h'},
		{"stall", required_argument, NULL, 'w'},
		{"rooms", required_argument, NULL, 'r'},
		{"speakers", required_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		unsigned *number = number_of(option, settings, load);

		if (option < WAYS)
			settings->addresses[option] = optarg;
		else if (option == 'S')
			load->seed = strtoull(optarg, NULL, 0);
		else if (option == 'm' ? !parse_mix(optarg, settings->mix)
				       : !number || !parse_number(optarg, 1, 10000000, number))
			return false;
		settings->mixed |= option == 'm';
	}
	return optind == argc && settings->seconds > 0;
}

/* ---- the clients ---- */

static bool possible(const struct load *load, enum kind kind)
{
	switch (kind) {
	case KIND_RAW:
		return load->have[WAY_RAW];
	case KIND_UNIX:
		return load->have[WAY_UNIX];
	case KIND_ROOM:
		return load->have[WAY_CHAT];
	case KIND_UDP:
		return load->have[WAY_UDP];
	default:
		return load->have[WAY_LENGTH] || load->have[WAY_LINE];
	}
}

/* How many there are of each kind; returns the sum. */
static size_t share_out(struct settings *settings, const struct load *load)
{
	size_t sum = 0;

	for (size_t kind = 0; kind < KINDS; kind++) {
		unsigned *n = &settings->mix[kind];

		if (!settings->mixed)
			*n = shares[kind] * settings->clients / 1000;
		if (!possible(load, (enum kind)kind))
			*n = 0;
		sum += *n;
	}
	return sum;
}

static bool raise_files(size_t need)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	limit.rlim_cur = MAX(limit.rlim_cur, (rlim_t)need);
	limit.rlim_max = MAX(limit.rlim_cur, limit.rlim_max);
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool make_clients(struct settings *settings, struct load *load)
{
	struct random random = {.state = load->seed};
	size_t left = share_out(settings, load);
	unsigned member = 0;

	if (left == 0 || !raise_files(left + 64)) {
		(void)fprintf(stderr, "tool_endure: no %zu clients: %m\n", left);
		return false;
	}
	load->clients = calloc(left, sizeof(*load->clients));
	load->in = malloc(SCRATCH);
	load->out = malloc(SCRATCH);
	if (!load->clients || !load->in || !load->out || make_rooms(load) < 0)
		return false;
	for (; left > 0; left--) { /* in any order, so that they come mixed */
		size_t place = random_below(&random, left), kind = 0;
		struct client *client = &load->clients[load->n];

		while (place >= settings->mix[kind])
			place -= settings->mix[kind++];
		settings->mix[kind]--;
		client_init(client, load, (enum kind)kind, (unsigned)load->n++);
		if (kind == KIND_ROOM && member_init(client, member++) < 0)
			return false;
	}
	return true;
}

/* ---- the loop ---- */

static void begin_some(struct load *load)
{
	while (!load->ending && load->n_begun < load->n &&
	       load->n_begun - load->n_answered < STARTING_MAX)
		client_connect(&load->clients[load->n_begun++], clock_now());
	if (load->ready || load->n_answered < load->n)
		return;
	load->ready = true;
	report_ready(load, clock_now());
	(void)puts("ready");
	(void)fflush(stdout);
}

/* One turn of the loop, which waits at most until deadline; says whether it was told to end. */
static bool loop_once(struct load *load, uint64_t deadline)
{
	struct epoll_event events[EVENTS];
	uint64_t next = timers_next(&load->timers), begin;
	bool told = false;
	int n;

	if (next != TIMER_NEVER)
		deadline = MIN(deadline, next * NSEC_PER_MSEC);
	n = epoll_wait(load->epoll, events, EVENTS, clock_wait_ms(deadline));
	begin = clock_now();
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			client_turn(events[i].data.ptr, events[i].events, clock_now());
		else
			told = true;
	}
	timers_expire(&load->timers, clock_now() / NSEC_PER_MSEC);
	begin_some(load);
	load->longest_turn = MAX(load->longest_turn, clock_now() - begin);
	return told;
}

static size_t count_busy(const struct load *load)
{
	size_t n = 0;

	for (size_t i = 0; i < load->n_begun; i++)
		n += client_busy(&load->clients[i]);
	return n;
}

/* Nothing new is said; waits for all that is owed, and counts who does not get it. */
static void end(struct load *load, unsigned patience)
{
	uint64_t deadline = clock_now() + patience * NSEC_PER_SEC, now = clock_now();

	load->ending = true;
	for (size_t i = 0; i < load->n_begun; i++)
		if (load->clients[i].phase == PHASE_OPEN)
			load->clients[i].manner->finish(&load->clients[i], now);
	while (count_busy(load) > 0 && now < deadline) {
		uint64_t look = now + LOOK * NSEC_PER_MSEC;

		while (now < look) {
			(void)loop_once(load, look); /* it does not matter by now */
			now = clock_now();
		}
	}
	for (size_t i = 0; i < load->n_begun; i++) {
		struct client *client = &load->clients[i];

		if (!client_busy(client)) {
			client_turn(client, EPOLLIN, now); /* to hear what is too much */
			continue;
		}
		load->tallies[client->kind].unanswered++;
		report_fault(load, client, "is still owed something");
		if (client->waiting_since)
			report_silence(load, client->kind, client->index, client->waiting_since,
				       now);
	}
}

/* What tells it to end: standard input, and signals. Returns false when there is no loop. */
static bool watch(struct load *load, int *ret_signals)
{
	struct epoll_event event = {.events = EPOLLIN};
	sigset_t set;

	(void)sigemptyset(&set); /* cannot fail, nor can the next ones */
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return false;
	*ret_signals = signalfd(-1, &set, SFD_CLOEXEC);
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (*ret_signals < 0 || load->epoll < 0 ||
	    epoll_ctl(load->epoll, EPOLL_CTL_ADD, *ret_signals, &event) < 0)
		return false;
	return epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0 || errno == EPERM;
}

static void unwatch(struct load *load, int signals)
{
	(void)epoll_ctl(load->epoll, EPOLL_CTL_DEL, signals, NULL);	 /* else it tells again, */
	(void)epoll_ctl(load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL); /* which does no harm */
}

static void free_all(struct load *load)
{
	for (size_t i = 0; i < load->n; i++)
		client_done(&load->clients[i]);
	free_rooms(load);
	timers_done(&load->timers);
	closep(&load->epoll);
	free(load->clients);
	free(load->in);
	free(load->out);
}

int main(int argc, char **argv)
{
	struct settings settings = {.clients = DEFAULT_CLIENTS, .patience = 30};
	struct load load = {
		.epoll = -1,
		.timers.expired = client_expired,
		.think = 1000,
		.hold = 7000,
		.stall = 6000,
		.n_rooms = 20,
		.n_speakers = 2,
		.seed = 1,
	};
	CLEANUP(closep) int signals = -1;
	uint64_t deadline;
	bool clean;

	if (!parse_options(argc, argv, &settings, &load)) {
		(void)fputs("tool_endure: wrong arguments; they are described at the head of "
			    "tests/tool_endure.c\n",
			    stderr);
		return EXIT_USAGE;
	}
	script_prepare(load.seed);
	if (!watch(&load, &signals) || !listeners_find(&load, settings.addresses) ||
	    !make_clients(&settings, &load)) {
		free_all(&load);
		return EXIT_USAGE;
	}
	load.begin = clock_now();
	deadline = load.begin + settings.seconds * NSEC_PER_SEC;
	begin_some(&load);
	while (clock_now() < deadline && !loop_once(&load, deadline))
		continue;
	unwatch(&load, signals);
	end(&load, settings.patience);
	clean = report_print(&load, clock_now());
	free_all(&load);
	return clean ? EXIT_SUCCESS : EXIT_FAILURE;
}
