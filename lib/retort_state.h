/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that a struct retort is, and how its state changes: a connection that stands, one that is
 * lost, one that is given up. What is done in which state is retort_process.c's, what the server's
 * answers mean retort_receive.c's.
 */

#include "clock.h"
#include "retort.h"
#include "retort_asked.h"
#include "retort_cursor.h"
#include "retort_item.h"
#include "retort_wire.h"

enum phase {
	PHASE_IDLE,	  /* nothing is begun */
	PHASE_CONNECTING, /* the wire is under way */
	PHASE_GREETING,	  /* hello is not answered yet */
	PHASE_LIVE,
	PHASE_WAITING, /* until retry_at, to try again */
	PHASE_FAILED,  /* given up */
};

struct retort {
	/* Settings. */
	struct endpoint *endpoints; /* owned */
	size_t n_endpoints;
	char *wished_nick, *login, *password; /* owned; may be NULL */
	bool says_hello;
	int timeout;	 /* of a try to connect, and of each answer */
	int patience[2]; /* the first time, and again */
	uint64_t max_message;

	/* Who we are without a wish: on a Unix socket our user, else (own_user NULL) a guest. */
	char *own_user, *own_nick; /* owned */
	unsigned guesses;	   /* nicks of a guest that were refused */

	/* Who we are to the server; owned; NULL: not known, or a guest. */
	char *nick, *user;
	struct retort_limits limits; /* max_message 0: not known */

	/* The connection. */
	enum phase phase;
	unsigned hellos; /* said on this connection */
	struct wire wire;
	uint64_t retry_at; /* PHASE_WAITING */
	uint64_t hello_at; /* PHASE_GREETING: when hello is said again; else never */
	uint64_t heard_at; /* when something came, or when an answer began to be owed */
	uint64_t live_at;
	bool useful;		 /* a message or an answer to the program came */
	bool closing, come_back; /* what the closing event said, */
	char farewell[512];	 /* and why; "": not yet */
	size_t rejoins;		 /* not answered yet */
	struct item *greeting;	 /* RETORT_RESUMED, until then; owned */

	/* What went wrong. */
	uint64_t trouble; /* since when there is no steady connection */
	unsigned lives;	  /* connections that came to PHASE_LIVE */
	unsigned tries;	  /* that ended since then */
	int failure;	  /* PHASE_FAILED: -errno */
	int refusal;	  /* and of hello: an enum retort_refusal */
	char token[64];	  /* of what problem tells; "": no refusal */
	char problem[512];

	/* Requests; those that are sent are the first on the list. */
	struct list asked;
	size_t n_asked; /* without the library's own */
	uint64_t last_cookie;
	char key_prefix[17];
	uint64_t last_key;

	/* Rooms, and what waits for the program. */
	struct list cursors;
	struct inbox inbox;
	struct list leaves;   /* items: of our own, until it shows whether we are out */
	size_t inbox_limit;   /* no more is received above that */
	struct item *current; /* the event that the program has; owned */
	struct item *answer;  /* the reply that retort_call() waits for; owned */
};

enum { INBOX_LIMIT = 1024 * 1024 };

/* Neither waits for anything. The state owns endpoints then, even on failure. */
int state_init(struct retort *retort, struct endpoint *endpoints, size_t n_endpoints);
void state_done(struct retort *retort);

/* Whether frames go to and fro. */
bool state_is_connected(const struct retort *retort);

/* Sets what retort_problem() and retort_token() tell; token is NULL for what is no refusal. */
void state_problem(struct retort *retort, const char *token, const char *text);

/* Hands out the leaves of this room that are held back, or with NULL all of them. */
void state_tell_leaves(struct retort *retort, const char *room);

/* Hands out those that are due; says when the next is. */
void state_tell_due_leaves(struct retort *retort);
uint64_t state_leaves_due(const struct retort *retort);

/* Puts an event for the program; item may be NULL for out of memory, which ends all. */
void state_post(struct retort *retort, struct item *item);

/* Sets who we are to the server, by copies. Returns 0, or -ENOMEM with everything as it was. */
int state_set_identity(struct retort *retort, const char *nick, const char *user);

/* The connection stands and hello was answered by *item, CONNECTED or RESUMED. 0 or -ENOMEM. */
int state_live(struct retort *retort, struct item *item);

/* The kind of event that going live is now. */
enum retort_event_kind state_greeting_kind(const struct retort *retort);

/*
 * The connection, or the try to make one, is over. status is -errno or an enum retort_refusal with
 * its token. What was sent is to be sent again; it is tried again by and by, unless it has been
 * tried for long enough, or the server said that it is for good.
 */
void state_end(struct retort *retort, int status, const char *token, const char *text);

/* The same, for good: nothing will be tried again. */
void state_give_up(struct retort *retort, int status, const char *token, const char *text);

/* Begins from the beginning. */
void state_restart(struct retort *retort);

/* How long there is patience from now on; DEADLINE_NONE: no limit. */
uint64_t state_patience_ends(const struct retort *retort);

/* Milliseconds to wait after this many tries. */
int state_back_off(unsigned tries);

/*
 * Makes a request of the library's own and puts it before this link of the list of those asked.
 * Returns 0 with *ret_cookie (which may be NULL), or -errno.
 */
int state_ask(struct retort *retort, const struct retort_request *request, enum asked_by by,
	      struct list *before, uint64_t *ret_cookie);

/* Hands the reply on to whoever waits for it, and frees the request. */
void state_answer(struct retort *retort, struct asked *asked);

/* The same for a request that the server did not answer, or not by itself. */
void state_answer_with(struct retort *retort, struct asked *asked, int status, const char *token,
		       const char *text);

/* The request that is first in line; NULL when no answer is owed. */
struct asked *state_owed(const struct retort *retort);
