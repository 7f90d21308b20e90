/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lines for a person, as the text dialect writes them: one message each, with nothing in it that a
 * terminal would obey. What others have written is made safe; what is ours is written as it is.
 */

#include "dialect.h"
#include "util.h"

/*
 * Lines of one message that are shown; the rest is counted. Each line has its envelope, so that a
 * message of nothing but line ends would grow beyond all measure.
 */
enum { TEXT_LINES_MAX = 1000 };

/*
 * Writes one line: format with what it asks for. That is %s and %.*s, which are made safe, and
 * %llu; nothing else. Returns 0 or -ENOMEM.
 */
int text_line_put(struct dialect_out *out, const char *format, ...) PRINTF(2, 3);

/*
 * Writes each line of message as a line of its own, behind its room and sender; before is put in
 * front of them. Returns 0, or -ENOMEM with out as it was.
 */
int text_line_message(struct dialect_out *out, const char *before, const char *room,
		      const struct chat_message *message);

/* Writes a time as a person reads it: without the milliseconds. Returns text. */
const char *text_line_time(uint64_t time, char text[static CHAT_TIME_SIZE]);
