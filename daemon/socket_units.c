/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket_units.h"

/*
 * A listener's name goes into the unit's name as it is: all its characters may stand in one. A
 * unit has one BindIPv6Only= for all its sockets, so a listener that has the IPv6 wildcard as well
 * as "*" gets a second one for the former, with a colon in its name, which no listener's has. The
 * instance goes behind that, where systemd expects it: so "retortd-@NAME.socket.d" holds for all
 * units of an instance. No two names are equal, as a listener's has no @ either.
 *
 * The units are written into memory. Whether all could be is asked of the stream once, at the end.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "config_problem.h"
#include "text.h"
#include "util.h"

/* The addresses that listeners have already. */
struct taken {
	struct endpoint *endpoints; /* owned */
	size_t n;
};

static void taken_done(struct taken *taken)
{
	free(taken->endpoints);
}

static bool is_taken(const struct taken *taken, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < taken->n; i++)
		if (endpoint_equal(&taken->endpoints[i], endpoint))
			return true;
	return false;
}

static int take(struct taken *taken, const struct endpoint *endpoint)
{
	struct endpoint *endpoints =
		reallocarray(taken->endpoints, taken->n + 1, sizeof(*endpoints));

	if (!endpoints)
		return -ENOMEM;
	taken->endpoints = endpoints;
	endpoints[taken->n++] = *endpoint;
	return 0;
}

/*
 * Addresses
 */

static const struct in6_addr *ipv6_of(const struct endpoint *endpoint)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&endpoint->socket;

	return endpoint->socket.ss_family == AF_INET6 ? &v6->sin6_addr : NULL;
}

static bool is_only_ipv6_wildcard(const struct endpoint *endpoint)
{
	return !endpoint->dual_stack && ipv6_of(endpoint) && endpoint_is_wildcard(endpoint);
}

/* Whether an address may come to the host only after its sockets were opened, as by DHCP. */
static bool may_come_later(const struct endpoint *endpoint)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&endpoint->socket;
	const struct in6_addr *v6 = ipv6_of(endpoint);

	if (endpoint->socket.ss_family == AF_INET)
		return v4->sin_addr.s_addr != INADDR_ANY &&
		       ntohl(v4->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
	return v6 && !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_LOOPBACK(v6);
}

/* Why the service manager cannot be told of a path; NULL when it can. */
static const char *path_problem(const char *path)
{
	const size_t len = strlen(path);

	if (text_valid_prefix((const uint8_t *)path, len) < len)
		return "a unit file holds nothing but UTF-8";
	if (path[len - 1] == ' ' || path[len - 1] == '\\')
		return "in a unit file, a line cannot end with a space or a backslash";
	return NULL;
}

/* Why the service manager cannot open an address; NULL when it can. */
static const char *problem_of(const struct address *address, const struct endpoint *endpoint)
{
	if (address->transport == TRANSPORT_UNIX)
		return path_problem(address->path);
	return endpoint_port(endpoint) == 0 ? "it opens no port that is yet to be chosen; write a "
					      "port from 1 to 65535"
					    : NULL;
}

static int say_left_out(const struct listener_config *listener, const struct address *address,
			const char *why, struct config_problems *problems)
{
	const struct place place = {listener->file, listener->line};
	char text[ADDRESS_TEXT_MAX];

	return config_problem(problems, place,
			      "listener \"%s\": the service manager cannot open %s: %s",
			      listener->name, address_format(address, text), why);
}

/* Adds what one address stands for to endpoints. Returns 0 or -ENOMEM. */
static int add_address(const struct listener_config *listener, const struct address *address,
		       const char *directory, struct taken *taken, struct taken *endpoints,
		       struct config_problems *problems)
{
	CLEANUP(freep) struct endpoint *found = NULL;
	const char *problem = NULL;
	size_t n = 0;
	int r;

	r = address_resolve(address, true, directory, &found, &n, &problem);
	if (r == -ENOMEM)
		return r;
	if (r == -EHOSTUNREACH)
		problem =
			"there is no network yet when it does, and the name is not in /etc/hosts; "
			"write it there, or an IP address or * here";
	for (size_t i = 0; r == 0 && i < n && !problem; i++) {
		problem = problem_of(address, &found[i]);
		if (problem || is_taken(endpoints, &found[i]))
			continue;
		if (is_taken(taken, &found[i])) {
			problem = "another listener has it";
			continue;
		}
		r = take(taken, &found[i]);
		if (r == 0)
			r = take(endpoints, &found[i]);
	}
	return problem ? say_left_out(listener, address, problem, problems) : r;
}

