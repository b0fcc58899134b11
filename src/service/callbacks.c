/* callbacks.c - from what connections and protocols report to the program's own functions. */
#include "service/http.h"

#include "net/address.h"
#include "service/datagram.h"
#include "service/episodes.h"

#include <stdlib.h>

void crew__refuse_for_budget(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	static const crew_bytes later = CREW_BYTES(
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n"
		"Content-Length: 0\r\nConnection: close\r\n\r\n");
	c->net->stats.slab->refused_budget++;
	if (c->record->protocol == CREW__WS) {
		w->closing_code = CREW__CLOSE_TRY_LATER;
		crew__conn_close(c, CREW_END_MEMORY);
		w->closing_code = 0;
	} else if (c->record->protocol == CREW__HTTP && crew__conn_control(c, later) == 0) {
		crew__conn_close(c, CREW_END_MEMORY);
	} else {
		crew__conn_abort(c, CREW_END_MEMORY);
	}
}

static void on_accepted(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	if (crew__budget_refuses(c->net)) {
		crew__refuse_for_budget(c);
		return;
	}
	crew__side(c)->accepted = true;
	if (w->kind == CREW__WS) {
		crew__conn_deadline(c, c->record->opened + w->handshake_timeout);
		return;
	}
	crew__conn_opened(c);
	if (w->service->protocol && w->service->protocol->on_open) {
		struct crew__entered before = crew__enter(w, CREW__CB_PROTOCOL);
		w->service->protocol->on_open(c);
		crew__leave(w, before);
	}
	if (!w->upgrades)
		crew__service_open(c);
}

void crew__service_open(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	crew__side(c)->shown = true;
	if (!w->service->on_open || c->record->state > CREW__CONN_OPEN)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_OPEN);
	w->service->on_open(c);
	crew__leave(w, before);
}

size_t crew__service_data(crew_conn *c, char *data, size_t len)
{
	if (c->record->protocol == CREW__WS)
		return crew__ws_data(c, data, len);
	if (c->record->protocol == CREW__HTTP)
		return crew__http_data(c, data, len);
	if (crew__is_events(c))
		return len; /* its request has been answered, and there is no other */
	if (crew__unlikely(crew__is_datagrams(c)))
		return crew__datagram_data(c, data, len);
	return crew__stream_data(c, data, len);
}

/* What flows into another connection: refused there only if that one has gone or is full, which
 * back-pressure prevents for all but its last message. */
void crew__service_pipe(crew_conn *from, crew_msg msg)
{
	crew_conn *to = crew__conn_pipe_to(from);
	size_t limit = crew__conn_limit(to);
	crew__service_send(to, msg.body, msg.kind);
	if (crew__likely(to->record->bytes_queued * 2 <= limit))
		return;
	crew__conn_flush(to);
	if (crew__conn_pipe_to(from) == to && to->record->bytes_queued * 2 > limit)
		crew__conn_stop_reading(from, CREW__C_PIPE_FULL);
}

static void on_end(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	crew_conn *to = crew__conn_pipe_to(c);
	if (to)
		crew_finish(to);
	if (to && crew__conn_pipe_from(c))
		return; /* the other direction goes on */
	/* RFC 9112 section 8: a request that is not whole will never be, so nobody waits for its
	 * answer. */
	bool whole = c->record->protocol == CREW__HTTP && !crew__http_awaits_body(c);
	if (whole && crew__http_awaits(c)) {
		crew__side(c)->http.keep_alive = false; /* the answer in hand is the last */
		return;
	}
	bool stream = !w->http;
	if (!stream || !w->service->on_end) {
		bool handshaking = c->record->state == CREW__CONN_HANDSHAKE;
		crew__conn_close(c, handshaking ? CREW_END_HANDSHAKE : CREW_END_PEER);
		return;
	}
	struct crew__entered before = crew__enter(w, CREW__CB_END);
	w->service->on_end(c);
	crew__leave(w, before);
}

void crew__service_pipe_end(crew_conn *c)
{
	crew_finish(c);
}

