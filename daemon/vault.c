/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <systemd/sd-daemon.h>

#include "util.h"

enum {
	PAIRS_MAX = 64,
	SPARED = 1024,	   /* copies of what is over that are not worth the work */
	RECENT_MAX = 1024, /* that come singly; a pair holds fewer, usually */
};

/* A socket pair. Its other end is the manager's. */
struct pair {
	int fd;		 /* owned */
	uint32_t number; /* of its name, never used again */
};

/* What comes with a descriptor. */
struct label {
	uint64_t id;
	uint64_t entry;
};

struct vault {
	struct ledger *ledger; /* owned */
	int *fds;	       /* of each entry; -1: none; the array is owned */
	uint32_t *recent;      /* entries that came singly, and lie in the first pair; owned */
	size_t n_recent;
	struct pair single;	     /* where they come singly, one in a message */
	struct pair full[PAIRS_MAX]; /* where they come by hundreds */
	size_t n_full;
	uint32_t last_number;
	uint64_t live, copies; /* connections, and descriptors that are queued */
};

static void name_pair(const struct pair *pair, char name[static 40])
{
	(void)snprintf(name, 40, HANDOVER_SAFE "%u", pair->number);
}

/* Gives a pair up, and all that is queued in it. */
static void drop_pair(struct pair *pair)
{
	char name[40];

	if (pair->fd < 0)
		return;
	name_pair(pair, name);
	handover_forget(name);
	closep(&pair->fd);
}

static int open_pair(struct vault *vault, struct pair *ret_pair)
{
	struct pair pair = {.number = ++vault->last_number};
	char name[40];
	int both[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both) < 0)
		return -errno;
	pair.fd = both[0];
	name_pair(&pair, name);
	r = handover_store(name, &both[1], 1);
	(void)close(both[1]);
	if (r < 0)
		closep(&pair.fd);
	else
		*ret_pair = pair;
	return r;
}

/* Queues up to HANDOVER_FDS_MAX descriptors in a pair. Returns 0 or a negative errno. */
static int send_entries(struct vault *vault, const struct pair *pair, const uint32_t *entries,
			size_t n)
{
	struct label labels[HANDOVER_FDS_MAX];
	int fds[HANDOVER_FDS_MAX], r;

	for (size_t i = 0; i < n; i++) {
		labels[i] = (struct label){vault->ledger->entries[entries[i]].id, entries[i]};
		fds[i] = vault->fds[entries[i]];
	}
	r = handover_send(pair->fd, fds, n, labels, n * sizeof(*labels));
	if (r == 0)
		vault->copies += n;
	return r;
}

/* Whether a pair takes nothing any more: it is full, or the manager has not stored its other end.
 */
static bool is_used_up(int error)
{
	return error == -EAGAIN || error == -EPIPE || error == -ECONNRESET;
}

/*
 * Queues as many of entries as one message takes in the last pair, and fewer when it must: of a
 * connection that is over, and of which nobody has said so yet, the descriptor is closed. Returns
 * how many are done with, or a negative errno.
 */
static ssize_t send_some(struct vault *vault, const uint32_t *entries, size_t n)
{
	const struct pair *pair = &vault->full[vault->n_full - 1];
	size_t some = MIN(n, (size_t)HANDOVER_FDS_MAX);
	int r = send_entries(vault, pair, entries, some);

	if (r == -EBADF) {
		some = 1;
		r = send_entries(vault, pair, entries, 1);
	}
	return r < 0 && r != -EBADF ? r : (ssize_t)some;
}

/*
 * Queues entries that are not in any pair that will stay. Returns 0 or a negative errno; what was
 * not done is then *ret_rest entries, the last ones.
 */
static int send_many(struct vault *vault, const uint32_t *entries, size_t n, size_t *ret_rest)
{
	bool fresh = false;
	int r = 0;

	while (n > 0 && r == 0) {
		ssize_t some = vault->n_full > 0 ? send_some(vault, entries, n) : -EAGAIN;

		if (some > 0) {
			entries += some;
			n -= (size_t)some;
			fresh = false;
		} else if (is_used_up((int)some) && !fresh && vault->n_full < PAIRS_MAX) {
			r = open_pair(vault, &vault->full[vault->n_full]);
			vault->n_full += r == 0;
			fresh = true;
		} else {
			r = (int)some;
		}
	}
	*ret_rest = n;
	return r;
}

