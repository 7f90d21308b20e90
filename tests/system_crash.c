/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nothing that was acknowledged is ever lost: many write with keys and read, over TCP and the Unix
 * socket, in frames and in lines, while the daemon is killed again and again, at random moments,
 * also while it starts. All come back each time, say again what was not acknowledged and join from
 * where they were. At the end the log must hold each message once, and everybody must have heard
 * exactly the log.
 *
 * $RETORT_TEST_ROUNDS is how often the daemon is killed.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

enum {
	WRITERS = 10,
	ACTORS = 18, /* the others only read */
	ROOMS = 3,
	ROUNDS = 100,
	WINDOW = 8,	/* messages of one writer that wait for their acknowledgement */
	AGAIN = 3,	/* acknowledged ones that a writer says again when it comes back */
	LIFE = 50,	/* milliseconds that the daemon lives, at the most */
	BIRTH = 30,	/* likewise, when it is killed while it starts */
	ASKED_MAX = 64, /* requests of one actor that wait for their replies */
};

static const char *const rooms[ROOMS] = {"alpha", "beta", "gamma"};

/* What a writer says: "wWRITER-NUMBER" is its key and the beginning of its text. */
struct said {
	unsigned room;
	uint64_t seq; /* 0: not acknowledged yet */
};

enum ask { ASK_HELLO, ASK_JOIN, ASK_SAY };

struct asked {
	enum ask ask;
	size_t what;	/* the room that is joined, or the number of what is said */
	uint64_t least; /* the number that the room has come to when it is joined */
};

struct actor {
	char nick[16];
	const char *listener, *scheme;
	enum framing framing;
	unsigned number;
	bool writes;
	bool dawdles; /* reads only now and then */
	int fd;	      /* owned; -1: not connected */
	bool greeted; /* it has its nick, and has asked to join */
	struct buffer in, out;
	struct asked asked[ASKED_MAX]; /* a ring: requests that wait for their replies */
	uint64_t n_asked, n_answered;
	struct said *said; /* owned */
	size_t n_said, said_size, n_sent, n_acked;
	uint64_t *heard[ROOMS]; /* the token of each message, from number 1 on; owned */
	size_t n_heard[ROOMS], heard_size[ROOMS];
};

struct world {
	struct server server;
	struct random random;
	struct actor actors[ACTORS];
	uint64_t newest[ROOMS]; /* that anybody knows of */
	bool tcp_known;		/* the daemon that lives has said where it listens */
	bool ending;		/* nothing new is said */
};

/* ---- tokens: who said it, and the how manieth of its messages it is ---- */

static uint64_t token_of(unsigned writer, size_t number)
{
	return (uint64_t)writer << 32 | number;
}

static uint64_t token_of_text(const char *text)
{
	unsigned long writer, number;
	char *end;

	REQUIRE_MSG(*text == 'w', "a strange text: %s", text);
	writer = strtoul(text + 1, &end, 10);
	REQUIRE_MSG(*end == '-' && writer < WRITERS, "a strange text: %s", text);
	number = strtoul(end + 1, &end, 10);
	REQUIRE_MSG(*end == ' ', "a strange text: %s", text);
	return token_of((unsigned)writer, number);
}

static void *grown(void *array, size_t *size, size_t n, size_t item)
{
	if (n < *size)
		return array;
	*size = MAX(2 * *size, (size_t)256);
	array = reallocarray(array, *size, item);
	REQUIRE(array);
	return array;
}

/* ---- asking ---- */

static void ask(struct actor *actor, enum ask ask, size_t what, const char *text)
{
	REQUIRE(actor->n_asked - actor->n_answered < ASKED_MAX);
	actor->asked[actor->n_asked++ % ASKED_MAX] = (struct asked){.ask = ask, .what = what};
	wrap(&actor->out, actor->framing, text, strlen(text));
}

