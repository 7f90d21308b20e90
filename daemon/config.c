/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The life of a configuration in memory: defaults, growth and end. It knows nothing of files. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "util.h"

static const struct settings builtin_settings = {
	.framing = FRAMING_LENGTH,
	.service = SERVICE_TRANSFORM,
	.dialect = DIALECT_OBJECT,
	.payload = PAYLOAD_TEXT,
	.max_message = 1 << 20,
	.max_pending = 4 << 20,
	.max_requests = 256,
	.timeouts = {.idle = 0, .message = 10000, .handshake = 10000, .drain = 5000},
};

static const struct chat_config builtin_chat = {
	.guests = true,
	.create_rooms = true,
	.max_messages = 100000,
	.max_rooms = 4096,
	.max_rooms_per_client = 256,
	.max_presence = 1000,
	.max_requests = 256,
	.max_topic = 1 << 10,
	.max_memory = 16 << 20,
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

static void names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void room_done(struct room_config *room)
{
	free(room->name);
	free(room->topic);
	names_free(room->members, room->n_members);
}

static void chat_done(struct chat_config *chat)
{
	names_free(chat->admins, chat->n_admins);
	for (size_t i = 0; i < chat->n_rooms; i++)
		room_done(&chat->rooms[i]);
	free(chat->rooms);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_listeners; i++)
		listener_done(&config->listeners[i]);
	free(config->listeners);
	free(config->workers_place);
	free(config->crash_safe_place);
	free(config->defaults.greeting);
	chat_done(&config->chat);
	free(config);
}

/* Gives chat the administrators that there are when nobody names any. Returns 0 or -ENOMEM. */
static int add_root(struct chat_config *chat)
{
	chat->admins = calloc(1, sizeof(*chat->admins));
	if (!chat->admins)
		return -ENOMEM;
	chat->admins[chat->n_admins] = strdup("root");
	return chat->admins[chat->n_admins++] ? 0 : -ENOMEM;
}

int config_new(struct config **ret_config)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	config->defaults = builtin_settings;
	config->chat = builtin_chat;
	config->log_level = LOG_INFO;
	config->defaults.greeting = strdup("");
	if (!config->defaults.greeting || add_root(&config->chat) < 0) {
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

void config_drop_wrong(struct config *config, bool builtin)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++) {
		struct listener_config *listener = &config->listeners[i];

		if (listener->wrong || (builtin && !listener->file))
			listener_done(listener);
		else
			config->listeners[n++] = *listener;
	}
	config->n_listeners = n;
}

int config_add_room(struct config *config, const char *name, struct room_config **ret_room)
{
	struct chat_config *chat = &config->chat;
	struct room_config room = {.durable = true}, *rooms;

	rooms = reallocarray(chat->rooms, chat->n_rooms + 1, sizeof(*rooms));
	if (!rooms)
		return -ENOMEM;
	chat->rooms = rooms;
	room.name = strdup(name);
	if (!room.name)
		return -ENOMEM;
	rooms[chat->n_rooms] = room;
	*ret_room = &rooms[chat->n_rooms++];
	return 0;
}

const struct listener_config *config_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
	return NULL;
}

const char *config_log_level_name(int level)
{
	static const char *const names[] = {[LOG_ERR] = "err",
					    [LOG_WARNING] = "warning",
					    [LOG_NOTICE] = "notice",
					    [LOG_INFO] = "info",
					    [LOG_DEBUG] = "debug"};

	return names[level];
}
