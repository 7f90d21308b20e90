/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The limit of what durable rooms can take: a loop with nobody to talk to, that writes the same
 * rows into the same database as retortd does, in transactions of 64, as if 64 speakers waited at a
 * time. It prints how many messages were on stable storage, in how many seconds of time and of CPU
 * time, as one JSON object.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "store.h"
#include "util.h"

enum {
	BATCH = 64,
	TEXT_SIZE = 128,
	NAME_SIZE = 16,
	USAGE = 64, /* as in sysexits.h */
};

static _Noreturn void fail(const char *what, const char *problem)
{
	(void)fprintf(stderr, "durable: %s: %s\n", what, problem);
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* cannot fail with these arguments */
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_time(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage); /* likewise */
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A room, and the next number in it. */
struct room {
	uint64_t id, seq;
};

static void add_rooms(struct store *store, struct room *rooms, int n_rooms)
{
	char name[NAME_SIZE];
	int r;

	r = store_begin(store);
	for (int i = 0; i < n_rooms && r == 0; i++) {
		rooms[i].seq = 1;
		(void)snprintf(name, sizeof(name), "bench-%d", i + 1);
		r = store_add_room(store, name, name, &rooms[i].id);
	}
	if (r < 0 || store_commit(store) < 0)
		fail("making rooms", store_problem(store));
}

/* Messages for each room in turn, all of them on stable storage when it returns. */
static void write_batch(struct store *store, struct room *rooms, int n_rooms,
			struct chat_message *message)
{
	int r;

	message->time++;
	r = store_begin(store);
	for (int i = 0; i < BATCH && r == 0; i++) {
		message->seq = rooms[i % n_rooms].seq++;
		r = store_append(store, rooms[i % n_rooms].id, message, "guest", NULL);
	}
	if (r < 0 || store_commit(store) < 0)
		fail("writing", store_problem(store));
}

int main(int argc, char *argv[])
{
	char problem[STORE_PROBLEM_MAX], text[TEXT_SIZE + 1] = "";
	struct chat_message message = {
		.time = UINT64_C(1800000000000),
		.from = "guest",
		.text = text,
		.text_len = TEXT_SIZE,
	};
	const double seconds = argc == 4 ? strtod(argv[2], NULL) : 0;
	const int n_rooms = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
	struct room rooms[BATCH] = {0};
	struct store *store;
	double begin, elapsed, cpu;
	uint64_t messages = 0;

	if (seconds <= 0 || n_rooms < 1 || n_rooms > BATCH) {
		(void)fprintf(stderr, "usage: durable DIRECTORY SECONDS ROOMS\n");
		return USAGE;
	}
	memset(text, 'x', TEXT_SIZE);
	if (store_open(argv[1], &store, problem) < 0)
		fail(argv[1], problem);
	add_rooms(store, rooms, n_rooms);

	begin = now();
	cpu = cpu_time();
	do {
		write_batch(store, rooms, n_rooms, &message);
		messages += BATCH;
		elapsed = now() - begin;
	} while (elapsed < seconds);
	cpu = cpu_time() - cpu;

	store_close(store);
	(void)printf("{\"messages\":%" PRIu64 ",\"duration_s\":%.6f,\"cpu_s\":%.6f}\n", messages,
		     elapsed, cpu);
	return EXIT_SUCCESS;
}
