/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a server is: from what a program or the environment says down to socket addresses. */

#include "address.h"

/* What programs connect to when nothing else is said. */
#define DEFAULT_ADDRESS "unix:chat.sock"

/*
 * Finds the endpoints to try, in this order, to connect to address, as address_resolve() does. A
 * relative Unix path is looked for in $RUNTIME_DIRECTORY, then in the system's and in the user's
 * runtime directory.
 */
int where_resolve(const struct address *address, struct endpoint **ret_endpoints, size_t *ret_n,
		  const char **ret_problem);

/*
 * The same for a stream to text; NULL is $RETORT_ADDRESS, else DEFAULT_ADDRESS.
 * Returns 0 with *ret_endpoints a malloc()ed array of *ret_n; -EINVAL or -EHOSTUNREACH with
 * *ret_problem a static sentence; or -ENOMEM.
 */
int where_find(const char *text, struct endpoint **ret_endpoints, size_t *ret_n,
	       const char **ret_problem);
