/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The interactive client under a terminal, and what is left of it in a pipe. */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"
#include "harness_terminal.h"

#define BOLD "\033[1m"

static const char config[] = "listeners: ( { name = \"chat\"; service = \"chat\";\n"
			     "  listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; } );\n"
			     "chat: { rooms: ( { name = \"ops\"; }, { name = \"builds\"; } ); };\n";

/* What every test has: a daemon, somebody else who is in the rooms, and the client. */
struct scene {
	struct server server;
	int anna;
	char home[256], unix_address[256];
	struct terminal terminal;
};

/* Sends a request and waits for its reply; events that come before it are dropped. */
static void ask(int fd, const char *request)
{
	CLEANUP(buffer_done) struct buffer answer = {0};

	send_frame(fd, request, strlen(request));
	do {
		answer.len = 0;
		ck_assert(!recv_frame(fd, &answer));
		ck_assert_int_eq(buffer_append(&answer, "", 1), 0);
	} while (!strstr((const char *)answer.data, "\"ok\":") &&
		 !strstr((const char *)answer.data, "\"ok\" :"));
	ck_assert_msg(strstr((const char *)answer.data, "true") != NULL, "%s to %s", answer.data,
		      request);
}

/* Somebody says text, which is part of a JSON string. */
static void say(int fd, const char *room, const char *text)
{
	char request[1024];

	(void)snprintf(request, sizeof(request), "{\"op\":\"say\",\"room\":\"%s\",\"text\":\"%s\"}",
		       room, text);
	ask(fd, request);
}

static int enter(const struct server *server, const char *nick)
{
	int fd = client(server, "chat", "tcp:");
	char request[128];

	(void)snprintf(request, sizeof(request), "{\"op\":\"hello\",\"nick\":\"%s\"}", nick);
	ask(fd, request);
	ask(fd, "{\"op\":\"join\",\"room\":\"ops\"}");
	ask(fd, "{\"op\":\"join\",\"room\":\"builds\"}");
	return fd;
}

static void scene_begin(struct scene *scene)
{
	const struct server_setup setup = {.config = config};

	*scene = (struct scene){0};
	server_start(&scene->server, &setup);
	scene->anna = enter(&scene->server, "anna");
	(void)snprintf(scene->home, sizeof(scene->home), "XDG_STATE_HOME=%s/state",
		       scene->server.directory);
	(void)snprintf(scene->unix_address, sizeof(scene->unix_address), "unix:%s/chat.sock",
		       scene->server.directory);
}

#define TCP(scene) server_address(&(scene)->server, "chat", "tcp:")

/* Starts the client as bert in rooms ops and builds, and waits for its prompt. */
static void scene_chat(struct scene *scene, const char *const *environment,
		       const char *const *options)
{
	const char *words[16] = {"-c", TCP(scene), "chat", "--nick", "bert", "ops", "builds"};
	const char *variables[8] = {scene->home};

	for (size_t i = 0; options && options[i]; i++)
		words[7 + i] = options[i];
	for (size_t i = 0; environment && environment[i]; i++)
		variables[1 + i] = environment[i];
	terminal_start(&scene->terminal, variables, words);
	terminal_wait_cursor(&scene->terminal, "[ops]", 6);
}

static void scene_quit(struct scene *scene)
{
	terminal_type(&scene->terminal, "\004");
	ck_assert_int_eq(terminal_wait_end(&scene->terminal), 0);
	terminal_done(&scene->terminal);
}

static void scene_end(struct scene *scene)
{
	hang_up(&scene->anna);
	server_stop(&scene->server);
}

/* ---- the line that is being typed ---- */

