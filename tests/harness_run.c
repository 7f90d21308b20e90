/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness_run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const char *run_client_path(char path[static PATH_MAX])
{
	const char *given = getenv("RETORT");
	ssize_t len;

	if (given)
		return given;
	len = readlink("/proc/self/exe", path, PATH_MAX - 16);
	ck_assert_int_gt(len, 0);
	path[len] = 0;
	for (int i = 0; i < 2; i++)
		*strrchr(path, '/') = 0;
	(void)sprintf(path + strlen(path), "/retort"); /* there is room for 15 characters */
	return path;
}

static int memory_file(const char *name, const void *data, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	size_t done = 0;

	ck_assert_int_ge(fd, 0);
	while (done < len) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void set_variable(const char *name, const char *value)
{
	if (value)
		(void)setenv(name, value, 1); /* a failure shows in the client's behaviour */
	else
		(void)unsetenv(name);
}

/* In the child: becomes the client. */
static void become(const struct run *run, const struct run_setup *setup, int in, char **arguments,
		   pid_t parent)
{
	set_variable("RETORT_ADDRESS", setup->address);
	set_variable("RUNTIME_DIRECTORY", setup->directory);
	set_variable("XDG_RUNTIME_DIR", NULL);
	if (dup2(in, STDIN_FILENO) < 0 ||
	    dup2(setup->out ? setup->out : run->out_file, STDOUT_FILENO) < 0 ||
	    dup2(run->error_file, STDERR_FILENO) < 0 || close_range(3, ~0U, 0) < 0 ||
	    (setup->user &&
	     (setgroups(0, NULL) < 0 || setresgid(setup->user, setup->user, setup->user) < 0 ||
	      setresuid(setup->user, setup->user, setup->user) < 0)) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	(void)signal(SIGPIPE, setup->sigpipe_ignored ? SIG_IGN : SIG_DFL);
	for (const int *fd = setup->closed; fd && *fd >= 0; fd++)
		(void)close(*fd);
	(void)execv(arguments[0], arguments);
	_exit(127);
}

static bool says_timeout(const char *const *arguments)
{
	for (; *arguments; arguments++)
		if (strncmp(*arguments, "--timeout", 9) == 0)
			return true;
	return false;
}

void run_start(struct run *run, const struct run_setup *setup, const char *const *arguments)
{
	static const struct run_setup nothing;
	char path[PATH_MAX], *words[64] = {NULL};
	pid_t parent = getpid();
	size_t n = 1;
	int in;

	setup = setup ? setup : &nothing;
	words[0] = (char *)run_client_path(path);
	if (!says_timeout(arguments)) {
		words[n++] = "--timeout";
		words[n++] = harness_slow() ? "120s" : "30s";
	}
	for (; *arguments; arguments++) {
		ck_assert_uint_lt(n, ARRAY_SIZE(words) - 1);
		words[n++] = (char *)*arguments;
	}
	*run = (struct run){
		.out_file = memory_file("out", NULL, 0),
		.error_file = memory_file("error", NULL, 0),
	};
	in = setup->in ? setup->in : memory_file("in", setup->input, setup->input_len);
	run->pid = fork();
	ck_assert_int_ge(run->pid, 0);
	if (run->pid == 0)
		become(run, setup, in, words, parent);
	if (!setup->in)
		closep(&in);
}

static char *memory_read(int fd, size_t *ret_len)
{
	off_t len = lseek(fd, 0, SEEK_END);
	char *text;

	ck_assert_int_ge(len, 0);
	text = malloc((size_t)len + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(pread(fd, text, (size_t)len, 0), len);
	text[len] = 0;
	if (ret_len)
		*ret_len = (size_t)len;
	return text;
}

void run_end(struct run *run)
{
	CLEANUP(closep) int pidfd = pidfd_open(run->pid, 0);
	struct pollfd polled = {.fd = pidfd, .events = POLLIN};
	struct rusage usage;
	int status;

	ck_assert_int_ge(pidfd, 0);
	if (poll(&polled, 1, harness_patience()) != 1) {
		(void)kill(run->pid, SIGKILL);
		run->error = memory_read(run->error_file, NULL);
		ck_abort_msg("the client does not end; it says: %s", run->error);
	}
	ck_assert_int_eq(wait4(run->pid, &status, 0, &usage), run->pid);
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	run->most_memory = (size_t)usage.ru_maxrss * 1024;
	run->out = memory_read(run->out_file, &run->out_len);
	run->error = memory_read(run->error_file, NULL);
	ck_assert_msg(!strstr(run->error, "Sanitizer") && !strstr(run->error, "runtime error"),
		      "%s", run->error);
}

void run_done(struct run *run)
{
	closep(&run->out_file);
	closep(&run->error_file);
	free(run->out);
	free(run->error);
}

const char *run_timeout(void)
{
	return harness_slow() ? "12s" : "3s";
}

void run_expect(struct run *run, const char *input, const char *const *arguments, int status)
{
	const struct run_setup setup = {.input = input, .input_len = input ? strlen(input) : 0};

	run_start(run, &setup, arguments);
	run_end(run);
	ck_assert_msg(run->status == status, "status %d, not %d; it says: %s", run->status, status,
		      run->error);
}

void run_expect_out(const char *input, const char *const *arguments, const char *out)
{
	struct run run;

	run_expect(&run, input, arguments, 0);
	ck_assert_str_eq(run.out, out);
	ck_assert_str_eq(run.error, "");
	run_done(&run);
}

void run_expect_error(const char *input, const char *const *arguments, int status, const char *text)
{
	struct run run;

	run_expect(&run, input, arguments, status);
	ck_assert_msg(strstr(run.error, text), "\"%s\" is not in: %s", text, run.error);
	run_done(&run);
}

static int bind_anywhere(int type, const char *scheme, char address[static 64])
{
	struct sockaddr_in socket_address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int patience = harness_patience();
	const struct timeval deadline = {.tv_sec = patience / 1000};
	socklen_t len = sizeof(socket_address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	/* accept() and recv() keep to it, so that a test which waits in vain fails. */
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&socket_address, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&socket_address, &len), 0);
	(void)sprintf(address, "%s://127.0.0.1:%u", scheme, ntohs(socket_address.sin_port));
	return fd;
}

int listen_anywhere(char address[static 64])
{
	int fd = bind_anywhere(SOCK_STREAM, "tcp", address);

	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

int accept_one(int listener)
{
	const int patience = harness_patience();
	const struct timeval deadline = {.tv_sec = patience / 1000};
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_msg(fd >= 0, "nobody connects: %m");
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
	return fd;
}

int bind_datagrams(char address[static 64])
{
	return bind_anywhere(SOCK_DGRAM, "udp", address);
}

int refuse_anywhere(int type, char address[static 64])
{
	/* A UDP socket takes no datagrams but those of its peer, which nobody is. */
	const struct sockaddr_in nobody = {
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1),
	};
	int fd = bind_anywhere(type, type == SOCK_STREAM ? "tcp" : "udp", address);

	if (type == SOCK_DGRAM)
		ck_assert_int_eq(connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)), 0);
	return fd;
}
