/* crew.h - everything a program needs to write a long-lived network service.
 *
 * A program describes its services in `crew_service` structs and hands them to crew_main(),
 * which gives it a supervised master, worker processes with an event loop each, and a command
 * line (`start`, `stop`, `reload`, `status`, `connections`, ...).
 *
 * Rules that hold for every declaration below, unless its comment says otherwise:
 *
 *  - Zero means "the default written beside the field"; CREW_OFF switches off what is on by default.
 *  - Errors are negative errno values. No call blocks. No call prints.
 *  - Any call is legal in any callback, crew_close() and crew_abort() included: a connection is
 *    destroyed only after the callback returned, and on_close comes exactly once, last.
 *  - A crew_conn pointer is valid inside callbacks until its on_close has returned. To remember a
 *    connection for later, keep crew_id() and look it up with crew_find().
 *  - A NULL connection is a connection that has gone: calls return -ENOTCONN (or 0, false, NULL).
 *  - Bytes lent to a callback are valid until it returns. Bytes given to a send are copied if they
 *    must wait, except where the call says that it takes them over.
 *  - Everything belongs to one worker and is called from its loop's thread; crew_post() is the one
 *    call that other threads may make, and crew_offload() the way to have slow things done by one.
 *  - Times are milliseconds of the monotonic clock; sizes are bytes. */
#ifndef CREW_CREW_H
#define CREW_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CREW_VERSION "0.1.0"
#define CREW_ABI     1

#if defined(__GNUC__)
#define CREW_API __attribute__((visibility("default")))
#else
#define CREW_API
#endif

/* In a numeric field of crew_service: switch off what is on by default, or "no limit". */
#define CREW_OFF (-1)
/* In crew_service.workers: one worker for each CPU this process may use. */
#define CREW_AUTO (-2)

/* ---- bytes -------------------------------------------------------------------------------- */

/* A view: `len` bytes at `data`, owned by somebody else. `data` may be NULL when `len` is 0. */
typedef struct crew_bytes {
	const char *data;
	size_t len;
} crew_bytes;

/* The bytes of a string literal, without its NUL. */
#ifdef __cplusplus
#define CREW_BYTES(literal) (crew_bytes{ "" literal, sizeof(literal) - 1 })
#else
#define CREW_BYTES(literal) ((crew_bytes){ "" literal, sizeof(literal) - 1 })
#endif

/* A view of a NUL-terminated string. NULL gives no bytes. */
CREW_API crew_bytes crew_str(const char *string);

/* ---- what things are called ---------------------------------------------------------------- */

typedef struct crew_app crew_app;
typedef struct crew_service crew_service;
typedef struct crew_protocol crew_protocol;
typedef struct crew_conn crew_conn;     /* one peer */
typedef struct crew_worker crew_worker; /* one service in one process */
typedef struct crew_shared crew_shared; /* bytes for many receivers, reference-counted */

/* Of HTTP: <crew/http.h>, included at the end. */
typedef struct crew_header crew_header;
typedef struct crew_request crew_request;
typedef struct crew_response crew_response;
typedef struct crew_route crew_route;
typedef struct crew_files crew_files;
typedef struct crew_cors crew_cors;
typedef struct crew_sessions crew_sessions;
typedef struct crew_websocket crew_websocket;

/* Of outgoing connections: <crew/connect.h> and <crew/fetch.h>, included at the end. */
typedef struct crew_connect_options crew_connect_options;
typedef struct crew_fetch_options crew_fetch_options;

/* Of slow work: <crew/offload.h>, included at the end. */
typedef struct crew_offload_options crew_offload_options;

/* Why a message was lost. The names (crew_reason_name) are those of `status`. */
typedef enum crew_reason {
	CREW_LOST_CLOSED,    /* offered to a connection whose peer had gone, that was closing, or by a stale id */
	CREW_LOST_RESET,     /* the peer or the network broke the connection while it waited */
	CREW_LOST_ABORTED,   /* we ended the connection first */
	CREW_LOST_FULL,      /* the queue was at max_send_buffer */
	CREW_LOST_HANDSHAKE, /* the handshake failed, or its queue filled before it was done */
	CREW_LOST_EXPIRED,   /* its time to live passed in the queue */
	CREW_LOST_EVICTED,   /* a newer message pushed it out */
	CREW_LOST_DEADLINE,  /* the peer took nothing for send_timeout_ms and was cut off */
	CREW_LOST_MEMORY,    /* the buffer budget was spent, or an allocation failed */
	CREW_LOST_CRASH,     /* its worker died */
	CREW_LOST_REASONS
} crew_reason;

