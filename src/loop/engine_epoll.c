/* engine_epoll.c - level-triggered epoll, one wait a turn.
 *
 * A registration carries the pointer to its source. Between a wait and the end of its batch a
 * source may be removed, and the same struct may be added again for another descriptor; what was
 * fetched for the old one must not reach it. A source that is removed during a batch is therefore
 * marked, and adding a marked one strikes it from the rest of the batch. */
#include "loop/engine.h"

#include <stdlib.h>
#include <sys/epoll.h>
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
	int ready; /* events in the batch */
	int next;  /* the first that is not yet handled */
	bool without_pwait2;
	struct epoll_event batch[BATCH];
};

static struct epoll_engine *mine(struct crew__engine *engine)
{
	return crew__container_of(engine, struct epoll_engine, engine);
}

static int open_epoll(struct crew__engine **ret_engine)
{
	struct epoll_engine *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->engine.ops = &crew__engine_epoll;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0) {
		int error = -errno;
		free(e);
		return error;
	}
	*ret_engine = &e->engine;
	return 0;
}

static void close_epoll(struct crew__engine *engine)
{
	close(mine(engine)->fd);
	free(mine(engine));
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
	else if (events & CREW__READ)
		event.events |= EPOLLRDHUP;
	return epoll_ctl(e->fd, op, source->fd, &event) < 0 ? -errno : 0;
}

static void strike_out(struct epoll_engine *e, const struct crew__source *source)
{
	for (int i = e->next; i < e->ready; i++) {
		if (e->batch[i].data.ptr == source)
			e->batch[i].data.ptr = NULL;
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
	source->events = e->next < e->ready ? FETCHED : 0;
}

/* A limit to the nanosecond where kernel and C library have it (Linux 5.11, glibc 2.35), else to
 * the millisecond. Sandboxes answer EPERM for calls that they do not know. */
static int wait_limited(struct epoll_engine *e, int64_t wait_ns)
{
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
	if (!e->without_pwait2) {
		struct timespec limit = {
			.tv_sec = wait_ns / (int64_t)CREW__NS_PER_S,
			.tv_nsec = wait_ns % (int64_t)CREW__NS_PER_S,
		};
		int n = epoll_pwait2(e->fd, e->batch, BATCH, &limit, NULL);
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		e->without_pwait2 = true;
	}
#endif
#endif
	return epoll_wait(e->fd, e->batch, BATCH, crew__engine_ms(wait_ns));
}

static int wait_epoll(struct crew__engine *engine, int64_t wait_ns)
{
	struct epoll_engine *e = mine(engine);
	int n = wait_ns > 0 ? wait_limited(e, wait_ns)
			    : epoll_wait(e->fd, e->batch, BATCH, (int)wait_ns);
	e->next = 0;
	e->ready = crew__likely(n >= 0) ? n : 0;
	return crew__likely(n >= 0) || errno == EINTR ? 0 : -errno;
}

static void dispatch(struct crew__engine *engine)
{
	struct epoll_engine *e = mine(engine);
	while (e->next < e->ready) {
		const struct epoll_event *event = &e->batch[e->next++];
		struct crew__source *source = event->data.ptr;
		if (crew__unlikely(!source || source->fd < 0))
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
