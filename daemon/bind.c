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
	if (endpoint->transport == TRANSPORT_UNIX || !endpoint_is_wildcard(endpoint))
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

static bool get_file(const struct endpoint *endpoint, struct stat *ret_status)
{
	return file_of(endpoint) && lstat(file_of(endpoint), ret_status) == 0;
}

static bool is_made(const struct bind_made *made, const struct stat *status)
{
	return status->st_dev == made->device && status->st_ino == made->inode;
}

int bind_open(const struct endpoint *endpoint, int *ret_fd, struct bind_made *ret_made)
{
	int type = is_stream(endpoint) ? SOCK_STREAM : SOCK_DGRAM;
	CLEANUP(closep)
	int fd = socket(endpoint->socket.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct bind_made made = {0};
	struct stat status;
	int r;

	if (fd < 0)
		return -errno;
	r = prepare(endpoint, fd);
	if (r < 0)
		return r;
	r = bind_endpoint(endpoint, fd);
	if (r < 0)
		return r;
	if (get_file(endpoint, &status))
		made = (struct bind_made){status.st_dev, status.st_ino, status.st_uid,
					  status.st_gid};
	*ret_fd = STEAL_FD(fd);
	*ret_made = made;
	return 0;
}

int bind_dress(const struct endpoint *endpoint, const struct bind_made *made,
	       const struct bind_file *file)
{
	uid_t uid = file->uid == (uid_t)-1 ? made->uid : file->uid;
	gid_t gid = file->gid == (gid_t)-1 ? made->gid : file->gid;
	const char *path = file_of(endpoint);
	struct stat status;

	if (!path)
		return 0;
	if (!get_file(endpoint, &status) || !is_made(made, &status))
		return -ENOENT;
	if ((status.st_uid != uid || status.st_gid != gid) && lchown(path, uid, gid) < 0)
		return -errno;
	return chmod(path, file->mode) < 0 ? -errno : 0;
}

int bind_listen(const struct endpoint *endpoint, int fd)
{
	return is_stream(endpoint) && listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

void bind_remove(const struct endpoint *endpoint, const struct bind_made *made)
{
	struct stat status;

	if (get_file(endpoint, &status) && is_made(made, &status))
		(void)unlink(file_of(endpoint)); /* gone meanwhile is as good */
}

static const char lacks_directory[] =
	"the directory is missing: make it ('mkdir -p'), or listen on another path";
static const char lacks_privilege[] = "a port below 1024 wants a privilege: have the service "
				      "manager open it (retortd.socket), or "
				      "give the service AmbientCapabilities=CAP_NET_BIND_SERVICE";
static const char lacks_permission[] =
	"let this user write to the directory, or listen on a path that it may write to";

/* What follows from an error, and what can be done about it; for all others there is no advice. */
static const struct reason {
	int error;
	int status;
	const char *inet_advice;
	const char *unix_advice;
} reasons[] = {
	{EADDRINUSE, EX_UNAVAILABLE,
	 "stop what holds it ('ss -lptun' shows it to root), or listen on another address",
	 "something that is no socket of ours is there: remove it, or listen on another path"},
	{EACCES, EX_NOPERM, lacks_privilege, lacks_permission},
	{EPERM, EX_NOPERM, lacks_privilege, lacks_permission},
	{ENOENT, EX_UNAVAILABLE, lacks_directory, lacks_directory},
	{ENOTDIR, EX_UNAVAILABLE, lacks_directory, lacks_directory},
	{EADDRNOTAVAIL, EX_UNAVAILABLE,
	 "no interface of this host has the address: listen on one it has ('ip address' shows "
	 "them), or on *",
	 NULL},
	{EAFNOSUPPORT, EX_UNAVAILABLE,
	 "this host does not have that address family, or the service may not use it: then the "
	 "service manager opens it, with 'systemctl daemon-reload' and a restart of the service",
	 NULL},
};

bool bind_has_network(void)
{
	static const int families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		CLEANUP(closep) int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 || errno != EAFNOSUPPORT)
			return true;
	}
	return false;
}

/* Whether holder_find() has found this very process. */
static bool is_self(const char *holder)
{
	char self[HOLDER_MAX];
	int len = snprintf(self, sizeof(self), "pid %i (", getpid());

	return strncmp(holder, self, (size_t)len) == 0;
}

int bind_explain(const struct endpoint *endpoint, int error, char text[static BIND_EXPLANATION_MAX])
{
	char address[ADDRESS_TEXT_MAX], holder[HOLDER_MAX];
	const struct reason *reason = NULL;
	const char *advice = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(reasons) && !reason; i++)
		if (reasons[i].error == -error)
			reason = &reasons[i];
	if (reason)
		advice = endpoint->transport == TRANSPORT_UNIX ? reason->unix_advice
							       : reason->inet_advice;
	(void)endpoint_format(endpoint, address);
	if (error == -EADDRINUSE && holder_find(endpoint, holder) == 0)
		(void)snprintf(text, BIND_EXPLANATION_MAX,
			       "cannot bind %s: %s holds it already; %s", address, holder,
			       is_self(holder) ? "a reload cannot move an address, a restart can"
					       : "stop that process, or listen on another address");
	else
		(void)snprintf(text, BIND_EXPLANATION_MAX, "cannot bind %s: %s%s%s", address,
			       strerror(-error), advice ? "; " : "", advice ? advice : "");
	return reason ? reason->status : EX_OSERR;
}
