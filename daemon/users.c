/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "users.h"

/*
 * Three sets of facts. Answers are what the name service said to single questions, its "no"
 * included, so that a stranger who asks again and again for the same does not make it work. Listed
 * are the users that the system enumerates, and spoken are those who have spoken here: both by what
 * their names are compared by and by what they look like, so that a name is compared with all of
 * them at once. Answers and listed users count for a while, then they are asked for anew; both are
 * bounded, and so are questions, by the number of those who wait.
 *
 * A name service that fails for the moment, or does not answer in time, has not said "no": nobody
 * gets a name on that account. To list all users may take long where single ones are told at once,
 * so each has a resolver of its own.
 */

#include <search.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unicase.h>

#include "log.h"
#include "looks.h"
#include "names.h"
#include "resolver.h"
#include "util.h"

enum {
	SECONDS_KEPT = 60,
	SECONDS_FAILED = 2, /* that nothing is asked again which nobody could say */
	PATIENCE = 3, /* seconds that are waited for an answer: less than draining usually takes */
	ANSWERS_MAX = 4096,
};

/* One resolver, and what it is to ask. */
struct lane {
	struct resolver *resolver; /* owned */
	struct question *asked;	   /* NULL: nothing; owned */
	time_t asked_since;
	struct list queue; /* of questions, oldest first; owned */
	bool stuck;	   /* it has been asking for too long: nothing more is queued */
};

enum { LANE_SINGLE, LANE_LIST, LANES };

struct users {
	struct facts answers, listed, spoken;
	time_t listed_until;
	int listed_result; /* 0, or a negative errno: nobody can say */
	bool has_listed;
	struct lane lanes[LANES];
	void *questions; /* tsearch(3) */
	struct question *lacking;
	bool makes_do;
	char number[16];
};

static time_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* cannot fail */
	return time.tv_sec;
}

/*
 * Questions
 */

static int compare_question(const void *a, const void *b)
{
	const struct question *one = a, *other = b;

	return one->kind != other->kind ? COMPARE(one->kind, other->kind)
					: strcmp(one->key, other->key);
}

static struct lane *lane_of(struct users *users, enum fact_kind kind)
{
	return &users->lanes[kind == ANSWER_LIST ? LANE_LIST : LANE_SINGLE];
}

static void ask_next(struct lane *lane)
{
	if (lane->asked || list_empty(&lane->queue))
		return;
	lane->asked = CONTAINER_OF(lane->queue.next, struct question, link);
	lane->asked_since = now();
	list_remove(&lane->asked->link);
	resolver_ask(lane->resolver, lane->asked);
}

/* Has a question asked, of which the answer is lacked then. Returns false when nobody can say. */
static bool want(struct users *users, enum fact_kind kind, const char *key)
{
	struct question wanted = {.kind = kind, .key = (char *)key}, *question, **node;
	struct lane *lane = lane_of(users, kind);

	/* Where single users cannot be asked for, listing them all is no better. */
	if (users->makes_do || lane->stuck || users->lanes[LANE_SINGLE].stuck)
		return false;
	node = tfind(&wanted, &users->questions, compare_question);
	if (node && (*node)->failed)
		return false;
	if (node) {
		users->lacking = *node;
		return true;
	}
	question = question_new(kind, key);
	if (!question)
		return false;
	if (!tsearch(question, &users->questions, compare_question)) {
		question_free(question);
		return false;
	}
	list_append(&lane->queue, &question->link);
	ask_next(lane);
	users->lacking = question;
	return true;
}

static void move_waiters(struct question *question, struct list *list)
{
	while (!list_empty(&question->waiters)) {
		struct list *waiter = question->waiters.next;

		list_remove(waiter);
		list_append(list, waiter);
	}
}

/* Ends a question that is not the resolver's. */
static void drop(struct users *users, struct question *question, struct list *list)
{
	(void)tdelete(question, &users->questions, compare_question);
	list_remove(&question->link);
	move_waiters(question, list);
	question_free(question);
}

/*
 * Answers
 */

/* Nobody can say: what was said last holds for as long again. */
static void note_failure(struct users *users, const struct question *question)
{
	struct fact *fact = facts_find(&users->answers, question->kind, question->key);

	if (question->kind == ANSWER_LIST) {
		users->listed_result = users->has_listed ? 0 : -EAGAIN;
		users->listed_until = now() + (users->has_listed ? SECONDS_KEPT : SECONDS_FAILED);
	} else if (fact && !fact->failed) {
		fact->until = now() + SECONDS_KEPT;
	} else {
		/* Without memory, it is asked again. */
		(void)facts_put(&users->answers, &(struct fact){.kind = question->kind,
								.key = question->key,
								.failed = true,
								.until = now() + SECONDS_FAILED});
	}
}

