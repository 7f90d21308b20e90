/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"

#include "util.h"

/*
 * Members that are behind: what they missed is read from the room's log, in pieces that their
 * worker asks for as it can send them.
 */

enum { FETCH_BYTES = 128 * 1024 }; /* of messages that one fetch brings at the most, about */

struct fetching {
	struct buffer buffer;
	struct room *room;
	const struct chat *chat;
	unsigned side;
	uint64_t most;
	uint64_t last;
};

static int fetch_event(struct fetching *fetching, struct chat_event *event)
{
	struct dialect_out out = {&fetching->buffer, fetching->chat->framing};

	event->room = room_name(fetching->room, fetching->side);
	return dialects[fetching->chat->dialect]->event(event, &out);
}

static int fetch_message(const struct chat_message *message, void *data)
{
	struct chat_event event = {.kind = CHAT_EVENT_MESSAGE, .message = *message};
	struct fetching *fetching = data;
	int r = fetch_event(fetching, &event);

	if (r < 0)
		return r;
	fetching->last = message->seq;
	return fetching->buffer.len >= fetching->most;
}

/* Writes what follows cursor. Returns 0 or a negative errno. */
static int fetch_from(struct fetching *fetching, uint64_t cursor)
{
	struct room *room = fetching->room;
	uint64_t oldest = room_oldest(room);
	int r = 0;

	fetching->last = cursor;
	if (cursor + 1 < oldest) {
		struct chat_event gap = {
			.kind = CHAT_EVENT_GAP, .first = cursor + 1, .last = oldest - 1};

		r = fetch_event(fetching, &gap);
		fetching->last = oldest - 1;
	}
	if (r == 0 && room->history && fetching->last < room->visible)
		r = history_read(room->history, fetching->last + 1, room->visible, fetch_message,
				 fetching);
	return MIN(r, 0);
}

/* Fills in what fetch asks for, as a member has it. Returns 0 or a negative errno. */
static int fill_fetch(struct fetch *fetch, const struct presence *presence)
{
	const uint64_t most = MIN(fetch->most, (uint64_t)FETCH_BYTES);
	struct fetching fetching = {
		.chat = fetch->chat,
		.room = presence->room,
		.side = presence->side,
		.most = most,
	};
	struct packet *packet = NULL;
	int r = fetch_from(&fetching, fetch->cursor);

	if (r == 0 && !(packet = packet_of(&fetching.buffer)))
		r = -ENOMEM;
	if (r == 0) {
		fetch->packet = packet;
		fetch->cursor = fetching.last;
		fetch->caught_up = fetching.last >= presence->room->visible;
	}
	buffer_done(&fetching.buffer);
	return r;
}

void hub_fetch(struct hub *hub, struct chat *chat)
{
	struct client *client = chat->client;
	struct presence *presence = NULL, *one;

	if (client)
		LIST_FOR_EACH(one, &client->presences, struct presence, link)
			if (one->room->number == chat->fetch.room)
				presence = one;
	/* Whoever cannot be told what is owed had better come again. */
	if (presence && fill_fetch(&chat->fetch, presence) < 0)
		client_dismiss(hub, client, "its room's log cannot be read",
			       "the room's log cannot be read");
	hub_post(hub, chat->worker, &chat->fetch.letter, LETTER_FETCHED);
}