static void ask_hello(struct actor *actor)
{
	char text[128];

	if (strcmp(actor->scheme, "unix:") == 0) /* who it is, is known */
		(void)snprintf(text, sizeof text, "{\"op\":\"ping\"}");
	else
		(void)snprintf(text, sizeof text, "{\"op\":\"hello\",\"nick\":\"%s\"}",
			       actor->nick);
	ask(actor, ASK_HELLO, 0, text);
}

static void ask_join(const struct world *world, struct actor *actor, unsigned room)
{
	char text[128];

	(void)snprintf(text, sizeof text, "{\"op\":\"join\",\"room\":\"%s\",\"since\":%zu}",
		       rooms[room], actor->n_heard[room]);
	ask(actor, ASK_JOIN, room, text);
	actor->asked[(actor->n_asked - 1) % ASKED_MAX].least = world->newest[room];
}

static void ask_say(struct actor *actor, size_t number)
{
	static const char padding[] = "........................................................";
	/* The same text whenever it is said. */
	size_t length = (number * 31 + actor->number) % 8 == 0 ? 3000 : number % sizeof padding;
	char key[32], text[4096];
	int n;

	(void)snprintf(key, sizeof key, "w%u-%zu", actor->number, number);
	n = snprintf(text, sizeof text,
		     "{\"op\":\"say\",\"room\":\"%s\",\"key\":\"%s\",\"text\":\"%s %.*s",
		     rooms[actor->said[number].room], key, key,
		     (int)MIN(length, sizeof padding - 1), padding);
	if (length >= sizeof padding) {
		memset(text + n, 'x', length);
		n += (int)length;
	}
	memcpy(text + n, "\"}", 3);
	ask(actor, ASK_SAY, number, text);
}

/* ---- hearing ---- */

static const char *text_member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	REQUIRE_MSG(text != NULL, "no %s in %s", name, json_dumps(object, 0));
	return text;
}

static uint64_t number_member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	REQUIRE_MSG(json_is_integer(value), "no %s in %s", name, json_dumps(object, 0));
	return (uint64_t)json_integer_value(value);
}

static unsigned room_number(const char *name)
{
	unsigned room = 0;

	while (room < ROOMS && strcmp(rooms[room], name) != 0)
		room++;
	REQUIRE(room < ROOMS);
	return room;
}

static void hear(struct world *world, struct actor *actor, const json_t *event)
{
	const char *kind = text_member(event, "event");
	unsigned room;
	uint64_t seq;

	REQUIRE(strcmp(kind, "gap") != 0);
	if (strcmp(kind, "message") != 0)
		return;
	room = room_number(text_member(event, "room"));
	seq = number_member(event, "seq");
	REQUIRE_MSG(seq == actor->n_heard[room] + 1, "%s heard %" PRIu64 " of %s after %zu",
		    actor->nick, seq, rooms[room], actor->n_heard[room]);
	actor->heard[room] = grown(actor->heard[room], &actor->heard_size[room],
				   actor->n_heard[room], sizeof(uint64_t));
	actor->heard[room][actor->n_heard[room]++] = token_of_text(text_member(event, "text"));
	world->newest[room] = MAX(world->newest[room], seq);
}

static void acknowledged(struct world *world, struct actor *actor, size_t number,
			 const json_t *reply)
{
	struct said *said = &actor->said[number];
	uint64_t seq = number_member(reply, "seq");
	bool duplicate = json_is_true(json_object_get(reply, "duplicate"));

	REQUIRE(seq > 0);
	if (said->seq > 0) {
		REQUIRE_MSG(duplicate && said->seq == seq,
			    "w%u-%zu was %" PRIu64 " and now is %" PRIu64, actor->number, number,
			    said->seq, seq);
		return;
	}
	said->seq = seq;
	actor->n_acked++;
	world->newest[said->room] = MAX(world->newest[said->room], seq);
}

/* Says again what was not acknowledged, and a little of what was. */
static void say_again(struct actor *actor)
{
	size_t first = actor->n_acked - MIN(actor->n_acked, (size_t)AGAIN);

	/* Replies come in order, so all that were acknowledged come before those that were not. */
	for (size_t i = first; i < actor->n_said; i++)
		ask_say(actor, i);
	actor->n_sent = actor->n_said;
}

