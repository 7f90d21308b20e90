/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the messages to send come from: the words of the command line, or standard input cut at a
 * separator, as a whole, or as it comes. Standard input is read only when the caller has found it
 * readable, so a terminal or a slow pipe never blocks the conversation.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

enum source_cut {
	SOURCE_SEPARATED, /* each separator ends a message; what stands behind the last is one too
			   */
	SOURCE_WHOLE,	  /* all of it is one message, even when it is empty */
	SOURCE_PIECES,	  /* what one read returns is one message */
};

struct source {
	char **texts; /* the messages, when they are from the command line; borrowed */
	size_t n_texts;

	int fd; /* where they are read from otherwise; borrowed; -1 for the command line */
	enum source_cut cut;
	char separator;
	bool ended; /* fd has no more */
	bool done;  /* whole: the message was taken */
	struct buffer in;
	size_t taken;	/* bytes at the front of in that are behind us */
	size_t scanned; /* bytes behind taken in which there is no separator */
};

enum source_next { SOURCE_WAIT, SOURCE_MESSAGE, SOURCE_END };

/* Takes the next message, which is valid until source_read(). */
enum source_next source_next(struct source *source, struct bytes *ret_message);

/* Reads once. Returns 0; -EMSGSIZE when a message grows past what can be sent; or -errno. */
int source_read(struct source *source);

void source_done(struct source *source);
