/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The client's commands for rooms and for administrators, against the real daemon: that they and it
 * mean the same, that restarts lose and double nothing, and what a person sees on a terminal.
 */

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_run.h"
#include "harness_terminal.h"

static const char config[] = "listeners: ( { name = \"chat\"; service = \"chat\";\n"
			     "  listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; } );\n"
			     "timeouts: { drain = \"1s\"; };\n"
			     "chat: { rooms: ( { name = \"ops\"; topic = \"what runs\"; } ); };\n";

static struct server server;

static void begin(void)
{
	const struct server_setup setup = {.config = config};

	server_start(&server, &setup);
}

/* Ends the daemon with this signal, and starts it again in the same place. */
static void restart(int signal_number)
{
	const struct server_setup setup = {.config = config};

	server_signal(&server, signal_number);
	(void)server_wait_end(&server);
	server.n_listening = 0;
	server_start(&server, &setup);
}

/* Starts the client where the daemon's sockets are. */
static void start(struct run *run, const char *input, const char *const *arguments)
{
	const struct run_setup setup = {
		.input = input,
		.input_len = input ? strlen(input) : 0,
		.directory = server.directory,
	};

	run_start(run, &setup, arguments);
}

static void finish(struct run *run, int status)
{
	run_end(run);
	ck_assert_msg(run->status == status, "status %d, not %d; it says: %s", run->status, status,
		      run->error);
}

/* Runs it to its end; what it prints is in run->out. */
static void expect(struct run *run, const char *input, const char *const *arguments, int status)
{
	start(run, input, arguments);
	finish(run, status);
}

/* The same, when nothing of what it prints is of interest but perhaps one thing in it. */
static void try(const char *input, const char *const *arguments, int status, const char *text)
{
	struct run run;

	expect(&run, input, arguments, status);
	ck_assert_msg(strstr(run.out, text) || strstr(run.error, text), "\"%s\" is not in: %s%s",
		      text, run.out, run.error);
	run_done(&run);
}

/* ---- saying and reading ---- */

START_TEST(test_say_and_tail)
{
	struct run run;
	json_t *event;

	begin();
	try("", WORDS("say", "ops"), 0, "");
	try(NULL, WORDS("say", "ops", "one", "two\x1b[2J", "three\nlines"), 0, "");
	try("\n\xff\nlast", WORDS("say", "OPS"), 0, "");
	expect(&run, NULL, WORDS("tail", "ops"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, ": one\n"));
	ck_assert_ptr_nonnull(strstr(run.out, ": two^[[2J\n"));
	ck_assert_ptr_nonnull(strstr(run.out, ": three^Jlines\n"));
	ck_assert_ptr_nonnull(strstr(run.out, ": \n"));
	ck_assert_ptr_nonnull(strstr(run.out, ": \xef\xbf\xbd\n"));
	ck_assert_ptr_nonnull(strstr(run.out, ": last\n"));
	run_done(&run);

	expect(&run, NULL, WORDS("tail", "ops", "-n", "1", "--json"), 0);
	event = json_loads(run.out, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(event, "event")), "message");
	ck_assert_str_eq(json_string_value(json_object_get(event, "room")), "ops");
	ck_assert_str_eq(json_string_value(json_object_get(event, "text")), "last");
	ck_assert_int_eq(json_integer_value(json_object_get(event, "seq")), 6);
	json_decref(event);
	run_done(&run);

	try(NULL, WORDS("tail", "nowhere"), 1, "no_such_room");
	try(NULL, WORDS("say", "no room", "x"), 1, "bad_name");
	server_stop(&server);
}
END_TEST

/* Counts lines, and asserts that each ends in the number of its place. */
static size_t count_in_order(const char *text)
{
	size_t n = 0;

	for (const char *line = text; *line; n++) {
		const char *end = strchr(line, '\n'), *number;

		ck_assert_msg(end != NULL, "the last line has no end: %s", line);
		number = memrchr(line, ' ', (size_t)(end - line));
		ck_assert_ptr_nonnull(number);
		ck_assert_uint_eq(strtoul(number, NULL, 10), n + 1);
		line = end + 1;
	}
	return n;
}

/* Makes a pipe that is not inherited but by what is started with an end of it. */
static void make_pipe(int ret_ends[2])
{
	ck_assert_int_eq(pipe2(ret_ends, O_CLOEXEC), 0);
}

static void write_lines(int fd, size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++)
		ck_assert_int_gt(dprintf(fd, "line %zu\n", i), 0);
}

