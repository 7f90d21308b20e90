/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket_held.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "holder.h"
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

static bool is_dressed(const char *path, const struct listener_config *listener)
{
	struct stat status;

	return lstat(path, &status) == 0 && (status.st_mode & 07777) == listener->mode &&
	       (!listener->user || is_user(listener->user, status.st_uid)) &&
	       (!listener->group || is_group(listener->group, status.st_gid));
}

bool socket_is_held(pid_t pid, const struct endpoint *endpoint,
		    const struct listener_config *listener)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint->socket;

	return holder_is(pid, endpoint) &&
	       (endpoint->transport != TRANSPORT_UNIX || !address->sun_path[0] ||
		is_dressed(address->sun_path, listener));
}
