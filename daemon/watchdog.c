/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watchdog.h"

#include <systemd/sd-daemon.h>

#include "log.h"
#include "util.h"

enum { FEEDS = 4 }; /* in the time that the service manager allows */

static void ask_all(struct watchdog *watchdog)
{
	watchdog->waiting = watchdog->crew->n + 1;
	crew_order(watchdog->crew, LETTER_ECHO);
	hub_ask_echo(watchdog->hub);
}

static int due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct watchdog *watchdog = userdata;

	if (watchdog->waiting == 0) {
		ask_all(watchdog);
	} else if (!watchdog->told) {
		log_write(LOG_STUCK, NULL,
			  "%u of the threads have not turned for %" PRIu64
			  " ms; the service manager is not told that all is well",
			  watchdog->waiting, watchdog->period / 1000);
		watchdog->told = true;
	}
	(void)sd_event_source_set_time(source, usec + watchdog->period);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ON); /* a timer is for once */
	return 0;
}

int watchdog_start(struct watchdog *watchdog, sd_event *event, struct crew *crew, struct hub *hub)
{
	uint64_t usec;
	int r;

	r = sd_watchdog_enabled(false, &usec);
	if (r <= 0)
		return r;
	watchdog->crew = crew;
	watchdog->hub = hub;
	watchdog->period = MAX(usec / FEEDS, UINT64_C(1));
	r = sd_event_add_time_relative(event, &watchdog->timer, CLOCK_MONOTONIC, watchdog->period,
				       watchdog->period / 10, due, watchdog);
	if (r < 0)
		return r;
	ask_all(watchdog);
	return 0;
}

void watchdog_echoed(struct watchdog *watchdog)
{
	if (--watchdog->waiting > 0)
		return;
	(void)sd_notify(false, "WATCHDOG=1");
	if (watchdog->told)
		log_write(LOG_TURNS, NULL, "all threads turn again");
	watchdog->told = false;
}

void watchdog_stop(struct watchdog *watchdog)
{
	watchdog->timer = sd_event_source_disable_unref(watchdog->timer);
}
