/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The chat service against a model of it: rooms that are lists. Random clients, guests and several
 * connections of one user, do random things in batches, join from anywhere, leave, rename, vanish,
 * and stop reading for a while; in some runs the log is kept in a file and the service starts anew
 * in between. Every reply is what the model says, and everybody gets every message once, in order.
 *
 * A client that is served from the log, or lets too much wait, may miss who came and went
 * meanwhile: presence is owed only to those who have kept up since they joined. How much waits for
 * a client depends on how fast it and the service are; the model knows the most that it can be.
 *
 * $RETORT_TEST_SEED is the seed of the first run, and $RETORT_TEST_ROUNDS the number of runs.
 */

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "chat.h"
#include "harness.h"
#include "harness_hub.h"

enum {
	RUNS = 2000,
	STEPS = 20, /* of a run, at the most */
	BATCH = 6,  /* requests that a client sends at once */
	CLIENTS = 6,
	ROOMS = 4,
	SPELLINGS = 3, /* of the name of a room */
	PER_CLIENT = 3,
	KEYS = 5,
	BUFFERED = 4608, /* bytes that a socket holds, about */
	TEXT = 1200,
	HEAVY = 6, /* times as many steps where texts are long */
	MAX_PENDING = 10 * 1024,
	EVENT_BYTES = 256, /* that an event takes beside its text, at the most */
	REPLY_BYTES = 256, /* likewise a reply beside the messages in it */
	LISTS_BYTES = 768, /* likewise one with a list in it */
};

/* Each is written in several ways, the last one of these not composed. */
static const char *const names[ROOMS][SPELLINGS] = {
	{"ops", "Ops", "OPS"},
	{"d\u00e9v", "D\u00c9V", "de\u0301v"},
	{"fixed", "Fixed", "fixED"}, /* in the configuration */
	{"loud", "LOUD", "louD"},    /* likewise; upper; not durable */
};
enum { FIXED = 2, LOUD = 3 };

static const char *const nicks[] = {"q-ann", "q-bob", "Q-Ann", "q-zo\u00eb", "q-dan", "Q-BOB"};

struct message {
	char from[64], time[CHAT_TIME_SIZE];
	bool by_user;
	char *text; /* owned */
	char sender[72], key[16];
};

struct room {
	bool exists;
	bool kept; /* even when nobody is in it */
	bool durable;
	const char *name;
	char topic[32];
	struct message *messages; /* owned */
	uint64_t n, size;
	uint64_t limit; /* messages that it holds; 0: no limit */
};

struct person {
	char nick[64];
	bool is_user;
	unsigned connections; /* 0: there is no such person */
};

/* What comes between the replies to join and to leave, which are in the list too. */
enum expected_kind {
	EXPECT_BEGIN, /* seq is the cursor */
	EXPECT_MESSAGE,
	EXPECT_JOIN,
	EXPECT_LEAVE,
	EXPECT_TOPIC,
	EXPECT_END,
};

struct expected {
	enum expected_kind kind;
	bool lossy; /* of BEGIN */
	bool told;  /* of what has no number: already, before messages that are still to come */
	uint64_t seq;
	char nick[64], text[96];
};

/* A connection's place in a room. */
struct seat {
	bool sits; /* for the model, which is ahead of what was received */
	/* As far as it was received: */
	bool hears;
	bool lossy; /* it need not be told of anything but messages */
	uint64_t cursor;
	struct expected *expected; /* what is still to come: a list; owned */
	size_t first, n, size;
};

/* A request under way, and its reply by the model. */
struct asked {
	json_t *request, *want;	    /* owned */
	unsigned room, first, last; /* the number of what is said, or those of a history */
	bool history, begins, ends;
	size_t most; /* bytes of the reply */
};

struct client {
	int fd; /* owned; -1: not connected */
	struct person *person;
	bool stalled;
	enum framing framing;
	struct buffer in;
	struct seat seats[ROOMS];
	struct asked asked[BATCH];
	size_t n_asked, n_answered;
};

struct model {
	struct hub_stage stage;
	struct random random;
	const char *me;
	const char *state; /* directory; NULL: all is in memory */
	uint64_t limit;	   /* messages that a log holds; 0: no limit */
	bool is_heavy;	   /* texts are long */
	struct room rooms[ROOMS];
	struct person people[CLIENTS + 1]; /* the last one is the user */
	struct client clients[CLIENTS];
	unsigned texts;
};

static bool same_fold(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0; /* what differs in case among the nicks is ASCII */
}

static uint64_t oldest(const struct room *room)
{
	return room->limit > 0 && room->n > room->limit ? room->n - room->limit + 1 : 1;
}

static bool is_in(const struct model *model, const struct person *person, unsigned room)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (model->clients[i].person == person && model->clients[i].seats[room].sits)
			return true;
	return false;
}

static json_int_t count_members(const struct model *model, unsigned room)
{
	json_int_t n = 0;

	for (unsigned i = 0; i <= CLIENTS; i++)
		n += model->people[i].connections > 0 && is_in(model, &model->people[i], room);
	return n;
}

