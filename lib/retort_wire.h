/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One connection to a server in framing length: made without waiting, to the first of some
 * endpoints that takes it; bytes out, frames in. The caller polls wire->fd. It knows nothing of
 * what the frames hold, and does not come back: that is the session's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "bytes.h"
#include "frame.h"

struct wire {
	int fd;				  /* -1: none; owned */
	const struct endpoint *endpoints; /* what is still to be tried; borrowed */
	size_t n_endpoints;
	bool connecting;
	bool ended;	   /* the server sends no more */
	bool send_failed;  /* it takes no more; there may be a reason left to read */
	int failure;	   /* of the attempts so far, the one that tells most */
	uint64_t deadline; /* of all attempts */
	uint64_t due;	   /* when wire_connect() is to be called, whatever the fd says */
	struct frame_rules rules;
	struct buffer in;
	size_t in_taken, scanned;
	struct buffer out; /* what is to be sent; the caller appends whole frames */
	size_t out_sent;
};

/* An empty wire, which wire_done() may be called on. */
void wire_init(struct wire *wire);
void wire_done(struct wire *wire);

/*
 * Begins to connect; endpoints are borrowed until it is connected. deadline is for all of them
 * together (DEADLINE_NONE: none). wire_connect() goes on: first at once, then when the fd is
 * writable or wire->due has come.
 */
void wire_start(struct wire *wire, const struct endpoint *endpoints, size_t n_endpoints,
		uint64_t deadline, uint64_t max_message);

/* Returns 1 when it is connected, 0 when that takes more time, or -errno when none can be. */
int wire_connect(struct wire *wire);

/* Bytes that are not yet handed to the kernel. */
size_t wire_unsent(const struct wire *wire);

/* Sends once. Returns 0 or -errno; that the server takes no more is wire->send_failed. */
int wire_send(struct wire *wire);

/* Receives once. Returns 1 when something came or ended, 0 when nothing is there, or -errno. */
int wire_receive(struct wire *wire);

enum wire_next {
	WIRE_NOTHING, /* no whole frame yet */
	WIRE_MESSAGE,
	WIRE_ERROR,	/* the server says in an error frame why it closes */
	WIRE_MALFORMED, /* this is no frame */
	WIRE_TOO_LONG,
	WIRE_ENDED, /* the server has ended; what is left is no whole frame */
};

/* Takes the next frame; its body, of WIRE_MESSAGE and WIRE_ERROR, is valid until wire_receive(). */
enum wire_next wire_next(struct wire *wire, struct bytes *ret_body);
