/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_transform.h"

#include <errno.h>
#include <string.h>

static __attribute__((noinline)) int answer_json(struct session *session,
						 struct workspace *workspace, struct bytes *message)
{
	struct buffer *out = &workspace->json;
	struct payload_error error;
	int r;

	out->len = 0;
	r = payload_json(&session->settings->pipeline, &workspace->scratch,
			 &workspace->payload_scratch, *message, out, &error);
	if (r == -EBADMSG) {
		counters_add(session->counters, COUNTER_BAD_JSON, 1);
		r = payload_json_error(out, &error);
	}
	if (r < 0)
		return r;
	*message = (struct bytes){out->data, out->len};
	return 0;
}

int session_transform_answer(struct session *session, struct workspace *workspace,
			     struct bytes *message)
{
	if (session->settings->payload == PAYLOAD_JSON)
		return answer_json(session, workspace, message);
	return pipeline_apply(&session->settings->pipeline, &workspace->scratch, message);
}

static int open(struct session *session, struct workspace *workspace)
{
	const char *greeting = session->settings->greeting;

	if (!*greeting)
		return 0;
	return answers_say(&workspace->answers, session->framing, greeting, strlen(greeting));
}

static int message(struct session *session, struct workspace *workspace,
		   const struct frame *message)
{
	struct bytes answer = {message->body.data, message->body.len};
	int r = session_transform_answer(session, workspace, &answer);

	if (r < 0)
		return r;
	return answers_add(&workspace->answers, session->framing, message, answer);
}

static int end(struct session *session, struct workspace *workspace, const char *reason,
	       bool reconnect)
{
	(void)reconnect; /* clients of this service do what they like */
	return answers_say_error(&workspace->answers, session->framing, reason);
}

const struct service session_transform = {
	.open = open,
	.message = message,
	.end = end,
};