static unsigned count_rooms(const struct client *client)
{
	unsigned n = 0;

	for (unsigned room = 0; room < ROOMS; room++)
		n += client->seats[room].sits;
	return n;
}

/* ---- what everybody is owed ---- */

static void owe(struct seat *seat, const struct expected *expected)
{
	if (seat->n == seat->size) {
		seat->size = MAX(2 * seat->size, (size_t)16);
		seat->expected = reallocarray(seat->expected, seat->size, sizeof(*seat->expected));
		REQUIRE(seat->expected);
	}
	seat->expected[seat->n++] = *expected;
}

/* The most that may wait for a client because of one seat. */
static size_t most_of_seat(const struct room *room, const struct seat *seat)
{
	size_t most = 0;

	for (size_t i = seat->first; i < seat->n; i++) {
		const struct expected *expected = &seat->expected[i];

		if (expected->told)
			continue;
		most += EVENT_BYTES;
		if (expected->kind == EXPECT_MESSAGE)
			most += strlen(room->messages[expected->seq - 1].text);
	}
	return most;
}

static void lose(struct seat *seat)
{
	seat->lossy = true;
	for (size_t i = seat->first; i < seat->n; i++)
		if (seat->expected[i].kind == EXPECT_BEGIN)
			seat->expected[i].lossy = true;
}

/* A client for whom too much may wait, of events and of replies, need not be told of all. */
static void weigh(const struct model *model, struct client *client)
{
	size_t most = 0;

	if (client->stalled)
		return; /* it is known that it need not */
	for (size_t i = 0; i < client->n_asked; i++)
		most += client->asked[i].most;
	for (unsigned room = 0; room < ROOMS; room++)
		most += most_of_seat(&model->rooms[room], &client->seats[room]);
	if (most < MAX_PENDING)
		return;
	for (unsigned room = 0; room < ROOMS; room++)
		lose(&client->seats[room]);
}

static void owe_all(struct model *model, unsigned room, enum expected_kind kind, uint64_t seq,
		    const char *nick, const char *text)
{
	struct expected expected = {.kind = kind, .seq = seq};

	(void)snprintf(expected.nick, sizeof expected.nick, "%s", nick);
	(void)snprintf(expected.text, sizeof expected.text, "%s", text);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &model->clients[i];

		if (!client->seats[room].sits)
			continue;
		owe(&client->seats[room], &expected);
		weigh(model, client);
	}
}

