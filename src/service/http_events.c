/* http_events.c - connections that are streams of events: how they begin, what their messages look
 * like, how they are kept alive, and how they end.
 *
 *   request ─▸ crew_events_begin ─▸ CREW__SSE (chunked) or CREW__SSE_END (HTTP/1.0) ─▸ last chunk
 *
 * The stream's head is no message; each event is one, by the same way as those of any protocol
 * (send.c), under the same limits and counters. The exchange lasts as long as the stream. What the
 * peer says meanwhile is thrown away. */
#include "service/http.h"

#include "web/sse.h"

#include <stdlib.h>
#include <string.h>

#define COMMENT ": \n\n"

/* ---- what an event looks like -------------------------------------------------------------- */

static size_t put_text(char *room, size_t at, const char *text, size_t len)
{
	memcpy(room + at, text, len);
	return at + len;
}

/* The body stays where it is: what it lacks to be an event, and a chunk, is put around it. */
static void frame_line(bool chunked, bool encoded, crew_frame *frame)
{
	const size_t head = encoded ? 0 : sizeof(CREW__SSE_DATA_HEAD) - 1;
	const size_t tail = encoded ? 0 : 2;
	size_t at = 0;
	if (chunked)
		at = crew__http_chunk_line(head + frame->body.len + tail, frame->room);
	at = put_text(frame->room, at, CREW__SSE_DATA_HEAD, head);
	frame->head = (crew_bytes){ frame->room, at };
	frame->tail = (crew_bytes){ &"\n\n\r\n"[encoded ? 2 : 0], tail + (chunked ? 2 : 0) };
}

/* The whole event in the worker's memory, which lasts until the send has returned. */
static int encode(crew_worker *w, const crew_event *event, crew_bytes *ret_text)
{
	size_t size = crew__sse_size(event);
	if (size > CREW__SEND_MOST)
		return -EMSGSIZE;
	char *room = crew__answer_text(w, size);
	if (!room)
		return -ENOMEM;
	crew__sse_write(event, room);
	*ret_text = (crew_bytes){ room, size };
	return 0;
}

int crew__events_frame(crew_conn *c, bool encoded, crew_frame *frame)
{
	bool line = encoded || crew__sse_is_line(frame->body);
	if (!line) {
		const crew_event event = { .data = frame->body };
		int error = encode(crew__worker_of(c), &event, &frame->body);
		if (error)
			return error;
	}
	frame_line(c->record->protocol == CREW__SSE, encoded || !line, frame);
	return 0;
}

int64_t crew_send_event(crew_conn *c, const crew_event *event)
{
	crew_bytes text;
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew__service_send(
			c, event ? event->data : (crew_bytes){ NULL, 0 }, CREW_KIND_DEFAULT);
	if (!event || !crew__is_events(c) || !crew__sse_valid(event))
		return crew__answer_refused(c, -EINVAL);
	int error = encode(crew__worker_of(c), event, &text);
	if (error == -ENOMEM)
		return crew__conn_lose_memory(c, event->data.len, NULL);
	if (error)
		return crew__answer_refused(c, error);
	crew_frame frame = { .body = text };
	frame_line(c->record->protocol == CREW__SSE, true, &frame);
	struct crew__out out = { .head = frame.head, .body = frame.body, .tail = frame.tail };
	crew_worker *w = crew__worker_of(c);
	struct crew__answer_memory memory = crew__answer_hold(w);
	int64_t queued = crew__conn_send(c, &out);
	crew__answer_give_back(w, &memory);
	return queued;
}

crew_shared *crew_shared_event(const crew_event *event)
{
	if (!event || !crew__sse_valid(event))
		return NULL;
	size_t size = crew__sse_size(event);
	if (size > CREW__SEND_MOST)
		return NULL;
	crew_shared *s = crew__shared_new_event(size);
	if (s)
		crew__sse_write(event, (char *)(uintptr_t)crew_shared_bytes(s).data);
	return s;
}

/* ---- beginning ----------------------------------------------------------------------------- */

static bool is_event_stream(const char *type)
{
	static const char name[] = "text/event-stream";
	return !type || strncmp(type, name, sizeof(name) - 1) == 0;
}

static bool has_field(const crew_response *r, crew_bytes name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (crew__http_same(r->headers[i].name, name))
			return true;
	return false;
}

/* What the program may say of it: fields, and nothing that would make it something else. */
static int judge(const struct crew__exchange *e, const crew_response *r)
{
	bool stream = (r->status == 0 || r->status == 200) && r->body.len == 0 &&
		      is_event_stream(r->type);
	return stream && crew__answer_is_due(e) ? 0 : -EINVAL;
}

