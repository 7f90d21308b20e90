/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_chat.h"

/*
 * Replies and events are taken apart as they come, and each waits until it is asked for: so a test
 * says in what order the ones or the others come, and never how they are mixed. Every request that
 * is written here has a number of its own as its id, and the reply must have it.
 */

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat.h"

/* ---- JSON ---- */

static PRINTF(1, 0) char *format_json(const char *format, va_list arguments)
{
	char *text;

	ck_assert_int_ge(vasprintf(&text, format, arguments), 0);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	return text;
}

static json_t *parse(const char *text, size_t len)
{
	json_error_t error;
	json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	ck_assert_msg(value != NULL, "%s in: %.*s", error.text, (int)len, text);
	return value;
}

static bool is_time(const json_t *value)
{
	char again[CHAT_TIME_SIZE];
	uint64_t time;

	return json_is_string(value) && chat_time_parse(json_string_value(value), &time) == 0 &&
	       strcmp(chat_time_format(time, again), json_string_value(value)) == 0;
}

static bool matches(const json_t *have, const json_t *want);

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than what a test has written */
static bool matches_object(const json_t *have, const json_t *want)
{
	const bool open = json_object_get(want, "...");
	const char *name;
	json_t *value;

	if (!json_is_object(have))
		return false;
	json_object_foreach((json_t *)want, name, value)
		if (strcmp(name, "...") != 0 && !matches(json_object_get(have, name), value))
			return false;
	json_object_foreach((json_t *)have, name, value)
		if (!open && strcmp(name, "unit") != 0 && !json_object_get(want, name))
			return false;
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static bool matches_array(const json_t *have, const json_t *want)
{
	if (!json_is_array(have) || json_array_size(have) != json_array_size(want))
		return false;
	for (size_t i = 0; i < json_array_size(want); i++)
		if (!matches(json_array_get(have, i), json_array_get(want, i)))
			return false;
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static bool matches(const json_t *have, const json_t *want)
{
	const char *text = json_string_value(want);

	if (!have)
		return false;
	if (text && strcmp(text, "*") == 0)
		return true;
	if (text && strcmp(text, "<time>") == 0)
		return is_time(have);
	if (json_is_object(want))
		return matches_object(have, want);
	if (json_is_array(want))
		return matches_array(have, want);
	return json_equal((json_t *)have, (json_t *)want);
}

static void expect_json_text(json_t *have, const char *want)
{
	json_t *wanted = parse(want, strlen(want));

	if (!matches(have, wanted))
		ck_abort_msg("%s\ninstead of\n%s", json_dumps(have, JSON_COMPACT), want);
	json_decref(wanted);
	json_decref(have);
}

void expect_json(json_t *have, const char *want, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, want);
	text = format_json(want, arguments);
	va_end(arguments);
	expect_json_text(have, text);
}

static json_t *member(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	if (!value)
		ck_abort_msg("no %s in %s", name, json_dumps(object, JSON_COMPACT));
	return value;
}

json_int_t member_integer(const json_t *object, const char *name)
{
	const json_t *value = member(object, name);

	ck_assert_msg(json_is_integer(value), "%s is no integer", name);
	return json_integer_value(value);
}

const char *member_string(const json_t *object, const char *name)
{
	const json_t *value = member(object, name);

	ck_assert_msg(json_is_string(value), "%s is no string", name);
	return json_string_value(value);
}

/* ---- the daemon ---- */

const char *chat_me(void)
{
	const struct passwd *user = getpwuid(geteuid());

	ck_assert_ptr_nonnull(user);
	return user->pw_name;
}

static PRINTF(2, 0) char *make_config(const char *settings, const char *chat, va_list arguments)
{
	static const char format[] =
		"listeners: ("
		"{ name = \"chat\"; service = \"chat\"; "
		"listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; },"
		"{ name = \"line\"; service = \"chat\"; framing = \"line\"; "
		"listen = [ \"unix:line.sock\", \"tcp://127.0.0.1:0\" ]; },"
		"{ name = \"talk\"; service = \"chat\"; framing = \"line\"; dialect = \"text\"; "
		"listen = [ \"unix:talk.sock\", \"tcp://127.0.0.1:0\" ]; });"
		"%s\nchat: { %s%s%s %s };\n";
	const bool admins = strstr(chat, "admins");
	CLEANUP(freep) char *filled = NULL;
	char *text;

	ck_assert_int_ge(vasprintf(&filled, chat, arguments), 0);
	ck_assert_int_ge(asprintf(&text, format, settings, admins ? "" : "admins = [ \"",
				  admins ? "" : chat_me(), admins ? "" : "\" ];", filled),
			 0);
	return text;
}

char *chat_config(const char *settings, const char *chat, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, chat);
	text = make_config(settings, chat, arguments);
	va_end(arguments);
	return text;
}

