/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The object dialect's codec: what requests are taken, and what is said of others; that the fast
 * way and the long one read the same; the exact bytes that are written; and that clients read back
 * what servers write. Tokens, names and times of lib/chat.h likewise.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "object.h"
#include "object_members.h"

/* Reading from memory of exactly this size, so that a sanitizer sees a read past its end. */
static struct chat_request *read_bytes(const void *data, size_t len)
{
	CLEANUP(freep) uint8_t *copy = malloc(len > 0 ? len : 1);
	struct chat_request *request;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, data, len);
	ck_assert_int_eq(object_read_request((struct bytes){copy, len}, &request), 0);
	memset(copy, '!', len); /* nothing of it is borrowed */
	return request;
}

static struct chat_request *read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static bool scans(const char *text)
{
	struct object_members members;

	return object_members_scan((struct bytes){(uint8_t *)text, strlen(text)}, &members);
}

static void assert_text(const char *text, const char *expected, const char *what)
{
	ck_assert_msg(!text == !expected && (!text || strcmp(text, expected) == 0),
		      "%s: \"%s\" instead of \"%s\"", what, text ? text : "(none)",
		      expected ? expected : "(none)");
}

static void assert_same(const struct chat_request *one, const struct chat_request *other,
			const char *what)
{
	ck_assert_msg(one->error == other->error &&
			      (one->error == CHAT_BAD_JSON || one->op == other->op),
		      "%s: error %d and %d, op %d and %d", what, one->error, other->error, one->op,
		      other->op);
	if (one->error != CHAT_BAD_JSON)
		assert_text(one->complaint, other->complaint, what);
	assert_text(one->id, other->id, what);
	assert_text(one->room, other->room, what);
	assert_text(one->text, other->text, what);
	assert_text(one->key, other->key, what);
	assert_text(one->nick, other->nick, what);
	assert_text(one->user, other->user, what);
	assert_text(one->password, other->password, what);
	assert_text(one->address, other->address, what);
	assert_text(one->reason, other->reason, what);
	ck_assert_uint_eq(one->text_len, other->text_len);
	ck_assert_uint_eq(one->has, other->has);
	ck_assert_uint_eq(one->since, other->since);
	ck_assert_uint_eq(one->before, other->before);
	ck_assert_uint_eq(one->after, other->after);
	ck_assert_uint_eq(one->limit, other->limit);
	ck_assert_uint_eq(one->duration, other->duration);
	ck_assert_uint_eq(one->client, other->client);
	ck_assert_uint_eq(one->n_with, other->n_with);
	for (size_t i = 0; i < one->n_with; i++)
		assert_text(one->with[i], other->with[i], what);
}

/* The same object with a member in front of it that the fast way does not take. */
static struct chat_request *read_long_way(const char *text, size_t len)
{
	const char *after = memchr(text, '{', len);
	struct buffer longer = {0};
	struct chat_request *request;
	const char *next;

	ck_assert_ptr_nonnull(after);
	after++;
	for (next = after; next < text + len && strchr(" \t\r\n", *next);)
		next++;
	ck_assert_int_eq(buffer_append(&longer, text, (size_t)(after - text)), 0);
	ck_assert_int_eq(buffer_append(&longer, "\"\":[],", *next == '}' ? 5 : 6), 0);
	ck_assert_int_eq(buffer_append(&longer, after, (size_t)(text + len - after)), 0);
	request = read_bytes(longer.data, longer.len);
	buffer_done(&longer);
	return request;
}

static void compare_ways(const char *text, size_t len)
{
	CLEANUP(freep) struct chat_request *one = read_bytes(text, len);
	CLEANUP(freep) struct chat_request *other = read_long_way(text, len);

	assert_same(one, other, text);
}

/* ---- reading requests ---- */

/* Whatever a member holds, its place is its own. */
START_TEST(test_every_op)
{
	static const struct {
		const char *text;
		struct chat_request expected;
	} cases[] = {
		{"{\"op\":\"hello\",\"nick\":\"anna\"}", {.op = CHAT_HELLO, .nick = "anna"}},
		{"{\"op\":\"hello\",\"id\":1,\"nick\":\"anna\",\"user\":\"a\",\"password\":\"p\"}",
		 {.op = CHAT_HELLO, .id = "1", .nick = "anna", .user = "a", .password = "p"}},
		{"{\"op\":\"transform\",\"with\":[\"upper\",\"reverse\"],\"text\":\"x\"}",
		 {.op = CHAT_TRANSFORM,
		  .with = {"upper", "reverse"},
		  .n_with = 2,
		  .text = "x",
		  .text_len = 1}},
		{"{\"op\":\"transform\",\"with\":[],\"text\":\"\"}",
		 {.op = CHAT_TRANSFORM, .text = ""}},
		{"{\"op\":\"join\",\"room\":\"ops\"}", {.op = CHAT_JOIN, .room = "ops"}},
		{"{\"op\":\"join\",\"room\":\"ops\",\"since\":0}",
		 {.op = CHAT_JOIN, .room = "ops", .has = CHAT_HAS_SINCE}},
		{"{\"op\":\"join\",\"room\":\"ops\",\"since\":9223372036854775807}",
		 {.op = CHAT_JOIN, .room = "ops", .has = CHAT_HAS_SINCE, .since = INT64_MAX}},
		{"{\"op\":\"leave\",\"room\":\"ops\"}", {.op = CHAT_LEAVE, .room = "ops"}},
		{"{\"op\":\"say\",\"id\":7,\"room\":\"ops\",\"text\":\"deploy done\"}",
		 {.op = CHAT_SAY, .id = "7", .room = "ops", .text = "deploy done", .text_len = 11}},
		{"{\"op\":\"say\",\"room\":\"@anna\",\"text\":\"\",\"key\":\"k\"}",
		 {.op = CHAT_SAY, .room = "@anna", .text = "", .key = "k"}},
		{"{\"op\":\"history\",\"room\":\"ops\"}", {.op = CHAT_HISTORY, .room = "ops"}},
		{"{\"op\":\"history\",\"room\":\"o\",\"before\":9,\"after\":2,\"limit\":1000}",
		 {.op = CHAT_HISTORY,
		  .room = "o",
		  .has = CHAT_HAS_BEFORE | CHAT_HAS_AFTER | CHAT_HAS_LIMIT,
		  .before = 9,
		  .after = 2,
		  .limit = 1000}},
		{"{\"op\":\"topic\",\"room\":\"ops\",\"text\":\"all\"}",
		 {.op = CHAT_TOPIC, .room = "ops", .text = "all", .text_len = 3}},
		{"{\"op\":\"who\"}", {.op = CHAT_WHO}},
		{"{\"op\":\"who\",\"room\":\"ops\"}", {.op = CHAT_WHO, .room = "ops"}},
		{"{\"op\":\"rooms\",\"room\":\"ignored\"}", {.op = CHAT_ROOMS}},
		{"{\"op\":\"ping\"}", {.op = CHAT_PING}},
		{"{\"op\":\"ping\",\"text\":\"\"}", {.op = CHAT_PING, .text = ""}},
		{"{\"op\":\"stats\"}", {.op = CHAT_STATS}},
		{"{\"op\":\"clients\"}", {.op = CHAT_CLIENTS}},
		{"{\"op\":\"kick\",\"nick\":\"anna\",\"room\":\"ops\",\"reason\":\"noise\"}",
		 {.op = CHAT_KICK, .nick = "anna", .room = "ops", .reason = "noise"}},
		{"{\"op\":\"kick\",\"user\":\"anna\"}", {.op = CHAT_KICK, .user = "anna"}},
		{"{\"op\":\"kick\",\"client\":12}",
		 {.op = CHAT_KICK, .has = CHAT_HAS_CLIENT, .client = 12}},
		{"{\"op\":\"ban\",\"address\":\"fd00::/8\",\"duration\":60,\"reason\":\"r\"}",
		 {.op = CHAT_BAN,
		  .address = "fd00::/8",
		  .has = CHAT_HAS_DURATION,
		  .duration = 60,
		  .reason = "r"}},
		{"{\"op\":\"unban\",\"user\":\"anna\"}", {.op = CHAT_UNBAN, .user = "anna"}},
		{"{\"op\":\"mute\",\"nick\":\"anna\"}", {.op = CHAT_MUTE, .nick = "anna"}},
		{"{\"op\":\"unmute\",\"nick\":\"anna\"}", {.op = CHAT_UNMUTE, .nick = "anna"}},
		{"{\"op\":\"reload\"}", {.op = CHAT_RELOAD}},
		{"{\"op\":\"health\"}", {.op = CHAT_HEALTH}},
	};
	bool seen[CHAT_OPS] = {false};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) struct chat_request *request = read_text(cases[i].text);

		assert_same(request, &cases[i].expected, cases[i].text);
		compare_ways(cases[i].text, strlen(cases[i].text));
		seen[request->op] = true;
	}
	for (size_t op = 0; op < CHAT_OPS; op++)
		ck_assert_msg(seen[op], "%s is not tested", chat_op_name((enum chat_op)op));
}
END_TEST

