/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the hub's own files share; nobody else includes this. All of it is the hub's thread's. */

#include "chat_mail.h"
#include "config.h"
#include "crew.h"
#include "history.h"
#include "log.h"
#include "loop.h"
#include "record.h"
#include "sanctions.h"
#include "users.h"

/* Somebody who takes part: a known user with all connections, or one guest's connection. */
struct person {
	struct list link;    /* in hub->people */
	char *nick, *folded; /* owned */
	char *user;	     /* NULL: a guest; owned */
	uint64_t since;	     /* milliseconds since 1970 */
	bool has_spoken;     /* the store knows the user */
	bool hidden;	     /* is on the control socket only */
	unsigned talks;	     /* of a guest: direct rooms of which one side is its */
	uint64_t place;	     /* in the record for the next process, from 1 */
	struct list clients;
	struct list memberships;
};

/* A connection. */
struct client {
	struct list link; /* in person->clients */
	struct chat *chat;
	struct person *person;
	struct list presences;
	struct presence *recent; /* where it has spoken last; NULL: nowhere */
	unsigned n_rooms;	 /* presences in rooms that are not direct */
	unsigned errands;	 /* replies to it that others are asked for */
	char *end;		 /* why it is being closed; NULL: it is not; owned */
	uint64_t since;		 /* milliseconds since 1970 */
	double tokens;		 /* messages that chat.rate allows at once */
	uint64_t tokens_time;
	bool is_admin;
	bool unsure;	/* whether it is an administrator is not known yet */
	bool gone;	/* its worker has given it up */
	bool dismissed; /* it is being closed */
};

/* Somebody is a member of a room, with at least one connection. */
struct membership {
	struct list in_person, in_room;
	struct person *person;
	struct room *room;
	unsigned n; /* connections */
	uint64_t since;
	uint64_t order; /* ascends with every membership that there ever was, from 1 */
};

enum { ASKED_SIZE = 64 };

/* A connection is in a room. */
struct presence {
	struct list link; /* in client->presences */
	struct client *client;
	struct room *room;
	struct membership *membership;
	uint8_t side;
	char asked[ASKED_SIZE]; /* the name by which it was found, to find it by again */
};

/* Messages that were said in a room one after the other, written for all who want them. */
struct piece {
	struct list link; /* in hub->pieces or hub->spare_pieces */
	struct room *room;
	uint64_t first, last;
	const struct chat *speaker; /* of all of them, when its dialect hides its own */
	struct buffer written[ENCODINGS];
	uint32_t failed; /* a bit for each that could not be written in full */
};

struct room {
	struct list link; /* in hub->rooms */
	uint64_t number;  /* never used again */
	uint32_t slot;
	char *name, *folded;		  /* owned; of a direct room, the name is NULL */
	char *topic;			  /* owned */
	const struct room_config *config; /* NULL: the configuration does not name it */
	bool durable;
	uint64_t stored;	 /* in the store; 0: not yet */
	struct history *history; /* owned; NULL: nothing was ever said */
	uint64_t visible;	 /* the newest message that was delivered */
	/* A direct room has two sides, and a name for each. */
	bool direct;
	char *names[ENCODING_SIDES];	       /* what the other side is called here; owned */
	char *users[ENCODING_SIDES];	       /* whose side it is; NULL: a guest's; owned */
	struct person *guests[ENCODING_SIDES]; /* whose side it is; NULL: a user's */

	struct list members;
	uint64_t n_members;
	uint32_t *seats;	    /* for each worker and encoding; owned */
	uint32_t wanted[ENCODINGS]; /* sums of these over the workers */
	struct piece *piece;	    /* what is being said; NULL: nothing */
};

/* A say that is not committed yet. */
struct staged {
	struct job *job;
	struct room *room;
};

struct hub {
	struct mailbox mailbox;
	struct mailbox *manager;
	struct crew *crew;
	unsigned n_workers;
	pthread_t thread;
	bool runs, has_mail, quits;
	struct loop *loop;
	struct watch mail;
	struct timer tick;
	const struct config *config;
	struct hub_figures figures;

	struct store *store; /* owned */
	struct users *users;
	struct sanctions *sanctions;
	bool storage_failing; /* the last write failed, and that was logged */
	bool writing;	      /* a transaction is open */

	struct list rooms;
	struct list people;
	void *rooms_by_name, *people_by_nick, *people_by_user, *clients_by_id; /* tsearch(3) */
	uint64_t last_room;
	uint64_t last_order; /* of a membership */
	uint32_t slots;	     /* ever used */
	uint32_t *free_slots;
	size_t n_free_slots, free_slots_size;
	uint64_t now; /* milliseconds since 1970, as of this batch */

