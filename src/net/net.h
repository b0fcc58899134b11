/* net.h - all connections of one worker: their slots, what they share, and when they are looked at.
 *
 * What connections share is what an idle one need not own: one read buffer, one cork buffer, the
 * wheel of deadlines, and the agenda: the list of connections that want something done at the
 * turn's end (flush, feed, tell the program, be destroyed).
 *
 * The layer above hands down a table of functions (crew__conn_ops); nothing here knows protocols or
 * the program's callbacks.
 *
 * Invariants, between turns:
 *  - the cork is empty and has no owner;
 *  - a connection is on the agenda exactly when it has one of the agenda flags;
 *  - slots[i] is set exactly when records[i].id is not 0. */
#ifndef CREW_NET_NET_H
#define CREW_NET_NET_H

#include "base/log.h"
#include "loop/loop.h"
#include "loop/wheel.h"
#include "net/burst.h"
#include "net/queue.h"
#include "net/rate.h"
#include "stats/slab.h"

struct crew__net;
struct crew__balance;
struct crew__ip_table;
struct crew__rate_table;
struct crew__tls_context;
struct crew__tls_shared;
struct crew__pipes;

enum {
	CREW__READ_MOST = 64 * 1024, /* bytes one read takes: also a connection's share of a turn */
	CREW__CORK_MOST = 64 * 1024,
	CREW__CORK_ENDS = 4096,
	CREW__ROOM_MOST = 128 * 1024,  /* of what is made on demand, so much waits at most */
	CREW__DIRECT_LEAST = 4 * 1024, /* a message of this size is not copied into the cork */
};

/* What may be told of a connection once its present callback has returned. */
enum crew__notice {
	CREW__NOTICE_FULL,
	CREW__NOTICE_DRAIN,
	CREW__NOTICE_ROOM /* crew__conn_want_room */
};

struct crew__conn_ops {
	/* A connection was accepted, or connected, and its TLS stands where there is TLS. It must
	 * become open or handshaking by crew__conn_opened() / staying in CREW__CONN_HANDSHAKE. */
	void (*on_accepted)(crew_conn *c);
	/* Bytes, writable by the callee. Returns how many are done with; the rest comes again, in
	 * front of what arrives next, or after crew__conn_resume. Stops early when
	 * !crew__conn_ready(c). */
	size_t (*on_data)(crew_conn *c, char *data, size_t len);
	/* The peer will send no more. */
	void (*on_end)(crew_conn *c);
	/* What flowed into it by a pipe has ended: it is to end too, as crew_finish() says. */
	void (*on_pipe_end)(crew_conn *c);
	/* The connection is to be closed in good order: say goodbye by crew__conn_control. True
	 * when the peer's own goodbye is to be waited for (crew__conn_parted). */
	bool (*on_closing)(crew_conn *c);
	void (*on_notice)(crew_conn *c, enum crew__notice notice);
	void (*on_loss)(crew_conn *c, const crew_loss *loss);
	/* What the policy has lost; its keys are valid in the call. */
	void (*on_gap)(crew_conn *c, const crew_gap *gap);
	/* It has become slow, or is so no longer (its slow record says more; its end may be the
	 * reason). Nothing of the program's is called from it. */
	void (*on_episode)(crew_conn *c, bool begins);
	/* The last call. The connection's memory is freed after it. */
	void (*on_closed)(crew_conn *c);
	/* How many bytes of an unfinished message the protocol keeps, for `recv_queue`. */
	size_t (*on_held)(crew_conn *c);
	/* The protocol's own deadlines: act on those that have come, return the next, or
	 * CREW__WHEEL_OUT. Times are hundredths, as in records. */
	uint32_t (*on_deadline)(crew_conn *c, uint32_t now);
};

/* Limits in force; 0 is "off" where a feature can be off. */
struct crew__limits {
	size_t max_connections, max_connections_per_ip, max_send_buffer;
	uint64_t connection_rate_per_ip; /* a second */
	size_t held_most; /* bytes of unfinished input kept for a connection */
	int kernel_unsent_limit;
	uint32_t send_timeout, idle_timeout, linger, closing_timeout; /* hundredths of a second */
	uint32_t tls_timeout; /* likewise: what a TLS handshake may take; 0: as long as it likes */
	size_t tls_handshakes; /* under way with those that were accepted; 0: no limit */
	crew_policy policy;                                           /* never the default */
	size_t soft_limit;
	uint32_t soft_time;                 /* hundredths */
	uint64_t rate_bytes, rate_messages; /* a second, for each connection */
	size_t unauthenticated_limit;
	uint32_t auth_timeout; /* hundredths; 0: every connection counts as authenticated */
	uint64_t budget;       /* bytes that all queues may hold (budget.h) */
};

