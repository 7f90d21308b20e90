/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who one is without having wished to be anybody. All strings are new. */

/*
 * The user that a Unix socket proves this process to be, and the nick that retortd gives it. May
 * block on name service. Returns 0, with both NULL for a user without a name, or -ENOMEM.
 */
int nick_of_user(char **ret_user, char **ret_nick);

/* A guest's, which most likely nobody else has; NULL when out of memory. */
char *nick_of_guest(void);
