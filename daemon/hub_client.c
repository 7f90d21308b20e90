/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <search.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/*
 * Connections: whose they are, what they may do, and how they end. A client lives until its worker
 * has given it up and nothing is under way for it.
 */

static int compare_client(const void *a, const void *b)
{
	return COMPARE(((const struct client *)a)->chat->id, ((const struct client *)b)->chat->id);
}

struct client *client_find(struct hub *hub, uint64_t id)
{
	struct chat chat = {.id = id};
	struct client wanted = {.chat = &chat};
	struct client **node = tfind(&wanted, &hub->clients_by_id, compare_client);

	return node ? *node : NULL;
}

struct sanctions_subject client_subject(const struct client *client)
{
	const struct peer_name *name = &client->chat->name;

	return (struct sanctions_subject){
		.user = client->person->user,
		.nick = client->person->nick,
		.ip = name->family == AF_UNIX ? NULL : &name->ip,
	};
}

void client_about(const struct client *client, char text[static PEER_NAME_MAX],
		  struct log_about *ret_about)
{
	*ret_about = (struct log_about){
		.listener = client->chat->listener,
		.peer = peer_name_format(&client->chat->name, text),
		.client = client->chat->id,
		.user = client->person->user,
		.nick = client->person->nick,
	};
}

void client_log(const struct client *client, enum log_kind kind, const char *room,
		const char *reason, const char *what)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	if (!log_verbose())
		return;
	client_about(client, text, &about);
	about.room = room;
	about.reason = reason;
	log_write(kind, &about, "%s%s%s%s%s", what, room ? " " : "", room ? room : "",
		  reason ? ": " : "", reason ? reason : "");
}

void client_note_end(struct client *client, const char *reason)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	client_about(client, text, &about);
	about.reason = reason;
	log_folded(LOG_DISMISSED, &about, "its connection is ended: %s", reason);
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
	if (client->chat->entry)
		ledger_give_up(client->chat->entry); /* others may know of it already */
	client_note_end(client, reason);
	*dismissal = (struct dismissal){.chat = client->chat, .kind = kind, .reason = copy};
	hub_post(hub, client->chat->worker, &dismissal->letter, LETTER_DISMISSAL);
}

/* Finds what bans a connection; NULL: nothing. */
static const struct sanction *find_ban(const struct hub *hub, const struct client *client)
{
	struct sanctions_subject subject = client_subject(client);

	if (client->is_admin || client->chat->control)
		return NULL; /* nobody locks them out */
	return sanctions_find(hub->sanctions, SANCTION_BAN, &subject, hub->now);
}

static void refuse_banned(struct hub *hub, struct client *client, const struct sanction *ban)
{
	char reason[512];

	(void)snprintf(reason, sizeof(reason), "banned%s%s", *ban->reason ? ": " : "", ban->reason);
	client_dismiss(hub, client, "banned", reason);
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
	static char *const operators[] = {"@retort-admin"};
	const struct chat_config *config = &hub->config->chat;
	const struct identity *identity = &client->chat->identity;

	/* Whoever owns the machine is never locked out by a mistake in the configuration. */
	if (client->chat->control && identity->proven && identity->uid == 0)
		return true;
	/* Whom the machine trusts with the service; elsewhere the configuration alone says who. */
	if (client->chat->control && users_match(hub->users, NULL, identity, operators, 1))
		return true;
	return client->person->user &&
	       users_match(hub->users, client->person->user, &client->chat->identity,
			   config->admins, config->n_admins);
}

static void post_naming(struct hub *hub, const struct client *client, bool greets)
{
	const struct person *person = client->person;
	size_t nick = strlen(person->nick) + 1, user = person->user ? strlen(person->user) + 1 : 0;
	struct naming *naming = malloc(sizeof(*naming) + nick + user);

	if (!naming)
		return; /* it can do without */
	*naming = (struct naming){.chat = client->chat, .greets = greets};
	memcpy(naming->nick, person->nick, nick);
	if (person->user)
		naming->user = memcpy(naming->nick + nick, person->user, user);
	hub_post(hub, client->chat->worker, &naming->letter, LETTER_NAMED);
}

void client_note_nick(struct hub *hub, const struct client *client, bool greets)
{
	if (client->chat->entry)
		ledger_write_nick(client->chat->entry, client->person->nick);
	post_naming(hub, client, greets);
}

struct client *client_new(struct hub *hub, struct chat *chat, struct person *person)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	list_init(&client->presences);
	client->chat = chat;
	client->since = hub->now;
	client->tokens = CONFIG_RATE_MAX; /* of which no more than the burst counts then */
	client->tokens_time = hub->now;
	client->person = person;
	if (!tsearch(client, &hub->clients_by_id, compare_client)) {
		free(client);
		return NULL;
	}
	list_append(&person->clients, &client->link);
	person->hidden = is_hidden(person);
	chat->client = client;
	client->unsure = true;
	users_begin(hub->users);
	(void)client_make_sure(hub, client);
	if (chat->entry)
		ledger_write_name(chat->entry->user, person->user);
	return client;
}

