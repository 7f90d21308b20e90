/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <string.h>

#include "util.h"

/*
 * What people look at: the logs of rooms, who is there, which rooms there are. Nobody sees a
 * message that is not committed.
 */

enum { REPLY_BYTES = 1 << 20 }; /* of texts that one reply to history holds, about */

void hub_describe_room(struct job *job, const struct room *room, unsigned side)
{
	job->reply.room = job_copy(job, room_name(room, side));
	job->reply.topic = job_copy(job, room->topic);
	job->reply.seq = room->visible;
	job->reply.oldest = room_oldest(room);
	job->reply.n_members = room->n_members;
}

/* Like hub_find_room(), for looking into it. */
static struct room *find_open_room(struct hub *hub, struct client *client, struct job *job)
{
	struct room *room = hub_find_room(hub, client, job, NULL);

	if (room && !room_admits(hub, room, client)) {
		job_refuse(job, CHAT_NOT_ALLOWED, "the room \"%s\" is for its members",
			   job->request->room);
		return NULL;
	}
	return room;
}

struct gathering {
	struct job *job;
	struct chat_message *messages;
	size_t n, size, bytes; /* not more bytes of text than REPLY_BYTES, but for one message */
};

static int gather(const struct chat_message *message, void *data)
{
	struct gathering *gathering = data;
	struct chat_message *copy = &gathering->messages[gathering->n];
	struct job *job = gathering->job;
	char *text;

	if (gathering->n == gathering->size)
		return 1;
	if (gathering->n > 0 && gathering->bytes + message->text_len > REPLY_BYTES)
		return 1;
	*copy = *message;
	copy->from = job_copy(job, message->from);
	copy->user = job_copy(job, message->user);
	copy->unit = job_copy(job, message->unit);
	text = job_alloc(job, message->text_len + 1);
	if (!copy->from || !text)
		return -ENOMEM;
	copy->text = memcpy(text, message->text, message->text_len);
	gathering->n++;
	gathering->bytes += message->text_len;
	return 0;
}

static int measure(const struct chat_message *message, void *data)
{
	*(size_t *)data += message->text_len;
	return 0;
}

/*
 * Finds from which message on, at first or after it, those up to last fit one reply; *first is set
 * to that. One by one, as a log may hold a thousand times what fits. Returns 0 or what failed.
 */
static int find_newest(struct history *history, uint64_t *first, uint64_t last)
{
	size_t bytes = 0;

	for (uint64_t seq = last; seq >= *first; seq--) {
		int r = history_read(history, seq, seq, measure, &bytes);

		if (r < 0)
			return r;
		if (bytes > REPLY_BYTES && seq < last)
			*first = seq + 1;
	}
	return 0;
}

void request_history(struct hub *hub, struct client *client, struct job *job)
{
	const struct chat_request *request = job->request;
	struct gathering gathering = {.job = job};
	uint64_t limit = request->has & CHAT_HAS_LIMIT ? request->limit : CHAT_HISTORY_DEFAULT;
	uint64_t first, last;
	struct room *room;
	int r = 0;

	hub_commit(hub);
	room = find_open_room(hub, client, job);
	if (!room)
		return;
	hub_describe_room(job, room, room_side(room, client->person));
	first = job->reply.oldest;
	last = job->reply.seq;
	if (request->has & CHAT_HAS_BEFORE && request->before <= last)
		last = request->before > 0 ? request->before - 1 : 0;
	if (request->has & CHAT_HAS_AFTER)
		first = MAX(first, request->after + 1);
	limit = MIN(limit, (uint64_t)CHAT_HISTORY_MAX);
	if (last < first || !room->history)
		return;
	if (request->has & CHAT_HAS_AFTER) {
		last = MIN(last, first + limit - 1);
	} else {
		first = MAX(first, last - MIN(last, limit) + 1);
		r = find_newest(room->history, &first, last);
	}
	gathering.size = (size_t)(last - first + 1);
	gathering.messages = job_alloc(job, gathering.size * sizeof(struct chat_message));
	if (!gathering.messages)
		r = -ENOMEM;
	if (r == 0)
		r = history_read(room->history, first, last, gather, &gathering);
	if (r < 0) {
		job_refuse(job, CHAT_STORAGE, "the log cannot be read: %s",
			   r == -ENOMEM || !room->durable ? "out of memory"
							  : store_problem(hub->store));
		return;
	}
	job->reply.messages = gathering.messages;
	job->reply.messages_len = gathering.n;
}

