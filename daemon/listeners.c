/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listeners.h"

#include <string.h>

#include "handover.h"
#include "log.h"
#include "util.h"

/*
 * Sockets
 */

/* Has a worker serve a datagram socket. Returns 0 or -ENOMEM. */
static int serve_datagrams(struct listeners *listeners, struct listening *listening)
{
	struct listener *listener = listening->listener;
	struct datagram *datagram = calloc(1, sizeof(*datagram));

	if (!datagram)
		return -ENOMEM;
	listening->datagram = datagram;
	listening->worker = crew_choose(listeners->crew);
	datagram->listening = listening;
	datagram->ports = &listeners->ports;
	datagram->fd = listening->fd;
	datagram->session = (struct session){
		.settings = &listener->config->settings,
		.counters = &listener->counters[listening->worker],
	};
	ports_set_served(&listeners->ports, endpoint_port(&listening->endpoint), true);
	crew_post(listeners->crew, listening->worker, &datagram->letter, LETTER_DATAGRAM);
	return 0;
}

static int begin(struct listeners *listeners, struct listening *listening)
{
	if (listening->source || listening->datagram)
		return 0;
	return listening->endpoint.transport == TRANSPORT_UDP
		       ? serve_datagrams(listeners, listening)
		       : door_watch(listeners->door, listening);
}

/* Starts to serve a socket that is open, and says so, once. Returns 0 or a negative errno. */
static int serve(struct listeners *listeners, struct listening *listening)
{
	char text[ADDRESS_TEXT_MAX];
	int r;

	if (listening->served)
		return 0;
	r = begin(listeners, listening);
	if (r < 0)
		return r;
	listening->served = true;
	log_write(LOG_LISTENING, &(struct log_about){.listener = listening->listener->name},
		  "listening on %s%s", endpoint_format(&listening->endpoint, text),
		  listening->inherited ? " (opened by the service manager)" : "");
	return 0;
}

static bool listener_answers_on(const struct listener *listener, uint16_t port)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		if (listening->datagram && !listening->datagram->asked_back &&
		    endpoint_port(&listening->endpoint) == port)
			return true;
	return false;
}

/* Whether any datagram socket that stays is bound to this port, at whichever address. */
static bool is_answered_on(const struct listeners *listeners, uint16_t port)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		if (listener_answers_on(listener, port))
			return true;
	return false;
}

/* Stops serving a socket and closes it, at once or when its worker has given it back. */
static void dismiss(struct listeners *listeners, struct listening *listening)
{
	char text[ADDRESS_TEXT_MAX];

	/* A reload may have dismissed it already, and its worker not given it back yet. */
	if (listening->datagram && listening->datagram->asked_back)
		return;
	log_write(LOG_NOT_LISTENING, &(struct log_about){.listener = listening->listener->name},
		  "not listening any more on %s", endpoint_format(&listening->endpoint, text));
	if (!listening->datagram) {
		listening_free(listening);
		return;
	}
	listening->datagram->asked_back = true;
	ports_set_served(&listeners->ports, endpoint_port(&listening->endpoint),
			 is_answered_on(listeners, endpoint_port(&listening->endpoint)));
	crew_post(listeners->crew, listening->worker, &listening->datagram->stop,
		  LETTER_DATAGRAM_STOP);
}

/* Frees a listener that is gone and that nothing refers to any more. */
static void forget(struct listeners *listeners, struct listener *listener)
{
	if (!listener->gone || listener->connections > 0 || !list_empty(&listener->sockets))
		return;
	totals_add(&listeners->forgotten, listener->counters, listener->n_threads);
	listener_free(listener);
}

static void dismiss_all(struct listeners *listeners, struct list *sockets)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, sockets, struct listening, link)
		dismiss(listeners, listening);
}

static bool is_unwanted(const struct inherited_socket *socket)
{
	return socket->own && !socket->wanted && socket->endpoint.transport != TRANSPORT_UNIX;
}

/*
 * Closes sockets of the last process at addresses that are not in the configuration any more. They
 * may be in the way of one that is: "*" and "localhost" cannot both have a port.
 */
static void drop_unwanted(const struct config *config, struct inherited *inherited)
{
	size_t n_own = 0, n = 0;

	for (size_t i = 0; i < inherited->n; i++)
		n_own += is_unwanted(&inherited->sockets[i]);
	for (size_t i = 0; n_own > 0 && i < config->n_listeners; i++)
		listener_want(&config->listeners[i], inherited);
	for (size_t i = 0; i < inherited->n; i++)
		if (is_unwanted(&inherited->sockets[i])) {
			inherited_drop(&inherited->sockets[i]);
			n++;
		}
	if (n > 0)
		handover_await_forgotten(); /* they are open as long as the manager has them */
}

int listeners_open(struct listeners *listeners, struct generation *generation,
		   struct inherited *inherited)
{
	struct config *config = generation->config;
	int status = 0;

