/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The three framings of retort-protocol(7): where a message ends in a stream of bytes. Pure: a
 * cutter looks at a window over the input and says what lies at its front; it owns no memory and
 * never moves a byte. Used by the daemon and by the client alike.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum framing {
	FRAMING_RAW,
	FRAMING_LINE,
	FRAMING_LENGTH,
};

/* Returns the enum framing of this name, or -EINVAL. */
int framing_from_name(const char *name);
const char *framing_name(enum framing framing);

enum {
	FRAME_HEADER = 10,	/* bytes in a header of framing length */
	FRAME_ENVELOPE_MAX = 10 /* bytes that any framing puts around a payload, at the most */
};
#define FRAME_LENGTH_MAX UINT64_C(9999999999) /* the longest payload a header can announce */

/* The rules by which one connection's input is cut. Set once, by its listener. */
struct frame_rules {
	enum framing framing;
	uint64_t max_message;  /* bytes of payload, 1 or more */
	bool whole_characters; /* raw: hold back an UTF-8 sequence that the input's end cuts */
};

/* What lies at the front of the input. */
enum frame_cut {
	FRAME_MORE,    /* not a whole message yet */
	FRAME_MESSAGE, /* a message */
	FRAME_ERROR,   /* length: an error frame; its header is whole, its payload may be missing */
	FRAME_MALFORMED, /* length: these bytes cannot be a header */
	FRAME_TOO_LONG,	 /* the message is longer than max_message */
	FRAME_CUT_SHORT, /* length: the input ended in the middle of a frame */
};

struct frame {
	size_t size;	   /* bytes from the front of the input to the frame's end */
	struct bytes body; /* the payload, in place */
	bool crlf;	   /* line: it ended in CR LF */
	bool bare;	   /* line: it ended by the end of input, with no LF */
	bool plain;	   /* length: the header is as frame_header() writes it */
	uint64_t length;   /* payload bytes announced or, of a line that is too long, seen */
};

/*
 * Cuts the first message off a window over the input.
 *
 * ended says that no input follows this window. *scanned is the caller's memory of how much of an
 * unfinished message was looked at already: 0 for a new message; the cutter sets it on FRAME_MORE
 * and resets it to 0 otherwise, so that no byte is looked at twice.
 *
 * ret_frame is set for FRAME_MESSAGE; for FRAME_ERROR, where body is as much of the payload as is
 * there and length tells how much there should be; and for FRAME_TOO_LONG (length only). On
 * FRAME_MORE, size is the size of the whole frame once its header is whole (framing length), or 0
 * when that is not known. An empty window gives FRAME_MORE.
 */
enum frame_cut frame_cut(const struct frame_rules *rules, struct bytes input, bool ended,
			 size_t *scanned, struct frame *ret_frame);

/* Writes the header of a frame of len bytes; len is at most FRAME_LENGTH_MAX. */
void frame_header(uint8_t header[static FRAME_HEADER], uint64_t len);

/* How an answer's line ends; for the other framings it has no meaning. */
enum line_end { LINE_END_LF, LINE_END_CRLF };

/* Appends one message in its envelope to buffer. Returns 0 or -ENOMEM. */
int frame_append(struct buffer *buffer, enum framing framing, enum line_end end, const void *data,
		 size_t len);

/*
 * Appends an error in the words of the framing: an error frame, a line that begins with "error: ",
 * or nothing for raw, which has no way to say it. reason is one line of UTF-8.
 * Returns 0 or -ENOMEM.
 */
int frame_append_error(struct buffer *buffer, enum framing framing, const char *reason);
