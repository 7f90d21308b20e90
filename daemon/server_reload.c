/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>

#include "config_problem.h"
#include "log.h"
#include "own_service.h"
#include "paths.h"
#include "server.h"
#include "util.h"

/*
 * By which configuration it is served: a reload is all or nothing, and comes through everywhere
 * before the next one begins. The log of rooms is opened when somebody is to talk for the first
 * time.
 */

static bool wants_store(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].settings.service == SERVICE_CHAT)
			return true;
	return false;
}

int server_open_store(struct server *server, const struct config *config, struct store **ret_store)
{
	char problem[STORE_PROBLEM_MAX] = PATHS_NO_STATE;
	int r = -ENOENT;

	*ret_store = NULL;
	if (server->has_store || !wants_store(config))
		return 0;
	if (server->options->state_directory)
		r = store_open(server->options->state_directory, ret_store, problem);
	if (r < 0) {
		log_write(LOG_STATE_PROBLEM, NULL, "%s", problem);
		return r == -EBUSY ? EX_UNAVAILABLE : EX_OSERR;
	}
	server->has_store = true;
	return 0;
}

void server_tell_reloaded(struct server *server, const char *error)
{
	struct errand *errand = STEAL(server->reloads), *next;

	for (; errand; errand = next) {
		next = errand->next;
		errand->error = error ? strdup(error) : NULL;
		errand_done(server->hub, errand);
	}
}

/* Tells those who asked for a reload that failed the first problem; the log has all. */
static void tell_not_reloaded(struct server *server, const struct config_problems *problems)
{
	const char *text = (const char *)problems->text.data;
	const char *end = text ? memchr(text, '\n', problems->text.len) : NULL;
	CLEANUP(freep) char *line = NULL;

	if (!end) {
		server_tell_reloaded(server, "it cannot be done now; the daemon's log says why");
	} else if (asprintf(&line, "%.*s%s", (int)(end - text), text,
			    problems->n > 1 ? " (and more, which the daemon's log says)" : "") <
		   0) {
		line = NULL; /* undefined after a failure */
		server_tell_reloaded(server, strerror(ENOMEM));
	} else {
		server_tell_reloaded(server, line);
	}
}

/* Makes what was planned what is served. */
static void switch_to(struct server *server, struct plan *plan, struct store *store)
{
	log_set_level(plan->generation->config->log_level);
	listeners_apply(&server->listeners, plan);
	server->outgoing = server->generation;
	server->generation = plan->generation;
	server->door.config = plan->generation->config;
	server->updates_due = server->crew.n + 1;
	crew_order(&server->crew, LETTER_UPDATE);
	hub_update(server->hub, plan->generation->config, store);
	door_adjust(&server->door);
}

/* Notes what cannot be changed but by a restart. Returns 0, 1 when there is any, or -ENOMEM. */
static int refuse_settings(const struct config *former, const struct config *config,
			   struct config_problems *problems)
{
	const struct {
		bool changed;
		const char *place, *words;
	} settings[] = {
		{config->workers != former->workers, config->workers_place,
		 "workers: another number of them"},
		{config->crash_safe != former->crash_safe, config->crash_safe_place,
		 "crash_safe: another value of it"},
	};
	char service[OWN_SERVICE_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(settings) && r >= 0; i++)
		if (settings[i].changed)
			r = config_problem(problems, (struct place){settings[i].place, 0},
					   "%s takes 'systemctl restart %s'", settings[i].words,
					   own_service(service))
				    ?: 1;
	return r;
}

/* Takes config over. Returns 0, or not 0 when nothing is changed, and why is logged or a problem.
 */
static int change_to(struct server *server, struct config *config, struct config_problems *problems)
{
	int refused = refuse_settings(server->generation->config, config, problems), r;
	struct generation *generation;
	struct store *store = NULL;
	struct plan plan;

	generation = generation_new(config);
	if (!generation)
		return -ENOMEM;
	r = listeners_plan(&server->listeners, generation, &plan, problems) ?: refused;
	if (r == 0)
		r = server_open_store(server, config, &store);
	if (r == 0)
		switch_to(server, &plan, store);
	plan_done(&plan);
	if (r != 0)
		(void)generation_unref(generation);
	return r;
}

void server_reload(struct server *server)
{
	struct config_problems problems = {0};
	struct config *config;
	int r;

	if (server->outgoing) {
		server->reload_due = true; /* when the last one has come through everywhere */
		return;
	}
	(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, server_microseconds());
	server->reloads = STEAL(server->reloads_due);
	r = server->load(&config, &problems);
	if (r == 0)
		r = change_to(server, config, &problems);
	log_lines(LOG_CONFIG_PROBLEM, (const char *)problems.text.data, problems.text.len);
	if (r != 0) {
		log_write(LOG_NOT_RELOADED, NULL, "configuration not reloaded: nothing is changed");
		(void)sd_notify(false, "READY=1");
		tell_not_reloaded(server, &problems);
	}
	config_problems_done(
		&problems); /* when well, server_updated() tells, once everybody goes by it */
}

void server_updated(struct server *server)
{
	if (--server->updates_due > 0)
		return;
	server->outgoing = generation_unref(server->outgoing);
	log_write(LOG_RELOADED, NULL, "configuration reloaded");
	server_tell_reloaded(server, NULL);
	if (server->stopping) {
		/* Whoever waits for another one would keep its connection open for ever. */
		server->reloads = STEAL(server->reloads_due);
		server_tell_reloaded(server, "the daemon is stopping");
		return;
	}
	(void)sd_notify(false, "READY=1");
	if (server->reload_due) {
		server->reload_due = false;
		server_reload(server);
	}
}