/* Of the other workers that accept from the same sockets: the connections of the one that has
 * fewest. UINT64_MAX: there is none. */
struct crew__siblings {
	uint64_t all;       /* of all that could accept now */
	uint64_t listening; /* of those that do not stand back (balance.h) */
};

struct crew__net_plan {
	struct crew__loop *loop;
	const struct crew__conn_ops *ops;
	void *owner; /* the layer above: crew__net_owner(c) */
	struct crew__limits limits;
	size_t ext_size; /* bytes behind each connection for the layer above, zeroed */
	struct crew__stats stats;
	uint8_t protocol, transport; /* for records */
	bool proxied; /* whose connections they are comes later: crew__conn_comes_from() */
	const uint64_t
		*shared_held; /* bytes that queues refer to and that count once; NULL: none */
	struct crew__net *shares; /* a net whose slots and `stats` it shares: that of the worker whose
				   * outgoing connections these are; it outlives this one. NULL: none */
};

/* Losses by the policy that on_gap has yet to tell. */
enum {
	CREW__GAP_KEY = 63
};
struct crew__gap {
	uint64_t messages, bytes;
	uint64_t out;         /* bytes_out when the last of them was lost */
	uint64_t first, last; /* sequences; 0: none */
	uint8_t first_key_len, last_key_len;
	char first_key[CREW__GAP_KEY], last_key[CREW__GAP_KEY];
};

/* The look before, for differences (conn_slow.c), and losses that are still to be told as an event
 * (service/episodes.c). Valid while `id` is the connection's. */
struct crew__slow_past {
	uint64_t id;
	uint64_t at_ns, in_turns_ns;
	uint64_t busy_us, peer_limited_us, buffer_limited_us;
	uint64_t acked, bytes_out;
	uint64_t began_out; /* bytes_out when the episode began */
	uint32_t segments_out, retransmits;
	uint32_t capped;       /* hundredths, in all */
	uint32_t queued_since; /* of the record: another one is another backlog */
	uint32_t due;          /* when to look next */
	uint8_t looks;         /* since what waits began to; stops at 255 */
	uint8_t idle;          /* in a row in which nothing changed */
	uint32_t drops_at;     /* hundredths: the last event of losses */
	uint8_t drops_told;    /* events of losses in a row, up to a limit; 0: none yet */
	uint64_t drops_bytes;
	uint32_t drops[CREW_LOST_REASONS]; /* not told yet */
	crew_gap gap;                      /* likewise, its keys unset */
};

/* What few connections ever have, by slot, in memory that costs nothing until it is touched. */
struct crew__rare {
	bool awaits_open;     /* nothing but its handshake's bytes may leave yet (conn_begin.c) */
	bool no_client;       /* whose it is, is still to be told: it counts for no address */
	bool used;            /* something of it is set: the next one in the slot gets it clean */
	bool unauthenticated; /* crew_authenticated() was not called, and is waited for */
	uint8_t policy;       /* crew_set_policy; CREW_POLICY_DEFAULT: the service's */
	size_t limit;         /* TIGHT: instead of max_send_buffer */
	uint32_t
		soft_since; /* hundredths: the queue has been at soft_limit since; 0: it is below */
	bool own_rate;      /* by crew_set_rate, not by the service */
	struct crew__rate rate;
	uint32_t capped_since;      /* HELD_BACK: since when (hundredths) */
	uint32_t capped_hundredths; /* in all, before that */
	struct crew__gap gap;
	uint32_t gap_told;     /* hundredths: when on_gap was last called */
	uint64_t unsent_bytes; /* what was queued when it ended */
	uint32_t unsent_messages;
	crew_conn *pipe_to, *pipe_from;           /* NULL unless CREW__C_PIPED */
	uint64_t untold_bytes[CREW_LOST_REASONS]; /* losses still to be told */
	uint32_t untold_messages[CREW_LOST_REASONS];
	uint32_t told_turn; /* the turn of `told` */
	uint16_t told;      /* reasons told in that turn: one bit each */
	struct crew__slow_past past;
};

/* The connections by slot; of one worker, whatever nets they belong to. */
struct crew__slots {
	crew_conn **conns; /* as many as the segment has records */
	uint32_t *free;    /* a stack: last in, first out, so that the table stays dense */
	uint32_t free_count;
	uint32_t high;     /* slots at and above were never used */
	uint32_t *uses;    /* how often a slot was used: the low part of ids */
	struct crew__rare *rare;
	void **transports; /* what a transport other than a plain socket keeps (io.h) */
	uint32_t nets;     /* that share it */
	uint32_t by_kernel; /* TLS connections whose records the kernel makes */
	uint64_t held;     /* what their queues hold, shared bytes left out, as they told last */
};

