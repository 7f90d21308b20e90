/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configurations for tests: texts that are right, and texts that are wrong in an expected way. */

#include <stddef.h>

#include "config.h"

/* Loads text, as a file "f", which must be right. The caller calls config_free(). */
struct config *config_right(const char *text);

/* Loads len bytes of text, as a file "f", which must be wrong with exactly these words. */
void config_wrong(const char *text, size_t len, const char *expected);

/* What is said of the problems; malloc()ed. */
char *config_said(const struct config_problems *problems);
