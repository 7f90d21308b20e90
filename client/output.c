/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <stdio.h>

#include "text.h"

/* Appends data with each byte that is not UTF-8 replaced by U+FFFD. */
static int append_utf8(struct buffer *buffer, const uint8_t *data, size_t len)
{
	int r = 0;

	while (len > 0 && r == 0) {
		const size_t valid = text_valid_prefix(data, len);

		r = buffer_append(buffer, data, valid);
		data += valid;
		len -= valid;
		if (len > 0 && r == 0) {
			r = buffer_append(buffer, "\xef\xbf\xbd", 3);
			data++;
			len--;
		}
	}
	return r;
}

static int append_base64(struct buffer *buffer, const uint8_t *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int r = buffer_reserve(buffer, (len + 2) / 3 * 4);

	for (size_t i = 0; i < len && r == 0; i += 3) {
		const unsigned one = i + 1 < len ? data[i + 1] : 0;
		const unsigned two = i + 2 < len ? data[i + 2] : 0;
		const unsigned bits = (unsigned)data[i] << 16 | one << 8 | two;
		const char quad[] = {
			digits[bits >> 18],
			digits[bits >> 12 & 63],
			i + 1 < len ? digits[bits >> 6 & 63] : '=',
			i + 2 < len ? digits[bits & 63] : '=',
		};

		r = buffer_append(buffer, quad, sizeof(quad));
	}
	return r;
}

/*
 * Prints a line of JSON in ASCII. DEL alone is no control character to JSON, but is to a terminal.
 * output_flush() sees a failure.
 */
static void write_ascii(const char *text)
{
	for (; *text; text++)
		if (*text == 0x7F)
			(void)fputs("\\u007f", stdout);
		else
			(void)fputc(*text, stdout);
	(void)fputc('\n', stdout);
}

int output_json(const json_t *value)
{
	/* ASCII only: what others wrote may hold characters that a terminal obeys. */
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

	if (!text)
		return -ENOMEM;
	write_ascii(text);
	free(text);
	return 0;
}

/* {"text":"…"}, and the bytes themselves when they are not UTF-8 throughout. */
static int write_json(struct output *output, struct bytes body)
{
	const bool valid = text_valid_prefix(body.data, body.len) == body.len;
	struct buffer *buffer = &output->text;
	json_t *object;
	size_t len;
	int r;

	r = append_utf8(buffer, body.data, body.len);
	len = buffer->len;
	if (r == 0 && !valid)
		r = append_base64(buffer, body.data, body.len);
	if (r < 0)
		return r;

	object = json_object();
	if (json_object_set_new(object, "text",
				json_stringn_nocheck(len ? (char *)buffer->data : "", len)) < 0 ||
	    (!valid && json_object_set_new(object, "bytes",
					   json_stringn_nocheck((char *)buffer->data + len,
								buffer->len - len)) < 0))
		r = -ENOMEM;
	else
		r = output_json(object);
	json_decref(object);
	return r;
}

/* A newline is what ends a line for us too, and stays; the rest goes through text_append_safe(). */
static int write_safe(struct output *output, struct bytes body)
{
	while (body.len > 0) {
		const uint8_t *end = memchr(body.data, '\n', body.len);
		const size_t len = end ? (size_t)(end - body.data) : body.len;
		int r;

		output->text.len = 0;
		r = text_append_safe(&output->text, body.data, len);
		if (r == 0 && end)
			r = buffer_append(&output->text, "\n", 1);
		if (r < 0)
			return r;
		(void)fwrite(output->text.data, 1, output->text.len, stdout);
		body.data += len + (end != NULL);
		body.len -= len + (end != NULL);
		output->in_line = !end;
	}
	return 0;
}

int output_message(struct output *output, const struct message *message)
{
	int r = 0;

	output->text.len = 0;
	if (output->json) {
		r = write_json(output, message->body);
	} else if (output->terminal) {
		r = write_safe(output, message->body);
		if (r == 0 && !output->bare) {
			(void)putchar('\n');
			output->in_line = false;
		}
	} else {
		(void)fwrite(message->body.data, 1, message->body.len, stdout);
		if (message->crlf && !output->bare)
			(void)putchar('\r');
		if (!output->bare)
			(void)putchar(output->separator);
	}
	if (r == 0 && ferror(stdout))
		r = -EIO;
	return r;
}

int output_flush(struct output *output)
{
	(void)output;
	return fflush(stdout) == EOF ? -errno : 0;
}

void output_done(struct output *output)
{
	if (output->terminal && output->in_line)
		(void)putchar('\n');
	buffer_done(&output->text);
}
