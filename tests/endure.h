/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of tool_endure share: a load of thousands of clients in one thread, each of which
 * knows every byte that it must get.
 *
 *   tool_endure.c        command line, the loop, the beginning and the end
 *   endure_listeners.c   where the server is
 *   endure_client.c      the life of a connection: connecting, losing, waiting
 *   endure_stream.c      kinds that speak to a transform listener over a stream
 *   endure_room.c        members of rooms
 *   endure_udp.c         datagrams
 *   endure_script.c      what a client says and hears, made from a seed
 *   endure_report.c      counting and telling
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "address.h"
#include "bytes.h"
#include "frame.h"
#include "harness.h"
#include "timer.h"

enum kind {
	KIND_IDLE,
	KIND_PING,
	KIND_PIPELINE,
	KIND_FLOOD,
	KIND_RAW,
	KIND_MIDFRAME,
	KIND_STALLED,
	KIND_HALFCLOSE,
	KIND_UNIX,
	KIND_ROOM,
	KIND_CHURN,
	KIND_UDP,
	KINDS
};

/* The addresses of the command line. */
enum way { WAY_LENGTH, WAY_LINE, WAY_RAW, WAY_UNIX, WAY_CHAT, WAY_UDP, WAYS };

/* ---- scripts ---- */

enum {
	SCRIPT_MESSAGE_MAX = 16384,
	SCRIPT_FIRST_MAX = 32, /* the first message of a connection is short */
};

/* All that a client says on one connection and must hear: a function of the seed. */
struct script {
	uint64_t seed;
	uint32_t least, most; /* bytes of a message; at least 1 in framing raw */
	enum framing framing;
	bool upper; /* what is answered: the message in upper case, or as it is */
};

/* A place in one direction of a script. */
struct cursor {
	uint64_t number; /* of the message it is in: so many lie whole before it */
	uint64_t bytes;	 /* that lie before it */
	uint32_t at;	 /* bytes of this message's frame that lie before it */
	uint32_t len;	 /* of this message's payload */
	uint32_t place;	 /* of this message's payload, in the table */
};

/* Before all else. */
void script_prepare(uint64_t seed);

void script_begin(const struct script *script, struct cursor *ret_cursor);

/*
 * Writes what is said from the cursor on, whole messages up to number limit, and then hold bytes of
 * that. In framing raw it ends with the message. Returns the number of bytes, at most size.
 */
size_t script_fill(const struct script *script, struct cursor cursor, uint64_t limit, uint32_t hold,
		   uint8_t *out, size_t size);

/* Moves the cursor over n bytes. */
void script_pass(const struct script *script, struct cursor *cursor, size_t n);

/* Moves the cursor over what is as it must be heard; returns how many bytes that are. */
size_t script_hear(const struct script *script, struct cursor *cursor, const uint8_t *data,
		   size_t len);

/* Bytes of the message's frame that the cursor is in. */
uint32_t script_frame_size(const struct script *script, const struct cursor *cursor);

/* Whether the last byte said begins a character, so that framing raw may wait for the next one. */
bool script_hangs(const struct script *script, const struct cursor *said);

/* ASCII letters out of the same table, of a length up to most, for the seed. */
size_t script_words(uint64_t seed, char *text, size_t most);

uint64_t script_hash(uint64_t a, uint64_t b);

/* ---- counting ---- */

enum { SILENCES = 24, LONGEST = 10 };

struct tally {
	size_t clients;
	uint64_t connects;   /* that came about */
	uint64_t refused;    /* connects that did not, or timed out */
	uint64_t retries;    /* connects that found the backlog of a Unix socket full */
	uint64_t dropped;    /* ends, resets and errors that nobody asked for; datagrams lost */
	uint64_t wrong;	     /* answers that were not what they had to be */
	uint64_t unanswered; /* clients that at the end had not got what they were owed */
	uint64_t left;	     /* members who were told that one of them has left */
	uint64_t cycles;     /* connections that ended as they should */
	uint64_t resends;
	uint64_t messages; /* that were answered, or heard in a room */
	uint64_t said;	   /* in rooms, acknowledged */
	uint64_t sent, received;
	uint64_t longest;	     /* silence, nanoseconds */
	uint64_t silences[SILENCES]; /* how many were shorter than 2^i ms, and not than 2^(i-1) */
};

struct silence {
	uint64_t length, end; /* nanoseconds; of CLOCK_MONOTONIC */
	enum kind kind;
	unsigned client;
};

/* ---- clients ---- */

struct load;
struct client;