static void free_seat(struct seat *seat)
{
	free(seat->expected);
	*seat = (struct seat){0};
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The time of a message is whatever it was when it was first heard of. */
static void check_time(struct message *message, const json_t *object)
{
	const char *time = text_of(object, "time");
	uint64_t parsed;

	REQUIRE(chat_time_parse(time, &parsed) == 0);
	if (!*message->time)
		(void)snprintf(message->time, sizeof message->time, "%s", time);
	REQUIRE_MSG(strcmp(time, message->time) == 0, "%s instead of %s", time, message->time);
}

static void check_message(const struct model *model, struct room *room, uint64_t seq,
			  const json_t *object)
{
	struct message *message;

	REQUIRE(seq > 0 && seq <= room->n);
	message = &room->messages[seq - 1];
	REQUIRE(json_integer_value(json_object_get(object, "seq")) == (json_int_t)seq);
	REQUIRE_MSG(strcmp(text_of(object, "from"), message->from) == 0, "%s instead of %s",
		    text_of(object, "from"), message->from);
	REQUIRE_MSG(strcmp(text_of(object, "user"), message->by_user ? model->me : "") == 0,
		    "%s instead of %s", text_of(object, "user"), message->by_user ? model->me : "");
	REQUIRE_MSG(strcmp(text_of(object, "text"), message->text) == 0, "%s instead of %s",
		    text_of(object, "text"), message->text);
	check_time(message, object);
}

/* Whether an event other than a message is the one that is owed. */
static bool is_same(const struct expected *expected, const json_t *event)
{
	static const char *const kinds[] = {
		[EXPECT_JOIN] = "join", [EXPECT_LEAVE] = "leave", [EXPECT_TOPIC] = "topic"};

	return expected->kind != EXPECT_MESSAGE &&
	       strcmp(text_of(event, "event"), kinds[expected->kind]) == 0 &&
	       strcmp(text_of(event, "nick"), expected->nick) == 0 &&
	       strcmp(text_of(event, expected->kind == EXPECT_LEAVE ? "reason" : "text"),
		      expected->text) == 0;
}

static struct expected *front(struct seat *seat, const json_t *object)
{
	while (seat->first < seat->n && seat->expected[seat->first].told)
		seat->first++;
	REQUIRE_MSG(seat->first < seat->n, "nothing more is owed: %s", json_dumps(object, 0));
	return &seat->expected[seat->first];
}

static bool is_presence(const struct expected *expected)
{
	return expected->kind == EXPECT_JOIN || expected->kind == EXPECT_LEAVE ||
	       expected->kind == EXPECT_TOPIC;
}

static void hear_message(const struct model *model, struct seat *seat, struct room *room,
			 const json_t *event)
{
	/* What it was not told of by now, it never will be. */
	while (seat->lossy && is_presence(front(seat, event)))
		seat->first++;
	REQUIRE_MSG(front(seat, event)->kind == EXPECT_MESSAGE, "too early: %s",
		    json_dumps(event, 0));
	REQUIRE(front(seat, event)->seq == ++seat->cursor);
	check_message(model, room, seat->cursor, event);
	seat->first++;
}

static void hear_gap(struct seat *seat, const struct room *room, const json_t *event)
{
	uint64_t last = (uint64_t)json_integer_value(json_object_get(event, "last"));

	REQUIRE(json_integer_value(json_object_get(event, "first")) ==
		(json_int_t)seat->cursor + 1);
	REQUIRE(last > seat->cursor);
	REQUIRE(last < oldest(room));
	REQUIRE(seat->lossy);
	for (; seat->cursor < last; seat->first++)
		seat->cursor += front(seat, event)->kind == EXPECT_MESSAGE;
}

/*
 * Who comes and goes is told at once, also to those for whom messages that were said before are
 * still to come; but what is not told in its turn never is.
 */
static void hear_presence(struct seat *seat, const json_t *event)
{
	for (size_t i = seat->first; i < seat->n; i++) {
		struct expected *expected = &seat->expected[i];

		if (expected->told)
			continue;
		REQUIRE_MSG(seat->lossy || is_same(expected, event), "too early, or not at all: %s",
			    json_dumps(event, 0));
		REQUIRE_MSG(expected->kind != EXPECT_END, "after it has left: %s",
			    json_dumps(event, 0));
		if (is_same(expected, event)) {
			expected->told = true;
			return;
		}
		expected->told = is_presence(expected);
	}
	ck_abort_msg("nobody is owed this: %s", json_dumps(event, 0));
}

/* The reply to join says that events come from now on. */
static void begin(struct seat *seat, const json_t *reply)
{
	const struct expected *expected = front(seat, reply);

	REQUIRE(expected->kind == EXPECT_BEGIN);
	seat->cursor = expected->seq;
	seat->lossy = expected->lossy;
	seat->hears = true;
	seat->first++;
}

/* The reply to leave says that none come any more: not those that a member was behind with. */
static void end(struct seat *seat, const json_t *reply)
{
	while (seat->lossy && front(seat, reply)->kind != EXPECT_END)
		seat->first++;
	REQUIRE_MSG(front(seat, reply)->kind == EXPECT_END, "left too early");
	seat->hears = false;
	seat->first++;
}

static bool is_name(unsigned room, const char *name)
{
	for (unsigned i = 0; i < SPELLINGS; i++)
		if (strcmp(names[room][i], name) == 0)
			return true;
	return false;
}

static void hear(struct model *model, struct client *client, const json_t *event)
{
	const char *kind = text_of(event, "event");
	struct seat *seat;
	unsigned room = 0;

	while (room < ROOMS && !is_name(room, text_of(event, "room")))
		room++;
	REQUIRE_MSG(room < ROOMS, "of no room: %s", json_dumps(event, 0));
	seat = &client->seats[room];
	REQUIRE_MSG(seat->hears, "not in that room: %s", json_dumps(event, 0));
	if (strcmp(kind, "message") == 0)
		hear_message(model, seat, &model->rooms[room], event);
	else if (strcmp(kind, "gap") == 0)
		hear_gap(seat, &model->rooms[room], event);
	else
		hear_presence(seat, event);
}

static bool is_owed(const struct client *client)
{
	for (unsigned room = 0; room < ROOMS; room++) {
		const struct seat *seat = &client->seats[room];

		for (size_t i = seat->first; i < seat->n; i++)
			if (!seat->expected[i].told &&
			    (!seat->lossy || !is_presence(&seat->expected[i])))
				return true;
	}
	return false;
}

/* Whether all members that an object is wanted to have are there. */
static bool has_all(const json_t *have, const json_t *want)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)want, name, value)
		if (!json_is_array(value) && !json_equal(json_object_get(have, name), value))
			return false;
	return true;
}

/* Whether a list has the objects that are wanted, in any order, and no others. */
static bool is_same_list(const json_t *have, const json_t *want)
{
	json_t *one, *other;
	size_t i, j;

	json_array_foreach((json_t *)want, i, one) {
		bool found = false;

		json_array_foreach((json_t *)have, j, other)
			found = found || has_all(other, one);
		if (!found)
			return false;
	}
	return json_array_size(have) == json_array_size(want);
}

static bool is_wanted(const json_t *reply, const json_t *want)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)want, name, value)
		if (json_is_array(value) && !is_same_list(json_object_get(reply, name), value))
			return false;
	return has_all(reply, want);
}