/* Why a connection ended. The names (crew_end_name) are those of `status`. */
typedef enum crew_end_reason {
	CREW_END_PEER,      /* the peer closed */
	CREW_END_RESET,     /* the peer or the network broke it */
	CREW_END_APP,       /* the program closed or aborted it */
	CREW_END_IDLE,      /* nothing came or went for idle_timeout_ms */
	CREW_END_HANDSHAKE, /* the handshake failed or took longer than handshake_timeout_ms */
	CREW_END_HEARTBEAT, /* no answer to a ping */
	CREW_END_PROTOCOL,  /* the peer broke the protocol */
	CREW_END_DEADLINE,  /* it took nothing for send_timeout_ms */
	CREW_END_FULL,      /* its send queue was full and the policy says disconnect */
	CREW_END_MEMORY,    /* no memory for it */
	CREW_END_KICKED,    /* an operator ended it */
	CREW_END_DRAIN,     /* the worker stopped */
	CREW_END_CRASH,     /* the worker died */
	CREW_END_REASONS,
	CREW_END_HANDED_OVER /* it has not ended: it is another worker's now (crew_service.handover) */
} crew_end_reason;

/* Short fixed names ("full", "peer"); "?" for a number that is no reason. Never NULL. */
CREW_API const char *crew_reason_name(crew_reason reason);
CREW_API const char *crew_end_name(crew_end_reason reason);

/* ---- messages ------------------------------------------------------------------------------ */

/* Text or binary: WebSocket tells them apart (RFC 6455 section 5.6); other protocols ignore it. */
typedef enum crew_kind {
	CREW_KIND_DEFAULT, /* inside on_message the kind of the message it answers, else text */
	CREW_TEXT,
	CREW_BINARY,
} crew_kind;

/* One message as it came in: a view, valid until the callback returns. */
typedef struct crew_msg {
	crew_bytes body;
	crew_kind kind; /* CREW_TEXT or CREW_BINARY; raw streams are binary */
} crew_msg;

/* What on_error tells: `messages` messages were lost for one reason since on_error last told of that
 * reason; `bytes` of them, framed, never left. */
typedef struct crew_loss {
	crew_reason reason;
	uint64_t messages;
	uint64_t bytes;
} crew_loss;

/* What to do with a message for a connection whose queue is at max_send_buffer. It never splits a
 * message: one of which a part has left goes on to its end. HTTP answers are always `drop-newest`.
 * The names (crew_policy_name) are those of settings and `explain`. */
typedef enum crew_policy {
	CREW_POLICY_DEFAULT, /* the connection's (crew_set_policy), else the service's, else drop-newest */
	CREW_DROP_NEWEST,    /* refuse it (-ENOBUFS, `full`) */
	CREW_DROP_OLDEST,    /* the oldest messages of the same or a lower priority make room (`evicted`) */
	CREW_REPLACE,        /* one with the same key that waits gives up its place to this one, whether
	                      * the queue is full or not (messages_replaced); else as drop-oldest */
	CREW_DISCONNECT,     /* end the connection (`full`), what it holds with it */
	CREW_POLICIES
} crew_policy;
CREW_API const char *crew_policy_name(crew_policy policy); /* "drop-newest"; "?". Never NULL. */

/* Of messages that wait for the same connection, those of a higher priority leave first, in their
 * order; never in the middle of another message. Pings and pongs leave before both. */
typedef enum crew_priority {
	CREW_NORMAL,
	CREW_HIGH,
} crew_priority;

#define CREW_KEY_MOST 255

/* How a message is to be sent; zero is the default everywhere. What is said here of a waiting
 * message costs nothing when nothing waits. */
typedef struct crew_send_options {
	crew_kind kind;
	crew_policy policy;
	crew_priority priority;
	int64_t ttl_ms;    /* 0: none. If it has not begun to leave by then, it is lost (`expired`) */
	crew_bytes key;    /* what it is the latest state of: at most CREW_KEY_MOST bytes, copied */
	uint64_t sequence; /* a number of yours, told by on_gap when it is lost; 0: none */
	bool plain;        /* WebSocket: do not compress it (it is compressed already, or holds a secret
	                    * beside what others may choose: RFC 7692 section 8) */
} crew_send_options;

/* What on_gap tells: what the policy lost of a connection that lives, since on_gap last told. */
typedef struct crew_gap {
	uint64_t messages;              /* refused (`full`, `memory`), evicted or expired */
	uint64_t bytes;                 /* of them, framed */
	uint64_t first, last;           /* the lowest and highest sequence among them; 0: none had one */
	crew_bytes first_key, last_key; /* the keys of the first and last loss that had one, cut to 63
	                                 * bytes; empty: none had. Valid in the callback. */
} crew_gap;

/* Why what waits for a connection does not leave; docs/verdicts.md has the formulas. */
typedef enum crew_verdict {
	CREW_VERDICT_NONE,           /* nothing waits, or it is too early to say */
	CREW_VERDICT_READER_STALLED, /* the peer's program does not read */
	CREW_VERDICT_NETWORK,        /* the way to the peer is slow, or loses what is sent */
	CREW_VERDICT_KERNEL_BUFFER,  /* our kernel's send buffer is too small for the way */
	CREW_VERDICT_US,             /* our own worker is late */
	CREW_VERDICT_RATE,           /* our own rate cap holds it back */
	CREW_VERDICT_GONE,           /* the peer answers nothing any more */
	CREW_VERDICTS
} crew_verdict;
/* "reader-stalled"; "" for none, "?" for a number that is no verdict. Never NULL. */
CREW_API const char *crew_verdict_name(crew_verdict verdict);

