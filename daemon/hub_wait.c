/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub_state.h"
#include "util.h"

/*
 * Connections that wait for the name service. What needs an answer that is not there yet is run,
 * finds that it lacks it, and has done nothing; it is run again from its beginning when the answer
 * has come. Meanwhile the letters of that connection, and of no other, are held in their order.
 */

/* Does what a letter asks for. Returns false when it lacks an answer, and nothing was done. */
static bool open_letter(struct hub *hub, struct chat *chat, struct letter *letter)
{
	users_begin(hub->users);
	switch ((enum hub_letter)letter->kind) {
	case HUB_OPEN:
		if (!client_open(hub, chat))
			return false;
		client_placed(hub, chat);
		return true;
	case HUB_REQUEST:
		return hub_request(hub, CONTAINER_OF(letter, struct job, letter));
	default:
		client_gone(hub, chat);
		return true;
	}
}

/* Goes on with the letters that are held. */
static void go_on(struct hub *hub, struct chat *chat)
{
	while (chat->held) {
		struct letter *letter = chat->held, *last = chat->held_last, *next = letter->next;

		if (!open_letter(hub, chat, letter)) {
			users_wait(hub->users, &chat->waiter);
			return;
		}
		if (letter == last) {
			chat->held = NULL;
			return;
		}
		chat->held = next;
	}
}

/* Likewise, whatever they lack. */
static void go_on_at_once(struct hub *hub, struct chat *chat)
{
	bool before = users_make_do(hub->users, true);

	go_on(hub, chat);
	(void)users_make_do(hub->users, before);
}

static bool is_gone(const struct chat *chat)
{
	return chat->held_last->kind == HUB_GONE;
}

void hub_deal_with(struct hub *hub, struct chat *chat, struct letter *letter)
{
	if (chat->held) {
		chat->held_last->next = letter;
		chat->held_last = letter;
		if (hub->hurries && is_gone(chat)) {
			list_remove(&chat->waiter);
			go_on_at_once(hub, chat);
		}
	} else if (!open_letter(hub, chat, letter)) {
		chat->held = chat->held_last = letter;
		users_wait(hub->users, &chat->waiter);
	}
}

/* Says that what hub_update() has asked for is done. */
static void end_update(struct hub *hub)
{
	if (!hub->updating)
		return;
	hub->updating = false;
	hub->update_letter.kind = LETTER_UPDATED;
	mailbox_post(hub->manager, &hub->update_letter);
}

void hub_review(struct hub *hub)
{
	list_remove(&hub->review);
	users_begin(hub->users);
	if (hub_review_people(hub))
		end_update(hub);
	else
		users_wait(hub->users, &hub->review);
}

/* Takes the first off a list of those who have waited: a connection, or NULL, hub->review. */
static struct chat *take_first(struct hub *hub, struct list *list)
{
	struct list *first = list->next;

	list_remove(first);
	return first == &hub->review ? NULL : CONTAINER_OF(first, struct chat, waiter);
}

/* Goes on with all on a list; each may be put on another one. */
static void go_on_with_all(struct hub *hub, struct list *list)
{
	while (!list_empty(list)) {
		struct chat *chat = take_first(hub, list);

		if (!chat)
			hub_review(hub);
		else if (hub->hurries && is_gone(chat))
			go_on_at_once(hub, chat);
		else
			go_on(hub, chat);
	}
}

void hub_answered(struct hub *hub, struct question *question)
{
	struct list list = LIST_INIT(list);

	users_answered(hub->users, question, &list);
	go_on_with_all(hub, &list);
}

void hub_check_waiting(struct hub *hub)
{
	struct list list = LIST_INIT(list);

	users_check(hub->users, &list);
	go_on_with_all(hub, &list);
}

void hub_stop_waiting(struct hub *hub)
{
	struct list list = LIST_INIT(list);

	hub->hurries = true;
	end_update(hub);
	users_release(hub->users, &list);
	go_on_with_all(hub, &list);
}

void hub_release_waiting(struct hub *hub)
{
	struct list list = LIST_INIT(list);

	hub->hurries = true;
	end_update(hub);
	users_release(hub->users, &list);
	while (!list_empty(&list)) {
		struct chat *chat = take_first(hub, &list);

		if (chat && chat->held_last->kind == HUB_OPEN)
			chat->held = NULL;
		else if (chat)
			go_on_at_once(hub, chat);
	}
}
