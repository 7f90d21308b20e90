/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bind.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>

#include "holder.h"
#include "util.h"

static bool is_stream(const struct endpoint *endpoint)
{
	return endpoint->transport != TRANSPORT_UDP;
}

/* The file of a Unix socket; NULL for an abstract one and for all else. */
static const char *file_of(const struct endpoint *endpoint)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint->socket;

	return endpoint->transport == TRANSPORT_UNIX && address->sun_path[0] ? address->sun_path
									     : NULL;
}

static int set(int fd, int level, int option)
{
	return setsockopt(fd, level, option, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
}

static bool is_wildcard(const struct endpoint *endpoint)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&endpoint->socket;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&endpoint->socket;

	if (endpoint->socket.ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	return endpoint->socket.ss_family == AF_INET && v4->sin_addr.s_addr == INADDR_ANY;
}

/*
 * A stream's options are inherited by its connections (tcp(7)): answers leave at once, and a peer
 * that has vanished is found out. A datagram socket that is bound to no address in particular is
 * told which one was asked, so that the answer leaves from there.
 */
int bind_adopt(const struct endpoint *endpoint, int fd)
{
	int r;

	if (endpoint->transport == TRANSPORT_TCP) {
		r = set(fd, IPPROTO_TCP, TCP_NODELAY);
		return r < 0 ? r : set(fd, SOL_SOCKET, SO_KEEPALIVE);
	}
	if (endpoint->transport == TRANSPORT_UNIX || !is_wildcard(endpoint))
		return 0;
	return endpoint->socket.ss_family == AF_INET6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO)
						      : set(fd, IPPROTO_IP, IP_PKTINFO);
}

static int prepare(const struct endpoint *endpoint, int fd)
{
	int v6_only = !endpoint->dual_stack, r = 0;

	/* Not for datagrams: there it would let a second process take the port. */
	if (endpoint->transport == TRANSPORT_TCP)
		r = set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r == 0 && endpoint->socket.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) < 0)
		r = -errno;
	return r < 0 ? r : bind_adopt(endpoint, fd);
}

/* Whether a Unix socket's file is left over from a process that is gone. */
static bool is_stale(const struct endpoint *endpoint)
{
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	return lstat(file_of(endpoint), &status) == 0 && S_ISSOCK(status.st_mode) && fd >= 0 &&
	       connect(fd, (const struct sockaddr *)&endpoint->socket, endpoint->len) < 0 &&
	       errno == ECONNREFUSED;
}

static int bind_endpoint(const struct endpoint *endpoint, int fd)
{
	const struct sockaddr *address = (const struct sockaddr *)&endpoint->socket;

	if (bind(fd, address, endpoint->len) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (!file_of(endpoint) || !is_stale(endpoint))
		return -EADDRINUSE;
	if (unlink(file_of(endpoint)) < 0 || bind(fd, address, endpoint->len) < 0)
		return -errno;
	return 0;
}

static int dress_file(const char *path, const struct bind_file *file)
{
	if ((file->uid != (uid_t)-1 || file->gid != (gid_t)-1) &&
	    chown(path, file->uid, file->gid) < 0)
		return -errno;
	return chmod(path, file->mode) < 0 ? -errno : 0;
}

int bind_open(const struct endpoint *endpoint, const struct bind_file *file, int *ret_fd)
{
	int type = is_stream(endpoint) ? SOCK_STREAM : SOCK_DGRAM;
	CLEANUP(closep)
	int fd = socket(endpoint->socket.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = prepare(endpoint, fd);
	if (r < 0)
		return r;
	r = bind_endpoint(endpoint, fd);
	if (r < 0)
		return r;
	/* Nobody can connect before listen(2), so nobody gets in with the wrong permissions. */
	r = file_of(endpoint) ? dress_file(file_of(endpoint), file) : 0;
	if (r == 0 && is_stream(endpoint) && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r < 0) {
		bind_remove(endpoint);
		return r;
	}
	*ret_fd = STEAL_FD(fd);
	return 0;
}

void bind_remove(const struct endpoint *endpoint)
{
	if (file_of(endpoint))
		(void)unlink(file_of(endpoint)); /* gone already is as good */
}

int bind_explain(const struct endpoint *endpoint, int error, char text[static BIND_EXPLANATION_MAX])
{
	bool is_unix = endpoint->transport == TRANSPORT_UNIX;
	char address[ADDRESS_TEXT_MAX], holder[HOLDER_MAX];
	const char *advice = "";
	int status = EX_UNAVAILABLE;

	(void)endpoint_format(endpoint, address);
	switch (-error) {
	case EADDRINUSE:
		if (holder_find(endpoint, holder) == 0) {
			(void)snprintf(text, BIND_EXPLANATION_MAX,
				       "cannot bind %s: %s holds it already; stop that process, or "
				       "listen on another address",
				       address, holder);
			return EX_UNAVAILABLE;
		}
		advice = is_unix ? "; something that is no socket of ours is there: remove it, or "
				   "listen on another path"
				 : "; stop what holds it ('ss -lptun' shows it to root), or listen "
				   "on another address";
		break;
	case EACCES:
	case EPERM:
		status = EX_NOPERM;
		advice =
			is_unix ? "; let this user write to the directory, or listen on a path "
				  "that it may write to"
				: "; a port below 1024 wants a privilege: have the service manager "
				  "open it (retortd.socket), or give the service "
				  "AmbientCapabilities=CAP_NET_BIND_SERVICE";
		break;
	case ENOENT:
	case ENOTDIR:
		advice = "; the directory is missing: make it ('mkdir -p'), or listen on another "
			 "path";
		break;
	case EADDRNOTAVAIL:
		advice = "; no interface of this host has the address: listen on one it has "
			 "('ip address' shows them), or on *";
		break;
	case EAFNOSUPPORT:
		advice = "; this host does not have that address family";
		break;
	default:
		status = EX_OSERR;
		break;
	}
	(void)snprintf(text, BIND_EXPLANATION_MAX, "cannot bind %s: %s%s", address,
		       strerror(-error), advice);
	return status;
}