/* ---- sending ------------------------------------------------------------------------------- */

/* Offer one message to a connection. The protocol of the service frames it.
 *
 * Returns >= 0 when it was accepted: the framed bytes now waiting for that connection, this turn's
 * included. A negative errno when it was not, and then none of it was:
 *   -ENOTCONN  the peer has gone, the connection is closing, or `c` is NULL      (counted `closed`)
 *   -ENOBUFS   the queue is at max_send_buffer and the kernel takes no more      (counted `full`)
 *   -ENOMEM    no memory for it                                                  (counted `memory`)
 *   -EMSGSIZE  longer than the protocol can frame                          (counted `send_invalid`)
 *   -EINVAL    data is NULL and len is not 0, or an option is unknown      (counted `send_invalid`)
 * The loss is told by on_error after the present callback; never from inside this call. */
CREW_API int64_t crew_send(crew_conn *c, crew_bytes bytes);

/* As crew_send, with options. `options` may be NULL. */
CREW_API int64_t crew_send_with(crew_conn *c, crew_bytes bytes, const crew_send_options *options);

/* As crew_send, of bytes that live for ever: they are never copied. */
CREW_API int64_t crew_send_static(crew_conn *c, crew_bytes bytes);

/* As crew_send, handing the bytes over: `free_fn(data, arg)` runs exactly once, as soon as they are
 * no longer needed: before this call returns, after a negative return too, or later from the loop.
 * `free_fn` may be NULL when there is nothing to free. It must not call crew. */
CREW_API int64_t crew_send_owned(
	crew_conn *c, crew_bytes bytes, void (*free_fn)(void *data, void *arg), void *arg);

/* As crew_send, of shared bytes: encoded once, referenced by each connection that must wait.
 * The caller's own reference stays the caller's. `s` NULL is -EINVAL. */
CREW_API int64_t crew_send_shared(crew_conn *c, crew_shared *s);

/* A shared message: a copy of `bytes` with one reference, the caller's. NULL without memory, or when
 * bytes, kind or options are none that a send takes.
 * References are counted without locks: ref, unref and send belong to the loop's thread, but a
 * message may be made in another thread and handed over by crew_post(). */
CREW_API crew_shared *crew_shared_new(crew_bytes bytes);
CREW_API crew_shared *crew_shared_new_kind(crew_bytes bytes, crew_kind kind);
/* With options that hold for each receiver (`options` NULL: none). */
CREW_API crew_shared *crew_shared_new_with(crew_bytes bytes, const crew_send_options *options);
CREW_API crew_shared *crew_shared_ref(crew_shared *s);
CREW_API void crew_shared_unref(crew_shared *s); /* NULL is allowed */
CREW_API crew_bytes crew_shared_bytes(const crew_shared *s);

/* Offer `s` to every open connection of this worker's `service` (for WebSocket: whose handshake is
 * done). Each receiver is one message, counted and refused on its own. Returns how many accepted
 * it; -EINVAL when `service` does not live in this process. */
CREW_API int64_t crew_broadcast(const crew_service *service, crew_shared *s);

/* Call `fn` for every open connection of this worker's `service`. Connections that `fn` closes, and
 * those that open meanwhile, are handled. Returns how many it was called for; -EINVAL as above. */
CREW_API int64_t crew_each(
	const crew_service *service, void (*fn)(crew_conn *c, void *arg), void *arg);

/* A long message in parts, of a WebSocket alone: begun, any number of parts, ended. It is one message,
 * offered when it begins and sent when its last byte has left; what else is sent meanwhile is refused
 * (-EBUSY, counted `send_invalid`), and a connection that closes before its end loses it.
 * begin: 0, -EINVAL (no open WebSocket, a bad kind), -EBUSY (one is under way), or as crew_send.
 * part: bytes that wait; -ENOBUFS: the queue is full, nothing was taken: go on in on_drain; -EINVAL
 * when none has begun. end: as part, never -ENOBUFS. */
CREW_API int64_t crew_send_begin(crew_conn *c, crew_kind kind);
CREW_API int64_t crew_send_part(crew_conn *c, crew_bytes bytes);
CREW_API int64_t crew_send_end(crew_conn *c);

/* ---- a connection -------------------------------------------------------------------------- */

/* 12 bits of worker life, 20 bits of slot, 32 bits of use count; never 0 for a connection. */
CREW_API uint64_t crew_id(const crew_conn *c);

/* The connection with that id if it lives in this process and its on_close has not been called. */
CREW_API crew_conn *crew_find(uint64_t id);

/* The service's conn_size bytes, zeroed when the connection was accepted, aligned for any type.
 * NULL when conn_size is 0. */
CREW_API void *crew_data(crew_conn *c);

