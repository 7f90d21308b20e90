/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer_handover.h"

#include "audience.h"
#include "listener.h"
#include "packet.h"
#include "peer.h"
#include "session_chat.h"
#include "util.h"

/*
 * Times are of CLOCK_MONOTONIC, which goes on when a process ends. What follows from something else
 * is not written down: the events to watch for, timers, the seats in rooms, which the hub gives.
 */

/*
 * What the chat service keeps
 */

static void put_identity(const struct identity *identity, struct record *record)
{
	record_put(record, identity->proven);
	record_put(record, identity->uid);
	record_put_bytes(record, identity->groups, identity->n_groups * sizeof(gid_t));
	record_put_text(record, identity->unit);
}

static void get_identity(struct record_reader *reader, struct identity *identity)
{
	struct bytes groups;

	identity->proven = record_get(reader);
	identity->uid = (uid_t)record_get(reader);
	groups = record_get_bytes(reader);
	identity->groups = malloc(groups.len + sizeof(gid_t));
	identity->unit = record_get_text(reader);
	if (!identity->groups) {
		reader->failed = true;
		return;
	}
	if (groups.len > 0)
		memcpy(identity->groups, groups.data, groups.len);
	identity->n_groups = groups.len / sizeof(gid_t);
}

static void count_place(uint64_t room, uint64_t cursor, void *data)
{
	(void)room;
	(void)cursor;
	++*(uint64_t *)data;
}

static void put_place(uint64_t room, uint64_t cursor, void *data)
{
	record_put(data, room);
	record_put(data, cursor);
}

static void put_chat(const struct chat *chat, struct record *record)
{
	uint64_t n = 0;

	put_identity(&chat->identity, record);
	record_put(record, chat->dialect);
	record_put(record, chat->framing);
	record_put(record, chat->control);
	record_put(record, chat->max_message);
	record_put_text(record, chat->state.room);
	record_put(record, chat->state.quits);
	audiences_each_seat(chat->audiences, chat, count_place, &n);
	record_put(record, n);
	audiences_each_seat(chat->audiences, chat, put_place, record);
}

static void get_places(struct record_reader *reader, struct chat *chat)
{
	/* As many as there can be bytes for, so that no number asks for more memory than that. */
	uint64_t n = record_get_below(reader, reader->rest.len / (2 * sizeof(uint64_t)) + 1);

	chat->places = calloc(n + 1, sizeof(*chat->places));
	if (!chat->places) {
		reader->failed = true;
		return;
	}
	for (; chat->n_places < n; chat->n_places++) {
		chat->places[chat->n_places].room = record_get(reader);
		chat->places[chat->n_places].cursor = record_get(reader);
	}
}

static struct chat *get_chat(struct record_reader *reader, struct peer *peer)
{
	struct chat *chat = session_chat_new(peer);

	if (!chat)
		return NULL;
	get_identity(reader, &chat->identity);
	chat->dialect = (enum dialect_id)record_get_below(reader, DIALECTS);
	chat->framing = (enum framing)record_get_below(reader, ENCODING_FRAMINGS);
	chat->control = record_get(reader);
	chat->max_message = record_get(reader);
	chat->state.room = record_get_text(reader);
	chat->state.quits = record_get(reader);
	get_places(reader, chat);
	chat->opened = true;
	return chat;
}

/*
 * The connection
 */

void peer_origin_done(struct peer_origin *origin)
{
	free(origin->listener);
	free(origin->reason);
	*origin = (struct peer_origin){0};
}

static void put_output(const struct stream *stream, struct record *record)
{
	record_put(record, stream->pending);
	if (!record->failed && stream_copy_pending(stream, &record->buffer) < 0)
		record->failed = true;
}

void peer_put(const struct peer *peer, struct record *record)
{
	const struct session *session = &peer->session;

	record_put_text(record, peer->listener->name);
	record_put(record, peer->listener->config->settings.service);
	record_put(record, peer->id);
	record_put_bytes(record, &peer->name, sizeof(peer->name));
	record_put(record, peer->state);
	record_put_text(record, peer->reason);
	record_put(record, peer->input_ended);
	record_put(record, peer->owes_reading);
	record_put(record, peer->admitted);
	record_put(record, peer->finishing);
	record_put(record, peer->last_byte);
	record_put(record, peer->active);
	record_put(record, peer->since);
	record_put(record, peer->bytes_in);
	record_put(record, peer->bytes_out);
	record_put(record, peer->messages);
	record_put(record, peer->scanned);
	record_put_bytes(record, peer->input.data, peer->input.len);
	put_output(&peer->stream, record);
	record_put(record, session->framing);
	record_put(record, session->detects);
	record_put(record, session->chat != NULL);
	if (session->chat)
		put_chat(session->chat, record);
}

