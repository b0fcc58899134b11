/* watch.c - crew_watch(): descriptors of the program's own in the loop, one watch each.
 *
 * An ended watch stays allocated until the turn's end: its event may have been fetched already. */
#include "service/inner.h"

#include <stdlib.h>

struct watch {
	struct crew__source source;
	struct watch *next; /* of the living, or of those to be freed */
	crew_watch_fn *fn;
	void *arg;
	crew_worker *worker;
	int fd;
};

static struct {
	struct watch *living;
	struct watch *ended;
	struct crew__turn_hook hook;
	bool hooked;
} watches;

static bool free_ended(struct crew__turn_hook *hook)
{
	(void)hook;
	while (watches.ended) {
		struct watch *watch = watches.ended;
		watches.ended = watch->next;
		free(watch);
	}
	return false;
}

static void on_ready(struct crew__source *source, unsigned events)
{
	struct watch *watch = crew__container_of(source, struct watch, source);
	crew_worker *w = watch->worker;
	unsigned told = events & (CREW__READ | CREW__WRITE);
	/* A hang-up is told as readiness for what was asked: the read or write then says more. */
	if (events & (CREW__HUP | CREW__ENDED))
		told |= source->events & (CREW__READ | CREW__WRITE);
	struct crew__entered before = crew__enter(w, CREW__CB_WATCH);
	watch->fn(watch->fd, told, watch->arg);
	crew__leave(w, before);
}

static struct watch **find(int fd)
{
	struct watch **at = &watches.living;
	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

static void end_watch(struct crew__loop *loop, struct watch **at)
{
	struct watch *watch = *at;
	*at = watch->next;
	crew__loop_remove(loop, &watch->source);
	watch->next = watches.ended;
	watches.ended = watch;
}

static int add_watch(crew_worker *w, int fd, unsigned events, crew_watch_fn *fn, void *arg)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->source = (struct crew__source){ .fn = on_ready, .fd = fd };
	watch->fn = fn;
	watch->arg = arg;
	watch->worker = w;
	watch->fd = fd;
	int error = crew__loop_add(w->plan.loop, &watch->source, events);
	if (error) {
		free(watch);
		return error;
	}
	watch->next = watches.living;
	watches.living = watch;
	return 0;
}

int crew_watch(int fd, unsigned events, crew_watch_fn *fn, void *arg)
{
	crew_worker *w = crew__here.current;
	if (!w && crew__here.count > 0)
		w = crew__here.workers[0];
	w = w ? crew__worker_root(w) : NULL;
	if (fd < 0)
		return -EBADF;
	if (!w || (events & ~(CREW_READ | CREW_WRITE)))
		return -EINVAL;
	if (events && (!fn || w->leaving == CREW__GONE))
		return -EINVAL;
	if (!watches.hooked) {
		watches.hook.fn = free_ended;
		watches.hooked = true;
		crew__loop_add_hook(w->plan.loop, &watches.hook);
	}
	struct watch **at = find(fd);
	if (events == 0) {
		if (*at)
			end_watch(w->plan.loop, at);
		return 0;
	}
	if (!*at)
		return add_watch(w, fd, events, fn, arg);
	(*at)->fn = fn;
	(*at)->arg = arg;
	return crew__loop_mod(w->plan.loop, &(*at)->source, events);
}

void crew__watches_end(const crew_worker *w)
{
	struct watch **at = &watches.living;
	while (*at) {
		if ((*at)->worker == w)
			end_watch(w->plan.loop, at);
		else
			at = &(*at)->next;
	}
}

void crew__watches_free(struct crew__loop *loop)
{
	while (watches.living)
		end_watch(loop, &watches.living);
	free_ended(NULL);
	if (watches.hooked)
		crew__loop_remove_hook(loop, &watches.hook);
	watches.hooked = false;
}
