/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the server share; nobody else includes this. All of it is the main thread's. */

#include <systemd/sd-event.h>

#include "hub.h"
#include "listeners.h"
#include "report.h"
#include "watchdog.h"

struct server_options;

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
	bool has_store;		    /* the hub has it */
	struct errand *reloads;	    /* whoever asked for the reload that is under way */
	struct errand *reloads_due; /* whoever asked for the next one */
};

/* server.c */

/* Of CLOCK_MONOTONIC. */
uint64_t server_microseconds(void);

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
