/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The log where nobody takes it: whatever standard error is, no call waits, no entry is doubled or
 * comes out of turn, and what was lost is counted and said. A call that waited would have the test
 * time out.
 */

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include "bytes.h"
#include "harness.h"
#include "log.h"
#include "log_output.h"

static const char lost_words[] = " could not be logged from ";

/* How many had been lost before the test: there may be one process for all of them. */
static uint64_t lost_before;

static uint64_t lost(void)
{
	return log_lost() - lost_before;
}

/* Has the log go to fd, which is closed here. */
static void use(int fd)
{
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	(void)close(fd);
	lost_before = log_lost();
	log_open(false);
}

/* A pipe that is standard error; returns the other end. */
static int use_pipe(void)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	use(fds[1]);
	return fds[0];
}

static void write_numbered(uint64_t i)
{
	char padding[500];

	memset(padding, 'x', sizeof(padding) - 1);
	padding[sizeof(padding) - 1] = '\0';
	log_write(LOG_STOPPING, NULL, "entry %llu %s", (unsigned long long)i, padding);
}

/* Writes entries until some are lost. Returns how many there were. */
static uint64_t flood(void)
{
	uint64_t i = 0;

	while (lost() < 10) {
		errno = ENOTTY;
		write_numbered(i++);
		ck_assert_int_eq(errno, ENOTTY);
		ck_assert_uint_lt(i, 100000);
	}
	return i;
}

/* Reads what has come, while the log does what is due. Returns the bytes as text, which grow. */
static const char *go_on(int log, struct buffer *text)
{
	struct pollfd polled[2] = {{log, POLLIN, 0}, {log_folded_fd(), POLLIN, 0}};
	ssize_t n;

	ck_assert_int_gt(poll(polled, 2, harness_patience()), 0);
	if (polled[1].revents)
		log_say_folded();
	ck_assert_int_eq(buffer_reserve(text, 65536), 0);
	if (polled[0].revents & POLLIN) {
		n = read(log, text->data + text->len, 65535);
		ck_assert_int_gt(n, 0);
		text->len += (size_t)n;
	}
	text->data[text->len] = '\0';
	return (const char *)text->data;
}

/* The text of a line behind its time and its priority. */
static const char *text_of(const char *line)
{
	const char *text = line + strlen("9999-99-99 99:99:99.999 ");

	return strncmp(text, "warning: ", 9) == 0 ? text + 9 : text;
}

/*
 * Reads until the log has said what was lost: of n entries, those before came in order, those after
 * are as many as it says, and why.
 */
static void recover(int log, uint64_t n, const char *why)
{
	struct buffer text = {0};
	char expected[600], *line, *end;
	const char *said;
	uint64_t i = 0;

	do {
		said = strstr(go_on(log, &text), lost_words);
	} while (!said || !strchr(said, '\n'));
	for (line = (char *)text.data;; line = end + 1, i++) {
		end = strchr(line, '\n');
		ck_assert_ptr_nonnull(end);
		*end = '\0';
		if (strstr(line, lost_words))
			break;
		(void)snprintf(expected, sizeof(expected), "entry %llu x", (unsigned long long)i);
		ck_assert_msg(strncmp(text_of(line), expected, strlen(expected)) == 0,
			      "%s instead of %s", line, expected);
	}
	ck_assert_uint_eq(i + lost(), n);
	(void)snprintf(expected, sizeof(expected), "%llu entries%s", (unsigned long long)lost(),
		       lost_words);
	ck_assert_msg(strncmp(text_of(line), expected, strlen(expected)) == 0, "%s", line);
	(void)snprintf(expected, sizeof(expected), " because %s", why);
	ck_assert_msg(strstr(line, expected) != NULL, "%s", line);
	ck_assert_uint_eq((size_t)(end + 1 - (char *)text.data), text.len);

	/* All is as before. */
	text.len = 0;
	log_write(LOG_STOPPING, NULL, "well again");
	while (!strstr(go_on(log, &text), "well again\n"))
		;
	ck_assert_uint_eq(i + lost(), n);
	buffer_done(&text);
	log_close();
}

/* The pipe of "retortd 2>&1 | less". */
START_TEST(test_full_pipe)
{
	int log = use_pipe();

	/* The open file is shared with whoever started us: it is as it was. */
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	recover(log, flood(), "whoever reads standard error took none");
	(void)close(log);
}
END_TEST

START_TEST(test_full_socket)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	use(ends[1]);
	recover(ends[0], flood(), "whoever reads standard error took none");
	(void)close(ends[0]);
}
END_TEST

/* A terminal that is stopped takes nothing; one that nobody reads is full some time. */
static void try_terminal(bool stopped)
{
	struct termios settings;
	int master, slave;
	uint64_t n;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(slave, &settings), 0);
	cfmakeraw(&settings);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &settings), 0);
	ck_assert_int_eq(setenv("NO_COLOR", "1", 1), 0);
	use(slave);
	if (stopped)
		ck_assert_int_eq(tcflow(STDERR_FILENO, TCOOFF), 0);
	else
		ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	n = flood();
	if (stopped)
		ck_assert_int_eq(tcflow(STDERR_FILENO, TCOON), 0);
	recover(master, n, "whoever reads standard error took none");
	(void)close(master);
}

START_TEST(test_full_terminal)
{
	try_terminal(false);
}
END_TEST

START_TEST(test_stopped_terminal)
{
	try_terminal(true);
}
END_TEST

