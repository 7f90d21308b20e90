/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "chat_request.h"
#include "names.h"
#include "suggest.h"
#include "text.h"
#include "util.h"

/* The room that is looked at; tells when there is none. */
static const char *current_room(struct talk *talk)
{
	if (talk->rooms.current)
		return talk->rooms.current->name;
	screen_warn(talk->screen, "you are in no room; /join ROOM");
	return NULL;
}

/* ---- the commands ---- */

static void run_join(struct talk *talk, const char *first, const char *rest)
{
	struct room *room = rooms_find(&talk->rooms, first);

	(void)rest;
	if (room)
		talk_switch(talk, room);
	else
		request_join(talk, first, true);
}

static void run_leave(struct talk *talk, const char *first, const char *rest)
{
	const char *room = *first ? first : current_room(talk);

	(void)rest;
	if (room)
		request_leave(talk, room);
}

static void run_room(struct talk *talk, const char *first, const char *rest)
{
	struct room *room = rooms_find(&talk->rooms, first);

	(void)rest;
	if (room)
		talk_switch(talk, room);
	else
		screen_warn(talk->screen, "you are not in %s; /join %s", first, first);
}

static void run_msg(struct talk *talk, const char *first, const char *rest)
{
	CLEANUP(freep) char *room = NULL;

	if (asprintf(&room, "@%s", *first == '@' ? first + 1 : first) < 0)
		room = NULL;
	if (!room)
		screen_warn(talk->screen, "out of memory");
	else
		request_say(talk, room, rest, false);
}

static void run_who(struct talk *talk, const char *first, const char *rest)
{
	const char *room = *first ? first : current_room(talk);

	(void)rest;
	if (room)
		request_who(talk, room);
}

static void run_rooms(struct talk *talk, const char *first, const char *rest)
{
	(void)first; /* it takes none */
	(void)rest;
	request_rooms(talk, true);
}

static void run_topic(struct talk *talk, const char *first, const char *rest)
{
	CLEANUP(freep) char *text = NULL;
	const char *room = current_room(talk);

	if (!room)
		return;
	if (asprintf(&text, "%s%s%s", first, *rest ? " " : "", rest) < 0)
		text = NULL;
	request_topic(talk, room, text && *text ? text : NULL);
}

static void run_history(struct talk *talk, const char *first, const char *rest)
{
	const char *room = current_room(talk);
	char *end = NULL;
	unsigned long n = *first ? strtoul(first, &end, 10) : CHAT_HISTORY_DEFAULT;

	(void)rest;
	if (!room)
		return;
	if (*first && (*end || first[0] < '0' || first[0] > '9' || n < 1 || n > CHAT_HISTORY_MAX))
		screen_warn(talk->screen, "/history takes a number from 1 to %d, not %s",
			    CHAT_HISTORY_MAX, first);
	else
		request_history(talk, room, n);
}

static void run_nick(struct talk *talk, const char *first, const char *rest)
{
	(void)rest;
	request_nick(talk, first);
}

static void run_quit(struct talk *talk, const char *first, const char *rest)
{
	(void)first; /* it takes none */
	(void)rest;
	talk->quit = true;
}

static void run_help(struct talk *talk, const char *first, const char *rest);

enum completes { NOTHING, ROOMS, KNOWN_ROOMS, NICKS };

static const struct chat_command {
	const char *name, *arguments, *summary;
	size_t least; /* words that it needs */
	enum completes completes;

	/* first is the first word behind the name, rest what stands behind that; or "". */
	void (*run)(struct talk *talk, const char *first, const char *rest);
} chat_commands[] = {
	{"join", "ROOM", "go into a room", 1, KNOWN_ROOMS, run_join},
	{"leave", "[ROOM]", "leave this room, or another one", 0, ROOMS, run_leave},
	{"room", "ROOM", "look at another of your rooms; /1, /2, ... by number", 1, ROOMS,
	 run_room},
	{"msg", "NICK TEXT", "say something to one person", 2, NICKS, run_msg},
	{"who", "[ROOM]", "list who is there", 0, KNOWN_ROOMS, run_who},
	{"rooms", "", "list all rooms", 0, NOTHING, run_rooms},
	{"topic", "[TEXT]", "show or set what this room is about", 0, NOTHING, run_topic},
	{"history", "[N]", "show the last N messages of this room", 0, NOTHING, run_history},
	{"nick", "NAME", "take another nick", 1, NOTHING, run_nick},
	{"help", "", "list these commands", 0, NOTHING, run_help},
	{"quit", "", "leave the conversation, as does ^D", 0, NOTHING, run_quit},
};

static void run_help(struct talk *talk, const char *first, const char *rest)
{
	(void)first; /* it takes none */
	(void)rest;
	for (size_t i = 0; i < ARRAY_SIZE(chat_commands); i++) {
		const struct chat_command *command = &chat_commands[i];

		screen_notice(talk->screen, "/%-7s %-9s  %s", command->name, command->arguments,
			      command->summary);
	}
	screen_notice(talk->screen, "any other line is said; //text says /text");
}

