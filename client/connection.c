/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "link.h"

/* Takes the target's ownership. */
static int make(const struct common *common, int status, struct target *target,
		struct connection *ret_connection)
{
	struct connection connection = {.common = common, .target = *target};
	const char *problem = NULL;
	int r;

	if (status != STATUS_GO_ON)
		return status;
	r = retort_new(target->address, &connection.retort, &problem);
	if (r == 0) {
		retort_set_timeout(connection.retort, (int)common->timeout_ms);
		retort_set_max_message(connection.retort, LINK_MESSAGE_MAX);
		*ret_connection = connection;
		return STATUS_GO_ON;
	}
	if (r == -ENOMEM)
		status = out_of_memory();
	else if (r == -EHOSTUNREACH) {
		complain("%s: %s", target->name, problem);
		status = STATUS_NO_HOST;
	} else {
		status = usage_error(common, "the address \"%s\": %s", target->name, problem);
	}
	target_done(target);
	return status;
}

int connection_new(const struct common *common, struct connection *ret_connection)
{
	struct target target = {0};

	return make(common, target_name(common, &target), &target, ret_connection);
}

int connection_new_control(const struct common *common, const char *path,
			   struct connection *ret_connection)
{
	struct target target = {0};
	int status;

	status = make(common, target_name_control(common, path, &target), &target, ret_connection);
	/* Who asks there is known without; a chat listener may want to know more. */
	if (status == STATUS_GO_ON && ret_connection->target.control)
		retort_set_hello(ret_connection->retort, false);
	return status;
}

int refused(const char *prefix, const char *token, const char *message)
{
	CLEANUP(buffer_done) struct buffer text = {0};

	if (buffer_append(&text, token, strlen(token)) < 0 ||
	    (message && (buffer_append(&text, ": ", 2) < 0 ||
			 buffer_append(&text, message, strlen(message)) < 0)))
		return out_of_memory();
	complain_text(prefix, text.data, text.len);
	return STATUS_REFUSED;
}

int connection_failed(struct connection *connection, int error)
{
	const char *problem = retort_problem(connection->retort);
	const char *token = retort_token(connection->retort);
	char name[ADDRESS_TEXT_MAX + 2];

	if (error > 0 || error == -EKEYREJECTED)
		return refused("", token ?: "refused", problem);
	switch (error) {
	case -ECONNABORTED:
		complain_text("the server closed the connection: ", problem, strlen(problem));
		return STATUS_REFUSED;
	case -EPROTO:
		(void)snprintf(name, sizeof(name), "%s: ", connection->target.name);
		complain_text(name, problem, strlen(problem)); /* it may name a room */
		return STATUS_PROTOCOL;
	case -ECONNRESET:
	case -EPIPE:
		complain("%s: the connection was lost", connection->target.name);
		return STATUS_NO_CONNECTION;
	default:
		return target_failed(&connection->target, error);
	}
}

int connection_connect(struct connection *connection)
{
	int r = retort_connect(connection->retort, (int)connection->common->timeout_ms);

	if (r != 0)
		return connection_failed(connection, r);
	if (connection->common->verbose) {
		const char *nick = retort_nick(connection->retort);

		complain("connected to %s%s%s", connection->target.name, nick ? " as " : "",
			 nick ?: "");
	}
	return STATUS_GO_ON;
}

int connection_call(struct connection *connection, const struct retort_request *request,
		    const struct retort_reply **ret_reply)
{
	const struct retort_reply *reply = NULL;
	int r;

	r = retort_call(connection->retort, request, (int)connection->common->timeout_ms, &reply);
	if (r != 0)
		return connection_failed(connection, r);
	*ret_reply = reply;
	return STATUS_GO_ON;
}

void connection_done(struct connection *connection)
{
	retort_free(connection->retort);
	target_done(&connection->target);
	*connection = (struct connection){0};
}
