/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening sockets to listen on, and the explanations when that fails. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "bind.h"
#include "harness.h"

/* The one endpoint of an address; Unix paths lie in the run's directory. */
static struct endpoint endpoint_of(const char *text)
{
	struct endpoint *endpoints, endpoint;
	struct address address = {0};
	const char *problem;
	size_t n;

	ck_assert_int_eq(address_parse(text, &address, &problem), 0);
	ck_assert_int_eq(address_resolve(&address, true, getenv("RETORT_TEST_DIRECTORY"),
					 &endpoints, &n, &problem),
			 0);
	ck_assert_uint_eq(n, 1);
	endpoint = endpoints[0];
	free(endpoints);
	address_done(&address);
	return endpoint;
}

static const char *path_of(const struct endpoint *endpoint)
{
	return ((const struct sockaddr_un *)&endpoint->socket)->sun_path;
}

static const char *address_of(const struct endpoint *endpoint)
{
	static char text[ADDRESS_TEXT_MAX];

	return endpoint_format(endpoint, text);
}

static int option_of(int fd, int level, int option)
{
	socklen_t len = sizeof(int);
	int value;

	ck_assert_int_eq(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

/* Opens endpoint, listens, and makes it what was bound: its port is known then. */
static int open_bound(struct endpoint *endpoint)
{
	struct bind_made made;
	int fd = -1;

	ck_assert_int_eq(bind_open(endpoint, &fd, &made), 0);
	ck_assert_int_eq(bind_listen(endpoint, fd), 0);
	ck_assert_int_ge(fd, 3);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	endpoint->len = sizeof(endpoint->socket);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&endpoint->socket, &endpoint->len), 0);
	return fd;
}

/* Fails to open endpoint, with error; the explanation has these words. */
static void expect_failure(const struct endpoint *endpoint, int error, int status,
			   const char *words)
{
	char text[BIND_EXPLANATION_MAX], address[ADDRESS_TEXT_MAX];
	struct bind_made made;
	int fd = -7;

	ck_assert_int_eq(bind_open(endpoint, &fd, &made), error);
	ck_assert_int_eq(fd, -7);
	ck_assert_int_eq(bind_explain(endpoint, error, text), status);
	ck_assert_msg(strstr(text, words), "'%s' does not say '%s'", text, words);
	ck_assert_msg(strstr(text, endpoint_format(endpoint, address)), "'%s' has no address",
		      text);
}

/* The words for a process of this program that holds what is to be bound. */
static const char *held_by(pid_t pid)
{
	static char text[80];
	char *name = file_read("/proc/self/comm"); /* another one in valgrind */

	name[strcspn(name, "\n")] = '\0';
	(void)snprintf(text, sizeof(text), ": pid %i (%s) holds it already", pid, name);
	free(name);
	return text;
}

static const char *myself(void)
{
	return held_by(getpid());
}

START_TEST(test_tcp)
{
	struct endpoint endpoint = endpoint_of("tcp://127.0.0.1:0"), again;
	int fd = open_bound(&endpoint), peer, accepted;

	ck_assert(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN));
	ck_assert(option_of(fd, IPPROTO_TCP, TCP_NODELAY));
	ck_assert(option_of(fd, SOL_SOCKET, SO_KEEPALIVE));
	expect_failure(&endpoint, -EADDRINUSE, EX_UNAVAILABLE, myself());

	/* We hang up first, so that the port waits, and can be had again all the same. */
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&endpoint.socket, endpoint.len), 0);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(accepted, 0);
	(void)close(accepted);
	expect_end(peer);
	(void)close(peer);
	(void)close(fd);
	again = endpoint;
	fd = open_bound(&again);
	(void)close(fd);
}
END_TEST

