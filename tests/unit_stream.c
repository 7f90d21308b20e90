/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stream over a socket pair with a small buffer. Byte n of everything that is sent has a value
 * that follows from n, and at any time each byte is in one of three places: with the peer, in the
 * kernel, or waiting in the stream.
 */

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "harness.h"
#include "stream.h"

struct pair {
	struct stream stream;
	int peer;
	size_t offered, received; /* bytes */
};

static uint8_t value_of(size_t n)
{
	return (uint8_t)(n * 31 + (n >> 8) * 17 + (n >> 16));
}

static void pair_init(struct pair *pair)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	/* The kernel makes it as large as it must be. */
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
	*pair = (struct pair){.peer = fds[1]};
	stream_init(&pair->stream, fds[0]);
}

static void pair_done(struct pair *pair)
{
	stream_done(&pair->stream);
	ck_assert_int_eq(pair->stream.fd, -1);
	ck_assert_ptr_null(pair->stream.ring);
	closep(&pair->peer);
}

static size_t in_kernel(const struct pair *pair)
{
	int n = -1;

	ck_assert_int_eq(ioctl(pair->peer, FIONREAD, &n), 0);
	return (size_t)n;
}

static void assert_counts(const struct pair *pair)
{
	ck_assert_uint_eq(pair->offered, pair->received + in_kernel(pair) + pair->stream.pending);
	ck_assert_int_eq(pair->stream.pending == 0, pair->stream.n == 0);
	ck_assert_msg(pair->stream.n > 0 || pair->stream.size == 0, "idle, it owns memory");
}

/* Offers the next bytes, in parts of these lengths, from memory that is gone afterwards. */
static void offer(struct pair *pair, const size_t *lens, int n, bool eager)
{
	struct iovec parts[STREAM_PARTS_MAX], given[STREAM_PARTS_MAX];

	for (int i = 0; i < n; i++) {
		uint8_t *data = malloc(lens[i] + 1);

		ck_assert_ptr_nonnull(data);
		for (size_t k = 0; k < lens[i]; k++)
			data[k] = value_of(pair->offered++);
		parts[i] = given[i] = (struct iovec){data, lens[i]};
	}
	ck_assert_int_eq(stream_send(&pair->stream, given, n, eager), 0);
	for (int i = 0; i < n; i++) {
		memset(parts[i].iov_base, 0, parts[i].iov_len);
		free(parts[i].iov_base);
	}
	assert_counts(pair);
}

static void offer_one(struct pair *pair, size_t len, bool eager)
{
	offer(pair, &len, 1, eager);
}

/* The peer receives up to len bytes; returns how many. */
static size_t take(struct pair *pair, size_t len)
{
	static uint8_t data[65536];
	ssize_t n = recv(pair->peer, data, MIN(len, sizeof(data)), 0);

	if (n < 0)
		ck_assert_int_eq(errno, EAGAIN);
	for (ssize_t i = 0; i < n; i++)
		if (data[i] != value_of(pair->received++))
			ck_abort_msg("byte %zu is wrong", pair->received - 1);
	return (size_t)MAX(n, (ssize_t)0);
}

/* Sends and receives until nothing waits any more. */
static void drain(struct pair *pair)
{
	while (pair->received < pair->offered) {
		size_t progress = take(pair, SIZE_MAX);

		offer(pair, NULL, 0, true);
		ck_assert_msg(progress > 0 || in_kernel(pair) > 0, "nothing moves");
	}
	ck_assert_uint_eq(pair->stream.pending, 0);
}

/* Offers until the socket takes no more. */
static void fill(struct pair *pair)
{
	while (pair->stream.pending == 0)
		offer_one(pair, 100, true);
}

START_TEST(test_all_at_once)
{
	struct pair pair;

	pair_init(&pair);
	offer(&pair, NULL, 0, true);
	offer(&pair, (size_t[]){1, 0, 10, 100}, 4, false);
	ck_assert_uint_eq(in_kernel(&pair), 111);
	offer_one(&pair, 5, true);
	ck_assert_uint_eq(in_kernel(&pair), 116);
	drain(&pair);
	pair_done(&pair);
}
END_TEST

