/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "users.h"

/*
 * Three indexes. Answers are what the name service said to single questions, its "no" included, so
 * that a stranger who asks again and again for the same does not make it work. Listed are the users
 * that the system enumerates, and spoken are those who have spoken here: both by what their names
 * are compared by and by what they look like, so that a name is compared with all of them at once.
 * Answers and listed users count for a while, then they are asked for anew; both are bounded.
 *
 * Indexes are balanced trees and no hashes: strangers choose the names, and none makes this slow.
 *
 * A name service that fails for the moment has not said "no": nobody gets a name on that account.
 */

#include <grp.h>
#include <pwd.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unicase.h>

#include "bytes.h"
#include "looks.h"
#include "names.h"
#include "util.h"

enum {
	SECONDS_KEPT = 60,
	ANSWERS_MAX = 4096,
	LISTED_MAX = 10000,
	RECORD_USUAL = 1 << 10,
	RECORD_MAX = 1 << 24, /* bytes of what the system says of one user or group */
};

enum kind {
	ANSWER_UID,   /* a number, and the user's name */
	ANSWER_USER,  /* a user's name, and how the system spells it */
	ANSWER_GROUP, /* a group's name, and its number */
	KNOWN_FOLDED, /* name_fold() of a user's name, and the name */
	KNOWN_LOOKS,  /* how the nick of a user looks, and the user's name */
};

struct fact {
	enum kind kind;
	char *key;
	char *value; /* NULL: there is none */
	time_t until;
};

/* Owns its facts. Zero-initialised, it is empty. */
struct index {
	void *root;
	size_t n;
};

struct users {
	struct index answers, listed, spoken;
	time_t listed_until;
	struct buffer record; /* for what the name service says */
	char number[16];
};

static time_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* cannot fail */
	return time.tv_sec;
}

static void fact_free(void *pointer)
{
	struct fact *fact = pointer;

	free(fact->key);
	free(fact->value);
	free(fact);
}

static int fact_compare(const void *a, const void *b)
{
	const struct fact *one = a, *other = b;

	return one->kind != other->kind ? (one->kind < other->kind ? -1 : 1)
					: strcmp(one->key, other->key);
}

static struct fact *index_find(const struct index *index, enum kind kind, const char *key)
{
	struct fact wanted = {.kind = kind, .key = (char *)key};
	struct fact **node = tfind(&wanted, &index->root, fact_compare);

	return node ? *node : NULL;
}

/* Adds a fact where there is none. Returns 0 or -ENOMEM. */
static int index_add(struct index *index, enum kind kind, const char *key, const char *value,
		     time_t until)
{
	struct fact *fact, **node;

	if (index_find(index, kind, key))
		return 0;
	fact = malloc(sizeof(*fact));
	if (!fact)
		return -ENOMEM;
	*fact = (struct fact){
		.kind = kind,
		.key = strdup(key),
		.value = value ? strdup(value) : NULL,
		.until = until,
	};
	node = fact->key && (fact->value || !value) ? tsearch(fact, &index->root, fact_compare)
						    : NULL;
	if (!node) {
		fact_free(fact);
		return -ENOMEM;
	}
	index->n++;
	return 0;
}

static void index_done(struct index *index)
{
	tdestroy(index->root, fact_free);
	*index = (struct index){0};
}

/* Adds a user by name and looks. Returns 0 or -ENOMEM. */
static int index_add_user(struct index *index, const char *user)
{
	CLEANUP(freep) char *folded = name_fold(user), *nick = NULL;
	CLEANUP(looks_done) struct looks looks = {0};
	int r;

	if (!folded)
		return -ENOMEM;
	/* It is there with all of the rest, or not at all: added last. */
	if (index_find(index, KNOWN_FOLDED, folded))
		return 0;
	nick = name_from_user(user);
	r = nick ? looks_of(nick, &looks) : -ENOMEM;
	if (r == 0)
		r = index_add(index, KNOWN_LOOKS, looks.written, user, 0);
	if (r == 0)
		r = index_add(index, KNOWN_LOOKS, looks.folded, user, 0);
	return r == 0 ? index_add(index, KNOWN_FOLDED, folded, user, 0) : r;
}

/*
 * Whether the name service has failed, rather than said "no", for which systems have all kinds of
 * errors: see getpwnam(3).
 */
