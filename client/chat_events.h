/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happens on the server and to the connection, told on the screen. */

#include "chat_talk.h"

/*
 * Takes the events that have come, so many that in between it can be seen to what is typed; while
 * there are more, retort_timeout() is 0. Returns 0, or what retort_next() returned when it was
 * given up to connect.
 */
int events_take(struct talk *talk);
