/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Seats of connections over socket pairs, the test being the hub: what is broadcast and what is
 * fetched meet without a gap, a double or a reordering. A message is a line that is its number.
 */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "audience.h"
#include "harness.h"
#include "peer.h"
#include "session_chat.h"

enum { ROOM = 7, SLOT = 3, OTHER_ROOM = 8 };

static const struct settings settings = {
	.framing = FRAMING_LINE,
	.service = SERVICE_CHAT,
	.dialect = DIALECT_OBJECT,
	.max_message = 1 << 20,
	.max_pending = 1 << 20,
	.max_requests = 16,
	.greeting = (char *)"",
};

/* What is of the worker. */
struct room {
	struct peers peers;
	struct audiences audiences;
	struct letters to_hub;
	struct counters counters;
};

struct member {
	struct peer peer;
	int fd; /* the client's */
};

static void room_init(struct room *room)
{
	*room = (struct room){.counters.listener = "test"};
	audiences_init(&room->audiences);
	list_init(&room->peers.all);
	list_init(&room->peers.doomed);
	room->peers.audiences = &room->audiences;
	room->peers.to_hub = &room->to_hub;
	ck_assert_int_eq(loop_new(peer_expired, &room->peers.loop), 0);
	ck_assert_int_eq(workspace_init(&room->peers.workspace, 64 << 10), 0);
}

static void room_done(struct room *room)
{
	audiences_done(&room->audiences);
	workspace_done(&room->peers.workspace);
	loop_free(room->peers.loop);
}

/* Takes the one letter to the hub, or NULL. */
static struct letter *take_letter(struct room *room)
{
	struct letter *letter = room->to_hub.newest;

	ck_assert_ptr_eq(letter, room->to_hub.oldest);
	room->to_hub = (struct letters){0};
	return letter;
}

static void seat(struct room *room, struct member *member, uint64_t number, bool sits,
		 uint64_t cursor, uint64_t newest)
{
	audiences_seat(&room->audiences, &(struct seating){.chat = member->peer.session.chat,
							   .room = number,
							   .slot = SLOT,
							   .sits = sits,
							   .cursor = cursor,
							   .newest = newest});
	session_chat_flush(&room->audiences);
}

/* Connects somebody who has a seat that is owed what is after cursor. */
static void member_init(struct member *member, struct room *room, uint64_t cursor, uint64_t newest)
{
	int fds[2];

	*member = (struct member){0};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
	member->fd = fds[1];
	stream_init(&member->peer.stream, fds[0]);
	member->peer.session = (struct session){.service = &session_chat,
						.settings = &settings,
						.counters = &room->counters,
						.framing = FRAMING_LINE};
	peer_start(&member->peer, &room->peers);
	ck_assert_int_eq(member->peer.state, PEER_SERVING);
	ck_assert_int_eq(take_letter(room)->kind, HUB_OPEN);
	seat(room, member, ROOM, true, cursor, newest);
}

static void member_done(struct member *member, struct room *room)
{
	struct chat *chat = member->peer.session.chat;

	peer_doom(&member->peer, "the test is over");
	list_remove(&member->peer.link);
	peer_done(&member->peer);
	ck_assert(session_chat_gone(&room->audiences, chat));
	room->to_hub = (struct letters){0};
	session_chat_free(chat);
	closep(&member->fd);
}

/* Returns a packet of the messages with these numbers, each as many bytes, its line end included.
 */
static struct packet *lines(uint64_t first, uint64_t last, int size)
{
	struct packet *packet = packet_new((size_t)(last + 1 - first) * (size_t)size + 1);

	ck_assert_ptr_nonnull(packet);
	for (uint64_t i = first; i <= last; i++, packet->len += (size_t)size)
		(void)snprintf((char *)packet->data + packet->len, (size_t)size + 1, "%0*llu\n",
			       size - 1, (unsigned long long)i);
	return packet;
}