/* What is wrong, what is said of it, and what is known of it all the same. */
static const struct bad {
	const char *text;
	int error, op;
	const char *complaint, *id;
} bad_requests[] = {
	{"", CHAT_BAD_JSON, CHAT_OPS, "unexpected end at byte 0", NULL},
	{"hello", CHAT_BAD_JSON, CHAT_OPS, "expected a value at byte 0", NULL},
	{"{\"op\":\"ping\"", CHAT_BAD_JSON, CHAT_OPS, "unexpected end at byte 12", NULL},
	{"{\"op\":\"ping\",}", CHAT_BAD_JSON, CHAT_OPS, "expected a member's name at byte 13",
	 NULL},
	{"{\"op\":\"ping\"}}", CHAT_BAD_JSON, CHAT_OPS, "expected nothing more at byte 13", NULL},
	{"{\"op\":\"pi\nng\"}", CHAT_BAD_JSON, CHAT_OPS, "control character in a string at byte 9",
	 NULL},
	{"{\"op\":\"ping\",\"text\":\"\xFF\"}", CHAT_BAD_JSON, CHAT_OPS, "invalid UTF-8 at byte 21",
	 NULL},
	{"{\"op\":\"ping\",\"text\":\"\xED\xA0\x80\"}", CHAT_BAD_JSON, CHAT_OPS,
	 "invalid UTF-8 at byte 21", NULL},
	{"{\"op\":\"ping\",\"text\":\"\\uD800\"}", CHAT_BAD_JSON, CHAT_OPS,
	 "unpaired surrogate at byte 21", NULL},
	{"{\"op\":\"ping\",\"id\":01}", CHAT_BAD_JSON, CHAT_OPS, "bad number at byte 19", NULL},
	{"[]", CHAT_BAD_REQUEST, CHAT_OPS, "a request has to be an object", NULL},
	{"7", CHAT_BAD_REQUEST, CHAT_OPS, "a request has to be an object", NULL},
	{"null", CHAT_BAD_REQUEST, CHAT_OPS, "a request has to be an object", NULL},
	{"{}", CHAT_BAD_REQUEST, CHAT_OPS, "a request needs a member \"op\"", NULL},
	{"{\"id\":7}", CHAT_BAD_REQUEST, CHAT_OPS, "a request needs a member \"op\"", "7"},
	{"{\"op\":5,\"id\":7}", CHAT_BAD_REQUEST, CHAT_OPS, "\"op\" has to be a string", "7"},
	{"{\"op\":null,\"id\":7}", CHAT_BAD_REQUEST, CHAT_OPS, "\"op\" has to be a string", "7"},
	{"{\"op\":\"say\\u0000\",\"id\":7}", CHAT_BAD_REQUEST, CHAT_OPS, "\"op\" holds a NUL", "7"},
	{"{\"op\":\"sya\",\"id\":\"a\"}", CHAT_UNKNOWN_OP, CHAT_OPS,
	 "there is no op \"sya\"; did you mean \"say\"?", "\"a\""},
	{"{\"op\":\"\"}", CHAT_UNKNOWN_OP, CHAT_OPS, "there is no op \"\"", NULL},
	{"{\"op\":\"SAY\"}", CHAT_UNKNOWN_OP, CHAT_OPS, "there is no op \"SAY\"", NULL},
	{"{\"op\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxä\"}", CHAT_UNKNOWN_OP, CHAT_OPS,
	 "there is no op \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\"", NULL},
	{"{\"op\":\"ping\",\"id\":1.5}", CHAT_BAD_REQUEST, CHAT_PING,
	 "\"id\" has to be a string or a whole number", NULL},
	{"{\"op\":\"ping\",\"id\":null}", CHAT_BAD_REQUEST, CHAT_PING,
	 "\"id\" has to be a string or a whole number", NULL},
	{"{\"op\":\"ping\",\"id\":[7]}", CHAT_BAD_REQUEST, CHAT_PING,
	 "\"id\" has to be a string or a whole number", NULL},
	{"{\"op\":\"hello\",\"id\":7}", CHAT_BAD_REQUEST, CHAT_HELLO,
	 "\"hello\" needs a member \"nick\"", "7"},
	{"{\"op\":\"hello\",\"id\":7,\"nick\":null}", CHAT_BAD_REQUEST, CHAT_HELLO,
	 "\"nick\" has to be a string", "7"},
	{"{\"op\":\"transform\",\"text\":\"\"}", CHAT_BAD_REQUEST, CHAT_TRANSFORM,
	 "\"transform\" needs a member \"with\"", NULL},
	{"{\"op\":\"transform\",\"with\":[]}", CHAT_BAD_REQUEST, CHAT_TRANSFORM,
	 "\"transform\" needs a member \"text\"", NULL},
	{"{\"op\":\"transform\",\"text\":\"\",\"with\":\"upper\"}", CHAT_BAD_REQUEST,
	 CHAT_TRANSFORM, "\"with\" has to be a list of at most 16 strings", NULL},
	{"{\"op\":\"transform\",\"text\":\"\",\"with\":[\"upper\",5]}", CHAT_BAD_REQUEST,
	 CHAT_TRANSFORM, "\"with\" has to be a list of at most 16 strings", NULL},
	{"{\"op\":\"transform\",\"text\":\"\",\"with\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
	 "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}",
	 CHAT_BAD_REQUEST, CHAT_TRANSFORM, "\"with\" has to be a list of at most 16 strings", NULL},
	{"{\"op\":\"transform\",\"text\":\"\",\"with\":[\"a\\u0000\"]}", CHAT_BAD_REQUEST,
	 CHAT_TRANSFORM, "\"with\" holds a NUL", NULL},
	{"{\"op\":\"join\"}", CHAT_BAD_REQUEST, CHAT_JOIN, "\"join\" needs a member \"room\"",
	 NULL},
	{"{\"op\":\"join\",\"room\":7}", CHAT_BAD_REQUEST, CHAT_JOIN, "\"room\" has to be a string",
	 NULL},
	{"{\"op\":\"join\",\"room\":\"o\",\"since\":-1}", CHAT_BAD_REQUEST, CHAT_JOIN,
	 "\"since\" has to be a whole number from 0 to 9223372036854775807", NULL},
	{"{\"op\":\"join\",\"room\":\"o\",\"since\":\"1\"}", CHAT_BAD_REQUEST, CHAT_JOIN,
	 "\"since\" has to be a whole number from 0 to 9223372036854775807", NULL},
	{"{\"op\":\"join\",\"room\":\"o\",\"since\":1.0}", CHAT_BAD_REQUEST, CHAT_JOIN,
	 "\"since\" has to be a whole number from 0 to 9223372036854775807", NULL},
	{"{\"op\":\"join\",\"id\":7,\"room\":\"o\",\"since\":9223372036854775808}",
	 CHAT_BAD_REQUEST, CHAT_JOIN,
	 "\"since\" has to be a whole number from 0 to 9223372036854775807", "7"},
	{"{\"op\":\"join\",\"id\":7,\"room\":\"o\",\"since\":1e999}", CHAT_BAD_REQUEST, CHAT_JOIN,
	 "\"since\" has to be a whole number from 0 to 9223372036854775807", "7"},
	{"{\"op\":\"leave\"}", CHAT_BAD_REQUEST, CHAT_LEAVE, "\"leave\" needs a member \"room\"",
	 NULL},
	{"{\"op\":\"say\",\"text\":\"\"}", CHAT_BAD_REQUEST, CHAT_SAY,
	 "\"say\" needs a member \"room\"", NULL},
	{"{\"op\":\"say\",\"room\":\"\"}", CHAT_BAD_REQUEST, CHAT_SAY,
	 "\"say\" needs a member \"text\"", NULL},
	{"{\"op\":\"say\",\"room\":\"o\",\"text\":{}}", CHAT_BAD_REQUEST, CHAT_SAY,
	 "\"text\" has to be a string", NULL},
	{"{\"op\":\"say\",\"room\":\"o\",\"text\":\"a\\u0000b\"}", CHAT_BAD_REQUEST, CHAT_SAY,
	 "\"text\" holds a NUL", NULL},
	{"{\"op\":\"say\",\"room\":\"o\",\"text\":\"\",\"key\":\"\"}", CHAT_BAD_REQUEST, CHAT_SAY,
	 "\"key\" has to be 1 to 64 bytes long", NULL},
	{"{\"op\":\"say\",\"room\":\"o\",\"text\":\"\",\"key\":"
	 "\"0123456789012345678901234567890123456789012345678901234567890123x\"}",
	 CHAT_BAD_REQUEST, CHAT_SAY, "\"key\" has to be 1 to 64 bytes long", NULL},
	{"{\"op\":\"history\"}", CHAT_BAD_REQUEST, CHAT_HISTORY,
	 "\"history\" needs a member \"room\"", NULL},
	{"{\"op\":\"history\",\"room\":\"o\",\"limit\":0}", CHAT_BAD_REQUEST, CHAT_HISTORY,
	 "\"limit\" has to be a whole number from 1 to 1000", NULL},
	{"{\"op\":\"history\",\"room\":\"o\",\"limit\":1001}", CHAT_BAD_REQUEST, CHAT_HISTORY,
	 "\"limit\" has to be a whole number from 1 to 1000", NULL},
	{"{\"op\":\"history\",\"room\":\"o\",\"before\":true}", CHAT_BAD_REQUEST, CHAT_HISTORY,
	 "\"before\" has to be a whole number from 0 to 9223372036854775807", NULL},
	{"{\"op\":\"topic\",\"room\":\"o\"}", CHAT_BAD_REQUEST, CHAT_TOPIC,
	 "\"topic\" needs a member \"text\"", NULL},
	{"{\"op\":\"who\",\"room\":[]}", CHAT_BAD_REQUEST, CHAT_WHO, "\"room\" has to be a string",
	 NULL},
	{"{\"op\":\"kick\",\"room\":\"o\"}", CHAT_BAD_REQUEST, CHAT_KICK,
	 "\"kick\" needs one, and only one, of \"nick\", \"user\" and \"client\"", NULL},
	{"{\"op\":\"kick\",\"nick\":\"a\",\"client\":1}", CHAT_BAD_REQUEST, CHAT_KICK,
	 "\"kick\" needs one, and only one, of \"nick\", \"user\" and \"client\"", NULL},
	{"{\"op\":\"ban\",\"client\":1}", CHAT_BAD_REQUEST, CHAT_BAN,
	 "\"ban\" needs one, and only one, of \"nick\", \"user\" and \"address\"", NULL},
	{"{\"op\":\"ban\",\"nick\":\"a\",\"duration\":0}", CHAT_BAD_REQUEST, CHAT_BAN,
	 "\"duration\" has to be a whole number from 1 to 3155760000", NULL},
	{"{\"op\":\"mute\",\"nick\":\"a\",\"duration\":3155760001}", CHAT_BAD_REQUEST, CHAT_MUTE,
	 "\"duration\" has to be a whole number from 1 to 3155760000", NULL},
	{"{\"op\":\"unban\"}", CHAT_BAD_REQUEST, CHAT_UNBAN,
	 "\"unban\" needs one, and only one, of \"nick\", \"user\" and \"address\"", NULL},
	{"{\"op\":\"unmute\",\"nick\":\"a\",\"user\":\"b\"}", CHAT_BAD_REQUEST, CHAT_UNMUTE,
	 "\"unmute\" needs one, and only one, of \"nick\", \"user\" and \"address\"", NULL},
};

