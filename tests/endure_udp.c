/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams: one at a time. One that is not answered for LOST milliseconds counts as lost and is
 * sent anew; should both be answered then, the second answer is no fault.
 */
#include "endure.h"

#include <string.h>
#include <sys/socket.h>

#include "clock.h"

enum {
	LOST = 60000,
	DATAGRAM_LEAST = 16,
	DATAGRAM_MOST = 512,
};

static bool owed(const struct client *client)
{
	return client->heard.number < client->said.number;
}

/* Its message, which said stands behind. */
static size_t message(const struct client *client, uint8_t *out)
{
	return script_fill(&client->script, client->heard, client->heard.number + 1, 0, out,
			   SCRATCH);
}

static void send_message(struct client *client, uint64_t now)
{
	struct load *load = client->load;
	size_t len = message(client, load->out);
	ssize_t n = send(client->fd, load->out, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		client_lost(client, strerror(errno), now);
		return;
	}
	load->tallies[KIND_UDP].sent += len;
	client->said = client->heard;
	script_pass(&client->script, &client->said, len);
	client_rest(client, LOST, LOST, now);
	client_settle(client, false, now);
}

static void open_datagrams(struct client *client, uint64_t now)
{
	client->script = (struct script){
		.seed = script_hash(client->load->seed ^ client->index, client->epoch),
		.least = DATAGRAM_LEAST,
		.most = DATAGRAM_MOST,
		.framing = FRAMING_RAW,
		.upper = client->load->upper[WAY_UDP],
	};
	script_begin(&client->script, &client->heard);
	script_begin(&client->script, &client->said);
	client->reading = true;
	send_message(client, now);
}

static void answered(struct client *client, size_t len, uint64_t now)
{
	struct load *load = client->load;
	unsigned think = load->think;
	struct cursor cursor = client->heard;

	load->tallies[KIND_UDP].received += len;
	if (!owed(client) || script_hear(&client->script, &cursor, load->in, len) < len ||
	    cursor.bytes != client->said.bytes) {
		if (load->tallies[KIND_UDP].resends == 0)
			client_wrong(client, "a wrong datagram", now);
		return; /* else it may be the answer to what was sent again */
	}
	client_heard(client, now);
	client->heard = cursor;
	load->tallies[KIND_UDP].messages++;
	client_answered(client);
	client_rest(client, think / 2, think + think / 2, now);
}

static void turn(struct client *client, uint32_t events, uint64_t now)
{
	ssize_t n = recv(client->fd, client->load->in, SCRATCH, 0);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		client_lost(client, strerror(errno), now); /* nobody listens there */
	else
		answered(client, (size_t)n, now);
	client_settle(client, false, now);
}

static void wake(struct client *client, uint64_t now)
{
	struct tally *tally = &client->load->tallies[KIND_UDP];

	if (owed(client)) {
		tally->dropped++;
		tally->resends++;
		report_fault(client->load, client, "a datagram was lost");
	} else if (client->load->ending) {
		return;
	}
	send_message(client, now);
}

static void finish(struct client *client, uint64_t now)
{
	(void)client, (void)now; /* what it has said is waited for */
}

static bool complete(const struct client *client)
{
	return !owed(client);
}

const struct manner udp_manner = {
	.open = open_datagrams,
	.turn = turn,
	.wake = wake,
	.finish = finish,
	.owed = owed,
	.complete = complete,
};
