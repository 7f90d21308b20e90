/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the load generator sends and what it expects back, prepared before the clock runs: a round
 * of messages that every client sends over and over, in their envelopes, one behind the other, so
 * that any number of them in a row leaves in one piece; and the answers laid out likewise.
 *
 * Each message is a JSON string in quotes, so that listeners with payload = "json" can be loaded
 * too, and no answer is longer than its message, as UDP demands.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"
#include "frame.h"
#include "transform.h"

struct workload_setup {
	size_t size;		  /* bytes of payload in a message */
	size_t in_flight;	  /* a round has at least so many messages */
	enum framing framing;	  /* of a stream */
	bool datagrams;		  /* UDP: no envelope, and every message says its number */
	bool verify;		  /* messages differ, and answers are prepared */
	struct pipeline pipeline; /* verify: what the listener does */
};

/* A round laid out twice, so that it can be read from any message for the length of a round. */
struct workload_side {
	struct buffer bytes;
	size_t *begin; /* of each message; begin[n] is the length of one round */
};

struct workload {
	size_t n; /* messages in a round */
	struct workload_side messages;
	struct workload_side answers; /* verify only */
	size_t digits;		      /* datagrams: at each end of a message, of its number */
};

/* Returns 0 or -ENOMEM. */
int workload_make(const struct workload_setup *setup, struct workload *ret_workload);

void workload_done(struct workload *workload);

/* Reads the number of a message from its answer, whatever transform it went through. */
bool workload_number(const struct workload *workload, const uint8_t *answer, size_t len,
		     size_t *ret_number);

/* Fills len bytes with text of many scripts: always the same for a seed, and without a character
 * that JSON would have to escape. */
void workload_text(uint8_t *to, size_t len, uint64_t seed);
