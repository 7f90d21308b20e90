/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The monotonic clock, deadlines for poll(2) on it, and the time of day. */

#include <limits.h>
#include <stdint.h>
#include <time.h>

#include "util.h"

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)
#define DEADLINE_NONE UINT64_MAX

static inline uint64_t clock_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with these arguments */
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* The time of day, in milliseconds since 1970. */
static inline uint64_t clock_wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with these arguments */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NSEC_PER_MSEC;
}

/* The deadline that is ms after now; none, when ms is negative. */
static inline uint64_t clock_after(uint64_t now, int ms)
{
	return ms < 0 ? DEADLINE_NONE : now + (uint64_t)ms * NSEC_PER_MSEC;
}

/* What to give poll(2) or epoll_wait(2) to wake up at the deadline and not before. */
static inline int clock_wait_ms(uint64_t deadline)
{
	uint64_t now;

	if (deadline == DEADLINE_NONE)
		return -1;
	now = clock_now();
	if (deadline <= now)
		return 0;
	return (int)MIN((deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (uint64_t)INT_MAX);
}