START_TEST(test_bad_requests)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		const struct bad *bad = &bad_requests[i];
		CLEANUP(freep) struct chat_request *request = read_text(bad->text);

		ck_assert_msg((int)request->error == bad->error, "%s: error %d", bad->text,
			      request->error);
		ck_assert_msg((int)request->op == bad->op, "%s: op %d", bad->text, request->op);
		assert_text(request->complaint, bad->complaint, bad->text);
		assert_text(request->id, bad->id, bad->text);
		ck_assert_ptr_null(request->room);
		ck_assert_ptr_null(request->text);
		ck_assert_uint_eq(request->has, 0);
		if (bad->text[0] == '{' && bad->error != CHAT_BAD_JSON)
			compare_ways(bad->text, strlen(bad->text));
	}
}
END_TEST

/* A zero byte is no JSON, wherever it stands; its message has more than a C string. */
START_TEST(test_nul_bytes)
{
	static const char message[] = "{\"op\":\"ping\",\"text\":\"x\"}";
	char changed[sizeof(message)];

	for (size_t i = 0; i < sizeof(message); i++) {
		CLEANUP(freep) struct chat_request *request = NULL;
		char complaint[64];

		memcpy(changed, message, sizeof(message));
		changed[i] = '\0';
		request = read_bytes(changed, sizeof(message));
		(void)snprintf(complaint, sizeof(complaint), " at byte %zu", i);
		ck_assert_int_eq(request->error, CHAT_BAD_JSON);
		ck_assert_msg(strstr(request->complaint, complaint), "%s, not %s",
			      request->complaint, complaint);
	}
}
END_TEST

