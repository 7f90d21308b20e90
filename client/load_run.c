/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "link.h"
#include "load_client.h"

enum {
	EVENTS = 512,
	CONNECTING_MAX = 256, /* connections under way at once: half of usual backlogs' 511 */
	FILES_RESERVE = 16,   /* open files for all else */
	TICK_MS = 50,	      /* how often datagrams are looked at for being overdue */
};

/* What a client does. */
struct way {
	int (*start)(struct load *load, struct load_client *client);
	int (*turn)(struct load *load, struct load_client *client, uint32_t events);
};

static const struct way way_stream = {load_stream_start, load_stream_turn};
static const struct way way_datagram = {load_datagram_start, load_datagram_turn};
static const struct way way_chat = {load_chat_start, load_chat_turn};

static bool is_datagram(const struct load *load)
{
	return load->setup->workload.datagrams;
}

static bool is_chat(const struct load *load)
{
	return load->setup->kind != LOAD_ANSWERS;
}

static const struct way *way_of(const struct load *load)
{
	return is_chat(load) ? &way_chat : is_datagram(load) ? &way_datagram : &way_stream;
}

/* How long all may go without an answer. Datagrams that got lost are replaced a few times. */
static uint64_t patience_ms(const struct load *load)
{
	return load->setup->common->timeout_ms * (is_datagram(load) ? 3 : 1);
}

static int timed_out(const struct load *load, const char *what, uint64_t after_ms)
{
	complain("%s: %s within %.10g seconds", load->setup->target->name, what,
		 (double)after_ms / 1000);
	return STATUS_TIMED_OUT;
}

/* ---- Connecting ---- */

static int raise_files(size_t n_clients)
{
	const rlim_t need = n_clients + FILES_RESERVE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return STATUS_GO_ON;
	if (limit.rlim_max >= need || geteuid() == 0) {
		limit.rlim_cur = need;
		limit.rlim_max = MAX(limit.rlim_max, need);
		if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
			return STATUS_GO_ON;
		(void)getrlimit(RLIMIT_NOFILE, &limit); /* worked above */
	}
	complain("%zu clients need %llu open files, but no more than %llu are allowed; see "
		 "ulimit -Hn",
		 n_clients, (unsigned long long)need, (unsigned long long)limit.rlim_max);
	return STATUS_SYSTEM;
}

/*
 * Finds the endpoint that takes connections, or over UDP that answers, by talking to it once. That
 * also gives the clearest messages when nobody does.
 */
static int find_peer(const struct load *load, struct endpoint *ret_peer)
{
	const struct load_setup *setup = load->setup;
	const struct workload_side *side = &load->workload.messages;
	const uint64_t timeout_ms = setup->common->timeout_ms;
	const uint64_t deadline = clock_now() + timeout_ms * NSEC_PER_MSEC;
	struct link link = {.fd = -1};
	struct message message;
	int r;

	r = link_open(&link, setup->target->endpoints, setup->target->n_endpoints,
		      setup->workload.framing, timeout_ms);
	if (r < 0)
		return target_failed(setup->target, r);
	if (is_datagram(load))
		r = link_send(&link, side->bytes.data, setup->workload.size);
	while (r == 0 && is_datagram(load) && link_next(&link, &message) != LINK_MESSAGE) {
		struct pollfd fd = {.fd = link.fd, .events = link_events(&link)};

		if (poll(&fd, 1, clock_wait_ms(deadline)) == 0) {
			link_done(&link);
			return timed_out(load, "no answer to a first datagram", timeout_ms);
		}
		r = link_io(&link, fd.revents);
	}
	*ret_peer = link.peer;
	link_done(&link);
	return r < 0 ? target_failed(setup->target, r) : STATUS_GO_ON;
}

/* Begins one connection. Returns 1 when it is under way, 0 when it is done, or -errno. */
static int connect_begin(struct load *load, struct load_client *client, const struct endpoint *peer)
{
	CLEANUP(closep) int fd = endpoint_socket(peer);
	bool under_way;
	int r;

	if (fd < 0)
		return fd;
	under_way = connect(fd, (const struct sockaddr *)&peer->socket, peer->len) < 0;
	if (under_way && errno != EINPROGRESS)
		return -errno;
	client->fd = STEAL_FD(fd);
	r = load_watch(load, client, EPOLL_CTL_ADD, under_way ? EPOLLOUT : EPOLLIN);
	return r < 0 ? r : under_way;
}

