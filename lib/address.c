/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "address.h"

/*
 * Addresses between text, their parts and socket addresses. Parsing is strict, so that a typing
 * error is found where it was made and not when something is connected; each refusal is a static
 * sentence that says what would be right. Only address_resolve() asks the system anything.
 *
 * It opens no socket that it keeps: binding and connecting are the callers'.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

enum {
	HOST_MAX = 253, /* characters of a name in the DNS */
	PORT_DIGITS_MAX = 5,
	UNIX_PATH_SIZE = sizeof(((struct sockaddr_un *)NULL)->sun_path),
};

static const struct {
	const char *prefix;
	enum transport transport;
} schemes[] = {
	{"tcp://", TRANSPORT_TCP},
	{"udp://", TRANSPORT_UDP},
	{"unix:", TRANSPORT_UNIX},
};

static const char *scheme_prefix(enum transport transport)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (schemes[i].transport == transport)
			return schemes[i].prefix;
	return "";
}

/* Says why text has none of the known schemes. */
static const char *scheme_problem(const char *text)
{
	if (!*text)
		return "it is empty; write tcp://HOST:PORT, udp://HOST:PORT or unix:PATH";
	if (strncmp(text, "tls:", 4) == 0)
		return "this version has no TLS; use tcp://HOST:PORT";
	if (strncmp(text, "tcp:", 4) == 0)
		return "two slashes are missing; write tcp://HOST:PORT";
	if (strncmp(text, "udp:", 4) == 0)
		return "two slashes are missing; write udp://HOST:PORT";
	if (*text == '/' || *text == '@')
		return "the transport is missing; write a Unix socket as unix:PATH or unix:@NAME";
	if (strstr(text, "://"))
		return "the transport is unknown; write tcp://HOST:PORT, udp://HOST:PORT or "
		       "unix:PATH";
	return "the transport is missing; write tcp://HOST:PORT, udp://HOST:PORT or unix:PATH";
}

/* Returns NULL when the len bytes at text are an IPv6 address, perhaps with a scope. */
static const char *ipv6_problem(const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	struct in6_addr ip;
	char *scope;

	if (len >= sizeof(copy))
		return "what is in brackets is not an IPv6 address; write, say, [::1]";
	memcpy(copy, text, len);
	copy[len] = '\0';
	scope = strchr(copy, '%');
	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, copy, &ip) != 1)
		return "what is in brackets is not an IPv6 address; write, say, [::1]";
	if (!scope)
		return NULL;
	if (!*scope || scope[strcspn(scope, "%/ \t")] != '\0')
		return "what follows the % is not an interface; write, say, [fe80::1%eth0]";
	for (; *scope; scope++)
		if (!isgraph((unsigned char)*scope))
			return "what follows the % is not an interface; write, say, [fe80::1%eth0]";
	return NULL;
}

/* Returns NULL when the len bytes at text are "*", an IPv4 address or can be a name. */
static const char *host_problem(const char *text, size_t len)
{
	if (len == 0)
		return "the host is missing; write a name, an IP address, or * for every address";
	if (len == 1 && *text == '*')
		return NULL;
	if (memchr(text, ':', len))
		return "an IPv6 address stands in brackets; write, say, tcp://[::1]:9090";
	if (len > HOST_MAX)
		return "the host is too long; a name has at most 253 characters";
	for (size_t i = 0; i < len; i++)
		if (!isascii(text[i]) ||
		    (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i])))
			return "the host has a character that no host has; write a name, an IP "
			       "address, or * for "
			       "every address";
	return NULL;
}

/* Returns the number that text, of digits only, says. */
static unsigned long port_number(const char *text)
{
	return strtoul(text, NULL, 10);
}

/* Returns NULL when text is a port's number. */
static const char *port_problem(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] ||
	    port_number(text) > UINT16_MAX)
		return "the port is not a number from 1 to 65535 (or 0, to listen on any that is "
		       "free)";
	return NULL;
}

