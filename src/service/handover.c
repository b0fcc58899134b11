#include "service/handover.h"

#include "service/ws.h"
#include "stats/rings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CLOSE_SERVICE_RESTART = 1012
};

enum {
	TAG_SERVICE = 1, /* its name */
	TAG_VERSION,     /* handover_version */
	TAG_SCHEME,      /* enum crew__protocol_kind of the service */
	TAG_PROTOCOL,    /* of the connection */
	TAG_NET,
	TAG_WEBSOCKET,
	TAG_PROTOCOL_BYTES, /* plain: the state of the program's protocol */
	TAG_CONN_BYTES,     /* plain: conn_size bytes */
	TAG_STATE,          /* what on_handover wrote */
};

/* What on_handover writes to. */
struct crew_handover {
	struct crew__buf bytes;
	int error;
};

int crew_handover_put(crew_handover *h, crew_bytes bytes)
{
	if (!h || (!bytes.data && bytes.len > 0))
		return -EINVAL;
	int error = crew__buf_append(&h->bytes, bytes.data, bytes.len);
	h->error = h->error ? h->error : error;
	return error;
}

/* ---- may it go ----------------------------------------------------------------------------- */

uint32_t crew__handover_slots(const crew_worker *w)
{
	return crew__net_high(&w->net);
}

uint32_t crew__handover_slots_most(const crew_worker *w)
{
	return w->net.stats.slots;
}

crew_conn *crew__handover_at(crew_worker *w, uint32_t slot)
{
	crew_conn *c = crew__net_at(&w->net, slot);
	return c && crew__handover_movable(c) != CREW__MOVES_NEVER ? c : NULL;
}

enum crew__movable crew__handover_movable(crew_conn *c)
{
	switch (c->record->protocol) {
	case CREW__RAW:
	case CREW__TEXT:
	case CREW__FRAME:
	case CREW__CUSTOM:
		break;
	case CREW__WS:
		if (!crew__ws_is_movable(c))
			return CREW__MOVES_LATER;
		break;
	case CREW__HTTP:
		/* Amid a WebSocket's handshake. */
		return crew__worker_of(c)->kind == CREW__WS &&
				       c->record->state == CREW__CONN_HANDSHAKE &&
				       c->io == CREW__IO_SOCKET
			       ? CREW__MOVES_LATER
			       : CREW__MOVES_NEVER;
	default:
		return CREW__MOVES_NEVER; /* a stream of events is begun anew by its reader */
	}
	return crew__side(c)->shown ? crew__conn_movable(c) : CREW__MOVES_NEVER;
}

void crew__handover_count_kept(crew_worker *w)
{
	w->net.stats.slab->handover_kept++;
}

/* ---- down ---------------------------------------------------------------------------------- */

/* 0, -ECANCELED. The program may have done anything. */
static int ask_program(crew_conn *c, struct crew_handover *h)
{
	crew_worker *w = crew__worker_of(c);
	if (!w->service->on_handover)
		return 0;
	struct crew__entered before = crew__enter(w, CREW__CB_HANDOVER);
	int answer = w->service->on_handover(c, h);
	crew__leave(w, before);
	return answer < 0 || h->error ? -ECANCELED : 0;
}

static void put_websocket(struct crew__parcel *parcel, crew_conn *c)
{
	struct crew__parcel inner;
	if (c->record->protocol != CREW__WS)
		return;
	crew__parcel_init(&inner, parcel->bytes.max);
	crew__ws_pack(c, &inner);
	parcel->error = parcel->error ? parcel->error : inner.error;
	crew__parcel_put(parcel, TAG_WEBSOCKET, (crew_bytes){ inner.bytes.data, inner.bytes.len });
	crew__parcel_fini(&inner);
}

static void put_net(struct crew__parcel *parcel, crew_conn *c)
{
	struct crew__parcel inner;
	crew__parcel_init(&inner, parcel->bytes.max);
	crew__conn_pack(c, &inner);
	parcel->error = parcel->error ? parcel->error : inner.error;
	crew__parcel_put(parcel, TAG_NET, (crew_bytes){ inner.bytes.data, inner.bytes.len });
	crew__parcel_fini(&inner);
}

static void put_plain(struct crew__parcel *parcel, const crew_conn *c)
{
	const crew_worker *w = crew__worker_of(c);
	size_t state = w->service->protocol ? w->service->protocol->state_size : 0;
	if (!w->service->handover_plain)
		return;
	if (state > 0)
		crew__parcel_put(
			parcel, TAG_PROTOCOL_BYTES, (crew_bytes){ c->ext + w->state_at, state });
	if (w->service->conn_size > 0)
		crew__parcel_put(parcel, TAG_CONN_BYTES,
			(crew_bytes){ c->ext + w->data_at, w->service->conn_size });
}

