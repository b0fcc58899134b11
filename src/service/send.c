/* send.c - the program's sends to one connection: checked, framed for its protocol, handed to it.
 *
 * Not here: messages for many receivers (shared.c). */
#include "service/send_parts.h"

#include <stdlib.h>
#include <string.h>

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

static int frame_websocket(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame)
{
	if (crew__unlikely(c->variant != CREW__VARIANT_PLAIN))
		return crew__ws_frame(c, kind, how, frame);
	unsigned opcode = kind == CREW_BINARY ? CREW__WS_OP_BINARY : CREW__WS_OP_TEXT;
	frame->head = (crew_bytes){ frame->room,
		crew__ws_header(frame->room, opcode, frame->body.len) };
	return 0;
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
static inline int encode(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame)
{
	frame->head.len = 0;
	frame->tail.len = 0;
	switch (c->record->protocol) {
	case CREW__WS:
		return frame_websocket(c, kind, how, frame);
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
		return crew__events_frame(c, kind == (crew_kind)CREW__KIND_EVENT, frame);
	default:
		return 0;
	}
}

int crew__send_encode(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame)
{
	return encode(c, kind, how, frame);
}

/* ---- the one way to a connection ----------------------------------------------------------- */

/* Whose counters tell of a send to nobody: the worker whose callback runs, else the first. */
struct crew__net *crew__send_net_of_nobody(void)
{
	if (crew__here.current)
		return &crew__here.current->net;
	return crew__here.count > 0 ? &crew__here.workers[0]->net : NULL;
}

int64_t crew__send_lose_closed(crew_conn *c, size_t bytes)
{
	struct crew__net *net = c ? c->net : crew__send_net_of_nobody();
	if (net)
		crew__net_lose_closed(net, c, bytes);
	return -ENOTCONN;
}

int64_t crew__send_refuse(struct crew__net *net, int error)
{
	if (net)
		crew__net_count_invalid(net);
	return error;
}

static inline crew_kind kind_for(const crew_conn *c, crew_kind kind)
{
	if (kind != CREW_KIND_DEFAULT)
		return kind;
	const crew_worker *w = crew__worker_of(c);
	return w->answering == c ? w->answer_kind : CREW_TEXT;
}

crew_kind crew__send_kind(const crew_conn *c, crew_kind kind)
{
	return kind_for(c, kind);
}

/* What can be said before the connection is asked; 0 when it can. */
static int judge(const crew_conn *c, crew_bytes bytes, crew_kind kind)
{
	if (crew__unlikely(!crew__send_is_valid(bytes, kind)))
		return -EINVAL;
	if (crew__unlikely(bytes.len > CREW__SEND_MOST))
		return -EMSGSIZE;
	if (crew__unlikely(!c || c->record->state > CREW__CONN_OPEN))
		return -ENOTCONN;
	return crew__send_is_busy(c) ? -EBUSY : 0;
}

static int64_t not_sent(crew_conn *c, crew_bytes bytes, const struct crew__about *about, int error)
{
	if (error == -ENOTCONN)
		return crew__send_lose_closed(c, bytes.len);
	if (error == -ENOMEM)
		return crew__conn_lose_memory(c, bytes.len, about);
	return crew__send_refuse(
		c ? c->net : crew__send_net_of_nobody(), error < 0 ? error : -EINVAL);
}

/* As it was encoded; an event's text must not be written over meanwhile. */
static inline int64_t send_out(crew_conn *c, struct crew__out *out, bool replaced)
{
	crew_worker *w = crew__worker_of(c);
	int64_t queued;
	if (crew__likely(!replaced))
		return crew__conn_send(c, out);
	if (!crew__is_events(c)) {
		queued = crew__conn_send(c, out);
		crew__ws_frame_done(w);
		return queued;
	}
	struct crew__answer_memory memory = crew__answer_hold(w);
	queued = crew__conn_send(c, out);
	crew__answer_give_back(w, &memory);
	return queued;
}

/* What is said of a message beside its kind, in net's terms. -EINVAL when it is not sound. */
int crew__send_about(const crew_send_options *options, struct crew__about *ret_about)
{
	uint64_t hundredths = ((uint64_t)options->ttl_ms + 9) / 10;
	/* Times are compared by their difference, which must not come round (unit.h). */
	if (options->ttl_ms < 0 || hundredths > INT32_MAX / 2 || options->key.len > CREW_KEY_MOST ||
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

unsigned crew__send_how(const struct crew__about *about, bool plain)
{
	unsigned how = plain ? CREW__FRAME_PLAIN : 0;
	if (crew__about_needs_unit(about))
		how |= CREW__FRAME_ALONE;
	return how | (about->lane != CREW__LANE_NORMAL ? CREW__FRAME_PASSES : 0u);
}

/* How the body is held stands in `out`; it is released in every case. */
__attribute__((noinline)) int64_t crew__send_framed(
	crew_conn *c, crew_bytes bytes, crew_kind kind, unsigned how, struct crew__out *out)
{
	crew_frame frame;
	frame.body = bytes;
	int error = judge(c, bytes, kind);
	if (crew__likely(!error))
		error = encode(c, kind_for(c, kind), how, &frame);
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
/* Of a WebSocket that is not simply framed, short or not: as it may be. */
static bool goes_short(const crew_conn *c, size_t len)
{
	const struct crew__ws_side *ws = &crew__side((crew_conn *)(uintptr_t)c)->ws;
	return !ws->client && ws->parts == CREW__WS_PARTS_NONE && !crew__ws_packs(c, len, 0);
}

static inline int64_t send_short(crew_conn *c, crew_bytes bytes)
{
	if (crew__unlikely(!c || bytes.len - 1 >= CREW__WS_CONTROL_MAX || !bytes.data))
		return CREW__NOT_CORKED;
	char *room;
	unsigned protocol = c->record->protocol;
	size_t header = protocol == CREW__WS ? 2 : 0;
	if (crew__unlikely(protocol != CREW__WS && protocol != CREW__RAW))
		return CREW__NOT_CORKED;
	if (crew__unlikely(c->variant != CREW__VARIANT_PLAIN) && !goes_short(c, bytes.len))
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
	return crew__send_framed(c, bytes, kind, 0, &out);
}

int64_t crew_send(crew_conn *c, crew_bytes bytes)
{
	int64_t queued = send_short(c, bytes);
	if (crew__likely(queued != CREW__NOT_CORKED))
		return queued;
	struct crew__out out = { .hold = CREW__HOLD_COPY };
	return crew__send_framed(c, bytes, CREW_KIND_DEFAULT, 0, &out);
}

int64_t crew_send_with(crew_conn *c, crew_bytes bytes, const crew_send_options *options)
{
	struct crew__out out = { .hold = CREW__HOLD_COPY };
	struct crew__about about;
	if (!options)
		return crew__send_framed(c, bytes, CREW_KIND_DEFAULT, 0, &out);
	if (crew__unlikely(crew__send_about(options, &about) < 0))
		return crew__send_refuse(c ? c->net : crew__send_net_of_nobody(), -EINVAL);
	out.about = &about;
	return crew__send_framed(
		c, bytes, options->kind, crew__send_how(&about, options->plain), &out);
}

int64_t crew_send_static(crew_conn *c, crew_bytes bytes)
{
	struct crew__out out = { .hold = CREW__HOLD_REFER };
	return crew__send_framed(c, bytes, CREW_KIND_DEFAULT, 0, &out);
}

int64_t crew_send_owned(
	crew_conn *c, crew_bytes bytes, void (*free_fn)(void *data, void *arg), void *arg)
{
	struct crew__out out = {
		.hold = CREW__HOLD_REFER, .release = free_fn, .arg = arg, .owned = true
	};
	return crew__send_framed(c, bytes, CREW_KIND_DEFAULT, 0, &out);
}
