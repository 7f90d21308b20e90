/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The UDP ports from which no datagram is answered, so that no forged source makes two reflectors
 * answer each other for ever: those of well-known services that answer everybody, and all on which
 * this daemon itself answers.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ports {
	_Atomic uint64_t served[65536 / 64]; /* a bit for each port this daemon answers on */
};

/* By the one thread that opens and closes sockets. Ports in host byte order. */
void ports_set_served(struct ports *ports, uint16_t port, bool served);

/* From any thread. */
bool ports_is_reflector(const struct ports *ports, uint16_t port);
