/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"

#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "log.h"
#include "util.h"

struct generation *generation_new(struct config *config)
{
	struct generation *generation = malloc(sizeof(*generation));

	if (!generation) {
		config_free(config);
		return NULL;
	}
	*generation = (struct generation){config, 1};
	return generation;
}

struct generation *generation_ref(struct generation *generation)
{
	generation->references++;
	return generation;
}

struct generation *generation_unref(struct generation *generation)
{
	if (generation && --generation->references == 0) {
		config_free(generation->config);
		free(generation);
	}
	return NULL;
}

struct listener *listener_new(struct generation *generation, const struct listener_config *config,
			      unsigned n_threads)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	size_t size = n_threads * sizeof(*listener->counters);

	if (!listener)
		return NULL;
	list_init(&listener->link);
	list_init(&listener->sockets);
	listener->name = strdup(config->name);
	listener->counters = aligned_alloc(_Alignof(struct counters), size);
	if (!listener->name || !listener->counters) {
		listener_free(listener);
		return NULL;
	}
	memset(listener->counters, 0, size);
	for (unsigned i = 0; i < n_threads; i++)
		listener->counters[i].listener = listener->name;
	listener->n_threads = n_threads;
	listener_configure(listener, generation, config);
	return listener;
}

void listener_configure(struct listener *listener, struct generation *generation,
			const struct listener_config *config)
{
	struct generation *former = listener->generation;

	listener->generation = generation_ref(generation);
	listener->config = config;
	(void)generation_unref(former);
}

void listener_free(struct listener *listener)
{
	struct listening *listening;

	if (!listener)
		return;
	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		listening_free(listening);
	list_remove(&listener->link);
	quota_done(&listener->quota);
	(void)generation_unref(listener->generation);
	free(listener->counters);
	free(listener->name);
	free(listener);
}

void listening_free(struct listening *listening)
{
	if (listening->fd >= 0 && !listening->inherited)
		bind_remove(&listening->endpoint);
	list_remove(&listening->link);
	sd_event_source_disable_unref(listening->source);
	closep(&listening->fd);
	free(listening->datagram);
	free(listening);
}

/*
 * Opening
 */

static bool is_stream(enum transport transport)
{
	return transport != TRANSPORT_UDP;
}

/* Adds an open socket; takes fd over in any case. Returns 0 or -ENOMEM. */
static int add(struct listener *listener, int fd, const struct endpoint *endpoint, bool inherited,
	       struct list *sockets)
{
	struct listening *listening = calloc(1, sizeof(*listening));

	if (!listening) {
		closep(&fd);
		return -ENOMEM;
	}
	*listening = (struct listening){.listener = listener,
					.endpoint = *endpoint,
					.fd = fd,
					.inherited = inherited,
					.wanted = true};
	/* A port that the kernel has chosen is known only now. */
	if (endpoint->transport != TRANSPORT_UNIX)
		(void)getsockname(fd, (struct sockaddr *)&listening->endpoint.socket,
				  &listening->endpoint.len);
	list_append(sockets, &listening->link);
	return 0;
}

static int take_inherited(struct listener *listener, struct inherited_socket *socket,
			  struct list *sockets)
{
	int r = bind_adopt(&socket->endpoint, socket->fd);

	if (r < 0)
		return r;
	return add(listener, STEAL_FD(socket->fd), &socket->endpoint, true, sockets);
}

/* Takes the sockets that bear the listener's name; tells which kinds of socket they were. */
static int take_named(struct listener *listener, struct inherited *inherited, struct list *sockets,
		      bool *ret_streams, bool *ret_datagrams)
{
	for (size_t i = 0; i < inherited->n; i++) {
		struct inherited_socket *socket = &inherited->sockets[i];
		int r;

		if (socket->fd < 0 || strcmp(socket->name, listener->name) != 0)
			continue;
		if (is_stream(socket->endpoint.transport))
			*ret_streams = true;
		else
			*ret_datagrams = true;
		r = take_inherited(listener, socket, sockets);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Looks for an inherited socket that is bound to endpoint. Returns 1 when it was taken. */
static int take_bound(struct listener *listener, const struct endpoint *endpoint,
		      struct inherited *inherited, struct list *sockets)
{
	for (size_t i = 0; i < inherited->n; i++) {
		if (!inherited_serves(&inherited->sockets[i], endpoint))
			continue;
		int r = take_inherited(listener, &inherited->sockets[i], sockets);

		return r < 0 ? r : 1;
	}
	return 0;
}

static struct listening *find_socket(const struct list *sockets, const struct endpoint *endpoint)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, sockets, struct listening, link)
		if (endpoint_equal(&listening->endpoint, endpoint))
			return listening;
	return NULL;
}

/* The listener that is bound to endpoint already, or NULL. */
static const char *find_rival(const struct list *others, const struct endpoint *endpoint)
{
	struct listener *other;

	LIST_FOR_EACH(other, others, struct listener, link)
		if (find_socket(&other->sockets, endpoint))
			return other->name;
	return NULL;
}

/*
 * Whether a name may do without this one of its addresses: "localhost" stands for ::1 on hosts
 * that have no IPv6 at all.
 */
static bool is_dispensable(const struct endpoint *endpoint, size_t n_endpoints, int error)
{
	const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&endpoint->socket;

	return n_endpoints > 1 && endpoint->socket.ss_family == AF_INET6 &&
	       (error == -EAFNOSUPPORT ||
		(error == -EADDRNOTAVAIL && IN6_IS_ADDR_LOOPBACK(&address->sin6_addr)));
}

