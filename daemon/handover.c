/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "util.h"

enum {
	VERSION = 2,	       /* of the record, all that is in it included */
	PAIRS_MAX = 128,       /* socket pairs, each with room for some thousands */
	CLIENTS_MAX = 1 << 24, /* more than any process can have open */
	FORGET_TRIES = 1000,   /* a millisecond each */
	FDNAME_MAX = 128,      /* a listener's name is much shorter */
};

#define MAGIC	     UINT64_C(0x726f747265746f72) /* "rotretor", in either order of bytes */
#define BARRIER_USEC (UINT64_C(10) * 1000 * 1000)
#define FORGET_USEC  (UINT64_C(1000) * 1000)

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* What the record begins with. */
struct header {
	uint64_t magic, version;
	uint64_t length;   /* of what follows */
	uint64_t checksum; /* of what follows */
	uint64_t n_clients;
	uint64_t handover; /* a random number, which every message of the pairs bears */
};

/* What comes with a message of descriptors. */
struct batch {
	uint64_t handover;
	uint64_t first; /* the place of its first descriptor */
};

/* Tells bytes from damaged ones, not from forged ones: nobody but the manager has had them. */
static uint64_t checksum_of(struct bytes bytes)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325), word;

	for (; bytes.len >= sizeof(word); bytes.data += sizeof(word), bytes.len -= sizeof(word)) {
		memcpy(&word, bytes.data, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	for (size_t i = 0; i < bytes.len; i++)
		sum = (sum ^ bytes.data[i]) * UINT64_C(0x100000001b3);
	return sum;
}

unsigned long handover_room(void)
{
	const char *room = getenv("FDSTORE"), *notify = getenv("NOTIFY_SOCKET");
	char *end;
	unsigned long n;

	if (!room || !notify)
		return 0;
	n = strtoul(room, &end, 10);
	return *end ? 0 : n;
}

/*
 * Giving
 */

static int write_all(int fd, struct bytes bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes.data += MAX(n, 0);
		bytes.len -= (size_t)MAX(n, 0);
	}
	return 0;
}

/* Returns a sealed memory file of the record, or a negative errno. */
static int make_state(const struct record *state, size_t n_clients, uint64_t handover)
{
	const struct bytes body = {state->buffer.data, state->buffer.len};
	struct header header = {.magic = MAGIC,
				.version = VERSION,
				.length = body.len,
				.checksum = checksum_of(body),
				.n_clients = n_clients,
				.handover = handover};
	int fd = memfd_create(HANDOVER_STATE, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, (struct bytes){(uint8_t *)&header, sizeof(header)});
	if (r == 0)
		r = write_all(fd, body);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	if (r < 0)
		closep(&fd);
	return r < 0 ? r : fd;
}

int handover_send(int pair, const int *fds, size_t n, const void *labels, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
	} control = {.space = {0}}; /* with the padding behind an odd number */
	struct iovec part = {(void *)labels, size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	*rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
				   .cmsg_type = SCM_RIGHTS,
				   .cmsg_len = CMSG_LEN(n * sizeof(int))};
	memcpy(CMSG_DATA(rights), fds, n * sizeof(int));
	return sendmsg(pair, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Fills one more pair with descriptors, from *first on. Returns 0 or a negative errno. */
static int fill_pair(struct handover_stored *stored, const int *fds, size_t n, uint64_t handover,
		     size_t *first)
{
	CLEANUP(closep) int ours = -1;
	size_t before = *first;
	int both[2];

	if (stored->n_clients == PAIRS_MAX)
		return -ENOSPC;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) < 0)
		return -errno;
	ours = both[0];
	stored->clients[stored->n_clients++] = both[1];
	while (*first < n) {
		size_t some = MIN(n - *first, (size_t)HANDOVER_FDS_MAX);
		struct batch batch = {handover, *first};
		int r = handover_send(ours, fds + *first, some, &batch, sizeof(batch));

		if (r == -EAGAIN && *first > before)
			return 0; /* it is full */
		if (r < 0)
			return r;
		*first += some;
	}
	return 0;
}

int handover_pack(const struct record *state, const int *clients, size_t n_clients,
		  struct handover_stored *ret_stored)
{
	struct handover_stored stored = {.state = -1, .ledger = -1};
	uint64_t handover = 0;
	size_t done = 0;
	int r = 0;

