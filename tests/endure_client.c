/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of a client's connections, whatever is spoken on them. */
#include "endure.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum {
	CONNECT_LIMIT = 60000, /* milliseconds */
	COME_BACK = 200,       /* milliseconds at least after a loss */
	SMALL_WINDOW = 16384,  /* of those who do not read: so that it is the server who waits */
};

static enum way way_of(const struct load *load, enum kind kind, unsigned index)
{
	static const enum way ways[KINDS] = {
		[KIND_RAW] = WAY_RAW,
		[KIND_UNIX] = WAY_UNIX,
		[KIND_ROOM] = WAY_CHAT,
		[KIND_UDP] = WAY_UDP,
	};
	bool both = kind == KIND_PIPELINE || kind == KIND_FLOOD || kind == KIND_MIDFRAME ||
		    kind == KIND_HALFCLOSE || kind == KIND_CHURN;

	/* The others speak frames; some of them a part of the time, lines. */
	if (ways[kind] == WAY_LENGTH && load->have[WAY_LINE] &&
	    (!load->have[WAY_LENGTH] || (both && index % 3 == 0)))
		return WAY_LINE;
	return ways[kind];
}

void client_init(struct client *client, struct load *load, enum kind kind, unsigned index)
{
	*client = (struct client){
		.load = load,
		.manner = kind == KIND_ROOM  ? &room_manner
			  : kind == KIND_UDP ? &udp_manner
					     : &stream_manner,
		.kind = kind,
		.way = way_of(load, kind, index),
		.index = index,
		.fd = -1,
		.random.state = script_hash(load->seed, index),
	};
	load->tallies[kind].clients++;
}

void client_done(struct client *client)
{
	member_done(client);
	closep(&client->fd);
}

static struct tally *tally(const struct client *client)
{
	return &client->load->tallies[client->kind];
}

void client_rest(struct client *client, unsigned least, unsigned most, uint64_t now)
{
	uint64_t ms = least + random_below(&client->random, most - least + 1);

	/* Without memory for its timer it says nothing more, and is seen as silent. */
	(void)timer_set(&client->load->timers, &client->timer, now / NSEC_PER_MSEC + MAX(ms, 1U));
}

static void close_connection(struct client *client)
{
	closep(&client->fd);
	client->fd = -1;
	client->phase = PHASE_AWAY;
	client->events = 0;
	client->waiting_since = 0;
	(void)timer_set(&client->load->timers, &client->timer, TIMER_NEVER); /* cannot fail */
}

void client_leave(struct client *client, unsigned ms, uint64_t now)
{
	close_connection(client);
	if (!client->load->ending)
		client_rest(client, ms, ms + ms / 2, now);
}

static void come_back(struct client *client, uint64_t now)
{
	client_leave(client, COME_BACK + (unsigned)random_below(&client->random, COME_BACK), now);
}

void client_lost(struct client *client, const char *why, uint64_t now)
{
	tally(client)->dropped++;
	report_fault(client->load, client, why);
	if (client->waiting_since)
		report_silence(client->load, client->kind, client->index, client->waiting_since,
			       now);
	come_back(client, now);
}

void client_wrong(struct client *client, const char *why, uint64_t now)
{
	tally(client)->wrong++;
	report_fault(client->load, client, why);
	come_back(client, now);
}

static void refused(struct client *client, int error, uint64_t now)
{
	char why[128];

	tally(client)->refused++;
	(void)snprintf(why, sizeof(why), "cannot connect: %s", strerror(error));
	report_fault(client->load, client, why);
	come_back(client, now);
}

static int open_socket(struct client *client, const struct endpoint *end)
{
	int type = end->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(end->socket.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, window = SMALL_WINDOW;

	if (fd < 0)
		return -1;
	if (end->transport == TRANSPORT_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only faster */
	if (client->kind == KIND_STALLED || client->kind == KIND_HALFCLOSE)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)); /* a hint */
	return fd;
}

static void opened(struct client *client, uint64_t now)
{
	client->phase = PHASE_OPEN;
	tally(client)->connects++;
	(void)timer_set(&client->load->timers, &client->timer, TIMER_NEVER); /* cannot fail */
	client->manner->open(client, now);
}

void client_connect(struct client *client, uint64_t now)
{
	const struct endpoint *end = &client->load->ends[client->way];
	struct epoll_event event = {.data.ptr = client};
	int error;

	client->epoch++;
	client->fd = open_socket(client, end);
	if (client->fd < 0 ||
	    epoll_ctl(client->load->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0) {
		refused(client, errno, now);
		return;
	}
	if (!client->waiting_since)
		client->waiting_since = now;
	if (connect(client->fd, (const struct sockaddr *)&end->socket, end->len) == 0) {
		opened(client, now);
		return;
	}
	error = errno;
	if (error == EAGAIN) { /* a Unix socket's backlog is full: who may wait is let in later */
		uint64_t since = client->waiting_since;

		tally(client)->retries++;
		client_leave(client, 5, now);
		client->waiting_since = since;
	} else if (error == EINPROGRESS) {
		client->phase = PHASE_CONNECTING;
		client_rest(client, CONNECT_LIMIT, CONNECT_LIMIT, now);
		client_settle(client, true, now);
	} else {
		refused(client, error, now);
	}
}

void client_settle(struct client *client, bool writes, uint64_t now)
{
	bool reads = client->phase == PHASE_OPEN && client->reading;
	struct epoll_event event = {
		.events = (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0),
		.data.ptr = client,
	};

	if (client->phase == PHASE_AWAY)
		return;
	if (client->phase == PHASE_OPEN && !(reads && client->manner->owed(client)))
		client->waiting_since = 0;
	else if (!client->waiting_since)
		client->waiting_since = now;
	if (event.events == client->events)
		return;
	client->events = event.events;
	if (epoll_ctl(client->load->epoll, EPOLL_CTL_MOD, client->fd, &event) < 0)
		client_lost(client, "cannot be watched", now);
}

void client_heard(struct client *client, uint64_t now)
{
	if (client->waiting_since)
		report_silence(client->load, client->kind, client->index, client->waiting_since,
			       now);
	client->waiting_since = 0;
}

void client_answered(struct client *client)
{
	if (client->answered)
		return;
	client->answered = true;
	client->load->n_answered++;
}

static void connecting(struct client *client, uint64_t now)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		refused(client, error, now);
	else
		opened(client, now);
}

void client_turn(struct client *client, uint32_t events, uint64_t now)
{
	if (client->phase == PHASE_CONNECTING)
		connecting(client, now);
	else if (client->phase == PHASE_OPEN)
		client->manner->turn(client, events, now);
}

void client_expired(struct timer *timer)
{
	struct client *client = CONTAINER_OF(timer, struct client, timer);
	uint64_t now = clock_now();

	if (client->phase == PHASE_CONNECTING)
		refused(client, ETIMEDOUT, now);
	else if (client->phase == PHASE_OPEN)
		client->manner->wake(client, now);
	else if (!client->load->ending)
		client_connect(client, now);
}

bool client_busy(const struct client *client)
{
	if (client->phase == PHASE_OPEN)
		return !client->manner->complete(client);
	return client->phase == PHASE_CONNECTING;
}
