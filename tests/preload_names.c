/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Put into a program with LD_PRELOAD, makes its name service one that does not answer. Another
 * process decides about it in the file that $RETORT_TEST_NAMES names, two numbers of 32 bits and a
 * key: whether what is asked for this key, a name or a number as text, or any when it is "*", is
 * held until the first number is 0 again; and how many are held. As long as a third number is not
 * 0, the clock of the thread "hub" stands still, so that it never loses its patience.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct names {
	_Atomic int32_t holds, held;
	char key[64];
	_Atomic int32_t still;
};

static struct names no_names;
static struct names *names = &no_names;

static int (*real_getpwnam_r)(const char *, struct passwd *, char *, size_t, struct passwd **);
static int (*real_getpwuid_r)(uid_t, struct passwd *, char *, size_t, struct passwd **);
static int (*real_getgrnam_r)(const char *, struct group *, char *, size_t, struct group **);
static struct passwd *(*real_getpwent)(void);

__attribute__((constructor)) static void open_names(void)
{
	const char *path = getenv("RETORT_TEST_NAMES");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	*(void **)&real_getpwnam_r = dlsym(RTLD_NEXT, "getpwnam_r");
	*(void **)&real_getpwuid_r = dlsym(RTLD_NEXT, "getpwuid_r");
	*(void **)&real_getgrnam_r = dlsym(RTLD_NEXT, "getgrnam_r");
	*(void **)&real_getpwent = dlsym(RTLD_NEXT, "getpwent");
	if (fd >= 0) {
		mapped = mmap(NULL, sizeof(*names), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)close(fd); /* the mapping stays */
	}
	if (mapped != MAP_FAILED)
		names = mapped;
}

static void hold(const char *key)
{
	if (!atomic_load(&names->holds) ||
	    (strcmp(names->key, "*") != 0 && strcmp(names->key, key) != 0))
		return;
	atomic_fetch_add(&names->held, 1);
	while (atomic_load(&names->holds))
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	atomic_fetch_sub(&names->held, 1);
}

int getpwnam_r(const char *name, struct passwd *user, char *memory, size_t size,
	       struct passwd **found)
{
	hold(name);
	return real_getpwnam_r(name, user, memory, size, found);
}

int getpwuid_r(uid_t uid, struct passwd *user, char *memory, size_t size, struct passwd **found)
{
	char key[16];

	(void)snprintf(key, sizeof(key), "%u", uid);
	hold(key);
	return real_getpwuid_r(uid, user, memory, size, found);
}

int getgrnam_r(const char *name, struct group *group, char *memory, size_t size,
	       struct group **found)
{
	hold(name);
	return real_getgrnam_r(name, group, memory, size, found);
}

struct passwd *getpwent(void)
{
	hold("all");
	return real_getpwent();
}

static bool stands_still(void)
{
	char name[16] = "";

	return atomic_load(&names->still) && prctl(PR_GET_NAME, name) == 0 &&
	       strcmp(name, "hub") == 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	static _Thread_local struct timespec stopped;
	int r;

	if (clock != CLOCK_MONOTONIC || !stands_still())
		return (int)syscall(SYS_clock_gettime, clock, ret_now);
	r = stopped.tv_sec ? 0 : (int)syscall(SYS_clock_gettime, clock, &stopped);
	*ret_now = stopped;
	return r;
}
