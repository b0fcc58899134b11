/* udp_out.c - datagrams on their way out: gathered into a batch, sent by few calls.
 *
 * All that is sent within a turn goes into the batch; it leaves when it is full, when the datagrams
 * that were received together have been handled, and at the turn's end. Several datagrams of one
 * length to one peer leave in one piece, which the kernel or the card takes apart (UDP_SEGMENT).
 *
 * What the kernel does not take stays in the batch: those messages have begun to leave. Until the
 * socket is writable again nothing joins it, and what else is sent waits in the peers' own queues,
 * under their limits and policies.
 *
 * An error that concerns one datagram (too long for the path, forbidden by a firewall, no way
 * there) loses that message, as `reset`; its peer's connection goes on, and so do all others. */
#include "net/udp_parts.h"

#include "base/check.h"
#include "net/address.h"
#include "net/conn_out.h"

#include <netinet/udp.h>
#include <stdlib.h>

/* ---- what has left, and what cannot -------------------------------------------------------- */

static bool is_closed(const struct crew__udp_peer *peer)
{
	return peer->conn->record->state == CREW__CONN_CLOSED;
}

static void wait_in_line(struct crew__udp *udp, struct crew__udp_peer *peer)
{
	if (crew__list_empty(&peer->waits))
		crew__list_push(&udp->waiting, &peer->waits);
}

/* Something of it is no longer held. */
static void let_go(struct crew__udp_peer *peer, uint32_t bytes, uint32_t messages)
{
	crew_conn *c = peer->conn;
	peer->held -= messages;
	peer->held_bytes -= bytes;
	if (crew__likely(c->flags == 0 && c->record->state == CREW__CONN_OPEN))
		return;
	if (c->flags & CREW__C_WRITING) /* it is in line: what follows is done there */
		return;
	crew__out_shorter(c);
	if (c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING))
		crew__conn_agenda(c, CREW__C_DIRTY);
}

/* `count` entries from `first` on have left. */
static void settle(struct crew__udp *udp, unsigned count)
{
	struct crew__udp_out *out = udp->out;
	const unsigned end = out->first + count;
	while (out->first < end) {
		struct crew__udp_peer *peer = out->entries[out->first].peer;
		uint32_t bytes = 0, messages = 0;
		for (; out->first < end && out->entries[out->first].peer == peer; messages++)
			bytes += out->entries[out->first++].len;
		if (!peer || is_closed(peer))
			continue;
		crew__udp_touch(&udp->peers, peer);
		crew__out_left(peer->conn, bytes, bytes, messages);
		if (bytes == 0) /* an empty datagram is progress too */
			peer->conn->record->last_out = crew__net_now(udp->net);
		let_go(peer, bytes, messages);
	}
}

static void tell_lost(struct crew__udp *udp, const crew_conn *c, uint32_t len, int error)
{
	char text[80];
	char left_out[CREW__LEFT_OUT_MAX];
	if (!crew__log_may(&udp->send_log, 1, left_out))
		return;
	crew__address_text(&udp->net->stats.cold[c->slot].remote, text, sizeof(text));
	crew__log(CREW_INFO,
		"%s: a datagram of %u bytes cannot be sent to %s: %s; that message is lost%s",
		udp->name, len, text, strerror(error), left_out);
}

static crew__rarely void lose_first(struct crew__udp *udp, int error)
{
	struct crew__udp_entry *entry = &udp->out->entries[udp->out->first++];
	struct crew__udp_peer *peer = entry->peer;
	tell_lost(udp, peer->conn, entry->len, error);
	crew__out_lose_queued(peer->conn, CREW_LOST_RESET, 1, entry->len);
	let_go(peer, entry->len, 1);
}

/* ---- a batch to the kernel ----------------------------------------------------------------- */

/* How many entries from `at` on are one piece: one peer's, of one length, the last may be shorter.
 */
