/* http.c - HTTP connections: requests in order, one in hand at a time, answers by crew_reply(). */
#include "service/inner.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The Date field, worked out once a second. */
static const char *date_now(crew_worker *w)
{
	uint64_t second = crew__loop_ns(w->plan.loop) / CREW__NS_PER_S;
	if (crew__unlikely(second != w->date_second)) {
		w->date_second = second;
		crew__http_date((int64_t)time(NULL), w->date);
	}
	return w->date;
}

/* ---- answers that crew makes itself -------------------------------------------------------- */

static const char *connection_fields(int status)
{
	if (status == 426) /* RFC 9110 section 7.8 wants the option beside the field */
		return "close, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
	return "close";
}

/* An answer that ends the connection. It is no message: the program did not offer it. */
void crew__http_refuse(crew_conn *c, int status, crew_end_reason reason)
{
	crew_worker *w = crew__worker_of(c);
	const char *phrase = crew__http_phrase(status);
	char text[512];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\nContent-Type: text/plain\r\n"
		"Content-Length: %zu\r\n\r\n%s\n",
		status, phrase, date_now(w), connection_fields(status), strlen(phrase) + 1, phrase);
	crew__must(n > 0 && (size_t)n < sizeof(text));
	crew__conn_control(c, (crew_bytes){ text, (size_t)n });
	if (reason == CREW_END_PROTOCOL)
		crew__service_violation(c, 0, phrase);
	else
		crew__conn_close(c, reason);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void hand_over(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	crew__side(c)->shown = true;
	crew__count_request(w);
	struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
	w->service->on_request(c, &w->request.public);
	crew__leave(w, before);
}

static void handle(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	const struct crew__http1_request *request = &w->request;
	http->began = 0;
	if (w->kind == CREW__WS && request->upgrade_websocket) {
		crew__ws_upgrade(c, request);
		return;
	}
	if (!w->service->on_request) {
		crew__http_refuse(c, w->kind == CREW__WS ? 426 : 404,
			w->kind == CREW__WS ? CREW_END_HANDSHAKE : CREW_END_APP);
		return;
	}
	http->awaiting = true;
	http->head_only = request->head_only;
	http->version = (uint8_t)request->public.version;
	http->keep_alive = request->public.keep_alive && w->leaving == CREW__STAYS;
	crew__conn_opened(c);
	hand_over(c);
	if (http->awaiting && c->record->state == CREW__CONN_OPEN)
		crew__conn_stop_reading(c, CREW__C_WAITING);
}

static void note_unfinished(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	if (http->began != 0 || w->handshake_timeout == 0)
		return;
	uint32_t now = crew__net_now(c->net);
	http->began = now ? now : 1;
	crew__conn_deadline(c, http->began + w->handshake_timeout);
}

size_t crew__http_data(crew_conn *c, char *data, size_t len)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	size_t used = 0;
	while (used < len && crew__conn_ready(c)) {
		size_t consumed = 0;
		int status = 0;
		enum crew__http1_result result = crew__http1_feed(&http->parser, data + used,
			len - used, w->max_message, &w->request, &consumed, &status);
		if (crew__likely(result == CREW__HTTP_REQUEST)) {
			used += consumed;
			handle(c);
			if (c->record->protocol == CREW__WS)
				return used + crew__ws_data(c, data + used, len - used);
			continue;
		}
		if (result == CREW__HTTP_BAD) {
			crew__http_refuse(c, status, CREW_END_PROTOCOL);
			return len;
		}
		note_unfinished(c);
		used += crew__http1_squeeze(&http->parser, data + used, len - used);
		if (result == CREW__HTTP_HEAD && w->request.expect_continue)
			crew__conn_control(c, CREW_BYTES("HTTP/1.1 100 Continue\r\n\r\n"));
		break;
	}
	return c->record->state > CREW__CONN_OPEN ? len : used;
}

static uint32_t last_active(const crew_conn *c)
{
	const struct crew__record *r = c->record;
	return (int32_t)(r->last_in - r->last_out) >= 0 ? r->last_in : r->last_out;
}

