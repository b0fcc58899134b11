/* parts.h - what a loop consists of. Private to src/loop and its tests. */
#ifndef CREW_LOOP_PARTS_H
#define CREW_LOOP_PARTS_H

#include "loop/engine.h"

#include <pthread.h>
#include <signal.h>

/* A binary heap of the timers that run. slots[0] is due first; a timer's `place` is its index plus
 * one. `due_ns` of a slot is the timer's own, or one later (crew__timers_run). Equal times are due
 * in the order of their starts. */
struct crew__timer_slot {
	uint64_t due_ns;
	uint64_t order;
	struct crew__timer *timer;
};

struct crew__timers {
	struct crew__timer_slot *slots;
	uint32_t count, room;
	uint64_t next_ns;    /* when the first is due; CREW__NEVER when none runs */
	uint64_t starts;     /* counts, for the order */
	uint64_t running_ns; /* the time crew__timers_run works for; 0 outside */
};

void crew__timers_init(struct crew__timers *timers);
/* Call the timers that are due at `now_ns`; one that is started meanwhile, for whatever time, is
 * left for the next turn. */
void crew__timers_run(struct crew__timers *timers, uint64_t now_ns);
void crew__timers_fini(struct crew__timers *timers); /* those that run are stopped */

/* What other threads asked for. */
struct crew__posts {
	struct crew__source source; /* an eventfd, written when the queue is no longer empty */
	bool arrived;               /* it was readable: look at the queue in this turn */
	pthread_mutex_t lock;       /* for all below */
	struct crew__post *first, **last;
	bool shut;
};

/* 0 or a negative errno; on an error nothing is left behind. */
int crew__posts_init(struct crew__posts *posts, struct crew__loop *loop);
void crew__posts_fini(struct crew__posts *posts, struct crew__loop *loop);
/* Call what was queued when it began. */
void crew__posts_run(struct crew__posts *posts);
/* Refuse what comes from now on, and forget what is queued; or accept again. */
void crew__posts_shut(struct crew__posts *posts, bool shut);

/* Signals, read from one signalfd that is opened with the first handler. */
struct crew__signals {
	struct crew__source source;
	sigset_t set;
	struct {
		void (*fn)(int signo, void *arg);
		void *arg;
	} handlers[NSIG];
};

void crew__signals_init(struct crew__signals *signals);
void crew__signals_fini(struct crew__signals *signals, struct crew__loop *loop);

struct crew__loop {
	struct crew__engine *engine;
	struct crew__turn_clock clock;
	bool again; /* there is work: the next wait does not block */
	bool turning;
	bool stopping;
	struct crew__timers timers;
	struct crew__turn_hook *hooks;
	struct crew__turn_hook *next_hook; /* while hooks run: the one after the present */
	struct crew__posts posts;
	_Atomic uint64_t *notes[CREW_MAX_SERVICES]; /* the first is never NULL */
	struct crew__histogram *turns[CREW_MAX_SERVICES]; /* may be NULL */
	uint32_t note_count;
	uint32_t plain_turns; /* how many turns from now on one has more to do than others */
	bool attention;       /* the present turn has */
	void (*on_timed)(bool timed); /* may be NULL */
	_Atomic uint64_t nowhere;
	struct crew__signals signals;
};

#endif
