/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text of conf/retortd.conf, as it was when the daemon was built. */

#include <stddef.h>

/* Returns the text, of *ret_len bytes and not NUL-terminated. */
const char *config_builtin_text(size_t *ret_len);