/* Looks at how connections went that were under way. Returns how many are done, or -errno. */
static int connect_finish(struct load *load, int wait_ms)
{
	struct epoll_event events[EVENTS];
	int n, error, r;

	n = epoll_wait(load->epoll, events, EVENTS, wait_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct load_client *client = events[i].data.ptr;
		socklen_t len = sizeof(error);

		if (!(events[i].events & EPOLLOUT))
			return -ECONNRESET; /* one that was connected already */
		if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		r = error ? -error : load_watch(load, client, EPOLL_CTL_MOD, EPOLLIN);
		if (r < 0)
			return r;
	}
	return n;
}

static int connect_all(struct load *load, const struct endpoint *peer)
{
	const size_t n_clients = load->setup->n_clients;
	const uint64_t timeout = load->setup->common->timeout_ms * NSEC_PER_MSEC;
	uint64_t deadline = clock_now() + timeout;
	size_t begun = 0, under_way = 0;

	while (begun < n_clients || under_way > 0) {
		bool full = under_way >= CONNECTING_MAX || begun == n_clients;
		int r = 0;

		if (!full)
			r = connect_begin(load, &load->clients[begun], peer);
		if (r == -EAGAIN) { /* a Unix socket's backlog is full */
			full = true;
			r = 0;
		} else if (!full && r >= 0) {
			begun++;
			under_way += (size_t)r;
			deadline = clock_now() + timeout;
		}
		if (r >= 0 && full) {
			/* With nothing under way, only time makes room. */
			r = connect_finish(load, under_way > 0 ? clock_wait_ms(deadline) : 1);
			under_way -= r > 0 ? (size_t)r : 0;
			deadline = r > 0 ? clock_now() + timeout : deadline;
		}
		if (r < 0)
			return load_failed(load, r);
		if (clock_now() >= deadline)
			return timed_out(load, "not all clients could connect",
					 load->setup->common->timeout_ms);
	}
	return STATUS_GO_ON;
}

/* ---- Running ---- */

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_usec * 1000;
}

/* Adds (or, to begin with, takes away) the CPU time that this process has used. */
static void book_cpu(struct load_result *result, bool begin)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage); /* cannot fail with these arguments */
	if (begin) {
		result->user_ns -= timeval_ns(usage.ru_utime);
		result->system_ns -= timeval_ns(usage.ru_stime);
	} else {
		result->user_ns += timeval_ns(usage.ru_utime);
		result->system_ns += timeval_ns(usage.ru_stime);
	}
}

static int expire_datagrams(struct load *load, uint64_t now)
{
	/* On a network that answers at all, a second is long. */
	const uint64_t timeout = MIN(load->setup->common->timeout_ms, 1000U) * NSEC_PER_MSEC;
	int status = STATUS_GO_ON;

	for (size_t i = 0; i < load->setup->n_clients && status == STATUS_GO_ON; i++)
		status = load_datagram_expire(load, &load->clients[i], now - timeout);
	return status;
}

/*
 * Runs until the given time, or while draining until nothing is in flight. A server that answers
 * nobody for the length of the timeout ends it.
 */
static int run_until(struct load *load, uint64_t end)
{
	const uint64_t timeout = patience_ms(load) * NSEC_PER_MSEC;
	const struct way *way = way_of(load);
	uint64_t now = clock_now(), next_tick = now;
	struct epoll_event events[EVENTS];
	int status = STATUS_GO_ON;

	while (status == STATUS_GO_ON && now < end && !(load->draining && load->in_flight == 0)) {
		uint64_t deadline = MIN(end, load->last_answer + timeout);
		int n;

		if (is_datagram(load))
			deadline = MIN(deadline, next_tick);
		n = epoll_wait(load->epoll, events, EVENTS, clock_wait_ms(deadline));
		if (n < 0 && errno != EINTR)
			return load_failed(load, -errno);
		for (int i = 0; i < n && status == STATUS_GO_ON; i++)
			status = way->turn(load, events[i].data.ptr, events[i].events);
		now = clock_now();
		if (status == STATUS_GO_ON && is_datagram(load) && now >= next_tick) {
			status = expire_datagrams(load, now);
			next_tick = now + TICK_MS * NSEC_PER_MSEC;
		}
		if (status == STATUS_GO_ON && now >= load->last_answer + timeout &&
		    load->in_flight > 0)
			return timed_out(load, "no answer to any client", patience_ms(load));
	}
	return status;
}

/* Chat: all are in the room before one speaks. */
static int join_all(struct load *load)
{
	int status = STATUS_GO_ON;

	if (!is_chat(load) || load->setup->bare)
		return STATUS_GO_ON;
	load->last_answer = clock_now();
	load->chat.joining = load->draining = true;
	for (size_t i = 0; i < load->setup->n_clients && status == STATUS_GO_ON; i++)
		status = load_chat_join(load, &load->clients[i]);
	if (status == STATUS_GO_ON)
		status = run_until(load, DEADLINE_NONE);
	load->chat.joining = load->draining = false;
	return status;
}

