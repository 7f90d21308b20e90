/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer_name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void peer_name_get(int fd, const struct sockaddr_storage *address, struct peer_name *ret_name)
{
	struct peer_name name = {.family = address->ss_family};
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	struct ucred credentials;
	socklen_t len = sizeof(credentials);

	switch (name.family) {
	case AF_INET:
		name.ip.s6_addr[10] = name.ip.s6_addr[11] = 0xff;
		memcpy(&name.ip.s6_addr[12], &v4->sin_addr, sizeof(v4->sin_addr));
		name.port = v4->sin_port;
		break;
	case AF_INET6:
		name.ip = v6->sin6_addr;
		name.port = v6->sin6_port;
		break;
	default:
		name.family = AF_UNIX;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) == 0) {
			name.process.pid = credentials.pid;
			name.process.uid = credentials.uid;
		}
		break;
	}
	*ret_name = name;
}

const char *peer_name_format(const struct peer_name *name, char text[static PEER_NAME_MAX])
{
	char ip[INET6_ADDRSTRLEN];
	unsigned port = ntohs(name->port);

	if (name->family == AF_UNIX) {
		(void)snprintf(text, PEER_NAME_MAX, "unix:pid=%i", name->process.pid);
	} else if (IN6_IS_ADDR_V4MAPPED(&name->ip)) {
		(void)inet_ntop(AF_INET, &name->ip.s6_addr[12], ip, sizeof(ip));
		(void)snprintf(text, PEER_NAME_MAX, "tcp://%s:%u", ip, port);
	} else {
		(void)inet_ntop(AF_INET6, &name->ip, ip, sizeof(ip));
		(void)snprintf(text, PEER_NAME_MAX, "tcp://[%s]:%u", ip, port);
	}
	return text;
}

void peer_name_key(const struct peer_name *name, uint8_t ret_key[static QUOTA_KEY])
{
	memset(ret_key, 0, QUOTA_KEY);
	if (name->family == AF_UNIX)
		memcpy(ret_key, &name->process.uid, sizeof(name->process.uid));
	else
		memcpy(ret_key, &name->ip, sizeof(name->ip));
}
