/* offload_pool.c - the threads of a worker, and the jobs between them and its loop.
 *
 * A thread is begun when a job comes that no idle one can take, and ends when it has idled for
 * IDLE_S. What is over goes to the loop by one post for all that gathers until the loop comes. */
#include "service/offload_parts.h"

#include "base/check.h"
#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	IDLE_S = 5,
	STACK_SIZE = 1024 * 1024
};

/* Jobs of this process that nobody waits for and that run all the same. */
static _Atomic unsigned left_behind;
/* The seat of this thread; NULL in all others. */
static _Thread_local const struct crew__seat *own_seat;

static void hold(struct crew__pool *pool)
{
	atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
}

/* The holder that was to come does not; whoever called holds the pool as well. */
static void never_mind(struct crew__pool *pool)
{
	atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_release);
}

static void let_go(struct crew__pool *pool)
{
	if (atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_acq_rel) > 1)
		return;
	pthread_cond_destroy(&pool->call);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static struct crew__job *job_of(struct crew__node *node)
{
	return crew__container_of(node, struct crew__job, node);
}

/* ---- what `status` sees -------------------------------------------------------------------- */

/* The oldest of those that run, by a name that a reader knows to be whole: `began_ns` is the same
 * before and after. */
static void show_oldest(struct crew__pool *pool)
{
	struct crew__offload_shown *shown = &pool->slab->offload;
	bool none = crew__list_empty(&pool->runs);
	const struct crew__job *job = none ? NULL : job_of(pool->runs.next);
	uint64_t began_ns = job ? job->left_ns : 0;
	if (atomic_load_explicit(&shown->began_ns, memory_order_relaxed) == began_ns)
		return;
	atomic_store_explicit(&shown->began_ns, 0, memory_order_release);
	for (size_t i = 0; job && i < crew__lengthof(shown->name); i++) {
		uint64_t word;
		memcpy(&word, job->name + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&shown->name[i], word, memory_order_release);
	}
	atomic_store_explicit(&shown->began_ns, began_ns, memory_order_release);
}

/* The gauges have several writers, one at a time, and are under no law that the sequence guards. */
static void show(struct crew__pool *pool)
{
	if (!pool->slab)
		return;
	__atomic_store_n(&pool->slab->offload_queued, pool->waiting, __ATOMIC_RELAXED);
	__atomic_store_n(&pool->slab->offload_running, pool->running, __ATOMIC_RELAXED);
	show_oldest(pool);
}

static void stop_waiting(struct crew__pool *pool, struct crew__job *job)
{
	crew__list_remove(&job->node);
	pool->waiting--;
	job->left_ns = crew__clock_ns();
	uint64_t waited_ns = job->left_ns - job->offered_ns;
	_Atomic uint64_t *longest = &pool->slab->offload.longest_wait_ns;
	if (waited_ns > atomic_load_explicit(longest, memory_order_relaxed))
		atomic_store_explicit(longest, waited_ns, memory_order_relaxed);
}

/* ---- jobs that are over -------------------------------------------------------------------- */

static void ring(struct crew__pool *pool)
{
	if (pool->rung)
		return;
	hold(pool);
	pool->rung = crew__loop_post_kept(pool->loop, &pool->post) == 0;
	/* The loop has ended: its worker settles what is over when it goes. */
	if (!pool->rung)
		never_mind(pool);
}

static void put_over(struct crew__pool *pool, struct crew__job *job, int error)
{
	job->state = CREW__JOB_OVER;
	job->error = error;
	crew__list_push(&pool->over, &job->node);
	ring(pool);
}

void crew__pool_settle(struct crew__pool *pool)
{
	struct crew__node jobs;
	crew__list_init(&jobs);
	pthread_mutex_lock(&pool->lock);
	while (!crew__list_empty(&pool->over))
		crew__list_push(&jobs, crew__list_pop(&pool->over));
	pthread_mutex_unlock(&pool->lock);
	if (pool->arg)
		pool->on_over(pool->arg, &jobs);
}

static void on_post(void *arg)
{
	struct crew__pool *pool = arg;
	pthread_mutex_lock(&pool->lock);
	pool->rung = false;
	pthread_mutex_unlock(&pool->lock);
	crew__pool_settle(pool);
	let_go(pool);
}

static void on_drop(void *arg)
{
	struct crew__pool *pool = arg;
	pthread_mutex_lock(&pool->lock);
	pool->rung = false;
	pthread_mutex_unlock(&pool->lock);
	let_go(pool);
}

