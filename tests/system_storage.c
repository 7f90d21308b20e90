/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The state directory as it should not be: full, failing, read-only, in use, or with a file in it
 * that is not what it was. Whatever is refused was not said, whatever was acknowledged is there,
 * and it works again by itself.
 */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "harness.h"
#include "harness_chat.h"

static const char config[] =
	"timeouts: { drain = \"100ms\"; }; listeners: ( { name = \"chat\"; service = \"chat\"; "
	"listen = [ \"unix:chat.sock\", \"tcp://127.0.0.1:0\" ]; } );"
	"chat: { rooms: ( { name = \"memory\"; durable = false; } ); };";

static const struct server_setup setup = {.config = config};

/* ---- saying things that may be refused ---- */

enum { SPEAKERS = 3, AT_ONCE = 8, SAID_MAX = 32768 };

/* What was said: each has a number of its own, which is its key and the beginning of its text. */
struct load {
	struct server server;
	struct chatter speakers[SPEAKERS], reader;
	int n;			  /* numbers that were used */
	json_int_t seq[SAID_MAX]; /* by which each was acknowledged; 0: it is not */
	json_int_t acknowledged, heard, in_memory;
	int by_seq[SAID_MAX]; /* the number of what was heard */
	int refused;
};

static void load_enter(struct load *load)
{
	char nick[16];

	for (int i = 0; i < SPEAKERS; i++) {
		(void)snprintf(nick, sizeof nick, "speaker-%d", i);
		chatter_enter(&load->speakers[i], &load->server, nick, "ops");
	}
	expect_ok(&load->speakers[0], "{'op':'join','room':'memory'}");
	chatter_enter(&load->reader, &load->server, "reader", NULL);
	expect_ok(&load->reader, "{'op':'join','room':'ops','since':%d}", (int)load->heard);
}

static void load_leave(struct load *load)
{
	for (int i = 0; i < SPEAKERS; i++)
		chatter_done(&load->speakers[i]);
	chatter_done(&load->reader);
}

/* A number always is the same speaker's. */
static struct chatter *speaker_of(struct load *load, int number)
{
	return &load->speakers[number % SPEAKERS];
}

static void add_say(struct load *load, int number)
{
	chatter_add(speaker_of(load, number),
		    "{'op':'say','room':'ops','key':'k%d','text':'%d %0*d'}", number, number,
		    number % 5 == 0 ? 6000 : 20, 0);
}

/* Takes the reply to that. */
static void take_reply(struct load *load, int number)
{
	json_t *reply = chatter_reply(speaker_of(load, number));

	(void)json_array_clear(speaker_of(load, number)->events);
	if (json_is_true(json_object_get(reply, "ok"))) {
		load->seq[number] = member_integer(reply, "seq");
		load->acknowledged++;
	} else {
		REQUIRE_MSG(strcmp(member_string(reply, "error"), "storage") == 0, "refused: %s",
			    member_string(reply, "error"));
		load->refused++;
	}
	json_decref(reply);
}

/* Says what was refused, and then something new, all at once. */
static void say_all(struct load *load, int more)
{
	int again = load->n;

	ck_assert_int_lt(load->n + more, SAID_MAX);
	for (int i = 0; i < again; i++)
		if (load->seq[i] == 0)
			add_say(load, i);
	load->n += more;
	for (int i = again; i < load->n; i++)
		add_say(load, i);
	for (int i = 0; i < SPEAKERS; i++)
		chatter_flush(&load->speakers[i]);
	for (int i = 0; i < load->n; i++)
		if (load->seq[i] == 0)
			take_reply(load, i);
	/* A room in memory does not depend on any of it. */
	chatter_say(&load->speakers[0], "memory", ++load->in_memory, "here");
}

/* The reader must have heard what was acknowledged and nothing else. */
static void hear_all(struct load *load)
{
	while (load->heard < load->acknowledged) {
		json_t *event = chatter_event(&load->reader);

		if (strcmp(member_string(event, "event"), "message") == 0) {
			REQUIRE(member_integer(event, "seq") == ++load->heard);
			load->by_seq[load->heard] =
				(int)strtol(member_string(event, "text"), NULL, 10);
		}
		json_decref(event);
	}
	expect_no_event(&load->reader);
}

/* Says what is left until it is acknowledged: it works again by itself. */
static void say_the_rest(struct load *load)
{
	uint64_t deadline = harness_now() + (uint64_t)harness_patience();

	while (load->acknowledged < load->n) {
		harness_pause(deadline, "what was refused to be taken");
		say_all(load, 0);
	}
	hear_all(load);
}

