/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A configuration in use, counted by reference: it goes when nothing is served by it any more. For
 * the main thread; workers borrow what is in it.
 */

struct config;

struct generation {
	struct config *config; /* owned */
	unsigned references;
};

/* Takes config over; one reference. NULL when out of memory, and config is freed. */
struct generation *generation_new(struct config *config);
struct generation *generation_ref(struct generation *generation);
/* NULL is nothing. Returns NULL. */
struct generation *generation_unref(struct generation *generation);
