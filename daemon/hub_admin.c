/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "names.h"
#include "object.h"
#include "util.h"

enum { PATIENCE = 2000 }; /* milliseconds that workers have to answer an inquiry */

/* An administrator's question to all workers. */
struct inquiry {
	struct list link; /* in hub->inquiries */
	struct job *job;  /* NULL: it was answered without those who did not answer */
	struct survey *surveys;
	char *reason;	  /* why a client is to go; owned; outlives the job; NULL: not said */
	unsigned waiting; /* surveys that are under way */
	uint64_t due;	  /* on the loop's clock */
};

/* Adds members to the reply, as JSON text. */
static void reply_json(struct job *job, const char *format, ...) PRINTF(2, 3);
static void reply_json(struct job *job, const char *format, ...)
{
	va_list arguments;
	char *text;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r >= 0)
		job->reply.json = job_copy(job, text);
	if (r < 0 || !job->reply.json)
		job_refuse_memory(job);
	if (r >= 0)
		free(text);
}

/* What an administrator is called; the name service may fail to say who it is. */
static const char *name_of(const struct client *client)
{
	return client->person->user ? client->person->user : client->person->nick;
}

/* Says in the log who did what to whom, and why. */
static void log_deed(const struct client *client, enum log_kind kind, const char *verb,
		     const char *whom, const char *reason)
{
	struct log_about about = {.listener = client->chat->listener,
				  .client = client->chat->id,
				  .user = client->person->user,
				  .nick = client->person->nick,
				  .reason = reason};

	log_write(kind, &about, "%s %s %s%s%s", name_of(client), verb, whom,
		  reason && *reason ? ": " : "", reason ? reason : "");
}

/*
 * Inquiries: all workers are asked, and the answer waits for them
 */

static void inquiry_free(struct hub *hub, struct inquiry *inquiry)
{
	for (unsigned i = 0; i < hub->n_workers; i++)
		buffer_done(&inquiry->surveys[i].json);
	list_remove(&inquiry->link);
	free(inquiry->surveys);
	free(inquiry->reason);
	free(inquiry);
}

/* Asks all workers; end is a client that is to go, or 0. Returns false when out of memory. */
static bool inquire(struct hub *hub, struct client *client, struct job *job, uint64_t end)
{
	const char *reason = job->request->reason;
	struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

	if (!inquiry)
		return false;
	inquiry->surveys = calloc(hub->n_workers, sizeof(*inquiry->surveys));
	inquiry->reason = reason ? strdup(reason) : NULL;
	if (!inquiry->surveys || (reason && !inquiry->reason)) {
		free(inquiry->surveys);
		free(inquiry->reason);
		free(inquiry);
		return false;
	}
	client->errands++;
	inquiry->job = job;
	inquiry->waiting = hub->n_workers;
	inquiry->due = loop_now(hub->loop) + PATIENCE;
	list_append(&hub->inquiries, &inquiry->link);
	for (unsigned i = 0; i < hub->n_workers; i++) {
		struct survey *survey = &inquiry->surveys[i];

		survey->inquiry = inquiry;
		survey->end = end;
		survey->reason = inquiry->reason;
		survey->only_turns = job->request->op == CHAT_HEALTH;
		hub_post(hub, i, &survey->letter, LETTER_SURVEY);
	}
	return true;
}

/* Sends a reply that others were asked for; whoever waited for it may be gone meanwhile. */
static void reply_late(struct hub *hub, struct job *job)
{
	struct client *client = job->client;

	client->errands--;
	hub_reply(hub, job);
	client_forget(hub, client);
}

/* What the hub knows of a connection beyond what its worker has said. */
static void complete(struct hub *hub, json_t *one)
{
	struct client *client =
		client_find(hub, (uint64_t)json_integer_value(json_object_get(one, "client")));
	struct presence *presence;
	char time[CHAT_TIME_SIZE];
	json_t *rooms;

	if (!client)
		return; /* of the transform service */
	(void)json_object_set_new(one, "nick", json_string(client->person->nick));
	(void)json_object_set_new(one, "user",
				  client->person->user ? json_string(client->person->user)
						       : json_null());
	if (client->chat->identity.unit)
		(void)json_object_set_new(one, "unit", json_string(client->chat->identity.unit));
	(void)json_object_set_new(one, "since", json_string(chat_time_format(client->since, time)));
	rooms = json_array();
	LIST_FOR_EACH(presence, &client->presences, struct presence, link)
		(void)json_array_append_new(rooms,
					    json_string(room_name(presence->room, presence->side)));
	(void)json_object_set_new(one, "rooms", rooms);
}

