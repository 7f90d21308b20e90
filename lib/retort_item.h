/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event on its way to the program, with all the memory that it points to; and the queue that
 * such items wait in. Here what the object dialect has read becomes what retort.h promises.
 */

#include "bytes.h"
#include "list.h"
#include "object.h"
#include "retort.h"

struct item {
	struct list link;
	struct retort_event event;
	struct retort_reply reply; /* event.reply points here once there is one */
	struct retort_message message;
	struct retort_limits limits;
	struct object_answer answer;	  /* what the strings lie in; memory is NULL before */
	char *json, *token, *text, *room; /* further memory; owned */
	void *array;			  /* of the reply; owned */
	size_t cost;			  /* bytes, roughly */
	uint64_t due; /* of a leave that is held back: when it is told all the same */
};

/* Return NULL when out of memory. */
struct item *item_new(enum retort_event_kind kind);
void item_free(struct item *item);

/*
 * Lets the item take over an answer and a copy of the bytes that it was read from; nick
 * and user are one's own, or NULL. What *answer held is the item's then. Returns 0, or -ENOMEM with
 * the item and the answer as they were.
 */
int item_set_event(struct item *item, struct object_answer *answer, struct bytes json,
		   const char *nick, const char *user);
int item_set_reply(struct item *item, struct object_answer *answer, struct bytes json);

/*
 * Makes it a reply that says this. token, which may be NULL, and text are copied, or left out when
 * there is no memory.
 */
void item_set_status(struct item *item, int status, const char *token, const char *text);

/* The refusal of a reply, 0 when it is none. */
enum retort_refusal refusal_of(const struct chat_reply *reply);

/* What waits for the program, in order. */
struct inbox {
	struct list items;
	size_t cost;
};

void inbox_init(struct inbox *inbox);
void inbox_done(struct inbox *inbox);
void inbox_put(struct inbox *inbox, struct item *item);

/* Returns the first item, for the caller to free; NULL when there is none. */
struct item *inbox_take(struct inbox *inbox);
