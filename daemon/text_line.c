/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text_line.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "util.h"

static int append_number(struct buffer *buffer, unsigned long long number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", number);

	return buffer_append(buffer, digits, (size_t)len);
}

/* Appends format with what it asks for, as text_line_put() has it. */
static int append_safe(struct buffer *buffer, const char *format, va_list arguments)
{
	int r = 0;

	while (*format && r == 0) {
		const size_t plain = strcspn(format, "%");

		r = buffer_append(buffer, format, plain);
		format += plain;
		if (r < 0 || !*format)
			break;
		if (format[1] == 's') {
			const char *text = va_arg(arguments, const char *);

			r = text_append_safe(buffer, text, strlen(text));
			format += strlen("%s");
		} else if (format[1] == '.') {
			const int len = va_arg(arguments, int);

			r = text_append_safe(buffer, va_arg(arguments, const char *), (size_t)len);
			format += strlen("%.*s");
		} else {
			r = append_number(buffer, va_arg(arguments, unsigned long long));
			format += strlen("%llu");
		}
	}
	return r;
}

int text_line_put(struct dialect_out *out, const char *format, ...)
{
	va_list arguments;
	size_t begin;
	int r = dialect_begin(out, &begin);

	if (r < 0)
		return r;
	va_start(arguments, format);
	r = append_safe(out->buffer, format, arguments);
	va_end(arguments);
	return dialect_end(out, begin, r);
}

const char *text_line_time(uint64_t time, char text[static CHAT_TIME_SIZE])
{
	(void)chat_time_format(time, text);
	memcpy(strchr(text, '.'), "Z", sizeof("Z"));
	return text;
}

static size_t count_lines(const char *text, size_t len)
{
	size_t n = 0;

	for (const char *end; (end = memchr(text, '\n', len)); n++) {
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return n + (len > 0);
}

int text_line_message(struct dialect_out *out, const char *before, const char *room,
		      const struct chat_message *message)
{
	const char *text = message->text;
	const size_t start = out->buffer->len;
	size_t left = message->text_len, n = 0;
	int r = 0;

	do {
		const char *end = left > 0 ? memchr(text, '\n', left) : NULL;
		const size_t size = end ? (size_t)(end + 1 - text) : left;
		size_t len = end ? size - 1 : left;

		if (++n > TEXT_LINES_MAX) {
			r = text_line_put(out, "%s[%s] %s: (and %llu lines more)", before, room,
					  message->from,
					  (unsigned long long)count_lines(text, left));
			break;
		}
		len -= len > 0 && end && text[len - 1] == '\r';
		r = text_line_put(out, "%s[%s] %s: %.*s", before, room, message->from,
				  (int)MIN(len, (size_t)INT_MAX), text);
		text += size;
		left -= size;
	} while (left > 0 && r == 0);
	if (r < 0)
		out->buffer->len = start;
	return r;
}
