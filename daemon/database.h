/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A database that is open: statements that are prepared once, transactions, and what is wrong.
 * Functions return 0 or a negative errno, and *_problem() says it in words. Knows nothing of what
 * the statements are about.
 */

#include <stdbool.h>
#include <stdint.h>

#include "database_file.h"

enum { DATABASE_PROBLEM_MAX = 512 };

/* What has been committed since the database was opened, but for what database_probe() writes. */
struct database_commits {
	uint64_t done, failed;
	uint64_t last;			/* milliseconds since 1970; 0: none was done */
	uint64_t microseconds, longest; /* that those done took: all of them, and the slowest */
};

struct database {
	struct database_file file;
	sqlite3_stmt **statements; /* each is ready for use when nobody uses it */
	size_t n_statements;
	bool writing; /* between begin and commit or rollback */
	int failed;   /* what failed since begin: SQLite may have undone it all by itself */
	bool unsure;  /* what a commit that failed has written may still be whole in the file */
	struct database_commits commits;
	char problem[DATABASE_PROBLEM_MAX];
};

/* Opens the database in directory, as store_open() has it, and prepares n statements. */
int database_open(struct database *database, const char *directory, const char *const *sql,
		  size_t n);

/* What is zero-initialised and was never opened, or failed to, may be closed too. */
void database_close(struct database *database);

int database_begin(struct database *database);
int database_commit(struct database *database);
void database_rollback(struct database *database);

/* How many bytes the database and its write-ahead log have on disk; 0 for what is not there. */
void database_size(const struct database *database, uint64_t *ret_file, uint64_t *ret_wal);

/* Writes something, and commits it. */
int database_probe(struct database *database);

/* Notes that something else than SQLite failed, and returns error. */
int database_fail(struct database *database, int error);

/*
 * Takes a statement to its next row and returns 1; at the end, or with a negative errno, it is
 * ready to be used again. A row that nobody goes on from needs database_leave(), which returns r.
 */
int database_next(struct database *database, size_t statement);
int database_leave(struct database *database, size_t statement, int r);

/* Runs a statement that writes and has no rows; does nothing after a failure. */
int database_run(struct database *database, size_t statement);

/* The rowid of what was inserted last. */
uint64_t database_last_id(const struct database *database);

/*
 * Bind what place, from 1 on, stands for. It is not copied, and stays there while the statement
 * runs. text may be NULL.
 */
void database_bind_number(struct database *database, size_t statement, int place, uint64_t number);
void database_bind_text(struct database *database, size_t statement, int place, const char *text);
void database_bind_bytes(struct database *database, size_t statement, int place, const char *text,
			 size_t len);

/*
 * What stands in a column of the row, from 0 on; a text until the next row. It is "" for want of
 * memory: ask database_complete() once all of a row is there.
 */
uint64_t database_number(struct database *database, size_t statement, int column);
const char *database_text(struct database *database, size_t statement, int column);
const char *database_text_or_null(struct database *database, size_t statement, int column);
size_t database_text_len(struct database *database, size_t statement, int column);
int database_complete(struct database *database);
