/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "door.h"
#include "log.h"
#include "report.h"
#include "session_transform.h"
#include "util.h"

enum { STATUS_SECONDS = 10 }; /* between two status lines for the service manager */

struct server {
	const struct config_source *source;
	struct generation *generation; /* what is served; a reference */
	struct generation *outgoing;   /* what workers may still refer to; a reference */
	sd_event *event;
	struct mailbox mailbox;
	struct crew crew;
	struct door door;
	struct ports ports;
	struct list listeners;
	unsigned updates_due; /* workers that have not taken the new settings yet */
	bool reload_due;      /* another reload was asked for meanwhile */
	bool stopping;
	uint64_t messages; /* when the status was last told */
};

static unsigned count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((unsigned)CPU_COUNT(&set), 1u);
}

static uint16_t port_of(const struct endpoint *endpoint)
{
	return ntohs(endpoint->socket.ss_family == AF_INET
			     ? ((const struct sockaddr_in *)&endpoint->socket)->sin_port
			     : ((const struct sockaddr_in6 *)&endpoint->socket)->sin6_port);
}

/*
 * Sockets
 */

/* Has a worker serve a datagram socket. Returns 0 or -ENOMEM. */
static int serve_datagrams(struct server *server, struct listening *listening)
{
	struct listener *listener = listening->listener;
	struct datagram *datagram = calloc(1, sizeof(*datagram));

	if (!datagram)
		return -ENOMEM;
	listening->datagram = datagram;
	listening->worker = crew_choose(&server->crew);
	datagram->listening = listening;
	datagram->ports = &server->ports;
	datagram->fd = listening->fd;
	datagram->session = (struct session){
		.settings = &listener->config->settings,
		.counters = &listener->counters[listening->worker],
	};
	ports_set_served(&server->ports, port_of(&listening->endpoint), true);
	crew_post(&server->crew, listening->worker, &datagram->letter, LETTER_DATAGRAM);
	return 0;
}

/* Starts to serve a socket that is open. Returns 0 or a negative errno. */
static int serve(struct server *server, struct listening *listening)
{
	char text[ADDRESS_TEXT_MAX];
	int r;

	if (listening->endpoint.transport == TRANSPORT_UDP)
		r = serve_datagrams(server, listening);
	else
		r = door_watch(&server->door, listening);
	if (r == 0)
		log_write(LOG_INFO, &(struct log_about){.listener = listening->listener->name},
			  "listening on %s%s", endpoint_format(&listening->endpoint, text),
			  listening->inherited ? " (opened by the service manager)" : "");
	return r;
}

/* Stops serving a socket and closes it, at once or when its worker has given it back. */
static void dismiss(struct server *server, struct listening *listening)
{
	char text[ADDRESS_TEXT_MAX];

	log_write(LOG_INFO, &(struct log_about){.listener = listening->listener->name},
		  "not listening any more on %s", endpoint_format(&listening->endpoint, text));
	if (!listening->datagram) {
		listening_free(listening);
		return;
	}
	ports_set_served(&server->ports, port_of(&listening->endpoint), false);
	crew_post(&server->crew, listening->worker, &listening->datagram->letter,
		  LETTER_DATAGRAM_STOP);
}

static void dismiss_all(struct server *server, struct list *sockets)
{
	struct listening *listening;

	LIST_FOR_EACH (listening, sockets, struct listening, link)
		dismiss(server, listening);
}

/* Opens the listeners of the first configuration. Returns 0 or an exit status. */
static int open_listeners(struct server *server, struct inherited *inherited)
{
	struct config *config = server->generation->config;
	int status = 0;

	for (size_t i = 0; i < config->n_listeners; i++) {
		struct listener *listener =
			listener_new(server->generation, &config->listeners[i], server->crew.n + 1);
		int r;

		if (!listener)
			return EX_OSERR;
		list_append(&server->listeners, &listener->link);
		/* One that fails is no reason not to look at the others. */
		r = listener_open(listener, listener->config, inherited, &server->listeners,
				  &listener->sockets);
		if (r != 0 && status == 0)
			status = r;
	}
	return status;
}

/* Starts to serve what was opened and is not served yet. Returns 0 or a negative errno. */
static int serve_sockets(struct server *server, struct list *sockets)
{
	struct listening *listening;
	int r;

	LIST_FOR_EACH (listening, sockets, struct listening, link) {
		r = listening->source || listening->datagram ? 0 : serve(server, listening);
		if (r < 0)
			return r;
	}
	return 0;
}

