/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A restart as the service sees it: clients under load and clients that come meanwhile, limits and
 * numbers that go on, another configuration for those who are carried over, and nothing that leaks.
 */

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "harness_chat.h"
#include "harness_handover.h"

/* ---- load ---- */

START_TEST(many_restarts_under_load)
{
	enum { LOADS = 6 };
	static const enum framing framings[] = {FRAMING_LENGTH, FRAMING_LENGTH, FRAMING_LINE};
	static const char *const listeners[] = {"length", "length", "line"};
	const int restarts = (int)harness_rounds(20, 4);
	struct load loads[LOADS];
	struct manager manager;

	handover_start(&manager, "workers = 2;");
	for (size_t i = 0; i < LOADS; i++)
		load_start(
			&loads[i],
			server_address(&manager.server, listeners[i % 3], handover_schemes[i % 2]),
			framings[i % 3]);
	for (int i = 0; i < restarts; i++) {
		uint64_t before = server_counter(&manager.server, "length", "messages");

		/* Every daemon is at work before it goes. */
		(void)server_wait_counter(&manager.server, "length", "messages", before + 100);
		manager_restart(&manager);
	}
	for (size_t i = 0; i < LOADS; i++)
		load_stop(&loads[i]);
	manager_stop(&manager);
}
END_TEST

/* Whoever connects or ends at that very moment is answered as well. */
START_TEST(many_restarts_under_short_connections)
{
	const int restarts = (int)harness_rounds(20, 4);
	struct load loads[4];
	struct manager manager;

	handover_start(&manager, "workers = 2;");
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		load_start_short(&loads[i], server_address(&manager.server, "length",
							   handover_schemes[i % 2]));
	for (int i = 0; i < restarts; i++) {
		(void)server_wait_counter(&manager.server, "length", "clients accepted", 20);
		manager_restart(&manager);
	}
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		load_stop(&loads[i]);
	handover_wait_clients(&manager, 0);
	manager_stop(&manager);
}
END_TEST

START_TEST(many_clients)
{
	const size_t wish = harness_rounds(6000, 300);
	const size_t n = MIN(wish, harness_raise_files(wish + 200) - 200);
	int *fds = calloc(n, sizeof *fds);
	struct manager manager;

	ck_assert_ptr_nonnull(fds);
	handover_start(&manager, "workers = 2;");
	for (size_t i = 0; i < n; i++) {
		fds[i] = client(&manager.server, "length", handover_schemes[i % 2]);
		send_text(fds[i], "4         a");
	}
	handover_wait_clients(&manager, n);
	for (int i = 0; i < 2; i++) {
		manager_restart(&manager);
		ck_assert_uint_eq(server_counter(&manager.server, NULL, "clients now"), n);
	}
	for (size_t i = 0; i < n; i++) {
		send_text(fds[i], "bcd");
		expect_frame(fds[i], "ABCD", 4);
		(void)close(fds[i]);
	}
	free(fds);
	manager_stop(&manager);
}
END_TEST

/* ---- who comes meanwhile ---- */

START_TEST(clients_that_come_between_two_daemons)
{
	struct manager manager;
	int fds[2];

	handover_start(&manager, "");
	manager_hand_over(&manager);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = client(&manager.server, "length", handover_schemes[i]);
		send_frame(fds[i], "meanwhile", 9);
	}
	manager_resume(&manager);
	for (size_t i = 0; i < 2; i++) {
		expect_frame(fds[i], "MEANWHILE", 9);
		hang_up(&fds[i]);
	}
	manager_stop(&manager);
}
END_TEST

