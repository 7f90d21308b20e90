/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort.h"

/*
 * What programs call: settings, taking events, and waiting. All waiting is here, in await(); what
 * is done in between is retort_process.c's.
 */

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "retort_process.h"
#include "retort_where.h"
#include "util.h"

enum { CALL_INBOX_LIMIT = 64 * 1024 * 1024 };

/* ---- A connection and its settings ---- */

int retort_new(const char *address, struct retort **ret_retort, const char **ret_problem)
{
	struct retort *retort;
	const char *problem = NULL;
	struct endpoint *endpoints;
	size_t n;
	int r;

	r = where_find(address, &endpoints, &n, &problem);
	if (r < 0) {
		if (ret_problem && problem)
			*ret_problem = problem;
		return r;
	}
	retort = malloc(sizeof(*retort));
	if (!retort) {
		free(endpoints);
		return -ENOMEM;
	}
	r = state_init(retort, endpoints, n);
	if (r < 0) {
		retort_free(retort);
		return r;
	}
	*ret_retort = retort;
	return 0;
}

void retort_free(struct retort *retort)
{
	if (!retort)
		return;
	state_done(retort);
	free(retort);
}

/* Replaces a string that is owned. Returns 0 or -ENOMEM. */
static int set_string(char **place, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	free(*place);
	*place = copy;
	return 0;
}

int retort_set_nick(struct retort *retort, const char *nick)
{
	return set_string(&retort->wished_nick, nick);
}

int retort_set_login(struct retort *retort, const char *user, const char *password)
{
	int r = set_string(&retort->login, user);

	return r < 0 ? r : set_string(&retort->password, password);
}

void retort_set_hello(struct retort *retort, bool hello)
{
	retort->says_hello = hello;
}

void retort_set_timeout(struct retort *retort, int timeout)
{
	retort->timeout = timeout;
}

void retort_set_patience(struct retort *retort, int first, int again)
{
	retort->patience[0] = first;
	retort->patience[1] = again;
}

void retort_set_max_message(struct retort *retort, size_t max)
{
	retort->max_message = max;
}

const char *retort_nick(const struct retort *retort)
{
	return retort->nick;
}

const char *retort_user(const struct retort *retort)
{
	return retort->user;
}

bool retort_connected(const struct retort *retort)
{
	return retort->phase == PHASE_LIVE;
}

size_t retort_pending(const struct retort *retort)
{
	return retort->n_asked;
}

int retort_seen(const struct retort *retort, const char *room, uint64_t *ret_seq)
{
	const struct cursor *cursor = cursor_find(&retort->cursors, room);

	if (!cursor || cursor->evicted)
		return -ENOENT;
	if (!cursor->known)
		return -EAGAIN;
	*ret_seq = cursor->seq;
	return 0;
}

const char *retort_problem(const struct retort *retort)
{
	return retort->problem;
}

const char *retort_token(const struct retort *retort)
{
	return *retort->token ? retort->token : NULL;
}

void retort_reconnect(struct retort *retort)
{
	if (retort->phase == PHASE_FAILED || retort->phase == PHASE_WAITING)
		state_restart(retort);
}

/* ---- For a loop of one's own ---- */

int retort_fd(const struct retort *retort)
{
	/* Until it is connecting, a socket would be reported as hung up again and again. */
	if (retort->phase == PHASE_CONNECTING && !retort->wire.connecting)
		return -1;
	return retort->wire.fd;
}

short retort_events(const struct retort *retort)
{
	return process_events(retort);
}

int retort_timeout(const struct retort *retort)
{
	if (!list_empty(&retort->inbox.items))
		return 0;
	return clock_wait_ms(process_due(retort));
}

int retort_process(struct retort *retort)
{
	return process_step(retort);
}

/* Makes room joined for what this request does to it. */
static int prepare_room(struct retort *retort, const struct retort_request *request)
{
	struct cursor *cursor = cursor_find(&retort->cursors, request->room);

	if (!cursor && request->op == RETORT_OP_JOIN)
		cursor = cursor_add(&retort->cursors, request->room);
	if (!cursor)
		return request->op == RETORT_OP_JOIN ? -ENOMEM : 0;
	if (request->op == RETORT_OP_LEAVE) {
		cursor->leave = retort->last_cookie;
		return 0;
	}
	/* Of a room that is joined already it is known where to go on. */
	if (cursor->evicted)
		state_tell_leaves(retort, NULL);
	if (cursor->evicted || (!cursor->joined && !cursor->join) || cursor->leave > cursor->join) {
		cursor->joined = cursor->joined && !cursor->evicted;
		cursor->evicted = false;
		cursor->known = request->has & RETORT_HAS_SINCE;
		cursor->seq = cursor->known ? request->since : 0;
		cursor->heard = false;
	}
	cursor->join = retort->last_cookie;
	return 0;
}

static int submit(struct retort *retort, const struct retort_request *wanted, enum asked_by by,
		  uint64_t *ret_cookie)
{
	struct retort_request request = *wanted;
	char key[CHAT_KEY_MAX];
	uint64_t cookie;
	int r;

	if (retort->phase == PHASE_FAILED)
		return retort->failure;
	if (retort->n_asked >= RETORT_REQUESTS_MAX)
		return -EAGAIN;
	if (request.op == RETORT_OP_SAY && !request.key) {
		(void)snprintf(key, sizeof(key), "%s-%llu", retort->key_prefix,
			       (unsigned long long)++retort->last_key);
		request.key = key;
	}
	r = state_ask(retort, &request, by, &retort->asked, &cookie);
	if (r < 0)
		return r;
	if (request.op == RETORT_OP_JOIN || request.op == RETORT_OP_LEAVE)
		r = prepare_room(retort, &request);
	if (r < 0) {
		retort->n_asked--;
		asked_free(CONTAINER_OF(retort->asked.previous, struct asked, link));
		return r;
	}
	if (ret_cookie)
		*ret_cookie = cookie;
	return 0;
}

