/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_client.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * One recv(2) takes what has come, answers are counted in it without copying a byte, and as many
 * messages as were answered leave in one send(2) from the prepared round.
 */

static int send_unsent(struct load *load, struct load_client *client)
{
	const struct workload_side *side = &load->workload.messages;
	const uint8_t *end =
		side->bytes.data + side->begin[client->next] + side->begin[load->workload.n];
	ssize_t n;
	int r;

	/* At most a round is unsent, so it stands in front of its end in one piece. */
	if (client->unsent > 0) {
		n = send(client->fd, end - client->unsent, client->unsent, MSG_NOSIGNAL);
		/* Having closed, the server has perhaps said why; that is read first. */
		if (n < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET)
			return load_failed(load, -errno);
		if (n > 0)
			client->unsent -= (size_t)n;
	}
	if (client->writable_wanted == (client->unsent > 0))
		return STATUS_GO_ON;
	r = load_want_writable(load, client, client->unsent > 0);
	return r < 0 ? load_failed(load, r) : STATUS_GO_ON;
}

/* Queues and sends n more messages. */
static int send_more(struct load *load, struct load_client *client, uint32_t n, uint64_t now)
{
	const struct workload_side *side = &load->workload.messages;
	const uint32_t round = (uint32_t)load->workload.n;
	const uint32_t end = client->next + n;

	client->unsent += end < round ? side->begin[end] - side->begin[client->next]
				      : side->begin[round] - side->begin[client->next] +
						side->begin[end - round];
	client->next = end < round ? end : end - round;
	load_book_sent(load, client, n, now);
	return send_unsent(load, client);
}

int load_stream_start(struct load *load, struct load_client *client)
{
	return send_more(load, client, (uint32_t)load->setup->workload.in_flight, clock_now());
}

/* Verify: what comes must be the round of answers, byte for byte. */
static int count_verified(struct load *load, struct load_client *client, const uint8_t *data,
			  size_t len, uint64_t *ret_n)
{
	const struct workload_side *side = &load->workload.answers;
	const size_t round = side->begin[load->workload.n];

	while (len > 0) {
		/* The second round behind the first makes up for where we are in it. */
		const size_t piece = MIN(len, round);

		if (memcmp(data, side->bytes.data + client->left, piece) != 0) {
			if (*data == '-' && side->begin[client->answer] == client->left &&
			    len > FRAME_HEADER && load->setup->workload.framing == FRAMING_LENGTH)
				return load_refused(data + FRAME_HEADER, len - FRAME_HEADER);
			return load_wrong(load, "an answer is not what the transforms make of its "
						"message");
		}
		client->left += piece;
		while (side->begin[client->answer + 1] <= client->left) {
			++*ret_n;
			if (++client->answer == load->workload.n) {
				client->answer = 0;
				client->left -= round;
			}
		}
		data += piece;
		len -= piece;
	}
	return STATUS_GO_ON;
}

/* Length: a header that is not as usual, or that came in pieces. */
static int take_header(struct load *load, struct load_client *client, const uint8_t *data,
		       size_t len)
{
	static const struct frame_rules rules = {FRAMING_LENGTH, FRAME_LENGTH_MAX, false};
	struct bytes header = {client->header, FRAME_HEADER};
	struct frame frame = {0};
	size_t scanned = 0;

	switch (frame_cut(&rules, header, false, &scanned, &frame)) {
	case FRAME_MESSAGE: /* an empty one */
		return STATUS_GO_ON;
	case FRAME_MORE:
		client->left = frame.size - FRAME_HEADER;
		return STATUS_GO_ON;
	case FRAME_ERROR:
		return load_refused(data, MIN(len, (size_t)frame.length));
	case FRAME_MALFORMED:
	case FRAME_TOO_LONG:
	case FRAME_CUT_SHORT:
		break;
	}
	return load_wrong(load, "what it sent is no frame; is its framing length?");
}

