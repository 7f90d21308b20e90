/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses that two services are both to have, of which only one can have them at a time. */

#include "socket_units.h"

/* The units of a service. Owns nothing. */
struct claims {
	const struct socket_units *units;
	const char *service; /* without ".service" */
};

/*
 * Finds each address of a service that it cannot have while one of the earlier services runs; of
 * several such services the first is named. Returns 0 or -ENOMEM.
 */
int socket_clashes_find(const struct claims *claims, const struct claims *earlier, size_t n_earlier,
			struct config_problems *problems);
