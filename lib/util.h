/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every file may use: cleanup attributes for locals, and the few macros that C lacks.
 *
 * The error contract of the whole project: 0 is done, a negative errno is a failure that travels
 * up unchanged, a positive enum value is an outcome that the direct caller must handle.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function)		    __attribute__((cleanup(function)))
#define PRINTF(string, first)		    __attribute__((format(printf, string, first)))
#define ARRAY_SIZE(array)		    (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define MIN(a, b)                                  \
	({                                         \
		__auto_type min_a_ = (a);          \
		__auto_type min_b_ = (b);          \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__auto_type max_a_ = (a);          \
		__auto_type max_b_ = (b);          \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* For qsort(3) and its like: less than 0 when a is less than b, 0 when they are equal, else more.
 */
#define COMPARE(a, b)                                                  \
	({                                                             \
		__auto_type compare_a_ = (a);                          \
		__auto_type compare_b_ = (b);                          \
		(compare_a_ > compare_b_) - (compare_a_ < compare_b_); \
	})

/* For qsort(3) and its like, of numbers. */
static inline int compare_numbers(const void *a, const void *b)
{
	return COMPARE(*(const uint64_t *)a, *(const uint64_t *)b);
}

/* Takes the value out of a variable that owns it, so that its cleanup leaves it alone. */
#define STEAL(pointer)                           \
	({                                       \
		__auto_type stolen_ = (pointer); \
		(pointer) = NULL;                \
		stolen_;                         \
	})
#define STEAL_FD(fd)                \
	({                          \
		int stolen_ = (fd); \
		(fd) = -1;          \
		stolen_;            \
	})

/* For CLEANUP() on a local that owns memory of malloc(). */
static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

/* For CLEANUP() on a local that owns an fd; -1 is none. errno is kept. */
static inline void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* nothing to be done about a failing close */
	errno = saved;
}
