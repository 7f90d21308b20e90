/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RETORT_H
#define RETORT_H

/*
 * libretort: the client's side of retortd's chat service, retort-protocol(7). See retort(3).
 *
 * A struct retort is a connection that comes back. It connects, says hello, joins; when the
 * connection is lost it does all that again by itself, tells the server what it has seen of each
 * room, and repeats what was not answered, so that every message arrives once and everything said
 * is said once. What happens is told by events.
 *
 * A program either waits in retort_next() and the blocking calls, or has a loop of its own, which
 * polls retort_fd() for retort_events() for retort_timeout() and then takes events with
 * retort_next(…, 0, …) until there is none. Both may be mixed.
 *
 * Return values: 0 is done; a negative one is -errno, of the connection or of this machine; a
 * positive one is an enum retort_refusal, the server's. Times are in milliseconds; a timeout of -1
 * is no limit. Strings are UTF-8 and end in NUL; NULL is "not given".
 *
 * A struct retort is for one thread at a time; several are independent of each other. No signal is
 * raised, no signal ends a wait, and nothing is printed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct retort;

enum {
	RETORT_REQUESTS_MAX = 256, /* requests that wait for their replies at the same time */
};

/* ---- What is asked of the server ---- */

enum retort_op {
	RETORT_OP_HELLO, /* said by the library itself; to take another nick */
	RETORT_OP_TRANSFORM,
	RETORT_OP_JOIN,
	RETORT_OP_LEAVE,
	RETORT_OP_SAY,
	RETORT_OP_HISTORY,
	RETORT_OP_TOPIC,
	RETORT_OP_WHO,
	RETORT_OP_ROOMS,
	RETORT_OP_PING,
	/* for administrators */
	RETORT_OP_STATS,
	RETORT_OP_CLIENTS,
	RETORT_OP_KICK,
	RETORT_OP_BAN,
	RETORT_OP_UNBAN,
	RETORT_OP_MUTE,
	RETORT_OP_UNMUTE,
	/* likewise, on the control socket only */
	RETORT_OP_RELOAD,
	RETORT_OP_HEALTH
};

/* Numbers that a request has; without its flag a number is not sent. */
enum {
	RETORT_HAS_SINCE = 1 << 0,
	RETORT_HAS_BEFORE = 1 << 1,
	RETORT_HAS_AFTER = 1 << 2,
	RETORT_HAS_LIMIT = 1 << 3,
	RETORT_HAS_DURATION = 1 << 4,
	RETORT_HAS_CLIENT = 1 << 5
};

/* One request; zero what its op does not take. The library copies it. */
struct retort_request {
	enum retort_op op;
	unsigned has;			   /* RETORT_HAS_… */
	const char *room;		   /* a room, or "@NICK" for one person */
	const char *text;		   /* say, topic, transform, ping */
	const char *key;		   /* say: 1 to 64 bytes; NULL: one is made */
	const char *nick, *user, *address; /* hello (nick); kick, ban, mute, … */
	const char *reason;		   /* kick, ban, mute */
	const char *const *with;	   /* transform: names, NULL at the end; 16 at the most */
	uint64_t since;			   /* join: deliver every message after this number */
	uint64_t before, after, limit;	   /* history */
	uint64_t duration;		   /* ban, mute: seconds */
	uint64_t client;		   /* kick: a client's number */
};

/* ---- What the server answers ---- */

enum retort_refusal {
	RETORT_BAD_JSON = 1,
	RETORT_BAD_REQUEST,
	RETORT_UNKNOWN_OP,
	RETORT_BAD_NAME,
	RETORT_NICK_IN_USE,
	RETORT_NO_SUCH_ROOM,
	RETORT_NO_SUCH_NICK,
	RETORT_NOT_MEMBER,
	RETORT_NOT_ALLOWED,
	RETORT_AUTH_FAILED,
	RETORT_AUTH_REQUIRED,
	RETORT_TOO_LONG,
	RETORT_TOO_MANY_ROOMS,
	RETORT_SLOW_DOWN,
	RETORT_STORAGE,
	RETORT_MUTED,
	RETORT_SHUTTING_DOWN,
	RETORT_NOT_RELOADED,

