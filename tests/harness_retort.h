/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The library and a server that a test scripts, in one thread: while one end waits for the other,
 * the other goes on. What does not go as the test says fails it.
 */

#include "harness.h"
#include "object.h"
#include "retort.h"

enum { SOON = 50 /* milliseconds, where time has to pass */ };

/* Both ends. */
struct play {
	struct retort *retort;
	struct retort_event event; /* the last that was taken */
	int listener, fd;	   /* the server's */
	char directory[64], address[128];
	struct buffer frame;
	struct chat_request *request; /* the last that the server got */
};

/* A client that wishes to be "anna" and has done nothing yet, and a server on a Unix socket. */
void play_begin(struct play *play);

/* The same over TCP, and without a wish. */
void play_begin_guest(struct play *play);
void play_end(struct play *play);

/* ---- The server ---- */

/* Listens anew, after play->listener was closed. */
void play_listen(struct play *play);

/* Takes the next connection; the last one is closed. */
void play_serve(struct play *play);

/* Gets a request, play->request, which is of this op. */
void play_get(struct play *play, enum chat_op op);

/* Sends a frame of this printf text; $ID in it becomes the id of the last request. */
void play_put(struct play *play, const char *format, ...) PRINTF(2, 3);

#define REPLY_OK "{\"id\":$ID,\"ok\":true"

void play_refuse(struct play *play, const char *token);

/* The event of bob saying "number SEQ". */
void play_say(struct play *play, const char *room, unsigned seq);

/* Closes the connection. */
void play_lose(struct play *play);

/* ---- The client ---- */

/* Takes the next event, which is of this kind. */
const struct retort_event *play_take(struct play *play, enum retort_event_kind kind);

/* Takes the next event, which is the reply to this request. */
const struct retort_reply *play_take_reply(struct play *play, uint64_t cookie, int status);

/* Takes the next event, which is what play_say() sent. */
void play_take_message(struct play *play, const char *room, unsigned seq);

/* There is no event. */
void play_take_nothing(struct play *play);

/* It was given up: the last event says so, and this is why. */
void play_take_failure(struct play *play, int failure);

/* Submit a request; each returns its cookie. */
uint64_t play_ask(struct play *play, struct retort_request request);
uint64_t play_ask_join(struct play *play, const char *room);
uint64_t play_ask_join_since(struct play *play, const char *room, uint64_t since);
uint64_t play_ask_leave(struct play *play, const char *room);
uint64_t play_ask_say(struct play *play, const char *room, const char *text);

/* The number up to which a room is seen. */
uint64_t play_seen(struct play *play, const char *room);

/* ---- Both ---- */

/* A connection, hello and its reply; for the first time. */
void play_connect(struct play *play, const char *nick);

/* The same up to the reply, after a connection was lost. */
void play_come_back(struct play *play, const char *nick);

/* The server gets a join, with this since (-1: without), and says how far the room is. */
void play_get_join(struct play *play, const char *room, int since, unsigned seq);

/* Joins a room that is this far. */
void play_join(struct play *play, const char *room, unsigned seq);

/* The connection is lost, and the client knows. */
void play_lose_and_notice(struct play *play);
