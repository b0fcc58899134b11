/* ws.c - WebSocket connections: the handshake, frames to messages, the heartbeat, the goodbye. */
#include "service/http.h"

#include "proto/utf8.h"

#include <stdio.h>
#include <string.h>

/* ---- handshake (RFC 6455 section 4.2) ------------------------------------------------------ */

static bool equals(crew_bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

int crew__ws_handshake_status(const struct crew__http1_request *request)
{
	const crew_request *r = &request->public;
	char accept[29];
	if (!equals(r->method, "GET") || r->version != 11 || r->body.len > 0 ||
		request->ws_repeated)
		return 400;
	if (!equals(request->ws_version, "13"))
		return 426;
	return crew__ws_accept(request->ws_key, accept) ? 0 : 400;
}

/* Fields that are to go with the answer (a cookie) go with this one as well. */
static int write_answer(char *room, size_t size, const char *accept, const char *protocol,
	const struct crew__buf *fields)
{
	return snprintf(room, size,
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s%s%s\r\n"
		"%.*s\r\n",
		accept, protocol ? "\r\nSec-WebSocket-Protocol: " : "", protocol ? protocol : "",
		(int)fields->len, fields->data ? fields->data : "");
}

void crew__ws_upgrade(crew_conn *c, const struct crew__http1_request *request, uint8_t subprotocol)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__exchange *e = crew__exchange_of(c);
	const char *protocol = subprotocol ? w->http->subprotocols[subprotocol - 1] : NULL;
	char accept[29];
	char *answer = crew__answer_room(w);
	bool good = crew__ws_accept(request->ws_key, accept);
	int n = answer ? write_answer(answer, CREW__ANSWER_ROOM, accept, protocol, &e->fields) : 0;
	crew__must(good && n >= 0 && n < CREW__ANSWER_ROOM);
	if (n == 0 || crew__conn_control(c, (crew_bytes){ answer, (size_t)n }) < 0) {
		crew__conn_broken(c, CREW_END_MEMORY);
		return;
	}
	e->status = 101;
	crew__exchange_end(e, CREW_END_REASONS);
	crew__conn_go_on_reading(c, CREW__C_WAITING); /* it may have been awaited */
	struct crew__side *side = crew__side(c);
	side->subprotocol = subprotocol;
	memset(&side->ws, 0, sizeof(side->ws));
	crew__ws_init(&side->ws.codec, crew__conn_most_of(c, w->max_message));
	c->record->protocol = CREW__WS;
	crew__conn_opened(c);
	crew__conn_deadline(
		c, crew__net_now(c->net) + 1); /* the heartbeat; it may be open already */
	if (crew__unlikely(crew__budget_refuses(c->net)))
		crew__refuse_for_budget(c);
	else
		crew__service_open(c);
}

/* ---- frames in ----------------------------------------------------------------------------- */

static void send_control(crew_conn *c, unsigned opcode, crew_bytes body)
{
	bool last = opcode == CREW__WS_OP_CLOSE; /* it ends the stream; ping and pong pass others */
	char frame[CREW__WS_HEADER_MAX + CREW__WS_CONTROL_MAX];
	size_t head = crew__ws_header(frame, opcode, body.len);
	crew__must(body.len <= CREW__WS_CONTROL_MAX);
	if (body.len > 0)
		memcpy(frame + head, body.data, body.len);
	crew_bytes whole = { frame, head + body.len };
	if ((last ? crew__conn_control(c, whole) : crew__conn_urgent(c, whole)) == -ENOMEM)
		crew__conn_broken(c, CREW_END_MEMORY);
}

static void peer_closes(crew_conn *c, const struct crew__ws_event *event)
{
	crew_worker *w = crew__worker_of(c);
	crew__side(c)->ws.closed_by_peer = true;
	if (c->record->state > CREW__CONN_OPEN) {
		crew__conn_parted(c);
		return;
	}
	w->closing_code = event->code;
	crew__conn_close(c, CREW_END_PEER);
	w->closing_code = 0;
}