/* What distinguishes streams, rooms and datagrams. */
struct manner {
	void (*open)(struct client *client, uint64_t now); /* the connection has come about */
	void (*turn)(struct client *client, uint32_t events, uint64_t now);
	void (*wake)(struct client *client, uint64_t now);   /* its timer has expired */
	void (*finish)(struct client *client, uint64_t now); /* says nothing new from now on */
	bool (*owed)(const struct client *client);	     /* the server has to answer it now */
	bool (*complete)(
		const struct client *client); /* it has got all that it will ever be owed */
};

enum phase { PHASE_AWAY, PHASE_CONNECTING, PHASE_OPEN };

struct client {
	struct timer timer; /* first, see client_expired() */
	struct load *load;
	const struct manner *manner;
	struct member *member; /* of a room; owned */
	enum kind kind;
	enum way way;
	enum phase phase;
	unsigned index;
	unsigned epoch; /* how many connections it has had */
	int fd;		/* owned */
	uint32_t events;
	struct random random;
	struct script script;
	struct cursor said, heard;
	uint64_t limit;	   /* messages that may be said */
	uint32_t hold;	   /* bytes of the message after those that may be said as well */
	uint32_t appetite; /* bytes that it takes at a time; 0: as many as come */
	unsigned again;	   /* how often the datagram that waits for an answer was sent again */
	unsigned late; /* answers that have yet to come to what was sent again of the last one */
	bool reading;  /* it wants to hear */
	bool blocked;  /* it has more to say than the socket takes */
	bool shut_after, shut;	/* it ends its side when it has said all; has done so */
	bool answered;		/* it has once been answered */
	uint64_t waiting_since; /* nanoseconds; 0: waits for nothing */
};

struct load {
	int epoll;
	struct timers timers;
	struct client *clients; /* owned */
	size_t n, n_begun, n_answered;
	struct endpoint ends[WAYS];
	bool have[WAYS], upper[WAYS];
	struct room *rooms; /* owned */
	unsigned n_rooms, n_speakers;
	unsigned think; /* milliseconds */
	unsigned hold;	/* milliseconds that an unfinished message is held, at the most */
	unsigned stall; /* milliseconds of not reading, at the most */
	uint64_t seed, begin;
	uint64_t ready_at;
	uint64_t longest_turn;
	bool ready, ending;
	unsigned n_told;
	struct tally tallies[KINDS];
	struct silence longest[LONGEST];
	uint8_t *in, *out; /* scratch of SCRATCH bytes each; owned */
};

enum { SCRATCH = 65536 };

/* Finds its address; does not connect. */
void client_init(struct client *client, struct load *load, enum kind kind, unsigned index);
void client_done(struct client *client);

void client_connect(struct client *client, uint64_t now);

/* What the loop calls. */
void client_turn(struct client *client, uint32_t events, uint64_t now);
void client_expired(struct timer *timer);

/* Closes, and connects anew after so many milliseconds. */
void client_leave(struct client *client, unsigned ms, uint64_t now);

/* The connection was lost, or answered what is wrong; it is counted, and made anew. */
void client_lost(struct client *client, const char *why, uint64_t now);
void client_wrong(struct client *client, const char *why, uint64_t now);

/* Puts into force what it waits for: the epoll mask, and since when it waits. */
void client_settle(struct client *client, bool writes, uint64_t now);

/* It has received something. */
void client_heard(struct client *client, uint64_t now);

/* It has had its first answer. */
void client_answered(struct client *client);

/* Sets the timer, between least and most milliseconds from now. */
void client_rest(struct client *client, unsigned least, unsigned most, uint64_t now);

/* Whether it has not yet got all that it is owed, having finished. */
bool client_busy(const struct client *client);

extern const struct manner stream_manner, room_manner, udp_manner;

const char *kind_name(enum kind kind);

/*
 * Finds the addresses that are given, and asks each but that of the rooms what it does to messages.
 * Says what is wrong; returns whether nothing is.
 */
bool listeners_find(struct load *load, const char *const addresses[static WAYS]);

/* ---- rooms ---- */

/* Makes the rooms, and the member of a client; returns 0 or -ENOMEM. */
int make_rooms(struct load *load);
void free_rooms(struct load *load);
int member_init(struct client *client, unsigned number);
void member_done(struct client *client);

/* ---- telling ---- */

/* Counts a silence that has ended now. */
void report_silence(struct load *load, enum kind kind, unsigned client, uint64_t since,
		    uint64_t now);

/* Forgets the silences of the beginning, when all connected at once. */
void report_ready(struct load *load, uint64_t now);

/* Says on standard error what went wrong with a client; the first few times. */
void report_fault(struct load *load, const struct client *client, const char *why);

/* Prints everything as one JSON object; returns whether nothing was dropped or wrong. */
bool report_print(const struct load *load, uint64_t now);
