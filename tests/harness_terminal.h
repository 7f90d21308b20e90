/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The real client under a terminal: a pty, and a small model of what an xterm would show. The
 * program dies with the test that started it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bytes.h"

enum { TERMINAL_ROWS = 24, TERMINAL_COLUMNS = 80, TERMINAL_CELL = 16 };

struct terminal {
	int fd; /* the pty's master; owned */
	pid_t pid;
	int rows, columns;
	int row, column; /* of the cursor */
	bool wraps;	 /* the last column was written: the next character goes to the next row */
	size_t scrolled; /* rows that went out at the top */
	size_t bells;
	char cells[TERMINAL_ROWS][TERMINAL_COLUMNS][TERMINAL_CELL]; /* UTF-8 of each */
	struct buffer raw;					    /* all that came */
	size_t drawn;	     /* bytes of raw that are on the screen */
	struct buffer above; /* the rows that went out at the top, a line each */
};

/* Starts the client with these arguments and further "NAME=VALUE"s, NULL at the end of both. */
void terminal_start(struct terminal *terminal, const char *const *environment,
		    const char *const *arguments);

/* Types text. */
void terminal_type(struct terminal *terminal, const char *text);

/* Gives the window another size, of at most the enum's. */
void terminal_resize(struct terminal *terminal, int rows, int columns);

/* The text of a row without the blanks at its end; valid until the next call. */
const char *terminal_row(const struct terminal *terminal, int row);

/* Waits until some row on the screen, or above it, has text in it. */
void terminal_wait(struct terminal *terminal, const char *text);

/* How many rows on the screen and above it have text in them. */
size_t terminal_count(struct terminal *terminal, const char *text);

/* Waits until the cursor's row is text, and the cursor stands behind its first column columns. */
void terminal_wait_cursor(struct terminal *terminal, const char *text, int column);

/* Waits for the program's end; returns its exit status, or 128 and the signal. */
int terminal_wait_end(struct terminal *terminal);

void terminal_done(struct terminal *terminal);
