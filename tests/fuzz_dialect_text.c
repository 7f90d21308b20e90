/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The text dialect with any lines, each replied to in one way or another, and told to others as an
 * event: what is written is lines of printable text, each beginning as its kind does, and a request
 * is one that the service understands. The first byte of a line says how the reply turns out.
 */

#include <stdint.h>
#include <stdio.h>

#include "dialect.h"
#include "fuzz.h"
#include "text.h"
#include "util.h"

enum { WAITING_MAX = 4 };

/* A connection, and requests of it that wait for their replies. */
struct talk {
	struct dialect_state state;
	struct buffer written;
	struct dialect_out out;
	struct chat_request *waiting[WAITING_MAX];
	uint8_t outcomes[WAITING_MAX];
	size_t n_waiting;
};

/* Nothing that a terminal obeys: neither as a byte nor as a character. */
static void require_harmless(const uint8_t *text, size_t len)
{
	require(text_valid_prefix(text, len) == len);
	for (size_t i = 0; i < len; i++) {
		require((text[i] >= ' ' && text[i] != 0x7F) || text[i] == '\n' || text[i] == '\t');
		require(text[i] != 0xC2 || text[i + 1] >= 0xA0);
	}
}

static bool begins_well(const uint8_t *line, size_t len)
{
	return line[0] == '[' || (line[0] >= '1' && line[0] <= '9') ||
	       (len >= 2 && (line[0] == '*' || line[0] == '!') && line[1] == ' ');
}

static void check_written(struct talk *talk)
{
	const uint8_t *line = talk->written.data;
	size_t left = talk->written.len;

	require_harmless(line, left);
	require(left == 0 || line[left - 1] == '\n');
	while (left > 0) {
		const uint8_t *end = memchr(line, '\n', left);
		const size_t size = end ? (size_t)(end - line) + 1 : left;

		require(begins_well(line, size));
		line += size;
		left -= size;
	}
	talk->written.len = 0;
}

static void check_request(const struct chat_request *request)
{
	require(!request->error == !request->complaint);
	if (request->error)
		return;
	require((int)request->op < CHAT_OPS);
	require(!request->text || strlen(request->text) == request->text_len);
	require(request->op != CHAT_SAY || (request->room && *request->room && request->text));
	require(request->op != CHAT_JOIN || *request->room);
	require(request->op != CHAT_HELLO || *request->nick);
	require(!(request->has & CHAT_HAS_LIMIT) ||
		(request->limit >= 1 && request->limit <= CHAT_HISTORY_MAX));
}

/* Answers the request that has waited for the longest. */
static void answer(struct talk *talk)
{
	struct chat_request *request = talk->waiting[0];
	const uint8_t outcome = talk->outcomes[0];
	const struct chat_message message = {
		.from = request->room, .text = request->text, .text_len = request->text_len};
	const struct chat_member member = {.nick = request->room, .user = request->nick};
	const struct chat_room room = {.room = request->room, .topic = request->text};
	const struct chat_reply reply = {
		.op = request->op,
		.error = request->error ? request->error
			 : outcome & 1	? (enum chat_error)(1 + outcome % (CHAT_ERRORS - 1))
					: CHAT_OK,
		.message = request->error ? request->complaint : request->room,
		.room = outcome & 2 ? request->room : NULL,
		.nick = request->nick,
		.topic = request->text,
		.n_members = outcome,
		.members = &member,
		.members_len = request->room ? 1 : 0,
		.rooms = &room,
		.rooms_len = request->room ? 1 : 0,
		.messages = &message,
		.messages_len = request->room && request->text ? 1 : 0,
	};

	require(dialect_text.reply(&talk->state, request, &reply, &talk->out) == 0);
	check_written(talk);
	free(request);
	talk->n_waiting--;
	memmove(talk->waiting, talk->waiting + 1, talk->n_waiting * sizeof(talk->waiting[0]));
	memmove(talk->outcomes, talk->outcomes + 1, talk->n_waiting);
	require(talk->n_waiting > 0 || (talk->state.joins == 0 && !talk->state.previous));
}

/* Tells others what somebody did with this line. */
static void tell(struct talk *talk, const char *text, size_t len, enum chat_event_kind kind)
{
	const struct chat_event event = {
		.kind = kind,
		.room = text,
		.message = {.from = text, .text = text, .text_len = len},
		.nick = text,
		.text = text,
		.reason = text,
		.first = 1,
		.last = len,
	};

	require(dialect_text.event(&event, &talk->out) == 0);
	check_written(talk);
}

static void take_line(struct talk *talk, struct bytes line, uint8_t outcome)
{
	CLEANUP(freep) char *text = calloc(1, line.len + 1);
	struct chat_request *request;

	require(text);
	memcpy(text, line.data, line.len);
	tell(talk, text, strlen(text), (enum chat_event_kind)(outcome % CHAT_EVENTS));

	require(dialect_text.request(&talk->state, line, &talk->out, &request) == 0);
	check_written(talk);
	if (!request)
		return;
	check_request(request);
	talk->waiting[talk->n_waiting] = request;
	talk->outcomes[talk->n_waiting++] = outcome;
	if (talk->n_waiting == WAITING_MAX || outcome & 4)
		answer(talk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk talk = {.out.framing = FRAMING_LINE};

	talk.out.buffer = &talk.written;
	while (size > 0) {
		const uint8_t *end = memchr(data + 1, '\n', size - 1);
		const size_t len = end ? (size_t)(end - data - 1) : size - 1;

		/* Nobody writes to a line, whatever the type of its window. */
		take_line(&talk, (struct bytes){(uint8_t *)data + 1, len}, data[0]);
		data += end ? len + 2 : size;
		size -= end ? len + 2 : size;
	}
	while (talk.n_waiting > 0)
		answer(&talk);
	dialect_state_done(&talk.state);
	buffer_done(&talk.written);
	return 0;
}
