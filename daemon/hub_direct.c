/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "util.h"

/* The two who may be in a direct room are what it is found by. */
struct side {
	const char *user;
	struct person *person;
	char key[LOGIN_NAME_MAX + 2]; /* what the side is compared by */
};

static struct side side_of(struct person *person, const char *user)
{
	struct side side = {.user = person ? person->user : user, .person = person};

	if (side.user)
		(void)snprintf(side.key, sizeof(side.key), "@%s", side.user);
	else
		(void)snprintf(side.key, sizeof(side.key), "%p", (void *)person);
	return side;
}

/* What those on the other side call this one. */
static char *side_name(const struct side *side)
{
	char *nick = NULL, *name;
	int r;

	if (side->user)
		nick = name_from_user(side->user);
	else if (side->person)
		nick = strdup(side->person->nick);
	if (!nick)
		return NULL;
	r = asprintf(&name, "@%s", nick);
	free(nick);
	return r < 0 ? NULL : name;
}

/* Makes room the direct room of two sides. Returns 0 or -ENOMEM. */
static int make_direct(struct room *room, const struct side sides[static ENCODING_SIDES])
{
	room->direct = true;
	for (unsigned i = 0; i < ENCODING_SIDES; i++) {
		room->names[i] = side_name(&sides[1 - i]);
		room->guests[i] = sides[i].user ? NULL : sides[i].person;
		if (room->guests[i])
			room->guests[i]->talks++;
		room->users[i] = sides[i].user ? strdup(sides[i].user) : NULL;
		if (!room->names[i] || (sides[i].user && !room->users[i]))
			return -ENOMEM;
		if (!sides[i].user)
			room->durable = false;
	}
	return 0;
}

struct room *room_direct(struct hub *hub, struct person *self, struct person *other,
			 const char *other_user, bool make)
{
	return room_direct_of(hub, (struct person *[]){self, other},
			      (const char *[]){NULL, other_user}, make);
}

struct room *room_direct_of(struct hub *hub, struct person *const people[static ENCODING_SIDES],
			    const char *const users[static ENCODING_SIDES], bool make)
{
	struct side sides[ENCODING_SIDES] = {side_of(people[0], users[0]),
					     side_of(people[1], users[1])};
	char folded[2 * sizeof(sides[0].key) + 2];
	struct room *room;

	if (strcmp(sides[0].key, sides[1].key) > 0) {
		struct side first = sides[1];

		sides[1] = sides[0];
		sides[0] = first;
	}
	/* No room that people name has a tab in its name. */
	(void)snprintf(folded, sizeof(folded), "%s\t%s", sides[0].key, sides[1].key);
	room = room_find(hub, folded);
	if (room || !make)
		return room;
	room = room_new(hub, NULL, folded);
	if (room && make_direct(room, sides) < 0) {
		room_free(hub, room);
		return NULL;
	}
	return room;
}

unsigned room_side(const struct room *room, const struct person *person)
{
	if (!room->direct)
		return 0;
	if (person->user)
		return !room->users[0] || strcmp(room->users[0], person->user) != 0;
	return room->guests[0] != person;
}

int room_rename_direct(struct room *room, const struct person *person)
{
	for (unsigned i = 0; i < ENCODING_SIDES; i++) {
		char *name;

		if (room->guests[i] != person)
			continue;
		if (asprintf(&name, "@%s", person->nick) < 0)
			return -ENOMEM;
		free(room->names[1 - i]);
		room->names[1 - i] = name;
	}
	return 0;
}

const char *room_name(const struct room *room, unsigned side)
{
	return room->direct ? room->names[side] : room->name;
}

struct room *room_load_direct(struct hub *hub, const char *name)
{
	struct side sides[ENCODING_SIDES] = {0};
	const char *tab = strchr(name, '\t');
	char *first = tab && tab[1] == '@' ? strndup(name + 1, (size_t)(tab - name) - 1) : NULL;
	struct room *room = NULL;

	if (first) {
		sides[0] = side_of(NULL, first);
		sides[1] = side_of(NULL, tab + 2);
		room = room_new(hub, NULL, name);
	}
	if (room && make_direct(room, sides) < 0) {
		room_free(hub, room);
		room = NULL;
	}
	free(first);
	return room;
}