START_TEST(test_ids)
{
	static const struct {
		const char *id, *echo;
	} cases[] = {
		{"0", "0"},
		{"7", "7"},
		{"-1", "-1"},
		{"-0", "-0"},
		{"999999999999999", "999999999999999"},
		{"1000000000000000", "1000000000000000"},
		{"9223372036854775807", "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		{"\"\"", "\"\""},
		{"\"a\"", "\"a\""},
		{"\"ä\\\"\\\\\\/\\n\"", "\"ä\\\"\\\\/\\n\""},
		{"\"\\u0000\"", "\"\\u0000\""},
		{"\"\x7F\xC2\x85\xE2\x80\xA8\"", "\"\\u007f\\u0085\\u2028\""},
		{"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) struct chat_request *request = NULL;
		char text[128];

		(void)snprintf(text, sizeof(text), "{\"id\":%s,\"op\":\"ping\"}", cases[i].id);
		request = read_text(text);
		ck_assert_int_eq(request->error, CHAT_OK);
		assert_text(request->id, cases[i].echo, text);
		compare_ways(text, strlen(text));
	}
}
END_TEST

/* What the fast way takes, and that it takes what is on the way of every message. */
START_TEST(test_fast_way)
{
	static const char *const taken[] = {
		"{\"op\":\"say\",\"id\":7,\"room\":\"ops\",\"text\":\"deploy "
		"done\",\"key\":\"k-1\"}",
		"{\"op\": \"say\", \"id\": 7, \"room\": \"ops\", \"text\": \"deploy done\"}",
		" {\t\"op\"\r\n:\"say\" , \"room\" : \"\",\"text\":\"grüße, 世界 😀\" }\n",
		"{\"op\":\"say\",\"id\":\"a\",\"room\":\"o\",\"text\":\"\",\"x\":0,\"longer than "
		"all\":5}",
		"{\"op\":\"join\",\"room\":\"o\",\"room\":\"last\",\"since\":999999999999999}",
	};
	static const char *const left[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"op\"}",
		"{\"op\":}",
		"{\"op\":\"say\"",
		"{\"op\":\"say\",}",
		"{\"op\":\"say\"}x",
		"{\"op\":\"s\\u0061y\"}",
		"{\"op\":\"say\",\"since\":1000000000000000}",
		"{\"op\":\"say\",\"since\":-1}",
		"{\"op\":\"say\",\"since\":01}",
		"{\"op\":\"say\",\"since\":1.5}",
		"{\"op\":\"say\",\"since\":1e5}",
		"{\"op\":\"say\",\"x\":null}",
		"{\"op\":\"say\",\"x\":{}}",
		"{\"op\":\"say\",\"x\":\"\xC3\"}",
		"{\"op\":\"say\",\"x\":\"a\tb\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		ck_assert_msg(scans(taken[i]), "%s", taken[i]);
		compare_ways(taken[i], strlen(taken[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		ck_assert_msg(!scans(left[i]), "%s", left[i]);
}
END_TEST

/* Names are names however they are written, and of a member that is there twice the last counts. */
START_TEST(test_names_and_doubles)
{
	CLEANUP(freep)
	struct chat_request *escaped =
		read_text("{\"\\u006Fp\":\"p\\u0069ng\",\"te\\u0078t\":\"\\ud83d\\ude00\\t\"}");
	CLEANUP(freep)
	struct chat_request *twice =
		read_text("{\"op\":\"say\",\"room\":7,\"text\":[],\"op\":\"who\",\"room\":\"b\"}");
	CLEANUP(freep)
	struct chat_request *longer = read_text(
		"{\"op\":\"who\",\"rooms\":1,\"op\\u0000\":2,\"roo\":3,\"passwords\":{}}");

	ck_assert_int_eq(escaped->op, CHAT_PING);
	assert_text(escaped->text, "\xF0\x9F\x98\x80\t", "escaped");
	ck_assert_int_eq(twice->error, CHAT_OK);
	ck_assert_int_eq(twice->op, CHAT_WHO);
	assert_text(twice->room, "b", "twice");
	ck_assert_int_eq(longer->error, CHAT_OK);
	ck_assert_int_eq(longer->op, CHAT_WHO);
}
END_TEST

/* However deep, long or large: what nobody asks for is passed over. */
START_TEST(test_ignored_members)
{
	enum { DEPTH = 100000 };
	CLEANUP(freep) char *text = malloc(2 * DEPTH + 256);
	CLEANUP(freep) struct chat_request *request = NULL;
	char *at = text;

	ck_assert_ptr_nonnull(text);
	at = stpcpy(at, "{\"id\":7,\"x\":");
	memset(at, '[', DEPTH);
	at += DEPTH;
	at = stpcpy(at, "{\"op\":\"]}\\\"\"}");
	memset(at, ']', DEPTH);
	at += DEPTH;
	at = stpcpy(at, ",\"y\":-1.5e+9999,\"z\":12345678901234567890123,\"key\":null,"
			"\"nick\":\"\\u0000\",\"\\u0000\":true,\"op\":\"ping\"}");
	request = read_bytes(text, (size_t)(at - text));
	ck_assert_int_eq(request->error, CHAT_OK);
	ck_assert_int_eq(request->op, CHAT_PING);
	assert_text(request->id, "7", "id");
}
END_TEST

/* A quote in a string that is passed over does not end it. */
START_TEST(test_ignored_quotes)
{
	static const char *const texts[] = {
		"{\"op\":\"ping\",\"x\":\"a\\\",\\\"op\\\":\\\"who\\\",\\\"y\"}",
		"{\"op\":\"ping\",\"x\":[\"\\\\\",\"\\\"]\"],\"y\":{\"op\":\"who\"}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(freep) struct chat_request *request = read_text(texts[i]);

		ck_assert_int_eq(request->error, CHAT_OK);
		ck_assert_int_eq(request->op, CHAT_PING);
	}
}
END_TEST

/* A message that ends anywhere, and one of which any byte is another. */
START_TEST(test_cut_and_changed)
{
	static const char message[] =
		" {\"op\" : \"say\", \"id\":12,\"room\":\"gr\xC3\xBC\xC3\x9F\x65\",\"text\":\"one, "
		"two "
		"three\",\"key\":\"0123456789\"} ";
	static const char others[] = "\"\\{}[]:,0-.e \n\x01\x7F\x80\xC3\xE2\xFFn";
	char changed[sizeof(message)];

	for (size_t len = 0; len < sizeof(message) - 2; len++) {
		CLEANUP(freep) struct chat_request *request = read_bytes(message, len);

		ck_assert_int_eq(request->error, CHAT_BAD_JSON);
	}
	for (size_t i = 2; i < sizeof(message) - 1; i++)
		for (size_t k = 0; k < sizeof(others) - 1; k++) {
			memcpy(changed, message, sizeof(message));
			changed[i] = others[k];
			compare_ways(changed, sizeof(message) - 1);
		}
}
END_TEST

/* No control character is written, nor a separator of lines. */
static void assert_plain(const struct buffer *written)
{
	for (size_t i = 0; i < written->len; i++)
		ck_assert(written->data[i] >= ' ' && written->data[i] != 0x7F);
	ck_assert_ptr_null(memmem(written->data, written->len, "\xE2\x80\xA8", 3));
}

/* Strings of every length, each with what must not be copied at every place. */
START_TEST(test_strings_of_every_length)
{
	static const char *const stops[] = {"\\n", "\\\"", "\xC3\xA4", "\xE2\x80\xA8", "\x7F"};
	static const char *const meanings[] = {"\n", "\"", "\xC3\xA4", "\xE2\x80\xA8", "\x7F"};
	char text[256], expected[128];

	for (size_t len = 0; len < 40; len++)
		for (size_t at = 0; at <= len; at++)
			for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
				CLEANUP(freep) struct chat_request *request = NULL;
				struct buffer written = {0};

				(void)snprintf(expected, sizeof(expected), "%.*s%s%.*s", (int)at,
					       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
					       meanings[i], (int)(len - at),
					       "0123456789012345678901234567890123456789");
				(void)snprintf(text, sizeof(text),
					       "{\"op\":\"ping\",\"text\":\"%.*s%s%.*s\"}", (int)at,
					       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
					       stops[i], (int)(len - at),
					       "0123456789012345678901234567890123456789");
				request = read_text(text);
				assert_text(request->text, expected, text);
				ck_assert_uint_eq(request->text_len, strlen(expected));

				ck_assert_int_eq(object_write_request(&written, request), 0);
				free(request);
				request = read_bytes(written.data, written.len);
				assert_text(request->text, expected, "written");
				assert_plain(&written);
				buffer_done(&written);
			}
}
END_TEST

/* ---- writing ---- */

static void assert_written(struct buffer *buffer, int r, const char *expected)
{
	ck_assert_int_eq(r, 0);
	assert_bytes(buffer->data, buffer->len, expected, strlen(expected), "written");
	buffer->len = 0;
}

START_TEST(test_write_string)
{
	static const struct {
		const char *text;
		size_t len;
		const char *expected;
	} cases[] = {
		{"", 0, "\"\""},
		{"plain", 5, "\"plain\""},
		{"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
		{"\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\""},
		{"\0\x01\x1F\x7F", 4, "\"\\u0000\\u0001\\u001f\\u007f\""},
		{"\xC2\x80\xC2\x9F\xC2\xA0\xC3\xA4", 8, "\"\\u0080\\u009f\xC2\xA0\xC3\xA4\""},
		{"\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xA9\xE2\x82\xAC", 12,
		 "\"\xE2\x80\xA7\\u2028\\u2029\xE2\x82\xAC\""},
		{"a\xFFz\xC3", 4, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\""},
		{"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xF0\x9F\x98\x80", 4, "\"\xF0\x9F\x98\x80\""},
	};
	struct buffer buffer = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_written(&buffer, object_append_string(&buffer, cases[i].text, cases[i].len),
			       cases[i].expected);
	buffer_done(&buffer);
}
END_TEST

/* 2026-11-22T15:04:05.678Z */
static const uint64_t moment = UINT64_C(1795359845678);

static const char *const some_transforms[] = {"echo", "upper", NULL};
static const struct chat_limits some_limits = {1, 2, 3, 4, 5, 6};
static const struct chat_member some_members[] = {
	{"anna", "anna", "a.service", UINT64_C(1795359845678)},
	{"guest-1", NULL, NULL, 0},
};
static const struct chat_room some_rooms[] = {{"ops", "all of it", 42, 3}, {"lobby", NULL, 0, 0}};
static const struct chat_message some_messages[] = {
	{1, UINT64_C(1795359845678), "anna", "anna", "a.service", "one\ntwo", 7},
	{2, 0, "guest-1", NULL, NULL, "", 0},
};

#define TIME   "\"2026-11-22T15:04:05.678Z\""
#define TIME_0 "\"1970-01-01T00:00:00.000Z\""

static const struct {
	struct chat_reply reply;
	const char *expected;
} replies[] = {
	{{.op = CHAT_SAY, .id = "7", .room = "ops", .seq = 42, .time = UINT64_C(1795359845678)},
	 "{\"id\":7,\"ok\":true,\"room\":\"ops\",\"seq\":42,\"time\":" TIME "}"},
	{{.op = CHAT_SAY, .room = "ops", .seq = UINT64_MAX, .duplicate = true},
	 "{\"ok\":true,\"room\":\"ops\",\"seq\":18446744073709551615,\"time\":" TIME_0
	 ",\"duplicate\":true}"},
	{{.op = CHAT_SAY,
	  .id = "8",
	  .error = CHAT_NO_SUCH_ROOM,
	  .message = "there is no room \"opps\"",
	  .room = "ops",
	  .seq = 5},
	 "{\"id\":8,\"ok\":false,\"error\":\"no_such_room\","
	 "\"message\":\"there is no room \\\"opps\\\"\"}"},
	{{.error = CHAT_SLOW_DOWN, .message = "m", .retry_after = 2000},
	 "{\"ok\":false,\"error\":\"slow_down\",\"message\":\"m\",\"retry_after\":2}"},
	{{.error = CHAT_SLOW_DOWN, .retry_after = 1050},
	 "{\"ok\":false,\"error\":\"slow_down\",\"message\":\"\",\"retry_after\":1.050}"},
	{{.op = CHAT_HELLO,
	  .id = "\"a\"",
	  .nick = "anna",
	  .user = "root",
	  .server = "retortd",
	  .version = "1",
	  .limits = &some_limits,
	  .transforms = some_transforms},
	 "{\"id\":\"a\",\"ok\":true,\"nick\":\"anna\",\"user\":\"root\",\"server\":\"retortd\","
	 "\"version\":\"1\",\"limits\":{\"max_message\":1,\"max_text\":2,\"max_topic\":3,"
	 "\"max_rooms\":4,\"rate\":5,\"burst\":6},\"transforms\":[\"echo\",\"upper\"]}"},
	{{.op = CHAT_HELLO, .nick = "g", .server = "s", .version = "1"},
	 "{\"ok\":true,\"nick\":\"g\",\"user\":null,\"server\":\"s\",\"version\":\"1\"}"},
	{{.op = CHAT_TRANSFORM, .text = "X\"", .text_len = 2}, "{\"ok\":true,\"text\":\"X\\\"\"}"},
	{{.op = CHAT_PING}, "{\"ok\":true}"},
	{{.op = CHAT_PING, .text = "", .text_len = 0}, "{\"ok\":true,\"text\":\"\"}"},
	{{.op = CHAT_JOIN, .room = "ops", .seq = 9, .oldest = 3, .n_members = 2, .topic = "t"},
	 "{\"ok\":true,\"room\":\"ops\",\"seq\":9,\"oldest\":3,\"members\":2,\"topic\":\"t\"}"},
	{{.op = CHAT_JOIN, .room = "ops"},
	 "{\"ok\":true,\"room\":\"ops\",\"seq\":0,\"oldest\":0,\"members\":0,\"topic\":\"\"}"},
	{{.op = CHAT_LEAVE, .id = "1", .room = "ops"}, "{\"id\":1,\"ok\":true,\"room\":\"ops\"}"},
	{{.op = CHAT_TOPIC, .id = "1"}, "{\"id\":1,\"ok\":true}"},
	{{.op = CHAT_HISTORY,
	  .room = "ops",
	  .messages = some_messages,
	  .messages_len = 2,
	  .oldest = 1,
	  .seq = 2},
	 "{\"ok\":true,\"room\":\"ops\",\"messages\":[{\"seq\":1,\"time\":" TIME
	 ",\"from\":\"anna\",\"text\":\"one\\ntwo\",\"user\":\"anna\",\"unit\":\"a.service\"},"
	 "{\"seq\":2,\"time\":" TIME_0 ",\"from\":\"guest-1\",\"text\":\"\"}],"
	 "\"oldest\":1,\"seq\":2}"},
	{{.op = CHAT_HISTORY, .room = "ops"},
	 "{\"ok\":true,\"room\":\"ops\",\"messages\":[],\"oldest\":0,\"seq\":0}"},
	{{.op = CHAT_WHO, .members = some_members, .members_len = 2},
	 "{\"ok\":true,\"members\":[{\"nick\":\"anna\",\"user\":\"anna\",\"unit\":\"a.service\","
	 "\"since\":" TIME "},{\"nick\":\"guest-1\",\"user\":null,\"since\":" TIME_0 "}]}"},
	{{.op = CHAT_WHO}, "{\"ok\":true,\"members\":[]}"},
	{{.op = CHAT_ROOMS, .rooms = some_rooms, .rooms_len = 2},
	 "{\"ok\":true,\"rooms\":[{\"room\":\"ops\",\"seq\":42,\"members\":3,"
	 "\"topic\":\"all of it\"},{\"room\":\"lobby\",\"seq\":0,\"members\":0,\"topic\":\"\"}]}"},
	{{.op = CHAT_ROOMS}, "{\"ok\":true,\"rooms\":[]}"},
	{{.op = CHAT_STATS, .id = "1", .json = "\"uptime\":5,\"rooms\":2"},
	 "{\"id\":1,\"ok\":true,\"uptime\":5,\"rooms\":2}"},
	{{.op = CHAT_KICK, .json = "\"kicked\":2"}, "{\"ok\":true,\"kicked\":2}"},
	{{.op = CHAT_RELOAD}, "{\"ok\":true}"},
	{{.op = CHAT_RELOAD, .json = ""}, "{\"ok\":true}"},
};

START_TEST(test_write_replies)
{
	struct buffer buffer = {0};

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		assert_written(&buffer, object_write_reply(&buffer, &replies[i].reply),
			       replies[i].expected);
	buffer_done(&buffer);
}
END_TEST

static const struct {
	struct chat_event event;
	const char *expected;
} events[] = {
	{{.kind = CHAT_EVENT_MESSAGE,
	  .room = "ops",
	  .message = {.seq = 42,
		      .time = UINT64_C(1795359845678),
		      .from = "anna",
		      .text = "deploy done",
		      .text_len = 11}},
	 "{\"event\":\"message\",\"room\":\"ops\",\"seq\":42,\"time\":" TIME
	 ",\"from\":\"anna\",\"text\":\"deploy done\"}"},
	{{.kind = CHAT_EVENT_MESSAGE,
	  .room = "@anna",
	  .message = {1, UINT64_C(1795359845678), "b", "berta", "b.service", "\x1B[2J", 4}},
	 "{\"event\":\"message\",\"room\":\"@anna\",\"seq\":1,\"time\":" TIME
	 ",\"from\":\"b\",\"text\":\"\\u001b[2J\",\"user\":\"berta\",\"unit\":\"b.service\"}"},
	{{.kind = CHAT_EVENT_JOIN, .room = "ops", .nick = "anna"},
	 "{\"event\":\"join\",\"room\":\"ops\",\"nick\":\"anna\"}"},
	{{.kind = CHAT_EVENT_LEAVE, .room = "ops", .nick = "anna"},
	 "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"anna\"}"},
	{{.kind = CHAT_EVENT_LEAVE, .room = "ops", .nick = "anna", .reason = "kicked"},
	 "{\"event\":\"leave\",\"room\":\"ops\",\"nick\":\"anna\",\"reason\":\"kicked\"}"},
	{{.kind = CHAT_EVENT_TOPIC, .room = "ops", .nick = "anna", .text = "t"},
	 "{\"event\":\"topic\",\"room\":\"ops\",\"nick\":\"anna\",\"text\":\"t\"}"},
	{{.kind = CHAT_EVENT_GAP, .room = "ops", .first = 5, .last = 9},
	 "{\"event\":\"gap\",\"room\":\"ops\",\"first\":5,\"last\":9}"},
	{{.kind = CHAT_EVENT_CLOSING, .reason = "stopping", .reconnect = true},
	 "{\"event\":\"closing\",\"reason\":\"stopping\",\"reconnect\":true}"},
	{{.kind = CHAT_EVENT_CLOSING},
	 "{\"event\":\"closing\",\"reason\":\"\",\"reconnect\":false}"},
};

START_TEST(test_write_events)
{
	struct buffer buffer = {0};
	bool seen[CHAT_EVENTS] = {false};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		assert_written(&buffer, object_write_event(&buffer, &events[i].event),
			       events[i].expected);
		seen[events[i].event.kind] = true;
	}
	for (size_t kind = 0; kind < CHAT_EVENTS; kind++)
		ck_assert(seen[kind]);
	buffer_done(&buffer);
}
END_TEST

START_TEST(test_write_requests)
{
	static const struct {
		struct chat_request request;
		const char *expected;
	} cases[] = {
		{{.op = CHAT_SAY,
		  .id = "7",
		  .room = "ops",
		  .text = "deploy done",
		  .text_len = 11,
		  .key = "k"},
		 "{\"op\":\"say\",\"id\":7,\"room\":\"ops\",\"text\":\"deploy "
		 "done\",\"key\":\"k\"}"},
		{{.op = CHAT_HELLO, .nick = "a", .user = "u", .password = "p\""},
		 "{\"op\":\"hello\",\"nick\":\"a\",\"user\":\"u\",\"password\":\"p\\\"\"}"},
		{{.op = CHAT_TRANSFORM, .with = {"upper", "lower"}, .n_with = 2, .text = ""},
		 "{\"op\":\"transform\",\"with\":[\"upper\",\"lower\"],\"text\":\"\"}"},
		{{.op = CHAT_TRANSFORM, .text = ""},
		 "{\"op\":\"transform\",\"with\":[],\"text\":\"\"}"},
		{{.op = CHAT_HISTORY,
		  .room = "o",
		  .has = CHAT_HAS_BEFORE | CHAT_HAS_AFTER | CHAT_HAS_LIMIT,
		  .before = 3,
		  .limit = 2},
		 "{\"op\":\"history\",\"room\":\"o\",\"before\":3,\"after\":0,\"limit\":2}"},
		{{.op = CHAT_JOIN, .room = "o", .has = CHAT_HAS_SINCE, .since = 0},
		 "{\"op\":\"join\",\"room\":\"o\",\"since\":0}"},
		{{.op = CHAT_BAN,
		  .address = "10.0.0.1",
		  .has = CHAT_HAS_DURATION,
		  .duration = 60,
		  .reason = "r"},
		 "{\"op\":\"ban\",\"address\":\"10.0.0.1\",\"duration\":60,\"reason\":\"r\"}"},
		{{.op = CHAT_KICK, .has = CHAT_HAS_CLIENT, .client = 3},
		 "{\"op\":\"kick\",\"client\":3}"},
		{{.op = CHAT_WHO}, "{\"op\":\"who\"}"},
	};
	struct buffer buffer = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) struct chat_request *request = read_text(cases[i].expected);

		assert_same(request, &cases[i].request, cases[i].expected);
		assert_written(&buffer, object_write_request(&buffer, request), cases[i].expected);
	}
	buffer_done(&buffer);
}
END_TEST

/* What was there before stays in front. */
START_TEST(test_write_behind)
{
	static const struct chat_event event = {.kind = CHAT_EVENT_CLOSING};
	static const struct chat_reply reply = {.op = CHAT_RELOAD};
	static const struct chat_request request = {.op = CHAT_RELOAD};
	struct buffer buffer = {0};

	ck_assert_int_eq(buffer_append(&buffer, "<", 1), 0);
	ck_assert_int_eq(object_write_request(&buffer, &request), 0);
	ck_assert_int_eq(object_write_reply(&buffer, &reply), 0);
	ck_assert_int_eq(object_write_event(&buffer, &event), 0);
	ck_assert_int_eq(object_append_string(&buffer, "x", 1), 0);
	assert_written(&buffer, 0,
		       "<{\"op\":\"reload\"}{\"ok\":true}"
		       "{\"event\":\"closing\",\"reason\":\"\",\"reconnect\":false}\"x\"");
	buffer_done(&buffer);
}
END_TEST

/* A text that no guess of its size is enough for. */
START_TEST(test_write_large)
{
	enum { N = 100000 };
	CLEANUP(freep) char *text = malloc(N);
	struct chat_event event = {
		.kind = CHAT_EVENT_MESSAGE,
		.room = "ops",
		.message = {.from = "anna", .text = text, .text_len = N},
	};
	struct buffer buffer = {0};
	struct object_answer answer;

	ck_assert_ptr_nonnull(text);
	memset(text, '\x01', N);
	ck_assert_int_eq(object_write_event(&buffer, &event), 0);
	ck_assert_uint_gt(buffer.len, (size_t)6 * N);
	ck_assert_int_eq(object_read_answer((struct bytes){buffer.data, buffer.len}, &answer), 0);
	ck_assert_mem_eq(answer.event.message.text, text, N);
	object_answer_done(&answer);
	buffer_done(&buffer);
}
END_TEST

/* ---- reading answers ---- */

static int read_answer(const char *text, struct object_answer *answer)
{
	return object_read_answer((struct bytes){(uint8_t *)text, strlen(text)}, answer);
}

static void assert_message(const struct chat_message *one, const struct chat_message *other)
{
	ck_assert_uint_eq(one->seq, other->seq);
	ck_assert_uint_eq(one->time, other->time);
	assert_text(one->from, other->from, "from");
	assert_text(one->user, other->user, "user");
	assert_text(one->unit, other->unit, "unit");
	assert_text(one->text, other->text, "text");
	ck_assert_uint_eq(one->text_len, other->text_len);
}

static void assert_lists(const struct chat_reply *one, const struct chat_reply *other)
{
	ck_assert_uint_eq(one->messages_len, other->messages_len);
	for (size_t i = 0; i < one->messages_len; i++)
		assert_message(&one->messages[i], &other->messages[i]);
	ck_assert_uint_eq(one->members_len, other->members_len);
	for (size_t i = 0; i < one->members_len; i++) {
		assert_text(one->members[i].nick, other->members[i].nick, "nick");
		assert_text(one->members[i].user, other->members[i].user, "user");
		assert_text(one->members[i].unit, other->members[i].unit, "unit");
		ck_assert_uint_eq(one->members[i].since, other->members[i].since);
	}
	ck_assert_uint_eq(one->rooms_len, other->rooms_len);
	for (size_t i = 0; i < one->rooms_len; i++) {
		const char *topic = other->rooms[i].topic;

		assert_text(one->rooms[i].room, other->rooms[i].room, "room");
		assert_text(one->rooms[i].topic, topic ? topic : "", "topic");
		ck_assert_uint_eq(one->rooms[i].seq, other->rooms[i].seq);
		ck_assert_uint_eq(one->rooms[i].members, other->rooms[i].members);
	}
	ck_assert(!one->limits == !other->limits);
	if (one->limits)
		ck_assert_mem_eq(one->limits, other->limits, sizeof(*one->limits));
	ck_assert(!one->transforms == !other->transforms);
	for (size_t i = 0; one->transforms && other->transforms[i]; i++) {
		assert_text(one->transforms[i], other->transforms[i], "transform");
		ck_assert(!one->transforms[i + 1] == !other->transforms[i + 1]);
	}
}

START_TEST(test_read_replies)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		const struct chat_reply *reply = &replies[i].reply;
		const bool ok = reply->error == CHAT_OK;
		struct object_answer answer;

		if (reply->seq > INT64_MAX)
			continue; /* more than any server says, and jansson takes */
		ck_assert_int_eq(read_answer(replies[i].expected, &answer), 0);
		ck_assert(!answer.is_event);
		ck_assert_int_eq((int)answer.reply.op, CHAT_OPS);
		ck_assert_int_eq(answer.reply.error, reply->error);
		assert_text(answer.reply.token, ok ? NULL : chat_error_token(reply->error),
			    replies[i].expected);
		assert_text(answer.reply.id, reply->id, replies[i].expected);
		ck_assert_uint_eq(answer.reply.retry_after, reply->retry_after);
		if (!ok) {
			assert_text(answer.reply.message, reply->message ? reply->message : "",
				    replies[i].expected);
			object_answer_done(&answer);
			continue;
		}
		assert_text(answer.reply.room, reply->room, replies[i].expected);
		assert_text(answer.reply.nick, reply->nick, replies[i].expected);
		assert_text(answer.reply.user, reply->user, replies[i].expected);
		assert_text(answer.reply.server, reply->server, replies[i].expected);
		assert_text(answer.reply.version, reply->version, replies[i].expected);
		assert_text(answer.reply.text, reply->text, replies[i].expected);
		ck_assert_uint_eq(answer.reply.text_len, reply->text_len);
		ck_assert_uint_eq(answer.reply.seq, reply->seq);
		ck_assert_uint_eq(answer.reply.oldest, reply->oldest);
		ck_assert_uint_eq(answer.reply.n_members, reply->n_members);
		ck_assert_uint_eq(answer.reply.time, reply->time);
		ck_assert_int_eq(answer.reply.duplicate, reply->duplicate);
		assert_text(answer.reply.json, reply->json && *reply->json ? reply->json : NULL,
			    replies[i].expected);
		assert_lists(&answer.reply, reply);
		object_answer_done(&answer);
	}
}
END_TEST

