/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The barest possible server: the limit that `make bench` measures retortd against. One thread, one
 * epoll, recv() into one buffer, send() of the same bytes: back to where they came from or, with
 * --fanout, in one piece to each connection, the sender's own among them. It knows no framing,
 * checks nothing that a peer sends and sends blockingly, so a peer that does not read stops it: a
 * yardstick, not a server. It prints the address it listens on and runs until it is killed.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BUFFER_SIZE = 64 * 1024,
	EVENTS_MAX = 512,
	MEMBERS_MAX = 65536,
	USAGE = 64, /* as in sysexits.h */
};

/* Those who get what anybody sends. */
struct members {
	int fds[MEMBERS_MAX];
	size_t n;
};

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* Listens on path, or on any TCP port of 127.0.0.1 when it is NULL, and prints the address. */
static int listen_on(const char *path)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(in);
	int fd;

	fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		fail("socket");
	if (path) {
		size_t size = strlen(path) + 1;

		if (size > sizeof(un.sun_path)) {
			errno = ENAMETOOLONG;
			fail(path);
		}
		memcpy(un.sun_path, path, size);
	}
	if (bind(fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
		 path ? sizeof(un) : sizeof(in)) < 0)
		fail("bind");
	if (listen(fd, SOMAXCONN) < 0)
		fail("listen");
	if (path) {
		(void)printf("unix:%s\n", path);
	} else {
		if (getsockname(fd, (struct sockaddr *)&in, &len) < 0)
			fail("getsockname");
		(void)printf("tcp://127.0.0.1:%u\n", ntohs(in.sin_port));
	}
	if (fflush(stdout) == EOF)
		fail("standard output");
	return fd;
}

static void watch(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
}

/* Takes all who wait: with --fanout, nobody may be missing when the first one speaks. */
static void take_clients(int epoll_fd, int listen_fd, struct members *members)
{
	int on = 1, fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		/* Refused on a Unix socket, which needs none. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(epoll_fd, fd);
		if (!members)
			continue;
		if (members->n == MEMBERS_MAX) {
			errno = EMFILE;
			fail("too many members");
		}
		members->fds[members->n++] = fd;
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		fail("accept4");
}

static void drop_client(int fd, struct members *members)
{
	for (size_t i = 0; members && i < members->n; i++)
		if (members->fds[i] == fd) {
			members->fds[i] = members->fds[--members->n];
			break;
		}
	(void)close(fd);
}

static void serve(int fd, struct members *members)
{
	static char buffer[BUFFER_SIZE];
	ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

	/*
	 * A blocking send takes everything or fails. A client gone in the middle is just closed; a
	 * member that is gone is closed when its own end comes.
	 */
	if (n <= 0 || (!members && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)) {
		drop_client(fd, members);
		return;
	}
	for (size_t i = 0; members && i < members->n; i++)
		(void)send(members->fds[i], buffer, (size_t)n, MSG_NOSIGNAL);
}

int main(int argc, char *argv[])
{
	static struct members all;
	const bool fanout = argc > 1 && strcmp(argv[1], "--fanout") == 0;
	struct members *members = fanout ? &all : NULL;
	const char *path = argv[fanout ? 2 : 1];
	struct epoll_event events[EVENTS_MAX];
	int epoll_fd, listen_fd;

	if (argc > 2 + fanout || (path && *path == '-')) {
		(void)fprintf(stderr, "usage: bare [--fanout] [UNIX-SOCKET-PATH]\n");
		return USAGE;
	}
	listen_fd = listen_on(path);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		fail("epoll_create1");
	watch(epoll_fd, listen_fd);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listen_fd)
				take_clients(epoll_fd, listen_fd, members);
			else
				serve(events[i].data.fd, members);
		}
	}
}
