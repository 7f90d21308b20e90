/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "util.h"

enum {
	QUEUED_PARTS_MAX = 40,	/* packets that one call sends */
	PACKET_SMALLEST = 4096, /* what is left over in small pieces shares packets */
	RING_SMALLEST = 4,	/* packets */
};

/*
 * The two calls of a turn, past the C library's wrappers: in a process with threads these make each
 * call a cancellation point, which is a fifth of our own time with one message in flight, and no
 * thread here is ever cancelled.
 */
static ssize_t call_receive(int fd, void *data, size_t len)
{
	return syscall(SYS_recvfrom, fd, data, len, 0, NULL, NULL);
}

static ssize_t call_send(int fd, const struct msghdr *message)
{
	return syscall(SYS_sendmsg, fd, message, MSG_NOSIGNAL);
}

void stream_init(struct stream *stream, int fd)
{
	*stream = (struct stream){.fd = fd};
}

static struct packet **nth(struct stream *stream, uint32_t n)
{
	if (stream->size == 0)
		return &stream->only;
	return &stream->ring[(stream->first + n) & (stream->size - 1)];
}

static void drop_oldest(struct stream *stream)
{
	packet_unref(*nth(stream, 0));
	stream->first = (stream->first + 1) & (MAX(stream->size, 1u) - 1);
	stream->n--;
	stream->sent = 0;
}

void stream_done(struct stream *stream)
{
	while (stream->n > 0)
		drop_oldest(stream);
	if (stream->size > 0)
		free(stream->ring);
	closep(&stream->fd);
	stream_init(stream, -1);
}

ssize_t stream_receive(struct stream *stream, const struct iovec *parts, int n_parts)
{
	ssize_t n;

	do {
		if (n_parts == 1)
			n = call_receive(stream->fd, parts[0].iov_base, parts[0].iov_len);
		else
			n = recvmsg(stream->fd,
				    &(struct msghdr){.msg_iov = (struct iovec *)parts,
						     .msg_iovlen = (size_t)n_parts},
				    0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int grow_ring(struct stream *stream)
{
	uint32_t size = MAX(stream->size * 2, (uint32_t)RING_SMALLEST);
	struct packet **ring = calloc(size, sizeof(struct packet *));

	if (!ring)
		return -ENOMEM;
	for (uint32_t i = 0; i < stream->n; i++)
		ring[i] = *nth(stream, i);
	if (stream->size > 0)
		free(stream->ring);
	stream->ring = ring;
	stream->size = size;
	stream->first = 0;
	return 0;
}

static int queue_packet(struct stream *stream, struct packet *packet)
{
	int r;

	if (stream->n == MAX(stream->size, 1u)) { /* one packet needs no ring */
		r = grow_ring(stream);
		if (r < 0)
			return r;
	}
	stream->n++;
	*nth(stream, stream->n - 1) = packet;
	return 0;
}

int stream_queue(struct stream *stream, struct packet *packet)
{
	int r = queue_packet(stream, packet);

	if (r < 0)
		return r;
	(void)packet_ref(packet);
	stream->pending += packet->len;
	return 0;
}

/* Queues a copy of data, in the last packet as far as there is room. */
static int keep(struct stream *stream, const uint8_t *data, size_t len)
{
	struct packet *packet = stream->n > 0 ? *nth(stream, stream->n - 1) : NULL;
	size_t fits = packet ? MIN(packet_room(packet), len) : 0;
	int r;

	if (fits > 0) {
		memcpy(packet->data + packet->len, data, fits);
		packet->len += fits;
		stream->pending += fits;
	}
	if (fits == len)
		return 0;

	packet = packet_new(MAX(len - fits, (size_t)PACKET_SMALLEST));
	if (!packet)
		return -ENOMEM;
	packet->len = len - fits;
	memcpy(packet->data, data + fits, packet->len);
	r = queue_packet(stream, packet);
	if (r < 0) {
		packet_unref(packet);
		return r;
	}
	stream->pending += packet->len;
	return 0;
}

/* Takes n sent bytes off the queue; returns how many of them were not of the queue. */
static size_t advance(struct stream *stream, size_t n)
{
	while (stream->n > 0 && n > 0) {
		size_t left = (*nth(stream, 0))->len - stream->sent;

		if (n < left) {
			stream->sent += n;
			stream->pending -= n;
			return 0;
		}
		n -= left;
		stream->pending -= left;
		drop_oldest(stream);
	}
	return n;
}

static ssize_t transmit(struct stream *stream, const struct iovec *parts, int n_parts)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n_parts};
	ssize_t n;

	do {
		n = call_send(stream->fd, &message);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Sends the queue and, when all of it fits one call, parts; returns bytes of parts that went. */
static ssize_t transmit_queue(struct stream *stream, const struct iovec *parts, int n_parts)
{
	struct iovec all[QUEUED_PARTS_MAX + STREAM_PARTS_MAX];
	uint32_t queued = MIN(stream->n, (uint32_t)QUEUED_PARTS_MAX);
	ssize_t n;

	for (uint32_t i = 0; i < queued; i++) {
		struct packet *packet = *nth(stream, i);
		size_t sent = i == 0 ? stream->sent : 0;

		all[i] = (struct iovec){packet->data + sent, packet->len - sent};
	}
	if (queued < stream->n)
		n_parts = 0;
	if (n_parts > 0)
		memcpy(all + queued, parts, (size_t)n_parts * sizeof(*parts));

	n = transmit(stream, all, (int)queued + n_parts);
	return n < 0 ? n : (ssize_t)advance(stream, (size_t)n);
}

int stream_send(struct stream *stream, struct iovec *parts, int n_parts, bool eager)
{
	ssize_t n = 0;

	if (stream->n == 0 && n_parts > 0)
		n = transmit(stream, parts, n_parts);
	else if (stream->n > 0 && eager)
		n = transmit_queue(stream, parts, n_parts);
	if (n < 0)
		return (int)n;

	for (int i = 0; i < n_parts; i++) {
		size_t gone = MIN((size_t)n, parts[i].iov_len);
		int r;

		n -= (ssize_t)gone;
		if (gone == parts[i].iov_len)
			continue;
		r = keep(stream, (const uint8_t *)parts[i].iov_base + gone,
			 parts[i].iov_len - gone);
		if (r < 0)
			return r;
	}
	if (stream->n == 0 && stream->size > 0) {
		free(stream->ring);
		stream->ring = NULL;
		stream->size = stream->first = 0;
	}
	return 0;
}

int stream_send_packet(struct stream *stream, struct packet *packet)
{
	ssize_t n;
	int r;

	do {
		n = syscall(SYS_sendto, stream->fd, packet->data, packet->len, MSG_NOSIGNAL, NULL,
			    0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return -errno;
	if (n == (ssize_t)packet->len)
		return 0;
	r = stream_queue(stream, packet);
	if (r == 0)
		(void)advance(stream, (size_t)MAX(n, 0));
	return r;
}

int stream_copy_pending(const struct stream *stream, struct buffer *buffer)
{
	for (uint32_t i = 0; i < stream->n; i++) {
		const struct packet *packet = *nth((struct stream *)stream, i);
		size_t sent = i == 0 ? stream->sent : 0;
		int r = buffer_append(buffer, packet->data + sent, packet->len - sent);

		if (r < 0)
			return r;
	}
	return 0;
}

void stream_shut_down(const struct stream *stream)
{
	(void)shutdown(stream->fd, SHUT_RDWR); /* fails when it is broken, which is as well */
}

int stream_end(struct stream *stream)
{
	return shutdown(stream->fd, SHUT_WR) < 0 ? -errno : 0;
}
