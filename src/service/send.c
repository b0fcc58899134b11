/* send.c - the program's sends: checked, framed for the protocol, handed to the connection.
 *
 * A shared message keeps its encodings: the first protocol that needs a head gets it in the room
 * before the bytes, so that a broadcast encodes once and each receiver refers to the same bytes; a
 * second protocol (or kind) gets a copy of its own. */
#include "service/http.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEAD_ROOM = 16,
	TAIL_ROOM = 2,
	EVENT = CREW_BINARY + 1, /* a kind of shared messages: encoded as an event already */
};

/* ---- framing ------------------------------------------------------------------------------- */

static int frame_length(crew_frame *frame)
{
	uint64_t whole = (uint64_t)frame->body.len + 4;
	if (whole > UINT32_MAX)
		return -EMSGSIZE;
	for (int i = 0; i < 4; i++)
		frame->room[i] = (char)(whole >> (24 - 8 * i));
	frame->head = (crew_bytes){ frame->room, 4 };
	return 0;
}

static void frame_websocket(crew_frame *frame, crew_kind kind)
{
	unsigned opcode = kind == CREW_BINARY ? CREW__WS_OP_BINARY : CREW__WS_OP_TEXT;
	frame->head = (crew_bytes){ frame->room,
		crew__ws_header(frame->room, opcode, frame->body.len) };
}

static int frame_custom(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	crew_worker *w = crew__worker_of(c);
	if (kind > CREW_BINARY)
		kind = CREW_TEXT;
	if (!w->service->protocol->encode)
		return 0;
	struct crew__entered before = crew__enter(w, CREW__CB_PROTOCOL);
	int error = w->service->protocol->encode(c, kind, frame);
	crew__leave(w, before);
	return error;
}

/* Put head and tail around frame->body. 0, -EMSGSIZE, -EINVAL, -ENOMEM. */
static inline int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	frame->head.len = 0;
	frame->tail.len = 0;
	switch (c->record->protocol) {
	case CREW__WS:
		frame_websocket(frame, kind);
		return 0;
	case CREW__TEXT:
		frame->tail = CREW_BYTES("\n");
		return 0;
	case CREW__FRAME:
		return frame_length(frame);
	case CREW__CUSTOM:
		return frame_custom(c, kind, frame);
	case CREW__HTTP:
		return -EINVAL; /* answers go by crew_reply() */
	case CREW__SSE:
	case CREW__SSE_END:
		return crew__events_frame(c, kind == (crew_kind)EVENT, frame);
	default:
		return 0;
	}
}

static size_t framed_size(const crew_frame *frame)
{
	return frame->head.len + frame->body.len + frame->tail.len;
}

/* ---- the one way to a connection ----------------------------------------------------------- */

/* Whose counters tell of a send to nobody: the worker whose callback runs, else the first. */
static struct crew__net *net_of_nobody(void)
{
	if (crew__here.current)
		return &crew__here.current->net;
	return crew__here.count > 0 ? &crew__here.workers[0]->net : NULL;
}

static int64_t lose_closed(crew_conn *c, size_t bytes)
{
	struct crew__net *net = c ? c->net : net_of_nobody();
	if (net)
		crew__net_lose_closed(net, c, bytes);
	return -ENOTCONN;
}

static int64_t refuse(struct crew__net *net, int error)
{
	if (net)
		crew__net_count_invalid(net);
	return error;
}

static crew_kind kind_for(const crew_conn *c, crew_kind kind)
{
	if (kind != CREW_KIND_DEFAULT)
		return kind;
	const crew_worker *w = crew__worker_of(c);
	return w->answering == c ? w->answer_kind : CREW_TEXT;
}

static bool is_valid(crew_bytes bytes, crew_kind kind)
{
	return (bytes.data || bytes.len == 0) && (unsigned)kind <= CREW_BINARY;
}

/* What can be said before the connection is asked; 0 when it can. */
static int judge(const crew_conn *c, crew_bytes bytes, crew_kind kind)
{
	if (crew__unlikely(!is_valid(bytes, kind)))
		return -EINVAL;
	if (crew__unlikely(bytes.len > CREW__SEND_MOST))
		return -EMSGSIZE;
	return crew__unlikely(!c || c->record->state > CREW__CONN_OPEN) ? -ENOTCONN : 0;
}

