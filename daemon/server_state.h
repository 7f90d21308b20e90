/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the server share; nobody else includes this. All of it is the main thread's. */

#include <systemd/sd-event.h>

#include "handover.h"
#include "hub.h"
#include "inherit.h"
#include "listeners.h"
#include "peer_handover.h"
#include "report.h"
#include "vault.h"
#include "watchdog.h"

struct server_options;

/*
 * A restart that nobody notices, seen from the main thread: what is served goes to the service
 * manager, and what the last process has left there is taken up.
 *
 *   HANDOVER_NONE ──(asked to stop)──→ SETTLING ──(all that was taken in is answered)──→ PARTING
 *   ──(the hub has written down what it knows, the workers have given all back)──→ OVER
 *
 * When SETTLING takes too long, it goes back to HANDOVER_NONE, and the daemon stops in order.
 */
enum handover_stage { HANDOVER_NONE, HANDOVER_SETTLING, HANDOVER_PARTING, HANDOVER_OVER };

struct server_handover {
	enum handover_stage stage;
	unsigned unsettled; /* workers that have not answered all yet */
	struct list peers;  /* given back by the workers, for the next process */
	uint64_t n_peers;
	bool hub_kept;		/* the hub has written down what it knows */
	sd_event_source *timer; /* while settling; owned */
	uint64_t began;		/* microseconds of CLOCK_MONOTONIC */
	char **reasons; /* why connections end that the last process has begun to end; owned */
	size_t n_reasons;
};

/* What was taken up, until the hub knows of it. */
struct succession {
	bool succeeds; /* there was something */
	uint64_t
		began; /* microseconds of CLOCK_MONOTONIC: when the last process was told to stop */
	uint64_t n;    /* connections that go on */
	uint64_t lost; /* connections that could go on, but for want of memory */
	struct hub_past past; /* what it reads lies in handover */
	struct handover handover;
	struct vault_remains remains; /* of a process that was killed */
};
void succession_done(struct succession *succession);

struct server {
	/* A config_loader, for a reload. */
	int (*load)(struct config **ret_config, struct config_problems *problems);

	const struct server_options *options; /* borrowed */
	struct generation *generation;	      /* what is served; a reference */
	struct generation *outgoing;	      /* what workers may still refer to; a reference */
	sd_event *event;
	struct mailbox mailbox;
	struct crew crew;
	struct door door;
	struct watchdog watchdog;
	struct listeners listeners;
	unsigned updates_due; /* workers that have not taken the new settings yet */
	bool reload_due;      /* another reload was asked for meanwhile */
	bool stopping;
	bool failed;	   /* a worker, which gives nothing back */
	uint64_t messages; /* when the status was last told */
	uint64_t rate;	   /* messages a second, by then */
	uint64_t started;  /* microseconds of CLOCK_MONOTONIC */
	uint64_t since;	   /* the same moment in milliseconds since 1970 */
	struct report_restart restart;
	struct hub *hub;
	struct listener_config control;
	struct server_handover handover;
	struct ledger *ledger;	    /* which workers keep; owned until the vault has it */
	bool has_store;		    /* the hub has it */
	struct errand *reloads;	    /* whoever asked for the reload that is under way */
	struct errand *reloads_due; /* whoever asked for the next one */
};

/* server.c */

enum { SERVER_STOP_MARGIN = 2000 }; /* milliseconds that an end takes beside waiting for clients */

/* Of CLOCK_MONOTONIC. */
uint64_t server_microseconds(void);
/* Stops in order: nobody new comes in, and who is there is told and answered. */
void server_drain(struct server *server);

/* server_reload.c: by which configuration it is served */

/*
 * Opens the log of rooms for what config asks, unless it is open or nobody talks here. Returns 0
 * with *ret_store, which may be NULL, or an exit status of sysexits.h; what is wrong has been
 * logged.
 */
int server_open_store(struct server *server, const struct config *config, struct store **ret_store);
/* Loads the configuration anew and goes by it, all or nothing. */
void server_reload(struct server *server);
/* A worker or the hub has taken the new settings. */
void server_updated(struct server *server);
/* Tells those who asked for a reload how it went; error is NULL when well. */
void server_tell_reloaded(struct server *server, const char *error);

/* server_errand.c: what administrators ask by the control socket */

void server_do_errand(struct server *server, struct errand *errand);

/* server_handover.c: from one process to the next */

/*
 * Starts to hand over, if the service manager keeps what is given to it and a next process would
 * start; why not is logged. Returns whether it does.
 */
bool server_hand_over(struct server *server);

/* A worker has answered all; has given a peer back; the hub has written down what it knows. */
void server_settled(struct server *server);
void server_peer_kept(struct server *server, struct peer *peer);
void server_hub_kept(struct server *server);

/*
 * Gives all to the service manager and ends the loop, once the hub has written down what it knows
 * and no worker has a connection any more: the last of them may well be one that is over.
 */
void server_part(struct server *server);

/* Frees what has been handed over, when no worker runs any more. */
void server_handover_done(struct server *server);

/*
 * Takes up what the last process has left: the workers go on with its connections. Listeners are
 * open, and the hub is about to start. What cannot be taken up is closed, and why is logged.
 */
void server_succeed(struct server *server, struct inherited *inherited,
		    struct succession *ret_succession);

/* The hub has started, and all is served: says so to the log, and frees what it is about. */
void server_succeeded(struct server *server, struct succession *succession);

/* A connection that has come, and what is to be found out about it. */
struct arrival {
	struct peer *peer; /* owned */
	struct peer_origin origin;
};

/*
 * Has a worker go on with a connection, and the hub, too, if it is its affair. Takes arrival over.
 * Returns whether it goes on.
 */
bool server_settle(struct server *server, struct succession *succession, struct arrival *arrival);

/* server_recovery.c: from a process that was killed */

/* Makes the ledger that workers keep, if the configuration asks for it. Returns 0 or an errno. */
int server_make_ledger(struct server *server);

/* Begins to keep connections safe, if there is a ledger; why that cannot be is logged. */
void server_open_vault(struct server *server);

/* Takes up what remains. Returns 0 or -ENOMEM. */
int server_recover(struct server *server, struct succession *succession);