START_TEST(messages_do_not_disturb_the_line)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "gr\303\274\303\237e hello\033[D\033[D\033[D");
	terminal_wait_cursor(terminal, "[ops] gr\303\274\303\237e hello", 6 + 11 - 3);
	for (int i = 0; i < 30; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "number %d", i);
		say(scene.anna, "ops", text);
	}
	terminal_wait(terminal, "anna: number 29");
	terminal_wait_cursor(terminal, "[ops] gr\303\274\303\237e hello", 6 + 11 - 3);
	ck_assert_uint_eq(terminal_count(terminal, "[ops]"), 1);
	for (int i = 0; i < 30; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "anna: number %d", i);
		ck_assert_uint_ge(terminal_count(terminal, text), 1);
	}
	terminal_type(terminal, "XY\r");
	terminal_wait(terminal, "bert: gr\303\274\303\237e heXYllo");
	terminal_wait_cursor(terminal, "[ops]", 6);
	ck_assert_uint_eq(terminal_count(terminal, "[ops]"), 1); /* the typed one is gone */
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(a_line_of_several_rows_stays_whole)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;
	char text[201], row[TERMINAL_COLUMNS + 1];

	memset(text, 'x', 200);
	text[200] = 0;
	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, text);
	memcpy(row, text, sizeof(row));
	row[46] = 0; /* 6 columns of prompt and 200 of text: 80, 80 and 46 */
	terminal_wait_cursor(terminal, row, 46);
	say(scene.anna, "ops", "in between");
	terminal_wait(terminal, "anna: in between");
	terminal_wait_cursor(terminal, row, 46);
	ck_assert_uint_eq(terminal_count(terminal, "xxx"), 3);
	/* From the middle row too. */
	terminal_type(terminal, "\001\033f\002\002");
	terminal_type(terminal, "\025\005");
	say(scene.anna, "ops", "once more");
	terminal_wait(terminal, "anna: once more");
	terminal_wait_cursor(terminal, "[ops] xx", 8);
	ck_assert_uint_eq(terminal_count(terminal, "xx"), 1);

	terminal_type(terminal, "\003"); /* ^C clears it */
	terminal_wait_cursor(terminal, "[ops]", 6);
	ck_assert_uint_eq(terminal_count(terminal, "xx"), 0);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(the_window_may_change)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "0123456789012345678901234567890123456789");
	terminal_wait_cursor(terminal, "[ops] 0123456789012345678901234567890123456789", 46);
	terminal_resize(terminal, TERMINAL_ROWS, 50);
	terminal_type(terminal, "abcdefgh");
	/* 50 columns: what does not fit is in the next row. */
	terminal_wait_cursor(terminal, "efgh", 4);
	say(scene.anna, "ops", "narrow");
	terminal_wait(terminal, "anna: narrow");
	terminal_wait_cursor(terminal, "efgh", 4);
	terminal_type(terminal, "\r");
	terminal_wait(terminal, "bert: 0123456789");
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(words_are_completed)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;
	int anton;

	scene_begin(&scene);
	anton = enter(&scene.server, "anton");
	scene_chat(&scene, NULL, NULL);
	terminal_wait(terminal, "[ops]");
	terminal_type(terminal, "/to\t");
	terminal_wait_cursor(terminal, "[ops] /topic", 13);
	terminal_type(terminal, "\003/join bu\t");
	terminal_wait_cursor(terminal, "[ops] /join builds", 19);
	say(scene.anna, "ops", "I am here"); /* then both are known, whatever who says when */
	say(anton, "ops", "me too");
	terminal_wait(terminal, "anton: me too");
	terminal_type(terminal, "\003AnT\t");
	terminal_wait_cursor(terminal, "[ops] anton:", 13);
	terminal_type(terminal, "\003so ann\t");
	terminal_wait_cursor(terminal, "[ops] so anna", 14);

	/* A list of what is possible, and messages around it. */
	terminal_type(terminal, "\003an\t\t");
	terminal_wait(terminal, "anna   anton");
	terminal_wait_cursor(terminal, "[ops] an", 8);
	say(anton, "ops", "below the list");
	terminal_wait(terminal, "anton: below the list");
	terminal_wait_cursor(terminal, "[ops] an", 8);
	terminal_type(terminal, "n\t");
	terminal_wait_cursor(terminal, "[ops] anna:", 12);
	terminal_type(terminal, "hi\r");
	terminal_wait(terminal, "bert: anna: hi");
	scene_quit(&scene);
	hang_up(&anton);
	scene_end(&scene);
}
END_TEST

START_TEST(what_is_pasted_is_said_line_by_line)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "\033[200~first\n/quit\n//third\n\033[201~");
	terminal_wait(terminal, "[ops] first"); /* nothing is said before Enter */
	terminal_type(terminal, "\r");
	terminal_wait(terminal, "bert: first");
	terminal_wait(terminal, "bert: /quit");
	terminal_wait(terminal, "bert: //third");
	terminal_wait_cursor(terminal, "[ops]", 6);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(typed_lines_are_remembered)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;
	CLEANUP(freep) char *kept = NULL;
	char path[300];
	struct stat status;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "one\r two\r");
	terminal_wait(terminal, "bert:  two");
	scene_quit(&scene);

	(void)snprintf(path, sizeof(path), "%s/state/retort/history", scene.server.directory);
	kept = file_read(path);
	ck_assert_str_eq(kept, "one\n");
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);

	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "\033[A"); /* up */
	terminal_wait_cursor(terminal, "[ops] one", 9);
	terminal_type(terminal, "\003\022on"); /* searched for backwards */
	terminal_wait_cursor(terminal, "(reverse-i-search)`on': one", 24);
	say(scene.anna, "ops", "while you search");
	terminal_wait(terminal, "anna: while you search");
	terminal_wait_cursor(terminal, "(reverse-i-search)`on': one", 24);
	terminal_type(terminal, "\003");
	terminal_wait_cursor(terminal, "[ops]", 6);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

