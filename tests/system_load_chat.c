/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client's bench on rooms: beside the real daemon, and what it finds wrong in another. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness.h"
#include "harness_run.h"

static struct server server;

static void start(void)
{
	char state[SERVER_PATH_MAX + 8];
	const char *const arguments[] = {"--state-dir", state, NULL};
	struct server_setup setup = {.arguments = arguments};

	setup.config =
		"listeners: ("
		"{ name = \"chat\"; service = \"chat\"; "
		"listen = [ \"tcp://127.0.0.1:0\", \"unix:chat\" ]; },"
		"{ name = \"echo\"; listen = \"tcp://127.0.0.1:0\"; });"
		"chat: { create_rooms = false; rooms: ("
		"{ name = \"memory\"; durable = false; }, { name = \"disk\"; },"
		"{ name = \"disk-1\"; }, { name = \"disk-2\"; }, { name = \"disk-3\"; }); };";
	server_init(&server);
	(void)snprintf(state, sizeof(state), "%s/state", server.directory);
	server_start(&server, &setup);
}

static const char *at(const char *listener, const char *scheme)
{
	return server_address(&server, listener, scheme);
}

/* Runs the client, and reads the object it prints. */
static json_t *run_json(const char *const *arguments)
{
	struct run run;
	json_t *object;

	run_expect(&run, NULL, arguments, 0);
	object = json_loads(run.out, 0, NULL);
	ck_assert_msg(json_is_object(object), "%s", run.out);
	run_done(&run);
	return object;
}

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	ck_assert_msg(json_is_number(value), "no number %s", key);
	return json_number_value(value);
}

START_TEST(test_fanout)
{
	static const char *const rooms[] = {"memory", "disk"}, *const schemes[] = {"tcp", "unix"};
	static const char *const shapes[][3] = {
		{"1", "1", "64"}, {"20", "16", "128"}, {"3", "200", "16"}, {"2", "2", "20K"}};
	struct run run;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(rooms) * ARRAY_SIZE(schemes) * ARRAY_SIZE(shapes); i++) {
		const char *const *shape = shapes[i / 4];

		run_expect(&run, NULL,
			   WORDS("-c", at("chat", schemes[i / 2 % 2]), "bench", "-q", "--fanout",
				 rooms[i % 2], "-C", shape[0], "-P", shape[1], "-s", shape[2], "-d",
				 "50ms", "--warmup", "0", "--verify"),
			   0);
		ck_assert_ptr_nonnull(strstr(run.out, "every delivery verified"));
		run_done(&run);
	}
	server_stop(&server);
}
END_TEST

START_TEST(test_fanout_json)
{
	double messages, deliveries;
	json_t *object;

	start();
	object = run_json(WORDS("-c", at("chat", "tcp"), "bench", "--json", "--fanout", "memory",
				"-C", "5", "-P", "3", "-d", "200ms", "--warmup", "10ms"));
	messages = number(object, "messages");
	deliveries = number(object, "deliveries");
	ck_assert_double_gt(messages, 0);
	/* Those in flight at either end of the time count for one or the other. */
	ck_assert_double_eq_tol(deliveries, 6 * messages, 6 * 3);
	ck_assert_double_eq(number(object, "bytes"), 64 * deliveries);
	ck_assert_double_eq(number(object, "members"), 5);
	ck_assert_double_eq(number(object, "clients"), 6);
	ck_assert_double_gt(number(object, "bytes_per_delivery"), 64 + 10);
	ck_assert_double_eq(number(json_object_get(object, "latency_us"), "max") > 0, 1);
	json_decref(object);
	server_stop(&server);
}
END_TEST

START_TEST(test_fanout_many)
{
	/* However slow it is here, in one of these a message comes to all of them. */
	static const char *const durations[] = {"200ms", "1s", "5s", "25s"};
	double messages = 0;

	if (harness_raise_files(1100) < 1100) {
		harness_skip("too few open files are allowed");
		return;
	}
	start();
	for (size_t i = 0; i < ARRAY_SIZE(durations) && messages == 0; i++) {
		json_t *object = run_json(WORDS("-c", at("chat", "tcp"), "bench", "--json",
						"--fanout", "memory", "-C", "1000", "-P", "16",
						"-s", "128", "-d", durations[i], "--warmup", "0",
						"--verify", "--timeout", "20"));

		messages = number(object, "messages");
		json_decref(object);
	}
	ck_assert_double_gt(messages, 0);
	server_stop(&server);
}
END_TEST