static int parse_host_port(const char *text, struct address *address, const char **ret_problem)
{
	CLEANUP(freep) char *host = NULL, *port = NULL;
	const char *end, *problem;

	if (*text == '[') {
		end = strchr(++text, ']');
		problem = !end ? "the bracket is not closed; write, say, tcp://[::1]:9090"
			       : ipv6_problem(text, (size_t)(end - text));
	} else {
		end = strrchr(text, ':');
		problem = host_problem(text, end ? (size_t)(end - text) : strlen(text));
	}
	if (!problem && (!end || end[*end == ']'] != ':'))
		problem = "the port is missing; write HOST:PORT, say localhost:9090";
	if (!problem)
		problem = port_problem(end + (*end == ']') + 1);
	if (problem) {
		*ret_problem = problem;
		return -EINVAL;
	}
	host = strndup(text, (size_t)(end - text));
	/* Without leading zeros, so that each port has one way to be written. */
	if (!host || asprintf(&port, "%lu", port_number(end + (*end == ']') + 1)) < 0)
		return -ENOMEM;
	address->host = STEAL(host);
	address->port = STEAL(port);
	return 0;
}

static int parse_path(const char *path, struct address *address, const char **ret_problem)
{
	const char *problem = NULL;

	if (!*path || strcmp(path, "@") == 0)
		problem = "the path is missing; write unix:PATH or unix:@NAME";
	else if (path[0] == '/' && path[1] == '/' && path[2] != '/')
		problem = "a Unix address has no slashes of its own; write unix:PATH, say "
			  "unix:retort.sock";
	else if (*path != '@' && path[strlen(path) - 1] == '/')
		problem = "the path is a directory's; write unix:PATH, say unix:retort.sock";
	else if (strlen(path) >= (size_t)UNIX_PATH_SIZE + (*path == '@'))
		problem = "the path is too long; a Unix socket's has at most 107 bytes";
	for (const char *c = path; !problem && *c; c++)
		if (iscntrl((unsigned char)*c))
			problem = "the path has a control character; leave it out";
	if (problem) {
		*ret_problem = problem;
		return -EINVAL;
	}
	address->path = strdup(path);
	return address->path ? 0 : -ENOMEM;
}

int address_parse(const char *text, struct address *ret_address, const char **ret_problem)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct address address = {.transport = schemes[i].transport};
		size_t len = strlen(schemes[i].prefix);
		int r;

		if (strncmp(text, schemes[i].prefix, len) != 0)
			continue;
		r = address.transport == TRANSPORT_UNIX
			    ? parse_path(text + len, &address, ret_problem)
			    : parse_host_port(text + len, &address, ret_problem);
		if (r == 0)
			*ret_address = address;
		return r;
	}
	*ret_problem = scheme_problem(text);
	return -EINVAL;
}

bool address_is_relative(const struct address *address)
{
	return address->transport == TRANSPORT_UNIX && address->path[0] != '/' &&
	       address->path[0] != '@';
}

void address_done(struct address *address)
{
	free(address->host);
	free(address->port);
	free(address->path);
	*address = (struct address){0};
}

const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_MAX])
{
	const char *scheme = scheme_prefix(address->transport);

	if (address->transport == TRANSPORT_UNIX)
		(void)snprintf(text, ADDRESS_TEXT_MAX, "%s%s", scheme, address->path);
	else
		(void)snprintf(text, ADDRESS_TEXT_MAX,
			       strchr(address->host, ':') ? "%s[%s]:%s" : "%s%s:%s", scheme,
			       address->host, address->port);
	return text;
}

static int resolve_path(const char *path, const char *directory, struct endpoint *endpoint,
			const char **ret_problem)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&endpoint->socket;
	bool abstract = *path == '@', joined = directory && !abstract && *path != '/';
	size_t prefix = joined ? strlen(directory) + 1 : 0, len = strlen(path);

	if (prefix + len >= (size_t)UNIX_PATH_SIZE + abstract) {
		*ret_problem = "the path is too long; a Unix socket's has at most 107 bytes, "
			       "its directory included";
		return -ENAMETOOLONG;
	}
	*endpoint = (struct endpoint){.transport = TRANSPORT_UNIX};
	un->sun_family = AF_UNIX;
	if (joined) {
		memcpy(un->sun_path, directory, prefix - 1);
		un->sun_path[prefix - 1] = '/';
	}
	memcpy(un->sun_path + prefix, path, len);
	if (abstract)
		un->sun_path[0] = '\0';
	/* In the abstract namespace all bytes count; a path ends with a NUL. */
	endpoint->len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + prefix + len + !abstract);
	return 0;
}

