/* offload.c - what the program asks of slow work, and what it is told.
 *
 * Not here: the threads (offload_pool.c). All in this file happens in the loop. */
#include "service/offload.h"

#include "base/clock.h"
#include "service/inner.h"
#include "service/offload_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of all workers of the process, so that an id means one job only. */
static int64_t uses;

static struct crew__slab *slab_of(const struct crew__offloads *offloads)
{
	return offloads->worker->net.stats.slab;
}

/* ---- jobs by id ---------------------------------------------------------------------------- */

static struct crew__job **place_of(struct crew__offloads *offloads, int64_t id)
{
	struct crew__job **at = &offloads->buckets[(uint64_t)id % CREW__JOB_BUCKETS];
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void enter(struct crew__offloads *offloads, struct crew__job *job)
{
	job->owner = offloads;
	job->id = ++uses;
	*place_of(offloads, job->id) = job;
	offloads->count++;
}

static void leave(struct crew__job *job)
{
	struct crew__offloads *offloads = job->owner;
	*place_of(offloads, job->id) = job->next;
	crew__timer_stop(offloads->worker->plan.loop, &job->patience);
	offloads->count--;
}

static struct crew__job *find(int64_t id)
{
	for (unsigned i = 0; i < crew__here.count; i++) {
		struct crew__offloads *offloads = crew__here.workers[i]->offloads;
		struct crew__job *job = offloads ? *place_of(offloads, id) : NULL;
		if (job)
			return job;
	}
	return NULL;
}

/* ---- jobs that are over -------------------------------------------------------------------- */

static uint64_t *outcome(struct crew__slab *s, int error)
{
	switch (error) {
	case 0:
		return &s->offload_done;
	case -ETIMEDOUT:
		return &s->offload_late;
	default:
		return &s->offload_canceled;
	}
}

static void tell(struct crew__job *job)
{
	crew_worker *w = job->owner->worker;
	const struct crew__job over = *job;
	leave(job);
	free(job);
	++*outcome(w->net.stats.slab, over.error);
	crew__histogram_add_ns(
		&w->net.stats.measures[CREW__MEASURE_OFFLOAD_WAIT], over.left_ns - over.offered_ns);
	if (!over.done)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_OFFLOAD);
	over.done(w, over.error, over.arg);
	crew__leave(w, before);
}

static void on_over(void *arg, struct crew__node *jobs)
{
	struct crew__offloads *offloads = arg;
	while (!crew__list_empty(jobs))
		tell(crew__container_of(crew__list_pop(jobs), struct crew__job, node));
	crew__worker_work_gone(offloads->worker);
}

/* It has waited long enough. When it runs by now, it no longer waits. */
static void on_impatience(struct crew__timer *timer)
{
	struct crew__job *job = crew__container_of(timer, struct crew__job, patience);
	crew__pool_withdraw(job->owner->pool, job, -ETIMEDOUT);
}

/* ---- taking one ---------------------------------------------------------------------------- */

static void copy_name(struct crew__job *job, const char *name)
{
	for (size_t i = 0; i + 1 < sizeof(job->name) && name[i]; i++)
		job->name[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
}

/* 0: as long as it takes. */
static int patience_of(const crew_worker *w, const crew_offload_options *options, uint64_t *ret_ms)
{
	int64_t ms = options ? options->timeout_ms : 0;
	if (ms < CREW_OFF || ms > INT32_MAX)
		return -EINVAL;
	*ret_ms = ms == 0 ? (uint64_t)w->settings->offload_timeout_ms
			  : (uint64_t)(ms == CREW_OFF ? 0 : ms);
	return 0;
}

static int take_conn(struct crew__job *job, const crew_offload_options *options)
{
	if (!options || options->conn == 0)
		return 0;
	const crew_conn *c = crew_find(options->conn);
	if (!c)
		return -ENOTCONN;
	job->record = c->record;
	job->conn = options->conn;
	return 0;
}

static void tell_full(struct crew__offloads *offloads)
{
	char left_out[CREW__LEFT_OUT_MAX];
	crew_worker *w = offloads->worker;
	if (crew__log_may(&offloads->full_log, 1, left_out))
		crew__log(CREW_WARN,
			"%s: slow work is refused: %" PRId64
			" jobs wait (offload_queue) for %" PRId64
			" threads (offload_threads), see `status`%s",
			w->service->name, w->settings->offload_queue, w->settings->offload_threads,
			left_out);
}

static void tell_no_thread(struct crew__offloads *offloads)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(&offloads->thread_log, 1, left_out))
		crew__log(CREW_ERROR,
			"%s: slow work is refused: no thread can be started; look at the limits of "
			"processes (RLIMIT_NPROC, TasksMax=) and memory%s",
			offloads->worker->service->name, left_out);
}

