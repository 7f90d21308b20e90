/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "clock.h"
#include "util.h"

enum {
	RECEIVE_SIZE = 64 * 1024, /* room for what one recv(2) takes */
	AGAIN = 10,		  /* milliseconds until a full backlog is tried again */
	REASON_MAX = 4096,	  /* bytes of an error frame that are waited for */
};

void wire_init(struct wire *wire)
{
	*wire = (struct wire){.fd = -1, .due = DEADLINE_NONE};
}

void wire_done(struct wire *wire)
{
	closep(&wire->fd);
	buffer_done(&wire->in);
	buffer_done(&wire->out);
	wire_init(wire);
}

void wire_start(struct wire *wire, const struct endpoint *endpoints, size_t n_endpoints,
		uint64_t deadline, uint64_t max_message)
{
	wire_done(wire);
	wire->endpoints = endpoints;
	wire->n_endpoints = n_endpoints;
	wire->deadline = deadline;
	wire->due = 0;
	wire->rules = (struct frame_rules){FRAMING_LENGTH, max_message, false};
}

/* A peer that is gone without a word is noticed, though nothing is said for long. */
static void keep_alive(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},	 {SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
				 sizeof(options[i].value)); /* a nicety */
}

static int open_socket(const struct endpoint *endpoint)
{
	int fd = socket(endpoint->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (endpoint->transport == TRANSPORT_TCP)
		keep_alive(fd);
	return fd;
}

/* Begins with the endpoint in turn. Returns 1 when connected, 0 when under way, or -errno. */
static int begin(struct wire *wire, uint64_t now)
{
	const struct endpoint *endpoint = wire->endpoints;
	int fd;

	if (wire->fd < 0) {
		fd = open_socket(endpoint);
		if (fd < 0)
			return fd;
		wire->fd = fd;
		/* Each gets its share of the time, so that a silent one does not take it all. */
		wire->due = wire->deadline;
		if (wire->deadline != DEADLINE_NONE && wire->deadline > now)
			wire->due = now + (wire->deadline - now) / wire->n_endpoints;
	}
	if (connect(wire->fd, (const struct sockaddr *)&endpoint->socket, endpoint->len) == 0)
		return 1;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	wire->connecting = true;
	return 0;
}

/* Looks how the attempt under way stands. Returns as begin(). */
static int go_on(struct wire *wire, uint64_t now)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int error = 0;

	if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error != 0)
		return -error;
	if (getpeername(wire->fd, (struct sockaddr *)&peer, &peer_len) == 0)
		return 1;
	return now >= wire->due ? -ETIMEDOUT : 0;
}

/* The attempt failed: remembers why, and turns to the next endpoint. */
static void give_up_endpoint(struct wire *wire, int error)
{
	/* Of a host that is not known -EHOSTUNREACH tells; here there is no way to it. */
	if (error == -EHOSTUNREACH)
		error = -ENETUNREACH;
	if (error == -EPERM)
		error = -EACCES;
	/* That a path does not exist tells less than any other failure. */
	if (wire->failure == 0 || wire->failure == -ENOENT)
		wire->failure = error;
	closep(&wire->fd);
	wire->fd = -1;
	wire->connecting = false;
	wire->endpoints++;
	wire->n_endpoints--;
}

int wire_connect(struct wire *wire)
{
	while (wire->n_endpoints > 0) {
		const uint64_t now = clock_now();
		int r = wire->connecting ? go_on(wire, now) : begin(wire, now);

		/* A Unix socket whose backlog is full says so, and cannot be polled for room. */
		if (r == -EAGAIN) {
			wire->due = MIN(clock_after(now, AGAIN), wire->deadline);
			if (now < wire->deadline)
				return 0;
			r = -ETIMEDOUT;
		}
		if (r >= 0) {
			wire->connecting = r == 0;
			return r;
		}
		give_up_endpoint(wire, r);
	}
	return wire->failure;
}

size_t wire_unsent(const struct wire *wire)
{
	return wire->out.len - wire->out_sent;
}

int wire_send(struct wire *wire)
{
	ssize_t n;

	if (wire_unsent(wire) == 0)
		return 0;
	n = send(wire->fd, wire->out.data + wire->out_sent, wire_unsent(wire), MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		wire->send_failed = true;
		n = (ssize_t)wire_unsent(wire);
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	wire->out_sent += (size_t)n;
	if (wire_unsent(wire) == 0)
		wire->out.len = wire->out_sent = 0;
	return 0;
}

int wire_receive(struct wire *wire)
{
	struct buffer *in = &wire->in;
	ssize_t n;
	int r;

	if (wire->ended)
		return 0;
	buffer_consume(in, wire->in_taken);
	wire->in_taken = 0;
	r = buffer_reserve(in, RECEIVE_SIZE);
	if (r < 0)
		return r;
	n = recv(wire->fd, in->data + in->len, in->size - in->len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	in->len += (size_t)n;
	wire->ended = n == 0;
	return 1;
}

enum wire_next wire_next(struct wire *wire, struct bytes *ret_body)
{
	struct bytes window = {wire->in.data, wire->in.len};
	struct frame frame;

	if (wire->in_taken > 0) {
		window.data += wire->in_taken;
		window.len -= wire->in_taken;
	}
	switch (frame_cut(&wire->rules, window, wire->ended, &wire->scanned, &frame)) {
	case FRAME_MORE:
		return wire->ended ? WIRE_ENDED : WIRE_NOTHING;
	case FRAME_MESSAGE:
		wire->in_taken += frame.size;
		*ret_body = frame.body;
		return WIRE_MESSAGE;
	case FRAME_ERROR:
		if (frame.body.len < MIN(frame.length, (uint64_t)REASON_MAX) && !wire->ended)
			return WIRE_NOTHING;
		*ret_body = frame.body;
		ret_body->len = MIN(ret_body->len, (size_t)REASON_MAX);
		return WIRE_ERROR;
	case FRAME_MALFORMED:
		return WIRE_MALFORMED;
	case FRAME_TOO_LONG:
		return WIRE_TOO_LONG;
	case FRAME_CUT_SHORT:
		return WIRE_ENDED;
	}
	return WIRE_NOTHING;
}
