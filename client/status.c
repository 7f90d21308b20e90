/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How the daemon is: retort status, clients, health, and reload. Each is one question without
 * arguments through the control socket; they differ in how they show the answer.
 */

#include "status.h"

#include <stdio.h>
#include <string.h>

#include "control.h"
#include "metrics.h"
#include "reply.h"
#include "stats.h"
#include "table.h"
#include "text.h"

/* ---- retort clients ---- */

/* The rooms of a client in one cell. */
static int add_rooms(struct table *table, const json_t *rooms)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	json_t *room;
	size_t i;
	int r = 0;

	json_array_foreach(rooms, i, room) {
		const char *name = json_string_value(room) ?: "";

		if (i > 0)
			r = buffer_append(&text, ",", 1);
		if (r == 0)
			r = buffer_append(&text, name, strlen(name));
		if (r < 0)
			return r;
	}
	r = buffer_append(&text, "", 1);
	return r < 0 ? r : table_add(table, (const char *)text.data);
}

static int add_client(struct table *table, const json_t *client)
{
	static const char *const strings[] = {"listener", "peer", "nick", "user"};
	static const char *const numbers[] = {"messages", "bytes_in", "bytes_out"};
	char since[MOMENT_TEXT_MAX];
	int r = table_add_number(table, reply_number(client, "client"));

	for (size_t i = 0; i < ARRAY_SIZE(strings) && r == 0; i++)
		r = table_add(table, reply_string(client, strings[i]));
	if (r == 0)
		r = table_add(table, reply_time(json_object_get(client, "since"), since));
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
		r = table_add_number(table, reply_number(client, numbers[i]));
	return r < 0 ? r : add_rooms(table, json_object_get(client, "rooms"));
}

/* Each worker tells its own: together they are in no order. */
static int compare_clients(const void *a, const void *b)
{
	const uint64_t one = reply_number(*(json_t *const *)a, "client");
	const uint64_t other = reply_number(*(json_t *const *)b, "client");

	return (one > other) - (one < other);
}

static int print_clients(const struct common *common, json_t *reply)
{
	static const struct table_column columns[] = {
		{"CLIENT", true}, {"LISTENER", false}, {"PEER", false},	   {"NICK", false},
		{"USER", false},  {"SINCE", false},    {"MESSAGES", true}, {"IN", true},
		{"OUT", true},	  {"ROOMS", false},
	};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));
	const json_t *clients = json_object_get(reply, "clients");
	const size_t n = json_array_size(clients);
	CLEANUP(freep) json_t **sorted = calloc(MAX(n, (size_t)1), sizeof(json_t *));
	int status = STATUS_GO_ON;

	if (!sorted)
		return out_of_memory();
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(clients, i);
	qsort(sorted, n, sizeof(json_t *), compare_clients);
	for (size_t i = 0; i < n && status == STATUS_GO_ON; i++) {
		if (common->json)
			status = reply_print_object(json_incref(sorted[i]));
		else if (add_client(&table, sorted[i]) < 0)
			status = out_of_memory();
	}
	if (status == STATUS_GO_ON)
		table_print(&table);
	return status;
}

/* ---- retort health ---- */

static int print_health(const struct common *common, json_t *reply)
{
	const bool healthy = json_is_true(json_object_get(reply, "healthy"));
	json_t *problem;
	size_t i;

	json_array_foreach(json_object_get(reply, "problems"), i, problem) {
		CLEANUP(buffer_done) struct buffer text = {0};
		const char *words = json_string_value(problem) ?: "";

		if (common->json || common->quiet)
			break;
		if (text_append_safe(&text, words, strlen(words)) < 0 ||
		    buffer_append(&text, "\n", 1) < 0)
			return out_of_memory();
		(void)fwrite(text.data, 1, text.len, stdout);
	}
	if (common->json && reply_print_object(json_incref(reply)) != STATUS_GO_ON)
		return STATUS_SYSTEM;
	if (healthy && !common->json && !common->quiet)
		(void)puts("healthy");
	return healthy ? STATUS_GO_ON : STATUS_REFUSED;
}

/* ---- retort reload ---- */

static int print_reload(const struct common *common, json_t *reply)
{
	if (common->json)
		return reply_print_object(json_incref(reply));
	if (!common->quiet)
		(void)puts("the configuration is in effect");
	return STATUS_GO_ON;
}

/* ---- the commands ---- */

typedef int printer(const struct common *common, json_t *reply);

enum { OPTION_OPENMETRICS = OPTION_COMMAND };

