/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <sys/ioctl.h>

#include "peer_receive.h"

enum {
	DRAINED_MAX = 32 * 1024, /* bytes that may wait when a session gets more for its client:
				    what is made for one client alone is made when it reads */
};

/*
 * The turn
 */

static bool wants_input(const struct peer *peer)
{
	return !peer->input_ended && !peer->owes_reading &&
	       !(peer->session.later && peer->state == PEER_SERVING);
}

/* The socket takes bytes again. */
static void make_room(struct peer *peer)
{
	peer_send_answers(peer, true);
	if (peer->state == PEER_SERVING && peer->owes_reading &&
	    peer->stream.pending <= peer->session.settings->max_pending / 2)
		peer_handle_kept(peer, (struct bytes){NULL, 0}, false);
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
	peer_drop_input(peer);
	if (peer->state != PEER_DOOMED)
		peer_send_answers(peer, peer->stream.pending == 0);
}

/* Takes no message any more, and says reason behind all that is owed. */
static void end(struct peer *peer, const char *reason, bool reconnect)
{
	const struct service *service = peer->session.service;
	int r = service->end(&peer->session, &peer->peers->workspace, reason, reconnect);

	if (r < 0)
		peer_fail(peer, r);
	else
		peer_refuse_more(peer, NULL);
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
		peer_set_state(peer, PEER_LINGERING);
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
	peer_note(peer);
	if (peer->state == PEER_DOOMED)
		return;

	events = wanted_events(peer);
	if (r == 0 && events != peer->events)
		r = loop_change(peer->peers->loop, peer->stream.fd, events, &peer->watch);
	peer->events = events;
	if (r == 0)
		r = timer_set(loop_timers(peer->peers->loop), &peer->timer, due(peer));
	if (r < 0)
		peer_fail(peer, r);
	else if (peer->session.behind && peer->state == PEER_SERVING && !peer->peers->suspended &&
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
		peer_send_answers(peer, true);
	if (peer->state == PEER_DOOMED)
		return;
	if (wants_input(peer) && events & (LOOP_IN | LOOP_BROKEN))
		peer_take_input(peer, out || peer->stream.pending == 0);
	else if (events & LOOP_BROKEN)
		peer_fail(peer, -ECONNRESET);
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
		peer_complain(peer, LOG_TIMED_OUT, "message not finished in time");
		peer_refuse_more(peer, "timed out");
		stop_serving(peer);
		decide(peer);
	} else {
		counters_add(counters, COUNTER_IDLE, 1);
		peer_complain(peer, LOG_IDLE, "idle for too long");
		peer_end(peer, "idle for too long");
	}
}

/*
 * Life
 */

void peer_start(struct peer *peer, struct peers *peers)
{
	int r = 0;

	peer->peers = peers;
	peer->watch.ready = ready;
	if (!peer->kept)
		peer->active = loop_now(peers->loop);
	list_append(&peers->all, &peer->link);

	if (!peer->kept && !peer->reason)
		r = peer->session.service->open(&peer->session, &peers->workspace);
	if (r == 0) {
		peer_send_answers(peer, true);
		peer->events = wanted_events(peer);
		r = loop_add(peers->loop, peer->stream.fd, peer->events, &peer->watch);
	}
	if (r < 0)
		peer_fail(peer, r);
	/* Whatever its service is: it may well come again, when there are fewer. */
	if (!peer->kept && peer->reason && peer->state == PEER_SERVING) {
		peer_refuse_more(peer, peer->reason);
		stop_serving(peer);
	}
	peer_go_on(peer);
	peer->kept = false;
}

void peer_go_on(struct peer *peer)
{
	/* What has come, or gone, already gives no event. */
	if (peer->state == PEER_SERVING &&
	    (peer->input.len > 0 || peer->input_ended || peer->owes_reading))
		peer_handle_kept(peer, (struct bytes){NULL, 0}, !(peer->events & LOOP_OUT));
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
	peer_note_busy(peer);
	return stream_queue(&peer->stream, packet);
}

bool peer_send(struct peer *peer, struct packet *packet)
{
	size_t sent;
	int r;

	if (peer->state != PEER_SERVING)
		return false;
	peer_note_busy(peer);
	if (peer->stream.n > 0)
		r = stream_queue(&peer->stream, packet);
	else
		r = stream_send_packet(&peer->stream, packet);
	if (r < 0) {
		peer_fail(peer, r);
		return false;
	}
	if (peer->stream.n > 1)
		return true;
	sent = packet->len - MIN(packet->len, peer->stream.pending);
	peer->bytes_out += sent;
	peer->active = loop_now(peer->peers->loop);
	counters_add(peer->session.counters, COUNTER_BYTES_OUT, sent);
	peer_note(peer);
	/* The state of one that has got all of it at once is what it was. */
	return peer->stream.n > 0 || peer->session.settings->timeouts.idle > 0;
}

void peer_flush(struct peer *peer)
{
	if (peer->state != PEER_SERVING)
		return;
	/* When the loop watches for room in the socket, it is full. */
	peer_send_answers(peer, !(peer->events & LOOP_OUT));
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
		peer_fail(peer, r);
	else
		peer_handle_kept(peer, (struct bytes){NULL, 0}, !(peer->events & LOOP_OUT));
	decide(peer);
}

void peer_set_settings(struct peer *peer, const struct settings *settings)
{
	peer->session.settings = settings;
	decide(peer);
}

void peer_shut_down(struct peer *peer)
{
	peer_note_busy(peer);
	if (peer->letter.entry == 0)
		return;
	/* What is open elsewhere is not taken out of the loop by being closed here. */
	loop_remove(peer->peers->loop, peer->stream.fd);
	stream_shut_down(&peer->stream);
}

void peer_take_out(struct peer *peer)
{
	timer_remove(loop_timers(peer->peers->loop), &peer->timer);
	list_remove(&peer->link);
}

void peer_done(struct peer *peer)
{
	stream_done(&peer->stream);
	buffer_done(&peer->input);
}
