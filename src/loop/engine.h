/* engine.h - what the loop asks of the kernel: which of these descriptors are ready?
 *
 * Private to src/loop: an engine registers sources, waits, and calls those that are ready; time,
 * timers, signals and posts are the loop's business (parts.h). One engine is one file with one
 * table of functions. */
#ifndef CREW_LOOP_ENGINE_H
#define CREW_LOOP_ENGINE_H

#include "loop/loop.h"

/* No moment: later than every other. */
#define CREW__NEVER UINT64_MAX

struct crew__engine_ops;

/* The head of every engine. */
struct crew__engine {
	const struct crew__engine_ops *ops;
};

struct crew__engine_ops {
	const char *name;

	int (*open)(struct crew__engine **ret_engine); /* 0, -ENOMEM, -EMFILE, -ENOSYS, ... */
	void (*close)(struct crew__engine *engine);

	/* As crew__loop_add and crew__loop_mod; they set source->events when they return 0. */
	int (*add)(struct crew__engine *engine, struct crew__source *source, unsigned events);
	int (*mod)(struct crew__engine *engine, struct crew__source *source, unsigned events);
	/* source->fd is still the descriptor; the loop sets it to -1 afterwards. */
	void (*remove)(struct crew__engine *engine, struct crew__source *source);

	/* Wait until something is ready, the clock shows `until_ns` (CREW__NEVER: no limit; not
	 * after `now_ns`, which was read a moment ago: do not wait), or a signal came. It may end
	 * early for no reason, but never again and again by the resolution of a clock. 0 or a
	 * negative errno. */
	int (*wait)(struct crew__engine *engine, uint64_t now_ns, uint64_t until_ns);
	/* Call each source that wait() found ready, at most once; all in one batch, during which
	 * any source may be added, changed and removed. */
	void (*dispatch)(struct crew__engine *engine);
};

extern const struct crew__engine_ops crew__engine_epoll;
extern const struct crew__engine_ops crew__engine_poll;

/* What to tell a source that watches `watched`, when the kernel says `ready` (EPOLLx and POLLx are
 * the same bits on Linux; the engines assert it). An event that was fetched before the source
 * stopped watching for it is not told. */
static inline unsigned crew__engine_events(uint32_t ready, unsigned watched)
{
	enum {
		IN = 0x1,
		OUT = 0x4,
		BROKEN = 0x8 | 0x10 | 0x20,
		ENDED = 0x2000
	};
	unsigned events = ready & IN;
	if (crew__likely(ready == IN))
		return events & watched;
	events |= (ready & OUT) ? CREW__WRITE : 0;
	events |= (ready & ENDED) && (watched & (CREW__READ | CREW__ENDED)) ? CREW__ENDED : 0;
	events &= watched | CREW__ENDED;
	return events | ((ready & BROKEN) ? CREW__HUP : 0);
}

#endif
