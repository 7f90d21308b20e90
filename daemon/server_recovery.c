/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server_state.h"

#include <inttypes.h>
#include <string.h>

#include "descriptors.h"
#include "log.h"
#include "peer_handover.h"
#include "session_chat.h"
#include "util.h"

/*
 * When the last process was killed: connections that were between messages go on, from what the
 * ledger says of them; the others are closed, as nobody knows how far they had come.
 */

/* Seats of the ledger, in the order of their connections. */
struct seats {
	const struct ledger_seat **seats; /* owned */
	size_t n;
};

static int compare_seats(const void *a, const void *b)
{
	return COMPARE((*(const struct ledger_seat *const *)a)->id,
		       (*(const struct ledger_seat *const *)b)->id);
}

static int sort_seats(const struct ledger *ledger, struct seats *ret_seats)
{
	const uint64_t n = ledger->unused_seat;
	struct seats seats = {.n = 0};

	for (uint64_t i = 1; i < n; i++)
		seats.n += ledger->seats[i].id > 0;
	seats.seats = calloc(seats.n + 1, sizeof(struct ledger_seat *));
	if (!seats.seats)
		return -ENOMEM;
	seats.n = 0;
	for (uint64_t i = 1; i < n; i++)
		if (ledger->seats[i].id > 0)
			seats.seats[seats.n++] = &ledger->seats[i];
	qsort(seats.seats, seats.n, sizeof(struct ledger_seat *), compare_seats);
	*ret_seats = seats;
	return 0;
}

