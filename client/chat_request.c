/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "util.h"

/* An unanswered request. */
struct request {
	struct list link;
	uint64_t cookie;
	void (*answered)(struct talk *talk, struct request *request,
			 const struct retort_reply *reply);
	char *room, *text; /* as asked; may be NULL */
	bool flag;	   /* join: look at the room then; say: be patient; rooms: show them */
};

static void request_free(struct request *request)
{
	list_remove(&request->link);
	free(request->room);
	free(request->text);
	free(request);
}

void requests_done(struct talk *talk)
{
	struct request *request;

	LIST_FOR_EACH(request, &talk->requests, struct request, link)
		request_free(request);
}

static struct request *request_new(const char *room, const char *text)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	list_init(&request->link);
	request->room = room ? strdup(room) : NULL;
	request->text = text ? strdup(text) : NULL;
	if ((room && !request->room) || (text && !request->text)) {
		request_free(request);
		return NULL;
	}
	return request;
}

/* Why a request could not be handed over, or no answer came. */
static const char *failure(int error)
{
	switch (error) {
	case -EAGAIN:
		return "too much is unanswered already";
	case -EINVAL:
		return "that cannot be asked so";
	case -ECONNRESET:
		return "the connection was lost";
	case -ECONNABORTED:
		return "the server closed the connection";
	case -ETIMEDOUT:
		return "no answer in time";
	case -EMSGSIZE:
		return "it is too long";
	default:
		return strerrordesc_np(-error) ?: "failed";
	}
}

static void tell_refused(struct talk *talk, const char *what, const char *why, const char *text)
{
	talk->refused = true;
	screen_warn(talk->screen, "%s: %s%s%s", what, why, text ? ": " : "", text ?: "");
}

/* Tells that a request failed, as far as there is something to tell, and returns whether it did. */
static bool failed(struct talk *talk, const char *what, const struct retort_reply *reply,
		   const char *text)
{
	if (reply->status == 0)
		return false;
	tell_refused(talk, what,
		     reply->status < 0 ? failure(reply->status)
				       : reply->message ?: reply->token ?: "refused",
		     text);
	return true;
}

typedef void answered_fn(struct talk *talk, struct request *request,
			 const struct retort_reply *reply);

/* Asks, and remembers what for. Returns 0 or a negative errno, which was told. */
static int ask(struct talk *talk, const struct retort_request *asked, answered_fn *answered,
	       bool flag, const char *what)
{
	struct request *request = request_new(asked->room, asked->text);
	int r = request ? 0 : -ENOMEM;

	if (r == 0)
		r = retort_submit(talk->retort, asked, &request->cookie);
	if (r < 0) {
		if (request)
			request_free(request);
		tell_refused(talk, what, failure(r), asked->text);
		return r;
	}
	request->answered = answered;
	request->flag = flag;
	list_append(&talk->requests, &request->link);
	return 0;
}

void request_answered(struct talk *talk, const struct retort_reply *reply)
{
	struct request *request;

	LIST_FOR_EACH(request, &talk->requests, struct request, link) {
		if (request->cookie != reply->cookie)
			continue;
		list_remove(&request->link);
		request->answered(talk, request, reply);
		request_free(request);
		return;
	}
}

/* ---- going into a room ---- */

/* Whom one can address there. Not knowing them is no harm. */
static void met(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	struct room *room = rooms_find(&talk->rooms, request->room);

	for (size_t i = reply->members_len; room && reply->status == 0 && i > 0; i--)
		room_meet(room, reply->members[i - 1].nick);
}

static void ask_who_is_there(struct talk *talk, const char *room)
{
	const struct retort_request who = {.op = RETORT_OP_WHO, .room = room};

	if (talk->typing)
		(void)ask(talk, &who, met, false, "cannot ask who is there"); /* it was told */
}

static void joined(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	struct room *room = rooms_find(&talk->rooms, request->room);

	talk->joins--;
	if (failed(talk, "cannot join", reply, NULL)) {
		if (room)
			talk_remove(talk, room);
		return;
	}
	if (!room)
		return; /* and left meanwhile */
	if (!talk->typing) {
		talk_show_kept(talk, room);
		return;
	}
	if (request->flag || room == talk->rooms.current)
		talk_switch(talk, room);
	if (reply->topic && *reply->topic && room == talk->rooms.current)
		screen_notice(talk->screen, "the topic of %s is: %s", room->name, reply->topic);
	ask_who_is_there(talk, room->name);
}