/* Reads lines until there are n more of them. */
static void read_lines(int fd, struct buffer *text, size_t n)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	while (n > 0) {
		char byte;

		ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "%zu lines are missing",
			      n);
		ck_assert_int_eq(read(fd, &byte, 1), 1);
		ck_assert_int_eq(buffer_append(text, &byte, 1), 0);
		n -= byte == '\n';
	}
}

/* Through an orderly restart and through a crash: what is said comes once, and in order. */
START_TEST(test_restarts_lose_nothing)
{
	const size_t lines = harness_rounds(300, 100);
	CLEANUP(buffer_done) struct buffer text = {0};
	struct run_setup setup = {0};
	struct run say, tail;
	int input[2], output[2];

	begin();
	make_pipe(input);
	make_pipe(output);
	setup = (struct run_setup){.directory = server.directory, .out = output[1]};
	run_start(&tail, &setup, WORDS("tail", "-f", "ops", "--since", "0"));
	closep(&output[1]);
	setup = (struct run_setup){.directory = server.directory, .in = input[0]};
	run_start(&say, &setup, WORDS("--timeout", "30", "say", "ops"));
	closep(&input[0]);

	write_lines(input[1], 1, lines);
	read_lines(output[0], &text, lines);
	restart(SIGTERM);
	write_lines(input[1], lines + 1, 2 * lines);
	read_lines(output[0], &text, lines / 2); /* so it is in the middle of it */
	restart(SIGKILL);
	write_lines(input[1], 2 * lines + 1, 3 * lines);
	closep(&input[1]);
	finish(&say, 0);
	read_lines(output[0], &text, 2 * lines - lines / 2);
	ck_assert_int_eq(buffer_append(&text, "", 1), 0);
	ck_assert_uint_eq(count_in_order((const char *)text.data), 3 * lines);

	closep(&output[0]);
	finish(&tail, 128 + SIGPIPE);
	ck_assert_ptr_nonnull(strstr(tail.error, "connected again"));
	run_done(&tail);
	run_done(&say);
	expect(&tail, NULL, WORDS("tail", "ops", "--since", "0"), 0);
	ck_assert_uint_eq(count_in_order(tail.out), 3 * lines);
	run_done(&tail);
	server_stop(&server);
}
END_TEST

START_TEST(test_since_a_time)
{
	struct run run;

	begin();
	try("line 1\nline 2\n", WORDS("say", "ops"), 0, "");
	expect(&run, NULL, WORDS("tail", "ops", "--since", "1h"), 0);
	ck_assert_uint_eq(count_in_order(run.out), 2);
	run_done(&run);
	expect(&run, NULL, WORDS("tail", "ops", "--since", "2100-01-01"), 0);
	ck_assert_str_eq(run.out, "");
	run_done(&run);
	server_stop(&server);
}
END_TEST

/* ---- on a terminal ---- */

