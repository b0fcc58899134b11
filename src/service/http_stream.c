/* http_stream.c - answers whose body comes in parts.
 *
 *   crew_reply_begin ─▸ BEGUN ─▸ parts: crew_reply_write, or by pull() ─▸ crew_reply_end ─▸ GIVEN
 *
 * One message, whose parts are net's business (conn_parts.c); what frames them is ours. `pull` is
 * called from the turn's end only, when there is room (crew__conn_has_room), and a bounded number
 * of times: it cannot recurse, and a reader who is fast does not keep the others waiting. */
#include "service/http.h"

#include "base/check.h"

#include <string.h>

enum {
	PULLS_A_TURN = 16,
	PULLED_A_TURN = 256 * 1024, /* bytes */
};

/* On the stack of who calls pull(): the exchange may end meanwhile, and what pulls it be told then
 * that it is over, which must wait until pull() has returned. */
struct crew__pulling {
	bool over;
	void (*done)(void *arg);
	void *arg;
};

/* ---- who pulls ----------------------------------------------------------------------------- */

static void tell_done(crew_worker *w, void (*done)(void *arg), void *arg)
{
	if (!done)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_PULL);
	done(arg);
	crew__leave(w, before);
}

void crew__stream_gone(struct crew__exchange *e)
{
	struct crew__pulling *pulling = e->pulling;
	void (*done)(void *arg) = e->pull_done;
	void *arg = e->pull_arg;
	if (!e->pull)
		return;
	e->pull = NULL;
	e->pull_done = NULL;
	e->pulling = NULL;
	if (pulling)
		*pulling = (struct crew__pulling){ true, done, arg };
	else
		tell_done(crew__worker_of(e->conn), done, arg);
}

/* One call. How many bytes it wrote; -1: the exchange is not to be looked at any more. */
static int64_t pull_once(crew_conn *c, struct crew__exchange *e)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__pulling pulling = { .over = false };
	uint64_t before = e->body_out;
	struct crew__entered entered = crew__enter(w, CREW__CB_PULL);
	/* cppcheck-suppress autoVariables ; taken back below, or the exchange has ended */
	e->pulling = &pulling;
	e->pull(c, e->pull_arg);
	crew__leave(w, entered);
	if (pulling.over) {
		tell_done(w, pulling.done, pulling.arg);
		return -1;
	}
	e->pulling = NULL;
	return (int64_t)(e->body_out - before);
}

static bool has_room(const crew_conn *c)
{
	return c->record->state <= CREW__CONN_OPEN && crew__conn_has_room(c);
}

/* One that writes nothing has nothing at present: it is called again when what it writes later has
 * left. */
