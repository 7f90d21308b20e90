/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

/*
 * The client's end of a connection. Sockets block, with a deadline of their own
 * (SO_RCVTIMEO, SO_SNDTIMEO), so that a test which waits in vain fails and says for what.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"

/* ---- connecting ---- */

int try_connect_to(const char *text)
{
	const int patience = harness_patience();
	const struct timeval deadline = {.tv_sec = patience / 1000};
	CLEANUP(freep) struct endpoint *endpoints = NULL;
	CLEANUP(address_done) struct address address = {0};
	CLEANUP(closep) int fd = -1;
	const char *problem;
	size_t n;

	ck_assert_msg(address_parse(text, &address, &problem) == 0, "bad address %s", text);
	ck_assert_int_eq(address_resolve(&address, false, NULL, &endpoints, &n, &problem), 0);
	fd = socket(endpoints->socket.ss_family,
		    (address.transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
		    0);
	ck_assert_msg(fd >= 0, "socket: %m");
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline), 0);
	if (connect(fd, (struct sockaddr *)&endpoints->socket, endpoints->len) < 0)
		return -errno;
	if (address.transport == TRANSPORT_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return STEAL_FD(fd);
}

int connect_to(const char *address)
{
	int fd = try_connect_to(address);

	ck_assert_msg(fd >= 0, "cannot connect to %s: %s", address, strerror(-fd));
	return fd;
}

int client(const struct server *server, const char *listener, const char *scheme)
{
	return connect_to(server_address(server, listener, scheme));
}

/* ---- sending ---- */

void send_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		ck_assert_msg(n > 0, "cannot send the last %zu bytes: %m", len);
		at += n;
		len -= (size_t)n;
	}
}

void send_text(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

void send_frame(int fd, const void *data, size_t len)
{
	CLEANUP(buffer_done) struct buffer frame = {0};

	wrap(&frame, FRAMING_LENGTH, data, len);
	send_all(fd, frame.data, frame.len);
}

void shut_down(int fd)
{
	ck_assert_msg(shutdown(fd, SHUT_WR) == 0, "shutdown: %m");
}

void hang_up(int *fd)
{
	closep(fd);
	*fd = -1;
}

void reset_close(int fd)
{
	const struct linger now = {.l_onoff = 1};

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	(void)close(fd);
}

/* ---- receiving ---- */

void recv_exactly(int fd, void *data, size_t len)
{
	uint8_t *at = data;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		ck_assert_msg(n >= 0, "waiting for %zu more bytes: %m", len);
		ck_assert_msg(n > 0, "the end, with %zu bytes missing", len);
		at += n;
		len -= (size_t)n;
	}
}

void recv_to_end(int fd, struct buffer *buffer)
{
	ssize_t n;

	do {
		ck_assert_int_eq(buffer_reserve(buffer, 65536), 0);
		n = recv(fd, buffer->data + buffer->len, 65536, 0);
		ck_assert_msg(n >= 0, "waiting for the end after %zu bytes: %m", buffer->len);
		buffer->len += (size_t)n;
	} while (n > 0);
}

bool recv_frame(int fd, struct buffer *buffer)
{
	char header[FRAME_HEADER + 1] = "", *end;
	unsigned long len;

	recv_exactly(fd, header, FRAME_HEADER);
	len = strtoul(header + (header[0] == '-'), &end, 10);
	ck_assert_msg(strspn(end, " ") == strlen(end) && end > header + (header[0] == '-'),
		      "bad header \"%s\"", header);
	buffer->len = 0;
	ck_assert_int_eq(buffer_reserve(buffer, len + 1), 0);
	recv_exactly(fd, buffer->data, len);
	buffer->len = len;
	return header[0] == '-';
}

void assert_bytes(const void *have, size_t have_len, const void *want, size_t want_len,
		  const char *what)
{
	const uint8_t *a = have, *b = want;
	size_t i = 0;

	while (i < have_len && i < want_len && a[i] == b[i])
		i++;
	if (i == have_len && i == want_len)
		return;
	ck_abort_msg(
		"%s: %zu bytes instead of %zu, different from byte %zu on: \"%.*s\" instead of "
		"\"%.*s\"",
		what, have_len, want_len, i, (int)MIN(have_len - i, (size_t)60),
		have_len ? (const char *)a + i : "", (int)MIN(want_len - i, (size_t)60),
		want_len ? (const char *)b + i : "");
}

void expect_bytes(int fd, const void *data, size_t len)
{
	CLEANUP(freep) uint8_t *received = malloc(len + 1);

	ck_assert_ptr_nonnull(received);
	recv_exactly(fd, received, len);
	assert_bytes(received, len, data, len, "received");
}

void expect_text(int fd, const char *text)
{
	expect_bytes(fd, text, strlen(text));
}

void expect_frame(int fd, const void *data, size_t len)
{
	CLEANUP(buffer_done) struct buffer payload = {0};
	bool error = recv_frame(fd, &payload);

	ck_assert_msg(!error, "an error frame: %.*s", (int)payload.len, payload.data);
	assert_bytes(payload.data, payload.len, data, len, "frame");
}

void expect_error_frame(int fd, const char *text)
{
	CLEANUP(buffer_done) struct buffer payload = {0};

	ck_assert_msg(recv_frame(fd, &payload), "no error frame");
	ck_assert_msg(memmem(payload.data, payload.len, text, strlen(text)) != NULL,
		      "\"%.*s\" does not say \"%s\"", (int)payload.len, payload.data, text);
	ck_assert_msg(!memchr(payload.data, '\n', payload.len), "more than one line");
	expect_end(fd);
}

