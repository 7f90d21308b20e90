/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "database.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "database_schema.h"
#include "util.h"

/* ---- what is wrong ---- */

static int note(struct database *database, int error)
{
	if (database->writing && database->failed == 0)
		database->failed = error;
	return error;
}

static int fail(struct database *database, int result)
{
	int error = database_file_errno(database->file.db, result);

	database_file_explain(&database->file, result, database->problem,
			      sizeof(database->problem));
	return note(database, error);
}

int database_fail(struct database *database, int error)
{
	(void)snprintf(database->problem, sizeof(database->problem), "%s: %s", database->file.path,
		       strerror(-error));
	return note(database, error);
}

/* ---- opening and closing ---- */

int database_open(struct database *database, const char *directory, const char *const *sql,
		  size_t n)
{
	int r;

	*database = (struct database){.file.lock = -1};
	r = database_file_open(directory, &database->file, database->problem,
			       sizeof(database->problem));
	if (r < 0)
		return r;
	database->statements = calloc(n, sizeof(sqlite3_stmt *));
	if (!database->statements)
		return database_fail(database, -ENOMEM);
	database->n_statements = n;
	for (size_t i = 0; i < n; i++) {
		int result =
			sqlite3_prepare_v3(database->file.db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					   &database->statements[i], NULL);

		if (result != SQLITE_OK)
			return fail(database, result);
	}
	return 0;
}

void database_close(struct database *database)
{
	for (size_t i = 0; i < database->n_statements; i++)
		(void)sqlite3_finalize(database->statements[i]); /* none is in the middle */
	free(database->statements);
	database_file_close(&database->file);
	*database = (struct database){.file.lock = -1};
}

/* ---- transactions ---- */

/* Writes what is there already: the version. Returns a result of SQLite's. */
static int overwrite(struct database *database)
{
	char sql[48];
	int result;

	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %i", database_schema_version());
	errno = 0; /* see database_file_errno() */
	result = sqlite3_exec(database->file.db, sql, NULL, NULL, NULL);
	if (result == SQLITE_OK)
		database->unsure = false;
	return result;
}

void database_rollback(struct database *database)
{
	database->writing = false;
	database->failed = 0;
	/* After some errors SQLite has done it by itself. If it fails, it is tried again before
	   the next transaction. */
	if (!sqlite3_get_autocommit(database->file.db))
		(void)sqlite3_exec(database->file.db, "ROLLBACK", NULL, NULL, NULL);
	/* What was refused must not come to be by a crash; if this fails, so it may until the next
	   commit. */
	if (database->unsure)
		(void)overwrite(database);
}

/* Prepared anew each time, which takes a microsecond or two for one of so few words. */
static int run_words(struct database *database, const char *sql)
{
	int result;

	errno = 0; /* see database_file_errno() */
	result = sqlite3_exec(database->file.db, sql, NULL, NULL, NULL);
	return result == SQLITE_OK ? 0 : fail(database, result);
}

int database_begin(struct database *database)
{
	int r;

	database_rollback(database);
	r = run_words(database, "BEGIN IMMEDIATE");
	database->writing = r == 0;
	return r;
}

static void count_commit(struct database_commits *commits, int result, uint64_t nanoseconds)
{
	const uint64_t microseconds = nanoseconds / 1000;

	if (result < 0) {
		commits->failed++;
		return;
	}
	commits->last = clock_wall_ms();
	commits->done++;
	commits->microseconds += microseconds;
	commits->longest = MAX(commits->longest, microseconds);
}

int database_commit(struct database *database)
{
	const uint64_t begun = clock_now();
	int r = database->failed < 0 ? database->failed : run_words(database, "COMMIT");

	count_commit(&database->commits, r, clock_now() - begun);
	if (r == 0)
		database->writing = false;
	database->unsure = r < 0;
	return r;
}

static uint64_t size_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

void database_size(const struct database *database, uint64_t *ret_file, uint64_t *ret_wal)
{
	*ret_file = size_of(database->file.path);
	*ret_wal = size_of(sqlite3_filename_wal(sqlite3_db_filename(database->file.db, "main")));
}

int database_probe(struct database *database)
{
	int result = overwrite(database);

	return result == SQLITE_OK ? 0 : fail(database, result);
}

/* ---- statements ---- */

int database_next(struct database *database, size_t statement)
{
	int result = sqlite3_step(database->statements[statement]), r;

	if (result == SQLITE_ROW)
		return 1;
	r = result == SQLITE_DONE ? 0 : fail(database, result);
	return database_leave(database, statement, r);
}

int database_leave(struct database *database, size_t statement, int r)
{
	(void)sqlite3_reset(database->statements[statement]); /* says again what step said */
	return r;
}

int database_run(struct database *database, size_t statement)
{
	/* After a failure SQLite may write for good at once what should be part of a whole. */
	return database->failed < 0 ? database->failed : database_next(database, statement);
}

uint64_t database_last_id(const struct database *database)
{
	return (uint64_t)sqlite3_last_insert_rowid(database->file.db);
}

/* Binding cannot fail: the places exist, nothing is copied, and no text is near SQLite's limit. */
void database_bind_number(struct database *database, size_t statement, int place, uint64_t number)
{
	(void)sqlite3_bind_int64(database->statements[statement], place, (sqlite3_int64)number);
}

void database_bind_bytes(struct database *database, size_t statement, int place, const char *text,
			 size_t len)
{
	(void)sqlite3_bind_text64(database->statements[statement], place, text, len, SQLITE_STATIC,
				  SQLITE_UTF8);
}

void database_bind_text(struct database *database, size_t statement, int place, const char *text)
{
	database_bind_bytes(database, statement, place, text, text ? strlen(text) : 0);
}

uint64_t database_number(struct database *database, size_t statement, int column)
{
	return (uint64_t)sqlite3_column_int64(database->statements[statement], column);
}

const char *database_text_or_null(struct database *database, size_t statement, int column)
{
	return (const char *)sqlite3_column_text(database->statements[statement], column);
}

const char *database_text(struct database *database, size_t statement, int column)
{
	const char *text = database_text_or_null(database, statement, column);

	return text ? text : "";
}

size_t database_text_len(struct database *database, size_t statement, int column)
{
	return (size_t)sqlite3_column_bytes(database->statements[statement], column);
}

int database_complete(struct database *database)
{
	bool short_of_memory = sqlite3_errcode(database->file.db) == SQLITE_NOMEM;

	return short_of_memory ? fail(database, SQLITE_NOMEM) : 0;
}
