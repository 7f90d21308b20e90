/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

#include <systemd/sd-journal.h>

enum {
	LINE_MAX_BYTES = 1024,
	FIELDS_MAX = 16,
	FIELD_BYTES = 256,
	FOLDS_MAX = 256, /* kinds × listeners remembered at once; what is beyond is one together */
	FOLD_MILLISECONDS = 1000,
};

/* The identifiers are those of systemd/retort.catalog, and never change. */
static const struct {
	int priority;
	const char *id;
} kinds[LOG_KINDS] = {
	[LOG_LISTENING] = {LOG_INFO, "2cdee123486f499ab9abd07a935e72da"},
	[LOG_NOT_LISTENING] = {LOG_INFO, "6371020507844d8482bd8e360ac107b0"},
	[LOG_CANNOT_LISTEN] = {LOG_ERR, "de8f7af1faa64da6821dff069ac44c92"},
	[LOG_NO_FAMILY] = {LOG_INFO, "382ccd0631994b5dbe3c9924aa032d65"},
	[LOG_NOT_INHERITED] = {LOG_WARNING, "4a42500048e641eca149e19f7e6acae7"},
	[LOG_CONNECTED] = {LOG_DEBUG, "75a00667784d422784296710207bda7f"},
	[LOG_GONE] = {LOG_DEBUG, "1d1d92cca5d44864bc187504a4348900"},
	[LOG_REFUSED] = {LOG_NOTICE, "c26bcd6ae8b442e2a47b61d1d33764d4"},
	[LOG_PAUSED] = {LOG_NOTICE, "c33b70599924400d868a2350fa8c6146"},
	[LOG_RESUMED] = {LOG_NOTICE, "5c90c822a6414fb2901f3528a55ca33b"},
	[LOG_MALFORMED] = {LOG_NOTICE, "413b6a6b497f4f9cbb262fbbdc5a505d"},
	[LOG_TOO_LONG] = {LOG_NOTICE, "94648a6c0731465a9c6c6ab74b7b396a"},
	[LOG_ERROR_FRAME] = {LOG_NOTICE, "96a069870e564c5db262a0da0dae452b"},
	[LOG_CUT_SHORT] = {LOG_NOTICE, "cf0f327753c944969bcf17708e49f953"},
	[LOG_TIMED_OUT] = {LOG_NOTICE, "9ee685a791344c4394fff152af5eeca1"},
	[LOG_IDLE] = {LOG_NOTICE, "b5b8186d9e334beeac26df0c6218969e"},
	[LOG_NOT_ANSWERED] = {LOG_NOTICE, "6011988e1e40459080065e1e362395a4"},
	[LOG_OUT_OF_MEMORY] = {LOG_ERR, "5e88afb1ea054ac98afc6468420060df"},
	[LOG_CONFIG_PROBLEM] = {LOG_ERR, "78e5e6503e8f41238fc8a1f6ff3682f9"},
	[LOG_RELOADED] = {LOG_NOTICE, "5652968766ce4b2a9babd153d07ed371"},
	[LOG_NOT_RELOADED] = {LOG_ERR, "634d59b966cb44208e5714598199976b"},
	[LOG_STOPPING] = {LOG_NOTICE, "9948f99b2dd541fba11aae3b9c12b4f1"},
	[LOG_HANDED_OVER] = {LOG_INFO, "2b6d20af0bb54828a88f6a7808bddf05"},
	[LOG_NOT_HANDED_OVER] = {LOG_WARNING, "fb9d7db31dd941fb9d7a0ade28d2a3d8"},
	[LOG_TAKEN_OVER] = {LOG_INFO, "5acf4879c06f4496b631b5623a5aa1eb"},
	[LOG_NOT_TAKEN_OVER] = {LOG_ERR, "16a908d685c84fb68bfce49c83f4cac7"},
	[LOG_SUMMARY] = {LOG_NOTICE, "14688b0c56d14a1fa6f69be8216a49e8"},
	[LOG_SLOW_DOWN] = {LOG_NOTICE, "c41cfc331a73434985b8b2373a8c0cb8"},
	[LOG_KICKED] = {LOG_NOTICE, "3ea1174c65114ca49a55c85803d09f86"},
	[LOG_BANNED] = {LOG_NOTICE, "c501f30cb6da41c1946fcb8bc135063a"},
	[LOG_UNBANNED] = {LOG_NOTICE, "0f503cfe7ad14145858bf029a6ecf855"},
	[LOG_MUTED] = {LOG_NOTICE, "ea68db1967f64fe890bc4b76670b76cb"},
	[LOG_UNMUTED] = {LOG_NOTICE, "52e8590eb5e74b97a6e5bfd5ce39c21d"},
	[LOG_STORAGE_FAILING] = {LOG_ERR, "f5951bf29c374fafbcb32c264baa4a72"},
	[LOG_STORAGE_BACK] = {LOG_NOTICE, "4f976f8ff06d4586bb3b0b1d2775d6e5"},
	[LOG_STATE_PROBLEM] = {LOG_ERR, "765bd53c27054be48bc683e77533a4ca"},
	[LOG_CONTROL_PROBLEM] = {LOG_WARNING, "7a3e109fca5e45dca31aef5abaf71640"},
	[LOG_STUCK] = {LOG_ERR, "81d6e00160bf4284a0f8d4262240643e"},
	[LOG_NAMES_STUCK] = {LOG_WARNING, "b0274683e168438995dc81752e394ae3"},
	[LOG_NAMES_BACK] = {LOG_NOTICE, "b4056a964a4a4e71b72bd5b502d12817"},
	[LOG_FAULT] = {LOG_ERR, "6f2fb9dcc847474a93105eb0176eb174"},
};

