/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A restart under connections, seen from each client: whatever its connection is in the middle of,
 * it goes on byte by byte with the next daemon.
 */

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "harness_handover.h"

enum { CLIENTS_MAX = 64 };

#define MIB ((size_t)1024 * 1024)

/* A client of listener over each transport. */
struct both {
	int fds[2];
};

static void open_both(struct both *both, const struct manager *manager, const char *listener)
{
	for (size_t i = 0; i < ARRAY_SIZE(both->fds); i++)
		both->fds[i] = client(&manager->server, listener, handover_schemes[i]);
}

/* All have had their last answer; the daemon ends its side when they do. */
static void end_both(struct both *both)
{
	for (size_t i = 0; i < ARRAY_SIZE(both->fds); i++) {
		shut_down(both->fds[i]);
		expect_end(both->fds[i]);
		hang_up(&both->fds[i]);
	}
}

static void round_trips(const struct both *both, const char *request, const char *answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(both->fds); i++) {
		send_text(both->fds[i], request);
		expect_text(both->fds[i], answer);
	}
}

/* ---- quiet ones ---- */

START_TEST(idle_clients)
{
	struct both length, line, raw;
	struct manager manager;

	handover_start(&manager, "");
	open_both(&length, &manager, "length");
	open_both(&line, &manager, "line");
	open_both(&raw, &manager, "raw");
	for (int round = 0; round < 3; round++) {
		round_trips(&length, "5         abcde", "5         ABCDE");
		round_trips(&line, "abc\r\ndef\n", "ABC\r\nDEF\n");
		round_trips(&raw,
			    "stra\xc3\x9f"
			    "e",
			    "STRASSE");
		manager_restart(&manager);
	}
	round_trips(&length, "0         ", "0         ");
	round_trips(&line, "\n", "\n");
	round_trips(&raw, "x", "X");
	end_both(&length);
	end_both(&line);
	end_both(&raw);
	manager_stop(&manager);
}
END_TEST

START_TEST(clients_that_have_said_nothing_yet)
{
	struct both length, line;
	struct manager manager;

	handover_start(&manager, "");
	open_both(&length, &manager, "length");
	open_both(&line, &manager, "line");
	handover_wait_clients(&manager, 4);
	manager_restart(&manager);
	round_trips(&line, "abc\n", "ABC\n");
	manager_restart(&manager);
	round_trips(&length, "5         abcde", "5         ABCDE");
	end_both(&length);
	end_both(&line);
	manager_stop(&manager);
}
END_TEST

/* They end between two daemons; neither is there to see it. */
START_TEST(clients_that_go_meanwhile)
{
	struct both gone, half;
	struct manager manager;

	handover_start(&manager, "");
	open_both(&gone, &manager, "length");
	open_both(&half, &manager, "line");
	handover_wait_clients(&manager, 4);
	manager_hand_over(&manager);
	for (size_t i = 0; i < 2; i++) {
		hang_up(&gone.fds[i]);
		send_text(half.fds[i], "last\nunfinished");
		shut_down(half.fds[i]);
	}
	manager_resume(&manager);
	for (size_t i = 0; i < 2; i++) {
		expect_text(half.fds[i], "LAST\nUNFINISHED\n");
		expect_end(half.fds[i]);
		hang_up(&half.fds[i]);
	}
	handover_wait_clients(&manager, 0);
	manager_stop(&manager);
}
END_TEST

START_TEST(a_greeting_is_said_once)
{
	struct both old, young;
	struct manager manager;

	handover_start(&manager, "greeting = \"welcome\";");
	open_both(&old, &manager, "length");
	round_trips(&old, "", "7         welcome");
	manager_restart(&manager);
	open_both(&young, &manager, "length");
	round_trips(&young, "", "7         welcome");
	round_trips(&old, "1         x", "1         X");
	manager_restart(&manager);
	round_trips(&young, "1         x", "1         X");
	end_both(&old);
	end_both(&young);
	manager_stop(&manager);
}
END_TEST

/* ---- in the middle of a message ---- */

/*
 * One client for each place at which a restart may cut request, which has sent what is before it;
 * then all of them send the rest and are answered.
 */
