/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kinds that speak to a transform listener over a stream. What is common stands in the second half:
 * a client says its script up to a limit, and hears it when it is reading. What a kind does is to
 * move the limit, now or when it has rested.
 */
#include "endure.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"

/* How a kind talks. */
struct habit {
	const char *name;
	uint32_t least, most;	  /* bytes of a message */
	uint32_t fewest, several; /* messages at a time */
	unsigned rest;		  /* percent of --think between answer and message */
	void (*go_on)(struct client *, uint64_t now); /* it is owed nothing and has rested */
};

static void go_on_talking(struct client *client, uint64_t now);
static void go_on_holding(struct client *client, uint64_t now);
static void go_on_stalling(struct client *client, uint64_t now);
static void go_on_ending(struct client *client, uint64_t now);
static void go_on_churning(struct client *client, uint64_t now);

static const struct habit habits[KINDS] = {
	[KIND_IDLE] = {"idle", 1, 64, 1, 1, 1000, go_on_talking},
	[KIND_PING] = {"ping", 16, 256, 1, 1, 100, go_on_talking},
	[KIND_PIPELINE] = {"pipeline", 0, 3000, 16, 64, 100, go_on_talking},
	[KIND_FLOOD] = {"flood", 0, 3000, 16, 64, 0, go_on_talking},
	[KIND_RAW] = {"raw", 1, 2000, 1, 4, 50, go_on_talking},
	[KIND_MIDFRAME] = {"mid-frame", 1, 4000, 0, 3, 30, go_on_holding},
	[KIND_STALLED] = {"stalled", 0, SCRIPT_MESSAGE_MAX, 8, 64, 100, go_on_stalling},
	[KIND_HALFCLOSE] = {"half-close", 0, 4000, 4, 32, 100, go_on_ending},
	[KIND_UNIX] = {"unix", 16, 256, 1, 1, 100, go_on_talking},
	[KIND_ROOM] = {.name = "room"},
	[KIND_CHURN] = {"churn", 1, 1000, 1, 1, 100, go_on_churning},
	[KIND_UDP] = {.name = "udp"},
};

const char *kind_name(enum kind kind)
{
	return habits[kind].name;
}

static const struct habit *habit(const struct client *client)
{
	return &habits[client->kind];
}

static uint64_t several(struct client *client)
{
	const struct habit *mine = habit(client);

	return mine->fewest + random_below(&client->random, mine->several - mine->fewest + 1);
}

/* ---- the kinds ---- */

static void go_on_talking(struct client *client, uint64_t now)
{
	(void)now;
	client->limit = client->said.number + several(client);
}

/* Some whole messages, and the beginning of one, of which the rest comes much later. */
static void go_on_holding(struct client *client, uint64_t now)
{
	struct cursor last;

	if (client->hold) {
		client->limit++;
		client->hold = 0;
		return;
	}
	last = client->said;
	client->limit = client->said.number + several(client);
	while (last.number < client->limit)
		script_pass(&client->script, &last, script_frame_size(&client->script, &last));
	client->hold = 1 + (uint32_t)random_below(&client->random,
						  script_frame_size(&client->script, &last));
	/* A whole one is no beginning; nor is an empty line's. */
	client->hold = MIN(client->hold, script_frame_size(&client->script, &last) - 1);
	client_rest(client, client->load->hold / 10, client->load->hold, now);
}

/* Says much and does not read for long; then it reads. */
static void go_on_stalling(struct client *client, uint64_t now)
{
	if (!client->reading) {
		client->reading = true;
		return;
	}
	client->limit = client->said.number + several(client);
	client->reading = false;
	client_rest(client, client->load->stall / 3, client->load->stall, now);
}

/* Says much, ends its side, and reads slowly. The server's end is expected then. */
static void go_on_ending(struct client *client, uint64_t now)
{
	if (client->shut_after) {
		client->reading = true;
		client->appetite = 4096;
		return;
	}
	client->limit = client->said.number + several(client);
	client->shut_after = true;
	client->reading = false;
	client_rest(client, 10, client->load->think, now);
}

static void go_on_churning(struct client *client, uint64_t now)
{
	client->load->tallies[client->kind].cycles++;
	client_leave(client, client->load->think / 2, now);
}

/* ---- what is common ---- */

static void begin_script(struct client *client)
{
	struct load *load = client->load;
	enum framing framing = client->way == WAY_RAW	 ? FRAMING_RAW
			       : client->way == WAY_LINE ? FRAMING_LINE
							 : FRAMING_LENGTH;

	client->script = (struct script){
		.seed = script_hash(load->seed ^ client->index, client->epoch),
		.least = habit(client)->least,
		.most = habit(client)->most,
		.framing = framing,
		.upper = load->upper[client->way],
	};
	script_begin(&client->script, &client->said);
	script_begin(&client->script, &client->heard);
}

static bool owed(const struct client *client)
{
	if (client->shut)
		return true; /* it is owed the end */
	if (client->script.framing == FRAMING_RAW)
		return client->heard.bytes + script_hangs(&client->script, &client->said) <
		       client->said.bytes;
	return client->heard.number < client->said.number;
}

