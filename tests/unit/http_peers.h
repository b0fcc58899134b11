/* http_peers.h - clients of HTTP and WebSocket that do, mostly, what the protocol allows, at random
 * and not at the best of times. */
#ifndef CREW_TESTS_HTTP_PEERS_H
#define CREW_TESTS_HTTP_PEERS_H

#include <stddef.h>
#include <stdint.h>

/* A random number below that. */
typedef uint32_t http_roll_fn(uint32_t below);

/* Requests, several at a time, in pieces; what is left of one is sent by the next call. */
struct http_peer {
	int fd;
	size_t at, len;
	char bytes[4096];
};

void http_peer_writes(struct http_peer *p, http_roll_fn *roll);
void http_peer_reads(const struct http_peer *p, http_roll_fn *roll);

#endif
