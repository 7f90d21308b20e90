/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_chat.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "peer.h"
#include "util.h"

static struct peer *peer_of(struct session *session)
{
	return CONTAINER_OF(session, struct peer, session);
}

static const struct dialect *dialect_of(const struct chat *chat)
{
	return dialects[chat->dialect];
}

static void post(struct chat *chat, struct letter *letter, enum hub_letter kind)
{
	letter->kind = (uint16_t)kind;
	letter->worker = chat->worker;
	letters_add(chat->peer->peers->to_hub, letter);
}

/* Writes down where plain text is said, when that may have changed. */
static void note_room(struct chat *chat)
{
	if (chat->entry && strcmp(chat->entry->room, chat->state.room ?: "") != 0)
		ledger_write_name(chat->entry->room, chat->state.room);
}

/*
 * Answering here
 */

/* The workspace's buffer for messages that are written by a dialect. */
static struct dialect_out begin_output(struct session *session, struct workspace *workspace)
{
	workspace->json.len = 0;
	return (struct dialect_out){&workspace->json, session->framing};
}

static int answer_output(struct workspace *workspace)
{
	return answers_append(&workspace->answers, workspace->json.data, workspace->json.len);
}

/* Returns CHAT_OK and the transformed text in reply, or why not. */
static enum chat_error transform(struct workspace *workspace, const struct chat_request *request,
				 struct chat_reply *reply)
{
	struct bytes text = {(uint8_t *)request->text, request->text_len};
	struct pipeline pipeline = {0};

	for (size_t i = 0; i < request->n_with; i++) {
		int transform = transform_from_name(request->with[i]);

		if (transform < 0) {
			reply->message = "there is no such transform; the reply to hello has all";
			return CHAT_BAD_REQUEST;
		}
		pipeline.steps[pipeline.n_steps++] = (enum transform)transform;
	}
	if (pipeline_apply(&pipeline, &workspace->scratch, &text) < 0) {
		reply->message = "out of memory";
		return CHAT_TOO_LONG;
	}
	reply->text = (const char *)text.data;
	reply->text_len = text.len;
	return CHAT_OK;
}

/* Whether a request is answered by the worker. */
static bool is_local(const struct chat_request *request)
{
	return request->error != CHAT_OK || request->op == CHAT_PING ||
	       request->op == CHAT_TRANSFORM;
}

static void log_denied(const struct chat *chat, const struct chat_reply *reply)
{
	char name[PEER_NAME_MAX];
	struct log_about about;

	peer_about(chat->peer, name, &about);
	about.reason = chat_error_token(reply->error);
	log_write(LOG_DENIED, &about, "request refused: %s", about.reason);
}

static int answer_here(struct session *session, struct workspace *workspace,
		       struct chat_request *request)
{
	struct chat_reply reply = {
		.op = request->op,
		.id = request->id,
		.error = request->error,
		.message = request->complaint,
		.text = request->text,
		.text_len = request->text_len,
	};
	struct dialect_out out = begin_output(session, workspace);
	struct chat *chat = session->chat;
	int r;

	if (request->error == CHAT_OK && request->op == CHAT_TRANSFORM)
		reply.error = transform(workspace, request, &reply);
	if (request->error == CHAT_BAD_JSON)
		counters_add(session->counters, COUNTER_BAD_JSON, 1);
	counters_add_reply(session->counters, reply.error);
	if (reply.error != CHAT_OK && log_verbose())
		log_denied(chat, &reply);
	r = dialect_of(chat)->reply(&chat->state, request, &reply, &out);
	free(request);
	return r < 0 ? r : answer_output(workspace);
}

/*
 * Requests
 */

/* Whether the reply may be so long that not many of them are to be made ahead of their reader. */
static bool is_long(const struct chat_request *request)
{
	return request->op == CHAT_HISTORY || request->op == CHAT_WHO ||
	       request->op == CHAT_ROOMS || request->op == CHAT_STATS ||
	       request->op == CHAT_CLIENTS;
}

