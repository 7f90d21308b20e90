/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The dialects of the chat service: what a line or an object asks for, what is written of replies
 * and events in either framing, and what the text dialect remembers. Nothing that others wrote
 * reaches a terminal as a control character.
 */

#include <stdio.h>
#include <string.h>

#include "dialect.h"
#include "harness.h"
#include "text_line.h"

/* 2026-11-22T15:04:05.678Z */
static const uint64_t moment = UINT64_C(1795359845678);

/* One connection, and what was written to it. */
struct fixture {
	const struct dialect *dialect;
	struct dialect_state state;
	struct buffer written;
	struct dialect_out out;
};

static void begin(struct fixture *fixture, const struct dialect *dialect, enum framing framing)
{
	*fixture = (struct fixture){.dialect = dialect};
	fixture->out = (struct dialect_out){&fixture->written, framing};
}

static void begin_text(struct fixture *fixture)
{
	begin(fixture, &dialect_text, FRAMING_LINE);
}

static void end(struct fixture *fixture)
{
	dialect_state_done(&fixture->state);
	ck_assert_ptr_null(fixture->state.room);
	buffer_done(&fixture->written);
}

/* Asks, and takes the request, from memory of exactly this size. */
static struct chat_request *ask_bytes(struct fixture *fixture, const void *data, size_t len)
{
	CLEANUP(freep) uint8_t *copy = malloc(len > 0 ? len : 1);
	struct chat_request *request;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, data, len);
	ck_assert_int_eq(fixture->dialect->request(&fixture->state, (struct bytes){copy, len},
						   &fixture->out, &request),
			 0);
	memset(copy, '!', len); /* nothing of it is borrowed */
	return request;
}

static struct chat_request *ask(struct fixture *fixture, const char *line)
{
	return ask_bytes(fixture, line, strlen(line));
}

static void expect(struct fixture *fixture, const char *expected)
{
	assert_bytes(fixture->written.data, fixture->written.len, expected, strlen(expected),
		     "written");
	fixture->written.len = 0;
}

static void write_reply(struct fixture *fixture, const struct chat_request *request,
			const struct chat_reply *reply)
{
	ck_assert_int_eq(fixture->dialect->reply(&fixture->state, request, reply, &fixture->out),
			 0);
}

/* Asks line, which is replied to, and expects what is written of that. */
static void expect_reply(struct fixture *fixture, const char *line, const struct chat_reply *reply,
			 const char *expected)
{
	CLEANUP(freep) struct chat_request *request = ask(fixture, line);

	ck_assert_ptr_nonnull(request);
	ck_assert_msg(request->error == CHAT_OK, "%s: %s", line, request->complaint);
	ck_assert_uint_eq(fixture->written.len, 0);
	write_reply(fixture, request, reply);
	expect(fixture, expected);
}

static void expect_event(struct fixture *fixture, const struct chat_event *event,
			 const char *expected)
{
	ck_assert_int_eq(fixture->dialect->event(event, &fixture->out), 0);
	expect(fixture, expected);
}

/* What a request has to be; NULL is none. */
static void expect_request(struct fixture *fixture, const char *line, enum chat_op op,
			   const char *room, const char *text)
{
	CLEANUP(freep) struct chat_request *request = ask(fixture, line);

	ck_assert_msg(request && request->error == CHAT_OK && request->op == op, "%s", line);
	ck_assert_pstr_eq(request->room, room);
	ck_assert_pstr_eq(request->text, text);
	ck_assert_uint_eq(request->text_len, text ? strlen(text) : 0);
	ck_assert_uint_eq(fixture->written.len, 0);
}

/* Asks for what cannot be, and expects the complaint, as a person sees it. */
static void expect_complaint(struct fixture *fixture, const char *line, size_t len,
			     enum chat_error error, const char *expected)
{
	CLEANUP(freep) struct chat_request *request = ask_bytes(fixture, line, len);
	struct chat_reply reply = {.error = error};

	ck_assert_ptr_nonnull(request);
	ck_assert_msg(request->error == error, "%s: %d", line, request->error);
	ck_assert_uint_eq(fixture->written.len, 0);
	reply.message = request->complaint;
	write_reply(fixture, request, &reply);
	expect(fixture, expected);
}

static void expect_line_complaint(struct fixture *fixture, const char *line, enum chat_error error,
				  const char *expected)
{
	expect_complaint(fixture, line, strlen(line), error, expected);
}

