/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "database_schema.h"

#include "util.h"

/*
 * What is written for every message is keyed by its place, a single integer made of the room's id
 * (23 bits) and the message's number (40 bits): SQLite appends to a table that is ordered by its
 * rowid faster than to any other.
 *
 * The keys of messages are in the order of the messages, too, and found by an index in memory: in
 * the order of the keys themselves every message would change a page of its own.
 *
 * What a room was trimmed up to stands with the room, so that its numbers go on when no message is
 * left; it is not written when something is said.
 */
static const char *const steps[] = {
	"CREATE TABLE rooms (id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),"
	" name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,"
	" trimmed INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE messages (place INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
	" nick TEXT NOT NULL, user TEXT, unit TEXT, text TEXT NOT NULL);"
	"CREATE TABLE users (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE sanctions (kind TEXT, what TEXT, target TEXT, until INTEGER NOT NULL,"
	" author TEXT NOT NULL, reason TEXT NOT NULL,"
	" PRIMARY KEY (kind, what, target)) WITHOUT ROWID;",

	"CREATE TABLE keys (place INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
	" sender TEXT NOT NULL, key TEXT NOT NULL);",
};

int database_schema_version(void)
{
	return ARRAY_SIZE(steps);
}

const char *database_schema_step(int version)
{
	return steps[version];
}
