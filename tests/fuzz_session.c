/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A whole connection over a socket pair: whatever a client sends, in whatever pieces, and however
 * slowly it reads, it gets exactly what the pure functions give for its input in one piece. The
 * first bytes choose the listener's settings and the client's manners.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "peer.h"
#include "session_transform.h"
#include "util.h"

enum {
	CHOICES = 5,
	INPUT_BYTES = 4096,  /* a turn's: small, so that messages are cut by it */
	TURNS_MAX = 1000000, /* more than any input can need: it must come to an end */
};

/* The client and the connection that serves it. */
struct stage {
	struct counters counters;
	struct peers peers;
	struct settings settings;
	struct watch awake; /* of a descriptor that is always readable, so that no turn sleeps */
	int awake_fd;
	int client; /* the client's end */
	struct peer *peer;
	struct buffer got;
};

static void stay_awake(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
}

static void choose_settings(struct settings *settings, const uint8_t choices[static CHOICES])
{
	static const char *const pipelines[] = {"echo",	   "upper",	    "lower",
						"reverse", "upper,reverse", "reverse,lower"};

	static char greeting[] = "hi", silence[] = "";

	*settings = (struct settings){
		.framing = choices[0] & 1 ? FRAMING_LENGTH : FRAMING_LINE,
		.payload = choices[0] & 2 ? PAYLOAD_JSON : PAYLOAD_TEXT,
		.max_message = 1 + (uint64_t)choices[2] * (choices[0] & 4 ? 200u : 1u),
		.max_pending = 1 + (uint64_t)choices[3] * (choices[0] & 8 ? 200u : 1u),
		.greeting = choices[0] & 16 ? greeting : silence,
		.timeouts = {.drain = UINT64_C(3600) * 1000},
	};
	require(pipeline_parse(&settings->pipeline, pipelines[choices[1] % ARRAY_SIZE(pipelines)],
			       NULL) == 0);
}

