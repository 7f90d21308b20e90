/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holder.h"

#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "text.h"
#include "util.h"

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory); /* nothing was written */
}

static void fclosep(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* nothing was written */
}

/* An internet socket's address; an IPv4 one as IPv4-mapped. */
struct place {
	struct in6_addr ip;
	unsigned port;
};

static struct place place_of(const struct endpoint *endpoint)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&endpoint->socket;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&endpoint->socket;
	struct place place = {{.s6_addr = {[10] = 0xff, [11] = 0xff}}, endpoint_port(endpoint)};

	if (endpoint->socket.ss_family == AF_INET6)
		place.ip = v6->sin6_addr;
	else
		memcpy(&place.ip.s6_addr[12], &v4->sin_addr, sizeof(v4->sin_addr));
	return place;
}

/* Reads an address as proc_pid_net(5) has it: words in hexadecimal, each in host byte order. */
static struct in6_addr parse_ip(const char *text)
{
	struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	size_t n = strlen(text) / 8;
	uint32_t words[4] = {0};

	for (size_t i = 0; i < n; i++) {
		char word[9] = "";

		memcpy(word, text + 8 * i, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	memcpy(&ip.s6_addr[sizeof(ip) - 4 * n], words, 4 * n);
	return ip;
}

/* Whether a socket bound to all of an address's family takes in the other address. */
static bool covers(const struct in6_addr *all, const struct in6_addr *other)
{
	static const struct in6_addr all_v4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	return IN6_IS_ADDR_UNSPECIFIED(all) ||
	       (IN6_ARE_ADDR_EQUAL(all, &all_v4) && IN6_IS_ADDR_V4MAPPED(other));
}

/* What is of interest in a line of a table of proc_pid_net(5). */
struct line {
	struct in6_addr ip;
	unsigned long port, state;
	uintmax_t inode;
};

/* Parses "SLOT: IP:PORT IP:PORT STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE …". */
static bool parse_line(char *text, struct line *ret_line)
{
	enum { LOCAL = 1, STATE = 3, INODE = 9, WORDS };
	char *words[WORDS], *rest = NULL, *port;
	size_t n = 0;

	for (char *word = strtok_r(text, " \n", &rest); word && n < WORDS;
	     word = strtok_r(NULL, " \n", &rest))
		words[n++] = word;
	port = n == WORDS ? strchr(words[LOCAL], ':') : NULL;
	if (!port || (port - words[LOCAL] != 8 && port - words[LOCAL] != 32))
		return false; /* the heading */
	*port++ = '\0';
	*ret_line = (struct line){
		.ip = parse_ip(words[LOCAL]),
		.port = strtoul(port, NULL, 16),
		.state = strtoul(words[STATE], NULL, 16),
		.inode = strtoumax(words[INODE], NULL, 10),
	};
	return true;
}

/* The inode of the bound internet socket that is in the way of place, by a table of
   proc_pid_net(5); 0: none. */
static uintmax_t find_inode(const char *table, const struct place *place, bool listening_only)
{
	CLEANUP(fclosep) FILE *file = fopen(table, "re");
	char text[512];

	while (file && fgets(text, sizeof(text), file)) {
		struct line line;

		if (!parse_line(text, &line) || line.port != place->port ||
		    (listening_only && line.state != 0x0A))
			continue;
		if (IN6_ARE_ADDR_EQUAL(&line.ip, &place->ip) || covers(&line.ip, &place->ip) ||
		    covers(&place->ip, &line.ip))
			return line.inode;
	}
	return 0;
}

/* Writes "pid PID (NAME)"; returns 0. */
static int describe(const char *pid, char text[static HOLDER_MAX])
{
	char path[64], name[32] = "?";
	CLEANUP(buffer_done) struct buffer safe = {0};
	CLEANUP(fclosep) FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	file = fopen(path, "re");
	if (file && fgets(name, sizeof(name), file))
		name[strcspn(name, "\n")] = '\0';
	/* Whoever runs the process has chosen its name. */
	if (text_append_safe(&safe, name, strlen(name)) < 0)
		return -ENOENT;
	(void)snprintf(text, HOLDER_MAX, "pid %.16s (%.*s)", pid, (int)safe.len,
		       (const char *)safe.data);
	return 0;
}

/* Finds a process that has the socket of this inode open. */
static int find_process(uintmax_t inode, char text[static HOLDER_MAX])
{
	CLEANUP(closedirp) DIR *processes = opendir("/proc");
	char wanted[48], link[48], path[320];
	struct dirent *process;

	(void)snprintf(wanted, sizeof(wanted), "socket:[%ju]", inode);
	while (processes && (process = readdir(processes))) {
		CLEANUP(closedirp) DIR *fds = NULL;
		struct dirent *fd;

		if (process->d_name[0] < '1' || process->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/fd", process->d_name);
		fds = opendir(path);
		while (fds && (fd = readdir(fds))) {
			ssize_t n = readlinkat(dirfd(fds), fd->d_name, link, sizeof(link) - 1);

			link[MAX(n, (ssize_t)0)] = '\0';
			if (strcmp(link, wanted) == 0)
				return describe(process->d_name, text);
		}
	}
	return -ENOENT;
}

/* Whoever listens on a Unix socket tells it to whoever connects, while there is room in its queue
   of connections. */
static int find_unix(const struct endpoint *endpoint, char text[static HOLDER_MAX])
{
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char pid[16];

	if (fd < 0)
		return -ENOENT;
	if (connect(fd, (const struct sockaddr *)&endpoint->socket, endpoint->len) < 0) {
		if (errno != EAGAIN)
			return -ENOENT;
		(void)snprintf(text, HOLDER_MAX, "a process that does not accept its connections");
		return 0;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return -ENOENT;
	(void)snprintf(pid, sizeof(pid), "%i", peer.pid);
	return describe(pid, text);
}

int holder_find(const struct endpoint *endpoint, char text[static HOLDER_MAX])
{
	bool tcp = endpoint->transport == TRANSPORT_TCP;
	const char *const tables[] = {tcp ? "/proc/net/tcp" : "/proc/net/udp",
				      tcp ? "/proc/net/tcp6" : "/proc/net/udp6"};
	struct place place;

	if (endpoint->transport == TRANSPORT_UNIX)
		return find_unix(endpoint, text);
	place = place_of(endpoint);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		uintmax_t inode = find_inode(tables[i], &place, tcp);

		if (inode > 0 && find_process(inode, text) == 0)
			return 0;
	}
	return -ENOENT;
}

/* Returns the descriptor under which a process has the socket of this inode open; -1: none. */
static int find_socket(pid_t pid, uintmax_t inode)
{
	CLEANUP(closedirp) DIR *fds = NULL;
	char wanted[48], link[48], path[32];
	struct dirent *fd;

	(void)snprintf(wanted, sizeof(wanted), "socket:[%ju]", inode);
	(void)snprintf(path, sizeof(path), "/proc/%i/fd", pid);
	fds = opendir(path);
	while (fds && (fd = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), fd->d_name, link, sizeof(link) - 1);

		link[MAX(n, (ssize_t)0)] = '\0';
		if (strcmp(link, wanted) == 0)
			return (int)strtol(fd->d_name, NULL, 10);
	}
	return -1;
}

/*
 * Whether a process's socket takes as many versions of IP as that of an endpoint, with which it
 * shares its address. No table says it: the socket is asked. Where that is not allowed, yes.
 */
static bool is_as_wide(pid_t pid, int fd, const struct endpoint *endpoint)
{
	CLEANUP(closep) int process = pidfd_open(pid, 0);
	CLEANUP(closep) int copy = process < 0 ? -1 : pidfd_getfd(process, fd, 0);
	int only_v6 = 0;
	socklen_t len = sizeof(only_v6);

	return copy < 0 || getsockopt(copy, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &len) < 0 ||
	       !only_v6 == endpoint->dual_stack;
}

/* Whether a process has the socket of a line open, and it is as the endpoint is to be. */
static bool has_socket(pid_t pid, const struct line *line, const struct endpoint *endpoint)
{
	int fd = find_socket(pid, line->inode);

	return fd >= 0 && (!IN6_IS_ADDR_UNSPECIFIED(&line->ip) || is_as_wide(pid, fd, endpoint));
}

/* Likewise for an internet socket in a table of proc_pid_net(5) that is bound to an endpoint. */
static bool has_place(pid_t pid, const char *table, const struct endpoint *endpoint)
{
	const struct place place = place_of(endpoint);
	CLEANUP(fclosep) FILE *file = fopen(table, "re");
	char text[512];

	while (file && fgets(text, sizeof(text), file)) {
		struct line line;

		if (parse_line(text, &line) && line.port == place.port &&
		    (endpoint->transport != TRANSPORT_TCP || line.state == 0x0A) &&
		    IN6_ARE_ADDR_EQUAL(&line.ip, &place.ip) && has_socket(pid, &line, endpoint))
			return true;
	}
	return false;
}

/* Parses "SLOT: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH". Returns the inode, with the path;
   0 when it does not listen, or has none. */
static uintmax_t parse_unix_line(char *text, const char **ret_path)
{
	enum { ACCEPTS = 1 << 16 }; /* of the flags: __SO_ACCEPTCON */
	unsigned long flags;
	uintmax_t inode;
	int at = 0;

	text[strcspn(text, "\n")] = '\0';
	/* What is no number is found by what follows. */
	/* NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(text, "%*x: %*x %*x %lx %*x %*x %ju %n", &flags, &inode, &at) != 2 || at == 0 ||
	    !(flags & ACCEPTS))
		return 0;
	*ret_path = text + at;
	return inode;
}

static bool has_path(pid_t pid, const struct endpoint *endpoint)
{
	CLEANUP(fclosep) FILE *file = fopen("/proc/net/unix", "re");
	char name[ADDRESS_TEXT_MAX], text[512];
	const char *wanted, *path;

	wanted = strchr(endpoint_format(endpoint, name), ':') + 1;
	while (file && fgets(text, sizeof(text), file)) {
		uintmax_t inode = parse_unix_line(text, &path);

		if (inode > 0 && strcmp(path, wanted) == 0 && find_socket(pid, inode) >= 0)
			return true;
	}
	return false;
}

bool holder_is(pid_t pid, const struct endpoint *endpoint)
{
	bool tcp = endpoint->transport == TRANSPORT_TCP;
	bool v6 = endpoint->socket.ss_family == AF_INET6;

	if (endpoint->transport == TRANSPORT_UNIX)
		return has_path(pid, endpoint);
	return has_place(pid,
			 tcp ? (v6 ? "/proc/net/tcp6" : "/proc/net/tcp")
			     : (v6 ? "/proc/net/udp6" : "/proc/net/udp"),
			 endpoint);
}