/* A socket that the daemon has opened itself is stored with its clients, and waits likewise. */
START_TEST(sockets_of_the_daemons_own)
{
	static const char config[] =
		"listeners: ({ name = \"a\"; listen = [ \"unix:a.sock\", \"tcp://127.0.0.1:0\", "
		"\"udp://127.0.0.1:0\" ]; });";
	CLEANUP(closep) int old = -1, tcp = -1, local = -1, udp = -1;
	struct manager manager;
	unsigned port;
	char byte;

	manager_init(&manager);
	manager_start(&manager, "%s", config);
	port = server_port(&manager.server, "a", "tcp:");
	old = client(&manager.server, "a", NULL);
	udp = client(&manager.server, "a", "udp:");
	send_frame(old, "x", 1);
	expect_frame(old, "x", 1);
	for (int i = 0; i < 3; i++) {
		manager_hand_over(&manager);
		ck_assert_uint_ge(manager_count(&manager, NULL), 6);
		tcp = client(&manager.server, "a", "tcp:");
		local = client(&manager.server, "a", "unix:");
		send_frame(tcp, "tcp", 3);
		send_frame(local, "unix", 4);
		send_all(udp, "u", 1);
		manager_resume(&manager);
		expect_frame(tcp, "tcp", 3);
		expect_frame(local, "unix", 4);
		recv_exactly(udp, &byte, 1);
		ck_assert_int_eq(byte, 'u');
		send_frame(old, "old", 3);
		expect_frame(old, "old", 3);
		ck_assert_uint_eq(server_port(&manager.server, "a", "tcp:"), port);
		hang_up(&tcp);
		hang_up(&local);
	}
	manager_stop(&manager);
}
END_TEST

/* And they are still its own: a reload may take one away, and open another. */
START_TEST(sockets_of_its_own_can_be_reloaded)
{
	static const char settings[] = "timeouts: { drain = \"300ms\"; };";
	CLEANUP(closep) int stays = -1, gone = -1;
	struct manager manager;
	char path[SERVER_PATH_MAX + 16];

	manager_init(&manager);
	manager_start(&manager,
		      "%s listeners: ({ name = \"a\"; listen = \"unix:a.sock\"; },"
		      "{ name = \"b\"; listen = \"unix:b.sock\"; });",
		      settings);
	stays = client(&manager.server, "a", NULL);
	gone = client(&manager.server, "b", NULL);
	handover_wait_clients(&manager, 2);
	manager_restart(&manager);
	manager_restart(&manager);
	server_write_config(&manager.server,
			    "%s listeners: ({ name = \"a\"; listen = \"unix:a.sock\"; },"
			    "{ name = \"c\"; listen = \"unix:c.sock\"; });",
			    settings);
	server_signal(&manager.server, SIGHUP);
	server_wait_notify(&manager.server, "RELOADING=1");
	server_wait_notify(&manager.server, "READY=1");
	server_read_listening(&manager.server);
	ck_assert_uint_eq(server_count_log(&manager.server, "not reloaded"), 0);
	expect_gone(gone);
	(void)snprintf(path, sizeof path, "%s/b.sock", manager.server.directory);
	ck_assert_int_lt(access(path, F_OK), 0); /* its file went with it */
	server_assert_serves(&manager.server, "c", FRAMING_LENGTH);
	manager_restart(&manager);
	server_assert_serves(&manager.server, "c", FRAMING_LENGTH);
	send_frame(stays, "x", 1);
	expect_frame(stays, "x", 1);
	hang_up(&stays);
	manager_stop(&manager);
}
END_TEST

/* The file of this name in the daemon's directory, as an address. */
static const char *local(const struct manager *manager, const char *name)
{
	static char address[SERVER_PATH_MAX + 32];

	(void)snprintf(address, sizeof address, "unix:%s/%s", manager->server.directory, name);
	return address;
}

static void assert_echoes(int fd)
{
	send_frame(fd, "x", 1);
	expect_frame(fd, "x", 1);
}

