/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bytes.h"

#include "util.h"

enum { BUFFER_SMALLEST = 64 };

int buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t need, size;
	uint8_t *data;

	if (__builtin_add_overflow(buffer->len, more, &need) || need > PTRDIFF_MAX)
		return -ENOMEM;
	if (need <= buffer->size)
		return 0;

	size = MAX(buffer->size + buffer->size / 2, (size_t)BUFFER_SMALLEST);
	size = MAX(size, need);
	data = realloc(buffer->data, size);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->size = size;
	return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return 0;
	r = buffer_reserve(buffer, len);
	if (r < 0)
		return r;
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return 0;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
	buffer->len -= len;
	if (buffer->len > 0 && len > 0)
		memmove(buffer->data, buffer->data + len, buffer->len);
}

void buffer_done(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}