CREW_API crew_worker *crew_worker_of(const crew_conn *c);
CREW_API const crew_service *crew_service_of(const crew_conn *c);

/* Framed bytes waiting for this connection, this turn's included. */
CREW_API size_t crew_queued(const crew_conn *c);

/* The peer's and our own address as text: "127.0.0.1:80", "[::1]:80", "unix:/path", "unix:@name" of
 * an abstract socket, "unix:" of one without a name; what is not printable as %XX. Writes at most
 * `size` bytes with the NUL, and returns the length it has in full, as snprintf does. */
CREW_API size_t crew_remote(const crew_conn *c, char *text, size_t size);
CREW_API size_t crew_local(const crew_conn *c, char *text, size_t size);

/* The policy of this connection from now on; CREW_POLICY_DEFAULT: the service's. -EINVAL, -ENOTCONN. */
CREW_API int crew_set_policy(crew_conn *c, crew_policy policy);

/* Send this connection no more than so many bytes and messages a second; what is more waits, under
 * its policy. 0: the service's rate_bytes or rate_messages; CREW_OFF: no cap. A second's worth may
 * leave at once. At most 2^30 of each. -EINVAL, -ENOTCONN. */
CREW_API int crew_set_rate(crew_conn *c, int64_t bytes_per_s, int64_t messages_per_s);

/* The peer has proved who it is: its queue may grow to max_send_buffer, its messages to max_message,
 * and auth_timeout_ms no longer runs. Only of services with auth_timeout_ms; else nothing happens.
 * 0, -ENOTCONN. */
CREW_API int crew_authenticated(crew_conn *c);

/* Why what waits for it does not leave, as last judged; CREW_VERDICT_NONE when nothing waits. */
CREW_API crew_verdict crew_conn_verdict(const crew_conn *c);

/* How long the peer of a WebSocket took to answer the last ping, in microseconds; -ENOTCONN, -ENODATA
 * when none was answered yet. */
CREW_API int64_t crew_rtt_us(const crew_conn *c);

/* Of a TLS connection whose handshake is done; NULL of any other. The strings live as long as the
 * connection. */
CREW_API const char *crew_tls_version(const crew_conn *c); /* "TLSv1.3" */
CREW_API const char *crew_tls_cipher(const crew_conn *c);  /* "TLS_AES_256_GCM_SHA384" */
CREW_API const char *crew_tls_server_name(const crew_conn *c); /* SNI; NULL: the client named none */
CREW_API const char *crew_tls_alpn(const crew_conn *c);        /* the protocol agreed on; NULL: none */
/* The peer's certificate, when it has been verified (tls_client, or an outgoing connection): its subject
 * as text ("CN=alice,O=Example", RFC 2253). NULL: it showed none, or it was not verified. */
CREW_API const char *crew_tls_peer_name(const crew_conn *c);

/* The descriptor, for getsockopt(2) and setsockopt(2) only; it stays crew's. -ENOTCONN. */
CREW_API int crew_fd(const crew_conn *c);

/* Stop reading from the peer, and go on. Pauses do not nest. What had already arrived is delivered
 * after crew_resume(). While paused a peer's close is noticed only by a send. */
CREW_API int crew_pause(crew_conn *c);
CREW_API int crew_resume(crew_conn *c);

/* Let what arrives on `from` flow to `to` as messages, instead of to on_message, with
 * back-pressure: reading from `from` pauses while `to` cannot keep up. When `from` ends, `to` is
 * ended (crew_finish); on_end is told unless something flows into `from` in turn. When `to` is closed,
 * so is `from`. Call it twice for both directions. `to` NULL takes the pipe away.
 * Between protocols messages are framed anew: bytes of a raw stream are binary messages as they come,
 * datagrams lose their ends in a raw stream. Between two raw streams without TLS and rate cap, nothing
 * passes through the program: splice(2) moves it.
 * -ENOTCONN, -EINVAL (from == to; a raw stream into UDP), -EBUSY (another connection flows to `to`
 * already). */
CREW_API int crew_pipe(crew_conn *from, crew_conn *to);

/* Send nothing more: what is queued leaves, then the peer sees the end of the stream (FIN), while
 * we go on reading until it ends too. For WebSocket the same as crew_close. */
CREW_API int crew_finish(crew_conn *c);

/* End a connection in good order: what is queued leaves, the protocol says goodbye (WebSocket:
 * close 1000), the peer gets `linger_ms` to end its side, and then on_close is called. */
CREW_API int crew_close(crew_conn *c);

/* As crew_close; on a WebSocket with this close code (RFC 6455 section 7.4: 1000 to 4999 but for
 * those that must not be sent) and reason (at most 123 bytes of UTF-8). -EINVAL otherwise. */
CREW_API int crew_close_with(crew_conn *c, int code, crew_bytes reason);

/* End a connection now: what is queued is lost (`aborted`), the peer sees a reset, and what the
 * kernel held for it is freed at once. */
