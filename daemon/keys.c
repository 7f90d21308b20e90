/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keys.h"

#include <string.h>
#include <sys/random.h>

#include "util.h"

enum { SIZE_MIN = 64 };

/*
 * Those of one bucket are chained from the newest to the oldest. So dropping the oldest of all
 * needs no unlinking, as a chain ends where what is held begins, and the newest of all is always
 * the first of its chain.
 */
struct keys_entry {
	uint64_t seq;
	uint64_t older; /* of this bucket, counted from 1; 0: none */
	uint32_t hash;
};

void keys_done(struct keys *keys)
{
	free(keys->entries);
	free(keys->buckets);
	*keys = (struct keys){0};
}

size_t keys_memory(const struct keys *keys)
{
	return keys->size * (sizeof(*keys->entries) + sizeof(*keys->buckets));
}

static struct keys_entry *entry_at(const struct keys *keys, uint64_t n)
{
	return &keys->entries[n & (keys->size - 1)];
}

static uint64_t *bucket_of(const struct keys *keys, uint32_t hash)
{
	return &keys->buckets[hash & (keys->size - 1)];
}

static void push(struct keys *keys, uint32_t hash, uint64_t seq)
{
	uint64_t *bucket = bucket_of(keys, hash);

	*entry_at(keys, keys->next) = (struct keys_entry){seq, *bucket, hash};
	*bucket = ++keys->next;
}

static int draw_secret(uint64_t *ret_secret)
{
	ssize_t n = getrandom(ret_secret, sizeof(*ret_secret), GRND_NONBLOCK);

	return n == sizeof(*ret_secret) ? 0 : -EAGAIN;
}

static int resize(struct keys *keys, size_t size)
{
	struct keys bigger = {.size = size, .secret = keys->secret};

	bigger.entries = malloc(size * sizeof(*bigger.entries));
	bigger.buckets = calloc(size, sizeof(*bigger.buckets));
	if (!bigger.entries || !bigger.buckets) {
		keys_done(&bigger);
		return -ENOMEM;
	}
	for (uint64_t n = keys->first; n < keys->next; n++)
		push(&bigger, entry_at(keys, n)->hash, entry_at(keys, n)->seq);
	keys_done(keys);
	*keys = bigger;
	return 0;
}

int keys_reserve(struct keys *keys)
{
	if (keys->size == 0 && draw_secret(&keys->secret) < 0)
		keys->secret = (uintptr_t)keys; /* as early after booting nothing better is there */
	if (keys->next - keys->first < keys->size)
		return 0;
	return resize(keys, MAX(2 * keys->size, (size_t)SIZE_MIN));
}

/* A multiplication whose halves are folded takes every bit of both factors to every other bit. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_text(uint64_t hash, uint64_t secret, const char *text)
{
	size_t len = strlen(text);
	uint64_t word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		word = 0;
		memcpy(&word, text + at, MIN(len - at, sizeof(word)));
		hash = fold(hash ^ word, secret | 1);
	}
	return fold(hash ^ len, 0x9e3779b97f4a7c15);
}

static uint32_t hash_key(const struct keys *keys, const char *sender, const char *key)
{
	uint64_t hash = hash_text(~keys->secret, keys->secret, sender);

	return (uint32_t)(hash_text(hash, keys->secret, key) >> 32);
}

void keys_add(struct keys *keys, const char *sender, const char *key, uint64_t seq)
{
	while (keys->next > keys->first && entry_at(keys, keys->next - 1)->seq >= seq) {
		const struct keys_entry *newest = entry_at(keys, --keys->next);

		*bucket_of(keys, newest->hash) = newest->older;
	}
	push(keys, hash_key(keys, sender, key), seq);
}

void keys_expire(struct keys *keys, uint64_t upto)
{
	while (keys->first < keys->next && entry_at(keys, keys->first)->seq <= upto)
		keys->first++;
}

struct keys_search keys_search(const struct keys *keys, const char *sender, const char *key)
{
	struct keys_search search = {.hash = 0};

	if (keys->size == 0)
		return search;
	search.hash = hash_key(keys, sender, key);
	search.at = *bucket_of(keys, search.hash);
	return search;
}

int keys_next(const struct keys *keys, struct keys_search *search, uint64_t *ret_seq)
{
	while (search->at > keys->first) {
		const struct keys_entry *entry = entry_at(keys, search->at - 1);

		search->at = entry->older;
		if (entry->hash == search->hash) {
			*ret_seq = entry->seq;
			return 1;
		}
	}
	return 0;
}
