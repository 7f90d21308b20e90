/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A command's connection to a chat listener or to the control socket: libretort's, with what this
 * client says and how it ends when something goes wrong.
 */

#include "command.h"
#include "retort.h"
#include "target.h"

struct connection {
	const struct common *common;
	struct target target;
	struct retort *retort;
};

/* Makes a connection with the server of -c and its like, not connected yet, for settings to be
 * made.
 */
int connection_new(const struct common *common, struct connection *ret_connection);

/* The same with the control socket; path is that of --control, or NULL. */
int connection_new_control(const struct common *common, const char *path,
			   struct connection *ret_connection);

/* Connects. As all that follow, complains and returns the status to exit with, or STATUS_GO_ON. */
int connection_connect(struct connection *connection);

/* Asks and waits for the reply, which is valid until the next call. */
int connection_call(struct connection *connection, const struct retort_request *request,
		    const struct retort_reply **ret_reply);

/* Complains about a failure that the library has returned: -errno, or what the server refused. */
int connection_failed(struct connection *connection, int error);

/*
 * Complains that the server said no, with the error's token and a message, which may be NULL,
 * behind prefix. Returns STATUS_REFUSED.
 */
int refused(const char *prefix, const char *token, const char *message);

void connection_done(struct connection *connection);
