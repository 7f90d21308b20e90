/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The ways to get a configuration: of a file, of memory, of what is built in, of the command line.
 * Whether something is wrong is decided here, by the number of problems.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_builtin.h"
#include "config_clash.h"
#include "config_problem.h"
#include "config_read.h"
#include "config_rules.h"
#include "config_source.h"
#include "util.h"

static void config_freep(struct config **config)
{
	config_free(*config);
}

/* Makes a configuration of a source that was read with r, when problems are no more than before. */
static int load_source(int r, const struct source *source, bool early, size_t n_problems,
		       struct config **ret_config, struct config_problems *problems)
{
	CLEANUP(config_freep) struct config *config = NULL;

	if (r < 0)
		return r;
	r = config_new(&config);
	if (r == 0)
		r = config_read_source(source, early, config, problems);
	if (r == 0 && problems->n > n_problems)
		r = -EINVAL;
	if (r == 0)
		*ret_config = STEAL(config);
	return r;
}

static int load_file(const char *file, bool early, struct config **ret_config,
		     struct config_problems *problems)
{
	CLEANUP(source_done) struct source source = {0};
	size_t n_problems = problems->n;
	int r;

	r = source_read_file(&source, file, problems);
	return load_source(r, &source, early, n_problems, ret_config, problems);
}

int config_load(const char *file, struct config **ret_config, struct config_problems *problems)
{
	return load_file(file, false, ret_config, problems);
}

int config_load_early(const char *file, struct config **ret_config,
		      struct config_problems *problems)
{
	return load_file(file, true, ret_config, problems);
}

int config_salvage(const char *file, struct config **ret_config, struct config_problems *problems)
{
	CLEANUP(source_done) struct source source = {0};
	CLEANUP(config_freep) struct config *config = NULL;
	size_t n_problems = problems->n;
	bool whole;
	int r;

	r = source_read_file(&source, file, problems);
	whole = problems->n == n_problems;
	if (r == 0)
		r = config_new(&config);
	if (r == 0)
		r = config_read_source(&source, true, config, problems);
	if (r < 0)
		return r;
	/* What could not be read may have said that there are others than those built in. */
	config_drop_wrong(config, !whole);
	*ret_config = STEAL(config);
	return 0;
}

int config_load_text(const char *name, const char *text, size_t len, struct config **ret_config,
		     struct config_problems *problems)
{
	CLEANUP(source_done) struct source source = {0};
	size_t n_problems = problems->n;
	int r;

	r = source_read_text(&source, name, text, len, problems);
	return load_source(r, &source, false, n_problems, ret_config, problems);
}

int config_load_builtin(struct config **ret_config)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	const char *text;
	size_t len;

	text = config_builtin_text(&len);
	return config_load_text(NULL, text, len, ret_config, &problems);
}

/* Each of these takes one option of a "-l" into listener. */

static int take_address(const char *text, struct listener_config *listener,
			struct config_problems *problems)
{
	const struct place place = {.file = "--listen"};
	const char *problem = NULL;
	int r;

	listener->addresses = calloc(1, sizeof(*listener->addresses));
	if (!listener->addresses)
		return -ENOMEM;
	r = address_parse(text, listener->addresses, &problem);
	if (r == 0)
		listener->n_addresses = 1;
	return r == -EINVAL ? config_problem(problems, place, "the address \"%.200s\" is wrong: %s",
					     text, problem)
			    : r;
}

static int take_framing(const char *text, struct listener_config *listener,
			struct config_problems *problems)
{
	const char *names[] = {
		framing_name(FRAMING_RAW),
		framing_name(FRAMING_LINE),
		framing_name(FRAMING_LENGTH),
	};
	int framing = framing_from_name(text);

	if (framing < 0)
		return config_problem_name(problems, (struct place){.file = "--framing"},
					   "the framing", text, names, ARRAY_SIZE(names));
	listener->settings.framing = (enum framing)framing;
	return 0;
}

static int take_transforms(const char *text, struct listener_config *listener,
			   struct config_problems *problems)
{
	const struct place place = {.file = "--transform"};
	const char *bad = text, *names[TRANSFORM_COUNT];
	CLEANUP(freep) char *name = NULL;
	int r;

