/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is at the other end of a connection, in little memory. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "quota.h"

struct peer_name {
	sa_family_t family; /* AF_INET, AF_INET6 or AF_UNIX */
	in_port_t port;	    /* network byte order */
	union {
		struct in6_addr ip; /* an IPv4 address as IPv4-mapped */
		struct {
			pid_t pid;
			uid_t uid;
		} process; /* who called connect(2) on a Unix socket */
	};
};

enum { PEER_NAME_MAX = 80 };

/* Finds out who is connected to fd; address is what accept(2) gave. */
void peer_name_get(int fd, const struct sockaddr_storage *address, struct peer_name *ret_name);

/* Writes the name as the log has it: tcp://ADDRESS:PORT, or unix:pid=… Returns text. */
const char *peer_name_format(const struct peer_name *name, char text[static PEER_NAME_MAX]);

/* What max_clients_per_address counts by: the address, or the user of a Unix socket. */
void peer_name_key(const struct peer_name *name, uint8_t ret_key[static QUOTA_KEY]);