	struct letters *out; /* to each worker, posted when the batch is done */
	struct list pieces, spare_pieces;
	struct staged *staged;
	size_t n_staged, staged_size;
	size_t staged_bytes;
	struct scratch scratch;
	struct list inquiries;
	struct list review; /* in users, while hub_review() waits */
	bool updating;	    /* the main thread is to be told when it is over */
	bool hurries;	    /* who is gone does not wait for the name service */
	struct letter update_letter, echo_letter, hurry_letter, let_go_letter, quit_letter;
	struct record record; /* for the next process */
	struct {
		const struct config *config;
		struct store *store;
	} update;
};

/* hub.c */

/* Posts a letter to a worker when the batch is done. */
void hub_post(struct hub *hub, unsigned worker, struct letter *letter, enum letter_kind kind);

/* Has the reply sent, when the batch is done. */
void hub_reply(struct hub *hub, struct job *job);

/* Opens a transaction unless one is open. Returns 0 or what the store said. */
int hub_begin(struct hub *hub);

/*
 * Ends the open transaction, with a commit unless something within it has failed already: result.
 * For what is not staged. Returns what failed, or 0.
 */
int hub_end(struct hub *hub, int result);

/* Something in the open transaction has failed: refuses all that was staged in it. */
void hub_fail(struct hub *hub, int error);

/*
 * Ends the batch: commits what was said, acknowledges and delivers it, or refuses all of it. For
 * whatever has to see it done.
 */
void hub_commit(struct hub *hub);

/* Notes whether the store can be written, and logs when that changes. */
void hub_note_storage(struct hub *hub, int result);

/* hub_room.c: rooms */

int hub_load_rooms(struct hub *hub);
/* Goes by the configuration as it is now. Returns 0 or a negative errno. */
int hub_configure_rooms(struct hub *hub);
/* Forgets all rooms; nobody is in any. */
void hub_clear_rooms(struct hub *hub);
void hub_free_rooms(struct hub *hub);
struct room *room_find(struct hub *hub, const char *folded);
/* Makes a room; folded and name are copied. Returns NULL when out of memory. */
struct room *room_new(struct hub *hub, const char *name, const char *folded);
/* Keeps the log of a room, in which nobody is, elsewhere from now on. Returns 0 or what failed. */
int room_keep_log(struct hub *hub, struct room *room, bool durable);
bool room_is_empty(const struct room *room);
/* Whether a room of the store is not needed any more: what was said there is kept no longer. */
bool room_is_over(const struct room *room);
void room_free(struct hub *hub, struct room *room);
uint64_t room_oldest(const struct room *room);
/* Whether a room tells who comes and goes. */
bool room_tells_presence(const struct hub *hub, const struct room *room);
/* Whether somebody may be in the room, or look into it. */
bool room_admits(struct hub *hub, const struct room *room, const struct client *client);
/* How many bytes the log of a room takes at the most that is in memory. */
uint64_t room_max_memory(const struct hub *hub, bool direct);
/* Readies the room's log for a message. Returns 0 or a negative errno. */
int room_ready_history(struct hub *hub, struct room *room);

/* hub_direct.c: direct rooms, which are between two people */

/* Finds the direct room of two people, or makes it. other_user is who is not here, or NULL. */
struct room *room_direct(struct hub *hub, struct person *self, struct person *other,
			 const char *other_user, bool make);
/*
 * Likewise, of two sides, each of which is a person, or a user who is not here. Neither need have a
 * connection.
 */
struct room *room_direct_of(struct hub *hub, struct person *const people[static ENCODING_SIDES],
			    const char *const users[static ENCODING_SIDES], bool make);
/* Makes the direct room of two users that the store calls so. Returns NULL when out of memory. */
struct room *room_load_direct(struct hub *hub, const char *name);
/* Which side of a direct room is person's; 0 in any other. */
unsigned room_side(const struct room *room, const struct person *person);
/* A guest, whose a side of a direct room is, is called something else now. Returns 0 or -ENOMEM. */
int room_rename_direct(struct room *room, const struct person *person);
/* What a room, direct or not, is called by those on a side. */
const char *room_name(const struct room *room, unsigned side);

/* hub_broadcast.c: what everybody in a room gets */

/* Tells everybody in the room; event->room is filled in. */
void room_broadcast(struct hub *hub, struct room *room, struct chat_event *event);
/* Writes a message for everybody in the room, to be delivered when it is committed. */
int room_stage(struct hub *hub, struct room *room, const struct chat_message *message,
	       const struct chat *speaker);
