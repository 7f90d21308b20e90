/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The log where standard error is connected to the journal: entries with fields, in the journal's
 * native protocol. A socket of ours stands in the journal's place, in a mount namespace. Then, that
 * nobody who takes the log can hold the daemon up, and how much is logged.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "harness_chat.h"
#include "harness_manager.h"

static const struct sockaddr_un journal_address = {.sun_family = AF_UNIX,
						   .sun_path = "/run/systemd/journal/socket"};

/* Makes the place for a journal; false where that cannot be done. */
static bool make_place(void)
{
	if (harness_private_mounts() && mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 &&
	    mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0)
		return true;
	harness_skip("no mount namespace of our own, so no journal to stand in for");
	return false;
}

/* Takes the journal's place, of which it takes another one out. */
static int take_place(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	(void)unlink(journal_address.sun_path);
	ck_assert_int_eq(
		bind(fd, (const struct sockaddr *)&journal_address, sizeof journal_address), 0);
	return fd;
}

/* Both; -1 where that cannot be done. */
static int fake_journal(void)
{
	return make_place() ? take_place() : -1;
}

/* Receives the next entry: "FIELD=value" lines, as there is no LF in any value of ours. */
static char *next_entry(int journal)
{
	struct pollfd polled = {journal, POLLIN, 0};
	static char entry[16384];
	ssize_t n;

	ck_assert_msg(poll(&polled, 1, harness_patience()) == 1, "no entry");
	n = recv(journal, entry + 1, sizeof entry - 2, 0);
	ck_assert_int_gt(n, 0);
	entry[0] = '\n';
	entry[n + 1] = 0;
	return entry;
}

/* Receives entries until one has this line. */
static char *wait_entry(int journal, const char *line)
{
	char *entry;

	do {
		entry = next_entry(journal);
	} while (!strstr(entry, line));
	return entry;
}

/* The number behind these words, which are there. */
static unsigned long number_behind(const char *entry, const char *words)
{
	const char *at = strstr(entry, words);

	ck_assert_ptr_nonnull(at);
	return strtoul(at + strlen(words), NULL, 10);
}

static void assert_field(const char *entry, const char *field)
{
	ck_assert_msg(strstr(entry, field) != NULL, "no \"%s\" in: %s", field + 1, entry);
}

static const char one_client[] =
	"listeners: ({ name = \"a\"; max_clients = 1; listen = \"unix:a\"; });";
static const char many_clients[] = "listeners: ({ name = \"a\"; listen = \"unix:a\"; });";

/* Starts a daemon that writes all to error_output, as if that were the journal's stream. */
static void start_by(void (*start_it)(struct server *server, const struct server_setup *setup),
		     struct server *server, const char *config, int error_output)
{
	char stream[64];
	struct stat status;

	ck_assert_int_eq(fstat(error_output, &status), 0);
	(void)sprintf(stream, "JOURNAL_STREAM=%ju:%ju", (uintmax_t)status.st_dev,
		      (uintmax_t)status.st_ino);
	start_it(server, &(struct server_setup){.config = config,
						.arguments = (const char *const[]){"-v", NULL},
						.environment = (const char *const[]){stream, NULL},
						.error_output = error_output});
}

static void start(struct server *server, const char *config, int error_output)
{
	server_init(server);
	start_by(server_start, server, config, error_output);
}

/* What stands for the journal's stream where nothing is to be seen of it. */
static int open_null(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Connects to listener a, which is on a Unix socket. */
static int connect_a(const struct server *server)
{
	char address[SERVER_PATH_MAX + 16];

	(void)sprintf(address, "unix:%s/a", server->directory);
	return connect_to(address);
}

/* Whole lives of clients, each of which is served. */
static void serve_clients(const struct server *server, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CLEANUP(closep) int fd = connect_a(server);

		send_text(fd, "6         secret");
		expect_text(fd, "6         secret");
	}
}

static void expect_connected(int journal, unsigned client)
{
	char field[64];
	char *entry;

	(void)sprintf(field, "\nRETORT_CLIENT=%u\n", client);
	do {
		entry = wait_entry(journal, field);
	} while (!strstr(entry, ": connected\n"));
}

