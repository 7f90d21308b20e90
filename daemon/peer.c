/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "log.h"

enum {
	CARRY_MAX = 8192,     /* an unfinished message up to this size is copied to the front of the
				 next turn's input; a longer one is received to where it lies */
	GROW_MIN = 64 * 1024, /* bytes by which a long unfinished line grows, at least */
	DRAINED_MAX = 32 * 1024, /* bytes that may wait when a session gets more for its client:
				    what is made for one client alone is made when it reads */
};

static void describe(const struct peer *peer, char text[static PEER_NAME_MAX],
		     struct log_about *ret_about)
{
	*ret_about = (struct log_about){
		.listener = peer->session.counters->listener,
		.peer = peer_name_format(&peer->name, text),
		.client = peer->id,
		.reason = peer->reason,
	};
}

/* Logs that a client is being cut off, and remembers why. */
static void complain(struct peer *peer, enum log_kind kind, const char *reason)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	peer->reason = reason;
	describe(peer, text, &about);
	log_folded(kind, &about, "%s, closing", reason);
}

static void set_state(struct peer *peer, enum peer_state state)
{
	peer->state = state;
}

void peer_doom(struct peer *peer, const char *reason)
{
	if (peer->state == PEER_DOOMED)
		return;
	if (!peer->reason)
		peer->reason = reason;
	set_state(peer, PEER_DOOMED);
	list_remove(&peer->link);
	list_append(&peer->peers->doomed, &peer->link);
}

static void doom_for_error(struct peer *peer, int error)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	if (error != -ENOMEM) {
		counters_add(peer->session.counters, COUNTER_BROKEN, 1);
		peer_doom(peer, "connection broken");
		return;
	}
	counters_add(peer->session.counters, COUNTER_REFUSED_MEMORY, 1);
	describe(peer, text, &about);
	log_folded(LOG_OUT_OF_MEMORY, &about, "out of memory, closing");
	peer_doom(peer, "out of memory");
}

/*
 * Sending
 */

/* Bytes that the peer is owed. */
static size_t owed(const struct peer *peer)
{
	return peer->stream.pending + peer->peers->workspace.answers.len;
}

/* Sends the turn's answers. With eager, also tries when older bytes wait. */
static void send_answers(struct peer *peer, bool eager)
{
	struct answers *answers = &peer->peers->workspace.answers;
	struct iovec parts[ANSWERS_PARTS_MAX];
	size_t before = owed(peer);
	uint64_t sent;
	int r;

	if (before == 0)
		return;
	r = stream_send(&peer->stream, parts, answers_parts(answers, parts), eager);
	workspace_clear(&peer->peers->workspace);
	if (r < 0) {
		doom_for_error(peer, r);
		return;
	}
	sent = before - peer->stream.pending;
	if (sent == 0)
		return;
	peer->bytes_out += sent;
	peer->active = loop_now(peer->peers->loop);
	counters_add(peer->session.counters, COUNTER_BYTES_OUT, sent);
}

/*
 * Handling
 */

/* Stops taking messages: the peer is told reason (unless NULL) behind all that it is owed. */
static void refuse_more(struct peer *peer, const char *reason)
{
	int r = 0;

	if (reason)
		r = answers_say_error(&peer->peers->workspace.answers, peer->session.framing,
				      reason);
	set_state(peer, PEER_FLUSHING);
	if (!peer->finishing) /* else the time of closing runs already */
		peer->since = loop_now(peer->peers->loop);
	if (r < 0)
		doom_for_error(peer, r);
}