START_TEST(test_read_events)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		const struct chat_event *event = &events[i].event;
		const bool closing = event->kind == CHAT_EVENT_CLOSING;
		struct object_answer answer;

		ck_assert_int_eq(read_answer(events[i].expected, &answer), 0);
		ck_assert(answer.is_event);
		ck_assert_int_eq(answer.event.kind, event->kind);
		assert_text(answer.event.room, event->room, events[i].expected);
		assert_message(&answer.event.message, &event->message);
		assert_text(answer.event.nick, event->nick, events[i].expected);
		assert_text(answer.event.text, event->text, events[i].expected);
		assert_text(answer.event.reason,
			    event->reason ? event->reason
			    : closing	  ? ""
					  : NULL,
			    events[i].expected);
		ck_assert_uint_eq(answer.event.first, event->first);
		ck_assert_uint_eq(answer.event.last, event->last);
		ck_assert_int_eq(answer.event.reconnect, event->reconnect);
		object_answer_done(&answer);
		ck_assert_ptr_null(answer.memory);
	}
}
END_TEST

/* One member that no field is for, and all of them are given as JSON, in order. */
START_TEST(test_read_json)
{
	struct object_answer answer;

	ck_assert_int_eq(
		read_answer("{\"ok\":true,\"rooms\":2,\"version\":\"1\",\"id\":3}", &answer), 0);
	assert_text(answer.reply.json, "\"rooms\":2,\"version\":\"1\"", "json");
	assert_text(answer.reply.version, "1", "version");
	assert_text(answer.reply.id, "3", "id");
	ck_assert_uint_eq(answer.reply.rooms_len, 0);
	object_answer_done(&answer);
}
END_TEST

