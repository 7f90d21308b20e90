/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "names.h"
#include "text.h"
#include "util.h"

/*
 * People
 */

static int compare_nick(const void *a, const void *b)
{
	return strcmp(((const struct person *)a)->folded, ((const struct person *)b)->folded);
}

static int compare_user(const void *a, const void *b)
{
	return strcmp(((const struct person *)a)->user, ((const struct person *)b)->user);
}

static int compare_client(const void *a, const void *b)
{
	uint64_t left = ((const struct client *)a)->chat->id;
	uint64_t right = ((const struct client *)b)->chat->id;

	return left < right ? -1 : left > right;
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

struct client *client_find(struct hub *hub, uint64_t id)
{
	struct chat chat = {.id = id};
	struct client wanted = {.chat = &chat};
	struct client **node = tfind(&wanted, &hub->clients_by_id, compare_client);

	return node ? *node : NULL;
}

static void person_free(struct hub *hub, struct person *person)
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

	if (old_folded)
		(void)tdelete(person, &hub->people_by_nick, compare_nick);
	person->nick = nick;
	person->folded = folded;
	free(old_nick);
	free(old_folded);
	/* When this fails, it is not found by its nick, and else all is well. */
	return tsearch(person, &hub->people_by_nick, compare_nick) ? 0 : -ENOMEM;
}

/* Makes up a nick that nobody has, from a stem and, unless number is 0, this number or another. */
static int invent_nick(struct hub *hub, struct person *person, const char *stem, uint64_t number)
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
		    (person->user || !users_find(hub->users, nick)))
			return set_nick(hub, person, nick, folded);
		free(nick);
		free(folded);
		if (!folded)
			return -ENOMEM;
	}
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

/* Makes a person of a connection that proves who it is, or of a guest. */
static struct person *new_person(struct hub *hub, struct chat *chat, const char *user)
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

/*
 * Presence
 */

struct presence *presence_find(const struct client *client, const struct room *room)
{
	struct presence *presence;

	LIST_FOR_EACH(presence, &client->presences, struct presence, link)
		if (presence->room == room)
			return presence;
	return NULL;
}

static void post_seating(struct hub *hub, const struct presence *presence, bool sits,
			 uint64_t cursor)
{
	struct chat *chat = presence->client->chat;
	struct seating *seating = malloc(sizeof(*seating));

	if (!seating) {
		client_dismiss(hub, presence->client, "out of memory", "out of memory");
		return;
	}
	*seating = (struct seating){
		.chat = chat,
		.room = presence->room->number,
		.slot = presence->room->slot,
		.sits = sits,
		.side = presence->side,
		.cursor = cursor,
		.newest = presence->room->visible,
	};
	hub_post(hub, chat->worker, &seating->letter, LETTER_SEATING);
}

static void count_seat(const struct presence *presence, bool sits)
{
	const struct chat *chat = presence->client->chat;
	unsigned encoding = encoding_of(chat->dialect, chat->framing, presence->side);
	uint32_t change = sits ? 1 : -1u;

	presence->room->seats[chat->worker * ENCODINGS + encoding] += change;
	presence->room->wanted[encoding] += change;
}

static struct membership *find_membership(const struct person *person, const struct room *room)
{
	struct membership *membership;

	LIST_FOR_EACH(membership, &person->memberships, struct membership, in_person)
		if (membership->room == room)
			return membership;
	return NULL;
}

/* Somebody is a member from now on; the others are told. */
static struct membership *become_member(struct hub *hub, struct person *person, struct room *room)
{
	struct chat_event event = {.kind = CHAT_EVENT_JOIN, .nick = person->nick};
	struct membership *membership = calloc(1, sizeof(*membership));

	if (!membership)
		return NULL;
	membership->person = person;
	membership->room = room;
	membership->since = hub->now;
	list_append(&person->memberships, &membership->in_person);
	list_append(&room->members, &membership->in_room);
	room->n_members++;
	if (room_tells_presence(hub, room))
		room_broadcast(hub, room, &event);
	return membership;
}

struct presence *presence_add(struct hub *hub, struct client *client, struct room *room,
			      uint64_t cursor)
{
	struct membership *membership = find_membership(client->person, room);
	struct presence *presence;

	if (room->piece)
		hub_commit(hub); /* that is not for the new member */
	presence = calloc(1, sizeof(*presence));
	if (presence && !membership)
		membership = become_member(hub, client->person, room);
	if (!presence || !membership) {
		free(presence);
		return NULL;
	}
	membership->n++;
	presence->client = client;
	presence->room = room;
	presence->membership = membership;
	presence->side = (uint8_t)room_side(room, client->person);
	list_append(&client->presences, &presence->link);
	if (!room->direct)
		client->n_rooms++;
	count_seat(presence, true);
	post_seating(hub, presence, true, cursor);
	return presence;
}

