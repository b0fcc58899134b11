/* ws_parts.c - a long message that is sent in parts: a frame for each (RFC 6455 section 5.4).
 *
 * To net it is one message in parts (conn_parts.c); nothing else of the program's may come between.
 * Its parts are compressed only with takeover, by the connection's own window: one that all share
 * is needed whole by whoever sends next. */
#include "service/ws.h"

#include "service/send_parts.h"

static struct crew__ws_side *ws_side(crew_conn *c)
{
	return &crew__side(c)->ws;
}

/* ---- beginning ----------------------------------------------------------------------------- */

static int64_t refuse(crew_conn *c, int error)
{
	return crew__send_refuse(c ? c->net : crew__send_net_of_nobody(), error);
}

/* Its first part refers to earlier messages under the same rules as a whole one (ws_frame.c). */
static void begin_packing(crew_conn *c)
{
	struct crew__ws_side *ws = ws_side(c);
	const struct crew__record *r = c->record;
	ws->parts_packed = false;
	if (!ws->takeover || crew__worker_of(c)->settings->deflate_min <= 0)
		return;
	if (!ws->deflater)
		ws->deflater = crew__deflater_new(ws->pack_bits, CREW__DEFLATE_LEVEL);
	if (!ws->deflater)
		return;
	if (r->bytes_queued > 0 || r->messages_queued > 0 || r->send_fail != ws->lost)
		crew__deflater_reset(ws->deflater);
	ws->lost = r->send_fail;
	ws->parts_packed = true;
}

int64_t crew_send_begin(crew_conn *c, crew_kind kind)
{
	if (c && c->record->state > CREW__CONN_OPEN)
		return crew__send_lose_closed(c, 0);
	/* Of one that we open, what is agreed on is not known before it is open. */
	bool websocket = c && c->record->protocol == CREW__WS &&
			 c->record->state == CREW__CONN_OPEN;
	if (!websocket || (unsigned)kind > CREW_BINARY)
		return refuse(c, -EINVAL);
	struct crew__ws_side *ws = ws_side(c);
	if (ws->parts != CREW__WS_PARTS_NONE)
		return refuse(c, -EBUSY);
	kind = crew__send_kind(c, kind);
	begin_packing(c);
	int64_t error = crew__conn_begin_parts(c);
	if (error < 0)
		return error;
	ws->parts = CREW__WS_PARTS_BEGUN;
	ws->parts_opcode = kind == CREW_BINARY ? CREW__WS_OP_BINARY : CREW__WS_OP_TEXT;
	crew__ws_set_variant(c);
	return 0;
}

/* ---- parts --------------------------------------------------------------------------------- */

/* 0: a part may be offered. */
static int judge(crew_conn *c, crew_bytes bytes)
{
	if (!c || c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	if (c->record->protocol != CREW__WS || ws_side(c)->parts == CREW__WS_PARTS_NONE ||
		!crew__send_is_valid(bytes, CREW_KIND_DEFAULT))
		return (int)refuse(c, -EINVAL);
	if (bytes.len > CREW__SEND_MOST)
		return (int)refuse(c, -EMSGSIZE);
	return 0;
}

/* FIN, RSV1 and opcode of the next frame. */
static unsigned next_byte0(const struct crew__ws_side *ws, bool last)
{
	unsigned byte0 = last ? CREW__WS_FIN : 0;
	if (ws->parts == CREW__WS_PARTS_BEGUN)
		byte0 |= ws->parts_opcode | (ws->parts_packed ? CREW__WS_RSV1 : 0u);
	return byte0;
}

/* 0, -ENOMEM. */
static int pack_part(crew_conn *c, bool last, crew_frame *frame)
{
	struct crew__buf *out = &crew__worker_of(c)->ws->out;
	out->len = 0;
	if (crew__deflate_part(ws_side(c)->deflater, frame->body, last, out) != 0)
		return -ENOMEM;
	frame->body = (crew_bytes){ out->data, out->len };
	return 0;
}

static int frame_part(crew_conn *c, bool last, crew_frame *frame)
{
	struct crew__ws_side *ws = ws_side(c);
	unsigned byte0 = next_byte0(ws, last);
	if (ws->parts_packed && pack_part(c, last, frame) < 0)
		return -ENOMEM;
	if (ws->client)
		return crew__ws_mask_frame(c, byte0, frame->room, frame);
	frame->head = (crew_bytes){ frame->room,
		crew__ws_head(frame->room, byte0, frame->body.len) };
	return 0;
}

/* What the peer has of it cannot be taken back, and the rest cannot follow. */
static int64_t no_memory(crew_conn *c)
{
	crew__conn_broken(c, CREW_END_MEMORY);
	return -ENOMEM;
}

/* Asked before a part is compressed, as that cannot be done twice. */
static bool has_room(crew_conn *c)
{
	if (c->record->bytes_queued >= crew__conn_limit(c))
		crew__conn_flush(c);
	return c->record->state <= CREW__CONN_OPEN && c->record->bytes_queued < crew__conn_limit(c);
}

static int64_t offer(crew_conn *c, crew_bytes bytes, bool last)
{
	struct crew__ws_side *ws = ws_side(c);
	crew_frame frame = { .body = bytes };
	if (!last && !has_room(c))
		return c->record->state > CREW__CONN_OPEN ? -ENOTCONN : -ENOBUFS;
	if (frame_part(c, last, &frame) < 0)
		return no_memory(c);
	struct crew__out out = { .head = frame.head, .body = frame.body };
	int64_t queued = crew__conn_part(c, &out, last);
	crew__ws_frame_done(crew__worker_of(c));
	if (queued >= 0) {
		ws->parts = last ? CREW__WS_PARTS_NONE : CREW__WS_PARTS_GOING_ON;
		crew__ws_set_variant(c);
	}
	return queued;
}

int64_t crew_send_part(crew_conn *c, crew_bytes bytes)
{
	int error = judge(c, bytes);
	if (error)
		return error;
	if (bytes.len == 0)
		return (int64_t)c->record->bytes_queued;
	return offer(c, bytes, false);
}

int64_t crew_send_end(crew_conn *c)
{
	int error = judge(c, (crew_bytes){ NULL, 0 });
	return error ? error : offer(c, (crew_bytes){ NULL, 0 }, true);
}

/* What cannot go on as one message is not to look like one. */
void crew__ws_pipe_part(crew_conn *from, crew_msg part, bool last)
{
	crew_conn *to = crew__conn_pipe_to(from);
	if (to->record->protocol != CREW__WS) {
		crew__service_pipe(from, part);
		return;
	}
	int64_t error = ws_side(to)->parts == CREW__WS_PARTS_NONE ? crew_send_begin(to, part.kind)
								  : 0;
	if (error >= 0)
		error = crew_send_part(to, part.body);
	if (error >= 0 && last)
		error = crew_send_end(to);
	if (error < 0)
		crew__conn_abort(to, CREW_END_FULL);
	else if (to->record->bytes_queued * 2 > crew__conn_limit(to))
		crew__conn_stop_reading(from, CREW__C_PIPE_FULL);
}