static void say(struct room *room, uint64_t first, uint64_t last, int size, bool at_once)
{
	struct broadcast broadcast = {.slot = SLOT, .first = first, .last = last};
	struct packet *packet = lines(first, last, size);

	broadcast.packets[encoding_of(DIALECT_OBJECT, FRAMING_LINE, 0)] = packet;
	audiences_broadcast(&room->audiences, &broadcast, at_once);
	packet_unref(packet);
	session_chat_flush(&room->audiences);
}

/* The client reads all there is: whole messages, from number *next on, one after the other. */
static void read_all(struct member *member, struct room *room, uint64_t *next, int size)
{
	char buffer[65536];
	size_t kept = 0;

	for (;;) {
		ssize_t n = recv(member->fd, buffer + kept, sizeof(buffer) - kept, 0);
		size_t used = 0;

		if (n <= 0 && member->peer.stream.pending == 0)
			break;
		if (n <= 0) {
			ck_assert_int_eq(loop_turn(room->peers.loop), 0);
			continue;
		}
		kept += (size_t)n;
		for (; kept - used >= (size_t)size; used += (size_t)size, ++*next)
			ck_assert_uint_eq(strtoull(buffer + used, NULL, 10), *next);
		kept -= used;
		memmove(buffer, buffer + used, kept);
	}
	ck_assert_uint_eq(kept, 0);
}

/* Answers a fetch from the log, up to newest. */
static void answer(struct room *room, struct fetch *fetch, uint64_t last, uint64_t newest, int size)
{
	fetch->packet = lines(fetch->cursor + 1, last, size);
	fetch->cursor = last;
	fetch->caught_up = last == newest;
	audiences_fetched(&room->audiences, fetch->chat);
	session_chat_flush(&room->audiences);
}

static struct fetch *take_fetch(struct room *room, uint64_t cursor)
{
	struct letter *letter = take_letter(room);

	ck_assert_ptr_nonnull(letter);
	ck_assert_int_eq(letter->kind, HUB_FETCH);
	ck_assert_uint_eq(CONTAINER_OF(letter, struct fetch, letter)->cursor, cursor);
	return CONTAINER_OF(letter, struct fetch, letter);
}

START_TEST(whoever_keeps_up_gets_broadcasts)
{
	struct room room;
	struct member one, two;
	uint64_t next = 6, other = 6;

	room_init(&room);
	member_init(&one, &room, 5, 5);
	member_init(&two, &room, 5, 5);
	for (uint64_t i = 6; i < 40; i += 2)
		say(&room, i, i + 1, 10, i % 4 == 0);
	say(&room, 38, 39, 10, true); /* known already */
	read_all(&one, &room, &next, 10);
	read_all(&two, &room, &other, 10);
	ck_assert_uint_eq(next, 40);
	ck_assert_uint_eq(other, 40);
	ck_assert_ptr_null(take_letter(&room));
	member_done(&one, &room);
	say(&room, 40, 40, 10, true);
	read_all(&two, &room, &other, 10);
	ck_assert_uint_eq(other, 41);
	member_done(&two, &room);
	room_done(&room);
}
END_TEST

START_TEST(whoever_is_behind_is_served_from_the_log)
{
	struct room room;
	struct member member;
	uint64_t next = 4;

	room_init(&room);
	member_init(&member, &room, 3, 10);
	say(&room, 11, 11, 10, true); /* comes by the log, too */
	answer(&room, take_fetch(&room, 3), 6, 11, 10);
	say(&room, 12, 12, 10, true);
	answer(&room, take_fetch(&room, 6), 12, 12, 10);
	ck_assert_ptr_null(take_letter(&room));
	say(&room, 13, 14, 10, true);
	say(&room, 16, 16, 10, true); /* 15 was lost on the way */
	answer(&room, take_fetch(&room, 14), 16, 16, 10);
	say(&room, 16, 18, 10, true); /* partly known */
	answer(&room, take_fetch(&room, 16), 18, 18, 10);
	read_all(&member, &room, &next, 10);
	ck_assert_uint_eq(next, 19);
	member_done(&member, &room);
	room_done(&room);
}
END_TEST

