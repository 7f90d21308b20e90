/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many clients each address has: counted up and down by one pair of functions. For one thread.
 */

#include <stdint.h>

enum { QUOTA_KEY = 16 }; /* bytes of an address */

/* Zero-initialised it is empty. */
struct quota {
	void *root; /* of a tree of counts; owned */
};

enum quota_outcome { QUOTA_EXHAUSTED = 1 };

/*
 * Counts one more for key, unless it has limit already (0: no limit). Returns 0, QUOTA_EXHAUSTED,
 * or -ENOMEM; counted only on 0.
 */
int quota_take(struct quota *quota, const uint8_t key[static QUOTA_KEY], uint64_t limit);

/* Counts one less for key; it was taken before. */
void quota_give(struct quota *quota, const uint8_t key[static QUOTA_KEY]);

void quota_done(struct quota *quota);
