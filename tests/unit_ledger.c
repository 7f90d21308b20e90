/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The memory that outlives a process: what is taken, given back, and read by the next one. */

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "harness.h"
#include "ledger.h"

/* Opens the memory once more, as the next process does. */
static struct ledger *open_again(const struct ledger *ledger)
{
	struct ledger *again;

	ck_assert_int_eq(ledger_open(dup(ledger->fd), &again), 0);
	return again;
}

START_TEST(entries_are_taken_and_given)
{
	enum { N = 5 };
	struct ledger *ledger;
	uint32_t numbers[N];

	ck_assert_int_eq(ledger_new(N, &ledger), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < N; i++) {
			numbers[i] = ledger_take_entry(ledger, 100 * round + i + 1);
			ck_assert_uint_ge(numbers[i], 1);
			ck_assert_uint_le(numbers[i], N);
			for (uint32_t j = 0; j < i; j++)
				ck_assert_uint_ne(numbers[j], numbers[i]);
		}
		ck_assert_uint_eq(ledger_take_entry(ledger, 99), 0);
		for (uint32_t i = 0; i < N; i++) {
			const struct ledger_entry *entry = &ledger->entries[numbers[i]];

			ck_assert_uint_eq(entry->id, 100 * round + i + 1);
			ledger_set_idle(ledger, numbers[i], true);
			ledger_give_entry(ledger, numbers[i]);
			ck_assert_uint_eq(entry->id, 0);
			ck_assert(!entry->idle);
		}
	}
	ledger_give_entry(ledger, 0);
	ledger_set_idle(ledger, 0, true);
	ledger_set_idle(NULL, 0, true);
	ledger_free(ledger);
	ledger_free(NULL);
}
END_TEST

/* What was known of the connection before is not known of the next one. */
START_TEST(entries_are_used_again_blank)
{
	struct ledger *ledger;
	struct ledger_entry *entry;
	uint32_t number;

	ck_assert_int_eq(ledger_new(1, &ledger), 0);
	number = ledger_take_entry(ledger, 1);
	entry = &ledger->entries[number];
	ledger_write_nick(entry, "anna");
	ledger_write_name(entry->room, "ops");
	ledger_give_up(entry);
	entry->elsewhere = true;
	ledger_set_idle(ledger, number, true);
	ledger_give_entry(ledger, number);
	ck_assert_uint_eq(ledger_take_entry(ledger, 2), number);
	ck_assert_str_eq(ledger_nick(entry), "");
	ck_assert_str_eq(entry->room, "");
	ck_assert(!entry->over && !entry->elsewhere && !entry->idle);
	ledger_free(ledger);
}
END_TEST

START_TEST(seats_are_taken_and_given)
{
	enum { N = 4 };
	struct ledger *ledger;
	uint32_t numbers[64];
	size_t n = 0;

	ck_assert_int_eq(ledger_new(N, &ledger), 0);
	while (n < 64 && (numbers[n] = ledger_take_seat(ledger, 7, n, 10 * n, 3 * n)) > 0)
		n++;
	ck_assert_uint_eq(n, ledger->header->n_seats - 1);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(ledger->seats[numbers[i]].id, 7);
		ck_assert_uint_eq(ledger->seats[numbers[i]].room, i);
		ck_assert_uint_eq(ledger->seats[numbers[i]].cursor, 10 * i);
		ck_assert_uint_eq(ledger->seats[numbers[i]].order, 3 * i);
	}
	for (size_t i = 0; i < n; i++) {
		ledger_give_seat(ledger, numbers[i]);
		ck_assert_uint_eq(ledger->seats[numbers[i]].id, 0);
		ck_assert_uint_eq(ledger_take_seat(ledger, 8, 1, 1, 1), numbers[i]);
		ck_assert_uint_eq(ledger_take_seat(ledger, 8, 1, 1, 1), 0);
	}
	ledger_give_seat(ledger, 0);
	ledger_free(ledger);
}
END_TEST

START_TEST(names_fit_or_are_none)
{
	char field[LEDGER_NICK_SIZE], name[LEDGER_NICK_SIZE + 2] = "";
	struct ledger_entry entry = {.id = 1};

	for (size_t len = 0; len <= LEDGER_NICK_SIZE; len++) {
		memset(name, 'x', len);
		memset(field, '?', sizeof field);
		ledger_write_name(field, name);
		ck_assert_str_eq(field, len < LEDGER_NICK_SIZE ? name : "");
		ledger_write_nick(&entry, name);
		ck_assert_str_eq(ledger_nick(&entry), len < LEDGER_NICK_SIZE ? name : "");
	}
	ledger_write_name(field, NULL);
	ck_assert_str_eq(field, "");
}
END_TEST

