/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_chat.h"

/*
 * The rooms come last, whatever the order in the file: the limits that they must keep to stand in
 * the same group.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "util.h"

#define ROOMS_EXAMPLE "( { name = \"lobby\"; } )"

/* ---- Users and groups ---- */

/* Adds the name of a user, or "@" and that of a group, to a list that has room for it. */
static int read_account(struct reader *reader, const struct key *key,
			const config_setting_t *setting, char **names, size_t *n)
{
	const char *text = NULL;
	int r;

	r = value_text(&reader->reading, setting, key->example, &text);
	if (r < 0 || !text)
		return r;
	if (!*text || strcmp(text, "@") == 0)
		return config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"%s holds \"%s\", which names nobody; write a user's name, or \"@GROUP\"",
			key->name, text);
	names[*n] = strdup(text);
	if (!names[*n])
		return -ENOMEM;
	++*n;
	return 0;
}

static int read_accounts(struct reader *reader, const struct key *key,
			 const config_setting_t *setting, char ***ret_names, size_t *ret_n)
{
	int length = config_setting_length(setting), r = 0;
	char **names;
	size_t n = 0;

	if (setting->type != CONFIG_TYPE_ARRAY && setting->type != CONFIG_TYPE_LIST)
		return value_wrong_type(&reader->reading, setting,
					"an array of names of users and \"@GROUP\"s", key->example);
	if (length > CONFIG_ACCOUNTS_MAX)
		return config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"%s has %d names; it may have up to %d, so write a \"@GROUP\"", key->name,
			length, CONFIG_ACCOUNTS_MAX);
	names = calloc((size_t)length + 1, sizeof(*names)); /* never of 0 bytes */
	if (!names)
		return -ENOMEM;
	for (int i = 0; i < length && r == 0; i++)
		r = read_account(reader, key, config_setting_get_elem(setting, (unsigned)i), names,
				 &n);
	for (size_t i = 0; i < *ret_n; i++)
		free((*ret_names)[i]);
	free(*ret_names);
	*ret_names = names;
	*ret_n = n;
	return r;
}

static int read_admins(struct reader *reader, const struct key *key,
		       const config_setting_t *setting, void *target)
{
	struct chat_config *chat = target;

	return read_accounts(reader, key, setting, &chat->admins, &chat->n_admins);
}

static int read_members(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	struct room_config *room = target;

	return read_accounts(reader, key, setting, &room->members, &room->n_members);
}

/* ---- Rooms ---- */

/* What is remembered of the names that were there before. */
struct taken {
	char *folded; /* owned */
	struct place place;
};

static void forget_taken(struct buffer *buffer)
{
	struct taken *taken = (struct taken *)buffer->data;

	for (size_t i = 0; i < buffer->len / sizeof(*taken); i++)
		free(taken[i].folded);
	buffer_done(buffer);
}

static int read_topic(struct reader *reader, const struct key *key, const config_setting_t *setting,
		      void *target)
{
	const struct chat_config *chat = &reader->config->chat;
	const char *topic;
	int r;

	r = key_text(reader, key, setting, target);
	topic = *(char **)target;
	if (r < 0 || !topic || strlen(topic) <= chat->max_topic)
		return r;
	return config_problem(reader->reading.problems, reading_place(&reader->reading, setting),
			      "topic has %zu bytes, more than chat.max_topic, %" PRIu64
			      "; shorten it, or raise chat.max_topic",
			      strlen(topic), chat->max_topic);
}

static const struct key room_keys[] = {
	{.name = "name", .read = key_at_another_time},
	{"topic", read_topic, offsetof(struct room_config, topic), .example = "\"all and sundry\""},
	{"transforms", key_transforms, offsetof(struct room_config, pipeline),
	 .example = "[ \"upper\" ]"},
	{"durable", key_boolean, offsetof(struct room_config, durable), .example = "false"},
	{"members", read_members, 0, .example = "[ \"anna\", \"@staff\" ]"},
};
_Static_assert(ARRAY_SIZE(room_keys) <= KEYS_MAX, "keys_read() has no room for so many");

/* Makes a room's name of its setting; *ret_name stays NULL when it is wrong. */
static int read_room_name(struct reader *reader, const config_setting_t *group,
			  const config_setting_t *setting, char **ret_name)
{
	const char *text = NULL, *reason = NULL;
	int r;

	if (!setting)
		return config_problem(reader->reading.problems,
				      reading_place(&reader->reading, group),
				      "a room has no name; write, say, name = \"lobby\";");
	r = value_text(&reader->reading, setting, "\"lobby\"", &text);
	if (r < 0 || !text)
		return r;
	r = name_make(text, strlen(text), ret_name, &reason);
	return r == -EINVAL
		       ? config_problem(reader->reading.problems,
					reading_place(&reader->reading, setting),
					"the room's name \"%.200s\" will not do: %s", text, reason)
		       : r;
}

/* Notes a name, and says when it is there already. */
static int take_name(struct reader *reader, const char *name, struct place place,
		     struct buffer *taken)
{
	const struct taken *others = (const struct taken *)taken->data;
	struct taken mine = {.folded = name_fold(name), .place = place};
	int r;

