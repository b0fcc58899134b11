/* shared.c - messages for many receivers: encoded once, referred to by each queue they wait in.
 *
 * A shared message keeps its encodings: the first protocol that needs a head gets it in the room
 * before the bytes, so that a broadcast encodes once and each receiver refers to the same bytes; a
 * second protocol (or kind, or window that it is compressed with) gets a copy of its own. What only
 * one connection can read (masked by a client, compressed behind what it got before) is no
 * encoding: it is sent as any message. */
#include "service/connect.h"
#include "service/send_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEAD_ROOM = 16,
	TAIL_ROOM = 2,
};

/* ---- a message ------------------------------------------------------------------------------ */

/* What an encoding depends on. */
struct key {
	uint8_t protocol; /* enum crew__protocol_kind */
	uint8_t kind;
	uint8_t bits; /* WebSocket: compressed with that window; 0: not */
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
	bool plain;               /* not to be compressed */
	uint16_t stiff;           /* one bit for each window that does not make it shorter */
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
	if (!crew__send_is_valid(bytes, kind) || bytes.len > CREW__SEND_MOST)
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
	if (!crew__send_is_valid(bytes, options->kind) || bytes.len > CREW__SEND_MOST ||
		crew__send_about(options, &about) < 0)
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
	s->plain = options->plain;
	return s;
}

crew_shared *crew__shared_new_event(size_t size)
{
	return new_shared(size, 0, CREW__KIND_EVENT);
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
	return a->protocol == b->protocol && a->kind == b->kind && a->bits == b->bits &&
	       a->custom == b->custom;
}

