/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_where.h"

/*
 * The places in which a relative Unix path is looked for are those in which retortd makes it. All
 * of them become endpoints: which of them exists is found out by connecting, each time anew.
 */

#include <stdio.h>
#include <string.h>

#include "util.h"

#define SYSTEM_DIRECTORY "/run/retort"

struct places {
	struct endpoint *endpoints;
	size_t n;
};

/* Adds the endpoints that address stands for, with relative Unix paths in directory. */
static int add(struct places *places, const struct address *address, const char *directory,
	       const char **ret_problem)
{
	CLEANUP(freep) struct endpoint *more = NULL;
	struct endpoint *all;
	size_t n;
	int r;

	r = address_resolve(address, false, directory, &more, &n, ret_problem);
	if (r < 0)
		return r;
	all = reallocarray(places->endpoints, places->n + n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all + places->n, more, n * sizeof(*all));
	places->endpoints = all;
	places->n += n;
	return 0;
}

/* Where retortd makes it: where it was told, else the system's, else this user's. */
static int add_runtime(struct places *places, const struct address *address,
		       const char **ret_problem)
{
	const char *told = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
	CLEANUP(freep) char *first = NULL, *of_user = NULL;
	int r = 0;

	/* Of several, which the service manager separates by colons, the first is the main one. */
	if (told && strcspn(told, ":") > 0 && !(first = strndup(told, strcspn(told, ":"))))
		return -ENOMEM;
	if (user && *user && asprintf(&of_user, "%s/retort", user) < 0)
		return -ENOMEM;
	if (first)
		r = add(places, address, first, ret_problem);
	if (r == 0)
		r = add(places, address, SYSTEM_DIRECTORY, ret_problem);
	if (r == 0 && of_user)
		r = add(places, address, of_user, ret_problem);
	return r;
}

int where_resolve(const struct address *address, struct endpoint **ret_endpoints, size_t *ret_n,
		  const char **ret_problem)
{
	struct places places = {0};
	int r = address_is_relative(address) ? add_runtime(&places, address, ret_problem)
					     : add(&places, address, NULL, ret_problem);

	if (r < 0) {
		free(places.endpoints);
		return r;
	}
	*ret_endpoints = places.endpoints;
	*ret_n = places.n;
	return 0;
}

int where_find(const char *text, struct endpoint **ret_endpoints, size_t *ret_n,
	       const char **ret_problem)
{
	CLEANUP(address_done) struct address address = {0};
	int r;

	if (!text)
		text = getenv("RETORT_ADDRESS");
	if (!text || !*text)
		text = DEFAULT_ADDRESS;
	r = address_parse(text, &address, ret_problem);
	if (r < 0)
		return r;
	if (address.transport == TRANSPORT_UDP) {
		*ret_problem = "chat needs a stream; write tcp://HOST:PORT or unix:PATH";
		return -EINVAL;
	}
	r = where_resolve(&address, ret_endpoints, ret_n, ret_problem);
	return r == -ENAMETOOLONG ? -EINVAL : r;
}
