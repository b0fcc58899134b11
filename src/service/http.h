/* http.h - one HTTP request and its answer, on their way through this layer.
 *
 * An exchange begins when a request's head is whole and ends when its answer is complete; a
 * connection has one at a time (the next request waits, so answers keep their order). What is
 * worked out of a request for the program (decoded paths, forms, cookies, ...) is its side, which
 * lasts as long as the request does: for one callback, or, kept, until the program frees it.
 *
 *   http.c           bytes to requests: bodies, phases, deadlines
 *   http_exchange.c  exchanges: begun, handed to the program, over
 *   http_keep.c      requests that outlive their callback
 *   http_route.c     which route, what comes before its handler, what no route takes
 *   http_table.c     tables of routes, compiled when the worker starts
 *   http_cors.c      what scripts of other sites may read, preflights
 *   http_error.c     error pages, redirections, answers of crew's own
 *   http_session.c   a request's session: fetched before the handler, saved before the answer
 *   http_form.c      queries, cookies, forms
 *   http_parts.c     forms of parts, taken apart as they come
 *   http_upload.c    the files that come in them
 *   http_client.c    who asked
 *   http_upgrade.c   to WebSocket (ws.h)
 *   http_reply.c     whole answers, fields that are to go with them
 *   http_stream.c    answers in parts
 *   http_gzip.c      compressed ones
 *   http_events.c    streams of events
 *   http_files.c     files
 *   http_log.c       a line for each exchange
 *
 * What is pure (routes, ranges, forms, session values, ...) is below, in web/ and proto/. */
#ifndef CREW_SERVICE_HTTP_H
#define CREW_SERVICE_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "service/inner.h"

enum {
	CREW__PARAMS_MOST = 16,                 /* of one route's path */
	CREW__ANSWER_FIELDS_MOST = 8 * 1024,    /* crew_reply_header() */
	CREW__REQUEST_MEMORY = 4 * 1024 * 1024, /* what may be worked out of one request, beside its
						 * own length */
};

struct crew__route_plan; /* a route with what its groups add: http_route.c */
struct crew__parts;      /* a form of parts being received: http_parts.c */
struct crew__session;    /* http_session.c */
struct crew__access;     /* what the log wants to know: http_log.c */

/* Pairs that are worked out when first asked for. */
struct crew__pairs {
	const crew_header *items;
	size_t count;
	bool known;
};

/* Zeroed but for worker, exchange and arena.max is ready. All it points to is in `arena`, but the
 * session, and the descriptors of uploads. */
struct crew__request_side {
	crew_worker *worker;
	struct crew__exchange *exchange; /* NULL once the answer is complete */
	struct crew__arena arena;
	const crew_route *route;
	crew_header params[CREW__PARAMS_MOST]; /* of the path, not decoded */
	uint32_t param_count;
	crew_bytes path; /* decoded; data NULL until it is asked for */
	struct crew__pairs queries, forms, cookies;
	crew_upload *uploads;
	size_t upload_count;
	struct crew__session *session; /* NULL: none here */
	uint32_t slot;                 /* of the connection; valid while its callback runs */
	const char *client;            /* NULL until it is asked for */
	char id[17];                   /* "" until it is asked for */
};

/* A request in memory of its own (crew_request_keep, and crew's own uses). */
struct crew__kept {
	struct crew__http1_request request; /* .public.side is &side */
	struct crew__request_side side;
};

enum crew__body_mode {
	CREW__BODY_NONE,
	CREW__BODY_WHOLE,   /* gathered, then the handler */
	CREW__BODY_STREAM,  /* the handler at the head, then on_body */
	CREW__BODY_PARTS,   /* multipart/form-data, taken apart as it comes, then the handler */
	CREW__BODY_DISCARD, /* answered already: the rest is thrown away */
};

enum crew__answer_state {
	CREW__ANSWER_DUE,
	CREW__ANSWER_BEGUN, /* its head has left, its body comes in parts */
	CREW__ANSWER_GIVEN,
};

enum crew__answer_framing {
	CREW__FRAMING_LENGTH,
	CREW__FRAMING_CHUNKED,
	CREW__FRAMING_END,  /* the connection's end ends it: HTTP/1.0 */
	CREW__FRAMING_NONE, /* no body: HEAD, 204, 304 */
};