void crew__stream_drained(crew_conn *c)
{
	struct crew__exchange *e = crew__exchange_of(c);
	int64_t taken = 0, n = 1;
	if (!e || e->answer != CREW__ANSWER_BEGUN || !e->pull || e->pulling)
		return;
	for (int i = 0; i < PULLS_A_TURN && taken < PULLED_A_TURN && has_room(c) && n > 0; i++) {
		n = pull_once(c, e);
		taken += n;
	}
	if (n > 0)
		crew__conn_want_room(c);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* A part as the framing has it, behind the `head` bytes in `room`, where a chunk's line has room as
 * well. */
static int64_t offer_part(
	crew_conn *c, struct crew__exchange *e, char *room, size_t head, crew_bytes part)
{
	struct crew__out out = { .head = { room, head }, .body = part };
	if (e->framing == CREW__FRAMING_NONE)
		out.body.len = 0;
	if (e->framing == CREW__FRAMING_CHUNKED && part.len > 0) {
		out.head.len += crew__http_chunk_line(part.len, room + head);
		out.tail = CREW_BYTES("\r\n");
	}
	int64_t queued = crew__conn_part(c, &out, false);
	if (queued < 0)
		return queued;
	e->body_out += out.body.len;
	if (e->framing == CREW__FRAMING_LENGTH)
		e->left -= part.len;
	return queued;
}

/* What ends the body, and so the message. */
static int64_t offer_end(crew_conn *c, struct crew__exchange *e, crew_bytes last)
{
	struct crew__out out = { .head = last };
	bool close = e->last;
	crew_worker *w = crew__worker_of(c);
	struct crew__answer_memory memory = crew__answer_hold(w);
	int64_t queued = crew__conn_part(c, &out, true);
	crew__answer_give_back(w, &memory);
	e->answer = CREW__ANSWER_GIVEN;
	crew__stream_gone(e);
	return crew__answer_offered(c, queued, close);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static int judge(const struct crew__exchange *e, const crew_response *response, int64_t length)
{
	bool whole = response && (response->body.data || response->body.len == 0);
	if (!whole || length < -1 || !crew__answer_is_due(e))
		return -EINVAL;
	bool fits = length < 0 || response->body.len <= (uint64_t)length;
	return fits && response->body.len <= CREW__SEND_MOST ? 0 : -EMSGSIZE;
}

static int64_t begin_held(
	crew_conn *c, struct crew__exchange *e, const crew_response *response, char *room, int head)
{
	int64_t error = crew__conn_begin_parts(c);
	if (error < 0)
		return crew__answer_offered(c, error, true);
	e->answer = CREW__ANSWER_BEGUN;
	e->last = response->close ||
		  (e->framing == CREW__FRAMING_END && crew__side(c)->http.keep_alive);
	return offer_part(c, e, room, (size_t)head, response->body);
}

static int64_t begin(
	crew_conn *c, struct crew__exchange *e, const crew_response *response, char *room, int head)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__answer_memory memory = crew__answer_hold(w);
	int64_t queued = begin_held(c, e, response, room, head);
	crew__answer_give_back(w, &memory);
	return queued;
}

/* As for a whole answer: good before anything is done for it, then changed, then written. */
static int64_t begin_prepared(
	crew_conn *c, struct crew__exchange *e, crew_response response, int64_t length)
{
	char *room = crew__answer_room(crew__worker_of(c));
	if (!room)
		return crew__answer_offered(c, crew__conn_lose_memory(c, 0, NULL), true);
	int head = crew__answer_head(e, &response, length, room, CREW__ANSWER_HEAD_MOST);
	if (head < 0)
		return crew__answer_refused(c, head);
	if (!crew__answer_is_plain(e)) {
		if (crew__answer_prepare(e, &response) < 0)
			return crew__service_send(c, response.body, CREW_KIND_DEFAULT);
		head = crew__answer_head(e, &response, length, room, CREW__ANSWER_HEAD_MOST);
	}
	int error = head < 0 ? head : 0;
	if (!error && length >= 0 && response.body.len > (uint64_t)length)
		error = -EMSGSIZE; /* a function made it longer */
	if (error) {
		e->fields.len = e->fields_kept;
		return crew__answer_refused(c, error);
	}
	return begin(c, e, &response, room, head);
}

int64_t crew__answer_begin(crew_conn *c, const crew_response *response, int64_t length)
{
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew__service_send(c, (crew_bytes){ NULL, 0 }, CREW_KIND_DEFAULT);
	struct crew__exchange *e = crew__exchange_of(c);
	int error = judge(e, response, length);
	if (error)
		return crew__answer_refused(c, error);
	return begin_prepared(c, e, *response, length);
}

int64_t crew_reply_begin(crew_conn *c, const crew_response *response, int64_t length)
{
	return crew__answer_begin(c, response, length);
}

static int64_t pulled_by_nobody(crew_conn *c)
{
	return c ? crew__answer_refused(c, -EINVAL) : -ENOTCONN;
}

int64_t crew_reply_pull(crew_conn *c, const crew_response *response, int64_t length,
	crew_pull_fn *pull, void (*done)(void *arg), void *arg)
{
	int64_t queued = pull ? crew__answer_begin(c, response, length) : pulled_by_nobody(c);
	struct crew__exchange *e = c && queued >= 0 ? crew__exchange_of(c) : NULL;
	if (!e || c->record->state > CREW__CONN_OPEN) {
		if (done)
			done(arg);
		return queued;
	}
	e->pull = pull;
	e->pull_done = done;
	e->pull_arg = arg;
	if (e->framing == CREW__FRAMING_NONE) /* nobody wants it */
		return offer_end(c, e, (crew_bytes){ NULL, 0 });
	crew__conn_want_room(c);
	return queued;
}

/* ---- going on, and ending ------------------------------------------------------------------ */

static struct crew__exchange *under_way(crew_conn *c)
{
	struct crew__exchange *e = crew__exchange_of(c);
	return e && e->answer == CREW__ANSWER_BEGUN ? e : NULL;
}

int64_t crew_reply_write(crew_conn *c, crew_bytes part)
{
	if (!c || c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	struct crew__exchange *e = under_way(c);
	if (!e || (!part.data && part.len > 0))
		return crew__answer_refused(c, -EINVAL);
	if (part.len > CREW__SEND_MOST ||
		(e->framing == CREW__FRAMING_LENGTH && part.len > e->left))
		return crew__answer_refused(c, -EMSGSIZE);
	char room[CREW__HTTP_CHUNK_LINE_ROOM];
	int64_t queued = offer_part(c, e, room, 0, part);
	if (queued >= 0 && e->pull && !e->pulling)
		crew__conn_want_room(c);
	return queued;
}

static bool may_trail(const crew_header *trailers, size_t count)
{
	size_t total = 0;
	for (size_t i = 0; i < count; i++) {
		if (!trailers || !crew__http_may_trail(&trailers[i]))
			return false;
		total += trailers[i].name.len + crew__min(trailers[i].value.len, INT32_MAX) + 4;
		if (total > CREW__ANSWER_FIELDS_MOST)
			return false;
	}
	return true;
}

static char *put(char *to, const char *data, size_t len)
{
	if (len > 0)
		memcpy(to, data, len);
	return to + len;
}

/* The last chunk and what follows it: no more than may_trail() allows. */
static crew_bytes write_last_chunk(char *room, const crew_header *trailers, size_t count)
{
	char *to = put(room, "0\r\n", 3);
	for (size_t i = 0; i < count; i++) {
		to = put(to, trailers[i].name.data, trailers[i].name.len);
		to = put(to, ": ", 2);
		to = put(to, trailers[i].value.data, trailers[i].value.len);
		to = put(to, "\r\n", 2);
	}
	to = put(to, "\r\n", 2);
	return (crew_bytes){ room, (size_t)(to - room) };
}

int64_t crew_reply_end(crew_conn *c, const crew_header *trailers, size_t trailer_count)
{
	if (!c || c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	struct crew__exchange *e = under_way(c);
	if (!e || !may_trail(trailers, trailer_count))
		return crew__answer_refused(c, -EINVAL);
	if (e->framing == CREW__FRAMING_LENGTH && e->left > 0) {
		crew__conn_abort(c, CREW_END_APP);
		return -EMSGSIZE;
	}
	if (e->framing != CREW__FRAMING_CHUNKED)
		return offer_end(c, e, (crew_bytes){ NULL, 0 });
	char *room = crew__answer_room(crew__worker_of(c));
	crew__must(room); /* the head was written there */
	return offer_end(c, e, write_last_chunk(room, trailers, trailer_count));
}

/* The end of the connection would look like that of the body. */
void crew__stream_closing(crew_conn *c)
{
	struct crew__exchange *e = under_way(c);
	if (e && e->framing == CREW__FRAMING_END)
		crew__conn_abort(c, (crew_end_reason)c->record->end);
}