	if (!mine.folded)
		return -ENOMEM;
	for (size_t i = 0; i < taken->len / sizeof(*others); i++)
		if (strcmp(others[i].folded, mine.folded) == 0) {
			free(mine.folded);
			return config_problem(
				reader->reading.problems, place,
				"a room of the name \"%s\", in whatever letter case, is already at "
				"%s:%u; give each a name of its own",
				name, others[i].place.file ? others[i].place.file : "built-in",
				others[i].place.line);
		}
	r = buffer_append(taken, &mine, sizeof(mine));
	if (r < 0)
		free(mine.folded);
	return r;
}

static int read_room(struct reader *reader, const config_setting_t *group, struct buffer *taken)
{
	const config_setting_t *setting;
	CLEANUP(freep) char *name = NULL;
	struct room_config *room;
	int r;

	if (group->type != CONFIG_TYPE_GROUP)
		return value_wrong_type(&reader->reading, group, "a list of groups", ROOMS_EXAMPLE);
	setting = config_setting_get_member(group, "name");
	r = read_room_name(reader, group, setting, &name);
	if (r == 0 && name)
		r = take_name(reader, name, reading_place(&reader->reading, setting), taken);
	if (r == 0) /* without a name it is good for finding what else is wrong */
		r = config_add_room(reader->config, name ? name : "", &room);
	if (r == 0)
		r = keys_read(reader, NULL, group, room_keys, ARRAY_SIZE(room_keys), room);
	return r;
}

int config_read_rooms(struct reader *reader, const config_setting_t *setting)
{
	CLEANUP(forget_taken) struct buffer taken = {0};
	const uint64_t max = MIN(reader->config->chat.max_rooms, (uint64_t)CONFIG_ROOMS_MAX);
	int n = config_setting_length(setting), r = 0;

	if (setting->type != CONFIG_TYPE_LIST)
		return value_wrong_type(&reader->reading, setting, "a list of groups",
					ROOMS_EXAMPLE);
	if ((uint64_t)n > max)
		return config_problem(
			reader->reading.problems, reading_place(&reader->reading, setting),
			"rooms has %d of them; it may have up to %" PRIu64 "%s", n, max,
			max < CONFIG_ROOMS_MAX ? ", which is chat.max_rooms" : "");
	for (int i = 0; i < n && r == 0; i++)
		r = read_room(reader, config_setting_get_elem(setting, (unsigned)i), &taken);
	return r;
}

/* ---- The group ---- */

#define CHAT(member) offsetof(struct chat_config, member)

static int read_history(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	static const struct key keys[] = {
		{"max_messages", key_number, CHAT(max_messages), 0, CONFIG_HISTORY_MAX, "100000"},
		{"max_age", key_time, CHAT(max_age), .example = "\"90d\""},
	};

	return keys_read(reader, key, setting, keys, ARRAY_SIZE(keys), target);
}

static int read_rate(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	static const struct key keys[] = {
		{"messages", key_number, CHAT(rate), 0, CONFIG_RATE_MAX, "5"},
		{"burst", key_number, CHAT(burst), 0, CONFIG_RATE_MAX, "20"},
	};
	struct chat_config *chat = target;
	int r;

	r = keys_read(reader, key, setting, keys, ARRAY_SIZE(keys), target);
	if (r < 0)
		return r;
	if (chat->rate == 0 && chat->burst > 0)
		return config_problem(
			reader->reading.problems,
			reading_place(&reader->reading,
				      config_setting_get_member(setting, "burst")),
			"rate.burst limits nothing without rate.messages; write, say, messages = "
			"5; or remove burst");
	if (chat->burst == 0)
		chat->burst = chat->rate;
	return 0;
}

static const struct key chat_keys[] = {
	{"guests", key_boolean, CHAT(guests), .example = "true"},
	{"create_rooms", key_boolean, CHAT(create_rooms), .example = "true"},
	{"admins", read_admins, 0, .example = "[ \"root\", \"@wheel\" ]"},
	{"history", read_history, 0, .example = "{ max_messages = 100000; }"},
	{"rate", read_rate, 0, .example = "{ messages = 5; }"},
	{"max_rooms", key_number, CHAT(max_rooms), 1, CONFIG_ALL_ROOMS_MAX, "4096"},
	{"max_rooms_per_client", key_number, CHAT(max_rooms_per_client), 1, CONFIG_ALL_ROOMS_MAX,
	 "256"},
	{"max_presence", key_number, CHAT(max_presence), 0, CONFIG_ALL_ROOMS_MAX, "1000"},
	{"max_requests", key_number, CHAT(max_requests), 1, CONFIG_REQUESTS_MAX, "256"},
	{"max_topic", key_size, CHAT(max_topic), CONFIG_TOPIC_MIN, CONFIG_TOPIC_MAX, "\"1K\""},
	{"max_memory", key_size, CHAT(max_memory), 1, CONFIG_MEMORY_MAX, "\"16M\""},
	{.name = "rooms", .read = key_at_another_time},
};
_Static_assert(ARRAY_SIZE(chat_keys) <= KEYS_MAX, "keys_read() has no room for so many");

int config_read_chat(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target)
{
	const config_setting_t *rooms;
	int r;

	r = keys_read(reader, key, setting, chat_keys, ARRAY_SIZE(chat_keys), target);
	if (r < 0 || setting->type != CONFIG_TYPE_GROUP)
		return r;
	rooms = config_setting_get_member(setting, "rooms");
	return rooms ? config_read_rooms(reader, rooms) : 0;
}
