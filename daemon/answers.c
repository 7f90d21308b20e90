/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answers.h"

#include "util.h"

enum { COPY_RATHER = 512 }; /* bytes: a part of its own costs more than copying so few */

void answers_done(struct answers *answers)
{
	buffer_done(&answers->copied);
}

void answers_clear(struct answers *answers, size_t keep)
{
	answers->len = 0;
	answers->n_parts = 0;
	answers->copied.len = 0;
	if (answers->copied.size > keep)
		buffer_done(&answers->copied);
}

static struct iovec *last_part(struct answers *answers)
{
	return answers->n_parts > 0 ? &answers->parts[answers->n_parts - 1] : NULL;
}

/* Adds bytes that stay where they are. Returns false when they have to be copied after all. */
static bool add_in_place(struct answers *answers, uint8_t *data, size_t len)
{
	struct iovec *last = last_part(answers);

	if (last && last->iov_base && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
	} else {
		/* The last part is kept for copies, which then have no end of room. */
		if (answers->n_parts >= ANSWERS_PARTS_MAX - 1)
			return false;
		if (last && !last->iov_base && len < COPY_RATHER)
			return false;
		answers->parts[answers->n_parts++] = (struct iovec){data, len};
	}
	answers->len += len;
	return true;
}

/* Counts what was appended to the buffer of copies since it was before bytes long. */
static void count_copied(struct answers *answers, size_t before)
{
	struct iovec *last = last_part(answers);
	size_t len = answers->copied.len - before;

	if (len == 0)
		return; /* framing raw has no words for an error, and none for an empty answer */
	if (!last || last->iov_base) {
		last = &answers->parts[answers->n_parts++];
		*last = (struct iovec){NULL, 0};
	}
	last->iov_len += len;
	answers->len += len;
}

int answers_add_unusual(struct answers *answers, enum framing framing, const struct frame *request,
			struct bytes payload)
{
	uint8_t *body = request->body.data;
	size_t before = answers->copied.len;
	int r;

	if (payload.data == body && payload.len == request->body.len && !request->bare) {
		uint8_t *front = framing == FRAMING_LENGTH ? body - FRAME_HEADER : body;

		/* The request's header may have been written in another way than ours: 007, say. */
		if (framing == FRAMING_LENGTH && !request->plain)
			frame_header(front, payload.len);
		if (add_in_place(answers, front, request->size))
			return 0;
	}
	r = frame_append(&answers->copied, framing, request->crlf ? LINE_END_CRLF : LINE_END_LF,
			 payload.data, payload.len);
	if (r < 0)
		return r;
	count_copied(answers, before);
	return 0;
}

int answers_say(struct answers *answers, enum framing framing, const void *data, size_t len)
{
	size_t before = answers->copied.len;
	int r = frame_append(&answers->copied, framing, LINE_END_LF, data, len);

	if (r < 0)
		return r;
	count_copied(answers, before);
	return 0;
}

int answers_say_error(struct answers *answers, enum framing framing, const char *reason)
{
	size_t before = answers->copied.len;
	int r = frame_append_error(&answers->copied, framing, reason);

	if (r < 0)
		return r;
	count_copied(answers, before);
	return 0;
}

int answers_append(struct answers *answers, const void *data, size_t len)
{
	size_t before = answers->copied.len;
	int r = buffer_append(&answers->copied, data, len);

	if (r < 0)
		return r;
	count_copied(answers, before);
	return 0;
}

int answers_parts(const struct answers *answers, struct iovec parts[static ANSWERS_PARTS_MAX])
{
	uint8_t *copied = answers->copied.data;

	for (int i = 0; i < answers->n_parts; i++) {
		parts[i] = answers->parts[i];
		if (parts[i].iov_base)
			continue;
		parts[i].iov_base = copied;
		copied += parts[i].iov_len;
	}
	return answers->n_parts;
}
