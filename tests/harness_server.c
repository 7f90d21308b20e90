/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

/*
 * Starting, watching and stopping the real daemon. It has a directory of its own, in which its
 * configuration, its Unix sockets and its log lie; it is ready when it says so on the
 * notification socket, and where it listens is read from its log.
 */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_FD = 3, ARGUMENTS_MAX = 64, NOTIFIED_FDS = 253 };

static const char *const foreign_environment[] = {
	"NOTIFY_SOCKET",   "JOURNAL_STREAM", "INVOCATION_ID", "LISTEN_PID",	"LISTEN_FDS",
	"LISTEN_FDNAMES",  "WATCHDOG_USEC",  "WATCHDOG_PID",  "RETORT_ADDRESS", "STATE_DIRECTORY",
	"XDG_RUNTIME_DIR", "MAINPID",	     "FDSTORE",
};

/* ---- starting ---- */

void server_init(struct server *server)
{
	const char *parent = getenv("RETORT_TEST_DIRECTORY");

	ck_assert_ptr_nonnull(parent);
	*server = (struct server){.notify = -1};
	(void)snprintf(server->directory, sizeof server->directory, "%s/XXXXXX", parent);
	ck_assert_msg(mkdtemp(server->directory) != NULL, "mkdtemp: %m");
	ck_assert_int_eq(chmod(server->directory, 0777), 0); /* for a daemon of another user */
	(void)snprintf(server->config, sizeof server->config, "%.80s/retortd.conf",
		       server->directory);
	(void)snprintf(server->log, sizeof server->log, "%.80s/log", server->directory);
	(void)snprintf(server->output, sizeof server->output, "%.80s/output", server->directory);
}

