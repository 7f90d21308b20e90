/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "descriptors.h"
#include "log.h"
#include "session_chat.h"
#include "session_transform.h"
#include "util.h"

enum {
	ACCEPTS_A_TURN = 64,
	SPARE_DESCRIPTORS = 16, /* for a reload, the journal, name service */
	REFUSALS_MAX = 256,	/* who are told why at one time; the others are just closed */
};

#define A_WHILE UINT64_C(1000000) /* microseconds */

/* The counters that the main thread writes. */
static struct counters *counters_of(struct listener *listener)
{
	return &listener->counters[listener->n_threads - 1];
}

/*
 * Shut and open
 */

static void set_listener_accepting(struct listener *listener, int enabled)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		if (listening->source)
			(void)sd_event_source_set_enabled(listening->source, enabled);
}

static void set_accepting(struct door *door, int enabled)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, door->listeners, struct listener, link)
		set_listener_accepting(listener, enabled);
}

/* Has the timer expire once, a while from now. */
static void set_timer(struct door *door)
{
	(void)sd_event_source_set_time_relative(door->timer, A_WHILE);
	(void)sd_event_source_set_enabled(door->timer, SD_EVENT_ONESHOT);
}

static void open_again(struct door *door)
{
	if (!door->shut)
		return;
	door->shut = false;
	set_accepting(door, SD_EVENT_ON);
	set_timer(door);
}

/* Those who wait may fill the place of whoever leaves at once: all that is told once. */
static void shut(struct door *door, const char *why)
{
	if (door->shut)
		return;
	door->shut = true;
	set_accepting(door, SD_EVENT_OFF);
	if (!door->told)
		log_folded(LOG_PAUSED, NULL,
			   "not accepting for now: %s; %" PRIu64 " clients are served, others wait "
			   "until one leaves (a greater LimitNOFILE= lets in more)",
			   why, door->clients);
	door->told = true;
	set_timer(door);
}

static int a_while_later(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct door *door = userdata;

	(void)source;
	(void)usec;
	if (door->shut && door->connections < door->capacity) {
		open_again(door); /* what ran out was not ours: it may be back */
	} else if (!door->shut && door->told) {
		door->told = false;
		log_folded(LOG_RESUMED, NULL, "accepting again: %" PRIu64 " clients",
			   door->clients);
	}
	return 0;
}

/*
 * Admission
 */

/* Counts a client in. Returns NULL, or why it is refused. */
static const char *admit(struct door *door, struct listener *listener, struct peer *peer)
{
	const struct settings *settings = &listener->config->settings;
	bool control = settings->service == SERVICE_CONTROL; /* however many others there are */
	uint8_t key[QUOTA_KEY];
	int r;

	if ((!control && door->config->max_clients > 0 &&
	     door->clients >= door->config->max_clients) ||
	    (settings->max_clients > 0 && listener->clients >= settings->max_clients)) {
		counters_add(counters_of(listener), COUNTER_REFUSED_CLIENTS, 1);
		return "too many clients";
	}
	peer_name_key(&peer->name, key);
	r = quota_take(&listener->quota, key, settings->max_clients_per_address);
	if (r != 0) {
		counters_add(counters_of(listener),
			     r < 0 ? COUNTER_REFUSED_MEMORY : COUNTER_REFUSED_ADDRESS, 1);
		return r < 0 ? "out of memory" : "too many clients from this address";
	}
	peer->admitted = true;
	listener->clients++;
	door->clients++;
	counters_add(counters_of(listener), COUNTER_ACCEPTED, 1);
	return NULL;
}

static void log_arrival(const struct peer *peer)
{
	char text[PEER_NAME_MAX];
	struct log_about about = {
		.listener = peer->listener->name,
		.peer = peer_name_format(&peer->name, text),
		.client = peer->id,
		.reason = peer->reason,
	};

	if (peer->reason)
		log_folded(LOG_REFUSED, &about, "refused: %s", peer->reason);
	else
		log_write(LOG_CONNECTED, &about, "connected");
}

/* Should this process be killed, the next goes on from there. */
static void note_last_client(const struct door *door)
{
	if (door->vault)
		atomic_store_explicit(&vault_ledger(door->vault)->header->last_client,
				      door->last_client, memory_order_relaxed);
}

/* Has a connection outlive this process should that be killed. */
static void keep_safe(struct door *door, struct peer *peer)
{
	struct ledger *ledger = vault_ledger(door->vault);
	const struct settings *settings = &peer->listener->config->settings;
	uint32_t number = ledger_take_entry(ledger, peer->id);
	struct ledger_entry *entry = &ledger->entries[number];
	struct chat *chat = peer->session.chat;

	note_last_client(door);
	if (number == 0)
		return;
	entry->service = (uint8_t)settings->service;
	entry->framing = (uint8_t)peer->session.framing;
	entry->dialect = (uint8_t)(chat ? chat->dialect : settings->dialect);
	entry->name = peer->name;
	(void)snprintf(entry->listener, sizeof(entry->listener), "%s", peer->listener->name);
	peer->letter.entry = number;
	if (chat) { /* the last process served it */
		chat->entry = entry;
		ledger_write_name(entry->room, chat->state.room);
	}
	vault_keep(door->vault, number, peer->stream.fd);
}