static int count_frames(struct load *load, struct load_client *client, const uint8_t *data,
			size_t len, uint64_t *ret_n)
{
	const uint8_t *usual = load->workload.messages.bytes.data;
	const size_t usual_size = FRAME_HEADER + load->setup->workload.size;
	int status;

	while (len > 0) {
		size_t piece;

		/* The usual: a whole answer as long as its message. */
		if (client->left == 0 && client->n_header == 0 && len >= usual_size &&
		    memcmp(data, usual, FRAME_HEADER) == 0) {
			++*ret_n;
			data += usual_size;
			len -= usual_size;
			continue;
		}
		if (client->left > 0) {
			piece = MIN(len, client->left);
			client->left -= piece;
			*ret_n += client->left == 0;
		} else {
			piece = MIN(len, (size_t)FRAME_HEADER - client->n_header);
			memcpy(client->header + client->n_header, data, piece);
			client->n_header = (uint8_t)(client->n_header + piece);
		}
		data += piece;
		len -= piece;
		if (client->n_header == FRAME_HEADER) {
			client->n_header = 0;
			status = take_header(load, client, data, len);
			if (status != STATUS_GO_ON)
				return status;
			*ret_n += client->left == 0;
		}
	}
	return STATUS_GO_ON;
}

static int count_lines(struct load_client *client, const uint8_t *data, size_t len, uint64_t *ret_n)
{
	static const char prefix[] = "error: ";
	const uint8_t *end = data + len;

	while (data < end) {
		const uint8_t *line_end = memchr(data, '\n', (size_t)(end - data));
		const size_t line_len = (size_t)((line_end ?: end) - data);

		/* No message of ours has an answer that begins so. */
		if (client->left == 0 && line_len >= sizeof(prefix) - 1 &&
		    memcmp(data, prefix, sizeof(prefix) - 1) == 0)
			return load_refused(data + sizeof(prefix) - 1,
					    line_len - sizeof(prefix) + 1);
		client->left = line_end ? 0 : client->left + line_len;
		*ret_n += line_end != NULL;
		data += line_len + (line_end != NULL);
	}
	return STATUS_GO_ON;
}

/* Raw: answers have no envelope, but the length of their messages. */
static void count_bytes(const struct load *load, struct load_client *client, size_t len,
			uint64_t *ret_n)
{
	client->left += len;
	*ret_n = client->left / load->setup->workload.size;
	client->left %= load->setup->workload.size;
}

static int count_answers(struct load *load, struct load_client *client, const uint8_t *data,
			 size_t len, uint64_t *ret_n)
{
	if (load->setup->workload.verify)
		return count_verified(load, client, data, len, ret_n);
	switch (load->setup->workload.framing) {
	case FRAMING_LENGTH:
		return count_frames(load, client, data, len, ret_n);
	case FRAMING_LINE:
		return count_lines(client, data, len, ret_n);
	case FRAMING_RAW:
		count_bytes(load, client, len, ret_n);
		break;
	}
	return STATUS_GO_ON;
}

int load_stream_turn(struct load *load, struct load_client *client, uint32_t events)
{
	uint64_t answers = 0, now;
	ssize_t n;
	int status;

	if (!(events & ~(uint32_t)EPOLLOUT))
		return send_unsent(load, client);
	n = recv(client->fd, load->buffer, LOAD_BUFFER, 0);
	if (n < 0)
		return errno == EAGAIN ? STATUS_GO_ON : load_failed(load, -errno);
	if (n == 0) {
		complain("%s: closed a connection", load->setup->target->name);
		return STATUS_NO_CONNECTION;
	}

	now = clock_now();
	status = count_answers(load, client, load->buffer, (size_t)n, &answers);
	if (status != STATUS_GO_ON)
		return status;
	if (answers > client->in_flight)
		return load_wrong(load,
				  "it sends more than it was asked for; does it greet, or is its "
				  "framing another?");
	load_book_answers(load, client, answers, now);
	if (answers > 0 && !load->draining)
		return send_more(load, client, (uint32_t)answers, now);
	return client->unsent > 0 ? send_unsent(load, client) : STATUS_GO_ON;
}
