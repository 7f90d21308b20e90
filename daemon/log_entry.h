/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the log says: the kinds of entry there are, and an entry as it goes out. From any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What an entry is about; what is not set is left out. */
struct log_about {
	const char *listener; /* its name */
	const char *peer;     /* the client's address as text */
	uint64_t client;      /* its number, from 1 */
	const char *reason;   /* why, in a few words */
	const char *user, *nick, *room;
	bool closed; /* the connection ended: these three are its sums */
	uint64_t bytes_in, bytes_out, messages;
};

/* Kinds of entry; each has a priority, and a MESSAGE_ID with an entry in the message catalog. */
enum log_kind {
	LOG_LISTENING,
	LOG_NOT_LISTENING,
	LOG_CANNOT_LISTEN,
	LOG_NO_FAMILY,
	LOG_NOT_INHERITED,
	LOG_ELSEWHERE,
	LOG_CONNECTED,
	LOG_GONE,
	LOG_REFUSED,
	LOG_PAUSED,
	LOG_RESUMED,
	LOG_MALFORMED,
	LOG_TOO_LONG,
	LOG_ERROR_FRAME,
	LOG_CUT_SHORT,
	LOG_TIMED_OUT,
	LOG_IDLE,
	LOG_NOT_ANSWERED,
	LOG_OUT_OF_MEMORY,
	LOG_CONFIG_PROBLEM,
	LOG_RELOADED,
	LOG_NOT_RELOADED,
	LOG_STOPPING,
	LOG_HANDED_OVER,
	LOG_NOT_HANDED_OVER,
	LOG_TAKEN_OVER,
	LOG_NOT_TAKEN_OVER,
	LOG_NOT_SAFE,
	LOG_SUMMARY,
	LOG_SLOW_DOWN,
	LOG_KICKED,
	LOG_BANNED,
	LOG_UNBANNED,
	LOG_MUTED,
	LOG_UNMUTED,
	LOG_STORAGE_FAILING,
	LOG_STORAGE_BACK,
	LOG_STATE_PROBLEM,
	LOG_CONTROL_PROBLEM,
	LOG_STUCK,
	LOG_TURNS,
	LOG_KNOWN,
	LOG_JOINED,
	LOG_LEFT,
	LOG_DENIED,
	LOG_DISMISSED,
	LOG_FOLDED,
	LOG_LOST,
	LOG_NAMES_STUCK,
	LOG_NAMES_BACK,
	LOG_FAULT,
};
enum { LOG_KINDS = LOG_FAULT + 1 };

/* The priority of a kind, as in syslog(3). */
int log_kind_priority(enum log_kind kind);

/* What "more such entries" of a kind are about; NULL: it is not folded. */
const char *log_kind_words(enum log_kind kind);

enum { LOG_TIME_MAX = 32 }; /* bytes */

/* Writes seconds since 1970 as date(1) and the lines on standard error have it. */
void log_format_time(time_t seconds, char text[static LOG_TIME_MAX]);

enum { LOG_LINE_MAX = 1024, LOG_ENTRY_MAX = 8192 }; /* bytes; what is longer is cut short */

/* An entry as it goes out. */
struct log_entry {
	size_t len;
	char data[LOG_ENTRY_MAX];
};

enum log_form {
	LOG_FORM_LINE,	  /* also before log_open() */
	LOG_FORM_JOURNAL, /* fields, in the journal's native protocol */
	LOG_FORM_COLOUR,  /* a line for a terminal */
};

/*
 * Makes an entry of now; about may be NULL. What a terminal obeys, and LF, is left out of the text
 * and of all values.
 */
void log_entry_compose(struct log_entry *ret_entry, enum log_form form, enum log_kind kind,
		       const struct log_about *about, const char *text);
