/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_receive.h"

/*
 * A cursor is moved only once the event that moves it waits for the program; so a message for which
 * there is no memory is one that was not seen, and comes again on the next connection.
 */

#include <stdio.h>
#include <string.h>

#include "retort_nick.h"
#include "util.h"

enum {
	UNASKED_MAX = 64, /* senders of direct messages that are remembered */
	GUESSES_MAX = 3,  /* nicks that are asked for when none is wished */
	LEAVE_HELD = 500, /* milliseconds within which a new nick is told behind the old one */
};

/* What came cannot be. It would be no better the next time. */
static int broken(struct retort *retort, const char *text)
{
	state_give_up(retort, -EPROTO, NULL, text);
	return 0;
}

/* Whether the server may do it, if it is asked again later. */
static bool is_temporary(enum retort_refusal refusal)
{
	return refusal == RETORT_SLOW_DOWN || refusal == RETORT_STORAGE ||
	       refusal == RETORT_SHUTTING_DOWN;
}

/* ---- Events ---- */

/* Makes an event for the program of what came. Returns NULL when out of memory. */
static struct item *event_item(const struct retort *retort, struct object_answer *answer,
			       struct bytes body)
{
	struct item *item = item_new(RETORT_MESSAGE);

	if (item && item_set_event(item, answer, body, retort->nick, retort->user) < 0) {
		item_free(item);
		item = NULL;
	}
	return item;
}

static int pass_on(struct retort *retort, struct object_answer *answer, struct bytes body)
{
	struct item *item = event_item(retort, answer, body);

	if (!item)
		return -ENOMEM;
	inbox_put(&retort->inbox, item);
	return 0;
}

static int jumped(struct retort *retort, const struct cursor *cursor, uint64_t seq)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "in %s the message after number %llu has number %llu",
		       cursor->room, (unsigned long long)cursor->seq, (unsigned long long)seq);
	return broken(retort, text);
}

static int take_message(struct retort *retort, struct cursor *cursor, struct object_answer *answer,
			struct bytes body)
{
	const uint64_t seq = answer->event.message.seq;
	int r;

	if (!cursor)
		return pass_on(retort, answer, body);
	switch (cursor_look(cursor, seq)) {
	case CURSOR_OLD:
		return 0;
	case CURSOR_JUMP:
		return jumped(retort, cursor, seq);
	case CURSOR_NEW:
		break;
	}
	cursor_spell(cursor, answer->event.room);
	r = pass_on(retort, answer, body);
	if (r == 0) {
		cursor_move(cursor, seq);
		retort->useful = true;
	}
	return r;
}

static int take_gap(struct retort *retort, struct cursor *cursor, struct object_answer *answer,
		    struct bytes body)
{
	const uint64_t last = answer->event.last;
	int r;

	if (!cursor || (cursor->known && last <= cursor->seq))
		return 0;
	r = pass_on(retort, answer, body);
	if (r == 0)
		cursor_move(cursor, last);
	return r;
}

/*
 * Who is made to leave is no member any more, unless more comes of the room: then it was a new nick
 * for all connections of our user, of which the join that follows at once tells. The program learns
 * of it when it shows which it is.
 */
static int take_leave(struct retort *retort, struct cursor *cursor, struct object_answer *answer,
		      struct bytes body)
{
	const bool ours = retort->nick && strcmp(answer->event.nick, retort->nick) == 0;
	struct item *item;

	if (!ours || !cursor || !cursor->joined || cursor->leave || cursor->join)
		return pass_on(retort, answer, body);
	item = event_item(retort, answer, body);
	if (!item)
		return -ENOMEM;
	item->due = clock_after(clock_now(), LEAVE_HELD);
	list_append(&retort->leaves, &item->link);
	cursor->evicted = true;
	return 0;
}

static int take_join(struct retort *retort, bool evicted, struct object_answer *answer,
		     struct bytes body)
{
	const int r = evicted ? state_set_identity(retort, answer->event.nick, retort->user) : 0;

	return r < 0 ? r : pass_on(retort, answer, body);
}

/* The server is about to close; there is nothing to wait for when it owes no answer. */
static int take_closing(struct retort *retort, struct object_answer *answer, struct bytes body)
{
	const char *reason = answer->event.reason;
	const bool come_back = answer->event.reconnect;
	int r;

	(void)snprintf(retort->farewell, sizeof(retort->farewell), "%s",
		       reason && *reason ? reason : "it did not say why");
	r = pass_on(retort, answer, body);
	if (r < 0)
		return r;
	retort->closing = true;
	retort->come_back = come_back;
	if (!state_owed(retort))
		state_end(retort, -ECONNRESET, NULL, retort->farewell);
	return 0;
}