/* What came cannot go on. Want of memory is no fault of the peer's. */
static void break_off(crew_conn *c, const struct crew__ws_event *event)
{
	crew_worker *w = crew__worker_of(c);
	if (event->code != CREW__CLOSE_NO_MEMORY) {
		crew__service_violation(c, event->code, event->what);
		return;
	}
	w->closing_code = event->code;
	crew__conn_close(c, CREW_END_MEMORY);
	w->closing_code = 0;
}

static void handle(crew_conn *c, const struct crew__ws_event *event)
{
	bool open = c->record->state == CREW__CONN_OPEN;
	switch (event->kind) {
	case CREW__WS_MESSAGE:
		if (crew__likely(open))
			crew__service_message(c,
				(crew_msg){ event->body, event->text ? CREW_TEXT : CREW_BINARY });
		break;
	case CREW__WS_PING:
		if (open)
			send_control(c, CREW__WS_OP_PONG, event->body);
		break;
	case CREW__WS_CLOSE:
		peer_closes(c, event);
		break;
	case CREW__WS_BAD:
		if (open)
			break_off(c, event);
		else
			crew__conn_parted(c);
		break;
	case CREW__WS_PONG:
	case CREW__WS_MORE:
		break;
	}
}

/* A short message by the short way. Returns the bytes taken, 0 when it is none. */
static inline size_t take_short(crew_conn *c, char *data, size_t len)
{
	crew_bytes body;
	bool plain;
	size_t taken = crew__ws_take_short(&crew__side(c)->ws.codec, data, len, &body, &plain);
	if (taken == 0)
		return 0;
	bool text = (unsigned char)data[0] == 0x81;
	if (crew__likely(plain) || crew__utf8_valid(body))
		crew__service_message(c, (crew_msg){ body, text ? CREW_TEXT : CREW_BINARY });
	else
		crew__service_violation(c, 1007, "a text is not valid UTF-8");
	return taken;
}

/* Any other frame, or a part of one. Returns the bytes taken; sets `ret_over` when nothing of what
 * follows is wanted now. */
static __attribute__((noinline)) size_t take_frame(
	crew_conn *c, char *data, size_t len, bool *ret_over)
{
	struct crew__ws *codec = &crew__side(c)->ws.codec;
	struct crew__ws_event event;
	size_t taken = crew__ws_feed(codec, data, len, &event);
	handle(c, &event);
	if (codec->message.data)
		crew__ws_done(codec);
	if (crew__ws_held(codec) > 0) /* worked out anew when the event is done */
		c->record->recv_queue = (uint32_t)crew__ws_held(codec);
	if (event.kind == CREW__WS_BAD || event.kind == CREW__WS_CLOSE) {
		*ret_over = true;
		return len;
	}
	*ret_over = event.kind == CREW__WS_MORE && taken == 0;
	return taken;
}

/* On and on while frames are whole and wanted; in CLOSING only the peer's goodbye is wanted. */
size_t crew__ws_data(crew_conn *c, char *data, size_t len)
{
	size_t used = 0;
	while (used < len) {
		bool parting = c->flags & CREW__C_UNPARTED;
		if (!parting && crew__unlikely(!crew__conn_ready(c)))
			return c->record->state > CREW__CONN_OPEN ? len : used;
		size_t taken = parting ? 0 : take_short(c, data + used, len - used);
		bool over = false;
		if (crew__unlikely(taken == 0))
			taken = take_frame(c, data + used, len - used, &over);
		used += taken;
		if (crew__unlikely(over))
			break;
	}
	return used;
}

/* ---- the goodbye --------------------------------------------------------------------------- */

/* What may be echoed or sent; 0: no code at all. A peer that has not proved in time who it is hears
 * that it broke a rule (RFC 6455 section 7.4.1). */
