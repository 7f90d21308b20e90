/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer_receive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	CARRY_MAX = 8192,     /* an unfinished message up to this size is copied to the front of the
				 next turn's input; a longer one is received to where it lies */
	GROW_MIN = 64 * 1024, /* bytes by which a long unfinished line grows, at least */
};

/*
 * Handling
 */

static void refuse_length(struct peer *peer, uint64_t length)
{
	bool line = peer->session.framing == FRAMING_LINE;
	char reason[160];

	counters_add(peer->session.counters, COUNTER_TOO_LONG, 1);
	peer_complain(peer, LOG_TOO_LONG, "message longer than max_message");
	(void)snprintf(reason, sizeof(reason),
		       "%s of %s%" PRIu64 " bytes is longer than the limit of %" PRIu64 " bytes",
		       line ? "line" : "frame", line ? "at least " : "", length,
		       peer->session.settings->max_message);
	peer_refuse_more(peer, reason);
}

/* Does what an outcome of frame_cut() other than FRAME_MESSAGE asks for. */
static void handle_odd(struct peer *peer, enum frame_cut cut, const struct frame *frame)
{
	struct counters *counters = peer->session.counters;

	switch (cut) {
	case FRAME_MORE:
	case FRAME_MESSAGE:
		break;
	case FRAME_ERROR:
		counters_add(counters, COUNTER_ERROR_FRAME, 1);
		peer_complain(peer, LOG_ERROR_FRAME, "client sent an error frame");
		peer_refuse_more(peer, NULL);
		break;
	case FRAME_MALFORMED:
		counters_add(counters, COUNTER_MALFORMED, 1);
		peer_complain(peer, LOG_MALFORMED, "bad frame header");
		peer_refuse_more(peer, "bad frame header");
		break;
	case FRAME_TOO_LONG:
		refuse_length(peer, frame->length);
		break;
	case FRAME_CUT_SHORT:
		counters_add(counters, COUNTER_CUT_SHORT, 1);
		peer_complain(peer, LOG_CUT_SHORT, "input ended in the middle of a frame");
		break;
	}
}

static struct frame_rules rules(const struct peer *peer)
{
	const struct settings *settings = peer->session.settings;

	return (struct frame_rules){
		.framing = peer->session.framing,
		.max_message = settings->max_message,
		.whole_characters = !pipeline_is_identity(&settings->pipeline),
	};
}

/* Tells by the first byte of the input whether it is in frames or in lines. */
static void detect_framing(struct session *session, struct bytes input)
{
	if (input.len == 0)
		return;
	session->detects = false;
	session->framing = strchr("-0123456789", input.data[0]) ? FRAMING_LENGTH : FRAMING_LINE;
}

/*
 * Cuts and handles the messages of a window over the input, until nothing whole is left in it or
 * the peer is owed so much that it has to read first: then owes_reading is set. Returns how many
 * bytes are done with.
 */
static size_t handle(struct peer *peer, struct bytes input)
{
	const struct frame_rules frame_rules = rules(peer);
	struct workspace *workspace = &peer->peers->workspace;
	const uint64_t max_pending = peer->session.settings->max_pending;
	const size_t pending = peer->stream.pending;
	struct bytes rest = input; /* there may be none, and no memory of it */
	uint64_t messages = 0;

	if (peer->session.later || peer->peers->suspended)
		return 0;
	while (peer->state == PEER_SERVING) {
		size_t answered = pending + workspace->answers.len;
		struct frame frame;
		enum frame_cut cut;
		int r;

		/* What is not cut yet counts too, so that answers that grow stay within bounds. */
		if (answered > 0 && rest.len > 0 &&
		    (answered >= max_pending ||
		     answered + rest.len > max_pending + frame_rules.max_message)) {
			peer->owes_reading = true;
			break;
		}
		cut = frame_cut(&frame_rules, rest, peer->input_ended, &peer->scanned, &frame);
		if (cut != FRAME_MESSAGE) {
			handle_odd(peer, cut, &frame);
			if (peer->input_ended)
				rest.len = 0; /* nothing can complete what is left */
			break;
		}
		r = peer->session.service->message(&peer->session, workspace, &frame);
		if (r < 0) {
			peer_fail(peer, r);
			break;
		}
		rest.data += frame.size;
		rest.len -= frame.size;
		messages++;
		if (r == SESSION_LATER) {
			peer->session.later = true;
			break;
		}
	}
	if (messages > 0) {
		if (peer->state == PEER_SERVING && !peer->finishing)
			peer->since = 0; /* what is unfinished now has begun since */
		peer->messages += messages;
		counters_add(peer->session.counters, COUNTER_MESSAGES, messages);
	}
	return input.len - rest.len;
}

/*
 * Handles the input, which lies in one window or in two, and sends the answers in one call; again
 * when that made room for more. Takes what is done with off the windows.
 */
static void handle_and_send(struct peer *peer, struct bytes windows[static 2], bool eager)
{
	do {
		peer->owes_reading = false;
		for (int i = 0; i < 2 && peer->state == PEER_SERVING; i++) {
			size_t used;

			if (windows[i].len == 0 && i == 0 && windows[1].len > 0)
				continue;
			if (peer->session.detects)
				detect_framing(&peer->session, windows[i]);
			used = handle(peer, windows[i]);
			if (used > 0)
				windows[i] = (struct bytes){windows[i].data + used,
							    windows[i].len - used};
			if (windows[i].len > 0)
				break;
		}
		if (peer->state == PEER_DOOMED)
			workspace_clear(&peer->peers->workspace);
		else
			peer_send_answers(peer, eager);
	} while (peer->owes_reading && peer->stream.pending == 0 && peer->state == PEER_SERVING);
}

