/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/*
 * Prints the bans or mutes of a reply to "stats", as a table whose first column is headed heading,
 * or each as an object. Returns STATUS_GO_ON, or complains and returns the status to exit with.
 */
int sanction_list_print(const json_t *sanctions, const char *heading, bool json);