static int code_to_send(const crew_conn *c, int wanted)
{
	if (wanted == CREW__CLOSE_NO_STATUS)
		return 0;
	if (wanted != 0)
		return wanted;
	return c->record->end == CREW_END_HANDSHAKE ? CREW__CLOSE_POLICY : CREW__CLOSE_NORMAL;
}

/* True when the peer's close frame is to be waited for: not after its own, nor after an error. */
bool crew__ws_closing(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	char body[CREW__WS_CONTROL_MAX];
	size_t len = 0;
	int code = code_to_send(c, w->closing_code);
	if (code != 0) {
		body[0] = (char)(code >> 8);
		body[1] = (char)code;
		len = 2;
		if (w->closing_reason.len > 0)
			memcpy(body + len, w->closing_reason.data, w->closing_reason.len);
		len += w->closing_reason.len;
	}
	if (!(c->flags & CREW__C_FINISHED))
		send_control(c, CREW__WS_OP_CLOSE, (crew_bytes){ body, len });
	return !crew__side(c)->ws.closed_by_peer && !(c->flags & CREW__C_PEER_ENDED) &&
	       c->record->end != CREW_END_PROTOCOL && c->record->end != CREW_END_MEMORY;
}

/* ---- the heartbeat ------------------------------------------------------------------------- */

/* Has the ping left our queue, and the kernel's? A peer that reads slowly is not a dead one. */
static bool ping_has_passed(crew_conn *c)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	uint64_t out = c->record->bytes_out;
	if (out < ws->ping_mark && c->record->bytes_queued > 0)
		return false;
	/* What was queued before it may have been lost instead of sent. */
	ws->ping_mark = crew__min(ws->ping_mark, out);
	int64_t unacked = crew__conn_unacked(c);
	return unacked < 0 || out - ws->ping_mark >= (uint64_t)unacked;
}

/* Something of ours waits for it, here or in our kernel. */
static bool peer_takes_nothing(crew_conn *c)
{
	return c->record->bytes_queued > 0 || crew__conn_unacked(c) > 0;
}

static void ping(crew_conn *c, uint32_t now)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	send_control(c, CREW__WS_OP_PING, (crew_bytes){ NULL, 0 });
	ws->ping_mark = c->record->bytes_out + c->record->bytes_queued;
	ws->ping_at = crew__wheel_time(now);
	ws->ping_in = (uint32_t)c->record->bytes_in;
	ws->ping_passed = false;
}

uint32_t crew__ws_deadline(crew_conn *c, uint32_t now)
{
	uint32_t every = crew__worker_of(c)->heartbeat;
	struct crew__ws_side *ws = &crew__side(c)->ws;
	if (every == 0 || c->record->state != CREW__CONN_OPEN)
		return CREW__WHEEL_OUT;
	bool heard = (uint32_t)c->record->bytes_in != ws->ping_in;
	if (ws->ping_at == 0 || heard) {
		ws->ping_at = 0;
		if (!crew__wheel_come(c->record->last_in + every, now))
			return crew__wheel_time(c->record->last_in + every);
		ping(c, now);
		return crew__wheel_time(now + every);
	}
	/* We stopped reading ourselves: its answer may lie in the kernel. */
	if (!ws->ping_passed || (c->flags & CREW__C_STOPPED)) {
		ws->ping_passed = ping_has_passed(c);
		ws->ping_at = crew__wheel_time(now);
		return crew__wheel_time(now + every);
	}
	if (!crew__wheel_come(ws->ping_at + every, now))
		return crew__wheel_time(ws->ping_at + every);
	/* Its kernel has the ping, its program may not have read so far: a frozen page. As long as
	 * it leaves more of ours waiting it is slow, not dead; that must pass as well. */
	if (peer_takes_nothing(c)) {
		ws->ping_mark = c->record->bytes_out + c->record->bytes_queued;
		ws->ping_passed = false;
		ws->ping_at = crew__wheel_time(now);
		return crew__wheel_time(now + every);
	}
	crew__conn_close(c, CREW_END_HEARTBEAT);
	return CREW__WHEEL_OUT;
}
