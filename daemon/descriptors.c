/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util.h"

static struct rlimit get_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit = (struct rlimit){1024, 1024}; /* what a process usually has */
	return limit;
}

uint64_t descriptors_limit(void)
{
	return get_limit().rlim_cur;
}

void descriptors_prepare(void)
{
	struct rlimit limit = get_limit();
	int fd;

	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then with what there is */
	}
	/* The table grows to hold a high number, and stays so. */
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC,
		   (int)MIN(descriptors_limit(), DESCRIPTORS_AT_ONCE) - 1);
	if (fd >= 0)
		(void)close(fd);
}

uint64_t descriptors_count(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!directory)
		return 64; /* without /proc: a guess that is rather too high */
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n; /* ".", ".." and the directory's own are three too many: to be on the safe side */
}
