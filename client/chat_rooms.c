/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_rooms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "text.h"
#include "util.h"

static void room_free(struct room *room)
{
	if (!room)
		return;
	for (size_t i = 0; i < room->n_nicks; i++)
		free(room->nicks[i]);
	free(room->nicks);
	kept_done(&room->kept);
	free(room->folded);
	free(room->name);
	free(room);
}

void rooms_done(struct rooms *rooms)
{
	for (size_t i = 0; i < rooms->n; i++)
		room_free(rooms->all[i]);
	for (size_t i = 0; i < rooms->n_known; i++)
		free(rooms->known[i]);
	free(rooms->known);
	free(rooms->all);
	*rooms = (struct rooms){0};
}

struct room *rooms_find(const struct rooms *rooms, const char *name)
{
	CLEANUP(freep) char *folded = name_fold(name);

	for (size_t i = 0; folded && i < rooms->n; i++)
		if (strcmp(rooms->all[i]->folded, folded) == 0)
			return rooms->all[i];
	return NULL;
}

static struct room *room_new(const char *name)
{
	struct room *room = calloc(1, sizeof(*room));

	if (!room)
		return NULL;
	kept_init(&room->kept);
	room->name = strdup(name);
	room->folded = name_fold(name);
	if (!room->name || !room->folded) {
		room_free(room);
		return NULL;
	}
	return room;
}

struct room *rooms_add(struct rooms *rooms, const char *name)
{
	struct room *room = rooms_find(rooms, name), **all;

	if (room)
		return room;
	all = reallocarray(rooms->all, rooms->n + 1, sizeof(*all));
	if (!all)
		return NULL;
	rooms->all = all;
	room = room_new(name);
	if (!room)
		return NULL;
	all[rooms->n++] = room;
	rooms->current = rooms->current ?: room;
	return room;
}

void rooms_remove(struct rooms *rooms, struct room *room)
{
	size_t i = 0;

	while (i < rooms->n && rooms->all[i] != room)
		i++;
	if (i == rooms->n)
		return;
	rooms->n--;
	memmove(rooms->all + i, rooms->all + i + 1, (rooms->n - i) * sizeof(struct room *));
	if (rooms->current == room)
		rooms->current = rooms->n > 0 ? rooms->all[MIN(i, rooms->n - 1)] : NULL;
	room_free(room);
}

/* Not knowing one only means that its name is not completed. */
void rooms_know(struct rooms *rooms, const char *name)
{
	for (size_t i = 0; i < rooms->n_known; i++)
		if (strcmp(rooms->known[i], name) == 0)
			return;
	if (rooms->n_known == ROOMS_KNOWN)
		return;
	rooms->known = rooms->known ?: calloc(ROOMS_KNOWN, sizeof(*rooms->known));
	if (rooms->known && (rooms->known[rooms->n_known] = strdup(name)))
		rooms->n_known++;
}

static int append(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, text, strlen(text));
}

static int append_unread(struct buffer *prompt, const struct room *room, const char *before)
{
	char count[32];
	int r = append(prompt, before);

	(void)snprintf(count, sizeof(count), " %zu%s", room->unread, room->mentioned ? "!" : "");
	if (r == 0)
		r = text_append_safe(prompt, room->name, strlen(room->name));
	return r == 0 ? append(prompt, count) : r;
}

int rooms_prompt(const struct rooms *rooms, bool connected, struct buffer *prompt)
{
	const char *before = " | ", *name = rooms->current ? rooms->current->name : "-";
	int r = append(prompt, "[");

	if (r == 0)
		r = text_append_safe(prompt, name, strlen(name));
	if (r == 0 && !connected)
		r = append(prompt, ", not connected");
	for (size_t i = 0; r == 0 && i < rooms->n; i++) {
		if (rooms->all[i] == rooms->current || rooms->all[i]->unread == 0)
			continue;
		r = append_unread(prompt, rooms->all[i], before);
		before = ", ";
	}
	return r == 0 ? append(prompt, "] ") : r;
}

/* Returns where the nick stands, or n_nicks. */
static size_t nick_index(const struct room *room, const char *nick)
{
	size_t i = 0;

	while (i < room->n_nicks && strcmp(room->nicks[i], nick) != 0)
		i++;
	return i;
}

/* Not knowing somebody only means that the name is not completed. */
void room_meet(struct room *room, const char *nick)
{
	size_t i = nick_index(room, nick);
	char *met;

	if (i < room->n_nicks) {
		met = room->nicks[i];
	} else {
		met = strdup(nick);
		if (met && !room->nicks)
			room->nicks = calloc(ROOM_NICKS, sizeof(*room->nicks));
		if (!met || !room->nicks) {
			free(met);
			return;
		}
		if (room->n_nicks == ROOM_NICKS)
			free(room->nicks[--room->n_nicks]);
		i = room->n_nicks++;
	}
	memmove(room->nicks + 1, room->nicks, i * sizeof(*room->nicks));
	room->nicks[0] = met;
}

void room_part(struct room *room, const char *nick)
{
	size_t i = nick_index(room, nick);

	if (i == room->n_nicks)
		return;
	free(room->nicks[i]);
	room->n_nicks--;
	memmove(room->nicks + i, room->nicks + i + 1, (room->n_nicks - i) * sizeof(*room->nicks));
}

/* A character beyond ASCII counts as a letter: a name is rather not seen than seen in a word. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (uint8_t)c >= 0x80;
}

bool nick_mentioned(const char *nick, const char *text)
{
	CLEANUP(freep) char *needle = name_fold(nick), *hay = name_fold(text);
	const char *found = hay;
	size_t len;

	if (!needle || !hay || !*needle)
		return false;
	len = strlen(needle);
	while ((found = strstr(found, needle))) {
		if ((found == hay || !is_letter(found[-1])) && !is_letter(found[len]))
			return true;
		found++;
	}
	return false;
}