/* Takes the options; metrics is NULL where these cannot be asked for. */
static int read_options(struct common *common, int argc, char *argv[], const char **control,
			bool *metrics)
{
	static const struct option options[] = {
		{"openmetrics", no_argument, NULL, OPTION_OPENMETRICS}, CONTROL_LONG, COMMON_LONG};
	int option, status;

	while ((option = getopt_long(argc, argv, COMMON_SHORT, metrics ? options : options + 1,
				     NULL)) >= 0) {
		if (option == OPTION_OPENMETRICS && metrics) {
			*metrics = true;
			continue;
		}
		status = control_option(common, option, control);
		if (status != STATUS_GO_ON)
			return status;
	}
	return optind < argc ? usage_error(common, "it takes no argument") : STATUS_GO_ON;
}

static int ask_and_print(const struct common *common, const char *control, enum retort_op op,
			 printer *print)
{
	const struct retort_request request = {.op = op};
	json_t *reply;
	int status = control_ask(common, control, &request, &reply);

	if (status != STATUS_GO_ON)
		return status;
	status = print(common, reply);
	json_decref(reply);
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

static int ask(struct common *common, int argc, char *argv[], enum retort_op op, printer *print)
{
	const char *control = NULL;
	int status = read_options(common, argc, argv, &control, NULL);

	return status == STATUS_GO_ON ? ask_and_print(common, control, op, print) : status;
}

static int print_stats(const struct common *common, json_t *reply)
{
	return common->json ? reply_print_object(json_incref(reply)) : stats_print(reply);
}

static int print_metrics(const struct common *common, json_t *reply)
{
	(void)common; /* a printer's contract */
	return metrics_print(reply);
}

static int status_run(struct common *common, int argc, char *argv[])
{
	const char *control = NULL;
	bool metrics = false;
	int status = read_options(common, argc, argv, &control, &metrics);

	if (status != STATUS_GO_ON)
		return status;
	if (metrics && common->json)
		return usage_error(common, "either --openmetrics or --json");
	return ask_and_print(common, control, RETORT_OP_STATS,
			     metrics ? print_metrics : print_stats);
}

static int clients_run(struct common *common, int argc, char *argv[])
{
	return ask(common, argc, argv, RETORT_OP_CLIENTS, print_clients);
}

static int health_run(struct common *common, int argc, char *argv[])
{
	return ask(common, argc, argv, RETORT_OP_HEALTH, print_health);
}

static int reload_run(struct common *common, int argc, char *argv[])
{
	return ask(common, argc, argv, RETORT_OP_RELOAD, print_reload);
}

const struct command command_status = {
	.name = "status",
	.arguments = "[OPTION...]",
	.summary = "show what the daemon has done and does",
	.help = "Shows since when the daemon runs and how it was restarted last, clients, rooms,\n"
		"messages, bytes, the log of the rooms, listeners, what was refused, workers, and\n"
		"the bans and mutes in force. For administrators. With --json it is one object.\n"
		"\n"
		"      --openmetrics   as metrics for Prometheus\n" CONTROL_HELP "\n"
		"Examples:\n"
		"  retort status\n"
		"  retort status --json | jq .clients\n"
		"  retort status --openmetrics >retort.prom\n"
		"\n",
	.run = status_run,
};

const struct command command_clients = {
	.name = "clients",
	.arguments = "[OPTION...]",
	.summary = "list who is connected, and from where",
	.help = "Lists the connections, the oldest first: number, listener, address, nick, user,\n"
		"since when, messages that came, bytes in and out, and rooms. For administrators.\n"
		"In a pipe a tab stands between them, and there are no headings. With --json a\n"
		"client is an object.\n"
		"\n" CONTROL_HELP "\n"
		"Examples:\n"
		"  retort clients\n"
		"  retort clients --json | jq -r .peer\n"
		"\n",
	.run = clients_run,
};

const struct command command_health = {
	.name = "health",
	.arguments = "[OPTION...]",
	.summary = "say whether all is well",
	.help = "Exits with 0 only when every listener is open, the log of the rooms can be\n"
		"written, and the workers turn; otherwise it says what is wrong, a line each, and\n"
		"exits with 1. For administrators. With -q it prints nothing.\n"
		"\n" CONTROL_HELP "\n"
		"Example:\n"
		"  retort -q health || systemctl restart retortd\n"
		"\n",
	.run = health_run,
};

const struct command command_reload = {
	.name = "reload",
	.arguments = "[OPTION...]",
	.summary = "put a changed configuration in effect",
	.help = "Has the daemon read its configuration anew. When that is wrong, says so and "
		"exits\n"
		"with 1, and the one before stays in effect. For administrators.\n"
		"\n" CONTROL_HELP "\n"
		"Example:\n"
		"  retort reload && retort status\n"
		"\n",
	.run = reload_run,
};
