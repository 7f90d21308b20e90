/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A whole session of the chat service, against the real workers and the real hub: whatever a client
 * sends, in whatever dialect and in whatever pieces, and however slowly it reads, each request gets
 * one reply, all that comes is well-formed, the connection ends when the client ends it, and
 * somebody else who is there sees a room whose numbers are whole. The first bytes choose the
 * listener, who the client is, and its manners.
 */

#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "harness_hub.h"
#include "util.h"

enum {
	CHOICES = 3,
	LISTENERS = 3,
	MAX_MESSAGE = 4096,
	PATIENCE = 20000, /* milliseconds that anything may take */
};

static const char config[] =
	"workers = 2; max_message = 4096; max_pending = 4096; timeouts: { drain = \"1h\"; };"
	"listeners: ("
	"{ name = \"length\"; service = \"chat\"; listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"line\"; service = \"chat\"; framing = \"line\"; "
	"listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"talk\"; service = \"chat\"; framing = \"line\"; dialect = \"text\"; "
	"listen = \"tcp://127.0.0.1:0\"; });"
	"chat: { admins = []; max_rooms_per_client = 4; max_requests = 8; "
	"history: { max_messages = 20; }; "
	"rooms: ( { name = \"ops\"; }, { name = \"loud\"; transforms = [ \"upper\" ]; } ); };";

/* A connection, from its client's side. */
struct end {
	int fd;
	enum framing framing;
	bool ended;
	struct buffer in;
};

/* Takes up to len bytes of what has come. */
static void read_some(struct end *end, size_t len)
{
	ssize_t n;

	require(buffer_reserve(&end->in, len) == 0);
	n = recv(end->fd, end->in.data + end->in.len, len, 0);
	if (n > 0)
		end->in.len += (size_t)n;
	/* What it sent behind the last message may not be read any more: then this is a reset. */
	end->ended = n == 0 || (n < 0 && errno != EAGAIN);
}

static void await(const struct end *end, short events)
{
	struct pollfd polled = {.fd = end->fd, .events = events};

	require(TEMP_FAILURE_RETRY(poll(&polled, 1, PATIENCE)) == 1);
}

/* Sends input in pieces while it reads in pieces, then ends, and reads to the end. */
static void converse(struct end *end, const uint8_t *input, size_t len, uint8_t piece,
		     uint8_t manners)
{
	const size_t most = manners & 1 ? (size_t)piece % 64 + 1 : SIZE_MAX;
	const size_t appetite = manners & 2 ? 7 : 65536;
	const bool late = manners & 4; /* reads nothing before all is sent, or refused */
	size_t sent = 0;

	while (sent < len && !end->ended) {
		ssize_t n = send(end->fd, input + sent, MIN(most, len - sent), MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno != EAGAIN)
			break;
		if (n < 0)
			await(end, POLLIN | POLLOUT);
		if (!late || n < 0)
			read_some(end, appetite);
	}
	(void)shutdown(end->fd, SHUT_WR); /* it may be over already */
	while (!end->ended) {
		await(end, POLLIN);
		read_some(end, appetite);
	}
}

/* Cuts the next message off what has come; false when there is none. */
static bool next_message(struct end *end, size_t *used, struct bytes *ret_message)
{
	const struct frame_rules rules = {.framing = end->framing, .max_message = 1 << 24};
	struct bytes rest = {end->in.data + *used, end->in.len - *used};
	struct frame frame = {0};
	size_t scanned = 0;
	enum frame_cut cut = frame_cut(&rules, rest, false, &scanned, &frame);

	/* An error frame is the last thing that is said. */
	require(cut == FRAME_MESSAGE || cut == FRAME_MORE || cut == FRAME_ERROR);
	if (cut != FRAME_MESSAGE)
		return false;
	*used += frame.size;
	*ret_message = frame.body;
	return true;
}

/* ---- what must come ---- */

/* How many messages there are in the input; *ret_broken when it is cut off behind them. */
static size_t count_messages(enum framing framing, struct bytes input, bool *ret_broken)
{
	const struct frame_rules rules = {.framing = framing, .max_message = MAX_MESSAGE};
	size_t n = 0;

	for (;;) {
		struct frame frame = {0};
		size_t scanned = 0;
		enum frame_cut cut = frame_cut(&rules, input, true, &scanned, &frame);

		if (cut != FRAME_MESSAGE) {
			*ret_broken = cut != FRAME_MORE && cut != FRAME_CUT_SHORT;
			return n;
		}
		input = (struct bytes){input.data + frame.size, input.len - frame.size};
		n++;
	}
}

