/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What "retort ping" says to a chat listener, and what it is answered: requests of the object
 * dialect, whose ids are the numbers.
 */

#include <stdint.h>

#include "bytes.h"

/*
 * Makes *request the request of this number, of size bytes where it is not longer by itself.
 * Returns 0 or -ENOMEM.
 */
int ping_chat_write(struct buffer *request, uint64_t number, uint64_t size);

enum ping_chat {
	PING_CHAT_NOT,	   /* it is nothing that a chat listener sends */
	PING_CHAT_ANSWER,  /* to the request of *ret_number */
	PING_CHAT_OTHER,   /* to something that is no request; or something else that happens */
	PING_CHAT_CLOSING, /* for the reason that is *ret_reason */
};

/* Tells what came. Out of memory is PING_CHAT_OTHER. ret_reason is empty at first. */
enum ping_chat ping_chat_read(struct bytes message, uint64_t *ret_number,
			      struct buffer *ret_reason);
