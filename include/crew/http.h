/* http.h - HTTP for programs: requests, responses, routes, forms, files, sessions, events.
 *
 * Part of <crew/crew.h>, which is what a program includes; the rules at its head hold here.
 *
 * A service of scheme http:// (or ws://, for what comes to it as plain HTTP) hands each request to
 * the route that matches its method and path, or, without routes, to on_request. One answer is due
 * for each, at once or later by the connection's id; the next request of the same connection is
 * read once it is given, so answers keep the order of the requests. */
#ifndef CREW_HTTP_H
#define CREW_HTTP_H

#include <crew/crew.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- requests ------------------------------------------------------------------------------ */

/* A field of a head, or any other pair of name and value. */
struct crew_header {
	crew_bytes name;
	crew_bytes value;
};

/* One request (RFC 9112), checked. Whatever it holds, and whatever the functions below give out of
 * it, is lent until the callback returns; crew_request_keep() makes it last. */
struct crew_request {
	crew_bytes method;
	crew_bytes target; /* as it came */
	crew_bytes path;   /* of the target, up to the `?`; not decoded */
	crew_bytes query;  /* after the `?`; empty when there is none */
	crew_bytes host;   /* of the Host field or the absolute target; empty with HTTP/1.0 */
	crew_bytes body;   /* whole, chunks joined; empty when it goes to on_body or was a form of parts */
	const crew_header *headers;
	size_t header_count;
	/* Fields behind a chunked body (RFC 9112 section 7.1.2), but those that mean something only
	 * before it, as Host or Cookie. Where on_body is: of a kept request, in its last call. */
	const crew_header *trailers;
	size_t trailer_count;
	int version;       /* 10 or 11 */
	bool keep_alive;
	struct crew__request_side *side; /* crew's own */
};

/* The value of the first field of that name (case does not matter); data NULL when there is none. */
CREW_API crew_bytes crew_request_header(const crew_request *request, const char *name);

/* The path decoded (RFC 3986 section 2.1), once. Data NULL without memory, or when an escape is
 * malformed (which with routes is a 400 before any handler). */
CREW_API crew_bytes crew_request_path(const crew_request *request);

/* What stands in the path where the route has `:name` or `*name`, decoded; data NULL when the route
 * has no such. */
CREW_API crew_bytes crew_request_param(const crew_request *request, const char *name);

/* The first value of that name in the query, in a posted form (application/x-www-form-urlencoded or
 * multipart/form-data), among the cookies: decoded; data NULL when there is none. Any byte may be
 * in it, NUL too. What is no good escape stands for itself; a form of more than 16384 pairs is
 * none. */
CREW_API crew_bytes crew_request_query(const crew_request *request, const char *name);
CREW_API crew_bytes crew_request_form(const crew_request *request, const char *name);
CREW_API crew_bytes crew_request_cookie(const crew_request *request, const char *name);

/* All of them, in order. Never NULL when the count is not 0. */
CREW_API const crew_header *crew_request_queries(const crew_request *request, size_t *ret_count);
CREW_API const crew_header *crew_request_forms(const crew_request *request, size_t *ret_count);

/* Who asked: the peer, or, when the peer is one of `trusted_proxies`, whom it names in Forwarded
 * (RFC 7239) or X-Forwarded-For, or in a PROXY protocol header. As crew_remote(): writes at most
 * `size` bytes with the NUL, returns the full length; an address without its port (and brackets)
 * when that is not known. Of a proxy's words also "unknown" or "_NAME" (RFC 7239 section 6); unknown
 * too is who is named by fields that cannot be read, or that contradict each other. */
CREW_API size_t crew_request_client(const crew_request *request, char *text, size_t size);

/* 16 hex digits, different for each request of this server's life; also in the access log. */
CREW_API const char *crew_request_id(const crew_request *request);

