/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Asks the name service (nsswitch.conf(5)), in a thread of its own, as that may be far away and
 * take its time: by letters, one after the other, of which each is a question and comes back with
 * its answer.
 */

#include "facts.h"
#include "list.h"
#include "mailbox.h"

/* Belongs to the resolver from resolver_ask() until it comes back. */
struct question {
	struct letter letter;
	enum fact_kind kind;
	char *key; /* owned */

	/* The answer: */
	int result;	     /* 0, or a negative errno: nobody can say */
	char *value;	     /* NULL: "no"; owned */
	struct facts listed; /* of ANSWER_LIST; owned */

	/* For those who ask: */
	struct list link;
	struct list waiters;
	bool failed; /* its time is over: nobody waits for it any more */
	bool again;  /* what it is told is too old */
};

struct resolver;

/* NULL when out of memory. */
struct question *question_new(enum fact_kind kind, const char *key);
void question_free(struct question *question);

/* Starts one, whose answers go to this mailbox as letters of this kind. 0 or a negative errno. */
int resolver_new(struct mailbox *answers, uint16_t kind, struct resolver **ret_resolver);

/* Asks. Not again before the answer has come back. */
void resolver_ask(struct resolver *resolver, struct question *question);

/*
 * Ends it. When it is waiting for the name service, its thread is left alone with what it has: it
 * frees all of that and ends by itself, unless the process ends before. Returns whether that is so:
 * then the question is the resolver's for good, and else its owner's again, even if its letter has
 * not been read. NULL is nothing.
 */
bool resolver_free(struct resolver *resolver);
