/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Known users: those of this system (nsswitch.conf(5)) and those who have spoken here. What the
 * system said is remembered for a while, so that it is not asked for every connection. For one
 * thread, the hub's.
 *
 * Nothing here waits for the name service, which resolvers ask. Whoever is asked something that is
 * not known yet asks them, answers as if it could not be found out, and lacks the answer:
 *
 *	users_begin(users);
 *	name = users_name(users, uid);
 *	if (users_lacks(users)) {
 *		users_wait(users, &waiter);
 *		return;
 *	}
 *
 * Once the answer is there, or nobody waits for it any longer, waiter is given back to be run
 *again, by users_answered() or users_check(), and may then find that it lacks another one.
 */

#include "identity.h"
#include "list.h"
#include "mailbox.h"

struct question;
struct users;

/*
 * Answers come to mailbox as letters of this kind, each a struct question, for users_answered().
 * Returns 0 or a negative errno.
 */
int users_new(struct mailbox *mailbox, uint16_t kind, struct users **ret_users);

/* Never waits for the name service. What waits is forgotten. NULL is nothing. */
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

/* Nothing is lacked yet. */
void users_begin(struct users *users);

/* Whether anything since users_begin() lacks an answer that is on its way. */
bool users_lacks(const struct users *users);

/* Has waiter, which is on no list, wait for what is lacked. It may be taken away at any time. */
void users_wait(struct users *users, struct list *waiter);

/*
 * Whether to make do with what is known: then nothing is asked for, nothing is lacked, what is too
 * old still counts, and else it cannot be found out. Returns whether it was so before.
 */
bool users_make_do(struct users *users, bool make_do);

/* Takes an answer, and puts those who wait for it on list. */
void users_answered(struct users *users, struct question *question, struct list *list);

/* Likewise those who have waited for long enough. To be called about once a second. */
void users_check(struct users *users, struct list *list);

/* Likewise all who wait. */
void users_release(struct users *users, struct list *list);

/* Whether the name service keeps a resolver waiting for so long that nobody waits for it. */
bool users_are_stuck(const struct users *users);
