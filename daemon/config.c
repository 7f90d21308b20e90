/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The life of a configuration in memory: defaults, growth and end. It knows nothing of files. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const struct settings builtin_settings = {
	.framing = FRAMING_LENGTH,
	.payload = PAYLOAD_TEXT,
	.max_message = 1 << 20,
	.max_pending = 4 << 20,
	.timeouts = {.idle = 0, .message = 10000, .handshake = 10000, .drain = 5000},
};

static void listener_done(struct listener_config *listener)
{
	for (size_t i = 0; i < listener->n_addresses; i++)
		address_done(&listener->addresses[i]);
	free(listener->addresses);
	free(listener->settings.greeting);
	free(listener->name);
	free(listener->user);
	free(listener->group);
	free(listener->file);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_listeners; i++)
		listener_done(&config->listeners[i]);
	free(config->listeners);
	free(config->defaults.greeting);
	free(config);
}

int config_new(struct config **ret_config)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	config->defaults = builtin_settings;
	config->defaults.greeting = strdup("");
	if (!config->defaults.greeting) {
		config_free(config);
		return -ENOMEM;
	}
	*ret_config = config;
	return 0;
}

int config_add_listener(struct config *config, const char *name,
			struct listener_config **ret_listener)
{
	struct listener_config listener = {.settings = config->defaults, .mode = 0666};
	struct listener_config *listeners;

	listeners = reallocarray(config->listeners, config->n_listeners + 1, sizeof(*listeners));
	if (!listeners)
		return -ENOMEM;
	config->listeners = listeners;
	listener.name = name ? strdup(name) : NULL;
	listener.settings.greeting = strdup(config->defaults.greeting);
	if ((name && !listener.name) || !listener.settings.greeting) {
		listener_done(&listener);
		return -ENOMEM;
	}
	listeners[config->n_listeners] = listener;
	*ret_listener = &listeners[config->n_listeners++];
	return 0;
}

const struct listener_config *config_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
	return NULL;
}
