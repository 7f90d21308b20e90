/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rows and columns on standard output: aligned and under headings for a person on a terminal, with
 * one tab between columns and no headings for cut(1) and its like in a pipe. What stands in a cell
 * is made harmless, tabs too, wherever it goes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum { TABLE_COLUMNS_MAX = 16 };

struct table_column {
	const char *heading;
	bool right; /* aligned to the right, as numbers are */
};

/* The caller sets columns, n_columns and terminal; the rest is zero at first. */
struct table {
	const struct table_column *columns; /* borrowed */
	size_t n_columns;		    /* at most TABLE_COLUMNS_MAX */
	bool terminal;

	struct buffer text; /* of all cells, row by row */
	struct buffer ends; /* a size_t for each cell: where its text ends */
};

/*
 * Adds the next cell; a row is as many cells as there are columns. NULL is an empty one. Return 0
 * or -ENOMEM.
 */
int table_add(struct table *table, const char *text);
int table_add_number(struct table *table, uint64_t number);

/* Prints the rows, without the headings when there is none. */
void table_print(const struct table *table);

void table_done(struct table *table);

/* An empty table for what standard output is now; columns are borrowed. */
struct table table_of(const struct table_column *columns, size_t n_columns);
