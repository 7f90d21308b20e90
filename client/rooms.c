/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is: retort rooms, and retort who. */

#include "rooms.h"

#include <stdio.h>

#include "connection.h"
#include "moment.h"
#include "reply.h"
#include "table.h"

static int add_room(struct table *table, const struct retort_room *room)
{
	int r = table_add(table, room->room);

	if (r == 0)
		r = table_add_number(table, room->members);
	if (r == 0)
		r = table_add_number(table, room->seq);
	if (r == 0)
		r = table_add(table, room->topic);
	return r;
}

static int print_rooms(const struct retort_reply *reply)
{
	static const struct table_column columns[] = {
		{"ROOM", false}, {"MEMBERS", true}, {"LAST", true}, {"TOPIC", false}};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < reply->rooms_len; i++)
		if (add_room(&table, &reply->rooms[i]) < 0)
			return out_of_memory();
	table_print(&table);
	return STATUS_DONE;
}

static int add_member(struct table *table, const struct retort_member *member)
{
	char since[MOMENT_TEXT_MAX];
	int r = table_add(table, member->nick);

	if (r == 0)
		r = table_add(table, member->user);
	if (r == 0)
		r = table_add(table, member->unit);
	if (r == 0)
		r = table_add(table, moment_format(member->since, since));
	return r;
}

static int print_members(const struct retort_reply *reply)
{
	static const struct table_column columns[] = {
		{"NICK", false}, {"USER", false}, {"UNIT", false}, {"SINCE", false}};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < reply->members_len; i++)
		if (add_member(&table, &reply->members[i]) < 0)
			return out_of_memory();
	table_print(&table);
	return STATUS_DONE;
}

/* Asks for a list, and prints it. */
static int list(const struct common *common, const struct retort_request *request,
		const char *array, int (*print)(const struct retort_reply *reply))
{
	const struct retort_reply *reply;
	struct connection connection;
	int status;

	status = connection_new(common, &connection);
	if (status != STATUS_GO_ON)
		return status;
	status = connection_connect(&connection);
	if (status == STATUS_GO_ON)
		status = connection_call(&connection, request, &reply);
	if (status == STATUS_GO_ON)
		status = common->json ? reply_print_each(reply, array) : print(reply);
	connection_done(&connection);
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

/* Takes the common options, and up to max words. */
static int parse(struct common *common, int argc, char *argv[], int max)
{
	int status;

	status = common_options(common, argc, argv);
	if (status != STATUS_GO_ON)
		return status;
	if (argc - optind > max)
		return usage_error(common, max > 0 ? "one room, or none" : "it takes no argument");
	return STATUS_GO_ON;
}

static int rooms_run(struct common *common, int argc, char *argv[])
{
	int status = parse(common, argc, argv, 0);

	if (status != STATUS_GO_ON)
		return status;
	return list(common, &(struct retort_request){.op = RETORT_OP_ROOMS}, "rooms", print_rooms);
}

static int who_run(struct common *common, int argc, char *argv[])
{
	struct retort_request request = {.op = RETORT_OP_WHO};
	int status = parse(common, argc, argv, 1);

	if (status != STATUS_GO_ON)
		return status;
	request.room = argv[optind]; /* NULL when there is none */
	return list(common, &request, "members", print_members);
}

const struct command command_rooms = {
	.name = "rooms",
	.arguments = "[OPTION...]",
	.summary = "list the rooms",
	.help = "Lists the rooms: the name, how many members there are, the number of the last\n"
		"message, and the topic. In a pipe a tab stands between them, and there are no\n"
		"headings. With --json a room is an object.\n"
		"\n"
		"Examples:\n"
		"  retort rooms\n"
		"  retort rooms | cut -f 1\n"
		"\n",
	.run = rooms_run,
};

const struct command command_who = {
	.name = "who",
	.arguments = "[OPTION...] [ROOM]",
	.summary = "list who is there, or who is in a room",
	.help = "Lists who is connected, or the members of ROOM: the nick, the user where that is\n"
		"known, the systemd unit where it is a service, and since when. In a pipe a tab\n"
		"stands between them, and there are no headings. With --json a member is an "
		"object.\n"
		"\n"
		"Examples:\n"
		"  retort who\n"
		"  retort who lobby --json\n"
		"\n",
	.run = who_run,
};