static unsigned run_at(const struct crew__udp *udp, unsigned at)
{
	const struct crew__udp_out *out = udp->out;
	const struct crew__udp_entry *first = &out->entries[at];
	uint32_t bytes = first->len;
	unsigned n = 1;
	if (!udp->segments || first->len == 0 || first->len > CREW__UDP_SEGMENT_MOST)
		return 1;
	while (at + n < out->count && n < CREW__UDP_SEGMENTS) {
		const struct crew__udp_entry *next = &out->entries[at + n];
		bool fits = next->peer == first->peer && next->len > 0 && next->len <= first->len &&
			    next->at == first->at + bytes &&
			    bytes + next->len <= CREW__UDP_PIECE_MOST;
		if (!fits)
			break;
		bytes += next->len;
		n++;
		if (next->len < first->len)
			break;
	}
	return n;
}

static size_t add_control(union crew__udp_control *control, size_t at, int level, int type,
	const void *data, size_t size)
{
	struct cmsghdr *head = (struct cmsghdr *)(void *)(control->bytes + at);
	crew__must(at + CMSG_SPACE(size) <= sizeof(control->bytes));
	memset(head, 0, CMSG_SPACE(size));
	head->cmsg_level = level;
	head->cmsg_type = type;
	head->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(head), data, size);
	return at + CMSG_SPACE(size);
}