CREW_API int crew_abort(crew_conn *c);

/* In on_close, and once closing has begun: why. CREW_END_REASONS while it is open. In the on_close of
 * one that lives on in another worker: CREW_END_HANDED_OVER. */
CREW_API crew_end_reason crew_close_reason(const crew_conn *c);

/* ---- hand-over at a reload (crew_service.handover) ---- */

/* Where on_handover writes. */
typedef struct crew_handover crew_handover;
#define CREW_HANDOVER_STATE_MOST (1024 * 1024)
/* Add a copy of `bytes` to what on_restore will read, in the order of the calls; only in on_handover.
 * 0, -EINVAL, -ENOMEM, -ENOBUFS (more than CREW_HANDOVER_STATE_MOST in all): then the connection stays,
 * whatever on_handover returns. */
CREW_API int crew_handover_put(crew_handover *h, crew_bytes bytes);

/* ---- a protocol of your own ---------------------------------------------------------------- */

/* A message on its way out: head, body and tail leave back to back. encode() may point `head` and
 * `tail` into `room` or into crew_scratch(), and may replace `body`. */
typedef struct crew_frame {
	crew_bytes head;
	crew_bytes body;
	crew_bytes tail;
	char room[32];
} crew_frame;

/* What a protocol does with the bytes of a stream; see examples/protocol.c. All functions run in
 * the worker; they may close the connection, but must not send from cut, decode or encode. */
struct crew_protocol {
	const char *name;  /* also the scheme of `listen`: lower-case letters, digits */
	size_t state_size; /* zeroed bytes for each connection: crew_protocol_state() */
	/* The length of the first message in `in`, 0 when more bytes are needed to tell, or a negative
	 * errno to end the connection (`protocol`). It may be longer than `in`; longer than max_message
	 * ends the connection. Called again with more bytes, so remember in the state how far a
	 * delimiter was looked for. Required. */
	int64_t (*cut)(crew_conn *c, crew_bytes in);
	/* Turn the bytes that cut measured into a message. NULL: the bytes are the body. A negative
	 * errno ends the connection (`protocol`). */
	int (*decode)(crew_conn *c, crew_bytes in, crew_msg *ret_msg);
	/* Put a frame around frame->body. NULL: sent as it is. 0, -EMSGSIZE, -EINVAL, -ENOMEM. It must
	 * depend on the body and kind alone: a shared message is encoded once for all receivers, with
	 * `c` the first of them. */
	int (*encode)(crew_conn *c, crew_kind kind, crew_frame *frame);
	void (*on_open)(crew_conn *c);  /* before the service's on_open */
	void (*on_close)(crew_conn *c); /* after the service's on_close */
};

CREW_API void *crew_protocol_state(crew_conn *c);

/* `size` bytes for encode(), valid until the send that called it returns; NULL without memory. There
 * is one such room in a worker: asked a second time, it may have moved, and holds the same bytes. */
CREW_API void *crew_scratch(crew_conn *c, size_t size);

/* ---- loop ---------------------------------------------------------------------------------- */

/* Timers: an id, never 0; -ENOMEM or -EINVAL (fn NULL). They belong to the worker and end with it.
 * `every` counts from its own due time, so it does not drift; turns missed are not made up. */
typedef void crew_timer_fn(crew_worker *w, void *arg);
CREW_API int64_t crew_timer_after(crew_worker *w, uint64_t ms, crew_timer_fn *fn, void *arg);
CREW_API int64_t crew_timer_every(crew_worker *w, uint64_t ms, crew_timer_fn *fn, void *arg);
CREW_API int crew_timer_stop(int64_t timer); /* -ENOENT when it is done or was never */

/* Watch a descriptor of the program's own: `fn` is called while it is ready (level-triggered).
 * One watch for each descriptor: a second call changes it, `events` 0 ends it (do that before
 * close()). 0, -EBADF, -EPERM (a plain file), -EINVAL, -ENOMEM. */
#define CREW_READ  1u
#define CREW_WRITE 2u
typedef void crew_watch_fn(int fd, unsigned events, void *arg);
CREW_API int crew_watch(int fd, unsigned events, crew_watch_fn *fn, void *arg);

/* Call `fn(w, arg)` in the loop of `w`, soon, in the order of the posts of each thread. From any
 * thread. 0, -ENOMEM, -EINVAL; -ESHUTDOWN when the worker no longer turns. Threads that post are to be
 * joined in on_worker_stop: after it the worker may be gone. */
CREW_API int crew_post(crew_worker *w, void (*fn)(crew_worker *w, void *arg), void *arg);

/* The loop's time: CLOCK_MONOTONIC in milliseconds, read once a turn. */
CREW_API uint64_t crew_now_ms(void);

/* ---- a worker ------------------------------------------------------------------------------ */

CREW_API const crew_service *crew_worker_service(const crew_worker *w);
CREW_API unsigned crew_worker_id(const crew_worker *w); /* 0 .. workers-1, stable across respawn */
CREW_API unsigned crew_worker_generation(const crew_worker *w); /* 1, and one more each reload */
CREW_API size_t crew_worker_connections(const crew_worker *w);