static int serve_listeners(struct server *server)
{
	struct listener *listener;
	int r;

	LIST_FOR_EACH (listener, &server->listeners, struct listener, link) {
		r = serve_sockets(server, &listener->sockets);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Telling the service manager and the administrator
 */

static void tell_status(struct server *server)
{
	struct totals totals;
	uint64_t messages, before = server->messages;

	totals_read(&server->listeners, &totals);
	messages = totals.values[COUNTER_MESSAGES];
	server->messages = messages;
	(void)sd_notifyf(false, "STATUS=%" PRIu64 " clients, %" PRIu64 " messages/s",
			 server->door.clients, (messages - before) / STATUS_SECONDS);
}

static int status_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell_status(userdata);
	(void)sd_event_source_set_time(source, usec + STATUS_SECONDS * UINT64_C(1000000));
	return 0;
}

static int folded_due(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)userdata;
	log_say_folded();
	return 0;
}

/*
 * Reloading: everything is opened before anything is changed
 */

/* What a reload does with one listener. */
struct step {
	struct list link;
	struct listener *listener;	      /* owned while fresh */
	const struct listener_config *config; /* of the new configuration */
	bool fresh;			      /* the listener is new */
	bool moved;			      /* its addresses have changed */
	struct list opened;		      /* sockets that it gets; owned */
};

static void step_free(struct step *step)
{
	struct listening *listening;

	LIST_FOR_EACH (listening, &step->opened, struct listening, link)
		listening_free(listening);
	if (step->fresh)
		listener_free(step->listener);
	list_remove(&step->link);
	free(step);
}

static void steps_free(struct list *steps)
{
	struct step *step;

	LIST_FOR_EACH (step, steps, struct step, link)
		step_free(step);
}

static struct listener *find_listener(struct server *server, const char *name)
{
	struct listener *listener;