static void give_up(struct vault *vault, const uint32_t *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ledger_give_up(&vault->ledger->entries[entries[i]]);
}

/* Keeps those of entries that are not over; returns how many. */
static size_t sieve(const struct vault *vault, uint32_t *entries, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (vault->fds[entries[i]] >= 0)
			entries[kept++] = entries[i];
	return kept;
}

/* Lists those that are not over. Returns them, which are the caller's, or NULL. */
static uint32_t *list_live(const struct vault *vault, size_t *ret_n)
{
	uint32_t *entries = calloc(vault->live + 1, sizeof(*entries));
	size_t n = 0;

	for (uint32_t i = 1; entries && i < vault->ledger->unused_entry && n < vault->live; i++)
		if (vault->fds[i] >= 0)
			entries[n++] = i;
	*ret_n = n;
	return entries;
}

static void drop_pairs(struct pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		drop_pair(&pairs[i]);
}

/* Begins anew with those that are not over. Returns 0, or -ENOMEM when all is as it was. */
static int renew(struct vault *vault)
{
	struct pair former[PAIRS_MAX], single = vault->single;
	size_t n_former = vault->n_full, n, rest;
	uint32_t *entries = list_live(vault, &n);
	int r;

	if (!entries)
		return -ENOMEM;
	memcpy(former, vault->full, n_former * sizeof(*former));
	vault->n_full = 0;
	vault->copies = 0;
	vault->n_recent = 0;
	vault->single.fd = -1;
	r = send_many(vault, entries, n, &rest);
	drop_pair(&single);
	drop_pairs(former, n_former);
	if (r == -ETOOMANYREFS) {
		/* The kernel bounds how many descriptors are queued: both at a time are too many.
		   Whatever comes now finds those that are not in either pair lost. */
		handover_await_forgotten();
		r = send_many(vault, entries + n - rest, rest, &rest);
	}
	if (r < 0)
		give_up(vault, entries + n - rest, rest);
	(void)open_pair(vault, &vault->single); /* else the next one that comes tries again */
	free(entries);
	return 0;
}

/* Whether there are so many copies of what is over that it pays to give them up. */
static bool is_worthwhile(const struct vault *vault)
{
	return vault->copies > vault->live + vault->live / 64;
}

/* Moves what came singly to where the others are, and begins a new pair for what comes. */
static int make_room(struct vault *vault)
{
	struct pair former = vault->single;
	size_t n = sieve(vault, vault->recent, vault->n_recent), rest;
	int r = send_many(vault, vault->recent, n, &rest);

	if (r == -ETOOMANYREFS && is_worthwhile(vault) && renew(vault) == 0)
		return 0;
	if (r < 0)
		give_up(vault, vault->recent + n - rest, rest);
	vault->copies -= MIN(vault->copies, (uint64_t)vault->n_recent);
	vault->n_recent = 0;
	vault->single.fd = -1;
	r = open_pair(vault, &vault->single);
	drop_pair(&former);
	return r;
}

void vault_keep(struct vault *vault, uint32_t entry, int fd)
{
	int r = -EAGAIN;

	if (entry == 0)
		return;
	vault->fds[entry] = fd;
	vault->live++;
	if (vault->single.fd >= 0 && vault->n_recent < RECENT_MAX)
		r = send_entries(vault, &vault->single, &entry, 1);
	if (is_used_up(r) && make_room(vault) == 0)
		r = send_entries(vault, &vault->single, &entry, 1);
	if (r == -ETOOMANYREFS && is_worthwhile(vault) && renew(vault) == 0)
		return; /* with this one in it, if possible */
	if (r < 0)
		give_up(vault, &entry, 1);
	else
		vault->recent[vault->n_recent++] = entry;
}

void vault_forget(struct vault *vault, uint32_t entry)
{
	if (entry == 0)
		return;
	vault->fds[entry] = -1;
	vault->live--;
	ledger_give_entry(vault->ledger, entry);
	if (vault->copies > 2 * vault->live + SPARED)
		(void)renew(vault); /* without memory, next time */
}