/* Leave in good order, as at `stop`; the master starts a fresh worker. */
CREW_API void crew_worker_recycle(crew_worker *w);

/* The worker's counters by the names of `status` ("send_fail", "messages_queued", "close_peer",
 * "fail_full"), or those of crew_app.counters. 0 for an unknown name. */
CREW_API uint64_t crew_worker_counter(const crew_worker *w, const char *name);
/* The same over all living workers of that service and what has been retired; a page that any
 * worker serves can so tell of all. 0 for an unknown name. */
CREW_API uint64_t crew_service_counter(const crew_service *service, const char *name);

/* Add to the program's own counter `index` of crew_app.counters. An index out of range is ignored. */
CREW_API void crew_count(crew_worker *w, unsigned index, int64_t n);

/* A setting of section [app], from the file or --set; `fallback` when it is not there. The string
 * lives as long as the process. Numbers take k, m, g. */
CREW_API const char *crew_setting(const char *key, const char *fallback);
CREW_API int64_t crew_setting_int(const char *key, int64_t fallback);

/* One line to the log (see `[crew] log`), at most 4 KiB, with time, service and worker before it. */
typedef enum crew_level { CREW_DEBUG, CREW_INFO, CREW_WARN, CREW_ERROR } crew_level;
CREW_API void crew_log(crew_level level, const char *format, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 2, 3)))
#endif
	;

/* ---- what a program consists of ------------------------------------------------------------ */

/* What became of a worker, told to on_worker_exit in the master. */
typedef struct crew_exit {
	const crew_service *service;
	unsigned id;
	pid_t pid;
	int status;        /* exit status; 0 when a signal ended it */
	int signal;        /* 0 when it exited */
	bool expected;     /* a stop, reload or recycle had told it to */
	uint64_t lived_ms;
} crew_exit;

struct crew_service {
	const char *name;   /* required: letters, digits, - and _; neither "crew" nor "app" */
	const char *listen; /* SCHEME://HOST:PORT or SCHEME+unix://PATH; schemes tcp, text, frame, http,
	                     * ws, udp, and the name of `protocol`; unix:// is tcp+unix://; tls, https and
	                     * wss are tcp, http and ws with TLS. Host empty: every address; `[::1]` for
	                     * IPv6. NULL: a service without a socket. RUNDIR/ at the start of a path
	                     * stands for the run directory, @ for an abstract name. Several addresses of
	                     * one scheme are separated by blanks; options follow as ?name=value&name,
	                     * see docs/addresses.md. */
	const crew_protocol *protocol; /* your own; NULL: by the scheme */
	size_t conn_size;   /* bytes of yours in each connection: crew_data() */

	int workers;        /* 1; CREW_AUTO */
	bool reuse_port;    /* a socket for each worker instead of one shared */
	const char *user;   /* the workers' user; NULL: the master's */
	const char *group;  /* NULL: the user's */

	int64_t max_connections;        /* 0.9 x the descriptor limit, each worker */
	int64_t max_connections_per_ip; /* off */
	int64_t max_message;            /* 1 MiB: the longest message or request taken */
	int64_t max_send_buffer;        /* 1 MiB: below it a message is taken whole, at it refused */
	int64_t kernel_unsent_limit;    /* 128 KiB: TCP_NOTSENT_LOWAT */
	int64_t send_timeout_ms;        /* off: end a peer that takes nothing for so long */
	int64_t idle_timeout_ms;        /* off; HTTP: 60 s */
	int64_t handshake_timeout_ms;   /* 10 s: TLS and WebSocket handshake, each request's arrival, on a
	                                 * WebSocket port what may pass between plain requests */
	int64_t heartbeat_ms;           /* 30 s: WebSocket: ping when nothing came for so long;
	                                 * streams of events: a comment when nothing went */
	int64_t linger_ms;              /* 1 s: what a peer gets to end its side of a close */
	int64_t drain_timeout_ms;       /* 30 s: `stop -g` and reload wait this long for connections */
	int64_t stop_timeout_ms;        /* 2 s: `stop` gives queues this long to leave */

	/* In the worker. on_worker_start runs before the first connection is accepted; a negative
	 * return ends the worker as failed. on_worker_stop is the last call. on_reload tells a worker
	 * that a reload replaces it. */
	int (*on_worker_start)(crew_worker *w);
	void (*on_worker_stop)(crew_worker *w);
	void (*on_reload)(crew_worker *w);
	/* In the master, after the obituary is written. */
	void (*on_worker_exit)(const crew_exit *e);

