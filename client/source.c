/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "source.h"

#include <errno.h>
#include <unistd.h>

#include "link.h"
#include "util.h"

enum { READ_SIZE = 64 * 1024 };

static enum source_next next_text(struct source *source, struct bytes *ret_message)
{
	char *text;

	if (source->n_texts == 0)
		return SOURCE_END;
	text = *source->texts++;
	source->n_texts--;
	*ret_message = (struct bytes){(uint8_t *)text, strlen(text)};
	return SOURCE_MESSAGE;
}

static enum source_next take(struct source *source, size_t len, size_t separator,
			     struct bytes *ret_message)
{
	*ret_message = (struct bytes){source->in.data, len};
	if (len > 0)
		ret_message->data += source->taken;
	source->taken += len + separator;
	source->scanned = 0;
	return SOURCE_MESSAGE;
}

static enum source_next next_separated(struct source *source, size_t left,
				       struct bytes *ret_message)
{
	const uint8_t *from, *end;

	if (left == 0)
		return source->ended ? SOURCE_END : SOURCE_WAIT;
	from = source->in.data + source->taken;
	end = memchr(from + source->scanned, source->separator, left - source->scanned);
	if (end)
		return take(source, (size_t)(end - from), 1, ret_message);
	source->scanned = left;
	return source->ended ? take(source, left, 0, ret_message) : SOURCE_WAIT;
}

enum source_next source_next(struct source *source, struct bytes *ret_message)
{
	const size_t left = source->in.len - source->taken;

	if (source->fd < 0)
		return next_text(source, ret_message);
	switch (source->cut) {
	case SOURCE_SEPARATED:
		return next_separated(source, left, ret_message);
	case SOURCE_WHOLE:
		if (!source->ended)
			return SOURCE_WAIT;
		if (source->done)
			return SOURCE_END;
		source->done = true;
		return take(source, left, 0, ret_message);
	case SOURCE_PIECES:
		if (left > 0)
			return take(source, left, 0, ret_message);
		break;
	}
	return source->ended ? SOURCE_END : SOURCE_WAIT;
}

int source_read(struct source *source)
{
	ssize_t n;
	int r;

	if (source->taken > 0) {
		buffer_consume(&source->in, source->taken);
		source->taken = 0;
	}
	if (source->in.len > LINK_MESSAGE_MAX)
		return -EMSGSIZE;
	r = buffer_reserve(&source->in, READ_SIZE);
	if (r < 0)
		return r;
	n = read(source->fd, source->in.data + source->in.len, READ_SIZE);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	source->in.len += (size_t)n;
	source->ended = n == 0;
	return 0;
}

void source_done(struct source *source)
{
	buffer_done(&source->in);
}