START_TEST(entries_have_fields)
{
	CLEANUP(closep) int journal = fake_journal(), fd = -1, refused = -1;
	char peer[64], *entry;
	struct pollfd silent;
	struct server server;
	int ends[2];

	if (journal < 0)
		return;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	start(&server, one_client, ends[1]);

	entry = wait_entry(journal, "MESSAGE=a: listening on unix:");
	assert_field(entry, "\nRETORT_LISTENER=a\n");
	assert_field(entry, "\nPRIORITY=6\n");
	assert_field(entry, "\nSYSLOG_IDENTIFIER=retortd\n");
	assert_field(entry, "\nMESSAGE_ID=");

	(void)sprintf(peer, "\nRETORT_PEER=unix:pid=%d\n", (int)getpid());
	fd = connect_a(&server);
	send_text(fd, "6         secret");
	expect_text(fd, "6         secret");
	refused = connect_a(&server);
	expect_error_frame(refused, "client");
	entry = wait_entry(journal, "RETORT_REASON=too many clients\n");
	assert_field(entry, "\nPRIORITY=5\n");
	assert_field(entry, "\nRETORT_CLIENT=2\n");
	assert_field(entry, "\nRETORT_LISTENER=a\n");
	assert_field(entry, peer);
	assert_field(entry, "\nMESSAGE_ID=");

	send_text(fd, "secret");
	expect_error_frame(fd, "bad frame header");
	entry = wait_entry(journal, "RETORT_REASON=bad frame header\n");
	assert_field(entry, "\nPRIORITY=5\n");
	assert_field(entry, "\nRETORT_CLIENT=1\n");
	assert_field(entry, peer);
	ck_assert_ptr_null(strstr(entry, "secret"));
	hang_up(&fd);
	hang_up(&refused);

	entry = wait_entry(journal, "RETORT_MESSAGES=1\n");
	assert_field(entry, "\nPRIORITY=7\n");
	assert_field(entry, "\nRETORT_BYTES_IN=22\n");
	assert_field(entry, "\nRETORT_BYTES_OUT=42\n");
	assert_field(entry, "\nRETORT_CLIENT=1\n");
	ck_assert_ptr_null(strstr(entry, "secret"));
	server_stop(&server);

	/* Nothing goes to standard error beside it. */
	silent = (struct pollfd){ends[0], POLLIN, 0};
	(void)close(ends[1]);
	ck_assert_int_eq(poll(&silent, 1, harness_patience()), 1);
	expect_end(ends[0]);
	(void)close(ends[0]);
}
END_TEST

/* Starts a daemon where people talk, and says it where it listens. */
static void start_chat(struct server *server, const char *settings, int journal, int error_output)
{
	char config[1024], *entry;
	unsigned long port;

	(void)sprintf(config,
		      "listeners: ({ name = \"chat\"; service = \"chat\"; "
		      "listen = [ \"unix:chat\", \"tcp://127.0.0.1:0\" ]; }); "
		      "chat: { admins = [ \"%s\" ]; rooms: ({ name = \"lobby\"; }); }; %s",
		      chat_me(), settings);
	start(server, config, error_output);
	entry = wait_entry(journal, "MESSAGE=chat: listening on tcp://127.0.0.1:");
	port = number_behind(entry, "tcp://127.0.0.1:");
	server->n_listening = 2;
	(void)strcpy(server->listening[0].name, "chat");
	(void)sprintf(server->listening[0].address, "tcp://127.0.0.1:%lu", port);
	(void)strcpy(server->listening[1].name, "chat");
	(void)sprintf(server->listening[1].address, "unix:%s/chat", server->directory);
}

/* One entry of a connection's story: what its message ends with, and fields. */
struct told {
	const char *message, *field, *nick;
};

/*
 * Takes all entries until n of them have been told of the first client, in turn; of each it is
 * known whom it is about.
 */
static void expect_story(int journal, const struct told *story, size_t n)
{
	for (size_t i = 0; i < n;) {
		const char *entry = next_entry(journal), *message;

		ck_assert_ptr_null(strstr(entry, "secret"));
		if (!strstr(entry, "\nRETORT_CLIENT=1\n"))
			continue;
		assert_field(entry, "\nRETORT_LISTENER=chat\n");
		assert_field(entry, "\nRETORT_PEER=tcp://127.0.0.1:");
		assert_field(entry, "\nMESSAGE_ID=");
		message = strstr(entry, "\nMESSAGE=chat: client 1 (tcp://127.0.0.1:");
		ck_assert_msg(message != NULL, "%s", entry);
		message = strstr(message, "): ") + 3;
		ck_assert_msg(strncmp(message, story[i].message, strlen(story[i].message)) == 0,
			      "%s instead of %s", message, story[i].message);
		assert_field(entry, story[i].field);
		if (story[i].nick)
			assert_field(entry, story[i].nick);
		ck_assert_ptr_null(strstr(entry, "\nRETORT_USER=")); /* a guest */
		i++;
	}
}