static void put_all(struct crew__parcel *parcel, crew_conn *c, const struct crew_handover *h)
{
	const crew_worker *w = crew__worker_of(c);
	crew__parcel_put(parcel, TAG_SERVICE, crew_str(w->service->name));
	crew__parcel_number(parcel, TAG_VERSION, w->service->handover_version);
	crew__parcel_number(parcel, TAG_SCHEME, w->kind);
	crew__parcel_number(parcel, TAG_PROTOCOL, c->record->protocol);
	put_net(parcel, c);
	put_websocket(parcel, c);
	put_plain(parcel, c);
	if (h->bytes.len > 0)
		crew__parcel_put(parcel, TAG_STATE, (crew_bytes){ h->bytes.data, h->bytes.len });
}

int crew__handover_pack(crew_conn *c, struct crew__parcel *parcel)
{
	struct crew_handover h = { .error = 0 };
	crew__buf_init(&h.bytes, CREW_HANDOVER_STATE_MOST);
	int error = ask_program(c, &h);
	/* It may have closed the connection, or done something that takes a turn. */
	if (!crew__conn_gather(c))
		error = c->record->state == CREW__CONN_OPEN && !error ? -EAGAIN : -ECANCELED;
	else if (error)
		crew__conn_stays(c);
	if (!error) {
		put_all(parcel, c, &h);
		error = parcel->error;
		if (error)
			crew__conn_stays(c);
	}
	crew__buf_release(&h.bytes);
	return error == -ENOTSUP || error == -ENOBUFS ? -ECANCELED : error;
}

/* ---- up ------------------------------------------------------------------------------------ */

struct draft {
	crew_bytes service, net, websocket, protocol_bytes, conn_bytes, state;
	uint64_t version, scheme, protocol;
	bool plain_protocol, plain_conn;
	struct crew__moved moved;
};

static bool take(struct draft *d, const struct crew__parcel_item *item)
{
	switch (item->tag) {
	case TAG_SERVICE:
		d->service = item->value;
		return true;
	case TAG_VERSION:
		return crew__parcel_is_number(item, UINT32_MAX, &d->version);
	case TAG_SCHEME:
		return crew__parcel_is_number(item, UINT8_MAX, &d->scheme);
	case TAG_PROTOCOL:
		return crew__parcel_is_number(item, UINT8_MAX, &d->protocol);
	case TAG_NET:
		d->net = item->value;
		return true;
	case TAG_WEBSOCKET:
		d->websocket = item->value;
		return true;
	case TAG_PROTOCOL_BYTES:
		d->protocol_bytes = item->value;
		return d->plain_protocol = true;
	case TAG_CONN_BYTES:
		d->conn_bytes = item->value;
		return d->plain_conn = true;
	case TAG_STATE:
		d->state = item->value;
		return item->value.len <= CREW_HANDOVER_STATE_MOST;
	default:
		return true; /* what another version says beside */
	}
}

static int read_draft(crew_bytes packed, struct draft *d)
{
	struct crew__parcel_item item;
	int got;
	*d = (struct draft){ .scheme = UINT8_MAX, .protocol = UINT8_MAX };
	while ((got = crew__parcel_next(&packed, &item)) == 1)
		if (!take(d, &item))
			return -EPROTO;
	return got < 0 ? -EPROTO : crew__moved_read(d->net, &d->moved);
}

/* Its bytes are as long as they are here, and said in the way in which they are wanted. */
static bool bytes_fit(const crew_service *service, const struct draft *d)
{
	size_t state = service->protocol ? service->protocol->state_size : 0;
	if (!service->handover_plain)
		return !d->plain_protocol && !d->plain_conn;
	return d->protocol_bytes.len == state && d->conn_bytes.len == service->conn_size;
}

static int check(const crew_worker *w, const struct draft *d)
{
	const crew_service *service = w->service;
	bool protocol = d->protocol == CREW__WS ? w->upgrades : d->protocol == w->kind;
	if (d->service.len != strlen(service->name) ||
		memcmp(d->service.data, service->name, d->service.len) != 0)
		return -ENOTSUP;
	if (d->version != service->handover_version || d->scheme != w->kind || !protocol ||
		d->protocol == CREW__HTTP || !bytes_fit(service, d))
		return -ENOTSUP;
	if (w->leaving != CREW__STAYS)
		return -ESHUTDOWN;
	if (w->net.stats.slab->connections >= w->net.limits.max_connections)
		return -EMFILE;
	return 0;
}

