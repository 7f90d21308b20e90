/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How connections outlive the process: their descriptors and a record of what they are wait in the
 * service manager's store (sd_pid_notify_with_fds(3), FDSTORE=1) for the next process.
 *
 * A manager compares whatever it is to store with all that it holds, so thousands of descriptors
 * are given to it inside of a few: queued, as SCM_RIGHTS (unix(7)), in socket pairs of which it
 * gets the end to read from. The record is a sealed memfd(2). For the main thread.
 */

#include <stddef.h>

#include "record.h"

/* What is in the store goes by these names. */
#define HANDOVER_STATE	 "retort-state"
#define HANDOVER_CLIENTS "retort-clients"
#define HANDOVER_SOCKET	 "retort-socket-" /* and a number, "-", and whose listener's it was */
/* Likewise, of what is there all the time: see vault.h. */
#define HANDOVER_LEDGER "retort-ledger"
#define HANDOVER_SAFE	"retort-safe-" /* and a number */

/*
 * How many descriptors the service manager keeps for us, by $FDSTORE; 0 when there is no manager,
 * or when it keeps none. See systemd.exec(5).
 */
unsigned long handover_room(void);

/* An end of a socket pair, and what it was stored as. */
struct handover_pair {
	int fd;	    /* owned */
	char *name; /* owned */
};

/* Descriptors that are for the store, or came from there, by what they are stored as. */
struct handover_stored {
	int state;    /* -1: none; owned */
	int *clients; /* ends of socket pairs; owned, each of them and the array */
	size_t n_clients;
	bool doubled;		    /* more than one state */
	int ledger;		    /* -1: none; owned */
	struct handover_pair *safe; /* owned */
	size_t n_safe;
};

/* Closes what was not taken. */
void handover_stored_done(struct handover_stored *stored);

/*
 * Packs a record and the connections that it is of, in its order, as they are stored. Returns 0 or
 * a negative errno; both are borrowed.
 */
int handover_pack(const struct record *state, const int *clients, size_t n_clients,
		  struct handover_stored *ret_stored);

/* A socket that this process has opened to listen on, to be kept beside the connections. */
struct handover_socket {
	const char *listener;
	int fd; /* borrowed */
};

/*
 * Gives all to the service manager, and waits until it has it. Returns 0 or a negative errno; the
 * manager may then hold a part, which the next process refuses. All are borrowed.
 */
int handover_give(const struct record *state, const int *clients, size_t n_clients,
		  const struct handover_socket *sockets, size_t n_sockets);

/* What the last process has left. */
struct handover {
	struct record_reader state;
	int *clients; /* in the order of the record; owned, each that is not -1 and the array */
	size_t n_clients;
	uint64_t n_lost; /* connections that were closed, as it cannot be used */
	void *mapping;	 /* what state reads; owned */
	size_t size;
};

enum { HANDOVER_PROBLEM_MAX = 160 };

/*
 * Unpacks what was stored, which is used up. Returns 0; -ENOENT when there was nothing; or another
 * negative errno when it cannot be used, with why in problem: all of it has been closed then, and
 * ret_handover says only how many connections that were.
 */
int handover_take(struct handover_stored *stored, struct handover *ret_handover,
		  char problem[static HANDOVER_PROBLEM_MAX]);

/* Closes what is left of it. */
void handover_done(struct handover *handover);

/* Has the manager store descriptors under a name. Returns 0 or a negative errno. */
int handover_store(const char *name, const int *fds, size_t n);

/* Has the manager drop what it stores under a name. */
void handover_forget(const char *name);

/* Waits until the manager has dropped what it was told to. */
void handover_await_forgotten(void);

enum { HANDOVER_FDS_MAX = 253 }; /* descriptors that the kernel passes at a time (SCM_MAX_FD) */

/*
 * Queues n descriptors in a socket pair, with labels that say what they are. Returns 0; -EAGAIN
 * when it is full; or another negative errno.
 */
int handover_send(int pair, const int *fds, size_t n, const void *labels, size_t size);

/* One message out of the queue. */
struct handover_message {
	int fds[HANDOVER_FDS_MAX]; /* the caller's, from then on */
	size_t n;
	size_t len; /* bytes of labels that came */
	bool cut;   /* there was no descriptor left for some of them */
};

/* Returns 1; 0 when there is none any more; or a negative errno. */
int handover_receive(int pair, struct handover_message *ret_message, void *labels, size_t size);

/* Raises the limit of open files as far as it goes. */
void handover_raise_files(void);
