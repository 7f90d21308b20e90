/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A copy of every connection's descriptor with the service manager, from its accept on, so that it
 * outlives even a process that is killed; what is to be known of it is in the ledger.
 *
 * The descriptors are queued in socket pairs, as in a handover. What is queued cannot be taken back
 * one by one; so a pair is given up once most of what is in it is over, and those that are not go
 * into another one. A connection that is over must be shut down, as its copy still holds it open.
 *
 * For the main thread.
 */

#include "handover.h"
#include "ledger.h"

struct vault;

/*
 * Begins to keep what is in ledger, which the vault owns from then on. Returns 0 with *ret_vault,
 * or a negative errno, and then the ledger is freed.
 */
int vault_new(struct ledger *ledger, struct vault **ret_vault);

/* What it keeps; borrowed. */
struct ledger *vault_ledger(const struct vault *vault);

/* Has the manager drop all of it. NULL is nothing. */
void vault_free(struct vault *vault);

/* Keeps a connection's descriptor; whatever goes wrong has it end with the process. */
void vault_keep(struct vault *vault, uint32_t entry, int fd);

/* A connection is over. */
void vault_forget(struct vault *vault, uint32_t entry);

/* What a process that was killed has left. */
struct vault_remains {
	struct ledger *ledger; /* owned */
	int *fds;	       /* of each entry, -1: none; owned, and the array */
	uint64_t n_lost; /* connections that were closed, as they were in the middle of something */
};

/*
 * Takes what is left out of stored, which is used up, and has the manager drop it. Returns 0;
 * -ENOENT when there is nothing; or another negative errno as ledger_open() does, when all
 * connections, ret_remains->n_lost of them, are closed.
 */
int vault_take(struct handover_stored *stored, struct vault_remains *ret_remains);
void vault_remains_done(struct vault_remains *remains);