static int64_t not_sent(crew_conn *c, crew_bytes bytes, const struct crew__about *about, int error)
{
	if (error == -ENOTCONN)
		return lose_closed(c, bytes.len);
	if (error == -ENOMEM)
		return crew__conn_lose_memory(c, bytes.len, about);
	return refuse(c ? c->net : net_of_nobody(), error < 0 ? error : -EINVAL);
}

/* As it was encoded; an event's text must not be written over meanwhile. */
static inline int64_t send_out(crew_conn *c, struct crew__out *out, bool replaced)
{
	crew_worker *w = crew__worker_of(c);
	if (crew__likely(!replaced || !crew__is_events(c)))
		return crew__conn_send(c, out);
	struct crew__answer_memory memory = crew__answer_hold(w);
	int64_t queued = crew__conn_send(c, out);
	crew__answer_give_back(w, &memory);
	return queued;
}

/* What is said of a message beside its kind, in net's terms. -EINVAL when it is not sound. */
static int about_of(const crew_send_options *options, struct crew__about *ret_about)
{
	uint64_t hundredths = ((uint64_t)options->ttl_ms + 9) / 10;
	if (options->ttl_ms < 0 || hundredths > INT32_MAX || options->key.len > CREW_KEY_MOST ||
		(!options->key.data && options->key.len > 0) ||
		(unsigned)options->policy >= CREW_POLICIES ||
		(unsigned)options->priority > CREW_HIGH)
		return -EINVAL;
	*ret_about = (struct crew__about){
		.key = options->key,
		.sequence = options->sequence,
		.ttl = (uint32_t)hundredths,
		.lane = options->priority == CREW_HIGH ? CREW__LANE_HIGH : CREW__LANE_NORMAL,
		.policy = (uint8_t)options->policy,
	};
	return 0;
}

/* How the body is held stands in `out`; it is released in every case. */
static __attribute__((noinline)) int64_t send_framed(
	crew_conn *c, crew_bytes bytes, crew_kind kind, struct crew__out *out)
{
	crew_frame frame;
	frame.body = bytes;
	int error = judge(c, bytes, kind);
	if (crew__likely(!error))
		error = encode(c, kind_for(c, kind), &frame);
	bool replaced = error || frame.body.data != bytes.data;
	crew__release_fn *release = replaced ? out->release : NULL;
	if (crew__unlikely(replaced)) { /* encode() made other bytes, which are copied */
		out->hold = CREW__HOLD_COPY;
		out->release = NULL;
	}
	int64_t queued;
	if (crew__likely(!error)) {
		out->head = frame.head;
		out->body = frame.body;
		out->tail = frame.tail;
		queued = send_out(c, out, replaced);
	} else {
		queued = not_sent(c, bytes, out->about, error);
	}
	if (release) /* the program's own are done with */
		release((void *)(uintptr_t)bytes.data, out->arg);
	return queued;
}

/* Nearly every send: an answer of a few bytes in a protocol of crew's, framed where it leaves from.
 * CREW__NOT_CORKED: it must go the long way. */
enum {
	CREW__NOT_CORKED = INT32_MIN
};
static inline int64_t send_short(crew_conn *c, crew_bytes bytes)
{
	if (crew__unlikely(!c || bytes.len - 1 >= CREW__WS_CONTROL_MAX || !bytes.data))
		return CREW__NOT_CORKED;
	char *room;
	unsigned protocol = c->record->protocol;
	size_t header = protocol == CREW__WS ? 2 : 0;
	if (crew__unlikely(protocol != CREW__WS && protocol != CREW__RAW))
		return CREW__NOT_CORKED;
	room = crew__conn_cork_room(c, bytes.len + header);
	if (crew__unlikely(!room))
		return CREW__NOT_CORKED;
	if (header > 0)
		crew__ws_header(room,
			kind_for(c, CREW_KIND_DEFAULT) == CREW_BINARY ? CREW__WS_OP_BINARY
								      : CREW__WS_OP_TEXT,
			bytes.len);
	crew__copy(room + header, bytes.data, bytes.len);
	return crew__conn_corked(c, bytes.len + header);
}

