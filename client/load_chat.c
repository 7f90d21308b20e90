/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "object.h"

/*
 * Clients of the chat service, object dialect. To fan out, the first one says and the others only
 * hear: a ring remembers of each message on its way how many have yet to get it. As each member
 * gets all in order, it need know no more than which is due next, and messages are settled in the
 * order in which they were said.
 */

enum { ROOM_NAME_SIZE = LOAD_ROOM_MAX + 32 };

static bool is_fanout(const struct load *load)
{
	return load->setup->kind == LOAD_FANOUT;
}

/* ---- Saying ---- */

static void name_room(const struct load *load, size_t room, char name[static ROOM_NAME_SIZE])
{
	if (load->setup->n_rooms > 1)
		(void)snprintf(name, ROOM_NAME_SIZE, "%s-%zu", load->setup->room, room + 1);
	else
		(void)snprintf(name, ROOM_NAME_SIZE, "%s", load->setup->room);
}

/* Writes what a server that does nothing but forward is to forward: an event, as we would get it.
 */
static int write_event(struct load *load, const char *room, uint64_t number)
{
	const struct buffer *text = &load->chat.text;
	const struct chat_event event = {
		.kind = CHAT_EVENT_MESSAGE,
		.room = room,
		.message = {.seq = number + 1,
			    .from = "speaker",
			    .text = (const char *)text->data,
			    .text_len = text->len},
	};

	return object_write_event(&load->chat.object, &event);
}

static int write_say(struct load *load, const char *room)
{
	const struct buffer *text = &load->chat.text;
	const struct chat_request request = {
		.op = CHAT_SAY,
		.room = room,
		.text = (const char *)text->data,
		.text_len = text->len,
	};

	return object_write_request(&load->chat.object, &request);
}

/* Appends what a client says as its message of this number, in its frame. 0 or -ENOMEM. */
static int append_message(struct load *load, size_t client, size_t room, uint64_t number,
			  struct buffer *to)
{
	struct buffer *object = &load->chat.object;
	char name[ROOM_NAME_SIZE];
	int r;

	name_room(load, room, name);
	object->len = 0;
	r = load_chat_text(load, client, number);
	if (r == 0)
		r = load->setup->bare ? write_event(load, name, number) : write_say(load, name);
	if (r == 0)
		r = frame_append(to, FRAMING_LENGTH, LINE_END_LF, object->data, object->len);
	return r;
}

static int send_unsent(struct load *load, struct load_client *client)
{
	struct load_talk *talk = &client->talk;
	struct buffer *out = &talk->out;
	ssize_t n;
	int r;

	if (talk->out_sent < out->len) {
		n = send(client->fd, out->data + talk->out_sent, out->len - talk->out_sent,
			 MSG_NOSIGNAL);
		/* Having closed, the server has perhaps said why; that is read first. */
		if (n < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET)
			return load_failed(load, -errno);
		if (n > 0)
			talk->out_sent += (size_t)n;
		/* Where much is in flight, there may always be something unsent. */
		if (talk->out_sent >= out->len - talk->out_sent) {
			buffer_consume(out, talk->out_sent);
			talk->out_sent = 0;
		}
	}
	if (client->writable_wanted == (out->len > 0))
		return STATUS_GO_ON;
	r = load_want_writable(load, client, out->len > 0);
	return r < 0 ? load_failed(load, r) : STATUS_GO_ON;
}

/* Notes that a message leaves: everybody is to get it, and a server that is not bare replies. */
static void note_said(struct load *load, uint64_t now)
{
	struct load_chat *chat = &load->chat;

	chat->ring[chat->next] = (struct load_spread){
		.said_at = now,
		.owed = load->setup->n_clients + !load->setup->bare,
	};
	if (++chat->next == load->setup->workload.in_flight)
		chat->next = 0;
}

/* Says n more messages. */
static int say_more(struct load *load, struct load_client *client, uint32_t n, uint64_t now)
{
	struct load_talk *talk = &client->talk;
	const struct buffer *prepared = load->chat.says ? &load->chat.says[talk->room] : NULL;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		if (prepared)
			r = buffer_append(&talk->out, prepared->data, prepared->len);
		else
			r = append_message(load, (size_t)(client - load->clients), talk->room,
					   talk->said, &talk->out);
		talk->said++;
		if (is_fanout(load))
			note_said(load, now);
	}
	if (r < 0)
		return out_of_memory();
	if (is_fanout(load))
		load->in_flight += n;
	else
		load_book_sent(load, client, n, now);
	return send_unsent(load, client);
}

int load_chat_join(struct load *load, struct load_client *client)
{
	struct buffer *object = &load->chat.object;
	struct chat_request request = {.op = CHAT_JOIN};
	char name[ROOM_NAME_SIZE];
	int r;

	name_room(load, client->talk.room, name);
	request.room = name;
	object->len = 0;
	r = object_write_request(object, &request);
	if (r == 0)
		r = frame_append(&client->talk.out, FRAMING_LENGTH, LINE_END_LF, object->data,
				 object->len);
	if (r < 0)
		return out_of_memory();
	load->in_flight++;
	return send_unsent(load, client);
}

