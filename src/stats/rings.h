/* rings.h - the last things that happened, in shared memory: events, and connections that ended.
 *
 * A ring has one writer. An entry's `sequence` is its number from 1 on, written last; while the
 * entry is being written it is 0. A reader copies an entry and keeps the copy if the number was the
 * same, and not 0, before and after. */
#ifndef CREW_STATS_RINGS_H
#define CREW_STATS_RINGS_H

#include "stats/slab.h"
#include "stats/slow.h"

enum {
	CREW__EVENTS = 512, /* of a worker, and of the master */
	CREW__CLOSED = 256, /* connections */
};

enum crew__event_kind {
	CREW__EVENT_NONE,
	/* of workers */
	CREW__EVENT_SLOW_BEGIN, /* a connection became slow: verdict; values: queued bytes, messages
				 */
	CREW__EVENT_SLOW_END,   /* it recovered or ended: verdict; values: ms, peak bytes, lost,
				   replaced */
	CREW__EVENT_DROP, /* messages lost, as on_error is told: reason; values: messages, bytes */
	CREW__EVENT_GAP,  /* on_gap was due: values: messages, bytes, first, last */
	CREW__EVENT_KICK, /* an operator ended it: values: queued bytes, messages */
	CREW__EVENT_BUDGET, /* stage of the buffer budget: values: stage, bytes held, budget */
	CREW__EVENT_SET,    /* a setting changed: text "key=value" */
	CREW__EVENT_TLS, /* certificates were looked at anew, by a worker or by the master: values: 1
			    they were taken, 0 not; when the first expires; text: why not */
	/* of the master */
	CREW__EVENT_START, /* a worker is ready: values: id, generation, pid */
	CREW__EVENT_DEATH, /* a worker died: values: id, generation, pid, signal, status; text: last
			      words */
	CREW__EVENT_RELOAD, /* a reload began, or ended: values: generation, 0 began, 1 done, 2
			       failed; text */
	CREW__EVENT_STOP,   /* it was told to stop */
	/* of workers again */
	CREW__EVENT_RATE, /* connections refused for coming too fast: values: how many since the last
			     such event, connection_rate_per_ip; text: the last one's address */
	/* of the master again */
	CREW__EVENT_RECYCLE, /* a worker is replaced by a fresh one: values: id, generation, pid; text:
				why */
	CREW__EVENT_SLOW_CALLBACK, /* one call keeps a worker: values: id, generation, pid, ms, enum
				      crew__callback; text: where it stands */
	CREW__EVENT_STUCK,         /* for stuck_ms, and it is ended: the same */
	CREW__EVENT_CRASH_LOOP, /* a worker dies again and again: values: id, generation, pid, deaths
				   in a row (0: it is over), ms until it is started again */
	CREW__EVENT_HANDOVER, /* a worker, of its own: it has handed connections over: values: how many,
			       and how many stayed */
	CREW__EVENT_KINDS
};

struct crew__event {
	_Atomic uint64_t sequence;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	int64_t wall_ms;
	uint64_t conn; /* crew_id; 0: of no connection */
	uint64_t values[5];
	uint8_t kind;    /* enum crew__event_kind */
	uint8_t verdict; /* crew_verdict */
	uint8_t reason;  /* crew_reason, or crew_end_reason of SLOW_END (CREW_END_REASONS: it
			    recovered) */
	uint8_t protocol;
	uint32_t service; /* of the master: index in the directory, UINT32_MAX for the whole;
			     workers are of the segment's */
	struct crew__record_address remote;
	char text[104]; /* cut to fit; always ends */
};

struct crew__events {
	_Atomic uint64_t written; /* the number of the last entry */
	struct crew__event entries[CREW__EVENTS];
};

/* "slow-begin"; "?" for a number that is none. */
const char *crew__event_name(unsigned kind);

/* Add `event`, whose sequence and times are filled here. `events` may be NULL: then nothing. */
void crew__events_add(struct crew__events *events, const struct crew__event *event);

/* The next entry after number `*after`, into `ret_event`, and `*after` moves to it; entries that
 * were overwritten meanwhile are passed over, and counted in `*ret_missed`. False: there is none.
 * `events` is another process's memory: believe nothing. */
bool crew__events_next(const struct crew__events *events, uint64_t *after,
	struct crew__event *ret_event, uint64_t *ret_missed);

/* A connection that has ended, as its records stood at its end. */
struct crew__closed {
	_Atomic uint64_t sequence;
	int64_t wall_ms;
	uint64_t unsent_bytes; /* queued when it ended, lost with it */
	uint32_t unsent_messages;
	uint32_t at;             /* hundredths since the life began */
	struct crew__record hot; /* with id and `end` */
	struct crew__record_cold cold;
	uint8_t verdict; /* crew_verdict when it ended */
	uint32_t episodes;
	struct crew__slow_figures figures; /* of the last look; `at` 0: it was never slow */
};

struct crew__closed_ring {
	_Atomic uint64_t written;
	struct crew__closed entries[CREW__CLOSED];
};

/* The entry to fill next; its sequence is 0. Then crew__closed_done. */
struct crew__closed *crew__closed_next(struct crew__closed_ring *ring);
void crew__closed_done(struct crew__closed_ring *ring);
/* Copies, the newest first, at most `most`; how many. `ring` is another process's. */
size_t crew__closed_read(
	const struct crew__closed_ring *ring, struct crew__closed *ret_entries, size_t most);

#endif
