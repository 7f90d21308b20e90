/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_problem.h"

/*
 * Problems are text from the start: nobody asks for anything but to read them. A configuration may
 * hold any bytes, so each line goes through text_append_safe() as a whole.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suggest.h"
#include "text.h"

void config_problems_done(struct config_problems *problems)
{
	buffer_done(&problems->text);
	problems->n = 0;
}

static int append_place(struct buffer *buffer, struct place place)
{
	const char *file = place.file ? place.file : "built-in configuration";
	char line[sizeof(":4294967295")];
	int r;

	r = text_append_safe(buffer, file, strlen(file));
	if (r < 0)
		return r;
	if (place.line > 0) {
		(void)snprintf(line, sizeof(line), ":%u", place.line); /* always fits */
		r = buffer_append(buffer, line, strlen(line));
		if (r < 0)
			return r;
	}
	return buffer_append(buffer, ": ", 2);
}

int config_problem(struct config_problems *problems, struct place place, const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	size_t before = problems->text.len;
	va_list arguments;
	int r;

	if (problems->n > PROBLEMS_MAX) {
		problems->n++;
		return 0;
	}
	va_start(arguments, format);
	r = vasprintf(&text, problems->n < PROBLEMS_MAX ? format : "and more is wrong", arguments);
	va_end(arguments);
	if (r < 0) {
		text = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	r = append_place(&problems->text, place);
	if (r == 0)
		r = text_append_safe(&problems->text, text, strlen(text));
	if (r == 0)
		r = buffer_append(&problems->text, "\n", 1);
	if (r < 0)
		problems->text.len = before;
	else
		problems->n++;
	return r;
}

/* Returns the index of that of names which is so near to name that it was probably meant, or n. */
static size_t nearest(const char *name, const char *const *names, size_t n)
{
	size_t best = n, len = strlen(name), least = MAX((len + 1) / 3, (size_t)1) + 1;

	for (size_t i = 0; i < n; i++) {
		size_t d = suggest_distance(name, names[i]);

		if (d < least) {
			least = d;
			best = i;
		}
	}
	return best;
}

int config_problem_name(struct config_problems *problems, struct place place, const char *subject,
			const char *name, const char *const *names, size_t n)
{
	size_t best = nearest(name, names, n);
	CLEANUP(buffer_done) struct buffer all = {0};
	int r = 0;

	if (best < n)
		return config_problem(problems, place,
				      "%s \"%.64s\" is unknown; did you mean \"%s\"?", subject,
				      name, names[best]);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = i > 0 ? buffer_append(&all, ", ", 2) : 0;
		if (r == 0)
			r = buffer_append(&all, names[i], strlen(names[i]));
	}
	if (r == 0)
		r = buffer_append(&all, "", 1);
	if (r < 0)
		return r;
	return config_problem(problems, place, "%s \"%.64s\" is unknown; known are %s", subject,
			      name, (const char *)all.data);
}
