/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "log.h"
#include "session_transform.h"
#include "util.h"

enum {
	ACCEPTS_A_TURN = 64,
	SPARE_DESCRIPTORS = 16, /* for a reload, the journal, name service */
	REFUSALS_MAX = 256,	/* who are told why at one time; the others are just closed */
	RETRY_SECONDS = 1,
};

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

static void open_again(struct door *door)
{
	if (!door->shut)
		return;
	door->shut = false;
	(void)sd_event_source_set_enabled(door->retry, SD_EVENT_OFF);
	set_accepting(door, SD_EVENT_ON);
	log_folded(LOG_RESUMED, NULL, "accepting again: %" PRIu64 " clients", door->clients);
}

static int retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	open_again(userdata);
	return 0;
}

static void shut(struct door *door, const char *why)
{
	uint64_t when = RETRY_SECONDS * UINT64_C(1000000);

	if (door->shut)
		return;
	door->shut = true;
	set_accepting(door, SD_EVENT_OFF);
	log_folded(LOG_PAUSED, NULL,
		   "not accepting for now: %s; %" PRIu64
		   " clients are served, others wait until one "
		   "leaves (a greater LimitNOFILE= lets in more)",
		   why, door->clients);
	/* With the limit reached only a departure helps; otherwise time may. */
	if (door->connections >= door->capacity)
		return;
	if (door->retry) {
		(void)sd_event_source_set_time_relative(door->retry, when);
		(void)sd_event_source_set_enabled(door->retry, SD_EVENT_ONESHOT);
	} else {
		(void)sd_event_add_time_relative(door->event, &door->retry, CLOCK_MONOTONIC, when,
						 0, retry, door);
	}
}

/*
 * Admission
 */

/* Counts a client in. Returns NULL, or why it is refused. */
static const char *admit(struct door *door, struct listener *listener, struct peer *peer)
{
	const struct settings *settings = &listener->config->settings;
	uint8_t key[QUOTA_KEY];
	int r;

	if ((door->config->max_clients > 0 && door->clients >= door->config->max_clients) ||
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
	peer->listener = listener;
	peer->reason = admit(door, listener, peer);
	if (peer->reason || log_verbose())
		log_arrival(peer);
	if (peer->reason && door->connections - door->clients >= REFUSALS_MAX) {
		closep(&fd);
		free(peer);
		return;
	}
	door->connections++;
	listener->connections++;
	stream_init(&peer->stream, fd);
	peer->worker = (uint16_t)crew_choose(door->crew);
	peer->session = (struct session){
		.service = &session_transform,
		.settings = settings,
		.counters = &listener->counters[peer->worker],
		.framing = settings->framing,
	};
	crew_post(door->crew, peer->worker, &peer->letter, LETTER_PEER);
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
	listening->door = door;
	return sd_event_add_io(door->event, &listening->source, listening->fd, EPOLLIN, knocked,
			       listening);
}

/* How many descriptors this process has open. */
static uint64_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!directory)
		return 64; /* without /proc: a guess that is rather too high */
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n; /* ".", ".." and the directory's own are three too many: to be on the safe side */
}

void door_measure(struct door *door)
{
	uint64_t used = count_descriptors() - door->connections + SPARE_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit.rlim_cur = limit.rlim_max = 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {limit.rlim_max, limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	door->capacity = limit.rlim_cur > used ? limit.rlim_cur - used : 1;
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
	}
	door->connections--;
	listener->connections--;
	crew_gave_back(door->crew, peer->worker);
	free(peer);
	if (door->connections < door->capacity)
		open_again(door);
}

void door_close(struct door *door)
{
	set_accepting(door, SD_EVENT_OFF);
	door->retry = sd_event_source_disable_unref(door->retry);
	door->shut = false;
}
