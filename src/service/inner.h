/* inner.h - what the files of this layer share: the worker, and what each connection carries for
 * its protocol. Not for other layers (worker.h is).
 *
 * Behind every connection (crew_conn.ext) stands its protocol's side, then the state of a protocol
 * of the program's own, then the program's conn_size bytes. */
#ifndef CREW_SERVICE_INNER_H
#define CREW_SERVICE_INNER_H

#include "base/check.h"
#include "net/balance.h"
#include "net/budget.h"
#include "net/conn.h"
#include "net/listener.h"
#include "proto/http1.h"
#include "proto/ws.h"
#include "service/leaving.h"
#include "web/cidr.h"
#include "web/ws_extension.h"

#define CREW__WORKER_MAGIC 0x776f726bu

enum {
	CREW__CLOSE_NORMAL = 1000,
	CREW__CLOSE_NO_STATUS = 1005, /* stands for a close frame without a code */
	CREW__CLOSE_POLICY = 1008,
	CREW__CLOSE_NO_MEMORY = 1011,
	CREW__CLOSE_TRY_LATER = 1013,
	CREW__RESPONSE_HEAD_MOST = 16 * 1024,
	CREW__SEND_MOST = 1024 * 1024 *
			  1024, /* one message, so that sizes fit where they are kept */
};

/* A connection that speaks HTTP: a service's own, or a WebSocket's before its handshake. */
struct crew__http_side {
	struct crew__http1 parser;
	struct crew__exchange *exchange; /* the request in hand, until it is answered: service/http.h */
	uint32_t began; /* hundredths: when the first byte of an unfinished request came; 0: none */
	uint8_t version; /* of the request in hand: 10 or 11 */
	bool head_only;
	bool keep_alive;
};

/* A connection that speaks WebSocket. */
struct crew__ws_side {
	struct crew__ws codec;
	struct crew__deflater *deflater; /* takeover: our window, once a message was compressed */
	uint64_t ping_mark; /* bytes_out at which the last ping has left our queue */
	uint32_t ping_us; /* when the last was sent, also what it says; 0: it has been answered */
	uint32_t ping_at; /* hundredths: when it was sent, or seen to have passed; 0: none is out */
	uint32_t ping_in; /* the low part of bytes_in then: any byte since is an answer */
	uint32_t lost;    /* takeover: the record's send_fail when the window last held what was sent */
	uint8_t pack_bits; /* the largest window that we may compress with; 0: we may not */
	uint8_t parts;     /* enum crew__ws_parts: a message that is sent in parts */
	uint8_t parts_opcode;
	bool parts_packed;
	bool takeover;     /* our window goes on from message to message */
	bool client;       /* we are: what we send is masked */
	bool ping_passed;  /* it has left our queue and the kernel's */
	bool closed_by_peer;
};

/* What came out of a handshake. */
struct crew__ws_agreed {
	struct crew__ws_terms terms;
	uint8_t subprotocol; /* crew__subprotocol_place(); 0: none */
};

struct crew__side {
	bool accepted; /* it was the protocol's: its on_close is due */
	bool shown; /* the program has seen it: on_close is due */
	bool proxied; /* behind a proxy (proxied.c): its header has been read */
	uint8_t subprotocol; /* WebSocket: crew__subprotocol_place(); 0: none */
	uint32_t rtt_us; /* WebSocket: of the last ping that was answered; 0: none was */
	union {
		struct crew__http_side http;
		struct crew__ws_side ws;
		uint32_t scanned; /* text: how far the line's end was looked for */
	};
};

/* Where a worker is on its way out. */
enum crew__leaving {
	CREW__STAYS,
	CREW__WAITS,
	CREW__CLOSES,
	CREW__GONE
};

struct crew__fetches;
struct crew__offloads;
struct crew__user_timers;

struct crew_worker {
	uint32_t magic;
	unsigned id, generation;
	struct crew__net net;
	const crew_service *service;
	void (*on_message)(crew_conn *c, crew_msg msg); /* the service's, or one that times it */
	const struct crew__service_settings *settings;
	const crew_counter *counters;
	struct crew__worker_plan plan; /* listen_fds are not valid after crew__worker_new */

	struct crew__listener **listeners;
	size_t listener_count;
	struct crew__balance balance; /* where net.balance points, if anywhere */
	struct crew__udp **udps; /* instead of listeners, where datagrams come (datagram.h) */
	size_t udp_count;

	enum crew__protocol_kind kind; /* of the scheme: HTTP, WS (which begins as HTTP), ... */
	bool upgrades; /* connections may become WebSockets: those are the program's by on_open */
	struct crew__cidrs *proxies; /* whom to believe about clients; NULL: nobody */
	size_t state_at, data_at; /* offsets in ext of the protocol's state and the program's */
	uint32_t handshake_timeout, heartbeat; /* hundredths */
	size_t max_message;

