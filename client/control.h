/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One question of an administrator to the daemon, and its answer: through the control socket or,
 * where -c gives its address, a chat listener.
 */

#include <jansson.h>

#include "connection.h"

/*
 * Connects, asks and waits for the reply; path is that of --control, or NULL. Complains and returns
 * the status to exit with, or STATUS_GO_ON with *ret_reply the reply as an object, without what
 * only says that it is one; the caller frees it by json_decref().
 */
int control_ask(const struct common *common, const char *path, const struct retort_request *request,
		json_t **ret_reply);

/* The option of every command that asks so, in front of COMMON_LONG, and its line in their help. */
enum { OPTION_CONTROL = OPTION_COMMAND + 100 };
/* clang-format off */
#define CONTROL_LONG {"control", required_argument, NULL, OPTION_CONTROL}
/* clang-format on */
#define CONTROL_HELP                                                                              \
	"      --control PATH  the control socket; otherwise control.sock in /run/retort or in\n" \
	"                      $XDG_RUNTIME_DIR/retort. With -c, that chat listener is asked\n"   \
	"                      instead\n"

/* Sets *ret_path for control_ask(), and leaves other options to common_option(). */
int control_option(struct common *common, int option, const char **ret_path);
