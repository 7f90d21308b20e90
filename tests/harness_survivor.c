/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_survivor.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *settings;
} listeners[] = {
	[SURVIVOR_RAW] = {"raw", "framing = \"raw\"; transforms = [ \"upper\" ];"},
	[SURVIVOR_LINE] = {"line", "framing = \"line\"; transforms = [ \"upper\" ];"},
	[SURVIVOR_LENGTH] = {"length", "framing = \"length\"; transforms = [ \"upper\" ];"},
	[SURVIVOR_CHAT] = {"chat", "service = \"chat\"; framing = \"length\";"},
	[SURVIVOR_TALK] = {"talk", "service = \"chat\"; framing = \"line\"; dialect = \"text\";"},
};

static bool is_chat(const struct survivor *survivor)
{
	return survivor->kind >= SURVIVOR_CHAT;
}

/* ---- the service ---- */

char *survivor_config(const struct manager *manager, const char *settings, const char *chat)
{
	struct buffer text = {0};
	CLEANUP(freep) char *tail = NULL;
	char line[512];
	int n;

	n = snprintf(line, sizeof line, "%s listeners: (", settings);
	ck_assert_int_eq(buffer_append(&text, line, (size_t)n), 0);
	for (size_t i = 0; i < SURVIVOR_KINDS; i++) {
		n = snprintf(line, sizeof line,
			     "%s{ name = \"%s\"; %s listen = [ \"%s\", \"%s\" ]; }", i ? ", " : "",
			     listeners[i].name, listeners[i].settings,
			     manager->sockets[2 * i].address, manager->sockets[2 * i + 1].address);
		ck_assert_int_eq(buffer_append(&text, line, (size_t)n), 0);
	}
	ck_assert_int_ge(asprintf(&tail,
				  "); chat: { admins = [ \"%s\" ]; rooms: ( { name = \"ops\"; }, "
				  "{ name = \"quiet\"; }, { name = \"memory\"; durable = false; } "
				  "); %s };",
				  chat_me(), chat),
			 0);
	ck_assert_int_eq(buffer_append(&text, tail, strlen(tail) + 1), 0);
	return (char *)text.data;
}

void survivor_prepare(struct manager *manager)
{
	manager_init(manager);
	for (size_t i = 0; i < SURVIVOR_KINDS; i++) {
		char path[64];

		(void)snprintf(path, sizeof path, "unix:%s.sock", listeners[i].name);
		(void)manager_listen(manager, listeners[i].name, "tcp://127.0.0.1:0");
		(void)manager_listen(manager, listeners[i].name, path);
	}
}

void survivor_run(struct manager *manager, const char *settings, const char *chat)
{
	CLEANUP(freep) char *config = survivor_config(manager, settings, chat);

	manager_start(manager, "%s", config);
}

void survivor_start(struct manager *manager, const char *settings, const char *chat)
{
	survivor_prepare(manager);
	survivor_run(manager, settings, chat);
}

/* ---- sending ---- */

static void lose(struct survivor *survivor)
{
	survivor->lost = true;
	hang_up(&survivor->fd);
}