	struct crew__http1_request request; /* the one being looked at */
	struct crew__http_worker *http;     /* service/http.h; NULL unless the scheme is http or ws */
	struct crew__ws_worker *ws;         /* service/ws.h; NULL until the first WebSocket */
	uint32_t packed;                    /* connections that share what is compressed */
	uint64_t date_second;
	char date[30];
	struct crew__buf scratch;

	crew_conn *answering; /* whose on_message runs, and the kind of the message */
	crew_kind answer_kind;
	int closing_code; /* what on_closing is to say */
	crew_bytes closing_reason;
	struct crew__log_rate protocol_log;
	struct crew__log_rate drop_events, gap_events;

	struct crew__user_timers *timers;
	struct crew__worker_tls *tls; /* service/tls.h; NULL: it speaks none */
	crew_worker *parent; /* whose outgoing connections these are (connect.h); NULL: it is a worker */
	struct crew__outgoing *outgoing; /* connect.h; NULL until the first crew_connect() */
	struct crew__fetches *fetches; /* service/fetch.h; NULL until the first request */
	struct crew__offloads *offloads; /* service/offload.h; NULL until the first job */

	enum crew__leaving leaving;
	struct crew__departure departure;
};

static inline crew_worker *crew__worker_of(const crew_conn *c)
{
	return c->net->owner;
}

/* The worker that the program knows: itself, or the one whose outgoing connections it stands for. */
static inline crew_worker *crew__worker_root(const crew_worker *w)
{
	return w->parent ? w->parent : (crew_worker *)(uintptr_t)w;
}

static inline struct crew__side *crew__side(crew_conn *c)
{
	return (struct crew__side *)(void *)c->ext;
}

/* The workers of this process (one, or all of --single), and whose callback runs. */
struct crew__here {
	crew_worker *workers[CREW_MAX_SERVICES];
	unsigned count;
	crew_worker *current; /* NULL outside callbacks */
	uint64_t shared_held; /* bytes of shared messages that wait in queues, each once */
	uint64_t entered_ns;  /* when the outermost callback began; 0: none that is timed */
};
extern struct crew__here crew__here;

/* One more message or request is delivered. The rate is worked out every so many of them; whoever
 * reads does so for a worker that has few (stats/segment.h). */
void crew__worker_read_rate(crew_worker *w);
static inline void crew__count_request(crew_worker *w)
{
	if (crew__unlikely((++w->net.stats.slab->total_request & 63) == 0))
		crew__worker_read_rate(w);
}

/* From now on the worker's turns are noted and timed, and the calls into the program (timing.c). 0, or
 * -ENOBUFS: there are too many workers. */
int crew__timing_start(crew_worker *w);
/* In a turn that is timed; `outer` is whose callback the call stands in. */
void crew__time_enter(const crew_worker *outer);
void crew__time_leave(const crew_worker *w, const crew_worker *outer);

/* Around every call into the program: who runs, and what `busy_in` shows. Calls may nest. */
struct crew__entered {
	crew_worker *worker;
	uint32_t callback;
};

/* Without the question whether the turn is timed; crew__enter and crew__leave ask. */
static inline struct crew__entered crew__enter_untimed(crew_worker *w, enum crew__callback callback)
{
	struct crew__slab *s = w->net.stats.slab;
	struct crew__entered before = {
		crew__here.current,
		atomic_load_explicit(&s->callback, memory_order_relaxed),
	};
	crew__here.current = w;
	atomic_store_explicit(&s->callback, (uint32_t)callback, memory_order_relaxed);
	return before;
}

static inline void crew__leave_untimed(crew_worker *w, struct crew__entered before)
{
	atomic_store_explicit(&w->net.stats.slab->callback, before.callback, memory_order_relaxed);
	crew__here.current = before.worker;
}

static inline struct crew__entered crew__enter(crew_worker *w, enum crew__callback callback)
{
	struct crew__entered before = crew__enter_untimed(w, callback);
	if (crew__unlikely(crew__loop_timed))
		crew__time_enter(before.worker);
	return before;
}

static inline void crew__leave(crew_worker *w, struct crew__entered before)
{
	if (crew__unlikely(crew__loop_timed))
		crew__time_leave(w, before.worker);
	crew__leave_untimed(w, before);
}

/* A message for what the connection is piped into. */
void crew__service_pipe(crew_conn *from, crew_msg msg);
/* A whole message for the program, or for that. The callback that is called most asks nothing about
 * time: in a turn that is timed w->on_message is another function. */
static inline void crew__service_message(crew_conn *c, crew_msg msg)
{
	crew_worker *w = crew__worker_of(c);
	crew__count_request(w);
	if (crew__unlikely(crew__conn_pipe_to(c))) {
		crew__service_pipe(c, msg);
		return;
	}
	if (crew__unlikely(!w->on_message))
		return;
	struct crew__entered before = crew__enter_untimed(w, CREW__CB_MESSAGE);
	w->answering = c;
	w->answer_kind = msg.kind;
	w->on_message(c, msg);
	w->answering = NULL;
	crew__leave_untimed(w, before);
}
/* The buffer budget is nearly spent: a new connection is told to come again later (503, close 1013),
 * or reset where the protocol knows no word for that. */
