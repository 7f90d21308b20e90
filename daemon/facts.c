/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "facts.h"

#include <search.h>
#include <string.h>

#include "looks.h"
#include "names.h"
#include "util.h"

static void fact_free(void *pointer)
{
	struct fact *fact = pointer;

	free(fact->key);
	free(fact->value);
	free(fact);
}

static int fact_compare(const void *a, const void *b)
{
	const struct fact *one = a, *other = b;

	return one->kind != other->kind ? COMPARE(one->kind, other->kind)
					: strcmp(one->key, other->key);
}

struct fact *facts_find(const struct facts *facts, enum fact_kind kind, const char *key)
{
	struct fact wanted = {.kind = kind, .key = (char *)key};
	struct fact **node = tfind(&wanted, &facts->root, fact_compare);

	return node ? *node : NULL;
}

int facts_put(struct facts *facts, const struct fact *fact)
{
	struct fact *copy = malloc(sizeof(*copy)), **node = NULL;

	if (!copy)
		return -ENOMEM;
	*copy = *fact;
	copy->key = strdup(fact->key);
	copy->value = fact->value ? strdup(fact->value) : NULL;
	if (copy->key && (copy->value || !fact->value))
		node = tsearch(copy, &facts->root, fact_compare);
	if (!node) {
		fact_free(copy);
		return -ENOMEM;
	}
	if (*node == copy) {
		facts->n++;
		return 0;
	}
	fact_free(*node);
	*node = copy; /* which is compared as the other was */
	return 0;
}

int facts_add_user(struct facts *facts, const char *user)
{
	CLEANUP(freep) char *folded = name_fold(user), *nick = NULL;
	CLEANUP(looks_done) struct looks looks = {0};
	struct fact fact = {.value = (char *)user};
	const struct {
		enum fact_kind kind;
		char *const *key;
	} keys[] = {
		{KNOWN_LOOKS, &looks.written},
		{KNOWN_LOOKS, &looks.folded},
		{KNOWN_FOLDED, &folded},
	};
	int r;

	if (!folded)
		return -ENOMEM;
	/* It is there with all of the rest, or not at all: added last. */
	if (facts_find(facts, KNOWN_FOLDED, folded))
		return 0;
	nick = name_from_user(user);
	r = nick ? looks_of(nick, &looks) : -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
		fact.kind = keys[i].kind;
		fact.key = *keys[i].key;
		if (!facts_find(facts, fact.kind, fact.key))
			r = facts_put(facts, &fact);
	}
	return r;
}

void facts_done(struct facts *facts)
{
	tdestroy(facts->root, fact_free);
	*facts = (struct facts){0};
}