/* A restart goes by the configuration: addresses come, go, and change their listener. */
START_TEST(sockets_of_its_own_go_by_the_configuration)
{
	CLEANUP(closep) int stays = -1, renamed = -1, young = -1, meanwhile = -1;
	struct manager manager;
	struct stat status;

	manager_init(&manager);
	manager_start(&manager, "listeners: ({ name = \"a\"; listen = [ \"unix:stays.sock\", "
				"\"unix:also.sock\", \"unix:old.sock\" ]; },"
				"{ name = \"b\"; listen = \"unix:renamed.sock\"; });");
	stays = connect_to(local(&manager, "stays.sock"));
	handover_wait_clients(&manager, 1);
	manager_restart_with(&manager,
			     "listeners: ({ name = \"a\"; listen = [ \"unix:stays.sock\", "
			     "\"unix:also.sock\", \"unix:new.sock\" ]; mode = \"0600\"; },"
			     "{ name = \"c\"; listen = \"unix:renamed.sock\"; });");
	young = connect_to(local(&manager, "new.sock"));
	assert_echoes(young);
	renamed = connect_to(local(&manager, "renamed.sock"));
	assert_echoes(renamed);
	ck_assert_int_lt(access(local(&manager, "old.sock") + strlen("unix:"), F_OK), 0);
	ck_assert_int_eq(stat(local(&manager, "stays.sock") + strlen("unix:"), &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	ck_assert_uint_eq(server_count_log(&manager.server, "cannot"), 0);
	for (int i = 0; i < 2; i++) {
		manager_hand_over(&manager);
		meanwhile = connect_to(local(&manager, i == 0 ? "renamed.sock" : "new.sock"));
		manager_resume(&manager);
		assert_echoes(meanwhile);
		hang_up(&meanwhile);
	}
	assert_echoes(stays);
	assert_echoes(young);
	assert_echoes(renamed);
	manager_stop(&manager);
}
END_TEST

/* One address is in the way of the other, as long as anybody has it. */
START_TEST(from_one_address_to_all)
{
	static const char format[] = "listeners: ({ name = \"a\"; listen = [ \"tcp://%s:%u\", "
				     "\"udp://%s:%u\" ]; });";
	CLEANUP(closep) int old = -1, tcp = -1, udp = -1;
	struct manager manager;
	unsigned port, udp_port;
	char byte;

	manager_init(&manager);
	manager_start(&manager, format, "127.0.0.1", 0, "127.0.0.1", 0);
	port = server_port(&manager.server, "a", "tcp:");
	udp_port = server_port(&manager.server, "a", "udp:");
	old = client(&manager.server, "a", "tcp:");
	assert_echoes(old);
	for (int i = 0; i < 2; i++) {
		const char *host = i == 0 ? "*" : "127.0.0.1";

		manager_restart_with(&manager, format, host, port, host, udp_port);
		tcp = client(&manager.server, "a", "tcp:");
		udp = client(&manager.server, "a", "udp:");
		assert_echoes(tcp);
		send_all(udp, "u", 1);
		recv_exactly(udp, &byte, 1);
		assert_echoes(old);
		hang_up(&tcp);
		hang_up(&udp);
	}
	manager_stop(&manager);
}
END_TEST

/* An address that somebody else has ends the next daemon; everything waits for the one after it. */
START_TEST(an_address_that_is_taken)
{
	static const char format[] = "listeners: ({ name = \"a\"; listen = \"unix:a.sock\"; },"
				     "{ name = \"b\"; listen = \"tcp://127.0.0.1:%u\"; });";
	struct sockaddr_in taken = {.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP(closep) int rival = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;
	CLEANUP(closep) int meanwhile = -1;
	socklen_t len = sizeof taken;
	struct manager manager;

	ck_assert_int_eq(bind(rival, (struct sockaddr *)&taken, len), 0);
	ck_assert_int_eq(listen(rival, 1), 0);
	ck_assert_int_eq(getsockname(rival, (struct sockaddr *)&taken, &len), 0);
	manager_init(&manager);
	manager_start(&manager, format, 0);
	fd = connect_to(local(&manager, "a.sock"));
	assert_echoes(fd);
	manager_hand_over(&manager);
	server_write_config(&manager.server, format, ntohs(taken.sin_port));
	manager_spawn(&manager);
	server_assert_ended(&manager.server, 69);
	manager_pump(&manager);
	meanwhile = connect_to(local(&manager, "a.sock"));
	server_write_config(&manager.server, format, 0);
	manager_resume(&manager);
	assert_echoes(fd);
	assert_echoes(meanwhile);
	manager_restart(&manager);
	assert_echoes(fd);
	assert_echoes(meanwhile);
	manager_stop(&manager);
}
END_TEST

START_TEST(datagrams_meanwhile)
{
	static const char before[] = "abcde", meanwhile[] = "fghij", answers[] = "ABCDEFGHIJ";
	CLEANUP(closep) int fd = -1;
	struct manager manager;
	const char *address;

	manager_init(&manager);
	address = manager_listen(&manager, "u", "udp://127.0.0.1:0");
	manager_start(
		&manager,
		"listeners: ({ name = \"u\"; listen = \"%s\"; transforms = [ \"upper\" ]; });",
		address);
	fd = connect_to(address);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 5; i++)
			send_all(fd, &before[i], 1);
		manager_hand_over(&manager);
		for (size_t i = 0; i < 5; i++)
			send_all(fd, &meanwhile[i], 1);
		manager_resume(&manager);
		for (size_t i = 0; i < 10; i++) {
			char got[2];

			ck_assert_int_eq(recv(fd, got, sizeof got, 0), 1);
			ck_assert_int_eq(got[0], answers[i]);
		}
	}
	manager_stop(&manager);
}
END_TEST

/*
 * Whoever waits at a stream waits, and datagrams are lost when there are too many: so these come
 * before all connections that are taken over, however much has been sent to those.
 */
START_TEST(datagrams_come_first)
{
	enum { STREAMS = 300 };
	struct epoll_event events[STREAMS + 1];
	int fds[STREAMS + 1], n, place = -1, order = epoll_create1(EPOLL_CLOEXEC);
	CLEANUP(freep) char *stream = NULL;
	const char *datagram;
	struct manager manager;

	manager_init(&manager);
	stream = strdup(manager_listen(&manager, "s", "tcp://127.0.0.1:0"));
	datagram = manager_listen(&manager, "u", "udp://127.0.0.1:0");
	manager_start(&manager,
		      "workers = 1; listeners: ({ name = \"s\"; listen = \"%s\"; "
		      "transforms = [ \"upper\" ]; },"
		      "{ name = \"u\"; listen = \"%s\"; });",
		      stream, datagram);
	for (int i = 0; i <= STREAMS; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = i};

		fds[i] = connect_to(i < STREAMS ? stream : datagram);
		if (i < STREAMS)
			handover_ask(fds[i]);
		ck_assert_int_eq(epoll_ctl(order, EPOLL_CTL_ADD, fds[i], &event), 0);
	}
	manager_hand_over(&manager);
	for (int i = 0; i < STREAMS; i++)
		send_frame(fds[i], "ping", 4);
	send_all(fds[STREAMS], "ping", 4);
	manager_resume(&manager);
	for (int i = 0; i <= STREAMS; i++) {
		struct pollfd polled = {fds[i], POLLIN, 0};

		ck_assert_int_eq(poll(&polled, 1, harness_patience()), 1);
	}
	/* In the order in which they were answered. */
	n = epoll_wait(order, events, STREAMS + 1, 0);
	ck_assert_int_eq(n, STREAMS + 1);
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == STREAMS)
			place = i;
	ck_assert_int_lt(place, STREAMS / 2);
	for (int i = 0; i <= STREAMS; i++)
		(void)close(fds[i]);
	(void)close(order);
	manager_stop(&manager);
}
END_TEST

