/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_terminal.h"

#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"

/* ---- the model ---- */

static void clear_cells(struct terminal *terminal, int row, int from, int to)
{
	for (int i = from; i < to; i++)
		terminal->cells[row][i][0] = 0;
}

static void line_feed(struct terminal *terminal)
{
	const char *top;

	terminal->wraps = false;
	if (terminal->row + 1 < terminal->rows) {
		terminal->row++;
		return;
	}
	top = terminal_row(terminal, 0);
	ck_assert_int_eq(buffer_append(&terminal->above, top, strlen(top)), 0);
	ck_assert_int_eq(buffer_append(&terminal->above, "\n", 1), 0);
	memmove(terminal->cells[0], terminal->cells[1],
		(TERMINAL_ROWS - 1) * sizeof(terminal->cells[0]));
	clear_cells(terminal, terminal->rows - 1, 0, TERMINAL_COLUMNS);
	terminal->scrolled++;
}

static void put(struct terminal *terminal, const char *character, size_t size)
{
	char *cell;

	if (terminal->wraps) {
		terminal->column = 0;
		line_feed(terminal);
	}
	cell = terminal->cells[terminal->row][terminal->column];
	ck_assert_uint_lt(size, TERMINAL_CELL);
	memcpy(cell, character, size);
	cell[size] = 0;
	if (terminal->column + 1 < terminal->columns)
		terminal->column++;
	else
		terminal->wraps = true;
}

static void erase_in_line(struct terminal *terminal, int mode)
{
	clear_cells(terminal, terminal->row, mode == 0 ? terminal->column : 0,
		    mode == 1 ? terminal->column + 1 : TERMINAL_COLUMNS);
}

static void erase_in_display(struct terminal *terminal, int mode)
{
	erase_in_line(terminal, mode);
	for (int row = 0; row < terminal->rows; row++)
		if (mode == 2 || (mode == 0 && row > terminal->row) ||
		    (mode == 1 && row < terminal->row))
			clear_cells(terminal, row, 0, TERMINAL_COLUMNS);
}

/* Moves the rest of the row by n columns, to the right when n is more than 0. */
static void shift(struct terminal *terminal, int n)
{
	char(*row)[TERMINAL_CELL] = terminal->cells[terminal->row];
	const int at = terminal->column, left = terminal->columns - at, by = MIN(abs(n), left);

	if (n > 0) {
		memmove(row + at + by, row + at, (size_t)(left - by) * sizeof(*row));
		clear_cells(terminal, terminal->row, at, at + by);
	} else {
		memmove(row + at, row + at + by, (size_t)(left - by) * sizeof(*row));
		clear_cells(terminal, terminal->row, terminal->columns - by, terminal->columns);
	}
}

static void control_sequence(struct terminal *terminal, char final, const int number[static 2])
{
	const int n = MAX(number[0], 1);

	if (final != 'm' && final != 'h' && final != 'l')
		terminal->wraps = false;
	switch (final) {
	case 'A':
		terminal->row = MAX(terminal->row - n, 0);
		break;
	case 'B':
		terminal->row = MIN(terminal->row + n, terminal->rows - 1);
		break;
	case 'C':
		terminal->column = MIN(terminal->column + n, terminal->columns - 1);
		break;
	case 'D':
		terminal->column = MAX(terminal->column - n, 0);
		break;
	case 'G':
		terminal->column = MIN(n, terminal->columns) - 1;
		break;
	case 'H':
		terminal->row = MIN(n, terminal->rows) - 1;
		terminal->column = MIN(MAX(number[1], 1), terminal->columns) - 1;
		break;
	case 'J':
		erase_in_display(terminal, number[0]);
		break;
	case 'K':
		erase_in_line(terminal, number[0]);
		break;
	case 'P':
		shift(terminal, -n);
		break;
	case '@':
		shift(terminal, n);
		break;
	case 'm': /* colours are not modelled */
	case 'h':
	case 'l':
		break;
	default:
		ck_abort_msg("an escape sequence that this terminal does not know ends in %c",
			     final);
	}
}

/* Returns how many bytes of an escape sequence were taken, 0 when it is not whole yet. */
static size_t escape(struct terminal *terminal, const char *text, size_t len)
{
	int number[2] = {0};
	size_t i = 2, n = 0;

	if (len < 2)
		return 0;
	if (text[1] != '[')
		return text[1] == '(' ? 3 : 2; /* keypad, character sets */
	if (i < len && text[i] == '?')
		i++;
	for (; i < len && text[i] < '@'; i++) {
		if (text[i] == ';')
			n++;
		else if (n < 2)
			number[n] = 10 * number[n] + text[i] - '0';
	}
	if (i == len)
		return 0;
	control_sequence(terminal, text[i], number);
	return i + 1;
}