/* Everything was said once, where it was acknowledged: the log, after a restart, has it so. */
static void check_log(struct load *load)
{
	json_int_t seq = 0;

	hear_all(load);
	ck_assert_int_eq(load->heard, load->n);
	for (int i = 0; i < load->n; i++)
		REQUIRE_MSG(load->by_seq[load->seq[i]] == i, "%d is not where it was said", i);
	while (seq < load->n) {
		json_t *reply = chatter_ask(&load->reader,
					    "{'op':'history','room':'ops','after':%d}", (int)seq);
		json_t *messages = json_object_get(reply, "messages"), *message;
		size_t i;

		ck_assert_int_eq(member_integer(reply, "seq"), load->n);
		ck_assert_uint_gt(json_array_size(messages), 0);
		json_array_foreach(messages, i, message) {
			REQUIRE(member_integer(message, "seq") == ++seq);
			REQUIRE(strtol(member_string(message, "text"), NULL, 10) ==
				load->by_seq[seq]);
		}
		json_decref(reply);
	}
}

static void restart(struct load *load, int signal)
{
	load_leave(load);
	chat_restart(&load->server, signal);
	load->in_memory = 0;
	load_enter(load);
}

static bool is_healthy(struct load *load)
{
	CHATTER control;
	json_t *reply;
	bool healthy;

	chatter_open_control(&control, &load->server, FRAMING_LENGTH);
	reply = chatter_ask(&control, "{'op':'health'}");
	healthy = json_is_true(json_object_get(reply, "healthy"));
	ck_assert(healthy == (json_array_size(json_object_get(reply, "problems")) == 0));
	json_decref(reply);
	return healthy;
}

/* ---- a full disk ---- */