void crew__refuse_for_budget(crew_conn *c);
/* The connection is ready for the program: on_open. */
void crew__service_open(crew_conn *c);
/* The peer broke the protocol: count, log (rarely), close with this WebSocket code where there is
 * one. `what` is a sentence. */
void crew__service_violation(crew_conn *c, int code, const char *what);

/* What came, to the connection's protocol. */
size_t crew__service_data(crew_conn *c, char *data, size_t len);
/* The protocols; each takes bytes and returns how many it is done with. */
__attribute__((noinline)) size_t crew__http_data(crew_conn *c, char *data, size_t len);
uint32_t crew__http_deadline(crew_conn *c, uint32_t now);
int crew__http_start(crew_worker *w); /* at crew__worker_start; 0 or an errno, having logged why */
int crew__http_new(crew_worker *w);   /* 0, -ENOMEM */
void crew__http_free(crew_worker *w);
bool crew__http_awaits(const crew_conn *c); /* a request is in hand, whole or not */
bool crew__http_awaits_body(const crew_conn *c); /* one that is not whole */
void crew__http_closed(crew_conn *c); /* the connection has gone, and its exchange with it */
__attribute__((noinline)) size_t crew__ws_data(crew_conn *c, char *data, size_t len);
uint32_t crew__ws_deadline(crew_conn *c, uint32_t now);
bool crew__ws_closing(crew_conn *c);
void crew__ws_closed(crew_conn *c); /* the connection has gone */
/* Answer 101 with what was agreed on, and speak WebSocket from now on. */
void crew__ws_upgrade(crew_conn *c, const struct crew__http1_request *request,
	const struct crew__ws_agreed *agreed);
/* The status that a bad handshake deserves, 0 when it is good. */
int crew__ws_handshake_status(const struct crew__http1_request *request);
/* An outgoing connection's handshake is done: it is a WebSocket's, open, and shown to the program.
 * Whatever stood in its side is over. It may be closing after the call. */
void crew__ws_begin_client(crew_conn *c, const struct crew__ws_agreed *agreed);
/* The place of a sub-protocol's name among those of this worker, from 1. 0: there is no room for it. */
uint8_t crew__subprotocol_place(crew_worker *w, crew_bytes name);
/* What the worker has for its WebSockets; after its last connection. */
void crew__ws_worker_free(crew_worker *w);
__attribute__((noinline)) size_t crew__stream_data(crew_conn *c, char *data, size_t len);

/* Offer a message of the program's, framed for the connection's protocol. */
int64_t crew__service_send(crew_conn *c, crew_bytes bytes, crew_kind kind);

/* The functions that net calls; those by name are the same whoever began the connection. */
void crew__service_pipe_end(crew_conn *c);
void crew__service_notice(crew_conn *c, enum crew__notice notice);
void crew__service_loss(crew_conn *c, const crew_loss *loss);
void crew__service_gap(crew_conn *c, const crew_gap *gap);
extern const struct crew__conn_ops crew__service_ops;
/* The same where every connection begins with a PROXY header (proxied.c). */
extern const struct crew__conn_ops crew__proxied_ops;
/* What trusted_proxies says, for w->proxies. 0, -ENOMEM, or -EINVAL, having logged why. */
int crew__proxies_new(crew_worker *w);
void crew__proxies_free(crew_worker *w);

/* A connection has gone; is the worker done? */
void crew__worker_conn_gone(crew_worker *gone_from);
/* No listening socket, and what `status` calls it. */
void crew__worker_end_listeners(crew_worker *w);
void crew__worker_set_state(crew_worker *w, enum crew__worker_state state);
/* So has a request of the program's, or slow work, from the loop. */
void crew__worker_work_gone(crew_worker *w);
/* False once it has stopped: nothing of the program's is called for it any more. */
bool crew__worker_is_here(const crew_worker *w);
/* Does a WebSocket or stream connection count as open for crew_each and crew_broadcast? */
bool crew__conn_is_member(const crew_conn *c);

/* The program's watches that were begun for this worker end with it. */
void crew__watches_end(const crew_worker *w);
/* What is left of watches goes with the last worker of the process. */
void crew__watches_free(struct crew__loop *loop);

/* The limits that its settings mean, and the times it keeps itself (live.c). */
struct crew__limits crew__worker_limits(const crew_worker *w);
void crew__worker_take_times(crew_worker *w);

int crew__user_timers_new(crew_worker *w, struct crew__user_timers **ret_timers);
void crew__user_timers_end(struct crew__user_timers *timers);
void crew__user_timers_free(struct crew__user_timers *timers); /* NULL is allowed */

#endif
