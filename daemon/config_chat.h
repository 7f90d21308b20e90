/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The group "chat" of a configuration file, which is about all chat listeners together. */

#include "config_keys.h"

/* Reads the group, and the rooms when it names any; a reader of a key, into a struct chat_config.
 */
int config_read_chat(struct reader *reader, const struct key *key, const config_setting_t *setting,
		     void *target);

/* Adds the rooms that a setting "rooms" names. Returns 0 or -ENOMEM. */
int config_read_rooms(struct reader *reader, const config_setting_t *setting);