static int add_variant(crew_shared *s, const struct key *key, const crew_frame *frame)
{
	struct variant *v = malloc(sizeof(*v) + crew__frame_size(frame));
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

/* Compressed, as what it is added to the variants as; 1: that does not make it shorter. */
static int pack_shared(crew_conn *c, crew_shared *s, const struct key *key)
{
	crew_frame frame = { .body = crew_shared_bytes(s) };
	int error = crew__ws_frame_shared(c, (crew_kind)key->kind, key->bits, &frame);
	if (!error)
		error = add_variant(s, key, &frame);
	crew__ws_frame_done(crew__worker_of(c));
	return error;
}

/* Encode for the first time: in place when a head alone is wanted and its room is free. */
static int encode_shared(crew_conn *c, crew_shared *s, const struct key *key)
{
	crew_frame frame;
	frame.body = crew_shared_bytes(s);
	const char *body = frame.body.data;
	int error = crew__send_encode(c, (crew_kind)key->kind, CREW__FRAME_PLAIN, &frame);
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

static unsigned how_of(const crew_shared *s)
{
	return s->says ? crew__send_how(&s->about, s->plain) : 0;
}

/* Can nobody else read what leaves to it? */
static bool is_alone(const crew_conn *c, const crew_shared *s)
{
	if (crew__likely(c->variant != CREW__VARIANT_APART))
		return false;
	const struct crew__ws_side *ws = &crew__side((crew_conn *)(uintptr_t)c)->ws;
	return ws->client || (ws->takeover && crew__ws_packs(c, s->len, how_of(s)));
}

static struct key key_for(const crew_conn *c, const crew_shared *s)
{
	struct key key = {
		.protocol = c->record->protocol,
		.kind = (uint8_t)(s->kind == CREW_KIND_DEFAULT ? CREW_TEXT : s->kind),
		.custom = crew__worker_of(c)->service->protocol,
	};
	if (c->variant == CREW__VARIANT_PLAIN || !crew__ws_packs(c, s->len, how_of(s)))
		return key;
	uint8_t bits = crew__side((crew_conn *)(uintptr_t)c)->ws.pack_bits;
	key.bits = s->stiff & (1u << bits) ? 0 : bits;
	return key;
}

/* As it leaves to `c`: found, or made now. 0, -ENOMEM, or what encode() says. */
static int encoding_for(crew_conn *c, crew_shared *s, crew_bytes *ret_bytes)
{
	struct key key = key_for(c, s);
	if (crew__likely(find_encoding(s, &key, ret_bytes)))
		return 0;
	int error = key.bits > 0 ? pack_shared(c, s, &key) : encode_shared(c, s, &key);
	if (error == 1) {
		s->stiff |= (uint16_t)(1u << key.bits);
		return encoding_for(c, s, ret_bytes);
	}
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

static int64_t send_alone(crew_conn *c, crew_shared *s)
{
	struct crew__out out = { .hold = CREW__HOLD_COPY, .about = s->says ? &s->about : NULL };
	crew_kind kind = s->kind == CREW_KIND_DEFAULT ? CREW_TEXT : s->kind;
	return crew__send_framed(c, crew_shared_bytes(s), kind, how_of(s), &out);
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
		return crew__send_refuse(c ? c->net : crew__send_net_of_nobody(), -EINVAL);
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew__send_lose_closed(c, s->len);
	if (crew__send_is_busy(c))
		return crew__send_refuse(c->net, -EBUSY);
	if (is_alone(c, s))
		return send_alone(c, s);
	int error = encoding_for(c, s, &encoded);
	if (error == -ENOMEM)
		return crew__conn_lose_memory(c, s->len, s->says ? &s->about : NULL);
	if (error)
		return crew__send_refuse(c->net, error);
	return send_encoded(c, s, encoded);
}

/* ---- to all of a service ------------------------------------------------------------------- */

/* For each that has connections of that service, its own or outgoing: the sum of what `fn` returns,
 * -EINVAL when there is none. */
static int64_t for_service(
	const crew_service *service, int64_t (*fn)(crew_worker *w, void *arg), void *arg)
{
	int64_t sum = 0;
	bool any = false;
	for (unsigned i = 0; i < crew__here.count; i++) {
		crew_worker *w = crew__here.workers[i], *client = NULL;
		if (w->service == service) {
			sum += fn(w, arg);
			any = true;
		}
		while ((client = crew__client_next(w, service, client))) {
			sum += fn(client, arg);
			any = true;
		}
	}
	return any ? sum : -EINVAL;
}

/* The first that is open and has that variant: most of a service speak the same. */
static crew_conn *first_member(const crew_worker *w, enum crew__variant variant)
{
	for (uint32_t slot = 0; slot < crew__net_high(&w->net); slot++) {
		crew_conn *c = crew__net_at(&w->net, slot);
		if (c && c->variant == variant && crew__conn_is_member(c))
			return c;
	}
	return NULL;
}

/* Each by its own: those that the bursts could not serve. */
static int64_t send_to_the_rest(crew_worker *w, crew_shared *s)
{
	int64_t accepted = 0;
	for (uint32_t slot = 0; slot < crew__net_high(&w->net); slot++) {
		crew_conn *c = crew__net_at(&w->net, slot);
		if (c && !(c->flags & CREW__C_IN_BURST) && crew__conn_is_member(c))
			accepted += crew_send_shared(c, s) >= 0;
	}
	return accepted;
}

/* To all of one variant that its burst can serve: how many. */
static int64_t offer_variant(crew_worker *w, crew_shared *s, enum crew__variant variant)
{
	crew_bytes encoded;
	crew_conn *first = first_member(w, variant);
	if (!first)
		return 0;
	if (encoding_for(first, s, &encoded) != 0 || encoded.len > CREW__BURST_MESSAGE ||
		encoded.len == 0) {
		crew__net_leave_burst(&w->net, variant);
		return 0;
	}
	const struct crew__broadcast b = {
		.frame = encoded,
		.protocol = first->record->protocol,
		.variant = (uint8_t)variant,
		.about = s->says ? &s->about : NULL,
		.keep = keep_shared,
		.release = unref_shared,
		.arg = s,
	};
	return (int64_t)crew__burst_offer(&w->net, &b);
}

static int64_t broadcast(crew_worker *w, void *arg)
{
	crew_shared *s = arg;
	uint64_t all = w->net.stats.slab->connections;
	int64_t accepted = 0;
	if (w->packed < all)
		accepted = offer_variant(w, s, CREW__VARIANT_PLAIN);
	if (w->packed > 0)
		accepted += offer_variant(w, s, CREW__VARIANT_PACKED);
	if ((uint64_t)accepted == all)
		return accepted;
	return accepted + send_to_the_rest(w, s);
}

int64_t crew_broadcast(const crew_service *service, crew_shared *s)
{
	return s ? for_service(service, broadcast, s) : -EINVAL;
}

struct each {
	void (*fn)(crew_conn *c, void *arg);
	void *arg;
};

static int64_t call_each(crew_worker *w, void *arg)
{
	const struct each *each = arg;
	int64_t called = 0;
	struct crew__entered before = crew__enter(w, CREW__CB_EACH);
	for (uint32_t slot = 0; slot < crew__net_high(&w->net); slot++) {
		crew_conn *c = crew__net_at(&w->net, slot);
		if (!c || !crew__conn_is_member(c))
			continue;
		called++;
		each->fn(c, each->arg);
	}
	crew__leave(w, before);
	return called;
}

int64_t crew_each(const crew_service *service, void (*fn)(crew_conn *c, void *arg), void *arg)
{
	struct each each = { fn, arg };
	return fn ? for_service(service, call_each, &each) : -EINVAL;
}
