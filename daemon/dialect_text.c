/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The text dialect, for a person at nc or telnet: a line is said in the current room, or is a
 * command; what comes is lines, too.
 *
 * The current room changes as soon as a join is asked for, so that the lines that a person, or a
 * pipe, sends right behind it are said there; when the join is refused it changes back.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dialect.h"
#include "names.h"
#include "text.h"
#include "text_line.h"
#include "util.h"

enum {
	COMPLAINT_MAX = 160,
	SHOWN_MAX = 32, /* bytes of an unknown command that a complaint repeats */
};

/* Requests. */

/* A request in the making. */
struct asking {
	struct dialect_state *state;
	struct dialect_out *out;
	struct chat_request *request;
	char *rest;	 /* of the line, behind the command; in the request's memory */
	char *room;	 /* the current room, or NULL; likewise */
	char *complaint; /* COMPLAINT_MAX bytes; likewise */
	bool answered;	 /* there is nothing to be asked for */
};

static PRINTF(3, 4) int complain(struct asking *asking, enum chat_error error, const char *format,
				 ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(asking->complaint, COMPLAINT_MAX, format, arguments);
	va_end(arguments);
	asking->request->error = error;
	asking->request->complaint = asking->complaint;
	return 0;
}

/* Asks for op in this room, or complains when it is none. */
static int ask_in(struct asking *asking, enum chat_op op, const char *room)
{
	asking->request->op = op;
	asking->request->room = room;
	if (!room)
		return complain(asking, CHAT_NOT_MEMBER, "you are in no room; /join ROOM");
	return 0;
}

static int ask_say(struct asking *asking, const char *room, const char *text)
{
	asking->request->text = text;
	asking->request->text_len = strlen(text);
	return ask_in(asking, CHAT_SAY, room);
}

static int ask_nick(struct asking *asking)
{
	if (!*asking->rest)
		return complain(asking, CHAT_BAD_REQUEST, "which name? /nick NAME");
	asking->request->op = CHAT_HELLO;
	asking->request->nick = asking->rest;
	return 0;
}

static int ask_join(struct asking *asking)
{
	struct dialect_state *state = asking->state;
	char *room;

	if (!*asking->rest)
		return complain(asking, CHAT_BAD_REQUEST, "which room? /join ROOM");
	room = strdup(asking->rest);
	if (!room)
		return -ENOMEM;
	if (state->joins++ == 0)
		state->previous = STEAL(state->room);
	free(state->room);
	state->room = room;
	return ask_in(asking, CHAT_JOIN, asking->rest);
}

static int ask_leave(struct asking *asking)
{
	return ask_in(asking, CHAT_LEAVE, *asking->rest ? asking->rest : asking->room);
}

static int ask_rooms(struct asking *asking)
{
	asking->request->op = CHAT_ROOMS;
	return 0;
}

static int ask_who(struct asking *asking)
{
	asking->request->op = CHAT_WHO;
	asking->request->room = *asking->rest ? asking->rest : asking->room;
	return 0;
}

static int ask_message(struct asking *asking)
{
	char *nick = asking->rest, *text = nick + strcspn(nick, " \t");

	if (!*text)
		return complain(asking, CHAT_BAD_REQUEST, "to whom, and what? /msg NICK TEXT");
	*text++ = '\0';
	text += strspn(text, " \t");
	/* In front of it lies the space that ended the command. */
	*--nick = '@';
	return ask_say(asking, nick, text);
}

static int ask_history(struct asking *asking)
{
	struct chat_request *request = asking->request;
	const char *p = asking->rest;

	if (*p) {
		for (; *p >= '0' && *p <= '9' && request->limit <= CHAT_HISTORY_MAX; p++)
			request->limit = request->limit * 10 + (uint64_t)(*p - '0');
		if (*p || request->limit < 1 || request->limit > CHAT_HISTORY_MAX)
			return complain(asking, CHAT_BAD_REQUEST,
					"how many? /history N, from 1 to %d", CHAT_HISTORY_MAX);
		request->has |= CHAT_HAS_LIMIT;
	}
	return ask_in(asking, CHAT_HISTORY, asking->room);
}