/* In the child: says what is in the file, with all but standard input on a terminal. */
static void become_say(const char *file)
{
	char path[PATH_MAX];
	const char *client_path = run_client_path(path);
	int fd = open(file, O_RDONLY);

	(void)unsetenv("RETORT_ADDRESS");
	(void)setenv("RUNTIME_DIRECTORY", server.directory, 1);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || close_range(3, ~0U, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(126);
	(void)execl(client_path, client_path, "say", "ops", NULL);
	_exit(127);
}

START_TEST(test_progress)
{
	static const char lines[] = "one\ntwo\nthree\n";
	CLEANUP(buffer_done) struct buffer shown = {0};
	char path[SERVER_PATH_MAX + 16], some[256];
	int terminal, status;
	ssize_t n;
	pid_t pid;

	begin();
	(void)snprintf(path, sizeof(path), "%s/lines", server.directory);
	file_write(path, lines, sizeof(lines) - 1);
	pid = forkpty(&terminal, NULL, NULL, NULL);
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become_say(path);
	while ((n = read(terminal, some, sizeof(some))) > 0)
		ck_assert_int_eq(buffer_append(&shown, some, (size_t)n), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	closep(&terminal);
	ck_assert_int_eq(buffer_append(&shown, "", 1), 0);
	ck_assert_ptr_nonnull(strstr((const char *)shown.data, "ops: 3 said, 100 %"));
	server_stop(&server);
}
END_TEST

START_TEST(test_headings)
{
	char directory[SERVER_PATH_MAX + 32];
	struct terminal terminal;

	begin();
	(void)snprintf(directory, sizeof(directory), "RUNTIME_DIRECTORY=%s", server.directory);
	terminal_start(&terminal, (const char *[]){directory, NULL}, WORDS("rooms"));
	terminal_wait(&terminal, "what runs");
	ck_assert_int_eq(terminal_wait_end(&terminal), 0);
	ck_assert_str_eq(terminal_row(&terminal, 0), "ROOM  MEMBERS  LAST  TOPIC");
	ck_assert_str_eq(terminal_row(&terminal, 1), "ops         0     0  what runs");
	terminal_done(&terminal);
	server_stop(&server);
}
END_TEST

/* ---- rooms and people ---- */

/* A guest, who stays connected and joins ops. */
static int enter(const char *nick)
{
	CLEANUP(buffer_done) struct buffer answer = {0};
	int fd = client(&server, "chat", "tcp:");
	char request[128];

	(void)snprintf(request, sizeof(request), "{\"op\":\"hello\",\"nick\":\"%s\"}", nick);
	send_frame(fd, request, strlen(request));
	ck_assert(!recv_frame(fd, &answer));
	ck_assert_ptr_nonnull(memmem(answer.data, answer.len, nick, strlen(nick)));
	send_frame(fd, "{\"op\":\"join\",\"room\":\"ops\"}", 26);
	ck_assert(!recv_frame(fd, &answer));
	ck_assert_ptr_nonnull(memmem(answer.data, answer.len, "\"ok\":true", 9));
	return fd;
}

START_TEST(test_rooms_and_who)
{
	struct run run;
	json_t *object;
	int anna;

	begin();
	anna = enter("anna");
	try(NULL, WORDS("say", "builds", "x"), 0, "");
	expect(&run, NULL, WORDS("rooms"), 0);
	ck_assert_ptr_nonnull(strstr(run.out, "ops\t1\t0\twhat runs\n"));
	ck_assert_ptr_nonnull(strstr(run.out, "builds\t0\t1\t\n"));
	run_done(&run);
	try(NULL, WORDS("who"), 0, "anna\t\t\t20");
	expect(&run, NULL, WORDS("who", "OPS", "--json"), 0);
	object = json_loads(run.out, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(object, "nick")), "anna");
	json_decref(object);
	run_done(&run);
	try(NULL, WORDS("who", "nowhere"), 1, "no_such_room");

	try(NULL, WORDS("topic", "ops"), 0, "what runs\n");
	try(NULL, WORDS("topic", "Ops", "new", "words"), 0, "");
	try(NULL, WORDS("topic", "ops", "--json"), 0,
	    "{\"room\":\"ops\",\"topic\":\"new words\"}\n");
	try(NULL, WORDS("topic", "ops", ""), 0, "");
	expect(&run, NULL, WORDS("topic", "ops"), 0);
	ck_assert_str_eq(run.out, "\n");
	run_done(&run);
	try(NULL, WORDS("topic", "nowhere"), 1, "no_such_room");
	hang_up(&anna);
	server_stop(&server);
}
END_TEST

START_TEST(test_transform)
{
	struct run run;

	begin();
	expect(&run, "straße\n\nab\n", WORDS("transform", "-t", "upper,reverse"), 0);
	ck_assert_str_eq(run.out, "ESSARTS\n\nBA\n");
	run_done(&run);
	try(NULL, WORDS("transform", "-t", "sideways", "x"), 1, "no such transform");
	server_stop(&server);
}
END_TEST

START_TEST(test_direct_message)
{
	CLEANUP(buffer_done) struct buffer event = {0};
	int anna;

	begin();
	anna = enter("anna");
	try(NULL, WORDS("say", "@anna", "psst"), 0, "");
	ck_assert(!recv_frame(anna, &event));
	ck_assert_ptr_nonnull(memmem(event.data, event.len, "psst", 4));
	try(NULL, WORDS("say", "@nobody-here", "psst"), 1, "no_such_nick");
	hang_up(&anna);
	server_stop(&server);
}
END_TEST

/* ---- through the control socket ---- */

START_TEST(test_status)
{
	const struct run_setup setup = {0};
	char path[SERVER_PATH_MAX + 16];
	struct run run;
	json_t *object;
	int anna;

	begin();
	anna = enter("anna");
	expect(&run, NULL, WORDS("status"), 0);
	ck_assert_ptr_eq(strstr(run.out, "retortd " RETORT_VERSION ", up "), run.out);
	ck_assert_ptr_nonnull(strstr(run.out, "\nrooms     1\n"));
	ck_assert_ptr_nonnull(strstr(run.out, "\nchat\tchat\t1\t2\t"));
	run_done(&run);
	expect(&run, NULL, WORDS("status", "--json"), 0);
	object = json_loads(run.out, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(object, "version")), RETORT_VERSION);
	ck_assert_ptr_null(json_object_get(object, "id"));
	ck_assert_int_gt(json_integer_value(json_object_get(object, "bytes_in")), 0);
	json_decref(object);
	run_done(&run);

	/* Wherever it is, and at a chat listener too. */
	(void)snprintf(path, sizeof(path), "%s/control.sock", server.directory);
	run_start(&run, &setup, WORDS("--timeout", "5", "clients", "--control", path));
	finish(&run, 0);
	ck_assert_ptr_nonnull(strstr(run.out, "\tanna\t\t20"));
	ck_assert_ptr_nonnull(strstr(run.out, "\tops\n"));
	run_done(&run);
	try(NULL, WORDS("-c", "unix:chat.sock", "clients"), 0, "\tanna\t");
	try(NULL, WORDS("health"), 0, "healthy\n");

	/* Who forgets the address is told where he got. */
	expect(&run, NULL, WORDS("ask", "hello"), 0);
	ck_assert_ptr_nonnull(strstr(run.error, "unix:chat.sock is the chat listener"));
	run_done(&run);
	hang_up(&anna);
	server_stop(&server);
}
END_TEST