/* ---- numbers and limits ---- */

/* The numbers of the clients of this listener, ascending as they came; returns how many. */
static size_t client_numbers(const struct manager *manager, const char *listener,
			     json_int_t *numbers, size_t max)
{
	CHATTER control = {0};
	json_t *reply, *one;
	size_t n = 0, i;

	chatter_open_control(&control, &manager->server, FRAMING_LENGTH);
	reply = chatter_ask(&control, "{'op':'clients'}");
	json_array_foreach(json_object_get(reply, "clients"), i, one) {
		size_t at = n;

		if (strcmp(member_string(one, "listener"), listener) != 0)
			continue;
		ck_assert_uint_lt(n++, max);
		for (; at > 0 && numbers[at - 1] > member_integer(one, "client"); at--)
			numbers[at] = numbers[at - 1];
		numbers[at] = member_integer(one, "client");
	}
	json_decref(reply);
	return n;
}

START_TEST(client_numbers_go_on)
{
	CLEANUP(closep) int one = -1, two = -1, gone = -1, young = -1;
	json_int_t before[8], after[8], last;
	struct manager manager;

	handover_start(&manager, "");
	one = client(&manager.server, "length", "tcp:");
	handover_ask(one);
	two = client(&manager.server, "length", "unix:");
	handover_ask(two);
	gone = client(&manager.server, "length", "tcp:");
	handover_ask(gone);
	ck_assert_uint_eq(client_numbers(&manager, "length", before, 8), 3);
	last = before[2];
	hang_up(&gone);
	(void)server_wait_counter(&manager.server, "length", "clients gone", 1);
	for (int i = 0; i < 3; i++) {
		manager_restart(&manager);
		ck_assert_uint_eq(client_numbers(&manager, "length", after, 8), 2);
		ck_assert_int_eq(after[0], before[0]);
		ck_assert_int_eq(after[1], before[1]);
		/* No number is used again, not even that of one who has left. */
		young = client(&manager.server, "length", "tcp:");
		handover_ask(young);
		ck_assert_uint_eq(client_numbers(&manager, "length", after, 8), 3);
		ck_assert_int_gt(after[2], last);
		last = after[2];
		hang_up(&young);
		(void)server_wait_counter(&manager.server, "length", "clients gone", 1);
	}
	manager_stop(&manager);
}
END_TEST

