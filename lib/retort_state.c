/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_state.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "retort_nick.h"
#include "util.h"

enum {
	BACK_OFF_FIRST = 100, /* milliseconds */
	BACK_OFF_MAX = 10000,
	STEADY = 1000,	/* milliseconds: a connection that lasted this long was one */
	LOSSES_MAX = 3, /* connections that one request may cost */
	TIMEOUT = 5000,
	MAX_MESSAGE = 16 * 1024 * 1024,
};

int state_init(struct retort *retort, struct endpoint *endpoints, size_t n_endpoints)
{
	uint64_t random;

	*retort = (struct retort){
		.endpoints = endpoints,
		.n_endpoints = n_endpoints,
		.says_hello = true,
		.timeout = TIMEOUT,
		.patience = {0, -1},
		.max_message = MAX_MESSAGE,
		.hello_at = DEADLINE_NONE,
		.inbox_limit = INBOX_LIMIT,
	};
	wire_init(&retort->wire);
	list_init(&retort->asked);
	list_init(&retort->cursors);
	inbox_init(&retort->inbox);
	list_init(&retort->leaves);
	if (endpoints->transport == TRANSPORT_UNIX &&
	    nick_of_user(&retort->own_user, &retort->own_nick) < 0)
		return -ENOMEM;
	if (!retort->own_nick && !(retort->own_nick = nick_of_guest()))
		return -ENOMEM;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	(void)snprintf(retort->key_prefix, sizeof(retort->key_prefix), "%016llx",
		       (unsigned long long)random);
	return 0;
}

void state_done(struct retort *retort)
{
	struct cursor *cursor;
	struct asked *asked;

	wire_done(&retort->wire);
	LIST_FOR_EACH(asked, &retort->asked, struct asked, link)
		asked_free(asked);
	LIST_FOR_EACH(cursor, &retort->cursors, struct cursor, link)
		cursor_free(cursor);
	state_tell_leaves(retort, NULL);
	inbox_done(&retort->inbox);
	item_free(retort->greeting);
	item_free(retort->current);
	item_free(retort->answer);
	free(retort->endpoints);
	free(retort->wished_nick);
	free(retort->login);
	free(retort->password);
	free(retort->own_user);
	free(retort->own_nick);
	free(retort->nick);
	free(retort->user);
}

bool state_is_connected(const struct retort *retort)
{
	return retort->phase == PHASE_GREETING || retort->phase == PHASE_LIVE;
}

void state_problem(struct retort *retort, const char *token, const char *text)
{
	(void)snprintf(retort->token, sizeof(retort->token), "%s", token ?: "");
	if (text != retort->problem)
		(void)snprintf(retort->problem, sizeof(retort->problem), "%s", text);
}

void state_post(struct retort *retort, struct item *item)
{
	if (item) {
		inbox_put(&retort->inbox, item);
		return;
	}
	/* That something happened cannot even be told. */
	wire_done(&retort->wire);
	retort->phase = PHASE_FAILED;
	retort->failure = -ENOMEM;
	state_problem(retort, NULL, "out of memory");
}

void state_tell_leaves(struct retort *retort, const char *room)
{
	struct item *item;

	LIST_FOR_EACH(item, &retort->leaves, struct item, link) {
		if (room && strcmp(item->event.room, room) != 0)
			continue;
		list_remove(&item->link);
		inbox_put(&retort->inbox, item);
	}
}

uint64_t state_leaves_due(const struct retort *retort)
{
	if (list_empty(&retort->leaves))
		return DEADLINE_NONE;
	return CONTAINER_OF(retort->leaves.next, struct item, link)->due;
}

void state_tell_due_leaves(struct retort *retort)
{
	struct item *item;

	LIST_FOR_EACH(item, &retort->leaves, struct item, link) {
		if (item->due > clock_now())
			return;
		list_remove(&item->link);
		inbox_put(&retort->inbox, item);
	}
}

/* ---- Requests ---- */

int state_ask(struct retort *retort, const struct retort_request *request, enum asked_by by,
	      struct list *before, uint64_t *ret_cookie)
{
	const bool is_hello = by == ASKED_BY_HELLO;
	struct asked *asked;
	int r;

	r = asked_new(request, is_hello ? retort->password : NULL, retort->last_cookie + 1, by,
		      &asked);
	if (r < 0)
		return r;
	retort->last_cookie++;
	if (!asked_is_ours(asked))
		retort->n_asked++;
	list_append(before, &asked->link);
	if (ret_cookie)
		*ret_cookie = asked->cookie;
	return 0;
}

