/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes that wait to be sent, counted by reference, so that what goes to many is in memory once.
 * The contents do not change while more than one holds them.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct packet {
	atomic_uint references;
	size_t len;  /* bytes in use */
	size_t size; /* bytes there is room for */
	uint8_t data[];
};

/* Returns an empty packet with room for size bytes and one reference, or NULL. */
struct packet *packet_new(size_t size);

/* Returns a packet of just what buffer holds, with one reference, or NULL. */
struct packet *packet_of(const struct buffer *buffer);

/* From any thread. Returns packet. */
struct packet *packet_ref(struct packet *packet);

/* From any thread. Gives a reference back; NULL is nothing. */
void packet_unref(struct packet *packet);

/*
 * How many bytes may be appended in place: none when somebody else holds the packet too.
 */
size_t packet_room(struct packet *packet);
