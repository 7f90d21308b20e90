/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How the daemon gets its sockets, or says why it cannot: busy and forbidden addresses, the files
 * of Unix sockets, sockets inherited from the service manager, and what it tells that manager.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "harness.h"

static void assert_logged(const struct server *server, const char *text)
{
	ck_assert_msg(server_count_log(server, text) > 0, "the log does not say \"%s\"", text);
}

/* A TCP socket of ours on a port that the kernel chooses; listens. */
static int tcp_listener(unsigned *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int unix_socket(const char *path, bool listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
	(void)strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	if (listening)
		ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

/* ---- what cannot be bound ---- */

START_TEST(busy_port)
{
	char config[256], address[64], holder[32];
	CLEANUP(closep) int fd = -1;
	struct server server;
	unsigned port;

	fd = tcp_listener(&port);
	(void)sprintf(address, "tcp://127.0.0.1:%u", port);
	(void)sprintf(config,
		      "listeners: ({ name = \"free\"; listen = "
		      "\"unix:free\"; },"
		      "{ name = \"busy\"; listen = \"%s\"; });",
		      address);
	server_init(&server);
	server_run(&server, &(struct server_setup){.config = config}, EX_UNAVAILABLE);
	assert_logged(&server, "busy: ");
	assert_logged(&server, address);
	(void)sprintf(holder, "pid %d ", (int)getpid());
	assert_logged(&server, holder);
	/* The other listener's socket is not left behind. */
	(void)sprintf(config, "%s/free", server.directory);
	ck_assert_int_ne(access(config, F_OK), 0);
	server_done(&server);
}
END_TEST

START_TEST(busy_datagram_port)
{
	char config[256];
	struct server one, two;

	server_start_config(&one, "%s",
			    "listeners: ({ name = \"a\"; listen "
			    "= \"udp://127.0.0.1:0\"; });");
	(void)sprintf(config,
		      "listeners: ({ name = \"b\"; listen = "
		      "\"%s\"; });",
		      server_address(&one, "a", NULL));
	server_init(&two);
	server_run(&two, &(struct server_setup){.config = config}, EX_UNAVAILABLE);
	assert_logged(&two, server_address(&one, "a", NULL));
	server_done(&two);
	server_stop(&one);
}
END_TEST

START_TEST(privileged_port)
{
	CLEANUP(freep) char *first = file_read("/proc/sys/net/ipv4/ip_unprivileged_port_start");
	struct server server;

	if (strtol(first, NULL, 10) <= 81) {
		harness_skip("port 81 needs no privilege here");
		return;
	}
	/* Without the capability in the bounding set not even root's child gets it. Fails only for
	   those who do not have it anyway. */
	(void)prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE);
	server_init(&server);
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"low\"; "
						    "listen = \"tcp://127.0.0.1:81\"; });"},
		   EX_NOPERM);
	assert_logged(&server, "low: ");
	assert_logged(&server, "tcp://127.0.0.1:81");
	assert_logged(&server, "retortd.socket");
	assert_logged(&server, "AmbientCapabilities=");
	server_done(&server);
}
END_TEST

START_TEST(an_address_of_nobody_here)
{
	struct server server;

	server_init(&server);
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"far\"; "
						    "listen = \"tcp://192.0.2.1:7007\"; });"},
		   EX_UNAVAILABLE);
	assert_logged(&server, "far: ");
	assert_logged(&server, "192.0.2.1");
	server_done(&server);
}
END_TEST

/* ---- files of Unix sockets ---- */

START_TEST(missing_directory)
{
	struct server server;

	server_init(&server);
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"lost\"; "
						    "listen = \"unix:sub/dir/a\"; });"},
		   EX_UNAVAILABLE);
	assert_logged(&server, "lost: ");
	assert_logged(&server, "sub/dir/a");
	assert_logged(&server, "directory");
	server_done(&server);
}
END_TEST

START_TEST(stale_socket_file)
{
	char path[SERVER_PATH_MAX + 8];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/a", server.directory);
	(void)close(unix_socket(path, true));
	ck_assert_int_eq(access(path, F_OK), 0);
	server_start(&server, &(struct server_setup){.config = "listeners: ({ name = \"a\"; "
							       "listen = \"unix:a\"; });"});
	server_assert_serves(&server, "a", FRAMING_LENGTH);
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	ck_assert_msg(access(path, F_OK) != 0, "the socket's file is left behind");
	server_done(&server);
}
END_TEST