int vault_new(struct ledger *ledger, struct vault **ret_vault)
{
	struct vault *vault = calloc(1, sizeof(*vault));
	size_t n = ledger->header->n_entries;
	int r = -ENOMEM;

	if (!vault) {
		ledger_free(ledger);
		return -ENOMEM;
	}
	vault->ledger = ledger;
	vault->single.fd = -1;
	vault->fds = malloc(n * sizeof(*vault->fds));
	vault->recent = calloc(RECENT_MAX, sizeof(*vault->recent));
	if (vault->fds && vault->recent) {
		for (size_t i = 0; i < n; i++)
			vault->fds[i] = -1;
		r = handover_store(HANDOVER_LEDGER, &ledger->fd, 1);
	}
	if (r == 0)
		r = open_pair(vault, &vault->single);
	if (r < 0)
		vault_free(vault);
	else
		*ret_vault = vault;
	return r;
}

struct ledger *vault_ledger(const struct vault *vault)
{
	return vault->ledger;
}

void vault_free(struct vault *vault)
{
	if (!vault)
		return;
	handover_forget(HANDOVER_LEDGER);
	drop_pair(&vault->single);
	drop_pairs(vault->full, vault->n_full);
	ledger_free(vault->ledger);
	free(vault->fds);
	free(vault->recent);
	free(vault);
}

/*
 * What a process that was killed has left
 */

static bool is_wanted(const struct vault_remains *remains, uint64_t number, uint64_t id)
{
	const struct ledger_entry *entry;

	if (!remains->ledger || number == 0 || number >= remains->ledger->unused_entry)
		return false;
	entry = &remains->ledger->entries[number];
	return id > 0 && entry->id == id && entry->idle && !entry->over && !entry->elsewhere &&
	       remains->fds[number] < 0;
}

static void take_pair(struct vault_remains *remains, int pair, uint64_t *n)
{
	struct handover_message message = {.n = 0};
	struct label labels[HANDOVER_FDS_MAX];

	while (handover_receive(pair, &message, labels, sizeof(labels)) > 0) {
		const size_t n_labels = message.len / sizeof(*labels);

		*n += message.n;
		/* Fewer have come than there are labels when there was no descriptor left. */
		for (size_t i = 0; i < message.n; i++) {
			if (i < n_labels && is_wanted(remains, labels[i].entry, labels[i].id))
				remains->fds[labels[i].entry] = message.fds[i];
			else
				(void)close(message.fds[i]);
		}
	}
}

/* Counts connections that were there and cannot go on. */
static uint64_t count_lost(const struct vault_remains *remains)
{
	uint64_t n = 0;

	for (size_t i = 1; i < remains->ledger->unused_entry; i++)
		n += remains->ledger->entries[i].id > 0 && remains->fds[i] < 0;
	return n;
}

int vault_take(struct handover_stored *stored, struct vault_remains *ret_remains)
{
	struct vault_remains remains = {.n_lost = 0};
	uint64_t n = 0;
	int r = -ENOENT;

	if (stored->ledger >= 0) {
		handover_forget(HANDOVER_LEDGER);
		r = ledger_open(STEAL_FD(stored->ledger), &remains.ledger);
		if (r == 0)
			remains.fds = malloc(remains.ledger->unused_entry * sizeof(int));
		if (r == 0 && !remains.fds) {
			ledger_free(STEAL(remains.ledger));
			r = -ENOMEM;
		}
	}
	for (size_t i = 0; r == 0 && i < remains.ledger->unused_entry; i++)
		remains.fds[i] = -1;
	for (size_t i = 0; i < stored->n_safe; i++) {
		take_pair(&remains, stored->safe[i].fd, &n);
		handover_forget(stored->safe[i].name);
		(void)close(stored->safe[i].fd);
		free(stored->safe[i].name);
	}
	stored->n_safe = 0;
	remains.n_lost = r == 0 ? count_lost(&remains) : n;
	*ret_remains = remains;
	return r;
}

void vault_remains_done(struct vault_remains *remains)
{
	for (size_t i = 0; remains->ledger && i < remains->ledger->unused_entry; i++)
		closep(&remains->fds[i]);
	ledger_free(remains->ledger);
	free(remains->fds);
	*remains = (struct vault_remains){0};
}
