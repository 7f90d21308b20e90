/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the black-box tests share: a real retortd that serves in a directory of its own, and the
 * client's end of its connections. Everything here fails the running test (ck_abort) when
 * something does not go as asked, and waits for events with a generous deadline, never for the
 * clock. A daemon dies with the test that started it, by PR_SET_PDEATHSIG.
 *
 * Environment: $RETORTD is the daemon to test (default: retortd in the folder above the test's
 * own), $RETORTD_WRAPPER words to put in front of it ("valgrind -q …").
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "bytes.h"
#include "frame.h"
#include "transform.h"
#include "util.h"

/*
 * Assertions for what is asserted a million times: one of Check's own, also one that holds, is a
 * write to a pipe.
 */
#define REQUIRE(condition) REQUIRE_MSG(condition, "%s", #condition)
#define REQUIRE_MSG(condition, ...)                \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

/* ---- the run ---- */

/*
 * The main function of a test program: runs the suite in a temporary directory, which it removes.
 * Prints the logs of the daemons of failed tests.
 */
int harness_main(Suite *suite);

/* Adds a test case of this one test to suite, with the deadline that harness_seconds() gives. */
void harness_add(Suite *suite, const TTest *test);

/* Says whether the daemon runs slowly here: under sanitizers or inside a wrapper. */
bool harness_slow(void);

/* Returns full when the daemon runs at its own speed and reduced when it runs slowly. */
size_t harness_rounds(size_t full, size_t reduced);

/* Milliseconds that a wait for an event may take. */
int harness_patience(void);

/* The same, of CLOCK_MONOTONIC, for loops. */
uint64_t harness_now(void);

/* Sleeps a little between two looks at something that gives no event; fails after deadline. */
void harness_pause(uint64_t deadline, const char *what);

/* Says why a test cannot run here; the test then returns. */
void harness_skip(const char *reason);

/* Removes a directory and all that is in it. */
void directory_remove(const char *path);

/* Raises the limit of open files to need or fails; returns what is possible when less than need. */
size_t harness_raise_files(size_t need);

/*
 * Moves the test's process into a network namespace of its own, with a loopback device. Returns
 * false where that is not permitted.
 */
bool harness_private_network(void);

/* The same for mounts: nothing mounted hereafter is seen outside. */
bool harness_private_mounts(void);

/* A random number generator whose seed is printed when a test fails: splitmix64. */
struct random {
	uint64_t state;
};
void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* From 0 to limit - 1. */
size_t random_below(struct random *random, size_t limit);

/* Starts random from $RETORT_TEST_SEED or from the clock, and prints which. */
void random_init_run(struct random *random, const char *test);

/* ---- the daemon ---- */

enum { SERVER_LISTENING_MAX = 256, SERVER_PATH_MAX = 108 };

/*
 * How a daemon is to be started. Zero-initialised: with its built-in configuration. Where config
 * says nothing of timeouts, draining ends after a moment, so that tests may stop the daemon under
 * their clients, and a message may take as long as a test does.
 */
struct server_setup {
	const char *program;		/* in place of the daemon; NULL: the daemon */
	const char *config;		/* written to a file, which is given by -c; NULL: none */
	const char *const *arguments;	/* further arguments, NULL at the end; NULL: none */
	const char *const *environment; /* further "NAME=VALUE"s, NULL at the end; NULL: none */
	const int *fds;			/* sockets to inherit, from 3 on */
	size_t n_fds;
	const char *fd_names; /* $LISTEN_FDNAMES; NULL: none */
	rlim_t max_files;     /* limit of open files; 0: as it is here */
	int error_output;     /* in place of the log file; 0: the log file */
	bool without_wrapper;
};

struct server_listening {
	char name[80];
	char address[SERVER_PATH_MAX + 32];
};

/* What the daemon has said to its service manager. */
struct server_notification {
	const char *text; /* its lines */
	struct ucred sender;
	int *fds; /* whoever keeps one sets it to -1 here; the others are closed */
	size_t n_fds;
};

/* A running daemon. */
struct server {
	pid_t pid; /* 0: not running */
	/*
	 * Sees every notification that is taken; while it is set, they are also taken while the end
	 * is awaited. NULL: nobody.
	 */
	void (*on_notification)(struct server *server, struct server_notification *notification);
	int notify;			 /* our end of $NOTIFY_SOCKET; owned */
	char directory[SERVER_PATH_MAX]; /* $RUNTIME_DIRECTORY; holds all below, and "state" */
	char config[SERVER_PATH_MAX];	 /* the configuration file */
	char log[SERVER_PATH_MAX];	 /* standard error */
	char output[SERVER_PATH_MAX];	 /* standard output */
	size_t log_seen;		 /* how far server_wait_log() has looked */
	char status[256];		 /* the last STATUS= it sent */
	struct server_listening listening[SERVER_LISTENING_MAX];
	size_t n_listening;
};

/* Makes the directory of a daemon, so that a test can put files into it before it starts. */
void server_init(struct server *server);

/* Starts the daemon; calls server_init() unless that has happened. Does not wait. */
void server_spawn(struct server *server, const struct server_setup *setup);

/* server_spawn(), then waits for READY=1 and reads where it listens. */
void server_start(struct server *server, const struct server_setup *setup);

