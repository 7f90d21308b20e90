/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include <string.h>

#include "reply.h"

static int ask(struct connection *connection, const struct retort_request *request,
	       json_t **ret_reply)
{
	const struct retort_reply *reply;
	int status;

	status = connection_connect(connection);
	if (status != STATUS_GO_ON)
		return status;
	status = connection_call(connection, request, &reply);
	if (status == STATUS_GO_ON)
		return reply_object(reply, ret_reply);
	/* Here it is not what was asked that is refused, but who asked. */
	if (status == STATUS_REFUSED) {
		const char *token = retort_token(connection->retort);

		if (token && strcmp(token, "not_allowed") == 0)
			return STATUS_NOT_PERMITTED;
	}
	return status;
}

int control_ask(const struct common *common, const char *path, const struct retort_request *request,
		json_t **ret_reply)
{
	struct connection connection;
	int status;

	status = connection_new_control(common, path, &connection);
	if (status != STATUS_GO_ON)
		return status;
	status = ask(&connection, request, ret_reply);
	connection_done(&connection);
	return status;
}

int control_option(struct common *common, int option, const char **ret_path)
{
	if (option != OPTION_CONTROL)
		return common_option(common, option);
	*ret_path = optarg;
	return STATUS_GO_ON;
}