static void welcome(const struct world *world, struct actor *actor, const json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok"))) {
		/* Its own connection, which it has left, is not gone yet. */
		REQUIRE_MSG(strcmp(text_member(reply, "error"), "nick_in_use") == 0,
			    "%s instead of %s", text_member(reply, "error"), "nick_in_use");
		ask_hello(actor);
		return;
	}
	actor->greeted = true;
	for (unsigned room = 0; room < ROOMS; room++)
		ask_join(world, actor, room);
	say_again(actor);
}

static void answered(struct world *world, struct actor *actor, const json_t *reply)
{
	struct asked asked;

	REQUIRE(actor->n_answered < actor->n_asked);
	asked = actor->asked[actor->n_answered++ % ASKED_MAX];
	if (asked.ask == ASK_HELLO) {
		welcome(world, actor, reply);
		return;
	}
	REQUIRE_MSG(json_is_true(json_object_get(reply, "ok")), "refused: %s",
		    json_dumps(reply, 0));
	if (asked.ask == ASK_SAY)
		acknowledged(world, actor, asked.what, reply);
	else
		REQUIRE_MSG(number_member(reply, "seq") >= asked.least,
			    "%s had come to %" PRIu64 ", and now: %s", rooms[asked.what],
			    asked.least, json_dumps(reply, 0));
}

static void take_message(struct world *world, struct actor *actor, struct bytes body)
{
	json_error_t error;
	json_t *message = json_loadb((const char *)body.data, body.len, 0, &error);

	REQUIRE_MSG(message != NULL, "%s in %.*s", error.text, (int)body.len, body.data);
	if (json_object_get(message, "event"))
		hear(world, actor, message);
	else
		answered(world, actor, message);
	json_decref(message);
}

static void cut(struct world *world, struct actor *actor)
{
	const struct frame_rules rules = {.framing = actor->framing, .max_message = 1 << 24};
	size_t used = 0;

	for (;;) {
		struct bytes rest = {actor->in.data + used, actor->in.len - used};
		struct frame frame;
		size_t scanned = 0;
		enum frame_cut outcome = frame_cut(&rules, rest, false, &scanned, &frame);

		if (outcome == FRAME_MORE)
			break;
		REQUIRE(outcome == FRAME_MESSAGE);
		take_message(world, actor, frame.body);
		used += frame.size;
	}
	buffer_consume(&actor->in, used);
}

/* ---- connections ---- */

static void disconnect(struct actor *actor)
{
	closep(&actor->fd);
	actor->fd = -1;
	actor->greeted = false;
	actor->in.len = actor->out.len = 0;
	actor->n_asked = actor->n_answered = 0;
}