static void join(struct fixture *fixture, const char *room)
{
	const struct chat_reply reply = {.op = CHAT_JOIN, .room = room, .n_members = 2};
	char line[64], expected[64];

	(void)snprintf(line, sizeof(line), "/join %s", room);
	(void)snprintf(expected, sizeof(expected), "* you are in %s, 2 members\n", room);
	expect_reply(fixture, line, &reply, expected);
}

/* ---- common ---- */

START_TEST(test_names)
{
	ck_assert_int_eq(dialect_from_name("object"), DIALECT_OBJECT);
	ck_assert_int_eq(dialect_from_name("text"), DIALECT_TEXT);
	ck_assert_int_eq(dialect_from_name("irc"), -EINVAL);
	ck_assert_int_eq(dialect_from_name(""), -EINVAL);
	ck_assert(dialects[DIALECT_TEXT]->hides_own);
	ck_assert(!dialects[DIALECT_OBJECT]->hides_own);
}
END_TEST

START_TEST(test_envelopes)
{
	static const char *const expected[] = {[FRAMING_RAW] = "oneXY",
					       [FRAMING_LINE] = "one\n\nXY\n",
					       [FRAMING_LENGTH] =
						       "3         one0         2         XY"};

	for (enum framing framing = FRAMING_RAW; framing <= FRAMING_LENGTH; framing++) {
		struct fixture fixture;
		size_t at;

		begin(&fixture, &dialect_object, framing);
		ck_assert_int_eq(dialect_put(&fixture.out, "one", 3), 0);
		ck_assert_int_eq(dialect_put(&fixture.out, "", 0), 0);
		ck_assert_int_eq(dialect_begin(&fixture.out, &at), 0);
		ck_assert_int_eq(buffer_append(&fixture.written, "XY", 2), 0);
		ck_assert_int_eq(dialect_end(&fixture.out, at, 0), 0);
		/* One that fails leaves nothing behind. */
		ck_assert_int_eq(dialect_begin(&fixture.out, &at), 0);
		ck_assert_int_eq(buffer_append(&fixture.written, "Z", 1), 0);
		ck_assert_int_eq(dialect_end(&fixture.out, at, -ENOMEM), -ENOMEM);
		expect(&fixture, expected[framing]);
		end(&fixture);
	}
}
END_TEST

/* ---- object ---- */

START_TEST(test_object)
{
	static const struct chat_event event = {
		.kind = CHAT_EVENT_JOIN, .room = "ops", .nick = "anna"};
	static const struct chat_reply reply = {.op = CHAT_PING, .id = "7"};
	static const char *const expected[] = {
		[FRAMING_LINE] = "{\"id\":7,\"ok\":true}\n"
				 "{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"anna\"}\n",
		[FRAMING_LENGTH] = "18        {\"id\":7,\"ok\":true}"
				   "43        "
				   "{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"anna\"}"};

	for (enum framing framing = FRAMING_LINE; framing <= FRAMING_LENGTH; framing++) {
		CLEANUP(freep) struct chat_request *request = NULL;
		struct fixture fixture;

		begin(&fixture, &dialect_object, framing);
		ck_assert_int_eq(fixture.dialect->welcome(&fixture.state, "anna", &fixture.out), 0);
		ck_assert_uint_eq(fixture.written.len, 0);
		request = ask(&fixture, "{\"op\":\"ping\",\"id\":7}");
		ck_assert_int_eq(request->op, CHAT_PING);
		ck_assert_str_eq(request->id, "7");
		write_reply(&fixture, request, &reply);
		ck_assert_int_eq(fixture.dialect->event(&event, &fixture.out), 0);
		expect(&fixture, expected[framing]);
		end(&fixture);
	}
}
END_TEST

/* ---- text: what is asked ---- */

START_TEST(test_lines)
{
	struct fixture fixture;

	begin_text(&fixture);
	join(&fixture, "ops");
	expect_request(&fixture, "hello", CHAT_SAY, "ops", "hello");
	expect_request(&fixture, " hello ", CHAT_SAY, "ops", " hello ");
	expect_request(&fixture, "//usr/bin", CHAT_SAY, "ops", "/usr/bin");
	expect_request(&fixture, "a /join b", CHAT_SAY, "ops", "a /join b");
	expect_request(&fixture, "gr\xC3\xBC\xC3\x9F", CHAT_SAY, "ops", "gr\xC3\xBC\xC3\x9F");
	ck_assert_ptr_null(ask(&fixture, ""));
	ck_assert_ptr_null(ask(&fixture, " \t "));
	expect(&fixture, "");
	ck_assert(!fixture.state.quits);
	end(&fixture);
}
END_TEST