struct crew__net {
	struct crew__loop *loop;
	const struct crew__conn_ops *ops;
	void *owner;
	struct crew__limits limits;
	size_t ext_size;
	struct crew__stats stats;
	uint8_t protocol, transport;
	bool proxied;

	struct crew__slots *table;
	crew_conn **slots;       /* table->conns: of all nets that share it */
	struct crew__rare *rare; /* table->rare */
	struct crew__tls_context *tls;       /* connections that are accepted speak TLS; NULL: plainly */
	struct crew__tls_shared *tls_shared; /* tls.h */
	struct crew__pipes *pipes;           /* splice.h */

	crew_conn *current; /* whose own event is being handled: the cork's owner */
	struct {
		char *data;
		uint32_t *ends; /* offsets of the message ends in data */
		uint32_t len;
		uint32_t messages;
		bool begun; /* the message that it begins with has begun before */
		uint32_t control_turn; /* the turn in which bytes of no message last went in */
	} cork;
	struct crew__burst bursts[CREW__BURSTS]; /* by variant */
	char *read_buffer;
	struct crew__piece_pool pieces;
	const uint64_t *shared_held;
	uint64_t held_told; /* its part of table->held */
	struct {
		uint64_t alarm;         /* held from here on: look */
		uint64_t held_then;     /* the least since `since` */
		uint32_t cut_turn;      /* the turn of the last cuts */
		uint32_t since, looked; /* hundredths: of the stage, or of the last relief */
		uint8_t stage;
		struct crew__log_rate told;
	} budget;                  /* budget.h */
	struct crew__timer expiry; /* when the next time to live is over */

	crew_conn *agenda, **agenda_tail;
	struct crew__turn_hook hook;
	uint32_t ended_turn; /* the turn whose end has come: the hook has run in it */
	struct crew__wheel *wheel;
	uint64_t in_turns_ns; /* how long turns took, while connections are looked at ... */
	uint32_t looked_at;   /* ... for the last time then (hundredths); 0: none is */
	const struct crew__turn_clock *clock;
	uint32_t now, now_turn;     /* hundredths, as worked out in that turn */
	struct crew__ip_table *ips; /* NULL unless max_connections_per_ip */
	struct crew__rate_table *rates; /* NULL unless connection_rate_per_ip was ever on */
	struct {
		uint64_t untold; /* since the last event */
		struct crew__log_rate log;
	} refused; /* for coming too fast: refuse.h */
	struct crew__balance *balance; /* NULL unless accept = least-connections; the owner's */
};

/* 0, -ENOMEM, or an errno of the loop. */
int crew__net_init(struct crew__net *net, const struct crew__net_plan *plan);
/* Abort what still lives (reason `drain`), tell of it, free all. */
void crew__net_fini(struct crew__net *net);

/* A freshly accepted socket becomes a connection. Takes fd over in every case. The peer's address
 * may be NULL. -EMFILE when no slot is free, -ENOMEM, or an errno of the loop; refusals are counted
 * by the caller (listener.c). */
int crew__net_adopt(struct crew__net *net, int take_fd, const struct crew__record_address *remote,
	const struct crew__record_address *local);

/* A connection whose bytes travel by `io`, without a descriptor (yet): its slot, record and limits; it is
 * HANDSHAKE. No callback has been called, it is nobody's event. NULL with errno EMFILE or ENOMEM. */
crew_conn *crew__net_new_conn(struct crew__net *net, unsigned io,
	const struct crew__record_address *remote, const struct crew__record_address *local);

/* The connection with that id, NULL when its on_closed has been called; of any net that shares the
 * slots. */
crew_conn *crew__net_find(const struct crew__net *net, uint64_t id);

/* Slots at and above were never used; crew__net_at() of conn.h is the connection in one. */
static inline uint32_t crew__net_high(const struct crew__net *net)
{
	return net->table->high;
}

/* The context of those that are accepted from now on; referred to. NULL: they speak plainly. */
void crew__net_set_tls(struct crew__net *net, struct crew__tls_context *context);

/* The memory that the queues of its worker hold: its own, and of nets that share its slots what they told
 * last. */
static inline uint64_t crew__net_held(const struct crew__net *net)
{
	return net->table->held - net->held_told + net->pieces.held + *net->shared_held;
}

/* Other limits from now on, for connections that are there and those that come. What changes how a
 * socket or the table was made (kernel_unsent_limit, held_most) is for new connections. */
void crew__net_set_limits(struct crew__net *net, const struct crew__limits *limits);

/* Assert the invariants above and those of every connection (conn.h); and that the slab's gauges
 * are the sums over the records. For tests. */
void crew__net_check(const struct crew__net *net);

#endif
