/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A sequence of numbers and strings as bytes, for the next process on this machine: written and
 * read in the same order, without names. Whoever reads is safe from any bytes.
 */

#include <stdbool.h>

#include "bytes.h"

/* Zero-initialised it is empty. */
struct record {
	struct buffer buffer; /* owned */
	bool failed;	      /* memory ran out; nothing more is written */
};

void record_put(struct record *record, uint64_t number);
void record_put_bytes(struct record *record, const void *data, size_t len);
/* NULL is told from the empty string. */
void record_put_text(struct record *record, const char *text);
void record_done(struct record *record);

/* What is left to read. */
struct record_reader {
	struct bytes rest;
	bool failed; /* it ended too early, was none, or memory ran out; all is 0 from then on */
};

uint64_t record_get(struct record_reader *reader);
/* A window over what is read. */
struct bytes record_get_bytes(struct record_reader *reader);
/* Owned by the caller; NULL also on failure. */
char *record_get_text(struct record_reader *reader);

/* Like record_get(), but fails on what is not below limit. */
uint64_t record_get_below(struct record_reader *reader, uint64_t limit);
