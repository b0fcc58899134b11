/* ws_frame.c - a message becomes a frame: compressed, when both sides agreed to it and it pays, and
 * masked, when we are the client.
 *
 * Without takeover every message stands by itself, and one compressor serves all connections. With
 * it a message refers to those before it, so what is compressed must arrive, in its order. But a
 * policy may throw away what waits, and a message may pass others. Hence:
 *
 *  - a message refers to earlier ones only when nothing waits for the connection, and nothing of it
 * was lost since; else the window is emptied before;
 *  - one that may be replaced, or expire, is not referred to: the window is emptied after it;
 *  - one that may pass others is not compressed.
 *
 * So all that waits is at most one message that refers to earlier ones, in front of others that do
 * not, and any of them may be lost. */
#include "service/ws.h"

#include "base/check.h"
#include "proto/ws_mask.h"

enum {
	PACK_MOST = 1024 * 1024, /* nothing else runs in the worker meanwhile: some 20 ms */
	OUT_KEPT = 64 * 1024,
};

static struct crew__ws_side *ws_side(const crew_conn *c)
{
	return &crew__side((crew_conn *)(uintptr_t)c)->ws;
}

static unsigned byte0_of(crew_kind kind)
{
	return CREW__WS_FIN | (kind == CREW_BINARY ? CREW__WS_OP_BINARY : CREW__WS_OP_TEXT);
}

bool crew__ws_packs(const crew_conn *c, size_t len, unsigned how)
{
	const struct crew__ws_side *ws = ws_side(c);
	int64_t least = crew__worker_of(c)->settings->deflate_min;
	if (ws->pack_bits == 0 || (how & CREW__FRAME_PLAIN) || least <= 0)
		return false;
	if (len < (uint64_t)least || len > PACK_MOST)
		return false;
	return !ws->takeover || !(how & CREW__FRAME_PASSES);
}

/* ---- compressing --------------------------------------------------------------------------- */

/* 0: it is in `out`. Not 0: it goes as it is; want of memory is no reason not to send it. */
static int pack_on_its_own(
	struct crew__ws_worker *all, unsigned bits, crew_bytes body, struct crew__buf *out)
{
	struct crew__deflater *d = crew__deflate_shared_deflater(&all->deflate, bits);
	return d ? crew__deflate(d, body, false, out) : -ENOMEM;
}

static int pack_behind_others(
	const crew_conn *c, crew_bytes body, unsigned how, struct crew__buf *out)
{
	struct crew__ws_side *ws = ws_side(c);
	const struct crew__record *r = c->record;
	if (!ws->deflater)
		ws->deflater = crew__deflater_new(ws->pack_bits, CREW__DEFLATE_LEVEL);
	if (!ws->deflater)
		return -ENOMEM;
	bool refers = r->bytes_queued == 0 && r->messages_queued == 0 && r->send_fail == ws->lost;
	ws->lost = r->send_fail;
	int error = crew__deflate(ws->deflater, body, refers, out);
	if (how & CREW__FRAME_ALONE)
		crew__deflater_reset(ws->deflater);
	return error;
}

/* frame->body, compressed behind nothing in the worker's `out`. False: as it was. */
static bool pack(crew_conn *c, unsigned how, crew_frame *frame)
{
	struct crew__ws_worker *all = crew__worker_of(c)->ws;
	const struct crew__ws_side *ws = ws_side(c);
	all->out.len = 0;
	int error = ws->takeover ? pack_behind_others(c, frame->body, how, &all->out)
				 : pack_on_its_own(all, ws->pack_bits, frame->body, &all->out);
	if (error)
		return false;
	frame->body = (crew_bytes){ all->out.data, all->out.len };
	return true;
}

int crew__ws_frame_shared(crew_conn *c, crew_kind kind, unsigned bits, crew_frame *frame)
{
	struct crew__ws_worker *all = crew__worker_of(c)->ws;
	all->out.len = 0;
	if (pack_on_its_own(all, bits, frame->body, &all->out) != 0)
		return 1;
	frame->body = (crew_bytes){ all->out.data, all->out.len };
	frame->head = (crew_bytes){ frame->room,
		crew__ws_head(frame->room, byte0_of(kind) | CREW__WS_RSV1, frame->body.len) };
	frame->tail.len = 0;
	return 0;
}

/* ---- masking ------------------------------------------------------------------------------- */

/* In the worker's `out`: the program's bytes stay as they are, what was compressed is there
 * already. */
int crew__ws_mask_frame(crew_conn *c, unsigned byte0, char *room, crew_frame *frame)
{
	struct crew__ws_worker *all = crew__worker_of(c)->ws;
	crew_bytes body = frame->body;
	uint32_t key;
	if (crew__ws_key_draw(&all->keys, &key) < 0)
		return -ENOMEM;
	if (body.len > 0 && body.data == all->out.data) {
		crew__ws_unmask(all->out.data, body.len, key);
	} else if (body.len > 0) {
		all->out.len = 0;
		if (crew__buf_reserve(&all->out, body.len) < 0)
			return -ENOMEM;
		crew__ws_mask_copy(all->out.data, body.data, body.len, key);
		frame->body.data = all->out.data;
	}
	frame->head = (crew_bytes){ room, crew__ws_masked_head(room, byte0, body.len, key) };
	return 0;
}

/* ---- both ---------------------------------------------------------------------------------- */

/* It would be refused anyway, or is about to be: that is not to cost a compression each time. */
static bool is_full(const crew_conn *c)
{
	return c->record->bytes_queued >= crew__conn_limit(c) &&
	       c->net->limits.policy == CREW_DROP_NEWEST;
}

int crew__ws_frame(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame)
{
	unsigned byte0 = byte0_of(kind);
	if (crew__ws_packs(c, frame->body.len, how) && !is_full(c) && pack(c, how, frame))
		byte0 |= CREW__WS_RSV1;
	_Static_assert(sizeof(frame->room) >= CREW__WS_MASKED_HEADER_MAX, "a head has room");
	if (ws_side(c)->client)
		return crew__ws_mask_frame(c, byte0, frame->room, frame);
	frame->head = (crew_bytes){ frame->room,
		crew__ws_head(frame->room, byte0, frame->body.len) };
	return 0;
}

/* A long message is not to be paid for until the next one. */
void crew__ws_frame_done(crew_worker *w)
{
	if (w->ws && w->ws->out.cap > OUT_KEPT)
		crew__buf_release(&w->ws->out);
}