	void (*on_open)(crew_conn *c);                             /* handshake done */
	void (*on_message)(crew_conn *c, crew_msg msg);
	void (*on_request)(crew_conn *c, const crew_request *request); /* http, and plain HTTP on ws */
	void (*on_end)(crew_conn *c);     /* the peer will send no more. Unset: crew_close when flushed */
	void (*on_close)(crew_conn *c);   /* exactly once, last; crew_close_reason() */
	void (*on_error)(crew_conn *c, const crew_loss *loss); /* messages were lost */
	void (*on_full)(crew_conn *c);    /* the send queue reached max_send_buffer */
	void (*on_drain)(crew_conn *c);   /* the send queue is empty again */

	/* HTTP (<crew/http.h>). on_request is for what no route takes; unset: 404. */
	const crew_route *routes;        /* ends with one whose path is NULL; NULL: none */
	const crew_websocket *websocket; /* ws: which handshakes are taken; NULL: any */
	const crew_cors *cors;           /* for all routes that say nothing of it */
	const crew_sessions *sessions;   /* likewise */
	const char *access_log;          /* a file (or pipe), RUNDIR/ allowed; NULL or "off": none */
	bool access_log_json;            /* JSON lines instead of the combined format */
	const char *trusted_proxies;     /* "10.0.0.0/8 ::1 unix": whom to believe about clients (unix:
	                                  * who comes by a Unix socket); NULL: nobody */
	bool proxy_protocol;             /* every connection begins with a PROXY header, v1 or v2; of
	                                  * trusted_proxies only, when there are any */
	const char *upload_dir;          /* where uploaded files go meanwhile; NULL: /tmp */
	int64_t gzip;                    /* 1 KiB: the shortest body worth compressing; CREW_OFF */
	int64_t min_body_rate;           /* 500 bytes/s: a request body that comes slower is cut off (408) */
	int64_t max_head;                /* 16 KiB: request line and fields (431; the line alone: 414) */

	/* Slow readers. */
	crew_policy policy;       /* drop-newest: what to do when a queue is full */
	int64_t soft_limit;       /* off: end a connection (`full`) whose queue has been at or above so many */
	int64_t soft_limit_ms;    /* 10 s: ... bytes for so long; below it the clock begins anew */
	int64_t rate_bytes;       /* off: bytes a second to one connection */
	int64_t rate_messages;    /* off: messages a second to one connection */
	int64_t auth_timeout_ms;  /* off: end a connection (`handshake`) for which crew_authenticated() was
	                           * not called in time */
	int64_t unauthenticated_limit; /* 64 KiB: of its queue, and of its messages, until then */
	/* What a policy has lost of a connection that lives: called once what waits has moved and is at
	 * most half of max_send_buffer, so that what it sends ("you missed n") has room; while more
	 * waits all the time, once a second at the most. */
	void (*on_gap)(crew_conn *c, const crew_gap *gap);

	/* TLS, in every stream protocol: with both, or the schemes tls, https, wss, which need both.
	 * Lists are separated by blanks; the name that a client asks for (SNI) is looked for in the
	 * certificates' names, and the first certificate is that of all other clients. Files are read by
	 * the master, looked at again every few seconds, and taken when they prove sound. */
	const char *tls_cert;      /* PEM files: a certificate and its chain each */
	const char *tls_key;       /* PEM files: the keys, in the same order */
	const char *tls_ocsp;      /* DER files: OCSP answers to staple, in the same order, - for none */
	const char *tls_client_ca; /* a PEM file: whose client certificates are good */
	const char *tls_client;    /* "off", "optional" or "required"; NULL: required with tls_client_ca */
	const char *tls_min;       /* "1.2" or "1.3"; NULL: 1.2 */
	int64_t tls_handshakes_most; /* 10,000 in a worker: beyond, the one that got on least recently gives
	                              * way; CREW_OFF: no limit */
	const char *tls_alpn;      /* what we speak, best first; NULL: http/1.1 for http and ws, else none */
	bool ktls_off;             /* do not let the kernel encrypt (see `ktls` in docs/tls.md) */

	/* WebSocket. */
	const char *deflate;  /* permessage-deflate (RFC 7692): "shared", "takeover" or "off"; NULL: shared:
	                       * one compressor for all connections of a worker. takeover: a window for each,
	                       * docs/websocket.md tells its memory */
	int64_t deflate_min;  /* 1 KiB: the shortest message worth compressing; CREW_OFF: compress none */
	/* Messages come in parts as they arrive, instead of to on_message, and max_message does not hold
	 * for them; text is valid UTF-8 but a character may be cut between parts. */
	void (*on_part)(crew_conn *c, crew_msg part, bool last);

	/* UDP: an address that has sent something is a connection (crew_send answers it) until nothing came
	 * or went for idle_timeout_ms (60 s by default there). */

	/* Leaving: at reload and stop. Said once of each connection, when the drain reaches it (at a
	 * reload at a random moment of the window, so that not all come back at once): send a goodbye and
	 * close, now or later. Who has not been closed shortly before the window ends (stop_timeout_ms,
	 * with -g drain_timeout_ms) is closed then. For every stream protocol but HTTP, WebSocket and
	 * streams of events, which have a farewell of their own (docs/reload.md); unset: the connection
	 * is closed once its queue is empty, with -g not before the end of the window. Any call is legal
	 * in it. */
	void (*on_farewell)(crew_conn *c);

