/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a conversation asks of the server, and what it makes of the replies, which come later. What
 * cannot be asked at all is told on the screen at once.
 */

#include "chat_talk.h"

void requests_done(struct talk *talk);

/*
 * Goes into a room: shows the last of what was said there, then all that is said from then on, with
 * nothing between or twice. When go is true it is looked at as soon as we are in.
 */
void request_join(struct talk *talk, const char *room, bool go);
void request_leave(struct talk *talk, const char *room);

/*
 * Says a text in a room, or to a person ("@NICK"). When the server bids to slow down, a patient one
 * waits in talk->held_back for request_say_again(); otherwise the person who typed it is told.
 */
void request_say(struct talk *talk, const char *room, const char *text, bool patient);
void request_say_again(struct talk *talk);

/* How many of them are not acknowledged yet, and not refused either. */
size_t requests_unsaid(const struct talk *talk);

/* Sets talk->quit once everything asked before, and all that came of it, is done. */
void request_last(struct talk *talk);

/* Show what comes of it. text may be NULL: the topic is shown, not set. */
void request_topic(struct talk *talk, const char *room, const char *text);
void request_history(struct talk *talk, const char *room, uint64_t limit);
void request_who(struct talk *talk, const char *room);
void request_rooms(struct talk *talk, bool show); /* otherwise only for their completion */
void request_nick(struct talk *talk, const char *nick);

/* Handles a reply to any of these. */
void request_answered(struct talk *talk, const struct retort_reply *reply);
