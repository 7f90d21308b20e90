/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams: one at a time. One that is not answered for a while is sent again, and that one is
 * lost is known when a later message is answered first: the way there and back keeps their order,
 * however slow all are.
 */
#include "endure.h"

#include <string.h>
#include <sys/socket.h>

#include "clock.h"

enum {
	AGAIN = 5, /* times as long as it thinks */
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
	client_rest(client, AGAIN * load->think, AGAIN * load->think, now);
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
	client->again = client->late = 0;
	send_message(client, now);
}

static void answered(struct client *client, size_t len, uint64_t now)
{
	struct load *load = client->load;
	struct tally *tally = &load->tallies[KIND_UDP];
	unsigned think = load->think;
	struct cursor cursor = client->heard;

	tally->received += len;
	if (!owed(client) || script_hear(&client->script, &cursor, load->in, len) < len ||
	    cursor.bytes != client->said.bytes) {
		if (client->late == 0)
			client_wrong(client, "a wrong datagram", now);
		else
			client->late--;
		return;
	}
	if (client->late > 0)
		report_fault(load, client, "a datagram was lost");
	tally->dropped += client->late;
	client->late = client->again;
	client->again = 0;
	client_heard(client, now);
	client->heard = cursor;
	tally->messages++;
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

/* Whether all was answered, and all that was sent again was, too, or is known to be lost. */
static bool complete(const struct client *client)
{
	return !owed(client) && client->late == 0;
}

static void wake(struct client *client, uint64_t now)
{
	if (owed(client)) {
		client->load->tallies[KIND_UDP].resends++;
		client->again++;
	} else if (complete(client) && client->load->ending) {
		return;
	}
	send_message(client, now);
}

static void finish(struct client *client, uint64_t now)
{
	(void)client, (void)now; /* what it has said is waited for */
}

const struct manner udp_manner = {
	.open = open_datagrams,
	.turn = turn,
	.wake = wake,
	.finish = finish,
	.owed = owed,
	.complete = complete,
};
