/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "text.h"
#include "util.h"

/* People and what they are called: nobody has the nick of somebody else. */

static int compare_nick(const void *a, const void *b)
{
	return strcmp(((const struct person *)a)->folded, ((const struct person *)b)->folded);
}

static int compare_user(const void *a, const void *b)
{
	return strcmp(((const struct person *)a)->user, ((const struct person *)b)->user);
}

struct person *person_find_nick(struct hub *hub, const char *folded)
{
	struct person wanted = {.folded = (char *)folded};
	struct person **node = tfind(&wanted, &hub->people_by_nick, compare_nick);

	return node ? *node : NULL;
}

struct person *person_find_user(struct hub *hub, const char *user)
{
	struct person wanted = {.user = (char *)user};
	struct person **node = tfind(&wanted, &hub->people_by_user, compare_user);

	return node ? *node : NULL;
}

void person_free(struct hub *hub, struct person *person)
{
	if (!person)
		return;
	if (person->folded && person_find_nick(hub, person->folded) == person)
		(void)tdelete(person, &hub->people_by_nick, compare_nick);
	if (person->user && person_find_user(hub, person->user) == person)
		(void)tdelete(person, &hub->people_by_user, compare_user);
	if (person->link.next) {
		list_remove(&person->link);
		atomic_fetch_sub_explicit(&hub->figures.people, 1, memory_order_relaxed);
	}
	free(person->nick);
	free(person->folded);
	free(person->user);
	free(person);
}

/* Gives somebody a nick that nobody has; takes the strings over. Returns 0 or -ENOMEM. */
static int set_nick(struct hub *hub, struct person *person, char *nick, char *folded)
{
	char *old_nick = person->nick, *old_folded = person->folded;
	const struct client *client;

	if (old_folded)
		(void)tdelete(person, &hub->people_by_nick, compare_nick);
	person->nick = nick;
	person->folded = folded;
	free(old_nick);
	free(old_folded);
	LIST_FOR_EACH(client, &person->clients, struct client, link)
		client_note_nick(hub, client, false);
	/* When this fails, it is not found by its nick, and else all is well. */
	return tsearch(person, &hub->people_by_nick, compare_nick) ? 0 : -ENOMEM;
}

/*
 * Makes up a nick that nobody has, from a stem and, unless number is 0, this number or another: for
 * a guest, or a user, who is one of those that a guest may not be called like. Returns 0 or
 * -ENOMEM.
 */
static int make_up_nick(struct hub *hub, bool guest, const char *stem, uint64_t number,
			char **ret_nick, char **ret_folded)
{
	enum { STEM_MAX = 20 }; /* bytes that leave room for a number */
	int len = (int)strnlen(stem, STEM_MAX);

	len -= (int)text_cut_suffix((const uint8_t *)stem, (size_t)len);
	for (;; number++) {
		char *nick = NULL, *folded;

		if ((number > 0 ? asprintf(&nick, "%.*s-%" PRIu64, len, stem, number)
				: asprintf(&nick, "%s", stem)) < 0)
			return -ENOMEM;
		folded = name_fold(nick);
		if (folded && !person_find_nick(hub, folded) &&
		    (!guest || !users_find(hub->users, nick))) {
			*ret_nick = nick;
			*ret_folded = folded;
			return 0;
		}
		free(nick);
		free(folded);
		if (!folded)
			return -ENOMEM;
	}
}

/* Gives somebody such a nick. */
static int invent_nick(struct hub *hub, struct person *person, const char *stem, uint64_t number)
{
	char *nick, *folded;
	int r = make_up_nick(hub, !person->user, stem, number, &nick, &folded);

	return r < 0 ? r : set_nick(hub, person, nick, folded);
}

/* Asks users what is asked of them for a guest's nick. */
static void foresee_guest(struct hub *hub, uint64_t number)
{
	char *nick, *folded;

	if (make_up_nick(hub, true, "guest", number, &nick, &folded) < 0)
		return;
	free(nick);
	free(folded);
}

/* Tells all rooms that somebody is called something else now. */
static void announce_nick(struct hub *hub, struct person *person, const char *before)
{
	struct membership *membership;
	char reason[200];

	(void)snprintf(reason, sizeof(reason), "is called %s now", person->nick);
	LIST_FOR_EACH(membership, &person->memberships, struct membership, in_person) {
		struct chat_event event = {
			.kind = CHAT_EVENT_LEAVE, .nick = before, .reason = reason};

		if (membership->room->direct) {
			/* What a guest was called may be what another one is called next. */
			(void)room_rename_direct(membership->room, person);
			continue;
		}
		if (!room_tells_presence(hub, membership->room))
			continue;
		room_broadcast(hub, membership->room, &event);
		event = (struct chat_event){.kind = CHAT_EVENT_JOIN, .nick = person->nick};
		room_broadcast(hub, membership->room, &event);
	}
}

/*
 * A user comes whose nick somebody has taken, before that user was known here: nobody keeps the
 * name of another one. Returns 0 or -ENOMEM.
 */