static void refuse_length(struct peer *peer, uint64_t length)
{
	bool line = peer->session.framing == FRAMING_LINE;
	char reason[160];

	counters_add(peer->session.counters, COUNTER_TOO_LONG, 1);
	complain(peer, LOG_TOO_LONG, "message longer than max_message");
	(void)snprintf(reason, sizeof(reason),
		       "%s of %s%" PRIu64 " bytes is longer than the limit of %" PRIu64 " bytes",
		       line ? "line" : "frame", line ? "at least " : "", length,
		       peer->session.settings->max_message);
	refuse_more(peer, reason);
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
		complain(peer, LOG_ERROR_FRAME, "client sent an error frame");
		refuse_more(peer, NULL);
		break;
	case FRAME_MALFORMED:
		counters_add(counters, COUNTER_MALFORMED, 1);
		complain(peer, LOG_MALFORMED, "bad frame header");
		refuse_more(peer, "bad frame header");
		break;
	case FRAME_TOO_LONG:
		refuse_length(peer, frame->length);
		break;
	case FRAME_CUT_SHORT:
		counters_add(counters, COUNTER_CUT_SHORT, 1);
		complain(peer, LOG_CUT_SHORT, "input ended in the middle of a frame");
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
	uint64_t messages = 0;
	size_t used = 0;

	while (peer->state == PEER_SERVING && !peer->session.later) {
		struct bytes rest = {input.data + used, input.len - used};
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
				used = input.len; /* nothing can complete what is left */
			break;
		}
		r = peer->session.service->message(&peer->session, workspace, &frame);
		if (r < 0) {
			doom_for_error(peer, r);
			break;
		}
		peer->session.later = r == SESSION_LATER;
		used += frame.size;
		messages++;
	}
	if (messages > 0) {
		if (peer->state == PEER_SERVING && !peer->finishing)
			peer->since = 0; /* what is unfinished now has begun since */
		peer->messages += messages;
		counters_add(peer->session.counters, COUNTER_MESSAGES, messages);
	}
	return used;
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
			windows[i] = (struct bytes){windows[i].data + used, windows[i].len - used};
			if (windows[i].len > 0)
				break;
		}
		if (peer->state == PEER_DOOMED)
			workspace_clear(&peer->peers->workspace);
		else
			send_answers(peer, eager);
	} while (peer->owes_reading && peer->stream.pending == 0 && peer->state == PEER_SERVING);
}

/* Handles what waits in the peer's own buffer and, behind it, more; keeps what is left. */
static void handle_kept(struct peer *peer, struct bytes more, bool eager)
{
	struct bytes windows[2] = {{peer->input.data, peer->input.len}, more};
	int r;

	handle_and_send(peer, windows, eager);
	if (peer->state != PEER_SERVING) {
		buffer_done(&peer->input);
		return;
	}
	buffer_consume(&peer->input, peer->input.len - windows[0].len);
	r = buffer_append(&peer->input, windows[1].data, windows[1].len);
	if (r < 0)
		doom_for_error(peer, r);
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
		doom_for_error(peer, (int)n);
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
	handle_kept(peer, (struct bytes){input.data, kept + n}, eager);
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
		doom_for_error(peer, r);
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
	handle_kept(peer, shared, eager);
}

/* Takes one turn's input of a peer that is ending, unread, so that the peer can come to read. */
static void discard(struct peer *peer)
{
	struct bytes input = peer->peers->workspace.input;

	(void)receive(peer, &(struct iovec){input.data, input.len}, 1); /* nobody wants it */
}

/*
 * The turn
 */

static bool wants_input(const struct peer *peer)
{
	return !peer->input_ended && !peer->owes_reading &&
	       !(peer->session.later && peer->state == PEER_SERVING);
}

static void take_input(struct peer *peer, bool eager)
{
	if (peer->state != PEER_SERVING)
		discard(peer);
	else if (peer->input.len > CARRY_MAX)
		receive_long(peer, eager);
	else
		receive_shared(peer, eager);

	if (peer->state == PEER_SERVING && peer->input_ended)
		handle_kept(peer, (struct bytes){NULL, 0}, true);
}

/* The socket takes bytes again. */
static void make_room(struct peer *peer)
{
	send_answers(peer, true);
	if (peer->state == PEER_SERVING && peer->owes_reading &&
	    peer->stream.pending <= peer->session.settings->max_pending / 2)
		handle_kept(peer, (struct bytes){NULL, 0}, false);
}

/* When the state that the peer is in has lasted too long. */
static uint64_t due(const struct peer *peer)
{
	const struct timeouts *timeouts = &peer->session.settings->timeouts;
	bool ends = peer->state != PEER_SERVING || peer->finishing;
	uint64_t limit = ends ? timeouts->drain : timeouts->message;
	uint64_t due = TIMER_NEVER;

	if (peer->since > 0 && (limit > 0 || ends))
		due = peer->since + limit;
	if (timeouts->idle > 0 && !ends)
		due = MIN(due, peer->active + timeouts->idle);
	return due;
}

/* Notes when an unfinished message began; one that waits for us is not the peer's fault. */
static void note_unfinished(struct peer *peer)
{
	if (peer->finishing)
		return; /* the time of closing runs already */
	if (peer->input.len == 0 || peer->owes_reading || peer->session.later ||
	    peer->session.framing == FRAMING_RAW)
		peer->since = 0;
	else if (peer->since == 0)
		peer->since = loop_now(peer->peers->loop);
}

