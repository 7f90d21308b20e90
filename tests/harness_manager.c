/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_manager.h"

/*
 * The manager lives in the test's own process and does its work whenever the test waits for the
 * daemon: every notification comes by on_notification(). Between two daemons nothing else happens
 * than what the test does, so it can look at what is stored, and change it.
 */

#include <fcntl.h>
#include <linux/kcmp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "address.h"

/* ---- the store ---- */

/* Whether two descriptors are of one open file. */
static bool is_same(int one, int other)
{
	struct stat a, b;
	pid_t me = getpid();
	long r = syscall(SYS_kcmp, me, me, KCMP_FILE, one, other);

	if (r >= 0)
		return r == 0;
	/* Not permitted here. Each socket has a number of its own, each memfd as well. */
	ck_assert_int_eq(fstat(one, &a), 0);
	ck_assert_int_eq(fstat(other, &b), 0);
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino && S_ISSOCK(a.st_mode);
}

static bool is_stored(const struct manager *manager, int fd)
{
	for (size_t i = 0; i < manager->n_stored; i++)
		if (is_same(manager->stored[i].fd, fd))
			return true;
	return false;
}

void manager_add(struct manager *manager, const char *name, int fd, bool polled)
{
	struct manager_stored *stored = &manager->stored[manager->n_stored];
	struct epoll_event event = {.events = 0, .data.fd = fd};

	ck_assert_uint_lt(manager->n_stored, MANAGER_STORE_MAX);
	*stored = (struct manager_stored){.fd = fd};
	(void)snprintf(stored->name, sizeof stored->name, "%s", name);
	/* A file that cannot be polled, as a memfd, does not hang up either. */
	stored->polled = polled && epoll_ctl(manager->hung_up, EPOLL_CTL_ADD, fd, &event) == 0;
	manager->n_stored++;
}

static void remove_stored(struct manager *manager, size_t i)
{
	struct manager_stored *stored = &manager->stored[i];

	/* The daemon may have the same open file, so closing it is not enough. */
	if (stored->polled)
		(void)epoll_ctl(manager->hung_up, EPOLL_CTL_DEL, stored->fd, NULL);
	(void)close(stored->fd);
	manager->n_stored--;
	memmove(stored, stored + 1, (manager->n_stored - i) * sizeof *stored);
}

static void remove_named(struct manager *manager, const char *name)
{
	for (size_t i = manager->n_stored; i-- > 0;)
		if (strcmp(manager->stored[i].name, name) == 0)
			remove_stored(manager, i);
}

static void remove_hung_up(struct manager *manager)
{
	struct epoll_event event;

	while (epoll_wait(manager->hung_up, &event, 1, 0) == 1)
		for (size_t i = manager->n_stored; i-- > 0;)
			if (manager->stored[i].fd == event.data.fd) {
				remove_stored(manager, i);
				manager->n_dropped++;
			}
}

size_t manager_count(const struct manager *manager, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < manager->n_stored; i++)
		n += !name || strcmp(manager->stored[i].name, name) == 0;
	return n;
}

struct manager_stored *manager_find(struct manager *manager, const char *name)
{
	for (size_t i = 0; i < manager->n_stored; i++)
		if (strcmp(manager->stored[i].name, name) == 0)
			return &manager->stored[i];
	return NULL;
}

void manager_drop(struct manager *manager, const char *name)
{
	struct manager_stored *stored = manager_find(manager, name);

	ck_assert_msg(stored != NULL, "nothing is stored as %s", name);
	remove_stored(manager, (size_t)(stored - manager->stored));
}

void manager_read_state(struct manager *manager, struct buffer *ret_state)
{
	struct manager_stored *stored = manager_find(manager, MANAGER_STATE);
	struct stat status;

	ck_assert_msg(stored != NULL, "no state is stored");
	ck_assert_int_eq(fstat(stored->fd, &status), 0);
	ret_state->len = 0;
	ck_assert_int_eq(buffer_reserve(ret_state, (size_t)status.st_size + 1), 0);
	ck_assert_int_eq(pread(stored->fd, ret_state->data, (size_t)status.st_size, 0),
			 status.st_size);
	ret_state->len = (size_t)status.st_size;
}

void manager_replace_state(struct manager *manager, const void *data, size_t len, bool sealed)
{
	int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	if (sealed)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS,
				       F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
				 0);
	manager_drop(manager, MANAGER_STATE);
	manager_add(manager, MANAGER_STATE, fd, false);
}

/* ---- notifications ---- */