/* Objects: a reply for each message, in order, and events. Returns how many replies. */
static size_t check_objects(struct end *end, bool broken)
{
	struct bytes message;
	size_t used = 0, n = 0;

	while (next_message(end, &used, &message)) {
		json_t *object = json_loadb((const char *)message.data, message.len,
					    JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

		if (!object && broken && memcmp(message.data, "error: ", 7) == 0)
			continue;
		require(json_is_object(object));
		if (json_is_string(json_object_get(object, "event"))) {
			json_decref(object);
			continue;
		}
		require(json_is_boolean(json_object_get(object, "ok")));
		require(json_is_true(json_object_get(object, "ok")) ||
			(json_is_string(json_object_get(object, "error")) &&
			 json_is_string(json_object_get(object, "message"))));
		json_decref(object);
		n++;
	}
	return n;
}

/* Text: whatever was said by whom, nothing of it can touch a terminal. */
static void check_text(struct end *end)
{
	struct bytes message;
	size_t used = 0;

	while (next_message(end, &used, &message)) {
		require(memchr(message.data, '\0', message.len) == NULL);
		for (size_t i = 0; i < message.len; i++)
			require((message.data[i] >= ' ' && message.data[i] != 0x7f) ||
				message.data[i] == '\t');
	}
	require(used == end->in.len);
}

/* Every number of the room comes once, in a message or in a gap. */
static void check_number(const json_t *object, json_int_t *seq)
{
	const char *event = json_string_value(json_object_get(object, "event"));
	const char *room = json_string_value(json_object_get(object, "room"));

	if (!event || !room || strcmp(room, "ops") != 0)
		return;
	if (strcmp(event, "message") == 0) {
		require(json_integer_value(json_object_get(object, "seq")) == ++*seq);
	} else if (strcmp(event, "gap") == 0) {
		require(json_integer_value(json_object_get(object, "first")) == *seq + 1);
		*seq = json_integer_value(json_object_get(object, "last"));
	}
}

/* Somebody who was in the room sees numbers that are whole, and is served still. */
static void check_watcher(struct end *watcher)
{
	static const char who[] = "{\"op\":\"who\",\"id\":\"who\"}";
	CLEANUP(buffer_done) struct buffer out = {0};
	struct bytes message;
	size_t used = 0;
	json_int_t seq = 0;
	bool answered = false;

	require(frame_append(&out, FRAMING_LENGTH, LINE_END_LF, who, sizeof(who) - 1) == 0);
	require(send(watcher->fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
	while (!answered) {
		json_t *object;

		if (!next_message(watcher, &used, &message)) {
			await(watcher, POLLIN);
			read_some(watcher, 65536);
			require(!watcher->ended);
			continue;
		}
		object = json_loadb((const char *)message.data, message.len, JSON_ALLOW_NUL, NULL);
		require(json_is_object(object));
		check_number(object, &seq);
		answered = json_is_string(json_object_get(object, "id"));
		json_decref(object);
	}
}

/* ---- the input ---- */

static struct end enter(struct hub_stage *stage, size_t listener, bool proven)
{
	return (struct end){
		.fd = hub_stage_connect(stage, listener, proven, 4608),
		.framing = stage->config->listeners[listener].settings.framing,
	};
}

static void join(struct end *end)
{
	static const char text[] = "{\"op\":\"join\",\"room\":\"ops\"}";
	CLEANUP(buffer_done) struct buffer out = {0};

	require(frame_append(&out, FRAMING_LENGTH, LINE_END_LF, text, sizeof(text) - 1) == 0);
	require(send(end->fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
	await(end, POLLIN); /* for the reply */
	read_some(end, 65536);
	end->in.len = 0;
}

static void leave(struct end *end)
{
	(void)close(end->fd);
	buffer_done(&end->in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hub_stage stage;
	struct end client, watcher;
	size_t listener, n, replies;
	bool broken;

	if (size < CHOICES)
		return 0;
	listener = (data[0] & 127) % LISTENERS;
	hub_stage_start(&stage, config, NULL);
	watcher = enter(&stage, 0, false);
	join(&watcher);
	client = enter(&stage, listener, data[0] & 128);
	converse(&client, data + CHOICES, size - CHOICES, data[1], data[2]);
	n = count_messages(client.framing,
			   (struct bytes){(uint8_t *)data + CHOICES, size - CHOICES}, &broken);
	if (listener == 2) {
		check_text(&client);
	} else {
		replies = check_objects(&client, broken);
		require(broken ? replies <= n : replies == n);
	}
	check_watcher(&watcher);
	leave(&client);
	leave(&watcher);
	hub_stage_stop(&stage);
	return 0;
}
