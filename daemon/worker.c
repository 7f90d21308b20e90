/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <poll.h>
#include <string.h>

#include "listener.h"
#include "log.h"
#include "session_chat.h"
#include "survey.h"
#include "util.h"

enum { INPUT_BYTES = 256 * 1024 }; /* that one turn of one connection receives at the most */

struct worker {
	pthread_t thread;
	struct mailbox mailbox;
	struct mailbox *manager; /* borrowed */
	struct watch mail;
	struct peers peers;
	struct datagrams datagrams;
	struct audiences audiences;
	struct letters to_hub; /* of this turn */
	struct mailbox *hub;   /* borrowed */
	uint64_t unforgotten; /* connections that are no more, and of which the hub may speak yet */
	bool has_mail, quits;
	bool told_suspended;
	struct letter update, echo, drain, suspend, let_go, quit, failed;
};

static void post_back(struct worker *worker, struct letter *letter, enum letter_kind kind)
{
	letter->kind = (uint16_t)kind;
	mailbox_post(worker->manager, letter);
}

/* Letters are read between turns, when no event waits for what a letter may end. */
static void mail_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	CONTAINER_OF(watch, struct worker, mail)->has_mail = true;
}

static void start_datagram(struct worker *worker, struct datagram *datagram)
{
	int r = datagram_start(datagram, &worker->datagrams);

	if (r < 0) {
		log_write(LOG_FAULT,
			  &(struct log_about){.listener = datagram->session.counters->listener},
			  "cannot serve one of its datagram sockets: %s", strerror(-r));
	}
}

static void stop_datagram(struct worker *worker, struct datagram *datagram)
{
	datagram_stop(datagram);
	post_back(worker, &datagram->letter, LETTER_DATAGRAM_GONE);
}

static void update(struct worker *worker)
{
	struct datagram *datagram;
	struct peer *peer;

	LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link)
		if (peer->listener->gone)
			peer_finish(peer, "this listener is gone");
		else
			peer_set_settings(peer, &peer->listener->config->settings);
	LIST_FOR_EACH(datagram, &worker->datagrams.all, struct datagram, link)
		datagram->session.settings = &datagram->listening->listener->config->settings;
	post_back(worker, &worker->update, LETTER_UPDATED);
}

static void start_peer(struct worker *worker, struct peer *peer)
{
	if (peer->session.chat)
		session_chat_attach(peer->session.chat, &worker->peers);
	peer_start(peer, &worker->peers);
	/* The last process served it, and the configuration is another one now. */
	if (peer->orphan)
		peer_finish(peer, "this listener is gone");
}

static void drain(struct worker *worker)
{
	struct peer *peer;

	if (worker->peers.suspended) {
		worker->peers.suspended = false;
		LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link)
			peer_go_on(peer);
	}
	LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link)
		peer_finish(peer, "shutting down");
}

/* Gives all connections back as they are: the next process goes on with them. */
static void let_go(struct worker *worker)
{
	struct peer *peer;

	/* What was queued with this mail: a peer that is given back is not ours to send to. */
	session_chat_flush(&worker->audiences);
	LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link) {
		peer_take_out(peer);
		post_back(worker, &peer->letter, LETTER_PEER_KEPT);
	}
}

/* Whether all that connections have asked for is answered. */
static bool is_settled(const struct worker *worker)
{
	const struct peer *peer;

	LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link)
		if (peer->session.waiting > 0 || session_chat_is_fetching(peer->session.chat) ||
		    (peer->session.later && peer->state == PEER_SERVING))
			return false;
	return true;
}

static void quit(struct worker *worker)
{
	struct datagram *datagram;
	struct peer *peer;

	LIST_FOR_EACH(peer, &worker->peers.all, struct peer, link)
		peer_doom(peer, "stopped at once");
	LIST_FOR_EACH(datagram, &worker->datagrams.all, struct datagram, link)
		stop_datagram(worker, datagram);
	worker->quits = true;
}

/*
 * What the hub says
 */

static void broadcast(struct worker *worker, struct broadcast *broadcast, bool at_once)
{
	audiences_broadcast(&worker->audiences, broadcast, at_once);
	for (unsigned i = 0; i < ENCODINGS; i++)
		packet_unref(broadcast->packets[i]);
	free(broadcast);
}

