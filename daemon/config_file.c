/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_file.h"

/* The file may be a pipe, as a shell's <(command) is, so its size is known only at its end. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util.h"

enum { READ_SIZE = 4096 };

static int read_whole(int fd, size_t max, struct buffer *buffer)
{
	for (;;) {
		ssize_t n;
		int r = buffer_reserve(buffer, READ_SIZE);

		if (r < 0)
			return r;
		n = read(fd, buffer->data + buffer->len, buffer->size - buffer->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			buffer->len += (size_t)n;
		if (n == 0 || buffer->len > max)
			return 0;
	}
}

int config_file_read(const char *file, bool included, size_t max, struct stat *ret_status,
		     struct buffer *ret_text)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	CLEANUP(closep) int fd = -1;
	struct stat status;
	int r;

	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | (included ? O_NONBLOCK : 0));
	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (included && !S_ISREG(status.st_mode))
		return -EINVAL;
	r = read_whole(fd, max, &text);
	if (r < 0)
		return r;
	*ret_status = status;
	*ret_text = text;
	text = (struct buffer){0};
	return 0;
}
