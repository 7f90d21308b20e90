/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside the load generator: one client of it, and what a client needs of the whole. load_run.c
 * owns the clients, the clock and the loop; load_stream.c and load_datagram.c are a client's turn.
 */

#include "clock.h"
#include "load.h"

enum {
	LOAD_BUFFER = 256 * 1024, /* shared by all clients: nothing is kept in it */
	LOAD_BATCH = 64,	  /* datagrams in one call */
};

/* Messages that left at the same time; their answers are due in this order. */
struct load_run_of_messages {
	uint64_t sent_at;
	uint32_t n;
};

struct load_client {
	int fd; /* owned; -1 before it is connected and when it is done */
	bool writable_wanted;
	uint32_t next;	    /* in the round: the message to be sent next */
	uint32_t in_flight; /* messages queued or sent, and not answered */

	/* Stream */
	size_t unsent;			   /* bytes that stand before the message next */
	struct load_run_of_messages *runs; /* a ring of in_flight; owned */
	uint32_t first_run, n_runs;
	uint64_t left;	  /* length: bytes of the answer at hand to come; line, raw: bytes of it
			   * that came; verify: where we are in the round of answers */
	uint32_t answer;  /* verify: in the round, the answer at hand */
	uint8_t n_header; /* length: bytes of header */
	uint8_t header[FRAME_HEADER];

	/* Datagrams */
	uint64_t *sent_at; /* by number in the round: when it was sent, or 0; owned */
};

struct load {
	const struct load_setup *setup;
	struct workload workload;
	struct load_client *clients; /* owned */
	int epoll;		     /* owned */
	uint8_t *buffer;	     /* LOAD_BUFFER bytes; owned */
	uint64_t in_flight;	     /* over all clients */
	uint64_t last_answer;	     /* when it came */
	bool measuring;
	bool draining; /* nothing new is sent */
	struct load_result *result;
};

/* Counts n answers of bytes payload to messages sent at that time. */
static inline void load_count(struct load *load, uint64_t now, uint64_t sent_at, uint64_t n)
{
	if (load->measuring) {
		load->result->messages += n;
		histogram_add(&load->result->latency, now - sent_at, n);
	}
	load->last_answer = now;
}

/* Has epoll watch the client's connection for events; operation is epoll_ctl()'s. */
int load_watch(struct load *load, struct load_client *client, int operation, uint32_t events);

/* Has epoll wake this client for room to send as well, or no longer. Returns 0 or -errno. */
int load_want_writable(struct load *load, struct load_client *client, bool wanted);

/* Complains that the client's connection failed; returns the status. */
int load_failed(const struct load *load, int error);

/*
 * A client's turns: the first messages, and what epoll says. They return STATUS_GO_ON or complain
 * and return the status to exit with.
 */
int load_stream_start(struct load *load, struct load_client *client);
int load_stream_turn(struct load *load, struct load_client *client, uint32_t events);
int load_datagram_start(struct load *load, struct load_client *client);
int load_datagram_turn(struct load *load, struct load_client *client, uint32_t events);

/* Gives up on datagrams without an answer that were sent before this time, and sends others. */
int load_datagram_expire(struct load *load, struct load_client *client, uint64_t before);
