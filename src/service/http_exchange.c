/* http_exchange.c - a request in hand: from the head being whole to the answer being complete; the
 * call of its handler; and the answers that crew makes itself. */
#include "service/http.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	DISCARD_MOST = 256 * 1024, /* of a body that nobody wants any more */
};

/* The Date field, worked out once a second. */
const char *crew__http_date_now(crew_worker *w)
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

static void count_refusal(crew_worker *w, int status)
{
	struct crew__slab *s = w->net.stats.slab;
	switch (status) {
	case 400:
	case 417:
	case 501:
	case 505:
		s->requests_malformed++;
		break;
	case 413:
	case 414:
	case 431:
		s->requests_too_large++;
		break;
	case 408:
		s->requests_too_slow++;
		break;
	default:
		break;
	}
}

/* An answer that ends the connection. It is no message: the program did not offer it. */
void crew__http_refuse(crew_conn *c, int status, crew_end_reason reason)
{
	crew_worker *w = crew__worker_of(c);
	const char *phrase = crew__http_phrase(status);
	struct crew__exchange *e = crew__exchange_of(c);
	char text[512];
	count_refusal(w, status);
	if (e) {
		e->status = (uint16_t)status;
		e->body_out = strlen(phrase) + 1;
		crew__access_mark(e, CREW__ACCESS_DONE);
	} else if (crew__unlikely(w->http->log != NULL)) {
		crew__access_refused(c, status, strlen(phrase) + 1, reason);
	}
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\nContent-Type: text/plain\r\n"
		"Content-Length: %zu\r\n\r\n%s\n",
		status, phrase, crew__http_date_now(w), connection_fields(status),
		strlen(phrase) + 1, phrase);
	crew__must(n > 0 && (size_t)n < sizeof(text));
	crew__conn_control(c, (crew_bytes){ text, (size_t)n });
	if (reason == CREW_END_PROTOCOL)
		crew__service_violation(c, 0, phrase);
	else
		crew__conn_close(c, reason);
}

/* ---- exchanges ----------------------------------------------------------------------------- */

void crew__side_init(struct crew__request_side *side, crew_worker *w)
{
	*side = (struct crew__request_side){
		.worker = w,
		.arena = { .max = CREW__REQUEST_MEMORY + w->max_message },
	};
}

/* What was worked out for the program is void, and the side ready for the next request. */
void crew__side_clear(struct crew__request_side *side)
{
	crew__uploads_close(side);
	crew__session_free(side->session);
	crew__arena_reset(&side->arena);
	side->exchange = NULL;
	side->route = NULL;
	side->param_count = 0;
	side->path = (crew_bytes){ NULL, 0 };
	side->queries = side->forms = side->cookies = (struct crew__pairs){ 0 };
	side->uploads = NULL;
	side->upload_count = 0;
	side->session = NULL;
	side->client = NULL;
	side->id[0] = '\0';
}

/* The worker's side is free for the next request, which may be another connection's. */
void crew__side_leave(struct crew__request_side *side)
{
	if (side->exchange && side->exchange->side == side) {
		crew__gzip_note(side->exchange);
		side->exchange->side = NULL;
	}
	crew__side_clear(side);
}

struct crew__exchange *crew__exchange_begin(crew_conn *c)
{
	struct crew__http_worker *http = crew__worker_of(c)->http;
	struct crew__exchange *e = http->spare;
	if (crew__likely(e != NULL))
		http->spare = e->next;
	else
		e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	*e = (struct crew__exchange){ .conn = c };
	crew__buf_init(&e->fields, CREW__ANSWER_FIELDS_MOST);
	crew__side(c)->http.exchange = e;
	return e;
}

static void free_kept(struct crew__exchange *e)
{
	struct crew__kept *kept = e->kept;
	e->kept = NULL;
	crew_request_free(&kept->request.public);
}

/* Its handler has returned: the request is the program's own, or, with the exchange, over. */
static void settle_kept(struct crew__exchange *e, bool over)
{
	struct crew__kept *kept = e->kept;
	if (!e->kept_given) {
		if (over)
			free_kept(e);
		return;
	}
	e->kept = NULL;
	if (e->side != &kept->side)
		kept->side.exchange = NULL;
}

/* Its memory stays, so that who had it on the stack may still look. */
void crew__exchange_end(struct crew__exchange *e, crew_end_reason reason)
{
	crew_conn *c = e->conn;
	struct crew__http_worker *http = crew__worker_of(c)->http;
	crew__access_end(e, reason);
	crew__side(c)->http.exchange = NULL;
	bool settled_later = e->kept && e->in_handler; /* settle_kept() */
	if (e->side && !settled_later)
		e->side->exchange = NULL;
	if (crew__unlikely(e->pull != NULL))
		crew__stream_gone(e);
	if (crew__unlikely(e->kept != NULL && !e->in_handler))
		free_kept(e);
	if (crew__unlikely(e->parts != NULL))
		crew__parts_free(e->parts);
	crew__buf_release(&e->fields);
	e->side = NULL;
	e->parts = NULL;
	e->next = http->spare;
	http->spare = e;
	c->in.max = (uint32_t)c->net->limits.held_most;
}