/* The events to watch for, as they follow from the state. */
static uint8_t wanted_events(const struct peer *peer)
{
	return (uint8_t)((wants_input(peer) ? LOOP_IN : 0) |
			 (peer->stream.pending > 0 ? LOOP_OUT : 0));
}

/* Drops what is not handled yet, and sends what the peer is owed. */
static void stop_serving(struct peer *peer)
{
	peer->owes_reading = false;
	buffer_done(&peer->input);
	if (peer->state != PEER_DOOMED)
		send_answers(peer, peer->stream.pending == 0);
}

/* Takes no message any more, and says reason behind all that is owed. */
static void end(struct peer *peer, const char *reason, bool reconnect)
{
	const struct service *service = peer->session.service;
	int r = service->end(&peer->session, &peer->peers->workspace, reason, reconnect);

	if (r < 0)
		doom_for_error(peer, r);
	else
		refuse_more(peer, NULL);
	stop_serving(peer);
}

/* What follows for a peer that is served. */
static void decide_serving(struct peer *peer)
{
	if (peer->stream.pending >= peer->session.settings->max_pending)
		peer->owes_reading = true;
	note_unfinished(peer);
	if (peer->session.waiting > 0 || peer->session.later)
		return; /* there are answers to come */
	if (peer->input_ended && peer->stream.pending == 0)
		peer_doom(peer, "closed by the client");
	else if (peer->finishing && !peer->owes_reading &&
		 (peer->bytes_in >= peer->last_byte || peer->input_ended))
		end(peer, peer->reason, true);
}

/* What follows for a peer that ends, once it has been sent all it is owed. */
static int decide_ending(struct peer *peer)
{
	int r = 0;

	peer->owes_reading = false;
	if (peer->input_ended)
		peer_doom(peer, "closed");
	else if (peer->state == PEER_FLUSHING)
		r = stream_end(&peer->stream);
	if (r == 0 && peer->state == PEER_FLUSHING)
		set_state(peer, PEER_LINGERING);
	return r;
}

/* Ends every turn: what follows from what has happened. */
static void decide(struct peer *peer)
{
	uint8_t events;
	int r = 0;

	if (peer->state == PEER_SERVING)
		decide_serving(peer);
	if ((peer->state == PEER_FLUSHING || peer->state == PEER_LINGERING) &&
	    peer->stream.pending == 0)
		r = decide_ending(peer);
	if (peer->state == PEER_DOOMED)
		return;

	events = wanted_events(peer);
	if (r == 0 && events != peer->events)
		r = loop_change(peer->peers->loop, peer->stream.fd, events, &peer->watch);
	peer->events = events;
	if (r == 0)
		r = timer_set(loop_timers(peer->peers->loop), &peer->timer, due(peer));
	if (r < 0)
		doom_for_error(peer, r);
	else if (peer->session.behind && peer->state == PEER_SERVING &&
		 peer->stream.pending <=
			 MIN(peer->session.settings->max_pending / 2, (uint64_t)DRAINED_MAX))
		peer->session.service->drained(&peer->session);
}

static void ready(struct watch *watch, uint32_t events)
{
	struct peer *peer = CONTAINER_OF(watch, struct peer, watch);
	bool out = events & LOOP_OUT;

	if (peer->state == PEER_DOOMED)
		return;
	/* What a peer that ends is owed goes before its input, which is only thrown away. */
	if (out && peer->state != PEER_SERVING)
		send_answers(peer, true);
	if (peer->state == PEER_DOOMED)
		return;
	if (wants_input(peer) && events & (LOOP_IN | LOOP_BROKEN))
		take_input(peer, out || peer->stream.pending == 0);
	else if (events & LOOP_BROKEN)
		doom_for_error(peer, -ECONNRESET);
	else if (out && peer->state == PEER_SERVING)
		make_room(peer);
	decide(peer);
}

