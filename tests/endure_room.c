/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Members of rooms, in framing length and dialect object. Some of them speak: one message at a
 * time, of which they wait for the acknowledgement. A text says who said it and which of its
 * messages it is, and its other words follow from that; so whoever hears it can check it alone.
 * What nobody can check alone is common to all members of a room: which text has which number.
 */
#include "endure.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"

enum {
	NICK_MAX = 32,
	WORDS_MAX = 200,
	TEXT_MAX = NICK_MAX + 24 + WORDS_MAX,
	REQUEST_MAX = TEXT_MAX + 128,
	ID_HELLO = 1,
	ID_JOIN = 2,
	ID_SAY = 10, /* and the number of the message */
};

/* What is known of a message. */
struct note {
	uint64_t text; /* its hash */
	uint64_t when; /* somebody first knew of it; 0: nobody does */
};

struct room {
	char name[NICK_MAX];
	bool begun;
	uint64_t base;	    /* number of the first note */
	uint64_t newest;    /* number that anybody knows of */
	struct note *notes; /* owned */
	size_t n, size;
};

struct member {
	struct room *room;
	char nick[NICK_MAX];
	bool speaks, inside;
	uint64_t cursor; /* the last number it has heard */
	uint64_t said, acknowledged;
	uint64_t text; /* hash of what it said last */
	struct buffer in, out;
	size_t scanned;
};

static uint64_t hash_text(const char *text, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return hash | 1;
}

/* What the member of this nick says as its number-th message; returns its length. */
static size_t make_text(const struct load *load, const char *nick, uint64_t number,
			char text[static TEXT_MAX + 1])
{
	size_t len = (size_t)snprintf(text, TEXT_MAX, "%s %" PRIu64 " ", nick, number);

	len += script_words(load->seed ^ hash_text(text, len), text + len, WORDS_MAX);
	text[len] = 0;
	return len;
}

/* ---- rooms ---- */

int make_rooms(struct load *load)
{
	load->rooms = calloc(load->n_rooms, sizeof(*load->rooms));
	if (!load->rooms)
		return -ENOMEM;
	for (unsigned i = 0; i < load->n_rooms; i++)
		(void)snprintf(load->rooms[i].name, NICK_MAX, "endure-%u", i);
	return 0;
}

void free_rooms(struct load *load)
{
	for (unsigned i = 0; load->rooms && i < load->n_rooms; i++)
		free(load->rooms[i].notes);
	free(load->rooms);
	load->rooms = NULL;
}

/* The note of this number, made when there is none; NULL: no memory, or a number before all. */
static struct note *note_of(struct room *room, uint64_t seq)
{
	size_t place = seq - room->base, size;

	if (seq < room->base || place > 1000000 + room->n)
		return NULL;
	if (place >= room->size) {
		struct note *notes;

		size = MAX(2 * room->size, place + 64);
		notes = reallocarray(room->notes, size, sizeof(*notes));
		if (!notes)
			return NULL;
		memset(notes + room->size, 0, (size - room->size) * sizeof(*notes));
		room->notes = notes;
		room->size = size;
	}
	room->n = MAX(room->n, place + 1);
	return &room->notes[place];
}

/* Whether this number may have this text; the first who knows of it says which. */
static bool note(struct room *room, uint64_t seq, uint64_t text, uint64_t now)
{
	struct note *note = note_of(room, seq);

	if (!note)
		return false;
	room->newest = MAX(room->newest, seq);
	if (!note->when)
		*note = (struct note){.text = text, .when = now};
	return note->text == text;
}

/* ---- members ---- */

int member_init(struct client *client, unsigned number)
{
	struct load *load = client->load;

	client->member = calloc(1, sizeof(*client->member));
	if (!client->member)
		return -ENOMEM;
	client->member->room = &load->rooms[number % load->n_rooms];
	client->member->speaks = number / load->n_rooms < load->n_speakers;
	return 0;
}

void member_done(struct client *client)
{
	if (!client->member)
		return;
	buffer_done(&client->member->in);
	buffer_done(&client->member->out);
	free(client->member);
	client->member = NULL;
}

static void flush(struct client *client, uint64_t now)
{
	struct buffer *out = &client->member->out;

	client->blocked = false;
	while (out->len > 0 && client->phase == PHASE_OPEN) {
		ssize_t n = send(client->fd, out->data, out->len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			client->blocked = true;
			break;
		}
		if (n < 0) {
			client_lost(client, strerror(errno), now);
			return;
		}
		client->load->tallies[KIND_ROOM].sent += (size_t)n;
		buffer_consume(out, (size_t)n);
	}
	client_settle(client, client->blocked, now);
}

