/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service manager calls the service that this process is. */

enum { OWN_SERVICE_MAX = 256 };

/*
 * Writes the service's name without ".service", which is safe to be shown: "retortd", or
 * "retortd@NAME" of an instance. "retortd" is also what this process would be that is no service.
 * Returns text.
 */
const char *own_service(char text[static OWN_SERVICE_MAX]);

/* Writes how retortd-generator(8) calls the socket unit of one of its listeners. Returns text. */
const char *own_socket_unit(const char *listener, char text[static OWN_SERVICE_MAX]);