START_TEST(what_has_no_number_comes_at_once)
{
	struct broadcast broadcast = {.slot = SLOT};
	struct packet *packet = lines(1, 1, 10);
	struct room room;
	struct member member;
	char text[64];

	room_init(&room);
	member_init(&member, &room, 3, 10);
	broadcast.packets[encoding_of(DIALECT_OBJECT, FRAMING_LINE, 0)] = packet;
	audiences_broadcast(&room.audiences, &broadcast, true);
	ck_assert_int_eq(recv(member.fd, text, sizeof(text), MSG_DONTWAIT), 10);
	(void)take_fetch(&room, 3); /* and it is as much behind as it was */
	packet_unref(packet);
	member_done(&member, &room);
	room_done(&room);
}
END_TEST

START_TEST(what_was_fetched_for_another_seat_is_not_delivered)
{
	struct room room;
	struct member member;
	struct fetch *fetch;
	uint64_t next = 3;

	room_init(&room);
	member_init(&member, &room, 5, 10);
	fetch = take_fetch(&room, 5);
	seat(&room, &member, ROOM, false, 0, 0);
	seat(&room, &member, ROOM, true, 2, 10);
	ck_assert_ptr_null(take_letter(&room));
	answer(&room, fetch, 10, 10, 10);
	answer(&room, take_fetch(&room, 2), 10, 10, 10);
	read_all(&member, &room, &next, 10);
	ck_assert_uint_eq(next, 11);
	/* Nor for one that is no more. */
	seat(&room, &member, ROOM, false, 0, 0);
	seat(&room, &member, OTHER_ROOM, true, 0, 5);
	fetch = take_fetch(&room, 0);
	seat(&room, &member, OTHER_ROOM, false, 0, 0);
	answer(&room, fetch, 5, 5, 10);
	ck_assert_ptr_null(take_letter(&room));
	read_all(&member, &room, &next, 10);
	ck_assert_uint_eq(next, 11);
	member_done(&member, &room);
	room_done(&room);
}
END_TEST

/* Nothing is made for one client alone while that does not read what is for all. */
static void stall(int size)
{
	struct room room;
	struct member member;
	uint64_t next = 1, newest = 20000;
	struct letter *letter;

	room_init(&room);
	member_init(&member, &room, 0, 0);
	for (uint64_t i = 1; i <= newest; i++)
		say(&room, i, i, size, i % 2 == 0);
	ck_assert(member.peer.session.behind);
	ck_assert_uint_lt(member.peer.stream.pending, settings.max_pending + (unsigned)size);
	ck_assert_ptr_null(take_letter(&room));
	read_all(&member, &room, &next, size);
	ck_assert_uint_lt(next, newest);
	while ((letter = take_letter(&room))) {
		struct fetch *fetch = CONTAINER_OF(letter, struct fetch, letter);

		ck_assert_uint_eq(letter->kind, HUB_FETCH);
		answer(&room, fetch, MIN(fetch->cursor + 1000, newest), newest, size);
		read_all(&member, &room, &next, size);
	}
	ck_assert_uint_eq(next, newest + 1);
	ck_assert(!member.peer.session.behind);
	say(&room, newest + 1, newest + 1, size, true);
	read_all(&member, &room, &next, size);
	ck_assert_uint_eq(next, newest + 2);
	member_done(&member, &room);
	room_done(&room);
}

START_TEST(whoever_does_not_read_is_waited_for)
{
	stall(128);
	stall(4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("audience");

	harness_add(suite, whoever_keeps_up_gets_broadcasts);
	harness_add(suite, whoever_is_behind_is_served_from_the_log);
	harness_add(suite, what_has_no_number_comes_at_once);
	harness_add(suite, what_was_fetched_for_another_seat_is_not_delivered);
	harness_add(suite, whoever_does_not_read_is_waited_for);
	return harness_main(suite);
}
