/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sanctions.h"

/*
 * All sanctions are on one list, in the order in which they were made, and each in the tree of its
 * kind and of what it is about. Networks of one address differ in their length: an address is
 * looked for once for each length that is in use.
 *
 * Memory and store have the same: what the store refuses is not done. What is over is left out
 * wherever it is met, and cleared away when something is written anyway.
 */

#include <arpa/inet.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "list.h"
#include "names.h"
#include "util.h"

enum {
	KINDS = SANCTION_MUTE + 1,
	WHATS = SANCTION_ADDRESS + 1,
	BITS_MAX = 128,
	IPV4_AT = 96, /* bits before an IPv4 address that is mapped into IPv6 */
};

/* As they are in the store. */
static const char *const kind_names[KINDS] = {"ban", "mute"};
static const char *const what_names[WHATS] = {"user", "nick", "address"};

struct network {
	struct in6_addr ip; /* whose bits from the given one on are 0 */
	unsigned bits;
};

struct node {
	struct list link;
	struct sanction sanction;
	struct network network; /* of SANCTION_ADDRESS */
};

struct sanctions {
	struct store *store; /* borrowed; NULL: none */
	struct list nodes;   /* owned */
	void *trees[KINDS][WHATS];
	size_t n[KINDS];
	size_t n_bits[KINDS][BITS_MAX + 1]; /* networks of each length */
	uint64_t now;			    /* as last heard of */
};

/* ---- networks ---- */

static void network_cut(struct network *network, unsigned bits)
{
	uint8_t *bytes = network->ip.s6_addr;

	network->bits = bits;
	for (unsigned i = 0; i < sizeof(network->ip); i++, bits -= MIN(bits, 8U))
		bytes[i] &= (uint8_t)(0xff00 >> MIN(bits, 8U));
}

/* Parses ADDRESS or ADDRESS/BITS. Returns 0 or -EINVAL. */
static int network_parse(const char *text, struct network *ret_network)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchrnul(text, '/');
	size_t len = (size_t)(slash - text), digits;
	struct network network = {0};
	unsigned before = 0;
	unsigned long bits;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET, address, &network.ip.s6_addr[IPV4_AT / 8]) == 1) {
		before = IPV4_AT;
		memset(&network.ip.s6_addr[IPV4_AT / 8 - 2], 0xff, 2);
	} else if (inet_pton(AF_INET6, address, &network.ip) != 1) {
		return -EINVAL;
	}
	bits = BITS_MAX - before;
	if (*slash) {
		digits = strspn(slash + 1, "0123456789");
		if (digits == 0 || digits > 3 || slash[1 + digits] ||
		    strtoul(slash + 1, NULL, 10) > bits)
			return -EINVAL;
		bits = strtoul(slash + 1, NULL, 10);
	}
	network_cut(&network, before + (unsigned)bits);
	*ret_network = network;
	return 0;
}

/* Returns the one text for a network, or NULL when out of memory. */
static char *network_format(const struct network *network)
{
	bool ipv4 = network->bits >= IPV4_AT && IN6_IS_ADDR_V4MAPPED(&network->ip);
	unsigned before = ipv4 ? IPV4_AT : 0;
	char address[INET6_ADDRSTRLEN], *text;

	(void)inet_ntop(ipv4 ? AF_INET : AF_INET6, &network->ip.s6_addr[before / 8], address,
			sizeof(address)); /* cannot fail: there is room for any */
	if (network->bits == BITS_MAX)
		return strdup(address);
	return asprintf(&text, "%s/%u", address, network->bits - before) < 0 ? NULL : text;
}

/* ---- nodes ---- */

static int compare_names(const void *a, const void *b)
{
	const struct node *one = a, *other = b;

	return strcmp(one->sanction.target, other->sanction.target);
}

static int compare_networks(const void *a, const void *b)
{
	const struct network *one = &((const struct node *)a)->network;
	const struct network *other = &((const struct node *)b)->network;

	if (one->bits != other->bits)
		return COMPARE(one->bits, other->bits);
	return memcmp(&one->ip, &other->ip, sizeof(one->ip));
}

static __compar_fn_t comparison(enum sanction_what what)
{
	return what == SANCTION_ADDRESS ? compare_networks : compare_names;
}

static void node_free(struct node *node)
{
	if (!node)
		return;
	list_remove(&node->link);
	free(node->sanction.target);
	free(node->sanction.by);
	free(node->sanction.reason);
	free(node);
}

static void node_freep(struct node **node)
{
	node_free(*node);
}

/*
 * Makes a node, which is on no list and in no tree, about target in whatever form. Returns 0,
 * -EINVAL or -ENOMEM.
 */