START_TEST(test_moderation)
{
	int anna, bert;

	begin();
	anna = enter("anna");
	bert = enter("bert");
	try(NULL, WORDS("mute", "bert", "--duration", "1h", "too", "loud"), 0,
	    "muted bert until 20");
	try(NULL, WORDS("mute"), 0, "bert\tnick\t20");
	try(NULL, WORDS("mute"), 0, "\ttoo loud\n");
	try(NULL, WORDS("unmute", "bert"), 0, "unmuted bert\n");
	try(NULL, WORDS("unmute", "bert"), 1, "no_such_nick");

	try(NULL, WORDS("kick", "anna", "out"), 0, "kicked anna, 1 connection\n");
	expect_gone(anna);
	try(NULL, WORDS("kick", "nobody-here"), 1, "no_such_nick");
	try(NULL, WORDS("ban", "--address", "127.0.0.0/8"), 0, "banned 127.0.0.0/8");
	expect_gone(bert);
	restart(SIGTERM); /* which it outlives */
	try(NULL, WORDS("ban"), 0, "127.0.0.0/8\taddress\tfor ever\t");
	try(NULL, WORDS("unban", "--address", "127.0.0.0/8"), 0, "unbanned 127.0.0.0/8\n");
	hang_up(&anna);
	hang_up(&bert);
	anna = enter("anna");
	hang_up(&anna);
	server_stop(&server);
}
END_TEST

START_TEST(test_reload)
{
	begin();
	try(NULL, WORDS("reload"), 0, "in effect");
	server_write_config(&server, "%s", "listeners: ( { name = 5; } );\n");
	try(NULL, WORDS("reload"), 1, "not_reloaded");
	try(NULL, WORDS("health"), 0, "healthy\n");
	server_stop(&server);
}
END_TEST

START_TEST(test_not_permitted)
{
	struct run_setup setup = {.user = 65534};
	char path[SERVER_PATH_MAX + 16];
	struct run run;

	if (geteuid() != 0) {
		harness_skip("only root can become somebody else");
		return;
	}
	begin();
	(void)snprintf(path, sizeof(path), "%s/control.sock", server.directory);
	run_start(&run, &setup, WORDS("kick", "anna", "--control", path));
	run_end(&run);
	if (run.status == 127)
		harness_skip("the client cannot be run by somebody else from where it is");
	else
		ck_assert_msg(run.status == 77, "status %d: %s", run.status, run.error);
	run_done(&run);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_rooms");

	harness_add(suite, test_say_and_tail);
	harness_add(suite, test_restarts_lose_nothing);
	harness_add(suite, test_since_a_time);
	harness_add(suite, test_progress);
	harness_add(suite, test_headings);
	harness_add(suite, test_rooms_and_who);
	harness_add(suite, test_transform);
	harness_add(suite, test_direct_message);
	harness_add(suite, test_status);
	harness_add(suite, test_moderation);
	harness_add(suite, test_reload);
	harness_add(suite, test_not_permitted);
	return harness_main(suite);
}
