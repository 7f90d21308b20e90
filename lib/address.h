/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Addresses as retort-protocol(7) writes them, for listening and for connecting, and the names of
 * sockets' ends for people.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum transport {
	TRANSPORT_TCP,
	TRANSPORT_UDP,
	TRANSPORT_UNIX,
};

enum { ADDRESS_TEXT_MAX = 272 }; /* bytes for any address as text, with its NUL */

/* An address that was parsed but not resolved. Zero-initialised it is none. */
struct address {
	enum transport transport;
	char *host; /* tcp, udp: a name, an IP address without brackets, or "*"; owned */
	char *port; /* tcp, udp: 1 to 65535, or 0 when listening on any; owned */
	char *path; /* unix: as written; a leading '@' is the abstract namespace; owned */
};

/*
 * Parses text. Returns 0; -ENOMEM; or -EINVAL, with *ret_problem a static sentence that says what
 * is wrong and what would be right.
 */
int address_parse(const char *text, struct address *ret_address, const char **ret_problem);

/* Whether it is a Unix socket's path that lies in a directory which it does not say. */
bool address_is_relative(const struct address *address);

/* Frees what the address owns and empties it. */
void address_done(struct address *address);

/* Writes the address as it would be written in a configuration; returns text. */
const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_MAX]);

/* One socket address that an address stands for. */
struct endpoint {
	enum transport transport;
	bool dual_stack; /* "*": an IPv6 socket that takes IPv4 as well */
	socklen_t len;
	struct sockaddr_storage socket;
};

/*
 * Whether two endpoints are the same address of the same kind, however each was written: padding
 * and flow labels do not count.
 */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Whether it is of all IPv4 or all IPv6 addresses; a Unix socket is of none. */
bool endpoint_is_wildcard(const struct endpoint *endpoint);

/* The port of a TCP or UDP endpoint, in the host's byte order; 0 for a Unix socket. */
uint16_t endpoint_port(const struct endpoint *endpoint);

/*
 * Resolves address into the endpoints it stands for, in the order of getaddrinfo(3), each once. A
 * name's IPv6 addresses are left out on a machine that has no IPv6 address at all, not even ::1,
 * and its IPv4 addresses likewise: nothing could be bound to them.
 * directory is where a relative Unix path lies; NULL is the working directory. For listening, "*"
 * is the IPv6 wildcard with dual_stack (the IPv4 wildcard where the kernel has no IPv6); for
 * connecting it is the loopback address. May block on name service.
 * Returns 0 with *ret_endpoints a malloc()ed array of *ret_n of at least one; -ENOMEM;
 * -EHOSTUNREACH when the name is not known or port 0 is to be connected to, or -ENAMETOOLONG for a
 * Unix path that does not fit: of both *ret_problem says, statically, how.
 */
int address_resolve(const struct address *address, bool listening, const char *directory,
		    struct endpoint **ret_endpoints, size_t *ret_n, const char **ret_problem);

/*
 * Writes a bound or connected socket address as text in the form of the configuration: for the
 * wildcard of a dual_stack endpoint "*", for an IPv4 address mapped into IPv6 that IPv4 address,
 * for a Unix socket without a name "unix:". A control character in a name becomes '?'. Returns
 * text.
 */
const char *endpoint_format(const struct endpoint *endpoint, char text[static ADDRESS_TEXT_MAX]);

/*
 * The runtime directory in which relative Unix sockets lie: $RUNTIME_DIRECTORY, else for root
 * /run/retort, else $XDG_RUNTIME_DIR/retort; NULL when there is none. Malloc()ed; NULL also when
 * out of memory, with errno ENOMEM (else ENOENT).
 */
char *runtime_directory(void);