void chat_start(struct server *server, const char *settings, const char *chat, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, chat);
	text = make_config(settings, chat, arguments);
	va_end(arguments);
	*server = (struct server){.notify = -1};
	server_start(server, &(struct server_setup){.config = text});
}

void chat_reload(struct server *server, const char *settings, const char *chat, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, chat);
	text = make_config(settings, chat, arguments);
	va_end(arguments);
	server_write_config(server, "%s", text);
	server_signal(server, SIGHUP);
	server_wait_notify(server, "RELOADING=1");
	server_wait_notify(server, "READY=1");
	ck_assert_uint_eq(server_count_log(server, "not reloaded"), 0);
}

void chat_restart(struct server *server, int signal)
{
	const char *arguments[] = {"-c", server->config, NULL};

	server_signal(server, signal);
	if (signal == SIGKILL)
		(void)server_wait_end(server);
	else
		server_assert_ended(server, 0);
	(void)close(server->notify);
	server->log_seen = 0;
	server_start(server, &(struct server_setup){.arguments = arguments});
}

/* ---- connecting ---- */

static void take_fd(struct chatter *chatter, int fd, enum framing framing)
{
	*chatter = (struct chatter){.fd = fd, .framing = framing};
	chatter->replies = json_array();
	chatter->events = json_array();
	ck_assert(chatter->replies && chatter->events);
}

static enum framing framing_of(const char *listener)
{
	return strcmp(listener, "line") == 0 ? FRAMING_LINE : FRAMING_LENGTH;
}

void chatter_open(struct chatter *chatter, const struct server *server, const char *listener,
		  const char *scheme)
{
	take_fd(chatter, client(server, listener, scheme), framing_of(listener));
}

int connect_as(const char *address, uid_t uid, gid_t gid)
{
	gid_t before[256];
	int n = getgroups(ARRAY_SIZE(before), before), fd;

	ck_assert_int_ge(n, 0);
	ck_assert_int_eq(setgroups(1, &gid), 0);
	ck_assert_int_eq(setegid(gid), 0);
	ck_assert_int_eq(seteuid(uid), 0);
	fd = connect_to(address); /* the kernel keeps who that was */
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(0), 0);
	ck_assert_int_eq(setgroups((size_t)n, before), 0);
	return fd;
}

void chatter_open_as(struct chatter *chatter, const struct server *server, const char *listener,
		     uid_t uid, gid_t gid)
{
	take_fd(chatter, connect_as(server_address(server, listener, "unix:"), uid, gid),
		framing_of(listener));
}

void chatter_open_control(struct chatter *chatter, const struct server *server,
			  enum framing framing)
{
	char address[SERVER_PATH_MAX + 32];

	(void)snprintf(address, sizeof address, "unix:%s/control.sock", server->directory);
	take_fd(chatter, connect_to(address), framing);
}

void chatter_enter(struct chatter *chatter, const struct server *server, const char *nick,
		   const char *room)
{
	chatter_open(chatter, server, "chat", "tcp:");
	expect_ok(chatter, "{'op':'hello','nick':'%s'}", nick);
	if (room)
		expect_ok(chatter, "{'op':'join','room':'%s'}", room);
}