START_TEST(test_commands)
{
	CLEANUP(freep) struct chat_request *request = NULL;
	struct fixture fixture;

	begin_text(&fixture);
	join(&fixture, "ops");
	expect_request(&fixture, "/leave", CHAT_LEAVE, "ops", NULL);
	expect_request(&fixture, "/leave  lobby ", CHAT_LEAVE, "lobby", NULL);
	expect_request(&fixture, "/rooms", CHAT_ROOMS, NULL, NULL);
	expect_request(&fixture, "/who", CHAT_WHO, "ops", NULL);
	expect_request(&fixture, "/who lobby", CHAT_WHO, "lobby", NULL);
	expect_request(&fixture, "/msg anna hi  there", CHAT_SAY, "@anna", "hi  there");
	expect_request(&fixture, "/msg \t anna \t /hi", CHAT_SAY, "@anna", "/hi");
	expect_request(&fixture, "/topic all of it ", CHAT_TOPIC, "ops", "all of it");
	expect_request(&fixture, "/history", CHAT_HISTORY, "ops", NULL);

	request = ask(&fixture, "/history 20");
	ck_assert_int_eq(request->op, CHAT_HISTORY);
	ck_assert_uint_eq(request->has, CHAT_HAS_LIMIT);
	ck_assert_uint_eq(request->limit, 20);
	free(request);
	request = ask(&fixture, "/nick  anna ");
	ck_assert_int_eq(request->op, CHAT_HELLO);
	ck_assert_str_eq(request->nick, "anna");

	ck_assert_ptr_null(ask(&fixture, "/quit"));
	ck_assert(fixture.state.quits);
	end(&fixture);
}
END_TEST

