/* slab.h - what a worker writes while it works: its totals and its connections' records, in memory
 * that `status` reads without asking.
 *
 * One writer, plain stores. Each update stands between crew__slab_begin and crew__slab_end, never
 * around a callback or a system call, so that a reader which finds the same even sequence before
 * and after its copy has values in which the laws hold:
 *
 *   messages_offered + messages_taken_over = messages_sent + messages_queued + messages_replaced
 *                                          + send_fail + messages_handed_over
 *   send_fail                      = the sum of fail_*
 *   connections_total + taken_over = connections + the sum of close_* + handed_over
 *   messages_queued, bytes_queued  = the sums over the connection records
 *
 * What goes from worker to worker is offered and accepted once, and has its outcome once; in the sum of
 * all workers both sides of a hand-over are the same but for what is on its way.
 *
 * The counters that a connection keeps are its record; there is no second copy. */
#ifndef CREW_STATS_SLAB_H
#define CREW_STATS_SLAB_H

#include "base/base.h"
#include "stats/counters.def"

#include <stdatomic.h>

/* What `status` calls the state of a worker. */
enum crew__worker_state {
	CREW__STARTING,
	CREW__READY,
	CREW__DRAINING,
	CREW__EXITED,
};

/* The callback that runs at present, for `busy_in`; 0 is none. Names by crew__callback_name. */
enum crew__callback {
	CREW__CB_NONE,
	CREW__CB_WORKER_START,
	CREW__CB_WORKER_STOP,
	CREW__CB_RELOAD,
	CREW__CB_OPEN,
	CREW__CB_MESSAGE,
	CREW__CB_REQUEST,
	CREW__CB_END,
	CREW__CB_CLOSE,
	CREW__CB_ERROR,
	CREW__CB_FULL,
	CREW__CB_DRAIN,
	CREW__CB_TIMER,
	CREW__CB_WATCH,
	CREW__CB_POST,
	CREW__CB_EACH,
	CREW__CB_PROTOCOL,
	CREW__CB_PULL,
	CREW__CB_GAP,
	CREW__CB_FETCH,
	CREW__CB_FAREWELL,
	CREW__CB_OFFLOAD,
	CREW__CB_HANDOVER,
	CREW__CB_RESTORE,
	CREW__CALLBACKS
};

enum {
	CREW__OFFLOAD_NAME = 32 /* what a job is called, with its NUL */
};

/* Of the slow work off the loop; written by its threads, one at a time. */
struct crew__offload_shown {
	_Atomic uint64_t began_ns; /* when the job began that has run longest; 0: none runs. The same
				    * before and after `name` was read: that is its name */
	_Atomic uint64_t longest_wait_ns; /* for a thread, of any job of this life */
	_Atomic uint64_t name[CREW__OFFLOAD_NAME / sizeof(uint64_t)];
};

struct crew__slab {
	_Atomic uint32_t sequence; /* odd while an update is under way */
	_Atomic uint32_t state;    /* enum crew__worker_state */
	_Atomic uint32_t callback; /* enum crew__callback */
	_Atomic uint32_t slots_high; /* no record at or above this slot was ever used */
	_Atomic uint64_t turn_began_ns; /* CLOCK_MONOTONIC; 0 while the loop waits */
	_Atomic uint64_t qps_since_ns;  /* the last time `qps` was worked out */
	uint64_t qps_requests;          /* total_request then */
	uint64_t qps;                   /* in the second or so before */
#define X(field, kind, group, name, unit, sentence) uint64_t field;
	CREW_COUNTER_TABLE(X)
#undef X
	uint64_t app[CREW_MAX_COUNTERS]; /* the program's own, in the order of crew_app.counters */
	struct crew__offload_shown offload;
};

/* A connection's hot record, one cache line. Times are in hundredths of a second since the life
 * began (crew__segment_header.began_ns). */
struct crew__record {
	_Atomic uint64_t id; /* crew_id(), 0 when the slot is free */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t bytes_queued;
	uint32_t messages_queued;
	uint32_t send_fail;
	uint32_t last_in;  /* bytes came */
	uint32_t last_out; /* the kernel took bytes */
	uint32_t queued_since; /* when the queue last became non-empty; valid while bytes_queued > 0 */
	uint32_t recv_queue;   /* bytes of an unfinished message that we hold */
	uint8_t state;     /* enum crew__conn_state */
	uint8_t protocol;  /* enum crew__protocol_kind */
	uint8_t transport; /* enum crew__transport_kind */
	uint8_t end;       /* crew_end_reason, CREW_END_REASONS while open; HANDED_OVER: nobody sees it */
	uint32_t opened;
};
_Static_assert(sizeof(struct crew__record) == 64, "a hot record is one cache line");

