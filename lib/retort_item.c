/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_item.h"

#include <string.h>

#include "util.h"

/* So that one is the other, and a token's number needs no table. */
_Static_assert((int)RETORT_BAD_JSON == (int)CHAT_BAD_JSON, "the first error");
_Static_assert((int)RETORT_NOT_RELOADED == (int)CHAT_NOT_RELOADED, "the last error");

struct item *item_new(enum retort_event_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	list_init(&item->link);
	item->event.kind = kind;
	item->event.retry = -1;
	item->cost = sizeof(*item);
	return item;
}

void item_free(struct item *item)
{
	if (!item)
		return;
	if (item->answer.memory)
		object_answer_done(&item->answer);
	free(item->json);
	free(item->token);
	free(item->text);
	free(item->room);
	free(item->array);
	free(item);
}

/* White space of JSON may be line ends; here it is one line, whoever wrote it. */
static char *copy_on_one_line(struct bytes json)
{
	char *copy = malloc(json.len + 1);

	if (!copy)
		return NULL;
	for (size_t i = 0; i < json.len; i++)
		copy[i] = (char)(json.data[i] < ' ' ? ' ' : json.data[i]);
	copy[json.len] = '\0';
	return copy;
}

static void set_message(struct retort_message *to, const struct chat_message *from)
{
	*to = (struct retort_message){
		.seq = from->seq,
		.time = from->time,
		.from = from->from,
		.user = from->user,
		.unit = from->unit,
		.text = from->text,
		.text_len = from->text_len,
	};
}

static bool is_same(const char *one, const char *other)
{
	return one && other && strcmp(one, other) == 0;
}

/* A user is told by its name, whatever nick it had at the time. */
static bool is_ours(const struct chat_message *message, const char *nick, const char *user)
{
	return user || message->user ? is_same(message->user, user) : is_same(message->from, nick);
}

/* Fills in what the kind of event has. */
static void set_members(struct item *item, const struct chat_event *chat, const char *nick,
			const char *user)
{
	struct retort_event *event = &item->event;

	event->room = chat->room;
	event->nick = chat->nick;
	event->mine = is_same(chat->nick, nick);
	switch (chat->kind) {
	case CHAT_EVENT_MESSAGE:
		event->kind = RETORT_MESSAGE;
		set_message(&item->message, &chat->message);
		event->message = &item->message;
		event->nick = item->message.from;
		event->mine = is_ours(&chat->message, nick, user);
		break;
	case CHAT_EVENT_JOIN:
		event->kind = RETORT_JOIN;
		break;
	case CHAT_EVENT_LEAVE:
		event->kind = RETORT_LEAVE;
		event->text = chat->reason;
		break;
	case CHAT_EVENT_TOPIC:
		event->kind = RETORT_TOPIC;
		event->text = chat->text;
		break;
	case CHAT_EVENT_GAP:
		event->kind = RETORT_GAP;
		event->first = chat->first;
		event->last = chat->last;
		break;
	case CHAT_EVENT_CLOSING:
		event->kind = RETORT_CLOSING;
		event->text = chat->reason;
		event->reconnect = chat->reconnect;
		break;
	}
}

/* Moves the answer into the item, with its bytes. The answer points into memory that stays. */
static int take_answer(struct item *item, struct object_answer *answer, struct bytes json)
{
	char *copy = copy_on_one_line(json);

	if (!copy)
		return -ENOMEM;
	item->json = copy;
	item->answer = *answer;
	*answer = (struct object_answer){0};
	item->cost += 2 * json.len;
	return 0;
}

int item_set_event(struct item *item, struct object_answer *answer, struct bytes json,
		   const char *nick, const char *user)
{
	int r = take_answer(item, answer, json);

	if (r < 0)
		return r;
	set_members(item, &item->answer.event, nick, user);
	item->event.json = item->json;
	item->event.json_len = json.len;
	return 0;
}

enum retort_refusal refusal_of(const struct chat_reply *reply)
{
	return (int)reply->error < CHAT_ERRORS ? (enum retort_refusal)reply->error
					       : RETORT_OTHER_REFUSAL;
}

