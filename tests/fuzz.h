/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What fuzz targets share: what libFuzzer, or fuzz_main.c in its place, calls, and a check. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts, and says where and why, unless the condition is true. */
#define require(...) ((__VA_ARGS__) ? (void)0 : fuzz_fail(#__VA_ARGS__, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void fuzz_fail(const char *condition, const char *file,
						       int line)
{
	(void)fprintf(stderr, "%s:%d: not: %s (errno: %s)\n", file, line, condition,
		      strerror(errno));
	abort();
}
