/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_successor.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "peer.h"
#include "util.h"

enum {
	PATIENCE = 20000, /* milliseconds that anything may take */
	HEIRS_MAX = 32,	  /* until nothing changes any more */
};

struct successor {
	const char *config; /* borrowed */
	struct server server;
	unsigned echoes; /* that have come */
};

/* ---- the system ---- */

/*
 * It has no users. A hub that ends leaves a thread alone that lists them, and here another begins
 * to, which these functions are not made for; in a daemon there is one hub.
 */
struct passwd *getpwent(void)
{
	return NULL;
}

void setpwent(void)
{
}

void endpwent(void)
{
}

/* ---- the log ---- */

/* Where errors are logged: a pipe, of this process until its end. */
static int log_pipe = -1;

static void open_log(void)
{
	int both[2], before = dup(STDERR_FILENO);

	require(pipe2(both, O_CLOEXEC | O_NONBLOCK) == 0);
	/* The log goes to where standard error is at that moment. */
	require(before >= 0 && dup2(both[1], STDERR_FILENO) >= 0);
	log_open(false);
	require(dup2(before, STDERR_FILENO) >= 0);
	log_set_level(LOG_ERR);
	(void)close(before);
	(void)close(both[1]);
	log_pipe = both[0];
}

/* Whether an error has been logged since it was asked last. */
static bool has_complained(void)
{
	char bytes[4096];
	bool any = false;

	while (read(log_pipe, bytes, sizeof(bytes)) > 0)
		any = true;
	return any;
}

/* ---- life ---- */

static struct generation *load(const char *text)
{
	struct config_problems problems = {0};
	struct generation *generation;
	struct config *config;
	int r = config_load_text("successor", text, strlen(text), &config, &problems);

	if (r < 0)
		(void)fprintf(stderr, "%.*s", (int)problems.text.len,
			      (const char *)problems.text.data);
	require(r == 0);
	config_problems_done(&problems);
	generation = generation_new(config);
	require(generation);
	return generation;
}

static void add_listeners(struct server *server)
{
	struct config *config = server->generation->config;

	for (size_t i = 0; i < config->n_listeners; i++) {
		struct listener *listener =
			listener_new(server->generation, &config->listeners[i], server->crew.n + 1);

		require(listener);
		list_append(&server->listeners.all, &listener->link);
	}
}

static void start(struct successor *successor, const char *config)
{
	struct server *server = &successor->server;

	*successor = (struct successor){.config = config, .server.mailbox.fd = -1};
	if (log_pipe < 0)
		open_log();
	list_init(&server->listeners.all);
	list_init(&server->handover.peers);
	server->listeners.crew = &server->crew;
	server->listeners.door = &server->door;
	server->door.crew = &server->crew;
	server->door.listeners = &server->listeners.all;
	server->generation = load(config);
	server->door.config = server->generation->config;
	require(mailbox_init(&server->mailbox) == 0);
	require(hub_new(&server->hub) == 0);
	/* One of them: connections come back in the order in which they went. */
	require(crew_start(&server->crew, 1, &server->mailbox, hub_mailbox(server->hub), NULL) ==
		0);
	add_listeners(server);
}

/* ---- letters ---- */

static void read_letter(struct successor *successor, struct letter *letter)
{
	struct server *server = &successor->server;
	struct peer *peer = CONTAINER_OF(letter, struct peer, letter);

	switch ((enum letter_kind)letter->kind) {
	case LETTER_PEER_GONE:
		listeners_peer_gone(&server->listeners, peer);
		break;
	case LETTER_PEER_KEPT:
		list_append(&server->handover.peers, &peer->link);
		server->handover.n_peers++;
		break;
	case LETTER_SUSPENDED:
		server->handover.unsettled--;
		break;
	case LETTER_HUB_KEPT:
		server->handover.hub_kept = true;
		break;
	case LETTER_ECHOED:
		successor->echoes++;
		break;
	case LETTER_ERRAND:
		errand_done(server->hub, CONTAINER_OF(letter, struct errand, letter));
		break;
	default:
		require(letter->kind != LETTER_FAILED);
	}
}

static void read_mail(struct successor *successor)
{
	struct letter *letter, *next;

	for (letter = mailbox_collect(&successor->server.mailbox); letter; letter = next) {
		next = letter->next;
		read_letter(successor, letter);
	}
}

static void await_mail(struct successor *successor)
{
	struct pollfd polled = {.fd = successor->server.mailbox.fd, .events = POLLIN};

	require(TEMP_FAILURE_RETRY(poll(&polled, 1, PATIENCE)) == 1);
	read_mail(successor);
}

static void await_echo(struct successor *successor)
{
	unsigned before = successor->echoes;

	while (successor->echoes == before)
		await_mail(successor);
}

