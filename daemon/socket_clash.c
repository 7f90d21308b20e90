/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket_clash.h"

#include <stdbool.h>

#include "config_problem.h"

/* Whether the one takes its port on every address of the other's kind. */
static bool covers(const struct endpoint *all, const struct endpoint *other)
{
	return endpoint_is_wildcard(all) &&
	       (all->dual_stack || all->socket.ss_family == other->socket.ss_family);
}

static bool clash(const struct endpoint *a, const struct endpoint *b)
{
	if (a->transport != b->transport)
		return false;
	if (a->transport == TRANSPORT_UNIX)
		return endpoint_equal(a, b);
	return endpoint_port(a) == endpoint_port(b) &&
	       (endpoint_equal(a, b) || covers(a, b) || covers(b, a));
}

/* One endpoint of the units that cannot be together with this one. */
struct found {
	const struct socket_unit *unit; /* NULL: none */
	const struct endpoint *endpoint;
};

static struct found find(const struct socket_units *units, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < units->n; i++) {
		const struct socket_unit *unit = &units->units[i];

		for (size_t j = 0; j < unit->n_endpoints; j++)
			if (clash(&unit->endpoints[j], endpoint))
				return (struct found){unit, &unit->endpoints[j]};
	}
	return (struct found){0};
}

/* Holds one endpoint of a unit against the earlier services. Returns 0 or -ENOMEM. */
static int check(const struct claims *claims, const struct socket_unit *unit,
		 const struct endpoint *endpoint, const struct claims *earlier, size_t n_earlier,
		 struct config_problems *problems)
{
	const struct listener_config *listener = unit->listener;
	char text[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < n_earlier; i++) {
		struct found found = find(earlier[i].units, endpoint);

		if (found.unit)
			return config_problem(
				problems, (struct place){listener->file, listener->line},
				"listener \"%s\": %s cannot have %s while %s has %s, for its "
				"listener \"%s\"; give one of them another address, or run only "
				"one at a time",
				listener->name, claims->service, endpoint_format(endpoint, text),
				earlier[i].service, endpoint_format(found.endpoint, other),
				found.unit->listener->name);
	}
	return 0;
}

int socket_clashes_find(const struct claims *claims, const struct claims *earlier, size_t n_earlier,
			struct config_problems *problems)
{
	int r = 0;

	for (size_t i = 0; i < claims->units->n && r == 0; i++) {
		const struct socket_unit *unit = &claims->units->units[i];

		for (size_t j = 0; j < unit->n_endpoints && r == 0; j++)
			r = check(claims, unit, &unit->endpoints[j], earlier, n_earlier, problems);
	}
	return r;
}