START_TEST(socket_file_in_use)
{
	static const char config[] = "listeners: ({ name = "
				     "\"a\"; listen = \"unix:a\"; });";
	CLEANUP(closep) int listening = -1, client = -1, accepted = -1;
	char path[SERVER_PATH_MAX + 8], address[SERVER_PATH_MAX + 16];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/a", server.directory);
	listening = unix_socket(path, true);
	server_run(&server, &(struct server_setup){.config = config}, EX_UNAVAILABLE);
	assert_logged(&server, path);
	/* It is still there, and still works. */
	(void)sprintf(address, "unix:%s", path);
	client = connect_to(address);
	accepted = accept(listening, NULL, NULL);
	ck_assert_int_ge(accepted, 0);
	server_done(&server);
}
END_TEST

/* Another process has taken the path over meanwhile: its file is not ours to remove. */
START_TEST(socket_file_of_another_process)
{
	CLEANUP(closep) int listening = -1, client = -1;
	char path[SERVER_PATH_MAX + 8], address[SERVER_PATH_MAX + 16];
	struct server server;

	server_start_config(&server, "%s", "listeners: ({ name = \"a\"; listen = \"unix:a\"; });");
	(void)sprintf(path, "%s/a", server.directory);
	ck_assert_int_eq(unlink(path), 0);
	listening = unix_socket(path, true);
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	(void)sprintf(address, "unix:%s", path);
	client = connect_to(address);
	server_done(&server);
}
END_TEST

START_TEST(a_file_that_nobody_may_give_away)
{
	static const struct {
		const char *config, *said;
	} cases[] = {
		{"listeners: ({ name = \"a\"; listen = \"unix:a\"; user = \"65533\"; });",
		 "to user \"65533\": only root may; leave out user = \"65533\""},
		{"listeners: ({ name = \"a\"; listen = \"unix:a\"; group = \"65533\"; });",
		 "to group \"65533\": this user is not in it; leave out group = \"65533\""},
	};

	(void)prctl(PR_CAPBSET_DROP, CAP_CHOWN);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[SERVER_PATH_MAX + 8];
		struct server server;

		server_init(&server);
		server_run(&server, &(struct server_setup){.config = cases[i].config}, EX_NOPERM);
		assert_logged(&server, cases[i].said);
		ck_assert_uint_eq(server_count_log(&server, "directory that"), 0);
		(void)sprintf(path, "%s/a", server.directory);
		ck_assert_int_ne(access(path, F_OK), 0);
		server_done(&server);
	}
}
END_TEST

/* A reload gives the file that is there another mode. */
START_TEST(a_file_with_another_mode)
{
	static const mode_t modes[] = {0600, 0660, 0640};
	char path[SERVER_PATH_MAX + 8];
	struct server server;
	struct stat status;

	server_start_config(&server, "%s", "listeners: ({ name = \"a\"; listen = \"unix:a\"; });");
	(void)sprintf(path, "%s/a", server.directory);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		server_write_config(&server,
				    "listeners: ({ name = \"a\"; listen = \"unix:a\"; "
				    "mode = \"%04o\"; });",
				    modes[i]);
		server_signal(&server, SIGHUP);
		server_wait_notify(&server, "RELOADING=1");
		server_wait_notify(&server, "READY=1");
		ck_assert_int_eq(stat(path, &status), 0);
		ck_assert_int_eq(status.st_mode & 07777, modes[i]);
	}
	server_assert_serves(&server, "a", FRAMING_LENGTH);
	server_stop(&server);
}
END_TEST

START_TEST(a_file_that_is_no_socket)
{
	static const char config[] = "listeners: ({ name = "
				     "\"a\"; listen = \"unix:a\"; });";
	CLEANUP(freep) char *kept = NULL;
	char path[SERVER_PATH_MAX + 8];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/a", server.directory);
	file_write(path, "precious", 8);
	server_run(&server, &(struct server_setup){.config = config}, EX_UNAVAILABLE);
	kept = file_read(path);
	ck_assert_str_eq(kept, "precious");
	server_done(&server);
}
END_TEST

