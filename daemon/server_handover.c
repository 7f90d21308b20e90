/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server_state.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>

#include "config_problem.h"
#include "log.h"
#include "peer_handover.h"
#include "server.h"
#include "util.h"

/*
 * Milliseconds that settling may take, however short draining may: it is done at once, except by a
 * machine that has much else to do.
 */
enum { SETTLING_MIN = 2000 };

/*
 * Giving
 */

/* Whether the next process could start: with a configuration that is wrong it would not. */
static bool is_config_right(struct server *server)
{
	struct config_problems problems = {0};
	struct config *config;
	int r = server->load(&config, &problems);

	if (r == 0)
		config_free(config);
	else
		log_lines(LOG_CONFIG_PROBLEM, (const char *)problems.text.data, problems.text.len);
	config_problems_done(&problems);
	return r == 0;
}

/* Calls each for every socket that this process has opened to listen on. */
static void each_own_socket(struct server *server,
			    void (*each)(struct listening *listening, void *data), void *data)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &server->listeners.all, struct listener, link)
		listener_each_own(listener, each, data);
}

static void count_socket(struct listening *listening, void *data)
{
	(void)listening;
	++*(size_t *)data;
}

/* Whether the store is large enough for the record, the sockets, and one pair of connections. */
static bool has_room(struct server *server)
{
	size_t n = 1 + (server->door.connections > 0);

	each_own_socket(server, count_socket, &n);
	return n <= handover_room();
}

static int not_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	log_write(LOG_NOT_HANDED_OVER, NULL,
		  "clients are not handed over: not all that they had asked was answered in time; "
		  "they are told to come back");
	server->handover.timer = sd_event_source_disable_unref(server->handover.timer);
	server->handover.stage = HANDOVER_NONE;
	server_drain(server);
	return 0;
}