/* A file that came in a form of parts (RFC 7578). */
typedef struct crew_upload {
	crew_bytes name;     /* of the form's field */
	crew_bytes filename; /* what the client calls it, without any directory; never trust it as a path */
	crew_bytes type;     /* what the client says it is; may be empty */
	crew_bytes body;     /* the whole of it when it is short; else no bytes, and `fd` has it */
	int fd;              /* a temporary file without a name, at offset 0; -1 when `body` has it */
	uint64_t size;
} crew_upload;

/* The first file of that field, NULL when there is none; all files, in order. Not among them is one
 * without a name and without bytes: a browser's field in which no file was chosen. */
CREW_API const crew_upload *crew_request_file(const crew_request *request, const char *name);
CREW_API const crew_upload *crew_request_files(const crew_request *request, size_t *ret_count);

/* Give it a name in the file system. `path` must not exist yet (-EEXIST). 0 or an errno. It may
 * write the whole file when the directory is on another file system than `upload_dir`. */
CREW_API int crew_upload_save(const crew_upload *upload, const char *path);

/* A copy that lasts until crew_request_free(), for an answer that is given later. NULL without
 * memory. Its session and forms come with it. */
CREW_API crew_request *crew_request_keep(const crew_request *request);
CREW_API void crew_request_free(crew_request *kept); /* NULL is allowed */

/* ---- responses ----------------------------------------------------------------------------- */

/* A response. Content-Length, Transfer-Encoding, Date and Connection are crew's to write. */
struct crew_response {
	int status;          /* 0: 200 */
	const char *type;    /* Content-Type; NULL: text/plain; charset=utf-8 when there is a body */
	const crew_header *headers; /* more fields; may be NULL */
	size_t header_count;
	crew_bytes body;
	bool close;          /* end the connection after it */
	bool plain;          /* leave it uncompressed whatever the client accepts: for a page that shows a
	                      * secret beside what a stranger may have sent, as its length would tell of
	                      * it (BREACH), and for bytes that do not become shorter */
};

/* Answer the request in hand: one message, counted like any. It may be called inside on_request or
 * later (by id). A response to HEAD, 204 and 304 goes without its body. A body of text that is long
 * enough to deserve it is compressed for a client that accepts gzip (setting `gzip`).
 * Errors as crew_send; -EINVAL also when no request waits for an answer, for a status outside
 * 200..599, and for a field name or value with a byte that could split the response. */
CREW_API int64_t crew_reply(crew_conn *c, const crew_response *response);

/* A field for the answer that is to come, whoever gives it: for middleware. At most 8 KiB of them;
 * not Content-Type and Upgrade, which are the response's own to say. 0, -EINVAL as crew_reply,
 * -EMSGSIZE, -ENOMEM. */
CREW_API int crew_reply_header(crew_conn *c, const char *name, crew_bytes value);

/* RFC 6265 section 4.1. */
typedef enum crew_same_site {
	CREW_SAME_SITE_LAX,
	CREW_SAME_SITE_STRICT,
	CREW_SAME_SITE_NONE, /* with `secure` only */
	CREW_SAME_SITE_UNSET,
} crew_same_site;

typedef struct crew_cookie {
	const char *name;  /* a token */
	crew_bytes value;  /* percent-encoded where a cookie could not hold it */
	const char *path;  /* NULL: "/" */
	const char *domain; /* NULL: this host alone */
	int64_t max_age_s; /* 0: until the browser ends; negative: delete it */
	crew_same_site same_site;
	bool secure;       /* over TLS only */
	bool script;       /* scripts may read it (no HttpOnly) */
} crew_cookie;

/* A cookie for the answer that is to come. Errors as crew_reply_header. */
CREW_API int crew_reply_cookie(crew_conn *c, const crew_cookie *cookie);

/* An error page (400..599): JSON when the request's Accept prefers it, else HTML; `detail` is one
 * sentence for the reader (1 KiB of it), escaped; NULL: none. `request` NULL: plain text. */
CREW_API int64_t crew_reply_error(
	crew_conn *c, const crew_request *request, int status, const char *detail);