START_TEST(abstract_sockets)
{
	char config[256];
	struct server server;

	(void)sprintf(config,
		      "listeners: ({ name = \"a\"; listen = "
		      "\"unix:@retort-test-%d\"; });",
		      (int)getpid());
	server_start_config(&server, "%s", config);
	server_assert_serves(&server, "a", FRAMING_LENGTH);
	server_stop(&server);
}
END_TEST

/* ---- addresses ---- */

START_TEST(every_address_of_a_name)
{
	char address[64];
	struct server server;
	unsigned port;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"any\"; "
			    "listen = \"tcp://*:0\"; },"
			    "{ name = \"local\"; listen = \"tcp://localhost:0\"; });");
	port = server_port(&server, "any", NULL);
	for (int i = 0; i < 2; i++) {
		CLEANUP(closep) int fd = -1;

		(void)sprintf(address, "tcp://%s:%u", i ? "[::1]" : "127.0.0.1", port);
		fd = connect_to(address);
		send_frame(fd, "x", 1);
		expect_frame(fd, "x", 1);
	}
	for (size_t i = 0; i < server.n_listening; i++)
		if (strcmp(server.listening[i].name, "local") == 0) {
			CLEANUP(closep) int fd = connect_to(server.listening[i].address);

			send_frame(fd, "x", 1);
			expect_frame(fd, "x", 1);
		}
	server_stop(&server);
}
END_TEST

/* Has this process and its children find these names and no others; false where that cannot be. */
static bool own_hosts(const struct server *server, const char *hosts)
{
	char path[SERVER_PATH_MAX + 8];

	(void)sprintf(path, "%s/hosts", server->directory);
	file_write(path, hosts, strlen(hosts));
	return harness_private_mounts() && mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
}

/* Two addresses of a listener that stand for the same one are one socket, at reload as well. */
START_TEST(one_address_twice)
{
	char config[256];
	struct server server;
	unsigned port;
	int fd = tcp_listener(&port);

	server_init(&server);
	if (!own_hosts(&server, "127.0.0.1 twice.test\n")) {
		harness_skip("no hosts of our own here");
		server_done(&server);
		(void)close(fd);
		return;
	}
	server_start(&server,
		     &(struct server_setup){
			     .config = "listeners: ({ name = \"a\"; listen = \"unix:a\"; });"});
	(void)close(fd);
	(void)sprintf(config,
		      "listeners: ({ name = \"a\"; listen = [ \"tcp://twice.test:%u\", "
		      "\"tcp://127.0.0.1:%u\" ]; });",
		      port, port);
	server_write_config(&server, "%s", config);
	server_signal(&server, SIGHUP);
	server_wait_notify(&server, "RELOADING=1");
	server_wait_notify(&server, "READY=1");
	ck_assert_uint_eq(server_count_log(&server, "cannot bind"), 0);
	server.n_listening = 0;
	server_read_listening(&server);
	(void)sprintf(config, "tcp://127.0.0.1:%u", port);
	fd = connect_to(config);
	send_frame(fd, "x", 1);
	expect_frame(fd, "x", 1);
	hang_up(&fd);
	(void)sprintf(config, "listening on tcp://127.0.0.1:%u", port);
	ck_assert_uint_eq(server_count_log(&server, config), 1);
	server_stop(&server);
}
END_TEST

/* A name that has nothing but IPv6, on a host that has none. */
START_TEST(no_address_of_a_name)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {ARRAY_SIZE(code), code};
	struct server server;

	server_init(&server);
	if (!own_hosts(&server, "::1 six.test\n2001:db8::1 six.test\n") ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
		harness_skip("no hosts or system calls of our own here");
		server_done(&server);
		return;
	}
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"six\"; "
						    "listen = \"tcp://six.test:7007\"; });"},
		   EX_UNAVAILABLE);
	assert_logged(&server, "this host does not have that address family");
	server_done(&server);
}
END_TEST

/* ---- the service manager ---- */

