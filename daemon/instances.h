/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which daemons the service manager may start: the one of retortd.conf, and for each
 * retortd@NAME.conf beside it the instance NAME, which has units and places of its own.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

enum {
	INSTANCES_MAX = 1000,
	INSTANCE_NAME_MAX = 23, /* letters, digits, - and _: it is part of a user's name */
};

/* One of them. Owns all. */
struct instance {
	char *at;	 /* "", or of an instance "@NAME" */
	char *file;	 /* its configuration */
	char *service;	 /* its service, without ".service" */
	char *target;	 /* what stands between the service and its sockets */
	char *directory; /* where relative paths of Unix sockets lie */
	char *control;	 /* the control socket's path */
};

/* Zero-initialised there are none. */
struct instances {
	struct instance *all; /* n of them; owned */
	size_t n;
};

/*
 * Finds them: first the one of file, then in the order of their names the instances whose
 * configuration is beside it or, when memory is not NULL, in that directory. Files that look like
 * an instance's but have no right name, or are too many, are problems. Returns 0 or -ENOMEM.
 */
int instances_find(const char *file, const char *memory, struct instances *ret_instances,
		   struct config_problems *problems);

/* Whether it is one of several, and not the one of retortd.conf. */
bool instance_is_named(const struct instance *instance);

void instances_done(struct instances *instances);