void state_answer(struct retort *retort, struct asked *asked)
{
	struct item *item = STEAL(asked->item);

	if (asked->by == ASKED_BY_SUBMIT) {
		inbox_put(&retort->inbox, item);
	} else if (asked->by == ASKED_BY_CALL) {
		item_free(retort->answer);
		retort->answer = item;
	} else {
		item_free(item);
	}
	if (!asked_is_ours(asked))
		retort->n_asked--;
	asked_free(asked);
}

/* A join or leave of this room comes to nothing. */
static void forget(struct retort *retort, const struct asked *asked)
{
	struct cursor *cursor;

	if (asked->request.op != CHAT_JOIN && asked->request.op != CHAT_LEAVE)
		return;
	cursor = cursor_find(&retort->cursors, asked->request.room);
	if (!cursor)
		return;
	if (cursor->join == asked->cookie)
		cursor->join = 0;
	if (cursor->leave == asked->cookie)
		cursor->leave = 0;
	if (!cursor->joined && cursor->join == 0)
		cursor_free(cursor);
}

void state_answer_with(struct retort *retort, struct asked *asked, int status, const char *token,
		       const char *text)
{
	if (asked->item)
		item_set_status(asked->item, status, token, text);
	forget(retort, asked);
	state_answer(retort, asked);
}

struct asked *state_owed(const struct retort *retort)
{
	struct asked *first = CONTAINER_OF(retort->asked.next, struct asked, link);

	return !list_empty(&retort->asked) && first->sent ? first : NULL;
}

/* ---- Coming to life ---- */

int state_set_identity(struct retort *retort, const char *nick, const char *user)
{
	char *nick_copy = nick ? strdup(nick) : NULL, *user_copy = user ? strdup(user) : NULL;

	if ((nick && !nick_copy) || (user && !user_copy)) {
		free(nick_copy);
		free(user_copy);
		return -ENOMEM;
	}
	free(retort->nick);
	free(retort->user);
	retort->nick = nick_copy;
	retort->user = user_copy;
	return 0;
}

enum retort_event_kind state_greeting_kind(const struct retort *retort)
{
	return retort->lives > 0 ? RETORT_RESUMED : RETORT_CONNECTED;
}

/* Asks for all rooms again, before everything else. */
static int rejoin(struct retort *retort)
{
	struct list *before = retort->asked.next;
	struct cursor *cursor;
	int r;

	LIST_FOR_EACH(cursor, &retort->cursors, struct cursor, link) {
		struct retort_request request = {
			.op = RETORT_OP_JOIN,
			.room = cursor->room,
			.since = cursor->seq,
		};

		if (cursor->evicted) {
			cursor_free(cursor);
			continue;
		}
		if (!cursor->joined)
			continue;
		if (cursor->known && !cursor_is_deaf(cursor))
			request.has = RETORT_HAS_SINCE;
		r = state_ask(retort, &request, ASKED_BY_REJOIN, before, NULL);
		if (r < 0)
			return r;
		retort->rejoins++;
	}
	return 0;
}

int state_live(struct retort *retort, struct item *item)
{
	retort->phase = PHASE_LIVE;
	retort->hello_at = DEADLINE_NONE;
	retort->live_at = clock_now();
	retort->useful = false;
	retort->lives++;
	if (item->event.kind == RETORT_CONNECTED) {
		inbox_put(&retort->inbox, item);
		return rejoin(retort);
	}
	retort->greeting = item;
	if (rejoin(retort) < 0)
		return -ENOMEM;
	if (retort->rejoins == 0)
		inbox_put(&retort->inbox, STEAL(retort->greeting));
	return 0;
}

/* ---- The end of a connection ---- */

int state_back_off(unsigned tries)
{
	const unsigned doublings = MIN(tries > 0 ? tries - 1 : 0, 10u);
	const int most = MIN(BACK_OFF_FIRST << doublings, (int)BACK_OFF_MAX);
	uint16_t random = 0;

	/* Without randomness it is all the same. */
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return most / 2 + random % (most / 2 + 1);
}

uint64_t state_patience_ends(const struct retort *retort)
{
	return clock_after(retort->trouble, retort->patience[retort->lives > 0]);
}