struct crew__exchange {
	crew_conn *conn;
	struct crew__exchange *next;          /* in the worker's pool */
	const struct crew__route_plan *route; /* NULL: none */
	struct crew__request_side *side;      /* NULL when the request has gone */
	struct crew__kept *kept; /* one that crew keeps itself; freed with the exchange */
	bool kept_given;         /* the program keeps that one as well: it is its own to free */
	struct crew__buf
		fields; /* for the answer, as they stand in its head: each with its line's end */
	uint32_t fields_kept; /* of them, those that stay when the answer turns out to be none */

	uint8_t body;     /* enum crew__body_mode */
	bool body_done;   /* all of it has come */
	bool in_handler;  /* its request is in use: not to be freed now */
	bool turned_away; /* by what comes before the handler: on_body is not called either */
	bool finding_out; /* the session is being fetched: the handler has not been called */
	uint64_t body_max, body_seen;
	struct crew__parts *parts;

	uint8_t answer;     /* enum crew__answer_state */
	uint8_t framing;    /* enum crew__answer_framing */
	bool codings_known; /* accepts_gzip is worked out */
	bool accepts_gzip;
	bool as_it_is;     /* a field that is to go with the answer forbids to compress it */
	bool has_after;    /* the route has `after` functions, which may change it */
	bool preparing;    /* what comes before it leaves is being done */
	bool last;         /* the connection ends after it: for one whose body comes in parts */
	uint16_t status;   /* of the answer; 0: not known yet */
	uint64_t left;     /* FRAMING_LENGTH, BEGUN: bytes still to be written */
	uint64_t body_out; /* bytes of the body offered so far, for the log */
	crew_pull_fn *pull;
	void (*pull_done)(void *arg);
	void *pull_arg;
	struct crew__pulling *pulling; /* inside pull(): http_stream.c */

	uint32_t body_began; /* hundredths: when the head was whole */
	uint64_t body_in;    /* the record's bytes_in then */

	struct crew__access *access; /* NULL: no log */
};

/* What a worker of HTTP has beside its connections. */
struct crew__http_worker {
	struct crew__request_side side;  /* of the request in hand, unless it is kept */
	struct crew__exchange *spare;    /* exchanges to be used again */
	struct crew__routes *routes;     /* http_route.c; NULL without routes */
	struct crew__sessions *sessions; /* http_session.c */
	struct crew__access_log *log;    /* http_log.c; NULL: none */
	uint64_t next_id;                /* http_client.c: of requests */
	struct libdeflate_compressor *gzip; /* http_gzip.c; NULL until it is needed */
	struct crew__buf text;              /* a compressed body, an event: until it is offered */
	struct crew__files *files;          /* http_files.c */
	struct crew__buf head;              /* where a large head is written */
};

/* ---- exchanges (http_exchange.c)
 * -------------------------------------------------------------------- */

static inline struct crew__exchange *crew__exchange_of(crew_conn *c)
{
	return c->record->protocol == CREW__HTTP ? crew__side(c)->http.exchange : NULL;
}

/* The answer is complete: its last byte has been offered. The exchange ends as soon as the
 * request's body has come as well (or is not waited for), and the next request is looked at.
 * `close`: the connection ends after it; `reason` why. */
void crew__exchange_answered(crew_conn *c, bool close, crew_end_reason reason);

/* Hold on to a request whose handler is to be called later; then crew__exchange_go_on calls it.
 * 0 or -ENOMEM. */
int crew__exchange_keep(struct crew__exchange *exchange, const crew_request *request);
void crew__exchange_go_on(struct crew__exchange *exchange);

/* Between http.c and http_exchange.c. The worker's side is ready for a request, is void, is free
 * for the next one (which may be another connection's). */
void crew__side_init(struct crew__request_side *side, crew_worker *w);
void crew__side_clear(struct crew__request_side *side);
void crew__side_leave(struct crew__request_side *side);
/* NULL without memory. */
struct crew__exchange *crew__exchange_begin(crew_conn *c);
/* It has neither ended nor become another protocol's. */
bool crew__exchange_in_hand(const crew_conn *c, const struct crew__exchange *exchange);
/* The request is there, or, for on_body, its head: call the handler. */
void crew__exchange_deliver(crew_conn *c, struct crew__exchange *exchange);

/* The exchange is over: `reason` as crew__access_end. */
void crew__exchange_end(struct crew__exchange *exchange, crew_end_reason reason);

/* An answer of crew's own that ends the connection; no message. */
void crew__http_refuse(crew_conn *c, int status, crew_end_reason reason);

/* "Sun, 06 Nov 1994 08:49:37 GMT": now, worked out once a second. */
const char *crew__http_date_now(crew_worker *w);

static inline struct crew__request_side *crew__request_side(const crew_request *request)
{
	return request ? request->side : NULL;
}

