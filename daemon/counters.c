/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "counters.h"

static const char *const names[COUNTER_COUNT] = {
	[COUNTER_MESSAGES] = "messages",
	[COUNTER_BYTES_IN] = "bytes in",
	[COUNTER_BYTES_OUT] = "bytes out",
	[COUNTER_ACCEPTED] = "clients accepted",
	[COUNTER_GONE] = "clients gone",
	[COUNTER_REFUSED_CLIENTS] = "refused by max_clients",
	[COUNTER_REFUSED_ADDRESS] = "refused by max_clients_per_address",
	[COUNTER_REFUSED_MEMORY] = "refused for want of memory",
	[COUNTER_MALFORMED] = "bad frame headers",
	[COUNTER_TOO_LONG] = "messages longer than max_message",
	[COUNTER_ERROR_FRAME] = "error frames from clients",
	[COUNTER_CUT_SHORT] = "messages cut short",
	[COUNTER_TIMED_OUT] = "messages timed out",
	[COUNTER_IDLE] = "closed for idleness",
	[COUNTER_UNDRAINED] = "closed before they had read everything",
	[COUNTER_BROKEN] = "broken connections",
	[COUNTER_BAD_JSON] = "messages that were not JSON",
	[COUNTER_UDP_TOO_LONG] = "datagrams longer than max_message",
	[COUNTER_UDP_AMPLIFYING] = "datagrams whose answer would be longer",
	[COUNTER_UDP_REFLECTOR] = "datagrams from a reflector's port",
	[COUNTER_UDP_UNSENT] = "answers to datagrams that could not be sent",
};

static const char *const tokens[COUNTER_COUNT] = {
	[COUNTER_MESSAGES] = "messages",
	[COUNTER_BYTES_IN] = "bytes_in",
	[COUNTER_BYTES_OUT] = "bytes_out",
	[COUNTER_ACCEPTED] = "accepted",
	[COUNTER_GONE] = "gone",
	[COUNTER_REFUSED_CLIENTS] = "max_clients",
	[COUNTER_REFUSED_ADDRESS] = "max_clients_per_address",
	[COUNTER_REFUSED_MEMORY] = "out_of_memory",
	[COUNTER_MALFORMED] = "bad_header",
	[COUNTER_TOO_LONG] = "too_long",
	[COUNTER_ERROR_FRAME] = "error_frame",
	[COUNTER_CUT_SHORT] = "cut_short",
	[COUNTER_TIMED_OUT] = "timed_out",
	[COUNTER_IDLE] = "idle",
	[COUNTER_UNDRAINED] = "not_drained",
	[COUNTER_BROKEN] = "broken",
	[COUNTER_BAD_JSON] = "bad_json",
	[COUNTER_UDP_TOO_LONG] = "udp_too_long",
	[COUNTER_UDP_AMPLIFYING] = "udp_amplifying",
	[COUNTER_UDP_REFLECTOR] = "udp_reflector",
	[COUNTER_UDP_UNSENT] = "udp_not_sent",
};

const char *counter_name(enum counter counter)
{
	return names[counter];
}

const char *counter_token(enum counter counter)
{
	return tokens[counter];
}

static void add_all(uint64_t *sums, const _Atomic uint64_t *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sums[i] += atomic_load_explicit(&values[i], memory_order_relaxed);
}

void totals_add(struct totals *totals, const struct counters *counters, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		add_all(totals->values, counters[i].values, COUNTER_COUNT);
		add_all(totals->refusals, counters[i].refusals, CHAT_ERRORS);
	}
}
