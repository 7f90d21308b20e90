/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An index of the keys by which the senders of a room's last messages know them again: a hash of
 * sender and key, and the numbers of the messages that may have them. It holds no strings, so what
 * it finds is a hint that the caller compares with the log itself; a number of a message that was
 * never committed does no harm, therefore. Numbers come in ascending order and are dropped from the
 * oldest on. Memory grows with what is held, and with nothing else.
 */

#include <stddef.h>
#include <stdint.h>

struct keys_entry;

/* Zero-initialised, it is empty. */
struct keys {
	struct keys_entry *entries; /* a ring: number n of those ever added is at n % size */
	uint64_t *buckets;	    /* the newest of each, counted from 1; 0: none */
	size_t size;		    /* of both; a power of two, or 0 */
	uint64_t first, next;	    /* those held, counted from 0 */
	uint64_t secret;	    /* so that nobody can choose keys of one hash */
};

void keys_done(struct keys *keys);

/* Bytes of memory that it takes. */
size_t keys_memory(const struct keys *keys);

/* Makes room for one more. Returns 0 or -ENOMEM. */
int keys_reserve(struct keys *keys);

/*
 * Adds what sender said with key as number seq, with the room that keys_reserve() has made. What
 * is there of this number or a higher one is dropped: it was not committed.
 */
void keys_add(struct keys *keys, const char *sender, const char *key, uint64_t seq);

/* Drops numbers up to upto. */
void keys_expire(struct keys *keys, uint64_t upto);

/* One search: for (search = keys_search(…); keys_next(keys, &search, &seq);) */
struct keys_search {
	uint32_t hash;
	uint64_t at; /* the next to look at, counted from 1; 0: none */
};
struct keys_search keys_search(const struct keys *keys, const char *sender, const char *key);

/* Returns 1 and the next number that may be it, the newest first; 0 when there is none. */
int keys_next(const struct keys *keys, struct keys_search *search, uint64_t *ret_seq);
