/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How threads talk: letters from many writers to one reader, without a lock, in the order in which
 * each writer posted them. The reader's loop sleeps on the mailbox's descriptor.
 */

#include <stdatomic.h>
#include <stdint.h>

/* Embedded in what is sent. A letter belongs to the mailbox from post to collect. */
struct letter {
	struct letter *next;
	uint16_t kind;	 /* what it is, for its reader */
	uint16_t worker; /* to or from which worker it goes, if its owner says so */
	uint32_t entry;	 /* in the ledger, of a connection; likewise */
};

struct mailbox {
	int fd; /* an eventfd(2), readable when there may be letters; owned */
	_Atomic(struct letter *) newest;
};

/* Returns 0 or a negative errno. */
int mailbox_init(struct mailbox *mailbox);

/* Letters that are gathered to be posted together. Zero-initialised there are none. */
struct letters {
	struct letter *newest, *oldest;
};

/* Adds a letter behind the others. */
void letters_add(struct letters *letters, struct letter *letter);

/* Letters still inside are not freed: collect first. */
void mailbox_done(struct mailbox *mailbox);

/* From any thread. Never fails and never waits. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

/* Likewise, all that were gathered, in their order; none are left. The reader is woken once. */
void mailbox_post_all(struct mailbox *mailbox, struct letters *letters);

/* By the reader: takes all letters, oldest first; NULL when there are none. */
struct letter *mailbox_collect(struct mailbox *mailbox);
