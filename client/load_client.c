/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load_client.h"

#include <sys/epoll.h>

#include "util.h"

int load_failed(const struct load *load, int error)
{
	if (error == -ECONNRESET || error == -EPIPE) {
		complain("%s: a connection was lost", load->setup->target->name);
		return STATUS_NO_CONNECTION;
	}
	return target_failed(load->setup->target, error);
}

int load_watch(struct load *load, struct load_client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	return epoll_ctl(load->epoll, operation, client->fd, &event) < 0 ? -errno : 0;
}

int load_want_writable(struct load *load, struct load_client *client, bool wanted)
{
	int r = load_watch(load, client, EPOLL_CTL_MOD, EPOLLIN | (wanted ? EPOLLOUT : 0));

	if (r == 0)
		client->writable_wanted = wanted;
	return r;
}
