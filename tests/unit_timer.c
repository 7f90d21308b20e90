/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Timers, against an array that is searched from end to end. */

#include <string.h>

#include "harness.h"
#include "timer.h"

enum { TIMERS = 100 };

static struct {
	bool no_memory;
	uint64_t now;
	struct timers timers;
	struct timer each[TIMERS];
	uint64_t due[TIMERS]; /* what the model knows; TIMER_NEVER: off */
	size_t order[TIMERS]; /* which timers have expired, in order */
	size_t n_expired;
	uint64_t rearm; /* each that expires is set again, to so much later; 0: it is not */
} all;

/* Stands in for that of the C library, by which the heap grows. */
void *reallocarray(void *memory, size_t n, size_t size)
{
	return all.no_memory ? NULL : realloc(memory, n * size);
}

static void set(size_t i, uint64_t due)
{
	int r = timer_set(&all.timers, &all.each[i], due);

	if (r != 0)
		ck_abort_msg("timer_set: %s", strerror(-r));
	all.due[i] = due;
}

static void expired(struct timer *timer)
{
	size_t i = (size_t)(timer - all.each);

	/* One assertion: each of them costs a write to Check's pipe. */
	ck_assert_msg(i < TIMERS && all.due[i] <= all.now && all.n_expired < TIMERS,
		      "timer %zu expires too early, twice, or though it is off", i);
	ck_assert_msg(timer->place == 0 && timer->due == TIMER_NEVER,
		      "it is not off when it expires");
	all.order[all.n_expired++] = i;
	all.due[i] = TIMER_NEVER;
	if (all.rearm > 0)
		set(i, all.now + all.rearm);
}

static void begin(void)
{
	all.timers.expired = expired;
	for (size_t i = 0; i < TIMERS; i++)
		all.due[i] = TIMER_NEVER;
}

static uint64_t earliest(void)
{
	uint64_t due = TIMER_NEVER;

	for (size_t i = 0; i < TIMERS; i++)
		due = MIN(due, all.due[i]);
	return due;
}

/* Lets all expire that are due at now. */
static void expire(uint64_t now)
{
	all.now = now;
	all.n_expired = 0;
	timers_expire(&all.timers, now);
	ck_assert_msg(earliest() > now, "a timer that is due has not expired");
	ck_assert_msg(timers_next(&all.timers) > now, "the loop would turn and turn");
	ck_assert_uint_le(timers_next(&all.timers), earliest());
}

START_TEST(test_none)
{
	begin();
	ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	timers_expire(&all.timers, 1000);
	timer_remove(&all.timers, &all.each[0]);
	set(0, TIMER_NEVER);
	ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	timers_done(&all.timers);
	ck_assert_ptr_eq(all.timers.expired, expired);
	set(0, 7);
	ck_assert_uint_eq(timers_next(&all.timers), 7);
	timers_done(&all.timers);
}
END_TEST

/* What was never put off expires in the order of its time, in whatever order it was set. */
START_TEST(test_order)
{
	struct random random;

	begin();
	random_init(&random, 2);
	for (size_t n = 0; n < TIMERS; n += 3) {
		uint64_t due[TIMERS] = {0};

		for (size_t i = 0; i < n; i++) {
			due[i] = 10 + random_below(&random, 60);
			set(i, due[i]);
		}
		ck_assert_uint_eq(timers_next(&all.timers), earliest());
		expire(9);
		ck_assert_uint_eq(all.n_expired, 0);
		expire(70);
		ck_assert_uint_eq(all.n_expired, n);
		for (size_t i = 1; i < n; i++)
			if (due[all.order[i - 1]] > due[all.order[i]])
				ck_abort_msg("timer %zu expires before its time has come", i);
		ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	}
	timers_done(&all.timers);
}
END_TEST