/* Sends what the socket takes. */
static void flush(struct survivor *survivor)
{
	while (survivor->output.len > 0 && !survivor->lost) {
		ssize_t n = send(survivor->fd, survivor->output.data, survivor->output.len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return; /* when it is broken: after what has come before that */
		buffer_consume(&survivor->output, (size_t)n);
	}
}

static void send_bytes(struct survivor *survivor, const void *data, size_t len)
{
	ck_assert_int_eq(buffer_append(&survivor->output, data, len), 0);
	flush(survivor);
}

static enum framing framing_of(const struct survivor *survivor)
{
	return survivor->kind == SURVIVOR_RAW	 ? FRAMING_RAW
	       : survivor->kind == SURVIVOR_LINE ? FRAMING_LINE
	       : survivor->kind == SURVIVOR_TALK ? FRAMING_LINE
						 : FRAMING_LENGTH;
}

void survivor_send(struct survivor *survivor, size_t len, size_t keep)
{
	CLEANUP(buffer_done) struct buffer message = {0}, wrapped = {0};

	ck_assert_int_eq(buffer_reserve(&message, len + 1), 0);
	for (size_t i = 0; i < len; i++)
		message.data[i] = (uint8_t)('a' + (survivor->sent * 7 + i) % 26);
	survivor->sent++;
	wrap(&wrapped, framing_of(survivor), message.data, len);
	keep = MIN(keep, wrapped.len);
	survivor->rest.len = 0;
	ck_assert_int_eq(buffer_append(&survivor->rest, wrapped.data + wrapped.len - keep, keep),
			 0);
	for (size_t i = 0; i < len; i++)
		message.data[i] = (uint8_t)toupper(message.data[i]);
	wrap(&survivor->owed, framing_of(survivor), message.data, len);
	send_bytes(survivor, wrapped.data, wrapped.len - keep);
}

void survivor_send_rest(struct survivor *survivor)
{
	send_bytes(survivor, survivor->rest.data, survivor->rest.len);
	survivor->rest.len = 0;
}

void survivor_ask(struct survivor *survivor, const char *request)
{
	CLEANUP(buffer_done) struct buffer wrapped = {0};
	CLEANUP(freep) char *text = strdup(request);

	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	wrap(&wrapped, framing_of(survivor), text, strlen(text));
	survivor->asked++;
	send_bytes(survivor, wrapped.data, wrapped.len);
}

void survivor_say(struct survivor *survivor)
{
	char request[256], token[SURVIVOR_TOKEN];

	(void)snprintf(token, sizeof token, "#%.30s:%lu", survivor->nick,
		       (unsigned long)++survivor->sent);
	if (survivor->kind == SURVIVOR_CHAT) {
		(void)snprintf(request, sizeof request, "{'op':'say','room':'%s','text':'%s'}",
			       survivor->room, token);
		survivor_ask(survivor, request);
	} else {
		survivor_ask(survivor, token);
		survivor->asked--; /* there is no reply to what is said */
	}
}

/* ---- receiving ---- */

static void got(struct survivor *survivor, const char *token, size_t len)
{
	ck_assert_uint_lt(len, SURVIVOR_TOKEN);
	if (survivor->n_got == survivor->got_size) {
		survivor->got_size = 2 * survivor->got_size + 16;
		survivor->got =
			reallocarray(survivor->got, survivor->got_size, sizeof *survivor->got);
		ck_assert_ptr_nonnull(survivor->got);
	}
	memcpy(survivor->got[survivor->n_got], token, len);
	survivor->got[survivor->n_got++][len] = 0;
}

static void take_event(struct survivor *survivor, const json_t *event, const char *kind)
{
	uint64_t seq;

	if (strcmp(kind, "message") != 0) {
		ck_assert_msg(strcmp(kind, "gap") != 0, "a gap");
		if (strcmp(kind, "closing") != 0)
			survivor->told += strncmp(member_string(event, "nick"), "judge", 5) != 0;
		return;
	}
	ck_assert_str_eq(member_string(event, "room"), survivor->room);
	seq = (uint64_t)member_integer(event, "seq");
	ck_assert_msg(survivor->seen == 0 || seq == survivor->seen + 1,
		      "%s got number %lu after %lu", survivor->nick, (unsigned long)seq,
		      (unsigned long)survivor->seen);
	survivor->seen = seq;
	got(survivor, member_string(event, "text"), strlen(member_string(event, "text")));
}

static void take_object(struct survivor *survivor, struct bytes body)
{
	json_t *object = json_loadb((const char *)body.data, body.len, 0, NULL);
	const json_t *event;

	ck_assert_msg(object != NULL, "%.*s", (int)body.len, (const char *)body.data);
	event = json_object_get(object, "event");
	if (event) {
		take_event(survivor, object, json_string_value(event));
	} else {
		survivor->answered++;
		survivor->refused += !json_is_true(json_object_get(object, "ok"));
		ck_assert_msg(survivor->refused <= survivor->may_be_refused, "%.*s", (int)body.len,
			      (const char *)body.data);
	}
	json_decref(object);
}

/* "[ops] anna: #anna:1" is a message; other lines are of who comes and goes, or replies. */
static void take_line(struct survivor *survivor, struct bytes body)
{
	const char *line = (const char *)body.data;
	const char *token = memmem(line, body.len, ": #", 3);

	ck_assert_msg(line[0] != '!', "%.*s", (int)body.len, line);
	if (line[0] == '[' && token)
		got(survivor, token + 2, body.len - (size_t)(token + 2 - line));
	else if (memmem(line, body.len, " joined ", 8) || memmem(line, body.len, " left ", 6) ||
		 memmem(line, body.len, " set the topic", 14) ||
		 memmem(line, body.len, "connection lost", 15))
		survivor->told += memmem(line, body.len, "judge", 5) == NULL;
	else
		survivor->answered++;
}

static void take_chat(struct survivor *survivor)
{
	const struct frame_rules rules = {.framing = framing_of(survivor), .max_message = 1 << 20};
	struct bytes rest = {survivor->input.data, survivor->input.len};
	size_t scanned = 0;
	struct frame frame;

	while (frame_cut(&rules, rest, false, &scanned, &frame) == FRAME_MESSAGE) {
		if (survivor->kind == SURVIVOR_CHAT)
			take_object(survivor, frame.body);
		else
			take_line(survivor, frame.body);
		rest.data += frame.size;
		rest.len -= frame.size;
	}
	buffer_consume(&survivor->input, survivor->input.len - rest.len);
}

static void take_owed(struct survivor *survivor)
{
	ck_assert_msg(
		survivor->input.len <= survivor->owed.len &&
			memcmp(survivor->input.data, survivor->owed.data, survivor->input.len) == 0,
		"a %s client got what it is not owed: %.*s instead of %.*s",
		listeners[survivor->kind].name, (int)MIN(survivor->input.len, 60ul),
		(char *)survivor->input.data, (int)MIN(survivor->owed.len, 60ul),
		(char *)survivor->owed.data);
	buffer_consume(&survivor->owed, survivor->input.len);
	survivor->input.len = 0;
}

void survivor_receive(struct survivor *survivor)
{
	char bytes[65536];

	while (!survivor->lost) {
		ssize_t n = recv(survivor->fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			lose(survivor);
			break;
		}
		ck_assert_int_eq(buffer_append(&survivor->input, bytes, (size_t)n), 0);
		if (survivor->careless)
			survivor->input.len = 0;
		else if (is_chat(survivor))
			take_chat(survivor);
		else
			take_owed(survivor);
	}
}

bool survivor_is_owed(const struct survivor *survivor)
{
	return is_chat(survivor) ? survivor->answered < survivor->asked : survivor->owed.len > 0;
}

/* Waits until something has come; returns false when the daemon has ended. */
static bool await_input(struct survivor *survivor, int end)
{
	const short out = survivor->output.len > 0 ? POLLOUT : 0;
	struct pollfd polled[] = {{survivor->fd, POLLIN | out, 0}, {end, POLLIN, 0}};

	ck_assert_msg(poll(polled, 2, harness_patience()) > 0, "%s %s waits in vain",
		      listeners[survivor->kind].name, survivor->nick);
	flush(survivor);
	survivor_receive(survivor);
	return !(polled[1].revents & POLLIN);
}

void survivor_await(struct survivor *survivor, int end)
{
	while (!survivor->lost && survivor_is_owed(survivor))
		if (!await_input(survivor, end))
			return;
}

void survivor_await_got(struct survivor *survivor, size_t n, int end)
{
	while (!survivor->lost && survivor->n_got < n)
		if (!await_input(survivor, end))
			return;
}

void survivor_await_told(struct survivor *survivor, uint64_t n, int end)
{
	while (!survivor->lost && survivor->told < n)
		if (!await_input(survivor, end))
			return;
}

void survivor_expect_anything(struct survivor *survivor)
{
	survivor->careless = true;
}

void survivor_await_end(struct survivor *survivor, int end)
{
	while (!survivor->lost)
		if (!await_input(survivor, end))
			return;
}

/* ---- life ---- */

void survivor_enter(struct survivor *survivor, const struct manager *manager,
		    enum survivor_kind kind, bool on_unix, const char *nick, const char *room,
		    int end)
{
	char request[256];

	survivor_done(survivor);
	survivor->kind = kind;
	survivor->on_unix = on_unix;
	survivor->lost = false;
	survivor->fd = connect_to(manager->sockets[2 * (size_t)kind + on_unix].address);
	(void)snprintf(survivor->nick, sizeof survivor->nick, "%s", nick);
	(void)snprintf(survivor->room, sizeof survivor->room, "%s", room);
	if (kind == SURVIVOR_TALK)
		survivor->asked++; /* what it is called, to begin with */
	if (is_chat(survivor) && *nick) {
		(void)snprintf(request, sizeof request,
			       kind == SURVIVOR_CHAT ? "{'op':'hello','nick':'%s'}" : "/nick %s",
			       nick);
		survivor_ask(survivor, request);
	}
	if (is_chat(survivor) && *room) {
		(void)snprintf(request, sizeof request,
			       kind == SURVIVOR_CHAT ? "{'op':'join','room':'%s'}" : "/join %s",
			       room);
		survivor_ask(survivor, request);
	}
	survivor_await(survivor, end);
}

void survivor_done(struct survivor *survivor)
{
	const uint64_t sent = survivor->sent; /* nothing is ever said twice */

	if (survivor->fd > 0) /* 0: there never was one */
		hang_up(&survivor->fd);
	buffer_done(&survivor->input);
	buffer_done(&survivor->output);
	buffer_done(&survivor->owed);
	buffer_done(&survivor->rest);
	free(survivor->got);
	*survivor = (struct survivor){.fd = -1, .sent = sent, .lost = true};
}

bool survivor_is_served(struct survivor *survivor)
{
	static const char *const questions[] = {
		[SURVIVOR_CHAT] = "{'op':'ping','text':'x'}", [SURVIVOR_TALK] = "/topic"};

	survivor_send_rest(survivor);
	survivor_await(survivor, -1);
	if (is_chat(survivor))
		survivor_ask(survivor, questions[survivor->kind]);
	else
		survivor_send(survivor, 100, 0);
	survivor_await(survivor, -1);
	return !survivor->lost;
}

void survivor_assert_serves(struct survivor *survivor)
{
	ck_assert_msg(survivor_is_served(survivor), "%s %s is closed",
		      listeners[survivor->kind].name, survivor->nick);
}

void survivors_crash(struct manager *manager)
{
	struct survivor last = {0};

	/* When the worker has got to this one, the turns of all others are over. */
	survivor_enter(&last, manager, SURVIVOR_LENGTH, false, "", "", -1);
	survivor_assert_serves(&last);
	manager_crash(manager);
	survivor_done(&last);
}

/* ---- rooms ---- */

static void read_log(struct chatter *chatter, const char *room, struct survivor_log *log)
{
	size_t n;

	do {
		json_t *reply = chatter_ask(chatter,
					    "{'op':'history','room':'%s','after':%zu,'limit':1000}",
					    room, log->n);
		const json_t *messages = json_object_get(reply, "messages");

		n = json_array_size(messages);
		log->tokens = reallocarray(log->tokens, log->n + n + 1, sizeof *log->tokens);
		ck_assert_ptr_nonnull(log->tokens);
		for (size_t i = 0; i < n; i++) {
			const json_t *message = json_array_get(messages, i);

			ck_assert_int_eq(member_integer(message, "seq"), (json_int_t)log->n + 1);
			(void)snprintf(log->tokens[log->n++], SURVIVOR_TOKEN, "%s",
				       member_string(message, "text"));
		}
		json_decref(reply);
	} while (n > 0);
}

static bool is_own(const struct survivor *survivor, const char *token)
{
	size_t len = strlen(survivor->nick);

	return survivor->kind == SURVIVOR_TALK && strncmp(token + 1, survivor->nick, len) == 0 &&
	       token[len + 1] == ':';
}

/* Holds what has come to one against the log, whose last message is the one that was awaited. */
static void hold_against(struct survivor *survivor, const struct survivor_log *log)
{
	size_t want = 0;

	if (survivor->seq == 0) { /* new: it begins wherever the log has its first */
		while (survivor->seq < log->n &&
		       (is_own(survivor, log->tokens[survivor->seq]) ||
			strcmp(log->tokens[survivor->seq], survivor->got[0]) != 0))
			survivor->seq++;
	}
	for (size_t i = survivor->seq; i < log->n; i++) {
		const bool is_next =
			want < survivor->n_got && strcmp(survivor->got[want], log->tokens[i]) == 0;

		/* Somebody who catches up out of the log may be told their own as well. */
		if (!is_next && is_own(survivor, log->tokens[i]))
			continue;
		ck_assert_msg(is_next, "%s got %s where the log has %s", survivor->nick,
			      want < survivor->n_got ? survivor->got[want] : "nothing",
			      log->tokens[i]);
		want++;
	}
	ck_assert_msg(want == survivor->n_got, "%s got %s twice", survivor->nick,
		      want < survivor->n_got ? survivor->got[want] : "");
	survivor->seq = log->n;
	survivor->n_got = 0;
}

static bool has_got(const struct survivor *survivor, const char *token)
{
	return survivor->n_got > 0 && strcmp(survivor->got[survivor->n_got - 1], token) == 0;
}

void survivors_settle(const struct manager *manager, struct survivor *survivors, size_t n,
		      const char *room, struct survivor_log *log)
{
	static unsigned judges; /* the last one may not have left yet */
	char token[SURVIVOR_TOKEN];
	CHATTER judge = {0};

	chatter_open(&judge, &manager->server, "chat", "tcp:");
	expect_ok(&judge, "{'op':'hello','nick':'judge%u'}", ++judges);
	expect_ok(&judge, "{'op':'join','room':'%s'}", room);
	read_log(&judge, room, log);
	(void)snprintf(token, sizeof token, "#judge:%zu", log->n + 1);
	expect_ok(&judge, "{'op':'say','room':'%s','text':'%s'}", room, token);
	read_log(&judge, room, log);
	for (size_t i = 0; i < n; i++) {
		struct survivor *survivor = &survivors[i];

		if (survivor->lost || !is_chat(survivor) || strcmp(survivor->room, room) != 0)
			continue;
		while (!survivor->lost && !has_got(survivor, token))
			(void)await_input(survivor, -1);
		ck_assert_msg(!survivor->lost, "%s is closed", survivor->nick);
		hold_against(survivor, log);
	}
	expect_ok(&judge, "{'op':'leave','room':'%s'}", room); /* nobody is told later */
}

void survivor_log_done(struct survivor_log *log)
{
	free(log->tokens);
	*log = (struct survivor_log){0};
}

/* ---- the run ---- */

size_t survivor_rounds(size_t usual)
{
	const char *given = getenv("RETORT_TEST_ROUNDS");

	return given ? strtoul(given, NULL, 10) : usual;
}

void survivor_add(Suite *suite, const TTest *test)
{
	TCase *tcase = tcase_create(test->name);

	/* Half a second each is plenty. */
	tcase_set_timeout(tcase, 4.0 * harness_patience() / 1000 +
					 (double)survivor_rounds(0) * (harness_slow() ? 5 : 0.5));
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}