/* Readies a connection, counted in, for the worker that has the least to do. */
static void choose_worker(struct door *door, struct peer *peer)
{
	struct listener *listener = peer->listener;
	const struct settings *settings = &listener->config->settings;
	struct session *session = &peer->session;

	door->connections++;
	listener->connections++;
	peer->letter.worker = (uint16_t)crew_choose(door->crew);
	session->service =
		settings->service == SERVICE_TRANSFORM ? &session_transform : &session_chat;
	session->settings = settings;
	session->counters = &listener->counters[peer->letter.worker];
	if (session->chat) {
		session->chat->worker = peer->letter.worker;
		session->chat->listener = session->counters->listener;
	}
	if (door->vault && peer->admitted && settings->service != SERVICE_CONTROL)
		keep_safe(door, peer);
}

/* Takes a new connection over, fd included. */
static void welcome(struct door *door, struct listener *listener, int fd,
		    const struct sockaddr_storage *address)
{
	const struct settings *settings = &listener->config->settings;
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		counters_add(counters_of(listener), COUNTER_REFUSED_MEMORY, 1);
		closep(&fd);
		return;
	}
	peer_name_get(fd, address, &peer->name);
	peer->id = ++door->last_client;
	note_last_client(door);
	peer->listener = listener;
	peer->reason = admit(door, listener, peer);
	if (peer->reason || log_verbose())
		log_arrival(peer);
	if (peer->reason && door->connections - door->clients >= REFUSALS_MAX) {
		closep(&fd);
		free(peer);
		return;
	}
	stream_init(&peer->stream, fd);
	peer->session.framing = settings->framing;
	choose_worker(door, peer);
	crew_post(door->crew, peer->letter.worker, &peer->letter, LETTER_PEER);
}

bool door_take_up(struct door *door, struct peer *peer)
{
	struct listener *listener = peer->listener;
	uint8_t key[QUOTA_KEY];

	if (peer->admitted) {
		peer_name_key(&peer->name, key);
		if (quota_take(&listener->quota, key, 0) < 0)
			return false;
		listener->clients++;
		door->clients++;
	}
	peer->orphan = listener->gone; /* which its worker cannot ask */
	choose_worker(door, peer);
	crew_gather(door->crew, peer->letter.worker, &peer->letter, LETTER_PEER);
	return true;
}

static bool is_out_of_descriptors(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static int knocked(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct listening *listening = userdata;
	struct door *door = listening->door;

	(void)source;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage address = {.ss_family = AF_UNIX};
		socklen_t len = sizeof(address);
		int client;

		if (door->connections >= door->capacity) {
			shut(door, "no file descriptor is left for another (open-files limit)");
			return 0;
		}
		client = accept4(fd, (struct sockaddr *)&address, &len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client >= 0) {
			welcome(door, listening->listener, client, &address);
		} else if (is_out_of_descriptors(errno)) {
			shut(door, strerror(errno));
			return 0;
		} else if (errno == EAGAIN) {
			return 0;
		}
		/* Any other error is of one connection, which is gone (accept(2)). */
	}
	return 0;
}

int door_watch(struct door *door, struct listening *listening)
{
	int r;

	listening->door = door;
	r = sd_event_add_io(door->event, &listening->source, listening->fd, EPOLLIN, knocked,
			    listening);
	if (r >= 0 && door->shut)
		r = sd_event_source_set_enabled(listening->source, SD_EVENT_OFF);
	return MIN(r, 0);
}

static uint64_t listener_count_sockets(const struct listener *listener)
{
	struct listening *listening;
	uint64_t n = 0;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		n++;
	return n;
}

static uint64_t count_sockets(const struct door *door)
{
	struct listener *listener;
	uint64_t n = 0;

	LIST_FOR_EACH(listener, door->listeners, struct listener, link)
		n += listener_count_sockets(listener);
	return n;
}

void door_count(struct door *door)
{
	uint64_t open = descriptors_count(), sockets = count_sockets(door);

	door->reserve = SPARE_DESCRIPTORS + open - MIN(open, sockets);
}

int door_open(struct door *door)
{
	int r;

	/* Made now: when it is needed, there may be no descriptor for it. */
	r = sd_event_add_time_relative(door->event, &door->timer, CLOCK_MONOTONIC, A_WHILE, 0,
				       a_while_later, door);
	if (r >= 0)
		r = sd_event_source_set_enabled(door->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;

	if (door->connections == 0)
		door_count(door); /* more are open by now */
	note_last_client(door);
	door_adjust(door);
	return 0;
}

void door_adjust(struct door *door)
{
	uint64_t needed = door->reserve + count_sockets(door), limit = descriptors_limit();

	door->capacity = limit > needed ? limit - needed : 1;
	if (door->connections < door->capacity)
		open_again(door);
}

void door_gone(struct door *door, struct peer *peer)
{
	struct listener *listener = peer->listener;
	uint8_t key[QUOTA_KEY];

	if (peer->admitted) {
		peer_name_key(&peer->name, key);
		quota_give(&listener->quota, key);
		listener->clients--;
		door->clients--;
		counters_add(counters_of(listener), COUNTER_GONE, 1);
	}
	if (door->vault)
		vault_forget(door->vault, peer->letter.entry);
	door->connections--;
	listener->connections--;
	crew_gave_back(door->crew, peer->letter.worker);
	free(peer);
	if (door->connections < door->capacity)
		open_again(door);
}

void door_close(struct door *door)
{
	set_accepting(door, SD_EVENT_OFF);
	door->timer = sd_event_source_disable_unref(door->timer);
	door->shut = false;
}
