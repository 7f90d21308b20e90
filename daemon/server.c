/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "clock.h"
#include "control.h"
#include "descriptors.h"
#include "log.h"
#include "paths.h"
#include "report.h"
#include "server_state.h"
#include "util.h"

enum { STATUS_SECONDS = 10 }; /* between two status lines for the service manager */

#define STOPPING_STATUS "Stopping, %" PRIu64 " clients"

uint64_t server_microseconds(void)
{
	return clock_now() / 1000;
}

static unsigned count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((unsigned)CPU_COUNT(&set), 1u);
}

/*
 * Telling the service manager
 */

static void tell_status(struct server *server)
{
	struct totals totals;
	uint64_t messages, before = server->messages;

	report_totals(&server->listeners, &totals);
	messages = totals.values[COUNTER_MESSAGES];
	server->messages = messages;
	server->rate = (messages - before) / STATUS_SECONDS;
	report_rates(&server->listeners, STATUS_SECONDS);
	if (server->stopping) {
		(void)sd_notifyf(false, "STATUS=" STOPPING_STATUS, server->door.clients);
		return;
	}
	(void)sd_notifyf(
		false, "STATUS=%" PRIu64 " clients, %" PRIu64 " rooms, %" PRIu64 " messages/s",
		server->door.clients,
		atomic_load_explicit(&hub_figures(server->hub)->rooms, memory_order_relaxed),
		server->rate);
}

static int status_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell_status(userdata);
	(void)sd_event_source_set_time(source, usec + STATUS_SECONDS * UINT64_C(1000000));
	(void)sd_event_source_set_enabled(source, SD_EVENT_ON); /* a timer is for once */
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
 * Letters from workers and from the hub
 */

static void read_letter(struct server *server, struct letter *letter)
{
	switch ((enum letter_kind)letter->kind) {
	case LETTER_PEER_GONE:
		listeners_peer_gone(&server->listeners, CONTAINER_OF(letter, struct peer, letter));
		break;
	case LETTER_PEER_KEPT:
		server_peer_kept(server, CONTAINER_OF(letter, struct peer, letter));
		break;
	case LETTER_SUSPENDED:
		server_settled(server);
		break;
	case LETTER_HUB_KEPT:
		server_hub_kept(server);
		break;
	case LETTER_DATAGRAM_GONE:
		listeners_datagram_gone(&server->listeners,
					CONTAINER_OF(letter, struct datagram, letter));
		break;
	case LETTER_ECHOED:
		watchdog_echoed(&server->watchdog);
		break;
	case LETTER_UPDATED:
		server_updated(server);
		break;
	case LETTER_FAILED:
		server->failed = true;
		(void)sd_event_exit(server->event, EX_OSERR);
		break;
	case LETTER_ERRAND:
		server_do_errand(server, CONTAINER_OF(letter, struct errand, letter));
		break;
	case LETTER_NAMED:
	case LETTER_REPLY:
	case LETTER_SEATING:
	case LETTER_BROADCAST:
	case LETTER_FETCHED:
	case LETTER_DISMISSAL:
	case LETTER_SURVEY:
	case LETTER_PLACED:
	case LETTER_FORGOTTEN:
	case LETTER_PEER:
	case LETTER_DATAGRAM:
	case LETTER_DATAGRAM_STOP:
	case LETTER_UPDATE:
	case LETTER_ECHO:
	case LETTER_DRAIN:
	case LETTER_SUSPEND:
	case LETTER_LET_GO:
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
	int decided;

	(void)source;
	(void)fd;
	(void)events;
	read_mail(server);
	server_part(server);
	/* Unless the end was decided already, for a worse reason. */
	if (server->stopping && server->handover.stage == HANDOVER_NONE &&
	    server->door.connections == 0 &&
	    sd_event_get_exit_code(server->event, &decided) == -ENODATA)
		(void)sd_event_exit(server->event, 0);
	return 0;
}

/*
 * Signals
 */

/* How long draining may take in all: milliseconds. */
static uint64_t longest_drain(const struct server *server)
{
	const struct config *config = server->generation->config;
	uint64_t longest = config->defaults.timeouts.drain;

	for (size_t i = 0; i < config->n_listeners; i++)
		longest = MAX(longest, config->listeners[i].settings.timeouts.drain);
	return longest;
}

void server_drain(struct server *server)
{
	/* Whatever TimeoutStopSec= is: what the configuration promises to clients comes first. */
	(void)sd_notifyf(false,
			 "STOPPING=1\nSTATUS=" STOPPING_STATUS "\nEXTEND_TIMEOUT_USEC=%" PRIu64,
			 server->door.clients, (longest_drain(server) + SERVER_STOP_MARGIN) * 1000);
	door_close(&server->door);
	listeners_close(&server->listeners);
	hub_hurry(server->hub);
	crew_order(&server->crew, LETTER_DRAIN);
	if (server->door.connections == 0)
		(void)sd_event_exit(server->event, 0);
}

/*
 * The first time in order; the second time at once. SIGTERM is how the service manager asks for it
 * when it restarts the service, and SIGINT when it stops it: see systemd/retortd.service.
 */
static int asked_to_stop(sd_event_source *source, const struct signalfd_siginfo *info,
			 void *userdata)
{
	struct server *server = userdata;

	(void)source;
	log_write(LOG_STOPPING, NULL, "%s by signal %s",
		  server->stopping ? "stopping at once" : "stopping",
		  sigabbrev_np((int)info->ssi_signo));
	if (server->stopping) {
		(void)sd_event_exit(server->event, 0);
		return 0;
	}
	server->stopping = true;
	if (info->ssi_signo != SIGTERM || !server_hand_over(server))
		server_drain(server);
	return 0;
}

static int asked_to_reload(sd_event_source *source, const struct signalfd_siginfo *info,
			   void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)info;
	if (!server->stopping)
		server_reload(server);
	return 0;
}