START_TEST(test_help)
{
	static const char *const commands[] = {
		"/help", "/nick NAME",	   "/join ROOM",   "/leave",	    "/rooms",
		"/who",	 "/msg NICK TEXT", "/history [N]", "/topic [TEXT]", "/quit"};
	struct fixture fixture;

	begin_text(&fixture);
	ck_assert_ptr_null(ask(&fixture, "/help"));
	ck_assert_int_eq(buffer_append(&fixture.written, "", 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		ck_assert_msg(strstr((char *)fixture.written.data, commands[i]), "%s", commands[i]);
	end(&fixture);
}
END_TEST

START_TEST(test_complaints)
{
	static const char nowhere[] = "! you are in no room; /join ROOM\n";
	struct fixture fixture;

	begin_text(&fixture);
	expect_line_complaint(&fixture, "hello", CHAT_NOT_MEMBER, nowhere);
	expect_line_complaint(&fixture, "//x", CHAT_NOT_MEMBER, nowhere);
	expect_line_complaint(&fixture, "/leave", CHAT_NOT_MEMBER, nowhere);
	expect_line_complaint(&fixture, "/topic", CHAT_NOT_MEMBER, nowhere);
	expect_line_complaint(&fixture, "/topic x", CHAT_NOT_MEMBER, nowhere);
	expect_line_complaint(&fixture, "/history 5", CHAT_NOT_MEMBER, nowhere);
	expect_request(&fixture, "/who", CHAT_WHO, NULL, NULL);
	expect_request(&fixture, "/msg anna x", CHAT_SAY, "@anna", "x");

	join(&fixture, "ops");
	expect_line_complaint(&fixture, "/foo", CHAT_UNKNOWN_OP,
			      "! there is no command \"/foo\"; /help lists them\n");
	expect_line_complaint(&fixture, "/foo bar", CHAT_UNKNOWN_OP,
			      "! there is no command \"/foo\"; /help lists them\n");
	expect_line_complaint(&fixture, "/", CHAT_UNKNOWN_OP,
			      "! there is no command \"/\"; /help lists them\n");
	expect_line_complaint(&fixture, "/joi ops", CHAT_UNKNOWN_OP,
			      "! there is no command \"/joi\"; /help lists them\n");
	expect_line_complaint(&fixture, "/\x1B[2J", CHAT_UNKNOWN_OP,
			      "! there is no command \"/^[[2J\"; /help lists them\n");
	/* What is repeated of it is short, and ends between two characters. */
	expect_line_complaint(&fixture, "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xC3\xA4", CHAT_UNKNOWN_OP,
			      "! there is no command \"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; "
			      "/help lists them\n");
	expect_line_complaint(&fixture, "/join", CHAT_BAD_REQUEST, "! which room? /join ROOM\n");
	expect_line_complaint(&fixture, "/join  ", CHAT_BAD_REQUEST, "! which room? /join ROOM\n");
	expect_line_complaint(&fixture, "/nick", CHAT_BAD_REQUEST, "! which name? /nick NAME\n");
	expect_line_complaint(&fixture, "/msg", CHAT_BAD_REQUEST,
			      "! to whom, and what? /msg NICK TEXT\n");
	expect_line_complaint(&fixture, "/msg anna ", CHAT_BAD_REQUEST,
			      "! to whom, and what? /msg NICK TEXT\n");
	for (size_t i = 0; i < 5; i++) {
		static const char *const numbers[] = {"0", "1001", "x", "-1",
						      "99999999999999999999999999999999"};
		char line[64];

		(void)snprintf(line, sizeof(line), "/history %s", numbers[i]);
		expect_line_complaint(&fixture, line, CHAT_BAD_REQUEST,
				      "! how many? /history N, from 1 to 1000\n");
	}
	expect_complaint(&fixture, "a\0b", 3, CHAT_BAD_REQUEST, "! a line cannot hold NUL\n");
	expect_complaint(&fixture, "/quit\0", 6, CHAT_BAD_REQUEST, "! a line cannot hold NUL\n");
	expect_line_complaint(&fixture, "\xFF\xF4\xFF\xFD\x06", CHAT_BAD_REQUEST,
			      "! this line is not valid UTF-8\n");
	/* None of this has changed anything. */
	expect_request(&fixture, "x", CHAT_SAY, "ops", "x");
	ck_assert(!fixture.state.quits);
	end(&fixture);
}
END_TEST

/* ---- text: where plain lines are said ---- */

START_TEST(test_join_counts_at_once)
{
	static const struct chat_reply yes = {.op = CHAT_JOIN, .room = "Ops", .n_members = 1};
	static const struct chat_reply no = {
		.op = CHAT_JOIN, .error = CHAT_NOT_ALLOWED, .message = "no"};
	CLEANUP(freep) struct chat_request *request = NULL;
	struct fixture fixture;

	begin_text(&fixture);
	request = ask(&fixture, "/join ops");
	expect_request(&fixture, "x", CHAT_SAY, "ops", "x");
	write_reply(&fixture, request, &yes);
	expect(&fixture, "* you are in Ops, 1 member\n");
	expect_request(&fixture, "x", CHAT_SAY, "Ops", "x"); /* as the server writes it */
	free(request);

	request = ask(&fixture, "/join secret");
	expect_request(&fixture, "x", CHAT_SAY, "secret", "x");
	write_reply(&fixture, request, &no);
	expect(&fixture, "! no\n");
	expect_request(&fixture, "x", CHAT_SAY, "Ops", "x");
	end(&fixture);
}
END_TEST

/* Several joins that wait for their replies, each granted or not: the last one granted counts. */
START_TEST(test_joins_in_flight)
{
	enum { N = 3 };
	static const char *const lines[N] = {"/join a", "/join b", "/join c"};
	static const char *const rooms[N] = {"a", "b", "c"};

	for (unsigned granted = 0; granted < 1 << N; granted++) {
		struct chat_request *requests[N];
		const char *expected = "ops";
		struct fixture fixture;

		begin_text(&fixture);
		join(&fixture, "ops");
		for (size_t i = 0; i < N; i++)
			requests[i] = ask(&fixture, lines[i]);
		for (size_t i = 0; i < N; i++) {
			const bool yes = granted >> i & 1;
			const struct chat_reply reply = {
				.op = CHAT_JOIN,
				.room = yes ? rooms[i] : NULL,
				.error = yes ? CHAT_OK : CHAT_NO_SUCH_ROOM,
			};

			expect_request(&fixture, "x", CHAT_SAY, "c", "x");
			write_reply(&fixture, requests[i], &reply);
			free(requests[i]);
			fixture.written.len = 0;
			if (yes)
				expected = rooms[i];
		}
		expect_request(&fixture, "x", CHAT_SAY, expected, "x");
		end(&fixture);
	}
}
END_TEST

START_TEST(test_leave)
{
	static const struct chat_reply left = {.op = CHAT_LEAVE, .room = "OPS"};
	static const struct chat_reply other = {.op = CHAT_LEAVE, .room = "lobby"};
	static const struct chat_reply refused = {
		.op = CHAT_LEAVE, .error = CHAT_NOT_MEMBER, .message = "no"};
	static const struct chat_reply no = {.op = CHAT_JOIN, .error = CHAT_NO_SUCH_ROOM};
	CLEANUP(freep) struct chat_request *leave = NULL, *join_other = NULL;
	struct fixture fixture;

	begin_text(&fixture);
	join(&fixture, "ops");
	expect_reply(&fixture, "/leave lobby", &other, "* you left lobby\n");
	expect_reply(&fixture, "/leave ops", &refused, "! no\n");
	expect_request(&fixture, "x", CHAT_SAY, "ops", "x");
	expect_reply(&fixture, "/leave ops", &left, "* you left OPS\n");
	expect_line_complaint(&fixture, "x", CHAT_NOT_MEMBER, "! you are in no room; /join ROOM\n");

	/* What was left while a join waited is not come back to. */
	join(&fixture, "ops");
	leave = ask(&fixture, "/leave");
	join_other = ask(&fixture, "/join b");
	write_reply(&fixture, leave, &left);
	expect(&fixture, "* you left OPS\n");
	expect_request(&fixture, "x", CHAT_SAY, "b", "x");
	write_reply(&fixture, join_other, &no);
	expect(&fixture, "! no_such_room\n");
	expect_line_complaint(&fixture, "x", CHAT_NOT_MEMBER, "! you are in no room; /join ROOM\n");
	end(&fixture);
}
END_TEST

/* ---- text: replies ---- */

static const struct chat_room some_rooms[] = {
	{"lobby", NULL, 0, 1}, {"ops", "all of it\x1B[2J", 42, 3}, {"Builds", "", 42, 0}};

START_TEST(test_replies)
{
	static const struct chat_member some_members[] = {
		{"anna", "anna", "a.service", UINT64_C(1795359845678)},
		{"berta", "b\x1B", NULL, 0},
		{"guest-1", NULL, NULL, 0},
	};
	static const struct chat_message some_messages[] = {
		{1, UINT64_C(1795359845678), "anna", NULL, NULL, "one\ntwo", 7},
		{2, 0, "guest-1", NULL, NULL, "", 0},
	};
	struct fixture fixture;

	begin_text(&fixture);
	ck_assert_int_eq(dialect_text.welcome(&fixture.state, "gu\xC3\xA4st", &fixture.out), 0);
	expect(&fixture, "* you are gu\xC3\xA4st; /help lists what you can do\n");
	expect_reply(&fixture, "/join ops",
		     &(struct chat_reply){
			     .op = CHAT_JOIN, .room = "ops", .n_members = 3, .topic = "all\nof it"},
		     "* you are in ops, 3 members; topic: all^Jof it\n");
	expect_reply(&fixture, "x", &(struct chat_reply){.op = CHAT_SAY, .seq = 4}, "");
	expect_reply(&fixture, "/topic x", &(struct chat_reply){.op = CHAT_TOPIC}, "");
	expect_reply(&fixture, "/nick anna", &(struct chat_reply){.op = CHAT_HELLO, .nick = "Anna"},
		     "* you are Anna now\n");
	expect_reply(
		&fixture, "/who",
		&(struct chat_reply){.op = CHAT_WHO, .members = some_members, .members_len = 3},
		"* anna, user anna, unit a.service, since 2026-11-22T15:04:05Z\n"
		"* berta, user b^[, since 1970-01-01T00:00:00Z\n"
		"* guest-1, guest, since 1970-01-01T00:00:00Z\n");
	expect_reply(&fixture, "/who b", &(struct chat_reply){.op = CHAT_WHO},
		     "* nobody is there\n");
	expect_reply(&fixture, "/history",
		     &(struct chat_reply){
			     .op = CHAT_HISTORY, .messages = some_messages, .messages_len = 2},
		     "2026-11-22T15:04:05Z [ops] anna: one\n"
		     "2026-11-22T15:04:05Z [ops] anna: two\n"
		     "1970-01-01T00:00:00Z [ops] guest-1: \n");
	expect_reply(&fixture, "/history", &(struct chat_reply){.op = CHAT_HISTORY},
		     "* ops has no messages\n");
	expect_reply(&fixture, "/rooms",
		     &(struct chat_reply){.op = CHAT_ROOMS, .rooms = some_rooms, .rooms_len = 3},
		     "* lobby, 1 member\n* ops, 3 members; topic: all of it^[[2J\n* Builds, 0 "
		     "members\n");
	expect_reply(&fixture, "/rooms", &(struct chat_reply){.op = CHAT_ROOMS},
		     "* there are no rooms\n");
	end(&fixture);
}
END_TEST

START_TEST(test_topic_alone)
{
	static const struct {
		const char *room, *expected;
	} cases[] = {
		{"lobby", "* lobby has no topic\n"},
		{"OPS", "* the topic of ops is: all of it^[[2J\n"},
		{"builds", "* Builds has no topic\n"},
		{"gone", "! there is no room \"gone\"\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture fixture;

		begin_text(&fixture);
		join(&fixture, cases[i].room);
		expect_reply(
			&fixture, "/topic",
			&(struct chat_reply){.op = CHAT_ROOMS, .rooms = some_rooms, .rooms_len = 3},
			cases[i].expected);
		end(&fixture);
	}
}
END_TEST

/* Each token is told in its words, or else as it is. */
START_TEST(test_errors)
{
	struct fixture fixture;

	begin_text(&fixture);
	for (int error = CHAT_OK + 1; error < CHAT_ERRORS; error++) {
		char expected[64];

		(void)snprintf(expected, sizeof(expected), "! %s\n",
			       chat_error_token((enum chat_error)error));
		expect_reply(&fixture, "/rooms",
			     &(struct chat_reply){.error = (enum chat_error)error}, expected);
	}
	expect_reply(&fixture, "/who opps",
		     &(struct chat_reply){.error = CHAT_NO_SUCH_ROOM,
					  .message = "there is no room \"opps\"\n\x1B"},
		     "! there is no room \"opps\"^J^[\n");
	end(&fixture);
}
END_TEST

/* ---- text: events ---- */

static struct chat_event message_event(const char *text)
{
	return (struct chat_event){
		.kind = CHAT_EVENT_MESSAGE,
		.room = "ops",
		.message = {.seq = 1, .time = moment, .from = "anna", .text = text},
	};
}

START_TEST(test_events)
{
	static const struct {
		struct chat_event event;
		const char *expected;
	} cases[] = {
		{{.kind = CHAT_EVENT_JOIN, .room = "ops", .nick = "anna"}, "* anna joined ops\n"},
		{{.kind = CHAT_EVENT_LEAVE, .room = "ops", .nick = "anna"}, "* anna left ops\n"},
		{{.kind = CHAT_EVENT_LEAVE, .room = "ops", .nick = "anna", .reason = "noise"},
		 "* anna left ops (noise)\n"},
		{{.kind = CHAT_EVENT_TOPIC, .room = "ops", .nick = "anna", .text = "a\nb"},
		 "* anna set the topic of ops: a^Jb\n"},
		{{.kind = CHAT_EVENT_GAP, .room = "ops", .first = 5, .last = 9},
		 "* ops: messages 5 to 9 are kept no longer\n"},
		{{.kind = CHAT_EVENT_GAP, .room = "ops", .first = 5, .last = 5},
		 "* ops: message 5 is kept no longer\n"},
		{{.kind = CHAT_EVENT_CLOSING, .reason = "stopping"}, "* closing: stopping\n"},
		{{.kind = CHAT_EVENT_CLOSING, .reconnect = true}, "* closing\n"},
		{{.kind = CHAT_EVENT_MESSAGE,
		  .room = "@anna",
		  .message = {.from = "anna", .text = "hi", .text_len = 2}},
		 "[@anna] anna: hi\n"},
	};
	struct fixture fixture;

	begin_text(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_event(&fixture, &cases[i].event, cases[i].expected);
	end(&fixture);
}
END_TEST

/* Each line is a message of its own, in either framing. */
START_TEST(test_lines_of_a_message)
{
	static const struct {
		const char *text, *lines, *length;
	} cases[] = {
		{"", "[ops] anna: \n", "12        [ops] anna: "},
		{"one", "[ops] anna: one\n", "15        [ops] anna: one"},
		{"one\n", "[ops] anna: one\n", "15        [ops] anna: one"},
		{"\n", "[ops] anna: \n", "12        [ops] anna: "},
		{"one\r\n\ntwo", "[ops] anna: one\n[ops] anna: \n[ops] anna: two\n",
		 "15        [ops] anna: one12        [ops] anna: 15        [ops] anna: two"},
		{"one\rtwo\r", "[ops] anna: one^Mtwo^M\n", "22        [ops] anna: one^Mtwo^M"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct chat_event event = message_event(cases[i].text);
		struct fixture fixture;

		event.message.text_len = strlen(cases[i].text);
		begin_text(&fixture);
		expect_event(&fixture, &event, cases[i].lines);
		fixture.out.framing = FRAMING_LENGTH;
		expect_event(&fixture, &event, cases[i].length);
		end(&fixture);
	}
}
END_TEST

/* A message of nothing but line ends does not grow beyond measure. */
START_TEST(test_very_many_lines)
{
	enum { N = 5 * TEXT_LINES_MAX };
	CLEANUP(freep) char *text = malloc(N + 1);
	struct chat_event event;
	struct fixture fixture;
	char last[64];

	ck_assert_ptr_nonnull(text);
	memset(text, '\n', N);
	text[N] = 'x';
	for (int extra = 0; extra <= 1; extra++) {
		event = message_event(text);
		event.message.text_len = N + (size_t)extra;
		begin_text(&fixture);
		ck_assert_int_eq(dialect_text.event(&event, &fixture.out), 0);
		(void)snprintf(last, sizeof(last), "[ops] anna: (and %d lines more)\n",
			       N + extra - TEXT_LINES_MAX);
		ck_assert_uint_eq(fixture.written.len,
				  TEXT_LINES_MAX * strlen("[ops] anna: \n") + strlen(last));
		ck_assert_mem_eq(fixture.written.data + fixture.written.len - strlen(last), last,
				 strlen(last));
		end(&fixture);
	}
	/* As many as are shown are just shown. */
	event.message.text_len = TEXT_LINES_MAX;
	begin_text(&fixture);
	ck_assert_int_eq(dialect_text.event(&event, &fixture.out), 0);
	ck_assert_uint_eq(fixture.written.len, TEXT_LINES_MAX * strlen("[ops] anna: \n"));
	end(&fixture);
}
END_TEST

/* Whatever somebody says, is called, or gives as a reason: no control character is sent. */
START_TEST(test_terminal_safety)
{
	static const char *const texts[] = {
		"\x1B[2J\x1B]0;title\x07",
		"\x9B"
		"2J",
		"\xC2\x9B"
		"2J",
		"\r* root joined ops",
		"\x7F\b\x0E",
		"\xE2\x80\xAE"
		"evil",
		"\xE2\x81\xA6",
		"\xE2\x80\xA8* root",
		"\xF3\xA0\x81\x81",
	};
	struct fixture fixture;

	begin_text(&fixture);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct chat_event event = message_event(texts[i]);

		event.message.text_len = strlen(texts[i]);
		for (int kind = 0; kind < CHAT_EVENTS; kind++) {
			event.kind = (enum chat_event_kind)kind;
			event.message.from = event.nick = event.text = event.reason = event.room =
				texts[i];
			ck_assert_int_eq(dialect_text.event(&event, &fixture.out), 0);
			ck_assert_uint_gt(fixture.written.len, 0);
			for (size_t k = 0; k < fixture.written.len - 1; k++)
				ck_assert(fixture.written.data[k] >= ' ' &&
					  fixture.written.data[k] < 0x7F);
			ck_assert_int_eq(fixture.written.data[fixture.written.len - 1], '\n');
			fixture.written.len = 0;
		}
	}
	end(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dialect");

	harness_add(suite, test_names);
	harness_add(suite, test_envelopes);
	harness_add(suite, test_object);
	harness_add(suite, test_lines);
	harness_add(suite, test_commands);
	harness_add(suite, test_help);
	harness_add(suite, test_complaints);
	harness_add(suite, test_join_counts_at_once);
	harness_add(suite, test_joins_in_flight);
	harness_add(suite, test_leave);
	harness_add(suite, test_replies);
	harness_add(suite, test_topic_alone);
	harness_add(suite, test_errors);
	harness_add(suite, test_events);
	harness_add(suite, test_lines_of_a_message);
	harness_add(suite, test_very_many_lines);
	harness_add(suite, test_terminal_safety);
	return harness_main(suite);
}