/* ---- commands and rooms ---- */

START_TEST(commands_are_obeyed)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "/halp\r");
	terminal_wait(terminal, "-- there is no command /halp; did you mean /help?");
	terminal_type(terminal, "//halp\r");
	terminal_wait(terminal, "bert: /halp");
	terminal_type(terminal, "/help\r");
	terminal_wait(terminal, "/history [N]");
	terminal_type(terminal, "/who\r");
	terminal_wait(terminal, "--   anna");
	terminal_type(terminal, "/rooms\r");
	terminal_wait(terminal, "/2 builds, 2 there");
	terminal_type(terminal, "/topic all that runs\r");
	terminal_wait(terminal, "-- bert made the topic of ops: all that runs");
	terminal_type(terminal, "/topic\r");
	terminal_wait(terminal, "-- the topic of ops is: all that runs");
	terminal_type(terminal, "/msg\r");
	terminal_wait(terminal, "-- /msg takes NICK TEXT");
	terminal_type(terminal, "/msg anna psst\r");
	terminal_wait(terminal, "to anna: psst");
	say(scene.anna, "@bert", "what?");
	terminal_wait(terminal, "anna to you: what?");
	terminal_type(terminal, "/msg nobody-at-all psst\r");
	terminal_wait(terminal, "-- not said: ");
	terminal_type(terminal, "/join gar/bage\r");
	terminal_wait(terminal, "-- cannot join: ");
	terminal_type(terminal, "/history 1\r");
	terminal_wait(terminal, "-- the last 1 message of ops:");
	terminal_type(terminal, "/nick berta\r");
	terminal_wait(terminal, "-- you are berta now");
	terminal_type(terminal, "/nick berta\r");
	terminal_wait(terminal, "-- you are berta already");
	terminal_wait_cursor(terminal, "[ops]", 6);
	ck_assert_uint_eq(terminal_count(terminal, "berta now"), 1);
	terminal_type(terminal, "/quit\r");
	ck_assert_int_eq(terminal_wait_end(terminal), 0);
	terminal_done(terminal);
	scene_end(&scene);
}
END_TEST

START_TEST(other_rooms_are_counted_and_shown_later)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "abc");
	say(scene.anna, "builds", "it compiles");
	terminal_wait_cursor(terminal, "[ops | builds 1] abc", 20);
	say(scene.anna, "builds", "BERT: and links");
	terminal_wait(terminal, "-- anna speaks of you in builds");
	terminal_wait_cursor(terminal, "[ops | builds 2!] abc", 21);
	ck_assert_uint_eq(terminal_count(terminal, "it compiles"), 0);
	terminal_type(terminal, "\003/2\r");
	terminal_wait(terminal, "anna: it compiles");
	terminal_wait(terminal, "anna: BERT: and links");
	terminal_wait_cursor(terminal, "[builds]", 9);
	terminal_type(terminal, "thanks\r");
	terminal_wait(terminal, "bert: thanks");
	terminal_type(terminal, "/room ops\r");
	terminal_wait_cursor(terminal, "[ops]", 6);
	terminal_type(terminal, "/join new\rhello\r"); /* meant for the new room */
	terminal_wait(terminal, "bert: hello");
	terminal_wait_cursor(terminal, "[new]", 6);
	terminal_type(terminal, "/leave\r");
	terminal_wait(terminal, "-- you left new");
	terminal_wait_cursor(terminal, "[builds]", 9);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(a_conversation_begins_with_the_last_messages)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	for (int i = 0; i < 25; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "before %02d.", i);
		say(scene.anna, "ops", text);
	}
	scene_chat(&scene, NULL, NULL);
	say(scene.anna, "ops", "after");
	terminal_wait(terminal, "anna: after");
	ck_assert_uint_eq(terminal_count(terminal, "before 04."), 0);
	ck_assert_uint_eq(terminal_count(terminal, "before"), 20);
	for (int i = 5; i < 25; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "before %02d.", i);
		ck_assert_uint_eq(terminal_count(terminal, text), 1);
	}
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

