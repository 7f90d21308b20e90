/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holder.h"

#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

/* The inode of a bound internet socket on this port, by a table of proc_pid_net(5); 0: none. */
static uintmax_t find_inode_of_port(const char *table, unsigned port, bool listening_only)
{
	CLEANUP(fclosep) FILE *file = fopen(table, "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned local, state;
		uintmax_t inode;

		if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %ju",
			   &local, &state, &inode) == 3 &&
		    local == port && (!listening_only || state == 0x0A))
			return inode;
	}
	return 0;
}

/* Writes "pid PID (NAME)"; returns 0. */
static int describe(const char *pid, char text[static HOLDER_MAX])
{
	char path[64], name[32] = "?";
	CLEANUP(fclosep) FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	file = fopen(path, "re");
	if (file && fgets(name, sizeof(name), file))
		name[strcspn(name, "\n")] = '\0';
	(void)snprintf(text, HOLDER_MAX, "pid %.16s (%s)", pid, name);
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

/* Whoever listens on a Unix socket tells it to whoever connects. */
static int find_unix(const struct endpoint *endpoint, char text[static HOLDER_MAX])
{
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char pid[16];

	if (fd < 0 || connect(fd, (const struct sockaddr *)&endpoint->socket, endpoint->len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return -ENOENT;
	(void)snprintf(pid, sizeof(pid), "%i", peer.pid);
	return describe(pid, text);
}

int holder_find(const struct endpoint *endpoint, char text[static HOLDER_MAX])
{
	bool tcp = endpoint->transport == TRANSPORT_TCP;
	const char *const tables[] = {tcp ? "/proc/net/tcp" : "/proc/net/udp",
				      tcp ? "/proc/net/tcp6" : "/proc/net/udp6"};
	unsigned port;

	if (endpoint->transport == TRANSPORT_UNIX)
		return find_unix(endpoint, text);
	port = ntohs(endpoint->socket.ss_family == AF_INET
			     ? ((const struct sockaddr_in *)&endpoint->socket)->sin_port
			     : ((const struct sockaddr_in6 *)&endpoint->socket)->sin6_port);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		uintmax_t inode = find_inode_of_port(tables[i], port, tcp);

		if (inode > 0 && find_process(inode, text) == 0)
			return 0;
	}
	return -ENOENT;
}
