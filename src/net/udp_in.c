/* udp_in.c - datagrams that have come: whose each is, who is let in, and delivering them.
 *
 * They lie in the rooms of one recvmmsg() and are handled in their order. When a new peer comes
 * while max_connections is reached, others give way, but their slots are free only at the turn's
 * end: what has not been handled waits for that (`next` is less than `count`). */
#include "net/udp_parts.h"

#include "net/address.h"
#include "net/ip_table.h"
#include "net/refuse.h"

#include <netinet/udp.h>
#include <stdlib.h>

/* ---- what the kernel says of a datagram ---------------------------------------------------- */

static struct crew__udp_key key_of(const struct crew__record_address *remote)
{
	struct crew__udp_key key = { 0 };
	memcpy(key.words, remote->ip, sizeof(remote->ip));
	key.words[2] = (uint64_t)remote->scope << 16 | remote->port;
	return key;
}

/* To which of our addresses it came; a group's is none to answer from. */
static bool own_address(const struct cmsghdr *head, struct in6_addr *ret_own)
{
	if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(head), sizeof(info));
		const uint8_t *ip = info.ipi6_addr.s6_addr;
		bool mapped_group = IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr) &&
				    (ip[12] >= 224 && ip[12] <= 239);
		if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr) || mapped_group)
			return false;
		*ret_own = info.ipi6_addr;
		return true;
	}
	if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;
		memcpy(&info, CMSG_DATA(head), sizeof(info));
		*ret_own = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
		memcpy(ret_own->s6_addr + 12, &info.ipi_spec_dst, sizeof(info.ipi_spec_dst));
		return info.ipi_spec_dst.s_addr != 0;
	}
	return false;
}

static void read_own_address(struct msghdr *message, struct in6_addr *ret_own)
{
	*ret_own = in6addr_any;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head))
		if (own_address(head, ret_own))
			return;
}

size_t crew__udp_segment(struct msghdr *message, size_t len)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
		head = CMSG_NXTHDR(message, head)) {
		int segment = 0;
		if (head->cmsg_level != IPPROTO_UDP || head->cmsg_type != UDP_GRO)
			continue;
		memcpy(&segment, CMSG_DATA(head), sizeof(segment));
		return segment > 0 && (size_t)segment < len ? (size_t)segment : 0;
	}
	return 0;
}

/* ---- to the protocol ----------------------------------------------------------------------- */

/* One that is held back only because what it was sent is not with the kernel yet may go on. */
static bool takes_input(crew_conn *c)
{
	if (crew__likely(crew__conn_ready(c)))
		return true;
	if (c->record->state <= CREW__CONN_OPEN && (c->flags & CREW__C_STOPPED) == CREW__C_HELD)
		crew__conn_flush(c);
	return !(c->flags & CREW__C_STOPPED) && c->record->state <= CREW__CONN_OPEN;
}

void crew__udp_deliver(crew_conn *c, char *data, size_t len, size_t segment)
{
	struct crew__net *net = c->net;
	size_t at = 0;
	do {
		size_t part = segment > 0 ? crew__min(segment, len - at) : len;
		net->stats.slab->bytes_in += part;
		if (c->record->state != CREW__CONN_CLOSED) {
			c->record->bytes_in += part;
			c->record->last_in = net->now;
		}
		if (takes_input(c))
			net->ops->on_data(c, data + at, part);
		else
			net->stats.slab->datagrams_dropped++;
		at += part;
	} while (at < len);
}

/* ---- who is let in ------------------------------------------------------------------------- */

static bool over_ip_limit(struct crew__udp *udp, const struct crew__record_address *from)
{
	struct crew__net *net = udp->net;
	char left_out[CREW__LEFT_OUT_MAX];
	char text[80];
	if (!net->ips || crew__ip_table_enter(net->ips, from, net->limits.max_connections_per_ip))
		return false;
	net->stats.slab->refused_ip++;
	if (crew__log_may(&udp->ip_log, 1, left_out)) {
		crew__address_text(from, text, sizeof(text));
		crew__log(CREW_WARN,
			"%s: a datagram from %s dropped: max_connections_per_ip (%zu) is reached%s",
			udp->name, text, net->limits.max_connections_per_ip, left_out);
	}
	return true;
}

static crew__rarely void refuse_for_limit(struct crew__udp *udp)
{
	struct crew__net *net = udp->net;
	char left_out[CREW__LEFT_OUT_MAX];
	net->stats.slab->refused_limit++;
	net->stats.slab->datagrams_dropped++;
	if (crew__log_may(&udp->limit_log, 1, left_out))
		crew__log(CREW_WARN,
			"%s: a datagram of a new peer dropped: max_connections (%zu) is reached%s",
			udp->name, net->limits.max_connections, left_out);
}