/* 303 See Other (or 0), or any other 3xx but 304, to `location` (a URI reference; -EINVAL for one with a byte that
 * none has). */
CREW_API int64_t crew_reply_redirect(crew_conn *c, int status, const char *location);

/* ---- a body in parts ----------------------------------------------------------------------- */

/* Called while there is room for more of the body: write some, or end it. Called again when what it
 * wrote has left. It need not write: then go on with crew_reply_write() when there is something. */
typedef void crew_pull_fn(crew_conn *c, void *arg);

/* Begin an answer whose body comes in parts; response->body is its first part. `length` of the whole
 * body, or -1 when it is not known: then it is chunked (RFC 9112 section 7.1; with HTTP/1.0 the end
 * of the connection ends it). One message however many parts; it is sent when its last byte is.
 * Returns as crew_reply. */
CREW_API int64_t crew_reply_begin(crew_conn *c, const crew_response *response, int64_t length);

/* As crew_reply_begin, and from then on `pull` is called when there is room. `done(arg)` (may be
 * NULL) runs exactly once: when the body is ended, the connection is gone, or at once when this
 * call fails. */
CREW_API int64_t crew_reply_pull(crew_conn *c, const crew_response *response, int64_t length,
	crew_pull_fn *pull, void (*done)(void *arg), void *arg);

/* The next part. >= 0: bytes now waiting. -ENOBUFS: the queue is at max_send_buffer, nothing was
 * taken and nothing is lost: go on in on_drain, or use a pull function. -EMSGSIZE: more than
 * `length`. -EINVAL: no body is under way. -ENOTCONN. -ENOMEM: the connection ends. */
CREW_API int64_t crew_reply_write(crew_conn *c, crew_bytes part);

/* The body is complete. `trailers` (may be NULL; at most 8 KiB; none that would have had to be known
 * before the body, RFC 9110 section 6.5.1: -EINVAL) follow it when it is chunked. A body shorter than
 * its `length` breaks the connection, as the peer could not tell: -EMSGSIZE. Never -ENOBUFS. */
CREW_API int64_t crew_reply_end(crew_conn *c, const crew_header *trailers, size_t trailer_count);

/* ---- server-sent events -------------------------------------------------------------------- */

/* Answer with a stream of events (text/event-stream). From now on the connection is one to which
 * crew_send() and crew_broadcast() send events, each a message of its own under the service's limits
 * and counters; crew_close() ends it. A comment keeps it alive every heartbeat_ms.
 * 0, or as crew_reply. `response` gives more fields; NULL: none. */
CREW_API int64_t crew_events_begin(crew_conn *c, const crew_response *response);

/* https://html.spec.whatwg.org/multipage/server-sent-events.html */
typedef struct crew_event {
	const char *name; /* NULL: "message" */
	const char *id;   /* NULL: none; no line break, no NUL */
	crew_bytes data;  /* line breaks begin a new `data:` line; data NULL, without a name, beside id
	                   * or retry_ms: only those are told, which is no event to the page */
	int64_t retry_ms; /* 0: not said */
} crew_event;

/* As crew_send; -EINVAL when the connection is no stream of events, or for a line break in name or
 * id. crew_send(c, bytes) is an event with nothing but data. */
CREW_API int64_t crew_send_event(crew_conn *c, const crew_event *event);
/* For crew_broadcast; NULL without memory, or for what crew_send_event refuses. To a connection of
 * another protocol it is a text of the encoded event. */
CREW_API crew_shared *crew_shared_event(const crew_event *event);

/* ---- files --------------------------------------------------------------------------------- */

/* Files below a directory, for a route or crew_reply_file(). Conditional requests, ranges, types
 * from the system's table (/etc/mime.types), siblings `.br` and `.gz` for who accepts them. No path
 * leaves the root, by whatever encoding or symbolic link. Files whose name begins with a dot are not
 * there. */