static bool has_more(const struct client *client)
{
	return client->said.number < client->limit || client->said.at < client->hold;
}

static void say(struct client *client, uint64_t now)
{
	struct load *load = client->load;

	client->blocked = false;
	while (has_more(client)) {
		size_t len = script_fill(&client->script, client->said, client->limit, client->hold,
					 load->out, SCRATCH);
		ssize_t n = send(client->fd, load->out, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			client->blocked = true;
			return;
		}
		if (n < 0) {
			client_lost(client, strerror(errno), now);
			return;
		}
		load->tallies[client->kind].sent += (size_t)n;
		script_pass(&client->script, &client->said, (size_t)n);
	}
	if (client->shut_after && !client->shut) {
		client->shut = true;
		(void)shutdown(client->fd, SHUT_WR); /* a failure is seen by the next receive */
	}
}

static void say_and_settle(struct client *client, uint64_t now)
{
	if (client->phase == PHASE_OPEN)
		say(client, now);
	client_settle(client, client->blocked, now);
}

/* Decides what comes next for who is owed nothing. */
static void decide(struct client *client, uint64_t now)
{
	const struct habit *mine = habit(client);
	unsigned rest = client->load->think * mine->rest / 100;

	if (client->load->ending || client->timer.due != TIMER_NEVER || client->shut ||
	    has_more(client))
		return;
	if (client->kind == KIND_FLOOD && client->heard.number + 16 >= client->said.number) {
		go_on_talking(client, now);
		return;
	}
	if (owed(client))
		return;
	if (client->kind == KIND_CHURN)
		go_on_churning(client, now);
	else
		client_rest(client, rest / 2, rest + rest / 2, now);
}

static void open_stream(struct client *client, uint64_t now)
{
	begin_script(client);
	client->limit = client->load->ending ? 0 : 1;
	client->hold = client->appetite = 0;
	client->reading = true;
	client->shut_after = client->shut = false;
	say_and_settle(client, now);
}

static void ended(struct client *client, uint64_t now)
{
	char why[96];

	if (client->shut && client->heard.bytes == client->said.bytes) {
		client_heard(client, now);
		client->load->tallies[client->kind].cycles++;
		client_leave(client, client->load->think, now);
		return;
	}
	(void)snprintf(why, sizeof(why), "ended after %llu of %llu bytes",
		       (unsigned long long)client->heard.bytes,
		       (unsigned long long)client->said.bytes);
	client_lost(client, why, now);
}

static void wrong_byte(struct client *client, const uint8_t *data, size_t len, uint64_t now)
{
	char why[160];

	(void)snprintf(why, sizeof(why), "wrong byte %llu, %u of message %llu: \"%.*s\"",
		       (unsigned long long)client->heard.bytes, (unsigned)client->heard.at,
		       (unsigned long long)client->heard.number, (int)MIN(len, (size_t)48),
		       (const char *)data);
	client_wrong(client, why, now);
}

static void hear(struct client *client, uint64_t now)
{
	struct load *load = client->load;
	struct tally *tally = &load->tallies[client->kind];
	uint64_t before = client->heard.number;
	ssize_t n = recv(client->fd, load->in, client->appetite ? client->appetite : SCRATCH, 0);
	size_t right;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		client_lost(client, strerror(errno), now);
		return;
	}
	if (n == 0) {
		ended(client, now);
		return;
	}
	client_heard(client, now);
	tally->received += (size_t)n;
	right = script_hear(&client->script, &client->heard, load->in, (size_t)n);
	tally->messages += client->heard.number - before;
	if (right < (size_t)n || client->heard.bytes > client->said.bytes) {
		wrong_byte(client, load->in + right, (size_t)n - right, now);
		return;
	}
	if (client->heard.number > 0)
		client_answered(client);
	if (client->appetite && !load->ending) { /* it has had enough for a while */
		client->reading = false;
		client_rest(client, 20, 100, now);
	}
}

static void turn(struct client *client, uint32_t events, uint64_t now)
{
	if (events & ~(uint32_t)EPOLLOUT && (client->reading || events & (EPOLLERR | EPOLLHUP)))
		hear(client, now);
	if (client->phase != PHASE_OPEN)
		return;
	decide(client, now);
	say_and_settle(client, now);
}

static void wake(struct client *client, uint64_t now)
{
	if (!client->load->ending)
		habit(client)->go_on(client, now);
	say_and_settle(client, now);
}

static void finish(struct client *client, uint64_t now)
{
	client->limit = client->said.number + (client->said.at > 0);
	client->hold = client->appetite = 0;
	client->reading = true;
	say_and_settle(client, now);
}

static bool complete(const struct client *client)
{
	return client->said.at == 0 && !has_more(client) && !owed(client);
}

const struct manner stream_manner = {
	.open = open_stream,
	.turn = turn,
	.wake = wake,
	.finish = finish,
	.owed = owed,
	.complete = complete,
};