/* The library's own request is void: what it was for is done anew on the next connection. */
static void drop_own(struct retort *retort, struct asked *asked)
{
	struct cursor *cursor = NULL;

	if (asked->by == ASKED_BY_RESTART)
		cursor = cursor_find(&retort->cursors, asked->request.room);
	if (cursor && cursor->leave == asked->cookie)
		cursor->leave = 0;
	if (cursor && cursor->join == asked->cookie) {
		cursor->join = 0;
		cursor->joined = true;
	}
	asked_free(asked);
}

/* What was sent is to be sent again, but for what may harm when it is done twice. */
static void unsend(struct retort *retort, int status, const char *text)
{
	const struct asked *first = state_owed(retort);
	struct asked *asked;

	LIST_FOR_EACH(asked, &retort->asked, struct asked, link) {
		if (asked_is_ours(asked)) {
			drop_own(retort, asked);
			continue;
		}
		if (!asked->sent)
			continue;
		asked->losses += asked == first && status == -ECONNABORTED;
		asked->sent = false;
		asked->repeated = true;
		if (asked->losses == LOSSES_MAX)
			state_answer_with(retort, asked, -ECONNABORTED, NULL, text);
		else if (!asked_is_repeatable(asked))
			state_answer_with(retort, asked, -ECONNRESET, NULL,
					  "the connection was lost before it was answered");
	}
}

/* Takes apart what belonged to the connection. */
static void disconnect(struct retort *retort, int status, const char *text)
{
	wire_done(&retort->wire);
	unsend(retort, status, text);
	state_tell_leaves(retort, NULL);
	item_free(STEAL(retort->greeting));
	retort->rejoins = 0;
	retort->hellos = 0;
	retort->hello_at = DEADLINE_NONE;
	retort->closing = false;
}

/* Tells the program; retry is -1 for never. */
static void tell_disconnected(struct retort *retort, int status, int retry)
{
	struct item *item = item_new(RETORT_DISCONNECTED);

	if (item) {
		item_set_status(item, status, *retort->token ? retort->token : NULL,
				retort->problem);
		item->event.retry = retry;
	}
	state_post(retort, item);
}

void state_give_up(struct retort *retort, int status, const char *token, const char *text)
{
	struct asked *asked;

	state_problem(retort, token, text);
	disconnect(retort, status, retort->problem);
	retort->phase = PHASE_FAILED;
	retort->refusal = MAX(status, 0);
	retort->failure = status < 0 ? status : -EKEYREJECTED;
	LIST_FOR_EACH(asked, &retort->asked, struct asked, link)
		state_answer_with(retort, asked, retort->failure, NULL, retort->problem);
	tell_disconnected(retort, status, -1);
}

/* Says whether it was tried for long enough. */
static bool patience_is_over(const struct retort *retort, bool was_live)
{
	/* A connection that was lost is made once more, whatever the patience. */
	if (was_live && retort->tries == 1)
		return false;
	return clock_now() >= state_patience_ends(retort);
}

void state_end(struct retort *retort, int status, const char *token, const char *text)
{
	const bool was_live = retort->phase == PHASE_LIVE;
	const bool at_once = retort->closing && retort->come_back;
	const uint64_t now = clock_now();
	int retry;

	if (retort->closing && !retort->come_back) {
		state_give_up(retort, -ECONNABORTED, NULL, retort->farewell);
		return;
	}
	/* One that comes and goes all the time, and brings nothing, is no connection. */
	if (was_live &&
	    (retort->useful || retort->lives == 1 || clock_after(retort->live_at, STEADY) <= now)) {
		retort->trouble = now;
		retort->tries = 0;
	}
	retort->tries++;
	if (patience_is_over(retort, was_live)) {
		state_give_up(retort, status, token, text);
		return;
	}
	state_problem(retort, token, text);
	disconnect(retort, status, retort->problem);
	retry = at_once && retort->tries == 1 ? 0 : state_back_off(retort->tries);
	retort->phase = PHASE_WAITING;
	retort->retry_at = clock_after(now, retry);
	if (retort->tries > 1) /* the last try is when patience ends */
		retort->retry_at = MIN(retort->retry_at, state_patience_ends(retort));
	tell_disconnected(retort, status, (int)((retort->retry_at - now) / NSEC_PER_MSEC));
}

void state_restart(struct retort *retort)
{
	retort->phase = PHASE_IDLE;
	retort->trouble = clock_now();
	retort->tries = 0;
	retort->failure = retort->refusal = 0;
}
