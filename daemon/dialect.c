/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dialect.h"

#include <errno.h>
#include <string.h>

#include "util.h"

const struct dialect *const dialects[DIALECTS] = {
	[DIALECT_OBJECT] = &dialect_object,
	[DIALECT_TEXT] = &dialect_text,
};

int dialect_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (strcmp(dialects[i]->name, name) == 0)
			return (int)i;
	return -EINVAL;
}

void dialect_state_done(struct dialect_state *state)
{
	free(state->room);
	free(state->previous);
	*state = (struct dialect_state){0};
}

int dialect_put(struct dialect_out *out, const void *data, size_t len)
{
	return frame_append(out->buffer, out->framing, LINE_END_LF, data, len);
}

int dialect_begin(struct dialect_out *out, size_t *ret_begin)
{
	const size_t begin = out->buffer->len;
	int r = buffer_reserve(out->buffer, FRAME_ENVELOPE_MAX);

	if (r < 0)
		return r;
	if (out->framing == FRAMING_LENGTH)
		out->buffer->len += FRAME_HEADER;
	*ret_begin = begin;
	return 0;
}

int dialect_end(struct dialect_out *out, size_t begin, int r)
{
	struct buffer *buffer = out->buffer;

	if (r == 0 && out->framing == FRAMING_LINE)
		r = buffer_append(buffer, "\n", 1);
	if (r < 0)
		buffer->len = begin;
	else if (out->framing == FRAMING_LENGTH)
		frame_header(buffer->data + begin, buffer->len - begin - FRAME_HEADER);
	return r;
}
