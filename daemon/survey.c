/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* Names of listeners and addresses hold nothing that JSON would have to escape. */
static int describe(struct buffer *json, const struct peer *peer)
{
	char name[PEER_NAME_MAX], text[512];
	int len;

	len = snprintf(text, sizeof(text),
		       "{\"client\":%" PRIu64 ",\"listener\":\"%s\",\"peer\":\"%s\","
		       "\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"messages\":%" PRIu64
		       ",\"pending\":%zu},",
		       peer->id, peer->session.counters->listener,
		       peer_name_format(&peer->name, name), peer->bytes_in, peer->bytes_out,
		       peer->messages, peer->stream.pending);
	return buffer_append(json, text, (size_t)len);
}

void survey_peers(struct survey *survey, struct peers *peers)
{
	struct peer *peer;

	if (survey->only_turns)
		return;
	LIST_FOR_EACH(peer, &peers->all, struct peer, link) {
		if (survey->end == 0 && describe(&survey->json, peer) < 0)
			survey->failed = true;
		if (survey->end == peer->id && peer->state == PEER_SERVING) {
			peer_dismiss(peer, "ended by an administrator",
				     survey->reason ? survey->reason : "ended by an administrator",
				     false);
			survey->ended++;
		}
	}
}
