/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the log's entries go: to the journal's socket when standard error is connected to the
 * journal (systemd.exec(5), $JOURNAL_STREAM), otherwise to standard error, whatever that is.
 *
 * Nothing here ever waits for whoever reads them. An entry is offered once; when it is not taken,
 * for whatever reason, it waits in a queue of bounded size, in order, and is offered again. How it
 * is done without waiting:
 *
 * - The journal is sent datagrams by its path and not by a connection, as it may have been
 * replaced.
 * - Another socket is sent to with MSG_DONTWAIT.
 * - A pipe or terminal is opened once more, for O_NONBLOCK belongs to the open file, which is
 * shared with whoever started us. Where that is not permitted (after setuid(2), say), poll(2) is
 * asked before each write of so few bytes as there must be room for then; only another writer, at
 * the same moment, could then have us wait.
 * - A file is written to: nothing but its disk can hold that up.
 *
 * Not for several threads at a time: the log has a lock around it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_OUTPUT_WAITING_MAX = 256 * 1024 };

enum log_output_kind {
	LOG_OUTPUT_FILE,
	LOG_OUTPUT_JOURNAL,
	LOG_OUTPUT_SOCKET,
	LOG_OUTPUT_OWN,	   /* a pipe or terminal, opened once more */
	LOG_OUTPUT_SHARED, /* a pipe or terminal that could not be */
};

/* Zero-initialised but for fd, which is -1, and waiting, it writes to standard error as to a file.
 */
struct log_output {
	enum log_output_kind kind;
	int fd;		   /* the journal's socket, or the file that was opened once more; owned */
	int error;	   /* an errno: why the last entry was not taken; 0: it was */
	size_t first, end; /* what waits stands between */
	uint8_t *waiting;  /* memory for LOG_OUTPUT_WAITING_MAX bytes; borrowed */
};

/*
 * Finds out what standard error is; where it is closed, it is /dev/null from now on, lest something
 * else get its number. What waits goes on waiting. From now on the process ignores SIGPIPE, and
 * SIGTTOU, by which a terminal would stop it.
 */
void log_output_open(struct log_output *output);

/*
 * Offers an entry behind those that wait, or has it wait, too. Returns false when it is lost: there
 * is no room for it, or it can never be taken.
 */
bool log_output_put(struct log_output *output, const void *entry, size_t len);

/* Offers what waits, in order. Returns how many entries were lost, as they can never be taken. */
size_t log_output_flush(struct log_output *output);

/* How many bytes wait. */
size_t log_output_waiting(const struct log_output *output);

/*
 * Whether somebody has yet to read of what was taken: known of the journal only (SIOCOUTQ,
 * unix(7)).
 */
bool log_output_is_unread(const struct log_output *output);

/* Frees what output owns. What waits goes on waiting. */
void log_output_close(struct log_output *output);
