/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Restarts that go wrong: what is stored is of another version, damaged or not all there; there is
 * no store, or it has no room; the daemon is told twice, or dies at a bad moment. Whatever happens,
 * the next daemon serves, nothing is left behind in the store, and no client hangs.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness_chat.h"
#include "harness_handover.h"

/* ---- state that is not as it was ---- */

enum { CLIENTS = 6 };

static struct manager manager;

/* A service with clients, and a chat with somebody in it, handed over and not taken up yet. */
static void hand_over(int fds[static CLIENTS])
{
	handover_start(&manager, "timeouts: { drain = \"300ms\"; };");
	for (size_t i = 0; i < CLIENTS; i++) {
		fds[i] =
			client(&manager.server, i % 3 ? "length" : "line", handover_schemes[i % 2]);
		send_text(fds[i], i % 3 ? "5         ab" : "ab");
	}
	handover_wait_read(&manager, "length", 0, 48);
	handover_wait_read(&manager, "line", 0, 4);
	manager_hand_over(&manager);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_STATE), 1);
	ck_assert_uint_ge(manager_count(&manager, MANAGER_CLIENTS), 1);
}

/* The next daemon serves, the clients of the last are gone, and the log says why. */
static void expect_refused(int fds[static CLIENTS], const char *why)
{
	CLEANUP(freep) char *line = NULL;

	manager_resume(&manager);
	line = server_wait_log(&manager.server, "connections of the last process");
	ck_assert_msg(strstr(line, why) != NULL, "%s", line);
	for (size_t i = 0; i < CLIENTS; i++) {
		expect_gone(fds[i]);
		hang_up(&fds[i]);
	}
	server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	handover_wait_clients(&manager, 0);
	/* And the next restart is one as always. */
	{
		CLEANUP(closep) int fd = client(&manager.server, "length", NULL);

		handover_ask(fd);
		manager_restart(&manager);
		handover_ask(fd);
	}
	manager_stop(&manager);
}

/* Each byte that a flip can be in, at the beginning, and some of the rest. */
START_TEST(damaged)
{
	const size_t flips = harness_rounds(24, 6);
	struct random random;

	random_init_run(&random, "damaged");
	for (size_t i = 0; i < flips; i++) {
		CLEANUP(buffer_done) struct buffer state = {0};
		int fds[CLIENTS];
		size_t at;

		hand_over(fds);
		manager_read_state(&manager, &state);
		at = i < flips / 2 ? MIN(i, state.len - 1) : random_below(&random, state.len);
		(void)printf("byte %zu of %zu\n", at, state.len);
		state.data[at] ^= (uint8_t)(1 << random_below(&random, 8));
		manager_replace_state(&manager, state.data, state.len, true);
		expect_refused(fds, "its record");
	}
}
END_TEST

START_TEST(truncated)
{
	const size_t cuts = harness_rounds(12, 4);
	struct random random;

	random_init_run(&random, "truncated");
	for (size_t i = 0; i < cuts; i++) {
		CLEANUP(buffer_done) struct buffer state = {0};
		int fds[CLIENTS];
		size_t len;

		hand_over(fds);
		manager_read_state(&manager, &state);
		len = i == 0 ? 0 : i == 1 ? state.len - 1 : random_below(&random, state.len);
		(void)printf("%zu bytes of %zu\n", len, state.len);
		manager_replace_state(&manager, state.data, len, true);
		expect_refused(fds, "its record");
	}
}
END_TEST

/* The version is the second number of the record. */
START_TEST(another_version)
{
	static const size_t places[] = {8, 15};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP(buffer_done) struct buffer state = {0};
		int fds[CLIENTS];

		hand_over(fds);
		manager_read_state(&manager, &state);
		state.data[places[i]]++;
		manager_replace_state(&manager, state.data, state.len, true);
		expect_refused(fds, "of version");
	}
}
END_TEST

START_TEST(longer_than_it_should_be)
{
	CLEANUP(buffer_done) struct buffer state = {0};
	int fds[CLIENTS];

	hand_over(fds);
	manager_read_state(&manager, &state);
	ck_assert_int_eq(buffer_append(&state, "more", 4), 0);
	manager_replace_state(&manager, state.data, state.len, true);
	expect_refused(fds, "damaged");
}
END_TEST