/* What an administrator is told of a client goes on, rather than begin anew. */
START_TEST(what_is_known_of_a_client)
{
	CHATTER control = {0};
	CLEANUP(closep) int fd = -1;
	json_t *before, *after, *one;
	struct manager manager;

	handover_start(&manager, "");
	fd = client(&manager.server, "length", "tcp:");
	for (int i = 0; i < 5; i++)
		handover_ask(fd);
	chatter_open_control(&control, &manager.server, FRAMING_LENGTH);
	before = chatter_ask(&control, "{'op':'clients'}");
	manager_restart(&manager);
	after = chatter_ask(&control, "{'op':'clients'}");
	one = json_array_get(json_object_get(after, "clients"), 0);
	if (strcmp(member_string(one, "listener"), "length") != 0)
		one = json_array_get(json_object_get(after, "clients"), 1);
	expect_json(json_incref(one), "{'listener':'length','messages':5,'bytes_in':70,'...':1}");
	ck_assert_uint_eq(json_array_size(json_object_get(before, "clients")),
			  json_array_size(json_object_get(after, "clients")));
	json_decref(before);
	json_decref(after);
	manager_stop(&manager);
}
END_TEST

START_TEST(max_clients_counts_all)
{
	CLEANUP(closep) int one = -1, two = -1, three = -1;
	struct manager manager;

	handover_start(&manager, "max_clients = 2; timeouts: { drain = \"300ms\"; };");
	one = client(&manager.server, "length", "tcp:");
	two = client(&manager.server, "length", "unix:");
	handover_ask(one);
	handover_ask(two);
	manager_restart(&manager);
	three = client(&manager.server, "length", "tcp:");
	expect_error_frame(three, "client");
	hang_up(&three);
	handover_ask(one);
	hang_up(&one);
	(void)server_wait_counter(&manager.server, "length", "clients gone", 1);
	three = client(&manager.server, "length", "tcp:");
	handover_ask(three);
	handover_ask(two);
	manager_stop(&manager);
}
END_TEST

/* One who is being told that there is no room is told so, and still counts as none. */
START_TEST(a_client_that_is_being_refused)
{
	CLEANUP(closep) int one = -1, refused = -1, two = -1;
	struct manager manager;

	handover_start(&manager, "max_clients = 1; timeouts: { drain = \"60s\"; };");
	one = client(&manager.server, "length", "tcp:");
	handover_ask(one);
	refused = client(&manager.server, "length", "tcp:");
	(void)server_wait_counter(&manager.server, "length", "refused by max_clients", 1);
	manager_restart(&manager);
	expect_error_frame(refused, "client");
	handover_ask(one);
	hang_up(&one);
	handover_wait_clients(&manager, 0);
	two = client(&manager.server, "length", "unix:");
	handover_ask(two);
	hang_up(&two);
	hang_up(&refused);
	manager_stop(&manager);
}
END_TEST

START_TEST(max_clients_per_address_counts_all)
{
	CLEANUP(closep) int one = -1, two = -1, three = -1;
	struct manager manager;

	handover_start(&manager, "max_clients_per_address = 2; timeouts: { drain = \"300ms\"; };");
	one = client(&manager.server, "length", "tcp:");
	two = client(&manager.server, "length", "tcp:");
	handover_ask(one);
	handover_ask(two);
	manager_restart(&manager);
	manager_restart(&manager);
	three = client(&manager.server, "length", "tcp:");
	expect_error_frame(three, "address");
	hang_up(&three);
	hang_up(&one);
	(void)server_wait_counter(&manager.server, "length", "clients gone", 1);
	three = client(&manager.server, "length", "tcp:");
	handover_ask(three);
	handover_ask(two);
	manager_stop(&manager);
}
END_TEST

