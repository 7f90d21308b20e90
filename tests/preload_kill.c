/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Put into a program with LD_PRELOAD, kills it at a moment that another process has chosen: before
 * or after the n-th of the calls below, in whichever thread that is. The file that
 * $RETORT_TEST_KILL names holds n, a 64-bit number, which counts down; 0 lets the program live.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic int64_t never;
static _Atomic int64_t *countdown = &never;

static long (*real_syscall)(long number, ...);
static ssize_t (*real_sendmsg)(int fd, const struct msghdr *message, int flags);
static ssize_t (*real_recvmsg)(int fd, struct msghdr *message, int flags);
static ssize_t (*real_read)(int fd, void *data, size_t len);
static ssize_t (*real_write)(int fd, const void *data, size_t len);
static int (*real_shutdown)(int fd, int how);
static int (*real_close)(int fd);
static int (*real_epoll_wait)(int fd, struct epoll_event *events, int max, int timeout);
static int (*real_epoll_ctl)(int fd, int operation, int other, struct epoll_event *event);
static int (*real_accept4)(int fd, struct sockaddr *address, socklen_t *len, int flags);

/* dlsym(3) gives no function, says ISO C. */
#define FIND(name) (*(void **)&real_##name = dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void prepare(void)
{
	const char *path = getenv("RETORT_TEST_KILL");
	void *mapped = MAP_FAILED;
	int fd;

	if (real_syscall)
		return;
	FIND(sendmsg);
	FIND(recvmsg);
	FIND(read);
	FIND(write);
	FIND(shutdown);
	FIND(close);
	FIND(epoll_wait);
	FIND(epoll_ctl);
	FIND(accept4);
	FIND(syscall);
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0) {
		mapped = mmap(NULL, sizeof(*countdown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)real_close(fd); /* the mapping stays */
	}
	if (mapped != MAP_FAILED)
		countdown = mapped;
}

/* A moment at which the program may be killed. */
static void moment(void)
{
	if (!real_syscall)
		prepare();
	if (atomic_load(countdown) <= 0 || atomic_fetch_sub(countdown, 1) != 1)
		return;
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)poll(NULL, 0, -1);
}

#define CALL(type, call)              \
	do {                          \
		type result;          \
		moment();             \
		result = real_##call; \
		moment();             \
		return result;        \
	} while (0)

long syscall(long number, ...)
{
	long a, b, c, d, e, f;
	va_list arguments;

	va_start(arguments, number);
	a = va_arg(arguments, long);
	b = va_arg(arguments, long);
	c = va_arg(arguments, long);
	d = va_arg(arguments, long);
	e = va_arg(arguments, long);
	f = va_arg(arguments, long);
	va_end(arguments);
	CALL(long, syscall(number, a, b, c, d, e, f));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	CALL(ssize_t, sendmsg(fd, message, flags));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	CALL(ssize_t, recvmsg(fd, message, flags));
}

ssize_t read(int fd, void *data, size_t len)
{
	CALL(ssize_t, read(fd, data, len));
}

ssize_t write(int fd, const void *data, size_t len)
{
	CALL(ssize_t, write(fd, data, len));
}

int shutdown(int fd, int how)
{
	CALL(int, shutdown(fd, how));
}

int close(int fd)
{
	CALL(int, close(fd));
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	CALL(int, epoll_wait(fd, events, max, timeout));
}

int epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
	CALL(int, epoll_ctl(fd, operation, other, event));
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	CALL(int, accept4(fd, address, len, flags));
}

/* Memory: moments between the calls to the kernel. */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void __libc_free(void *memory);

void *malloc(size_t size)
{
	if (real_syscall)
		moment();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (real_syscall)
		moment();
	return __libc_calloc(n, size);
}

void free(void *memory)
{
	if (real_syscall)
		moment();
	__libc_free(memory);
}