/* Somebody is no member any more; the others are told, unless they have been. */
static void cease_member(struct hub *hub, struct membership *membership, const char *reason,
			 bool told)
{
	struct room *room = membership->room;
	struct chat_event event = {
		.kind = CHAT_EVENT_LEAVE, .nick = membership->person->nick, .reason = reason};
	bool tells = !told && room_tells_presence(hub, room);

	list_remove(&membership->in_person);
	list_remove(&membership->in_room);
	free(membership);
	room->n_members--;
	if (tells)
		room_broadcast(hub, room, &event);
}

/* Whether a room is no longer needed: nothing is in it, or it was between guests who are gone. */
static bool is_over(const struct room *room)
{
	if (room->direct && (room->guests[0] || room->guests[1]))
		return room->n_members == 0;
	return room_is_empty(room);
}

static void remove_presence(struct hub *hub, struct presence *presence, const char *reason,
			    bool told)
{
	struct membership *membership = presence->membership;
	struct client *client = presence->client;
	struct room *room = presence->room;

	if (room->piece)
		hub_commit(hub); /* that is still for the member */
	count_seat(presence, false);
	if (!client->gone)
		post_seating(hub, presence, false, 0);
	list_remove(&presence->link);
	if (!room->direct)
		client->n_rooms--;
	if (client->recent == presence)
		client->recent = NULL;
	free(presence);
	if (--membership->n == 0)
		cease_member(hub, membership, reason, told);
	if (is_over(room))
		room_free(hub, room);
}

void presence_remove(struct hub *hub, struct presence *presence, const char *reason)
{
	remove_presence(hub, presence, reason, false);
}

static void expel(struct hub *hub, struct room *room, struct person *person, bool told)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		struct presence *presence = presence_find(client, room);

		if (presence)
			remove_presence(hub, presence, NULL, told);
	}
}

void room_expel(struct hub *hub, struct room *room, struct person *person, const char *reason)
{
	struct chat_event event = {
		.kind = CHAT_EVENT_LEAVE, .nick = person->nick, .reason = reason};

	hub_commit(hub);
	room_broadcast(hub, room, &event); /* as long as it gets this, too */
	expel(hub, room, person, true);
}

/* Ends a room between two of whom one is gone: it goes with its last member. */
static void room_end(struct hub *hub, struct room *room)
{
	uint64_t n = room->n_members;

	if (n == 0)
		room_free(hub, room);
	for (; n > 0; n--)
		expel(hub, room,
		      CONTAINER_OF(room->members.next, struct membership, in_room)->person, false);
}

/* Ends all direct rooms of a guest who is gone, those that it has left included. */
static void end_talks(struct hub *hub, const struct person *person)
{
	struct room *room;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		if (person->talks == 0)
			return;
		if (room->guests[0] == person || room->guests[1] == person)
			room_end(hub, room);
	}
}

/*
 * Connections
 */

struct sanctions_subject client_subject(const struct client *client)
{
	const struct peer_name *name = &client->chat->name;

	return (struct sanctions_subject){
		.user = client->person->user,
		.nick = client->person->nick,
		.ip = name->family == AF_UNIX ? NULL : &name->ip,
	};
}

void client_note_end(struct client *client, const char *reason)
{
	free(client->end);
	client->end = strdup(reason); /* without memory, the others are told no reason */
}

void client_dismiss(struct hub *hub, struct client *client, const char *kind, const char *reason)
{
	struct dismissal *dismissal = calloc(1, sizeof(*dismissal));
	char *copy = strdup(reason);

	if (!dismissal || !copy || client->dismissed || client->gone) {
		free(dismissal);
		free(copy);
		return;
	}
	client->dismissed = true;
	client_note_end(client, reason);
	*dismissal = (struct dismissal){.chat = client->chat, .kind = kind, .reason = copy};
	hub_post(hub, client->chat->worker, &dismissal->letter, LETTER_DISMISSAL);
}

static void refuse_banned(struct hub *hub, struct client *client)
{
	struct sanctions_subject subject = client_subject(client);
	const struct sanction *ban;
	char reason[512];

	if (client->is_admin)
		return; /* nobody locks them out */
	ban = sanctions_find(hub->sanctions, SANCTION_BAN, &subject, hub->now);
	if (!ban)
		return;
	(void)snprintf(reason, sizeof(reason), "banned%s%s", *ban->reason ? ": " : "", ban->reason);
	client_dismiss(hub, client, "banned", reason);
}

