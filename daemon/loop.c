/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#include "clock.h"
#include "util.h"

static_assert(LOOP_IN == (int)EPOLLIN && LOOP_OUT == (int)EPOLLOUT &&
		      LOOP_BROKEN == (int)(EPOLLERR | EPOLLHUP),
	      "events are handed on as the kernel has them");

enum { EVENTS_A_TURN = 512 };

struct loop {
	int fd;
	uint64_t now;
	struct timers timers;
	struct epoll_event events[EVENTS_A_TURN];
};

void loop_read_clock(struct loop *loop)
{
	loop->now = clock_now() / NSEC_PER_MSEC;
}

int loop_new(void (*expired)(struct timer *timer), struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->fd < 0) {
		free(loop);
		return -errno;
	}
	loop->timers.expired = expired;
	loop_read_clock(loop);
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	timers_done(&loop->timers);
	closep(&loop->fd);
	free(loop);
}

static int control(struct loop *loop, int operation, int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->fd, operation, fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, struct watch *watch)
{
	return control(loop, EPOLL_CTL_ADD, fd, events, watch);
}

int loop_change(struct loop *loop, int fd, uint32_t events, struct watch *watch)
{
	return control(loop, EPOLL_CTL_MOD, fd, events, watch);
}

void loop_remove(struct loop *loop, int fd)
{
	(void)epoll_ctl(loop->fd, EPOLL_CTL_DEL, fd, NULL); /* fails only for one not watched */
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

struct timers *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

/* Milliseconds until the next timer, for epoll_wait(2); -1 is for ever. */
static int patience(struct loop *loop)
{
	uint64_t due = timers_next(&loop->timers);

	if (due == TIMER_NEVER)
		return -1;
	loop_read_clock(loop);
	if (due <= loop->now)
		return 0;
	return (int)MIN(due - loop->now, (uint64_t)INT_MAX);
}

int loop_turn(struct loop *loop)
{
	int n = epoll_wait(loop->fd, loop->events, EVENTS_A_TURN, patience(loop));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop_read_clock(loop);
	for (int i = 0; i < n; i++) {
		struct watch *watch = loop->events[i].data.ptr;

		watch->ready(watch, loop->events[i].events);
	}
	timers_expire(&loop->timers, loop->now);
	return 0;
}
