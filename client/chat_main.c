/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * "retort chat": one loop over the connection, the terminal and its signals.
 *
 * In a terminal the line at the bottom is Readline's, and what is typed is said or obeyed at once.
 * Where lines come from a pipe or were pasted nobody has looked at each of them, so they are said
 * as they are, one after the other is acknowledged, and none is a command.
 */

#include "chat_main.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "chat.h"
#include "chat_commands.h"
#include "chat_events.h"
#include "chat_request.h"
#include "clock.h"
#include "connection.h"
#include "source.h"

struct chat {
	const struct common *common;
	struct connection connection;
	struct screen screen;
	struct line line;
	struct talk talk;
	struct source source; /* of lines, where nobody types into ours */
	bool commands;	      /* those lines are typed all the same */
	bool failed;	      /* reading standard input */
	char *pasted;	      /* lines that are still to be said; owned */
	size_t pasted_at;
	int signals;	  /* signalfd(2); -1: none */
	uint64_t give_up; /* when not to wait for acknowledgements any more */

	/* The command line. */
	char **rooms;
	size_t n_rooms;
	const char *nick;
	uint64_t lines;
	bool bell, lines_given;
};

/* ---- lines that nobody has looked at ---- */

/* Says whether the next of them may be said: all before it is acknowledged. */
static bool may_go_on(const struct chat *chat)
{
	return !chat->talk.held_back && list_empty(&chat->talk.requests);
}

static void say_bytes(struct chat *chat, struct bytes text)
{
	CLEANUP(freep) char *line = strndup((const char *)text.data, text.len);

	if (!line)
		screen_warn(&chat->screen, "out of memory");
	else if (strlen(line) < text.len)
		screen_warn(&chat->screen, "not said, as there is a NUL in it: %s", line);
	else if (chat->commands)
		commands_typed(&chat->talk, line);
	else if (*line)
		commands_say(&chat->talk, line, true);
	if (!line || strlen(line) < text.len)
		chat->talk.refused = true;
}

static void say_pasted(struct chat *chat)
{
	while (chat->pasted && may_go_on(chat)) {
		char *line = chat->pasted + chat->pasted_at;
		const size_t len = strcspn(line, "\r\n");
		const bool more = line[len] != 0;

		line[len] = 0;
		chat->pasted_at += len + 1;
		if (len > 0)
			commands_say(&chat->talk, line, true);
		if (!more)
			free(STEAL(chat->pasted));
	}
}

static void say_source(struct chat *chat)
{
	while (!chat->talk.typing && may_go_on(chat) && !chat->talk.quit) {
		struct bytes text;

		switch (source_next(&chat->source, &text)) {
		case SOURCE_WAIT:
			return;
		case SOURCE_MESSAGE:
			say_bytes(chat, text);
			break;
		case SOURCE_END:
			/* Its answer comes after all that our last words have caused. */
			request_last(&chat->talk);
			return;
		}
	}
}

/* ---- the end ---- */

/* Gives the terminal back; what is not acknowledged yet has a moment left. */
static void begin_to_end(struct chat *chat)
{
	line_close(&chat->line);
	chat->screen.line = NULL;
	chat->talk.quit = true;
	chat->give_up = clock_now() + chat->common->timeout_ms * NSEC_PER_MSEC;
}

/* Dies of the signal, as everybody expects who has sent it. */
static int die(struct chat *chat, int signal_number)
{
	sigset_t set;

	line_close(&chat->line);
	(void)fflush(stdout);
	(void)signal(signal_number, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal_number);
	(void)raise(signal_number);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	return STATUS_DONE; /* it is not reached */
}

static int gave_up(struct chat *chat, int error)
{
	line_close(&chat->line);
	chat->screen.line = NULL;
	(void)screen_flush(&chat->screen); /* the reason matters more now */
	return connection_failed(&chat->connection, error);
}

/* Returns the status to exit with, or STATUS_GO_ON while something is still to be waited for. */
static int end_of(struct chat *chat)
{
	const size_t n = requests_unsaid(&chat->talk);

	if (!chat->talk.quit)
		return STATUS_GO_ON;
	if (chat->talk.typing && chat->give_up == DEADLINE_NONE)
		begin_to_end(chat);
	if (n > 0 && clock_now() < chat->give_up)
		return STATUS_GO_ON;
	if (n > 0) {
		complain("%zu message%s not acknowledged", n, n == 1 ? " was" : "s were");
		return STATUS_NO_CONNECTION;
	}
	return chat->talk.refused && !chat->talk.typing ? STATUS_REFUSED : STATUS_DONE;
}

/* ---- what comes from the terminal ---- */

static void typed(struct chat *chat)
{
	CLEANUP(freep) char *text = NULL;

	if (!line_read(&chat->line, &text))
		return;
	if (!text) {
		chat->talk.quit = true;
	} else if (strpbrk(text, "\r\n")) {
		chat->pasted = STEAL(text);
		chat->pasted_at = 0;
	} else {
		commands_typed(&chat->talk, text);
	}
}

