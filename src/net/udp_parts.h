/* udp_parts.h - what the files of UDP share (udp.c, udp_peers.c, udp_out.c, udp_begin.c); nobody
 * else includes it.
 *
 * Invariants, between turns:
 *  - a peer is in the table, and in `used`, from its admission until its connection is freed, but
 *    is not found any more once it is CLOSED;
 *  - the batch of outgoing datagrams is empty, or `blocked`, and then the socket is watched for
 *    writability and every peer of whom it holds something is WRITING and in `waiting`;
 *  - no datagram that came in waits, or the next turn comes without waiting (`rest`). */
#ifndef CREW_NET_UDP_PARTS_H
#define CREW_NET_UDP_PARTS_H

#include "base/list.h"
#include "base/log.h"
#include "net/conn.h"
#include "net/udp.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum {
	CREW__UDP_BATCH = 64,       /* datagrams that one call receives or sends */
	CREW__UDP_ROOM = 64 * 1024, /* one datagram, or what the kernel has joined of them */
	CREW__UDP_STRIDE = 64 * 1024 +
			   192, /* so that the rooms' beginnings do not share cache lines' sets */
	CREW__UDP_OUT_MOST = 128 * 1024, /* bytes of a batch on its way out */
	CREW__UDP_CONTROL = 96,          /* control messages of one datagram */
	CREW__UDP_SEGMENT_MOST =
		1400, /* longer ones are not sent in one piece: the path may be narrow */
	CREW__UDP_SEGMENTS = 64,
	CREW__UDP_PIECE_MOST = 60 * 1024,
};

/* Whom a datagram came from, and to which of our addresses (zero unless the socket has all). */
struct crew__udp_key {
	uint64_t words[5]; /* address (2), port and zone, our address (2) */
};

/* A peer's side of a connection: net->table->transports[slot]. */
struct crew__udp_peer {
	struct crew__udp *udp; /* NULL: it has a socket of its own (udp_begin.c) */
	crew_conn *conn;
	struct crew__udp_peer *next; /* in its bucket */
	uint64_t hash;
	struct crew__udp_key key;
	struct crew__node used;   /* in udp->peers.used */
	struct crew__node waits;  /* in udp->waiting, or alone */
	struct sockaddr_in6 name; /* or a sockaddr_in */
	uint32_t name_size;
	uint32_t held;       /* its datagrams in the batch ... */
	uint32_t held_bytes; /* ... and their bytes */
	bool lost;           /* of a socket of its own: what was sent last cannot be sent at all */
};

struct crew__udp_peers {
	struct crew__udp_peer **buckets;
	size_t mask;
	size_t count;
	uint64_t seed[4];
	struct crew__node used; /* who has been idle for longest comes first */
};

union crew__udp_control {
	struct cmsghdr align;
	char bytes[CREW__UDP_CONTROL];
};

struct crew__udp_in {
	struct mmsghdr messages[CREW__UDP_BATCH];
	struct iovec vectors[CREW__UDP_BATCH];
	struct sockaddr_in6 names[CREW__UDP_BATCH];
	union crew__udp_control controls[CREW__UDP_BATCH];
	unsigned next, count; /* those in between have come and are not delivered yet */

	char room[];
};

struct crew__udp_entry {
	struct crew__udp_peer *peer; /* NULL: it has ended meanwhile, and the message is lost */
	uint32_t at, len;
};

struct crew__udp_out {
	struct mmsghdr messages[CREW__UDP_BATCH];
	struct iovec vectors[CREW__UDP_BATCH];
	union crew__udp_control controls[CREW__UDP_BATCH];
	unsigned runs[CREW__UDP_BATCH]; /* how many entries each message is made of */
	struct crew__udp_entry entries[CREW__UDP_BATCH];
	unsigned first, count; /* entries before `first` have left */
	uint32_t len;          /* bytes of `data` in use */
	char data[CREW__UDP_OUT_MOST];
};

struct crew__udp {
	struct crew__source source;
	struct crew__net *net;
	int fd; /* -1: ended */
	const char *name;
	struct crew__record_address local;
	int family;
	bool every;    /* bound to every address: answers say which of ours they leave from */
	bool started;  /* it reads */
	bool stopped;  /* it is closed at the end of the turn in which the last peer has gone */
	bool blocked;  /* the kernel took no more: the batch waits for writability */
	bool segments; /* runs of datagrams leave in one piece (UDP_SEGMENT) */
	bool doubted;  /* they did until a piece failed just now */
	uint32_t ended_turn; /* the turn whose end has come: the hook has run in it */
	struct crew__turn_hook hook;
	struct crew__udp_peers peers;
	struct crew__udp_in *in;
	struct crew__udp_out *out;
	struct crew__node waiting; /* peers who are WRITING: who began first comes first */
	struct crew__log_rate receive_log, send_log, limit_log, ip_log, truncated_log;
};

/* ---- udp_peers.c ---- */

int crew__udp_peers_init(struct crew__udp_peers *peers);
void crew__udp_peers_fini(struct crew__udp_peers *peers);
uint64_t crew__udp_hash(const struct crew__udp_peers *peers, const struct crew__udp_key *key);
struct crew__udp_peer *crew__udp_find(
	const struct crew__udp_peers *peers, const struct crew__udp_key *key, uint64_t hash);
void crew__udp_enter(struct crew__udp_peers *peers, struct crew__udp_peer *peer);
void crew__udp_leave(struct crew__udp_peers *peers, struct crew__udp_peer *peer);
/* Something came or went. */
void crew__udp_touch(struct crew__udp_peers *peers, struct crew__udp_peer *peer);
/* Who has been idle for longest, of those whose connections are not ending; NULL: nobody. */
struct crew__udp_peer *crew__udp_idlest(const struct crew__udp_peers *peers);

/* ---- udp_out.c ---- */

/* Send what is in the batch, as far as the kernel takes it. */
void crew__udp_flush(struct crew__udp *udp);
/* The socket can be written to again. */
void crew__udp_writable(struct crew__udp *udp);
/* Watch what is to be watched. */
void crew__udp_watch(struct crew__udp *udp);

/* ---- udp_in.c ---- */

/* The rooms are empty again. */
void crew__udp_prepare(struct crew__udp_in *in, unsigned count);
/* Those that have come, until there is no room for a new peer. */
void crew__udp_handle(struct crew__udp *udp);
/* At the turn's end: what it has freed serves those that wait. True: the next turn has more to do.
 */
bool crew__udp_handle_rest(struct crew__udp *udp);

/* One datagram, or more of the same peer that the kernel has joined at every `segment` bytes, are
 * delivered to `c`, which is net->current. */
void crew__udp_deliver(crew_conn *c, char *data, size_t len, size_t segment);
/* What the kernel says of how it has joined what it gives; 0: it has not. */
size_t crew__udp_segment(struct msghdr *message, size_t len);

/* ---- udp_begin.c: connections with a socket of their own ---- */

ssize_t crew__udp_own_send(crew_conn *c, const struct iovec *vectors, size_t count);
void crew__udp_own_settle(crew_conn *c, size_t bytes, uint32_t messages);

static inline struct crew__udp_peer *crew__udp_peer_of(const crew_conn *c)
{
	return c->net->table->transports[c->slot];
}

#endif
