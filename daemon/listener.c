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
#include "own_service.h"
#include "paths.h"
#include "util.h"

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

static void free_own_config(struct listener_config *config)
{
	if (!config)
		return;
	free(config->settings.greeting);
	free(config->name);
	free(config);
}

struct listener *listener_new_stand_in(struct generation *generation, const char *name,
				       enum service_kind service, enum dialect_id dialect,
				       unsigned n_threads)
{
	struct listener_config *config = calloc(1, sizeof(*config));
	struct listener *listener = NULL;

	if (!config)
		return NULL;
	config->settings = generation->config->defaults;
	config->settings.service = service;
	config->settings.dialect = dialect;
	config->settings.greeting = strdup("");
	config->name = strdup(name);
	if (config->name && config->settings.greeting)
		listener = listener_new(generation, config, n_threads);
	if (!listener) {
		free_own_config(config);
		return NULL;
	}
	listener->own_config = config;
	listener->gone = true;
	return listener;
}

struct listener *listener_find(const struct list *all, const char *name)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, all, struct listener, link)
		if (!listener->gone && strcmp(listener->name, name) == 0)
			return listener;
	return NULL;
}

void listener_configure(struct listener *listener, struct generation *generation,
			const struct listener_config *config)
{
	struct generation *former = listener->generation;

	listener->generation = generation_ref(generation);
	listener->config = config;
	(void)generation_unref(former);
}

static struct listening *find_socket(const struct list *sockets, const struct endpoint *endpoint)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, sockets, struct listening, link)
		if (endpoint_equal(&listening->endpoint, endpoint))
			return listening;
	return NULL;
}

void listener_each_own(struct listener *listener,
		       void (*each)(struct listening *listening, void *data), void *data)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		if (!listening->inherited)
			each(listening, data);
}

bool listener_own(struct listener *listener, const struct endpoint *endpoint,
		  const struct bind_made *made)
{
	struct listening *listening = find_socket(&listener->sockets, endpoint);

	if (!listening)
		return false;
	if (!listening->inherited)
		listening->made = *made;
	return true;
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
	free_own_config(listener->own_config);
	free(listener->counters);
	free(listener->name);
	free(listener);
}

int listener_out_of_memory(const char *name)
{
	log_write(LOG_OUT_OF_MEMORY, &(struct log_about){.listener = name},
		  "out of memory, it cannot be served");
	return EX_OSERR;
}

void listening_free(struct listening *listening)
{
	if (!listening->inherited)
		bind_remove(&listening->endpoint, &listening->made);
	list_remove(&listening->link);
	sd_event_source_disable_unref(listening->source);
	closep(&listening->fd);
	free(listening->datagram);
	free(listening);
}

/*
 * Opening
 */

/* Adds an open socket; takes fd over unless it fails. made is NULL for one that was opened
   elsewhere. Returns 0 or -ENOMEM. */
static int add(struct listener *listener, int fd, const struct endpoint *endpoint,
	       const struct bind_made *made, bool inherited, struct list *sockets)
{
	struct listening *listening = calloc(1, sizeof(*listening));

	if (!listening)
		return -ENOMEM;
	*listening = (struct listening){.listener = listener,
					.endpoint = *endpoint,
					.fd = fd,
					.inherited = inherited,
					.wanted = true};
	if (made)
		listening->made = *made;
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

	if (r == 0)
		r = add(listener, socket->fd, &socket->endpoint, NULL, !socket->own, sockets);
	if (r == 0)
		socket->fd = -1;
	return r;
}

/* Takes the sockets that the manager has opened in the listener's name; tells which transports they
   were of. */
