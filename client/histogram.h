/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts of values over the whole range of uint64_t in little memory: each power of two is divided
 * into 128 buckets, so a value is known to within 1/256 of itself. Adding is a few instructions.
 */

#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 128, /* buckets for each power of two; below 256 each value has its own */
	HISTOGRAM_BUCKETS = (64 - 7 + 1) * HISTOGRAM_STEPS,
};

/* Zero-initialised it is empty. */
struct histogram {
	uint64_t n;
	uint64_t least;	   /* exact; meaningless while n is 0, as is most */
	uint64_t most;	   /* exact */
	long double total; /* exact up to its precision */
	uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
	const int shift = value < HISTOGRAM_STEPS ? 0 : 63 - __builtin_clzll(value) - 7;

	return (unsigned)(shift * HISTOGRAM_STEPS) + (unsigned)(value >> shift);
}

/* Counts the value times times, which is at least 1. */
static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times)
{
	if (histogram->n == 0 || value < histogram->least)
		histogram->least = value;
	if (value > histogram->most)
		histogram->most = value;
	histogram->n += times;
	histogram->total += (long double)value * (long double)times;
	histogram->counts[histogram_bucket(value)] += times;
}

/*
 * The value that percent of all values, 0 to 100, do not exceed: that of rank ceil(percent/100 * n)
 * among the values in order, to within 1/256 of it; the least and the most exactly. 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The mean; 0 when empty. */
double histogram_mean(const struct histogram *histogram);

/* How many values lie from from to below to, to within the bounds of buckets. */
uint64_t histogram_between(const struct histogram *histogram, uint64_t from, uint64_t to);
