/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The mailbox, by threads that really post at the same time. The reader sleeps on the descriptor
 * whenever it has read everything, so a lost wake-up is a test that times out. The contents of
 * letters are no atomics: the thread sanitizer sees whether the mailbox hands them over properly.
 */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#include "harness.h"
#include "mailbox.h"

enum { WRITERS = 6 };

struct note {
	struct letter letter;
	size_t writer, number;
};

static bool readable(const struct mailbox *mailbox, int patience)
{
	return poll(&(struct pollfd){mailbox->fd, POLLIN, 0}, 1, patience) == 1;
}

START_TEST(test_one_thread)
{
	struct mailbox mailbox;
	struct letter letters[5] = {{.kind = 0}}, *letter;
	uint64_t woken;

	ck_assert_int_eq(mailbox_init(&mailbox), 0);
	ck_assert(!readable(&mailbox, 0));
	ck_assert_ptr_null(mailbox_collect(&mailbox));
	for (int n = 1; n <= (int)ARRAY_SIZE(letters); n++) {
		for (int i = 0; i < n; i++) {
			letters[i].kind = (uint16_t)(100 * n + i);
			mailbox_post(&mailbox, &letters[i]);
			ck_assert(readable(&mailbox, 0));
		}
		letter = mailbox_collect(&mailbox);
		for (int i = 0; i < n; i++, letter = letter->next) {
			ck_assert_ptr_eq(letter, &letters[i]);
			ck_assert_int_eq(letter->kind, 100 * n + i);
		}
		ck_assert_ptr_null(letter);
		ck_assert(!readable(&mailbox, 0));
		ck_assert_ptr_null(mailbox_collect(&mailbox));
	}

	/* Only the first letter costs a call to the kernel. */
	mailbox_post(&mailbox, &letters[0]);
	mailbox_post(&mailbox, &letters[1]);
	ck_assert_int_eq(read(mailbox.fd, &woken, sizeof(woken)), sizeof(woken));
	ck_assert_uint_eq(woken, 1);
	ck_assert_ptr_eq(mailbox_collect(&mailbox), &letters[0]);
	mailbox_done(&mailbox);
	ck_assert_int_eq(mailbox.fd, -1);
	mailbox_done(&mailbox);
}
END_TEST

/* One of several that post to the same mailbox. */
struct writer {
	pthread_t thread;
	struct mailbox *mailbox;
	struct note *notes;
	size_t id, n;
};

static void *write_notes(void *argument)
{
	struct writer *writer = argument;
	struct random random;

	random_init(&random, writer->id);
	for (size_t i = 0; i < writer->n; i++) {
		writer->notes[i].writer = writer->id;
		writer->notes[i].number = i;
		writer->notes[i].letter.kind = (uint16_t)i;
		mailbox_post(writer->mailbox, &writer->notes[i].letter);
		/* The reader comes to its end now and then, and sleeps. */
		if (random_below(&random, 64) == 0)
			(void)sched_yield(); /* cannot fail */
	}
	return NULL;
}

START_TEST(test_many_writers)
{
	size_t n = harness_rounds(30000, 4000), seen[WRITERS] = {0}, total = 0, sleeps = 0;
	struct writer writers[WRITERS];
	struct mailbox mailbox;

	ck_assert_int_eq(mailbox_init(&mailbox), 0);
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.mailbox = &mailbox, .id = i, .n = n};
		writers[i].notes = calloc(n, sizeof(struct note));
		ck_assert_ptr_nonnull(writers[i].notes);
		ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_notes, &writers[i]),
				 0);
	}
	for (; total < WRITERS * n; sleeps++) {
		if (!readable(&mailbox, harness_patience()))
			ck_abort_msg("not woken");
		for (struct letter *letter = mailbox_collect(&mailbox), *next; letter;
		     letter = next, total++) {
			struct note *note = CONTAINER_OF(letter, struct note, letter);

			/* One assertion: each of them costs a write to Check's pipe. */
			if (note->writer >= WRITERS || note->number != seen[note->writer]++ ||
			    letter->kind != (int)note->number)
				ck_abort_msg("letter %zu of writer %zu is out of order",
					     note->number, note->writer);
			next = letter->next;
			letter->next = NULL; /* it is the reader's */
		}
	}
	for (size_t i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
		ck_assert_uint_eq(seen[i], n);
		free(writers[i].notes);
	}
	ck_assert_uint_gt(sleeps, 1);
	ck_assert_ptr_null(mailbox_collect(&mailbox));
	ck_assert(!readable(&mailbox, 0));
	mailbox_done(&mailbox);
}
END_TEST

/* Two threads that send the same letter to and fro: each must be woken for each. */
struct player {
	struct mailbox *own, *other;
	size_t rounds;
};

static void *play(void *argument)
{
	struct player *player = argument;

	for (size_t i = 0; i < player->rounds;) {
		struct letter *letter;

		if (!readable(player->own, harness_patience()))
			return "not woken";
		letter = mailbox_collect(player->own);
		if (!letter)
			continue;
		if (letter->next)
			return "a second letter";
		letter->kind++;
		mailbox_post(player->other, letter);
		i++;
	}
	return NULL;
}

START_TEST(test_to_and_fro)
{
	size_t rounds = harness_rounds(10000, 2000);
	struct letter letter = {.kind = 0};
	struct mailbox boxes[2];
	struct player players[2] = {
		{&boxes[0], &boxes[1], rounds},
		{&boxes[1], &boxes[0], rounds},
	};
	pthread_t thread;
	void *problem;

	ck_assert_int_eq(mailbox_init(&boxes[0]), 0);
	ck_assert_int_eq(mailbox_init(&boxes[1]), 0);
	mailbox_post(&boxes[0], &letter);
	ck_assert_int_eq(pthread_create(&thread, NULL, play, &players[1]), 0);
	problem = play(&players[0]);
	ck_assert_msg(!problem, "%s", (char *)problem);
	ck_assert_int_eq(pthread_join(thread, &problem), 0);
	ck_assert_msg(!problem, "%s", (char *)problem);
	ck_assert_ptr_eq(mailbox_collect(&boxes[0]), &letter);
	ck_assert_int_eq(letter.kind, (int)(2 * rounds));
	mailbox_done(&boxes[0]);
	mailbox_done(&boxes[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mailbox");

	harness_add(suite, test_one_thread);
	harness_add(suite, test_many_writers);
	harness_add(suite, test_to_and_fro);
	return harness_main(suite);
}
