/* ws_heartbeat.c - is the peer of a WebSocket still there? Pings when nothing came for a while, and
 * the round trips that their answers measure. */
#include "service/ws.h"

#include "base/clock.h"

#include <string.h>

enum {
	PING_SIZE = 8
};

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

/* Microseconds that come round after 71 minutes, never 0. */
static uint32_t now_us(void)
{
	return (uint32_t)(crew__clock_ns() / 1000) | 1;
}

/* What the ping that is out says: when it was sent, and to whom, so that an answer is to this very
 * one. */
static uint64_t said(const crew_conn *c, const struct crew__ws_side *ws)
{
	return (uint64_t)(uint32_t)c->record->id << 32 | ws->ping_us;
}

static void ping(crew_conn *c, uint32_t now)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	char body[PING_SIZE];
	ws->ping_us = now_us();
	memcpy(body, &(uint64_t){ said(c, ws) }, sizeof(body));
	crew__ws_control(c, CREW__WS_OP_PING, (crew_bytes){ body, sizeof(body) });
	ws->ping_mark = c->record->bytes_out + c->record->bytes_queued;
	ws->ping_at = crew__wheel_time(now);
	ws->ping_in = (uint32_t)c->record->bytes_in;
	ws->ping_passed = false;
}

/* One that was seen before proves nothing new; what was said unasked proves nothing at all. */
void crew__ws_pong(crew_conn *c, crew_bytes body)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	if (ws->ping_us == 0 || body.len != PING_SIZE ||
		memcmp(body.data, &(uint64_t){ said(c, ws) }, PING_SIZE) != 0)
		return;
	uint32_t us = now_us() - ws->ping_us;
	crew__side(c)->rtt_us = us > 0 ? us : 1;
	ws->ping_us = 0;
}

int64_t crew_rtt_us(const crew_conn *c)
{
	if (!c || c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	if (c->record->protocol != CREW__WS)
		return -ENODATA;
	uint32_t us = crew__side((crew_conn *)(uintptr_t)c)->rtt_us;
	return us > 0 ? (int64_t)us : -ENODATA;
}

/* Nothing was said to it for as long as nothing was heard, or nearly: then its window is not worth
 * 262 KiB; the next message begins with an empty one. */
static void forget_window(crew_conn *c, uint32_t every, uint32_t now)
{
	struct crew__ws_side *ws = &crew__side(c)->ws;
	if (!ws->deflater || ws->parts != CREW__WS_PARTS_NONE ||
		!crew__wheel_come(c->record->last_out + every, now))
		return;
	crew__deflater_free(ws->deflater);
	ws->deflater = NULL;
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
		forget_window(c, every, now);
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