START_TEST(test_say)
{
	static const char *const rooms[] = {"1", "3"};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		json_t *object = run_json(WORDS("-c", at("chat", "tcp"), "bench", "--json", "--say",
						"disk", "--rooms", rooms[i], "-C", "6", "-P", "4",
						"-d", "200ms", "--warmup", "0", "--verify"));

		ck_assert_double_gt(number(object, "messages"), 0);
		ck_assert_double_eq(number(object, "bytes"), 64 * number(object, "messages"));
		ck_assert_double_gt(number(object, "deliveries"), 0);
		json_decref(object);
	}
	server_stop(&server);
}
END_TEST

START_TEST(test_refused)
{
	start();
	run_expect_error(NULL, WORDS("-c", at("chat", "tcp"), "bench", "--fanout", "nowhere"), 1,
			 "no_such_room");
	run_expect_error(NULL, WORDS("-c", at("echo", "tcp"), "bench", "--fanout", "memory"), 76,
			 "is its service chat");
	server_stop(&server);
}
END_TEST

START_TEST(test_usage)
{
	static const struct {
		const char *options[4], *text;
	} wrong[] = {
		{{"--fanout", "a", "--say", "b"}, "--say"},
		{{"--fanout", ""}, "room"},
		{{"--fanout", "a", "--framing", "line"}, "length"},
		{{"--fanout", "a", "--rooms", "2"}, "--rooms"},
		{{"--say", "a", "--bare"}, "--bare"},
		{{"--say", "a", "-s", "0"}, "empty"},
		{{"--say", "a", "-s15", "--verify"}, "-s 16"},
		{{"--rooms", "2"}, "--say"},
		{{"--bare"}, "--fanout"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *const *option = wrong[i].options;

		run_expect_error(NULL,
				 WORDS("-c", "tcp://127.0.0.1:1", "bench", option[0], option[1],
				       option[2], option[3]),
				 64, wrong[i].text);
	}
	run_expect_error(NULL, WORDS("-c", "udp://127.0.0.1:1", "bench", "--fanout", "a"), 64,
			 "length");
}
END_TEST

/* ---- a server of our own ---- */

/* A room that has two: the speaker and a member. */
struct room {
	int listener, speaker, member;
	struct buffer request;
};

static void reply(int fd, unsigned seq)
{
	char text[128];
	const int len = snprintf(text, sizeof(text),
				 "{\"ok\":true,\"room\":\"r\",\"seq\":%u,"
				 "\"time\":\"2026-11-22T15:04:05.678Z\"}",
				 seq);

	send_frame(fd, text, (size_t)len);
}

/* Lets the client of a run in, and both of its connections join. */
static void room_open(struct room *room)
{
	int first = accept_one(room->listener);

	hang_up(&first); /* it only looks who is there */
	room->speaker = accept_one(room->listener);
	room->member = accept_one(room->listener);
	for (int i = 0; i < 2; i++) {
		const int fd = i == 0 ? room->speaker : room->member;

		ck_assert(!recv_frame(fd, &room->request));
		reply(fd, 7);
	}
}

static void room_close(struct room *room)
{
	hang_up(&room->speaker);
	hang_up(&room->member);
	buffer_done(&room->request);
}

/* The text of the request at hand. */
static json_t *said(const struct room *room)
{
	json_t *object = json_loadb((char *)room->request.data, room->request.len, 0, NULL);
	json_t *text;

	ck_assert_str_eq(json_string_value(json_object_get(object, "op")), "say");
	text = json_incref(json_object_get(object, "text"));
	json_decref(object);
	return text;
}

/* Sends an object to the member; for a @ in it, the first 16 bytes of the text at hand. */
static void room_send(const struct room *room, const char *object)
{
	const char *place = strchr(object, '@');
	json_t *text = said(room);
	char filled[512];
	int len;

	if (place)
		len = snprintf(filled, sizeof(filled), "%.*s%.16s%s", (int)(place - object), object,
			       json_string_value(text), place + 1);
	else
		len = snprintf(filled, sizeof(filled), "%s", object);
	send_frame(room->member, filled, (size_t)len);
	json_decref(text);
}

START_TEST(test_finds_wrong)
{
	/* What a member gets when the speaker has said its first message, which is number 8. */
	static const struct {
		const char *object; /* @ stands for the first 16 bytes of the text */
		const char *complaint;
		int status;
		bool verify;
	} wrong[] = {
#define MESSAGE(seq, text)                                   \
	"{\"event\":\"message\",\"room\":\"r\",\"seq\":" seq \
	",\"time\":\"2026-11-22T15:04:05.678Z\",\"from\":\"a\",\"text\":\"" text "\"}"
#define FILLER "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		{MESSAGE("9", "@" FILLER), "number", 76, true},
		{MESSAGE("7", "@" FILLER), "number", 76, true},
		{MESSAGE("8", "@" FILLER), "text is not what was said", 76, true},
		{MESSAGE("8", "@"), "somebody else", 76, true},
		{MESSAGE("8", "0000000000000001" FILLER), "order", 76, true},
		{MESSAGE("8", "0000000100000000" FILLER), "somebody else", 76, true},
		{MESSAGE("8", "00000000 no text" FILLER), "somebody else", 76, true},
		{"{\"event\":\"gap\",\"room\":\"r\",\"first\":1,\"last\":2}", "has not kept", 76,
		 false},
		{"{\"event\":\"closing\",\"reason\":\"good night\",\"reconnect\":true}",
		 "the server closes: good night", 69, false},
		{"{\"ok\":false,\"error\":\"slow_down\",\"message\":\"wait\"}", "slow_down: wait",
		 1, false},
		{"{\"ok\":true,\"room\":\"r\",\"seq\":8}", "more replies", 76, false},
		{"no JSON", "no reply and no event", 76, false},
	};
	struct room room = {.listener = -1};
	char address[64];

	room.listener = listen_anywhere(address);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct run run;

		run_start(&run, NULL,
			  WORDS("-c", address, "bench", "-d", "10s", "-C", "1", "--fanout", "r",
				wrong[i].verify ? "--verify" : NULL));
		room_open(&room);
		ck_assert(!recv_frame(room.speaker, &room.request));
		room_send(&room, wrong[i].object);
		run_end(&run);
		ck_assert_msg(run.status == wrong[i].status &&
				      strstr(run.error, wrong[i].complaint),
			      "%zu: %d, %s", i, run.status, run.error);
		run_done(&run);
		room_close(&room);
	}
	closep(&room.listener);
}
END_TEST

