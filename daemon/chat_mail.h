/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the workers and the hub tell each other, in letters. A connection of the chat service is
 * known to both by its struct chat, which is the worker's; what the hub knows of it hangs on it.
 *
 * A worker's letters about a connection end with HUB_GONE, and the hub's with LETTER_FORGOTTEN:
 * until then neither frees what the other may still speak of. As a mailbox keeps the order of each
 * writer, what the hub says of a room reaches every member in the order in which it happened.
 */

#include "chat.h"
#include "dialect.h"
#include "identity.h"
#include "ledger.h"
#include "list.h"
#include "mailbox.h"
#include "packet.h"
#include "peer_name.h"

/* Kinds of letters to the hub. */
enum hub_letter {
	HUB_OPEN,     /* a struct chat: a connection is there; may come back as LETTER_PLACED */
	HUB_GONE,     /* a struct chat: it is no more; comes back as LETTER_FORGOTTEN */
	HUB_REQUEST,  /* a struct job; comes back as LETTER_REPLY */
	HUB_FETCH,    /* a struct fetch; comes back as LETTER_FETCHED */
	HUB_COUNTED,  /* a struct survey, as a worker has filled it */
	HUB_UPDATE,   /* from the main thread, see hub_update(); comes back as LETTER_UPDATED */
	HUB_DONE,     /* a struct errand, as the main thread has done it */
	HUB_ECHO,     /* from the main thread; comes back as LETTER_ECHOED */
	HUB_ANSWERED, /* a struct question, as a resolver has answered it */
	HUB_HURRY,    /* from the main thread, see hub_hurry() */
	HUB_LET_GO,   /* from the main thread, see hub_hand_over(); comes back as LETTER_HUB_KEPT */
	HUB_QUIT,     /* from the main thread, when no worker runs any more */
};

/* In how many ways an event may have to be written: dialects, framings, and sides of a room. */
enum {
	ENCODING_SIDES = 2,
	ENCODING_FRAMINGS = FRAMING_LENGTH + 1,
	ENCODINGS = DIALECTS * ENCODING_FRAMINGS * ENCODING_SIDES,
};

static inline unsigned encoding_of(enum dialect_id dialect, enum framing framing, unsigned side)
{
	return ((unsigned)dialect * ENCODING_FRAMINGS + (unsigned)framing) * ENCODING_SIDES + side;
}

struct client;
struct peer;

/* Asks for messages of a room's log, for a member that is behind. */
struct fetch {
	struct letter letter;
	struct chat *chat;
	uint64_t room;
	uint64_t cursor;       /* the last number it has been sent; then the last one in packet */
	uint64_t most;	       /* bytes that it brings, about */
	uint64_t after;	       /* the last number that it had been sent before packet */
	bool caught_up;	       /* nothing follows packet but what will be broadcast */
	struct packet *packet; /* NULL: the member is none any more, or out of memory */
};

/*
 * How far somebody had been sent what was said in a room, whose number was the last process's or,
 * when that was killed, is the store's.
 */
struct chat_place {
	uint64_t room, cursor;
	uint64_t order; /* ascends by when members came; only when that was killed */
};

/* A connection of the chat service. Belongs to its worker until HUB_GONE, and then to the hub. */
struct chat {
	struct letter open; /* to the hub HUB_OPEN, unless the last process served it already, and
			       back LETTER_PLACED */
	struct letter gone;
	struct fetch fetch;

	/* Set before HUB_OPEN, and never changed after it. */
	struct peer *peer;	     /* for the worker alone */
	struct audiences *audiences; /* likewise */
	uint64_t id;		     /* RETORT_CLIENT */
	const char *listener;	     /* its name; borrowed */
	struct peer_name name;
	struct identity identity; /* owned */
	enum dialect_id dialect;
	enum framing framing; /* not known of a connection to the control socket */
	bool control;	      /* it is on the control socket */
	uint16_t worker;

	/* The hub's, from HUB_OPEN on: */
	uint64_t max_message; /* bytes */
	struct client *client;
	struct letter *held, *held_last; /* from it, until the name service has answered */
	struct list waiter;		 /* in users, while these are held */

	/* Of a connection of the last process, until the hub has taken it up; owned. */
	struct chat_place *places;
	size_t n_places;
	char *nick_was, *user_was; /* when it was killed; owned */

	struct ledger_entry
		*entry; /* in which the worker and the hub write what is theirs; or NULL */

