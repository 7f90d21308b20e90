/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The service manager of the black-box tests, held against libsystemd: this program is also the
 * daemon that the manager starts (stand_in()), which keeps one client and hands it over.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <systemd/sd-daemon.h>

#include "harness_manager.h"

/* ---- the stand-in ---- */

static void need(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "%s: %m\n", what);
	_exit(EXIT_FAILURE);
}

static void send_fd(int over, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec byte = {(char[]){'c'}, 1};
	struct msghdr message = {.msg_iov = &byte,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	need(sendmsg(over, &message, 0) == 1, "sendmsg");
}

static int recv_fd(int over)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec into = {&byte, 1};
	struct msghdr message = {.msg_iov = &into,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control};
	int fd;

	need(recvmsg(over, &message, MSG_CMSG_CLOEXEC) == 1, "recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static void store(int fd, const char *lines)
{
	char text[128];

	(void)snprintf(text, sizeof text, "FDSTORE=1\n%s", lines);
	need(sd_pid_notify_with_fds(0, false, text, &fd, 1) > 0, "FDSTORE");
}

static void hand_over(int client, const char *poll_line)
{
	int state = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING), pair[2];
	char lines[64];

	need(write(state, "one client", 10) == 10, "write");
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	send_fd(pair[0], client);
	store(state, "FDNAME=" MANAGER_STATE "\nFDPOLL=0");
	store(state, "FDNAME=" MANAGER_STATE "\nFDPOLL=0"); /* which says nothing new */
	(void)snprintf(lines, sizeof lines, "FDNAME=" MANAGER_CLIENTS "%s", poll_line);
	store(pair[1], lines);
	need(sd_notify_barrier(0, UINT64_MAX) > 0, "barrier");
}

/* Takes the client over if there is one. */
static int find_client(char **names, int n)
{
	int client = -1;

	for (int i = 0; i < n; i++)
		if (strcmp(names[i], MANAGER_CLIENTS) == 0)
			client = recv_fd(SD_LISTEN_FDS_START + i);
	(void)sd_notify(false, "FDSTOREREMOVE=1\nFDNAME=" MANAGER_CLIENTS);
	(void)sd_notify(false, "FDSTOREREMOVE=1\nFDNAME=" MANAGER_STATE);
	(void)sd_notify(false, "READY=1");
	return client;
}

/* Echoes what one client sends, on the first socket that is passed, until it is told to end. */
static int stand_in(const char *poll_line)
{
	char **names;
	int n = sd_listen_fds_with_names(true, &names), client, told;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	told = signalfd(-1, &set, SFD_CLOEXEC);
	need(n >= 1 && strcmp(names[0], "echo") == 0, "the manager's sockets are the first");
	for (int i = 0; i < n; i++)
		(void)fprintf(stderr, "passed %s\n", names[i]);
	client = find_client(names, n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	for (;;) {
		struct pollfd polled[] = {
			{.fd = told, .events = POLLIN},
			{.fd = client >= 0 ? client : SD_LISTEN_FDS_START, .events = POLLIN}};
		char byte;

		need(poll(polled, 2, -1) > 0, "poll");
		if (polled[1].revents & POLLIN && client < 0)
			client = accept4(SD_LISTEN_FDS_START, NULL, NULL, SOCK_CLOEXEC);
		else if (polled[1].revents & POLLIN && recv(client, &byte, 1, 0) == 1)
			need(send(client, &byte, 1, 0) == 1, "send");
		if (polled[0].revents & POLLIN) {
			struct signalfd_siginfo info;

			need(read(told, &info, sizeof info) == sizeof info, "signal");
			if (info.ssi_signo == SIGTERM && client >= 0)
				hand_over(client, poll_line);
			return EXIT_SUCCESS;
		}
	}
}

/* ---- the tests ---- */

/* Starts the stand-in, with a client that has been served. */
static int start(struct manager *manager, const char *const *arguments)
{
	const char *address;
	int fd;

	manager_init(manager);
	manager->program = "/proc/self/exe";
	manager->arguments = arguments;
	address = manager_listen(manager, "echo", "tcp://127.0.0.1:0");
	manager_start(manager, "%s", "");
	fd = connect_to(address);
	send_text(fd, "a");
	expect_text(fd, "a");
	return fd;
}

static const char *const well_made[] = {"--stand-in", "\nFDPOLL=0", NULL};
static const char *const polled[] = {"--stand-in", "", NULL};

START_TEST(a_client_goes_from_daemon_to_daemon)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made);

	for (size_t i = 1; i <= 3; i++) {
		manager_hand_over(&manager);
		ck_assert_uint_eq(manager.n_barriers, i);
		ck_assert_uint_eq(manager_count(&manager, NULL), 2); /* the state once */
		send_text(fd, "b");
		manager_resume(&manager);
		ck_assert_uint_eq(manager_count(&manager, NULL), 0);
		expect_text(fd, "b");
	}
	manager_stop(&manager);
	expect_gone(fd);
}
END_TEST

