/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transform.h"
#include "util.h"

/* Reads a key of a group, or says that there is no such key. */
static int read_key(struct reader *reader, const config_setting_t *setting, const struct key *keys,
		    size_t n_keys, void *object)
{
	const char *names[KEYS_MAX];

	for (size_t i = 0; i < n_keys; i++) {
		if (strcmp(keys[i].name, setting->name) == 0)
			return keys[i].read(reader, &keys[i], setting,
					    (char *)object + keys[i].offset);
		names[i] = keys[i].name;
	}
	return config_problem_name(reader->reading.problems,
				   reading_place(&reader->reading, setting), "the key",
				   setting->name, names, n_keys);
}

int keys_read(struct reader *reader, const struct key *of_group, const config_setting_t *setting,
	      const struct key *keys, size_t n_keys, void *object)
{
	int r = 0;

	if (setting->type != CONFIG_TYPE_GROUP)
		return value_wrong_type(&reader->reading, setting, "a group { }",
					of_group->example);
	for (int i = 0; i < config_setting_length(setting) && r == 0; i++)
		r = read_key(reader, config_setting_get_elem(setting, (unsigned)i), keys, n_keys,
			     object);
	return r;
}

int key_number(struct reader *reader, const struct key *key, const config_setting_t *setting,
	       void *target)
{
	return value_number(&reader->reading, setting, key->min, key->max, key->example, target);
}

int key_unsigned(struct reader *reader, const struct key *key, const config_setting_t *setting,
		 void *target)
{
	uint64_t number = *(unsigned *)target;
	int r;

	r = value_number(&reader->reading, setting, key->min, key->max, key->example, &number);
	*(unsigned *)target = (unsigned)number;
	return r;
}

int key_size(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target)
{
	return value_size(&reader->reading, setting, key->min, key->max, key->example, target);
}

int key_time(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target)
{
	return value_time(&reader->reading, setting, key->example, target);
}

int key_boolean(struct reader *reader, const struct key *key, const config_setting_t *setting,
		void *target)
{
	return value_boolean(&reader->reading, setting, key->example, target);
}

int key_text(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target)
{
	const char *text = NULL;
	char *copy;
	int r;

	r = value_utf8(&reader->reading, setting, key->example, &text);
	if (r < 0 || !text)
		return r;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*(char **)target);
	*(char **)target = copy;
	return 0;
}

int key_transforms(struct reader *reader, const struct key *key, const config_setting_t *setting,
		   void *target)
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

int key_at_another_time(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target)
{
	(void)reader;
	(void)key;
	(void)setting;
	(void)target;
	return 0;
}