	/* The worker's: */
	struct dialect_state state;
	struct naming *naming;	    /* what it is called, for the log; NULL: not known yet; owned */
	struct list seats;	    /* in rooms */
	struct list touched;	    /* in the worker's list of those who have got something */
	struct chat_request *stash; /* what comes next, but has to wait; owned */
	size_t waiting_bytes;	    /* of requests that wait for their replies */
	unsigned behind;	    /* seats that are behind */
	unsigned unsafe;	    /* seats that the ledger does not have */
	bool fetching;		    /* the fetch is under way */
	bool opened;		    /* the hub knows of it */
};

/* A request under way. Belongs to whoever has the letter. */
struct job {
	struct letter letter;
	struct chat *chat;
	struct client *client;	      /* the hub's, while others are asked for the reply */
	struct chat_request *request; /* owned */
	size_t size;		      /* bytes of the message that it was */
	struct chat_reply reply;
	struct job_memory *memory; /* what the reply's strings and arrays lie in; owned */
};

/* Returns a job that owns request, or NULL when out of memory; request is freed then. */
struct job *job_new(struct chat *chat, struct chat_request *request);
void job_free(struct job *job);

/* Returns memory that lives as long as the job, zeroed, or NULL. */
void *job_alloc(struct job *job, size_t size);
char *job_copy(struct job *job, const char *text); /* NULL for NULL, too */

/* Refuses the request: the reply is this error. */
void job_refuse(struct job *job, enum chat_error error, const char *format, ...) PRINTF(3, 4);
void job_refuse_memory(struct job *job);

/* Adds members to the reply, as JSON text; refuses the request when out of memory. */
void job_reply_json(struct job *job, const char *format, ...) PRINTF(2, 3);

/* From the hub: this is what a connection is called from now on. */
struct naming {
	struct letter letter;
	struct chat *chat;
	bool greets;	  /* it has just come, and is told so */
	const char *user; /* behind the nick; NULL: a guest */
	char nick[];
};

/* From the hub: a connection has a seat in a room from now on, or has none any more. */
struct seating {
	struct letter letter;
	struct chat *chat;
	uint64_t room;
	uint32_t slot; /* of the room; used again when the room is no more */
	bool sits;
	uint8_t side;
	uint64_t cursor; /* it is owed everything after this number */
	uint64_t order;	 /* ascends by when members came, for the ledger */
	uint64_t stored; /* the room, as the store knows it; 0: it does not */
	uint64_t newest; /* that the room's log holds */
};

/* From the hub: everybody with a seat in a room gets this. */
struct broadcast {
	struct letter letter;
	uint32_t slot;
	uint64_t first, last;	    /* numbers of the messages; 0: these are none */
	const struct chat *speaker; /* of all of them, when its dialect hides its own; else NULL */
	struct packet *packets[ENCODINGS]; /* a reference to each; NULL where nobody wants it */
};

/* From the hub: a connection is to end. */
struct dismissal {
	struct letter letter;
	struct chat *chat;
	const char *kind; /* why, statically, for the log */
	char *reason;	  /* for the client; owned */
	bool reconnect;
};

/* From the hub to every worker: what are your connections, or end this one. Comes back. */
struct survey {
	struct letter letter;
	struct inquiry *inquiry; /* what it is a part of; the hub's */
	uint64_t end;		 /* a client's number: end its connection; 0: none */
	const char *reason;	 /* why, for the client; borrowed */
	struct buffer json;	 /* objects, each followed by a comma; owned */
	uint64_t ended;		 /* connections that were ended */
	bool failed;
	bool only_turns; /* nothing is asked but whether the worker turns */
};

/* What the hub asks of the main thread, which answers by errand_done(). */
enum errand_kind { ERRAND_STATS, ERRAND_HEALTH, ERRAND_RELOAD };

struct errand {
	struct letter letter; /* LETTER_ERRAND */
	enum errand_kind kind;
	struct buffer
		json;	 /* members of the reply, "name":value, each followed by a comma; owned */
	char *error;	 /* why it could not be done, all in all; owned */
	struct job *job; /* the hub's */
	struct errand *next; /* for whoever has it */
};
/* Somebody was in a room, as the store knows it, by a connection that was lost. */
struct chat_absence {
	const char *nick; /* borrowed */
	uint64_t room;
};

/* What the last process's hub has written down, and the connections that have come from there. */
struct hub_past {
	struct bytes record; /* unless it was killed */
	bool killed;
	struct chat_absence *absences; /* of one that was killed; owned */
	size_t n_absences;
	struct chat **chats; /* with their workers already */
	size_t n_chats;
};

/* Figures of the hub that any thread may read. */
struct hub_figures {
	_Atomic uint64_t rooms, people;
};
