/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_line.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "util.h"

/* Readline's callbacks take no argument. */
static struct line *the_line;

void line_match(struct line_matches *matches, const char *word)
{
	char *copy;

	if (matches->n == matches->size) {
		size_t size = matches->size ? 2 * matches->size : 16;
		char **words = reallocarray(matches->words, size, sizeof(*words));

		if (!words)
			return;
		matches->words = words;
		matches->size = size;
	}
	copy = strdup(word);
	if (copy)
		matches->words[matches->n++] = copy;
}

static void matches_done(struct line_matches *matches)
{
	for (size_t i = 0; i < matches->n; i++)
		free(matches->words[i]);
	free(matches->words);
	*matches = (struct line_matches){0};
}

/* ---- what was typed before ---- */

/* Makes the directories of path, up to its last slash. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = 0;
		r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

/* The file's name, or NULL when there is no place for it. */
static char *history_path(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	CLEANUP(freep) char *path = NULL;
	int n;

	if (state && state[0] == '/')
		n = asprintf(&path, "%s/retort/history", state);
	else if (home && home[0] == '/')
		n = asprintf(&path, "%s/.local/state/retort/history", home);
	else
		return NULL;
	if (n < 0) {
		path = NULL; /* which asprintf() leaves undefined */
		return NULL;
	}
	return make_directories(path) < 0 ? NULL : STEAL(path);
}

/* A person can chat without a history, so nothing that fails here is worth a complaint. */
static void history_open(struct line *line)
{
	CLEANUP(freep) char *path = history_path();
	CLEANUP(closep) int fd = -1;

	using_history();
	stifle_history(LINE_HISTORY);
	if (!path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return;
	/* Sessions append to it side by side, so it is cut to size when one begins. */
	if (read_history(path) == 0)
		(void)history_truncate_file(path, LINE_HISTORY);
	line->history = STEAL(path);
}

static void history_keep(struct line *line, const char *typed)
{
	const HIST_ENTRY *last =
		history_length > 0 ? history_get(history_base + history_length - 1) : NULL;

	if (typed[0] == 0 || typed[0] == ' ' || (last && strcmp(last->line, typed) == 0))
		return;
	add_history(typed);
	/* The file has a line for each; what was pasted stays in this session. */
	if (line->history && !strchr(typed, '\n'))
		(void)append_history(1, line->history);
}

/* ---- Readline's callbacks ---- */

/* Gives one match after the other away, then NULL. */
static char *next_match(const char *word, int state)
{
	struct line_matches *matches = &the_line->matches;

	(void)word; /* it was looked at before */
	if (state == 0)
		the_line->next_match = 0;
	else
		the_line->next_match++;
	return the_line->next_match < matches->n ? STEAL(matches->words[the_line->next_match])
						 : NULL;
}

static char **complete(const char *word, int start, int end)
{
	struct line_matches *matches = &the_line->matches;
	CLEANUP(freep) char *line = strndup(rl_line_buffer, (size_t)end);
	char **list;

	rl_attempted_completion_over = 1; /* no names of files */
	rl_completion_append_character = ' ';
	if (!line)
		return NULL;
	the_line->complete(the_line->data, line, (size_t)start, word, matches);
	if (matches->n == 1 && matches->ends_with_colon) {
		char *with_colon;

		if (asprintf(&with_colon, "%s:", matches->words[0]) >= 0) {
			free(matches->words[0]);
			matches->words[0] = with_colon;
		}
	}
	list = rl_completion_matches(word, next_match);
	matches_done(matches);
	return list;
}

/* Enter: the line goes off the screen before Readline would leave it there. */
static int accept_line(int count, int key)
{
	char *typed = strdup(rl_line_buffer);

	if (!typed)
		return 1; /* it stays where it is, to be tried again */
	free(the_line->typed);
	the_line->typed = typed;
	line_hide(the_line);
	the_line->hidden = false;
	rl_replace_line("", 1);
	return rl_newline(count, key);
}

/* Called with the terminal as it was found; line_read() does the rest when it has it again. */
static void line_done(char *text)
{
	if (!text) {
		the_line->ended = true;
		rl_callback_handler_remove(); /* no prompt any more */
	} else if (!the_line->typed) {
		/* It was not our Enter, but operate-and-get-next, say. */
		the_line->typed = STEAL(text);
	}
	free(text);
}

/* ---- the screen ---- */

/* Readline clears with escape sequences; where there are none it scrolls, so this is one row. */
static void blank_row(void)
{
	int columns;

	rl_get_screen_size(NULL, &columns);
	(void)fprintf(rl_outstream, "\r%*s\r", MAX(columns - 1, 0), "");
}

void line_hide(struct line *line)
{
	if (line->hidden)
		return;
	line->hidden = true;
	if (line->dumb)
		blank_row();
	else
		(void)rl_clear_visible_line();
	(void)fflush(rl_outstream);
}

void line_show(struct line *line)
{
	if (!line->hidden)
		return;
	line->hidden = false;
	(void)rl_forced_update_display();
}

void line_prompt(struct line *line, const char *prompt)
{
	const bool hidden = line->hidden;

	if (strcmp(rl_prompt, prompt) == 0)
		return;
	line_hide(line);
	(void)rl_set_prompt(prompt);
	if (!hidden)
		line_show(line);
}

void line_clear(struct line *line)
{
	rl_callback_sigcleanup();
	rl_free_line_state(); /* which draws */
	line_hide(line);
	rl_replace_line("", 1);
	using_history(); /* the next line begins at its end */
	line_show(line);
}

void line_resize(struct line *line)
{
	if (line->hidden)
		rl_reset_screen_size();
	else
		rl_resize_terminal();
}

void line_suspend(struct line *line)
{
	line_hide(line);
	rl_deprep_terminal();
	(void)raise(SIGSTOP);
	rl_prep_terminal(1);
	rl_reset_screen_size();
	line_show(line);
}

/* ---- its life ---- */

static void settle(struct line *line)
{
	Keymap keymaps[] = {emacs_standard_keymap, vi_insertion_keymap, vi_movement_keymap};
	const char *terminal = getenv("TERM");

	line->dumb = !terminal || !*terminal || strcmp(terminal, "dumb") == 0;
	rl_readline_name = "retort";
	rl_change_environment = 0;
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	(void)rl_initialize(); /* reads ~/.inputrc; what is set below holds all the same */

	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t\n";
	rl_completer_quote_characters = NULL;
	rl_erase_empty_line = 1;
	/* A question or a pager would wait for a key while nothing else is looked after. */
	rl_completion_query_items = 0;
	(void)rl_variable_bind("page-completions", "off");
	(void)rl_variable_bind("completion-ignore-case", "on");
	for (size_t i = 0; i < ARRAY_SIZE(keymaps); i++) {
		(void)rl_bind_key_in_map('\r', accept_line, keymaps[i]);
		(void)rl_bind_key_in_map('\n', accept_line, keymaps[i]);
	}
}

void line_open(struct line *line, const char *prompt)
{
	the_line = line;
	settle(line);
	history_open(line);
	rl_callback_handler_install(prompt, line_done);
}

void line_close(struct line *line)
{
	if (the_line != line)
		return;
	if (!line->ended) {
		line_hide(line);
		rl_callback_handler_remove();
	}
	clear_history();
	free(line->typed);
	free(line->history);
	the_line = NULL;
}

bool line_read(struct line *line, char **ret_typed)
{
	rl_callback_read_char();
	if (line->ended) {
		*ret_typed = NULL;
		return true;
	}
	if (!line->typed)
		return false;
	history_keep(line, line->typed);
	*ret_typed = STEAL(line->typed);
	return true;
}
