/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * payload = "json": a message is one JSON value (RFC 8259), and a pipeline applies to every string
 * value in it, at any depth. One pass over the text, without recursion and without a tree: what is
 * no string value is copied as it stands, so that numbers keep their digits, and members their
 * order and their doubles.
 */

#include <stddef.h>

#include "bytes.h"
#include "transform.h"

struct payload_error {
	size_t position;    /* the offending byte's offset in the message, from 0 */
	const char *reason; /* static text, for a person */
};

/* Memory that is kept from call to call. Zero-initialised it is empty. One thread at a time. */
struct payload_scratch {
	struct buffer nesting; /* a bit for each open bracket: array or object */
	struct buffer string;  /* the string value at hand, unescaped */
};

/* Frees the memory; scratch is usable afterwards. */
void payload_scratch_done(struct payload_scratch *scratch);

/*
 * Appends the JSON value that message holds to out: compact, its string values transformed, each
 * escaped as little as JSON allows. Returns 0; -EBADMSG when message is not one JSON value in
 * UTF-8, with *ret_error set and out as it was; or -ENOMEM, with out as it was.
 */
int payload_json(const struct pipeline *pipeline, struct scratch *scratch,
		 struct payload_scratch *memory, struct bytes message, struct buffer *out,
		 struct payload_error *ret_error);

/* Appends the answer to a message that is not JSON: {"error":"bad_json","message":"…"}. */
int payload_json_error(struct buffer *out, const struct payload_error *error);
