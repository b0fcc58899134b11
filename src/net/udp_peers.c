/* udp_peers.c - who sends to a UDP socket: found by address, and in the order of last use.
 *
 * Anybody can forge addresses, so the hash is keyed with random numbers that nobody outside knows,
 * and the table is as large as max_connections lets it become and no larger. */
#include "net/udp_parts.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
	BUCKETS_FIRST = 256
};

int crew__udp_peers_init(struct crew__udp_peers *peers)
{
	*peers = (struct crew__udp_peers){ .mask = BUCKETS_FIRST - 1 };
	crew__list_init(&peers->used);
	if (getrandom(peers->seed, sizeof(peers->seed), 0) != (ssize_t)sizeof(peers->seed))
		return -EIO;
	peers->buckets = calloc(BUCKETS_FIRST, sizeof(struct crew__udp_peer *));
	return peers->buckets ? 0 : -ENOMEM;
}

void crew__udp_peers_fini(struct crew__udp_peers *peers)
{
	free(peers->buckets);
	peers->buckets = NULL;
}

/* Both halves of a product of 128 bits: every bit of either factor reaches the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t crew__udp_hash(const struct crew__udp_peers *peers, const struct crew__udp_key *key)
{
	const uint64_t *w = key->words, *s = peers->seed;
	uint64_t hash = mix(w[0] ^ s[0], w[1] ^ s[1]);
	hash ^= mix(w[2] ^ s[2], w[3] ^ s[3]);
	return mix(hash ^ s[1], w[4] ^ s[0] ^ s[3]);
}

static bool same_key(const struct crew__udp_key *a, const struct crew__udp_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* It stays until the turn's end, and its address may be somebody's anew. */
static bool is_closed(const struct crew__udp_peer *peer)
{
	return peer->conn->record->state == CREW__CONN_CLOSED;
}

struct crew__udp_peer *crew__udp_find(
	const struct crew__udp_peers *peers, const struct crew__udp_key *key, uint64_t hash)
{
	struct crew__udp_peer *peer = peers->buckets[hash & peers->mask];
	while (peer && (peer->hash != hash || !same_key(&peer->key, key) || is_closed(peer)))
		peer = peer->next;
	return peer;
}

/* Twice as many buckets; without memory the chains become longer. */
static void grow(struct crew__udp_peers *peers)
{
	size_t mask = peers->mask * 2 + 1;
	struct crew__udp_peer **buckets = calloc(mask + 1, sizeof(struct crew__udp_peer *));
	if (!buckets)
		return;
	for (size_t i = 0; i <= peers->mask; i++) {
		for (struct crew__udp_peer *peer = peers->buckets[i], *next; peer; peer = next) {
			next = peer->next;
			peer->next = buckets[peer->hash & mask];
			buckets[peer->hash & mask] = peer;
		}
	}
	free(peers->buckets);
	peers->buckets = buckets;
	peers->mask = mask;
}

void crew__udp_enter(struct crew__udp_peers *peers, struct crew__udp_peer *peer)
{
	if (peers->count > peers->mask)
		grow(peers);
	struct crew__udp_peer **bucket = &peers->buckets[peer->hash & peers->mask];
	peer->next = *bucket;
	*bucket = peer;
	crew__list_push(&peers->used, &peer->used);
	peers->count++;
}

void crew__udp_leave(struct crew__udp_peers *peers, struct crew__udp_peer *peer)
{
	struct crew__udp_peer **at = &peers->buckets[peer->hash & peers->mask];
	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	crew__list_remove(&peer->used);
	peers->count--;
}

void crew__udp_touch(struct crew__udp_peers *peers, struct crew__udp_peer *peer)
{
	if (peers->used.prev == &peer->used)
		return;
	crew__list_remove(&peer->used);
	crew__list_push(&peers->used, &peer->used);
}

struct crew__udp_peer *crew__udp_idlest(const struct crew__udp_peers *peers)
{
	for (struct crew__node *node = peers->used.next; node != &peers->used; node = node->next) {
		struct crew__udp_peer *peer = crew__container_of(node, struct crew__udp_peer, used);
		if (!is_closed(peer))
			return peer;
	}
	return NULL;
}