	RETORT_OTHER_REFUSAL = 1000 /* one that this version does not know; its token tells */
};

struct retort_message {
	uint64_t seq;
	uint64_t time;	  /* since 1970, UTC */
	const char *from; /* the nick */
	const char *user; /* NULL: a guest */
	const char *unit; /* NULL: not a systemd service */
	const char *text;
	size_t text_len;
};

struct retort_member {
	const char *nick, *user, *unit;
	uint64_t since; /* since 1970, UTC */
};

struct retort_room {
	const char *room, *topic;
	uint64_t seq, members;
};

/* What the server takes; 0: no limit, or none that it tells. */
struct retort_limits {
	uint64_t max_message, max_text, max_topic; /* bytes */
	uint64_t max_rooms;			   /* of one client */
	uint64_t rate, burst;			   /* messages a second */
};

/* A reply. What stands below message is set as op has it. */
struct retort_reply {
	enum retort_op op;
	uint64_t cookie;
	int status;	      /* 0; an enum retort_refusal; or -errno: no answer came */
	const char *token;    /* of a refusal: "no_such_room" */
	const char *message;  /* of a status that is not 0: for a person */
	uint64_t retry_after; /* of RETORT_SLOW_DOWN */
	const char *json;     /* all of it as it came, on one line; NULL when none came */
	size_t json_len;

	const char *nick, *user, *server, *version; /* hello */
	const struct retort_limits *limits;	    /* hello; may be NULL */
	const char *const *transforms;		    /* hello; NULL at the end; may be NULL */

	const char *room, *topic, *text;
	size_t text_len;
	uint64_t seq, oldest; /* join, history: the newest and the oldest number; say: the number */
	uint64_t n_members;   /* join */
	uint64_t time;	      /* say; since 1970, UTC */
	bool duplicate;	      /* say: it had been said before with this key */

	const struct retort_member *members;   /* who */
	const struct retort_room *rooms;       /* rooms */
	const struct retort_message *messages; /* history; oldest first */
	size_t members_len, rooms_len, messages_len;
};

/* ---- What happens ---- */

enum retort_event_kind {
	RETORT_MESSAGE, /* room, message */
	RETORT_JOIN,	/* room, nick */
	RETORT_LEAVE,	/* room, nick; text: why, when not of its own will. With one's own nick,
			 * one is no member any more if retort_seen() knows the room no longer;
			 * else a join of one's own follows, with the nick that one has now, as
			 * another connection of the same user may have wished */
	RETORT_TOPIC,	/* room, nick, text */
	RETORT_GAP,	/* room, first, last: messages of these numbers are lost */
	RETORT_CLOSING, /* text; reconnect: the server ends this connection. The library comes back
			 * when reconnect is true; else it is for good: a kick, a ban, idleness */
	RETORT_REPLY,	/* reply: to a request of retort_submit() */

	RETORT_CONNECTED,    /* reply: to hello (NULL without one). The first time */
	RETORT_RESUMED,	     /* reply: likewise. Connected again, and all rooms are joined again;
			      * messages that were missed come before or after it */
	RETORT_DISCONNECTED, /* status, text; retry: when it is tried again, or -1: never, and
			      * retort_next() fails from now on */
	RETORT_WAITING,	     /* status, text; retry: connected, but the nick is still taken, most
			      * likely by the connection that was lost */
	RETORT_ROOM_LOST,    /* room, status, token, text: it could not be joined again */
	RETORT_RESTARTED     /* room: its log began anew, and so do the numbers; all that is in it
			      * will come */
};

