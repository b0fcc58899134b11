/* loop.c - the turn: wait, call what is ready, timers, posts, hooks.
 *
 * Not here: how the kernel is asked (engine_*.c), what is due (timers.c), who else calls (posts.c,
 * signals.c). A turn reads the clock once, right after the wait (one that is timed, once more at
 * its end); whatever happens in the turn happens at that time, and the next wait is computed from
 * it, so a timer is late by what the turn took. */
#include "loop/loop.h"

#include "loop/parts.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

bool crew__loop_timed;

/* ---- what most turns are spared ------------------------------------------------------------ */

/* Nearly always there is one place to note a turn's beginning in, and few turns are timed.
 * Such a turn is told from others by a count at its beginning and a flag at its end, and that is
 * all it pays. With several places every turn is one of the others. */

static void note_others(struct crew__loop *loop, uint64_t began_ns)
{
	for (uint32_t i = 1; i < loop->note_count; i++)
		atomic_store_explicit(loop->notes[i], began_ns, memory_order_relaxed);
}

static void set_timed(struct crew__loop *loop, bool timed)
{
	crew__loop_timed = timed;
	if (loop->on_timed)
		loop->on_timed(timed);
}

static __attribute__((noinline, cold)) void begin_with_attention(struct crew__loop *loop)
{
	uint32_t since = (loop->clock.turn - 1) % CREW__TIMED_EACH;
	bool several = loop->note_count > 1;
	note_others(loop, loop->clock.ns);
	if (since == 0)
		set_timed(loop, true);
	loop->attention = several || crew__loop_timed;
	loop->plain_turns = several ? 1 : CREW__TIMED_EACH - since;
}

static __attribute__((noinline, cold)) void end_with_attention(struct crew__loop *loop)
{
	note_others(loop, 0);
	loop->attention = false;
	if (!crew__loop_timed)
		return;
	set_timed(loop, false);
	uint64_t took_ns = crew__clock_ns() - loop->clock.ns;
	for (uint32_t i = 0; i < loop->note_count; i++)
		if (loop->turns[i])
			crew__histogram_add_ns(loop->turns[i], took_ns);
}

/* ---- the turn ------------------------------------------------------------------------------ */

static inline void note(struct crew__loop *loop, uint64_t began_ns)
{
	atomic_store_explicit(loop->notes[0], began_ns, memory_order_relaxed);
}

static void run_hooks(struct crew__loop *loop)
{
	struct crew__turn_hook *hook = loop->hooks;
	while (hook) {
		loop->next_hook = hook->next; /* the hook may be gone when it returns */
		if (hook->fn(hook))
			loop->again = true;
		hook = loop->next_hook;
	}
}

/* Inlined: with one ready source a turn, what the turn itself costs is a good part of the whole. */
static inline __attribute__((always_inline)) int turn(struct crew__loop *loop, uint64_t until_ns)
{
	const struct crew__engine_ops *ops = loop->engine->ops;
	if (loop->timers.next_ns < until_ns)
		until_ns = loop->timers.next_ns;
	if (loop->again)
		until_ns = 0;
	if (until_ns > loop->clock.ns)
		note(loop, 0);
	int error = ops->wait(loop->engine, loop->clock.ns, until_ns);
	loop->clock.ns = crew__clock_ns();
	note(loop, loop->clock.ns);
	if (crew__unlikely(error))
		return error;

	loop->again = false;
	loop->turning = true;
	loop->clock.turn++;
	if (crew__unlikely(--loop->plain_turns == 0))
		begin_with_attention(loop);
	ops->dispatch(loop->engine);
	if (loop->timers.next_ns <= loop->clock.ns)
		crew__timers_run(&loop->timers, loop->clock.ns);
	if (crew__unlikely(loop->posts.arrived))
		crew__posts_run(&loop->posts);
	run_hooks(loop);
	if (crew__unlikely(loop->attention))
		end_with_attention(loop);
	loop->turning = false;
	return 0;
}

int crew__loop_turn(struct crew__loop *loop, int max_wait_ms)
{
	crew__must(!loop->turning);
	loop->clock.ns = crew__clock_ns(); /* much may have happened since the last turn */
	if (max_wait_ms < 0)
		return turn(loop, CREW__NEVER);
	uint64_t most_ms = (unsigned)max_wait_ms;
	return turn(loop, loop->clock.ns + most_ms * CREW__NS_PER_MS);
}