START_TEST(inherited_by_name_and_by_address)
{
	CLEANUP(closep) int by_name = -1, by_address = -1, unknown = -1;
	char config[512], address[64], unknown_address[64];
	unsigned name_port, address_port, unknown_port;
	struct server server;
	int fds[3];

	fds[0] = by_name = tcp_listener(&name_port);
	fds[1] = unknown = tcp_listener(&unknown_port);
	fds[2] = by_address = tcp_listener(&address_port);
	(void)sprintf(config,
		      "listeners: ({ name = \"named\"; framing = "
		      "\"line\"; "
		      "listen = \"tcp://127.0.0.1:%u\"; },"
		      "{ name = \"addressed\"; framing = \"line\"; transforms = [ \"upper\" ]; "
		      "listen = \"tcp://127.0.0.1:%u\"; });",
		      name_port, address_port);
	server_init(&server);
	server_start(&server, &(struct server_setup){.config = config,
						     .fds = fds,
						     .n_fds = 3,
						     .fd_names = "named:stranger:whatever"});
	{
		CLEANUP(closep) int fd = -1;

		(void)sprintf(address, "tcp://127.0.0.1:%u", name_port);
		fd = connect_to(address);
		send_text(fd, "abc\n");
		expect_text(fd, "abc\n");
	}
	{
		CLEANUP(closep) int fd = -1;

		(void)sprintf(address, "tcp://127.0.0.1:%u", address_port);
		fd = connect_to(address);
		send_text(fd, "abc\n");
		expect_text(fd, "ABC\n");
	}
	(void)sprintf(unknown_address, "tcp://127.0.0.1:%u", unknown_port);
	assert_logged(&server, "stranger");
	assert_logged(&server, unknown_address);
	assert_logged(&server, "warning");
	ck_assert_uint_eq(server_count_log(&server, "but not at"), 0);
	server_stop(&server);
}
END_TEST

/* Another address than the configured one: the name decides. */
START_TEST(inherited_name_before_address)
{
	CLEANUP(closep) int listening = -1, fd = -1;
	char path[SERVER_PATH_MAX + 16], address[SERVER_PATH_MAX + 32];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/manager.sock", server.directory);
	listening = unix_socket(path, true);
	server_start(&server, &(struct server_setup){.config = "listeners: ({ "
							       "name = \"a\"; framing = \"line\"; "
							       "listen = \"unix:own.sock\"; });",
						     .fds = &listening,
						     .n_fds = 1,
						     .fd_names = "a"});
	(void)sprintf(address, "unix:%s", path);
	fd = connect_to(address);
	send_text(fd, "abc\n");
	expect_text(fd, "abc\n");
	/* Else whoever has only edited the address would wonder. */
	assert_logged(&server, "a: the service manager has opened sockets for it, but not at "
			       "unix:own.sock: 'systemctl daemon-reload && systemctl restart "
			       "retortd' does it");
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	/* The file is the manager's, not ours to remove. */
	ck_assert_int_eq(access(path, F_OK), 0);
	server_done(&server);
}
END_TEST

/* Listeners may be called what the daemon calls its own in the file descriptor store. */
START_TEST(inherited_by_names_of_the_store)
{
	static const char *const names[] = {"retort-clients", "retort-state", "retort-safe-1",
					    "retort-ledger"};
	enum { N = ARRAY_SIZE(names) };
	char config[1024] = "listeners: (", text[128], address[64];
	struct server server;
	unsigned ports[N];
	int listening[N];

	for (int i = 0; i < N; i++) {
		listening[i] = tcp_listener(&ports[i]);
		(void)sprintf(text,
			      "%s{ name = \"%s\"; framing = \"line\"; "
			      "listen = \"tcp://127.0.0.1:%u\"; }",
			      i > 0 ? ", " : "", names[i], ports[i]);
		(void)strcat(config, text);
	}
	(void)strcat(config, ");");
	server_init(&server);
	server_start(&server, &(struct server_setup){.config = config,
						     .fds = listening,
						     .n_fds = N,
						     .fd_names = "retort-clients:retort-state:"
								 "retort-safe-1:retort-ledger"});
	for (int i = 0; i < N; i++) {
		CLEANUP(closep) int fd = -1;

		(void)close(listening[i]); /* the daemon's own is left */
		(void)sprintf(address, "tcp://127.0.0.1:%u", ports[i]);
		fd = connect_to(address);
		send_text(fd, "abc\n");
		expect_text(fd, "abc\n");
	}
	server_stop(&server);
}
END_TEST