/* Delivers a piece. */
void piece_deliver(struct hub *hub, struct piece *piece);
/* Forgets what a piece holds. */
void piece_drop(struct hub *hub, struct piece *piece);

/* hub_people.c: people and nicks */

struct person *person_find_nick(struct hub *hub, const char *folded);
struct person *person_find_user(struct hub *hub, const char *user);
/* Asks users all that person_new() is going to ask. */
void person_foresee(struct hub *hub, const struct chat *chat, const char *user);
/* Makes a person of a connection that proves who it is, or of a guest: user is NULL. */
struct person *person_new(struct hub *hub, struct chat *chat, const char *user);
/*
 * Makes one of whom the nick and, unless that is NULL, the user are known; takes the strings over.
 * Returns NULL without memory, and when somebody else has that nick or is that user.
 */
struct person *person_restore(struct hub *hub, char *nick, char *user);
/* Nobody is called that any more; NULL is nothing. */
void person_free(struct hub *hub, struct person *person);
/* Gives somebody another nick. Returns 0, -ENOMEM, or an enum chat_error with *ret_message. */
int person_rename(struct hub *hub, struct person *person, const char *text,
		  const char **ret_message);

/* hub_presence.c: who is where */

struct presence *presence_find(const struct client *client, const struct room *room);
/* Gives a connection a seat, from cursor on. Returns NULL when out of memory. */
struct presence *presence_add(struct hub *hub, struct client *client, struct room *room,
			      uint64_t cursor);
/*
 * Likewise, of somebody who was there all the time, since then and by this order: nobody is told.
 * When all are restored, hub_sort_members() is to follow.
 */
struct presence *presence_restore(struct hub *hub, struct client *client, struct room *room,
				  uint64_t cursor, uint64_t since, uint64_t order);
/* Has the members of each room stand in the order in which they came. */
void hub_sort_members(struct hub *hub);
/* Takes it away; the others are told why, unless reason is NULL. */
void presence_remove(struct hub *hub, struct presence *presence, const char *reason);
/* Takes somebody out of a room, with all connections; all are told why. It may be no more then. */
void room_expel(struct hub *hub, struct room *room, struct person *person, const char *reason);
/* Ends a room between two of whom one is gone: it goes with its last member. */
void room_end(struct hub *hub, struct room *room);
/* Ends all direct rooms of a guest who is gone, those that it has left included. */
void person_end_talks(struct hub *hub, const struct person *person);

/* hub_client.c: connections */

/*
 * The connection has its name from the transport, or gets one; it may be refused. Returns false
 * when users lack an answer: then nothing was done.
 */
bool client_open(struct hub *hub, struct chat *chat);
void client_gone(struct hub *hub, struct chat *chat);
/*
 * Makes what the hub knows of a connection that is person's; client_note_nick() is to follow.
 * Returns NULL when out of memory.
 */
struct client *client_new(struct hub *hub, struct chat *chat, struct person *person);
/* Frees a client that is gone and for which nothing is under way, and says so to its worker. */
void client_forget(struct hub *hub, struct client *client);
/*
 * All that a connection has at first has been posted: its name, its seats. Until its worker knows
 * that, the ledger does not let it outlive the process.
 */
void client_placed(struct hub *hub, struct chat *chat);
/*
 * Has the ledger and the connection's worker know what somebody is called, who is told when greets.
 */
void client_note_nick(struct hub *hub, const struct client *client, bool greets);
struct client *client_find(struct hub *hub, uint64_t id);
struct sanctions_subject client_subject(const struct client *client);
/* Whom an entry of the log is about; text is for its peer's name. */
void client_about(const struct client *client, char text[static PEER_NAME_MAX],
		  struct log_about *ret_about);
/* Writes to the log, for debugging, what a client has come to; room may be NULL. */
void client_log(const struct client *client, enum log_kind kind, const char *room,
		const char *reason, const char *what);
/* Notes why a connection is being closed, for those who are told that it leaves its rooms. */
void client_note_end(struct client *client, const char *reason);
/* Ends a connection: reason for the client, kind, static, for the log. */
void client_dismiss(struct hub *hub, struct client *client, const char *kind, const char *reason);
/*
 * Finds out whether somebody is an administrator of whom that was not known when they came. Returns
 * false when users lack an answer.
 */
