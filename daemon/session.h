/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What stands behind a connection: a service, seen through a few functions. A session takes whole
 * messages and puts its answers into the workspace; it knows neither sockets nor half messages.
 */

#include <stdbool.h>

#include "config.h"
#include "counters.h"
#include "workspace.h"

struct chat;
struct log_about;

struct session {
	const struct service *service;
	const struct settings *settings; /* the listener's, as they are now */
	struct counters *counters;	 /* of the listener, in this thread */
	struct chat *chat;	  /* what the chat service keeps of the connection; NULL: nothing */
	enum framing framing : 8; /* as it was when the connection came */
	bool detects : 1;	  /* the first byte decides about the framing */
	bool later : 1;		  /* takes no message for now, until peer_resume() */
	bool touched : 1;	  /* has got something that is to be sent in this turn */
	bool unplaced : 1;	  /* something that it has at first is still to come */
	bool behind : 1;	  /* wants to know when most of what waits has been sent */
	uint32_t waiting;	  /* messages whose answers are still to come */
};

enum { SESSION_LATER = 1 };

/* Each that returns anything returns 0, or a negative errno after which the connection is closed.
 */
struct service {
	/* The connection is there. */
	int (*open)(struct session *session, struct workspace *workspace);
	/*
	 * One whole message has come. SESSION_LATER says that it was taken, and that no other one
	 * is to be offered until peer_resume().
	 */
	int (*message)(struct session *session, struct workspace *workspace,
		       const struct frame *message);
	/* The connection ends in order, for this reason; or only for a while. */
	int (*end)(struct session *session, struct workspace *workspace, const char *reason,
		   bool reconnect);
	/* Goes on after SESSION_LATER; may return that again. NULL when message() never does. */
	int (*resume)(struct session *session, struct workspace *workspace);
	/* Nearly all of what waited has been sent, and behind was set. */
	void (*drained)(struct session *session);
	/*
	 * Says who the client is, as far as that is known, with strings of the session. NULL when
	 * the service never knows.
	 */
	void (*about)(const struct session *session, struct log_about *about);
};
