/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a run of the load generator found, on standard output. */

#include "load.h"

/* For a person. */
void load_report_text(const struct load_setup *setup, const struct load_result *result);

/* One object; transforms are as they were given, or NULL. Complains and returns the status. */
int load_report_json(const struct load_setup *setup, const struct load_result *result,
		     const char *transforms);
