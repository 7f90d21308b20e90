/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * All text that is not our own goes through text_append_safe(), so the only escape sequences on the
 * screen are those below, and none at all where there is no colour.
 */

#include "chat_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "names.h"
#include "text.h"

#define STYLE_PLAIN   "\033[0m"
#define STYLE_FAINT   "\033[2m"
#define STYLE_MENTION "\033[1m"

/* Of the 256 usual ones those that are read well on black and on white alike. */
static const uint8_t palette[] = {131, 167, 166, 130, 100, 64,	28,  29,  30,  31,  32,
				  67,  63,  98,	 97,  134, 129, 133, 163, 162, 132, 161};
/* Of the first eight: red, green, magenta, cyan; yellow and blue are hard to read somewhere. */
static const uint8_t small_palette[] = {1, 2, 5, 6};

static void set_day(struct screen *screen, const struct tm *tm)
{
	screen->year = tm->tm_year;
	screen->day = tm->tm_yday;
}

void screen_init(struct screen *screen, struct line *line)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM") ?: "";
	const char *colors = getenv("COLORTERM");
	const bool dumb = !*terminal || strcmp(terminal, "dumb") == 0;
	const time_t now = time(NULL);
	struct tm today;

	*screen = (struct screen){
		.line = line,
		.color = isatty(STDOUT_FILENO) && !dumb && !(no_color && *no_color),
	};
	screen->many_colors =
		screen->color && (strstr(terminal, "256color") || (colors && *colors));
	if (localtime_r(&now, &today))
		set_day(screen, &today);
}

void screen_done(struct screen *screen)
{
	buffer_done(&screen->text);
}

/* ---- pieces of a line ---- */

/*
 * When memory runs out a piece is missing on the screen; there is nothing better to be done about
 * it.
 */
static void add(struct screen *screen, const char *text)
{
	(void)buffer_append(&screen->text, text, strlen(text));
}

static void add_style(struct screen *screen, const char *style)
{
	if (screen->color)
		add(screen, style);
}

static void add_safe(struct screen *screen, const char *text, size_t len)
{
	(void)text_append_safe(&screen->text, text, len);
}

/* The same nick has the same colour for everybody and always: FNV-1a. */
static unsigned color_of(const struct screen *screen, const char *nick)
{
	CLEANUP(freep) char *folded = name_fold(nick);
	uint32_t hash = 2166136261U;

	for (const char *c = folded ?: nick; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return screen->many_colors ? palette[hash % sizeof(palette)]
				   : small_palette[hash % sizeof(small_palette)];
}

static void add_nick(struct screen *screen, const char *nick)
{
	char style[16];

	(void)snprintf(style, sizeof(style), screen->many_colors ? "\033[38;5;%um" : "\033[3%um",
		       color_of(screen, nick));
	add_style(screen, style);
	add_safe(screen, nick, strlen(nick));
	add_style(screen, STYLE_PLAIN);
}

/* A text of several lines goes on below itself, where no line of another message begins. */
static void add_text(struct screen *screen, const struct said *said)
{
	const char *text = said->text, *end = text + said->text_len;

	for (;;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));

		if (said->mentions)
			add_style(screen, STYLE_MENTION);
		add_safe(screen, text, (size_t)((newline ?: end) - text));
		if (said->mentions)
			add_style(screen, STYLE_PLAIN);
		add(screen, "\n");
		if (!newline)
			break;
		text = newline + 1;
		add(screen, "      | ");
	}
}

/* ---- whole lines ---- */

static void print(struct screen *screen)
{
	if (screen->line)
		line_hide(screen->line);
	/* A failure shows in screen_flush(). */
	(void)fwrite(screen->text.data, 1, screen->text.len, stdout);
	screen->text.len = 0;
}

/* Says which day it is when that is another than the last message's. */
static void add_time(struct screen *screen, uint64_t time)
{
	const time_t seconds = (time_t)(time / 1000);
	char text[64];
	struct tm tm;

	if (!localtime_r(&seconds, &tm)) {
		add(screen, "??:??"); /* in a year that no calendar has */
		return;
	}
	if (tm.tm_year != screen->year || tm.tm_yday != screen->day) {
		set_day(screen, &tm);
		(void)strftime(text, sizeof(text), "-- %A, %-d %B %Y\n", &tm);
		add(screen, text);
	}
	add_style(screen, STYLE_FAINT);
	(void)strftime(text, sizeof(text), "%H:%M", &tm);
	add(screen, text);
	add_style(screen, STYLE_PLAIN);
}

static void add_speaker(struct screen *screen, const struct said *said)
{
	const bool direct = said->room[0] == '@';

	if (direct && said->mine) {
		add(screen, "to ");
		add_nick(screen, said->room + 1);
	} else {
		add_nick(screen, said->from);
		if (direct)
			add(screen, " to you");
	}
}

void screen_said(struct screen *screen, const struct said *said)
{
	add_time(screen, said->time);
	add(screen, said->mentions ? "*" : " ");
	if (screen->rooms && said->room[0] != '@') {
		add(screen, "[");
		add_safe(screen, said->room, strlen(said->room));
		add(screen, "] ");
	}
	add_speaker(screen, said);
	add(screen, ": ");
	add_text(screen, said);
	print(screen);
}

void screen_ring(struct screen *screen)
{
	if (screen->bell && isatty(STDOUT_FILENO))
		(void)fputc('\a', stdout); /* a failure shows in screen_flush() */
}

static void notice(struct screen *screen, const char *text)
{
	add_style(screen, STYLE_FAINT);
	add(screen, "-- ");
	add_safe(screen, text, strlen(text));
	add_style(screen, STYLE_PLAIN);
	add(screen, "\n");
	print(screen);
}

void screen_notice(struct screen *screen, const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;
	int n;

	if (screen->no_notices)
		return;
	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		text = NULL;
	notice(screen, text ?: "out of memory");
}

void screen_warn(struct screen *screen, const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		text = NULL;
	if (screen->line)
		notice(screen, text ?: "out of memory");
	else
		complain_text("", text ?: "out of memory", strlen(text ?: "out of memory"));
}

int screen_flush(struct screen *screen)
{
	if (fflush(stdout) == EOF)
		return -errno;
	if (screen->line)
		line_show(screen->line);
	return 0;
}
