/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log of a room: durable and in memory, against a simple model of it. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "history.h"

/* ---- helpers ---- */

static void enter_directory(void)
{
	const char *path = getenv("RETORT_TEST_DIRECTORY");

	ck_assert_ptr_nonnull(path);
	ck_assert_int_eq(chdir(path), 0);
}

static void add(Suite *suite, const TTest *test)
{
	TCase *tcase = tcase_create(test->name);

	tcase_set_timeout(tcase, 4.0 * harness_patience() / 1000);
	tcase_add_checked_fixture(tcase, enter_directory, NULL);
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

/* A log, and what it should hold: message n is at n - 1. */
struct model {
	struct history *history;
	struct store *store;	 /* NULL: it is in memory */
	uint64_t oldest, newest; /* that can be read */
	uint64_t written;	 /* with what is not committed */
	uint16_t *keys;		 /* of each message; 0: none */
	size_t size;
};

static int take_room(const struct store_room *room, void *data)
{
	*(struct store_room *)data = *room;
	return 0;
}

static void find_room(struct store *store, struct store_room *ret_room)
{
	ck_assert_int_eq(store_rooms(store, take_room, ret_room), 0);
	ck_assert_uint_gt(ret_room->id, 0);
}

static void open_durable(struct model *model, const char *directory)
{
	char problem[STORE_PROBLEM_MAX] = "";
	struct store_room room = {.id = 0};

	ck_assert_msg(store_open(directory, &model->store, problem) == 0, "%s", problem);
	find_room(model->store, &room);
	model->history = history_new_durable(model->store, &room);
	ck_assert_ptr_nonnull(model->history);
}

static void close_durable(struct model *model)
{
	history_free(model->history);
	store_close(model->store);
}

static struct model new_durable(const char *directory)
{
	struct model model = {.oldest = 1};
	char problem[STORE_PROBLEM_MAX] = "";
	uint64_t id;

	ck_assert_msg(store_open(directory, &model.store, problem) == 0, "%s", problem);
	ck_assert_int_eq(store_begin(model.store), 0);
	ck_assert_int_eq(store_add_room(model.store, "ops", "ops", &id), 0);
	ck_assert_int_eq(store_commit(model.store), 0);
	store_close(model.store);
	open_durable(&model, directory);
	ck_assert(history_is_durable(model.history));
	return model;
}

static struct model new_memory(uint64_t max_messages, uint64_t max_bytes)
{
	struct model model = {.oldest = 1, .history = history_new_memory(max_messages, max_bytes)};

	ck_assert_ptr_nonnull(model.history);
	ck_assert(!history_is_durable(model.history));
	return model;
}

static uint64_t time_of(uint64_t seq)
{
	return 1000000 + 10 * seq;
}

/* key n, by one of three senders; 0: none */
static void append(struct model *model, uint16_t key)
{
	static const char *const senders[] = {"anna", "bert", "carl"};
	char text[32], name[16];
	struct chat_message message = {
		.time = time_of(model->written + 1),
		.from = "anna",
		.user = key % 2 ? "anna" : NULL,
		.unit = key % 5 ? NULL : "cron.service",
		.text = text,
		.text_len = (size_t)sprintf(text, "text %ju", (uintmax_t)model->written + 1),
	};

	(void)sprintf(name, "key %i", key / 3);
	ck_assert_int_eq(
		history_append(model->history, &message, senders[key % 3], key > 0 ? name : NULL),
		0);
	ck_assert_uint_eq(message.seq, ++model->written);
	if (model->written > model->size) {
		model->size = MAX(2 * model->size, (size_t)1024);
		model->keys = reallocarray(model->keys, model->size, sizeof(*model->keys));
		ck_assert_ptr_nonnull(model->keys);
	}
	model->keys[model->written - 1] = key;
	memset(text, '!', sizeof(text));
	memset(name, '!', sizeof(name));
	if (!model->store)
		model->newest = model->written;
}

static void begin(struct model *model)
{
	if (model->store)
		ck_assert_int_eq(store_begin(model->store), 0);
}

static void commit(struct model *model)
{
	if (model->store)
		ck_assert_msg(store_commit(model->store) == 0, "%s", store_problem(model->store));
	history_committed(model->history);
	model->newest = model->written;
}

static void undo(struct model *model)
{
	store_rollback(model->store);
	history_undone(model->history);
	model->written = model->newest;
}

struct reading {
	const struct model *model;
	uint64_t next;
};

static int check_message(const struct chat_message *message, void *data)
{
	struct reading *reading = data;
	uint16_t key = reading->model->keys[reading->next - 1];
	char text[32];

	(void)sprintf(text, "text %ju", (uintmax_t)reading->next);
	ck_assert_uint_eq(message->seq, reading->next);
	ck_assert_uint_eq(message->time, time_of(reading->next));
	ck_assert_str_eq(message->from, "anna");
	ck_assert_pstr_eq(message->user, key % 2 ? "anna" : NULL);
	ck_assert_pstr_eq(message->unit, key % 5 ? NULL : "cron.service");
	assert_bytes(message->text, message->text_len + 1, text, strlen(text) + 1, "text");
	reading->next++;
	return 0;
}

static void check_read(const struct model *model, uint64_t first, uint64_t last)
{
	uint64_t from = MAX(first, model->oldest), end = MIN(last, model->newest);
	struct reading reading = {model, from};

	ck_assert_int_eq(history_read(model->history, first, last, check_message, &reading), 0);
	ck_assert_uint_eq(reading.next, MAX(end + 1, from));
}

static uint64_t find_key(const struct model *model, uint16_t key)
{
	static const char *const senders[] = {"anna", "bert", "carl"};
	uint64_t seq = 12345, time = 0;
	char name[16];

	(void)sprintf(name, "key %i", key / 3);
	ck_assert_int_eq(history_find_key(model->history, senders[key % 3], name, &seq, &time), 0);
	if (seq > 0)
		ck_assert_uint_eq(time, time_of(seq));
	return seq;
}

static void check_key(const struct model *model, uint16_t key)
{
	uint64_t seq = model->written;

	while (seq > 0 && seq + CHAT_KEYS_KEPT > model->written && model->keys[seq - 1] != key)
		seq--;
	if (seq + CHAT_KEYS_KEPT <= model->written)
		seq = 0;
	ck_assert_uint_eq(find_key(model, key), seq);
}

static void check_reach(struct model *model)
{
	ck_assert_uint_eq(history_oldest(model->history), model->oldest);
	ck_assert_uint_eq(history_newest(model->history), model->newest);
	check_read(model, 0, UINT64_MAX);
}

/* ---- tests ---- */

START_TEST(test_durable)
{
	struct model model = new_durable("durable");
	struct store_room room = {.id = 0};

	check_reach(&model);
	begin(&model);
	append(&model, 1);
	append(&model, 2);
	check_reach(&model); /* not before it is committed */
	ck_assert_uint_eq(find_key(&model, 2), 2);
	commit(&model);
	check_reach(&model);

	begin(&model);
	append(&model, 3);
	undo(&model);
	check_reach(&model);
	ck_assert_uint_eq(find_key(&model, 3), 0);
	begin(&model);
	append(&model, 4);
	commit(&model);
	check_reach(&model);
	check_read(&model, 2, 2);
	check_read(&model, 3, 9);
	check_read(&model, 9, 10);
	check_read(&model, 3, 2);
	close_durable(&model);

	open_durable(&model, "durable");
	find_room(model.store, &room);
	check_reach(&model);
	ck_assert_uint_eq(find_key(&model, 4), 3);
	close_durable(&model);
	free(model.keys);
}
END_TEST

START_TEST(test_trim_durable)
{
	struct model model = new_durable("trim");
	bool more = true;

	ck_assert(!history_wants_trim(model.history, 1, 1, 5000000));
	begin(&model);
	for (int i = 0; i < 1000; i++)
		append(&model, 0);
	commit(&model);
	ck_assert(!history_wants_trim(model.history, 0, 0, 5000000));
	ck_assert(!history_wants_trim(model.history, 1000, 0, 5000000));
	ck_assert(history_wants_trim(model.history, 999, 0, 5000000));
	ck_assert(!history_wants_trim(model.history, 0, 100, time_of(1) + 100));
	ck_assert(history_wants_trim(model.history, 0, 100, time_of(1) + 101));

	/* Undone, it is there again. */
	begin(&model);
	ck_assert_int_eq(history_trim(model.history, 990, 0, 0, &more), 0);
	ck_assert(!more);
	ck_assert_uint_eq(history_oldest(model.history), 11);
	undo(&model);
	check_reach(&model);
	ck_assert(history_wants_trim(model.history, 999, 0, 0));

	/* By number, in steps. */
	more = true;
	for (int steps = 1; steps < 100 && more; steps++) {
		begin(&model);
		ck_assert_int_eq(history_trim(model.history, 100, 0, 0, &more), 0);
		model.oldest = history_oldest(model.history);
		ck_assert(more == (model.oldest < 901));
		commit(&model);
		check_reach(&model);
		ck_assert(history_wants_trim(model.history, 100, 0, 0) == more);
		more = model.oldest < 901;
	}
	ck_assert_uint_eq(model.oldest, 901);

	/* By age, down to nothing, and the numbers go on. */
	begin(&model);
	ck_assert_int_eq(history_trim(model.history, 0, 50, time_of(950) + 50, &more), 0);
	model.oldest = 950;
	commit(&model);
	check_reach(&model);
	ck_assert(!history_wants_trim(model.history, 0, 50, time_of(950) + 50));
	ck_assert(history_wants_trim(model.history, 0, 50, time_of(950) + 51));
	begin(&model);
	ck_assert_int_eq(history_trim(model.history, 0, 50, time_of(5000), &more), 0);
	model.oldest = 1001;
	commit(&model);
	check_reach(&model);
	close_durable(&model);
	open_durable(&model, "trim");
	check_reach(&model);
	ck_assert(!history_wants_trim(model.history, 1, 50, time_of(5000)));
	begin(&model);
	append(&model, 1);
	commit(&model);
	check_reach(&model);
	ck_assert(!history_wants_trim(model.history, 0, 50, time_of(1001) + 50));
	ck_assert(history_wants_trim(model.history, 0, 50, time_of(1001) + 51));
	close_durable(&model);
	free(model.keys);
}
END_TEST

/* A log that nothing limits still has to let go of old keys, now and then. */
START_TEST(test_trim_old_keys)
{
	struct model model = new_durable("old-keys");
	bool more = true;

	begin(&model);
	for (int i = 0; i < CHAT_KEYS_KEPT + 1000; i++)
		append(&model, (uint16_t)(i % 7 + 1));
	commit(&model);
	ck_assert(!history_wants_trim(model.history, 0, 0, 0));
	begin(&model);
	for (int i = 0; i < 1000; i++)
		append(&model, 0);
	commit(&model);
	for (int steps = 0; steps < 100 && more; steps++) {
		ck_assert(history_wants_trim(model.history, 0, 0, 0));
		begin(&model);
		ck_assert_int_eq(history_trim(model.history, 0, 0, 0, &more), 0);
		commit(&model);
	}
	ck_assert(!more);
	ck_assert(!history_wants_trim(model.history, 0, 0, 0));
	check_reach(&model);
	close_durable(&model);
	free(model.keys);
}
END_TEST

START_TEST(test_memory)
{
	struct model model = new_memory(10, 0);
	bool more = true;

	check_reach(&model);
	ck_assert(!history_wants_trim(model.history, 1, 1, 5000000));
	for (uint16_t i = 1; i <= 300; i++) {
		append(&model, i % 4 ? i : 0);
		model.oldest = i > 10 ? i - 9U : 1;
		check_reach(&model);
		if (i % 4)
			ck_assert_uint_eq(find_key(&model, i), i);
	}
	for (uint16_t i = 1; i <= 300; i++)
		ck_assert_uint_eq(find_key(&model, i), i % 4 ? i : 0);
	history_undone(model.history); /* nothing is ever uncommitted */
	history_committed(model.history);
	check_reach(&model);
	history_limit(model.history, 4);
	model.oldest = 297;
	check_reach(&model);

	ck_assert(history_wants_trim(model.history, 3, 0, 0));
	ck_assert(!history_wants_trim(model.history, 4, 0, 0));
	ck_assert_int_eq(history_trim(model.history, 3, 0, 0, &more), 0);
	ck_assert(!more);
	model.oldest = 298;
	check_reach(&model);
	ck_assert(!history_wants_trim(model.history, 0, 20, time_of(298) + 20));
	ck_assert(history_wants_trim(model.history, 0, 20, time_of(298) + 21));
	ck_assert_int_eq(history_trim(model.history, 0, 20, time_of(1000), &more), 0);
	model.oldest = 301;
	check_reach(&model);
	append(&model, 1);
	check_reach(&model);
	history_free(model.history);
	free(model.keys);
}
END_TEST

START_TEST(test_memory_is_bounded_in_bytes)
{
	enum { LARGE = 5000, MAX_BYTES = 64 << 10 };
	struct history *history = history_new_memory(0, MAX_BYTES);
	static char large[10 * MAX_BYTES];
	struct chat_message message = {.from = "anna", .text = large, .text_len = LARGE};
	bool more = true;

	memset(large, 'x', sizeof(large));
	for (uint64_t n = 1; n <= 100; n++) {
		ck_assert_int_eq(history_append(history, &message, "anna", NULL), 0);
		ck_assert_uint_le((n + 1 - history_oldest(history)) * LARGE, MAX_BYTES);
	}
	ck_assert_uint_eq(history_oldest(history), 100 + 1 - MAX_BYTES / LARGE + 1);
	/* What texts do not take, messages themselves do. */
	message.text_len = 0;
	for (uint64_t n = 1; n <= MAX_BYTES; n++)
		ck_assert_int_eq(history_append(history, &message, "anna", NULL), 0);
	ck_assert_uint_lt(history_newest(history) - history_oldest(history), MAX_BYTES / 64);

	/* The newest one stays, however large. */
	message.text_len = sizeof(large);
	ck_assert_int_eq(history_append(history, &message, "anna", NULL), 0);
	ck_assert_uint_eq(history_oldest(history), history_newest(history));
	ck_assert_int_eq(history_trim(history, 0, 0, 0, &more), 0);
	ck_assert(!more);
	history_free(history);
	history_free(NULL);
}
END_TEST

/* Steps of trimming are small in memory, too. */
START_TEST(test_trim_memory_in_steps)
{
	struct model model = new_memory(0, 0);
	uint64_t before = 1;
	bool more = true;

	for (int i = 0; i < 2000; i++)
		append(&model, 0);
	for (int steps = 1; steps < 100 && more; steps++) {
		ck_assert_int_eq(history_trim(model.history, 1, 0, 0, &more), 0);
		model.oldest = history_oldest(model.history);
		ck_assert_uint_gt(model.oldest, before);
		ck_assert_uint_le(model.oldest, before + 500);
		before = model.oldest;
		check_reach(&model);
	}
	ck_assert_uint_eq(model.oldest, 2000);
	history_free(model.history);
	free(model.keys);
}
END_TEST

/* ---- at random ---- */

static void trim_model(struct model *model, uint64_t max_messages)
{
	bool wants = history_wants_trim(model->history, max_messages, 0, 0), more;
	uint64_t oldest = model->newest > max_messages ? model->newest - max_messages + 1 : 1;

	ck_assert(wants || model->oldest >= oldest);
	begin(model);
	ck_assert_int_eq(history_trim(model->history, max_messages, 0, 0, &more), 0);
	commit(model);
	if (!more)
		model->oldest = MAX(model->oldest, oldest);
	else
		model->oldest = history_oldest(model->history);
	ck_assert_uint_le(model->oldest, MAX(oldest, model->oldest));
}

/* Appends, and undoes some of it, trims, and looks up keys that come again and again. */
static void live(struct model *model, struct random *random, size_t rounds, uint16_t keys,
		 uint64_t max_messages)
{
	for (size_t round = 0; round < rounds; round++) {
		size_t n = random_below(random, 64);

		begin(model);
		for (size_t i = 0; i < n; i++) {
			append(model,
			       random_below(random, 3) ? 0 : (uint16_t)random_below(random, keys));
			if (random_below(random, 8) == 0)
				check_key(model, (uint16_t)(1 + random_below(random, keys)));
		}
		if (model->store && random_below(random, 4) == 0)
			undo(model);
		else
			commit(model);
		if (!model->store && model->newest > max_messages)
			model->oldest = MAX(model->oldest, model->newest - max_messages + 1);
		check_key(model, (uint16_t)(1 + random_below(random, keys)));
		if (model->store && random_below(random, 8) == 0)
			trim_model(model, max_messages);
		ck_assert_uint_eq(history_oldest(model->history), model->oldest);
		ck_assert_uint_eq(history_newest(model->history), model->newest);
		if (random_below(random, 16) == 0)
			check_read(model, random_next(random) % (model->newest + 2),
				   random_next(random) % (model->newest + 2));
	}
}

START_TEST(test_random_memory)
{
	static const uint64_t limits[] = {1, 100, 9999, 10000, 10001, 30000};
	struct random random;

	random_init_run(&random, "random_memory");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct model model = new_memory(limits[i], 0);

		live(&model, &random, harness_rounds(600, 400), (uint16_t)(i % 2 ? 30 : 30000),
		     limits[i]);
		check_reach(&model);
		history_free(model.history);
		free(model.keys);
	}
}
END_TEST

START_TEST(test_random_durable)
{
	static const uint64_t limits[] = {1, 100, 10001};
	struct random random;
	char name[32];

	random_init_run(&random, "random_durable");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct model model;

		(void)sprintf(name, "random-%zu", i);
		model = new_durable(name);
		for (int again = 0; again < 4; again++) {
			live(&model, &random, harness_rounds(150, 110),
			     (uint16_t)(i % 2 ? 30 : 30000), limits[i]);
			check_reach(&model);
			close_durable(&model);
			open_durable(&model, name);
			check_reach(&model);
		}
		close_durable(&model);
		free(model.keys);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("history");

	add(suite, test_durable);
	add(suite, test_trim_durable);
	add(suite, test_trim_old_keys);
	add(suite, test_memory);
	add(suite, test_memory_is_bounded_in_bytes);
	add(suite, test_trim_memory_in_steps);
	add(suite, test_random_memory);
	add(suite, test_random_durable);
	return harness_main(suite);
}
