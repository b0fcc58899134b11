/* udp.h - UDP: a socket of a service, read and written in batches, with a connection for each peer;
 * and outgoing connections by UDP.
 *
 * A peer is an address that has sent something: a connection (CREW__IO_DATAGRAM) without a
 * descriptor of its own, found by its address in one table, until nothing came or went for
 * idle_timeout. When max_connections is reached the one that has been idle for longest gives way
 * (closes as `idle`), so that forged addresses cannot shut others out for long.
 *
 *   socket ─recvmmsg─▸ [64 datagrams] ─▸ peer (made when it is new) ─▸ ops->on_data, one datagram
 * each what is sent ─▸ the batch (udp_out.c) ─sendmmsg─▸ socket └─ the kernel is full: the rest
 * waits in the peers' queues
 *
 * A datagram is a message or several, never a part of one: ops->on_data gets each whole and once,
 * whatever it returns. Those for a peer who is not to be read at present are dropped, and counted.
 *
 * On fork: nothing; it is made only in workers, after exec. */
#ifndef CREW_NET_UDP_H
#define CREW_NET_UDP_H

#include "net/conn.h"

struct crew__udp;

/* Serve a bound, non-blocking UDP socket; taken over in every case. 0 or an errno. `service_name`
 * must outlive it. */
int crew__udp_new(
	struct crew__net *net, int take_fd, const char *service_name, struct crew__udp **ret_udp);
/* Read from it; nothing when it does already, or is stopped. */
int crew__udp_start(struct crew__udp *udp);
/* No new peers, no more datagrams in; peers that are there may still send. The socket is closed
 * with the last of them. */
void crew__udp_stop(struct crew__udp *udp);
/* Its descriptor; -1 once it is closed. */
int crew__udp_fd(const struct crew__udp *udp);
/* It is closed, and no event can name it any more: it may be freed. */
bool crew__udp_is_over(const struct crew__udp *udp);
/* The same, with an end to its peers, in good order. */
void crew__udp_end(struct crew__udp *udp, crew_end_reason reason);
/* All its peers have gone (aborted if need be); close. NULL is allowed. Not in a turn in which it
 * was stopped: an event may still name it. */
void crew__udp_free(struct crew__udp *udp);

/* A connection without a socket (crew__net_begin) has one: connected, UDP, non-blocking; taken over
 * in every case. 0; or an errno, and then it has ended (`handshake`). An answer of the peer's host
 * that nobody listens there ends it (`reset`). */
int crew__udp_begin(crew_conn *c, int take_fd);

/* The longest datagram that the peer can be sent. */
size_t crew__udp_longest(const crew_conn *c);

#endif