struct crew_files {
	const char *root;    /* required; opened when the worker starts */
	const char *index;   /* of a directory; NULL: "index.html"; "": none */
	int64_t max_age_s;   /* Cache-Control; 0: no-cache, that is, ask again; negative: say nothing */
};

/* Answer with the file `path` (relative, decoded, e.g. crew_request_param) below files->root, to GET
 * and HEAD: 200, 206, 304, 404, 405, 412, 416. `files` lives as long as the program. */
CREW_API int64_t crew_reply_file(crew_conn *c, const crew_request *request,
	const crew_files *files, crew_bytes path);

/* ---- WebSockets on an HTTP port ------------------------------------------------------------ */

/* Which handshakes (RFC 6455 section 4.2) are taken. Of a ws:// service, or of a route; then the
 * service's on_open and on_message are for such connections. */
struct crew_websocket {
	const char *origins;   /* of browsers: "https://a.example https://b.example", "*": any; NULL:
	                        * the host that the request is for. Others: 403. Without an Origin field
	                        * the request is no browser's, and taken. */
	const char *protocols; /* sub-protocols that we speak, best first: "chat.v2 chat.v1"; NULL: none */
	/* Look at the request (cookies, session, query): 0 to go on, or the status to refuse with.
	 * crew_data() is the connection's already. May be NULL. */
	int (*on_upgrade)(crew_conn *c, const crew_request *request);
};

/* The sub-protocol agreed on; "" when there is none. */
CREW_API const char *crew_websocket_protocol(const crew_conn *c);

/* ---- sessions ------------------------------------------------------------------------------ */

/* What a server remembers of a browser between requests, found again by a cookie. An id that is not
 * of ours is never taken, and one of another cookie, or of another path, opens nothing here.
 *
 * Of two requests of one session at the same time each has what was there when it looked, and what
 * the later one saves stands; but a session that one of them has ended or renewed stays ended.
 *
 * In the run directory sessions last until the machine is booted anew, and workers of different users
 * (`user`) have different ones. What is to be saved while another process keeps the database to
 * itself is tried for a second, then given up, and the log says who is in the way. For Redis, a
 * change is on its way when the answer leaves, but not waited for, so that another worker may see it
 * a moment later; while it is away, a request that brings a session's cookie is answered 503, and
 * what others set is not kept. */
struct crew_sessions {
	const char *store;  /* NULL: a database in the run directory that all workers share;
	                     * "redis://[:PASSWORD@]HOST:PORT[/DB]" or "redis+unix://PATH[?db=DB]";
	                     * HOST is an address or localhost, PASSWORD percent-encoded */
	const char *cookie; /* its name; NULL: "sid" */
	int64_t lifetime_s; /* since it was last used; 0: 1440 */
	const char *path;   /* of the cookie; NULL: "/" */
	const char *domain; /* of the cookie; NULL: this host alone */
	crew_same_site same_site;
	bool insecure;      /* over plain HTTP too (no Secure) */
	bool script;        /* scripts may read the cookie (no HttpOnly) */
	bool persistent;    /* the cookie outlives the browser, for lifetime_s */
};

/* A value of the request's session; data NULL when there is none. Sessions are there where the route
 * (or the service) has `sessions`. */
CREW_API crew_bytes crew_session_get(const crew_request *request, const char *key);
/* Set one. A session begins, and its cookie is sent, when the first value is set. 0, -EINVAL (no
 * sessions here, an empty key), -EMSGSIZE (more than 64 KiB or 1000 values in all), -ENOMEM, -EIO (it
 * cannot be read), -ENOTCONN (it has been saved: after the answer). It is saved when the answer is
 * given, or on_request returns without; with a request that is kept, when it is answered or freed. */