/* What "more such entries" are about, of the kinds that are folded. */
static const char *const kind_words[LOG_KINDS] = {
	[LOG_REFUSED] = "clients refused",
	[LOG_PAUSED] = "accepting paused",
	[LOG_RESUMED] = "accepting resumed",
	[LOG_MALFORMED] = "malformed messages",
	[LOG_TOO_LONG] = "messages too long",
	[LOG_ERROR_FRAME] = "error frames",
	[LOG_CUT_SHORT] = "messages cut short",
	[LOG_TIMED_OUT] = "clients timed out",
	[LOG_IDLE] = "idle clients",
	[LOG_NOT_ANSWERED] = "datagrams not answered",
	[LOG_OUT_OF_MEMORY] = "out of memory",
	[LOG_SLOW_DOWN] = "messages beyond chat.rate",
	[LOG_STORAGE_FAILING] = "log of rooms not writable",
	[LOG_STORAGE_BACK] = "log of rooms writable again",
};

/* One kind of entry of one listener that was said lately. */
struct fold {
	enum log_kind kind;
	char listener[65];
	uint64_t since;	     /* when it was said, in milliseconds */
	uint64_t suppressed; /* how often it was not said since */
};

static struct {
	bool journal, colour;
	int level;
	int timer; /* a timerfd(2), armed while any kind is remembered */
	pthread_mutex_t lock;
	size_t n_folds;
	struct fold folds[FOLDS_MAX + 1]; /* the last: for all that there is no room for */
} state = {.level = LOG_INFO, .timer = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* Reads a number that ends in end. */
static bool parse_number(const char *text, char end, uintmax_t *ret_number, const char **ret_rest)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoumax(text, &rest, 10);
	*ret_rest = rest + 1;
	return errno == 0 && *rest == end;
}

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat status;
	uintmax_t device, inode;

	return stream && parse_number(stream, ':', &device, &stream) &&
	       parse_number(stream, '\0', &inode, &stream) && fstat(STDERR_FILENO, &status) == 0 &&
	       status.st_dev == device && status.st_ino == inode;
}

void log_open(bool verbose)
{
	const char *no_colour = getenv("NO_COLOR");

	state.level = verbose ? LOG_DEBUG : LOG_INFO;
	state.journal = stderr_is_journal();
	state.colour = !(no_colour && *no_colour) && isatty(STDERR_FILENO);
	if (state.timer < 0)
		state.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

bool log_is_journal(void)
{
	return state.journal;
}

bool log_verbose(void)
{
	return state.level >= LOG_DEBUG;
}

struct fields {
	struct iovec parts[FIELDS_MAX];
	char text[FIELDS_MAX][FIELD_BYTES];
	int n;
};

static void PRINTF(2, 3) add_field(struct fields *fields, const char *format, ...)
{
	char *text = fields->text[fields->n];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, FIELD_BYTES, format, arguments); /* cut short when too long */
	va_end(arguments);
	fields->parts[fields->n++] = (struct iovec){text, strlen(text)};
}

