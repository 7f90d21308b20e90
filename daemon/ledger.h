/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What must be known of every connection should the process be killed: in memory that is shared
 * with nobody, but outlives the process as the service manager has a descriptor of it. No function
 * is called and nothing is flushed when the end comes, so whatever is written here is true at every
 * moment, as long as it is written in the order of the program: an entry is idle only while nothing
 * of its connection is under way.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "peer_name.h"

enum {
	LEDGER_NAME_SIZE = 65, /* of a listener's name and its NUL */
	LEDGER_NICK_SIZE =
		160, /* of a nick, or of a room's name, and its NUL; longer ones are not kept */
};

/* A connection. */
struct ledger_entry {
	_Atomic uint64_t id; /* RETORT_CLIENT; 0: there is none */
	/* Between messages: nothing is unfinished, unsent or unanswered. */
	atomic_bool idle;
	atomic_bool over;      /* it ends with the process: its descriptor is not kept, or it ends
				  anyway */
	atomic_bool elsewhere; /* it is in a room that ends with the process */
	uint8_t service, framing, dialect;
	struct peer_name name;
	char listener[LEDGER_NAME_SIZE];
	/* Of the chat service, "" while there is none: one that counts, and one to be written next,
	   as somebody may be called another name by a connection that is idle. */
	atomic_uchar nick; /* 0 or 1 */
	char nicks[2][LEDGER_NICK_SIZE];
	char user[LEDGER_NICK_SIZE]; /* "" of a guest; written once, before the first nick */
	char room[LEDGER_NICK_SIZE]; /* where plain text is said; "" is nowhere; written when busy
				      */
};

/* A connection's seat in a room. */
struct ledger_seat {
	_Atomic uint64_t id;	 /* of the connection; 0: there is none */
	uint64_t room;		 /* as the store knows it */
	uint64_t order;		 /* ascends by when members came */
	_Atomic uint64_t cursor; /* the last message it has been sent */
};

struct ledger_header {
	uint64_t magic, version;
	uint64_t entry_size, n_entries; /* entries are behind the header */
	uint64_t seat_size, n_seats;	/* and seats behind the entries */
	/* From these numbers on none was ever used; whoever looks there makes memory of them. */
	_Atomic uint64_t unused_entry, unused_seat;
	_Atomic uint64_t last_client; /* the number given last to any connection */
};

struct ledger {
	int fd; /* owned */
	size_t size;
	struct ledger_header *header; /* all of it, mapped */
	struct ledger_entry *entries; /* number 0 is none */
	struct ledger_seat *seats;    /* likewise */
	/* Numbers that are free, which this process alone needs to know. */
	uint32_t *free_entries; /* for the main thread */
	size_t n_free_entries;
	uint32_t unused_entry; /* as in the header */
	pthread_mutex_t lock;  /* of the seats, which are the workers' */
	uint32_t *free_seats;
	size_t n_free_seats, free_seats_size;
	uint32_t unused_seat;
};

/*
 * Makes one for up to n_entries connections. Memory is only used for those there are. Returns 0
 * with *ret_ledger or a negative errno.
 */
int ledger_new(size_t n_entries, struct ledger **ret_ledger);
void ledger_free(struct ledger *ledger);

/*
 * Maps the ledger of a process that was killed, to read it. Takes fd over. Returns 0; -EPROTO when
 * another version has written it; -EBADMSG when it is none; or another negative errno.
 */
int ledger_open(int fd, struct ledger **ret_ledger);

/* Return a number, or 0 when there is none left. An entry is busy. */
uint32_t ledger_take_entry(struct ledger *ledger, uint64_t id);
/* From any thread. */
uint32_t ledger_take_seat(struct ledger *ledger, uint64_t id, uint64_t room, uint64_t cursor,
			  uint64_t order);

/* Give a number back; 0 is nothing. */
void ledger_give_entry(struct ledger *ledger, uint32_t entry);
void ledger_give_seat(struct ledger *ledger, uint32_t seat);

/* Writes a name into an entry that is busy. NULL, and what does not fit, is "". */
void ledger_write_name(char field[static LEDGER_NICK_SIZE], const char *name);

/* Likewise for the nick of any entry: should the end come meanwhile, it is the former one. */
void ledger_write_nick(struct ledger_entry *entry, const char *nick);
const char *ledger_nick(const struct ledger_entry *entry);

/* Has a connection end with the process. From any thread. */
static inline void ledger_give_up(struct ledger_entry *entry)
{
	atomic_store_explicit(&entry->over, true, memory_order_relaxed);
}

/* Says whether a connection is between messages. For entry 0, or without a ledger, does nothing. */
static inline void ledger_set_idle(struct ledger *ledger, uint32_t entry, bool idle)
{
	if (entry == 0)
		return;
	/* A thread that is killed has done all that comes before in its program, and nothing else:
	   only the compiler must not change the order. */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&ledger->entries[entry].idle, idle, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}
