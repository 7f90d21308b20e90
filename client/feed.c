/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "feed.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "chat.h"
#include "clock.h"
#include "object.h"

enum {
	BYTES_MAX = 1024 * 1024, /* of lines on their way; one that is longer goes alone */
	EVENTS_MAX = 256,	 /* taken before the input has its turn */
	NAME_MAX_LEN = 40,
};

static struct feed_line *line_at(struct feed *feed, size_t index)
{
	return &feed->lines[(feed->first + index) % FEED_WINDOW];
}

static void line_finish(struct feed *feed, struct feed_line *line)
{
	feed->bytes -= line->len;
	free(STEAL(line->text));
	line->cookie = 0;
	line->done = true;
	while (feed->n_lines > 0 && line_at(feed, 0)->done) {
		feed->offset = line_at(feed, 0)->offset;
		feed->first = (feed->first + 1) % FEED_WINDOW;
		feed->n_lines--;
	}
}

static int refuse(const struct feed *feed, uint64_t number, const char *token, const char *message)
{
	char name[NAME_MAX_LEN];

	if (feed->source->fd < 0 && feed->taken == 1 && feed->source->n_texts == 0)
		return refused("", token, message); /* which one is no question */
	(void)snprintf(name, sizeof(name), "%s %" PRIu64 ": ",
		       feed->source->fd < 0 ? "text" : "line", number);
	return refused(name, token, message);
}

/* ---- Lines of the input ---- */

/*
 * Whether the server takes text of this length. When it does not, that is said here: the server
 * would close the connection over a request that is longer than it takes.
 */
static int check_length(struct feed *feed, struct bytes text, bool *ret_fits)
{
	const uint64_t max_text = feed->says ? feed->limits.max_text : 0;
	const uint64_t max_message = feed->limits.max_message;
	CLEANUP(buffer_done) struct buffer encoded = {0};
	char problem[96];

	*ret_fits = true;
	if (max_text > 0 && text.len > max_text) {
		(void)snprintf(problem, sizeof(problem),
			       "it has %zu bytes, and the server takes %" PRIu64, text.len,
			       max_text);
	} else {
		/* No byte becomes more than six, as in \u001b. */
		if (max_message == 0 || text.len * 6 + CHAT_ENVELOPE <= max_message)
			return STATUS_GO_ON;
		if (object_append_string(&encoded, (const char *)text.data, text.len) < 0)
			return out_of_memory();
		if (encoded.len + CHAT_ENVELOPE <= max_message)
			return STATUS_GO_ON;
		(void)snprintf(problem, sizeof(problem),
			       "it becomes %zu bytes of JSON, and the server takes %" PRIu64,
			       encoded.len, max_message - CHAT_ENVELOPE);
	}
	*ret_fits = false;
	feed->refused = true;
	return refuse(feed, feed->taken, chat_error_token(CHAT_TOO_LONG), problem);
}

/* Makes a string of it: a NUL becomes U+FFFD. */
static char *string_of(struct bytes text, size_t *ret_len)
{
	size_t nuls = 0, len = 0;
	char *string;

	for (size_t i = 0; i < text.len; i++)
		nuls += text.data[i] == '\0';
	string = malloc(text.len + 2 * nuls + 1);
	if (!string)
		return NULL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\0') {
			memcpy(string + len, "\xef\xbf\xbd", 3);
			len += 3;
		} else {
			string[len++] = (char)text.data[i];
		}
	}
	string[len] = '\0';
	*ret_len = len;
	return string;
}

static int take_line(struct feed *feed, struct bytes text)
{
	struct feed_line *line = line_at(feed, feed->n_lines);
	size_t len = 0;
	bool fits;
	char *string;
	int status;

	feed->taken++;
	feed->taken_offset += text.len + 1;
	if (feed->source->fd >= 0 && text.len > 0 && text.data[text.len - 1] == '\r')
		text.len--; /* it belongs to the line's end */
	status = check_length(feed, text, &fits);
	if (!fits)
		return STATUS_GO_ON; /* with the next */
	if (status != STATUS_GO_ON)
		return status;

	string = string_of(text, &len);
	if (!string)
		return out_of_memory();
	*line = (struct feed_line){
		.number = feed->taken, .offset = feed->taken_offset, .text = string, .len = len};
	if (feed->n_lines++ == 0)
		feed->moved = clock_now(); /* from now on something is owed */
	feed->bytes += len;
	return STATUS_GO_ON;
}