static int take_named(struct listener *listener, struct inherited *inherited, struct list *sockets,
		      bool taken[static TRANSPORT_UNIX + 1])
{
	for (size_t i = 0; i < inherited->n; i++) {
		struct inherited_socket *socket = &inherited->sockets[i];
		int r;

		if (socket->fd < 0 || socket->own || strcmp(socket->listener, listener->name) != 0)
			continue;
		taken[socket->endpoint.transport] = true;
		r = take_inherited(listener, socket, sockets);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct inherited_socket *find_inherited(struct inherited *inherited, const char *listener,
					       const struct endpoint *endpoint)
{
	for (size_t i = 0; i < inherited->n; i++)
		if (inherited_serves(&inherited->sockets[i], listener, endpoint))
			return &inherited->sockets[i];
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
 * that have no IPv6 at all. A name that has nothing but IPv6 may not.
 */
static bool is_dispensable(const struct endpoint *endpoint, bool has_v4, int error)
{
	const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&endpoint->socket;

	return has_v4 && endpoint->socket.ss_family == AF_INET6 &&
	       (error == -EAFNOSUPPORT ||
		(error == -EADDRNOTAVAIL && IN6_IS_ADDR_LOOPBACK(&address->sin6_addr)));
}

static struct log_about about(const struct listener *listener)
{
	return (struct log_about){.listener = listener->name};
}

/* Finds out how a listener's files are to look. Returns 0 or an exit status, which is logged. */
static int get_file(const struct listener *listener, const struct listener_config *config,
		    struct bind_file *ret_file)
{
	struct bind_file file = {config->mode, (uid_t)-1, (gid_t)-1};
	const struct log_about me = about(listener);
	const struct passwd *user;
	const struct group *group;
	bool known = true;
	char *end;

	if (config->user) {
		user = getpwnam(config->user);
		file.uid = user ? user->pw_uid : (uid_t)strtoul(config->user, &end, 10);
		known = user || (!*end && end > config->user);
	}
	if (known && config->group) {
		group = getgrnam(config->group);
		file.gid = group ? group->gr_gid : (gid_t)strtoul(config->group, &end, 10);
		known = group || (!*end && end > config->group);
	}
	if (!known) {
		log_write(LOG_CANNOT_LISTEN, &me,
			  "user or group is not known to this system any more");
		return EX_CONFIG;
	}
	*ret_file = file;
	return 0;
}

/* Logs why a socket's file cannot be dressed. Returns an exit status. */
static int explain_undressed(const struct listener *listener, const struct listener_config *config,
			     const struct endpoint *endpoint, int error)
{
	const struct log_about me = about(listener);
	char text[ADDRESS_TEXT_MAX];

	(void)endpoint_format(endpoint, text);
	if (error == -ENOENT)
		log_write(LOG_CANNOT_LISTEN, &me,
			  "cannot set the permissions of %s: its file is gone, or another process "
			  "has put its own there",
			  text);
	else if (error != -EPERM || (!config->user && !config->group))
		log_write(LOG_CANNOT_LISTEN, &me, "cannot set the permissions of %s: %s", text,
			  strerror(-error));
	else if (config->user)
		log_write(
			LOG_CANNOT_LISTEN, &me,
			"cannot give %s to user \"%s\": only root may; leave out user = \"%s\", or "
			"start retortd as root",
			text, config->user, config->user);
	else
		log_write(LOG_CANNOT_LISTEN, &me,
			  "cannot give %s to group \"%s\": this user is not in it; leave out "
			  "group = \"%s\", or put the user into the group",
			  text, config->group, config->group);
	return error == -EPERM ? EX_NOPERM : EX_OSERR;
}

/* Makes a bound socket ready and adds it; takes fd over unless it fails. Returns as below. */
static int open_bound(struct listener *listener, const struct listener_config *config,
		      const struct endpoint *endpoint, int fd, const struct bind_made *made,
		      struct list *sockets)
{
	const struct log_about me = about(listener);
	char explanation[BIND_EXPLANATION_MAX];
	struct bind_file file;
	int r, status;

	status = get_file(listener, config, &file);
	if (status != 0)
		return status;
	r = bind_dress(endpoint, made, &file);
	if (r < 0)
		return explain_undressed(listener, config, endpoint, r);
	r = bind_listen(endpoint, fd);
	if (r == 0)
		r = add(listener, fd, endpoint, made, false, sockets);
	if (r == 0)
		return 0;
	status = bind_explain(endpoint, r, explanation);
	log_write(LOG_CANNOT_LISTEN, &me, "%s", explanation);
	return status;
}

/*
 * Logs why an endpoint cannot be bound. Where the service manager opens the sockets and this
 * service has no network, it is the manager that could not. Returns an exit status.
 */
static int explain_unbound(const struct listener *listener, const struct endpoint *endpoint,
			   bool is_managers, int error)
{
	char explanation[BIND_EXPLANATION_MAX], text[ADDRESS_TEXT_MAX], unit[OWN_SERVICE_MAX];
	const struct log_about me = about(listener);
	int status = bind_explain(endpoint, error, explanation);

	if (!is_managers) {
		log_write(LOG_CANNOT_LISTEN, &me, "%s", explanation);
		return status;
	}
	log_write(LOG_CANNOT_LISTEN, &me,
		  "the service manager has not opened %s: 'systemctl status %s' says why; if there "
		  "is no such unit, 'systemctl daemon-reload' makes it",
		  endpoint_format(endpoint, text), own_socket_unit(listener->name, unit));
	return EX_UNAVAILABLE;
}

/* Opens one endpoint. Returns 0 or an exit status; what is wrong has been logged. */
static int open_endpoint(struct listener *listener, const struct listener_config *config,
			 const struct endpoint *endpoint, bool has_v4,
			 const struct inherited *inherited, const struct list *others,
			 struct list *sockets)
{
	const struct log_about me = about(listener);
	const char *rival = find_rival(others, endpoint);
	char text[ADDRESS_TEXT_MAX];
	struct bind_made made;
	bool is_managers;
	int fd, r, status;

	if (rival) {
		log_write(LOG_CANNOT_LISTEN, &me,
			  "cannot bind %s: listener \"%s\" has that address; at a reload it keeps "
			  "it, "
			  "a restart can move it",
			  endpoint_format(endpoint, text), rival);
		return EX_UNAVAILABLE;
	}
	r = bind_open(endpoint, &fd, &made);
	if (r == 0) {
		status = open_bound(listener, config, endpoint, fd, &made, sockets);
		if (status != 0) {
			bind_remove(endpoint, &made);
			closep(&fd);
		}
		return status;
	}
	is_managers = inherited->n > 0 && !bind_has_network();
	if (!is_dispensable(endpoint, has_v4, r))
		return explain_unbound(listener, endpoint, is_managers, r);
	if (!is_managers)
		log_write(LOG_NO_FAMILY, &me, "this host has no IPv6, doing without %s",
			  endpoint_format(endpoint, text));
	return 0;
}

/* Takes the inherited socket of one endpoint, or opens one. Returns as open_endpoint() does. */
static int get_endpoint(struct listener *listener, const struct listener_config *config,
			const struct endpoint *endpoint, bool has_v4, struct inherited *inherited,
			const struct list *others, struct list *sockets)
{
	struct inherited_socket *socket = find_inherited(inherited, listener->name, endpoint);
	const struct log_about me = about(listener);
	char text[ADDRESS_TEXT_MAX];
	int r;

	if (!socket)
		return open_endpoint(listener, config, endpoint, has_v4, inherited, others,
				     sockets);
	r = take_inherited(listener, socket, sockets);
	if (r == 0)
		return 0;
	log_write(LOG_CANNOT_LISTEN, &me, "cannot use the inherited socket for %s: %s",
		  endpoint_format(endpoint, text), strerror(-r));
	return EX_OSERR;
}

/* Opens what one address of the configuration stands for. Returns as open_endpoint() does. */
static int open_address(struct listener *listener, const struct listener_config *config,
			const struct address *address, const char *directory,
			struct inherited *inherited, const struct list *others,
			struct list *sockets)
{
	const struct log_about me = about(listener);
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	const char *problem = NULL;
	char text[ADDRESS_TEXT_MAX];
	bool has_v4 = false;
	int status = 0, r;
	size_t n = 0;

	r = address_resolve(address, true, directory, &endpoints, &n, &problem);
	if (r < 0) {
		log_write(LOG_CANNOT_LISTEN, &me, "cannot resolve %s: %s",
			  address_format(address, text), problem ? problem : strerror(-r));
		return EX_UNAVAILABLE;
	}
	for (size_t i = 0; i < n; i++)
		has_v4 = has_v4 || endpoints[i].socket.ss_family == AF_INET;
	for (size_t i = 0; i < n; i++) {
		struct listening *open = find_socket(&listener->sockets, &endpoints[i]);

		/* Several of its addresses may stand for the same one. */
		if (!open)
			open = find_socket(sockets, &endpoints[i]);
		if (open) {
			open->wanted = true;
			continue;
		}
		r = get_endpoint(listener, config, &endpoints[i], has_v4, inherited, others,
				 sockets);
		if (status == 0)
			status = r;
	}
	return status;
}

/* Marks what serves one address, which is not a Unix socket's, among what was inherited. */
static void want_address(const struct listener_config *config, const struct address *address,
			 struct inherited *inherited)
{
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	const char *problem;
	size_t n = 0;

	if (address_resolve(address, true, NULL, &endpoints, &n, &problem) < 0)
		return; /* what is wrong is said when it is opened */
	for (size_t i = 0; i < n; i++) {
		struct inherited_socket *socket =
			find_inherited(inherited, config->name, &endpoints[i]);

		if (socket)
			socket->wanted = true;
	}
}

void listener_want(const struct listener_config *config, struct inherited *inherited)
{
	for (size_t i = 0; i < config->n_addresses; i++)
		if (config->addresses[i].transport != TRANSPORT_UNIX)
			want_address(config, &config->addresses[i], inherited);
}

/* Says so when the service manager has opened a listener's sockets, but not where it is to be. */
static void warn_of_elsewhere(const struct listener *listener, const struct address *address,
			      const struct inherited *inherited)
{
	const struct log_about me = about(listener);
	char text[ADDRESS_TEXT_MAX], service[OWN_SERVICE_MAX];

	if (!inherited_is_at(inherited, listener->name, address))
		log_write(
			LOG_ELSEWHERE, &me,
			"the service manager has opened sockets for it, but not at %s: 'systemctl "
			"daemon-reload && systemctl restart %s' does it",
			address_format(address, text), own_service(service));
}

int listener_open(struct listener *listener, const struct listener_config *config,
		  struct inherited *inherited, const struct list *others, struct list *ret_sockets)
{
	bool taken[TRANSPORT_UNIX + 1] = {false};
	struct listening *listening;
	int status = 0, r;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		listening->wanted = false;

	r = take_named(listener, inherited, ret_sockets, taken);
	if (r < 0) {
		log_write(LOG_CANNOT_LISTEN, &(struct log_about){.listener = listener->name},
			  "cannot use an inherited socket: %s", strerror(-r));
		return EX_OSERR;
	}
	for (size_t i = 0; i < config->n_addresses; i++) {
		const struct address *address = &config->addresses[i];
		CLEANUP(freep) char *directory = NULL;

		/* Sockets that the manager opened in the listener's name stand for all its
		   addresses of their transport, wherever they are bound. */
		if (taken[address->transport]) {
			warn_of_elsewhere(listener, address, inherited);
			continue;
		}
		if (address_is_relative(address)) {
			/* Where it could not be made, binding will say what is wrong. */
			directory = paths_make_runtime_directory();
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

int listener_dress(struct listener *listener, const struct listener_config *config)
{
	struct listening *listening;
	struct bind_file file;
	int status = get_file(listener, config, &file);

	if (status != 0)
		return status;
	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link) {
		int r;

		if (listening->inherited || !listening->wanted)
			continue;
		r = bind_dress(&listening->endpoint, &listening->made, &file);
		if (r == 0)
			continue;
		r = explain_undressed(listener, config, &listening->endpoint, r);
		if (status == 0)
			status = r;
	}
	return status;
}
