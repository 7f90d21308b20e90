/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the server listens, and what it makes of messages there. */
#include "endure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { PROBE_LIMIT = 10 }; /* seconds */

static bool resolve(const char *text, struct endpoint *ret_end)
{
	struct address address = {0};
	struct endpoint *ends = NULL;
	const char *problem = "no memory";
	size_t n;
	int r = address_parse(text, &address, &problem);

	if (r == 0)
		r = address_resolve(&address, false, NULL, &ends, &n, &problem);
	address_done(&address);
	if (r < 0 || !ends) {
		(void)fprintf(stderr, "tool_endure: %s: %s\n", text, problem);
		return false;
	}
	*ret_end = ends[0];
	free(ends);
	return true;
}

/* Sends what question holds, and receives an answer of the same length in its place. */
static int exchange_once(const struct endpoint *end, struct buffer *question)
{
	const struct timeval limit = {.tv_sec = PROBE_LIMIT};
	int type = end->transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM;
	CLEANUP(closep) int fd = socket(end->socket.ss_family, type | SOCK_CLOEXEC, 0);
	size_t len = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)&end->socket, end->len) < 0 ||
	    send(fd, question->data, question->len, MSG_NOSIGNAL) != (ssize_t)question->len)
		return -errno;
	while (len < question->len) {
		ssize_t n = recv(fd, question->data + len, question->len - len, 0);

		if (n <= 0)
			return n == 0 ? -EPIPE : -errno;
		len += (size_t)n;
	}
	return 0;
}

/* Asks a listener what it makes of a word. */
static int probe(const struct endpoint *end, enum framing framing, bool *ret_upper)
{
	struct buffer said = {0}, echo = {0}, upper = {0};
	int r = -ENOMEM;

	if (frame_append(&said, framing, LINE_END_LF, "probe", 5) == 0 &&
	    frame_append(&echo, framing, LINE_END_LF, "probe", 5) == 0 &&
	    frame_append(&upper, framing, LINE_END_LF, "PROBE", 5) == 0)
		r = exchange_once(end, &said);
	if (r == 0) {
		*ret_upper = memcmp(said.data, upper.data, upper.len) == 0;
		if (!*ret_upper && memcmp(said.data, echo.data, echo.len) != 0)
			r = -EPROTO;
	}
	buffer_done(&said);
	buffer_done(&echo);
	buffer_done(&upper);
	return r;
}

bool listeners_find(struct load *load, const char *const addresses[static WAYS])
{
	static const enum framing framings[WAYS] = {
		[WAY_LENGTH] = FRAMING_LENGTH, [WAY_LINE] = FRAMING_LINE, [WAY_RAW] = FRAMING_RAW,
		[WAY_UNIX] = FRAMING_LENGTH,   [WAY_UDP] = FRAMING_RAW,
	};

	for (size_t i = 0; i < WAYS; i++) {
		int r = 0;

		if (!addresses[i])
			continue;
		if (!resolve(addresses[i], &load->ends[i]))
			return false;
		if (i != WAY_CHAT)
			r = probe(&load->ends[i], framings[i], &load->upper[i]);
		if (r < 0) {
			(void)fprintf(stderr,
				      "tool_endure: %s neither echoes nor upper-cases: %s\n",
				      addresses[i], strerror(-r));
			return false;
		}
		load->have[i] = true;
	}
	return true;
}
