/* slow.h - what is known of a connection with a backlog: the verdict and the figures behind it.
 *
 * One record for each slot, in memory that costs nothing until a connection in that slot is slow
 * for the first time. It is the worker's own (net/conn_slow.c fills it); `explain`, `connections`
 * and the admin service read it. Valid only while `id` is the id of the connection in the slot.
 * Times are hundredths of a second since the life began, as in hot records. */
#ifndef CREW_STATS_SLOW_H
#define CREW_STATS_SLOW_H

#include "base/base.h"

#include <stdatomic.h>

/* Figures of one look at a socket: TCP_INFO (tcp(7)) and the connection's own record. What has a
 * window is a difference between this look and the one before. Unix sockets have zeros, and
 * `has_tcp` false. */
struct crew__slow_figures {
	uint32_t at;        /* when; 0: never looked */
	uint32_t window_ms; /* between the two looks */
	uint32_t rtt_us, min_rtt_us, rttvar_us, rto_us;
	uint32_t peer_window;       /* bytes: what the peer lets us send (tcpi_snd_wnd) */
	uint32_t peer_window_most;  /* the largest that was seen */
	uint32_t congestion_window; /* segments */
	uint32_t segment_size;
	uint32_t unacked;       /* bytes the peer has not acknowledged */
	uint32_t unsent;        /* bytes the kernel has not sent yet */
	uint32_t kernel_memory; /* bytes of kernel memory that the send side costs (SO_MEMINFO) */
	uint32_t kernel_memory_most; /* what it may cost: the send buffer */
	uint32_t acked;              /* window: bytes acknowledged */
	uint32_t segments_out;       /* window: data segments sent */
	uint32_t retransmits;        /* window: segments sent again */
	uint32_t lost;               /* segments thought lost at present */
	uint32_t timeouts;    /* in a row, without an answer: retransmissions or window probes */
	uint32_t last_ack_ms; /* since anything was acknowledged */
	uint32_t busy_ms;     /* window: the kernel had something to send */
	uint32_t peer_limited_ms;   /* window: ... and the peer's window forbade it */
	uint32_t buffer_limited_ms; /* window: ... and the send buffer was too small for the path */
	uint32_t capped_ms;         /* window: our own rate cap held the queue back */
	uint64_t delivery_rate;     /* bytes per second, as the kernel measures it */
	uint64_t drained;           /* window: bytes that left our queue */
	uint32_t late_ms; /* window: our own loop was inside its turns, or late for this look */
	bool has_tcp;
};

/* When a verdict changed; the last of them are kept. */
enum {
	CREW__SLOW_HISTORY = 8
};
struct crew__slow_change {
	uint32_t at;
	uint8_t verdict; /* crew_verdict */
};

/* What holds for the connection: of its service, of `set`, or its own. */
struct crew__slow_bounds {
	uint64_t limit; /* of its queue: max_send_buffer, or less (tight) */
	uint64_t soft_limit, rate_bytes, rate_messages; /* 0: off */
	uint32_t send_timeout, soft_time;               /* hundredths; 0: off */
	uint8_t policy;                                 /* crew_policy; the default: not known */
	bool tight; /* by the buffer budget, or because it has not proved who it is */
};

struct crew__record_slow {
	_Atomic uint64_t id;   /* whose record it is; 0: nobody's */
	uint8_t verdict;       /* crew_verdict; CREW_VERDICT_NONE when nothing is queued */
	uint8_t candidate;     /* what the last look said; a verdict takes two in a row */
	bool slow;             /* an episode is under way */
	uint8_t changes;       /* how many verdicts the history holds, modulo 256 */
	uint32_t episodes;     /* how many began */
	uint32_t began, ended; /* of the last episode; `ended` is 0 while it lasts */
	uint64_t peak_bytes;   /* of the last episode: the longest queue */
	uint32_t peak_messages;
	uint32_t lost; /* of the last episode: messages lost by the policy */
	uint32_t replaced;
	uint64_t drained; /* of the last episode: bytes that left */
	struct crew__slow_change
		history[CREW__SLOW_HISTORY]; /* place changes % CREW__SLOW_HISTORY is next */
	struct crew__slow_figures figures;
	struct crew__slow_bounds bounds;
};

#endif
