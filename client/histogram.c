/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "histogram.h"

#include <math.h>

#include "util.h"

/* The middle of a bucket, which is what each of its values is taken for. */
static uint64_t bucket_middle(unsigned bucket)
{
	unsigned shift;
	uint64_t low;

	if (bucket < 2 * HISTOGRAM_STEPS)
		return bucket;
	shift = bucket / HISTOGRAM_STEPS - 1;
	low = (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
	return low + (UINT64_C(1) << shift) / 2;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	uint64_t rank, seen = 0, value;

	if (histogram->n == 0)
		return 0;
	rank = (uint64_t)ceil(percent / 100 * (double)histogram->n);
	rank = MIN(MAX(rank, 1U), histogram->n);
	if (rank == histogram->n)
		return histogram->most;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen >= rank) {
			value = bucket_middle(i);
			return MIN(MAX(value, histogram->least), histogram->most);
		}
	}
	return histogram->most;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->n ? (double)(histogram->total / (long double)histogram->n) : 0;
}

uint64_t histogram_between(const struct histogram *histogram, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const uint64_t value = bucket_middle(i);

		if (value >= from && value < to)
			n += histogram->counts[i];
	}
	return n;
}