bool crew__http_awaits(const crew_conn *c)
{
	const struct crew__exchange *e = crew__exchange_of((crew_conn *)(uintptr_t)c);
	return e && e->answer != CREW__ANSWER_GIVEN;
}

bool crew__http_awaits_body(const crew_conn *c)
{
	const struct crew__exchange *e = crew__exchange_of((crew_conn *)(uintptr_t)c);
	return e && !e->body_done;
}

void crew__http_closed(crew_conn *c)
{
	struct crew__exchange *e = crew__exchange_of(c);
	if (e)
		crew__exchange_end(e, c->record->end);
}

void crew__exchange_answered(crew_conn *c, bool close, crew_end_reason reason)
{
	struct crew__http_side *http = &crew__side(c)->http;
	struct crew__exchange *e = http->exchange;
	e->answer = CREW__ANSWER_GIVEN;
	crew__access_mark(e, CREW__ACCESS_DONE);
	if (!e->body_done && !close && http->keep_alive) {
		e->body = CREW__BODY_DISCARD;
		e->body_max = e->body_seen + DISCARD_MOST;
		crew__conn_go_on_reading(c, CREW__C_WAITING);
		return;
	}
	bool keep = http->keep_alive;
	crew__exchange_end(e, CREW_END_REASONS);
	crew__conn_go_on_reading(c, CREW__C_WAITING);
	if (close)
		crew__conn_close(c, reason);
	else if (!keep)
		crew__conn_close(c, crew__worker_of(c)->leaving == CREW__STAYS ? CREW_END_PEER
									       : CREW_END_DRAIN);
}

/* ---- to the handler ------------------------------------------------------------------------ */

bool crew__exchange_in_hand(const crew_conn *c, const struct crew__exchange *e)
{
	return c->record->protocol == CREW__HTTP &&
	       crew__side((crew_conn *)(uintptr_t)c)->http.exchange == e;
}

/* The handler has been called, or the session is being fetched. */
static void after_handler(crew_conn *c, struct crew__exchange *e)
{
	if (!crew__exchange_in_hand(c, e) || c->record->state == CREW__CONN_CLOSED)
		return;
	bool own = e->side && !e->finding_out && e->side == &crew__worker_of(c)->http->side;
	if (own && e->answer == CREW__ANSWER_DUE && e->side->session)
		crew__session_save(e);
	if (e->finding_out || (e->body_done && e->answer != CREW__ANSWER_GIVEN))
		crew__conn_stop_reading(c, CREW__C_WAITING);
}

static void call_handler(crew_conn *c, struct crew__exchange *e, crew_request *request)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__request_side *side = request->side;
	e->side = side;
	side->exchange = e;
	e->in_handler = true;
	crew__routes_dispatch(e, request);
	e->in_handler = false;
	if (crew__unlikely(e->kept != NULL))
		settle_kept(e, !crew__exchange_in_hand(c, e));
	after_handler(c, e);
	bool all_here = e->body == CREW__BODY_STREAM && e->body_done &&
			c->record->state <= CREW__CONN_OPEN;
	if (crew__unlikely(all_here && crew__exchange_in_hand(c, e) && !e->finding_out &&
			   e->answer == CREW__ANSWER_DUE))
		crew__routes_body(e, (crew_bytes){ NULL, 0 }, true);
	if (side == &w->http->side)
		crew__side_leave(side);
}

/* A request is there, or its head. One that only asks for a WebSocket, or that nobody listens to,
 * is none that the program sees. */
void crew__exchange_deliver(crew_conn *c, struct crew__exchange *e)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http1_request *request = e->kept ? &e->kept->request : &w->request;
	bool heard = w->service->on_request || w->service->routes;
	if (crew__likely(heard && !request->upgrade_websocket)) {
		crew__side(c)->shown = true;
		crew__count_request(w);
		crew__conn_opened(c);
	}
	call_handler(c, e, &request->public);
}

int crew__exchange_keep(struct crew__exchange *e, const crew_request *request)
{
	crew_request *kept = crew_request_keep(request);
	if (!kept)
		return -ENOMEM;
	e->kept = crew__container_of(kept, struct crew__kept, request.public);
	e->kept_given = false;
	return 0;
}

void crew__exchange_go_on(struct crew__exchange *e)
{
	crew__must(e->kept && e->finding_out);
	e->finding_out = false;
	if (!e->body_done)
		crew__conn_go_on_reading(e->conn, CREW__C_WAITING);
	call_handler(e->conn, e, &e->kept->request.public);
}
