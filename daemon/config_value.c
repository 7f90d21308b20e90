/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_value.h"

/*
 * Every reader looks at the type first, then at the value. Sizes and times that are text go the
 * way of quantity.h, and come out in its words.
 */

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quantity.h"
#include "text.h"
#include "util.h"

static const uint64_t seconds_max = UINT64_C(365250) * 86400; /* 1000 years, as in quantity.h */

enum { LABEL_MAX = 2 * CONFIG_NAME_MAX + 2 };

struct place reading_place(const struct reading *reading, const config_setting_t *setting)
{
	return source_place(reading->source, setting->line);
}

/* Writes what a person calls a setting: an element of a list goes by the list's name. */
static const char *label(const config_setting_t *setting, char text[static LABEL_MAX])
{
	const config_setting_t *group;

	while (!setting->name && setting->parent)
		setting = setting->parent;
	group = setting->parent;
	if (group && group->name)
		(void)snprintf(text, LABEL_MAX, "%.*s.%.*s", CONFIG_NAME_MAX, group->name,
			       CONFIG_NAME_MAX, setting->name);
	else
		(void)snprintf(text, LABEL_MAX, "%.*s", CONFIG_NAME_MAX,
			       setting->name ? setting->name : "the file");
	return text;
}

static const char *type_name(const config_setting_t *setting)
{
	switch (setting->type) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a boolean";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	default:
		return "nothing";
	}
}

int value_wrong_type(const struct reading *reading, const config_setting_t *setting,
		     const char *needed, const char *example)
{
	const config_setting_t *named = setting;
	char text[LABEL_MAX];

	while (!named->name && named->parent)
		named = named->parent;
	return config_problem(reading->problems, reading_place(reading, setting),
			      "%s needs %s, not %s; write, say, %s = %s;", label(setting, text),
			      needed, type_name(setting), named->name ? named->name : "", example);
}

static bool is_integer(const config_setting_t *setting)
{
	return setting->type == CONFIG_TYPE_INT || setting->type == CONFIG_TYPE_INT64;
}

int value_number(const struct reading *reading, const config_setting_t *setting, uint64_t min,
		 uint64_t max, const char *example, uint64_t *ret_number)
{
	char text[LABEL_MAX];
	long long number;

	if (!is_integer(setting))
		return value_wrong_type(reading, setting, "a whole number", example);
	number = config_setting_get_int64(setting);
	if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
		return config_problem(reading->problems, reading_place(reading, setting),
				      "%s is %lld; it must be from %" PRIu64 " to %" PRIu64,
				      label(setting, text), number, min, max);
	*ret_number = (uint64_t)number;
	return 0;
}

int value_boolean(const struct reading *reading, const config_setting_t *setting,
		  const char *example, bool *ret_boolean)
{
	if (setting->type != CONFIG_TYPE_BOOL)
		return value_wrong_type(reading, setting, "true or false", example);
	*ret_boolean = config_setting_get_bool(setting);
	return 0;
}

int value_size(const struct reading *reading, const config_setting_t *setting, uint64_t min,
	       uint64_t max, const char *example, uint64_t *ret_bytes)
{
	char name[LABEL_MAX], from[QUANTITY_MAX], to[QUANTITY_MAX], number[QUANTITY_MAX];
	const char *text = number;
	uint64_t bytes = 0;
	int r = 0;

	if (is_integer(setting)) {
		long long value = config_setting_get_int64(setting);

		(void)snprintf(number, sizeof(number), "%lld", value); /* always fits */
		bytes = (uint64_t)value;
		if (value < 0)
			r = -ERANGE;
	} else if (setting->type == CONFIG_TYPE_STRING) {
		text = config_setting_get_string(setting);
		r = quantity_parse_size(text, &bytes);
	} else {
		return value_wrong_type(reading, setting, "a size", example);
	}
	if (r == -EINVAL)
		return config_problem(
			reading->problems, reading_place(reading, setting),
			"%s is \"%.64s\", which is no size; write bytes, or a number with "
			"K, M or G, say %s",
			label(setting, name), text, example);
	if (r == -ERANGE || bytes < min || bytes > max) {
		quantity_format_size(from, min);
		quantity_format_size(to, max);
		return config_problem(reading->problems, reading_place(reading, setting),
				      "%s is %.64s; it must be from %s to %s", label(setting, name),
				      text, from, to);
	}
	*ret_bytes = bytes;
	return 0;
}

/* Turns seconds into milliseconds. Returns 0, or -ERANGE. */
static int milliseconds_of(double seconds, uint64_t *ret_milliseconds)
{
	uint64_t milliseconds;

	if (!(seconds >= 0 && seconds <= (double)seconds_max))
		return -ERANGE;
	milliseconds = (uint64_t)(seconds * 1000);
	/* Rounded up, since the shortest time must not become 0, which means never. */
	if (milliseconds == 0 ? seconds > 0 : seconds * 1000 - (double)milliseconds > 1e-6)
		milliseconds++;
	*ret_milliseconds = milliseconds;
	return 0;
}

