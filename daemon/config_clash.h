/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses that cannot be listened on at the same time, as far as that is certain beforehand. */

#include "config_problem.h"

/* An address that a listener is to have. Owns nothing. */
struct claim {
	const struct address *address;
	const char *listener; /* its name */
	struct place place;
};

/*
 * Finds each claim that cannot be met because of one before it. No name is resolved for it:
 * whether two names are one address is found when they are bound. Returns 0 or -ENOMEM.
 */
int config_check_clashes(const struct claim *claims, size_t n, struct config_problems *problems);