/* ---- the connection ---- */

static void restart_end(struct scene *scene)
{
	hang_up(&scene->anna);
	server_signal(&scene->server, SIGTERM);
	ck_assert_int_eq(server_wait_end(&scene->server), 0);
}

static void restart_begin(struct scene *scene)
{
	const struct server_setup setup = {.config = config};

	scene->server.n_listening = 0;
	server_start(&scene->server, &setup);
}

START_TEST(it_comes_back_after_a_restart)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	terminal_start(terminal, (const char *[]){scene.home, NULL},
		       WORDS("-c", scene.unix_address, "chat", "ops"));
	terminal_wait_cursor(terminal, "[ops]", 6);
	say(scene.anna, "ops", "before it");
	terminal_wait(terminal, "anna: before it");
	terminal_type(terminal, "half a li");
	terminal_wait_cursor(terminal, "[ops] half a li", 15);

	restart_end(&scene);
	terminal_wait(terminal, "-- connection lost, trying again");
	terminal_wait_cursor(terminal, "[ops, not connected] half a li", 30);
	terminal_type(terminal, "ne\r");
	terminal_wait(terminal, "-- will be said when the connection is back: half a line");

	restart_begin(&scene);
	scene.anna = enter(&scene.server, "anna");
	terminal_wait(terminal, "-- back");
	terminal_wait(terminal, ": half a line");
	terminal_wait_cursor(terminal, "[ops]", 6);
	say(scene.anna, "ops", "after it");
	terminal_wait(terminal, "anna: after it");
	ck_assert_uint_eq(terminal_count(terminal, "anna: before it"), 1);
	ck_assert_uint_eq(terminal_count(terminal, ": half a line"), 2);
	ck_assert_uint_eq(terminal_count(terminal, "-- connection lost"), 1);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

/* Who was thrown out learns why, once, and does not come back by itself. */
START_TEST(it_ends_when_it_is_thrown_out)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;
	int admin;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	terminal_type(terminal, "half a li");
	terminal_wait_cursor(terminal, "[ops] half a li", 15);
	admin = client(&scene.server, "chat", "unix:");
	ask(admin, "{\"op\":\"kick\",\"nick\":\"bert\",\"reason\":\"too loud\"}");
	terminal_wait(terminal, "too loud");
	ck_assert_int_eq(terminal_wait_end(terminal), 1);
	ck_assert_uint_eq(terminal_count(terminal, "retort: the server closed the connection"), 1);
	ck_assert_uint_eq(terminal_count(terminal, "too loud"), 1);
	terminal_done(terminal);
	hang_up(&admin);
	scene_end(&scene);
}
END_TEST

/* In a child: passes everything on between the next client of listener and the daemon. */
static void pass_on(int listener, const char *address)
{
	int ends[2] = {accept_one(listener), connect_to(address)};
	char data[4096];

	for (;;) {
		struct pollfd polled[] = {
			{.fd = ends[0], .events = POLLIN},
			{.fd = ends[1], .events = POLLIN},
		};

		if (poll(polled, 2, -1) < 0)
			_exit(1);
		for (int i = 0; i < 2; i++) {
			ssize_t n = polled[i].revents ? read(ends[i], data, sizeof(data)) : 0;

			if (polled[i].revents && n <= 0)
				_exit(0);
			if (n > 0 && write(ends[1 - i], data, (size_t)n) != n)
				_exit(1);
		}
	}
}

static pid_t proxy_start(int listener, const char *address)
{
	pid_t parent = getpid(), pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		pass_on(listener, address);
	}
	return pid;
}

