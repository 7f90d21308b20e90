/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A daemon with crash_safe that is killed at every moment of a scene, one after the other: before
 * and after each call to the kernel and each allocation, in whichever thread. Whoever took no part
 * in what happened then goes on, and whoever goes on sees nothing wrong, nothing twice and nothing
 * missing. $RETORT_TEST_ROUNDS is how many moments are tried; the scene has some thousand.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "harness_survivor.h"

enum {
	LENGTH,
	RAW,
	LINE,
	STILL_LENGTH, /* those called still take no part */
	STILL_LINE,
	ANNA, /* in "ops", as the next two */
	BEN,
	CLEO,
	STILL_DORA, /* in "quiet", as the next one */
	STILL_EMIL,
	CHIEF, /* on a Unix socket, so that the system says who that is */
	CAST,
	GUEST = CAST, /* comes and goes */
	ALL
};

static const struct {
	enum survivor_kind kind;
	bool on_unix;
	const char *nick, *room;
} parts[CAST] = {
	[LENGTH] = {SURVIVOR_LENGTH, false, "", ""},
	[RAW] = {SURVIVOR_RAW, true, "", ""},
	[LINE] = {SURVIVOR_LINE, false, "", ""},
	[STILL_LENGTH] = {SURVIVOR_LENGTH, true, "", ""},
	[STILL_LINE] = {SURVIVOR_LINE, true, "", ""},
	[ANNA] = {SURVIVOR_CHAT, false, "anna", "ops"},
	[BEN] = {SURVIVOR_CHAT, false, "ben", "ops"},
	[CLEO] = {SURVIVOR_TALK, false, "cleo", "ops"},
	[STILL_DORA] = {SURVIVOR_CHAT, false, "dora", "quiet"},
	[STILL_EMIL] = {SURVIVOR_TALK, false, "emil", "quiet"},
	[CHIEF] = {SURVIVOR_CHAT, true, "", ""},
};

struct scene {
	struct manager manager;
	struct survivor cast[ALL];
	struct survivor_log ops, quiet;
	_Atomic int64_t *countdown;
	int end; /* of the daemon: a pidfd; owned */
	unsigned renamed;
	bool kicks; /* the chief does, and so the guest is to be closed */
};

/* ---- what happens ---- */

/*
 * Whether the daemon's moment has come, or it has ended by itself. One that dies closes its
 * connections, which ends a step, some time before anybody can see that it is dead.
 */
static bool is_over(const struct scene *scene)
{
	siginfo_t info = {0};

	if (*scene->countdown <= 0)
		return true;
	return waitid(P_PID, (id_t)scene->manager.server.pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
		       0 &&
	       info.si_pid != 0;
}

static void speak(struct scene *scene, unsigned speaker)
{
	static const unsigned members[] = {ANNA, BEN, CLEO};
	size_t before[ARRAY_SIZE(members)];

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		before[i] = scene->cast[members[i]].n_got;
	survivor_say(&scene->cast[speaker]);
	survivor_await(&scene->cast[speaker], scene->end);
	/* The text dialect hides from its speaker what they say. */
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i] != speaker || speaker != CLEO)
			survivor_await_got(&scene->cast[members[i]], before[i] + 1, scene->end);
}

static void ask_in_pieces(struct scene *scene)
{
	survivor_send(&scene->cast[LENGTH], 1000, 400);
	survivor_send_rest(&scene->cast[LENGTH]);
	survivor_await(&scene->cast[LENGTH], scene->end);
}

static void ask_raw(struct scene *scene)
{
	survivor_send(&scene->cast[RAW], 50, 0);
	survivor_await(&scene->cast[RAW], scene->end);
}

static void ask_twice(struct scene *scene)
{
	survivor_send(&scene->cast[LINE], 10, 0);
	survivor_send(&scene->cast[LINE], 20, 0);
	survivor_await(&scene->cast[LINE], scene->end);
}