static bool takes_more(const struct feed *feed)
{
	return feed->n_lines < (feed->alone ? 1 : FEED_WINDOW) && feed->bytes < BYTES_MAX;
}

static int take_lines(struct feed *feed, bool *ret_ended)
{
	struct bytes text;

	*ret_ended = false;
	while (takes_more(feed)) {
		int status;

		switch (source_next(feed->source, &text)) {
		case SOURCE_WAIT:
			return STATUS_GO_ON;
		case SOURCE_END:
			*ret_ended = true;
			return STATUS_GO_ON;
		case SOURCE_MESSAGE:
			status = take_line(feed, text);
			if (status != STATUS_GO_ON)
				return status;
		}
	}
	return STATUS_GO_ON;
}

static int read_input(struct feed *feed)
{
	int r = source_read(feed->source);

	if (r == -ENOMEM)
		return out_of_memory();
	if (r == -EMSGSIZE) {
		complain("line %" PRIu64 " is longer than 1 GiB", feed->taken + 1);
		return STATUS_USAGE;
	}
	if (r < 0) {
		complain("cannot read standard input: %s", strerrordesc_np(-r));
		return STATUS_SYSTEM;
	}
	return STATUS_GO_ON;
}

/* ---- Requests and replies ---- */

static int submit(struct feed *feed)
{
	struct retort *retort = feed->connection->retort;

	if (feed->drains) {
		if (retort_pending(retort) > 0 || clock_now() < feed->not_before)
			return STATUS_GO_ON;
		feed->drains = false;
	}
	for (size_t i = 0; i < feed->n_lines; i++) {
		struct feed_line *line = line_at(feed, i);
		int r;

		if (line->done || line->cookie)
			continue;
		if (feed->alone && retort_pending(retort) > 0)
			break;
		feed->request.text = line->text;
		r = retort_submit(retort, &feed->request, &line->cookie);
		if (r == -EAGAIN)
			break;
		if (r != 0)
			return connection_failed(feed->connection, r);
	}
	return STATUS_GO_ON;
}

/* What was refused is to be sent again after a while, and nothing must overtake it. */
static void send_again(struct feed *feed, struct feed_line *line, uint64_t after_ms)
{
	feed->drains = true;
	feed->not_before = clock_now() + after_ms * NSEC_PER_MSEC;
	line->cookie = 0;
	/* What was said is said, but anything else is asked again, for the order of answers. */
	for (size_t i = 0; i < feed->n_lines && !feed->says; i++)
		line_at(feed, i)->cookie = 0;
}

static int take_reply(struct feed *feed, const struct retort_reply *reply)
{
	struct feed_line *line = NULL;
	int status;

	for (size_t i = 0; i < feed->n_lines && !line; i++)
		if (line_at(feed, i)->cookie == reply->cookie)
			line = line_at(feed, i);
	if (!line)
		return STATUS_GO_ON; /* it is asked again */

	switch (reply->status) {
	case 0:
		status = feed->answer(feed, reply);
		if (status != STATUS_GO_ON)
			return status;
		feed->answered++;
		break;
	case RETORT_SLOW_DOWN:
		feed->alone = true;
		feed->moved = clock_now();
		send_again(feed, line, MAX(reply->retry_after, UINT64_C(1)));
		return STATUS_GO_ON;
	case RETORT_TOO_LONG:
		feed->refused = true;
		(void)refuse(feed, line->number, reply->token, reply->message);
		break;
	default:
		if (reply->status < 0)
			return connection_failed(feed->connection, reply->status);
		return refuse(feed, line->number, reply->token, reply->message);
	}
	feed->moved = clock_now();
	line_finish(feed, line);
	return STATUS_GO_ON;
}

static void take_limits(struct feed *feed, const struct retort_reply *hello)
{
	feed->lost = 0;
	if (!hello || !hello->limits)
		return;
	feed->limits = *hello->limits;
	/* Several at a time would be refused in part, and come in another order then. */
	if (feed->says && feed->limits.rate > 0)
		feed->alone = true;
}

