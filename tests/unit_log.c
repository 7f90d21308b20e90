/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The log's lines on standard error, which is a pipe here, and what is folded. Where two entries
 * have to fall into one second, a slow machine may need another try.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "harness.h"
#include "log.h"

/* What was written to standard error since the last look; without the times, which must be there.
 */
static const char *said(int log)
{
	static char all[65536], text[65536];
	ssize_t n = read(log, all, sizeof(all) - 1);
	char *to = text;

	ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
	all[MAX(n, (ssize_t)0)] = '\0';
	for (char *line = all, *end; *line; line = end + 1) {
		static const char form[] = "9999-99-99 99:99:99.999 ";

		end = strchr(line, '\n');
		ck_assert_msg(end, "a line without end: %s", line);
		for (size_t i = 0; i < sizeof(form) - 1; i++)
			ck_assert_msg(form[i] == '9' ? line[i] >= '0' && line[i] <= '9'
						     : line[i] == form[i],
				      "no time: %s", line);
		line += sizeof(form) - 1;
		to = mempcpy(to, line, (size_t)(end + 1 - line));
	}
	*to = '\0';
	return text;
}

/* Turns standard error into a pipe and opens the log; returns the pipe's other end. */
static int begin(bool verbose)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	(void)close(fds[1]);
	log_open(verbose);
	return fds[0];
}

START_TEST(test_lines)
{
	int log = begin(false);
	struct log_about about = {.listener = "chat"};

	log_write(LOG_STOPPING, NULL, "number %i", 5);
	log_write(LOG_FAULT, NULL, "broken");
	log_write(LOG_NOT_INHERITED, &about, "unknown");
	ck_assert_str_eq(said(log), "number 5\nerror: broken\nwarning: chat: unknown\n");
	about.client = 42;
	log_write(LOG_IDLE, &about, "idle");
	about.peer = "unix:pid=7";
	log_write(LOG_IDLE, &about, "idle");
	about.client = 0;
	log_write(LOG_IDLE, &about, "idle");
	about.listener = NULL;
	log_write(LOG_IDLE, &about, "idle");
	ck_assert_str_eq(said(log), "chat: client 42: idle\nchat: client 42 (unix:pid=7): idle\n"
				    "chat: unix:pid=7: idle\nunix:pid=7: idle\n");
	log_lines(LOG_CONFIG_PROBLEM, "one\ntwo\n\nfour", 13);
	ck_assert_str_eq(said(log), "error: one\nerror: two\nerror: \nerror: four\n");
	log_close();
	(void)close(log);
}
END_TEST

START_TEST(test_verbose)
{
	int log = begin(false);

	ck_assert(!log_verbose());
	log_write(LOG_CONNECTED, NULL, "connected");
	log_folded(LOG_CONNECTED, NULL, "connected");
	ck_assert_str_eq(said(log), "");
	log_open(true);
	ck_assert(log_verbose());
	log_write(LOG_CONNECTED, NULL, "connected");
	ck_assert_str_eq(said(log), "debug: connected\n");
	log_close();
	(void)close(log);
}
END_TEST

START_TEST(test_too_long_is_cut)
{
	static char text[100000];
	int log = begin(false);
	size_t len;

	memset(text, 'x', sizeof(text) - 1);
	log_write(LOG_STOPPING, NULL, "%s", text);
	len = strlen(said(log));
	ck_assert_uint_gt(len, 500);
	ck_assert_uint_lt(len, 2000);
	log_close();
	(void)close(log);
}
END_TEST

/* Has all forgotten, for another try. */
static void forget(int log)
{
	log_close();
	log_open(false);
	(void)said(log);
}

START_TEST(test_errno_is_kept)
{
	int log = begin(false);

	(void)close(STDERR_FILENO);
	errno = ENOTTY;
	log_write(LOG_STOPPING, NULL, "nobody reads this");
	log_folded(LOG_IDLE, NULL, "nor this");
	ck_assert_int_eq(errno, ENOTTY);
	log_close();
	(void)close(log);
}
END_TEST

/* Waits until the count of what was folded is due, and has it said. */
static void wait_folded(void)
{
	struct pollfd polled = {log_folded_fd(), POLLIN, 0};

	ck_assert_int_ge(polled.fd, 0);
	ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "no count is due");
	log_say_folded();
}

/* Whether a count will be due, or is. */
static bool is_armed(void)
{
	struct pollfd polled = {log_folded_fd(), POLLIN, 0};
	struct itimerspec when;

	ck_assert_int_eq(timerfd_gettime(polled.fd, &when), 0);
	return when.it_value.tv_sec > 0 || when.it_value.tv_nsec > 0 || poll(&polled, 1, 0) == 1;
}