bool client_make_sure(struct hub *hub, struct client *client)
{
	if (client->unsure)
		client->is_admin = is_admin(hub, client);
	client->unsure = users_lacks(hub->users);
	return !client->unsure;
}

/* The name of a connection's user; NULL: it is a guest. Belongs to users, until the next call. */
static const char *user_of(struct hub *hub, const struct chat *chat)
{
	return chat->identity.proven ? users_name(hub->users, chat->identity.uid) : NULL;
}

/* Asks users all that is asked of them when a connection is there. */
static void foresee(struct hub *hub, struct chat *chat)
{
	CLEANUP(freep) char *user = NULL;
	const char *name = user_of(hub, chat);
	struct person person = {0};

	if (users_lacks(hub->users))
		return;
	user = name ? strdup(name) : NULL;
	person.user = user;
	(void)is_admin(hub, &(struct client){.chat = chat, .person = &person});
	person_foresee(hub, chat, user);
}

static void open_client(struct hub *hub, struct chat *chat)
{
	const struct sanction *ban;
	struct client *client = NULL;
	struct person *person = NULL;
	const char *user = user_of(hub, chat);

	if (user)
		person = person_find_user(hub, user);
	if (!person)
		person = person_new(hub, chat, user);
	if (person)
		client = client_new(hub, chat, person);
	if (!client) { /* its requests are refused for want of memory */
		if (person && list_empty(&person->clients))
			person_free(hub, person);
		return;
	}
	client_log(client, LOG_KNOWN, NULL, NULL,
		   client->person->user ? "known as a user" : "known as a guest");
	ban = find_ban(hub, client);
	client_note_nick(hub, client, !chat->control && !ban);
	if (ban)
		refuse_banned(hub, client, ban);
}

void client_placed(struct hub *hub, struct chat *chat)
{
	if (chat->entry)
		hub_post(hub, chat->worker, &chat->open, LETTER_PLACED);
}

bool client_open(struct hub *hub, struct chat *chat)
{
	bool before;

	foresee(hub, chat);
	if (users_lacks(hub->users))
		return false;
	before = users_make_do(hub->users, true);
	open_client(hub, chat);
	(void)users_make_do(hub->users, before);
	return true;
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
	person_end_talks(hub, person);
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

/* A listener that is gone, or is none of chat any more, leaves its last clients what they had. */
static void set_limits(struct hub *hub, struct person *person)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		struct chat *chat = client->chat;
		const struct listener_config *listener = config_find(hub->config, chat->listener);

		if (listener && listener->settings.service == SERVICE_CHAT)
			chat->max_message = listener->settings.max_message;
	}
}

/* Asks users what review_person() is going to ask. */
static void foresee_person(struct hub *hub, struct person *person)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link)
		(void)is_admin(hub, client);
}

static void review_person(struct hub *hub, struct person *person)
{
	struct client *client;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		client->is_admin = is_admin(hub, client);
		client->unsure = false;
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

static void foresee_room(struct hub *hub, struct room *room)
{
	struct membership *membership;

	LIST_FOR_EACH(membership, &room->members, struct membership, in_room)
		(void)is_admitted(hub, room, membership->person);
}

static void review_room(struct hub *hub, struct room *room)
{
	struct membership *membership;

	LIST_FOR_EACH(membership, &room->members, struct membership, in_room)
		if (!is_admitted(hub, room, membership->person))
			room_expel(hub, room, membership->person, "the room is for its members");
}

static void each_person(struct hub *hub, void (*each)(struct hub *hub, struct person *person))
{
	struct person *person;

	LIST_FOR_EACH(person, &hub->people, struct person, link)
		each(hub, person);
}

static void each_closed_room(struct hub *hub, void (*each)(struct hub *hub, struct room *room))
{
	struct room *room;

	/* A room that the configuration names is not freed when nobody is left in it. */
	LIST_FOR_EACH(room, &hub->rooms, struct room, link)
		if (room->config && room->config->n_members > 0)
			each(hub, room);
}

void hub_set_limits(struct hub *hub)
{
	each_person(hub, set_limits);
}

bool hub_review_people(struct hub *hub)
{
	bool before;

	each_person(hub, foresee_person);
	if (users_lacks(hub->users))
		return false;
	before = users_make_do(hub->users, true);
	each_person(hub, review_person);
	(void)users_make_do(hub->users, before);
	/* Whoever is an administrator is let in everywhere. */
	each_closed_room(hub, foresee_room);
	if (users_lacks(hub->users))
		return false;
	before = users_make_do(hub->users, true);
	each_closed_room(hub, review_room);
	(void)users_make_do(hub->users, before);
	return true;
}