/* Addresses as they are shown: 16 bytes of IPv6 (IPv4 mapped), port, scope. */
struct crew__record_address {
	uint8_t ip[16];
	uint32_t scope;
	uint16_t port;
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX: then `port` is the length of an abstract name,
	                  * 0 for none, whose first 20 bytes stand in ip and scope */
};

/* The cold record of the same slot. */
struct crew__record_cold {
	struct crew__record_address local;
	struct crew__record_address remote;
	uint32_t fail[CREW_LOST_REASONS]; /* send_fail by reason */
	uint32_t kernel_unsent; /* bytes the kernel holds unsent, as last sampled */
	uint32_t outgoing;      /* 1: we have opened it */
};
_Static_assert(sizeof(struct crew__record_cold) <= 96, "cold records count at a million connections");

/* What `connections` calls the state of a connection. */
enum crew__conn_state {
	CREW__CONN_HANDSHAKE, /* "handshake" */
	CREW__CONN_OPEN,      /* "open" */
	CREW__CONN_CLOSING,   /* "closing": the queue leaves, then the protocol's goodbye */
	CREW__CONN_LINGER,    /* "linger": we are done, the peer is not */
	CREW__CONN_CLOSED,
};
enum crew__transport_kind {
	CREW__TCP,
	CREW__UNIX,
	CREW__UDP,
	CREW__TLS, /* over TCP, or over a Unix socket: the remote address tells */
};
enum crew__protocol_kind {
	CREW__RAW, CREW__TEXT, CREW__FRAME, CREW__HTTP, CREW__WS, CREW__CUSTOM,
	CREW__SSE,     /* a stream of events, in chunks */
	CREW__SSE_END, /* the same to HTTP/1.0, which the connection's end ends */
};

static inline void crew__slab_begin(struct crew__slab *s)
{
	uint32_t sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);
	atomic_store_explicit(&s->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static inline void crew__slab_end(struct crew__slab *s)
{
	uint32_t sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);
	atomic_store_explicit(&s->sequence, sequence + 1, memory_order_release);
}

/* fail_* and close_* stand in the table in the order of crew_reason and crew_end_reason. */
static inline uint64_t *crew__slab_fail(struct crew__slab *s, crew_reason reason)
{
	return &s->fail_closed + reason;
}

static inline uint64_t *crew__slab_close(struct crew__slab *s, crew_end_reason reason)
{
	return &s->close_peer + reason;
}

_Static_assert(offsetof(struct crew__slab, fail_crash) - offsetof(struct crew__slab, fail_closed) ==
		CREW_LOST_CRASH * sizeof(uint64_t), "fail_* follow crew_reason");
_Static_assert(offsetof(struct crew__slab, close_crash) - offsetof(struct crew__slab, close_peer) ==
		CREW_END_CRASH * sizeof(uint64_t), "close_* follow crew_end_reason");

const char *crew__callback_name(enum crew__callback callback); /* "on_message" */
const char *crew__conn_state_name(unsigned state);
const char *crew__transport_name(unsigned transport); /* "tcp", "unix" */
const char *crew__protocol_name(unsigned protocol);   /* "raw", "text", "frame", "http", "ws", "custom", "sse" */

struct crew__record_slow;
struct crew__histogram;
struct crew__events;
struct crew__closed_ring;

/* What a worker says of its TLS. */
struct crew__tls_shown {
	_Atomic int64_t expires; /* Unix time of the first of its certificates to expire; 0: no TLS */
	char ktls[64];           /* why the kernel does not encrypt, for people; "": it does */
};

/* A worker's view of its segment: where to write. */
struct crew__stats {
	struct crew__slab *slab;
	struct crew__record *records;
	struct crew__record_cold *cold;
	struct crew__record_slow *slow;         /* by slot (slow.h) */
	struct crew__histogram *measures;       /* CREW__MEASURES of them; never NULL */
	struct crew__events *events;            /* rings.h; NULL in some tests */
	struct crew__closed_ring *closed;       /* likewise */
	struct crew__tls_shown *tls;            /* likewise */
	uint32_t slots;  /* how many records there are */
	uint32_t life;   /* 12 bits: the upper part of every connection id */
	uint64_t began_ns;
};

#endif