static void check_reply(struct model *model, struct client *client, const json_t *reply)
{
	struct asked *asked = &client->asked[client->n_answered++];
	struct room *room = &model->rooms[asked->room];
	const json_t *messages = json_object_get(reply, "messages");

	REQUIRE(client->n_answered <= client->n_asked);
	REQUIRE_MSG(is_wanted(reply, asked->want), "%s\nto %s\ninstead of %s", json_dumps(reply, 0),
		    json_dumps(asked->request, 0), json_dumps(asked->want, 0));
	REQUIRE(json_is_true(json_object_get(reply, "duplicate")) ==
		json_is_true(json_object_get(asked->want, "duplicate")));
	if (json_object_get(reply, "time"))
		check_time(&room->messages[asked->first - 1], reply);
	if (asked->begins)
		begin(&client->seats[asked->room], reply);
	if (asked->ends)
		end(&client->seats[asked->room], reply);
	if (!asked->history)
		return;
	REQUIRE_MSG(json_array_size(messages) == asked->last + 1 - asked->first,
		    "%zu messages instead of %u to %u, to %s", json_array_size(messages),
		    asked->first, asked->last, json_dumps(asked->request, 0));
	for (unsigned seq = asked->first; seq <= asked->last; seq++)
		check_message(model, room, seq, json_array_get(messages, seq - asked->first));
}

/* The most that a reply can be, beside texts that are as long as they are. */
static size_t most_of_reply(const struct model *model, const struct asked *asked)
{
	const char *op = text_of(asked->request, "op");
	const struct room *room = &model->rooms[asked->room];
	size_t most = REPLY_BYTES;

	if (strcmp(op, "who") == 0 || strcmp(op, "rooms") == 0 || strcmp(op, "hello") == 0)
		most = LISTS_BYTES;
	for (unsigned seq = asked->first; asked->history && seq <= asked->last; seq++)
		most += EVENT_BYTES + strlen(room->messages[seq - 1].text);
	return most;
}

/* The model knows what waits only as long as nothing is longer than it takes it to be. */
static void check_size(const struct client *client, const json_t *object)
{
	bool event = json_object_get(object, "event");
	size_t size = json_dumpb(object, NULL, 0, JSON_COMPACT) + FRAME_HEADER, most;

	REQUIRE_MSG(event || client->n_answered < client->n_asked, "nothing was asked: %s",
		    json_dumps(object, 0));
	most = event ? EVENT_BYTES : client->asked[client->n_answered].most;
	if (strcmp(text_of(object, "event"), "message") == 0)
		most += strlen(text_of(object, "text"));
	REQUIRE_MSG(size <= most, "%zu bytes are more than %zu: %s", size, most,
		    json_dumps(object, 0));
}

/* ---- receiving ---- */

static void cut(struct client *client, json_t *messages)
{
	const struct frame_rules rules = {.framing = client->framing, .max_message = 1 << 24};
	size_t used = 0;

	for (;;) {
		struct bytes rest = {client->in.data + used, client->in.len - used};
		struct frame frame;
		size_t scanned = 0;
		json_t *one;

		if (frame_cut(&rules, rest, false, &scanned, &frame) != FRAME_MESSAGE)
			break;
		one = json_loadb((const char *)frame.body.data, frame.body.len, 0, NULL);
		REQUIRE(one);
		(void)json_array_append_new(messages, one); /* then nothing comes */
		used += frame.size;
	}
	buffer_consume(&client->in, used);
}

/* Waits for something, and sorts it. */
static void receive(struct model *model, struct client *client)
{
	struct pollfd polled = {.fd = client->fd, .events = POLLIN};
	json_t *messages = json_array(), *one;
	ssize_t n;
	size_t i;

	REQUIRE_MSG(poll(&polled, 1, harness_patience()) == 1, "nothing comes");
	REQUIRE(buffer_reserve(&client->in, 1 << 16) == 0);
	n = recv(client->fd, client->in.data + client->in.len, 1 << 16, 0);
	REQUIRE_MSG(n > 0, "the end: %m");
	client->in.len += (size_t)n;
	cut(client, messages);
	json_array_foreach(messages, i, one) {
		check_size(client, one);
		if (json_object_get(one, "event"))
			hear(model, client, one);
		else
			check_reply(model, client, one);
	}
	json_decref(messages);
}

/* Everybody who reads gets all that they are owed. */
static void catch_up(struct model *model)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		while (!model->clients[i].stalled && is_owed(&model->clients[i]))
			receive(model, &model->clients[i]);
}

/* ---- requests, and what their replies must be ---- */

static json_t *refusal(const char *error)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

static struct room *pick_room(struct model *model, unsigned *ret_number, const char **ret_name)
{
	*ret_number = (unsigned)random_below(&model->random, ROOMS);
	*ret_name = names[*ret_number][random_below(&model->random, SPELLINGS)];
	return &model->rooms[*ret_number];
}

/* Rather one that the client is in. */
static struct room *pick_own_room(struct model *model, const struct client *client,
				  unsigned *ret_number, const char **ret_name)
{
	struct room *room;
	unsigned tries = 4;

	do
		room = pick_room(model, ret_number, ret_name);
	while (!client->seats[*ret_number].sits && --tries > 0);
	return room;
}

static void forget_empty(struct model *model, unsigned number)
{
	struct room *room = &model->rooms[number];

	if (count_members(model, number) == 0 && !room->kept)
		room->exists = false;
}