static void connect_again(struct world *world, struct actor *actor)
{
	int fd;

	/* A Unix socket is where it was; a port is another each time. */
	if (!world->tcp_known && strcmp(actor->scheme, "tcp:") == 0)
		return;
	if (world->server.n_listening == 0)
		return;
	fd = try_connect_to(server_address(&world->server, actor->listener, actor->scheme));
	if (fd < 0)
		return;
	REQUIRE(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	actor->fd = fd;
	ask_hello(actor);
}

static void receive(struct world *world, struct actor *actor)
{
	ssize_t n;

	REQUIRE(buffer_reserve(&actor->in, 1 << 16) == 0);
	n = recv(actor->fd, actor->in.data + actor->in.len, 1 << 16, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		disconnect(actor);
		return;
	}
	actor->in.len += (size_t)n;
	cut(world, actor);
}

static void transmit(struct actor *actor)
{
	ssize_t n = send(actor->fd, actor->out.data, actor->out.len, MSG_NOSIGNAL);

	/* What has come before the end is still to be read: receive() finds the end. */
	if (n > 0)
		buffer_consume(&actor->out, (size_t)n);
	else if (errno != EAGAIN)
		actor->out.len = 0;
}

/* ---- what everybody does ---- */

static void say_something(struct world *world, struct actor *actor)
{
	actor->said = grown(actor->said, &actor->said_size, actor->n_said, sizeof(*actor->said));
	actor->said[actor->n_said] =
		(struct said){.room = (unsigned)random_below(&world->random, ROOMS)};
	ask_say(actor, actor->n_said++);
	actor->n_sent = actor->n_said;
}

static void act(struct world *world, struct actor *actor)
{
	if (actor->fd < 0) {
		connect_again(world, actor);
		return;
	}
	if (!world->ending && random_below(&world->random, 3000) == 0) {
		disconnect(actor);
		return;
	}
	if (actor->greeted && actor->writes && !world->ending &&
	    actor->n_said - actor->n_acked < WINDOW)
		say_something(world, actor);
	if (actor->out.len > 0)
		transmit(actor);
}

/* Whether an actor reads in this turn. */
static bool reads(struct world *world, const struct actor *actor)
{
	return world->ending || !actor->dawdles || random_below(&world->random, 50) == 0;
}

static void turn(struct world *world)
{
	struct pollfd polled[ACTORS];

	for (unsigned i = 0; i < ACTORS; i++) {
		struct actor *actor = &world->actors[i];

		act(world, actor);
		polled[i] = (struct pollfd){
			.fd = actor->fd,
			.events = (short)((reads(world, actor) ? POLLIN : 0) |
					  (actor->out.len > 0 ? POLLOUT : 0)),
		};
	}
	(void)poll(polled, ACTORS, 2); /* whatever it says, all is tried */
	for (unsigned i = 0; i < ACTORS; i++)
		if (world->actors[i].fd >= 0 && polled[i].revents & ~POLLOUT)
			receive(world, &world->actors[i]);
}

static void live(struct world *world, uint64_t milliseconds)
{
	uint64_t end = harness_now() + milliseconds;

	while (harness_now() < end)
		turn(world);
}

/* ---- the daemon's lives ---- */

static const char config[] =
	"workers = 2; max_pending = \"32K\"; timeouts: { drain = \"100ms\"; };\n"
	"listeners: (\n"
	"{ name = \"chat\"; service = \"chat\"; "
	"listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; },\n"
	"{ name = \"line\"; service = \"chat\"; framing = \"line\"; "
	"listen = [ \"unix:line.sock\", \"tcp://127.0.0.1:0\" ]; });\n"
	"chat: { rooms: ( { name = \"alpha\"; } ); };\n";

static void spawn(struct world *world)
{
	if (world->server.notify >= 0)
		closep(&world->server.notify);
	world->server.notify = -1;
	world->tcp_known = false;
	server_spawn(&world->server, &(struct server_setup){.config = config});
}

static void await_ready(struct world *world)
{
	server_wait_notify(&world->server, "READY=1");
	server_read_listening(&world->server);
	world->tcp_known = true;
}

/* One life: it is killed while it serves, or already while it starts. */
static void round_of_killing(struct world *world)
{
	bool early = random_below(&world->random, 4) == 0;
	int status;

	spawn(world);
	if (!early)
		await_ready(world);
	live(world, random_below(&world->random, early ? BIRTH : LIFE) + !early);
	server_signal(&world->server, SIGKILL);
	status = server_wait_end(&world->server);
	REQUIRE_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "the daemon ended by itself: %x", status);
	live(world, 1); /* everybody notices */
}

static bool is_done(const struct world *world)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct actor *actor = &world->actors[i];

		if (actor->n_acked < actor->n_said)
			return false;
		for (unsigned room = 0; room < ROOMS; room++)
			if (actor->n_heard[room] < world->newest[room])
				return false;
	}
	return true;
}

static void settle(struct world *world)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	world->ending = true;
	while (!is_done(world)) {
		REQUIRE_MSG(harness_now() < deadline, "not all is said and heard");
		turn(world);
	}
}

