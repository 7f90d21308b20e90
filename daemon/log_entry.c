/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log_entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "text.h"
#include "util.h"

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
	[LOG_ELSEWHERE] = {LOG_WARNING, "41cf36bac0b947dba30870aba4b9834d"},
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
	[LOG_NOT_SAFE] = {LOG_WARNING, "6e5ca81341e44e6f91b9b856f9d52ff2"},
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
	[LOG_TURNS] = {LOG_NOTICE, "ee4825f3c95042a98030c31e0bce2e51"},
	[LOG_KNOWN] = {LOG_DEBUG, "234ee98889404662a6c97794fefa0ac8"},
	[LOG_JOINED] = {LOG_DEBUG, "ad6d2cf4a10f4ddc87e17b1644f70f7e"},
	[LOG_LEFT] = {LOG_DEBUG, "235684eaba3c4f6494ab1429d11d6c8f"},
	[LOG_DENIED] = {LOG_DEBUG, "9197c955abe54f34a5715b2a28024e1f"},
	[LOG_DISMISSED] = {LOG_NOTICE, "54391002d52e443892dd2c15bb740534"},
	[LOG_FOLDED] = {LOG_NOTICE, "3ca779e278b44630830ad60f52fd8c05"},
	[LOG_LOST] = {LOG_WARNING, "c8a09c75779d4d4bbf7f599974f293d8"},
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
	[LOG_DISMISSED] = "connections ended",
	[LOG_STORAGE_FAILING] = "log of rooms not writable",
	[LOG_STORAGE_BACK] = "log of rooms writable again",
};

int log_kind_priority(enum log_kind kind)
{
	return kinds[kind].priority;
}

const char *log_kind_words(enum log_kind kind)
{
	return kind_words[kind];
}

static void append_raw(struct log_entry *entry, const void *data, size_t len)
{
	len = MIN(len, sizeof(entry->data) - entry->len);
	memcpy(entry->data + entry->len, data, len);
	entry->len += len;
}

/*
 * Appends text without what a terminal obeys, and without LF; what is beyond max bytes is left out,
 * by whole characters.
 */
static void append(struct log_entry *entry, const char *text, size_t max)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t len = strnlen(text, max), start = entry->len;

	append_raw(entry, text, len - text_cut_suffix(bytes, len));
	for (size_t i = start; i < entry->len; i++) {
		uint8_t *at = (uint8_t *)&entry->data[i];

		if ((*at < ' ' && *at != '\t') || *at == 0x7f)
			*at = '?';
		else if (*at == 0xc2 && i + 1 < entry->len && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?'; /* of C1 */
	}
}

static void append_field(struct log_entry *entry, const char *name, const char *value)
{
	if (!value)
		return;
	append_raw(entry, name, strlen(name));
	append_raw(entry, "=", 1);
	append(entry, value, LOG_LINE_MAX);
	append_raw(entry, "\n", 1);
}

static void append_number(struct log_entry *entry, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	append_field(entry, name, text);
}

void log_format_time(time_t seconds, char text[static LOG_TIME_MAX])
{
	struct tm parts;

	(void)strftime(text, LOG_TIME_MAX, "%F %T", localtime_r(&seconds, &parts));
}

/* What journalctl shows as its time is when the journal takes it: SYSLOG_TIMESTAMP is when it was.
 */
static void compose_journal(struct log_entry *entry, enum log_kind kind,
			    const struct log_about *about, const char *text, time_t now)
{
	char when[LOG_TIME_MAX];

	log_format_time(now, when);
	append_field(entry, "MESSAGE", text);
	append_number(entry, "PRIORITY", (uint64_t)kinds[kind].priority);
	append_field(entry, "MESSAGE_ID", kinds[kind].id);
	append_field(entry, "SYSLOG_IDENTIFIER", "retortd");
	append_field(entry, "SYSLOG_TIMESTAMP", when);
	append_field(entry, "RETORT_LISTENER", about->listener);
	append_field(entry, "RETORT_PEER", about->peer);
	if (about->client)
		append_number(entry, "RETORT_CLIENT", about->client);
	append_field(entry, "RETORT_USER", about->user);
	append_field(entry, "RETORT_NICK", about->nick);
	append_field(entry, "RETORT_ROOM", about->room);
	append_field(entry, "RETORT_REASON", about->reason);
	if (about->closed) {
		append_number(entry, "RETORT_BYTES_IN", about->bytes_in);
		append_number(entry, "RETORT_BYTES_OUT", about->bytes_out);
		append_number(entry, "RETORT_MESSAGES", about->messages);
	}
}

static void compose_line(struct log_entry *entry, bool coloured, enum log_kind kind,
			 const char *text, const struct timespec *now)
{
	static const char *const words[] = {
		"fault: ", "fault: ", "fault: ", "error: ", "warning: ", "", "", "debug: "};
	int priority = kinds[kind].priority;
	const char *colour = !coloured		       ? ""
			     : priority <= LOG_ERR     ? "\033[31m"
			     : priority == LOG_WARNING ? "\033[33m"
			     : priority == LOG_NOTICE  ? "\033[1m"
						       : "";
	char when[LOG_TIME_MAX + 8];

	log_format_time(now->tv_sec, when);
	(void)sprintf(when + strlen(when), ".%03li ", now->tv_nsec / 1000000);
	append(entry, when, sizeof(when));
	append_raw(entry, colour, strlen(colour));
	append(entry, words[priority], LOG_LINE_MAX);
	append(entry, text, LOG_LINE_MAX);
	if (*colour)
		append_raw(entry, "\033[0m", 4);
	append_raw(entry, "\n", 1);
}

void log_entry_compose(struct log_entry *entry, enum log_form form, enum log_kind kind,
		       const struct log_about *about, const char *text)
{
	static const struct log_about nothing;
	char line[LOG_LINE_MAX], client[32] = "";
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	entry->len = 0;
	if (!about)
		about = &nothing;
	if (about->client)
		(void)snprintf(client, sizeof(client), "client %" PRIu64, about->client);
	/* It begins with what it is about. */
	(void)snprintf(line, sizeof(line), "%s%s%s%s%s%s%s%s",
		       about->listener ? about->listener : "", about->listener ? ": " : "", client,
		       about->peer && *client ? " (" : "", about->peer ? about->peer : "",
		       about->peer && *client ? ")" : "", about->peer || *client ? ": " : "", text);
	if (form == LOG_FORM_JOURNAL)
		compose_journal(entry, kind, about, line, now.tv_sec);
	else
		compose_line(entry, form == LOG_FORM_COLOUR, kind, line, &now);
}