void peer_drop_input(struct peer *peer)
{
	buffer_done(&peer->input);
	peer->scanned = 0;
}

void peer_handle_kept(struct peer *peer, struct bytes more, bool eager)
{
	struct bytes windows[2] = {{peer->input.data, peer->input.len}, more};
	int r;

	handle_and_send(peer, windows, eager);
	if (peer->state != PEER_SERVING) {
		peer_drop_input(peer);
		return;
	}
	buffer_consume(&peer->input, peer->input.len - windows[0].len);
	r = buffer_append(&peer->input, windows[1].data, windows[1].len);
	if (r < 0)
		peer_fail(peer, r);
	if (peer->input.len == 0)
		buffer_done(&peer->input);
}

/*
 * Receiving
 */

/* Receives once. Returns how many bytes have come; an end or an error has been dealt with. */
static size_t receive(struct peer *peer, const struct iovec *parts, int n_parts)
{
	ssize_t n = stream_receive(&peer->stream, parts, n_parts);

	if (n == -EAGAIN)
		return 0;
	if (n == STREAM_END) {
		peer->input_ended = true;
		return 0;
	}
	if (n < 0) {
		peer_fail(peer, (int)n);
		return 0;
	}
	peer->bytes_in += (uint64_t)n;
	peer->active = loop_now(peer->peers->loop);
	counters_add(peer->session.counters, COUNTER_BYTES_IN, (uint64_t)n);
	return (size_t)n;
}

/* How many bytes the peer may send now without making us hold more than we want to. */
static size_t allowance(const struct peer *peer)
{
	const struct settings *settings = peer->session.settings;
	uint64_t limit = settings->max_pending + settings->max_message + FRAME_ENVELOPE_MAX;
	uint64_t held = peer->stream.pending + peer->input.len;
	uint64_t most = peer->peers->workspace.input.len;

	if (peer->session.framing == FRAMING_RAW)
		most = MIN(most, settings->max_message);
	if (held >= limit)
		return 1; /* an unfinished message must always be able to go on */
	return MIN(limit - held, most);
}

/*
 * The usual turn: what the last one left, if anything, goes to the front of the thread's input,
 * and the socket is read behind it.
 */
static void receive_shared(struct peer *peer, bool eager)
{
	struct bytes input = peer->peers->workspace.input;
	size_t kept = peer->input.len, room = MIN(allowance(peer), input.len - kept), n;

	n = receive(peer, &(struct iovec){input.data + kept, room}, 1);
	if (n == 0)
		return;
	if (kept > 0)
		memcpy(input.data, peer->input.data, kept);
	peer->input.len = 0;
	peer_handle_kept(peer, (struct bytes){input.data, kept + n}, eager);
}

/* How much is missing of the unfinished message in the peer's buffer; 0 when nobody knows. */
static size_t missing(const struct peer *peer)
{
	const struct frame_rules frame_rules = rules(peer);
	size_t scanned = peer->scanned;
	struct frame frame = {0};

	if (frame_rules.framing != FRAMING_LENGTH)
		return 0;
	(void)frame_cut(&frame_rules, (struct bytes){peer->input.data, peer->input.len}, false,
			&scanned, &frame);
	return frame.size - MIN(frame.size, peer->input.len);
}

/*
 * The turn of a long unfinished message: its rest is received to where its beginning lies, and
 * what follows it into the thread's input.
 */
static void receive_long(struct peer *peer, bool eager)
{
	struct bytes shared = peer->peers->workspace.input;
	size_t rest = missing(peer), room = allowance(peer), own, n;
	int r;

	own = rest > 0 ? MIN(rest, MAX(peer->input.len, (size_t)GROW_MIN)) : room;
	r = buffer_reserve(&peer->input, own);
	if (r < 0) {
		peer_fail(peer, r);
		return;
	}
	/* Only a message that this may complete can be followed by others. */
	shared.len = own == rest ? room - MIN(room, own) : 0;
	n = receive(peer,
		    (struct iovec[]){{peer->input.data + peer->input.len, own},
				     {shared.data, shared.len}},
		    shared.len > 0 ? 2 : 1);
	if (n == 0)
		return;
	peer->input.len += MIN(n, own);
	shared.len = n - MIN(n, own);
	peer_handle_kept(peer, shared, eager);
}

/* Takes one turn's input of a peer that is ending, unread, so that the peer can come to read. */
static void discard(struct peer *peer)
{
	struct bytes input = peer->peers->workspace.input;

	(void)receive(peer, &(struct iovec){input.data, input.len}, 1); /* nobody wants it */
}

void peer_take_input(struct peer *peer, bool eager)
{
	peer_note_busy(peer);
	if (peer->state != PEER_SERVING)
		discard(peer);
	else if (peer->input.len > CARRY_MAX)
		receive_long(peer, eager);
	else
		receive_shared(peer, eager);

	if (peer->state == PEER_SERVING && peer->input_ended)
		peer_handle_kept(peer, (struct bytes){NULL, 0}, true);
}