static int add_clients(struct hub *hub, json_t *clients, const struct survey *survey)
{
	struct buffer text = {0};
	json_t *list, *one;
	size_t i;
	int r;

	r = buffer_append(&text, "[", 1);
	if (r == 0 && survey->json.len > 0)
		r = buffer_append(&text, survey->json.data, survey->json.len - 1);
	if (r == 0)
		r = buffer_append(&text, "]", 1);
	list = r == 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
	buffer_done(&text);
	if (!list)
		return -ENOMEM;
	json_array_foreach(list, i, one)
		complete(hub, one);
	r = json_array_extend(clients, list);
	json_decref(list);
	return r < 0 ? -ENOMEM : 0;
}

static void answer_clients(struct hub *hub, struct inquiry *inquiry)
{
	json_t *clients = json_array();
	char *text;
	int r = clients ? 0 : -ENOMEM;

	for (unsigned i = 0; i < hub->n_workers && r == 0; i++)
		r = inquiry->surveys[i].failed ? -ENOMEM
					       : add_clients(hub, clients, &inquiry->surveys[i]);
	text = r == 0 ? json_dumps(clients, JSON_COMPACT) : NULL;
	if (text)
		reply_json(inquiry->job, "\"clients\":%s", text);
	else
		job_refuse_memory(inquiry->job);
	free(text);
	json_decref(clients);
}

static void answer_ended(struct hub *hub, struct inquiry *inquiry)
{
	uint64_t ended = 0;

	for (unsigned i = 0; i < hub->n_workers; i++)
		ended += inquiry->surveys[i].ended;
	if (ended == 0)
		job_refuse(inquiry->job, CHAT_NO_SUCH_NICK, "there is no client %" PRIu64,
			   inquiry->job->request->client);
	else
		reply_json(inquiry->job, "\"kicked\":%" PRIu64, ended);
}

static void post_errand(struct hub *hub, struct job *job, enum errand_kind kind,
			const char *problem);

static void answer_inquiry(struct hub *hub, struct inquiry *inquiry)
{
	struct job *job = inquiry->job;
	struct client *client = job->client;

	inquiry->job = NULL;
	if (job->request->op == CHAT_HEALTH) {
		client->errands--;
		post_errand(hub, job, ERRAND_HEALTH,
			    inquiry->waiting > 0 ? "a worker does not answer" : NULL);
		return;
	}
	inquiry->job = job;
	if (job->request->op == CHAT_CLIENTS)
		answer_clients(hub, inquiry);
	else
		answer_ended(hub, inquiry);
	inquiry->job = NULL;
	reply_late(hub, job);
}

void hub_counted(struct hub *hub, struct survey *survey)
{
	struct inquiry *inquiry = survey->inquiry;

	if (--inquiry->waiting > 0)
		return;
	if (inquiry->job)
		answer_inquiry(hub, inquiry);
	inquiry_free(hub, inquiry);
}

void hub_check_inquiries(struct hub *hub)
{
	struct inquiry *inquiry;

	LIST_FOR_EACH(inquiry, &hub->inquiries, struct inquiry, link)
		if (inquiry->job && inquiry->due <= loop_now(hub->loop)) {
			struct job *job = inquiry->job;

			if (job->request->op != CHAT_HEALTH) {
				inquiry->job = NULL;
				job_refuse(job, CHAT_STORAGE, "a worker does not answer");
				reply_late(hub, job);
			} else {
				answer_inquiry(hub, inquiry);
			}
		}
}

void hub_free_inquiries(struct hub *hub)
{
	struct inquiry *inquiry;

	LIST_FOR_EACH(inquiry, &hub->inquiries, struct inquiry, link) {
		job_free(inquiry->job);
		inquiry_free(hub, inquiry);
	}
}

/*
 * Errands: the main thread is asked
 */

static int append_problem(struct buffer *json, const char *problem)
{
	int r = object_append_string(json, problem, strlen(problem));

	return r == 0 ? buffer_append(json, ",", 1) : r;
}

static void post_errand(struct hub *hub, struct job *job, enum errand_kind kind,
			const char *problem)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	if (!errand) {
		job_refuse_memory(job);
		hub_reply(hub, job);
		client_forget(hub, job->client);
		return;
	}
	errand->kind = kind;
	errand->job = job;
	errand->letter.kind = LETTER_ERRAND;
	/* Problems are strings of an array that the main thread goes on with. */
	if (problem)
		(void)append_problem(&errand->json, problem);
	if (kind == ERRAND_HEALTH && hub->store) {
		hub_commit(hub);
		hub_note_storage(hub, store_probe(hub->store));
		if (hub->storage_failing)
			(void)append_problem(&errand->json, store_problem(hub->store));
	}
	job->client->errands++;
	mailbox_post(hub->manager, &errand->letter);
}

