/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's log: the journal's native protocol when standard error is connected to the journal
 * (systemd.exec(5), $JOURNAL_STREAM), readable lines on standard error otherwise. Payloads are
 * never logged. Everything here may be called from any thread, and none of it ever waits for
 * whoever reads the log: what is not taken at once waits, in order, and what there is no room for
 * is counted; the count is said, as an entry of its own, when the log takes entries again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "log_entry.h"
#include "util.h"

/*
 * Decides where to log to; entries down to priority info are wanted, with verbose all. From now on
 * the process ignores SIGPIPE and SIGTTOU.
 */
void log_open(bool verbose);

/* Entries down to this priority of syslog(3) are wanted; with verbose, all are all the same. */
void log_set_level(int level);

/* Whether entries go to the journal, in its own protocol. */
bool log_is_journal(void);

/* Whether debug entries are wanted: asked before an entry that costs something to put together. */
bool log_verbose(void);

/* Writes one entry; about may be NULL. errno is kept. */
void log_write(enum log_kind kind, const struct log_about *about, const char *format, ...)
	PRINTF(3, 4);

/* Writes an entry for each line of text. */
void log_lines(enum log_kind kind, const char *text, size_t len);

/*
 * Like log_write(), for what a peer can cause as often as it likes: at most one entry a second for
 * each kind and listener; when there are more than 256 of these in a second, for all others
 * together. What comes sooner is counted, and the count is said when the second is over.
 */
void log_folded(enum log_kind kind, const struct log_about *about, const char *format, ...)
	PRINTF(3, 4);

/*
 * A descriptor that becomes readable when counts are to be said, or what waits is to be offered
 * again, by calling log_say_folded(); for the main thread's loop. Owned by the log; -1 when there
 * is none.
 */
int log_folded_fd(void);
void log_say_folded(void);

/* How many entries could not be logged since the start. */
uint64_t log_lost(void);

/*
 * Waits until the journal has read all that it was given, one second at most. For a process that
 * ends soon after its start: the journal looks up of which unit a sender is when it reads what that
 * one sent, and "journalctl -u" would be silent about why the service did not start.
 */
void log_wait_read(void);

/* Says all that is still counted, and gives what waits one last second; for the end. */
void log_close(void);