/* ---- what must be true at the end ---- */

/* The log of a room: the token of each message, from number 1 on. */
struct log {
	uint64_t *tokens; /* owned */
	size_t n, size;
};

static void log_add(struct log *log, uint64_t seq, uint64_t token)
{
	REQUIRE_MSG(seq == log->n + 1, "%" PRIu64 " comes after %zu in the log", seq, log->n);
	log->tokens = grown(log->tokens, &log->size, log->n, sizeof(uint64_t));
	log->tokens[log->n++] = token;
}

/* Reads a log by asking for it, page by page. */
static void ask_for_log(struct world *world, unsigned room, struct log *log)
{
	CLEANUP(closep) int fd = client(&world->server, "chat", "unix:");
	size_t before;

	do {
		CLEANUP(buffer_done) struct buffer answer = {0};
		json_t *reply, *messages;
		char request[128];

		before = log->n;
		(void)snprintf(request, sizeof request,
			       "{\"op\":\"history\",\"room\":\"%s\",\"after\":%zu,\"limit\":1000}",
			       rooms[room], log->n);
		send_frame(fd, request, strlen(request));
		REQUIRE(!recv_frame(fd, &answer));
		reply = json_loadb((const char *)answer.data, answer.len, 0, NULL);
		REQUIRE(reply);
		messages = json_object_get(reply, "messages");
		for (size_t i = 0; i < json_array_size(messages); i++) {
			const json_t *message = json_array_get(messages, i);

			log_add(log, number_member(message, "seq"),
				token_of_text(text_member(message, "text")));
		}
		json_decref(reply);
	} while (log->n > before);
}

/* Whatever was said is in the log once, where it was acknowledged, and nothing else is. */
static void check_log(const struct world *world, unsigned room, const struct log *log)
{
	size_t said = 0;

	REQUIRE(log->n == world->newest[room]);
	for (unsigned i = 0; i < WRITERS; i++)
		for (size_t number = 0; number < world->actors[i].n_said; number++) {
			const struct said *one = &world->actors[i].said[number];

			if (one->room != room)
				continue;
			said++;
			REQUIRE(one->seq <= log->n);
			REQUIRE_MSG(log->tokens[one->seq - 1] == token_of(i, number),
				    "w%u-%zu is not %" PRIu64 " of %s", i, number, one->seq,
				    rooms[room]);
		}
	REQUIRE(said == log->n);
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct actor *actor = &world->actors[i];

		REQUIRE(actor->n_heard[room] == log->n);
		REQUIRE_MSG(memcmp(actor->heard[room], log->tokens, log->n * sizeof(uint64_t)) == 0,
			    "%s heard something else than the log of %s", actor->nick, rooms[room]);
	}
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;

	REQUIRE_MSG(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
		    sqlite3_errmsg(db));
	return statement;
}

/* What the statement says first; it says no more than one row. */
static void expect_row(sqlite3 *db, const char *sql, const char *want)
{
	sqlite3_stmt *statement = prepare(db, sql);

	REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
	REQUIRE_MSG(strcmp((const char *)sqlite3_column_text(statement, 0), want) == 0,
		    "%s instead of %s", (const char *)sqlite3_column_text(statement, 0), want);
	REQUIRE(sqlite3_step(statement) == SQLITE_DONE);
	(void)sqlite3_finalize(statement); /* it has said all */
}