static void describe_member(struct job *job, const struct person *person, uint64_t since,
			    struct chat_member *ret_member)
{
	const struct client *client;

	*ret_member = (struct chat_member){
		.nick = job_copy(job, person->nick),
		.user = job_copy(job, person->user),
		.since = since,
	};
	LIST_FOR_EACH(client, &person->clients, struct client, link)
		if (!ret_member->unit && client->chat->identity.unit)
			ret_member->unit = job_copy(job, client->chat->identity.unit);
}

/* Returns 0 or -ENOMEM. */
static int list_members(struct job *job, const struct room *room)
{
	struct chat_member *members = job_alloc(job, room->n_members * sizeof(*members));
	const struct membership *membership;
	size_t n = 0;

	if (!members)
		return -ENOMEM;
	LIST_FOR_EACH(membership, &room->members, struct membership, in_room) {
		describe_member(job, membership->person, membership->since, &members[n]);
		if (!members[n++].nick)
			return -ENOMEM;
	}
	job->reply.members = members;
	job->reply.members_len = n;
	return 0;
}

static int list_people(struct hub *hub, struct job *job)
{
	size_t n = 0, most = atomic_load_explicit(&hub->figures.people, memory_order_relaxed);
	struct chat_member *members = job_alloc(job, most * sizeof(*members));
	const struct person *person;

	if (!members)
		return -ENOMEM;
	LIST_FOR_EACH(person, &hub->people, struct person, link) {
		if (person->hidden)
			continue;
		describe_member(job, person, person->since, &members[n]);
		if (!members[n++].nick)
			return -ENOMEM;
	}
	job->reply.members = members;
	job->reply.members_len = n;
	return 0;
}

void request_who(struct hub *hub, struct client *client, struct job *job)
{
	struct room *room = NULL;

	if (job->request->room) {
		room = find_open_room(hub, client, job);
		if (!room)
			return;
		job->reply.room = job->request->room;
	}
	if ((room ? list_members(job, room) : list_people(hub, job)) < 0)
		job_refuse_memory(job);
}

/* Whether somebody is shown a room in the list of rooms. */
static bool is_shown(struct hub *hub, const struct room *room, const struct client *client)
{
	const char *user = client->person->user;

	if (!room->direct)
		return room_admits(hub, room, client);
	if (!user)
		return room->guests[0] == client->person || room->guests[1] == client->person;
	return (room->users[0] && strcmp(room->users[0], user) == 0) ||
	       (room->users[1] && strcmp(room->users[1], user) == 0);
}

void request_rooms(struct hub *hub, struct client *client, struct job *job)
{
	size_t n = 0, most = atomic_load_explicit(&hub->figures.rooms, memory_order_relaxed);
	struct chat_room *rooms = job_alloc(job, most * sizeof(*rooms));
	struct room *room;

	hub_commit(hub);
	if (!rooms) {
		job_refuse_memory(job);
		return;
	}
	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		if (!is_shown(hub, room, client))
			continue;
		rooms[n] = (struct chat_room){
			.room = job_copy(job, room_name(room, room_side(room, client->person))),
			.topic = job_copy(job, room->topic),
			.seq = room->visible,
			.members = room->n_members,
		};
		if (!rooms[n].room || !rooms[n].topic) {
			job_refuse_memory(job);
			return;
		}
		n++;
	}
	job->reply.rooms = rooms;
	job->reply.rooms_len = n;
}