bool server_hand_over(struct server *server)
{
	struct server_handover *handover = &server->handover;
	uint64_t drain = server->generation->config->defaults.timeouts.drain;
	uint64_t settling = MAX(drain, (uint64_t)SETTLING_MIN) * 1000; /* microseconds */

	if (handover_room() == 0)
		return false;
	if (!has_room(server)) {
		log_write(LOG_NOT_HANDED_OVER, NULL,
			  "clients are not handed over: FileDescriptorStoreMax= is too small; they "
			  "are told to come back");
		return false;
	}
	if (!is_config_right(server)) {
		log_write(LOG_NOT_HANDED_OVER, NULL,
			  "clients are not handed over: with this configuration nobody would take "
			  "over; they are told to come back");
		return false;
	}
	if (sd_notifyf(false,
		       "STOPPING=1\nSTATUS=Handing over %" PRIu64
		       " clients\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		       server->door.clients, settling + SERVER_STOP_MARGIN * UINT64_C(1000)) < 0) {
		log_write(
			LOG_NOT_HANDED_OVER, NULL,
			"clients are not handed over: nothing can be said to the service manager; "
			"they are told to come back");
		return false;
	}
	if (sd_event_add_time_relative(server->event, &handover->timer, CLOCK_MONOTONIC, settling,
				       0, not_settled, server) < 0)
		return false;
	handover->began = server_microseconds();
	handover->stage = HANDOVER_SETTLING;
	handover->unsettled = server->crew.n;
	door_close(&server->door);
	crew_order(&server->crew, LETTER_SUSPEND);
	return true;
}

void server_settled(struct server *server)
{
	struct server_handover *handover = &server->handover;

	if (handover->stage != HANDOVER_SETTLING || --handover->unsettled > 0)
		return;
	handover->timer = sd_event_source_disable_unref(handover->timer);
	handover->stage = HANDOVER_PARTING;
	hub_hand_over(server->hub);
}

static void put_socket(struct listening *listening, void *data)
{
	record_put_text(data, listening->listener->name);
	record_put_bytes(data, &listening->endpoint, sizeof(listening->endpoint));
	record_put_bytes(data, &listening->made, sizeof(listening->made));
}

static void list_socket(struct listening *listening, void *data)
{
	struct handover_socket **end = data;

	*(*end)++ = (struct handover_socket){listening->listener->name, listening->fd};
}

static void leave_socket(struct listening *listening, void *data)
{
	(void)data;
	listening->inherited = true; /* its file is the next process's */
}

/* Writes everything down, and lists the descriptors in the same order. */
static void write_down(struct server *server, size_t n_sockets, struct record *record, int *clients)
{
	const struct record *hub = hub_record(server->hub);
	struct peer *peer;
	size_t n = 0;

	record_put(record, server->handover.began);
	record_put(record, server->door.last_client);
	record_put(record, n_sockets);
	each_own_socket(server, put_socket, record);
	LIST_FOR_EACH(peer, &server->handover.peers, struct peer, link) {
		peer_put(peer, record);
		clients[n++] = peer->stream.fd;
	}
	record_put_bytes(record, hub->buffer.data, hub->buffer.len);
	record->failed |= hub->failed;
}

static void close_vault(struct server *server)
{
	if (!server->door.vault)
		return;
	vault_free(STEAL(server->door.vault));
	handover_await_forgotten();
}

/* Gives all to the service manager. Returns 0 or a negative errno. */
static int give(struct server *server)
{
	CLEANUP(freep) struct handover_socket *sockets = NULL;
	CLEANUP(freep) int *clients = NULL;
	struct handover_socket *end;
	struct record record = {0};
	size_t n_sockets = 0;
	int r = -ENOMEM;

	each_own_socket(server, count_socket, &n_sockets);
	sockets = calloc(n_sockets + 1, sizeof(*sockets));
	clients = calloc(server->handover.n_peers + 1, sizeof(*clients));
	if (sockets && clients) {
		end = sockets;
		each_own_socket(server, list_socket, &end);
		write_down(server, n_sockets, &record, clients);
		/* In order, they go another way; and the kernel bounds how many are on one. */
		close_vault(server);
		r = handover_give(&record, clients, server->handover.n_peers, sockets, n_sockets);
	}
	record_done(&record);
	return r;
}

void server_part(struct server *server)
{
	int r;

	if (!server->handover.hub_kept || server->handover.stage != HANDOVER_PARTING ||
	    server->handover.n_peers < server->door.connections)
		return;
	server->handover.stage = HANDOVER_OVER;
	r = give(server);
	if (r == 0) {
		each_own_socket(server, leave_socket, NULL);
		log_write(LOG_HANDED_OVER, NULL,
			  "handed %" PRIu64 " connections to the service manager, for the next "
			  "process",
			  server->handover.n_peers);
	} else {
		log_write(LOG_NOT_HANDED_OVER, NULL,
			  "%" PRIu64 " connections cannot be handed over, and are closed: %s",
			  server->handover.n_peers,
			  r == -ENOSPC ? "FileDescriptorStoreMax= is too small" : strerror(-r));
	}
	(void)sd_event_exit(server->event, r == 0 ? 0 : EX_OSERR);
}

void server_peer_kept(struct server *server, struct peer *peer)
{
	list_append(&server->handover.peers, &peer->link);
	server->handover.n_peers++;
}

void server_hub_kept(struct server *server)
{
	server->handover.hub_kept = true;
}

void server_handover_done(struct server *server)
{
	struct server_handover *handover = &server->handover;
	struct peer *peer;

	sd_event_source_disable_unref(handover->timer);
	LIST_FOR_EACH(peer, &handover->peers, struct peer, link) {
		list_remove(&peer->link);
		peer_release(peer);
		listeners_peer_gone(&server->listeners, peer);
	}
	for (size_t i = 0; i < handover->n_reasons; i++)
		free(handover->reasons[i]);
	free(handover->reasons);
}

/*
 * Taking
 */

/* Why a connection ends outlives it, and this comes from another process. Takes reason over. */
static const char *keep_reason(struct server_handover *handover, char *reason)
{
	char **reasons;

	if (!reason)
		return NULL;
	for (size_t i = 0; i < handover->n_reasons; i++)
		if (strcmp(handover->reasons[i], reason) == 0) {
			free(reason);
			return handover->reasons[i];
		}
	reasons = reallocarray(handover->reasons, handover->n_reasons + 1, sizeof(*reasons));
	if (!reasons) {
		free(reason);
		return "ended before the restart";
	}
	handover->reasons = reasons;
	handover->reasons[handover->n_reasons++] = reason;
	return reason;
}

/*
 * A socket that the last process had opened, and its file: they are now of whichever listener has
 * the address, or not needed.
 */
static void own_socket(struct server *server, const struct endpoint *endpoint,
		       const struct bind_made *made)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, &server->listeners.all, struct listener, link)
		if (listener_own(listener, endpoint, made))
			return;
	bind_remove(endpoint, made);
}