START_TEST(something_else)
{
	static const char text[] = "{\"version\": 1, \"clients\": []}\n";
	uint8_t zeros[4096] = {0};
	int fds[CLIENTS];

	hand_over(fds);
	manager_replace_state(&manager, text, strlen(text), true);
	expect_refused(fds, "no such record");
	hand_over(fds);
	manager_replace_state(&manager, zeros, sizeof zeros, true);
	expect_refused(fds, "no such record");
}
END_TEST

/* Whatever is not sealed may still change under whoever reads it. */
START_TEST(not_sealed)
{
	CLEANUP(buffer_done) struct buffer state = {0};
	int fds[CLIENTS];

	hand_over(fds);
	manager_read_state(&manager, &state);
	manager_replace_state(&manager, state.data, state.len, false);
	expect_refused(fds, "no such record");
}
END_TEST

START_TEST(no_file_at_all)
{
	int fds[CLIENTS];

	hand_over(fds);
	manager_drop(&manager, MANAGER_STATE);
	manager_add(&manager, MANAGER_STATE, eventfd(0, EFD_CLOEXEC), false);
	expect_refused(fds, "no such record");
}
END_TEST

START_TEST(the_state_is_sealed)
{
	int fds[CLIENTS];
	int seals;

	hand_over(fds);
	seals = fcntl(manager_find(&manager, MANAGER_STATE)->fd, F_GET_SEALS);
	ck_assert_int_eq(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	manager_resume(&manager);
	for (size_t i = 0; i < CLIENTS; i++)
		hang_up(&fds[i]);
	manager_stop(&manager);
}
END_TEST

/* ---- descriptors that are not all there ---- */

START_TEST(connections_without_state)
{
	int fds[CLIENTS];

	hand_over(fds);
	manager_drop(&manager, MANAGER_STATE);
	expect_refused(fds, "no record");
}
END_TEST

START_TEST(state_without_connections)
{
	int fds[CLIENTS];

	hand_over(fds);
	while (manager_find(&manager, MANAGER_CLIENTS))
		manager_drop(&manager, MANAGER_CLIENTS);
	expect_refused(fds, "do not fit");
}
END_TEST

START_TEST(two_states)
{
	int fds[CLIENTS], again;

	hand_over(fds);
	again = dup(manager_find(&manager, MANAGER_STATE)->fd);
	ck_assert_int_ge(again, 0);
	manager_add(&manager, MANAGER_STATE, again, false);
	expect_refused(fds, "more than one");
}
END_TEST

/* Sends a message, perhaps with a descriptor, as if it belonged to what is handed over. */
static int stray_pair(int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec text = {(char[]){"stray"}, 5};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	ck_assert_int_eq(sendmsg(pair[0], &message, MSG_NOSIGNAL), 5);
	(void)close(pair[0]);
	return pair[1];
}

/* As of a process that died while it took over: they are known by their number, and left alone. */
START_TEST(strays_between_the_connections)
{
	CLEANUP(closep) int stray = eventfd(0, EFD_CLOEXEC);
	size_t before;
	int fds[CLIENTS];

	hand_over(fds);
	manager_resume(&manager);
	before = server_fds(&manager.server);
	manager_hand_over(&manager);
	manager_add(&manager, MANAGER_CLIENTS, stray_pair(stray), false);
	manager_add(&manager, MANAGER_CLIENTS, stray_pair(-1), false);
	manager_resume(&manager);
	for (size_t i = 0; i < CLIENTS; i++) {
		send_text(fds[i], i % 3 ? "cde" : "cde\n");
		expect_text(fds[i], i % 3 ? "5         ABCDE" : "ABCDE\n");
	}
	server_wait_fds(&manager.server, before);
	for (size_t i = 0; i < CLIENTS; i++)
		hang_up(&fds[i]);
	manager_stop(&manager);
}
END_TEST

/* The connections of the state are there, in number; but one is none. */
START_TEST(something_else_than_a_connection)
{
	CLEANUP(closep) int fd = -1, stray = eventfd(0, EFD_CLOEXEC);

	handover_start(&manager, "timeouts: { drain = \"300ms\"; };");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager_hand_over(&manager);
	while (manager_find(&manager, MANAGER_CLIENTS))
		manager_drop(&manager, MANAGER_CLIENTS);
	manager_add(&manager, MANAGER_CLIENTS, stray_pair(stray), false);
	expect_gone(fd);
	manager_resume(&manager);
	server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	handover_wait_clients(&manager, 0);
	manager_stop(&manager);
}
END_TEST

/* What others have stored is none of ours; those who are ours go on. */
START_TEST(something_of_another_name)
{
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager_hand_over(&manager);
	manager_add(&manager, "stranger", eventfd(0, EFD_CLOEXEC), false);
	manager_add(&manager, "stored", stray_pair(-1), false);
	manager_resume(&manager);
	handover_ask(fd);
	free(server_wait_log(&manager.server, "stranger"));
	manager_stop(&manager);
}
END_TEST

/* ---- a manager that stores nothing ---- */

/* Everybody is told, as at a stop; then the daemon ends, and the next one is as good. */
static void expect_stop_in_order(size_t store_max)
{
	CLEANUP(closep) int one = -1, line = -1, chat_fd = -1;

	manager_init(&manager);
	manager.store_max = store_max;
	(void)manager_listen(&manager, "a", "tcp://127.0.0.1:0");
	(void)manager_listen(&manager, "line", "unix:line.sock");
	(void)manager_listen(&manager, "chat", "tcp://127.0.0.1:0");
	manager_start(&manager,
		      "timeouts: { drain = \"60s\"; }; listeners: ("
		      "{ name = \"a\"; listen = \"%s\"; },"
		      "{ name = \"line\"; listen = \"%s\"; framing = \"line\"; },"
		      "{ name = \"chat\"; listen = \"%s\"; service = \"chat\"; "
		      "framing = \"line\"; });",
		      manager.sockets[0].address, manager.sockets[1].address,
		      manager.sockets[2].address);
	one = connect_to(manager.sockets[0].address);
	line = connect_to(manager.sockets[1].address);
	chat_fd = connect_to(manager.sockets[2].address);
	send_text(one, "1         x");
	expect_text(one, "1         x");
	send_text(line, "x\n");
	expect_text(line, "x\n");
	send_text(chat_fd, "{\"op\":\"ping\"}\n");
	expect_text(chat_fd, "{\"ok\":true}\n");
	server_signal(&manager.server, SIGTERM);
	expect_error_frame(one, "shutting down");
	expect_error_line(line, "shutting down");
	expect_text(chat_fd, "{\"event\":\"closing\"");
	expect_gone(chat_fd);
	hang_up(&one);
	hang_up(&line);
	hang_up(&chat_fd);
	server_assert_ended(&manager.server, 0);
	manager_pump(&manager);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_STATE), 0);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_CLIENTS), 0);
	manager_resume(&manager);
	one = connect_to(manager.sockets[0].address);
	send_text(one, "1         y");
	expect_text(one, "1         y");
	hang_up(&one);
	manager_stop(&manager);
}

