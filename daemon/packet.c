/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet.h"

#include <string.h>

#include "util.h"

struct packet *packet_new(size_t size)
{
	struct packet *packet = malloc(sizeof(*packet) + size);

	if (!packet)
		return NULL;
	atomic_init(&packet->references, 1);
	packet->len = 0;
	packet->size = size;
	return packet;
}

struct packet *packet_of(const struct buffer *buffer)
{
	struct packet *packet = packet_new(buffer->len);

	if (!packet)
		return NULL;
	if (buffer->len > 0)
		memcpy(packet->data, buffer->data, buffer->len);
	packet->len = buffer->len;
	return packet;
}

struct packet *packet_ref(struct packet *packet)
{
	atomic_fetch_add_explicit(&packet->references, 1, memory_order_relaxed);
	return packet;
}

void packet_unref(struct packet *packet)
{
	if (packet && atomic_fetch_sub_explicit(&packet->references, 1, memory_order_acq_rel) == 1)
		free(packet);
}

size_t packet_room(struct packet *packet)
{
	if (atomic_load_explicit(&packet->references, memory_order_acquire) > 1)
		return 0;
	return packet->size - packet->len;
}