static void seat(struct worker *worker, struct seating *seating)
{
	audiences_seat(&worker->audiences, seating);
	free(seating);
}

/* Buries a connection of the chat service for good. */
static void forget(struct worker *worker, struct chat *chat)
{
	struct peer *peer = chat->peer;

	audiences_leave(&worker->audiences, chat);
	list_remove(&chat->touched);
	session_chat_free(chat);
	worker->unforgotten--;
	post_back(worker, &peer->letter, LETTER_PEER_GONE);
}

static void answer_survey(struct worker *worker, struct survey *survey)
{
	survey_peers(survey, &worker->peers);
	survey->letter.kind = HUB_COUNTED;
	letters_add(&worker->to_hub, &survey->letter);
}

static void read_letter(struct worker *worker, struct letter *letter)
{
	switch ((enum letter_kind)letter->kind) {
	case LETTER_PEER:
		start_peer(worker, CONTAINER_OF(letter, struct peer, letter));
		break;
	case LETTER_DATAGRAM:
		start_datagram(worker, CONTAINER_OF(letter, struct datagram, letter));
		break;
	case LETTER_DATAGRAM_STOP:
		stop_datagram(worker, CONTAINER_OF(letter, struct datagram, stop));
		break;
	case LETTER_UPDATE:
		update(worker);
		break;
	case LETTER_ECHO:
		post_back(worker, &worker->echo, LETTER_ECHOED);
		break;
	case LETTER_DRAIN:
		drain(worker);
		break;
	case LETTER_SUSPEND:
		worker->peers.suspended = true;
		break;
	case LETTER_LET_GO:
		let_go(worker);
		break;
	case LETTER_QUIT:
		quit(worker);
		break;
	case LETTER_NAMED:
		session_chat_named(&worker->audiences, CONTAINER_OF(letter, struct naming, letter));
		break;
	case LETTER_REPLY:
		session_chat_reply(&worker->audiences, CONTAINER_OF(letter, struct job, letter));
		break;
	case LETTER_SEATING:
		seat(worker, CONTAINER_OF(letter, struct seating, letter));
		break;
	case LETTER_BROADCAST:
		broadcast(worker, CONTAINER_OF(letter, struct broadcast, letter), !letter->next);
		break;
	case LETTER_FETCHED:
		audiences_fetched(&worker->audiences,
				  CONTAINER_OF(letter, struct fetch, letter)->chat);
		break;
	case LETTER_DISMISSAL:
		session_chat_dismissed(CONTAINER_OF(letter, struct dismissal, letter));
		break;
	case LETTER_SURVEY:
		answer_survey(worker, CONTAINER_OF(letter, struct survey, letter));
		break;
	case LETTER_PLACED:
		session_chat_placed(&worker->audiences, CONTAINER_OF(letter, struct chat, open));
		break;
	case LETTER_FORGOTTEN:
		forget(worker, CONTAINER_OF(letter, struct chat, gone));
		break;
	case LETTER_PEER_GONE:
	case LETTER_PEER_KEPT:
	case LETTER_DATAGRAM_GONE:
	case LETTER_UPDATED:
	case LETTER_SUSPENDED:
	case LETTER_HUB_KEPT:
	case LETTER_ECHOED:
	case LETTER_FAILED:
	case LETTER_ERRAND:
		break;
	}
}

static void read_mail(struct worker *worker)
{
	struct letter *letter, *next;

	worker->has_mail = false;
	for (letter = mailbox_collect(&worker->mailbox); letter; letter = next) {
		next = letter->next;
		read_letter(worker, letter);
	}
	session_chat_flush(&worker->audiences);
}

static void log_closed(const struct peer *peer)
{
	char name[PEER_NAME_MAX];
	struct log_about about;

	peer_about(peer, name, &about);
	about.closed = true;
	about.bytes_in = peer->bytes_in;
	about.bytes_out = peer->bytes_out;
	about.messages = peer->messages;
	log_write(LOG_GONE, &about, "gone: %s", peer->reason);
}