/*
 * Text
 */

/* Writes a value as it is: % begins a specifier of systemd.unit(5), %% is the character. */
static void print_literally(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)fprintf(out, text[i] == '%' ? "%%%%" : "%c", text[i]);
}

static void print_setting(FILE *out, const char *name, const char *value)
{
	(void)fprintf(out, "%s=", name);
	print_literally(out, value, strlen(value));
	(void)fputc('\n', out);
}

static void print_path(FILE *out, const struct endpoint *endpoint)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&endpoint->socket;
	const size_t len = endpoint->len - offsetof(struct sockaddr_un, sun_path);

	if (un->sun_path[0]) {
		print_literally(out, un->sun_path, strnlen(un->sun_path, len));
	} else {
		(void)fputc('@', out);
		print_literally(out, un->sun_path + 1, len - 1);
	}
}

static void print_host_port(FILE *out, const struct endpoint *endpoint)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&endpoint->socket;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&endpoint->socket;
	char host[INET6_ADDRSTRLEN] = "", device[IF_NAMESIZE];

	if (!ipv6_of(endpoint)) {
		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)); /* always fits */
		(void)fprintf(out, "%s:%u", host, endpoint_port(endpoint));
		return;
	}
	(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)); /* likewise */
	(void)fprintf(out, "[%s]:%u", host, endpoint_port(endpoint));
	if (v6->sin6_scope_id > 0 && if_indextoname(v6->sin6_scope_id, device)) {
		(void)fputs("%%", out);
		print_literally(out, device, strlen(device));
	}
}

static void print_endpoint(FILE *out, const struct endpoint *endpoint)
{
	(void)fputs(endpoint->transport == TRANSPORT_UDP ? "ListenDatagram=" : "ListenStream=",
		    out);
	if (endpoint->transport == TRANSPORT_UNIX)
		print_path(out, endpoint);
	else
		print_host_port(out, endpoint);
	(void)fputc('\n', out);
}

static void print_heading(FILE *out, const struct listener_config *listener,
			  const struct socket_units_setup *setup)
{
	(void)fprintf(out,
		      "# Made by retortd-generator(8) of %s: do not edit this, but that.\n"
		      "\n"
		      "[Unit]\n"
		      "Description=Listener \"%s\" of %s\n"
		      "Documentation=man:retortd-generator(8) man:retortd.conf(5)\n",
		      setup->source ? setup->source : "what is built into retortd", listener->name,
		      setup->service);
	if (setup->source)
		print_setting(out, "SourcePath", setup->source);
	/* It ends with the service, but not when that is only restarted: as the target explains. */
	(void)fprintf(out,
		      "StopPropagatedFrom=%s\n"
		      "\n"
		      "[Socket]\n"
		      "Service=%s.service\n"
		      "FileDescriptorName=%s\n",
		      setup->target, setup->service, listener->name);
}

/* What the sockets of a unit have in common, and is only said where it says anything. */
#define DATAGRAM_BUFFER "4M"

struct traits {
	bool ipv6, dual_stack, later, files, streams;
};

static struct traits traits_of(const struct endpoint *endpoints, size_t n)
{
	struct traits traits = {0};

	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)&endpoints[i].socket;

		traits.ipv6 |= ipv6_of(&endpoints[i]) != NULL;
		traits.dual_stack |= endpoints[i].dual_stack;
		traits.later |= may_come_later(&endpoints[i]);
		traits.streams |= endpoints[i].transport != TRANSPORT_UDP;
		traits.files |= endpoints[i].transport == TRANSPORT_UNIX && un->sun_path[0];
	}
	return traits;
}

static void print_unit(FILE *out, const struct listener_config *listener,
		       const struct socket_units_setup *setup, const struct endpoint *endpoints,
		       size_t n)
{
	const struct traits traits = traits_of(endpoints, n);

	print_heading(out, listener, setup);
	for (size_t i = 0; i < n; i++)
		print_endpoint(out, &endpoints[i]);
	if (traits.ipv6)
		(void)fprintf(out, "BindIPv6Only=%s\n", traits.dual_stack ? "both" : "ipv6-only");
	if (traits.later)
		(void)fputs("FreeBind=yes\n", out);
	if (traits.files) {
		(void)fprintf(out, "SocketMode=%04o\n", (unsigned)listener->mode);
		if (listener->user)
			print_setting(out, "SocketUser", listener->user);
		if (listener->group)
			print_setting(out, "SocketGroup", listener->group);
	}
	/* What comes while the service restarts waits there. A stream's would be its connections'.
	 */
	if (!traits.streams)
		(void)fputs("ReceiveBuffer=" DATAGRAM_BUFFER "\n", out);
	(void)fprintf(out, "Backlog=%d\nReusePort=no\n", SOMAXCONN);
}

