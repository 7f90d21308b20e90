/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The transforms of retort-protocol(7) and pipelines of them: total functions on bytes, which no
 * input makes fail. ASCII goes a fast way, in place and without a table; the rest goes through
 * libunistring: full case mapping (Unicode 3.13, SpecialCasing, without the locale's
 * peculiarities) and extended grapheme clusters (UAX #29).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum transform {
	TRANSFORM_ECHO,
	TRANSFORM_UPPER,
	TRANSFORM_LOWER,
	TRANSFORM_REVERSE,
};
enum { TRANSFORM_COUNT = TRANSFORM_REVERSE + 1 };

/* Returns the enum transform of this name, or -EINVAL. */
int transform_from_name(const char *name);
const char *transform_name(enum transform transform);

enum { PIPELINE_MAX = 16 }; /* steps in a pipeline */

struct pipeline {
	unsigned n_steps;
	enum transform steps[PIPELINE_MAX]; /* in the order they are applied */
};

/* Says whether every message comes out as it went in. */
bool pipeline_is_identity(const struct pipeline *pipeline);

/*
 * Adds the comma-separated transform names of text ("upper,reverse") to pipeline. Returns 0,
 * -EINVAL for a name that is unknown or empty (ret_bad, unless NULL, then points at it in text),
 * or -E2BIG for more than PIPELINE_MAX steps.
 */
int pipeline_parse(struct pipeline *pipeline, const char *text, const char **ret_bad);

/*
 * The working memory of transforms, kept from call to call so that a steady stream of messages
 * allocates nothing. Zero-initialised it is empty. One thread uses it at a time.
 */
struct scratch {
	struct buffer result; /* what the last step made */
	struct buffer other;  /* what the step before it made */
	struct buffer breaks; /* marks of grapheme boundaries */
};

/* Frees the memory; scratch is usable afterwards. */
void scratch_done(struct scratch *scratch);

/* Gives memory back when one large message made it grow past keep bytes. */
void scratch_trim(struct scratch *scratch, size_t keep);

/*
 * Applies pipeline to message. Afterwards message is the result: in place where it has the same
 * length as before (message->data and ->len unchanged), otherwise in scratch's memory and valid
 * until the next call with this scratch. The bytes that message pointed at may be overwritten in
 * both cases. Returns 0, or -ENOMEM with an undefined message.
 */
int pipeline_apply(const struct pipeline *pipeline, struct scratch *scratch, struct bytes *message);
