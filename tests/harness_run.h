/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Runs the real client and looks at what it prints and how it ends. $RETORT is the client to test
 * (default: retort in the folder above the test's own). It dies with the test that started it.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "harness.h"

/* How a client is to be started. Zero-initialised: nothing to read, and what it prints is kept. */
struct run_setup {
	const void *input; /* what it reads from standard input; NULL: nothing */
	size_t input_len;
	int in;		       /* in place of input, an open file; 0: none */
	int out;	       /* where it writes instead of to run->out; 0: none */
	const char *address;   /* $RETORT_ADDRESS; NULL: unset */
	const char *directory; /* $RUNTIME_DIRECTORY; NULL: unset */
	uid_t user;	       /* who runs it; 0: who runs the test */
	bool sigpipe_ignored;  /* as under careless parents */
	const int *closed;     /* standard fds it starts without, -1 at the end; NULL: none */
};

struct run {
	pid_t pid;
	int out_file, error_file; /* where what it prints is kept; owned */
	int status;		  /* exit status, or 128 and the signal that ended it */
	size_t most_memory;	  /* bytes, resident */
	char *out, *error;	  /* what it printed, with a NUL behind it; owned */
	size_t out_len;
};

/*
 * Starts the client with these arguments, NULL at the end. setup may be NULL. Where they have no
 * --timeout, it waits as long as tests do.
 */
void run_start(struct run *run, const struct run_setup *setup, const char *const *arguments);

/* Waits until it ends and reads what it printed. */
void run_end(struct run *run);

void run_done(struct run *run);

/* Where the client is; returns path or $RETORT. */
const char *run_client_path(char path[static PATH_MAX]);

/* The words of a command line. */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/*
 * A --timeout for a client that is to wait in vain after the test has done its part of something
 * within that time: as long as can be borne.
 */
const char *run_timeout(void);

/* Runs the client with input, and asserts how it ends. */
void run_expect(struct run *run, const char *input, const char *const *arguments, int status);

/* The same, and asserts what it prints. */
void run_expect_out(const char *input, const char *const *arguments, const char *out);

/* The same, and asserts that its complaint has this text in it. */
void run_expect_error(const char *input, const char *const *arguments, int status,
		      const char *text);

/* A socket that listens on a free port of the loopback interface, and its address as text. */
int listen_anywhere(char address[static 64]);

/* A TCP or UDP port where nobody gets through: it is refused while this socket is open. */
int refuse_anywhere(int type, char address[static 64]);

/* Takes the next connection, within the deadline of all tests. */
int accept_one(int listener);

/* A UDP socket bound to the loopback interface, and its address as text. */
int bind_datagrams(char address[static 64]);
