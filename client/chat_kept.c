/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_kept.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

struct kept_message {
	struct list link;
	struct said said; /* its strings lie behind it */
	size_t size;
	char strings[];
};

void kept_init(struct kept *kept)
{
	*kept = (struct kept){0};
	list_init(&kept->messages);
}

static void drop(struct kept *kept, struct kept_message *message)
{
	list_remove(&message->link);
	kept->n--;
	kept->bytes -= message->size;
	free(message);
}

static struct kept_message *oldest(struct kept *kept)
{
	return CONTAINER_OF(kept->messages.next, struct kept_message, link);
}

void kept_done(struct kept *kept)
{
	while (kept->n > 0)
		drop(kept, oldest(kept));
}

/* Copies len bytes and a NUL to *place and moves it on. */
static const char *put(char **place, const char *text, size_t len)
{
	char *copy = *place;

	memcpy(copy, text, len);
	copy[len] = 0;
	*place += len + 1;
	return copy;
}

int kept_add(struct kept *kept, const struct said *said)
{
	const size_t room = strlen(said->room), from = strlen(said->from);
	const size_t size = sizeof(struct kept_message) + room + from + said->text_len + 3;
	struct kept_message *message = malloc(size);
	char *place;

	if (!message)
		return -ENOMEM;
	place = message->strings;
	message->said = *said;
	message->said.user = message->said.unit = NULL;
	message->said.room = put(&place, said->room, room);
	message->said.from = put(&place, said->from, from);
	message->said.text = put(&place, said->text, said->text_len);
	message->size = size;
	list_append(&kept->messages, &message->link);
	kept->n++;
	kept->bytes += size;
	/* The newest stays, however long it is. */
	while (kept->n > 1 && (kept->n > KEPT_MESSAGES || kept->bytes > KEPT_BYTES))
		drop(kept, oldest(kept));
	return 0;
}

void kept_show(struct kept *kept, void (*show)(void *data, const struct said *said), void *data)
{
	while (kept->n > 0) {
		struct kept_message *message = oldest(kept);

		show(data, &message->said);
		drop(kept, message);
	}
}
