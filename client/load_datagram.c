/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_client.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * Datagrams get lost, and overtake each other. So each says its number in the round, and the client
 * remembers for each number when it left. Messages that are too short for a number count as
 * answered in the order in which they were sent.
 */

/* The next number that is not on its way; there is one, as a round has room for all in flight. */
static uint32_t free_number(const struct load *load, struct load_client *client)
{
	uint32_t number;

	do {
		number = client->next;
		client->next = number + 1 == load->workload.n ? 0 : number + 1;
	} while (client->sent_at[number] != 0);
	return number;
}

/* Fills up what is in flight, with as few calls as possible. */
static int send_missing(struct load *load, struct load_client *client, uint64_t now)
{
	const struct workload_side *side = &load->workload.messages;
	const size_t size = load->setup->workload.size;
	const size_t missing =
		load->draining ? 0 : load->setup->workload.in_flight - client->in_flight;
	struct mmsghdr headers[LOAD_BATCH];
	struct iovec pieces[LOAD_BATCH];
	uint32_t numbers[LOAD_BATCH];
	const unsigned n = (unsigned)MIN(missing, (size_t)LOAD_BATCH);
	int sent, r;

	for (unsigned i = 0; i < n; i++) {
		numbers[i] = free_number(load, client);
		client->sent_at[numbers[i]] = now;
		pieces[i] = (struct iovec){side->bytes.data + side->begin[numbers[i]], size};
		headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
	}
	sent = n > 0 ? sendmmsg(client->fd, headers, n, MSG_NOSIGNAL) : 0;
	if (sent < 0 && errno != EAGAIN)
		return load_failed(load, -errno);
	sent = MAX(sent, 0);
	for (unsigned i = (unsigned)sent; i < n; i++)
		/* cppcheck-suppress uninitvar ; the loop above fills all n of them */
		client->sent_at[numbers[i]] = 0;
	client->in_flight += (uint32_t)sent;
	load->in_flight += (uint64_t)sent;

	if (client->writable_wanted == ((size_t)sent < missing))
		return STATUS_GO_ON;
	r = load_want_writable(load, client, (size_t)sent < missing);
	return r < 0 ? load_failed(load, r) : STATUS_GO_ON;
}

int load_datagram_start(struct load *load, struct load_client *client)
{
	return send_missing(load, client, clock_now());
}

/* The number of the message that was sent first of all on their way. */
static size_t oldest_number(const struct load *load, const struct load_client *client)
{
	size_t oldest = 0;

	for (size_t i = 1; i < load->workload.n; i++)
		if (client->sent_at[i] != 0 &&
		    (client->sent_at[oldest] == 0 || client->sent_at[i] < client->sent_at[oldest]))
			oldest = i;
	return oldest;
}

static bool is_expected(const struct workload_side *answers, size_t number, const uint8_t *data,
			size_t len)
{
	const size_t begin = answers->begin[number];

	if (len != answers->begin[number + 1] - begin)
		return false;
	return len == 0 || memcmp(data, answers->bytes.data + begin, len) == 0;
}

static int take_answer(struct load *load, struct load_client *client, const uint8_t *data,
		       size_t len, uint64_t now)
{
	size_t number;

	if (!workload_number(&load->workload, data, len, &number))
		number = oldest_number(load, client);
	if (load->setup->workload.verify &&
	    !is_expected(&load->workload.answers, number, data, len)) {
		complain("%s: an answer is not what the transforms make of its message",
			 load->setup->target->name);
		return STATUS_PROTOCOL;
	}
	if (client->sent_at[number] == 0) {
		load->result->late += load->measuring;
		return STATUS_GO_ON;
	}
	load_count(load, now, client->sent_at[number], 1);
	client->sent_at[number] = 0;
	client->in_flight--;
	load->in_flight--;
	return STATUS_GO_ON;
}

static int receive(struct load *load, struct load_client *client)
{
	/* The longest datagram fits, however many are asked for; usually they are short. */
	const size_t room = load->setup->workload.size + 1;
	const size_t fitting = MIN((size_t)LOAD_BATCH, LOAD_BUFFER / room);
	const unsigned n = (unsigned)MIN(fitting, load->setup->workload.in_flight);
	struct mmsghdr headers[LOAD_BATCH];
	struct iovec pieces[LOAD_BATCH];
	int received, status = STATUS_GO_ON;
	uint64_t now;

	for (unsigned i = 0; i < n; i++) {
		pieces[i] = (struct iovec){load->buffer + i * room, room};
		headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
	}
	received = recvmmsg(client->fd, headers, n, MSG_DONTWAIT, NULL);
	if (received < 0)
		return errno == EAGAIN || errno == EINTR ? STATUS_GO_ON : load_failed(load, -errno);
	now = clock_now();
	for (int i = 0; i < received && status == STATUS_GO_ON; i++)
		status = take_answer(load, client, load->buffer + (size_t)i * room,
				     headers[i].msg_len, now);
	return status == STATUS_GO_ON ? send_missing(load, client, now) : status;
}

int load_datagram_turn(struct load *load, struct load_client *client, uint32_t events)
{
	if (!(events & ~(uint32_t)EPOLLOUT))
		return send_missing(load, client, clock_now());
	return receive(load, client);
}

int load_datagram_expire(struct load *load, struct load_client *client, uint64_t before)
{
	uint32_t lost = 0;

	for (size_t i = 0; i < load->workload.n; i++) {
		if (client->sent_at[i] == 0 || client->sent_at[i] >= before)
			continue;
		client->sent_at[i] = 0;
		lost++;
	}
	if (lost == 0)
		return STATUS_GO_ON;
	load->result->lost += load->measuring ? lost : 0;
	client->in_flight -= lost;
	load->in_flight -= lost;
	return send_missing(load, client, clock_now());
}
