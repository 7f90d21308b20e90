/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names of people and rooms: which are legal, and which are the same.
 */

#include <stddef.h>

enum { NAME_CHARACTERS_MAX = 32 }; /* code points after NFC */

/*
 * Makes a name of text: brought to NFC (UAX #15); 1 to 32 characters that are letters, digits,
 * marks on a letter, "-", "_" and "."; the letters of one script (UAX #24, Common and Inherited
 * aside; Han goes with Hiragana and Katakana, Hangul or Bopomofo, as the single-script rule of
 * UTS #39 has it). Returns 0 with a new *ret_name; -EINVAL with *ret_reason, static text for a
 * person; or -ENOMEM.
 */
int name_make(const char *text, size_t len, char **ret_name, const char **ret_reason);

/*
 * What a name is compared by, without regard to case: full case folding, NFKC. Returns a new
 * string, or NULL when out of memory.
 */
char *name_fold(const char *name);

/*
 * Makes a legal name of a user name of the system, whatever that holds: what is not legal becomes
 * "_", what is too long is cut. Returns a new string, or NULL when out of memory.
 */
char *name_from_user(const char *user);