static bool is_failure(int error)
{
	return error == EAGAIN || error == EINTR || error == EIO || error == EMFILE ||
	       error == ENFILE || error == ENOMEM || error == ERANGE || error == ETIMEDOUT;
}

/* Asks for one record, in the memory there is. Returns an errno; *ret_value is NULL for "no". */
static int ask_once(struct users *users, enum kind kind, const char *key, const char **ret_value)
{
	char *memory = (char *)users->record.data;
	size_t size = users->record.size;
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	*ret_value = NULL;
	if (kind == ANSWER_GROUP) {
		error = getgrnam_r(key, &group, memory, size, &found_group);
		if (!found_group)
			return error;
		(void)snprintf(users->number, sizeof(users->number), "%u", group.gr_gid);
		*ret_value = users->number;
		return 0;
	}
	error = kind == ANSWER_UID ? getpwuid_r((uid_t)strtoul(key, NULL, 10), &user, memory, size,
						&found_user)
				   : getpwnam_r(key, &user, memory, size, &found_user);
	if (found_user)
		*ret_value = user.pw_name;
	return error;
}

/*
 * Asks the name service, or remembers what it said. *ret_value is NULL for "no", and the fact's.
 * Returns 0, or a negative errno when nobody can say.
 */
static int ask(struct users *users, enum kind kind, const char *key, const char **ret_value)
{
	struct fact *fact = index_find(&users->answers, kind, key);
	size_t size = MAX(users->record.size, (size_t)RECORD_USUAL);
	const char *value;
	int error, r;

	if (fact && now() < fact->until) {
		*ret_value = fact->value;
		return 0;
	}
	do {
		r = buffer_reserve(&users->record, size);
		if (r < 0)
			return r;
		error = ask_once(users, kind, key, &value);
		size *= 2;
	} while (error == ERANGE && size <= RECORD_MAX);
	if (!value && is_failure(error) && !fact)
		return -error;
	/* What it said last holds for as long again. */
	if (!value && is_failure(error)) {
		fact->until = now() + SECONDS_KEPT;
		*ret_value = fact->value;
		return 0;
	}

	if (fact) {
		(void)tdelete(fact, &users->answers.root, fact_compare);
		fact_free(fact);
		users->answers.n--;
	}
	/* So many questions come from a flood: what is forgotten is asked again. */
	if (users->answers.n >= ANSWERS_MAX)
		index_done(&users->answers);
	r = index_add(&users->answers, kind, key, value, now() + SECONDS_KEPT);
	if (r < 0)
		return r;
	*ret_value = index_find(&users->answers, kind, key)->value;
	return 0;
}

/* Lists the users of the system, when that was not done lately. Returns 0 or a negative errno. */
static int list_users(struct users *users)
{
	CLEANUP(index_done) struct index listed = {0};
	struct passwd *user = NULL;
	int r = 0;

	if (now() < users->listed_until)
		return 0;
	setpwent();
	for (int n = 0; r == 0 && n < LISTED_MAX; n++) {
		errno = 0;
		user = getpwent();
		if (!user)
			break;
		r = index_add_user(&listed, user->pw_name);
	}
	if (!user && is_failure(errno))
		r = -errno;
	endpwent();
	if (r < 0)
		return r;
	index_done(&users->listed);
	users->listed = listed;
	listed = (struct index){0};
	users->listed_until = now() + SECONDS_KEPT;
	return 0;
}

struct users *users_new(void)
{
	return calloc(1, sizeof(struct users));
}

void users_free(struct users *users)
{
	if (!users)
		return;
	index_done(&users->answers);
	index_done(&users->listed);
	index_done(&users->spoken);
	buffer_done(&users->record);
	free(users);
}

int users_add(struct users *users, const char *user)
{
	return index_add_user(&users->spoken, user);
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
	for (size_t i = 0; i < n; i++)
		if (*admins[i] == '@' ? is_of_group(users, identity, admins[i] + 1)
				      : user && strcmp(user, admins[i]) == 0)
			return true;
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
static const char *known(const struct users *users, enum kind kind, const char *key)
{
	const struct fact *fact = index_find(&users->spoken, kind, key);

	if (!fact)
		fact = index_find(&users->listed, kind, key);
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

void users_forget(struct users *users)
{
	index_done(&users->answers);
	users->listed_until = 0;
}