/* The same log must stand in the file; and no key is there twice, or with another's message. */
static void check_file(const struct world *world, struct log logs[static ROOMS])
{
	struct log stored[ROOMS] = {0};
	sqlite3_stmt *statement;
	char path[SERVER_PATH_MAX + 32];
	sqlite3 *db;

	(void)snprintf(path, sizeof path, "%s/state/rooms.db", world->server.directory);
	REQUIRE(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	expect_row(db, "PRAGMA integrity_check", "ok");
	statement = prepare(db, "SELECT name, place & (1 << 40) - 1, text FROM messages"
				" JOIN rooms ON id = place >> 40 ORDER BY place");
	while (sqlite3_step(statement) == SQLITE_ROW)
		log_add(&stored[room_number((const char *)sqlite3_column_text(statement, 0))],
			(uint64_t)sqlite3_column_int64(statement, 1),
			token_of_text((const char *)sqlite3_column_text(statement, 2)));
	REQUIRE(sqlite3_finalize(statement) == SQLITE_OK);
	for (unsigned room = 0; room < ROOMS; room++) {
		REQUIRE(stored[room].n == logs[room].n);
		for (size_t i = 0; i < stored[room].n; i++)
			REQUIRE(stored[room].tokens[i] == logs[room].tokens[i]);
		free(stored[room].tokens);
	}
	expect_row(db,
		   "SELECT count(*) - count(DISTINCT (place >> 40) || ' ' || sender || ' ' || key)"
		   " FROM keys",
		   "0");
	expect_row(db,
		   "SELECT count(*) FROM keys LEFT JOIN messages USING (place)"
		   " WHERE text IS NULL OR text NOT LIKE key || ' %'",
		   "0");
	(void)sqlite3_close(db); /* nothing was written */
}

/* ---- the test ---- */

static size_t rounds(void)
{
	const char *given = getenv("RETORT_TEST_ROUNDS");

	return given ? strtoul(given, NULL, 10) : ROUNDS;
}

static void people(struct world *world)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		struct actor *actor = &world->actors[i];

		actor->fd = -1;
		actor->number = i;
		actor->writes = i < WRITERS;
		actor->dawdles = !actor->writes && i % 3 == 0;
		actor->listener = i % 3 == 0 ? "line" : "chat";
		actor->framing = i % 3 == 0 ? FRAMING_LINE : FRAMING_LENGTH;
		actor->scheme = i % 2 == 0 ? "tcp:" : "unix:";
		(void)snprintf(actor->nick, sizeof actor->nick, "actor-%u", i);
	}
}

static void report(const struct world *world, size_t killed)
{
	uint64_t messages = 0;

	for (unsigned room = 0; room < ROOMS; room++)
		messages += world->newest[room];
	(void)printf("crash: killed %zu times, %" PRIu64 " messages\n", killed, messages);
	(void)fflush(stdout);
}

START_TEST(crash)
{
	struct world *world = calloc(1, sizeof(*world));
	struct log logs[ROOMS] = {0};
	size_t killed;

	REQUIRE(world);
	world->server.notify = -1;
	random_init_run(&world->random, "crash");
	people(world);
	for (killed = 0; killed < rounds(); killed++) {
		round_of_killing(world);
		if (killed % 100 == 99)
			report(world, killed + 1);
	}
	spawn(world);
	await_ready(world);
	settle(world);
	report(world, killed);
	REQUIRE(world->newest[0] > 0);
	for (unsigned room = 0; room < ROOMS; room++) {
		ask_for_log(world, room, &logs[room]);
		check_log(world, room, &logs[room]);
	}
	server_signal(&world->server, SIGTERM);
	server_assert_ended(&world->server, 0);
	check_file(world, logs);
	server_done(&world->server);
	for (unsigned i = 0; i < ACTORS; i++) {
		struct actor *actor = &world->actors[i];

		disconnect(actor);
		buffer_done(&actor->in);
		buffer_done(&actor->out);
		free(actor->said);
		for (unsigned room = 0; room < ROOMS; room++)
			free(actor->heard[room]);
	}
	for (unsigned room = 0; room < ROOMS; room++)
		free(logs[room].tokens);
	free(world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_crash");
	TCase *tcase = tcase_create("crash");

	/* Half a second each is plenty, and so is this for what follows. */
	tcase_set_timeout(tcase, 2.0 * harness_patience() / 1000 +
					 (double)rounds() * (harness_slow() ? 5 : 0.5));
	tcase_add_test(tcase, crash);
	suite_add_tcase(suite, tcase);
	return harness_main(suite);
}