static void tell_refused(struct crew__offloads *offloads, int error)
{
	slab_of(offloads)->offload_refused++;
	if (error == -ENOBUFS)
		tell_full(offloads);
	else if (error == -EAGAIN)
		tell_no_thread(offloads);
}

static int offer(struct crew__offloads *offloads, struct crew__job *job, uint64_t patience_ms)
{
	const crew_worker *w = offloads->worker;
	uint64_t now = crew__clock_ns();
	job->offered_ns = now;
	job->patience.fn = on_impatience;
	if (patience_ms > 0 && crew__timer_start(w->plan.loop, &job->patience,
				       now + patience_ms * CREW__NS_PER_MS) < 0)
		return -ENOMEM;
	enter(offloads, job);
	int error = crew__pool_offer(offloads->pool, job, (uint64_t)w->settings->offload_queue);
	if (error)
		leave(job);
	return error;
}

static int make(crew_worker *w)
{
	struct crew__offloads *offloads = calloc(1, sizeof(*offloads));
	if (!offloads)
		return -ENOMEM;
	offloads->worker = w;
	int error = crew__pool_new(w->plan.loop, w->net.stats.slab,
		(unsigned)w->settings->offload_threads, &offloads->pool);
	if (error) {
		free(offloads);
		return error;
	}
	offloads->pool->on_over = on_over;
	offloads->pool->arg = offloads;
	w->offloads = offloads;
	return 0;
}

/* An id, or why it is not taken, which is counted. */
static int64_t take(crew_worker *w, const struct crew__job *wanted, uint64_t patience_ms)
{
	w->net.stats.slab->offload_offered++;
	struct crew__job *job = malloc(sizeof(*job));
	int error = job ? 0 : -ENOMEM;
	if (!error && !w->offloads)
		error = make(w);
	if (!error) {
		*job = *wanted;
		error = offer(w->offloads, job, patience_ms);
	}
	if (!error)
		return job->id;
	free(job);
	if (w->offloads)
		tell_refused(w->offloads, error);
	else
		w->net.stats.slab->offload_refused++;
	return error;
}

int64_t crew_offload_as(const char *name, crew_worker *w, crew_work_fn *work,
	crew_work_done_fn *done, void *arg, const crew_offload_options *options)
{
	struct crew__job job = { .work = work, .done = done, .arg = arg };
	uint64_t patience_ms;
	if (!w || !work)
		return -EINVAL;
	w = crew__worker_root(w);
	if (w->leaving == CREW__GONE || (w->offloads && w->offloads->closed))
		return -ESHUTDOWN;
	int error = patience_of(w, options, &patience_ms);
	if (!error)
		error = take_conn(&job, options);
	if (error)
		return error;
	const char *own_name = options && options->name ? options->name : name;
	copy_name(&job, own_name ? own_name : "?");
	return take(w, &job, patience_ms);
}

int crew_offload_cancel(int64_t id)
{
	struct crew__job *job = find(id);
	if (!job)
		return -ENOENT;
	if (crew__pool_withdraw(job->owner->pool, job, -ECANCELED))
		return 0;
	crew__pool_unwant(job->owner->pool, job);
	return -EBUSY;
}

/* ---- the end ------------------------------------------------------------------------------- */

bool crew__offloads_busy(const struct crew__offloads *offloads)
{
	return offloads && offloads->count > 0;
}

static void on_left(void *arg, struct crew__job *job, uint64_t ran_ns)
{
	struct crew__offloads *offloads = arg;
	crew__log(CREW_ERROR,
		"%s: the slow work %s still runs after %.1f s and is left behind: it must come back "
		"by itself, or within drain_timeout_ms and stop_timeout_ms",
		offloads->worker->service->name, job->name, (double)ran_ns / 1e9);
	slab_of(offloads)->offload_left++;
	leave(job);
}

void crew__offloads_cancel(struct crew__offloads *offloads)
{
	if (!offloads)
		return;
	offloads->closed = true;
	crew__pool_abandon(offloads->pool, on_left, offloads);
}

void crew__offloads_end(struct crew__offloads *offloads)
{
	if (!offloads)
		return;
	crew__offloads_cancel(offloads);
	crew__pool_settle(offloads->pool);
	crew__pool_end(offloads->pool);
}

void crew__offloads_free(struct crew__offloads *offloads)
{
	if (!offloads)
		return;
	crew__offloads_end(offloads);
	crew__pool_release(offloads->pool);
	free(offloads);
}

unsigned crew__offloads_left_behind(void)
{
	return crew__pool_left_behind();
}
