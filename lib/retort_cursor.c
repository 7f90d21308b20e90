/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_cursor.h"

#include <string.h>

#include "names.h"
#include "util.h"

/* Direct messages are numbered by their sender's and receiver's log, of which both see a part. */
static bool is_direct(const struct cursor *cursor)
{
	return cursor->room[0] == '@';
}

struct cursor *cursor_find(const struct list *cursors, const char *room)
{
	CLEANUP(freep) char *folded = NULL;
	struct cursor *cursor;

	LIST_FOR_EACH(cursor, cursors, struct cursor, link)
		if (strcmp(cursor->room, room) == 0)
			return cursor;
	folded = name_fold(room);
	if (!folded)
		return NULL;
	LIST_FOR_EACH(cursor, cursors, struct cursor, link)
		if (strcmp(cursor->folded, folded) == 0)
			return cursor;
	return NULL;
}

struct cursor *cursor_add(struct list *cursors, const char *room)
{
	struct cursor *cursor = calloc(1, sizeof(*cursor));

	if (!cursor)
		return NULL;
	list_init(&cursor->link);
	cursor->room = strdup(room);
	cursor->folded = name_fold(room);
	if (!cursor->room || !cursor->folded) {
		cursor_free(cursor);
		return NULL;
	}
	list_append(cursors, &cursor->link);
	return cursor;
}

void cursor_free(struct cursor *cursor)
{
	list_remove(&cursor->link);
	free(cursor->room);
	free(cursor->folded);
	free(cursor);
}

void cursor_spell(struct cursor *cursor, const char *room)
{
	char *copy;

	if (strcmp(cursor->room, room) == 0)
		return;
	copy = strdup(room);
	if (!copy)
		return;
	free(cursor->room);
	cursor->room = copy;
}

enum cursor_pass cursor_look(const struct cursor *cursor, uint64_t seq)
{
	if (cursor_is_deaf(cursor))
		return CURSOR_OLD;
	if (!cursor->known)
		return CURSOR_NEW;
	if (seq <= cursor->seq)
		return CURSOR_OLD;
	/* After 0 comes the oldest that is kept, whatever its number. */
	if (seq > cursor->seq + 1 && cursor->seq > 0 && !is_direct(cursor))
		return CURSOR_JUMP;
	return CURSOR_NEW;
}

void cursor_move(struct cursor *cursor, uint64_t seq)
{
	if (cursor->known && seq <= cursor->seq)
		return;
	cursor->seq = seq;
	cursor->known = cursor->heard = true;
}