/* Takes the value of a line "KEY=VALUE"; false when there is none. */
static bool find_line(const char *text, const char *key, char value[static MANAGER_NAME_MAX])
{
	size_t len = strlen(key);

	for (const char *line = text; *line; line += strspn(line, "\n")) {
		size_t n = strcspn(line, "\n");

		if (n > len && strncmp(line, key, len) == 0 && line[len] == '=') {
			ck_assert_uint_lt(n - len, MANAGER_NAME_MAX);
			memcpy(value, line + len + 1, n - len - 1);
			value[n - len - 1] = 0;
			return true;
		}
		line += n;
	}
	return false;
}

static bool has_line(const char *text, const char *key, const char *want)
{
	char value[MANAGER_NAME_MAX];

	return find_line(text, key, value) && strcmp(value, want) == 0;
}

/* Names as systemd takes them: printable ASCII, without a colon. */
static void check_name(const char *name)
{
	size_t len = strlen(name);

	ck_assert_msg(len > 0 && len < MANAGER_NAME_MAX, "bad FDNAME=");
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(name[i] > ' ' && name[i] < 127 && name[i] != ':', "bad FDNAME=%s",
			      name);
}

static void store(struct manager *manager, struct server_notification *notification)
{
	bool polled = !has_line(notification->text, "FDPOLL", "0");
	char name[MANAGER_NAME_MAX] = "stored";

	if (find_line(notification->text, "FDNAME", name))
		check_name(name);
	for (size_t i = 0; i < notification->n_fds; i++) {
		if (is_stored(manager, notification->fds[i]))
			continue;
		if (manager->refuses || manager->n_stored >= manager->store_max)
			manager->n_refused++;
		else
			manager_add(manager, name, STEAL_FD(notification->fds[i]), polled);
	}
}

static void on_notification(struct server *server, struct server_notification *notification)
{
	struct manager *manager = CONTAINER_OF(server, struct manager, server);
	const char *text = notification->text;
	char name[MANAGER_NAME_MAX];

	if (notification->sender.pid != server->pid)
		return;
	if (has_line(text, "BARRIER", "1")) {
		ck_assert_msg(strchr(text, '\n') == NULL && notification->n_fds == 1,
			      "a barrier stands alone");
		manager->n_barriers++;
		return; /* its descriptor is closed now */
	}
	if (has_line(text, "FDSTOREREMOVE", "1")) {
		ck_assert_msg(find_line(text, "FDNAME", name), "nothing to be removed is named");
		remove_named(manager, name);
	}
	if (has_line(text, "FDSTORE", "1"))
		store(manager, notification);
}

void manager_pump(struct manager *manager)
{
	if (manager->server.notify >= 0)
		(void)server_has_notified(&manager->server, "READY=1");
	remove_hung_up(manager);
}

/* ---- sockets ---- */

/* Where the socket is bound, as the configuration writes it. */
static void describe(struct manager_socket *socket, enum transport transport)
{
	struct sockaddr_in inet = {0};
	socklen_t len = sizeof inet;

	ck_assert_int_eq(getsockname(socket->fd, (struct sockaddr *)&inet, &len), 0);
	ck_assert_int_eq(inet.sin_family, AF_INET);
	(void)snprintf(socket->address, sizeof socket->address, "%s://127.0.0.1:%u",
		       transport == TRANSPORT_UDP ? "udp" : "tcp", ntohs(inet.sin_port));
}

