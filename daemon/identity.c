/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

/*
 * The kernel keeps who connected, for as long as the connection lasts: that is the identity. The
 * unit is asked for by the process's number, which may have gone to another process since. So it
 * counts only when one process had that number before and after the question, and is of the user
 * who connected: then nobody is taken for a service of somebody else.
 *
 * What cannot be found out is left out; only a lack of memory is a failure.
 */

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#include "util.h"

/* Sets *ret_groups to the peer's groups; to gid alone where the kernel does not say. */
static int get_groups(int fd, gid_t gid, gid_t **ret_groups, size_t *ret_n)
{
	CLEANUP(freep) gid_t *groups = NULL;
	socklen_t size = 0;
	size_t n;

	/* The first call says how many there are, and they do not change. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
		size = 0;
	groups = malloc(size + sizeof(gid));
	if (!groups)
		return -ENOMEM;
	if (size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		size = 0;
	n = size / sizeof(gid);
	groups[n++] = gid;
	*ret_groups = STEAL(groups);
	*ret_n = n;
	return 0;
}

/* Returns whether the process of this directory in /proc still is there, and is uid's. */
static bool process_is_of(int directory, uid_t uid)
{
	char line[128];
	FILE *status;
	int fd = openat(directory, "status", O_RDONLY | O_CLOEXEC);
	bool found = false;

	status = fd < 0 ? NULL : fdopen(fd, "re");
	if (!status) {
		closep(&fd);
		return false;
	}
	while (!found && fgets(line, sizeof(line), status)) {
		char *end;

		if (strncmp(line, "Uid:", 4) != 0)
			continue;
		(void)strtoul(line + 4, &end, 10); /* the real one; the effective one follows */
		found = strtoul(end, NULL, 10) == uid;
	}
	(void)fclose(status); /* it was only read */
	return found;
}

/* A user's manager is a service of the system, but what runs in it is not. */
static bool is_service(const char *unit)
{
	return fnmatch("*.service", unit, 0) == 0 && fnmatch("user@*.service", unit, 0) != 0;
}

/* Sets *ret_unit to the service that the process is part of, NULL when it is of none. */
static int get_unit(pid_t pid, uid_t uid, char **ret_unit)
{
	CLEANUP(closep) int directory = -1;
	CLEANUP(freep) char *unit = NULL;
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return 0;
	r = sd_pid_get_unit(pid, &unit);
	if (r == -ENOMEM)
		return r;
	if (r >= 0 && is_service(unit) && process_is_of(directory, uid))
		*ret_unit = STEAL(unit);
	return 0;
}

int identity_get(int fd, struct identity *ret_identity)
{
	struct identity identity = {0};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int r = 0;

	/* Of a socket that is not a Unix socket, the kernel says that it has nobody. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid != (uid_t)-1) {
		identity.proven = true;
		identity.uid = peer.uid;
		r = get_groups(fd, peer.gid, &identity.groups, &identity.n_groups);
		/* A process that is not seen from here has the number 0. */
		if (r == 0 && peer.pid > 0)
			r = get_unit(peer.pid, peer.uid, &identity.unit);
	}
	if (r < 0) {
		identity_done(&identity);
		return r;
	}
	*ret_identity = identity;
	return 0;
}

void identity_done(struct identity *identity)
{
	free(identity->groups);
	free(identity->unit);
	*identity = (struct identity){0};
}