static void stop(struct successor *successor)
{
	struct server *server = &successor->server;

	hub_hurry(server->hub);
	crew_order(&server->crew, LETTER_QUIT);
	while (server->door.connections > server->handover.n_peers)
		await_mail(successor);
	crew_join(&server->crew);
	read_mail(successor);
	server_handover_done(server);
	require(server->door.connections == 0 && server->door.clients == 0);
	hub_free(server->hub);
	crew_done(&server->crew);
	listeners_done(&server->listeners);
	(void)generation_unref(server->generation);
	mailbox_done(&server->mailbox);
}

/* ---- taking ---- */

/* Nothing is half-taken. */
static void require_untouched(const struct server *server)
{
	const struct listener *listener;
	size_t n = 0;

	require(server->door.connections == 0 && server->door.clients == 0);
	require(server->door.last_client == 0 && server->handover.n_reasons == 0);
	LIST_FOR_EACH(listener, &server->listeners.all, struct listener, link) {
		require(listener->connections == 0 && listener->clients == 0 && !listener->gone &&
			!listener->quota.root);
		n++;
	}
	require(n == server->generation->config->n_listeners);
}

/* Takes up what was stored, as far as possible; if it is refused, all is as it was. */
static enum successor_taken take(struct successor *successor, struct handover_stored *stored)
{
	struct server *server = &successor->server;
	struct inherited inherited = {.stored = *stored};
	struct succession succession;
	bool all;

	(void)has_complained(); /* of something else */
	server_succeed(server, &inherited, &succession);
	handover_stored_done(&inherited.stored);
	if (!succession.succeeds) {
		succession_done(&succession);
		require_untouched(server);
		return SUCCESSOR_NOTHING;
	}
	require(succession.lost == 0 && server->door.connections == succession.n);
	all = succession.remains.n_lost == 0;
	require(hub_start(server->hub, server->generation->config, NULL, &server->crew,
			  &server->mailbox, &succession.past) == 0);
	server_succeeded(server, &succession);
	return all && !has_complained() ? SUCCESSOR_ALL : SUCCESSOR_PART;
}

/* ---- leaving ---- */

/* Waits until what the hub has said to begin with has come, and what was asked of it then. */
static void settle(struct successor *successor)
{
	for (unsigned i = 0; i < 2; i++) {
		crew_order(&successor->server.crew, LETTER_ECHO);
		await_echo(successor);
		hub_ask_echo(successor->server.hub);
		await_echo(successor);
	}
}

static void part(struct successor *successor)
{
	struct server *server = &successor->server;

	server->handover.unsettled = server->crew.n;
	crew_order(&server->crew, LETTER_SUSPEND);
	while (server->handover.unsettled > 0)
		await_mail(successor);
	hub_hand_over(server->hub);
	while (!server->handover.hub_kept || server->handover.n_peers < server->door.connections)
		await_mail(successor);
}

/* As the daemon does, but for sockets to listen on, and the time. */
static void write_down(const struct server *server, struct record *record, int *clients)
{
	const struct record *hub = hub_record(server->hub);
	struct peer *peer;

	record_put(record, 1);
	record_put(record, server->door.last_client);
	record_put(record, 0);
	LIST_FOR_EACH(peer, &server->handover.peers, struct peer, link) {
		peer_put(peer, record);
		*clients++ = peer->stream.fd;
	}
	record_put_bytes(record, hub->buffer.data, hub->buffer.len);
	require(!record->failed && !hub->failed);
}

/* Writes down all that it serves, and packs that for the next one. */
static void leave(struct successor *successor, struct record *ret_record,
		  struct handover_stored *ret_stored)
{
	CLEANUP(freep) int *clients = NULL;
	size_t n;

	part(successor);
	n = successor->server.handover.n_peers;
	clients = calloc(n + 1, sizeof(*clients));
	require(clients);
	write_down(&successor->server, ret_record, clients);
	require(handover_pack(ret_record, clients, n, ret_stored) == 0);
}

/* ---- the clients ---- */