/* An event. It and all it points to are valid until the next call with the same struct retort. */
struct retort_event {
	enum retort_event_kind kind;
	int status;	   /* an enum retort_refusal or -errno */
	const char *token; /* of a refusal */
	const char *room, *nick, *text;
	const struct retort_message *message;
	const struct retort_reply *reply;
	uint64_t first, last;
	int retry; /* from now; -1: never */
	bool mine; /* join, leave, topic, message: it is of one's own nick */
	bool reconnect;
	const char *json; /* what came from the server, on one line; NULL when nothing did */
	size_t json_len;
};

/* ---- A connection and its settings ---- */

/*
 * Makes an object for the server at address: "unix:PATH", "unix:@NAME" or "tcp://HOST:PORT". A
 * relative PATH lies in the runtime directory of retortd, the system's or the user's. NULL is
 * $RETORT_ADDRESS, else "unix:chat.sock". HOST is resolved here and never again, and the user's
 * name looked up, which may block.
 *
 * Nothing is connected yet: retort_connect(), retort_next() and retort_process() begin to.
 *
 * Returns 0 with *ret_retort; -EINVAL for what is no such address and -EHOSTUNREACH for a host that
 * is not known, with *ret_problem a static sentence (ret_problem may be NULL); or -ENOMEM.
 */
int retort_new(const char *address, struct retort **ret_retort, const char **ret_problem);

/* Closes the connection at once, without waiting for anything, and frees all. NULL is allowed. */
void retort_free(struct retort *retort);

/*
 * Settings hold from the next hello, connection or request on.
 *
 * retort_set_nick(): the nick to ask for. NULL (the default): on a Unix socket none, as the server
 * knows this process's user, and a nick is one for all connections of a user; else one that is made
 * for a guest, who comes back under it.
 * retort_set_login(): who to be, where the server knows passwords. Both return 0 or -ENOMEM.
 */
int retort_set_nick(struct retort *retort, const char *nick);
int retort_set_login(struct retort *retort, const char *user, const char *password);

/* Whether hello is said at all; the default is true. The control socket needs none. */
void retort_set_hello(struct retort *retort, bool hello);

/*
 * How long one try to connect may take, and how long the server may be silent while it owes an
 * answer: then the oldest request fails with -ETIMEDOUT, and the connection counts as lost. 1 or
 * more, or -1; the default is 5000.
 */
void retort_set_timeout(struct retort *retort, int timeout);

/*
 * How long it is tried to connect before it is given up: the first time, and after a connection was
 * lost. 0 is one try (at each of the host's addresses), -1 for ever. The defaults are 0 and -1.
 */
void retort_set_patience(struct retort *retort, int first, int again);

/* The longest message that is taken from the server, in bytes; the default is 16 MiB. */
void retort_set_max_message(struct retort *retort, size_t max);

/*
 * What we are called, and which user we are to the server: what it said to hello, or else what a
 * Unix socket proves. NULL before connecting, or for a guest.
 */
const char *retort_nick(const struct retort *retort);
const char *retort_user(const struct retort *retort);

/* Whether the connection stands now, and hello was answered. */
bool retort_connected(const struct retort *retort);

/* How many requests have not been answered yet. */
size_t retort_pending(const struct retort *retort);

/*
 * The number of the last message of a room that came, or that joining it began after. Returns 0
 * with *ret_seq; -ENOENT when the room is not joined, -EAGAIN when that is not answered yet.
 */
int retort_seen(const struct retort *retort, const char *room, uint64_t *ret_seq);

/*
 * The last failure, for a person and in one line, without the address: why the connection was lost
 * or could not be made, or what the server refused in the last blocking call. Never NULL. Valid
 * until the next call with the same struct retort. retort_token() is its token when it was a
 * refusal, else NULL.
 */
const char *retort_problem(const struct retort *retort);
const char *retort_token(const struct retort *retort);

/*
 * Begins anew: after it was given up, or instead of waiting for the next try. The rooms stay joined
 * and what was seen stays seen. Does nothing while connected.
 */
void retort_reconnect(struct retort *retort);

/* ---- For a loop of one's own ---- */

