/* http_reply.c - whole answers, the head of any answer, and the fields that are to go with it.
 *
 *   due ─▸ prepared (session, `after` functions, gzip) ─▸ head ─▸ offered ─▸ the exchange goes on
 *
 * An answer that nothing is to come before, as nearly all are where there are no routes, is written
 * where it leaves from: head and body, without a copy of the response. */
#include "service/http.h"

#include <string.h>

enum {
	SHORT_HEAD = 512, /* of an answer that may go the short way */
	SHORT_BODY = 1024,
	TEXT_KEPT = 1024 * 1024 /* what was needed for a longer one is given back */
};

/* ---- what every answer has in common ------------------------------------------------------- */

int64_t crew__answer_refused(crew_conn *c, int error)
{
	crew__net_count_invalid(c->net);
	return error;
}

/* An answer is never left out: the peer would take the next for it. */
int64_t crew__answer_offered(crew_conn *c, int64_t result, bool close)
{
	if (c->record->state > CREW__CONN_OPEN)
		return result;
	if (result == -ENOBUFS || result == -ENOMEM)
		crew__conn_abort(c, result == -ENOMEM ? CREW_END_MEMORY : CREW_END_FULL);
	else
		crew__exchange_answered(c, close, CREW_END_APP);
	return result;
}

/* RFC 9110 15.3.6: a 205 has no content, and says so. */
static inline bool goes_without_body(const struct crew__http_side *http, int status)
{
	return http->head_only || status == 204 || status == 304 || status == 205;
}

char *crew__answer_room(crew_worker *w)
{
	struct crew__buf *head = &w->http->head;
	return crew__buf_reserve(head, CREW__ANSWER_ROOM) < 0 ? NULL : head->data;
}

char *crew__answer_text(crew_worker *w, size_t size)
{
	struct crew__buf *text = &w->http->text;
	if (text->cap > TEXT_KEPT && size <= TEXT_KEPT)
		crew__buf_release(text);
	return crew__buf_reserve(text, size) < 0 ? NULL : text->data;
}

struct crew__answer_memory crew__answer_hold(crew_worker *w)
{
	struct crew__answer_memory memory = { w->http->head, w->http->text };
	crew__buf_init(&w->http->head, memory.head.max);
	crew__buf_init(&w->http->text, memory.text.max);
	return memory;
}

void crew__answer_give_back(crew_worker *w, const struct crew__answer_memory *memory)
{
	crew__buf_release(&w->http->head);
	crew__buf_release(&w->http->text);
	w->http->head = memory->head;
	w->http->text = memory->text;
}

static enum crew__answer_framing framing_of(
	const struct crew__http_side *http, int status, int64_t length)
{
	if (goes_without_body(http, status))
		return CREW__FRAMING_NONE;
	if (length >= 0)
		return CREW__FRAMING_LENGTH;
	return http->version == 10 ? CREW__FRAMING_END : CREW__FRAMING_CHUNKED;
}

/* The same fields answer HEAD and GET (RFC 9110 9.3.2), but for the coding of a body of unknown
 * length, as there is none. */
int crew__answer_head(struct crew__exchange *e, const crew_response *response, int64_t length,
	char *room, size_t size)
{
	struct crew__http_side *http = &crew__side(e->conn)->http;
	int status = response->status ? response->status : 200;
	/* The request may have come before its worker was told to leave. */
	if (crew__unlikely(crew__worker_of(e->conn)->leaving != CREW__STAYS))
		http->keep_alive = false;
	if (crew__unlikely(status == 205))
		length = 0;
	enum crew__answer_framing framing = framing_of(http, status, length);
	const struct crew__http_head head = {
		.response = response,
		.version = http->version,
		.keep_alive = http->keep_alive && framing != CREW__FRAMING_END,
		.date = crew__http_date_now(crew__worker_of(e->conn)),
		.framing = length >= 0                        ? CREW__HTTP_LENGTH
			   : framing == CREW__FRAMING_CHUNKED ? CREW__HTTP_CHUNKED
							      : CREW__HTTP_UNSAID,
		.length = length >= 0 ? (uint64_t)length : 0,
		.fields = { e->fields.data, e->fields.len },
	};
	size_t most = CREW__RESPONSE_HEAD_MOST + e->fields.len;
	int n = crew__http_write_head(&head, room, crew__min(size, most));
	if (crew__unlikely(n < 0))
		return n;
	e->framing = (uint8_t)framing;
	e->status = (uint16_t)status;
	crew__access_mark(e, CREW__ACCESS_ANSWER);
	e->left = head.length;
	return n;
}

int crew__answer_prepare(struct crew__exchange *e, crew_response *response)
{
	e->preparing = true;
	if (e->side && e->side->session)
		crew__session_save(e);
	e->fields_kept = e->fields.len;
	if (e->has_after)
		crew__routes_after(e, response);
	e->preparing = false;
	return e->conn->record->state > CREW__CONN_OPEN ? -ENOTCONN : 0;
}

/* ---- whole answers ------------------------------------------------------------------------- */

/* To a connection that is closing, or none: counted as any message. */
static crew__rarely int64_t lost(crew_conn *c, const crew_response *response)
{
	crew_bytes body = response ? response->body : (crew_bytes){ NULL, 0 };
	return crew__service_send(c, body, CREW_KIND_DEFAULT);
}

static int64_t offer(
	crew_conn *c, struct crew__exchange *e, const crew_response *response, crew_bytes head)
{
	struct crew__out out = { .head = head };
	if (e->framing != CREW__FRAMING_NONE)
		out.body = response->body;
	e->body_out = out.body.len;
	crew_worker *w = crew__worker_of(c);
	struct crew__answer_memory memory = crew__answer_hold(w);
	int64_t queued = crew__conn_send(c, &out);
	crew__answer_give_back(w, &memory);
	return crew__answer_offered(c, queued, response->close);
}