static void proxy_end(pid_t pid)
{
	(void)kill(pid, SIGKILL); /* it may have ended */
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(what_was_missed_is_counted_and_shown)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;
	char address[64];
	pid_t proxy;
	int listener;

	scene_begin(&scene);
	listener = listen_anywhere(address);
	proxy = proxy_start(listener, scene.unix_address);
	terminal_start(terminal, (const char *[]){scene.home, NULL},
		       WORDS("-c", address, "chat", "ops"));
	terminal_wait_cursor(terminal, "[ops]", 6);
	say(scene.anna, "ops", "seen");
	terminal_wait(terminal, "anna: seen");
	proxy_end(proxy);
	terminal_wait(terminal, "-- connection lost, trying again");
	for (int i = 0; i < 3; i++)
		say(scene.anna, "ops", i == 0 ? "one" : i == 1 ? "two" : "three");
	proxy = proxy_start(listener, scene.unix_address);
	terminal_wait(terminal, "-- back; 3 messages missed");
	terminal_wait(terminal, "anna: three");
	closep(&listener);
	ck_assert_uint_eq(terminal_count(terminal, "anna: seen"), 1);
	ck_assert_uint_eq(terminal_count(terminal, "anna: one"), 1);
	ck_assert_uint_eq(terminal_count(terminal, "anna: three"), 1);
	scene_quit(&scene);
	proxy_end(proxy);
	scene_end(&scene);
}
END_TEST

START_TEST(nobody_there_is_told)
{
	run_expect_error("", WORDS("-c", "unix:/nonexistent/chat.sock", "chat"), 69,
			 "no such socket");
}
END_TEST

/* ---- what a terminal is trusted with ---- */

START_TEST(others_cannot_touch_the_terminal)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	say(scene.anna, "ops",
	    "a\\u001b[2Jb\\u001b]0;title\\u0007c\\u202ed\\u009b2Je\\rf\\u0008g\\u007fh");
	terminal_wait(terminal, "anna: a^[[2Jb^[]0;title^Gc\\u{202E}d\\u{009B}2Je^Mf^Hg^?h");
	/* A second line cannot look like somebody else's. */
	say(scene.anna, "ops", "x\\n12:00 bert: I agree");
	terminal_wait(terminal, "      | 12:00 bert: I agree");
	ask(scene.anna, "{\"op\":\"topic\",\"room\":\"ops\",\"text\":\"\\u001b[31mred\"}");
	terminal_wait(terminal, "-- anna made the topic of ops: ^[[31mred");
	terminal_type(terminal, "/topic\r");
	terminal_wait(terminal, "-- the topic of ops is: ^[[31mred");
	ck_assert_uint_eq(terminal->bells, 0);
	ck_assert_ptr_null(memmem(terminal->raw.data, terminal->raw.len, "\033]", 2));
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(mentions_stand_out)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, NULL, NULL);
	say(scene.anna, "ops", "to bert's surprise");
	terminal_wait(terminal, "*anna: to bert's surprise");
	ck_assert_ptr_nonnull(memmem(terminal->raw.data, terminal->raw.len,
				     BOLD "to bert's surprise", strlen(BOLD "to bert's surprise")));
	say(scene.anna, "ops", "bertha is not meant");
	terminal_wait(terminal, " anna: bertha is not meant");
	ck_assert_uint_eq(terminal->bells, 0);
	scene_quit(&scene);

	scene_chat(&scene, NULL, WORDS("--bell"));
	say(scene.anna, "ops", "Bert?");
	terminal_wait(terminal, "*anna: Bert?");
	terminal_wait_cursor(terminal, "[ops]", 6);
	ck_assert_uint_eq(terminal->bells, 1);
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

static bool is_colored(const struct terminal *terminal)
{
	return memmem(terminal->raw.data, terminal->raw.len, "\033[38;5;", 7) != NULL;
}

START_TEST(colours_only_where_they_are_wanted)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	say(scene.anna, "ops", "hello");
	scene_chat(&scene, NULL, NULL);
	terminal_wait(terminal, "anna: hello");
	ck_assert(is_colored(terminal));
	scene_quit(&scene);
	scene_chat(&scene, WORDS("NO_COLOR=1"), NULL);
	terminal_wait(terminal, "anna: hello");
	ck_assert(!is_colored(terminal));
	scene_quit(&scene);
	scene_end(&scene);
}
END_TEST

START_TEST(a_dumb_terminal_gets_no_escape_sequence)
{
	struct scene scene;
	struct terminal *terminal = &scene.terminal;

	scene_begin(&scene);
	scene_chat(&scene, WORDS("TERM=dumb"), NULL);
	terminal_type(terminal, "hello");
	terminal_wait_cursor(terminal, "[ops] hello", 11);
	say(scene.anna, "ops", "bert: in between");
	terminal_wait(terminal, "*anna: bert: in between");
	terminal_wait_cursor(terminal, "[ops] hello", 11);
	ck_assert_uint_eq(terminal_count(terminal, "[ops]"), 1);
	terminal_type(terminal, " you\r");
	terminal_wait(terminal, "bert: hello you");
	terminal_type(terminal, "/to\t\003");
	terminal_wait_cursor(terminal, "[ops]", 6);
	scene_quit(&scene);
	ck_assert_uint_eq(terminal->bells, 0);
	scene_end(&scene);
}
END_TEST

