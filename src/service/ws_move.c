/* ws_move.c - what a WebSocket's two sides agreed on and where its stream stands, for another
 * process.
 *
 * A compressor's window is not worth carrying: the next message begins with an empty one, which no
 * peer notices. The peer's window must go along when its messages may refer to earlier ones. */
#include "service/ws.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
	TAG_TERMS = 1, /* the bits below */
	TAG_SERVER_BITS,
	TAG_CLIENT_BITS,
	TAG_SUBPROTOCOL,
	TAG_RTT,
	TAG_WINDOW,
	/* of a ping that is out */
	TAG_PING_MARK,
	TAG_PING_AGO, /* hundredths */
	TAG_PING_IN,
	TAG_PING_PASSED,
	/* of a message that is under way */
	TAG_OPCODE,
	TAG_FRAME, /* the bits below */
	TAG_LEFT,
	TAG_MASK,
	TAG_MASK_AT,
	TAG_UTF8,
	TAG_GATHERED,
};

enum {
	DEFLATE = 1,
	SERVER_RESETS = 2,
	CLIENT_RESETS = 4,
	TERMS = 7,
};

enum {
	FIN = 1,
	IN_FRAME = 2,
	IN_PARTS = 4, /* what came of it has been told */
	FRAME = 7,
};

bool crew__ws_is_movable(const crew_conn *c)
{
	const struct crew__ws_side *ws = &crew__side((crew_conn *)(uintptr_t)c)->ws;
	bool inflates = ws->codec.opcode != 0 && ws->codec.packed;
	return !inflates && !ws->client && ws->parts == CREW__WS_PARTS_NONE && !ws->closed_by_peer;
}

/* ---- down ---------------------------------------------------------------------------------- */

static void put_terms(struct crew__parcel *parcel, const struct crew__ws_side *ws)
{
	bool deflate = ws->codec.bits > 0;
	uint64_t terms = (deflate ? DEFLATE : 0u) | (ws->takeover ? 0u : SERVER_RESETS) |
			 (ws->codec.shared ? CLIENT_RESETS : 0u);
	if (!deflate)
		return;
	crew__parcel_number(parcel, TAG_TERMS, terms);
	crew__parcel_number(parcel, TAG_SERVER_BITS, ws->pack_bits);
	crew__parcel_number(parcel, TAG_CLIENT_BITS, ws->codec.bits);
}

/* Of an inflater that it has for good; one that is lent has nothing of an earlier message. */
static void put_window(struct crew__parcel *parcel, const struct crew__ws *codec)
{
	if (!codec->inflater || codec->shared)
		return;
	char *room = malloc(CREW__WINDOW_MOST);
	if (!room) {
		parcel->error = parcel->error ? parcel->error : -ENOMEM;
		return;
	}
	size_t len = crew__inflater_window(codec->inflater, room);
	crew__parcel_put(parcel, TAG_WINDOW, (crew_bytes){ room, len });
	free(room);
}

static void put_ping(
	struct crew__parcel *parcel, const crew_conn *c, const struct crew__ws_side *ws)
{
	if (ws->ping_at == 0)
		return;
	crew__parcel_number(parcel, TAG_PING_MARK, ws->ping_mark);
	crew__parcel_number(parcel, TAG_PING_AGO, crew__net_now(c->net) - ws->ping_at);
	crew__parcel_number(parcel, TAG_PING_IN, ws->ping_in);
	crew__parcel_number(parcel, TAG_PING_PASSED, ws->ping_passed);
}