static void join(struct talk *talk, const char *name, const uint64_t *since, bool go)
{
	const struct retort_request request = {
		.op = RETORT_OP_JOIN,
		.room = name,
		.has = since ? RETORT_HAS_SINCE : 0,
		.since = since ? *since : 0,
	};
	struct room *room = rooms_add(&talk->rooms, name);

	if (!room) {
		tell_refused(talk, "cannot join", failure(-ENOMEM), name);
		return;
	}
	if (ask(talk, &request, joined, go, "cannot join") < 0)
		talk_remove(talk, room);
	else
		talk->joins++;
}

static void keep_message(struct talk *talk, struct room *room, const struct retort_message *message)
{
	const char *nick = retort_nick(talk->retort);
	const struct said said =
		talk_said(talk, room->name, message, nick && strcmp(nick, message->from) == 0);

	if (kept_add(&room->kept, &said) < 0)
		talk_show(talk, &said);
	room_meet(room, message->from);
}

/* What came before is here; what comes from now on is asked for from exactly there. */
static void have_past(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	const uint64_t since = reply->status == 0 ? reply->seq : 0;
	struct room *room;

	talk->joins--;
	/* A room that is not there yet is made by joining it. */
	if (reply->status != RETORT_NO_SUCH_ROOM && failed(talk, "cannot join", reply, NULL))
		return;
	room = rooms_add(&talk->rooms, request->room);
	for (size_t i = 0; room && reply->status == 0 && i < reply->messages_len; i++)
		keep_message(talk, room, &reply->messages[i]);
	join(talk, request->room, &since, request->flag);
}

void request_join(struct talk *talk, const char *room, bool go)
{
	const struct retort_request history = {
		.op = RETORT_OP_HISTORY,
		.room = room,
		.has = RETORT_HAS_LIMIT,
		.limit = talk->lines,
	};

	if (talk->lines == 0)
		join(talk, room, NULL, go);
	else if (ask(talk, &history, have_past, go, "cannot join") == 0)
		talk->joins++;
}

/* ---- leaving it ---- */

static void left(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	struct room *room = rooms_find(&talk->rooms, request->room);

	if (failed(talk, "cannot leave", reply, NULL) || !room)
		return;
	screen_notice(talk->screen, "you left %s", room->name);
	talk_remove(talk, room);
}

void request_leave(struct talk *talk, const char *room)
{
	const struct retort_request request = {.op = RETORT_OP_LEAVE, .room = room};

	(void)ask(talk, &request, left, false, "cannot leave"); /* it was told */
}

/* ---- saying something ---- */

static void say_later(struct talk *talk, struct request *request, uint64_t milliseconds)
{
	free(talk->held_back);
	talk->held_back = STEAL(request->text);
	talk->once_more = clock_now() + milliseconds * NSEC_PER_MSEC;
}

static void was_said(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	if (reply->status == RETORT_SLOW_DOWN && request->flag) {
		say_later(talk, request, MAX(reply->retry_after, UINT64_C(10)));
		return;
	}
	(void)failed(talk, "not said", reply, request->text); /* it was told */
}

void request_say(struct talk *talk, const char *room, const char *text, bool patient)
{
	const struct retort_request request = {.op = RETORT_OP_SAY, .room = room, .text = text};

	if (ask(talk, &request, was_said, patient, "not said") == 0 && talk->lost && talk->typing)
		screen_notice(talk->screen, "will be said when the connection is back: %s", text);
}

void request_say_again(struct talk *talk)
{
	CLEANUP(freep) char *text = STEAL(talk->held_back);

	talk->once_more = DEADLINE_NONE;
	if (text && talk->rooms.current)
		request_say(talk, talk->rooms.current->name, text, true);
}

size_t requests_unsaid(const struct talk *talk)
{
	const struct request *request;
	size_t n = talk->held_back ? 1 : 0;

	LIST_FOR_EACH(request, &talk->requests, struct request, link)
		n += request->answered == was_said;
	return n;
}

static void was_last(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	(void)request;
	(void)reply; /* any will do */
	talk->quit = true;
}

void request_last(struct talk *talk)
{
	const struct retort_request ping = {.op = RETORT_OP_PING};

	if (ask(talk, &ping, was_last, false, "cannot end in order") < 0)
		talk->quit = true;
}

/* ---- looking around ---- */

static void topic_is_set(struct talk *talk, struct request *request,
			 const struct retort_reply *reply)
{
	(void)request;						   /* the event says the rest */
	(void)failed(talk, "the topic is as it was", reply, NULL); /* it was told */
}