START_TEST(no_store)
{
	expect_stop_in_order(0);
}
END_TEST

/* Room for the state or for the connections, but not for both. */
START_TEST(a_store_that_is_too_small)
{
	expect_stop_in_order(1);
}
END_TEST

/*
 * A manager that promises a store and stores nothing is not found out; but nobody hangs, and the
 * next daemon is as good.
 */
START_TEST(a_manager_that_breaks_its_word)
{
	CLEANUP(closep) int fd = -1, young = -1;

	handover_start(&manager, "");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager.refuses = true;
	manager_hand_over(&manager);
	expect_gone(fd);
	manager_resume(&manager);
	young = client(&manager.server, "length", "tcp:");
	handover_ask(young);
	manager.refuses = false;
	manager_restart(&manager);
	handover_ask(young);
	manager_stop(&manager);
}
END_TEST

/* Nobody listens to what the daemon has to say: then it cannot hand over, and stops in order. */
START_TEST(a_manager_that_is_gone)
{
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "timeouts: { drain = \"60s\"; };");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager_pump(&manager);
	closep(&manager.server.notify);
	manager.server.notify = -1;
	server_signal(&manager.server, SIGTERM);
	expect_error_frame(fd, "shutting down");
	hang_up(&fd);
	server_assert_ended(&manager.server, 0);
	manager_resume(&manager);
	server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	manager_stop(&manager);
}
END_TEST

/* ---- bad moments ---- */

