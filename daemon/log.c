/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "clock.h"
#include "log_fold.h"
#include "log_output.h"

enum {
	RETRY_MILLISECONDS = 10,       /* until what waits is offered again, at first */
	RETRY_MILLISECONDS_MAX = 1000, /* and when it was not taken again and again */
	LAST_MILLISECONDS = 1000,      /* for what still waits at the end */
	LOOK_MILLISECONDS = 1,	       /* between two looks at it */
};

/* What was lost and not said yet. */
struct loss {
	uint64_t n;
	time_t first, last;
	int error; /* why the first was lost */
};

static void say_folded(int kind, const char *listener, uint64_t suppressed);

static uint8_t waiting[LOG_OUTPUT_WAITING_MAX];

static struct {
	bool verbose;
	enum log_form form;
	atomic_int level;
	int timer; /* a timerfd(2), armed while any kind is remembered or anything waits */
	pthread_mutex_t lock;
	struct log_folds folds;
	atomic_uint retry; /* milliseconds until what waits is offered again; 0: nothing waits */
	_Atomic uint64_t n_lost;

	pthread_mutex_t output_lock; /* taken behind the other one */
	struct log_output output;
	struct loss loss;
} state = {.level = LOG_INFO,
	   .folds.say = say_folded,
	   .timer = -1,
	   .lock = PTHREAD_MUTEX_INITIALIZER,
	   .output_lock = PTHREAD_MUTEX_INITIALIZER,
	   .output.fd = -1,
	   .output.waiting = waiting};

