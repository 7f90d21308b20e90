/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

/*
 * The run of a test program. Each test is a process of its own (Check forks it), so what a test
 * does to limits, namespaces and signals ends with it. A test that fails leaves its daemons'
 * directories behind in the run's own; what remains there at the end is shown and removed.
 */

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

enum { SHOWN_LOG = 6000 /* bytes of a failed test's log */ };

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status; /* nftw()'s contract */
	(void)type;
	(void)walk;
	(void)remove(path); /* what cannot be removed shows in the parent's failure */
	return 0;
}

void directory_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Shows a log's end; without Check, which is not at work any more. */
static void show_log(const char *path)
{
	static char text[SHOWN_LOG + 1];
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, text, SHOWN_LOG, MAX(size - SHOWN_LOG, (off_t)0));

	(void)fprintf(stderr, "---- %s\n%.*s\n", path, (int)MAX(n, (ssize_t)0), text);
}

static void show_logs(const char *directory)
{
	char pattern[PATH_MAX];
	glob_t found = {0};

	(void)snprintf(pattern, sizeof pattern, "%s/*/log*", directory);
	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			show_log(found.gl_pathv[i]);
	globfree(&found);
}

int harness_main(Suite *suite)
{
	const char *parent = getenv("TMPDIR");
	char directory[64];
	SRunner *runner = srunner_create(suite);
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(directory, sizeof directory, "%s/retort-test-XXXXXX",
		       parent && strlen(parent) < 32 ? parent : "/tmp");
	if (!mkdtemp(directory) || chmod(directory, 0755) < 0 ||
	    setenv("RETORT_TEST_DIRECTORY", directory, 1) < 0) {
		perror("cannot make a temporary directory");
		return EXIT_FAILURE;
	}
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (failed)
		show_logs(directory);
	directory_remove(directory);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void harness_add(Suite *suite, const TTest *test)
{
	TCase *tcase = tcase_create(test->name);

	tcase_set_timeout(tcase, 4.0 * harness_patience() / 1000);
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

bool harness_slow(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return getenv("RETORTD_WRAPPER") != NULL;
}

size_t harness_rounds(size_t full, size_t reduced)
{
	return harness_slow() ? reduced : full;
}

int harness_patience(void)
{
	return harness_slow() ? 120 * 1000 : 30 * 1000;
}

uint64_t harness_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock always exists */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void harness_pause(uint64_t deadline, const char *what)
{
	const struct timespec little = {.tv_nsec = 2000000};

	ck_assert_msg(harness_now() < deadline, "waited too long for %s", what);
	(void)nanosleep(&little, NULL); /* an early end only makes the caller look again */
}

void harness_skip(const char *reason)
{
	(void)fprintf(stderr, "skipped: %s\n", reason);
}

size_t harness_raise_files(size_t need)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < need) {
		limit.rlim_cur = MIN(limit.rlim_max, need);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	return MIN(limit.rlim_cur, need);
}

/* Enters new namespaces: as root without any further one, otherwise as root of a user namespace. */
static bool enter_namespaces(int flags)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (unshare(flags) == 0)
		return true;
	if (unshare(flags | CLONE_NEWUSER) < 0)
		return false;
	file_write("/proc/self/setgroups", "deny", 4);
	(void)snprintf(map, sizeof map, "0 %u 1", uid);
	file_write("/proc/self/uid_map", map, strlen(map));
	(void)snprintf(map, sizeof map, "0 %u 1", gid);
	file_write("/proc/self/gid_map", map, strlen(map));
	return true;
}

bool harness_private_network(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	CLEANUP(closep) int fd = -1;

	if (!enter_namespaces(CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	return true;
}

bool harness_private_mounts(void)
{
	return enter_namespaces(CLONE_NEWNS) &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

void random_init(struct random *random, uint64_t seed)
{
	random->state = seed;
}

void random_init_run(struct random *random, const char *test)
{
	const char *given = getenv("RETORT_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* this clock always exists */
	seed = given ? strtoull(given, NULL, 0)
		     : (uint64_t)now.tv_sec * 1000003 ^ (uint64_t)now.tv_nsec;
	(void)printf("%s: RETORT_TEST_SEED=%llu\n", test, (unsigned long long)seed);
	(void)fflush(stdout);
	random_init(random, seed);
}

uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

size_t random_below(struct random *random, size_t limit)
{
	return random_next(random) % limit;
}

char *file_read(const char *path)
{
	struct buffer buffer = {0};
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_msg(fd >= 0, "cannot open %s: %m", path);
	do {
		ck_assert_int_eq(buffer_reserve(&buffer, 65536), 0);
		n = read(fd, buffer.data + buffer.len, 65535);
		ck_assert_msg(n >= 0, "cannot read %s: %m", path);
		buffer.len += (size_t)n;
	} while (n > 0);
	buffer.data[buffer.len] = 0;
	return (char *)buffer.data;
}

void file_write(const char *path, const void *data, size_t len)
{
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_msg(fd >= 0, "cannot write %s: %m", path);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
}