/* A stream of ours with a peer, and nothing else, whoever sent it. */
static int check_fd(int fd)
{
	int type, domain, accepts;
	socklen_t size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) < 0)
		return -EPROTO;
	bool known = domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX;
	if (type != SOCK_STREAM || accepts || !known)
		return -EPROTO;
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -EPROTO;
}

/* What is the protocol's and the program's. */
static int restore_side(crew_conn *c, const struct draft *d, bool *ret_ws)
{
	const crew_worker *w = crew__worker_of(c);
	struct crew__side *side = crew__side(c);
	side->accepted = true;
	side->shown = true;
	side->proxied = w->settings->proxy_protocol;
	if (d->plain_protocol)
		memcpy(c->ext + w->state_at, d->protocol_bytes.data, d->protocol_bytes.len);
	if (d->plain_conn)
		memcpy(c->ext + w->data_at, d->conn_bytes.data, d->conn_bytes.len);
	*ret_ws = false;
	return d->protocol == CREW__WS ? crew__ws_unpack(c, d->websocket, ret_ws) : 0;
}

/* What has not proved who it is may say no more than that here as well. */
static void bound_messages(crew_conn *c)
{
	struct crew__ws *codec = &crew__side(c)->ws.codec;
	if (c->record->protocol != CREW__WS || !crew__conn_rare(c)->unauthenticated)
		return;
	uint64_t under_way = codec->message.len + codec->left;
	size_t most = crew__conn_most_of(c, crew__worker_of(c)->max_message);
	codec->message.max = (uint32_t)crew__min(crew__max(most, under_way), INT32_MAX);
}

static void tell_program(crew_conn *c, const struct draft *d)
{
	crew_worker *w = crew__worker_of(c);
	const crew_protocol *protocol = w->service->protocol;
	if (protocol && protocol->on_open && !d->plain_protocol) {
		struct crew__entered before = crew__enter(w, CREW__CB_PROTOCOL);
		protocol->on_open(c);
		crew__leave(w, before);
	}
	if (!w->service->on_restore || c->record->state > CREW__CONN_OPEN)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_RESTORE);
	int answer = w->service->on_restore(c, d->moved.id, d->state);
	crew__leave(w, before);
	if (answer >= 0 || c->record->state > CREW__CONN_OPEN)
		return;
	w->closing_code = CLOSE_SERVICE_RESTART;
	crew__conn_close(c, CREW_END_DRAIN);
	w->closing_code = 0;
}

static int undo(crew_conn *c, bool ws, int error)
{
	if (ws)
		crew__ws_closed(c);
	crew__conn_unrestore(c);
	return error;
}

int crew__handover_take(crew_worker *w, crew_bytes packed, int fd, bool (*agree)(void *arg),
	void *arg, uint64_t *ret_id)
{
	struct draft d;
	bool ws;
	int error = read_draft(packed, &d);
	if (!error)
		error = check(w, &d);
	if (!error)
		error = check_fd(fd);
	if (error)
		return error;
	crew_conn *c = crew__net_restore(&w->net, &d.moved);
	if (!c)
		return errno == ENOBUFS ? -ENOTSUP : -errno;
	error = restore_side(c, &d, &ws);
	if (error)
		return undo(c, ws, error);
	error = crew__conn_attach_moved(c, fd);
	if (error)
		return undo(c, ws, error);
	if (agree && !agree(arg))
		return undo(c, ws, -ECANCELED);
	crew__conn_settle(c, &d.moved);
	*ret_id = crew_id(c);
	bound_messages(c);
	tell_program(c, &d);
	return 0;
}

/* Framed, what waits is a little longer than its limit and one message; its boundaries cost as much
 * as the shortest messages. */
size_t crew__handover_most(const crew_worker *w)
{
	uint64_t queue = (uint64_t)w->net.limits.max_send_buffer + w->max_message;
	uint64_t most = 4 * queue + 2 * w->max_message + CREW__HANDOVER_SLACK;
	return crew__min(most, INT32_MAX);
}

void crew__handover_note(crew_worker *w, uint64_t gone, uint64_t kept)
{
	const struct crew__event event = {
		.kind = CREW__EVENT_HANDOVER,
		.values = { gone, kept },
	};
	crew__events_add(w->net.stats.events, &event);
}
