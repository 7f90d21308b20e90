/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sizes and times as people write them: "64K", "1M", "500ms", "10s", "5min", "90d". */

#include <stddef.h>
#include <stdint.h>

/*
 * Parses a number of bytes: digits, and perhaps one of K, M, G (powers of 1024, an optional "B" or
 * "iB" after it is allowed). Returns 0, -EINVAL for anything else, or -ERANGE past INT64_MAX.
 */
int quantity_parse_size(const char *text, uint64_t *ret_bytes);

/*
 * Parses a time: digits with an optional fraction, and perhaps one of ms, s, min, h, d; without a
 * unit, seconds. What is finer than a millisecond is rounded up, so that only zero is 0. Returns 0,
 * -EINVAL, or -ERANGE past 1000 years (of 365.25 days).
 */
int quantity_parse_time(const char *text, uint64_t *ret_milliseconds);

enum { QUANTITY_MAX = 32 }; /* bytes that a formatted quantity takes, with its NUL */

/* Writes bytes in the largest unit that divides it, so that parsing gives the same number. */
void quantity_format_size(char text[static QUANTITY_MAX], uint64_t bytes);

/* Writes a time in the largest unit that divides it; 0 is "0". */
void quantity_format_time(char text[static QUANTITY_MAX], uint64_t milliseconds);
