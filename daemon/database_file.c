/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "database_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "database_schema.h"
#include "util.h"

enum {
	APPLICATION_ID = 0x52546f72, /* "RTor"; see magic.txt of SQLite's sources */
	HEADER = 100, /* bytes; https://sqlite.org/fileformat2.html#the_database_header */
	HEADER_APPLICATION_ID = 68,
	CHECK_ALL_MAX = 64 << 20, /* bytes of file that are checked in full, in some 0.1 s */
};

/* What is being opened, and where to say what is wrong. */
struct opening {
	const char *directory;
	struct database_file file;
	char *problem;
	size_t problem_size;
};

static PRINTF(3, 4) int complain(struct opening *opening, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(opening->problem, opening->problem_size, format, arguments);
	va_end(arguments);
	return error;
}

/* Says what the system said of path. */
static int complain_errno(struct opening *opening, const char *what, const char *path)
{
	int error = errno;

	return complain(opening, -error, "cannot %s %s: %s", what, path, strerror(error));
}

/* ---- errors of SQLite ---- */

/* What the system said last. SQLite takes no note of it when it is a commit that fails. */
static int system_error(sqlite3 *db)
{
	int error = sqlite3_system_errno(db);

	return error > 0 ? error : errno;
}

/* The same as an error of ours, as far as it says more than SQLite does; else other. */
static int system_errno(sqlite3 *db, int other)
{
	switch (system_error(db)) {
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case EROFS:
		return -EROFS;
	case EACCES:
	case EPERM:
		return -EACCES;
	case ENOMEM:
		return -ENOMEM;
	default:
		return other;
	}
}

int database_file_errno(sqlite3 *db, int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* tables that are not those of the schema */
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	case SQLITE_IOERR:
		return result == SQLITE_IOERR_NOMEM ? -ENOMEM : system_errno(db, -EIO);
	case SQLITE_CANTOPEN:
		return system_errno(db, -EIO);
	default:
		return -EIO;
	}
}