/* Buries those who are doomed, now that nobody walks over them. */
static void reap(struct worker *worker)
{
	struct peer *peer;

	LIST_FOR_EACH(peer, &worker->peers.doomed, struct peer, link) {
		if (log_verbose())
			log_closed(peer);
		peer_take_out(peer);
		peer_shut_down(peer);
		peer_done(peer);
		if (peer->session.chat &&
		    session_chat_gone(&worker->audiences, peer->session.chat)) {
			worker->unforgotten++;
			continue;
		}
		session_chat_free(peer->session.chat);
		post_back(worker, &peer->letter, LETTER_PEER_GONE);
	}
}

/* Waits for letters alone. Returns 0 or a negative errno. */
static int await_mail(struct worker *worker)
{
	struct pollfd mail = {.fd = worker->mailbox.fd, .events = POLLIN};

	if (poll(&mail, 1, -1) < 0 && errno != EINTR)
		return -errno;
	loop_read_clock(worker->peers.loop); /* the drain that may follow has its time from now */
	worker->has_mail = true;
	return 0;
}

static void *run(void *argument)
{
	struct worker *worker = argument;

	(void)pthread_setname_np(pthread_self(), "worker");
	while (!worker->quits || worker->unforgotten > 0) {
		int r = worker->peers.suspended ? await_mail(worker)
						: loop_turn(worker->peers.loop);

		if (r < 0) {
			log_write(LOG_FAULT, NULL, "a worker cannot wait for events: %s",
				  strerror(-r));
			post_back(worker, &worker->failed, LETTER_FAILED);
			break;
		}
		if (worker->has_mail)
			read_mail(worker);
		reap(worker);
		mailbox_post_all(worker->hub, &worker->to_hub);
		if (worker->peers.suspended && !worker->told_suspended && is_settled(worker)) {
			worker->told_suspended = true;
			post_back(worker, &worker->suspend, LETTER_SUSPENDED);
		}
	}
	return NULL;
}

void worker_free(struct worker *worker)
{
	workspace_done(&worker->peers.workspace);
	datagrams_done(&worker->datagrams);
	audiences_done(&worker->audiences);
	loop_free(worker->peers.loop);
	mailbox_done(&worker->mailbox);
	free(worker);
}

struct mailbox *worker_mailbox(struct worker *worker)
{
	return &worker->mailbox;
}

int worker_start(struct mailbox *manager, struct mailbox *hub, struct ledger *ledger,
		 struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->manager = manager;
	worker->hub = hub;
	worker->peers.to_hub = &worker->to_hub;
	worker->peers.audiences = &worker->audiences;
	audiences_init(&worker->audiences);
	worker->audiences.ledger = worker->peers.ledger = ledger;
	worker->mailbox.fd = -1;
	worker->mail.ready = mail_ready;
	list_init(&worker->peers.all);
	list_init(&worker->peers.doomed);

	r = loop_new(peer_expired, &worker->peers.loop);
	if (r == 0)
		r = mailbox_init(&worker->mailbox);
	if (r == 0)
		r = loop_add(worker->peers.loop, worker->mailbox.fd, LOOP_IN, &worker->mail);
	if (r == 0)
		r = workspace_init(&worker->peers.workspace, INPUT_BYTES);
	if (r == 0)
		r = datagrams_init(&worker->datagrams, worker->peers.loop,
				   &worker->peers.workspace);
	if (r == 0)
		r = -pthread_create(&worker->thread, NULL, run, worker);
	if (r < 0) {
		worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

void worker_post(struct worker *worker, struct letter *letter, enum letter_kind kind)
{
	letter->kind = (uint16_t)kind;
	mailbox_post(&worker->mailbox, letter);
}

void worker_order(struct worker *worker, enum letter_kind kind)
{
	struct letter *letter = kind == LETTER_UPDATE	 ? &worker->update
				: kind == LETTER_ECHO	 ? &worker->echo
				: kind == LETTER_DRAIN	 ? &worker->drain
				: kind == LETTER_SUSPEND ? &worker->suspend
				: kind == LETTER_LET_GO	 ? &worker->let_go
							 : &worker->quit;

	worker_post(worker, letter, kind);
}

void worker_join(struct worker *worker)
{
	(void)pthread_join(worker->thread, NULL); /* fails only for a thread that is not ours */
}
