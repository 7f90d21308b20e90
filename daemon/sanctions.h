/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bans and mutes: of a user, a nick, or an address or network. Kept in memory for looking up, and
 * in the store over restarts. Those whose time is over count no more. For one thread, the hub's.
 */

#include <netinet/in.h>
#include <stdbool.h>

#include "store.h"

enum sanction_kind { SANCTION_BAN, SANCTION_MUTE };
enum sanction_what { SANCTION_USER, SANCTION_NICK, SANCTION_ADDRESS };

struct sanction {
	enum sanction_kind kind;
	enum sanction_what what;
	char *target;	   /* a name as name_fold() makes it, an address, or ADDRESS/BITS; owned */
	uint64_t until;	   /* milliseconds since 1970; 0: for ever */
	char *by, *reason; /* owned; "" is none */
};

struct sanctions;

/*
 * Takes up those of the store, which outlives them; NULL: kept in memory only. Returns 0; -ENOMEM;
 * -EBADMSG when the store has what is no sanction; or what the store said.
 */
int sanctions_new(struct store *store, struct sanctions **ret_sanctions);
void sanctions_free(struct sanctions *sanctions);

/* Whom a sanction may hit. */
struct sanctions_subject {
	const char *user; /* NULL: a guest */
	const char *nick;
	const struct in6_addr *ip; /* IPv4 as IPv4-mapped; NULL: none */
};

/*
 * Returns the sanction of this kind that hits subject at the time now, or NULL: that of the user,
 * else of the nick, else of the smallest network. It belongs to sanctions, until one is added or
 * removed.
 */
const struct sanction *sanctions_find(struct sanctions *sanctions, enum sanction_kind kind,
				      const struct sanctions_subject *subject, uint64_t now);

/*
 * Adds one, or replaces that of the same kind and target; writes to the store, in a transaction of
 * its own, and clears away those whose time is over. The target may be written in any way: any
 * letter case, any address of the network. Returns 0; -EINVAL when it is no name, address or
 * network; or what the store said: nothing has changed then. What is given is copied.
 */
int sanctions_add(struct sanctions *sanctions, const struct sanction *sanction);

/* Removes one, likewise. Returns -ENOENT when there is none. */
int sanctions_remove(struct sanctions *sanctions, enum sanction_kind kind, enum sanction_what what,
		     const char *target);

/* Calls each for those in force at now. */
void sanctions_each(struct sanctions *sanctions, uint64_t now,
		    void (*each)(const struct sanction *sanction, void *data), void *data);