static void open_notify(struct server *server, char path[static SERVER_PATH_MAX])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(path, SERVER_PATH_MAX, "%.80s/notify", server->directory);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s", path);
	(void)unlink(path); /* of an earlier run in the same directory */
	server->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server->notify, 0);
	ck_assert_int_eq(
		setsockopt(server->notify, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
	ck_assert_int_eq(bind(server->notify, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
}

static const char *daemon_path(char path[static PATH_MAX])
{
	const char *given = getenv("RETORTD");
	ssize_t len;
	char *slash;

	if (given)
		return given;
	len = readlink("/proc/self/exe", path, PATH_MAX - 16);
	ck_assert_int_gt(len, 0);
	path[len] = 0;
	for (int i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		ck_assert_ptr_nonnull(slash);
		*slash = 0;
	}
	return strcat(path, "/retortd");
}

static void die(const char *what)
{
	(void)dprintf(STDERR_FILENO, "%s: %m\n", what);
	_exit(EXIT_FAILURE);
}

/* In the child: gives the sockets the numbers that sd_listen_fds(3) promises. */
static void pass_fds(const struct server_setup *setup)
{
	int *parked = calloc(setup->n_fds + 1, sizeof *parked); /* until exec() */
	int beyond = FIRST_FD + (int)setup->n_fds;
	char text[32];

	if (!parked)
		die("calloc");
	/* First out of the way of all the numbers that are to be given. */
	for (size_t i = 0; i < setup->n_fds; i++) {
		parked[i] = fcntl(setup->fds[i], F_DUPFD_CLOEXEC, beyond);
		if (parked[i] < 0)
			die("fcntl");
	}
	for (size_t i = 0; i < setup->n_fds; i++)
		if (dup2(parked[i], FIRST_FD + (int)i) < 0)
			die("dup2");
	if (close_range(FIRST_FD + (unsigned)setup->n_fds, ~0U, 0) < 0)
		die("close_range");
	if (!setup->n_fds)
		return;
	(void)snprintf(text, sizeof text, "%d", (int)getpid());
	(void)setenv("LISTEN_PID", text, 1); /* a failure shows in the daemon's behaviour */
	(void)snprintf(text, sizeof text, "%zu", setup->n_fds);
	(void)setenv("LISTEN_FDS", text, 1);
	if (setup->fd_names)
		(void)setenv("LISTEN_FDNAMES", setup->fd_names, 1);
}

static void set_environment(const struct server *server, const struct server_setup *setup,
			    const char *notify)
{
	char state[SERVER_PATH_MAX + 8];

	for (size_t i = 0; i < ARRAY_SIZE(foreign_environment); i++)
		(void)unsetenv(foreign_environment[i]);
	(void)snprintf(state, sizeof state, "%s/state", server->directory);
	(void)setenv("STATE_DIRECTORY", state, 1);
	(void)setenv("RUNTIME_DIRECTORY", server->directory, 1);
	(void)setenv("NOTIFY_SOCKET", notify, 1);
	for (size_t i = 0; setup->environment && setup->environment[i]; i++)
		if (putenv((char *)setup->environment[i]) != 0)
			die("putenv");
}

/* In the child: becomes the daemon. */
static void become(const struct server *server, const struct server_setup *setup, char **arguments,
		   const char *notify, pid_t parent, const sigset_t *mask)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(server->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int error = open(server->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	set_environment(server, setup, notify);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(setup->error_output ? setup->error_output : error, STDERR_FILENO) < 0)
		die("dup2");
	pass_fds(setup);
	if (setup->max_files) {
		struct rlimit limit = {setup->max_files, setup->max_files};

		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			die("setrlimit");
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		die("prctl");
	(void)signal(SIGPIPE, SIG_DFL);
	/* Not Check's own handlers: a signal may come before the daemon is there. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	(void)execvp(arguments[0], arguments);
	die(arguments[0]);
}

/*
 * Writes a configuration of this text. One that says nothing of timeouts drains for a moment only,
 * as tests stop the daemon under their clients; and gives messages all the time that a test takes.
 */
static void write_config(const struct server *server, const char *text)
{
	static const char timeouts[] = "timeouts: { message = \"10min\"; drain = \"200ms\"; }; ";
	CLEANUP(freep) char *whole = NULL;

	ck_assert_int_ge(asprintf(&whole, "%s%s", strstr(text, "timeouts") ? "" : timeouts, text),
			 0);
	file_write(server->config, whole, strlen(whole));
}

void server_spawn(struct server *server, const struct server_setup *setup)
{
	const char *wrapper = setup->without_wrapper ? NULL : getenv("RETORTD_WRAPPER");
	CLEANUP(freep) char *words = strdup(wrapper ? wrapper : "");
	char *arguments[ARGUMENTS_MAX] = {NULL};
	char path[PATH_MAX], notify[SERVER_PATH_MAX];
	pid_t parent = getpid();
	sigset_t all, mask;
	size_t n = 0;

	if (!server->directory[0])
		server_init(server);
	for (char *word = strtok(words, " "); word && n < ARGUMENTS_MAX / 2;
	     word = strtok(NULL, " "))
		arguments[n++] = word;
	arguments[n++] = (char *)(setup->program ? setup->program : daemon_path(path));
	if (setup->config) {
		write_config(server, setup->config);
		arguments[n++] = "-c";
		arguments[n++] = server->config;
	}
	for (size_t i = 0; setup->arguments && setup->arguments[i] && n < ARGUMENTS_MAX - 1; i++)
		arguments[n++] = (char *)setup->arguments[i];
	open_notify(server, notify);
	file_write(server->log, "", 0);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &mask);
	server->pid = fork();
	if (server->pid == 0)
		become(server, setup, arguments, notify, parent, &mask);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	ck_assert_int_ge(server->pid, 0);
}

void server_read_listening(struct server *server)
{
	static const char phrase[] = ": listening on ";
	CLEANUP(freep) char *log = file_read(server->log);
	char *rest = log;

	server->n_listening = 0;
	for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *found = strstr(line, phrase);
		const char *name = line;
		struct server_listening *listening;

		if (!found)
			continue;
		*found = 0;
		for (const char *c = line; *c; c++)
			if (*c == ' ')
				name = c + 1;
		ck_assert_uint_lt(server->n_listening, SERVER_LISTENING_MAX);
		listening = &server->listening[server->n_listening++];
		(void)snprintf(listening->name, sizeof listening->name, "%s", name);
		found += strlen(phrase);
		(void)snprintf(listening->address, sizeof listening->address, "%.*s",
			       (int)strcspn(found, " "), found);
	}
}

void server_start(struct server *server, const struct server_setup *setup)
{
	server_spawn(server, setup);
	server_wait_notify(server, "READY=1");
	if (!setup->error_output)
		server_read_listening(server);
}

void server_write_config(struct server *server, const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	ck_assert_int_ge(vasprintf(&text, format, arguments), 0);
	va_end(arguments);
	write_config(server, text);
}

void server_start_config(struct server *server, const char *format, ...)
{
	CLEANUP(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	ck_assert_int_ge(vasprintf(&text, format, arguments), 0);
	va_end(arguments);
	*server = (struct server){.notify = -1};
	server_start(server, &(struct server_setup){.config = text});
}

/* ---- watching ---- */

/* Looks through one notification; returns whether it has the line. */
static bool note(struct server *server, char *text, const char *line)
{
	bool found = false;
	char *rest;

	for (char *word = strtok_r(text, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(word, "STATUS=", 7) == 0)
			(void)snprintf(server->status, sizeof server->status, "%s", word + 7);
		if (strncmp(word, line, strlen(line)) == 0)
			found = true;
	}
	return found;
}

/* Gives what came with a notification to whoever keeps it, or closes it. */
static void take_notified(struct server *server, struct msghdr *message, const char *text)
{
	struct server_notification notification = {.text = text};
	int fds[NOTIFIED_FDS];

	for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one; one = CMSG_NXTHDR(message, one)) {
		if (one->cmsg_type == SCM_CREDENTIALS)
			memcpy(&notification.sender, CMSG_DATA(one), sizeof notification.sender);
		if (one->cmsg_type != SCM_RIGHTS)
			continue;
		notification.n_fds = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(one), notification.n_fds * sizeof(int));
	}
	notification.fds = fds;
	if (server->on_notification)
		server->on_notification(server, &notification);
	for (size_t i = 0; i < notification.n_fds; i++)
		closep(&fds[i]);
}

/* Takes a notification that has come; returns false when there is none. */
static bool next_notification(struct server *server, const char *line, bool *found)
{
	union {
		struct cmsghdr aligned;
		char bytes[CMSG_SPACE(NOTIFIED_FDS * sizeof(int)) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[4096];
	struct iovec into = {text, sizeof text - 1};
	struct msghdr message = {.msg_iov = &into,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control};
	ssize_t len = recvmsg(server->notify, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (len < 0)
		return false;
	ck_assert_int_eq(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
	text[len] = 0;
	take_notified(server, &message, text);
	*found |= note(server, text, line);
	return true;
}

void server_wait_notify(struct server *server, const char *line)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	CLEANUP(closep) int end = pidfd_open(server->pid, 0);
	bool found = false;

	ck_assert_int_ge(end, 0);
	while (!found) {
		struct pollfd polled[] = {
			{.fd = server->notify, .events = POLLIN},
			{.fd = end, .events = POLLIN},
		};

		ck_assert_msg(harness_now() < deadline, "no notification %s", line);
		(void)poll(polled, 2, 1000); /* a failure ends at the deadline */
		if (!next_notification(server, line, &found))
			ck_assert_msg(!(polled[1].revents & POLLIN), "it ended before %s", line);
	}
}

bool server_has_notified(struct server *server, const char *line)
{
	bool found = false;

	while (next_notification(server, line, &found))
		;
	return found;
}

char *server_wait_log(struct server *server, const char *text)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	char what[128];

	(void)snprintf(what, sizeof what, "\"%s\" in the log", text);
	for (;;) {
		CLEANUP(freep) char *log = file_read(server->log);
		char *found = strstr(log + MIN(server->log_seen, strlen(log)), text);
		char *end = found ? strchr(found, '\n') : NULL;

		if (end) {
			while (found > log && found[-1] != '\n')
				found--;
			server->log_seen = (size_t)(end + 1 - log);
			return strndup(found, (size_t)(end - found));
		}
		harness_pause(deadline, what);
	}
}

size_t server_count_log(const struct server *server, const char *text)
{
	CLEANUP(freep) char *log = file_read(server->log);
	size_t n = 0;

	for (const char *at = strstr(log, text); at; at = strstr(at + 1, text))
		n++;
	return n;
}

/* Finds "LABEL: NUMBER" in a line of the summary. */
static uint64_t number_of(const char *line, const char *label)
{
	char text[128];
	const char *found;

	(void)snprintf(text, sizeof text, " %s: ", label);
	found = strstr(line, text);
	return found ? strtoull(found + strlen(text), NULL, 10) : 0;
}

/*
 * Finds where a summary begins, with the line about the whole daemon: no name stands before it, but
 * the time. NULL: there is none yet.
 */
static char *find_summary(char *log)
{
	static const char first[] = " summary: clients now: ";

	for (char *at = strstr(log, first); at; at = strstr(at + 1, first))
		if (at > log && at[-1] >= '0' && at[-1] <= '9')
			return at;
	return NULL;
}

uint64_t server_counter(struct server *server, const char *listener, const char *label)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	CLEANUP(freep) char *before = file_read(server->log);
	size_t seen = strlen(before);
	char start[128];

	(void)snprintf(start, sizeof start, " %s%ssummary: ", listener ? listener : "",
		       listener ? ": " : "");
	server_signal(server, SIGUSR1);
	for (;;) {
		CLEANUP(freep) char *log = file_read(server->log);
		/* The end of the last summary may come only now. */
		char *begun = find_summary(log + seen),
		     *found = begun ? strstr(begun, start) : NULL;
		char *end = found ? strchr(found, '\n') : NULL;

		if (end) {
			*end = 0;
			return number_of(found + strlen(start) - 1, label);
		}
		harness_pause(deadline, "the summary");
	}
}

uint64_t server_wait_counter(struct server *server, const char *listener, const char *label,
			     uint64_t least)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience(), n;

	while ((n = server_counter(server, listener, label)) < least)
		harness_pause(deadline, label);
	return n;
}

static const struct server_listening *find_listening(const struct server *server,
						     const char *listener, const char *scheme)
{
	for (size_t i = 0; i < server->n_listening; i++)
		if (strcmp(server->listening[i].name, listener) == 0 &&
		    (!scheme || strncmp(server->listening[i].address, scheme, strlen(scheme)) == 0))
			return &server->listening[i];
	ck_abort_msg("it does not listen for %s on %s", listener, scheme ? scheme : "anything");
}

const char *server_address(const struct server *server, const char *listener, const char *scheme)
{
	return find_listening(server, listener, scheme)->address;
}

unsigned server_port(const struct server *server, const char *listener, const char *scheme)
{
	const char *address = server_address(server, listener, scheme);

	return (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static size_t status_number(const struct server *server, const char *key)
{
	char path[64];
	CLEANUP(freep) char *text = NULL;
	const char *found;

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
	text = file_read(path);
	found = strstr(text, key);
	ck_assert_ptr_nonnull(found);
	return strtoul(found + strlen(key), NULL, 10);
}

size_t server_rss(const struct server *server)
{
	return status_number(server, "RssAnon:") * 1024;
}

size_t server_fd_table(const struct server *server)
{
	return status_number(server, "FDSize:");
}

size_t server_fds(const struct server *server)
{
	char pattern[64];
	size_t n = 0;
	struct dirent *entry;
	DIR *directory;

	(void)snprintf(pattern, sizeof pattern, "/proc/%d/fd", (int)server->pid);
	directory = opendir(pattern);
	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		n += entry->d_name[0] != '.';
	(void)closedir(directory);
	return n;
}

void server_wait_fds(const struct server *server, size_t n)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (server_fds(server) > n)
		harness_pause(deadline, "the daemon to close its descriptors");
}

uint64_t server_cpu(const struct server *server)
{
	struct timespec used;
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(server->pid, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &used), 0);
	return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* ---- stopping ---- */

void server_signal(struct server *server, int signal)
{
	ck_assert_int_gt(server->pid, 0);
	ck_assert_int_eq(kill(server->pid, signal), 0);
}

int server_wait_end(struct server *server)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();
	CLEANUP(closep) int end = pidfd_open(server->pid, 0);
	struct pollfd polled[] = {
		{.fd = end, .events = POLLIN},
		{.fd = server->on_notification ? server->notify : -1, .events = POLLIN},
	};
	int status;

	ck_assert_int_ge(end, 0);
	while (!(polled[0].revents & POLLIN)) {
		ck_assert_msg(harness_now() < deadline, "the daemon does not end");
		(void)poll(polled, 2, 1000); /* a failure ends at the deadline */
		if (server->on_notification)
			(void)server_has_notified(server, "");
	}
	ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
	server->pid = 0;
	return status;
}

void server_assert_ended(struct server *server, int exit_status)
{
	char mark[32];
	int status;

	(void)snprintf(mark, sizeof mark, "==%d==", (int)server->pid);
	status = server_wait_end(server);
	ck_assert_msg(WIFEXITED(status), "it died of signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == exit_status, "it exited with %d instead of %d",
		      WEXITSTATUS(status), exit_status);
	ck_assert_msg(server_count_log(server, mark) == 0, "a checker complained");
	ck_assert_msg(server_count_log(server, "runtime error:") == 0, "UBSan complained");
	ck_assert_msg(server_count_log(server, "ThreadSanitizer") == 0, "TSan complained");
}

void server_done(struct server *server)
{
	if (server->notify >= 0)
		(void)close(server->notify);
	directory_remove(server->directory);
	*server = (struct server){.notify = -1};
}

void server_stop(struct server *server)
{
	server_signal(server, SIGTERM);
	server_assert_ended(server, 0);
	server_done(server);
}

void server_run(struct server *server, const struct server_setup *setup, int exit_status)
{
	server_spawn(server, setup);
	server_assert_ended(server, exit_status);
	(void)close(server->notify);
	server->notify = -1;
}
