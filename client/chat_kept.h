/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages that came and are shown later: those of rooms that are not looked at, and those that
 * were missed. A list keeps the newest, within bounds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

/* A message as it is shown; it owns nothing. */
struct said {
	uint64_t seq;
	uint64_t time; /* milliseconds since 1970 */
	const char *room, *from, *text;
	const char *user, *unit; /* may be NULL; not kept */
	size_t text_len;
	bool mine;     /* said by ourselves */
	bool mentions; /* speaks of us */
};

enum {
	KEPT_MESSAGES = 200,
	KEPT_BYTES = 1024 * 1024,
};

struct kept {
	struct list messages; /* owned */
	size_t n, bytes;
};

void kept_init(struct kept *kept);
void kept_done(struct kept *kept);

/* Keeps a copy without user and unit, in place of the oldest where there is no room. Returns 0 or
 * -ENOMEM. */
int kept_add(struct kept *kept, const struct said *said);

/* Hands each to show() and drops it, oldest first. */
void kept_show(struct kept *kept, void (*show)(void *data, const struct said *said), void *data);
