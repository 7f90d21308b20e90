/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The monotonic clock in milliseconds, and moments that may never come. */

#include <limits.h>
#include <stdint.h>
#include <time.h>

#include "util.h"

#define MOMENT_NEVER UINT64_MAX

static inline uint64_t moment_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with these arguments */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The moment that is ms from now; never, when ms is negative. */
static inline uint64_t moment_after(uint64_t now, int ms)
{
	return ms < 0 ? MOMENT_NEVER : now + (uint64_t)ms;
}

/*
 * What to give poll(2) to wake up at the moment and not before. The clock drops what is left of a
 * millisecond, so one more is waited.
 */
static inline int moment_wait(uint64_t moment)
{
	uint64_t now;

	if (moment == MOMENT_NEVER)
		return -1;
	now = moment_now();
	return moment <= now ? 0 : (int)MIN(moment - now + 1, (uint64_t)INT_MAX);
}
