/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_talk.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "object.h"
#include "output.h"

enum {
	SETTLE_MS = 150,	  /* of silence: then what was missed has come */
	SETTLE_AT_LAST_MS = 1000, /* however busy the rooms are */
};

void talk_init(struct talk *talk)
{
	*talk = (struct talk){
		.once_more = DEADLINE_NONE,
		.settled = DEADLINE_NONE,
	};
	list_init(&talk->requests);
	kept_init(&talk->missed);
}

void talk_done(struct talk *talk)
{
	kept_done(&talk->missed);
	rooms_done(&talk->rooms);
	free(talk->held_back);
	free(talk->nick);
}

/* ---- what is shown, and when ---- */

static int print_json(const struct chat_event *event)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	json_t *object;
	int r;

	if (object_write_event(&text, event) < 0)
		return -ENOMEM;
	object = json_loadb((const char *)text.data, text.len, 0, NULL);
	if (!object)
		return -ENOMEM; /* it is valid */
	r = output_json(object);
	json_decref(object);
	return r;
}

static void show_json(struct talk *talk, const struct said *said)
{
	const struct chat_event event = {
		.kind = CHAT_EVENT_MESSAGE,
		.room = said->room,
		.message = {.seq = said->seq,
			    .time = said->time,
			    .from = said->from,
			    .user = said->user,
			    .unit = said->unit,
			    .text = said->text,
			    .text_len = said->text_len},
	};

	if (print_json(&event) < 0)
		screen_warn(talk->screen, "out of memory");
}

void talk_show(struct talk *talk, const struct said *said)
{
	if (talk->json)
		show_json(talk, said);
	else
		screen_said(talk->screen, said);
}

static void show(void *data, const struct said *said)
{
	talk_show(data, said);
}

/* Keeps it for when somebody looks, or shows it when there is no memory for that. */
static void keep(struct talk *talk, struct kept *kept, const struct said *said)
{
	if (kept_add(kept, said) < 0)
		talk_show(talk, said);
}

static void show_or_keep(struct talk *talk, const struct said *said)
{
	struct room *room = rooms_find(&talk->rooms, said->room);

	if (said->mentions)
		screen_ring(talk->screen);
	if (!talk->typing || !room || room == talk->rooms.current) {
		talk_show(talk, said);
		return;
	}
	keep(talk, &room->kept, said);
	room->unread += !said->mine;
	if (said->mentions) {
		room->mentioned = true;
		screen_notice(talk->screen, "%s speaks of you in %s", said->from, said->room);
	}
}

struct said talk_said(const struct talk *talk, const char *room,
		      const struct retort_message *message, bool mine)
{
	const char *nick = retort_nick(talk->retort);

	return (struct said){
		.seq = message->seq,
		.time = message->time,
		.room = room,
		.from = message->from,
		.user = message->user,
		.unit = message->unit,
		.text = message->text,
		.text_len = message->text_len,
		.mine = mine,
		.mentions =
			!mine && (room[0] == '@' || (nick && nick_mentioned(nick, message->text))),
	};
}

void talk_message(struct talk *talk, const char *room_name, const struct retort_message *message,
		  bool mine)
{
	const struct said said = talk_said(talk, room_name, message, mine);
	struct room *room = rooms_find(&talk->rooms, room_name);

	if (room && !mine)
		room_meet(room, message->from);
	if (!talk->typing || (!talk->lost && !talk->back)) {
		show_or_keep(talk, &said);
		return;
	}
	keep(talk, &talk->missed, &said);
	talk->n_missed += !mine;
	if (talk->back)
		talk->settled = clock_now() + SETTLE_MS * NSEC_PER_MSEC;
	if (talk->missed.n == KEPT_MESSAGES)
		talk_settle(talk); /* there is no room to hold more */
}

void talk_show_kept(struct talk *talk, struct room *room)
{
	room->unread = 0;
	room->mentioned = false;
	kept_show(&room->kept, show, talk);
}

void talk_switch(struct talk *talk, struct room *room)
{
	const size_t kept = room->kept.n;

	talk->rooms.current = room;
	if (talk->typing && talk->rooms.n > 1) {
		if (room->unread > kept)
			screen_notice(talk->screen,
				      "%s: %zu unread, the last %zu of them:", room->name,
				      room->unread, kept);
		else if (room->unread > 0)
			screen_notice(talk->screen, "%s: %zu unread", room->name, room->unread);
		else
			screen_notice(talk->screen, "%s", room->name);
	}
	talk_show_kept(talk, room);
}

void talk_remove(struct talk *talk, struct room *room)
{
	const bool was_current = room == talk->rooms.current;

	rooms_remove(&talk->rooms, room);
	if (was_current && talk->rooms.current)
		talk_switch(talk, talk->rooms.current);
}

void talk_nick(struct talk *talk)
{
	const char *nick = retort_nick(talk->retort);

	if (!nick || (talk->nick && strcmp(talk->nick, nick) == 0))
		return;
	if (talk->nick)
		screen_notice(talk->screen, "you are %s now", nick);
	free(talk->nick);
	talk->nick = strdup(nick); /* else it is news again */
}

/* ---- a connection that is lost and comes back ---- */

void talk_lost(struct talk *talk)
{
	if (talk->back)
		talk_settle(talk); /* what has come of the last time */
	talk->lost = true;
}

void talk_back(struct talk *talk)
{
	const uint64_t now = clock_now();

	if (!talk->lost)
		return; /* so much had come already that it was told */
	talk->lost = false;
	talk->back = true;
	talk->settled = now + SETTLE_MS * NSEC_PER_MSEC;
	talk->settled_at_last = now + SETTLE_AT_LAST_MS * NSEC_PER_MSEC;
	if (!talk->typing)
		talk_settle(talk);
}

uint64_t talk_deadline(const struct talk *talk)
{
	return talk->back ? MIN(talk->settled, talk->settled_at_last) : DEADLINE_NONE;
}

static void settle_one(void *data, const struct said *said)
{
	show_or_keep(data, said);
}

void talk_settle(struct talk *talk)
{
	const char *more = talk->missed.n == KEPT_MESSAGES ? " or more" : "";

	if (talk->back || talk->n_missed > 0) {
		if (talk->n_missed == 0)
			screen_warn(talk->screen, "back");
		else
			screen_warn(talk->screen, "back; %zu%s message%s missed", talk->n_missed,
				    more, talk->n_missed == 1 && !*more ? "" : "s");
	}
	talk->lost = talk->back = false;
	talk->n_missed = 0;
	talk->settled = DEADLINE_NONE;
	kept_show(&talk->missed, settle_one, talk);
}

void talk_prompt(struct talk *talk)
{
	CLEANUP(buffer_done) struct buffer prompt = {0};

	if (!talk->screen->line)
		return;
	if (rooms_prompt(&talk->rooms, !talk->lost, &prompt) == 0 &&
	    buffer_append(&prompt, "", 1) == 0)
		line_prompt(talk->screen->line, (const char *)prompt.data);
}