/* The answer leaves from the address that was asked. */
static size_t add_source(const struct crew__udp *udp, const struct crew__udp_peer *peer,
	union crew__udp_control *control, size_t at)
{
	const uint64_t *own = &peer->key.words[3];
	if (own[0] == 0 && own[1] == 0)
		return at;
	if (udp->family == AF_INET6) {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, own, sizeof(info.ipi6_addr));
		return add_control(control, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	struct in_pktinfo info = { 0 };
	memcpy(&info.ipi_spec_dst, (const char *)own + 12, sizeof(info.ipi_spec_dst));
	return add_control(control, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
}

static void write_message(struct crew__udp *udp, unsigned index, unsigned at, unsigned run)
{
	struct crew__udp_out *out = udp->out;
	const struct crew__udp_entry *first = &out->entries[at];
	const struct crew__udp_entry *last = &out->entries[at + run - 1];
	struct crew__udp_peer *peer = first->peer;
	struct msghdr *head = &out->messages[index].msg_hdr;
	size_t control = add_source(udp, peer, &out->controls[index], 0);
	if (run > 1) {
		uint16_t segment = (uint16_t)first->len;
		control = add_control(&out->controls[index], control, IPPROTO_UDP, UDP_SEGMENT,
			&segment, sizeof(segment));
	}
	out->vectors[index] = (struct iovec){ out->data + first->at,
		last->at + last->len - first->at };
	*head = (struct msghdr){
		.msg_name = &peer->name,
		.msg_namelen = peer->name_size,
		.msg_iov = &out->vectors[index],
		.msg_iovlen = 1,
		.msg_control = control > 0 ? out->controls[index].bytes : NULL,
		.msg_controllen = control,
	};
	out->runs[index] = run;
}

/* Those whose connections have ended are lost, and counted so. */
static void leave_out_closed(struct crew__udp_out *out)
{
	for (unsigned i = out->first; i < out->count; i++) {
		struct crew__udp_entry *entry = &out->entries[i];
		if (crew__unlikely(entry->peer && is_closed(entry->peer)))
			entry->peer = NULL;
	}
	while (out->first < out->count && !out->entries[out->first].peer)
		out->first++;
}

/* What has not left, as messages, up to one that is left out; returns how many. */
static unsigned write_messages(struct crew__udp *udp)
{
	struct crew__udp_out *out = udp->out;
	unsigned index = 0;
	leave_out_closed(out);
	for (unsigned at = out->first; at < out->count && out->entries[at].peer; index++) {
		unsigned run = run_at(udp, at);
		write_message(udp, index, at, run);
		at += run;
	}
	return index;
}

/* The kernel takes no more: every peer of whom something is held waits with it. */
static void block(struct crew__udp *udp)
{
	udp->blocked = true;
	for (unsigned i = udp->out->first; i < udp->out->count; i++) {
		struct crew__udp_peer *peer = udp->out->entries[i].peer;
		if (!peer || is_closed(peer))
			continue;
		wait_in_line(udp, peer);
		crew__out_kernel_is_full(peer->conn);
	}
	crew__udp_watch(udp);
}

/* An error of a piece may be one of pieces altogether (this kernel, card or path has none), or of
 * the peer's address, which anybody can forge. The first datagram of it alone tells: if that can be
 * sent there are no pieces any more, else it was the peer. */
static bool is_of_pieces(int error)
{
	return error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP ||
	       error == ENOPROTOOPT;
}

/* sendmmsg() took nothing of the first. */
static crew__rarely void send_failed(struct crew__udp *udp, int error)
{
	if (error == EINTR)
		return;
	if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) {
		block(udp);
	} else if (udp->out->runs[0] > 1 && is_of_pieces(error)) {
		udp->segments = false;
		udp->doubted = true;
	} else {
		udp->segments |= udp->doubted;
		udp->doubted = false;
		lose_first(udp, error);
	}
}

void crew__udp_flush(struct crew__udp *udp)
{
	struct crew__udp_out *out = udp->out;
	unsigned count;
	while (!udp->blocked && (count = write_messages(udp)) > 0) {
		int n = sendmmsg(udp->fd, out->messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (crew__unlikely(n < 0))
			send_failed(udp, errno);
		else
			udp->doubted = false;
		for (int i = 0; i < n; i++)
			settle(udp, out->runs[i]);
	}
	if (out->first < out->count)
		return;
	out->first = 0;
	out->count = 0;
	out->len = 0;
}

void crew__udp_watch(struct crew__udp *udp)
{
	unsigned events = udp->started ? CREW__READ | CREW__SHARED : 0;
	events |= udp->blocked ? CREW__WRITE : 0;
	if (udp->source.fd < 0 || udp->source.events == events)
		return;
	char left_out[CREW__LEFT_OUT_MAX];
	int error = crew__loop_mod(udp->net->loop, &udp->source, events);
	if (error && crew__log_may(&udp->receive_log, 1, left_out))
		crew__log(CREW_ERROR, "%s: cannot watch its UDP socket: %s%s", udp->name,
			strerror(-error), left_out);
}

/* In turn, those that wait; whoever has still more to send after a few comes again in the next
 * turn. */
static void serve(struct crew__udp *udp, struct crew__udp_peer *peer)
{
	enum {
		FLUSHES = 8
	};
	crew_conn *c = peer->conn;
	crew__list_remove(&peer->waits);
	if (is_closed(peer))
		return;
	crew__conn_clear(c, CREW__C_WRITING);
	for (int i = 0; i < FLUSHES; i++) {
		crew__conn_flush(c);
		if (crew__queue_empty(&c->queue) || udp->blocked ||
			c->record->state == CREW__CONN_CLOSED)
			break;
	}
	if (c->record->state != CREW__CONN_CLOSED)
		crew__conn_agenda(c, CREW__C_DIRTY);
}

void crew__udp_writable(struct crew__udp *udp)
{
	udp->blocked = false;
	crew__udp_flush(udp);
	/* Those that wait now: who must wait again is put behind them. */
	size_t count = 0;
	for (struct crew__node *node = udp->waiting.next; node != &udp->waiting; node = node->next)
		count++;
	while (count-- > 0 && !udp->blocked && !crew__list_empty(&udp->waiting))
		serve(udp, crew__container_of(udp->waiting.next, struct crew__udp_peer, waits));
	crew__udp_flush(udp);
	crew__udp_watch(udp);
}

/* ---- the functions of io.h ----------------------------------------------------------------- */

static size_t length_of(const struct iovec *vectors, size_t count)
{
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += vectors[i].iov_len;
	return len;
}

static void add_entry(struct crew__udp *udp, struct crew__udp_peer *peer,
	const struct iovec *vectors, size_t count, size_t len)
{
	struct crew__udp_out *out = udp->out;
	out->entries[out->count++] =
		(struct crew__udp_entry){ .peer = peer, .at = out->len, .len = (uint32_t)len };
	for (size_t i = 0; i < count; i++) {
		crew__copy(out->data + out->len, vectors[i].iov_base, vectors[i].iov_len);
		out->len += (uint32_t)vectors[i].iov_len;
	}
	peer->held++;
	peer->held_bytes += (uint32_t)len;
	/* Another service of the process calls, at the same turn's end, after ours. */
	if (crew__unlikely(udp->ended_turn == udp->net->clock->turn))
		crew__loop_again(udp->net->loop);
}

static ssize_t send_datagram(crew_conn *c, const struct iovec *vectors, size_t count)
{
	struct crew__udp_peer *peer = crew__udp_peer_of(c);
	struct crew__udp *udp = peer->udp;
	if (!udp)
		return crew__udp_own_send(c, vectors, count);
	struct crew__udp_out *out = udp->out;
	size_t len = length_of(vectors, count);
	crew__must(len <= CREW__UDP_ROOM);
	if (out->count == CREW__UDP_BATCH || CREW__UDP_OUT_MOST - out->len < len)
		crew__udp_flush(udp);
	if (crew__unlikely(udp->blocked)) {
		wait_in_line(udp, peer);
		return 0;
	}
	add_entry(udp, peer, vectors, count, len);
	return len > 0 ? (ssize_t)len : 1;
}

/* Those of the batch are settled when they leave it. */
static void settle_sent(crew_conn *c, size_t bytes, uint32_t messages)
{
	const struct crew__udp_peer *peer = crew__udp_peer_of(c);
	if (!peer->udp)
		crew__udp_own_settle(c, bytes, messages);
}

static bool pending(const crew_conn *c)
{
	return crew__udp_peer_of(c)->held > 0;
}

static bool flush(crew_conn *c)
{
	struct crew__udp_peer *peer = crew__udp_peer_of(c);
	if (peer->udp && peer->held > 0)
		crew__udp_flush(peer->udp);
	return peer->held == 0;
}

static void held(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	const struct crew__udp_peer *peer = crew__udp_peer_of(c);
	*ret_bytes = peer->held_bytes;
	*ret_messages = peer->held;
}

/* There is no goodbye, and none comes back. */
static void finish(crew_conn *c)
{
	c->flags |= CREW__C_PEER_ENDED;
}

static void take_out_of_batch(struct crew__udp *udp, const struct crew__udp_peer *peer)
{
	struct crew__udp_out *out = udp->out;
	for (unsigned i = out->first; i < out->count; i++)
		if (out->entries[i].peer == peer)
			out->entries[i].peer = NULL;
}

static void release(crew_conn *c)
{
	struct crew__udp_peer *peer = crew__udp_peer_of(c);
	struct crew__udp *udp = peer->udp;
	c->net->table->transports[c->slot] = NULL;
	if (udp) {
		take_out_of_batch(udp, peer);
		crew__list_remove(&peer->waits);
		crew__udp_leave(&udp->peers, peer);
	}
	free(peer);
}

/* What comes in does not come by way of the connection. */
static ssize_t receive(crew_conn *c, char *room, size_t size)
{
	(void)c;
	(void)room;
	(void)size;
	errno = EAGAIN;
	return -1;
}

static bool has_more(const crew_conn *c)
{
	(void)c;
	return false;
}

const struct crew__io crew__io_datagram = {
	.datagrams = true,
	.recv = receive,
	.has_more = has_more,
	.send = send_datagram,
	.settle = settle_sent,
	.flush = flush,
	.pending = pending,
	.held = held,
	.finish = finish,
	.release = release,
};