/* To show a topic, its room is looked up in the list of rooms: see put_rooms(). */
static int ask_topic(struct asking *asking)
{
	if (!*asking->rest)
		return ask_in(asking, CHAT_ROOMS, asking->room);
	asking->request->text = asking->rest;
	asking->request->text_len = strlen(asking->rest);
	return ask_in(asking, CHAT_TOPIC, asking->room);
}

static int ask_quit(struct asking *asking)
{
	asking->state->quits = true;
	asking->answered = true;
	return 0;
}

static int ask_help(struct asking *asking);

static const struct command {
	const char *name, *arguments, *meaning;
	int (*ask)(struct asking *asking);
} commands[] = {
	{"help", "", "this list", ask_help},
	{"nick", " NAME", "be called so", ask_nick},
	{"join", " ROOM", "take part in a room; what you type is said there", ask_join},
	{"leave", " [ROOM]", "take part no longer", ask_leave},
	{"rooms", "", "which rooms there are", ask_rooms},
	{"who", " [ROOM]", "who is there", ask_who},
	{"msg", " NICK TEXT", "say something to one person", ask_message},
	{"history", " [N]", "the last N messages of this room", ask_history},
	{"topic", " [TEXT]", "what this room is about", ask_topic},
	{"quit", "", "go", ask_quit},
};

static int ask_help(struct asking *asking)
{
	int r = 0;

	asking->answered = true;
	for (size_t i = 0; i < ARRAY_SIZE(commands) && r == 0; i++)
		r = text_line_put(asking->out, "* /%s%s: %s", commands[i].name,
				  commands[i].arguments, commands[i].meaning);
	if (r == 0)
		r = text_line_put(asking->out, "* //TEXT: say /TEXT");
	return r;
}

