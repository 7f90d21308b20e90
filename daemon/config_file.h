/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A configuration's files, read whole. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "bytes.h"

/*
 * Reads a file, but when it is longer not much more than max bytes of it. One that is included
 * must be a regular file, so that nothing there may block; it is -EINVAL if not. Returns 0 with
 * *ret_text, which was empty; -ENOENT, -EACCES, -EISDIR, … or -ENOMEM.
 */
int config_file_read(const char *file, bool included, size_t max, struct stat *ret_status,
		     struct buffer *ret_text);