/*
 * Reads of those sockets, and makes them this process's if that is wanted; their files are to look
 * as is configured now.
 */
static void get_sockets(struct server *server, struct record_reader *reader, bool wanted)
{
	uint64_t n = record_get(reader);
	struct listener *listener;

	if (n == 0)
		return; /* whose files look how is the manager's affair */
	for (; n > 0 && !reader->failed; n--) {
		CLEANUP(freep) char *name = record_get_text(reader);
		struct bytes address = record_get_bytes(reader), file = record_get_bytes(reader);
		struct endpoint endpoint;
		struct bind_made made;

		if (!name || address.len != sizeof(endpoint) || file.len != sizeof(made)) {
			reader->failed = true;
			return;
		}
		/* A record has no alignment. */
		memcpy(&endpoint, address.data, sizeof(endpoint));
		memcpy(&made, file.data, sizeof(made));
		if (wanted)
			own_socket(server, &endpoint, &made);
	}
	LIST_FOR_EACH(listener, &server->listeners.all, struct listener, link)
		if (wanted)
			(void)listener_dress(listener, listener->config); /* what fails is logged */
}

/* Whether each has a number of its own, and none that is still to be given: up to last. */
static bool are_numbers_right(const struct arrival *arrivals, size_t n, uint64_t last)
{
	CLEANUP(freep) uint64_t *numbers = calloc(n + 1, sizeof(*numbers));

	if (!numbers)
		return false;
	for (size_t i = 0; i < n && arrivals[i].peer; i++)
		numbers[i] = arrivals[i].peer->id;
	qsort(numbers, n, sizeof(*numbers), compare_numbers);
	for (size_t i = 1; i < n; i++)
		if (numbers[i] == numbers[i - 1])
			return false;
	return n == 0 || numbers[n - 1] <= last;
}

/* Reads what there is, and changes nothing unless all of it can be read: then returns true. */
static bool read_arrivals(struct server *server, struct succession *succession,
			  struct arrival *arrivals)
{
	struct handover *handover = &succession->handover;
	struct record_reader *reader = &handover->state, sockets;
	uint64_t last_client;

	succession->began = record_get(reader);
	last_client = record_get(reader);
	sockets = *reader;
	get_sockets(server, reader, false);
	for (size_t i = 0; i < handover->n_clients && !reader->failed; i++) {
		arrivals[i].peer = peer_get(reader, handover->clients[i], &arrivals[i].origin);
		if (arrivals[i].peer)
			handover->clients[i] = -1;
		else
			reader->failed = true;
	}
	succession->past.record = record_get_bytes(reader);
	if (reader->failed || !are_numbers_right(arrivals, handover->n_clients, last_client))
		return false;
	get_sockets(server, &sockets, true);
	server->door.last_client = last_client;
	return true;
}

/* Finds the listener that goes on with a connection, or makes one for its end. */
static struct listener *find_listener(struct server *server, const struct peer_origin *origin,
				      const struct peer *peer)
{
	struct listener *listener = listener_find(&server->listeners.all, origin->listener);

	if (listener && listener->config->settings.service == origin->service)
		return listener;
	return listeners_stand_in(
		&server->listeners, server->generation, origin->listener, origin->service,
		peer->session.chat ? peer->session.chat->dialect : DIALECT_OBJECT);
}

/* Finds what is to be found out about a connection. Returns whether it can go on. */
static bool place_arrival(struct server *server, struct arrival *arrival)
{
	struct listener *listener = find_listener(server, &arrival->origin, arrival->peer);
	struct peer *peer = arrival->peer;

	if (!listener)
		return false;
	peer->listener = listener;
	peer->reason = keep_reason(&server->handover, STEAL(arrival->origin.reason));
	if (peer->session.chat && peer->session.chat->max_message == 0)
		peer->session.chat->max_message = listener->config->settings.max_message;
	return true;
}

bool server_settle(struct server *server, struct succession *succession, struct arrival *arrival)
{
	/* Once a worker has the peer, it may go at any time; not so what the hub knows. */
	struct chat *chat = arrival->peer->session.chat;
	bool goes_on = place_arrival(server, arrival) && door_take_up(&server->door, arrival->peer);

	if (goes_on) {
		succession->n++;
		if (chat)
			succession->past.chats[succession->past.n_chats++] = chat;
	} else {
		peer_free(arrival->peer);
	}
	peer_origin_done(&arrival->origin);
	arrival->peer = NULL;
	return goes_on;
}

