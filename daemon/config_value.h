/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Single values of a libconfig file, each checked for its type and its range.
 *
 * All of these return 0, or -ENOMEM; what is wrong with a value goes to the problems, with an
 * example of what would be right, and leaves *ret_… untouched.
 */

#include <libconfig.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config_problem.h"
#include "config_source.h"

/* What the reading of a file's values needs; owns nothing. */
struct reading {
	const struct source *source;
	struct config_problems *problems;
	bool early; /* not all users and groups are known yet: any may exist */
};

struct place reading_place(const struct reading *reading, const config_setting_t *setting);

/* Says that the value should be needed, as in "SETTING = example". */
int value_wrong_type(const struct reading *reading, const config_setting_t *setting,
		     const char *needed, const char *example);

int value_number(const struct reading *reading, const config_setting_t *setting, uint64_t min,
		 uint64_t max, const char *example, uint64_t *ret_number);

int value_boolean(const struct reading *reading, const config_setting_t *setting,
		  const char *example, bool *ret_boolean);

/* A size, in bytes or as text. */
int value_size(const struct reading *reading, const config_setting_t *setting, uint64_t min,
	       uint64_t max, const char *example, uint64_t *ret_bytes);

/* A time, in seconds with or without a fraction or as text. */
int value_time(const struct reading *reading, const config_setting_t *setting, const char *example,
	       uint64_t *ret_milliseconds);

/* Text; it belongs to setting. */
int value_text(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char **ret_text);

/* Text in UTF-8, likewise. */
int value_utf8(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char **ret_text);

/* One of n names. */
int value_name(const struct reading *reading, const config_setting_t *setting, const char *example,
	       const char *const *names, size_t n, size_t *ret_index);

/* Permission bits: octal digits, as a number or as text. */
int value_mode(const struct reading *reading, const config_setting_t *setting, const char *example,
	       mode_t *ret_mode);

/* The name or number of a user or group that exists here, unless it is early; malloc()ed. */
int value_user(const struct reading *reading, const config_setting_t *setting, const char *example,
	       char **ret_user);
int value_group(const struct reading *reading, const config_setting_t *setting, const char *example,
		char **ret_group);