int64_t crew__service_send(crew_conn *c, crew_bytes bytes, crew_kind kind)
{
	struct crew__out out = { .hold = CREW__HOLD_COPY };
	return send_framed(c, bytes, kind, &out);
}

int64_t crew_send(crew_conn *c, crew_bytes bytes)
{
	int64_t queued = send_short(c, bytes);
	if (crew__likely(queued != CREW__NOT_CORKED))
		return queued;
	struct crew__out out = { .hold = CREW__HOLD_COPY };
	return send_framed(c, bytes, CREW_KIND_DEFAULT, &out);
}

int64_t crew_send_with(crew_conn *c, crew_bytes bytes, const crew_send_options *options)
{
	struct crew__out out = { .hold = CREW__HOLD_COPY };
	struct crew__about about;
	if (!options)
		return send_framed(c, bytes, CREW_KIND_DEFAULT, &out);
	if (crew__unlikely(about_of(options, &about) < 0))
		return refuse(c ? c->net : net_of_nobody(), -EINVAL);
	out.about = &about;
	return send_framed(c, bytes, options->kind, &out);
}

int64_t crew_send_static(crew_conn *c, crew_bytes bytes)
{
	struct crew__out out = { .hold = CREW__HOLD_REFER };
	return send_framed(c, bytes, CREW_KIND_DEFAULT, &out);
}

int64_t crew_send_owned(
	crew_conn *c, crew_bytes bytes, void (*free_fn)(void *data, void *arg), void *arg)
{
	struct crew__out out = {
		.hold = CREW__HOLD_REFER, .release = free_fn, .arg = arg, .owned = true
	};
	return send_framed(c, bytes, CREW_KIND_DEFAULT, &out);
}

/* ---- shared messages ----------------------------------------------------------------------- */

/* What an encoding depends on. */
struct key {
	uint8_t protocol; /* enum crew__protocol_kind */
	uint8_t kind;
	const crew_protocol *custom;
};

struct variant {
	struct variant *next;
	struct key key;
	size_t len;
	char data[];
};

/* The bytes stand behind HEAD_ROOM bytes for one head and before TAIL_ROOM for one tail. */
struct crew_shared {
	uint32_t references;
	uint32_t waiting;         /* pieces of queues that refer to it */
	struct crew__about about; /* its key lies behind its bytes */
	bool says;                /* about says something */
	crew_kind kind;
	size_t len;
	struct key head_key; /* whose head is in the room */
	size_t head_len;     /* 0: the room is free */
	struct variant *variants;
	char room[];
};

static crew_shared *new_shared(size_t len, size_t key_len, unsigned kind)
{
	crew_shared *s = malloc(sizeof(*s) + HEAD_ROOM + len + TAIL_ROOM + key_len);
	if (!s)
		return NULL;
	*s = (crew_shared){ .references = 1, .kind = (crew_kind)kind, .len = len };
	s->room[HEAD_ROOM + len] = '\n'; /* the tail of `text` */
	return s;
}

crew_shared *crew_shared_new_kind(crew_bytes bytes, crew_kind kind)
{
	if ((!bytes.data && bytes.len > 0) || bytes.len > CREW__SEND_MOST)
		return NULL;
	crew_shared *s = new_shared(bytes.len, 0, kind);
	if (s && bytes.len > 0)
		memcpy(s->room + HEAD_ROOM, bytes.data, bytes.len);
	return s;
}

crew_shared *crew_shared_new_with(crew_bytes bytes, const crew_send_options *options)
{
	struct crew__about about;
	if (!options)
		return crew_shared_new(bytes);
	if (!is_valid(bytes, options->kind) || bytes.len > CREW__SEND_MOST ||
		about_of(options, &about) < 0)
		return NULL;
	crew_kind kind = options->kind == CREW_KIND_DEFAULT ? CREW_TEXT : options->kind;
	crew_shared *s = new_shared(bytes.len, about.key.len, kind);
	if (!s)
		return NULL;
	char *key = s->room + HEAD_ROOM + bytes.len + TAIL_ROOM;
	crew__copy(s->room + HEAD_ROOM, bytes.data, bytes.len);
	crew__copy(key, about.key.data, about.key.len);
	about.key.data = key;
	s->about = about;
	s->says = true;
	return s;
}