/* ---- what http.c calls --------------------------------------------------------------------- */

/* http_route.c. crew__routes_new compiles service->routes, checking them: 0, -ENOMEM, or -EINVAL,
 * having logged which route is wrong and how. */
int crew__routes_new(crew_worker *w);
void crew__routes_free(crew_worker *w);
/* The head is whole: find its route, note it in exchange and side. What no route takes is answered
 * by crew__routes_dispatch, so this cannot fail; ret_limit is how long its body may be, ret_stream
 * whether it goes to on_body. */
void crew__routes_find(struct crew__exchange *exchange, const crew_request *request,
	uint64_t *ret_limit, bool *ret_stream);
/* Fetch the session, run what comes before, call the handler (or websocket, files, 404, 405,
 * OPTIONS). The request may have been answered, be awaited, or have changed protocol after it. */
void crew__routes_dispatch(struct crew__exchange *exchange, const crew_request *request);
/* A part of the body for the route's on_body. */
void crew__routes_body(struct crew__exchange *exchange, crew_bytes part, bool last);
/* What comes before an answer leaves: CORS fields, the `after` functions. `response` may be
 * changed. What they point to lasts until the answer has left. */
void crew__routes_after(struct crew__exchange *exchange, crew_response *response);

/* http_session.c. 0: it is there (side->session), or there are none here; 1: it is being fetched,
 * exchange->finding_out is set, the request is kept and crew__exchange_go_on will be called; or a
 * negative errno: the store does not answer (503). */
int crew__session_begin(struct crew__exchange *exchange, const crew_request *request,
	const crew_sessions *sessions);
/* Save what has changed, add the cookie to exchange->fields. Nothing when there is none. */
void crew__session_save(struct crew__exchange *exchange);
struct crew__session *crew__session_ref(struct crew__session *session); /* NULL is allowed */
void crew__session_free(struct crew__session *session); /* one reference; NULL too */
/* When the worker starts and ends. 0 or an errno, having logged why. */
int crew__sessions_start(crew_worker *w);
void crew__sessions_end(crew_worker *w);

/* http_parts.c. Is it a form of parts that is to be taken apart as it comes? */
bool crew__parts_wanted(const crew_request *request);
/* 0, or the status to refuse with. The kept request of the exchange gets forms and uploads. */
int crew__parts_begin(struct crew__exchange *exchange, const crew_request *request);
int crew__parts_take(struct crew__exchange *exchange, crew_bytes bytes);
int crew__parts_end(struct crew__exchange *exchange);
void crew__parts_free(struct crew__parts *parts); /* NULL is allowed */
/* http_upload.c. Close what the uploads of a side hold open. */
void crew__uploads_close(struct crew__request_side *side);

/* http_upgrade.c. The request asks for a WebSocket, and `websocket` (NULL: any is taken) says
 * which: answers 101, or refuses (RFC 6455 section 4.2.2), which leaves an HTTP connection
 * answered. */
void crew__http_upgrade(struct crew__exchange *exchange, const struct crew__http1_request *request,
	const crew_websocket *websocket);

/* Does any route of the service take WebSockets? */
bool crew__has_websocket(const crew_service *service);

/* http_client.c. As crew_request_client; without the port it is as logs show it. */
size_t crew__client_text(const crew_request *request, bool with_port, char *text, size_t size);
/* The same, once for the request; "" without memory. */
const char *crew__client_of(const crew_request *request);
void crew__ids_start(crew_worker *w);
void crew__next_id(crew_worker *w, char ret_id[17]);

/* http_log.c. begin: copies what the line needs of the request; end: writes it. `reason` is
 * CREW_END_REASONS while the connection is well. Nothing where there is no log. */
int crew__access_start(crew_worker *w);
void crew__access_stop(crew_worker *w);
void crew__access_reopen(crew_worker *w);
void crew__access_begin(struct crew__exchange *exchange, const crew_request *request);
void crew__access_end(struct crew__exchange *exchange, crew_end_reason reason);
/* What never became an exchange was answered with that status. Only where there is a log. */
void crew__access_refused(crew_conn *c, int status, size_t body, crew_end_reason reason);
/* The first time of each counts. */
enum crew__access_phase {
	CREW__ACCESS_BODY,   /* all of the request has come */
	CREW__ACCESS_ANSWER, /* the answer's head is there */
	CREW__ACCESS_DONE,   /* all of the answer has been offered */
};
void crew__access_note(struct crew__exchange *exchange, enum crew__access_phase phase);
static inline void crew__access_mark(struct crew__exchange *e, enum crew__access_phase phase)
{
	if (crew__unlikely(e->access != NULL))
		crew__access_note(e, phase);
}

