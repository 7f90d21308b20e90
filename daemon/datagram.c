/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "datagram.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "log.h"
#include "session_transform.h"
#include "util.h"

enum {
	BATCH = 32,	      /* datagrams a turn */
	DATAGRAM_MAX = 65535, /* bytes: more than any datagram has */
	CONTROL_MAX = CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

/* Memory for the datagrams of one turn: each is answered from where it was received. */
struct datagram_batch {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage senders[BATCH];
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL_MAX];
	uint8_t data[BATCH][DATAGRAM_MAX];
};

static in_port_t port_of(const struct sockaddr_storage *address)
{
	return ntohs(address->ss_family == AF_INET
			     ? ((const struct sockaddr_in *)address)->sin_port
			     : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static void drop(struct datagram *datagram, const struct msghdr *message, enum counter counter)
{
	struct endpoint sender = {.transport = TRANSPORT_UDP, .len = message->msg_namelen};
	char text[ADDRESS_TEXT_MAX];
	struct log_about about = {
		.listener = datagram->session.counters->listener,
		.peer = text,
		.reason = counter_name(counter),
	};

	memcpy(&sender.socket, message->msg_name, message->msg_namelen);
	(void)endpoint_format(&sender, text);
	counters_add(datagram->session.counters, counter, 1);
	log_folded(LOG_NOT_ANSWERED, &about, "not answered: %s", about.reason);
}

/* Readies the batch to receive. */
static void prepare(struct datagram_batch *batch)
{
	for (unsigned i = 0; i < BATCH; i++) {
		batch->parts[i] = (struct iovec){batch->data[i], DATAGRAM_MAX};
		batch->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &batch->senders[i],
			.msg_namelen = sizeof(batch->senders[i]),
			.msg_iov = &batch->parts[i],
			.msg_iovlen = 1,
			.msg_control = batch->control[i],
			.msg_controllen = CONTROL_MAX,
		};
	}
}

/*
 * Has the answer leave by the address that was asked, but by whichever interface leads to the
 * sender: only a link-local address means nothing without its own.
 */
static void unpin(struct msghdr *header)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(header);

	if (!control)
		return;
	if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
		((struct in_pktinfo *)CMSG_DATA(control))->ipi_ifindex = 0;
	} else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(control);

		if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
			info->ipi6_ifindex = 0;
	}
}

/* Turns a received datagram into its answer, in place. Returns false when there is to be none. */
static bool answer(struct datagram *datagram, struct mmsghdr *message)
{
	struct session *session = &datagram->session;
	struct msghdr *header = &message->msg_hdr;
	struct iovec *part = header->msg_iov;
	struct bytes body = {part->iov_base, message->msg_len};

	if (message->msg_len > session->settings->max_message) {
		drop(datagram, header, COUNTER_UDP_TOO_LONG);
		return false;
	}
	if (ports_is_reflector(datagram->ports, port_of(header->msg_name))) {
		drop(datagram, header, COUNTER_UDP_REFLECTOR);
		return false;
	}
	if (session_transform_answer(session, datagram->datagrams->workspace, &body) < 0) {
		drop(datagram, header, COUNTER_REFUSED_MEMORY);
		return false;
	}
	if (body.len > message->msg_len) {
		drop(datagram, header, COUNTER_UDP_AMPLIFYING);
		return false;
	}
	if (body.data != part->iov_base && body.len > 0)
		memcpy(part->iov_base, body.data, body.len);
	part->iov_len = body.len;
	header->msg_flags = 0;
	unpin(header);
	/* The packet information that came with the request, if any, goes back with the answer, so
	   that it leaves from the address that was asked. */
	if (header->msg_controllen == 0)
		header->msg_control = NULL;
	return true;
}

/* Sends n answers; one that cannot be sent is counted, and those behind it are tried. */
static void send_all(struct datagram *datagram, struct mmsghdr *messages, unsigned n)
{
	struct counters *counters = datagram->session.counters;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n;) {
		int sent = sendmmsg(datagram->fd, messages + i, n - i, MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		for (int j = 0; j < sent; j++)
			bytes += messages[i + (unsigned)j].msg_len;
		if (sent > 0) {
			i += (unsigned)sent;
		} else {
			counters_add(counters, COUNTER_UDP_UNSENT, 1);
			i++;
		}
	}
	counters_add(counters, COUNTER_BYTES_OUT, bytes);
}

static void ready(struct watch *watch, uint32_t events)
{
	struct datagram *datagram = CONTAINER_OF(watch, struct datagram, watch);
	struct datagram_batch *batch = datagram->datagrams->batch;
	struct counters *counters = datagram->session.counters;
	unsigned n_answers = 0;
	uint64_t bytes = 0;
	int n;

	(void)events; /* an error waits to be fetched by receiving, like a datagram */
	prepare(batch);
	n = recvmmsg(datagram->fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return; /* nothing there, or word of an answer that did not arrive */

	for (int i = 0; i < n; i++) {
		bytes += batch->messages[i].msg_len;
		if (answer(datagram, &batch->messages[i]))
			batch->messages[n_answers++] = batch->messages[i];
	}
	counters_add(counters, COUNTER_BYTES_IN, bytes);
	counters_add(counters, COUNTER_MESSAGES, (uint64_t)n);
	send_all(datagram, batch->messages, n_answers);
	workspace_clear(datagram->datagrams->workspace);
}

int datagrams_init(struct datagrams *datagrams, struct loop *loop, struct workspace *workspace)
{
	/* Most of it is never touched, and costs nothing, in a thread without such sockets. */
	struct datagram_batch *batch = malloc(sizeof(*batch));

	if (!batch)
		return -ENOMEM;
	*datagrams = (struct datagrams){.loop = loop, .workspace = workspace, .batch = batch};
	list_init(&datagrams->all);
	return 0;
}

int datagram_start(struct datagram *datagram, struct datagrams *datagrams)
{
	datagram->watch.ready = ready;
	datagram->datagrams = datagrams;
	list_append(&datagrams->all, &datagram->link);
	return loop_add(datagrams->loop, datagram->fd, LOOP_IN, &datagram->watch);
}

void datagram_stop(struct datagram *datagram)
{
	loop_remove(datagram->datagrams->loop, datagram->fd);
	list_remove(&datagram->link);
}

void datagrams_done(struct datagrams *datagrams)
{
	free(datagrams->batch);
	datagrams->batch = NULL;
}
