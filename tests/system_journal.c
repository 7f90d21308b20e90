/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The log where standard error is connected to the journal: entries with fields, in the journal's
 * native protocol. A socket of ours stands in the journal's place, in a mount namespace.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

/* Takes the journal's place; -1 where that cannot be done. */
static int fake_journal(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX,
				      .sun_path = "/run/systemd/journal/socket"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	if (!harness_private_mounts() || mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 ||
	    mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
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

static void assert_field(const char *entry, const char *field)
{
	ck_assert_msg(strstr(entry, field) != NULL, "no \"%s\" in: %s", field + 1, entry);
}

static void start(struct server *server, int error_output)
{
	char stream[64];
	struct stat status;

	ck_assert_int_eq(fstat(error_output, &status), 0);
	(void)sprintf(stream, "JOURNAL_STREAM=%ju:%ju", (uintmax_t)status.st_dev,
		      (uintmax_t)status.st_ino);
	server_init(server);
	server_start(server, &(struct server_setup){
				     .config = "listeners: ({ name = \"a\"; max_clients = 1; "
					       "listen = \"unix:a\"; });",
				     .arguments = (const char *const[]){"-v", NULL},
				     .environment = (const char *const[]){stream, NULL},
				     .error_output = error_output});
}

START_TEST(entries_have_fields)
{
	CLEANUP(closep) int journal = fake_journal(), fd = -1, refused = -1;
	char address[SERVER_PATH_MAX + 16], peer[64], *entry;
	struct pollfd silent;
	struct server server;
	int ends[2];

	if (journal < 0) {
		harness_skip("no mount namespace of our own, so no journal to stand in for");
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	start(&server, ends[1]);

	entry = wait_entry(journal, "MESSAGE=a: listening on unix:");
	assert_field(entry, "\nRETORT_LISTENER=a\n");
	assert_field(entry, "\nPRIORITY=6\n");
	assert_field(entry, "\nSYSLOG_IDENTIFIER=retortd\n");
	assert_field(entry, "\nMESSAGE_ID=");

	(void)sprintf(address, "unix:%s/a", server.directory);
	(void)sprintf(peer, "\nRETORT_PEER=unix:pid=%d\n", (int)getpid());
	fd = connect_to(address);
	send_text(fd, "6         secret");
	expect_text(fd, "6         secret");
	refused = connect_to(address);
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

/* Bursts are folded: at most one a second for each kind and listener, with a count. */
START_TEST(bursts_are_folded)
{
	enum { BURST = 100 };
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
	ck_assert_uint_lt(server_count_log(&server, "bad frame header, closing"), BURST / 4);
	server_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_journal");

	harness_add(suite, entries_have_fields);
	harness_add(suite, another_stream_gets_lines);
	harness_add(suite, bursts_are_folded);
	return harness_main(suite);
}
