/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "frame.h"
#include "quantity.h"
#include "text.h"

enum { INSTANCE_NAME_MAX = 23 }; /* characters, as retortd-generator(8) says */

static const char common_help[] =
	"Options of every command:\n"
	"  -c, --connect ADDRESS  tcp://HOST:PORT, udp://HOST:PORT or unix:PATH; otherwise\n"
	"                         $RETORT_ADDRESS, otherwise chat.sock in /run/retort or in\n"
	"                         $XDG_RUNTIME_DIR/retort\n"
	"      --instance NAME    the retortd of retortd@NAME.conf: its chat.sock, or "
	"control.sock\n"
	"      --json             one JSON object a line\n"
	"      --timeout SECONDS  for connecting and for each answer (5)\n"
	"  -q, --quiet            say less\n"
	"  -v, --verbose          say more, on standard error\n"
	"  -h, --help             this help\n"
	"  -V, --version          the version\n";

void usage_print(const struct command *command)
{
	if (command) {
		printf("Usage: retort [-c ADDRESS] %s %s\n\n%s%s", command->name,
		       command->arguments, command->help, common_help);
		return;
	}
	printf("Usage: retort [-c ADDRESS] COMMAND [ARGUMENT...]\n\n"
	       "A client for retortd, the server that answers.\n\nCommands:\n");
	for (const struct command *const *each = command_table; *each; each++)
		printf("  %-10s  %s\n", (*each)->name, (*each)->summary);
	printf("\n'retort COMMAND --help' tells more, with examples.\n\n%s", common_help);
}

/* A name that is none must not become part of a path. */
static int instance_check(const struct common *common)
{
	size_t len = strlen(common->instance);

	if (len > 0 && len <= INSTANCE_NAME_MAX &&
	    strspn(common->instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789-_") == len)
		return STATUS_GO_ON;
	return usage_error(common,
			   "the name of an instance has 1 to %d letters, digits, '-' and '_'",
			   INSTANCE_NAME_MAX);
}

int common_option(struct common *common, int option)
{
	switch (option) {
	case 'c':
		common->address = optarg;
		return STATUS_GO_ON;
	case OPTION_INSTANCE:
		common->instance = optarg;
		return instance_check(common);
	case OPTION_JSON:
		common->json = true;
		return STATUS_GO_ON;
	case OPTION_TIMEOUT:
		return time_parse(common, "--timeout", optarg, 1, &common->timeout_ms);
	case 'q':
		common->quiet = true;
		return STATUS_GO_ON;
	case 'v':
		common->verbose = true;
		return STATUS_GO_ON;
	case 'h':
		usage_print(common->command);
		return STATUS_DONE;
	case 'V':
		printf("retort %s\n", RETORT_VERSION);
		return STATUS_DONE;
	default: /* getopt_long() has said what is wrong */
		return usage_error(common, NULL);
	}
}

int common_options(struct common *common, int argc, char *argv[])
{
	static const struct option options[] = {COMMON_LONG};
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_SHORT, options, NULL)) >= 0) {
		status = common_option(common, option);
		if (status != STATUS_GO_ON)
			return status;
	}
	return STATUS_GO_ON;
}

void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)fputs("retort: ", stderr);
	(void)vfprintf(stderr, format, arguments);
	(void)fputc('\n', stderr);
	va_end(arguments);
}

void complain_text(const char *prefix, const void *text, size_t len)
{
	CLEANUP(buffer_done) struct buffer safe = {0};

	if (text_append_safe(&safe, text, len) < 0)
		complain("%s", prefix);
	else
		complain("%s%.*s", prefix, (int)MIN(safe.len, 8192U), (const char *)safe.data);
}

int usage_error(const struct common *common, const char *format, ...)
{
	va_list arguments;

	if (format) {
		va_start(arguments, format);
		(void)fputs("retort: ", stderr);
		(void)vfprintf(stderr, format, arguments);
		(void)fputc('\n', stderr);
		va_end(arguments);
	}
	(void)fprintf(stderr, "Try 'retort %s%s--help'.\n",
		      common->command ? common->command->name : "", common->command ? " " : "");
	return STATUS_USAGE;
}

int out_of_memory(void)
{
	complain("out of memory");
	return STATUS_SYSTEM;
}

int number_parse(const struct common *common, const char *option, const char *text, uint64_t min,
		 uint64_t max, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || number < min || number > max)
		return usage_error(common, "%s takes a number from %llu to %llu, not \"%s\"",
				   option, (unsigned long long)min, (unsigned long long)max, text);
	*ret_number = number;
	return STATUS_GO_ON;
}

int time_parse(const struct common *common, const char *option, const char *text, uint64_t min,
	       uint64_t *ret_milliseconds)
{
	uint64_t milliseconds;

	/* A day is more than anyone waits here, and leaves every sum of times far from overflow. */
	if (quantity_parse_time(text, &milliseconds) < 0 || milliseconds < min ||
	    milliseconds > UINT64_C(86400000))
		return usage_error(common,
				   "%s takes seconds, or a time like 500ms, of at most a day and "
				   "%s, not \"%s\"",
				   option, min > 0 ? "more than 0" : "at least 0", text);
	*ret_milliseconds = milliseconds;
	return STATUS_GO_ON;
}

int size_parse(const struct common *common, const char *option, const char *text, uint64_t min,
	       uint64_t max, uint64_t *ret_bytes)
{
	uint64_t bytes;

	if (quantity_parse_size(text, &bytes) < 0 || bytes < min || bytes > max)
		return usage_error(common,
				   "%s takes bytes, or a size like 64K, from %llu to %llu, not "
				   "\"%s\"",
				   option, (unsigned long long)min, (unsigned long long)max, text);
	*ret_bytes = bytes;
	return STATUS_GO_ON;
}

int framing_parse(const struct common *common, const char *text, int *ret_framing)
{
	int framing = framing_from_name(text);

	if (framing < 0)
		return usage_error(common, "--framing is raw, line or length, not \"%s\"", text);
	*ret_framing = framing;
	return STATUS_GO_ON;
}
