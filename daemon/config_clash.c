/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_clash.h"

/*
 * Each claim is brought into a form in which equal addresses are equal bytes, and then compared
 * with all before it; there are few enough for that. Of wildcards this is known: "*" takes its
 * port on every address, "0.0.0.0" on every IPv4 and "[::]" on every IPv6 address.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util.h"

struct canonical {
	enum transport transport;
	bool v4, v6;		 /* the IP versions it surely takes its port on; neither: a name */
	bool wildcard;		 /* it takes the port on every address of these versions */
	struct in6_addr ip;	 /* of an IP address */
	const char *name, *port; /* owned by the address: a name, or NULL */
	char *path;		 /* unix; owned */
};

/* Drops what does not change a path's meaning: empty and "." components. */
static void simplify(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		bool start = to == path || to[-1] == '/';

		if (*from == '/' && to > path && to[-1] == '/')
			from++;
		else if (start && from[0] == '.' && from[1] == '/')
			from += 2;
		else
			*to++ = *from++;
	}
	*to = '\0';
}

static int canonical_path(const char *path, const char *directory, char **ret_path)
{
	char *whole = NULL;

	if (*path == '@' || *path == '/' || !directory)
		whole = strdup(path);
	else if (asprintf(&whole, "%s/%s", directory, path) < 0)
		whole = NULL;
	if (!whole)
		return -ENOMEM;
	if (*path != '@')
		simplify(whole);
	*ret_path = whole;
	return 0;
}

/* Compares names of hosts, in which case and a final dot do not matter. */
static bool same_name(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	a_len -= a_len > 0 && a[a_len - 1] == '.';
	b_len -= b_len > 0 && b[b_len - 1] == '.';
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static void canonical_host(const char *host, struct canonical *canonical)
{
	struct in_addr ip;

	if (same_name(host, "localhost"))
		host = "127.0.0.1"; /* this at least, of RFC 6761 */
	if (strcmp(host, "*") == 0) {
		canonical->v4 = canonical->v6 = canonical->wildcard = true;
	} else if (inet_pton(AF_INET, host, &ip) == 1) {
		canonical->v4 = true;
		canonical->wildcard = ip.s_addr == INADDR_ANY;
		memcpy(&canonical->ip, &ip, sizeof(ip));
	} else if (inet_pton(AF_INET6, host, &canonical->ip) == 1) {
		canonical->v6 = true;
		canonical->wildcard = IN6_IS_ADDR_UNSPECIFIED(&canonical->ip);
	} else {
		canonical->name = host;
	}
}

static int canonical_address(const struct address *address, const char *directory,
			     struct canonical *canonical)
{
	*canonical = (struct canonical){.transport = address->transport, .port = address->port};
	if (address->transport == TRANSPORT_UNIX)
		return canonical_path(address->path, directory, &canonical->path);
	canonical_host(address->host, canonical);
	return 0;
}

static bool clash(const struct canonical *a, const struct canonical *b)
{
	if (a->transport != b->transport)
		return false;
	if (a->transport == TRANSPORT_UNIX)
		return strcmp(a->path, b->path) == 0;
	if (strcmp(a->port, b->port) != 0 || strcmp(a->port, "0") == 0)
		return false;
	if (a->name && b->name)
		return same_name(a->name, b->name);
	if (a->name || b->name) {
		const struct canonical *other = a->name ? b : a;

		return other->wildcard && other->v4 && other->v6;
	}
	if (!(a->v4 && b->v4) && !(a->v6 && b->v6))
		return false;
	return a->wildcard || b->wildcard || memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

static int say_clash(const struct claim *claim, const struct claim *earlier,
		     struct config_problems *problems)
{
	char text[ADDRESS_TEXT_MAX], earlier_text[ADDRESS_TEXT_MAX];
	CLEANUP(freep) char *where = NULL;

	if (earlier->place.line > 0 &&
	    asprintf(&where, " (%s:%u)", earlier->place.file ? earlier->place.file : "built-in",
		     earlier->place.line) < 0) {
		where = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return config_problem(
		problems, claim->place,
		"%s of listener \"%s\" is taken by %s of listener \"%s\"%s; give each an "
		"address of its own",
		address_format(claim->address, text), claim->listener,
		address_format(earlier->address, earlier_text), earlier->listener,
		where ? where : "");
}

int config_check_clashes(const struct claim *claims, size_t n, struct config_problems *problems)
{
	CLEANUP(freep) char *directory = NULL;
	struct canonical *canonicals;
	size_t n_canonicals = 0;
	int r = 0;

	if (n == 0)
		return 0;
	directory = runtime_directory();
	if (!directory && errno == ENOMEM)
		return -ENOMEM;
	canonicals = calloc(n, sizeof(*canonicals));
	if (!canonicals)
		return -ENOMEM;
	for (; r == 0 && n_canonicals < n; n_canonicals++) {
		size_t i = n_canonicals;

		r = canonical_address(claims[i].address, directory, &canonicals[i]);
		for (size_t j = 0; r == 0 && j < i; j++)
			if (clash(&canonicals[i], &canonicals[j])) {
				r = say_clash(&claims[i], &claims[j], problems);
				break;
			}
	}
	for (size_t i = 0; i < n_canonicals; i++)
		free(canonicals[i].path);
	free(canonicals);
	return r;
}