	if (state->failed)
		return -ENOMEM;
	stored.clients = calloc(PAIRS_MAX, sizeof(*stored.clients));
	if (!stored.clients)
		return -ENOMEM;
	/* Should it be 0, no stale pair is told from a new one, and else all is well. */
	(void)!getrandom(&handover, sizeof(handover), GRND_NONBLOCK);
	while (done < n_clients && r == 0)
		r = fill_pair(&stored, clients, n_clients, handover, &done);
	if (r == 0)
		r = stored.state = make_state(state, n_clients, handover);
	if (r < 0) {
		handover_stored_done(&stored);
		return r;
	}
	*ret_stored = stored;
	return 0;
}

int handover_store(const char *name, const int *fds, size_t n)
{
	char text[256];
	int r;

	/* It would drop a socket that hangs up, and these do as soon as this process ends. */
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	r = sd_pid_notify_with_fds(0, false, text, fds, (unsigned)n);
	return MIN(r, 0);
}

/* Each has a name of its own, by which it can be dropped alone. */
static int store_socket(const struct handover_socket *socket, size_t number)
{
	char name[FDNAME_MAX];

	(void)snprintf(name, sizeof(name), HANDOVER_SOCKET "%zu-%s", number, socket->listener);
	return handover_store(name, &socket->fd, 1);
}

static int store_all(const struct handover_stored *stored, const struct handover_socket *sockets,
		     size_t n_sockets)
{
	int r = handover_store(HANDOVER_STATE, &stored->state, 1);

	if (r == 0 && stored->n_clients > 0)
		r = handover_store(HANDOVER_CLIENTS, stored->clients, stored->n_clients);
	for (size_t i = 0; i < n_sockets && r == 0; i++)
		r = store_socket(&sockets[i], i);
	if (r == 0)
		r = sd_notify_barrier(false, BARRIER_USEC);
	return MIN(r, 0);
}

int handover_give(const struct record *state, const int *clients, size_t n_clients,
		  const struct handover_socket *sockets, size_t n_sockets)
{
	struct handover_stored stored;
	int r = handover_pack(state, clients, n_clients, &stored);

	if (r < 0)
		return r;
	if (1 + stored.n_clients + n_sockets > handover_room())
		r = -ENOSPC;
	else
		r = store_all(&stored, sockets, n_sockets);
	handover_stored_done(&stored);
	return r;
}

/*
 * Taking
 */

/* Keeps the descriptors of a message, or closes them. Returns 0 or -EBADMSG. */
static int keep_fds(struct handover *handover, const int *fds, size_t n, bool wanted,
		    uint64_t first)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t place = first + i;

		if (wanted && place < handover->n_clients && handover->clients[place] < 0) {
			handover->clients[place] = fds[i];
			continue;
		}
		(void)close(fds[i]);
		if (wanted)
			r = -EBADMSG;
	}
	return r;
}

