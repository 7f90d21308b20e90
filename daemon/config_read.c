/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_read.h"

/*
 * What a group may hold is a table of keys, each with the function that reads its value, where the
 * value goes and between what limits. Whatever is wrong is noted and reading goes on, so that one
 * run finds everything.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_builtin.h"
#include "config_clash.h"
#include "config_rules.h"
#include "config_tree.h"
#include "config_value.h"
#include "text.h"

/* One file being read. */
struct reader {
	struct reading reading;
	struct config *config;
	struct place greeting; /* the file's, which listeners inherit */
	struct buffer claims;  /* struct claim, one for each address; their texts are config's */
};

/* A key of a group. read() puts the value at offset into the object that the group fills. */
struct key {
	const char *name;
	int (*read)(struct reader *reader, const struct key *key, const config_setting_t *setting,
		    void *target);
	size_t offset;
	uint64_t min, max;
	const char *example;
};

enum { KEYS_MAX = 32 }; /* in one table */

static int read_group(struct reader *reader, const config_setting_t *group, const struct key *keys,
		      size_t n_keys, void *object)
{
	const char *names[KEYS_MAX];

	for (size_t i = 0; i < n_keys; i++)
		names[i] = keys[i].name;
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const struct key *key = keys;
		int r;

		while (key < keys + n_keys && strcmp(key->name, setting->name) != 0)
			key++;
		if (key < keys + n_keys)
			r = key->read(reader, key, setting, (char *)object + key->offset);
		else
			r = config_problem_name(reader->reading.problems,
						reading_place(&reader->reading, setting), "the key",
						setting->name, names, n_keys);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- Values, as the tables name them ---- */

static int read_number(struct reader *reader, const struct key *key,
		       const config_setting_t *setting, void *target)
{
	return value_number(&reader->reading, setting, key->min, key->max, key->example, target);
}

static int read_unsigned(struct reader *reader, const struct key *key,
			 const config_setting_t *setting, void *target)
{
	uint64_t number = *(unsigned *)target;
	int r;

	r = value_number(&reader->reading, setting, key->min, key->max, key->example, &number);
	*(unsigned *)target = (unsigned)number;
	return r;
}

static int read_size(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	return value_size(&reader->reading, setting, key->min, key->max, key->example, target);
}

static int read_time(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	return value_time(&reader->reading, setting, key->example, target);
}

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

static int read_greeting(struct reader *reader, const struct key *key,
			 const config_setting_t *setting, void *target)
{
	const char *text = NULL;
	char *copy;
	int r;

	r = value_text(&reader->reading, setting, key->example, &text);
	if (r < 0 || !text)
		return r;
	if (text_valid_prefix((const uint8_t *)text, strlen(text)) < strlen(text))
		return config_problem(reader->reading.problems,
				      reading_place(&reader->reading, setting),
				      "greeting is not UTF-8 at byte %zu; save the file as UTF-8",
				      text_valid_prefix((const uint8_t *)text, strlen(text)));
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*(char **)target);
	*(char **)target = copy;
	return 0;
}

static int read_timeouts(struct reader *reader, const struct key *key,
			 const config_setting_t *setting, void *target)
{
	static const struct key keys[] = {
		{"idle", read_time, offsetof(struct timeouts, idle), .example = "\"5min\""},
		{"message", read_time, offsetof(struct timeouts, message), .example = "\"10s\""},
		{"handshake", read_time, offsetof(struct timeouts, handshake),
		 .example = "\"10s\""},
		{"drain", read_time, offsetof(struct timeouts, drain), .example = "\"5s\""},
	};

	if (setting->type != CONFIG_TYPE_GROUP)
		return value_wrong_type(&reader->reading, setting, "a group { }", key->example);
	return read_group(reader, setting, keys, ARRAY_SIZE(keys), target);
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

/* There is one service, so that nothing need be kept of it. */
static int read_service(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	static const char *const names[] = {"transform"};
	size_t index = 0;

	(void)target;
	return value_name(&reader->reading, setting, key->example, names, ARRAY_SIZE(names),
			  &index);
}

static int read_transforms(struct reader *reader, const struct key *key,
			   const config_setting_t *setting, void *target)
{
	struct pipeline *pipeline = target;
	const char *names[TRANSFORM_COUNT];
	int n = config_setting_length(setting);

	if (setting->type != CONFIG_TYPE_ARRAY && setting->type != CONFIG_TYPE_LIST)
		return value_wrong_type(&reader->reading, setting, "an array of names",
					key->example);
	if (n > PIPELINE_MAX)
		return config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"transforms has %d steps; it may have up to %d", n, PIPELINE_MAX);
	for (size_t i = 0; i < TRANSFORM_COUNT; i++)
		names[i] = transform_name((enum transform)i);
	pipeline->n_steps = 0;
	for (int i = 0; i < n; i++) {
		size_t index = TRANSFORM_ECHO;
		int r;

		r = value_name(&reader->reading, config_setting_get_elem(setting, (unsigned)i),
			       key->example, names, ARRAY_SIZE(names), &index);
		if (r < 0)
			return r;
		pipeline->steps[pipeline->n_steps++] = (enum transform)index;
	}
	return 0;
}

