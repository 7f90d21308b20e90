/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_read.h"

/*
 * The file's own keys and those of listeners. Whatever is wrong is noted and reading goes on, so
 * that one run finds everything.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "config_builtin.h"
#include "config_chat.h"
#include "config_clash.h"
#include "config_rules.h"
#include "config_tree.h"
#include "config_value.h"
#include "util.h"

/* ---- Values, as the tables name them ---- */

static int read_mode(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	return value_mode(&reader->reading, setting, key->example, target);
}

static int read_user(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	return value_user(&reader->reading, setting, key->example, target);
}

static int read_group_name(struct reader *reader, const struct key *key,
			   const config_setting_t *setting, void *target)
{
	return value_group(&reader->reading, setting, key->example, target);
}

static int read_timeouts(struct reader *reader, const struct key *key,
			 const config_setting_t *setting, void *target)
{
	static const struct key keys[] = {
		{"idle", key_time, offsetof(struct timeouts, idle), .example = "\"5min\""},
		{"message", key_time, offsetof(struct timeouts, message), .example = "\"10s\""},
		{"handshake", key_time, offsetof(struct timeouts, handshake), .example = "\"10s\""},
		{"drain", key_time, offsetof(struct timeouts, drain), .example = "\"5s\""},
	};

	return keys_read(reader, key, setting, keys, ARRAY_SIZE(keys), target);
}

static int read_framing(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	const char *names[] = {
		framing_name(FRAMING_RAW),
		framing_name(FRAMING_LINE),
		framing_name(FRAMING_LENGTH),
	};
	size_t index = *(enum framing *)target;
	int r;

	r = value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names), &index);
	*(enum framing *)target = (enum framing)index;
	return r;
}

static int read_log_level(struct reader *reader, const struct key *key,
			  const config_setting_t *setting, void *target)
{
	const char *names[LOG_DEBUG - LOG_ERR + 1];
	size_t index = (size_t)(*(int *)target - LOG_ERR);
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		names[i] = config_log_level_name(LOG_ERR + (int)i);
	r = value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names), &index);
	*(int *)target = LOG_ERR + (int)index;
	return r;
}

static int read_payload(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	static const char *const names[] = {[PAYLOAD_TEXT] = "text", [PAYLOAD_JSON] = "json"};
	size_t index = *(enum payload *)target;
	int r;

	r = value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names), &index);
	*(enum payload *)target = (enum payload)index;
	return r;
}

static int read_service(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	static const char *const names[] = {
		[SERVICE_TRANSFORM] = "transform",
		[SERVICE_CHAT] = "chat",
	};
	size_t index = *(enum service_kind *)target;
	int r;

	r = value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names), &index);
	*(enum service_kind *)target = (enum service_kind)index;
	return r;
}

static int read_dialect(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	const char *names[DIALECTS];
	size_t index = *(enum dialect_id *)target;
	int r;

	for (size_t i = 0; i < DIALECTS; i++)
		names[i] = dialects[i]->name;
	r = value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names), &index);
	*(enum dialect_id *)target = (enum dialect_id)index;
	return r;
}

/* The keys of struct settings that both the file and a listener have. */
#define SETTINGS_KEYS(type, member)                                                                \
	{"max_clients_per_address", key_number, offsetof(type, member.max_clients_per_address), 0, \
	 CONFIG_CLIENTS_MAX,	    "100"},                                                        \
		{"max_message",	     key_size, offsetof(type, member.max_message), 1,              \
		 CONFIG_MESSAGE_MAX, "\"1M\""},                                                    \
		{"max_pending",	     key_size, offsetof(type, member.max_pending), 1,              \
		 CONFIG_PENDING_MAX, "\"4M\""},                                                    \
		{"greeting", key_text, offsetof(type, member.greeting), .example = "\"hello\""},   \
	{                                                                                          \
		"timeouts", read_timeouts, offsetof(type, member.timeouts),                        \
			.example = "{ idle = \"5min\"; }"                                          \
	}