void database_file_explain(const struct database_file *file, int result, char *text, size_t size)
{
	int error = system_error(file->db);
	bool of_system = (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN;

	(void)snprintf(text, size, "%s: %s%s%s", file->path, sqlite3_errmsg(file->db),
		       of_system && error > 0 ? ": " : "",
		       of_system && error > 0 ? strerror(error) : "");
}

/* Says what SQLite said, and what there is to be done. */
static int complain_sqlite(struct opening *opening, int result)
{
	const struct database_file *file = &opening->file;
	int error = file->db ? database_file_errno(file->db, result) : -ENOMEM;
	char text[256];

	if (!file->db)
		return complain(opening, error, "%s: out of memory", file->path);
	database_file_explain(file, result, text, sizeof(text));
	if (error == -EBADMSG)
		return complain(opening, error,
				"%s; it is left as it is: put a copy in its place, or move it and "
				"%s-wal away, and rooms begin anew",
				text, file->path);
	if (error == -EBUSY)
		return complain(opening, error, "%s: another program has it open", text);
	return complain(opening, error, "%s", text);
}

static int run(struct opening *opening, const char *sql)
{
	int result = sqlite3_exec(opening->file.db, sql, NULL, NULL, NULL);

	return result == SQLITE_OK ? 0 : complain_sqlite(opening, result);
}

/* Puts two strings together. */
static int join(struct opening *opening, const char *front, const char *end, char **ret_path)
{
	char *path;

	if (asprintf(&path, "%s%s", front, end) < 0) {
		(void)complain(opening, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	*ret_path = path;
	return 0;
}

/* ---- the directory and its lock ---- */

/* Makes the directory and those above it that are missing; what exists stays as it is. */
static int make_directory(struct opening *opening)
{
	CLEANUP(freep) char *path = strdup(opening->directory);

	if (!path)
		return complain(opening, -ENOMEM, "out of memory");
	for (char *slash = path; *slash; slash++) {
		if (*slash != '/' || slash == path)
			continue;
		*slash = '\0';
		(void)mkdir(path, 0700); /* when this fails, so does the last one */
		*slash = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return complain_errno(opening, "make", path);
	return 0;
}

static int complain_locked(struct opening *opening, int lock)
{
	char pid[16] = "";
	ssize_t n = pread(lock, pid, sizeof(pid) - 1, 0);

	pid[MAX(n, (ssize_t)0)] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	return complain(opening, -EBUSY, "%s is in use by another process%s%s%s",
			opening->directory, *pid ? " (pid " : "", pid, *pid ? ")" : "");
}

/* The lock is the kernel's and ends with the process; the pid in the file is for people. */
static int take_lock(struct opening *opening)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(closep) int lock = -1;

	int r = join(opening, opening->directory, "/lock", &path);

	if (r < 0)
		return r;
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return complain_errno(opening, "open", path);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? complain_locked(opening, lock)
					    : complain_errno(opening, "lock", path);
	/* A full disk may refuse it, and then it is not said who it is. */
	if (ftruncate(lock, 0) == 0)
		(void)dprintf(lock, "%i\n", getpid());
	opening->file.lock = STEAL_FD(lock);
	return 0;
}

/* ---- the file ---- */

static int connect_to(struct opening *opening, const char *path)
{
	sqlite3 **db = &opening->file.db;
	int result = sqlite3_open_v2(
		path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		NULL);

	return result == SQLITE_OK ? 0 : complain_sqlite(opening, result);
}

static void disconnect(struct database_file *file)
{
	(void)sqlite3_close(file->db); /* what was committed is in the log of writes */
	file->db = NULL;
}

/* Makes the name and what is found by it durable. */
static int sync_directory(struct opening *opening)
{
	CLEANUP(closep) int fd = open(opening->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return complain_errno(opening, "write", opening->directory);
	return 0;
}

/* Makes an empty database of version 0 in path, where there may be the rest of another try. */
static int make_file(struct opening *opening, const char *path)
{
	char sql[128];
	int fd, r;

	if (unlink(path) < 0 && errno != ENOENT)
		return complain_errno(opening, "remove", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain_errno(opening, "make", path);
	(void)close(fd); /* nothing was written */
	r = connect_to(opening, path);
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;"
		       "PRAGMA application_id = %i;",
		       APPLICATION_ID);
	if (r == 0)
		r = run(opening, sql);
	disconnect(&opening->file);
	return r;
}

/*
 * Makes the file under another name, so that the one of this name is ours and whole whenever there
 * is one.
 */
static int make_new(struct opening *opening)
{
	CLEANUP(freep) char *path = NULL, *wal = NULL;
	int r = join(opening, opening->file.path, ".new", &path);

	if (r == 0)
		r = join(opening, opening->file.path, "-wal", &wal);
	if (r < 0)
		return r;
	/* SQLite would take what is written there for the new one's. */
	if (access(wal, F_OK) == 0)
		return complain(opening, -EBADMSG,
				"%s is there, but not the database that it is part of: put that "
				"back, or move the file away",
				wal);
	r = make_file(opening, path);
	if (r < 0)
		return r;
	if (rename(path, opening->file.path) < 0)
		return complain_errno(opening, "make", opening->file.path);
	return sync_directory(opening);
}

/*
 * Makes sure that the file is one of ours before SQLite sees it, which might change it: a journal
 * that somebody else's program left beside it, say, would be played back.
 */
static int check_header(struct opening *opening)
{
	static const char magic[16] = "SQLite format 3"; /* with its NUL */
	const char *path = opening->file.path;
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t header[HEADER] = {0};
	const uint8_t *id = header + HEADER_APPLICATION_ID;
	struct stat status;

	if (fd < 0)
		return errno == ENOENT ? make_new(opening) : complain_errno(opening, "open", path);
	if (fstat(fd, &status) < 0)
		return complain_errno(opening, "read", path);
	if (S_ISREG(status.st_mode) && read(fd, header, sizeof(header)) < 0)
		return complain_errno(opening, "read", path);
	if (memcmp(header, magic, sizeof(magic)) == 0 &&
	    ((uint32_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]) == APPLICATION_ID)
		return 0;
	return complain(
		opening, -EBADMSG,
		"%s is no database of retortd; it is left as it is: move it away, and rooms "
		"begin anew",
		path);
}

/* ---- what is in it ---- */

/* The first value of what a statement says, as text in a buffer of size bytes. */
static int ask(struct opening *opening, const char *sql, char *text, size_t size)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(opening->file.db, sql, -1, &statement, NULL), r = 0;

	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		(void)snprintf(text, size, "%s", (const char *)sqlite3_column_text(statement, 0));
	else
		r = complain_sqlite(opening, result);
	(void)sqlite3_finalize(statement); /* says again what step said */
	return r;
}

/* A large file is not checked in full: that takes seconds, and what is read later is seen to. */
static int check_soundness(struct opening *opening)
{
	static const char *const all[] = {"PRAGMA quick_check(1)", NULL};
	static const char *const small[] = {"PRAGMA quick_check(rooms)",
					    "PRAGMA quick_check(users)",
					    "PRAGMA quick_check(sanctions)", NULL};
	struct stat status;
	char text[200];
	int r = 0;

	if (stat(opening->file.path, &status) < 0)
		return complain_errno(opening, "read", opening->file.path);
	for (const char *const *sql = status.st_size <= CHECK_ALL_MAX ? all : small; *sql && r == 0;
	     sql++) {
		r = ask(opening, *sql, text, sizeof(text));
		if (r == 0 && strcmp(text, "ok") != 0)
			r = complain(opening, -EBADMSG,
				     "%s is corrupt (%s); it is left as it is: put a copy in its "
				     "place, or move it and %s-wal away, and rooms begin anew",
				     opening->file.path, text, opening->file.path);
	}
	return r;
}

/* Tells the version of the schema, which is none that is newer than this program's. */
static int check_version(struct opening *opening, int *ret_version)
{
	int newest = database_schema_version(), r;
	char text[32];
	intmax_t version;

	r = ask(opening, "PRAGMA user_version", text, sizeof(text));
	if (r < 0)
		return r;
	version = strtoimax(text, NULL, 10);
	if (version < 0 || version > newest)
		return complain(opening, -EPROTO,
				"%s was made by a newer version of retortd (schema %jd, this one "
				"knows %i): run that one, or move the file away",
				opening->file.path, version, newest);
	*ret_version = (int)version;
	return 0;
}

/* Brings the schema from version up to date; what fails is undone when the file is closed. */
static int upgrade(struct opening *opening, int version)
{
	int newest = database_schema_version(), r;
	char sql[48];

	if (version == newest)
		return 0;
	r = run(opening, "BEGIN IMMEDIATE");
	for (; version < newest && r == 0; version++)
		r = run(opening, database_schema_step(version));
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %i; COMMIT", newest);
	return r < 0 ? r : run(opening, sql);
}

/* Opens a file that is ours. */
static int open_file(struct opening *opening)
{
	/*
	 * A batch of some hundred bytes takes a few pages of 4 KiB, so that every few hundred of
	 * them one waits for up to 1,000 pages to be moved. Of what is removed no trace need stay
	 * that costs nothing to remove.
	 */
	static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
				       "PRAGMA synchronous = FULL;"
				       "PRAGMA wal_autocheckpoint = 1000;"
				       "PRAGMA journal_size_limit = 67108864;"
				       "PRAGMA cache_size = -8192;"
				       "PRAGMA temp_store = MEMORY;"
				       "PRAGMA secure_delete = FAST;"
				       "PRAGMA cell_size_check = ON;"
				       "PRAGMA trusted_schema = OFF;";
	int version = 0, r = connect_to(opening, opening->file.path);
	sqlite3 *db = opening->file.db;
	char mode[16] = "";

	if (r < 0)
		return r;
	/* Closing a file that is found wrong must not write into it. */
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	r = run(opening, settings);
	if (r == 0)
		r = check_version(opening, &version);
	if (r == 0)
		r = check_soundness(opening);
	if (r == 0)
		r = upgrade(opening, version);
	if (r == 0)
		r = ask(opening, "PRAGMA journal_mode = WAL", mode, sizeof(mode));
	if (r == 0 && strcmp(mode, "wal") != 0)
		r = complain(opening, -EIO, "%s: cannot keep a log of writes", opening->file.path);
	if (r < 0)
		return r;
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return 0;
}

int database_file_open(const char *directory, struct database_file *ret_file, char *problem,
		       size_t size)
{
	struct opening opening = {
		.directory = directory, .file.lock = -1, .problem = problem, .problem_size = size};
	CLEANUP(freep) char *path = NULL;
	/* What begins with "file:" could be taken for a URI. */
	int r = join(&opening, *directory == '/' ? "" : "./", directory, &path);

	if (r == 0)
		r = join(&opening, path, "/rooms.db", &opening.file.path);
	if (r == 0)
		r = make_directory(&opening);
	if (r == 0)
		r = take_lock(&opening);
	if (r == 0)
		r = check_header(&opening);
	if (r == 0)
		r = open_file(&opening);
	if (r < 0) {
		database_file_close(&opening.file);
		return r;
	}
	*ret_file = opening.file;
	return 0;
}

void database_file_close(struct database_file *file)
{
	disconnect(file);
	free(file->path);
	closep(&file->lock);
	*file = (struct database_file){.lock = -1};
}
