/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An administrator's view of the connections of one worker: each as a JSON object, or one of them
 * ended. For the worker's thread.
 */

#include "chat_mail.h"
#include "peer.h"

/* Fills survey in, or ends the connection that it names. */
void survey_peers(struct survey *survey, struct peers *peers);
