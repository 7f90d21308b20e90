/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's log: the journal's native protocol when standard error is connected to the journal
 * (systemd.exec(5), $JOURNAL_STREAM), readable lines on standard error otherwise. Payloads are
 * never logged. Everything here may be called from any thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "util.h"

/* What an entry is about; what is not set is left out. */
struct log_about {
	const char *listener; /* its name */
	const char *peer;     /* the client's address as text */
	uint64_t client;      /* its number, from 1 */
	const char *reason;   /* why, in a few words */
	bool closed;	      /* the connection ended: these three are its sums */
	uint64_t bytes_in, bytes_out, messages;
};

/* Decides where to log to, and from which priority on (LOG_INFO, or LOG_DEBUG when verbose). */
void log_open(bool verbose);

/* Whether debug entries are wanted: asked before an entry that costs something to put together. */
bool log_verbose(void);

/* Writes one entry; about may be NULL. errno is kept. */
void log_write(int priority, const struct log_about *about, const char *format, ...) PRINTF(3, 4);

/* Kinds of entry that a peer can cause as often as it likes. */
enum log_kind {
	LOG_KIND_REFUSED,
	LOG_KIND_PAUSED,
	LOG_KIND_RESUMED,
	LOG_KIND_MALFORMED,
	LOG_KIND_TOO_LONG,
	LOG_KIND_ERROR_FRAME,
	LOG_KIND_CUT_SHORT,
	LOG_KIND_TIMED_OUT,
	LOG_KIND_DATAGRAM,
	LOG_KIND_MEMORY,
};

/*
 * Like log_write(), but at most one entry a second for each kind and listener: what comes sooner
 * is counted, and the count is said when the second is over.
 */
void log_folded(enum log_kind kind, int priority, const struct log_about *about, const char *format,
		...) PRINTF(4, 5);

/*
 * A descriptor that becomes readable when counts are to be said, by calling log_say_folded(); for
 * the main thread's loop. Owned by the log; -1 when there is none.
 */
int log_folded_fd(void);
void log_say_folded(void);

/* Says all that is still counted; for the end. */
void log_close(void);