static void ask_join(struct model *model, struct client *client, struct asked *asked)
{
	unsigned number;
	const char *name;
	struct room *room = pick_room(model, &number, &name);
	struct seat *seat = &client->seats[number];
	struct expected begin = {.kind = EXPECT_BEGIN};
	uint64_t since = 0;
	bool has_since = random_below(&model->random, 2);

	if (has_since && random_below(&model->random, 3))
		since = random_below(&model->random, room->n + 3);
	asked->request = json_pack("{s:s, s:s}", "op", "join", "room", name);
	if (has_since)
		(void)json_object_set_new(asked->request, "since", json_integer((json_int_t)since));
	if (!seat->sits && count_rooms(client) == PER_CLIENT) {
		asked->want = refusal("too_many_rooms");
		return;
	}
	if (!room->exists) {
		room->exists = true;
		room->name = name;
		if (strcmp(name, names[1][2]) == 0)
			room->name = names[1][0]; /* it is shown composed */
	}
	if (!seat->sits) {
		if (!is_in(model, client->person, number))
			owe_all(model, number, EXPECT_JOIN, 0, client->person->nick, "");
		begin.seq = !has_since	 ? room->n
			    : since == 0 ? oldest(room) - 1
					 : MIN(since, room->n);
		begin.lossy = begin.seq < room->n;
		seat->sits = true;
		owe(seat, &begin);
		for (uint64_t seq = begin.seq + 1; seq <= room->n; seq++)
			owe(seat, &(struct expected){.kind = EXPECT_MESSAGE, .seq = seq});
		asked->room = number;
		asked->begins = true;
	}
	asked->want = json_pack("{s:b, s:s, s:I, s:I, s:I, s:s}", "ok", 1, "room", room->name,
				"seq", (json_int_t)room->n, "oldest", (json_int_t)oldest(room),
				"members", count_members(model, number), "topic", room->topic);
}

/* Refuses what only members may do. */
static bool may(const struct room *room, const struct seat *seat, struct asked *asked)
{
	if (room->exists && seat->sits)
		return true;
	asked->want = refusal(room->exists ? "not_member" : "no_such_room");
	return false;
}

static void ask_leave(struct model *model, struct client *client, struct asked *asked)
{
	unsigned number;
	const char *name;
	struct room *room = pick_room(model, &number, &name);

	asked->request = json_pack("{s:s, s:s}", "op", "leave", "room", name);
	if (!may(room, &client->seats[number], asked))
		return;
	asked->want = json_pack("{s:b, s:s}", "ok", 1, "room", name);
	asked->room = number;
	asked->ends = true;
	client->seats[number].sits = false;
	owe(&client->seats[number], &(struct expected){.kind = EXPECT_END});
	if (!is_in(model, client->person, number))
		owe_all(model, number, EXPECT_LEAVE, 0, client->person->nick, "");
	forget_empty(model, number);
}

static char *make_text(struct model *model)
{
	size_t most = model->is_heavy && random_below(&model->random, 2) ? TEXT : 20;
	size_t length = random_below(&model->random, most);
	char *text;

	REQUIRE(asprintf(&text, "%u text %*s", ++model->texts, (int)length, "\xe2\x82\xac") >= 0);
	return text;
}

static void append(struct room *room, const struct message *message)
{
	if (room->n == room->size) {
		room->size = MAX(2 * room->size, (uint64_t)16);
		room->messages = reallocarray(room->messages, room->size, sizeof(struct message));
		REQUIRE(room->messages);
	}
	room->messages[room->n++] = *message;
	room->kept = true;
}

static struct message *find_key(struct room *room, const char *sender, const char *key,
				uint64_t *ret_seq)
{
	for (uint64_t i = 0; i < room->n && *key; i++)
		if (strcmp(room->messages[i].sender, sender) == 0 &&
		    strcmp(room->messages[i].key, key) == 0) {
			*ret_seq = i + 1;
			return &room->messages[i];
		}
	return NULL;
}

static void ask_say(struct model *model, struct client *client, struct asked *asked)
{
	unsigned number;
	const char *name;
	struct room *room = pick_own_room(model, client, &number, &name);
	struct message message = {.by_user = client->person->is_user, .text = make_text(model)};
	struct message *before;
	uint64_t seq;

	if (random_below(&model->random, 2))
		(void)snprintf(message.key, sizeof message.key, "k%zu",
			       random_below(&model->random, KEYS));
	asked->request =
		json_pack("{s:s, s:s, s:s}", "op", "say", "room", name, "text", message.text);
	if (*message.key)
		(void)json_object_set_new(asked->request, "key", json_string(message.key));
	(void)snprintf(message.from, sizeof message.from, "%s", client->person->nick);
	(void)snprintf(message.sender, sizeof message.sender, "%s",
		       client->person->is_user ? "" : client->person->nick);
	for (char *c = message.sender; *c; c++)
		*c |= 0x20;
	if (!may(room, &client->seats[number], asked)) {
		free(message.text);
		return;
	}
	asked->room = number;
	asked->want = json_pack("{s:b, s:s}", "ok", 1, "room", name);
	before = find_key(room, message.sender, message.key, &seq);
	if (before) {
		free(message.text);
		(void)json_object_set_new(asked->want, "duplicate", json_true());
	} else {
		for (char *c = message.text; *c && number == LOUD; c++)
			*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 0x20 : *c);
		append(room, &message);
		seq = room->n;
		owe_all(model, number, EXPECT_MESSAGE, seq, "", "");
	}
	asked->first = (unsigned)seq;
	(void)json_object_set_new(asked->want, "seq", json_integer((json_int_t)seq));
}