/* ---- Listeners ---- */

static int read_address(struct reader *reader, struct listener_config *listener,
			const config_setting_t *setting)
{
	struct address address, *addresses;
	const char *text = NULL, *problem = NULL;
	struct claim claim = {.place = reading_place(&reader->reading, setting)};
	int r;

	r = value_text(&reader->reading, setting, RULES_LISTEN_EXAMPLE, &text);
	if (r < 0 || !text)
		return r;
	if (reader->claims.len / sizeof(claim) == CONFIG_ADDRESSES_MAX)
		return config_problem(
			reader->reading.problems, claim.place,
			"the listeners have more than %d addresses; use \"*\" for the host",
			CONFIG_ADDRESSES_MAX);
	r = address_parse(text, &address, &problem);
	if (r == -EINVAL)
		return config_problem(reader->reading.problems, claim.place,
				      "the address \"%.200s\" is wrong: %s", text, problem);
	if (r < 0)
		return r;
	addresses =
		reallocarray(listener->addresses, listener->n_addresses + 1, sizeof(*addresses));
	if (!addresses) {
		address_done(&address);
		return -ENOMEM;
	}
	listener->addresses = addresses;
	addresses[listener->n_addresses++] = address;
	return buffer_append(&reader->claims, &claim, sizeof(claim));
}

static int read_listen(struct reader *reader, const struct key *key,
		       const config_setting_t *setting, void *target)
{
	bool several = setting->type == CONFIG_TYPE_ARRAY || setting->type == CONFIG_TYPE_LIST;
	int r = 0;

	if (!several && setting->type != CONFIG_TYPE_STRING)
		return value_wrong_type(&reader->reading, setting, "an address or an array of them",
					key->example);
	if (!several)
		return read_address(reader, target, setting);
	for (int i = 0; i < config_setting_length(setting) && r == 0; i++)
		r = read_address(reader, target, config_setting_get_elem(setting, (unsigned)i));
	return r;
}

#define SETTING(member) offsetof(struct listener_config, settings.member)

static const struct key listener_keys[] = {
	{.name = "name", .read = key_at_another_time},
	{"listen", read_listen, 0, .example = RULES_LISTEN_EXAMPLE},
	{"framing", read_framing, SETTING(framing), .example = "\"line\""},
	{"service", read_service, SETTING(service), .example = "\"transform\""},
	{"dialect", read_dialect, SETTING(dialect), .example = "\"text\""},
	{"transforms", key_transforms, SETTING(pipeline), .example = "[ \"upper\" ]"},
	{"payload", read_payload, SETTING(payload), .example = "\"json\""},
	{"max_clients", key_number, SETTING(max_clients), 0, CONFIG_CLIENTS_MAX, "1000"},
	SETTINGS_KEYS(struct listener_config, settings),
	{"mode", read_mode, offsetof(struct listener_config, mode), .example = "\"0660\""},
	{"user", read_user, offsetof(struct listener_config, user), .example = "\"root\""},
	{"group", read_group_name, offsetof(struct listener_config, group), .example = "\"adm\""},
};
_Static_assert(ARRAY_SIZE(listener_keys) <= KEYS_MAX, "keys_read() has no room for so many");

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= CONFIG_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

/* Adds a listener with the name that group gives it, or else one made of its number. */
static int add_named(struct reader *reader, const config_setting_t *group, int number,
		     struct listener_config **ret_listener)
{
	const config_setting_t *setting = config_setting_get_member(group, "name");
	char derived[sizeof("listener--2147483648")];
	const char *name = NULL;
	int r = 0;