static int asked_to_report(sd_event_source *source, const struct signalfd_siginfo *info,
			   void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)info;
	report_log(&server->listeners, hub_figures(server->hub));
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
	if (r >= 0)
		r = sd_event_add_time_relative(server->event, NULL, CLOCK_MONOTONIC, status_usec,
					       status_usec / 10, status_due, server);
	if (r >= 0)
		r = hub_new(&server->hub);
	if (r >= 0)
		r = server_make_ledger(server);
	if (r >= 0)
		r = crew_start(&server->crew, config->workers > 0 ? config->workers : count_cpus(),
			       &server->mailbox, hub_mailbox(server->hub), server->ledger);
	return MIN(r, 0);
}

/* Opens the control socket. Returns 0, or an exit status when it must be there and is not. */
static int open_control(struct server *server, struct inherited *inherited)
{
	const char *path = server->options->control;
	bool required = server->options->control_required;
	const char *why = PATHS_NO_CONTROL;
	int status = 0;

	if (path && !required && !inherited_has_path(inherited, path) && control_is_served(path)) {
		why = "another process serves it; --control PATH gives this one its own";
	} else if (path) {
		why = "it cannot be opened";
		status = control_configure(&server->control, path, server->generation->config) < 0
				 ? EX_OSERR
				 : listeners_open_control(&server->listeners, server->generation,
							  &server->control, inherited);
		if (status == 0)
			return 0;
	}
	log_write(LOG_CONTROL_PROBLEM, NULL, "%s%sthere is no control socket: %s", path ? path : "",
		  path ? ": " : "", why);
	return required ? status : 0;
}

/* Opens all that must be there: listeners, and the log of rooms. Returns 0 or an exit status. */
static int open_all(struct server *server, struct inherited *inherited, struct store **ret_store)
{
	int status = listeners_open(&server->listeners, server->generation, inherited);

	if (status == 0)
		status = open_control(server, inherited);
	else if (server->options->control)
		inherited_drop_path(inherited, server->options->control);
	if (status == 0)
		status = server_open_store(server, server->generation->config, ret_store);
	door_count(&server->door);
	return status;
}

/* Starts the hub, which goes on with those whom the last process has left. Returns as above. */
static int start_hub(struct server *server, struct store *store,
		     const struct succession *succession)
{
	int r = hub_start(server->hub, server->generation->config, store, &server->crew,
			  &server->mailbox, succession->succeeds ? &succession->past : NULL);

	if (r < 0) {
		log_write(LOG_FAULT, NULL, "the hub cannot start: %s", strerror(-r));
		return EX_OSERR;
	}
	return 0;
}