/* Writes n entries for this listener into one second, of which one is said; false: too slow. */
static bool fold(int log, const char *listener, int n)
{
	struct log_about about = {.listener = listener, .peer = "peer"};
	uint64_t before = harness_now();
	char first[100];

	for (int i = 0; i < n; i++)
		log_folded(LOG_IDLE, &about, "idle %i", i);
	if (harness_now() - before >= 900)
		return false;
	(void)snprintf(first, sizeof(first), "%s%speer: idle 0\n", listener ? listener : "",
		       listener ? ": " : "");
	ck_assert_str_eq(said(log), first);
	return true;
}

START_TEST(test_folded)
{
	int log = begin(false);
	uint64_t before, quiet;

	ck_assert(!is_armed());
	for (;; forget(log)) {
		before = harness_now();
		if (fold(log, "chat", 6) && fold(log, "quiet", 1))
			break;
	}
	quiet = harness_now();
	ck_assert(is_armed());
	wait_folded();
	ck_assert_uint_ge(harness_now() - before, 1000);
	ck_assert_str_eq(said(log), "chat: idle clients: 5 more such entries in the last second: "
				    "not shown one by one\n");
	/* What has said its count begins another second; what was quiet is a first again. */
	ck_assert(is_armed());
	while (harness_now() <= quiet + 1000)
		harness_pause(quiet + 2000 + (uint64_t)harness_patience(),
			      "the quiet one's second");
	while (!fold(log, "quiet", 2))
		forget(log);
	log_close();
	ck_assert_str_eq(said(log), "quiet: idle clients: 1 more such entry in the last second: "
				    "not shown one by one\n");
	ck_assert_int_eq(log_folded_fd(), -1);
	(void)close(log);
}
END_TEST

/* Each listener, and what is about none, and each kind is folded for itself. */
START_TEST(test_folded_apart)
{
	static const struct log_about about = {.listener = "a"};
	int log = begin(false);

	while (!fold(log, "a", 3) || !fold(log, "b", 1) || !fold(log, NULL, 2))
		forget(log);
	log_folded(LOG_MALFORMED, &about, "malformed");
	ck_assert_str_eq(said(log), "a: malformed\n");
	log_close();
	ck_assert_str_eq(
		said(log),
		"a: idle clients: 2 more such entries in the last second: not shown one by one\n"
		"idle clients: 1 more such entry in the last second: not shown one by one\n");
	(void)close(log);
}
END_TEST

/* Writes entries of so many listeners into one second; false: too slow. */
static bool fold_many(int n)
{
	uint64_t before = harness_now();
	char name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "listener-%i", i);
		log_folded(LOG_IDLE, &(struct log_about){.listener = name}, "idle");
	}
	return harness_now() - before < 900;
}

/* There is a bound to what is remembered; what is beyond it is folded all the same, together. */
START_TEST(test_many_folds)
{
	enum { REMEMBERED = 256, N = 1000 };
	int log = begin(false);
	const char *text;
	size_t n = 0;

	while (!fold_many(N))
		forget(log);
	text = said(log);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		n++;
	ck_assert_uint_eq(n, REMEMBERED + 1);
	log_close();
	ck_assert_str_eq(said(log),
			 "743 more such entries in the last second: not shown one by one\n");

	/* A place is free again as soon as its second is over, whoever says the counts. */
	log_open(false);
	while (!fold_many(N))
		forget(log);
	(void)said(log);
	do {
		wait_folded();
	} while (!strstr(said(log), "743 more such entries"));
	while (!fold(log, "another", 2))
		forget(log);
	log_close();
	ck_assert_str_eq(said(log), "another: idle clients: 1 more such entry in the last second: "
				    "not shown one by one\n");
	(void)close(log);
}
END_TEST

/* Standard error is the journal only when it is the very stream that the variable names. */
START_TEST(test_journal_stream)
{
	struct stat status;
	char stream[64];
	int log;

	ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	log = begin(false);
	ck_assert(!log_is_journal());
	log_write(LOG_STOPPING, NULL, "here");
	ck_assert_str_eq(said(log), "here\n");

	ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
	for (int wrong = 0; wrong < 4; wrong++) {
		(void)snprintf(stream, sizeof(stream), wrong < 3 ? "%ju:%ju" : "%ju-%ju",
			       (uintmax_t)status.st_dev + (wrong == 1),
			       (uintmax_t)status.st_ino + (wrong == 2));
		ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
		log_open(false);
		ck_assert_int_eq(log_is_journal(), wrong == 0);
	}
	log_close();
	(void)close(log);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");

	harness_add(suite, test_lines);
	harness_add(suite, test_verbose);
	harness_add(suite, test_too_long_is_cut);
	harness_add(suite, test_errno_is_kept);
	harness_add(suite, test_folded);
	harness_add(suite, test_folded_apart);
	harness_add(suite, test_many_folds);
	harness_add(suite, test_journal_stream);
	return harness_main(suite);
}