static void put_message(struct crew__parcel *parcel, const struct crew__ws *codec)
{
	uint64_t frame = (codec->fin ? FIN : 0u) | (codec->in_frame ? IN_FRAME : 0u) |
			 (codec->special & CREW__WS_PARTS ? IN_PARTS : 0u);
	if (codec->opcode == 0)
		return;
	crew__parcel_number(parcel, TAG_OPCODE, codec->opcode);
	crew__parcel_number(parcel, TAG_FRAME, frame);
	crew__parcel_number(parcel, TAG_LEFT, codec->left);
	crew__parcel_put(
		parcel, TAG_MASK, (crew_bytes){ (const char *)codec->mask, sizeof(codec->mask) });
	crew__parcel_number(parcel, TAG_MASK_AT, codec->mask_at);
	crew__parcel_number(parcel, TAG_UTF8, codec->utf8);
	if (codec->message.len > 0)
		crew__parcel_put(parcel, TAG_GATHERED,
			(crew_bytes){ codec->message.data, codec->message.len });
}

void crew__ws_pack(crew_conn *c, struct crew__parcel *parcel)
{
	const struct crew__ws_side *ws = &crew__side(c)->ws;
	put_terms(parcel, ws);
	if (crew__side(c)->subprotocol)
		crew__parcel_put(parcel, TAG_SUBPROTOCOL, crew_str(crew_websocket_protocol(c)));
	if (crew__side(c)->rtt_us)
		crew__parcel_number(parcel, TAG_RTT, crew__side(c)->rtt_us);
	put_window(parcel, &ws->codec);
	put_ping(parcel, c, ws);
	put_message(parcel, &ws->codec);
}

/* ---- up ------------------------------------------------------------------------------------ */

struct draft {
	struct crew__ws_agreed agreed;
	crew_bytes subprotocol, window, gathered, mask;
	uint64_t terms, server_bits, client_bits, rtt;
	uint64_t ping_mark, ping_ago, ping_in, ping_passed;
	bool pinged;
	uint64_t opcode, frame, left, mask_at, utf8;
};

static bool take(struct draft *d, const struct crew__parcel_item *item)
{
	switch (item->tag) {
	case TAG_TERMS:
		return crew__parcel_is_number(item, TERMS, &d->terms);
	case TAG_SERVER_BITS:
		return crew__parcel_is_number(item, CREW__WS_BITS_MOST, &d->server_bits);
	case TAG_CLIENT_BITS:
		return crew__parcel_is_number(item, CREW__WS_BITS_MOST, &d->client_bits);
	case TAG_SUBPROTOCOL:
		d->subprotocol = item->value;
		return item->value.len > 0 && !memchr(item->value.data, 0, item->value.len);
	case TAG_RTT:
		return crew__parcel_is_number(item, UINT32_MAX, &d->rtt);
	case TAG_WINDOW:
		d->window = item->value;
		return item->value.len <= CREW__WINDOW_MOST;
	case TAG_PING_MARK:
		return crew__parcel_is_number(item, UINT64_MAX, &d->ping_mark);
	case TAG_PING_AGO:
		d->pinged = true;
		return crew__parcel_is_number(item, UINT32_MAX, &d->ping_ago);
	case TAG_PING_IN:
		return crew__parcel_is_number(item, UINT32_MAX, &d->ping_in);
	case TAG_PING_PASSED:
		return crew__parcel_is_number(item, 1, &d->ping_passed);
	case TAG_OPCODE:
		return crew__parcel_is_number(item, CREW__WS_OP_BINARY, &d->opcode);
	case TAG_FRAME:
		return crew__parcel_is_number(item, FRAME, &d->frame);
	case TAG_LEFT:
		return crew__parcel_is_number(item, INT64_MAX, &d->left);
	case TAG_MASK:
		d->mask = item->value;
		return item->value.len == sizeof(((struct crew__ws *)0)->mask);
	case TAG_MASK_AT:
		return crew__parcel_is_number(item, 3, &d->mask_at);
	case TAG_UTF8:
		return crew__parcel_is_number(item, UINT32_MAX, &d->utf8);
	case TAG_GATHERED:
		d->gathered = item->value;
		return true;
	default:
		return true; /* what another version says beside */
	}
}

