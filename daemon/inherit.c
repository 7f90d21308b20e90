/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inherit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <systemd/sd-daemon.h>

#include "log.h"
#include "util.h"

/* Finds out what an inherited descriptor is. Returns 0 or a negative errno. */
static int examine(int fd, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = {.len = sizeof(endpoint.socket)};
	int type, only_v6 = 1, flags;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&endpoint.socket, &endpoint.len) < 0)
		return -errno;
	if (type == SOCK_STREAM && sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
		return -EINVAL;

	if (endpoint.socket.ss_family == AF_UNIX && type == SOCK_STREAM)
		endpoint.transport = TRANSPORT_UNIX;
	else if (endpoint.socket.ss_family != AF_INET && endpoint.socket.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	else if (type == SOCK_STREAM)
		endpoint.transport = TRANSPORT_TCP;
	else if (type == SOCK_DGRAM)
		endpoint.transport = TRANSPORT_UDP;
	else
		return -ESOCKTNOSUPPORT;

	len = sizeof(only_v6);
	if (endpoint.socket.ss_family == AF_INET6)
		(void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &len);
	endpoint.dual_stack = !only_v6;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	*ret_endpoint = endpoint;
	return 0;
}

/* Keeps what the last process has stored. Returns whether it is that. */
static bool keep_stored(struct handover_stored *stored, const char *name, int fd)
{
	if (strcmp(name, HANDOVER_CLIENTS) == 0) {
		stored->clients[stored->n_clients++] = fd;
		return true;
	}
	if (strncmp(name, HANDOVER_SAFE, strlen(HANDOVER_SAFE)) == 0) {
		stored->safe[stored->n_safe++] = (struct handover_pair){fd, strdup(name)};
		return true;
	}
	if (strcmp(name, HANDOVER_LEDGER) == 0) {
		closep(&stored->ledger);
		stored->ledger = fd;
		return true;
	}
	if (strcmp(name, HANDOVER_STATE) != 0)
		return false;
	stored->doubled = stored->state >= 0;
	closep(&stored->state);
	stored->state = fd;
	return true;
}

/* Finds out by its name whose a socket is, and whether the last process has stored it. */
static void read_name(struct inherited_socket *socket)
{
	const char *number = socket->name + strlen(HANDOVER_SOCKET), *end;

	socket->listener = socket->name;
	socket->own = strncmp(socket->name, HANDOVER_SOCKET, strlen(HANDOVER_SOCKET)) == 0;
	if (!socket->own)
		return;
	end = strchr(number, '-');
	socket->listener = end ? end + 1 : number;
}

int inherit(struct inherited *ret_inherited)
{
	CLEANUP(freep) char **names = NULL;
	struct inherited inherited = {.stored.state = -1, .stored.ledger = -1};
	int n = sd_listen_fds_with_names(true, &names);

	*ret_inherited = inherited;
	if (n <= 0)
		return n;
	inherited.sockets = calloc((size_t)n, sizeof(*inherited.sockets));
	inherited.stored.clients = calloc((size_t)n, sizeof(*inherited.stored.clients));
	inherited.stored.safe = calloc((size_t)n, sizeof(*inherited.stored.safe));
	if (!inherited.sockets || !inherited.stored.clients || !inherited.stored.safe)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		struct inherited_socket *socket = &inherited.sockets[inherited.n];
		int fd = SD_LISTEN_FDS_START + i, r;

		/* First: what is stored is never listened on, while a listener may be named so. */
		r = examine(fd, &socket->endpoint);
		if (r < 0 && keep_stored(&inherited.stored, names[i], fd)) {
			free(names[i]);
			continue;
		}
		if (r < 0) {
			log_write(LOG_NOT_INHERITED, NULL,
				  "inherited descriptor %i (%s) is no socket to listen on: %s, "
				  "closing it",
				  fd, names[i], strerror(-r));
			(void)close(fd);
			free(names[i]);
			continue;
		}
		socket->fd = fd;
		socket->name = names[i];
		read_name(socket);
		inherited.n++;
	}
	*ret_inherited = inherited;
	return 0;
}

/* The same endpoint at whichever port. */
static struct endpoint without_port(const struct endpoint *endpoint)
{
	struct endpoint any = *endpoint;

