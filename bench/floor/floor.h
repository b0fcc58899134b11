/* floor.h - the bare epoll loops that crew is measured against.
 *
 * No parsing worth the name, no framework, no checks: what is left is what the kernel costs. They
 * are no servers to imitate. One process, one thread, one mode on one port of 127.0.0.1. */
#ifndef CREW_BENCH_FLOOR_H
#define CREW_BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READ_SIZE (64u << 10)
/* What one connection may leave unparsed, and so the longest request or frame. */
#define STASH_MAX (256u << 10)
/* A peer that leaves more than this unread is cut off. */
#define REST_MAX (64u << 20)

struct conn {
	int fd;
	bool open;     /* WebSocket: the handshake is done */
	unsigned seat; /* WebSocket: index among the open ones */
	uint32_t stash_len;
	char *stash; /* the beginning of what has not come whole */
	char *rest;  /* what the kernel did not take; we watch for writability while it is there */
	size_t rest_len;
};

struct mode {
	const char *name;
	/* How many bytes of `in` were used; the rest is kept. A negative number ends the
	 * connection. */
	int64_t (*on_bytes)(struct conn *c, char *in, size_t len);
	void (*on_close)(struct conn *c);
	void (*on_turn)(void); /* may be NULL */
};

/* Write now, keep what the kernel does not take. False when the connection is broken. */
bool floor_write(struct conn *c, const char *bytes, size_t len);

extern const struct mode floor_http, floor_ws, floor_fanout;

/* Mode `udp`, which has no connections: turns until the terminator is readable, and then does not
 * return. 1: the port cannot be had. */
int floor_udp(int epoll_fd, int terminator_fd, uint16_t port);

#endif