/* Whether a request can be dealt with now: replies leave in the order of their requests. */
static bool has_turn(const struct session *session, const struct chat_request *request)
{
	if (is_local(request) || is_long(request))
		return session->waiting == 0;
	return session->waiting < session->settings->max_requests &&
	       session->chat->waiting_bytes < session->settings->max_pending;
}

/* How much memory a request costs, about. */
static size_t size_of(const struct chat_request *request)
{
	const char *const strings[] = {request->id,	 request->room,	 request->key,
				       request->nick,	 request->user,	 request->password,
				       request->address, request->reason};
	size_t size = sizeof(*request) + request->text_len;

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		size += strings[i] ? strlen(strings[i]) : 0;
	return size;
}

static int deal_with(struct session *session, struct workspace *workspace,
		     struct chat_request *request)
{
	struct chat *chat = session->chat;
	struct job *job;

	if (is_local(request))
		return answer_here(session, workspace, request);
	job = job_new(chat, request);
	if (!job)
		return -ENOMEM;
	job->size = size_of(request);
	chat->waiting_bytes += job->size;
	session->waiting++;
	post(chat, &job->letter, HUB_REQUEST);
	return 0;
}

static int message(struct session *session, struct workspace *workspace,
		   const struct frame *message)
{
	struct dialect_out out = begin_output(session, workspace);
	struct chat *chat = session->chat;
	struct chat_request *request = NULL;
	int r;

	if (chat->state.quits)
		return 0; /* whatever it sends behind that, nobody is there to say it */
	r = dialect_of(chat)->request(&chat->state, message->body, &out, &request);
	note_room(chat);
	if (r < 0)
		return r;
	if (chat->state.quits)
		chat->peer->input_ended = true;
	if (workspace->json.len > 0)
		r = answer_output(workspace);
	if (!request || r < 0) {
		free(request);
		return r;
	}
	if (has_turn(session, request))
		return deal_with(session, workspace, request);
	chat->stash = request;
	return SESSION_LATER;
}

static int resume(struct session *session, struct workspace *workspace)
{
	struct chat *chat = session->chat;

	if (!has_turn(session, chat->stash))
		return SESSION_LATER;
	return deal_with(session, workspace, STEAL(chat->stash));
}

/*
 * Life
 */

struct chat *session_chat_new(struct peer *peer)
{
	struct chat *chat = calloc(1, sizeof(*chat));

	if (!chat)
		return NULL;
	list_init(&chat->seats);
	list_init(&chat->touched);
	list_init(&chat->waiter);
	chat->peer = peer;
	chat->id = peer->id;
	chat->name = peer->name;
	return chat;
}

void session_chat_attach(struct chat *chat, struct peers *peers)
{
	uint32_t entry = chat->peer->letter.entry;

	chat->audiences = peers->audiences;
	if (entry > 0 && !chat->entry) /* else the main thread has set it */
		chat->entry = &peers->ledger->entries[entry];
	chat->peer->session.unplaced = chat->entry;
}

static int open_session(struct session *session, struct workspace *workspace)
{
	const struct settings *settings = session->settings;
	struct peer *peer = peer_of(session);
	struct chat *chat = session_chat_new(peer);

	if (!chat)
		return -ENOMEM;
	session_chat_attach(chat, peer->peers);
	chat->listener = session->counters->listener;
	chat->dialect = settings->dialect;
	chat->framing = session->framing;
	chat->control = settings->service == SERVICE_CONTROL;
	chat->worker = peer->letter.worker;
	chat->max_message = settings->max_message;
	session->chat = chat;
	session->detects = chat->control;
	if (identity_get(peer->stream.fd, &chat->identity) < 0)
		return -ENOMEM;
	chat->opened = true;
	post(chat, &chat->open, HUB_OPEN);
	if (!*settings->greeting)
		return 0;
	return answers_say(&workspace->answers, session->framing, settings->greeting,
			   strlen(settings->greeting));
}

static int end(struct session *session, struct workspace *workspace, const char *reason,
	       bool reconnect)
{
	struct chat_event event = {
		.kind = CHAT_EVENT_CLOSING, .reason = reason, .reconnect = reconnect};
	struct dialect_out out = begin_output(session, workspace);
	int r = dialects[session->chat->dialect]->event(&event, &out);

	return r < 0 ? r : answer_output(workspace);
}

