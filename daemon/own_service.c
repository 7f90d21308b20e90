/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "own_service.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "util.h"

/* The length of an instance's name in that of its unit; 0: it is none. */
static size_t instance_length(const char *unit)
{
	const char *suffix = strrchr(unit, '.');

	return strncmp(unit, "retortd@", 8) == 0 && suffix && strcmp(suffix, ".service") == 0
		       ? (size_t)(suffix - unit)
		       : 0;
}

const char *own_service(char text[static OWN_SERVICE_MAX])
{
	CLEANUP(freep) char *unit = NULL;
	size_t len = sd_pid_get_unit(0, &unit) >= 0 ? instance_length(unit) : 0;

	if (len > 0)
		(void)snprintf(text, OWN_SERVICE_MAX, "%.*s", (int)len, unit);
	else
		(void)snprintf(text, OWN_SERVICE_MAX, "retortd");
	return text;
}

const char *own_socket_unit(const char *listener, char text[static OWN_SERVICE_MAX])
{
	char service[OWN_SERVICE_MAX];
	const char *at = strchr(own_service(service), '@');

	(void)snprintf(text, OWN_SERVICE_MAX, "retortd-%.100s%.100s.socket", listener, at ?: "");
	return text;
}