static void describe_sanction(const struct sanction *sanction, void *data)
{
	static const char *const whats[] = {
		[SANCTION_USER] = "user", [SANCTION_NICK] = "nick", [SANCTION_ADDRESS] = "address"};
	json_t *all = data, *one;
	char time[CHAT_TIME_SIZE];

	one = json_pack("{s:s, s:o, s:s, s:s}", whats[sanction->what], sanction->target, "until",
			sanction->until > 0 ? json_string(chat_time_format(sanction->until, time))
					    : json_null(),
			"by", sanction->by, "reason", sanction->reason);
	if (sanction->kind == SANCTION_BAN)
		(void)json_array_append_new(json_object_get(all, "bans"), one);
	else
		(void)json_array_append_new(json_object_get(all, "mutes"), one);
}

/* Completes the figures of the main thread with the hub's own. */
static void answer_stats(struct hub *hub, struct errand *errand)
{
	json_t *all = json_pack("{s:[], s:[]}", "bans", "mutes");
	char *text;

	sanctions_each(hub->sanctions, hub->now, describe_sanction, all);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	if (!text || errand->json.len == 0)
		job_refuse_memory(errand->job);
	else
		reply_json(errand->job, "%.*s\"rooms\":%" PRIu64 ",\"people\":%" PRIu64 ",%.*s",
			   (int)errand->json.len, (const char *)errand->json.data,
			   atomic_load(&hub->figures.rooms), atomic_load(&hub->figures.people),
			   (int)strlen(text) - 2, text + 1);
	free(text);
	json_decref(all);
}

void hub_errand_done(struct hub *hub, struct errand *errand)
{
	struct job *job = errand->job;

	switch (errand->kind) {
	case ERRAND_STATS:
		answer_stats(hub, errand);
		break;
	case ERRAND_HEALTH:
		reply_json(job, "\"healthy\":%s,\"problems\":[%.*s]",
			   errand->json.len > 0 ? "false" : "true",
			   (int)(errand->json.len - (errand->json.len > 0)),
			   errand->json.len > 0 ? (const char *)errand->json.data : "");
		break;
	case ERRAND_RELOAD:
		if (errand->error)
			job_refuse(job, CHAT_NOT_RELOADED, "%s", errand->error);
		break;
	}
	buffer_done(&errand->json);
	free(errand->error);
	free(errand);
	reply_late(hub, job);
}

/*
 * Kicks, bans and mutes
 */

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
	reply_json(job, "\"kicked\":%" PRIu64, n);
}

/* Returns whether the job is done, or will be done by others. */
static bool request_kick(struct hub *hub, struct client *client, struct job *job)
{
	const struct chat_request *request = job->request;
	char text[512], who[200];
	struct person *person;
	struct client *one;

	if (request->has & CHAT_HAS_CLIENT) {
		if (!inquire(hub, client, job, request->client)) {
			job_refuse_memory(job);
			return true;
		}
		one = client_find(hub, request->client);
		if (one)
			client_note_end(one, by_whom(client, "kicked", request->reason, text));
		log_deed(client, LOG_KICKED, "kicked", whom(request, who), request->reason);
		return false;
	}
	person = find_person(hub, job);
	if (!person)
		return true;
	log_deed(client, LOG_KICKED, "kicked", whom(request, who), request->reason);
	if (request->room)
		kick_from(hub, client, job, person);
	else
		reply_json(job, "\"kicked\":%" PRIu64,
			   dismiss_person(hub, person, "kicked by an administrator",
					  by_whom(client, "kicked", request->reason, text)));
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
		 kind == SANCTION_BAN ? "banned" : "muted", whom(request, who), request->reason);
	if (kind == SANCTION_BAN)
		reply_json(job, "\"kicked\":%" PRIu64,
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
			 kind == SANCTION_BAN ? "unbanned" : "unmuted", whom(request, who), NULL);
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
		post_errand(hub, job, ERRAND_STATS, NULL);
		return;
	case CHAT_RELOAD:
	case CHAT_HEALTH:
		if (!client->chat->control) {
			job_refuse(job, CHAT_NOT_ALLOWED, "this is for the control socket");
			break;
		}
		if (job->request->op == CHAT_RELOAD) {
			post_errand(hub, job, ERRAND_RELOAD, NULL);
			return;
		}
		done = !inquire(hub, client, job, 0);
		if (done)
			job_refuse_memory(job);
		break;
	case CHAT_CLIENTS:
		done = !inquire(hub, client, job, 0);
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
