/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crew.h"

#include "util.h"

int crew_start(struct crew *crew, unsigned n, struct mailbox *manager, struct mailbox *hub,
	       struct ledger *ledger)
{
	crew->members = calloc(n, sizeof(*crew->members));
	if (!crew->members)
		return -ENOMEM;
	for (crew->n = 0; crew->n < n; crew->n++) {
		int r = worker_start(manager, hub, ledger, &crew->members[crew->n].worker);

		if (r < 0) {
			crew_order(crew, LETTER_QUIT);
			crew_join(crew);
			crew_done(crew);
			return r;
		}
	}
	return 0;
}

unsigned crew_choose(struct crew *crew)
{
	unsigned best = crew->next;

	/* Starting behind the last one chosen, equals take turns. */
	for (unsigned i = 1; i < crew->n; i++) {
		unsigned candidate = (crew->next + i) % crew->n;

		if (crew->members[candidate].load < crew->members[best].load)
			best = candidate;
	}
	crew->next = (best + 1) % crew->n;
	crew->members[best].load++;
	return best;
}

void crew_gather(struct crew *crew, unsigned worker, struct letter *letter, enum letter_kind kind)
{
	letter->kind = (uint16_t)kind;
	letters_add(&crew->members[worker].gathered, letter);
}

void crew_post_gathered(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n; i++)
		mailbox_post_all(worker_mailbox(crew->members[i].worker),
				 &crew->members[i].gathered);
}

void crew_post(struct crew *crew, unsigned worker, struct letter *letter, enum letter_kind kind)
{
	worker_post(crew->members[worker].worker, letter, kind);
}

void crew_gave_back(struct crew *crew, unsigned worker)
{
	crew->members[worker].load--;
}

void crew_order(struct crew *crew, enum letter_kind kind)
{
	for (unsigned i = 0; i < crew->n; i++)
		worker_order(crew->members[i].worker, kind);
}

void crew_join(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n; i++)
		worker_join(crew->members[i].worker);
}

void crew_done(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n; i++)
		worker_free(crew->members[i].worker);
	free(crew->members);
	*crew = (struct crew){0};
}
