/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A service manager for the black-box tests: it opens listening sockets, keeps what the daemon
 * stores with it (sd_notify(3), FDSTORE=1), and starts the next daemon with all of that. Where it
 * matters it does as systemd does: it stores no open file twice; it drops what hangs up unless
 * FDPOLL=0 was said; it passes its own sockets first, then what was stored, the latest first; and
 * it hears nobody but the daemon it has started.
 *
 * Like the harness, everything fails the running test when something does not go as asked.
 */

#include "harness.h"

enum { MANAGER_SOCKETS_MAX = 32, MANAGER_STORE_MAX = 512, MANAGER_NAME_MAX = 256 };

/* The names under which the daemon stores what it hands over. */
#define MANAGER_STATE	"retort-state"
#define MANAGER_CLIENTS "retort-clients"

struct manager_socket {
	int fd; /* owned */
	char name[80];
	char address[SERVER_PATH_MAX + 32];
};

struct manager_stored {
	int fd; /* owned */
	char name[MANAGER_NAME_MAX];
	bool polled; /* it goes when it hangs up */
};

/* The fields above the line are the test's to change. */
struct manager {
	size_t store_max;    /* how much may be stored, which $FDSTORE says; 0: it is not set */
	bool refuses;	     /* stores nothing, whatever $FDSTORE says */
	const char *program; /* in place of the daemon, and without a wrapper */
	const char *const *arguments; /* further ones, of every daemon; NULL at the end */
	/* ---- */
	struct server server; /* the daemon that runs */
	int hung_up;	      /* an epoll of what is polled; owned */
	struct manager_socket sockets[MANAGER_SOCKETS_MAX];
	size_t n_sockets;
	struct manager_stored stored[MANAGER_STORE_MAX]; /* in the order in which it came */
	size_t n_stored;
	size_t n_refused, n_dropped; /* what was not stored, and what hung up, in all */
	size_t n_barriers;
};

/* Makes one with a directory, which has started nothing yet. */
void manager_init(struct manager *manager);

/*
 * Opens a socket that every daemon inherits under this name: "tcp://127.0.0.1:0", "udp://…" or
 * "unix:PATH" with a path in the directory. Returns its address for the configuration.
 */
const char *manager_listen(struct manager *manager, const char *name, const char *address);

/* Starts the first daemon, with a configuration of this printf text; waits until it is ready. */
void manager_start(struct manager *manager, const char *format, ...) PRINTF(2, 3);

/* Both of these, one after the other: no client may notice. */
void manager_restart(struct manager *manager);

/* Has the daemon end by SIGTERM, which it must with status 0, and takes what it stores. */
void manager_hand_over(struct manager *manager);

/*
 * Starts the next daemon with the sockets and with what is stored; waits until it is ready and has
 * had removed what was handed over.
 */
void manager_resume(struct manager *manager);

/* The same without waiting for anything. */
void manager_spawn(struct manager *manager);

/* The rest of manager_resume(). */
void manager_await(struct manager *manager);

/* Like manager_restart(), with another configuration for the next daemon. */
void manager_restart_with(struct manager *manager, const char *format, ...) PRINTF(2, 3);

/* Kills the daemon, and starts the next with what is stored. */
void manager_crash(struct manager *manager);

/* SIGINT, asserts that it ends with 0; closes everything and removes the directory. */
void manager_stop(struct manager *manager);

/* Takes what has come by now. */
void manager_pump(struct manager *manager);

/* ---- what is stored ---- */

/* How many are stored under this name; NULL: under any. */
size_t manager_count(const struct manager *manager, const char *name);

/* The first that is stored under this name; NULL: none. */
struct manager_stored *manager_find(struct manager *manager, const char *name);

/* Stores something under this name, as if the daemon had; takes fd over. */
void manager_add(struct manager *manager, const char *name, int fd, bool polled);

/* Closes the first that is stored under this name, which there must be. */
void manager_drop(struct manager *manager, const char *name);

/* What the stored state holds. */
void manager_read_state(struct manager *manager, struct buffer *ret_state);

/* Stores this in place of the state: another sealed memfd, unless sealed is false. */
void manager_replace_state(struct manager *manager, const void *data, size_t len, bool sealed);
