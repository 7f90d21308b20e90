/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log_output.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util.h"

enum {
	HEADER = sizeof(uint32_t), /* before each entry that waits: its length */
	TERMINAL_PIECE = 64,	   /* poll(2) says that there is room for this much at least */
};

static const struct sockaddr_un journal = {.sun_family = AF_UNIX,
					   .sun_path = "/run/systemd/journal/socket"};

/* Reads a number that ends in end. */
static bool parse_number(const char *text, char end, uintmax_t *ret_number, const char **ret_rest)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoumax(text, &rest, 10);
	*ret_rest = rest + 1;
	return errno == 0 && *rest == end;
}

static bool is_journal(const struct stat *status)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;

	return stream && parse_number(stream, ':', &device, &stream) &&
	       parse_number(stream, '\0', &inode, &stream) && status->st_dev == device &&
	       status->st_ino == inode;
}

static int journal_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void open_null(void)
{
	CLEANUP(closep) int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd == STDERR_FILENO)
		fd = -1;
	else if (fd >= 0)
		(void)dup2(fd, STDERR_FILENO); /* else it stays closed */
}

void log_output_open(struct log_output *output)
{
	struct stat status = {0};

	log_output_close(output);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTTOU, SIG_IGN);
	output->kind = LOG_OUTPUT_FILE;
	if (fstat(STDERR_FILENO, &status) < 0) {
		open_null();
	} else if (is_journal(&status)) {
		output->kind = LOG_OUTPUT_JOURNAL;
		output->fd = journal_socket(); /* or when it is needed */
	} else if (S_ISSOCK(status.st_mode)) {
		output->kind = LOG_OUTPUT_SOCKET;
	} else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
		output->fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		output->kind = output->fd >= 0 ? LOG_OUTPUT_OWN : LOG_OUTPUT_SHARED;
	}
}

static ssize_t send_to_journal(struct log_output *output, const void *data, size_t len)
{
	if (output->fd < 0)
		output->fd = journal_socket();
	return sendto(output->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&journal, sizeof(journal));
}

static ssize_t write_shared(const void *data, size_t len)
{
	struct pollfd polled = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&polled, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(STDERR_FILENO, data,
		     isatty(STDERR_FILENO) ? MIN(len, (size_t)TERMINAL_PIECE) : len);
}

/* Offers bytes of one entry, not none. Returns how many were taken, or a negative errno. */
static ssize_t offer(struct log_output *output, const void *data, size_t len)
{
	ssize_t n = -1;

	do {
		switch (output->kind) {
		case LOG_OUTPUT_JOURNAL:
			n = send_to_journal(output, data, len);
			break;
		case LOG_OUTPUT_SOCKET:
			n = send(STDERR_FILENO, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case LOG_OUTPUT_OWN:
			n = write(output->fd, data, len);
			break;
		case LOG_OUTPUT_SHARED:
			n = write_shared(data, len);
			break;
		case LOG_OUTPUT_FILE:
			n = write(STDERR_FILENO, data, len);
			break;
		}
	} while (n < 0 && errno == EINTR);
	output->error = n > 0 ? 0 : n < 0 ? errno : ENOSPC;
	return n > 0 ? n : -output->error;
}

/* Offers an entry, piece by piece. Returns how much of it was taken. */
static size_t offer_all(struct log_output *output, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	while (taken < len) {
		ssize_t n = offer(output, data + taken, len - taken);

		if (n < 0)
			break;
		taken += (size_t)n;
	}
	return taken;
}

/* Appends what is left of an entry to what waits. */
static bool enqueue(struct log_output *output, const void *entry, size_t len)
{
	uint32_t header = (uint32_t)len;

	if (output->end - output->first + HEADER + len > (size_t)LOG_OUTPUT_WAITING_MAX)
		return false;
	if (output->end + HEADER + len > (size_t)LOG_OUTPUT_WAITING_MAX) {
		memmove(output->waiting, output->waiting + output->first,
			output->end - output->first);
		output->end -= output->first;
		output->first = 0;
	}
	memcpy(output->waiting + output->end, &header, HEADER);
	memcpy(output->waiting + output->end + HEADER, entry, len);
	output->end += HEADER + len;
	return true;
}

size_t log_output_flush(struct log_output *output)
{
	size_t lost = 0;

	while (output->first < output->end) {
		uint8_t *at = output->waiting + output->first;
		uint32_t len, left;
		size_t taken;

		memcpy(&len, at, HEADER);
		taken = offer_all(output, at + HEADER, len);
		if (taken < len && output->error != EMSGSIZE) {
			/* What is left of it has its header where something was that is gone. */
			left = len - (uint32_t)taken;
			memcpy(at + taken, &left, HEADER);
			output->first += taken;
			return lost;
		}
		lost += taken < len;
		output->first += HEADER + len;
	}
	output->first = output->end = 0;
	return lost;
}

bool log_output_put(struct log_output *output, const void *entry, size_t len)
{
	size_t taken = 0;

	if (output->first == output->end) {
		taken = offer_all(output, entry, len);
		if (taken == len)
			return true;
		if (output->error == EMSGSIZE)
			return false;
	}
	return enqueue(output, (const uint8_t *)entry + taken, len - taken);
}

size_t log_output_waiting(const struct log_output *output)
{
	return output->end - output->first;
}

bool log_output_is_unread(const struct log_output *output)
{
	int unread = 0;

	return output->kind == LOG_OUTPUT_JOURNAL && output->fd >= 0 &&
	       ioctl(output->fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

void log_output_close(struct log_output *output)
{
	closep(&output->fd);
	output->fd = -1;
}
