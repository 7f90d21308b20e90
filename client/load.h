/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A closed-loop load generator: clients that each keep a number of messages on their way and send
 * the next as soon as an answer is there. One thread with one epoll serves them all; for each
 * readiness it makes one call to receive and one to send, whatever the number of messages.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "histogram.h"
#include "target.h"
#include "workload.h"

struct load_setup {
	const struct common *common; /* its timeout is of connecting and of each answer */
	const struct target *target;
	struct workload_setup workload;
	size_t n_clients;
	uint64_t warmup_ms; /* runs like the rest, but counts for nothing */
	uint64_t duration_ms;
};

struct load_result {
	uint64_t messages; /* answers that came within the measured time */
	uint64_t bytes;	   /* of their payload */
	uint64_t lost;	   /* datagrams given up on */
	uint64_t late;	   /* datagrams that came after that, or twice */
	uint64_t connect_ns;
	uint64_t elapsed_ns; /* of the measured time, as are the next two */
	uint64_t user_ns;
	uint64_t system_ns;
	struct histogram latency; /* in ns */
};

/*
 * Runs the load. *ret_result is zero-initialised by the caller and large. Complains and returns the
 * status to exit with, or STATUS_GO_ON.
 */
int load_run(const struct load_setup *setup, struct load_result *ret_result);
