/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <string.h>

#include "names.h"
#include "transform.h"
#include "util.h"

/* How people come and go: by what name, into which rooms, and out of them. */

static void describe_server(struct hub *hub, struct client *client, struct job *job)
{
	const struct chat_config *config = &hub->config->chat;
	struct chat_limits *limits = job_alloc(job, sizeof(*limits));
	const char **transforms = job_alloc(job, (TRANSFORM_COUNT + 1) * sizeof(*transforms));

	job->reply.nick = job_copy(job, client->person->nick);
	job->reply.user = job_copy(job, client->person->user);
	job->reply.server = "retortd";
	job->reply.version = RETORT_VERSION;
	if (!job->reply.nick || !limits || !transforms) {
		job_refuse_memory(job);
		return;
	}
	*limits = (struct chat_limits){
		.max_message = client->chat->max_message,
		.max_text = client->chat->max_message - CHAT_ENVELOPE,
		.max_topic = config->max_topic,
		.max_rooms = config->max_rooms_per_client,
		.rate = config->rate,
		.burst = config->burst,
	};
	job->reply.limits = limits;
	for (unsigned i = 0; i < TRANSFORM_COUNT; i++)
		transforms[i] = transform_name((enum transform)i);
	job->reply.transforms = transforms;
}

void request_hello(struct hub *hub, struct client *client, struct job *job)
{
	const struct chat_request *request = job->request;
	struct sanctions_subject subject;
	const char *message = NULL;
	int r;

	if (request->user || request->password) {
		if (!client->person->user || request->password || !request->user ||
		    strcmp(request->user, client->person->user) != 0) {
			job_refuse(
				job, CHAT_AUTH_FAILED,
				"this server knows users by their Unix socket, not by passwords");
			return;
		}
	}
	r = person_rename(hub, client->person, request->nick, &message);
	if (r < 0)
		job_refuse_memory(job);
	if (r == CHAT_OK)
		describe_server(hub, client, job);
	else if (r > 0)
		job_refuse(job, (enum chat_error)r, "\"%.128s\": %s", request->nick, message);
	if (r != CHAT_OK)
		return;
	client_log(client, LOG_KNOWN, NULL, NULL, "known by this nick");
	subject = client_subject(client);
	if (!client->is_admin && sanctions_find(hub->sanctions, SANCTION_BAN, &subject, hub->now))
		client_dismiss(hub, client, "banned", "banned");
}

/* Makes the room that somebody wants to join. */
static struct room *make_room(struct hub *hub, struct client *client, struct job *job,
			      const char *name)
{
	struct room *room;
	char *folded;

	if (!hub->config->chat.create_rooms && !client->is_admin) {
		job_refuse(job, CHAT_NO_SUCH_ROOM, "there is no room \"%s\"", name);
		return NULL;
	}
	if (!hub_may_make_room(hub, client, job))
		return NULL;
	folded = name_fold(name);
	room = folded ? room_new(hub, name, folded) : NULL;
	free(folded);
	if (!room)
		job_refuse_memory(job);
	return room;
}

/* After which number somebody who joins is owed messages. */
static uint64_t cursor_for(const struct room *room, const struct chat_request *request)
{
	if (!(request->has & CHAT_HAS_SINCE))
		return room->visible;
	if (request->since == 0)
		return room_oldest(room) - 1;
	return MIN(request->since, room->visible);
}

bool hub_seat_both(struct hub *hub, struct client *client, struct room *room, struct job *job)
{
	for (unsigned side = 0; side < ENCODING_SIDES; side++) {
		struct person *person = room->users[side] ? person_find_user(hub, room->users[side])
							  : room->guests[side];
		struct client *one;

		if (!person)
			continue;
		LIST_FOR_EACH(one, &person->clients, struct client, link) {
			if (one->chat->control || presence_find(one, room))
				continue;
			if (!presence_add(hub, one, room, room->visible) && one == client) {
				job_refuse_memory(job);
				return false;
			}
		}
	}
	return true;
}

void request_join(struct hub *hub, struct client *client, struct job *job)
{
	char *name = NULL;
	struct room *room;

	hub_commit(hub);
	room = hub_find_room(hub, client, job, &name);
	if (!room && name)
		room = make_room(hub, client, job, name);
	free(name);
	if (!room)
		return;
	if (!room_admits(hub, room, client)) {
		job_refuse(job, CHAT_NOT_ALLOWED, "the room \"%s\" is for its members", room->name);
		return;
	}
	if (!presence_find(client, room)) {
		if (client->n_rooms >= hub->config->chat.max_rooms_per_client) {
			job_refuse(job, CHAT_TOO_MANY_ROOMS,
				   "you are in %u rooms, and no client may be in more",
				   client->n_rooms);
			return;
		}
		if (!presence_add(hub, client, room, cursor_for(room, job->request))) {
			job_refuse_memory(job);
			return;
		}
		if (room->direct && !hub_seat_both(hub, client, room, job))
			return;
	}
	hub_describe_room(job, room, room_side(room, client->person));
}

void request_leave(struct hub *hub, struct client *client, struct job *job)
{
	struct presence *presence;

	hub_commit(hub);
	presence = hub_find_presence(hub, client, job);
	if (!presence)
		return;
	job->reply.room = job->request->room;
	presence_remove(hub, presence, NULL);
}