static void get_name(struct record_reader *reader, struct peer_name *name)
{
	struct bytes bytes = record_get_bytes(reader);

	if (bytes.len == sizeof(*name))
		memcpy(name, bytes.data, sizeof(*name));
	else
		reader->failed = true;
}

static void get_input(struct record_reader *reader, struct peer *peer)
{
	struct bytes input = record_get_bytes(reader);

	if (peer->scanned > input.len || buffer_append(&peer->input, input.data, input.len) < 0)
		reader->failed = true;
}

static void get_output(struct record_reader *reader, struct stream *stream)
{
	struct bytes output = record_get_bytes(reader);
	struct packet *packet;

	if (output.len == 0)
		return;
	packet = packet_of(&(struct buffer){output.data, output.len, output.len});
	if (!packet || stream_queue(stream, packet) < 0)
		reader->failed = true;
	packet_unref(packet);
}

/* Whether all that was read of a connection can be true of one. */
static bool is_sane(const struct peer *peer, const struct peer_origin *origin)
{
	const struct chat *chat = peer->session.chat;
	bool ends = peer->state != PEER_SERVING || peer->finishing;

	if (!origin->listener || peer->id == 0 || (ends && peer->since == 0) ||
	    (peer->finishing && !origin->reason))
		return false;
	if (origin->service == SERVICE_TRANSFORM)
		return !chat && !peer->session.detects;
	if (!chat)
		return peer->state != PEER_SERVING; /* it was never let in */
	if (chat->control != (origin->service == SERVICE_CONTROL))
		return false;
	return chat->control || (chat->framing == peer->session.framing && !peer->session.detects);
}

static void get_peer(struct record_reader *reader, struct peer *peer, struct peer_origin *origin)
{
	struct session *session = &peer->session;

	origin->listener = record_get_text(reader);
	origin->service = (enum service_kind)record_get_below(reader, SERVICE_CONTROL + 1);
	peer->id = record_get(reader);
	get_name(reader, &peer->name);
	peer->state = (enum peer_state)record_get_below(reader, PEER_DOOMED);
	origin->reason = record_get_text(reader);
	peer->input_ended = record_get(reader);
	peer->owes_reading = record_get(reader);
	peer->admitted = record_get(reader);
	peer->finishing = record_get(reader);
	peer->last_byte = record_get(reader);
	peer->active = record_get(reader);
	peer->since = record_get(reader);
	peer->bytes_in = record_get(reader);
	peer->bytes_out = record_get(reader);
	peer->messages = record_get(reader);
	peer->scanned = record_get(reader);
	get_input(reader, peer);
	get_output(reader, &peer->stream);
	session->framing = (enum framing)record_get_below(reader, ENCODING_FRAMINGS);
	session->detects = record_get(reader);
	if (record_get(reader) && !(session->chat = get_chat(reader, peer)))
		reader->failed = true;
	if (!is_sane(peer, origin))
		reader->failed = true;
}

struct peer *peer_get(struct record_reader *reader, int fd, struct peer_origin *ret_origin)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	*ret_origin = (struct peer_origin){0};
	if (!peer)
		return NULL;
	stream_init(&peer->stream, -1);
	get_peer(reader, peer, ret_origin);
	if (reader->failed) {
		peer_origin_done(ret_origin);
		peer_free(peer);
		return NULL;
	}
	peer->stream.fd = fd;
	peer->kept = true;
	return peer;
}

void peer_release(struct peer *peer)
{
	struct chat *chat = peer->session.chat;

	peer_done(peer);
	if (chat)
		chat->entry = NULL; /* the ledger may be gone already */
	if (chat && chat->audiences)
		audiences_leave(chat->audiences, chat);
	session_chat_free(chat);
}

void peer_free(struct peer *peer)
{
	if (peer)
		peer_release(peer);
	free(peer);
}
