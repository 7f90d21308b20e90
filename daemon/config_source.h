/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The text of a configuration: a file with all that it includes put in its place, ready for
 * libconfig, and of every line the file and line it came from.
 *
 * Included files are put in here and not by libconfig, whose relative names start at one fixed
 * directory instead of at the including file's. On the way the text is put right where libconfig
 * 1.5 would take it for something else without a word, or is not up to it: it cuts integers to 32
 * bits, drops what follows a comment that is not closed, stumbles over a last line without its end
 * and leaks a string that stands where none can.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"
#include "config_problem.h"

/* Owns what it holds. Zero-initialised it is empty. */
struct source {
	struct buffer text;    /* NUL-terminated once it is whole */
	struct buffer parts;   /* struct source_part, by ascending first line */
	struct buffer names;   /* char *: owned names of files */
	struct buffer strings; /* unsigned: the line where each string value begins, in order */
	struct buffer levels;  /* struct source_level, one for each bracket that is open */
	unsigned n_lines;      /* ends of lines in text */
	unsigned n_files;      /* that were read */
	bool after_string; /* the last token was a string, so that another one goes on with it */
	bool string_fits;  /* the next token may be a string */
	bool broken;	   /* text makes no sense to libconfig, as a problem says */
};

enum {
	SOURCE_SIZE_MAX = 4 * 1024 * 1024, /* bytes, included files and all */
	SOURCE_FILES_MAX = 1000,
	SOURCE_DEPTH_MAX = 10,	/* files that include each other */
	SOURCE_LEVELS_MAX = 32, /* brackets that are open at a time */
	SOURCE_KEYS_MAX = 1000, /* in one group: libconfig compares each with each */
};

void source_done(struct source *source);

/*
 * Reads a file and what it includes. What is wrong goes to problems. Returns 0, also when
 * something was wrong with what is in the file; -ENOENT, -EACCES, -EISDIR, … when the file cannot
 * be read, which is then in problems; or -ENOMEM.
 */
int source_read_file(struct source *source, const char *file, struct config_problems *problems);

/*
 * Takes text from memory. name stands for the file in messages, NULL for what is built in; what
 * it includes lies in the working directory. Returns 0 or -ENOMEM.
 */
int source_read_text(struct source *source, const char *name, const char *text, size_t len,
		     struct config_problems *problems);

/* Returns where a line of the text, from 1, came from. */
struct place source_place(const struct source *source, unsigned line);