	LIST_FOR_EACH (listener, &server->listeners, struct listener, link)
		if (!listener->gone && strcmp(listener->name, name) == 0)
			return listener;
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether two configurations of a listener ask for the same sockets. */
static bool same_sockets(const struct listener_config *a, const struct listener_config *b)
{
	if (a->n_addresses != b->n_addresses || a->mode != b->mode ||
	    !same_text(a->user, b->user) || !same_text(a->group, b->group))
		return false;
	for (size_t i = 0; i < a->n_addresses; i++) {
		char left[ADDRESS_TEXT_MAX], right[ADDRESS_TEXT_MAX];

		if (strcmp(address_format(&a->addresses[i], left),
			   address_format(&b->addresses[i], right)) != 0)
			return false;
	}
	return true;
}

/* Plans what is to become of one listener. Returns 0, or an exit status when it cannot be. */
static int plan_step(struct server *server, struct generation *generation,
		     const struct listener_config *config, struct list *steps)
{
	struct inherited none = {0};
	struct step *step = calloc(1, sizeof(*step));

	if (!step)
		return EX_OSERR;
	list_init(&step->opened);
	list_append(steps, &step->link);
	step->config = config;
	step->listener = find_listener(server, config->name);
	if (!step->listener) {
		step->listener = listener_new(generation, config, server->crew.n + 1);
		step->fresh = step->listener;
		step->moved = true;
	} else {
		step->moved = !same_sockets(step->listener->config, config);
	}
	if (!step->listener)
		return EX_OSERR;
	return step->moved ? listener_open(step->listener, config, &none, &server->listeners,
					   &step->opened)
			   : 0;
}

/* Plans all steps. Returns 0 or an exit status; what is wrong has been logged. */
static int plan(struct server *server, struct generation *generation, struct list *steps)
{
	const struct config *config = generation->config;
	int status = 0;

	if (config->workers != server->generation->config->workers) {
		log_write(LOG_ERR, NULL, "workers: another number of them takes a restart");
		return EX_CONFIG;
	}
	for (size_t i = 0; i < config->n_listeners; i++) {
		int r = plan_step(server, generation, &config->listeners[i], steps);

		if (r != 0)
			status = r;
	}
	return status;
}

/* Makes a step true. Cannot fail but for want of memory, which costs that socket alone. */
static void take_step(struct server *server, struct generation *generation, struct step *step)
{
	struct listener *listener = step->listener;
	struct listening *listening;

	if (step->fresh) {
		list_append(&server->listeners, &listener->link);
		step->fresh = false;
	} else {
		listener_configure(listener, generation, step->config);
	}
	if (!step->moved)
		return;
	LIST_FOR_EACH (listening, &listener->sockets, struct listening, link)
		if (!listening->wanted)
			dismiss(server, listening);
	LIST_FOR_EACH (listening, &step->opened, struct listening, link) {
		list_remove(&listening->link);
		list_append(&listener->sockets, &listening->link);
	}
	if (serve_sockets(server, &listener->sockets) < 0)
		log_write(LOG_ERR, &(struct log_about){.listener = listener->name},
			  "out of memory, not all of its addresses are served");
}

/* Makes the new configuration the one that is served. */
static void apply(struct server *server, struct generation *generation, struct list *steps)
{
	struct listener *listener;
	struct step *step;

	LIST_FOR_EACH (listener, &server->listeners, struct listener, link)
		if (!config_find(generation->config, listener->name)) {
			listener->gone = true;
			dismiss_all(server, &listener->sockets);
		}
	LIST_FOR_EACH (step, steps, struct step, link)
		take_step(server, generation, step);
	server->outgoing = server->generation;
	server->generation = generation;
	server->door.config = generation->config;
	server->updates_due = server->crew.n;
	crew_order(&server->crew, LETTER_UPDATE);
	door_measure(&server->door);
}

static void log_problems(const struct config_problems *problems)
{
	const char *line = (const char *)problems->text.data;
	size_t left = problems->text.len;

	while (left > 0) {
		const char *end = memchr(line, '\n', left);
		size_t len = end ? (size_t)(end - line) : left;

		log_write(LOG_ERR, NULL, "%.*s", (int)len, line);
		len += end != NULL;
		line += len;
		left -= len;
	}
}

static void reload(struct server *server)
{
	struct config_problems problems = {0};
	struct generation *generation = NULL;
	struct config *config = NULL;
	struct list steps;
	int r;

	if (server->outgoing) {
		server->reload_due = true;
		return;
	}
	list_init(&steps);
	(void)sd_notify(false, "RELOADING=1");
	r = server->source->load(server->source->from, &config, &problems);
	log_problems(&problems);
	config_problems_done(&problems);
	if (r == 0) {
		generation = generation_new(config);
		r = generation ? plan(server, generation, &steps) : EX_OSERR;
	}
	if (r == 0) {
		apply(server, generation, &steps);
		log_write(LOG_NOTICE, NULL, "configuration reloaded: %zu listeners",
			  config->n_listeners);
	} else {
		log_write(LOG_ERR, NULL, "configuration not reloaded, nothing is changed");
	}
	steps_free(&steps);
	if (r != 0)
		(void)generation_unref(generation);
	(void)sd_notify(false, "READY=1");
}

/* A worker has taken the new settings. */
static void updated(struct server *server)
{
	if (--server->updates_due > 0)
		return;
	server->outgoing = generation_unref(server->outgoing);
	if (server->reload_due && !server->stopping) {
		server->reload_due = false;
		reload(server);
	}
}

/*
 * Letters from workers
 */

/* Frees listeners that are gone and that nobody refers to any more. */
static void bury(struct listener *listener)
{
	if (listener->gone && listener->connections == 0 && list_empty(&listener->sockets))
		listener_free(listener);
}

static void socket_gone(struct server *server, struct datagram *datagram)
{
	struct listening *listening = datagram->listening;
	struct listener *listener = listening->listener;

	crew_gave_back(&server->crew, listening->worker);
	listening_free(listening);
	bury(listener);
}

static void peer_gone(struct server *server, struct peer *peer)
{
	struct listener *listener = peer->listener;

	door_gone(&server->door, peer);
	bury(listener);
}

static void read_letter(struct server *server, struct letter *letter)
{
	switch ((enum letter_kind)letter->kind) {
	case LETTER_PEER_GONE:
		peer_gone(server, CONTAINER_OF(letter, struct peer, letter));
		break;
	case LETTER_DATAGRAM_GONE:
		socket_gone(server, CONTAINER_OF(letter, struct datagram, letter));
		break;
	case LETTER_UPDATED:
		updated(server);
		break;
	case LETTER_FAILED:
		(void)sd_event_exit(server->event, EX_OSERR);
		break;
	case LETTER_PEER:
	case LETTER_DATAGRAM:
	case LETTER_DATAGRAM_STOP:
	case LETTER_UPDATE:
	case LETTER_DRAIN:
	case LETTER_QUIT:
		break;
	}
}

static void read_mail(struct server *server)
{
	struct letter *letter, *next;

	for (letter = mailbox_collect(&server->mailbox); letter; letter = next) {
		next = letter->next;
		read_letter(server, letter);
	}
}

static int mail_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)fd;
	(void)events;
	read_mail(server);
	if (server->stopping && server->door.connections == 0)
		(void)sd_event_exit(server->event, 0);
	return 0;
}

/*
 * Signals
 */

