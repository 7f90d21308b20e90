/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a person types: lines to be said, /commands, and the completion of both. */

#include "chat_talk.h"

/* Obeys or says one line that was typed. */
void commands_typed(struct talk *talk, const char *typed);

/* Says a line as it is, in the current room; patient as in request_say(). */
void commands_say(struct talk *talk, const char *text, bool patient);

/* A line_complete(); data is a struct talk. */
void commands_complete(void *data, const char *line, size_t before, const char *word,
		       struct line_matches *matches);