static void state_path(const struct server *server, const char *name, char path[static PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/state/%s", server->directory, name);
}

/* Leaves about this many bytes on the file system of the state directory. */
static void fill(const struct server *server, size_t left)
{
	static const char block[4096];
	char path[PATH_MAX];
	int fd;

	state_path(server, "filler", path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	while (write(fd, block, sizeof block) == sizeof block)
		;
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(ftruncate(fd, MAX(lseek(fd, 0, SEEK_END) - (off_t)left, 0)), 0);
	(void)close(fd);
}

static void empty(const struct server *server)
{
	char path[PATH_MAX];

	state_path(server, "filler", path);
	ck_assert_int_eq(unlink(path), 0);
}

/* Mounts a file system of this size on a fresh state directory. */
static bool mount_state(struct server *server, const char *options)
{
	char path[PATH_MAX];

	if (!harness_private_mounts()) {
		harness_skip("no mounts of one's own here");
		return false;
	}
	server_init(server);
	state_path(server, "", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_msg(mount("none", path, "tmpfs", 0, options) == 0, "mount: %m");
	return true;
}

static void unmount_state(struct server *server)
{
	char path[PATH_MAX];

	state_path(server, "", path);
	ck_assert_int_eq(umount(path), 0);
	server_done(server);
}

START_TEST(full_again_and_again)
{
	CLEANUP(freep) struct load *load = calloc(1, sizeof *load);
	uint64_t start = harness_now();
	struct random random;
	size_t seconds;

	random_init_run(&random, "full_again_and_again");
	if (!mount_state(&load->server, "size=24m"))
		return;
	server_start(&load->server, &setup);
	load_enter(load);
	for (int round = 0; round < 8; round++) {
		int refused = load->refused;

		say_all(load, SPEAKERS * AT_ONCE);
		ck_assert_int_eq(load->refused, refused);
		fill(&load->server, random_below(&random, 20) * 4096);
		/* At first, something short may still find its place. */
		for (int i = 0; i < 100 && (load->refused == refused || is_healthy(load)); i++)
			say_all(load, SPEAKERS * AT_ONCE);
		hear_all(load);
		ck_assert_int_gt(load->refused, refused);
		ck_assert(!is_healthy(load));
		empty(&load->server);
		say_the_rest(load);
		ck_assert(is_healthy(load));
	}
	(void)printf("%d refusals, %d messages\n", load->refused, load->n);
	/* Said each time that it changes, but not as often as somebody likes. */
	seconds = (size_t)(harness_now() - start) / 1000;
	ck_assert_uint_gt(server_count_log(&load->server, "cannot be written"), 0);
	ck_assert_uint_gt(server_count_log(&load->server, "can be written again"), 0);
	ck_assert_uint_le(server_count_log(&load->server, "cannot be written"), 2 * seconds + 2);
	check_log(load);
	restart(load, SIGKILL);
	check_log(load);
	load_leave(load);
	server_signal(&load->server, SIGTERM);
	server_assert_ended(&load->server, 0);
	unmount_state(&load->server);
}
END_TEST

/* ---- calls that fail ---- */

struct faults {
	_Atomic int error, spared, failed;
};

/* Starts a daemon whose writes fail as the result says; NULL where that cannot be. */
static struct faults *start_with_faults(struct server *server)
{
	char preload[PATH_MAX], path[PATH_MAX], variables[2][PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", preload, sizeof preload - 32);
	struct faults *faults;
	int fd;

	if (harness_slow()) {
		harness_skip("a checker has these calls of its own");
		return NULL;
	}
	ck_assert_int_gt(len, 0);
	preload[len] = 0;
	(void)strcpy(strrchr(preload, '/'), "/preload_faults.so");
	server_init(server);
	(void)snprintf(path, sizeof path, "%s/faults", server->directory);
	file_write(path, &(struct faults){0}, sizeof *faults);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(faults != MAP_FAILED);
	(void)close(fd); /* the mapping stays */
	(void)snprintf(variables[0], sizeof variables[0], "RETORT_TEST_FAULTS=%s", path);
	(void)snprintf(variables[1], sizeof variables[1], "LD_PRELOAD=%s", preload);
	server_start(server, &(struct server_setup){.config = config,
						    .environment = (const char *const[]){
							    variables[0], variables[1], NULL}});
	return faults;
}

START_TEST(writes_fail)
{
	static const int errors[] = {EIO, ENOSPC, EROFS, EDQUOT};
	CLEANUP(freep) struct load *load = calloc(1, sizeof *load);
	struct faults *faults = start_with_faults(&load->server);
	struct random random;

	if (!faults)
		return;
	random_init_run(&random, "writes_fail");
	load_enter(load);
	for (int round = 0; round < 80; round++) {
		/* Some calls in: in the middle of a commit, or of moving it to its place. */
		faults->spared = (int)random_below(&random, round % 2 ? 6 : 60);
		faults->error = errors[round % (int)ARRAY_SIZE(errors)];
		for (int i = 0; i < 3; i++)
			say_all(load, SPEAKERS * AT_ONCE);
		hear_all(load);
		faults->error = 0;
		say_the_rest(load);
		if (round % 8 == 0)
			ck_assert(is_healthy(load));
	}
	(void)printf("%d calls failed, %d refusals, %d messages\n", faults->failed, load->refused,
		     load->n);
	ck_assert_int_gt(faults->failed, 0);
	/* Killed while it fails, it has all that it acknowledged, and nothing twice. */
	faults->spared = 20;
	faults->error = EIO;
	for (int i = 0; i < 4; i++)
		say_all(load, SPEAKERS * AT_ONCE);
	hear_all(load);
	(void)munmap(faults, sizeof *faults);
	restart(load, SIGKILL);
	say_the_rest(load);
	check_log(load);
	load_leave(load);
	server_stop(&load->server);
}
END_TEST

/* ---- at start ---- */

/* The daemon does not start on this state; the log says why, and the file stays as it was. */
static void refuses(struct server *server, const char *file, int exit_status, const char *why)
{
	char path[PATH_MAX];
	struct stat before, after;
	char *old, *new;

	state_path(server, file, path);
	old = file_read(path);
	ck_assert_int_eq(stat(path, &before), 0);
	server_run(server, &setup, exit_status);
	ck_assert_int_eq(stat(path, &after), 0);
	new = file_read(path);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ck_assert_int_eq(memcmp(old, new, (size_t)before.st_size), 0);
	free(old);
	free(new);
	ck_assert_msg(server_count_log(server, path) > 0, "it does not name %s", path);
	ck_assert_msg(server_count_log(server, why) > 0, "it does not say \"%s\"", why);
	ck_assert_uint_eq(server_count_log(server, "listening on"),
			  server_count_log(server, "not listening any more"));
}

/* A daemon has said something and has stopped. */
static void leave_state(struct server *server)
{
	CHATTER anna;

	server_start(server, &setup);
	chatter_enter(&anna, server, "anna", "ops");
	for (int i = 1; i <= 300; i++)
		chatter_say(&anna, "ops", i, "something that takes a little place in the file");
	chatter_done(&anna);
	server_signal(server, SIGTERM);
	server_assert_ended(server, 0);
}

/* Writes over a part of a file. */
static void spoil(const struct server *server, off_t offset, const void *data, size_t len)
{
	char path[PATH_MAX];
	int fd;

	state_path(server, "rooms.db", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, data, len, offset), (ssize_t)len);
	(void)close(fd);
}

START_TEST(corrupt_at_start)
{
	static char garbage[4096];
	struct server server = {0};
	char path[PATH_MAX];
	char *sound;
	struct stat status;

	server_init(&server);
	leave_state(&server);
	state_path(&server, "rooms.db", path);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_gt(status.st_size, 20000);
	sound = file_read(path);
	memset(garbage, 0xa5, sizeof garbage);
	/* Any page but the first; then the first; then what is no database at all. */
	for (off_t page = status.st_size / 4096 - 1; page > 0; page -= 2) {
		spoil(&server, page * 4096, garbage, sizeof garbage);
		refuses(&server, "rooms.db", EX_OSERR, "left as it is");
		file_write(path, sound, (size_t)status.st_size);
	}
	spoil(&server, 0, garbage, sizeof garbage);
	refuses(&server, "rooms.db", EX_OSERR, "left as it is");
	file_write(path, "my diary\n", 9);
	refuses(&server, "rooms.db", EX_OSERR, "no database of retortd");
	file_write(path, sound, (size_t)status.st_size / 2 / 4096 * 4096);
	refuses(&server, "rooms.db", EX_OSERR, "left as it is");
	/* What it was begins again where it was. */
	file_write(path, sound, (size_t)status.st_size);
	server_start(&server, &setup);
	{
		CHATTER anna;

		chatter_enter(&anna, &server, "anna", "ops");
		chatter_say(&anna, "ops", 301, "on");
	}
	free(sound);
	server_stop(&server);
}
END_TEST

START_TEST(made_by_a_newer_version)
{
	struct server server = {0};
	char path[PATH_MAX];
	sqlite3 *db;

	server_init(&server);
	leave_state(&server);
	state_path(&server, "rooms.db", path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL),
			 SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	refuses(&server, "rooms.db", EX_OSERR, "newer version");
	server_done(&server);
}
END_TEST

START_TEST(in_use)
{
	struct server first = {0}, second = {0};
	char state[PATH_MAX], variable[PATH_MAX + 32], pid[32];
	CHATTER anna;

	server_start(&first, &setup);
	state_path(&first, "", state);
	state[strlen(state) - 1] = 0;
	(void)snprintf(variable, sizeof variable, "STATE_DIRECTORY=%s", state);
	server_run(&second,
		   &(struct server_setup){.config = config,
					  .environment = (const char *const[]){variable, NULL}},
		   EX_UNAVAILABLE);
	(void)snprintf(pid, sizeof pid, "pid %d", (int)first.pid);
	ck_assert_uint_gt(server_count_log(&second, state), 0);
	if (!getenv("RETORTD_WRAPPER"))
		ck_assert_uint_gt(server_count_log(&second, pid), 0);
	server_done(&second);
	/* The first one has not noticed, and leaves its place when it is killed. */
	chatter_enter(&anna, &first, "anna", "ops");
	chatter_say(&anna, "ops", 1, "here");
	chatter_done(&anna);
	chat_restart(&first, SIGKILL);
	server_stop(&first);
}
END_TEST

START_TEST(read_only)
{
	struct server server = {0};
	char path[PATH_MAX];

	if (!mount_state(&server, "size=24m"))
		return;
	leave_state(&server);
	state_path(&server, "", path);
	ck_assert_msg(mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0, "remount: %m");
	server_run(&server, &setup, EX_OSERR);
	ck_assert_uint_gt(server_count_log(&server, path), 0);
	ck_assert_uint_gt(server_count_log(&server, "Read-only file system"), 0);
	ck_assert_msg(mount("none", path, NULL, MS_REMOUNT, NULL) == 0, "remount: %m");
	server_start(&server, &setup);
	{
		CHATTER anna;

		chatter_enter(&anna, &server, "anna", "ops");
		chatter_say(&anna, "ops", 301, "on");
	}
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	unmount_state(&server);
}
END_TEST

/* A disk that is full when it starts: it says so, or serves and refuses; nothing is lost. */
START_TEST(full_at_start)
{
	struct server server = {0};
	CHATTER anna;

	if (!mount_state(&server, "size=24m"))
		return;
	fill(&server, 0);
	server_run(&server, &setup, EX_OSERR);
	ck_assert_uint_gt(server_count_log(&server, "No space left on device") +
				  server_count_log(&server, "full"),
			  0);
	empty(&server);
	leave_state(&server);
	fill(&server, 0);
	server_start(&server, &setup);
	chatter_enter(&anna, &server, "anna", "ops");
	expect_json(chatter_ask(&anna, "{'op':'history','room':'ops','limit':1}"),
		    "{'ok':true,'seq':300,'oldest':1,'...':1}");
	expect_error(&anna, "storage", "{'op':'say','room':'ops','text':'%06000d'}", 0);
	expect_error(&anna, "storage", "{'op':'say','room':'ops','text':'%06000d'}", 0);
	empty(&server);
	chatter_say(&anna, "ops", 301, "on");
	chatter_done(&anna);
	server_signal(&server, SIGTERM);
	server_assert_ended(&server, 0);
	unmount_state(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("system_storage");

	harness_add(suite, full_again_and_again);
	harness_add(suite, writes_fail);
	harness_add(suite, corrupt_at_start);
	harness_add(suite, made_by_a_newer_version);
	harness_add(suite, in_use);
	harness_add(suite, read_only);
	harness_add(suite, full_at_start);
	return harness_main(suite);
}
