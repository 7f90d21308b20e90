/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What one process leaves for the next, behind a header and a checksum that are right: whatever
 * stands there, it is taken up whole or not at all. What was refused has changed nothing, and its
 * connections are closed. What was taken is served, ends when its clients end, and is written down
 * for a third process as for a second. The first byte says how many connections there are; behind
 * it is the record, as a daemon writes it behind the header of a memory file.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "harness_successor.h"
#include "util.h"

enum { CLIENTS_MAX = 8, CHOICES = 1 };

static const char config[] =
	"workers = 1; max_message = 4096; max_pending = 1048576;"
	"timeouts: { idle = 0; message = 0; drain = \"1h\"; };"
	"listeners: ("
	"{ name = \"length\"; framing = \"length\"; transforms = [ \"upper\" ]; "
	"listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"line\"; framing = \"line\"; transforms = [ \"upper\" ]; "
	"listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"raw\"; framing = \"raw\"; transforms = [ \"upper\" ]; "
	"listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"chat\"; service = \"chat\"; listen = \"tcp://127.0.0.1:0\"; },"
	"{ name = \"talk\"; service = \"chat\"; framing = \"line\"; dialect = \"text\"; "
	"listen = \"tcp://127.0.0.1:0\"; });"
	"chat: { admins = []; max_requests = 8; history: { max_messages = 20; max_age = \"0\"; }; "
	"rooms: ( { name = \"ops\"; topic = \"the topic\"; } ); };";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record record = {.failed = false};
	struct handover_stored stored;
	int ours[CLIENTS_MAX], theirs[CLIENTS_MAX];
	size_t n;

	if (size < CHOICES)
		return 0;
	successor_begin(config);
	n = data[0] % CLIENTS_MAX;
	record.buffer = (struct buffer){(uint8_t *)data + CHOICES, size - CHOICES, size - CHOICES};
	for (size_t i = 0; i < n; i++) {
		int ends[2];

		successor_connect(ends, true);
		ours[i] = ends[0];
		theirs[i] = ends[1];
	}
	require(handover_pack(&record, theirs, n, &stored) == 0);
	for (size_t i = 0; i < n; i++)
		(void)close(theirs[i]);
	(void)successor_inherit(&stored, ours, n);
	return 0;
}
