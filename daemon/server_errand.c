/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server_state.h"

#include "util.h"

/* What administrators ask by the control socket and the main thread alone can do or tell. */

static void tell_stats(struct server *server, struct errand *errand)
{
	const struct report_daemon daemon = {
		.started = server->since,
		.uptime = (server_microseconds() - server->started) / 1000000,
		.rate = server->rate,
		.restart = &server->restart,
	};

	if (report_stats(&daemon, &server->listeners, &errand->json) < 0)
		errand->json.len = 0; /* which says that memory is out */
	errand_done(server->hub, errand);
}

/* Adds what the main thread knows to be wrong. */
static void tell_health(struct server *server, struct errand *errand)
{
	static const char shut[] = "\"no file descriptor is left for more clients\",";

	if (server->door.shut)
		(void)buffer_append(&errand->json, shut, sizeof(shut) - 1);
	errand_done(server->hub, errand);
}

void server_do_errand(struct server *server, struct errand *errand)
{
	switch (errand->kind) {
	case ERRAND_STATS:
		tell_stats(server, errand);
		break;
	case ERRAND_HEALTH:
		tell_health(server, errand);
		break;
	case ERRAND_RELOAD:
		errand->next = server->reloads_due;
		server->reloads_due = errand;
		if (!server->stopping) {
			server_reload(server);
		} else if (!server->outgoing) { /* else server_updated() tells */
			server->reloads = STEAL(server->reloads_due);
			server_tell_reloaded(server, "the daemon is stopping");
		}
		break;
	}
}
