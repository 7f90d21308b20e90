/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log_fold.h"

#include <stdio.h>
#include <string.h>

static struct log_fold *beyond(struct log_folds *folds)
{
	return &folds->all[LOG_FOLDS_MAX];
}

static void say(struct log_folds *folds, struct log_fold *fold)
{
	folds->say(fold == beyond(folds) ? LOG_FOLD_KINDS : fold->kind, fold->listener,
		   fold->suppressed);
	fold->suppressed = 0;
}

static bool is_due(const struct log_fold *fold, uint64_t now)
{
	return now - fold->since >= LOG_FOLD_MILLISECONDS;
}

/*
 * Finds the fold of a kind and listener, or makes it: where there is no room for it, in place of
 * one whose second is over and that counts nothing, else it is the one for all that is beyond.
 */
static struct log_fold *find(struct log_folds *folds, int kind, const char *listener, uint64_t now)
{
	struct log_fold *fold = NULL;

	for (size_t i = 0; i < folds->n; i++) {
		struct log_fold *each = &folds->all[i];

		if (each->kind == kind && strcmp(each->listener, listener) == 0)
			return each;
		if (each->suppressed == 0 && is_due(each, now))
			fold = each;
	}
	if (folds->n < LOG_FOLDS_MAX)
		fold = &folds->all[folds->n++];
	if (!fold)
		return beyond(folds);
	*fold = (struct log_fold){.kind = kind};
	(void)snprintf(fold->listener, sizeof(fold->listener), "%s", listener);
	return fold;
}

bool log_folds_admit(struct log_folds *folds, int kind, const char *listener, uint64_t now)
{
	struct log_fold *fold = find(folds, kind, listener, now);

	if (fold->since > 0 && !is_due(fold, now)) {
		fold->suppressed++;
		return false;
	}
	if (fold->suppressed > 0)
		say(folds, fold);
	fold->since = now;
	return true;
}

bool log_folds_say_due(struct log_folds *folds, uint64_t now)
{
	struct log_fold *rest = beyond(folds);
	size_t n = 0;

	for (size_t i = 0; i < folds->n; i++) {
		struct log_fold *fold = &folds->all[i];

		if (is_due(fold, now)) {
			if (fold->suppressed == 0)
				continue; /* quiet again: forgotten */
			say(folds, fold);
			fold->since = now;
		}
		if (n != i)
			folds->all[n] = *fold;
		n++;
	}
	folds->n = n;
	if (rest->suppressed > 0 && is_due(rest, now)) {
		say(folds, rest);
		rest->since = now;
	}
	return n > 0 || rest->suppressed > 0;
}

void log_folds_say_all(struct log_folds *folds)
{
	for (size_t i = 0; i < folds->n; i++)
		if (folds->all[i].suppressed > 0)
			say(folds, &folds->all[i]);
	if (beyond(folds)->suppressed > 0)
		say(folds, beyond(folds));
	*beyond(folds) = (struct log_fold){0};
	folds->n = 0;
}