static const char anna_s[] = "\nRETORT_NICK=anna\n";

/* What 'journalctl RETORT_CLIENT=1' tells. */
START_TEST(a_connection_has_a_story)
{
	static const struct told story[] = {
		{"connected\n", "\nPRIORITY=7\n", NULL},
		{"known as a guest\n", "\nPRIORITY=7\n", "\nRETORT_NICK=guest-1\n"},
		{"known by this nick\n", "\nPRIORITY=7\n", anna_s},
		{"joined lobby\n", "\nRETORT_ROOM=lobby\n", anna_s},
		{"say refused: no_such_room\n", "\nRETORT_REASON=no_such_room\n", anna_s},
		{"request refused: bad_json\n", "\nRETORT_REASON=bad_json\n", anna_s},
		{"left lobby\n", "\nRETORT_ROOM=lobby\n", anna_s},
		{"its connection is ended: kicked by ", "\nPRIORITY=5\n", anna_s},
		/* The six below, and a ping by which the harness sees that a refusal ends nothing.
		 */
		{"gone: kicked by an administrator\n", "\nRETORT_MESSAGES=7\n", anna_s},
	};
	CLEANUP(closep) int journal = fake_journal();
	CHATTER anna = {.fd = -1}, admin = {.fd = -1};
	char field[128], *entry;
	struct server server;
	int null;

	if (journal < 0)
		return;
	null = open_null();
	start_chat(&server, "", journal, null);
	chatter_open(&anna, &server, "chat", "tcp:");
	expect_ok(&anna, "{'op':'hello','nick':'anna'}");
	expect_ok(&anna, "{'op':'join','room':'lobby'}");
	expect_ok(&anna, "{'op':'say','room':'lobby','text':'secret'}");
	expect_message(&anna, "lobby", 1, "secret");
	expect_error(&anna, "no_such_room", "{'op':'say','room':'ops','text':'secret'}");
	chatter_send_raw(&anna, "secret", 6);
	expect_refusal(&anna, "bad_json");
	expect_ok(&anna, "{'op':'leave','room':'lobby'}");
	chatter_open(&admin, &server, "chat", "unix:");
	expect_ok(&admin, "{'op':'kick','nick':'anna','reason':'spam'}");
	expect_closing(&anna, "kicked", false);
	chatter_done(&anna);
	anna.fd = -1;
	expect_story(journal, story, ARRAY_SIZE(story));

	expect_ok(&admin, "{'op':'join','room':'lobby'}");
	expect_ok(&admin, "{'op':'mute','nick':'anna','reason':'spam'}");
	entry = wait_entry(journal, " muted \"anna\": spam\n");
	assert_field(entry, "\nRETORT_CLIENT=2\n");
	assert_field(entry, "\nRETORT_PEER=unix:pid=");
	assert_field(entry, "\nRETORT_REASON=spam\n");
	(void)sprintf(field, "\nRETORT_USER=%s\n", chat_me());
	assert_field(entry, field);
	server_stop(&server);
	(void)close(null);
}
END_TEST

/* Takes entries until one of this client has this reason, which names its user, unless NULL. */
static void expect_named(int journal, const char *reason, unsigned client, const char *nick,
			 const char *user)
{
	char line[128], field[128];
	char *entry;

	(void)snprintf(line, sizeof line, "\nRETORT_REASON=%s\n", reason);
	(void)snprintf(field, sizeof field, "\nRETORT_CLIENT=%u\n", client);
	do {
		entry = wait_entry(journal, line);
	} while (!strstr(entry, field));
	(void)snprintf(field, sizeof field, "\nRETORT_NICK=%s\n", nick);
	assert_field(entry, field);
	(void)snprintf(field, sizeof field, "\nRETORT_USER=%s\n", user ? user : "");
	ck_assert_msg(!strstr(entry, user ? field : "\nRETORT_USER=") == !user, "%s", entry);
}