void chatter_done(struct chatter *chatter)
{
	if (!chatter->replies)
		return;
	closep(&chatter->fd);
	buffer_done(&chatter->input);
	buffer_done(&chatter->output);
	json_decref(chatter->replies);
	json_decref(chatter->events);
	*chatter = (struct chatter){.fd = -1};
}

static bool is_here(struct chatter *watcher, const char *nick)
{
	json_t *reply = chatter_ask(watcher, "{'op':'who'}");
	json_t *one;
	bool found = false;
	size_t i;

	json_array_foreach(member(reply, "members"), i, one)
		found = found || strcmp(member_string(one, "nick"), nick) == 0;
	json_decref(reply);
	return found;
}

void chatter_leave(struct chatter *chatter, struct chatter *watcher, const char *nick)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	chatter_done(chatter);
	while (is_here(watcher, nick))
		harness_pause(deadline, "somebody to be gone");
}

/* ---- sending ---- */

void chatter_send_raw(struct chatter *chatter, const void *data, size_t len)
{
	CLEANUP(buffer_done) struct buffer wire = {0};

	wrap(&wire, chatter->framing, data, len);
	send_all(chatter->fd, wire.data, wire.len);
}

static PRINTF(2, 0) void add(struct chatter *chatter, const char *request, va_list arguments)
{
	CLEANUP(freep) char *text = format_json(request, arguments), *whole = NULL;

	ck_assert_int_eq(text[0], '{');
	ck_assert_int_ge(
		asprintf(&whole, "{\"id\":%" JSON_INTEGER_FORMAT ",%s", ++chatter->asked, text + 1),
		0);
	wrap(&chatter->output, chatter->framing, whole, strlen(whole));
}

void chatter_add(struct chatter *chatter, const char *request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	add(chatter, request, arguments);
	va_end(arguments);
}

void chatter_flush(struct chatter *chatter)
{
	send_all(chatter->fd, chatter->output.data, chatter->output.len);
	chatter->output.len = 0;
}

void chatter_send(struct chatter *chatter, const char *request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	add(chatter, request, arguments);
	va_end(arguments);
	chatter_flush(chatter);
}

/* ---- receiving ---- */

/* Takes apart what has come; returns whether there was a whole message. */
static bool cut(struct chatter *chatter)
{
	const struct frame_rules rules = {.framing = chatter->framing, .max_message = SIZE_MAX / 4};
	struct bytes input = {chatter->input.data, chatter->input.len};
	size_t scanned = 0, used = 0;
	struct frame frame;
	bool any = false;

	while (used < input.len) {
		struct bytes rest = {input.data + used, input.len - used};
		enum frame_cut outcome = frame_cut(&rules, rest, false, &scanned, &frame);
		json_t *one;

		if (outcome == FRAME_MORE)
			break;
		ck_assert_msg(outcome == FRAME_MESSAGE, "no message: %.*s",
			      (int)MIN(rest.len, (size_t)200), rest.data);
		one = parse((const char *)frame.body.data, frame.body.len);
		(void)json_array_append_new(
			json_object_get(one, "event") ? chatter->events : chatter->replies, one);
		used += frame.size;
		scanned = 0;
		any = true;
	}
	buffer_consume(&chatter->input, used);
	return any;
}

void chatter_receive(struct chatter *chatter)
{
	ssize_t n;

	do {
		ck_assert_int_eq(buffer_reserve(&chatter->input, 1 << 18), 0);
		n = recv(chatter->fd, chatter->input.data + chatter->input.len, 1 << 18, 0);
		ck_assert_msg(n >= 0, "waiting for a message: %m");
		chatter->input.len += (size_t)n;
		chatter->ended = n == 0;
	} while (!chatter->ended && !cut(chatter));
}

static json_t *take_first(json_t *list)
{
	json_t *first = json_incref(json_array_get(list, 0));

	ck_assert_int_eq(json_array_remove(list, 0), 0);
	return first;
}

