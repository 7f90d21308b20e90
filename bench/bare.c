/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The barest possible echo server: the limit that `make bench` measures retortd against. One
 * thread, one epoll, recv() into one buffer, send() of the same bytes. It knows no framing, checks
 * nothing that a peer sends and sends blockingly, so a peer that does not read stops it: a
 * yardstick, not a server. It prints the address it listens on and runs until it is killed.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
	USAGE = 64, /* as in sysexits.h */
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

	fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

static void take_client(int epoll_fd, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	int on = 1;

	if (fd < 0) {
		if (errno == ECONNABORTED || errno == EINTR)
			return;
		fail("accept4");
	}
	/* Refused on a Unix socket, which needs none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(epoll_fd, fd);
}

static void echo(int fd)
{
	static char buffer[BUFFER_SIZE];
	ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

	/* A blocking send takes everything or fails; a client gone in the middle is just closed. */
	if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
		(void)close(fd);
}

int main(int argc, char *argv[])
{
	struct epoll_event events[EVENTS_MAX];
	int epoll_fd, listen_fd;

	if (argc > 2 || (argc == 2 && *argv[1] == '-')) {
		(void)fprintf(stderr, "usage: bare [UNIX-SOCKET-PATH]\n");
		return USAGE;
	}
	listen_fd = listen_on(argc == 2 ? argv[1] : NULL);
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
				take_client(epoll_fd, listen_fd);
			else
				echo(events[i].data.fd);
		}
	}
}
