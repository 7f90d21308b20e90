/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "paths.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "address.h"
#include "util.h"

/* Returns a new string of directory and name, or NULL with errno ENOMEM. */
static char *join(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) >= 0)
		return path;
	errno = ENOMEM;
	return NULL;
}

char *paths_state_directory(const char *option)
{
	const char *directory = getenv("STATE_DIRECTORY");

	/* The service manager separates several by colons; the first is the main one. */
	if (directory && *directory && *directory != ':')
		return strndup(directory, strcspn(directory, ":"));
	if (option)
		return strdup(option);
	/* A relative one counts for nothing, as the XDG Base Directory Specification has it. */
	directory = getenv("XDG_STATE_HOME");
	if (directory && *directory == '/')
		return join(directory, "retort");
	directory = getenv("HOME");
	if (directory && *directory == '/')
		return join(directory, ".local/state/retort");
	errno = ENOENT;
	return NULL;
}

char *paths_control(const char *option)
{
	CLEANUP(freep) char *directory = NULL;

	if (option)
		return strdup(option);
	directory = runtime_directory();
	return directory ? join(directory, "control.sock") : NULL;
}

char *paths_make_runtime_directory(void)
{
	char *directory = runtime_directory();

	/* Clients of others must get in, whatever the umask is. */
	if (directory && mkdir(directory, 0755) == 0)
		(void)chmod(directory, 0755); /* it is ours, and fit for us in any case */
	return directory;
}
