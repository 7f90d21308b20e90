/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The hub: one thread that owns rooms, who is in them, and their logs. Workers ask it by letters,
 * and it answers by letters; see chat_mail.h. All that waits in its mailbox it does in one go: what
 * was said is committed to the store together, and then acknowledged and delivered.
 */

#include "chat_mail.h"
#include "config.h"
#include "crew.h"
#include "record.h"
#include "store.h"

struct hub;

/* Returns 0 with a hub that does not run yet, or a negative errno. */
int hub_new(struct hub **ret_hub);

/* Where letters to the hub go. */
struct mailbox *hub_mailbox(struct hub *hub);

/*
 * Starts it. config outlives it or the next hub_update(); store, which may be NULL, is the hub's
 * from now on; crew and manager outlive it; past is used up by this call, and NULL when there is
 * none. Returns 0 or a negative errno.
 */
int hub_start(struct hub *hub, const struct config *config, struct store *store, struct crew *crew,
	      struct mailbox *manager, const struct hub_past *past);

/*
 * Has it write down all that it knows, for the next process, when every worker is suspended, and
 * forget it: it tells the workers LETTER_LET_GO, and the main thread LETTER_HUB_KEPT. It still
 * deals with what is under way for connections that are over; nothing new may be asked of it.
 */
void hub_hand_over(struct hub *hub);

/* What it has written down, until hub_free(). */
const struct record *hub_record(const struct hub *hub);

/*
 * Has it go by another configuration, and by a store if it has none yet (else NULL): it answers
 * with LETTER_UPDATED. Not again before that.
 */
void hub_update(struct hub *hub, const struct config *config, struct store *store);

/* Has it say that it turns: it answers with LETTER_ECHOED. Not again before that. */
void hub_ask_echo(struct hub *hub);

/*
 * Has connections that are gone wait no more for the name service, since the daemon stops. It may
 * be said again, by the same thread. NULL is nothing.
 */
void hub_hurry(struct hub *hub);

/* Gives an errand back that the main thread has done. */
void errand_done(struct hub *hub, struct errand *errand);

const struct hub_figures *hub_figures(const struct hub *hub);

/* Ends it, once no worker runs any more, closes the store and frees it. NULL is nothing. */
void hub_free(struct hub *hub);
