/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One connection to a server: TCP, Unix stream or UDP, with messages in one framing.
 *
 * The caller owns the waiting: it polls link->fd for link_events(), hands what came to link_io(),
 * queues messages with link_send() and takes messages with link_next() until nothing is left. So it
 * can wait for other things at the same time, and sending never keeps it from receiving. The link
 * prints nothing and knows no deadline but that of connecting.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "bytes.h"
#include "frame.h"

/* The longest message that is taken from a server. Memory grows with what came, not with this. */
#define LINK_MESSAGE_MAX (UINT64_C(1) << 30)

struct link {
	int fd;
	enum transport transport;
	struct frame_rules rules;
	struct buffer in;
	size_t in_taken; /* bytes at the front of in that were handed out already */
	size_t scanned;	 /* of frame_cut() */
	struct buffer out;
	size_t out_sent;
	bool ended;	     /* the server sends no more */
	bool shut;	     /* we send no more */
	bool send_failed;    /* what we sent was refused; there may be a reason left to read */
	bool datagram_in;    /* udp: in is a datagram not yet taken */
	bool datagram_out;   /* udp: out is a datagram not yet sent */
	bool answered;	     /* udp: something came, so somebody is there */
	bool line_is_answer; /* line: link_accept_line() was called for the line at hand */
	const struct endpoint *rest; /* udp: where else the server may be; borrowed */
	size_t n_rest;
	struct endpoint peer;
};

/*
 * Makes a socket for connecting to endpoint: non-blocking, close-on-exec, and for TCP without the
 * wait for more to send. Returns the fd or -errno.
 */
int endpoint_socket(const struct endpoint *endpoint);

/*
 * Connects to the first of the endpoints that takes the connection, within timeout_ms for all of
 * them. They are borrowed until link_done(). Returns 0, or -errno of the attempt that tells most.
 */
int link_open(struct link *ret_link, const struct endpoint *endpoints, size_t n_endpoints,
	      enum framing framing, uint64_t timeout_ms);

void link_done(struct link *link);

/* The events of poll(2) that the link waits for now. */
short link_events(const struct link *link);

/* Sends and receives once each, as revents of poll(2) allow. Returns 0 or -errno. */
int link_io(struct link *link, short revents);

/* How many bytes were queued but not yet handed to the kernel. */
size_t link_unsent(const struct link *link);

/*
 * Queues one message; for UDP nothing else may be unsent. Returns 0, -EMSGSIZE for a payload that
 * no header or datagram holds, or -ENOMEM.
 */
int link_send(struct link *link, const void *data, size_t len);

/* Ends our side of a stream once nothing is unsent; the server's goes on. */
void link_shut(struct link *link);

enum link_next {
	LINK_NOTHING, /* no whole message yet */
	LINK_MESSAGE,
	LINK_REFUSED,	/* the server says why it closes; the body is its reason */
	LINK_LINE_HELD, /* line: it begins "error: "; whether it is the reason for closing or an
			 * answer shows when more comes, or the end, or link_accept_line() */
	LINK_MALFORMED, /* what came breaks the framing: the problem says how */
	LINK_ENDED,	/* the server has sent all, down to the end of a message */
};

struct message {
	struct bytes body;   /* valid until the next call of link_next() or link_io() */
	bool crlf;	     /* line: it ended in CR LF */
	const char *problem; /* static text */
};

/* Takes the next message. ret_message is set for LINK_MESSAGE, LINK_REFUSED and LINK_MALFORMED. */
enum link_next link_next(struct link *link, struct message *ret_message);

/* Decides that the line held back is an answer. */
void link_accept_line(struct link *link);