/*
 * Direct messages need no joining, but over connections they are resumed like those of a room. So
 * it is remembered where they came from, up to a bound. Returns NULL beyond that.
 */
static struct cursor *follow_direct(struct retort *retort, const char *room)
{
	struct cursor *cursor;
	size_t n = 0;

	LIST_FOR_EACH(cursor, &retort->cursors, struct cursor, link)
		n += cursor->unasked;
	cursor = n < UNASKED_MAX ? cursor_add(&retort->cursors, room) : NULL;
	if (cursor)
		cursor->unasked = cursor->joined = true;
	return cursor;
}

static int take_event(struct retort *retort, struct object_answer *answer, struct bytes body)
{
	const struct chat_event *event = &answer->event;
	struct cursor *cursor = NULL;
	bool evicted = false;

	if (event->kind == CHAT_EVENT_CLOSING)
		return take_closing(retort, answer, body);
	cursor = cursor_find(&retort->cursors, event->room);
	if (!cursor && event->kind == CHAT_EVENT_MESSAGE && event->room[0] == '@')
		cursor = follow_direct(retort, event->room);
	/* Of a room that was left, the rest may be under way. */
	if (cursor ? cursor_is_deaf(cursor) : event->room[0] != '@')
		return 0;
	if (cursor && cursor->evicted) {
		evicted = true;
		cursor->evicted = false;
		state_tell_leaves(retort, event->room);
	}
	switch (event->kind) {
	case CHAT_EVENT_MESSAGE:
		return take_message(retort, cursor, answer, body);
	case CHAT_EVENT_GAP:
		return take_gap(retort, cursor, answer, body);
	case CHAT_EVENT_JOIN:
		return take_join(retort, evicted, answer, body);
	case CHAT_EVENT_LEAVE:
		return take_leave(retort, cursor, answer, body);
	default:
		return pass_on(retort, answer, body);
	}
}

/* ---- Rooms ---- */

/*
 * The room's log began anew, and this connection has joined it after a number that is far ahead:
 * joins it again from the beginning.
 */
static int start_over(struct retort *retort, struct cursor *cursor)
{
	const struct retort_request leave = {.op = RETORT_OP_LEAVE, .room = cursor->room};
	const struct retort_request join = {
		.op = RETORT_OP_JOIN, .room = cursor->room, .has = RETORT_HAS_SINCE};
	struct item *item = item_new(RETORT_RESTARTED);
	struct list *before = &retort->asked;
	struct asked *asked;
	int r;

	if (!item)
		return -ENOMEM;
	item->room = strdup(cursor->room);
	if (!item->room) {
		item_free(item);
		return -ENOMEM;
	}
	item->event.room = item->room;
	inbox_put(&retort->inbox, item);
	cursor->seq = 0;
	cursor->heard = false;

	/* Behind what is sent, and before what is not. */
	LIST_FOR_EACH(asked, &retort->asked, struct asked, link)
		if (!asked->sent) {
			before = &asked->link;
			break;
		}
	r = state_ask(retort, &leave, ASKED_BY_RESTART, before, &cursor->leave);
	if (r < 0)
		return r;
	return state_ask(retort, &join, ASKED_BY_RESTART, before, &cursor->join);
}

/* What a reply to join says about the room, whoever asked. */
static int room_joined(struct retort *retort, struct cursor *cursor, const struct chat_reply *reply)
{
	cursor->joined = true;
	if (cursor_is_deaf(cursor))
		return 0;
	if (reply->room)
		cursor_spell(cursor, reply->room);
	if (cursor->heard && reply->seq < cursor->seq)
		return start_over(retort, cursor);
	if (!cursor->known)
		cursor_move(cursor, reply->seq);
	if (reply->seq >= cursor->seq)
		cursor->heard = true; /* its log holds what was seen of it */
	return 0;
}

