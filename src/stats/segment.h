/* segment.h - the memory in which a worker's numbers live: who makes it, what it says of itself.
 *
 * The master makes one segment for each worker life: a memfd, close-on-exec, mode 0600, its size
 * sealed, sparse (an unused record costs nothing). It begins with a header that names every counter
 * and its offset, so that programs of different versions read each other by name. The worker maps it
 * read-write; the master and the commands read it, and believe nothing: every offset and count is
 * checked against the size before it is used. */
#ifndef CREW_STATS_SEGMENT_H
#define CREW_STATS_SEGMENT_H

#include "stats/histogram.h"
#include "stats/slab.h"
#include "stats/slow.h"
#include "stats/words.h"

#include <sys/types.h>

#define CREW__SEGMENT_MAGIC   "crew-life"
/* Changes when what is there changes its meaning or place. What is added stands at the header's end,
 * and `header_size` tells whether it is there: older readers pass it over, newer ones do without. */
#define CREW__SEGMENT_VERSION 4u
#define CREW__NAME_MAX        64

/* One counter's description. */
struct crew__counter_entry {
	char name[CREW__NAME_MAX]; /* the field's name in the table, or the program's name */
	uint32_t offset;           /* from the segment's beginning; a uint64_t stands there */
	uint8_t gauge;
	uint8_t app;               /* the program's own */
	uint8_t reserved[2];
};

enum {
	CREW__LISTEN_MAX = 1024 /* where a service listens, as text: several addresses */
};

struct crew__segment_header {
	char magic[16];
	uint32_t version;
	uint32_t header_size;
	uint64_t size;             /* of the whole segment */
	uint64_t began_ns;         /* CLOCK_MONOTONIC */
	int64_t began_wall_s;
	char service[CREW__NAME_MAX];
	char listen[CREW__LISTEN_MAX]; /* as `status` shows it */
	uint32_t life;
	uint32_t id;
	uint32_t generation;
	_Atomic int32_t pid;       /* written by the master after fork */
	uint32_t counters, counters_offset; /* array of crew__counter_entry */
	uint32_t slab_offset, slab_size;
	uint32_t slots;
	uint32_t record_size, cold_size;
	uint32_t slow_size;
	uint64_t records_offset, cold_offset, slow_offset;
	uint32_t measures, measure_size, measures_offset; /* array of struct crew__histogram */
	uint32_t events_size, closed_size;                /* whole rings (rings.h) */
	uint32_t reserved;
	uint64_t events_offset, closed_offset;
	char last_words[512];      /* for the obituary; written by the worker */
	struct crew__tls_shown tls; /* written by the worker */
	uint64_t words_offset;      /* struct crew__words, written by the worker */
	uint32_t words_size, reserved2;
};

/* The part of the header that every segment of this version has. */
#define CREW__HEADER_LEAST offsetof(struct crew__segment_header, words_offset)

/* What a new segment is for. */
struct crew__segment_plan {
	const char *service;
	const char *listen;
	uint32_t life, id, generation;
	uint32_t slots;               /* at most 2^20 */
	const crew_counter *counters; /* crew_app.counters */
};

/* A mapped segment. */
struct crew__segment {
	int fd;                              /* owned; -1 when there is none */
	size_t size;
	struct crew__segment_header *header; /* mapped; read-only for readers */
	bool writable;
};

/* Make, fill the header, seal, map read-write. 0 or a negative errno. */
int crew__segment_new(const struct crew__segment_plan *plan, struct crew__segment *ret_segment);

/* Map a segment got from elsewhere and check all it says; takes `fd` over in every case. -EPROTO
 * when it is no segment of ours or lies about itself. */
int crew__segment_open(int take_fd, bool writable, struct crew__segment *ret_segment);

/* Unmap and close; NULL members are allowed; idempotent. */
void crew__segment_fini(struct crew__segment *segment);

/* For the worker: where to write. -EPROTO unless it was laid out by this very version. */
int crew__segment_stats(const struct crew__segment *segment, struct crew__stats *ret_stats);

/* A descriptor of the same memory that can only be read (opened anew), close-on-exec. */
int crew__segment_readonly_fd(const struct crew__segment *segment);

/* A copy of one segment's numbers, taken under the sequence. */
struct crew__snapshot {
	char service[CREW__NAME_MAX];
	char listen[CREW__LISTEN_MAX];
	uint32_t life, id, generation;
	pid_t pid;
	uint64_t began_ns;
	enum crew__worker_state state;
	uint32_t callback;
	uint64_t turn_began_ns;
	uint64_t qps;
	int64_t tls_expires;           /* as in struct crew__tls_shown */
	char tls_ktls[64];
	uint64_t job_began_ns;         /* of the slow work that has run longest; 0: none runs */
	char job_name[CREW__OFFLOAD_NAME];
	uint64_t longest_wait_ns;      /* of slow work for a thread */
	bool consistent;               /* false: the writer stood inside an update for long */
	struct crew__slab counters;    /* the values; a counter the segment lacks is 0 */
	struct crew__histogram measures[CREW__MEASURES]; /* not under the sequence: histogram.h */
};

/* Copy. Tries for at most `patience_us` to find the sequence even. Never fails: what does not hold
 * is `consistent == false`. `now_ns` is used to work out qps for a worker that stands still. */
void crew__segment_read(const struct crew__segment *segment, uint64_t now_ns, unsigned patience_us,
	struct crew__snapshot *ret_snapshot);

/* The connection records in use, as one allocation that the caller frees. `ret_count` may be 0 and
 * then NULL is returned; NULL with a count above 0: no memory. Torn records (being opened or closed
 * meanwhile) are left out. */
struct crew__conn_snapshot {
	struct crew__record hot;
	struct crew__record_cold cold;
	struct crew__record_slow slow; /* zeros unless has_slow */
	bool has_slow;                 /* the slot's slow record is this connection's */
};
struct crew__conn_snapshot *crew__segment_connections(
	const struct crew__segment *segment, size_t *ret_count);

/* The segment's rings (rings.h), for the functions there that read; they stay where they are as long
 * as the segment is mapped. NULL when it has none that this version can read. */
const struct crew__events *crew__segment_events(const struct crew__segment *segment);
const struct crew__closed_ring *crew__segment_closed(const struct crew__segment *segment);
/* The same for what the worker leaves of itself (words.h); not const, as the worker writes there. */
struct crew__words *crew__segment_words(const struct crew__segment *segment);

/* By name, from a slab: built-in by field ("fail_full") or by key ("full" is not one: keys inside
 * a group are prefixed by the field's name), app counters by `counters`. False: unknown. */
bool crew__slab_value(const struct crew__slab *slab, const crew_counter *counters, const char *name,
	uint64_t *ret_value);

/* dst += src, COUNTERs (and app counters) always, GAUGEs when `gauges`. */
void crew__slab_add(struct crew__slab *dst, const struct crew__slab *src, bool gauges);

/* Move what a dead worker left queued to `crash`: messages_queued to fail_crash and send_fail,
 * connections to close_crash, gauges to 0. An update that its death tore in two is settled first:
 * what was begun and has no outcome counts as `crash` too. No counter is lowered. */
void crew__slab_bury(struct crew__slab *slab);

/* True when the laws of slab.h hold; otherwise names the first that does not in `ret_law`. */
bool crew__slab_lawful(const struct crew__slab *slab, const char **ret_law);

#endif
