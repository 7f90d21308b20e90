/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The store on a disk that fails: at the n-th thing that is asked of it, for one n after the other,
 * and then works again. What was committed is there, at any moment and after a crash at that
 * moment, and nothing else is.
 */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "store.h"

/* ---- the disk ---- */

/* An SQLite VFS that passes everything on, but for what is to fail. */
struct disk {
	sqlite3_vfs vfs, *real;
	int error;	     /* that it fails with: ENOSPC, EIO */
	unsigned from, upto; /* which of the things asked of it fail, counted from 1 */
	unsigned asked, failed, syncs;
	bool sound; /* nothing fails, and nothing is counted */
};

struct disk_file {
	sqlite3_file base;
	struct disk *disk;
	sqlite3_file *real; /* behind this */
};

static bool fails(struct disk *disk)
{
	if (disk->sound || ++disk->asked < disk->from || disk->asked > disk->upto)
		return false;
	disk->failed++;
	errno = disk->error;
	return true;
}

static struct disk_file *file_of(sqlite3_file *base)
{
	return CONTAINER_OF(base, struct disk_file, base);
}

static int io_close(sqlite3_file *base)
{
	return file_of(base)->real->pMethods->xClose(file_of(base)->real);
}

static int io_read(sqlite3_file *base, void *data, int n, sqlite3_int64 at)
{
	struct disk_file *file = file_of(base);

	if (file->disk->error == EIO && fails(file->disk))
		return SQLITE_IOERR_READ;
	return file->real->pMethods->xRead(file->real, data, n, at);
}

/* A full disk takes a part, and a bad one nothing or all. */
static int io_write(sqlite3_file *base, const void *data, int n, sqlite3_int64 at)
{
	struct disk_file *file = file_of(base);
	bool failing = fails(file->disk), full = file->disk->error == ENOSPC;
	int r = SQLITE_OK;

	if (!failing || !full)
		r = file->real->pMethods->xWrite(file->real, data, failing ? n / 2 : n, at);
	else if (n > 1)
		r = file->real->pMethods->xWrite(file->real, data, n / 2, at);
	if (!failing)
		return r;
	errno = file->disk->error;
	return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int io_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct disk_file *file = file_of(base);

	return fails(file->disk) ? SQLITE_IOERR_TRUNCATE
				 : file->real->pMethods->xTruncate(file->real, size);
}

/* Nothing here loses power, so that nothing really has to be written out. */
static int io_sync(sqlite3_file *base, int flags)
{
	struct disk *disk = file_of(base)->disk;

	(void)flags;
	if (fails(disk))
		return SQLITE_IOERR_FSYNC;
	disk->syncs++;
	return SQLITE_OK;
}

static int io_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
	return file_of(base)->real->pMethods->xFileSize(file_of(base)->real, ret_size);
}

static int io_lock(sqlite3_file *base, int lock)
{
	return file_of(base)->real->pMethods->xLock(file_of(base)->real, lock);
}

static int io_unlock(sqlite3_file *base, int lock)
{
	return file_of(base)->real->pMethods->xUnlock(file_of(base)->real, lock);
}

static int io_check_lock(sqlite3_file *base, int *ret_locked)
{
	return file_of(base)->real->pMethods->xCheckReservedLock(file_of(base)->real, ret_locked);
}

static int io_control(sqlite3_file *base, int op, void *argument)
{
	return file_of(base)->real->pMethods->xFileControl(file_of(base)->real, op, argument);
}

static int io_sector_size(sqlite3_file *base)
{
	return file_of(base)->real->pMethods->xSectorSize(file_of(base)->real);
}

static int io_characteristics(sqlite3_file *base)
{
	return file_of(base)->real->pMethods->xDeviceCharacteristics(file_of(base)->real);
}

/* Of version 1, without shared memory: which is not to be needed. */
static const sqlite3_io_methods io_methods = {
	.iVersion = 1,
	.xClose = io_close,
	.xRead = io_read,
	.xWrite = io_write,
	.xTruncate = io_truncate,
	.xSync = io_sync,
	.xFileSize = io_size,
	.xLock = io_lock,
	.xUnlock = io_unlock,
	.xCheckReservedLock = io_check_lock,
	.xFileControl = io_control,
	.xSectorSize = io_sector_size,
	.xDeviceCharacteristics = io_characteristics,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
		     int *ret_flags)
{
	struct disk *disk = vfs->pAppData;
	struct disk_file *file = file_of(base);
	int result;

	file->base.pMethods = NULL;
	if (fails(disk))
		return SQLITE_CANTOPEN;
	file->disk = disk;
	file->real = (sqlite3_file *)(file + 1);
	result = disk->real->xOpen(disk->real, name, file->real, flags, ret_flags);
	if (result == SQLITE_OK)
		file->base.pMethods = &io_methods;
	return result;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct disk *disk = vfs->pAppData;

	if (fails(disk))
		return SQLITE_IOERR_DELETE;
	return disk->real->xDelete(disk->real, name, sync);
}