static void rename_ben(struct scene *scene)
{
	struct survivor *ben = &scene->cast[BEN];
	char request[64], nick[16];

	(void)snprintf(nick, sizeof nick, "ben%u", ++scene->renamed);
	(void)snprintf(request, sizeof request, "{'op':'hello','nick':'%s'}", nick);
	survivor_ask(ben, request);
	(void)snprintf(ben->nick, sizeof ben->nick, "%s", nick);
	survivor_await(ben, scene->end);
}

static void leave_and_return(struct scene *scene)
{
	struct survivor *anna = &scene->cast[ANNA];
	const size_t before = anna->n_got;
	char request[64];

	survivor_ask(anna, "{'op':'leave','room':'ops'}");
	survivor_await(anna, scene->end);
	if (!survivor_is_owed(anna)) /* else she would perhaps hear it before she leaves */
		survivor_say(&scene->cast[BEN]); /* which the log tells her later */
	survivor_await(&scene->cast[BEN], scene->end);
	(void)snprintf(request, sizeof request, "{'op':'join','room':'ops','since':%lu}",
		       (unsigned long)anna->seen);
	survivor_ask(anna, request);
	survivor_await(anna, scene->end);
	survivor_await_got(anna, before + 1, scene->end);
}

static void set_topic(struct scene *scene)
{
	const uint64_t told = scene->cast[CLEO].told;

	survivor_ask(&scene->cast[BEN], "{'op':'topic','room':'ops','text':'trees'}");
	survivor_await(&scene->cast[BEN], scene->end);
	survivor_await_told(&scene->cast[CLEO], told + 1, scene->end);
}

/* Does what ends a connection. */
static void offend(struct scene *scene, enum survivor_kind kind, const char *bytes)
{
	struct survivor *guest = &scene->cast[GUEST];

	survivor_enter(guest, &scene->manager, kind, false, "", "", scene->end);
	survivor_await(guest, scene->end);
	survivor_expect_anything(guest);
	(void)send(guest->fd, bytes, strlen(bytes), MSG_NOSIGNAL); /* it may be lost by now */
	survivor_await_end(guest, scene->end);
	survivor_done(guest);
}

static void offend_length(struct scene *scene)
{
	offend(scene, SURVIVOR_LENGTH, "no header!");
}

static void quit_talk(struct scene *scene)
{
	offend(scene, SURVIVOR_TALK, "/quit\n");
}

static void visit(struct scene *scene, enum survivor_kind kind)
{
	const bool chats = kind >= SURVIVOR_CHAT;
	struct survivor *guest = &scene->cast[GUEST];

	survivor_enter(guest, &scene->manager, kind, false, chats ? "gail" : "", chats ? "ops" : "",
		       scene->end);
	if (!chats)
		survivor_send(guest, 10, 0);
	survivor_await(guest, scene->end);
	if (kind == SURVIVOR_LENGTH) {
		(void)shutdown(guest->fd, SHUT_WR); /* it may be lost by now */
		survivor_await_end(guest, scene->end);
	}
	survivor_done(guest);
}

static void visit_length(struct scene *scene)
{
	visit(scene, SURVIVOR_LENGTH);
}

static void visit_chat(struct scene *scene)
{
	visit(scene, SURVIVOR_CHAT);
}

static void visit_talk(struct scene *scene)
{
	visit(scene, SURVIVOR_TALK);
}

/* Whatever the chief has been told has happened. */
static void kick(struct scene *scene)
{
	struct survivor *guest = &scene->cast[GUEST], *chief = &scene->cast[CHIEF];

	survivor_enter(guest, &scene->manager, SURVIVOR_CHAT, false, "hugo", "", scene->end);
	if (is_over(scene))
		return;
	scene->kicks = true;
	chief->may_be_refused = chief->refused + 1; /* by a process to which nobody came */
	survivor_ask(chief, "{'op':'kick','nick':'hugo'}");
	survivor_await(chief, scene->end);
	survivor_await_end(guest, scene->end);
}