static void note_answer(struct users *users, struct question *question)
{
	if (question->result < 0) {
		note_failure(users, question);
	} else if (question->kind == ANSWER_LIST) {
		facts_done(&users->listed);
		users->listed = question->listed;
		question->listed = (struct facts){0};
		users->has_listed = true;
		users->listed_result = 0;
		users->listed_until = now() + SECONDS_KEPT;
	} else {
		(void)facts_put(&users->answers, &(struct fact){.kind = question->kind,
								.key = question->key,
								.value = question->value,
								.until = now() + SECONDS_KEPT});
	}
}

void users_answered(struct users *users, struct question *question, struct list *list)
{
	struct lane *lane = lane_of(users, question->kind);

	if (lane->stuck)
		log_write(LOG_NAMES_BACK, NULL, "the name service answers again");
	lane->stuck = false;
	lane->asked = NULL;
	if (question->again && !question->failed) {
		question->again = false;
		free(STEAL(question->value));
		facts_done(&question->listed);
		list_append(lane->queue.next, &question->link); /* before all others */
		ask_next(lane);
		return;
	}
	/* So many questions come from a flood: what is forgotten is asked again. */
	if (users->answers.n >= ANSWERS_MAX)
		facts_done(&users->answers);
	if (!question->again)
		note_answer(users, question);
	drop(users, question, list);
	ask_next(lane);
}

/* Nobody waits for an answer any longer. */
static void give_up(struct users *users, struct question *question, struct list *list)
{
	if (!question->failed)
		note_failure(users, question);
	question->failed = true;
	move_waiters(question, list);
}

/*
 * Lets those go who wait for a resolver that does not answer; what it has been asked stays its own.
 * As long as it answers one question after the other, however many there are, all are waited for.
 */
static void check_lane(struct users *users, struct lane *lane, struct list *list)
{
	time_t latest = now() - PATIENCE;
	struct question *question;

	if (!lane->asked)
		return;
	if (lane->asked_since > latest)
		return;
	give_up(users, lane->asked, list);
	if (!lane->stuck) {
		lane->stuck = true;
		log_write(LOG_NAMES_STUCK, NULL,
			  "the name service does not answer; until it does, users are known by "
			  "what it has said before");
	}
	LIST_FOR_EACH(question, &lane->queue, struct question, link) {
		give_up(users, question, list);
		drop(users, question, list);
	}
}

void users_check(struct users *users, struct list *list)
{
	for (int i = 0; i < LANES; i++)
		check_lane(users, &users->lanes[i], list);
}

void users_release(struct users *users, struct list *list)
{
	struct question *question;

	for (int i = 0; i < LANES; i++) {
		if (users->lanes[i].asked)
			move_waiters(users->lanes[i].asked, list);
		LIST_FOR_EACH(question, &users->lanes[i].queue, struct question, link)
			move_waiters(question, list);
	}
}

bool users_are_stuck(const struct users *users)
{
	return users->lanes[LANE_SINGLE].stuck || users->lanes[LANE_LIST].stuck;
}

void users_begin(struct users *users)
{
	users->lacking = NULL;
}

bool users_lacks(const struct users *users)
{
	return users->lacking;
}

void users_wait(struct users *users, struct list *waiter)
{
	list_append(&users->lacking->waiters, waiter);
}

bool users_make_do(struct users *users, bool make_do)
{
	bool before = users->makes_do;

	users->makes_do = make_do;
	return before;
}

/*
 * What is asked here
 */

/*
 * Remembers what the name service said. *ret_value is NULL for "no", and the fact's. Returns 0, or
 * a negative errno when nobody can say, or not yet.
 */
static int ask(struct users *users, enum fact_kind kind, const char *key, const char **ret_value)
{
	struct fact *fact = facts_find(&users->answers, kind, key);

	if ((!fact || now() >= fact->until) && want(users, kind, key))
		return -EINPROGRESS;
	if (!fact || fact->failed)
		return -EAGAIN;
	*ret_value = fact->value;
	return 0;
}

/* Makes sure that users were listed lately. Returns 0, or a negative errno as ask() does. */
static int list_users(struct users *users)
{
	if (now() < users->listed_until)
		return users->listed_result;
	if (want(users, ANSWER_LIST, ""))
		return -EINPROGRESS;
	return users->has_listed ? 0 : -EAGAIN;
}

const char *users_name(struct users *users, uid_t uid)
{
	char number[sizeof(users->number)];
	const char *name;

	(void)snprintf(number, sizeof(number), "%u", uid);
	if (ask(users, ANSWER_UID, number, &name) < 0)
		return NULL;
	if (name)
		return name;
	memcpy(users->number, number, sizeof(number));
	return users->number;
}

