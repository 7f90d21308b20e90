/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uniwidth.h>

#include "text.h"
#include "util.h"

enum { GAP = 2 }; /* blanks between columns, at the least */

static int end_cell(struct table *table)
{
	return buffer_append(&table->ends, &table->text.len, sizeof(table->text.len));
}

int table_add(struct table *table, const char *text)
{
	const size_t start = table->text.len;
	int r = text ? text_append_safe(&table->text, text, strlen(text)) : 0;

	if (r < 0)
		return r;
	/* It leaves tabs alone, but here they would be the end of a column. */
	for (size_t i = start; i < table->text.len; i++)
		if (table->text.data[i] == '\t')
			table->text.data[i] = ' ';
	return end_cell(table);
}

int table_add_number(struct table *table, uint64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	return table_add(table, text);
}

static struct bytes cell_at(const struct table *table, size_t index)
{
	const size_t *ends = (const size_t *)table->ends.data;
	const size_t start = index > 0 ? ends[index - 1] : 0;

	/* Without any text there is no memory to point into. */
	if (ends[index] == start)
		return (struct bytes){0};
	return (struct bytes){table->text.data + start, ends[index] - start};
}

/* How many places of the terminal it takes. */
static size_t width_of(struct bytes text)
{
	const int width = text.len > 0 ? u8_width(text.data, text.len, "UTF-8") : 0;

	return width > 0 ? (size_t)width : 0;
}

static void print_cell(const struct table *table, size_t column, struct bytes text, size_t width)
{
	const size_t own = width_of(text);
	const int padding = own < width ? (int)(width - own) : 0;
	const bool right = table->columns[column].right;
	const bool last = column + 1 == table->n_columns;

	if (right)
		(void)printf("%*s", padding, "");
	if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stdout);
	if (!last)
		(void)printf("%*s", GAP + (right ? 0 : padding), "");
}

static void print_aligned(const struct table *table, size_t n_cells)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = strlen(table->columns[i].heading);
	for (size_t i = 0; i < n_cells; i++)
		widths[i % table->n_columns] =
			MAX(widths[i % table->n_columns], width_of(cell_at(table, i)));

	for (size_t i = 0; i < table->n_columns; i++) {
		const char *heading = table->columns[i].heading;

		print_cell(table, i, (struct bytes){(uint8_t *)heading, strlen(heading)},
			   widths[i]);
	}
	(void)putchar('\n');
	for (size_t i = 0; i < n_cells; i++) {
		const size_t column = i % table->n_columns;

		print_cell(table, column, cell_at(table, i), widths[column]);
		if (column + 1 == table->n_columns)
			(void)putchar('\n');
	}
}

void table_print(const struct table *table)
{
	const size_t n_cells = table->ends.len / sizeof(size_t);

	if (n_cells == 0 || table->n_columns == 0)
		return;
	if (table->terminal) {
		print_aligned(table, n_cells);
		return;
	}
	for (size_t i = 0; i < n_cells; i++) {
		const struct bytes text = cell_at(table, i);

		if (text.len > 0)
			(void)fwrite(text.data, 1, text.len, stdout);
		(void)putchar((i + 1) % table->n_columns == 0 ? '\n' : '\t');
	}
}

void table_done(struct table *table)
{
	buffer_done(&table->text);
	buffer_done(&table->ends);
}

struct table table_of(const struct table_column *columns, size_t n_columns)
{
	return (struct table){
		.columns = columns, .n_columns = n_columns, .terminal = isatty(STDOUT_FILENO)};
}