/* One send that the socket takes in part: the rest of the part and all behind it wait. */
START_TEST(test_partial)
{
	size_t lens[STREAM_PARTS_MAX];
	struct pair pair;

	pair_init(&pair);
	for (int i = 0; i < STREAM_PARTS_MAX; i++)
		lens[i] = 1000 + (size_t)i;
	offer(&pair, lens, STREAM_PARTS_MAX, true);
	ck_assert_uint_gt(in_kernel(&pair), 0);
	ck_assert_uint_gt(pair.stream.pending, 0);
	drain(&pair);
	pair_done(&pair);
}
END_TEST

START_TEST(test_not_eager)
{
	struct pair pair;
	size_t kernel;

	pair_init(&pair);
	fill(&pair);
	while (take(&pair, SIZE_MAX) > 0)
		;
	/* The socket has room, but who sends believes that it has none. */
	offer_one(&pair, 10, false);
	offer(&pair, NULL, 0, false);
	ck_assert_uint_eq(in_kernel(&pair), 0);
	/* Eager, what waited leaves with what is new, in order. */
	kernel = pair.stream.pending + 7;
	ck_assert_uint_lt(kernel, 4096);
	offer_one(&pair, 7, true);
	ck_assert_uint_eq(in_kernel(&pair), kernel);
	drain(&pair);
	pair_done(&pair);
}
END_TEST

/* More packets than one call to the kernel sends, in a ring that has grown and gone round. */
START_TEST(test_long_queue)
{
	struct pair pair;

	pair_init(&pair);
	fill(&pair);
	for (int i = 0; i < 5; i++)
		offer_one(&pair, 9000, false);
	while (pair.stream.first < 3) {
		(void)take(&pair, SIZE_MAX);
		offer(&pair, NULL, 0, true);
	}
	ck_assert_uint_gt(pair.stream.n, 0);
	for (int i = 0; i < 100; i++)
		offer_one(&pair, 4097, false);
	ck_assert_uint_gt(pair.stream.n, 80);
	for (int i = 0; i < 5; i++) {
		(void)take(&pair, SIZE_MAX);
		offer_one(&pair, 100, true);
	}
	drain(&pair);
	pair_done(&pair);
}
END_TEST

