/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every command of the client shares: how it is described and called, the options that all of
 * them take, the exit statuses, and how it tells a person that something went wrong.
 *
 * A command is one constant of struct command, named in the table in main.c and nowhere else.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/* The client's exit statuses, as retort(1) lists them; those of sysexits.h where they exist. */
enum status {
	STATUS_GO_ON = -1, /* of a step: no reason to exit */
	STATUS_DONE = 0,
	STATUS_REFUSED = 1,	   /* the server said no */
	STATUS_USAGE = 64,	   /* the command line, or input that cannot be sent so */
	STATUS_NO_HOST = 68,	   /* the host's name is not known */
	STATUS_NO_CONNECTION = 69, /* no connection could be made, or it was lost */
	STATUS_SYSTEM = 71, /* this machine refused: memory, open files, writing the output */
	STATUS_TIMED_OUT = 75,
	STATUS_PROTOCOL = 76, /* the peer broke the protocol */
	STATUS_NOT_PERMITTED = 77,
};

struct command;

/* The options that all commands take, before or after the command's name. */
struct common {
	const struct command *command; /* NULL until its name was read */
	const char *address;	       /* as given by -c; NULL when it was not */
	const char *instance;	       /* name of the retortd that is meant; NULL: that of none */
	uint64_t timeout_ms;	       /* of connecting, and of each answer */
	bool json;
	bool quiet;
	bool verbose;
};

struct command {
	const char *name;
	const char *arguments; /* for its usage line */
	const char *summary;   /* for the list of commands */
	const char *help;      /* its own options, what it does, and examples */

	/* argv[0] is the program's name. Returns an enum status. */
	int (*run)(struct common *common, int argc, char *argv[]);
};

/* Values of long options that have no letter; a command's own begin at OPTION_COMMAND. */
enum { OPTION_JSON = 256, OPTION_TIMEOUT, OPTION_INSTANCE, OPTION_COMMAND };

#define COMMON_SHORT "c:qvhV"
/* clang-format off */
#define COMMON_LONG \
	{"connect", required_argument, NULL, 'c'}, \
	{"instance", required_argument, NULL, OPTION_INSTANCE}, \
	{"json", no_argument, NULL, OPTION_JSON}, \
	{"timeout", required_argument, NULL, OPTION_TIMEOUT}, \
	{"quiet", no_argument, NULL, 'q'}, \
	{"verbose", no_argument, NULL, 'v'}, \
	{"help", no_argument, NULL, 'h'}, \
	{"version", no_argument, NULL, 'V'}, \
	{NULL, 0, NULL, 0}
/* clang-format on */

/*
 * Handles what getopt_long() returned when the command has no option of its own for it. Returns
 * STATUS_GO_ON, or the status to exit with: after help and version, or for a wrong option.
 */
int common_option(struct common *common, int option);

/* Takes all options of a command that has none of its own; returns likewise. */
int common_options(struct common *common, int argc, char *argv[]);

/* Prints the command's usage, or with a NULL command the client's, to standard output. */
void usage_print(const struct command *command);

/* The table of commands, in the order in which they are listed; ends with NULL. */
extern const struct command *const command_table[];

/* Writes "retort: " and a line to standard error. */
void complain(const char *format, ...) PRINTF(1, 2);

/* The same, with len bytes of text that others wrote made harmless and put behind the prefix. */
void complain_text(const char *prefix, const void *text, size_t len);

/* Complains about how the command was called, points at its help, and returns STATUS_USAGE. */
int usage_error(const struct common *common, const char *format, ...) PRINTF(2, 3);

/* Complains that memory ran out; returns STATUS_SYSTEM. */
int out_of_memory(void);

/*
 * Parses a whole number from min to max that option names. Complains, and returns STATUS_USAGE, or
 * STATUS_GO_ON with *ret_number set.
 */
int number_parse(const struct common *common, const char *option, const char *text, uint64_t min,
		 uint64_t max, uint64_t *ret_number);

/* The same for a time, in milliseconds, and for a number of bytes. */
int time_parse(const struct common *common, const char *option, const char *text, uint64_t min,
	       uint64_t *ret_milliseconds);
int size_parse(const struct common *common, const char *option, const char *text, uint64_t min,
	       uint64_t max, uint64_t *ret_bytes);

/* The same for the name of a framing; the value is an enum framing. */
int framing_parse(const struct common *common, const char *text, int *ret_framing);