/* What a server of another version says more, or less, is no reason to understand nothing. */
START_TEST(test_read_other_versions)
{
	struct object_answer answer;

	ck_assert_int_eq(
		read_answer("{\"ok\":false,\"error\":\"unheard_of\",\"message\":\"why\"}", &answer),
		0);
	ck_assert_int_eq((int)answer.reply.error, CHAT_ERRORS);
	assert_text(answer.reply.token, "unheard_of", "token");
	assert_text(answer.reply.message, "why", "message");
	object_answer_done(&answer);

	ck_assert_int_eq(
		read_answer("{\"ok\":true,\"limits\":{\"max_text\":7,\"max_fun\":8}}", &answer), 0);
	ck_assert_mem_eq(answer.reply.limits, &(struct chat_limits){.max_text = 7},
			 sizeof(struct chat_limits));
	object_answer_done(&answer);
}
END_TEST

START_TEST(test_read_bad_answers)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{"", -EBADMSG},
		{"[]", -EBADMSG},
		{"{}", -EBADMSG},
		{"{\"ok\":true", -EBADMSG},
		{"{\"ok\":1}", -EBADMSG},
		{"{\"ok\":true,\"id\":1.5}", -EBADMSG},
		{"{\"ok\":false}", -EBADMSG},
		{"{\"ok\":false,\"error\":\"muted\"}", -EBADMSG},
		{"{\"ok\":false,\"error\":5,\"message\":\"\"}", -EBADMSG},
		{"{\"ok\":false,\"error\":\"slow_down\",\"message\":\"\",\"retry_after\":-1}",
		 -EBADMSG},
		{"{\"ok\":true,\"messages\":[5]}", -EBADMSG},
		{"{\"ok\":true,\"messages\":[{\"seq\":1}]}", -EBADMSG},
		{"{\"ok\":true,\"members\":[{\"nick\":1}]}", -EBADMSG},
		{"{\"ok\":true,\"rooms\":[{\"room\":\"o\",\"seq\":-1}]}", -EBADMSG},
		{"{\"ok\":true,\"transforms\":[1]}", -EBADMSG},
		{"{\"ok\":true,\"limits\":{\"rate\":-1}}", -EBADMSG},
		{"{\"ok\":true,\"limits\":{\"max_rooms\":\"few\"}}", -EBADMSG},
		{"{\"event\":5}", -EBADMSG},
		{"{\"event\":\"eclipse\"}", -ENOMSG},
		{"{\"event\":\"join\",\"nick\":\"a\"}", -EBADMSG},
		{"{\"event\":\"join\",\"room\":\"o\"}", -EBADMSG},
		{"{\"event\":\"join\",\"room\":\"o\",\"nick\":\"a\\u0000\"}", -EBADMSG},
		{"{\"event\":\"topic\",\"room\":\"o\",\"nick\":\"a\"}", -EBADMSG},
		{"{\"event\":\"gap\",\"room\":\"o\",\"first\":1}", -EBADMSG},
		{"{\"event\":\"closing\",\"reason\":\"r\"}", -EBADMSG},
		{"{\"event\":\"message\",\"room\":\"o\",\"seq\":1,\"time\":\"today\",\"from\":"
		 "\"a\","
		 "\"text\":\"\"}",
		 -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct object_answer answer = {.memory = &answer};
		int r = read_answer(cases[i].text, &answer);

		ck_assert_msg(r == cases[i].error, "%s: %d", cases[i].text, r);
		ck_assert_ptr_eq(answer.memory, &answer); /* untouched */
	}
}
END_TEST

