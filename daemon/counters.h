/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What one listener has done in one thread. Only that thread writes; any thread may read, without
 * a lock, and sums over threads.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "chat.h"

enum counter {
	/* traffic */
	COUNTER_MESSAGES,
	COUNTER_BYTES_IN,
	COUNTER_BYTES_OUT,
	COUNTER_ACCEPTED,
	COUNTER_GONE,
	/* refused, dropped, or ended not in order */
	COUNTER_REFUSED_CLIENTS,
	COUNTER_REFUSED_ADDRESS,
	COUNTER_REFUSED_MEMORY,
	COUNTER_MALFORMED,
	COUNTER_TOO_LONG,
	COUNTER_ERROR_FRAME,
	COUNTER_CUT_SHORT,
	COUNTER_TIMED_OUT,
	COUNTER_IDLE,
	COUNTER_UNDRAINED,
	COUNTER_BROKEN,
	COUNTER_BAD_JSON,
	COUNTER_UDP_TOO_LONG,
	COUNTER_UDP_AMPLIFYING,
	COUNTER_UDP_REFLECTOR,
	COUNTER_UDP_UNSENT,
};
enum { COUNTER_COUNT = COUNTER_UDP_UNSENT + 1 };

struct counters {
	const char *listener; /* its name; borrowed */
	_Atomic uint64_t values[COUNTER_COUNT];
	_Atomic uint64_t refusals[CHAT_ERRORS]; /* requests of the chat service, by the reply */
} __attribute__((aligned(64)));			/* no two threads write to one cache line */

/* By the one writer. */
static inline void counters_raise(_Atomic uint64_t *value, uint64_t n)
{
	/* Not an atomic addition: there is one writer, and nobody may see half a number. */
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void counters_add(struct counters *counters, enum counter counter, uint64_t n)
{
	counters_raise(&counters->values[counter], n);
}

/* A request has got this reply; CHAT_OK is nothing. */
static inline void counters_add_reply(struct counters *counters, enum chat_error error)
{
	if (error != CHAT_OK)
		counters_raise(&counters->refusals[error], 1);
}

/* Sums of counters, over threads or over listeners. */
struct totals {
	uint64_t values[COUNTER_COUNT];
	uint64_t refusals[CHAT_ERRORS];
};

/* Adds n counters, those of several threads, to totals. From any thread. */
void totals_add(struct totals *totals, const struct counters *counters, unsigned n);

/* What a counter counts, in a few words for a person: "frames with a bad header". */
const char *counter_name(enum counter counter);

/* The same in one word for a program, that never changes: "bad_header". */
const char *counter_token(enum counter counter);