/* However much room the socket has, nothing passes the packets that one call has left over. */
START_TEST(test_long_queue_goes_first)
{
	struct pair pair;

	pair_init(&pair);
	fill(&pair);
	for (int i = 0; i < 60; i++)
		offer_one(&pair, 4097, false);
	while (take(&pair, SIZE_MAX) > 0)
		;
	ck_assert_int_eq(
		setsockopt(pair.stream.fd, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
	while (pair.stream.pending > 0) {
		uint32_t before = pair.stream.n;

		offer_one(&pair, 10, true);
		ck_assert_uint_lt(pair.stream.n, before);
		while (take(&pair, SIZE_MAX) > 0)
			;
	}
	drain(&pair);
	pair_done(&pair);
}
END_TEST

/* Many short rests share packets, but not one that somebody else holds too. */
START_TEST(test_shared_packets)
{
	struct packet *packet;
	struct pair pair;
	size_t len;

	pair_init(&pair);
	fill(&pair);
	for (int i = 0; i < 1000; i++)
		offer_one(&pair, 3, false);
	ck_assert_uint_le(pair.stream.n, 2);
	packet = packet_ref(pair.stream.size > 0 ? pair.stream.ring[pair.stream.first]
						 : pair.stream.only);
	ck_assert_uint_eq(packet_room(packet), 0);
	len = packet->len;
	offer_one(&pair, 3, false);
	ck_assert_uint_eq(packet->len, len);
	drain(&pair);
	/* The stream has given its own back. */
	ck_assert_uint_eq(packet_room(packet), packet->size - len);
	packet_unref(packet);
	packet_unref(NULL);
	pair_done(&pair);
}
END_TEST

START_TEST(test_any_sizes)
{
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct random random;
		struct pair pair;

		pair_init(&pair);
		random_init(&random, seed);
		for (int round = 0; round < 500; round++) {
			size_t lens[STREAM_PARTS_MAX];
			int n = (int)random_below(&random, STREAM_PARTS_MAX + 1);
			size_t most = random_below(&random, 4) == 0 ? 6000 : 200;

			for (int i = 0; i < n; i++)
				lens[i] = random_below(&random, most);
			offer(&pair, lens, n, random_below(&random, 2));
			/* Sometimes the peer is faster, sometimes slower. */
			for (size_t i = random_below(&random, round / 100 % 2 ? 12 : 4); i > 0; i--)
				(void)take(&pair, random_below(&random, 9000) + 1);
			if (random_below(&random, 200) == 0)
				drain(&pair);
		}
		drain(&pair);
		pair_done(&pair);
	}
}
END_TEST

START_TEST(test_receive)
{
	char a[4] = "", b[8] = "";
	struct iovec parts[] = {{a, 3}, {b, 7}};
	struct pair pair;

	pair_init(&pair);
	ck_assert_int_eq(stream_receive(&pair.stream, parts, 1), -EAGAIN);
	ck_assert_int_eq(stream_receive(&pair.stream, parts, 2), -EAGAIN);
	ck_assert_int_eq(send(pair.peer, "abcdefgh", 8, 0), 8);
	ck_assert_int_eq(stream_receive(&pair.stream, parts, 1), 3);
	ck_assert_str_eq(a, "abc");
	ck_assert_int_eq(send(pair.peer, "ij", 2, 0), 2);
	ck_assert_int_eq(stream_receive(&pair.stream, parts, 2), 7);
	ck_assert_str_eq(a, "def");
	ck_assert_str_eq(b, "ghij");
	ck_assert_int_eq(shutdown(pair.peer, SHUT_WR), 0);
	ck_assert_int_eq(stream_receive(&pair.stream, parts, 2), STREAM_END);
	offer_one(&pair, 10, true); /* the other direction is open still */
	drain(&pair);
	pair_done(&pair);
}
END_TEST

START_TEST(test_end)
{
	struct pair pair;

	pair_init(&pair);
	offer_one(&pair, 100, true);
	ck_assert_int_eq(stream_end(&pair.stream), 0);
	drain(&pair);
	ck_assert_int_eq(recv(pair.peer, &(char){0}, 1, 0), 0);
	ck_assert_int_eq(send(pair.peer, "x", 1, 0), 1);
	ck_assert_int_eq(stream_receive(&pair.stream, &(struct iovec){&(char){0}, 1}, 1), 1);
	pair_done(&pair);
	ck_assert_int_eq(stream_end(&pair.stream), -EBADF);
	stream_done(&pair.stream);
}
END_TEST

/* A peer that is gone, with bytes unread and bytes that wait: an error, and no signal. */
START_TEST(test_broken)
{
	struct iovec part = {&(char){'x'}, 1};
	struct pair pair;
	ssize_t n;

	(void)signal(SIGPIPE, SIG_DFL);
	pair_init(&pair);
	ck_assert_int_eq(send(pair.peer, "x", 1, 0), 1);
	fill(&pair);
	closep(&pair.peer);
	ck_assert_int_eq(stream_send(&pair.stream, &part, 1, false), 0);
	ck_assert_int_eq(stream_send(&pair.stream, &part, 1, true), -EPIPE);
	ck_assert_int_eq(stream_send(&pair.stream, NULL, 0, true), -EPIPE);
	do
		n = stream_receive(&pair.stream, &(struct iovec){&(char){0}, 1}, 1);
	while (n > 0);
	ck_assert(n == -ECONNRESET || n == STREAM_END);
	pair.peer = -1;
	pair_done(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");

	harness_add(suite, test_all_at_once);
	harness_add(suite, test_partial);
	harness_add(suite, test_not_eager);
	harness_add(suite, test_long_queue);
	harness_add(suite, test_long_queue_goes_first);
	harness_add(suite, test_shared_packets);
	harness_add(suite, test_any_sizes);
	harness_add(suite, test_receive);
	harness_add(suite, test_end);
	harness_add(suite, test_broken);
	return harness_main(suite);
}
