/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside the load generator: one client of it, and what a client needs of the whole. load_run.c
 * owns the clients, the clock and the loop; load_stream.c, load_datagram.c and load_chat.c are a
 * client's turn.
 */

#include "chat.h"
#include "clock.h"
#include "load.h"

enum {
	LOAD_BUFFER = 256 * 1024, /* shared by all clients: nothing is kept in it */
	LOAD_BATCH = 64,	  /* datagrams in one call */
	LOAD_MARK = 11,		  /* bytes of an object that tell what it is: {"event":"m */
	LOAD_HEAD = FRAME_HEADER + LOAD_MARK,
};

/* Messages that left at the same time; their answers are due in this order. */
struct load_run_of_messages {
	uint64_t sent_at;
	uint32_t n;
};

/* What becomes of a frame of the object dialect. */
enum load_use {
	LOAD_SKIP,    /* of no importance here */
	LOAD_MESSAGE, /* an event that brings a message: it is counted */
	LOAD_REPLY,   /* a reply that says yes: likewise */
	LOAD_READ,    /* what has to be read in full */
};

/* What a client of the chat service has besides. */
struct load_talk {
	size_t room; /* of the rooms that there are */
	bool joined;
	uint64_t said;	       /* messages */
	uint64_t heard;	       /* messages that came to it */
	uint64_t replies;      /* that came */
	uint64_t seq;	       /* verify: in the log, of the message that came last */
	uint64_t acknowledged; /* verify: likewise, of the reply that came last */
	uint64_t followed;  /* verify: messages that came of its own or, fan-out, the speaker's */
	uint32_t due;	    /* fan-out: in the ring, the message that comes next */
	uint32_t reply_due; /* fan-out: likewise, the speaker's next reply */
	struct buffer out;  /* to be sent; owned */
	size_t out_sent;
	struct buffer in; /* LOAD_READ: of the object at hand what came; owned */
	uint64_t left;	  /* bytes of the object at hand to come */
	uint64_t size;	  /* of its frame */
	enum load_use use;
	uint8_t n_head;
	uint8_t head[LOAD_HEAD]; /* the beginning of a frame, too short to tell what it is */
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

	struct load_talk talk;
};

/* Fan-out: a message on its way. */
struct load_spread {
	uint64_t said_at;
	uint64_t owed; /* deliveries to come, and the reply */
};

/* What the clients of the chat service share. */
struct load_chat {
	bool joining;
	struct buffer *says;	    /* of each room: what is said over and over, in its frame */
	struct load_spread *ring;   /* in_flight of them; owned */
	uint32_t next;		    /* in the ring: the message to be said next */
	uint32_t settled;	    /* messages that the speaker has to say for those settled */
	uint64_t usual_size;	    /* of the frame of a message as most are; 0: not known yet */
	uint8_t usual[LOAD_HEAD];   /* how it begins */
	struct buffer object, text; /* scratch */
};

struct load {
	const struct load_setup *setup;
	struct workload workload;
	struct load_client *clients; /* owned */
	int epoll;		     /* owned */
	uint8_t *buffer;	     /* LOAD_BUFFER bytes; owned */
	uint64_t in_flight;	     /* over all clients */
	uint64_t last_answer;	     /* when it came */
	struct load_chat chat;
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

/* Complains that the server broke the protocol, or that it says why it refuses; the status. */
int load_wrong(const struct load *load, const char *what);
int load_refused(const void *reason, size_t len);

/* Books n messages that left now, and n answers that came now to those that left first. */
void load_book_sent(struct load *load, struct load_client *client, uint32_t n, uint64_t now);
void load_book_answers(struct load *load, struct load_client *client, uint64_t n, uint64_t now);

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

/* Prepares what is said, and joins the room: that has happened when nothing is in flight. */
int load_chat_make(struct load *load);
void load_chat_done(struct load *load);
int load_chat_join(struct load *load, struct load_client *client);

int load_chat_start(struct load *load, struct load_client *client);
int load_chat_turn(struct load *load, struct load_client *client, uint32_t events);

/* What one receipt brought a client of the chat service. */
struct load_heard {
	uint64_t messages;
	uint64_t bytes; /* of their frames */
	uint64_t replies;
};

/*
 * Looks through what came: counts it or, with verify, reads all and compares messages with what
 * was said. Returns STATUS_GO_ON, or complains and returns the status to exit with.
 */
int load_hear(struct load *load, struct load_client *client, const uint8_t *data, size_t len,
	      struct load_heard *ret_heard);

/* The text of a client's message of this number, that no other has, in load->chat.text. */
int load_chat_text(struct load *load, size_t client, uint64_t number);
