/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ping_chat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "object.h"
#include "util.h"

int ping_chat_write(struct buffer *request, uint64_t number, uint64_t size)
{
	char id[24];
	struct chat_request ping = {.op = CHAT_PING, .id = id, .text = ""};
	CLEANUP(freep) char *text = NULL;
	int r;

	(void)snprintf(id, sizeof(id), "%" PRIu64, number);
	request->len = 0;
	r = object_write_request(request, &ping);
	if (r < 0 || request->len >= size)
		return r;
	ping.text_len = size - request->len;
	text = malloc(ping.text_len + 1);
	if (!text)
		return -ENOMEM;
	memset(text, '-', ping.text_len);
	text[ping.text_len] = '\0';
	ping.text = text;
	request->len = 0;
	return object_write_request(request, &ping);
}

enum ping_chat ping_chat_read(struct bytes message, uint64_t *ret_number, struct buffer *ret_reason)
{
	CLEANUP(object_answer_done) struct object_answer answer = {0};
	const char *reason;
	char *end;
	int r;

	if (message.len == 0 || message.data[0] != '{')
		return PING_CHAT_NOT;
	r = object_read_answer(message, &answer);
	if (r < 0)
		return r == -EBADMSG ? PING_CHAT_NOT : PING_CHAT_OTHER;
	if (answer.is_event) {
		reason = answer.event.reason ?: "";
		if (answer.event.kind != CHAT_EVENT_CLOSING ||
		    buffer_append(ret_reason, reason, strlen(reason)) < 0)
			return PING_CHAT_OTHER;
		return PING_CHAT_CLOSING;
	}
	if (!answer.reply.id || *answer.reply.id < '0' || *answer.reply.id > '9')
		return PING_CHAT_OTHER;
	*ret_number = strtoull(answer.reply.id, &end, 10);
	return PING_CHAT_ANSWER;
}