static int node_new(enum sanction_kind kind, enum sanction_what what, const char *target,
		    struct node **ret_node)
{
	CLEANUP(node_freep) struct node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return -ENOMEM;
	list_init(&node->link);
	node->sanction.kind = kind;
	node->sanction.what = what;
	if (what == SANCTION_ADDRESS) {
		r = network_parse(target, &node->network);
		if (r < 0)
			return r;
		node->sanction.target = network_format(&node->network);
	} else {
		node->sanction.target = name_fold(target);
	}
	if (!node->sanction.target)
		return -ENOMEM;
	*ret_node = STEAL(node);
	return 0;
}

/* Gives a new node the rest. Returns 0 or -ENOMEM. */
static int node_fill(struct node *node, uint64_t until, const char *by, const char *reason)
{
	node->sanction.until = until;
	node->sanction.by = strdup(by);
	node->sanction.reason = strdup(reason);
	return node->sanction.by && node->sanction.reason ? 0 : -ENOMEM;
}

static bool in_force(const struct node *node, uint64_t now)
{
	return node->sanction.until == 0 || node->sanction.until > now;
}

/* ---- all of them ---- */

/* Returns the node that is equal to key in what its tree compares, or NULL. */
static struct node *find(const struct sanctions *sanctions, const struct node *key)
{
	enum sanction_what what = key->sanction.what;
	struct node **found =
		tfind(key, &sanctions->trees[key->sanction.kind][what], comparison(what));

	return found ? *found : NULL;
}

/* Takes over a node to which none is equal. Returns 0 or -ENOMEM. */
static int insert(struct sanctions *sanctions, struct node *node)
{
	enum sanction_kind kind = node->sanction.kind;
	enum sanction_what what = node->sanction.what;

	if (!tsearch(node, &sanctions->trees[kind][what], comparison(what)))
		return -ENOMEM;
	list_append(&sanctions->nodes, &node->link);
	sanctions->n[kind]++;
	if (what == SANCTION_ADDRESS)
		sanctions->n_bits[kind][node->network.bits]++;
	return 0;
}

static void drop(struct sanctions *sanctions, struct node *node)
{
	enum sanction_kind kind = node->sanction.kind;
	enum sanction_what what = node->sanction.what;

	(void)tdelete(node, &sanctions->trees[kind][what], comparison(what));
	sanctions->n[kind]--;
	if (what == SANCTION_ADDRESS)
		sanctions->n_bits[kind][node->network.bits]--;
	node_free(node);
}

static int store_remove_node(struct store *store, const struct node *node)
{
	const struct sanction *sanction = &node->sanction;

	return store_remove_sanction(store, kind_names[sanction->kind], what_names[sanction->what],
				     sanction->target);
}

static int store_add_node(struct store *store, const struct node *node)
{
	const struct sanction *sanction = &node->sanction;

	return store_add_sanction(store, &(struct store_sanction){
						 .kind = kind_names[sanction->kind],
						 .what = what_names[sanction->what],
						 .target = sanction->target,
						 .until = sanction->until,
						 .by = sanction->by,
						 .reason = sanction->reason,
					 });
}

/*
 * Writes in one transaction that one is added, or removed, NULL for none, and that those are
 * removed whose time is over. Returns 0 or what the store said.
 */
static int write_down(struct sanctions *sanctions, const struct node *added,
		      const struct node *removed)
{
	struct store *store = sanctions->store;
	struct node *node;
	int r;

	if (!store)
		return 0;
	r = store_begin(store);
	if (r < 0)
		return r;
	LIST_FOR_EACH(node, &sanctions->nodes, struct node, link)
		if (r == 0 && (node == removed || !in_force(node, sanctions->now)))
			r = store_remove_node(store, node);
	if (r == 0 && added)
		r = store_add_node(store, added);
	if (r == 0)
		r = store_commit(store);
	if (r < 0)
		store_rollback(store);
	return r;
}

/* Forgets those whose time is over. */
static void clear_away(struct sanctions *sanctions)
{
	struct node *node;

	LIST_FOR_EACH(node, &sanctions->nodes, struct node, link)
		if (!in_force(node, sanctions->now))
			drop(sanctions, node);
}

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EBADMSG;
}

/* Takes up one of the store. */
static int take_up(const struct store_sanction *stored, void *data)
{
	struct sanctions *sanctions = data;
	CLEANUP(node_freep) struct node *node = NULL;
	int kind = index_of(kind_names, KINDS, stored->kind);
	int what = index_of(what_names, WHATS, stored->what);
	int r;

	if (kind < 0 || what < 0)
		return -EBADMSG;
	r = node_new((enum sanction_kind)kind, (enum sanction_what)what, stored->target, &node);
	if (r < 0)
		return r == -EINVAL ? -EBADMSG : r;
	if (find(sanctions, node))
		return -EBADMSG;
	r = node_fill(node, stored->until, stored->by, stored->reason);
	if (r == 0)
		r = insert(sanctions, node);
	if (r == 0)
		(void)STEAL(node); /* which is theirs now */
	return r;
}

