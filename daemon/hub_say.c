/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "util.h"

/*
 * What people say and what they have rooms be about. A message is staged here: appended to the log
 * within the batch's transaction, and written for those who are to get it. hub_commit() does the
 * rest.
 */

static void refuse_storage(struct hub *hub, struct job *job, int error)
{
	job_refuse(job, CHAT_STORAGE, "nothing was said: %s",
		   hub->store && error != -ENOMEM ? store_problem(hub->store) : "out of memory");
}

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
		char name[PEER_NAME_MAX];
		struct log_about about;

		client_about(client, name, &about);
		about.reason = chat_error_token(CHAT_SLOW_DOWN);
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

void request_say(struct hub *hub, struct client *client, struct job *job)
{
	struct presence *presence;
	struct room *room = NULL;

	if (!may_say(hub, client, job))
		return;
	if (job->request->room[0] != '@') {
		presence = hub_find_presence(hub, client, job);
		room = presence ? presence->room : NULL;
	} else {
		room = hub_find_direct(hub, client, job, true);
		if (!room && users_lacks(hub->users))
			client->tokens += 1; /* it is run again, and takes one then */
		if (room && !hub_seat_both(hub, client, room, job))
			room = NULL;
	}
	if (!room)
		return;
	job->reply.room = job->request->room;
	say_in(hub, client, room, job);
}

void request_topic(struct hub *hub, struct client *client, struct job *job)
{
	const char *text = job->request->text;
	struct chat_event event = {.kind = CHAT_EVENT_TOPIC, .nick = client->person->nick};
	struct presence *presence;
	struct room *room;
	char *topic;
	int r = 0;

	hub_commit(hub);
	presence = hub_find_presence(hub, client, job);
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
