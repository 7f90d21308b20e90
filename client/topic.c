/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a room is about: retort topic. */

#include "topic.h"

#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "names.h"
#include "reply.h"
#include "text.h"
#include "words.h"

static int print_topic(const struct common *common, const struct retort_room *room)
{
	CLEANUP(buffer_done) struct buffer text = {0};
	const char *topic = room->topic ?: "";

	if (common->json)
		return reply_print_object(json_pack("{ss,ss}", "room", room->room, "topic", topic));
	if (text_append_safe(&text, topic, strlen(topic)) < 0 || buffer_append(&text, "\n", 1) < 0)
		return out_of_memory();
	(void)fwrite(text.data, 1, text.len, stdout);
	return STATUS_GO_ON;
}

/* Being no member is no reason not to know it, so it is looked for in the list. */
static int show(struct connection *connection, const char *room)
{
	const struct retort_request request = {.op = RETORT_OP_ROOMS};
	CLEANUP(freep) char *folded = name_fold(room);
	const struct retort_reply *reply;
	int status;

	if (!folded)
		return out_of_memory();
	status = connection_call(connection, &request, &reply);
	if (status != STATUS_GO_ON)
		return status;
	for (size_t i = 0; i < reply->rooms_len; i++) {
		CLEANUP(freep) char *other = name_fold(reply->rooms[i].room);

		if (!other)
			return out_of_memory();
		if (strcmp(folded, other) == 0)
			return print_topic(connection->common, &reply->rooms[i]);
	}
	return refused("", "no_such_room", "the list of rooms does not have it");
}

static int set(struct connection *connection, const char *room, const char *text)
{
	const struct retort_request request = {.op = RETORT_OP_TOPIC, .room = room, .text = text};
	const struct retort_reply *reply;
	int status, r;

	/* Only members may. */
	r = retort_join(connection->retort, room, (int)connection->common->timeout_ms);
	if (r != 0)
		return connection_failed(connection, r);
	status = connection_call(connection, &request, &reply);
	if (status == STATUS_GO_ON && connection->common->json)
		status = reply_print(reply);
	return status;
}

static int topic_run(struct common *common, int argc, char *argv[])
{
	CLEANUP(freep) char *text = NULL;
	struct connection connection;
	int status;

	status = common_options(common, argc, argv);
	if (status != STATUS_GO_ON)
		return status;
	if (optind == argc)
		return usage_error(common, "of which room?");
	if (argc - optind > 1) {
		text = words_join(argv + optind + 1);
		if (!text)
			return out_of_memory();
	}

	status = connection_new(common, &connection);
	if (status != STATUS_GO_ON)
		return status;
	status = connection_connect(&connection);
	if (status == STATUS_GO_ON)
		status = text ? set(&connection, argv[optind], text)
			      : show(&connection, argv[optind]);
	connection_done(&connection);
	return status == STATUS_GO_ON ? STATUS_DONE : status;
}

const struct command command_topic = {
	.name = "topic",
	.arguments = "[OPTION...] ROOM [TEXT...]",
	.summary = "show what a room is about, or say it",
	.help = "Prints the topic of ROOM, or makes TEXT its topic; an empty TEXT (\"\") takes it\n"
		"away. For that it joins the room.\n"
		"\n"
		"Examples:\n"
		"  retort topic lobby\n"
		"  retort topic builds nightly builds of the main branch\n"
		"\n",
	.run = topic_run,
};