void log_open(bool verbose)
{
	const char *no_colour = getenv("NO_COLOR");

	state.verbose = verbose;
	log_set_level(LOG_INFO);
	log_output_open(&state.output);
	state.form = log_is_journal()					   ? LOG_FORM_JOURNAL
		     : (no_colour && *no_colour) || !isatty(STDERR_FILENO) ? LOG_FORM_LINE
									   : LOG_FORM_COLOUR;
	if (state.timer < 0)
		state.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

void log_set_level(int level)
{
	atomic_store_explicit(&state.level, state.verbose ? LOG_DEBUG : level,
			      memory_order_relaxed);
}

static bool is_wanted(enum log_kind kind)
{
	return log_kind_priority(kind) <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

bool log_is_journal(void)
{
	return state.output.kind == LOG_OUTPUT_JOURNAL;
}

bool log_verbose(void)
{
	return atomic_load_explicit(&state.level, memory_order_relaxed) >= LOG_DEBUG;
}

uint64_t log_lost(void)
{
	return atomic_load_explicit(&state.n_lost, memory_order_relaxed);
}

/*
 * Sending, and what could not be sent
 */

static uint64_t milliseconds(void)
{
	return clock_now() / NSEC_PER_MSEC;
}

/* Has the timer expire when something is to be said. */
static void arm(void)
{
	unsigned retry = atomic_load_explicit(&state.retry, memory_order_relaxed);
	unsigned wait = retry ? retry : LOG_FOLD_MILLISECONDS;
	struct itimerspec when = {
		.it_value = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000L + 1}};

	if (state.timer >= 0)
		(void)timerfd_settime(state.timer, 0, &when, NULL);
}

/* Counts entries that are lost. */
static void count_lost(uint64_t n)
{
	struct timespec now;

	if (n == 0)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (state.loss.n == 0) {
		state.loss.first = now.tv_sec;
		state.loss.error = state.output.error;
	}
	state.loss.n += n;
	state.loss.last = now.tv_sec;
	atomic_fetch_add_explicit(&state.n_lost, n, memory_order_relaxed);
}

/* Why nothing could be logged. */
static const char *describe_loss(int error)
{
	if (error == EAGAIN)
		return log_is_journal() ? "the journal took none"
					: "whoever reads standard error took none";
	if (log_is_journal() && (error == ENOENT || error == ECONNREFUSED))
		return "the journal was not there";
	if (error == EPIPE)
		return "whoever read standard error was gone";
	return strerror(error);
}

/* Says what was lost, when most of what waits has gone: behind what came before it. */
static void say_lost(void)
{
	const struct loss *loss = &state.loss;
	struct log_about about = {.reason = describe_loss(loss->error)};
	char text[LOG_LINE_MAX], first[LOG_TIME_MAX], last[LOG_TIME_MAX];
	struct log_entry entry;

	if (loss->n == 0 || log_output_waiting(&state.output) > LOG_OUTPUT_WAITING_MAX / 2)
		return;
	log_format_time(loss->first, first);
	log_format_time(loss->last, last);
	(void)snprintf(text, sizeof(text),
		       "%" PRIu64 " entr%s could not be logged from %s to %s because %s", loss->n,
		       loss->n == 1 ? "y" : "ies", first, last, about.reason);
	log_entry_compose(&entry, state.form, LOG_LOST, &about, text);
	if (log_output_put(&state.output, entry.data, entry.len))
		state.loss.n = 0;
}

/* Offers what waits, and then an entry, unless it is NULL. Never waits itself. */
static void put(const struct log_entry *entry)
{
	unsigned before, retry = 0;
	size_t waited;

	pthread_mutex_lock(&state.output_lock);
	waited = log_output_waiting(&state.output);
	count_lost(log_output_flush(&state.output));
	if (log_output_waiting(&state.output) < waited)
		atomic_store_explicit(&state.retry, 0, memory_order_relaxed);
	say_lost();
	if (entry && (state.loss.n > 0 || !log_output_put(&state.output, entry->data, entry->len)))
		count_lost(1);
	before = atomic_load_explicit(&state.retry, memory_order_relaxed);
	if (log_output_waiting(&state.output) > 0)
		retry = before == 0 ? RETRY_MILLISECONDS
			: entry	    ? before
				    : MIN(2 * before, (unsigned)RETRY_MILLISECONDS_MAX);
	atomic_store_explicit(&state.retry, retry, memory_order_relaxed);
	pthread_mutex_unlock(&state.output_lock);
	if (retry > 0 && before == 0)
		arm();
}

static void write_entry(enum log_kind kind, const struct log_about *about, const char *text)
{
	struct log_entry entry;

	log_entry_compose(&entry, state.form, kind, about, text);
	put(&entry);
}

static void PRINTF(3, 0) write_va(enum log_kind kind, const struct log_about *about,
				  const char *format, va_list arguments)
{
	char text[LOG_LINE_MAX];
	int saved = errno;

	(void)vsnprintf(text, sizeof(text), format, arguments); /* cut short when too long */
	write_entry(kind, about, text);
	errno = saved;
}

void log_write(enum log_kind kind, const struct log_about *about, const char *format, ...)
{
	va_list arguments;

	if (!is_wanted(kind))
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

/*
 * Folding
 */

static void say_folded(int kind, const char *listener, uint64_t suppressed)
{
	const struct log_about about = {.listener = *listener ? listener : NULL};
	const char *words = kind == LOG_FOLD_KINDS ? NULL : log_kind_words((enum log_kind)kind);
	char text[LOG_LINE_MAX];

	(void)snprintf(text, sizeof(text),
		       "%s%s%" PRIu64 " more such entr%s in the last second: not shown one by one",
		       words ? words : "", words ? ": " : "", suppressed,
		       suppressed == 1 ? "y" : "ies");
	write_entry(kind == LOG_FOLD_KINDS ? LOG_FOLDED : (enum log_kind)kind, &about, text);
}

void log_folded(enum log_kind kind, const struct log_about *about, const char *format, ...)
{
	va_list arguments;
	bool admitted, was_quiet;

	if (!is_wanted(kind))
		return;
	pthread_mutex_lock(&state.lock);
	was_quiet = state.folds.n == 0;
	admitted = log_folds_admit(&state.folds, (int)kind,
				   about && about->listener ? about->listener : "", milliseconds());
	pthread_mutex_unlock(&state.lock);
	if (was_quiet)
		arm();
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
	uint64_t ignored;
	bool more;

	(void)!read(state.timer, &ignored, sizeof(ignored));
	put(NULL);
	pthread_mutex_lock(&state.lock);
	more = log_folds_say_due(&state.folds, milliseconds());
	pthread_mutex_unlock(&state.lock);
	if (more || atomic_load_explicit(&state.retry, memory_order_relaxed) > 0)
		arm();
}

static bool is_waiting(void)
{
	put(NULL);
	return atomic_load_explicit(&state.retry, memory_order_relaxed) > 0;
}

static bool is_unread(void)
{
	bool unread;

	pthread_mutex_lock(&state.output_lock);
	unread = log_output_is_unread(&state.output);
	pthread_mutex_unlock(&state.output_lock);
	return unread;
}

static void wait_while(bool (*is_so)(void))
{
	uint64_t end = milliseconds() + LAST_MILLISECONDS;

	while (is_so() && milliseconds() < end)
		(void)poll(NULL, 0, LOOK_MILLISECONDS);
}

void log_wait_read(void)
{
	wait_while(is_unread);
}

void log_close(void)
{
	pthread_mutex_lock(&state.lock);
	log_folds_say_all(&state.folds);
	wait_while(is_waiting);
	closep(&state.timer);
	state.timer = -1;
	pthread_mutex_unlock(&state.lock);
	pthread_mutex_lock(&state.output_lock);
	log_output_close(&state.output);
	pthread_mutex_unlock(&state.output_lock);
}
