/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of restarts share: a service of three transform listeners, whose sockets are the
 * manager's, and clients that go on while the test restarts the daemon.
 */

#include "harness_manager.h"

/*
 * Starts a service with listeners "length", "line" and "raw", named as their framing, each of which
 * upper-cases and is on TCP and on a Unix socket; settings stands before them.
 */
void handover_start(struct manager *manager, const char *settings);

/* The same listeners for another configuration, "listeners: (…);"; malloc()ed. */
char *handover_listeners(const struct manager *manager);

/* Both transports, as in server_address(); NULL at the end. */
extern const char *const handover_schemes[];

/* Waits until the daemon has read n bytes of that listener's clients beyond those of before. */
void handover_wait_read(struct manager *manager, const char *listener, uint64_t before, uint64_t n);

/* Bytes that the daemon has read of that listener's clients so far. */
uint64_t handover_read(struct manager *manager, const char *listener);

/* Waits until the daemon has n clients. */
void handover_wait_clients(struct manager *manager, uint64_t n);

/* A message and its answer, through framing length. */
void handover_ask(int fd);

/* A client in a process of its own. */
struct load {
	pid_t pid;
	int stop; /* owned */
};

/*
 * Makes that process. Returns true inside of it, with what is readable once it is to stop; it then
 * ends by _exit(), with 0 when all was right.
 */
bool load_fork(struct load *load, int *ret_stop);

/*
 * Starts a client of one connection to a listener that upper-cases, which sends messages of many
 * lengths without waiting for their answers, and holds these to be right and in order.
 */
void load_start(struct load *load, const char *address, enum framing framing);

/* Starts clients of one question each, one after the other, of framing length. */
void load_start_short(struct load *load, const char *address);

/* Has it end: with every answer. */
void load_stop(struct load *load);
