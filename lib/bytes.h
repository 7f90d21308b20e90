/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Two ways to hold bytes. A struct bytes is a window: it borrows memory that somebody else owns.
 * A struct buffer owns its memory and grows; zero-initialised, it is empty and owns nothing.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t *data;
	size_t len;
};

struct buffer {
	uint8_t *data;
	size_t len;  /* bytes in use */
	size_t size; /* bytes allocated */
};

/*
 * Makes room for at least more bytes behind buffer->len. Grows geometrically, so that appending
 * n bytes one by one costs O(n). Returns 0, or -ENOMEM with the buffer as it was.
 */
int buffer_reserve(struct buffer *buffer, size_t more);

/* Appends len bytes of data, which must not lie in the buffer. Returns 0 or -ENOMEM. */
int buffer_append(struct buffer *buffer, const void *data, size_t len);

/* Drops the first len bytes (at most buffer->len) and moves the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t len);

/* Frees the memory; the buffer is empty and usable afterwards. */
void buffer_done(struct buffer *buffer);
