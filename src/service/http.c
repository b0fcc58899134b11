/* http.c - from bytes to requests, one in hand at a time: heads, bodies, phases, deadlines.
 *
 *   head whole: an exchange begins
 *     NONE, WHOLE  the body is gathered, then the handler
 *     STREAM       the handler, then on_body
 *     PARTS        a form is taken apart as it comes, then the handler
 *     DISCARD      answered already: what is left of the body is thrown away
 *
 * While an answer is awaited and nothing of the request is still to come, the connection does not
 * read (CREW__C_WAITING). */
#include "service/http.h"

enum {
	WHOLE_MOST = 512 * 1024 * 1024, /* of a body that is gathered, as max_message */
};

/* ---- bodies -------------------------------------------------------------------------------- */

/* What waiting for the rest of a body may cost. */
static void begin_body(crew_conn *c, struct crew__exchange *e, uint64_t limit)
{
	size_t rest = CREW__READ_MOST + (size_t)crew__worker_of(c)->settings->max_head + 64;
	e->body_max = limit;
	e->body_began = crew__net_now(c->net);
	e->body_in = c->record->bytes_in;
	if (e->body == CREW__BODY_WHOLE && limit > crew__worker_of(c)->max_message)
		c->in.max = (uint32_t)crew__min(limit * 2 + rest, INT32_MAX);
	if (crew__worker_of(c)->handshake_timeout > 0)
		crew__conn_deadline(c, e->body_began + crew__worker_of(c)->handshake_timeout);
}