/* ---- without a terminal ---- */

START_TEST(lines_of_a_pipe_are_said)
{
	const char input[] = "one\n/quit\n  three\nlast without an end";
	struct scene scene;
	struct run run;

	scene_begin(&scene);
	say(scene.anna, "ops", "long ago");
	run_expect(&run, input, WORDS("-c", TCP(&scene), "chat", "--nick", "bert", "ops"), 0);
	ck_assert_str_eq(run.error, "");
	ck_assert_ptr_null(strchr(run.out, '\033'));
	ck_assert_ptr_null(strstr(run.out, "long ago"));
	ck_assert_ptr_nonnull(strstr(run.out, " bert: one\n"));
	ck_assert_ptr_nonnull(strstr(run.out, " bert: /quit\n"));
	ck_assert_ptr_nonnull(strstr(run.out, " bert:   three\n"));
	ck_assert_ptr_nonnull(strstr(run.out, " bert: last without an end\n"));
	run_done(&run);

	run_expect(&run, "", WORDS("-c", TCP(&scene), "chat", "-n", "2", "ops"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, " bert:   three\n"));
	ck_assert_ptr_nonnull(strstr(run.out, " bert: last without an end\n"));
	ck_assert_ptr_null(strstr(run.out, "/quit"));
	run_done(&run);

	run_expect(&run, "json\n", WORDS("-c", TCP(&scene), "chat", "--json", "ops"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, "\"text\":\"json\""));
	ck_assert_uint_eq(strcspn(run.out, "\n") + 1, run.out_len);
	run_done(&run);

	/* With several rooms each message says where it is from; the first is spoken in. */
	run_expect(&run, "where?\n",
		   WORDS("-c", TCP(&scene), "chat", "-n1", "--nick", "bert", "builds", "ops"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, " [builds] bert: where?\n"));
	ck_assert_ptr_nonnull(strstr(run.out, " [ops] "));
	run_done(&run);
	scene_end(&scene);
}
END_TEST

START_TEST(a_pipe_is_said_as_fast_as_may_be_and_in_order)
{
	struct server server;
	struct run run;
	const char *at;

	server_start_config(&server, "listeners: ( { name = \"chat\"; service = \"chat\";\n"
				     "  listen = \"tcp://127.0.0.1:0\"; } );\n"
				     "chat: { rate: { messages = 50; burst = 1; }; };\n");
	run_expect(&run, "a\nb\nc\nd\ne\n",
		   WORDS("-c", server_address(&server, "chat", NULL), "chat", "--nick", "bert"), 0);
	ck_assert_str_eq(run.error, "");
	at = run.out;
	for (const char *letter = "abcde"; *letter; letter++) {
		const char want[] = {' ', 'b', 'e', 'r', 't', ':', ' ', *letter, '\n', 0};

		at = strstr(at, want);
		ck_assert_msg(at != NULL, "\"%s\" is not in its place: %s", want, run.out);
	}
	run_done(&run);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chat");

	harness_add(suite, messages_do_not_disturb_the_line);
	harness_add(suite, a_line_of_several_rows_stays_whole);
	harness_add(suite, the_window_may_change);
	harness_add(suite, words_are_completed);
	harness_add(suite, what_is_pasted_is_said_line_by_line);
	harness_add(suite, typed_lines_are_remembered);
	harness_add(suite, commands_are_obeyed);
	harness_add(suite, other_rooms_are_counted_and_shown_later);
	harness_add(suite, a_conversation_begins_with_the_last_messages);
	harness_add(suite, it_comes_back_after_a_restart);
	harness_add(suite, it_ends_when_it_is_thrown_out);
	harness_add(suite, what_was_missed_is_counted_and_shown);
	harness_add(suite, nobody_there_is_told);
	harness_add(suite, others_cannot_touch_the_terminal);
	harness_add(suite, mentions_stand_out);
	harness_add(suite, colours_only_where_they_are_wanted);
	harness_add(suite, a_dumb_terminal_gets_no_escape_sequence);
	harness_add(suite, lines_of_a_pipe_are_said);
	harness_add(suite, a_pipe_is_said_as_fast_as_may_be_and_in_order);
	return harness_main(suite);
}
