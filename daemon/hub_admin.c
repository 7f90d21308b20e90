/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "names.h"
#include "util.h"

/*
 * What administrators ask, and what of it the hub does itself: kicks, bans and mutes. Who did what
 * to whom is said in the log.
 */

/* What an administrator is called; the name service may fail to say who it is. */
static const char *name_of(const struct client *client)
{
	return client->person->user ? client->person->user : client->person->nick;
}

/* Says in the log who did what to whom, and why. */
static void log_deed(const struct client *client, enum log_kind kind, const char *verb,
		     const char *whom, const char *room, const char *reason)
{
	char name[PEER_NAME_MAX];
	struct log_about about;

	client_about(client, name, &about);
	about.room = room;
	about.reason = reason;
	log_write(kind, &about, "%s %s %s%s%s", name_of(client), verb, whom,
		  reason && *reason ? ": " : "", reason ? reason : "");
}

/* Whom a request is about, in words. */
static const char *whom(const struct chat_request *request, char text[static 200])
{
	if (request->nick)
		(void)snprintf(text, 200, "\"%s\"", request->nick);
	else if (request->user)
		(void)snprintf(text, 200, "user %s", request->user);
	else if (request->address)
		(void)snprintf(text, 200, "address %s", request->address);
	else
		(void)snprintf(text, 200, "client %" PRIu64, request->client);
	return text;
}

/* Finds who is meant by nick or user. Refuses the job when nobody is. */
static struct person *find_person(struct hub *hub, struct job *job)
{
	const struct chat_request *request = job->request;
	struct person *person = NULL;
	char text[200];

	if (request->user) {
		person = person_find_user(hub, request->user);
	} else if (request->nick) {
		char *folded = name_fold(request->nick);

		person = folded ? person_find_nick(hub, folded) : NULL;
		free(folded);
	}
	if (!person)
		job_refuse(job, CHAT_NO_SUCH_NICK, "%s is not here", whom(request, text));
	return person;
}

static uint64_t dismiss_person(struct hub *hub, struct person *person, const char *kind,
			       const char *reason)
{
	struct client *client;
	uint64_t n = 0;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		if (client->chat->control || client->dismissed)
			continue;
		client_dismiss(hub, client, kind, reason);
		n++;
	}
	return n;
}

/* "kicked by root: spam" */
static const char *by_whom(const struct client *client, const char *verb, const char *reason,
			   char text[static 512])
{
	(void)snprintf(text, 512, "%s by %s%s%.300s", verb, client->person->nick,
		       reason && *reason ? ": " : "", reason ? reason : "");
	return text;
}

static void kick_from(struct hub *hub, struct client *client, struct job *job,
		      struct person *person)
{
	char text[512], *folded = name_fold(job->request->room);
	struct room *room = folded ? room_find(hub, folded) : NULL;
	uint64_t n = 0;
	struct client *one;

	free(folded);
	if (!room || room->direct) {
		job_refuse(job, CHAT_NO_SUCH_ROOM, "there is no room \"%s\"", job->request->room);
		return;
	}
	LIST_FOR_EACH(one, &person->clients, struct client, link)
		n += presence_find(one, room) != NULL;
	if (n == 0) {
		job_refuse(job, CHAT_NOT_MEMBER, "\"%s\" is not in \"%s\"", person->nick,
			   room->name);
		return;
	}
	room_expel(hub, room, person, by_whom(client, "kicked", job->request->reason, text));
	job_reply_json(job, "\"kicked\":%" PRIu64, n);
}

/* Returns whether the job is done, or will be done by others. */
static bool request_kick(struct hub *hub, struct client *client, struct job *job)
{
	const struct chat_request *request = job->request;
	char text[512], who[200];
	struct person *person;
	struct client *one;

	if (request->has & CHAT_HAS_CLIENT) {
		if (!hub_inquire(hub, client, job, request->client)) {
			job_refuse_memory(job);
			return true;
		}
		one = client_find(hub, request->client);
		if (one)
			client_note_end(one, by_whom(client, "kicked", request->reason, text));
		log_deed(client, LOG_KICKED, "kicked", whom(request, who), NULL, request->reason);
		return false;
	}
	person = find_person(hub, job);
	if (!person)
		return true;
	if (request->room)
		kick_from(hub, client, job, person);
	else
		job_reply_json(job, "\"kicked\":%" PRIu64,
			       dismiss_person(hub, person, "kicked by an administrator",
					      by_whom(client, "kicked", request->reason, text)));
	if (job->reply.error == CHAT_OK)
		log_deed(client, LOG_KICKED, "kicked", whom(request, who), request->room,
			 request->reason);
	return true;
}

static enum sanction_what what_of(const struct chat_request *request, const char **ret_target)
{
	*ret_target = request->user ? request->user : request->nick;
	if (*ret_target)
		return request->user ? SANCTION_USER : SANCTION_NICK;
	*ret_target = request->address;
	return SANCTION_ADDRESS;
}