int crew__loop_run(struct crew__loop *loop)
{
	int error = 0;
	crew__must(!loop->turning);
	loop->clock.ns = crew__clock_ns();
	crew__posts_shut(&loop->posts, false);
	while (!loop->stopping && !error)
		error = turn(loop, CREW__NEVER);
	loop->stopping = false;
	note(loop, 0);
	crew__posts_shut(&loop->posts, true);
	return error;
}

void crew__loop_stop(struct crew__loop *loop)
{
	loop->stopping = true;
}

static int open_engine(enum crew__engine_kind kind, struct crew__engine **ret_engine)
{
	if (kind == CREW__ENGINE_POLL)
		return crew__engine_poll.open(ret_engine);
	int error = crew__engine_epoll.open(ret_engine);
	if (error == -ENOSYS && kind == CREW__ENGINE_AUTO)
		error = crew__engine_poll.open(ret_engine);
	return error;
}

int crew__loop_new(enum crew__engine_kind kind, struct crew__loop **ret_loop)
{
	struct crew__loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	int error = open_engine(kind, &loop->engine);
	if (error)
		goto free_loop;
	error = crew__posts_init(&loop->posts, loop);
	if (error)
		goto close_engine;
	crew__signals_init(&loop->signals);
	crew__timers_init(&loop->timers);
	crew__loop_note_turns(loop, NULL, NULL);
	loop->clock.ns = crew__clock_ns();
	*ret_loop = loop;
	return 0;

close_engine:
	loop->engine->ops->close(loop->engine);
free_loop:
	free(loop);
	return error;
}

void crew__loop_free(struct crew__loop *loop)
{
	if (!loop)
		return;
	crew__must(!loop->turning);
	crew__signals_fini(&loop->signals, loop);
	crew__posts_fini(&loop->posts, loop);
	crew__timers_fini(&loop->timers);
	loop->engine->ops->close(loop->engine);
	free(loop);
}

const char *crew__loop_engine(const struct crew__loop *loop)
{
	return loop->engine->ops->name;
}

uint64_t crew__loop_ns(const struct crew__loop *loop)
{
	return loop->clock.ns;
}

const struct crew__turn_clock *crew__loop_clock(const struct crew__loop *loop)
{
	return &loop->clock;
}

int crew__loop_note_turns(
	struct crew__loop *loop, _Atomic uint64_t *turn_began_ns, struct crew__histogram *turns)
{
	loop->plain_turns = 1; /* the next turn finds out how it is from now on */
	if (!turn_began_ns) {
		loop->note_count = 0;
		loop->notes[0] = &loop->nowhere;
		return 0;
	}
	if (loop->note_count == crew__lengthof(loop->notes))
		return -ENOBUFS;
	loop->turns[loop->note_count] = turns;
	loop->notes[loop->note_count++] = turn_began_ns;
	return 0;
}

void crew__loop_on_timed(struct crew__loop *loop, void (*fn)(bool timed))
{
	loop->on_timed = fn;
}

int crew__loop_add(struct crew__loop *loop, struct crew__source *source, unsigned events)
{
	if (source->fd < 0)
		return -EBADF;
	return loop->engine->ops->add(loop->engine, source, events);
}

int crew__loop_mod(struct crew__loop *loop, struct crew__source *source, unsigned events)
{
	if (source->fd < 0)
		return -EBADF;
	if (source->events == events)
		return 0;
	return loop->engine->ops->mod(loop->engine, source, events);
}

void crew__loop_remove(struct crew__loop *loop, struct crew__source *source)
{
	if (source->fd < 0)
		return;
	loop->engine->ops->remove(loop->engine, source);
	source->fd = -1;
}

void crew__loop_add_hook(struct crew__loop *loop, struct crew__turn_hook *hook)
{
	struct crew__turn_hook **end = &loop->hooks;
	while (*end)
		end = &(*end)->next;
	hook->next = NULL;
	*end = hook;
}

void crew__loop_again(struct crew__loop *loop)
{
	loop->again = true;
}

void crew__loop_remove_hook(struct crew__loop *loop, struct crew__turn_hook *hook)
{
	struct crew__turn_hook **place = &loop->hooks;
	while (*place && *place != hook)
		place = &(*place)->next;
	if (!*place)
		return;
	*place = hook->next;
	if (loop->next_hook == hook)
		loop->next_hook = hook->next;
	hook->next = NULL;
}
