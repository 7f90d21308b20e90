/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Groups of a configuration file. What a group may hold is a table of keys, each with the function
 * that reads its value, where the value goes and between what limits.
 *
 * All of these return 0 or -ENOMEM. What is wrong goes to the problems, and reading goes on.
 */

#include <libconfig.h>
#include <stddef.h>
#include <stdint.h>

#include "config_value.h"

/* One file being read. */
struct reader {
	struct reading reading;
	struct config *config;
	struct place greeting, max_message; /* the file's, which listeners inherit */
	struct buffer claims; /* struct claim, one for each address; their texts are config's */
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

/* Fills object with what setting, which should be a group, holds. */
int keys_read(struct reader *reader, const struct key *of_group, const config_setting_t *setting,
	      const struct key *keys, size_t n_keys, void *object);

/* Readers of values, for tables. The type of *target stands behind each. */
int key_number(struct reader *reader, const struct key *key, const config_setting_t *setting,
	       void *target); /* uint64_t */
int key_unsigned(struct reader *reader, const struct key *key, const config_setting_t *setting,
		 void *target); /* unsigned */
int key_size(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target); /* uint64_t, bytes */
int key_time(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target); /* uint64_t, milliseconds */
int key_boolean(struct reader *reader, const struct key *key, const config_setting_t *setting,
		void *target); /* bool */
int key_text(struct reader *reader, const struct key *key, const config_setting_t *setting,
	     void *target); /* char *, UTF-8, owned */
int key_transforms(struct reader *reader, const struct key *key, const config_setting_t *setting,
		   void *target); /* struct pipeline */

/* Reads nothing: a key that was read before the others of its group, or will be after them. */
int key_at_another_time(struct reader *reader, const struct key *key,
			const config_setting_t *setting, void *target);
