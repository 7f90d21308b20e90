/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mailbox.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "util.h"

int mailbox_init(struct mailbox *mailbox)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	mailbox->fd = fd;
	atomic_init(&mailbox->newest, NULL);
	return 0;
}

void mailbox_done(struct mailbox *mailbox)
{
	closep(&mailbox->fd);
	mailbox->fd = -1;
}

void letters_add(struct letters *letters, struct letter *letter)
{
	letter->next = letters->newest;
	letters->newest = letter;
	if (!letters->oldest)
		letters->oldest = letter;
}

/* Posts a chain that goes from its newest letter to its oldest. */
static void post(struct mailbox *mailbox, const struct letters *letters)
{
	struct letter *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);

	do {
		letters->oldest->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, letters->newest,
							memory_order_release,
							memory_order_relaxed));

	/* Whoever finds the mailbox empty wakes the reader; the others know it is awake. The write
	   can only fail when the counter is full, and then the reader has been woken. */
	if (!newest)
		(void)!write(mailbox->fd, &(uint64_t){1}, sizeof(uint64_t));
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
	post(mailbox, &(struct letters){letter, letter});
}

void mailbox_post_all(struct mailbox *mailbox, struct letters *letters)
{
	if (!letters->newest)
		return;
	post(mailbox, letters);
	*letters = (struct letters){0};
}

struct letter *mailbox_collect(struct mailbox *mailbox)
{
	struct letter *letter, *oldest = NULL;
	uint64_t ignored;

	/* The wake-up is taken back first: what is posted after the exchange wakes again. */
	(void)!read(mailbox->fd, &ignored, sizeof(ignored));
	letter = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
	while (letter) {
		struct letter *next = letter->next;

		letter->next = oldest;
		oldest = letter;
		letter = next;
	}
	return oldest;
}
