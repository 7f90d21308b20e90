/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include "util.h"

/* In place of a length, where there is no string. */
#define NO_TEXT UINT64_MAX

static void append(struct record *record, const void *data, size_t len)
{
	if (!record->failed && buffer_append(&record->buffer, data, len) < 0)
		record->failed = true;
}

void record_put(struct record *record, uint64_t number)
{
	append(record, &number, sizeof(number));
}

void record_put_bytes(struct record *record, const void *data, size_t len)
{
	record_put(record, len);
	append(record, data, len);
}

void record_put_text(struct record *record, const char *text)
{
	if (text)
		record_put_bytes(record, text, strlen(text));
	else
		record_put(record, NO_TEXT);
}

void record_done(struct record *record)
{
	buffer_done(&record->buffer);
	*record = (struct record){0};
}

static struct bytes take(struct record_reader *reader, uint64_t len)
{
	struct bytes taken = {reader->rest.data, len};

	if (reader->failed || len > reader->rest.len) {
		reader->failed = true;
		return (struct bytes){NULL, 0};
	}
	reader->rest.data += len;
	reader->rest.len -= len;
	return taken;
}

uint64_t record_get(struct record_reader *reader)
{
	uint64_t number = 0;
	struct bytes bytes = take(reader, sizeof(number));

	if (bytes.len > 0)
		memcpy(&number, bytes.data, sizeof(number));
	return number;
}

uint64_t record_get_below(struct record_reader *reader, uint64_t limit)
{
	uint64_t number = record_get(reader);

	if (number < limit)
		return number;
	reader->failed = true;
	return 0;
}

struct bytes record_get_bytes(struct record_reader *reader)
{
	return take(reader, record_get(reader));
}

char *record_get_text(struct record_reader *reader)
{
	uint64_t len = record_get(reader);
	struct bytes bytes;
	char *text;

	if (reader->failed || len == NO_TEXT)
		return NULL;
	bytes = take(reader, len);
	/* A NUL inside would end the string early, and show another one. */
	if (reader->failed || memchr(bytes.data, '\0', bytes.len)) {
		reader->failed = true;
		return NULL;
	}
	text = strndup((const char *)bytes.data, bytes.len);
	reader->failed = !text;
	return text;
}
