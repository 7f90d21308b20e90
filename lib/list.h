/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An intrusive, circular, doubly linked list. The head is a link of its own; a link that is on no
 * list points to itself, so removing it twice is harmless. Links own nothing.
 */

#include <stdbool.h>
#include <stddef.h>

#include "util.h"

struct list {
	struct list *next, *previous;
};

#define LIST_INIT(name)          \
	{                        \
		&(name), &(name) \
	}

static inline void list_init(struct list *list)
{
	list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* Puts link, which must be on no list, at the end of list. */
static inline void list_append(struct list *list, struct list *link)
{
	link->previous = list->previous;
	link->next = list;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_remove(struct list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	list_init(link);
}

/* Walks the elements of type that are linked through member; element may be removed meanwhile. */
#define LIST_FOR_EACH(element, head, type, member)                               \
	for (struct list *link_ = (head)->next, *next_ = link_->next;            \
	     link_ != (head) && ((element) = CONTAINER_OF(link_, type, member)); \
	     link_ = next_, next_ = link_->next)
