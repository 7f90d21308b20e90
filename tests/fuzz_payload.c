/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The JSON payload on any message: it is taken if jansson takes it; an answer is compact JSON that
 * comes out as it goes in; an error lies in the message, and its answer is JSON. The first byte
 * chooses the transform.
 */

#include <jansson.h>
#include <stdint.h>

#include "fuzz.h"
#include "payload.h"
#include "util.h"

enum { CHOICES = 1 };

static bool same(const struct buffer *a, const struct buffer *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/*
 * NULL if it is no JSON; *ret_sure is false where jansson has limits of its own. To jansson a zero
 * byte after the value is the end; it is never JSON.
 */
static json_t *parse(struct bytes text, bool *ret_sure)
{
	json_error_t error;
	json_t *value;

	*ret_sure = true;
	if (memchr(text.data, '\0', text.len))
		return NULL;
	value = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL,
			   &error);
	*ret_sure = value || (json_error_code(&error) != json_error_numeric_overflow &&
			      json_error_code(&error) != json_error_null_byte_in_key &&
			      json_error_code(&error) != json_error_stack_overflow);
	return value;
}

static int rewrite(enum transform transform, struct bytes message, struct buffer *out,
		   struct payload_error *error)
{
	struct pipeline pipeline = {.n_steps = 1, .steps = {transform}};
	struct payload_scratch memory = {0};
	struct scratch scratch = {0};
	int r;

	r = payload_json(&pipeline, &scratch, &memory, message, out, error);
	scratch_done(&scratch);
	payload_scratch_done(&memory);
	return r;
}

/* An answer is JSON, and compact: under an identity pipeline it comes out as it is. */
static void check_answer(const struct buffer *answer)
{
	struct bytes text = {answer->data, answer->len};
	struct payload_error error;
	struct buffer again = {0};

	require(rewrite(TRANSFORM_ECHO, text, &again, &error) == 0);
	require(same(&again, answer));
	buffer_done(&again);
}

static void check_error(struct bytes message, const struct payload_error *error)
{
	struct buffer answer = {0};

	require(error->position <= message.len && error->reason);
	require(payload_json_error(&answer, error) == 0);
	check_answer(&answer);
	buffer_done(&answer);
}

/* What a message means stays under an identity pipeline. */
static void check_meaning(json_t *value, const struct buffer *answer)
{
	bool sure;
	json_t *again = parse((struct bytes){answer->data, answer->len}, &sure);

	require(again && json_equal(value, again));
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct payload_error error = {0};
	struct buffer answer = {0};
	enum transform transform;
	struct bytes message;
	json_t *value;
	bool sure;
	int r;

	if (size < CHOICES)
		return 0;
	transform = (enum transform)(data[0] & 3);
	message = (struct bytes){malloc(size), size - CHOICES};
	require(message.data);
	memcpy(message.data, data + CHOICES, message.len);

	value = parse(message, &sure);
	r = rewrite(transform, message, &answer, &error);
	require(message.len == 0 || memcmp(message.data, data + CHOICES, message.len) == 0);
	require(r == 0 || r == -EBADMSG);
	require(!sure || (r == 0) == (value != NULL));
	if (r < 0)
		check_error(message, &error);
	else
		check_answer(&answer);
	if (value && transform == TRANSFORM_ECHO)
		check_meaning(value, &answer);

	json_decref(value);
	buffer_done(&answer);
	free(message.data);
	return 0;
}