bool crew__pool_withdraw(struct crew__pool *pool, struct crew__job *job, int error)
{
	pthread_mutex_lock(&pool->lock);
	bool waits = job->state == CREW__JOB_WAITS;
	if (waits) {
		stop_waiting(pool, job);
		put_over(pool, job, error);
		show(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return waits;
}

/* ---- a thread ------------------------------------------------------------------------------ */

static bool conn_has_gone(const struct crew__job *job)
{
	return job->record &&
	       atomic_load_explicit(&job->record->id, memory_order_relaxed) != job->conn;
}

/* The next job that is still wanted; NULL: none waits. */
static struct crew__job *take(struct crew__pool *pool)
{
	while (!crew__list_empty(&pool->waits)) {
		struct crew__job *job = job_of(pool->waits.next);
		stop_waiting(pool, job);
		if (!conn_has_gone(job)) {
			job->state = CREW__JOB_RUNS;
			crew__list_push(&pool->runs, &job->node);
			pool->running++;
			show(pool);
			return job;
		}
		put_over(pool, job, -ENOTCONN);
		show(pool);
	}
	return NULL;
}

static void finish(struct crew__pool *pool, struct crew__job *job)
{
	if (job->state == CREW__JOB_LEFT_BEHIND) {
		atomic_fetch_sub_explicit(&left_behind, 1, memory_order_release);
		free(job);
		return;
	}
	crew__list_remove(&job->node);
	pool->running--;
	put_over(pool, job, 0);
	show(pool);
}

static void work_on(struct crew__seat *seat, struct crew__job *job)
{
	struct crew__pool *pool = seat->pool;
	seat->job = job;
	pthread_mutex_unlock(&pool->lock);
	job->work(job->arg);
	pthread_mutex_lock(&pool->lock);
	seat->job = NULL;
	finish(pool, job);
}

/* False: nothing came for so long that the thread may go. */
static bool idle(struct crew__pool *pool)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	int error = 0;
	pool->idle++;
	while (error == 0 && crew__list_empty(&pool->waits) && !pool->ending)
		error = pthread_cond_timedwait(&pool->call, &pool->lock, &until);
	pool->idle--;
	return !crew__list_empty(&pool->waits);
}

static void *run(void *arg)
{
	struct crew__seat *seat = arg;
	struct crew__pool *pool = seat->pool;
	char name[16];
	snprintf(name, sizeof(name), "offload/%u", (unsigned)(seat - pool->seats) & 0xffff);
	pthread_setname_np(pthread_self(), name);
	own_seat = seat;
	pthread_mutex_lock(&pool->lock);
	do {
		struct crew__job *job;
		while ((job = take(pool)))
			work_on(seat, job);
	} while (!pool->ending && idle(pool));
	seat->state = CREW__SEAT_ENDED;
	pthread_mutex_unlock(&pool->lock);
	let_go(pool);
	return NULL;
}

/* Signals are the loop's. Those that tell of a fault stay: blocked, they would end the process
 * before anybody could say why. */
static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP };
	sigset_t all;
	sigfillset(&all);
	for (size_t i = 0; i < crew__lengthof(faults); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static int create(struct crew__seat *seat)
{
	pthread_attr_t attributes;
	sigset_t before;
	int error = pthread_attr_init(&attributes);
	if (error)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	block_signals(&before);
	error = pthread_create(&seat->thread, &attributes, run, seat);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

/* Begin one more, unless as many are there as there may be. */
static int begin_thread(struct crew__pool *pool)
{
	for (unsigned i = 0; i < pool->most; i++) {
		struct crew__seat *seat = &pool->seats[i];
		if (seat->state == CREW__SEAT_TAKEN)
			continue;
		if (seat->state == CREW__SEAT_ENDED)
			pthread_join(seat->thread, NULL);
		seat->state = CREW__SEAT_EMPTY;
		hold(pool);
		int error = create(seat);
		if (error)
			never_mind(pool);
		else
			seat->state = CREW__SEAT_TAKEN;
		return error;
	}
	return 0;
}

static bool has_threads(const struct crew__pool *pool)
{
	for (unsigned i = 0; i < pool->most; i++)
		if (pool->seats[i].state == CREW__SEAT_TAKEN)
			return true;
	return false;
}

/* ---- the loop's side ----------------------------------------------------------------------- */

static int enqueue(struct crew__pool *pool, struct crew__job *job, uint64_t queue)
{
	/* Those that a thread will take at once do not count as waiting. */
	if (pool->waiting + pool->running >= queue + pool->most)
		return -ENOBUFS;
	int error = pool->waiting >= pool->idle ? begin_thread(pool) : 0;
	if (error && !has_threads(pool))
		return -EAGAIN;
	job->state = CREW__JOB_WAITS;
	crew__list_push(&pool->waits, &job->node);
	pool->waiting++;
	show(pool);
	pthread_cond_signal(&pool->call);
	return 0;
}

int crew__pool_offer(struct crew__pool *pool, struct crew__job *job, uint64_t queue)
{
	pthread_mutex_lock(&pool->lock);
	int error = enqueue(pool, job, queue);
	pthread_mutex_unlock(&pool->lock);
	return error;
}

void crew__pool_abandon(struct crew__pool *pool,
	void (*on_left)(void *arg, struct crew__job *job, uint64_t ran_ns), void *arg)
{
	uint64_t now = crew__clock_ns();
	pthread_mutex_lock(&pool->lock);
	while (!crew__list_empty(&pool->waits)) {
		struct crew__job *job = job_of(pool->waits.next);
		stop_waiting(pool, job);
		put_over(pool, job, -ECANCELED);
	}
	while (!crew__list_empty(&pool->runs)) {
		struct crew__job *job = job_of(crew__list_pop(&pool->runs));
		job->state = CREW__JOB_LEFT_BEHIND;
		pool->running--;
		atomic_fetch_add_explicit(&left_behind, 1, memory_order_relaxed);
		on_left(arg, job, now - job->left_ns);
	}
	show(pool);
	pthread_mutex_unlock(&pool->lock);
}

/* One that is at work by now does what was left behind: it goes by itself. */
static void end_thread(struct crew__pool *pool, struct crew__seat *seat)
{
	pthread_mutex_lock(&pool->lock);
	bool taken = seat->state != CREW__SEAT_EMPTY, works = seat->job != NULL;
	pthread_mutex_unlock(&pool->lock);
	if (taken && works)
		pthread_detach(seat->thread);
	else if (taken)
		pthread_join(seat->thread, NULL);
}

void crew__pool_end(struct crew__pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	bool ended = pool->ending;
	crew__must(crew__list_empty(&pool->waits) && crew__list_empty(&pool->runs));
	pool->ending = true;
	pthread_cond_broadcast(&pool->call);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; !ended && i < pool->most; i++)
		end_thread(pool, &pool->seats[i]);
}

void crew__pool_release(struct crew__pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	crew__must(pool->ending && crew__list_empty(&pool->over));
	pool->slab = NULL;
	pthread_mutex_unlock(&pool->lock);
	pool->arg = NULL;
	let_go(pool);
}

static int init_locks(struct crew__pool *pool)
{
	pthread_condattr_t attributes;
	int error = pthread_mutex_init(&pool->lock, NULL);
	if (error)
		return -error;
	error = pthread_condattr_init(&attributes);
	if (!error) {
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		error = pthread_cond_init(&pool->call, &attributes);
		pthread_condattr_destroy(&attributes);
	}
	if (error)
		pthread_mutex_destroy(&pool->lock);
	return -error;
}

int crew__pool_new(struct crew__loop *loop, struct crew__slab *slab, unsigned most,
	struct crew__pool **ret_pool)
{
	crew__must(most > 0);
	struct crew__pool *pool = calloc(1, sizeof(*pool) + most * sizeof(pool->seats[0]));
	if (!pool)
		return -ENOMEM;
	int error = init_locks(pool);
	if (error) {
		free(pool);
		return error;
	}
	crew__list_init(&pool->waits);
	crew__list_init(&pool->runs);
	crew__list_init(&pool->over);
	atomic_init(&pool->holders, 1);
	pool->loop = loop;
	pool->slab = slab;
	pool->most = most;
	pool->post =
		(struct crew__post){ .fn = on_post, .drop = on_drop, .arg = pool, .kept = true };
	for (unsigned i = 0; i < most; i++)
		pool->seats[i].pool = pool;
	*ret_pool = pool;
	return 0;
}

unsigned crew__pool_left_behind(void)
{
	return atomic_load_explicit(&left_behind, memory_order_acquire);
}

void crew__pool_unwant(struct crew__pool *pool, struct crew__job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->unwanted = true;
	pthread_mutex_unlock(&pool->lock);
}

/* Whose records may be gone once a job was left behind. */
static bool is_wanted(const struct crew__job *job)
{
	return job->state == CREW__JOB_RUNS && !job->unwanted && !conn_has_gone(job);
}

bool crew_offload_wanted(void)
{
	if (!own_seat || !own_seat->job)
		return true;
	struct crew__pool *pool = own_seat->pool;
	pthread_mutex_lock(&pool->lock);
	bool wanted = is_wanted(own_seat->job);
	pthread_mutex_unlock(&pool->lock);
	return wanted;
}