/* The wildcard for listening: IPv6 that takes IPv4 as well, or IPv4 where there is no IPv6. */
static void resolve_wildcard(const struct address *address, struct endpoint *endpoint)
{
	uint16_t port = htons((uint16_t)port_number(address->port));
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*endpoint = (struct endpoint){.transport = address->transport, .dual_stack = fd >= 0};
	if (fd >= 0) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&endpoint->socket;

		closep(&fd);
		*in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
		endpoint->len = sizeof(*in6);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&endpoint->socket;

		*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
		endpoint->len = sizeof(*in);
	}
}

/*
 * Says whether an interface of this machine, the loopback included, has an address of family. The
 * flag AI_ADDRCONFIG does not do: it leaves the loopback out. When in doubt, yes.
 */
static bool family_is_present(int family)
{
	struct ifaddrs *all;
	bool present = false;

	if (getifaddrs(&all) < 0)
		return true;
	for (const struct ifaddrs *i = all; i && !present; i = i->ifa_next)
		present = i->ifa_addr && i->ifa_addr->sa_family == family;
	freeifaddrs(all);
	return present;
}

static bool endpoint_is_among(const struct addrinfo *info, const struct endpoint *endpoints,
			      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (info->ai_addrlen == endpoints[i].len &&
		    memcmp(info->ai_addr, &endpoints[i].socket, info->ai_addrlen) == 0)
			return true;
	return false;
}

/* Copies what getaddrinfo(3) found, without duplicates; family AF_UNSPEC is all of it. */
static size_t collect(const struct addrinfo *infos, enum transport transport, int family,
		      struct endpoint *endpoints)
{
	size_t n = 0;

	for (const struct addrinfo *info = infos; info; info = info->ai_next) {
		if (info->ai_addrlen > sizeof(endpoints->socket) ||
		    (family != AF_UNSPEC && info->ai_family != family) ||
		    endpoint_is_among(info, endpoints, n))
			continue;
		endpoints[n] = (struct endpoint){.transport = transport, .len = info->ai_addrlen};
		memcpy(&endpoints[n].socket, info->ai_addr, info->ai_addrlen);
		n++;
	}
	return n;
}

static int resolve_host(const struct address *address, struct endpoint **ret_endpoints,
			size_t *ret_n, const char **ret_problem)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV,
		.ai_socktype = address->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM,
	};
	const char *host = strcmp(address->host, "*") == 0 ? NULL : address->host;
	struct addrinfo *infos = NULL;
	struct endpoint *endpoints;
	size_t n = 0, families[2] = {0};
	int r, family = AF_UNSPEC;

	r = getaddrinfo(host, address->port, &hints, &infos);
	if (r == EAI_MEMORY)
		return -ENOMEM;
	if (r != 0) {
		*ret_problem = r == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(r);
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *info = infos; info; info = info->ai_next, n++)
		families[info->ai_family == AF_INET6]++;
	if (n == 0) {
		freeaddrinfo(infos);
		*ret_problem = "it has no address";
		return -EHOSTUNREACH;
	}
	if (families[0] > 0 && families[1] > 0) {
		if (!family_is_present(AF_INET6))
			family = AF_INET;
		else if (!family_is_present(AF_INET))
			family = AF_INET6;
	}
	endpoints = calloc(n, sizeof(*endpoints));
	if (endpoints)
		n = collect(infos, address->transport, family, endpoints);
	freeaddrinfo(infos);
	if (!endpoints)
		return -ENOMEM;
	*ret_endpoints = endpoints;
	*ret_n = n;
	return 0;
}

int address_resolve(const struct address *address, bool listening, const char *directory,
		    struct endpoint **ret_endpoints, size_t *ret_n, const char **ret_problem)
{
	CLEANUP(freep) struct endpoint *endpoint = NULL;
	int r = 0;

