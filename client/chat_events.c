/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chat_request.h"
#include "util.h"

enum { EVENTS_A_TURN = 500 };

/* What happens in a room that is not looked at is not worth a line. */
static bool is_looked_at(const struct talk *talk, const struct room *room)
{
	return room && (!talk->typing || room == talk->rooms.current);
}

static void somebody_came(struct talk *talk, const struct retort_event *event)
{
	struct room *room = rooms_find(&talk->rooms, event->room);

	if (event->mine)
		talk_nick(talk);
	if (event->mine || !room)
		return;
	room_meet(room, event->nick);
	if (!talk->quiet && is_looked_at(talk, room))
		screen_notice(talk->screen, "%s joined %s", event->nick, event->room);
}

static void somebody_left(struct talk *talk, const struct retort_event *event)
{
	struct room *room = rooms_find(&talk->rooms, event->room);
	const bool why = event->text && *event->text;
	uint64_t seen;

	if (!room)
		return;
	if (!event->mine) {
		room_part(room, event->nick);
		if ((!talk->quiet || why) && is_looked_at(talk, room))
			screen_notice(talk->screen, "%s left %s%s%s", event->nick, event->room,
				      why ? ": " : "", why ? event->text : "");
	} else if (why && retort_seen(talk->retort, event->room, &seen) < 0) {
		/* Else it is our own wish, whose reply tells it, or we are called otherwise now. */
		screen_warn(talk->screen, "you were removed from %s: %s", event->room, event->text);
		talk_remove(talk, room);
	}
}

static void topic_changed(struct talk *talk, const struct retort_event *event)
{
	const char *text = event->text ?: "";

	if (is_looked_at(talk, rooms_find(&talk->rooms, event->room)))
		screen_notice(talk->screen,
			      *text ? "%s made the topic of %s: %s"
				    : "%s took the topic of %s away%s",
			      event->nick, event->room, text);
}

static void room_lost(struct talk *talk, const struct retort_event *event)
{
	struct room *room = rooms_find(&talk->rooms, event->room);

	talk->refused = true;
	screen_warn(talk->screen, "you are not in %s any more: %s", event->room,
		    event->text ?: event->token ?: "it could not be joined again");
	if (room)
		talk_remove(talk, room);
}

static void wait_text(int retry, char *text, size_t size)
{
	if (retry == 0)
		(void)snprintf(text, size, "trying again");
	else
		(void)snprintf(text, size, "trying again in %d s", (retry + 999) / 1000);
}

/*
 * The first try often comes at once, and the first long wait says more. After that a try that fails
 * is no news: the prompt says that there is no connection. When it is given up, that is the last
 * thing that is said, and not here.
 */
static void disconnected(struct talk *talk, const struct retort_event *event)
{
	const bool why = event->text && *event->text, waits = event->retry >= 1000;
	char when[64];

	wait_text(event->retry, when, sizeof(when));
	if (event->retry >= 0 && (!talk->lost || (waits && !talk->waits)))
		screen_warn(talk->screen, "%s, %s%s%s%s",
			    talk->lost ? "still no connection" : "connection lost", when,
			    why ? " (" : "", why ? event->text : "", why ? ")" : "");
	talk->waits = waits || (talk->lost && talk->waits);
	talk_lost(talk);
}

static void tell_gap(struct talk *talk, const struct retort_event *event)
{
	screen_warn(talk->screen,
		    "%s: messages %" PRIu64 " to %" PRIu64
		    " are kept no longer and cannot be shown",
		    event->room, event->first, event->last);
}

static void handle(struct talk *talk, const struct retort_event *event)
{
	switch (event->kind) {
	case RETORT_MESSAGE:
		talk_message(talk, event->room, event->message, event->mine);
		break;
	case RETORT_JOIN:
		somebody_came(talk, event);
		break;
	case RETORT_LEAVE:
		somebody_left(talk, event);
		break;
	case RETORT_TOPIC:
		topic_changed(talk, event);
		break;
	case RETORT_GAP:
		tell_gap(talk, event);
		break;
	case RETORT_CLOSING:
		break; /* the end of the connection tells why */
	case RETORT_REPLY:
		request_answered(talk, event->reply);
		break;
	case RETORT_CONNECTED:
		break; /* the conversation begins with it */
	case RETORT_RESUMED:
		talk->taken = false;
		talk_back(talk);
		talk_nick(talk);
		break;
	case RETORT_DISCONNECTED:
		disconnected(talk, event);
		break;
	case RETORT_WAITING:
		if (!talk->taken)
			screen_warn(talk->screen, "connected, but the nick is still taken");
		talk->taken = true;
		break;
	case RETORT_ROOM_LOST:
		room_lost(talk, event);
		break;
	case RETORT_RESTARTED:
		screen_warn(talk->screen, "%s began anew", event->room);
		break;
	}
}

int events_take(struct talk *talk)
{
	struct retort_event event;
	int r = 1;

	for (int n = 0; n < EVENTS_A_TURN; n++) {
		r = retort_next(talk->retort, 0, &event);
		if (r <= 0)
			break;
		handle(talk, &event);
	}
	return MIN(r, 0);
}