int value_time(const struct reading *reading, const config_setting_t *setting, const char *example,
	       uint64_t *ret_milliseconds)
{
	char name[LABEL_MAX], number[QUANTITY_MAX];
	const char *text = number;
	uint64_t milliseconds = 0;
	int r = 0;

	if (is_integer(setting)) {
		long long value = config_setting_get_int64(setting);

		(void)snprintf(number, sizeof(number), "%lld", value); /* always fits */
		if (value < 0 || (uint64_t)value > seconds_max)
			r = -ERANGE;
		else
			milliseconds = (uint64_t)value * 1000;
	} else if (setting->type == CONFIG_TYPE_FLOAT) {
		(void)snprintf(number, sizeof(number), "%g", config_setting_get_float(setting));
		r = milliseconds_of(config_setting_get_float(setting), &milliseconds);
	} else if (setting->type == CONFIG_TYPE_STRING) {
		text = config_setting_get_string(setting);
		r = quantity_parse_time(text, &milliseconds);
	} else {
		return value_wrong_type(reading, setting, "a time", example);
	}
	if (r == -EINVAL)
		return config_problem(
			reading->problems, reading_place(reading, setting),
			"%s is \"%.64s\", which is no time; write seconds, or a number with "
			"ms, s, min, h or d, say %s",
			label(setting, name), text, example);
	if (r == -ERANGE)
		return config_problem(
			reading->problems, reading_place(reading, setting),
			"%s is %.64s; it must be from 0 (never) to 365250d (1000 years)",
			label(setting, name), text);
	*ret_milliseconds = milliseconds;
	return 0;
}

int value_text(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char **ret_text)
{
	if (setting->type != CONFIG_TYPE_STRING)
		return value_wrong_type(reading, setting, "a string", example);
	*ret_text = config_setting_get_string(setting);
	return 0;
}

int value_utf8(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char **ret_text)
{
	const char *text = NULL;
	char name[LABEL_MAX];
	size_t valid;
	int r;

	r = value_text(reading, setting, example, &text);
	if (r < 0 || !text)
		return r;
	valid = text_valid_prefix((const uint8_t *)text, strlen(text));
	if (valid < strlen(text))
		return config_problem(reading->problems, reading_place(reading, setting),
				      "%s is not UTF-8 at byte %zu; save the file as UTF-8",
				      label(setting, name), valid);
	*ret_text = text;
	return 0;
}

int value_name(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char *const *names, size_t n, size_t *ret_index)
{
	const char *text = NULL;
	char name[LABEL_MAX];
	int r;

	r = value_text(reading, setting, example, &text);
	if (r < 0 || !text)
		return r;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	return config_problem_name(reading->problems, reading_place(reading, setting),
				   label(setting, name), text, names, n);
}

int value_mode(const struct reading *reading, const config_setting_t *setting, const char *example,
	       mode_t *ret_mode)
{
	char digits[QUANTITY_MAX], name[LABEL_MAX];
	const char *text = digits;
	unsigned long mode = 0;
	char *end;

	/* To libconfig 0660 is a decimal number, but nobody means that here. */
	if (is_integer(setting) && setting->format != CONFIG_FORMAT_HEX)
		(void)snprintf(digits, sizeof(digits), "%lld", config_setting_get_int64(setting));
	else if (setting->type == CONFIG_TYPE_STRING)
		text = config_setting_get_string(setting);
	else
		return value_wrong_type(reading, setting, "permissions in octal", example);

	mode = strtoul(text, &end, 8);
	if (*text < '0' || *text > '7' || *end || mode > 0777)
		return config_problem(
			reading->problems, reading_place(reading, setting),
			"%s is \"%.64s\", which are no permissions; write them in octal, from "
			"\"0000\" to \"0777\", say %s",
			label(setting, name), text, example);
	*ret_mode = (mode_t)mode;
	return 0;
}

static bool user_exists(const char *name)
{
	return getpwnam(name);
}

static bool group_exists(const char *name)
{
	return getgrnam(name);
}

/* A number is taken as it is, but for the one that means "leave it alone" to chown(2). */
static bool is_id(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 10 && !text[digits] &&
	       strtoull(text, NULL, 10) < (uint64_t)(uid_t)-1;
}

/* Whether it can be the name of a user or group, of which it is not known yet whether it is one. */
static bool is_account_name(const char *text)
{
	const size_t len = strlen(text);

	if (len == 0 || strchr("- ", text[0]) || text[len - 1] == ' ' ||
	    strspn(text, "0123456789") == len)
		return false;
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c) || *c == ':' || *c == '/')
			return false;
	return true;
}

static int value_account(const struct reading *reading, const config_setting_t *setting,
			 const char *example, bool exists(const char *), char **ret_name)
{
	char number[QUANTITY_MAX], name[LABEL_MAX], *copy;
	const char *text = number;

	if (is_integer(setting))
		(void)snprintf(number, sizeof(number), "%lld", config_setting_get_int64(setting));
	else if (setting->type == CONFIG_TYPE_STRING)
		text = config_setting_get_string(setting);
	else
		return value_wrong_type(reading, setting, "a name or a number", example);

	if (!is_id(text) && !(reading->early ? is_account_name(text) : exists(text)))
		return config_problem(
			reading->problems, reading_place(reading, setting),
			"%s \"%.64s\" does not exist on this system; create it, or name "
			"another",
			label(setting, name), text);
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*ret_name);
	*ret_name = copy;
	return 0;
}

int value_user(const struct reading *reading, const config_setting_t *setting, const char *example,
	       char **ret_user)
{
	return value_account(reading, setting, example, user_exists, ret_user);
}

int value_group(const struct reading *reading, const config_setting_t *setting, const char *example,
		char **ret_group)
{
	return value_account(reading, setting, example, group_exists, ret_group);
}
