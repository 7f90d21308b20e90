/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <string.h>

#include "names.h"

/*
 * What people ask: which room they mean, and who handles it.
 */

bool hub_may_make_room(struct hub *hub, const struct client *client, struct job *job)
{
	const struct chat_config *config = &hub->config->chat;

	if (client->n_rooms >= config->max_rooms_per_client) {
		job_refuse(job, CHAT_TOO_MANY_ROOMS,
			   "you are in %u rooms, and no client may be in more", client->n_rooms);
		return false;
	}
	if (atomic_load_explicit(&hub->figures.rooms, memory_order_relaxed) >= config->max_rooms) {
		job_refuse(job, CHAT_TOO_MANY_ROOMS,
			   "there are %" PRIu64 " rooms, and no more are made", config->max_rooms);
		return false;
	}
	return true;
}

struct room *hub_find_direct(struct hub *hub, struct client *client, struct job *job, bool make)
{
	const char *text = job->request->room + 1, *reason, *user = NULL;
	char *nick = NULL, *folded = NULL;
	struct room *room = NULL;
	struct person *other;
	int r;

	r = name_make(text, strlen(text), &nick, &reason);
	if (r == 0 && !(folded = name_fold(nick)))
		r = -ENOMEM;
	if (r == -EINVAL)
		job_refuse(job, CHAT_BAD_NAME, "\"%s\" cannot be a nick: %s", text, reason);
	else if (r < 0)
		job_refuse_memory(job);
	if (r < 0)
		goto out;
	other = person_find_nick(hub, folded);
	if (!other)
		user = users_find(hub->users, nick);
	if (!other && user)
		other = person_find_user(hub, user);
	if (!other && !user) {
		job_refuse(job, CHAT_NO_SUCH_NICK, "there is nobody called \"%s\"", nick);
		goto out;
	}
	room = room_direct(hub, client->person, other, user, false);
	if (room)
		goto out;
	if (!make) {
		job_refuse(job, CHAT_NO_SUCH_ROOM, "there is no talk with \"%s\" yet", nick);
	} else if (hub_may_make_room(hub, client, job)) {
		room = room_direct(hub, client->person, other, user, true);
		if (!room)
			job_refuse_memory(job);
	}
out:
	free(nick);
	free(folded);
	return room;
}

struct room *hub_find_room(struct hub *hub, struct client *client, struct job *job, char **ret_name)
{
	const char *text = job->request->room, *reason;
	char *name, *folded;
	struct room *room;
	int r;

	if (text[0] == '@')
		return hub_find_direct(hub, client, job, ret_name);
	r = name_make(text, strlen(text), &name, &reason);
	if (r == -EINVAL) {
		job_refuse(job, CHAT_BAD_NAME, "\"%.128s\" cannot be a room: %s", text, reason);
		return NULL;
	}
	folded = r == 0 ? name_fold(name) : NULL;
	if (!folded) {
		job_refuse_memory(job);
		if (r == 0)
			free(name);
		return NULL;
	}
	room = room_find(hub, folded);
	free(folded);
	if (!room && ret_name) {
		*ret_name = name;
		return NULL;
	}
	if (!room)
		job_refuse(job, CHAT_NO_SUCH_ROOM, "there is no room \"%s\"", name);
	free(name);
	return room;
}

struct presence *hub_find_presence(struct hub *hub, struct client *client, struct job *job)
{
	const char *text = job->request->room;
	struct presence *presence = client->recent;
	struct room *room;

	/* Most people speak where they have just spoken. */
	if (presence && strcmp(presence->asked, text) == 0)
		return presence;
	room = hub_find_room(hub, client, job, NULL);
	if (!room)
		return NULL;
	presence = presence_find(client, room);
	if (!presence) {
		job_refuse(job, CHAT_NOT_MEMBER, "you are not in \"%s\": join it first", text);
		return NULL;
	}
	if (!room->direct && strlen(text) < ASKED_SIZE) {
		memcpy(presence->asked, text, strlen(text) + 1);
		client->recent = presence;
	}
	return presence;
}

typedef void handler(struct hub *hub, struct client *client, struct job *job);

static handler *const handlers[CHAT_OPS] = {
	[CHAT_HELLO] = request_hello,	  [CHAT_JOIN] = request_join,
	[CHAT_LEAVE] = request_leave,	  [CHAT_SAY] = request_say,
	[CHAT_HISTORY] = request_history, [CHAT_TOPIC] = request_topic,
	[CHAT_WHO] = request_who,	  [CHAT_ROOMS] = request_rooms,
};

bool hub_request(struct hub *hub, struct job *job)
{
	enum chat_op op = job->request->op;
	struct client *client = job->chat->client;

	if (!client) {
		job_refuse_memory(job);
	} else if (op != CHAT_SAY && !client_make_sure(hub, client)) {
		return false;
	} else if (!handlers[op]) {
		hub_admin_request(hub, client, job);
		return true;
	} else if (client->chat->control) {
		job_refuse(job, CHAT_NOT_ALLOWED,
			   "this is the control socket: talk is on the other sockets");
	} else if (!client->person->user && !hub->config->chat.guests) {
		job_refuse(job, CHAT_AUTH_REQUIRED,
			   "guests are not let in here: come over the Unix socket");
	} else if (client->dismissed) {
		job_refuse(job, CHAT_NOT_ALLOWED, "this connection is being closed");
	} else {
		handlers[op](hub, client, job);
	}
	/* All that is asked of users is asked before anything is done. */
	if (users_lacks(hub->users)) {
		job->reply = (struct chat_reply){.op = op, .id = job->request->id};
		return false;
	}
	hub_reply(hub, job);
	return true;
}
