/* offload_parts.h - jobs, and the threads that do them. Private to offload*.c and their tests.
 *
 * A job's way, and under whose hand:
 *
 *   offer (loop) ──▸ WAITS ──▸ RUNS ──▸ OVER ──▸ told (loop), freed
 *                      │ take    │ finish  ▲
 *                      │ (thread)│(thread) │
 *                      └─────────│─────────┘ late, cancelled, its connection gone: never run
 *                                └──▸ left behind (loop): its thread frees it, nobody is told
 *
 * Under the pool's lock, and at every moment outside of it:
 *  - a job is in exactly one list, that of its state, but for those that the loop has taken to
 * tell;
 *  - `waiting` and `running` are the lengths of their lists, and so the worker's gauges;
 *  - jobs wait only when `most` threads are at work, or when those that idle have been called;
 *  - something is over exactly when the loop has been rung for, or has ended. */
#ifndef CREW_SERVICE_OFFLOAD_PARTS_H
#define CREW_SERVICE_OFFLOAD_PARTS_H

#include "service/offload.h"

#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"
#include "stats/slab.h"

#include <pthread.h>

enum crew__job_state {
	CREW__JOB_WAITS,
	CREW__JOB_RUNS,
	CREW__JOB_OVER,
	CREW__JOB_LEFT_BEHIND
};

struct crew__job {
	struct crew__node node; /* in the list of its state */
	enum crew__job_state state;
	crew_work_fn *work;
	crew_work_done_fn *done; /* may be NULL */
	void *arg;
	char name[CREW__OFFLOAD_NAME];
	const struct crew__record *record; /* of the connection `conn`; NULL: it is for none */
	uint64_t conn;
	uint64_t offered_ns, left_ns; /* when it came, and when it stopped waiting */
	int error;                    /* why it was not run */
	bool unwanted;
	/* The loop's. */
	struct crew__offloads *owner;
	struct crew__job *next; /* of the same bucket */
	int64_t id;
	struct crew__timer patience; /* runs while it may yet be late */
};

/* A place for a thread. One that has ended by itself is joined when the next begins there. */
struct crew__seat {
	struct crew__pool *pool;
	enum {
		CREW__SEAT_EMPTY,
		CREW__SEAT_TAKEN,
		CREW__SEAT_ENDED
	} state;
	pthread_t thread;
	const struct crew__job *job; /* NULL: it idles */
};

/* Lives as long as somebody holds it: its worker, each of its threads, the post that is under way.
 */
struct crew__pool {
	_Atomic unsigned holders;
	pthread_mutex_t lock; /* for all below but what is the loop's */
	pthread_cond_t call;  /* a job waits, or all is over */
	struct crew__node waits, runs, over;
	unsigned waiting, running, idle;
	bool ending; /* idle threads go */
	bool rung;
	struct crew__loop *loop;
	struct crew__slab *slab; /* NULL once the worker has gone */
	struct crew__post post;
	/* The loop's. */
	void (*on_over)(void *arg, struct crew__node *jobs);
	void *arg; /* NULL: nobody is told any more */
	unsigned most;
	struct crew__seat seats[];
};

enum {
	CREW__JOB_BUCKETS = 1024 /* jobs are found by id; a power of two */
};

/* What a worker has of it, in its loop alone. */
struct crew__offloads {
	crew_worker *worker;
	struct crew__pool *pool;
	uint64_t count; /* jobs that have an id: not told yet, and not left behind */
	bool closed;    /* nothing new is taken */
	struct crew__log_rate full_log, thread_log;
	struct crew__job *buckets[CREW__JOB_BUCKETS];
};

/* 0, -ENOMEM or what making a lock says. `on_over` gets, in the loop, a list of jobs that are over.
 */
int crew__pool_new(struct crew__loop *loop, struct crew__slab *slab, unsigned most,
	struct crew__pool **ret_pool);
/* Let a job wait, and see to it that there is a thread. 0, -ENOBUFS beyond `queue` that wait,
 * -EAGAIN: there is no thread and none can be started. */
int crew__pool_offer(struct crew__pool *pool, struct crew__job *job, uint64_t queue);
/* Take a job out of the queue: it is over with that error. False: it does not wait. */
bool crew__pool_withdraw(struct crew__pool *pool, struct crew__job *job, int error);
/* crew_offload_wanted() in it is false from now on. */
void crew__pool_unwant(struct crew__pool *pool, struct crew__job *job);
/* All that wait are over with -ECANCELED; all that run are left behind, and told to `on_left` one
 * by one. */
void crew__pool_abandon(struct crew__pool *pool,
	void (*on_left)(void *arg, struct crew__job *job, uint64_t ran_ns), void *arg);
/* What is over and has not been told, now. */
void crew__pool_settle(struct crew__pool *pool);
/* Nothing waits: end the threads, but for those whose jobs were left behind. Idempotent. */
void crew__pool_end(struct crew__pool *pool);
/* The worker lets go, having ended it; nothing is told after this. */
void crew__pool_release(struct crew__pool *pool);

unsigned crew__pool_left_behind(void);

#endif
