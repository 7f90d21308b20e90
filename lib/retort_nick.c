/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_nick.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "names.h"
#include "util.h"

enum { ENTRY_SIZE = 16384 /* bytes of an entry of the user database */ };

char *nick_of_guest(void)
{
	uint32_t random = 0;
	char *nick;

	/* Without randomness the nick may be taken, and that is seen to. */
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return asprintf(&nick, "guest-%06x", (unsigned)random & 0xFFFFFF) < 0 ? NULL : nick;
}

char *nick_of_user(void)
{
	CLEANUP(freep) char *memory = malloc(ENTRY_SIZE);
	struct passwd entry, *found = NULL;

	if (!memory)
		return NULL;
	(void)getpwuid_r(geteuid(), &entry, memory, ENTRY_SIZE, &found);
	return found ? name_from_user(found->pw_name) : nick_of_guest();
}