/* The head's length, or why there is none. Nobody is to keep it and give it to another. */
static int write_head(struct crew__exchange *e, crew_response r, char *room)
{
	int head = crew__answer_head(e, &r, -1, room, CREW__ANSWER_HEAD_MOST);
	if (head < 0)
		return head;
	e->fields_kept = e->fields.len;
	if (!crew__answer_is_plain(e) && crew__answer_prepare(e, &r) < 0)
		return -ENOTCONN;
	int error = has_field(&r, CREW_BYTES("Cache-Control"))
			    ? 0
			    : crew_reply_header(e->conn, "Cache-Control", CREW_BYTES("no-cache"));
	head = error ? error : crew__answer_head(e, &r, -1, room, CREW__ANSWER_HEAD_MOST);
	if (head < 0)
		e->fields.len = e->fields_kept;
	return head;
}

/* From now on it speaks events. */
static void become_stream(crew_conn *c, struct crew__exchange *e)
{
	bool chunked = e->framing == CREW__FRAMING_CHUNKED;
	e->answer = CREW__ANSWER_BEGUN;
	e->left = c->record->bytes_out + c->record->bytes_queued;
	c->record->protocol = (uint8_t)(chunked ? CREW__SSE : CREW__SSE_END);
	crew__conn_go_on_reading(c, CREW__C_WAITING);
	crew__conn_deadline(c, crew__net_now(c->net) + 1);
}

int64_t crew_events_begin(crew_conn *c, const crew_response *response)
{
	crew_response r = response ? *response : (crew_response){ 0 };
	if (!c || c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	struct crew__exchange *e = crew__exchange_of(c);
	int error = judge(e, &r);
	char *room = error ? NULL : crew__answer_room(crew__worker_of(c));
	if (error)
		return crew__answer_refused(c, error);
	r.type = "text/event-stream";
	int head = room ? write_head(e, r, room) : -ENOMEM;
	if (head == -EINVAL || head == -EMSGSIZE)
		return crew__answer_refused(c, head);
	if (head >= 0)
		head = crew__conn_control(c, (crew_bytes){ room, (size_t)head });
	if (head == -ENOMEM)
		crew__conn_abort(c, CREW_END_MEMORY);
	if (head < 0)
		return head;
	if (e->framing == CREW__FRAMING_NONE) /* HEAD */
		crew__exchange_answered(c, r.close, CREW_END_APP);
	else
		become_stream(c, e);
	return 0;
}

/* ---- keeping it alive ---------------------------------------------------------------------- */

/* A stream of rare events is no idle connection: there is something to say before it would be. */
static uint32_t interval(crew_conn *c)
{
	uint32_t every = crew__worker_of(c)->heartbeat;
	uint32_t idle = c->net->limits.idle_timeout;
	if (idle > 0 && (every == 0 || every > idle / 2))
		every = (uint32_t)crew__max(idle / 2, 1);
	return every;
}

static int control(crew_conn *c, crew_bytes chunked, crew_bytes plain)
{
	return crew__conn_control(c, c->record->protocol == CREW__SSE ? chunked : plain);
}

/* Flushed at once: the idle timeout, which is looked at next, must see it. */
static void comment(crew_conn *c)
{
	if (control(c, CREW_BYTES("4\r\n" COMMENT "\r\n"), CREW_BYTES(COMMENT)) == -ENOMEM)
		crew__conn_broken(c, CREW_END_MEMORY);
	else
		crew__conn_flush(c);
}

/* What waits already keeps it alive, or nothing can. */
uint32_t crew__events_deadline(crew_conn *c, uint32_t now)
{
	uint32_t every = interval(c);
	if (every == 0 || c->record->state != CREW__CONN_OPEN)
		return CREW__WHEEL_OUT;
	bool waits = c->record->bytes_queued > 0;
	uint32_t due = c->record->last_out + every;
	if (!waits && !crew__wheel_come(due, now))
		return crew__wheel_time(due);
	if (!waits)
		comment(c);
	due = now + every;
	return crew__wheel_time(due);
}

/* ---- ending -------------------------------------------------------------------------------- */

void crew__events_closing(crew_conn *c)
{
	if (c->record->protocol != CREW__SSE || (c->flags & CREW__C_FINISHING))
		return;
	if (crew__conn_control(c, CREW_BYTES("0\r\n\r\n")) == -ENOMEM)
		crew__conn_broken(c, CREW_END_MEMORY);
}

void crew__events_closed(crew_conn *c)
{
	struct crew__exchange *e = crew__side(c)->http.exchange;
	uint64_t out = c->record->bytes_out;
	e->body_out = out > e->left ? out - e->left : 0;
	e->answer = CREW__ANSWER_GIVEN;
	crew__exchange_end(e, (crew_end_reason)c->record->end);
}
