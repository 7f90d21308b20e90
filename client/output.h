/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How messages of others are written to standard output: as they are into pipes and files, made
 * harmless for a terminal, or as JSON. Ends with the process by SIGPIPE when nobody reads.
 */

#include <jansson.h>
#include <stdbool.h>

#include "bytes.h"
#include "link.h"

struct output {
	bool json;
	bool terminal;	/* standard output is one */
	bool bare;	/* messages follow each other with nothing between them */
	char separator; /* otherwise this stands behind each */
	bool in_line;	/* terminal: the last thing written was not a newline */
	struct buffer text;
};

/* Writes one message. Returns 0, -ENOMEM, or another -errno when the output takes no more. */
int output_message(struct output *output, const struct message *message);

/* Hands on what was written, to be called before waiting. Returns 0 or -errno. */
int output_flush(struct output *output);

/* Ends the last line on a terminal, so that the prompt stands in its own, and frees the memory. */
void output_done(struct output *output);

/*
 * Writes a value of JSON as one line of ASCII, harmless to any terminal. Returns 0 or -ENOMEM;
 * output_flush() sees whether the output takes it.
 */
int output_json(const json_t *value);
