/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

char *config_said(const struct config_problems *problems)
{
	return strndup(problems->text.len > 0 ? (const char *)problems->text.data : "",
		       problems->text.len);
}

struct config *config_right(const char *text)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config = NULL;
	int r = config_load_text("f", text, strlen(text), &config, &problems);
	CLEANUP(freep) char *said = config_said(&problems);

	ck_assert_msg(r == 0, "%s\n%s", text, said);
	ck_assert_uint_eq(problems.n, 0);
	return config;
}

void config_wrong(const char *text, size_t len, const char *expected)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	struct config *config = NULL;
	CLEANUP(freep) char *said = NULL;

	ck_assert_int_eq(config_load_text("f", text, len, &config, &problems), -EINVAL);
	ck_assert_ptr_null(config);
	said = config_said(&problems);
	ck_assert_str_eq(said, expected);
}
