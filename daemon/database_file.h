/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The file of the store: rooms.db in the state directory, and the file "lock" beside it, which
 * keeps a second process away. What is opened here is sound, ours, and of this version's schema;
 * what is not is left as it is, byte for byte. SQLite's errors become errnos here.
 *
 * One connection has the file for itself (locking_mode=EXCLUSIVE): SQLite then needs no shared
 * memory beside it, whose pages a full disk could take away under a running process.
 */

#include <sqlite3.h>
#include <stddef.h>

struct database_file {
	char *path;
	sqlite3 *db;
	int lock;
};

/*
 * Opens it as store_open() has it; with what is wrong in problem, of size bytes. On failure there
 * is nothing to close.
 */
int database_file_open(const char *directory, struct database_file *ret_file, char *problem,
		       size_t size);

void database_file_close(struct database_file *file);

/*
 * The negative errno of what SQLite said last, result; 0 for none. What the system said may still
 * stand in errno only.
 */
int database_file_errno(sqlite3 *db, int result);

/* The same in words: of the disk's error too, where it was that. */
void database_file_explain(const struct database_file *file, int result, char *text, size_t size);