static int displace(struct hub *hub, const char *nick)
{
	char *folded = name_fold(nick), *own = NULL, *before = NULL;
	struct person *other = folded ? person_find_nick(hub, folded) : NULL;
	int r = folded ? 0 : -ENOMEM;

	if (other && other->user) {
		own = name_from_user(other->user);
		free(folded);
		folded = own ? name_fold(own) : NULL;
		if (!folded)
			r = -ENOMEM;
		else if (strcmp(folded, other->folded) == 0)
			other = NULL; /* it is its own name, too */
	}
	if (r == 0 && other && (before = strdup(other->nick))) {
		hub_commit(hub); /* what was said before was said by the old name */
		r = invent_nick(hub, other, own ? own : "guest", own ? 0 : 1);
		announce_nick(hub, other, before);
	}
	free(before);
	free(own);
	free(folded);
	return r;
}

void person_foresee(struct hub *hub, const struct chat *chat, const char *user)
{
	CLEANUP(freep) char *nick = user ? name_from_user(user) : NULL;
	CLEANUP(freep) char *folded = nick ? name_fold(nick) : NULL;
	struct person *other;

	if (!user) {
		foresee_guest(hub, chat->id);
	} else if (folded && !person_find_user(hub, user)) {
		other = person_find_nick(hub, folded);
		if (other && !other->user)
			foresee_guest(hub, 1); /* see displace() */
	}
}

struct person *person_new(struct hub *hub, struct chat *chat, const char *user)
{
	struct person *person = calloc(1, sizeof(*person));
	char *nick = user ? name_from_user(user) : NULL;
	int r = -ENOMEM;

	if (!person)
		goto out;
	list_init(&person->clients);
	list_init(&person->memberships);
	person->since = hub->now;
	if (user && (!nick || !(person->user = strdup(user)) ||
		     !tsearch(person, &hub->people_by_user, compare_user)))
		goto out;
	r = nick ? displace(hub, nick) : 0;
	if (r == 0)
		r = invent_nick(hub, person, nick ? nick : "guest", nick ? 0 : chat->id);
	if (r < 0)
		goto out;
	list_append(&hub->people, &person->link);
	atomic_fetch_add_explicit(&hub->figures.people, 1, memory_order_relaxed);
out:
	free(nick);
	if (r < 0) {
		person_free(hub, person);
		return NULL;
	}
	return person;
}

struct person *person_restore(struct hub *hub, char *nick, char *user)
{
	struct person *person = calloc(1, sizeof(*person));
	char *folded = nick ? name_fold(nick) : NULL;

	if (!person || !folded || person_find_nick(hub, folded) ||
	    (user && person_find_user(hub, user))) {
		free(person);
		free(folded);
		free(nick);
		free(user);
		return NULL;
	}
	list_init(&person->clients);
	list_init(&person->memberships);
	person->user = user;
	if (set_nick(hub, person, nick, folded) < 0 ||
	    (user && !tsearch(person, &hub->people_by_user, compare_user))) {
		person_free(hub, person);
		return NULL;
	}
	list_append(&hub->people, &person->link);
	atomic_fetch_add_explicit(&hub->figures.people, 1, memory_order_relaxed);
	return person;
}

/* Why somebody cannot have a nick; CHAT_OK when nothing speaks against it. */
static enum chat_error refuse_nick(struct hub *hub, const struct person *person, const char *nick,
				   const char *folded, const char **ret_message)
{
	struct person *other = person_find_nick(hub, folded);
	const char *user = NULL;

	if (other && other != person) {
		*ret_message = "somebody else has this nick now";
		return CHAT_NICK_IN_USE;
	}
	/* Whoever is known may have a name like their own, but nobody else's. */
	if (!person->user || !(user = users_find(hub->users, nick)) ||
	    strcmp(user, person->user) != 0)
		user = users_resemble(hub->users, nick);
	if (user && (!person->user || strcmp(user, person->user) != 0)) {
		*ret_message = "this is, or looks like, the name of a user known here";
		return CHAT_NOT_ALLOWED;
	}
	return CHAT_OK;
}

int person_rename(struct hub *hub, struct person *person, const char *text,
		  const char **ret_message)
{
	char *nick, *folded, *before;
	enum chat_error error;
	int r;

	r = name_make(text, strlen(text), &nick, ret_message);
	if (r == -EINVAL)
		return CHAT_BAD_NAME;
	if (r < 0)
		return r;
	folded = name_fold(nick);
	before = strdup(person->nick);
	r = folded && before ? 0 : -ENOMEM;
	error = r == 0 ? refuse_nick(hub, person, nick, folded, ret_message) : CHAT_OK;
	if (r < 0 || error != CHAT_OK || strcmp(nick, person->nick) == 0) {
		free(nick);
		free(folded);
	} else {
		hub_commit(hub); /* what was said before was said by the old name */
		r = set_nick(hub, person, nick, folded);
		announce_nick(hub, person, before);
	}
	free(before);
	return r < 0 ? r : (int)error;
}
