/* ws.c - WebSocket connections: the handshake, frames to messages, the goodbye.
 *
 * Not here: messages to frames (ws_frame.c), the heartbeat (ws_heartbeat.c), and how outgoing
 * connections come to their handshake (connect.c). */
#include "service/ws.h"

#include "base/utf8.h"
#include "proto/ws_mask.h"

#include <stdio.h>
#include <string.h>

enum {
	SHARE = 1024 * 1024 /* bytes of messages of one connection, in one turn */
};

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
	const char *extension, const struct crew__buf *fields)
{
	return snprintf(room, size,
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s%s%s%s%s\r\n"
		"%.*s\r\n",
		accept, protocol ? "\r\nSec-WebSocket-Protocol: " : "", protocol ? protocol : "",
		extension[0] ? "\r\nSec-WebSocket-Extensions: " : "", extension, (int)fields->len,
		fields->data ? fields->data : "");
}

/* 0, -ENOMEM, -ENOTCONN. */
static int answer(crew_conn *c, const struct crew__http1_request *request,
	const struct crew__ws_agreed *agreed)
{
	crew_worker *w = crew__worker_of(c);
	uint8_t place = agreed->subprotocol;
	const struct crew__buf *fields = &crew__exchange_of(c)->fields;
	char accept[29], extension[CREW__WS_EXTENSION_ROOM] = "";
	char *room = crew__answer_room(w);
	if (!room)
		return -ENOMEM;
	if (agreed->terms.deflate)
		crew__ws_extension_answer(&agreed->terms, extension);
	bool good = crew__ws_accept(request->ws_key, accept);
	int n = write_answer(room, CREW__ANSWER_ROOM, accept,
		place ? w->ws->subprotocols[place - 1] : NULL, extension, fields);
	crew__must(good && n > 0 && n < CREW__ANSWER_ROOM);
	return crew__conn_control(c, (crew_bytes){ room, (size_t)n });
}

/* ---- the beginning ------------------------------------------------------------------------- */

/* It is compressed for as nearly all are. */
static bool is_usual(const struct crew__ws_side *ws)
{
	return ws->pack_bits == CREW__WS_BITS_MOST && !ws->takeover && !ws->client;
}

/* Whoever gets the very bytes that others get, gets them from the burst; one that we compress or
 * mask for alone, or that is in the middle of a message, does not. */
void crew__ws_set_variant(crew_conn *c)
{
	const struct crew__ws_side *ws = &crew__side(c)->ws;
	bool usual = is_usual(ws);
	bool apart = ws->client || ws->parts != CREW__WS_PARTS_NONE;
	if (apart || (ws->pack_bits != 0 && !usual))
		c->variant = CREW__VARIANT_APART;
	else
		c->variant = usual ? CREW__VARIANT_PACKED : CREW__VARIANT_PLAIN;
}

void crew__ws_init_side(crew_conn *c, const struct crew__ws_agreed *agreed, bool client)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__side *side = crew__side(c);
	struct crew__ws_side *ws = &side->ws;
	const struct crew__ws_terms *terms = &agreed->terms;
	bool they_reset = client ? terms->server_resets : terms->client_resets;
	unsigned their_bits = client ? terms->server_bits : terms->client_bits;
	memset(ws, 0, sizeof(*ws));
	side->subprotocol = agreed->subprotocol;
	ws->client = client;
	if (terms->deflate) {
		ws->pack_bits = client ? terms->client_bits : terms->server_bits;
		ws->takeover = !(client ? terms->client_resets : terms->server_resets);
	}
	crew__ws_init(
		&ws->codec, &(struct crew__ws_options){
				    .max_message = crew__conn_most_of(c, w->max_message),
				    .client = client,
				    .parts = w->service->on_part != NULL,
				    .inflate_bits = terms->deflate ? their_bits : 0,
				    .shared = terms->deflate && they_reset ? &w->ws->deflate : NULL,
			    });
	c->record->protocol = CREW__WS;
	w->packed += is_usual(ws);
	crew__ws_set_variant(c);
}

static void begin(crew_conn *c)
{
	crew__conn_opened(c);
	crew__conn_deadline(
		c, crew__net_now(c->net) + 1); /* the heartbeat; it may be open already */
	if (crew__unlikely(crew__budget_refuses(c->net)))
		crew__refuse_for_budget(c);
	else
		crew__service_open(c);
}

void crew__ws_upgrade(crew_conn *c, const struct crew__http1_request *request,
	const struct crew__ws_agreed *agreed)
{
	struct crew__exchange *e = crew__exchange_of(c);
	if (!crew__ws_worker(crew__worker_of(c)) || answer(c, request, agreed) < 0) {
		crew__conn_broken(c, CREW_END_MEMORY);
		return;
	}
	e->status = 101;
	crew__exchange_end(e, CREW_END_REASONS);
	crew__conn_go_on_reading(c, CREW__C_WAITING); /* it may have been awaited */
	crew__ws_init_side(c, agreed, false);
	begin(c);
}