/* Makes a TCP socket at an address of the loopback device. */
static int open_at(in_addr_t ip)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	require(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void connect_on_loopback(int ends[static 2])
{
	static int listening = -1; /* until the process ends */
	static in_addr_t n;
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	if (listening < 0) {
		listening = open_at(INADDR_LOOPBACK);
		require(listen(listening, 1) == 0);
	}
	require(getsockname(listening, (struct sockaddr *)&address, &len) == 0);
	/* At so many addresses no port is short, although none is free at once. */
	ends[0] = open_at(INADDR_LOOPBACK + ++n % 65536);
	/* A fuzzer has a timer that interrupts; once more, connect(2) goes on waiting. */
	require(TEMP_FAILURE_RETRY(
			connect(ends[0], (struct sockaddr *)&address, sizeof(address))) == 0);
	ends[1] = (int)TEMP_FAILURE_RETRY(
		accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	require(ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
}

void successor_connect(int ends[static 2], bool proven)
{
	if (proven)
		require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) ==
			0);
	else
		connect_on_loopback(ends);
}

/* Takes what has come for a client. Returns whether it has ended, and is closed. */
static bool read_client(int *client)
{
	static char bytes[65536];
	ssize_t n;

	if (*client < 0)
		return true;
	do {
		n = recv(*client, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	if (n < 0 && errno == EAGAIN)
		return false;
	(void)close(STEAL_FD(*client));
	return true;
}

/* Waits until all connections are over, as their clients end. */
static void await_ends(struct successor *successor, int *clients, size_t n)
{
	struct pollfd *polled = calloc(n + 1, sizeof(*polled));

	require(polled);
	for (size_t i = 0; i < n; i++)
		(void)shutdown(clients[i], SHUT_WR); /* the other end may be closed */
	for (;;) {
		size_t open = 0;

		for (size_t i = 0; i < n; i++)
			if (!read_client(&clients[i]))
				polled[open++] = (struct pollfd){clients[i], POLLIN, 0};
		read_mail(successor);
		if (open == 0 && successor->server.door.connections == 0)
			break;
		polled[open++] = (struct pollfd){successor->server.mailbox.fd, POLLIN, 0};
		require(TEMP_FAILURE_RETRY(poll(polled, open, PATIENCE)) > 0);
	}
	free(polled);
}

/* ---- all of it ---- */

static void require_closed(int *clients, size_t n)
{
	for (size_t i = 0; i < n; i++)
		require(read_client(&clients[i]));
}

static void renew(struct successor *successor)
{
	const char *config = successor->config;

	stop(successor);
	start(successor, config);
}

/* Has the next one take up what the last has left. */
static void succeed(struct successor *successor, struct handover_stored *stored)
{
	renew(successor);
	require(take(successor, stored) == SUCCESSOR_ALL);
}

static bool is_equal(const struct record *one, const struct record *other)
{
	return one->buffer.data && one->buffer.len == other->buffer.len &&
	       memcmp(one->buffer.data, other->buffer.data, one->buffer.len) == 0;
}

static enum successor_taken inherit_all(struct successor *successor, struct handover_stored *stored,
					int *clients, size_t n)
{
	struct record before = {.failed = false}, record = {.failed = false};
	enum successor_taken taken = take(successor, stored);
	unsigned heirs = 0;
	bool is_same;

	if (taken == SUCCESSOR_NOTHING) {
		require_closed(clients, n);
		return taken;
	}
	do {
		struct handover_stored next;

		require(heirs++ < HEIRS_MAX);
		record_done(&before);
		before = record;
		record = (struct record){.failed = false};
		settle(successor);
		leave(successor, &record, &next);
		is_same = is_equal(&before, &record);
		succeed(successor, &next);
	} while (!is_same);
	record_done(&before);
	record_done(&record);
	await_ends(successor, clients, n);
	renew(successor);
	return taken;
}

static size_t count_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t n = 0;

	require(directory);
	while (readdir(directory))
		n++;
	(void)closedir(directory); /* it was only read */
	return n;
}

/*
 * Returns how many descriptors are open. Whoever asks the name service may have one for a while
 * longer, so it waits until there are as many as expected; 0: as there are.
 */
static size_t await_files(size_t expected)
{
	size_t n = count_files();

	for (unsigned i = 0; n != expected && expected > 0 && i < PATIENCE; i++) {
		(void)poll(NULL, 0, 1);
		n = count_files();
	}
	return n;
}

/* ---- fuzz targets ---- */

const char *__asan_default_options(void);
void fuzz_expect(bool taken); /* called by fuzz_main.c */

/* Whatever numbers stand in an input, nobody asks for more memory than that. */
const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=64";
}

static struct successor ready;
static size_t files; /* that were open at the beginning */
static bool expects_all;

void fuzz_expect(bool taken)
{
	expects_all = taken;
}

static void stop_ready(void)
{
	stop(&ready);
}

void successor_begin(const char *config)
{
	int ends[2];

	if (!ready.server.hub) {
		start(&ready, config);
		(void)atexit(stop_ready);
		/* Opens what all of these connections share. */
		successor_connect(ends, false);
		(void)close(ends[0]);
		(void)close(ends[1]);
	}
	files = await_files(0);
}

enum successor_taken successor_inherit(struct handover_stored *stored, int *clients, size_t n)
{
	enum successor_taken taken = inherit_all(&ready, stored, clients, n);

	require(taken == SUCCESSOR_ALL || !expects_all);
	require(await_files(files) == files);
	return taken;
}
