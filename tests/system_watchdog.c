/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The service manager's watchdog is fed while every thread of the daemon turns, and only then. */

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "harness.h"

enum { WATCHDOG = 200 /* milliseconds */ };

static struct server server;
static unsigned fed; /* how often it said that all is well */

static void count_feeds(struct server *of, struct server_notification *notification)
{
	(void)of; /* there is one */
	fed += strcmp(notification->text, "WATCHDOG=1") == 0;
}

static void start(void)
{
	static const char *const environment[] = {"WATCHDOG_USEC=200000", NULL};

	server = (struct server){.notify = -1};
	server_start(&server, &(struct server_setup){
				      .config = "workers = 2;\n"
						"listeners: ( { listen = \"unix:echo\"; } );\n",
				      .environment = environment});
}

/* Returns the number of the first thread of the daemon that has this name. */
static pid_t find_thread(const char *name)
{
	char path[64], comm[32];
	struct dirent *entry;
	pid_t found = 0;
	DIR *directory;

	(void)snprintf(path, sizeof(path), "/proc/%i/task", server.pid);
	directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while (found == 0 && (entry = readdir(directory))) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/%i/task/%.16s/comm", server.pid,
			       entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* "." and ".." */
		if (fgets(comm, sizeof(comm), file) && strcspn(comm, "\n") == strlen(name) &&
		    strncmp(comm, name, strlen(name)) == 0)
			found = (pid_t)strtol(entry->d_name, NULL, 10);
		(void)fclose(file);
	}
	(void)closedir(directory);
	ck_assert_int_gt(found, 0);
	return found;
}

/* Holds one thread still. Returns false where that is not permitted. */
static bool hold(pid_t thread)
{
	int status;

	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0)
		return false;
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), 0);
	ck_assert_int_eq(waitpid(thread, &status, __WALL), thread);
	return true;
}

static void let_go(pid_t thread)
{
	ck_assert_int_eq(ptrace(PTRACE_DETACH, thread, NULL, NULL), 0);
}

/*
 * Waits until it has said that a thread does not turn, or that all turn again: on a busy machine it
 * may say either at any time.
 */
static void await_told(bool stuck)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while ((server_count_log(&server, "have not turned for 50 ms") >
		server_count_log(&server, "all threads turn again")) != stuck)
		harness_pause(deadline, stuck ? "a thread to be missed" : "all threads to turn");
}

static void assert_missed(const char *name)
{
	pid_t thread;

	start();
	server_wait_notify(&server, "WATCHDOG=1");
	server_wait_notify(&server, "WATCHDOG=1");
	thread = find_thread(name);
	if (!hold(thread)) {
		harness_skip("tracing is not permitted here");
		server_stop(&server);
		return;
	}
	(void)server_has_notified(&server, "WATCHDOG=1");
	fed = 0;
	server.on_notification = count_feeds;
	await_told(true);
	/* The main thread goes on for as long as the service manager waits, and says nothing. */
	(void)poll(NULL, 0, WATCHDOG); /* when it is shorter, less is proved */
	ck_assert_int_eq(kill(server.pid, SIGUSR1), 0);
	free(server_wait_log(&server, "summary"));
	(void)server_has_notified(&server, "WATCHDOG=1");
	/* Once at most, which was asked before that thread was held. */
	ck_assert_uint_le(fed, 1);
	await_told(true);
	server.on_notification = NULL;
	let_go(thread);
	await_told(false);
	server_wait_notify(&server, "WATCHDOG=1");
	server_stop(&server);
}

START_TEST(test_fed)
{
	start();
	for (int i = 0; i < 5; i++)
		server_wait_notify(&server, "WATCHDOG=1");
	server_stop(&server);
}
END_TEST

START_TEST(test_worker_stuck)
{
	assert_missed("worker");
}
END_TEST

START_TEST(test_hub_stuck)
{
	assert_missed("hub");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_watchdog");

	harness_add(suite, test_fed);
	harness_add(suite, test_worker_stuck);
	harness_add(suite, test_hub_stuck);
	return harness_main(suite);
}