static int get_file(const struct listener_config *config, struct bind_file *ret_file)
{
	struct bind_file file = {config->mode, (uid_t)-1, (gid_t)-1};
	const struct passwd *user;
	const struct group *group;
	char *end;

	if (config->user) {
		user = getpwnam(config->user);
		file.uid = user ? user->pw_uid : (uid_t)strtoul(config->user, &end, 10);
		if (!user && (*end || end == config->user))
			return -ESRCH;
	}
	if (config->group) {
		group = getgrnam(config->group);
		file.gid = group ? group->gr_gid : (gid_t)strtoul(config->group, &end, 10);
		if (!group && (*end || end == config->group))
			return -ESRCH;
	}
	*ret_file = file;
	return 0;
}

static struct log_about about(const struct listener *listener)
{
	return (struct log_about){.listener = listener->name};
}

/* Opens one endpoint. Returns 0 or an exit status; what is wrong has been logged. */
static int open_endpoint(struct listener *listener, const struct listener_config *config,
			 const struct endpoint *endpoint, size_t n_endpoints,
			 const struct list *others, struct list *sockets)
{
	const struct log_about me = about(listener);
	char explanation[BIND_EXPLANATION_MAX], text[ADDRESS_TEXT_MAX];
	const char *rival = find_rival(others, endpoint);
	struct bind_file file;
	int fd, r, status;

	if (rival) {
		log_write(LOG_CANNOT_LISTEN, &me,
			  "cannot bind %s: listener \"%s\" has that address",
			  endpoint_format(endpoint, text), rival);
		return EX_UNAVAILABLE;
	}
	r = get_file(config, &file);
	if (r < 0) {
		log_write(LOG_CANNOT_LISTEN, &me,
			  "user or group is not known to this system any more");
		return EX_CONFIG;
	}
	r = bind_open(endpoint, &file, &fd);
	if (r == 0)
		r = add(listener, fd, endpoint, false, sockets);
	if (r == 0)
		return 0;
	if (is_dispensable(endpoint, n_endpoints, r)) {
		log_write(LOG_NO_FAMILY, &me, "this host has no IPv6, doing without %s",
			  endpoint_format(endpoint, text));
		return 0;
	}
	status = bind_explain(endpoint, r, explanation);
	log_write(LOG_CANNOT_LISTEN, &me, "%s", explanation);
	return status;
}

/* Opens what one address of the configuration stands for. Returns as open_endpoint() does. */
static int open_address(struct listener *listener, const struct listener_config *config,
			const struct address *address, const char *directory,
			struct inherited *inherited, const struct list *others,
			struct list *sockets)
{
	const struct log_about me = about(listener);
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	char text[ADDRESS_TEXT_MAX];
	const char *problem = NULL;
	int status = 0, r;
	size_t n = 0;

	r = address_resolve(address, true, directory, &endpoints, &n, &problem);
	if (r < 0) {
		log_write(LOG_CANNOT_LISTEN, &me, "cannot resolve %s: %s",
			  address_format(address, text), problem ? problem : strerror(-r));
		return EX_UNAVAILABLE;
	}
	for (size_t i = 0; i < n; i++) {
		struct listening *open = find_socket(&listener->sockets, &endpoints[i]);

		if (open) {
			open->wanted = true;
			continue;
		}
		r = take_bound(listener, &endpoints[i], inherited, sockets);
		if (r < 0) {
			log_write(LOG_CANNOT_LISTEN, &me,
				  "cannot use the inherited socket for %s: %s",
				  endpoint_format(&endpoints[i], text), strerror(-r));
			return EX_OSERR;
		}
		if (r == 0)
			r = open_endpoint(listener, config, &endpoints[i], n, others, sockets);
		if (r > 0 && status == 0 && !find_socket(sockets, &endpoints[i]))
			status = r;
	}
	return status;
}

/* The directory of relative Unix sockets, made when it is ours to make. */
static char *make_directory(void)
{
	char *directory = runtime_directory();

	if (directory)
		(void)mkdir(directory, 0755); /* there already, or binding will say what is wrong */
	return directory;
}

static bool is_relative_unix(const struct address *address)
{
	return address->transport == TRANSPORT_UNIX && address->path[0] != '/' &&
	       address->path[0] != '@';
}

int listener_open(struct listener *listener, const struct listener_config *config,
		  struct inherited *inherited, const struct list *others, struct list *ret_sockets)
{
	bool streams = false, datagrams = false;
	struct listening *listening;
	int status = 0, r;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		listening->wanted = false;

	r = take_named(listener, inherited, ret_sockets, &streams, &datagrams);
	if (r < 0) {
		log_write(LOG_CANNOT_LISTEN, &(struct log_about){.listener = listener->name},
			  "cannot use an inherited socket: %s", strerror(-r));
		return EX_OSERR;
	}
	for (size_t i = 0; i < config->n_addresses; i++) {
		const struct address *address = &config->addresses[i];
		CLEANUP(freep) char *directory = NULL;

		/* Sockets that the manager opened in the listener's name stand for all its
		   addresses of their kind, wherever they are bound. */
		if (is_stream(address->transport) ? streams : datagrams)
			continue;
		if (is_relative_unix(address)) {
			directory = make_directory();
			if (!directory) {
				log_write(LOG_CANNOT_LISTEN,
					  &(struct log_about){.listener = listener->name},
					  "no runtime directory for unix:%s: set $XDG_RUNTIME_DIR, "
					  "or give an absolute path",
					  address->path);
				status = EX_UNAVAILABLE;
				continue;
			}
		}
		r = open_address(listener, config, address, directory, inherited, others,
				 ret_sockets);
		if (r > 0 && status == 0)
			status = r;
	}
	return status;
}
