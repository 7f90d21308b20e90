/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One thread's event loop: which file descriptors are ready, and which timers are due. The only
 * module that knows epoll(7). Level-triggered: what a turn leaves is reported again.
 *
 * Everything here is called by the loop's own thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "timer.h"

enum {
	LOOP_IN = 1 << 0,
	LOOP_OUT = 1 << 2,
	LOOP_BROKEN =
		(1 << 3) | (1 << 4), /* an error or hang-up; reported without being asked for */
};

/* Somebody who waits for a descriptor; embedded in its owner, who outlives its registration. */
struct watch {
	/* events is a set of LOOP_…. The watch may be removed meanwhile, but not freed before the
	   turn's end: another of its events may wait in the same turn. */
	void (*ready)(struct watch *watch, uint32_t events);
};

struct loop;

/*
 * Returns 0 with a new loop, or a negative errno. expired is called for each timer that is due.
 */
int loop_new(void (*expired)(struct timer *timer), struct loop **ret_loop);
void loop_free(struct loop *loop);

/* Starts to watch fd for events. Returns 0 or a negative errno. */
int loop_add(struct loop *loop, int fd, uint32_t events, struct watch *watch);

/* Changes what a watched fd is watched for. */
int loop_change(struct loop *loop, int fd, uint32_t events, struct watch *watch);

/*
 * Stops watching fd, which stays open; a descriptor that is closed needs no removal, unless another
 * process has a copy of it.
 */
void loop_remove(struct loop *loop, int fd);

/* Milliseconds of CLOCK_MONOTONIC, read once in each turn. */
uint64_t loop_now(const struct loop *loop);

/* Reads that clock between two turns, for a thread that has waited for something else. */
void loop_read_clock(struct loop *loop);

/* The loop's timers; they expire between turns. */
struct timers *loop_timers(struct loop *loop);

/*
 * One turn: sleeps until something is ready or due, and serves all of it. Returns 0 or a negative
 * errno.
 */
int loop_turn(struct loop *loop);
