/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The line that a person types in a terminal, edited with GNU Readline and driven by poll(2). What
 * others write is printed between line_hide() and line_show(), and leaves it as it was.
 *
 * A line that was typed is taken off the screen again: it comes back from the server.
 * Readline exists once in a process, so there is one struct line at a time. Signals are the
 * caller's: Readline catches none.
 */

#include <stdbool.h>
#include <stddef.h>

/* The words that the one at the cursor could become; zero-initialised, it is empty. */
struct line_matches {
	char **words; /* owned, as are the strings */
	size_t n, size;
	bool ends_with_colon; /* a single match is followed by ": " and not by " " */
};

/* Adds a copy of word. When memory runs out there are fewer matches, which does no harm. */
void line_match(struct line_matches *matches, const char *word);

/*
 * Adds what word, the last of line's first before bytes and more, could become; line ends with
 * word.
 */
typedef void line_complete(void *data, const char *line, size_t before, const char *word,
			   struct line_matches *matches);

enum { LINE_HISTORY = 1000 }; /* lines that are remembered */

struct line {
	line_complete *complete;
	void *data;		     /* for complete() */
	struct line_matches matches; /* while a word is being completed */
	size_t next_match;
	char *history; /* file of what was typed; NULL: none; owned */
	char *typed;   /* the last line, not yet taken; owned */
	bool hidden, ended;
	bool dumb; /* the terminal knows no escape sequences */
};

/*
 * Puts the terminal into Readline's hands and shows prompt. line has complete and data set and is
 * zero otherwise.
 */
void line_open(struct line *line, const char *prompt);

/* Takes what is being typed off the screen and gives the terminal back. NULL-safe, twice too. */
void line_close(struct line *line);

/*
 * Reads when standard input is readable. Returns true when a line is finished: *ret_typed is what
 * was typed, for the caller to free(), or NULL at the end of input. What was pasted may hold
 * newlines.
 */
bool line_read(struct line *line, char **ret_typed);

void line_hide(struct line *line);
void line_show(struct line *line);

/* Shows another prompt, at once or with the next line_show(). */
void line_prompt(struct line *line, const char *prompt);

void line_clear(struct line *line);   /* ^C: what is being typed is dropped */
void line_resize(struct line *line);  /* the window has another size */
void line_suspend(struct line *line); /* stops the process until it is continued */
