/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "link.h"
#include "object.h"

/*
 * Where a thousand members hear everything, looking at it must cost next to nothing. So, unless all
 * is verified, only the first bytes of each frame are looked at, which are the same in most; and
 * only what is neither a message nor a reply that says yes is read in full.
 */

enum { DIGITS = LOAD_TEXT_EDGE / 2 }; /* of each of the two numbers that a text begins with */

int load_chat_text(struct load *load, size_t client, uint64_t number)
{
	struct buffer *text = &load->chat.text;
	const size_t size = load->setup->workload.size;
	char edge[LOAD_TEXT_EDGE + 1];

	text->len = 0;
	if (buffer_reserve(text, size + 1) < 0)
		return -ENOMEM;
	text->len = size;
	text->data[size] = 0;
	if (!load->setup->workload.verify) {
		memset(text->data, 'x', size);
		return 0;
	}
	(void)snprintf(edge, sizeof(edge), "%08" PRIx32 "%08" PRIx32, (uint32_t)client,
		       (uint32_t)number);
	memcpy(text->data, edge, LOAD_TEXT_EDGE);
	workload_text(text->data + LOAD_TEXT_EDGE, size - LOAD_TEXT_EDGE,
		      (uint64_t)client << 32 | (uint32_t)number);
	return 0;
}

/* ---- Reading in full ---- */

static bool read_number(const char *text, uint32_t *ret_number)
{
	char digits[DIGITS + 1] = "", *end;

	memcpy(digits, text, DIGITS);
	*ret_number = (uint32_t)strtoul(digits, &end, 16);
	return end == digits + DIGITS;
}

/* Compares a message with what one of our clients has said. */
static int verify_message(struct load *load, struct load_client *client,
			  const struct chat_message *message)
{
	struct load_talk *talk = &client->talk;
	const bool fanout = load->setup->kind == LOAD_FANOUT;
	const struct load_client *followed = fanout ? load->clients : client;
	uint32_t from, number;

	if (message->seq != talk->seq + 1)
		return load_wrong(load, "a message's number is not that after the last one's");
	talk->seq++;
	if (message->text_len != load->setup->workload.size || !read_number(message->text, &from) ||
	    !read_number(message->text + DIGITS, &number) || from >= load->setup->n_clients ||
	    load->clients[from].talk.room != talk->room || (fanout && from > 0))
		return load_wrong(load, "a message was not said by this load; does somebody else "
					"speak in the room?");
	if (&load->clients[from] == followed && number != (uint32_t)talk->followed++)
		return load_wrong(load, "messages do not come in the order in which they were "
					"said");
	if (load_chat_text(load, from, number) < 0)
		return out_of_memory();
	if (memcmp(load->chat.text.data, message->text, message->text_len) != 0)
		return load_wrong(load, "a message's text is not what was said");
	return STATUS_GO_ON;
}

static int take_event(struct load *load, struct load_client *client, const struct chat_event *event,
		      struct load_heard *heard)
{
	switch (event->kind) {
	case CHAT_EVENT_MESSAGE:
		heard->messages++;
		heard->bytes += client->talk.size;
		return load->setup->workload.verify ? verify_message(load, client, &event->message)
						    : STATUS_GO_ON;
	case CHAT_EVENT_GAP:
		return load_wrong(load, "the room has not kept what a member has not got yet");
	case CHAT_EVENT_CLOSING:
		complain_text("the server closes: ", event->reason ?: "",
			      strlen(event->reason ?: ""));
		return STATUS_NO_CONNECTION;
	case CHAT_EVENT_JOIN:
	case CHAT_EVENT_LEAVE:
	case CHAT_EVENT_TOPIC:
		break;
	}
	return STATUS_GO_ON;
}

static int refused(const struct chat_reply *reply)
{
	char text[512];
	const int len = snprintf(text, sizeof(text), "%s: %s", reply->token, reply->message ?: "");

	return load_refused(text, MIN((size_t)len, sizeof(text) - 1));
}

static int take_reply(struct load *load, struct load_client *client, const struct chat_reply *reply,
		      struct load_heard *heard)
{
	struct load_talk *talk = &client->talk;

	if (reply->error != CHAT_OK)
		return refused(reply);
	heard->replies++;
	if (load->chat.joining)
		talk->seq = reply->seq;
	else if (load->setup->workload.verify && reply->seq <= talk->acknowledged)
		return load_wrong(load, "a reply's number is not above the last one's");
	talk->acknowledged = reply->seq;
	return STATUS_GO_ON;
}

static int read_object(struct load *load, struct load_client *client, struct load_heard *heard)
{
	CLEANUP(object_answer_done) struct object_answer answer = {0};
	const struct buffer *in = &client->talk.in;
	int r;

	r = object_read_answer((struct bytes){in->data, in->len}, &answer);
	if (r == -ENOMSG) /* an event that is new to us */
		return STATUS_GO_ON;
	if (r == -ENOMEM)
		return out_of_memory();
	if (r < 0)
		return load_wrong(load, "what it sent is no reply and no event; is its service "
					"chat, and its dialect the object one?");
	return answer.is_event ? take_event(load, client, &answer.event, heard)
			       : take_reply(load, client, &answer.reply, heard);
}