/* Nothing comes before the head, and it is written where it leaves from. False: it must go the
 * long way. */
static inline bool reply_corked(
	crew_conn *c, struct crew__exchange *e, const crew_response *response, int64_t *ret_queued)
{
	crew_bytes body = response->body;
	char *room = crew__conn_cork_room(c, SHORT_HEAD + body.len);
	if (crew__unlikely(!room))
		return false;
	int head = crew__answer_head(e, response, (int64_t)body.len, room, SHORT_HEAD);
	if (crew__unlikely(head <= 0))
		return false;
	if (crew__unlikely(e->framing == CREW__FRAMING_NONE))
		body.len = 0;
	crew__copy(room + head, body.data, body.len);
	e->body_out = body.len;
	*ret_queued = crew__conn_corked(c, (size_t)head + body.len);
	crew__exchange_answered(c, response->close, CREW_END_APP);
	return true;
}

/* The session, the `after` functions, gzip: what changes the answer. 0, or why it cannot be given.
 */
static int change(struct crew__exchange *e, crew_response *response, bool *ret_changed)
{
	int error = 0;
	*ret_changed = false;
	if (!crew__answer_is_plain(e)) {
		*ret_changed = true;
		error = crew__answer_prepare(e, response);
	}
	if (!error && crew__gzip(e, response))
		*ret_changed = true;
	return error;
}

/* A copy, as it may be changed. It must be good before anything is done for it. */
static int64_t reply_prepared(crew_conn *c, struct crew__exchange *e, crew_response response)
{
	bool changed;
	char *room = crew__answer_room(crew__worker_of(c));
	if (!room)
		return crew__answer_offered(
			c, crew__conn_lose_memory(c, response.body.len, NULL), true);
	int head = crew__answer_head(
		e, &response, (int64_t)response.body.len, room, CREW__ANSWER_HEAD_MOST);
	if (head < 0)
		return crew__answer_refused(c, head);
	int error = change(e, &response, &changed);
	if (error == -ENOTCONN)
		return lost(c, &response);
	if (!error && changed)
		head = crew__answer_head(
			e, &response, (int64_t)response.body.len, room, CREW__ANSWER_HEAD_MOST);
	if (error || head < 0) {
		e->fields.len = e->fields_kept;
		return crew__answer_refused(c, error ? error : head);
	}
	return offer(c, e, &response, (crew_bytes){ room, (size_t)head });
}

/* Short enough that it is not to be compressed, and that its head is not tried in vain. */
static inline bool is_short(const crew_worker *w, const crew_response *response)
{
	uint64_t most = crew__min((size_t)w->settings->gzip - 1, SHORT_BODY);
	return response->body.len <= most && response->header_count < 4;
}

static inline int judge(const struct crew__exchange *e, const crew_response *response)
{
	bool whole = response && (response->body.data || response->body.len == 0);
	if (crew__unlikely(!whole || !crew__answer_is_due(e)))
		return -EINVAL;
	return crew__unlikely(response->body.len > CREW__SEND_MOST) ? -EMSGSIZE : 0;
}

int64_t crew_reply(crew_conn *c, const crew_response *response)
{
	int64_t queued;
	if (crew__unlikely(!c || c->record->state > CREW__CONN_OPEN))
		return lost(c, response);
	struct crew__exchange *e = crew__exchange_of(c);
	int error = judge(e, response);
	if (crew__unlikely(error))
		return crew__answer_refused(c, error);
	if (crew__likely(is_short(crew__worker_of(c), response) && crew__answer_is_plain(e)) &&
		reply_corked(c, e, response, &queued))
		return queued;
	return reply_prepared(c, e, *response);
}

/* ---- fields that are to go with the next answer -------------------------------------------- */

/* Those that the answer itself says: its type, and that of an upgrade, which needs a word
 * elsewhere.
 */
static bool is_the_answers(crew_bytes name)
{
	return crew__http_same(name, CREW_BYTES("Content-Type")) ||
	       crew__http_same(name, CREW_BYTES("Upgrade"));
}

static int add_field(struct crew__buf *fields, crew_bytes name, crew_bytes value)
{
	size_t len = name.len + value.len + 4;
	if (value.len > CREW__ANSWER_FIELDS_MOST || name.len > CREW__ANSWER_FIELDS_MOST)
		return -EMSGSIZE;
	int error = crew__buf_reserve(fields, len);
	if (error)
		return error == -ENOBUFS ? -EMSGSIZE : error;
	crew__buf_append(fields, name.data, name.len);
	crew__buf_append(fields, ": ", 2);
	crew__buf_append(fields, value.data, value.len);
	crew__buf_append(fields, "\r\n", 2);
	return 0;
}

int crew_reply_header(crew_conn *c, const char *name, crew_bytes value)
{
	const crew_header field = { crew_str(name), value };
	if (!c || c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	struct crew__exchange *e = crew__exchange_of(c);
	if (!e || e->answer != CREW__ANSWER_DUE || !crew__http_may_send(&field) ||
		is_the_answers(field.name))
		return -EINVAL;
	int error = add_field(&e->fields, field.name, value);
	if (!error && crew__gzip_forbidden(field.name, value))
		e->as_it_is = true;
	return error;
}

crew_bytes crew_request_header(const crew_request *request, const char *name)
{
	crew_bytes wanted = crew_str(name);
	for (size_t i = 0; request && i < request->header_count; i++)
		if (crew__http_same(request->headers[i].name, wanted))
			return request->headers[i].value;
	return (crew_bytes){ NULL, 0 };
}
