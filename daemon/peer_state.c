/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer_state.h"

void peer_about(const struct peer *peer, char text[static PEER_NAME_MAX],
		struct log_about *ret_about)
{
	const struct session *session = &peer->session;

	*ret_about = (struct log_about){
		.listener = session->counters->listener,
		.peer = peer_name_format(&peer->name, text),
		.client = peer->id,
		.reason = peer->reason,
	};
	if (session->service->about)
		session->service->about(session, ret_about);
}

void peer_complain(struct peer *peer, enum log_kind kind, const char *reason)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	peer->reason = reason;
	peer_about(peer, text, &about);
	log_folded(kind, &about, "%s, closing", reason);
}

void peer_set_state(struct peer *peer, enum peer_state state)
{
	peer_note_busy(peer); /* before anything of its end is seen */
	peer->state = state;
}

void peer_doom(struct peer *peer, const char *reason)
{
	if (peer->state == PEER_DOOMED)
		return;
	if (!peer->reason)
		peer->reason = reason;
	peer_set_state(peer, PEER_DOOMED);
	list_remove(&peer->link);
	list_append(&peer->peers->doomed, &peer->link);
}

void peer_fail(struct peer *peer, int error)
{
	char text[PEER_NAME_MAX];
	struct log_about about;

	if (error != -ENOMEM) {
		counters_add(peer->session.counters, COUNTER_BROKEN, 1);
		peer_doom(peer, "connection broken");
		return;
	}
	counters_add(peer->session.counters, COUNTER_REFUSED_MEMORY, 1);
	peer_about(peer, text, &about);
	log_folded(LOG_OUT_OF_MEMORY, &about, "out of memory, closing");
	peer_doom(peer, "out of memory");
}

/* Bytes that the peer is owed. */
static size_t owed(const struct peer *peer)
{
	return peer->stream.pending + peer->peers->workspace.answers.len;
}

void peer_send_answers(struct peer *peer, bool eager)
{
	struct answers *answers = &peer->peers->workspace.answers;
	struct iovec parts[ANSWERS_PARTS_MAX];
	size_t before = owed(peer);
	uint64_t sent;
	int r;

	if (before == 0)
		return;
	peer_note_busy(peer);
	r = stream_send(&peer->stream, parts, answers_parts(answers, parts), eager);
	workspace_clear(&peer->peers->workspace);
	if (r < 0) {
		peer_fail(peer, r);
		return;
	}
	sent = before - peer->stream.pending;
	if (sent == 0)
		return;
	peer->bytes_out += sent;
	peer->active = loop_now(peer->peers->loop);
	counters_add(peer->session.counters, COUNTER_BYTES_OUT, sent);
}

void peer_refuse_more(struct peer *peer, const char *reason)
{
	int r = 0;

	if (reason)
		r = answers_say_error(&peer->peers->workspace.answers, peer->session.framing,
				      reason);
	peer_set_state(peer, PEER_FLUSHING);
	if (!peer->finishing) /* else the time of closing runs already */
		peer->since = loop_now(peer->peers->loop);
	if (r < 0)
		peer_fail(peer, r);
}
