/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One stream socket, in and out: bytes as they come, and a queue of what the socket did not take
 * yet. Knows nothing of messages. It stands where another transport, TLS say, could stand.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "packet.h"

struct stream {
	int fd;		/* non-blocking; owned; -1 once closed */
	uint32_t first; /* of the ring: the oldest packet */
	uint32_t n;	/* packets in the ring */
	uint32_t size;	/* of the ring, a power of two; 0: there is none */
	union {
		struct packet **ring; /* a reference to each; owned */
		struct packet *only;  /* without a ring: the one packet, if n is 1 */
	};
	size_t sent;	/* bytes of the oldest packet that are sent already */
	size_t pending; /* bytes that wait */
};

/* Takes fd over. */
void stream_init(struct stream *stream, int fd);

/* Drops what waits and closes the socket. */
void stream_done(struct stream *stream);

enum { STREAM_END = 0 };

/*
 * Receives once into parts. Returns how many bytes; STREAM_END at the end of input; -EAGAIN when
 * nothing has come, or another negative errno when the connection is broken.
 */
ssize_t stream_receive(struct stream *stream, const struct iovec *parts, int n_parts);

enum { STREAM_PARTS_MAX = 24 }; /* parts that one call sends, at the most */

/*
 * Sends what waits and, behind it, parts, in one call to the kernel, and keeps what the socket
 * does not take. With eager false it does not try while older bytes wait: whoever knows that the
 * socket is full says so. parts may be clobbered.
 * Returns 0, -ENOMEM, or another negative errno when the connection is broken.
 */
int stream_send(struct stream *stream, struct iovec *parts, int n_parts, bool eager);

/*
 * Puts a packet behind what waits, taking a reference to it; stream_send() sends it. Returns 0 or
 * -ENOMEM.
 */
int stream_queue(struct stream *stream, struct packet *packet);

/*
 * Sends a packet before which nothing waits, and queues it, with a reference, as far as the socket
 * does not take it. Returns 0, -ENOMEM, or another negative errno when the connection is broken.
 */
int stream_send_packet(struct stream *stream, struct packet *packet);

/* Appends a copy of what waits to buffer. Returns 0 or -ENOMEM. */
int stream_copy_pending(const struct stream *stream, struct buffer *buffer);

/* Ends the connection in both directions, whoever else has a descriptor of it. */
void stream_shut_down(const struct stream *stream);

/* Says to the peer that nothing follows. Returns 0 or a negative errno. */
int stream_end(struct stream *stream);
