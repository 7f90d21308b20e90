/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "object.h"
#include "util.h"

/*
 * What the hub asks other threads for administrators, whose replies wait for it: inquiries go to
 * all workers, errands to the main thread. A reply counts in client->errands until it is sent, as
 * whoever waits for it may be gone meanwhile.
 */

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

static void inquiry_free(struct hub *hub, struct inquiry *inquiry)
{
	for (unsigned i = 0; i < hub->n_workers; i++)
		buffer_done(&inquiry->surveys[i].json);
	list_remove(&inquiry->link);
	free(inquiry->surveys);
	free(inquiry->reason);
	free(inquiry);
}

bool hub_inquire(struct hub *hub, struct client *client, struct job *job, uint64_t end)
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
	json_t *list;
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
	for (size_t i = 0; i < json_array_size(list); i++)
		complete(hub, json_array_get(list, i));
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
		job_reply_json(inquiry->job, "\"clients\":%s", text);
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
		job_reply_json(inquiry->job, "\"kicked\":%" PRIu64, ended);
}

static void answer_inquiry(struct hub *hub, struct inquiry *inquiry)
{
	struct job *job = inquiry->job;
	struct client *client = job->client;

	inquiry->job = NULL;
	if (job->request->op == CHAT_HEALTH) {
		client->errands--;
		hub_post_errand(hub, job, ERRAND_HEALTH,
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
 * Errands
 */

static int append_problem(struct buffer *json, const char *problem)
{
	int r = object_append_string(json, problem, strlen(problem));

	return r == 0 ? buffer_append(json, ",", 1) : r;
}

void hub_post_errand(struct hub *hub, struct job *job, enum errand_kind kind, const char *problem)
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
	if (kind == ERRAND_HEALTH && users_are_stuck(hub->users))
		(void)append_problem(&errand->json, "the name service does not answer");
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

/* What is told of the log of rooms; null when nobody talks here. */
static json_t *describe_storage(const struct hub *hub)
{
	struct store_figures figures;
	json_t *took;

	if (!hub->store)
		return json_null();
	store_figures(hub->store, &figures);
	took = json_pack("{s:I, s:I, s:I}", "total", (json_int_t)figures.commit_microseconds,
			 "mean",
			 (json_int_t)(figures.commit_microseconds / MAX(figures.commits, 1u)),
			 "max", (json_int_t)figures.longest_commit_microseconds);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "database_bytes",
			 (json_int_t)figures.database_bytes, "wal_bytes",
			 (json_int_t)figures.wal_bytes, "messages", (json_int_t)figures.messages,
			 "commits", (json_int_t)figures.commits, "failed_commits",
			 (json_int_t)figures.failed_commits, "last_commit",
			 figures.last_commit > 0 ? json_integer((json_int_t)figures.last_commit)
						 : json_null(),
			 "commit_microseconds", took);
}

/* Completes the figures of the main thread with the hub's own. */
static void answer_stats(struct hub *hub, struct errand *errand)
{
	json_t *all =
		json_pack("{s:o, s:[], s:[]}", "storage", describe_storage(hub), "bans", "mutes");
	char *text;

	sanctions_each(hub->sanctions, hub->now, describe_sanction, all);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	if (!text || errand->json.len == 0)
		job_refuse_memory(errand->job);
	else
		job_reply_json(errand->job, "%.*s\"rooms\":%" PRIu64 ",\"people\":%" PRIu64 ",%.*s",
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
		job_reply_json(job, "\"healthy\":%s,\"problems\":[%.*s]",
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
