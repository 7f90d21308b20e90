/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket_held.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bind.h"
#include "util.h"

/* Whether a name or number of a user is that of uid; when it is not known, yes. */
static bool is_user(const char *user, uid_t uid)
{
	const struct passwd *entry = getpwnam(user);
	char *end;
	uid_t number = entry ? entry->pw_uid : (uid_t)strtoul(user, &end, 10);

	return number == uid || (!entry && *end);
}

static bool is_group(const char *group, gid_t gid)
{
	const struct group *entry = getgrnam(group);
	char *end;
	gid_t number = entry ? entry->gr_gid : (gid_t)strtoul(group, &end, 10);

	return number == gid || (!entry && *end);
}

static void fclosep(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* nothing was written */
}

bool socket_is_bound(const char *path)
{
	CLEANUP(fclosep) FILE *table = fopen("/proc/net/unix", "re");
	const size_t len = strlen(path);
	char line[512]; /* a path has at most 107 bytes */

	while (table && fgets(line, sizeof(line), table)) {
		size_t end = strcspn(line, "\n");

		/* The path stands last, behind a space. */
		line[end] = '\0';
		if (end > len && line[end - len - 1] == ' ' && strcmp(line + end - len, path) == 0)
			return true;
	}
	return false;
}

/* Connecting would tell whether anybody listens, but wake up whoever does. */
static bool is_file_held(const char *path, const struct listener_config *listener)
{
	struct stat status;

	if (!socket_is_bound(path) || lstat(path, &status) < 0)
		return false;
	return S_ISSOCK(status.st_mode) && (status.st_mode & 07777) == listener->mode &&
	       (!listener->user || is_user(listener->user, status.st_uid)) &&
	       (!listener->group || is_group(listener->group, status.st_gid));
}

bool socket_is_held(const struct endpoint *endpoint, const struct listener_config *listener)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint->socket;
	CLEANUP(closep) int fd = -1;
	struct bind_made made;

	if (endpoint->transport == TRANSPORT_UNIX && address->sun_path[0])
		return is_file_held(address->sun_path, listener);
	return bind_open(endpoint, &fd, &made) < 0;
}
