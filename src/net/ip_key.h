/* ip_key.h - what of an address is counted as one: IPv4 whole, of IPv6 the first 64 bits (what one
 * subscriber usually has), of a Unix socket nothing. */
#ifndef CREW_NET_IP_KEY_H
#define CREW_NET_IP_KEY_H

#include "stats/slab.h"

#include <netinet/in.h>
#include <string.h>

struct crew__ip_key {
	uint64_t network;
	uint32_t v6; /* 0 or 1 */
};

/* False: it is not counted at all. */
static inline bool crew__ip_key(
	const struct crew__record_address *from, struct crew__ip_key *ret_key)
{
	*ret_key = (struct crew__ip_key){ .v6 = from->family == AF_INET6 };
	if (from->family == AF_INET)
		memcpy(&ret_key->network, from->ip + 12, 4);
	else if (from->family == AF_INET6)
		memcpy(&ret_key->network, from->ip, 8);
	return from->family == AF_INET || from->family == AF_INET6;
}

/* With a secret seed, so that peers cannot choose addresses that collide. */
static inline uint64_t crew__ip_hash(const struct crew__ip_key *key, uint64_t seed)
{
	uint64_t x = key->network ^ seed ^ key->v6;
	x = (x ^ (x >> 32)) * 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 32);
}

#endif