static int start_all(struct load *load)
{
	const struct way *way = way_of(load);
	int status = STATUS_GO_ON;

	load->last_answer = clock_now();
	for (size_t i = 0; i < load->setup->n_clients && status == STATUS_GO_ON; i++)
		status = way->start(load, &load->clients[i]);
	return status;
}

static int measure(struct load *load)
{
	struct load_result *result = load->result;
	const uint64_t begin = clock_now();
	int status;

	load->measuring = true;
	book_cpu(result, true);
	status = run_until(load, begin + load->setup->duration_ms * NSEC_PER_MSEC);
	book_cpu(result, false);
	load->measuring = false;
	result->elapsed_ns = clock_now() - begin;
	result->bytes = load->setup->workload.size *
			(load->setup->kind == LOAD_FANOUT ? result->deliveries : result->messages);
	return status;
}

/* Every message must be answered, those of the last moment too. */
static int drain(struct load *load)
{
	int status;

	load->draining = true;
	load->last_answer = clock_now();
	status = run_until(load, DEADLINE_NONE);
	if (status == STATUS_TIMED_OUT)
		complain("%llu messages were not answered", (unsigned long long)load->in_flight);
	return status;
}

static int run_all(struct load *load)
{
	const struct load_setup *setup = load->setup;
	const uint64_t begin = clock_now();
	struct endpoint peer = {0};
	int status;

	status = raise_files(setup->n_clients);
	if (status == STATUS_GO_ON)
		status = find_peer(load, &peer);
	if (status == STATUS_GO_ON)
		status = connect_all(load, &peer);
	if (status == STATUS_GO_ON)
		status = join_all(load);
	load->result->connect_ns = clock_now() - begin;
	if (status == STATUS_GO_ON)
		status = start_all(load);
	if (status == STATUS_GO_ON && setup->warmup_ms > 0)
		status = run_until(load, clock_now() + setup->warmup_ms * NSEC_PER_MSEC);
	if (status == STATUS_GO_ON)
		status = measure(load);
	return status == STATUS_GO_ON ? drain(load) : status;
}

/* ---- Memory ---- */

static int client_make(struct load *load, size_t i)
{
	const struct workload_setup *workload = &load->setup->workload;
	struct load_client *client = &load->clients[i];

	if (load->setup->kind == LOAD_FANOUT)
		return 0;
	if (is_datagram(load)) {
		client->sent_at = calloc(load->workload.n, sizeof(*client->sent_at));
		return client->sent_at ? 0 : -ENOMEM;
	}
	client->runs = calloc(workload->in_flight, sizeof(*client->runs));
	if (!client->runs)
		return -ENOMEM;
	if (is_chat(load)) {
		client->talk.room = i % load->setup->n_rooms;
		return 0;
	}
	/* Not all in step: each begins elsewhere in the round. */
	client->next = client->answer = (uint32_t)(i % load->workload.n);
	if (workload->verify)
		client->left = load->workload.answers.begin[client->answer];
	return 0;
}

static int clients_make(struct load *load)
{
	const struct load_setup *setup = load->setup;
	int r = 0;

	load->clients = calloc(setup->n_clients, sizeof(*load->clients));
	if (!load->clients)
		return -ENOMEM;
	for (size_t i = 0; i < setup->n_clients; i++)
		load->clients[i].fd = -1;
	for (size_t i = 0; i < setup->n_clients && r == 0; i++)
		r = client_make(load, i);
	return r;
}

static int load_make(struct load *load)
{
	int r;

	r = is_chat(load) ? load_chat_make(load)
			  : workload_make(&load->setup->workload, &load->workload);
	if (r < 0)
		return r;
	load->buffer = malloc(LOAD_BUFFER);
	if (!load->buffer)
		return -ENOMEM;
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		return -errno;
	return clients_make(load);
}

static void load_done(struct load *load)
{
	for (size_t i = 0; load->clients && i < load->setup->n_clients; i++) {
		closep(&load->clients[i].fd);
		free(load->clients[i].runs);
		free(load->clients[i].sent_at);
		buffer_done(&load->clients[i].talk.in);
		buffer_done(&load->clients[i].talk.out);
	}
	load_chat_done(load);
	free(load->clients);
	free(load->buffer);
	closep(&load->epoll);
	workload_done(&load->workload);
}

int load_run(const struct load_setup *setup, struct load_result *ret_result)
{
	struct load load = {.setup = setup, .epoll = -1, .result = ret_result};
	int status, r;

	r = load_make(&load);
	status = r == -ENOMEM ? out_of_memory() : r < 0 ? load_failed(&load, r) : run_all(&load);
	load_done(&load);
	return status;
}