/* As systemd: what was stored comes behind the sockets, and the latest first. */
START_TEST(the_order_of_what_is_passed)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made);
	CLEANUP(freep) char *log = NULL;

	manager_hand_over(&manager);
	manager_resume(&manager);
	log = file_read(manager.server.log);
	ck_assert_ptr_nonnull(
		strstr(log, "passed echo\npassed " MANAGER_CLIENTS "\npassed " MANAGER_STATE "\n"));
	send_text(fd, "b");
	expect_text(fd, "b");
	manager_stop(&manager);
}
END_TEST

/* The other end of what is stored is gone with the daemon. */
START_TEST(what_is_polled_and_hangs_up_is_dropped)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, polled);

	manager_hand_over(&manager);
	ck_assert_uint_eq(manager.n_dropped, 1);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_CLIENTS), 0);
	ck_assert_uint_eq(manager_count(&manager, MANAGER_STATE), 1);
	expect_gone(fd);
	manager_resume(&manager);
	manager_stop(&manager);
}
END_TEST

START_TEST(a_store_has_an_end)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made);

	manager.store_max = 1;
	manager_hand_over(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), 1);
	ck_assert_uint_eq(manager.n_refused, 1);
	expect_gone(fd);
	manager.refuses = true;
	manager_resume(&manager);
	manager_hand_over(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	manager_resume(&manager);
	manager_stop(&manager);
}
END_TEST

START_TEST(a_crash_hands_nothing_over)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made), other = -1;

	manager_crash(&manager);
	expect_gone(fd);
	other = connect_to(manager.sockets[0].address);
	send_text(other, "c");
	expect_text(other, "c");
	manager_stop(&manager);
}
END_TEST

/* Only the daemon is heard. */
START_TEST(a_stranger_stores_nothing)
{
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made);
	char path[SERVER_PATH_MAX];

	(void)snprintf(path, sizeof path, "%.90s/notify", manager.server.directory);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	ck_assert_int_gt(sd_pid_notify_with_fds(0, false, "FDSTORE=1", &fd, 1), 0);
	manager_pump(&manager);
	ck_assert_uint_eq(manager_count(&manager, NULL), 0);
	manager_stop(&manager);
}
END_TEST

START_TEST(the_state_can_be_replaced)
{
	CLEANUP(buffer_done) struct buffer state = {0};
	struct manager manager;
	CLEANUP(closep) int fd = start(&manager, well_made);

	manager_hand_over(&manager);
	manager_read_state(&manager, &state);
	assert_bytes(state.data, state.len, "one client", 10, "state");
	manager_replace_state(&manager, "two", 3, true);
	manager_read_state(&manager, &state);
	assert_bytes(state.data, state.len, "two", 3, "state");
	ck_assert_int_lt(pwrite(manager_find(&manager, MANAGER_STATE)->fd, "x", 1, 0), 0);
	manager_drop(&manager, MANAGER_CLIENTS);
	ck_assert_uint_eq(manager_count(&manager, NULL), 1);
	expect_gone(fd);
	manager_resume(&manager);
	manager_stop(&manager);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;

	/* As the harness starts a daemon: -c FILE, then what the test has chosen. */
	if (argc == 5 && strcmp(argv[3], "--stand-in") == 0)
		return stand_in(argv[4]);
	suite = suite_create("system_manager");
	harness_add(suite, a_client_goes_from_daemon_to_daemon);
	harness_add(suite, the_order_of_what_is_passed);
	harness_add(suite, what_is_polled_and_hangs_up_is_dropped);
	harness_add(suite, a_store_has_an_end);
	harness_add(suite, a_crash_hands_nothing_over);
	harness_add(suite, a_stranger_stores_nothing);
	harness_add(suite, the_state_can_be_replaced);
	return harness_main(suite);
}
