/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The transform service: every message goes through the listener's pipeline and comes back. */

#include "session.h"

extern const struct service session_transform;

/*
 * Makes the answer to one message. Afterwards message is the answer: in place, or in workspace's
 * memory until the next call. For streams and datagrams alike. Returns 0 or -ENOMEM.
 */
int session_transform_answer(struct session *session, struct workspace *workspace,
			     struct bytes *message);