static uint64_t dismiss_hit(struct hub *hub, struct person *person, const char *reason)
{
	struct client *client;
	uint64_t n = 0;

	LIST_FOR_EACH(client, &person->clients, struct client, link) {
		struct sanctions_subject subject = client_subject(client);

		if (client->chat->control || client->is_admin || client->dismissed ||
		    !sanctions_find(hub->sanctions, SANCTION_BAN, &subject, hub->now))
			continue;
		client_dismiss(hub, client, "banned", reason);
		n++;
	}
	return n;
}

/* Closes all connections that a ban hits. Returns how many. */
static uint64_t dismiss_banned(struct hub *hub, const struct client *by, const char *reason)
{
	char text[512];
	struct person *person;
	uint64_t n = 0;

	(void)by_whom(by, "banned", reason, text);
	LIST_FOR_EACH(person, &hub->people, struct person, link)
		n += dismiss_hit(hub, person, text);
	return n;
}

static void request_sanction(struct hub *hub, struct client *client, struct job *job,
			     enum sanction_kind kind)
{
	const struct chat_request *request = job->request;
	struct sanction sanction = {
		.kind = kind, .by = (char *)name_of(client), .reason = (char *)request->reason};
	const char *target;
	char who[200];
	int r;

	sanction.what = what_of(request, &target);
	sanction.target = (char *)target;
	if (!sanction.reason)
		sanction.reason = (char *)"";
	if (request->has & CHAT_HAS_DURATION)
		sanction.until = hub->now + request->duration * 1000;
	hub_commit(hub);
	r = sanctions_add(hub->sanctions, &sanction);
	if (r == -EINVAL) {
		job_refuse(job, CHAT_BAD_NAME, "\"%s\" is no name, address or network", target);
		return;
	}
	if (r < 0) {
		hub_note_storage(hub, r);
		job_refuse(job, CHAT_STORAGE, "it cannot be written: %s",
			   hub->store ? store_problem(hub->store) : "out of memory");
		return;
	}
	log_deed(client, kind == SANCTION_BAN ? LOG_BANNED : LOG_MUTED,
		 kind == SANCTION_BAN ? "banned" : "muted", whom(request, who), NULL,
		 request->reason);
	if (kind == SANCTION_BAN)
		job_reply_json(job, "\"kicked\":%" PRIu64,
			       dismiss_banned(hub, client, request->reason));
}

static void request_pardon(struct hub *hub, struct client *client, struct job *job,
			   enum sanction_kind kind)
{
	const struct chat_request *request = job->request;
	enum sanction_what what;
	const char *target;
	char who[200];
	int r;

	what = what_of(request, &target);
	hub_commit(hub);
	r = sanctions_remove(hub->sanctions, kind, what, target);
	if (r == -ENOENT || r == -EINVAL)
		job_refuse(job, CHAT_NO_SUCH_NICK, "%s is not %s", whom(request, who),
			   kind == SANCTION_BAN ? "banned" : "muted");
	else if (r < 0)
		job_refuse(job, CHAT_STORAGE, "it cannot be written: %s",
			   hub->store ? store_problem(hub->store) : "out of memory");
	else
		log_deed(client, kind == SANCTION_BAN ? LOG_UNBANNED : LOG_UNMUTED,
			 kind == SANCTION_BAN ? "unbanned" : "unmuted", whom(request, who), NULL,
			 NULL);
}

void hub_admin_request(struct hub *hub, struct client *client, struct job *job)
{
	bool done = true;

	job->client = client;
	if (!client->is_admin) {
		job_refuse(job, CHAT_NOT_ALLOWED, "this is for administrators (chat.admins)");
		hub_reply(hub, job);
		return;
	}
	switch (job->request->op) {
	case CHAT_STATS:
		hub_post_errand(hub, job, ERRAND_STATS, NULL);
		return;
	case CHAT_RELOAD:
	case CHAT_HEALTH:
		if (!client->chat->control) {
			job_refuse(job, CHAT_NOT_ALLOWED, "this is for the control socket");
			break;
		}
		if (job->request->op == CHAT_RELOAD) {
			hub_post_errand(hub, job, ERRAND_RELOAD, NULL);
			return;
		}
		done = !hub_inquire(hub, client, job, 0);
		if (done)
			job_refuse_memory(job);
		break;
	case CHAT_CLIENTS:
		done = !hub_inquire(hub, client, job, 0);
		if (done)
			job_refuse_memory(job);
		break;
	case CHAT_KICK:
		hub_commit(hub);
		done = request_kick(hub, client, job);
		break;
	case CHAT_BAN:
	case CHAT_MUTE:
		request_sanction(hub, client, job,
				 job->request->op == CHAT_BAN ? SANCTION_BAN : SANCTION_MUTE);
		break;
	default:
		request_pardon(hub, client, job,
			       job->request->op == CHAT_UNBAN ? SANCTION_BAN : SANCTION_MUTE);
		break;
	}
	if (done)
		hub_reply(hub, job);
}