/* What was not processed before the daemon's end might be lost; it waits for the barrier. */
START_TEST(it_waits_until_all_is_stored)
{
	CLEANUP(closep) int fd = -1, end = -1;
	struct pollfd polled;

	handover_start(&manager, "");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager_pump(&manager);
	end = pidfd_open(manager.server.pid, 0);
	polled = (struct pollfd){.fd = end, .events = POLLIN};
	server_signal(&manager.server, SIGTERM);
	/* Nobody takes its notifications: it must not end, for as long as anybody would wait. */
	ck_assert_int_eq(poll(&polled, 1, 500), 0);
	server_assert_ended(&manager.server, 0);
	ck_assert_uint_eq(manager.n_barriers, 1);
	manager_resume(&manager);
	handover_ask(fd);
	manager_stop(&manager);
}
END_TEST

static void pass_time(unsigned microseconds)
{
	(void)usleep(microseconds); /* a moment that is as good as any other */
}

/* Told again while it hands over. The clients go on, or are cut off; but nothing hangs. */
START_TEST(told_twice)
{
	const unsigned rounds = (unsigned)harness_rounds(30, 6);
	unsigned kept = 0;

	handover_start(&manager, "");
	for (unsigned round = 0; round < rounds; round++) {
		int fd = client(&manager.server, "length", handover_schemes[round % 2]);
		char header[10];

		handover_ask(fd);
		server_signal(&manager.server, SIGTERM);
		pass_time(round * 100);
		(void)kill(manager.server.pid, SIGTERM); /* it may be a zombie by now */
		server_assert_ended(&manager.server, 0);
		manager_pump(&manager);
		manager_resume(&manager);
		if (send(fd, "4         ping", 14, MSG_NOSIGNAL) == 14 &&
		    recv(fd, header, sizeof header, MSG_WAITALL) == sizeof header) {
			expect_text(fd, "PING");
			kept++;
		}
		(void)close(fd);
		server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
		ck_assert_uint_eq(manager_count(&manager, MANAGER_CLIENTS), 0);
	}
	(void)printf("%u of %u clients kept\n", kept, rounds);
	manager_stop(&manager);
}
END_TEST

/*
 * The next daemon is told to end before it is ready. When the signal comes first of all, it dies of
 * it, and what is stored is for the one after it.
 */
START_TEST(restart_during_restart)
{
	const unsigned rounds = (unsigned)harness_rounds(40, 8);
	CLEANUP(closep) int fd = -1, line = -1;
	struct load load;

	handover_start(&manager, "workers = 2;");
	fd = client(&manager.server, "length", "tcp:");
	line = client(&manager.server, "line", "unix:");
	load_start(&load, server_address(&manager.server, "length", "tcp:"), FRAMING_LENGTH);
	handover_ask(fd);
	for (unsigned round = 0; round < rounds; round++) {
		int status;

		send_text(line, "be");
		send_text(fd, "6         bet");
		manager_hand_over(&manager);
		manager_spawn(&manager);
		pass_time(round * 500);
		server_signal(&manager.server, SIGTERM);
		status = server_wait_end(&manager.server);
		ck_assert_msg((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
				      (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM),
			      "wait status %#x", status);
		manager_pump(&manager);
		manager_resume(&manager);
		send_text(line, "tween\n");
		expect_text(line, "BETWEEN\n");
		send_text(fd, "ter");
		expect_text(fd, "6         BETTER");
	}
	load_stop(&load);
	manager_stop(&manager);
}
END_TEST

/* Killed while it takes over: the clients are lost at worst, and never the service. */
START_TEST(killed_while_it_takes_over)
{
	const unsigned rounds = (unsigned)harness_rounds(40, 8);

	handover_start(&manager, "workers = 2; timeouts: { drain = \"300ms\"; };");
	for (unsigned round = 0; round < rounds; round++) {
		int fd = client(&manager.server, "length", "tcp:");
		char header[10];

		handover_ask(fd);
		manager_hand_over(&manager);
		manager_spawn(&manager);
		pass_time(round * 500);
		server_signal(&manager.server, SIGKILL);
		(void)server_wait_end(&manager.server);
		manager_pump(&manager);
		manager_resume(&manager);
		if (send(fd, "4         ping", 14, MSG_NOSIGNAL) == 14 &&
		    recv(fd, header, sizeof header, MSG_WAITALL) == sizeof header)
			expect_text(fd, "PING");
		(void)close(fd);
		server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	}
	manager_stop(&manager);
}
END_TEST

/* Killed while it hands over. */
START_TEST(killed_while_it_hands_over)
{
	const unsigned rounds = (unsigned)harness_rounds(40, 8);

	handover_start(&manager, "workers = 2; timeouts: { drain = \"300ms\"; };");
	for (unsigned round = 0; round < rounds; round++) {
		int fd = client(&manager.server, "length", "tcp:");
		char header[10];

		handover_ask(fd);
		server_signal(&manager.server, SIGTERM);
		pass_time(round * 50);
		(void)kill(manager.server.pid, SIGKILL); /* it may be a zombie by now */
		(void)server_wait_end(&manager.server);
		manager_pump(&manager);
		manager_resume(&manager);
		if (send(fd, "4         ping", 14, MSG_NOSIGNAL) == 14 &&
		    recv(fd, header, sizeof header, MSG_WAITALL) == sizeof header)
			expect_text(fd, "PING");
		(void)close(fd);
		server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	}
	manager_stop(&manager);
}
END_TEST

START_TEST(a_crash)
{
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	manager_restart(&manager);
	manager_crash(&manager);
	expect_gone(fd);
	server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	manager_stop(&manager);
}
END_TEST

/* A stop is no restart: everybody is told, and nothing is stored. */
START_TEST(an_interrupt_stops)
{
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "timeouts: { drain = \"60s\"; };");
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	server_signal(&manager.server, SIGINT);
	expect_error_frame(fd, "shutting down");
	hang_up(&fd);
	server_assert_ended(&manager.server, 0);
	manager_pump(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	manager_resume(&manager);
	manager_stop(&manager);
}
END_TEST

/* A configuration that is wrong ends the next daemon, and nobody is lost once it is right again. */
START_TEST(a_wrong_configuration_between)
{
	CLEANUP(freep) char *listeners = NULL;
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "");
	listeners = handover_listeners(&manager);
	fd = client(&manager.server, "length", "tcp:");
	send_text(fd, "4         p");
	handover_wait_read(&manager, "length", 0, 11);
	manager_hand_over(&manager);
	server_write_config(&manager.server, "%s", "listeners: (");
	manager_spawn(&manager);
	server_assert_ended(&manager.server, 78);
	manager_pump(&manager);
	server_write_config(&manager.server, "%s", listeners);
	manager_resume(&manager);
	send_text(fd, "ing");
	expect_frame(fd, "PING", 4);
	manager_stop(&manager);
}
END_TEST