/* What the threads that serve clients say of them, who may have got another name elsewhere. */
START_TEST(who_is_cut_off_has_a_name)
{
	CLEANUP(closep) int journal = fake_journal();
	CHATTER anna = {.fd = -1}, one = {.fd = -1}, other = {.fd = -1}, admin = {.fd = -1};
	CHATTER banned = {.fd = -1};
	struct server server;
	int null;

	if (journal < 0)
		return;
	null = open_null();
	start_chat(&server, "workers = 2; timeouts: { message = \"100ms\"; drain = \"200ms\"; };",
		   journal, null);
	chatter_enter(&anna, &server, "anna", "lobby");
	send_text(anna.fd, "12345678901");
	expect_named(journal, "message longer than max_message", 1, "anna", NULL);
	hang_up(&anna.fd);
	expect_named(journal, "message longer than max_message", 1, "anna", NULL); /* gone */

	chatter_open(&one, &server, "chat", "unix:");
	expect_ok(&one, "{'op':'who'}"); /* so it is the first of them */
	chatter_open(&other, &server, "chat", "unix:");
	expect_ok(&other, "{'op':'hello','nick':'chief'}");
	expect_ok(&one, "{'op':'who'}"); /* behind the news of its name */
	send_text(one.fd, "5         x");
	expect_named(journal, "message not finished in time", 2, "chief", chat_me());
	send_text(other.fd, "nonsense--");
	expect_named(journal, "bad frame header", 3, "chief", chat_me());

	/* Who is not let in, and who is on the control socket. */
	chatter_open(&admin, &server, "chat", "unix:");
	expect_ok(&admin, "{'op':'ban','address':'127.0.0.1'}");
	chatter_open(&banned, &server, "chat", "tcp:");
	expect_closing(&banned, "banned", false);
	hang_up(&banned.fd);
	expect_named(journal, "banned", 5, "guest-5", NULL); /* by the hub */
	expect_named(journal, "banned", 5, "guest-5", NULL); /* gone */
	chatter_done(&banned);
	banned = (struct chatter){.fd = -1};
	chatter_open_control(&banned, &server, FRAMING_LENGTH);
	expect_ok(&banned, "{'op':'unban','address':'127.0.0.1'}");
	send_text(banned.fd, "1nonsense-");
	expect_named(journal, "bad frame header", 6, "chief", chat_me());
	server_stop(&server);
	(void)close(null);
}
END_TEST

/* Has the next daemons of a manager log to the journal: only the program knows its error output. */
static void use_journal(struct manager *manager, char program[static SERVER_PATH_MAX])
{
	static const char script[] = "#!/bin/sh\n"
				     "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)\n"
				     "export JOURNAL_STREAM\n"
				     "exec \"$RETORTD\" \"$@\"\n";

	(void)snprintf(program, SERVER_PATH_MAX, "%.90s/to-journal", manager->server.directory);
	file_write(program, script, strlen(script));
	ck_assert_int_eq(chmod(program, 0755), 0);
	manager->program = program;
}

/* A process that has taken over knows who they are. */
static void check_next_process(void (*restart)(struct manager *manager))
{
	CLEANUP(closep) int journal = fake_journal();
	CHATTER anna = {.fd = -1}, chief = {.fd = -1}, third = {.fd = -1};
	char program[SERVER_PATH_MAX];
	struct manager manager;

	if (journal < 0)
		return;
	manager_init(&manager);
	manager_start(&manager, "crash_safe = true; workers = 1; "
				"listeners: ({ name = \"chat\"; service = \"chat\"; "
				"listen = [ \"unix:chat\", \"tcp://127.0.0.1:0\" ]; });");
	chatter_enter(&anna, &manager.server, "anna", "lobby");
	chatter_open(&chief, &manager.server, "chat", "unix:");
	expect_ok(&chief, "{'op':'hello','nick':'chief'}");
	chatter_open(&third, &manager.server, "chat", "tcp:");
	expect_ok(&third, "{'op':'ping'}"); /* the others' turns are over */
	use_journal(&manager, program);
	restart(&manager);
	expect_ok(&anna, "{'op':'who'}");
	send_text(anna.fd, "12345678901");
	expect_named(journal, "message longer than max_message", 1, "anna", NULL);
	expect_ok(&chief, "{'op':'who'}");
	send_text(chief.fd, "nonsense--");
	expect_named(journal, "bad frame header", 2, "chief", chat_me());
	manager_stop(&manager);
}

START_TEST(names_go_over)
{
	check_next_process(manager_restart);
}
END_TEST

START_TEST(names_survive)
{
	check_next_process(manager_crash);
}
END_TEST

