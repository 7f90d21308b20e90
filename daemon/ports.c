/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ports.h"

void ports_set_served(struct ports *ports, uint16_t port, bool served)
{
	_Atomic uint64_t *word = &ports->served[port / 64];
	uint64_t bit = UINT64_C(1) << (port % 64);

	if (served)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

bool ports_is_reflector(const struct ports *ports, uint16_t port)
{
	switch (port) {
	case 0: /* nobody can be answered there */
	case 7: /* echo */
	case 13:
	case 17:
	case 19:    /* daytime, quotd, chargen */
	case 37:    /* time */
	case 53:    /* domain */
	case 69:    /* tftp */
	case 123:   /* ntp */
	case 161:   /* snmp */
	case 389:   /* cldap */
	case 1900:  /* ssdp */
	case 5353:  /* mdns */
	case 11211: /* memcached */
		return true;
	default:
		return atomic_load_explicit(&ports->served[port / 64], memory_order_relaxed) >>
			       (port % 64) &
		       1;
	}
}