bool client_make_sure(struct hub *hub, struct client *client);
/* Has how long a message may be as the configuration is now, also for those who are here. */
void hub_set_limits(struct hub *hub);
/*
 * Takes away what the configuration, as it is now, no longer grants to those who are here. Returns
 * false when users lack an answer: then it is to be called again.
 */
bool hub_review_people(struct hub *hub);

/* hub_wait.c: what has to wait for the name service */

/*
 * Does what a letter of a connection asks for, HUB_OPEN, HUB_REQUEST or HUB_GONE; when that needs
 * what the name service has not said yet, it is held, and with it what comes behind it.
 */
void hub_deal_with(struct hub *hub, struct chat *chat, struct letter *letter);
/* hub_review_people(), as soon as that is possible; then it is said that the update is done. */
void hub_review(struct hub *hub);
/* Goes on with those who have waited for this answer. */
void hub_answered(struct hub *hub, struct question *question);
/* Goes on with those who have waited for too long. */
void hub_check_waiting(struct hub *hub);
/* From now on, who is gone does not wait. */
void hub_stop_waiting(struct hub *hub);
/* Likewise; and whose name is not known yet is as if it had not come. */
void hub_release_waiting(struct hub *hub);

/* hub_request.c: what people ask; each of these refuses the job when it returns NULL or false */

/* Returns false when users lack an answer: then nothing was done, and the job is its caller's. */
bool hub_request(struct hub *hub, struct job *job);
/*
 * Finds the room that the request names. Returns NULL when there is none; then the job is refused,
 * unless ret_name is given and such a room could be made: that gets its name, to be freed.
 */
struct room *hub_find_room(struct hub *hub, struct client *client, struct job *job,
			   char **ret_name);
/* Finds the direct room with @NICK, or makes it. */
struct room *hub_find_direct(struct hub *hub, struct client *client, struct job *job, bool make);
/* Finds where the client is, by the room that the request names. */
struct presence *hub_find_presence(struct hub *hub, struct client *client, struct job *job);
/* Whether the client may make a room, which it would then be in. */
bool hub_may_make_room(struct hub *hub, const struct client *client, struct job *job);

/* hub_join.c: coming and going */

void request_hello(struct hub *hub, struct client *client, struct job *job);
void request_join(struct hub *hub, struct client *client, struct job *job);
void request_leave(struct hub *hub, struct client *client, struct job *job);
/* Seats everybody whose talk a direct room is. Returns false when the job is refused. */
bool hub_seat_both(struct hub *hub, struct client *client, struct room *room, struct job *job);

/* hub_say.c: saying */

void request_say(struct hub *hub, struct client *client, struct job *job);
void request_topic(struct hub *hub, struct client *client, struct job *job);

/* hub_look.c: looking */

void request_history(struct hub *hub, struct client *client, struct job *job);
void request_who(struct hub *hub, struct client *client, struct job *job);
void request_rooms(struct hub *hub, struct client *client, struct job *job);
/* Fills in what the reply says of a room, as it is called on a side. */
void hub_describe_room(struct job *job, const struct room *room, unsigned side);

/* hub_fetch.c: members that are behind */

/* Brings what chat->fetch asks for. */
void hub_fetch(struct hub *hub, struct chat *chat);

/* hub_admin.c: what administrators ask */

void hub_admin_request(struct hub *hub, struct client *client, struct job *job);

/* hub_handover.c: from one process to the next */

/* Writes down all that is known, and forgets it. */
void hub_write_down(struct hub *hub);
/* Has the connections of the last process stand in the order in which they came. */
void hub_sort_chats(const struct hub_past *past);
/* Takes up what the last process has written down, before anybody is here; chats are sorted. */
void hub_take_up(struct hub *hub, const struct hub_past *from);

/* hub_recovery.c: from a process that was killed */

/* Takes up who was where, before anybody is here; chats are sorted. */
void hub_recover(struct hub *hub, const struct hub_past *past);

/* hub_inquiry.c: what other threads are asked for administrators */

/*
 * Asks all workers, and has the reply sent when they have answered; end is a client that is to go,
 * or 0. Returns false when out of memory.
 */
bool hub_inquire(struct hub *hub, struct client *client, struct job *job, uint64_t end);
/* Asks the main thread, and has the reply sent then; problem, static, is one of health, or NULL. */
void hub_post_errand(struct hub *hub, struct job *job, enum errand_kind kind, const char *problem);
void hub_counted(struct hub *hub, struct survey *survey);
void hub_errand_done(struct hub *hub, struct errand *errand);
void hub_free_inquiries(struct hub *hub);
/* Gives up on workers that do not answer. */
void hub_check_inquiries(struct hub *hub);