/* Returns the place of a connection's first seat; there may be none. */
static size_t first_seat(const struct seats *seats, uint64_t id)
{
	size_t low = 0, high = seats->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (seats->seats[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t count_seats(const struct seats *seats, size_t first, uint64_t id)
{
	size_t n = 0;

	while (first + n < seats->n && seats->seats[first + n]->id == id)
		n++;
	return n;
}

/* A name of the ledger, or NULL when it is none. Owned by the caller. */
static char *copy_name(const char *field)
{
	return field[0] ? strndup(field, LEDGER_NICK_SIZE - 1) : NULL;
}

static struct chat *recover_chat(struct peer *peer, const struct ledger_entry *entry, int fd,
				 const struct seats *seats)
{
	struct chat *chat = session_chat_new(peer);
	size_t first = first_seat(seats, peer->id), n = count_seats(seats, first, peer->id);

	if (!chat)
		return NULL;
	chat->dialect = (enum dialect_id)entry->dialect;
	chat->framing = (enum framing)entry->framing;
	chat->state.room = copy_name(entry->room);
	chat->nick_was = copy_name(ledger_nick(entry));
	chat->user_was = copy_name(entry->user);
	chat->places = calloc(n + 1, sizeof(*chat->places));
	if (!chat->places || identity_get(fd, &chat->identity) < 0) {
		session_chat_free(chat);
		return NULL;
	}
	for (; chat->n_places < n; chat->n_places++) {
		const struct ledger_seat *seat = seats->seats[first + chat->n_places];

		chat->places[chat->n_places] =
			(struct chat_place){seat->room, seat->cursor, seat->order};
	}
	chat->opened = true;
	return chat;
}

/* The numbers of those who may go on, in order. In memory that was damaged, two may have one. */
struct numbers {
	uint64_t *numbers; /* owned */
	size_t n;
};

static int sort_numbers(const struct vault_remains *remains, struct numbers *ret_numbers)
{
	const struct ledger *ledger = remains->ledger;
	struct numbers numbers = {calloc((size_t)ledger->unused_entry + 1, sizeof(uint64_t)), 0};

	if (!numbers.numbers)
		return -ENOMEM;
	for (uint64_t i = 1; i < ledger->unused_entry; i++)
		if (remains->fds[i] >= 0)
			numbers.numbers[numbers.n++] = ledger->entries[i].id;
	qsort(numbers.numbers, numbers.n, sizeof(uint64_t), compare_numbers);
	*ret_numbers = numbers;
	return 0;
}

static bool is_shared(const struct numbers *numbers, uint64_t number)
{
	const uint64_t *first = numbers->numbers, *last = first + numbers->n - 1;
	const uint64_t *found =
		bsearch(&number, first, numbers->n, sizeof(uint64_t), compare_numbers);

	return found &&
	       ((found > first && found[-1] == number) || (found < last && found[1] == number));
}

/* Whether what stands in an entry can be: whoever killed the process may have damaged it. */
static bool is_sane(const struct ledger_entry *entry)
{
	return entry->service < SERVICE_CONTROL && entry->framing < ENCODING_FRAMINGS &&
	       entry->dialect < DIALECTS && memchr(entry->listener, '\0', sizeof(entry->listener));
}

/* Makes the peer of an entry. Takes *fd over unless it fails: then NULL. */
static struct peer *recover_peer(const struct ledger_entry *entry, const struct seats *seats,
				 int *fd, struct peer_origin *ret_origin)
{
	struct peer *peer = is_sane(entry) ? calloc(1, sizeof(*peer)) : NULL;

	if (!peer)
		return NULL;
	stream_init(&peer->stream, -1);
	peer->id = entry->id;
	peer->name = entry->name;
	peer->admitted = true;
	peer->kept = true;
	peer->active = server_microseconds() / 1000;
	peer->session.framing = (enum framing)entry->framing;
	ret_origin->service = (enum service_kind)entry->service;
	ret_origin->listener = strdup(entry->listener);
	if (entry->service == SERVICE_CHAT)
		peer->session.chat = recover_chat(peer, entry, *fd, seats);
	if (!ret_origin->listener || (entry->service == SERVICE_CHAT && !peer->session.chat)) {
		peer_origin_done(ret_origin);
		peer_free(peer);
		return NULL;
	}
	peer->stream.fd = STEAL_FD(*fd);
	return peer;
}

/* Lists where those were who are lost, so that others can be told. */
static void list_absences(const struct vault_remains *remains, const struct seats *seats,
			  struct hub_past *past)
{
	const struct ledger *ledger = remains->ledger;

	past->absences = calloc(seats->n + 1, sizeof(*past->absences));
	for (uint64_t i = 1; past->absences && i < ledger->unused_entry; i++) {
		const struct ledger_entry *entry = &ledger->entries[i];
		size_t seat = first_seat(seats, entry->id);

		if (entry->id == 0 || remains->fds[i] >= 0 || !*ledger_nick(entry) ||
		    !memchr(ledger_nick(entry), '\0', LEDGER_NICK_SIZE))
			continue;
		/* In memory that was damaged, two may have one number. */
		for (size_t n = count_seats(seats, seat, entry->id);
		     n > 0 && past->n_absences < seats->n; n--, seat++)
			past->absences[past->n_absences++] =
				(struct chat_absence){ledger_nick(entry), seats->seats[seat]->room};
	}
}

int server_recover(struct server *server, struct succession *succession)
{
	struct vault_remains *remains = &succession->remains;
	struct ledger *ledger = remains->ledger;
	struct hub_past *past = &succession->past;
	struct numbers numbers;
	struct seats seats;
	int r = sort_numbers(remains, &numbers);

	if (r < 0)
		return r;
	r = sort_seats(ledger, &seats);
	if (r < 0) {
		free(numbers.numbers);
		return r;
	}
	list_absences(remains, &seats, past);
	past->killed = true;
	past->chats = calloc(ledger->unused_entry, sizeof(struct chat *));
	server->door.last_client = ledger->header->last_client;
	for (uint64_t i = 1; past->chats && i < ledger->unused_entry; i++) {
		const struct ledger_entry *entry = &ledger->entries[i];
		struct arrival arrival = {.peer = NULL};

		if (remains->fds[i] < 0)
			continue;
		if (!is_shared(&numbers, entry->id))
			arrival.peer =
				recover_peer(entry, &seats, &remains->fds[i], &arrival.origin);
		server->door.last_client = MAX(server->door.last_client, entry->id);
		if (!arrival.peer)
			remains->n_lost++;
		else if (!server_settle(server, succession, &arrival))
			succession->lost++;
	}
	free(seats.seats);
	free(numbers.numbers);
	return past->chats ? 0 : -ENOMEM;
}

void server_open_vault(struct server *server)
{
	int r;

	if (!server->ledger)
		return;
	r = handover_room() > 0 ? vault_new(STEAL(server->ledger), &server->door.vault) : -ENOENT;
	if (r == -ENOENT)
		log_write(LOG_NOT_SAFE, NULL,
			  "crash_safe has no effect: no service manager keeps descriptors for this "
			  "process");
	else if (r < 0)
		log_write(LOG_NOT_SAFE, NULL, "crash_safe has no effect: %s", strerror(-r));
}

int server_make_ledger(struct server *server)
{
	if (!server->generation->config->crash_safe)
		return 0;
	return ledger_new(descriptors_limit(), &server->ledger);
}