/* The arrays of a reply; it has one at the most. Returns NULL when out of memory. */
static void *copy_array(const struct chat_reply *from, struct retort_reply *to)
{
	const size_t n = from->members_len + from->rooms_len + from->messages_len;
	void *array = calloc(n, MAX(sizeof(struct retort_message), sizeof(struct retort_member)));
	struct retort_member *members = array;
	struct retort_room *rooms = array;
	struct retort_message *messages = array;

	if (!array)
		return NULL;
	for (size_t i = 0; i < from->members_len; i++)
		members[i] = (struct retort_member){
			.nick = from->members[i].nick,
			.user = from->members[i].user,
			.unit = from->members[i].unit,
			.since = from->members[i].since,
		};
	if (from->members_len > 0) {
		to->members = members;
		to->members_len = from->members_len;
		return array;
	}
	for (size_t i = 0; i < from->rooms_len; i++)
		rooms[i] = (struct retort_room){
			.room = from->rooms[i].room,
			.topic = from->rooms[i].topic,
			.seq = from->rooms[i].seq,
			.members = from->rooms[i].members,
		};
	if (from->rooms_len > 0) {
		to->rooms = rooms;
		to->rooms_len = from->rooms_len;
		return array;
	}
	for (size_t i = 0; i < from->messages_len; i++)
		set_message(&messages[i], &from->messages[i]);
	to->messages = messages;
	to->messages_len = from->messages_len;
	return array;
}

static void set_limits(struct retort_limits *to, const struct chat_limits *from)
{
	*to = (struct retort_limits){
		.max_message = from->max_message,
		.max_text = from->max_text,
		.max_topic = from->max_topic,
		.max_rooms = from->max_rooms,
		.rate = from->rate,
		.burst = from->burst,
	};
}

/* Fills in what is no array. What a reply does not have is 0 in both. */
static void set_reply(struct item *item, const struct chat_reply *chat)
{
	struct retort_reply *reply = &item->reply;

	reply->status = (int)refusal_of(chat);
	reply->token = chat->token;
	reply->message = chat->message;
	reply->retry_after = chat->retry_after;
	reply->nick = chat->nick;
	reply->user = chat->user;
	reply->server = chat->server;
	reply->version = chat->version;
	reply->transforms = chat->transforms;
	if (chat->limits) {
		set_limits(&item->limits, chat->limits);
		reply->limits = &item->limits;
	}
	if (chat->room)
		reply->room = chat->room;
	reply->topic = chat->topic;
	reply->text = chat->text;
	reply->text_len = chat->text_len;
	reply->seq = chat->seq;
	reply->oldest = chat->oldest;
	reply->n_members = chat->n_members;
	reply->time = chat->time;
	reply->duplicate = chat->duplicate;
}

int item_set_reply(struct item *item, struct object_answer *answer, struct bytes json)
{
	const struct chat_reply *chat = &answer->reply;
	const struct retort_reply before = item->reply;
	int r;

	if (chat->members_len + chat->rooms_len + chat->messages_len > 0) {
		item->array = copy_array(chat, &item->reply);
		if (!item->array)
			return -ENOMEM;
	}
	r = take_answer(item, answer, json);
	if (r < 0) {
		free(STEAL(item->array));
		item->reply = before;
		return r;
	}
	set_reply(item, &item->answer.reply);
	item->reply.json = item->json;
	item->reply.json_len = json.len;
	item->event.reply = &item->reply;
	item->event.json = item->json;
	item->event.json_len = json.len;
	return 0;
}

void item_set_status(struct item *item, int status, const char *token, const char *text)
{
	item->token = token ? strdup(token) : NULL;
	item->text = strdup(text);
	item->reply.status = item->event.status = status;
	item->reply.token = item->event.token = item->token;
	item->reply.message = item->event.text = item->text;
	if (item->event.kind == RETORT_REPLY)
		item->event.reply = &item->reply;
}

void inbox_init(struct inbox *inbox)
{
	list_init(&inbox->items);
	inbox->cost = 0;
}

void inbox_done(struct inbox *inbox)
{
	struct item *item;

	while ((item = inbox_take(inbox)))
		item_free(item);
}

void inbox_put(struct inbox *inbox, struct item *item)
{
	list_append(&inbox->items, &item->link);
	inbox->cost += item->cost;
}

struct item *inbox_take(struct inbox *inbox)
{
	struct item *item;

	if (list_empty(&inbox->items))
		return NULL;
	item = CONTAINER_OF(inbox->items.next, struct item, link);
	list_remove(&item->link);
	inbox->cost -= item->cost;
	return item;
}