/* http_reply.c. What comes before the head of an answer whose head is good: the session is saved,
 * the `after` functions change `response`. 0; -ENOTCONN: one of them ended the connection. Does the
 * answer need it at all? Else its head can be written at once. */
int crew__answer_prepare(struct crew__exchange *exchange, crew_response *response);
static inline bool crew__answer_is_plain(const struct crew__exchange *e)
{
	return e->fields.len == 0 && !e->has_after && !(e->side && e->side->session);
}
/* The head of an answer: the response's fields, those of the exchange, what frames the body.
 * `length` -1: chunked, or ended by the connection's end. Sets framing, status, left. The head's
 * length, -EINVAL or -EMSGSIZE. */
int crew__answer_head(struct crew__exchange *exchange, const crew_response *response,
	int64_t length, char *room, size_t size);
enum {
	CREW__ANSWER_HEAD_MOST = CREW__RESPONSE_HEAD_MOST + CREW__ANSWER_FIELDS_MOST,
	CREW__ANSWER_ROOM = CREW__ANSWER_HEAD_MOST + CREW__HTTP_CHUNK_LINE_ROOM
};
/* Memory for a head and the line of a first chunk; NULL: there is none. */
char *crew__answer_room(crew_worker *w);
/* Memory for a body or an event that is made here, until it is offered; NULL: there is none. */
char *crew__answer_text(crew_worker *w, size_t size);
/* What was written there stays while it is offered, whatever else is answered meanwhile: a message
 * that leaves then may be the program's, whose function that takes it back may do anything. */
struct crew__answer_memory {
	struct crew__buf head, text;
};
struct crew__answer_memory crew__answer_hold(crew_worker *w);
void crew__answer_give_back(crew_worker *w, const struct crew__answer_memory *memory);
/* The answer was offered, whole or its last part, with this result: the exchange goes on, or the
 * connection is broken. Returns the result. */
int64_t crew__answer_offered(crew_conn *c, int64_t result, bool close);
/* Arguments that can never be sent: counts, and returns the error. */
int64_t crew__answer_refused(crew_conn *c, int error);
/* May the program answer, and has not yet? */
static inline bool crew__answer_is_due(const struct crew__exchange *e)
{
	return e && e->answer == CREW__ANSWER_DUE && !e->finding_out && !e->preparing &&
	       (e->body_done || e->body == CREW__BODY_STREAM);
}

/* http_stream.c. The answer begins: its head, and the first part of its body. As crew_reply_begin.
 */
int64_t crew__answer_begin(crew_conn *c, const crew_response *response, int64_t length);
/* There is room in the queue (it asked by crew__conn_want_room). */
void crew__stream_drained(crew_conn *c);
/* Its body is complete or will never be: what pulls it is told. */
void crew__stream_gone(struct crew__exchange *exchange);
/* The connection is to be closed, perhaps in the midst of a body. */
void crew__stream_closing(crew_conn *c);

/* http_gzip.c. Compress the body if both sides deserve it: response->body is replaced, in the
 * worker's memory, and fields are added to the exchange. True: something of that has changed. */
bool crew__gzip(struct crew__exchange *exchange, crew_response *response);
/* The request goes, its answer is still to come: note what it accepts. */
void crew__gzip_note(struct crew__exchange *exchange);
/* Does that field of an answer forbid to compress it? */
bool crew__gzip_forbidden(crew_bytes name, crew_bytes value);
void crew__gzip_free(crew_worker *w);

/* http_events.c. Connections that are streams of events: CREW__SSE, CREW__SSE_END. */
static inline bool crew__is_events(const crew_conn *c)
{
	return c->record->protocol == CREW__SSE || c->record->protocol == CREW__SSE_END;
}
/* Put what makes an event of `frame->body` around it; `encoded`: it is one, and only wants its
 * chunk. 0, -EMSGSIZE, -ENOMEM. */
int crew__events_frame(crew_conn *c, bool encoded, crew_frame *frame);
/* A shared message that is an event already, to be written into its bytes. NULL without memory. */
crew_shared *crew__shared_new_event(size_t size);
void crew__events_closing(crew_conn *c);
void crew__events_closed(crew_conn *c);
uint32_t crew__events_deadline(crew_conn *c, uint32_t now);

/* http_files.c */
int crew__files_start(crew_worker *w); /* opens the roots of the routes; logs, -errno */
void crew__files_end(crew_worker *w);

#endif