int load_chat_start(struct load *load, struct load_client *client)
{
	if (is_fanout(load) && client != load->clients)
		return STATUS_GO_ON;
	return say_more(load, client, (uint32_t)load->setup->workload.in_flight, clock_now());
}

/* ---- Hearing ---- */

/* Takes one off what is owed of each of the n messages from *due on in the ring. */
static void settle(struct load *load, uint32_t *due, uint64_t n, uint64_t now)
{
	struct load_chat *chat = &load->chat;

	for (; n > 0; n--) {
		struct load_spread *message = &chat->ring[*due];

		if (++*due == load->setup->workload.in_flight)
			*due = 0;
		if (--message->owed > 0)
			continue;
		load_count(load, now, message->said_at, 1);
		load->in_flight--;
		chat->settled++;
	}
}

static int take_fanout(struct load *load, struct load_client *client,
		       const struct load_heard *heard, uint64_t now)
{
	struct load_client *speaker = load->clients;
	struct load_talk *talk = &client->talk;
	uint32_t more;

	if (heard->messages > speaker->talk.said - talk->heard)
		return load_wrong(load, "more messages come than were said; does somebody else "
					"speak in the room?");
	if (heard->replies > (client == speaker ? talk->said - talk->replies : 0))
		return load_wrong(load, "more replies come than there were requests");
	talk->heard += heard->messages;
	talk->replies += heard->replies;
	settle(load, &talk->due, heard->messages, now);
	settle(load, &talk->reply_due, heard->replies, now);
	more = load->chat.settled;
	load->chat.settled = 0;
	return more > 0 && !load->draining ? say_more(load, speaker, more, now) : STATUS_GO_ON;
}

static int take_replies(struct load *load, struct load_client *client, uint64_t n, uint64_t now)
{
	if (n > client->in_flight)
		return load_wrong(load, "more replies come than there were requests");
	load_book_answers(load, client, n, now);
	return n > 0 && !load->draining ? say_more(load, client, (uint32_t)n, now) : STATUS_GO_ON;
}

static int take_joined(struct load *load, struct load_client *client, uint64_t n)
{
	if (n > !client->talk.joined)
		return load_wrong(load, "more replies come than there were requests");
	client->talk.joined |= n > 0;
	load->in_flight -= n;
	return STATUS_GO_ON;
}

static int take(struct load *load, struct load_client *client, size_t len, uint64_t now)
{
	struct load_heard heard;
	int status;

	status = load_hear(load, client, load->buffer, len, &heard);
	if (status != STATUS_GO_ON)
		return status;
	load->last_answer = now;
	if (load->chat.joining)
		return take_joined(load, client, heard.replies);
	if (load->measuring) {
		load->result->deliveries += heard.messages;
		load->result->frames += heard.bytes;
	}
	return is_fanout(load) ? take_fanout(load, client, &heard, now)
			       : take_replies(load, client, heard.replies, now);
}

int load_chat_turn(struct load *load, struct load_client *client, uint32_t events)
{
	struct load_talk *talk = &client->talk;
	const size_t held = talk->n_head;
	ssize_t n;
	int status;

	if (!(events & ~(uint32_t)EPOLLOUT))
		return send_unsent(load, client);
	memcpy(load->buffer, talk->head, held);
	n = recv(client->fd, load->buffer + held, LOAD_BUFFER - held, 0);
	if (n < 0)
		return errno == EAGAIN ? STATUS_GO_ON : load_failed(load, -errno);
	if (n == 0) {
		complain("%s: closed a connection", load->setup->target->name);
		return STATUS_NO_CONNECTION;
	}
	talk->n_head = 0;
	status = take(load, client, held + (size_t)n, clock_now());
	if (status != STATUS_GO_ON)
		return status;
	return talk->out.len > 0 && (events & EPOLLOUT) ? send_unsent(load, client) : status;
}

/* ---- Memory ---- */

static int prepare(struct load *load)
{
	const size_t n_rooms = load->setup->n_rooms;
	int r = 0;

	load->chat.says = calloc(n_rooms, sizeof(*load->chat.says));
	if (!load->chat.says)
		return -ENOMEM;
	for (size_t i = 0; i < n_rooms && r == 0; i++)
		r = append_message(load, 0, i, 0, &load->chat.says[i]);
	return r;
}

int load_chat_make(struct load *load)
{
	const struct load_setup *setup = load->setup;

	if (is_fanout(load)) {
		load->chat.ring = calloc(setup->workload.in_flight, sizeof(*load->chat.ring));
		if (!load->chat.ring)
			return -ENOMEM;
	}
	return setup->workload.verify ? 0 : prepare(load);
}

void load_chat_done(struct load *load)
{
	struct load_chat *chat = &load->chat;

	for (size_t i = 0; chat->says && i < load->setup->n_rooms; i++)
		buffer_done(&chat->says[i]);
	free(chat->says);
	free(chat->ring);
	buffer_done(&chat->object);
	buffer_done(&chat->text);
}