static void write_journal(enum log_kind kind, const struct log_about *about, const char *text)
{
	char message[LINE_MAX_BYTES + 16];
	struct fields fields = {.n = 0};

	(void)snprintf(message, sizeof(message), "MESSAGE=%s", text);
	fields.parts[fields.n++] = (struct iovec){message, strlen(message)};
	add_field(&fields, "PRIORITY=%i", kinds[kind].priority);
	add_field(&fields, "MESSAGE_ID=%s", kinds[kind].id);
	add_field(&fields, "SYSLOG_IDENTIFIER=retortd");
	if (about->listener)
		add_field(&fields, "RETORT_LISTENER=%s", about->listener);
	if (about->peer)
		add_field(&fields, "RETORT_PEER=%s", about->peer);
	if (about->client)
		add_field(&fields, "RETORT_CLIENT=%" PRIu64, about->client);
	if (about->user)
		add_field(&fields, "RETORT_USER=%s", about->user);
	if (about->nick)
		add_field(&fields, "RETORT_NICK=%s", about->nick);
	if (about->room)
		add_field(&fields, "RETORT_ROOM=%s", about->room);
	if (about->reason)
		add_field(&fields, "RETORT_REASON=%s", about->reason);
	if (about->closed) {
		add_field(&fields, "RETORT_BYTES_IN=%" PRIu64, about->bytes_in);
		add_field(&fields, "RETORT_BYTES_OUT=%" PRIu64, about->bytes_out);
		add_field(&fields, "RETORT_MESSAGES=%" PRIu64, about->messages);
	}
	(void)sd_journal_sendv(fields.parts, fields.n); /* there is nowhere to complain to */
}

static void write_stderr(int priority, const char *text)
{
	static const char *const words[] = {
		"fault: ", "fault: ", "fault: ", "error: ", "warning: ", "", "", "debug: "};
	const char *colour = priority <= LOG_ERR       ? "\033[31m"
			     : priority == LOG_WARNING ? "\033[33m"
			     : priority == LOG_NOTICE  ? "\033[1m"
						       : "";
	char line[LINE_MAX_BYTES + 128];
	struct timespec now;
	struct tm parts;
	char time[32];
	int n;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)strftime(time, sizeof(time), "%F %T", localtime_r(&now.tv_sec, &parts));
	n = snprintf(line, sizeof(line), "%s.%03li %s%s%s%s\n", time, now.tv_nsec / 1000000,
		     state.colour ? colour : "", words[LOG_PRI(priority)], text,
		     state.colour && *colour ? "\033[0m" : "");
	/* One write, so that lines of several threads don't mix. */
	(void)!write(STDERR_FILENO, line, (size_t)MIN(n, (int)sizeof(line) - 1));
}

static void write_entry(enum log_kind kind, const struct log_about *about, const char *text)
{
	static const struct log_about nothing;
	char line[LINE_MAX_BYTES], client[32] = "";

	if (!about)
		about = &nothing;
	if (about->client)
		(void)snprintf(client, sizeof(client), "client %" PRIu64, about->client);
	(void)snprintf(line, sizeof(line), "%s%s%s%s%s%s%s%s",
		       about->listener ? about->listener : "", about->listener ? ": " : "", client,
		       about->peer && *client ? " (" : "", about->peer ? about->peer : "",
		       about->peer && *client ? ")" : "", about->peer || *client ? ": " : "", text);
	if (state.journal)
		write_journal(kind, about, line);
	else
		write_stderr(kinds[kind].priority, line);
}

static void PRINTF(3, 0) write_va(enum log_kind kind, const struct log_about *about,
				  const char *format, va_list arguments)
{
	char text[LINE_MAX_BYTES];
	int saved = errno;

	(void)vsnprintf(text, sizeof(text), format, arguments); /* cut short when too long */
	write_entry(kind, about, text);
	errno = saved;
}

void log_write(enum log_kind kind, const struct log_about *about, const char *format, ...)
{
	va_list arguments;

	if (kinds[kind].priority > state.level)
		return;
	va_start(arguments, format);
	write_va(kind, about, format, arguments);
	va_end(arguments);
}

void log_lines(enum log_kind kind, const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		log_write(kind, NULL, "%.*s", (int)line, text);
		line += end != NULL;
		text += line;
		len -= line;
	}
}