CREW_API int crew_session_set(const crew_request *request, const char *key, crew_bytes value);
/* Set one that is there in the next request that looks at its session, and gone after it. */
CREW_API int crew_session_flash(const crew_request *request, const char *key, crew_bytes value);
CREW_API int crew_session_delete(const crew_request *request, const char *key); /* -ENOENT */
/* As crew_session_get, and delete it; after the answer there is none. */
CREW_API crew_bytes crew_session_pull(const crew_request *request, const char *key);
/* All of it, in no order. */
CREW_API const crew_header *crew_session_all(const crew_request *request, size_t *ret_count);
/* Throw all away, and the cookie. */
CREW_API int crew_session_end(const crew_request *request);
/* A new id for the same values: after a login, so that nobody can have planted the old one. 0 also
 * when there is no session yet; errors as crew_session_set. */
CREW_API int crew_session_renew(const crew_request *request);
/* Its id; "" before the first value is set. */
CREW_API const char *crew_session_id(const crew_request *request);

/* ---- routes -------------------------------------------------------------------------------- */

/* Before the handler. True: go on. False: it has answered, or will, and neither the handler nor
 * on_body is called. */
typedef bool crew_before_fn(crew_conn *c, const crew_request *request);
/* Before the answer leaves; it may change it (a copy), and add fields by crew_reply_header(). Not
 * called for answers that crew gives itself to what is no request at all. */
typedef void crew_after_fn(crew_conn *c, crew_response *response);
/* A part of a body, as it comes; crew_pause() holds the next one back. `last`: it is complete (the part may be
 * empty). Answer in the last call, later, or sooner: what follows is then thrown away. */
typedef void crew_body_fn(crew_conn *c, crew_bytes part, bool last);
typedef void crew_request_fn(crew_conn *c, const crew_request *request);

/* Which scripts of other sites may ask (https://fetch.spec.whatwg.org/#http-cors-protocol). */
struct crew_cors {
	const char *origins; /* "https://a.example https://b.example", or "*"; NULL: none */
	const char *headers; /* request fields beyond the simple ones: "Content-Type, X-Token"; NULL */
	const char *expose;  /* response fields that scripts may read; NULL */
	bool credentials;    /* cookies too; not together with "*" */
	int64_t max_age_s;   /* how long a browser may remember; 0: 600 */
};

#define CREW_MAX_MIDDLEWARE 8

/* A route, or a group of them. In an array that ends with one whose path is NULL. A more particular
 * path wins over `:name`, and that over `*`; the order of the array decides nothing. The path decides
 * first, then the method: HEAD goes to GET's handler where there is none of its own; OPTIONS and
 * methods that a path does not know (405) are answered with Allow. Paths are compared decoded, but
 * `%2F` is no slash; a malformed escape or an escaped NUL is a 400. A route "/" of a group is at the
 * group's path with a slash at its end and without. */
struct crew_route {
	const char *method; /* "GET", "GET POST"; NULL: any (of files, or a websocket alone: GET) */
	const char *path;   /* "/", "/users/:id", "/files/" "*path" (the rest, slashes and all) */
	/* What it does; exactly one of on_request, files, websocket (with on_request as well: for
	 * plain requests) and group. */
	crew_request_fn *on_request;
	const crew_files *files; /* the path ends in `*name` */
	const crew_websocket *websocket;
	const crew_route *group; /* routes below `path` */
	/* The body goes there in parts as it comes, and on_request is called before it, at the head. */
	crew_body_fn *on_body;
	int64_t max_body;   /* 0: max_message; the longest body taken here. CREW_OFF: no limit, with
	                     * on_body only */
	/* These hold for a group's routes too: outer ones first before, last after. */
	crew_before_fn *before[CREW_MAX_MIDDLEWARE + 1];
	crew_after_fn *after[CREW_MAX_MIDDLEWARE + 1];
	const crew_cors *cors;         /* NULL: the group's */
	const crew_sessions *sessions; /* NULL: the group's */
};

/* The route that the request in hand was given to; NULL without routes, or none. */
CREW_API const crew_route *crew_route_of(const crew_request *request);

#ifdef __cplusplus
}
#endif
#endif
