/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <string.h>
#include <sysexits.h>

#include "config_problem.h"
#include "own_service.h"
#include "util.h"

static void step_free(struct step *step)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, &step->opened, struct listening, link)
		listening_free(listening);
	if (step->fresh)
		listener_free(step->listener);
	list_remove(&step->link);
	free(step);
}

void plan_done(struct plan *plan)
{
	struct step *step;

	LIST_FOR_EACH(step, &plan->steps, struct step, link)
		step_free(step);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether two configurations of a listener ask for the same sockets. */
static bool same_sockets(const struct listener_config *a, const struct listener_config *b)
{
	if (a->n_addresses != b->n_addresses || a->mode != b->mode ||
	    !same_text(a->user, b->user) || !same_text(a->group, b->group))
		return false;
	for (size_t i = 0; i < a->n_addresses; i++) {
		char left[ADDRESS_TEXT_MAX], right[ADDRESS_TEXT_MAX];

		if (strcmp(address_format(&a->addresses[i], left),
			   address_format(&b->addresses[i], right)) != 0)
			return false;
	}
	return true;
}

/*
 * What the service manager has opened, it alone can open elsewhere or close for good; and where it
 * has opened everything, this process may not be able to open anything.
 */
#define REMEDY                                                                          \
	"the service manager opens the sockets: 'systemctl daemon-reload && systemctl " \
	"restart %s' does it"

static bool is_inherited(const struct listener *listener)
{
	struct listening *listening;

	LIST_FOR_EACH(listening, &listener->sockets, struct listening, link)
		if (listening->inherited)
			return true;
	return false;
}

static bool is_all_inherited(const struct list *all)
{
	struct listener *listener;

	LIST_FOR_EACH(listener, all, struct listener, link)
		if (!listener->permanent && !listener->gone && !is_inherited(listener))
			return false;
	return !list_empty(all);
}

static struct place place_of(const struct listener_config *config)
{
	return (struct place){config->file, config->line};
}

/* Notes why a listener cannot become what config says, if so. Returns 0, or an exit status. */
static int refuse_step(const struct list *all, const struct step *step,
		       struct config_problems *problems)
{
	const struct listener_config *config = step->config, *former = step->listener->config;
	char service[OWN_SERVICE_MAX];
	int r = 0;

	if (step->fresh && is_all_inherited(all))
		r = config_problem(problems, place_of(config),
				   "listener \"%s\" is new, and " REMEDY, config->name,
				   own_service(service))
			    ?: EX_CONFIG;
	else if (!step->fresh && former->settings.service != config->settings.service)
		/* Its connections would be of the one service, and those that come of the other. */
		r = config_problem(problems, place_of(config),
				   "service: another one for listener \"%s\" takes 'systemctl "
				   "restart %s'",
				   config->name, own_service(service))
			    ?: EX_CONFIG;
	else if (!step->fresh && step->moved && is_inherited(step->listener))
		r = config_problem(problems, place_of(config),
				   "listen, mode, user or group of listener \"%s\" has changed, "
				   "and " REMEDY,
				   config->name, own_service(service))
			    ?: EX_CONFIG;
	return r < 0 ? listener_out_of_memory(config->name) : r;
}

/* Likewise for a listener that is in the new configuration no more. */
static int refuse_end(const struct listener *listener, struct config_problems *problems)
{
	char service[OWN_SERVICE_MAX];
	int r;

	if (!is_inherited(listener))
		return 0;
	r = config_problem(problems, (struct place){listener->config->file, 0},
			   "listener \"%s\" is gone, and " REMEDY, listener->name,
			   own_service(service));
	return r < 0 ? listener_out_of_memory(listener->name) : EX_CONFIG;
}

/* Plans what is to become of one listener. Returns 0, or an exit status when it cannot be. */
static int plan_step(const struct list *all, unsigned n_threads, struct generation *generation,
		     const struct listener_config *config, struct list *steps,
		     struct config_problems *problems)
{
	struct inherited none = {0};
	struct step *step = calloc(1, sizeof(*step));
	int status;

	if (!step)
		return listener_out_of_memory(config->name);
	list_init(&step->opened);
	list_append(steps, &step->link);
	step->config = config;
	step->listener = listener_find(all, config->name);
	if (!step->listener) {
		step->listener = listener_new(generation, config, n_threads);
		step->fresh = step->listener;
		step->moved = true;
	} else {
		step->moved = !same_sockets(step->listener->config, config);
	}
	if (!step->listener)
		return listener_out_of_memory(config->name);
	status = refuse_step(all, step, problems);
	if (status != 0 || !step->moved)
		return status;
	return listener_open(step->listener, config, &none, all, &step->opened);
}

int plan_make(const struct list *all, unsigned n_threads, struct generation *generation,
	      struct plan *ret_plan, struct config_problems *problems)
{
	const struct config *config = generation->config;
	struct listener *listener;
	int status = 0;

	ret_plan->generation = generation;
	list_init(&ret_plan->steps);
	for (size_t i = 0; i < config->n_listeners; i++) {
		int r = plan_step(all, n_threads, generation, &config->listeners[i],
				  &ret_plan->steps, problems);

		if (r != 0)
			status = r;
	}
	LIST_FOR_EACH(listener, all, struct listener, link)
		if (!listener->permanent && !listener->gone &&
		    !config_find(config, listener->name)) {
			int r = refuse_end(listener, problems);

			if (r != 0)
				status = r;
		}
	return status;
}
