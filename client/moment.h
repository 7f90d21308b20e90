/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Points in time as people write and read them: in the local time zone, while the wire has UTC.
 * All are milliseconds since 1970.
 */

#include <stddef.h>
#include <stdint.h>

enum { MOMENT_TEXT_MAX = 32 };

/* Writes "2026-11-22 15:04:05" in local time; returns text. */
const char *moment_format(uint64_t time, char text[static MOMENT_TEXT_MAX]);

/*
 * Reads a time of RFC 3339; what moment_format() writes, also without seconds, or the day alone;
 * the hour alone ("15:04", "15:04:05"), which is the last such; or a time ago, with its unit:
 * "90s", "10min", "2h ago". now is the time at present. Returns 0 or -EINVAL.
 */
int moment_parse(const char *text, uint64_t now, uint64_t *ret_time);

/* The time at present. */
uint64_t moment_now(void);

enum { SPAN_TEXT_MAX = 48 };

/* Writes how long that is, in its two largest units: "3d 4h", "12min 5s", "0s"; returns text. */
const char *span_format(uint64_t milliseconds, char text[static SPAN_TEXT_MAX]);