json_t *chatter_next_reply(struct chatter *chatter)
{
	while (json_array_size(chatter->replies) == 0) {
		ck_assert_msg(!chatter->ended, "the end instead of a reply");
		chatter_receive(chatter);
	}
	return take_first(chatter->replies);
}

json_t *chatter_reply(struct chatter *chatter)
{
	json_t *reply = chatter_next_reply(chatter);

	ck_assert_int_eq(member_integer(reply, "id"), ++chatter->answered);
	(void)json_object_del(reply, "id");
	return reply;
}

json_t *chatter_event(struct chatter *chatter)
{
	while (json_array_size(chatter->events) == 0) {
		ck_assert_msg(!chatter->ended, "the end instead of an event");
		chatter_receive(chatter);
	}
	return take_first(chatter->events);
}

json_t *chatter_ask(struct chatter *chatter, const char *request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	add(chatter, request, arguments);
	va_end(arguments);
	chatter_flush(chatter);
	return chatter_reply(chatter);
}

/* ---- what is expected ---- */

void expect_ok(struct chatter *chatter, const char *request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	add(chatter, request, arguments);
	va_end(arguments);
	chatter_flush(chatter);
	expect_json(chatter_reply(chatter), "{'ok':true,'...':1}");
}

static void expect_refused(json_t *reply, const char *error)
{
	const json_t *ok = member(reply, "ok");

	if (!json_is_false(ok) || strcmp(member_string(reply, "error"), error) != 0)
		ck_abort_msg("%s instead of %s", json_dumps(reply, JSON_COMPACT), error);
	ck_assert_uint_gt(strlen(member_string(reply, "message")), 4);
	json_decref(reply);
}

void expect_error(struct chatter *chatter, const char *error, const char *request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	add(chatter, request, arguments);
	va_end(arguments);
	chatter_flush(chatter);
	expect_refused(chatter_reply(chatter), error);
	expect_json(chatter_ask(chatter, "{'op':'ping','text':'alive'}"),
		    "{'ok':true,'text':'alive'}");
}

void expect_refusal(struct chatter *chatter, const char *error)
{
	expect_refused(chatter_next_reply(chatter), error);
}

void expect_event(struct chatter *chatter, const char *want, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, want);
	text = format_json(want, arguments);
	va_end(arguments);
	expect_json_text(chatter_event(chatter), text);
}

void expect_message(struct chatter *chatter, const char *room, json_int_t seq, const char *text)
{
	expect_event(chatter,
		     "{'event':'message','room':'%s','seq':%" JSON_INTEGER_FORMAT
		     ",'text':'%s','time':'<time>','from':'*','...':1}",
		     room, seq, text);
}

/* The hub answers behind all that it has sent before. */
static void settle(struct chatter *chatter)
{
	json_decref(chatter_ask(chatter, "{'op':'who'}"));
}

void drop_events(struct chatter *chatter)
{
	settle(chatter);
	(void)json_array_clear(chatter->events);
}

void expect_no_event(struct chatter *chatter)
{
	settle(chatter);
	if (json_array_size(chatter->events) > 0)
		ck_abort_msg("an event: %s", json_dumps(chatter->events, JSON_COMPACT));
}

void expect_closing(struct chatter *chatter, const char *reason, bool reconnect)
{
	json_t *event = chatter_event(chatter);

	ck_assert_ptr_nonnull(strstr(member_string(event, "reason"), reason));
	expect_json(event, "{'event':'closing','reason':'*','reconnect':%s}",
		    reconnect ? "true" : "false");
	while (!chatter->ended)
		chatter_receive(chatter);
	ck_assert_uint_eq(json_array_size(chatter->events), 0);
}

void chatter_say(struct chatter *chatter, const char *room, json_int_t seq, const char *text)
{
	json_t *reply = chatter_ask(chatter, "{'op':'say','room':'%s','text':'%s'}", room, text);

	expect_json(reply, "{'ok':true,'room':'%s','seq':%" JSON_INTEGER_FORMAT ",'time':'<time>'}",
		    room, seq);
}