static void ask_topic(struct model *model, struct client *client, struct asked *asked)
{
	unsigned number;
	const char *name;
	struct room *room = pick_room(model, &number, &name);
	char topic[32] = "";

	if (random_below(&model->random, 4))
		(void)snprintf(topic, sizeof topic, "topic %u", ++model->texts);
	asked->request = json_pack("{s:s, s:s, s:s}", "op", "topic", "room", name, "text", topic);
	if (!may(room, &client->seats[number], asked))
		return;
	asked->want = json_pack("{s:b}", "ok", 1);
	(void)snprintf(room->topic, sizeof room->topic, "%s", topic);
	room->kept = true;
	owe_all(model, number, EXPECT_TOPIC, 0, client->person->nick, topic);
}

/* Adds a bound to a request, perhaps. */
static bool bound(struct model *model, json_t *request, const char *name, uint64_t limit,
		  uint64_t *ret_bound)
{
	if (random_below(&model->random, 2))
		return false;
	*ret_bound = random_below(&model->random, limit);
	(void)json_object_set_new(request, name, json_integer((json_int_t)*ret_bound));
	return true;
}

static void ask_history(struct model *model, struct client *client, struct asked *asked)
{
	unsigned number;
	const char *name;
	struct room *room = pick_room(model, &number, &name);
	uint64_t before = UINT64_MAX, after = 0, limit = CHAT_HISTORY_DEFAULT, first, last;
	bool has_after;

	(void)client;
	asked->request = json_pack("{s:s, s:s}", "op", "history", "room", name);
	(void)bound(model, asked->request, "before", room->n + 3, &before);
	has_after = bound(model, asked->request, "after", room->n + 3, &after);
	if (bound(model, asked->request, "limit", 12, &limit) && limit == 0) {
		asked->want = refusal("bad_request");
		return;
	}
	if (!room->exists) {
		asked->want = refusal("no_such_room");
		return;
	}
	first = MAX(oldest(room), after + 1);
	last = MIN(room->n, before == 0 ? 0 : before - 1);
	if (last >= first && last - first + 1 > limit) {
		if (has_after)
			last = first + limit - 1;
		else
			first = last - limit + 1;
	}
	asked->history = true;
	asked->room = number;
	asked->first = (unsigned)first;
	asked->last = last < first ? (unsigned)first - 1 : (unsigned)last;
	asked->want = json_pack("{s:b, s:s, s:I, s:I}", "ok", 1, "room", room->name, "seq",
				(json_int_t)room->n, "oldest", (json_int_t)oldest(room));
}

static void add_member(const struct model *model, const struct person *person, json_t *members)
{
	(void)json_array_append_new(members, json_pack("{s:s, s:s?}", "nick", person->nick, "user",
						       person->is_user ? model->me : NULL));
}

static void ask_who(struct model *model, struct client *client, struct asked *asked)
{
	json_t *members = json_array();
	unsigned number;
	const char *name;
	struct room *room = pick_room(model, &number, &name);
	bool all = random_below(&model->random, 3) == 0;

	(void)client;
	asked->request = json_pack("{s:s}", "op", "who");
	if (!all)
		(void)json_object_set_new(asked->request, "room", json_string(name));
	for (unsigned i = 0; i <= CLIENTS; i++)
		if (model->people[i].connections > 0 &&
		    (all || is_in(model, &model->people[i], number)))
			add_member(model, &model->people[i], members);
	asked->want = all || room->exists ? json_pack("{s:b, s:O}", "ok", 1, "members", members)
					  : refusal("no_such_room");
	if (!all && room->exists)
		(void)json_object_set_new(asked->want, "room", json_string(name));
	json_decref(members);
}

static void ask_rooms(struct model *model, struct client *client, struct asked *asked)
{
	json_t *rooms = json_array();

	(void)client;
	asked->request = json_pack("{s:s}", "op", "rooms");
	for (unsigned i = 0; i < ROOMS; i++)
		if (model->rooms[i].exists)
			(void)json_array_append_new(
				rooms,
				json_pack("{s:s, s:I, s:I, s:s}", "room", model->rooms[i].name,
					  "seq", (json_int_t)model->rooms[i].n, "members",
					  count_members(model, i), "topic", model->rooms[i].topic));
	asked->want = json_pack("{s:b, s:o}", "ok", 1, "rooms", rooms);
}

/* Why a person cannot be called so; NULL when nothing speaks against it. */
static const char *objection(const struct model *model, const struct person *person,
			     const char *nick)
{
	for (unsigned i = 0; i <= CLIENTS; i++)
		if (model->people[i].connections > 0 && &model->people[i] != person &&
		    same_fold(model->people[i].nick, nick))
			return "nick_in_use";
	return strcmp(nick, model->me) == 0 && !person->is_user ? "not_allowed" : NULL;
}

