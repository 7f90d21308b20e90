/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

enum {
	REQUESTS_MAX = 16, /* of one administrator that wait for their replies */
	CLIENTS_MAX = 32,  /* of one user, whoever that is, so that nobody locks others out */
};

int control_configure(struct listener_config *ret_control, const char *path,
		      const struct config *config)
{
	struct listener_config control = {.mode = 0666, .n_addresses = 1};
	struct address *address = calloc(1, sizeof(*address));

	control.name = strdup(CONTROL_NAME);
	control.addresses = address;
	if (address) {
		address->transport = TRANSPORT_UNIX;
		address->path = strdup(path);
	}
	control.settings = (struct settings){
		.framing = FRAMING_LENGTH,
		.service = SERVICE_CONTROL,
		.dialect = DIALECT_OBJECT,
		.max_message = config->defaults.max_message,
		.max_pending = config->defaults.max_pending,
		.max_requests = REQUESTS_MAX,
		.max_clients_per_address = CLIENTS_MAX,
		.greeting = strdup(""),
		.timeouts = config->defaults.timeouts,
	};
	if (!control.name || !address || !address->path || !control.settings.greeting) {
		control_done(&control);
		return -ENOMEM;
	}
	*ret_control = control;
	return 0;
}

void control_done(struct listener_config *control)
{
	if (control->addresses)
		address_done(control->addresses);
	free(control->addresses);
	free(control->settings.greeting);
	free(control->name);
	*control = (struct listener_config){0};
}

bool control_is_served(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP(closep) int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return false; /* binding it will say what is wrong */
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}