static bool agree(crew_worker *w, struct draft *d)
{
	struct crew__ws_terms *terms = &d->agreed.terms;
	terms->deflate = d->terms & DEFLATE;
	terms->server_resets = d->terms & SERVER_RESETS;
	terms->client_resets = d->terms & CLIENT_RESETS;
	terms->server_bits = (uint8_t)d->server_bits;
	terms->client_bits = (uint8_t)d->client_bits;
	bool bits = d->server_bits >= CREW__WS_BITS_LEAST && d->client_bits >= CREW__WS_BITS_LEAST;
	if (terms->deflate && !bits)
		return false;
	if (d->window.len > 0 && (!terms->deflate || terms->client_resets))
		return false;
	if (d->subprotocol.len > 0)
		d->agreed.subprotocol = crew__subprotocol_place(w, d->subprotocol);
	return d->subprotocol.len == 0 || d->agreed.subprotocol > 0;
}

/* The message that is under way, within the limits that hold here. */
static int restore_message(struct crew__ws *codec, const struct draft *d)
{
	bool parts = codec->special & CREW__WS_PARTS;
	unsigned to_come = d->utf8 & 0xff; /* bytes of a character (utf8.c) */
	if (d->opcode == 0)
		return d->frame || d->left || d->gathered.len ? -EPROTO : 0;
	bool in_frame = d->frame & IN_FRAME;
	if (d->mask.len == 0 || (d->left > 0 && !in_frame))
		return -EPROTO;
	if (d->utf8 != 0 && (d->opcode != CREW__WS_OP_TEXT || to_come < 1 || to_come > 3))
		return -EPROTO;
	if (parts != !!(d->frame & IN_PARTS) || (parts && d->gathered.len > 0))
		return -ENOTSUP;
	if (!parts && d->gathered.len + d->left > codec->message.max)
		return -ENOTSUP;
	codec->opcode = (uint8_t)d->opcode;
	codec->fin = d->frame & FIN;
	codec->in_frame = in_frame;
	codec->left = d->left;
	codec->mask_at = (uint8_t)d->mask_at;
	codec->utf8 = (uint32_t)d->utf8;
	memcpy(codec->mask, d->mask.data, sizeof(codec->mask));
	return d->gathered.len > 0
		       ? crew__buf_append(&codec->message, d->gathered.data, d->gathered.len)
		       : 0;
}

static void restore_ping(crew_conn *c, struct crew__ws_side *ws, const struct draft *d)
{
	crew__side(c)->rtt_us = (uint32_t)d->rtt;
	ws->lost = c->record->send_fail;
	if (!d->pinged)
		return;
	/* Its answer names what the connection was called there: it proves life, and measures
	 * nothing. */
	ws->ping_mark = d->ping_mark;
	ws->ping_at = crew__wheel_time(crew__net_now(c->net) - (uint32_t)d->ping_ago);
	ws->ping_in = (uint32_t)d->ping_in;
	ws->ping_passed = d->ping_passed;
}

int crew__ws_unpack(crew_conn *c, crew_bytes packed, bool *ret_begun)
{
	struct draft d = { .agreed = { .subprotocol = 0 } };
	struct crew__parcel_item item;
	crew_worker *w = crew__worker_of(c);
	int got;
	*ret_begun = false;
	while ((got = crew__parcel_next(&packed, &item)) == 1)
		if (!take(&d, &item))
			return -EPROTO;
	if (got < 0)
		return -EPROTO;
	if (!crew__ws_worker(w))
		return -ENOMEM;
	if (!agree(w, &d))
		return -EPROTO;
	crew__ws_init_side(c, &d.agreed, false);
	*ret_begun = true;
	struct crew__ws *codec = &crew__side(c)->ws.codec;
	if (d.window.len > 0) {
		codec->inflater = crew__inflater_behind(codec->bits, d.window);
		if (!codec->inflater)
			return -ENOMEM;
	}
	restore_ping(c, &crew__side(c)->ws, &d);
	return restore_message(codec, &d);
}
