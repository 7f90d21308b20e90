/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_process.h"

#include <poll.h>
#include <stdio.h>

#include "retort_receive.h"
#include "text.h"
#include "util.h"

enum { UNSENT_MAX = 256 * 1024 /* bytes; requests above that wait as they are */ };

/* ---- Making a connection ---- */

static void begin(struct retort *retort)
{
	const uint64_t now = clock_now();
	uint64_t deadline = clock_after(now, retort->timeout);

	if (retort->phase == PHASE_IDLE)
		state_restart(retort);
	if (retort->patience[retort->lives > 0] > 0 && state_patience_ends(retort) > now)
		deadline = MIN(deadline, state_patience_ends(retort));
	wire_start(&retort->wire, retort->endpoints, retort->n_endpoints, deadline,
		   retort->max_message);
	retort->phase = PHASE_CONNECTING;
}

static int say_hello(struct retort *retort)
{
	const struct retort_request request = {
		.op = RETORT_OP_HELLO,
		.nick = retort->wished_nick ?: retort->nick ?: retort->own_nick,
		.user = retort->login,
	};

	retort->hello_at = DEADLINE_NONE;
	return state_ask(retort, &request, ASKED_BY_HELLO, retort->asked.next, NULL);
}

/*
 * On a Unix socket the server knows us, and a hello would only give a nick to all connections of
 * our user. A guest needs one, to come back as the same.
 */
static bool needs_hello(const struct retort *retort)
{
	return retort->says_hello && (retort->wished_nick || retort->login || !retort->own_user);
}

/* Without hello we are taken for whom the server takes us, as far as that is known here. */
static int go_live(struct retort *retort)
{
	struct item *item = item_new(state_greeting_kind(retort));
	int r = item ? 0 : -ENOMEM;

	if (r == 0 && retort->own_user && !retort->nick)
		r = state_set_identity(retort, retort->own_nick, retort->own_user);
	if (r < 0) {
		item_free(item);
		return r;
	}
	return state_live(retort, item);
}

/* The wire stands. */
static int greet(struct retort *retort)
{
	retort->phase = PHASE_GREETING;
	retort->heard_at = clock_now();
	return needs_hello(retort) ? say_hello(retort) : go_live(retort);
}

/* A sentence for a failure of the system. */
static const char *describe(int error)
{
	switch (error) {
	case -ENOENT:
		return "there is no such socket";
	case -ECONNREFUSED:
		return "connection refused: nobody listens there";
	case -ETIMEDOUT:
		return "timed out";
	case -ECONNRESET:
		return "the connection was lost";
	case -EACCES:
		return "not permitted";
	default:
		return strerrordesc_np(-error) ?: "failed";
	}
}

static void end_with(struct retort *retort, int error)
{
	state_end(retort, error, NULL, describe(error));
}

static void go_on_connecting(struct retort *retort)
{
	int r = wire_connect(&retort->wire);

	if (r > 0)
		r = greet(retort);
	if (r < 0)
		end_with(retort, r);
}

/* ---- Receiving ---- */

/* The server has said why it closes. */
static void end_with_reason(struct retort *retort, struct bytes body)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	int r = text_append_safe(&text, body.data, body.len);

	if (r == 0)
		r = buffer_append(&text, "", 1);
	state_end(retort, -ECONNABORTED, NULL,
		  r == 0 && text.len > 1 ? (const char *)text.data
					 : "the server closes, and does not say why");
}

static void end_too_long(struct retort *retort)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "its message is longer than the limit of %llu bytes",
		       (unsigned long long)retort->max_message);
	state_give_up(retort, -EPROTO, NULL, text);
}

static void end_of_input(struct retort *retort)
{
	state_end(retort, -ECONNRESET, NULL,
		  retort->closing ? retort->farewell : "the server closed the connection");
}

/* Takes one frame. Returns whether there may be another. */
static bool take_frame(struct retort *retort)
{
	struct bytes body;
	int r;

	switch (wire_next(&retort->wire, &body)) {
	case WIRE_NOTHING:
		return false;
	case WIRE_MESSAGE:
		r = receive_frame(retort, body);
		if (r < 0)
			end_with(retort, r);
		break;
	case WIRE_ERROR:
		end_with_reason(retort, body);
		break;
	case WIRE_MALFORMED:
		state_give_up(retort, -EPROTO, NULL,
			      "what it sent is no frame; is its framing length?");
		break;
	case WIRE_TOO_LONG:
		end_too_long(retort);
		break;
	case WIRE_ENDED:
		end_of_input(retort);
		break;
	}
	return state_is_connected(retort);
}

static bool wants_input(const struct retort *retort)
{
	return retort->inbox.cost < retort->inbox_limit;
}

/* Receives once, and takes what is whole. Returns whether nothing was there. */
static bool receive(struct retort *retort)
{
	int r;

	if (!wants_input(retort))
		return false;
	r = wire_receive(&retort->wire);
	if (r < 0)
		end_with(retort, r);
	if (r <= 0)
		return r == 0;
	retort->heard_at = clock_now();
	while (take_frame(retort))
		;
	return false;
}

