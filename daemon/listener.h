/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A listener as it runs: its sockets, its settings, and the sums of what it has done. It belongs
 * to the main thread. Workers read its counters' names and, when they are told to, its settings.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "address.h"
#include "bind.h"
#include "config.h"
#include "counters.h"
#include "generation.h"
#include "inherit.h"
#include "list.h"
#include "quota.h"

struct datagram;
struct door;
struct listener;

/* One socket on which a listener listens. */
struct listening {
	struct list link; /* in listener->sockets */
	struct listener *listener;
	struct door *door;	  /* where its connections come in */
	struct endpoint endpoint; /* where it is bound */
	int fd;			  /* owned */
	struct bind_made made;	  /* its file, unless inherited */
	bool inherited;		  /* opened by the service manager: its file is not ours */
	bool wanted;		  /* by the configuration that listener_open() was asked for last */
	bool served;		  /* and that was logged */
	sd_event_source *source;  /* of a stream; owned */
	struct datagram *datagram; /* of a datagram socket; lent to a worker */
	unsigned worker;	   /* which */
};

struct listener {
	struct list link;
	char *name;			      /* owned; outlives every configuration */
	const struct listener_config *config; /* as it is now; part of generation */
	struct generation *generation;	      /* a reference */
	struct counters *counters;	      /* n_threads of them; owned */
	unsigned n_threads;
	struct list sockets;		    /* of struct listening */
	struct quota quota;		    /* clients of each address */
	uint64_t clients;		    /* admitted and not gone yet */
	uint64_t connections;		    /* with those who are only told why they are refused */
	uint64_t reported;		    /* messages, when report_rates() was called last */
	uint64_t rate;			    /* messages a second, by then */
	bool gone;			    /* no longer in the configuration */
	bool permanent;			    /* in no configuration: the control socket */
	struct listener_config *own_config; /* of one that is only there for an end; owned */
};

/* Returns a listener without sockets, or NULL when out of memory. */
struct listener *listener_new(struct generation *generation, const struct listener_config *config,
			      unsigned n_threads);

/*
 * Returns one of a name that is not served any more, for connections that are to end: it is gone,
 * and has the defaults of the configuration. NULL when out of memory.
 */
struct listener *listener_new_stand_in(struct generation *generation, const char *name,
				       enum service_kind service, enum dialect_id dialect,
				       unsigned n_threads);

/* Returns the listener of this name among all that is served, or NULL. */
struct listener *listener_find(const struct list *all, const char *name);

/* Has another configuration from now on. */
void listener_configure(struct listener *listener, struct generation *generation,
			const struct listener_config *config);

/* Calls each for every socket of the listener that this process has opened. */
void listener_each_own(struct listener *listener,
		       void (*each)(struct listening *listening, void *data), void *data);

/*
 * Makes a file the listener's own that the last process had made for a socket there. Returns
 * whether the listener has that socket.
 */
bool listener_own(struct listener *listener, const struct endpoint *endpoint,
		  const struct bind_made *made);

/* Closes its sockets, removing their files, and frees it. NULL is nothing. */
void listener_free(struct listener *listener);

/* Sets wanted of each inherited socket, those at a path aside, that config asks for by address. */
void listener_want(const struct listener_config *config, struct inherited *inherited);

/*
 * Opens every address that config names and that none of the listener's sockets is bound to yet,
 * and appends the new sockets to ret_sockets; those in inherited that fit are taken first. Sets
 * wanted of each socket, old or new, that config asks for. others are all the listeners there are,
 * for an address that one of them has already. What is wrong is logged, all of it. Returns 0, or
 * an exit status of sysexits.h; ret_sockets then has those that could be opened.
 */
int listener_open(struct listener *listener, const struct listener_config *config,
		  struct inherited *inherited, const struct list *others, struct list *ret_sockets);

/*
 * Gives the files of the listener's own Unix sockets that are wanted the owner and permissions of
 * config, as opening them anew would. What is wrong is logged, and the other files are dressed all
 * the same. Returns 0, or an exit status of sysexits.h.
 */
int listener_dress(struct listener *listener, const struct listener_config *config);

/* Logs that a listener cannot be served for want of memory. Returns an exit status. */
int listener_out_of_memory(const char *name);

/* Closes one socket, removing its file if we made it, and frees it. */
void listening_free(struct listening *listening);