static int take_event(struct feed *feed, const struct retort_event *event)
{
	switch (event->kind) {
	case RETORT_REPLY:
		return take_reply(feed, event->reply);
	case RETORT_CONNECTED:
	case RETORT_RESUMED:
		take_limits(feed, event->reply);
		return STATUS_GO_ON;
	case RETORT_DISCONNECTED:
		/* Each try ends so; the last one ends the command. */
		if (feed->connection->common->verbose && !feed->lost && event->retry >= 0)
			complain("the connection was lost; trying again");
		feed->lost = event->status;
		return STATUS_GO_ON;
	case RETORT_ROOM_LOST:
		return refused("", event->token ?: "not_member", event->text);
	default:
		return STATUS_GO_ON; /* what others say and do */
	}
}

static int take_events(struct feed *feed, bool *ret_more)
{
	*ret_more = false;
	for (int i = 0; i < EVENTS_MAX; i++) {
		struct retort_event event;
		int r = retort_next(feed->connection->retort, 0, &event), status;

		if (r == 0)
			return STATUS_GO_ON;
		if (r < 0)
			return connection_failed(feed->connection, r);
		status = take_event(feed, &event);
		if (status != STATUS_GO_ON)
			return status;
	}
	*ret_more = true;
	return STATUS_GO_ON;
}

/* ---- The loop ---- */

/* When it is given up, or something is to be sent again. */
static uint64_t deadline_of(const struct feed *feed)
{
	const uint64_t now = clock_now();

	if (feed->n_lines == 0)
		return DEADLINE_NONE; /* it is the input's turn */
	if (feed->drains && feed->not_before > now)
		return feed->not_before;
	return feed->moved + feed->connection->common->timeout_ms * NSEC_PER_MSEC;
}

static int check_deadline(struct feed *feed)
{
	const bool waits = feed->drains && feed->not_before > clock_now();
	const uint64_t timeout = feed->connection->common->timeout_ms * NSEC_PER_MSEC;

	if (feed->n_lines == 0 || waits || clock_now() < feed->moved + timeout)
		return STATUS_GO_ON;
	return connection_failed(feed->connection, feed->lost ?: -ETIMEDOUT);
}

static int wait_once(struct feed *feed, bool reads, bool more)
{
	struct retort *retort = feed->connection->retort;
	struct pollfd fds[] = {
		{.fd = retort_fd(retort), .events = retort_events(retort)},
		{.fd = reads ? feed->source->fd : -1, .events = POLLIN},
	};
	int own = clock_wait_ms(deadline_of(feed)), theirs = retort_timeout(retort), wait;

	wait = own < 0 || (theirs >= 0 && theirs < own) ? theirs : own;
	if (fflush(stdout) == EOF)
		return STATUS_GO_ON; /* which the end of the program sees */
	if (poll(fds, ARRAY_SIZE(fds), more ? 0 : wait) < 0 && errno != EINTR)
		return connection_failed(feed->connection, -errno);
	return fds[1].revents ? read_input(feed) : STATUS_GO_ON;
}

static int turn(struct feed *feed, bool *ret_ended)
{
	bool more = false, ended = false;
	int status;

	status = take_events(feed, &more);
	if (status == STATUS_GO_ON)
		status = take_lines(feed, &ended);
	if (status == STATUS_GO_ON)
		status = submit(feed);
	if (status == STATUS_GO_ON)
		status = check_deadline(feed);
	if (status != STATUS_GO_ON)
		return status;
	if (feed->progress)
		feed->progress(feed);
	*ret_ended = ended && feed->n_lines == 0;
	if (*ret_ended)
		return STATUS_GO_ON;
	return wait_once(feed, !ended && takes_more(feed), more);
}

int feed_run(struct feed *feed)
{
	bool ended = false;
	int status;

	/* How long it takes to come back is no matter while nothing is owed. */
	retort_set_patience(feed->connection->retort, 0, -1);
	do {
		status = turn(feed, &ended);
	} while (status == STATUS_GO_ON && !ended);
	if (status == STATUS_GO_ON)
		return feed->refused ? STATUS_REFUSED : STATUS_DONE;
	if (feed->taken > 1 && !feed->connection->common->quiet)
		complain("%" PRIu64 " of %" PRIu64 " were acknowledged", feed->answered,
			 feed->taken);
	return status;
}

void feed_done(struct feed *feed)
{
	for (size_t i = 0; i < feed->n_lines; i++)
		free(line_at(feed, i)->text);
	feed->n_lines = 0;
}