/* While a nick is written, the one before is what the next process would read. */
START_TEST(a_nick_changes_at_once)
{
	struct ledger_entry entry = {.id = 1};
	const char *before, *after;

	ledger_write_nick(&entry, "anna");
	before = ledger_nick(&entry);
	ledger_write_nick(&entry, "ben");
	after = ledger_nick(&entry);
	ck_assert_ptr_ne(before, after);
	ck_assert_str_eq(before, "anna");
	ck_assert_str_eq(after, "ben");
}
END_TEST

START_TEST(the_next_process_reads_it)
{
	struct ledger *ledger, *again;
	uint32_t entry, seat;

	ck_assert_int_eq(ledger_new(1000, &ledger), 0);
	entry = ledger_take_entry(ledger, 42);
	seat = ledger_take_seat(ledger, 42, 3, 17, 5);
	ledger_write_nick(&ledger->entries[entry], "anna");
	ledger_set_idle(ledger, entry, true);
	ledger->header->last_client = 50;
	again = open_again(ledger);
	ledger_free(ledger);
	ck_assert_uint_eq(again->header->n_entries, 1001);
	ck_assert_uint_eq(again->header->last_client, 50);
	ck_assert_uint_eq(again->entries[entry].id, 42);
	ck_assert(again->entries[entry].idle);
	ck_assert_str_eq(ledger_nick(&again->entries[entry]), "anna");
	ck_assert_uint_eq(again->seats[seat].id, 42);
	ck_assert_uint_eq(again->seats[seat].room, 3);
	ck_assert_uint_eq(again->seats[seat].cursor, 17);
	ck_assert_uint_eq(again->seats[seat].order, 5);
	ledger_free(again);
}
END_TEST

START_TEST(the_limit_of_files_may_be_huge)
{
	struct ledger *ledger, *again;

	ck_assert_int_eq(ledger_new((size_t)1 << 40, &ledger), 0);
	ck_assert_uint_le(ledger->header->n_entries, (1 << 20) + 1);
	again = open_again(ledger);
	ledger_free(again);
	ledger_free(ledger);
}
END_TEST

/* Expects what ledger_open() makes of it when the 64 bits at this place have another value. */
static void expect_refused(size_t place, uint64_t value, int error)
{
	struct ledger *ledger, *again = NULL;

	ck_assert_int_eq(ledger_new(10, &ledger), 0);
	ck_assert_int_eq(pwrite(ledger->fd, &value, sizeof value, (off_t)place), sizeof value);
	ck_assert_int_eq(ledger_open(dup(ledger->fd), &again), error);
	ck_assert_ptr_null(again);
	ledger_free(ledger);
}

START_TEST(others_are_refused)
{
	expect_refused(offsetof(struct ledger_header, magic), 1, -EBADMSG);
	expect_refused(offsetof(struct ledger_header, version), 99, -EPROTO);
	expect_refused(offsetof(struct ledger_header, entry_size), 99, -EPROTO);
	expect_refused(offsetof(struct ledger_header, seat_size), 99, -EPROTO);
	for (uint64_t n = 1; n; n <<= 1) {
		expect_refused(offsetof(struct ledger_header, n_entries), 11 + n, -EBADMSG);
		expect_refused(offsetof(struct ledger_header, n_seats), 44 + n, -EBADMSG);
		expect_refused(offsetof(struct ledger_header, unused_entry), 11 + n, -EBADMSG);
		expect_refused(offsetof(struct ledger_header, unused_seat), 44 + n, -EBADMSG);
	}
}
END_TEST

START_TEST(what_is_cut_short_is_refused)
{
	struct ledger *ledger, *again = NULL;
	size_t size;

	ck_assert_int_eq(ledger_new(10, &ledger), 0);
	size = ledger->size;
	for (size_t len = 0; len < size; len += 1 + len / 8) {
		int fd = memfd_create("cut", MFD_CLOEXEC);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, ledger->header, len), (ssize_t)len);
		ck_assert_int_eq(ledger_open(fd, &again), -EBADMSG);
	}
	ledger_free(ledger);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	struct ledger *ledger = NULL;
	int both[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
	ck_assert_int_eq(ledger_open(both[0], &ledger), -EBADMSG);
	ck_assert_int_eq(fcntl(both[0], F_GETFD), -1); /* closed */
	ck_assert_int_eq(ledger_open(-1, &ledger), -EBADF);
	(void)close(both[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ledger");

	harness_add(suite, entries_are_taken_and_given);
	harness_add(suite, entries_are_used_again_blank);
	harness_add(suite, seats_are_taken_and_given);
	harness_add(suite, names_fit_or_are_none);
	harness_add(suite, a_nick_changes_at_once);
	harness_add(suite, the_next_process_reads_it);
	harness_add(suite, the_limit_of_files_may_be_huge);
	harness_add(suite, others_are_refused);
	harness_add(suite, what_is_cut_short_is_refused);
	harness_add(suite, what_is_no_file_is_refused);
	return harness_main(suite);
}
