/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Timers of one thread, in a binary heap. Made for time-outs that are moved into the future with
 * every message and hardly ever expire: putting a timer off is one store, and the heap learns of
 * it only when the old time comes.
 */

#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

/* One time-out; embedded in its owner. Zero-initialised it is off. */
struct timer {
	uint64_t due; /* milliseconds, TIMER_NEVER, or 0: never set */
	uint64_t key; /* when the heap will look at it */
	size_t place; /* in the heap, from 1; 0: not in it */
};

/* It owns its array, and none of the timers. Empty when all but expired is zero. */
struct timers {
	void (*expired)(struct timer *timer); /* called for a timer that is due, and off by then */
	struct timer **heap;
	size_t n, size;
};

void timers_done(struct timers *timers);

/* Sets when the timer expires; TIMER_NEVER is off. Returns 0 or -ENOMEM, and then it is off. */
int timer_set(struct timers *timers, struct timer *timer, uint64_t due);

/* Takes the timer out of the heap; needed before its owner is freed. */
void timer_remove(struct timers *timers, struct timer *timer);

/* When to look again, at the latest; TIMER_NEVER when there is nothing to wait for. */
uint64_t timers_next(const struct timers *timers);

/* Calls expired() of all that are due at now; it may set its timer again, to later than now. */
void timers_expire(struct timers *timers, uint64_t now);