/* Starts with a configuration file of this printf text and nothing else. */
void server_start_config(struct server *server, const char *format, ...) PRINTF(2, 3);

/* Writes the configuration file anew, for a reload. */
void server_write_config(struct server *server, const char *format, ...) PRINTF(2, 3);

/* Waits until a notification has this line, such as "READY=1", or a line that begins with it. */
void server_wait_notify(struct server *server, const char *line);

/* Takes all notifications that have come by now; says whether one of them has this line. */
bool server_has_notified(struct server *server, const char *line);

/* Waits until the daemon ends; returns its wait status. */
int server_wait_end(struct server *server);

/* Asserts a normal end with this exit status, and no complaint of a sanitizer in the log. */
void server_assert_ended(struct server *server, int exit_status);

/* SIGTERM, asserts that it ends with 0, and removes the directory. */
void server_stop(struct server *server);

/* Removes the directory of a daemon that has ended. */
void server_done(struct server *server);

/* Runs the daemon to its end, which must be with exit_status; its output can be read then. */
void server_run(struct server *server, const struct server_setup *setup, int exit_status);

void server_signal(struct server *server, int signal);

/* Reads where the daemon listens from its log: "NAME: listening on ADDRESS". */
void server_read_listening(struct server *server);

/* The address of this listener that begins with scheme ("tcp:", NULL: the first). */
const char *server_address(const struct server *server, const char *listener, const char *scheme);

/* The port of that address. */
unsigned server_port(const struct server *server, const char *listener, const char *scheme);

/*
 * Waits for a line of the log with this text in it, after the last line that this function found.
 * Returns it, without its LF, malloc()ed.
 */
char *server_wait_log(struct server *server, const char *text);

/* The whole of a file, with a NUL behind it; malloc()ed. */
char *file_read(const char *path);
void file_write(const char *path, const void *data, size_t len);

/* How often text occurs in the log so far. */
size_t server_count_log(const struct server *server, const char *text);

/*
 * A number of the USR1 summary: that behind label in the line about listener (NULL: the line about
 * the whole daemon); 0 when it is not mentioned.
 */
uint64_t server_counter(struct server *server, const char *listener, const char *label);

/* Waits until that number is at least least; returns it. */
uint64_t server_wait_counter(struct server *server, const char *listener, const char *label,
			     uint64_t least);

size_t server_rss(const struct server *server); /* bytes, the daemon's own anonymous memory */
size_t server_fds(const struct server *server);
size_t server_fd_table(const struct server *server); /* for how many there is room */
uint64_t server_cpu(const struct server *server);    /* milliseconds of CPU time used so far */

/* Waits until the daemon has no more than n open files. */
void server_wait_fds(const struct server *server, size_t n);

/* Asserts that a fresh client of listener (framing length or line) is answered. */
void server_assert_serves(const struct server *server, const char *listener, enum framing framing);

/* ---- the client's end ---- */

/* Connects to an address as the log writes it; blocking, with deadlines; TCP_NODELAY. */
int connect_to(const char *address);

/* The same, but returns a negative errno when the connection is refused. */
int try_connect_to(const char *address);

/* Connects to a listener; scheme as in server_address(). */
int client(const struct server *server, const char *listener, const char *scheme);

void send_all(int fd, const void *data, size_t len);
void send_text(int fd, const char *text);
void send_frame(int fd, const void *data, size_t len);
void hang_up(int *fd);	  /* closes it; it is -1 afterwards */
void shut_down(int fd);	  /* the sending side */
void reset_close(int fd); /* with an RST */

/* Receives exactly len bytes. */
void recv_exactly(int fd, void *data, size_t len);
/* Appends everything up to the end of input to buffer. */
void recv_to_end(int fd, struct buffer *buffer);
/* The next frame's payload replaces what buffer holds; returns whether it is an error frame. */
bool recv_frame(int fd, struct buffer *buffer);

void expect_bytes(int fd, const void *data, size_t len);
void expect_text(int fd, const char *text);
void expect_frame(int fd, const void *data, size_t len);
/* An error frame with text in it, then the end. */
void expect_error_frame(int fd, const char *text);
/* A line "error: …" with text in it, then the end. */
void expect_error_line(int fd, const char *text);
void expect_end(int fd);
/* The end, orderly or by a reset; what comes before is thrown away. */
void expect_gone(int fd);
/* Nothing is there to be received now. */
void expect_silence(int fd);

void assert_bytes(const void *have, size_t have_len, const void *want, size_t want_len,
		  const char *what);

/*
 * Sends in pieces of 1 to piece bytes (0: as large as they go), and receives meanwhile, so that
 * neither side can block the other; random is NULL or makes each piece's length random. When
 * half_close is set, shuts down after the last byte and receives up to the end; otherwise up to
 * want bytes. What was received replaces what buffer holds.
 */
void exchange(int fd, const void *data, size_t len, size_t piece, struct random *random,
	      bool half_close, size_t want, struct buffer *ret_received);

/* One message through the envelope of a framing; a line ends with LF. */
void wrap(struct buffer *buffer, enum framing framing, const void *data, size_t len);

/* What pipeline makes of a message, appended to buffer: lib's own, pure transform. */
void transformed(const struct pipeline *pipeline, const void *data, size_t len,
		 struct buffer *buffer);
