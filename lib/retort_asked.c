/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_asked.h"

#include <stdio.h>

#include "frame.h"
#include "object.h"
#include "util.h"

_Static_assert((int)RETORT_OP_HELLO == (int)CHAT_HELLO, "the first op");
_Static_assert((int)RETORT_OP_HEALTH == (int)CHAT_HEALTH, "the last op");
_Static_assert((int)RETORT_HAS_SINCE == (int)CHAT_HAS_SINCE, "the first flag");
_Static_assert((int)RETORT_HAS_CLIENT == (int)CHAT_HAS_CLIENT, "the last flag");

enum { GROWTH_MAX = 6 /* what a byte of text becomes in JSON, at the most: \u00XX */ };

static const struct {
	bool room, text; /* has to have one */
	bool repeatable;
} ops[CHAT_OPS] = {
	[CHAT_TRANSFORM] = {.text = true, .repeatable = true},
	[CHAT_JOIN] = {.room = true, .repeatable = true},
	[CHAT_LEAVE] = {.room = true, .repeatable = true},
	[CHAT_SAY] = {.room = true, .text = true, .repeatable = true},
	[CHAT_HISTORY] = {.room = true, .repeatable = true},
	[CHAT_TOPIC] = {.room = true, .text = true},
	[CHAT_WHO] = {.repeatable = true},
	[CHAT_ROOMS] = {.repeatable = true},
	[CHAT_PING] = {.repeatable = true},
	[CHAT_STATS] = {.repeatable = true},
	[CHAT_CLIENTS] = {.repeatable = true},
	[CHAT_HEALTH] = {.repeatable = true},
};

/* How many transforms it names. */
static size_t count_with(const struct retort_request *request)
{
	size_t n = 0;

	while (request->with && request->with[n])
		n++;
	return n;
}

static bool is_possible(const struct retort_request *request)
{
	const size_t key = request->key ? strlen(request->key) : 1;

	if ((unsigned)request->op >= CHAT_OPS)
		return false;
	if ((ops[request->op].room && !request->room) || (ops[request->op].text && !request->text))
		return false;
	return key >= 1 && key <= CHAT_KEY_MAX && count_with(request) <= CHAT_WITH_MAX;
}

/* Bytes of a string with its NUL. */
static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static size_t size_of_strings(const struct retort_request *request, const char *password)
{
	const char *const strings[] = {request->room,	 request->text,	 request->key,
				       request->nick,	 request->user,	 password,
				       request->address, request->reason};
	size_t size = 0;

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		size += size_of(strings[i]);
	for (size_t i = 0; i < count_with(request); i++)
		size += size_of(request->with[i]);
	return size;
}

/* Copies text to *at and passes it. */
static const char *put(char **at, const char *text)
{
	char *copy = *at;

	if (!text)
		return NULL;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static void copy_request(struct asked *asked, const struct retort_request *request,
			 const char *password)
{
	struct chat_request *copy = &asked->request;
	char *at = asked->strings;

	*copy = (struct chat_request){
		.op = (enum chat_op)request->op,
		.has = request->has,
		.id = asked->id,
		.room = put(&at, request->room),
		.text = put(&at, request->text),
		.text_len = request->text ? strlen(request->text) : 0,
		.key = put(&at, request->key),
		.nick = put(&at, request->nick),
		.user = put(&at, request->user),
		.password = put(&at, password),
		.address = put(&at, request->address),
		.reason = put(&at, request->reason),
		.since = request->since,
		.before = request->before,
		.after = request->after,
		.limit = request->limit,
		.duration = request->duration,
		.client = request->client,
		.n_with = count_with(request),
	};
	for (size_t i = 0; i < copy->n_with; i++)
		copy->with[i] = put(&at, request->with[i]);
}

int asked_new(const struct retort_request *request, const char *password, uint64_t cookie,
	      enum asked_by by, struct asked **ret_asked)
{
	struct asked *asked;
	size_t size;

	if (!is_possible(request))
		return -EINVAL;
	size = size_of_strings(request, password);
	if (size > FRAME_LENGTH_MAX / GROWTH_MAX - CHAT_ENVELOPE)
		return -EMSGSIZE;
	asked = calloc(1, sizeof(*asked) + size);
	if (!asked)
		return -ENOMEM;
	list_init(&asked->link);
	asked->cookie = cookie;
	asked->by = by;
	asked->cost = sizeof(*asked) + size;
	(void)snprintf(asked->id, sizeof(asked->id), "%llu", (unsigned long long)cookie);
	copy_request(asked, request, password);
	if (by == ASKED_BY_SUBMIT || by == ASKED_BY_CALL) {
		asked->item = item_new(RETORT_REPLY);
		if (!asked->item) {
			asked_free(asked);
			return -ENOMEM;
		}
		asked->item->reply.op = request->op;
		asked->item->reply.cookie = cookie;
	}
	*ret_asked = asked;
	return 0;
}

void asked_free(struct asked *asked)
{
	if (!asked)
		return;
	list_remove(&asked->link);
	item_free(asked->item);
	free(asked);
}

int asked_write(const struct asked *asked, struct buffer *buffer)
{
	const size_t before = buffer->len;
	uint8_t header[FRAME_HEADER] = {0};
	int r;

	/* The header's place is held until the length is known. */
	r = buffer_append(buffer, header, sizeof(header));
	if (r < 0)
		return r;
	r = object_write_request(buffer, &asked->request);
	if (r < 0) {
		buffer->len = before;
		return r;
	}
	frame_header(buffer->data + before, buffer->len - before - FRAME_HEADER);
	return 0;
}

bool asked_is_repeatable(const struct asked *asked)
{
	return ops[asked->request.op].repeatable;
}

bool asked_is_ours(const struct asked *asked)
{
	return asked->by >= ASKED_BY_HELLO;
}