static struct crew__record_address local_of(const struct crew__udp *udp, const struct in6_addr *own)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = *own };
	struct crew__record_address local;
	if (!udp->every || IN6_IS_ADDR_UNSPECIFIED(own))
		return udp->local;
	crew__address_record((struct sockaddr *)&address, &local);
	local.port = udp->local.port;
	return local;
}

/* A connection for a peer that is new; NULL with errno. */
static crew_conn *admit(struct crew__udp *udp, const struct crew__udp_peer *model,
	const struct crew__record_address *remote, const struct in6_addr *own)
{
	struct crew__net *net = udp->net;
	struct crew__record_address local = local_of(udp, own);
	struct crew__udp_peer *peer = malloc(sizeof(*peer));
	if (!peer)
		return NULL;
	*peer = *model;
	crew_conn *c = crew__net_new_conn(net, CREW__IO_DATAGRAM, remote, &local);
	if (!c) {
		free(peer);
		return NULL;
	}
	peer->conn = c;
	crew__list_init(&peer->waits);
	crew__list_init(&peer->used);
	net->table->transports[c->slot] = peer;
	crew__udp_enter(&udp->peers, peer);
	c->source.events = CREW__READ; /* as if it were watched: there is nothing to be changed */
	net->current = c;
	net->ops->on_accepted(c);
	return c;
}

/* ---- one after the other ------------------------------------------------------------------- */

/* Of a datagram that has come: whose it is, as far as that can be said without a connection. */
static void read_model(struct crew__udp *udp, unsigned at, struct crew__udp_peer *ret_model,
	struct crew__record_address *ret_remote, struct in6_addr *ret_own)
{
	struct crew__udp_in *in = udp->in;
	struct msghdr *message = &in->messages[at].msg_hdr;
	crew__address_record((struct sockaddr *)&in->names[at], ret_remote);
	*ret_own = in6addr_any;
	if (udp->every)
		read_own_address(message, ret_own);
	*ret_model = (struct crew__udp_peer){
		.udp = udp,
		.key = key_of(ret_remote),
		.name = in->names[at],
		.name_size = message->msg_namelen,
	};
	memcpy(&ret_model->key.words[3], ret_own, sizeof(*ret_own));
	ret_model->hash = crew__udp_hash(&udp->peers, &ret_model->key);
}

enum found {
	FOUND,   /* net->current */
	DROPPED, /* and counted */
	NO_ROOM, /* max_connections is reached */
};

static enum found no_peer(struct crew__udp *udp, int error)
{
	if (error == EMFILE)
		return NO_ROOM;
	udp->net->stats.slab->accept_failed++;
	udp->net->stats.slab->datagrams_dropped++;
	return DROPPED;
}

/* Whose the datagram is: his connection becomes the one whose event is handled. */
static enum found find(struct crew__udp *udp, unsigned at)
{
	struct crew__net *net = udp->net;
	struct crew__udp_peer model;
	struct crew__record_address remote;
	struct in6_addr own;
	read_model(udp, at, &model, &remote, &own);
	struct crew__udp_peer *peer = crew__udp_find(&udp->peers, &model.key, model.hash);
	if (crew__likely(peer != NULL)) {
		crew__udp_touch(&udp->peers, peer);
		net->current = peer->conn;
		return FOUND;
	}
	if (net->stats.slab->connections >= net->limits.max_connections)
		return NO_ROOM;
	if (crew__refuse_fast(net, &remote, udp->name) || over_ip_limit(udp, &remote)) {
		net->stats.slab->datagrams_dropped++;
		return DROPPED;
	}
	if (admit(udp, &model, &remote, &own))
		return FOUND;
	int error = errno;
	if (net->ips)
		crew__ip_table_leave(net->ips, &remote);
	return no_peer(udp, error);
}

static bool from_the_same(const struct crew__udp *udp, unsigned a, unsigned b)
{
	struct crew__udp_in *in = udp->in;
	struct msghdr *x = &in->messages[a].msg_hdr, *y = &in->messages[b].msg_hdr;
	if (x->msg_namelen != y->msg_namelen ||
		memcmp(&in->names[a], &in->names[b], x->msg_namelen) != 0)
		return false;
	if (!udp->every)
		return true;
	struct in6_addr own_x, own_y;
	read_own_address(x, &own_x);
	read_own_address(y, &own_y);
	return memcmp(&own_x, &own_y, sizeof(own_x)) == 0;
}