static int take_signal(struct chat *chat)
{
	struct signalfd_siginfo info;

	if (read(chat->signals, &info, sizeof(info)) != sizeof(info))
		return STATUS_GO_ON;
	switch (info.ssi_signo) {
	case SIGINT:
		if (chat->talk.quit)
			return die(chat, SIGINT);
		free(STEAL(chat->pasted));
		free(STEAL(chat->talk.held_back));
		chat->talk.once_more = DEADLINE_NONE;
		line_clear(&chat->line);
		return STATUS_GO_ON;
	case SIGWINCH:
		if (chat->screen.line)
			line_resize(&chat->line);
		return STATUS_GO_ON;
	case SIGTSTP:
		if (chat->screen.line)
			line_suspend(&chat->line);
		else
			(void)raise(SIGSTOP);
		return STATUS_GO_ON;
	default:
		return die(chat, (int)info.ssi_signo);
	}
}

static int read_input(struct chat *chat)
{
	int r;

	if (chat->talk.typing) {
		typed(chat);
		return STATUS_GO_ON;
	}
	r = source_read(&chat->source);
	if (r == 0)
		return STATUS_GO_ON;
	if (r == -EMSGSIZE)
		complain("a line on standard input is longer than 1 GiB");
	else
		complain("cannot read standard input: %s", strerrordesc_np(-r));
	return r == -EMSGSIZE ? STATUS_USAGE : STATUS_SYSTEM;
}

/*
 * What is typed while a room is being joined is meant for that room, so it waits; but not for a
 * connection that is lost.
 */
static bool wants_input(const struct chat *chat)
{
	if (chat->talk.quit || chat->pasted)
		return false;
	if (chat->talk.typing)
		return chat->talk.joins == 0 || chat->talk.lost;
	return !chat->source.ended && may_go_on(chat);
}

/* ---- the loop ---- */

static int wait_ms(const struct chat *chat)
{
	uint64_t deadline = MIN(talk_deadline(&chat->talk), chat->talk.once_more);
	const int library = retort_timeout(chat->talk.retort);
	int own;

	if (chat->talk.quit)
		deadline = MIN(deadline, chat->give_up);
	own = clock_wait_ms(deadline);
	return own < 0 || (library >= 0 && library < own) ? library : own;
}

/* Waits for something to come, and takes what came from this side. */
static int wait_once(struct chat *chat)
{
	struct pollfd fds[] = {
		{.fd = retort_fd(chat->talk.retort), .events = retort_events(chat->talk.retort)},
		{.fd = wants_input(chat) ? STDIN_FILENO : -1, .events = POLLIN},
		{.fd = chat->signals, .events = POLLIN},
	};
	int status = STATUS_GO_ON;

	if (poll(fds, ARRAY_SIZE(fds), wait_ms(chat)) < 0 && errno != EINTR) {
		complain("cannot wait: %m");
		return STATUS_SYSTEM;
	}
	if (fds[2].revents)
		status = take_signal(chat);
	if (status == STATUS_GO_ON && fds[1].revents)
		status = read_input(chat);
	return status;
}

static void take_time(struct chat *chat)
{
	const uint64_t now = clock_now();

	if (now >= talk_deadline(&chat->talk))
		talk_settle(&chat->talk);
	if (now >= chat->talk.once_more)
		request_say_again(&chat->talk);
}

static int converse(struct chat *chat)
{
	for (;;) {
		int r, status;

		r = events_take(&chat->talk);
		if (r < 0)
			return gave_up(chat, r);
		take_time(chat);
		say_pasted(chat);
		say_source(chat);
		if (!chat->talk.typing && chat->talk.rooms.n == 0 && chat->talk.joins == 0)
			return STATUS_REFUSED; /* as was told */
		status = end_of(chat);
		talk_prompt(&chat->talk);
		r = screen_flush(&chat->screen);
		if (r < 0) {
			complain("cannot write to standard output: %s", strerrordesc_np(-r));
			return STATUS_SYSTEM;
		}
		if (status == STATUS_GO_ON)
			status = wait_once(chat);
		if (status != STATUS_GO_ON)
			return status;
	}
}

/* ---- its life ---- */

static const char help[] =
	"Talks in rooms: each ROOM is joined, lobby when none is named, the last messages of each\n"
	"are shown, and then what is said. In a terminal a line that is typed is said in the room\n"
	"that stands in the prompt; one that begins with / is a command, and /help lists them.\n"
	"What comes in other rooms is counted in the prompt, and shown when one goes there. When\n"
	"the connection is lost it comes back by itself, and what was missed is shown.\n"
	"\n"
	"  -n, --lines COUNT  messages of each room to begin with: 20, or none when standard "
	"input\n"
	"                     is no terminal\n"
	"  -b, --bell         ring the terminal's bell when somebody speaks of you\n"
	"      --nick NICK    be called so, where the server does not know who you are\n"
	"\n"
	"Lines of a pipe or a file are said as they are, none is a command, and it ends when the\n"
	"last of them is acknowledged. Of text that is pasted each line is said likewise.\n"
	"With --json each message is an object.\n"
	"\n"
	"Examples:\n"
	"  retort chat\n"
	"  retort chat ops builds\n"
	"  retort -c tcp://chat.example.org:1243 chat --nick anna\n"
	"\n";

