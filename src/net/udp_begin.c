/* udp_begin.c - outgoing UDP: a connection with a connected socket of its own.
 *
 * The kernel keeps others' datagrams away, and tells when the peer's host answers that nobody
 * listens there; that ends the connection. Each datagram is sent as soon as the turn allows, by a
 * call of its own: who talks to few peers gains nothing by batches. */
#include "net/udp_parts.h"

#include "net/address.h"
#include "net/conn_out.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	READS_A_TURN = 32
};

/* ---- in ------------------------------------------------------------------------------------ */

static bool may_read(const crew_conn *c)
{
	return c->record->state <= CREW__CONN_OPEN && !(c->flags & CREW__C_STOPPED);
}

static ssize_t receive(crew_conn *c, size_t *ret_segment, bool *ret_cut)
{
	union crew__udp_control control;
	struct iovec room = { c->net->read_buffer, CREW__READ_MOST };
	struct msghdr message = {
		.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(c->fd, &message, MSG_DONTWAIT);
	*ret_segment = n > 0 ? crew__udp_segment(&message, (size_t)n) : 0;
	*ret_cut = n >= 0 && (message.msg_flags & MSG_TRUNC);
	return n;
}

static void on_readable(crew_conn *c)
{
	for (int i = 0; i < READS_A_TURN && may_read(c); i++) {
		size_t segment;
		bool cut;
		ssize_t n = receive(c, &segment, &cut);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ENOMEM)
				crew__conn_broken(c, CREW_END_RESET);
			return;
		}
		if (cut)
			c->net->stats.slab->datagrams_truncated++;
		else
			crew__udp_deliver(c, c->net->read_buffer, (size_t)n, segment);
	}
}

/* An error waits while nothing is read. */
static void on_error(crew_conn *c)
{
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
		crew__conn_broken(c, CREW_END_RESET);
}

static void on_event(struct crew__source *source, unsigned events)
{
	crew_conn *c = crew__container_of(source, crew_conn, source);
	crew__net_now(c->net);
	c->net->current = c;
	if (events & CREW__WRITE)
		crew__conn_flush(c);
	if ((events & ~CREW__WRITE) && may_read(c))
		on_readable(c);
	else if ((events & CREW__HUP) && c->record->state != CREW__CONN_CLOSED)
		on_error(c);
	crew__conn_finish_event(c);
}

/* ---- out ----------------------------------------------------------------------------------- */

/* What concerns this datagram alone, and not whether the peer is there. */
static bool is_of_datagram(int error)
{
	return error != ECONNREFUSED && error != EBADF && error != ENOTCONN &&
	       error != EDESTADDRREQ;
}

ssize_t crew__udp_own_send(crew_conn *c, const struct iovec *vectors, size_t count)
{
	struct crew__udp_peer *peer = crew__udp_peer_of(c);
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)vectors,
		.msg_iovlen = count };
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += vectors[i].iov_len;
	ssize_t n = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (crew__unlikely(n < 0)) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM)
			return 0;
		if (!is_of_datagram(errno)) {
			crew__conn_broken(c, CREW_END_RESET);
			return -1;
		}
		peer->lost = true;
	}
	return len > 0 ? (ssize_t)len : 1;
}

void crew__udp_own_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	struct crew__udp_peer *peer = crew__udp_peer_of(c);
	if (crew__unlikely(peer->lost && messages > 0)) {
		peer->lost = false;
		crew__out_lose_queued(c, CREW_LOST_RESET, messages, bytes);
		return;
	}
	crew__out_left(c, bytes, bytes, messages);
	if (messages > 0)
		c->record->last_out = crew__net_now(c->net);
}

/* ---- its beginning ------------------------------------------------------------------------- */

int crew__udp_begin(crew_conn *c, int take_fd)
{
	int one = 1;
	struct crew__udp_peer *peer = calloc(1, sizeof(*peer));
	if (!peer) {
		close(take_fd);
		crew__conn_broken(c, CREW_END_HANDSHAKE);
		return -ENOMEM;
	}
	peer->conn = c;
	c->net->table->transports[c->slot] = peer;
	c->io = CREW__IO_DATAGRAM;
	c->fd = take_fd;
	c->source.fn = on_event;
	c->source.fd = take_fd;
	int error = crew__loop_add(c->net->loop, &c->source, CREW__READ);
	if (error) {
		c->source.fd = -1;
		crew__conn_broken(c, CREW_END_HANDSHAKE);
		return error;
	}
	setsockopt(take_fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
	crew__conn_note_ends(c);
	c->record->transport = CREW__UDP;
	crew__conn_watch(c);
	return 0;
}

size_t crew__udp_longest(const crew_conn *c)
{
	enum {
		HEADER = 8,
		IPV4_HEADER = 20
	};
	bool ipv6 = c->net->stats.cold[c->slot].remote.family == AF_INET6;
	return UINT16_MAX - HEADER - (ipv6 ? 0 : IPV4_HEADER);
}