/* What may not be opened once more, as it is of another user: a pipe, then a terminal. */
START_TEST(test_of_another_user)
{
	static const uid_t nobody = 65534;
	int fds[2];

	if (geteuid() != 0) {
		harness_skip("only root can be somebody else");
		return;
	}
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(seteuid(nobody), 0);
	ck_assert_int_lt(open("/proc/self/fd/2", O_WRONLY | O_CLOEXEC), 0);
	use(fds[1]);
	recover(fds[0], flood(), "whoever reads standard error took none");
	ck_assert_int_eq(seteuid(0), 0);
	(void)close(fds[0]);
}
END_TEST

START_TEST(test_terminal_of_another_user)
{
	static const uid_t nobody = 65534;

	if (geteuid() != 0) {
		harness_skip("only root can be somebody else");
		return;
	}
	ck_assert_int_eq(seteuid(nobody), 0);
	try_terminal(false);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* Whoever reads goes, and somebody comes again; the signal of that ends nobody. */
START_TEST(test_reader_gone)
{
	static const char path[] = "fifo";
	uint64_t n;
	int log;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	log = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(log, 0);
	use(open(path, O_WRONLY | O_CLOEXEC));
	(void)close(log);
	n = flood();
	log = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(log, 0);
	recover(log, n, "whoever read standard error was gone");
	(void)close(log);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(test_disk_full)
{
	uint64_t n, before;
	int log;

	use(open("/dev/full", O_WRONLY | O_CLOEXEC));
	n = flood();
	before = lost_before;
	log = use_pipe();
	lost_before = before;
	recover(log, n, "No space left on device");
	(void)close(log);
}
END_TEST

/* Where standard error is closed, no connection may get its number, and the log's lines. */
START_TEST(test_closed)
{
	int fd;

	(void)close(STDERR_FILENO);
	lost_before = log_lost();
	log_open(false);
	fd = dup(STDOUT_FILENO);
	ck_assert_int_gt(fd, STDERR_FILENO);
	log_write(LOG_STOPPING, NULL, "into the void");
	ck_assert_uint_eq(lost(), 0);
	(void)close(fd);
	log_close();
}
END_TEST

/* What waits is kept within its bound, and given out when the log is closed. */
START_TEST(test_given_out_at_the_end)
{
	struct buffer text = {0};
	uint64_t n;
	pid_t child;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)close(fds[0]);
		use(fds[1]);
		for (uint64_t i = 0; i < 300; i++)
			write_numbered(i);
		log_close();
		_exit(lost() > 0);
	}
	(void)close(fds[1]);
	for (n = 1; n > 0; text.len += n) {
		ck_assert_int_eq(buffer_reserve(&text, 65536), 0);
		n = (uint64_t)MAX(read(fds[0], text.data + text.len, 65535), (ssize_t)0);
	}
	n = 0;
	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	ck_assert_uint_eq(n, 300);
	(void)close(fds[0]);
	buffer_done(&text);
}
END_TEST

/* A log that nobody will ever read holds up the end for a moment only. */
START_TEST(test_end_is_not_held_up)
{
	int log = use_pipe();
	uint64_t before;

	(void)flood();
	before = harness_now();
	log_close();
	ck_assert_uint_lt(harness_now() - before, (uint64_t)harness_patience());
	use(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* takes what waits */
	log_close();
	(void)close(log);
}
END_TEST

enum { THREADS = 4 };

static uint64_t per_thread;

static void *write_many(void *argument)
{
	for (uint64_t i = 0; i < per_thread; i++)
		log_write(LOG_STOPPING, NULL, "thread %i %llu %0400i", *(const int *)argument,
			  (unsigned long long)i, 0);
	return NULL;
}

/* Each entry of each thread comes once and in turn, or is counted once. */
START_TEST(test_threads)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	uint64_t next[THREADS] = {0}, seen = 0, counted = 0;
	struct buffer text = {0};
	int log = use_pipe();

	per_thread = harness_rounds(4000, 1500);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
	}
	while (seen + counted < THREADS * per_thread) {
		const char *line = go_on(log, &text), *end;

		for (; (end = strchr(line, '\n')); line = end + 1) {
			const char *entry = text_of(line);
			unsigned long number = strtoul(entry, NULL, 10), thread;
			char *rest;

			if (strncmp(entry, "thread ", 7) != 0) {
				REQUIRE(number > 0);
				counted += number;
				continue;
			}
			thread = strtoul(entry + 7, &rest, 10);
			number = strtoul(rest, NULL, 10);
			REQUIRE(thread < THREADS && number >= next[thread]);
			next[thread] = number + 1;
			seen++;
		}
		buffer_consume(&text, (size_t)(line - (const char *)text.data));
	}
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(seen + counted, THREADS * per_thread);
	ck_assert_uint_eq(counted, lost());
	log_close();
	(void)close(log);
	buffer_done(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_output");

	harness_add(suite, test_full_pipe);
	harness_add(suite, test_full_socket);
	harness_add(suite, test_full_terminal);
	harness_add(suite, test_stopped_terminal);
	harness_add(suite, test_of_another_user);
	harness_add(suite, test_terminal_of_another_user);
	harness_add(suite, test_reader_gone);
	harness_add(suite, test_disk_full);
	harness_add(suite, test_closed);
	harness_add(suite, test_given_out_at_the_end);
	harness_add(suite, test_end_is_not_held_up);
	harness_add(suite, test_threads);
	return harness_main(suite);
}
