/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "hub_state.h"
#include "log.h"
#include "resolver.h"
#include "util.h"

enum {
	BATCH_BYTES = 4 << 20, /* of messages that are committed together, about */
	BATCH_LETTERS = 8192,  /* that are read before what they ask for is committed */
	TRIMS = 16,	       /* rooms whose logs are cut in one transaction */
	TICK = 1000,	       /* milliseconds between two looks at what is due */
	TICK_SOON = 10,	       /* likewise, while logs are too long */
};

/*
 * Output
 */

void hub_post(struct hub *hub, unsigned worker, struct letter *letter, enum letter_kind kind)
{
	letter->kind = (uint16_t)kind;
	letters_add(&hub->out[worker], letter);
}

static void log_denied(const struct job *job)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%s refused", chat_op_name(job->request->op));
	client_log(job->chat->client, LOG_DENIED, NULL, chat_error_token(job->reply.error), what);
}

void hub_reply(struct hub *hub, struct job *job)
{
	if (job->reply.error != CHAT_OK && job->chat->client && log_verbose())
		log_denied(job);
	hub_post(hub, job->chat->worker, &job->letter, LETTER_REPLY);
}

static void post_all(struct hub *hub)
{
	for (unsigned i = 0; i < hub->n_workers; i++)
		mailbox_post_all(worker_mailbox(hub->crew->members[i].worker), &hub->out[i]);
}

/*
 * The store
 */

void hub_note_storage(struct hub *hub, int result)
{
	if (result == -ENOMEM)
		return; /* not the disk's fault */
	/* On a disk that is nearly full, what is short is said and what is long refused in turns.
	 */
	if (result < 0 && !hub->storage_failing)
		log_folded(LOG_STORAGE_FAILING, NULL,
			   "the log of rooms cannot be written: %s; what is said in durable rooms "
			   "is refused until it can be",
			   store_problem(hub->store));
	if (result == 0 && hub->storage_failing)
		log_folded(LOG_STORAGE_BACK, NULL, "the log of rooms can be written again");
	hub->storage_failing = result < 0;
}

int hub_begin(struct hub *hub)
{
	int r;

	if (hub->writing)
		return 0;
	r = store_begin(hub->store);
	hub->writing = r == 0;
	return r;
}

int hub_end(struct hub *hub, int result)
{
	if (result == 0)
		result = store_commit(hub->store);
	hub_note_storage(hub, result);
	if (result < 0)
		store_rollback(hub->store);
	hub->writing = false;
	return result;
}

static void refuse_staged(struct hub *hub, int error)
{
	const char *problem = error == -ENOMEM ? "out of memory" : store_problem(hub->store);
	struct piece *piece;

	for (size_t i = 0; i < hub->n_staged; i++) {
		struct job *job = hub->staged[i].job;
		struct client *client = job->chat->client;

		job_refuse(job, CHAT_STORAGE, "nothing was said: %s", problem);
		history_undone(hub->staged[i].room->history);
		if (client)
			client->person->has_spoken = false;
	}
	hub->n_staged = 0;
	LIST_FOR_EACH(piece, &hub->pieces, struct piece, link)
		if (piece->room->durable)
			piece_drop(hub, piece);
}

void hub_fail(struct hub *hub, int error)
{
	hub_note_storage(hub, error);
	refuse_staged(hub, error);
	if (hub->writing)
		store_rollback(hub->store);
	hub->writing = false;
}