int handover_receive(int pair, struct handover_message *ret_message, void *labels, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {labels, size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *rights;
	ssize_t n = recvmsg(pair, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n <= 0)
		return n == 0 || errno == EAGAIN ? 0 : -errno;
	*ret_message = (struct handover_message){
		.len = message.msg_flags & MSG_TRUNC ? 0 : (size_t)n,
		.cut = message.msg_flags & MSG_CTRUNC,
	};
	rights = CMSG_FIRSTHDR(&message);
	if (!rights || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
		return 1;
	ret_message->n = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(ret_message->fds, CMSG_DATA(rights), ret_message->n * sizeof(int));
	return 1;
}

/* Takes one message out of a pair. Returns 1; 0 when there is none; or a negative errno. */
static int receive_batch(struct handover *handover, int pair, uint64_t number, uint64_t *ret_n)
{
	struct handover_message message = {.n = 0};
	struct batch batch = {0};
	int r = handover_receive(pair, &message, &batch, sizeof(batch));

	if (r <= 0)
		return r;
	*ret_n += message.n;
	r = keep_fds(handover, message.fds, message.n,
		     message.len == sizeof(batch) && batch.handover == number, batch.first);
	if (message.cut)
		return -EMFILE;
	return r < 0 ? r : 1;
}

/* Takes all connections out of the pairs. Returns 0 or a negative errno, after the last one. */
static int receive_all(struct handover *handover, const struct handover_stored *stored,
		       uint64_t number, uint64_t *ret_n)
{
	int status = 0;

	for (size_t i = 0; i < stored->n_clients; i++) {
		int r;

		while ((r = receive_batch(handover, stored->clients[i], number, ret_n)) != 0) {
			if (r < 0)
				status = r;
			if (r < 0 && r != -EBADMSG && r != -EMFILE)
				break;
		}
	}
	for (size_t i = 0; i < handover->n_clients && status == 0; i++)
		if (handover->clients[i] < 0)
			status = -ENODATA;
	return status;
}

/* Maps the record. Returns 0 or a negative errno, with why in problem. */
static int map_state(int fd, struct handover *handover, struct header *ret_header,
		     char problem[static HANDOVER_PROBLEM_MAX])
{
	struct header header;
	struct stat status;
	uint8_t *bytes;

	if (fstat(fd, &status) < 0)
		return -errno;
	(void)snprintf(problem, HANDOVER_PROBLEM_MAX, "its record is no such record");
	if (!S_ISREG(status.st_mode) || (size_t)status.st_size < sizeof(header))
		return -EBADMSG;
	/* Whoever could still change or cut it, could do so while it is read. */
	if ((fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		return -EBADMSG;
	handover->size = (size_t)status.st_size;
	handover->mapping = mmap(NULL, handover->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (handover->mapping == MAP_FAILED) {
		handover->mapping = NULL;
		return -errno;
	}
	bytes = handover->mapping;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != MAGIC)
		return -EBADMSG;
	if (header.version != VERSION) {
		(void)snprintf(problem, HANDOVER_PROBLEM_MAX,
			       "its record is of version %" PRIu64
			       ", and this one reads version %d",
			       header.version, VERSION);
		return -EPROTO;
	}
	handover->state.rest = (struct bytes){bytes + sizeof(header), header.length};
	(void)snprintf(problem, HANDOVER_PROBLEM_MAX, "its record is damaged");
	if (header.length != handover->size - sizeof(header) || header.n_clients > CLIENTS_MAX ||
	    checksum_of(handover->state.rest) != header.checksum)
		return -EBADMSG;
	*ret_header = header;
	return 0;
}

static int unpack(struct handover_stored *stored, struct handover *handover, uint64_t *ret_n,
		  char problem[static HANDOVER_PROBLEM_MAX])
{
	struct header header = {0};
	int r, state = -ENODATA;

	(void)snprintf(problem, HANDOVER_PROBLEM_MAX, "there is no record of it");
	if (stored->doubled)
		(void)snprintf(problem, HANDOVER_PROBLEM_MAX, "there is more than one record");
	else if (stored->state >= 0)
		state = map_state(stored->state, handover, &header, problem);
	if (state == 0) {
		handover->clients = malloc(header.n_clients * sizeof(int) + 1);
		if (!handover->clients)
			return -ENOMEM;
		handover->n_clients = header.n_clients;
		for (size_t i = 0; i < handover->n_clients; i++)
			handover->clients[i] = -1;
	}
	/* Without a record they are all closed as they come. */
	r = receive_all(handover, stored, header.handover, ret_n);
	if (state < 0)
		return state;
	if (r < 0)
		(void)snprintf(problem, HANDOVER_PROBLEM_MAX,
			       "its connections do not fit its record: %s", strerror(-r));
	return r;
}

void handover_stored_done(struct handover_stored *stored)
{
	closep(&stored->state);
	closep(&stored->ledger);
	for (size_t i = 0; i < stored->n_clients; i++)
		(void)close(stored->clients[i]);
	for (size_t i = 0; i < stored->n_safe; i++) {
		(void)close(stored->safe[i].fd);
		free(stored->safe[i].name);
	}
	free(stored->clients);
	free(stored->safe);
	*stored = (struct handover_stored){.state = -1, .ledger = -1};
}

int handover_take(struct handover_stored *stored, struct handover *ret_handover,
		  char problem[static HANDOVER_PROBLEM_MAX])
{
	struct handover handover = {.size = 0};
	uint64_t n = 0;
	int r = -ENOENT;

	if (stored->state >= 0 || stored->n_clients > 0)
		r = unpack(stored, &handover, &n, problem);
	closep(&stored->state);
	stored->state = -1;
	for (size_t i = 0; i < stored->n_clients; i++)
		(void)close(stored->clients[i]);
	free(STEAL(stored->clients));
	stored->n_clients = 0;
	if (r < 0) {
		handover_done(&handover);
		handover.n_lost = n;
	}
	*ret_handover = handover;
	return r;
}

void handover_done(struct handover *handover)
{
	/* Of what could not be taken, there is only the number. */
	for (size_t i = 0; handover->clients && i < handover->n_clients; i++)
		closep(&handover->clients[i]);
	free(handover->clients);
	if (handover->mapping)
		(void)munmap(handover->mapping, handover->size);
	*handover = (struct handover){0};
}

void handover_forget(const char *name)
{
	(void)sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void handover_await_forgotten(void)
{
	/* To ask for a sign takes a descriptor on the way as well, so that is refused as long as
	   there are too many of them. */
	for (unsigned i = 0; i < FORGET_TRIES; i++) {
		if (sd_notify_barrier(false, FORGET_USEC) != -ETOOMANYREFS)
			return;
		(void)poll(NULL, 0, 1);
	}
}
