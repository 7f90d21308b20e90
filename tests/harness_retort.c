/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_retort.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

void play_listen(struct play *play)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", play->directory);
	(void)unlink(un.sun_path);
	play->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(play->listener, 0);
	ck_assert_int_eq(bind(play->listener, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(play->listener, 8), 0);
}

void play_begin(struct play *play)
{
	*play = (struct play){.fd = -1};
	(void)snprintf(play->directory, sizeof(play->directory), "%s/play-XXXXXX",
		       getenv("RETORT_TEST_DIRECTORY"));
	ck_assert_ptr_nonnull(mkdtemp(play->directory));
	(void)snprintf(play->address, sizeof(play->address), "unix:%s/sock", play->directory);
	play_listen(play);
	ck_assert_int_eq(retort_new(play->address, &play->retort, NULL), 0);
	ck_assert_int_eq(retort_set_nick(play->retort, "anna"), 0);
}

void play_begin_guest(struct play *play)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	play_begin(play);
	closep(&play->listener);
	play->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(play->listener, (struct sockaddr *)&in, len), 0);
	ck_assert_int_eq(listen(play->listener, 8), 0);
	ck_assert_int_eq(getsockname(play->listener, (struct sockaddr *)&in, &len), 0);
	retort_free(play->retort);
	(void)snprintf(play->address, sizeof(play->address), "tcp://localhost:%u",
		       ntohs(in.sin_port));
	ck_assert_int_eq(retort_new(play->address, &play->retort, NULL), 0);
}

void play_end(struct play *play)
{
	retort_free(play->retort);
	closep(&play->listener);
	closep(&play->fd);
	buffer_done(&play->frame);
	free(play->request);
	directory_remove(play->directory);
}

/* ---- The server ---- */

/* Lets the client go on, and waits until fd is readable. */
static void until_readable(struct play *play, int fd)
{
	const uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}};

	for (;;) {
		int wait;

		(void)retort_process(play->retort);
		fds[1] = (struct pollfd){retort_fd(play->retort), retort_events(play->retort), 0};
		wait = retort_timeout(play->retort);
		ck_assert_int_ge(poll(fds, 2, wait < 0 || wait > SOON ? SOON : wait), 0);
		if (fds[0].revents)
			return;
		ck_assert_msg(harness_now() < deadline, "the client does nothing");
	}
}

