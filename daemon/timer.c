/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timer.h"

#include "util.h"

void timers_done(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){.expired = timers->expired};
}

static void put(struct timers *timers, size_t place, struct timer *timer)
{
	timers->heap[place - 1] = timer;
	timer->place = place;
}

static struct timer *at(const struct timers *timers, size_t place)
{
	return timers->heap[place - 1];
}

static void sift_up(struct timers *timers, struct timer *timer)
{
	size_t place = timer->place;

	for (; place > 1 && at(timers, place / 2)->key > timer->key; place /= 2)
		put(timers, place, at(timers, place / 2));
	put(timers, place, timer);
}

static void sift_down(struct timers *timers, struct timer *timer)
{
	size_t place = timer->place, child;

	for (; (child = 2 * place) <= timers->n; place = child) {
		if (child < timers->n && at(timers, child + 1)->key < at(timers, child)->key)
			child++;
		if (at(timers, child)->key >= timer->key)
			break;
		put(timers, place, at(timers, child));
	}
	put(timers, place, timer);
}

static int insert(struct timers *timers, struct timer *timer)
{
	if (timers->n == timers->size) {
		size_t size = MAX(timers->size * 2, (size_t)16);
		struct timer **heap = reallocarray(timers->heap, size, sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		timers->heap = heap;
		timers->size = size;
	}
	timer->key = timer->due;
	put(timers, ++timers->n, timer);
	sift_up(timers, timer);
	return 0;
}

int timer_set(struct timers *timers, struct timer *timer, uint64_t due)
{
	int r;

	timer->due = due;
	if (timer->place == 0) {
		r = due == TIMER_NEVER ? 0 : insert(timers, timer);
		if (r < 0)
			timer->due = TIMER_NEVER;
		return r;
	}
	if (due < timer->key) {
		timer->key = due;
		sift_up(timers, timer);
	}
	return 0;
}

void timer_remove(struct timers *timers, struct timer *timer)
{
	struct timer *last;

	if (timer->place == 0)
		return;
	last = at(timers, timers->n--);
	if (last != timer) {
		put(timers, timer->place, last);
		sift_up(timers, last);
		sift_down(timers, last);
	}
	timer->place = 0;
}

uint64_t timers_next(const struct timers *timers)
{
	return timers->n == 0 ? TIMER_NEVER : at(timers, 1)->key;
}

void timers_expire(struct timers *timers, uint64_t now)
{
	while (timers->n > 0 && at(timers, 1)->key <= now) {
		struct timer *timer = at(timers, 1);

		if (timer->due > now && timer->due != TIMER_NEVER) {
			timer->key = timer->due;
			sift_down(timers, timer);
			continue;
		}
		timer_remove(timers, timer);
		if (timer->due != TIMER_NEVER) {
			timer->due = TIMER_NEVER;
			timers->expired(timer);
		}
	}
}