	(void)snprintf(derived, sizeof(derived), "listener-%d", number); /* always fits */
	if (setting)
		r = value_text(&reader->reading, setting, "\"echo\"", &name);
	if (r == 0 && name && !name_is_valid(name)) {
		r = config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"the name \"%.80s\" will not do; write 1 to %d letters, digits, -, _ "
			"and .",
			name, CONFIG_NAME_MAX);
		name = NULL;
	}
	if (!name)
		name = derived;
	for (size_t i = 0; i < reader->config->n_listeners && r == 0; i++) {
		const struct listener_config *other = &reader->config->listeners[i];

		if (strcmp(other->name, name) == 0) {
			r = config_problem(
				reader->reading.problems,
				reading_place(&reader->reading, setting ? setting : group),
				"a listener of the name \"%s\" is already at %s:%u; give each a "
				"name of its own",
				name, other->file ? other->file : "built-in", other->line);
			break;
		}
	}
	return r < 0 ? r : config_add_listener(reader->config, name, ret_listener);
}

static int read_listener(struct reader *reader, const config_setting_t *group, int number)
{
	struct place place = reading_place(&reader->reading, group);
	size_t before = reader->claims.len / sizeof(struct claim);
	size_t n_problems = reader->reading.problems->n;
	struct listener_config *listener;
	struct claim *claims;
	int r;

	if (group->type != CONFIG_TYPE_GROUP)
		return value_wrong_type(&reader->reading, group, "a list of groups",
					"( { listen = \"tcp://localhost:7007\"; } )");
	r = add_named(reader, group, number, &listener);
	if (r < 0)
		return r;
	listener->line = place.line;
	if (place.file) {
		listener->file = strdup(place.file);
		if (!listener->file)
			return -ENOMEM;
	}
	r = keys_read(reader, NULL, group, listener_keys, ARRAY_SIZE(listener_keys), listener);
	if (r < 0)
		return r;
	/* The addresses stay where they are from now on. */
	claims = (struct claim *)reader->claims.data + before;
	for (size_t i = 0; i < listener->n_addresses; i++) {
		claims[i].address = &listener->addresses[i];
		claims[i].listener = listener->name;
	}
	r = config_check_listener(reader, group, listener, claims);
	listener->wrong = reader->reading.problems->n > n_problems;
	return r;
}

static int read_listeners(struct reader *reader, const config_setting_t *setting)
{
	int n = config_setting_length(setting), r = 0;

	if (setting->type != CONFIG_TYPE_LIST)
		return value_wrong_type(&reader->reading, setting, "a list of groups",
					"( { listen = \"tcp://localhost:7007\"; } )");
	if (n == 0 || n > CONFIG_LISTENERS_MAX)
		return config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"there are %d listeners; write 1 to %d, or leave \"listeners\" out to "
			"have the built-in ones",
			n, CONFIG_LISTENERS_MAX);
	for (int i = 0; i < n && r == 0; i++)
		r = read_listener(reader, config_setting_get_elem(setting, (unsigned)i), i + 1);
	if (r == 0)
		r = config_check_clashes((const struct claim *)reader->claims.data,
					 reader->claims.len / sizeof(struct claim),
					 reader->reading.problems);
	return r;
}

/* ---- The file ---- */

static const struct key file_keys[] = {
	{"workers", key_unsigned, offsetof(struct config, workers), 0, CONFIG_WORKERS_MAX, "4"},
	{"log_level", read_log_level, offsetof(struct config, log_level), .example = "\"notice\""},
	{"max_clients", key_number, offsetof(struct config, max_clients), 0, CONFIG_CLIENTS_MAX,
	 "10000"},
	{"crash_safe", key_boolean, offsetof(struct config, crash_safe), .example = "true"},
	SETTINGS_KEYS(struct config, defaults),
	{.name = "listeners", .read = key_at_another_time},
	{"chat", config_read_chat, offsetof(struct config, chat),
	 .example = "{ create_rooms = true; }"},
};
_Static_assert(ARRAY_SIZE(file_keys) <= KEYS_MAX, "keys_read() has no room for so many");

