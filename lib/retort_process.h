/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a struct retort does by itself, a step at a time and without waiting. */

#include "retort_state.h"

/* Goes on as far as that needs no waiting. Returns 0, or the failure when it was given up. */
int process_step(struct retort *retort);

/* The events of poll(2) to wait for, and when process_step() is to be called whatever happens. */
short process_events(const struct retort *retort);
uint64_t process_due(const struct retort *retort);
