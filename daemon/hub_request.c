/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "names.h"
#include "transform.h"
#include "util.h"

enum {
	REPLY_BYTES = 1 << 20,	  /* of texts that one reply to history holds, about */
	FETCH_BYTES = 128 * 1024, /* of messages that one fetch brings, about */
};

static void refuse_storage(struct hub *hub, struct job *job, int error)
{
	job_refuse(job, CHAT_STORAGE, "nothing was said: %s",
		   hub->store && error != -ENOMEM ? store_problem(hub->store) : "out of memory");
}

/*
 * Which room is meant
 */

static bool may_make_room(struct hub *hub, const struct client *client, struct job *job)
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

/* Finds the direct room with @NICK, or makes it. Refuses the job when there is none. */
static struct room *find_direct(struct hub *hub, struct client *client, struct job *job, bool make)
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
	} else if (may_make_room(hub, client, job)) {
		room = room_direct(hub, client->person, other, user, true);
		if (!room)
			job_refuse_memory(job);
	}
out:
	free(nick);
	free(folded);
	return room;
}

/*
 * Finds the room that the request names. Returns NULL when there is none; then the job is refused,
 * unless ret_name is given and such a room could be made: that gets its name, to be freed.
 */
static struct room *find_room(struct hub *hub, struct client *client, struct job *job,
			      char **ret_name)
{
	const char *text = job->request->room, *reason;
	char *name, *folded;
	struct room *room;
	int r;

	if (text[0] == '@')
		return find_direct(hub, client, job, ret_name);
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

/* Like find_room(), for looking into it. */
static struct room *find_open_room(struct hub *hub, struct client *client, struct job *job)
{
	struct room *room = find_room(hub, client, job, NULL);

	if (room && !room_admits(hub, room, client)) {
		job_refuse(job, CHAT_NOT_ALLOWED, "the room \"%s\" is for its members",
			   job->request->room);
		return NULL;
	}
	return room;
}

/* Finds where the client is, by the room that the request names. Refuses the job otherwise. */
static struct presence *find_presence(struct hub *hub, struct client *client, struct job *job)
{
	const char *text = job->request->room;
	struct presence *presence = client->recent;
	struct room *room;

	/* Most people speak where they have just spoken. */
	if (presence && strcmp(presence->asked, text) == 0)
		return presence;
	room = find_room(hub, client, job, NULL);
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

/*
 * Saying
 */

/* Takes a token of the client's bucket. Returns 0, or in how many milliseconds there is one. */
static uint64_t take_token(const struct hub *hub, struct client *client)
{
	const struct chat_config *config = &hub->config->chat;
	uint64_t passed;

	if (config->rate == 0)
		return 0;
	passed = hub->now - MIN(hub->now, client->tokens_time);
	client->tokens += (double)passed * (double)config->rate / 1000;
	client->tokens = MIN(client->tokens, (double)config->burst);
	client->tokens_time = hub->now;
	if (client->tokens >= 1) {
		client->tokens -= 1;
		return 0;
	}
	return (uint64_t)((1 - client->tokens) * 1000 / (double)config->rate) + 1;
}

/* Whether the client may say something, wherever. */
static bool may_say(struct hub *hub, struct client *client, struct job *job)
{
	struct sanctions_subject subject = client_subject(client);
	const uint64_t limit = client->chat->max_message - CHAT_ENVELOPE;
	const struct sanction *mute;
	uint64_t wait;

	if (job->request->text_len > limit) {
		job_refuse(job, CHAT_TOO_LONG,
			   "a text of %zu bytes is longer than the limit of %" PRIu64 " bytes",
			   job->request->text_len, limit);
		return false;
	}
	mute = sanctions_find(hub->sanctions, SANCTION_MUTE, &subject, hub->now);
	if (mute) {
		job_refuse(job, CHAT_MUTED, "you are muted%s%s", *mute->reason ? ": " : "",
			   mute->reason);
		return false;
	}
	wait = take_token(hub, client);
	if (wait > 0) {
		struct log_about about = {.listener = client->chat->listener,
					  .nick = client->person->nick,
					  .user = client->person->user,
					  .client = client->chat->id};

		job_refuse(job, CHAT_SLOW_DOWN, "more messages than this server takes");
		job->reply.retry_after = wait;
		log_folded(LOG_SLOW_DOWN, &about, "says more than chat.rate allows, refused");
		return false;
	}
	return true;
}

/* Who speaks, for telling keys apart. */
static const char *sender_of(const struct person *person, char sender[static 160])
{
	(void)snprintf(sender, 160, "%s%.128s", person->user ? "" : "@",
		       person->user ? person->user : person->folded);
	return sender;
}

static int note_staged(struct hub *hub, struct job *job, struct room *room)
{
	if (hub->n_staged == hub->staged_size) {
		size_t size = MAX(2 * hub->staged_size, (size_t)64);
		struct staged *staged = reallocarray(hub->staged, size, sizeof(*staged));

		if (!staged)
			return -ENOMEM;
		hub->staged = staged;
		hub->staged_size = size;
	}
	hub->staged[hub->n_staged++] = (struct staged){job, room};
	return 0;
}

/* Whether the same was said already; then the reply says so. */
static bool is_duplicate(struct room *room, struct job *job, const char *sender, int *ret_error)
{
	uint64_t seq = 0, time = 0;

	*ret_error = 0;
	if (!job->request->key || !room->history)
		return false;
	*ret_error = history_find_key(room->history, sender, job->request->key, &seq, &time);
	if (*ret_error < 0 || seq == 0)
		return false;
	job->reply.duplicate = true;
	job->reply.seq = seq;
	job->reply.time = time;
	return true;
}

/* Makes a user known who speaks here for the first time. Returns 0 or what the store said. */
static int note_user(struct hub *hub, struct person *person)
{
	int r;

	if (!person->user || person->has_spoken)
		return 0;
	r = users_add(hub->users, person->user);
	if (r == 0)
		r = store_add_user(hub->store, person->user);
	person->has_spoken = r == 0;
	return r;
}

/*
 * Appends to a durable log, within a transaction. Once staged, the job is refused with all others
 * if any of this fails.
 */
static int append_durable(struct hub *hub, struct client *client, struct room *room,
			  struct job *job, struct chat_message *message, const char *sender)
{
	int r = hub_begin(hub);

	if (r == 0)
		r = note_staged(hub, job, room);
	if (r == 0)
		r = note_user(hub, client->person);
	if (r == 0)
		r = history_append(room->history, message, sender, job->request->key);
	return r;
}

/* Appends to the log, and readies what is to be delivered. Returns 0 or a negative errno. */
static int append(struct hub *hub, struct client *client, struct room *room, struct job *job,
		  const char *sender)
{
	struct bytes text = {(uint8_t *)job->request->text, job->request->text_len};
	struct chat_message message = {
		.time = hub->now,
		.from = client->person->nick,
		.user = client->person->user,
		.unit = client->chat->identity.unit,
	};
	bool hides = dialects[client->chat->dialect]->hides_own;
	int r = 0;

	if (room->config)
		r = pipeline_apply(&room->config->pipeline, &hub->scratch, &text);
	message.text = (const char *)text.data;
	message.text_len = text.len;
	if (r == 0)
		r = room->durable
			    ? append_durable(hub, client, room, job, &message, sender)
			    : history_append(room->history, &message, sender, job->request->key);
	if (r < 0)
		return r;
	/* What is written here and cannot be delivered now is in the log for those who miss it. */
	(void)room_stage(hub, room, &message, hides ? client->chat : NULL);
	job->reply.seq = message.seq;
	job->reply.time = message.time;
	hub->staged_bytes += message.text_len;
	return 0;
}

/* Says it in a room. */
static void say_in(struct hub *hub, struct client *client, struct room *room, struct job *job)
{
	char sender[160];
	int r;

	r = room_ready_history(hub, room);
	(void)sender_of(client->person, sender);
	if (r == 0 && is_duplicate(room, job, sender, &r)) {
		/* The first one may not be committed yet: this is true when that is. */
		r = hub->writing && room->durable ? note_staged(hub, job, room) : 0;
		if (r < 0)
			job_refuse_memory(job);
		return;
	}
	if (r == 0)
		r = append(hub, client, room, job, sender);
	if (r == 0)
		return;
	refuse_storage(hub, job, r);
	if (room->durable)
		hub_fail(hub, r);
}

/* Seats everybody whose talk it is. Returns false when the job is refused. */
static bool seat_both(struct hub *hub, struct client *client, struct room *room, struct job *job)
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

static void request_say(struct hub *hub, struct client *client, struct job *job)
{
	struct presence *presence;
	struct room *room = NULL;

	if (!may_say(hub, client, job))
		return;
	if (job->request->room[0] != '@') {
		presence = find_presence(hub, client, job);
		room = presence ? presence->room : NULL;
	} else {
		room = find_direct(hub, client, job, true);
		if (room && !seat_both(hub, client, room, job))
			room = NULL;
	}
	if (!room)
		return;
	job->reply.room = job->request->room;
	say_in(hub, client, room, job);
}

/*
 * Joining and leaving
 */

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
	if (!may_make_room(hub, client, job))
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

static void describe_room(struct job *job, const struct room *room, unsigned side)
{
	job->reply.room = job_copy(job, room_name(room, side));
	job->reply.topic = job_copy(job, room->topic);
	job->reply.seq = room->visible;
	job->reply.oldest = room_oldest(room);
	job->reply.n_members = room->n_members;
}

static void request_join(struct hub *hub, struct client *client, struct job *job)
{
	char *name = NULL;
	struct room *room;

	hub_commit(hub);
	room = find_room(hub, client, job, &name);
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
		if (room->direct && !seat_both(hub, client, room, job))
			return;
	}
	describe_room(job, room, room_side(room, client->person));
}

static void request_leave(struct hub *hub, struct client *client, struct job *job)
{
	struct presence *presence;

	hub_commit(hub);
	presence = find_presence(hub, client, job);
	if (!presence)
		return;
	job->reply.room = job->request->room;
	presence_remove(hub, presence, NULL);
}

/*
 * Looking
 */

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

static void request_history(struct hub *hub, struct client *client, struct job *job)
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
	describe_room(job, room, room_side(room, client->person));
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

static void request_topic(struct hub *hub, struct client *client, struct job *job)
{
	const char *text = job->request->text;
	struct chat_event event = {.kind = CHAT_EVENT_TOPIC, .nick = client->person->nick};
	struct presence *presence;
	struct room *room;
	char *topic;
	int r = 0;

	hub_commit(hub);
	presence = find_presence(hub, client, job);
	if (!presence || !may_say(hub, client, job))
		return;
	room = presence->room;
	if (job->request->text_len > hub->config->chat.max_topic) {
		job_refuse(job, CHAT_TOO_LONG,
			   "a topic of %zu bytes is longer than the limit of %" PRIu64 " bytes",
			   job->request->text_len, hub->config->chat.max_topic);
		return;
	}
	topic = strdup(text);
	if (!topic)
		r = -ENOMEM;
	if (r == 0)
		r = room_ready_history(hub, room);
	if (r == 0 && room->durable) {
		r = hub_begin(hub);
		if (r == 0)
			r = store_set_topic(hub->store, room->stored, topic);
		r = hub_end(hub, r);
	}
	if (r < 0) {
		free(topic);
		refuse_storage(hub, job, r);
		return;
	}
	free(room->topic);
	room->topic = topic;
	event.text = topic;
	room_broadcast(hub, room, &event);
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

static void request_who(struct hub *hub, struct client *client, struct job *job)
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

static void request_rooms(struct hub *hub, struct client *client, struct job *job)
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

/*
 * Saying who one is
 */

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

static void request_hello(struct hub *hub, struct client *client, struct job *job)
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
	subject = client_subject(client);
	if (!client->is_admin && sanctions_find(hub->sanctions, SANCTION_BAN, &subject, hub->now))
		client_dismiss(hub, client, "banned", "banned");
}

/*
 * All requests
 */

typedef void handler(struct hub *hub, struct client *client, struct job *job);

static handler *const handlers[CHAT_OPS] = {
	[CHAT_HELLO] = request_hello,	  [CHAT_JOIN] = request_join,
	[CHAT_LEAVE] = request_leave,	  [CHAT_SAY] = request_say,
	[CHAT_HISTORY] = request_history, [CHAT_TOPIC] = request_topic,
	[CHAT_WHO] = request_who,	  [CHAT_ROOMS] = request_rooms,
};

void hub_request(struct hub *hub, struct job *job)
{
	enum chat_op op = job->request->op;
	struct client *client = job->chat->client;

	if (!client) {
		job_refuse_memory(job);
	} else if (!handlers[op]) {
		hub_admin_request(hub, client, job);
		return;
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
	hub_reply(hub, job);
}

/*
 * Members that are behind
 */

struct fetching {
	struct buffer buffer;
	struct room *room;
	const struct chat *chat;
	unsigned side;
	uint64_t last;
};

static int fetch_event(struct fetching *fetching, struct chat_event *event)
{
	struct dialect_out out = {&fetching->buffer, fetching->chat->framing};

	event->room = room_name(fetching->room, fetching->side);
	return dialects[fetching->chat->dialect]->event(event, &out);
}

static int fetch_message(const struct chat_message *message, void *data)
{
	struct chat_event event = {.kind = CHAT_EVENT_MESSAGE, .message = *message};
	struct fetching *fetching = data;
	int r = fetch_event(fetching, &event);

	if (r < 0)
		return r;
	fetching->last = message->seq;
	return fetching->buffer.len >= FETCH_BYTES;
}

/* Writes what follows cursor. Returns 0 or a negative errno. */
static int fetch_from(struct fetching *fetching, uint64_t cursor)
{
	struct room *room = fetching->room;
	uint64_t oldest = room_oldest(room);
	int r = 0;

	fetching->last = cursor;
	if (cursor + 1 < oldest) {
		struct chat_event gap = {
			.kind = CHAT_EVENT_GAP, .first = cursor + 1, .last = oldest - 1};

		r = fetch_event(fetching, &gap);
		fetching->last = oldest - 1;
	}
	if (r == 0 && room->history && fetching->last < room->visible)
		r = history_read(room->history, fetching->last + 1, room->visible, fetch_message,
				 fetching);
	return MIN(r, 0);
}

/* Fills in what fetch asks for, as a member has it. Returns 0 or a negative errno. */
static int fill_fetch(struct fetch *fetch, const struct presence *presence)
{
	struct fetching fetching = {
		.chat = fetch->chat, .room = presence->room, .side = presence->side};
	struct packet *packet = NULL;
	int r = fetch_from(&fetching, fetch->cursor);

	if (r == 0 && !(packet = packet_new(fetching.buffer.len)))
		r = -ENOMEM;
	if (r == 0) {
		if (fetching.buffer.len > 0)
			memcpy(packet->data, fetching.buffer.data, fetching.buffer.len);
		packet->len = fetching.buffer.len;
		fetch->packet = packet;
		fetch->cursor = fetching.last;
		fetch->caught_up = fetching.last >= presence->room->visible;
	}
	buffer_done(&fetching.buffer);
	return r;
}

void hub_fetch(struct hub *hub, struct chat *chat)
{
	struct client *client = chat->client;
	struct presence *presence = NULL, *one;

	if (client)
		LIST_FOR_EACH(one, &client->presences, struct presence, link)
			if (one->room->number == chat->fetch.room)
				presence = one;
	/* Whoever cannot be told what is owed had better come again. */
	if (presence && fill_fetch(&chat->fetch, presence) < 0)
		client_dismiss(hub, client, "its room's log cannot be read",
			       "the room's log cannot be read");
	hub_post(hub, chat->worker, &chat->fetch.letter, LETTER_FETCHED);
}
