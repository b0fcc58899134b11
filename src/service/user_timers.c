/* user_timers.c - crew_timer_*: timers by id, so that a stale one is an error and not a pointer.
 *
 * An id is how often a slot was used (31 bits) and the slot; each worker of the process is asked.
 */
#include "service/inner.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
	SLOTS_MOST = 1 << 20,
	FIRST_SLOTS = 8
};

struct user_timer {
	struct crew__timer timer;
	struct crew__user_timers *owner;
	crew_timer_fn *fn;
	void *arg;
	uint64_t period_ns; /* 0: once */
	int64_t id;         /* 0: over */
	uint32_t slot;
};

struct crew__user_timers {
	crew_worker *worker;
	struct user_timer **slots; /* NULL: free */
	uint32_t count;
	uint32_t lowest; /* no slot below is free */
};

/* Of all workers of the process, so that an id means one timer only. */
static uint32_t uses;

int crew__user_timers_new(crew_worker *w, struct crew__user_timers **ret_timers)
{
	struct crew__user_timers *timers = calloc(1, sizeof(*timers));
	if (!timers)
		return -ENOMEM;
	timers->worker = w;
	*ret_timers = timers;
	return 0;
}

static void end_timer(struct user_timer *t)
{
	struct crew__user_timers *timers = t->owner;
	crew__timer_stop(timers->worker->plan.loop, &t->timer);
	timers->slots[t->slot] = NULL;
	if (t->slot < timers->lowest)
		timers->lowest = t->slot;
	timers->worker->net.stats.slab->timers--;
	free(t);
}

void crew__user_timers_end(struct crew__user_timers *timers)
{
	for (uint32_t i = 0; i < timers->count; i++)
		if (timers->slots[i])
			end_timer(timers->slots[i]);
}

void crew__user_timers_free(struct crew__user_timers *timers)
{
	if (!timers)
		return;
	crew__user_timers_end(timers);
	free(timers->slots);
	free(timers);
}

/* The next time of a repeating timer: on its own beat; beats that were missed are left out. */
static uint64_t next_due(const struct user_timer *t, uint64_t now)
{
	uint64_t due = t->timer.due_ns + t->period_ns;
	if (due > now)
		return due;
	return now + t->period_ns - (now - t->timer.due_ns) % t->period_ns;
}

static void on_timer(struct crew__timer *timer)
{
	struct user_timer *t = crew__container_of(timer, struct user_timer, timer);
	crew_worker *w = t->owner->worker;
	crew_timer_fn *fn = t->fn;
	void *arg = t->arg;
	uint64_t now = crew__loop_ns(w->plan.loop);
	bool again = t->period_ns > 0 &&
		     crew__timer_start(w->plan.loop, &t->timer, next_due(t, now)) == 0;
	if (!again)
		end_timer(t);
	struct crew__entered before = crew__enter(w, CREW__CB_TIMER);
	fn(w, arg);
	crew__leave(w, before);
}

static int grow(struct crew__user_timers *timers)
{
	uint32_t count = timers->count ? timers->count * 2 : FIRST_SLOTS;
	if (count > SLOTS_MOST)
		return -ENOMEM;
	struct user_timer **slots = realloc(timers->slots, count * sizeof(struct user_timer *));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = timers->count; i < count; i++)
		slots[i] = NULL;
	timers->slots = slots;
	timers->count = count;
	return 0;
}

static int take_slot(struct crew__user_timers *timers, uint32_t *ret_slot)
{
	uint32_t i = timers->lowest;
	while (i < timers->count && timers->slots[i])
		i++;
	if (i == timers->count && grow(timers) < 0)
		return -ENOMEM;
	timers->lowest = i;
	*ret_slot = i;
	return 0;
}

static int64_t start(crew_worker *w, uint64_t ms, bool again, crew_timer_fn *fn, void *arg)
{
	uint32_t slot;
	if (!w || !fn || (again && ms == 0) || ms > UINT32_MAX || w->leaving == CREW__GONE)
		return -EINVAL;
	struct crew__user_timers *timers = w->timers;
	struct user_timer *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	uint64_t due = crew__loop_ns(w->plan.loop) + ms * CREW__NS_PER_MS;
	t->timer.fn = on_timer;
	if (take_slot(timers, &slot) < 0 || crew__timer_start(w->plan.loop, &t->timer, due) < 0) {
		free(t);
		return -ENOMEM;
	}
	uses = uses == INT32_MAX ? 1 : uses + 1;
	t->owner = timers;
	t->fn = fn;
	t->arg = arg;
	t->period_ns = again ? ms * CREW__NS_PER_MS : 0;
	t->slot = slot;
	t->id = (int64_t)((uint64_t)uses << 32 | slot);
	timers->slots[slot] = t;
	w->net.stats.slab->timers++;
	return t->id;
}

int64_t crew_timer_after(crew_worker *w, uint64_t ms, crew_timer_fn *fn, void *arg)
{
	return start(w, ms, false, fn, arg);
}

int64_t crew_timer_every(crew_worker *w, uint64_t ms, crew_timer_fn *fn, void *arg)
{
	return start(w, ms, true, fn, arg);
}

int crew_timer_stop(int64_t timer)
{
	uint32_t slot = (uint32_t)timer;
	for (unsigned i = 0; i < crew__here.count; i++) {
		struct crew__user_timers *timers = crew__here.workers[i]->timers;
		if (timers && slot < timers->count && timers->slots[slot] &&
			timers->slots[slot]->id == timer) {
			end_timer(timers->slots[slot]);
			return 0;
		}
	}
	return -ENOENT;
}