/* ---- lib/chat.h ---- */

START_TEST(test_names)
{
	for (int op = 0; op < CHAT_OPS; op++) {
		const char *name = chat_op_name((enum chat_op)op);

		ck_assert_int_eq(chat_op_from_name(name, strlen(name)), op);
		ck_assert_int_eq(chat_op_from_name(name, strlen(name) - 1), -EINVAL);
	}
	ck_assert_int_eq(chat_op_from_name("", 0), -EINVAL);
	ck_assert_int_eq(chat_op_from_name("says", 4), -EINVAL);
	for (int error = CHAT_OK + 1; error < CHAT_ERRORS; error++)
		ck_assert_int_eq(chat_error_from_token(chat_error_token((enum chat_error)error)),
				 error);
	ck_assert_int_eq(chat_error_from_token(""), -EINVAL);
	ck_assert_int_eq(chat_error_from_token("Muted"), -EINVAL);
	ck_assert_str_eq(chat_error_token(CHAT_TOO_MANY_ROOMS), "too_many_rooms");
	ck_assert_str_eq(chat_event_name(CHAT_EVENT_GAP), "gap");
}
END_TEST

START_TEST(test_times)
{
	static const struct {
		const char *text;
		uint64_t time;
	} cases[] = {
		{"1970-01-01T00:00:00.000Z", 0},
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-22T15:04:05.678Z", UINT64_C(1795359845678)},
		{"2026-11-22t15:04:05.6789999z", UINT64_C(1795359845678)},
		{"2026-11-22 15:04:05.6Z", UINT64_C(1795359845600)},
		{"2026-11-22T16:34:05.678+01:30", UINT64_C(1795359845678)},
		{"2026-11-22T10:04:05.678-05:00", UINT64_C(1795359845678)},
		{"2000-02-29T23:59:60Z", UINT64_C(951868800000)},
		{"9999-12-31T23:59:59.999Z", UINT64_C(253402300799999)},
	};
	static const char *const wrong[] = {
		"",
		"2026-11-22",
		"2026-11-22T15:04:05",
		"2026-11-22T15:04:05.Z",
		"2026-11-22T15:04:05.678Zx",
		"2026-11-22T24:00:00Z",
		"2026-11-22T15:60:00Z",
		"2026-11-22T15:04:61Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"1969-12-31T23:59:59.999Z",
		"1970-01-01T00:00:00+00:01",
		"2026-11-22T15:04:05+1:00",
		"2026-11-22T15:04:05+24:00",
		"0000-01-01T00:00:00Z",
		"+026-11-22T15:04:05Z",
		"2026-11-22T15:04:05.678",
	};
	char text[CHAT_TIME_SIZE];
	uint64_t time = 5;

	ck_assert_str_eq(chat_time_format(moment, text), "2026-11-22T15:04:05.678Z");
	ck_assert_str_eq(chat_time_format(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_msg(chat_time_parse(wrong[i], &time) == -EINVAL, "%s", wrong[i]);
		ck_assert_uint_eq(time, 5);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_msg(chat_time_parse(cases[i].text, &time) == 0, "%s", cases[i].text);
		ck_assert_uint_eq(time, cases[i].time);
	}
}
END_TEST

/* Every day of 800 years, and some, against libc. */
START_TEST(test_days)
{
	static const uint64_t day = UINT64_C(86400000);

	for (uint64_t i = 0; i < 800 * UINT64_C(366); i++) {
		const uint64_t time = i * day + i * 7919 % day;
		const time_t seconds = (time_t)(time / 1000);
		char text[CHAT_TIME_SIZE], expected[64];
		uint64_t back;
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
		(void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ",
			       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			       tm.tm_sec, (unsigned)(time % 1000));
		chat_time_format(time, text);
		if (strcmp(text, expected) != 0)
			ck_abort_msg("%s instead of %s", text, expected);
		if (chat_time_parse(text, &back) < 0 || back != time)
			ck_abort_msg("%s was read as %llu", text, (unsigned long long)back);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("object");

	harness_add(suite, test_every_op);
	harness_add(suite, test_bad_requests);
	harness_add(suite, test_nul_bytes);
	harness_add(suite, test_ids);
	harness_add(suite, test_fast_way);
	harness_add(suite, test_names_and_doubles);
	harness_add(suite, test_ignored_members);
	harness_add(suite, test_ignored_quotes);
	harness_add(suite, test_cut_and_changed);
	harness_add(suite, test_strings_of_every_length);
	harness_add(suite, test_write_string);
	harness_add(suite, test_write_replies);
	harness_add(suite, test_write_events);
	harness_add(suite, test_write_requests);
	harness_add(suite, test_write_behind);
	harness_add(suite, test_write_large);
	harness_add(suite, test_read_replies);
	harness_add(suite, test_read_events);
	harness_add(suite, test_read_json);
	harness_add(suite, test_read_other_versions);
	harness_add(suite, test_read_bad_answers);
	harness_add(suite, test_names);
	harness_add(suite, test_times);
	harness_add(suite, test_days);
	return harness_main(suite);
}