static void drained(struct session *session)
{
	struct chat *chat = session->chat;

	if (audiences_wants_fetch(chat->audiences, chat))
		post(chat, &chat->fetch.letter, HUB_FETCH);
}

static void describe(const struct session *session, struct log_about *about)
{
	const struct chat *chat = session->chat;

	if (!chat || !chat->naming)
		return;
	about->user = chat->naming->user;
	about->nick = chat->naming->nick;
}

const struct service session_chat = {
	.open = open_session,
	.message = message,
	.end = end,
	.resume = resume,
	.drained = drained,
	.about = describe,
};

bool session_chat_gone(struct audiences *audiences, struct chat *chat)
{
	audiences_leave(audiences, chat);
	list_remove(&chat->touched);
	if (!chat->opened)
		return false;
	post(chat, &chat->gone, HUB_GONE);
	return true;
}

bool session_chat_is_fetching(const struct chat *chat)
{
	return chat && chat->fetching;
}

void session_chat_free(struct chat *chat)
{
	if (!chat)
		return;
	identity_done(&chat->identity);
	dialect_state_done(&chat->state);
	free(chat->naming);
	free(chat->stash);
	free(chat->places);
	free(chat->nick_was);
	free(chat->user_was);
	free(chat);
}

/*
 * What comes from the hub
 */

/* Queues what a dialect has written. */
static void queue_output(struct audiences *audiences, struct chat *chat,
			 const struct buffer *buffer)
{
	struct packet *packet;

	if (buffer->len == 0)
		return;
	packet = packet_of(buffer);
	if (!packet) {
		peer_doom(chat->peer, "out of memory");
		return;
	}
	audiences_queue(audiences, chat, packet);
	packet_unref(packet);
}

void session_chat_named(struct audiences *audiences, struct naming *naming)
{
	struct chat *chat = naming->chat;
	struct workspace *workspace = &chat->peer->peers->workspace;
	struct dialect_out out = begin_output(&chat->peer->session, workspace);

	free(chat->naming);
	chat->naming = naming;
	if (!naming->greets || chat->peer->state != PEER_SERVING)
		return;
	if (dialect_of(chat)->welcome(&chat->state, naming->nick, &out) < 0)
		peer_doom(chat->peer, "out of memory");
	else
		queue_output(audiences, chat, out.buffer);
}

void session_chat_reply(struct audiences *audiences, struct job *job)
{
	struct chat *chat = job->chat;
	struct session *session = &chat->peer->session;
	struct workspace *workspace = &chat->peer->peers->workspace;
	struct dialect_out out = begin_output(session, workspace);

	session->waiting--;
	chat->waiting_bytes -= job->size;
	counters_add_reply(session->counters, job->reply.error);
	if (chat->peer->state == PEER_SERVING) {
		if (dialect_of(chat)->reply(&chat->state, job->request, &job->reply, &out) < 0)
			peer_doom(chat->peer, "out of memory");
		else
			queue_output(audiences, chat, out.buffer);
		note_room(chat);
		/* Perhaps nothing was said, and yet it was waited for. */
		audiences_touch(audiences, chat);
	}
	job_free(job);
}

void session_chat_dismissed(struct dismissal *dismissal)
{
	struct peer *peer = dismissal->chat->peer;

	if (peer->state == PEER_SERVING)
		peer_dismiss(peer, dismissal->kind, dismissal->reason, dismissal->reconnect);
	free(dismissal->reason);
	free(dismissal);
}

void session_chat_placed(struct audiences *audiences, struct chat *chat)
{
	chat->peer->session.unplaced = false;
	if (chat->peer->state == PEER_SERVING)
		audiences_touch(audiences, chat);
}

void session_chat_flush(struct audiences *audiences)
{
	struct chat *chat;

	LIST_FOR_EACH(chat, &audiences->touched, struct chat, touched) {
		struct peer *peer = chat->peer;

		peer->session.touched = false;
		list_remove(&chat->touched);
		if (peer->session.later && has_turn(&peer->session, chat->stash))
			peer_resume(peer);
		else
			peer_flush(peer);
	}
}