	drop_unwanted(config, inherited);
	for (size_t i = 0; i < config->n_listeners; i++) {
		struct listener *listener =
			listener_new(generation, &config->listeners[i], listeners->crew->n + 1);
		int r;

		if (!listener)
			return listener_out_of_memory(config->listeners[i].name);
		list_append(&listeners->all, &listener->link);
		/* One that fails is no reason not to look at the others. */
		r = listener_open(listener, listener->config, inherited, &listeners->all,
				  &listener->sockets);
		if (r != 0 && status == 0)
			status = r;
	}
	return status;
}

int listeners_open_control(struct listeners *listeners, struct generation *generation,
			   const struct listener_config *config, struct inherited *inherited)
{
	struct listener *listener = listener_new(generation, config, listeners->crew->n + 1);
	int status;

	if (!listener)
		return listener_out_of_memory(config->name);
	listener->permanent = true;
	status = listener_open(listener, config, inherited, &listeners->all, &listener->sockets);
	if (status != 0)
		listener_free(listener);
	else
		list_append(&listeners->all, &listener->link);
	return status;
}

static struct listener *find_stand_in(const struct listeners *listeners, const char *name,
				      enum service_kind service, enum dialect_id dialect)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		if (listener->own_config && strcmp(listener->name, name) == 0 &&
		    listener->config->settings.service == service &&
		    listener->config->settings.dialect == dialect)
			return listener;
	return NULL;
}

struct listener *listeners_stand_in(struct listeners *listeners, struct generation *generation,
				    const char *name, enum service_kind service,
				    enum dialect_id dialect)
{
	struct listener *listener = find_stand_in(listeners, name, service, dialect);

	if (listener)
		return listener;
	listener =
		listener_new_stand_in(generation, name, service, dialect, listeners->crew->n + 1);
	if (listener)
		list_append(&listeners->all, &listener->link);
	return listener;
}

/*
 * Starts to serve what was opened and is not served yet; one that fails is no reason not to serve
 * the others. Returns 0 or a negative errno.
 */
static int serve_sockets(struct listeners *listeners, struct list *sockets)
{
	struct listening *listening;
	int status = 0;

	LIST_FOR_EACH(listening, sockets, struct listening, link) {
		int r = serve(listeners, listening);

		if (r < 0)
			status = r;
	}
	return status;
}

static int begin_with_datagrams(struct listeners *listeners, struct list *sockets)
{
	struct listening *listening;
	int r = 0;

	LIST_FOR_EACH(listening, sockets, struct listening, link)
		if (r == 0 && listening->endpoint.transport == TRANSPORT_UDP)
			r = begin(listeners, listening);
	return r;
}

int listeners_begin_with_datagrams(struct listeners *listeners)
{
	struct listener *listener;
	int r = 0;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		if (r == 0)
			r = begin_with_datagrams(listeners, &listener->sockets);
	return r;
}

int listeners_serve(struct listeners *listeners)
{
	struct listener *listener;
	int r;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link) {
		r = serve_sockets(listeners, &listener->sockets);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Reloading
 */

int listeners_plan(struct listeners *listeners, struct generation *generation,
		   struct plan *ret_plan, struct config_problems *problems)
{
	return plan_make(&listeners->all, listeners->crew->n + 1, generation, ret_plan, problems);
}

/* Makes a step true. Cannot fail but for want of memory, which costs that socket alone. */
static void take_step(struct listeners *listeners, struct generation *generation, struct step *step)
{
	struct listener *listener = step->listener;
	struct listening *listening;

	if (step->fresh) {
		list_append(&listeners->all, &listener->link);
		step->fresh = false;
	} else {
		listener_configure(listener, generation, step->config);
	}
	if (!step->moved)
		return;
	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		if (!listening->wanted)
			dismiss(listeners, listening);
	LIST_FOR_EACH(listening, &step->opened, struct listening, link) {
		list_remove(&listening->link);
		list_append(&listener->sockets, &listening->link);
	}
	(void)listener_dress(listener, step->config); /* what cannot be is logged, and no more */
	if (serve_sockets(listeners, &listener->sockets) < 0)
		log_write(LOG_OUT_OF_MEMORY, &(struct log_about){.listener = listener->name},
			  "out of memory, not all of its addresses are served");
}

void listeners_apply(struct listeners *listeners, struct plan *plan)
{
	struct listener *listener;
	struct step *step;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		if (!listener->permanent &&
		    !config_find(plan->generation->config, listener->name)) {
			listener->gone = true;
			dismiss_all(listeners, &listener->sockets);
			forget(listeners, listener);
		}
	LIST_FOR_EACH(step, &plan->steps, struct step, link)
		take_step(listeners, plan->generation, step);
}

/*
 * The end
 */

void listeners_close(struct listeners *listeners)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		dismiss_all(listeners, &listener->sockets);
}

void listeners_peer_gone(struct listeners *listeners, struct peer *peer)
{
	struct listener *listener = peer->listener;

	door_gone(listeners->door, peer);
	forget(listeners, listener);
}

void listeners_datagram_gone(struct listeners *listeners, struct datagram *datagram)
{
	struct listening *listening = datagram->listening;
	struct listener *listener = listening->listener;

	crew_gave_back(listeners->crew, listening->worker);
	listening_free(listening);
	forget(listeners, listener);
}

void listeners_done(struct listeners *listeners)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &listeners->all, struct listener, link)
		listener_free(listener);
}