void crew__ws_begin_client(crew_conn *c, const struct crew__ws_agreed *agreed)
{
	if (!crew__ws_worker(crew__worker_of(c))) {
		crew__conn_broken(c, CREW_END_MEMORY);
		return;
	}
	crew__ws_init_side(c, agreed, true);
	begin(c);
}

void crew__ws_closed(crew_conn *c)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	crew__worker_of(c)->packed -= is_usual(ws);
	crew__deflater_free(ws->deflater);
	ws->deflater = NULL;
	crew__ws_fini(&ws->codec);
}

/* ---- frames in ----------------------------------------------------------------------------- */

void crew__ws_control(crew_conn *c, unsigned opcode, crew_bytes body)
{
	bool last = opcode == CREW__WS_OP_CLOSE; /* it ends the stream; ping and pong pass others */
	char frame[CREW__WS_MASKED_HEADER_MAX + CREW__WS_CONTROL_MAX];
	unsigned byte0 = CREW__WS_FIN | opcode;
	uint32_t key = 0;
	size_t head;
	crew__must(body.len <= CREW__WS_CONTROL_MAX);
	if (crew__side(c)->ws.client) {
		if (crew__ws_key_draw(&crew__worker_of(c)->ws->keys, &key) < 0) {
			crew__conn_broken(c, CREW_END_MEMORY);
			return;
		}
		head = crew__ws_masked_head(frame, byte0, body.len, key);
	} else {
		head = crew__ws_head(frame, byte0, body.len);
	}
	crew__copy(frame + head, body.data, body.len);
	crew__ws_unmask(frame + head, body.len, key);
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

/* What is answered to it has its kind, as with a whole message. */
static void tell_part(crew_conn *c, const struct crew__ws_event *event)
{
	crew_worker *w = crew__worker_of(c);
	crew_msg part = { event->body, event->text ? CREW_TEXT : CREW_BINARY };
	if (event->last)
		crew__count_request(w);
	if (crew__conn_pipe_to(c)) {
		crew__ws_pipe_part(c, part, event->last);
		return;
	}
	struct crew__entered before = crew__enter(w, CREW__CB_MESSAGE);
	w->answering = c;
	w->answer_kind = part.kind;
	w->service->on_part(c, part, event->last);
	w->answering = NULL;
	crew__leave(w, before);
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
	case CREW__WS_PART:
		if (open)
			tell_part(c, event);
		break;
	case CREW__WS_PING:
		if (open)
			crew__ws_control(c, CREW__WS_OP_PONG, event->body);
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
		crew__ws_pong(c, event->body);
		break;
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

/* Parts flow on as parts, which can be begun only where it is known how they are framed. What flows
 * into one that we open waits here until that one stands (or has failed: then so does this one). */
static bool waits_for_pipe(crew_conn *c)
{
	const crew_conn *to = crew__conn_pipe_to(c);
	if (crew__likely(!to) || to->record->state != CREW__CONN_HANDSHAKE ||
		to->record->protocol != CREW__WS || !crew__worker_of(c)->service->on_part)
		return false;
	crew__conn_stop_reading(c, CREW__C_PIPE_FULL);
	return true;
}

/* What inflates to a thousand times its size would keep all others waiting for as long as that
 * takes: 64 KiB can be 64 messages of 1 MiB. */
static void take_of_share(const crew_conn *c, size_t bytes)
{
	struct crew__ws_worker *ws = crew__worker_of(c)->ws;
	uint32_t turn = c->net->clock->turn;
	if (ws->share_of != c || ws->share_turn != turn)
		ws->share = 0;
	ws->share_of = c;
	ws->share_turn = turn;
	ws->share += bytes;
}

static bool has_had_its_share(const crew_conn *c)
{
	return crew__worker_of(c)->ws->share >= SHARE && c->record->state == CREW__CONN_OPEN;
}

/* Any other frame, or a part of one. Returns the bytes taken; sets `ret_over` when nothing of what
 * follows is wanted now. */
static __attribute__((noinline)) size_t take_frame(
	crew_conn *c, char *data, size_t len, bool *ret_over)
{
	struct crew__ws *codec = &crew__side(c)->ws.codec;
	struct crew__ws_event event;
	if (crew__unlikely(waits_for_pipe(c))) {
		*ret_over = true;
		return 0;
	}
	size_t taken = crew__ws_feed(codec, data, len, &event);
	take_of_share(c, event.body.len);
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
	if (crew__unlikely(has_had_its_share(c)) && taken < len)
		*ret_over |= crew__ws_yield(c);
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
		crew__ws_control(c, CREW__WS_OP_CLOSE, (crew_bytes){ body, len });
	return !crew__side(c)->ws.closed_by_peer && !(c->flags & CREW__C_PEER_ENDED) &&
	       c->record->end != CREW_END_PROTOCOL && c->record->end != CREW_END_MEMORY;
}
