/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "moment.h"
#include "reply.h"
#include "sanction_list.h"
#include "table.h"
#include "text.h"

enum { REFUSED_COLUMNS = 3 };

/* ---- the daemon, a line for each thing ---- */

/* Prints a time of the reply, in milliseconds since 1970, behind words. */
static void print_moment(const char *words, const json_t *object, const char *name)
{
	const uint64_t moment = reply_number(object, name);
	char text[MOMENT_TEXT_MAX];

	if (moment > 0)
		(void)printf("%s%s", words, moment_format(moment, text));
}

static int print_since(const json_t *stats)
{
	CLEANUP(buffer_done) struct buffer version = {0};
	const char *words = reply_string(stats, "version");
	char uptime[SPAN_TEXT_MAX];

	if (text_append_safe(&version, words, strlen(words)) < 0)
		return out_of_memory();
	(void)printf("retortd %.*s, up %s", (int)version.len, (const char *)version.data,
		     span_format(reply_number(stats, "uptime") * 1000, uptime));
	print_moment(", since ", stats, "started");
	(void)putchar('\n');
	return STATUS_GO_ON;
}

static void print_restart(const json_t *restart)
{
	const uint64_t carried = reply_number(restart, "carried");

	if (!json_is_object(restart))
		return;
	print_moment("restart   ", restart, "at");
	(void)printf("%s, %" PRIu64 " client%s carried over, %" PRIu64 " lost\n",
		     json_is_true(json_object_get(restart, "crash")) ? " after a crash" : "",
		     carried, carried == 1 ? "" : "s", reply_number(restart, "lost"));
}

static double milliseconds(const json_t *took, const char *name)
{
	return (double)reply_number(took, name) / 1000;
}

static void print_storage(const json_t *storage)
{
	const json_t *took = json_object_get(storage, "commit_microseconds");
	const uint64_t failed = reply_number(storage, "failed_commits");

	if (!json_is_object(storage))
		return;
	(void)printf("log       %" PRIu64 " bytes, and %" PRIu64 " of write-ahead log; %" PRIu64
		     " messages since the start\n",
		     reply_number(storage, "database_bytes"), reply_number(storage, "wal_bytes"),
		     reply_number(storage, "messages"));
	(void)printf("commits   %" PRIu64, reply_number(storage, "commits"));
	if (reply_number(storage, "commits") > 0)
		(void)printf(", %.1f ms each, %.1f ms at most", milliseconds(took, "mean"),
			     milliseconds(took, "max"));
	print_moment(", the last ", storage, "last_commit");
	if (failed > 0)
		(void)printf("; %" PRIu64 " failed", failed);
	(void)putchar('\n');
}

static int print_daemon(const json_t *stats)
{
	if (print_since(stats) != STATUS_GO_ON)
		return STATUS_SYSTEM;
	print_restart(json_object_get(stats, "restart"));
	(void)printf("clients   %" PRIu64 "\n", reply_number(stats, "clients"));
	(void)printf("rooms     %" PRIu64 "\n", reply_number(stats, "rooms"));
	(void)printf("messages  %" PRIu64 ", %.10g a second\n", reply_number(stats, "messages"),
		     json_number_value(json_object_get(stats, "messages_per_second")));
	(void)printf("bytes     %" PRIu64 " in, %" PRIu64 " out\n", reply_number(stats, "bytes_in"),
		     reply_number(stats, "bytes_out"));
	print_storage(json_object_get(stats, "storage"));
	return STATUS_GO_ON;
}

/* ---- tables ---- */

/* Prints a table, unless it is empty, a line below what stands above. */
static int print_table(const struct table *table, int r)
{
	if (r < 0)
		return out_of_memory();
	if (table->ends.len > 0)
		(void)putchar('\n');
	table_print(table);
	return STATUS_GO_ON;
}

/* Adds the strings of an array as one cell. */
static int add_strings(struct table *table, const json_t *strings)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	json_t *string;
	size_t i;
	int r = 0;

	json_array_foreach(strings, i, string) {
		const char *words = json_string_value(string) ?: "";

		if (i > 0)
			r = buffer_append(&text, " ", 1);
		if (r == 0)
			r = buffer_append(&text, words, strlen(words));
		if (r < 0)
			return r;
	}
	r = buffer_append(&text, "", 1);
	return r < 0 ? r : table_add(table, (const char *)text.data);
}