	if (any.socket.ss_family == AF_INET)
		((struct sockaddr_in *)&any.socket)->sin_port = 0;
	else if (any.socket.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&any.socket)->sin6_port = 0;
	return any;
}

bool inherited_serves(const struct inherited_socket *socket, const char *listener,
		      const struct endpoint *endpoint)
{
	const struct endpoint any = without_port(&socket->endpoint);

	if (socket->fd < 0)
		return false;
	return endpoint_equal(&socket->endpoint, endpoint) ||
	       (socket->own && strcmp(socket->listener, listener) == 0 &&
		endpoint_equal(&any, endpoint));
}

/*
 * Whether a socket is bound where it is wanted. To a service without a network, "*" seems to be of
 * IPv4 alone.
 */
static bool is_bound_at(const struct endpoint *bound, const struct endpoint *wanted)
{
	if (bound->transport != wanted->transport)
		return false;
	if (endpoint_equal(bound, wanted))
		return true;
	return wanted->transport != TRANSPORT_UNIX &&
	       (endpoint_port(wanted) == 0 ||
		(endpoint_port(bound) == endpoint_port(wanted) && endpoint_is_wildcard(bound) &&
		 endpoint_is_wildcard(wanted)));
}

bool inherited_is_at(const struct inherited *inherited, const char *name,
		     const struct address *address)
{
	CLEANUP(freep) char *directory = runtime_directory();
	CLEANUP(freep) struct endpoint *wanted = NULL;
	const char *problem;
	size_t n = 0;

	if ((address_is_relative(address) && !directory) ||
	    address_resolve(address, true, directory, &wanted, &n, &problem) < 0)
		return true;
	for (size_t i = 0; i < inherited->n; i++)
		for (size_t j = 0; j < n; j++)
			if (strcmp(inherited->sockets[i].name, name) == 0 &&
			    is_bound_at(&inherited->sockets[i].endpoint, &wanted[j]))
				return true;
	return false;
}

/* Finds the Unix socket at this path, unless it is taken; NULL: there is none. */
static struct inherited_socket *find_path(const struct inherited *inherited, const char *path)
{
	for (size_t i = 0; i < inherited->n; i++) {
		struct inherited_socket *socket = &inherited->sockets[i];
		const struct sockaddr_un *address =
			(const struct sockaddr_un *)&socket->endpoint.socket;

		if (socket->fd >= 0 && socket->endpoint.transport == TRANSPORT_UNIX &&
		    strncmp(address->sun_path, path, sizeof(address->sun_path)) == 0)
			return socket;
	}
	return NULL;
}

bool inherited_has_path(const struct inherited *inherited, const char *path)
{
	return find_path(inherited, path);
}

void inherited_drop_path(struct inherited *inherited, const char *path)
{
	struct inherited_socket *socket = find_path(inherited, path);

	if (socket) {
		closep(&socket->fd);
		socket->fd = -1;
	}
}

static void log_dropped(const struct inherited_socket *socket)
{
	char text[ADDRESS_TEXT_MAX];

	log_write(LOG_NOT_LISTENING, &(struct log_about){.listener = socket->listener},
		  "not listening any more on %s", endpoint_format(&socket->endpoint, text));
}

void inherited_drop(struct inherited_socket *socket)
{
	log_dropped(socket);
	handover_forget(socket->name);
	closep(&socket->fd);
	socket->fd = -1;
}

void inherited_done(struct inherited *inherited)
{
	for (size_t i = 0; i < inherited->n; i++) {
		struct inherited_socket *socket = &inherited->sockets[i];
		char text[ADDRESS_TEXT_MAX];

		if (socket->fd >= 0 && socket->own)
			log_dropped(socket);
		else if (socket->fd >= 0)
			log_write(
				LOG_NOT_INHERITED, NULL,
				"inherited socket \"%s\" (%s) belongs to no listener: neither its "
				"name nor its address is in the configuration, closing it",
				socket->name, endpoint_format(&socket->endpoint, text));
		closep(&socket->fd);
		free(socket->name);
	}
	free(inherited->sockets);
	handover_stored_done(&inherited->stored);
	*inherited = (struct inherited){.stored.state = -1, .stored.ledger = -1};
}