static void ask_hello(struct model *model, struct client *client, struct asked *asked)
{
	struct person *person = client->person;
	const char *nick = random_below(&model->random, 6) == 0
				   ? model->me
				   : nicks[random_below(&model->random, ARRAY_SIZE(nicks))];
	const char *error = objection(model, person, nick);
	char before[64], reason[96];

	asked->request = json_pack("{s:s, s:s}", "op", "hello", "nick", nick);
	if (random_below(&model->random, 20) == 0) {
		(void)json_object_del(asked->request, "nick");
		error = "bad_request";
	}
	if (error) {
		asked->want = refusal(error);
		return;
	}
	asked->want = json_pack("{s:b, s:s, s:s?}", "ok", 1, "nick", nick, "user",
				person->is_user ? model->me : NULL);
	if (strcmp(person->nick, nick) == 0)
		return;
	(void)snprintf(before, sizeof before, "%s", person->nick);
	(void)snprintf(reason, sizeof reason, "is called %s now", nick);
	(void)snprintf(person->nick, sizeof person->nick, "%s", nick);
	for (unsigned room = 0; room < ROOMS; room++) {
		if (!is_in(model, person, room))
			continue;
		owe_all(model, room, EXPECT_LEAVE, 0, before, reason);
		owe_all(model, room, EXPECT_JOIN, 0, nick, "");
	}
}

/* ---- steps ---- */

static void ask_one(struct model *model, struct client *client, struct asked *asked)
{
	static void (*const asks[])(struct model *, struct client *, struct asked *) = {
		ask_say,   ask_say, ask_say,   ask_say,	  ask_say,   ask_join,	  ask_join,
		ask_leave, ask_who, ask_rooms, ask_topic, ask_hello, ask_history,
	};

	asks[random_below(&model->random, ARRAY_SIZE(asks))](model, client, asked);
}

static void add_request(const struct model *model, struct client *client, struct buffer *out)
{
	struct asked *asked = &client->asked[client->n_asked++];
	char *text = json_dumps(asked->request, JSON_COMPACT);

	asked->most = most_of_reply(model, asked);
	weigh(model, client);
	wrap(out, client->framing, text, strlen(text));
	free(text);
}

/* Sends what was asked, and waits for the replies. */
static void exchange_batch(struct model *model, struct client *client, const struct buffer *out)
{
	REQUIRE(send(client->fd, out->data, out->len, MSG_NOSIGNAL) == (ssize_t)out->len);
	while (client->n_answered < client->n_asked)
		receive(model, client);
	for (size_t i = 0; i < client->n_asked; i++) {
		json_decref(client->asked[i].request);
		json_decref(client->asked[i].want);
		client->asked[i] = (struct asked){0};
	}
	client->n_asked = client->n_answered = 0;
}

/* A client sends requests in one go, and the replies are those of one after the other. */
static void ask_batch(struct model *model, struct client *client)
{
	CLEANUP(buffer_done) struct buffer out = {0};
	size_t n = 1 + random_below(&model->random, BATCH);

	for (size_t i = 0; i < n; i++) {
		ask_one(model, client, &client->asked[i]);
		add_request(model, client, &out);
	}
	exchange_batch(model, client, &out);
}

static void come(struct model *model, struct client *client)
{
	CLEANUP(buffer_done) struct buffer out = {0};
	bool proven = random_below(&model->random, 3) == 0;
	size_t listener = random_below(&model->random, 2);
	struct person *person = &model->people[proven ? CLIENTS : client - model->clients];

	client->fd = hub_stage_connect(&model->stage, listener, proven, BUFFERED);
	client->framing = model->stage.config->listeners[listener].settings.framing;
	client->person = person;
	client->stalled = false;
	person->is_user = proven;
	if (person->connections++ == 0) {
		if (proven)
			(void)snprintf(person->nick, sizeof person->nick, "%s", model->me);
		else
			(void)snprintf(person->nick, sizeof person->nick, "guest-%" PRIu64,
				       model->stage.last_client);
	}
	ask_rooms(model, client, &client->asked[0]); /* then the service knows of it */
	add_request(model, client, &out);
	exchange_batch(model, client, &out);
}

static void go(struct model *model, struct client *client)
{
	struct person *person = STEAL(client->person);

	if (random_below(&model->random, 2))
		reset_close(client->fd);
	else
		(void)close(client->fd);
	client->fd = -1;
	client->in.len = 0;
	person->connections--;
	for (unsigned room = 0; room < ROOMS; room++) {
		bool sat = client->seats[room].sits;

		free_seat(&client->seats[room]);
		if (sat && !is_in(model, person, room))
			owe_all(model, room, EXPECT_LEAVE, 0, person->nick, "");
		if (sat)
			forget_empty(model, room);
	}
	hub_stage_await(&model->stage, model->stage.connections - 1);
}

static void stall(struct client *client, bool stalled)
{
	client->stalled = stalled;
	for (unsigned room = 0; room < ROOMS; room++)
		lose(&client->seats[room]);
}

/* ---- runs ---- */