/* It waits for a word before it sends its body, and has not sent it all the same. */
static void go_on_with_body(crew_conn *c, size_t there)
{
	const struct crew__http1 *parser = &crew__side(c)->http.parser;
	const struct crew__http1_request *request = &crew__worker_of(c)->request;
	bool come = there > 0 && (request->chunked || there >= parser->length);
	if (request->expect_continue && !come)
		crew__conn_control(c, CREW_BYTES("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void refuse_body(crew_conn *c, struct crew__exchange *e, int status)
{
	crew_end_reason reason = CREW_END_PROTOCOL;
	if (status == 408)
		reason = CREW_END_HANDSHAKE;
	else if (status >= 500) /* want of memory, descriptors or disk: not the peer's doing */
		reason = status == 503 ? CREW_END_MEMORY : CREW_END_APP;
	if (e->answer == CREW__ANSWER_DUE)
		crew__http_refuse(c, status, reason);
	else
		crew__conn_close(c, reason);
}

/* The form begins: its head is kept until it is complete. */
static bool begin_parts(crew_conn *c, struct crew__exchange *e, crew_request *request)
{
	int status = crew__exchange_keep(e, request) == 0 ? crew__parts_begin(e, request) : 503;
	if (status != 0)
		refuse_body(c, e, status);
	return status == 0;
}

/* How is the body to come? False: not at all, the connection ends. */
static bool choose_body(crew_conn *c, struct crew__exchange *e, size_t there)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http1 *parser = &crew__side(c)->http.parser;
	crew_request *request = &w->request.public;
	uint64_t limit = w->max_message;
	bool stream = false;
	crew__routes_find(e, request, &limit, &stream);
	if (!stream)
		limit = crew__conn_most_of(c, limit);
	if (!w->request.chunked && parser->length > limit) {
		crew__http_refuse(c, 413, CREW_END_PROTOCOL);
		return false;
	}
	e->body = stream ? CREW__BODY_STREAM : CREW__BODY_WHOLE;
	if (!stream && crew__parts_wanted(request))
		e->body = CREW__BODY_PARTS;
	if (e->body == CREW__BODY_WHOLE)
		limit = crew__min(limit, WHOLE_MOST);
	begin_body(c, e, limit);
	if (e->body == CREW__BODY_PARTS && !begin_parts(c, e, request))
		return false;
	if (stream)
		crew__exchange_deliver(c, e);
	if (c->record->state > CREW__CONN_OPEN)
		return false;
	if (!stream || (crew__exchange_in_hand(c, e) && e->answer == CREW__ANSWER_DUE))
		go_on_with_body(c, there);
	return true;
}

/* All of the body has come. */
static void end_body(crew_conn *c, struct crew__exchange *e)
{
	e->body_done = true;
	crew__access_mark(e, CREW__ACCESS_BODY);
	int status = e->body == CREW__BODY_PARTS ? crew__parts_end(e) : 0;
	if (status != 0) {
		refuse_body(c, e, status);
		return;
	}
	if (e->body == CREW__BODY_STREAM)
		crew__routes_body(e, (crew_bytes){ NULL, 0 }, true);
	else if (e->body == CREW__BODY_PARTS)
		crew__exchange_deliver(c, e);
	if (!crew__exchange_in_hand(c, e) || c->record->state > CREW__CONN_OPEN)
		return;
	if (e->answer == CREW__ANSWER_GIVEN)
		crew__exchange_answered(c, false, CREW_END_PEER);
	else
		crew__conn_stop_reading(c, CREW__C_WAITING);
}

static void take_bytes(crew_conn *c, struct crew__exchange *e, crew_bytes part)
{
	int status = 0;
	e->body_seen += part.len;
	if (e->body == CREW__BODY_STREAM)
		crew__routes_body(e, part, false);
	else if (e->body == CREW__BODY_PARTS)
		status = crew__parts_take(e, part);
	if (status != 0)
		refuse_body(c, e, status);
}

/* ---- from bytes ---------------------------------------------------------------------------- */

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

static void no_memory(crew_conn *c)
{
	crew__http_refuse(c, 503, CREW_END_MEMORY);
}

/* The head is whole. */
static struct crew__exchange *begin_request(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	struct crew__exchange *e = crew__exchange_begin(c);
	if (!e) {
		no_memory(c);
		return NULL;
	}
	http->head_only = w->request.head_only;
	http->version = (uint8_t)w->request.public.version;
	http->keep_alive = w->request.public.keep_alive;
	w->request.public.side = &w->http->side;
	e->side = &w->http->side;
	e->side->exchange = e;
	e->side->slot = c->slot;
	if (crew__unlikely(w->http->log != NULL))
		crew__access_begin(e, &w->request.public);
	http->began = 0;
	return e;
}

/* True: look at what follows. */
static bool take_head(crew_conn *c, char *data, size_t len, size_t *used)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	size_t consumed = 0;
	int status = 0;
	enum crew__http1_result result = crew__http1_begin(
		&http->parser, data, len, &w->request, &consumed, &status);
	if (result == CREW__HTTP_MORE) {
		note_unfinished(c);
		return false;
	}
	if (result == CREW__HTTP_BAD) {
		crew__http_refuse(c, status, CREW_END_PROTOCOL);
		return false;
	}
	struct crew__exchange *e = begin_request(c);
	if (!e)
		return false;
	if (crew__likely(result == CREW__HTTP_REQUEST)) {
		uint64_t limit;
		bool stream = false;
		*used += consumed;
		e->body_done = true;
		if (w->http->routes)
			crew__routes_find(e, &w->request.public, &limit, &stream);
		e->body = stream ? CREW__BODY_STREAM : CREW__BODY_NONE;
		crew__exchange_deliver(c, e);
		return true;
	}
	bool goes_on = choose_body(c, e, len - consumed);
	crew__side_leave(&w->http->side);
	if (goes_on && crew__exchange_in_hand(c, e) && e->body != CREW__BODY_WHOLE)
		*used += consumed;
	return goes_on;
}

/* Other requests have been looked at since its head was. */
static void find_again(crew_conn *c, struct crew__exchange *e)
{
	crew_worker *w = crew__worker_of(c);
	uint64_t limit;
	bool stream;
	w->request.public.side = &w->http->side;
	e->side = &w->http->side;
	e->side->exchange = e;
	if (w->http->routes)
		crew__routes_find(e, &w->request.public, &limit, &stream);
}

/* The body is gathered where it lies, behind its head. */
static bool take_whole(crew_conn *c, char *data, size_t len, size_t *used)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__http_side *http = &crew__side(c)->http;
	struct crew__exchange *e = http->exchange;
	size_t consumed = 0;
	int status = 0;
	enum crew__http1_result result = crew__http1_feed(
		&http->parser, data, len, (size_t)e->body_max, &w->request, &consumed, &status);
	if (result == CREW__HTTP_BAD) {
		crew__http_refuse(c, status, CREW_END_PROTOCOL);
		return false;
	}
	if (result != CREW__HTTP_REQUEST) {
		*used += crew__http1_squeeze(&http->parser, data, len);
		return false;
	}
	*used += consumed;
	e->body_done = true;
	e->body_seen = w->request.public.body.len;
	crew__access_mark(e, CREW__ACCESS_BODY);
	find_again(c, e);
	crew__exchange_deliver(c, e);
	return true;
}

/* A request whose body came in parts has its trailers once it is complete, if somebody kept it. Its
 * fields are in the arena, so that the table is free; the bytes go there too, as these may move. */
