/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ledger.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util.h"

enum {
	VERSION = 2,
	SEATS_AN_ENTRY = 4,    /* on average; a connection that gets none is not kept */
	ENTRIES_MAX = 1 << 20, /* whatever the limit of open files is */
};

#define MAGIC UINT64_C(0x72656764656c7472)

static size_t size_of(const struct ledger_header *header)
{
	return sizeof(*header) + header->n_entries * sizeof(struct ledger_entry) +
	       header->n_seats * sizeof(struct ledger_seat);
}

/* Maps fd as the header says that it is. Returns 0 or a negative errno. */
static int map(struct ledger *ledger, const struct ledger_header *header)
{
	uint8_t *start;

	ledger->size = size_of(header);
	start = mmap(NULL, ledger->size, PROT_READ | PROT_WRITE, MAP_SHARED, ledger->fd, 0);
	if (start == MAP_FAILED)
		return -errno;
	ledger->header = (struct ledger_header *)start;
	ledger->entries = (struct ledger_entry *)(start + sizeof(*header));
	ledger->seats = (struct ledger_seat *)(ledger->entries + header->n_entries);
	return 0;
}

int ledger_new(size_t n_entries, struct ledger **ret_ledger)
{
	struct ledger_header header = {.magic = MAGIC,
				       .version = VERSION,
				       .entry_size = sizeof(struct ledger_entry),
				       .seat_size = sizeof(struct ledger_seat)};
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	int r = -ENOMEM;

	if (!ledger)
		return -ENOMEM;
	header.n_entries = MIN(n_entries, (size_t)ENTRIES_MAX) + 1;
	header.n_seats = header.n_entries * SEATS_AN_ENTRY;
	(void)pthread_mutex_init(&ledger->lock, NULL); /* of the usual kind, which cannot fail */
	ledger->unused_entry = ledger->unused_seat = 1;
	ledger->free_entries = calloc(header.n_entries, sizeof(*ledger->free_entries));
	ledger->fd = memfd_create("retort-ledger", MFD_CLOEXEC);
	if (ledger->fd < 0 || ftruncate(ledger->fd, (off_t)size_of(&header)) < 0)
		r = -errno;
	else if (ledger->free_entries)
		r = map(ledger, &header);
	if (r < 0) {
		ledger_free(ledger);
		return r;
	}
	header.unused_entry = header.unused_seat = 1;
	*ledger->header = header;
	*ret_ledger = ledger;
	return 0;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	if (ledger->header)
		(void)munmap(ledger->header, ledger->size);
	closep(&ledger->fd);
	free(ledger->free_entries);
	free(ledger->free_seats);
	(void)pthread_mutex_destroy(&ledger->lock);
	free(ledger);
}

/* Looks whether fd is a ledger that this version can read. */
static int examine(int fd, struct ledger_header *ret_header)
{
	struct ledger_header header;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.magic != MAGIC)
		return -EBADMSG;
	if (header.version != VERSION || header.entry_size != sizeof(struct ledger_entry) ||
	    header.seat_size != sizeof(struct ledger_seat))
		return -EPROTO;
	if (header.n_entries > (uint64_t)ENTRIES_MAX + 1 ||
	    header.unused_entry > header.n_entries || header.unused_seat > header.n_seats ||
	    header.n_seats != header.n_entries * SEATS_AN_ENTRY ||
	    (size_t)status.st_size != size_of(&header))
		return -EBADMSG;
	*ret_header = header;
	return 0;
}

int ledger_open(int fd, struct ledger **ret_ledger)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	struct ledger_header header = {.magic = 0};
	int r = ledger ? examine(fd, &header) : -ENOMEM;

	if (!ledger) {
		closep(&fd);
		return r;
	}
	(void)pthread_mutex_init(&ledger->lock, NULL);
	ledger->fd = fd;
	ledger->unused_entry = (uint32_t)header.unused_entry;
	ledger->unused_seat = (uint32_t)header.unused_seat;
	if (r == 0)
		r = map(ledger, &header);
	if (r < 0)
		ledger_free(ledger);
	else
		*ret_ledger = ledger;
	return r;
}

