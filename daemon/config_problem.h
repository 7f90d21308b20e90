/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is wrong with a configuration, in words, each with the place where it stands. */

#include <stddef.h>

#include "config.h"
#include "util.h"

struct place {
	const char *file; /* or an option of the command line; NULL: what is built in; not owned */
	unsigned line;	  /* 0: all of it */
};

/*
 * Adds "FILE:LINE: " and the formatted text as a line of its own, safe to be shown on a terminal
 * whatever the configuration holds. After PROBLEMS_MAX of them it says once that there are more
 * and only counts. Returns 0 or -ENOMEM.
 */
int config_problem(struct config_problems *problems, struct place place, const char *format, ...)
	PRINTF(3, 4);

enum { PROBLEMS_MAX = 1000 };

/*
 * Adds that a name is none of the n names, which one was probably meant and, where that is not
 * clear, all that are known: subject "name" is unknown; …. Returns 0 or -ENOMEM.
 */
int config_problem_name(struct config_problems *problems, struct place place, const char *subject,
			const char *name, const char *const *names, size_t n);
