/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names that a person could take for each other: UTS #39, Unicode Security Mechanisms, in any
 * letter case. A table of names is searched by both looks of a name, and holds both of each.
 */

#include <stdbool.h>

/* What a name looks like (the skeleton of UTS #39). */
struct looks {
	char *written; /* the looks of the name as it is, their case folded; owned */
	char *folded;  /* the looks of the name with its case folded; owned */
};

/* Returns 0 or -ENOMEM. */
int looks_of(const char *name, struct looks *ret_looks);
void looks_done(struct looks *looks);

/* Whether two names could be taken for each other, in any letter case. */
bool looks_alike(const struct looks *a, const struct looks *b);