/* Returns whether identity is of the group of this name. */
static bool is_of_group(struct users *users, const struct identity *identity, const char *group)
{
	const char *number;

	if (!identity || !identity->proven || ask(users, ANSWER_GROUP, group, &number) < 0 ||
	    !number)
		return false;
	for (size_t i = 0; i < identity->n_groups; i++)
		if (identity->groups[i] == strtoul(number, NULL, 10))
			return true;
	return false;
}

bool users_match(struct users *users, const char *user, const struct identity *identity,
		 char *const *admins, size_t n)
{
	struct question *lacking = users->lacking;

	for (size_t i = 0; i < n; i++)
		if (*admins[i] == '@' ? is_of_group(users, identity, admins[i] + 1)
				      : user && strcmp(user, admins[i]) == 0) {
			users->lacking = lacking; /* the other groups make no difference */
			return true;
		}
	return false;
}

/* Returns name in lower case, or NULL when out of memory. */
static char *lower(const char *name)
{
	/* With its NUL. */
	size_t len;

	return (char *)u8_tolower((const uint8_t *)name, strlen(name) + 1, NULL, NULL, NULL, &len);
}

/* Finds a user by one key among those who have spoken and those listed; NULL is none. */
static const char *known(const struct users *users, enum fact_kind kind, const char *key)
{
	const struct fact *fact = facts_find(&users->spoken, kind, key);

	if (!fact)
		fact = facts_find(&users->listed, kind, key);
	return fact ? fact->value : NULL;
}

/*
 * Finds a user whose name is this one but for its case. Sets *ret_user to NULL when there is none.
 * Returns 0, or a negative errno when nobody can say.
 */
static int find(struct users *users, const char *name, const char **ret_user)
{
	CLEANUP(freep) char *folded = name_fold(name), *lowered = lower(name);
	int r;

	if (!folded || !lowered)
		return -ENOMEM;
	r = list_users(users);
	if (r == 0)
		r = ask(users, ANSWER_USER, name, ret_user);
	if (r == 0 && !*ret_user)
		*ret_user = known(users, KNOWN_FOLDED, folded);
	/* Not every name service lists its users. */
	if (r == 0 && !*ret_user)
		r = ask(users, ANSWER_USER, lowered, ret_user);
	if (r == 0 && !*ret_user)
		r = ask(users, ANSWER_USER, folded, ret_user);
	return r;
}

/* The same for a user whose name looks like this one. */
static int find_alike(struct users *users, const char *nick, const char **ret_user)
{
	CLEANUP(looks_done) struct looks looks = {0};
	int r = looks_of(nick, &looks);

	if (r < 0)
		return r;
	*ret_user = known(users, KNOWN_LOOKS, looks.written);
	if (!*ret_user)
		*ret_user = known(users, KNOWN_LOOKS, looks.folded);
	if (!*ret_user)
		r = ask(users, ANSWER_USER, looks.written, ret_user);
	if (r == 0 && !*ret_user)
		r = ask(users, ANSWER_USER, looks.folded, ret_user);
	return r;
}

const char *users_resemble(struct users *users, const char *nick)
{
	const char *user = NULL;
	int r = find(users, nick, &user);

	if (r == 0 && !user)
		r = find_alike(users, nick, &user);
	return r == 0 ? user : "";
}

const char *users_find(struct users *users, const char *name)
{
	const char *user = NULL;

	return find(users, name, &user) == 0 ? user : NULL;
}

/*
 * Life
 */

int users_new(struct mailbox *mailbox, uint16_t kind, struct users **ret_users)
{
	struct users *users = calloc(1, sizeof(*users));
	int r = users ? 0 : -ENOMEM;

	for (int i = 0; i < LANES && r == 0; i++)
		list_init(&users->lanes[i].queue);
	for (int i = 0; i < LANES && r == 0; i++)
		r = resolver_new(mailbox, kind, &users->lanes[i].resolver);
	if (r < 0) {
		users_free(users);
		return r;
	}
	*ret_users = users;
	return 0;
}

static void keep_node(void *node)
{
	(void)node; /* what it refers to is freed elsewhere */
}

void users_free(struct users *users)
{
	struct question *question;

	if (!users)
		return;
	tdestroy(users->questions, keep_node);
	for (int i = 0; i < LANES; i++) {
		LIST_FOR_EACH(question, &users->lanes[i].queue, struct question, link)
			question_free(question);
		if (!resolver_free(users->lanes[i].resolver))
			question_free(users->lanes[i].asked);
	}
	facts_done(&users->answers);
	facts_done(&users->listed);
	facts_done(&users->spoken);
	free(users);
}

int users_add(struct users *users, const char *user)
{
	return facts_add_user(&users->spoken, user);
}

void users_forget(struct users *users)
{
	facts_done(&users->answers);
	facts_done(&users->listed);
	users->has_listed = false;
	users->listed_until = 0;
	for (int i = 0; i < LANES; i++)
		if (users->lanes[i].asked)
			users->lanes[i].asked->again = true;
}