static void check_splits(const char *listener, const char *scheme, const char *request, size_t len,
			 const char *answer, size_t answer_len)
{
	int fds[CLIENTS_MAX];
	struct manager manager;
	uint64_t sum = 0;

	ck_assert_uint_lt(len, CLIENTS_MAX);
	handover_start(&manager, "");
	for (size_t i = 0; i <= len; i++) {
		fds[i] = client(&manager.server, listener, scheme);
		send_all(fds[i], request, i);
		sum += i;
	}
	handover_wait_read(&manager, listener, 0, sum);
	manager_restart(&manager);
	for (size_t i = 0; i <= len; i++) {
		send_all(fds[i], request + i, len - i);
		expect_bytes(fds[i], answer, answer_len);
		shut_down(fds[i]);
		expect_end(fds[i]);
		hang_up(&fds[i]);
	}
	manager_stop(&manager);
}

START_TEST(every_split_of_a_frame)
{
	static const char request[] = "5         abcde", answer[] = "5         ABCDE";

	for (size_t i = 0; handover_schemes[i]; i++)
		check_splits("length", handover_schemes[i], request, strlen(request), answer,
			     strlen(answer));
}
END_TEST

START_TEST(every_split_of_two_frames)
{
	static const char request[] = "3         abc0         4         d\xc3\xa9"
				      "f";
	static const char answer[] = "3         ABC0         4         D\xc3\x89"
				     "F";

	check_splits("length", "tcp:", request, strlen(request), answer, strlen(answer));
}
END_TEST

START_TEST(every_split_of_lines)
{
	static const char request[] = "abc\r\n\nd\xc3\xa9\n", answer[] = "ABC\r\n\nD\xc3\x89\n";

	for (size_t i = 0; handover_schemes[i]; i++)
		check_splits("line", handover_schemes[i], request, strlen(request), answer,
			     strlen(answer));
}
END_TEST

/* A character that a read has cut waits for its rest. */
START_TEST(every_split_of_a_raw_message)
{
	static const char request[] = "a\xc3\xa9\xf0\x90\x90\xa8z";
	static const char answer[] = "A\xc3\x89\xf0\x90\x90\x80Z";

	for (size_t i = 0; handover_schemes[i]; i++)
		check_splits("raw", handover_schemes[i], request, strlen(request), answer,
			     strlen(answer));
}
END_TEST

/* What is cut by the restart, and never finished, ends as if there had been none. */
START_TEST(an_unfinished_message_at_the_end)
{
	struct both length, line, raw;
	struct manager manager;

	handover_start(&manager, "");
	open_both(&length, &manager, "length");
	open_both(&line, &manager, "line");
	open_both(&raw, &manager, "raw");
	round_trips(&length, "2         ab5         a", "2         AB");
	round_trips(&line, "ab\ncd", "AB\n");
	round_trips(&raw, "ab\xc3", "AB");
	manager_restart(&manager);
	for (size_t i = 0; i < 2; i++) {
		shut_down(line.fds[i]);
		expect_text(line.fds[i], "CD\n");
		shut_down(raw.fds[i]);
		expect_text(raw.fds[i], "\xc3");
	}
	/* The daemon's end is there; ours is said already in some. */
	for (size_t i = 0; i < 2; i++) {
		expect_end(line.fds[i]);
		expect_end(raw.fds[i]);
		hang_up(&line.fds[i]);
		hang_up(&raw.fds[i]);
	}
	end_both(&length);
	free(server_wait_log(&manager.server, "length"));
	manager_stop(&manager);
}
END_TEST

static uint8_t *make_text(size_t len, char first)
{
	uint8_t *text = malloc(len);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)(first + (i * 7 + i / 1000) % 26);
	return text;
}

/* Several restarts, each of them further into the message. */
static void check_long_message(const char *listener, enum framing framing, const char *scheme)
{
	const size_t size = 9 * MIB + 17, step = 3 * MIB;
	CLEANUP(freep) uint8_t *text = make_text(size, 'a'), *upper = make_text(size, 'A');
	CLEANUP(buffer_done) struct buffer request = {0}, answer = {0}, got = {0};
	CLEANUP(closep) int fd = -1;
	struct manager manager;
	size_t sent;

	wrap(&request, framing, text, size);
	wrap(&answer, framing, upper, size);
	handover_start(&manager, "max_message = \"16M\"; max_pending = \"16M\"; "
				 "timeouts: { message = \"60s\"; drain = \"200ms\"; };");
	fd = client(&manager.server, listener, scheme);
	for (sent = 0; sent + step < request.len; sent += step) {
		uint64_t before = handover_read(&manager, listener);

		send_all(fd, request.data + sent, step);
		handover_wait_read(&manager, listener, before, step);
		manager_restart(&manager);
	}
	exchange(fd, request.data + sent, request.len - sent, 0, NULL, true, 0, &got);
	assert_bytes(got.data, got.len, answer.data, answer.len, "the answer");
	manager_stop(&manager);
}

