/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota.h"

#include <search.h>
#include <string.h>

#include "util.h"

struct count {
	uint8_t key[QUOTA_KEY];
	uint64_t n;
};

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct count *)a)->key, ((const struct count *)b)->key, QUOTA_KEY);
}

/* A balanced tree and no hash: peers choose their addresses, and none makes this slow. */
static struct count *find(struct quota *quota, const uint8_t key[static QUOTA_KEY])
{
	struct count wanted;
	struct count **node;

	memcpy(wanted.key, key, QUOTA_KEY);
	node = tfind(&wanted, &quota->root, compare);
	return node ? *node : NULL;
}

int quota_take(struct quota *quota, const uint8_t key[static QUOTA_KEY], uint64_t limit)
{
	struct count *count = find(quota, key);

	if (count) {
		if (limit > 0 && count->n >= limit)
			return QUOTA_EXHAUSTED;
		count->n++;
		return 0;
	}
	count = malloc(sizeof(*count));
	if (!count)
		return -ENOMEM;
	memcpy(count->key, key, QUOTA_KEY);
	count->n = 1;
	if (!tsearch(count, &quota->root, compare)) {
		free(count);
		return -ENOMEM;
	}
	return 0;
}

void quota_give(struct quota *quota, const uint8_t key[static QUOTA_KEY])
{
	struct count *count = find(quota, key);

	if (!count || --count->n > 0)
		return;
	(void)tdelete(count, &quota->root, compare);
	free(count);
}

void quota_done(struct quota *quota)
{
	tdestroy(quota->root, free);
	quota->root = NULL;
}