static bool on_closing(crew_conn *c)
{
	if (c->record->protocol == CREW__WS)
		return crew__ws_closing(c);
	if (c->record->protocol == CREW__HTTP)
		crew__stream_closing(c);
	else if (crew__is_events(c))
		crew__events_closing(c);
	return false;
}

void crew__service_notice(crew_conn *c, enum crew__notice notice)
{
	crew_worker *w = crew__worker_of(c);
	if (notice == CREW__NOTICE_ROOM) {
		crew__stream_drained(c);
		return;
	}
	bool full = notice == CREW__NOTICE_FULL;
	void (*fn)(crew_conn *) = full ? w->service->on_full : w->service->on_drain;
	if (!fn)
		return;
	struct crew__entered before = crew__enter(w, full ? CREW__CB_FULL : CREW__CB_DRAIN);
	fn(c);
	crew__leave(w, before);
}

void crew__service_loss(crew_conn *c, const crew_loss *loss)
{
	crew_worker *w = crew__worker_of(c);
	crew__episode_loss(c, loss);
	if (!w->service->on_error)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_ERROR);
	w->service->on_error(c, loss);
	crew__leave(w, before);
}

void crew__service_gap(crew_conn *c, const crew_gap *gap)
{
	crew_worker *w = crew__worker_of(c);
	crew__episode_gap(c, gap);
	if (!w->service->on_gap)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_GAP);
	w->service->on_gap(c, gap);
	crew__leave(w, before);
}

static void on_closed(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	crew__episode_closed(c);
	if (crew__side(c)->shown && w->service->on_close) {
		struct crew__entered before = crew__enter(w, CREW__CB_CLOSE);
		w->service->on_close(c);
		crew__leave(w, before);
	}
	bool was_protocols = crew__side(c)->accepted && w->service->protocol;
	if (was_protocols && w->service->protocol->on_close) {
		struct crew__entered before = crew__enter(w, CREW__CB_PROTOCOL);
		w->service->protocol->on_close(c);
		crew__leave(w, before);
	}
	if (c->record->protocol == CREW__WS)
		crew__ws_closed(c);
	else if (c->record->protocol == CREW__HTTP)
		crew__http_closed(c);
	else if (crew__is_events(c))
		crew__events_closed(c);
	crew__worker_conn_gone(w);
}

static size_t on_held(crew_conn *c)
{
	return c->record->protocol == CREW__WS ? crew__ws_held(&crew__side(c)->ws.codec) : 0;
}

static uint32_t on_deadline(crew_conn *c, uint32_t now)
{
	switch (c->record->protocol) {
	case CREW__HTTP:
		return crew__http_deadline(c, now);
	case CREW__WS:
		return crew__ws_deadline(c, now);
	case CREW__SSE:
	case CREW__SSE_END:
		return crew__events_deadline(c, now);
	default:
		return CREW__WHEEL_OUT;
	}
}

const struct crew__conn_ops crew__service_ops = {
	.on_accepted = on_accepted,
	.on_data = crew__service_data,
	.on_end = on_end,
	.on_pipe_end = crew__service_pipe_end,
	.on_closing = on_closing,
	.on_notice = crew__service_notice,
	.on_loss = crew__service_loss,
	.on_gap = crew__service_gap,
	.on_episode = crew__episode,
	.on_closed = on_closed,
	.on_held = on_held,
	.on_deadline = on_deadline,
};

void crew__service_violation(crew_conn *c, int code, const char *what)
{
	crew_worker *w = crew__worker_of(c);
	char left_out[CREW__LEFT_OUT_MAX];
	char peer[80];
	if (crew__log_may(&w->protocol_log, 5, left_out)) {
		crew__address_text(&w->net.stats.cold[c->slot].remote, peer, sizeof(peer));
		crew__log(CREW_INFO, "%s: %s broke the protocol: %s; connection %016llx ends%s",
			w->service->name, peer, what, (unsigned long long)c->record->id, left_out);
	}
	w->closing_code = code;
	crew__conn_close(c, CREW_END_PROTOCOL);
	w->closing_code = 0;
}

/* To one that speaks plain HTTP nothing can be sent but answers. */
bool crew__conn_is_member(const crew_conn *c)
{
	return c->record->state == CREW__CONN_OPEN && c->record->protocol != CREW__HTTP;
}