static bool take_trailers(struct crew__exchange *e, crew_bytes section)
{
	struct crew__request_side *side = e->side;
	if (crew__likely(section.len == 0) || !side || side == &side->worker->http->side)
		return true;
	struct crew__kept *kept = crew__container_of(side, struct crew__kept, side);
	crew_request *request = &kept->request.public;
	crew_bytes copy = crew__arena_copy(&side->arena, section);
	if (!copy.data)
		return false;
	request->trailers = kept->request.table;
	request->trailer_count = crew__http1_trailers(
		copy, kept->request.table, CREW__HTTP_HEADERS_MAX);
	return true;
}

static bool take_part(crew_conn *c, char *data, size_t len, size_t *used)
{
	struct crew__http_side *http = &crew__side(c)->http;
	struct crew__exchange *e = http->exchange;
	crew_bytes part;
	size_t consumed = 0;
	int status = 0;
	enum crew__http1_result result = crew__http1_part(
		&http->parser, data, len, e->body_max, &part, &consumed, &status);
	*used += consumed;
	switch (result) {
	case CREW__HTTP_BAD:
		refuse_body(c, e, status);
		return false;
	case CREW__HTTP_PART:
		take_bytes(c, e, part);
		/* One that was refused, or closed by the program, does not end as well. */
		if (crew__exchange_in_hand(c, e) && c->record->state <= CREW__CONN_OPEN &&
			crew__http1_ended(&http->parser))
			end_body(c, e);
		return true;
	case CREW__HTTP_REQUEST:
		if (take_trailers(e, part))
			end_body(c, e);
		else
			refuse_body(c, e, 503);
		return true;
	default:
		return false;
	}
}

size_t crew__http_data(crew_conn *c, char *data, size_t len)
{
	size_t used = 0;
	bool more = true;
	while (more && used < len && crew__conn_ready(c)) {
		struct crew__exchange *e = crew__side(c)->http.exchange;
		if (!e)
			more = take_head(c, data + used, len - used, &used);
		else if (e->body == CREW__BODY_WHOLE)
			more = take_whole(c, data + used, len - used, &used);
		else
			more = take_part(c, data + used, len - used, &used);
		if (crew__unlikely(c->record->protocol != CREW__HTTP))
			return used + crew__service_data(c, data + used, len - used);
	}
	return c->record->state > CREW__CONN_OPEN ? len : used;
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static uint32_t last_active(const crew_conn *c)
{
	const struct crew__record *r = c->record;
	return (int32_t)(r->last_in - r->last_out) >= 0 ? r->last_in : r->last_out;
}

/* A body may take as long as it likes, as long as it comes at min_body_rate, and has that much
 * start as a head may take. Time in which we did not want to read does not count. */
static uint32_t body_deadline(crew_conn *c, struct crew__exchange *e, uint32_t now)
{
	crew_worker *w = crew__worker_of(c);
	uint64_t rate = (uint64_t)w->settings->min_body_rate;
	if (c->flags & CREW__C_STOPPED) {
		e->body_began = now;
		e->body_in = c->record->bytes_in;
		return now + w->handshake_timeout;
	}
	uint64_t earned = rate > 0 ? (c->record->bytes_in - e->body_in) * 100 / rate : 0;
	uint64_t passed = now - e->body_began;
	if (rate == 0 || passed < w->handshake_timeout + earned) {
		uint64_t left = rate == 0 ? w->handshake_timeout
					  : w->handshake_timeout + earned - passed;
		return now + (uint32_t)crew__min(left, 60 * 100) + 1;
	}
	refuse_body(c, e, 408);
	return CREW__WHEEL_OUT;
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
	if (http->exchange && !http->exchange->body_done)
		return body_deadline(c, http->exchange, now);
	if (http->exchange)
		return now + w->handshake_timeout;
	if (began == 0 && !handshaking && w->kind != CREW__WS)
		return CREW__WHEEL_OUT; /* between requests: that is the idle timeout's business */
	if (began == 0)
		began = handshaking ? c->record->opened : last_active(c);
	uint32_t due = began + w->handshake_timeout;
	if ((int32_t)(now - due) < 0)
		return crew__wheel_time(due);
	if (http->began != 0)
		crew__http_refuse(c, 408, CREW_END_HANDSHAKE);
	else
		crew__conn_close(c, handshaking ? CREW_END_HANDSHAKE : CREW_END_IDLE);
	return CREW__WHEEL_OUT;
}