int sanctions_new(struct store *store, struct sanctions **ret_sanctions)
{
	struct sanctions *sanctions = calloc(1, sizeof(*sanctions));
	int r;

	if (!sanctions)
		return -ENOMEM;
	list_init(&sanctions->nodes);
	sanctions->store = store;
	r = store ? store_sanctions(store, take_up, sanctions) : 0;
	if (r < 0) {
		sanctions_free(sanctions);
		return r;
	}
	*ret_sanctions = sanctions;
	return 0;
}

void sanctions_free(struct sanctions *sanctions)
{
	struct node *node;

	if (!sanctions)
		return;
	LIST_FOR_EACH(node, &sanctions->nodes, struct node, link)
		drop(sanctions, node);
	free(sanctions);
}

/* Returns the node about this name at the time now, or NULL. */
static struct node *find_name(const struct sanctions *sanctions, enum sanction_kind kind,
			      enum sanction_what what, const char *name, uint64_t now)
{
	CLEANUP(freep) char *folded = NULL;
	struct node *node;

	if (!name || !sanctions->trees[kind][what])
		return NULL;
	folded = name_fold(name);
	if (!folded)
		return NULL;
	node = find(sanctions, &(struct node){
				       .sanction = {.kind = kind, .what = what, .target = folded},
			       });
	return node && in_force(node, now) ? node : NULL;
}

/* Returns the node about the smallest network that ip is in at the time now, or NULL. */
static struct node *find_address(const struct sanctions *sanctions, enum sanction_kind kind,
				 const struct in6_addr *ip, uint64_t now)
{
	struct node key = {.sanction = {.kind = kind, .what = SANCTION_ADDRESS}};

	if (!ip || !sanctions->trees[kind][SANCTION_ADDRESS])
		return NULL;
	key.network.ip = *ip;
	for (unsigned bits = BITS_MAX + 1; bits-- > 0;) {
		struct node *node;

		if (sanctions->n_bits[kind][bits] == 0)
			continue;
		network_cut(&key.network, bits);
		node = find(sanctions, &key);
		if (node && in_force(node, now))
			return node;
	}
	return NULL;
}

const struct sanction *sanctions_find(struct sanctions *sanctions, enum sanction_kind kind,
				      const struct sanctions_subject *subject, uint64_t now)
{
	const struct node *node;

	sanctions->now = MAX(sanctions->now, now);
	if (sanctions->n[kind] == 0)
		return NULL;
	node = find_name(sanctions, kind, SANCTION_USER, subject->user, now);
	if (!node)
		node = find_name(sanctions, kind, SANCTION_NICK, subject->nick, now);
	if (!node)
		node = find_address(sanctions, kind, subject->ip, now);
	return node ? &node->sanction : NULL;
}

/* Returns 0, -EINVAL or -ENOMEM. A user's name may be anything: the system has made it. */
static int check_target(enum sanction_what what, const char *target)
{
	CLEANUP(freep) char *name = NULL;
	const char *reason;

	if (what == SANCTION_USER)
		return *target ? 0 : -EINVAL;
	return what == SANCTION_NICK ? name_make(target, strlen(target), &name, &reason) : 0;
}

int sanctions_add(struct sanctions *sanctions, const struct sanction *sanction)
{
	CLEANUP(node_freep) struct node *node = NULL;
	struct node *old;
	int r = check_target(sanction->what, sanction->target);

	if (r == 0)
		r = node_new(sanction->kind, sanction->what, sanction->target, &node);
	if (r == 0)
		r = node_fill(node, sanction->until, sanction->by, sanction->reason);
	if (r != 0)
		return r;
	old = find(sanctions, node);
	/* Whatever can fail comes before the store is written, and can be undone. */
	if (!old)
		r = insert(sanctions, node);
	if (r < 0)
		return r;
	r = write_down(sanctions, node, NULL);
	if (old && r == 0) {
		const struct sanction replaced = old->sanction;

		old->sanction = node->sanction;
		node->sanction = replaced; /* to be freed */
	} else if (!old && r < 0) {
		drop(sanctions, STEAL(node));
	} else if (!old) {
		(void)STEAL(node); /* which is theirs now */
	}
	if (r == 0)
		clear_away(sanctions);
	return r;
}

int sanctions_remove(struct sanctions *sanctions, enum sanction_kind kind, enum sanction_what what,
		     const char *target)
{
	CLEANUP(node_freep) struct node *key = NULL;
	struct node *node;
	int r = node_new(kind, what, target, &key);

	if (r < 0)
		return r;
	node = find(sanctions, key);
	if (!node)
		return -ENOENT;
	r = write_down(sanctions, NULL, node);
	if (r < 0)
		return r;
	drop(sanctions, node);
	clear_away(sanctions);
	return 0;
}

void sanctions_each(struct sanctions *sanctions, uint64_t now,
		    void (*each)(const struct sanction *sanction, void *data), void *data)
{
	const struct node *node;

	sanctions->now = MAX(sanctions->now, now);
	LIST_FOR_EACH(node, &sanctions->nodes, struct node, link)
		if (in_force(node, now))
			each(&node->sanction, data);
}