void play_serve(struct play *play)
{
	closep(&play->fd);
	play->fd = -1;
	until_readable(play, play->listener);
	play->fd = accept4(play->listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(play->fd, 0);
}

static void read_exactly(struct play *play, void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n;

		until_readable(play, play->fd);
		n = recv(play->fd, (char *)data + done, len - done, 0);
		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
}

void play_get(struct play *play, enum chat_op op)
{
	char header[FRAME_HEADER + 1] = "";
	struct buffer *frame = &play->frame;

	read_exactly(play, header, FRAME_HEADER);
	frame->len = 0;
	ck_assert_int_eq(buffer_reserve(frame, strtoul(header, NULL, 10) + 1), 0);
	frame->len = strtoul(header, NULL, 10);
	read_exactly(play, frame->data, frame->len);
	free(STEAL(play->request));
	ck_assert_int_eq(
		object_read_request((struct bytes){frame->data, frame->len}, &play->request), 0);
	ck_assert_msg(!play->request->error, "%s", play->request->complaint);
	ck_assert_str_eq(chat_op_name(play->request->op), chat_op_name(op));
}

/* Makes a frame; %I is replaced by the id of the last request. */
static PRINTF(4, 0) size_t compose(const struct play *play, char *frame, size_t size,
				   const char *format, va_list arguments)
{
	char text[4096], *id;
	size_t len;

	len = (size_t)vsnprintf(text, sizeof(text), format, arguments);
	ck_assert_uint_lt(len, sizeof(text));
	id = strstr(text, "$ID");
	if (id) {
		char rest[4096];

		strcpy(rest, id + 3);
		(void)snprintf(id, (size_t)(text + sizeof(text) - id), "%s%s", play->request->id,
			       rest);
		len = strlen(text);
	}
	ck_assert_uint_lt(len + FRAME_HEADER, size);
	frame_header((uint8_t *)frame, len);
	memcpy(frame + FRAME_HEADER, text, len);
	return len + FRAME_HEADER;
}

void play_put(struct play *play, const char *format, ...)
{
	char frame[8192];
	va_list arguments;
	size_t len;

	va_start(arguments, format);
	len = compose(play, frame, sizeof(frame), format, arguments);
	va_end(arguments);
	send_all(play->fd, frame, len);
}

void play_refuse(struct play *play, const char *token)
{
	play_put(play, "{\"id\":$ID,\"ok\":false,\"error\":\"%s\",\"message\":\"no, %s\"}", token,
		 token);
}

void play_say(struct play *play, const char *room, unsigned seq)
{
	play_put(play,
		 "{\"event\":\"message\",\"room\":\"%s\",\"seq\":%u,\"time\":\"2026-11-22T15:04:05."
		 "678Z\",\"from\":\"bob\",\"text\":\"number %u\"}",
		 room, seq, seq);
}

/* Accepts, and is polite. */
static void serve_hello(struct play *play, const char *nick)
{
	play_serve(play);
	play_get(play, CHAT_HELLO);
	play_put(play,
		 REPLY_OK
		 ",\"nick\":\"%s\",\"user\":null,\"server\":\"retortd\",\"version\":\"1\"}",
		 nick);
}

void play_lose(struct play *play)
{
	closep(&play->fd);
	play->fd = -1;
}

/* ---- The client ---- */

/* Takes the next event, which is of this kind. */
const struct retort_event *play_take(struct play *play, enum retort_event_kind kind)
{
	const int r = retort_next(play->retort, harness_patience(), &play->event);

	ck_assert_msg(r == 1, "no event: %d, %s", r, retort_problem(play->retort));
	ck_assert_msg(play->event.kind == kind, "event %d in place of %d: %s", play->event.kind,
		      kind, play->event.text ?: play->event.json ?: "");
	return &play->event;
}

const struct retort_reply *play_take_reply(struct play *play, uint64_t cookie, int status)
{
	const struct retort_reply *reply = play_take(play, RETORT_REPLY)->reply;

	ck_assert_uint_eq(reply->cookie, cookie);
	ck_assert_msg(reply->status == status, "status %d in place of %d: %s", reply->status,
		      status, reply->message ?: "");
	return reply;
}

void play_take_message(struct play *play, const char *room, unsigned seq)
{
	const struct retort_event *event = play_take(play, RETORT_MESSAGE);
	char text[32];

	(void)snprintf(text, sizeof(text), "number %u", seq);
	ck_assert_str_eq(event->room, room);
	ck_assert_uint_eq(event->message->seq, seq);
	ck_assert_str_eq(event->message->text, text);
	ck_assert_uint_eq(event->message->text_len, strlen(text));
	ck_assert_str_eq(event->message->from, "bob");
	ck_assert_ptr_null(event->message->user);
	ck_assert_uint_eq(event->message->time % 1000, 678);
}

void play_take_nothing(struct play *play)
{
	struct retort_event event;
	int r = retort_next(play->retort, 0, &event);

	ck_assert_msg(r == 0, "%d, event %d: %s", r, event.kind, event.json ?: event.text ?: "");
}

/* It was given up: all events are taken, and this is why. */
void play_take_failure(struct play *play, int failure)
{
	const struct retort_event *event = play_take(play, RETORT_DISCONNECTED);
	struct retort_event none;

	ck_assert_int_eq(event->retry, -1);
	for (int i = 0; i < 2; i++) {
		int r = retort_next(play->retort, harness_patience(), &none);

		ck_assert_msg(r == failure, "%d in place of %d: %s", r, failure,
			      retort_problem(play->retort));
	}
}

uint64_t play_ask(struct play *play, struct retort_request request)
{
	uint64_t cookie = 0;

	ck_assert_int_eq(retort_submit(play->retort, &request, &cookie), 0);
	ck_assert_uint_ne(cookie, 0);
	return cookie;
}

uint64_t play_ask_join(struct play *play, const char *room)
{
	return play_ask(play, (struct retort_request){.op = RETORT_OP_JOIN, .room = room});
}

uint64_t play_ask_join_since(struct play *play, const char *room, uint64_t since)
{
	return play_ask(play, (struct retort_request){.op = RETORT_OP_JOIN,
						      .has = RETORT_HAS_SINCE,
						      .room = room,
						      .since = since});
}

uint64_t play_ask_leave(struct play *play, const char *room)
{
	return play_ask(play, (struct retort_request){.op = RETORT_OP_LEAVE, .room = room});
}

uint64_t play_ask_say(struct play *play, const char *room, const char *text)
{
	return play_ask(play,
			(struct retort_request){.op = RETORT_OP_SAY, .room = room, .text = text});
}

/* ---- Both ---- */

void play_connect(struct play *play, const char *nick)
{
	serve_hello(play, nick);
	play_take(play, RETORT_CONNECTED);
}

/* The server gets a join and says how far the room is. */
void play_get_join(struct play *play, const char *room, int since, unsigned seq)
{
	play_get(play, CHAT_JOIN);
	ck_assert_str_eq(play->request->room, room);
	if (since < 0)
		ck_assert_uint_eq(play->request->has & CHAT_HAS_SINCE, 0);
	else
		ck_assert_uint_eq(play->request->has & CHAT_HAS_SINCE, CHAT_HAS_SINCE);
	if (since >= 0)
		ck_assert_uint_eq(play->request->since, (unsigned)since);
	play_put(play,
		 REPLY_OK ",\"room\":\"%s\",\"seq\":%u,\"oldest\":1,\"members\":2,\"topic\":\"t\"}",
		 room, seq);
}

void play_join(struct play *play, const char *room, unsigned seq)
{
	const uint64_t cookie = play_ask_join(play, room);
	const struct retort_reply *reply;

	play_get_join(play, room, -1, seq);
	reply = play_take_reply(play, cookie, 0);
	ck_assert_uint_eq(reply->seq, seq);
	ck_assert_uint_eq(reply->n_members, 2);
	ck_assert_str_eq(reply->topic, "t");
}

void play_lose_and_notice(struct play *play)
{
	play_lose(play);
	ck_assert_int_ge(play_take(play, RETORT_DISCONNECTED)->retry, 0);
}

void play_come_back(struct play *play, const char *nick)
{
	play_serve(play);
	play_get(play, CHAT_HELLO);
	play_put(play, REPLY_OK ",\"nick\":\"%s\",\"user\":null}", nick);
}

uint64_t play_seen(struct play *play, const char *room)
{
	uint64_t seq = UINT64_MAX;

	ck_assert_int_eq(retort_seen(play->retort, room, &seq), 0);
	return seq;
}
