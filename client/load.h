/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A closed-loop load generator: clients that each keep a number of messages on their way and send
 * the next as soon as one is settled. One thread with one epoll serves them all; for each readiness
 * it makes one call to receive and one to send, whatever the number of messages.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "histogram.h"
#include "target.h"
#include "workload.h"

enum load_kind {
	LOAD_ANSWERS, /* a transform listener: a message is settled by its answer */
	LOAD_SAY,     /* chat: each client says; a message is settled by its reply */
	LOAD_FANOUT,  /* chat: the first client says; a message is settled when all have it */
};

enum {
	LOAD_ROOM_MAX = 128, /* bytes of a room's name */
	LOAD_TEXT_EDGE = 16, /* chat, verify: the least size of a message */
};

struct load_setup {
	enum load_kind kind;
	const struct common *common; /* its timeout is of connecting and of each answer */
	const struct target *target;
	struct workload_setup workload;
	size_t n_clients; /* connections: of LOAD_FANOUT the speaker and the members */
	const char *room; /* chat */
	size_t n_rooms;	  /* LOAD_SAY: when not 1, clients are spread over ROOM-1, ROOM-2, ... */
	bool bare; /* LOAD_FANOUT: the server sends what the speaker sends, as it is, to all */
	uint64_t warmup_ms; /* runs like the rest, but counts for nothing */
	uint64_t duration_ms;
};

struct load_result {
	uint64_t messages;   /* settled within the measured time */
	uint64_t deliveries; /* chat: messages that came to members in that time */
	uint64_t frames;     /* chat: bytes of those, in their frames */
	uint64_t bytes;	     /* of payload: of messages or, LOAD_FANOUT, of deliveries */
	uint64_t lost;	     /* datagrams given up on */
	uint64_t late;	     /* datagrams that came after that, or twice */
	uint64_t connect_ns;
	uint64_t elapsed_ns; /* of the measured time, as are the next two */
	uint64_t user_ns;
	uint64_t system_ns;
	struct histogram latency; /* in ns */
};

/*
 * Runs the load. *ret_result is zero-initialised by the caller and large. Complains and returns the
 * status to exit with, or STATUS_GO_ON.
 */
int load_run(const struct load_setup *setup, struct load_result *ret_result);
