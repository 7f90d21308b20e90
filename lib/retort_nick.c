/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retort_nick.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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

int nick_of_user(char **ret_user, char **ret_nick)
{
	CLEANUP(freep) char *memory = malloc(ENTRY_SIZE), *user = NULL, *nick = NULL;
	struct passwd entry, *found = NULL;

	if (!memory)
		return -ENOMEM;
	(void)getpwuid_r(geteuid(), &entry, memory, ENTRY_SIZE, &found);
	if (found) {
		user = strdup(found->pw_name);
		nick = name_from_user(found->pw_name);
		if (!user || !nick)
			return -ENOMEM;
	}
	*ret_user = STEAL(user);
	*ret_nick = STEAL(nick);
	return 0;
}
