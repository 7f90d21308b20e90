/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the service manager is told of a configuration: a socket unit (systemd.socket(5)) for each
 * listener, and a drop-in of the service that asks for them.
 */

#include <stdio.h>

#include "config.h"

/* A file for the service manager. */
struct socket_unit {
	char *name;				/* of the file; owned */
	char *text;				/* owned */
	const struct listener_config *listener; /* part of the configuration */
	struct endpoint *endpoints;		/* n_endpoints of them; owned */
	size_t n_endpoints;
};

/* Zero-initialised there are none. They refer to the configuration that they were made of. */
struct socket_units {
	struct socket_unit *units;
	size_t n;
};

/* Whose sockets they are. Owns nothing. */
struct socket_units_setup {
	const char *service;   /* "retortd": the service without ".service" */
	const char *prefix;    /* "retortd-": what goes before a listener's name, */
	const char *at;	       /* and what behind it: "", or of an instance "@NAME" */
	const char *target;    /* what stands between the service and its sockets */
	const char *directory; /* where relative paths of Unix sockets lie */
	const char *source;    /* the configuration file; NULL: what is built in */
};

/*
 * Writes the unit of every listener, so that the service manager opens what the daemon itself would
 * open. An address that the manager cannot open, or that an earlier listener has, is left out, and
 * problems say which, with file and line; a listener that has none left gets no unit. Host names
 * are resolved, in whatever way getaddrinfo(3) does it here. Returns 0 or -ENOMEM.
 */
int socket_units_make(const struct config *config, const struct socket_units_setup *setup,
		      struct socket_units *ret_units, struct config_problems *problems);

/*
 * Writes the drop-in that has the service start these sockets and take them over. Returns 0 with
 * *ret_text malloc()ed, or -ENOMEM.
 */
int socket_units_drop_in(const struct socket_units *units, char **ret_text);

void socket_units_done(struct socket_units *units);