/*
 * What to wait for: the fd (-1: none now), the events of poll(2) on it, and for how long (0: not at
 * all, -1: no limit). All three may change with every call of any function here, and the fd with
 * every connection; ask again before each wait.
 */
int retort_fd(const struct retort *retort);
short retort_events(const struct retort *retort);
int retort_timeout(const struct retort *retort);

/*
 * Does what can be done without waiting: connects, sends, receives, notices what is overdue. Is
 * called by retort_next(). Returns 0, or the failure that retort_next() tells.
 */
int retort_process(struct retort *retort);

/*
 * Sends a request; its reply will be a RETORT_REPLY event with the cookie, which is never 0 and
 * never used again (ret_cookie may be NULL). Requests are sent, done and answered in the order of
 * submission, and are kept while there is no connection. What is unanswered when a connection is
 * lost is repeated on the next, and a say is nonetheless said once, by its key. Of those that are
 * not repeated, as doing them twice may harm (topic, hello, kick, ban, unban, mute, unmute,
 * reload), the reply has -ECONNRESET once they were sent.
 *
 * A join keeps the room joined over connections until it is left; of a room that is joined already
 * "since" has no effect.
 *
 * Returns 0; -EAGAIN when RETORT_REQUESTS_MAX wait already; -EINVAL for a request that cannot be
 * (a member is missing, a key or a list too long); -EMSGSIZE for one that no frame holds; -ENOMEM;
 * or the failure that retort_next() tells.
 */
int retort_submit(struct retort *retort, const struct retort_request *request,
		  uint64_t *ret_cookie);

/* ---- Waiting ---- */

/*
 * Takes the next event, waiting for it at most timeout. Returns 1 with *ret_event; 0 when none
 * came; or, once it was given up to connect and all events are taken, why, now and ever after
 * (unless retort_reconnect() is called):
 * -EHOSTUNREACH  never (see retort_new());
 * -ECONNREFUSED, -ENOENT, -ENETUNREACH, -ECONNRESET, …  nobody there, or not any more;
 * -ETIMEDOUT     no connection, or no answer, in time;
 * -EACCES        not permitted to connect;
 * -ECONNABORTED  the server said why it closes: retort_problem(). In an error frame; or in a
 *                closing event without reconnect, and then it is not tried again;
 * -EPROTO        what came is not the protocol; it is not tried again;
 * -EKEYREJECTED  hello was refused: retort_token(), retort_problem(); it is not tried again;
 * -ENOMEM, -EMFILE, …  this machine.
 */
int retort_next(struct retort *retort, int timeout, struct retort_event *ret_event);

/*
 * Waits until the connection stands and hello was answered. Returns 0, an enum retort_refusal when
 * hello was refused, -ETIMEDOUT after timeout, or as retort_next(). Begins anew when it had been
 * given up.
 */
int retort_connect(struct retort *retort, int timeout);

/*
 * Submits a request and waits for its reply, at most timeout; what else happens is kept for
 * retort_next(). Returns the reply's status, with *ret_reply (valid until the next call; may be
 * NULL) when it is 0 or more; -ETIMEDOUT after timeout: what comes of the request is not known
 * then, and its reply is dropped; -ENOBUFS when more than 64 MiB of events came meanwhile; or as
 * retort_submit().
 */
int retort_call(struct retort *retort, const struct retort_request *request, int timeout,
		const struct retort_reply **ret_reply);

/* The same for common requests. retort_join() is for what is new, retort_join_since() for all that
 * comes after a number, 0 being from the oldest kept. ret_seq may be NULL. */
int retort_join(struct retort *retort, const char *room, int timeout);
int retort_join_since(struct retort *retort, const char *room, uint64_t since, int timeout);
int retort_leave(struct retort *retort, const char *room, int timeout);
int retort_say(struct retort *retort, const char *room, const char *text, int timeout,
	       uint64_t *ret_seq);

#ifdef __cplusplus
}
#endif

#endif