/* All that was refused, for whatever reason. */
static uint64_t sum_of(const json_t *refused)
{
	uint64_t sum = 0;
	const char *reason;
	json_t *n;

	json_object_foreach((json_t *)refused, reason, n) {
		sum += reply_number(refused, reason);
	}
	return sum;
}

static int add_listener(struct table *table, const json_t *listener)
{
	static const char *const strings[] = {"name", "service"};
	static const char *const numbers[] = {"clients", "messages", "messages_per_second",
					      "bytes_in", "bytes_out"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(strings) && r == 0; i++)
		r = table_add(table, reply_string(listener, strings[i]));
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
		r = table_add_number(table, reply_number(listener, numbers[i]));
	if (r == 0)
		r = table_add_number(table, sum_of(json_object_get(listener, "refused")));
	return r < 0 ? r : add_strings(table, json_object_get(listener, "addresses"));
}

static int print_listeners(const json_t *listeners)
{
	static const struct table_column columns[] = {
		{"LISTENER", false}, {"SERVICE", false}, {"CLIENTS", true},
		{"MESSAGES", true},  {"MSG/S", true},	 {"IN", true},
		{"OUT", true},	     {"REFUSED", true},	 {"ADDRESSES", false}};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));
	json_t *listener;
	size_t i;
	int r = 0;

	json_array_foreach(listeners, i, listener)
		if (r == 0)
			r = add_listener(&table, listener);
	return print_table(&table, r);
}

/* Adds how often a listener has refused what a member of it counts, where it has. */
static int add_refused(struct table *table, const json_t *listener, const char *member)
{
	const json_t *refused = json_object_get(listener, member);
	const char *reason;
	json_t *n;
	int r = 0;

	json_object_foreach((json_t *)refused, reason, n) {
		if (reply_number(refused, reason) == 0)
			continue;
		r = table_add(table, reply_string(listener, "name"));
		if (r == 0)
			r = table_add_number(table, reply_number(refused, reason));
		if (r == 0)
			r = table_add(table, reason);
		if (r < 0)
			return r;
	}
	return 0;
}

static int print_refused_of(const json_t *listeners, const char *member,
			    const struct table_column columns[static REFUSED_COLUMNS])
{
	CLEANUP(table_done) struct table table = table_of(columns, REFUSED_COLUMNS);
	json_t *listener;
	size_t i;
	int r = 0;

	json_array_foreach(listeners, i, listener)
		if (r == 0)
			r = add_refused(&table, listener, member);
	return print_table(&table, r);
}

static int print_refused(const json_t *listeners)
{
	static const struct table_column of_all[REFUSED_COLUMNS] = {
		{"REFUSED BY", false}, {"TIMES", true}, {"WHAT", false}};
	static const struct table_column of_requests[REFUSED_COLUMNS] = {
		{"REQUESTS REFUSED BY", false}, {"TIMES", true}, {"ERROR", false}};
	int status = print_refused_of(listeners, "refused", of_all);

	if (status == STATUS_GO_ON)
		status = print_refused_of(listeners, "refused_requests", of_requests);
	return status;
}

static int print_workers(const json_t *workers)
{
	static const struct table_column columns[] = {
		{"WORKER", false}, {"CONNECTIONS", true}, {"DATAGRAM SOCKETS", true}};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));
	json_t *worker;
	size_t i;
	int r = 0;

	json_array_foreach(workers, i, worker)
		if (r == 0 && (r = table_add_number(&table, i + 1)) == 0 &&
		    (r = table_add_number(&table, reply_number(worker, "connections"))) == 0)
			r = table_add_number(&table, reply_number(worker, "datagram_sockets"));
	return print_table(&table, r);
}

static int print_sanctions(const json_t *stats, const char *name, const char *heading)
{
	const json_t *sanctions = json_object_get(stats, name);

	if (json_array_size(sanctions) == 0)
		return STATUS_GO_ON;
	(void)putchar('\n');
	return sanction_list_print(sanctions, heading, false);
}

int stats_print(const json_t *stats)
{
	const json_t *listeners = json_object_get(stats, "listeners");
	int status = print_daemon(stats);

	if (status == STATUS_GO_ON)
		status = print_listeners(listeners);
	if (status == STATUS_GO_ON)
		status = print_refused(listeners);
	if (status == STATUS_GO_ON)
		status = print_workers(json_object_get(stats, "workers"));
	if (status == STATUS_GO_ON)
		status = print_sanctions(stats, "bans", "BANNED");
	if (status == STATUS_GO_ON)
		status = print_sanctions(stats, "mutes", "MUTED");
	return status;
}