/* A join or leave of the program, or of start_over(), is answered. */
static int room_answered(struct retort *retort, const struct asked *asked,
			 const struct chat_reply *reply)
{
	struct cursor *cursor = cursor_find(&retort->cursors, asked->request.room);
	int r = 0;

	if (!cursor)
		return 0;
	if (asked->request.op == CHAT_LEAVE && !reply->error)
		cursor->joined = false;
	if (asked->request.op == CHAT_JOIN && !reply->error)
		r = room_joined(retort, cursor, reply);
	if (r < 0)
		return r;
	if (cursor->join == asked->cookie)
		cursor->join = 0;
	if (cursor->leave == asked->cookie)
		cursor->leave = 0;
	if (!cursor->joined && !cursor->join && !cursor->leave)
		cursor_free(cursor);
	return 0;
}

static int room_lost(struct retort *retort, struct cursor *cursor, const struct chat_reply *reply)
{
	struct item *item;

	if (!cursor->unasked) {
		item = item_new(RETORT_ROOM_LOST);
		if (!item)
			return -ENOMEM;
		item->room = strdup(cursor->room);
		item->event.room = item->room;
		item_set_status(item, (int)refusal_of(reply), reply->token, reply->message);
		inbox_put(&retort->inbox, item);
	}
	cursor->joined = false;
	if (!cursor->join && !cursor->leave)
		cursor_free(cursor);
	return 0;
}

/* ---- The library's own requests ---- */

static int take_rejoin(struct retort *retort, struct asked *asked, const struct chat_reply *reply)
{
	struct cursor *cursor = cursor_find(&retort->cursors, asked->request.room);
	int r = 0;

	if (reply->error && is_temporary(refusal_of(reply))) {
		state_end(retort, (int)refusal_of(reply), reply->token, reply->message);
		return 0;
	}
	if (cursor && reply->error)
		r = room_lost(retort, cursor, reply);
	else if (cursor)
		r = room_joined(retort, cursor, reply);
	if (r < 0)
		return r;
	asked_free(asked);
	if (--retort->rejoins == 0 && retort->greeting)
		inbox_put(&retort->inbox, STEAL(retort->greeting));
	return 0;
}

static int take_restart(struct retort *retort, struct asked *asked, const struct chat_reply *reply)
{
	struct cursor *cursor = cursor_find(&retort->cursors, asked->request.room);
	int r = 0;

	if (cursor && reply->error && asked->request.op == CHAT_JOIN)
		r = room_lost(retort, cursor, reply);
	if (r == 0)
		r = room_answered(retort, asked, reply);
	if (r == 0)
		asked_free(asked);
	return r;
}

/* The nick is somebody else's; after a lost connection most likely that one's ghost. */
static int nick_is_taken(struct retort *retort, const struct chat_reply *reply)
{
	struct item *item = item_new(RETORT_WAITING);
	const int wait = state_back_off(++retort->hellos);

	if (!item)
		return -ENOMEM;
	item_set_status(item, (int)refusal_of(reply), reply->token, reply->message);
	item->event.retry = wait;
	inbox_put(&retort->inbox, item);
	retort->hello_at = MIN(clock_after(clock_now(), wait), state_patience_ends(retort));
	return 0;
}

/* Whether another nick may do: nobody wished for this one, and somebody has it. */
static bool may_guess(const struct retort *retort, enum retort_refusal refusal)
{
	return !retort->wished_nick && retort->lives == 0 && retort->guesses < GUESSES_MAX &&
	       (refusal == RETORT_NICK_IN_USE || refusal == RETORT_NOT_ALLOWED ||
		refusal == RETORT_BAD_NAME);
}

static int guess_nick(struct retort *retort, struct asked *asked)
{
	char *nick = nick_of_guest();

	if (!nick)
		return -ENOMEM;
	free(retort->own_nick);
	retort->own_nick = nick;
	retort->guesses++;
	retort->hello_at = 0;
	asked_free(asked);
	return 0;
}

static int hello_refused(struct retort *retort, struct asked *asked, const struct chat_reply *reply)
{
	const enum retort_refusal refusal = refusal_of(reply);
	const char *token = reply->token;

	if (is_temporary(refusal)) {
		state_end(retort, (int)refusal, token, reply->message);
		return 0;
	}
	if (may_guess(retort, refusal))
		return guess_nick(retort, asked);
	if (refusal == RETORT_NICK_IN_USE && retort->lives > 0 &&
	    clock_now() < state_patience_ends(retort)) {
		int r = nick_is_taken(retort, reply);

		if (r == 0)
			asked_free(asked);
		return r;
	}
	state_give_up(retort, (int)refusal, token, reply->message);
	return 0;
}

