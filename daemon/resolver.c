/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resolver.h"

#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "util.h"

enum {
	LISTED_MAX = 10000,
	RECORD_USUAL = 1 << 10,
	RECORD_MAX = 1 << 24, /* bytes of what the system says of one user or group */
};

/*
 * Who ends it, while its thread may hang for good: whoever changes this last. The thread does so
 * before it posts an answer, so that it never posts one to a mailbox that is no more.
 */
enum state { IDLE, ASKED, LEFT };

struct resolver {
	struct mailbox mailbox;
	struct mailbox *answers; /* borrowed */
	uint16_t kind;
	pthread_t thread;
	_Atomic(enum state) state;
	struct letter quit;
	struct buffer record; /* for what the name service says */
};

struct question *question_new(enum fact_kind kind, const char *key)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return NULL;
	question->kind = kind;
	question->key = strdup(key);
	list_init(&question->link);
	list_init(&question->waiters);
	if (!question->key) {
		free(question);
		return NULL;
	}
	return question;
}

void question_free(struct question *question)
{
	if (!question)
		return;
	facts_done(&question->listed);
	free(question->key);
	free(question->value);
	free(question);
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

/* Asks for one record, in the memory there is. Returns an errno; there is no value for "no". */
static int ask_once(struct resolver *resolver, struct question *question)
{
	char *memory = (char *)resolver->record.data;
	size_t size = resolver->record.size;
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	if (question->kind == ANSWER_GROUP)
		error = getgrnam_r(question->key, &group, memory, size, &found_group);
	else if (question->kind == ANSWER_UID)
		error = getpwuid_r((uid_t)strtoul(question->key, NULL, 10), &user, memory, size,
				   &found_user);
	else
		error = getpwnam_r(question->key, &user, memory, size, &found_user);
	if (found_user && !(question->value = strdup(user.pw_name)))
		return ENOMEM;
	if (found_group && asprintf(&question->value, "%u", group.gr_gid) < 0) {
		question->value = NULL;
		return ENOMEM;
	}
	return error;
}

/* Asks for one record. Returns 0, or a negative errno when nobody can say. */
static int ask(struct resolver *resolver, struct question *question)
{
	size_t size = MAX(resolver->record.size, (size_t)RECORD_USUAL);
	int error, r;

	do {
		r = buffer_reserve(&resolver->record, size);
		if (r < 0)
			return r;
		error = ask_once(resolver, question);
		size *= 2;
	} while (error == ERANGE && size <= RECORD_MAX);
	return !question->value && is_failure(error) ? -error : 0;
}

/* Lists the users of the system. Returns 0 or a negative errno. */
static int list_users(struct question *question)
{
	struct passwd *user = NULL;
	int r = 0;

	setpwent();
	for (int n = 0; r == 0 && n < LISTED_MAX; n++) {
		errno = 0;
		user = getpwent();
		if (!user)
			break;
		r = facts_add_user(&question->listed, user->pw_name);
	}
	if (!user && is_failure(errno))
		r = -errno;
	endpwent();
	return r;
}

static void end(struct resolver *resolver)
{
	mailbox_done(&resolver->mailbox);
	buffer_done(&resolver->record);
	free(resolver);
}

/* Waits for a letter; there is never more than one. */
static struct letter *await(struct resolver *resolver)
{
	struct letter *letter;

	while (!(letter = mailbox_collect(&resolver->mailbox)))
		(void)poll(&(struct pollfd){.fd = resolver->mailbox.fd, .events = POLLIN}, 1, -1);
	return letter;
}

static void *run(void *argument)
{
	struct resolver *resolver = argument;
	struct letter *letter;

	(void)pthread_setname_np(pthread_self(), "resolver");
	while ((letter = await(resolver)) != &resolver->quit) {
		struct question *question = CONTAINER_OF(letter, struct question, letter);

		question->result = question->kind == ANSWER_LIST ? list_users(question)
								 : ask(resolver, question);
		if (atomic_exchange(&resolver->state, IDLE) == LEFT) {
			question_free(question);
			end(resolver);
			return NULL;
		}
		letter->kind = resolver->kind;
		mailbox_post(resolver->answers, letter);
	}
	return NULL;
}

int resolver_new(struct mailbox *answers, uint16_t kind, struct resolver **ret_resolver)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int r;

	if (!resolver)
		return -ENOMEM;
	resolver->answers = answers;
	resolver->kind = kind;
	resolver->mailbox.fd = -1;
	atomic_init(&resolver->state, IDLE);
	r = mailbox_init(&resolver->mailbox);
	if (r == 0)
		r = -pthread_create(&resolver->thread, NULL, run, resolver);
	if (r < 0) {
		end(resolver);
		return r;
	}
	*ret_resolver = resolver;
	return 0;
}

void resolver_ask(struct resolver *resolver, struct question *question)
{
	atomic_store(&resolver->state, ASKED);
	mailbox_post(&resolver->mailbox, &question->letter);
}

bool resolver_free(struct resolver *resolver)
{
	pthread_t thread;

	if (!resolver)
		return false;
	thread = resolver->thread;
	if (atomic_exchange(&resolver->state, LEFT) == ASKED) {
		(void)pthread_detach(thread); /* fails only for a thread that is not ours */
		return true;
	}
	mailbox_post(&resolver->mailbox, &resolver->quit);
	(void)pthread_join(thread, NULL); /* likewise */
	end(resolver);
	return false;
}