/* What may be taken of the built-in configuration. */
enum part { PART_LISTENERS = 1 << 0, PART_ROOMS = 1 << 1 };

/* Reads parts of the built-in configuration, as if they stood in the file that reader reads. */
static int read_builtin(const struct reader *reader, unsigned parts)
{
	struct source source = {0};
	struct reader builtin = *reader;
	const char *text;
	config_t tree;
	size_t len;
	int r;

	builtin.reading.source = &source;
	builtin.claims = (struct buffer){0};
	text = config_builtin_text(&len);
	config_init(&tree);
	r = source_read_text(&source, NULL, text, len, reader->reading.problems);
	if (r == 0)
		r = tree_parse(&source, &tree, reader->reading.problems);
	if (r == TREE_BROKEN) {
		r = 0; /* as the problems say */
	} else if (r == TREE_PARSED) {
		r = parts & PART_LISTENERS
			    ? read_listeners(&builtin, config_lookup(&tree, "listeners"))
			    : 0;
		if (r == 0 && parts & PART_ROOMS)
			r = config_read_rooms(&builtin, config_lookup(&tree, "chat.rooms"));
	}
	buffer_done(&builtin.claims);
	config_destroy(&tree);
	source_done(&source);
	return r;
}

int config_read_builtin_rooms(struct config *config, struct config_problems *problems)
{
	const struct reader reader = {.reading = {.problems = problems}, .config = config};

	return read_builtin(&reader, PART_ROOMS);
}

/* Returns where a key of the file stands. */
static struct place place_of(const struct reader *reader, const config_t *tree, const char *key)
{
	const config_setting_t *setting = config_lookup(tree, key);

	return setting ? reading_place(&reader->reading, setting) : (struct place){0};
}

/* Notes where a key of the file stands; when it is not there, in which file it is not. */
static int note_place(const struct reader *reader, const config_t *tree, const char *key,
		      char **ret_text)
{
	struct place place = place_of(reader, tree, key);
	int n;

	if (place.line > 0)
		n = asprintf(ret_text, "%s:%u", place.file ?: "", place.line);
	else if ((place = source_place(reader->reading.source, 1)).file)
		n = asprintf(ret_text, "%s", place.file);
	else
		return 0;
	if (n < 0) {
		*ret_text = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return 0;
}

/* Reads a whole file. A listener takes over what the file says, wherever it says it. */
static int read_file(struct reader *reader, const config_t *tree)
{
	const config_setting_t *listeners = config_lookup(tree, "listeners");
	unsigned missing = 0;
	int r;

	r = keys_read(reader, NULL, config_root_setting(tree), file_keys, ARRAY_SIZE(file_keys),
		      reader->config);
	reader->config->defaults.max_requests = reader->config->chat.max_requests;
	reader->greeting = place_of(reader, tree, "greeting");
	reader->max_message = place_of(reader, tree, "max_message");
	if (r == 0)
		r = note_place(reader, tree, "workers", &reader->config->workers_place);
	if (r == 0)
		r = note_place(reader, tree, "crash_safe", &reader->config->crash_safe_place);
	if (r == 0 && listeners)
		r = read_listeners(reader, listeners);
	if (!listeners)
		missing |= PART_LISTENERS;
	if (!config_lookup(tree, "chat.rooms"))
		missing |= PART_ROOMS;
	return r == 0 && missing ? read_builtin(reader, missing) : r;
}

int config_read_source(const struct source *source, bool early, struct config *config,
		       struct config_problems *problems)
{
	struct reader reader = {
		.reading = {.source = source, .problems = problems, .early = early},
		.config = config,
	};
	config_t tree;
	int r;

	config_init(&tree);
	r = tree_parse(source, &tree, problems);
	if (r == TREE_BROKEN)
		r = 0; /* as the problems say */
	else if (r == TREE_PARSED)
		r = read_file(&reader, &tree);
	buffer_done(&reader.claims);
	config_destroy(&tree);
	return r;
}