START_TEST(a_long_frame)
{
	for (size_t i = 0; handover_schemes[i]; i++)
		check_long_message("length", FRAMING_LENGTH, handover_schemes[i]);
}
END_TEST

START_TEST(a_long_line)
{
	check_long_message("line", FRAMING_LINE, "tcp:");
}
END_TEST

/* ---- answers that wait ---- */

/*
 * Sends frames until the daemon reads no more; returns how many bytes of data were taken. A client
 * of the same daemon proves that it has had time to.
 */
static size_t send_until_stuck(struct manager *manager, int fd, const struct buffer *data)
{
	CLEANUP(closep) int other = client(&manager->server, "length", "unix:");
	size_t sent = 0;

	for (unsigned stuck = 0; sent < data->len && stuck < 50;) {
		ssize_t n = send(fd, data->data + sent, MIN(data->len - sent, (size_t)100000),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		ck_assert_msg(n >= 0 || errno == EAGAIN, "send: %m");
		stuck = n > 0 ? 0 : stuck + 1;
		sent += n > 0 ? (size_t)n : 0;
		if (n < 0)
			handover_ask(other);
	}
	return sent;
}

static void make_frames(struct buffer *frames, size_t least, size_t message)
{
	CLEANUP(freep) uint8_t *text = make_text(message, 'A');

	for (size_t i = 0; frames->len < least; i++) {
		(void)snprintf((char *)text, 20, "%19zu", i);
		wrap(frames, FRAMING_LENGTH, text, message);
	}
}

/* A client that reads nothing while daemons come and go. */
static void check_unread(const char *scheme, size_t message)
{
	CLEANUP(buffer_done) struct buffer frames = {0}, got = {0};
	CLEANUP(closep) int fd = -1;
	struct manager manager;
	size_t sent;

	make_frames(&frames, 32 * MIB, message);
	handover_start(&manager, "max_pending = \"2M\";");
	fd = client(&manager.server, "length", scheme);
	sent = send_until_stuck(&manager, fd, &frames);
	ck_assert_uint_lt(sent, frames.len);
	for (int i = 0; i < 3; i++)
		manager_restart(&manager);
	exchange(fd, frames.data + sent, frames.len - sent, 0, NULL, true, 0, &got);
	assert_bytes(got.data, got.len, frames.data, frames.len, "what waited");
	manager_stop(&manager);
}

START_TEST(unread_answers_over_tcp)
{
	check_unread("tcp:", 100);
}
END_TEST

START_TEST(unread_answers_over_unix)
{
	check_unread("unix:", 100);
}
END_TEST

START_TEST(unread_long_answers)
{
	check_unread("tcp:", 700000);
	check_unread("unix:", 700000);
}
END_TEST

/* It has ended its side, and wants all that it is owed. */
static void check_half_closed(const char *scheme)
{
	CLEANUP(buffer_done) struct buffer frames = {0}, got = {0};
	CLEANUP(closep) int fd = -1;
	struct manager manager;
	size_t sent;

	make_frames(&frames, 32 * MIB, 1000);
	handover_start(&manager, "max_pending = \"2M\";");
	fd = client(&manager.server, "length", scheme);
	sent = send_until_stuck(&manager, fd, &frames);
	shut_down(fd);
	manager_restart(&manager);
	manager_restart(&manager);
	recv_to_end(fd, &got);
	/* The last of what was sent may be cut short, which is not answered. */
	ck_assert_uint_le(got.len, sent);
	ck_assert_uint_gt(got.len + 1010, sent);
	assert_bytes(got.data, got.len, frames.data, sent / 1010 * 1010, "what was owed");
	manager_stop(&manager);
}

START_TEST(half_closed_clients)
{
	for (size_t i = 0; handover_schemes[i]; i++)
		check_half_closed(handover_schemes[i]);
}
END_TEST

/* Requests that lie in the sockets, in the daemon and in nobody's hands when it ends. */
START_TEST(a_full_pipeline)
{
	CLEANUP(buffer_done) struct buffer frames = {0};
	const int rounds = (int)harness_rounds(10, 3);
	struct manager manager;
	struct both both;

	make_frames(&frames, 60000, 40);
	handover_start(&manager, "");
	open_both(&both, &manager, "length");
	for (int i = 0; i < rounds; i++) {
		for (size_t j = 0; j < 2; j++)
			send_all(both.fds[j], frames.data, frames.len);
		manager_restart(&manager);
		for (size_t j = 0; j < 2; j++)
			expect_bytes(both.fds[j], frames.data, frames.len);
	}
	end_both(&both);
	manager_stop(&manager);
}
END_TEST

/* Each message goes through all transforms, once, and the answers come in order. */
START_TEST(transforms_in_order)
{
	CLEANUP(closep) int fd = -1;
	const char *address;
	struct manager manager;
	char text[64];

	manager_init(&manager);
	address = manager_listen(&manager, "a", "tcp://127.0.0.1:0");
	manager_start(&manager,
		      "listeners: ({ name = \"a\"; listen = \"%s\"; framing = \"line\"; "
		      "transforms = [ \"reverse\", \"upper\" ]; });",
		      address);
	fd = connect_to(address);
	for (int i = 10; i < 40; i++) {
		(void)snprintf(text, sizeof text, "%dx\n%dy\n", i, i);
		send_text(fd, text);
		if (i % 10 == 5)
			manager_restart(&manager);
	}
	for (int i = 10; i < 40; i++) {
		(void)snprintf(text, sizeof text, "X%d%d\nY%d%d\n", i % 10, i / 10, i % 10, i / 10);
		expect_text(fd, text);
	}
	manager_stop(&manager);
}
END_TEST

START_TEST(json_in_the_middle)
{
	CLEANUP(closep) int fd = -1;
	const char *address;
	struct manager manager;

	manager_init(&manager);
	address = manager_listen(&manager, "a", "unix:a.sock");
	manager_start(&manager,
		      "listeners: ({ name = \"a\"; listen = \"%s\"; framing = \"line\"; "
		      "payload = \"json\"; transforms = [ \"upper\" ]; });",
		      address);
	fd = connect_to(address);
	send_text(fd, "[\"a\"]\n{\"k\": [\"valu");
	expect_text(fd, "[\"A\"]\n");
	manager_restart(&manager);
	send_text(fd, "e\", 1.10]}\n");
	expect_text(fd, "{\"k\":[\"VALUE\",1.10]}\n");
	manager_stop(&manager);
}
END_TEST

/* ---- connections that are ending ---- */

/* The client is told why and half-closed; its own end is still awaited by the next daemon. */
START_TEST(clients_that_are_told_why)
{
	struct manager manager;
	struct both both;

	handover_start(&manager, "timeouts: { drain = \"60s\"; };");
	open_both(&both, &manager, "length");
	for (size_t i = 0; i < 2; i++) {
		send_text(both.fds[i], "1         anonsense!!");
		(void)server_wait_counter(&manager.server, "length", "bad frame headers", i + 1);
	}
	manager_restart(&manager);
	for (size_t i = 0; i < 2; i++) {
		/* Not reset: what came too late has been read, and thrown away. */
		send_text(both.fds[i], "and more of it");
		expect_frame(both.fds[i], "A", 1);
		expect_error_frame(both.fds[i], "bad frame header");
		hang_up(&both.fds[i]);
	}
	handover_wait_clients(&manager, 0);
	manager_stop(&manager);
}
END_TEST

/* The reason stands behind megabytes that are not read yet. */
START_TEST(clients_with_a_reason_behind_much)
{
	const size_t size = 16 * MIB;
	CLEANUP(freep) uint8_t *text = make_text(size, 'A');
	struct manager manager;
	struct both both;

	handover_start(&manager, "max_message = \"32M\"; max_pending = \"32M\"; "
				 "timeouts: { drain = \"60s\"; message = \"60s\"; };");
	open_both(&both, &manager, "length");
	for (size_t i = 0; i < 2; i++) {
		send_frame(both.fds[i], text, size);
		send_text(both.fds[i], "nonsense!!");
	}
	handover_wait_read(&manager, "length", 0, 2 * (size + 20));
	manager_restart(&manager);
	manager_restart(&manager);
	for (size_t i = 0; i < 2; i++) {
		expect_frame(both.fds[i], text, size);
		expect_error_frame(both.fds[i], "bad frame header");
		hang_up(&both.fds[i]);
	}
	manager_stop(&manager);
}
END_TEST

/* ---- deadlines ---- */

static bool is_readable(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

/*
 * Restarts over and over until something comes at fd: a time-out that began anew with each daemon
 * would never end. Returns how many milliseconds that took since start.
 */
static uint64_t restart_until_readable(struct manager *manager, int fd, uint64_t start)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (!is_readable(fd)) {
		ck_assert_msg(harness_now() < deadline, "the time-out never comes");
		manager_restart(manager);
	}
	return harness_now() - start;
}

START_TEST(idleness_adds_up)
{
	struct manager manager;
	struct both both;
	uint64_t start;

	handover_start(&manager, "timeouts: { idle = \"2s\"; drain = \"200ms\"; };");
	open_both(&both, &manager, "line");
	start = harness_now();
	round_trips(&both, "abc\n", "ABC\n");
	ck_assert_uint_ge(restart_until_readable(&manager, both.fds[0], start), 2000);
	for (size_t i = 0; i < 2; i++) {
		expect_gone(both.fds[i]);
		hang_up(&both.fds[i]);
	}
	manager_stop(&manager);
}
END_TEST

START_TEST(an_unfinished_message_times_out)
{
	struct manager manager;
	struct both both;
	uint64_t start;

	handover_start(&manager, "timeouts: { message = \"2s\"; drain = \"200ms\"; };");
	open_both(&both, &manager, "length");
	start = harness_now();
	for (size_t i = 0; i < 2; i++)
		send_text(both.fds[i], "5         ab");
	handover_wait_read(&manager, "length", 0, 24);
	ck_assert_uint_ge(restart_until_readable(&manager, both.fds[0], start), 2000);
	for (size_t i = 0; i < 2; i++) {
		expect_error_frame(both.fds[i], "timed out");
		hang_up(&both.fds[i]);
	}
	manager_stop(&manager);
}
END_TEST

/* What it has begun is dropped, and is not awaited by the next daemon; nobody else is the worse. */
START_TEST(a_client_that_has_timed_out_is_carried_over)
{
	struct manager manager;
	struct both both;
	int other;

	handover_start(&manager, "timeouts: { message = \"100ms\"; drain = \"1min\"; };");
	other = client(&manager.server, "line", "unix:");
	open_both(&both, &manager, "length");
	for (size_t i = 0; i < 2; i++)
		send_text(both.fds[i], "5         ab");
	(void)server_wait_counter(&manager.server, "length", "messages timed out", 2);
	manager_restart(&manager);
	send_text(other, "abc\n");
	expect_text(other, "ABC\n");
	hang_up(&other);
	for (size_t i = 0; i < 2; i++) {
		expect_error_frame(both.fds[i], "timed out");
		hang_up(&both.fds[i]);
	}
	manager_stop(&manager);
}
END_TEST

/* A client that is told why and never reads it is cut off when the first daemon would have. */
START_TEST(a_client_that_ends_is_not_awaited_longer)
{
	CLEANUP(closep) int watcher = -1;
	struct manager manager;
	struct both both;
	uint64_t start, deadline;

	handover_start(&manager, "timeouts: { drain = \"2s\"; };");
	watcher = client(&manager.server, "line", "unix:");
	open_both(&both, &manager, "length");
	start = harness_now();
	for (size_t i = 0; i < 2; i++)
		send_text(both.fds[i], "nonsense!!");
	(void)server_wait_counter(&manager.server, "length", "bad frame headers", 2);
	deadline = harness_now() + (uint64_t)harness_patience();
	while (server_counter(&manager.server, NULL, "clients now") > 1) {
		ck_assert_msg(harness_now() < deadline, "the time-out never comes");
		manager_restart(&manager);
	}
	ck_assert_uint_ge(harness_now() - start, 2000);
	for (size_t i = 0; i < 2; i++)
		hang_up(&both.fds[i]);
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_handover");

	harness_add(suite, idle_clients);
	harness_add(suite, clients_that_have_said_nothing_yet);
	harness_add(suite, clients_that_go_meanwhile);
	harness_add(suite, a_greeting_is_said_once);
	harness_add(suite, every_split_of_a_frame);
	harness_add(suite, every_split_of_two_frames);
	harness_add(suite, every_split_of_lines);
	harness_add(suite, every_split_of_a_raw_message);
	harness_add(suite, an_unfinished_message_at_the_end);
	harness_add(suite, a_long_frame);
	harness_add(suite, a_long_line);
	harness_add(suite, unread_answers_over_tcp);
	harness_add(suite, unread_answers_over_unix);
	harness_add(suite, unread_long_answers);
	harness_add(suite, half_closed_clients);
	harness_add(suite, a_full_pipeline);
	harness_add(suite, transforms_in_order);
	harness_add(suite, json_in_the_middle);
	harness_add(suite, clients_that_are_told_why);
	harness_add(suite, clients_with_a_reason_behind_much);
	harness_add(suite, idleness_adds_up);
	harness_add(suite, an_unfinished_message_times_out);
	harness_add(suite, a_client_that_has_timed_out_is_carried_over);
	harness_add(suite, a_client_that_ends_is_not_awaited_longer);
	return harness_main(suite);
}