int retort_submit(struct retort *retort, const struct retort_request *request, uint64_t *ret_cookie)
{
	return submit(retort, request, ASKED_BY_SUBMIT, ret_cookie);
}

/* ---- Waiting ---- */

/* Waits until there may be something to do, or until deadline. Returns 0 or -errno. */
static int await(struct retort *retort, uint64_t deadline)
{
	struct pollfd poll_fd = {.fd = retort_fd(retort), .events = process_events(retort)};
	const int wait = clock_wait_ms(MIN(deadline, process_due(retort)));

	if (poll(&poll_fd, 1, wait) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int retort_next(struct retort *retort, int timeout, struct retort_event *ret_event)
{
	const uint64_t deadline = clock_after(clock_now(), timeout);
	int r;

	item_free(STEAL(retort->current));
	while (list_empty(&retort->inbox.items)) {
		r = process_step(retort);
		if (!list_empty(&retort->inbox.items))
			break;
		if (r == 0 && deadline <= clock_now())
			return 0;
		if (r == 0)
			r = await(retort, deadline);
		if (r < 0)
			return r;
	}
	retort->current = inbox_take(&retort->inbox);
	*ret_event = retort->current->event;
	return 1;
}

int retort_connect(struct retort *retort, int timeout)
{
	const uint64_t deadline = clock_after(clock_now(), timeout);
	int r = 0;

	if (retort->phase == PHASE_FAILED)
		state_restart(retort);
	while (r == 0) {
		r = process_step(retort);
		if (retort->phase == PHASE_LIVE)
			return 0;
		if (retort->phase == PHASE_FAILED && retort->refusal)
			return retort->refusal;
		if (r == 0 && deadline <= clock_now())
			r = -ETIMEDOUT;
		if (r == 0)
			r = await(retort, deadline);
	}
	if (!*retort->problem)
		state_problem(retort, NULL, "timed out");
	return r;
}

/* Nobody waits for this reply any longer. */
static void abandon(struct retort *retort, uint64_t cookie)
{
	struct asked *asked;

	LIST_FOR_EACH(asked, &retort->asked, struct asked, link)
		if (asked->cookie == cookie)
			asked->by = ASKED_BY_NOBODY;
}

/* Waits for the reply that retort->answer will be. Returns 0 or -errno. */
static int await_answer(struct retort *retort, uint64_t deadline)
{
	int r;

	for (;;) {
		r = process_step(retort);
		if (retort->answer)
			return 0;
		if (r == 0 && deadline <= clock_now())
			r = -ETIMEDOUT;
		if (r == 0 && retort->inbox.cost >= CALL_INBOX_LIMIT)
			r = -ENOBUFS;
		if (r == 0)
			r = await(retort, deadline);
		if (r < 0)
			return r;
	}
}

int retort_call(struct retort *retort, const struct retort_request *request, int timeout,
		const struct retort_reply **ret_reply)
{
	const uint64_t deadline = clock_after(clock_now(), timeout);
	const struct retort_reply *reply;
	uint64_t cookie = 0;
	int r;

	item_free(STEAL(retort->answer));
	r = submit(retort, request, ASKED_BY_CALL, &cookie);
	if (r < 0)
		return r;
	retort->inbox_limit = CALL_INBOX_LIMIT;
	r = await_answer(retort, deadline);
	retort->inbox_limit = INBOX_LIMIT;
	if (r < 0) {
		abandon(retort, cookie);
		if (r == -ETIMEDOUT && retort->phase != PHASE_FAILED)
			state_problem(retort, NULL, "no answer came in time");
		return r;
	}
	reply = &retort->answer->reply;
	if (reply->status != 0)
		state_problem(retort, reply->token, reply->message ?: "refused");
	if (ret_reply && reply->status >= 0)
		*ret_reply = reply;
	return reply->status;
}

static int call_join(struct retort *retort, const char *room, unsigned has, uint64_t since,
		     int timeout)
{
	const struct retort_request request = {
		.op = RETORT_OP_JOIN, .room = room, .has = has, .since = since};

	return retort_call(retort, &request, timeout, NULL);
}

int retort_join(struct retort *retort, const char *room, int timeout)
{
	return call_join(retort, room, 0, 0, timeout);
}

int retort_join_since(struct retort *retort, const char *room, uint64_t since, int timeout)
{
	return call_join(retort, room, RETORT_HAS_SINCE, since, timeout);
}

int retort_leave(struct retort *retort, const char *room, int timeout)
{
	const struct retort_request request = {.op = RETORT_OP_LEAVE, .room = room};

	return retort_call(retort, &request, timeout, NULL);
}

int retort_say(struct retort *retort, const char *room, const char *text, int timeout,
	       uint64_t *ret_seq)
{
	const struct retort_request request = {.op = RETORT_OP_SAY, .room = room, .text = text};
	const struct retort_reply *reply;
	int r = retort_call(retort, &request, timeout, &reply);

	if (r == 0 && ret_seq)
		*ret_seq = reply->seq;
	return r;
}