	r = pipeline_parse(&listener->settings.pipeline, text, &bad);
	if (r == -E2BIG)
		return config_problem(problems, place, "it has more than %d steps; leave some out",
				      PIPELINE_MAX);
	if (r != -EINVAL)
		return r;
	for (size_t i = 0; i < TRANSFORM_COUNT; i++)
		names[i] = transform_name((enum transform)i);
	name = strndup(bad, strcspn(bad, ","));
	if (!name)
		return -ENOMEM;
	return config_problem_name(problems, place, "the transform", name, names,
				   ARRAY_SIZE(names));
}

static int take_service(const char *text, struct listener_config *listener,
			struct config_problems *problems)
{
	static const char *const names[] = {
		[SERVICE_TRANSFORM] = "transform",
		[SERVICE_CHAT] = "chat",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(text, names[i]) == 0) {
			listener->settings.service = (enum service_kind)i;
			return 0;
		}
	return config_problem_name(problems, (struct place){.file = "--service"}, "the service",
				   text, names, ARRAY_SIZE(names));
}

static int take_dialect(const char *text, struct listener_config *listener,
			struct config_problems *problems)
{
	const char *names[DIALECTS];
	int dialect = dialect_from_name(text);

	if (dialect >= 0) {
		listener->settings.dialect = (enum dialect_id)dialect;
		return 0;
	}
	for (size_t i = 0; i < DIALECTS; i++)
		names[i] = dialects[i]->name;
	return config_problem_name(problems, (struct place){.file = "--dialect"}, "the dialect",
				   text, names, ARRAY_SIZE(names));
}

static struct place option_place(const char *option, const char *value)
{
	return (struct place){.file = value ? option : NULL};
}

static struct claim claim_of(const struct listener_config *listener)
{
	return (struct claim){
		.address = listener->addresses,
		.listener = listener->name,
		.place = {.file = "--listen"},
	};
}

static int add_listen(const struct config_listen *listen, struct config *config,
		      struct config_problems *problems)
{
	const struct rules_places places = {
		.framing = option_place("--framing", listen->framing),
		.dialect = option_place("--dialect", listen->dialect),
		.transforms = option_place("--transform", listen->transforms),
	};
	struct listener_config *listener;
	char name[sizeof("listen-18446744073709551615")];
	struct claim claim;
	int r;

	(void)snprintf(name, sizeof(name), "listen-%zu", config->n_listeners + 1); /* always fits */
	r = config_add_listener(config, name, &listener);
	if (r == 0)
		r = take_address(listen->address, listener, problems);
	if (r == 0 && listen->framing)
		r = take_framing(listen->framing, listener, problems);
	if (r == 0 && listen->transforms)
		r = take_transforms(listen->transforms, listener, problems);
	if (r == 0 && listen->service)
		r = take_service(listen->service, listener, problems);
	if (r == 0 && listen->dialect)
		r = take_dialect(listen->dialect, listener, problems);
	if (r < 0)
		return r;
	claim = claim_of(listener);
	return config_check_service(listener, &places, &claim, problems);
}

static int check_listens(const struct config *config, struct config_problems *problems)
{
	CLEANUP(freep) struct claim *claims = calloc(config->n_listeners, sizeof(*claims));
	size_t n = 0;

	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].n_addresses > 0)
			claims[n++] = claim_of(&config->listeners[i]);
	return config_check_clashes(claims, n, problems);
}

int config_load_listen(const struct config_listen *listens, size_t n, struct config **ret_config,
		       struct config_problems *problems)
{
	CLEANUP(config_freep) struct config *config = NULL;
	size_t n_problems = problems->n;
	int r;

	if (n == 0 || n > CONFIG_LISTENERS_MAX) {
		r = config_problem(problems, (struct place){.file = "--listen"},
				   "there are %zu of them; give 1 to %d", n, CONFIG_LISTENERS_MAX);
		return r < 0 ? r : -EINVAL;
	}
	r = config_new(&config);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_listen(&listens[i], config, problems);
	if (r == 0)
		r = check_listens(config, problems);
	if (r == 0)
		r = config_read_builtin_rooms(config, problems);
	if (r == 0 && problems->n > n_problems)
		r = -EINVAL;
	if (r == 0)
		*ret_config = STEAL(config);
	return r;
}
