/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Put into a program with LD_PRELOAD, counts the allocations of its threads, but not of the first,
 * which has business of its own at any time: a 64-bit number in the file that
 * $RETORT_TEST_ALLOCATIONS names, which another process may map and read at any time.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, which the functions below stand in front of. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Atomic uint64_t before_it_is_open;
static _Atomic uint64_t *count = &before_it_is_open;

__attribute__((constructor)) static void open_count(void)
{
	const char *path = getenv("RETORT_TEST_ALLOCATIONS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	if (fd >= 0) {
		mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)close(fd); /* the mapping stays */
	}
	if (mapped != MAP_FAILED)
		count = mapped;
}

static void note(void)
{
	if (gettid() != getpid())
		atomic_fetch_add(count, 1);
}

void *malloc(size_t size)
{
	note();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	note();
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	note();
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	note();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	void *memory = aligned_alloc(alignment, size);

	if (!memory)
		return ENOMEM;
	*ret_memory = memory;
	return 0;
}