static void ask(struct client *client, const char *request, uint64_t now)
{
	if (frame_append(&client->member->out, FRAMING_LENGTH, LINE_END_LF, request,
			 strlen(request)) < 0)
		client_lost(client, "no memory for what it says", now);
}

static bool has_nicks(const struct load *load)
{
	return load->ends[WAY_CHAT].transport != TRANSPORT_UNIX;
}

static void open_member(struct client *client, uint64_t now)
{
	struct member *member = client->member;
	char request[REQUEST_MAX];

	member->inside = false;
	member->said = member->acknowledged = member->cursor = 0;
	member->scanned = member->in.len = member->out.len = 0;
	client->reading = true;
	(void)snprintf(member->nick, NICK_MAX, "e%" PRIx64 "-%u-%u",
		       client->load->begin / NSEC_PER_MSEC % 0xfffffff, client->index,
		       client->epoch);
	if (has_nicks(client->load)) {
		(void)snprintf(request, sizeof(request),
			       "{\"op\":\"hello\",\"id\":%d,\"nick\":\"%s\"}", ID_HELLO,
			       member->nick);
		ask(client, request, now);
	}
	(void)snprintf(request, sizeof(request), "{\"op\":\"join\",\"id\":%d,\"room\":\"%s\"}",
		       ID_JOIN, member->room->name);
	ask(client, request, now);
	flush(client, now);
}

static void speak(struct client *client, uint64_t now)
{
	struct member *member = client->member;
	char text[TEXT_MAX + 1], request[REQUEST_MAX];
	size_t len = make_text(client->load, member->nick, ++member->said, text);

	member->text = hash_text(text, len);
	(void)snprintf(request, sizeof(request),
		       "{\"op\":\"say\",\"id\":%" PRIu64 ",\"room\":\"%s\",\"text\":\"%s\"}",
		       ID_SAY + member->said, member->room->name, text);
	ask(client, request, now);
	flush(client, now);
}

static void rest(struct client *client, uint64_t now)
{
	unsigned think = client->load->think;

	if (client->member->speaks && !client->load->ending)
		client_rest(client, think / 2, think + think / 2, now);
}

/* ---- what it hears ---- */

static const char *take_joined(struct client *client, const json_t *reply)
{
	struct member *member = client->member;
	struct room *room = member->room;

	member->cursor = (uint64_t)json_integer_value(json_object_get(reply, "seq"));
	if (!room->begun) {
		room->begun = true;
		room->base = member->cursor + 1;
		room->newest = member->cursor;
	}
	member->inside = true;
	client_answered(client);
	return NULL;
}

static const char *take_reply(struct client *client, const json_t *reply, json_int_t id,
			      uint64_t now)
{
	struct member *member = client->member;
	uint64_t seq = (uint64_t)json_integer_value(json_object_get(reply, "seq"));

	if (!json_is_true(json_object_get(reply, "ok")))
		return "a request was refused";
	if (id == ID_HELLO)
		return NULL;
	if (id == ID_JOIN) {
		rest(client, now);
		return take_joined(client, reply);
	}
	if (member->acknowledged == member->said || (uint64_t)id != ID_SAY + member->said)
		return "a reply to what was not asked";
	member->acknowledged++;
	client->load->tallies[KIND_ROOM].said++;
	client_heard(client, now);
	rest(client, now);
	return note(member->room, seq, member->text, now) ? NULL
							  : "its message has another's number";
}

static const char *take_message(struct client *client, const json_t *event, uint64_t now)
{
	struct load *load = client->load;
	struct member *member = client->member;
	const char *text = json_string_value(json_object_get(event, "text"));
	const char *from = json_string_value(json_object_get(event, "from"));
	uint64_t seq = (uint64_t)json_integer_value(json_object_get(event, "seq"));
	char nick[NICK_MAX], wanted[TEXT_MAX + 1];
	size_t len;

	if (!member->inside || !text || !from)
		return "a strange message";
	if (seq != member->cursor + 1)
		return seq <= member->cursor ? "a message twice" : "a message is missing";
	len = strcspn(text, " ");
	if (len >= NICK_MAX)
		return "a strange text";
	memcpy(nick, text, len);
	nick[len] = 0;
	if (has_nicks(load) && strcmp(nick, from) != 0)
		return "a message of somebody else's";
	len = make_text(load, nick, strtoull(text + len, NULL, 10), wanted);
	if (strcmp(text, wanted) != 0)
		return "a message with a wrong text";
	if (!note(member->room, seq, hash_text(wanted, len), now))
		return "a message with another's number";
	member->cursor = seq;
	load->tallies[KIND_ROOM].messages++;
	report_silence(load, KIND_ROOM, client->index,
		       member->room->notes[seq - member->room->base].when, now);
	return NULL;
}