/* Takes the command line; STATUS_GO_ON when there is something to do. */
static int parse(struct chat *chat, struct common *common, int argc, char *argv[])
{
	enum { OPTION_NICK = OPTION_COMMAND };
	static const struct option options[] = {
		{"lines", required_argument, NULL, 'n'},
		{"bell", no_argument, NULL, 'b'},
		{"nick", required_argument, NULL, OPTION_NICK},
		COMMON_LONG,
	};
	int option, status = STATUS_GO_ON;

	while ((option = getopt_long(argc, argv, COMMON_SHORT "n:b", options, NULL)) >= 0) {
		switch (option) {
		case 'n':
			status = number_parse(common, "--lines", optarg, 0, CHAT_HISTORY_MAX,
					      &chat->lines);
			chat->lines_given = true;
			break;
		case 'b':
			chat->bell = true;
			break;
		case OPTION_NICK:
			chat->nick = optarg;
			break;
		default:
			status = common_option(common, option);
		}
		if (status != STATUS_GO_ON)
			return status;
	}
	chat->rooms = argv + optind;
	chat->n_rooms = (size_t)(argc - optind);
	return STATUS_GO_ON;
}

/* What is typed and shown is UTF-8, whatever the locale is. */
static void use_utf8(void)
{
	(void)setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8"); /* else bytes go through as they are */
}

static int open_signals(struct chat *chat)
{
	static const int caught[] = {SIGINT, SIGWINCH, SIGTSTP, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		(void)sigaddset(&set, caught[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	chat->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (chat->signals >= 0)
		return STATUS_GO_ON;
	complain("cannot wait for signals: %m");
	return STATUS_SYSTEM;
}

static int prepare(struct chat *chat)
{
	const bool from_terminal = isatty(STDIN_FILENO);
	const bool typing = from_terminal && isatty(STDOUT_FILENO) && !chat->common->json;
	struct talk *talk = &chat->talk;
	int status = typing ? open_signals(chat) : STATUS_GO_ON;

	if (status != STATUS_GO_ON)
		return status;
	use_utf8();
	screen_init(&chat->screen, typing ? &chat->line : NULL);
	chat->screen.bell = chat->bell;
	chat->screen.no_notices = chat->common->json;
	chat->screen.rooms = !typing && chat->n_rooms > 1;
	chat->commands = from_terminal;
	chat->source = (struct source){.fd = STDIN_FILENO, .separator = '\n'};

	talk->retort = chat->connection.retort;
	talk->screen = &chat->screen;
	talk->typing = typing;
	talk->json = chat->common->json;
	talk->quiet = chat->common->quiet;
	talk->lines = chat->lines_given || !from_terminal ? chat->lines : 20;
	talk_nick(talk);
	if (typing) {
		chat->line = (struct line){.complete = commands_complete, .data = talk};
		line_open(&chat->line, "[-] ");
		request_rooms(talk, false);
	}
	for (size_t i = 0; i < chat->n_rooms; i++)
		request_join(talk, chat->rooms[i], false);
	if (chat->n_rooms == 0)
		request_join(talk, "lobby", false);
	return STATUS_GO_ON;
}

static int connect_as(struct chat *chat)
{
	int status = connection_new(chat->common, &chat->connection);

	if (status != STATUS_GO_ON)
		return status;
	if (chat->nick && retort_set_nick(chat->connection.retort, chat->nick) < 0)
		return out_of_memory();
	return connection_connect(&chat->connection);
}

static int chat_run(struct common *common, int argc, char *argv[])
{
	struct chat chat = {.common = common, .signals = -1, .give_up = DEADLINE_NONE};
	int status;

	talk_init(&chat.talk);
	status = parse(&chat, common, argc, argv);
	if (status == STATUS_GO_ON)
		status = connect_as(&chat);
	if (status == STATUS_GO_ON)
		status = prepare(&chat);
	if (status == STATUS_GO_ON)
		status = converse(&chat);
	line_close(&chat.line);
	requests_done(&chat.talk);
	talk_done(&chat.talk);
	screen_done(&chat.screen);
	source_done(&chat.source);
	connection_done(&chat.connection);
	closep(&chat.signals);
	free(chat.pasted);
	return status;
}

const struct command command_chat = {
	.name = "chat",
	.arguments = "[OPTION...] [ROOM...]",
	.summary = "talk with others in rooms",
	.help = help,
	.run = chat_run,
};