	/* What workers may do, and when they are replaced by fresh ones (docs/workers.md). */
	const char *capabilities; /* "net_bind_service net_raw": what they keep of root's power; "none". NULL:
	                           * none when they change user, else what they have */
	bool no_new_privs_off;    /* what they execute may gain privileges (set-user-ID programs) */
	const char *seccomp;      /* "default": no system calls that a network service never needs; "off";
	                           * NULL: off */
	int64_t recycle_requests; /* off: requests and messages until then, give or take 10 % */
	int64_t recycle_age_ms;   /* off: likewise a worker's age */
	int64_t recycle_memory;   /* off: likewise bytes resident */

	/* Slow work (<crew/offload.h>), of each worker. */
	int64_t offload_threads;    /* 4; begun when they are needed */
	int64_t offload_queue;      /* 1000: jobs that may wait for a thread; beyond it crew_offload refuses */
	int64_t offload_timeout_ms; /* 30 s: how long a job may wait; then it is not done; CREW_OFF */

	/* Listening (docs/listening.md). */
	const char *accept; /* who accepts: "shared" (one socket for all workers, whoever is free),
	                     * "reuse-port" (the same as .reuse_port) or "least-connections" (shared, but who
	                     * has clearly more connections than its siblings stands back); NULL: shared */
	int64_t connection_rate_per_ip; /* off: new connections a second that a worker takes from one
	                                 * address; so many may come at once */

	/* Callbacks that do not return (docs/when-it-crashes.md). */
	int64_t slow_callback_ms; /* 500 ms: tell of one that takes so long, with its stack; CREW_OFF */
	int64_t stuck_ms;         /* off: end a worker that one call has kept for so long */

	/* Hand-over: at a reload, connections move to the new workers alive, and their peers notice nothing
	 * (docs/handover.md). It takes open WebSockets and streams without TLS, pipe or half an end; all
	 * others, and those that the program keeps, drain as without. Queue, unread input and what was set
	 * for the connection move by themselves. The conn_size bytes and the state of a protocol of your
	 * own move as they are when handover_plain says so, else by the callbacks, without which a service
	 * that has such bytes cannot be handed over. */
	bool handover;
	bool handover_plain;       /* those bytes mean the same in any process: no pointer, no descriptor */
	unsigned handover_version; /* of all that moves; what comes from another version is not taken */
	/* In the old worker: write what on_restore is to know. 0; negative: the connection stays. After it
	 * has moved, on_close comes with CREW_END_HANDED_OVER; if it could not, on_restore comes here. */
	int (*on_handover)(crew_conn *c, crew_handover *h);
	/* In the new worker, instead of on_open: `old_id` was its id so far, `state` what on_handover wrote.
	 * Bytes that are not plain are zeroed before; a protocol's on_open has run. Messages that were sent
	 * while it moved were sent to nobody: this is the place to make up for them. 0; negative: it is
	 * closed (WebSocket: 1012). */
	int (*on_restore)(crew_conn *c, uint64_t old_id, crew_bytes state);
};

/* A counter of the program's own. */
typedef struct crew_counter {
	const char *name; /* lower-case letters, digits, _; not the name of a built-in one */
	const char *unit;
	const char *help; /* one sentence */
} crew_counter;

#define CREW_MAX_SERVICES 64
#define CREW_MAX_COUNTERS 32

struct crew_app {
	const char *name;    /* NULL: the program file's name */
	const char *version; /* the program's; NULL: "0" */
	const char *config;  /* INI file to read when -c names none; NULL: none */
	const crew_service *services[CREW_MAX_SERVICES + 1]; /* ends at the first NULL */
	crew_counter counters[CREW_MAX_COUNTERS];            /* ends at the first NULL name */
	/* Check settings of [app] before anything starts (`configtest`, start, reload). NULL: any key is
	 * allowed. Return NULL when all is well, or a sentence that lives for ever. */
	const char *(*on_config)(void);
	int64_t buffer_budget; /* a quarter of the machine's memory, shared by all workers: what the queues
	                        * of one worker may hold; CREW_OFF */
	const char *admin;     /* "http://127.0.0.1:9100": serve metrics, health and the dashboard there;
	                        * NULL: no */
};

/* Run the program: parse the command line, do what it says, return the exit status for main().
 * main() runs in the master, in every worker and for every command: what comes before this call
 * must be cheap and free of side effects. */
#define crew_main(argc, argv, ...) \
	crew_main_abi((argc), (argv), (__VA_ARGS__), CREW_ABI, sizeof(crew_app), sizeof(crew_service))
CREW_API int crew_main_abi(
	int argc, char **argv, const crew_app *app, int abi, size_t app_size, size_t service_size);

#ifdef __cplusplus
}
#endif

#include <crew/connect.h>
#include <crew/fetch.h>
#include <crew/http.h>
#include <crew/offload.h>
#endif