/* The first time in order; the second time at once. */
static int asked_to_stop(sd_event_source *source, const struct signalfd_siginfo *info,
			 void *userdata)
{
	struct server *server = userdata;
	struct listener *listener;

	(void)source;
	log_write(LOG_NOTICE, NULL, "%s by signal %s",
		  server->stopping ? "stopping at once" : "stopping",
		  sigabbrev_np((int)info->ssi_signo));
	if (server->stopping) {
		(void)sd_event_exit(server->event, 0);
		return 0;
	}
	server->stopping = true;
	(void)sd_notifyf(false, "STOPPING=1\nSTATUS=Stopping, %" PRIu64 " clients",
			 server->door.clients);
	door_close(&server->door);
	LIST_FOR_EACH (listener, &server->listeners, struct listener, link)
		dismiss_all(server, &listener->sockets);
	crew_order(&server->crew, LETTER_DRAIN);
	if (server->door.connections == 0)
		(void)sd_event_exit(server->event, 0);
	return 0;
}

static int asked_to_reload(sd_event_source *source, const struct signalfd_siginfo *info,
			   void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)info;
	if (!server->stopping)
		reload(server);
	return 0;
}

static int asked_to_report(sd_event_source *source, const struct signalfd_siginfo *info,
			   void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)info;
	report_log(&server->door);
	return 0;
}

/*
 * Life
 */

/* Blocks the signals that the loop takes, in this thread and in those it starts. */
static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Readies everything that listens to something else than clients. Returns 0 or an errno. */
static int prepare(struct server *server)
{
	const struct config *config = server->generation->config;
	uint64_t status_usec = STATUS_SECONDS * UINT64_C(1000000);
	int r;

	r = sd_event_default(&server->event);
	if (r >= 0)
		r = mailbox_init(&server->mailbox);
	if (r >= 0)
		r = sd_event_add_io(server->event, NULL, server->mailbox.fd, EPOLLIN, mail_ready,
				    server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGTERM, asked_to_stop, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGINT, asked_to_stop, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGHUP, asked_to_reload, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGUSR1, asked_to_report, server);
	if (r >= 0 && log_folded_fd() >= 0)
		r = sd_event_add_io(server->event, NULL, log_folded_fd(), EPOLLIN, folded_due,
				    NULL);
	if (r >= 0 && getenv("NOTIFY_SOCKET"))
		r = sd_event_add_time_relative(server->event, NULL, CLOCK_MONOTONIC, status_usec,
					       status_usec / 10, status_due, server);
	if (r >= 0)
		r = crew_start(&server->crew, config->workers > 0 ? config->workers : count_cpus(),
			       &server->mailbox);
	return MIN(r, 0);
}

/* Opens all listeners, and serves until asked to stop. Returns an exit status. */
static int serve_until_stopped(struct server *server)
{
	struct inherited inherited = {0};
	int r, status;

	r = inherit(&inherited);
	if (r < 0) {
		log_write(LOG_ERR, NULL, "cannot take over inherited sockets: %s", strerror(-r));
		return EX_OSERR;
	}
	status = open_listeners(server, &inherited);
	inherited_done(&inherited);
	if (status != 0)
		return status;
	door_measure(&server->door);
	r = serve_listeners(server);
	if (r < 0) {
		log_write(LOG_ERR, NULL, "cannot serve: %s", strerror(-r));
		return EX_OSERR;
	}
	(void)sd_notifyf(false, "READY=1\nSTATUS=Serving %zu listeners",
			 server->generation->config->n_listeners);
	r = sd_event_loop(server->event);
	if (r < 0) {
		log_write(LOG_ERR, NULL, "the main loop failed: %s", strerror(-r));
		return EX_OSERR;
	}
	return r;
}

static void server_done(struct server *server)
{
	struct listener *listener;

	server->stopping = true;
	crew_order(&server->crew, LETTER_QUIT);
	crew_join(&server->crew);
	if (server->mailbox.fd >= 0)
		read_mail(server); /* what the workers gave back */
	door_close(&server->door);
	LIST_FOR_EACH (listener, &server->listeners, struct listener, link)
		listener_free(listener);
	(void)generation_unref(server->outgoing);
	(void)generation_unref(server->generation);
	mailbox_done(&server->mailbox);
	(void)sd_event_unref(server->event);
}

int server_run(struct config *config, const struct config_source *source)
{
	struct server server = {.source = source, .mailbox.fd = -1};
	int status, r;

	list_init(&server.listeners);
	block_signals();
	server.generation = generation_new(config);
	r = server.generation ? prepare(&server) : -ENOMEM;
	if (r < 0) {
		log_write(LOG_ERR, NULL, "cannot start: %s", strerror(-r));
		status = EX_OSERR;
	} else {
		server.door = (struct door){
			.event = server.event,
			.crew = &server.crew,
			.listeners = &server.listeners,
			.config = server.generation->config,
		};
		status = serve_until_stopped(&server);
	}
	server_done(&server);
	return status;
}