/* A key that was read before the others of its group, or will be after them. */
static int read_at_another_time(struct reader *reader, const struct key *key,
				const config_setting_t *setting, void *target)
{
	(void)reader;
	(void)key;
	(void)setting;
	(void)target;
	return 0;
}

/* The keys of struct settings that both the file and a listener have. */
#define SETTINGS_KEYS(type, member)                                                    \
	{                                                                              \
		"max_clients_per_address",                                             \
		read_number,                                                           \
		offsetof(type, member.max_clients_per_address),                        \
		0,                                                                     \
		CONFIG_CLIENTS_MAX,                                                    \
		"100"},                                                                \
		{"max_message",	     read_size, offsetof(type, member.max_message), 1, \
		 CONFIG_MESSAGE_MAX, "\"1M\""},                                        \
		{"max_pending",	     read_size, offsetof(type, member.max_pending), 1, \
		 CONFIG_PENDING_MAX, "\"4M\""},                                        \
		{"greeting", read_greeting, offsetof(type, member.greeting),           \
		 .example = "\"hello\""},                                              \
	{                                                                              \
		"timeouts", read_timeouts, offsetof(type, member.timeouts),            \
			.example = "{ idle = \"5min\"; }"                              \
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
	{.name = "name", .read = read_at_another_time},
	{"listen", read_listen, 0, .example = RULES_LISTEN_EXAMPLE},
	{"framing", read_framing, SETTING(framing), .example = "\"line\""},
	{"service", read_service, 0, .example = "\"transform\""},
	{"transforms", read_transforms, SETTING(pipeline), .example = "[ \"upper\" ]"},
	{"payload", read_payload, SETTING(payload), .example = "\"json\""},
	{"max_clients", read_number, SETTING(max_clients), 0, CONFIG_CLIENTS_MAX, "1000"},
	SETTINGS_KEYS(struct listener_config, settings),
	{"mode", read_mode, offsetof(struct listener_config, mode), .example = "\"0660\""},
	{"user", read_user, offsetof(struct listener_config, user), .example = "\"root\""},
	{"group", read_group_name, offsetof(struct listener_config, group), .example = "\"adm\""},
};
_Static_assert(ARRAY_SIZE(listener_keys) <= KEYS_MAX, "read_group() has no room for so many");

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
	struct listener_config *listener;
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
	r = read_group(reader, group, listener_keys, ARRAY_SIZE(listener_keys), listener);
	if (r < 0)
		return r;
	/* The addresses stay where they are from now on. */
	for (size_t i = 0; i < listener->n_addresses; i++) {
		struct claim *claim = (struct claim *)reader->claims.data + before + i;

		claim->address = &listener->addresses[i];
		claim->listener = listener->name;
	}
	return config_check_listener(&reader->reading, group, listener, reader->greeting);
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
	{"workers", read_unsigned, offsetof(struct config, workers), 0, CONFIG_WORKERS_MAX, "4"},
	{"max_clients", read_number, offsetof(struct config, max_clients), 0, CONFIG_CLIENTS_MAX,
	 "10000"},
	SETTINGS_KEYS(struct config, defaults),
	{.name = "listeners", .read = read_at_another_time},
};

/* Reads the listeners that are there when a file names none. */
static int read_builtin_listeners(struct reader *reader)
{
	struct source source = {0};
	struct reader builtin = {
		.reading = {.source = &source, .problems = reader->reading.problems},
		.config = reader->config,
		.greeting = reader->greeting,
	};
	const char *text;
	config_t tree;
	size_t len;
	int r;

	text = config_builtin_text(&len);
	config_init(&tree);
	r = source_read_text(&source, NULL, text, len, reader->reading.problems);
	if (r == 0)
		r = tree_parse(&source, &tree, reader->reading.problems);
	if (r == TREE_BROKEN)
		r = 0; /* as the problems say */
	else if (r == TREE_PARSED)
		r = read_listeners(&builtin, config_lookup(&tree, "listeners"));
	buffer_done(&builtin.claims);
	config_destroy(&tree);
	source_done(&source);
	return r;
}

int config_read_source(const struct source *source, struct config *config,
		       struct config_problems *problems)
{
	struct reader reader = {
		.reading = {.source = source, .problems = problems},
		.config = config,
	};
	const config_setting_t *listeners, *greeting;
	config_t tree;
	int r;

	config_init(&tree);
	r = tree_parse(source, &tree, problems);
	if (r == TREE_BROKEN) {
		r = 0; /* as the problems say */
	} else if (r == TREE_PARSED) {
		/* A listener takes over what the file says, wherever it says it. */
		r = read_group(&reader, config_root_setting(&tree), file_keys,
			       ARRAY_SIZE(file_keys), config);
		listeners = config_lookup(&tree, "listeners");
		greeting = config_lookup(&tree, "greeting");
		if (greeting)
			reader.greeting = reading_place(&reader.reading, greeting);
		if (r == 0)
			r = listeners ? read_listeners(&reader, listeners)
				      : read_builtin_listeners(&reader);
	}
	buffer_done(&reader.claims);
	config_destroy(&tree);
	return r;
}
