/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happens on the server and to the connection, told on the screen. */

#include "chat_talk.h"

/*
 * Takes all events that have come. Returns 0, or what retort_next() returned when it was given up
 * to connect.
 */
int events_take(struct talk *talk);
