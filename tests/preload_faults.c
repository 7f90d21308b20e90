/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Put into a program with LD_PRELOAD, makes its writes to files fail as those to a bad disk do:
 * pwrite(2), fdatasync(2) and ftruncate(2), by which SQLite writes. Another process decides about
 * it in the file that $RETORT_TEST_FAULTS names, three numbers of 32 bits: the error that they fail
 * with (0: none), how many calls are let through before, and how many have failed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct faults {
	_Atomic int32_t error, spared, failed;
};

static struct faults no_faults;
static struct faults *faults = &no_faults;

__attribute__((constructor)) static void open_faults(void)
{
	const char *path = getenv("RETORT_TEST_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	if (fd >= 0) {
		mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)close(fd); /* the mapping stays */
	}
	if (mapped != MAP_FAILED)
		faults = mapped;
}

/* Whether this call is to fail; then errno is set. */
static bool fails(void)
{
	int error = atomic_load(&faults->error);

	if (error == 0 || atomic_fetch_sub(&faults->spared, 1) > 0)
		return false;
	atomic_fetch_add(&faults->failed, 1);
	errno = error;
	return true;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return fails() ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

int ftruncate64(int fd, off64_t len)
{
	return fails() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int fdatasync(int fd)
{
	return fails() ? -1 : (int)syscall(SYS_fdatasync, fd);
}
