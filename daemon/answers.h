/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The answers of one connection's turn, put together so that all of them leave in one call. An
 * answer that is as long as its request stays where the request lies, envelope and all, and a run
 * of such answers is one part; others are copied into a buffer, and a run of those is one part.
 */

#include <stddef.h>
#include <sys/uio.h>

#include "bytes.h"
#include "frame.h"
#include "util.h"

enum { ANSWERS_PARTS_MAX = 16 };

struct answers {
	struct buffer copied; /* its memory is kept from turn to turn; owned */
	size_t len;	      /* bytes of all answers */
	int n_parts;
	/* In order. iov_base is NULL for a part that lies in copied, each behind the one before. */
	struct iovec parts[ANSWERS_PARTS_MAX];
};

void answers_done(struct answers *answers);

/* Forgets the answers, for the next turn, and gives memory past keep bytes back. */
void answers_clear(struct answers *answers, size_t keep);

/* What answers_add() does beyond the usual. */
int answers_add_unusual(struct answers *answers, enum framing framing, const struct frame *request,
			struct bytes payload);

/*
 * Answers request, a frame cut by frame_cut() with its envelope around it, with payload: either
 * request's own body, changed in place, or bytes elsewhere that need to live for this call only.
 * What lies around request->body must stay until answers_parts() has been used.
 * Returns 0 or -ENOMEM.
 */
static inline int answers_add(struct answers *answers, enum framing framing,
			      const struct frame *request, struct bytes payload)
{
	struct iovec *last = &answers->parts[MAX(answers->n_parts, 1) - 1];
	uint8_t *body = request->body.data;
	uint8_t *front = framing == FRAMING_LENGTH ? body - FRAME_HEADER : body;

	/* Most often it follows the answer before it, needs no other envelope, and that is all. */
	if (payload.data != body || payload.len != request->body.len || request->bare ||
	    (framing == FRAMING_LENGTH && !request->plain) || answers->n_parts == 0 ||
	    !last->iov_base || (uint8_t *)last->iov_base + last->iov_len != front)
		return answers_add_unusual(answers, framing, request, payload);
	last->iov_len += request->size;
	answers->len += request->size;
	return 0;
}

/* The buffer for what is no answer to a request (a greeting, an error), behind all answers. */
int answers_say(struct answers *answers, enum framing framing, const void *data, size_t len);
int answers_say_error(struct answers *answers, enum framing framing, const char *reason);

/* Likewise, bytes that have their envelopes already. */
int answers_append(struct answers *answers, const void *data, size_t len);

/* Writes where the answers lie, in order, to parts. Returns how many parts. */
int answers_parts(const struct answers *answers, struct iovec parts[static ANSWERS_PARTS_MAX]);
