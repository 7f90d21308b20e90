/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a process that was killed leaves for the next, a ledger and descriptors: whatever stands
 * there, as memory may have been damaged, nobody is taken for somebody else, every descriptor is
 * served or closed, and what is served is handed over in order. The input is either the ledger as
 * it is, or what stands in one whose header is right; and which descriptors there are for which of
 * its entries.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "harness_successor.h"
#include "util.h"

enum {
	CLIENTS_MAX = 8,
	ENTRIES_MAX = 8,
	RAW = 1, /* in the first byte: the rest is all of the ledger */
};

static const char config[] =
	"workers = 1; max_message = 4096; max_pending = 1048576;"
	"timeouts: { idle = 0; message = 0; drain = \"1h\"; };"
	"listeners: ("
	"{ name = \"length\"; framing = \"length\"; transforms = [ \"upper\" ]; "
	"listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"chat\"; service = \"chat\"; listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"talk\"; service = \"chat\"; framing = \"line\"; dialect = \"text\"; "
	"listen = \"tcp://127.0.0.1:0\"; });"
	"chat: { admins = []; rooms: ( { name = \"ops\"; } ); };";

/* Takes len bytes off the input; those that are not there are 0. */
static void take(struct bytes *input, void *to, size_t len)
{
	size_t some = MIN(len, input->len);

	memset(to, 0, len);
	if (some > 0)
		memcpy(to, input->data, some);
	input->data += some;
	input->len -= some;
}

static uint8_t take_byte(struct bytes *input)
{
	uint8_t byte;

	take(input, &byte, sizeof(byte));
	return byte;
}

/* ---- the ledger ---- */

static int make_raw(struct bytes input)
{
	int fd = memfd_create("ledger", MFD_CLOEXEC);

	require(fd >= 0 && write(fd, input.data, input.len) == (ssize_t)input.len);
	return fd;
}

/* Fills one that is empty, as it would be in a process, with what stands in the input. */
static int make_filled(struct bytes *input)
{
	struct ledger *ledger;
	int fd;

	require(ledger_new(1 + take_byte(input) % ENTRIES_MAX, &ledger) == 0);
	ledger->header->unused_entry = 1 + take_byte(input) % ledger->header->n_entries;
	ledger->header->unused_seat = 1 + take_byte(input) % ledger->header->n_seats;
	ledger->header->last_client = take_byte(input);
	for (size_t i = 1; i < ledger->header->unused_entry; i++)
		take(input, &ledger->entries[i], sizeof(*ledger->entries));
	for (size_t i = 1; i < ledger->header->unused_seat; i++)
		take(input, &ledger->seats[i], sizeof(*ledger->seats));
	fd = dup(ledger->fd);
	require(fd >= 0);
	ledger_free(ledger);
	return fd;
}

/* ---- the descriptors ---- */

/* What comes with a descriptor. */
struct label {
	uint64_t id, entry;
};

/* Queues connections for which the input says whose they are. Returns how many. */
static size_t make_safe(struct bytes *input, struct handover_stored *stored, int *clients)
{
	size_t n = take_byte(input) % (CLIENTS_MAX + 1);
	struct label labels[CLIENTS_MAX];
	int fds[CLIENTS_MAX], both[2];

	for (size_t i = 0; i < n; i++) {
		int ends[2];

		labels[i].id = take_byte(input);
		labels[i].entry = take_byte(input);
		successor_connect(ends, i % 2);
		clients[i] = ends[0];
		fds[i] = ends[1];
	}
	if (n == 0)
		return 0;
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both) == 0);
	require(handover_send(both[0], fds, n, labels, n * sizeof(*labels)) == 0);
	(void)close(both[0]);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	stored->safe = calloc(1, sizeof(*stored->safe));
	require(stored->safe);
	stored->safe[stored->n_safe++] = (struct handover_pair){both[1], strdup(HANDOVER_SAFE "1")};
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover_stored stored = {.state = -1, .ledger = -1};
	struct bytes input = {(uint8_t *)data, size};
	int clients[CLIENTS_MAX];
	enum successor_taken taken;
	size_t n;
	bool raw;

	successor_begin(config);
	raw = take_byte(&input) & RAW;
	n = make_safe(&input, &stored, clients);
	stored.ledger = raw ? make_raw(input) : make_filled(&input);
	taken = successor_inherit(&stored, clients, n);
	require(taken != SUCCESSOR_NOTHING || raw);
	return 0;
}