/* All that SQLite opens hereafter is on this disk. */
static void disk_use(struct disk *disk)
{
	disk->real = sqlite3_vfs_find(NULL);
	disk->vfs = *disk->real;
	disk->vfs.zName = "failing";
	disk->vfs.pAppData = disk;
	disk->vfs.szOsFile += (int)sizeof(struct disk_file);
	disk->vfs.xOpen = disk_open;
	disk->vfs.xDelete = disk_delete;
	ck_assert_int_eq(sqlite3_vfs_register(&disk->vfs, 1), SQLITE_OK);
}

static void disk_leave(struct disk *disk)
{
	ck_assert_int_eq(sqlite3_vfs_unregister(&disk->vfs), SQLITE_OK);
	ck_assert_int_eq(sqlite3_vfs_register(disk->real, 1), SQLITE_OK);
}

/* ---- what is in the store ---- */

enum { BATCHES = 30, BATCH = 6, LARGE = 30000 };

/* What was committed, and what would be with the batch that is under way. */
struct reach {
	uint64_t oldest, newest;
	unsigned topic;
};

struct run {
	struct disk disk;
	struct store *store;
	uint64_t room;
	struct reach committed, wanted;
};

static const char *text_of(uint64_t seq, size_t *ret_len)
{
	static char text[LARGE + 32];
	size_t len = seq % 2 ? LARGE : 100;

	memset(text, 'a' + (char)(seq % 26), len);
	*ret_len = len + (size_t)sprintf(text + len, "%ju", (uintmax_t)seq);
	return text;
}

static const char *key_of(uint64_t seq, char key[static 32])
{
	(void)sprintf(key, "key %ju", (uintmax_t)seq);
	return seq % 3 ? key : NULL;
}

static int expect_message(const struct chat_message *message, void *data)
{
	uint64_t *next = data;
	size_t len;
	const char *text = text_of(*next, &len);

	ck_assert_uint_eq(message->seq, *next);
	assert_bytes(message->text, message->text_len, text, len, "text");
	++*next;
	return 0;
}

static int take_room(const struct store_room *room, void *data)
{
	struct reach *found = data;

	found->oldest = room->oldest;
	found->newest = room->newest;
	found->topic = (unsigned)strtoul(room->topic, NULL, 10);
	return 0;
}

static bool reach_equal(const struct reach *a, const struct reach *b)
{
	return a->oldest == b->oldest && a->newest == b->newest && a->topic == b->topic;
}

/* What is in the store is what was committed, or, when that may be, what was wanted. */
static void check_content(struct run *run, struct store *store, bool wanted_too)
{
	struct reach found = {.oldest = 1};
	uint64_t next, seq, time;
	char key[32];

	ck_assert_int_eq(store_rooms(store, take_room, &found), 0);
	ck_assert_msg(reach_equal(&found, &run->committed) ||
			      (wanted_too && reach_equal(&found, &run->wanted)),
		      "%ju-%ju %u, expected %ju-%ju %u", (uintmax_t)found.oldest,
		      (uintmax_t)found.newest, found.topic, (uintmax_t)run->committed.oldest,
		      (uintmax_t)run->committed.newest, run->committed.topic);
	if (run->room == 0)
		return;
	next = found.oldest;
	ck_assert_int_eq(store_read(store, run->room, 0, UINT64_MAX, expect_message, &next), 0);
	ck_assert_uint_eq(next, found.newest + 1);
	for (uint64_t i = 1; i <= found.newest + BATCH; i++) {
		if (!key_of(i, key))
			continue;
		ck_assert_int_eq(store_find_key(store, run->room, "anna", key, 0, &seq, &time), 0);
		ck_assert_uint_eq(seq, i <= found.newest ? i : 0);
	}
}

/* Opens a store; tells what was wrong in *ret_problem, when that is not NULL. */
static struct store *open_sound(const char *directory)
{
	char problem[STORE_PROBLEM_MAX] = "";
	struct store *store = NULL;

	ck_assert_msg(store_open(directory, &store, problem) == 0, "%s", problem);
	return store;
}

/* Copies a file that may be missing. */
static void copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "re"), *out;
	static uint8_t part[65536];
	size_t n;

	if (!in)
		return;
	out = fopen(to, "we");
	ck_assert_ptr_nonnull(out);
	while ((n = fread(part, 1, sizeof(part), in)) > 0)
		ck_assert_uint_eq(fwrite(part, 1, n, out), n);
	ck_assert_int_eq(ferror(in), 0);
	ck_assert_int_eq(fclose(in), 0);
	ck_assert_int_eq(fclose(out), 0);
}