static int take_hello(struct retort *retort, struct asked *asked, struct object_answer *answer,
		      struct bytes body)
{
	const struct chat_reply *reply = &answer->reply;
	struct item *item;

	if (reply->error)
		return hello_refused(retort, asked, reply);
	item = item_new(state_greeting_kind(retort));
	if (!item || state_set_identity(retort, reply->nick, reply->user) < 0 ||
	    item_set_reply(item, answer, body) < 0) {
		item_free(item);
		return -ENOMEM;
	}
	retort->limits = item->limits;
	item->reply.op = RETORT_OP_HELLO;
	asked_free(asked);
	return state_live(retort, item);
}

/* ---- Replies to the program's requests ---- */

/* Another nick was taken; it is the one to come back with. */
static int nick_changed(struct retort *retort, const struct asked *asked,
			const struct chat_reply *reply)
{
	char *wished = asked->request.nick ? strdup(asked->request.nick) : NULL;

	if ((asked->request.nick && !wished) ||
	    state_set_identity(retort, reply->nick, reply->user) < 0) {
		free(wished);
		return -ENOMEM;
	}
	if (wished) {
		free(retort->wished_nick);
		retort->wished_nick = wished;
	}
	return 0;
}

/* Who left a room by losing the connection has left it. */
static bool is_left_already(const struct asked *asked, const struct chat_reply *reply)
{
	return asked->request.op == CHAT_LEAVE && asked->repeated &&
	       (reply->error == CHAT_NOT_MEMBER || reply->error == CHAT_NO_SUCH_ROOM);
}

/* What the reply means to the library itself. */
static int take_effect(struct retort *retort, const struct asked *asked,
		       const struct chat_reply *reply)
{
	switch (asked->request.op) {
	case CHAT_HELLO:
		return reply->error ? 0 : nick_changed(retort, asked, reply);
	case CHAT_JOIN:
	case CHAT_LEAVE:
		return room_answered(retort, asked, reply);
	default:
		return 0;
	}
}

static int take_programs(struct retort *retort, struct asked *asked, struct object_answer *answer,
			 struct bytes body)
{
	struct chat_reply *reply = &answer->reply;
	struct item *item = asked->item;
	int r;

	if (reply->error == CHAT_SHUTTING_DOWN && asked_is_repeatable(asked)) {
		state_end(retort, RETORT_SHUTTING_DOWN, reply->token, reply->message);
		return 0;
	}
	if (is_left_already(asked, reply))
		*reply = (struct chat_reply){.op = reply->op, .id = reply->id};
	if (!reply->room && asked->request.room) {
		item->room = strdup(asked->request.room);
		reply->room = item->room;
	}
	r = take_effect(retort, asked, reply);
	if (r == 0)
		r = item_set_reply(item, answer, body);
	if (r < 0) {
		free(STEAL(item->room));
		return r;
	}
	retort->useful = true;
	state_answer(retort, asked);
	return 0;
}

/* Whether the reply is to this request; one whose id could not be read has none. */
static bool is_reply_to(const struct chat_reply *reply, const struct asked *asked)
{
	return !reply->id || strcmp(reply->id, asked->id) == 0;
}

static int take_reply(struct retort *retort, struct object_answer *answer, struct bytes body)
{
	struct asked *asked = state_owed(retort);

	if (!asked || !is_reply_to(&answer->reply, asked))
		return broken(retort, "it answered what was not asked");
	switch (asked->by) {
	case ASKED_BY_HELLO:
		return take_hello(retort, asked, answer, body);
	case ASKED_BY_REJOIN:
		return take_rejoin(retort, asked, &answer->reply);
	case ASKED_BY_RESTART:
		return take_restart(retort, asked, &answer->reply);
	default:
		return take_programs(retort, asked, answer, body);
	}
}

int receive_frame(struct retort *retort, struct bytes body)
{
	CLEANUP(object_answer_done) struct object_answer answer = {0};
	int r;

	r = object_read_answer(body, &answer);
	if (r == -ENOMSG)
		return 0; /* an event of a later version */
	if (r == -EBADMSG)
		return broken(retort,
			      "what it sent is neither a reply nor an event; is this a chat "
			      "listener?");
	if (r < 0)
		return r;
	return answer.is_event ? take_event(retort, &answer, body)
			       : take_reply(retort, &answer, body);
}