/* A WebSocket port has no idle timeout of its own, as its WebSockets have the heartbeat: there
 * plain requests must follow each other within the time that a handshake has. */
uint32_t crew__http_deadline(crew_conn *c, uint32_t now)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	bool handshaking = c->record->state == CREW__CONN_HANDSHAKE;
	uint32_t began = http->began;
	if (w->handshake_timeout == 0)
		return CREW__WHEEL_OUT;
	if (began == 0 && !handshaking && w->kind != CREW__WS)
		return CREW__WHEEL_OUT; /* between requests: that is the idle timeout's business */
	if (http->awaiting)
		return now + w->handshake_timeout;
	if (began == 0)
		began = handshaking ? c->record->opened : last_active(c);
	uint32_t due = began + w->handshake_timeout;
	if ((int32_t)(now - due) < 0)
		return due ? due : 1;
	if (http->began != 0)
		crew__http_refuse(c, 408, CREW_END_HANDSHAKE);
	else
		crew__conn_close(c, handshaking ? CREW_END_HANDSHAKE : CREW_END_IDLE);
	return CREW__WHEEL_OUT;
}

/* ---- crew_reply ---------------------------------------------------------------------------- */

static bool goes_without_body(const struct crew__http_side *http, int status)
{
	return http->head_only || status == 204 || status == 304;
}

static int write_head(crew_conn *c, const crew_response *response, char *room, size_t size)
{
	const struct crew__http_side *http = &crew__side(c)->http;
	const struct crew__http_head head = {
		.response = response,
		.version = http->version,
		.keep_alive = http->keep_alive && !response->close,
		.date = date_now(crew__worker_of(c)),
	};
	return crew__http_write_head(&head, room, size);
}

/* The request is answered: go on with the next one, or end as both sides wished. */
static void answered(crew_conn *c, bool program_closes)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	http->awaiting = false;
	crew__conn_go_on_reading(c, CREW__C_WAITING);
	if (program_closes)
		crew__conn_close(c, CREW_END_APP);
	else if (!http->keep_alive)
		crew__conn_close(c, w->leaving == CREW__STAYS ? CREW_END_PEER : CREW_END_DRAIN);
}

static int64_t invalid(crew_worker *w)
{
	crew__net_count_invalid(&w->net);
	return -EINVAL;
}

int64_t crew_reply(crew_conn *c, const crew_response *response)
{
	char room[CREW__RESPONSE_HEAD_MOST];
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew__service_send(
			c, response ? response->body : (crew_bytes){ NULL, 0 }, CREW_KIND_DEFAULT);
	crew_worker *w = crew__worker_of(c);
	bool http = c->record->protocol == CREW__HTTP && crew__side(c)->http.awaiting;
	if (!response || !http || (!response->body.data && response->body.len > 0))
		return invalid(w);
	if (response->body.len > CREW__SEND_MOST) {
		crew__net_count_invalid(&w->net);
		return -EMSGSIZE;
	}
	int head = write_head(c, response, room, sizeof(room));
	if (head < 0) {
		crew__net_count_invalid(&w->net);
		return head;
	}
	int status = response->status ? response->status : 200;
	struct crew__out out = { .head = { room, (size_t)head } };
	if (!goes_without_body(&crew__side(c)->http, status))
		out.body = response->body;
	int64_t queued = crew__conn_send(c, &out);
	if (c->record->state <= CREW__CONN_OPEN && queued != -ENOBUFS && queued != -ENOMEM)
		answered(c, response->close);
	else if (c->record->state <= CREW__CONN_OPEN)
		crew__conn_abort(c, queued == -ENOMEM ? CREW_END_MEMORY : CREW_END_FULL);
	return queued;
}

crew_bytes crew_request_header(const crew_request *request, const char *name)
{
	crew_bytes wanted = crew_str(name);
	for (size_t i = 0; request && i < request->header_count; i++)
		if (crew__http_same(request->headers[i].name, wanted))
			return request->headers[i].value;
	return (crew_bytes){ NULL, 0 };
}