/* Obeys a line that begins with a slash, of len bytes. */
static int ask_command(struct asking *asking, char *line, size_t len)
{
	size_t name_len = strcspn(line, " \t");

	while (len > name_len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		line[--len] = '\0';
	asking->rest = line + name_len + strspn(line + name_len, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strlen(commands[i].name) == name_len - 1 &&
		    memcmp(commands[i].name, line + 1, name_len - 1) == 0)
			return commands[i].ask(asking);

	name_len = MIN(name_len, (size_t)SHOWN_MAX);
	name_len -= text_cut_suffix((const uint8_t *)line, name_len);
	line[name_len] = '\0';
	return complain(asking, CHAT_UNKNOWN_OP, "there is no command \"%s\"; /help lists them",
			line);
}

/* Obeys a line that ends in NUL; message is the same line. */
static int ask(struct asking *asking, struct bytes message, char *line)
{
	if (memchr(message.data, '\0', message.len))
		return complain(asking, CHAT_BAD_REQUEST, "a line cannot hold NUL");
	if (text_valid_prefix(message.data, message.len) < message.len)
		return complain(asking, CHAT_BAD_REQUEST, "this line is not valid UTF-8");
	if (line[0] != '/')
		return ask_say(asking, asking->room, line);
	if (line[1] == '/')
		return ask_say(asking, asking->room, line + 1);
	return ask_command(asking, line, message.len);
}

static bool is_blank(struct bytes message)
{
	size_t i = 0;

	while (i < message.len && (message.data[i] == ' ' || message.data[i] == '\t'))
		i++;
	return i == message.len;
}

static int request(struct dialect_state *state, struct bytes message, struct dialect_out *out,
		   struct chat_request **ret_request)
{
	const size_t room_size = state->room ? strlen(state->room) + 1 : 0;
	CLEANUP(freep) struct chat_request *request = NULL;
	struct asking asking;
	char *line;
	int r;

	if (is_blank(message)) {
		*ret_request = NULL;
		return 0;
	}
	request = malloc(sizeof(*request) + COMPLAINT_MAX + room_size + message.len + 1);
	if (!request)
		return -ENOMEM;
	*request = (struct chat_request){.op = (enum chat_op)CHAT_OPS};
	asking = (struct asking){
		.state = state,
		.out = out,
		.request = request,
		.complaint = (char *)(request + 1),
	};
	line = asking.complaint + COMPLAINT_MAX + room_size;
	if (state->room)
		asking.room = memcpy(line - room_size, state->room, room_size);
	memcpy(line, message.data, message.len);
	line[message.len] = '\0';

	r = ask(&asking, message, line);
	if (r < 0)
		return r;
	*ret_request = asking.answered ? NULL : STEAL(request);
	return 0;
}

/* Replies. */

static bool same_room(const char *one, const char *other)
{
	CLEANUP(freep) char *folded = NULL, *other_folded = NULL;

	if (!one || !other)
		return false;
	if (strcmp(one, other) == 0)
		return true;
	folded = name_fold(one);
	other_folded = name_fold(other);
	return folded && other_folded && strcmp(folded, other_folded) == 0;
}

/* A join is answered: takes the room that is the current one from now on, or will be. */
static int settle_join(struct dialect_state *state, const struct chat_request *request,
		       const struct chat_reply *reply)
{
	if (reply->error == CHAT_OK) {
		char *room = strdup(reply->room ? reply->room : request->room);

		if (!room)
			return -ENOMEM;
		free(state->previous);
		state->previous = room;
	}
	if (--state->joins > 0)
		return 0;
	free(state->room);
	state->room = STEAL(state->previous);
	return 0;
}

/* A room is left: nothing is said there any more. */
static void forget_room(struct dialect_state *state, const char *room)
{
	char **confirmed = state->joins > 0 ? &state->previous : &state->room;

	if (same_room(*confirmed, room)) {
		free(*confirmed);
		*confirmed = NULL;
	}
}

static const char *members(uint64_t n)
{
	return n == 1 ? "member" : "members";
}

static int put_joined(const char *room, const struct chat_reply *reply, struct dialect_out *out)
{
	const bool topic = reply->topic && *reply->topic;

	return text_line_put(out, "* you are in %s, %llu %s%s%s", room,
			     (unsigned long long)reply->n_members, members(reply->n_members),
			     topic ? "; topic: " : "", topic ? reply->topic : "");
}

static int put_history(const char *room, const struct chat_reply *reply, struct dialect_out *out)
{
	char before[CHAT_TIME_SIZE + 1];
	int r = 0;

	if (reply->messages_len == 0)
		return text_line_put(out, "* %s has no messages", room);
	for (size_t i = 0; i < reply->messages_len && r == 0; i++) {
		(void)text_line_time(reply->messages[i].time, before);
		memcpy(before + strlen(before), " ", sizeof(" "));
		r = text_line_message(out, before, room, &reply->messages[i]);
	}
	return r;
}

static int put_who(const struct chat_reply *reply, struct dialect_out *out)
{
	int r = 0;

	if (reply->members_len == 0)
		return text_line_put(out, "* nobody is there");
	for (size_t i = 0; i < reply->members_len && r == 0; i++) {
		const struct chat_member *member = &reply->members[i];
		char since[CHAT_TIME_SIZE];

		r = text_line_put(out, "* %s, %s%s%s%s, since %s", member->nick,
				  member->user ? "user " : "guest",
				  member->user ? member->user : "", member->unit ? ", unit " : "",
				  member->unit ? member->unit : "",
				  text_line_time(member->since, since));
	}
	return r;
}

static int put_topic(const struct chat_room *room, struct dialect_out *out)
{
	if (!room->topic || !*room->topic)
		return text_line_put(out, "* %s has no topic", room->room);
	return text_line_put(out, "* the topic of %s is: %s", room->room, room->topic);
}

/* Lists the rooms; only is the room whose topic alone was asked for, or NULL. */
static int put_rooms(const char *only, const struct chat_reply *reply, struct dialect_out *out)
{
	int r = 0;

	for (size_t i = 0; i < reply->rooms_len && r == 0; i++) {
		const struct chat_room *room = &reply->rooms[i];
		const bool topic = room->topic && *room->topic;

		if (only && same_room(room->room, only))
			return put_topic(room, out);
		if (!only)
			r = text_line_put(out, "* %s, %llu %s%s%s", room->room,
					  (unsigned long long)room->members, members(room->members),
					  topic ? "; topic: " : "", topic ? room->topic : "");
	}
	if (only)
		return text_line_put(out, "! there is no room \"%s\"", only);
	if (reply->rooms_len == 0)
		return text_line_put(out, "* there are no rooms");
	return r;
}

/* Writes what came of a request that was obeyed. Where one hears of it by an event, it is nothing.
 */
static int put_result(struct dialect_state *state, const struct chat_request *request,
		      const struct chat_reply *reply, struct dialect_out *out)
{
	const char *room = reply->room ? reply->room : request->room;

	switch (request->op) {
	case CHAT_HELLO:
		return text_line_put(out, "* you are %s now",
				     reply->nick ? reply->nick : request->nick);
	case CHAT_JOIN:
		return put_joined(room, reply, out);
	case CHAT_LEAVE:
		forget_room(state, room);
		return text_line_put(out, "* you left %s", room);
	case CHAT_HISTORY:
		return put_history(room, reply, out);
	case CHAT_WHO:
		return put_who(reply, out);
	case CHAT_ROOMS:
		return put_rooms(request->room, reply, out);
	default:
		return 0;
	}
}

static int reply(struct dialect_state *state, const struct chat_request *request,
		 const struct chat_reply *reply, struct dialect_out *out)
{
	int r;

	if (request->op == CHAT_JOIN && request->error == CHAT_OK) {
		r = settle_join(state, request, reply);
		if (r < 0)
			return r;
	}
	if (reply->error == CHAT_OK)
		return put_result(state, request, reply, out);
	return text_line_put(out, "! %s",
			     reply->message ? reply->message : chat_error_token(reply->error));
}

/* What nobody asked for. */

static int welcome(struct dialect_state *state, const char *nick, struct dialect_out *out)
{
	(void)state;
	return text_line_put(out, "* you are %s; /help lists what you can do", nick);
}

static int put_gap(const struct chat_event *event, struct dialect_out *out)
{
	if (event->first == event->last)
		return text_line_put(out, "* %s: message %llu is kept no longer", event->room,
				     (unsigned long long)event->first);
	return text_line_put(out, "* %s: messages %llu to %llu are kept no longer", event->room,
			     (unsigned long long)event->first, (unsigned long long)event->last);
}

static int event(const struct chat_event *event, struct dialect_out *out)
{
	const char *reason = event->reason ? event->reason : "";

	switch (event->kind) {
	case CHAT_EVENT_MESSAGE:
		return text_line_message(out, "", event->room, &event->message);
	case CHAT_EVENT_JOIN:
		return text_line_put(out, "* %s joined %s", event->nick, event->room);
	case CHAT_EVENT_LEAVE:
		return text_line_put(out, "* %s left %s%s%s%s", event->nick, event->room,
				     *reason ? " (" : "", reason, *reason ? ")" : "");
	case CHAT_EVENT_TOPIC:
		return text_line_put(out, "* %s set the topic of %s: %s", event->nick, event->room,
				     event->text);
	case CHAT_EVENT_GAP:
		return put_gap(event, out);
	case CHAT_EVENT_CLOSING:
		return text_line_put(out, "* closing%s%s", *reason ? ": " : "", reason);
	}
	return 0;
}

const struct dialect dialect_text = {
	.name = "text",
	.hides_own = true,
	.welcome = welcome,
	.request = request,
	.reply = reply,
	.event = event,
};