uint32_t ledger_take_entry(struct ledger *ledger, uint64_t id)
{
	struct ledger_entry *entry;
	uint32_t number = 0;

	if (ledger->n_free_entries > 0)
		number = ledger->free_entries[--ledger->n_free_entries];
	else if (ledger->unused_entry < ledger->header->n_entries)
		number = ledger->unused_entry++;
	ledger->header->unused_entry = ledger->unused_entry;
	if (number == 0)
		return 0;
	entry = &ledger->entries[number];
	atomic_store_explicit(&entry->idle, false, memory_order_relaxed);
	atomic_store_explicit(&entry->over, false, memory_order_relaxed);
	atomic_store_explicit(&entry->elsewhere, false, memory_order_relaxed);
	ledger_write_nick(entry, NULL);
	entry->user[0] = entry->room[0] = '\0';
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&entry->id, id, memory_order_relaxed);
	return number;
}

void ledger_give_entry(struct ledger *ledger, uint32_t entry)
{
	if (entry == 0)
		return;
	ledger_set_idle(ledger, entry, false);
	atomic_store_explicit(&ledger->entries[entry].id, 0, memory_order_relaxed);
	ledger->free_entries[ledger->n_free_entries++] = entry;
}

uint32_t ledger_take_seat(struct ledger *ledger, uint64_t id, uint64_t room, uint64_t cursor,
			  uint64_t order)
{
	uint32_t number = 0;

	(void)pthread_mutex_lock(&ledger->lock);
	if (ledger->n_free_seats > 0)
		number = ledger->free_seats[--ledger->n_free_seats];
	else if (ledger->unused_seat < ledger->header->n_seats)
		number = ledger->unused_seat++;
	ledger->header->unused_seat = ledger->unused_seat;
	(void)pthread_mutex_unlock(&ledger->lock);
	if (number == 0)
		return 0;
	ledger->seats[number].room = room;
	ledger->seats[number].order = order;
	atomic_store_explicit(&ledger->seats[number].cursor, cursor, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&ledger->seats[number].id, id, memory_order_relaxed);
	return number;
}

void ledger_give_seat(struct ledger *ledger, uint32_t seat)
{
	uint32_t *seats;

	if (seat == 0)
		return;
	atomic_store_explicit(&ledger->seats[seat].id, 0, memory_order_relaxed);
	(void)pthread_mutex_lock(&ledger->lock);
	if (ledger->n_free_seats == ledger->free_seats_size) {
		size_t size = MAX(2 * ledger->free_seats_size, (size_t)64);

		seats = reallocarray(ledger->free_seats, size, sizeof(*seats));
		if (seats) {
			ledger->free_seats = seats;
			ledger->free_seats_size = size;
		}
	}
	/* Without memory it is never used again, and that is all. */
	if (ledger->n_free_seats < ledger->free_seats_size)
		ledger->free_seats[ledger->n_free_seats++] = seat;
	(void)pthread_mutex_unlock(&ledger->lock);
}

void ledger_write_name(char field[static LEDGER_NICK_SIZE], const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len >= LEDGER_NICK_SIZE)
		len = 0;
	if (len > 0)
		memcpy(field, name, len);
	field[len] = '\0';
}

void ledger_write_nick(struct ledger_entry *entry, const char *nick)
{
	unsigned char next = !atomic_load_explicit(&entry->nick, memory_order_relaxed);

	ledger_write_name(entry->nicks[next], nick);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&entry->nick, next, memory_order_relaxed);
}

const char *ledger_nick(const struct ledger_entry *entry)
{
	return entry->nicks[atomic_load_explicit(&entry->nick, memory_order_relaxed) != 0];
}