static uint64_t milliseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void arm(void)
{
	struct itimerspec when = {.it_value = {.tv_sec = FOLD_MILLISECONDS / 1000, .tv_nsec = 1}};

	if (state.timer >= 0)
		(void)timerfd_settime(state.timer, 0, &when, NULL);
}

/* Says how often the entry of a fold was not said. */
static void say(struct fold *fold)
{
	const char *words = fold == &state.folds[FOLDS_MAX] ? NULL : kind_words[fold->kind];
	char text[LINE_MAX_BYTES];

	(void)snprintf(text, sizeof(text),
		       "%s%s%" PRIu64 " more such entr%s in the last second: not shown one by one",
		       words ? words : "", words ? ": " : "", fold->suppressed,
		       fold->suppressed == 1 ? "y" : "ies");
	write_entry(fold->kind,
		    &(struct log_about){.listener = *fold->listener ? fold->listener : NULL}, text);
	fold->suppressed = 0;
}

/*
 * Finds the fold of a kind and listener, or makes it: where there is no room for it, in place of
 * one whose second is over and that counts nothing, else it is the one for all that is beyond.
 */
static struct fold *find_fold(enum log_kind kind, const char *listener, uint64_t now)
{
	struct fold *fold = NULL;

	for (size_t i = 0; i < state.n_folds; i++) {
		struct fold *each = &state.folds[i];

		if (each->kind == kind && strcmp(each->listener, listener) == 0)
			return each;
		if (each->suppressed == 0 && now - each->since >= FOLD_MILLISECONDS)
			fold = each;
	}
	if (state.n_folds < FOLDS_MAX)
		fold = &state.folds[state.n_folds++];
	if (!fold)
		return &state.folds[FOLDS_MAX];
	*fold = (struct fold){.kind = kind};
	(void)snprintf(fold->listener, sizeof(fold->listener), "%s", listener);
	if (state.n_folds == 1)
		arm();
	return fold;
}

/* Whether an entry of this kind may be said now; otherwise it has been counted. */
static bool admit(enum log_kind kind, const char *listener)
{
	uint64_t now = milliseconds();
	struct fold *fold = find_fold(kind, listener, now);

	if (fold->since > 0 && now - fold->since < FOLD_MILLISECONDS) {
		fold->suppressed++;
		return false;
	}
	if (fold->suppressed > 0)
		say(fold);
	fold->since = now;
	if (fold == &state.folds[FOLDS_MAX])
		fold->kind = kind;
	return true;
}

void log_folded(enum log_kind kind, const struct log_about *about, const char *format, ...)
{
	va_list arguments;
	bool admitted;

	if (kinds[kind].priority > state.level)
		return;
	pthread_mutex_lock(&state.lock);
	admitted = admit(kind, about && about->listener ? about->listener : "");
	pthread_mutex_unlock(&state.lock);
	if (!admitted)
		return;
	va_start(arguments, format);
	write_va(kind, about, format, arguments);
	va_end(arguments);
}

int log_folded_fd(void)
{
	return state.timer;
}

void log_say_folded(void)
{
	uint64_t ignored, now = milliseconds();
	struct fold *beyond = &state.folds[FOLDS_MAX];
	size_t n = 0;

	(void)!read(state.timer, &ignored, sizeof(ignored));
	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < state.n_folds; i++) {
		struct fold *fold = &state.folds[i];

		if (now - fold->since >= FOLD_MILLISECONDS) {
			if (fold->suppressed == 0)
				continue; /* quiet again: forgotten */
			say(fold);
			fold->since = now;
		}
		if (n != i)
			state.folds[n] = *fold;
		n++;
	}
	state.n_folds = n;
	if (beyond->suppressed > 0 && now - beyond->since >= FOLD_MILLISECONDS) {
		say(beyond);
		beyond->since = now;
	}
	if (n > 0 || beyond->suppressed > 0)
		arm();
	pthread_mutex_unlock(&state.lock);
}

void log_close(void)
{
	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < state.n_folds; i++)
		if (state.folds[i].suppressed > 0)
			say(&state.folds[i]);
	if (state.folds[FOLDS_MAX].suppressed > 0)
		say(&state.folds[FOLDS_MAX]);
	state.folds[FOLDS_MAX] = (struct fold){0};
	state.n_folds = 0;
	closep(&state.timer);
	state.timer = -1;
	pthread_mutex_unlock(&state.lock);
}