static int settle_all(struct server *server, struct succession *succession,
		      struct arrival *arrivals)
{
	size_t n = succession->handover.n_clients;

	succession->past.chats = calloc(n + 1, sizeof(struct chat *));
	if (!succession->past.chats)
		return -ENOMEM;
	for (size_t i = 0; i < n && arrivals[i].peer; i++)
		succession->lost += !server_settle(server, succession, &arrivals[i]);
	return 0;
}

/* Takes up what the last process has handed over. Returns 0 or a negative errno. */
static int take_up(struct server *server, struct succession *succession,
		   char problem[static HANDOVER_PROBLEM_MAX])
{
	size_t n = succession->handover.n_clients;
	struct arrival *arrivals = calloc(n + 1, sizeof(*arrivals));
	int r = arrivals ? 0 : -ENOMEM;

	(void)snprintf(problem, HANDOVER_PROBLEM_MAX, "its record is damaged");
	if (r == 0 && !read_arrivals(server, succession, arrivals))
		r = -EBADMSG;
	if (r == 0)
		r = settle_all(server, succession, arrivals);
	for (size_t i = 0; arrivals && i < n; i++) {
		peer_free(arrivals[i].peer);
		peer_origin_done(&arrivals[i].origin);
	}
	free(arrivals);
	return r;
}

static void log_loss(uint64_t n, const char *why)
{
	log_write(LOG_NOT_TAKEN_OVER, NULL,
		  "%" PRIu64 " connections of the last process are closed: %s", n, why);
}

void server_succeed(struct server *server, struct inherited *inherited,
		    struct succession *ret_succession)
{
	char problem[HANDOVER_PROBLEM_MAX] = "what is known of them is damaged";
	struct succession succession = {.began = 0};
	int handed, remained, r;

	/* All of what is stored goes, before anything new is stored under the same names. */
	handed = handover_take(&inherited->stored, &succession.handover, problem);
	remained = vault_take(&inherited->stored, &succession.remains);
	if (handed != -ENOENT) {
		handover_forget(HANDOVER_STATE);
		handover_forget(HANDOVER_CLIENTS);
	}
	for (size_t i = 0; i < inherited->n; i++)
		if (inherited->sockets[i].own)
			handover_forget(inherited->sockets[i].name);
	server_open_vault(server);
	r = handed != -ENOENT ? handed : remained;
	if (handed == 0)
		r = take_up(server, &succession, problem);
	else if (handed == -ENOENT && remained == 0)
		r = server_recover(server, &succession);
	crew_post_gathered(&server->crew);
	succession.succeeds = r == 0;
	if (r < 0 && r != -ENOENT) {
		uint64_t lost = handed == -ENOENT ? succession.remains.n_lost
				: handed < 0	  ? succession.handover.n_lost
						  : succession.handover.n_clients;

		log_loss(lost, r == -ENOMEM ? "out of memory" : problem);
		succession_done(&succession);
		succession.lost = lost;
	}
	*ret_succession = succession;
}

void server_succeeded(struct server *server, struct succession *succession)
{
	server->restart = (struct report_restart){
		.at = succession->succeeds || succession->lost > 0 ? server->since : 0,
		.carried = succession->n,
		.lost = succession->lost + succession->remains.n_lost,
		.crash = succession->past.killed,
	};
	if (!succession->succeeds)
		return;
	if (succession->past.killed)
		log_write(LOG_TAKEN_OVER, NULL,
			  "took over %" PRIu64
			  " connections of the last process, which did not end "
			  "in order; %" PRIu64 " were in the middle of something, and are closed",
			  succession->n, succession->remains.n_lost);
	else
		log_write(LOG_TAKEN_OVER, NULL,
			  "took over %" PRIu64 " connections of the last process, %" PRIu64
			  " ms after it was asked to stop",
			  succession->n, (server_microseconds() - succession->began) / 1000);
	if (succession->lost > 0)
		log_loss(succession->lost, "out of memory");
	succession_done(succession);
}

void succession_done(struct succession *succession)
{
	free(succession->past.chats);
	free(succession->past.absences);
	handover_done(&succession->handover);
	vault_remains_done(&succession->remains);
	*succession = (struct succession){0};
}
