/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Known users: those of this system (nsswitch.conf(5)) and those who have spoken here. What the
 * system said is remembered for a while, so that it is not asked for every connection. For one
 * thread, the hub's.
 */

#include "identity.h"

struct users;

/* NULL when out of memory. */
struct users *users_new(void);
void users_free(struct users *users);

/* Makes a user known who has spoken here. Returns 0 or -ENOMEM. */
int users_add(struct users *users, const char *user);

/*
 * Returns the user's name; of one that the system does not know, its number as text. Belongs to
 * users, until the next call. NULL when out of memory, and when the name service fails.
 */
const char *users_name(struct users *users, uid_t uid);

/*
 * Returns whether user, with these groups proven, is one of admins: user names, and "@GROUP"s.
 */
bool users_match(struct users *users, const char *user, const struct identity *identity,
		 char *const *admins, size_t n);

/*
 * Whether nick is the name of a known user, or could be taken for it, in any letter case and
 * script. Returns the user's name, which belongs to users until the next call; NULL for nobody; ""
 * when that cannot be found out, and nobody may have that name.
 */
const char *users_resemble(struct users *users, const char *nick);

/*
 * Whether there is a known user of this name, compared by name_fold(). Returns the user's name,
 * which belongs to users until the next call; NULL for nobody, or when that cannot be found out.
 */
const char *users_find(struct users *users, const char *name);

/* Forgets what the system said, so that it is asked anew. */
void users_forget(struct users *users);