/*
 * Units
 */

/* Closes what open_memstream(3) gave. Returns 0, or -ENOMEM with *text freed. */
static int finish(FILE *out, char **text)
{
	bool failed = ferror(out) != 0;

	if (fclose(out) == 0 && !failed)
		return 0;
	free(STEAL(*text));
	return -ENOMEM;
}

static void unit_done(struct socket_unit *unit)
{
	free(unit->name);
	free(unit->text);
	free(unit->endpoints);
}

/* Makes a unit, which takes the endpoints over. Returns 0 or -ENOMEM; unit_done() is due anyway. */
static int make_unit(const struct listener_config *listener, const char *suffix,
		     const struct socket_units_setup *setup, struct taken *endpoints,
		     struct socket_unit *unit)
{
	size_t len;
	FILE *out;

	*unit = (struct socket_unit){.listener = listener, .n_endpoints = endpoints->n};
	unit->endpoints = STEAL(endpoints->endpoints);
	if (asprintf(&unit->name, "%s%s%s%s.socket", setup->prefix, listener->name, suffix,
		     setup->at) < 0) {
		unit->name = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	out = open_memstream(&unit->text, &len);
	if (!out)
		return -ENOMEM;
	print_unit(out, listener, setup, unit->endpoints, unit->n_endpoints);
	return finish(out, &unit->text);
}

/* Adds a unit of these endpoints, if any, which it takes over. Returns 0 or -ENOMEM. */
static int add_unit(const struct listener_config *listener, const char *suffix,
		    const struct socket_units_setup *setup, struct taken *endpoints,
		    struct socket_units *units)
{
	struct socket_unit *grown;
	int r;

	if (endpoints->n == 0)
		return 0;
	grown = reallocarray(units->units, units->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	units->units = grown;
	r = make_unit(listener, suffix, setup, endpoints, &grown[units->n]);
	if (r < 0)
		unit_done(&grown[units->n]);
	else
		units->n++;
	return r;
}

/* Adds the units of one listener. Returns 0 or -ENOMEM. */
static int add_listener(const struct listener_config *listener,
			const struct socket_units_setup *setup, struct taken *taken,
			struct socket_units *units, struct config_problems *problems)
{
	CLEANUP(taken_done) struct taken all = {0};
	CLEANUP(taken_done) struct taken most = {0};
	CLEANUP(taken_done) struct taken ipv6 = {0};
	bool dual_stack = false;
	int r = 0;

	for (size_t i = 0; i < listener->n_addresses && r == 0; i++)
		r = add_address(listener, &listener->addresses[i], setup->directory, taken, &all,
				problems);
	for (size_t i = 0; i < all.n; i++)
		dual_stack |= all.endpoints[i].dual_stack;
	for (size_t i = 0; i < all.n && r == 0; i++)
		r = take(dual_stack && is_only_ipv6_wildcard(&all.endpoints[i]) ? &ipv6 : &most,
			 &all.endpoints[i]);
	if (r == 0)
		r = add_unit(listener, "", setup, &most, units);
	if (r == 0)
		r = add_unit(listener, ":ipv6", setup, &ipv6, units);
	return r;
}

int socket_units_make(const struct config *config, const struct socket_units_setup *setup,
		      struct socket_units *ret_units, struct config_problems *problems)
{
	CLEANUP(taken_done) struct taken taken = {0};
	struct socket_units units = {0};
	int r = 0;

	for (size_t i = 0; i < config->n_listeners && r == 0; i++)
		r = add_listener(&config->listeners[i], setup, &taken, &units, problems);
	if (r < 0) {
		socket_units_done(&units);
		return r;
	}
	*ret_units = units;
	return 0;
}

int socket_units_drop_in(const struct socket_units *units, char **ret_text)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		return -ENOMEM;
	(void)fputs("# Made by retortd-generator(8).\n\n[Service]\n", out);
	for (size_t i = 0; i < units->n; i++)
		print_setting(out, "Sockets", units->units[i].name);
	r = finish(out, &text);
	if (r == 0)
		*ret_text = text;
	return r;
}

void socket_units_done(struct socket_units *units)
{
	for (size_t i = 0; i < units->n; i++)
		unit_done(&units->units[i]);
	free(units->units);
	*units = (struct socket_units){0};
}