/* ---- Sending ---- */

/* Whether this request may be sent now. */
static bool may_send(const struct retort *retort, const struct asked *asked)
{
	return !asked->sent && !retort->closing &&
	       (retort->phase == PHASE_LIVE || asked->by == ASKED_BY_HELLO);
}

/* A room is joined after what was seen of it by now. */
static void update_since(struct retort *retort, struct asked *asked)
{
	const struct cursor *cursor;

	if (asked->request.op != CHAT_JOIN || asked_is_ours(asked))
		return;
	cursor = cursor_find(&retort->cursors, asked->request.room);
	if (!cursor || asked->cookie < cursor->leave)
		return;
	asked->request.has = cursor->known ? CHAT_HAS_SINCE : 0;
	asked->request.since = cursor->seq;
}

/* Queues one request. Returns 0, 1 when it was refused right here, or -ENOMEM. */
static int send_one(struct retort *retort, struct asked *asked)
{
	struct buffer *out = &retort->wire.out;
	const uint64_t limit = retort->limits.max_message;
	const size_t before = out->len;
	int r;

	update_since(retort, asked);
	r = asked_write(asked, out);
	if (r < 0)
		return r;
	/* It would end the connection, and then again. */
	if (limit > 0 && out->len - before - FRAME_HEADER > limit && !asked_is_ours(asked)) {
		out->len = before;
		state_answer_with(retort, asked, RETORT_TOO_LONG, chat_error_token(CHAT_TOO_LONG),
				  "it is longer than what the server takes");
		return 1;
	}
	if (!state_owed(retort))
		retort->heard_at = clock_now();
	asked->sent = true;
	return 0;
}

static int queue_requests(struct retort *retort)
{
	struct wire *wire = &retort->wire;
	struct asked *asked;

	buffer_consume(&wire->out, wire->out_sent);
	wire->out_sent = 0;
	LIST_FOR_EACH(asked, &retort->asked, struct asked, link) {
		int r;

		if (asked->sent)
			continue;
		if (!may_send(retort, asked) || wire_unsent(wire) >= UNSENT_MAX)
			break;
		r = send_one(retort, asked);
		if (r < 0)
			return r;
	}
	return 0;
}

static void transmit(struct retort *retort)
{
	int r = 0;

	if (retort->hello_at <= clock_now())
		r = say_hello(retort);
	if (r == 0)
		r = queue_requests(retort);
	if (r == 0)
		r = wire_send(&retort->wire);
	if (r < 0)
		end_with(retort, r);
}

/* ---- Time ---- */

/* When the server has been silent for too long. */
static uint64_t overdue(const struct retort *retort)
{
	if (!state_owed(retort) && !retort->closing)
		return DEADLINE_NONE;
	return clock_after(retort->heard_at, retort->timeout);
}

/* Whom it kept waiting is told; the others' requests are sent again. */
static void end_of_patience(struct retort *retort)
{
	struct asked *asked = state_owed(retort);

	if (asked && !asked_is_ours(asked))
		state_answer_with(retort, asked, -ETIMEDOUT, NULL, "no answer came in time");
	state_end(retort, -ETIMEDOUT, NULL, "no answer came in time");
}

int process_step(struct retort *retort)
{
	bool silent;

	if (retort->phase == PHASE_IDLE ||
	    (retort->phase == PHASE_WAITING && retort->retry_at <= clock_now()))
		begin(retort);
	if (retort->phase == PHASE_CONNECTING)
		go_on_connecting(retort);
	state_tell_due_leaves(retort);
	if (state_is_connected(retort)) {
		silent = receive(retort);
		if (state_is_connected(retort))
			transmit(retort);
		if (state_is_connected(retort) && silent && overdue(retort) <= clock_now())
			end_of_patience(retort);
	}
	return retort->phase == PHASE_FAILED ? retort->failure : 0;
}

/* Whether a request waits to be sent, and may be. */
static bool wants_output(const struct retort *retort)
{
	const struct asked *asked;

	if (wire_unsent(&retort->wire) > 0)
		return true;
	LIST_FOR_EACH(asked, &retort->asked, struct asked, link)
		if (!asked->sent)
			return may_send(retort, asked);
	return false;
}

short process_events(const struct retort *retort)
{
	if (retort->phase == PHASE_CONNECTING)
		return retort->wire.connecting ? POLLOUT : 0;
	if (!state_is_connected(retort))
		return 0;
	return (short)((wants_input(retort) ? POLLIN : 0) | (wants_output(retort) ? POLLOUT : 0));
}

uint64_t process_due(const struct retort *retort)
{
	uint64_t due;

	switch (retort->phase) {
	case PHASE_IDLE:
		return 0;
	case PHASE_WAITING:
		return retort->retry_at;
	case PHASE_CONNECTING:
		return retort->wire.due;
	case PHASE_FAILED:
		return DEADLINE_NONE;
	default:
		due = MIN(retort->hello_at, state_leaves_due(retort));
		return wants_input(retort) ? MIN(due, overdue(retort)) : due;
	}
}
