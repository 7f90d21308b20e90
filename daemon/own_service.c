/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "own_service.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "util.h"

const char *own_service(char text[static OWN_SERVICE_MAX])
{
	CLEANUP(freep) char *unit = NULL;
	const char *dot;

	(void)strcpy(text, "retortd");
	if (sd_pid_get_unit(0, &unit) < 0)
		return text;
	dot = strrchr(unit, '.');
	if (dot && strcmp(dot, ".service") == 0 && strncmp(unit, "retortd@", 8) == 0)
		(void)snprintf(text, OWN_SERVICE_MAX, "%.*s", (int)(dot - unit), unit);
	return text;
}
