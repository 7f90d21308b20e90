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

int load_wrong(const struct load *load, const char *what)
{
	complain("%s: %s", load->setup->target->name, what);
	return STATUS_PROTOCOL;
}

int load_refused(const void *reason, size_t len)
{
	complain_text("the server says: ", reason, len);
	return STATUS_REFUSED;
}

void load_book_sent(struct load *load, struct load_client *client, uint32_t n, uint64_t now)
{
	struct load_run_of_messages *run;

	run = &client->runs[(client->first_run + client->n_runs++) %
			    load->setup->workload.in_flight];
	*run = (struct load_run_of_messages){now, n};
	client->in_flight += n;
	load->in_flight += n;
}

void load_book_answers(struct load *load, struct load_client *client, uint64_t n, uint64_t now)
{
	client->in_flight -= (uint32_t)n;
	load->in_flight -= n;
	while (n > 0) {
		struct load_run_of_messages *run = &client->runs[client->first_run];
		const uint32_t here = (uint32_t)MIN(n, (uint64_t)run->n);

		load_count(load, now, run->sent_at, here);
		run->n -= here;
		n -= here;
		if (run->n > 0)
			break;
		client->n_runs--;
		if (++client->first_run == load->setup->workload.in_flight)
			client->first_run = 0;
	}
}