static void open_socket(struct manager_socket *socket_, const char *text)
{
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	CLEANUP(address_done) struct address address = {0};
	const char *problem;
	size_t n;

	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_int_eq(address_resolve(&address, true, NULL, &endpoints, &n, &problem), 0);
	socket_->fd = socket(
		endpoints->socket.ss_family,
		(address.transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(socket_->fd, 0);
	ck_assert_msg(bind(socket_->fd, (struct sockaddr *)&endpoints->socket, endpoints->len) == 0,
		      "cannot bind %s: %m", text);
	if (address.transport != TRANSPORT_UDP)
		ck_assert_int_eq(listen(socket_->fd, SOMAXCONN), 0);
	if (address.transport == TRANSPORT_UNIX)
		(void)snprintf(socket_->address, sizeof socket_->address, "%s", text);
	else
		describe(socket_, address.transport);
}

const char *manager_listen(struct manager *manager, const char *name, const char *address)
{
	struct manager_socket *socket = &manager->sockets[manager->n_sockets];
	char text[SERVER_PATH_MAX + 32];

	ck_assert_uint_lt(manager->n_sockets, MANAGER_SOCKETS_MAX);
	(void)snprintf(socket->name, sizeof socket->name, "%s", name);
	if (strncmp(address, "unix:", 5) == 0)
		(void)snprintf(text, sizeof text, "unix:%.80s/%.30s", manager->server.directory,
			       address + 5);
	else
		(void)snprintf(text, sizeof text, "%s", address);
	open_socket(socket, text);
	manager->n_sockets++;
	return socket->address;
}

/* ---- daemons ---- */

void manager_init(struct manager *manager)
{
	*manager = (struct manager){.store_max = MANAGER_STORE_MAX, .hung_up = -1};
	server_init(&manager->server);
	manager->server.on_notification = on_notification;
	manager->hung_up = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ge(manager->hung_up, 0);
}

static void pass_one(struct server_setup *setup, int *fds, struct buffer *names, int fd,
		     const char *name)
{
	fds[setup->n_fds++] = fd;
	if (names->len > 0)
		ck_assert_int_eq(buffer_append(names, ":", 1), 0);
	ck_assert_int_eq(buffer_append(names, name, strlen(name)), 0);
}

/* Keeps the log of the last daemon for who has to find out why a test failed. */
static void keep_log(const struct manager *manager)
{
	char before[SERVER_PATH_MAX + 16];

	(void)snprintf(before, sizeof before, "%.100s-before", manager->server.log);
	(void)rename(manager->server.log, before); /* there may be none yet */
}

void manager_spawn(struct manager *manager)
{
	static const char *const nothing[] = {NULL};
	const char *const *further = manager->arguments ? manager->arguments : nothing;
	const char *arguments[16] = {"-c", manager->server.config};
	int fds[MANAGER_SOCKETS_MAX + MANAGER_STORE_MAX];
	CLEANUP(buffer_done) struct buffer names = {0};
	const char *environment[] = {NULL, NULL};
	struct server_setup setup = {
		.program = manager->program,
		.arguments = arguments,
		.environment = environment,
		.fds = fds,
		.without_wrapper = manager->program,
	};
	char room[32];

	for (size_t i = 0; further[i] && i + 3 < ARRAY_SIZE(arguments); i++)
		arguments[i + 2] = further[i];
	if (manager->store_max) {
		(void)snprintf(room, sizeof room, "FDSTORE=%zu", manager->store_max);
		environment[0] = room;
	}
	for (size_t i = 0; i < manager->n_sockets; i++)
		pass_one(&setup, fds, &names, manager->sockets[i].fd, manager->sockets[i].name);
	for (size_t i = manager->n_stored; i-- > 0;)
		pass_one(&setup, fds, &names, manager->stored[i].fd, manager->stored[i].name);
	ck_assert_int_eq(buffer_append(&names, "", 1), 0);
	setup.fd_names = (char *)names.data;
	closep(&manager->server.notify);
	manager->server.log_seen = 0;
	keep_log(manager);
	server_spawn(&manager->server, &setup);
}

void manager_await(struct manager *manager)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	server_wait_notify(&manager->server, "READY=1");
	server_read_listening(&manager->server);
	manager_pump(manager);
	while (manager_find(manager, MANAGER_STATE) || manager_find(manager, MANAGER_CLIENTS)) {
		harness_pause(deadline, "the daemon to have removed what was handed over");
		manager_pump(manager);
	}
}

void manager_resume(struct manager *manager)
{
	manager_spawn(manager);
	manager_await(manager);
}

static PRINTF(2, 0) void write_config(struct manager *manager, const char *format, va_list given)
{
	CLEANUP(freep) char *text = NULL;

	ck_assert_int_ge(vasprintf(&text, format, given), 0);
	server_write_config(&manager->server, "%s", text);
}

void manager_start(struct manager *manager, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_config(manager, format, arguments);
	va_end(arguments);
	manager_resume(manager);
}

void manager_hand_over(struct manager *manager)
{
	server_signal(&manager->server, SIGTERM);
	server_assert_ended(&manager->server, 0);
	manager_pump(manager);
}

void manager_restart(struct manager *manager)
{
	manager_hand_over(manager);
	manager_resume(manager);
}

void manager_restart_with(struct manager *manager, const char *format, ...)
{
	va_list arguments;

	manager_hand_over(manager);
	va_start(arguments, format);
	write_config(manager, format, arguments);
	va_end(arguments);
	manager_resume(manager);
}

void manager_crash(struct manager *manager)
{
	server_signal(&manager->server, SIGKILL);
	(void)server_wait_end(&manager->server);
	manager_pump(manager);
	manager_resume(manager);
}

void manager_stop(struct manager *manager)
{
	server_signal(&manager->server, SIGINT);
	server_assert_ended(&manager->server, 0);
	while (manager->n_stored > 0)
		remove_stored(manager, manager->n_stored - 1);
	for (size_t i = 0; i < manager->n_sockets; i++)
		closep(&manager->sockets[i].fd);
	closep(&manager->hung_up);
	server_done(&manager->server);
}
