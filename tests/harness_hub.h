/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The chat service within the test's own process: a hub and workers as the daemon has them, and
 * connections over socket pairs and loopback TCP, but no listeners and no main thread. For tests
 * that need thousands of fresh ones a second. Whatever fails aborts the process.
 */

#include "config.h"
#include "counters.h"
#include "crew.h"
#include "hub.h"

struct hub_stage {
	struct config *config;	   /* owned */
	struct hub *hub;	   /* owned */
	struct crew crew;	   /* owned */
	struct mailbox mailbox;	   /* the main thread's, which is the test's */
	struct counters *counters; /* of each worker; owned */
	int listening;		   /* a TCP socket on the loopback device; owned */
	uint64_t last_client;
	size_t connections; /* that the workers have not given back */
};

/*
 * Starts a hub and workers, as many as this configuration says, which is a text; the log of rooms
 * is in the directory state, or in memory when that is NULL.
 */
void hub_stage_start(struct hub_stage *stage, const char *config, const char *state);

/* Ends all that is left of it, in the order in which the daemon does. */
void hub_stage_stop(struct hub_stage *stage);

/*
 * Connects to the config's listener of this number; proven: over a socket pair, which proves that
 * the client is the user who runs the test, else over TCP, as a guest. What is sent to the client
 * is held up to about buffered bytes (0: as the kernel likes). Returns the client's end, which does
 * not block.
 */
int hub_stage_connect(struct hub_stage *stage, size_t listener, bool proven, int buffered);

/* Waits until the workers have given back all connections but n. */
void hub_stage_await(struct hub_stage *stage, size_t n);