/* Whether who leaves is one of these clients, whose nicks begin alike. */
static bool is_ours(const struct client *client, const json_t *event)
{
	const char *nick = json_string_value(json_object_get(event, "nick"));
	const char *mine = client->member->nick;

	return nick && strncmp(nick, mine, strcspn(mine, "-") + 1) == 0;
}

/* Returns what is wrong with it, or NULL. */
static const char *take(struct client *client, struct bytes body, uint64_t now)
{
	json_t *object = json_loadb((const char *)body.data, body.len, 0, NULL);
	const json_t *id = json_object_get(object, "id");
	const char *event = json_string_value(json_object_get(object, "event"));
	const char *wrong = NULL;

	if (json_is_integer(id))
		wrong = take_reply(client, object, json_integer_value(id), now);
	else if (!event)
		wrong = "no object";
	else if (strcmp(event, "message") == 0)
		wrong = take_message(client, object, now);
	else if (strcmp(event, "leave") == 0)
		client->load->tallies[KIND_ROOM].left += is_ours(client, object);
	else if (strcmp(event, "join") != 0)
		wrong = "a strange event";
	json_decref(object);
	return wrong;
}

static void not_right(struct client *client, const char *wrong, struct bytes body, uint64_t now)
{
	char why[256];

	(void)snprintf(why, sizeof(why), "%s, after number %" PRIu64 ": %.*s", wrong,
		       client->member->cursor, (int)MIN(body.len, (size_t)160),
		       (const char *)body.data);
	client_wrong(client, why, now);
}

static void take_all(struct client *client, uint64_t now)
{
	static const struct frame_rules rules = {.framing = FRAMING_LENGTH, .max_message = 1 << 20};
	struct member *member = client->member;
	struct frame frame;
	size_t done = 0;

	while (client->phase == PHASE_OPEN && done < member->in.len) {
		struct bytes input = {member->in.data + done, member->in.len - done};
		enum frame_cut cut = frame_cut(&rules, input, false, &member->scanned, &frame);
		const char *wrong = NULL;

		if (cut == FRAME_MORE)
			break;
		if (cut != FRAME_MESSAGE) {
			not_right(client, "no message", input, now);
			return;
		}
		wrong = take(client, frame.body, now);
		if (wrong) {
			not_right(client, wrong, frame.body, now);
			return;
		}
		done += frame.size;
	}
	buffer_consume(&member->in, done);
}

static void hear(struct client *client, uint64_t now)
{
	struct load *load = client->load;
	ssize_t n = recv(client->fd, load->in, SCRATCH, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_lost(client, n == 0 ? "ended" : strerror(errno), now);
		return;
	}
	load->tallies[KIND_ROOM].received += (size_t)n;
	if (!client->member->inside)
		client_heard(client, now);
	if (buffer_append(&client->member->in, load->in, (size_t)n) < 0) {
		client_lost(client, "no memory for what it hears", now);
		return;
	}
	take_all(client, now);
}

static void turn(struct client *client, uint32_t events, uint64_t now)
{
	if (events & ~(uint32_t)EPOLLOUT)
		hear(client, now);
	if (client->phase == PHASE_OPEN)
		flush(client, now);
}

static void wake(struct client *client, uint64_t now)
{
	if (!client->load->ready)
		rest(client, now); /* nobody joins in the middle of a talk */
	else if (!client->load->ending)
		speak(client, now);
}

static void finish(struct client *client, uint64_t now)
{
	client_settle(client, client->blocked, now);
}

static bool owed(const struct client *client)
{
	const struct member *member = client->member;

	return !member->inside || member->acknowledged < member->said;
}

/* At the end everybody has to have heard what anybody knows of. */
static bool complete(const struct client *client)
{
	const struct member *member = client->member;

	return !owed(client) && member->cursor >= member->room->newest;
}

const struct manner room_manner = {
	.open = open_member,
	.turn = turn,
	.wake = wake,
	.finish = finish,
	.owed = owed,
	.complete = complete,
};
