/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service manager's watchdog (WatchdogSec= of systemd.service(5)): it is fed only while every
 * thread turns. All are asked to echo a letter; when they have, the watchdog is fed, and a while
 * later they are asked again. For the main thread, whose own loop does all this.
 */

#include <systemd/sd-event.h>

#include "crew.h"
#include "hub.h"

struct watchdog {
	struct crew *crew;	/* borrowed */
	struct hub *hub;	/* borrowed */
	sd_event_source *timer; /* owned; NULL: nobody watches */
	uint64_t period;	/* microseconds */
	unsigned waiting;	/* threads that have not echoed yet */
	bool told;		/* that one does not turn */
};

/*
 * Starts to feed the watchdog, when the service manager has one ($WATCHDOG_USEC). Returns 0 or a
 * negative errno.
 */
int watchdog_start(struct watchdog *watchdog, sd_event *event, struct crew *crew, struct hub *hub);

/* A thread has echoed. */
void watchdog_echoed(struct watchdog *watchdog);

/* The threads are going to end: it is fed no more, as sd_notify(3) has it for STOPPING=1. */
void watchdog_stop(struct watchdog *watchdog);