static crew__rarely void drop_truncated(struct crew__udp *udp, unsigned at)
{
	struct crew__record_address remote;
	char text[80];
	char left_out[CREW__LEFT_OUT_MAX];
	udp->net->stats.slab->datagrams_truncated++;
	if (!crew__log_may(&udp->truncated_log, 1, left_out))
		return;
	crew__address_record((struct sockaddr *)&udp->in->names[at], &remote);
	crew__address_text(&remote, text, sizeof(text));
	crew__log(CREW_WARN, "%s: a datagram from %s does not fit into %d bytes and is dropped%s",
		udp->name, text, CREW__UDP_ROOM, left_out);
}

/* The datagram at `at`, and those behind it that are the same peer's. False: there is no room for
 * the peer. */
static bool handle(struct crew__udp *udp)
{
	struct crew__udp_in *in = udp->in;
	struct crew__net *net = udp->net;
	unsigned first = in->next;
	if (crew__unlikely(in->messages[first].msg_hdr.msg_flags & MSG_TRUNC)) {
		drop_truncated(udp, first);
		in->next++;
		return true;
	}
	enum found found = find(udp, first);
	if (crew__unlikely(found == NO_ROOM))
		return false;
	if (crew__unlikely(found == DROPPED)) {
		in->next++;
		return true;
	}
	crew_conn *c = net->current;
	do {
		struct mmsghdr *message = &in->messages[in->next];
		size_t segment = crew__udp_segment(&message->msg_hdr, message->msg_len);
		crew__udp_deliver(c, in->vectors[in->next].iov_base, message->msg_len, segment);
		in->next++;
	} while (in->next < in->count && c->record->state <= CREW__CONN_OPEN &&
		 !(in->messages[in->next].msg_hdr.msg_flags & MSG_TRUNC) &&
		 from_the_same(udp, first, in->next));
	crew__conn_finish_event(c);
	return true;
}

void crew__udp_handle(struct crew__udp *udp)
{
	crew__net_now(udp->net); /* from here on net->now is this turn's */
	while (udp->in->next < udp->in->count && handle(udp))
		;
	crew__udp_flush(udp);
}

/* The rooms are empty again. */
void crew__udp_prepare(struct crew__udp_in *in, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		in->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &in->names[i],
			.msg_namelen = sizeof(in->names[i]),
			.msg_iov = &in->vectors[i],
			.msg_iovlen = 1,
			.msg_control = in->controls[i].bytes,
			.msg_controllen = sizeof(in->controls[i].bytes),
		};
	}
}

/* ---- when there is no room ----------------------------------------------------------------- */

/* How many new peers are among those that wait: each once. Those that are not new are in use. */
static size_t count_new(struct crew__udp *udp)
{
	uint64_t seen[CREW__UDP_BATCH];
	size_t count = 0;
	for (unsigned at = udp->in->next; at < udp->in->count; at++) {
		struct crew__udp_peer model;
		struct crew__record_address remote;
		struct in6_addr own;
		read_model(udp, at, &model, &remote, &own);
		struct crew__udp_peer *peer = crew__udp_find(&udp->peers, &model.key, model.hash);
		if (peer) {
			crew__udp_touch(&udp->peers, peer);
			continue;
		}
		bool known = false;
		for (size_t i = 0; i < count && !known; i++)
			known = seen[i] == model.hash;
		if (!known)
			seen[count++] = model.hash;
	}
	return count;
}

/* Those who have been idle for longest give way to the new: all that are to come now, or one after
 * the other where some of them may be refused for their address. Their slots are free in the next
 * turn. Returns how many. */
static size_t make_room(struct crew__udp *udp)
{
	struct crew__net *net = udp->net;
	uint64_t connections = net->stats.slab->connections;
	size_t wanted = net->ips ? 1 : count_new(udp);
	size_t done = 0;
	/* The limit may have been lowered: then more than the new are too many. */
	while (connections + wanted > net->limits.max_connections + done && done < wanted) {
		struct crew__udp_peer *peer = crew__udp_idlest(&udp->peers);
		if (!peer)
			break;
		crew__conn_abort(peer->conn, CREW_END_IDLE);
		done++;
	}
	return done;
}

/* What the turn's end has freed serves those that wait. True: the next turn has more of that to do.
 */
bool crew__udp_handle_rest(struct crew__udp *udp)
{
	struct crew__udp_in *in = udp->in;
	if (make_room(udp) > 0)
		return true;
	unsigned before = in->next;
	crew__udp_handle(udp);
	while (in->next < in->count && in->next == before) { /* nobody can give way */
		refuse_for_limit(udp);
		before = ++in->next;
		crew__udp_handle(udp);
	}
	if (in->next < in->count)
		return true;
	crew__udp_prepare(in, in->count);
	return false;
}
