/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_tree.h"

/*
 * All that is particular to libconfig's parser, of version 1.5 above all. It stops at the first
 * error of syntax, and does not survive being out of memory.
 */

#include <errno.h>
#include <string.h>

#include "util.h"

/* Says what libconfig found wrong, and what would be right. */
static int say_syntax(const struct source *source, const config_t *tree,
		      struct config_problems *problems)
{
	static const struct {
		const char *error, *help;
	} helps[] = {
		{"duplicate setting name", "a key stands twice in one group; remove one of them"},
		{"mismatched element type in array",
		 "the elements of an array [ ] have one type, such as all strings; write them so"},
	};
	const char *error = config_error_text(tree);
	/* What is missing at the end is missing on the last line, not on the one behind it. */
	unsigned line = MIN((unsigned)config_error_line(tree), MAX(source->n_lines, 1U));
	const char *help = "look here and above for a missing quotation mark, bracket, \"=\" or "
			   "comma between two "
			   "elements, and for a comma behind the last element";

	for (size_t i = 0; error && i < ARRAY_SIZE(helps); i++)
		if (strcmp(error, helps[i].error) == 0)
			help = helps[i].help;
	return config_problem(problems, source_place(source, line), "%s: %s",
			      error ? error : "syntax error", help);
}

/*
 * libconfig notes the line of a string in a list only once it has seen what follows, which may be
 * on another line. Strings come in the tree in the order of the text, so each gets its own.
 */
/* NOLINTNEXTLINE(misc-no-recursion): no deeper than SOURCE_LEVELS_MAX */
static void correct_lines(config_setting_t *setting, const unsigned **lines, size_t *n_lines)
{
	if (setting->type == CONFIG_TYPE_STRING && *n_lines > 0) {
		if (!setting->name)
			setting->line = **lines;
		++*lines;
		--*n_lines;
	}
	if (config_setting_is_aggregate(setting))
		for (int i = 0; i < config_setting_length(setting); i++)
			correct_lines(config_setting_get_elem(setting, (unsigned)i), lines,
				      n_lines);
}

int tree_parse(const struct source *source, config_t *tree, struct config_problems *problems)
{
	const unsigned *lines = (const unsigned *)source->strings.data;
	size_t n_lines = source->strings.len / sizeof(*lines);
	int r;

	if (source->broken)
		return TREE_BROKEN;
	if (!config_read_string(tree, (const char *)source->text.data)) {
		r = say_syntax(source, tree, problems);
		return r < 0 ? r : TREE_BROKEN;
	}
	correct_lines(config_root_setting(tree), &lines, &n_lines);
	return TREE_PARSED;
}
