/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A configuration file of any bytes: it is either refused with at least one problem, each a line
 * that is safe to show, or it prints to a text that loads to the same.
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "fuzz.h"
#include "util.h"

static void check_problems(const struct config_problems *problems)
{
	size_t lines = 0;

	for (size_t i = 0; i < problems->text.len; i++) {
		lines += problems->text.data[i] == '\n';
		require(problems->text.data[i] >= ' ' || problems->text.data[i] == '\n' ||
			problems->text.data[i] == '\t');
	}
	require(lines > 0 && lines <= problems->n);
	require(problems->text.data[problems->text.len - 1] == '\n');
}

/* Returns what config prints; *ret_len bytes, malloc()ed. */
static char *print(const struct config *config, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	require(out != NULL);
	require(config_print(config, out) == 0);
	require(fclose(out) == 0);
	return text;
}

static void check_config(const struct config *config)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *first = NULL, *second = NULL;
	struct config *again = NULL;
	size_t first_len, second_len;

	first = print(config, &first_len);
	require(config_load_text("printed", first, first_len, &again, &problems) == 0);
	second = print(again, &second_len);
	require(first_len == second_len && memcmp(first, second, first_len) == 0);
	config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config = NULL;
	int r;

	r = config_load_text("fuzz", (const char *)data, size, &config, &problems);
	if (r == 0) {
		require(problems.n == 0 && config != NULL);
		check_config(config);
	} else {
		require(r == -EINVAL && config == NULL);
		check_problems(&problems);
	}
	config_free(config);
	return 0;
}