static size_t character_size(const char *text)
{
	const unsigned char first = (unsigned char)text[0];

	return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Returns how many bytes were taken, 0 when more are needed. */
static size_t draw_one(struct terminal *terminal, const char *text, size_t len)
{
	switch (text[0]) {
	case '\033':
		return escape(terminal, text, len);
	case '\r':
		terminal->column = 0;
		terminal->wraps = false;
		return 1;
	case '\n':
		line_feed(terminal);
		return 1;
	case '\b':
		terminal->column = MAX(terminal->column - 1, 0);
		terminal->wraps = false;
		return 1;
	case '\a':
		terminal->bells++;
		return 1;
	default:
		ck_assert_msg((unsigned char)text[0] >= ' ' && text[0] != 0x7F,
			      "control character %d on the terminal", text[0]);
		if (len < character_size(text))
			return 0;
		put(terminal, text, character_size(text));
		return character_size(text);
	}
}

static void draw(struct terminal *terminal)
{
	while (terminal->drawn < terminal->raw.len) {
		size_t n = draw_one(terminal, (const char *)terminal->raw.data + terminal->drawn,
				    terminal->raw.len - terminal->drawn);

		if (n == 0)
			break;
		terminal->drawn += n;
	}
}

/* ---- the program ---- */

void terminal_start(struct terminal *terminal, const char *const *environment,
		    const char *const *arguments)
{
	const struct winsize size = {.ws_row = TERMINAL_ROWS, .ws_col = TERMINAL_COLUMNS};
	char path[PATH_MAX], *words[32] = {NULL};
	const pid_t parent = getpid();
	size_t n = 0;

	*terminal = (struct terminal){.rows = TERMINAL_ROWS, .columns = TERMINAL_COLUMNS};
	words[n++] = (char *)run_client_path(path);
	for (; *arguments; arguments++) {
		ck_assert_uint_lt(n, ARRAY_SIZE(words) - 1);
		words[n++] = (char *)*arguments;
	}
	terminal->pid = forkpty(&terminal->fd, NULL, NULL, &size);
	ck_assert_int_ge(terminal->pid, 0);
	if (terminal->pid > 0)
		return;
	(void)setenv("TERM", "xterm-256color", 1);
	(void)setenv("INPUTRC", "/dev/null", 1);
	(void)setenv("TZ", "UTC", 1);
	(void)setenv("LC_ALL", "C.UTF-8", 1);
	(void)unsetenv("NO_COLOR");
	(void)unsetenv("COLORTERM");
	for (; *environment; environment++)
		(void)putenv((char *)*environment);
	if (close_range(3, ~0U, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    getppid() != parent)
		_exit(126);
	(void)execv(words[0], words);
	_exit(127);
}

/* Reads once within the deadline; returns false at the end. */
static bool receive(struct terminal *terminal, uint64_t deadline, const char *what)
{
	struct pollfd polled = {.fd = terminal->fd, .events = POLLIN};
	const uint64_t now = harness_now();
	ssize_t n;

	if (now >= deadline || poll(&polled, 1, (int)(deadline - now)) != 1) {
		for (int row = 0; row < terminal->rows; row++)
			(void)fprintf(stderr, "%c|%s\n", row == terminal->row ? '>' : ' ',
				      terminal_row(terminal, row));
		ck_abort_msg("waited too long for %s; the cursor is in column %d", what,
			     terminal->column);
	}
	ck_assert_int_eq(buffer_reserve(&terminal->raw, 4096), 0);
	n = read(terminal->fd, terminal->raw.data + terminal->raw.len, 4096);
	if (n <= 0)
		return false; /* EIO: nobody has the other side open */
	terminal->raw.len += (size_t)n;
	draw(terminal);
	return true;
}

void terminal_type(struct terminal *terminal, const char *text)
{
	const ssize_t n = write(terminal->fd, text, strlen(text));

	ck_assert_int_eq(n, (ssize_t)strlen(text)); /* what a person types, a pty takes at once */
}

void terminal_resize(struct terminal *terminal, int rows, int columns)
{
	const struct winsize size = {
		.ws_row = (unsigned short)rows,
		.ws_col = (unsigned short)columns,
	};

	terminal->rows = rows;
	terminal->columns = columns;
	terminal->column = MIN(terminal->column, columns - 1);
	ck_assert_int_eq(ioctl(terminal->fd, TIOCSWINSZ, &size), 0);
}

const char *terminal_row(const struct terminal *terminal, int row)
{
	static char text[TERMINAL_COLUMNS * TERMINAL_CELL + 1];
	size_t len = 0, end = 0;

	for (int i = 0; i < terminal->columns; i++) {
		const char *cell = terminal->cells[row][i];

		len += (size_t)sprintf(text + len, "%s", cell[0] ? cell : " ");
		if (cell[0] && cell[0] != ' ')
			end = len;
	}
	text[end] = 0;
	return text;
}

size_t terminal_count(struct terminal *terminal, const char *text)
{
	size_t n = 0;
	char *line, *rest;

	for (int row = 0; row < terminal->rows; row++)
		n += strstr(terminal_row(terminal, row), text) != NULL;
	ck_assert_int_eq(buffer_reserve(&terminal->above, 1), 0);
	terminal->above.data[terminal->above.len] = 0;
	line = rest = strdup((const char *)terminal->above.data);
	ck_assert_ptr_nonnull(line);
	for (char *one; (one = strsep(&rest, "\n"));)
		n += strstr(one, text) != NULL;
	free(line);
	return n;
}

void terminal_wait(struct terminal *terminal, const char *text)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (terminal_count(terminal, text) == 0)
		ck_assert_msg(receive(terminal, deadline, text), "it ended before \"%s\"", text);
}

void terminal_wait_cursor(struct terminal *terminal, const char *text, int column)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (terminal->column != column ||
	       strcmp(terminal_row(terminal, terminal->row), text) != 0)
		ck_assert_msg(receive(terminal, deadline, text), "it ended before \"%s\"", text);
}

int terminal_wait_end(struct terminal *terminal)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	int status;

	while (receive(terminal, deadline, "the end"))
		;
	ck_assert_int_eq(waitpid(terminal->pid, &status, 0), terminal->pid);
	terminal->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void terminal_done(struct terminal *terminal)
{
	if (terminal->pid > 0) {
		(void)kill(terminal->pid, SIGKILL);
		(void)waitpid(terminal->pid, NULL, 0);
	}
	(void)close(terminal->fd);
	buffer_done(&terminal->raw);
	buffer_done(&terminal->above);
}
