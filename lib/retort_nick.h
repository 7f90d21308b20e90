/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Nicks for those who do not wish for one: hello needs one, and who comes back needs the same. */

/* Both return a new string that is a legal name, or NULL when out of memory. */

/* The nick that retortd gives this process's user on a Unix socket. May block on name service. */
char *nick_of_user(void);

/* A guest's, which most likely nobody else has. */
char *nick_of_guest(void);