/* ---- another configuration ---- */

/* Whoever is there stays; nobody else comes in until there is room. */
START_TEST(more_clients_than_there_may_be_now)
{
	CLEANUP(freep) char *listeners = NULL;
	CLEANUP(closep) int late = -1;
	struct manager manager;
	int fds[3];

	handover_start(&manager, "");
	listeners = handover_listeners(&manager);
	for (size_t i = 0; i < 3; i++) {
		fds[i] = client(&manager.server, "length", "tcp:");
		handover_ask(fds[i]);
	}
	manager_restart_with(&manager, "max_clients = 2; timeouts: { drain = \"300ms\"; }; %s",
			     listeners);
	for (size_t i = 0; i < 3; i++)
		handover_ask(fds[i]);
	late = client(&manager.server, "length", "tcp:");
	expect_error_frame(late, "client");
	for (size_t i = 0; i < 3; i++)
		hang_up(&fds[i]);
	manager_stop(&manager);
}
END_TEST

START_TEST(another_number_of_workers)
{
	static const int workers[] = {4, 1, 3, 2};
	CLEANUP(freep) char *listeners = NULL;
	struct manager manager;
	int fds[20];

	handover_start(&manager, "workers = 1;");
	listeners = handover_listeners(&manager);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = client(&manager.server, "length", handover_schemes[i % 2]);
	for (size_t round = 0; round < ARRAY_SIZE(workers); round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			send_text(fds[i], "4         pi");
		manager_restart_with(&manager, "workers = %d; %s", workers[round], listeners);
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			send_text(fds[i], "ng");
			expect_frame(fds[i], "PING", 4);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		hang_up(&fds[i]);
	manager_stop(&manager);
}
END_TEST

/* As after a reload: whoever is connected has the new settings. */
START_TEST(other_settings)
{
	CLEANUP(closep) int fd = -1;
	struct manager manager;
	const char *address;

	manager_init(&manager);
	address = manager_listen(&manager, "a", "tcp://127.0.0.1:0");
	manager_start(
		&manager,
		"listeners: ({ name = \"a\"; listen = \"%s\"; transforms = [ \"upper\" ]; });",
		address);
	fd = connect_to(address);
	send_frame(fd, "abc", 3);
	expect_frame(fd, "ABC", 3);
	manager_restart_with(&manager,
			     "max_message = 4; timeouts: { drain = \"300ms\"; }; listeners: ("
			     "{ name = \"a\"; listen = \"%s\"; transforms = [ \"reverse\" ]; });",
			     address);
	send_frame(fd, "abc", 3);
	expect_frame(fd, "cba", 3);
	send_text(fd, "5         abcde");
	expect_error_frame(fd, "4");
	manager_stop(&manager);
}
END_TEST

/* One listener is gone; its clients are told, and the others notice nothing. */
START_TEST(a_listener_that_is_gone)
{
	CLEANUP(closep) int gone = -1, line = -1, stays = -1;
	char stays_at[64], gone_at[64], line_at[64];
	struct manager manager;

	manager_init(&manager);
	(void)strcpy(stays_at, manager_listen(&manager, "stays", "tcp://127.0.0.1:0"));
	(void)strcpy(gone_at, manager_listen(&manager, "gone", "tcp://127.0.0.1:0"));
	(void)strcpy(line_at, manager_listen(&manager, "line", "tcp://127.0.0.1:0"));
	manager_start(&manager,
		      "listeners: ({ name = \"stays\"; listen = \"%s\"; },"
		      "{ name = \"gone\"; listen = \"%s\"; },"
		      "{ name = \"line\"; framing = \"line\"; listen = \"%s\"; });",
		      stays_at, gone_at, line_at);
	stays = connect_to(stays_at);
	gone = connect_to(gone_at);
	line = connect_to(line_at);
	send_text(stays, "1         x");
	expect_frame(stays, "x", 1);
	send_text(gone, "1         x");
	expect_frame(gone, "x", 1);
	send_text(line, "x\n");
	expect_text(line, "x\n");
	manager_hand_over(&manager);
	/* The manager has no such sockets any more. */
	while (manager.n_sockets > 1)
		closep(&manager.sockets[--manager.n_sockets].fd);
	server_write_config(&manager.server, "listeners: ({ name = \"stays\"; listen = \"%s\"; });",
			    stays_at);
	manager_resume(&manager);
	expect_error_frame(gone, "");
	expect_error_line(line, "");
	send_text(stays, "1         y");
	expect_frame(stays, "y", 1);
	manager_stop(&manager);
}
END_TEST

/*
 * A listener that is another one now, beside one that stays: how a client of the first goes on that
 * has asked something before, and how one begins that comes now.
 */
struct other_protocol {
	const char *before, *after;   /* what the listener is, but its name and address */
	const char *asked, *answered; /* by a client of before */
	const char *asks, *hears;     /* the same client, afterwards; NULL: it is closed */
	const char *young_asks, *young_hears;
};

static void check_other_protocol(const struct other_protocol *other)
{
	static const char format[] =
		"timeouts: { drain = \"300ms\"; }; listeners: ("
		"{ name = \"a\"; listen = \"%s\"; %s }, { name = \"b\"; listen = \"%s\"; });";
	CLEANUP(closep) int fd = -1, neighbour = -1, young = -1;
	char address[64], beside[64];
	struct manager manager;

	manager_init(&manager);
	(void)strcpy(address, manager_listen(&manager, "a", "tcp://127.0.0.1:0"));
	(void)strcpy(beside, manager_listen(&manager, "b", "tcp://127.0.0.1:0"));
	manager_start(&manager, format, address, other->before, beside);
	fd = connect_to(address);
	neighbour = connect_to(beside);
	send_text(fd, other->asked);
	expect_text(fd, other->answered);
	send_text(neighbour, "1         x");
	expect_text(neighbour, "1         x");
	manager_restart_with(&manager, format, address, other->after, beside);
	if (other->asks) {
		send_text(fd, other->asks);
		expect_text(fd, other->hears);
	} else {
		expect_gone(fd);
	}
	send_text(neighbour, "1         y");
	expect_text(neighbour, "1         y");
	young = connect_to(address);
	send_text(young, other->young_asks);
	expect_text(young, other->young_hears);
	manager_stop(&manager);
}

/* A connection has for life the framing with which it began. */
START_TEST(another_framing)
{
	static const struct other_protocol cases[] = {
		{"framing = \"length\";", "framing = \"line\";", "2         ab3", "2         ab",
		 "         cde", "3         cde", "3 x\n", "3 x\n"},
		{"framing = \"line\";", "framing = \"raw\";", "ab\nc", "ab\n", "d\n", "cd\n", "x",
		 "x"},
		{"framing = \"raw\";", "framing = \"length\";", "ab", "ab", "c", "c", "1         x",
		 "1         x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_other_protocol(&cases[i]);
}
END_TEST

/* Nobody can go on with another service. */
START_TEST(another_service)
{
	static const char ping[] = "{\"op\":\"ping\"}\n", pong[] = "{\"ok\":true}\n";
	static const char chat[] = "service = \"chat\"; framing = \"line\";";
	static const struct other_protocol cases[] = {
		{chat, "framing = \"line\";", ping, pong, NULL, NULL, "x\n", "x\n"},
		{"framing = \"line\";", chat, "x\n", "x\n", NULL, NULL, ping, pong},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_other_protocol(&cases[i]);
}
END_TEST

/* As little as with another framing does a program have to speak with people's words. */
START_TEST(another_dialect)
{
	static const struct other_protocol to_text = {
		.before = "service = \"chat\"; framing = \"line\";",
		.after = "service = \"chat\"; framing = \"line\"; dialect = \"text\";",
		.asked = "{\"op\":\"ping\"}\n",
		.answered = "{\"ok\":true}\n",
		.asks = "{\"op\":\"ping\",\"text\":\"x\"}\n",
		.hears = "{\"ok\":true,\"text\":\"x\"}\n",
		.young_asks = "",
		.young_hears = "* you are guest-",
	};

	check_other_protocol(&to_text);
}
END_TEST

/* ---- the control socket ---- */

START_TEST(control_connections)
{
	static const enum framing framings[] = {FRAMING_LENGTH, FRAMING_LINE};
	struct manager manager;

	handover_start(&manager, "");
	for (size_t i = 0; i < 2; i++) {
		CHATTER control = {0};

		chatter_open_control(&control, &manager.server, framings[i]);
		expect_ok(&control, "{'op':'health'}");
		manager_restart(&manager);
		expect_ok(&control, "{'op':'health'}");
		chatter_add(&control, "{'op':'stats'}");
		chatter_add(&control, "{'op':'clients'}");
		chatter_add(&control, "{'op':'health'}");
		chatter_add(&control, "{'op':'ping','text':'x'}");
		chatter_flush(&control);
		manager_restart(&manager);
		for (int j = 0; j < 4; j++)
			expect_json(chatter_reply(&control), "{'ok':true,'...':1}");
	}
	manager_stop(&manager);
}
END_TEST

/* A framing is detected by the first byte; whoever has sent none may still choose. */
START_TEST(a_control_connection_that_has_said_nothing)
{
	CHATTER control = {0};
	struct manager manager;

	handover_start(&manager, "");
	chatter_open_control(&control, &manager.server, FRAMING_LINE);
	manager_restart(&manager);
	expect_ok(&control, "{'op':'health'}");
	manager_stop(&manager);
}
END_TEST

/* ---- nothing is left behind ---- */

START_TEST(no_descriptor_leaks)
{
	const int restarts = (int)harness_rounds(50, 8);
	CLEANUP(closep) int fd = -1, own = -1;
	CHATTER anna = {0};
	size_t fds, stored;
	struct manager manager;
	const char *address;

	manager_init(&manager);
	address = manager_listen(&manager, "held", "tcp://127.0.0.1:0");
	manager_start(&manager,
		      "workers = 2; listeners: ("
		      "{ name = \"held\"; listen = \"%s\"; transforms = [ \"upper\" ]; },"
		      "{ name = \"own\"; listen = [ \"unix:own\", \"udp://127.0.0.1:0\" ]; "
		      "transforms = [ \"upper\" ]; },"
		      "{ name = \"chat\"; service = \"chat\"; listen = \"tcp://127.0.0.1:0\"; });",
		      address);
	fd = connect_to(address);
	own = client(&manager.server, "own", "unix:");
	chatter_enter(&anna, &manager.server, "anna", "ops");
	handover_ask(fd);
	manager_restart(&manager);
	handover_ask(fd);
	expect_ok(&anna, "{'op':'who'}");
	manager_pump(&manager);
	fds = server_fds(&manager.server);
	stored = manager_count(&manager, NULL);
	for (int i = 0; i < restarts; i++) {
		manager_restart(&manager);
		handover_ask(fd);
		handover_ask(own);
		expect_ok(&anna, "{'op':'who'}");
	}
	manager_pump(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), stored);
	server_wait_fds(&manager.server, fds);
	hang_up(&fd);
	hang_up(&own);
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_handover_service");

	harness_add(suite, many_restarts_under_load);
	harness_add(suite, many_restarts_under_short_connections);
	harness_add(suite, many_clients);
	harness_add(suite, clients_that_come_between_two_daemons);
	harness_add(suite, sockets_of_the_daemons_own);
	harness_add(suite, sockets_of_its_own_can_be_reloaded);
	harness_add(suite, sockets_of_its_own_go_by_the_configuration);
	harness_add(suite, from_one_address_to_all);
	harness_add(suite, an_address_that_is_taken);
	harness_add(suite, datagrams_meanwhile);
	harness_add(suite, datagrams_come_first);
	harness_add(suite, client_numbers_go_on);
	harness_add(suite, what_is_known_of_a_client);
	harness_add(suite, max_clients_counts_all);
	harness_add(suite, a_client_that_is_being_refused);
	harness_add(suite, max_clients_per_address_counts_all);
	harness_add(suite, more_clients_than_there_may_be_now);
	harness_add(suite, another_number_of_workers);
	harness_add(suite, other_settings);
	harness_add(suite, a_listener_that_is_gone);
	harness_add(suite, another_framing);
	harness_add(suite, another_service);
	harness_add(suite, another_dialect);
	harness_add(suite, control_connections);
	harness_add(suite, a_control_connection_that_has_said_nothing);
	harness_add(suite, no_descriptor_leaks);
	return harness_main(suite);
}
