/* engine_epoll.c - level-triggered epoll, one wait a turn.
 *
 * A registration carries the pointer to its source. Between a wait and the end of its batch a
 * source may be removed, and the same struct may be added again for another descriptor; what was
 * fetched for the old one must not reach it. A source that is removed during a batch is therefore
 * marked, and adding a marked one strikes it from the rest of the batch. */
#include "loop/engine.h"

#include "base/clock.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
	BATCH = 512
};

_Static_assert(EPOLLIN == 0x1 && EPOLLOUT == 0x4 && EPOLLERR == 0x8 && EPOLLHUP == 0x10 &&
		       EPOLLRDHUP == 0x2000,
	"the bits that crew__engine_events knows");

/* In source->events while it is removed: the batch may hold an event of it. */
#define FETCHED (1u << 31)

struct epoll_engine {
	struct crew__engine engine;
	int fd;
	struct epoll_event *next, *end; /* of the batch: what is not yet handled */
	struct crew__source alarm;
	uint64_t alarm_ns; /* what the alarm was last set for; CREW__NEVER: not set */
	struct epoll_event batch[BATCH];
};

static struct epoll_engine *mine(struct crew__engine *engine)
{
	return crew__container_of(engine, struct epoll_engine, engine);
}

static int control(struct epoll_engine *e, int op, struct crew__source *source, unsigned events)
{
	struct epoll_event event = { .data.ptr = source };
	if (events & CREW__READ)
		event.events |= EPOLLIN;
	if (events & CREW__WRITE)
		event.events |= EPOLLOUT;
	/* The kernel takes no EPOLLRDHUP beside EPOLLEXCLUSIVE; what is shared are listeners. */
	if (events & CREW__SHARED)
		event.events |= EPOLLEXCLUSIVE;
	else if (events & (CREW__READ | CREW__ENDED))
		event.events |= EPOLLRDHUP;
	return epoll_ctl(e->fd, op, source->fd, &event) < 0 ? -errno : 0;
}

/* What stands in the batch instead of a source that was struck out. */
static struct crew__source nobody = { .fd = -1 };

static void strike_out(struct epoll_engine *e, const struct crew__source *source)
{
	for (struct epoll_event *event = e->next; event < e->end; event++) {
		if (event->data.ptr == source)
			event->data.ptr = &nobody;
	}
}

static int add(struct crew__engine *engine, struct crew__source *source, unsigned events)
{
	int error = control(mine(engine), EPOLL_CTL_ADD, source, events);
	if (error)
		return error;
	if (source->events & FETCHED)
		strike_out(mine(engine), source);
	source->events = events;
	return 0;
}

/* An exclusive registration cannot be modified. When it cannot be made anew, nothing is watched;
 * the source is still ours to change and to remove. */
static int replace(struct epoll_engine *e, struct crew__source *source, unsigned events)
{
	(void)control(
		e, EPOLL_CTL_DEL, source, 0); /* -ENOENT: it could not be made the last time */
	int error = control(e, EPOLL_CTL_ADD, source, events);
	source->events = error ? CREW__SHARED : events;
	return error;
}

static int mod(struct crew__engine *engine, struct crew__source *source, unsigned events)
{
	if ((source->events | events) & CREW__SHARED)
		return replace(mine(engine), source, events);
	int error = control(mine(engine), EPOLL_CTL_MOD, source, events);
	if (!error)
		source->events = events;
	return error;
}

static void remove_source(struct crew__engine *engine, struct crew__source *source)
{
	struct epoll_engine *e = mine(engine);
	/* It fails when the descriptor was closed too early: then there is nothing to remove. */
	(void)control(e, EPOLL_CTL_DEL, source, 0);
	source->events = e->next < e->end ? FETCHED : 0;
}

/* The alarm only ends the wait; which timers are due the loop sees by its clock. */
static void on_alarm(struct crew__source *source, unsigned events)
{
	(void)source;
	(void)events;
}

static int open_alarm(struct epoll_engine *e)
{
	e->alarm_ns = CREW__NEVER;
	e->alarm.fn = on_alarm;
	e->alarm.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (e->alarm.fd < 0)
		return -errno;
	int error = add(&e->engine, &e->alarm, CREW__READ);
	if (error)
		close(e->alarm.fd);
	return error;
}

static int open_epoll(struct crew__engine **ret_engine)
{
	struct epoll_engine *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->engine.ops = &crew__engine_epoll;
	int error = 0;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0) {
		error = -errno;
		goto free_engine;
	}
	error = open_alarm(e);
	if (error)
		goto close_fd;
	*ret_engine = &e->engine;
	return 0;

close_fd:
	close(e->fd);
free_engine:
	free(e);
	return error;
}

static void close_epoll(struct crew__engine *engine)
{
	struct epoll_engine *e = mine(engine);
	close(e->alarm.fd);
	close(e->fd);
	free(e);
}

static __attribute__((noinline)) int set_alarm(struct epoll_engine *e, uint64_t at_ns)
{
	struct itimerspec at = { 0 }; /* all zero: no alarm */
	if (at_ns != CREW__NEVER) {
		at.it_value.tv_sec = (time_t)(at_ns / CREW__NS_PER_S);
		at.it_value.tv_nsec = (long)(at_ns % CREW__NS_PER_S);
	}
	e->alarm_ns = at_ns;
	return timerfd_settime(e->alarm.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0 ? -errno : 0;
}

/* An alarm that is too early is left as it is: most timers are put off before they are due, and the
 * wake for nothing, once, costs less than a system call each time. One that has rung is always set
 * anew, which makes its descriptor silent again. */
static int wait_epoll(struct crew__engine *engine, uint64_t now_ns, uint64_t until_ns)
{
	struct epoll_engine *e = mine(engine);
	int limit_ms = 0;
	if (until_ns > now_ns) {
		limit_ms = -1;
		if (crew__unlikely(until_ns < e->alarm_ns || e->alarm_ns <= now_ns)) {
			int error = set_alarm(e, until_ns);
			if (error)
				return error;
		}
	}
	int n = epoll_wait(e->fd, e->batch, BATCH, limit_ms);
	e->next = e->batch;
	e->end = e->batch + (n > 0 ? n : 0);
	return crew__likely(n >= 0) || errno == EINTR ? 0 : -errno;
}

static void dispatch(struct crew__engine *engine)
{
	struct epoll_engine *e = mine(engine);
	while (e->next < e->end) {
		const struct epoll_event *event = e->next++;
		struct crew__source *source = event->data.ptr;
		if (crew__unlikely(source->fd < 0))
			continue;
		unsigned events = crew__engine_events(event->events, source->events);
		if (crew__likely(events))
			source->fn(source, events);
	}
}

const struct crew__engine_ops crew__engine_epoll = {
	.name = "epoll",
	.open = open_epoll,
	.close = close_epoll,
	.add = add,
	.mod = mod,
	.remove = remove_source,
	.wait = wait_epoll,
	.dispatch = dispatch,
};