crew_shared *crew__shared_new_event(size_t size)
{
	return new_shared(size, 0, EVENT);
}

crew_shared *crew_shared_new(crew_bytes bytes)
{
	return crew_shared_new_kind(bytes, CREW_TEXT);
}

crew_shared *crew_shared_ref(crew_shared *s)
{
	if (s)
		s->references++;
	return s;
}

void crew_shared_unref(crew_shared *s)
{
	if (!s)
		return;
	crew__must(s->references > 0);
	if (--s->references > 0)
		return;
	while (s->variants) {
		struct variant *v = s->variants;
		s->variants = v->next;
		free(v);
	}
	free(s);
}

crew_bytes crew_shared_bytes(const crew_shared *s)
{
	return s ? (crew_bytes){ s->room + HEAD_ROOM, s->len } : (crew_bytes){ NULL, 0 };
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->protocol == b->protocol && a->kind == b->kind && a->custom == b->custom;
}

static int add_variant(crew_shared *s, const struct key *key, const crew_frame *frame)
{
	struct variant *v = malloc(sizeof(*v) + framed_size(frame));
	if (!v)
		return -ENOMEM;
	const crew_bytes parts[] = { frame->head, frame->body, frame->tail };
	v->key = *key;
	v->len = 0;
	for (size_t i = 0; i < crew__lengthof(parts); i++) {
		if (parts[i].len > 0)
			memcpy(v->data + v->len, parts[i].data, parts[i].len);
		v->len += parts[i].len;
	}
	v->next = s->variants;
	s->variants = v;
	return 0;
}

/* Encode for the first time: in place when a head alone is wanted and its room is free. */
static int encode_shared(crew_conn *c, crew_shared *s, const struct key *key)
{
	crew_frame frame;
	frame.body = crew_shared_bytes(s);
	const char *body = frame.body.data;
	int error = encode(c, (crew_kind)key->kind, &frame);
	if (error)
		return error;
	bool in_place = frame.body.data == body && frame.body.len == s->len &&
			frame.tail.len == 0 && s->head_len == 0 && frame.head.len > 0 &&
			frame.head.len <= HEAD_ROOM;
	if (!in_place)
		return add_variant(s, key, &frame);
	memcpy(s->room + HEAD_ROOM - frame.head.len, frame.head.data, frame.head.len);
	s->head_len = frame.head.len;
	s->head_key = *key;
	return 0;
}

/* False: not encoded for that key yet. */
static bool find_encoding(const crew_shared *s, const struct key *key, crew_bytes *ret_bytes)
{
	if (key->protocol == CREW__RAW || key->protocol == CREW__TEXT) {
		*ret_bytes = (crew_bytes){ s->room + HEAD_ROOM,
			s->len + (key->protocol == CREW__TEXT) };
		return true;
	}
	if (s->head_len > 0 && same_key(&s->head_key, key)) {
		*ret_bytes = (crew_bytes){ s->room + HEAD_ROOM - s->head_len,
			s->head_len + s->len };
		return true;
	}
	for (const struct variant *v = s->variants; v; v = v->next) {
		if (same_key(&v->key, key)) {
			*ret_bytes = (crew_bytes){ v->data, v->len };
			return true;
		}
	}
	return false;
}

static struct key key_for(const crew_conn *c, const crew_shared *s)
{
	return (struct key){
		.protocol = c->record->protocol,
		.kind = (uint8_t)(s->kind == CREW_KIND_DEFAULT ? CREW_TEXT : s->kind),
		.custom = crew__worker_of(c)->service->protocol,
	};
}

/* As it leaves to `c`: found, or made now. 0, -ENOMEM, or what encode() says. */
static int encoding_for(crew_conn *c, crew_shared *s, crew_bytes *ret_bytes)
{
	struct key key = key_for(c, s);
	if (crew__likely(find_encoding(s, &key, ret_bytes)))
		return 0;
	int error = encode_shared(c, s, &key);
	if (!error)
		crew__must(find_encoding(s, &key, ret_bytes));
	return error;
}