void expect_error_line(int fd, const char *text)
{
	CLEANUP(buffer_done) struct buffer line = {0};

	recv_to_end(fd, &line);
	ck_assert_msg(line.len > 8 && memcmp(line.data, "error: ", 7) == 0 &&
			      memchr(line.data, '\n', line.len) == line.data + line.len - 1,
		      "\"%.*s\" is not one error line", (int)line.len, line.data);
	ck_assert_msg(memmem(line.data, line.len, text, strlen(text)) != NULL,
		      "\"%.*s\" does not say \"%s\"", (int)line.len, line.data, text);
}

void expect_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	ck_assert_msg(n >= 0, "waiting for the end: %m");
	ck_assert_msg(n == 0, "a byte %#x instead of the end", byte);
}

void expect_gone(int fd)
{
	char bytes[65536];
	ssize_t n;

	do {
		n = recv(fd, bytes, sizeof bytes, 0);
	} while (n > 0);
	ck_assert_msg(n == 0 || errno == ECONNRESET, "waiting for the end: %m");
}

void expect_silence(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	ck_assert_msg(n < 0 && errno == EAGAIN, "something came, or the end");
}

/* ---- both at once ---- */

static size_t receive_some(int fd, struct buffer *buffer, bool *ret_ended)
{
	ssize_t n;

	ck_assert_int_eq(buffer_reserve(buffer, 65536), 0);
	n = recv(fd, buffer->data + buffer->len, 65536, MSG_DONTWAIT);
	ck_assert_msg(n >= 0 || errno == EAGAIN, "receiving after %zu bytes: %m", buffer->len);
	if (n < 0)
		return 0;
	*ret_ended = n == 0;
	buffer->len += (size_t)n;
	return (size_t)n;
}

void exchange(int fd, const void *data, size_t len, size_t piece, struct random *random,
	      bool half_close, size_t want, struct buffer *ret_received)
{
	bool ended = false, sending = true;
	size_t sent = 0;

	ret_received->len = 0;
	while (sending || (half_close ? !ended : ret_received->len < want)) {
		struct pollfd polled = {fd, sending ? POLLIN | POLLOUT : POLLIN, 0};
		size_t now = piece ? MIN(piece, len - sent) : len - sent;
		ssize_t n;

		ck_assert_msg(poll(&polled, 1, harness_patience()) == 1,
			      "stuck: %zu of %zu bytes sent, %zu received", sent, len,
			      ret_received->len);
		if (polled.revents & POLLIN)
			(void)receive_some(fd, ret_received, &ended);
		ck_assert_msg(!ended || (!sending && half_close), "the end, too early");
		if (!(polled.revents & POLLOUT) || !sending)
			continue;
		if (random && now > 1)
			now = 1 + random_below(random, now);
		n = now ? send(fd, (const uint8_t *)data + sent, now, MSG_NOSIGNAL | MSG_DONTWAIT)
			: 0;
		ck_assert_msg(n >= 0 || errno == EAGAIN, "sending byte %zu of %zu: %m", sent, len);
		sent += n > 0 ? (size_t)n : 0;
		if (sent == len) {
			sending = false;
			if (half_close)
				shut_down(fd);
		}
	}
}

/* ---- what is expected ---- */

void wrap(struct buffer *buffer, enum framing framing, const void *data, size_t len)
{
	char header[32];

	if (framing == FRAMING_LENGTH) {
		(void)snprintf(header, sizeof header, "%-10zu", len);
		ck_assert_int_eq(buffer_append(buffer, header, FRAME_HEADER), 0);
	}
	if (len > 0)
		ck_assert_int_eq(buffer_append(buffer, data, len), 0);
	if (framing == FRAMING_LINE)
		ck_assert_int_eq(buffer_append(buffer, "\n", 1), 0);
}

void transformed(const struct pipeline *pipeline, const void *data, size_t len,
		 struct buffer *buffer)
{
	CLEANUP(scratch_done) struct scratch scratch = {0};
	CLEANUP(buffer_done) struct buffer copy = {0};
	struct bytes message;

	if (len == 0)
		return;
	ck_assert_int_eq(buffer_append(&copy, data, len), 0);
	message = (struct bytes){copy.data, copy.len};
	ck_assert_int_eq(pipeline_apply(pipeline, &scratch, &message), 0);
	if (message.len > 0)
		ck_assert_int_eq(buffer_append(buffer, message.data, message.len), 0);
}

void server_assert_serves(const struct server *server, const char *listener, enum framing framing)
{
	static const char text[] = "12345";
	CLEANUP(closep) int fd = client(server, listener, NULL);
	CLEANUP(buffer_done) struct buffer wire = {0};

	wrap(&wire, framing, text, strlen(text));
	send_all(fd, wire.data, wire.len);
	/* Digits survive every transform but reverse. */
	if (framing == FRAMING_LENGTH) {
		CLEANUP(buffer_done) struct buffer answer = {0};

		ck_assert(!recv_frame(fd, &answer));
		ck_assert_uint_eq(answer.len, strlen(text));
	} else {
		recv_exactly(fd, wire.data, wire.len);
	}
	shut_down(fd);
	expect_end(fd);
}