static void set_up(struct stage *stage, const uint8_t choices[static CHOICES])
{
	int ends[2];

	*stage = (struct stage){.counters.listener = "fuzz", .awake.ready = stay_awake};
	choose_settings(&stage->settings, choices);
	list_init(&stage->peers.all);
	list_init(&stage->peers.doomed);
	require(loop_new(peer_expired, &stage->peers.loop) == 0);
	require(workspace_init(&stage->peers.workspace, INPUT_BYTES) == 0);
	stage->awake_fd = eventfd(1, EFD_CLOEXEC);
	require(stage->awake_fd >= 0);
	require(loop_add(stage->peers.loop, stage->awake_fd, LOOP_IN, &stage->awake) == 0);

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	/* The least that the kernel allows: output that does not fit has to wait. */
	(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
	stage->client = ends[0];
	stage->peer = calloc(1, sizeof(*stage->peer));
	require(stage->peer);
	stage->peer->id = 1;
	stage->peer->name.family = AF_UNIX;
	stage->peer->session = (struct session){
		.service = &session_transform,
		.settings = &stage->settings,
		.counters = &stage->counters,
		.framing = stage->settings.framing,
	};
	stream_init(&stage->peer->stream, ends[1]);
	peer_start(stage->peer, &stage->peers);
}

static void tear_down(struct stage *stage)
{
	peer_done(stage->peer);
	free(stage->peer);
	closep(&stage->client);
	closep(&stage->awake_fd);
	workspace_done(&stage->peers.workspace);
	loop_free(stage->peers.loop);
	buffer_done(&stage->got);
}

/* The connection never holds more than it promises: what waits, and what is not cut yet. */
static void check_bounds(const struct stage *stage)
{
	const struct settings *settings = &stage->settings;
	size_t growth = stage->settings.payload == PAYLOAD_JSON ? 200 : 0; /* an error's text */
	uint64_t held = stage->peer->stream.pending + stage->peer->input.len;
	uint64_t message = settings->max_message + FRAME_ENVELOPE_MAX;

	require(held <= settings->max_pending + 4 * message + growth + 200);
}

/* Reads up to len bytes of what came. Returns false when the connection has ended. */
static bool read_some(struct stage *stage, size_t len)
{
	ssize_t n;

	require(buffer_reserve(&stage->got, len) == 0);
	n = recv(stage->client, stage->got.data + stage->got.len, len, 0);
	if (n > 0)
		stage->got.len += (size_t)n;
	return n != 0;
}

/* Sends input in pieces while it reads in pieces, then ends, and reads to the end. */
static void converse(struct stage *stage, const uint8_t *input, size_t len, uint8_t manners)
{
	const size_t piece = manners & 1 ? (size_t)(manners >> 1) % 32 + 1 : SIZE_MAX;
	const size_t appetite = manners & 2 ? 7 : 65536;
	const bool late = manners & 4; /* reads nothing before all is sent, or refused */
	size_t sent = 0;
	bool ended = false;

	for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
		ssize_t n = 0;

		if (sent < len) {
			n = send(stage->client, input + sent, MIN(piece, len - sent), MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		} else if (!ended) {
			ended = true;
			(void)shutdown(stage->client, SHUT_WR);
		}
		if (stage->peer->state != PEER_DOOMED)
			require(loop_turn(stage->peers.loop) == 0);
		check_bounds(stage);
		if (stage->peer->state == PEER_DOOMED)
			stream_done(&stage->peer->stream); /* as its reaper would */
		if ((!late || n <= 0) && !read_some(stage, appetite))
			return;
	}
	abort();
}

static struct bytes answer_to(const struct settings *settings, struct bytes body,
			      struct scratch *scratch, struct payload_scratch *memory,
			      struct buffer *json)
{
	struct payload_error error;

	if (settings->payload == PAYLOAD_TEXT) {
		require(pipeline_apply(&settings->pipeline, scratch, &body) == 0);
		return body;
	}
	json->len = 0;
	if (payload_json(&settings->pipeline, scratch, memory, body, json, &error) != 0)
		require(payload_json_error(json, &error) == 0);
	return (struct bytes){json->data, json->len};
}

/* What the client must get; returns whether more follows that depends on the pieces. */
static bool expect(const struct settings *settings, struct bytes input, struct buffer *out)
{
	struct frame_rules rules = {.framing = settings->framing,
				    .max_message = settings->max_message};
	struct payload_scratch memory = {0};
	struct scratch scratch = {0};
	struct buffer json = {0};
	enum frame_cut cut;
	bool open_end = false;
	char reason[160];

	if (*settings->greeting)
		require(frame_append(out, rules.framing, LINE_END_LF, settings->greeting,
				     strlen(settings->greeting)) == 0);
	for (;;) {
		struct frame frame = {0};
		size_t scanned = 0;

		cut = frame_cut(&rules, input, true, &scanned, &frame);
		if (cut == FRAME_MALFORMED)
			require(frame_append_error(out, rules.framing, "bad frame header") == 0);
		if (cut == FRAME_TOO_LONG && rules.framing == FRAMING_LENGTH) {
			(void)snprintf(reason, sizeof(reason),
				       "frame of %ju bytes is longer than the limit of %ju bytes",
				       (uintmax_t)frame.length, (uintmax_t)rules.max_message);
			require(frame_append_error(out, rules.framing, reason) == 0);
		}
		open_end = cut == FRAME_TOO_LONG && rules.framing == FRAMING_LINE;
		if (cut != FRAME_MESSAGE)
			break;
		struct bytes answer = answer_to(settings, frame.body, &scratch, &memory, &json);

		require(frame_append(out, rules.framing, frame.crlf ? LINE_END_CRLF : LINE_END_LF,
				     answer.data, answer.len) == 0);
		input = (struct bytes){input.data + frame.size, input.len - frame.size};
	}
	scratch_done(&scratch);
	payload_scratch_done(&memory);
	buffer_done(&json);
	return open_end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char too_long[] = "error: line of at least ";
	struct buffer input = {0}, expected = {0};
	struct stage stage;
	bool open_end;

	if (size < CHOICES)
		return 0;
	require(buffer_append(&input, data + CHOICES, size - CHOICES) == 0);
	set_up(&stage, data);
	converse(&stage, input.data, input.len, data[4]);

	open_end = expect(&stage.settings, (struct bytes){input.data, input.len}, &expected);
	require(stage.got.len >= expected.len);
	require(expected.len == 0 || memcmp(stage.got.data, expected.data, expected.len) == 0);
	if (open_end)
		require(stage.got.len - expected.len > strlen(too_long) &&
			memcmp(stage.got.data + expected.len, too_long, strlen(too_long)) == 0);
	else
		require(stage.got.len == expected.len);

	tear_down(&stage);
	buffer_done(&input);
	buffer_done(&expected);
	return 0;
}
