/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is known of users, by what one looks for: a balanced tree and no hash, as strangers choose
 * the names, and none is to make this slow.
 */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum fact_kind {
	ANSWER_UID,   /* a number, and the user's name */
	ANSWER_USER,  /* a user's name, and how the system spells it */
	ANSWER_GROUP, /* a group's name, and its number */
	ANSWER_LIST,  /* no fact: the users that the system lists */
	KNOWN_FOLDED, /* name_fold() of a user's name, and the name */
	KNOWN_LOOKS,  /* how the nick of a user looks, and the user's name */
};

struct fact {
	enum fact_kind kind;
	char *key;
	char *value; /* NULL: there is none */
	bool failed; /* nobody could say */
	time_t until;
};

/* Owns its facts. Zero-initialised, it is empty. */
struct facts {
	void *root; /* tsearch(3) */
	size_t n;
};

/* Returns NULL when there is none. */
struct fact *facts_find(const struct facts *facts, enum fact_kind kind, const char *key);

/* Puts a fact, of which key and value are copied, in the place of what is there. 0 or -ENOMEM. */
int facts_put(struct facts *facts, const struct fact *fact);

/* Adds a user by name and looks, unless it is there. Returns 0 or -ENOMEM. */
int facts_add_user(struct facts *facts, const char *user);

void facts_done(struct facts *facts);
