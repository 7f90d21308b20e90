/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The object dialect: lib/object.h, each object in its envelope. It remembers nothing, and says
 * nothing that was not asked for.
 */

#include "dialect.h"
#include "object.h"

static int welcome(struct dialect_state *state, const char *nick, struct dialect_out *out)
{
	(void)state;
	(void)nick;
	(void)out;
	return 0;
}

static int request(struct dialect_state *state, struct bytes message, struct dialect_out *out,
		   struct chat_request **ret_request)
{
	(void)state;
	(void)out;
	return object_read_request(message, ret_request);
}

static int reply(struct dialect_state *state, const struct chat_request *request,
		 const struct chat_reply *reply, struct dialect_out *out)
{
	size_t begin;
	int r = dialect_begin(out, &begin);

	(void)state;
	(void)request;
	if (r < 0)
		return r;
	return dialect_end(out, begin, object_write_reply(out->buffer, reply));
}

static int event(const struct chat_event *event, struct dialect_out *out)
{
	size_t begin;
	int r = dialect_begin(out, &begin);

	if (r < 0)
		return r;
	return dialect_end(out, begin, object_write_event(out->buffer, event));
}

const struct dialect dialect_object = {
	.name = "object",
	.welcome = welcome,
	.request = request,
	.reply = reply,
	.event = event,
};