/* Keeps the logs short while much is said: what goes and what comes is committed together. */
static int trim_staged(struct hub *hub)
{
	const struct chat_config *config = &hub->config->chat;
	struct piece *piece;

	LIST_FOR_EACH(piece, &hub->pieces, struct piece, link) {
		struct history *history = piece->room->history;
		bool more;
		int r = 0;

		if (piece->room->durable &&
		    history_wants_trim(history, config->max_messages, config->max_age, hub->now))
			r = history_trim(history, config->max_messages, config->max_age, hub->now,
					 &more);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Commits what is staged, or refuses it. */
static void commit_staged(struct hub *hub)
{
	int r = trim_staged(hub);

	if (r == 0)
		r = store_commit(hub->store);
	if (r < 0) {
		hub_fail(hub, r);
		return;
	}
	hub->writing = false;
	hub_note_storage(hub, 0);
	for (size_t i = 0; i < hub->n_staged; i++)
		history_committed(hub->staged[i].room->history);
	hub->n_staged = 0;
}

void hub_commit(struct hub *hub)
{
	struct piece *piece;

	if (hub->writing)
		commit_staged(hub);
	LIST_FOR_EACH(piece, &hub->pieces, struct piece, link)
		piece_deliver(hub, piece);
	hub->staged_bytes = 0;
	post_all(hub);
}

/*
 * What is due: logs that are too long or too old
 */

/* Removes a little of one room's log, within a transaction. Returns 0 or a negative errno. */
static int trim(struct hub *hub, struct room *room, bool *ret_more)
{
	const struct chat_config *config = &hub->config->chat;
	int r = room->durable ? hub_begin(hub) : 0;

	return r < 0 ? r
		     : history_trim(room->history, config->max_messages, config->max_age, hub->now,
				    ret_more);
}

/*
 * Removes a little of some rooms' logs, all in one transaction, so that talk does not wait for as
 * many as there are rooms. Returns whether there is more to remove.
 */
static bool trim_some(struct hub *hub)
{
	const struct chat_config *config = &hub->config->chat;
	struct room *room, *trimmed[TRIMS];
	bool any_more = false;
	size_t n = 0;
	int r = 0;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		bool more = false;

		if (!room->history || !history_wants_trim(room->history, config->max_messages,
							  config->max_age, hub->now))
			continue;
		any_more |= n == TRIMS;
		if (n == TRIMS || r < 0)
			break;
		trimmed[n++] = room;
		r = trim(hub, room, &more);
		any_more |= more;
	}
	if (hub->writing || r < 0)
		r = hub_end(hub, r);
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			history_committed(trimmed[i]->history);
		else
			history_undone(trimmed[i]->history);
	}
	return r == 0 && any_more;
}

/* Takes away a few rooms of which nothing is left: nobody is there, and all has grown too old. */
static void remove_some(struct hub *hub)
{
	struct room *room;
	size_t n = 0;
	int r = 0;

	LIST_FOR_EACH(room, &hub->rooms, struct room, link) {
		if (n == TRIMS || r < 0)
			break;
		if (!room_is_over(room))
			continue;
		n++;
		r = hub_begin(hub);
		if (r == 0)
			r = store_remove_room(hub->store, room->stored);
		if (hub_end(hub, r) == 0)
			room_free(hub, room);
	}
}

static void tick(struct hub *hub)
{
	uint64_t wait;

	hub->now = clock_wall_ms();
	wait = trim_some(hub) ? TICK_SOON : TICK;
	remove_some(hub);
	hub_check_inquiries(hub);
	hub_check_waiting(hub);
	hub_commit(hub);
	(void)timer_set(loop_timers(hub->loop), &hub->tick, loop_now(hub->loop) + wait);
}

/*
 * Mail
 */

static int know_user(const char *user, void *data)
{
	return users_add(data, user);
}

/* Takes up what a store holds, when nobody is in any room yet. Returns 0 or a negative errno. */
static int take_up(struct hub *hub, struct store *store)
{
	struct sanctions *sanctions;
	int r = sanctions_new(store, &sanctions);

	if (r < 0)
		return r;
	sanctions_free(hub->sanctions);
	hub->sanctions = sanctions;
	if (!store)
		return 0;
	r = store_users(store, know_user, hub->users);
	return r < 0 ? r : hub_load_rooms(hub);
}