/* What has its listener is not said to have none, when it is another that cannot be opened. */
START_TEST(inherited_in_vain)
{
	char path[SERVER_PATH_MAX + 16], config[256];
	CLEANUP(closep) int listening = -1, busy = -1;
	struct server server;
	unsigned port;

	busy = tcp_listener(&port);
	(void)sprintf(config, "listeners: ({ name = \"a\"; listen = \"tcp://127.0.0.1:%u\"; });",
		      port);
	server_init(&server);
	(void)sprintf(path, "%s/control.sock", server.directory);
	listening = unix_socket(path, true);
	server_run(&server,
		   &(struct server_setup){.config = config,
					  .fds = &listening,
					  .n_fds = 1,
					  .fd_names = "retortd.socket"},
		   EX_UNAVAILABLE);
	assert_logged(&server, "a: ");
	ck_assert_uint_eq(server_count_log(&server, "belongs to no listener"), 0);
	server_done(&server);
}
END_TEST

/* As in a service that has no network of its own, for this process and its children. */
static bool lose_network(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {ARRAY_SIZE(code), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* What the service manager could not open, this process cannot either: that one knows why. */
START_TEST(not_opened_by_the_manager)
{
	CLEANUP(closep) int listening = -1;
	char path[SERVER_PATH_MAX + 16];
	struct server server;

	server_init(&server);
	if (!lose_network()) {
		harness_skip("no system calls of our own here");
		server_done(&server);
		return;
	}
	(void)sprintf(path, "%s/control.sock", server.directory);
	listening = unix_socket(path, true);
	server_run(&server,
		   &(struct server_setup){.config = "listeners: ({ name = \"up\"; "
						    "listen = \"tcp://localhost:7007\"; });",
					  .fds = &listening,
					  .n_fds = 1,
					  .fd_names = "retortd.socket"},
		   EX_UNAVAILABLE);
	assert_logged(&server, "the service manager has not opened tcp://127.0.0.1:7007: "
			       "'systemctl status retortd-up.socket' says why");
	ck_assert_uint_eq(server_count_log(&server, "this host"), 0);
	server_done(&server);
}
END_TEST

/* Expects a reload of this configuration to be refused with these words, and to change nothing. */
static void expect_not_reloaded(struct server *server, const char *config, const char *words)
{
	server_write_config(server, "%s", config);
	server_signal(server, SIGHUP);
	free(server_wait_log(server, words));
	free(server_wait_log(server, "configuration not reloaded"));
}

/* What the service manager has opened only it can move, close or add to. */
START_TEST(inherited_is_the_managers)
{
	CLEANUP(closep) int listening = -1, fd = -1;
	char path[SERVER_PATH_MAX + 16], address[SERVER_PATH_MAX + 32];
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/manager.sock", server.directory);
	listening = unix_socket(path, true);
	server_start(&server, &(struct server_setup){.config = "listeners: ({ "
							       "name = \"a\"; framing = \"line\"; "
							       "listen = \"unix:a.sock\"; });",
						     .fds = &listening,
						     .n_fds = 1,
						     .fd_names = "a"});
	expect_not_reloaded(&server,
			    "\nlisteners: ({ name = \"a\"; framing = \"line\"; listen = "
			    "\"unix:b.sock\"; });",
			    "retortd.conf:2: listen, mode, user or group of listener \"a\" has "
			    "changed, and the service manager opens the sockets: 'systemctl "
			    "daemon-reload && systemctl restart retortd'");
	expect_not_reloaded(&server,
			    "listeners: ({ name = \"a\"; framing = \"line\"; listen = "
			    "\"unix:a.sock\"; },\n{ name = \"b\"; listen = \"unix:b.sock\"; });",
			    "retortd.conf:2: listener \"b\" is new, and the service manager opens");
	expect_not_reloaded(&server, "listeners: ({ name = \"b\"; listen = \"unix:b.sock\"; });",
			    "retortd.conf: listener \"a\" is gone, and the service manager opens");
	(void)sprintf(address, "unix:%s", path);
	fd = connect_to(address);
	send_text(fd, "abc\n");
	expect_text(fd, "abc\n");
	server_stop(&server);
}
END_TEST
/* The manager's control socket is not taken for that of another daemon. */
START_TEST(inherited_control_socket)
{
	CLEANUP(closep) int listening = -1, fd = -1;
	char path[SERVER_PATH_MAX + 16], address[SERVER_PATH_MAX + 32], byte;
	struct server server;

	server_init(&server);
	(void)sprintf(path, "%s/control.sock", server.directory);
	listening = unix_socket(path, true);
	server_start(&server, &(struct server_setup){.config = "listeners: ({ "
							       "listen = \"unix:a.sock\"; });",
						     .fds = &listening,
						     .n_fds = 1,
						     .fd_names = "retortd.socket"});
	ck_assert_uint_eq(server_count_log(&server, "there is no control socket"), 0);
	(void)sprintf(address, "unix:%s", path);
	fd = connect_to(address);
	send_text(fd, "{\"op\":\"health\"}\n");
	recv_exactly(fd, &byte, 1);
	ck_assert_int_eq(byte, '{');
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	server_done(&server);
}
END_TEST
START_TEST(inherited_datagrams)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP(closep) int bound = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = -1;
	socklen_t len = sizeof address;
	struct server server;
	char config[256], text[64], byte;

	ck_assert_int_eq(bind(bound, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(getsockname(bound, (struct sockaddr *)&address, &len), 0);
	(void)sprintf(text, "udp://127.0.0.1:%u", ntohs(address.sin_port));
	(void)sprintf(config,
		      "listeners: ({ name = \"a\"; listen = "
		      "\"%s\"; });",
		      text);
	server_init(&server);
	server_start(&server, &(struct server_setup){.config = config, .fds = &bound, .n_fds = 1});
	fd = connect_to(text);
	send_all(fd, "x", 1);
	recv_exactly(fd, &byte, 1);
	ck_assert_int_eq(byte, 'x');
	server_stop(&server);
}
END_TEST

START_TEST(notifications)
{
	CLEANUP(closep) int fd = -1;
	struct server server;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; listen "
			    "= \"unix:a\"; });");
	fd = client(&server, "a", NULL);
	send_frame(fd, "x", 1);
	expect_frame(fd, "x", 1);
	/* It came with READY=1. */
	ck_assert_uint_gt(strlen(server.status), 0);
	hang_up(&fd);
	server_signal(&server, SIGTERM);
	server_wait_notify(&server, "STOPPING=1");
	server_assert_ended(&server, 0);
	server_done(&server);
}
END_TEST

/* Nobody listens for notifications: that is no reason not to serve. */
START_TEST(no_service_manager)
{
	CLEANUP(closep) int fd = -1;
	struct server server;
	char *said;

	server_init(&server);
	server_spawn(&server,
		     &(struct server_setup){.config = "listeners: ({ "
						      "name = \"a\"; listen = \"unix:a\"; });",
					    .environment = (const char *const[]){
						    "NOTIFY_SOCKET=/nonexistent/notify", NULL}});
	said = server_wait_log(&server, "listening on ");
	fd = connect_to(strstr(said, "unix:"));
	free(said);
	send_frame(fd, "x", 1);
	expect_frame(fd, "x", 1);
	hang_up(&fd);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_start");

	harness_add(suite, busy_port);
	harness_add(suite, busy_datagram_port);
	harness_add(suite, privileged_port);
	harness_add(suite, an_address_of_nobody_here);
	harness_add(suite, missing_directory);
	harness_add(suite, stale_socket_file);
	harness_add(suite, socket_file_in_use);
	harness_add(suite, socket_file_of_another_process);
	harness_add(suite, a_file_that_nobody_may_give_away);
	harness_add(suite, a_file_with_another_mode);
	harness_add(suite, a_file_that_is_no_socket);
	harness_add(suite, abstract_sockets);
	harness_add(suite, every_address_of_a_name);
	harness_add(suite, one_address_twice);
	harness_add(suite, no_address_of_a_name);
	harness_add(suite, inherited_by_name_and_by_address);
	harness_add(suite, inherited_name_before_address);
	harness_add(suite, inherited_by_names_of_the_store);
	harness_add(suite, inherited_in_vain);
	harness_add(suite, not_opened_by_the_manager);
	harness_add(suite, inherited_is_the_managers);
	harness_add(suite, inherited_control_socket);
	harness_add(suite, inherited_datagrams);
	harness_add(suite, notifications);
	harness_add(suite, no_service_manager);
	return harness_main(suite);
}