static void anna_speaks(struct scene *scene)
{
	speak(scene, ANNA);
}

static void cleo_speaks(struct scene *scene)
{
	speak(scene, CLEO);
}

static const struct step {
	void (*act)(struct scene *scene);
	unsigned takes_part; /* bits of those who may be lost */
} steps[] = {
	{ask_in_pieces, 1U << LENGTH},
	{ask_raw, 1U << RAW},
	{ask_twice, 1U << LINE},
	{anna_speaks, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{cleo_speaks, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{rename_ben, 1U << BEN},
	{leave_and_return, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{set_topic, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{visit_length, 0},
	{offend_length, 0},
	{quit_talk, 0},
	{visit_chat, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{visit_talk, 1U << ANNA | 1U << BEN | 1U << CLEO},
	{kick, 1U << CHIEF | 1U << ANNA | 1U << BEN | 1U << CLEO},
};

/* ---- what follows ---- */

static void enter(struct scene *scene, unsigned part)
{
	survivor_enter(&scene->cast[part], &scene->manager, parts[part].kind, parts[part].on_unix,
		       parts[part].nick, parts[part].room, -1);
	ck_assert_msg(!scene->cast[part].lost, "the new process closes %u", part);
}

static bool is_among(const json_t *members, const char *nick)
{
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)members, i, one)
		if (strcmp(member_string(one, "nick"), nick) == 0)
			return true;
	return false;
}

/* Those who go on are where they were, by their names, and the others are not. */
static void look_who_is_there(struct scene *scene)
{
	CHATTER judge = {0};
	json_t *reply;

	chatter_open(&judge, &scene->manager.server, "chat", "tcp:");
	expect_ok(&judge, "{'op':'join','room':'ops'}");
	reply = chatter_ask(&judge, "{'op':'who','room':'ops'}");
	for (unsigned i = ANNA; i <= CLEO; i++)
		if (!*scene->cast[i].nick || is_among(json_object_get(reply, "members"),
						      scene->cast[i].nick) == scene->cast[i].lost)
			ck_abort_msg("%s is %s, but there are %s", scene->cast[i].nick,
				     scene->cast[i].lost ? "lost" : "there",
				     json_dumps(reply, JSON_COMPACT));
	json_decref(reply);
	expect_ok(&judge, "{'op':'leave','room':'ops'}");
}

static void check_guest(struct scene *scene)
{
	struct survivor *guest = &scene->cast[GUEST];

	if (scene->kicks && !scene->cast[CHIEF].lost)
		survivor_await_end(guest, -1);
	scene->kicks = false;
	survivor_done(guest);
}

static void check_all(struct scene *scene, unsigned may_be_lost, const char *when)
{
	for (unsigned i = 0; i < CAST; i++) {
		struct survivor *one = &scene->cast[i];

		ck_assert_msg(survivor_is_served(one) || may_be_lost & 1U << i, "%u is lost %s", i,
			      when);
	}
	check_guest(scene);
	survivors_settle(&scene->manager, scene->cast, CAST, "ops", &scene->ops);
	survivors_settle(&scene->manager, scene->cast, CAST, "quiet", &scene->quiet);
	look_who_is_there(scene);
	for (unsigned i = STILL_DORA; i <= STILL_EMIL && may_be_lost != UINT_MAX; i++)
		ck_assert_msg(scene->cast[i].told == 0, "%s was told of somebody %s", parts[i].nick,
			      when);
	for (unsigned i = 0; i < CAST; i++)
		if (scene->cast[i].lost)
			enter(scene, i);
	/* When the worker answers this, the turns of all others are over. */
	survivor_assert_serves(&scene->cast[LENGTH]);
}

/* Plays the scene. Returns in which step the daemon was killed; as many as there are: in none. */
static size_t play(struct scene *scene)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		steps[i].act(scene);
		if (is_over(scene))
			break;
	}
	return i;
}

/*
 * From now on the daemon lives. Returns whether its moment had come before: then it is dead, or
 * about to be, whatever was seen of it.
 */
static bool disarm(struct scene *scene)
{
	return atomic_exchange(scene->countdown, 0) <= 0;
}

/* Returns whether the daemon was killed at that moment. */
static bool try_moment(struct scene *scene, int64_t moment)
{
	unsigned may_be_lost;
	char when[64];
	bool killed;
	size_t at;

	scene->end = pidfd_open(scene->manager.server.pid, 0);
	ck_assert_int_ge(scene->end, 0);
	*scene->countdown = moment;
	at = play(scene);
	killed = disarm(scene);
	closep(&scene->end);
	ck_assert_msg(killed || at == ARRAY_SIZE(steps), "it ended by itself in step %zu", at);
	if (!killed)
		return false;
	at = MIN(at, ARRAY_SIZE(steps) - 1); /* perhaps when all of the scene had been seen */
	(void)server_wait_end(&scene->manager.server);
	manager_resume(&scene->manager);
	/* The last turn of the step before may not have been over. */
	may_be_lost = steps[at].takes_part | (at > 0 ? steps[at - 1].takes_part : 0);
	(void)snprintf(when, sizeof when, "at moment %ld, in step %zu", (long)moment, at);
	check_all(scene, may_be_lost, when);
	ck_assert_uint_le(manager_count(&scene->manager, NULL), 8);
	return true;
}

static _Atomic int64_t *map_countdown(const struct manager *manager)
{
	char path[SERVER_PATH_MAX + 16], preload[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", preload, sizeof preload - 32);
	_Atomic int64_t *mapped;
	const int64_t none = 0;
	int fd;

	ck_assert_int_gt(len, 0);
	preload[len] = 0;
	(void)strcpy(strrchr(preload, '/'), "/preload_kill.so");
	(void)snprintf(path, sizeof path, "%s/countdown", manager->server.directory);
	file_write(path, &none, sizeof none);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(mapped != MAP_FAILED);
	(void)close(fd); /* the mapping stays */
	ck_assert_int_eq(setenv("RETORT_TEST_KILL", path, 1), 0);
	ck_assert_int_eq(setenv("LD_PRELOAD", preload, 1), 0);
	return mapped;
}

static struct scene *open_scene(struct random *random, const char *test)
{
	struct scene *scene = calloc(1, sizeof *scene);

	ck_assert_ptr_nonnull(scene);
	random_init_run(random, test);
	survivor_prepare(&scene->manager);
	scene->countdown = map_countdown(&scene->manager);
	survivor_run(&scene->manager, "crash_safe = true; workers = 1;", "");
	for (unsigned i = 0; i < CAST; i++)
		enter(scene, i);
	survivors_settle(&scene->manager, scene->cast, CAST, "quiet", &scene->quiet);
	scene->cast[STILL_DORA].told = 0; /* of the other */
	return scene;
}

static void close_scene(struct scene *scene)
{
	for (unsigned i = 0; i < ALL; i++)
		survivor_done(&scene->cast[i]);
	survivor_log_done(&scene->ops);
	survivor_log_done(&scene->quiet);
	manager_stop(&scene->manager);
	free(scene);
}

START_TEST(at_any_moment)
{
	struct random random;
	struct scene *scene;
	size_t n, tried = 0, fds;
	int64_t moment = 1, moments;

	if (harness_slow()) {
		harness_skip("a checker has these calls of its own");
		return;
	}
	scene = open_scene(&random, "at_any_moment");
	*scene->countdown = INT64_MAX / 2;
	scene->end = -1;
	(void)play(scene);
	moments = INT64_MAX / 2 - *scene->countdown;
	*scene->countdown = 0;
	check_all(scene, 0, "without a crash");
	fds = server_fds(&scene->manager.server);
	n = MIN(survivor_rounds(80), (size_t)moments);
	for (; try_moment(scene, moment); tried++)
		moment += 1 + (int64_t)random_below(&random, 2 * (size_t)moments / n - 1);
	check_all(scene, 0, "at the end");
	ck_assert_uint_ge(tried, n / 4);
	server_wait_fds(&scene->manager.server, fds + 4);
	close_scene(scene);
}
END_TEST

/* ---- killed while it takes over, or hands over ---- */

/* Waits until the daemon is ready; returns false when it has been killed before. */
static bool becomes_ready(struct manager *manager)
{
	struct pollfd end = {.fd = pidfd_open(manager->server.pid, 0), .events = POLLIN};
	bool ready = false, ended = false;

	ck_assert_int_ge(end.fd, 0);
	while (!ready && !ended) {
		struct pollfd polled[] = {end, {manager->server.notify, POLLIN, 0}};

		ck_assert_int_gt(poll(polled, 2, harness_patience()), 0);
		ready = server_has_notified(&manager->server, "READY=1");
		ended = polled[0].revents & POLLIN;
	}
	(void)close(end.fd);
	return ready;
}

/* All may be lost by then, but what goes on is right. */
static void check_rest(struct scene *scene, const char *what, int64_t moment)
{
	char when[64];

	(void)server_wait_end(&scene->manager.server);
	manager_resume(&scene->manager);
	(void)snprintf(when, sizeof when, "%s, at moment %ld", what, (long)moment);
	check_all(scene, UINT_MAX, when);
	ck_assert_uint_le(manager_count(&scene->manager, NULL), 8);
	survivors_settle(&scene->manager, scene->cast, CAST, "quiet", &scene->quiet);
	scene->cast[STILL_DORA].told = scene->cast[STILL_EMIL].told = 0;
}

START_TEST(while_taking_over)
{
	struct random random;
	struct scene *scene;
	size_t n = survivor_rounds(25), tried = 0;
	int64_t moment = 1;
	bool ready;

	if (harness_slow()) {
		harness_skip("a checker has these calls of its own");
		return;
	}
	scene = open_scene(&random, "while_taking_over");
	for (;; tried++) {
		server_signal(&scene->manager.server, SIGKILL);
		(void)server_wait_end(&scene->manager.server);
		*scene->countdown = moment;
		manager_spawn(&scene->manager);
		ready = becomes_ready(&scene->manager);
		if (!disarm(scene))
			break;
		check_rest(scene, "taking over", moment);
		moment += 1 + (int64_t)random_below(&random, 8000 / n);
	}
	ck_assert_msg(ready, "it ended by itself");
	ck_assert_uint_ge(tried, 3);
	close_scene(scene);
}
END_TEST

START_TEST(while_handing_over)
{
	struct random random;
	struct scene *scene;
	size_t n = survivor_rounds(25), tried = 0;
	int64_t moment = 1;
	int status;

	if (harness_slow()) {
		harness_skip("a checker has these calls of its own");
		return;
	}
	scene = open_scene(&random, "while_handing_over");
	for (;; tried++) {
		*scene->countdown = moment;
		server_signal(&scene->manager.server, SIGTERM);
		status = server_wait_end(&scene->manager.server);
		*scene->countdown = 0;
		manager_resume(&scene->manager);
		if (!WIFSIGNALED(status))
			break;
		check_all(scene, UINT_MAX, "handing over");
		survivors_settle(&scene->manager, scene->cast, CAST, "quiet", &scene->quiet);
		scene->cast[STILL_DORA].told = scene->cast[STILL_EMIL].told = 0;
		moment += 1 + (int64_t)random_below(&random, 8000 / n);
	}
	ck_assert_uint_ge(tried, 3);
	check_all(scene, 0, "after a restart in order");
	close_scene(scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash_points");

	survivor_add(suite, at_any_moment);
	survivor_add(suite, while_taking_over);
	survivor_add(suite, while_handing_over);
	return harness_main(suite);
}