static void update(struct hub *hub)
{
	int r = 0;

	hub->config = hub->update.config;
	if (hub->update.store) {
		hub->store = hub->update.store;
		hub_clear_rooms(hub);
		r = take_up(hub, hub->store);
	}
	if (r < 0)
		log_write(LOG_FAULT, NULL, "not all of the log of rooms can be taken up: %s",
			  strerror(-r));
	hub_set_limits(hub);
	users_forget(hub->users);
	hub->updating = true;
	if (hub_configure_rooms(hub) < 0)
		log_write(LOG_OUT_OF_MEMORY, NULL,
			  "out of memory, not all rooms go by the new configuration");
	hub_review(hub);
}

/* Nobody waits for an answer any more; the connections go to the next process. */
static void let_go(struct hub *hub)
{
	hub_release_waiting(hub);
	hub_commit(hub);
	hub_write_down(hub);
	crew_order(hub->crew, LETTER_LET_GO); /* behind all that was ever posted to them */
	hub->let_go_letter.kind = LETTER_HUB_KEPT;
	mailbox_post(hub->manager, &hub->let_go_letter);
}

static void read_letter(struct hub *hub, struct letter *letter)
{
	switch ((enum hub_letter)letter->kind) {
	case HUB_OPEN:
		hub_deal_with(hub, CONTAINER_OF(letter, struct chat, open), letter);
		break;
	case HUB_GONE:
		hub_deal_with(hub, CONTAINER_OF(letter, struct chat, gone), letter);
		break;
	case HUB_REQUEST:
		hub_deal_with(hub, CONTAINER_OF(letter, struct job, letter)->chat, letter);
		break;
	case HUB_FETCH:
		hub_fetch(hub, CONTAINER_OF(letter, struct fetch, letter)->chat);
		break;
	case HUB_COUNTED:
		hub_counted(hub, CONTAINER_OF(letter, struct survey, letter));
		break;
	case HUB_DONE:
		hub_errand_done(hub, CONTAINER_OF(letter, struct errand, letter));
		break;
	case HUB_UPDATE:
		hub_commit(hub);
		update(hub);
		break;
	case HUB_ECHO:
		hub->echo_letter.kind = LETTER_ECHOED;
		mailbox_post(hub->manager, &hub->echo_letter);
		break;
	case HUB_ANSWERED:
		hub_answered(hub, CONTAINER_OF(letter, struct question, letter));
		break;
	case HUB_HURRY:
		hub_stop_waiting(hub);
		break;
	case HUB_LET_GO:
		let_go(hub);
		break;
	case HUB_QUIT:
		hub->quits = true;
		break;
	}
}

static void read_mail(struct hub *hub)
{
	struct letter *letter, *next;
	unsigned n = 0;

	hub->has_mail = false;
	hub->now = clock_wall_ms();
	for (letter = mailbox_collect(&hub->mailbox); letter; letter = next) {
		next = letter->next;
		read_letter(hub, letter);
		if (hub->staged_bytes >= BATCH_BYTES || ++n % BATCH_LETTERS == 0)
			hub_commit(hub);
	}
	hub_commit(hub);
}

static void mail_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	CONTAINER_OF(watch, struct hub, mail)->has_mail = true;
}

/* Nobody is late whose answer has come, however late this thread is to read it. */
static void expired(struct timer *timer)
{
	struct hub *hub = CONTAINER_OF(timer, struct hub, tick);

	read_mail(hub);
	tick(hub);
}

static void *run(void *argument)
{
	struct hub *hub = argument;

	(void)pthread_setname_np(pthread_self(), "hub");
	while (!hub->quits) {
		int r = loop_turn(hub->loop);

		if (r < 0) {
			log_write(LOG_FAULT, NULL, "the hub cannot wait for events: %s",
				  strerror(-r));
			abort(); /* nothing of the daemon would work without it */
		}
		if (hub->has_mail)
			read_mail(hub);
	}
	return NULL;
}

/*
 * Life
 */

struct mailbox *hub_mailbox(struct hub *hub)
{
	return &hub->mailbox;
}

const struct hub_figures *hub_figures(const struct hub *hub)
{
	return &hub->figures;
}