/* $JOURNAL_STREAM is of another stream: standard error was redirected, and gets the lines. */
START_TEST(another_stream_gets_lines)
{
	struct server server;
	char *said;

	server_init(&server);
	server_start(&server,
		     &(struct server_setup){
			     .config = "listeners: ({ name = \"a\"; listen = \"unix:a\"; });",
			     .environment = (const char *const[]){"JOURNAL_STREAM=1:2", NULL}});
	said = server_wait_log(&server, "a: listening on unix:");
	free(said);
	server_stop(&server);
}
END_TEST

/* A journal that stands still: clients are served, and what was lost is said when it goes on. */
START_TEST(a_full_journal_holds_up_nobody)
{
	enum { CLIENTS = 800 }; /* whose entries are more than what is kept */
	CLEANUP(closep) int journal = fake_journal();
	unsigned long lost;
	struct server server;
	char *entry;
	int null;

	if (journal < 0)
		return;
	null = open_null();
	ck_assert_int_eq(setsockopt(journal, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
	start(&server, many_clients, null);
	serve_clients(&server, CLIENTS);
	expect_connected(journal, 1);
	expect_connected(journal, 2); /* in turn */
	entry = wait_entry(journal, " could not be logged from ");
	assert_field(entry, "\nPRIORITY=4\n");
	assert_field(entry, "\nMESSAGE_ID=c8a09c75779d4d4bbf7f599974f293d8\n");
	assert_field(entry, "\nRETORT_REASON=the journal took none\n");
	lost = number_behind(entry, "\nMESSAGE=");
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, 2UL * CLIENTS);
	serve_clients(&server, 1);
	expect_connected(journal, CLIENTS + 1);
	server_signal(&server, SIGTERM);
	(void)wait_entry(journal, "MESSAGE=stopping by signal TERM");
	server_assert_ended(&server, 0);
	server_done(&server);
	(void)close(null);
}
END_TEST

/* A journal that goes, and comes as another socket of the same name. */
START_TEST(a_journal_may_be_restarted)
{
	CLEANUP(closep) int old = -1, journal = -1;
	struct server server;
	int null;

	if (!make_place())
		return;
	null = open_null();
	start(&server, many_clients, null); /* before there is any */
	serve_clients(&server, 1);
	old = take_place();
	(void)wait_entry(old, "MESSAGE=a: listening on unix:");
	expect_connected(old, 1);
	ck_assert_int_eq(unlink(journal_address.sun_path), 0); /* gone, and yet not closed */
	serve_clients(&server, 2);
	journal = take_place();
	expect_connected(journal, 2);
	expect_connected(journal, 3);
	hang_up(&journal);
	serve_clients(&server, 1);
	journal = take_place();
	expect_connected(journal, 4);
	server_stop(&server);
	(void)close(null);
}
END_TEST

/* Without any journal: nobody scrolls the pager, and then somebody does. */
START_TEST(a_full_pipe_holds_up_nobody)
{
	struct buffer text = {0};
	struct server server;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	server_init(&server);
	server_start(&server, &(struct server_setup){.config = many_clients,
						     .arguments = (const char *const[]){"-v", NULL},
						     .error_output = ends[1]});
	(void)close(ends[1]);
	serve_clients(&server, 3000);
	do {
		ssize_t n;

		ck_assert_int_eq(buffer_reserve(&text, 4096), 0);
		n = read(ends[0], text.data + text.len, 4095);
		ck_assert_int_gt(n, 0);
		text.len += (size_t)n;
		text.data[text.len] = '\0';
	} while (!strstr((const char *)text.data, " could not be logged from "));
	ck_assert_ptr_nonnull(strstr((const char *)text.data, ": connected\n"));
	buffer_done(&text);

	/* Nor when the pager is gone altogether. */
	(void)close(ends[0]);
	serve_clients(&server, 100);
	server_stop(&server);
}
END_TEST

/* Bursts are folded: at most one a second for each kind and listener, with a count. */
START_TEST(bursts_are_folded)
{
	enum { BURST = 100 };
	uint64_t begun = harness_now();
	struct server server;
	char *said;

	server_start_config(&server, "%s",
			    "listeners: ({ name = \"a\"; listen = \"tcp://127.0.0.1:0\"; });");
	for (int i = 0; i < BURST; i++) {
		CLEANUP(closep) int fd = client(&server, "a", NULL);

		send_text(fd, "nonsense");
		expect_error_frame(fd, "bad frame header");
	}
	ck_assert_uint_eq(server_counter(&server, "a", "bad frame headers"), BURST);
	said = server_wait_log(&server, " more such entr");
	ck_assert_ptr_nonnull(strstr(said, " a: "));
	free(said);
	ck_assert_uint_le(server_count_log(&server, "bad frame header, closing"),
			  (harness_now() - begun) / 1000 + 2);
	server_stop(&server);
}
END_TEST

static size_t count_connected(const struct server *server)
{
	return server_count_log(server, ": connected\n");
}

/* Has a configuration with this level taken, and waits until all is logged that came before. */
static void reload_level(struct server *server, const char *level)
{
	server_write_config(server, "log_level = \"%s\"; %s", level, many_clients);
	server_signal(server, SIGHUP);
	server_wait_notify(server, "RELOADING=1");
	server_wait_notify(server, "READY=1");
}

START_TEST(the_level_is_configured)
{
	struct server server;

	server_start_config(&server, "log_level = \"err\"; %s", many_clients);
	serve_clients(&server, 1);
	reload_level(&server, "debug");
	serve_clients(&server, 1);
	free(server_wait_log(&server, "client 2 "));
	ck_assert_uint_eq(count_connected(&server), 1);
	reload_level(&server, "notice");
	serve_clients(&server, 1);
	server_signal(&server, SIGUSR1);
	free(server_wait_log(&server, "summary: "));
	ck_assert_uint_eq(count_connected(&server), 1);
	ck_assert_uint_eq(server_count_log(&server, "listening on"), 0);
	ck_assert_uint_eq(server_count_log(&server, "configuration reloaded"), 2);

	/* One that is wrong changes nothing. */
	server_write_config(&server, "log_level = \"debug\"; log_level = 5;");
	server_signal(&server, SIGHUP);
	free(server_wait_log(&server, "configuration not reloaded"));
	serve_clients(&server, 1);
	server_signal(&server, SIGUSR1);
	free(server_wait_log(&server, "summary: "));
	ck_assert_uint_eq(count_connected(&server), 1);
	server_stop(&server);
}
END_TEST

/* The command line stands above the file. */
START_TEST(verbose_is_above_the_level)
{
	struct server server;

	server_init(&server);
	server_start(&server, &(struct server_setup){
				      .config = "log_level = \"err\"; listeners: ({ name = \"a\"; "
						"listen = \"unix:a\"; });",
				      .arguments = (const char *const[]){"--verbose", NULL}});
	serve_clients(&server, 1);
	free(server_wait_log(&server, ": connected"));
	reload_level(&server, "err");
	serve_clients(&server, 1);
	free(server_wait_log(&server, ": connected"));
	server_stop(&server);
}
END_TEST

/* Who looks up its sender when an entry is read, as the journal does, still finds it. */
START_TEST(a_short_life_has_a_story)
{
	struct server server;
	struct pollfd ended = {.events = POLLIN};
	char path[SERVER_PATH_MAX + 16];
	int journal = fake_journal();
	uint64_t begun;
	char first;

	if (journal < 0)
		return;
	server_init(&server);
	(void)sprintf(path, "%s/a", server.directory);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	begun = harness_now();
	start_by(server_spawn, &server, many_clients, journal);
	ck_assert_int_eq(recv(journal, &first, 1, MSG_PEEK), 1);
	ended.fd = pidfd_open(server.pid, 0);
	ck_assert_int_ge(ended.fd, 0);
	/* It waits for a second; this may be later than that. */
	ck_assert(poll(&ended, 1, 100) == 0 || harness_now() - begun >= 1000);
	assert_field(next_entry(journal), "\nPRIORITY=3\n");
	server_assert_ended(&server, EX_UNAVAILABLE);
	server_done(&server);
	(void)close(ended.fd);
	(void)close(journal);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_journal");

	harness_add(suite, entries_have_fields);
	harness_add(suite, a_connection_has_a_story);
	harness_add(suite, who_is_cut_off_has_a_name);
	harness_add(suite, names_go_over);
	harness_add(suite, names_survive);
	harness_add(suite, a_short_life_has_a_story);
	harness_add(suite, a_full_journal_holds_up_nobody);
	harness_add(suite, a_journal_may_be_restarted);
	harness_add(suite, a_full_pipe_holds_up_nobody);
	harness_add(suite, the_level_is_configured);
	harness_add(suite, verbose_is_above_the_level);
	harness_add(suite, another_stream_gets_lines);
	harness_add(suite, bursts_are_folded);
	return harness_main(suite);
}