/* What would be found if the process were killed now. */
static void check_crash(struct run *run, bool wanted_too)
{
	struct store *store;

	directory_remove("crashed");
	ck_assert_int_eq(mkdir("crashed", 0700), 0);
	copy_file("store/rooms.db", "crashed/rooms.db");
	copy_file("store/rooms.db-wal", "crashed/rooms.db-wal");
	store = open_sound("crashed");
	check_content(run, store, wanted_too);
	store_close(store);
}

/* After a failure of the disk. */
static void check_failure(struct run *run, int error, const char *problem)
{
	ck_assert_msg(error == -run->disk.error, "%i: %s", error, problem);
	ck_assert_msg(strstr(problem, "store/rooms.db"), "%s", problem);
	run->disk.sound = true;
	if (run->store)
		check_content(run, run->store, false);
	/* While nothing can be overwritten, a batch that failed when it was whole is there. */
	if (run->store)
		check_crash(run, run->disk.upto > run->disk.from);
	run->disk.sound = false;
}

/* ---- the run ---- */

static int try_batch(struct run *run)
{
	struct store *store = run->store;
	const struct reach *wanted = &run->wanted;
	uint64_t room = run->room, oldest;
	bool more;
	char text[16], key[32];
	int r = store_begin(store);

	if (r == 0 && room == 0)
		r = store_add_room(store, "ops", "ops", &room);
	for (uint64_t seq = run->committed.newest + 1; r == 0 && seq <= wanted->newest; seq++) {
		struct chat_message message = {.seq = seq, .from = "anna"};
		const char *name = key_of(seq, key);

		message.text = text_of(seq, &message.text_len);
		r = store_append(store, room, &message, "anna", name);
	}
	(void)sprintf(text, "%u", wanted->topic);
	if (r == 0)
		r = store_set_topic(store, room, text);
	if (r == 0 && wanted->oldest > run->committed.oldest)
		r = store_trim(store, room, wanted->oldest - 1, 0, 5 * BATCH, &oldest, &more);
	if (r == 0)
		r = store_commit(store);
	if (r == 0)
		run->room = room;
	return r;
}

static void do_batch(struct run *run, unsigned topic)
{
	unsigned syncs = run->disk.syncs;
	char problem[STORE_PROBLEM_MAX];
	int r;

	run->wanted = run->committed;
	run->wanted.newest += BATCH;
	run->wanted.topic = topic;
	if (topic % 4 == 0)
		run->wanted.oldest = run->committed.newest + 1;
	while ((r = try_batch(run)) < 0) {
		(void)snprintf(problem, sizeof(problem), "%s", store_problem(run->store));
		store_rollback(run->store);
		check_failure(run, r, problem);
	}
	ck_assert_uint_gt(run->disk.syncs, syncs);
	run->committed = run->wanted;
}

/* Does everything once on a disk of which some things fail. Returns whether any did. */
static bool run_once(int error, unsigned from, unsigned upto)
{
	struct run run = {.disk = {.error = error, .from = from, .upto = upto},
			  .committed.oldest = 1};
	char problem[STORE_PROBLEM_MAX] = "";
	int r;

	directory_remove("store");
	disk_use(&run.disk);
	while ((r = store_open("store", &run.store, problem)) < 0)
		check_failure(&run, r, problem);
	for (unsigned i = 1; i <= BATCHES; i++)
		do_batch(&run, i);
	while ((r = store_probe(run.store)) < 0)
		check_failure(&run, r, store_problem(run.store));
	store_close(run.store);

	run.disk.sound = true;
	run.store = open_sound("store");
	check_content(&run, run.store, false);
	store_close(run.store);
	disk_leave(&run.disk);
	return run.disk.failed > 0;
}

static void run_all(int error, unsigned at_once)
{
	char path[128];
	unsigned n = 1;

	(void)snprintf(path, sizeof(path), "%s/faults-XXXXXX", getenv("RETORT_TEST_DIRECTORY"));
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
	while (run_once(error, n, n + at_once - 1))
		n += 1 + n / (unsigned)harness_rounds(9, 3);
	ck_assert_uint_gt(n, 500); /* else not much can have happened */
}

START_TEST(test_full)
{
	run_all(ENOSPC, 1);
}
END_TEST

START_TEST(test_full_for_a_while)
{
	run_all(ENOSPC, 20);
}
END_TEST

START_TEST(test_io_error)
{
	run_all(EIO, 1);
}
END_TEST

START_TEST(test_io_errors_for_a_while)
{
	run_all(EIO, 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store_faults");

	harness_add(suite, test_full);
	harness_add(suite, test_full_for_a_while);
	harness_add(suite, test_io_error);
	harness_add(suite, test_io_errors_for_a_while);
	return harness_main(suite);
}
