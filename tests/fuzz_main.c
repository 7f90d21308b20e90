/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Stands in for libFuzzer's main function in ordinary test runs: gives each file of the named
 * directories to the fuzz target once. An empty directory is a failure, since it tests nothing.
 * A target with fuzz_expect() hears before each file whether its name begins with "taken-": then it
 * is to fail unless the input is taken as right.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bytes.h"
#include "fuzz.h"
#include "util.h"

__attribute__((weak)) void fuzz_expect(bool taken);

static int replay_file(int directory, const char *name)
{
	CLEANUP(closep) int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	struct buffer input = {0};
	struct stat status;
	ssize_t n;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	/* Exactly as large as the input, so that a read past its end is seen. */
	input.data = malloc(status.st_size > 0 ? (size_t)status.st_size : 1);
	if (!input.data)
		return -ENOMEM;
	n = read(fd, input.data, (size_t)status.st_size);
	if (fuzz_expect)
		fuzz_expect(strncmp(name, "taken-", 6) == 0);
	if (n == status.st_size)
		(void)LLVMFuzzerTestOneInput(input.data, (size_t)n); /* it is always 0 */
	buffer_done(&input);
	return n == status.st_size ? 0 : -EIO;
}

static unsigned replay_directory(const char *path, unsigned *ret_failed)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned n = 0;
	int r;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		r = replay_file(dirfd(directory), entry->d_name);
		if (r < 0) {
			(void)fprintf(stderr, "%s/%s: %s\n", path, entry->d_name, strerror(-r));
			++*ret_failed;
			continue;
		}
		n++;
	}
	if (n == 0) {
		(void)fprintf(stderr, "%s: nothing to replay\n", path);
		++*ret_failed;
	}
	if (directory)
		(void)closedir(directory); /* it was only read */
	return n;
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	for (int i = 1; i < argc; i++)
		passed += replay_directory(argv[i], &failed);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