static void keep_shared(void *arg)
{
	crew_shared_ref(arg);
}

static void unref_shared(void *data, void *arg)
{
	(void)data;
	crew_shared_unref(arg);
}

/* Its bytes are in memory once, however many queues wait for them. */
static void release_shared(void *data, void *arg)
{
	crew_shared *s = arg;
	(void)data;
	crew__must(s->waiting > 0);
	if (--s->waiting == 0)
		crew__here.shared_held -= s->len;
	crew_shared_unref(s);
}

static int64_t send_encoded(crew_conn *c, crew_shared *s, crew_bytes encoded)
{
	struct crew__out out = {
		.body = encoded,
		.hold = CREW__HOLD_REFER,
		.release = release_shared,
		.arg = crew_shared_ref(s),
		.about = s->says ? &s->about : NULL,
	};
	if (s->waiting++ == 0)
		crew__here.shared_held += s->len;
	return crew__conn_send(c, &out);
}

int64_t crew_send_shared(crew_conn *c, crew_shared *s)
{
	crew_bytes encoded;
	if (!s)
		return refuse(c ? c->net : net_of_nobody(), -EINVAL);
	if (!c || c->record->state > CREW__CONN_OPEN)
		return lose_closed(c, s->len);
	int error = encoding_for(c, s, &encoded);
	if (error == -ENOMEM)
		return crew__conn_lose_memory(c, s->len, s->says ? &s->about : NULL);
	if (error)
		return refuse(c->net, error);
	return send_encoded(c, s, encoded);
}

/* ---- to all of a service ------------------------------------------------------------------- */

static crew_worker *worker_of_service(const crew_service *service)
{
	for (unsigned i = 0; i < crew__here.count; i++)
		if (crew__here.workers[i]->service == service)
			return crew__here.workers[i];
	return NULL;
}

/* The first that is open: most of a service speak the same. */
static crew_conn *first_member(const crew_worker *w)
{
	for (uint32_t slot = 0; slot < w->net.slots_high; slot++)
		if (w->net.slots[slot] && crew__conn_is_member(w->net.slots[slot]))
			return w->net.slots[slot];
	return NULL;
}

/* Each by its own: those that the burst could not serve. */
static int64_t send_to_the_rest(crew_worker *w, crew_shared *s)
{
	int64_t accepted = 0;
	for (uint32_t slot = 0; slot < w->net.slots_high; slot++) {
		crew_conn *c = w->net.slots[slot];
		if (c && !(c->flags & CREW__C_IN_BURST) && crew__conn_is_member(c))
			accepted += crew_send_shared(c, s) >= 0;
	}
	return accepted;
}

int64_t crew_broadcast(const crew_service *service, crew_shared *s)
{
	crew_worker *w = worker_of_service(service);
	crew_bytes encoded;
	if (!w || !s)
		return -EINVAL;
	crew_conn *first = first_member(w);
	if (!first)
		return 0;
	if (encoding_for(first, s, &encoded) != 0 || encoded.len > CREW__BURST_MESSAGE ||
		encoded.len == 0) {
		crew__net_leave_burst(&w->net);
		return send_to_the_rest(w, s);
	}
	const struct crew__broadcast b = {
		.frame = encoded,
		.protocol = first->record->protocol,
		.about = s->says ? &s->about : NULL,
		.keep = keep_shared,
		.release = unref_shared,
		.arg = s,
	};
	int64_t accepted = (int64_t)crew__burst_offer(&w->net, &b);
	if ((uint64_t)accepted == w->net.stats.slab->connections)
		return accepted;
	return accepted + send_to_the_rest(w, s);
}

int64_t crew_each(const crew_service *service, void (*fn)(crew_conn *c, void *arg), void *arg)
{
	crew_worker *w = worker_of_service(service);
	int64_t called = 0;
	if (!w || !fn)
		return -EINVAL;
	struct crew__entered before = crew__enter(w, CREW__CB_EACH);
	for (uint32_t slot = 0; slot < w->net.slots_high; slot++) {
		crew_conn *c = w->net.slots[slot];
		if (!c || !crew__conn_is_member(c))
			continue;
		called++;
		fn(c, arg);
	}
	crew__leave(w, before);
	return called;
}