/* The topic is known from the list of rooms. */
static void show_topic(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	const struct room *asked = rooms_find(&talk->rooms, request->room);

	if (failed(talk, "cannot ask for the topic", reply, NULL))
		return;
	for (size_t i = 0; i < reply->rooms_len; i++) {
		const struct retort_room *room = &reply->rooms[i];

		if (!asked || rooms_find(&talk->rooms, room->room) != asked)
			continue;
		if (room->topic && *room->topic)
			screen_notice(talk->screen, "the topic of %s is: %s", room->room,
				      room->topic);
		else
			screen_notice(talk->screen, "%s has no topic", room->room);
		return;
	}
	screen_notice(talk->screen, "%s is not in the list of rooms", request->room);
}

void request_topic(struct talk *talk, const char *room, const char *text)
{
	const struct retort_request set = {.op = RETORT_OP_TOPIC, .room = room, .text = text};
	/* The room is not sent, as it has no meaning for the server here. */
	const struct retort_request get = {.op = RETORT_OP_ROOMS, .room = room};

	if (text)
		(void)ask(talk, &set, topic_is_set, false, "the topic is as it was");
	else
		(void)ask(talk, &get, show_topic, false, "cannot ask for the topic");
}

static void show_history(struct talk *talk, struct request *request,
			 const struct retort_reply *reply)
{
	const char *nick = retort_nick(talk->retort);

	if (failed(talk, "no history", reply, NULL))
		return;
	screen_notice(talk->screen, "the last %zu message%s of %s:", reply->messages_len,
		      reply->messages_len == 1 ? "" : "s", request->room);
	for (size_t i = 0; i < reply->messages_len; i++) {
		const struct retort_message *message = &reply->messages[i];
		const struct said said = talk_said(talk, request->room, message,
						   nick && strcmp(nick, message->from) == 0);

		talk_show(talk, &said);
	}
	screen_notice(talk->screen, "that was the history");
}

void request_history(struct talk *talk, const char *room, uint64_t limit)
{
	const struct retort_request request = {
		.op = RETORT_OP_HISTORY,
		.room = room,
		.has = RETORT_HAS_LIMIT,
		.limit = limit,
	};

	(void)ask(talk, &request, show_history, false, "no history"); /* it was told */
}

static void show_who(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	if (failed(talk, "cannot ask who is there", reply, NULL))
		return;
	screen_notice(talk->screen, "%zu in %s:", reply->members_len, request->room);
	for (size_t i = 0; i < reply->members_len; i++) {
		const struct retort_member *member = &reply->members[i];

		screen_notice(talk->screen, "  %s%s%s%s", member->nick,
			      member->user ? "" : " (guest)", member->unit ? ", " : "",
			      member->unit ?: "");
	}
}

void request_who(struct talk *talk, const char *room)
{
	const struct retort_request request = {.op = RETORT_OP_WHO, .room = room};

	(void)ask(talk, &request, show_who, false, "cannot ask who is there"); /* it was told */
}

/* Those that we are in have the numbers by which one goes there. */
static void show_rooms(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	if (failed(talk, "cannot ask for the rooms", reply, NULL))
		return;
	for (size_t i = 0; i < reply->rooms_len; i++)
		rooms_know(&talk->rooms, reply->rooms[i].room);
	if (!request->flag)
		return;
	screen_notice(talk->screen, "%zu room%s:", reply->rooms_len,
		      reply->rooms_len == 1 ? "" : "s");
	for (size_t i = 0; i < reply->rooms_len; i++) {
		const struct retort_room *room = &reply->rooms[i];
		const bool topic = room->topic && *room->topic;
		char number[24] = "";

		for (size_t j = 0; j < talk->rooms.n; j++)
			if (talk->rooms.all[j] == rooms_find(&talk->rooms, room->room))
				(void)snprintf(number, sizeof(number), "/%zu", j + 1);
		screen_notice(talk->screen,
			      "  %3s %s, %" PRIu64 " there, %" PRIu64 " message%s%s%s", number,
			      room->room, room->members, room->seq, room->seq == 1 ? "" : "s",
			      topic ? ": " : "", topic ? room->topic : "");
	}
}

void request_rooms(struct talk *talk, bool show)
{
	const struct retort_request request = {.op = RETORT_OP_ROOMS};

	(void)ask(talk, &request, show_rooms, show, "cannot ask for the rooms"); /* it was told */
}

static void renamed(struct talk *talk, struct request *request, const struct retort_reply *reply)
{
	(void)request;
	if (!failed(talk, "your nick is as it was", reply, NULL))
		talk_nick(talk); /* unless the rooms have told so */
}

void request_nick(struct talk *talk, const char *nick)
{
	const struct retort_request request = {.op = RETORT_OP_HELLO, .nick = nick};

	if (talk->nick && strcmp(talk->nick, nick) == 0) {
		screen_notice(talk->screen, "you are %s already", nick);
		return;
	}
	(void)ask(talk, &request, renamed, false, "your nick is as it was"); /* it was told */
}