/* Says what somebody is called who has not asked for anything yet. */
static void greet(struct hub *hub, const struct client *client)
{
	struct welcome *welcome = calloc(1, sizeof(*welcome));
	char *nick = strdup(client->person->nick);

	if (!welcome || !nick) {
		free(welcome);
		free(nick);
		return; /* it can do without */
	}
	*welcome = (struct welcome){.chat = client->chat, .nick = nick};
	hub_post(hub, client->chat->worker, &welcome->letter, LETTER_WELCOME);
}

static bool is_hidden(const struct person *person)
{
	const struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link)
		if (!client->chat->control)
			return false;
	return true;
}

static bool is_admin(struct hub *hub, const struct client *client)
{
	const struct chat_config *config = &hub->config->chat;
	const struct identity *identity = &client->chat->identity;

	/* Whoever owns the machine is never locked out by a mistake in the configuration. */
	if (client->chat->control && identity->proven && identity->uid == 0)
		return true;
	return client->person->user &&
	       users_match(hub->users, client->person->user, &client->chat->identity,
			   config->admins, config->n_admins);
}

void client_open(struct hub *hub, struct chat *chat)
{
	struct client *client = calloc(1, sizeof(*client));
	const char *user = NULL;

	if (!client)
		return; /* its requests are refused for want of memory */
	list_init(&client->presences);
	client->chat = chat;
	client->since = hub->now;
	client->tokens = CONFIG_RATE_MAX; /* of which no more than the burst counts then */
	client->tokens_time = hub->now;
	if (chat->identity.proven)
		user = users_name(hub->users, chat->identity.uid);
	client->person = user ? person_find_user(hub, user) : NULL;
	if (!client->person)
		client->person = new_person(hub, chat, user);
	if (!client->person || !tsearch(client, &hub->clients_by_id, compare_client)) {
		if (client->person && list_empty(&client->person->clients))
			person_free(hub, client->person);
		free(client);
		return;
	}
	list_append(&client->person->clients, &client->link);
	client->person->hidden = is_hidden(client->person);
	chat->client = client;
	client->is_admin = is_admin(hub, client);
	if (chat->control)
		return;
	refuse_banned(hub, client);
	if (!client->dismissed)
		greet(hub, client);
}

void client_forget(struct hub *hub, struct client *client)
{
	struct chat *chat = client->chat;

	if (!client->gone || client->errands > 0)
		return;
	free(client->end);
	free(client);
	hub_post(hub, chat->worker, &chat->gone, LETTER_FORGOTTEN);
}

void client_gone(struct hub *hub, struct chat *chat)
{
	struct client *client = chat->client;
	struct presence *presence;
	struct person *person;

	if (!client) {
		hub_post(hub, chat->worker, &chat->gone, LETTER_FORGOTTEN);
		return;
	}
	person = client->person;
	client->gone = true;
	while (!list_empty(&client->presences)) {
		presence = CONTAINER_OF(client->presences.next, struct presence, link);
		if (presence->room->direct && !person->user)
			room_end(hub, presence->room);
		else
			presence_remove(hub, presence, client->end);
	}
	end_talks(hub, person);
	(void)tdelete(client, &hub->clients_by_id, compare_client);
	list_remove(&client->link);
	client->person = NULL;
	chat->client = NULL;
	if (list_empty(&person->clients))
		person_free(hub, person);
	else
		person->hidden = is_hidden(person);
	client_forget(hub, client);
}

static void review_person(struct hub *hub, struct person *person)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		client->is_admin = is_admin(hub, client);
		if (!person->user && !client->chat->control && !hub->config->chat.guests)
			client_dismiss(hub, client, "guests are let in no longer",
				       "guests are let in no longer");
	}
}

/* Whether somebody may still be in a room, by any connection. */
static bool is_admitted(struct hub *hub, const struct room *room, const struct person *person)
{
	const struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link)
		if (presence_find(client, room) && room_admits(hub, room, client))
			return true;
	return false;
}

static void review_room(struct hub *hub, struct room *room)
{
	struct membership *membership;

	LIST_FOR_EACH(membership, &room->members, struct membership, in_room)
		if (!is_admitted(hub, room, membership->person))
			room_expel(hub, room, membership->person, "the room is for its members");
}

void hub_review_people(struct hub *hub)
{
	struct person *person;
	struct room *room;

	LIST_FOR_EACH(person, &hub->people, struct person, link)
		review_person(hub, person);
	/* A room that the configuration names is not freed when nobody is left in it. */
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room->config && room->config->n_members > 0)
			review_room(hub, room);
}