/* The heap learns of a later time when the old one comes, and of an earlier one at once. */
START_TEST(test_put_off)
{
	begin();
	set(0, 100);
	for (uint64_t due = 101; due <= 200; due++)
		set(0, due);
	ck_assert_uint_eq(timers_next(&all.timers), 100);
	expire(100);
	ck_assert_uint_eq(all.n_expired, 0);
	ck_assert_uint_eq(timers_next(&all.timers), 200);
	set(0, 300);
	set(0, 150);
	ck_assert_uint_eq(timers_next(&all.timers), 150);
	expire(150);
	ck_assert_uint_eq(all.n_expired, 1);
	expire(1000);
	ck_assert_uint_eq(all.n_expired, 0);

	set(0, 1100);
	set(0, TIMER_NEVER);
	expire(2000);
	ck_assert_uint_eq(all.n_expired, 0);
	ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	ck_assert_uint_eq(all.each[0].place, 0);
	timers_done(&all.timers);
}
END_TEST

START_TEST(test_set_again_while_expiring)
{
	begin();
	all.rearm = 10;
	for (size_t i = 0; i < TIMERS; i++)
		set(i, i % 7);
	for (uint64_t now = 6; now < 300; now += 10) {
		expire(now);
		ck_assert_uint_eq(all.n_expired, TIMERS);
		ck_assert_uint_eq(timers_next(&all.timers), now + 10);
	}
	for (size_t i = 0; i < TIMERS; i++)
		timer_remove(&all.timers, &all.each[i]);
	ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	timers_done(&all.timers);
}
END_TEST

START_TEST(test_no_memory)
{
	size_t n = 0;

	begin();
	for (; n < TIMERS - 1; n++)
		if (n == 0 || all.timers.n < all.timers.size)
			set(n, 50);
		else
			break;
	all.no_memory = true;
	ck_assert_int_eq(timer_set(&all.timers, &all.each[n], 20), -ENOMEM);
	ck_assert_uint_eq(all.each[n].due, TIMER_NEVER);
	ck_assert_uint_eq(all.each[n].place, 0);
	/* Those that are in the heap can be moved all the same, and others turned off. */
	set(0, 30);
	set(n, TIMER_NEVER);
	expire(30);
	ck_assert_uint_eq(all.n_expired, 1);
	set(n, 40); /* there is a place again */
	expire(60);
	ck_assert_uint_eq(all.n_expired, n);
	timers_done(&all.timers);
}
END_TEST

/* Sets, puts off, brings forward, removes, and lets time pass. */
START_TEST(test_against_array)
{
	struct random random;
	size_t n_expired = 0;

	begin();
	random_init(&random, 3);
	for (int round = 0; round < 20000; round++) {
		size_t i = random_below(&random, TIMERS);

		switch (random_below(&random, 16)) {
		case 0:
			timer_remove(&all.timers, &all.each[i]);
			ck_assert_uint_eq(all.each[i].place, 0);
			all.due[i] = TIMER_NEVER;
			break;
		case 1:
			set(i, TIMER_NEVER);
			break;
		case 2:
		case 3:
			all.rearm = random_below(&random, 3) * 40;
			expire(all.now + random_below(&random, 20));
			n_expired += all.n_expired;
			break;
		case 4: /* far away, so that the heap is full at times */
			set(i, all.now + 1 + random_below(&random, 5000));
			break;
		default:
			set(i, all.now + 1 + random_below(&random, 100));
			break;
		}
		ck_assert_uint_le(timers_next(&all.timers), earliest());
	}
	all.rearm = 0;
	expire(TIMER_NEVER - 1);
	ck_assert_uint_eq(timers_next(&all.timers), TIMER_NEVER);
	ck_assert_uint_gt(n_expired, 1000);
	timers_done(&all.timers);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("timer");

	harness_add(suite, test_none);
	harness_add(suite, test_order);
	harness_add(suite, test_put_off);
	harness_add(suite, test_set_again_while_expiring);
	harness_add(suite, test_no_memory);
	harness_add(suite, test_against_array);
	return harness_main(suite);
}
