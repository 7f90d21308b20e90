/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What stands behind a connection: a service, seen through a few functions. A session takes whole
 * messages and puts its answers into the workspace; it knows neither sockets nor half messages.
 */

#include "config.h"
#include "counters.h"
#include "workspace.h"

struct session {
	const struct service *service;
	const struct settings *settings; /* the listener's, as they are now */
	enum framing framing;		 /* as it was when the connection came */
	struct counters *counters;	 /* of the listener, in this thread */
};

/* Each returns 0, or a negative errno after which the connection is closed. */
struct service {
	/* The connection is there. */
	int (*open)(struct session *session, struct workspace *workspace);
	/* One whole message has come. */
	int (*message)(struct session *session, struct workspace *workspace,
		       const struct frame *message);
};