/* ---- Frames ---- */

/* What to do with an object that begins so; mark_len is LOAD_MARK, or all of a shorter one. */
static enum load_use use_of(const struct load *load, const uint8_t *mark, size_t mark_len)
{
	static const char event[] = "{\"event\":\"", yes[] = "{\"ok\":true";

	if (load->setup->workload.verify || mark_len < LOAD_MARK)
		return LOAD_READ;
	if (memcmp(mark, yes, sizeof(yes) - 1) == 0)
		return LOAD_REPLY;
	if (memcmp(mark, event, sizeof(event) - 1) != 0)
		return LOAD_READ;
	switch (mark[sizeof(event) - 1]) {
	case 'm': /* message */
		return LOAD_MESSAGE;
	case 'j': /* join */
	case 'l': /* leave */
	case 't': /* topic */
		return LOAD_SKIP;
	default:
		return LOAD_READ;
	}
}

/*
 * Looks at the beginning of a frame, len bytes of it and what follows. *ret_taken is the length of
 * its header; or 0, when so little is there that more has to come.
 */
static int begin_frame(struct load *load, struct load_client *client, const uint8_t *data,
		       size_t len, size_t *ret_taken)
{
	static const struct frame_rules rules = {FRAMING_LENGTH, LINK_MESSAGE_MAX, false};
	const size_t header_len = MIN(len, (size_t)FRAME_HEADER);
	struct bytes header = {(uint8_t *)data, header_len};
	struct load_talk *talk = &client->talk;
	struct load_chat *chat = &load->chat;
	struct frame frame = {0};
	size_t scanned = 0, mark_len;

	*ret_taken = 0;
	switch (frame_cut(&rules, header, false, &scanned, &frame)) {
	case FRAME_MORE:
	case FRAME_MESSAGE: /* an empty one */
		break;
	case FRAME_ERROR:
		return load_refused(data + FRAME_HEADER,
				    MIN(len - FRAME_HEADER, (size_t)frame.length));
	case FRAME_MALFORMED:
	case FRAME_TOO_LONG:
	case FRAME_CUT_SHORT:
		return load_wrong(load, "what it sent is no frame; is its framing length?");
	}
	if (frame.size == 0)
		return STATUS_GO_ON;
	mark_len = MIN(frame.size - FRAME_HEADER, (size_t)LOAD_MARK);
	if (len < FRAME_HEADER + mark_len)
		return STATUS_GO_ON;

	talk->left = frame.size - FRAME_HEADER;
	talk->size = frame.size;
	talk->use = use_of(load, data + FRAME_HEADER, mark_len);
	talk->in.len = 0;
	if (talk->use == LOAD_MESSAGE) {
		memcpy(chat->usual, data, LOAD_HEAD);
		chat->usual_size = frame.size;
	}
	*ret_taken = FRAME_HEADER;
	return STATUS_GO_ON;
}

static int end_frame(struct load *load, struct load_client *client, struct load_heard *heard)
{
	switch (client->talk.use) {
	case LOAD_MESSAGE:
		heard->messages++;
		heard->bytes += client->talk.size;
		break;
	case LOAD_REPLY:
		heard->replies++;
		break;
	case LOAD_READ:
		return read_object(load, client, heard);
	case LOAD_SKIP:
		break;
	}
	return STATUS_GO_ON;
}

/* Counts whole frames that begin as most do, at the front; returns their bytes. */
static size_t count_usual(const struct load_chat *chat, const uint8_t *data, size_t len,
			  struct load_heard *heard)
{
	const size_t size = chat->usual_size;
	const uint8_t *at = data;

	while (size > 0 && len >= size && memcmp(at, chat->usual, LOAD_HEAD) == 0) {
		at += size;
		len -= size;
		heard->messages++;
	}
	heard->bytes += (uint64_t)(at - data);
	return (size_t)(at - data);
}

int load_hear(struct load *load, struct load_client *client, const uint8_t *data, size_t len,
	      struct load_heard *ret_heard)
{
	struct load_talk *talk = &client->talk;
	struct load_heard heard = {0};

	while (len > 0) {
		size_t piece = 0;
		int status = STATUS_GO_ON;

		if (talk->left > 0) {
			piece = MIN(len, talk->left);
			if (talk->use == LOAD_READ && buffer_append(&talk->in, data, piece) < 0)
				return out_of_memory();
			talk->left -= piece;
		} else {
			piece = count_usual(&load->chat, data, len, &heard);
			data += piece;
			len -= piece;
			status = begin_frame(load, client, data, len, &piece);
			if (status != STATUS_GO_ON)
				return status;
			if (piece == 0) {
				memcpy(talk->head, data, len);
				talk->n_head = (uint8_t)len;
				break;
			}
		}
		data += piece;
		len -= piece;
		if (talk->left == 0)
			status = end_frame(load, client, &heard);
		if (status != STATUS_GO_ON)
			return status;
	}
	*ret_heard = heard;
	return STATUS_GO_ON;
}