	if (address->transport != TRANSPORT_UNIX) {
		if (!listening && strcmp(address->port, "0") == 0) {
			*ret_problem = "port 0 is only for listening";
			return -EHOSTUNREACH;
		}
		if (!listening || strcmp(address->host, "*") != 0)
			return resolve_host(address, ret_endpoints, ret_n, ret_problem);
	}
	endpoint = calloc(1, sizeof(*endpoint));
	if (!endpoint)
		return -ENOMEM;
	if (address->transport == TRANSPORT_UNIX)
		r = resolve_path(address->path, directory, endpoint, ret_problem);
	else
		resolve_wildcard(address, endpoint);
	if (r < 0)
		return r;
	*ret_endpoints = STEAL(endpoint);
	*ret_n = 1;
	return 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->socket;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)&b->socket;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->socket;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->socket;

	if (a->transport != b->transport || a->socket.ss_family != b->socket.ss_family)
		return false;
	switch (a->socket.ss_family) {
	case AF_INET:
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	case AF_INET6:
		return a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == b6->sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
	default:
		return a->len == b->len && memcmp(&a->socket, &b->socket, a->len) == 0;
	}
}

bool endpoint_is_wildcard(const struct endpoint *endpoint)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&endpoint->socket;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&endpoint->socket;

	if (endpoint->socket.ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	return endpoint->socket.ss_family == AF_INET && v4->sin_addr.s_addr == INADDR_ANY;
}

uint16_t endpoint_port(const struct endpoint *endpoint)
{
	switch (endpoint->socket.ss_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)&endpoint->socket)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)&endpoint->socket)->sin6_port);
	default:
		return 0;
	}
}

static void format_path(const struct endpoint *endpoint, char *text)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&endpoint->socket;
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t len = endpoint->len > offset ? MIN(endpoint->len - offset, sizeof(un->sun_path)) : 0;
	bool abstract = len > 0 && un->sun_path[0] == '\0';

	if (!abstract)
		len = strnlen(un->sun_path, len);
	text = stpcpy(text, scheme_prefix(TRANSPORT_UNIX));
	for (size_t i = 0; i < len; i++)
		*text++ = iscntrl((unsigned char)un->sun_path[i]) ? '?' : un->sun_path[i];
	*text = '\0';
	if (abstract)
		text[-(ptrdiff_t)len] = '@';
}

/* Turns an IPv4 address that is mapped into IPv6 into what it stands for. */
static void unmap(struct endpoint *endpoint)
{
	const struct sockaddr_in6 in6 = *(const struct sockaddr_in6 *)&endpoint->socket;
	struct sockaddr_in *in = (struct sockaddr_in *)&endpoint->socket;

	if (in6.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return;
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = in6.sin6_port};
	memcpy(&in->sin_addr, &in6.sin6_addr.s6_addr[12], sizeof(in->sin_addr));
	endpoint->len = sizeof(*in);
}

const char *endpoint_format(const struct endpoint *endpoint, char text[static ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE], port[PORT_DIGITS_MAX + 1];
	struct endpoint plain = *endpoint;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&plain.socket;
	const char *scheme = scheme_prefix(endpoint->transport);

	if (endpoint->transport == TRANSPORT_UNIX) {
		format_path(endpoint, text);
		return text;
	}
	unmap(&plain);
	if (getnameinfo((const struct sockaddr *)&plain.socket, plain.len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		(void)snprintf(text, ADDRESS_TEXT_MAX, "%s?:?", scheme);
	else if (plain.dual_stack && in6->sin6_family == AF_INET6 &&
		 IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		(void)snprintf(text, ADDRESS_TEXT_MAX, "%s*:%s", scheme, port);
	else
		(void)snprintf(text, ADDRESS_TEXT_MAX, strchr(host, ':') ? "%s[%s]:%s" : "%s%s:%s",
			       scheme, host, port);
	return text;
}

char *runtime_directory(void)
{
	const char *directory = getenv("RUNTIME_DIRECTORY");
	char *text;

	/* The service manager separates several directories by colons; the first is the main one.
	 */
	if (directory && *directory && *directory != ':')
		return strndup(directory, strcspn(directory, ":"));
	if (geteuid() == 0)
		return strdup("/run/retort");
	directory = getenv("XDG_RUNTIME_DIR");
	if (!directory || !*directory) {
		errno = ENOENT;
		return NULL;
	}
	if (asprintf(&text, "%s/retort", directory) < 0) {
		errno = ENOMEM;
		return NULL;
	}
	return text;
}
