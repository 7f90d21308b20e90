/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a peer can cause as often as it likes is said at most once a second for each kind of entry
 * and listener, and otherwise counted. What is remembered is bounded: beyond that, all other kinds
 * and listeners are folded together.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOG_FOLDS_MAX = 256, /* kinds × listeners remembered at once */
	LOG_FOLD_MILLISECONDS = 1000,
	LOG_FOLD_KINDS = -1, /* in place of a kind: of several */
};

/* One kind of entry of one listener that was said lately. */
struct log_fold {
	int kind;
	char listener[65];
	uint64_t since;	     /* when it was said, in milliseconds */
	uint64_t suppressed; /* how often it was not said since */
};

/* Zero-initialised, but for say, nothing was said yet. */
struct log_folds {
	/* Says how often a kind of entry was not said; listener may be "". */
	void (*say)(int kind, const char *listener, uint64_t suppressed);
	size_t n;
	struct log_fold all[LOG_FOLDS_MAX + 1]; /* the last: for all that there is no room for */
};

/*
 * Whether an entry may be said now, in milliseconds of a clock that does not begin at 0; otherwise
 * it has been counted.
 */
bool log_folds_admit(struct log_folds *folds, int kind, const char *listener, uint64_t now);

/* Says the counts whose second is over. Returns whether there will be more to do. */
bool log_folds_say_due(struct log_folds *folds, uint64_t now);

/* Says all counts, and forgets all. */
void log_folds_say_all(struct log_folds *folds);