/* Says what became of it, r; returns 0 or an exit status. */
static int note_serving(int r)
{
	if (r == 0)
		return 0;
	log_write(LOG_FAULT, NULL, "cannot serve: %s", strerror(-r));
	return EX_OSERR;
}

/* Opens everything, and lets clients in. Returns 0 or an exit status. */
static int begin_to_serve(struct server *server)
{
	struct inherited inherited = {0};
	struct succession succession = {0};
	struct store *store = NULL;
	int r, status;

	r = inherit(&inherited);
	if (r < 0) {
		log_write(LOG_FAULT, NULL, "cannot take over inherited sockets: %s", strerror(-r));
		return EX_OSERR;
	}
	status = open_all(server, &inherited, &store);
	if (status == 0)
		status = note_serving(listeners_begin_with_datagrams(&server->listeners));
	/* Only then: what cannot start leaves them in the store, for whoever is started next. */
	if (status == 0)
		server_succeed(server, &inherited, &succession);
	inherited_done(&inherited);
	if (status == 0)
		status = start_hub(server, store, &succession);
	if (status != 0) {
		succession_done(&succession);
		return status;
	}
	r = door_open(&server->door);
	if (r == 0)
		r = listeners_serve(&server->listeners);
	if (r == 0)
		r = watchdog_start(&server->watchdog, server->event, &server->crew, server->hub);
	server_succeeded(server, &succession);
	return note_serving(r);
}

/* Serves until asked to stop. Returns an exit status. */
static int serve_until_stopped(struct server *server)
{
	int r = begin_to_serve(server);

	if (r != 0)
		return r;
	(void)sd_notifyf(false, "READY=1\nSTATUS=Serving %zu listeners",
			 server->generation->config->n_listeners);
	r = sd_event_loop(server->event);
	if (r < 0) {
		log_write(LOG_FAULT, NULL, "the main loop failed: %s", strerror(-r));
		return EX_OSERR;
	}
	return r;
}

/* Waits until the workers have given every connection back, and does what they wait for. */
static void take_back(struct server *server)
{
	while (server->door.connections > server->handover.n_peers && !server->failed) {
		(void)poll(&(struct pollfd){.fd = server->mailbox.fd, .events = POLLIN}, 1, -1);
		read_mail(server);
	}
}

static void server_done(struct server *server)
{
	server->stopping = true;
	watchdog_stop(&server->watchdog);
	hub_hurry(server->hub);
	crew_order(&server->crew, LETTER_QUIT);
	take_back(server);
	crew_join(&server->crew);
	if (server->mailbox.fd >= 0)
		read_mail(server); /* what the workers gave back */
	server_handover_done(server);
	vault_free(STEAL(server->door.vault));
	ledger_free(server->ledger);
	hub_free(server->hub);
	crew_done(&server->crew);
	door_close(&server->door);
	listeners_done(&server->listeners);
	(void)generation_unref(server->outgoing);
	(void)generation_unref(server->generation);
	control_done(&server->control);
	mailbox_done(&server->mailbox);
	(void)sd_event_unref(server->event);
}

int server_run(struct config *config, config_loader *load, const struct server_options *options)
{
	struct server server = {.load = load,
				.options = options,
				.mailbox.fd = -1,
				.started = server_microseconds(),
				.since = clock_wall_ms()};
	int status, r;

	list_init(&server.listeners.all);
	list_init(&server.handover.peers);
	server.listeners.crew = &server.crew;
	server.listeners.door = &server.door;
	server.door.crew = &server.crew;
	server.door.listeners = &server.listeners.all;
	block_signals();
	descriptors_prepare();
	server.generation = generation_new(config);
	r = server.generation ? prepare(&server) : -ENOMEM;
	if (r < 0) {
		log_write(LOG_FAULT, NULL, "cannot start: %s", strerror(-r));
		status = EX_OSERR;
	} else {
		server.door.event = server.event;
		server.door.config = server.generation->config;
		status = serve_until_stopped(&server);
	}
	server_done(&server);
	return status;
}
