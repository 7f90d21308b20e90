/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

/*
 * A name is looked at character by character, in the form NFC, with what has to be remembered of
 * the characters before. The same look refuses a name that somebody chose, and finds what must be
 * replaced in one that the system has. All tables of Unicode are libunistring's.
 *
 * It does not tell names that merely look alike: that is for the daemon, which knows the others.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "util.h"

/*
 * No more bytes can be a legal name: no character comes from more than 4 code points, none of which
 * has more than 4 bytes.
 */
enum { BYTES_MAX = NAME_CHARACTERS_MAX * 4 * 4 };

static const char too_long[] = "a name has at most 32 characters";

/* Ways of writing that mix scripts. */
enum { JAPANESE = 1 << 0, KOREAN = 1 << 1, BOPOMOFO = 1 << 2, ALL_WAYS = (1 << 3) - 1 };

/* What is remembered of the characters before one. Zero-initialised at the beginning. */
struct look {
	bool letter_before;	   /* or marks on one */
	bool letters;		   /* there was one that belongs to a script */
	const uc_script_t *script; /* which all of them have; NULL: they have several */
	unsigned ways;		   /* in which those scripts go together */
};

/* Returns the ways of writing that this script is part of. */
static unsigned ways_of(const uc_script_t *script)
{
	static const struct {
		const char *name;
		unsigned ways;
	} scripts[] = {
		{"Han", ALL_WAYS},  {"Hiragana", JAPANESE}, {"Katakana", JAPANESE},
		{"Hangul", KOREAN}, {"Bopomofo", BOPOMOFO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		if (strcmp(scripts[i].name, script->name) == 0)
			return scripts[i].ways;
	return 0;
}

/* Returns whether a letter of this script, NULL for none, may stand with the letters before. */
static bool look_at_script(struct look *look, const uc_script_t *script)
{
	const uc_script_t *same;
	unsigned ways;

	if (!script || strcmp(script->name, "Common") == 0 ||
	    strcmp(script->name, "Inherited") == 0)
		return true;
	same = !look->letters || look->script == script ? script : NULL;
	ways = ways_of(script) & (look->letters ? look->ways : ALL_WAYS);
	if (!same && !ways)
		return false;
	look->letters = true;
	look->script = same;
	look->ways = ways;
	return true;
}

/* Returns NULL when c may be the next character, else why not; look is then as it was. */
static const char *look_at(struct look *look, ucs4_t c)
{
	bool letter = uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L);
	bool mark = uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Mn | UC_CATEGORY_MASK_Mc);

	/* Letters and marks that nobody sees would make two names of one. */
	if (uc_is_property_default_ignorable_code_point(c))
		return "a name has no invisible characters";
	if (mark && !look->letter_before)
		return "a mark of a name stands on a letter";
	if (!letter && !mark && !uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Nd) &&
	    c != '-' && c != '_' && c != '.')
		return "a name has only letters, digits, \"-\", \"_\" and \".\"";
	if (letter && !look_at_script(look, uc_script(c)))
		return "the letters of a name are of one script";
	look->letter_before = letter || mark;
	return NULL;
}

/* Takes over the len bytes of text and puts a NUL behind them; NULL stays NULL. */
static uint8_t *end_text(uint8_t *text, size_t len)
{
	uint8_t *ended = text ? realloc(text, len + 1) : NULL;

	if (!ended) {
		free(text);
		return NULL;
	}
	ended[len] = '\0';
	return ended;
}

/* Returns text, which is UTF-8, in NFC: *ret_len bytes and a NUL. NULL when out of memory. */
static uint8_t *normalize(const uint8_t *text, size_t len, size_t *ret_len)
{
	uint8_t *normal = u8_normalize(UNINORM_NFC, text, len, NULL, ret_len);

	return end_text(normal, *ret_len);
}

/* Returns NULL when the len bytes of text, which is in NFC, are a legal name, else why not. */
static const char *problem_of(const uint8_t *text, size_t len)
{
	struct look look = {0};
	size_t characters = 0;
	ucs4_t c;

	for (size_t i = 0; i < len; characters++) {
		const char *problem;

		i += (size_t)u8_mbtouc_unsafe(&c, text + i, len - i);
		if (characters == NAME_CHARACTERS_MAX)
			return too_long;
		problem = look_at(&look, c);
		if (problem)
			return problem;
	}
	return characters == 0 ? "a name has at least one character" : NULL;
}

int name_make(const char *text, size_t len, char **ret_name, const char **ret_reason)
{
	CLEANUP(freep) uint8_t *name = NULL;
	const char *problem = NULL;

	if (len > BYTES_MAX)
		problem = too_long;
	else if (u8_check((const uint8_t *)text, len))
		problem = "a name is UTF-8";
	if (!problem) {
		name = normalize((const uint8_t *)text, len, &len);
		if (!name)
			return -ENOMEM;
		problem = problem_of(name, len);
	}
	if (problem) {
		*ret_reason = problem;
		return -EINVAL;
	}
	*ret_name = (char *)STEAL(name);
	return 0;
}

/* Names of ASCII are many, and looked up with each message. NULL when out of memory. */
static char *fold_ascii(const char *name, size_t len)
{
	char *folded = malloc(len + 1);

	if (!folded)
		return NULL;
	for (size_t i = 0; i <= len; i++)
		folded[i] =
			(char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	return folded;
}

char *name_fold(const char *name)
{
	size_t len = strlen(name), n = 0, ascii = 0;
	uint8_t *folded;

	while (ascii < len && (unsigned char)name[ascii] < 0x80)
		ascii++;
	if (ascii == len)
		return fold_ascii(name, len);
	/* The system may have names that are not UTF-8: they are the same as themselves only. */
	if (u8_check((const uint8_t *)name, len))
		return strdup(name);
	folded = u8_casefold((const uint8_t *)name, len, NULL, UNINORM_NFKC, NULL, &n);
	return (char *)end_text(folded, n);
}

char *name_from_user(const char *user)
{
	CLEANUP(freep) uint8_t *copy = (uint8_t *)strdup(*user ? user : "_"), *text = NULL;
	struct look look = {0};
	size_t len, used = 0, characters = 0;
	const uint8_t *wrong;
	ucs4_t c;

	if (!copy)
		return NULL;
	len = strlen((char *)copy);
	for (size_t i = 0; (wrong = u8_check(copy + i, len - i)); i++) {
		i = (size_t)(wrong - copy);
		copy[i] = '_';
	}
	text = normalize(copy, len, &len);
	if (!text)
		return NULL;
	/* "_" is no longer than what it replaces. */
	for (size_t i = 0; i < len && characters < NAME_CHARACTERS_MAX; characters++) {
		size_t n = (size_t)u8_mbtouc_unsafe(&c, text + i, len - i);

		if (look_at(&look, c)) {
			look.letter_before = false;
			text[used++] = '_';
		} else {
			memmove(text + used, text + i, n);
			used += n;
		}
		i += n;
	}
	text[used] = '\0';
	return (char *)STEAL(text);
}