void peer_expired(struct timer *timer)
{
	struct peer *peer = CONTAINER_OF(timer, struct peer, timer);
	struct counters *counters = peer->session.counters;
	uint64_t message = peer->session.settings->timeouts.message;

	if (peer->state == PEER_DOOMED)
		return;
	if (peer->state != PEER_SERVING || peer->finishing) {
		if (peer->stream.pending > 0)
			counters_add(counters, COUNTER_UNDRAINED, 1);
		peer_doom(peer, "not drained in time");
		return;
	}
	if (peer->since > 0 && message > 0 &&
	    peer->since + message <= loop_now(peer->peers->loop)) {
		counters_add(counters, COUNTER_TIMED_OUT, 1);
		complain(peer, LOG_TIMED_OUT, "message not finished in time");
		refuse_more(peer, "timed out");
		stop_serving(peer);
		decide(peer);
	} else {
		counters_add(counters, COUNTER_IDLE, 1);
		complain(peer, LOG_IDLE, "idle for too long");
		peer_end(peer, "idle for too long");
	}
}

/*
 * Life
 */

void peer_start(struct peer *peer, struct peers *peers)
{
	int r;

	peer->peers = peers;
	peer->watch.ready = ready;
	peer->active = loop_now(peers->loop);
	list_append(&peers->all, &peer->link);

	r = peer->reason ? 0 : peer->session.service->open(&peer->session, &peers->workspace);
	if (r == 0) {
		send_answers(peer, true);
		peer->events = wanted_events(peer);
		r = loop_add(peers->loop, peer->stream.fd, peer->events, &peer->watch);
	}
	if (r < 0)
		doom_for_error(peer, r);
	/* Whatever its service is: it may well come again, when there are fewer. */
	if (peer->reason && peer->state == PEER_SERVING) {
		refuse_more(peer, peer->reason);
		stop_serving(peer);
	}
	decide(peer);
}

void peer_end(struct peer *peer, const char *reason)
{
	if (peer->state != PEER_SERVING)
		return;
	end(peer, reason, false);
	decide(peer);
}

void peer_dismiss(struct peer *peer, const char *kind, const char *reason, bool reconnect)
{
	if (peer->state != PEER_SERVING)
		return;
	peer->reason = kind;
	end(peer, reason, reconnect);
	decide(peer);
}

void peer_finish(struct peer *peer, const char *reason)
{
	int waiting = 0;

	if (peer->state != PEER_SERVING || peer->finishing)
		return;
	if (ioctl(peer->stream.fd, FIONREAD, &waiting) < 0)
		waiting = 0; /* broken: the turn of its event finds out */
	peer->reason = reason;
	peer->finishing = true;
	peer->last_byte = peer->bytes_in + (uint64_t)waiting;
	peer->since = loop_now(peer->peers->loop);
	decide(peer);
}

int peer_queue(struct peer *peer, struct packet *packet)
{
	if (peer->state != PEER_SERVING)
		return 0;
	return stream_queue(&peer->stream, packet);
}

bool peer_send(struct peer *peer, struct packet *packet)
{
	size_t sent;
	int r;

	if (peer->state != PEER_SERVING)
		return false;
	if (peer->stream.n > 0)
		r = stream_queue(&peer->stream, packet);
	else
		r = stream_send_packet(&peer->stream, packet);
	if (r < 0) {
		doom_for_error(peer, r);
		return false;
	}
	if (peer->stream.n > 1)
		return true;
	sent = packet->len - MIN(packet->len, peer->stream.pending);
	peer->bytes_out += sent;
	peer->active = loop_now(peer->peers->loop);
	counters_add(peer->session.counters, COUNTER_BYTES_OUT, sent);
	/* The state of one that has got all of it at once is what it was. */
	return peer->stream.n > 0 || peer->session.settings->timeouts.idle > 0;
}

void peer_flush(struct peer *peer)
{
	if (peer->state != PEER_SERVING)
		return;
	/* When the loop watches for room in the socket, it is full. */
	send_answers(peer, !(peer->events & LOOP_OUT));
	decide(peer);
}

void peer_resume(struct peer *peer)
{
	int r;

	if (peer->state != PEER_SERVING || !peer->session.later)
		return;
	r = peer->session.service->resume(&peer->session, &peer->peers->workspace);
	peer->session.later = r == SESSION_LATER;
	if (r < 0)
		doom_for_error(peer, r);
	else
		handle_kept(peer, (struct bytes){NULL, 0}, !(peer->events & LOOP_OUT));
	decide(peer);
}

void peer_set_settings(struct peer *peer, const struct settings *settings)
{
	peer->session.settings = settings;
	decide(peer);
}

void peer_done(struct peer *peer)
{
	timer_remove(loop_timers(peer->peers->loop), &peer->timer);
	stream_done(&peer->stream);
	buffer_done(&peer->input);
}
