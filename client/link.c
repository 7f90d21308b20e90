/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "clock.h"
#include "util.h"

enum {
	RECEIVE_SIZE = 256 * 1024, /* room for what one recv(2) takes */
	DATAGRAM_MAX = 65507,	   /* bytes of payload in an IPv4 datagram */
	REASON_MAX = 4096,	   /* bytes of an error frame that are waited for */
};

int endpoint_socket(const struct endpoint *endpoint)
{
	const int type = endpoint->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM;
	const int on = 1;
	int fd;

	fd = socket(endpoint->socket.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (endpoint->transport == TRANSPORT_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a nicety */
	return fd;
}

/* Waits for a connection that is under way. */
static int connect_finish(int fd, uint64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error, r;

	do
		r = poll(&poll_fd, 1, clock_wait_ms(deadline));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int connect_one(const struct endpoint *endpoint, uint64_t deadline, int *ret_fd)
{
	CLEANUP(closep) int fd = endpoint_socket(endpoint);
	int r = 0;

	if (fd < 0)
		return fd;
	/* A Unix socket whose backlog is full says EAGAIN, and cannot be polled for room. */
	while (connect(fd, (const struct sockaddr *)&endpoint->socket, endpoint->len) < 0) {
		r = -errno;
		if (r == -EINPROGRESS)
			r = connect_finish(fd, deadline);
		if (r != -EAGAIN && r != -EINTR)
			break;
		if (clock_now() >= deadline)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, 1);
		r = 0;
	}
	if (r == 0)
		*ret_fd = STEAL_FD(fd);
	return r;
}

int link_open(struct link *ret_link, const struct endpoint *endpoints, size_t n_endpoints,
	      enum framing framing, uint64_t timeout_ms)
{
	const uint64_t begin = clock_now();
	uint64_t spent, left;
	int r, fd, told = 0;

	for (size_t i = 0; i < n_endpoints; i++) {
		/* Each gets its share of the time, so that a silent one does not take it all. */
		spent = clock_now() - begin;
		left = timeout_ms * NSEC_PER_MSEC;
		left = spent < left ? (left - spent) / (n_endpoints - i) : 0;
		r = connect_one(&endpoints[i], begin + spent + left, &fd);
		if (r == 0) {
			*ret_link = (struct link){
				.fd = fd,
				.transport = endpoints[i].transport,
				.rules = {framing, LINK_MESSAGE_MAX, true},
				.rest = endpoints + i + 1,
				.n_rest = n_endpoints - i - 1,
				.peer = endpoints[i],
			};
			return 0;
		}
		/* That a path does not exist tells less than any other failure. */
		if (told == 0 || told == -ENOENT)
			told = r;
	}
	return told;
}

void link_done(struct link *link)
{
	closep(&link->fd);
	link->fd = -1;
	buffer_done(&link->in);
	buffer_done(&link->out);
}

size_t link_unsent(const struct link *link)
{
	if (link->transport == TRANSPORT_UDP)
		return link->datagram_out ? link->out.len : 0; /* what was sent stays for a retry */
	return link->out.len - link->out_sent;
}

short link_events(const struct link *link)
{
	const bool unsent =
		link->transport == TRANSPORT_UDP ? link->datagram_out : link_unsent(link) > 0;

	return (short)((link->ended ? 0 : POLLIN) | (unsent ? POLLOUT : 0));
}

int link_send(struct link *link, const void *data, size_t len)
{
	if (link->send_failed)
		return 0; /* the reason is still to be read */
	if (link->transport == TRANSPORT_UDP) {
		if (len > DATAGRAM_MAX)
			return -EMSGSIZE;
		link->out.len = 0;
		link->datagram_out = true;
		return buffer_append(&link->out, data, len);
	}
	if (len > FRAME_LENGTH_MAX)
		return -EMSGSIZE;
	return frame_append(&link->out, link->rules.framing, LINE_END_LF, data, len);
}

void link_shut(struct link *link)
{
	if (link->shut || link->transport == TRANSPORT_UDP)
		return;
	(void)shutdown(link->fd, SHUT_WR); /* when it fails, the connection's end tells so */
	link->shut = true;
}

/* Nobody listened at this endpoint: offers the same datagram to the next. */
static int try_next_endpoint(struct link *link)
{
	CLEANUP(closep) int fd = -1;
	int r = -ECONNREFUSED;

	while (!link->answered && link->n_rest > 0 && r < 0) {
		link->n_rest--;
		link->peer = *link->rest++;
		r = connect_one(&link->peer, 0, &fd);
	}
	if (r < 0)
		return -ECONNREFUSED;
	closep(&link->fd);
	link->fd = STEAL_FD(fd);
	link->datagram_out = true;
	return 0;
}

static int send_datagram(struct link *link)
{
	if (send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL) >= 0) {
		link->datagram_out = false;
		return 0;
	}
	if (errno == ECONNREFUSED)
		return try_next_endpoint(link);
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int receive_datagram(struct link *link)
{
	ssize_t n;
	int r;

	link->in.len = 0;
	r = buffer_reserve(&link->in, RECEIVE_SIZE);
	if (r < 0)
		return r;
	n = recv(link->fd, link->in.data, link->in.size, 0);
	if (n < 0 && errno == ECONNREFUSED)
		return try_next_endpoint(link);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	link->in.len = (size_t)n;
	link->datagram_in = true;
	link->answered = true;
	return 0;
}

static int send_stream(struct link *link)
{
	ssize_t n;

	n = send(link->fd, link->out.data + link->out_sent, link_unsent(link), MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		link->send_failed = true;
		n = (ssize_t)link_unsent(link);
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	link->out_sent += (size_t)n;
	/* There may always be something unsent. No more is moved than what has gone. */
	if (link->out_sent >= link_unsent(link)) {
		buffer_consume(&link->out, link->out_sent);
		link->out_sent = 0;
	}
	return 0;
}

static int receive_stream(struct link *link)
{
	ssize_t n;
	int r;

	if (link->in_taken > 0) {
		buffer_consume(&link->in, link->in_taken);
		link->in_taken = 0;
	}
	r = buffer_reserve(&link->in, RECEIVE_SIZE);
	if (r < 0)
		return r;
	n = recv(link->fd, link->in.data + link->in.len, link->in.size - link->in.len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	link->in.len += (size_t)n;
	link->ended = n == 0;
	return 0;
}

int link_io(struct link *link, short revents)
{
	const bool readable = revents & (POLLIN | POLLHUP | POLLERR) && !link->ended;
	int r = 0;

	if (link->transport == TRANSPORT_UDP) {
		if (readable && !link->datagram_in)
			r = receive_datagram(link);
		if (r == 0 && link->datagram_out)
			r = send_datagram(link);
		return r;
	}
	if (revents & (POLLOUT | POLLHUP | POLLERR) && link_unsent(link) > 0)
		r = send_stream(link);
	if (r == 0 && readable)
		r = receive_stream(link);
	return r;
}

static enum link_next malformed(struct message *ret_message, const char *problem)
{
	*ret_message = (struct message){.problem = problem};
	return LINK_MALFORMED;
}

static enum link_next take(struct link *link, const struct frame *frame,
			   struct message *ret_message)
{
	link->in_taken += frame->size;
	link->line_is_answer = false;
	*ret_message = (struct message){.body = frame->body, .crlf = frame->crlf};
	return LINK_MESSAGE;
}

/*
 * A line that begins "error: " is the server's last word when the end follows it before we asked
 * for the end; with anything else behind it, it is an answer.
 */
static enum link_next take_line(struct link *link, const struct frame *frame,
				struct message *ret_message)
{
	static const char prefix[] = "error: ";
	const size_t len = sizeof(prefix) - 1;
	const bool last = link->in_taken + frame->size == link->in.len;

	if (frame->body.len < len || memcmp(frame->body.data, prefix, len) != 0 || !last ||
	    link->line_is_answer || link->shut)
		return take(link, frame, ret_message);
	if (!link->ended)
		return LINK_LINE_HELD;
	(void)take(link, frame, ret_message);
	ret_message->body.data += len;
	ret_message->body.len -= len;
	return LINK_REFUSED;
}

static enum link_next next_datagram(struct link *link, struct message *ret_message)
{
	if (!link->datagram_in)
		return LINK_NOTHING;
	link->datagram_in = false;
	*ret_message = (struct message){.body = {link->in.data, link->in.len}};
	return LINK_MESSAGE;
}

enum link_next link_next(struct link *link, struct message *ret_message)
{
	struct bytes window = {link->in.data, link->in.len};
	struct frame frame;

	if (link->transport == TRANSPORT_UDP)
		return next_datagram(link, ret_message);
	if (link->in_taken > 0) {
		window.data += link->in_taken;
		window.len -= link->in_taken;
	}

	switch (frame_cut(&link->rules, window, link->ended, &link->scanned, &frame)) {
	case FRAME_MORE:
		return link->ended ? LINK_ENDED : LINK_NOTHING;
	case FRAME_MESSAGE:
		if (link->rules.framing == FRAMING_LINE)
			return take_line(link, &frame, ret_message);
		return take(link, &frame, ret_message);
	case FRAME_ERROR:
		if (frame.body.len < MIN(frame.length, (uint64_t)REASON_MAX) && !link->ended)
			return LINK_NOTHING;
		(void)take(link, &frame, ret_message);
		return LINK_REFUSED;
	case FRAME_MALFORMED:
		return malformed(ret_message, "what it sent is no frame; is its framing length?");
	case FRAME_TOO_LONG:
		return malformed(ret_message, "its message is longer than 1 GiB");
	case FRAME_CUT_SHORT:
		return malformed(ret_message, "it ended in the middle of a frame");
	}
	return LINK_NOTHING;
}

void link_accept_line(struct link *link)
{
	link->line_is_answer = true;
}