static const struct chat_command *command_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(chat_commands); i++)
		if (strlen(chat_commands[i].name) == len &&
		    strncmp(chat_commands[i].name, name, len) == 0)
			return &chat_commands[i];
	return NULL;
}

static void tell_unknown(struct talk *talk, const char *name)
{
	size_t distance, least = 3; /* more than two slips are no slip */
	const char *nearest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(chat_commands); i++) {
		distance = suggest_distance(name, chat_commands[i].name);
		if (distance < least && distance < strlen(chat_commands[i].name)) {
			least = distance;
			nearest = chat_commands[i].name;
		}
	}
	if (nearest)
		screen_warn(talk->screen, "there is no command /%s; did you mean /%s?", name,
			    nearest);
	else
		screen_warn(talk->screen,
			    "there is no command /%s; /help lists all, and //%s says it", name,
			    name);
}

/* Cuts the first word off text, which then holds the rest. */
static char *take_word(char **text)
{
	char *word = *text + strspn(*text, " \t");

	*text = word + strcspn(word, " \t");
	if (**text)
		*(*text)++ = 0;
	*text += strspn(*text, " \t");
	return word;
}

static void obey(struct talk *talk, char *text)
{
	const char *name = take_word(&text), *first;
	const struct chat_command *command = command_find(name, strlen(name));
	size_t words;

	if (*name && name[strspn(name, "0123456789")] == 0) {
		const unsigned long n = strtoul(name, NULL, 10);

		if (n >= 1 && n <= talk->rooms.n)
			talk_switch(talk, talk->rooms.all[n - 1]);
		else
			screen_warn(talk->screen, "you are in %zu room%s", talk->rooms.n,
				    talk->rooms.n == 1 ? "" : "s");
		return;
	}
	if (!command) {
		tell_unknown(talk, name);
		return;
	}
	first = take_word(&text);
	words = (*first != 0) + (*text != 0);
	if (words < command->least)
		screen_warn(talk->screen, "/%s takes %s", command->name, command->arguments);
	else
		command->run(talk, first, text);
}

/* ---- lines ---- */

void commands_say(struct talk *talk, const char *text, bool patient)
{
	const char *room = current_room(talk);

	if (room)
		request_say(talk, room, text, patient);
	else
		talk->refused = true;
}

void commands_typed(struct talk *talk, const char *typed)
{
	const char *text = typed + strspn(typed, " \t");

	if (*text == 0)
		return;
	if (*text != '/') {
		commands_say(talk, typed, false);
	} else if (text[1] == '/') {
		commands_say(talk, text + 1, false);
	} else {
		CLEANUP(freep) char *copy = strdup(text + 1);

		if (copy)
			obey(talk, copy);
		else
			screen_warn(talk->screen, "out of memory");
	}
}

/* ---- completion ---- */

/* A name that a terminal would not just show is not offered: it would be typed there. */
static bool is_harmless(const char *name)
{
	CLEANUP(buffer_done) struct buffer safe = {0};
	const size_t len = strlen(name);

	return text_append_safe(&safe, name, len) == 0 && safe.len == len &&
	       (len == 0 || memcmp(safe.data, name, len) == 0) && !strpbrk(name, " \t");
}

static void offer(struct line_matches *matches, const char *name, const char *word)
{
	CLEANUP(freep) char *folded_name = name_fold(name), *folded_word = name_fold(word);

	if (folded_name && folded_word &&
	    strncmp(folded_name, folded_word, strlen(folded_word)) == 0 && is_harmless(name))
		line_match(matches, name);
}

static void complete_command(const char *word, struct line_matches *matches)
{
	for (size_t i = 0; i < ARRAY_SIZE(chat_commands); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/%s", chat_commands[i].name);
		offer(matches, name, word);
	}
}

static void complete_room(const struct rooms *rooms, bool known, const char *word,
			  struct line_matches *matches)
{
	for (size_t i = 0; i < rooms->n; i++)
		offer(matches, rooms->all[i]->name, word);
	for (size_t i = 0; known && i < rooms->n_known; i++)
		if (!rooms_find(rooms, rooms->known[i]))
			offer(matches, rooms->known[i], word);
}

static void complete_nick(const struct rooms *rooms, const char *word, struct line_matches *matches)
{
	const struct room *room = rooms->current;

	for (size_t i = 0; room && i < room->n_nicks; i++)
		offer(matches, room->nicks[i], word);
}

void commands_complete(void *data, const char *line, size_t before, const char *word,
		       struct line_matches *matches)
{
	const struct talk *talk = data;
	const struct chat_command *command;

	if (line[0] != '/' || line[1] == '/') {
		matches->ends_with_colon = before == 0;
		complete_nick(&talk->rooms, word, matches);
		return;
	}
	if (before == 0) {
		complete_command(word, matches);
		return;
	}
	command = command_find(line + 1, strcspn(line + 1, " \t"));
	switch (command ? command->completes : NOTHING) {
	case NOTHING:
		break;
	case ROOMS:
	case KNOWN_ROOMS:
		complete_room(&talk->rooms, command->completes == KNOWN_ROOMS, word, matches);
		break;
	case NICKS:
		complete_nick(&talk->rooms, word, matches);
		break;
	}
}