START_TEST(test_udp)
{
	struct endpoint endpoint = endpoint_of("udp://127.0.0.1:0"),
			any = endpoint_of("udp://0.0.0.0:0");
	int fd = open_bound(&endpoint), other = open_bound(&any);

	ck_assert_int_eq(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	ck_assert_int_eq(option_of(fd, IPPROTO_IP, IP_PKTINFO), 0);
	ck_assert_int_eq(option_of(other, IPPROTO_IP, IP_PKTINFO), 1);
	expect_failure(&endpoint, -EADDRINUSE, EX_UNAVAILABLE, myself());
	expect_failure(&any, -EADDRINUSE, EX_UNAVAILABLE, myself());
	(void)close(fd);
	(void)close(other);
}
END_TEST

/* Two processes hold the same port of two addresses; each is named where it is in the way. */
START_TEST(test_who_holds_it)
{
	struct endpoint mine = endpoint_of("tcp://127.0.0.1:0"), theirs;
	int fd = open_bound(&mine), other = -1, alone[2], status;
	struct bind_made made;
	pid_t pid;

	theirs = mine;
	((struct sockaddr_in *)&theirs.socket)->sin_addr.s_addr = htonl(0x7f000002);
	ck_assert_int_eq(bind_open(&theirs, &other, &made), 0);
	ck_assert_int_eq(bind_listen(&theirs, other), 0);
	ck_assert_int_eq(pipe2(alone, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
		(void)close(fd);
		(void)close(alone[1]);
		(void)pause();
		_exit(0);
	}
	(void)close(other);
	(void)close(alone[1]);
	ck_assert_int_eq(read(alone[0], &(char){0}, 1), 0);
	(void)close(alone[0]);
	expect_failure(&theirs, -EADDRINUSE, EX_UNAVAILABLE, held_by(pid));
	expect_failure(&mine, -EADDRINUSE, EX_UNAVAILABLE, myself());
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	(void)close(fd);
}
END_TEST

START_TEST(test_every_address)
{
	struct endpoint endpoint = endpoint_of("udp://*:0"), tcp = endpoint_of("tcp://*:0"),
			v4 = endpoint_of("tcp://127.0.0.1:0");
	int fd;

	if (endpoint.socket.ss_family != AF_INET6) {
		harness_skip("this host has no IPv6");
		return;
	}
	fd = open_bound(&endpoint);
	ck_assert_int_eq(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	ck_assert_int_eq(option_of(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	(void)close(fd);
	fd = open_bound(&tcp);
	expect_failure(&tcp, -EADDRINUSE, EX_UNAVAILABLE, myself());
	((struct sockaddr_in *)&v4.socket)->sin_port =
		((struct sockaddr_in6 *)&tcp.socket)->sin6_port;
	expect_failure(&v4, -EADDRINUSE, EX_UNAVAILABLE, myself());
	(void)close(fd);
	endpoint = endpoint_of("udp://[::]:0");
	fd = open_bound(&endpoint);
	ck_assert_int_eq(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	(void)close(fd);
}
END_TEST

static void assert_file(const struct endpoint *endpoint, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat status;

	ck_assert_int_eq(stat(path_of(endpoint), &status), 0);
	ck_assert(S_ISSOCK(status.st_mode));
	ck_assert_int_eq(status.st_mode & 07777, mode);
	ck_assert_uint_eq(status.st_uid, uid);
	ck_assert_uint_eq(status.st_gid, gid);
}

START_TEST(test_unix)
{
	static const mode_t modes[] = {0600, 0666, 0640, 0777};
	struct endpoint endpoint = endpoint_of("unix:modes.sock");
	struct bind_made made;

	(void)umask(077);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct bind_file file = {modes[i], getuid(), getgid()};
		int fd = -1;

		ck_assert_int_eq(bind_open(&endpoint, &fd, &made), 0);
		ck_assert_int_eq(try_connect_to(address_of(&endpoint)), -ECONNREFUSED);
		ck_assert_int_eq(bind_dress(&endpoint, &made, &file), 0);
		assert_file(&endpoint, modes[i], getuid(), getgid());
		ck_assert_int_eq(bind_listen(&endpoint, fd), 0);
		(void)close(fd); /* its file stays, and is replaced */
	}
	bind_remove(&endpoint, &made);
	ck_assert_int_eq(access(path_of(&endpoint), F_OK), -1);
	bind_remove(&endpoint, &made);
}
END_TEST

/* What another process has put in our file's place is neither dressed nor removed. */
START_TEST(test_unix_replaced)
{
	struct endpoint endpoint = endpoint_of("unix:replaced.sock");
	const struct bind_file file = {0777, (uid_t)-1, (gid_t)-1};
	struct bind_made ours, theirs;
	int fd, other;

	(void)umask(077);
	ck_assert_int_eq(bind_open(&endpoint, &fd, &ours), 0);
	ck_assert_int_eq(unlink(path_of(&endpoint)), 0);
	ck_assert_int_eq(bind_dress(&endpoint, &ours, &file), -ENOENT);
	ck_assert_int_eq(bind_open(&endpoint, &other, &theirs), 0);
	ck_assert_int_eq(bind_dress(&endpoint, &ours, &file), -ENOENT);
	bind_remove(&endpoint, &ours);
	assert_file(&endpoint, 0700, geteuid(), getegid());
	bind_remove(&endpoint, &theirs);
	ck_assert_int_eq(access(path_of(&endpoint), F_OK), -1);
	(void)close(fd);
	(void)close(other);
}
END_TEST

/* A file can be dressed again, and back to what it was; for others only root may. */
START_TEST(test_unix_dressed_again)
{
	struct endpoint endpoint = endpoint_of("unix:dressed.sock");
	const struct bind_file given = {0640, 65534, 65533}, back = {0600, (uid_t)-1, (gid_t)-1};
	struct bind_made made;
	int fd;

	ck_assert_int_eq(bind_open(&endpoint, &fd, &made), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(bind_dress(&endpoint, &made, &given), 0);
		assert_file(&endpoint, 0640, 65534, 65533);
		ck_assert_int_eq(seteuid(65534), 0);
		ck_assert_int_eq(bind_dress(&endpoint, &made, &back), -EPERM);
		/* The leak sanitizer attaches to this process when it ends. */
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
	} else {
		ck_assert_int_eq(bind_dress(&endpoint, &made, &given), -EPERM);
	}
	ck_assert_int_eq(bind_dress(&endpoint, &made, &back), 0);
	assert_file(&endpoint, 0600, geteuid(), getegid());
	bind_remove(&endpoint, &made);
	(void)close(fd);
}
END_TEST

START_TEST(test_unix_in_use)
{
	struct endpoint endpoint = endpoint_of("unix:live.sock"), abstract;
	int fd = open_bound(&endpoint), peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[64];

	expect_failure(&endpoint, -EADDRINUSE, EX_UNAVAILABLE, myself());
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&endpoint.socket, endpoint.len), 0);
	(void)close(peer);
	(void)close(fd);

	(void)snprintf(name, sizeof(name), "unix:@retort-test-%i", getpid());
	abstract = endpoint_of(name);
	fd = open_bound(&abstract);
	expect_failure(&abstract, -EADDRINUSE, EX_UNAVAILABLE, myself());
	(void)close(fd);
}
END_TEST

/* Its queue of connections is full, so that nobody can ask it who it is. */
START_TEST(test_unix_that_is_busy)
{
	struct endpoint endpoint = endpoint_of("unix:busy.sock");
	int fd = open_bound(&endpoint), peer, waiting[64], n = 0;

	ck_assert_int_eq(listen(fd, 1), 0);
	do {
		ck_assert_int_lt(n, (int)ARRAY_SIZE(waiting));
		peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		waiting[n++] = peer;
	} while (connect(peer, (struct sockaddr *)&endpoint.socket, endpoint.len) == 0);
	ck_assert_int_eq(errno, EAGAIN);
	expect_failure(&endpoint, -EADDRINUSE, EX_UNAVAILABLE,
		       ": a process that does not accept its connections holds it already");
	while (n > 0)
		(void)close(waiting[--n]);
	(void)close(fd);
}
END_TEST

/* What is not a socket that somebody has left is nothing of ours. */
START_TEST(test_unix_in_the_way)
{
	static const char words[] = "something that is no socket of ours is there";
	struct endpoint file = endpoint_of("unix:file"), link = endpoint_of("unix:link"),
			datagrams = endpoint_of("unix:datagrams"),
			stale = endpoint_of("unix:stale");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char *content;

	file_write(path_of(&file), "precious", 8);
	expect_failure(&file, -EADDRINUSE, EX_UNAVAILABLE, words);
	content = file_read(path_of(&file));
	ck_assert_str_eq(content, "precious");
	free(content);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&datagrams.socket, datagrams.len), 0);
	expect_failure(&datagrams, -EADDRINUSE, EX_UNAVAILABLE, words);
	ck_assert_int_eq(access(path_of(&datagrams), F_OK), 0);
	(void)close(fd);

	fd = open_bound(&stale);
	(void)close(fd);
	ck_assert_int_eq(symlink(path_of(&stale), path_of(&link)), 0);
	expect_failure(&link, -EADDRINUSE, EX_UNAVAILABLE, words);
	ck_assert_int_eq(access(path_of(&link), F_OK), 0);
}
END_TEST

START_TEST(test_other_failures)
{
	struct endpoint missing = endpoint_of("unix:missing/socket"),
			below = endpoint_of("unix:regular/socket"),
			far = endpoint_of("tcp://192.0.2.1:0"),
			locked = endpoint_of("unix:locked/s");
	char text[BIND_EXPLANATION_MAX], *directory = strdup(path_of(&locked));
	bool root = geteuid() == 0;

	expect_failure(&missing, -ENOENT, EX_UNAVAILABLE, "the directory is missing");
	file_write(strndupa(path_of(&below), strlen(path_of(&below)) - strlen("/socket")), "", 0);
	expect_failure(&below, -ENOTDIR, EX_UNAVAILABLE, "the directory is missing");
	expect_failure(&far, -EADDRNOTAVAIL, EX_UNAVAILABLE, "no interface of this host");

	*strrchr(directory, '/') = '\0';
	ck_assert_int_eq(mkdir(directory, 0500), 0);
	if (root)
		ck_assert_int_eq(seteuid(65534), 0);
	expect_failure(&locked, -EACCES, EX_NOPERM, "let this user write to the directory");
	if (root) {
		/* The leak sanitizer attaches to this process when it ends. */
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
	}
	free(directory);

	/* These cannot be had at will. */
	ck_assert_int_eq(bind_explain(&far, -EACCES, text), EX_NOPERM);
	ck_assert_ptr_nonnull(strstr(text, "CAP_NET_BIND_SERVICE"));
	ck_assert_int_eq(bind_explain(&far, -EAFNOSUPPORT, text), EX_UNAVAILABLE);
	ck_assert_int_eq(bind_explain(&far, -EMFILE, text), EX_OSERR);
	ck_assert_str_eq(text, "cannot bind tcp://192.0.2.1:0: Too many open files");
	/* The holder has gone since. */
	ck_assert_int_eq(bind_explain(&far, -EADDRINUSE, text), EX_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(text, "ss -lptun"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bind");

	harness_add(suite, test_tcp);
	harness_add(suite, test_udp);
	harness_add(suite, test_who_holds_it);
	harness_add(suite, test_every_address);
	harness_add(suite, test_unix);
	harness_add(suite, test_unix_replaced);
	harness_add(suite, test_unix_dressed_again);
	harness_add(suite, test_unix_in_use);
	harness_add(suite, test_unix_that_is_busy);
	harness_add(suite, test_unix_in_the_way);
	harness_add(suite, test_other_failures);
	return harness_main(suite);
}