/* Sends a frame byte by byte. */
static void send_slowly(int fd, const char *text)
{
	CLEANUP(buffer_done) struct buffer frame = {0};

	wrap(&frame, FRAMING_LENGTH, text, strlen(text));
	for (size_t i = 0; i < frame.len; i++)
		send_all(fd, frame.data + i, 1);
}

/* Gives both the message at hand, with events between that are of no importance. */
static void room_say(struct room *room, unsigned seq)
{
	json_t *text = said(room);
	json_t *event =
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:o}", "event", "message", "room", "r", "seq",
			  (int)seq, "time", "2026-11-22T15:04:05.678Z", "from", "a", "text", text);
	char *message = json_dumps(event, JSON_COMPACT);

	reply(room->speaker, seq);
	for (int i = 0; i < 2; i++) {
		const int fd = i == 0 ? room->speaker : room->member;

		send_slowly(fd, "{\"event\":\"join\",\"room\":\"r\",\"nick\":\"b\"}");
		send_slowly(fd, message);
		send_slowly(fd, "{\"event\":\"new\"}");
	}
	free(message);
	json_decref(event);
}

/* Wherever what comes is cut, all of it is found. */
START_TEST(test_cut_anywhere)
{
	struct room room = {.listener = -1};
	char address[64];

	room.listener = listen_anywhere(address);
	for (int verify = 0; verify <= 1; verify++) {
		unsigned seq = 8;
		struct run run;
		json_t *object;

		run_start(&run, NULL,
			  WORDS("-c", address, "bench", "--json", "-d", "50ms", "--warmup", "0",
				"-C", "1", "--fanout", "r", verify ? "--verify" : NULL));
		room_open(&room);
		ck_assert(!recv_frame(room.speaker, &room.request));
		do
			room_say(&room, seq++);
		while (recv(room.speaker, room.request.data, FRAME_HEADER, MSG_WAITALL) > 0 &&
		       recv(room.speaker, room.request.data, room.request.len, MSG_WAITALL) > 0);
		run_end(&run);
		ck_assert_msg(run.status == 0, "%s", run.error);
		object = json_loads(run.out, 0, NULL);
		ck_assert_double_gt(number(object, "messages"), 0);
		json_decref(object);
		run_done(&run);
		room_close(&room);
	}
	closep(&room.listener);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load_chat");

	harness_add(suite, test_fanout);
	harness_add(suite, test_fanout_json);
	harness_add(suite, test_fanout_many);
	harness_add(suite, test_say);
	harness_add(suite, test_refused);
	harness_add(suite, test_usage);
	harness_add(suite, test_finds_wrong);
	harness_add(suite, test_cut_anywhere);
	return harness_main(suite);
}