int hub_new(struct hub **ret_hub)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return -ENOMEM;
	hub->mailbox.fd = -1;
	hub->mail.ready = mail_ready;
	list_init(&hub->rooms);
	list_init(&hub->people);
	list_init(&hub->pieces);
	list_init(&hub->spare_pieces);
	list_init(&hub->inquiries);
	list_init(&hub->review);
	r = mailbox_init(&hub->mailbox);
	if (r == 0)
		r = loop_new(expired, &hub->loop);
	if (r == 0)
		r = loop_add(hub->loop, hub->mailbox.fd, LOOP_IN, &hub->mail);
	if (r == 0)
		r = users_new(&hub->mailbox, HUB_ANSWERED, &hub->users);
	if (r < 0) {
		hub_free(hub);
		return r;
	}
	*ret_hub = hub;
	return 0;
}

int hub_start(struct hub *hub, const struct config *config, struct store *store, struct crew *crew,
	      struct mailbox *manager, const struct hub_past *past)
{
	int r;

	hub->config = config;
	hub->store = store;
	hub->crew = crew;
	hub->n_workers = crew->n;
	hub->manager = manager;
	hub->now = clock_wall_ms();
	hub->out = calloc(crew->n, sizeof(*hub->out));
	r = hub->out ? take_up(hub, store) : -ENOMEM;
	if (r == 0)
		r = hub_configure_rooms(hub);
	if (r == 0 && past) {
		hub_sort_chats(past);
		if (past->killed)
			hub_recover(hub, past);
		else
			hub_take_up(hub, past);
		hub_commit(hub);
	}
	if (r == 0)
		r = timer_set(loop_timers(hub->loop), &hub->tick, loop_now(hub->loop) + TICK);
	if (r == 0)
		r = -pthread_create(&hub->thread, NULL, run, hub);
	hub->runs = r == 0;
	return r;
}

void hub_update(struct hub *hub, const struct config *config, struct store *store)
{
	hub->update.config = config;
	hub->update.store = store;
	hub->update_letter.kind = HUB_UPDATE;
	mailbox_post(&hub->mailbox, &hub->update_letter);
}

void hub_ask_echo(struct hub *hub)
{
	hub->echo_letter.kind = HUB_ECHO;
	mailbox_post(&hub->mailbox, &hub->echo_letter);
}

void hub_hand_over(struct hub *hub)
{
	hub->let_go_letter.kind = HUB_LET_GO;
	mailbox_post(&hub->mailbox, &hub->let_go_letter);
}

void hub_hurry(struct hub *hub)
{
	if (!hub || hub->hurry_letter.kind == HUB_HURRY)
		return;
	hub->hurry_letter.kind = HUB_HURRY;
	mailbox_post(&hub->mailbox, &hub->hurry_letter);
}

const struct record *hub_record(const struct hub *hub)
{
	return &hub->record;
}

void errand_done(struct hub *hub, struct errand *errand)
{
	errand->letter.kind = HUB_DONE;
	mailbox_post(&hub->mailbox, &errand->letter);
}

static void free_pieces(struct hub *hub)
{
	struct piece *piece;

	LIST_FOR_EACH(piece, &hub->spare_pieces, struct piece, link) {
		for (unsigned i = 0; i < ENCODINGS; i++)
			buffer_done(&piece->written[i]);
		free(piece);
	}
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	if (hub->runs) {
		hub->quit_letter.kind = HUB_QUIT;
		mailbox_post(&hub->mailbox, &hub->quit_letter);
		(void)pthread_join(hub->thread,
				   NULL); /* fails only for a thread that is not ours */
	}
	hub_free_inquiries(hub);
	hub_free_rooms(hub);
	free_pieces(hub);
	sanctions_free(hub->sanctions);
	users_free(hub->users);
	store_close(hub->store);
	record_done(&hub->record);
	scratch_done(&hub->scratch);
	free(hub->staged);
	free(hub->out);
	loop_free(hub->loop);
	mailbox_done(&hub->mailbox);
	free(hub);
}
