/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_hub.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "session_chat.h"
#include "util.h"

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "the stage: %s: %m\n", what);
	abort();
}

/* ---- the stage ---- */

static void load(struct hub_stage *stage, const char *text)
{
	struct config_problems problems = {0};
	int r = config_load_text("stage", text, strlen(text), &stage->config, &problems);

	if (r < 0)
		(void)fprintf(stderr, "%.*s", (int)problems.text.len,
			      (const char *)problems.text.data);
	require(r == 0, "configuration");
	config_problems_done(&problems);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			listen(fd, 64) == 0,
		"listen");
	return fd;
}

void hub_stage_start(struct hub_stage *stage, const char *config, const char *state)
{
	char problem[STORE_PROBLEM_MAX] = "";
	struct store *store = NULL;
	unsigned workers;

	*stage = (struct hub_stage){.mailbox.fd = -1, .listening = listen_on_loopback()};
	load(stage, config);
	workers = MAX(stage->config->workers, 1u);
	stage->counters = calloc(workers, sizeof(*stage->counters));
	require(stage->counters, "memory");
	for (unsigned i = 0; i < workers; i++)
		stage->counters[i].listener = "stage";
	require(mailbox_init(&stage->mailbox) == 0, "mailbox");
	require(hub_new(&stage->hub) == 0, "hub");
	require(crew_start(&stage->crew, workers, &stage->mailbox, hub_mailbox(stage->hub), NULL) ==
			0,
		"workers");
	if (state && store_open(state, &store, problem) < 0)
		(void)fprintf(stderr, "%s\n", problem);
	require(!state || store, "store");
	require(hub_start(stage->hub, stage->config, store, &stage->crew, &stage->mailbox, NULL) ==
			0,
		"hub");
}

static void bury(struct hub_stage *stage, struct peer *peer)
{
	crew_gave_back(&stage->crew, peer->letter.worker);
	free(peer);
	stage->connections--;
}

static void read_mail(struct hub_stage *stage)
{
	struct letter *letter, *next;

	for (letter = mailbox_collect(&stage->mailbox); letter; letter = next) {
		next = letter->next;
		if (letter->kind == LETTER_PEER_GONE)
			bury(stage, CONTAINER_OF(letter, struct peer, letter));
		else if (letter->kind == LETTER_ERRAND)
			errand_done(stage->hub, CONTAINER_OF(letter, struct errand, letter));
		else
			require(letter->kind != LETTER_FAILED, "a worker has failed");
	}
}

void hub_stage_await(struct hub_stage *stage, size_t n)
{
	read_mail(stage);
	while (stage->connections > n) {
		struct pollfd polled = {.fd = stage->mailbox.fd, .events = POLLIN};

		require(TEMP_FAILURE_RETRY(poll(&polled, 1, 60000)) == 1,
			"waiting for connections to end");
		read_mail(stage);
	}
}

void hub_stage_stop(struct hub_stage *stage)
{
	crew_order(&stage->crew, LETTER_QUIT);
	hub_stage_await(stage, 0);
	crew_join(&stage->crew);
	read_mail(stage);
	hub_free(stage->hub);
	crew_done(&stage->crew);
	mailbox_done(&stage->mailbox);
	config_free(stage->config);
	free(stage->counters);
	closep(&stage->listening);
	*stage = (struct hub_stage){.mailbox.fd = -1, .listening = -1};
}

/* ---- connections ---- */

/* Limits what a socket holds, as far as the kernel lets it. */
static void limit(int fd, int direction, int buffered)
{
	if (buffered > 0)
		(void)setsockopt(fd, SOL_SOCKET, direction, &buffered, sizeof(int));
}

/* Connects two ends: that of the client, and that of the daemon. */
static void connect_pair(const struct hub_stage *stage, int ends[static 2], int buffered)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	require(getsockname(stage->listening, (struct sockaddr *)&address, &len) == 0, "name");
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(ends[0] >= 0, "socket");
	limit(ends[0], SO_RCVBUF, buffered);
	require(connect(ends[0], (struct sockaddr *)&address, len) == 0, "connect");
	ends[1] = accept4(stage->listening, NULL, NULL, SOCK_CLOEXEC);
	require(ends[1] >= 0, "accept");
	for (int i = 0; i < 2; i++)
		(void)setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	limit(ends[1], SO_SNDBUF, buffered);
}

int hub_stage_connect(struct hub_stage *stage, size_t listener, bool proven, int buffered)
{
	const struct settings *settings = &stage->config->listeners[listener].settings;
	struct sockaddr_storage address = {.ss_family = proven ? AF_UNIX : AF_INET};
	struct peer *peer = calloc(1, sizeof(*peer));
	int ends[2] = {-1, -1};

	require(peer, "memory");
	if (proven) {
		require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0,
			"socketpair");
		limit(ends[0], SO_RCVBUF, buffered);
		limit(ends[1], SO_SNDBUF, buffered);
	} else {
		connect_pair(stage, ends, buffered);
	}
	require(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
			fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0,
		"fcntl");
	peer_name_get(ends[1], &address, &peer->name);
	peer->id = ++stage->last_client;
	stream_init(&peer->stream, ends[1]);
	peer->letter.worker = (uint16_t)crew_choose(&stage->crew);
	peer->session = (struct session){
		.service = &session_chat,
		.settings = settings,
		.counters = &stage->counters[peer->letter.worker],
		.framing = settings->framing,
	};
	stage->connections++;
	crew_post(&stage->crew, peer->letter.worker, &peer->letter, LETTER_PEER);
	return ends[0];
}