/* One that is wrong by then: the next daemon would not start, so clients are told to come back. */
START_TEST(a_wrong_configuration_before)
{
	CLEANUP(freep) char *listeners = NULL;
	CLEANUP(closep) int fd = -1;

	handover_start(&manager, "timeouts: { drain = \"60s\"; };");
	listeners = handover_listeners(&manager);
	fd = client(&manager.server, "length", "tcp:");
	handover_ask(fd);
	server_write_config(&manager.server, "%s", "listeners: (");
	server_signal(&manager.server, SIGTERM);
	expect_error_frame(fd, "shutting down");
	hang_up(&fd);
	server_assert_ended(&manager.server, 0);
	free(server_wait_log(&manager.server, "retortd.conf:1: "));
	manager_pump(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	server_write_config(&manager.server, "%s", listeners);
	manager_resume(&manager);
	server_assert_serves(&manager.server, "length", FRAMING_LENGTH);
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_handover_state");

	harness_add(suite, damaged);
	harness_add(suite, truncated);
	harness_add(suite, another_version);
	harness_add(suite, longer_than_it_should_be);
	harness_add(suite, something_else);
	harness_add(suite, not_sealed);
	harness_add(suite, no_file_at_all);
	harness_add(suite, the_state_is_sealed);
	harness_add(suite, connections_without_state);
	harness_add(suite, state_without_connections);
	harness_add(suite, two_states);
	harness_add(suite, strays_between_the_connections);
	harness_add(suite, something_else_than_a_connection);
	harness_add(suite, something_of_another_name);
	harness_add(suite, no_store);
	harness_add(suite, a_store_that_is_too_small);
	harness_add(suite, a_manager_that_breaks_its_word);
	harness_add(suite, a_manager_that_is_gone);
	harness_add(suite, it_waits_until_all_is_stored);
	harness_add(suite, told_twice);
	harness_add(suite, restart_during_restart);
	harness_add(suite, killed_while_it_takes_over);
	harness_add(suite, killed_while_it_hands_over);
	harness_add(suite, a_crash);
	harness_add(suite, an_interrupt_stops);
	harness_add(suite, a_wrong_configuration_between);
	harness_add(suite, a_wrong_configuration_before);
	return harness_main(suite);
}