static void empty(struct room *room)
{
	for (uint64_t i = 0; i < room->n; i++)
		free(room->messages[i].text);
	free(room->messages);
	*room = (struct room){0};
}

/* Rooms as they are when the service starts: what was said in durable ones is still there. */
static void ready_rooms(struct model *model)
{
	for (unsigned i = 0; i < ROOMS; i++) {
		struct room *room = &model->rooms[i];

		if (!room->durable || !room->kept)
			empty(room);
		room->durable = model->state && i != LOUD;
		room->limit = model->limit;
		if (i < FIXED)
			continue;
		if (!room->exists)
			room->name = names[i][0];
		room->exists = room->kept = true;
	}
}

static void start(struct model *model)
{
	char config[1024];

	(void)snprintf(config, sizeof config,
		       "workers = 2; max_pending = %d; listeners: ("
		       "{ name = \"a\"; service = \"chat\"; listen = \"tcp://127.0.0.1:0\"; },"
		       "{ name = \"b\"; service = \"chat\"; framing = \"line\"; "
		       "listen = \"tcp://127.0.0.1:0\"; });"
		       "chat: { max_rooms_per_client = %d; history: { max_messages = %" PRIu64
		       "; }; rooms: ( { name = \"%s\"; },"
		       "{ name = \"%s\"; durable = false; transforms = [ \"upper\" ]; } ); };",
		       MAX_PENDING, PER_CLIENT, model->limit, names[FIXED][0], names[LOUD][0]);
	ready_rooms(model);
	hub_stage_start(&model->stage, config, model->state);
}

static void stop(struct model *model)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (model->clients[i].person)
			go(model, &model->clients[i]);
	hub_stage_stop(&model->stage);
}

static void step(struct model *model)
{
	struct client *client = &model->clients[random_below(&model->random, CLIENTS)];
	size_t what = random_below(&model->random, 40);

	if (!client->person)
		come(model, client);
	else if (what == 0)
		go(model, client);
	else if (what <= 3)
		stall(client, !client->stalled);
	else if (!client->stalled)
		ask_batch(model, client);
	if (what == 39 && model->state && random_below(&model->random, 3) == 0) {
		stop(model);
		start(model);
	}
	catch_up(model);
}

/* Nothing comes that nobody is owed. */
static void settle(struct model *model)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (model->clients[i].stalled)
			stall(&model->clients[i], false);
	catch_up(model);
	for (unsigned i = 0; i < CLIENTS; i++) {
		CLEANUP(buffer_done) struct buffer out = {0};
		struct client *client = &model->clients[i];

		if (!client->person)
			continue;
		ask_rooms(model, client, &client->asked[0]);
		add_request(model, client, &out);
		exchange_batch(model, client, &out);
	}
}

/* Runs go by their own seeds, so that each can be run alone. */
static void run(uint64_t seed, const char *me, const char *directory)
{
	struct model model = {.me = me};
	size_t steps;

	random_init(&model.random, seed);
	model.state = random_below(&model.random, 40) == 0 ? directory : NULL;
	model.limit = !model.state && random_below(&model.random, 2)
			      ? 1 + random_below(&model.random, 20)
			      : 0;
	model.is_heavy = random_below(&model.random, 4) == 0;
	steps = random_below(&model.random, model.is_heavy ? HEAVY * STEPS : STEPS);
	start(&model);
	for (size_t i = 0; i < steps; i++)
		step(&model);
	settle(&model);
	stop(&model);
	for (unsigned i = 0; i < CLIENTS; i++)
		buffer_done(&model.clients[i].in);
	for (unsigned i = 0; i < ROOMS; i++)
		empty(&model.rooms[i]);
	if (model.state)
		directory_remove(directory);
}

/* Notes which run it is where the harness looks when the test has failed. */
static void note_seed(uint64_t seed)
{
	char path[256], text[64];
	int len = snprintf(text, sizeof text, "RETORT_TEST_SEED=%" PRIu64 "\n", seed);

	(void)snprintf(path, sizeof path, "%s/run/log", getenv("RETORT_TEST_DIRECTORY"));
	file_write(path, text, (size_t)len);
}

START_TEST(the_service_does_what_the_model_does)
{
	const char *given = getenv("RETORT_TEST_ROUNDS");
	size_t runs = given ? strtoul(given, NULL, 10) : harness_rounds(RUNS, RUNS / 10);
	const struct passwd *user = getpwuid(geteuid());
	CLEANUP(freep) char *me = NULL;
	struct random random;
	char directory[256];

	if (!user) {
		harness_skip("the user who runs the test has no name");
		return;
	}
	me = strdup(user->pw_name);
	random_init_run(&random, "hub_model");
	(void)snprintf(directory, sizeof directory, "%s/run", getenv("RETORT_TEST_DIRECTORY"));
	REQUIRE(mkdir(directory, 0700) == 0);
	(void)snprintf(directory, sizeof directory, "%s/state", getenv("RETORT_TEST_DIRECTORY"));
	for (size_t i = 0; i < runs; i++, random.state++) {
		note_seed(random.state);
		run(random.state, me, directory);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit_hub_model");

	harness_add(suite, the_service_does_what_the_model_does);
	return harness_main(suite);
}
