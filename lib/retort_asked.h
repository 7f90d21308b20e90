/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A request that was asked and is not answered: a copy of it, and the item that its reply will be,
 * so that there is always memory to say how it ended.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "chat.h"
#include "list.h"
#include "retort.h"
#include "retort_item.h"

/* Who asked, and so where the reply goes. */
enum asked_by {
	ASKED_BY_SUBMIT, /* an event */
	ASKED_BY_CALL,	 /* what waits in retort_call() */
	ASKED_BY_NOBODY, /* such a call that waits no longer */
	ASKED_BY_HELLO,	 /* the library's own */
	ASKED_BY_REJOIN,
	ASKED_BY_RESTART, /* a room's log began anew: leave and join */
};

struct asked {
	struct list link;
	struct chat_request request; /* its strings lie behind this struct */
	uint64_t cookie;
	char id[24]; /* the cookie as JSON text */
	enum asked_by by;
	struct item *item; /* owned; NULL when the library itself asked */
	bool sent;	   /* on this connection */
	bool repeated;	   /* it was sent on an earlier one, too */
	unsigned losses;   /* connections that the server ended while this was first in line */
	size_t cost;	   /* bytes, roughly */
	char strings[];
};

/*
 * Copies a request. password may be NULL. Returns 0 with *ret_asked; -EINVAL for a request that
 * cannot be; -EMSGSIZE for one that no frame holds; or -ENOMEM.
 */
int asked_new(const struct retort_request *request, const char *password, uint64_t cookie,
	      enum asked_by by, struct asked **ret_asked);

/* Takes it off its list, and frees it. NULL is allowed. */
void asked_free(struct asked *asked);

/* Appends the request to buffer as a frame. Returns 0 or -ENOMEM. */
int asked_write(const struct asked *asked, struct buffer *buffer);

/* Whether doing it twice is as good as once, on this and another connection. */
bool asked_is_repeatable(const struct asked *asked);

/* Whether the library itself asked it. */
bool asked_is_ours(const struct asked *asked);
